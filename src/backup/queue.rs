//! The queue: which file comes next, how far each is, and what became of it. It survives everything.
//!
//! It stores facts ("this version waits", "this session has these slices", "the cloud confirmed
//! this copy"), never that something is in progress: after a crash there is nothing to clean up.
//!
//! # On disk
//!
//! ```text
//! c  folder  path        the index: what is known of every file         (entry.rs, index.rs)
//! j  folder  path        the jobs that have something to keep           (job.rs)
//! s  job id  number      their slices                                   (job.rs)
//! f  folder              path, account and counts of a folder
//! g  folder              path and account once more: written seldom, so that one damaged record of the two
//!                        costs a count and not the folder
//! h  time, length        which files left this trace                         (traces.rs)
//! i                      how far those are made                              (traces.rs)
//! n                      the next job id
//! u  account             the user of the cloud it is
//! ```
//!
//! # Durability
//!
//! Changes gather in RAM. [`Queue::apply`] writes them as one atomic batch, and after the flush that
//! follows, [`Queue::flushed`]. A file counts as backed up for a person only then. The agent does this
//! at most every two seconds or 64 changes, and at once when a slice of a large file is confirmed.

mod closing;
mod folders;
mod known;
mod pages;
mod repair;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::entry::{Copy, Entry, Skip, Standing};
use super::index::Index;
use super::job::{Job, job_key, job_prefix};
use super::shelf::{Shelf, Unconfirmed};
use super::traces::Traces;
use crate::content::{FilePath, Fingerprint, FolderId};
use crate::status::Counts;
use crate::store::{Batch, Reader, Result, Store, Writer};
use folders::{Name, folder_key, write_folder, write_name};
pub use pages::LONG;
pub use repair::Repair;

/// Pages of the index one call looks through for waiting files, so that no call takes long.
const PAGES_A_CALL: usize = 32;

/// What became of an offer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Offer {
    /// It waits from now on.
    Queued,
    /// This version waits (or has failed) already.
    AlreadyQueued,
    /// An older version waited or was being sent; this one takes its place.
    Replaced,
    /// This version is backed up.
    AlreadyBackedUp,
}

/// A job to work on, and what the cloud has of the file so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    /// The job, as far as it is.
    pub job: Job,
    /// The newest confirmed copy, of this or an older version.
    pub copy: Option<Copy>,
}

/// What to do next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Next {
    /// Work on this.
    Claim(Box<Claim>),
    /// Nothing before this time, milliseconds since 1970.
    At(i64),
    /// Ask again at once: the search for waiting files goes on.
    Searching,
    /// Nothing waits.
    Nothing,
}

/// How work on a claim ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The cloud confirmed exactly this version.
    Done(Copy),
    /// Try again, not before `due_ms`.
    Again {
        /// Milliseconds since 1970.
        due_ms: i64,
        /// Why this try failed.
        why: String,
    },
    /// Stop trying until a person says otherwise.
    Park {
        /// Why.
        why: String,
    },
    /// It cannot be sent at all.
    Skip(Skip),
    /// The file has changed meanwhile.
    Changed {
        /// This is it now.
        print: Fingerprint,
        /// It has held still by then, milliseconds since 1970; kept in RAM only.
        due_ms: i64,
    },
    /// The file has gone.
    Gone,
    /// Nothing was decided: keep what there is, for the next time.
    Released,
}

/// The queue of all folders. See the module.
#[derive(Debug)]
pub struct Queue {
    store: Arc<Store>,
    index: Index,
    traces: Traces,
    shelves: BTreeMap<FolderId, Shelf>,
    folders: BTreeMap<FolderId, Name>,
    /// Folders whose name is not yet in a batch.
    unnamed: BTreeSet<FolderId>,
    /// Files being worked on, and the version.
    claimed: HashMap<FilePath, Fingerprint>,
    /// Job records not yet in a batch.
    pending: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    next_job: u64,
    /// Job ids below this are promised on disk.
    promised_job: u64,
    /// Changes since the last [`Queue::apply`]: ends of work, and all.
    changes: (usize, usize),
    turn: usize,
}

