//! What is known of files is changed in one place, so that their traces always tell the same.

use super::{LONG, Queue};
use crate::backup::entry::{Copy, Entry, Standing};
use crate::backup::traces::{Trace, Traces};
use crate::content::{FilePath, Fingerprint, FolderId, Md5};
use crate::store::Result;

/// Long pages of the index for which hints are made between two commits.
const PAGES: usize = 3;

impl Queue {
    /// Changes what is known of a file.
    pub(super) fn set(&mut self, path: &FilePath, entry: Option<Entry>) -> Result<()> {
        let after = entry.clone();
        let before = self.index.set(&self.store, path, entry)?;
        let trace = |entry: &Option<Entry>| entry.as_ref().and_then(trace_of);
        self.traces.change(&self.store, path, trace(&before), trace(&after))?;
        self.shelf(path.folder).recount(before.as_ref(), after.as_ref());
        self.changes.1 += 1;
        Ok(())
    }

    /// A copy that the cloud confirmed, in the drive that this version of a file goes to, of a file that was
    /// changed at the same time and has the same content; it may be gone from its folder since. Whether the
    /// copy is there still is for the cloud to say.
    ///
    /// # Errors
    /// The store fails.
    pub fn copy_of(&mut self, path: &FilePath, print: &Fingerprint, md5: Md5) -> Result<Option<Copy>> {
        let owner = self.folders.get(&path.folder).map(|(_, owner)| owner.clone());
        for hint in self.traces.find(&self.store, Trace::of(print))? {
            // Another account's drive, or another user's.
            if owner.is_none() || self.folders.get(&hint.folder).map(|(_, owner)| owner) != owner.as_ref() {
                continue;
            }
            let copy = self.index.get(&self.store, &hint)?.and_then(|entry| entry.copy);
            if let Some(copy) = copy.filter(|copy| copy.md5 == md5 && copy.size == print.size) {
                return Ok(Some(copy));
            }
        }
        Ok(None)
    }

    /// Whether something was done that would have to be done again without what is kept here: a file arrived,
    /// or was read at least.
    ///
    /// # Errors
    /// The store fails.
    pub fn has_begun(&mut self) -> Result<bool> {
        if self.shelves.values().any(|shelf| shelf.counts.backed_up > 0) {
            return Ok(true);
        }
        for folder in self.shelves.keys().copied().collect::<Vec<_>>() {
            let mut after: Option<Box<[u8]>> = None;
            loop {
                let jobs = self.jobs(folder, after.as_deref())?;
                if jobs.iter().any(|job| job.digests().is_some()) {
                    return Ok(true);
                }
                let Some(last) = jobs.into_iter().next_back() else { break };
                after = Some(last.path.below);
            }
        }
        Ok(false)
    }

    pub(super) fn read_traces(&mut self) -> Result<()> {
        self.traces = Traces::open(&self.store, self.folders.is_empty())?;
        if self.traces.unmade().is_some() {
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
            let Some((from, after)) = self.traces.unmade().cloned() else { return Ok(()) };
            let Some(folder) = self.folders.range(from..).next().map(|(folder, _)| *folder) else {
                tracing::debug!("the traces of all files are known");
                self.traces.made(None);
                break;
            };
            let after = after.filter(|_| folder == from);
            let page = self.index.page(&self.store, folder, after.as_deref(), LONG)?;
            for entry in &page {
                if let Some(trace) = trace_of(entry) {
                    let path = FilePath { folder, below: entry.below.clone() };
                    self.traces.add(&self.store, trace, &path)?;
                }
            }
            self.traces.made(Some(match page.last() {
                Some(last) => (folder, Some(last.below.clone())),
                None => (FolderId(folder.0.saturating_add(1)), None),
            }));
        }
        self.changes.1 += 1;
        Ok(())
    }
}

