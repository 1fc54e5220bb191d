//! "管理文件": filemanager - copy, move, rename and delete.

use std::io;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, Refusal, Reply};
use crate::items::folder;
use crate::names;
use crate::request::{Ask, Params};
use crate::state::{Cloud, State};
use crate::tasks::{Outcome, Work};

/// Most items of one call (field notes 3.8).
const MOST_ITEMS: usize = 999;

/// What is done to what, checked for its form only.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) account: String,
    opera: Opera,
    items: Vec<Item>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opera {
    Copy,
    Move,
    Rename,
    Delete,
}

/// One entry of `filelist`.
#[derive(Clone, Debug)]
struct Item {
    path: String,
    dest: String,
    newname: String,
    ondup: OnDup,
}

/// What becomes of something that has the name already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnDup {
    #[default]
    Fail,
    NewCopy,
    Overwrite,
    Skip,
}

/// POST /rest/2.0/xpan/file?method=filemanager&opera=…
pub(crate) fn filemanager(cloud: &Cloud, ask: &Ask) -> Reply {
    let account = cloud.user(ask)?;
    let opera = match ask.query.need("opera")? {
        "copy" => Opera::Copy,
        // "mover" is what the table says.
        "move" | "mover" => Opera::Move,
        "rename" => Opera::Rename,
        "delete" => Opera::Delete,
        _ => return Err(Refusal::errno_saying(2, "param error: opera")),
    };
    ask.form.need("async")?;
    let run = ask.form.number::<u8>("async")?.unwrap_or(3);
    if run > 2 {
        return Err(Refusal::errno_saying(2, "param error: async"));
    }
    let job = Job { items: read_items(&ask.form, opera)?, account, opera };
    let now = cloud.now();
    let mut state = cloud.lock();
    // "async=1则server按照文件数目自适应选择同步/异步方式".
    let later = run == 2 || run == 1 && job.files(&state) > cloud.options.async_above;
    if later {
        let account = job.account.clone();
        let taskid = cloud.begin(&mut state, &account, Work::Manage(job))?;
        return Ok(Answer::with_number_id(json!({"errno": 0, "info": [], "taskid": taskid})));
    }
    let outcomes = job.run(&mut state, now);
    let failed = outcomes.iter().any(|outcome| outcome.errno != 0);
    let info: Vec<Value> =
        outcomes.iter().map(|outcome| json!({"errno": outcome.errno, "path": outcome.path})).collect();
    Ok(Answer::with_number_id(json!({"errno": if failed { 12 } else { 0 }, "info": info})))
}

fn read_items(form: &Params, opera: Opera) -> Result<Vec<Item>, Refusal> {
    let wrong = || Refusal::errno_saying(2, "param error: filelist");
    let everywhere = match form.get("ondup").filter(|ondup| !ondup.is_empty()) {
        Some(ondup) => serde_json::from_value(json!(ondup))
            .map_err(|_| Refusal::errno_saying(2, "param error: ondup"))?,
        None => OnDup::Fail,
    };
    let list: Vec<Value> = serde_json::from_str(form.need("filelist")?).map_err(|_| wrong())?;
    if list.is_empty() || list.len() > MOST_ITEMS {
        return Err(wrong());
    }
    list.iter()
        .map(|item| {
            let word = |name: &str| item.get(name).and_then(Value::as_str);
            if opera == Opera::Delete {
                let path = item.as_str().or_else(|| word("path")).ok_or_else(wrong)?;
                return Ok(Item {
                    path: path.into(),
                    dest: String::new(),
                    newname: String::new(),
                    ondup: everywhere,
                });
            }
            let path = word("path").ok_or_else(wrong)?;
            let dest = match opera {
                Opera::Rename => names::parent(path),
                _ => folder(word("dest").ok_or_else(wrong)?),
            };
            let newname = match word("newname").filter(|name| !name.is_empty()) {
                Some(newname) => newname,
                None if opera == Opera::Rename => return Err(wrong()),
                None => names::name(path),
            };
            // "后者具有更高优先级": the item's own before the one for all.
            let ondup = match item.get("ondup") {
                Some(ondup) => serde_json::from_value(ondup.clone()).map_err(|_| wrong())?,
                None => everywhere,
            };
            Ok(Item { path: path.into(), dest: dest.into(), newname: newname.into(), ondup })
        })
        .collect()
}

