//! Who may touch the queue, and when what it says reaches the disk.
//!
//! All tasks share one [`Keeper`]. Its [`Keeper::run`] gathers changes for at most two seconds or 64
//! changes and then syncs once for all; a large file's slices ask for a commit at once and share it with
//! whoever else asks meanwhile. While nothing changes it neither wakes nor writes.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::queue::Queue;
use super::seam::spawn_blocking;
use super::survey;
use crate::store::{Error, Gaps, Opened, Result, Store};

/// The longest a change waits for its commit.
pub const LONGEST: Duration = Duration::from_secs(2);
/// So many changes are committed at once: ends of work, and found files, which cost less to find again.
const MANY: (usize, usize) = (64, 2048);

/// How long a database may still be in use by a commit when another takes its place.
const LETTING_GO: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub struct Keeper {
    /// None while another database takes the place of this one, and at the end.
    queue: Mutex<Option<Queue>>,
    longest: Duration,
    changed: Notify,
    wanted: AtomicU64,
    committed: watch::Sender<u64>,
    failed: Mutex<Option<Error>>,
    broken: CancellationToken,
}

impl Keeper {
    /// Opens the queue in `store`; a change waits for its commit at most `longest` ([`LONGEST`]).
    ///
    /// # Errors
    /// The store fails.
    pub fn open(store: Arc<Store>, longest: Duration) -> Result<Arc<Self>> {
        let (queue, changed) = (Queue::open(store)?, Notify::new());
        if queue.has_changes() {
            changed.notify_one();
        }
        Ok(Arc::new(Self {
            queue: Mutex::new(Some(queue)),
            longest,
            changed,
            wanted: AtomicU64::new(0),
            committed: watch::Sender::new(0),
            failed: Mutex::new(None),
            broken: CancellationToken::new(),
        }))
    }

    /// Does something with the queue. `None` means that the store has failed: the agent is ending, and
    /// the caller should too. Short: everybody waits.
    pub fn with<T>(&self, action: impl FnOnce(&mut Queue) -> Result<T>) -> Option<T> {
        if self.broken.is_cancelled() {
            return None;
        }
        let mut cell = self.lock();
        let queue = cell.as_mut()?;
        let (empty, many) = (!queue.has_changes(), is_many(queue));
        let outcome = action(queue);
        // The first change starts the clock, one too many stops it; those between wake nobody.
        if (empty && queue.has_changes()) || (!many && is_many(queue)) {
            self.changed.notify_one();
        }
        drop(cell);
        outcome.map_err(|error| self.fail(error)).ok()
    }

    /// Returns once everything changed before this call is on the disk; `None` as in [`Keeper::with`].
    pub async fn commit(&self) -> Option<()> {
        let mut committed = self.committed.subscribe();
        let seq = self.wanted.fetch_add(1, Ordering::SeqCst) + 1;
        self.changed.notify_one();
        tokio::select! {
            biased;
            done = committed.wait_for(|&done| done >= seq) => done.is_ok().then_some(()),
            () = self.broken.cancelled() => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Queue>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self) -> Option<Arc<Store>> {
        self.lock().as_ref().map(|queue| Arc::clone(queue.store()))
    }

    /// Does something with the store beside the queue: nobody waits. Blocks on the disk. `None` as in
    /// [`Keeper::with`].
    pub fn with_store<T>(&self, action: impl FnOnce(&Store) -> Result<T>) -> Option<T> {
        if self.broken.is_cancelled() {
            return None;
        }
        let store = self.store()?;
        action(&store).map_err(|error| self.fail(error)).ok()
    }

    /// What the cloud may hold that we do not know of.
    #[must_use]
    pub fn gaps(&self) -> Gaps {
        self.store().map(|store| store.gaps()).unwrap_or_default()
    }

    /// Everything that was waiting is through: see [`Store::looked`]. What the cloud was asked for is not
    /// needed any more. Blocks on the disk.
    pub fn looked(&self) {
        let Some(store) = self.store() else { return };
        if let Err(error) = store.looked() {
            tracing::warn!(
                "{error}: {}",
                std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default()
            );
        }
        drop(store);
        self.with_store(survey::clear);
    }

    /// Sets the database in `folder` aside and goes on with an empty one. Nobody may be at work; blocks on
    /// the disk.
    ///
    /// # Errors
    /// The store fails: the agent has to end, and the next start does it.
    pub fn begin_anew(&self, folder: &Path) -> Result<Opened> {
        crate::store::ask_rebuild(folder)?;
        let mut cell = self.lock();
        if let Some(queue) = cell.take() {
            let store = Arc::clone(queue.store());
            drop(queue);
            let begun = Instant::now();
            let mut store = Some(store);
            // A commit under way lets go of it in a moment.
            while let Some(shared) = store.take().and_then(|store| Arc::try_unwrap(store).err()) {
                if begun.elapsed() > LETTING_GO {
                    return Err(Error::InUse(folder.into()));
                }
                std::thread::sleep(Duration::from_millis(10));
                store = Some(shared);
            }
        }
        let (store, opened) = Store::open(folder)?;
        *cell = Some(Queue::open(Arc::new(store))?);
        Ok(opened)
    }

    /// The last end: see [`Store::close`]. Nobody else may use the store any more.
    ///
    /// # Errors
    /// The store fails.
    pub fn close(self) -> Result<()> {
        let queue = self.queue.into_inner().unwrap_or_else(PoisonError::into_inner);
        match queue.map(Queue::into_store).and_then(Arc::into_inner) {
            Some(store) => store.close(),
            None => Ok(()),
        }
    }

    /// Ends the agent when somebody has taken its state away from under it. Asks the disk.
    pub fn check_place(&self) {
        self.with_store(Store::check_place);
    }

    /// Has what changed committed at once, without waiting for it.
    pub fn hurry(&self) {
        self.wanted.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_one();
    }

    /// Commits until `stop`, and a last time then. Ends early when the store fails.
    ///
    /// # Errors
    /// Why the store failed.
    pub async fn run(self: &Arc<Self>, stop: CancellationToken) -> Result<()> {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.broken.cancelled() => break,
                () = self.changed.notified() => {}
            }
            self.gather(&stop).await;
            self.commit_once().await;
        }
        self.commit_once().await;
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        failed.map_or(Ok(()), Err)
    }

    /// Waits for more changes to share the commit with.
    async fn gather(&self, stop: &CancellationToken) {
        let until = Instant::now() + self.longest;
        loop {
            let urgent = self.wanted.load(Ordering::SeqCst) > *self.committed.borrow();
            if urgent || self.with(|queue| Ok(is_many(queue))) != Some(false) {
                return;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(until) => return,
                () = self.changed.notified() => {}
            }
        }
    }

    async fn commit_once(self: &Arc<Self>) {
        let seq = self.wanted.load(Ordering::SeqCst);
        let keeper = Arc::clone(self);
        let committed = spawn_blocking(move || {
            let (changed, store) = keeper.with(|queue| {
                let changed = queue.has_changes();
                queue.apply().map(|()| (changed, Arc::clone(queue.store())))
            })?;
            if changed {
                store.flush().map_err(|error| keeper.fail(error)).ok()?;
                keeper.with(|queue| {
                    queue.flushed();
                    queue.make_hints()
                })?;
            }
            Some(changed)
        });
        if let Ok(Some(changed)) = committed.await {
            self.committed.send_if_modified(|done| std::mem::replace(done, seq.max(*done)) < seq || changed);
        }
    }

    /// Fires after each commit: only then does what was done count as done.
    #[must_use]
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.committed.subscribe()
    }

    /// Cancelled when the store has failed.
    #[must_use]
    pub fn broken(&self) -> &CancellationToken {
        &self.broken
    }

    fn fail(&self, error: Error) {
        if let (Error::Damaged { .. }, Some(store)) = (&error, self.store()) {
            store.condemn(&error);
        }
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get_or_insert(error);
        self.broken.cancel();
    }
}

