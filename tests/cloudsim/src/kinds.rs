//! Lists of one kind of file: "获取文档列表", "获取图片列表", "获取视频列表", "获取bt列表" (doclist, imagelist,
//! videolist, btlist), "获取分类文件总个数" (categoryinfo), "获取分类列表文件" (categorylist).

use serde_json::{Map, Value, json};

use crate::answer::{Answer, Refusal, Reply};
use crate::cloud_md5::md5_hex;
use crate::entry::Entry;
use crate::items::{common, folder, has_thumbs, sort, thumbs, uk};
use crate::names;
use crate::preview;
use crate::request::{Ask, Params};
use crate::state::{Cloud, State};

/// "每页返回的文件数， 默认值为1000, 最大值为10000".
const LARGEST_PAGE: usize = 10_000;

/// "查询数目，最大1000，默认1000".
const LARGEST_CATEGORY_PAGE: usize = 1000;

/// GET /rest/2.0/xpan/file?method=doclist|imagelist|videolist|btlist: files of one category.
pub(crate) fn list_of(cloud: &Cloud, ask: &Ask, category: u8) -> Reply {
    let account = cloud.user(ask)?;
    let query = &ask.query;
    let page = page_number(query)?;
    let num = query.number::<usize>("num")?.unwrap_or(1000).min(LARGEST_PAGE);
    let web = query.switch("web");
    let parent = folder(query.get("parent_path").filter(|path| !path.is_empty()).unwrap_or("/"));
    // "如果指定page参数，则按修改时间倒序排列": order and desc are for the list without pages.
    let (order, descending) = match page {
        Some(_) => ("time", true),
        None => order_of(query),
    };
    let base = ask.base_url();
    let state = cloud.lock();
    let mut files = files_below(&state, &account, parent, query.switch("recursion"))?;
    files.retain(|entry| entry.category() == category);
    sort(&mut files, order, descending);
    let uk = uk(&state, &account);
    let (skip, take) = page.map_or((0, usize::MAX), |page| ((page - 1).saturating_mul(num), num));
    let info: Vec<Value> = files
        .iter()
        .skip(skip)
        .take(take)
        .map(|entry| {
            let mut item = kind_item(entry);
            if web && category == 4 {
                preview::links(&mut item, &base, entry, uk, cloud.now());
            } else if web && has_thumbs(entry) {
                item.insert("thumbs".into(), thumbs(entry, uk));
            }
            Value::Object(item)
        })
        .collect();
    Ok(Answer::with_number_id(json!({"errno": 0, "guid_info": "", "info": info, "guid": 0})))
}

fn kind_item(entry: &Entry) -> Map<String, Value> {
    let mut item = common(entry);
    item.insert("server_filename".into(), json!(names::name(&entry.path)));
    item.insert("local_ctime".into(), json!(entry.local_ctime));
    item.insert("local_mtime".into(), json!(entry.local_mtime));
    item.insert("share".into(), json!(0));
    item.insert("object_key".into(), json!(format!("E-pS{}", md5_hex(&entry.fs_id.to_be_bytes()))));
    item
}

/// GET /api/categoryinfo
pub(crate) fn categoryinfo(cloud: &Cloud, ask: &Ask) -> Reply {
    let account = cloud.user(ask)?;
    let category = ask.query.need("category")?;
    let wanted = read_category(category)?;
    let (parent, recursion) = parent_or_everything(&ask.query);
    let state = cloud.lock();
    let mut files = files_below(&state, &account, parent, recursion)?;
    files.retain(|entry| entry.category() == wanted);
    let size: u64 = files.iter().map(|entry| entry.size).sum();
    Ok(Answer::with_number_id(json!({
        "errno": 0,
        "info": {category: {"total": files.len(), "size": size, "count": files.len()}},
    })))
}

/// GET /rest/2.0/xpan/multimedia?method=categorylist
pub(crate) fn categorylist(cloud: &Cloud, ask: &Ask) -> Reply {
    let account = cloud.user(ask)?;
    let query = &ask.query;
    let wanted: Vec<u8> = query.need("category")?.split(',').map(read_category).collect::<Result<_, _>>()?;
    let (parent, recursion) = parent_or_everything(query);
    let extensions: Vec<String> = query
        .get("ext")
        .unwrap_or_default()
        .split(',')
        .filter(|ext| !ext.is_empty())
        .map(str::to_lowercase)
        .collect();
    let start = query.number::<usize>("start")?.unwrap_or(0);
    let limit = query.number::<usize>("limit")?.unwrap_or(1000).min(LARGEST_CATEGORY_PAGE);
    let (order, descending) = order_of(query);
    let state = cloud.lock();
    let mut files = files_below(&state, &account, parent, recursion)?;
    files.retain(|entry| {
        wanted.contains(&entry.category())
            && (extensions.is_empty() || extensions.contains(&names::extension(&entry.path)))
    });
    sort(&mut files, order, descending);
    let uk = uk(&state, &account);
    let list: Vec<Value> = files
        .iter()
        .skip(start)
        .take(limit)
        .map(|entry| {
            let mut item = common(entry);
            // Every one is a file, and the example does not say so.
            item.remove("isdir");
            item.insert("server_filename".into(), json!(names::name(&entry.path)));
            if has_thumbs(entry) {
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
        "has_more": i64::from(cursor < files.len()),
        "list": list,
    })))
}

/// The files, not the folders, in a folder or anywhere below it. -9 when there is no such folder.
pub(crate) fn files_below<'a>(
    state: &'a State,
    account: &str,
    dir: &str,
    recursion: bool,
) -> Result<Vec<&'a Entry>, Refusal> {
    let mut files = entries_below(state, account, dir, recursion)?;
    files.retain(|entry| !entry.isdir);
    Ok(files)
}

/// The same with the folders.
pub(crate) fn entries_below<'a>(
    state: &'a State,
    account: &str,
    dir: &str,
    recursion: bool,
) -> Result<Vec<&'a Entry>, Refusal> {
    if !state.drives.is_dir(account, dir) {
        return Err(Refusal::errno(-9));
    }
    Ok(match recursion {
        true => state.drives.descendants(account, dir),
        false => state.drives.children(account, dir),
    })
}

/// `page`, "从1开始".
pub(crate) fn page_number(query: &Params) -> Result<Option<usize>, Refusal> {
    match query.number::<usize>("page")? {
        Some(0) => Err(Refusal::errno_saying(2, "param error: page starts from 1")),
        page => Ok(page),
    }
}

/// "默认为time", "0为升序，1为降序，默认为1".
fn order_of(query: &Params) -> (&str, bool) {
    (query.get("order").unwrap_or("time"), query.get("desc") != Some("0"))
}

/// "目录名称，为空时，parent_path = "/" && recursion = 1".
fn parent_or_everything(query: &Params) -> (&str, bool) {
    match query.get("parent_path").filter(|path| !path.is_empty()) {
        Some(path) => (folder(path), query.switch("recursion")),
        None => ("/", true),
    }
}

fn read_category(text: &str) -> Result<u8, Refusal> {
    text.trim()
        .parse()
        .ok()
        .filter(|category| (1..=7).contains(category))
        .ok_or_else(|| Refusal::errno_saying(2, "param error: category"))
}
