//! Every example request of the documents, and the fields of its answer.

use std::time::Duration;

use cloudsim::{Options, md5_hex};
use serde_json::{Value, json};

use crate::client::{Host, text};
use crate::common::{assert_keys, read};

/// Fields of a file in detail and list, as the examples have them.
const FILE: [&str; 16] = [
    "fileId",
    "filename",
    "parentFileId",
    "type",
    "etag",
    "size",
    "status",
    "s3KeyFlag",
    "storageNode",
    "createAt",
    "updateAt",
    "downloadURL",
    "ossIndex",
    "totalTraffic",
    "parentFilename",
    "extension",
];

/// `data` of an answer that says yes.
fn data(answer: &Value) -> &Value {
    assert_keys(answer, &["code", "message", "data", "x-traceID"]);
    assert_eq!((&answer["code"], &answer["message"]), (&json!(0), &json!("ok")));
    let trace = answer["x-traceID"].as_str().unwrap();
    assert!(trace.len() > 40 && trace.contains("_kong-db-5898fdd8c6-"), "{trace}");
    &answer["data"]
}

fn assert_file(file: &Value) {
    let mut keys = FILE.to_vec();
    keys.push("userSelfURL");
    assert_keys(file, &keys);
    let is_stamp = |text: &str| {
        let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
        shape == "9999-99-99 99:99:99"
    };
    assert!(is_stamp(file["createAt"].as_str().unwrap()) && is_stamp(file["updateAt"].as_str().unwrap()));
}

