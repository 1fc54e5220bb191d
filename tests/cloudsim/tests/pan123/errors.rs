//! Everything that is turned down, with its code where the documents or the field notes have one.

use std::time::Duration;

use cloudsim::Options;
use serde_json::{Value, json};

use crate::client::{Host, TOKEN, refusal, text};
use crate::common::read;

#[tokio::test]
async fn a_call_needs_its_headers() {
    let host = Host::new(Options::default()).await;
    let url = format!("{}/api/v1/oss/file/list", host.sim.url());
    let body = json!({"limit": 100, "type": 1}).to_string();
    let ask = async |headers: &[(&str, &str)]| {
        let request =
            headers.iter().fold(host.http.post(&url), |request, (name, value)| request.header(*name, *value));
        let (status, answer) = read(request.body(body.clone()).send().await.unwrap()).await;
        (status, answer["code"].as_i64().unwrap())
    };
    let bearer = format!("Bearer {TOKEN}");
    let (platform, json, token) = (
        ("Platform", "open_platform"),
        ("Content-Type", "application/json"),
        ("Authorization", bearer.as_str()),
    );
    assert_eq!(ask(&[platform, json, token]).await, (200, 0));
    assert_eq!(ask(&[platform, json]).await, (200, 401));
    assert_eq!(
        ask(&[platform, json, ("Authorization", TOKEN)]).await,
        (200, 401),
        "Bearer+空格+access_token"
    );
    assert_eq!(ask(&[platform, json, ("Authorization", "Bearer x")]).await, (200, 401));
    assert_eq!(ask(&[json, token]).await, (200, 1));
    assert_eq!(ask(&[json, token, ("Platform", "web")]).await, (200, 1));
    assert_eq!(ask(&[platform, token]).await, (200, 1), "application/json is fixed");
    assert_eq!(host.sim.pan123().expire(None).unwrap(), 1);
    assert_eq!(ask(&[platform, json, token]).await, (200, 401));
}

#[tokio::test]
async fn a_wrong_client_gets_no_token_and_a_fourth_one_nobody() {
    let host = Host::new(Options::default()).await;
    for (id, secret) in [("demo", "wrong"), ("wrong", "demo")] {
        let (code, message) = refusal(&host.access_token(id, secret).await);
        assert_eq!((code, message.as_str()), (1, "clientID或clientSecret错误"));
    }
    assert_eq!(refusal(&host.access_token("", "demo").await).0, 1);
    for live in 2..=3 {
        assert_eq!(host.access_token("demo", "demo").await["code"], 0);
        assert_eq!(host.sim.pan123().live_tokens("demo"), live);
    }
    let (code, message) = refusal(&host.access_token("demo", "demo").await);
    assert_eq!((code, message.as_str()), (401, "tokens number has exceeded the limit"));
    host.sim.advance(Duration::from_secs(30 * 86_400));
    assert_eq!(host.access_token("demo", "demo").await["code"], 0, "those that are over do not count");
}

#[tokio::test]
async fn the_documents_calls_a_second_answer_429() {
    let host = Host::new(Options { limits: true, ..Options::default() }).await;
    let list = async || host.list(json!({"limit": 1, "type": 1})).await["code"].as_i64().unwrap();
    let mut codes = Vec::new();
    // A slow machine may need more than a second for them: then there is nothing to see, try again.
    for _ in 0..50 {
        codes = vec![list().await, list().await, list().await, list().await, list().await];
        host.sim.advance(Duration::from_secs(1));
        if codes[4] == 429 {
            break;
        }
    }
    assert_eq!(codes, [0, 0, 0, 0, 429]);
    assert_eq!(list().await, 0);
    for _ in 0..10 {
        assert_eq!(host.detail("x").await["code"], 5066, "no number, no limit");
    }
}

