//! What an account's remote folders hold, from the cloud's recursive listing: asked when our memory is lost.
//!
//! One page of that listing is a thousand files and one commit, with the place where the next page
//! begins: a kill or a power cut costs one call. The whole of it is removed when everything has been
//! looked at. Nothing of it is kept in RAM, so a million files cost what a thousand do.
//!
//! # On disk
//!
//! ```text
//! R  owner           how far it is: version, folders' digest, times, files, which folder, where in it
//! r  owner  0  path  neighbouring files, at most FULL bytes; the key is a lower bound of their paths
//! ```
//!
//! A file takes some 70 bytes, written once when the listing comes by path, and a few times when not.

use std::collections::BTreeMap;

use super::lookup::{Found, stem};
use crate::cloud::{Cursor, Drive, Entry, Page, Upload};
use crate::content::Md5;
use crate::store::{Batch, Malformed, Reader, Result, Store, Writer};

const VERSION: u8 = 2;
/// A record's payload, bytes.
const FULL: usize = 3072;
/// Longer paths are left out: no such file is ours, and sled keeps no such keys well.
const LONGEST_PATH: usize = 2048;
/// A listing that was left alone for longer than this begins anew, milliseconds.
const LEFT_ALONE_MS: i64 = 6 * 3_600_000;
/// A complete one is believed for so long, milliseconds: reading a whole library takes days on a small box.
const BELIEVED_MS: i64 = 7 * 24 * 3_600_000;
/// The most files whose name is like the one looked for.
const ALIKE: usize = 1000;
/// Records removed or read in one go.
const AT_ONCE: usize = 64;

/// The listing of one user's drive.
#[derive(Clone, Debug)]
pub struct Survey {
    /// `r`, the owner, 0.
    prefix: Vec<u8>,
}

/// How far a listing is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// The remote folders to list, none within another.
    pub tops: Vec<String>,
    /// Which of them is being listed; their number when all are.
    pub top: usize,
    /// Where the next page begins.
    pub after: Option<Cursor>,
    /// Files found so far.
    pub files: u64,
    /// When it began, milliseconds since 1970.
    pub begun_ms: i64,
    /// When the last page came.
    pub asked_ms: i64,
}

impl Progress {
    /// The remote folder whose next page is to be fetched; `None` when everything is listed.
    #[must_use]
    pub fn next_top(&self) -> Option<&str> {
        self.tops.get(self.top).map(String::as_str)
    }

    fn is_fresh(&self, now_ms: i64) -> bool {
        let (since, most) = match self.next_top() {
            Some(_) => (self.asked_ms, LEFT_ALONE_MS),
            None => (self.begun_ms, BELIEVED_MS),
        };
        // A time to come was taken by a clock that was wrong: so long ago is not known.
        (0..=most).contains(&(now_ms - since))
    }

    fn write(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.byte(VERSION).fixed(&digest(&self.tops)).signed(self.begun_ms).signed(self.asked_ms);
        writer.number(self.files).number(self.top as u64);
        // One that is too long for a record costs the pages of this folder again.
        let after = self.after.as_ref().map(Cursor::text).filter(|text| text.len() <= FULL);
        writer.bytes(after.unwrap_or_default().as_bytes());
        writer.finish()
    }

    /// `None` when it is not one of these folders.
    fn read(payload: &[u8], tops: &[String]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        if reader.byte().ok()? != VERSION || reader.array::<16>().ok()? != digest(tops) {
            return None;
        }
        let (begun_ms, asked_ms) = (reader.signed().ok()?, reader.signed().ok()?);
        let (files, top) = (reader.number().ok()?, reader.small().ok()?);
        let after = Some(reader.text().ok()?).filter(|text| !text.is_empty()).map(Cursor::new);
        Some(Self { tops: tops.to_vec(), top, after, files, begun_ms, asked_ms })
    }
}

/// Which folders are listed, in few bytes.
fn digest(tops: &[String]) -> [u8; 16] {
    Md5::of(tops.join("\n")).0
}

