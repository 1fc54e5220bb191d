//! The one place that reads the wall clock.
//!
//! Only `agent` and `cli` make a [`Clock`]; everything below is handed one, or just the time, so that
//! tests can set it. Time-outs and pauses inside calls use tokio's own, which a set clock does not move;
//! the waits of our own choosing - back-offs, pauses, gathering - go through [`Clock::wait`], so that a
//! test of an account that pauses for ten minutes need not take ten minutes.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where the time comes from.
#[derive(Clone)]
pub struct Clock {
    now_ns: Arc<dyn Fn() -> i64 + Send + Sync>,
    hurry: u32,
}

impl Clock {
    /// The system's wall clock.
    #[must_use]
    pub fn system() -> Self {
        Self::from_fn(|| match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_nanos()).unwrap_or(i64::MAX),
        })
    }

    /// A clock that says what `nanoseconds_since_1970` says.
    #[must_use]
    pub fn from_fn(nanoseconds_since_1970: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self { now_ns: Arc::new(nanoseconds_since_1970), hurry: 1 }
    }

    /// For tests: the same time, and every [`Clock::wait`] so many times shorter.
    #[must_use]
    pub fn hurried(self, times: u32) -> Self {
        Self { hurry: times.max(1), ..self }
    }

    /// How long to wait where the design says `so_long`: just that, unless a test is in a hurry.
    #[must_use]
    pub fn wait(&self, so_long: Duration) -> Duration {
        so_long / self.hurry
    }

    /// What was meant by a wait that lasts `really`: [`Clock::wait`] the other way round.
    #[must_use]
    pub fn meant(&self, really: Duration) -> Duration {
        really.saturating_mul(self.hurry)
    }

    /// Nanoseconds since 1970.
    #[must_use]
    pub fn now_ns(&self) -> i64 {
        (self.now_ns)()
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.now_ns().div_euclid(1_000_000)
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn now_secs(&self) -> i64 {
        self.now_ns().div_euclid(1_000_000_000)
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}
