//! The one HTTP client of all clouds: where requests may go, how long they may stall, how large an
//! answer may be. It knows nothing of tokens and error numbers.
//!
//! - **Where to**: https to the provider's own domains. A configured `endpoint` takes the place of all
//!   of them; plain http is accepted for a loopback endpoint only, and proxies do not apply there. What
//!   carries nothing secret may go to any host over https that an answer names ([`Http::bare`]).
//!   Redirects are not followed: every address we call carries a token, and API calls never redirect.
//!   Files do (`download.rs`), by hand and without the token.
//! - **How long**: what we send is given up by lack of progress, never by total time; a slice may take half
//!   an hour on a slow line. An answer is small, and one that comes a byte a minute would never end: its
//!   reading has an end in all. See [`Limits`]. A connection whose bytes are not acknowledged is given up
//!   by the kernel (`TCP_USER_TIMEOUT`), which sees progress that we do not.
//! - **How large**: an answer is read piece by piece and dropped where it grows past [`Request::limit`]; its
//!   head has at most 100 lines (hyper's own limit). No compression is asked for, so that a kilobyte stays
//!   a kilobyte.
//! - **Redaction**: addresses carry tokens, so none is ever part of an error or a log line; and what a
//!   server echoes of our secrets is blotted out by [`Answer::clean`].
//!
//! Dropping a call's future ends the call. A crash costs the calls in flight.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::HeaderMap;
use reqwest::{Certificate, Client, ClientBuilder, Method, header, redirect};
use tokio::time::Instant;
use url::{Host, Url};

use super::{Error, Kind, Result, SliceBody};

mod download;
mod knock;
mod meter;
pub(crate) use download::decode;
pub use download::{Fetch, Fetched, Streamed};
use knock::Door;
use meter::Meter;

/// How long a call may make no progress, and its answer take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// To connect, TLS included.
    pub connect: Duration,
    /// Until an answer begins, and between two pieces of it.
    pub answer: Duration,
    /// From the beginning of an answer to its end, for each MiB that it may have. It holds one of the few
    /// places for calls, so that a small one ends soon; a page of a list is as slow as a line may be.
    pub whole: Duration,
    /// Between two pieces of a streamed body. The client hands a quarter of a MiB to the kernel at a
    /// time, and a line of 2 KB a second needs two minutes for that.
    pub body: Duration,
    /// From the last piece of a streamed body to the answer: the kernel may still hold megabytes, and
    /// the cloud stores the slice before it answers.
    pub after_body: Duration,
    /// How long the kernel waits for bytes to be acknowledged.
    pub acknowledge: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            answer: Duration::from_secs(60),
            whole: Duration::from_secs(120),
            body: Duration::from_secs(180),
            after_body: Duration::from_secs(600),
            acknowledge: Duration::from_secs(90),
        }
    }
}

/// What a client needs to know of its cloud.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Takes the place of all the provider's hosts.
    pub endpoint: Option<Url>,
    /// More roots to trust, PEM.
    pub ca_file: Option<PathBuf>,
    /// The domains requests may go to, with all below them.
    pub domains: &'static [&'static str],
    /// `User-Agent`.
    pub agent: &'static str,
    /// How long without progress.
    pub limits: Limits,
}

/// The client of one account.
#[derive(Debug)]
pub struct Http {
    client: Client,
    endpoint: Option<Url>,
    domains: &'static [&'static str],
    limits: Limits,
    door: Door,
}

/// A call.
pub struct Request {
    /// Its name in the protocol's words, for errors and the log.
    pub endpoint: &'static str,
    /// Where to; made by [`Http::address`].
    pub url: Url,
    /// What is sent.
    pub body: Body,
    /// Bytes: a larger answer is not read.
    pub limit: usize,
    /// `Referer`, for the calls that want one.
    pub referer: Option<&'static str>,
    /// What must not come back out of [`Answer::clean`].
    pub secrets: Vec<String>,
}

