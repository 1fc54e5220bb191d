//! Folders and what is in them: mkdir, list, detail, delete (创建目录, 获取图片信息, 删除图片).

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use serde_json::json;

use super::{Ask, Call, LARGE, Oss, SMALL, answer, wire};
use crate::cloud::Result;
use crate::cloud::images::Image;

/// "每页文件数量，最大不超过100".
const PAGE: u32 = 100;
/// "-1代表最后一页".
const END: &str = "-1";

/// One page of a folder.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) images: Vec<Image>,
    /// Where the next one begins.
    pub(super) next: Option<String>,
}

impl Oss {
    /// 创建目录: a folder in the folder of this id, its id. `name` is an array in the document's table, and in
    /// real clients (field notes 8.3).
    ///
    /// # Errors
    /// [`crate::cloud::Kind::Exists`]: the name is taken. [`crate::cloud::Kind::Missing`]: there is no such
    /// folder.
    pub(super) async fn mkdir(&self, parent: &str, name: &str) -> Result<String> {
        let endpoint = "mkdir";
        let ask = Ask::Json(json!({"name": [name], "parentID": parent, "type": 1}));
        let call = Call { endpoint, path: "/upload/v1/oss/file/mkdir", ask, limit: SMALL };
        let made: wire::Made = self.ask(call, answer::read).await?;
        let id = made.list.into_iter().find_map(|folder| folder.dir_id).filter(|id| !id.is_empty());
        id.ok_or_else(|| answer::broken(endpoint, "the answer has no dirID"))
    }

    /// 获取图片列表: one page of the folder of this id, from `after` on. What has no id or no name that a file
    /// can have is left out.
    ///
    /// # Errors
    /// [`crate::cloud::Kind::Missing`]: there is no such folder.
    pub(super) async fn page(&self, folder: &str, after: Option<&str>) -> Result<Listed> {
        let mut json = json!({"parentFileId": folder, "limit": PAGE, "type": 1});
        if let (Some(after), Some(fields)) = (after, json.as_object_mut()) {
            fields.insert("lastFileId".to_owned(), after.into());
        }
        let call =
            Call { endpoint: "list", path: "/api/v1/oss/file/list", ask: Ask::Json(json), limit: LARGE };
        let listing: wire::Listing = self.ask(call, answer::read).await?;
        // Both are 必填. An answer to something else must not be taken for an empty folder.
        let missing = |what| answer::broken("list", format!("the answer has no {what}"));
        let images = listing.file_list.ok_or_else(|| missing("fileList"))?;
        let next = listing.last_file_id.ok_or_else(|| missing("lastFileId"))?;
        let next = Some(next).filter(|next| !next.is_empty() && next != END);
        if next.is_some() && next.as_deref() == after {
            return Err(answer::broken("list", "the list of the folder does not go on"));
        }
        Ok(Listed { images: images.into_iter().filter_map(image).collect(), next })
    }

    /// 获取图片详情. Its table has `fileID` in the query, its examples in a body, which a GET has nowhere else.
    ///
    /// # Errors
    /// [`crate::cloud::Kind::Missing`]: there is nothing of this id.
    pub(super) async fn image(&self, id: &str) -> Result<Image> {
        let endpoint = "detail";
        let query = [("fileID", id)];
        let call = Call { endpoint, path: "/api/v1/oss/file/detail", ask: Ask::Query(&query), limit: SMALL };
        let item: wire::Item = self.ask(call, answer::read).await?;
        image(item).ok_or_else(|| answer::broken(endpoint, "the answer has no fileId or filename"))
    }

    /// 删除图片: at most [`crate::cloud::images::MOST_DELETED`].
    ///
    /// # Errors
    /// [`crate::cloud::Kind::Missing`]: there is none of them.
    pub(super) async fn remove(&self, ids: &[String]) -> Result<()> {
        let ask = Ask::Json(json!({"fileIDs": ids}));
        let call = Call { endpoint: "delete", path: "/api/v1/oss/file/delete", ask, limit: SMALL };
        self.ask(call, answer::check).await
    }
}

/// What came, as far as it makes sense: a name that is none leads nowhere.
fn image(item: wire::Item) -> Option<Image> {
    let filename =
        item.filename.filter(|name| !matches!(name.as_str(), "" | "." | "..") && !name.contains('/'))?;
    Some(Image {
        file_id: item.file_id.filter(|id| !id.is_empty())?,
        filename,
        path: None,
        kind: item.kind.unwrap_or(0),
        size: item.size.unwrap_or(0),
        etag: item.etag.unwrap_or_default(),
        status: item.status.unwrap_or(0),
        create_at: item.create_at.as_deref().and_then(seconds),
        update_at: item.update_at.as_deref().and_then(seconds),
        download_url: item.download_url.unwrap_or_default(),
        user_self_url: item.user_self_url.unwrap_or_default(),
        total_traffic: item.total_traffic.unwrap_or(0),
        parent_file_id: item.parent_file_id.unwrap_or_default(),
        parent_filename: item.parent_filename.unwrap_or_default(),
        extension: item.extension.unwrap_or_default(),
    })
}

/// `2025-03-03 16:38:26`, without a zone: UTC+8 (field notes 8.2).
pub(super) fn seconds(text: &str) -> Option<i64> {
    let time: DateTime = text.trim().parse().ok()?;
    let beijing = TimeZone::fixed(Offset::constant(8));
    Some(time.to_zoned(beijing).ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn times_without_a_zone_are_beijings() {
        assert_eq!(seconds("2025-03-03 16:38:26"), Some(1_740_991_106));
        assert_eq!(seconds("yesterday"), None);
    }
}
