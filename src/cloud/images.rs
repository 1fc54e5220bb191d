//! An image host for a person at a shell: folders, pictures and their links ([`Images`]).
//!
//! The pipeline needs none of this ([`super::Drive`] is for it, and sends pictures too). What an [`Image`]
//! shows in JSON are the protocol's own words.

use serde::Serialize;

use super::{BoxFuture, Cursor, Page, Result};

/// The most ids of one [`Images::delete`] (删除图片).
pub const MOST_DELETED: usize = 100;

/// The calls for a person at a shell. Paths are absolute, `/` is the image host itself; a path that is not
/// there is [`super::Kind::Missing`].
pub trait Images: Send + Sync {
    /// Makes a folder, and those above it that are missing: its id. One that is there already is no failure.
    fn mkdir<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<String>>;
    /// One page of a folder, in the cloud's own order; what the review rejected is there too.
    fn list<'a>(&'a self, folder: &'a str, after: Option<Cursor>) -> BoxFuture<'a, Result<Page<Image>>>;
    /// What there is to know of a picture or a folder, by its id.
    fn detail<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Image>>;
    /// Deletes at most [`MOST_DELETED`] pictures and folders, those with all that is in them. Ids that do not
    /// exist are passed over.
    fn delete<'a>(&'a self, ids: &'a [String]) -> BoxFuture<'a, Result<()>>;
}

/// A picture or a folder. JSON has the protocol's words (获取图片详情).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// The cloud's id, opaque.
    pub file_id: String,
    /// Its name.
    pub filename: String,
    /// Absolute path, where it was found by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// 0 picture, 1 folder.
    #[serde(rename = "type")]
    pub kind: u8,
    /// Bytes; 0 of a folder.
    pub size: u64,
    /// MD5 of the content; empty of a folder.
    pub etag: String,
    /// What the review says: above 100 it is rejected.
    pub status: i64,
    /// When it was made, seconds since 1970.
    pub create_at: Option<i64>,
    /// When it was changed, seconds since 1970.
    pub update_at: Option<i64>,
    /// Where anybody who has the address can see it.
    #[serde(rename = "downloadURL")]
    pub download_url: String,
    /// The same below the user's own domain.
    #[serde(rename = "userSelfURL")]
    pub user_self_url: String,
    /// Bytes that were fetched from there.
    pub total_traffic: u64,
    /// The folder it lies in.
    pub parent_file_id: String,
    /// That folder's name.
    pub parent_filename: String,
    /// Ending of the name.
    pub extension: String,
}

impl Image {
    /// A folder.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.kind == 1
    }

    /// The review says that nobody is to see it (文件审核状态。大于100为审核驳回文件).
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        self.status > 100
    }

    /// The link to give away: that of the user's own domain, where there is one.
    #[must_use]
    pub fn link(&self) -> &str {
        if self.user_self_url.is_empty() { &self.download_url } else { &self.user_self_url }
    }
}
