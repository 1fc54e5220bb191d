//! Devices: "设备注册", "设备绑定", "设备解绑", "检查设备绑定关系", "设备列表diff", "设备列表".

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::answer::{Answer, Refusal, Reply};
use crate::request::Ask;
use crate::state::Cloud;

/// `device_category` of a NAS; every device of this cloud is one.
const NAS: i64 = 3;

/// Registered devices and who bound which, kept across restarts.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Devices {
    devices: BTreeMap<String, Device>,
    bindings: Vec<Binding>,
    changes: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Device {
    device_type: String,
    device_addr: String,
}

/// One user and one device, bound now or once.
#[derive(Debug, Serialize, Deserialize)]
struct Binding {
    device_id: String,
    account: String,
    name: String,
    bound: bool,
    ctime: u64,
    mtime: u64,
    /// Number of the last change: what `diff` counts by.
    change: u64,
}

impl Devices {
    /// The user takes devices away in the phone app: all of them, or one account's.
    pub(crate) fn unbind(&mut self, account: Option<&str>, now: u64) -> usize {
        let mut unbound = 0;
        for binding in &mut self.bindings {
            if binding.bound && account.is_none_or(|account| account == binding.account) {
                self.changes += 1;
                binding.bound = false;
                binding.mtime = now;
                binding.change = self.changes;
                unbound += 1;
            }
        }
        unbound
    }

    /// Whether register gave out this id.
    pub(crate) fn is_registered(&self, device_id: &str) -> bool {
        self.devices.contains_key(device_id)
    }

    /// Whether an account has this device bound.
    fn is_bound(&self, device_id: &str, account: &str) -> bool {
        self.bindings.iter().any(|b| b.bound && b.device_id == device_id && b.account == account)
    }

    fn known(&self, ask: &Ask) -> Result<String, Refusal> {
        let device_id = ask.query.need("device_id")?;
        match self.is_registered(device_id) {
            true => Ok(device_id.into()),
            false => Err(Refusal::errno(42101)),
        }
    }

    fn describe(&self, binding: &Binding) -> Value {
        let device_type = self
            .devices
            .get(&binding.device_id)
            .and_then(|device| device.device_type.parse::<u64>().ok())
            .unwrap_or_default();
        json!({
            "ability": "4",
            "ctime": binding.ctime,
            "device_brand": "cloudsim",
            "device_category": NAS,
            "device_id": binding.device_id,
            "device_logourl": "https://issuecdn.baidupcs.com/issue/netdisk/tu/rongyao/rongyao.png",
            "device_name": binding.name,
            "device_provider": "cloudsim",
            "device_type": device_type,
            "extra_info": "",
            "guide_desc": "",
            "guide_imgurl": "",
            "mtime": binding.mtime,
            "status": i64::from(binding.bound),
        })
    }
}

/// GET method=register. Needs no token; the same type and address get the same device_id again.
pub(crate) fn register(cloud: &Cloud, ask: &Ask) -> Reply {
    let device_type = ask.query.need("device_type")?;
    let device_addr = ask.query.need("device_addr")?;
    if device_type != cloud.options.device_type {
        return Err(Refusal::errno(42100));
    }
    let mut state = cloud.lock();
    let known = state
        .devices
        .devices
        .iter()
        .find(|(_, device)| device.device_type == device_type && device.device_addr == device_addr);
    let device_id = match known {
        Some((id, _)) => id.clone(),
        None => {
            let (a, b) = (state.dice.next() % 1_000_000_000, state.dice.next() % 10_000_000);
            let id = format!("{a:09}rs{b:07}");
            let device = Device { device_type: device_type.into(), device_addr: device_addr.into() };
            state.devices.devices.insert(id.clone(), device);
            cloud.save(&state)?;
            id
        }
    };
    Ok(Answer::with_text_id(json!({"device_id": device_id, "errno": 0, "errmsg": ""})))
}

/// GET method=bind. Binding again what is bound is fine.
pub(crate) fn bind(cloud: &Cloud, ask: &Ask) -> Reply {
    let account = cloud.user(ask)?;
    let now = cloud.now();
    let mut state = cloud.lock();
    let devices = &mut state.devices;
    let device_id = devices.known(ask)?;
    if devices.is_bound(&device_id, &account) {
        return Ok(done());
    }
    let bound = || devices.bindings.iter().filter(|b| b.bound);
    if bound().filter(|b| b.account == account).count() >= cloud.options.max_devices_per_user {
        return Err(Refusal::errno(42102));
    }
    let last_user =
        bound().filter(|b| b.device_id == device_id).max_by_key(|b| b.change).map(|b| b.account.clone());
    if bound().filter(|b| b.device_id == device_id).count() >= cloud.options.max_users_per_device {
        let mut more = Map::new();
        more.insert("last_user".into(), json!(masked(&last_user.unwrap_or_default())));
        return Err(Refusal::Xpan { errno: 42103, message: "exceed max bind count per device".into(), more });
    }
    devices.changes += 1;
    let change = devices.changes;
    let name = ask.query.get("device_name").unwrap_or("NAS").to_owned();
    let earlier = devices.bindings.iter_mut().find(|b| b.device_id == device_id && b.account == account);
    match earlier {
        Some(binding) => {
            binding.bound = true;
            binding.mtime = now;
            binding.change = change;
        }
        None => devices.bindings.push(Binding {
            device_id,
            account,
            name,
            bound: true,
            ctime: now,
            mtime: now,
            change,
        }),
    }
    cloud.save(&state)?;
    Ok(done())
}

