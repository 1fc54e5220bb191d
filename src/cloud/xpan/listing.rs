//! Lists for a person at a shell: list, listall, doclist and its like, categoryinfo, categorylist, search,
//! filemetas (xpan-api, the sections of these names; xpan-search).
//!
//! Pages have at most a thousand entries, which keeps an answer below what is read of one. An entry that
//! makes no sense - no object, no path, a file without a size - is left out: one odd entry must not hide the
//! other 999.

use std::collections::BTreeSet;

use super::item::items;
use super::wire::items::{Counts, Item as WireItem, Items};
use super::{Call, LARGE, SMALL, Xpan, answer};
use crate::cloud::files::{
    CategoryList, Count, Item, LONGEST_KEY, ListAll, ListKind, MOST_METAS, Order, Place, Search, Sort, Want,
};
use crate::cloud::lenient::Perhaps;
use crate::cloud::{Cursor, Error, Kind, Page, Result};

pub(super) const FILE: &str = "/rest/2.0/xpan/file";
const MULTIMEDIA: &str = "/rest/2.0/xpan/multimedia";

/// Entries a page.
const PAGE: u64 = 1000;
/// Entries a page of a search: "默认为500，不能修改" (xpan-search).
const FOUND: u64 = 500;

fn order(order: Order) -> &'static str {
    match order {
        Order::Name => "name",
        Order::Time => "time",
        Order::Size => "size",
    }
}

fn bit(on: bool) -> &'static str {
    if on { "1" } else { "0" }
}

/// A request that is refused before it is made.
pub(super) fn refuse(endpoint: &'static str, words: impl Into<String>) -> Error {
    Error::new(Kind::Refused, endpoint, words).unsent()
}

/// Where a page begins; every call here counts, entries or pages.
pub(super) fn number(after: Option<Cursor>) -> Option<u64> {
    after.and_then(|after| after.number())
}

/// Where the next page begins, of a call that tells by `cursor` and `has_more`.
///
/// # Errors
/// It says that there is more, and not further on: that would never end.
pub(super) fn further(
    endpoint: &'static str,
    start: u64,
    count: u64,
    cursor: Option<u64>,
    has_more: Option<u8>,
) -> Result<Option<u64>> {
    let next = (has_more == Some(1)).then(|| cursor.unwrap_or(start + count));
    match next {
        Some(next) if next <= start || count == 0 => {
            Err(answer::broken(endpoint, "it says there is more, and not where"))
        }
        next => Ok(next),
    }
}

impl Xpan {
    /// 获取文件列表. A full page means that there may be another.
    pub(super) async fn list_items(
        &self,
        dir: &str,
        sort: Sort,
        want: Want,
        after: Option<u64>,
    ) -> Result<Page<Item>> {
        let start = after.unwrap_or(0);
        let (from, limit) = (start.to_string(), PAGE.to_string());
        let mut query = vec![
            ("method", "list"),
            ("dir", dir),
            ("order", order(sort.order)),
            ("start", &from),
            ("limit", &limit),
        ];
        // "该KEY存在为降序": that it is there is what counts.
        if sort.desc {
            query.push(("desc", "1"));
        }
        if want.thumbs {
            query.push(("web", "web"));
        }
        if want.folders {
            query.push(("folder", "1"));
        }
        let answer: Items = self.get("list", FILE, &query, LARGE).await?;
        let count = answer.list.len() as u64;
        let mut entries = items(answer.list, want.folders);
        // With `folder` the path is all that an entry has.
        entries.iter_mut().for_each(|item| item.isdir |= want.folders);
        Ok(Page { entries, next: (count >= PAGE).then(|| Cursor::at(start + count)) })
    }

    /// 递归获取文件列表
    pub(super) async fn listall_items(
        &self,
        path: &str,
        ask: &ListAll,
        after: Option<u64>,
    ) -> Result<Page<Item>> {
        let start = after.unwrap_or(0);
        let (from, limit) = (start.to_string(), PAGE.to_string());
        let since = |time: Option<i64>| time.map(|time| time.max(0).to_string());
        let (ctime, mtime) = (since(ask.ctime), since(ask.mtime));
        let mut query = vec![
            ("method", "listall"),
            ("path", path),
            ("recursion", bit(ask.recursion)),
            ("order", order(ask.sort.order)),
            ("desc", bit(ask.sort.desc)),
            ("start", &from),
            ("limit", &limit),
            ("web", bit(ask.thumbs)),
        ];
        query.extend(ctime.as_deref().map(|time| ("ctime", time)));
        query.extend(mtime.as_deref().map(|time| ("mtime", time)));
        let answer: Items = self.get("listall", MULTIMEDIA, &query, LARGE).await?;
        by_cursor("listall", start, answer)
    }

