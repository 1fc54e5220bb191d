//! The settle rule: a file is read only when nobody is writing it any more.
//!
//! A file whose newest time stamp lies further back than `settle` is quiet at once; that is how a whole
//! library is found on the first day. Any other must be seen with the same fingerprint for as long as
//! `settle`. The second rule alone counts for files from the future - a time stamp never keeps a file
//! waiting longer than that - and for `settle` after the wall clock was put forward: what is being written
//! looks old then.
//!
//! How long something looks the same is told by the steady clock, which nobody sets. Nothing here reads a
//! clock or a disk: both come as arguments.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::clock::Now;
use crate::content::{FilePath, Fingerprint, FolderId};

/// The wall clock was set when it moved so much further than the steady one, milliseconds.
const JUMP_MS: i64 = 1000;

/// How many files a [`Settler`] watches over; more are left to the next scan.
pub const MOST_FILES: usize = 20_000;

/// The files that were seen and are not known to be quiet.
#[derive(Debug)]
pub struct Settler {
    settle_ms: i64,
    most: usize,
    files: HashMap<Arc<FilePath>, Waiting>,
    /// The same files by folder and the steady time since which they look the same, the longest first.
    order: BTreeMap<Key, Arc<FilePath>>,
    /// Distinguishes files of the same millisecond.
    number: u64,
    folders: HashMap<FolderId, Settling>,
    overflowed: bool,
    /// How far the wall clock is ahead of the steady one.
    ahead_ms: Option<i64>,
    /// Until then, steady, time stamps say nothing.
    doubt_until_ms: i64,
}

type Key = (FolderId, i64, u64);

#[derive(Clone, Copy, Debug)]
struct Waiting {
    print: Fingerprint,
    key: Key,
}

/// What is settling in one folder.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Settling {
    /// Files.
    pub files: u64,
    /// Their bytes, as last seen.
    pub bytes: u64,
}

/// What a sighting means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sight {
    /// Nobody has written the file for long enough: take it.
    Quiet,
    /// It will come out of [`Settler::take_look`].
    Settling,
    /// There is no room to watch over it: a later scan has to find it again.
    Overflowed,
}

impl Settler {
    /// A settler with `settle_ms` milliseconds of quiet. Watches over [`MOST_FILES`] at most.
    #[must_use]
    pub fn new(settle_ms: u64) -> Self {
        Self {
            settle_ms: i64::try_from(settle_ms).unwrap_or(i64::MAX),
            most: MOST_FILES,
            files: HashMap::new(),
            order: BTreeMap::new(),
            number: 0,
            folders: HashMap::new(),
            overflowed: false,
            ahead_ms: None,
            doubt_until_ms: i64::MIN,
        }
    }

    /// Changes the time of quiet, milliseconds; counts for the files that settle already.
    pub fn set_settle(&mut self, settle_ms: u64) {
        self.settle_ms = i64::try_from(settle_ms).unwrap_or(i64::MAX);
    }

    /// A file was seen with this fingerprint.
    pub fn see(&mut self, file: &FilePath, print: Fingerprint, now: Now) -> Sight {
        self.clock(now);
        if self.is_old(&print, now) {
            self.forget(file);
            return Sight::Quiet;
        }
        match self.files.get(file) {
            Some(waiting) if waiting.print == print => return Sight::Settling,
            Some(_) => self.forget(file),
            None if self.files.len() >= self.most => {
                self.overflowed = true;
                return Sight::Overflowed;
            }
            None => {}
        }
        self.keep(Arc::new(file.clone()), print, now.steady_ms);
        Sight::Settling
    }

    /// When [`Settler::take_look`] has something to do in `folder`, on the steady clock; `None` while nothing
    /// settles there.
    #[must_use]
    pub fn due(&self, folder: FolderId) -> Option<i64> {
        let ((_, since, _), _) = self.order.range(all_of(folder)).next()?;
        Some(since.saturating_add(self.settle_ms))
    }

    /// At most `most` files of `folder` that have looked the same for long enough, with what they looked like:
    /// to be looked at again, and then [`Settler::looked`]. They go on to count as settling meanwhile.
    pub fn take_look(&mut self, folder: FolderId, now: Now, most: usize) -> Vec<(FilePath, Fingerprint)> {
        self.clock(now);
        self.order
            .range(all_of(folder))
            .take_while(|((_, since, _), _)| since.saturating_add(self.settle_ms) <= now.steady_ms)
            .take(most)
            .filter_map(|(_, file)| Some((FilePath::clone(file), self.files.get(file)?.print)))
            .collect()
    }

