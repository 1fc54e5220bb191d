//! The client against servers that behave, dawdle, hang up and lie.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::cloud::testing::Server;
use std::sync::atomic::Ordering;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn options(endpoint: Option<&str>) -> Options {
    Options {
        endpoint: endpoint.map(|url| url.parse().unwrap()),
        domains: &["baidu.com", "baidupcs.com"],
        agent: "pan.baidu.com",
        limits: Limits {
            answer: Duration::from_millis(400),
            body: Duration::from_millis(400),
            after_body: Duration::from_millis(800),
            connect: Duration::ZERO,
            ..Limits::default()
        },
        ..Options::default()
    }
}

fn patient(endpoint: &Url) -> Http {
    Http::new(Options { limits: Limits::default(), ..options(Some(endpoint.as_str())) }).unwrap()
}

fn request(http: &Http, body: Body) -> Request {
    let url = http.address("test", "https://pan.baidu.com", "/x", "access_token=SECRET").unwrap();
    Request { endpoint: "test", url, body, limit: 1000, referer: None, secrets: vec![] }
}

fn file(pieces: Vec<std::io::Result<&'static [u8]>>, length: u64) -> Body {
    let pieces = pieces.into_iter().map(|piece| piece.map(Bytes::from_static));
    Body::File { field: "file", length, body: Box::pin(futures_util::stream::iter(pieces)) }
}

#[test]
fn requests_go_to_the_documents_hosts_over_tls_or_to_the_endpoint_only() {
    let http = Http::new(options(None)).unwrap();
    for (url, allowed) in [
        ("https://pan.baidu.com/x", true),
        ("https://c3.pcs.baidu.com/x", true),
        ("https://njct06.baidupcs.com/x", true),
        ("http://pan.baidu.com/x", false),
        ("https://pan.baidu.com:8443/x", false),
        ("https://evilbaidu.com/x", false),
        ("https://baidu.com.evil.example/x", false),
        ("https://user@pan.baidu.com/x", false),
        ("https://127.0.0.1/x", false),
    ] {
        assert_eq!(http.allows(&url.parse().unwrap()), allowed, "{url}");
    }
    let http = Http::new(options(Some("http://127.0.0.1:8765/gateway/"))).unwrap();
    let url = http.address("test", "https://pan.baidu.com", "/rest", "a=b").unwrap();
    assert_eq!(url.as_str(), "http://127.0.0.1:8765/gateway/rest?a=b");
    assert!(!http.allows(&"https://pan.baidu.com/x".parse().unwrap()));
    assert!(!http.allows(&"http://127.0.0.1:8766/x".parse().unwrap()));
}

#[test]
fn plain_http_is_for_this_machine_itself_only() {
    for (endpoint, fits) in [
        ("http://127.0.0.1:1", true),
        ("http://[::1]:1", true),
        ("http://localhost:1", true),
        ("https://gateway.example", true),
        ("http://gateway.example", false),
        ("http://192.168.1.2", false),
        ("ftp://127.0.0.1", false),
    ] {
        assert_eq!(Http::new(options(Some(endpoint))).is_ok(), fits, "{endpoint}");
    }
}

#[test]
fn a_ca_file_that_is_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let open = || Http::new(Options { ca_file: Some(path.clone()), ..options(None) }).unwrap_err();
    assert!(open().to_string().ends_with("ca.pem cannot be read"), "{}", open());
    std::fs::write(&path, "hello").unwrap();
    assert!(open().to_string().ends_with("has no certificate in it"), "{}", open());
}

#[tokio::test]
async fn connections_are_reused_and_redirects_are_not_followed() {
    let server = Server::start(|_| (302, String::new())).await;
    let http = patient(&server.url);
    for _ in 0..5 {
        assert_eq!(http.call(request(&http, Body::None)).await.unwrap().status, 302);
    }
    assert_eq!(server.seen().len(), 5);
    assert_eq!(server.connections.load(Ordering::Relaxed), 1);
    assert_eq!(server.last().header("user-agent"), Some("pan.baidu.com"));
    assert_eq!(server.last().header("accept-encoding"), None, "a kilobyte is to stay a kilobyte");
}

