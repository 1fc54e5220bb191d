//! A call to the cloud: with its slot, some times over, and what to do when it does not succeed.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{TRIES, Uploader};
use crate::backup::verdict::{Call, Verdict, spread, verdict};
use crate::cloud::{Error, Kind, Trace};

/// What the calls of a drive return.
pub(super) type CloudFuture<'a, T> = crate::cloud::BoxFuture<'a, crate::cloud::Result<T>>;

/// A call that did not succeed, and what to do about it.
pub(super) struct Failure {
    pub(super) verdict: Verdict,
    pub(super) why: String,
    /// It is the cloud that fails, rather than to refuse this file.
    pub(super) is_clouds: bool,
    /// The cloud was not asked: our own count says that its limit is reached.
    pub(super) is_unsent: bool,
    /// What the cloud said in numbers.
    pub(super) trace: Trace,
}

impl Failure {
    pub(super) fn new(verdict: Verdict, why: impl Into<String>) -> Self {
        Self { verdict, why: why.into(), is_clouds: false, is_unsent: false, trace: Trace::default() }
    }
}

impl Uploader {
    /// A call with its slot, some times over.
    pub(super) async fn tried<'a, T>(
        &'a self,
        call: Call,
        mut action: impl FnMut() -> CloudFuture<'a, T>,
    ) -> Result<T, Failure> {
        let mut attempt = 0;
        loop {
            // Slices queue up here first, so that a photo's small calls wait for one slice of a film at
            // most and not for all that have queued before them.
            let turn = match call {
                Call::Send => self.slices.acquire().await.ok(),
                // One at a time, and without a slot: it may wait for its turn within the documents' limits,
                // and nobody's slices should wait with it.
                Call::Look | Call::Made => self.looks.acquire().await.ok(),
                Call::Begin | Call::Finish => None,
            };
            let slot = match call {
                Call::Look | Call::Made => None,
                Call::Begin | Call::Send | Call::Finish => match self.slots.acquire().await {
                    Ok(slot) => Some(slot),
                    Err(_) => return Err(Failure::new(Verdict::Later, "the agent is ending")),
                },
            };
            let error = match action().await {
                Ok(value) => {
                    self.meters.steps.fetch_add(1, Ordering::Relaxed);
                    return Ok(value);
                }
                Err(error) => error,
            };
            drop((slot, turn));
            let why = chain(&error);
            tracing::debug!(kind = ?error.kind, attempt, "{why}");
            let is_clouds = matches!(error.kind, Kind::Busy { after: None } | Kind::Broken);
            let (is_unsent, trace) = (!error.sent, error.trace());
            match verdict(&error, call) {
                Verdict::Soon(_) if attempt + 1 < TRIES => {
                    tokio::time::sleep(self.clock.wait(pause(attempt))).await;
                }
                Verdict::Soon(Some(pause)) => {
                    let verdict = Verdict::Pause(pause);
                    return Err(Failure { verdict, why, is_clouds, is_unsent, trace });
                }
                Verdict::Soon(None) => return Err(Failure { trace, ..Failure::new(Verdict::Later, why) }),
                verdict => return Err(Failure { verdict, why, is_clouds, is_unsent, trace }),
            }
            attempt += 1;
        }
    }
}

/// Between two tries of one call: half a second, doubling, spread.
pub(super) fn pause(attempt: u32) -> Duration {
    Duration::from_millis(500 << attempt.min(6)).mul_f64(0.75 + 0.5 * spread())
}

/// An error and its causes in one line.
fn chain(error: &Error) -> String {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}
