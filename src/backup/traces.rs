//! What a file leaves when it is renamed or moved: from when it was changed, and its length, to the file.
//!
//! So a file under a new name is found to be one that is in the cloud already, and is copied there instead
//! of being sent. What stands here are hints: whoever follows one asks the index whether that file's copy
//! has the content in question. A hint that is lost costs the uplink one file; none costs more.
//!
//! The content's MD5 would be the obvious key, and find a content whose time was changed too. But files that
//! come together are far from each other by MD5: each would change a record of its own, and 100,000 files
//! took 40 MiB of the disk. By time they are neighbours and share records, as they do in the index. Changes
//! gather in RAM and go out with the index's, in one batch.
//!
//! # Layout
//!
//! ```text
//! h  trace   hints in order of their traces, from this one (none in the first) to the next record's
//! i          how far they are made: 1, then nothing (all), or the folder and path after which to go on
//!
//! a hint:    trace (8 bytes), folder, length of the path, path; of one trace the newest last
//! ```
//!
//! A database of a version without hints, or one of whose records of hints was damaged, has them made
//! anew: a pass over the index, a few pages at a time between commits ([`Traces::unmade`]).

use std::collections::BTreeMap;
use std::ops::Range;

use crate::content::{FilePath, Fingerprint, FolderId};
use crate::store::{Batch, Malformed, Reader, Result, Store, Writer};

/// A record is split in two when it has grown past this many bytes.
const FULL: usize = 1024;
/// Files of one trace that are remembered. Their hints stand in one record, which has to stay below
/// [`crate::store::MAX_VALUE`].
const ALIKE: usize = 8;
/// Longer paths, bytes, are not remembered.
const LONGEST: usize = 450;

const HINTS: &[u8] = b"h";
const MADE: &[u8] = b"i";

/// When a file's content was changed, to two seconds - some file systems know it no better - and its
/// length, as far as they tell a file from others. In order of time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Trace([u8; 8]);

