//! The drive as a person at a shell sees it: look, search, count, manage ([`Files`]).
//!
//! The pipeline needs none of this ([`super::Drive`] is for it), nor does whoever brings copies home
//! ([`GiveBack`]); commands do. One method is one call of the documents, one page or one batch of it: whoever asks follows
//! the pages and keeps the batches within the sizes named here. What a [`Item`] shows in JSON are the
//! protocol's own words.

use std::collections::BTreeMap;
use std::pin::Pin;

use bytes::Bytes;
use serde::Serialize;

use super::{BoxFuture, Cursor, GiveBack, Page, Result, Stored};
use crate::content::Md5;

/// The most ids of one [`Files::filemetas`] (xpan-api, 查询文件信息).
pub const MOST_METAS: usize = super::give_back::MOST_DETAILS;
/// The most items of one [`Files::filemanager`] (field notes 3.8).
pub const MOST_MANAGED: usize = 999;
/// The longest word to search for, in characters (xpan-search, 请求参数).
pub const LONGEST_KEY: usize = 30;

/// The calls for a person at a shell. Every call may fail with any [`super::Kind`]; a path that is not
/// there is [`super::Kind::Missing`].
pub trait Files: GiveBack {
    /// One page of a folder, in an order.
    fn list<'a>(
        &'a self,
        dir: &'a str,
        sort: Sort,
        want: Want,
        after: Option<Cursor>,
    ) -> BoxFuture<'a, Result<Page<Item>>>;
    /// One page of everything below a folder, folders within folders included.
    fn listall<'a>(
        &'a self,
        path: &'a str,
        ask: &'a ListAll,
        after: Option<Cursor>,
    ) -> BoxFuture<'a, Result<Page<Item>>>;
    /// One page of the documents, pictures, films or torrents of a folder. The documents say of pages that
    /// they are newest first; an order is asked for, and need not be had.
    fn list_kind<'a>(
        &'a self,
        kind: ListKind,
        place: Place<'a>,
        sort: Sort,
        want: Want,
        after: Option<Cursor>,
    ) -> BoxFuture<'a, Result<Page<Item>>>;
    /// How many files of a category there are.
    fn categoryinfo<'a>(&'a self, category: u8, place: Place<'a>) -> BoxFuture<'a, Result<Count>>;
    /// One page of the files of categories.
    fn categorylist<'a>(
        &'a self,
        ask: &'a CategoryList,
        place: Place<'a>,
        sort: Sort,
        after: Option<Cursor>,
    ) -> BoxFuture<'a, Result<Page<Item>>>;
    /// One page of what has a word in its name. `device_id` is to be named by a registered device.
    fn search<'a>(
        &'a self,
        ask: &'a Search,
        place: Place<'a>,
        after: Option<Cursor>,
    ) -> BoxFuture<'a, Result<Page<Item>>>;
    /// What there is to know of at most [`MOST_METAS`] ids, those that do not exist left out.
    fn filemetas<'a>(&'a self, ids: &'a [String], want: Want) -> BoxFuture<'a, Result<Vec<Item>>>;
    /// Copies, moves, renames or deletes at most [`MOST_MANAGED`] items. That some of them failed is no
    /// failure of the call: see each one's `errno`.
    fn filemanager<'a>(&'a self, opera: &'a Opera, run: Run) -> BoxFuture<'a, Result<Managed>>;
    /// How far a task that `filemanager` began has come.
    fn taskquery<'a>(&'a self, taskid: &'a str) -> BoxFuture<'a, Result<Task>>;
    /// Makes a folder, and those above it that are missing. One that exists already is no failure.
    fn create_folder<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Stored>>;
    /// One part of a document's preview, from 0. `lodocpreview` is of [`Item::lodocpreview`].
    fn newinfo<'a>(&'a self, lodocpreview: &'a str, part_index: u32) -> BoxFuture<'a, Result<PreviewPart>>;
    /// Begins to fetch such a part: a PDF.
    fn newview<'a>(&'a self, lodocpreview: &'a str, part: &'a PreviewPart)
    -> BoxFuture<'a, Result<Download>>;
}

/// Where to look: `parent_path` or `dir`, and `recursion`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place<'a> {
    /// Absolute remote path of a folder.
    pub path: &'a str,
    /// Folders within folders too.
    pub recursion: bool,
}

/// `order` and `desc`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sort {
    /// By what.
    pub order: Order,
    /// The other way round.
    pub desc: bool,
}

/// By what a list is in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Order {
    /// `name`
    #[default]
    Name,
    /// `time`: when it was changed.
    Time,
    /// `size`
    Size,
}

/// What is wanted of each item besides what is always there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Want {
    /// Addresses of small pictures, and of previews.
    pub thumbs: bool,
    /// Where to fetch the content; `filemetas` only.
    pub dlink: bool,
    /// When and how large a picture was taken; `filemetas` only.
    pub extra: bool,
    /// Folders only; `list` only, and then the path is all there is.
    pub folders: bool,
}

/// 递归获取文件列表.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ListAll {
    /// In what order.
    pub sort: Sort,
    /// Folders within folders too.
    pub recursion: bool,
    /// Only what was uploaded after this time, seconds since 1970.
    pub ctime: Option<i64>,
    /// Only what was changed after this time, seconds since 1970.
    pub mtime: Option<i64>,
    /// Addresses of small pictures.
    pub thumbs: bool,
}

