//! "下载": a dlink leads by 302 to another host, which has the bytes (field notes 5).
//!
//! ```text
//! GET /file/<md5>?fid=…&sign=…&dstime=…&access_token=…      on the cloud's own address: 302
//! GET /cdn/file/<md5>?fid=…&sign=…&time=…                   on the CDN's address: the bytes
//! ```

use std::io;
use std::path::PathBuf;

use hyper::Response;
use hyper::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_RANGE,
    LOCATION, RANGE, USER_AGENT,
};

use crate::answer::{Answer, Body, Refusal, Reply, page};
use crate::body;
use crate::cloud_md5::md5_hex;
use crate::entry::Entry;
use crate::request::Ask;
use crate::state::{Cloud, State};
use crate::users::TokenState;

/// "dlink有效期为8小时".
pub(crate) const LINK_LIFE_SECS: u64 = 8 * 3600;

/// What the signatures of dlinks and of the CDN begin with.
const DLINK: &str = "FDtAERV";
const CDN: &str = "FDTAXERLBH";

/// "固定传：pan.baidu.com".
const AGENT: &str = "pan.baidu.com";

/// The dlink of filemetas: it has a query already, a client joins its token with `&`.
pub(crate) fn link(base: &str, entry: &Entry, uk: u64, now: u64) -> String {
    format!(
        "{base}/file/{}?fid={uk}-250528-{}&rt=pr&sign={}&expires=8h&chkbd=0&chkv=2&dstime={now}",
        entry.cloud_md5,
        entry.fs_id,
        sign(DLINK, entry, uk, now)
    )
}

/// GET /file/<md5>: a dlink.
pub(crate) fn dlink(cloud: &Cloud, ask: &Ask) -> Reply {
    check_agent(ask)?;
    let account = match cloud.token_state(ask) {
        TokenState::Valid(account) => account,
        // "often access_token missing or URL truncated" (field notes 2.2).
        TokenState::Missing => return Err(Refusal::pcs(31362)),
        TokenState::Unknown => return Err(Refusal::pcs(31045)),
        TokenState::Expired => return Err(Refusal::pcs(111)),
    };
    let state = cloud.lock();
    let wanted = Wanted { kind: DLINK, time: "dstime", prefix: "/file/", life_secs: LINK_LIFE_SECS };
    let (owner, entry, uk) = wanted.find(cloud, &state, ask)?;
    if owner != account {
        return Err(Refusal::pcs(31045));
    }
    let (now, cdn) = (cloud.now(), ask.cdn_url(cloud.cdn_port()));
    let location = format!(
        "{cdn}/cdn/file/{}?fid={uk}-250528-{}&sign={}&expires=1h&time={now}",
        entry.cloud_md5,
        entry.fs_id,
        sign(CDN, entry, uk, now)
    );
    let mut response = page(302, "text/html", "");
    response.headers_mut().insert(LOCATION, HeaderValue::from_str(&location).map_err(io::Error::other)?);
    Ok(Answer::page(response))
}

/// GET /cdn/file/<md5>: where a dlink leads to.
pub(crate) async fn cdn(cloud: &Cloud, ask: &Ask) -> Reply {
    check_agent(ask)?;
    let (file, md5, size) = {
        let state = cloud.lock();
        let wanted = Wanted {
            kind: CDN,
            time: "time",
            prefix: "/cdn/file/",
            life_secs: cloud.options.cdn_ttl.as_secs(),
        };
        let (owner, entry, _) = wanted.find(cloud, &state, ask)?;
        let disk = state.drives.disk(owner, &entry.path)?;
        let md5 = entry.content_md5.of(&disk)?.to_owned();
        (disk, md5, entry.size)
    };
    Ok(Answer::page(content(&ask.headers, file, &md5, size).await?))
}

fn check_agent(ask: &Ask) -> Result<(), Refusal> {
    match ask.header(USER_AGENT.as_str()) {
        Some(AGENT) => Ok(()),
        _ => Err(Refusal::pcs(31326)),
    }
}

/// What no one else can make: here it is enough that it belongs to this file, this user and this time.
pub(crate) fn sign(kind: &str, entry: &Entry, uk: u64, time: u64) -> String {
    let bound_to = format!("{kind}-{uk}-{}-{}-{time}", entry.fs_id, entry.cloud_md5);
    format!("{kind}-{}", md5_hex(bound_to.as_bytes()))
}

/// A signed address of one file.
pub(crate) struct Wanted {
    /// What `sign` was made for.
    pub(crate) kind: &'static str,
    /// The parameter that says when it was made.
    pub(crate) time: &'static str,
    /// What stands before the md5.
    pub(crate) prefix: &'static str,
    pub(crate) life_secs: u64,
}