/// GET method=unbind. Unbinding what is not bound is fine; an unregistered device is 42101.
pub(crate) fn unbind(cloud: &Cloud, ask: &Ask) -> Reply {
    let account = cloud.user(ask)?;
    let now = cloud.now();
    let mut state = cloud.lock();
    let devices = &mut state.devices;
    let device_id = devices.known(ask)?;
    devices.changes += 1;
    let change = devices.changes;
    let bound =
        devices.bindings.iter_mut().find(|b| b.bound && b.device_id == device_id && b.account == account);
    if let Some(binding) = bound {
        binding.bound = false;
        binding.mtime = now;
        binding.change = change;
    }
    cloud.save(&state)?;
    Ok(done())
}

/// GET method=checkbind
pub(crate) fn checkbind(cloud: &Cloud, ask: &Ask) -> Reply {
    let account = cloud.user(ask)?;
    let state = cloud.lock();
    let device_id = state.devices.known(ask)?;
    let status = i64::from(state.devices.is_bound(&device_id, &account));
    Ok(Answer::with_text_id(json!({"errmsg": "", "errno": 0, "status": status})))
}

/// POST method=diff: what changed among a user's devices since `cursor`.
pub(crate) fn diff(cloud: &Cloud, ask: &Ask) -> Reply {
    let account = cloud.user(ask)?;
    let param: Value = serde_json::from_str(ask.form.need("param")?)
        .map_err(|_| Refusal::errno_saying(2, "param error: param is no JSON"))?;
    let since = match param.get("cursor").unwrap_or(&Value::Null) {
        Value::Null => 0,
        Value::String(text) if text.is_empty() || text == "null" => 0,
        Value::String(text) => {
            read_cursor(text).ok_or_else(|| Refusal::errno_saying(2, "param error: cursor"))?
        }
        _ => return Err(Refusal::errno_saying(2, "param error: cursor")),
    };
    let wanted = categories(&param["category_list"])?;
    let state = cloud.lock();
    let devices = &state.devices;
    let mut changed: Vec<&Binding> = devices
        .bindings
        .iter()
        .filter(|b| b.account == account && b.change > since && wanted.contains(&NAS))
        .collect();
    changed.sort_by_key(|b| b.change);
    let has_more = changed.len() > cloud.options.diff_page;
    changed.truncate(cloud.options.diff_page);
    let cursor = changed.last().map_or(since, |b| b.change);
    let list: Vec<Value> = changed.iter().map(|b| devices.describe(b)).collect();
    Ok(Answer::with_text_id(json!({
        "cursor": write_cursor(cursor),
        "device_list": list,
        "errmsg": "",
        "errno": 0,
        "has_more": i64::from(has_more),
    })))
}

/// GET method=list: every device the user has or had, as the documents' example shows both.
pub(crate) fn list(cloud: &Cloud, ask: &Ask) -> Reply {
    let account = cloud.user(ask)?;
    let wanted = categories(&json!(ask.query.need("category")?))?;
    let state = cloud.lock();
    let devices = &state.devices;
    let list: Vec<Value> = devices
        .bindings
        .iter()
        .filter(|b| b.account == account && wanted.contains(&NAS))
        .map(|b| devices.describe(b))
        .collect();
    Ok(Answer::with_text_id(json!({"list": list, "errmsg": "", "errno": 0})))
}

fn done() -> Answer {
    Answer::with_text_id(json!({"errmsg": "", "errno": 0}))
}

/// `category_list` is a JSON array, the same as text, or (list) numbers with commas.
fn categories(value: &Value) -> Result<Vec<i64>, Refusal> {
    let wrong = || Refusal::errno_saying(2, "param error: category");
    match value {
        Value::Array(items) => items.iter().map(|item| item.as_i64().ok_or_else(wrong)).collect(),
        Value::String(text) => text
            .trim_matches(['[', ']'])
            .split(',')
            .map(|part| part.trim().parse().map_err(|_| wrong()))
            .collect(),
        _ => Err(wrong()),
    }
}

/// Cursors look like the documents' ones: base64 of two numbers with `#`.
fn write_cursor(change: u64) -> String {
    STANDARD.encode(format!("{change}#{}", NAS))
}

fn read_cursor(text: &str) -> Option<u64> {
    let plain = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
    plain.strip_suffix(&format!("#{NAS}"))?.parse().ok()
}

/// `北极***g狼`: two characters at each end.
fn masked(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let head: String = chars.iter().take(2).collect();
    let tail: String = chars.iter().skip(chars.len().saturating_sub(2).max(2)).collect();
    format!("{head}***{tail}")
}
