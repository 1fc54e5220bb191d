//! Keeps an account's calls within what the documents allow, on our side and across restarts, so that a
//! large library is looked up without ever being told "too many calls".
//!
//! The windows slide: a call counts for a minute, an hour and a day from the moment it is made. Over the
//! minute's allowance a call waits for its turn; over the hour's or the day's it fails unsent, and says how
//! long there is to wait. Which calls have an allowance is the cloud's own table (`xpan/limits.rs`).
//!
//! # On disk
//!
//! ```text
//! <state_dir>/accounts/<name>.calls     0600, one line a call: endpoint, milliseconds since 1970
//! ```
//!
//! The file is its own lock, shared by the running agent and by commands. A call costs one line at its
//! end; lines that no window needs any more are dropped when there are many of them. Nothing is synced:
//! a power cut may lose the last counts, or all of them. So may junk, which is skipped: counting begins
//! anew from nothing. That is the better mistake - if it was one call too many, the cloud says 31034 and
//! the account pauses for a minute; the other way round a flipped bit would stop a box for a day.
//!
//! A clock that is set back must not stop the calls either: what was made in the future was made just
//! now, is put down so, and is out of every window after its time.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Error, Kind, Result};
use crate::clock::Clock;
use crate::durable::Lock;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// Our windows are this much longer: the cloud counts a call when it arrives, which is later than when we
/// count it, and not always equally late.
const MARGIN: Duration = Duration::from_secs(5);
/// A file that is larger is no file of ours: a day's calls at every endpoint are a tenth of it.
const MAX_BYTES: u64 = 1 << 20;
/// Lines that no window needs any more are kept until there are so many.
const STALE_LINES: usize = 200;

/// How many calls of one endpoint are allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allowance {
    /// A minute.
    pub minute: usize,
    /// An hour.
    pub hour: usize,
    /// A day.
    pub day: usize,
}

/// One account's calls.
pub struct Calls {
    file: Option<PathBuf>,
    clock: Clock,
    /// What the disk did not take.
    unsaved: Mutex<Vec<Made>>,
}

/// A call that was made.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Made {
    endpoint: String,
    /// Milliseconds since 1970.
    at_ms: i64,
}

/// Whether a call may be made.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Turn {
    /// Now.
    Now,
    /// After this time: within a minute.
    Wait(Duration),
    /// Not for this time; so many are allowed in this window.
    UsedUp(Duration, usize, &'static str),
}

impl Calls {
    /// The calls that are counted in `file`, in a folder that exists once an account is logged in.
    #[must_use]
    pub fn of(file: PathBuf, clock: Clock) -> Arc<Self> {
        Arc::new(Self { file: Some(file), clock, unsaved: Mutex::default() })
    }

    /// Calls that nobody counts: for tests of something else.
    #[must_use]
    pub fn uncounted() -> Arc<Self> {
        Arc::new(Self { file: None, clock: Clock::system(), unsaved: Mutex::default() })
    }

    /// Waits for the turn of a call and counts it. Dropping the future ends the waiting.
    ///
    /// # Errors
    /// [`Kind::Busy`], unsent: the hour's or the day's calls are used up.
    pub async fn admit(self: &Arc<Self>, endpoint: &'static str, allowance: Allowance) -> Result<()> {
        if self.file.is_none() {
            return Ok(());
        }
        loop {
            let this = Arc::clone(self);
            let turn = tokio::task::spawn_blocking(move || this.try_now(endpoint, allowance)).await;
            match turn.unwrap_or(Turn::Now) {
                Turn::Now => return Ok(()),
                Turn::Wait(wait) => {
                    tracing::debug!(endpoint, "{} calls a minute are allowed; waiting", allowance.minute);
                    tokio::time::sleep(wait).await;
                }
                Turn::UsedUp(wait, count, window) => {
                    let after = self.clock.meant(wait);
                    let words = format!(
                        "the {count} calls that the cloud allows {window} are used up; the next may go in {} minutes",
                        after.as_secs().div_ceil(60).max(1)
                    );
                    let kind = Kind::Busy { after: Some(after) };
                    return Err(Error::new(kind, endpoint, words).unsent());
                }
            }
        }
    }

