//! The index: every file we know of, in few small records that a walk passes in its own order.
//!
//! A record holds neighbouring files; its key is a lower bound of their paths. Changes gather in RAM
//! and go out together, so a hundred photos of one folder cost two or three records, not a hundred.
//! A record that does not read back is dropped: its files are found again by the next look.

use std::collections::BTreeMap;

use super::entry::{Entry, Lines, order, order_key, pack, unpack};
use crate::content::{FilePath, FolderId};
use crate::store::{self, Batch, Malformed, Store};

/// A record is split in two before its payload grows past this many bytes. With larger ones each change writes
/// more, and sled, which keeps at least 256 of its pages in memory, each of a dozen records, keeps more.
const FULL: usize = 1024;

/// The files of all folders. See the module.
#[derive(Debug, Default)]
pub struct Index {
    /// Records changed since the last [`Index::take_changes`], unpacked; empty means to be removed.
    changed: BTreeMap<Vec<u8>, Vec<Entry>>,
    /// The record read last: neighbours are asked for one after the other.
    last: Option<(Vec<u8>, Vec<Entry>)>,
    /// Where the last page ended, its last record's key and its last entry's path: pages are, too. Until
    /// something changes.
    passed: Option<(Vec<u8>, Box<[u8]>)>,
}

impl Index {
    /// What we know of `path`.
    ///
    /// # Errors
    /// The store fails.
    pub fn get(&mut self, store: &Store, path: &FilePath) -> store::Result<Option<Entry>> {
        let key = self.record_of(store, path)?;
        let entries = self.entries(&key);
        Ok(find(entries, &path.below).ok().map(|at| entries[at].clone()))
    }

    /// Changes what we know of `path`; `None` forgets it. Returns what was known before.
    ///
    /// # Errors
    /// The store fails; nothing is changed then.
    pub fn set(
        &mut self,
        store: &Store,
        path: &FilePath,
        entry: Option<Entry>,
    ) -> store::Result<Option<Entry>> {
        let key = self.record_of(store, path)?;
        let entries = self.entries_mut(&key);
        let before = match (find(entries, &path.below), entry) {
            (Ok(at), Some(entry)) => Some(std::mem::replace(&mut entries[at], entry)),
            (Ok(at), None) => Some(entries.remove(at)),
            (Err(at), Some(entry)) => {
                entries.insert(at, entry);
                None
            }
            (Err(_), None) => None,
        };
        self.split_when_full(&key);
        Ok(before)
    }

    /// A page of the entries of `folder` in index order, those after `after` (`None`: from the start): of so
    /// many records, or of more when these are empty. Empty at the end.
    ///
    /// # Errors
    /// The store fails.
    pub fn page(
        &mut self,
        store: &Store,
        folder: FolderId,
        after: Option<&[u8]>,
        records: usize,
    ) -> store::Result<Vec<Entry>> {
        self.gather(store, folder, after, records)
    }

    /// The same of their lines alone.
    ///
    /// # Errors
    /// The store fails.
    pub fn lines(
        &mut self,
        store: &Store,
        folder: FolderId,
        after: Option<&[u8]>,
        records: usize,
    ) -> store::Result<Lines> {
        self.gather(store, folder, after, records)
    }

    fn gather<G: Gathered>(
        &mut self,
        store: &Store,
        folder: FolderId,
        after: Option<&[u8]>,
        records: usize,
    ) -> store::Result<G> {
        let prefix = prefix(folder);
        let is_there = |(key, last): &(Vec<u8>, Box<[u8]>)| {
            key.starts_with(&prefix) && after.is_some_and(|after| **last == *after)
        };
        let mut found = G::default();
        // The record up to which everything is seen.
        let mut key = match (self.passed.take().filter(is_there), after) {
            (Some((key, _)), _) => key,
            (None, None) => {
                self.load(store, &prefix)?;
                self.entries(&prefix).iter().for_each(|entry| found.take(entry));
                prefix.clone()
            }
            (None, Some(after)) => {
                let key = self.record_of(store, &FilePath { folder, below: after.into() })?;
                let is_after = |entry: &&Entry| order(&entry.below, after).is_gt();
                self.entries(&key).iter().filter(is_after).for_each(|entry| found.take(entry));
                key
            }
        };
        let mut read = usize::from(found.end().is_some());
        while read < records || found.end().is_none() {
            let next = self.records_after(store, &prefix, &key, records.max(1))?;
            let Some((last, _)) = next.last() else { break };
            key.clone_from(last);
            read += next.len();
            for (key, payload) in next {
                match payload {
                    None => self.entries(&key).iter().for_each(|entry| found.take(entry)),
                    Some(payload) if found.unpack(&payload).is_ok() => {}
                    Some(_) => {
                        store.note_damage();
                        self.write_anew(&key);
                    }
                }
            }
        }
        self.passed = found.end().map(|last| (key, last.into()));
        Ok(found)
    }