impl Trace {
    /// That of a version of a file.
    #[must_use]
    pub fn of(print: &Fingerprint) -> Self {
        let time = print.mtime_secs().div_euclid(2).saturating_add(1 << 31).clamp(0, u32::MAX.into());
        let time = u32::try_from(time).unwrap_or(0);
        let [.., a, b, c, d] = print.size.to_be_bytes();
        let [e, f, g, h] = time.to_be_bytes();
        Self([e, f, g, h, a, b, c, d])
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Traces {
    /// Records changed since the last [`Traces::take_changes`]; empty means to be removed.
    changed: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Where the pass over the index goes on; `None`: there is a hint for everything.
    unmade: Option<Place>,
    /// `unmade` is not yet in a batch.
    moved: bool,
}

/// A place in the index: a folder, and the path in it after which to go on.
pub type Place = (FolderId, Option<Box<[u8]>>);

/// The place before everything.
const START: Place = (FolderId(0), None);

impl Traces {
    /// As the store has it. Of a database without hints all are to be made, unless it `is_new`.
    ///
    /// # Errors
    /// The store fails.
    pub fn open(store: &Store, is_new: bool) -> Result<Self> {
        let made = store.get(MADE)?;
        let unmade = match &made {
            Some(record) => read_place(record).unwrap_or(Some(START)),
            None if is_new => None,
            None => Some(START),
        };
        Ok(Self { changed: BTreeMap::new(), unmade, moved: made.is_none() })
    }

    /// The files that left this trace, the newest first.
    ///
    /// # Errors
    /// The store fails.
    pub fn find(&mut self, store: &Store, trace: Trace) -> Result<Vec<FilePath>> {
        let (_, record) = self.record_of(store, &trace)?;
        let hints = hints_of(&record, &trace).unwrap_or_default();
        Ok(hints.into_iter().rev().map(|hint| hint.path).collect())
    }

    /// The trace of a file that the cloud has was `before` and is `after` now.
    ///
    /// # Errors
    /// The store fails.
    pub fn change(
        &mut self,
        store: &Store,
        path: &FilePath,
        before: Option<Trace>,
        after: Option<Trace>,
    ) -> Result<()> {
        if before == after {
            return Ok(());
        }
        if let Some(before) = before {
            self.remove(store, before, path)?;
        }
        after.map_or(Ok(()), |after| self.add(store, after, path))
    }

    /// The cloud has this file.
    ///
    /// # Errors
    /// The store fails.
    pub fn add(&mut self, store: &Store, trace: Trace, path: &FilePath) -> Result<()> {
        if path.below.len() > LONGEST {
            return Ok(());
        }
        let (key, mut record) = self.record_of(store, &trace)?;
        let hints = hints_of(&record, &trace).unwrap_or_default();
        if hints.iter().any(|hint| hint.path == *path) {
            return Ok(());
        }
        let mut writer = Writer::new();
        writer.fixed(&trace.0).number(path.folder.0.into()).bytes(&path.below);
        let at = match hints.last() {
            Some(newest) => newest.at.end,
            None => place_of(&record, &trace).unwrap_or(record.len()),
        };
        record.splice(at..at, writer.finish());
        if hints.len() >= ALIKE {
            record.drain(hints[0].at.clone());
        }
        self.split(key, record);
        Ok(())
    }

    fn remove(&mut self, store: &Store, trace: Trace, path: &FilePath) -> Result<()> {
        let (key, mut record) = self.record_of(store, &trace)?;
        let hints = hints_of(&record, &trace).unwrap_or_default();
        if let Some(hint) = hints.iter().find(|hint| hint.path == *path) {
            record.drain(hint.at.clone());
            self.changed.insert(key, record);
        }
        Ok(())
    }

    /// Packs the changes for a batch. They are readable from the store once it is applied, which must
    /// happen before anything is asked again.
    pub fn take_changes(&mut self, batch: &mut Batch) {
        for (key, record) in std::mem::take(&mut self.changed) {
            let payload = (!record.is_empty()).then_some(record);
            batch.push((key, payload));
        }
        if std::mem::take(&mut self.moved) {
            batch.push((MADE.to_vec(), Some(write_place(self.unmade.as_ref()))));
        }
    }

    /// Where in the index the files begin that may have no hint; `None`: nowhere.
    #[must_use]
    pub fn unmade(&self) -> Option<&Place> {
        self.unmade.as_ref()
    }

    /// There are hints for all files before this place; `None`: for all.
    pub fn made(&mut self, until: Option<Place>) {
        (self.unmade, self.moved) = (until, true);
    }

    /// The record where hints of this trace are or would be, and its key.
    fn record_of(&mut self, store: &Store, trace: &Trace) -> Result<(Vec<u8>, Vec<u8>)> {
        let wanted = [HINTS, &trace.0[..]].concat();
        let in_ram = self.changed.range(HINTS.to_vec()..=wanted.clone()).next_back();
        let stored = store.at_or_before(HINTS, &wanted)?;
        let (key, payload) = match (in_ram, stored) {
            (Some((key, record)), Some((stored, _))) if *key >= stored => (key.clone(), Some(record.clone())),
            (_, Some(stored)) => stored,
            (Some((key, record)), None) => (key.clone(), Some(record.clone())),
            (None, None) => (HINTS.to_vec(), Some(Vec::new())),
        };
        let is_whole = payload.as_ref().is_some_and(|record| hints(record).all(|hint| hint.is_ok()));
        if is_whole {
            return Ok((key, payload.unwrap_or_default()));
        }
        if payload.is_some() {
            store.note_damage();
        }
        // Written anew, so that it is not damaged for ever; and what it held is looked for.
        self.changed.insert(key.clone(), Vec::new());
        self.made(Some(START));
        Ok((key, Vec::new()))
    }

    /// Keeps a record, as two when it has grown too large. Hints of one trace stay together.
    fn split(&mut self, key: Vec<u8>, mut record: Vec<u8>) {
        if record.len() > FULL {
            let all: Vec<Hint> = hints(&record).flatten().collect();
            let starts = all.windows(2).filter(|pair| pair[0].trace != pair[1].trace).map(|pair| &pair[1]);
            let half = record.len() / 2;
            if let Some(middle) = starts.min_by_key(|hint| hint.at.start.abs_diff(half)) {
                let upper = record.split_off(middle.at.start);
                self.split([HINTS, &middle.trace.0[..]].concat(), upper);
                return self.split(key, record);
            }
        }
        self.changed.insert(key, record);
    }
}

/// One hint, and where in its record it stands.
struct Hint {
    trace: Trace,
    path: FilePath,
    at: Range<usize>,
}

/// The hints of a record, in its order; an error ends them.
fn hints(record: &[u8]) -> impl Iterator<Item = std::result::Result<Hint, Malformed>> {
    let mut rest = record;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let start = record.len() - rest.len();
        let mut reader = Reader::new(rest);
        let hint = (|| {
            let trace = Trace(reader.array()?);
            let folder = FolderId(reader.small()?);
            let below = reader.bytes()?.into();
            let at = start..record.len() - reader.left();
            Ok(Hint { trace, path: FilePath { folder, below }, at })
        })();
        rest = hint.as_ref().map_or(&[], |hint| &record[hint.at.end..]);
        Some(hint)
    })
}