    /// A file of [`Settler::take_look`] was looked at again; `None` is gone, and forgotten. Returns its
    /// fingerprint when it is quiet: the caller takes it over and then calls [`Settler::forget`].
    pub fn looked(
        &mut self,
        file: &FilePath,
        before: Fingerprint,
        print: Option<Fingerprint>,
        now: Now,
    ) -> Option<Fingerprint> {
        self.clock(now);
        let (file, _) = self.files.get_key_value(file).map(|(file, waiting)| (Arc::clone(file), waiting))?;
        match print {
            None => self.forget(&file),
            Some(print) if print == before || self.is_old(&print, now) => return Some(print),
            Some(print) => {
                self.forget(&file);
                // A settle of 0 must not keep us here.
                self.keep(file, print, now.steady_ms.saturating_add(i64::from(self.settle_ms == 0)));
            }
        }
        None
    }

    /// [`Settler::take_look`] and [`Settler::looked`] for all that is due, with `stat`.
    #[cfg(test)]
    pub fn tick(
        &mut self,
        now: Now,
        mut stat: impl FnMut(&FilePath) -> Option<Fingerprint>,
    ) -> Vec<(FilePath, Fingerprint)> {
        let mut quiet = Vec::new();
        for (file, before) in self.take_look(FolderId(1), now, usize::MAX) {
            let print = stat(&file);
            if let Some(print) = self.looked(&file, before, print, now) {
                self.forget(&file);
                quiet.push((file, print));
            }
        }
        quiet
    }

    /// Stops watching over a file.
    pub fn forget(&mut self, file: &FilePath) {
        if let Some(waiting) = self.files.remove(file) {
            self.order.remove(&waiting.key);
            self.count(file.folder, |settling| {
                settling.files -= 1;
                settling.bytes = settling.bytes.saturating_sub(waiting.print.size);
            });
        }
    }

    /// Stops watching over a folder's files.
    pub fn forget_folder(&mut self, folder: FolderId) {
        self.files.retain(|file, _| file.folder != folder);
        self.order.retain(|_, file| file.folder != folder);
        self.folders.remove(&folder);
    }

    /// What is settling in `folder`.
    #[must_use]
    pub fn settling(&self, folder: FolderId) -> Settling {
        self.folders.get(&folder).copied().unwrap_or_default()
    }

    /// Whether a file found no room since the last time this was asked: scan again later.
    pub fn take_overflowed(&mut self) -> bool {
        std::mem::take(&mut self.overflowed)
    }

    /// Newest time stamp older than `settle`, and not of the future.
    fn is_old(&self, print: &Fingerprint, now: Now) -> bool {
        let touched_ms = print.touched_ns().div_euclid(1_000_000);
        now.steady_ms >= self.doubt_until_ms && touched_ms.saturating_add(self.settle_ms) < now.wall_ms
    }

    fn keep(&mut self, file: Arc<FilePath>, print: Fingerprint, since_ms: i64) {
        self.number += 1;
        let key = (file.folder, since_ms, self.number);
        self.count(file.folder, |settling| {
            settling.files += 1;
            settling.bytes = settling.bytes.saturating_add(print.size);
        });
        self.order.insert(key, Arc::clone(&file));
        self.files.insert(file, Waiting { print, key });
    }

    fn count(&mut self, folder: FolderId, change: impl FnOnce(&mut Settling)) {
        let settling = self.folders.entry(folder).or_default();
        change(settling);
        if settling.files == 0 {
            self.folders.remove(&folder);
        }
    }

    /// Notices that the wall clock was put forward. What was written a moment ago carries a time stamp of
    /// long ago now; after one `settle` whoever is still writing has left a new one.
    fn clock(&mut self, now: Now) {
        let ahead_ms = now.wall_ms.saturating_sub(now.steady_ms);
        if self.ahead_ms.is_some_and(|before| ahead_ms > before.saturating_add(JUMP_MS)) {
            self.doubt_until_ms = now.steady_ms.saturating_add(self.settle_ms);
        }
        self.ahead_ms = Some(ahead_ms);
    }
}

