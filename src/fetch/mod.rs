//! Brings files of a cloud home: safely into a folder, whole or not at all, going on where it was.
//!
//! # One file's way
//!
//! Somebody - a listing, the agent's index - says what is wanted: a [`Wanted`] has the cloud's id, the size,
//! what is known of the content, and the [`Place`] below the target that its names were checked for.
//!
//! 1. `local`: is something there? The same size and time, or else the same content, is *present* and costs
//!    no call. Something different stays, unless `overwrite` is wanted.
//! 2. [`many`]: up to a hundred of those that are missing are asked about in one call (`filemetas`), which gives
//!    each a `dlink` to fetch it by. What has vanished shows here; if its MD5 is known, it is looked for at its
//!    path and in other copies (`lost`).
//! 3. `one`: some at a time are downloaded into part files (`part`), from where the part ends. A broken line is
//!    tried again later and later, a `dlink` that is too old is asked for anew with all that wait (`queue`), a
//!    cloud that wants a pause gets it (`patience`).
//! 4. All bytes, whichever run fetched them, are checked against the MD5 that the index knows, else the one
//!    that the server tells, else the one that is listed. Wrong content is removed and fetched once more.
//! 5. The whole file gets its time, is synced, and takes its name, never over another file; folders are
//!    synced in bundles ([`target`]).
//!
//! # What a crash costs
//!
//! | when | what is lost |
//! | --- | --- |
//! | before the download | nothing |
//! | in the download | the bytes that were not written yet; what is there is read again |
//! | a power cut | what the disk had not written; the check finds what is wrong, and the file is fetched again |
//! | before the name | one reading of the whole part |
//! | after the name | nothing: it is present |
//!
//! [`reader`] reads without keeping anything: for whoever only wants to know what is there.
//!
//! Memory holds a bounded queue and a few pieces of each file in flight, whatever is fetched.

mod digest;
pub mod disk;
mod local;
mod lost;
pub mod many;
mod one;
mod part;
mod patience;
pub mod place;
mod queue;
pub mod reader;
pub mod target;

use std::io;
use std::path::PathBuf;

pub use disk::Disk;
pub use many::Fetcher;
pub use part::NoRoom;
pub use place::Place;
pub use reader::Reader;
pub use target::Target;

use futures_util::future::LocalBoxFuture;

use crate::cloud;
use crate::content::Md5;

/// What is found, one after the other, by whoever looks for what is wanted.
#[derive(Clone, Debug)]
pub enum Found {
    /// A file to fetch.
    File(Wanted),
    /// A folder to make.
    Folder {
        /// Absolute remote path.
        remote: String,
        /// Where it belongs.
        place: Place,
    },
    /// What cannot be fetched, and why.
    Bad {
        /// Absolute remote path.
        remote: String,
        /// Bytes.
        size: u64,
        /// Words.
        why: String,
    },
}

/// A file to fetch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// Absolute remote path: for words only, the id decides.
    pub remote: String,
    /// The cloud's id (`fs_id`).
    pub fs_id: String,
    /// Bytes.
    pub size: u64,
    /// MD5 of the content, where the index knows it.
    pub md5: Option<Md5>,
    /// The `md5` as listed, not necessarily the content's (field notes 3.7).
    pub listed: Option<String>,
    /// When it was changed: seconds since 1970 and nanoseconds. Without it the cloud's word is taken.
    pub mtime: Option<(i64, u32)>,
    /// Where it belongs.
    pub place: Place,
    /// It comes from a listing, which may have changed since: that it is gone is no failure.
    pub may_vanish: bool,
}

/// How one file, or folder, fared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// It is in its place, checked.
    Done,
    /// It was there already.
    Present,
    /// It is only said what would be done: it would be fetched.
    Rehearsed,
    /// It is not wanted after all, and why.
    Skipped(String),
    /// It could not be brought home, and why.
    Failed(String),
}

/// Why nothing more is fetched.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The target's disk takes no more.
    #[error("{}", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// The system's word, or [`NoRoom`].
        source: io::Error,
    },
    /// The cloud, or our way to it, is no use now.
    #[error(transparent)]
    Cloud(#[from] cloud::Error),
}

/// Who knows where else a content is.
pub trait Copies {
    /// For each of these files, which are not where they should be and whose MD5 is known: the cloud's id
    /// (`fs_id`) of another copy, if there may be one.
    fn elsewhere<'a>(&'a self, lost: &'a [&'a Wanted]) -> LocalBoxFuture<'a, Vec<Option<String>>>;
}

/// Who is told how it goes. Called from one task, one after the other.
pub trait Watch {
    /// The download of a file begins, with `from` of its bytes there already.
    fn begins(&self, file: &Wanted, from: u64);
    /// So many bytes of it are there.
    fn at(&self, file: &Wanted, bytes: u64);
    /// How it fared; `local` where it has a place. Folders are not told of unless they fail.
    fn ended(&self, remote: &str, local: Option<PathBuf>, size: u64, end: &End);
    /// Something has to be waited for.
    fn waits(&self, words: &str);
}
