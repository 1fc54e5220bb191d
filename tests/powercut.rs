//! A power cut keeps what was called backed up. On a real ext4 whose journal is cut off in the middle,
//! beside a plain fsync as the control; needs root and loop devices, and says so where they are missing.
//!
//! `XPAND_POWER_CUTS=100` does more of them than the ordinary run.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::Rig;
use common::cloud::partseq;
use common::clouds::{Cloud, at_each_cloud};
use common::dice::number;
use common::disks::{is_done, unmount};
use common::media::{noise, photo, video};
use xpand::backup::queue::Queue;
use xpand::durable;
use xpand::status::Status;
use xpand::store::{Opened, Store};

at_each_cloud! {
    what_was_called_backed_up_is_that_after_a_power_cut_and_nothing_known_goes_again
}

/// Slices in flight.
const PARALLEL: usize = 2;

/// An ext4 of its own, mounted at a folder of its own.
struct Disk {
    dir: tempfile::TempDir,
}

impl Disk {
    /// None where this user or this machine cannot have one.
    fn new() -> Option<Self> {
        let disk = Self { dir: tempfile::Builder::new().prefix("xp-disk-").tempdir().unwrap() };
        let is_root = rustix::process::geteuid().is_root();
        fs::create_dir(disk.root()).unwrap();
        let image = File::create(disk.image()).unwrap();
        image.set_len(256 << 20).unwrap();
        let made = is_root
            && Path::new("/dev/loop-control").exists()
            && is_done(Command::new("mkfs.ext4").arg("-q").arg(disk.image()))
            && disk.mount();
        made.then_some(disk)
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    fn image(&self) -> PathBuf {
        self.dir.path().join("image")
    }

    fn mount(&self) -> bool {
        is_done(Command::new("mount").args(["-o", "loop"]).arg(self.image()).arg(self.root()))
    }

    fn unmount(&self) -> bool {
        is_done(Command::new("umount").arg(self.root()))
    }

    /// From now on nothing reaches the disk, and the journal is not flushed.
    #[allow(unsafe_code)]
    fn cut(&self) {
        use rustix::ioctl::{Setter, ioctl, opcode};
        const EXT4_IOC_SHUTDOWN: rustix::ioctl::Opcode = opcode::read::<u32>(b'X', 125);
        const NO_LOG_FLUSH: u32 = 2;
        let root = File::open(self.root()).unwrap();
        // SAFETY: the kernel reads one u32 from the pointer, which is what Setter passes.
        unsafe { ioctl(&root, Setter::<EXT4_IOC_SHUTDOWN, u32>::new(NO_LOG_FLUSH)) }.unwrap();
    }

    /// What comes after the cut: the machine starts again.
    fn come_back(&self) {
        let begun = Instant::now();
        // The killed program's files are closed a moment after its end.
        while !self.unmount() {
            assert!(begun.elapsed() < common::PATIENCE, "cannot unmount");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(self.mount(), "the disk does not come back");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        unmount(&self.root());
    }
}

/// Writes and fsyncs numbered lines until the disk is gone. What it promised must be there afterwards.
struct Control {
    file: PathBuf,
    promised: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Control {
    fn start(file: PathBuf) -> Self {
        let (promised, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (at, number, ended) = (file.clone(), Arc::clone(&promised), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let Ok(mut file) = File::create(at) else { return };
            for line in 1.. {
                if ended.load(Ordering::Relaxed)
                    || writeln!(file, "{line}").is_err()
                    || file.sync_all().is_err()
                {
                    return;
                }
                number.store(line, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        Self { file, promised, stop, thread }
    }

    fn end(self) -> PathBuf {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.file
    }
}

async fn what_was_called_backed_up_is_that_after_a_power_cut_and_nothing_known_goes_again(cloud: Cloud) {
    let Some(disk) = Disk::new() else {
        return println!("skipped: a power cut needs root, loop devices and mkfs.ext4");
    };
    let cuts = cloud.of(number("XPAND_POWER_CUTS", 5), number("XPAND_POWER_CUTS", 2));
    // The real program keeps to 123pan's two pictures a second.
    let count = cloud.of(30, 6);
    let rig = Rig::ready_at(cloud, |setup| {
        setup.state = Some(disk.root().join("state"));
        setup.parallel = PARALLEL;
    });
    // Like a box that was set up a while ago: logged in, and that is on the disk.
    durable::sync_folder_of(&disk.root().join("state")).unwrap();
    rustix::fs::sync();
    let (mut lost_unsynced, mut photos, mut twice_in_all) = (0, 0_u64, 0);
    for cut in 0..cuts {
        for _ in 0..count {
            rig.put(&format!("{cut}/{photos}.jpg"), &photo(photos, 4000));
            photos += 1;
        }
        // A film of six slices, cut off after one, two, ... of them.
        let slices = if cut % 2 == 0 && cloud == Cloud::Baidu { 1 + cut / 2 % 5 } else { 0 };
        if slices > 0 {
            rig.put(&format!("{cut}/film.mp4"), &video(9000 + cut, 21 << 20));
            rig.sim.set_bandwidth(Some(24 << 20));
        }
        let mark = rig.mark();
        let goal = backed_up_on_disk(&rig) + 1 + (cut * 7) % (count - 4);
        let agent = rig.spawn();
        let control = Control::start(disk.root().join("control"));
        let is_far_enough = |status: &Status| {
            let of_film = taken(&rig, mark).iter().filter(|(path, _)| path.ends_with("film.mp4")).count();
            status.totals.counts.backed_up >= goal && of_film as u64 >= slices
        };
        let status = rig.until("some backed up", is_far_enough).await;
        fs::write(disk.root().join("unsynced"), noise(cut, 1 << 20)).unwrap();
        // What was promised before the cut counts, for both alike.
        let (promised, safe) = (status.totals.counts.backed_up, control.promised.load(Ordering::Relaxed));
        disk.cut();
        agent.kill();
        let file = control.end();
        disk.come_back();

        // The cut was a fair one: what was fsynced is there, what was not need not be.
        let lines = fs::read_to_string(file).unwrap();
        assert!(
            lines.lines().any(|line| line == safe.to_string()),
            "the control lost {safe}: not a fair cut"
        );
        let unsynced = fs::read(disk.root().join("unsynced")).unwrap_or_default();
        lost_unsynced += u64::from(unsynced != noise(cut, 1 << 20));

        let found = backed_up_on_disk(&rig);
        assert!(found >= promised, "cut {cut}: {promised} were called backed up, {found} are");
        let before = taken(&rig, mark);
        let again = rig.mark();
        rig.sim.set_bandwidth(None);
        let agent = rig.spawn();
        rig.wait_all_there().await;
        // What the cloud had was found there. Of the film, what it had confirmed is not sent again, but for
        // the slices in flight; of the photos, those that were not yet made of their slice.
        let twice: Vec<_> = taken(&rig, again).into_iter().filter(|slice| before.contains(slice)).collect();
        let of_film = twice.iter().filter(|(path, _)| path.ends_with("film.mp4")).count();
        assert!(of_film <= PARALLEL, "cut {cut}: had {before:?}, again {twice:?}");
        assert!(twice.len() <= of_film + PARALLEL + 2, "cut {cut}: had {before:?}, again {twice:?}");
        twice_in_all += twice.len();
        agent.terminate().await;
    }
    println!(
        "{cuts} cuts, all fair: the fsync control lost nothing, {lost_unsynced} times what was not synced \
         was lost; nothing called backed up was lost; {twice_in_all} slices that were in flight went again, \
         none beyond those"
    );
    assert!(lost_unsynced > 0, "nothing was ever lost: the cuts cut nothing");
}

/// The slices that the cloud has taken since a mark: path and number.
fn taken(rig: &Rig, mark: u64) -> BTreeSet<(String, u32)> {
    let calls = rig.calls_after(mark, rig.cloud().slice()).into_iter().filter(|call| call.status == 200);
    // 123pan's addresses have the content's MD5 in them.
    let path = |call: &cloudsim::Call| call.query.get("path").unwrap_or(&call.path).clone();
    calls.map(|call| (path(&call), partseq(&call))).collect()
}

/// How many files the state on the disk calls backed up, read without an agent.
fn backed_up_on_disk(rig: &Rig) -> u64 {
    let state = rig.state_dir();
    let (store, opened) = Store::open(&state).unwrap();
    assert!(!matches!(opened, Opened::SetAside { .. }), "the database was lost: {opened:?}");
    let store = Arc::new(store);
    let mut queue = Queue::open(Arc::clone(&store)).unwrap();
    let id = queue.folder(&rig.root("photo"), "home").unwrap();
    let count = queue.counts(id).backed_up;
    drop(queue);
    Arc::into_inner(store).unwrap().close().unwrap();
    count
}

/// sled calls `sync_file_range` where it means fsync; `durable.rs` takes the place of that function.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_really_syncs_because_the_linker_took_our_function() {
    let rig = Rig::start(|_| ());
    rig.wait_quiet().await;
    let before = durable::sync_count();
    rig.put("a.jpg", &photo(1, 900));
    rig.wait_arrived().await;
    assert!(durable::sync_count() > before, "sled's flush went past us");
}

/// While nothing changes, nothing is written and nothing synced: flash is small, and disks want to sleep.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_agent_syncs_nothing() {
    let rig = Rig::ready(|_| ());
    rig.put_photos(20);
    // Another process, so that the tests beside this one do not count.
    let agent = rig.spawn();
    rig.wait_arrived().await;
    let look = async || {
        let seen = rig.status().await;
        let begun = Instant::now();
        // The time of the last look is told in whole seconds.
        while rig.status().await.folders[0].last_scan == seen.folders[0].last_scan {
            assert!(begun.elapsed() < common::PATIENCE);
            rig.client.scan(None).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    // What was told as done a moment ago may still be on its way to the end of the log.
    look().await;
    let written = |path: &Path| common::files_below(path).iter().map(|(p, _)| stamp(p)).collect::<Vec<_>>();
    let before = written(&rig.state_dir());
    // Rescans are work too: three of them find nothing new.
    for _ in 0..3 {
        look().await;
    }
    assert_eq!(written(&rig.state_dir()), before);
    agent.terminate().await;
}

fn stamp(path: &Path) -> (PathBuf, std::time::SystemTime, u64) {
    let meta = fs::metadata(path).unwrap();
    (path.to_owned(), meta.modified().unwrap(), meta.len())
}
