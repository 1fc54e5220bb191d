//! Keeps an account's calls within what the documents allow, on our side and across restarts, so that a
//! large library is looked up without ever being told "too many calls".
//!
//! The windows slide: a call counts for a minute, an hour and a day from the moment it is made. Over the
//! minute's allowance a call waits for its turn; over the hour's or the day's it fails unsent, and says how
//! long there is to wait. Which calls have an allowance is the cloud's own table (`xpan/limits.rs`).
//!
//! Some calls are let through, and not even counted, until the cloud itself has said "too many"
//! ([`Calls::refused`]); for a day from then on they keep to their allowance like all others. Downloads are
//! such: reviewed applications have no such limit, and at 1,000 a day it would take a month to bring home
//! 30,000 photos.
//!
//! # On disk
//!
//! ```text
//! <state_dir>/accounts/<name>.calls     0600, one line a call: endpoint, milliseconds since 1970;
//!                                       `download-refused` instead: the cloud said "too many" then
//! ```
//!
//! The file is its own lock, shared by the running agent and by commands. A call costs one line at its
//! end; lines that no window needs any more are dropped when there are many of them. Nothing is synced:
//! a power cut may lose the last counts, or all of them. So may junk, which is skipped: counting begins
//! anew from nothing. That is the better mistake - if it was one call too many, the cloud says 31034 and
//! the account pauses for a minute; the other way round a flipped bit would stop a box for a day.
//!
//! A call that comes half an hour after the one before it, or later, is only remembered, and written with the
//! next that comes sooner: so the hourly questions of an idle box write nothing. A restart forgets them, which
//! are 24 of a thousand.
//!
//! Clouds that allow so many calls a second have [`Calls::pace`] (`pace.rs`).
//!
//! A clock that is set back must not stop the calls either: what was made in the future was made just
//! now, is put down so, and is out of every window after its time.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

mod pace;

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
/// So long after the one before it a call is seldom, and so many seldom ones are remembered unwritten.
const SELDOM: Duration = Duration::from_mins(30);
const SELDOM_MAX: usize = 200;

/// How many calls of one endpoint are allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allowance {
    /// A minute.
    pub minute: usize,
    /// An hour.
    pub hour: usize,
    /// A day.
    pub day: usize,
    /// When it holds.
    pub holds: Holds,
}

/// When an allowance holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holds {
    /// At all times.
    Always,
    /// For a day after the cloud has said "too many calls" ([`Calls::refused`]).
    AfterRefusal,
}

/// A call that waits for its turn, for a person who waits for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waiting {
    /// Which call, in the protocol's words.
    pub endpoint: &'static str,
    /// For how long.
    pub wait: Duration,
    /// So many are allowed a minute.
    pub minute: usize,
}

impl std::fmt::Display for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { endpoint, wait, minute } = self;
        let secs = wait.as_secs_f64().ceil();
        write!(f, "waiting {secs} s: the cloud allows {minute} {endpoint} calls a minute")
    }
}

/// Who is told that a call waits.
type Tell = Box<dyn Fn(Waiting) + Send + Sync>;

/// One account's calls.
pub struct Calls {
    file: Option<PathBuf>,
    clock: Clock,
    tell: Option<Tell>,
    /// What was told last, and until when it holds, milliseconds since 1970.
    told: Mutex<Option<(&'static str, i64)>>,
    /// What is not written: what the disk did not take, and what comes seldom.
    unsaved: Mutex<Vec<Made>>,
    /// Where a call a second is allowed or so: when the next of each endpoint may go, milliseconds since 1970.
    places: Mutex<BTreeMap<String, i64>>,
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
        Arc::new(Self::new(Some(file), clock, None))
    }