    /// Counts the call if it may be made now. Blocks for moments.
    fn try_now(&self, endpoint: &str, allowance: Allowance) -> Turn {
        let Some(file) = &self.file else { return Turn::Now };
        // Without the lock two processes may count one call as two, or two as one: no reason not to call.
        let _lock = Lock::wait(file).ok();
        let now_ms = self.clock.now_ms();
        let mut unsaved = self.unsaved.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut all, lines) = read(file, now_ms);
        unsaved.iter_mut().for_each(|made| made.at_ms = made.at_ms.min(now_ms));
        all.extend(unsaved.iter().cloned());
        let day_ms = self.millis(DAY);
        all.retain(|made| now_ms - made.at_ms < day_ms);
        let times: VecDeque<i64> = {
            let mut times: Vec<i64> =
                all.iter().filter(|made| made.endpoint == endpoint).map(|made| made.at_ms).collect();
            times.sort_unstable();
            times.into()
        };
        let turn = self.turn(&times, allowance, now_ms);
        if turn == Turn::Now {
            unsaved.push(Made { endpoint: endpoint.to_owned(), at_ms: now_ms });
            all.extend(unsaved.last().cloned());
        }
        let anew = lines.is_none_or(|lines| lines > all.len() + STALE_LINES);
        if turn == Turn::Now || anew {
            let written = if anew { write(file, &all, true) } else { write(file, &unsaved, false) };
            match written {
                Ok(()) => unsaved.clear(),
                Err(error) => tracing::debug!("{} is not written: {error}", file.display()),
            }
            // A disk that takes nothing for days must not fill the memory.
            let surplus = unsaved.len().saturating_sub(10_000);
            unsaved.drain(..surplus);
        }
        turn
    }

    /// Whether a call may be made at `now_ms`, after those at `times`, oldest first.
    fn turn(&self, times: &VecDeque<i64>, allowance: Allowance, now_ms: i64) -> Turn {
        // The call before which `count` calls were made is out of the window at this time.
        let free_in = |window: Duration, count: usize| {
            let oldest = times.len().checked_sub(count.max(1)).and_then(|at| times.get(at))?;
            let wait = oldest + self.millis(window) - now_ms;
            u64::try_from(wait).ok().filter(|wait| *wait > 0).map(Duration::from_millis)
        };
        if let Some(wait) = free_in(DAY, allowance.day) {
            return Turn::UsedUp(wait, allowance.day, "a day");
        }
        if let Some(wait) = free_in(HOUR, allowance.hour) {
            return Turn::UsedUp(wait, allowance.hour, "an hour");
        }
        free_in(MINUTE, allowance.minute).map_or(Turn::Now, Turn::Wait)
    }

    fn millis(&self, window: Duration) -> i64 {
        i64::try_from(self.clock.wait(window + MARGIN).as_millis()).unwrap_or(i64::MAX / 4)
    }
}

/// The calls in `file`, and how many lines it has; `None` when it is to be written anew. Calls of the
/// future were made just now.
fn read(file: &Path, now_ms: i64) -> (Vec<Made>, Option<usize>) {
    let mut bytes = Vec::new();
    let opened = OpenOptions::new().read(true).open(file);
    match opened.and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)) {
        Ok(length) if length as u64 > MAX_BYTES => return (Vec::new(), None),
        Ok(_) => {}
        Err(_) => return (Vec::new(), Some(0)),
    }
    let (mut all, mut lines, mut is_whole) = (Vec::new(), 0, bytes.ends_with(b"\n") || bytes.is_empty());
    for line in String::from_utf8_lossy(&bytes).lines() {
        lines += 1;
        let read = line.split_once(' ').and_then(|(endpoint, at)| Some((endpoint, at.parse::<i64>().ok()?)));
        match read {
            Some((endpoint, at_ms)) if at_ms <= now_ms => {
                all.push(Made { endpoint: endpoint.to_owned(), at_ms });
            }
            Some((endpoint, _)) => {
                all.push(Made { endpoint: endpoint.to_owned(), at_ms: now_ms });
                is_whole = false;
            }
            None => is_whole = false,
        }
    }
    (all, is_whole.then_some(lines))
}