#[tokio::test]
async fn mkdir_turns_down_names_that_are_there_and_folders_that_are_not() {
    let host = Host::new(Options::default()).await;
    let folder = host.folder("", "a").await;
    host.upload("", "b.png", b"picture").await;
    for name in ["a", "b.png", "", "x/y", "x?", &"啊".repeat(255)] {
        assert_eq!(refusal(&host.mkdir("", name).await).0, 1, "{name}");
    }
    assert_eq!(host.mkdir(&folder, "a").await["code"], 0, "in another folder it is free");
    assert_eq!(refusal(&host.mkdir("gone", "c").await).0, 5066);
    let mkdir = async |body: Value| refusal(&host.post("/upload/v1/oss/file/mkdir", body).await).0;
    assert_eq!(mkdir(json!({"name": ["c", "a"], "parentID": "", "type": 1})).await, 1);
    assert_eq!(mkdir(json!({"name": ["c", "c"], "parentID": "", "type": 1})).await, 1);
    assert_eq!(mkdir(json!({"name": "c", "parentID": "", "type": 2})).await, 1);
    assert_eq!(mkdir(json!({"name": "c", "type": 1})).await, 1);
    assert_eq!(mkdir(json!({"name": [], "parentID": "", "type": 1})).await, 1);
    assert_eq!(host.mkdir("", "c").await["code"], 0, "none of them was made in part");
}

#[tokio::test]
async fn create_turns_down_what_its_table_does_not_allow() {
    let host = Host::new(Options::default()).await;
    let good = json!({
        "parentFileID": "", "filename": "a.png", "etag": "e62623f4906aeba8f8d8f5de19e1e34e", "size": 7, "type": 1,
    });
    let create = async |changes: &[(&str, Value)]| {
        let mut body = good.clone();
        changes.iter().for_each(|(key, value)| body[*key] = value.clone());
        let answer = host.post("/upload/v1/oss/file/create", body).await;
        answer["code"].as_i64().unwrap()
    };
    assert_eq!(create(&[]).await, 0);
    for ending in ["png", "gif", "jpeg", "tiff", "webp", "jpg", "tif", "svg", "bmp", "JPG"] {
        assert_eq!(create(&[("filename", json!(format!("b.{ending}")))]).await, 0, "{ending}");
    }
    assert_eq!(create(&[("filename", json!(format!("{}.png", "啊".repeat(250))))]).await, 0);
    assert_eq!(create(&[("size", json!(100 << 20))]).await, 0);
    for (key, value) in [
        ("filename", json!("a.heic")),
        ("filename", json!("a.mp4")),
        ("filename", json!("png")),
        ("filename", json!("")),
        ("filename", json!("a:b.png")),
        ("filename", json!("a\\b.png")),
        ("filename", json!(format!("{}.png", "啊".repeat(251)))),
        ("filename", json!(7)),
        ("etag", json!("E62623F4906AEBA8F8D8F5DE19E1E34E")),
        ("etag", json!("e62623f4")),
        ("size", json!("7")),
        ("size", json!(0)),
        ("size", json!((100 << 20) + 1)),
        ("type", json!(0)),
        ("parentFileID", json!(0)),
    ] {
        assert_eq!(create(&[(key, value.clone())]).await, 1, "{key} {value}");
    }
    assert_eq!(create(&[("parentFileID", json!("gone"))]).await, 5066);
    host.upload("", "taken.png", b"picture").await;
    assert_eq!(create(&[("filename", json!("taken.png"))]).await, 1, "不能重名");
    let answer =
        read(host.request("POST", "/upload/v1/oss/file/create").body("[]").send().await.unwrap()).await.1;
    assert_eq!(refusal(&answer).0, 1);
}

#[tokio::test]
async fn a_long_name_is_a_file_on_the_disk_all_the_same() {
    let host = Host::new(Options::default()).await;
    let name = format!("{}.png", "啊".repeat(250));
    host.upload("", &name, b"picture").await;
    let file = host.sim.pan123().file(&format!("/{name}")).unwrap();
    assert_eq!(std::fs::read(file.disk).unwrap(), b"picture");
}

