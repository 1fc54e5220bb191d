//! Fetching files: a GET whose answer streams to whoever asked, with its redirects followed by hand.
//!
//! - **Where to**: the first address may carry a token and goes where any call may ([`Http::fetch_bare`] is
//!   for addresses with nothing secret, which may lead anywhere over https). From there on the token
//!   stays behind: an `access_token` in a `Location` is taken out, and an address that still has the token in
//!   it is refused. Only the provider's domains over https are followed (plain http there becomes https);
//!   with a configured endpoint it takes their place, and one on this machine may lead to any port of it.
//! - **How long**: no limit in all, a film takes as long as it takes; but every piece has to come within
//!   [`Limits::answer`](super::Limits). Waiting for our own disk is not counted.
//! - **How much**: exactly as much as was announced. A body that is shorter or longer ends with an error.
//!
//! Dropping the body ends the fetching. Nothing is kept here; whoever fetches knows how far it came.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use reqwest::header::{self, HeaderName};
use reqwest::{Response, StatusCode};
use tokio::time::{Instant, timeout};
use url::{Url, form_urlencoded};

use super::{Answer, Http, elapsed_ms, is_loopback, stalled, transport};
use crate::cloud::files::DownloadBody;
use crate::cloud::{Error, Kind, Result};
use crate::content::Md5;

/// The most redirects that are followed.
const REDIRECTS: usize = 5;
/// The most that is read of an answer that is no file, bytes.
const REFUSAL: usize = 64 << 10;
/// Bytes of a file that have to come in the time of [`super::Limits::answer`]: 4 KiB a minute is no line, but a server
/// that keeps us waiting.
const LEAST: usize = 4 << 10;

/// A file to fetch.
pub struct Fetch {
    /// Its name in the protocol's words, for errors and the log.
    pub endpoint: &'static str,
    /// Where to; made by [`Http::named`].
    pub url: Url,
    /// Where to begin, bytes.
    pub from: u64,
    /// Bytes of the whole file, where that is known.
    pub size: Option<u64>,
    /// What must not go along a redirect, nor come back out of [`Answer::clean`].
    pub secrets: Vec<String>,
}

/// Where a file may be fetched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reach {
    /// At the provider's own hosts: a token may be in the address.
    Providers,
    /// At any host over https: nothing secret goes there.
    Anywhere,
}

/// What came of it.
pub enum Fetched {
    /// The file.
    File(Streamed),
    /// A short text of another length than the file's, with HTTP 200: a refusal, or a file that has changed.
    Doubtful {
        /// As a file.
        file: Streamed,
        /// As a refusal.
        answer: Answer,
        /// As in [`Fetched::Refused`].
        redirected: bool,
    },
    /// Anything but HTTP 200 and 206.
    Refused {
        /// What the server said instead; without its body when that is large or does not come.
        answer: Answer,
        /// It was said by a server that we were sent on to, which knows no token.
        redirected: bool,
    },
}

/// A file on its way.
pub struct Streamed {
    /// Where the body begins: what was asked for, or 0 where ranges are not served.
    pub from: u64,
    /// Bytes of the whole file, where the server says it.
    pub total: Option<u64>,
    /// MD5 of the whole content: `Content-MD5` or `ETag` with 32 hex digits (field notes 3.7). Two that
    /// differ say nothing.
    pub content_md5: Option<Md5>,
    /// The bytes.
    pub body: DownloadBody,
}

impl Http {
    /// The address that an answer names, or the endpoint in its place. Only [`Http::allows`] says whether a
    /// token may go there.
    ///
    /// # Errors
    /// [`Kind::Broken`]: it is none of the provider's.
    pub fn named(&self, endpoint: &'static str, address: &str) -> Result<Url> {
        let strange = || {
            let words = "the cloud names an address that is none of its own";
            Error::new(Kind::Broken, endpoint, words).unsent()
        };
        Url::parse(address).ok().and_then(|url| self.ours(url)).ok_or_else(strange)
    }