fn is_many(queue: &Queue) -> bool {
    let (ends, all) = queue.changes();
    ends >= MANY.0 || all >= MANY.1
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::backup::entry::Copy;
    use crate::backup::queue::{Next, Outcome};
    use crate::content::{FilePath, Fingerprint, Md5};

    /// Whoever asks for the jobs has what is gathered applied: it is flushed all the same.
    #[tokio::test]
    async fn what_a_question_applied_counts_as_backed_up_after_the_next_commit() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(folder.path()).unwrap().0);
        let keeper = Keeper::open(store, LONGEST).unwrap();
        let id = keeper.with(|queue| queue.folder(folder.path(), "home")).unwrap();
        let print = Fingerprint { size: 1, mtime_ns: 1, ctime_ns: 1 };
        keeper.with(|queue| queue.offer(&FilePath::new(id, "a.jpg"), print)).unwrap();
        let Some(Next::Claim(claim)) = keeper.with(|queue| queue.next_due(1, |_| true)) else { panic!() };
        let copy = Copy { size: 1, md5: Md5::of("a"), id: "1".into(), path: "/apps/x/a.jpg".into() };
        keeper.with(|queue| queue.close(claim.job, Outcome::Done(copy))).unwrap();
        keeper.with(|queue| queue.jobs(id, None)).unwrap();
        let counts = |keeper: &Keeper| keeper.with(|queue| Ok(queue.counts(id))).unwrap();
        assert_eq!(counts(&keeper).backed_up, 0, "not on the disk yet");
        keeper.commit_once().await;
        assert_eq!((counts(&keeper).backed_up, counts(&keeper).waiting), (1, 0));
    }

    /// sled may panic at any read; whoever goes on with such a database would meet it again and again.
    #[test]
    fn a_database_that_was_found_damaged_is_set_aside_once_and_the_cloud_is_asked_for_everything() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Store::open(folder.path()).unwrap();
        let (store, _) = open();
        store.looked().unwrap();
        let keeper = Keeper::open(Arc::new(store), LONGEST).unwrap();
        let damage = || Error::Damaged { path: folder.path().into(), why: "a page is torn".into() };
        assert_eq!(keeper.with_store(|_| Err::<(), _>(damage())), None);
        assert!(keeper.broken().is_cancelled());
        assert_eq!(keeper.with(|_| Ok(())), None, "nobody works with it any more");
        drop(keeper);
        let (store, opened) = open();
        let Opened::SetAside { folder: aside, why } = opened else { panic!("{opened:?}") };
        assert!(aside.exists() && why.contains("a page is torn"), "{why}");
        assert!(store.gaps().everything);
        store.close().unwrap();
        let (store, opened) = open();
        assert_eq!((opened, store.gaps().everything), (Opened::Clean, true), "asked until it is through");
    }
}