    /// Whether there are changes to write.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Packs the changes for a batch. They are readable from the store once it is applied, which must
    /// happen before the index is asked again.
    pub fn take_changes(&mut self, batch: &mut Batch) {
        for (key, entries) in std::mem::take(&mut self.changed) {
            // The first record of a folder stays even when it is empty: it is every path's lower bound.
            let payload = (!entries.is_empty() || key.len() == PREFIX).then(|| pack(&entries));
            batch.push((key, payload));
        }
        (self.last, self.passed) = (None, None);
    }

    /// The key of the record where `path` is or would be.
    fn record_of(&mut self, store: &Store, path: &FilePath) -> store::Result<Vec<u8>> {
        let prefix = prefix(path.folder);
        let mut wanted = prefix.clone();
        wanted.extend(order_key(&path.below));
        let in_ram = self.changed.range(prefix.clone()..=wanted.clone()).next_back();
        let mut key = in_ram.map_or(prefix.clone(), |(key, _)| key.clone());
        if let Some((stored, _)) = store.at_or_before(&prefix, &wanted)?
            && stored > key
        {
            key = stored;
        }
        self.load(store, &key)?;
        Ok(key)
    }

    /// At most `most` records of the store after this one, and with them those in RAM, which have no payload
    /// here. None at the end.
    fn records_after(
        &mut self,
        store: &Store,
        prefix: &[u8],
        key: &[u8],
        most: usize,
    ) -> store::Result<Vec<store::Record>> {
        let from = [key, &[0]].concat();
        let mut records = store.page(prefix, &from, most)?;
        // What lies in RAM behind them comes with the next ones.
        let until = records.last().filter(|_| records.len() == most).map(|(key, _)| key.clone());
        for (key, _) in records.iter().filter(|(_, payload)| payload.is_none()) {
            if !self.changed.contains_key(key) {
                self.write_anew(key);
            }
        }
        let in_ram =
            self.changed.range(from..).map(|(key, _)| key).take_while(|key| {
                key.starts_with(prefix) && until.as_ref().is_none_or(|until| *key <= until)
            });
        for key in in_ram {
            match records.binary_search_by(|(stored, _)| stored.cmp(key)) {
                Ok(at) => records[at].1 = None,
                Err(at) => records.insert(at, (key.clone(), None)),
            }
        }
        Ok(records)
    }

    /// A record that does not read back is written anew, so that it is not damaged for ever.
    fn write_anew(&mut self, key: &[u8]) {
        self.changed.insert(key.to_vec(), Vec::new());
    }

    fn load(&mut self, store: &Store, key: &[u8]) -> store::Result<()> {
        if self.changed.contains_key(key) || self.last.as_ref().is_some_and(|(last, _)| last == key) {
            return Ok(());
        }
        let before = store.damages();
        let payload = store.get(key)?;
        let entries = payload.map_or_else(Vec::new, |payload| {
            unpack(&payload).unwrap_or_else(|_| {
                store.note_damage();
                Vec::new()
            })
        });
        if store.damages() != before {
            self.write_anew(key);
            return Ok(());
        }
        self.last = Some((key.to_vec(), entries));
        Ok(())
    }

    fn entries(&self, key: &[u8]) -> &[Entry] {
        match (self.changed.get(key), &self.last) {
            (Some(entries), _) => entries,
            (None, Some((last, entries))) if last == key => entries,
            _ => &[],
        }
    }

    fn entries_mut(&mut self, key: &[u8]) -> &mut Vec<Entry> {
        self.passed = None;
        let loaded = self.last.take_if(|(last, _)| last == key).map(|(_, entries)| entries);
        self.changed.entry(key.to_vec()).or_insert_with(|| loaded.unwrap_or_default())
    }

    /// Halves a record that has grown too large; again if one path alone is as long as half.
    fn split_when_full(&mut self, key: &[u8]) {
        let Some(entries) = self.changed.get_mut(key) else {
            return;
        };
        if entries.len() < 2 || weight(entries) <= FULL {
            return;
        }
        let upper = entries.split_off(entries.len() / 2);
        let mut upper_key = key[..PREFIX].to_vec();
        upper_key.extend(order_key(&upper[0].below));
        self.changed.insert(upper_key.clone(), upper);
        self.split_when_full(key);
        self.split_when_full(&upper_key);
    }
}

/// What is read of many entries.
trait Gathered: Default {
    /// One more.
    fn take(&mut self, entry: &Entry);
    /// All of a record, or nothing of it.
    fn unpack(&mut self, record: &[u8]) -> Result<(), Malformed>;
    /// The path of the last one.
    fn end(&self) -> Option<&[u8]>;
}

impl Gathered for Vec<Entry> {
    fn take(&mut self, entry: &Entry) {
        self.push(entry.clone());
    }

    fn unpack(&mut self, record: &[u8]) -> Result<(), Malformed> {
        self.append(&mut unpack(record)?);
        Ok(())
    }

    fn end(&self) -> Option<&[u8]> {
        self.last().map(|entry| &*entry.below)
    }
}

