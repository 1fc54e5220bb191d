//! "附件文件转存": what a link leads to is saved to the own drive.

use std::io;

use serde_json::{Value, json};

use crate::answer::{Answer, Refusal, Reply};
use crate::entry::Entry;
use crate::items::folder;
use crate::manager::has_room;
use crate::names;
use crate::request::Ask;
use crate::shares::{Shares, check_referer, either, holds, read_ids, shared};
use crate::state::{Cloud, State};
use crate::tasks::{Outcome, Work};

/// What is saved from whom and where to.
#[derive(Clone, Debug)]
pub(crate) struct SaveJob {
    account: String,
    owner: String,
    fs_ids: Vec<u64>,
    path: String,
    newcopy: bool,
}

/// How one of them fared.
struct Saved {
    fs_id: u64,
    /// Its path within the share.
    from: String,
    /// Where it is now.
    to: String,
    errno: i64,
}

/// POST /rest/2.0/xpan/share?method=transfer
pub(crate) fn transfer(cloud: &Cloud, ask: &Ask) -> Reply {
    let account = cloud.user(ask)?;
    check_referer(ask)?;
    let wrong = || Refusal::share(2);
    let fs_ids =
        ask.form.get("fsidlist").and_then(read_ids).filter(|ids| !ids.is_empty()).ok_or_else(wrong)?;
    let path = folder(ask.form.need("path").map_err(|_| wrong())?).to_owned();
    let later = match ask.form.number::<u8>("async").map_err(|_| wrong())? {
        None | Some(0) => false,
        Some(1) => true,
        Some(_) => return Err(wrong()),
    };
    let newcopy = match ask.form.get("ondup").unwrap_or_default() {
        "" => false,
        "newcopy" => true,
        _ => return Err(wrong()),
    };
    let now = cloud.now();
    let mut state = cloud.lock();
    let share = Shares::find(&state, either(ask, "shareid"), either(ask, "from"), None, now)?;
    share.check_key(ask.form.get("sekey"))?;
    if share.account == account {
        return Err(Refusal::share(11));
    }
    let top = shared(&state, share);
    let mut files = 0;
    for fs_id in &fs_ids {
        let entry = state.drives.get_by_id(&share.account, *fs_id);
        let entry = entry.filter(|entry| top.iter().any(|top| holds(top, entry)));
        let entry = entry.ok_or_else(|| Refusal::share(-3))?;
        files += state.drives.tree(&share.account, &entry.path).iter().filter(|entry| !entry.isdir).count();
    }
    check_count(&state, &account, files)?;
    if !names::is_plain(&path) || !state.drives.is_dir(&account, &path) {
        // Not -9, which says that the password is wrong here.
        return Err(Refusal::share(2));
    }
    let job = SaveJob { owner: share.account.clone(), account, fs_ids, path, newcopy };
    if later {
        let account = job.account.clone();
        let taskid = cloud.begin(&mut state, &account, Work::Save(job))?;
        return Ok(answered(&[], taskid));
    }
    Ok(answered(&job.save(&mut state, now), 0))
}

/// "普通用户单次最多转存500个文件", 3000 for members, 50000 for super members.
fn check_count(state: &State, account: &str, files: usize) -> Result<(), Refusal> {
    let (most, errno) = match state.users.accounts.get(account).map_or(0, |account| account.vip) {
        0 => (500, 120),
        1 => (3000, 130),
        _ => (50_000, 130),
    };
    if files > most { Err(Refusal::share(errno)) } else { Ok(()) }
}

fn answered(saved: &[Saved], taskid: u64) -> Answer {
    let failed = saved.iter().any(|item| item.errno != 0);
    let list: Vec<Value> = saved
        .iter()
        .filter(|item| item.errno == 0)
        .map(|item| json!({"from": item.from, "from_fs_id": item.fs_id, "to": item.to}))
        .collect();
    let info: Vec<Value> = saved
        .iter()
        .map(|item| json!({"errno": item.errno, "fsid": item.fs_id, "path": item.from}))
        .collect();
    Answer::with_number_id(json!({
        "errno": if failed { 12 } else { 0 },
        "extra": {"list": list},
        "info": info,
        "newno": "",
        "show_msg": "",
        "task_id": taskid,
    }))
}

impl SaveJob {
    /// The same as a task.
    pub(crate) fn run(&self, state: &mut State, now: u64) -> Vec<Outcome> {
        let outcome = |item: Saved| Outcome { path: item.from, errno: item.errno };
        self.save(state, now).into_iter().map(outcome).collect()
    }

    fn save(&self, state: &mut State, now: u64) -> Vec<Saved> {
        self.fs_ids
            .iter()
            .map(|fs_id| {
                let Some(entry) = state.drives.get_by_id(&self.owner, *fs_id).cloned() else {
                    return Saved { fs_id: *fs_id, from: String::new(), to: String::new(), errno: -3 };
                };
                let from = format!("/{}", names::name(&entry.path));
                let (errno, to) = self.one(state, &entry, now).unwrap_or_else(|error| {
                    eprintln!("cloudsim: {}: {error}", entry.path);
                    (1, String::new())
                });
                Saved { fs_id: *fs_id, from, to, errno }
            })
            .collect()
    }

    /// The errno, and where it went.
    fn one(&self, state: &mut State, entry: &Entry, now: u64) -> io::Result<(i64, String)> {
        let mut to = names::join(&self.path, names::name(&entry.path));
        if state.drives.get(&self.account, &to).is_some() {
            if !self.newcopy {
                // "on transfer: already exists" (field notes 2.1).
                return Ok((10, to));
            }
            to = state.drives.free_path(&self.account, &to, entry.isdir);
        }
        let needed: u64 = state.drives.tree(&self.owner, &entry.path).iter().map(|entry| entry.size).sum();
        if !has_room(state, &self.account, needed, 0) {
            return Ok((-10, to));
        }
        state.drives.copy_tree((&self.owner, &entry.path), (&self.account, &to), now)?;
        Ok((0, to))
    }
}
