//! What a remote folder already has: asked before sending when our own memory may have gaps.
//!
//! After a power cut, a kill or a lost database, files may be in the cloud that the index calls
//! waiting. Sending them again would do no harm - the cloud keeps one copy - but it would cost the
//! family's uplink. One listing of a remote folder answers for a thousand files. When nothing at all is
//! remembered, one call a folder is too many: then `survey.rs` has asked for everything beforehand.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::entry::Copy;
use crate::cloud::{Drive, Entry, Error, Kind, Result, Upload};
use crate::content::OnConflict;
use crate::remote::kept::original;

/// Listings kept at a time.
const FOLDERS: usize = 8;
/// A larger remote folder is not kept, and its files are simply sent: the cloud keeps one copy.
const ENTRIES: usize = 10_000;

/// Pages of a folder that are looked through for one file. A cloud that gives one full page after the
/// other is not one that ends.
const PAGES: usize = 200;

/// Listings are forgotten after this long: the family may delete something in the app meanwhile.
const FRESH: Duration = Duration::from_secs(600);
/// After so many listings that failed nobody asks any more: the calls would be missing elsewhere.
const FAILURES: u32 = 5;

/// Listings of one drive's remote folders, as they were when first asked for.
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
    since: Option<Instant>,
}

impl Lookup {
    /// What there is of `file`, by listings that may be as old as this `Lookup`: what was there
    /// then is there still, unless we replaced it ([`Lookup::forget`]).
    ///
    /// # Errors
    /// The listing fails; a missing folder is no failure.
    pub async fn find(&self, drive: &dyn Drive, file: &Upload) -> Result<Found> {
        let mut known = self.known.lock().await;
        let mut found = Found::default();
        let Some(entries) = known.listing(drive, parent(&file.path)).await? else { return Ok(found) };
        let alike = entries.range(stem(&file.path).to_owned()..).map(|(_, entry)| entry);
        for entry in alike.take_while(|entry| entry.path.starts_with(stem(&file.path))) {
            found.see(entry, drive, file);
        }
        Ok(found)
    }

    /// Whether a copy is still where the cloud put it, by listings as old as in [`Lookup::find`].
    ///
    /// # Errors
    /// The listing fails; a missing folder is no failure.
    pub async fn lists(&self, drive: &dyn Drive, copy: &Copy) -> Result<bool> {
        let mut known = self.known.lock().await;
        let entries = known.listing(drive, parent(&copy.path)).await?;
        let entry = entries.and_then(|entries| entries.get(&copy.path));
        Ok(entry.is_some_and(|entry| !entry.is_folder && entry.id == copy.id && entry.size == copy.size))
    }

    /// What is at `path` is not what was listed any more.
    pub async fn forget(&self, path: &str) {
        if let Some(entries) = self.known.lock().await.listed.get_mut(parent(path)) {
            entries.remove(path);
        }
    }
}

/// What a listing says of a file's content.
#[derive(Default, Debug)]
pub struct Found {
    /// Something has the file's own path.
    is_taken: bool,
    /// The file, there.
    own: Option<Entry>,
    /// The file, under a name like its own.
    renamed: Option<Entry>,
    /// As long as the file and under one of its names; whether it is the file its md5 does not tell.
    alike: Vec<Entry>,
}

/// So many entries of a file's names and length are compared more closely.
const ALIKE: usize = 8;

impl Found {
    /// Takes an entry of the listing in.
    pub fn see(&mut self, entry: &Entry, drive: &dyn Drive, file: &Upload) {
        let is_own = entry.path == file.path;
        self.is_taken |= is_own;
        if !is_own && !is_renamed(&entry.path, &file.path) {
            return;
        }
        match (drive.is_same(entry, file), is_own) {
            (true, true) => self.own = Some(entry.clone()),
            (true, false) => self.renamed = Some(entry.clone()),
            (false, _) if !entry.is_folder && entry.size == file.size && self.alike.len() < ALIKE => {
                self.alike.push(entry.clone());
            }
            (false, _) => {}
        }
    }

