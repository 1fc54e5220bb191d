//! A library of photos on the disk, and a state that knows every one of them as backed up.
//!
//! The state is written by the product's own queue, index and store, file by file, as uploads would: only the
//! network is left out. The photos have their size and no content (holes), so that a million of them fit.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use xpand::backup::disk;
use xpand::backup::entry::Copy;
use xpand::backup::queue::{Next, Outcome, Queue};
use xpand::content::{FilePath, Md5};
use xpand::store::Store;

/// Photos in one folder: a month of a family that likes taking them.
const A_FOLDER: u64 = 400;
/// The oldest photo, seconds since 1970, and the time between two of them.
const FIRST: u64 = 1_000_000_000;
const APART: u64 = 600;

/// The photo's path below the library.
fn below(number: u64) -> String {
    let folder = number / A_FOLDER;
    format!("{}/{:02}/IMG_{number:07}.jpg", 1990 + folder / 12, 1 + folder % 12)
}

/// Makes so many photos in `root`, of `bytes` and a little more.
///
/// # Errors
/// The disk is full, say.
pub(crate) fn make(root: &Path, photos: u64, bytes: u64) -> io::Result<()> {
    for number in 0..photos {
        let path = root.join(below(number));
        if number % A_FOLDER == 0 {
            fs::create_dir_all(path.parent().unwrap_or(root))?;
        }
        let file = File::create_new(&path)?;
        file.set_len(bytes + number % 1000)?;
        let taken = std::time::UNIX_EPOCH + std::time::Duration::from_secs(FIRST + number * APART);
        file.set_modified(taken)?;
    }
    Ok(())
}

/// Makes the state in `state` know all photos of the library at `root` as backed up for `account`, below the
/// remote folder `remote`.
///
/// # Errors
/// The library cannot be read, or the state not be written.
pub(crate) fn know(
    state: &Path,
    root: &Path,
    photos: u64,
    account: &str,
    remote: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    fs::create_dir_all(state)?;
    let (store, _) = Store::open(state)?;
    let store = Arc::new(store);
    let mut queue = Queue::open(Arc::clone(&store))?;
    let folder = queue.folder(root, account)?;
    for number in 0..photos {
        let below = below(number);
        let print = disk::stat_one(root, below.as_bytes())?.ok_or("a photo is missing")?;
        let path = FilePath { folder, below: below.as_bytes().into() };
        queue.offer(&path, print)?;
        let Next::Claim(claim) = queue.next_due(i64::MAX, |_| true)? else {
            return Err("nothing is due".into());
        };
        let id = (693_789_892_866_840 + number * 977).to_string();
        let copy = Copy { size: print.size, md5: Md5::of(&below), id, path: format!("{remote}/{below}") };
        queue.close(claim.job, Outcome::Done(copy))?;
        // As often as the agent does while it is busy.
        if number % 64 == 63 {
            queue.apply()?;
            store.flush()?;
            queue.flushed();
        }
    }
    queue.apply()?;
    store.flush()?;
    queue.flushed();
    drop(queue);
    Arc::into_inner(store).ok_or("the store is in use")?.close()?;
    Ok(())
}

/// Where a library of so many photos lies, below `yard`; made when it is not there.
///
/// # Errors
/// As [`make`].
pub(crate) fn kept(yard: &Path, photos: u64, bytes: u64) -> io::Result<PathBuf> {
    let root = yard.join(format!("library-{photos}"));
    if !root.exists() {
        let making = yard.join(format!("library-{photos}.making"));
        let _ = fs::remove_dir_all(&making);
        fs::create_dir_all(&making)?;
        make(&making, photos, bytes)?;
        fs::rename(&making, &root)?;
    }
    Ok(root)
}