#[tokio::test]
async fn a_file_is_sent_as_multipart_with_its_exact_length() {
    let server = Server::start(|_| (200, "{}".into())).await;
    let http = patient(&server.url);
    http.call(request(&http, file(vec![Ok(b"abc"), Ok(b"def")], 6))).await.unwrap();
    let seen = server.last();
    let text = String::from_utf8(seen.body.clone()).unwrap();
    assert!(text.contains(r#"form-data; name="file"; filename="slice""#), "{text}");
    assert!(text.contains("\r\n\r\nabcdef\r\n--"), "{text}");
    assert_eq!(seen.header("content-length"), Some(text.len().to_string().as_str()));
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_our_own_failure() {
    let server = Server::start(|_| (200, "{}".into())).await;
    let http = patient(&server.url);
    let broken = file(vec![Ok(b"abc"), Err(std::io::Error::other("disk"))], 6);
    let short = file(vec![Ok(b"abc")], 6);
    for (body, cause) in [(broken, "disk"), (short, "unexpected end of file")] {
        let error = http.call(request(&http, body)).await.err().unwrap();
        assert_eq!(error.kind, Kind::Local);
        assert_eq!(error.source.unwrap().to_string(), cause);
    }
}

#[tokio::test]
async fn an_answer_larger_than_agreed_is_not_read() {
    let server = Server::start(|_| (200, "x".repeat(1001))).await;
    let http = patient(&server.url);
    let error = http.call(request(&http, Body::None)).await.err().unwrap();
    assert_eq!(
        (error.kind, error.to_string().as_str()),
        (Kind::Broken, "test: the answer is larger than 1000 bytes")
    );
}

/// A server that does with its one connection what it is told.
async fn odd<F, T>(serve: F) -> Url
where
    F: FnOnce(tokio::net::TcpStream) -> T + Send + 'static,
    T: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { serve(listener.accept().await.unwrap().0).await });
    url.parse().unwrap()
}

#[tokio::test]
async fn no_error_shows_the_token_and_each_says_whether_the_cloud_may_have_seen_the_request() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let nobody: Url = format!("http://127.0.0.1:{port}").parse().unwrap();
    let hangs_up = odd(|mut stream| async move {
        let _ = stream.read(&mut [0; 100]).await;
    })
    .await;
    let cuts = odd(|mut stream| async move {
        let _ = stream.read(&mut [0; 100]).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await.unwrap();
    })
    .await;
    for (url, kind, sent) in
        [(nobody, Kind::Offline, false), (hangs_up, Kind::Offline, true), (cuts, Kind::Broken, true)]
    {
        let http = patient(&url);
        let error = http.call(request(&http, Body::None)).await.err().unwrap();
        assert_eq!((error.kind, error.sent), (kind, sent), "{error:?}");
        assert!(!format!("{error:?} {error}").contains("SECRET"));
    }
}

