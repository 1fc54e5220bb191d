//! Looking at a drive: "获取文件列表" (list), "递归获取文件列表" (listall), "查询文件信息" (filemetas).

use serde_json::{Map, Value, json};

use crate::answer::{Answer, Refusal, Reply};
use crate::download;
use crate::entry::Entry;
use crate::items::{common, folder, has_thumbs, list_item, sort, thumbs, uk};
use crate::names;
use crate::request::Ask;
use crate::state::{Cloud, State};

/// Largest page of list ("最大值为10000"); listall names none and gets the same.
const LARGEST_PAGE: usize = 10_000;

/// Most ids in one filemetas call ("数组大小上限是：100").
const MOST_FSIDS: usize = 100;

/// GET /rest/2.0/xpan/file?method=list
pub(crate) fn list(cloud: &Cloud, ask: &Ask) -> Reply {
    let account = cloud.user(ask)?;
    let query = &ask.query;
    let dir = folder(query.get("dir").filter(|dir| !dir.is_empty()).unwrap_or("/"));
    let start = query.number::<usize>("start")?.unwrap_or(0);
    let limit = query.number::<usize>("limit")?.unwrap_or(1000).min(LARGEST_PAGE);
    let order = query.get("order").unwrap_or("name");
    let only_folders = query.number::<u8>("folder")? == Some(1);
    let web = query.switch("web");
    let with_empty = web || query.switch("showempty");
    let state = cloud.lock();
    if !state.drives.is_dir(&account, dir) {
        return Err(Refusal::errno(-9));
    }
    let mut entries = state.drives.children(&account, dir);
    entries.retain(|entry| entry.isdir || !only_folders);
    // "该KEY存在为降序": its value does not matter.
    sort(&mut entries, order, query.get("desc").is_some());
    let uk = uk(&state, &account);
    let list: Vec<Value> = entries
        .iter()
        .skip(start)
        .take(limit)
        .map(|entry| match only_folders {
            true => json!({"path": entry.path}),
            false => {
                let mut item = list_item(entry, uk);
                if entry.isdir && with_empty {
                    item["dir_empty"] = json!(dir_empty(&state, &account, &entry.path));
                }
                if web && has_thumbs(entry) {
                    item["thumbs"] = thumbs(entry, uk);
                }
                item
            }
        })
        .collect();
    Ok(Answer::with_number_id(json!({
        "errno": 0,
        "guid_info": "",
        "list": list,
        "guid": 0,
    })))
}

/// GET /rest/2.0/xpan/multimedia?method=listall
pub(crate) fn listall(cloud: &Cloud, ask: &Ask) -> Reply {
    let account = cloud.user(ask)?;
    let query = &ask.query;
    let dir = folder(query.need("path")?);
    let start = query.number::<usize>("start")?.unwrap_or(0);
    // "查询数目，默认为1": taken by the letter.
    let limit = query.number::<usize>("limit")?.unwrap_or(1).min(LARGEST_PAGE);
    let (after_ctime, after_mtime) = (query.number::<u64>("ctime")?, query.number::<u64>("mtime")?);
    let web = query.switch("web");
    let state = cloud.lock();
    if !state.drives.is_dir(&account, dir) {
        return Err(Refusal::errno(31066));
    }
    let mut entries = match query.switch("recursion") {
        true => state.drives.descendants(&account, dir),
        false => state.drives.children(&account, dir),
    };
    entries.retain(|entry| {
        after_ctime.is_none_or(|time| entry.server_ctime > time)
            && after_mtime.is_none_or(|time| entry.server_mtime > time)
    });
    sort(&mut entries, query.get("order").unwrap_or("type"), query.switch("desc"));
    let uk = uk(&state, &account);
    let total = entries.len();
    let list: Vec<Value> = entries
        .iter()
        .skip(start)
        .take(limit)
        .map(|entry| {
            let mut item = common(entry);
            item.insert("local_ctime".into(), json!(entry.local_ctime));
            item.insert("local_mtime".into(), json!(entry.local_mtime));
            item.insert("server_filename".into(), json!(names::name(&entry.path)));
            if web && has_thumbs(entry) {
                item.insert("thumbs".into(), thumbs(entry, uk));
            }
            Value::Object(item)
        })
        .collect();
    let cursor = start + list.len();
    Ok(Answer::with_text_id(json!({
        "cursor": cursor,
        "errmsg": "succ",
        "errno": 0,
        "has_more": i64::from(cursor < total),
        "list": list,
    })))
}

