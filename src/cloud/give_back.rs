//! What brings copies home: lists that lead to a file, where it is fetched, its bytes ([`GiveBack`]).
//!
//! Every cloud that is a backup target has these: `restore`, `verify` and `drive get` need no more.

use super::files::{Download, Item};
use super::{BoxFuture, Cursor, Page, Result};

/// The most ids of one [`GiveBack::details`] (xpan-api, 查询文件信息).
pub const MOST_DETAILS: usize = 100;

/// A file that is asked about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    /// The cloud's id (`fs_id`), which decides.
    pub id: String,
    /// Absolute remote path where it probably lies; empty where nobody knows.
    pub path: String,
}

/// The calls of whoever brings files home. Of an [`Item`] they fill in what the cloud tells: at least the id,
/// the path, whether it is a folder, the size and the md5. A path that is not there is
/// [`super::Kind::Missing`].
pub trait GiveBack: Send + Sync {
    /// One page of a folder.
    fn items<'a>(&'a self, folder: &'a str, after: Option<Cursor>) -> BoxFuture<'a, Result<Page<Item>>>;
    /// One page of everything below a folder, folders within folders included. A cloud without a call for it
    /// goes from folder to folder ([`super::walk`]).
    fn items_below<'a>(&'a self, folder: &'a str, after: Option<Cursor>)
    -> BoxFuture<'a, Result<Page<Item>>>;
    /// What there is to know of at most [`MOST_DETAILS`] files, with the address to fetch each from
    /// ([`Item::dlink`]). Those whose ids do not exist are left out. A cloud that has no call for several may tell
    /// what it listed a moment ago, each of it once: whoever asks again hears what is so now.
    fn details<'a>(&'a self, files: &'a [Asked]) -> BoxFuture<'a, Result<Vec<Item>>>;
    /// Begins to fetch a file of `size` bytes, as it was listed, from `from` on. `address` is [`Item::dlink`];
    /// one that is too old is [`super::Kind::Expired`].
    fn download<'a>(&'a self, address: &'a str, from: u64, size: u64) -> BoxFuture<'a, Result<Download>>;
}