/// Adds lines to `file`, or puts them in the place of what is there.
fn write(file: &Path, all: &[Made], anew: bool) -> io::Result<()> {
    let mut text = String::new();
    for made in all {
        text += &format!("{} {}\n", made.endpoint, made.at_ms);
    }
    let mut options = OpenOptions::new();
    let options = if anew { options.write(true).truncate(true) } else { options.append(true) };
    options.create(true).mode(0o600).open(file)?.write_all(text.as_bytes())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::atomic::{AtomicI64, Ordering};

    const USUAL: Allowance = Allowance { minute: 20, hour: 300, day: 1000 };
    const LISTALL: Allowance = Allowance { minute: 5, hour: 100, day: 500 };
    const START: i64 = 1_795_000_000_000;

    struct Bench {
        folder: tempfile::TempDir,
        now_ms: Arc<AtomicI64>,
    }

    impl Bench {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().unwrap(), now_ms: Arc::new(START.into()) }
        }

        fn file(&self) -> PathBuf {
            self.folder.path().join("home.calls")
        }

        /// As after a start of the program.
        fn calls(&self) -> Arc<Calls> {
            let now_ms = Arc::clone(&self.now_ms);
            let clock = Clock::from_fn(move || now_ms.load(Ordering::Relaxed) * 1_000_000);
            Calls::of(self.file(), clock)
        }

        fn pass(&self, time: Duration) {
            self.now_ms.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
        }
    }

    /// How many calls go through at this moment.
    fn burst(calls: &Calls, endpoint: &str, allowance: Allowance) -> usize {
        (0..2000).take_while(|_| calls.try_now(endpoint, allowance) == Turn::Now).count()
    }

    #[test]
    fn the_numbers_of_the_documents_are_kept_in_every_window() {
        for allowance in [USUAL, LISTALL, Allowance { minute: 10, hour: 100, day: 300 }] {
            let bench = Bench::new();
            let mut at = Vec::new();
            // Two days of somebody who calls as often as it goes, with a new start every ten hours.
            for minute in 0..2 * 24 * 60 {
                let calls = bench.calls();
                for _ in 0..burst(&calls, "list", allowance) {
                    at.push(minute);
                }
                bench.pass(MINUTE);
            }
            let most = |window: i64| {
                (0..2 * 24 * 60)
                    .map(|from| at.iter().filter(|at| (from..from + window).contains(*at)).count())
                    .max()
            };
            assert_eq!(most(1), Some(allowance.minute));
            assert_eq!(most(60), Some(allowance.hour));
            assert_eq!(most(24 * 60), Some(allowance.day));
            assert!(at.len() >= 2 * allowance.day - allowance.hour, "{} calls in two days", at.len());
        }
    }

    #[test]
    fn the_windows_slide_and_have_a_margin() {
        let bench = Bench::new();
        let calls = bench.calls();
        assert_eq!(burst(&calls, "list", USUAL), 20);
        bench.pass(MINUTE);
        assert_eq!(calls.try_now("list", USUAL), Turn::Wait(MARGIN));
        assert_eq!(burst(&calls, "quota", USUAL), 20, "each endpoint has its own");
        bench.pass(MARGIN);
        assert_eq!(burst(&bench.calls(), "list", USUAL), 20);
    }

    #[test]
    fn the_counts_survive_a_restart_in_a_private_file_and_two_programs_share_them() {
        let bench = Bench::new();
        let (agent, command) = (bench.calls(), bench.calls());
        for _ in 0..2 {
            assert_eq!(agent.try_now("listall", LISTALL), Turn::Now);
            assert_eq!(command.try_now("listall", LISTALL), Turn::Now);
        }
        assert_eq!(burst(&bench.calls(), "listall", LISTALL), 1);
        let meta = std::fs::metadata(bench.file()).unwrap();
        assert_eq!(meta.permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(bench.file()).unwrap().lines().count(), 5);
    }

    #[tokio::test]
    async fn what_is_used_up_for_the_hour_fails_unsent_and_says_how_long() {
        let bench = Bench::new();
        let calls = bench.calls();
        for _ in 0..20 {
            assert_eq!(burst(&calls, "listall", LISTALL), 5);
            bench.pass(Duration::from_secs(90));
        }
        let error = calls.admit("listall", LISTALL).await.unwrap_err();
        let wait = HOUR + MARGIN - 20 * Duration::from_secs(90);
        assert_eq!((error.kind, error.sent), (Kind::Busy { after: Some(wait) }, false));
        let words =
            "listall: the 100 calls that the cloud allows an hour are used up; the next may go in 31 minutes";
        assert_eq!(error.to_string(), words);
        bench.pass(wait);
        calls.admit("listall", LISTALL).await.unwrap();
    }

    #[tokio::test]
    async fn over_the_minutes_allowance_a_call_waits_inside_and_can_be_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let calls = Calls::of(folder.path().join("home.calls"), Clock::system().hurried(100));
        let small = Allowance { minute: 1, hour: 100, day: 500 };
        calls.admit("listall", small).await.unwrap();
        let waiting = calls.admit("listall", small);
        assert!(tokio::time::timeout(Duration::from_millis(20), waiting).await.is_err());
        calls.admit("listall", small).await.unwrap();
    }

    #[test]
    fn junk_in_the_file_is_skipped_and_the_file_made_anew() {
        let bench = Bench::new();
        for junk in [&b"\xff\xfe\0junk"[..], b"list x\nlist\n\n 5", &vec![b'7'; 2 << 20]] {
            std::fs::write(bench.file(), junk).unwrap();
            assert_eq!(burst(&bench.calls(), "list", USUAL), 20);
            let text = std::fs::read_to_string(bench.file()).unwrap();
            assert!(text.lines().count() == 20 && text.lines().all(|line| line.starts_with("list 17950")));
            std::fs::remove_file(bench.file()).unwrap();
        }
        // A folder in its place: nothing is kept, and still no more than is allowed.
        std::fs::create_dir(bench.file()).unwrap();
        assert_eq!(burst(&bench.calls(), "list", USUAL), 20);
    }

    #[test]
    fn a_clock_that_jumps_blocks_no_call_for_longer_than_its_window() {
        let bench = Bench::new();
        assert_eq!(burst(&bench.calls(), "list", USUAL), 20);
        // Twenty years back: the calls of the future count as made now, once.
        bench.now_ms.store(START - 20 * 365 * 86_400_000, Ordering::Relaxed);
        assert_eq!(burst(&bench.calls(), "list", USUAL), 0);
        bench.pass(MINUTE + MARGIN);
        assert_eq!(burst(&bench.calls(), "list", USUAL), 20);
        // And forward again.
        bench.now_ms.store(START, Ordering::Relaxed);
        assert_eq!(burst(&bench.calls(), "list", USUAL), 20);
    }

    #[test]
    fn the_file_stays_small() {
        let bench = Bench::new();
        for _ in 0..40 {
            for endpoint in ["uinfo", "quota"] {
                assert_eq!(burst(&bench.calls(), endpoint, USUAL), 20);
            }
            bench.pass(DAY + MARGIN);
        }
        assert!(std::fs::metadata(bench.file()).unwrap().len() < 10_000);
    }
}