    /// 获取文档列表, 获取图片列表, 获取视频列表, 获取bt列表: by numbers of pages, from 1. A full page means that
    /// there may be another.
    pub(super) async fn list_of_kind(
        &self,
        kind: ListKind,
        place: Place<'_>,
        sort: Sort,
        want: Want,
        after: Option<u64>,
    ) -> Result<Page<Item>> {
        let method = match kind {
            ListKind::Doc => "doclist",
            ListKind::Image => "imagelist",
            ListKind::Video => "videolist",
            ListKind::Bt => "btlist",
        };
        let page = after.unwrap_or(1);
        let (number, num) = (page.to_string(), PAGE.to_string());
        let mut query = vec![
            ("method", method),
            ("parent_path", place.path),
            ("recursion", bit(place.recursion)),
            ("order", order(sort.order)),
            ("desc", bit(sort.desc)),
            ("page", &number),
            ("num", &num),
        ];
        if want.thumbs {
            query.push(("web", "1"));
        }
        let answer: Items = self.get(method, FILE, &query, LARGE).await?;
        let listed = one_list(answer.info, answer.list);
        let next = (listed.len() as u64 >= PAGE).then(|| Cursor::at(page + 1));
        Ok(Page { entries: items(listed, false), next })
    }

    /// 获取分类文件总个数
    pub(super) async fn count_category(&self, category: u8, place: Place<'_>) -> Result<Count> {
        let number = category.to_string();
        let query =
            [("category", number.as_str()), ("parent_path", place.path), ("recursion", bit(place.recursion))];
        let answer: Counts = self.get("categoryinfo", "/api/categoryinfo", &query, SMALL).await?;
        let of_category = answer.info.get(&number).and_then(|counted| counted.0.as_ref());
        let (count, size) = match of_category {
            Some(counted) => (counted.count, counted.size),
            None => (answer.count, answer.size),
        };
        // A folder without such files may have no line for them.
        Ok(Count { count: count.unwrap_or(0), size: size.unwrap_or(0) })
    }

    /// 获取分类列表文件
    pub(super) async fn list_category(
        &self,
        ask: &CategoryList,
        place: Place<'_>,
        sort: Sort,
        after: Option<u64>,
    ) -> Result<Page<Item>> {
        if ask.categories.is_empty() {
            return Err(refuse("categorylist", "there is no category to list"));
        }
        let start = after.unwrap_or(0);
        let (from, limit) = (start.to_string(), PAGE.to_string());
        let category = ask.categories.iter().map(u8::to_string).collect::<Vec<_>>().join(",");
        let ext = ask.ext.join(",");
        let mut query = vec![
            ("method", "categorylist"),
            ("category", &category),
            ("parent_path", place.path),
            ("recursion", bit(place.recursion)),
            ("start", &from),
            ("limit", &limit),
            ("order", order(sort.order)),
            ("desc", bit(sort.desc)),
        ];
        if !ext.is_empty() {
            query.push(("ext", &ext));
        }
        let answer: Items = self.get("categorylist", MULTIMEDIA, &query, LARGE).await?;
        by_cursor("categorylist", start, answer)
    }

