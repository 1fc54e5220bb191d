//! Share links: "创建附件" (set), "附件密码验证" (verify), "获取附件中的文件列表" (list), "查询附件链接信息"
//! (shorturlinfo).

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::answer::{Answer, Refusal, Reply};
use crate::cloud_md5::md5_hex;
use crate::entry::Entry;
use crate::items::{has_thumbs, thumbs, uk};
use crate::kinds::page_number;
use crate::names;
use crate::preview;
use crate::request::{Ask, Params};
use crate::state::{Cloud, State};

/// "个数上限1000".
const MOST_FILES: usize = 1000;

/// "私密链接填4".
const PRIVATE_LINK: &str = "4";

/// "不支持创建包含文件夹、压缩包的附件".
const ARCHIVES: [&str; 10] = ["zip", "rar", "7z", "tar", "gz", "tgz", "bz2", "xz", "iso", "zst"];

const DAY_SECS: u64 = 86_400;

/// All links ever made, kept across restarts.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Shares(Vec<Share>);

/// One link.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Share {
    pub(crate) shareid: u64,
    /// Whose files they are.
    pub(crate) account: String,
    /// The end of its address.
    surl: String,
    pub(crate) pwd: String,
    /// What verify trades the password for.
    key: String,
    pub(crate) fs_ids: Vec<u64>,
    ctime: u64,
    /// Days; 0 for ever.
    period: u64,
}

/// A link as the person who made it in the phone app would pass it on.
#[derive(Clone, Debug, Serialize)]
pub struct ShareLink {
    /// Its number.
    pub shareid: u64,
    /// The number of the user who made it.
    pub uk: u64,
    /// The end of its address.
    pub surl: String,
    /// Its address.
    pub link: String,
    /// Its password.
    pub pwd: String,
}

impl Share {
    fn link(&self) -> String {
        format!("https://pan.baidu.com/link/zh/{}", self.surl)
    }

    /// As verify answers it: "2CZ9…PPc%3D", ready for an address.
    fn randsk(&self) -> String {
        url::form_urlencoded::byte_serialize(self.key.as_bytes()).collect()
    }

    /// -9 for anything but the key. It may come as it was given, or ready for an address once more: the
    /// examples show both.
    pub(crate) fn check_key(&self, given: Option<&str>) -> Result<(), Refusal> {
        match given {
            Some(given) if given == self.key || given == self.randsk() => Ok(()),
            _ => Err(Refusal::share(-9)),
        }
    }

    fn ends(&self) -> Option<u64> {
        (self.period > 0).then(|| self.ctime + self.period * DAY_SECS)
    }
}

impl Shares {
    /// The link that `shareid` and `uk`, or else the end of its address, name: 2 when neither is there, 105
    /// when there is none, 112 when its time is over.
    pub(crate) fn find<'a>(
        state: &'a State,
        shareid: Option<&str>,
        uk_given: Option<&str>,
        surl: Option<&str>,
        now: u64,
    ) -> Result<&'a Share, Refusal> {
        let named =
            |text: Option<&str>| text.filter(|text| !text.is_empty() && *text != "0").map(str::to_owned);
        let numbers = named(shareid).zip(named(uk_given));
        let surl = named(surl);
        if numbers.is_none() && surl.is_none() {
            return Err(Refusal::share(2));
        }
        let meant = |share: &&Share| {
            let by_numbers = numbers.as_ref().is_none_or(|(shareid, owner)| {
                *shareid == share.shareid.to_string() && *owner == uk(state, &share.account).to_string()
            });
            by_numbers && surl.as_ref().is_none_or(|surl| *surl == share.surl)
        };
        let share = state.shares.0.iter().find(meant).ok_or_else(|| Refusal::share(105))?;
        match share.ends() {
            Some(end) if end <= now => Err(Refusal::share(112)),
            _ => Ok(share),
        }
    }
}

impl Cloud {
    /// Makes a link; what may be shared is for the caller to say.
    fn make_share(
        &self,
        state: &mut State,
        account: &str,
        fs_ids: Vec<u64>,
        period: u64,
    ) -> io::Result<Share> {
        let random = [state.dice.hex32(), state.dice.hex32()].concat();
        let share = Share {
            shareid: 1_000_000_000 + state.dice.next() % 3_000_000_000,
            account: account.into(),
            surl: format!("7{}==", &random[..34]),
            pwd: random[34..38].into(),
            key: STANDARD
                .encode(random.as_bytes()[38..61].iter().map(|byte| byte ^ 0xa5).collect::<Vec<u8>>()),
            fs_ids,
            ctime: self.now(),
            period,
        };
        state.given.secrets.insert(share.key.clone());
        state.shares.0.push(share.clone());
        self.save(state)?;
        Ok(share)
    }

