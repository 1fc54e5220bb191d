//! A dlink, the CDN it leads to, and everything that can go wrong on the way.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

mod common;
use std::time::Duration;

use cloudsim::{Fault, FaultKind, Options, md5_hex};
use common::*;
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use serde_json::{Value, json};

const PATH: &str = "/apps/xpand/a.mov";
const HOUR: Duration = Duration::from_secs(3600);

/// A client that follows nothing by itself.
fn client(agent: &str) -> Client {
    Client::builder().user_agent(agent).redirect(Policy::none()).no_proxy().build().unwrap()
}

async fn dlink(rig: &Rig, path: &str) -> String {
    let fs_id = rig.sim.file(path).unwrap().fs_id;
    let answer =
        rig.get(&format!("/rest/2.0/xpan/multimedia?method=filemetas&fsids=[{fs_id}]&dlink=1")).await;
    answer["list"][0]["dlink"].as_str().unwrap().to_owned()
}

/// Where the dlink leads to.
async fn located(rig: &Rig, path: &str) -> String {
    let url = format!("{}&access_token={TOKEN}", dlink(rig, path).await);
    let response = client("pan.baidu.com").get(url).send().await.unwrap();
    assert_eq!(response.status(), 302);
    response.headers()["location"].to_str().unwrap().to_owned()
}

async fn ranged(url: &str, range: &str) -> Response {
    client("pan.baidu.com").get(url).header("Range", range).send().await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

async fn refused(client: &Client, url: &str) -> (u16, i64) {
    let (status, answer): (u16, Value) = read(client.get(url).send().await.unwrap()).await;
    (status, answer["error_code"].as_i64().unwrap())
}

async fn rig_with(content: &[u8]) -> Rig {
    let rig = Rig::new(Options::default()).await;
    rig.sim.put_file("demo", PATH, content).unwrap();
    rig
}

#[tokio::test]
async fn a_dlink_leads_to_another_origin_that_has_the_bytes() {
    let content = bytes(300_000, 1);
    let rig = rig_with(&content).await;
    let url = located(&rig, PATH).await;
    assert!(url.starts_with(&rig.sim.cdn_url()), "{url}");
    assert_ne!(rig.sim.cdn_url(), rig.sim.url());
    assert!(!url.contains(TOKEN));
    let response = client("pan.baidu.com").get(&url).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "content-length"), "300000");
    assert_eq!(header(&response, "etag"), md5_hex(&content));
    assert_eq!(header(&response, "content-md5"), md5_hex(&content));
    assert_eq!(response.bytes().await.unwrap(), content);
    let response = ranged(&url, "bytes=299990-").await;
    assert_eq!(response.status(), 206);
    assert_eq!(header(&response, "content-range"), "bytes 299990-299999/300000");
    assert_eq!(header(&response, "etag"), md5_hex(&content), "of the whole content");
    assert_eq!(response.bytes().await.unwrap(), content[299_990..]);
    let head = client("pan.baidu.com").head(&url).send().await.unwrap();
    assert_eq!((head.status().as_u16(), header(&head, "content-length")), (200, "300000"));
    assert_eq!(head.bytes().await.unwrap().len(), 0);
    assert_eq!(ranged(&url, "bytes=100-199").await.bytes().await.unwrap(), content[100..200]);
    let response = ranged(&url, "bytes=300000-").await;
    assert_eq!(response.status(), 416);
    assert_eq!(header(&response, "content-range"), "bytes */300000");
    let calls = rig.sim.calls();
    let last = calls.iter().rfind(|call| call.status == 206).unwrap();
    assert_eq!((last.host, last.range.as_deref(), last.bytes_out), ("cdn", Some("bytes=100-199"), 100));
    assert_eq!(last.query["sign"], "REDACTED");
    assert!(rig.sim.leaks().is_empty());
}

