//! Every way a call can be made to fail, and the limits that are not made but documented.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

mod common;
use std::time::{Duration, Instant};

use cloudsim::{Fault, FaultKind, Options, md5_hex};
use common::*;
use serde_json::json;

const PATH: &str = "/apps/xpand/a.jpg";

#[tokio::test]
async fn drop_before_leaves_nothing_done_and_drop_after_everything() {
    let rig = Rig::new(Options::default()).await;
    let uploadid = rig.send(PATH, b"abc", "1").await;
    let list = json!(blocks(b"abc")).to_string();
    let form = [
        ("path", PATH),
        ("size", "3"),
        ("isdir", "0"),
        ("uploadid", uploadid.as_str()),
        ("block_list", list.as_str()),
    ];
    let url = rig.url("/rest/2.0/xpan/file?method=create");
    for (kind, stored) in [(FaultKind::DropBefore, 0), (FaultKind::DropAfter, 1)] {
        rig.sim.fault(Fault::once("POST .*method=create", kind)).unwrap();
        assert!(rig.http.post(&url).form(&form).send().await.is_err());
        assert_eq!(rig.sim.files().len(), stored);
    }
    let calls = rig.sim.calls();
    let last = calls.last().unwrap();
    assert_eq!((last.status, last.fault.as_deref()), (0, Some("drop_after")));
}

#[tokio::test]
async fn slices_that_are_dropped_on_the_way_do_not_count() {
    let rig = Rig::new(Options::default()).await;
    let content = bytes(6 * MIB, 1);
    let answer = rig.precreate(PATH, content.len(), &blocks(&content), &[]).await;
    let uploadid = answer["uploadid"].as_str().unwrap().to_owned();
    rig.sim.fault(Fault::once("superfile2.*partseq=1", FaultKind::LostSlices)).unwrap();
    for partseq in 0..2 {
        let (status, answer) = rig.slice(PATH, &uploadid, partseq, part(&content, partseq)).await;
        assert_eq!((status, &answer["md5"]), (200, &json!(md5_hex(part(&content, partseq)))));
    }
    let answer = rig.create(PATH, content.len(), &uploadid, &blocks(&content), &[]).await;
    assert_eq!(answer["errno"], 31363);
    let again = rig.precreate(PATH, content.len(), &blocks(&content), &[("uploadid", &uploadid)]).await;
    assert_eq!(again["block_list"], json!([1]));
}

#[tokio::test]
async fn a_wrong_md5_is_told_of_a_right_slice() {
    let rig = Rig::new(Options::default()).await;
    let answer = rig.precreate(PATH, 3, &blocks(b"abc"), &[]).await;
    let uploadid = answer["uploadid"].as_str().unwrap().to_owned();
    rig.sim.fault(Fault::once("superfile2", FaultKind::WrongMd5)).unwrap();
    let (_, answer) = rig.slice(PATH, &uploadid, 0, b"abc").await;
    assert_ne!(answer["md5"], json!(md5_hex(b"abc")));
    assert_eq!(answer["md5"].as_str().unwrap().len(), 32);
    assert_eq!(rig.create(PATH, 3, &uploadid, &blocks(b"abc"), &[]).await["errno"], 0);
}

#[tokio::test]
async fn pages_and_odd_answers_come_as_asked() {
    let rig = Rig::new(Options::default()).await;
    let quota = async |kind: &str| {
        let (status, answer) =
            rig.sim_post("fault", json!({"endpoint": "GET /api/quota", "kind": kind})).await;
        assert_eq!(status, 200, "{answer}");
        rig.http.get(rig.url("/api/quota")).send().await
    };
    for (kind, status, text) in [
        ("status:503", 503, "out of order"),
        ("html", 502, "nginx"),
        ("html:200", 200, "nginx"),
        ("empty_500", 500, ""),
        ("errno:-10", 200, "\"errno\":-10"),
        ("error_code:31363", 403, "\"error_code\":31363"),
        ("error_code:111", 401, "\"error_code\":111"),
        ("oauth:slow_down", 400, "\"error\":\"slow_down\""),
    ] {
        let answer = quota(kind).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{kind}");
        let body = answer.text().await.unwrap();
        assert!(body.contains(text) && body.is_empty() == text.is_empty(), "{kind}: {body}");
    }
    let answer = quota("json_as_html").await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/html");
    assert_eq!(read(answer).await.1["errno"], 0);
    let answer = quota("cut_answer").await.unwrap();
    assert!(answer.content_length().unwrap() > 50);
    assert!(answer.text().await.is_err());
    let answer = quota("huge:1MiB").await.unwrap();
    assert!(answer.text().await.unwrap().len() >= MIB);
    assert_eq!(rig.get("/api/quota").await["errno"], 0, "each was for one call");
    let (status, answer) = rig.sim_post("fault", json!({"endpoint": "(", "kind": "html"})).await;
    assert_eq!(status, 400, "{answer}");
}

