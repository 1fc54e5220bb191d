//! How many programs send at this moment, so that together they keep to one speed.
//!
//! The agent and `drive put` are programs of their own, and `upload.rate` is what the line of the house can
//! spare: it is divided among those that send. Who sends holds one of a few locks in the state folder, which
//! end with the program however that ends; the others are counted by trying theirs.
//!
//! ```text
//! <state_dir>/sending.0.lock ... sending.7.lock     empty; held while something is sent at a limited speed
//! ```

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use crate::durable::Lock;

/// Programs that are told from each other.
const MOST: usize = 8;
/// How old a count may be.
const FRESH: Duration = Duration::from_secs(5);

/// This program among those that send.
#[derive(Debug)]
pub struct Share {
    state_dir: PathBuf,
    own: Mutex<Weak<Lock>>,
    /// How many there were, and when.
    known: Mutex<Option<(u64, Instant)>>,
}

impl Share {
    /// Among those with this state folder.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self { state_dir: state_dir.to_owned(), own: Mutex::default(), known: Mutex::default() }
    }

    /// This program sends until all that this returned are dropped. `None` when no lock is to be had: then it
    /// is not counted by the others, and sends all the same.
    pub fn enter(&self) -> Option<Arc<Lock>> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = own.upgrade() {
            return Some(lock);
        }
        // Who tries one to count may have it for a moment: then it is the next.
        let lock = (0..MOST).find_map(|number| Lock::try_take(&self.path(number)).ok().flatten())?;
        let lock = Arc::new(lock);
        *own = Arc::downgrade(&lock);
        Some(lock)
    }

    /// How many send, this program too, a few seconds ago at most.
    pub fn senders(&self) -> u64 {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((senders, at)) = *known
            && at.elapsed() < FRESH
        {
            return senders;
        }
        let held = (0..MOST).filter(|&number| Lock::is_held(&self.path(number))).count() as u64;
        *known = Some((held.max(1), Instant::now()));
        held.max(1)
    }

    fn path(&self, number: usize) -> PathBuf {
        self.state_dir.join(format!("sending.{number}.lock"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn those_that_send_are_counted_and_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (Share::new(folder.path()), Share::new(folder.path()));
        assert_eq!((one.senders(), other.senders()), (1, 1));
        let mine = (one.enter().unwrap(), one.enter().unwrap());
        let others = other.enter();
        assert_eq!(one.senders(), 1, "as it was a moment ago");
        tokio::time::sleep(FRESH).await;
        assert_eq!((one.senders(), other.senders()), (2, 2));
        drop(others);
        let (mine, again) = mine;
        drop(again);
        tokio::time::sleep(FRESH).await;
        assert_eq!((one.senders(), other.senders()), (1, 1));
        assert!(Lock::is_held(&folder.path().join("sending.0.lock")));
        drop(mine);
        assert!(!Lock::is_held(&folder.path().join("sending.0.lock")));
    }

    #[test]
    fn without_the_folder_one_sends_alone() {
        let share = Share::new(Path::new("/nonexistent"));
        assert!(share.enter().is_none());
        assert_eq!(share.senders(), 1);
    }
}
