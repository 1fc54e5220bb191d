//! The life of one HTTP request: control calls apart, every call is delayed, hit by faults, counted
//! against the limits, answered and logged here.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LOCATION, RANGE};
use hyper::{Request, Response};
use serde_json::{Value, json};

use crate::answer::{Answer, Body, Finished, Refusal, Reply, html, json_page, page};
use crate::body::{Damage, on_its_way};
use crate::calls::{Call, redacted};
use crate::control;
use crate::faults::{FaultKind, Hit};
use crate::request::{Ask, Host, Stream, drain, metered};
use crate::route;
use crate::state::Cloud;
use crate::users::TokenState;

/// What the connection is to do: send this, close without a word (`Err`), or wait for ever.
enum Outcome {
    Send(Response<Body>),
    /// The bytes of a file.
    Bytes(Response<Body>, Damage),
    Close,
    Stall,
}

/// Serves one request that came to `host`; an error makes the server close the connection.
pub(crate) async fn serve(
    cloud: Arc<Cloud>,
    request: Request<Incoming>,
    host: Host,
) -> io::Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    let ask = Ask::new(&parts, host);
    if ask.path.starts_with("/_sim/") && host == Host::Cloud {
        cloud.settle();
        return Ok(control::serve(&cloud, ask, body).await);
    }
    let count = Arc::new(AtomicU64::new(0));
    let body = metered(body, cloud.clone(), count.clone());
    // A task of its own: the real cloud also finishes its work when the client has gone away.
    let outcome = tokio::spawn(handle(cloud, ask, body, count)).await;
    match outcome.map_err(io::Error::other)? {
        Outcome::Send(response) => Ok(response),
        Outcome::Bytes(..) | Outcome::Close => Err(io::Error::other("connection closed on purpose")),
        Outcome::Stall => std::future::pending().await,
    }
}

async fn handle(cloud: Arc<Cloud>, mut ask: Ask, body: Stream, count: Arc<AtomicU64>) -> Outcome {
    let began = Instant::now();
    let (mut call, hit) = open(&cloud, &ask);
    let in_flight = InFlight(cloud.clone());
    let (status, value, outcome) = work(&cloud, &mut ask, body, &hit).await;
    call.form = redacted(&ask.form);
    call.status = status;
    call.errno = ["errno", "error_code"].iter().find_map(|key| value.get(key)?.as_i64()).unwrap_or(0);
    call.error = value.get("error").and_then(Value::as_str).map(str::to_owned);
    call.bytes_in = count.load(Ordering::Relaxed);
    call.duration_ms = began.elapsed().as_millis() as u64;
    let outcome = match outcome {
        Outcome::Bytes(response, damage) => {
            let sent = call.counts_sent();
            Outcome::Send(on_its_way(response, in_flight, sent, damage))
        }
        other => {
            drop(in_flight);
            other
        }
    };
    cloud.lock().calls.push(call);
    outcome
}

/// One call in the works; also counted down when the server stops under it.
pub(crate) struct InFlight(Arc<Cloud>);

impl InFlight {
    pub(crate) fn cloud(&self) -> &Arc<Cloud> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.lock().calls.in_flight -= 1;
    }
}

/// Begins the log entry and looks which fault hits the call.
fn open(cloud: &Cloud, ask: &Ask) -> (Call, Hit) {
    cloud.settle();
    let account = match cloud.token_state(ask) {
        TokenState::Valid(account) => Some(account),
        _ => None,
    };
    let leaked = leaked(ask);
    if !leaked.is_empty() {
        eprintln!("cloudsim: LEAKED to the CDN: {} in {} {}", leaked.join(", "), ask.http_method, ask.path);
    }
    let mut state = cloud.lock();
    let state = &mut *state;
    state.calls.in_flight += 1;
    let hit = state.faults.take(&ask.target(), &mut state.dice);
    let call = Call {
        n: 0,
        time_ms: cloud.now_ms(),
        method: ask.http_method.clone(),
        path: ask.path.clone(),
        query: redacted(&ask.query),
        form: Default::default(),
        status: 0,
        errno: 0,
        error: None,
        account,
        host: match ask.host {
            Host::Cloud => "cloud",
            Host::Cdn => "cdn",
        },
        authority: ask.header("host").unwrap_or_default().into(),
        range: ask.header("range").map(str::to_owned),
        leaked,
        bytes_in: 0,
        bytes_out: 0,
        sent: None,
        duration_ms: 0,
        in_flight: state.calls.in_flight,
        user_agent: ask.header("user-agent").unwrap_or_default().into(),
        fault: hit.kind.as_ref().map(ToString::to_string),
    };
    (call, hit)
}

/// What a CDN must never get: the token, or anything else that says who the user is.
fn leaked(ask: &Ask) -> Vec<String> {
    if ask.host == Host::Cloud {
        return Vec::new();
    }
    let headers = ["authorization", "cookie"].into_iter().filter(|name| ask.headers.contains_key(*name));
    ask.query
        .get("access_token")
        .map(|_| "access_token")
        .into_iter()
        .chain(headers)
        .map(str::to_owned)
        .collect()
}

