//! The source folders are only read: a whole life of the real program on a folder that cannot be written, and
//! on one where everything that happens to a file is told to the test.
//!
//! Besides, every test with a rig looks whether its folders stay as they are while it waits
//! (`common::watchmen`).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs::{self, File, FileTimes};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use common::clouds::{Cloud, at_each_cloud};
use common::disks::Mounted;
use common::media::{photo, video};
use common::{Rig, files_below, is_quiet};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

at_each_cloud! {
    a_whole_life_of_the_agent_leaves_nothing_in_a_source_folder_that_could_be_heard_or_seen
}

const MIB: usize = 1 << 20;
/// One test at a time: a process that the other starts holds our files open for writing until it is itself,
/// and the end of that is heard.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Hears of everything that is done to files and folders but reading.
struct Ears(OwnedFd);

impl Ears {
    fn at(root: &Path) -> Self {
        let ears = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        let all = WatchFlags::MODIFY
            | WatchFlags::ATTRIB
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE
            | WatchFlags::MOVE_SELF;
        let mut folders: Vec<PathBuf> = files_below(root)
            .into_iter()
            .flat_map(|(path, _)| path.ancestors().skip(1).map(PathBuf::from).collect::<Vec<_>>())
            .filter(|folder| folder.starts_with(root))
            .collect();
        folders.sort();
        folders.dedup();
        for folder in folders {
            inotify::add_watch(&ears, folder, all).unwrap();
        }
        Self(ears)
    }

    /// What was heard so far.
    fn heard(&self) -> Vec<String> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.0, &mut buffer);
        let mut heard = Vec::new();
        while let Ok(event) = reader.next() {
            heard.push(format!("{:?} {:?}", event.events(), event.file_name()));
        }
        heard
    }
}

/// A library whose files were last read long ago.
fn fill(folder: &Path) {
    let long_ago = |secs| SystemTime::UNIX_EPOCH + Duration::from_secs(secs);
    let times = FileTimes::new().set_accessed(long_ago(1_000_000_000)).set_modified(long_ago(900_000_000));
    let put = |below: String, bytes: Vec<u8>| {
        let path = folder.join(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        File::options().write(true).open(path).unwrap().set_times(times).unwrap();
    };
    for seed in 0..12 {
        put(format!("2024/{:02}/{seed}.jpg", seed % 3), photo(seed, 3000));
    }
    put("film.mp4".into(), video(1, 9 * MIB));
}

async fn backed_up(rig: &Rig, count: u64) {
    rig.until("backed up", |s| is_quiet(s) && s.totals.counts.backed_up == count).await;
}

async fn a_whole_life_of_the_agent_leaves_nothing_in_a_source_folder_that_could_be_heard_or_seen(
    cloud: Cloud,
) {
    let _alone = ALONE.lock().await;
    let rig = Rig::ready_at(cloud, |_| ());
    // 123pan takes no films.
    let count = cloud.of(13, 12);
    let root = rig.root("photo");
    fill(&root);
    let read_at = || files_below(&root).iter().map(|(path, _)| fs::metadata(path).unwrap().atime()).max();
    let ears = Ears::at(&root);
    let before = rig.sources();
    let agent = rig.spawn();
    backed_up(&rig, count).await;
    rig.client.scan(None).await.unwrap();
    backed_up(&rig, count).await;
    // Whoever owns a file, or is root, may leave its access time alone too.
    assert_eq!(read_at(), Some(1_000_000_000), "a file's access time has changed");
    agent.kill();
    let agent = rig.spawn();
    backed_up(&rig, count).await;
    assert!(agent.terminate().await.0.success());
    before.assert_same(&rig.sources());
    assert_eq!(ears.heard(), [""; 0], "the agent did more than read");
    // What the test does itself is heard: the ears work.
    rig.put("2024/00/0.jpg", &photo(77, 4000));
    rig.put("2024/00/new.jpg", &photo(78, 4000));
    assert!(ears.heard().len() >= 2);
    let before = rig.sources();
    let agent = rig.spawn();
    backed_up(&rig, count + 1).await;
    // A new login and a lost state: everything is read once more.
    assert!(agent.terminate().await.0.success());
    rig.lose_state();
    let agent = rig.spawn();
    backed_up(&rig, count + 1).await;
    assert!(agent.terminate().await.0.success());
    before.assert_same(&rig.sources());
    assert_eq!(ears.heard(), [""; 0], "the agent did more than read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_folder_that_cannot_be_written_is_backed_up_like_any_other() {
    let _alone = ALONE.lock().await;
    let rig = Rig::ready(|_| ());
    let real = rig.path("real");
    fill(&real);
    let read_only = ["-o", "bind,ro", real.to_str().unwrap()];
    let Some(_mounted) = Mounted::new(&rig.root("photo"), &read_only) else { return };
    assert!(fs::write(rig.root("photo").join("x"), "x").is_err(), "the mount is read-only");
    let agent = rig.spawn();
    rig.wait_arrived().await;
    // A new file is noticed, and one that changes.
    fs::write(real.join("new.jpg"), photo(77, 3000)).unwrap();
    fs::write(real.join("2024/00/0.jpg"), photo(78, 4000)).unwrap();
    rig.until("both", |s| is_quiet(s) && rig.sim.files().len() == 15).await;
    assert!(agent.terminate().await.0.success());
    let agent = rig.spawn();
    rig.until("quiet again", |s| is_quiet(s) && s.totals.counts.backed_up == 14).await;
    assert!(agent.terminate().await.0.success());
    assert!(!rig.log().contains("Read-only file system"), "it tried to write: {}", rig.log());
}