impl Survey {
    /// Of the drive of `user`, logged in as `account`.
    #[must_use]
    pub fn of(account: &str, user: &str) -> Self {
        Self { prefix: [b"r", account.as_bytes(), b"\n", user.as_bytes(), b"\0"].concat() }
    }

    fn state_key(&self) -> Vec<u8> {
        [b"R", &self.prefix[1..]].concat()
    }

    fn key(&self, path: &str) -> Vec<u8> {
        [&self.prefix, path.as_bytes()].concat()
    }

    /// How far the listing of `tops` is. One of other folders, or one that is too old, begins anew.
    ///
    /// # Errors
    /// The store fails.
    pub fn open(&self, store: &Store, tops: &[String], now_ms: i64) -> Result<Progress> {
        let stored = store.get(&self.state_key())?.and_then(|payload| Progress::read(&payload, tops));
        if let Some(known) = stored.filter(|known| known.is_fresh(now_ms)) {
            return Ok(known);
        }
        remove_all(store, &self.prefix)?;
        let (begun_ms, asked_ms) = (now_ms, now_ms);
        Ok(Progress { tops: tops.to_vec(), begun_ms, asked_ms, ..Progress::default() })
    }

    /// Keeps a page of the folder that is [`Progress::next_top`], and moves on. On the disk when this returns.
    ///
    /// # Errors
    /// The store fails; nothing is changed then.
    pub fn add(&self, store: &Store, progress: &mut Progress, page: Page, now_ms: i64) -> Result<()> {
        let mut next = progress.clone();
        let within = format!("{}/", progress.next_top().unwrap_or_default());
        let is_ours = |entry: &Entry| {
            let is_short = entry.id.len() <= 64 && entry.md5.as_ref().is_none_or(|md5| md5.len() <= 32);
            let has_room = entry.path.len() <= LONGEST_PATH && is_short;
            !entry.is_folder && has_room && entry.path.starts_with(&within)
        };
        let found: BTreeMap<String, Entry> =
            page.entries.into_iter().filter(is_ours).map(|entry| (entry.path.clone(), entry)).collect();
        next.files += found.len() as u64;
        next.asked_ms = now_ms;
        next.top += usize::from(page.next.is_none());
        next.after = page.next;
        let mut batch = Batch::new();
        self.merge(store, found, &mut batch)?;
        batch.push((self.state_key(), Some(next.write())));
        store.apply(&batch)?;
        store.flush()?;
        *progress = next;
        Ok(())
    }

    /// Puts files into the records they belong to. Records are filled up, not halved: most pages come in
    /// order, and then each record is written once.
    fn merge(&self, store: &Store, mut found: BTreeMap<String, Entry>, batch: &mut Batch) -> Result<()> {
        while let Some((first, _)) = found.first_key_value() {
            let stored = store.at_or_before(&self.prefix, &self.key(first))?;
            let (key, payload) = stored.unwrap_or_else(|| (self.key(first), None));
            let mut entries: BTreeMap<String, Entry> = payload
                .and_then(|payload| unpack(&payload).ok())
                .unwrap_or_default()
                .into_iter()
                .map(|entry| (entry.path.clone(), entry))
                .collect();
            let after = [key.as_slice(), b"\0"].concat();
            let upper = store.page(&self.prefix, &after, 1)?.pop();
            let later = match upper.as_ref().and_then(|(key, _)| key.get(self.prefix.len()..)) {
                Some(upper) => found.split_off(&*String::from_utf8_lossy(upper)),
                None => BTreeMap::new(),
            };
            entries.append(&mut found);
            let mut record = Vec::new();
            let mut record_key = key;
            let mut bytes = 0;
            for entry in entries.into_values() {
                let weight = entry.path.len() + entry.id.len() + 48;
                if bytes + weight > FULL && !record.is_empty() {
                    batch.push((record_key, Some(pack(&record))));
                    (record_key, bytes) = (self.key(&entry.path), 0);
                    record.clear();
                }
                bytes += weight;
                record.push(entry);
            }
            batch.push((record_key, Some(pack(&record))));
            found = later;
        }
        Ok(())
    }

