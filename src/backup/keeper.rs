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

    /// Ends the agent when somebody has taken its state away from under it. Asks the disk.
    pub fn check_place(&self) {
        if let Err(error) = self.store.check_place() {
            self.fail(error);
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
            let changed = keeper.with(|queue| {
                let changed = queue.has_changes();
                queue.apply().map(|()| changed)
            })?;
            if changed {
                keeper.store.flush().map_err(|error| keeper.fail(error)).ok()?;
                keeper.with(|queue| {
                    queue.flushed();
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
