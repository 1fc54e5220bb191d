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
//! has arrived, and when nothing was done yet that the same command would have to do again. [`tidy`] takes away
//! what was left lying for [`KEPT`] - the cloud has long forgotten its sessions by then - and the oldest beyond
//! [`MOST`]: with every batch, and when the agent starts.

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

/// So many of those are kept, some 30 KiB each and more with many files.
const MOST: usize = 32;

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
        let file = lock_of(&folder);
        let Some(lock) = Lock::try_take(&file).map_err(failed(&file))? else { return Ok(None) };
        // Now that nobody takes this one away.
        tidy(state_dir, now_secs);
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

    /// The end. With `is_through` nothing is kept, nor when there is nothing to go on with.
    ///
    /// # Errors
    /// What has to be kept cannot be written.
    pub async fn end(self, is_through: bool) -> Result<()> {
        self.stop.cancel();
        let kept = self.keeping.await.unwrap_or_else(|panic| {
            Err(Error::Damaged { path: self.folder.clone(), why: panic.to_string() })
        });
        // Where that cannot be found out, something may be.
        let is_through =
            is_through || self.keeper.with(|queue| queue.has_begun().map(|begun| !begun)).unwrap_or(false);
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

/// Takes away what nobody has gone on with for long. Blocks on the disk.
pub fn tidy(state_dir: &Path, now_secs: i64) {
    sweep(&state_dir.join("put"), now_secs, MOST);
}

/// Removes what nobody has gone on with, and the oldest beyond `most`.
fn sweep(above: &Path, now_secs: i64, most: usize) {
    let Ok(entries) = fs::read_dir(above) else { return };
    let (folders, others): (Vec<PathBuf>, Vec<PathBuf>) =
        entries.flatten().map(|entry| entry.path()).partition(|path| path.is_dir());
    let mut folders: Vec<(i64, PathBuf)> =
        folders.into_iter().map(|folder| (used(&folder), folder)).collect();
    folders.sort_by_key(|(used, _)| std::cmp::Reverse(*used));
    for (number, (used, folder)) in folders.into_iter().enumerate() {
        let is_old = u64::try_from(now_secs.saturating_sub(used)).is_ok_and(|age| age > KEPT.as_secs());
        if (is_old || number >= most)
            && let Ok(Some(_lock)) = Lock::try_take(&lock_of(&folder))
        {
            remove(&folder);
        }
    }
    // Of a process that was killed while it removed its own.
    let is_left = |file: &PathBuf| file.extension().is_some_and(|ending| ending == "lock");
    for file in others.into_iter().filter(is_left).filter(|file| !file.with_extension("").exists()) {
        if let Ok(Some(_lock)) = Lock::try_take(&file) {
            let _ = fs::remove_file(&file);
        }
    }
}

/// When a batch was worked on, seconds since 1970: sled writes with every commit.
fn used(folder: &Path) -> i64 {
    let mut at = [folder.join("db/db"), folder.to_owned()].into_iter();
    at.find_map(|path| fs::metadata(path).ok()).map_or(0, |used| used.mtime())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::backup::entry::Skip;
    use crate::backup::job::{Digests, Job, Stage};
    use crate::backup::queue::{Next, Outcome, Queue};
    use crate::content::{FilePath, Fingerprint, Media};

    fn open(state_dir: &Path, key: &str, now_secs: i64) -> Option<State> {
        State::open(state_dir, &Md5::of(key), now_secs).unwrap()
    }

    /// As after a file that was read and did not arrive.
    fn begin(state: &State, dir: &Path) {
        let print = Fingerprint { size: 1, mtime_ns: 0, ctime_ns: 0 };
        let digests = Digests {
            content: Md5::of("1"),
            head: Md5::of("1"),
            slice_size: 1,
            slices: [Md5::of("1")].into(),
            media: Media::Photo,
        };
        let queue = |queue: &mut Queue| {
            let folder = queue.folder(dir, "/apps/x/")?;
            queue.offer(&FilePath { folder, below: (*b"a.jpg").into() }, print)?;
            let Next::Claim(claim) = queue.next_due(0, |_| true)? else { panic!("nothing is due") };
            let job = Job { stage: Stage::Hashed(digests), ..claim.job };
            queue.close(job, Outcome::Park { why: "it failed".into() })
        };
        state.keeper().with(queue).unwrap();
    }

    fn left(dir: &Path) -> usize {
        fs::read_dir(dir.join("put")).unwrap().count()
    }

    #[tokio::test]
    async fn what_is_not_through_is_kept_and_one_works_on_it_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let now_secs = crate::clock::Clock::system().now_secs();
        let state = open(dir.path(), "a", now_secs).unwrap();
        assert!(!state.keeper().gaps().any(), "a new one has nothing to look for");
        assert!(open(dir.path(), "a", now_secs).is_none());
        let folder = state.folder.clone();
        begin(&state, dir.path());
        state.end(false).await.unwrap();
        let state = open(dir.path(), "a", now_secs).unwrap();
        let id = state.keeper().with(|queue| queue.folder(dir.path(), "/apps/x/")).unwrap();
        let kept = state.keeper().with(|queue| queue.jobs(id, None)).unwrap();
        assert!(id.0 == 1 && kept[0].digests().is_some(), "{kept:?}");
        state.end(true).await.unwrap();
        assert!(!folder.exists() && left(dir.path()) == 0);
    }

    #[tokio::test]
    async fn nothing_is_kept_where_nothing_was_begun() {
        let dir = tempfile::tempdir().unwrap();
        let state = open(dir.path(), "a", 0).unwrap();
        let print = Fingerprint { size: 0, mtime_ns: 0, ctime_ns: 0 };
        let skip = |queue: &mut Queue| {
            let folder = queue.folder(dir.path(), "/apps/x/")?;
            queue.skip(&FilePath { folder, below: (*b"a.jpg").into() }, print, Skip::Empty)
        };
        state.keeper().with(skip).unwrap();
        state.end(false).await.unwrap();
        assert_eq!(left(dir.path()), 0);
    }

    #[tokio::test]
    async fn what_nobody_goes_on_with_is_removed_after_a_month_and_the_oldest_earlier() {
        let dir = tempfile::tempdir().unwrap();
        let now_secs = crate::clock::Clock::system().now_secs();
        let keep = async |key: &str| {
            let state = open(dir.path(), key, now_secs).unwrap();
            begin(&state, dir.path());
            state.end(false).await.unwrap();
        };
        keep("old").await;
        let at_work = open(dir.path(), "at work", now_secs).unwrap();
        let day = 86_400;
        tidy(dir.path(), now_secs + 29 * day);
        assert_eq!(left(dir.path()), 4, "two folders and their locks");
        tidy(dir.path(), now_secs + 31 * day);
        assert_eq!(left(dir.path()), 2);
        // The lock of one that was killed while it went.
        fs::write(dir.path().join("put/0123.lock"), "").unwrap();
        tidy(dir.path(), now_secs);
        assert_eq!(left(dir.path()), 2);
        keep("older").await;
        keep("newer").await;
        for (key, hours) in [("older", 2), ("newer", 1)] {
            let db = dir.path().join("put").join(Md5::of(key).to_string()).join("db/db");
            let used = std::time::SystemTime::now() - Duration::from_secs(hours * 3600);
            fs::File::open(&db).unwrap().set_modified(used).unwrap();
        }
        sweep(&dir.path().join("put"), now_secs, 2);
        let is_left = |key: &str| dir.path().join("put").join(Md5::of(key).to_string()).exists();
        assert!(is_left("newer") && is_left("at work") && !is_left("older"));
        at_work.end(true).await.unwrap();
    }
}
