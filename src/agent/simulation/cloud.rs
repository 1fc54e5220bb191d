//! The cloud: keeps what it is given, fails in every way there is, and remembers what it was asked.

use std::collections::{BTreeMap, BTreeSet};

use super::drive::Fate;
use crate::cloud::{Begin, Cursor, Entry, Error, Finish, Kind, Page, Result, Stored, Upload};
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
    /// Everything is there, and so often more it is said that the file is not made yet.
    checks: Option<u32>,
}

/// What a session is called once everything of it is there.
const MAKING: &str = "making ";

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
    pub(super) fn learn(&mut self, path: &str, fate: &Fate) {
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

    pub(super) fn begin(&mut self, file: &Upload, resume: Option<&str>) -> Result<Begin> {
        assert_eq!(file.on_conflict, OnConflict::KeepBoth, "nothing may be overwritten");
        if file.slice_size > self.weather.slice_size && file.size > self.weather.slice_size {
            return Err(Error::new(Kind::SliceSize, "precreate", "slices too large"));
        }
        let known = |kept: &Kept| (kept.md5, kept.size) == (file.content_md5, file.size);
        let here = self.files.get(&file.path).is_some_and(known);
        if here || self.weather.rapid && self.files.values().any(known) {
            return Ok(Begin::Present(self.keep(file)));
        }
        let resume = resume.map(|id| id.strip_prefix(MAKING).unwrap_or(id));
        let resumed = resume.filter(|id| {
            let session = self.sessions.get(*id);
            session.is_some_and(|s| (&s.path, s.content) == (&file.path, file.content_md5))
        });
        if let Some(id) = resumed.filter(|id| self.sessions[*id].checks.is_some()) {
            return Ok(Begin::Making { session: format!("{MAKING}{id}") });
        }
        let id = match resumed {
            Some(id) => id.to_owned(),
            None => {
                let id = format!("session {}", self.fresh());
                let (path, content) = (file.path.clone(), file.content_md5);
                let session =
                    Session { path, content, slices: file.slices.len(), have: BTreeMap::new(), checks: None };
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
    pub(super) fn take(
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

    pub(super) fn finish(
        &mut self,
        file: &Upload,
        id: &str,
        ever: &BTreeSet<Md5>,
        checks: u32,
    ) -> Result<std::result::Result<Finish, String>> {
        let id = id.strip_prefix(MAKING).unwrap_or(id);
        let expired = || Error::new(Kind::Expired, "create", "no such session");
        let session = self.sessions.get_mut(id).ok_or_else(expired)?;
        if session.have.len() < session.slices || session.content != file.content_md5 {
            return Err(expired());
        }
        let checks = session.checks.get_or_insert(checks);
        if *checks > 0 {
            *checks -= 1;
            return Ok(Ok(Finish::Making { session: format!("{MAKING}{id}") }));
        }
        let bytes: Vec<u8> = session.have.values().flatten().copied().collect();
        let content = Md5::of(&bytes);
        if content != file.content_md5 || bytes.len() as u64 != file.size || !ever.contains(&content) {
            return Ok(Err(format!("{} is made of bytes that the file never had", file.path)));
        }
        self.sessions.remove(id);
        Ok(Ok(Finish::Made(self.keep(file))))
    }

    /// Copies a file to a name that is free; nothing is ever overwritten. Returns what is said of it.
    pub(super) fn copy(&mut self, from: &str, to: &str, item: Item) -> bool {
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
    pub(super) fn keep_promises(&mut self) {
        for (from, to) in std::mem::take(&mut self.promised) {
            self.make_copy(&from, &to);
        }
    }

    /// Something that is not of this box, where the name is free.
    pub(super) fn put(&mut self, path: &str, bytes: &[u8]) {
        let (id, size, md5) = (self.fresh(), bytes.len() as u64, Md5::of(bytes));
        self.files.entry(path.to_owned()).or_insert(Kept { id, size, md5 });
    }

    pub(super) fn list(&self, folder: &str, after: Option<Cursor>) -> Result<Page> {
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
pub(super) enum Item {
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

pub(super) const ITEMS: [Item; 4] = [Item::Denied, Item::Claimed, Item::Later, Item::Other];