    fn ours(&self, mut url: Url) -> Option<Url> {
        url.set_fragment(None);
        let provided = self.is_providers(&url);
        match &self.endpoint {
            Some(own) if provided => {
                let mut there = own.clone();
                there.set_path(&format!("{}{}", own.path().trim_end_matches('/'), url.path()));
                there.set_query(url.query());
                Some(there)
            }
            Some(own) => {
                let here = is_loopback(own) && is_loopback(&url) && matches!(url.scheme(), "http" | "https");
                (here || url.origin() == own.origin()).then_some(url)
            }
            None => (provided && url.set_scheme("https").is_ok()).then_some(url),
        }
    }

    /// The address that an answer names, for a request that carries nothing secret: any host over https, and
    /// where the endpoint is on this machine, this machine.
    ///
    /// # Errors
    /// [`Kind::Broken`]: it is no such address.
    pub fn bare(&self, endpoint: &'static str, address: &str) -> Result<Url> {
        let strange = || {
            let words = "the cloud names an address that is not https";
            Error::new(Kind::Broken, endpoint, words).unsent()
        };
        Url::parse(address).ok().and_then(|url| self.anywhere(url)).ok_or_else(strange)
    }

    pub(super) fn anywhere(&self, mut url: Url) -> Option<Url> {
        if let Some(own) = self.ours(url.clone()) {
            return Some(own);
        }
        url.set_fragment(None);
        let is_https = url.scheme() == "https" && url.has_host();
        (is_https && url.username().is_empty() && url.password().is_none()).then_some(url)
    }

    /// One of the provider's own hosts, at the port that its scheme has by itself.
    fn is_providers(&self, url: &Url) -> bool {
        matches!(url.scheme(), "http" | "https")
            && url.port().is_none()
            && url.username().is_empty()
            && url.password().is_none()
            && url.domain().is_some_and(|host| self.in_domains(host))
    }

    /// Begins to fetch a file.
    ///
    /// # Errors
    /// [`Kind::Offline`] without an answer, [`Kind::Broken`] when we are sent where we do not go or get
    /// another part of the file than was asked for. Statuses are not errors here.
    pub async fn fetch(&self, ask: Fetch) -> Result<Fetched> {
        self.fetch_from(ask, Reach::Providers).await
    }

    /// As [`Http::fetch`], of an address with nothing secret in it, made by [`Http::bare`]: redirects may
    /// lead to any host as well.
    ///
    /// # Errors
    /// As [`Http::fetch`].
    pub async fn fetch_bare(
        &self,
        endpoint: &'static str,
        url: Url,
        from: u64,
        size: u64,
    ) -> Result<Fetched> {
        let ask = Fetch { endpoint, url, from, size: Some(size), secrets: Vec::new() };
        self.fetch_from(ask, Reach::Anywhere).await
    }

    async fn fetch_from(&self, ask: Fetch, reach: Reach) -> Result<Fetched> {
        let endpoint = ask.endpoint;
        let begun = Instant::now();
        let fetched = self.follow(ask, reach, begun).await;
        if let Err(error) = &fetched {
            tracing::debug!(endpoint, took_ms = elapsed_ms(begun), "not fetched: {}", error.message);
        }
        fetched
    }

