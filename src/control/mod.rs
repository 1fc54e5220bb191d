//! What a command and the running agent say to each other: requests and answers as plain data.
//!
//! `server.rs` carries them over HTTP/1.1 on a Unix socket, `client.rs` is the other end, and the agent
//! implements [`Backend`]. The names are fixed: other programs read them.

pub mod client;
mod connections;
mod events;
mod requests;
pub mod server;
pub mod socket;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::status::Status;

/// A future that a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The result of a request.
pub type Result<T> = std::result::Result<T, Failure>;

/// What the agent answers. Every method may be called many times at once.
pub trait Backend: Send + Sync + 'static {
    /// `GET /v1/status`.
    fn status(&self) -> BoxFuture<'_, Status>;
    /// Marked whenever the status may have changed, progress included. Many marks at once are fine:
    /// whoever watches looks at most four times a second.
    fn changes(&self) -> watch::Receiver<()>;
    /// `GET /v1/queue`. Pages are stable: following [`QueuePage::next`] shows no file twice.
    fn queue(&self, query: QueueQuery) -> BoxFuture<'_, Result<QueuePage>>;
    /// `GET /v1/explain`.
    fn explain(&self, spot: Spot) -> BoxFuture<'_, Result<Explain>>;
    /// The same with the copy's link, which the cloud has to be asked for.
    fn linked(&self, line: Explain) -> BoxFuture<'_, Explain> {
        Box::pin(async move { line })
    }
    /// `GET /v1/copies`. Pages are stable: following [`CopiesPage::next`] shows no copy twice.
    fn copies(&self, query: CopiesQuery) -> BoxFuture<'_, Result<CopiesPage>>;
    /// `POST /v1/pause`: no uploads for so long, or until `resume`.
    fn pause(&self, time: Option<Duration>) -> BoxFuture<'_, Result<()>>;
    /// `POST /v1/resume`.
    fn resume(&self) -> BoxFuture<'_, Result<()>>;
    /// `POST /v1/scan`: look at all folders, or at one place below them, now. Returns when it is begun.
    fn scan(&self, path: Option<PathBuf>) -> BoxFuture<'_, Result<()>>;
    /// `POST /v1/accept`: what is missing at this place was deleted on purpose, however much it is.
    fn accept(&self, path: PathBuf) -> BoxFuture<'_, Result<()>>;
    /// `POST /v1/retry`: try all failed files again now, or the one.
    fn retry(&self, path: Option<PathBuf>) -> BoxFuture<'_, Result<()>>;
    /// `POST /v1/repair`: these copies are not in the cloud as they should be; their files are sent again. One
    /// answer a file, in order. What is queued then is on the disk.
    fn repair(&self, files: Vec<BadCopy>) -> BoxFuture<'_, Result<Vec<Repaired>>>;
    /// `POST /v1/forget`: the copies of these files, which are gone from this box, are gone from the cloud
    /// too: nothing is known of them any more. One answer a file, in order. What is forgotten then is so on
    /// the disk. A file that is on this box is never forgotten.
    fn forget(&self, files: Vec<BadCopy>) -> BoxFuture<'_, Result<Vec<Repaired>>>;
    /// `POST /v1/reload`: read the configuration again; a bad one is refused with all its mistakes.
    fn reload(&self) -> BoxFuture<'_, Result<()>>;
    /// `POST /v1/rebuild`: set the index aside and make it again from folders and cloud listing. Returns
    /// when that is begun.
    fn rebuild(&self) -> BoxFuture<'_, Result<Rebuild>>;
}

/// The answer to `POST /v1/rebuild`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Rebuild {
    /// Where the old index lies now.
    pub set_aside: String,
}

/// Why a request was refused: `{"error":{"code","message","hint"}}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The HTTP status.
    #[serde(skip, default = "internal")]
    pub status: u16,
    /// One word for programs: `not_found`, `bad_request`.
    pub code: String,
    /// One sentence for people.
    pub message: String,
    /// What to do, when there is something.
    pub hint: Option<String>,
}

