//! Faults hit the calls of this cloud like those of the other.

use cloudsim::{Fault, FaultKind, Options, md5_hex};
use serde_json::json;

use crate::client::{Host, refusal, text};
use crate::common::bytes;

const LIST: &str = "POST /api/v1/oss/file/list";

#[tokio::test]
async fn codes_come_in_the_envelope_with_their_words_or_others() {
    let host = Host::new(Options::default()).await;
    let list = async || host.list(json!({"limit": 1, "type": 1})).await;
    for (kind, code, message) in [
        ("code:401", 401, "access_token无效"),
        ("code:429", 429, "请求太频繁"),
        ("code:20103", 20103, "文件正在校验中,请间隔1秒后再试"),
        ("code:5113", 5113, "流量超出限制"),
        ("code:987654", 987_654, "请求失败"),
    ] {
        let (status, answer) = host.control("fault", json!({"endpoint": LIST, "kind": kind})).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(refusal(&list().await), (code, message.into()));
        assert_eq!(host.sim.calls().pop().unwrap().errno, code);
    }
    host.sim.fault(Fault::once(LIST, FaultKind::Code(1)).saying("系统繁忙")).unwrap();
    assert_eq!(refusal(&list().await), (1, "系统繁忙".into()));
    assert_eq!(list().await["code"], 0);
}

#[tokio::test]
async fn other_answers_come_as_of_the_other_cloud() {
    let host = Host::new(Options::default()).await;
    let id = host.upload("", "a.png", b"picture").await;
    let ask = async |kind: &str| {
        let (status, answer) = host.control("fault", json!({"endpoint": LIST, "kind": kind})).await;
        assert_eq!(status, 200, "{answer}");
        let body = json!({"limit": 1, "type": 1}).to_string();
        host.request("POST", "/api/v1/oss/file/list").body(body).send().await
    };
    for (kind, status, has) in [
        ("status:503", 503, "out of order"),
        ("html:504", 504, "nginx"),
        ("empty_500", 500, ""),
        ("json_as_html", 200, "\"code\":0"),
        ("huge:64KiB", 200, "\"code\":0"),
        ("headers:10", 200, "\"code\":0"),
        ("late:1ms", 200, "\"code\":0"),
        ("body:{\"code\":", 200, "{\"code\":"),
        ("answer:{\"code\":\"0\"}", 200, "\"0\""),
        ("edit:{\"data\":{\"fileList\":{\"etag\":null}}}", 200, "\"code\":0"),
    ] {
        let answer = ask(kind).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{kind}");
        let text = answer.text().await.unwrap();
        assert!(text.contains(has), "{kind}: {text}");
        assert_eq!(
            text.contains(&md5_hex(b"picture")),
            has.contains("code\":0") && !kind.starts_with("edit"),
            "{kind}"
        );
    }
    assert!(ask("cut_answer").await.unwrap().text().await.is_err());
    for kind in ["drop_before", "drop_after"] {
        assert!(ask(kind).await.is_err(), "{kind}");
    }
    let text = ask("wrong_md5").await.unwrap().text().await.unwrap();
    assert!(!text.contains(&md5_hex(b"picture")) && text.contains(&id));
}

#[tokio::test]
async fn work_is_done_or_not_as_the_fault_says() {
    let host = Host::new(Options::default()).await;
    for (kind, made) in
        [(FaultKind::DropBefore, false), (FaultKind::DropAfter, true), (FaultKind::CutAnswer, true)]
    {
        let name = kind.to_string();
        host.sim.fault(Fault::once("mkdir", kind)).unwrap();
        let body = json!({"name": name, "parentID": "", "type": 1}).to_string();
        let answer = host.request("POST", "/upload/v1/oss/file/mkdir").body(body).send().await;
        assert!(answer.is_err() || answer.unwrap().text().await.is_err(), "{name}");
        assert_eq!(host.sim.pan123().id("demo", &format!("/{name}")).is_some(), made, "{name}");
    }
}

#[tokio::test]
async fn a_slice_can_be_lost_dropped_or_damaged_on_its_way() {
    let host = Host::new(Options::default()).await;
    host.sim.pan123().set_slice_size(1000);
    let content = bytes(2500, 1);
    let id = text(&host.create("", "a.png", &content).await["data"]["preuploadID"]);
    let put = async |number: u64| {
        let url = text(&host.upload_url(&id, number).await["data"]["presignedURL"]);
        let slice = content.chunks(1000).nth(number as usize - 1).unwrap().to_vec();
        host.http.put(url).body(slice).send().await.map(|answer| answer.status().as_u16())
    };
    host.sim.fault(Fault::once("PUT .*partNumber=2", FaultKind::LostSlices)).unwrap();
    for number in 1..=3 {
        assert_eq!(put(number).await.unwrap(), 200);
    }
    assert!(refusal(&host.complete(&id).await).1.contains("[2]"));
    for (kind, kept) in [
        (FaultKind::DropBefore, false),
        (FaultKind::Status(503), false),
        (FaultKind::Html(502), false),
        (FaultKind::DropAfter, true),
        (FaultKind::CutAnswer, true),
    ] {
        host.sim.forget_uploads();
        let id = text(&host.create("", "b.png", b"abc").await["data"]["preuploadID"]);
        let url = text(&host.upload_url(&id, 1).await["data"]["presignedURL"]);
        host.sim.fault(Fault::once("PUT ", kind.clone())).unwrap();
        let answer = host.http.put(url).body("abc").send().await;
        assert!(!answer.is_ok_and(|answer| answer.status() == 200), "{kind}");
        assert_eq!(host.complete(&id).await["code"] == 0, kept, "{kind}");
        host.sim.pan123().remove("demo", "/b.png").unwrap();
    }
    let id = text(&host.create("", "c.png", b"abc").await["data"]["preuploadID"]);
    let url = text(&host.upload_url(&id, 1).await["data"]["presignedURL"]);
    host.sim.fault(Fault::once("PUT ", FaultKind::Flip(1))).unwrap();
    assert_eq!(host.put(&url, b"abc").await.0, 200);
    assert_eq!(refusal(&host.complete(&id).await).1, "文件上传失败");
}

#[tokio::test]
async fn the_bytes_of_a_direct_link_are_damaged_like_a_download() {
    let host = Host::new(Options::default()).await;
    let id = host.upload("", "a.png", b"0123456789").await;
    let url = text(&host.detail(&id).await["data"]["downloadURL"]);
    let get = async |kind: FaultKind| {
        host.sim.fault(Fault::once("GET /18", kind)).unwrap();
        let answer = host.http.get(&url).header("Range", "bytes=0-4").send().await.unwrap();
        (answer.status().as_u16(), answer.bytes().await.ok().map(|bytes| bytes.to_vec()))
    };
    assert_eq!(get(FaultKind::CutBody(2)).await, (206, None));
    assert_eq!(get(FaultKind::Shorter(1)).await, (206, Some(b"0123".to_vec())));
    assert_eq!(get(FaultKind::NoRange).await, (200, Some(b"0123456789".to_vec())));
    assert_eq!(get(FaultKind::Flip(0)).await.1.unwrap()[0], b'0' ^ 0xff);
    assert_eq!(get(FaultKind::Status(404)).await.0, 404);
}