/// The trace of a file whose copy is of its present version, be it gone from its folder.
fn trace_of(entry: &Entry) -> Option<Trace> {
    let is_copied = entry.standing == Standing::BackedUp && entry.copy.is_some();
    is_copied.then(|| Trace::of(&entry.print))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::backup::queue::{Next, Outcome};
    use crate::store::Store;

    const SIZE: u64 = 7;

    /// Every content is of a time of its own.
    fn print(content: &str) -> Fingerprint {
        let time = i64::from(u32::from_be_bytes(Md5::of(content).0[..4].try_into().unwrap()) >> 4);
        Fingerprint { size: SIZE, mtime_ns: time * 1_000_000_000, ctime_ns: 2 }
    }

    fn back_up(queue: &mut Queue, path: &FilePath, content: &str) {
        let print = print(content);
        queue.offer(path, print).unwrap();
        let Next::Claim(claim) = queue.next_due(1, |_| true).unwrap() else { panic!("nothing is due") };
        let remote = format!("/apps/x/{}/{}", path.folder.0, String::from_utf8_lossy(&path.below));
        let copy = Copy { size: SIZE, md5: Md5::of(content), id: "1".into(), path: remote };
        queue.close(claim.job, Outcome::Done(copy)).unwrap();
    }

    fn known(queue: &mut Queue, path: &FilePath, content: &str) -> Option<String> {
        queue.copy_of(path, &print(content), Md5::of(content)).unwrap().map(|copy| copy.path)
    }

    #[test]
    fn a_copy_is_known_by_its_content_within_its_drive_and_while_it_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut queue = Queue::open(Arc::new(Store::open(folder.path()).unwrap().0)).unwrap();
        let [mine, beside, other] = [("/a", "home"), ("/b", "home"), ("/c", "other")]
            .map(|(path, account)| queue.folder(Path::new(path), account).unwrap());
        let asking = FilePath::new(beside, "new.jpg");
        let (first, second) = (FilePath::new(mine, "1.jpg"), FilePath::new(mine, "2.jpg"));
        back_up(&mut queue, &FilePath::new(other, "0.jpg"), "a");
        assert_eq!(known(&mut queue, &asking, "a"), None, "in another drive");
        back_up(&mut queue, &first, "a");
        back_up(&mut queue, &second, "a");
        queue.apply().unwrap();
        assert_eq!(known(&mut queue, &asking, "a").as_deref(), Some("/apps/x/1/2.jpg"));
        queue.gone(&second).unwrap();
        assert_eq!(known(&mut queue, &asking, "a").as_deref(), Some("/apps/x/1/2.jpg"), "its copy stays");
        // It comes back with another content.
        queue.offer(&second, print("b")).unwrap();
        assert_eq!(known(&mut queue, &asking, "a").as_deref(), Some("/apps/x/1/1.jpg"));
        let Next::Claim(claim) = queue.next_due(1, |_| true).unwrap() else { panic!("nothing is due") };
        let copy = Copy { size: SIZE, md5: Md5::of("b"), id: "2".into(), path: "/apps/x/1/2(1).jpg".into() };
        queue.close(claim.job, Outcome::Done(copy)).unwrap();
        assert_eq!(known(&mut queue, &asking, "a").as_deref(), Some("/apps/x/1/1.jpg"));
        assert_eq!(known(&mut queue, &asking, "b").as_deref(), Some("/apps/x/1/2(1).jpg"));
        assert_eq!(queue.copy_of(&asking, &print("b"), Md5::of("c")).unwrap(), None, "of the same time");
    }

    #[test]
    fn a_database_without_hints_gets_them_between_commits() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(folder.path()).unwrap().0);
        let mut queue = Queue::open(Arc::clone(&store)).unwrap();
        let ids = ["/a", "/b"].map(|path| queue.folder(Path::new(path), "home").unwrap());
        let path = |number: usize| FilePath::new(ids[number % 2], format!("2024/{number:04}.jpg"));
        // More than one step makes.
        for number in 0..1500 {
            back_up(&mut queue, &path(number), &number.to_string());
        }
        queue.apply().unwrap();
        let removed = store.page(b"h", b"h", usize::MAX).unwrap().into_iter().map(|(key, _)| (key, None));
        store.apply(&removed.chain([(b"i".to_vec(), None)]).collect()).unwrap();
        let mut queue = Queue::open(Arc::clone(&store)).unwrap();
        let asking = FilePath::new(ids[0], "new.jpg");
        assert_eq!(known(&mut queue, &asking, "3"), None);
        let mut commits = 0;
        while queue.has_changes() {
            queue.apply().unwrap();
            queue.flushed();
            queue.make_hints().unwrap();
            commits += 1;
            if commits == 2 {
                // The process ends here, and the next one goes on.
                queue.apply().unwrap();
                queue = Queue::open(Arc::clone(&store)).unwrap();
            }
        }
        assert!((3..10).contains(&commits), "{commits}");
        for number in 0..1500 {
            assert!(known(&mut queue, &asking, &number.to_string()).is_some(), "{number}");
        }
        assert!(!Queue::open(store).unwrap().has_changes(), "once is enough");
    }
}