/// Which of 获取文档列表, 获取图片列表, 获取视频列表, 获取bt列表.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListKind {
    /// `doclist`
    Doc,
    /// `imagelist`
    Image,
    /// `videolist`
    Video,
    /// `btlist`
    Bt,
}

/// 获取分类列表文件.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CategoryList {
    /// 1 films, 2 music, 3 pictures, 4 documents, 5 programs, 6 others, 7 torrents.
    pub categories: Vec<u8>,
    /// Only files of these extensions, without a dot; empty: all.
    pub ext: Vec<String>,
}

/// 搜索文件.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Search {
    /// At most [`LONGEST_KEY`] characters.
    pub key: String,
    /// Only of this category.
    pub category: Option<u8>,
    /// Of the device that asks; hardware has to name it.
    pub device_id: Option<String>,
    /// Addresses of small pictures.
    pub thumbs: bool,
}

/// 获取分类文件总个数.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Count {
    /// Files.
    pub count: u64,
    /// Bytes.
    pub size: u64,
}

/// A file or folder in the cloud, with what this call tells of it. JSON has the protocol's words.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Item {
    /// The cloud's id, opaque.
    pub fs_id: String,
    /// Absolute remote path.
    pub path: String,
    /// Last part of the path.
    pub server_filename: String,
    /// A folder.
    pub isdir: bool,
    /// Bytes; 0 for a folder.
    pub size: u64,
    /// 1 film, 2 music, 3 picture, 4 document, 5 program, 6 other, 7 torrent.
    pub category: Option<u8>,
    /// As listed, not necessarily the content's (field notes 3.7).
    pub md5: Option<String>,
    /// When the client's file was made, seconds since 1970.
    pub local_ctime: Option<i64>,
    /// When the client's file was changed, seconds since 1970.
    pub local_mtime: Option<i64>,
    /// When it was uploaded, seconds since 1970.
    pub server_ctime: Option<i64>,
    /// When it was changed in the cloud, seconds since 1970.
    pub server_mtime: Option<i64>,
    /// Of a folder: without folders in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dir_empty: Option<bool>,
    /// Addresses of small pictures, by the protocol's names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub thumbs: BTreeMap<String, String>,
    /// Where the content is fetched, good for eight hours; as secret as the file itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dlink: Option<String>,
    /// Where a document's preview begins; made of `docpreview` when only that is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lodocpreview: Option<String>,
    /// Of a picture, seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date_taken: Option<i64>,
    /// Of a picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Of a picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
}

/// 管理文件: what is done to what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Opera {
    /// `copy`
    Copy(Vec<Transfer>),
    /// `move`; the documents write `mover` once (field notes 3.8).
    Move(Vec<Transfer>),
    /// `rename`: absolute path and new name.
    Rename(Vec<(String, String)>),
    /// `delete`: absolute paths.
    Delete(Vec<String>),
}

/// One item of a copy or a move.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transfer {
    /// Absolute path of what there is.
    pub path: String,
    /// Absolute path of the folder it goes to.
    pub dest: String,
    /// What it is called there.
    pub newname: String,
    /// What becomes of something that has that name already.
    pub ondup: OnDup,
}

/// `ondup`: what becomes of something that has the name already.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnDup {
    /// `fail`: it stays, and this item fails.
    #[default]
    Fail,
    /// `newcopy`: both are kept, the new one under another name.
    NewCopy,
    /// `overwrite`: it is replaced.
    Overwrite,
    /// `skip`: it stays, and this item counts as done.
    Skip,
}

/// `async`: whether the cloud answers before it is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Run {
    /// 0: the answer is the result.
    Sync,
    /// 1: the cloud decides by the number of files.
    Adaptive,
    /// 2: the answer is a task to ask about.
    Async,
}

/// What `filemanager` or `transfer` answered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Managed {
    /// A task to ask about with [`Files::taskquery`]; `None`: it is done.
    pub taskid: Option<String>,
    /// How each item fared, when the answer says.
    pub info: Vec<ItemResult>,
}

/// How one item of a batch fared.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ItemResult {
    /// As it was asked for.
    pub path: String,
    /// 0: done.
    pub errno: i64,
    /// What the number means, in words; empty when done.
    pub meaning: String,
}

/// A task of the cloud (field notes 3.8).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Task {
    /// How far it is.
    pub status: TaskStatus,
    /// `task_errno`, 0 when nothing is wrong.
    pub errno: i64,
    /// How each item fared, when the answer says.
    pub info: Vec<ItemResult>,
}

/// How far a task is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TaskStatus {
    /// Not begun.
    Pending,
    /// Under way.
    Running,
    /// Done.
    Success,
    /// Ended without being done, or done in part.
    Failed,
}

/// A file on its way to us.
pub struct Download {
    /// Where the body begins: what was asked for, or 0 where ranges are not served.
    pub from: u64,
    /// Bytes of the whole file: as the server says, else as it was listed; 0 for a preview whose server does
    /// not say.
    pub total: u64,
    /// MD5 of the whole content, where the server tells it (field notes 3.7).
    pub content_md5: Option<Md5>,
    /// The bytes; ends with an error when the line breaks or nothing moves.
    pub body: DownloadBody,
}

/// The bytes of a [`Download`].
pub type DownloadBody = Pin<Box<dyn futures_util::Stream<Item = Result<Bytes>> + Send>>;

/// A part of a document's preview (获取文档列表, 其他说明).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PreviewPart {
    /// How many parts there are in all.
    pub page_num: u32,
    /// Names the part.
    pub ndb_key: String,
    /// Where it lies.
    pub region: String,
}