/// What is sent.
pub enum Body {
    /// Nothing: a GET.
    None,
    /// A form: a POST.
    Form(String),
    /// A document: a POST.
    Json(String),
    /// The bytes themselves, streamed, with their exact `Content-Length`: a PUT, to where [`Http::bare`] says.
    Bytes {
        /// Bytes.
        length: u64,
        /// Exactly `length` bytes.
        body: SliceBody,
    },
    /// One file as `multipart/form-data`, streamed, with its exact `Content-Length`: a POST.
    File {
        /// Field name.
        field: &'static str,
        /// Bytes.
        length: u64,
        /// Exactly `length` bytes.
        body: SliceBody,
    },
}

/// A whole answer, whatever its status.
pub struct Answer {
    /// The call's name.
    pub endpoint: &'static str,
    /// HTTP status.
    pub status: u16,
    /// All of it.
    pub body: Bytes,
    /// How long the call took.
    pub took: Duration,
    secrets: Vec<String>,
}

/// So long a word of letters, digits, dots and dashes is a token or an id, and no word for a person.
const TOKEN_LIKE: usize = 40;

impl Answer {
    #[cfg(test)]
    pub(super) fn for_test(endpoint: &'static str, status: u16, body: &str, secrets: &[&str]) -> Self {
        Self {
            endpoint,
            status,
            body: Bytes::copy_from_slice(body.as_bytes()),
            took: Duration::ZERO,
            secrets: secrets.iter().map(|&secret| secret.to_owned()).collect(),
        }
    }

    /// `text` of the server as it may be shown: without our secrets and control characters, not long.
    #[must_use]
    pub fn clean(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in self.secrets.iter().filter(|secret| !secret.is_empty()) {
            text = text.replace(secret, "…");
        }
        // It may repeat one that this call does not know: an earlier token.
        let is_of_token = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let words = text.split_inclusive(|c| !is_of_token(c));
        let text: String = words
            .map(|word| {
                let (word, end) = match word.char_indices().next_back() {
                    Some((at, last)) if !is_of_token(last) => word.split_at(at),
                    _ => (word, ""),
                };
                let word = if word.len() < TOKEN_LIKE { word } else { "…" };
                format!("{word}{end}")
            })
            .collect();
        let mut words: String = text.chars().filter(|c| !c.is_control()).take(300).collect();
        words.truncate(words.trim_end().len());
        words
    }
}

impl Http {
    /// A client. No connection is made yet.
    ///
    /// # Errors
    /// [`Kind::Local`]: the endpoint or the CA file cannot be used.
    pub fn new(options: Options) -> Result<Self> {
        let local = |words: String| Error::new(Kind::Local, "configuration", words).unsent();
        let loopback = options.endpoint.as_ref().is_some_and(is_loopback);
        if let Some(endpoint) = &options.endpoint {
            let fits = endpoint.has_host()
                && match endpoint.scheme() {
                    "https" => true,
                    "http" => loopback,
                    _ => false,
                };
            if !fits {
                return Err(local(format!(
                    "endpoint {endpoint} must be https, or http to this machine itself"
                )));
            }
        }
        let build = |system_roots: bool| -> Result<Client> {
            let limits = &options.limits;
            let mut builder: ClientBuilder = Client::builder()
                .user_agent(options.agent)
                .redirect(redirect::Policy::none())
                .connect_timeout(limits.connect)
                .tcp_user_timeout(limits.acknowledge)
                .tcp_keepalive(Duration::from_secs(30))
                .tcp_keepalive_interval(Duration::from_secs(15))
                .pool_idle_timeout(Duration::from_secs(90))
                .https_only(!loopback)
                .tls_built_in_native_certs(system_roots);
            if loopback {
                builder = builder.no_proxy();
            }
            if let Some(file) = &options.ca_file {
                let name = file.display();
                let pem = std::fs::read(file)
                    .map_err(|error| local(format!("ca_file {name} cannot be read")).because(error))?;
                let roots = Certificate::from_pem_bundle(&pem)
                    .map_err(|error| local(format!("ca_file {name} is no PEM")).because(error))?;
                if roots.is_empty() {
                    return Err(local(format!("ca_file {name} has no certificate in it")));
                }
                builder = roots.into_iter().fold(builder, ClientBuilder::add_root_certificate);
            }
            builder.build().map_err(|error| local("the TLS client cannot start".into()).because(error))
        };
        // A system store in which nothing is readable makes the builder fail; we bring our own roots.
        let client = build(true).or_else(|_| build(false))?;
        Ok(Self {
            client,
            endpoint: options.endpoint,
            domains: options.domains,
            limits: options.limits,
            door: Door::default(),
        })
    }

