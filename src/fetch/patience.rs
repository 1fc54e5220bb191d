//! What a failed call means for the file, for the others, and for the time until the next try.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use super::{Stop, Watch};
use crate::clock::Clock;
use crate::cloud::{Error, Kind};

/// So many tries in a row without anything moving.
const TRIES: u32 = 6;

/// What all files share.
pub(super) struct Line {
    pub(super) clock: Clock,
    /// Grows whenever something comes from the cloud.
    moved: Cell<u64>,
    /// What was said last about waiting.
    said: RefCell<String>,
}

/// How often in a row something was tried in vain.
#[derive(Default)]
pub(super) struct Patience {
    tries: u32,
    /// [`Line::moved`] at the first of them.
    since: u64,
}

/// It is not tried again.
pub(super) enum Over {
    /// This file, and why.
    File(String),
    /// Everything.
    All(Stop),
}

impl Line {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, moved: Cell::default(), said: RefCell::default() }
    }

    /// Something came.
    pub(super) fn moves(&self) {
        self.moved.set(self.moved.get().wrapping_add(1));
    }

    /// Says that something is waited for, once for all that wait for the same.
    fn says(&self, watch: &dyn Watch, error: &Error, wait: Duration) {
        let words = error.to_string();
        if *self.said.borrow() != words {
            watch.waits(&format!("{}; waiting {}", error, span(wait)));
            self.said.replace(words);
        }
    }
}

impl Patience {
    /// Something came: the next failure is the first again.
    pub(super) fn renew(&mut self) {
        self.tries = 0;
    }

    /// Waits until the call may be made again.
    pub(super) async fn wait(&mut self, error: Error, line: &Line, watch: &dyn Watch) -> Result<(), Over> {
        if self.tries == 0 {
            self.since = line.moved.get();
        }
        self.tries += 1;
        let is_last = self.tries >= TRIES;
        let later = Duration::from_secs(1 << (self.tries - 1).min(5));
        let wait = match error.kind {
            Kind::Offline | Kind::Broken | Kind::Busy { after: None } if !is_last => later,
            Kind::Busy { after: Some(after) } if !is_last => {
                let wait = after.max(later);
                line.says(watch, &error, wait);
                wait
            }
            // Nothing comes for anybody: the line is down, and the other files would fare no better.
            Kind::Offline if line.moved.get() == self.since => return Err(Over::All(error.into())),
            Kind::Offline
            | Kind::Broken
            | Kind::Busy { .. }
            | Kind::Missing
            | Kind::Refused
            | Kind::Exists
            | Kind::Expired
            | Kind::SliceSize => return Err(Over::File(words(&error))),
            Kind::Unauthorized | Kind::DayLimit | Kind::Blocked { .. } | Kind::Full | Kind::Local => {
                return Err(Over::All(error.into()));
            }
        };
        tracing::debug!(%error, "tried again in {wait:?}");
        tokio::time::sleep(line.clock.wait(wait)).await;
        Ok(())
    }
}

/// An error with its causes.
pub(super) fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

fn span(time: Duration) -> String {
    match time.as_secs() {
        secs @ 0..=119 => format!("{secs} s"),
        secs @ 120..=7199 => format!("{} min", secs.div_ceil(60)),
        secs => format!("{} h", secs.div_ceil(3600)),
    }
}
