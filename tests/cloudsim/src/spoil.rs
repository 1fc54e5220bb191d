//! What faults make of answers: what comes instead of one, and how one is damaged on its way.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LOCATION};
use serde_json::{Value, json};

use crate::answer::{Answer, Body, Refusal, Reply, html, json_page, page};
use crate::body::Damage;
use crate::faults::FaultKind;
use crate::pan123::envelope;

/// The MD5 of nothing that anyone stores.
const NOT_THIS_MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";

/// What the connection is to do: send this, close without a word (`Err`), or wait for ever.
pub(crate) enum Outcome {
    Send(Response<Body>),
    /// The bytes of a file.
    Bytes(Response<Body>, Damage),
    Close,
    Stall,
}

/// A JSON answer, with what a fault does to it, and the status for the log.
pub(crate) async fn send_json(status: u16, value: &mut Value, fault: Option<&FaultKind>) -> (u16, Outcome) {
    let outcome = match fault {
        Some(FaultKind::DropAfter) => return (0, Outcome::Close),
        Some(FaultKind::CutAnswer) => Outcome::Send(cut(status, value)),
        Some(FaultKind::WrongMd5) => {
            spoil_md5(value);
            Outcome::Send(json_page(status, value))
        }
        Some(FaultKind::Edit(json)) => {
            edit(value, &serde_json::from_str(json).unwrap_or_default());
            Outcome::Send(json_page(status, value))
        }
        Some(FaultKind::JsonAsHtml) => {
            let mut response = json_page(status, value);
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
            Outcome::Send(response)
        }
        Some(FaultKind::Late(delay)) => {
            tokio::time::sleep(*delay).await;
            Outcome::Send(json_page(status, value))
        }
        Some(FaultKind::Huge(bytes)) => Outcome::Send(padded(status, value, *bytes)),
        Some(FaultKind::Drip(pause)) => Outcome::Send(dripping(status, *pause)),
        Some(FaultKind::Headers(count)) => {
            let mut response = json_page(status, value);
            for number in 0..*count {
                let name = HeaderName::try_from(format!("x-{number}"));
                name.into_iter().for_each(|name| {
                    response.headers_mut().insert(name, HeaderValue::from_static("x"));
                });
            }
            Outcome::Send(response)
        }
        _ => Outcome::Send(json_page(status, value)),
    };
    (status, outcome)
}

/// An answer that is no JSON, with what a fault does to it. Only the bytes of files are damaged.
pub(crate) async fn send_page(mut response: Response<Body>, fault: Option<&FaultKind>) -> (u16, Outcome) {
    let length =
        response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let mut damage = Damage::default();
    match fault {
        Some(FaultKind::DropAfter) => return (0, Outcome::Close),
        Some(FaultKind::Late(delay)) => tokio::time::sleep(*delay).await,
        // Of nothing there is no half: the PUT of a slice.
        Some(FaultKind::CutAnswer) if length == Some(0) => return (0, Outcome::Close),
        Some(FaultKind::CutAnswer) => damage.cut = length.map(|length| length / 2),
        Some(FaultKind::CutBody(bytes)) => damage.cut = Some(*bytes),
        Some(FaultKind::StallBody(bytes)) => damage.stall = Some(*bytes),
        Some(FaultKind::Flip(place)) => damage.flip = Some(*place),
        Some(FaultKind::Shorter(bytes)) => {
            let left = length.unwrap_or_default().saturating_sub(*bytes);
            damage.end = Some(left);
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(left));
        }
        Some(FaultKind::WrongMd5) => {
            for name in [ETAG, HeaderName::from_static("content-md5")] {
                if response.headers().contains_key(&name) {
                    response.headers_mut().insert(name, HeaderValue::from_static(NOT_THIS_MD5));
                }
            }
        }
        _ => {}
    }
    let status = response.status().as_u16();
    match length {
        Some(_) => (status, Outcome::Bytes(response, damage)),
        None => (status, Outcome::Send(response)),
    }
}

/// Whether nothing is done for a call that this hits.
pub(crate) fn prevents_work(kind: &FaultKind) -> bool {
    matches!(
        kind,
        FaultKind::Status(_)
            | FaultKind::Html(_)
            | FaultKind::Empty500
            | FaultKind::Errno(_)
            | FaultKind::ErrorCode(_)
            | FaultKind::Code(_)
            | FaultKind::OAuth(_)
            | FaultKind::Body(_)
            | FaultKind::Redirect(_)
            | FaultKind::Stall
            | FaultKind::Answer(_)
    )
}

/// What a call gets instead of being worked on.
pub(crate) enum Instead {
    Reply(Reply),
    Page(Response<Body>),
    Nothing,
}