    /// A user makes a link in the phone app, of folders too.
    pub(crate) fn share(&self, account: &str, paths: &[String], period: u64) -> io::Result<ShareLink> {
        let mut state = self.lock();
        let missing = |path: &str| io::Error::new(io::ErrorKind::NotFound, format!("{path} is not there"));
        let fs_ids = paths
            .iter()
            .map(|path| state.drives.get(account, path).map(|entry| entry.fs_id).ok_or_else(|| missing(path)))
            .collect::<io::Result<Vec<u64>>>()?;
        let share = self.make_share(&mut state, account, fs_ids, period)?;
        let uk = uk(&state, account);
        Ok(ShareLink { shareid: share.shareid, uk, link: share.link(), surl: share.surl, pwd: share.pwd })
    }
}

/// POST /rest/2.0/xpan/share/set
pub(crate) fn set(cloud: &Cloud, ask: &Ask) -> Reply {
    let account = cloud.user(ask)?;
    let form = &ask.form;
    let need = |name: &str| form.need(name).map_err(|_| Refusal::share(2));
    let (fid_list, schannel, third_type) = (need("fid_list")?, need("schannel")?, need("third_type")?);
    let csign = need("csign")?;
    let fs_ids = read_ids(fid_list).filter(|ids| !ids.is_empty() && ids.len() <= MOST_FILES);
    let fs_ids = fs_ids.ok_or_else(|| Refusal::share(2))?;
    let period = match form.get("period").unwrap_or_default() {
        "" | "0" => 0,
        "1" => 1,
        "7" => 7,
        _ => return Err(Refusal::share(2)),
    };
    if schannel != PRIVATE_LINK || third_type != cloud.options.share_type {
        return Err(Refusal::share(2));
    }
    let signed = format!("{third_type}{fid_list}{schannel}{}", cloud.options.share_secret);
    if csign != md5_hex(signed.as_bytes()) {
        return Err(Refusal::share(113));
    }
    let mut state = cloud.lock();
    for fs_id in &fs_ids {
        let entry = state.drives.get_by_id(&account, *fs_id).ok_or_else(|| Refusal::share(-3))?;
        if entry.isdir || ARCHIVES.contains(&names::extension(&entry.path).as_str()) {
            return Err(Refusal::share(5));
        }
    }
    let share = cloud.make_share(&mut state, &account, fs_ids, period)?;
    Ok(Answer::with_number_id(json!({
        "errno": 0,
        "shareid": share.shareid,
        "link": share.link(),
        "shorturl": share.link(),
        "ctime": share.ctime,
        "expiredType": share.period,
        "premis": false,
        "pwd": share.pwd,
        "uk": uk(&state, &account),
    })))
}

/// POST /rest/2.0/xpan/share?method=verify. Without a token.
pub(crate) fn verify(cloud: &Cloud, ask: &Ask) -> Reply {
    check_referer(ask)?;
    let query = &ask.query;
    let state = cloud.lock();
    let share = Shares::find(&state, query.get("shareid"), query.get("uk"), query.get("surl"), cloud.now())?;
    if ask.form.get("pwd") != Some(share.pwd.as_str()) {
        return Err(Refusal::share(-9));
    }
    Ok(Answer::with_number_id(json!({"errno": 0, "err_msg": "", "randsk": share.randsk()})))
}

/// GET /rest/2.0/xpan/share?method=list. Without a token.
pub(crate) fn list(cloud: &Cloud, ask: &Ask) -> Reply {
    let query = &ask.query;
    let page = page_number(query)?.unwrap_or(1);
    let num = query.number::<usize>("num")?.unwrap_or(100).max(1);
    let fid = query.number::<u64>("fid")?.filter(|fid| *fid != 0 && query.get("root") != Some("1"));
    let base = ask.base_url();
    let state = cloud.lock();
    let share =
        Shares::find(&state, query.get("shareid"), query.get("uk"), query.get("shorturl"), cloud.now())?;
    share.check_key(query.get("sekey"))?;
    let top = shared(&state, share);
    let title = top.first().map_or("", |entry| entry.path.as_str());
    let entries = match fid {
        None => top.clone(),
        Some(fid) => {
            let folder = state.drives.get_by_id(&share.account, fid).filter(|entry| entry.isdir);
            let folder = folder.filter(|entry| top.iter().any(|top| holds(top, entry)));
            let folder = folder.ok_or_else(|| Refusal::share(-3))?;
            state.drives.children(&share.account, &folder.path)
        }
    };
    let uk = uk(&state, &share.account);
    let list: Vec<Value> = entries
        .iter()
        .skip((page - 1).saturating_mul(num))
        .take(num)
        .map(|entry| shared_item(entry, &base, uk, cloud.now()))
        .collect();
    Ok(Answer::with_number_id(json!({
        "errno": 0,
        "server_time": cloud.now(),
        "cfrom_id": cloud.options.share_type.parse::<u64>().unwrap_or_default(),
        "title": title,
        "list": list,
        "share_id": share.shareid,
        "uk": uk,
    })))
}

