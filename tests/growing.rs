//! Writers that write at a random pace while the agent runs, with a settle time far too short for them.
//! Each copy in the cloud is a state that the file once had, never a mix and never cut; and the last state
//! is there in the end.
//!
//! `XPAND_GROWING_SEEDS=20` does more than the ordinary run.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use cloudsim::{Fault, FaultKind, md5_hex};
use common::clouds::{Cloud, at_each_cloud};
use common::dice::{Dice, seeds};
use common::media::{noise, photo, video};
use common::{PATIENCE, Rig};

at_each_cloud! {
    each_copy_of_a_file_that_changes_is_a_state_it_once_had
    a_file_that_stops_growing_and_goes_on_is_there_as_it_was_and_as_it_is
}

const MIB: usize = 1 << 20;
/// How long the writers write in all, without the time they wait for the agent.
const BUSY: Duration = Duration::from_secs(4);

/// What a writer does to its file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    /// Bytes at the end.
    Append,
    /// All of it anew, in pieces, in place.
    InPlace,
    /// Cut to nothing, then anew in pieces.
    Truncate,
    /// A few bytes here and there.
    Here,
    /// Another file takes the name.
    Replace,
    /// In place, and the modification time is as before.
    SameTime,
}

/// A writer with its file, and every state the file ever had.
struct Writer {
    path: PathBuf,
    manner: Manner,
    dice: Dice,
    content: Vec<u8>,
    states: BTreeSet<String>,
}

impl Writer {
    fn new(path: PathBuf, manner: Manner, seed: u64, content: Vec<u8>) -> Self {
        let mut writer = Self { path, manner, dice: Dice::new(seed), content, states: BTreeSet::new() };
        writer.note();
        fs::write(&writer.path, &writer.content).unwrap();
        writer
    }

    /// The file is about to be what `content` says.
    fn note(&mut self) {
        self.states.insert(md5_hex(&self.content));
    }

    /// One change, in as many steps as it takes. Each step is a state of its own.
    fn change(&mut self) {
        match self.manner {
            Manner::Append => {
                let more = noise(self.dice.next(), 1 + self.dice.below(30_000));
                let end = self.content.len() as u64;
                self.content.extend(&more);
                self.note();
                self.open().write_all_at(&more, end).unwrap();
            }
            Manner::InPlace => self.pieces(),
            Manner::SameTime => {
                let before = fs::metadata(&self.path).unwrap().modified().unwrap();
                self.pieces();
                self.open().set_modified(before).unwrap();
            }
            Manner::Truncate => {
                let length = self.content.len() / 2 + self.dice.below(self.content.len());
                File::create(&self.path).unwrap();
                self.content.clear();
                let fresh = noise(self.dice.next(), length.clamp(3000, 6 * MIB));
                for piece in fresh.chunks(fresh.len() / 3 + 1) {
                    let at = self.content.len() as u64;
                    self.content.extend(piece);
                    self.note();
                    self.open().write_all_at(piece, at).unwrap();
                    self.breathe(20);
                }
            }
            Manner::Here => {
                for _ in 0..1 + self.dice.below(4) {
                    let at = self.dice.below(self.content.len() - 100);
                    let fresh = noise(self.dice.next(), 64);
                    self.write(at, &fresh);
                }
            }
            Manner::Replace => {
                let length = self.content.len();
                self.content = noise(self.dice.next(), length);
                self.note();
                let beside = self.path.with_extension("tmp");
                fs::write(&beside, &self.content).unwrap();
                fs::rename(beside, &self.path).unwrap();
            }
        }
    }

    fn pieces(&mut self) {
        let fresh = noise(self.dice.next(), self.content.len());
        let size = fresh.len() / 3 + 1;
        for (number, piece) in fresh.chunks(size).enumerate() {
            self.write(number * size, piece);
            self.breathe(20);
        }
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        self.content[at..at + bytes.len()].copy_from_slice(bytes);
        self.note();
        self.open().write_all_at(bytes, at as u64).unwrap();
    }

    fn open(&self) -> File {
        OpenOptions::new().write(true).open(&self.path).unwrap()
    }

    fn breathe(&mut self, most_ms: usize) {
        std::thread::sleep(Duration::from_millis(self.dice.below(most_ms) as u64));
    }

    /// Writes for a while. In the middle it asks whoever listens for a rest, and gets it when its file as
    /// it is then has arrived.
    fn work(mut self, rest: &dyn Fn(String)) -> Self {
        for half in 0..2 {
            let begun = Instant::now();
            while begun.elapsed() < BUSY / 2 {
                self.change();
                // Mostly busy; sometimes still for longer than the agent waits.
                let most = if self.dice.percent(20) { 250 } else { 40 };
                self.breathe(most);
            }
            if half == 0 {
                rest(md5_hex(&self.content));
            }
        }
        self
    }
}

