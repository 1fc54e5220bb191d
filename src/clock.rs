//! The one place that reads the wall clock.
//!
//! Only `agent` and `cli` make a [`Clock`]; everything below is handed one, or just the time, so that
//! tests can set it. Time-outs and pauses inside calls use tokio's own, which a set clock does not move;
//! the waits of our own choosing - back-offs, pauses, gathering - go through [`Clock::wait`], so that a
//! test of an account that pauses for ten minutes need not take ten minutes.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The day of this version, or of the build where `SOURCE_DATE_EPOCH` names a later one, seconds since
/// 1970. A box that thinks it is earlier has not been told the time yet.
pub const RELEASED_SECS: i64 = {
    // 2026-11-01; moves on with the version.
    let version = 1_793_491_200;
    match option_env!("SOURCE_DATE_EPOCH") {
        Some(text) => match i64::from_str_radix(text, 10) {
            Ok(secs) if secs > version => secs,
            _ => version,
        },
        None => version,
    }
};

/// What the steady clock counts from.
static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A moment on both clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// The wall clock, milliseconds since 1970. NTP and people set it, forwards and backwards.
    pub wall_ms: i64,
    /// A clock that nobody sets, milliseconds since some moment of this process.
    pub steady_ms: i64,
}

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

    /// A clock that nobody sets: for how long something lasts. Milliseconds since some moment of this process.
    #[must_use]
    pub fn steady_ms(&self) -> i64 {
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        // tokio's own clock, so that waiting and measuring agree; a test's may have begun before ours.
        let (now, begun) = (tokio::time::Instant::now().into_std(), *BEGUN);
        now.checked_duration_since(begun).map_or_else(|| -ms(begun.duration_since(now)), ms)
    }

    /// Both clocks.
    #[must_use]
    pub fn now(&self) -> Now {
        Now { wall_ms: self.now_ms(), steady_ms: self.steady_ms() }
    }

    /// Whether the box has been told the time: it is not before [`RELEASED_SECS`].
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.now_secs() >= RELEASED_SECS
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
