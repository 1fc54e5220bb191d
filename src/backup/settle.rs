//! The settle rule: a file is read only when nobody is writing it any more.
//!
//! A file whose newest time stamp lies further back than `settle` is quiet at once; that is how a whole
//! library is found on the first day. Any other must be seen with the same fingerprint for as long as
//! `settle`. The second rule alone counts for files from the future and for a clock that jumps: a time
//! stamp never keeps a file waiting longer than that.
//!
//! Nothing here reads a clock or a disk: both come as arguments.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::content::{FilePath, Fingerprint, FolderId};

/// How many files a [`Settler`] watches over; more are left to the next scan.
pub const MOST_FILES: usize = 20_000;

/// The files that were seen and are not known to be quiet.
#[derive(Debug)]
pub struct Settler {
    settle_ms: i64,
    most: usize,
    files: HashMap<Arc<FilePath>, Waiting>,
    /// The same files by the time since which they look the same, the longest first.
    order: BTreeMap<(i64, u64), Arc<FilePath>>,
    /// Distinguishes files of the same millisecond.
    number: u64,
    folders: HashMap<FolderId, Settling>,
    overflowed: bool,
    last_ms: i64,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    print: Fingerprint,
    key: (i64, u64),
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
            last_ms: i64::MIN,
        }
    }

    /// Changes the time of quiet, milliseconds; counts for the files that settle already.
    pub fn set_settle(&mut self, settle_ms: u64) {
        self.settle_ms = i64::try_from(settle_ms).unwrap_or(i64::MAX);
    }

    /// A file was seen with this fingerprint. `now_ms` is the wall clock, milliseconds since 1970.
    pub fn see(&mut self, file: &FilePath, print: Fingerprint, now_ms: i64) -> Sight {
        self.clock(now_ms);
        if self.is_old(&print, now_ms) {
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
        self.keep(Arc::new(file.clone()), print, now_ms);
        Sight::Settling
    }

    /// When [`Settler::take_look`] has something to do, milliseconds since 1970; `None` while nothing settles.
    #[must_use]
    pub fn due(&self) -> Option<i64> {
        let ((since, _), _) = self.order.first_key_value()?;
        Some(since.saturating_add(self.settle_ms))
    }

    /// At most `most` files that have looked the same for long enough, with what they looked like: to be
    /// looked at again, and then [`Settler::looked`]. They go on to count as settling meanwhile.
    pub fn take_look(&mut self, now_ms: i64, most: usize) -> Vec<(FilePath, Fingerprint)> {
        self.clock(now_ms);
        let due =
            self.order.iter().take_while(|((since, _), _)| since.saturating_add(self.settle_ms) <= now_ms);
        due.take(most)
            .filter_map(|(_, file)| Some((FilePath::clone(file), self.files.get(file)?.print)))
            .collect()
    }

    /// A file of [`Settler::take_look`] was looked at again; `None` is gone, and forgotten. Returns its
    /// fingerprint when it is quiet: the caller takes it over and then calls [`Settler::forget`].
    pub fn looked(
        &mut self,
        file: &FilePath,
        before: Fingerprint,
        now: Option<Fingerprint>,
        now_ms: i64,
    ) -> Option<Fingerprint> {
        let (file, _) = self.files.get_key_value(file).map(|(file, waiting)| (Arc::clone(file), waiting))?;
        match now {
            None => self.forget(&file),
            Some(print) if print == before || self.is_old(&print, now_ms) => return Some(print),
            Some(print) => {
                self.forget(&file);
                // A settle of 0 must not keep us here.
                self.keep(file, print, now_ms.saturating_add(i64::from(self.settle_ms == 0)));
            }
        }
        None
    }

    /// [`Settler::take_look`] and [`Settler::looked`] for all that is due, with `stat`.
    #[cfg(test)]
    pub fn tick(
        &mut self,
        now_ms: i64,
        mut stat: impl FnMut(&FilePath) -> Option<Fingerprint>,
    ) -> Vec<(FilePath, Fingerprint)> {
        let mut quiet = Vec::new();
        for (file, before) in self.take_look(now_ms, usize::MAX) {
            let now = stat(&file);
            if let Some(print) = self.looked(&file, before, now, now_ms) {
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
    fn is_old(&self, print: &Fingerprint, now_ms: i64) -> bool {
        let touched_ms = print.touched_ns().div_euclid(1_000_000);
        touched_ms.saturating_add(self.settle_ms) < now_ms
    }

    fn keep(&mut self, file: Arc<FilePath>, print: Fingerprint, since_ms: i64) {
        self.number += 1;
        let key = (since_ms, self.number);
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

    /// When the clock is set back, all observation begins anew: nobody waits for a time that has gone.
    fn clock(&mut self, now_ms: i64) {
        if now_ms < self.last_ms {
            for ((_, number), file) in std::mem::take(&mut self.order) {
                let key = (now_ms, number);
                if let Some(waiting) = self.files.get_mut(&file) {
                    waiting.key = key;
                }
                self.order.insert(key, file);
            }
        }
        self.last_ms = now_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SETTLE: i64 = 10_000;
    const NOW: i64 = 1_700_000_000_000;

    fn file(name: &str) -> FilePath {
        FilePath::new(FolderId(1), name)
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
        assert_eq!(settler.see(&file("a"), print(1, NOW - SETTLE - 1), NOW), Sight::Quiet);
        assert_eq!(settler.due(), None);
        assert_eq!(settler.settling(FolderId(1)), Settling::default());
    }

    #[test]
    fn a_new_file_is_quiet_after_it_looked_the_same_for_the_time_of_settle() {
        let mut settler = settler();
        let now_looks = print(7, NOW - 10);
        assert_eq!(settler.see(&file("a"), now_looks, NOW), Sight::Settling);
        assert_eq!(settler.settling(FolderId(1)), Settling { files: 1, bytes: 7 });
        assert_eq!(settler.due(), Some(NOW + SETTLE));
        assert_eq!(settler.see(&file("a"), now_looks, NOW + 5000), Sight::Settling);
        assert!(settler.tick(NOW + SETTLE - 1, |_| panic!("too early")).is_empty());
        assert_eq!(settler.tick(NOW + SETTLE, |_| Some(now_looks)), [(file("a"), now_looks)]);
        assert_eq!((settler.due(), settler.settling(FolderId(1))), (None, Settling::default()));
    }

    #[test]
    fn a_growing_file_starts_anew_with_every_change() {
        let mut settler = settler();
        settler.see(&file("a"), print(1, NOW), NOW);
        settler.see(&file("a"), print(2, NOW + 4000), NOW + 4000);
        assert_eq!(settler.due(), Some(NOW + 4000 + SETTLE));
        let later = NOW + 4000 + SETTLE;
        assert!(settler.tick(later, |_| Some(print(3, later))).is_empty());
        assert_eq!(settler.settling(FolderId(1)), Settling { files: 1, bytes: 3 });
        assert_eq!(settler.due(), Some(later + SETTLE));
        assert_eq!(settler.tick(later + SETTLE, |_| Some(print(3, later))).len(), 1);
    }

    #[test]
    fn a_file_that_is_gone_is_forgotten() {
        let mut settler = settler();
        settler.see(&file("a"), print(1, NOW), NOW);
        assert!(settler.tick(NOW + SETTLE, |_| None).is_empty());
        assert_eq!(settler.due(), None);
        settler.see(&file("b"), print(1, NOW), NOW);
        settler.forget_folder(FolderId(1));
        assert_eq!((settler.due(), settler.settling(FolderId(1))), (None, Settling::default()));
    }

    #[test]
    fn a_file_from_the_future_waits_no_longer_than_others() {
        let mut settler = settler();
        let future = print(1, NOW + 1_000_000_000_000);
        assert_eq!(settler.see(&file("a"), future, NOW), Sight::Settling);
        assert_eq!(settler.tick(NOW + SETTLE, |_| Some(future)).len(), 1);
    }

    #[test]
    fn a_clock_that_is_set_back_begins_the_observation_anew() {
        let mut settler = settler();
        let looks = print(1, NOW);
        settler.see(&file("a"), looks, NOW);
        let back = NOW - 1_000_000_000;
        assert!(settler.tick(back, |_| Some(looks)).is_empty());
        assert_eq!(settler.due(), Some(back + SETTLE));
        assert_eq!(settler.tick(back + SETTLE, |_| Some(looks)).len(), 1);
    }

    #[test]
    fn more_files_than_it_can_watch_over_are_left_to_a_later_scan() {
        let mut settler = settler();
        settler.most = 2;
        assert_eq!(settler.see(&file("a"), print(1, NOW), NOW), Sight::Settling);
        assert_eq!(settler.see(&file("b"), print(1, NOW), NOW), Sight::Settling);
        assert_eq!(settler.see(&file("c"), print(1, NOW), NOW), Sight::Overflowed);
        assert_eq!(settler.see(&file("a"), print(2, NOW), NOW), Sight::Settling);
        assert!(settler.take_overflowed());
        assert!(!settler.take_overflowed());
    }

    #[test]
    fn without_a_settle_time_a_file_needs_one_second_look() {
        let mut settler = Settler::new(0);
        settler.see(&file("a"), print(1, NOW), NOW);
        let mut size = 1;
        let mut growing = |_: &FilePath| {
            size += 1;
            Some(print(size, NOW))
        };
        assert!(settler.tick(NOW, &mut growing).is_empty());
        assert!(settler.tick(NOW + 1, &mut growing).len() <= 1);
    }

    proptest! {
        /// Whatever happens to clock and files, a file that holds still comes out within two settle times.
        #[test]
        fn a_file_that_holds_still_always_comes_out(steps in prop::collection::vec((0..4u8, 0..3u8, -20_000i64..20_000), 0..60)) {
            let mut settler = settler();
            let mut now = NOW;
            let mut files: HashMap<FilePath, Fingerprint> = HashMap::new();
            for (what, which, jump) in steps {
                let name = file(&which.to_string());
                now += jump;
                match what {
                    0 => drop(files.remove(&name)),
                    1 => drop(settler.tick(now, |file| files.get(file).copied())),
                    _ => {
                        let print = print(u64::from(what), now + jump);
                        files.insert(name.clone(), print);
                        settler.see(&name, print, now);
                    }
                }
                let kept = settler.files.len() as u64;
                prop_assert_eq!(settler.order.len() as u64, kept);
                prop_assert_eq!(settler.settling(FolderId(1)).files, kept);
                let bytes: u64 = settler.files.values().map(|waiting| waiting.print.size).sum();
                prop_assert_eq!(settler.settling(FolderId(1)).bytes, bytes);
            }
            // They hold still from here on; the first tick may still see a change it did not know of.
            drop(settler.tick(now, |file| files.get(file).copied()));
            for _ in 0..2 {
                now += SETTLE;
                drop(settler.tick(now, |file| files.get(file).copied()));
            }
            prop_assert_eq!(settler.due(), None);
        }
    }
}
