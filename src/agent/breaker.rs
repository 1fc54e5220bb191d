//! Why an account sends nothing for a while, and until when: one breaker an account, so that one account's
//! trouble stops no other's files.
//!
//! A pause begins when a call says what concerns the whole account (a full drive, used-up calls, a barred
//! application), or when [`FILES_IN_A_ROW`] files one after the other failed because the cloud did. When
//! its time is over, one file goes first; the others follow as soon as the cloud confirms a slice or the
//! file. `xpand retry` ends a pause at once.
//!
//! # On disk
//!
//! ```text
//! <state_dir>/accounts/<name>.pause     0600, replaced durably; JSON: pause, why, from_ms, until_ms, times
//! ```
//!
//! Written when a pause begins that a restart must not shorten - limits, the day's limit, blocked -, removed
//! when a person lifts it; one that is over lies there until the next. A file that does not read is no pause:
//! the cloud says soon enough if it should be one. A crash before it is written costs one refused call.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::hub::lock;
use crate::backup::verdict::{Pause, spread};
use crate::clock::Clock;
use crate::durable;

/// So many files one after the other, nothing succeeding between, and it is the cloud that fails.
const FILES_IN_A_ROW: u32 = 5;
/// A clock may be set back so much without ending a pause; if it is set back further, the pause was begun
/// by a clock that was wrong.
const SLACK_MS: i64 = 60_000;
/// No pause is longer, milliseconds.
const LONGEST_MS: i64 = 26 * 3_600_000;
/// No pause's file is larger, bytes.
const MAX_BYTES: usize = 8 << 10;

/// An account's pause.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Paused {
    /// Why, in one word.
    pub pause: Pause,
    /// Why, for a person.
    pub why: String,
    /// Milliseconds since 1970.
    pub from_ms: i64,
    /// Milliseconds since 1970: looked at again then.
    pub until_ms: i64,
    /// Pauses for this reason in a row.
    pub times: u32,
}

/// How many of an account's files may be sent now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Admits {
    /// None: it pauses.
    None,
    /// One, to see whether the reason to pause is gone.
    One,
    /// All.
    All,
}

/// See the module.
pub(super) struct Breaker {
    name: String,
    file: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    paused: Option<Paused>,
    /// Files in a row that failed because the cloud did.
    failed_files: u32,
}

/// The file's content.
#[derive(Serialize, Deserialize)]
struct Stored {
    pause: String,
    why: String,
    from_ms: i64,
    until_ms: i64,
    times: u32,
}

impl Paused {
    fn is_over(&self, now_ms: i64) -> bool {
        now_ms >= self.until_ms || now_ms < self.from_ms - SLACK_MS
    }
}

impl Breaker {
    /// As it was left in `state_dir`.
    pub(super) fn open(state_dir: &Path, name: &str) -> Self {
        let file = state_dir.join("accounts").join(format!("{name}.pause"));
        let state = State { paused: read(&file), failed_files: 0 };
        Self { name: name.to_owned(), file, state: Mutex::new(state) }
    }

    /// The pause of this moment.
    pub(super) fn paused(&self, now_ms: i64) -> Option<Paused> {
        lock(&self.state).paused.clone().filter(|paused| !paused.is_over(now_ms))
    }

    /// Why it paused last, if nothing has succeeded since.
    pub(super) fn last(&self) -> Option<Pause> {
        lock(&self.state).paused.as_ref().map(|paused| paused.pause)
    }

    /// How many files may be sent now.
    pub(super) fn admits(&self, now_ms: i64) -> Admits {
        match &lock(&self.state).paused {
            None => Admits::All,
            Some(paused) if paused.is_over(now_ms) => Admits::One,
            Some(_) => Admits::None,
        }
    }

