//! A library of photos on the disk, and a state that knows every one of them as backed up.
//!
//! The state is written by the agent's own queue, index and store, file by file, as uploads would: only the network
//! is left out. The photos have their size and no content (holes), so that a million of them fit.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use tempfile::TempDir;
use xpand::backup::disk;
use xpand::backup::entry::Copy;
use xpand::backup::queue::{Next, Outcome, Queue};
use xpand::content::{FilePath, Md5};
use xpand::store::Store;

use super::agent::{Agent, Home, Setup};
use super::cloud::{Cloud, Line};
use super::{Bench, Result};

/// Photos in one folder: a month of a family that likes taking them.
const A_FOLDER: u64 = 400;
/// The oldest photo, seconds since 1970, and the time between two of them.
const FIRST: u64 = 1_000_000_000;
const APART: u64 = 600;
/// Bytes of the smallest photo. Few, because others read them all.
const BYTES: u64 = 1000;
/// Changes that go to the disk together, as the agent has it while it is busy.
const TOGETHER: u64 = 64;
/// A first look at a million files on a slow machine.
const PATIENCE: Duration = Duration::from_mins(15);

/// The account that the photos went to.
pub(crate) const ACCOUNT: &str = "home";

/// A library that is backed up.
pub(crate) struct Library {
    /// Whose agent it is.
    pub(crate) home: Home,
    count: u64,
    /// Last, so that it ends after everything else.
    _cloud: Cloud,
    _room: TempDir,
}

impl Library {
    /// Makes so many photos, and a state that knows them.
    pub(crate) fn known(bench: &Bench, count: u64) -> Result<Self> {
        let room = bench.room()?;
        let photos = room.path().join("photos");
        bench.say(&format!("making {count} photos that are backed up"));
        make(&photos, count)?;
        let cloud = Cloud::start(bench, &room.path().join("cloud"), Line::default())?;
        let home = Home::new(&room.path().join("home"), &Setup::new(&photos, &cloud))?;
        know(&home.state(), &photos, count)?;
        Ok(Self { home, count, _cloud: cloud, _room: room })
    }

    /// The agent, after its first look.
    pub(crate) fn at_rest<'b>(&self, bench: &'b Bench) -> Result<Agent<'b>> {
        let mut agent = self.home.start(bench)?;
        agent.until(PATIENCE, |status| {
            let has_looked = status.folders.iter().all(|folder| folder.last_scan.is_some());
            has_looked && status.totals.counts.backed_up == self.count
        })?;
        Ok(agent)
    }
}

/// The photo's path below the library.
fn below(number: u64) -> String {
    let folder = number / A_FOLDER;
    format!("{}/{:02}/IMG_{number:07}.jpg", 1990 + folder / 12, 1 + folder % 12)
}

/// Makes the photos, the same ones each time.
pub(crate) fn make(root: &Path, count: u64) -> Result<()> {
    for number in 0..count {
        let path = root.join(below(number));
        if number % A_FOLDER == 0 {
            fs::create_dir_all(path.parent().unwrap_or(root))?;
        }
        let file = File::create_new(&path)?;
        file.set_len(BYTES + number % BYTES)?;
        file.set_modified(UNIX_EPOCH + Duration::from_secs(FIRST + number * APART))?;
    }
    Ok(())
}

/// Makes the state in the folder `state` know them.
pub(crate) fn know(state: &Path, root: &Path, count: u64) -> Result<()> {
    fs::create_dir_all(state)?;
    let store = Arc::new(Store::open(state)?.0);
    let mut queue = Queue::open(Arc::clone(&store))?;
    let folder = queue.folder(root, ACCOUNT)?;
    for number in 0..count {
        let below = below(number);
        let print = disk::stat_one(root, below.as_bytes())?.ok_or("a photo is missing")?;
        let path = FilePath::new(folder, &below);
        queue.offer(&path, print)?;
        let Next::Claim(claim) = queue.next_due(i64::MAX, |_| true)? else {
            return Err("nothing is due".into());
        };
        // As long as they are.
        let id = (693_789_892_866_840 + number * 977).to_string();
        let copy = Copy {
            size: print.size,
            md5: Md5::of(&below),
            id,
            path: format!("/apps/xpand/nas/photo/{below}"),
        };
        queue.close(claim.job, Outcome::Done(copy))?;
        if number % TOGETHER == 0 {
            queue.apply()?;
            store.flush()?;
            queue.flushed();
        }
    }
    queue.apply()?;
    store.flush()?;
    queue.flushed();
    drop(queue);
    // The cloud need not be asked what it has.
    store.looked()?;
    Arc::into_inner(store).ok_or("the state is in use")?.close()?;
    Ok(())
}
