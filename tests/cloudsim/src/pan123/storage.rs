//! Where slices go: a presigned address on the second host of this cloud, which is no part of its API and
//! answers as S3 does.
//!
//! ```text
//! PUT /123-846/<etag8>/<uid>-0/<etag>?X-Amz-…&partNumber=<sliceNo>&uploadId=<key>
//! ```

use futures_util::StreamExt;
use hyper::Response;
use hyper::header::{CONTENT_LENGTH, HeaderValue};

use super::times;
use super::uploads::{Stage, Upload};
use crate::answer::{Answer, Body, Reply, page};
use crate::body::Damage;
use crate::cloud_md5::md5_hex;
use crate::request::{Ask, Params, Stream, drain};
use crate::slices::Receiver;
use crate::state::Cloud;

const SIGNATURE: &str = "X-Amz-Signature";

/// An address for one slice, good for `Options::cdn_ttl`.
pub(super) fn presign(cloud: &Cloud, ask: &Ask, uid: u64, upload: &Upload, number: u64) -> String {
    let path = format!("/123-846/{}/{uid}-0/{}", &upload.etag[..8], upload.etag);
    let date = times::amz(cloud.now());
    let query = [
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned()),
        ("X-Amz-Credential", format!("123pan/{}/us-east-1/s3/aws4_request", &date[..8])),
        ("X-Amz-Date", date.clone()),
        ("X-Amz-Expires", cloud.options.cdn_ttl.as_secs().to_string()),
        ("X-Amz-SignedHeaders", "host".to_owned()),
        ("partNumber", number.to_string()),
        ("uploadId", upload.key.clone()),
    ];
    let query: Vec<(String, String)> = query.into_iter().map(|(name, value)| (name.into(), value)).collect();
    let signature = sign(&path, &query);
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    text.extend_pairs(query).append_pair(SIGNATURE, &signature);
    format!("{}{path}?{}", ask.cdn_url(cloud.cdn_port()), text.finish())
}

/// What no one else can make: here it is enough that it belongs to everything else in the address.
fn sign(path: &str, query: &[(String, String)]) -> String {
    let mut signed: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    signed.sort();
    let text = format!("{path}?{}", signed.join("&"));
    format!("{}{}", md5_hex(text.as_bytes()), md5_hex(format!("storage of {text}").as_bytes()))
}

/// PUT of a slice: 200 without any body.
pub(crate) async fn put(cloud: &Cloud, ask: &Ask, mut body: Stream) -> Reply {
    let (key, number, most) = match check(cloud, ask) {
        Ok(checked) => checked,
        Err(no) => {
            drain(body).await;
            return no.reply();
        }
    };
    let mut receiver = Receiver::new(cloud)?;
    let damage = Damage { flip: ask.flip, ..Damage::default() };
    let mut over = false;
    while let Some(chunk) = body.next().await {
        let Ok(chunk) = chunk else {
            return No(400, "IncompleteBody", "The body was cut").reply();
        };
        over |= receiver.size() + chunk.len() as u64 > most;
        if !over {
            receiver.take(&damage.to(chunk, receiver.size())).await?;
        }
    }
    if over {
        return No(400, "EntityTooLarge", "The slice is larger than sliceSize").reply();
    }
    let slice = receiver.end().await?;
    if !ask.lose_slice {
        let uploads = &mut cloud.lock().pan123.uploads;
        if !uploads.keep_slice(&key, number, &slice.md5, slice.size, &slice.file)? {
            return NO_UPLOAD.reply();
        }
    }
    let mut response = page(200, "application/octet-stream", "");
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(0));
    Ok(Answer::page(response))
}

/// How S3 says no: status, code, message.
pub(crate) struct No(u16, &'static str, &'static str);

const NO_UPLOAD: No = No(404, "NoSuchUpload", "The specified upload does not exist");

/// "PUT请求的header中请不要携带Authorization": S3 takes one way to sign, not two.
pub(crate) const TWO_WAYS: No =
    No(400, "InvalidArgument", "Only one auth mechanism allowed: the address is signed already");

impl No {
    pub(crate) fn reply(self) -> Reply {
        Ok(Answer::page(self.response()))
    }

    pub(crate) fn response(self) -> Response<Body> {
        let No(status, code, message) = self;
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>\n"
        );
        page(status, "application/xml", text)
    }
}

/// Everything that can be wrong before the bytes matter: key, number and largest size of the slice.
fn check(cloud: &Cloud, ask: &Ask) -> Result<(String, u32, u64), No> {
    const UNSIGNED: No = No(403, "SignatureDoesNotMatch", "The signature does not match what was sent");
    const UNSIZED: No = No(411, "MissingContentLength", "You must provide the Content-Length HTTP header");
    let Params(query) = &ask.query;
    let (signature, signed): (Vec<_>, Vec<_>) =
        query.iter().cloned().partition(|(name, _)| name == SIGNATURE);
    let is_signed = signature.first().is_some_and(|(_, value)| *value == sign(&ask.path, &signed));
    if !is_signed || ask.header("platform").is_some() {
        return Err(UNSIGNED);
    }
    let number = |name: &str| ask.query.get(name).and_then(|text| text.parse::<u64>().ok());
    let made = ask.query.get("X-Amz-Date").and_then(times::read_amz);
    let (Some(made), Some(life)) = (made, number("X-Amz-Expires")) else { return Err(UNSIGNED) };
    if cloud.now() >= made + life {
        return Err(No(403, "AccessDenied", "Request has expired"));
    }
    if ask.header("content-length").is_none() || ask.header("transfer-encoding").is_some() {
        return Err(UNSIZED);
    }
    let key = ask.query.get("uploadId").unwrap_or_default();
    let state = cloud.lock();
    match state.pan123.uploads.get(key).filter(|upload| upload.stage == Stage::Sending) {
        Some(upload) => {
            let slice = number("partNumber").unwrap_or_default() as u32;
            Ok((key.into(), slice, upload.slice_size))
        }
        None => Err(NO_UPLOAD),
    }
}