    /// 搜索文件, as xpan-search has it.
    pub(super) async fn find(
        &self,
        ask: &Search,
        place: Place<'_>,
        after: Option<u64>,
    ) -> Result<Page<Item>> {
        let length = ask.key.chars().count();
        if length > LONGEST_KEY {
            let words =
                format!("the word to search for has {length} characters; the cloud takes {LONGEST_KEY}");
            return Err(refuse("search", words));
        }
        if length == 0 {
            return Err(refuse("search", "there is no word to search for"));
        }
        let page = after.unwrap_or(1);
        let (number, num) = (page.to_string(), FOUND.to_string());
        let category = ask.category.map(|category| category.to_string());
        let mut query = vec![
            ("method", "search"),
            ("key", &ask.key),
            ("dir", place.path),
            ("page", &number),
            ("num", &num),
        ];
        query.extend(category.as_deref().map(|category| ("category", category)));
        // "带这个参数就会递归，否则不递归", and likewise `web`: they are there only when wanted.
        if place.recursion {
            query.push(("recursion", "1"));
        }
        if ask.thumbs {
            query.push(("web", "1"));
        }
        query.extend(ask.device_id.as_deref().map(|device| ("device_id", device)));
        let answer: Items = self.get("search", FILE, &query, LARGE).await?;
        let listed = one_list(answer.list, answer.info);
        let count = listed.len() as u64;
        let next = match answer.has_more {
            Some(1) if count == 0 => {
                return Err(answer::broken("search", "it says there is more, and not where"));
            }
            Some(more) => more == 1,
            None => count >= FOUND,
        };
        Ok(Page { entries: items(listed, false), next: next.then(|| Cursor::at(page + 1)) })
    }

    /// 查询文件信息. Ids that are not there are left out of the answer; when none is there it is 42214, of
    /// which the document has only that the basic data could not be read, and not, as of its neighbour 42212,
    /// that one may try again. Lest one bad id speaks for a hundred, three are asked for alone then: if the
    /// cloud knows one of them, the others are found by halves.
    pub(super) async fn metas(&self, ids: &[String], want: Want) -> Result<Vec<Item>> {
        if let Some(items) = self.metas_of(ids, want).await? {
            return Ok(items);
        }
        let probes = BTreeSet::from([0, ids.len() / 2, ids.len() - 1]);
        let mut is_any = false;
        for probe in probes.into_iter().filter(|_| ids.len() > 1) {
            is_any = is_any || self.metas_of(&ids[probe..=probe], want).await?.is_some();
        }
        let mut parts: Vec<&[String]> =
            if is_any { ids.chunks(ids.len().div_ceil(2)).collect() } else { vec![] };
        let mut items = Vec::new();
        while let Some(part) = parts.pop() {
            match self.metas_of(part, want).await? {
                Some(found) => items.extend(found),
                None if part.len() > 1 => parts.extend(part.chunks(part.len().div_ceil(2))),
                None => {}
            }
        }
        Ok(items)
    }

    /// `None`: none of them is there, or not all.
    async fn metas_of(&self, ids: &[String], want: Want) -> Result<Option<Vec<Item>>> {
        let endpoint = "filemetas";
        if ids.len() > MOST_METAS {
            let words = format!("{} files were asked for at once; the cloud takes {MOST_METAS}", ids.len());
            return Err(refuse(endpoint, words));
        }
        if ids.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let fsids = numbers(endpoint, ids)?;
        let query = [
            ("method", endpoint),
            ("fsids", &fsids),
            ("thumb", bit(want.thumbs)),
            ("dlink", bit(want.dlink)),
            ("extra", bit(want.extra)),
        ];
        let call = Call { limit: LARGE, ..Call::to(endpoint, MULTIMEDIA, &query) };
        match self.ask::<Items>(call, answer::read).await {
            Ok(answer) => Ok(Some(items(one_list(answer.list, answer.info), false))),
            Err(error) if error.number() == Some(NONE_THERE) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// 文件基础信息查询失败
const NONE_THERE: i64 = 42214;

/// A JSON list of `fs_id`s, as numbers.
pub(super) fn numbers(endpoint: &'static str, ids: &[String]) -> Result<String> {
    match ids.iter().find(|id| id.parse::<u64>().is_err()) {
        Some(id) => Err(refuse(endpoint, format!("{id:?} is no fs_id: a number is expected"))),
        None => Ok(format!("[{}]", ids.join(","))),
    }
}

fn by_cursor(endpoint: &'static str, start: u64, answer: Items) -> Result<Page<Item>> {
    let listed = one_list(answer.list, answer.info);
    let next = further(endpoint, start, listed.len() as u64, answer.cursor, answer.has_more)?;
    Ok(Page { entries: items(listed, false), next: next.map(Cursor::at) })
}

type Listed = Vec<Perhaps<WireItem>>;

/// The list, whichever of its two names it came under (field notes 6).
fn one_list(usual: Listed, other: Listed) -> Listed {
    if usual.is_empty() { other } else { usual }
}