/// Longer than any back-off, milliseconds (verdict.rs: 7.5 h at most).
const LONGEST_MS: i64 = 8 * 3_600_000;
/// Job ids are promised on disk in blocks of this many.
const PROMISE: u64 = 1000;

impl Queue {
    /// The queue as the store holds it.
    ///
    /// # Errors
    /// The store fails.
    pub fn open(store: Arc<Store>) -> Result<Self> {
        let promised = store.get(b"n")?.and_then(|payload| Reader::new(&payload).number().ok());
        let mut queue = Self {
            store,
            index: Index::default(),
            traces: Traces::default(),
            shelves: BTreeMap::new(),
            folders: BTreeMap::new(),
            unnamed: BTreeSet::new(),
            claimed: HashMap::new(),
            pending: BTreeMap::new(),
            next_job: promised.unwrap_or(1),
            promised_job: promised.unwrap_or(0),
            changes: (0, 0),
            turn: 0,
        };
        queue.read_folders()?;
        queue.read_traces()?;
        Ok(queue)
    }

    /// What it is kept in.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// What it was kept in. Changes that were not applied are lost.
    #[must_use]
    pub fn into_store(self) -> Arc<Store> {
        self.store
    }

    /// The folder's counts as a person may see them: backed up means on the disk.
    #[must_use]
    pub fn counts(&self, folder: FolderId) -> Counts {
        self.shelves.get(&folder).map(Shelf::durable_counts).unwrap_or_default()
    }

    /// What is known of a file.
    ///
    /// # Errors
    /// The store fails.
    pub fn get(&mut self, path: &FilePath) -> Result<Option<Entry>> {
        self.index.get(&self.store, path)
    }

    /// The stored job of a file, if it has one.
    ///
    /// # Errors
    /// The store fails.
    pub fn job(&self, path: &FilePath) -> Result<Option<Job>> {
        let Some(record) = self.record_at(&job_key(path))? else {
            return Ok(None);
        };
        let job = Job::read(path.clone(), &record, |key| self.record_at(key))?;
        Ok(job.ok())
    }

    /// A page of the files of a folder that have a stored job, after `after`.
    ///
    /// # Errors
    /// The store fails.
    pub fn jobs(&mut self, folder: FolderId, after: Option<&[u8]>) -> Result<Vec<Job>> {
        self.write_out()?;
        let prefix = job_prefix(folder);
        let mut from = prefix.clone();
        if let Some(after) = after {
            from.extend_from_slice(after);
            from.push(0);
        }
        let mut jobs = Vec::new();
        for (key, _) in self.store.page(&prefix, &from, 64)? {
            let path = FilePath { folder, below: key[prefix.len()..].into() };
            jobs.push(match self.job(&path)? {
                Some(job) => job,
                None => Job::new(0, path, Fingerprint { size: 0, mtime_ns: 0, ctime_ns: 0 }),
            });
        }
        Ok(jobs)
    }

    /// A version of a file that has gone quiet is to be backed up.
    ///
    /// # Errors
    /// The store fails.
    pub fn offer(&mut self, path: &FilePath, print: Fingerprint) -> Result<Offer> {
        let known = self.index.get(&self.store, path)?;
        let same = known.as_ref().is_some_and(|entry| entry.print == print);
        let was_gone = known.as_ref().is_some_and(|entry| entry.gone);
        let standing = known.as_ref().map(|entry| entry.standing);
        let offer = match standing {
            Some(Standing::BackedUp) if same => Offer::AlreadyBackedUp,
            Some(Standing::Waiting | Standing::Failed) if same => Offer::AlreadyQueued,
            Some(Standing::Waiting) => Offer::Replaced,
            _ => Offer::Queued,
        };
        if same && !was_gone && offer != Offer::Queued {
            return Ok(offer);
        }
        let standing = match standing {
            // A failed one that went and came back is tried again: its job, which knew why, went with it.
            Some(Standing::BackedUp) if same => Standing::BackedUp,
            _ => Standing::Waiting,
        };
        if !same {
            self.drop_job(path)?;
        }
        let copy = known.and_then(|entry| entry.copy);
        self.set(path, Some(Entry { below: path.below.clone(), print, standing, copy, gone: false }))?;
        if standing == Standing::Waiting {
            self.shelf(path.folder).push(&path.below);
        }
        Ok(offer)
    }

