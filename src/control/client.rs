//! The commands' end: asks the running agent.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::requests::Asked;
use super::{
    BadCopy, CopiesPage, CopiesQuery, Explain, Failure, FailureDocument, QueuePage, QueueQuery, Rebuild,
    Repaired, Spot, requests,
};
use crate::status::Status;

/// An agent that says nothing for so long is not well. Events have a sign of life every 15 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("the agent is not running: nobody answers at {}", .0.display())]
    NotRunning(PathBuf),
    /// The socket is there, but not for us.
    #[error("you may not talk to the agent: {} is not open to you", .0.display())]
    Denied(PathBuf),
    /// The agent refused.
    #[error(transparent)]
    Refused(#[from] Failure),
    /// It went away in the middle, or does not answer.
    #[error("the agent did not answer")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It answers something else.
    #[error("the agent's answer is not understood; it may be of another version")]
    Strange(#[source] serde_json::Error),
}

/// A way to ask the agent. Each request is a connection of its own.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// Asks at this socket; nothing is sent yet.
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// `GET /v1/status`.
    ///
    /// # Errors
    /// See [`ClientError`], here as below.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.get("/v1/status").await
    }

    /// `GET /v1/queue`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn queue(&self, query: &QueueQuery) -> Result<QueuePage, ClientError> {
        let mut path = format!("/v1/queue?limit={}", query.limit);
        if let Some(state) = query.state {
            path += &format!("&state={}", state.as_str());
        }
        if let Some(after) = &query.after {
            path += &format!("&after={}", requests::encoded(Path::new(after)));
        }
        self.get(&path).await
    }

    /// `GET /v1/copies`
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn copies(&self, query: &CopiesQuery) -> Result<CopiesPage, ClientError> {
        let place = requests::query_of(&query.path, query.label.as_deref());
        let mut path = format!("/v1/copies?limit={}&{place}", query.limit);
        if let Some(after) = &query.after {
            path += &format!("&after={}", requests::encoded(Path::new(after)));
        }
        self.get(&path).await
    }

    /// `POST /v1/repair`, in as many requests as it takes. One answer a file, in order.
    ///
    /// # Errors
    /// See [`ClientError`]; some of the files may be repaired then.
    pub async fn repair(&self, files: &[BadCopy]) -> Result<Vec<Repaired>, ClientError> {
        self.post_files("/v1/repair", files, requests::weight).await
    }

    /// `POST /v1/forget`, in as many requests as it takes. One answer a file, in order.
    ///
    /// # Errors
    /// See [`ClientError`]; some of the files may be forgotten then.
    pub async fn forget(&self, files: &[BadCopy]) -> Result<Vec<Repaired>, ClientError> {
        self.post_files("/v1/forget", files, requests::weight).await
    }

    /// `POST /v1/explain`, in as many requests as it takes. One answer a spot, in order.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn explain_all(&self, spots: &[Spot]) -> Result<Vec<Explain>, ClientError> {
        let asked: Vec<Asked> = spots.iter().map(Asked::new).collect();
        self.post_files("/v1/explain", &asked, Asked::weight).await
    }

    async fn post_files<Q: Serialize, A: DeserializeOwned>(
        &self,
        path: &str,
        mut files: &[Q],
        weight: impl Fn(&Q) -> usize,
    ) -> Result<Vec<A>, ClientError> {
        let mut answers = Vec::with_capacity(files.len());
        while !files.is_empty() {
            let (these, rest) = files.split_at(requests::fitting(files, &weight));
            let body = requests::Files { files: these.iter().collect() };
            let body = serde_json::to_vec(&body).map_err(ClientError::Strange)?;
            let response = self.send(Method::POST, path, body).await?;
            let answer: requests::Files<A> =
                serde_json::from_slice(&whole(response).await?).map_err(ClientError::Strange)?;
            answers.extend(answer.files);
            files = rest;
        }
        Ok(answers)
    }

    /// `GET /v1/explain` of an absolute path.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn explain(&self, path: &Path) -> Result<Explain, ClientError> {
        self.get(&format!("/v1/explain?{}", requests::query_of(path, None))).await
    }

    /// The same with the copy's link, of a cloud that gives out such. It takes a call to the cloud.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn explain_with_link(&self, path: &Path) -> Result<Explain, ClientError> {
        self.get(&format!("/v1/explain?{}&link=1", requests::query_of(path, None))).await
    }

    /// `POST /v1/pause`, for at least a second, or until [`Client::resume`].
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn pause(&self, time: Option<Duration>) -> Result<(), ClientError> {
        let body = requests::Pause { for_secs: time.map(|time| time.as_secs().max(1)) };
        let body = serde_json::to_vec(&body).map_err(ClientError::Strange)?;
        self.post("/v1/pause", body).await
    }

    /// `POST /v1/resume`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn resume(&self) -> Result<(), ClientError> {
        self.post("/v1/resume", Vec::new()).await
    }

    /// `POST /v1/scan` of everything, or of an absolute path.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn scan(&self, path: Option<&Path>) -> Result<(), ClientError> {
        self.post_place("/v1/scan", path).await
    }

    /// `POST /v1/accept` of an absolute path.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn accept(&self, path: &Path) -> Result<(), ClientError> {
        self.post_place("/v1/accept", Some(path)).await
    }

    /// `POST /v1/retry` of everything, or of an absolute path.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn retry(&self, path: Option<&Path>) -> Result<(), ClientError> {
        self.post_place("/v1/retry", path).await
    }

    /// `POST /v1/reload`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn reload(&self) -> Result<(), ClientError> {
        self.post("/v1/reload", Vec::new()).await
    }

    /// `POST /v1/rebuild`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn rebuild(&self) -> Result<Rebuild, ClientError> {
        let response = self.send(Method::POST, "/v1/rebuild", Vec::new()).await?;
        serde_json::from_slice(&whole(response).await?).map_err(ClientError::Strange)
    }

    /// `GET /v1/events`: the status now and whenever it changes.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn events(&self) -> Result<Events, ClientError> {
        let response = self.send(Method::GET, "/v1/events", Vec::new()).await?;
        Ok(Events { body: response.into_body(), buffer: BytesMut::new() })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let response = self.send(Method::GET, path, Vec::new()).await?;
        serde_json::from_slice(&whole(response).await?).map_err(ClientError::Strange)
    }

    async fn post_place(&self, path: &str, place: Option<&Path>) -> Result<(), ClientError> {
        match place {
            Some(place) => {
                let place = requests::encoded(place);
                self.post(&format!("{path}?path={place}"), Vec::new()).await
            }
            None => self.post(path, Vec::new()).await,
        }
    }

    async fn post(&self, path: &str, body: Vec<u8>) -> Result<(), ClientError> {
        let response = self.send(Method::POST, path, body).await?;
        whole(response).await.map(|_| ())
    }

    /// The answer's head; one that is not a success is the refusal it carries.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Response<Incoming>, ClientError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| {
            let socket = self.socket.clone();
            match error.kind() {
                io::ErrorKind::PermissionDenied => ClientError::Denied(socket),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory => {
                    ClientError::NotRunning(socket)
                }
                _ => ClientError::Broken(error.into()),
            }
        })?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "xpand")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(broken)?;
        let exchange = async {
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            // Drives the exchange; ends when the answer is read or dropped.
            tokio::spawn(connection);
            sender.send_request(request).await
        };
        let response = timeout(PATIENCE, exchange).await.map_err(broken)?.map_err(broken)?;
        let status = response.status().as_u16();
        if response.status().is_success() {
            return Ok(response);
        }
        let document: FailureDocument =
            serde_json::from_slice(&whole(response).await?).map_err(ClientError::Strange)?;
        Err(Failure { status, ..document.error }.into())
    }
}

fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ClientError {
    ClientError::Broken(error.into())
}

async fn whole(response: Response<Incoming>) -> Result<Bytes, ClientError> {
    let body = timeout(PATIENCE, response.into_body().collect());
    Ok(body.await.map_err(broken)?.map_err(broken)?.to_bytes())
}

/// Status documents as they come.
#[derive(Debug)]
pub struct Events {
    body: Incoming,
    buffer: BytesMut,
}

impl Events {
    /// The next document; `None` when the agent is gone.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn next(&mut self) -> Result<Option<Status>, ClientError> {
        loop {
            while let Some(end) = self.buffer.windows(2).position(|two| two == b"\n\n") {
                let event = self.buffer.split_to(end + 2);
                if let Some(document) = event.strip_prefix(b"data: ") {
                    return serde_json::from_slice(document).map(Some).map_err(ClientError::Strange);
                }
            }
            let frame = timeout(PATIENCE, self.body.frame()).await.map_err(broken)?;
            match frame {
                None => return Ok(None),
                // Killed or stopped in the middle of the stream: gone is gone.
                Some(Err(error)) => {
                    tracing::debug!(%error, "the agent's events broke off");
                    return Ok(None);
                }
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}
