//! The second host: presigned addresses for slices, and direct links of pictures.

use std::time::Duration;

use cloudsim::Options;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{Host, TOKEN, refusal, text};

async fn presigned(host: &Host) -> (String, String) {
    let id = text(&host.create("", "a.png", b"picture").await["data"]["preuploadID"]);
    let url = text(&host.upload_url(&id, 1).await["data"]["presignedURL"]);
    (id, url)
}

#[tokio::test]
async fn a_put_with_the_headers_of_the_api_is_refused_and_a_token_there_is_a_leak() {
    let host = Host::new(Options::default()).await;
    let (id, url) = presigned(&host).await;
    let put = || host.http.put(&url).body("picture");
    let no = put().header("Platform", "open_platform").send().await.unwrap();
    assert_eq!(
        (no.status().as_u16(), no.text().await.unwrap().contains("SignatureDoesNotMatch")),
        (403, true)
    );
    assert!(host.sim.leaks().is_empty(), "Platform is no secret");
    let no = put().bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!((no.status().as_u16(), no.text().await.unwrap().contains("InvalidArgument")), (400, true));
    let leaks = host.sim.leaks();
    assert_eq!((leaks.len(), &leaks[0].leaked), (1, &vec!["authorization".to_owned()]));
    assert_ne!(host.complete(&id).await["code"], 0, "nothing was kept");
    assert_eq!(put().send().await.unwrap().status().as_u16(), 200);
    assert_eq!(host.complete(&id).await["code"], 0);
}

#[tokio::test]
async fn an_address_is_good_for_its_time_its_slice_and_its_upload() {
    let host = Host::new(Options::default()).await;
    let (id, url) = presigned(&host).await;
    for other in [
        url.replace("partNumber=1", "partNumber=2"),
        url.replace("X-Amz-Expires=3600", "X-Amz-Expires=9999"),
        url.replace("/123-846/", "/123-847/"),
        url.split('?').next().unwrap().to_owned(),
        format!("{url}&more=1"),
    ] {
        let (status, text) = host.put(&other, b"picture").await;
        assert_eq!((status, text.contains("SignatureDoesNotMatch")), (403, true), "{other}");
    }
    assert_eq!(host.http.get(&url).send().await.unwrap().status().as_u16(), 404);
    host.sim.advance(Duration::from_secs(3600));
    let (status, body) = host.put(&url, b"picture").await;
    assert_eq!((status, body.contains("Request has expired")), (403, true));
    let url = text(&host.upload_url(&id, 1).await["data"]["presignedURL"]);
    assert_eq!(host.put(&url, b"picture").await.0, 200, "another one can be had");
    host.sim.forget_uploads();
    let (status, body) = host.put(&url, b"picture").await;
    assert_eq!((status, body.contains("NoSuchUpload")), (404, true));
    let call = host.sim.calls().pop().unwrap();
    assert_eq!((call.cloud, call.host, call.bytes_in), ("pan123", "cdn", 7));
    assert_eq!(call.query["X-Amz-Signature"], "REDACTED");
}

