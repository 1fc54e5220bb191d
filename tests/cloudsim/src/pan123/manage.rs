//! "创建目录" and "删除图片".

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Pan123;
use super::envelope::{need_type, ok, refuse, refuse_code, text, wrong};
use super::item::{check_name, make_id};
use super::library::Place;
use crate::answer::{Refusal, Reply};
use crate::request::Ask;
use crate::state::Cloud;

/// "参数长度最大不超过 100".
const MOST_IDS: usize = 100;

/// The name of the folder that is nobody's child, as the list example has it.
pub(super) const ROOT_NAME: &str = "img_oss";

impl Pan123 {
    /// The id of an account's root; "" means the same in a request.
    pub(super) fn root_id(&self, account: &str) -> String {
        make_id(0, self.clients.uid(account))
    }

    /// The id of a folder that is there: code 5066 when it is gone, or no folder.
    pub(super) fn folder(&self, account: &str, id: &str) -> Result<String, Refusal> {
        let root = self.root_id(account);
        if id.is_empty() || id == root {
            return Ok(root);
        }
        match self.library.of(account, id).filter(|item| item.isdir) {
            Some(folder) => Ok(folder.id.clone()),
            None => Err(refuse(5066, "父级目录不存在")),
        }
    }
}

/// POST /upload/v1/oss/file/mkdir. "name" is an array in its table and a text in its example: both are
/// taken. Several names are made all or not at all.
pub(super) fn mkdir(cloud: &Cloud, ask: &Ask, account: &str) -> Reply {
    need_type(ask)?;
    let names: Vec<&str> = match ask.json.get("name") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => {
            names.iter().map(Value::as_str).collect::<Option<_>>().ok_or_else(|| wrong("name"))?
        }
        _ => return Err(wrong("name")),
    };
    if names.is_empty() {
        return Err(wrong("name"));
    }
    let mut state = cloud.lock();
    let state = &mut *state;
    let parent = state.pan123.folder(account, text(ask, "parentID")?)?;
    let mut distinct = BTreeSet::new();
    for name in &names {
        check_name(name)?;
        if !distinct.insert(*name) || state.pan123.library.child(&parent, name).is_some() {
            return Err(refuse(1, "该目录下已经有同名文件夹,不能重名"));
        }
    }
    let mut list = Vec::new();
    for name in names {
        let place = Place { account, parent: &parent, name };
        let folder = state.pan123.library.make_folder(place, cloud.now_ms(), &mut state.dice)?;
        list.push(json!({"filename": folder.name, "dirID": folder.id}));
    }
    ok(json!({"list": list}))
}

/// POST /api/v1/oss/file/delete. Ids that are not there are passed over, unless none is.
pub(super) fn delete(cloud: &Cloud, ask: &Ask, account: &str) -> Reply {
    let ids: Option<Vec<&str>> = ask
        .json
        .get("fileIDs")
        .and_then(Value::as_array)
        .and_then(|ids| ids.iter().map(Value::as_str).collect());
    let ids = ids.filter(|ids| !ids.is_empty() && ids.len() <= MOST_IDS).ok_or_else(|| wrong("fileIDs"))?;
    let library = &mut cloud.lock().pan123.library;
    let known: Vec<&str> = ids.into_iter().filter(|id| library.of(account, id).is_some()).collect();
    if known.is_empty() {
        return Err(refuse_code(5066));
    }
    for id in known {
        library.remove(id)?;
    }
    ok(Value::Null)
}
