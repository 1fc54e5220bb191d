//! Spaces an account's calls out, for clouds that allow so many a second.
//!
//! The next call of an endpoint has its place so long after the one before; who comes takes the next place
//! and waits for it. Places are shared with other processes by a small file that always has the same few
//! lines, because a count of every call of a day would be megabytes at two a second.
//!
//! ```text
//! <state_dir>/accounts/<name>.pace     0600, one line an endpoint: its name, when its next place is,
//!                                      milliseconds since 1970
//! ```
//!
//! Nothing is synced, and junk is skipped: what is lost is one call that comes too soon, and the cloud says
//! so. Nor does a clock that is set back stop anything: a place further ahead than [`AHEAD`] is none.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::Calls;
use crate::durable::Lock;

/// A second of ours is this much longer, because calls are not all equally long on their way.
const LONGER: Duration = Duration::from_millis(1100);
/// Nobody waits longer than this: as many calls at a time as an account may have in flight need seconds.
const AHEAD: Duration = Duration::from_secs(60);
/// A file that is larger is none of ours.
const MAX_BYTES: u64 = 4096;

impl Calls {
    /// Waits for the next place of `endpoint`, of which there are so many a second. Dropping the future gives
    /// the place away unused.
    pub async fn pace(self: &Arc<Self>, endpoint: &'static str, a_second: u32) {
        if self.file.is_none() {
            return;
        }
        let this = Arc::clone(self);
        let gap = self.clock.wait(LONGER / a_second.max(1));
        let wait = tokio::task::spawn_blocking(move || this.place(endpoint, gap)).await;
        if let Ok(wait) = wait
            && !wait.is_zero()
        {
            tokio::time::sleep(wait).await;
        }
    }

    /// A wait of our own choosing before a call is made again.
    pub async fn rest(&self, so_long: Duration) {
        tokio::time::sleep(self.clock.wait(so_long)).await;
    }

    /// Takes the next place of `endpoint`: how long it is until then. Blocks for moments.
    fn place(&self, endpoint: &'static str, gap: Duration) -> Duration {
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let Some(file) = self.file.as_ref().map(|file| file.with_extension("pace")) else {
            return Duration::ZERO;
        };
        // Without the lock, or the file, this process at least keeps to its own places.
        let _lock = Lock::wait(&file).ok();
        let now_ms = self.clock.now_ms();
        let mut own = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let mut places = read(&file);
        for (endpoint, at_ms) in own.iter() {
            let place = places.entry(endpoint.clone()).or_insert(*at_ms);
            *place = (*place).max(*at_ms);
        }
        places.retain(|_, at_ms| (now_ms..=now_ms + ms(AHEAD)).contains(at_ms));
        let place = places.entry(endpoint.to_owned()).or_insert(now_ms);
        let wait = Duration::from_millis(u64::try_from(*place - now_ms).unwrap_or(0));
        // Half a millisecond is no gap: a hurried test has some, at least.
        *place += ms(gap).max(1);
        if let Err(error) = write(&file, &places) {
            tracing::debug!("{} is not written: {error}", file.display());
        }
        *own = places;
        wait
    }
}

fn read(file: &Path) -> BTreeMap<String, i64> {
    let mut text = String::new();
    let opened = fs::File::open(file);
    match opened.and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text)) {
        Ok(_) => {}
        Err(_) => return BTreeMap::new(),
    }
    let line = |line: &str| {
        let (endpoint, at_ms) = line.split_once(' ')?;
        Some((endpoint.to_owned(), at_ms.parse().ok()?))
    };
    text.lines().filter_map(line).take(64).collect()
}

/// Written over in its place: the lock is on it.
fn write(file: &Path, places: &BTreeMap<String, i64>) -> io::Result<()> {
    let text: String = places.iter().map(|(endpoint, at_ms)| format!("{endpoint} {at_ms}\n")).collect();
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).open(file)?.write_all(text.as_bytes())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use std::sync::atomic::{AtomicI64, Ordering};

    const GAP: Duration = Duration::from_millis(550);

    fn at(folder: &Path, now_ms: &Arc<AtomicI64>) -> Arc<Calls> {
        let now_ms = Arc::clone(now_ms);
        let clock = Clock::from_fn(move || now_ms.load(Ordering::Relaxed) * 1_000_000);
        Calls::of(folder.join("home.calls"), clock)
    }

    fn waits(calls: &Calls, endpoint: &'static str, count: usize) -> Vec<u128> {
        (0..count).map(|_| calls.place(endpoint, GAP).as_millis()).collect()
    }

    #[test]
    fn each_call_has_its_place_whatever_process_makes_it() {
        let folder = tempfile::tempdir().unwrap();
        let now = Arc::new(AtomicI64::new(1_000_000));
        let (one, other) = (at(folder.path(), &now), at(folder.path(), &now));
        assert_eq!(waits(&one, "create", 2), [0, 550]);
        assert_eq!(waits(&other, "create", 1), [1100]);
        assert_eq!(waits(&one, "mkdir", 1), [0], "each endpoint by itself");
        now.fetch_add(1000, Ordering::Relaxed);
        assert_eq!(waits(&one, "create", 1), [650]);
        now.fetch_add(5000, Ordering::Relaxed);
        assert_eq!(waits(&other, "create", 2), [0, 550]);
    }

    #[test]
    fn a_clock_that_is_set_back_and_a_file_of_junk_stop_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let now = Arc::new(AtomicI64::new(10_000_000));
        let calls = at(folder.path(), &now);
        assert_eq!(waits(&calls, "create", 2), [0, 550]);
        now.store(1_000_000, Ordering::Relaxed);
        assert_eq!(waits(&calls, "create", 2), [0, 550]);
        for junk in ["", "\0\0\0", "create", "create x\ncreate 99999999999999999\n"] {
            fs::write(folder.path().join("home.pace"), junk).unwrap();
            let anew = at(folder.path(), &now);
            assert_eq!(waits(&anew, "create", 1), [0], "{junk:?}");
        }
    }

    #[test]
    fn without_a_file_to_write_a_process_keeps_to_its_own_places() {
        let folder = tempfile::tempdir().unwrap();
        let now = Arc::new(AtomicI64::new(1_000_000));
        let calls = at(&folder.path().join("missing"), &now);
        assert_eq!(waits(&calls, "create", 3), [0, 550, 1100]);
    }
}
