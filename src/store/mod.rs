//! sled made safe: open it after anything, checksum what it holds, know when it is on the disk.
//!
//! # On disk, in the state folder
//!
//! ```text
//! db/                sled 0.34.7; one tree; every value is  crc32(key, payload) LE  +  payload
//! epoch              "xpand state 1\n": written once db/ holds its first record durably
//! closed             the number of clean ends, which db/ holds too: one with a smaller number lost something
//! look_first         there until a new, cut off or rebuilt database has caught up with the cloud
//! rebuild            asks the next start to set db/ aside and begin with an empty one
//! running            there while an agent runs: found at a start, the last end was not a clean one
//! db.damaged/        the last database that was set aside, for a person to look at
//! ```
//!
//! What `db/` holds can be rebuilt from the folders and the cloud, so damage is never fatal: the folder
//! is set aside and an empty one begins. Callers learn of it by [`Opened`] and look before they send.
//!
//! # What a crash costs
//!
//! A [`Store::apply`] is atomic; it survives a killed process or a power cut once a later
//! [`Store::flush`] returned. `durable.rs` makes that flush a real `fdatasync`.
//!
//! sled answers damage with panics, at open or at any later read. They are caught here and become
//! [`Error::Damaged`]; the agent then leaves a mark, ends, and the next start sets the folder aside.

mod before;
pub mod codec;
#[cfg(test)]
pub(crate) mod memory;
mod open;

use std::cell::Cell;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub use codec::{Malformed, Reader, Writer};
pub use open::{ASIDE, Opened, ask_rebuild};

/// The payload to stay below: sled puts a node of values larger than this into a file of its own that
/// it never syncs. Only a path longer than some 1,500 bytes can exceed it, alone in its record.
pub const MAX_VALUE: usize = 4096;

/// Why the state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refuses.
    #[error("{what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// Another process has the database open.
    #[error(
        "another process is using the state in {}; stop it first, or give this one another agent.state_dir",
        .0.display()
    )]
    InUse(PathBuf),
    /// Written by a later version; it is left as it is.
    #[error(
        "the state in {} was written by a newer xpand (format {found}, this one knows {known}); \
         install that version again, or use another agent.state_dir",
        path.display()
    )]
    Newer {
        /// The state folder.
        path: PathBuf,
        /// The format found.
        found: String,
        /// The newest format this version reads.
        known: u32,
    },
    /// Somebody removed or replaced the state folder while it was in use.
    #[error(
        "the state folder {} was removed or replaced while xpand ran; with the next start it begins anew: \
         log in again where that is asked for; what the cloud has is not sent again",
        .0.display()
    )]
    Removed(PathBuf),
    /// The database panicked or reported damage.
    #[error("the database in {} is damaged ({why}); it is set aside at the next start, nothing is lost", path.display())]
    Damaged {
        /// The state folder.
        path: PathBuf,
        /// sled's own words.
        why: String,
    },
}

/// The result of a store operation.
pub type Result<T> = std::result::Result<T, Error>;

thread_local! {
    static CATCHING: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic on this thread is caught by the store, so that the panic hook keeps quiet.
#[must_use]
pub fn is_catching() -> bool {
    CATCHING.get()
}

/// What the cloud may hold that this database does not know of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Gaps {
    /// Anything: the database began empty, and not everything has been looked at since.
    pub everything: bool,
    /// Some files: it was cut off, or a record of it was damaged.
    pub something: bool,
}

impl Gaps {
    /// Whether there may be any.
    #[must_use]
    pub fn any(self) -> bool {
        self.everything || self.something
    }
}

/// The open database.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    db: Backing,
    /// Records that did not read back, since the start.
    damages: AtomicU64,
    damaged: AtomicBool,
    /// [`Gaps`], as they stand in `look_first` too.
    everything: AtomicBool,
    something: AtomicBool,
    /// Which directory the database is in: sled would go on writing to one that nobody finds any more.
    place: Option<(u64, u64)>,
}

/// Where the records are.
#[derive(Debug)]
enum Backing {
    Sled(sled::Db),
    #[cfg(test)]
    Memory(std::sync::Arc<memory::Memory>),
}

/// A key and its payload; `None` where the checksum is wrong.
pub type Record = (Vec<u8>, Option<Vec<u8>>);

/// Changes that become visible together: `None` removes.
pub type Batch = Vec<(Vec<u8>, Option<Vec<u8>>)>;

impl Store {
    /// Opens or creates the database in `folder` (the state folder, which exists).
    ///
    /// # Errors
    /// See [`Error`]. Damage is not an error: see [`Opened`].
    pub fn open(folder: &Path) -> Result<(Self, Opened)> {
        open::open(folder)
    }

