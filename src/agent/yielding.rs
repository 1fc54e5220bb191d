//! Lets others have the line: while something is sent, the way to the cloud is timed once a second, and the
//! uploads go as fast as `backup/yielding.rs` says. Nothing of it runs unless `upload.yield` is set.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::hub::{Hub, lock};
use crate::backup::yielding::Yielding;

/// Between two looks at the way.
const EVERY: Duration = Duration::from_secs(1);
/// After so many looks without an answer there is none to be had.
const BLIND: u32 = 5;

/// Runs until the life ends.
pub(super) async fn run(hub: Arc<Hub>) {
    tokio::select! {
        biased;
        () = hub.stop.cancelled() => {}
        () = follow(&hub) => {}
    }
    hub.core.throttle.yield_to(None);
}

async fn follow(hub: &Hub) {
    if !hub.config.upload.yields {
        return std::future::pending().await;
    }
    let mut changes = hub.core.meters.changes.subscribe();
    let mut yielding = Yielding::default();
    let sent = || hub.core.meters.sent_bytes.load(Ordering::Relaxed);
    let (mut before, mut since) = (sent(), Instant::now());
    let mut blind = 0;
    hub.core.throttle.yield_to(Some(yielding.rate()));
    loop {
        tokio::time::sleep(EVERY).await;
        if lock(&hub.active).is_empty() {
            // An idle box does not wake up for this.
            let _ = changes.changed().await;
            (before, since) = (sent(), Instant::now());
            continue;
        }
        let Some(way) = knock(hub).await else {
            blind += u32::from(sent() > before);
            if blind == BLIND {
                blind += 1;
                tracing::warn!("upload.yield: the way to the cloud cannot be timed, so uploads do not yield");
                hub.core.throttle.yield_to(None);
            }
            continue;
        };
        blind = 0;
        let (now, took) = (sent(), since.elapsed().as_secs_f64());
        let a_second = (now.saturating_sub(before) as f64 / took.max(0.001)) as u64;
        (before, since) = (now, Instant::now());
        yielding.heard(hub.core.clock.steady_ms(), way, a_second);
        let rate = yielding.rate();
        tracing::trace!(way_ms = %way.as_millis(), a_second, rate, "the line");
        hub.core.throttle.yield_to(Some(rate));
    }
}

/// The way to the cloud that something was sent to.
async fn knock(hub: &Hub) -> Option<Duration> {
    for account in &hub.accounts {
        let uploader = lock(&account.uploader).clone();
        if let Some(uploader) = uploader
            && let Some(way) = uploader.drive.knock().await
        {
            return Some(way);
        }
    }
    None
}
