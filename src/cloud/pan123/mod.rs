//! 123pan: its image host (pan123-open-api.md, 图床; field notes 8).
//!
//! [`Pan123`] says what there is to know without asking, [`Oss`] is the [`Drive`] of one account. Everything there has an id and lies in a folder with an id; paths
//! are ours alone, and `folders.rs` knows the ids of folders. Every call with a token goes through
//! [`Oss::ask`]: within the calls a second (`limits.rs`), again later when the cloud says "too many", and once
//! more with another token when that is refused.
//!
//! | file | what it asks for |
//! | --- | --- |
//! | `login.rs` | access_token |
//! | `manage.rs` | mkdir, list, detail, delete |
//! | `upload.rs` | create, get_upload_url, PUT, upload_complete, upload_async_result |
//! | `download.rs` | content, by the direct link |
//! | `folders.rs`, `known.rs`, `remembered.rs` | where a path lies, what has its name, what is kept of that on disk |
//! | `seen.rs` | what was listed a moment ago, for whoever brings it home |
//! | `placing.rs` | under which name a picture goes into its folder; read its page before changing anything |
//! | `drive.rs`, `traits.rs` | the traits of `cloud/` |
//! | `session.rs` | an upload under way, as the pipeline keeps it |
//! | `answer.rs`, `wire.rs`, `codes.rs`, `limits.rs` | what comes back, and how often |
//!
//! A crash costs the calls in flight, and what is remembered of folders costs a listing.

mod answer;
pub mod codes;
mod download;
mod drive;
mod folders;
mod known;
mod limits;
mod login;
mod manage;
mod placing;
mod remembered;
mod seen;
mod session;
mod traits;
mod upload;
mod wire;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::http::{self, Answer, Body, Http, Limits, Options, Request};
use super::renewed::with_token;
use super::{Authority, Calls, Cloud, Drive, Error, Kind, Result, Service, Takes, Token, TokenSource};
use crate::config;
use crate::remote::Home;
use crate::remote::names::Rules;
use known::Known;
use seen::Seen;

/// 接口域名
const ORIGIN: &str = "https://open-api.123pan.com";
/// Answers without lists, bytes.
const SMALL: usize = 256 << 10;
/// Answers with lists, bytes: a hundred entries with the longest of names, every letter of them written as
/// `\u4e00`.
const LARGE: usize = 2 << 20;

/// How often a call is made anew that came too soon.
const PATIENCE: u32 = 5;
/// The first wait after that, doubling (field notes 8.2: at least half a second, with back-off).
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The most a picture may have, bytes (field notes 8.3).
const LARGEST: u64 = 100 << 20;
/// `sliceSize` as everybody has seen it, bytes (创建文件, 响应示例): no picture has more than one slice.
const SLICE: u64 = 104_857_600;

/// 123pan.
pub(super) struct Pan123;

/// "文件名要小于255个字符且不能包含以下任何字符：\"\\/:*?|><" (创建文件). Bytes, of which there are never fewer
/// than characters.
const NAMES: Rules = Rules { refused: "\"\\/:*?|><", only_bmp: false, longest: 254, whole_endings: true };

/// Field notes 8.3.
const PICTURES: Takes = Takes {
    endings: Some(&["png", "gif", "jpg", "jpeg", "tif", "tiff", "webp", "svg", "bmp"]),
    largest: Some(LARGEST),
    only: "123pan keeps pictures only: png gif jpg jpeg tif tiff webp svg bmp",
    at_most: "it is larger than 123pan takes pictures (100 MiB)",
};

impl Cloud for Pan123 {
    fn title(&self) -> &'static str {
        "123pan"
    }

    fn open(
        &self,
        account: &config::Account,
        tokens: Arc<dyn TokenSource>,
        calls: Arc<Calls>,
    ) -> Result<Arc<dyn Drive>> {
        Ok(Arc::new(Oss::open(account, tokens, calls)?))
    }

    fn authority(&self, account: &config::Account) -> Arc<dyn Authority> {
        Arc::new(login::Login::new(account))
    }

    fn home(&self, _account: &config::Account) -> Home {
        Home { path: String::new(), names: &NAMES }
    }

    fn takes(&self) -> &'static Takes {
        &PICTURES
    }

    fn has_links(&self) -> bool {
        true
    }

    fn services(&self) -> &'static [Service] {
        &[Service::Images]
    }

    fn explain(&self, code: &str) -> Vec<String> {
        code.parse().map(codes::explain).unwrap_or_default()
    }
}