/// GET /api/shorturlinfo. Without a token; "只要接口正常返回数据就可以，无需关心errno".
pub(crate) fn shorturlinfo(cloud: &Cloud, ask: &Ask) -> Reply {
    let query = &ask.query;
    let shorturl =
        query.get("shorturl").filter(|_| query.get("linksource").is_some_and(|name| !name.is_empty()));
    let state = cloud.lock();
    let share = Shares::find(&state, query.get("shareid"), query.get("uk"), shorturl, cloud.now())?;
    if let Some(spd) = query.get("spd").filter(|spd| !spd.is_empty()) {
        share.check_key(Some(spd))?;
    }
    let uk = uk(&state, &share.account);
    Ok(Answer::without_id(json!({
        "shareid": share.shareid,
        "uk": uk,
        "dir": "",
        "type": 0,
        "prod_type": "share",
        "page": 1,
        "root": 0,
        "third": 0,
        "longurl": format!("shareid={}uk={uk}", share.shareid),
        "fid": 0,
        "errno": -3,
        "expire_days": share.period,
        "ctime": share.ctime,
        "expiredtype": share.ends().map_or(0, |end| end.saturating_sub(cloud.now())),
        "fcount": shared(&state, share).len(),
        "uk_str": uk.to_string(),
    })))
}

/// "请求必须带Referer": 2 without it.
pub(crate) fn check_referer(ask: &Ask) -> Result<(), Refusal> {
    match ask.header("referer") {
        Some(referer) if referer.contains("pan.baidu.com") => Ok(()),
        _ => Err(Refusal::share(2)),
    }
}

/// Ids as numbers or as text: the document shows both.
pub(crate) fn read_ids(text: &str) -> Option<Vec<u64>> {
    let list: Vec<Value> = serde_json::from_str(text).ok()?;
    list.iter().map(|id| id.as_u64().or_else(|| id.as_str()?.parse().ok())).collect()
}

/// What a link leads to, as far as it is still there.
pub(crate) fn shared<'a>(state: &'a State, share: &Share) -> Vec<&'a Entry> {
    share.fs_ids.iter().filter_map(|fs_id| state.drives.get_by_id(&share.account, *fs_id)).collect()
}

/// Whether `entry` is `top` or lies below it.
pub(crate) fn holds(top: &Entry, entry: &Entry) -> bool {
    top.fs_id == entry.fs_id || top.isdir && entry.path.starts_with(&format!("{}/", top.path))
}

/// Nearly everything is a string here.
fn shared_item(entry: &Entry, base: &str, uk: u64, now: u64) -> Value {
    let mut item = json!({
        "category": entry.category().to_string(),
        "fs_id": entry.fs_id.to_string(),
        "isdir": i64::from(entry.isdir).to_string(),
        "local_ctime": entry.local_ctime.to_string(),
        "local_mtime": entry.local_mtime.to_string(),
        "path": entry.path,
        "server_ctime": entry.server_ctime.to_string(),
        "server_filename": names::name(&entry.path),
        "server_mtime": entry.server_mtime.to_string(),
        "size": entry.size.to_string(),
    });
    if !entry.isdir {
        item["md5"] = json!(entry.cloud_md5);
    }
    if has_thumbs(entry) {
        item["thumbs"] = thumbs(entry, uk);
    }
    if entry.category() == 4 {
        item["docpreview"] = json!(preview::link(base, entry, uk, now));
    }
    item
}

/// A parameter of transfer: its table puts it in the body, its example in the query.
pub(crate) fn either<'a>(ask: &'a Ask, name: &str) -> Option<&'a str> {
    let from = |params: &'a Params| params.get(name).filter(|value| !value.is_empty());
    from(&ask.form).or_else(|| from(&ask.query))
}
