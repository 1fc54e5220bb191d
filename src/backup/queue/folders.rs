//! The records of folders: which they are, whose drive they tell of, how many of their files stand where.

use std::collections::BTreeSet;
use std::path::Path;

use super::{LONG, Queue};
use crate::backup::mounts::Mounts;
use crate::backup::shelf::Shelf;
use crate::content::{FilePath, FolderId};
use crate::status::Counts;
use crate::store::{Reader, Result, Writer};

/// A folder's path, as the disk has it, and its account.
pub(super) type Name = (Vec<u8>, String);

impl Queue {
    /// Reads the folders' records. Of a damaged one the other half of the pair knows the name, and the
    /// index the counts; without either the folder begins anew under another id.
    pub(super) fn read_folders(&mut self) -> Result<()> {
        let id_of = |key: &[u8]| key.get(1..).and_then(|id| id.try_into().ok()).map(u32::from_be_bytes);
        for (key, payload) in self.store.page(b"g", b"g", usize::MAX)? {
            let Some(id) = id_of(&key).map(FolderId) else { continue };
            match payload.as_deref().and_then(read_name) {
                Some(name) => drop(self.folders.insert(id, name)),
                None => {
                    self.store.note_damage();
                    self.pending.insert(key, None);
                }
            }
        }
        let mut uncounted: BTreeSet<FolderId> = self.folders.keys().copied().collect();
        for (key, payload) in self.store.page(b"f", b"f", usize::MAX)? {
            let Some(id) = id_of(&key).map(FolderId) else { continue };
            match payload.as_deref().and_then(read_folder) {
                Some((name, counts)) => {
                    uncounted.remove(&id);
                    self.shelves.insert(id, Shelf::new(counts));
                    if self.folders.insert(id, name.clone()).as_ref() != Some(&name) {
                        self.unnamed.insert(id);
                    }
                }
                None => {
                    self.store.note_damage();
                    self.pending.insert(key, None);
                }
            }
        }
        self.changes.1 += self.unnamed.len() + self.pending.len();
        uncounted.into_iter().try_for_each(|id| self.recount(id))
    }

    /// Notes which user of the cloud an account is. False when it was another one until now: what the
    /// folders' records say is true of that user's drive, and [`Queue::folder`] gives other records now.
    ///
    /// # Errors
    /// The store fails.
    pub fn set_user(&mut self, account: &str, user: &str) -> Result<bool> {
        let known = self.user(account)?;
        if known.as_deref() == Some(user) {
            return Ok(true);
        }
        self.pending.insert(user_key(account), Some(user.as_bytes().to_vec()));
        self.changes.1 += 1;
        if known.is_none() {
            // The first user we learn of is the one whose drive everything went to.
            for (id, (_, owner)) in &mut self.folders {
                if owner == account {
                    *owner = owner_of(account, Some(user));
                    self.shelves.entry(*id).or_default().counts_changed = true;
                    self.unnamed.insert(*id);
                }
            }
        }
        Ok(known.is_none())
    }

    fn user(&self, account: &str) -> Result<Option<String>> {
        Ok(self.record_at(&user_key(account))?.and_then(|user| String::from_utf8(user).ok()))
    }

    /// The id of the folder at `path` for `account` and its user, now and in later runs.
    ///
    /// # Errors
    /// The store fails.
    pub fn folder(&mut self, path: &Path, account: &str) -> Result<FolderId> {
        use std::os::unix::ffi::OsStrExt;
        let owner = owner_of(account, self.user(account)?.as_deref());
        let name = (path.as_os_str().as_bytes().to_vec(), owner);
        if let Some((id, _)) = self.folders.iter().find(|(_, known)| **known == name) {
            return Ok(*id);
        }
        let id = FolderId(self.folders.keys().next_back().map_or(1, |id| id.0 + 1));
        self.folders.insert(id, name);
        self.unnamed.insert(id);
        self.shelf(id).counts_changed = true;
        // A folder whose own record is lost may have files all the same.
        self.recount(id)?;
        Ok(id)
    }

