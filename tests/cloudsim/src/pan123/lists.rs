//! "获取图片信息": detail and list.

use serde_json::{Value, json};

use super::Pan123;
use super::direct;
use super::envelope::{need, need_type, number, ok, optional, refuse_code, wrong};
use super::item::{Item, number_of};
use super::manage::ROOT_NAME;
use super::times;
use crate::answer::Reply;
use crate::request::Ask;
use crate::state::Cloud;

/// "每页文件数量，最大不超过100".
const LONGEST_PAGE: u64 = 100;

/// "-1代表最后一页".
const END: &str = "-1";

/// GET /api/v1/oss/file/detail. Its table has fileID in the query, its examples in a JSON body: both do.
pub(super) fn detail(cloud: &Cloud, ask: &Ask, account: &str) -> Reply {
    let id = match ask.query.get("fileID").filter(|id| !id.is_empty()) {
        Some(id) => id,
        None => need(ask, "fileID")?,
    };
    let state = cloud.lock();
    let item = state.pan123.library.of(account, id).ok_or_else(|| refuse_code(5066))?;
    ok(show(cloud, &state.pan123, ask, item))
}

/// POST /api/v1/oss/file/list. The newest first, so that what arrives meanwhile moves no page.
pub(super) fn list(cloud: &Cloud, ask: &Ask, account: &str) -> Reply {
    need_type(ask)?;
    let text = |name: &str| match ask.json.get(name) {
        None | Some(Value::Null) => Ok(""),
        Some(value) => value.as_str().ok_or_else(|| wrong(name)),
    };
    let limit = number(ask, "limit")?;
    if !(1..=LONGEST_PAGE).contains(&limit) {
        return Err(wrong("limit"));
    }
    let since = optional(ask, "startTime")?.filter(|time| *time > 0).unwrap_or(0);
    let until = optional(ask, "endTime")?.filter(|time| *time > 0).unwrap_or(u64::MAX);
    let from = match text("lastFileId")? {
        "" => u64::MAX,
        END => 0,
        id => number_of(id).ok_or_else(|| wrong("lastFileId"))?,
    };
    let state = cloud.lock();
    let parent = state.pan123.folder(account, text("parentFileId")?)?;
    let mut found = state
        .pan123
        .library
        .children(&parent, from)
        .filter(|item| (since..=until).contains(&(item.created_ms / 1000)));
    let page: Vec<Value> =
        found.by_ref().take(limit as usize).map(|item| show(cloud, &state.pan123, ask, item)).collect();
    let next = found.next().map_or(END, |item| item.id.as_str());
    ok(json!({"lastFileId": next, "fileList": page}))
}

/// An item with every field that the examples have.
fn show(cloud: &Cloud, pan123: &Pan123, ask: &Ask, item: &Item) -> Value {
    let uid = pan123.clients.uid(&item.account);
    let link = if item.isdir { String::new() } else { direct::link(cloud, ask, uid, item) };
    let of_file = |text: String| if item.isdir { String::new() } else { text };
    json!({
        "fileId": item.id,
        "filename": item.name,
        "parentFileId": item.parent,
        "type": i32::from(item.isdir),
        "etag": item.etag,
        "size": item.size,
        "status": item.status(cloud.now_ms(), pan123.behave.review_time.as_millis() as u64),
        "s3KeyFlag": of_file(format!("{uid}-0")),
        "storageNode": of_file("m76".into()),
        "createAt": times::stamp(item.created_ms / 1000),
        "updateAt": times::stamp(item.updated_ms / 1000),
        "downloadURL": link,
        "ossIndex": 43,
        "totalTraffic": item.traffic,
        "parentFilename": pan123.library.get(&item.parent).map_or(ROOT_NAME, |parent| &parent.name),
        "extension": item.extension(),
        "userSelfURL": link,
    })
}
