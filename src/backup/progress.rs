//! How far the files being worked on are, as counters that the status reads without asking anybody.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::cache::Cached;
use crate::status::Stage;

/// One file being worked on.
#[derive(Debug, Default)]
pub struct Progress {
    stage: AtomicU8,
    /// Bytes of this stage done.
    pub done: Arc<AtomicU64>,
    sent_before: AtomicU64,
    confirmed: AtomicBool,
    there: AtomicBool,
    /// The disk does not answer: others need not wait for this file.
    pub hangs: AtomicBool,
    /// What of it the kernel had in memory before we read it.
    pub cached: OnceLock<Arc<Cached>>,
}

impl Progress {
    /// A new stage begins, with `done` bytes already behind it.
    pub fn enter(&self, stage: Stage, done: u64) {
        let number = match stage {
            Stage::Hashing => 0,
            Stage::Sending => 1,
            Stage::Finishing => 2,
        };
        self.done.store(done, Ordering::Relaxed);
        if stage == Stage::Sending {
            self.sent_before.store(done, Ordering::Relaxed);
        }
        self.stage.store(number, Ordering::Relaxed);
    }

    /// Bytes that the cloud had already when sending began.
    #[must_use]
    pub fn sent_before(&self) -> u64 {
        self.sent_before.load(Ordering::Relaxed)
    }

    /// The cloud has confirmed something of it: a slice.
    pub fn confirm(&self) {
        self.confirmed.store(true, Ordering::Relaxed);
    }

    /// Whether the cloud has confirmed something of it.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.confirmed.load(Ordering::Relaxed)
    }

    /// It was in its place in the cloud before anything was done.
    pub fn find_there(&self) {
        self.there.store(true, Ordering::Relaxed);
    }

    /// Whether it was in its place in the cloud before anything was done.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.there.load(Ordering::Relaxed)
    }

    /// The stage it is in.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Relaxed) {
            0 => Stage::Hashing,
            1 => Stage::Sending,
            _ => Stage::Finishing,
        }
    }
}

/// Sums since the agent started.
#[derive(Debug)]
pub struct Meters {
    /// Bytes of slices handed to the network.
    pub sent_bytes: AtomicU64,
    /// Files for which nothing was sent: the cloud had them.
    pub instant_files: AtomicU64,
    /// Moves whenever work gets on: the watchdog looks at it.
    pub steps: AtomicU64,
    /// Marked whenever the status may have changed.
    pub changes: watch::Sender<()>,
    /// Marked for one task: a file takes no room any more, because it only waits for the cloud.
    pub room: Notify,
    start: Instant,
    /// Bytes in each of the last seconds: the second since the start, and the bytes.
    seconds: Mutex<[(u64, u64); SECONDS]>,
}

/// Over so many seconds the speed is taken.
const SECONDS: usize = 8;

impl Default for Meters {
    fn default() -> Self {
        Self {
            sent_bytes: AtomicU64::default(),
            instant_files: AtomicU64::default(),
            steps: AtomicU64::default(),
            changes: watch::Sender::new(()),
            room: Notify::new(),
            start: Instant::now(),
            seconds: Mutex::default(),
        }
    }
}

impl Meters {
    /// So many bytes went out.
    pub fn sent(&self, bytes: u64) {
        self.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.steps.fetch_add(1, Ordering::Relaxed);
        self.changes.send_replace(());
        let now = self.start.elapsed().as_secs();
        let mut seconds = self.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        let cell = &mut seconds[usize::try_from(now).unwrap_or(0) % SECONDS];
        *cell = if cell.0 == now { (now, cell.1 + bytes) } else { (now, bytes) };
    }

    /// Bytes a second over the last seconds.
    #[must_use]
    pub fn rate(&self) -> u64 {
        let elapsed = self.start.elapsed().as_secs_f64();
        let now = self.start.elapsed().as_secs();
        let from = now.saturating_sub(SECONDS as u64 - 1);
        let seconds = self.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        // An empty cell says "no bytes in second 0", which is as good as no cell.
        let bytes: u64 = seconds.iter().filter(|(second, _)| *second >= from).map(|(_, bytes)| bytes).sum();
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let rate = (bytes as f64 / (elapsed - from as f64).max(1.0)) as u64;
        rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_that_of_the_last_seconds() {
        let meters = Meters::default();
        assert_eq!(meters.rate(), 0);
        for _ in 0..60 {
            meters.sent(1_000_000);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let rate = meters.rate();
        assert!((900_000..=1_100_000).contains(&rate), "{rate}");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(meters.rate(), 0);
    }
}
