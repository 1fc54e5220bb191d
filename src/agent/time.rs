//! A box without a battery for its clock: it begins in 1970 and is told the time later, or is told another.

use jiff::Timestamp;

use super::gate::Open;
use super::hub::{Hub, lock};

/// The wall clock was set when it moved so much further than the steady one, milliseconds.
const JUMP_MS: i64 = 2000;

impl Hub {
    /// Why no cloud is asked for anything: nobody has told the box the time. Certificates would not be valid
    /// yet, and what is written down about tokens would be wrong for years.
    pub(super) fn no_clock(&self) -> Option<String> {
        let clock = &self.core.clock;
        (!clock.is_set()).then(|| {
            let now = Timestamp::from_second(clock.now_secs()).unwrap_or(Timestamp::UNIX_EPOCH);
            format!("the clock says {}; waiting until it is set, as by NTP", now.strftime("%Y-%m-%d"))
        })
    }

    /// Whether uploads may run now.
    pub(super) fn is_open(&self) -> Open {
        match self.no_clock() {
            Some(words) => Open::No(words, None),
            None => lock(&self.core.gate).is_open(&self.config.upload.hours, self.core.clock.now()),
        }
    }
}

/// Notices that the clock was set.
pub(super) struct Jumps {
    ahead_ms: i64,
    is_set: bool,
}

impl Jumps {
    /// From here on.
    pub(super) fn new(hub: &Hub) -> Self {
        if let Some(words) = hub.no_clock() {
            tracing::warn!("{words}");
        }
        let now = hub.core.clock.now();
        Self { ahead_ms: now.wall_ms - now.steady_ms, is_set: hub.core.clock.is_set() }
    }

    /// Whether it was set since the last time this was asked: all that waits for a time looks again then.
    pub(super) fn look(&mut self, hub: &Hub) -> bool {
        let now = hub.core.clock.now();
        let ahead_ms = now.wall_ms - now.steady_ms;
        let jump_ms = ahead_ms.saturating_sub(std::mem::replace(&mut self.ahead_ms, ahead_ms));
        let is_set = hub.core.clock.is_set();
        let was_set = std::mem::replace(&mut self.is_set, is_set);
        if jump_ms.abs() < JUMP_MS && is_set == was_set {
            return false;
        }
        match hub.no_clock() {
            Some(words) => tracing::warn!("{words}"),
            None => tracing::info!("the clock was set by {} s; going on by the new time", jump_ms / 1000),
        }
        for account in &hub.accounts {
            account.breaker.shift(jump_ms);
        }
        hub.work.notify_one();
        hub.changed();
        true
    }
}
