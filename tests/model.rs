//! Any file operations in any order, on a real disk, with restarts, faults and changes that nobody saw,
//! against a plain model: whenever all is quiet, the cloud holds every content that held still, and
//! nothing that was never there.
//!
//! `XPAND_MODEL_SEEDS=50` does more than the ordinary run; `XPAND_MODEL_SEED=7` begins elsewhere.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cloudsim::{Fault, FaultKind, md5_hex};
use common::dice::{Dice, seeds};
use common::media::{noise, photo, set_mtime};
use common::{PATIENCE, Rig, files_below, is_quiet};
use xpand::remote::names::escape;
use xpand::status::State;

/// Rounds of changes, each with a time of quiet after it.
const ROUNDS: usize = 14;
/// Files that stay where they are, so that what is moved away is never most of the folder.
const STEADY: usize = 24;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_every_time_of_quiet_the_cloud_holds_each_content_that_held_still() {
    for seed in seeds("MODEL") {
        let begun = Instant::now();
        let mut world = World::new(seed);
        for round in 0..ROUNDS {
            world.round(round).await;
        }
        let told = world.end().await;
        println!("seed {seed}: {told}, {:.1} s", begun.elapsed().as_secs_f64());
    }
}

/// A folder, what lies beside it, and what is known of both.
struct World {
    rig: Rig,
    dice: Dice,
    /// What was at a wanted path at some time: path below the folder, MD5.
    ever: BTreeSet<(PathBuf, String)>,
    /// What held still at some time.
    still: BTreeSet<(PathBuf, String)>,
    /// What was done, for a failed test.
    story: Vec<String>,
    made: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let rig = Rig::start(|setup| setup.sim.seed = Some(seed));
        for place in ["outside", "photo/a", "photo/b/deep", "photo/steady"] {
            fs::create_dir_all(rig.path(place)).unwrap();
        }
        for number in 0..STEADY {
            rig.put(&format!("steady/{number}.jpg"), &photo(seed * 100 + number as u64, 900));
        }
        let (ever, still) = (BTreeSet::new(), BTreeSet::new());
        Self { rig, dice: Dice::new(seed), ever, still, story: Vec::new(), made: 0 }
    }

    /// Some changes, at times while the agent is not there to see them; then quiet.
    async fn round(&mut self, round: usize) {
        self.story.push(format!("round {round}"));
        let unseen = self.dice.percent(35);
        if unseen {
            self.story.push("the agent is stopped".into());
            self.rig.stop().await;
        }
        self.rig.sim.clear_faults();
        if self.dice.percent(50) {
            use FaultKind::*;
            for kind in [DropBefore, DropAfter, Status(503), Html(502), Empty500, CutAnswer] {
                self.rig.sim.fault(Fault::chance("", kind, 0.03)).unwrap();
            }
        }
        for _ in 0..1 + self.dice.below(9) {
            self.change();
            self.note_ever();
            if !unseen && self.dice.percent(40) {
                tokio::time::sleep(Duration::from_millis(self.dice.next() % 120)).await;
            }
        }
        if unseen {
            self.rig.begin();
        } else if self.dice.percent(15) {
            self.story.push("the agent is restarted".into());
            self.rig.restart().await;
        }
        self.hold_still().await;
    }

    /// Nobody writes: everything that is there arrives.
    async fn hold_still(&mut self) {
        let now = contents(&self.rig);
        self.still.extend(now.iter().cloned());
        let begun = Instant::now();
        loop {
            let status = self.rig.until("quiet", is_quiet).await;
            let missing = self.missing();
            if missing.is_empty() && status.totals.counts.backed_up == now.len() as u64 {
                assert_eq!(status.totals.counts.failed, 0, "{status:#?}");
                assert_eq!(status.totals.counts.files, now.len() as u64, "{status:#?}");
                break;
            }
            let story = || format!("{:#?}\n{}", self.story, self.rig.story(Some(&status)));
            let counts = &status.totals.counts;
            assert!(
                begun.elapsed() < PATIENCE,
                "{} files, {counts:?}, not in the cloud: {missing:#?}\n{}",
                now.len(),
                story()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // Nothing that was never there, and nothing under a name it never had.
        for file in self.rig.sim.files() {
            let fits =
                |(below, md5): &(PathBuf, String)| *md5 == file.md5 && is_name_of(&file.path, &remote(below));
            assert!(self.ever.iter().any(fits), "{} was never there\n{:#?}", file.path, self.story);
            assert_eq!((file.overwritten, file.versions.len()), (0, 0), "{}", file.path);
        }
        self.rig.assert_only_grew();
    }

    /// What held still at some time, and is not in the cloud under its name.
    fn missing(&self) -> Vec<&(PathBuf, String)> {
        let mut cloud: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for file in self.rig.sim.files() {
            cloud.entry(file.md5).or_default().push(file.path);
        }
        let is_there = |(below, md5): &&(PathBuf, String)| {
            let wanted = remote(below);
            cloud.get(md5).is_some_and(|paths| paths.iter().any(|path| is_name_of(path, &wanted)))
        };
        self.still.iter().filter(|content| !is_there(content)).collect()
    }

    fn note_ever(&mut self) {
        self.ever.extend(contents(&self.rig));
    }

    async fn end(mut self) -> String {
        self.rig.until("idle", |status| is_quiet(status) && status.state == State::Idle).await;
        self.rig.stop().await;
        let (ever, still, copies) = (self.ever.len(), self.still.len(), self.rig.sim.files().len());
        let changes = self.story.iter().filter(|line| line.starts_with("  ")).count();
        format!("{changes} changes, {ever} contents under their names, {still} held still, {copies} copies")
    }

    /// One operation on the disk.
    fn change(&mut self) {
        let root = self.rig.root("photo");
        let file = self.any_file();
        let fresh = self.fresh_place();
        let told = match (self.dice.below(16), file) {
            (0..4, _) | (_, None) => {
                self.write(&fresh);
                format!("make {fresh:?}")
            }
            (4, Some(file)) => {
                let length = fs::metadata(&file).unwrap().len();
                let more = noise(self.dice.next(), 700);
                OpenOptions::new().write(true).open(&file).unwrap().write_all_at(&more, length).unwrap();
                format!("grow {file:?}")
            }
            (5, Some(file)) => {
                // The same size, in place, at times with the same modification time.
                let before = fs::metadata(&file).unwrap();
                let bytes = noise(self.dice.next(), usize::try_from(before.len()).unwrap());
                let open = OpenOptions::new().write(true).open(&file).unwrap();
                open.write_all_at(&bytes, 0).unwrap();
                if self.dice.percent(50) {
                    open.set_modified(before.modified().unwrap()).unwrap();
                }
                format!("rewrite {file:?}")
            }
            (6, Some(file)) => {
                self.write(&file);
                format!("replace {file:?}")
            }
            (7, Some(file)) => {
                rename(&file, &fresh);
                format!("rename {file:?} {fresh:?}")
            }
            (8, Some(file)) => {
                fs::remove_file(&file).unwrap();
                format!("remove {file:?}")
            }
            (9, Some(file)) => {
                let _ = fs::create_dir_all(fresh.parent().unwrap());
                let done = fs::hard_link(&file, &fresh);
                format!("link {file:?} {fresh:?} {done:?}")
            }
            (10, Some(file)) => {
                let target = if self.dice.percent(50) { file } else { self.rig.path("outside") };
                let _ = fs::create_dir_all(fresh.parent().unwrap());
                let done = std::os::unix::fs::symlink(&target, &fresh);
                format!("symlink {target:?} {fresh:?} {done:?}")
            }
            (11, Some(file)) => {
                set_mtime(&file, 1_500_000_000 + self.dice.next() % 200_000_000);
                format!("touch {file:?}")
            }
            (12, Some(file)) => {
                // Two files change places.
                let (other, between) = (self.any_file().unwrap(), self.rig.path("between"));
                rename(&file, &between);
                rename(if other == file { &between } else { &other }, &file);
                if other != file {
                    rename(&between, &other);
                }
                format!("swap {file:?} {other:?}")
            }
            (13, _) => {
                // A directory goes out of the folder, and what went out before comes in.
                let (inside, outside) = (self.any_directory(), self.rig.path("outside/gone"));
                let back = root.join(format!("back{}", self.made));
                let came = fs::rename(&outside, &back).is_ok();
                if inside.exists() {
                    rename(&inside, &outside);
                }
                format!("move out {inside:?}, in {back:?}: {came}")
            }
            (14, _) => {
                let (directory, to) = (self.any_directory(), root.join(format!("dir{}", self.made)));
                rename(&directory, &to);
                format!("move {directory:?} {to:?}")
            }
            (_, Some(_)) => {
                // A whole directory is made outside and comes in at once.
                let (beside, to) = (self.rig.path("beside"), root.join(format!("new{}", self.made)));
                for number in 0..1 + self.dice.below(3) {
                    self.write(&beside.join(format!("deep/{number}.jpg")));
                }
                rename(&beside, &to);
                format!("bring {to:?}")
            }
        };
        self.story.push(format!("  {}", told.replace(&format!("{}/", self.rig.path("").display()), "")));
    }

    /// A photo that is like no other, in one go or in two.
    fn write(&mut self, path: &Path) {
        self.made += 1;
        let bytes = photo(self.dice.next(), 600 + self.dice.below(3000));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if path.is_symlink() {
            fs::remove_file(path).unwrap();
        }
        if self.dice.percent(30) {
            fs::write(path, &bytes[..300]).unwrap();
            // For a moment that was all of it.
            self.note_ever();
        }
        fs::write(path, bytes).unwrap();
    }

    fn any_file(&mut self) -> Option<PathBuf> {
        let mut files = files_below(&self.rig.root("photo"));
        files.retain(|(_, below)| !below.starts_with("steady"));
        files.sort();
        (!files.is_empty()).then(|| self.dice.pick(&files).0.clone())
    }

    fn any_directory(&mut self) -> PathBuf {
        let entries = fs::read_dir(self.rig.root("photo")).unwrap().flatten();
        let directories =
            entries.filter(|entry| entry.file_type().unwrap().is_dir() && entry.file_name() != "steady");
        let mut directories: Vec<_> = directories.map(|entry| entry.path()).collect();
        directories.sort();
        match directories.is_empty() {
            true => self.rig.root("photo").join("none"),
            false => self.dice.pick(&directories).clone(),
        }
    }

    fn fresh_place(&mut self) -> PathBuf {
        self.made += 1;
        let folder = *self.dice.pick(&["", "a", "b", "b/deep", "c/new", "海"]);
        self.rig.root("photo").join(folder).join(format!("{}.jpg", self.made))
    }
}

/// Renames, and says nothing where there is nothing.
fn rename(from: &Path, to: &Path) {
    let _ = fs::create_dir_all(to.parent().unwrap());
    let _ = fs::rename(from, to);
}

/// The wanted files as they are: path below the folder, MD5.
fn contents(rig: &Rig) -> BTreeSet<(PathBuf, String)> {
    let files = files_below(&rig.root("photo")).into_iter();
    files.map(|(path, below)| (below, md5_hex(&fs::read(path).unwrap()))).collect()
}

fn remote(below: &Path) -> String {
    format!("/apps/xpand/photo/{}", escape(std::os::unix::ffi::OsStrExt::as_bytes(below.as_os_str())))
}

/// The name itself, or the one that the cloud made of it because it was taken: `a(2).jpg` of `a.jpg`.
fn is_name_of(path: &str, wanted: &str) -> bool {
    let (stem, ending) = wanted.rsplit_once('.').unwrap();
    let rest = path.strip_prefix(stem).and_then(|rest| rest.strip_suffix(&format!(".{ending}")));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('(') && rest.ends_with(')'))
}