/// The image host of one account.
pub struct Oss {
    http: Http,
    tokens: Arc<dyn TokenSource>,
    calls: Arc<Calls>,
    client_id: String,
    known: tokio::sync::Mutex<Known>,
    seen: Mutex<Seen>,
}

impl std::fmt::Debug for Oss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Oss").field("http", &self.http).finish_non_exhaustive()
    }
}

/// Calls go to the domain of the API only; slices and pictures have no token with them and go where the answers
/// say.
fn options(account: &config::Account) -> Options {
    Options {
        endpoint: account.endpoint.clone(),
        ca_file: account.ca_file.clone(),
        domains: &["123pan.com"],
        agent: concat!("xpand/", env!("CARGO_PKG_VERSION")),
        limits: Limits::default(),
    }
}

/// 公共请求头, of a GET too; the token stays out of every log.
fn headers(token: Option<&Token>) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static("platform"), HeaderValue::from_static("open_platform"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(token) = token {
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.secret())).map_err(|_| {
            Error::new(Kind::Unauthorized, "token", "the access token has characters that no token has")
                .unsent()
        })?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
    }
    Ok(headers)
}

/// One call.
struct Call<'a> {
    endpoint: &'static str,
    path: &'static str,
    ask: Ask<'a>,
    /// The largest answer, bytes.
    limit: usize,
}

/// What is asked.
enum Ask<'a> {
    /// A GET.
    Query(&'a [(&'a str, &'a str)]),
    /// A POST.
    Json(serde_json::Value),
}

impl Oss {
    /// The image host of a configured account. No call is made yet.
    ///
    /// # Errors
    /// [`Kind::Local`]: the endpoint or the CA file cannot be used.
    pub fn open(account: &config::Account, tokens: Arc<dyn TokenSource>, calls: Arc<Calls>) -> Result<Self> {
        let remembered = folders::remembered(account, calls.beside("folders"));
        Ok(Self {
            http: Http::new(options(account))?,
            tokens,
            calls,
            client_id: account.client_id.clone(),
            known: tokio::sync::Mutex::new(Known::of(remembered)),
            seen: Mutex::default(),
        })
    }

    /// Makes a call; `read` makes something of its answer.
    async fn ask<T>(&self, call: Call<'_>, read: impl Fn(&Answer) -> Result<T>) -> Result<T> {
        let (call, read) = (&call, &read);
        with_token(&*self.tokens, |token| async move { self.ask_with(call, read, &token).await }).await
    }

    async fn ask_with<T>(
        &self,
        call: &Call<'_>,
        read: &impl Fn(&Answer) -> Result<T>,
        token: &Token,
    ) -> Result<T> {
        let mut wait = FIRST_WAIT;
        for attempt in 1.. {
            if let Some(a_second) = limits::a_second(call.endpoint) {
                self.calls.pace(call.endpoint, a_second).await;
            }
            let (request, headers) = self.request(call, token)?;
            match read(&self.http.call_with(request, headers).await?) {
                Err(error) if answer::is_too_many(&error) && attempt < PATIENCE => {
                    self.calls.rest(wait).await;
                    wait *= 2;
                }
                Err(error) if answer::is_too_many(&error) => {
                    return Err(Error { kind: Kind::Busy { after: Some(wait) }, ..error });
                }
                answer => return answer,
            }
        }
        unreachable!("the last attempt returns")
    }

    fn request(&self, call: &Call<'_>, token: &Token) -> Result<(Request, HeaderMap)> {
        let Call { endpoint, path, limit, .. } = *call;
        let (query, body) = match &call.ask {
            Ask::Query(pairs) => (http::encode(pairs), Body::None),
            Ask::Json(json) => (String::new(), Body::Json(json.to_string())),
        };
        let url = self.http.address(endpoint, ORIGIN, path, &query)?;
        let secrets = vec![token.secret().to_owned()];
        Ok((Request { endpoint, url, body, limit, referer: None, secrets }, headers(Some(token))?))
    }
}

#[cfg(test)]
mod tests;