#[tokio::test]
async fn a_dlink_wants_its_token_its_agent_its_sign_and_its_time() {
    let rig = rig_with(b"content").await;
    let link = dlink(&rig, PATH).await;
    let plain = client("pan.baidu.com");
    assert_eq!(refused(&plain, &link).await, (403, 31362));
    assert_eq!(refused(&plain, &format!("{link}&access_token=wrong")).await, (403, 31045));
    let good = format!("{link}&access_token={TOKEN}");
    assert_eq!(refused(&client("curl/8.0"), &good).await, (403, 31326));
    let forged = good.replace("sign=FDtAERV-", "sign=FDtAERV-0");
    assert_eq!(refused(&plain, &forged).await, (403, 31362));
    assert_eq!(plain.get(&good).send().await.unwrap().status(), 302);
    rig.sim.add_token("other", "other-token", None, None).unwrap();
    assert_eq!(refused(&plain, &format!("{link}&access_token=other-token")).await, (403, 31045));
    rig.sim.advance(HOUR * 8 + Duration::from_secs(2));
    assert_eq!(refused(&plain, &good).await, (403, 31360));
    let link = dlink(&rig, PATH).await;
    rig.sim.remove("demo", PATH).unwrap();
    assert_eq!(refused(&plain, &format!("{link}&access_token={TOKEN}")).await, (404, 31066));
}

#[tokio::test]
async fn the_address_at_the_cdn_is_signed_and_ends_sooner() {
    let rig = rig_with(b"content").await;
    let url = located(&rig, PATH).await;
    let plain = client("pan.baidu.com");
    assert_eq!(refused(&client("curl/8.0"), &url).await, (403, 31326));
    assert_eq!(refused(&plain, &url.replace("sign=", "sign=0")).await, (403, 31362));
    assert_eq!(plain.get(url.replace("/cdn/file/", "/api/quota/")).send().await.unwrap().status(), 404);
    let control = plain.get(format!("{}/_sim/files", rig.sim.cdn_url())).send().await.unwrap();
    assert_eq!(control.status(), 404);
    rig.sim.advance(HOUR + Duration::from_secs(2));
    assert_eq!(refused(&plain, &url).await, (403, 31360));
}

#[tokio::test]
async fn whatever_tells_who_the_user_is_must_not_reach_the_cdn() {
    let rig = rig_with(b"content").await;
    let url = located(&rig, PATH).await;
    let plain = client("pan.baidu.com");
    let with_token = plain.get(format!("{url}&access_token={TOKEN}"));
    let with_auth = plain.get(&url).header("Authorization", "Bearer x");
    let with_cookie = plain.get(&url).header("Cookie", "a=b");
    for request in [with_token, with_auth, with_cookie] {
        assert_eq!(request.send().await.unwrap().status(), 400);
    }
    let leaked: Vec<String> = rig.sim.leaks().into_iter().flat_map(|call| call.leaked).collect();
    assert_eq!(leaked, ["access_token", "authorization", "cookie"]);
}

#[tokio::test]
async fn downloads_break_stall_and_lie_as_faults_say() {
    let content = bytes(200_000, 2);
    let rig = rig_with(&content).await;
    let url = located(&rig, PATH).await;
    let fetch = async |kind: FaultKind| {
        let stalls = matches!(kind, FaultKind::StallBody(_));
        rig.sim.fault(Fault::once("GET /cdn/file/", kind)).unwrap();
        let mut response = ranged(&url, "bytes=100-").await;
        let mut got = Vec::new();
        loop {
            // Only what is to stall is given up soon, and only when there is nothing left to come.
            let patience = if stalls && got.len() >= 1000 { 1 } else { 120 };
            match tokio::time::timeout(Duration::from_secs(patience), response.chunk()).await {
                Ok(Ok(Some(chunk))) => got.extend_from_slice(&chunk),
                Ok(Ok(None)) => return (got, "whole"),
                Ok(Err(_)) => return (got, "broken"),
                Err(_) => return (got, "stalled"),
            }
        }
    };
    let (got, end) = fetch(FaultKind::CutBody(1000)).await;
    assert_eq!((got.as_slice(), end), (&content[100..1100], "broken"));
    let (got, end) = fetch(FaultKind::CutAnswer).await;
    assert_eq!(end, "broken");
    assert!(got.len() <= 99_950 && content[100..].starts_with(&got));
    let (got, end) = fetch(FaultKind::StallBody(1000)).await;
    assert_eq!((got.as_slice(), end), (&content[100..1100], "stalled"));
    let (got, end) = fetch(FaultKind::Shorter(1)).await;
    assert_eq!((got.as_slice(), end), (&content[100..199_999], "whole"));
    let (got, end) = fetch(FaultKind::Flip(150_000)).await;
    let differs: Vec<usize> = (0..got.len()).filter(|n| got[*n] != content[100 + n]).collect();
    assert_eq!((differs, end), (vec![150_000], "whole"));
    let (got, _) = fetch(FaultKind::NoRange).await;
    assert_eq!(got, content, "all of it, with 200");
    rig.sim.fault(Fault::once("GET /cdn/file/", FaultKind::WrongMd5)).unwrap();
    assert_ne!(header(&ranged(&url, "bytes=0-").await, "etag"), md5_hex(&content));
    rig.sim.fault(Fault::once("GET /cdn/file/", FaultKind::Status(503))).unwrap();
    assert_eq!(ranged(&url, "bytes=0-").await.status(), 503);
    assert_eq!(ranged(&url, "bytes=0-").await.bytes().await.unwrap(), content, "and then it is well again");
}

