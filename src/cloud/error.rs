//! How calls fail: the kind that decides what to do next, the call, the server's own code, the cause.

use std::fmt;
use std::time::Duration;

/// The result of a call.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, as far as it decides what to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// No way to the cloud: no network, no name, no answer.
    Offline,
    /// Too many calls or a tired server: the same call may do later, not before `after`.
    Busy {
        /// The least time to wait, when the cloud or the documents say one.
        after: Option<Duration>,
    },
    /// The day's calls are used up.
    DayLimit,
    /// The token is not good any more, and a new one did not help.
    Unauthorized,
    /// The upload session, or the address of a download, is gone or spoilt: begin again, with a new one.
    Expired,
    /// No space left.
    Full,
    /// The name is taken.
    Exists,
    /// There is no such file or folder.
    Missing,
    /// This file (or this request) is refused and will be again: a name, a size, a content.
    Refused,
    /// The application or the account is refused altogether, until a person does something.
    Blocked {
        /// When it is worth looking whether somebody has.
        after: Duration,
    },
    /// The answer makes no sense: HTML, cut JSON, a missing field.
    Broken,
    /// The slices are cut too large for this membership: ask [`Drive::user`](super::Drive::user) and cut
    /// anew.
    SliceSize,
    /// Our own side failed: the file could not be read, or the configuration cannot be used.
    Local,
}

impl Kind {
    /// What happens then, for a person who asks what a code means.
    #[must_use]
    pub fn consequence(self) -> String {
        match self {
            Self::Offline => "tried again when the network is back".into(),
            Self::Busy { after: None } => "tried again, later and later".into(),
            Self::Busy { after: Some(wait) } => format!("tried again after {} at least", span(wait)),
            Self::DayLimit => "the account pauses until midnight in Beijing".into(),
            Self::Unauthorized => "the token is renewed once; then a person has to log in again".into(),
            Self::Expired => "it begins again from the start".into(),
            Self::Full => "the account pauses until there is space".into(),
            Self::Exists => "the file there is compared with ours".into(),
            Self::Missing => "what needs it is tried again later".into(),
            Self::Refused => "this file is left out until `xpand retry`".into(),
            Self::Blocked { after } => {
                format!("the account pauses, and looks again after {} or at `xpand retry`", span(after))
            }
            Self::SliceSize => "the membership is asked for again and the file cut anew".into(),
            Self::Broken => "tried again a few times".into(),
            Self::Local => "looked into on this machine".into(),
        }
    }
}

/// What a bare HTTP status means, when the answer has no number in it.
#[must_use]
pub(super) fn by_status(status: u16) -> (Kind, String) {
    let (kind, words) = match status {
        200..=299 => (Kind::Broken, "the answer makes no sense"),
        300..=399 => (Kind::Broken, "the cloud sent us elsewhere, which it never should"),
        401 => (Kind::Unauthorized, "the login was not accepted"),
        // Without a number it is not the cloud that speaks: a proxy, a hotel's log-in page.
        416 => (Kind::Broken, "the file has no such part: it may have changed"),
        403 => (Kind::Broken, "refused without a reason"),
        408 => (Kind::Busy { after: None }, "the request came too slowly for the cloud"),
        413 => (Kind::Broken, "too large for something on the way"),
        429 => (Kind::Busy { after: Some(Duration::from_secs(60)) }, "too many calls"),
        400..=499 => (Kind::Broken, "the cloud did not understand the request"),
        _ => (Kind::Busy { after: None }, "the cloud failed"),
    };
    (kind, words.to_owned())
}

/// A time in words.
fn span(time: Duration) -> String {
    match time.as_secs() {
        0 => "a moment".into(),
        1 => "a second".into(),
        secs if secs < 120 => format!("{secs} seconds"),
        secs if secs < 7200 => format!("{} minutes", secs / 60),
        secs => format!("{} hours", secs / 3600),
    }
}

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub struct Error {
    /// What kind of failure.
    pub kind: Kind,
    /// The call in the protocol's own words: `precreate`, `superfile2`, `token`.
    pub endpoint: &'static str,
    /// The server's number or OAuth error word, as printed to people: `errno -10`, `error_code 31364`.
    pub code: Option<Code>,
    /// The server's own number of the request; see [`Error::request_id`].
    pub request_id: Option<Box<RequestId>>,
    /// Words: our meaning of the code, else the server's own text.
    pub message: String,
    /// Whether the cloud may have seen the request. `false` only when it certainly has not.
    pub sent: bool,
    /// What lies under it.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// A server's own number of a request. Errors point to it: every result of a call would be larger for it.
#[derive(Debug)]
pub struct RequestId(String);

/// What a failed call leaves for the log's fields: `ERRNO` and `REQUEST_ID`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Trace {
    /// The server's number, whatever key it came under.
    pub errno: Option<i64>,
    /// The server's own number of the request.
    pub request_id: Option<String>,
}

/// The server's own number, with the key it came under: the same number means different things.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Code {
    /// `errno` of pan.baidu.com.
    Errno(i64),
    /// `error_code` of the PCS hosts.
    ErrorCode(i64),
    /// `error` of OAuth.
    OAuth(String),
    /// `error_no` of the search.
    ErrorNo(i64),
    /// `code` of 123pan's envelope.
    Envelope(i64),
    /// A bare HTTP status.
    Http(u16),
}

impl Code {
    /// The number of a numbered code.
    #[must_use]
    pub fn number(&self) -> Option<i64> {
        match self {
            Self::Errno(number)
            | Self::ErrorCode(number)
            | Self::ErrorNo(number)
            | Self::Envelope(number) => Some(*number),
            Self::OAuth(_) | Self::Http(_) => None,
        }
    }
}

impl Error {
    /// A failure the cloud may have seen the request of.
    #[must_use]
    pub fn new(kind: Kind, endpoint: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            endpoint,
            code: None,
            request_id: None,
            message: message.into(),
            sent: true,
            source: None,
        }
    }

    /// With the server's code.
    #[must_use]
    pub fn with_code(mut self, code: Code) -> Self {
        self.code = Some(code);
        self
    }

    /// With the server's number of the request.
    #[must_use]
    pub fn of_request(mut self, id: Option<String>) -> Self {
        self.request_id = id.map(|id| Box::new(RequestId(id)));
        self
    }

    /// With what lies under it.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The cloud has certainly not seen the request.
    #[must_use]
    pub fn unsent(mut self) -> Self {
        self.sent = false;
        self
    }

    /// Whether it is about the login and not about what was asked for with it.
    #[must_use]
    pub fn is_about_login(&self) -> bool {
        matches!(self.endpoint, "token" | "access_token")
    }

    /// The server's number, whatever key it came under.
    #[must_use]
    pub fn number(&self) -> Option<i64> {
        self.code.as_ref().and_then(Code::number)
    }

    /// The server's own number of the request, which its support asks for.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_ref().map(|id| id.0.as_str())
    }

    /// What the log tells of it in fields of their own.
    #[must_use]
    pub fn trace(&self) -> Trace {
        Trace { errno: self.number(), request_id: self.request_id().map(str::to_owned) }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errno(number) => write!(f, "errno {number}"),
            Self::ErrorCode(number) => write!(f, "error_code {number}"),
            Self::ErrorNo(number) => write!(f, "error_no {number}"),
            Self::OAuth(word) => f.write_str(word),
            Self::Envelope(number) => write!(f, "code {number}"),
            Self::Http(status) => write!(f, "HTTP {status}"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.endpoint, self.message)?;
        match &self.code {
            Some(code) => write!(f, " ({code})"),
            None => Ok(()),
        }
    }
}
