//! How a file or folder is shown in an answer, and in what order: what all lists share.

use serde_json::{Map, Value, json};

use crate::entry::Entry;
use crate::names;
use crate::state::State;

/// A folder parameter without its trailing slash.
pub(crate) fn folder(dir: &str) -> &str {
    match dir.trim_end_matches('/') {
        "" => "/",
        dir => dir,
    }
}

/// Folders first, then by the wanted field, then by name so that pages never overlap. "排序的对象是当前
/// 目录下所有文件，不是当前分页下的文件".
pub(crate) fn sort(entries: &mut Vec<&Entry>, order: &str, descending: bool) {
    let field = |entry: &Entry| match order {
        "time" => entry.server_mtime,
        "size" => entry.size,
        "type" => u64::from(entry.category()),
        _ => 0,
    };
    let mut keyed: Vec<(u64, &Entry)> = entries.drain(..).map(|entry| (field(entry), entry)).collect();
    keyed.sort_unstable_by(|(a_field, a), (b_field, b)| {
        let inner = a_field.cmp(b_field).then_with(|| a.path.cmp(&b.path));
        b.isdir.cmp(&a.isdir).then(if descending { inner.reverse() } else { inner })
    });
    entries.extend(keyed.into_iter().map(|(_, entry)| entry));
}

/// What listall and filemetas both show.
pub(crate) fn common(entry: &Entry) -> Map<String, Value> {
    let mut item = Map::new();
    item.insert("category".into(), json!(entry.category()));
    item.insert("fs_id".into(), json!(entry.fs_id));
    item.insert("isdir".into(), json!(i64::from(entry.isdir)));
    item.insert("path".into(), json!(entry.path));
    item.insert("server_ctime".into(), json!(entry.server_ctime));
    item.insert("server_mtime".into(), json!(entry.server_mtime));
    item.insert("size".into(), json!(entry.size));
    if !entry.isdir {
        item.insert("md5".into(), json!(entry.cloud_md5));
    }
    item
}

pub(crate) fn list_item(entry: &Entry, uk: u64) -> Value {
    let mut item = common(entry);
    item.insert("server_filename".into(), json!(names::name(&entry.path)));
    item.insert("privacy".into(), json!(0));
    item.insert("unlist".into(), json!(0));
    item.insert("server_atime".into(), json!(0));
    item.insert("local_ctime".into(), json!(entry.local_ctime));
    item.insert("local_mtime".into(), json!(entry.local_mtime));
    item.insert("share".into(), json!(0));
    item.insert("oper_id".into(), json!(uk));
    if entry.isdir {
        item.insert("empty".into(), json!(0));
    }
    Value::Object(item)
}

pub(crate) fn uk(state: &State, account: &str) -> u64 {
    state.users.accounts.get(account).map_or(0, |account| account.uk)
}

/// The documents' examples show thumbnails for videos, pictures and documents.
pub(crate) fn has_thumbs(entry: &Entry) -> bool {
    !entry.isdir && matches!(entry.category(), 1 | 3 | 4)
}

pub(crate) fn thumbs(entry: &Entry, uk: u64) -> Value {
    let url = |size: &str| {
        format!(
            "https://thumbnail0.baidupcs.com/thumbnail/{}?fid={uk}-250528-{}&rt=pr&expires=8h&size={size}&quality=100",
            entry.cloud_md5, entry.fs_id
        )
    };
    let mut urls = json!({
        "url1": url("c140_u90"),
        "url2": url("c360_u270"),
        "url3": url("c850_u580"),
    });
    if entry.category() != 4 {
        urls["icon"] = json!(url("c60_u60"));
    }
    urls
}