#[tokio::test]
async fn downloads_keep_to_the_limits_and_to_the_bandwidth() {
    let rig = Rig::new(Options { limits: true, ..Options::default() }).await;
    rig.sim.put_file("demo", PATH, &bytes(100_000, 3)).unwrap();
    let link = format!("{}&access_token={TOKEN}", dlink(&rig, PATH).await);
    let plain = client("pan.baidu.com");
    let mut last = String::new();
    for _ in 0..20 {
        let response = plain.get(&link).send().await.unwrap();
        last = header(&response, "location").to_owned();
    }
    assert_eq!(refused(&plain, &link).await, (400, 31034));
    rig.sim.set_bandwidth(Some(200_000));
    let began = std::time::Instant::now();
    assert_eq!(plain.get(&last).send().await.unwrap().bytes().await.unwrap().len(), 100_000);
    assert!(began.elapsed() > Duration::from_millis(300), "100 kB at 200 kB a second");
}

#[tokio::test]
async fn a_document_is_shown_part_by_part() {
    let rig = Rig::new(Options::default()).await;
    for (name, size) in [("a.docx", 100_000), ("b.txt", 10)] {
        rig.sim.put_file("demo", &format!("/文档/{name}"), &bytes(size, 4)).unwrap();
    }
    let answer = rig.get("/rest/2.0/xpan/file?method=doclist&parent_path=/文档&web=1").await;
    let address = |name: &str| {
        let info = answer["info"].as_array().unwrap();
        let item = info.iter().find(|item| item["server_filename"] == name).unwrap();
        let (lo, plain) = (item["lodocpreview"].as_str().unwrap(), item["docpreview"].as_str().unwrap());
        assert_eq!(lo, format!("{plain}&type=pdf&from=lo"));
        lo.to_owned()
    };
    let lo = address("a.docx");
    let (_, info) = rig.get_raw(&format!("{lo}&part_index=1&method=newinfo")).await;
    assert_keys(&info, &["page_num", "status", "ndb_key", "region", "request_id"]);
    assert_eq!((&info["page_num"], &info["status"]), (&json!(2), &json!("HITNDB")));
    let (key, region) = (info["ndb_key"].as_str().unwrap(), info["region"].as_str().unwrap());
    let view = format!("{lo}&ndb_key={key}&region={region}&method=newview");
    let pdf = rig.http.get(&view).send().await.unwrap();
    assert_eq!(header(&pdf, "content-type"), "application/pdf");
    let pdf = pdf.text().await.unwrap();
    assert!(pdf.starts_with("%PDF-") && pdf.contains("part 2 of 2"));
    let code = async |url: String| rig.get_raw(&url).await.1["error_code"].as_i64().unwrap();
    assert_eq!(code(format!("{lo}&part_index=2&method=newinfo")).await, 31023);
    assert_eq!(code(format!("{lo}0&part_index=0&method=newinfo")).await, 31023, "from=lo is needed");
    assert_eq!(code(view.replace("part-1", "part-7")).await, 31066);
    assert_eq!(code(view.replace("sign=", "sign=0")).await, 31362);
    assert_eq!(code(format!("{}&part_index=0&method=newinfo", address("b.txt"))).await, 31390);
    rig.sim.advance(HOUR * 8 + Duration::from_secs(2));
    assert_eq!(code(format!("{lo}&part_index=0&method=newinfo")).await, 31360);
}
