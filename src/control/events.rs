//! `GET /v1/events`: the status again whenever it changed, at most four times a second.
//!
//! One task makes the document for all who watch, and sleeps while nobody does.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::Backend;

/// Between two documents.
const PAUSE: Duration = Duration::from_millis(250);

/// After so long without a document a comment is sent, which shows both ends that the other lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Whoever watches gets the documents from here.
#[derive(Clone)]
pub(super) struct Events {
    /// The last document as an event, empty while nobody watches.
    latest: Arc<watch::Sender<Bytes>>,
    wanted: Arc<Notify>,
}

impl Events {
    /// Ready for the first who watches.
    pub(super) fn new() -> Self {
        Self { latest: Arc::new(watch::Sender::new(Bytes::new())), wanted: Arc::default() }
    }

    /// How many watch.
    pub(super) fn watchers(&self) -> usize {
        self.latest.receiver_count()
    }

    /// The documents as they come, the present one first; `guard` lives as long.
    pub(super) fn stream<G: Send + 'static>(
        &self,
        guard: G,
    ) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
        let mut latest = self.latest.subscribe();
        latest.mark_changed();
        self.wanted.notify_one();
        futures_util::stream::unfold((latest, guard), async |(mut latest, guard)| {
            let heartbeat = Instant::now() + HEARTBEAT;
            loop {
                tokio::select! {
                    changed = latest.changed() => changed.ok()?,
                    () = sleep_until(heartbeat) => {
                        return Some((Ok(Bytes::from_static(b":\n\n")), (latest, guard)));
                    }
                }
                let event = latest.borrow_and_update().clone();
                if !event.is_empty() {
                    return Some((Ok(event), (latest, guard)));
                }
            }
        })
    }

    /// Makes the documents, until cancelled.
    pub(super) async fn publish(&self, backend: Arc<dyn Backend>) {
        let mut changes = backend.changes();
        loop {
            if self.watchers() == 0 {
                self.latest.send_replace(Bytes::new());
                self.wanted.notified().await;
                continue;
            }
            changes.mark_unchanged();
            let event = event(&backend.status().await);
            self.latest.send_if_modified(|latest| {
                let differs = *latest != event;
                if differs {
                    *latest = event;
                }
                differs
            });
            sleep(PAUSE).await;
            tokio::select! {
                // An agent that is going away marks nothing more.
                changed = changes.changed() => if changed.is_err() { return },
                () = self.latest.closed() => {}
            }
        }
    }
}

fn event(status: &crate::status::Status) -> Bytes {
    let mut text = b"data: ".to_vec();
    // Plain data without maps: it always has a JSON form, on one line.
    if serde_json::to_writer(&mut text, status).is_err() {
        return Bytes::new();
    }
    text.extend_from_slice(b"\n\n");
    text.into()
}