    /// A version of a file cannot be sent, for a reason known before reading it.
    ///
    /// # Errors
    /// The store fails.
    pub fn skip(&mut self, path: &FilePath, print: Fingerprint, skip: Skip) -> Result<()> {
        let known = self.index.get(&self.store, path)?;
        let standing = Standing::Skipped(skip);
        if known.as_ref().is_some_and(|e| e.print == print && e.standing == standing && !e.gone) {
            return Ok(());
        }
        self.drop_job(path)?;
        let copy = known.and_then(|entry| entry.copy);
        self.set(path, Some(Entry { below: path.below.clone(), print, standing, copy, gone: false }))
    }

    /// A file is no longer in its folder. Its copy stays known, and stays in the cloud.
    ///
    /// # Errors
    /// The store fails.
    pub fn gone(&mut self, path: &FilePath) -> Result<()> {
        let Some(entry) = self.index.get(&self.store, path)? else {
            return Ok(());
        };
        if entry.gone {
            return Ok(());
        }
        self.drop_job(path)?;
        let kept = entry.copy.is_some().then_some(Entry { gone: true, ..entry });
        self.set(path, kept)
    }

    /// The next file to work on, of the folders that are `allowed` now.
    ///
    /// # Errors
    /// The store fails.
    pub fn next_due(&mut self, now_ms: i64, allowed: impl Fn(FolderId) -> bool) -> Result<Next> {
        let folders: Vec<_> = self.shelves.keys().copied().filter(|&folder| allowed(folder)).collect();
        let mut next = Next::Nothing;
        self.turn = self.turn.wrapping_add(1);
        for at in 0..folders.len() {
            let folder = folders[(at + self.turn) % folders.len()];
            match self.next_in(folder, now_ms)? {
                Next::Claim(claim) => return Ok(Next::Claim(claim)),
                Next::Searching => next = Next::Searching,
                Next::At(at) => match next {
                    Next::Nothing => next = Next::At(at),
                    Next::At(other) => next = Next::At(at.min(other)),
                    _ => {}
                },
                Next::Nothing => {}
            }
        }
        Ok(next)
    }

    fn next_in(&mut self, folder: FolderId, now_ms: i64) -> Result<Next> {
        for _ in 0..PAGES_A_CALL {
            while let Some(below) = self.shelf(folder).pop(now_ms) {
                if let Some(claim) = self.claim(FilePath { folder, below }, now_ms)? {
                    return Ok(Next::Claim(Box::new(claim)));
                }
            }
            let Some(after) = self.shelf(folder).search() else {
                let due = self.shelf(folder).next_due_ms(now_ms);
                return Ok(due.map_or(Next::Nothing, Next::At));
            };
            let page = self.index.page(&self.store, folder, after.as_deref(), 1)?;
            for entry in page.iter().filter(|entry| entry.standing == Standing::Waiting && !entry.gone) {
                self.shelf(folder).push(&entry.below);
            }
            self.shelf(folder).searched(&page);
        }
        Ok(Next::Searching)
    }

    fn claim(&mut self, path: FilePath, now_ms: i64) -> Result<Option<Claim>> {
        if self.claimed.contains_key(&path) {
            return Ok(None);
        }
        let Some(entry) = self.index.get(&self.store, &path)? else {
            return Ok(None);
        };
        if entry.standing != Standing::Waiting || entry.gone {
            return Ok(None);
        }
        let stored = self.job(&path)?;
        let job = match stored {
            Some(job) if job.print == entry.print => job,
            _ => Job::new(self.new_job_id(), path.clone(), entry.print),
        };
        // Further off than any back-off: the clock was ahead when it was taken.
        if job.due_ms > now_ms && job.due_ms - now_ms <= LONGEST_MS {
            self.shelf(path.folder).push_due(job.due_ms, &path.below);
            return Ok(None);
        }
        self.claimed.insert(path, entry.print);
        Ok(Some(Claim { job, copy: entry.copy }))
    }

