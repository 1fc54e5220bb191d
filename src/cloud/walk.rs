//! Everything below a folder, page by page, of a cloud that lists one folder at a time ([`Walk`]).
//!
//! What is still to be listed travels in the [`Cursor`], so that whoever keeps that can go on after a kill.

use super::files::Item;
use super::{Cursor, Entry, Error, Kind, Page, Result};

/// Bytes of folders still to be listed. Going depth first that is the folders beside each one on the way down.
const MOST_BYTES: usize = 1 << 20;

/// Whether something listed is a folder, and its path.
pub trait Listed {
    /// Absolute remote path of a folder; `None` of a file.
    fn folder(&self) -> Option<&str>;
}

impl Listed for Entry {
    fn folder(&self) -> Option<&str> {
        self.is_folder.then_some(&self.path)
    }
}

impl Listed for Item {
    fn folder(&self) -> Option<&str> {
        self.isdir.then_some(&self.path)
    }
}

/// A walk, from one page to the next:
///
/// ```text
/// let walk = Walk::from(folder, after);
/// let (folder, after) = walk.next();
/// walk.listed(self.list(&folder, after).await)
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Walk {
    /// Folders, and where the next page of each begins; the last one is listed first.
    open: Vec<(String, Option<String>)>,
    /// The page under way is the first of all.
    is_first: bool,
}

impl Walk {
    /// From the beginning, or from where the page before ended.
    #[must_use]
    pub fn from(top: &str, after: Option<Cursor>) -> Self {
        let known = after.and_then(|after| serde_json::from_str::<Vec<_>>(after.text()).ok());
        match known.filter(|open| !open.is_empty()) {
            Some(open) => Self { open, is_first: false },
            None => Self { open: vec![(top.to_owned(), None)], is_first: true },
        }
    }

    /// The folder whose page is to be listed, and where that begins.
    #[must_use]
    pub fn next(&self) -> (String, Option<Cursor>) {
        let (folder, after) = self.open.last().cloned().unwrap_or_default();
        (folder, after.map(Cursor::new))
    }

    /// Makes of the folder's page one of the walk.
    ///
    /// # Errors
    /// The listing's own; a folder that vanished since it was seen is none. Too many folders.
    pub fn listed<E: Listed>(mut self, page: Result<Page<E>>) -> Result<Page<E>> {
        let page = match page {
            Err(error) if error.kind == Kind::Missing && !self.is_first => Page::default(),
            page => page?,
        };
        let (folder, _) = self.open.pop().unwrap_or_default();
        if let Some(next) = page.next {
            self.open.push((folder, Some(next.text().to_owned())));
        }
        let folders = page.entries.iter().filter_map(Listed::folder);
        self.open.extend(folders.map(|folder| (folder.to_owned(), None)));
        if self.open.iter().map(|(folder, _)| folder.len()).sum::<usize>() > MOST_BYTES {
            let words = "there are too many folders beside each other to list what is below them";
            return Err(Error::new(Kind::Refused, "list", words));
        }
        let next = serde_json::to_string(&self.open).ok().filter(|_| !self.open.is_empty());
        Ok(Page { entries: page.entries, next: next.map(Cursor::new) })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn entry(path: &str) -> Entry {
        let is_folder = path.ends_with('/');
        let path = path.trim_end_matches('/').to_owned();
        Entry { id: path.clone(), path, size: 1, is_folder, md5: None }
    }

    /// A drive whose pages have two entries.
    fn list(folder: &str, after: Option<Cursor>) -> Result<Page> {
        let all: &[&str] = match folder {
            "/t" => &["/t/a/", "/t/x", "/t/b/", "/t/y", "/t/z"],
            "/t/a" => &["/t/a/1", "/t/a/c/"],
            "/t/a/c" => &["/t/a/c/1", "/t/a/c/2", "/t/a/c/3"],
            // It was deleted since it was seen.
            _ => return Err(Error::new(Kind::Missing, "list", "no such folder")),
        };
        let from = after.and_then(|after| after.number()).unwrap_or(0) as usize;
        let entries = all.iter().skip(from).take(2).map(|path| entry(path)).collect();
        let next = (from + 2 < all.len()).then(|| Cursor::at(from as u64 + 2));
        Ok(Page { entries, next })
    }

    #[test]
    fn everything_below_a_folder_comes_once_and_a_folder_that_vanished_is_no_failure() {
        let (mut after, mut files) = (None, Vec::new());
        for _ in 0..20 {
            let walk = Walk::from("/t", after);
            let (folder, from) = walk.next();
            let page = walk.listed(list(&folder, from)).unwrap();
            files.extend(page.entries.into_iter().filter(|entry| !entry.is_folder).map(|entry| entry.path));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        files.sort();
        assert_eq!(
            files,
            ["/t/a/1", "/t/a/c/1", "/t/a/c/2", "/t/a/c/3", "/t/x", "/t/y", "/t/z"],
            "{after:?}"
        );
        let walk = Walk::from("/none", None);
        let (folder, from) = walk.next();
        assert_eq!(walk.listed(list(&folder, from)).unwrap_err().kind, Kind::Missing);
    }
}
