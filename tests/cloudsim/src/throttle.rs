//! The line into the cloud: one shared budget of bytes a second for all request bodies.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a line that was idle lets through at once, as the buffers of its routers do. Without it every timer that
/// fires a millisecond late would be lost for good, and a rate of 5 MiB/s would be one of 4.
const CREDIT: Duration = Duration::from_millis(20);

/// A shared bandwidth limit. Callers say how much arrived and wait until the line is free again.
#[derive(Debug)]
pub(crate) struct Throttle {
    rate: Mutex<(Option<u64>, Instant)>,
}

impl Throttle {
    pub(crate) fn new(rate: Option<u64>) -> Throttle {
        Throttle { rate: Mutex::new((rate, Instant::now())) }
    }

    pub(crate) fn set(&self, rate: Option<u64>) {
        *self.rate.lock().unwrap_or_else(PoisonError::into_inner) = (rate, Instant::now());
    }

    /// Waits as long as `bytes` need on the line, behind what others have put on it.
    pub(crate) async fn pass(&self, bytes: usize) {
        let wait = {
            let mut line = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(rate) = line.0.filter(|rate| *rate > 0) else {
                return;
            };
            let now = Instant::now();
            let start = line.1.max(now.checked_sub(CREDIT).unwrap_or(now));
            line.1 = start + Duration::from_secs_f64(bytes as f64 / rate as f64);
            line.1.saturating_duration_since(now)
        };
        tokio::time::sleep(wait).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_connection_has_the_whole_line_and_two_share_it() {
        for connections in [1_u32, 2] {
            let throttle = Throttle::new(Some(1_000_000));
            let begun = Instant::now();
            let send = async || {
                for _ in 0..100 / connections {
                    throttle.pass(3000).await;
                }
            };
            match connections {
                1 => send().await,
                _ => drop(tokio::join!(send(), send())),
            }
            // 0.3 s, but for the credit; what a busy machine adds has no end.
            assert!(begun.elapsed() >= Duration::from_millis(275), "{:?}", begun.elapsed());
        }
    }
}
