//! The cloud: keeps what it is given, fails in every way there is, and remembers what it was asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;

use super::Sim;
use super::chance::Chance;
use crate::cloud::{
    Begin, BoxFuture, Cursor, Drive, Entry, Error, Kind, Page, Quota, Result, Slice, Stored, Upload, User,
};
use crate::content::{Md5, OnConflict};

/// What lies in the cloud, and how it is today.
#[derive(Debug, Default)]
pub(super) struct Cloud {
    /// By path. Nothing is ever taken out, and nothing in it changes.
    pub(super) files: BTreeMap<String, Kept>,
    sessions: BTreeMap<String, Session>,
    number: u64,
    pub(super) weather: Weather,
    /// How often each slice of a content came in at a path, and what had gone wrong before the first time.
    slices: BTreeMap<(String, Md5, u32), (u64, u64)>,
    /// Why something may have to be sent again: of one path, and of all.
    excuses: BTreeMap<String, u64>,
    pub(super) excuse: u64,
    /// Paths whose files changed since the last quiet day.
    pub(super) unsure: BTreeSet<String>,
    pub(super) calls: u64,
    /// Files that were copied from another name.
    pub(super) copied: u64,
    /// Copies that were promised and not made yet.
    promised: Vec<(String, String)>,
    /// Paths that were refused for good.
    pub(super) refused: BTreeSet<String>,
}

/// A file in the cloud.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) id: String,
    pub(super) size: u64,
    pub(super) md5: Md5,
}

#[derive(Debug)]
struct Session {
    path: String,
    content: Md5,
    slices: usize,
    have: BTreeMap<u32, Vec<u8>>,
}

/// How the cloud is just now.
#[derive(Clone, Debug)]
pub(super) struct Weather {
    /// Of a thousand calls so many fail.
    pub(super) failing: u64,
    /// Everything fails like this.
    pub(super) all: Option<Kind>,
    pub(super) slice_size: u64,
    /// A content that is known elsewhere in the drive need not be sent.
    pub(super) rapid: bool,
}

impl Default for Weather {
    fn default() -> Self {
        Self { failing: 0, all: None, slice_size: 64, rapid: true }
    }
}

/// Larger files are refused, bytes.
pub(super) const LARGEST: u64 = 600;

/// Every way in which a call can fail.
const KINDS: [Kind; 15] = [
    Kind::Offline,
    Kind::Offline,
    Kind::Busy { after: None },
    Kind::Busy { after: Some(Duration::ZERO) },
    Kind::Busy { after: Some(Duration::from_secs(30)) },
    Kind::DayLimit,
    Kind::Unauthorized,
    Kind::Expired,
    Kind::Full,
    Kind::Exists,
    Kind::Missing,
    Kind::Refused,
    Kind::Blocked { after: Duration::from_secs(600) },
    Kind::Broken,
    Kind::SliceSize,
];

impl Cloud {
    fn excuses(&self, path: &str) -> u64 {
        self.excuse + self.excuses.get(path).copied().unwrap_or(0)
    }

    /// Whether this file was ever refused, or could never be made of its slices.
    pub(super) fn is_excused(&self, path: &str) -> bool {
        // To refuse the listing of its folder is to refuse the file: the folder's name is not to be had.
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let is_refused = self.refused.contains(path) || self.refused.contains(folder);
        is_refused || self.excuses.get(path).is_some_and(|&times| times > 2)
    }

    pub(super) fn excuse(&mut self, path: &str) {
        *self.excuses.entry(path.to_owned()).or_default() += 1;
    }

    /// What went wrong with a call is a reason to send something again.
    fn learn(&mut self, path: &str, fate: &Fate) {
        match fate {
            Fate::Good => {}
            Fate::Before(Kind::Refused) => {
                self.excuse(path);
                self.refused.insert(path.to_owned());
            }
            // Whatever is wrong with the membership or the login stops all that is in flight.
            Fate::Before(Kind::SliceSize | Kind::Unauthorized) => self.excuse += 1,
            Fate::Before(_) | Fate::After(_) => self.excuse(path),
        }
    }

    fn fresh(&mut self) -> String {
        self.number += 1;
        self.number.to_string()
    }

    /// Makes a file, under another name when its own is taken.
    fn keep(&mut self, file: &Upload) -> Stored {
        let (stem, ending) = file.path.rsplit_once('.').unwrap();
        let names = (0..).map(|number| match number {
            0 => file.path.clone(),
            _ => format!("{stem}({number}).{ending}"),
        });
        for path in names {
            match self.files.get(&path) {
                Some(kept) if (kept.md5, kept.size) != (file.content_md5, file.size) => {}
                Some(kept) => return Stored { id: kept.id.clone(), path, size: kept.size },
                None => {
                    let kept = Kept { id: self.fresh(), size: file.size, md5: file.content_md5 };
                    self.files.insert(path.clone(), kept.clone());
                    return Stored { id: kept.id, path, size: kept.size };
                }
            }
        }
        unreachable!()
    }

