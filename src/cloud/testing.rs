//! For tests only: a tiny HTTP server that remembers what it was asked, a source of two tokens, and a drive
//! that only lists.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use super::{
    Begin, BoxFuture, Content, Cursor, Drive, Entry, Finish, Page, Quota, Result, Slice, Token, TokenSource,
    Upload, User,
};
use crate::config;
use crate::content::Md5;

/// A drive that is asked for nothing but pages of folders, and whose listed md5 is the content's.
pub(crate) struct Lists<F>(pub(crate) F);

impl<F: Fn(&str, Option<Cursor>) -> Page + Send + Sync + 'static> Drive for Lists<F> {
    fn list<'a>(&'a self, folder: &'a str, after: Option<Cursor>) -> BoxFuture<'a, Result<Page>> {
        Box::pin(async move { Ok((self.0)(folder, after)) })
    }
    fn is_same(&self, _: &Entry, _: &Upload) -> bool {
        false
    }
    fn has_content(&self, entry: &Entry, content: &Content) -> Option<bool> {
        entry.md5.as_ref()?.parse().ok().map(|md5: Md5| md5 == content.md5)
    }
    fn user(&self) -> BoxFuture<'_, Result<User>> {
        unreachable!()
    }
    fn quota(&self) -> BoxFuture<'_, Result<Option<Quota>>> {
        unreachable!()
    }
    fn begin<'a>(&'a self, _: &'a Upload, _: Option<&'a str>) -> BoxFuture<'a, Result<Begin>> {
        unreachable!()
    }
    fn send<'a>(&'a self, _: &'a Upload, _: &'a str, _: Slice) -> BoxFuture<'a, Result<Option<Md5>>> {
        unreachable!()
    }
    fn finish<'a>(&'a self, _: &'a Upload, _: &'a str) -> BoxFuture<'a, Result<Finish>> {
        unreachable!()
    }
}

/// One request as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    /// `GET /path`, without the query.
    pub(crate) fn call(&self) -> &str {
        let line = self.head.lines().next().unwrap_or_default();
        let line = line.strip_suffix(" HTTP/1.1").unwrap_or(line);
        line.split('?').next().unwrap_or_default()
    }

    fn query(&self) -> &str {
        let line = self.head.lines().next().unwrap_or_default();
        line.split_once('?').map_or("", |(_, rest)| rest.trim_end_matches(" HTTP/1.1"))
    }

    /// A value of the query.
    pub(crate) fn asked(&self, key: &str) -> Option<String> {
        value(self.query().as_bytes(), key)
    }

    /// A value of the form.
    pub(crate) fn form(&self, key: &str) -> Option<String> {
        value(&self.body, key)
    }

    /// A header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

fn value(pairs: &[u8], key: &str) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(pairs);
    pairs.find(|(name, _)| name == key).map(|(_, value)| value.into_owned())
}

/// An answer byte for byte.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// Head and body.
    pub(crate) bytes: Vec<u8>,
    /// What comes after it.
    pub(crate) then: Then,
}

/// What a server does when it has answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Then {
    /// It reads the next request.
    Go,
    /// It hangs up.
    Close,
    /// It keeps the connection, and says nothing more.
    Hang,
    /// It goes on with a byte that often.
    Drip(Duration),
}

impl Reply {
    /// A status, headers and a body, with its length.
    pub(crate) fn of(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let length = body.len().to_string();
        Self::raw(status, &[headers, &[("Content-Length", &length)]].concat(), body)
    }

    /// The same without a length of its own.
    pub(crate) fn raw(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let mut text = format!("HTTP/1.1 {status} X\r\n");
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += &format!("\r\n{body}");
        Self { bytes: text.into_bytes(), then: Then::Go }
    }

    pub(crate) fn then(mut self, then: Then) -> Self {
        self.then = then;
        self
    }
}

/// The server; it ends with its runtime.
pub(crate) struct Server {
    pub(crate) url: Url,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
    pub(crate) connections: Arc<AtomicUsize>,
}

impl Server {
    /// A server that answers each request with a status and a body.
    pub(crate) async fn start(answer: impl Fn(&Seen) -> (u16, String) + Send + Sync + 'static) -> Self {
        Self::replying(move |seen| {
            let (status, body) = answer(seen);
            Reply::of(status, &[("Location", "/elsewhere"), ("Content-Type", "text/html")], &body)
        })
        .await
    }

    /// A server that answers each request as it is told.
    pub(crate) async fn replying(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let server = Self { url, seen: Arc::default(), connections: Arc::default() };
        let (seen, connections) = (Arc::clone(&server.seen), Arc::clone(&server.connections));
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::Relaxed);
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                tokio::spawn(async move {
                    while let Some(request) = read(&mut stream).await {
                        let reply = answer(&request);
                        seen.lock().unwrap().push(request);
                        stream.write_all(&reply.bytes).await.unwrap();
                        match reply.then {
                            Then::Go => {}
                            Then::Close => return,
                            Then::Hang => std::future::pending().await,
                            Then::Drip(every) => {
                                while stream.write_all(b"x").await.is_ok() {
                                    tokio::time::sleep(every).await;
                                }
                                return;
                            }
                        }
                    }
                });
            }
        });
        server
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn last(&self) -> Seen {
        self.seen().pop().unwrap()
    }

    pub(crate) fn account(&self) -> config::Account {
        config::Account {
            name: "home".into(),
            provider: config::Provider::Baidu,
            client_id: "AppKey".into(),
            client_secret: config::Secret::new("CLIENTSECRET"),
            app: "xpand".into(),
            endpoint: Some(self.url.clone()),
            ca_file: None,
            share_type: None,
            share_secret: None,
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let mut request = Seen { head: String::from_utf8(head).unwrap(), body: Vec::new() };
    assert_eq!(request.header("transfer-encoding"), None, "bodies have a length");
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    request.body.resize(length, 0);
    stream.read_exact(&mut request.body).await.ok()?;
    Some(request)
}

/// Gives out `t1`, and `t2` when that is refused.
#[derive(Default)]
pub(crate) struct TwoTokens {
    pub(crate) renewals: AtomicUsize,
}

impl TokenSource for TwoTokens {
    fn token(&self) -> BoxFuture<'_, Result<Token>> {
        Box::pin(async {
            let renewed = self.renewals.load(Ordering::Relaxed) > 0;
            Ok(Token::new(if renewed { "t2" } else { "t1" }))
        })
    }

    fn renew<'a>(&'a self, _: &'a Token) -> BoxFuture<'a, Result<Token>> {
        Box::pin(async {
            self.renewals.fetch_add(1, Ordering::Relaxed);
            Ok(Token::new("t2"))
        })
    }
}
