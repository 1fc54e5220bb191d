//! Watches a streamed body on its way out: whether it moves, and whether it is as long as announced.
//!
//! The body is cut into small pieces, so that a slow line shows progress often. Waiting for our own
//! side (the disk, a bandwidth limit) is no stall of the network and is not counted as one.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use tokio::time::Instant;

use super::Limits;
use crate::cloud::SliceBody;

/// The client buffers up to 16 pieces before it looks for more.
const PIECE: usize = 16 << 10;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// There is no body, or none that is streamed.
    Plain,
    /// The client holds a piece and has not asked for the next.
    Sending,
    /// The client asked, and our side has nothing yet.
    Reading,
    /// The client has it all.
    Sent,
}

/// What the watchdog looks at.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    limits: Limits,
    state: Arc<Mutex<(Phase, Instant)>>,
}

impl Meter {
    pub(super) fn new(limits: Limits) -> Self {
        let state = Arc::new(Mutex::new((Phase::Plain, Instant::now())));
        Self { limits, state }
    }

    fn state(&self) -> MutexGuard<'_, (Phase, Instant)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, phase: Phase) {
        *self.state() = (phase, Instant::now());
    }

    /// `body`, watched. An error of it, or a wrong length, is left in `failed`.
    pub(super) fn watch(
        &self,
        body: SliceBody,
        length: u64,
        failed: Arc<Mutex<Option<io::Error>>>,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static {
        self.enter(Phase::Sending);
        Watched { body, left: length, piece: Bytes::new(), ended: false, failed, meter: self.clone() }
    }

    /// Returns when nothing moved for too long: the limit that was passed.
    pub(super) async fn stalled(&self) -> Duration {
        loop {
            let (phase, since) = *self.state();
            let limit = match phase {
                // The client connects within this phase as well.
                Phase::Plain => self.limits.answer + self.limits.connect,
                Phase::Sending | Phase::Reading => self.limits.body,
                Phase::Sent => self.limits.after_body,
            };
            let until = if phase == Phase::Reading { Instant::now() } else { since } + limit;
            if until <= Instant::now() {
                return limit;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

struct Watched {
    body: SliceBody,
    left: u64,
    piece: Bytes,
    ended: bool,
    failed: Arc<Mutex<Option<io::Error>>>,
    meter: Meter,
}

impl Watched {
    fn fail(&mut self, error: io::Error) -> Poll<Option<io::Result<Bytes>>> {
        self.ended = true;
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        Poll::Ready(Some(Err(io::Error::other("our side failed"))))
    }
}

impl Stream for Watched {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while self.piece.is_empty() {
            if self.ended {
                return Poll::Ready(None);
            }
            match self.body.as_mut().poll_next(cx) {
                Poll::Pending => {
                    self.meter.enter(Phase::Reading);
                    return Poll::Pending;
                }
                Poll::Ready(Some(Ok(piece))) => {
                    let more = u64::try_from(piece.len()).unwrap_or(u64::MAX);
                    match self.left.checked_sub(more) {
                        Some(left) => self.left = left,
                        None => return self.fail(io::Error::other("more bytes than announced")),
                    }
                    self.piece = piece;
                }
                Poll::Ready(Some(Err(error))) => return self.fail(error),
                Poll::Ready(None) if self.left == 0 => {
                    self.meter.enter(Phase::Sent);
                    return Poll::Ready(None);
                }
                Poll::Ready(None) => {
                    return self.fail(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
        // The client may not ask again once it has as much as was announced.
        let length = self.piece.len().min(PIECE);
        let piece = self.piece.split_to(length);
        let last = self.left == 0 && self.piece.is_empty();
        self.meter.enter(if last { Phase::Sent } else { Phase::Sending });
        Poll::Ready(Some(Ok(piece)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use futures_util::StreamExt;

    fn limits() -> Limits {
        Limits { body: Duration::from_secs(10), after_body: Duration::from_secs(100), ..Limits::default() }
    }

    fn body(items: Vec<io::Result<Bytes>>) -> SliceBody {
        Box::pin(futures_util::stream::iter(items))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_moves_every_nine_seconds_never_stalls_and_one_that_stops_does() {
        let meter = Meter::new(limits());
        let failed = Arc::new(Mutex::new(None));
        let long = Bytes::from(vec![1; PIECE * 20]);
        let mut watched = Box::pin(meter.watch(body(vec![Ok(long)]), (PIECE * 20) as u64, failed));
        let sending = async {
            for _ in 0..19 {
                assert_eq!(watched.next().await.unwrap().unwrap().len(), PIECE);
                tokio::time::sleep(Duration::from_secs(9)).await;
            }
        };
        tokio::select! {
            () = sending => {}
            _ = meter.stalled() => panic!("it moved"),
        }
        let begun = Instant::now();
        assert_eq!(meter.stalled().await, Duration::from_secs(10));
        assert!(begun.elapsed() <= Duration::from_secs(10));
        watched.next().await.unwrap().unwrap();
        let begun = Instant::now();
        assert_eq!(meter.stalled().await, Duration::from_secs(100));
        assert_eq!(begun.elapsed(), Duration::from_secs(100));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_our_own_disk_is_no_stall() {
        let meter = Meter::new(limits());
        let never: SliceBody = Box::pin(futures_util::stream::pending());
        let mut watched = Box::pin(meter.watch(never, 5, Arc::new(Mutex::new(None))));
        assert!(futures_util::poll!(watched.next()).is_pending());
        let day = Duration::from_secs(86_400);
        assert!(tokio::time::timeout(day, meter.stalled()).await.is_err());
    }

    #[tokio::test]
    async fn a_body_of_another_length_than_announced_is_our_own_failure() {
        for (pieces, kind) in
            [(vec!["abc"], io::ErrorKind::UnexpectedEof), (vec!["abc", "def"], io::ErrorKind::Other)]
        {
            let failed = Arc::new(Mutex::new(None));
            let pieces = pieces.into_iter().map(|piece| Ok(Bytes::from(piece))).collect();
            let watched = Meter::new(limits()).watch(body(pieces), 5, Arc::clone(&failed));
            let got: Vec<_> = watched.collect::<Vec<_>>().await;
            assert!(got.iter().any(Result::is_err));
            assert_eq!(failed.lock().unwrap().take().unwrap().kind(), kind);
        }
    }
}
