//! systemd: readiness, a line of status, and a watchdog that is fed only while work gets on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::Instant;

use super::hub::{Hub, Work, lock};
use super::view;
use crate::status::State;

/// Without a step for so long while files are being worked on, something hangs: a slice has its own
/// time-outs, which are shorter.
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
    let mut last = (steps(&hub), Instant::now());
    loop {
        tokio::select! {
            () = tokio::time::sleep(limit / 3) => {}
            () = hub.stop.cancelled() => return,
        }
        let now = steps(&hub);
        let idle = lock(&hub.active).is_empty();
        if idle || now != last.0 {
            last = (now, Instant::now());
        }
        // The queue's lock is taken to make the status: a deadlock there feeds nobody.
        let status = view::status(&hub);
        if last.1.elapsed() < STUCK {
            notify(&[NotifyState::Watchdog, NotifyState::Status(&line(&status))]);
        }
    }
}

/// A number that moves whenever a file gets on, be it by a byte hashed.
fn steps(hub: &Hub) -> u64 {
    let done = |sum: u64, work: &Work| sum.wrapping_add(work.progress.done.load(Ordering::Relaxed));
    let active = lock(&hub.active).values().fold(0, done);
    hub.core.meters.steps.load(Ordering::Relaxed).wrapping_add(active)
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