fn internal() -> u16 {
    500
}

impl Failure {
    /// A refusal.
    #[must_use]
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into(), hint: None }
    }

    /// 400 `bad_request`: the request makes no sense.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "bad_request", message)
    }

    /// 404 `not_found`: there is no such thing.
    #[must_use]
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, "not_found", message)
    }

    /// 409 `conflict`: not in this state.
    #[must_use]
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(409, "conflict", message)
    }

    /// 422 `bad_config`: the configuration has mistakes.
    #[must_use]
    pub fn bad_config(message: impl Into<String>) -> Self {
        Self::new(422, "bad_config", message)
    }

    /// 500 `internal`: our own fault.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(internal(), "internal", message)
    }

    /// With what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// How a [`Failure`] travels.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FailureDocument {
    pub(crate) error: Failure,
}

/// Which files of the queue.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct QueueQuery {
    /// Only these; without it all but the done ones.
    pub state: Option<FileState>,
    /// At most so many in one page, 1 to [`QueueQuery::LIMIT_MAX`].
    pub limit: u32,
    /// [`QueuePage::next`] of the page before.
    pub after: Option<String>,
}

impl QueueQuery {
    /// Files in a page when nobody says otherwise.
    pub const LIMIT: u32 = 100;
    /// The most files in a page.
    pub const LIMIT_MAX: u32 = 1000;
}

/// Where a file stands in the queue.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileState {
    /// Found, settling, or waiting for its turn.
    Waiting,
    /// Being hashed or sent.
    Active,
    /// Parked with a reason.
    Failed,
    /// Confirmed by the cloud.
    Done,
}

impl FileState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Active, Self::Failed, Self::Done];

    /// As written in requests and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Active => "active",
            Self::Failed => "failed",
            Self::Done => "done",
        }
    }
}

/// The answer to `GET /v1/queue`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct QueuePage {
    /// The files.
    pub files: Vec<FileLine>,
    /// Give this as `after` for the next page; null at the end. Opaque.
    pub next: Option<String>,
}

/// One file of the queue.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileLine {
    /// Absolute path; bytes that are not UTF-8 are shown as U+FFFD.
    pub path: String,
    /// The account it goes to: a folder may be backed up to several.
    #[serde(default)]
    pub account: String,
    /// Bytes.
    pub size: u64,
    /// Where it stands.
    pub state: FileState,
    /// Why it waits or failed, words for a person.
    pub reason: Option<String>,
    /// Attempts so far that did not end well.
    pub tries: u32,
    /// Not before this time, RFC 3339.
    pub next_try: Option<String>,
    /// Remote path, once known.
    pub remote: Option<String>,
}

/// What is asked about: a path, in one folder or in all that have it. Two folders may have one path, to back it
/// up to two accounts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Spot {
    /// Absolute, bytes as the disk has them, links not resolved.
    pub path: PathBuf,
    /// The label of the folder that is meant.
    pub label: Option<String>,
}

impl Spot {
    /// In all folders that have the path.
    #[must_use]
    pub fn anywhere(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), label: None }
    }
}

/// Which copies: those of one file, or of all files below a folder.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CopiesQuery {
    /// Absolute, bytes as the disk has them, in a configured folder or that folder itself. It need not be
    /// on the disk any more.
    pub path: PathBuf,
    /// The label of the folder that is meant; it has to be said when several have the path.
    pub label: Option<String>,
    /// [`CopiesPage::next`] of the page before.
    pub after: Option<String>,
    /// At most so many in one page, 1 to [`QueueQuery::LIMIT_MAX`].
    pub limit: u32,
}

/// The answer to `GET /v1/copies`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct CopiesPage {
    /// The copies, in the order of a walk; may be fewer than asked for, or none, with a `next`.
    pub copies: Vec<CopyLine>,
    /// Give this as `after` for the next page; null at the end. Opaque.
    pub next: Option<String>,
}

