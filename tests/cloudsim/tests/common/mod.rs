//! A small client for the tests: it speaks the documents by hand, request by request.

use cloudsim::{CloudSim, Options, md5_hex};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

pub const TOKEN: &str = "123.456";
pub const MIB: usize = 1 << 20;

/// A running cloud with one valid token, and a client.
pub struct Rig {
    pub sim: CloudSim,
    pub http: reqwest::Client,
}

impl Rig {
    pub async fn new(options: Options) -> Rig {
        let sim = CloudSim::start(options).await.unwrap();
        sim.add_token("demo", TOKEN, Some("refresh-1"), None).unwrap();
        let http = reqwest::Client::builder().user_agent("pan.baidu.com").no_proxy().build().unwrap();
        Rig { sim, http }
    }

    pub fn url(&self, path: &str) -> String {
        let joint = if path.contains('?') { '&' } else { '?' };
        format!("{}{path}{joint}access_token={TOKEN}", self.sim.url())
    }

    pub async fn get(&self, path: &str) -> Value {
        self.get_raw(&self.url(path)).await.1
    }

    /// GET of a full URL: status and JSON.
    pub async fn get_raw(&self, url: &str) -> (u16, Value) {
        read(self.http.get(url).send().await.unwrap()).await
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Value {
        read(self.http.post(self.url(path)).form(form).send().await.unwrap()).await.1
    }

    /// POST of a control request.
    pub async fn sim_post(&self, verb: &str, body: Value) -> (u16, Value) {
        let url = format!("{}/_sim/{verb}", self.sim.url());
        read(self.http.post(url).body(body.to_string()).send().await.unwrap()).await
    }

    pub async fn precreate(
        &self,
        path: &str,
        size: usize,
        blocks: &[String],
        more: &[(&str, &str)],
    ) -> Value {
        let (size, blocks) = (size.to_string(), json!(blocks).to_string());
        let mut form =
            vec![("path", path), ("size", &size), ("isdir", "0"), ("autoinit", "1"), ("block_list", &blocks)];
        form.extend_from_slice(more);
        self.post("/rest/2.0/xpan/file?method=precreate", &form).await
    }

    pub async fn slice(&self, path: &str, uploadid: &str, partseq: usize, bytes: &[u8]) -> (u16, Value) {
        let partseq = partseq.to_string();
        let url = url::Url::parse_with_params(
            &self.url("/rest/2.0/pcs/superfile2?method=upload&type=tmpfile"),
            [("path", path), ("uploadid", uploadid), ("partseq", &partseq)],
        )
        .unwrap();
        let form = Form::new().part("file", Part::bytes(bytes.to_vec()).file_name("file"));
        read(self.http.post(url).multipart(form).send().await.unwrap()).await
    }

    pub async fn create(
        &self,
        path: &str,
        size: usize,
        uploadid: &str,
        blocks: &[String],
        more: &[(&str, &str)],
    ) -> Value {
        let (size, blocks) = (size.to_string(), json!(blocks).to_string());
        let mut form = vec![
            ("path", path),
            ("size", &size),
            ("isdir", "0"),
            ("uploadid", uploadid),
            ("block_list", &blocks),
        ];
        form.extend_from_slice(more);
        self.post("/rest/2.0/xpan/file?method=create", &form).await
    }

    pub async fn mkdir(&self, path: &str, rtype: &str) -> Value {
        let form = [("path", path), ("size", "0"), ("isdir", "1"), ("rtype", rtype)];
        self.post("/rest/2.0/xpan/file?method=create", &form).await
    }

    /// precreate and every missing slice, but no create: the uploadid.
    pub async fn send(&self, path: &str, content: &[u8], rtype: &str) -> String {
        let answer = self.precreate(path, content.len(), &blocks(content), &[("rtype", rtype)]).await;
        assert_eq!(answer["errno"], 0, "{answer}");
        let uploadid = answer["uploadid"].as_str().unwrap().to_owned();
        for partseq in missing(&answer) {
            let (status, answer) = self.slice(path, &uploadid, partseq, part(content, partseq)).await;
            assert_eq!((status, &answer["md5"]), (200, &json!(md5_hex(part(content, partseq)))), "{answer}");
        }
        uploadid
    }

    /// The whole way; create's answer.
    pub async fn upload(&self, path: &str, content: &[u8], rtype: &str) -> Value {
        let uploadid = self.send(path, content, rtype).await;
        self.create(path, content.len(), &uploadid, &blocks(content), &[("rtype", rtype)]).await
    }
}

/// Status and JSON of an answer.
pub async fn read(response: reqwest::Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}"));
    (status, value)
}

/// Slice numbers still to send: `[]` means `[0]`.
pub fn missing(precreate: &Value) -> Vec<usize> {
    let list: Vec<usize> =
        precreate["block_list"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
    if list.is_empty() { vec![0] } else { list }
}

/// Slice MD5s of 4 MiB slices.
pub fn blocks(content: &[u8]) -> Vec<String> {
    content.chunks(4 * MIB).map(md5_hex).collect()
}

pub fn part(content: &[u8], partseq: usize) -> &[u8] {
    content.chunks(4 * MIB).nth(partseq).unwrap()
}

/// `n` bytes that are different for every seed.
pub fn bytes(n: usize, seed: u64) -> Vec<u8> {
    let mut x = seed.wrapping_mul(2).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..n)
        .map(|_| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x as u8
        })
        .collect()
}

/// The object has exactly these keys.
pub fn assert_keys(value: &Value, keys: &[&str]) {
    let mut have: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    let mut want = keys.to_vec();
    have.sort_unstable();
    want.sort_unstable();
    assert_eq!(have, want, "{value}");
}
