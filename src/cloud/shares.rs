//! Share links, as a person at a shell makes and follows them ([`Shares`]; xpan-share).

use serde::Serialize;

use super::files::{Item, ItemResult, OnDup, Run, Task};
use super::{BoxFuture, Cursor, Page, Result};

/// The most files of one [`Shares::set`] (xpan-share, 创建附件).
pub const MOST_SHARED: usize = 1000;

/// The calls for share links.
pub trait Shares: Send + Sync {
    /// Makes a link to files (`fs_id`), at most [`MOST_SHARED`]. Folders and archives are refused. Needs
    /// `share_type` and `share_secret` of the configuration.
    fn set<'a>(
        &'a self,
        ids: &'a [String],
        period: Period,
        description: &'a str,
    ) -> BoxFuture<'a, Result<Share>>;
    /// Trades a link's password for its key (`randsk`). A wrong one is errno -9.
    fn verify<'a>(&'a self, link: &'a Link, pwd: &'a str) -> BoxFuture<'a, Result<String>>;
    /// One page of what a link leads to; `fid` names a folder in it, `None` is the top.
    fn list<'a>(
        &'a self,
        link: &'a Link,
        sekey: &'a str,
        fid: Option<&'a str>,
        after: Option<Cursor>,
    ) -> BoxFuture<'a, Result<Shared>>;
    /// What there is to know of a link.
    fn info<'a>(&'a self, link: &'a Link, spd: &'a str) -> BoxFuture<'a, Result<LinkInfo>>;
    /// Saves files of a link (`fs_id`) to a folder of the own drive. At most 500 at a time, members 3,000,
    /// super members 50,000.
    fn transfer<'a>(&'a self, ask: &'a Save, run: Run) -> BoxFuture<'a, Result<Saved>>;
    /// How far a task that `transfer` began has come.
    fn taskquery<'a>(&'a self, taskid: &'a str) -> BoxFuture<'a, Result<Task>>;
}

/// How long a link lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Period {
    /// 0: for ever.
    #[default]
    Forever,
    /// 1: a day.
    Day,
    /// 7: seven days.
    Week,
}

/// A link: what stands behind the last slash of its address, or its two numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Link {
    /// `surl`, `shorturl`; `source` is the part before it (`linksource`), where there is one.
    Short {
        /// What stands behind the last slash.
        surl: String,
        /// What stands before it: `zhihu`.
        linksource: String,
    },
    /// `shareid` and `uk`.
    Numbers {
        /// Of the link.
        shareid: String,
        /// Of who made it.
        uk: String,
    },
}

/// A link that was made. JSON has the protocol's words.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Share {
    /// Of the link.
    pub shareid: String,
    /// Of who made it.
    pub uk: String,
    /// The address.
    pub link: String,
    /// The address to show to others.
    pub shorturl: String,
    /// The password: meant to be passed on, and nowhere else.
    pub pwd: String,
    /// 0 for ever, 1 a day, 7 seven days.
    #[serde(rename = "expiredType")]
    pub expired_type: u64,
    /// When it was made, seconds since 1970.
    pub ctime: Option<i64>,
}

/// One page of what a link leads to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Shared {
    /// Of the link.
    pub shareid: String,
    /// Of who made it.
    pub uk: String,
    /// Its first file's path.
    pub title: String,
    /// The files.
    pub page: Page<Item>,
}

/// What there is to know of a link. JSON has the protocol's words.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct LinkInfo {
    /// Of the link.
    pub shareid: String,
    /// Of who made it.
    pub uk: String,
    /// Days it still lives.
    pub expire_days: Option<u64>,
    /// When it was made, seconds since 1970.
    pub ctime: Option<i64>,
    /// How many files it leads to.
    pub fcount: Option<u64>,
}

/// What is saved from a link, and where to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Save {
    /// Of the link.
    pub shareid: String,
    /// `from`: of who made it.
    pub uk: String,
    /// The key that `verify` gave.
    pub sekey: String,
    /// `fsidlist`
    pub ids: Vec<String>,
    /// Absolute path of a folder of the own drive.
    pub path: String,
    /// What becomes of something that has the name already; the documents know `newcopy`.
    pub ondup: OnDup,
}

/// What `transfer` answered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Saved {
    /// A task to ask about; `None`: it is done.
    pub taskid: Option<String>,
    /// How each file fared.
    pub info: Vec<ItemResult>,
    /// From where (path in the share) to where (own path).
    pub saved: Vec<(String, String)>,
}
