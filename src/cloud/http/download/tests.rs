//! Files that come whole, in part, cut and never; and where redirects may lead.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use futures_util::StreamExt;

use super::*;
use crate::cloud::http::{Limits, Options};
use crate::cloud::testing::{Reply, Seen, Server, Then};

const MD5: &str = "0cc175b9c0f1b6a831c399e269772661";

fn options(endpoint: Option<&str>) -> Options {
    Options {
        endpoint: endpoint.map(|url| url.parse().unwrap()),
        domains: &["baidu.com", "baidupcs.com"],
        agent: "pan.baidu.com",
        ..Options::default()
    }
}

fn client(server: &Server) -> Http {
    Http::new(options(Some(server.url.as_str()))).unwrap()
}

fn ask(http: &Http, from: u64) -> Fetch {
    let dlink = "https://d.pcs.baidu.com/file/x?fid=1&access_token=SECRET";
    let url = http.named("download", dlink).unwrap();
    Fetch { endpoint: "download", url, from, size: None, secrets: vec!["SECRET".into()] }
}

async fn fetch(http: &Http, from: u64) -> Result<Fetched> {
    http.fetch(ask(http, from)).await
}

async fn file(http: &Http, from: u64) -> Streamed {
    match fetch(http, from).await.unwrap() {
        Fetched::File(file) => file,
        Fetched::Refused { answer, .. } | Fetched::Doubtful { answer, .. } => panic!("{}", answer.status),
    }
}

/// The bytes that came, and how it ended.
async fn drain(file: Streamed) -> (String, Option<Error>) {
    let (mut text, mut body) = (String::new(), file.body);
    while let Some(piece) = body.next().await {
        match piece {
            Ok(piece) => text.push_str(std::str::from_utf8(&piece).unwrap()),
            Err(error) => {
                assert!(body.next().await.is_none(), "an error is the end");
                return (text, Some(error));
            }
        }
    }
    (text, None)
}

fn moved(status: u16, to: impl AsRef<str>) -> Reply {
    Reply::of(status, &[("Location", to.as_ref())], "<html>")
}

#[test]
fn an_address_that_an_answer_names_is_the_clouds_over_https_or_the_endpoint_in_its_place() {
    let http = Http::new(options(None)).unwrap();
    let named = |http: &Http, text: &str| http.named("download", text).ok().map(String::from);
    for (text, url) in [
        ("https://d.pcs.baidu.com/file/x?a=%2B&b=1", Some("https://d.pcs.baidu.com/file/x?a=%2B&b=1")),
        ("http://pcsdata.baidu.com/doc/x?a=1#b", Some("https://pcsdata.baidu.com/doc/x?a=1")),
        ("https://njct06.baidupcs.com/x", Some("https://njct06.baidupcs.com/x")),
        ("https://evilbaidu.com/x", None),
        ("https://baidu.com.evil.example/x", None),
        ("https://user@pan.baidu.com/x", None),
        ("https://pan.baidu.com:8443/x", None),
        ("http://pan.baidu.com:8080/x", None),
        ("https://10.0.0.1/x", None),
        ("http://127.0.0.1/x", None),
        ("ftp://pan.baidu.com/x", None),
        ("file:///etc/passwd", None),
        ("pan.baidu.com/x", None),
        ("", None),
    ] {
        assert_eq!(named(&http, text).as_deref(), url, "{text}");
    }
    let own = Http::new(options(Some("http://127.0.0.1:8765/gateway/"))).unwrap();
    for (text, url) in [
        ("https://d.pcs.baidu.com/file/x?a=%2B", Some("http://127.0.0.1:8765/gateway/file/x?a=%2B")),
        ("http://127.0.0.1:9999/cdn", Some("http://127.0.0.1:9999/cdn")),
        ("https://gateway.example/x", None),
        ("http://192.168.1.2/x", None),
    ] {
        assert_eq!(named(&own, text).as_deref(), url, "{text}");
    }
    let far = Http::new(options(Some("https://gateway.example"))).unwrap();
    assert!(named(&far, "http://127.0.0.1:9999/cdn").is_none(), "only a loopback endpoint leads to loopback");
    assert_eq!(named(&far, "https://gateway.example/x").as_deref(), Some("https://gateway.example/x"));
}

