//! The life of one HTTP request: control calls apart, every call is delayed, hit by faults, counted
//! against the limits, answered and logged here.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use hyper::body::Incoming;
use hyper::header::RANGE;
use hyper::{Request, Response};
use serde_json::Value;

use crate::answer::{Body, Finished, Refusal, Reply, html, page};
use crate::body::on_its_way;
use crate::calls::{Call, redacted};
use crate::control;
use crate::faults::{FaultKind, Hit};
use crate::pan123;
use crate::request::{Ask, Host, Stream, Vendor, drain, metered};
use crate::route;
use crate::spoil::{Instead, Outcome, instead, prevents_work, send_json, send_page};
use crate::state::Cloud;
use crate::users::TokenState;

/// Serves one request that came to `host`; an error makes the server close the connection.
pub(crate) async fn serve(
    cloud: Arc<Cloud>,
    request: Request<Incoming>,
    host: Host,
) -> io::Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    let ask = Ask::new(&parts, host, cloud.options.scheme());
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
    call.errno = ["errno", "error_code", "code"].iter().find_map(|key| value.get(key)?.as_i64()).unwrap_or(0);
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
    let account = match (ask.vendor(), cloud.token_state(ask)) {
        (Vendor::Pan123, _) => pan123::account(cloud, ask),
        (Vendor::Baidu, TokenState::Valid(account)) => Some(account),
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
        cloud: ask.vendor().name(),
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
    let params = ["access_token", "accessToken"].into_iter().filter(|name| ask.query.get(name).is_some());
    params.chain(headers).map(str::to_owned).collect()
}

fn refuse_leak(ask: &Ask) -> Response<Body> {
    match ask.vendor() {
        Vendor::Baidu => page(400, "text/plain", "a token, an Authorization or a Cookie came to the CDN\n"),
        Vendor::Pan123 => pan123::storage::TWO_WAYS.response(),
    }
}

/// The status and JSON for the log, and what the connection does.
async fn work(cloud: &Cloud, ask: &mut Ask, body: Stream, hit: &Hit) -> (u16, Value, Outcome) {
    let pause = cloud.latency() + hit.delay;
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
    let reply = match &hit.kind {
        _ if !leaked(ask).is_empty() => {
            return (400, Value::Null, Outcome::Send(refuse_leak(ask)));
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
            if let Some(FaultKind::Flip(place)) = kind {
                ask.flip = Some(*place);
            }
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
    let (status, outcome) = send_json(status, &mut value, hit.kind.as_ref()).await;
    (status, value, outcome)
}

async fn answer(cloud: &Cloud, ask: &mut Ask, body: Stream) -> Reply {
    if ask.vendor() == Vendor::Pan123 && ask.host == Host::Cloud {
        return pan123::answer(cloud, ask, body).await;
    }
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