#[tokio::test]
async fn content_with_another_md5_or_size_is_no_upload() {
    let host = Host::new(Options::default()).await;
    for delay in [None, Some(Duration::from_secs(1))] {
        host.sim.pan123().set_async(delay);
        for sent in [&b"picturf"[..], b"pictur", b"picture+"] {
            let id = text(&host.create("", "a.png", b"picture").await["data"]["preuploadID"]);
            let url = text(&host.upload_url(&id, 1).await["data"]["presignedURL"]);
            assert_eq!(host.put(&url, sent).await.0, 200, "the storage does not know");
            let answer = host.complete(&id).await;
            let answer = match delay {
                None => answer,
                Some(_) => {
                    assert_eq!(answer["data"]["async"], true);
                    host.sim.advance(Duration::from_secs(1));
                    host.result(&id).await
                }
            };
            assert_eq!(refusal(&answer), (1, "文件上传失败".into()), "field notes 8.4");
            assert_eq!(refusal(&host.complete(&id).await).0, 1);
            assert_eq!(refusal(&host.upload_url(&id, 1).await).0, 1, "it is over");
        }
    }
    assert!(host.sim.files().is_empty());
}

#[tokio::test]
async fn an_upload_fails_when_its_folder_is_gone_or_its_name_taken_meanwhile() {
    let host = Host::new(Options::default()).await;
    let folder = host.folder("", "d").await;
    let id = host.send(&folder, "a.png", b"picture").await;
    host.delete(&[&folder]).await;
    assert_eq!(refusal(&host.complete(&id).await).0, 5066);
    let id = host.send("", "a.png", b"picture").await;
    host.sim.pan123().put_file("demo", "/a.png", b"other").unwrap();
    assert_eq!(refusal(&host.complete(&id).await).0, 1);
    assert_eq!(host.sim.pan123().read("/a.png").unwrap(), b"other");
}

#[tokio::test]
async fn uploads_that_nobody_knows_are_turned_down() {
    let host = Host::new(Options::default()).await;
    let id = text(&host.create("", "a.png", b"picture").await["data"]["preuploadID"]);
    for number in [0, 2] {
        assert_eq!(refusal(&host.upload_url(&id, number).await).0, 1, "分片序号，从1开始自增");
    }
    assert_eq!(refusal(&host.result(&id).await).0, 1, "it is not complete yet");
    host.sim.pan123().add_token("妈妈", "hers", None).unwrap();
    let host = Host { token: "hers".into(), ..host };
    assert_eq!(refusal(&host.upload_url(&id, 1).await).0, 1, "another account's");
    let host = Host { token: TOKEN.into(), ..host };
    host.sim.forget_uploads();
    for answer in [host.upload_url(&id, 1).await, host.complete(&id).await, host.result(&id).await] {
        assert_eq!(refusal(&answer), (1, "preuploadID不存在或已失效".into()));
    }
}

#[tokio::test]
async fn lists_details_and_deletions_turn_down_what_they_do_not_know() {
    let host = Host::new(Options::default()).await;
    let id = host.upload("", "a.png", b"picture").await;
    for body in [
        json!({"type": 1}),
        json!({"limit": 101, "type": 1}),
        json!({"limit": 0, "type": 1}),
        json!({"limit": 100}),
        json!({"limit": 100, "type": 1, "startTime": "soon"}),
    ] {
        assert_eq!(refusal(&host.list(body.clone()).await).0, 1, "{body}");
    }
    for parent in ["gone", id.as_str()] {
        let body = json!({"parentFileId": parent, "limit": 100, "type": 1});
        assert_eq!(refusal(&host.list(body).await).0, 5066, "{parent}");
    }
    assert_eq!(refusal(&host.detail("gone").await).0, 5066);
    assert_eq!(refusal(&host.detail("").await).0, 1);
    let many = vec!["x"; 101];
    assert_eq!(refusal(&host.delete(&many).await).0, 1, "参数长度最大不超过 100");
    assert_eq!(refusal(&host.delete(&[]).await).0, 1);
    assert_eq!(host.sim.files().len(), 1);
    for (method, path) in
        [("GET", "/api/v1/oss/file/list"), ("POST", "/upload/v1/oss/file/list_upload_parts")]
    {
        let answer = host.request(method, path).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 404, "{method} {path}");
    }
}

