//! How far the files being worked on are, as counters that the status reads without asking anybody.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use crate::status::Stage;

/// One file being worked on.
#[derive(Debug, Default)]
pub struct Progress {
    stage: AtomicU8,
    /// Bytes of this stage done.
    pub done: AtomicU64,
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
        self.stage.store(number, Ordering::Relaxed);
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
#[derive(Debug, Default)]
pub struct Meters {
    /// Bytes of slices handed to the network.
    pub sent_bytes: AtomicU64,
    /// Files for which nothing was sent: the cloud had them.
    pub instant_files: AtomicU64,
    /// Moves whenever work gets on: the watchdog looks at it.
    pub steps: AtomicU64,
}
