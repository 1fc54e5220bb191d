//! A box without a battery for its clock: it begins in 1970 and is told the time later, or is told another.

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::net::unix::pipe;

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

/// Rings again and again. The kernel's own timer: tokio's wheel wakes two or three times for each of its.
pub(super) struct Ticks {
    every: Duration,
    /// None where the kernel gives no timer.
    timer: Option<pipe::Receiver>,
}

impl Ticks {
    /// So often, from here on. To be made within a tokio runtime.
    pub(super) fn new(every: Duration) -> Self {
        #[cfg(test)]
        if crate::backup::seam::machine().is_some() {
            return Self { every, timer: None };
        }
        Self { every, timer: timer(every).ok() }
    }

    /// Waits for the next one; those that nobody waited for are not made up for. May be dropped and called again.
    pub(super) async fn next(&self) {
        if let Some(timer) = &self.timer {
            let mut count = [0; 8];
            while timer.readable().await.is_ok() {
                match timer.try_read(&mut count) {
                    Ok(_) => return,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => break,
                }
            }
        }
        tokio::time::sleep(self.every).await;
    }
}

fn timer(every: Duration) -> io::Result<pipe::Receiver> {
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    let every = Timespec::try_from(every).map_err(io::Error::other)?;
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: every, it_value: every })?;
    // No pipe, but a descriptor that becomes readable with each tick: see watch.rs.
    pipe::Receiver::from_owned_fd_unchecked(timer)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_ticks_again_and_again_and_may_be_left_alone() {
        for ticks in
            [Ticks::new(Duration::from_millis(20)), Ticks { every: Duration::from_millis(20), timer: None }]
        {
            let begun = tokio::time::Instant::now();
            for _ in 0..3 {
                tokio::select! {
                    biased;
                    () = std::future::ready(()) => {}
                    () = ticks.next() => {}
                }
                ticks.next().await;
            }
            assert!(begun.elapsed() >= Duration::from_millis(55), "{:?}", begun.elapsed());
        }
    }
}