/// Those of one trace.
fn hints_of(record: &[u8], trace: &Trace) -> std::result::Result<Vec<Hint>, Malformed> {
    hints(record).filter(|hint| hint.as_ref().is_ok_and(|hint| hint.trace == *trace)).collect()
}

/// Where the first hint of a later trace begins.
fn place_of(record: &[u8], trace: &Trace) -> Option<usize> {
    hints(record).flatten().find(|hint| hint.trace > *trace).map(|hint| hint.at.start)
}

fn write_place(place: Option<&Place>) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.byte(1);
    if let Some((folder, after)) = place {
        writer.number(folder.0.into());
        if let Some(after) = after {
            writer.bytes(after);
        }
    }
    writer.finish()
}

/// What [`write_place`] wrote; `None` when it is not one of ours.
fn read_place(record: &[u8]) -> Option<Option<Place>> {
    let mut reader = Reader::new(record);
    (reader.byte().ok()? == 1).then_some(())?;
    if reader.is_empty() {
        return Some(None);
    }
    let folder = FolderId(reader.small().ok()?);
    let after = if reader.is_empty() { None } else { Some(reader.bytes().ok()?.into()) };
    Some(Some((folder, after)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store;
    use proptest::prelude::*;

    fn opened() -> (tempfile::TempDir, Store, Traces) {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(folder.path()).unwrap();
        let traces = Traces::open(&store, true).unwrap();
        (folder, store, traces)
    }

    fn write(traces: &mut Traces, store: &Store) {
        let mut batch = Batch::new();
        traces.take_changes(&mut batch);
        for (key, payload) in &batch {
            assert!(payload.as_ref().is_none_or(|payload| payload.len() <= store::MAX_VALUE), "{key:?}");
        }
        store.apply(&batch).unwrap();
    }

    fn trace(number: u32) -> Trace {
        // One every second, so that some are of the same two, and of the same length.
        let mtime_ns = i64::from(number) * 1_000_000_000;
        Trace::of(&Fingerprint { size: u64::from(number % 2) << 20, mtime_ns, ctime_ns: 0 })
    }

    fn path(number: u32) -> FilePath {
        FilePath { folder: FolderId(number % 3), below: format!("2024/{number}.jpg").into_bytes().into() }
    }

    /// A long one now and then, so that a record's split comes to all its cases.
    fn odd_path(number: u32) -> FilePath {
        let stem = if number.is_multiple_of(4) { "x".repeat(430) } else { String::new() };
        FilePath { folder: FolderId(number % 3), below: format!("{stem}{number}").into_bytes().into() }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_newest_files_of_each_trace_are_known(
            steps in proptest::collection::vec((0_u32..40, 0_u32..6, 0_u8..10), 1..400),
        ) {
            let (_folder, store, mut traces) = opened();
            let mut model: BTreeMap<u32, Vec<FilePath>> = BTreeMap::new();
            let mut has: BTreeMap<FilePath, u32> = BTreeMap::new();
            for (file, content, action) in steps {
                let path = odd_path(file);
                match action {
                    0 => write(&mut traces, &store),
                    _ => {
                        let after = (action > 2).then_some(content);
                        let before = match after {
                            Some(content) => has.insert(path.clone(), content),
                            None => has.remove(&path),
                        };
                        traces.change(&store, &path, before.map(trace), after.map(trace)).unwrap();
                        if before == after {
                            continue;
                        }
                        if let Some(before) = before {
                            model.entry(before).or_default().retain(|known| *known != path);
                        }
                        if let Some(after) = after {
                            let all = model.entry(after).or_default();
                            all.insert(0, path);
                            all.truncate(ALIKE);
                        }
                    }
                }
            }
            for _ in 0..2 {
                for content in 0..6 {
                    let known = traces.find(&store, trace(content)).unwrap();
                    prop_assert_eq!(&known, model.entry(content).or_default());
                }
                write(&mut traces, &store);
            }
        }

        #[test]
        fn a_record_of_junk_is_made_anew_without_a_panic(junk: Vec<u8>) {
            let (_folder, store, mut traces) = opened();
            store.apply(&vec![(HINTS.to_vec(), Some(junk.clone())), (MADE.to_vec(), Some(junk))]).unwrap();
            let _ = Traces::open(&store, false).unwrap();
            let _ = traces.find(&store, trace(1)).unwrap();
            traces.add(&store, trace(1), &path(1)).unwrap();
            write(&mut traces, &store);
            prop_assert_eq!(traces.find(&store, trace(1)).unwrap(), [path(1)]);
        }
    }

    #[test]
    fn thousands_of_hints_are_found_in_small_records() {
        let (_folder, store, mut traces) = opened();
        for number in 0..5000 {
            traces.add(&store, trace(number), &path(number)).unwrap();
            if number % 64 == 0 {
                write(&mut traces, &store);
            }
        }
        write(&mut traces, &store);
        let records = store.page(HINTS, HINTS, usize::MAX).unwrap();
        let bytes: usize = records.iter().map(|(_, payload)| payload.as_ref().unwrap().len()).sum();
        assert!(records.iter().all(|(_, payload)| payload.as_ref().unwrap().len() <= FULL));
        assert!(records.len() < 5000 / 15 && bytes < 5000 * 30, "{} records, {bytes} bytes", records.len());
        for number in 0..5000 {
            assert_eq!(traces.find(&store, trace(number)).unwrap(), [path(number)]);
        }
        assert!(traces.find(&store, trace(5000)).unwrap().is_empty());
    }

    #[test]
    fn a_trace_is_the_same_where_times_are_less_exact_and_in_order_of_time() {
        let of = |size, mtime_ns| Trace::of(&Fingerprint { size, mtime_ns, ctime_ns: 0 });
        let second = 1_000_000_000;
        assert_eq!(of(7, 100 * second), of(7, 101 * second + 999_999_999));
        assert_ne!(of(7, 100 * second), of(7, 102 * second));
        assert_ne!(of(7, 100 * second), of(8, 100 * second));
        let times = [i64::MIN, -9 * second, -1, 0, 5 * second, 1_795_000_000 * second, i64::MAX];
        assert!(times.is_sorted_by_key(|time| of(7, *time)), "{:?}", times.map(|time| of(7, time)));
        assert_ne!(of(7, -1), of(7, 0));
    }

    #[test]
    fn how_far_hints_are_made_is_kept() {
        let (_folder, store, mut traces) = opened();
        assert_eq!(traces.unmade(), None);
        assert_eq!(Traces::open(&store, false).unwrap().unmade(), Some(&START), "of a version without hints");
        write(&mut traces, &store);
        assert_eq!(Traces::open(&store, false).unwrap().unmade(), None);
        for place in [(FolderId(7), None), (FolderId(8), Some(b"a/b"[..].into()))] {
            traces.made(Some(place.clone()));
            write(&mut traces, &store);
            assert_eq!(Traces::open(&store, false).unwrap().unmade(), Some(&place));
        }
    }
}
