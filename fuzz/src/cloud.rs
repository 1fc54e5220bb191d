//! Answers of the cloud, to every call there is: whole HTTP answers byte for byte, or the body of a good
//! one, over a real connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use bytes::Bytes;
use xpand::cloud::{
    self, Authority, Begin, BoxFuture, DeviceCode, Drive, Error, Slice, Token, TokenSource, Upload,
};
use xpand::config;
use xpand::content::{Md5, Media, OnConflict, Purpose};

use super::{runtime, shell};

const SECRET: &str = "121.tokenthatnobodymaysee";
/// No text of an answer is kept that is longer, bytes.
const TEXT_MAX: usize = 16 << 10;

/// Gives out one token, for ever.
struct OneToken;

impl TokenSource for OneToken {
    fn token(&self) -> BoxFuture<'_, cloud::Result<Token>> {
        Box::pin(async { Ok(Token::new(SECRET)) })
    }

    fn renew<'a>(&'a self, _: &'a Token) -> BoxFuture<'a, cloud::Result<Token>> {
        self.token()
    }
}

/// What the server answers next: to the letter, and whether the connection then closes.
static ANSWER: Mutex<(Vec<u8>, bool)> = Mutex::new((Vec::new(), false));

struct World {
    runtime: tokio::runtime::Runtime,
    drive: Arc<dyn Drive>,
    authority: Arc<dyn Authority>,
}

static WORLD: LazyLock<Mutex<World>> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    let account = config::Account {
        name: "home".into(),
        provider: config::Provider::Baidu,
        client_id: "id".into(),
        client_secret: config::Secret::new(SECRET),
        app: "xpand".into(),
        endpoint: format!("http://127.0.0.1:{port}").parse().ok(),
        ca_file: None,
        share_type: Some(2001),
        share_secret: Some(config::Secret::new(SECRET)),
    };
    Mutex::new(World {
        runtime: runtime(),
        drive: cloud::open(&account, Arc::new(OneToken), cloud::Calls::uncounted()).expect("a drive"),
        authority: cloud::authority(&account),
    })
});

/// Reads requests and answers each with what is wanted now.
fn serve(stream: TcpStream) -> Option<()> {
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    loop {
        let mut length = 0_u64;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if line == "\r\n" {
                break;
            }
        }
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink()).ok()?;
        let (answer, close) = ANSWER.lock().ok()?.clone();
        writer.write_all(&answer).ok()?;
        if close {
            let _ = writer.shutdown(std::net::Shutdown::Write);
            return None;
        }
    }
}

fn upload(slices: u8) -> Upload {
    let count = usize::from(slices);
    Upload {
        path: "/apps/xpand/a.jpg".into(),
        size: 300_000,
        content_md5: Md5::of("a"),
        head_md5: Md5::of("b"),
        slice_size: 300_000_u64.div_ceil(u64::from(slices)),
        slices: vec![Md5::of("c"); count].into(),
        purpose: Purpose::Backup,
        media: Media::Photo,
        exif: None,
        ctime_secs: 0,
        mtime_secs: 0,
        on_conflict: OnConflict::KeepBoth,
    }
}

/// The first byte chooses the call and the frame, the others are the answer.
pub fn answers(data: &[u8]) {
    let Some((&choice, answer)) = data.split_first() else { return };
    let is_raw = choice >= 128;
    let whole = if is_raw {
        answer.to_vec()
    } else {
        let status = if choice & 64 == 0 { 200 } else { 400 };
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", answer.len());
        [head.as_bytes(), answer].concat()
    };
    // A poisoned lock is only another run's failure.
    let world = WORLD.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    *ANSWER.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = (whole, is_raw);
    let World { runtime, drive, authority } = &*world;
    let called = async {
        match tokio::time::timeout(Duration::from_secs(60), call(choice & 63, &**drive, &**authority)).await {
            Ok(Err(error)) => {
                let words = format!("{error} {error:?}");
                assert!(!words.contains(SECRET), "a secret in: {words}");
                assert!(error.message.len() < 2000, "{words}");
            }
            Ok(Ok(texts)) => {
                assert!(texts.iter().all(|text| text.len() <= TEXT_MAX), "a text without an end");
            }
            Err(_) => panic!("it hangs"),
        }
    };
    runtime.block_on(called);
}

/// Makes one call, and gives back the texts it was told.
async fn call(choice: u8, drive: &dyn Drive, authority: &dyn Authority) -> Result<Vec<String>, Error> {
    if choice >= 32 {
        return shell::call(choice, drive).await;
    }
    let devices = drive.devices().expect("a cloud with devices");
    Ok(match choice % 16 {
        0 => {
            let user = drive.user().await?;
            assert!(user.slice_size > 0 && user.max_file_size > 0, "{user:?}");
            vec![user.id, user.name]
        }
        1 => {
            drive.quota().await?;
            Vec::new()
        }
        2 | 3 => {
            let slices = if choice % 16 == 2 { 1 } else { 5 };
            match drive.begin(&upload(slices), Some("N1-old")).await? {
                Begin::Present(stored) | Begin::There(stored) => vec![stored.id, stored.path],
                Begin::Send { session, slice_size, missing } => {
                    assert_eq!(slice_size, upload(slices).slice_size);
                    assert!(
                        missing.is_sorted() && missing.iter().all(|&at| at < slices.into()),
                        "{missing:?}"
                    );
                    assert!(!session.is_empty());
                    vec![session]
                }
            }
        }
        4 => {
            let piece = Bytes::from_static(b"0123456789");
            let body = Box::pin(futures_util::stream::iter([Ok(piece)]));
            drive.send(&upload(1), "N1-1", Slice { number: 0, length: 10, body }).await?;
            Vec::new()
        }
        5 => {
            let stored = drive.finish(&upload(1), "N1-1").await?;
            vec![stored.id, stored.path]
        }
        6 => {
            let page = drive.list("/apps/xpand", None).await?;
            let file = upload(5);
            for entry in &page.entries {
                drive.is_same(entry, &file);
            }
            page.entries.into_iter().flat_map(|entry| [entry.id, entry.path]).collect()
        }
        7 => vec![devices.register("7", "box").await?],
        8 => {
            devices.bind("1").await?;
            devices.unbind("1").await?;
            Vec::new()
        }
        9 => {
            devices.is_bound("1").await?;
            Vec::new()
        }
        10 => {
            let changes = devices.diff("").await?;
            let names = changes.devices.into_iter().flat_map(|device| [device.id, device.name]);
            names.chain([changes.cursor]).collect()
        }
        11 => devices.all().await?.into_iter().flat_map(|device| [device.id, device.brand]).collect(),
        12 => {
            let code = authority.start().await?;
            assert!((1..=600).contains(&code.interval.as_secs()), "{code:?}");
            vec![code.user_code, code.verification_url, code.qrcode_url]
        }
        13 => {
            let seconds = Duration::from_secs(1);
            let code = DeviceCode {
                secret: Token::new(SECRET),
                user_code: String::new(),
                verification_url: String::new(),
                qrcode_url: String::new(),
                expires_in: seconds,
                interval: seconds,
            };
            authority.poll(&code).await?;
            Vec::new()
        }
        _ => {
            let grant = authority.refresh(&Token::new(SECRET)).await?;
            vec![grant.access.secret().to_owned()]
        }
    })
}