/// One copy in the cloud, as the cloud confirmed it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CopyLine {
    /// The folder's label.
    pub label: String,
    /// The account it is in.
    pub account: String,
    /// The file's path below the folder, escaped as in the cloud, so that any name survives JSON.
    pub below: String,
    /// Bytes.
    pub size: u64,
    /// When the file that was copied had been changed, nanoseconds since 1970; null when it has been
    /// changed again since, and its new version is not there yet.
    pub mtime_ns: Option<i64>,
    /// MD5 of the content, lower-case hex.
    pub md5: String,
    /// The cloud's id.
    pub fs_id: String,
    /// Absolute remote path.
    pub remote: String,
    /// The file is not in the folder any more.
    pub gone: bool,
}

/// A copy that is not in the cloud, or is not what was backed up: a [`CopyLine`] in short.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BadCopy {
    /// The folder's label.
    pub label: String,
    /// The file's path below the folder, escaped as in [`CopyLine::below`].
    pub below: String,
    /// The copy's id: one that was made meanwhile is left alone.
    pub fs_id: String,
    /// The copy's remote path, likewise.
    pub remote: String,
}

/// What became of one of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repaired {
    /// The file waits to be sent again.
    Queued,
    /// The copy is forgotten, and nothing waits: the file is gone, or it had failed or cannot be sent.
    Forgotten,
    /// The file is not in its folder any more: it cannot be sent.
    Gone,
    /// The agent has another copy of it by now, or knows nothing of it.
    Changed,
}

/// Where any path of the disk stands, in one word.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Confirmed by the cloud, and unchanged since.
    BackedUp,
    /// In the queue.
    Waiting,
    /// Changed a moment ago: it is left alone until it is quiet.
    Settling,
    /// Being hashed or sent.
    Active,
    /// Parked with a reason.
    Failed,
    /// Cannot be backed up: empty, too large.
    Skipped,
    /// An exclude pattern takes it out.
    Excluded,
    /// The folder's `media` does not ask for it.
    NotSelected,
    /// Not below any configured folder.
    Outside,
    /// There is no such file.
    Missing,
}

/// The answer to `GET /v1/explain`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Explain {
    /// The path that was asked for.
    pub path: String,
    /// The configured folder it lies in.
    pub folder: Option<String>,
    /// The folder's label.
    #[serde(default)]
    pub label: Option<String>,
    /// The account it goes to.
    pub account: Option<String>,
    /// In one word.
    pub state: Standing,
    /// Why, words for a person.
    pub reason: Option<String>,
    /// Where the copy is or will be.
    pub remote: Option<String>,
    /// The copy's id in the cloud.
    pub id: Option<String>,
    /// Bytes on the disk now.
    pub size: Option<u64>,
    /// Bytes of the copy.
    pub backed_up_size: Option<u64>,
    /// When the cloud confirmed the copy, RFC 3339.
    pub backed_up_at: Option<String>,
    /// Attempts so far that did not end well.
    pub tries: u32,
    /// Not before this time, RFC 3339.
    pub next_try: Option<String>,
    /// What to do, when there is something.
    pub hint: Option<String>,
    /// The copy's own address, of a cloud that gives out such; only when it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Why there is none now, words for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_link: Option<String>,
    /// The same of the other folders that have this path, when no label was given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Explain>,
}

impl Explain {
    /// Only the path and the word; the rest is empty.
    #[must_use]
    pub fn new(path: impl AsRef<Path>, state: Standing) -> Self {
        Self {
            path: path.as_ref().to_string_lossy().into_owned(),
            folder: None,
            label: None,
            account: None,
            state,
            reason: None,
            remote: None,
            id: None,
            size: None,
            backed_up_size: None,
            backed_up_at: None,
            tries: 0,
            next_try: None,
            hint: None,
            link: None,
            no_link: None,
            others: Vec::new(),
        }
    }
}