/// The status and JSON for the log, and what the connection does.
async fn work(cloud: &Cloud, ask: &mut Ask, body: Stream, hit: &Hit) -> (u16, Value, Outcome) {
    let pause = cloud.latency() + hit.delay;
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
    let reply = match &hit.kind {
        _ if !leaked(ask).is_empty() => {
            let response = page(400, "text/plain", "a token, an Authorization or a Cookie came to the CDN\n");
            return (400, Value::Null, Outcome::Send(response));
        }
        Some(FaultKind::DropBefore) => return (0, Value::Null, Outcome::Close),
        Some(kind) if prevents_work(kind) => {
            // Read what is sent, or the client might not live to see the answer.
            drain(body).await;
            match instead(kind, hit.message.as_deref()) {
                Instead::Reply(reply) => reply,
                Instead::Page(response) => {
                    return (response.status().as_u16(), Value::Null, Outcome::Send(response));
                }
                Instead::Nothing => return (0, Value::Null, Outcome::Stall),
            }
        }
        kind => {
            ask.lose_slice = *kind == Some(FaultKind::LostSlices);
            if *kind == Some(FaultKind::NoRange) {
                ask.headers.remove(RANGE);
            }
            answer(cloud, ask, body).await
        }
    };
    let (status, mut value) = match finish(cloud, reply) {
        Finished::Json(status, value) => (status, value),
        Finished::Page(response) => {
            let (status, outcome) = send_page(response, hit.kind.as_ref()).await;
            return (status, Value::Null, outcome);
        }
    };
    let outcome = match &hit.kind {
        Some(FaultKind::DropAfter) => return (0, value, Outcome::Close),
        Some(FaultKind::CutAnswer) => Outcome::Send(cut(status, &value)),
        Some(FaultKind::WrongMd5) => {
            spoil_md5(&mut value);
            Outcome::Send(json_page(status, &value))
        }
        Some(FaultKind::Edit(json)) => {
            edit(&mut value, &serde_json::from_str(json).unwrap_or_default());
            Outcome::Send(json_page(status, &value))
        }
        Some(FaultKind::JsonAsHtml) => {
            let mut response = json_page(status, &value);
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
            Outcome::Send(response)
        }
        Some(FaultKind::Late(delay)) => {
            tokio::time::sleep(*delay).await;
            Outcome::Send(json_page(status, &value))
        }
        Some(FaultKind::Huge(bytes)) => Outcome::Send(padded(status, &value, *bytes)),
        Some(FaultKind::Drip(pause)) => Outcome::Send(dripping(status, *pause)),
        Some(FaultKind::Headers(count)) => {
            let mut response = json_page(status, &value);
            for number in 0..*count {
                let name = HeaderName::try_from(format!("x-{number}"));
                name.into_iter().for_each(|name| {
                    response.headers_mut().insert(name, HeaderValue::from_static("x"));
                });
            }
            Outcome::Send(response)
        }
        _ => Outcome::Send(json_page(status, &value)),
    };
    (status, value, outcome)
}

/// An answer that is no JSON, with what a fault does to it. Only the bytes of files are damaged.
async fn send_page(mut response: Response<Body>, fault: Option<&FaultKind>) -> (u16, Outcome) {
    let length =
        response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let mut damage = Damage::default();
    match fault {
        Some(FaultKind::DropAfter) => return (0, Outcome::Close),
        Some(FaultKind::Late(delay)) => tokio::time::sleep(*delay).await,
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

/// The MD5 of nothing that anyone stores.
const NOT_THIS_MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";

async fn answer(cloud: &Cloud, ask: &mut Ask, body: Stream) -> Reply {
    if cloud.options.limits
        && let TokenState::Valid(account) = cloud.token_state(ask)
    {
        let now = cloud.now_ms();
        let hurry = cloud.options.limits_hurry;
        let admitted = cloud.lock().limits.admit(&account, &ask.path, ask.api_method(), now, hurry);
        if !admitted {
            drain(body).await;
            return Err(match ask.path.starts_with("/rest/2.0/xpan/") || ask.path.starts_with("/api/") {
                true => Refusal::errno(31034),
                false => Refusal::pcs(31034),
            });
        }
    }
    if route::wants_stream(ask) {
        return route::answer(cloud, ask, Some(body)).await;
    }
    ask.read_form(body).await?;
    route::answer(cloud, ask, None).await
}

/// Status and JSON of a reply, or the page that stands for it.
fn finish(cloud: &Cloud, reply: Reply) -> Finished {
    match reply.or_else(Refusal::into_answer) {
        Ok(answer) => answer.finish(&mut cloud.lock().dice),
        Err(Refusal::Broken(error)) => {
            Finished::Page(page(500, "text/plain", format!("cloudsim itself failed: {error}\n")))
        }
        Err(_) => Finished::Page(html(404)),
    }
}

fn prevents_work(kind: &FaultKind) -> bool {
    matches!(
        kind,
        FaultKind::Status(_)
            | FaultKind::Html(_)
            | FaultKind::Empty500
            | FaultKind::Errno(_)
            | FaultKind::ErrorCode(_)
            | FaultKind::OAuth(_)
            | FaultKind::Body(_)
            | FaultKind::Redirect(_)
            | FaultKind::Stall
            | FaultKind::Answer(_)
    )
}

/// What a call gets instead of being worked on.
enum Instead {
    Reply(Reply),
    Page(Response<Body>),
    Nothing,
}

fn instead(kind: &FaultKind, message: Option<&str>) -> Instead {
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
        FaultKind::Answer(json) => {
            Instead::Reply(Ok(Answer::without_id(serde_json::from_str(json).unwrap_or_default())))
        }
        FaultKind::OAuth(error) => {
            Instead::Reply(Err(Refusal::oauth(error, message.unwrap_or("on purpose"))))
        }
        _ => Instead::Nothing,
    }
}

/// Every `md5` of the answer gets another first digit.
fn spoil_md5(value: &mut Value) {
    let Some(object) = value.as_object_mut() else { return };
    for (key, value) in object {
        match value {
            Value::String(md5) if key == "md5" && !md5.is_empty() => {
                let first = if md5.starts_with('0') { "1" } else { "0" };
                md5.replace_range(..1, first);
            }
            Value::Object(_) => spoil_md5(value),
            _ => {}
        }
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
