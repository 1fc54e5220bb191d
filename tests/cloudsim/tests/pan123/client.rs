//! A small client of the image host: one method a call.

use cloudsim::{CloudSim, Options, md5_hex};
use serde_json::{Value, json};

use crate::common::read;

pub const TOKEN: &str = "eyJ.demo.token";

/// A running cloud with one valid token, and a client.
pub struct Host {
    pub sim: CloudSim,
    pub http: reqwest::Client,
    pub token: String,
}

impl Host {
    pub async fn new(options: Options) -> Host {
        let sim = CloudSim::start(options).await.unwrap();
        sim.pan123().add_token("demo", TOKEN, None).unwrap();
        Host::of(sim)
    }

    pub fn of(sim: CloudSim) -> Host {
        Host { sim, http: reqwest::Client::builder().no_proxy().build().unwrap(), token: TOKEN.into() }
    }

    /// A request with every header that the documents ask for.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        self.http
            .request(method, format!("{}{path}", self.sim.url()))
            .header("Content-Type", "application/json")
            .header("Platform", "open_platform")
            .bearer_auth(&self.token)
    }

    /// The whole envelope; HTTP is always 200.
    pub async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) =
            read(self.request("POST", path).body(body.to_string()).send().await.unwrap()).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    pub async fn access_token(&self, id: &str, secret: &str) -> Value {
        self.post("/api/v1/access_token", json!({"clientID": id, "clientSecret": secret})).await
    }

    pub async fn mkdir(&self, parent: &str, name: &str) -> Value {
        let body = json!({"name": name, "parentID": parent, "type": 1});
        self.post("/upload/v1/oss/file/mkdir", body).await
    }

    /// The id of a new folder.
    pub async fn folder(&self, parent: &str, name: &str) -> String {
        let answer = self.mkdir(parent, name).await;
        text(&answer["data"]["list"][0]["dirID"])
    }

    pub async fn create(&self, parent: &str, name: &str, content: &[u8]) -> Value {
        let body = json!({
            "parentFileID": parent, "filename": name, "etag": md5_hex(content), "size": content.len(), "type": 1,
        });
        self.post("/upload/v1/oss/file/create", body).await
    }

    pub async fn upload_url(&self, preupload_id: &str, number: u64) -> Value {
        let body = json!({"preuploadID": preupload_id, "sliceNo": number});
        self.post("/upload/v1/oss/file/get_upload_url", body).await
    }

    /// PUT of a slice, as the documents show it: status and text.
    pub async fn put(&self, url: &str, bytes: &[u8]) -> (u16, String) {
        let put = self.http.put(url).header("Content-Type", "application/octet-stream").body(bytes.to_vec());
        let response = put.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    pub async fn complete(&self, preupload_id: &str) -> Value {
        self.post("/upload/v1/oss/file/upload_complete", json!({"preuploadID": preupload_id})).await
    }

    pub async fn result(&self, preupload_id: &str) -> Value {
        self.post("/upload/v1/oss/file/upload_async_result", json!({"preuploadID": preupload_id})).await
    }

    /// create and every slice: the preuploadID.
    pub async fn send(&self, parent: &str, name: &str, content: &[u8]) -> String {
        let answer = self.create(parent, name, content).await;
        assert_eq!(answer["data"]["reuse"], false, "{answer}");
        let preupload_id = text(&answer["data"]["preuploadID"]);
        let slice_size = answer["data"]["sliceSize"].as_u64().unwrap() as usize;
        for (number, slice) in (1..).zip(content.chunks(slice_size)) {
            let url = text(&self.upload_url(&preupload_id, number).await["data"]["presignedURL"]);
            assert_eq!(self.put(&url, slice).await, (200, String::new()));
        }
        preupload_id
    }

    /// The whole way: the fileID.
    pub async fn upload(&self, parent: &str, name: &str, content: &[u8]) -> String {
        let preupload_id = self.send(parent, name, content).await;
        let answer = self.complete(&preupload_id).await;
        assert_eq!(answer["data"]["completed"], true, "{answer}");
        text(&answer["data"]["fileID"])
    }

    pub async fn delete(&self, ids: &[&str]) -> Value {
        self.post("/api/v1/oss/file/delete", json!({"fileIDs": ids})).await
    }

    pub async fn detail(&self, id: &str) -> Value {
        let path = format!("/api/v1/oss/file/detail?fileID={id}");
        read(self.request("GET", &path).send().await.unwrap()).await.1
    }

    pub async fn list(&self, body: Value) -> Value {
        self.post("/api/v1/oss/file/list", body).await
    }

    /// POST of a control request.
    pub async fn control(&self, verb: &str, body: Value) -> (u16, Value) {
        let url = format!("{}/_sim/{verb}", self.sim.url());
        read(self.http.post(url).body(body.to_string()).send().await.unwrap()).await
    }
}

/// A field that is a text and not empty.
pub fn text(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    assert!(!text.is_empty(), "{value}");
    text.into()
}

/// Code and message of an answer that says no; its data is null.
pub fn refusal(answer: &Value) -> (i64, String) {
    assert!(answer["data"].is_null(), "{answer}");
    assert!(answer["x-traceID"].is_string(), "{answer}");
    (answer["code"].as_i64().unwrap(), text(&answer["message"]))
}