#[tokio::test]
async fn a_redirect_is_followed_without_the_token_to_another_port_of_this_machine() {
    let cdn = Server::replying(|_| Reply::of(200, &[("Content-MD5", MD5)], "abc")).await;
    let to = format!("{}cdn/x?a=%2B&access_token=SECRET&b=1", cdn.url);
    let server = Server::replying(move |_| moved(302, &to)).await;
    let http = client(&server);
    let file = file(&http, 0).await;
    assert_eq!((file.from, file.total, file.content_md5), (0, Some(3), Some(MD5.parse().unwrap())));
    assert_eq!(drain(file).await.0, "abc");
    assert_eq!(server.last().asked("access_token").unwrap(), "SECRET");
    let seen = cdn.last();
    assert!(seen.head.starts_with("GET /cdn/x?a=%2B&b=1 HTTP/1.1\r\n"), "{}", seen.head);
    assert!(!seen.head.contains("SECRET"), "{}", seen.head);
    assert_eq!(seen.header("user-agent"), Some("pan.baidu.com"));
    for name in ["authorization", "cookie", "referer", "range", "accept-encoding"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn a_redirect_to_the_clouds_own_name_goes_to_the_endpoint_and_anywhere_else_nowhere() {
    let server = Server::replying(|seen| match seen.call() {
        "GET /file/x" => moved(302, "http://nb.baidupcs.com/cdn/x?sign=1"),
        "GET /cdn/x" => moved(307, "further?sign=2"),
        _ => Reply::of(200, &[], "abc"),
    })
    .await;
    assert_eq!(drain(file(&client(&server), 0).await).await.0, "abc");
    let calls: Vec<String> = server.seen().iter().map(|seen| seen.call().to_owned()).collect();
    assert_eq!(calls, ["GET /file/x", "GET /cdn/x", "GET /cdn/further"]);

    for (to, words) in [
        ("https://evil.example/x", "to evil.example, which is none of its own servers"),
        ("http://192.168.0.1/x", "to 192.168.0.1, which is none"),
        ("https://pan.baidu.com.evil.example/x", "to pan.baidu.com.evil.example, which"),
        ("https://user:pass@pan.baidu.com/x", "to pan.baidu.com, which"),
        ("ftp://pan.baidu.com/x", "to pan.baidu.com, which"),
        ("https:///", "to nowhere"),
        ("/cdn/SECRET/x", "with our token in the address"),
        ("/cdn?k=S%45CRET", "with our token in the address"),
    ] {
        let server = Server::replying(move |_| moved(302, to)).await;
        let error = fetch(&client(&server), 0).await.err().unwrap();
        assert_eq!(error.kind, Kind::Broken, "{to}");
        assert!(error.to_string().contains(words), "{to}: {error}");
        assert!(!format!("{error:?}").contains("SECRET"), "{error:?}");
        assert_eq!(server.seen().len(), 1, "{to}");
    }
}

#[tokio::test]
async fn five_redirects_are_followed_and_not_six() {
    let numbered = |most: usize| {
        move |seen: &Seen| {
            let at: usize = seen.call().rsplit('/').next().unwrap().parse().unwrap_or(0);
            if at < most { moved(302, format!("/file/{}", at + 1)) } else { Reply::of(200, &[], "abc") }
        }
    };
    let server = Server::replying(numbered(5)).await;
    assert_eq!(drain(file(&client(&server), 0).await).await.0, "abc");
    let server = Server::replying(numbered(6)).await;
    let error = fetch(&client(&server), 0).await.err().unwrap();
    assert_eq!(error.to_string(), "download: the cloud sends us on more than 5 times");
    assert_eq!(server.seen().len(), 6);
}

#[tokio::test]
async fn a_range_is_asked_for_along_all_redirects_and_has_to_begin_where_asked() {
    let part = |range: &'static str| {
        let reply = move |seen: &Seen| match seen.call() {
            "GET /file/x" => moved(302, "/cdn"),
            _ => Reply::of(206, &[("Content-Range", range), ("ETag", &format!("\"{MD5}\""))], "cdef"),
        };
        Server::replying(reply)
    };
    let server = part("bytes 2-5/6").await;
    let got = file(&client(&server), 2).await;
    assert_eq!((got.from, got.total, got.content_md5), (2, Some(6), Some(MD5.parse().unwrap())));
    assert_eq!(drain(got).await.0, "cdef");
    assert!(server.seen().iter().all(|seen| seen.header("range") == Some("bytes=2-")));

    for range in ["bytes 1-4/6", "bytes 2-5/*", "bytes */6", "bytes 2-9/6", "lines 2-5/6", "junk", ""] {
        let server = part(range).await;
        let error = fetch(&client(&server), 2).await.err().unwrap();
        assert_eq!(error.kind, Kind::Broken, "{range}");
    }
    // A server that knows no ranges begins at the beginning, and says so.
    let server = Server::replying(|_| Reply::of(200, &[], "abcdef")).await;
    let got = file(&client(&server), 2).await;
    assert_eq!((got.from, got.total), (0, Some(6)));
    assert_eq!(drain(got).await.0, "abcdef");
    // A part that ends too early may be kept, and its end is told.
    let server = part("bytes 2-5/9").await;
    let (text, error) = drain(file(&client(&server), 2).await).await;
    assert_eq!((text.as_str(), error.unwrap().kind), ("cdef", Kind::Broken));
}

#[tokio::test]
async fn a_body_that_is_cut_or_too_long_ends_with_an_error() {
    let with = |headers: &'static [(&str, &str)], body: &'static str, then| {
        Server::replying(move |_| Reply::raw(200, headers, body).then(then))
    };
    let cut = with(&[("Content-Length", "9")], "abc", Then::Close).await;
    let (text, error) = drain(file(&client(&cut), 0).await).await;
    let error = error.unwrap();
    assert_eq!((text.as_str(), error.kind), ("abc", Kind::Offline));
    assert_eq!(error.to_string(), "download: the connection broke in the middle of the file");

    let chunks = "3\r\nabc\r\n0\r\n\r\n";
    let unknown = with(&[("Transfer-Encoding", "chunked")], chunks, Then::Go).await;
    let got = file(&client(&unknown), 0).await;
    assert_eq!(got.total, None);
    assert!(matches!(drain(got).await, (text, None) if text == "abc"));

    let long = Server::replying(|_| {
        let headers = [("Transfer-Encoding", "chunked"), ("Content-Range", "bytes 2-3/4")];
        Reply::raw(206, &headers, "3\r\nabc\r\n0\r\n\r\n")
    })
    .await;
    let (text, error) = drain(file(&client(&long), 2).await).await;
    assert_eq!((text.as_str(), error.unwrap().kind), ("", Kind::Broken));

    let packed = with(&[("Content-Encoding", "gzip"), ("Content-Length", "3")], "abc", Then::Go).await;
    assert_eq!(fetch(&client(&packed), 0).await.err().unwrap().kind, Kind::Broken);
}

#[tokio::test]
async fn a_file_that_stops_coming_is_given_up_and_one_that_nobody_reads_is_not() {
    let hanging = Server::replying(|seen| match seen.call() {
        "GET /file/x" => Reply::raw(200, &[("Content-Length", "9")], "abc").then(Then::Hang),
        _ => Reply { bytes: Vec::new(), then: Then::Hang },
    })
    .await;
    let http = client(&hanging);
    let mut got = file(&http, 0).await;
    assert_eq!(got.body.next().await.unwrap().unwrap(), "abc");
    let silent = http.named("download", "https://pan.baidu.com/silent").unwrap();
    let silent = Fetch { url: silent, ..ask(&http, 0) };
    let mut silent = Box::pin(http.fetch(silent));
    while hanging.seen().len() < 2 {
        assert!(futures_util::poll!(&mut silent).is_pending());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Nothing comes any more: from here on the time may fly.
    tokio::time::pause();
    tokio::time::advance(Limits::default().answer * 2).await;
    assert!(futures_util::poll!(got.body.next()).is_pending(), "our own waiting is no stall");
    let error = got.body.next().await.unwrap().err().unwrap();
    assert_eq!(
        (error.kind, error.to_string().as_str()),
        (Kind::Offline, "download: nothing moved for 60 seconds")
    );
    let error = silent.await.err().unwrap();
    assert_eq!((error.kind, error.sent), (Kind::Offline, true));
}

#[tokio::test]
async fn a_file_that_comes_by_a_byte_now_and_then_is_given_up() {
    let dripping = Server::replying(|_| {
        let drip = Then::Drip(Duration::from_millis(20));
        Reply::raw(200, &[("Content-Length", "1000000")], "abc").then(drip)
    })
    .await;
    let limits = Limits { answer: Duration::from_secs(2), ..Limits::default() };
    let http = Http::new(Options { limits, ..options(Some(dripping.url.as_str())) }).unwrap();
    let (text, error) = drain(file(&http, 0).await).await;
    let error = error.unwrap();
    assert!(text.starts_with("abcxx") && text.len() < LEAST, "{}", text.len());
    assert_eq!(
        (error.kind, error.to_string().as_str()),
        (Kind::Offline, "download: almost nothing came for 2 seconds")
    );
}

#[test]
fn only_the_time_spent_waiting_for_the_network_counts_and_each_window_anew() {
    let mut drip = Drip { window: Duration::from_secs(60), waited: Duration::ZERO, came: 0 };
    for (secs, came, is_more) in
        [(59, 1, true), (2, LEAST, true), (30, LEAST, true), (31, 0, true), (61, LEAST - 1, false)]
    {
        assert_eq!(drip.is_more(Duration::from_secs(secs), came), is_more, "{secs} {came}");
    }
}

#[tokio::test]
async fn what_is_no_file_comes_back_as_it_is_and_not_too_much_of_it() {
    let server = Server::replying(|seen| match seen.call() {
        "GET /file/x" => moved(302, "/cdn"),
        _ => Reply::of(403, &[], r#"{"error_code":31360,"error_msg":"expired SECRET"}"#),
    })
    .await;
    let refused = fetch(&client(&server), 0).await.unwrap();
    let Fetched::Refused { answer, redirected } = refused else { panic!("a file") };
    assert_eq!((answer.status, redirected), (403, true));
    assert!(answer.body.starts_with(b"{\"error_code\":31360"));
    assert_eq!(answer.clean("SECRET"), "…");

    for reply in [
        Reply::of(503, &[], &"x".repeat(REFUSAL + 1)),
        Reply::raw(503, &[("Content-Length", "9")], "abc").then(Then::Close),
    ] {
        let server = Server::replying(move |_| reply.clone()).await;
        let Fetched::Refused { answer, redirected } = fetch(&client(&server), 0).await.unwrap() else {
            panic!("a file")
        };
        assert_eq!((answer.status, redirected, answer.body.len()), (503, false, 0));
    }
    let nowhere = Server::replying(|_| Reply::of(302, &[], "")).await;
    assert!(matches!(fetch(&client(&nowhere), 0).await.unwrap(), Fetched::Refused { .. }));
}

#[test]
fn percent_signs_are_decoded_and_nothing_else() {
    for (text, decoded) in [("a%3D", "a="), ("a+b=c&d", "a+b=c&d"), ("", ""), ("100%", "100%")] {
        assert_eq!(decode(text), decoded);
    }
}

#[tokio::test]
async fn what_has_nothing_secret_may_come_from_any_host_over_https_and_from_this_machine_if_that_is_the_endpoint()
 {
    for (endpoint, address, fits) in [
        (None, "https://vip.example/1.jpg", true),
        (None, "https://d.pcs.baidu.com/1.jpg", true),
        (None, "http://vip.example/1.jpg", false),
        (None, "http://127.0.0.1:1/1.jpg", false),
        (None, "https://user:word@vip.example/1.jpg", false),
        (None, "file:///etc/passwd", false),
        (Some("http://127.0.0.1:8765"), "http://127.0.0.1:1/1.jpg", true),
        (Some("http://127.0.0.1:8765"), "http://vip.example/1.jpg", false),
        (Some("https://gateway.example"), "http://127.0.0.1:1/1.jpg", false),
    ] {
        let http = Http::new(options(endpoint)).unwrap();
        assert_eq!(http.bare("download", address).is_ok(), fits, "{endpoint:?} {address}");
    }
    let file = Server::start(|_| (200, "abc".into())).await;
    let onward = file.url.to_string();
    let server = Server::replying(move |seen| match seen.call() {
        "GET /there" => moved(302, &onward),
        _ => moved(302, "http://vip.example/x"),
    })
    .await;
    let http = client(&server);
    let fetched = async |path| {
        let url = http.bare("download", server.url.join(path).unwrap().as_str()).unwrap();
        http.fetch_bare("download", url, 0, 3).await
    };
    let Fetched::File(file) = fetched("there").await.unwrap() else { panic!() };
    assert_eq!(drain(file).await.0, "abc");
    let error = fetched("elsewhere").await.map(|_| ()).unwrap_err();
    assert_eq!(error.message, "the cloud sends us on to vip.example, which is not https");
}