    /// As [`Calls::of`]; `tell` hears of each wait once, when it begins.
    #[must_use]
    pub fn telling(file: PathBuf, clock: Clock, tell: impl Fn(Waiting) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self::new(Some(file), clock, Some(Box::new(tell))))
    }

    /// Calls that nobody counts: for tests of something else.
    #[must_use]
    pub fn uncounted() -> Arc<Self> {
        Arc::new(Self::new(None, Clock::system(), None))
    }

    /// A file of the account's beside the one that counts, with another ending: for what a cloud has to
    /// remember of its own. `None` where nothing is counted. The folder exists once an account is logged in.
    #[must_use]
    pub fn beside(&self, ending: &str) -> Option<PathBuf> {
        self.file.as_ref().map(|file| file.with_extension(ending))
    }

    fn new(file: Option<PathBuf>, clock: Clock, tell: Option<Tell>) -> Self {
        Self {
            file,
            clock,
            tell,
            told: Mutex::default(),
            unsaved: Mutex::default(),
            places: Mutex::default(),
        }
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
                    self.tell(endpoint, wait, allowance.minute);
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

    /// The cloud has said "too many calls": what [`Holds::AfterRefusal`] holds from now on for a day.
    pub async fn refused(self: &Arc<Self>, endpoint: &'static str) {
        let this = Arc::clone(self);
        let _ = tokio::task::spawn_blocking(move || this.note_refusal(endpoint)).await;
    }

    fn note_refusal(&self, endpoint: &str) {
        self.update((), |_, _| ((), Some(refusal_of(endpoint))));
    }

    /// Tells of a wait, once for all calls that wait together.
    fn tell(&self, endpoint: &'static str, wait: Duration, minute: usize) {
        let Some(tell) = &self.tell else { return };
        let now_ms = self.clock.now_ms();
        let end_ms = now_ms.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|(before, until_ms)| before != endpoint || until_ms <= now_ms) {
            *told = Some((endpoint, end_ms));
            tell(Waiting { endpoint, wait: self.clock.meant(wait), minute });
        }
    }

    /// Counts the call if it may be made now. Blocks for moments.
    fn try_now(&self, endpoint: &str, allowance: Allowance) -> Turn {
        self.update(Turn::Now, |all, now_ms| {
            let refusal = refusal_of(endpoint);
            if allowance.holds == Holds::AfterRefusal && !all.iter().any(|made| made.endpoint == refusal) {
                return (Turn::Now, None);
            }
            let mut times: Vec<i64> =
                all.iter().filter(|made| made.endpoint == endpoint).map(|made| made.at_ms).collect();
            times.sort_unstable();
            let turn = self.turn(&times, allowance, now_ms);
            let counted = (turn == Turn::Now).then(|| endpoint.to_owned());
            (turn, counted)
        })
    }

    /// Looks at the calls of the last day, and adds one if `look` says so. `without`: what there is to say
    /// when nothing is counted. Blocks for moments.
    fn update<T>(&self, without: T, look: impl FnOnce(&[Made], i64) -> (T, Option<String>)) -> T {
        let Some(file) = &self.file else { return without };
        // Without the lock two processes may count one call as two, or two as one: no reason not to call.
        let _lock = Lock::wait(file).ok();
        let now_ms = self.clock.now_ms();
        let mut unsaved = self.unsaved.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut all, lines) = read(file, now_ms);
        unsaved.iter_mut().for_each(|made| made.at_ms = made.at_ms.min(now_ms));
        all.extend(unsaved.iter().cloned());
        let day_ms = self.millis(DAY);
        all.retain(|made| now_ms - made.at_ms < day_ms);
        unsaved.retain(|made| now_ms - made.at_ms < day_ms);
        let (seen, added) = look(&all, now_ms);
        let is_to_be_written = added.as_ref().is_some_and(|endpoint| {
            let before = all.iter().filter(|made| made.endpoint == *endpoint).map(|made| made.at_ms).max();
            let seldom_ms = self.clock.wait(SELDOM).as_millis();
            let is_seldom = before
                .is_some_and(|at_ms| u128::try_from(now_ms - at_ms).is_ok_and(|apart| apart >= seldom_ms));
            !is_seldom || endpoint.ends_with(REFUSED) || unsaved.len() >= SELDOM_MAX
        });
        if let Some(endpoint) = added {
            unsaved.push(Made { endpoint, at_ms: now_ms });
            all.extend(unsaved.last().cloned());
        }
        let anew = lines.is_none_or(|lines| lines > all.len() + STALE_LINES);
        if is_to_be_written || anew {
            let written = if anew { write(file, &all, true) } else { write(file, &unsaved, false) };
            match written {
                Ok(()) => unsaved.clear(),
                Err(error) => tracing::debug!("{} is not written: {error}", file.display()),
            }
            // A disk that takes nothing for days must not fill the memory.
            let surplus = unsaved.len().saturating_sub(10_000);
            unsaved.drain(..surplus);
        }
        seen
    }

    /// Whether a call may be made at `now_ms`, after those at `times`, oldest first.
    fn turn(&self, times: &[i64], allowance: Allowance, now_ms: i64) -> Turn {
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

/// What the line ends its endpoint with that says that the cloud refused a call.
const REFUSED: &str = "-refused";

fn refusal_of(endpoint: &str) -> String {
    format!("{endpoint}{REFUSED}")
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
mod tests;