    /// Opens a database in memory, which a simulation can cut off as it likes.
    #[cfg(test)]
    pub(crate) fn on(memory: std::sync::Arc<memory::Memory>) -> (Self, Opened) {
        let opened = match memory.open() {
            (true, _) => Opened::New,
            (false, true) => Opened::Unclean,
            (false, false) => Opened::Clean,
        };
        let gaps = memory.gaps();
        let store = Self::around("memory".as_ref(), Backing::Memory(memory));
        store.everything.store(gaps.everything, Ordering::Release);
        store.something.store(gaps.something, Ordering::Release);
        (store, opened)
    }

    /// Says that this end is a clean one: everything is flushed, and the next start need not look.
    ///
    /// # Errors
    /// The flush or the removal of the mark fails.
    pub fn close(self) -> Result<()> {
        self.mark_closed()
    }

    /// As [`Store::close`], for whoever shares it: nothing may be written any more.
    pub(crate) fn mark_closed(&self) -> Result<()> {
        #[cfg(test)]
        if let Backing::Memory(memory) = &self.db {
            self.flush()?;
            memory.close();
            return Ok(());
        }
        open::mark_stopped(self)
    }

    /// What the cloud may hold that this database does not know of.
    #[must_use]
    pub fn gaps(&self) -> Gaps {
        let is = |flag: &AtomicBool| flag.load(Ordering::Acquire);
        Gaps { everything: is(&self.everything), something: is(&self.something) }
    }

    /// There may be more gaps than was known. On the disk when this returns.
    ///
    /// # Errors
    /// The mark cannot be written; [`Store::gaps`] knows all the same.
    pub fn widen(&self, gaps: Gaps) -> Result<()> {
        let before = self.gaps();
        self.everything.fetch_or(gaps.everything, Ordering::AcqRel);
        self.something.fetch_or(gaps.something, Ordering::AcqRel);
        if self.gaps() == before { Ok(()) } else { self.mark_gaps() }
    }

    /// Everything has been looked at: what the cloud holds and this database does not know is not ours.
    ///
    /// # Errors
    /// The mark cannot be removed.
    pub fn looked(&self) -> Result<()> {
        self.everything.store(false, Ordering::Release);
        self.something.store(false, Ordering::Release);
        self.mark_gaps()
    }

    fn mark_gaps(&self) -> Result<()> {
        #[cfg(test)]
        if let Backing::Memory(memory) = &self.db {
            memory.set_gaps(self.gaps());
            return Ok(());
        }
        open::mark_gaps(&self.folder, self.gaps())
    }

    /// Notes that the database must not be used again: the next start sets it aside.
    pub fn condemn(&self, why: &Error) {
        open::mark_damaged(&self.folder, &why.to_string());
    }