    /// Pauses, longer each time in a row. False when it pauses for as long already.
    pub(super) fn pause(&self, pause: Pause, why: String, clock: &Clock) -> bool {
        let now_ms = clock.now_ms();
        let mut state = lock(&self.state);
        let same = state
            .paused
            .as_ref()
            .filter(|paused| std::mem::discriminant(&paused.pause) == std::mem::discriminant(&pause));
        if same.is_some_and(|paused| !paused.is_over(now_ms)) {
            // Uploads that were in flight together fail together: that is one time.
            return false;
        }
        let times = same.map_or(0, |paused| paused.times + 1);
        let wait = clock.wait(wait(pause, times, now_ms));
        let until_ms = now_ms.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(LONGEST_MS));
        if state.paused.as_ref().is_some_and(|old| !old.is_over(now_ms) && old.until_ms > until_ms) {
            return false;
        }
        tracing::warn!(ACCOUNT = %self.name, "sending pauses for {} s: {why}", wait.as_secs());
        let paused = Paused { pause, why, from_ms: now_ms, until_ms, times };
        self.keep(&paused);
        *state = State { paused: Some(paused), failed_files: 0 };
        true
    }

    /// A file has to wait because the cloud fails. True when the account pauses because of it.
    pub(super) fn failed(&self, why: &str, clock: &Clock) -> bool {
        {
            let mut state = lock(&self.state);
            state.failed_files += 1;
            let is_first_after = state.paused.as_ref().is_some_and(|paused| paused.pause == Pause::Failing);
            if state.failed_files < FILES_IN_A_ROW && !is_first_after {
                return false;
            }
        }
        self.pause(Pause::Failing, format!("the cloud fails: {why}"), clock)
    }

    /// The cloud has done what it was asked for: the reason of a pause that is over is gone.
    pub(super) fn succeeded(&self, now_ms: i64) {
        let mut state = lock(&self.state);
        state.failed_files = 0;
        state.paused.take_if(|paused| paused.is_over(now_ms));
    }

    /// The login and the membership are good. The first pause for want of them ends here; if the cloud goes
    /// on to refuse what it calls good, the next ones last, longer each time.
    pub(super) fn is_ready(&self, now_ms: i64) {
        if let Some(paused) = lock(&self.state).paused.as_mut()
            && matches!(paused.pause, Pause::Login | Pause::Membership)
            && paused.times == 0
        {
            paused.until_ms = paused.until_ms.min(now_ms);
        }
    }

    /// The clock was set: the pause ends when it would have.
    pub(super) fn shift(&self, jump_ms: i64) {
        if let Some(paused) = lock(&self.state).paused.as_mut() {
            paused.from_ms = paused.from_ms.saturating_add(jump_ms);
            paused.until_ms = paused.until_ms.saturating_add(jump_ms);
        }
    }

    /// A person says that the reason is gone, or another one is logged in.
    pub(super) fn lift(&self) {
        let mut state = lock(&self.state);
        *state = State::default();
        if self.file.exists()
            && let Err(error) = durable::remove(&self.file)
        {
            tracing::warn!("cannot remove {}: {error}", self.file.display());
        }
    }

    fn keep(&self, paused: &Paused) {
        let Some(pause) = name(paused.pause) else { return };
        let Paused { ref why, from_ms, until_ms, times, .. } = *paused;
        let stored = Stored { pause: pause.into(), why: why.clone(), from_ms, until_ms, times };
        let bytes = serde_json::to_vec(&stored).unwrap_or_default();
        if let Err(error) = durable::replace(&self.file, &bytes, 0o600) {
            tracing::warn!("a restart will forget this pause: {}: {error}", self.file.display());
        }
    }
}

/// The word in the file, of a pause that is kept.
fn name(pause: Pause) -> Option<&'static str> {
    match pause {
        Pause::Limit { .. } => Some("limit"),
        Pause::DayLimit => Some("day_limit"),
        Pause::Blocked { .. } => Some("blocked"),
        Pause::Offline | Pause::Failing | Pause::Full | Pause::Login | Pause::Membership => None,
    }
}

fn read(file: &Path) -> Option<Paused> {
    let bytes = std::fs::read(file).ok().filter(|bytes| bytes.len() <= MAX_BYTES)?;
    let Stored { pause, why, from_ms, until_ms, times } = serde_json::from_slice(&bytes).ok()?;
    let after = Duration::from_millis(u64::try_from(until_ms.checked_sub(from_ms)?).ok()?);
    let pause = match pause.as_str() {
        "limit" => Pause::Limit { after },
        "day_limit" => Pause::DayLimit,
        "blocked" => Pause::Blocked { after },
        _ => return None,
    };
    let paused = Paused { pause, why, from_ms, until_ms, times };
    (until_ms - from_ms <= LONGEST_MS).then_some(paused)
}