#[tokio::test]
async fn a_slice_has_a_length_and_keeps_to_it() {
    let host = Host::new(Options::default()).await;
    host.sim.pan123().set_slice_size(5);
    let (id, url) = presigned(&host).await;
    let (status, body) = host.put(&url, b"too long").await;
    assert_eq!((status, body.contains("EntityTooLarge")), (400, true));
    let pieces = futures_util::stream::iter(["a", "b"].map(Ok::<_, std::io::Error>));
    let chunked = host.http.put(&url).body(reqwest::Body::wrap_stream(pieces)).send().await.unwrap();
    let status = chunked.status().as_u16();
    assert_eq!((status, chunked.text().await.unwrap().contains("MissingContentLength")), (411, true));

    // The client breaks off in the middle.
    let address = url.strip_prefix("http://").unwrap();
    let (authority, path) = address.split_once('/').unwrap();
    let mut line = tokio::net::TcpStream::connect(authority).await.unwrap();
    let head = format!("PUT /{path} HTTP/1.1\r\nHost: {authority}\r\nContent-Length: 5\r\n\r\npi");
    line.write_all(head.as_bytes()).await.unwrap();
    line.shutdown().await.unwrap();
    let _ = line.read_to_end(&mut Vec::new()).await;
    // A call is in the log when all is done that it leads to.
    while host.sim.count("PUT ") < 3 {
        tokio::task::yield_now().await;
    }
    let (_, message) = refusal(&host.complete(&id).await);
    assert!(message.contains("[1, 2]"), "{message}");
    let left = std::fs::read_dir(host.sim.data_dir().join(".cloudsim/tmp")).unwrap().count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_direct_link_serves_everyone_the_bytes_and_parts_of_them() {
    let host = Host::new(Options::default()).await;
    let id = host.upload("", "a.png", b"0123456789").await;
    let url = text(&host.detail(&id).await["data"]["downloadURL"]);
    assert!(url.starts_with(&host.sim.cdn_url()), "{url}");
    let whole = host.http.get(&url).send().await.unwrap();
    assert_eq!(
        (whole.status().as_u16(), whole.headers()["content-type"].to_str().unwrap()),
        (200, "image/png")
    );
    assert_eq!(whole.bytes().await.unwrap(), "0123456789");
    let part = host.http.get(&url).header("Range", "bytes=2-4").send().await.unwrap();
    assert_eq!(part.status().as_u16(), 206);
    assert_eq!(part.headers()["content-range"], "bytes 2-4/10");
    assert_eq!(part.bytes().await.unwrap(), "234");
    let head = host.http.head(&url).send().await.unwrap();
    assert_eq!((head.status().as_u16(), head.headers()["content-length"].to_str().unwrap()), (200, "10"));
    assert_eq!(host.detail(&id).await["data"]["totalTraffic"], 13);
    let leak = host.http.get(&url).bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!((leak.status().as_u16(), host.sim.leaks().len()), (400, 1));
    for gone in
        [url.replace(".png", ".jpg"), url.replace(&id, "x"), format!("{}/a/b.png", host.sim.cdn_url())]
    {
        assert_eq!(host.http.get(&gone).send().await.unwrap().status().as_u16(), 404, "{gone}");
    }
    host.delete(&[&id]).await;
    assert_eq!(host.http.get(&url).send().await.unwrap().status().as_u16(), 404);
}

#[tokio::test]
async fn what_the_review_rejects_is_told_in_detail_and_has_no_link_any_more() {
    let host = Host::new(Options::default()).await;
    host.sim.pan123().review("^/bad", 104).unwrap();
    let bad = host.upload("", "bad.png", b"rejected when it comes").await;
    let good = host.upload("", "good.png", b"rejected later").await;
    let status = async |id: &str| {
        let answer = host.detail(id).await;
        let url = text(&answer["data"]["downloadURL"]);
        let link = host.http.get(url).send().await.unwrap().status().as_u16();
        (answer["data"]["status"].as_i64().unwrap(), link)
    };
    assert_eq!(status(&bad).await, (104, 403));
    assert_eq!(status(&good).await, (2, 200));
    let (_, answer) = host.control("review", json!({"pattern": "good", "status": 101})).await;
    assert_eq!(answer, json!({"reviewed": 1}));
    assert_eq!(status(&good).await, (101, 403));
    assert_eq!(host.sim.pan123().file("/good.png").unwrap().status, 101);
    host.sim.pan123().set_review_time(Duration::from_secs(60));
    let late = host.upload("", "bad2.png", b"rejected after a while").await;
    assert_eq!(status(&late).await, (0, 200));
    host.sim.advance(Duration::from_secs(60));
    assert_eq!(status(&late).await, (104, 403));
}
