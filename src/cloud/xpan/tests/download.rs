//! Downloads and previews: the token, refusals, and the pace that is kept once the cloud asks for it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;

use super::{ok, open};
use crate::clock::Clock;
use crate::cloud::files::{Download, Files, PreviewPart};
use crate::cloud::testing::{Reply, Server, TwoTokens};
use crate::cloud::xpan::Xpan;
use crate::cloud::{Calls, Error, GiveBack, Kind};

const DLINK: &str = "https://d.pcs.baidu.com/file/1261?fid=1&sign=a%2Bb";
/// Bytes of "abc", which most of these servers send.
const SIZE: u64 = 3;
const BUSY: Kind = Kind::Busy { after: Some(Duration::from_secs(60)) };

async fn text(download: Download) -> String {
    let pieces: Vec<_> = download.body.map(Result::unwrap).collect().await;
    String::from_utf8(pieces.concat()).unwrap()
}

async fn failure(xpan: &Xpan, from: u64) -> Error {
    xpan.download(DLINK, from, SIZE).await.err().unwrap()
}

#[tokio::test]
async fn the_token_joins_the_dlink_and_goes_no_further() {
    let cdn = Server::replying(|_| Reply::of(206, &[("Content-Range", "bytes 2-5/6")], "cdef")).await;
    let to = format!("{}cdn/x?sign=1&access_token=t1", cdn.url);
    let server = Server::replying(move |_| Reply::of(302, &[("Location", &to)], "")).await;
    let (xpan, _) = open(&server);
    let download = xpan.download(DLINK, 2, 6).await.unwrap();
    assert_eq!((download.from, download.total, download.content_md5), (2, 6, None));
    assert_eq!(text(download).await, "cdef");
    let seen = server.last();
    assert!(seen.head.starts_with("GET /file/1261?fid=1&sign=a%2Bb&access_token=t1 HTTP"), "{}", seen.head);
    assert_eq!(seen.header("user-agent"), Some("pan.baidu.com"));
    let seen = cdn.last();
    assert!(!seen.head.contains("access_token") && !seen.head.contains("t1"), "{}", seen.head);
    assert_eq!((seen.asked("sign").as_deref(), seen.header("range")), (Some("1"), Some("bytes=2-")));
}