    fn begin(&mut self, file: &Upload, resume: Option<&str>) -> Result<Begin> {
        assert_eq!(file.on_conflict, OnConflict::KeepBoth, "nothing may be overwritten");
        if file.slice_size > self.weather.slice_size && file.size > self.weather.slice_size {
            return Err(Error::new(Kind::SliceSize, "precreate", "slices too large"));
        }
        let known = |kept: &Kept| (kept.md5, kept.size) == (file.content_md5, file.size);
        let here = self.files.get(&file.path).is_some_and(known);
        if here || self.weather.rapid && self.files.values().any(known) {
            return Ok(Begin::Present(self.keep(file)));
        }
        let resumed = resume.filter(|id| {
            let session = self.sessions.get(*id);
            session.is_some_and(|s| (&s.path, s.content) == (&file.path, file.content_md5))
        });
        let id = match resumed {
            Some(id) => id.to_owned(),
            None => {
                let id = format!("session {}", self.fresh());
                let (path, content) = (file.path.clone(), file.content_md5);
                let session = Session { path, content, slices: file.slices.len(), have: BTreeMap::new() };
                self.sessions.insert(id.clone(), session);
                id
            }
        };
        let session = &self.sessions[&id];
        let count = u32::try_from(session.slices).unwrap();
        let mut missing: Vec<u32> = (0..count).filter(|number| !session.have.contains_key(number)).collect();
        if missing.is_empty() {
            // As the real one says that nothing is missing.
            missing.push(0);
        }
        Ok(Begin::Send { session: id, slice_size: file.slice_size, missing })
    }

    /// Takes a slice. Returns what is wrong with its coming at all.
    fn take(
        &mut self,
        file: &Upload,
        session: &str,
        number: u32,
        bytes: Vec<u8>,
    ) -> std::result::Result<Md5, Option<String>> {
        let excuses = self.excuses(&file.path);
        let open = self.sessions.get_mut(session).ok_or(None)?;
        let md5 = Md5::of(&bytes);
        open.have.insert(number, bytes);
        let key = (file.path.clone(), file.content_md5, number);
        let (times, before) = self.slices.entry(key).or_insert((0, excuses));
        *times += 1;
        // A change that came before the first slice may be noticed after the last.
        let unsure = if self.unsure.contains(&file.path) { 8 } else { 0 };
        if *times > 1 + excuses - *before + unsure {
            let (path, excuses) = (&file.path, excuses - *before);
            return Err(Some(format!(
                "slice {number} of {path} came {times} times with {excuses} reasons for it"
            )));
        }
        Ok(md5)
    }

    fn finish(
        &mut self,
        file: &Upload,
        id: &str,
        ever: &BTreeSet<Md5>,
    ) -> Result<std::result::Result<Stored, String>> {
        let expired = || Error::new(Kind::Expired, "create", "no such session");
        let session = self.sessions.get(id).ok_or_else(expired)?;
        if session.have.len() < session.slices || session.content != file.content_md5 {
            return Err(expired());
        }
        let bytes: Vec<u8> = session.have.values().flatten().copied().collect();
        let content = Md5::of(&bytes);
        if content != file.content_md5 || bytes.len() as u64 != file.size || !ever.contains(&content) {
            return Ok(Err(format!("{} is made of bytes that the file never had", file.path)));
        }
        self.sessions.remove(id);
        Ok(Ok(self.keep(file)))
    }

    /// Copies a file to a name that is free; nothing is ever overwritten. Returns what is said of it.
    fn copy(&mut self, from: &str, to: &str, item: Item) -> bool {
        let is_there = self.files.contains_key(to);
        let (is_done, is_said) = match item {
            Item::Honest => (true, is_there || self.files.contains_key(from)),
            Item::Denied => (true, false),
            Item::Claimed => (false, true),
            Item::Later => {
                self.promised.push((from.to_owned(), to.to_owned()));
                (false, true)
            }
            Item::Other => {
                // The source was replaced a moment ago.
                let size = self.files.get(from).map_or(0, |kept| kept.size);
                self.put(to, &vec![b'?'; usize::try_from(size).unwrap()]);
                (false, true)
            }
        };
        if is_done && !is_there {
            self.make_copy(from, to);
        }
        is_said
    }