    async fn follow(&self, ask: Fetch, reach: Reach, begun: Instant) -> Result<Fetched> {
        let Fetch { endpoint, mut url, from, size, secrets } = ask;
        let may_go = match reach {
            Reach::Providers => self.allows(&url),
            Reach::Anywhere => self.anywhere(url.clone()).is_some(),
        };
        if !may_go {
            return Err(Error::new(Kind::Broken, endpoint, "the address is not the cloud's").unsent());
        }
        for redirects in 0..=REDIRECTS {
            let mut call = self.client.get(url.clone());
            if from > 0 {
                call = call.header(header::RANGE, format!("bytes={from}-"));
            }
            let limit = self.limits.answer + self.limits.connect;
            let mut response = match timeout(limit, call.send()).await {
                Ok(sent) => sent.map_err(|error| transport(endpoint, error))?,
                Err(_) => return Err(stalled(endpoint, limit)),
            };
            let status = response.status();
            let took_ms = elapsed_ms(begun);
            tracing::debug!(endpoint, status = status.as_u16(), redirects, from, took_ms, "answered");
            if matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
                let file = self.streamed(endpoint, response, from)?;
                let is_odd = |size| status == StatusCode::OK && file.total != Some(size);
                let Some(size) = size.filter(|&size| is_odd(size)) else { return Ok(Fetched::File(file)) };
                let (file, body) = file.looked_into().await;
                let body = body.filter(|body| body.len() as u64 != size);
                return Ok(match body {
                    None => Fetched::File(file),
                    Some(body) => {
                        let (status, took) = (status.as_u16(), begun.elapsed());
                        let answer = Answer { endpoint, status, body, took, secrets };
                        Fetched::Doubtful { file, answer, redirected: redirects > 0 }
                    }
                });
            }
            match onward(&response) {
                Some(location) => url = self.next(endpoint, &url, location, reach, &secrets)?,
                None => {
                    let body = self.whole(endpoint, &mut response, REFUSAL).await.unwrap_or_default();
                    let (status, took) = (status.as_u16(), begun.elapsed());
                    let answer = Answer { endpoint, status, body, took, secrets };
                    return Ok(Fetched::Refused { answer, redirected: redirects > 0 });
                }
            }
        }
        let words = format!("the cloud sends us on more than {REDIRECTS} times");
        Err(Error::new(Kind::Broken, endpoint, words))
    }

    /// Where a redirect leads, without our token.
    fn next(
        &self,
        endpoint: &'static str,
        url: &Url,
        location: &str,
        reach: Reach,
        secrets: &[String],
    ) -> Result<Url> {
        let refused = |words: String| Error::new(Kind::Broken, endpoint, words);
        let to = url.join(location).map_err(|_| refused("the cloud sends us on to nowhere".to_owned()))?;
        let host: String = to.host_str().unwrap_or("nowhere").chars().take(100).collect();
        let to = match reach {
            Reach::Providers => self.ours(to).ok_or("none of its own servers over https"),
            Reach::Anywhere => self.anywhere(to).ok_or("not https"),
        };
        let mut to =
            to.map_err(|what| refused(format!("the cloud sends us on to {host}, which is {what}")))?;
        let kept = to.query().map(|query| {
            let pairs = query.split('&');
            let is_token = |pair: &&str| {
                form_urlencoded::parse(pair.as_bytes())
                    .any(|(key, _)| key.eq_ignore_ascii_case("access_token"))
            };
            pairs.filter(|pair| !is_token(pair)).collect::<Vec<_>>().join("&")
        });
        to.set_query(kept.as_deref().filter(|query| !query.is_empty()));
        let decoded = decode(to.as_str());
        if secrets.iter().any(|secret| !secret.is_empty() && decoded.contains(secret.as_str())) {
            return Err(refused(format!("the cloud sends us on to {host} with our token in the address")));
        }
        Ok(to)
    }

    fn streamed(&self, endpoint: &'static str, response: Response, asked: u64) -> Result<Streamed> {
        let broken = |words: &str| Error::new(Kind::Broken, endpoint, words);
        let header = |name: HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
        if header(header::CONTENT_ENCODING).is_some_and(|how| !how.eq_ignore_ascii_case("identity")) {
            return Err(broken("the file comes packed, which was not asked for"));
        }
        let length = header(header::CONTENT_LENGTH).and_then(|length| length.trim().parse::<u64>().ok());
        let (from, total) = if response.status() == StatusCode::PARTIAL_CONTENT {
            let range = header(header::CONTENT_RANGE).and_then(content_range);
            match range {
                Some((first, total)) if first == asked => (first, Some(total)),
                _ => return Err(broken("the cloud sends another part of the file than was asked for")),
            }
        } else {
            (0, length)
        };
        let md5 = |name| header(name).and_then(|text| text.trim().trim_matches('"').parse::<Md5>().ok());
        let content_md5 = match (md5(HeaderName::from_static("content-md5")), md5(header::ETAG)) {
            (Some(one), Some(other)) => (one == other).then_some(one),
            (one, other) => one.or(other),
        };
        let left = total.map(|total| total - from);
        let limit = self.limits.answer;
        let drip = Drip { window: limit, waited: Duration::ZERO, came: 0 };
        let body = futures_util::stream::unfold(Some((response, left, drip)), move |state| async move {
            let (mut response, left, mut drip) = state?;
            let broken = |kind, words: &str| Error::new(kind, endpoint, words);
            let begun = Instant::now();
            let piece = timeout(limit, response.chunk()).await;
            let piece = match piece {
                Err(_) => Err(stalled(endpoint, limit)),
                Ok(Err(error)) => {
                    let words = "the connection broke in the middle of the file";
                    Err(broken(Kind::Offline, words).because(error.without_url()))
                }
                Ok(Ok(None)) if left.is_none_or(|left| left == 0) => return None,
                Ok(Ok(None)) => Err(broken(Kind::Broken, "the file ends before its end")),
                Ok(Ok(Some(piece))) if drip.is_more(begun.elapsed(), piece.len()) => Ok(piece),
                Ok(Ok(Some(_))) => {
                    let words = format!("almost nothing came for {} seconds", limit.as_secs());
                    Err(broken(Kind::Offline, &words))
                }
            };
            let piece = piece.and_then(|piece| match left {
                None => Ok((piece, None)),
                Some(left) => match left.checked_sub(piece.len() as u64) {
                    Some(left) => Ok((piece, Some(left))),
                    None => Err(broken(Kind::Broken, "the file does not end at its end")),
                },
            });
            match piece {
                Ok((piece, left)) => Some((Ok(piece), Some((response, left, drip)))),
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(Streamed { from, total, content_md5, body: Box::pin(body) })
    }
}

/// How quickly a body comes, over windows of time that was spent waiting for the network.
struct Drip {
    window: Duration,
    waited: Duration,
    came: usize,
}

impl Drip {
    /// Whether it comes, and is not just kept open by a byte now and then.
    fn is_more(&mut self, waited: Duration, came: usize) -> bool {
        self.waited += waited;
        self.came = self.came.saturating_add(came);
        if self.waited < self.window {
            return true;
        }
        let is_more = self.came >= LEAST;
        (self.waited, self.came) = (Duration::ZERO, 0);
        is_more
    }
}

impl Streamed {
    /// The same file, and all of it if it is short and came whole.
    async fn looked_into(mut self) -> (Self, Option<Bytes>) {
        if self.total.is_some_and(|total| total > REFUSAL as u64) {
            return (self, None);
        }
        let (mut held, mut text) = (Vec::new(), BytesMut::new());
        while text.len() <= REFUSAL {
            match self.body.next().await {
                Some(Ok(piece)) => {
                    text.extend_from_slice(&piece);
                    held.push(Ok(piece));
                }
                ended => {
                    let is_whole = ended.is_none();
                    self.body = Box::pin(futures_util::stream::iter(held.into_iter().chain(ended)));
                    return (self, is_whole.then(|| text.freeze()));
                }
            }
        }
        self.body = Box::pin(futures_util::stream::iter(held).chain(self.body));
        (self, None)
    }
}

/// `Location` of a redirect.
fn onward(response: &Response) -> Option<&str> {
    let leads = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    response.headers().get(header::LOCATION).filter(|_| leads)?.to_str().ok()
}

/// `bytes 5-9/10`: where it begins, and the length of the whole.
fn content_range(text: &str) -> Option<(u64, u64)> {
    let (unit, range) = text.trim().split_once(' ')?;
    let (part, total) = range.trim().split_once('/')?;
    let (first, last) = part.split_once('-')?;
    let (first, last, total) = (first.parse().ok()?, last.parse::<u64>().ok()?, total.parse().ok()?);
    (unit.eq_ignore_ascii_case("bytes") && first <= last && last < total).then_some((first, total))
}

/// `text` without `%XX`. What is no UTF-8 then is not kept.
pub(crate) fn decode(text: &str) -> String {
    let text = text.replace('+', "%2B").replace('&', "%26");
    form_urlencoded::parse(format!("={text}").as_bytes()).map(|(_, value)| value).collect()
}

#[cfg(test)]
mod tests;