impl Gathered for Lines {
    fn take(&mut self, entry: &Entry) {
        self.push(entry);
    }

    fn unpack(&mut self, record: &[u8]) -> Result<(), Malformed> {
        Self::unpack(self, record)
    }

    fn end(&self) -> Option<&[u8]> {
        self.last()
    }
}

/// An upper bound of the packed size, cheap to compute at each change.
fn weight(entries: &[Entry]) -> usize {
    // A quick look first: most changes are far from the limit.
    if entries.len() < 16 {
        let long = |entry: &Entry| entry.below.len() + entry.copy.as_ref().map_or(0, |copy| copy.path.len());
        if entries.iter().map(|entry| long(entry) + 96).sum::<usize>() <= FULL {
            return 0;
        }
    }
    pack(entries).len()
}

fn find(entries: &[Entry], below: &[u8]) -> Result<usize, usize> {
    entries.binary_search_by(|entry| order(&entry.below, below))
}

/// Length of [`prefix`].
const PREFIX: usize = 5;

/// What the keys of a folder's records begin with.
fn prefix(folder: FolderId) -> Vec<u8> {
    let mut key = vec![b'c'];
    key.extend(folder.0.to_be_bytes());
    key
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::entry::{Copy, Standing};
    use super::*;
    use crate::content::{Fingerprint, Md5};
    use proptest::prelude::*;

    fn entry(below: &[u8], size: u64) -> Entry {
        Entry {
            below: below.into(),
            print: Fingerprint { size, mtime_ns: 1, ctime_ns: 2 },
            standing: Standing::BackedUp,
            copy: Some(Copy {
                size,
                md5: Md5::of(below),
                id: size.to_string(),
                path: format!("/apps/xpand/{}", String::from_utf8_lossy(below)),
            }),
            gone: false,
        }
    }

    fn write(index: &mut Index, store: &Store) {
        let mut batch = Batch::new();
        index.take_changes(&mut batch);
        for (key, payload) in &batch {
            assert!(payload.as_ref().is_none_or(|payload| payload.len() <= store::MAX_VALUE), "{key:?}");
        }
        store.apply(&batch).unwrap();
    }

    fn everything(index: &mut Index, store: &Store, folder: FolderId, records: usize) -> Vec<Entry> {
        let mut all: Vec<Entry> = Vec::new();
        loop {
            let after = all.last().map(|entry| entry.below.clone());
            let page = index.page(store, folder, after.as_deref(), records).unwrap();
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_index_does_what_a_sorted_map_does(
            steps in proptest::collection::vec((0_u32..2, "[ab/.]{1,6}", 0_u8..10), 1..400),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let (store, _) = Store::open(folder.path()).unwrap();
            let (mut index, mut model) = (Index::default(), BTreeMap::new());
            for (step, (number, below, action)) in steps.iter().enumerate() {
                let path = FilePath { folder: FolderId(*number), below: below.as_bytes().into() };
                let key = (*number, order_key(below.as_bytes()));
                match action {
                    0 => write(&mut index, &store),
                    1 | 2 => {
                        prop_assert_eq!(index.set(&store, &path, None).unwrap(), model.remove(&key));
                    }
                    3 => prop_assert_eq!(index.get(&store, &path).unwrap(), model.get(&key).cloned()),
                    _ => {
                        let new = entry(below.as_bytes(), step as u64);
                        let before = index.set(&store, &path, Some(new.clone())).unwrap();
                        prop_assert_eq!(before, model.insert(key, new));
                    }
                }
            }
            for number in 0..2 {
                let expected: Vec<_> =
                    model.iter().filter(|((n, _), _)| *n == number).map(|(_, e)| e.clone()).collect();
                for records in [1, 2, 100, 0, 1, 2, 100] {
                    prop_assert_eq!(&everything(&mut index, &store, FolderId(number), records), &expected);
                    let lines = index.lines(&store, FolderId(number), None, 1000).unwrap();
                    prop_assert_eq!(lines.last(), expected.last().map(|entry| &*entry.below));
                    if records == 0 {
                        write(&mut index, &store);
                    }
                }
            }
        }
    }

    #[test]
    fn thousands_of_files_make_records_that_sled_keeps_in_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(folder.path()).unwrap();
        let mut index = Index::default();
        for number in 0..3000_u64 {
            // One long name among them: it alone nearly fills a record.
            let below = match number % 1000 {
                7 => format!("{}/{number}", "long/".repeat(180)),
                _ => format!("2024/{:02}/IMG_{number:05}.JPG", number % 12),
            };
            let path = FilePath { folder: FolderId(1), below: below.as_bytes().into() };
            index.set(&store, &path, Some(entry(below.as_bytes(), number))).unwrap();
            if number % 64 == 0 {
                write(&mut index, &store);
            }
        }
        write(&mut index, &store);
        let all = everything(&mut index, &store, FolderId(1), 8);
        assert_eq!(all.len(), 3000);
        assert!(all.is_sorted_by(|a, b| order(&a.below, &b.below).is_lt()));
    }
}