async fn each_copy_of_a_file_that_changes_is_a_state_it_once_had(cloud: Cloud) {
    for seed in seeds("GROWING") {
        println!("seed {seed}: {}", write_and_look(cloud, seed).await);
    }
}

async fn write_and_look(cloud: Cloud, seed: u64) -> String {
    let rig = Rig::start_at(cloud, |setup| {
        setup.settle = "50ms";
        setup.sim.seed = Some(seed);
        setup.sim.latency = Duration::from_millis(2);
    });
    rig.wait_quiet().await;
    // Slices that take their time: the writers write meanwhile.
    rig.sim.fault(Fault::chance(cloud.slice(), FaultKind::Delay(Duration::from_millis(150)), 0.4)).unwrap();
    let manners =
        [Manner::Append, Manner::InPlace, Manner::Truncate, Manner::Here, Manner::Replace, Manner::SameTime];
    let root = rig.root("photo");
    let (arrived, arrivals) = mpsc::channel::<(String, mpsc::Sender<()>)>();
    let threads: Vec<_> = (0..9_u64)
        .map(|number| {
            let manner = manners[number as usize % manners.len()];
            let seed = seed * 1000 + number;
            // The last three are films of two slices, which can be mixed of two states; 123pan has neither.
            let (name, content) = match (number, cloud) {
                (6.., Cloud::Baidu) => (format!("w{number}.mp4"), video(seed, 4 * MIB + 9000)),
                _ => (format!("w{number}.jpg"), photo(seed, 9000)),
            };
            let manner = if number == 7 { Manner::SameTime } else { manner };
            let (path, arrived) = (root.join(name), arrived.clone());
            std::thread::spawn(move || {
                let writer = Writer::new(path, manner, seed, content);
                writer.work(&|md5| {
                    let (done, wait) = mpsc::channel();
                    arrived.send((md5, done)).unwrap();
                    wait.recv_timeout(PATIENCE * 2).unwrap();
                })
            })
        })
        .collect();
    drop(arrived);
    let has = |md5: &str| rig.sim.files().iter().any(|file| file.md5 == *md5);
    let mut resting = Vec::new();
    while threads.iter().any(|thread| !thread.is_finished()) {
        resting.extend(arrivals.try_iter().map(|(md5, done)| (md5, done, Instant::now())));
        resting.retain(|(md5, done, since)| {
            let is_there = has(md5);
            assert!(is_there || since.elapsed() < PATIENCE, "a file that holds still does not arrive");
            is_there.then(|| done.send(()));
            !is_there
        });
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let writers: Vec<Writer> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    for writer in &writers {
        let last = md5_hex(&writer.content);
        assert_eq!(md5_hex(&fs::read(&writer.path).unwrap()), last, "the test itself");
        rig.until_true("the last state", || has(&last)).await;
    }
    rig.wait_quiet().await;
    let copies = rig.sim.files();
    for copy in &copies {
        let writer = writers.iter().find(|writer| is_of(&copy.path, &writer.path)).unwrap();
        assert!(
            writer.states.contains(&copy.md5),
            "{} of {} bytes was never on the disk like that ({:?})",
            copy.path,
            copy.size,
            writer.manner
        );
        assert_eq!(md5_hex(&fs::read(&copy.disk).unwrap()), copy.md5);
    }
    rig.assert_only_grew();
    let states: usize = writers.iter().map(|writer| writer.states.len()).sum();
    assert!(copies.len() >= 2 * writers.len(), "only {} copies: too few to tell", copies.len());
    format!("{} files had {states} states, {} of which were backed up", writers.len(), copies.len())
}

/// `w1.jpg`, also as `w1(3).jpg`.
fn is_of(copy: &str, path: &Path) -> bool {
    let name = copy.rsplit('/').next().unwrap();
    name.split(['(', '.']).next() == path.file_stem().and_then(|stem| stem.to_str())
}

/// Cut off in the middle for so long that it settles: then it is a state of its own, and the whole follows.
async fn a_file_that_stops_growing_and_goes_on_is_there_as_it_was_and_as_it_is(cloud: Cloud) {
    let rig = Rig::start_at(cloud, |_| ());
    rig.wait_quiet().await;
    let (whole, name) = cloud.of((video(3, 5 * MIB), "slow.mp4"), (photo(3, 500_000), "slow.jpg"));
    let middle = whole.len() * 3 / 5;
    let path = rig.root("photo").join(name);
    fs::write(&path, &whole[..middle]).unwrap();
    let half = md5_hex(&whole[..middle]);
    rig.until_true("the first half", || rig.sim.files().iter().any(|file| file.md5 == half)).await;
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&whole[middle..], middle as u64).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_500_000_000)).unwrap();
    drop(file);
    let all = md5_hex(&whole);
    rig.until_true("the whole", || rig.sim.files().iter().any(|file| file.md5 == all)).await;
    rig.wait_quiet().await;
    assert_eq!(rig.sim.files().len(), 2);
}
