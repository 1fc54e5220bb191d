//! What is kept of a batch until everything of it has arrived: a folder with a store in it.
//!
//! # On disk
//!
//! ```text
//! <state_dir>/put/<key>/        a store (store/mod.rs) with a queue in it (queue.rs)
//! <state_dir>/put/<key>.lock    held by whoever works on it
//! ```
//!
//! The key says what is sent and where to, so that the same command finds it again. Both go when everything
//! has arrived. One that was left lying for [`KEPT`] goes with the next batch, whichever that is: the cloud
//! has long forgotten its sessions by then.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::backup::keeper::{Keeper, LONGEST};
use crate::content::Md5;
use crate::durable::{self, Lock};
use crate::store::{Error, Opened, Result, Store};

/// How long what nobody goes on with is kept.
const KEPT: Duration = Duration::from_hours(24 * 30);

/// The state of a batch that is being worked on.
pub struct State {
    folder: PathBuf,
    keeper: Arc<Keeper>,
    keeping: JoinHandle<Result<()>>,
    stop: CancellationToken,
    lock: Lock,
}

impl State {
    /// Opens what is kept under `key` in `<state_dir>/put`, or begins it; `None` when somebody is at it.
    /// Within a runtime; blocks on the disk.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn open(state_dir: &Path, key: &Md5, now_secs: i64) -> Result<Option<Self>> {
        let above = state_dir.join("put");
        let folder = above.join(key.to_string());
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Io { what: "cannot use", path, source }
        };
        durable::make_folder(&above, 0o700).map_err(failed(&above))?;
        sweep(&above, now_secs);
        let file = lock_of(&folder);
        let Some(lock) = Lock::try_take(&file).map_err(failed(&file))? else { return Ok(None) };
        durable::make_folder(&folder, 0o700).map_err(failed(&folder))?;
        let (store, opened) = Store::open(&folder)?;
        if opened == Opened::New {
            // There is nothing that the cloud could know better: it sees by itself what it has already.
            store.looked()?;
        }
        let keeper = Keeper::open(Arc::new(store), LONGEST)?;
        let stop = CancellationToken::new();
        let (kept, until) = (Arc::clone(&keeper), stop.clone());
        let keeping = tokio::spawn(async move { kept.run(until).await });
        Ok(Some(Self { folder, keeper, keeping, stop, lock }))
    }

    /// The queue.
    #[must_use]
    pub fn keeper(&self) -> &Arc<Keeper> {
        &self.keeper
    }

    /// The end. With `is_through` nothing is kept.
    ///
    /// # Errors
    /// What has to be kept cannot be written.
    pub async fn end(self, is_through: bool) -> Result<()> {
        self.stop.cancel();
        let kept = self.keeping.await.unwrap_or_else(|panic| {
            Err(Error::Damaged { path: self.folder.clone(), why: panic.to_string() })
        });
        let closed = match (kept, Arc::into_inner(self.keeper)) {
            // Whatever could not be written is of no use any more.
            (_, keeper) if is_through => {
                drop(keeper);
                remove(&self.folder);
                Ok(())
            }
            (Ok(()), Some(keeper)) => keeper.close(),
            (kept, _) => kept,
        };
        drop(self.lock);
        closed
    }
}

fn lock_of(folder: &Path) -> PathBuf {
    folder.with_extension("lock")
}

/// Removes a batch's folder; the lock is held.
fn remove(folder: &Path) {
    let gone = fs::remove_dir_all(folder).and_then(|()| fs::remove_file(lock_of(folder)));
    if let Err(error) = gone.or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    }) {
        tracing::warn!("cannot remove {}: {error}", folder.display());
    }
}

/// Removes what nobody has gone on with.
fn sweep(above: &Path, now_secs: i64) {
    let Ok(entries) = fs::read_dir(above) else { return };
    let folders = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    for folder in folders {
        // sled writes here with every commit.
        let used =
            [folder.join("db/db"), folder.clone()].into_iter().find_map(|path| fs::metadata(path).ok());
        let age = used.map_or(0, |used| now_secs.saturating_sub(used.mtime()));
        let is_old = u64::try_from(age).is_ok_and(|age| age > KEPT.as_secs());
        if is_old && let Ok(Some(_lock)) = Lock::try_take(&lock_of(&folder)) {
            remove(&folder);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn open(state_dir: &Path, key: &str, now_secs: i64) -> Option<State> {
        State::open(state_dir, &Md5::of(key), now_secs).unwrap()
    }

    #[tokio::test]
    async fn what_is_not_through_is_kept_and_one_works_on_it_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let now_secs = crate::clock::Clock::system().now_secs();
        let state = open(dir.path(), "a", now_secs).unwrap();
        assert!(!state.keeper().gaps().any(), "a new one has nothing to look for");
        assert!(open(dir.path(), "a", now_secs).is_none());
        let folder = state.folder.clone();
        state.keeper().with(|queue| queue.folder(dir.path(), "/apps/x/")).unwrap();
        state.end(false).await.unwrap();
        let state = open(dir.path(), "a", now_secs).unwrap();
        let id = state.keeper().with(|queue| queue.folder(dir.path(), "/apps/x/")).unwrap();
        assert_eq!(id.0, 1);
        state.end(true).await.unwrap();
        assert!(!folder.exists() && fs::read_dir(dir.path().join("put")).unwrap().next().is_none());
    }

    #[tokio::test]
    async fn what_nobody_goes_on_with_is_removed_after_a_month() {
        let dir = tempfile::tempdir().unwrap();
        let now_secs = crate::clock::Clock::system().now_secs();
        open(dir.path(), "old", now_secs).unwrap().end(false).await.unwrap();
        let at_work = open(dir.path(), "at work", now_secs).unwrap();
        let day = 86_400;
        open(dir.path(), "b", now_secs + 29 * day).unwrap().end(true).await.unwrap();
        let left = || fs::read_dir(dir.path().join("put")).unwrap().count();
        assert_eq!(left(), 4, "two folders and their locks");
        open(dir.path(), "b", now_secs + 31 * day).unwrap().end(true).await.unwrap();
        assert_eq!(left(), 2);
        at_work.end(true).await.unwrap();
    }
}
