//! Answers of the cloud, to every call there is: whole HTTP answers byte for byte, or the body of a good
//! one, over a real connection.

use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use bytes::Bytes;
use xpand::cloud::{self, Authority, Begin, DeviceCode, Drive, Error, Finish, Slice, Token, Upload};
use xpand::config::Provider;
use xpand::content::{Md5, Media, OnConflict, Purpose};

use super::server::{self, OneToken, SECRET, lock};
use super::{runtime, shell};

struct World {
    runtime: tokio::runtime::Runtime,
    drive: Arc<dyn Drive>,
    authority: Arc<dyn Authority>,
}

static WORLD: LazyLock<Mutex<World>> = LazyLock::new(|| {
    let account = server::account(Provider::Baidu);
    Mutex::new(World {
        runtime: runtime(),
        drive: cloud::open(&account, Arc::new(OneToken), cloud::Calls::uncounted()).expect("a drive"),
        authority: cloud::authority(&account),
    })
});

pub(super) fn upload(slices: u8) -> Upload {
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
    let world = lock(&WORLD);
    server::answer(choice, std::iter::once(answer));
    let World { runtime, drive, authority } = &*world;
    runtime.block_on(server::judge(call(choice & 63, &**drive, &**authority)));
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
                Begin::Making { session } => vec![session],
            }
        }
        4 => {
            let piece = Bytes::from_static(b"0123456789");
            let body = Box::pin(futures_util::stream::iter([Ok(piece)]));
            drive.send(&upload(1), "N1-1", Slice { number: 0, length: 10, body }).await?;
            Vec::new()
        }
        5 => match drive.finish(&upload(1), "N1-1").await? {
            Finish::Made(stored) => vec![stored.id, stored.path],
            Finish::Making { session } => vec![session],
        },
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
