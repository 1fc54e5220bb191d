//! From the bytes of a request to what it asks for, and back.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{BadCopy, CopiesQuery, Failure, FileState, QueueQuery, Spot};

/// The most bytes of a request's body.
pub(super) const BODY_MAX: usize = 64 * 1024;

/// `POST /v1/pause`.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pause {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) for_secs: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    #[serde(default)]
    path: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// `POST /v1/repair`, `/v1/forget` or `/v1/explain`, and their answers.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Files<T> {
    pub(super) files: Vec<T>,
}

impl<T> Default for Files<T> {
    fn default() -> Self {
        Self { files: Vec::new() }
    }
}

/// A JSON body; none at all is `{}`.
fn json<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, Failure> {
    if body.trim_ascii().is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice::<serde_json::Map<_, _>>(body)
        .and_then(|object| T::deserialize(serde_json::Value::Object(object)))
        .map_err(|error| Failure::bad_request(format!("the body is not what is asked for: {error}")))
}

/// The body of `POST /v1/pause`.
pub(super) fn pause(body: &[u8]) -> Result<Option<Duration>, Failure> {
    match json::<Pause>(body)?.for_secs {
        Some(0) => Err(Failure::bad_request("for_secs: a pause of 0 seconds is none")
            .hint("leave for_secs out to pause until resume")),
        other => Ok(other.map(Duration::from_secs)),
    }
}

/// The body of a request that takes nothing.
pub(super) fn nothing(body: &[u8]) -> Result<(), Failure> {
    json::<Nothing>(body).map(|_| ())
}

/// The body of `POST /v1/repair` and `/v1/forget`.
pub(super) fn repair(body: &[u8]) -> Result<Vec<BadCopy>, Failure> {
    Ok(json::<Files<BadCopy>>(body)?.files)
}

/// A file in the body of `POST /v1/explain`; its path is percent-encoded as in a query.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(super) enum Asked {
    /// In all folders that have it.
    Path(String),
    /// In one of them.
    Of { path: String, label: String },
}

impl Asked {
    pub(super) fn new(spot: &Spot) -> Self {
        let path = encoded(&spot.path);
        match spot.label.clone() {
            None => Self::Path(path),
            Some(label) => Self::Of { path, label },
        }
    }

    /// How many bytes this takes in a request, or a few more.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Path(path) => path.len() + 8,
            // JSON at most makes six of a byte.
            Self::Of { path, label } => path.len() + 6 * label.len() + 32,
        }
    }
}

/// The body of `POST /v1/explain`.
pub(super) fn spots(body: &[u8]) -> Result<Vec<Spot>, Failure> {
    let bad = || Failure::bad_request("files: a path is not percent-encoded");
    let spot = |asked| {
        let (path, label) = match asked {
            Asked::Path(path) => (path, None),
            Asked::Of { path, label } => (path, Some(label).filter(|label| !label.is_empty())),
        };
        let path = decoded(path.as_bytes()).ok_or_else(bad)?;
        Ok(Spot { path: absolute(OsString::from_vec(path))?, label })
    };
    json::<Files<Asked>>(body)?.files.into_iter().map(spot).collect()
}

/// The query of `GET /v1/explain` and of `GET /v1/copies`, as far as it says where.
pub(super) fn query_of(path: &Path, label: Option<&str>) -> String {
    let label = label.map(|label| format!("&label={}", encoded(Path::new(label)))).unwrap_or_default();
    format!("path={}{label}", encoded(path))
}

/// How many bytes this takes in a request, or a few more.
pub(super) fn weight(file: &BadCopy) -> usize {
    // JSON at most doubles an escaped name: no control character is left in one.
    2 * (file.label.len() + file.below.len() + file.fs_id.len() + file.remote.len()) + 64
}

/// How many of these fit in one request, at least one.
pub(super) fn fitting<T>(files: &[T], weight: impl Fn(&T) -> usize) -> usize {
    let mut room = BODY_MAX / 2;
    let fits = files.iter().take_while(|file| {
        let rest = room.checked_sub(weight(file));
        room = rest.unwrap_or(0);
        rest.is_some()
    });
    fits.count().max(1).min(files.len())
}

/// `{"path"}` in the body or `?path=` in the address, which also carries names that are not UTF-8.
pub(super) fn place(query: &str, body: &[u8]) -> Result<Option<PathBuf>, Failure> {
    let body = json::<Place>(body)?.path.map(OsString::from);
    let mut place = body;
    for (key, value) in pairs(query)? {
        match key.as_slice() {
            b"path" => place = Some(OsString::from_vec(value)),
            _ => return Err(unknown(&key)),
        }
    }
    place.map(absolute).transpose()
}

