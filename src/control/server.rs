//! The agent's end: HTTP/1.1 over the Unix socket, in front of a [`Backend`].
//!
//! Whatever a client does - no such path, no JSON, too much of it, nothing at all - it gets an answer
//! in the shape of [`Failure`], and no other client waits for it. There is room for [`MOST`] at a time; of
//! those, the idle ones make room for new ones, and when all are busy a new one is told so.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::connections::{Activity, Connections, MOST};
use super::events::Events;
use super::{Backend, Failure, FailureDocument, requests};

/// A client has so long to send the head of a request, and again its body.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most who may watch events, so that there is always room for a question.
const WATCHERS_MAX: usize = MOST / 2;

/// The most who are being told that all are busy; more see the connection closed.
const REFUSALS: usize = MOST / 2;

/// Every path, and what it is for. Whoever may `GET` may ask for the `HEAD` alone.
const PATHS: [(&str, &str); 14] = [
    ("/v1/status", "GET"),
    ("/v1/queue", "GET"),
    ("/v1/explain", "GET, POST"),
    ("/v1/copies", "GET"),
    ("/v1/events", "GET"),
    ("/v1/pause", "POST"),
    ("/v1/resume", "POST"),
    ("/v1/scan", "POST"),
    ("/v1/accept", "POST"),
    ("/v1/retry", "POST"),
    ("/v1/repair", "POST"),
    ("/v1/forget", "POST"),
    ("/v1/reload", "POST"),
    ("/v1/rebuild", "POST"),
];

type Request = hyper::Request<Incoming>;
type Response = hyper::Response<UnsyncBoxBody<Bytes, std::io::Error>>;
type Answer = Result<Response, Failure>;

/// Who answers the requests of a connection.
#[derive(Clone)]
enum Desk {
    Open {
        backend: Arc<dyn Backend>,
        events: Events,
    },
    /// All places are taken.
    Full,
}

/// Answers on the socket until `shutdown` is done; then every connection is closed.
pub async fn serve(
    listener: UnixListener,
    backend: Arc<dyn Backend>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let events = Events::new();
    let publisher = events.clone();
    let desk = Desk::Open { backend: Arc::clone(&backend), events };
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    let connections = Connections::default();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { publisher.publish(backend).await });
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            // Only to forget those that have ended.
            Some(_) = tasks.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.make_room() => {
                    let activity = Activity::new();
                    let task = tasks.spawn(connection(stream, desk.clone(), activity.clone()));
                    connections.add(activity, task);
                }
                Ok((stream, _)) => {
                    tracing::debug!("a client of the control socket was sent away: {MOST} are busy");
                    if let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() {
                        tasks.spawn(async move {
                            let _ = timeout(PATIENCE, connection(stream, Desk::Full, Activity::new())).await;
                            drop(permit);
                        });
                    }
                }
                Err(error) => {
                    // Out of file descriptors: trying again at once would only heat the box.
                    tracing::warn!(%error, "the control socket cannot accept");
                    sleep(Duration::from_millis(200)).await;
                }
            },
        }
    }
    tasks.shutdown().await;
}