    /// The address of `path` at `origin` (`https://pan.baidu.com`), or at the endpoint that replaces it.
    ///
    /// # Errors
    /// [`Kind::Broken`]: `origin` is not one of the provider's.
    pub fn address(&self, endpoint: &'static str, origin: &str, path: &str, query: &str) -> Result<Url> {
        let strange =
            || Error::new(Kind::Broken, endpoint, "the cloud names a server that is not its own").unsent();
        let mut url = match &self.endpoint {
            Some(own) => own.clone(),
            None => Url::parse(origin).map_err(|_| strange())?,
        };
        let path = format!("{}{path}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url.set_query((!query.is_empty()).then_some(query));
        if self.allows(&url) { Ok(url) } else { Err(strange()) }
    }

    /// Whether a request with a token may go to `url`.
    #[must_use]
    pub fn allows(&self, url: &Url) -> bool {
        if let Some(own) = &self.endpoint {
            return url.origin() == own.origin();
        }
        url.scheme() == "https"
            && url.port_or_known_default() == Some(443)
            && url.username().is_empty()
            && url.password().is_none()
            && matches!(url.host(), Some(Host::Domain(host)) if self.in_domains(host))
    }

    fn in_domains(&self, host: &str) -> bool {
        self.domains.iter().any(|domain| {
            host.strip_suffix(domain).is_some_and(|before| before.is_empty() || before.ends_with('.'))
        })
    }

    /// How long the way takes at this moment to where something was sent last: once there and back. `None` when
    /// that is not known.
    pub async fn knock(&self) -> Option<Duration> {
        self.door.knock().await
    }

    /// Makes the call and reads the answer.
    ///
    /// # Errors
    /// [`Kind::Offline`] without an answer, [`Kind::Broken`] when it is cut or too large,
    /// [`Kind::Local`] when the body failed. HTTP statuses are not errors here.
    pub async fn call(&self, request: Request) -> Result<Answer> {
        self.call_with(request, HeaderMap::new()).await
    }

    /// As [`Http::call`], with more headers.
    ///
    /// # Errors
    /// As [`Http::call`].
    pub async fn call_with(&self, request: Request, headers: HeaderMap) -> Result<Answer> {
        let endpoint = request.endpoint;
        let begun = Instant::now();
        let answer = self.exchange(request, headers, begun).await;
        if let Err(error) = &answer {
            let took_ms = elapsed_ms(begun);
            let cause = error.source.as_ref().map(|cause| innermost(cause.as_ref()));
            tracing::debug!(endpoint, took_ms, cause, "no answer: {}", error.message);
        }
        answer
    }

    async fn exchange(&self, request: Request, headers: HeaderMap, begun: Instant) -> Result<Answer> {
        let Request { endpoint, url, body, limit, referer, secrets } = request;
        let is_bare = matches!(body, Body::Bytes { .. }) && self.anywhere(url.clone()).is_some();
        if !is_bare && !self.allows(&url) {
            return Err(Error::new(Kind::Broken, endpoint, "the address is not the cloud's").unsent());
        }
        if matches!(body, Body::Bytes { .. } | Body::File { .. }) {
            self.door.is_at(&url);
        }
        let failed = Arc::new(Mutex::new(None));
        let meter = Meter::new(self.limits);
        let call = match body {
            Body::None => self.client.request(Method::GET, url),
            Body::Form(form) => self
                .client
                .request(Method::POST, url)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form),
            Body::Json(json) => self
                .client
                .request(Method::POST, url)
                .header(header::CONTENT_TYPE, "application/json")
                .body(json),
            Body::Bytes { length, body } => {
                let body = meter.watch(body, length, Arc::clone(&failed));
                self.client
                    .request(Method::PUT, url)
                    .header(header::CONTENT_TYPE, "application/octet-stream")
                    .header(header::CONTENT_LENGTH, length)
                    .body(reqwest::Body::wrap_stream(body))
            }
            Body::File { field, length, body } => {
                let body = meter.watch(body, length, Arc::clone(&failed));
                // The name must be there and ASCII (field notes 3.4); it means nothing.
                let part =
                    reqwest::multipart::Part::stream_with_length(reqwest::Body::wrap_stream(body), length)
                        .file_name("slice");
                let form = reqwest::multipart::Form::new().part(field, part);
                self.client.request(Method::POST, url).multipart(form)
            }
        };
        let call = match referer {
            Some(referer) => call.header(header::REFERER, referer),
            None => call,
        };
        let call = call.headers(headers);
        let sent = tokio::select! {
            sent = call.send() => sent,
            limit = meter.stalled() => return Err(stalled(endpoint, limit)),
        };
        let mut response = match sent {
            Ok(response) => response,
            Err(error) => {
                let own = failed.lock().unwrap_or_else(PoisonError::into_inner).take();
                return Err(match own {
                    Some(error) => {
                        Error::new(Kind::Local, endpoint, "the file cannot be read").because(error)
                    }
                    None => transport(endpoint, error),
                });
            }
        };
        let status = response.status().as_u16();
        let body = self.whole(endpoint, &mut response, limit).await?;
        Ok(Answer { endpoint, status, body, took: begun.elapsed(), secrets })
    }