    /// The payload at `key`. A value whose checksum is wrong counts as absent: what it said is found
    /// out again from the folders and the cloud.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let value = match &self.db {
            Backing::Sled(db) => self.guarded(|| db.get(key))?,
            #[cfg(test)]
            Backing::Memory(memory) => memory.get(key),
        };
        Ok(value.and_then(|value| self.unseal(key, &value)))
    }

    /// The last key at or before `key` that begins with `prefix`, and its payload (absent when its
    /// checksum is wrong).
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn at_or_before(&self, prefix: &[u8], key: &[u8]) -> Result<Option<Record>> {
        let found = match &self.db {
            Backing::Sled(db) => self.guarded(|| {
                before::at_or_before(prefix, key, |from| db.range(from..=key).next().transpose())
            })?,
            #[cfg(test)]
            Backing::Memory(memory) => memory.at_or_before(prefix, key),
        };
        Ok(found.map(|(key, value)| (key.to_vec(), self.unseal(&key, &value))))
    }

    /// At most `limit` keys that begin with `prefix`, from `from` on (included), with their payloads.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn page(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Record>> {
        let from = from.max(prefix);
        let found: Vec<_> = match &self.db {
            Backing::Sled(db) => self.guarded(|| {
                db.range(from..)
                    .take_while(|item| item.as_ref().map_or(true, |(key, _)| key.starts_with(prefix)))
                    .take(limit)
                    .collect()
            })?,
            #[cfg(test)]
            Backing::Memory(memory) => memory.page(prefix, from, limit),
        };
        Ok(found
            .into_iter()
            .map(|(key, value): (sled::IVec, sled::IVec)| (key.to_vec(), self.unseal(&key, &value)))
            .collect())
    }

    /// Makes all of `batch` visible at once. On the disk only after a [`Store::flush`].
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn apply(&self, batch: &Batch) -> Result<()> {
        match &self.db {
            Backing::Sled(db) => {
                let mut changes = sled::Batch::default();
                for (key, payload) in batch {
                    match payload {
                        Some(payload) => {
                            debug_assert!(payload.len() <= MAX_VALUE, "{} bytes at {key:?}", payload.len());
                            changes.insert(&key[..], seal(key, payload));
                        }
                        None => changes.remove(&key[..]),
                    }
                }
                self.guarded(|| db.apply_batch(changes))
            }
            #[cfg(test)]
            Backing::Memory(memory) => {
                let sealed = |key: &Vec<u8>, payload: &Vec<u8>| {
                    assert!(payload.len() <= MAX_VALUE, "{} bytes at {key:?}", payload.len());
                    seal(key, payload)
                };
                let changes = batch.iter().map(|(key, payload)| {
                    (key.clone(), payload.as_ref().map(|payload| sealed(key, payload)))
                });
                memory.apply(changes.collect());
                Ok(())
            }
        }
    }

    /// Returns once everything applied is on the disk. Blocks on the disk.
    ///
    /// # Errors
    /// After an error nothing more may be trusted to this database: end and start again.
    pub fn flush(&self) -> Result<()> {
        match &self.db {
            Backing::Sled(db) => self.guarded(|| db.flush())?,
            #[cfg(test)]
            Backing::Memory(memory) => {
                memory.flush();
                return Ok(());
            }
        };
        self.check_place()
    }

    /// That the state folder is still the one that was opened. Asks the disk.
    ///
    /// # Errors
    /// [`Error::Removed`].
    pub fn check_place(&self) -> Result<()> {
        #[cfg(test)]
        if let Backing::Memory(_) = &self.db {
            return Ok(());
        }
        if self.place == identity(&self.folder) { Ok(()) } else { Err(Error::Removed(self.folder.clone())) }
    }

    /// Bytes of the database on the disk.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn size_on_disk(&self) -> Result<u64> {
        match &self.db {
            Backing::Sled(db) => self.guarded(|| db.size_on_disk()),
            #[cfg(test)]
            Backing::Memory(_) => Ok(0),
        }
    }

    /// A payload that passed its checksum is not what it should be, either.
    pub fn note_damage(&self) {
        self.damages.fetch_add(1, Ordering::Relaxed);
        self.damaged.store(true, Ordering::Relaxed);
        // Before anybody can act on it: what the record said may be in the cloud.
        if let Err(error) = self.widen(Gaps { something: true, ..Gaps::default() }) {
            tracing::warn!("that a record was damaged cannot be noted: {error}");
        }
    }

    /// How many records did not read back since the start.
    #[must_use]
    pub fn damages(&self) -> u64 {
        self.damages.load(Ordering::Relaxed)
    }

    /// Whether a record did not read back since this was last asked: what was counted may be wrong.
    pub fn take_damaged(&self) -> bool {
        self.damaged.swap(false, Ordering::Relaxed)
    }

    fn unseal(&self, key: &[u8], value: &[u8]) -> Option<Vec<u8>> {
        let payload = unseal(key, value);
        if payload.is_none() {
            self.note_damage();
        }
        payload
    }

    fn guarded<T>(&self, action: impl FnOnce() -> sled::Result<T>) -> Result<T> {
        guarded(&self.folder, action)
    }
}

/// Which directory the database of the state folder is; `None` when there is none.
fn identity(folder: &Path) -> Option<(u64, u64)> {
    let meta = std::fs::metadata(folder.join("db")).ok()?;
    Some((meta.dev(), meta.ino()))
}

/// Runs `action`, with sled's panics and errors as [`Error`].
fn guarded<T>(folder: &Path, action: impl FnOnce() -> sled::Result<T>) -> Result<T> {
    let before = CATCHING.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(action));
    CATCHING.set(before);
    let why = match outcome {
        Ok(Ok(value)) => return Ok(value),
        // Bytes that are missing or make no sense are damage, not a disk that refuses.
        Ok(Err(sled::Error::Io(source)))
            if matches!(source.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData) =>
        {
            source.to_string()
        }
        Ok(Err(sled::Error::Io(source))) => {
            let (what, path) = ("cannot read or write the database in", folder.into());
            return Err(Error::Io { what, path, source });
        }
        Ok(Err(error)) => error.to_string(),
        Err(panic) => panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
            .unwrap_or_else(|| "it panicked".into()),
    };
    Err(Error::Damaged { path: folder.into(), why })
}

fn checksum(key: &[u8], payload: &[u8]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(payload);
    hasher.finalize().to_le_bytes()
}

fn seal(key: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(payload.len() + 4);
    value.extend_from_slice(&checksum(key, payload));
    value.extend_from_slice(payload);
    value
}

fn unseal(key: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let (sum, payload) = value.split_at_checked(4)?;
    if sum == checksum(key, payload) {
        return Some(payload.to_vec());
    }
    tracing::warn!("a record of the state has a wrong checksum; it is found out again");
    None
}