async fn connection(stream: UnixStream, desk: Desk, activity: Activity) {
    let service = service_fn(move |request| {
        let busy = activity.begin();
        let (desk, activity) = (desk.clone(), activity.clone());
        async move {
            let answer = answered(desk, request, &activity).await;
            drop(busy);
            Ok::<_, Infallible>(answer)
        }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a client of the control socket went away");
    }
}

async fn answered(desk: Desk, request: Request, activity: &Activity) -> Response {
    match desk {
        Desk::Open { backend, events } => {
            let answer = answer(&*backend, &events, request, activity).await;
            answer.unwrap_or_else(refusal)
        }
        Desk::Full => {
            let words = format!("{MOST} clients are being answered already");
            let failure = Failure::new(503, "busy", words).hint("ask again in a moment");
            with(refusal(failure), header::CONNECTION, "close")
        }
    }
}

/// What is to be said to one request.
async fn answer(backend: &dyn Backend, events: &Events, request: Request, activity: &Activity) -> Answer {
    let (head, body) = request.into_parts();
    let query = head.uri.query().unwrap_or("");
    let method = if head.method == Method::HEAD { &Method::GET } else { &head.method };
    match (method.as_str(), head.uri.path()) {
        ("GET", "/v1/status") => json(&backend.status().await),
        ("GET", "/v1/queue") => json(&backend.queue(requests::queue(query)?).await?),
        ("GET", "/v1/explain") => {
            let line = backend.explain(requests::explain(query)?).await?;
            json(&if requests::wants_link(query) { backend.linked(line).await } else { line })
        }
        ("POST", "/v1/explain") => {
            let mut files = Vec::new();
            for spot in requests::spots(&whole(body).await?)? {
                files.push(backend.explain(spot).await?);
            }
            json(&requests::Files { files })
        }
        ("GET", "/v1/copies") => json(&backend.copies(requests::copies(query)?).await?),
        ("GET", "/v1/events") => watching(events, activity),
        ("POST", "/v1/pause") => done(backend.pause(requests::pause(&whole(body).await?)?).await),
        ("POST", "/v1/resume") => {
            requests::nothing(&whole(body).await?)?;
            done(backend.resume().await)
        }
        ("POST", "/v1/scan") => done(backend.scan(requests::place(query, &whole(body).await?)?).await),
        ("POST", "/v1/accept") => {
            let path = requests::place(query, &whole(body).await?)?.ok_or_else(|| {
                let failure = Failure::bad_request("path is missing");
                failure.hint("name the folder: {\"path\":\"/volume1/photo\"}")
            })?;
            done(backend.accept(path).await)
        }
        ("POST", "/v1/retry") => done(backend.retry(requests::place(query, &whole(body).await?)?).await),
        ("POST", "/v1/repair") => {
            let files = requests::repair(&whole(body).await?)?;
            json(&requests::Files { files: backend.repair(files).await? })
        }
        ("POST", "/v1/forget") => {
            let files = requests::repair(&whole(body).await?)?;
            json(&requests::Files { files: backend.forget(files).await? })
        }
        ("POST", "/v1/reload") => {
            requests::nothing(&whole(body).await?)?;
            done(backend.reload().await)
        }
        ("POST", "/v1/rebuild") => {
            requests::nothing(&whole(body).await?)?;
            json(&backend.rebuild().await?)
        }
        (_, path) => match PATHS.iter().find(|(known, _)| *known == path) {
            Some((_, allowed)) => Ok(no_such_method(path, &head.method, allowed)),
            None => Err(no_such_path(path)),
        },
    }
}

fn watching(events: &Events, activity: &Activity) -> Answer {
    if events.watchers() >= WATCHERS_MAX {
        return Err(Failure::new(503, "too_many_watchers", format!("{WATCHERS_MAX} clients watch already"))
            .hint("close one of them, or ask /v1/status now and then"));
    }
    let body = StreamBody::new(events.stream(activity.begin()).map_ok(Frame::data));
    let response = with(Response::new(body.boxed_unsync()), header::CONTENT_TYPE, "text/event-stream");
    Ok(with(response, header::CACHE_CONTROL, "no-store"))
}

fn no_such_path(path: &str) -> Failure {
    let all = |method: &str| {
        let paths = PATHS.iter().filter(|(_, allowed)| allowed.contains(method));
        paths.map(|(path, _)| *path).collect::<Vec<_>>().join(", ")
    };
    Failure::not_found(format!("there is no {path}")).hint(format!(
        "GET {}; POST {}",
        all("GET"),
        all("POST")
    ))
}

fn no_such_method(path: &str, method: &Method, allowed: &'static str) -> Response {
    let failure = Failure::new(405, "method_not_allowed", format!("{path} is not for {method}"))
        .hint(format!("use {allowed}"));
    with(refusal(failure), header::ALLOW, allowed)
}

/// The whole body, as long as it is small and comes in time.
async fn whole(body: Incoming) -> Result<Bytes, Failure> {
    match timeout(PATIENCE, Limited::new(body, requests::BODY_MAX).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Failure::new(413, "too_large", format!("a request can have {} bytes", requests::BODY_MAX)))
        }
        Ok(Err(_)) => Err(Failure::bad_request("the request's body broke off")),
        Err(_) => Err(Failure::new(408, "timeout", "the request's body did not come in time")),
    }
}

fn json(document: &impl Serialize) -> Answer {
    let text = serde_json::to_vec(document)
        .map_err(|error| Failure::internal(format!("the answer has no JSON form: {error}")))?;
    let body = Full::from(text).map_err(|never| match never {}).boxed_unsync();
    Ok(with(Response::new(body), header::CONTENT_TYPE, "application/json"))
}

fn done(result: Result<(), Failure>) -> Answer {
    result?;
    json(&serde_json::json!({}))
}

fn refusal(failure: Failure) -> Response {
    let status = StatusCode::from_u16(failure.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // Three texts always have a JSON form.
    let mut response = json(&FailureDocument { error: failure }).unwrap_or_default();
    *response.status_mut() = status;
    response
}

fn with(mut response: Response, name: header::HeaderName, value: &'static str) -> Response {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}