/// Asks for the copy's link too.
const LINK: &str = "link=1";

/// Whether the query of `GET /v1/explain` asks for the copy's link, which takes a call to the cloud.
pub(super) fn wants_link(query: &str) -> bool {
    query.split('&').any(|part| part == LINK)
}

/// The query of `GET /v1/explain`: a path, and a label where one of several folders is meant.
pub(super) fn explain(query: &str) -> Result<Spot, Failure> {
    let (mut path, mut label) = (None, None);
    for (key, value) in pairs(query)? {
        match key.as_slice() {
            b"path" => path = Some(absolute(OsString::from_vec(value))?),
            b"label" => label = label_of(&value),
            b"link" if value == b"1" => {}
            _ => return Err(unknown(&key)),
        }
    }
    let missing = || Failure::bad_request("path is missing").hint("GET /v1/explain?path=/a/file");
    Ok(Spot { path: path.ok_or_else(missing)?, label })
}

/// An empty label is as good as none.
fn label_of(value: &[u8]) -> Option<String> {
    Some(String::from_utf8_lossy(value).into_owned()).filter(|label| !label.is_empty())
}

/// The query of `GET /v1/queue`. Empty values are as good as none.
pub(super) fn queue(query: &str) -> Result<QueueQuery, Failure> {
    let mut asked = QueueQuery { limit: QueueQuery::LIMIT, ..QueueQuery::default() };
    for (key, value) in pairs(query)? {
        let text = String::from_utf8_lossy(&value);
        match (key.as_slice(), text.as_ref()) {
            (b"state" | b"limit" | b"after", "") => {}
            (b"state", word) => {
                let state = FileState::ALL.into_iter().find(|state| state.as_str() == word);
                asked.state = Some(state.ok_or_else(|| {
                    Failure::bad_request(format!("state: there is no {word:?}"))
                        .hint("one of waiting, active, failed, done")
                })?);
            }
            (b"limit", digits) => asked.limit = limit(digits)?,
            (b"after", after) => asked.after = Some(after.to_owned()),
            _ => return Err(unknown(&key)),
        }
    }
    Ok(asked)
}

/// The query of `GET /v1/copies`.
pub(super) fn copies(query: &str) -> Result<CopiesQuery, Failure> {
    let mut asked = CopiesQuery { limit: QueueQuery::LIMIT, ..CopiesQuery::default() };
    let mut path = None;
    for (key, value) in pairs(query)? {
        let text = String::from_utf8_lossy(&value);
        match (key.as_slice(), text.as_ref()) {
            (b"path", _) => path = Some(absolute(OsString::from_vec(value))?),
            (b"label", _) => asked.label = label_of(&value),
            (b"limit" | b"after", "") => {}
            (b"limit", digits) => asked.limit = limit(digits)?,
            (b"after", after) => asked.after = Some(after.to_owned()),
            _ => return Err(unknown(&key)),
        }
    }
    let missing = || Failure::bad_request("path is missing").hint("GET /v1/copies?path=/a/folder");
    asked.path = path.ok_or_else(missing)?;
    Ok(asked)
}

/// How many are wanted in a page.
fn limit(digits: &str) -> Result<u32, Failure> {
    let limit = digits.parse().ok().filter(|limit| (1..=QueueQuery::LIMIT_MAX).contains(limit));
    limit.ok_or_else(|| {
        Failure::bad_request(format!("limit: {digits:?} is not between 1 and {}", QueueQuery::LIMIT_MAX))
    })
}

fn unknown(key: &[u8]) -> Failure {
    let key = String::from_utf8_lossy(key);
    Failure::bad_request(format!("{key:?} is not known here"))
}

fn absolute(path: OsString) -> Result<PathBuf, Failure> {
    let path = PathBuf::from(path);
    if !path.is_absolute() {
        return Err(Failure::bad_request(format!("path: {path:?} is not absolute")));
    }
    if path.as_os_str().as_bytes().contains(&0) {
        return Err(Failure::bad_request("path: a path has no zero byte"));
    }
    Ok(path)
}

type Pair = (Vec<u8>, Vec<u8>);

/// `a=b&c=d`, percent-decoded to bytes.
fn pairs(query: &str) -> Result<Vec<Pair>, Failure> {
    let decode = |text: &str| decoded(text.as_bytes());
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(key)?, decode(value)?))
        })
        .collect::<Option<_>>()
        .ok_or_else(|| Failure::bad_request("the query is not percent-encoded"))
}

