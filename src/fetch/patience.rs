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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::{End, Wanted};
    use std::path::PathBuf;

    /// Remembers what it was told of waiting.
    #[derive(Default)]
    struct Said(RefCell<Vec<String>>);

    impl Watch for Said {
        fn begins(&self, _: &Wanted, _: u64) {}
        fn at(&self, _: &Wanted, _: u64) {}
        fn ended(&self, _: &str, _: Option<PathBuf>, _: u64, _: &End) {}
        fn waits(&self, words: &str) {
            self.0.borrow_mut().push(words.to_owned());
        }
    }

    fn failure(kind: Kind) -> Error {
        Error::new(kind, "download", "no luck")
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_is_down_ends_it_for_all_and_one_bad_file_only_for_itself() {
        let (line, said) = (Line::new(Clock::system()), Said::default());
        for moves in [false, true] {
            let mut patience = Patience::default();
            let begun = tokio::time::Instant::now();
            let over = loop {
                if let Err(over) = patience.wait(failure(Kind::Offline), &line, &said).await {
                    break over;
                }
                if moves {
                    line.moves();
                }
            };
            assert_eq!(begun.elapsed().as_secs(), 1 + 2 + 4 + 8 + 16);
            assert_eq!(matches!(over, Over::File(_)), moves, "others get on: {moves}");
        }
        assert!(said.0.borrow().is_empty(), "a moment is not worth a word");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_that_the_cloud_asks_for_is_kept_and_said_once() {
        let (line, said) = (Line::new(Clock::system()), Said::default());
        let begun = tokio::time::Instant::now();
        for _ in 0..3 {
            let busy = failure(Kind::Busy { after: Some(Duration::from_secs(300)) });
            assert!(Patience::default().wait(busy, &line, &said).await.is_ok());
        }
        assert_eq!(begun.elapsed().as_secs(), 900);
        assert_eq!(*said.0.borrow(), ["download: no luck; waiting 5 min"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_waiting_does_not_mend_is_not_waited_for() {
        let (line, said) = (Line::new(Clock::system()), Said::default());
        for (kind, is_for_all) in [
            (Kind::Missing, false),
            (Kind::Refused, false),
            (Kind::Unauthorized, true),
            (Kind::DayLimit, true),
            (Kind::Blocked { after: Duration::from_secs(60) }, true),
        ] {
            let over = Patience::default().wait(failure(kind), &line, &said).await;
            assert_eq!(matches!(over, Err(Over::All(_))), is_for_all, "{kind:?}");
            assert_eq!(matches!(over, Err(Over::File(_))), !is_for_all, "{kind:?}");
        }
    }
}