impl Job {
    /// How many files and folders it is about.
    fn files(&self, state: &State) -> usize {
        self.items.iter().map(|item| 1 + state.drives.descendants(&self.account, &item.path).len()).sum()
    }

    /// Does it, item after item; one that fails does not stop the others.
    pub(crate) fn run(&self, state: &mut State, now: u64) -> Vec<Outcome> {
        self.items
            .iter()
            .map(|item| {
                let errno = self.one(state, item, now).unwrap_or_else(|error| {
                    eprintln!("cloudsim: {}: {error}", item.path);
                    1
                });
                Outcome { path: item.path.clone(), errno }
            })
            .collect()
    }

    /// The item's errno.
    fn one(&self, state: &mut State, item: &Item, now: u64) -> io::Result<i64> {
        let account = self.account.as_str();
        if !names::is_plain(&item.path) || item.path == "/" {
            return Ok(-7);
        }
        if self.opera == Opera::Delete {
            // "Deleting something missing reports success" (field notes 3.8).
            return state.drives.remove(account, &item.path).map(|_| 0);
        }
        let Some(source) = state.drives.get(account, &item.path).cloned() else { return Ok(-9) };
        if matches!(item.newname.as_str(), "." | "..") || item.newname.contains('/') {
            return Ok(31062);
        }
        let target = names::join(&item.dest, &item.newname);
        if !names::is_plain(&target) || !state.drives.is_dir(account, &item.dest) {
            // Below a file there is no place, as at create; a folder that is missing is not made.
            return Ok(if state.drives.get(account, &item.dest).is_some() { -8 } else { -9 });
        }
        if !state.drives.stays_legal(account, &item.path, &target) {
            return Ok(31062);
        }
        if target.starts_with(&format!("{}/", item.path)) {
            return Ok(self.impossible());
        }
        let taken = state.drives.get(account, &target).cloned();
        let mut place = target.clone();
        match (&taken, item.ondup) {
            (None, _) => {}
            (Some(_), OnDup::Fail) => return Ok(-8),
            (Some(_), OnDup::Skip) => return Ok(0),
            (Some(_), OnDup::NewCopy) => place = state.drives.free_path(account, &target, source.isdir),
            (Some(_), OnDup::Overwrite) if item.path == target => return Ok(self.impossible()),
            (Some(old), OnDup::Overwrite) if old.isdir || source.isdir => return Ok(-8),
            (Some(_), OnDup::Overwrite) => {}
        }
        let replaced = taken.filter(|_| place == target);
        if self.opera == Opera::Copy {
            let needed: u64 = state.drives.tree(account, &item.path).iter().map(|entry| entry.size).sum();
            let freed = replaced.as_ref().map_or(0, |old| old.size);
            if !has_room(state, account, needed, freed) {
                return Ok(-10);
            }
        }
        if let Some(old) = replaced {
            state.drives.remove(account, &old.path)?;
        }
        match self.opera {
            Opera::Copy => state.drives.copy_tree((account, &item.path), (account, &place), now)?,
            _ => state.drives.move_tree(account, &item.path, &place, now)?,
        }
        Ok(0)
    }

    /// A folder into itself, or a file onto itself (field notes 2.2, "source = target").
    fn impossible(&self) -> i64 {
        match self.opera {
            Opera::Copy => 31069,
            Opera::Move => 31072,
            _ => 31073,
        }
    }
}

/// Whether `needed` more bytes fit when `freed` go.
pub(crate) fn has_room(state: &State, account: &str, needed: u64, freed: u64) -> bool {
    let quota = state.users.accounts.get(account).map_or(0, |account| account.quota);
    (state.drives.used(account) - freed).saturating_add(needed) <= quota
}