/// How long an account stops, at the `times`-th time in a row.
fn wait(pause: Pause, times: u32, now_ms: i64) -> Duration {
    let doubling = |first: u64, most: u64| Duration::from_secs((first << times.min(16)).min(most));
    let least = match pause {
        Pause::DayLimit => return until_tomorrow(now_ms),
        Pause::Membership => doubling(1, 3600),
        Pause::Offline | Pause::Failing => doubling(5, 300),
        Pause::Limit { after } => after.max(doubling(30, 1800)),
        Pause::Blocked { after } => after,
        Pause::Full => Duration::from_mins(10),
        // The account's own task waits for the login.
        Pause::Login => doubling(60, 3600),
    };
    // Boxes that the cloud stopped together do not come back together; none comes too early.
    let apart = if matches!(pause, Pause::Failing | Pause::Limit { .. }) { 1.0 } else { 0.2 };
    least.mul_f64(1.0 + apart * spread())
}

/// Until some minutes after midnight in Beijing, where the cloud's day ends ("stop for today", field notes
/// 2.1; nobody documents when the day begins); 24 hours at most.
fn until_tomorrow(now_ms: i64) -> Duration {
    const HOUR_MS: i64 = 3_600_000;
    let in_beijing = now_ms.saturating_add(8 * HOUR_MS);
    let left_ms = 24 * HOUR_MS - in_beijing.rem_euclid(24 * HOUR_MS);
    let midnight = Duration::from_millis(u64::try_from(left_ms).unwrap_or(0));
    (midnight + Duration::from_mins(3) + Duration::from_mins(5).mul_f64(spread()))
        .min(Duration::from_hours(24))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    /// 2026-11-21 20:00:00 UTC: four in the morning in Beijing.
    const NOW: i64 = 1_795_291_200_000;
    const HOUR: i64 = 3_600_000;
    const BLOCKED: Pause = Pause::Blocked { after: Duration::from_hours(6) };

    struct Bench {
        folder: tempfile::TempDir,
        now_ms: Arc<AtomicI64>,
        clock: Clock,
    }

    impl Bench {
        fn new() -> Self {
            let now_ms = Arc::new(AtomicI64::new(NOW));
            let clock = Clock::from_fn({
                let now_ms = Arc::clone(&now_ms);
                move || now_ms.load(Ordering::Relaxed) * 1_000_000
            });
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir(folder.path().join("accounts")).unwrap();
            Self { folder, now_ms, clock }
        }

        /// As after a start.
        fn open(&self) -> Breaker {
            Breaker::open(self.folder.path(), "home")
        }

        fn file(&self) -> PathBuf {
            self.folder.path().join("accounts/home.pause")
        }

        fn pass(&self, ms: i64) -> i64 {
            self.now_ms.fetch_add(ms, Ordering::Relaxed) + ms
        }
    }

    #[test]
    fn the_days_limit_lasts_until_midnight_in_beijing() {
        // Four in the morning there: twenty hours.
        let hours = until_tomorrow(NOW).as_secs_f64() / 3600.0;
        assert!((20.05..20.14).contains(&hours), "{hours}");
        // One second before midnight, and at midnight.
        let late = until_tomorrow(NOW + 20 * HOUR - 1000);
        assert!(late > Duration::from_mins(3) && late < Duration::from_mins(9), "{late:?}");
        assert_eq!(until_tomorrow(NOW + 20 * HOUR), Duration::from_hours(24));
        assert_eq!(until_tomorrow(-1).as_secs() / 3600, 16);
    }

    #[test]
    fn pauses_last_as_the_field_notes_say_and_never_less() {
        let between = |pause, times, least: u64| {
            let wait = wait(pause, times, NOW).as_secs_f64();
            let least = Duration::from_secs(least).as_secs_f64();
            let apart = if matches!(pause, Pause::Failing | Pause::Limit { .. }) { 2.0001 } else { 1.2001 };
            assert!((least..=least * apart).contains(&wait), "{pause:?} {times}: {wait}");
        };
        between(Pause::Blocked { after: Duration::from_mins(10) }, 0, 600);
        between(Pause::Failing, 0, 5);
        between(Pause::Failing, 3, 40);
        between(Pause::Failing, 30, 300);
        between(Pause::Limit { after: Duration::from_secs(60) }, 0, 60);
        between(Pause::Limit { after: Duration::from_secs(60) }, 4, 480);
        between(Pause::Full, 5, 600);
    }

    #[test]
    fn a_pause_survives_a_restart_in_a_private_file_until_its_time_or_a_person_ends_it() {
        for pause in [BLOCKED, Pause::DayLimit, Pause::Limit { after: Duration::from_hours(1) }] {
            let bench = Bench::new();
            let breaker = bench.open();
            assert!(breaker.pause(pause, "no right".into(), &bench.clock));
            assert!(!breaker.pause(pause, "again".into(), &bench.clock), "one time");
            let paused = breaker.paused(NOW).unwrap();
            let mode = std::fs::metadata(bench.file()).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let again = bench.open();
            let kept = again.paused(NOW + 1000).unwrap();
            assert_eq!((kept.why.as_str(), kept.until_ms), ("no right", paused.until_ms));
            assert_eq!(again.admits(paused.until_ms - 1), Admits::None);
            assert_eq!(again.admits(paused.until_ms), Admits::One);
            again.lift();
            assert_eq!(again.admits(NOW), Admits::All);
            assert_eq!(bench.open().admits(NOW), Admits::All);
        }
    }

    #[test]
    fn what_passes_by_itself_is_not_written_down() {
        let bench = Bench::new();
        for pause in [Pause::Offline, Pause::Failing, Pause::Full, Pause::Login, Pause::Membership] {
            assert!(bench.open().pause(pause, "x".into(), &bench.clock));
            assert!(!bench.file().exists(), "{pause:?}");
        }
    }

    #[test]
    fn junk_is_no_pause_and_a_clock_that_was_wrong_keeps_nobody_waiting() {
        let bench = Bench::new();
        for junk in [
            "",
            "{",
            "[]",
            r#"{"pause":"x","why":"","from_ms":0,"until_ms":9,"times":0}"#,
            r#"{"pause":"blocked","why":"","from_ms":-9223372036854775808,"until_ms":9223372036854775807,"times":0}"#,
        ] {
            std::fs::write(bench.file(), junk).unwrap();
            assert_eq!(bench.open().admits(NOW), Admits::All, "{junk}");
        }
        bench.open().pause(BLOCKED, "x".into(), &bench.clock);
        // Set back by a year, and set ahead by one.
        assert_eq!(bench.open().admits(NOW - 365 * 24 * HOUR), Admits::One);
        assert_eq!(bench.open().admits(NOW + 365 * 24 * HOUR), Admits::One);
        assert_eq!(bench.open().admits(NOW - 1000), Admits::None);
    }

    #[test]
    fn a_clock_that_is_set_while_it_runs_neither_shortens_nor_prolongs_a_pause() {
        for jump in [-365 * 24 * HOUR, 365 * 24 * HOUR] {
            let bench = Bench::new();
            let breaker = bench.open();
            breaker.pause(BLOCKED, "x".into(), &bench.clock);
            let until = breaker.paused(NOW).unwrap().until_ms + jump;
            breaker.shift(jump);
            assert_eq!(breaker.admits(NOW + jump + HOUR), Admits::None, "{jump}");
            assert_eq!(breaker.admits(until - 1), Admits::None, "{jump}");
            assert_eq!(breaker.admits(until), Admits::One, "{jump}");
        }
    }

    #[test]
    fn a_short_pause_does_not_take_the_place_of_a_long_one() {
        let bench = Bench::new();
        let breaker = bench.open();
        assert!(breaker.pause(BLOCKED, "barred".into(), &bench.clock));
        assert!(!breaker.pause(Pause::Offline, "no network".into(), &bench.clock));
        assert_eq!(breaker.paused(NOW).unwrap().why, "barred");
        breaker.succeeded(NOW);
        assert!(breaker.paused(NOW).is_some(), "a file that was on its way says nothing");
    }

    #[test]
    fn five_files_in_a_row_stop_the_account_and_then_one_is_enough() {
        let bench = Bench::new();
        let breaker = bench.open();
        let fail = || breaker.failed("HTTP 502", &bench.clock);
        assert!((0..4).all(|_| !fail()));
        breaker.succeeded(NOW);
        assert!((0..4).all(|_| !fail()) && fail());
        let first = breaker.paused(NOW).unwrap();
        assert_eq!(first.why, "the cloud fails: HTTP 502");
        assert!(!fail(), "one that was on its way");
        let now = bench.pass(first.until_ms - NOW);
        assert_eq!(breaker.admits(now), Admits::One);
        assert!(fail());
        let second = breaker.paused(now).unwrap();
        assert!(second.times == 1 && second.until_ms - now >= 10_000);
        let now = bench.pass(second.until_ms - now);
        breaker.succeeded(now);
        assert_eq!(breaker.admits(now), Admits::All);
    }
}