/// The keys of one folder.
fn all_of(folder: FolderId) -> RangeInclusive<Key> {
    (folder, i64::MIN, 0)..=(folder, i64::MAX, u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SETTLE: i64 = 10_000;
    const NOW: i64 = 1_700_000_000_000;
    const ONE: FolderId = FolderId(1);

    /// This moment, where nobody sets the clock.
    fn at(wall_ms: i64) -> Now {
        Now { wall_ms, steady_ms: wall_ms - NOW }
    }

    fn file(name: &str) -> FilePath {
        FilePath::new(ONE, name)
    }

    fn print(size: u64, touched_ms: i64) -> Fingerprint {
        Fingerprint { size, mtime_ns: 0, ctime_ns: touched_ms * 1_000_000 }
    }

    fn settler() -> Settler {
        Settler::new(SETTLE as u64)
    }

    #[test]
    fn an_old_file_is_quiet_at_once() {
        let mut settler = settler();
        assert_eq!(settler.see(&file("a"), print(1, NOW - SETTLE - 1), at(NOW)), Sight::Quiet);
        assert_eq!(settler.due(ONE), None);
        assert_eq!(settler.settling(ONE), Settling::default());
    }

    #[test]
    fn a_new_file_is_quiet_after_it_looked_the_same_for_the_time_of_settle() {
        let mut settler = settler();
        let now_looks = print(7, NOW - 10);
        assert_eq!(settler.see(&file("a"), now_looks, at(NOW)), Sight::Settling);
        assert_eq!(settler.settling(ONE), Settling { files: 1, bytes: 7 });
        assert_eq!(settler.due(ONE), Some(SETTLE));
        assert_eq!(settler.see(&file("a"), now_looks, at(NOW + 5000)), Sight::Settling);
        assert!(settler.tick(at(NOW + SETTLE - 1), |_| panic!("too early")).is_empty());
        assert_eq!(settler.tick(at(NOW + SETTLE), |_| Some(now_looks)), [(file("a"), now_looks)]);
        assert_eq!((settler.due(ONE), settler.settling(ONE)), (None, Settling::default()));
    }

    #[test]
    fn a_growing_file_starts_anew_with_every_change() {
        let mut settler = settler();
        settler.see(&file("a"), print(1, NOW), at(NOW));
        settler.see(&file("a"), print(2, NOW + 4000), at(NOW + 4000));
        assert_eq!(settler.due(ONE), Some(4000 + SETTLE));
        let later = NOW + 4000 + SETTLE;
        assert!(settler.tick(at(later), |_| Some(print(3, later))).is_empty());
        assert_eq!(settler.settling(ONE), Settling { files: 1, bytes: 3 });
        assert_eq!(settler.due(ONE), Some(later - NOW + SETTLE));
        assert_eq!(settler.tick(at(later + SETTLE), |_| Some(print(3, later))).len(), 1);
    }

    #[test]
    fn a_file_that_is_gone_is_forgotten() {
        let mut settler = settler();
        settler.see(&file("a"), print(1, NOW), at(NOW));
        assert!(settler.tick(at(NOW + SETTLE), |_| None).is_empty());
        assert_eq!(settler.due(ONE), None);
        settler.see(&file("b"), print(1, NOW), at(NOW));
        settler.forget_folder(ONE);
        assert_eq!((settler.due(ONE), settler.settling(ONE)), (None, Settling::default()));
    }

    #[test]
    fn a_file_from_the_future_waits_no_longer_than_others() {
        let mut settler = settler();
        let future = print(1, NOW + 1_000_000_000_000);
        assert_eq!(settler.see(&file("a"), future, at(NOW)), Sight::Settling);
        assert_eq!(settler.tick(at(NOW + SETTLE), |_| Some(future)).len(), 1);
    }

    #[test]
    fn a_wall_clock_that_jumps_neither_shortens_nor_prolongs_the_observation() {
        for jump in [-1_000_000_000_000, -1_000_000, 1_000_000, 1_000_000_000_000] {
            let mut settler = settler();
            let looks = print(1, NOW);
            settler.see(&file("a"), looks, at(NOW));
            let jumped = |steady_ms| Now { wall_ms: NOW + jump + steady_ms, steady_ms };
            assert_eq!(settler.see(&file("a"), looks, jumped(SETTLE / 2)), Sight::Settling, "{jump}");
            assert!(settler.tick(jumped(SETTLE - 1), |_| panic!("too early")).is_empty());
            // It went on being written: the time stamp is of the new time, and may look old or new.
            let grown = print(2, NOW + jump + SETTLE - 1);
            assert!(settler.tick(jumped(SETTLE), |_| Some(grown)).is_empty(), "{jump}");
            assert_eq!(settler.tick(jumped(2 * SETTLE), |_| Some(grown)).len(), 1, "{jump}");
        }
    }

    #[test]
    fn after_a_jump_forward_an_old_time_stamp_counts_again_once_a_settle_has_passed() {
        let mut settler = settler();
        let old = print(1, NOW - 1_000_000);
        assert_eq!(settler.see(&file("a"), old, at(NOW)), Sight::Quiet);
        let jumped = |steady_ms| Now { wall_ms: NOW + 1_000_000_000 + steady_ms, steady_ms };
        assert_eq!(settler.see(&file("b"), print(1, NOW), jumped(5)), Sight::Settling);
        assert_eq!(settler.see(&file("c"), print(1, NOW), jumped(5 + SETTLE)), Sight::Quiet);
        // A clock that runs a little fast is not one that was set.
        assert_eq!(
            settler.see(
                &file("d"),
                old,
                Now { wall_ms: NOW + 1_000_000_900 + SETTLE, steady_ms: SETTLE + 5 }
            ),
            Sight::Quiet
        );
    }

    #[test]
    fn each_folder_settles_by_itself() {
        let mut settler = settler();
        let two = FilePath::new(FolderId(2), "b");
        settler.see(&file("a"), print(1, NOW), at(NOW));
        settler.see(&two, print(1, NOW), at(NOW + 5));
        assert_eq!((settler.due(ONE), settler.due(FolderId(2))), (Some(SETTLE), Some(SETTLE + 5)));
        assert_eq!(settler.take_look(FolderId(2), at(NOW + 2 * SETTLE), 9), [(two, print(1, NOW))]);
    }

    #[test]
    fn more_files_than_it_can_watch_over_are_left_to_a_later_scan() {
        let mut settler = settler();
        settler.most = 2;
        assert_eq!(settler.see(&file("a"), print(1, NOW), at(NOW)), Sight::Settling);
        assert_eq!(settler.see(&file("b"), print(1, NOW), at(NOW)), Sight::Settling);
        assert_eq!(settler.see(&file("c"), print(1, NOW), at(NOW)), Sight::Overflowed);
        assert_eq!(settler.see(&file("a"), print(2, NOW), at(NOW)), Sight::Settling);
        assert!(settler.take_overflowed());
        assert!(!settler.take_overflowed());
    }

    #[test]
    fn without_a_settle_time_a_file_needs_one_second_look() {
        let mut settler = Settler::new(0);
        settler.see(&file("a"), print(1, NOW), at(NOW));
        let mut size = 1;
        let mut growing = |_: &FilePath| {
            size += 1;
            Some(print(size, NOW))
        };
        assert!(settler.tick(at(NOW), &mut growing).is_empty());
        assert!(settler.tick(at(NOW + 1), &mut growing).len() <= 1);
    }

    proptest! {
        /// Whatever happens to clock and files, a file that holds still comes out within two settle times.
        #[test]
        fn a_file_that_holds_still_always_comes_out(steps in prop::collection::vec((0..4u8, 0..3u8, -20_000i64..20_000), 0..60)) {
            let mut settler = settler();
            // The steady clock goes on by as much as the wall clock jumps, forwards or backwards.
            let mut now = at(NOW);
            let mut files: HashMap<FilePath, Fingerprint> = HashMap::new();
            for (what, which, jump) in steps {
                let name = file(&which.to_string());
                now = Now { wall_ms: now.wall_ms + jump, steady_ms: now.steady_ms + jump.abs() };
                match what {
                    0 => drop(files.remove(&name)),
                    1 => drop(settler.tick(now, |file| files.get(file).copied())),
                    _ => {
                        let print = print(u64::from(what), now.wall_ms + jump);
                        files.insert(name.clone(), print);
                        settler.see(&name, print, now);
                    }
                }
                let kept = settler.files.len() as u64;
                prop_assert_eq!(settler.order.len() as u64, kept);
                prop_assert_eq!(settler.settling(ONE).files, kept);
                let bytes: u64 = settler.files.values().map(|waiting| waiting.print.size).sum();
                prop_assert_eq!(settler.settling(ONE).bytes, bytes);
            }
            // They hold still from here on; the first tick may still see a change it did not know of.
            drop(settler.tick(now, |file| files.get(file).copied()));
            for _ in 0..2 {
                now = Now { wall_ms: now.wall_ms + SETTLE, steady_ms: now.steady_ms + SETTLE };
                drop(settler.tick(now, |file| files.get(file).copied()));
            }
            prop_assert_eq!(settler.due(ONE), None);
        }
    }
}