    /// What was listed under the name of `file` and those that the cloud makes of it.
    ///
    /// # Errors
    /// The store fails.
    pub fn find(&self, store: &Store, drive: &dyn Drive, file: &Upload) -> Result<Found> {
        let mut found = Found::default();
        self.walk(store, &file.path, |entry| {
            let is_it = entry.path == file.path;
            if is_it {
                found.see(entry, drive, file);
            }
            is_it
        })?;
        if found.is_taken() && found.own().is_none() {
            for added in ["(", "_"] {
                let begins = format!("{}{added}", stem(&file.path));
                let mut left = ALIKE;
                self.walk(store, &begins, |entry| {
                    let is_alike = left > 0 && entry.path.starts_with(&begins);
                    if is_alike {
                        left -= 1;
                        found.see(entry, drive, file);
                    }
                    is_alike
                })?;
            }
        }
        Ok(found)
    }

    /// Shows the files from `from` on, in order, as long as `go_on` says so.
    fn walk(&self, store: &Store, from: &str, mut go_on: impl FnMut(&Entry) -> bool) -> Result<()> {
        let wanted = self.key(from);
        let mut record = store.at_or_before(&self.prefix, &wanted)?;
        if record.is_none() {
            record = store.page(&self.prefix, &wanted, 1)?.pop();
        }
        while let Some((key, payload)) = record {
            let entries = payload.and_then(|payload| unpack(&payload).ok()).unwrap_or_default();
            for entry in entries.iter().filter(|entry| entry.path.as_str() >= from) {
                if !go_on(entry) {
                    return Ok(());
                }
            }
            record = store.page(&self.prefix, &[key.as_slice(), b"\0"].concat(), 1)?.pop();
        }
        Ok(())
    }
}

/// Removes the listings of all accounts.
///
/// # Errors
/// The store fails.
pub fn clear(store: &Store) -> Result<()> {
    remove_all(store, b"R")?;
    remove_all(store, b"r")
}

fn remove_all(store: &Store, prefix: &[u8]) -> Result<()> {
    loop {
        let page = store.page(prefix, prefix, AT_ONCE)?;
        if page.is_empty() {
            return Ok(());
        }
        store.apply(&page.into_iter().map(|(key, _)| (key, None)).collect())?;
    }
}

/// Packs files, which are in order of their paths.
fn pack(entries: &[Entry]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.number(entries.len() as u64);
    let mut before: &[u8] = &[];
    for entry in entries {
        let path = entry.path.as_bytes();
        let shared = before.iter().zip(path).take_while(|(a, b)| a == b).count();
        writer.number(shared as u64).bytes(&path[shared..]).number(entry.size);
        writer.bytes(entry.md5.as_deref().unwrap_or_default().as_bytes()).bytes(entry.id.as_bytes());
        before = path;
    }
    writer.finish()
}

fn unpack(payload: &[u8]) -> std::result::Result<Vec<Entry>, Malformed> {
    let mut reader = Reader::new(payload);
    let count: usize = reader.small()?;
    let (mut entries, mut before) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let shared: usize = reader.small()?;
        let mut path: Vec<u8> = before.get(..shared).ok_or(Malformed)?.to_vec();
        path.extend_from_slice(reader.bytes()?);
        let size = reader.number()?;
        let md5 = Some(reader.text()?).filter(|md5| !md5.is_empty());
        let id = reader.text()?;
        before.clone_from(&path);
        let path = String::from_utf8(path).map_err(|_| Malformed)?;
        entries.push(Entry { id, path, size, is_folder: false, md5 });
    }
    Ok(entries)
}

#[cfg(test)]
#[path = "survey_tests.rs"]
mod tests;