    /// When a record did not read back: counts what is left, and searches it for files that wait. What was
    /// in the record is found again by looks at the folders.
    ///
    /// # Errors
    /// The store fails.
    pub fn mend(&mut self) -> Result<()> {
        if self.store.take_damaged() {
            tracing::warn!("some records of the state were damaged; what they said is found out again");
            for folder in self.shelves.keys().copied().collect::<Vec<_>>() {
                self.recount(folder)?;
            }
        }
        Ok(())
    }

    /// Where disks were mounted when the folder was last seen whole.
    ///
    /// # Errors
    /// The store fails.
    pub fn mounts(&self, folder: FolderId) -> Result<Mounts> {
        Ok(self.record_at(&mounts_key(folder))?.map_or_else(Mounts::default, |record| Mounts::read(&record)))
    }

    /// Remembers that. What has not changed is not written.
    ///
    /// # Errors
    /// The store fails.
    pub fn set_mounts(&mut self, folder: FolderId, mounts: &Mounts) -> Result<()> {
        if self.mounts(folder)? != *mounts {
            self.pending.insert(mounts_key(folder), Some(mounts.write()));
            self.changes.1 += 1;
        }
        Ok(())
    }

    /// A folder's disk is back: its files are looked for now, not when their time has come.
    pub fn hurry(&mut self, folder: FolderId) {
        self.shelf(folder).hurry();
    }

    /// A claimed file cannot be worked on before `due_ms`, for no reason of its own: nothing is written.
    pub fn put_back(&mut self, path: &FilePath, due_ms: i64) {
        self.claimed.remove(path);
        self.shelf(path.folder).push_due(due_ms, &path.below);
    }

    fn recount(&mut self, folder: FolderId) -> Result<()> {
        let (mut fresh, mut after) = (Shelf::default(), None::<Box<[u8]>>);
        loop {
            let page = self.index.page(&self.store, folder, after.as_deref(), LONG)?;
            let Some(last) = page.last() else { break };
            after = Some(last.below.clone());
            page.iter().for_each(|entry| fresh.recount(None, Some(entry)));
        }
        let shelf = self.shelf(folder);
        (shelf.counts, shelf.counts_changed) = (fresh.counts, true);
        shelf.hurry();
        self.changes.1 += 1;
        Ok(())
    }
}

/// Whose drive a folder's records tell of: the account, and its user once that is known.
fn owner_of(account: &str, user: Option<&str>) -> String {
    user.map_or_else(|| account.to_owned(), |user| format!("{account}\n{user}"))
}

fn mounts_key(folder: FolderId) -> Vec<u8> {
    [&b"m"[..], &folder.0.to_be_bytes()].concat()
}

fn user_key(account: &str) -> Vec<u8> {
    [b"u", account.as_bytes()].concat()
}

pub(super) fn folder_key(kind: u8, id: FolderId) -> Vec<u8> {
    [&[kind][..], &id.0.to_be_bytes()].concat()
}

/// Packs a folder's name.
pub(super) fn write_name((path, account): &Name) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.byte(1).bytes(path).bytes(account.as_bytes());
    writer.finish()
}

/// Unpacks it; `None` when it is not one of ours.
fn read_name(payload: &[u8]) -> Option<Name> {
    let mut reader = Reader::new(payload);
    (reader.byte().ok()? == 1).then_some(())?;
    Some((reader.bytes().ok()?.to_vec(), reader.text().ok()?))
}

/// Packs a folder's record.
pub(super) fn write_folder((path, account): &Name, counts: &Counts) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.byte(1).bytes(path).bytes(account.as_bytes());
    for count in [
        counts.files,
        counts.bytes,
        counts.backed_up,
        counts.waiting,
        counts.failed,
        counts.skipped,
        counts.bytes_waiting,
    ] {
        writer.number(count);
    }
    writer.finish()
}

/// Unpacks it; `None` when it is not one of ours.
pub(super) fn read_folder(payload: &[u8]) -> Option<(Name, Counts)> {
    let mut reader = Reader::new(payload);
    if reader.byte().ok()? != 1 {
        return None;
    }
    let name = (reader.bytes().ok()?.to_vec(), reader.text().ok()?);
    let mut number = || reader.number().ok();
    let counts = Counts {
        files: number()?,
        bytes: number()?,
        backed_up: number()?,
        waiting: number()?,
        failed: number()?,
        skipped: number()?,
        bytes_waiting: number()?,
    };
    Some((name, counts))
}
