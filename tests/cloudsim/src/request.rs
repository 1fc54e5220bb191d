//! One call as the handlers see it: parameters taken apart, the body metered.
//!
//! The documents say which parameter goes in the query and which in the body, and the simulator takes
//! them from nowhere else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap};
use hyper::http::request::Parts;
use multer::{Constraints, Multipart, SizeLimit};
use serde_json::Value;

use crate::answer::Refusal;
use crate::state::Cloud;

/// The largest form that is read into memory: 1024 slice MD5s and exif_info fit many times.
const FORM_LIMIT: usize = 4 << 20;

/// Request bytes as they come over the line.
pub(crate) type Stream = BoxStream<'static, Result<Bytes, hyper::Error>>;

/// Which of its hosts the cloud was asked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// pan.baidu.com, d.pcs.baidu.com, openapi.baidu.com.
    Cloud,
    /// Where dlinks, presigned addresses and direct links lead to.
    Cdn,
}

/// Whose cloud is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vendor {
    Baidu,
    Pan123,
}

impl Vendor {
    /// As `cloud` in what tests see.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Vendor::Baidu => "baidu",
            Vendor::Pan123 => "pan123",
        }
    }
}

/// A call, taken apart.
pub(crate) struct Ask {
    pub(crate) http_method: String,
    pub(crate) path: String,
    pub(crate) query: Params,
    pub(crate) form: Params,
    pub(crate) headers: HeaderMap,
    pub(crate) host: Host,
    /// `https` where this cloud speaks TLS.
    pub(crate) scheme: &'static str,
    /// `lost_slices` fault: say yes to the slice and forget it.
    pub(crate) lose_slice: bool,
    /// `flip` fault: this byte of the slice gets lost on its way.
    pub(crate) flip: Option<u64>,
    /// A JSON body, for the cloud that has them; its fields stand in `form` too, for the log.
    pub(crate) json: Value,
}

/// Parameters of a query or of a form.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(pub(crate) Vec<(String, String)>);

impl Params {
    pub(crate) fn parse(text: &[u8]) -> Params {
        Params(url::form_urlencoded::parse(text).into_owned().collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that must be there and not empty: errno 2 without it.
    pub(crate) fn need(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| Refusal::errno_saying(2, format!("param error: {name} is missing")))
    }

    /// An optional number: errno 2 when it is none.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Refusal> {
        match self.get(name).filter(|value| !value.is_empty()) {
            None => Ok(None),
            Some(value) => value
                .trim()
                .parse()
                .map(Some)
                .map_err(|_| Refusal::errno_saying(2, format!("param error: {name} is no number"))),
        }
    }

    /// A 0/1 switch that is off when it is not given.
    pub(crate) fn switch(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| !matches!(value, "" | "0"))
    }
}

impl Ask {
    /// Takes the head of a request apart.
    pub(crate) fn new(parts: &Parts, host: Host, scheme: &'static str) -> Ask {
        Ask {
            http_method: parts.method.to_string(),
            path: parts.uri.path().into(),
            query: Params::parse(parts.uri.query().unwrap_or_default().as_bytes()),
            form: Params::default(),
            headers: parts.headers.clone(),
            host,
            scheme,
            lose_slice: false,
            flip: None,
            json: Value::Null,
        }
    }

    /// Whose call it is: the two clouds have no address in common.
    pub(crate) fn vendor(&self) -> Vendor {
        let of_pan123 = match self.host {
            Host::Cloud => self.path.starts_with("/api/v1/") || self.path.starts_with("/upload/v1/"),
            Host::Cdn => !self.path.starts_with("/cdn/"),
        };
        if of_pan123 { Vendor::Pan123 } else { Vendor::Baidu }
    }

    /// `method=` of the query: the name of the call at most addresses.
    pub(crate) fn api_method(&self) -> &str {
        self.query.get("method").unwrap_or_default()
    }

    /// What fault patterns are matched against: `POST /rest/2.0/pcs/superfile2?method=upload&partseq=3`.
    /// Only the parameters that name the call are there.
    pub(crate) fn target(&self) -> String {
        let mut target = format!("{} {}", self.http_method, self.path);
        let mut joint = '?';
        for key in ["method", "opera", "grant_type", "partseq", "partNumber"] {
            if let Some(value) = self.query.get(key) {
                target.push_str(&format!("{joint}{key}={value}"));
                joint = '&';
            }
        }
        target
    }