#[tokio::test]
async fn an_answer_that_stops_is_given_up_and_one_that_trickles_is_read() {
    let silent = odd(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let stops = odd(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    for url in [silent, stops] {
        let http = Http::new(options(Some(url.as_str()))).unwrap();
        let error = http.call(request(&http, Body::None)).await.err().unwrap();
        assert_eq!(error.kind, Kind::Offline);
    }
    let trickles = odd(|mut stream| async move {
        let _ = stream.read(&mut [0; 1000]).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n").await.unwrap();
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            stream.write_all(b"x").await.unwrap();
        }
    })
    .await;
    let mut options = options(Some(trickles.as_str()));
    options.limits.connect = Duration::from_secs(1);
    let http = Http::new(options).unwrap();
    assert_eq!(http.call(request(&http, Body::None)).await.unwrap().body.len(), 10);
}

#[tokio::test]
async fn an_answer_that_trickles_for_ever_is_given_up_though_it_always_moves() {
    for head in ["Content-Length: 900", "Transfer-Encoding: chunked"] {
        let chunk: &[u8] = if head.starts_with('T') { b"1\r\nx\r\n" } else { b"x" };
        let url = odd(move |mut stream| async move {
            let _ = stream.read(&mut [0; 1000]).await;
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n").as_bytes()).await;
            while stream.write_all(chunk).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        let mut options = options(Some(url.as_str()));
        options.limits.connect = Duration::from_secs(1);
        options.limits.answer = Duration::from_secs(60);
        options.limits.whole = Duration::from_secs(1);
        let http = Http::new(options).unwrap();
        let error = http.call(request(&http, Body::None)).await.err().unwrap();
        let words = "test: the answer did not end in 1 seconds";
        assert_eq!((error.kind, error.to_string().as_str()), (Kind::Offline, words), "{head}");
    }
}

#[tokio::test]
async fn a_head_that_never_ends_is_given_up_whether_it_trickles_or_floods() {
    // Heads of "go on" again and again, a line of a header letter by letter, a thousand headers.
    let slow = (b"x".as_slice(), Duration::from_millis(20), Kind::Offline);
    let go_on = (b"HTTP/1.1 103 Early\r\n\r\n".as_slice(), Duration::ZERO, Kind::Offline);
    let many = (b"HTTP/1.1 200 OK\r\n".as_slice(), Duration::ZERO, Kind::Offline);
    for (piece, pause, kind) in [slow, go_on, many] {
        let url = odd(move |mut stream| async move {
            let _ = stream.read(&mut [0; 1000]).await;
            if pause > Duration::ZERO {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await;
            }
            while stream.write_all(piece).await.is_ok() {
                tokio::time::sleep(pause).await;
            }
        })
        .await;
        let mut options = options(Some(url.as_str()));
        options.limits.connect = Duration::from_millis(400);
        let http = Http::new(options).unwrap();
        let error = http.call(request(&http, Body::None)).await.err().unwrap();
        assert_eq!(error.kind, kind, "{error}");
    }
}

#[tokio::test]
async fn an_answer_that_announces_more_than_agreed_is_not_even_begun() {
    let url = odd(|mut stream| async move {
        let _ = stream.read(&mut [0; 1000]).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n").await;
        std::future::pending::<()>().await;
    })
    .await;
    let http = patient(&url);
    let error = http.call(request(&http, Body::None)).await.err().unwrap();
    assert_eq!(error.to_string(), "test: the answer is larger than 1000 bytes");
}

const BIG: usize = 24 << 20;
static ZEROS: [u8; BIG] = [0; BIG];

#[tokio::test]
async fn a_slice_that_moves_slowly_is_sent_and_one_that_nobody_takes_is_given_up() {
    let slow = odd(|mut stream| async move {
        let mut buffer = vec![0; 1 << 20];
        let mut got = 0;
        while got < BIG {
            tokio::time::sleep(Duration::from_millis(20)).await;
            got += stream.read(&mut buffer).await.unwrap();
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let mut limited = options(Some(slow.as_str()));
    limited.limits.connect = Duration::from_secs(1);
    let http = Http::new(limited).unwrap();
    let begun = Instant::now();
    http.call(request(&http, file(vec![Ok(&ZEROS)], BIG as u64))).await.unwrap();
    assert!(begun.elapsed() > Duration::from_millis(400), "slower than the limit between two pieces");

    let stuck = odd(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let http = Http::new(options(Some(stuck.as_str()))).unwrap();
    let error = http.call(request(&http, file(vec![Ok(&ZEROS)], BIG as u64))).await.err().unwrap();
    assert_eq!(error.kind, Kind::Offline);
}

#[test]
fn what_looks_like_a_token_is_not_repeated_even_when_it_is_none_of_this_call() {
    let answer = Answer::for_test("list", 200, "", &["mine"]);
    let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.f44b-16_9";
    assert_eq!(
        answer.clean(&format!("client refused: mine,{token} 照片 {token}")),
        "client refused: …,… 照片 …"
    );
    let words = "文件名 IMG_20240703_094612.jpg: uploadid N1-MTAuMTMzLjE0MC4xNzoxNjA0 is gone";
    assert_eq!(answer.clean(words), words);
}
