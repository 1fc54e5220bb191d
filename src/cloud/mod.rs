//! Clouds: what the pipeline needs of any of them ([`Drive`]), and how they fail ([`Error`]).
//!
//! This layer knows requests, answers and error numbers. It knows nothing of queues, of sled or of
//! when to try again: it says what kind of failure it was, and `backup/upload.rs` decides.
//!
//! A cloud is one folder below this one plus one line in each of the factories [`open`], [`authority`]
//! and [`explain`]; what it offers is said by the traits [`Drive`], [`Devices`], [`Files`],
//! [`Shares`] and [`Authority`].
//! Nothing here is stored, so a crash costs the calls in flight and nothing else.

pub mod calls;
mod error;
pub mod files;
pub mod http;
mod lenient;
pub mod pan123;
pub mod shares;
#[cfg(test)]
pub(crate) mod testing;
pub mod xpan;

pub use calls::Calls;
pub use error::{Code, Error, Kind, Result};
pub use files::Files;
pub use shares::Shares;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::config::{self, Provider};
use crate::content::{ExifInfo, Md5, Media, OnConflict, Purpose};

/// A future that a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The drive of a configured account, whose `calls` stay within the cloud's limits. No call is made yet.
///
/// # Errors
/// The endpoint or the CA file of the configuration cannot be used.
pub fn open(
    account: &config::Account,
    tokens: Arc<dyn TokenSource>,
    calls: Arc<Calls>,
) -> Result<Arc<dyn Drive>> {
    match account.provider {
        Provider::Baidu => Ok(Arc::new(xpan::Xpan::open(account, tokens, calls)?)),
    }
}

/// Where a configured account logs in. No call is made yet; an endpoint or CA file that cannot be used
/// shows at the first.
#[must_use]
pub fn authority(account: &config::Account) -> Arc<dyn Authority> {
    match account.provider {
        Provider::Baidu => Arc::new(xpan::oauth::OAuth::new(account)),
    }
}

/// What a server's number, its OAuth word or a bare HTTP status means in any cloud, one line a meaning:
/// `xpand explain --code N`.
#[must_use]
pub fn explain(code: &str) -> Vec<String> {
    let mut lines = match code.parse() {
        Ok(0) => vec!["0: done".to_owned()],
        Ok(number) => {
            let baidu = xpan::codes::explain(number);
            let of_123pan = pan123::codes::explain(number).map(|line| format!("{number} at 123pan: {line}"));
            let bare = u16::try_from(number).ok().filter(|status| (300..=599).contains(status));
            let bare = bare.map(xpan::codes::explain_status);
            baidu.into_iter().chain(of_123pan).chain(bare).collect()
        }
        Err(_) => xpan::codes::explain_word(code),
    };
    if lines.is_empty() {
        lines.push(format!(
            "{code}: not in the documents; the cloud's own words are shown, and it is tried again only when they \
             came with an HTTP status of 500 or more"
        ));
    }
    lines
}

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
    /// One page of everything below a remote folder, folders within folders included, `after` being the
    /// page before's [`Page::next`]. In no particular order; what changes meanwhile may be missed or come
    /// twice. A folder that does not exist is [`Kind::Missing`]; a cloud without such a call refuses it.
    fn list_all<'a>(&'a self, _folder: &'a str, _after: Option<u64>) -> BoxFuture<'a, Result<Page>> {
        let words = "this cloud does not list folders within folders";
        Box::pin(async move { Err(Error::new(Kind::Refused, "listall", words).unsent()) })
    }
    /// Copies files inside the cloud: from and to, absolute remote paths; the folders they go to are made.
    /// What has the name already stays as it is. `false` of a file says that it was certainly not copied;
    /// of the others [`Drive::list`] tells. At most [`files::MOST_MANAGED`]. Not every cloud can.
    fn copy<'a>(&'a self, _files: &'a [(&'a str, &'a str)]) -> BoxFuture<'a, Result<Vec<bool>>> {
        let words = "this cloud does not copy files by itself";
        Box::pin(async move { Err(Error::new(Kind::Refused, "copy", words).unsent()) })
    }
    /// Whether a listed file certainly has the content of `file`.
    fn is_same(&self, entry: &Entry, file: &Upload) -> bool;
    /// The slice sizes, bytes, that some membership cuts files in: a listed file of several slices is known
    /// by its content only when `file` is cut as it was.
    fn slice_sizes(&self) -> &'static [u64] {
        &[]
    }
    /// Whether a listed file has this content, as far as its listed md5 tells: certainly, certainly not, or
    /// nobody can say. Another's upload may be cut in a way that is not among [`Content::cuts`].
    fn has_content(&self, _entry: &Entry, _content: &Content) -> Option<bool> {
        None
    }
    /// The MD5 of a listed file's content, where what is listed certainly is that.
    fn content_md5(&self, _entry: &Entry) -> Option<Md5> {
        None
    }
    /// The device calls, of a cloud that has them.
    fn devices(&self) -> Option<&dyn Devices> {
        None
    }
    /// The calls for a person at a shell, of a cloud that has them.
    fn files(&self) -> Option<&dyn Files> {
        None
    }
    /// Share links, of a cloud that has them.
    fn shares(&self) -> Option<&dyn Shares> {
        None
    }
}

