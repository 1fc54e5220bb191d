//! What the pipeline needs of a cloud ([`Drive`]), and the words of it: an upload, its session and slices, a
//! listed entry, a page.
//!
//! Nothing here is any cloud's own. What only one of them has is asked for by [`Drive::devices`],
//! [`Drive::copies`], [`Drive::files`], [`Drive::images`] and [`Drive::shares`], and may be missing.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{BoxFuture, Devices, Error, Files, GiveBack, Images, Kind, Result, Shares};
use crate::content::{ExifInfo, Md5, Media, OnConflict, Purpose};

/// What the pipeline needs of a cloud.
///
/// Every call may fail with any [`Kind`]. Calls are cancelled by dropping the future; what the cloud
/// made of a cancelled call is unknown, and [`Drive::list`] is how one finds out.
pub trait Drive: Send + Sync + 'static {
    /// Who is logged in and what this membership allows.
    fn user(&self) -> BoxFuture<'_, Result<User>>;
    /// Space in the drive; `None` of a cloud that does not tell.
    fn quota(&self) -> BoxFuture<'_, Result<Option<Quota>>>;
    /// Announces a file: already there, or a session and the slices to send. `resume` is the id of an
    /// earlier session of the same file and content; also one that was [`Finish::Making`]. A cloud that cannot
    /// tell what it has of that one begins another.
    fn begin<'a>(&'a self, file: &'a Upload, resume: Option<&'a str>) -> BoxFuture<'a, Result<Begin>>;
    /// Sends one slice and returns the MD5 the cloud computed of it, where it tells. One that does not has to
    /// compare the whole by itself: then [`Drive::finish`] fails when it is not [`Upload::content_md5`].
    fn send<'a>(
        &'a self,
        file: &'a Upload,
        session: &'a str,
        slice: Slice,
    ) -> BoxFuture<'a, Result<Option<Md5>>>;
    /// Makes the file of its slices. The answer is the cloud's word for what now exists, or that the cloud
    /// takes its time for it ([`Finish::Making`]).
    fn finish<'a>(&'a self, file: &'a Upload, session: &'a str) -> BoxFuture<'a, Result<Finish>>;
    /// What has become of a session that was [`Finish::Making`], asked for as often as one likes, but not
    /// within a second. A session that the cloud does not know any more is [`Kind::Expired`]: then the file may
    /// have been made, which [`Drive::begin`] finds out.
    fn made<'a>(&'a self, file: &'a Upload, session: &'a str) -> BoxFuture<'a, Result<Finish>> {
        self.finish(file, session)
    }
    /// One page of a remote folder, `after` being the page before's [`Page::next`]. The drive itself is `/`, or
    /// empty, here and in all that takes a folder.
    /// A folder that does not exist is [`Kind::Missing`].
    fn list<'a>(&'a self, folder: &'a str, after: Option<Cursor>) -> BoxFuture<'a, Result<Page>>;
    /// One page of everything below a remote folder, folders within folders included, `after` being the
    /// page before's [`Page::next`]. In no particular order; what changes meanwhile may be missed or come
    /// twice. A folder that does not exist is [`Kind::Missing`]; a cloud without such a call refuses it.
    fn list_all<'a>(&'a self, _folder: &'a str, _after: Option<Cursor>) -> BoxFuture<'a, Result<Page>> {
        let words = "this cloud does not list folders within folders";
        Box::pin(async move { Err(Error::new(Kind::Refused, "listall", words).unsent()) })
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
    /// Where anybody who has the address can see a stored file (`id` of [`Stored`]), of a cloud that gives out
    /// such addresses: asked for each time.
    fn link<'a>(&'a self, _id: &'a str) -> Option<BoxFuture<'a, Result<String>>> {
        None
    }
    /// How long the way takes at this moment to where slices were sent last, once there and back, without a call;
    /// `None` when that is not known.
    fn knock(&self) -> BoxFuture<'_, Option<Duration>> {
        Box::pin(std::future::ready(None))
    }
    /// The call that copies files inside the cloud, of a cloud that has one.
    fn copies(&self) -> Option<&dyn Copies> {
        None
    }
    /// What brings copies home. Without it nothing of this cloud can be restored or verified.
    fn give_back(&self) -> Option<&dyn GiveBack> {
        None
    }
    /// The device calls, of a cloud that has them. Where there are none no account has to be bound.
    fn devices(&self) -> Option<&dyn Devices> {
        None
    }
    /// The calls for a person at a shell, of a cloud that has them.
    fn files(&self) -> Option<&dyn Files> {
        None
    }
    /// The calls of an image host for a person at a shell, of a cloud that is one.
    fn images(&self) -> Option<&dyn Images> {
        None
    }
    /// Share links, of a cloud that has them.
    fn shares(&self) -> Option<&dyn Shares> {
        None
    }
}

/// What spares sending a content that is in the cloud already.
pub trait Copies: Send + Sync {
    /// Copies files inside the cloud: from and to, absolute remote paths; the folders they go to are made.
    /// What has the name already stays as it is. `false` of a file says that it was certainly not copied;
    /// of the others [`Drive::list`] tells. At most [`super::files::MOST_MANAGED`].
    fn copy<'a>(&'a self, files: &'a [(&'a str, &'a str)]) -> BoxFuture<'a, Result<Vec<bool>>>;
}

/// Who is logged in, and what the membership allows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// The cloud's number for the user, opaque.
    pub id: String,
    /// The name the user knows; empty when the cloud does not tell it.
    pub name: String,
    /// Baidu's `vip_type`: 0 ordinary, 1 member, 2 super member. `None` elsewhere.
    pub vip_type: Option<u8>,
    /// Bytes of every slice but the last. Where a session says another size, that one counts.
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
    /// Some of it ends within seven days.
    pub expires: bool,
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
    /// The file was there before it was announced. Not every cloud can tell that from [`Begin::Present`].
    There(Stored),
    /// Slices are wanted.
    Send {
        /// The session (`uploadid`).
        session: String,
        /// Bytes of every slice of this session but the last; [`Upload::slice_size`] where the cloud leaves
        /// that to us. Of slices cut otherwise no MD5 is known.
        slice_size: u64,
        /// Numbers of the slices the cloud lacks, from 0.
        missing: Vec<u32>,
    },
    /// Everything had arrived in the session that was to be gone on with, and the cloud still makes the file of
    /// it: [`Drive::made`] tells when it is there.
    Making {
        /// The session.
        session: String,
    },
}

/// The answer to [`Drive::finish`] and [`Drive::made`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finish {
    /// The file exists.
    Made(Stored),
    /// Everything has arrived, and the cloud takes its time to make the file of it: [`Drive::made`] tells.
    Making {
        /// What the session is called from here on. Nothing more is sent in it.
        session: String,
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
    pub next: Option<Cursor>,
}

/// Where a page begins. Only the call that gave it knows what it means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cursor(Box<str>);

impl Cursor {
    /// In a cloud's own words; also what was kept of an earlier one.
    #[must_use]
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// A number: of an entry, or of a page.
    #[must_use]
    pub fn at(number: u64) -> Self {
        Self::new(number.to_string())
    }

    /// The words.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The number; `None` when it is none.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        self.0.parse().ok()
    }
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