    fn make_copy(&mut self, from: &str, to: &str) {
        if let (Some(kept), false) = (self.files.get(from).cloned(), self.files.contains_key(to)) {
            let id = self.fresh();
            self.files.insert(to.to_owned(), Kept { id, ..kept });
            self.copied += 1;
        }
    }

    /// What was promised is made at last.
    fn keep_promises(&mut self) {
        for (from, to) in std::mem::take(&mut self.promised) {
            self.make_copy(&from, &to);
        }
    }

    /// Something that is not of this box, where the name is free.
    pub(super) fn put(&mut self, path: &str, bytes: &[u8]) {
        let (id, size, md5) = (self.fresh(), bytes.len() as u64, Md5::of(bytes));
        self.files.entry(path.to_owned()).or_insert(Kept { id, size, md5 });
    }

    fn list(&self, folder: &str, after: Option<Cursor>) -> Result<Page> {
        let below = format!("{folder}/");
        let mut entries = BTreeMap::new();
        for (path, kept) in &self.files {
            let Some(rest) = path.strip_prefix(&below) else { continue };
            let entry = match rest.split_once('/') {
                Some((name, _)) => {
                    let path = format!("{below}{name}");
                    Entry { id: path.clone(), path, size: 0, is_folder: true, md5: None }
                }
                None => {
                    let (id, md5) = (kept.id.clone(), Some(kept.md5.to_string()));
                    Entry { id, path: path.clone(), size: kept.size, is_folder: false, md5 }
                }
            };
            entries.insert(entry.path.clone(), entry);
        }
        if entries.is_empty() {
            return Err(Error::new(Kind::Missing, "list", "no such folder"));
        }
        let from = usize::try_from(after.and_then(|after| after.number()).unwrap_or(0)).unwrap();
        let next = (entries.len() > from + 7).then(|| Cursor::at(from as u64 + 7));
        Ok(Page { entries: entries.into_values().skip(from).take(7).collect(), next })
    }

    pub(super) fn forget_a_session(&mut self, which: usize) {
        if let Some(id) = self.sessions.keys().nth(which % self.sessions.len().max(1)).cloned() {
            let session = self.sessions.remove(&id).unwrap();
            self.excuse(&session.path);
        }
    }
}

/// What becomes of one file of a copy.
#[derive(Clone, Copy)]
enum Item {
    Honest,
    /// It is copied, and said not to be.
    Denied,
    /// It is not copied, and said to be.
    Claimed,
    /// It is said to be, and copied some calls later.
    Later,
    /// What is copied is not what was there when it was asked for.
    Other,
}

const ITEMS: [Item; 4] = [Item::Denied, Item::Claimed, Item::Later, Item::Other];

/// The drive of one process: when that is dead, nothing comes from it any more.
pub(super) struct SimDrive {
    pub(super) sim: Arc<Sim>,
    pub(super) life: u64,
}

/// What becomes of one call.
enum Fate {
    Good,
    /// It is not done.
    Before(Kind),
    /// It is done, and the answer is lost.
    After(Kind),
}

impl SimDrive {
    /// One call: it takes its time, and perhaps it is done, and perhaps there is an answer.
    async fn call<T>(
        &self,
        what: &'static str,
        path: &str,
        action: impl FnOnce(&mut Cloud) -> Result<T>,
    ) -> Result<T> {
        self.alive().await;
        let latency = self.sim.chance(|chance| chance.within(20, 3000));
        tokio::time::sleep(Duration::from_millis(latency)).await;
        self.alive().await;
        let (fate, dies) = self.fate();
        if dies == Some(false) {
            self.sim.end_process();
            self.alive().await;
        }
        let outcome = match &fate {
            Fate::Good => action(&mut self.sim.cloud()),
            Fate::Before(kind) => Err(Error::new(*kind, what, "as the weather is")),
            Fate::After(kind) => {
                drop(action(&mut self.sim.cloud()));
                Err(Error::new(*kind, what, "the answer is lost"))
            }
        };
        self.sim.cloud().learn(path, &fate);
        if dies.is_some() {
            self.sim.end_process();
        }
        self.alive().await;
        match &outcome {
            // Asked each hour, and of no interest.
            Ok(_) if path.is_empty() => {}
            Ok(_) => self.sim.note(format_args!("{what} {path}")),
            Err(error) => self.sim.note(format_args!("{what} {path}: {:?}, {error}", error.kind)),
        }
        outcome
    }

