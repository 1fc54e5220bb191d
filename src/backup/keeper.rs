//! Who may touch the queue, and when what it says reaches the disk.
//!
//! All tasks share one [`Keeper`]. Its [`Keeper::run`] gathers changes for at most two seconds or 64
//! changes and then syncs once for all; a large file's slices ask for a commit at once and share it with
//! whoever else asks meanwhile. While nothing changes it neither wakes nor writes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::queue::Queue;
use crate::store::{Error, Result, Store};

/// The longest a change waits for its commit.
pub const LONGEST: Duration = Duration::from_secs(2);
/// So many changes are committed at once: ends of work, and found files, which cost less to find again.
const MANY: (usize, usize) = (64, 2048);

/// See the module.
#[derive(Debug)]
pub struct Keeper {
    queue: Mutex<Queue>,
    store: Arc<Store>,
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
        Ok(Arc::new(Self {
            queue: Mutex::new(Queue::open(Arc::clone(&store))?),
            store,
            longest,
            changed: Notify::new(),
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
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let (empty, many) = (!queue.has_changes(), is_many(&queue));
        let outcome = action(&mut queue);
        // The first change starts the clock, one too many stops it; those between wake nobody.
        if (empty && queue.has_changes()) || (!many && is_many(&queue)) {
            self.changed.notify_one();
        }
        drop(queue);
        outcome.map_err(|error| self.fail(error)).ok()
    }

    /// Returns once everything changed before this call is on the disk; `None` as in [`Keeper::with`].
    pub async fn commit(&self) -> Option<()> {
        let mut committed = self.committed.subscribe();
        let seq = self.wanted.fetch_add(1, Ordering::SeqCst) + 1;
        self.changed.notify_one();
        tokio::select! {
            done = committed.wait_for(|&done| done >= seq) => done.is_ok().then_some(()),
            () = self.broken.cancelled() => None,
        }
    }

    /// Everything that was waiting is through: see [`Store::looked`].
    pub fn looked(&self) {
        if let Err(error) = self.store.looked() {
            tracing::warn!(
                "{error}: {}",
                std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default()
            );
        }
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
                () = self.changed.notified() => {}
                () = stop.cancelled() => break,
                () = self.broken.cancelled() => break,
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
                () = self.changed.notified() => {}
                () = tokio::time::sleep_until(until) => return,
                () = stop.cancelled() => return,
            }
        }
    }

    async fn commit_once(self: &Arc<Self>) {
        let seq = self.wanted.load(Ordering::SeqCst);
        let keeper = Arc::clone(self);
        let committed = tokio::task::spawn_blocking(move || {
            let (changed, applied) = keeper.with(|queue| {
                // Somebody who asked for the jobs may have applied what is not on the disk yet.
                let changed = queue.has_changes() || queue.is_unflushed();
                queue.apply().map(|()| (changed, queue.applied()))
            })?;
            if changed {
                keeper.store.flush().map_err(|error| keeper.fail(error)).ok()?;
                keeper.with(|queue| {
                    // Else something was applied meanwhile, and its own commit is on the way.
                    if queue.applied() == applied {
                        queue.flushed();
                    }
                    Ok(())
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
        if matches!(error, Error::Damaged { .. }) {
            self.store.condemn(&error);
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
}
