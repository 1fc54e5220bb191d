//! A server that answers whatever it is asked with what is wanted next, and what must hold of every call.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use xpand::cloud::{self, BoxFuture, Error, Token, TokenSource};
use xpand::config;

/// What nobody may see.
pub(super) const SECRET: &str = "121.tokenthatnobodymaysee";
/// No text of an answer is kept that is longer, bytes.
const TEXT_MAX: usize = 16 << 10;

/// Gives out one token, for ever.
pub(super) struct OneToken;

impl TokenSource for OneToken {
    fn token(&self) -> BoxFuture<'_, cloud::Result<Token>> {
        Box::pin(async { Ok(Token::new(SECRET)) })
    }

    fn renew<'a>(&'a self, _: &'a Token) -> BoxFuture<'a, cloud::Result<Token>> {
        self.token()
    }
}

/// What the server answers next: to the letter, the last of them again and again, and whether the connection
/// then closes.
static ANSWERS: Mutex<(VecDeque<Vec<u8>>, bool)> = Mutex::new((VecDeque::new(), false));

/// Where it listens.
pub(super) static PORT: LazyLock<u16> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    port
});

/// A poisoned lock is only another run's failure.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An account there.
pub(super) fn account(provider: config::Provider) -> config::Account {
    config::Account {
        name: "home".into(),
        provider,
        client_id: "id".into(),
        client_secret: config::Secret::new(SECRET),
        app: "xpand".into(),
        endpoint: format!("http://127.0.0.1:{}", *PORT).parse().ok(),
        ca_file: None,
        share_type: Some(2001),
        share_secret: Some(config::Secret::new(SECRET)),
    }
}

/// The server is to answer so: by the first byte of an input whole HTTP answers byte for byte, or bodies of
/// good or of bad ones.
pub(super) fn answer<'a>(choice: u8, answers: impl Iterator<Item = &'a [u8]>) {
    let is_raw = choice >= 128;
    let framed = |answer: &[u8]| {
        let status = if choice & 64 == 0 { 200 } else { 400 };
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", answer.len());
        [head.as_bytes(), answer].concat()
    };
    let whole = answers.map(|answer| if is_raw { answer.to_vec() } else { framed(answer) });
    *lock(&ANSWERS) = (whole.collect(), is_raw);
}

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
        let (answer, close) = {
            let (answers, close) = &mut *lock(&ANSWERS);
            let next = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
            (next.unwrap_or_default(), *close)
        };
        writer.write_all(&answer).ok()?;
        if close {
            let _ = writer.shutdown(std::net::Shutdown::Write);
            return None;
        }
    }
}

/// What must hold of every call: it ends, its texts do, and no secret is told.
pub(super) async fn judge(call: impl Future<Output = Result<Vec<String>, Error>>) {
    match tokio::time::timeout(Duration::from_secs(60), call).await {
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
}
