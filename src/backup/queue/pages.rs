//! What is known of a folder's files, a page at a time.

use super::Queue;
use crate::backup::entry::{Entry, Lines};
use crate::content::{FilePath, FolderId};
use crate::store::Result;

/// Records of the index in a long page: some two hundred files.
pub const LONG: usize = 16;

impl Queue {
    /// A page of what is known of a folder, in the order of a walk, after `after`.
    ///
    /// # Errors
    /// The store fails.
    pub fn page(&mut self, folder: FolderId, after: Option<&[u8]>) -> Result<Vec<Entry>> {
        self.index.page(&self.store, folder, after, 1)
    }

    /// The same of what a look wants to know of them: a page of so many records ([`LONG`]) or a few more.
    ///
    /// # Errors
    /// The store fails.
    pub fn lines(&mut self, folder: FolderId, after: Option<&[u8]>, records: usize) -> Result<Lines> {
        self.index.lines(&self.store, folder, after, records)
    }

    /// A first page of them that begins with `start`, or with what follows it.
    ///
    /// # Errors
    /// The store fails.
    pub fn lines_from(&mut self, folder: FolderId, start: &[u8]) -> Result<Lines> {
        match self.get(&FilePath { folder, below: start.into() })? {
            Some(entry) => Ok(Lines::of(&entry)),
            None => self.lines(folder, Some(start), 1),
        }
    }
}