/// Numbers are numbers and texts are texts in every table.
#[tokio::test]
async fn a_field_of_another_type_or_none_at_all_is_turned_down_by_every_call() {
    let host = Host::new(Options::default()).await;
    let pre = text(&host.create("", "a.png", b"picture").await["data"]["preuploadID"]);
    for (path, body) in [
        ("/api/v1/access_token", json!({"clientID": 1, "clientSecret": "demo"})),
        ("/api/v1/access_token", json!({"clientID": "demo"})),
        ("/upload/v1/oss/file/mkdir", json!({"name": "x", "parentID": "", "type": "1"})),
        ("/upload/v1/oss/file/mkdir", json!({"name": "x", "parentID": 0, "type": 1})),
        ("/upload/v1/oss/file/mkdir", json!({"name": ["x", 1], "parentID": "", "type": 1})),
        ("/upload/v1/oss/file/get_upload_url", json!({"preuploadID": pre, "sliceNo": "1"})),
        ("/upload/v1/oss/file/get_upload_url", json!({"preuploadID": pre})),
        ("/upload/v1/oss/file/get_upload_url", json!({"sliceNo": 1})),
        ("/upload/v1/oss/file/upload_complete", json!({})),
        ("/upload/v1/oss/file/upload_complete", json!({"preuploadID": 7})),
        ("/upload/v1/oss/file/upload_async_result", json!({"preuploadID": ""})),
        ("/api/v1/oss/file/delete", json!({})),
        ("/api/v1/oss/file/delete", json!({"fileIDs": "x"})),
        ("/api/v1/oss/file/delete", json!({"fileIDs": [1]})),
        ("/api/v1/oss/file/list", json!({"limit": "100", "type": 1})),
        ("/api/v1/oss/file/list", json!({"limit": 100, "type": "1"})),
        ("/api/v1/oss/file/list", json!({"limit": 100, "type": 1, "parentFileId": 0})),
        ("/api/v1/oss/file/list", json!({"limit": 100, "type": 1, "lastFileId": 5})),
        ("/api/v1/oss/file/list", json!({"limit": 100, "type": 1, "lastFileId": "nosuch"})),
    ] {
        assert_eq!(refusal(&host.post(path, body.clone()).await).0, 1, "{path} {body}");
    }
    assert_eq!(host.upload_url(&pre, 1).await["code"], 0, "the upload is as it was");
}

#[tokio::test]
async fn accounts_do_not_see_each_other() {
    let host = Host::new(Options::default()).await;
    let folder = host.folder("", "d").await;
    let id = host.upload(&folder, "a.png", b"picture").await;
    host.sim.pan123().add_client("妈妈", "id-2", "secret-2").unwrap();
    let token = text(&host.access_token("id-2", "secret-2").await["data"]["accessToken"]);
    let host = Host { token, ..host };
    assert_eq!(host.detail(&id).await["code"], 5066);
    assert_eq!(host.delete(&[&folder]).await["code"], 5066);
    assert_eq!(host.mkdir(&folder, "x").await["code"], 5066);
    assert_eq!(host.list(json!({"limit": 100, "type": 1})).await["data"]["fileList"], json!([]));
    assert_eq!(host.mkdir("", "d").await["code"], 0, "names are free in another account");
    let call = host.sim.calls().pop().unwrap();
    assert_eq!(call.account.as_deref(), Some("妈妈"));
}
