//! The agent's end: HTTP/1.1 over the Unix socket, in front of a [`Backend`].
//!
//! Whatever a client does - no such path, no JSON, too much of it, nothing at all - it gets an answer
//! in the shape of [`Failure`], and no other client waits for it. There is room for [`MOST`] at a time; of
//! those, the idle ones make room for new ones, and when all are busy a new one is told so.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
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

#[derive(Clone)]
struct Desk {
    backend: Arc<dyn Backend>,
    events: Events,
}

/// Answers on the socket until `shutdown` is done; then every connection is closed.
pub async fn serve(
    listener: UnixListener,
    backend: Arc<dyn Backend>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let events = Events::new();
    let publisher = events.clone();
    let desk = Desk { backend: Arc::clone(&backend), events };
    let router = router(desk);
    let full = Router::new().fallback(all_busy);
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
                    let router = router.clone();
                    let task = tasks.spawn(connection(stream, router, activity.clone()));
                    connections.add(activity, task);
                }
                Ok((stream, _)) => {
                    tracing::debug!("a client of the control socket was sent away: {MOST} are busy");
                    if let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() {
                        let full = full.clone();
                        tasks.spawn(async move {
                            let _ = timeout(PATIENCE, connection(stream, full, Activity::new())).await;
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

async fn connection(stream: UnixStream, router: Router, activity: Activity) {
    let router = TowerToHyperService::new(router.layer(Extension(activity.clone())));
    let service = service_fn(move |request| {
        let busy = activity.begin();
        let answer = router.call(request);
        async move {
            let answer = answer.await;
            drop(busy);
            answer
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

fn router(desk: Desk) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/queue", get(queue))
        .route("/v1/explain", get(explain).post(explain_all))
        .route("/v1/copies", get(copies))
        .route("/v1/events", get(events))
        .route("/v1/pause", post(pause))
        .route("/v1/resume", post(resume))
        .route("/v1/scan", post(scan))
        .route("/v1/accept", post(accept))
        .route("/v1/retry", post(retry))
        .route("/v1/repair", post(repair))
        .route("/v1/forget", post(forget))
        .route("/v1/reload", post(reload))
        .route("/v1/rebuild", post(rebuild))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .with_state(desk)
}

type Answer = Result<Response, Failure>;

async fn status(State(desk): State<Desk>) -> Answer {
    json(&desk.backend.status().await)
}

async fn queue(State(desk): State<Desk>, request: Request) -> Answer {
    let query = requests::queue(request.uri().query().unwrap_or(""))?;
    json(&desk.backend.queue(query).await?)
}

async fn explain(State(desk): State<Desk>, request: Request) -> Answer {
    let query = request.uri().query().unwrap_or("");
    let line = desk.backend.explain(requests::explain(query)?).await?;
    json(&if requests::wants_link(query) { desk.backend.linked(line).await } else { line })
}

async fn explain_all(State(desk): State<Desk>, request: Request) -> Answer {
    let mut files = Vec::new();
    for spot in requests::spots(&body(request).await?)? {
        files.push(desk.backend.explain(spot).await?);
    }
    json(&requests::Files { files })
}

async fn copies(State(desk): State<Desk>, request: Request) -> Answer {
    let query = requests::copies(request.uri().query().unwrap_or(""))?;
    json(&desk.backend.copies(query).await?)
}

async fn events(State(desk): State<Desk>, Extension(activity): Extension<Activity>) -> Answer {
    if desk.events.watchers() >= WATCHERS_MAX {
        return Err(Failure::new(503, "too_many_watchers", format!("{WATCHERS_MAX} clients watch already"))
            .hint("close one of them, or ask /v1/status now and then"));
    }
    let body = Body::from_stream(desk.events.stream(activity.begin()));
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, body).into_response())
}

async fn pause(State(desk): State<Desk>, request: Request) -> Answer {
    let time = requests::pause(&body(request).await?)?;
    done(desk.backend.pause(time).await)
}

async fn resume(State(desk): State<Desk>, request: Request) -> Answer {
    requests::nothing(&body(request).await?)?;
    done(desk.backend.resume().await)
}

async fn scan(State(desk): State<Desk>, request: Request) -> Answer {
    let query = request.uri().query().unwrap_or("").to_owned();
    let path = requests::place(&query, &body(request).await?)?;
    done(desk.backend.scan(path).await)
}

async fn accept(State(desk): State<Desk>, request: Request) -> Answer {
    let query = request.uri().query().unwrap_or("").to_owned();
    let path = requests::place(&query, &body(request).await?)?;
    let path = path.ok_or_else(|| {
        Failure::bad_request("path is missing").hint("name the folder: {\"path\":\"/volume1/photo\"}")
    })?;
    done(desk.backend.accept(path).await)
}

async fn retry(State(desk): State<Desk>, request: Request) -> Answer {
    let query = request.uri().query().unwrap_or("").to_owned();
    let path = requests::place(&query, &body(request).await?)?;
    done(desk.backend.retry(path).await)
}

async fn repair(State(desk): State<Desk>, request: Request) -> Answer {
    let files = requests::repair(&body(request).await?)?;
    json(&requests::Files { files: desk.backend.repair(files).await? })
}

async fn forget(State(desk): State<Desk>, request: Request) -> Answer {
    let files = requests::repair(&body(request).await?)?;
    json(&requests::Files { files: desk.backend.forget(files).await? })
}

async fn reload(State(desk): State<Desk>, request: Request) -> Answer {
    requests::nothing(&body(request).await?)?;
    done(desk.backend.reload().await)
}

async fn rebuild(State(desk): State<Desk>, request: Request) -> Answer {
    requests::nothing(&body(request).await?)?;
    json(&desk.backend.rebuild().await?)
}

async fn all_busy() -> Response {
    let words = format!("{MOST} clients are being answered already");
    let mut response = Failure::new(503, "busy", words).hint("ask again in a moment").into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn no_such_path(request: Request) -> Failure {
    Failure::not_found(format!("there is no {}", request.uri().path()))
        .hint("GET /v1/status, /v1/queue, /v1/explain, /v1/copies, /v1/events; POST /v1/pause, /v1/resume, /v1/scan, /v1/accept, /v1/retry, /v1/explain, /v1/repair, /v1/forget, /v1/reload, /v1/rebuild")
}

async fn no_such_method(request: Request) -> Response {
    let (path, method) = (request.uri().path(), request.method());
    let allowed = match path {
        "/v1/explain" => "GET, POST",
        "/v1/status" | "/v1/queue" | "/v1/copies" | "/v1/events" => "GET",
        _ => "POST",
    };
    let failure = Failure::new(405, "method_not_allowed", format!("{path} is not for {method}"))
        .hint(format!("use {allowed}"));
    let mut response = failure.into_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

/// The whole body, as long as it is small and comes in time.
async fn body(request: Request) -> Result<Vec<u8>, Failure> {
    use http_body_util::{BodyExt as _, LengthLimitError, Limited};

    let whole = Limited::new(request.into_body(), requests::BODY_MAX).collect();
    match timeout(PATIENCE, whole).await {
        Ok(Ok(body)) => Ok(body.to_bytes().to_vec()),
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
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

fn done(result: Result<(), Failure>) -> Answer {
    result?;
    json(&serde_json::json!({}))
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        match json(&FailureDocument { error: self }) {
            Ok(answer) => (status, answer).into_response(),
            Err(_) => status.into_response(),
        }
    }
}
