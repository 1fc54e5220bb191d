//! Who is logged in, how much space there is, what lies in a folder: uinfo, quota, list, listall (xpan-api,
//! 获取用户信息, 获取网盘容量信息, 获取文件列表, 递归获取文件列表).

use super::listing::further;
use super::{Xpan, answer, wire};
use crate::cloud::{Cursor, Entry, Page, Quota, Result, User};

/// Entries a page: the documents' default, which keeps a page below one MiB.
const PAGE: u64 = 1000;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Bytes of a slice, by membership (xpan-api, 分片上传).
pub(super) const SLICE_SIZES: [u64; 3] = [4 * MIB, 16 * MIB, 32 * MIB];

/// Bytes of a slice and of a whole file at most, by membership (xpan-api, 上传文件限制 and 分片上传).
///
/// The documents write 4MB and 4G. Their MB is 2^20 - a first slice of 4 * 10^6 bytes is refused
/// (31299) - and 1024 slices, the number documented, of 4 MiB are 4 * 2^30 bytes exactly: so G is taken
/// as 2^30 too. Should that be wrong, a film between 4.00 * 10^9 and 4.29 * 10^9 bytes goes up once in
/// vain and is parked with the cloud's own 31365; the other choice would never back up the 4 GiB pieces
/// that cameras write. No file within a cap needs more than 1024 slices.
#[must_use]
fn membership(vip_type: u8) -> (u64, u64) {
    match vip_type {
        1 => (SLICE_SIZES[1], 10 * GIB),
        2 => (SLICE_SIZES[2], 20 * GIB),
        // Ordinary, and whatever the documents do not know: the smallest works for everybody.
        _ => (SLICE_SIZES[0], 4 * GIB),
    }
}

impl Xpan {
    pub(super) async fn uinfo(&self) -> Result<User> {
        let query = [("method", "uinfo")];
        let info: wire::UserInfo = self.get("uinfo", "/rest/2.0/xpan/nas", &query, super::SMALL).await?;
        let vip_type = info.vip_type.unwrap_or(0);
        let (slice_size, max_file_size) = membership(vip_type);
        let named = |name: Option<String>| name.filter(|name| !name.is_empty());
        Ok(User {
            id: info.uk.ok_or_else(|| answer::broken("uinfo", "the answer has no user id"))?,
            name: named(info.netdisk_name).or(named(info.baidu_name)).unwrap_or_default(),
            vip_type: Some(vip_type),
            slice_size,
            max_file_size,
        })
    }

    pub(super) async fn space(&self) -> Result<Option<Quota>> {
        let query = [("checkfree", "1"), ("checkexpire", "1")];
        let info: wire::QuotaInfo = self.get("quota", "/api/quota", &query, super::SMALL).await?;
        let expires = info.expire.is_some_and(|expire| expire != 0);
        match (info.used, info.total) {
            (Some(used), Some(total)) => Ok(Some(Quota { used, total, expires })),
            _ => Err(answer::broken("quota", "the answer has no figures")),
        }
    }

    /// One page. The answer does not say whether there is another: a full page means that there may be.
    pub(super) async fn page(&self, folder: &str, after: Option<u64>) -> Result<Page> {
        let start = after.unwrap_or(0);
        let query = [
            ("method", "list"),
            ("dir", folder),
            // By name, so that what is added meanwhile moves the pages as little as may be.
            ("order", "name"),
            ("start", &start.to_string()),
            ("limit", &PAGE.to_string()),
        ];
        let answer: wire::Listing = self.get("list", "/rest/2.0/xpan/file", &query, super::LARGE).await?;
        let count = answer.list.len() as u64;
        let entries: Result<Vec<Entry>> = answer.list.into_iter().map(|file| entry("list", file)).collect();
        Ok(Page { entries: entries?, next: (count >= PAGE).then(|| Cursor::at(start + count)) })
    }

    /// One page of 递归获取文件列表. `cursor` and `has_more` say where the next one begins; without a limit
    /// the documents' default is one entry a page. An entry without a path or a size is left out: one odd
    /// entry must not hide the other 999.
    pub(super) async fn page_of_all(&self, folder: &str, after: Option<u64>) -> Result<Page> {
        let start = after.unwrap_or(0);
        let query = [
            ("method", "listall"),
            ("path", folder),
            ("recursion", "1"),
            // By name: what is added or taken away meanwhile moves the pages as little as may be.
            ("order", "name"),
            ("start", &start.to_string()),
            ("limit", &PAGE.to_string()),
        ];
        let path = "/rest/2.0/xpan/multimedia";
        let answer: wire::Listing = self.get("listall", path, &query, super::LARGE).await?;
        let count = answer.list.len() as u64;
        let next = further("listall", start, count, answer.cursor, answer.has_more)?;
        let entries = answer.list.into_iter().filter_map(|file| entry("listall", file).ok()).collect();
        Ok(Page { entries, next: next.map(Cursor::at) })
    }
}

pub(super) fn entry(endpoint: &'static str, file: wire::File) -> Result<Entry> {
    let missing = |what| answer::broken(endpoint, format!("an entry has no {what}"));
    let is_folder = file.isdir == Some(1);
    Ok(Entry {
        id: file.fs_id.unwrap_or_default(),
        path: file.path.ok_or_else(|| missing("path"))?,
        size: match file.size {
            Some(size) => size,
            None if is_folder => 0,
            None => return Err(missing("size")),
        },
        is_folder,
        md5: file.md5.filter(|md5| !is_folder && !md5.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_within_its_membership_needs_more_than_1024_slices() {
        for vip_type in 0..=3 {
            let (slice, file) = membership(vip_type);
            assert!(file.div_ceil(slice) <= 1024, "{vip_type}");
        }
    }
}