fn decoded(mut text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    while let Some((&byte, rest)) = text.split_first() {
        text = rest;
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
                let byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
                text = text.get(2..)?;
                byte
            }
            other => other,
        });
    }
    Some(bytes)
}

/// A path for a query.
pub(super) fn encoded(path: &Path) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn any_name_travels_in_a_query() {
        let name: Vec<u8> = (1..=255).collect();
        let path = Path::new("/").join(OsString::from_vec(name));
        let query = format!("path={}", encoded(&path));
        assert_eq!(explain(&query), Ok(Spot::anywhere(&path)));
        let spot = Spot { path, label: Some("a b&=?".to_owned()) };
        assert_eq!(explain(&query_of(&spot.path, spot.label.as_deref())), Ok(spot));
    }

    #[test]
    fn a_pause_has_a_length_or_none() {
        assert_eq!(pause(b""), Ok(None));
        assert_eq!(pause(b"{}"), Ok(None));
        assert_eq!(pause(br#"{"for_secs":7200}"#), Ok(Some(Duration::from_secs(7200))));
        for bad in ["{", "[]", r#"{"for":1}"#, r#"{"for_secs":-1}"#, r#"{"for_secs":0}"#] {
            assert_eq!(pause(bad.as_bytes()).unwrap_err().status, 400, "{bad}");
        }
    }

    #[test]
    fn many_paths_go_in_a_body() {
        let name = Path::new("/a/\u{1b}\"").join(OsString::from_vec(vec![b'x', 0xff]));
        let all = vec![Spot::anywhere(&name), Spot { path: name, label: Some("a \u{1b}\"照".to_owned()) }];
        let asked: Vec<Asked> = all.iter().map(Asked::new).collect();
        let body = serde_json::to_vec(&Files { files: asked }).unwrap();
        assert_eq!(spots(&body), Ok(all));
        let bad = [
            r#"{"files":["a"]}"#,
            r#"{"files":["/%2"]}"#,
            r#"{"files":[{"path":"/a"}]}"#,
            r#"{"files":[{"path":"/a","label":"x","link":1}]}"#,
            r#"{"files":[1]}"#,
            r#"{"paths":[]}"#,
        ];
        for bad in bad {
            assert_eq!(spots(bad.as_bytes()).unwrap_err().code, "bad_request", "{bad}");
        }
        assert_eq!(fitting(&["/a"; 3], |_| BODY_MAX), 1, "one always goes");
        assert_eq!(fitting(&["/a"; 3], |_| BODY_MAX / 4), 2);
    }

    #[test]
    fn a_place_is_absolute() {
        assert_eq!(place("", b""), Ok(None));
        assert_eq!(place("", br#"{"path":"/a"}"#), Ok(Some(PathBuf::from("/a"))));
        assert_eq!(place("", br#"{"path":"a"}"#).unwrap_err().message, "path: \"a\" is not absolute");
        assert_eq!(explain("link=1&path=/a&label="), Ok(Spot::anywhere("/a")));
        assert!(wants_link("path=/a&link=1") && !wants_link("path=/link=1"));
        assert_eq!(explain("").unwrap_err().message, "path is missing");
        assert_eq!(explain("path=%2").unwrap_err().message, "the query is not percent-encoded");
    }

    #[test]
    fn copies_are_asked_of_a_place_in_pages() {
        let all = copies("path=/a%FF&limit=7&after=x%26y&label=%C3%A9").unwrap();
        assert_eq!(all.label.as_deref(), Some("é"));
        assert_eq!(all.path.as_os_str().as_bytes(), b"/a\xff");
        assert_eq!((all.limit, all.after.as_deref()), (7, Some("x&y")));
        assert_eq!(copies("path=/a&after=").unwrap().limit, QueueQuery::LIMIT);
        for bad in ["", "path=a", "path=/a&limit=0", "path=/a&state=done"] {
            assert_eq!(copies(bad).unwrap_err().code, "bad_request", "{bad}");
        }
    }

    #[test]
    fn the_queue_is_asked_in_pages() {
        assert_eq!(queue("state=&limit=&after=").unwrap().limit, 100);
        let all = queue("state=failed&limit=7&after=x%26y").unwrap();
        assert_eq!(all.state, Some(FileState::Failed));
        assert_eq!((all.limit, all.after.as_deref()), (7, Some("x&y")));
        for bad in ["state=lost", "limit=0", "limit=1001", "limit=x", "colour=red"] {
            assert_eq!(queue(bad).unwrap_err().code, "bad_request", "{bad}");
        }
    }
}