/// GET /rest/2.0/xpan/multimedia?method=filemetas. Ids that are not there are left out; when none is,
/// the answer is 42214.
pub(crate) fn filemetas(cloud: &Cloud, ask: &Ask) -> Reply {
    let account = cloud.user(ask)?;
    let query = &ask.query;
    let fsids: Vec<u64> = serde_json::from_str(query.need("fsids")?)
        .map_err(|_| Refusal::errno_saying(2, "param error: fsids"))?;
    if fsids.is_empty() || fsids.len() > MOST_FSIDS {
        return Err(Refusal::errno_saying(2, "param error: fsids takes 1 to 100 ids"));
    }
    let (thumb, dlink, extra) = (query.switch("thumb"), query.switch("dlink"), query.switch("extra"));
    let base = ask.base_url();
    let state = cloud.lock();
    let uk = uk(&state, &account);
    let list: Vec<Value> = fsids
        .iter()
        .filter_map(|fs_id| state.drives.get_by_id(&account, *fs_id))
        .map(|entry| {
            let mut item = common(entry);
            item.insert("filename".into(), json!(names::name(&entry.path)));
            item.insert("oper_id".into(), json!(uk));
            if thumb {
                let urls = if has_thumbs(entry) { thumbs(entry, uk) } else { json!({}) };
                item.insert("thumbs".into(), urls);
            }
            if dlink && !entry.isdir {
                item.insert("dlink".into(), json!(download::link(&base, entry, uk, cloud.now())));
            }
            if extra && entry.category() == 3 {
                picture_details(&mut item, entry);
            }
            Value::Object(item)
        })
        .collect();
    if list.is_empty() {
        return Err(Refusal::errno(42214));
    }
    Ok(Answer::with_text_id(json!({
        "errmsg": "succ",
        "errno": 0,
        "list": list,
        "names": {},
    })))
}

/// GET /rest/2.0/pcs/file?method=list: the old call, which an older client makes before it uploads.
/// Not in the documents; only what that client looks at is here.
pub(crate) fn pcs_list(cloud: &Cloud, ask: &Ask) -> Reply {
    let account = cloud.pcs_user(ask)?;
    let dir = folder(ask.query.need("path").map_err(|_| Refusal::pcs(31023))?);
    let (start, end) = ask
        .query
        .get("limit")
        .and_then(|limit| limit.split_once('-'))
        .and_then(|(start, end)| Some((start.parse().ok()?, end.parse().ok()?)))
        .unwrap_or((0, LARGEST_PAGE));
    let state = cloud.lock();
    if !state.drives.is_dir(&account, dir) {
        return Err(Refusal::pcs(31066));
    }
    let mut entries = state.drives.children(&account, dir);
    sort(&mut entries, "name", ask.query.get("order") == Some("desc"));
    let list: Vec<Value> = entries
        .iter()
        .skip(start)
        .take(end.saturating_sub(start))
        .map(|entry| {
            json!({
                "fs_id": entry.fs_id,
                "path": entry.path,
                "ctime": entry.server_ctime,
                "mtime": entry.server_mtime,
                "md5": entry.cloud_md5,
                "size": entry.size,
                "isdir": i64::from(entry.isdir),
            })
        })
        .collect();
    Ok(Answer::with_number_id(json!({"list": list})))
}

/// "该目录是否存在子目录 … 0为存在， 1为不存在": not empty is 0.
fn dir_empty(state: &State, account: &str, dir: &str) -> i64 {
    let has_folder = state.drives.children(account, dir).iter().any(|entry| entry.isdir);
    i64::from(!has_folder)
}

/// `extra=1`: what exif_info said when the picture was created.
fn picture_details(item: &mut Map<String, Value>, entry: &Entry) {
    let exif = entry.attributes.exif_info.as_ref();
    for key in ["width", "height"] {
        let value = exif.and_then(|exif| exif.get(key)).cloned();
        item.insert(key.into(), value.unwrap_or(json!(0)));
    }
    item.insert("date_taken".into(), json!(entry.local_ctime));
}
