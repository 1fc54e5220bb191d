//! Clouds: what the pipeline needs of any of them ([`Drive`]), and how they fail ([`Error`]).
//!
//! This layer knows requests, answers and error numbers. It knows nothing of queues, of sled or of
//! when to try again: it says what kind of failure it was, and `backup/upload.rs` decides.

pub mod http;
pub mod xpan;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::content::{ExifInfo, Md5, Media, OnConflict};

/// A future that a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The result of a call.
pub type Result<T> = std::result::Result<T, Error>;

/// What the pipeline needs of a cloud.
///
/// Every call may fail with any [`Kind`]. Calls are cancelled by dropping the future; what the cloud
/// made of a cancelled call is unknown, and [`Drive::list`] is how one finds out.
pub trait Drive: Send + Sync + 'static {
    /// Who is logged in and what this membership allows.
    fn user(&self) -> BoxFuture<'_, Result<User>>;
    /// Space in the drive.
    fn quota(&self) -> BoxFuture<'_, Result<Quota>>;
    /// Announces a file: already there, or a session and the slices to send. `resume` is the id of an
    /// earlier session of the same file and content.
    fn begin<'a>(&'a self, file: &'a Upload, resume: Option<&'a str>) -> BoxFuture<'a, Result<Begin>>;
    /// Sends one slice and returns the MD5 the cloud computed of it.
    fn send<'a>(&'a self, file: &'a Upload, session: &'a str, slice: Slice) -> BoxFuture<'a, Result<Md5>>;
    /// Makes the file of its slices. The answer is the cloud's word for what now exists.
    fn finish<'a>(&'a self, file: &'a Upload, session: &'a str) -> BoxFuture<'a, Result<Stored>>;
    /// One page of a remote folder, `after` being the page before's [`Page::next`].
    /// A folder that does not exist is [`Kind::Missing`].
    fn list<'a>(&'a self, folder: &'a str, after: Option<u64>) -> BoxFuture<'a, Result<Page>>;
    /// Whether a listed file certainly has the content of `file`.
    fn is_same(&self, entry: &Entry, file: &Upload) -> bool;
}

/// Who is logged in, and what the membership allows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// The cloud's number for the user, opaque.
    pub id: String,
    /// The name the user knows.
    pub name: String,
    /// Baidu's `vip_type`: 0 ordinary, 1 member, 2 super member. 0 elsewhere.
    pub vip_type: u8,
    /// Bytes of every slice but the last.
    pub slice_size: u64,
    /// Bytes: larger files are refused.
    pub max_file_size: u64,
}

/// Space, bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quota {
    /// In use.
    pub used: u64,
    /// In all.
    pub total: u64,
}

/// One file on its way: everything the calls need to know of it.
#[derive(Clone, Debug)]
pub struct Upload {
    /// Absolute remote path.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// MD5 of the whole.
    pub content_md5: Md5,
    /// MD5 of the first 256 KiB (`slice-md5`).
    pub head_md5: Md5,
    /// Bytes of every slice but the last.
    pub slice_size: u64,
    /// MD5 of each slice, in order.
    pub slices: Arc<[Md5]>,
    /// Decides `mode`.
    pub media: Media,
    /// Of a photo that has it.
    pub exif: Option<ExifInfo>,
    /// `local_ctime`, seconds since 1970.
    pub ctime_secs: i64,
    /// `local_mtime`, seconds since 1970.
    pub mtime_secs: i64,
    /// For different content of the same name.
    pub on_conflict: OnConflict,
}

/// The answer to [`Drive::begin`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Begin {
    /// The cloud has the content; the file exists now.
    Present(Stored),
    /// Slices are wanted.
    Send {
        /// The session (`uploadid`).
        session: String,
        /// Numbers of the slices the cloud lacks, from 0.
        missing: Vec<u32>,
    },
}

/// What the cloud says it stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    /// The cloud's id (`fs_id`), opaque.
    pub id: String,
    /// The path it really has; may differ from the one asked for.
    pub path: String,
    /// Bytes.
    pub size: u64,
}

/// One slice to send.
pub struct Slice {
    /// From 0 (`partseq`).
    pub number: u32,
    /// Bytes.
    pub length: u64,
    /// Exactly `length` bytes, in pieces; an error ends the call as [`Kind::Local`].
    pub body: SliceBody,
}

/// The bytes of a slice as they come from the file.
pub type SliceBody = Pin<Box<dyn futures_util::Stream<Item = std::io::Result<Bytes>> + Send + Sync>>;

/// One page of a remote folder.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Page {
    /// What is in it.
    pub entries: Vec<Entry>,
    /// Give this to get the next page; `None` at the end.
    pub next: Option<u64>,
}

/// A file or folder in the cloud.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The cloud's id (`fs_id`), opaque.
    pub id: String,
    /// Absolute remote path.
    pub path: String,
    /// Bytes; 0 for a folder.
    pub size: u64,
    /// A folder.
    pub is_folder: bool,
    /// The `md5` as listed, not necessarily the content's (field notes 3.7); `None` for folders.
    pub md5: Option<String>,
}

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
    /// The upload session is gone or spoilt: begin again.
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
    Blocked,
    /// The answer makes no sense: HTML, cut JSON, a missing field.
    Broken,
    /// Our own side failed while sending: the file could not be read.
    Local,
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
    /// Words: our meaning of the code, else the server's own text.
    pub message: String,
    /// What lies under it.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
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
    /// A bare HTTP status.
    Http(u16),
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errno(number) => write!(f, "errno {number}"),
            Self::ErrorCode(number) => write!(f, "error_code {number}"),
            Self::OAuth(word) => f.write_str(word),
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

/// An access token. It never shows in `Debug`, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Wraps a token.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself, for the request that needs it.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Where calls get their access token from. `account.rs` implements it.
pub trait TokenSource: Send + Sync + 'static {
    /// A token that should be good now. Fails with [`Kind::Unauthorized`] when a person has to log in.
    fn token(&self) -> BoxFuture<'_, Result<Token>>;
    /// Another token, after the cloud refused `stale`. Refreshes at most once for many callers.
    fn renew<'a>(&'a self, stale: &'a Token) -> BoxFuture<'a, Result<Token>>;
}
