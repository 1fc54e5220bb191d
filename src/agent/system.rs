//! systemd: readiness, a line of status, and a watchdog that is fed only while work gets on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::Instant;

use super::hub::{Hub, Work, lock};
use super::view;
use crate::status::State;

/// Without a step for so long while files are being worked on, something of ours hangs: a slice has its own
/// time-outs, which are shorter, and of a disk that does not answer the file says so itself.
const STUCK: Duration = Duration::from_secs(600);

/// The agent answers on its socket and its tasks run.
pub(super) fn ready() {
    notify(&[NotifyState::Ready]);
}

/// The agent is ending.
pub(super) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Feeds the watchdog and the status line, when systemd wants them. Otherwise it sleeps for ever.
pub(super) async fn report(hub: Arc<Hub>) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return hub.stop.cancelled().await;
    };
    let mut pulse = Pulse::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(limit / 3) => {}
            () = hub.stop.cancelled() => return,
        }
        let steps = hub.core.meters.steps.load(Ordering::Relaxed);
        let beats = pulse.beats(steps, lock(&hub.active).values());
        // The queue's lock is taken to make the status: a deadlock there feeds nobody.
        let status = view::status(&hub);
        if beats {
            notify(&[NotifyState::Watchdog, NotifyState::Status(&line(&status))]);
        }
    }
}

/// Whether work gets on.
struct Pulse {
    /// A number that moves whenever a file gets on, be it by a byte hashed.
    steps: u64,
    /// When it moved, or there was nothing to move it.
    since: Instant,
}

impl Pulse {
    fn new() -> Self {
        Self { steps: 0, since: Instant::now() }
    }

    /// Takes the agent's steps, and the files that are being worked on.
    fn beats<'a>(&mut self, steps: u64, active: impl Iterator<Item = &'a Work>) -> bool {
        // Whose disk does not answer waits for the disk: another process would do no better, and this one could
        // not even be killed.
        let mut working = active.filter(|work| !work.progress.hangs.load(Ordering::Relaxed)).peekable();
        let is_idle = working.peek().is_none();
        let done = |sum: u64, work: &Work| sum.wrapping_add(work.progress.done.load(Ordering::Relaxed));
        let steps = working.fold(steps, done);
        if is_idle || steps != self.steps {
            *self = Self { steps, since: Instant::now() };
        }
        self.since.elapsed() < STUCK
    }
}

fn line(status: &crate::status::Status) -> String {
    let counts = &status.totals.counts;
    let doing = match status.state {
        State::Idle => "everything is backed up",
        State::BackingUp => "backing up",
        _ => status.reason.as_deref().unwrap_or("working"),
    };
    format!("{doing}: {} of {} files", counts.backed_up, counts.files)
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("systemd was not told: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::progress::Progress;

    /// How many minutes of two hours it beats in, before it stops.
    async fn minutes(files: &[Work], mut step: impl FnMut() -> u64) -> u32 {
        let mut pulse = Pulse::new();
        for minute in 0..120 {
            tokio::time::advance(Duration::from_secs(60)).await;
            if !pulse.beats(step(), files.iter()) {
                return minute;
            }
        }
        120
    }

    fn file() -> Work {
        Work { size: 1000, progress: Arc::new(Progress::default()) }
    }

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_is_fed_only_while_work_gets_on() {
        assert_eq!(minutes(&[], || 0).await, 120, "nothing to do");
        assert_eq!(minutes(&[file(), file()], || 7).await, 10, "two files stand still");
        let mut sent = 0;
        let sends = || {
            sent += 1;
            sent
        };
        assert_eq!(minutes(&[file(), file()], sends).await, 120, "something is sent");
        let hashed = [file(), file()];
        let counter = Arc::clone(&hashed[1].progress.done);
        let hashes = move || {
            counter.fetch_add(1, Ordering::Relaxed);
            7
        };
        assert_eq!(minutes(&hashed, hashes).await, 120, "one of them is read");
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_does_not_answer_is_no_reason_to_kill_the_agent() {
        let (dead, stuck) = (file(), file());
        dead.progress.hangs.store(true, Ordering::Relaxed);
        assert_eq!(minutes(std::slice::from_ref(&dead), || 7).await, 120);
        assert_eq!(minutes(&[dead, stuck], || 7).await, 10, "but another file stands still");
    }
}