#[tokio::test]
async fn access_token_answers_as_its_example() {
    let host = Host::new(Options::default()).await;
    let url = format!("{}/api/v1/access_token", host.sim.url());
    let answer = host
        .http
        .post(url)
        .header("Platform", "open_platform")
        .header("Content-Type", "application/json")
        .body(r#"{"clientID": "demo", "clientSecret": "demo"}"#);
    let (status, answer) = read(answer.send().await.unwrap()).await;
    assert_eq!(status, 200);
    let data = data(&answer);
    assert_keys(data, &["accessToken", "expiredAt"]);
    let expired = data["expiredAt"].as_str().unwrap();
    assert!(expired.len() == 25 && expired.ends_with("+08:00") && &expired[10..11] == "T", "{expired}");
    let host = Host { token: text(&data["accessToken"]), ..host };
    assert_eq!(host.list(json!({"limit": 100, "type": 1})).await["code"], 0, "the token is good");
}

#[tokio::test]
async fn the_upload_answers_as_its_examples_from_mkdir_to_the_result() {
    let host = Host::new(Options::default()).await;
    let answer = host.mkdir("", "测试图床目录").await;
    let made = data(&answer);
    assert_keys(made, &["list"]);
    assert_keys(&made["list"][0], &["filename", "dirID"]);
    assert_eq!(made["list"][0]["filename"], "测试图床目录");
    let folder = text(&made["list"][0]["dirID"]);
    assert_eq!(folder.len(), "yk6baz03t0l000d7w33fbyq51l4izkneDIYPAIDOBIY0DcxvDwFO".len());

    let body = json!({
        "parentFileID": folder, "filename": "测试图床.jpg", "etag": md5_hex(b"picture"), "size": 7, "type": 1,
    });
    let answer = host.post("/upload/v1/oss/file/create", body).await;
    let created = data(&answer);
    assert_keys(created, &["fileID", "reuse", "preuploadID", "sliceSize"]);
    assert_eq!((&created["fileID"], &created["reuse"]), (&json!(""), &json!(false)));
    assert_eq!(created["sliceSize"], 104_857_600);
    let preupload_id = text(&created["preuploadID"]);

    let answer = host.upload_url(&preupload_id, 1).await;
    let address = data(&answer);
    assert_keys(address, &["presignedURL", "isMultipart"]);
    assert_eq!(address["isMultipart"], false);
    let url = text(&address["presignedURL"]);
    assert!(url.starts_with(&host.sim.cdn_url()), "{url}");
    assert!(url.contains(&format!("/{}?X-Amz-Algorithm=AWS4-HMAC-SHA256&", md5_hex(b"picture"))), "{url}");
    assert_eq!(host.put(&url, b"picture").await, (200, String::new()), "无响应内容");

    host.sim.pan123().set_async(Some(Duration::from_secs(60)));
    let answer = host.complete(&preupload_id).await;
    assert_eq!(*data(&answer), json!({"async": true, "completed": false, "fileID": ""}));
    let answer = host.result(&preupload_id).await;
    assert_eq!(*data(&answer), json!({"completed": false, "fileID": ""}));
    host.sim.advance(Duration::from_secs(60));
    let answer = host.result(&preupload_id).await;
    let result = data(&answer);
    assert_keys(result, &["completed", "fileID"]);
    assert_eq!(result["completed"], true);
    assert_eq!(host.sim.pan123().id("demo", "/测试图床目录/测试图床.jpg").unwrap(), text(&result["fileID"]));
}

#[tokio::test]
async fn detail_and_list_have_every_field_of_their_examples() {
    let host = Host::new(Options::default()).await;
    let folder = host.folder("", "测试图床目录").await;
    let id = host.upload(&folder, "测试图床.JPG", b"picture").await;
    let body = json!({"fileID": id}).to_string();
    let get = host.request("GET", "/api/v1/oss/file/detail").body(body);
    let (_, by_body) = read(get.send().await.unwrap()).await;
    let answer = host.detail(&id).await;
    let file = data(&answer);
    assert_eq!(file, &by_body["data"], "in the query as its table has it, in a body as its examples have it");
    assert_file(file);
    for (key, value) in [
        ("fileId", json!(id)),
        ("filename", json!("测试图床.JPG")),
        ("parentFileId", json!(folder)),
        ("parentFilename", json!("测试图床目录")),
        ("type", json!(0)),
        ("etag", json!(md5_hex(b"picture"))),
        ("size", json!(7)),
        ("status", json!(2)),
        ("totalTraffic", json!(0)),
        ("extension", json!("jpg")),
    ] {
        assert_eq!(file[key], value, "{key}");
    }
    assert_eq!(file["downloadURL"], file["userSelfURL"]);
    assert!(text(&file["downloadURL"]).ends_with(&format!("/{id}.jpg")), "{file}");

    let answer = host.list(json!({"parentFileId": folder, "limit": 100, "type": 1})).await;
    assert_eq!(*data(&answer), json!({"lastFileId": "-1", "fileList": [file]}));
    let answer = host.list(json!({"limit": 100, "type": 1})).await;
    let shown = &data(&answer)["fileList"][0];
    assert_file(shown);
    for (key, value) in [
        ("fileId", json!(folder)),
        ("type", json!(1)),
        ("etag", json!("")),
        ("size", json!(0)),
        ("status", json!(0)),
        ("s3KeyFlag", json!("")),
        ("downloadURL", json!("")),
        ("userSelfURL", json!("")),
        ("extension", json!("")),
        ("parentFilename", json!("img_oss")),
    ] {
        assert_eq!(shown[key], value, "{key}");
    }
}

#[tokio::test]
async fn delete_answers_without_data() {
    let host = Host::new(Options::default()).await;
    let id = host.upload("", "a.png", b"picture").await;
    let answer = host.delete(&[&id]).await;
    assert!(data(&answer).is_null());
    assert!(host.sim.files().is_empty());
}

#[tokio::test]
async fn the_name_of_a_new_folder_is_a_text_or_a_list_of_them() {
    let host = Host::new(Options::default()).await;
    let body = json!({"name": ["a", "b"], "parentID": "", "type": 1});
    let answer = host.post("/upload/v1/oss/file/mkdir", body).await;
    let names: Vec<_> =
        answer["data"]["list"].as_array().unwrap().iter().map(|made| &made["filename"]).collect();
    assert_eq!(names, ["a", "b"]);
}
