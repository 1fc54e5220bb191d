//! What the cloud already has: asked before sending when our own memory may have gaps.
//!
//! After a power cut, a kill or a lost database, files may be in the cloud that the index calls
//! waiting. Sending them again would do no harm - the cloud keeps one copy - but it would cost the
//! family's uplink. One listing of a remote folder answers for a thousand files.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tokio::sync::Mutex;

use crate::cloud::{Drive, Entry, Kind, Result, Upload};

/// Listings kept at a time.
const FOLDERS: usize = 8;
/// A larger remote folder is not kept, and its files are simply sent: the cloud keeps one copy.
const ENTRIES: usize = 10_000;

/// After so many listings that failed nobody asks any more: the calls would be missing elsewhere.
const FAILURES: u32 = 5;

/// Listings of remote folders, as they were when first asked for.
#[derive(Debug, Default)]
pub struct Lookup {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    listed: BTreeMap<String, BTreeMap<String, Entry>>,
    order: VecDeque<String>,
    absent: BTreeSet<String>,
    failures: u32,
}

impl Lookup {
    /// The entry at the path of `file` if it certainly has that content, by listings that may be as old
    /// as this `Lookup`: what was there then is there still.
    ///
    /// # Errors
    /// The listing fails; a missing folder is no failure.
    pub async fn find(&self, drive: &dyn Drive, file: &Upload) -> Result<Option<Entry>> {
        let folder = parent(&file.path);
        // One listing at a time, so that neighbours wait for it instead of asking too.
        let mut known = self.known.lock().await;
        if known.failures < FAILURES && !known.listed.contains_key(folder) && !known.is_absent(folder) {
            let fetched = known.fetch(drive, folder).await;
            known.failures += u32::from(fetched.is_err());
            fetched?;
        }
        let entry = known.listed.get(folder).and_then(|entries| entries.get(&file.path));
        Ok(entry.filter(|entry| drive.is_same(entry, file)).cloned())
    }
}

/// The entry at the path of `file` as the cloud lists it this moment, whatever its content.
///
/// # Errors
/// The listing fails; a missing folder is no failure.
pub async fn look(drive: &dyn Drive, file: &Upload) -> Result<Option<Entry>> {
    let mut after = None;
    loop {
        let page = match drive.list(parent(&file.path), after).await {
            Err(error) if error.kind == Kind::Missing => return Ok(None),
            page => page?,
        };
        if let Some(entry) = page.entries.into_iter().find(|entry| entry.path == file.path) {
            return Ok(Some(entry));
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(None),
        }
    }
}

impl Known {
    /// Lists `folder`. When it does not exist, finds out how far up nothing exists: on a new drive two
    /// or three calls then answer for the whole library.
    async fn fetch(&mut self, drive: &dyn Drive, folder: &str) -> Result<()> {
        let mut at = folder;
        while at != "/" && !self.listed.contains_key(at) && !self.is_absent(at) {
            if self.list(drive, at).await? {
                break;
            }
            self.absent.insert(at.to_owned());
            at = parent(at);
        }
        Ok(())
    }

    /// Lists one folder; false when it does not exist.
    async fn list(&mut self, drive: &dyn Drive, folder: &str) -> Result<bool> {
        let (mut entries, mut after) = (BTreeMap::new(), None);
        loop {
            let page = match drive.list(folder, after).await {
                Err(error) if error.kind == Kind::Missing => return Ok(false),
                page => page?,
            };
            entries.extend(page.entries.into_iter().map(|entry| (entry.path.clone(), entry)));
            match page.next {
                Some(next) if entries.len() < ENTRIES => after = Some(next),
                Some(_) => {
                    entries.clear();
                    break;
                }
                None => break,
            }
        }
        self.order.push_back(folder.to_owned());
        self.listed.insert(folder.to_owned(), entries);
        if self.order.len() > FOLDERS
            && let Some(oldest) = self.order.pop_front()
        {
            self.listed.remove(&oldest);
        }
        Ok(true)
    }

    /// Whether `folder` is known not to exist: it was asked for, or its parent was listed without it.
    fn is_absent(&self, folder: &str) -> bool {
        let mut at = folder;
        while at != "/" {
            let above = parent(at);
            let unlisted =
                self.listed.get(above).is_some_and(|list| !list.is_empty() && !list.contains_key(at));
            if unlisted || self.absent.contains(at) {
                return true;
            }
            at = above;
        }
        false
    }
}

/// The remote folder something lies in.
fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        None | Some(("", _)) => "/",
        Some((folder, _)) => folder,
    }
}