    /// Whether something has the file's own path.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.is_taken
    }

    /// The file, at its own path.
    #[must_use]
    pub fn own(&self) -> Option<&Entry> {
        self.own.as_ref()
    }

    /// The file: also under the name that the cloud gave it because its own was taken.
    #[must_use]
    pub fn same(&self, file: &Upload) -> Option<Entry> {
        let is_renamed = self.is_taken && file.on_conflict == OnConflict::KeepBoth;
        self.own.as_ref().or(self.renamed.as_ref().filter(|_| is_renamed)).cloned()
    }

    /// What may be the file, cut in other slices: as long, under one of its names.
    #[must_use]
    pub fn alike(&self, file: &Upload) -> Vec<Entry> {
        let keeps_both = file.on_conflict == OnConflict::KeepBoth;
        let is_possible = |entry: &&Entry| entry.path == file.path || (self.is_taken && keeps_both);
        self.alike.iter().filter(is_possible).cloned().collect()
    }
}

/// The entry that certainly is `file`, as the cloud lists it this moment.
///
/// # Errors
/// The listing fails; a missing folder is no failure.
pub async fn look(drive: &dyn Drive, file: &Upload) -> Result<Option<Entry>> {
    let found = look_at(drive, parent(&file.path), &[file]).await?;
    Ok(found.first().and_then(|found| found.same(file)))
}

/// What there is of each of these files of one remote folder, as the cloud lists it this moment.
///
/// # Errors
/// The listing fails; a missing folder is no failure.
pub async fn look_at(drive: &dyn Drive, folder: &str, files: &[&Upload]) -> Result<Vec<Found>> {
    let mut found: Vec<Found> = files.iter().map(|_| Found::default()).collect();
    let (mut after, mut first) = (None, None);
    for _ in 0..PAGES {
        let page = match drive.list(folder, after).await {
            Err(error) if error.kind == Kind::Missing => return Ok(found),
            page => page?,
        };
        for (file, found) in files.iter().zip(&mut found) {
            page.entries.iter().for_each(|entry| found.see(entry, drive, file));
        }
        // A cloud that does not know `start` gives the same page again.
        let is_another = first != page.entries.first().map(|entry| entry.path.clone());
        first = page.entries.into_iter().next().map(|entry| entry.path);
        let is_open = found.iter().any(|found| found.own.is_none());
        match page.next {
            Some(next) if is_open && is_another => after = Some(next),
            _ => return Ok(found),
        }
    }
    Err(Error::new(Kind::Broken, "list", "the list of the remote folder does not end"))
}

