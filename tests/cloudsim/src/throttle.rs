//! The line into the cloud: one shared budget of bytes a second for all request bodies.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

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
            let start = line.1.max(now);
            line.1 = start + Duration::from_secs_f64(bytes as f64 / rate as f64);
            line.1 - now
        };
        tokio::time::sleep(wait).await;
    }
}
