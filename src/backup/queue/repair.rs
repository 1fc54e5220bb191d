//! A copy that is not in the cloud any more, or not what was backed up, is forgotten and made again; where
//! the file is gone too, the whole entry may go.

use super::Queue;
use crate::backup::entry::{Entry, Standing};
use crate::content::FilePath;
use crate::store::Result;

/// What became of a repair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Repair {
    /// It is to be sent again.
    Queued,
    /// Forgotten, and nothing waits: the file is gone, or its version failed or cannot be sent.
    Forgotten,
    /// The file is not in its folder any more: there is nothing to send.
    Gone,
    /// Another copy has been made meanwhile, or the file is not known.
    Changed,
}

impl Queue {
    /// Forgets the copy of a file, if it is the one with this id at this remote path still, and offers the
    /// file again. What is in the cloud is left alone. The copy of a file that is gone stays known: nobody
    /// else knows of it any more.
    ///
    /// # Errors
    /// The store fails.
    pub fn repair(&mut self, path: &FilePath, fs_id: &str, remote: &str) -> Result<Repair> {
        let Some(entry) = self.index.get(&self.store, path)? else { return Ok(Repair::Changed) };
        if !entry.copy.as_ref().is_some_and(|copy| copy.id == fs_id && copy.path == remote) {
            return Ok(Repair::Changed);
        }
        if entry.gone {
            return Ok(Repair::Gone);
        }
        // A failed or skipped version stays so; only that an older one is in the cloud is not believed.
        let standing = match entry.standing {
            Standing::BackedUp => Standing::Waiting,
            other => other,
        };
        // What an earlier upload has sent may be as lost as its file.
        self.drop_job(path)?;
        self.set(path, Some(Entry { standing, copy: None, ..entry }))?;
        if standing == Standing::Waiting {
            self.shelf(path.folder).push(&path.below);
            return Ok(Repair::Queued);
        }
        Ok(Repair::Forgotten)
    }

    /// Forgets a file that is gone from its folder, if its copy is the one with this id at this remote path
    /// still: somebody has seen that the copy is gone too. A file that is in its folder is not forgotten.
    ///
    /// # Errors
    /// The store fails.
    pub fn forget_gone(&mut self, path: &FilePath, fs_id: &str, remote: &str) -> Result<Repair> {
        let Some(entry) = self.index.get(&self.store, path)? else { return Ok(Repair::Changed) };
        let is_it = entry.copy.as_ref().is_some_and(|copy| copy.id == fs_id && copy.path == remote);
        if !entry.gone || !is_it {
            return Ok(Repair::Changed);
        }
        self.set(path, None)?;
        Ok(Repair::Forgotten)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::backup::entry::Copy;
    use crate::backup::queue::{Next, Outcome};
    use crate::content::{Fingerprint, Md5};
    use crate::store::Store;

    #[test]
    fn only_the_copy_that_was_found_bad_is_forgotten_and_its_file_is_sent_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(folder.path()).unwrap().0);
        let mut queue = Queue::open(store).unwrap();
        let id = queue.folder(folder.path(), "home").unwrap();
        let path = FilePath::new(id, "a.jpg");
        let print = Fingerprint { size: 1, mtime_ns: 1, ctime_ns: 1 };
        let copy =
            |id: &str| Copy { size: 1, md5: Md5::of("a"), id: id.into(), path: "/apps/x/a.jpg".into() };
        let send = |queue: &mut Queue, id: &str| {
            let Next::Claim(claim) = queue.next_due(1, |_| true).unwrap() else { panic!("nothing to send") };
            assert_eq!(claim.copy, None);
            queue.close(claim.job, Outcome::Done(copy(id))).unwrap();
        };
        assert_eq!(queue.repair(&path, "1", "/apps/x/a.jpg").unwrap(), Repair::Changed, "not known");
        queue.offer(&path, print).unwrap();
        send(&mut queue, "1");
        assert_eq!(queue.repair(&path, "2", "/apps/x/a.jpg").unwrap(), Repair::Changed);
        assert_eq!(queue.repair(&path, "1", "/apps/x/b.jpg").unwrap(), Repair::Changed);
        assert_eq!(queue.next_due(1, |_| true).unwrap(), Next::Nothing);
        assert_eq!(queue.repair(&path, "1", "/apps/x/a.jpg").unwrap(), Repair::Queued);
        assert_eq!(queue.repair(&path, "1", "/apps/x/a.jpg").unwrap(), Repair::Changed, "it waits already");
        let counts = queue.counts(id);
        assert_eq!((counts.files, counts.waiting, counts.backed_up), (1, 1, 0));
        send(&mut queue, "2");
        queue.gone(&path).unwrap();
        assert_eq!(queue.repair(&path, "2", "/apps/x/a.jpg").unwrap(), Repair::Gone);
        assert_eq!(queue.get(&path).unwrap().unwrap().copy, Some(copy("2")), "it stays known");
        assert_eq!(queue.forget_gone(&path, "1", "/apps/x/a.jpg").unwrap(), Repair::Changed);
        assert_eq!(queue.forget_gone(&path, "2", "/apps/x/a.jpg").unwrap(), Repair::Forgotten);
        assert_eq!(queue.get(&path).unwrap(), None);
        assert_eq!(
            queue.forget_gone(&path, "2", "/apps/x/a.jpg").unwrap(),
            Repair::Changed,
            "once is enough"
        );
        // Back on the disk it is a new file.
        queue.offer(&path, print).unwrap();
        send(&mut queue, "3");
        assert_eq!(queue.forget_gone(&path, "3", "/apps/x/a.jpg").unwrap(), Repair::Changed, "it is there");
    }
}