#[tokio::test]
async fn a_dlink_that_is_not_the_clouds_gets_no_token() {
    let server = Server::replying(|_| Reply::of(200, &[], "abc")).await;
    let elsewhere = Server::replying(|_| Reply::of(200, &[], "abc")).await;
    let (xpan, _) = open(&server);
    for dlink in ["https://evil.example/file/1?a=1", "file:///etc/passwd", "", elsewhere.url.as_str()] {
        let error = xpan.download(dlink, 0, SIZE).await.err().unwrap();
        assert_eq!((error.kind, error.sent), (Kind::Broken, false), "{dlink}");
    }
    assert!(server.seen().is_empty() && elsewhere.seen().is_empty());
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_but_not_for_what_the_next_server_says() {
    let refused = r#"{"error_code":111,"error_msg":"Access token expired"}"#;
    let server = Server::replying(move |seen| match seen.asked("access_token").as_deref() {
        Some("t2") => Reply::of(200, &[], "abc"),
        _ => Reply::of(401, &[], refused),
    })
    .await;
    let (xpan, tokens) = open(&server);
    assert_eq!(text(xpan.download(DLINK, 0, SIZE).await.unwrap()).await, "abc");
    assert_eq!((server.seen().len(), tokens.renewals.load(Ordering::Relaxed)), (2, 1));

    let server = Server::replying(move |seen| match seen.call() {
        "GET /file/1261" => Reply::of(302, &[("Location", "/cdn")], ""),
        _ => Reply::of(401, &[], refused),
    })
    .await;
    let (xpan, tokens) = open(&server);
    let error = failure(&xpan, 0).await;
    assert_eq!((error.kind, tokens.renewals.load(Ordering::Relaxed)), (Kind::Expired, 0));

    let server = Server::replying(|_| Reply::of(401, &[], "")).await;
    let (xpan, tokens) = open(&server);
    assert_eq!(failure(&xpan, 0).await.kind, Kind::Unauthorized);
    assert_eq!((server.seen().len(), tokens.renewals.load(Ordering::Relaxed)), (2, 1));
}

#[tokio::test]
async fn what_comes_instead_of_a_file_has_its_meaning() {
    for (status, body, kind) in [
        (403, r#"{"error_code":31360,"error_msg":"url expired t1"}"#, Kind::Expired),
        (403, r#"{"error_code":31362,"error_msg":"sign error"}"#, Kind::Expired),
        (403, r#"{"error_code":31326,"error_msg":"anti hotlinking, hitcode:104"}"#, BUSY),
        (404, r#"{"error_code":31066,"error_msg":"file does not exist"}"#, Kind::Missing),
        (400, r#"{"error_code":31034}"#, BUSY),
        (429, "", BUSY),
        (403, "<html>", Kind::Broken),
        (404, "<html>", Kind::Broken),
        (416, "", Kind::Broken),
        (502, "<html>", Kind::Busy { after: None }),
        (302, "", Kind::Broken),
    ] {
        let server = Server::start(move |_| (status, body.to_owned())).await;
        let url = server.url.clone();
        let (xpan, _) = open(&server);
        let error = if status == 302 {
            // The tiny server sends everybody to the same place, for ever.
            failure(&xpan, 0).await
        } else {
            failure(&xpan, 7).await
        };
        assert_eq!(error.kind, kind, "{url} {status} {body}: {error}");
        assert!(!format!("{error} {error:?}").contains("t1"), "{error:?}");
    }
}

#[tokio::test]
async fn a_file_whose_length_is_not_told_is_as_long_as_it_was_listed() {
    let chunked = [("Transfer-Encoding", "chunked")];
    let server = Server::replying(move |_| Reply::raw(200, &chunked, "3\r\nabc\r\n0\r\n\r\n")).await;
    let (xpan, _) = open(&server);
    for size in [3, 4] {
        let download = xpan.download(DLINK, 0, size).await.unwrap();
        assert_eq!((download.from, download.total), (0, size), "whoever fetches sees what is missing");
        assert_eq!(text(download).await, "abc");
    }
}

#[tokio::test]
async fn a_refusal_with_http_200_is_no_file_and_a_file_that_looks_like_one_is() {
    let refusal = r#"{"errno":31360,"errmsg":"url expired"}"#;
    let length = refusal.len() as u64;
    let server = Server::replying(move |_| Reply::of(200, &[], refusal)).await;
    let (xpan, _) = open(&server);
    let error = xpan.download(DLINK, 0, 1 << 30).await.err().unwrap();
    assert_eq!(
        (error.kind, error.to_string().as_str()),
        (Kind::Expired, "download: the download address has expired (errno 31360)")
    );
    assert_eq!(failure(&xpan, 7).await.kind, Kind::Expired);
    // Somebody keeps such texts as files.
    assert_eq!(text(xpan.download(DLINK, 0, length).await.unwrap()).await, refusal);
    // A token is renewed as at any other call.
    let server = Server::replying(move |seen| match seen.asked("access_token").as_deref() {
        Some("t2") => Reply::of(200, &[], "abc"),
        _ => Reply::raw(200, &[("Transfer-Encoding", "chunked")], "c\r\n{\"errno\":-6}\r\n0\r\n\r\n"),
    })
    .await;
    let (xpan, tokens) = open(&server);
    assert_eq!(text(xpan.download(DLINK, 0, SIZE).await.unwrap()).await, "abc");
    assert_eq!(tokens.renewals.load(Ordering::Relaxed), 1);
    // What has changed since is still a file, whatever its length.
    for other in ["{\"errno\":0}", "another text", ""] {
        let server = Server::replying(move |_| Reply::of(200, &[], other)).await;
        let download = open(&server).0.download(DLINK, 0, SIZE).await.unwrap();
        assert_eq!((download.total, text(download).await.as_str()), (other.len() as u64, other));
    }
    let long = "x".repeat(200_000);
    let told = long.clone();
    let server = Server::replying(move |_| Reply::of(200, &[], &told)).await;
    assert_eq!(text(open(&server).0.download(DLINK, 0, SIZE).await.unwrap()).await, long);
}

#[tokio::test]
async fn downloads_keep_the_documents_pace_only_after_the_cloud_has_refused_one() {
    let server = Server::replying(|seen| match seen.header("range") {
        Some(_) => Reply::of(403, &[], r#"{"error_code":31326,"error_msg":"hitcode:119"}"#),
        None => Reply::of(200, &[], "abc"),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("home.calls");
    let clock = Clock::from_fn(|| 1_795_000_000_000_000_000);
    let calls = Calls::of(file.clone(), clock);
    let xpan = Xpan::open(&server.account(), Arc::new(TwoTokens::default()), calls).unwrap();
    for _ in 0..25 {
        assert_eq!(text(xpan.download(DLINK, 0, SIZE).await.unwrap()).await, "abc");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "");
    assert_eq!(failure(&xpan, 1).await.kind, BUSY);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "download-refused 1795000000000\n");
    for _ in 0..20 {
        xpan.download(DLINK, 0, SIZE).await.unwrap();
    }
    let waiting = tokio::time::timeout(Duration::from_millis(200), xpan.download(DLINK, 0, SIZE)).await;
    assert!(waiting.is_err(), "the twenty-first waits for the next minute");
    assert_eq!(server.seen().len(), 25 + 1 + 20);
}

#[tokio::test]
async fn a_preview_is_fetched_part_by_part_without_a_token() {
    let server = Server::replying(|seen| match seen.asked("method").as_deref() {
        Some("newinfo") => Reply::of(
            200,
            &[],
            r#"{"page_num":2,"status":"HITNDB","ndb_key":"n-lodocview-part-0","region":"Yangquan",
            "request_id":4926928230157132105}"#,
        ),
        _ => Reply::raw(200, &[("Transfer-Encoding", "chunked")], "4\r\n%PDF\r\n0\r\n\r\n"),
    })
    .await;
    let (xpan, tokens) = open(&server);
    let address = "http://pcsdata.baidu.com/doc/d8?fid=2&sign=a%2B&type=pdf&from=lo";
    let part = xpan.newinfo(address, 0).await.unwrap();
    let expected =
        PreviewPart { page_num: 2, ndb_key: "n-lodocview-part-0".into(), region: "Yangquan".into() };
    assert_eq!(part, expected);
    let line = "GET /doc/d8?fid=2&sign=a%2B&type=pdf&from=lo&part_index=0&method=newinfo HTTP/1.1";
    assert_eq!(server.last().head.lines().next(), Some(line));
    let download = xpan.newview(address, &part).await.unwrap();
    assert_eq!(download.total, 0, "it is not told");
    assert_eq!(text(download).await, "%PDF");
    let line = "GET /doc/d8?fid=2&sign=a%2B&type=pdf&from=lo&ndb_key=n-lodocview-part-0&region=yangquan&method=newview \
                HTTP/1.1";
    assert_eq!(server.last().head.lines().next(), Some(line));
    assert!(server.seen().iter().all(|seen| seen.asked("access_token").is_none()));
    assert_eq!(tokens.renewals.load(Ordering::Relaxed), 0);

    assert_eq!(xpan.newinfo("https://evil.example/doc/d8", 0).await.unwrap_err().kind, Kind::Broken);
    for (status, body, kind) in [
        (403, r#"{"error_code":31360}"#, Kind::Expired),
        (401, r#"{"error_code":110}"#, Kind::Expired),
        (200, r#"{"page_num":2}"#, Kind::Broken),
    ] {
        let server = Server::start(move |_| (status, body.to_owned())).await;
        assert_eq!(open(&server).0.newinfo(address, 0).await.unwrap_err().kind, kind);
    }
    let server = Server::start(|_| ok("{}")).await;
    assert_eq!(text(open(&server).0.newview(address, &part).await.unwrap()).await, "{}");
}