pub(crate) fn instead(kind: &FaultKind, message: Option<&str>) -> Instead {
    match kind {
        FaultKind::Status(status) => {
            Instead::Page(page(*status, "text/plain", message.unwrap_or("out of order\n").to_owned()))
        }
        FaultKind::Html(status) => Instead::Page(html(*status)),
        FaultKind::Body(text) => Instead::Page(page(200, "application/json", text.clone())),
        FaultKind::Redirect(address) => {
            let mut response = page(302, "text/html", "");
            if let Ok(address) = HeaderValue::from_str(address) {
                response.headers_mut().insert(LOCATION, address);
            }
            Instead::Page(response)
        }
        FaultKind::Empty500 => Instead::Page(page(500, "text/html", "")),
        FaultKind::Errno(0) => Instead::Reply(Ok(Answer::with_number_id(json!({"errno": 0})))),
        FaultKind::Errno(errno) => Instead::Reply(Err(match message {
            Some(message) => Refusal::errno_saying(*errno, message),
            None => Refusal::errno(*errno),
        })),
        FaultKind::ErrorCode(code) => {
            let mut refusal = Refusal::pcs(*code);
            if let (Refusal::Pcs { message: words, .. }, Some(message)) = (&mut refusal, message) {
                *words = message.into();
            }
            Instead::Reply(Err(refusal))
        }
        FaultKind::Code(0) => Instead::Reply(envelope::ok(Value::Null)),
        FaultKind::Code(code) => Instead::Reply(Err(match message {
            Some(message) => envelope::refuse(*code, message),
            None => envelope::refuse_code(*code),
        })),
        FaultKind::Answer(json) => {
            Instead::Reply(Ok(Answer::without_id(serde_json::from_str(json).unwrap_or_default())))
        }
        FaultKind::OAuth(error) => {
            Instead::Reply(Err(Refusal::oauth(error, message.unwrap_or("on purpose"))))
        }
        _ => Instead::Nothing,
    }
}

/// Every `md5` and `etag` of the answer gets another first digit.
fn spoil_md5(value: &mut Value) {
    match value {
        Value::Object(object) => object.iter_mut().for_each(|(key, value)| match value {
            Value::String(md5) if matches!(key.as_str(), "md5" | "etag") && !md5.is_empty() => {
                let first = if md5.starts_with('0') { "1" } else { "0" };
                md5.replace_range(..1, first);
            }
            inner => spoil_md5(inner),
        }),
        Value::Array(entries) => entries.iter_mut().for_each(spoil_md5),
        _ => {}
    }
}

/// Fields of the answer become others; `null` takes one away. Of a list, every entry is changed.
fn edit(value: &mut Value, change: &Value) {
    match (value, change) {
        (Value::Object(object), Value::Object(changes)) => {
            for (key, change) in changes {
                match (object.get_mut(key), change) {
                    (_, Value::Null) => drop(object.remove(key)),
                    (Some(inner), Value::Object(_)) => edit(inner, change),
                    _ => drop(object.insert(key.clone(), change.clone())),
                }
            }
        }
        (Value::Array(entries), change) => entries.iter_mut().for_each(|entry| edit(entry, change)),
        (value, change) => *value = change.clone(),
    }
}

/// The head promises the whole answer, half of it comes, then the connection breaks.
fn cut(status: u16, value: &Value) -> Response<Body> {
    let text = value.to_string();
    let half = Bytes::copy_from_slice(&text.as_bytes()[..text.len() / 2]);
    let frames = stream::unfold(Some(half), |half| async move {
        match half {
            Some(half) => Some((Ok(Frame::data(half)), None)),
            None => {
                // Lets the server write what it has before it hears of the end.
                tokio::task::yield_now().await;
                Some((Err(io::Error::other("answer cut on purpose")), None))
            }
        }
    });
    let mut response = json_page(status, value);
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    *response.body_mut() = StreamBody::new(frames).boxed_unsync();
    response
}

/// A blank now and then, for ever.
fn dripping(status: u16, pause: Duration) -> Response<Body> {
    let frames = stream::unfold((), move |()| async move {
        tokio::time::sleep(pause).await;
        Some((Ok(Frame::data(Bytes::from_static(b" "))), ()))
    });
    let mut response = json_page(status, &Value::Null);
    *response.body_mut() = StreamBody::new(frames).boxed_unsync();
    response
}

/// Right JSON behind a great many blanks, made as it is sent.
fn padded(status: u16, value: &Value, bytes: u64) -> Response<Body> {
    const CHUNK: u64 = 64 << 10;
    let text = Bytes::from(value.to_string());
    let blanks = Bytes::from(vec![b' '; CHUNK as usize]);
    let frames = stream::unfold(Some(bytes / CHUNK), move |left| {
        let (text, blanks) = (text.clone(), blanks.clone());
        async move {
            match left? {
                0 => Some((Ok(Frame::data(text)), None)),
                n => Some((Ok(Frame::data(blanks)), Some(n - 1))),
            }
        }
    });
    let mut response = json_page(status, value);
    *response.body_mut() = StreamBody::new(frames).boxed_unsync();
    response
}
