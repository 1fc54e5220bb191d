//! What is known of files is changed in one place, so that the index of contents always tells the same.

use super::Queue;
use crate::backup::contents::Contents;
use crate::backup::entry::{Copy, Entry};
use crate::content::{FilePath, FolderId, Md5};
use crate::store::Result;

/// Pages of the index, some forty files each, for which hints are made between two commits.
const PAGES: usize = 16;

impl Queue {
    /// Changes what is known of a file.
    pub(super) fn set(&mut self, path: &FilePath, entry: Option<Entry>) -> Result<()> {
        let after = entry.clone();
        let before = self.index.set(&self.store, path, entry)?;
        let md5 = |entry: &Option<Entry>| Some(entry.as_ref()?.copy.as_ref()?.md5);
        self.contents.change(&self.store, path, md5(&before), md5(&after))?;
        self.shelf(path.folder).recount(before.as_ref(), after.as_ref());
        self.changes.1 += 1;
        Ok(())
    }

    /// A copy of this content that the cloud confirmed, in the drive that the file goes to: another file's,
    /// which may be gone from its folder since. Whether the copy is there still is for the cloud to say.
    ///
    /// # Errors
    /// The store fails.
    pub fn copy_of(&mut self, path: &FilePath, md5: Md5, size: u64) -> Result<Option<Copy>> {
        let owner = self.folders.get(&path.folder).map(|(_, owner)| owner.clone());
        for hint in self.contents.find(&self.store, md5)? {
            // Another account's drive, or another user's.
            if owner.is_none() || self.folders.get(&hint.folder).map(|(_, owner)| owner) != owner.as_ref() {
                continue;
            }
            let copy = self.index.get(&self.store, &hint)?.and_then(|entry| entry.copy);
            if let Some(copy) = copy.filter(|copy| copy.md5 == md5 && copy.size == size) {
                return Ok(Some(copy));
            }
        }
        Ok(None)
    }

    pub(super) fn read_contents(&mut self) -> Result<()> {
        self.contents = Contents::open(&self.store, self.folders.is_empty())?;
        if self.contents.unmade().is_some() {
            // The first commit begins the pass.
            self.changes.1 += 1;
        }
        Ok(())
    }

    /// A step of the pass that makes missing hints; the next one comes after the next commit.
    ///
    /// # Errors
    /// The store fails.
    pub fn make_hints(&mut self) -> Result<()> {
        for _ in 0..PAGES {
            let Some((from, after)) = self.contents.unmade().cloned() else { return Ok(()) };
            let Some(folder) = self.folders.range(from..).next().map(|(folder, _)| *folder) else {
                tracing::info!("it is known which contents the cloud has");
                self.contents.made(None);
                break;
            };
            let after = after.filter(|_| folder == from);
            let page = self.index.page(&self.store, folder, after.as_deref())?;
            for entry in &page {
                if let Some(copy) = &entry.copy {
                    let path = FilePath { folder, below: entry.below.clone() };
                    self.contents.add(&self.store, copy.md5, &path)?;
                }
            }
            self.contents.made(Some(match page.last() {
                Some(last) => (folder, Some(last.below.clone())),
                None => (FolderId(folder.0.saturating_add(1)), None),
            }));
        }
        self.changes.1 += 1;
        Ok(())
    }
}