/// The device calls of a cloud: `device.rs` is their only user.
pub trait Devices: Send + Sync {
    /// Makes the device known to the vendor and returns its id. Needs no login.
    fn register<'a>(&'a self, kind: &'a str, address: &'a str) -> BoxFuture<'a, Result<String>>;
    /// Ties the device to the account that is logged in.
    fn bind<'a>(&'a self, device: &'a str) -> BoxFuture<'a, Result<()>>;
    /// Unties it.
    fn unbind<'a>(&'a self, device: &'a str) -> BoxFuture<'a, Result<()>>;
    /// Whether it is tied to the account that is logged in.
    fn is_bound<'a>(&'a self, device: &'a str) -> BoxFuture<'a, Result<bool>>;
    /// One page of what changed among the account's devices since `cursor`; empty is the beginning.
    fn diff<'a>(&'a self, cursor: &'a str) -> BoxFuture<'a, Result<DeviceChanges>>;
    /// The account's devices.
    fn all(&self) -> BoxFuture<'_, Result<Vec<DeviceEntry>>>;
}

/// One page of [`Devices::diff`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DeviceChanges {
    /// Where the next page, or the next diff, begins.
    pub cursor: String,
    /// Whether there is more to fetch now.
    pub more: bool,
    /// The devices that changed.
    pub devices: Vec<DeviceEntry>,
}

/// A device as the cloud knows it.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct DeviceEntry {
    /// `device_id`
    pub id: String,
    /// `device_type`
    #[serde(rename = "type")]
    pub kind: String,
    /// Tied to the account.
    pub bound: bool,
    /// 1 loudspeaker, 2 television, 3 NAS.
    pub category: i64,
    /// Named by the user.
    pub name: String,
    /// Who made it.
    pub provider: String,
    /// What it is sold as.
    pub brand: String,
}

/// Where tokens come from. `account.rs` is its only user.
pub trait Authority: Send + Sync + 'static {
    /// Begins a login: what the user has to be shown.
    fn start(&self) -> BoxFuture<'_, Result<DeviceCode>>;
    /// Asks whether the user has approved it.
    fn poll<'a>(&'a self, code: &'a DeviceCode) -> BoxFuture<'a, Result<Poll>>;
    /// Trades a single-use refresh token for a new pair. [`Error::sent`] tells whether it may be used up.
    fn refresh<'a>(&'a self, refresh: &'a Token) -> BoxFuture<'a, Result<Grant>>;
}

/// A login that waits for the user.
#[derive(Clone, Debug)]
pub struct DeviceCode {
    /// `device_code`: proves that it is us who ask. Never shown.
    pub secret: Token,
    /// What the user types.
    pub user_code: String,
    /// Where the user types it.
    pub verification_url: String,
    /// An address that does both, as a QR code; empty if the cloud gives none.
    pub qrcode_url: String,
    /// How long the user has.
    pub expires_in: Duration,
    /// The least time between two [`Authority::poll`].
    pub interval: Duration,
}

/// What became of a login.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Poll {
    /// The user has not finished.
    Pending,
    /// Likewise, and we asked too quickly.
    SlowDown,
    /// The user said no.
    Declined,
    /// The code is too old, or was used.
    Expired,
    /// The user said yes.
    Granted(Grant),
}

/// Tokens as the cloud gives them out. `Debug` shows none of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// For calls.
    pub access: Token,
    /// For the next pair; single-use.
    pub refresh: Option<Token>,
    /// How long `access` lives.
    pub expires_in: Option<Duration>,
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
    /// Decides `mode`, with the kind of file.
    pub purpose: Purpose,
    /// The kind of file.
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

/// One page of a remote folder, or of anything else that comes in pages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<E = Entry> {
    /// What is in it.
    pub entries: Vec<E>,
    /// Give this to get the next page; `None` at the end.
    pub next: Option<u64>,
}

impl<E> Default for Page<E> {
    fn default() -> Self {
        Self { entries: Vec::new(), next: None }
    }
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

/// What there is to compare of content that came from the cloud.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Content {
    /// Bytes.
    pub size: u64,
    /// MD5 of the whole.
    pub md5: Md5,
    /// The MD5s of its slices, for each way it may have been cut in.
    pub cuts: Vec<Vec<Md5>>,
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

#[cfg(test)]
mod tests {
    use super::explain;

    #[test]
    fn a_status_is_explained_beside_the_numbers_and_what_nobody_knows_says_when_it_is_tried_again() {
        let tired =
            "HTTP 502 without a number of the cloud's own: the cloud failed; tried again, later and later";
        assert_eq!(explain("502"), [tired]);
        let lines = explain("404");
        assert!(
            lines.len() == 2 && lines[0].starts_with("404: ") && lines[1].starts_with("HTTP 404 "),
            "{lines:?}"
        );
        let unknown = "77777: not in the documents; the cloud's own words are shown, and it is tried again only when \
                       they came with an HTTP status of 500 or more";
        assert_eq!(explain("77777"), [unknown]);
    }
}