    /// Keeps how far a claimed job is. With `slices` when they are new to this job.
    pub fn record(&mut self, job: &Job, slices: bool) {
        if self.claimed.get(&job.path) == Some(&job.print) {
            let mut batch = Batch::new();
            job.write(&mut batch, slices);
            self.keep(batch);
        }
    }

    /// Which files are being worked on.
    pub fn claimed(&self) -> impl Iterator<Item = &FilePath> {
        self.claimed.keys()
    }

    /// How many changes wait for an [`Queue::apply`]: ends of work, and all together.
    #[must_use]
    pub fn changes(&self) -> (usize, usize) {
        self.changes
    }

    /// Whether there is anything to apply.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        self.changes.1 > 0
    }

    /// Writes what has changed as one batch. Durable after a flush of the store; then call
    /// [`Queue::flushed`].
    ///
    /// # Errors
    /// The store fails.
    pub fn apply(&mut self) -> Result<()> {
        for shelf in self.shelves.values_mut() {
            let fresh = std::mem::take(&mut shelf.fresh);
            shelf.flushing.files += fresh.files;
            shelf.flushing.bytes += fresh.bytes;
        }
        self.changes = (0, 0);
        self.write_out()
    }

    /// Writes what has changed, so that it can be read by pages. It is as far from the disk as before: the
    /// next [`Queue::apply`] and its flush are still to come.
    fn write_out(&mut self) -> Result<()> {
        let mut batch: Batch = std::mem::take(&mut self.pending).into_iter().collect();
        self.index.take_changes(&mut batch);
        self.traces.take_changes(&mut batch);
        for (id, shelf) in &mut self.shelves {
            if std::mem::take(&mut shelf.counts_changed)
                && let Some(name) = self.folders.get(id)
            {
                batch.push((folder_key(b'f', *id), Some(write_folder(name, &shelf.counts))));
            }
        }
        for id in std::mem::take(&mut self.unnamed) {
            if let Some(name) = self.folders.get(&id) {
                batch.push((folder_key(b'g', id), Some(write_name(name))));
            }
        }
        if self.next_job > self.promised_job {
            self.promised_job = self.next_job + PROMISE;
            let mut writer = Writer::new();
            writer.number(self.promised_job);
            batch.push((b"n".to_vec(), Some(writer.finish())));
        }
        if batch.is_empty() { Ok(()) } else { self.store.apply(&batch) }
    }

    /// Everything applied before the flush that just returned is on the disk.
    pub fn flushed(&mut self) {
        for shelf in self.shelves.values_mut() {
            shelf.flushing = Unconfirmed::default();
        }
    }

    fn shelf(&mut self, folder: FolderId) -> &mut Shelf {
        self.shelves.entry(folder).or_default()
    }

    fn new_job_id(&mut self) -> u64 {
        self.next_job += 1;
        self.next_job
    }

    fn keep_job(&mut self, job: &Job) {
        let mut batch = Batch::new();
        job.write(&mut batch, true);
        self.keep(batch);
    }

    fn remove_job(&mut self, job: &Job) {
        // A file that never had a record, and that is most of them, needs no removal written.
        let key = job_key(&job.path);
        if self.pending.contains_key(&key) || !matches!(self.store.get(&key), Ok(None)) {
            let mut batch = Batch::new();
            job.remove(&mut batch);
            self.keep(batch);
        }
    }

    /// Removes the stored job of a file that nobody works on.
    fn drop_job(&mut self, path: &FilePath) -> Result<()> {
        if !self.claimed.contains_key(path)
            && let Some(job) = self.job(path)?
        {
            self.remove_job(&job);
        }
        Ok(())
    }

    fn keep(&mut self, batch: Batch) {
        self.changes.1 += 1;
        self.pending.extend(batch);
    }

    fn record_at(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.pending.get(key) {
            Some(pending) => Ok(pending.clone()),
            None => self.store.get(key),
        }
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
