//! What the queue keeps in RAM for one folder: its counts, and which waiting file comes next.
//!
//! All of it is bounded and can be found again from the index: a million waiting files cost a thousand
//! names here, and a cursor that walks the index for more.

use std::collections::{BTreeSet, VecDeque};

use super::entry::{Entry, Standing};
use crate::status::Counts;

/// Names that are ready to be claimed: more than a page of the index has. Tests want to see it full.
const READY: usize = if cfg!(test) { 16 } else { 1024 };
/// With more names than [`DUE`] the rest is looked for at most this often, milliseconds. Tests want each
/// file at its time.
const LOOK_AGAIN_MS: i64 = if cfg!(test) { 0 } else { 600_000 };
/// Longer than any back-off, milliseconds.
const LONGEST_MS: i64 = 8 * 3_600_000;
/// Names that wait for their time.
const DUE: usize = if cfg!(test) { 2 } else { 4096 };

/// One folder's share of the queue.
#[derive(Debug, Default)]
pub struct Shelf {
    /// As the index stands, durable or not.
    pub counts: Counts,
    /// The counts are not yet in a batch.
    pub counts_changed: bool,
    /// Closed as done, not yet in a batch.
    pub fresh: Unconfirmed,
    /// Closed as done and in a batch that is not yet flushed.
    pub flushing: Unconfirmed,
    ready: VecDeque<Box<[u8]>>,
    due: BTreeSet<(i64, Box<[u8]>)>,
    /// The index holds waiting files that are neither in `ready` nor in `due`.
    behind: Option<Pass>,
    /// `due` was full: files that fall due from then on are not in it, and have to be looked for.
    look_again_ms: Option<i64>,
    /// When they were looked for last.
    looked_ms: Option<i64>,
}

/// Done in RAM, not yet on the disk: shown as waiting.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Unconfirmed {
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A pass over the index in search of waiting files.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Pass {
    after: Option<Box<[u8]>>,
    /// It began at the start, so that its end is the end of the search.
    from_start: bool,
}

impl Shelf {
    /// A folder whose index says so many files wait.
    #[must_use]
    pub fn new(counts: Counts) -> Self {
        let behind = (counts.waiting > 0).then_some(Pass { after: None, from_start: true });
        Self { counts, behind, ..Self::default() }
    }

    /// The counts as a person may see them: done means on the disk.
    #[must_use]
    pub fn durable_counts(&self) -> Counts {
        let files = self.fresh.files + self.flushing.files;
        let bytes = self.fresh.bytes + self.flushing.bytes;
        // A file closed as done can have been replaced or have gone since.
        let files = files.min(self.counts.backed_up);
        Counts {
            backed_up: self.counts.backed_up - files,
            waiting: self.counts.waiting + files,
            bytes_waiting: self.counts.bytes_waiting + if files == 0 { 0 } else { bytes },
            ..self.counts
        }
    }

    /// Keeps the counts as an entry becomes another.
    pub fn recount(&mut self, before: Option<&Entry>, after: Option<&Entry>) {
        let count = |counts: &mut Counts, entry: &Entry, add: bool| {
            let step = |field: &mut u64, by: u64| {
                // Damaged counts are put right by the next whole look; they never wrap.
                *field = if add { field.saturating_add(by) } else { field.saturating_sub(by) };
            };
            step(&mut counts.bytes, entry.print.size);
            step(&mut counts.files, 1);
            match entry.standing {
                Standing::Waiting => {
                    step(&mut counts.waiting, 1);
                    step(&mut counts.bytes_waiting, entry.print.size);
                }
                Standing::BackedUp => step(&mut counts.backed_up, 1),
                Standing::Failed => step(&mut counts.failed, 1),
                Standing::Skipped(_) => step(&mut counts.skipped, 1),
            }
        };
        if let Some(entry) = before.filter(|entry| !entry.gone) {
            count(&mut self.counts, entry, false);
        }
        if let Some(entry) = after.filter(|entry| !entry.gone) {
            count(&mut self.counts, entry, true);
        }
        self.counts_changed = true;
    }

    /// A file waits from now on.
    pub fn push(&mut self, below: &[u8]) {
        if self.ready.len() < READY {
            self.ready.push_back(below.into());
        } else {
            let pass = self.behind.get_or_insert_default();
            pass.from_start = false;
        }
    }

    /// A file waits for its time. The nearest times are kept; the others are looked for when theirs come.
    pub fn push_due(&mut self, due_ms: i64, below: &[u8]) {
        if self.look_again_ms.is_some_and(|at| at <= due_ms) {
            return;
        }
        self.due.insert((due_ms, below.into()));
        if self.due.len() > DUE {
            self.look_again_ms = self.due.pop_last().map(|(latest, _)| latest);
        }
    }

    /// From when on the files that are not in `due` may be looked for: a pass over the index is for many.
    fn next_look_ms(&self, now_ms: i64) -> Option<i64> {
        // A last look that is still to come was taken while the clock was ahead.
        let looked = self.looked_ms.filter(|&looked| looked <= now_ms);
        let soonest = looked.map_or(i64::MIN, |looked| looked.saturating_add(LOOK_AGAIN_MS));
        self.look_again_ms.map(|at| at.max(soonest))
    }

    /// Everything that waits for its time is to be looked at now.
    pub fn hurry(&mut self) {
        self.due.clear();
        (self.look_again_ms, self.looked_ms) = (None, None);
        self.behind = Some(Pass { after: None, from_start: true });
    }

    /// The next name to look at: overdue ones first.
    pub fn pop(&mut self, now_ms: i64) -> Option<Box<[u8]>> {
        let first = self.due.first().map(|(due, _)| *due).or(self.look_again_ms);
        if first.is_some_and(|due| due.saturating_sub(now_ms) > LONGEST_MS) {
            // All of it was put there while the clock was ahead.
            self.hurry();
        }
        if self.due.first().is_some_and(|(due, _)| *due <= now_ms) {
            return self.due.pop_first().map(|(_, below)| below);
        }
        if self.next_look_ms(now_ms).is_some_and(|at| at <= now_ms) {
            (self.look_again_ms, self.looked_ms) = (None, Some(now_ms));
            match &mut self.behind {
                Some(pass) => pass.from_start = false,
                None => self.behind = Some(Pass { after: None, from_start: true }),
            }
        }
        self.ready.pop_front()
    }

    /// Where the search for more goes on, while there is one: `Some(after)`.
    #[must_use]
    pub fn search(&self) -> Option<Option<Box<[u8]>>> {
        self.behind.as_ref().map(|pass| pass.after.clone())
    }

    /// The search has seen a page; an empty one is the end of the index.
    pub fn searched(&mut self, page: &[Entry]) {
        let Some(pass) = &mut self.behind else { return };
        match page.last() {
            Some(last) => pass.after = Some(last.below.clone()),
            None if pass.from_start => self.behind = None,
            None => *pass = Pass { after: None, from_start: true },
        }
    }

    /// When the next file falls due.
    #[must_use]
    pub fn next_due_ms(&self, now_ms: i64) -> Option<i64> {
        let first = self.due.first().map(|(due, _)| *due);
        [first, self.next_look_ms(now_ms)].into_iter().flatten().min()
    }
}