impl Known {
    /// What is in `folder`, if it exists and is not too large to be kept. Whoever holds `self` lists for its
    /// neighbours too, who wait for it instead of asking.
    async fn listing(&mut self, drive: &dyn Drive, folder: &str) -> Result<Option<&BTreeMap<String, Entry>>> {
        if self.since.is_none_or(|since| since.elapsed() > FRESH) {
            *self = Self { since: Some(Instant::now()), failures: self.failures, ..Self::default() };
        }
        if self.failures < FAILURES && !self.listed.contains_key(folder) && !self.is_absent(folder) {
            let fetched = self.fetch(drive, folder).await;
            self.failures = match &fetched {
                Ok(()) => 0,
                Err(error) if matches!(error.kind, Kind::Offline | Kind::Busy { after: Some(_) }) => {
                    self.failures
                }
                Err(_) => self.failures + 1,
            };
            if self.failures == FAILURES {
                tracing::warn!("the cloud does not list its folders; what it may have already is sent again");
            }
            fetched?;
        }
        Ok(self.listed.get(folder))
    }

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
        let (mut entries, mut after, mut seen) = (BTreeMap::new(), None, 0);
        loop {
            let page = match drive.list(folder, after).await {
                Err(error) if error.kind == Kind::Missing => return Ok(false),
                page => page?,
            };
            seen += page.entries.len();
            entries.extend(page.entries.into_iter().map(|entry| (entry.path.clone(), entry)));
            match page.next {
                Some(next) if seen < ENTRIES => after = Some(next),
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

/// A path without its ending: `/a/b` of `/a/b.jpg`.
pub(super) fn stem(path: &str) -> &str {
    let name = path.rfind('/').map_or(0, |at| at + 1);
    path[name..].rfind('.').map_or(path, |dot| &path[..name + dot])
}

/// Whether the cloud may have made `path` of `wanted`, whose name was taken: `b(1).jpg`, or
/// `b_20261121_180000.jpg` (field notes 3.2).
fn is_renamed(path: &str, wanted: &str) -> bool {
    original(path).is_some_and(|original| original == wanted)
}

/// The remote folder something lies in.
pub(super) fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        None | Some(("", _)) => "/",
        Some((folder, _)) => folder,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cloud::testing::Lists;
    use crate::cloud::{Cursor, Page};
    use crate::content::{Md5, Media, Purpose};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A cloud whose folders have one full page after the other: each another, or always the same.
    fn endless(is_same_page: bool, pages: &Arc<AtomicUsize>) -> impl Drive + use<> {
        let pages = Arc::clone(pages);
        Lists(move |folder: &str, after: Option<Cursor>| {
            let page = pages.fetch_add(1, Ordering::Relaxed);
            let page = if is_same_page { 0 } else { page };
            let entry = |number: u64| Entry {
                id: String::new(),
                path: format!("{folder}/{page}-{number}"),
                size: 1,
                is_folder: false,
                md5: None,
            };
            let after = after.and_then(|after| after.number()).unwrap_or(0);
            Page { entries: (0..1000).map(entry).collect(), next: Some(Cursor::at(after + 1000)) }
        })
    }

    #[tokio::test]
    async fn a_list_that_never_ends_is_given_up() {
        let file = Upload {
            path: "/apps/x/a.jpg".into(),
            size: 1,
            content_md5: Md5::of("a"),
            head_md5: Md5::of("a"),
            slice_size: 1,
            slices: [Md5::of("a")].into(),
            purpose: Purpose::Backup,
            media: Media::Photo,
            exif: None,
            ctime_secs: 0,
            mtime_secs: 0,
            on_conflict: OnConflict::KeepBoth,
        };
        for (is_same_page, most) in [(true, 2), (false, PAGES)] {
            let pages = Arc::default();
            let looked = look(&endless(is_same_page, &pages), &file).await;
            assert_eq!(looked.is_err(), !is_same_page, "{looked:?}");
            assert_eq!(pages.load(Ordering::Relaxed), most);
            // Too large to be kept: its files are simply sent.
            let pages = Arc::default();
            let cloud = endless(is_same_page, &pages);
            assert_eq!(Lookup::default().find(&cloud, &file).await.unwrap().same(&file), None);
            assert_eq!(pages.load(Ordering::Relaxed), ENTRIES / 1000);
        }
    }

    #[test]
    fn a_name_the_cloud_made_up_is_known_by_what_was_added() {
        let wanted = "/apps/x/a.b/c.jpg";
        for path in ["/apps/x/a.b/c(1).jpg", "/apps/x/a.b/c_20261121_180000.jpg"] {
            assert!(is_renamed(path, wanted), "{path}");
        }
        for path in [
            wanted,
            "/apps/x/a.b/cc.jpg",
            "/apps/x/a.b/c(1).png",
            "/apps/x/a.b/c(1)/d.jpg",
            "/apps/x/a.b/c_b.jpg",
        ] {
            assert!(!is_renamed(path, wanted), "{path}");
        }
        assert_eq!(stem("/a.b/c"), "/a.b/c");
    }
}