    /// Reads an answer of at most `limit` bytes to its end.
    async fn whole(
        &self,
        endpoint: &'static str,
        response: &mut reqwest::Response,
        limit: usize,
    ) -> Result<Bytes> {
        let too_large =
            || Error::new(Kind::Broken, endpoint, format!("the answer is larger than {limit} bytes"));
        if response.content_length().is_some_and(|length| length > limit as u64) {
            return Err(too_large());
        }
        let mut body = BytesMut::new();
        let whole = self.limits.whole * u32::try_from(limit >> 20).unwrap_or(u32::MAX).max(1);
        let end = Instant::now() + whole;
        loop {
            let until = end.min(Instant::now() + self.limits.answer);
            match tokio::time::timeout_at(until, response.chunk()).await {
                Err(_) if until == end => {
                    let words = format!("the answer did not end in {} seconds", whole.as_secs());
                    return Err(Error::new(Kind::Offline, endpoint, words));
                }
                Err(_) => return Err(stalled(endpoint, self.limits.answer)),
                Ok(Err(error)) => {
                    return Err(Error::new(Kind::Broken, endpoint, "the answer was cut off")
                        .because(error.without_url()));
                }
                Ok(Ok(None)) => return Ok(body.freeze()),
                Ok(Ok(Some(piece))) if body.len() + piece.len() > limit => return Err(too_large()),
                Ok(Ok(Some(piece))) => body.extend_from_slice(&piece),
            }
        }
    }
}

/// A query or form. Blanks become `%20`, which every server reads alike, in a query and in a form.
#[must_use]
pub fn encode(pairs: &[(&str, &str)]) -> String {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    text.extend_pairs(pairs);
    text.finish().replace('+', "%20")
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn stalled(endpoint: &'static str, limit: Duration) -> Error {
    Error::new(Kind::Offline, endpoint, format!("nothing moved for {} seconds", limit.as_secs()))
}

/// What reqwest says when there is no answer. Of its chain of causes the innermost tells something; the others
/// say once more that a request was sent, or name the address.
fn transport(endpoint: &'static str, error: reqwest::Error) -> Error {
    let cause = innermost(&error);
    if error.is_connect() {
        let words = if error.is_timeout() { "no connection in time" } else { "no connection" };
        Error::new(Kind::Offline, endpoint, words).because(cause).unsent()
    } else if error.is_builder() {
        Error::new(Kind::Local, endpoint, "the request cannot be made").because(cause).unsent()
    } else {
        Error::new(Kind::Offline, endpoint, "the connection broke before the answer").because(cause)
    }
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

fn elapsed_ms(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