    /// What becomes of the next call, and whether the process ends after (true) or before it is done.
    fn fate(&self) -> (Fate, Option<bool>) {
        let mut cloud = self.sim.cloud();
        cloud.calls += 1;
        if cloud.calls.is_multiple_of(3) {
            cloud.keep_promises();
        }
        let (failing, all) = (cloud.weather.failing, cloud.weather.all);
        let (fails, kind, is_done, late) = self.sim.chance(|chance| {
            let fails = chance.in_thousand(failing);
            (fails, KINDS[chance.below(KINDS.len())], chance.in_thousand(400), chance.in_thousand(500))
        });
        let dies = self.sim.is_last_call().then_some(late);
        let fate = match all {
            Some(kind) => Fate::Before(kind),
            None if !fails => Fate::Good,
            None if is_done => Fate::After(match kind {
                Kind::Busy { .. } | Kind::Broken => kind,
                _ => Kind::Offline,
            }),
            None => Fate::Before(kind),
        };
        (fate, dies)
    }

    /// Goes on only while the process lives.
    async fn alive(&self) {
        if self.sim.is_over(self.life) {
            std::future::pending::<()>().await;
        }
    }
}

impl Drive for SimDrive {
    fn user(&self) -> BoxFuture<'_, Result<User>> {
        Box::pin(self.call("user", "", |cloud| {
            let slice_size = cloud.weather.slice_size;
            Ok(User {
                id: "7".into(),
                name: "family".into(),
                vip_type: Some(0),
                slice_size,
                max_file_size: LARGEST,
            })
        }))
    }

    fn quota(&self) -> BoxFuture<'_, Result<Option<Quota>>> {
        Box::pin(
            self.call("quota", "", |_| Ok(Some(Quota { used: 1 << 30, total: 1 << 40, expires: false }))),
        )
    }

    fn begin<'a>(&'a self, file: &'a Upload, resume: Option<&'a str>) -> BoxFuture<'a, Result<Begin>> {
        Box::pin(self.call("begin", &file.path, move |cloud| cloud.begin(file, resume)))
    }

    fn send<'a>(
        &'a self,
        file: &'a Upload,
        session: &'a str,
        mut slice: Slice,
    ) -> BoxFuture<'a, Result<Option<Md5>>> {
        Box::pin(async move {
            let mut bytes = Vec::new();
            while let Some(piece) = slice.body.next().await {
                let broken =
                    |error| Error::new(Kind::Local, "superfile2", "the file cannot be read").because(error);
                bytes.extend(piece.map_err(broken)?);
            }
            let what = format!("{} #{}", file.path, slice.number);
            let taken =
                self.call("send", &file.path, |cloud| match cloud.take(file, session, slice.number, bytes) {
                    Ok(md5) => Ok(Ok(md5)),
                    Err(None) => Err(Error::new(Kind::Expired, "superfile2", what)),
                    Err(Some(wrong)) => Ok(Err(wrong)),
                });
            taken.await?.map(Some).map_err(|wrong| self.sim.fail(&wrong))
        })
    }

    fn finish<'a>(&'a self, file: &'a Upload, session: &'a str) -> BoxFuture<'a, Result<Stored>> {
        Box::pin(async move {
            let made =
                self.call("create", &file.path, |cloud| cloud.finish(file, session, &self.sim.disk().ever));
            let made = made.await?;
            made.map_err(|wrong| self.sim.fail(&wrong))
        })
    }

    fn list<'a>(&'a self, folder: &'a str, after: Option<Cursor>) -> BoxFuture<'a, Result<Page>> {
        Box::pin(self.call("list", folder, move |cloud| cloud.list(folder, after)))
    }

    fn copy<'a>(&'a self, files: &'a [(&'a str, &'a str)]) -> BoxFuture<'a, Result<Vec<bool>>> {
        Box::pin(async move {
            // Whatever goes wrong with it is no reason to send anything twice, nor to leave a file out.
            let what = format!("of {} files", files.len());
            let failing = self.sim.cloud().weather.failing;
            let item = |chance: &mut Chance| {
                if chance.in_thousand(failing) { ITEMS[chance.below(ITEMS.len())] } else { Item::Honest }
            };
            let items: Vec<Item> = files.iter().map(|_| self.sim.chance(item)).collect();
            let copied = self.call("copy", &what, |cloud| {
                let all = files.iter().zip(items);
                Ok(all.map(|((from, to), item)| cloud.copy(from, to, item)).collect::<Vec<bool>>())
            });
            copied.await
        })
    }

    fn is_same(&self, entry: &Entry, file: &Upload) -> bool {
        entry.size == file.size && entry.md5.as_deref() == Some(file.content_md5.to_string().as_str())
    }
}