    /// The address the client used for us.
    pub(crate) fn base_url(&self) -> String {
        let host = self.header(header::HOST.as_str()).unwrap_or("localhost");
        format!("{}://{host}", self.scheme)
    }

    /// The CDN's address, under the name the client used for us.
    pub(crate) fn cdn_url(&self, port: u16) -> String {
        format!("{}://{}:{port}", self.scheme, self.host_name())
    }

    /// The name the client used for us, without a port.
    fn host_name(&self) -> &str {
        let host = self.header(header::HOST.as_str()).unwrap_or("localhost");
        match host.rsplit_once(':') {
            // Not within the brackets of an IPv6 address.
            Some((name, port)) if !port.contains(']') => name,
            _ => host,
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Reads a form body, of either kind; any other body is read and forgotten.
    pub(crate) async fn read_form(&mut self, body: Stream) -> Result<(), Refusal> {
        let kind = self.header("content-type").unwrap_or_default();
        if kind.starts_with("application/x-www-form-urlencoded") {
            return self.read_urlencoded(body).await;
        }
        match multer::parse_boundary(kind) {
            Ok(boundary) => self.read_multipart(body, boundary).await,
            Err(_) => {
                drain(body).await;
                Ok(())
            }
        }
    }

    async fn read_multipart(&mut self, body: Stream, boundary: String) -> Result<(), Refusal> {
        let cut = |_| Refusal::errno_saying(2, "param error: body is no form, or was cut");
        let limits = SizeLimit::new().whole_stream(FORM_LIMIT as u64);
        let mut form = Multipart::with_constraints(body, boundary, Constraints::new().size_limit(limits));
        while let Some(field) = form.next_field().await.map_err(cut)? {
            let name = field.name().unwrap_or_default().to_owned();
            self.form.0.push((name, field.text().await.map_err(cut)?));
        }
        Ok(())
    }

    async fn read_urlencoded(&mut self, body: Stream) -> Result<(), Refusal> {
        let wrong = |what| Refusal::errno_saying(2, format!("param error: {what}"));
        self.form = Params::parse(&read_text(body).await.map_err(wrong)?);
        Ok(())
    }

    /// Reads a body that is one JSON object, if there is any. The error says what is wrong with it.
    pub(crate) async fn read_json(&mut self, body: Stream) -> Result<(), &'static str> {
        let text = read_text(body).await?;
        if text.is_empty() {
            return Ok(());
        }
        if !self.header("content-type").is_some_and(|kind| kind.starts_with("application/json")) {
            return Err("Content-Type is not application/json");
        }
        let json: Value = serde_json::from_slice(&text).map_err(|_| "body is not JSON")?;
        let fields = json.as_object().ok_or("body is not a JSON object")?;
        let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        self.form = Params(fields.iter().map(|(key, value)| (key.clone(), shown(value))).collect());
        self.json = json;
        Ok(())
    }
}

/// A body that is read into memory, to its end however long it is.
async fn read_text(mut body: Stream) -> Result<Vec<u8>, &'static str> {
    let mut text = Vec::new();
    let mut too_long = false;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|_| "body was cut")?;
        too_long |= text.len() + chunk.len() > FORM_LIMIT;
        if !too_long {
            text.extend_from_slice(&chunk);
        }
    }
    if too_long { Err("body is too long") } else { Ok(text) }
}

/// The body as a stream that counts bytes and keeps to the bandwidth.
pub(crate) fn metered(body: Incoming, cloud: Arc<Cloud>, count: Arc<AtomicU64>) -> Stream {
    let data = body.into_data_stream();
    stream::unfold((data, cloud, count), |(mut data, cloud, count)| async move {
        let chunk = data.next().await?;
        if let Ok(bytes) = &chunk {
            count.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            cloud.throttle.pass(bytes.len()).await;
        }
        Some((chunk, (data, cloud, count)))
    })
    .boxed()
}

/// Reads a body to its end and forgets it, so that the client can finish sending and hear our answer.
pub(crate) async fn drain(mut body: Stream) {
    while let Some(Ok(_)) = body.next().await {}
}