#[tokio::test]
async fn a_fault_can_name_its_words_its_number_and_its_chance() {
    let rig = Rig::new(Options { seed: Some(7), ..Options::default() }).await;
    let fault = json!({"endpoint": "quota", "kind": "error_code:31299", "message": "Expried Time Not Match", "times": 2});
    rig.sim_post("fault", fault).await;
    for _ in 0..2 {
        let (status, answer) = rig.get_raw(&rig.url("/api/quota")).await;
        assert_eq!((status, &answer["error_msg"]), (400, &json!("Expried Time Not Match")));
    }
    assert_eq!(rig.get("/api/quota").await["errno"], 0);
    rig.sim.fault(Fault::chance("quota", FaultKind::Errno(31034), 0.5)).unwrap();
    let mut hit = 0;
    for _ in 0..100 {
        hit += i32::from(rig.get("/api/quota").await["errno"] == 31034);
    }
    assert!((20..80).contains(&hit), "{hit}");
    rig.sim.clear_faults();
    assert_eq!(rig.get("/api/quota").await["errno"], 0);
}

#[tokio::test]
async fn delays_and_bandwidth_take_their_time() {
    let rig = Rig::new(Options::default()).await;
    rig.sim.fault(Fault::once("quota", FaultKind::Delay(Duration::from_millis(80)))).unwrap();
    rig.sim.fault(Fault::once("quota", FaultKind::Errno(-6))).unwrap();
    let began = Instant::now();
    assert_eq!(rig.get("/api/quota").await["errno"], -6, "a delay goes together with another fault");
    assert!(began.elapsed() >= Duration::from_millis(80));
    rig.sim.set_bandwidth(Some(10 * MIB as u64));
    let began = Instant::now();
    rig.upload(PATH, &bytes(2 * MIB, 1), "1").await;
    assert!(began.elapsed() >= Duration::from_millis(190));
}

#[tokio::test]
async fn a_stalled_call_holds_its_connection_until_the_client_leaves() {
    let rig = Rig::new(Options::default()).await;
    rig.sim.fault(Fault::once("quota", FaultKind::Stall)).unwrap();
    let call = rig.http.get(rig.url("/api/quota")).timeout(Duration::from_millis(200)).send().await;
    assert!(call.unwrap_err().is_timeout());
    assert_eq!(rig.get("/api/quota").await["errno"], 0);
}

#[tokio::test]
async fn the_documents_limits_answer_31034_until_the_minute_is_over() {
    let rig = Rig::new(Options { limits: true, ..Options::default() }).await;
    let listall = async || rig.get("/rest/2.0/xpan/multimedia?method=listall&path=/").await["errno"].clone();
    for _ in 0..5 {
        assert_eq!(listall().await, 0);
    }
    assert_eq!(listall().await, 31034);
    assert_eq!(rig.get("/api/quota").await["errno"], 0, "every call has its own count");
    for _ in 0..30 {
        assert_eq!(rig.precreate(PATH, 3, &blocks(b"abc"), &[]).await["errno"], 0);
    }
    rig.sim.advance(Duration::from_secs(60));
    assert_eq!(listall().await, 0);
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_a_slice_leaves_no_slice() {
    use tokio::io::AsyncWriteExt;
    let rig = Rig::new(Options::default()).await;
    let answer = rig.precreate(PATH, 1000, &blocks(&[1; 1000]), &[]).await;
    let uploadid = answer["uploadid"].as_str().unwrap();
    let target = rig.url(&format!(
        "/rest/2.0/pcs/superfile2?method=upload&type=tmpfile&path={PATH}&partseq=0&uploadid={uploadid}"
    ));
    let target = target.strip_prefix(&rig.sim.url()).unwrap();
    let mut line = tokio::net::TcpStream::connect(rig.sim.addr()).await.unwrap();
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=B\r\nContent-Length: 1200\r\n\r\n\
         --B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nhalf of it"
    );
    line.write_all(head.as_bytes()).await.unwrap();
    drop(line);
    while rig.sim.count("superfile2") == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.create(PATH, 1000, uploadid, &blocks(&[1; 1000]), &[]).await["errno"], 31363);
    let left = std::fs::read_dir(rig.sim.data_dir().join(".cloudsim/tmp")).unwrap().count();
    assert_eq!(left, 0);
}
