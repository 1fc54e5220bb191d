//! Who is connected: a bounded number, of which the idle ones make room for those who ask.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;
use tokio::time::Instant;

/// The most connections at a time.
pub(super) const MOST: usize = 64;

/// All connections.
#[derive(Clone, Default)]
pub(super) struct Connections(Arc<Mutex<Vec<Connection>>>);

struct Connection {
    activity: Activity,
    task: AbortHandle,
}

/// What one connection is doing.
#[derive(Clone)]
pub(super) struct Activity(Arc<Mutex<Doing>>);

struct Doing {
    requests: usize,
    quiet_since: Instant,
}

/// A request under way, until dropped.
pub(super) struct Busy(Activity);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Activity {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Doing { requests: 0, quiet_since: Instant::now() })))
    }

    /// A request begins.
    pub(super) fn begin(&self) -> Busy {
        lock(&self.0).requests += 1;
        Busy(self.clone())
    }

    fn quiet_since(&self) -> Option<Instant> {
        let doing = lock(&self.0);
        (doing.requests == 0).then_some(doing.quiet_since)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut doing = lock(&self.0.0);
        doing.requests = doing.requests.saturating_sub(1);
        doing.quiet_since = Instant::now();
    }
}

impl Connections {
    /// Whether there is room for one more; the one that has been idle longest is closed to make it.
    pub(super) fn make_room(&self) -> bool {
        let mut all = lock(&self.0);
        all.retain(|connection| !connection.task.is_finished());
        if all.len() < MOST {
            return true;
        }
        let idle = all
            .iter()
            .enumerate()
            .filter_map(|(at, connection)| Some((connection.activity.quiet_since()?, at)))
            .min();
        let Some((_, at)) = idle else { return false };
        all.swap_remove(at).task.abort();
        true
    }

    /// One more.
    pub(super) fn add(&self, activity: Activity, task: AbortHandle) {
        lock(&self.0).push(Connection { activity, task });
    }
}