impl Wanted {
    /// Whose file it is: 31362 for a wrong signature, 31360 when its time is over, 31066 when the file is
    /// gone or has other content now.
    pub(crate) fn find<'a>(
        &self,
        cloud: &Cloud,
        state: &'a State,
        ask: &Ask,
    ) -> Result<(&'a str, &'a Entry, u64), Refusal> {
        let unsigned = || Refusal::pcs(31362);
        let md5 = ask.path.strip_prefix(self.prefix).ok_or_else(unsigned)?;
        let time = ask.query.number::<u64>(self.time).ok().flatten().ok_or_else(unsigned)?;
        let mut fid = ask.query.get("fid").unwrap_or_default().split("-250528-");
        let mut number = || fid.next().and_then(|part| part.parse::<u64>().ok());
        let (uk, fs_id) = number().zip(number()).ok_or_else(unsigned)?;
        let named = Entry { fs_id, cloud_md5: md5.into(), ..Entry::default() };
        if ask.query.get("sign") != Some(sign(self.kind, &named, uk, time).as_str()) {
            return Err(unsigned());
        }
        if cloud.now() > time + self.life_secs {
            return Err(Refusal::pcs(31360));
        }
        let accounts = &state.users.accounts;
        let (owner, _) = accounts.iter().find(|(_, account)| account.uk == uk).ok_or_else(unsigned)?;
        let entry = state
            .drives
            .get_by_id(owner, fs_id)
            .filter(|entry| !entry.isdir && entry.cloud_md5 == md5)
            .ok_or_else(|| Refusal::pcs(31066))?;
        Ok((owner, entry, uk))
    }
}

/// The bytes, or the part of them that a Range asks for.
pub(crate) async fn content(
    headers: &HeaderMap,
    file: PathBuf,
    md5: &str,
    size: u64,
) -> Result<Response<Body>, Refusal> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let unchanged = text(IF_RANGE).is_none_or(|etag| etag.trim_matches('"') == md5);
    let mut response = match text(RANGE).filter(|_| unchanged).map(|range| read_range(range, size)) {
        Some(None) => {
            let mut response = page(416, "text/plain", "");
            put(&mut response, CONTENT_RANGE, format!("bytes */{size}"));
            return Ok(response);
        }
        Some(Some((from, to))) => {
            let mut response = body::of_file(&file, from, to - from + 1).await?;
            *response.status_mut() = hyper::StatusCode::PARTIAL_CONTENT;
            put(&mut response, CONTENT_LENGTH, (to - from + 1).to_string());
            put(&mut response, CONTENT_RANGE, format!("bytes {from}-{to}/{size}"));
            response
        }
        None => {
            let mut response = body::of_file(&file, 0, size).await?;
            put(&mut response, CONTENT_LENGTH, size.to_string());
            response
        }
    };
    put(&mut response, ACCEPT_RANGES, "bytes".into());
    // The true MD5 of the whole content, whatever part of it is sent (field notes 3.7).
    put(&mut response, ETAG, md5.into());
    put(&mut response, HeaderName::from_static("content-md5"), md5.into());
    Ok(response)
}

pub(crate) fn put(response: &mut Response<Body>, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::from_str(&value) {
        response.headers_mut().insert(name, value);
    }
}

/// First and last byte of one range; `None` when there is no such part.
fn read_range(text: &str, size: u64) -> Option<(u64, u64)> {
    let (from, to) = text.trim().strip_prefix("bytes=")?.split_once('-')?;
    let (from, to) = match (from, to) {
        ("", last) => {
            (size.saturating_sub(last.parse::<u64>().ok().filter(|n| *n > 0)?), size.checked_sub(1)?)
        }
        (from, "") => (from.parse().ok()?, size.checked_sub(1)?),
        (from, to) => (from.parse().ok()?, to.parse::<u64>().ok()?.min(size.checked_sub(1)?)),
    };
    (from <= to).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_http_writes_them() {
        for (text, part) in [
            ("bytes=0-", Some((0, 9))),
            ("bytes=3-5", Some((3, 5))),
            ("bytes=3-99", Some((3, 9))),
            ("bytes=-4", Some((6, 9))),
            ("bytes=-99", Some((0, 9))),
            ("bytes=9-9", Some((9, 9))),
            ("bytes=10-", None),
            ("bytes=5-3", None),
            ("bytes=-0", None),
            ("bytes=1-2,4-5", None),
            ("lines=1-2", None),
            ("bytes=a-b", None),
        ] {
            assert_eq!(read_range(text, 10), part, "{text}");
        }
        assert_eq!(read_range("bytes=0-", 0), None);
    }
}
