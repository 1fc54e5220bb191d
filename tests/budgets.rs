//! The budgets of a small box, kept by the real program whatever the cloud does: memory in a group with a
//! limit and without swap, processor time, wake-ups, and what is written to the flash.
//!
//! The tests' program is a debug build, so the limits here are a debug build's. `--nocapture` shows what
//! was measured.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cloudsim::{Fault, FaultKind};
use common::media::{photo, video};
use common::process::Program;
use common::{Folder, Rig, is_quiet};
use xpand::backup::disk;
use xpand::backup::entry::Copy;
use xpand::backup::queue::{Next, Outcome, Queue};
use xpand::content::{FilePath, Md5};
use xpand::status::State;
use xpand::store::Store;

/// Of a debug build, in bytes; some 30 MiB are used.
const MEMORY: u64 = 64 << 20;

/// Bytes of a segment of sled's log, which is what it uses when nothing else is set.
const SEGMENT: u64 = 512 << 10;

/// A memory group of its own, of cgroup v1 or v2.
struct Group(PathBuf);

impl Group {
    /// None where this user or this machine cannot have one.
    fn new(limit: u64) -> Option<Self> {
        let name = format!("xpand-test-{}", std::process::id());
        let root = Path::new("/sys/fs/cgroup");
        let is_first = root.join("memory/memory.limit_in_bytes").exists();
        if !is_first {
            // May be so already, or not be allowed: what counts is whether a limit can be set below.
            let _ = fs::write(root.join("cgroup.subtree_control"), "+memory");
        }
        let group = Self(if is_first { root.join("memory").join(name) } else { root.join(name) });
        fs::create_dir(&group.0).ok()?;
        let set = |file: &str, value: &str| fs::write(group.0.join(file), value);
        let limit = limit.to_string();
        if is_first {
            set("memory.limit_in_bytes", &limit).ok()?;
            // Together with swap; where swap is not counted there is none to be feared here.
            let _ = set("memory.memsw.limit_in_bytes", &limit);
            let _ = set("memory.swappiness", "0");
        } else {
            set("memory.max", &limit).ok()?;
            let _ = set("memory.swap.max", "0");
        }
        Some(group)
    }

    /// How many processes the system ended here for want of memory.
    fn killed(&self) -> u64 {
        let read = |file| fs::read_to_string(self.0.join(file)).unwrap_or_default();
        let text = read("memory.oom_control") + &read("memory.events");
        number(&text, "oom_kill ")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let begun = Instant::now();
        // A process that was killed leaves a moment later.
        while fs::remove_dir(&self.0).is_err() && begun.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The number after a word at the beginning of a line; 0 where there is none.
fn number(text: &str, word: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(word)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// `xpand run`, inside the group from its first byte on, and with little to log: that is written too.
fn command(rig: &Rig, group: Option<&Group>) -> Command {
    let run = rig.command(&["run"]);
    let mut command = Command::new("/bin/sh");
    command.env_clear().arg("-c").arg("RUST_LOG=warn; echo $$ > \"$0\" && exec \"$@\"");
    command.arg(group.map_or("/dev/null".into(), |group| group.0.join("cgroup.procs")));
    command.arg(run.get_program()).args(run.get_args());
    command
}

/// What a process has used so far.
struct Used {
    /// Processor time.
    millis: u64,
    /// How often each of its threads went to sleep by itself: there was a wake-up before each time.
    sleeps: BTreeMap<PathBuf, u64>,
    /// Bytes for a disk.
    written: u64,
    /// Memory in KiB, now and at most.
    rss: u64,
    peak: u64,
}

impl Used {
    fn by(program: &Program) -> Self {
        let proc = PathBuf::from(format!("/proc/{}", program.id()));
        let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
        let stat = read(proc.join("stat"));
        // After the name in brackets the state is the first field, utime and stime are the 12th and 13th, in
        // hundredths of a second (proc(5), USER_HZ).
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        let threads = fs::read_dir(proc.join("task")).unwrap().flatten();
        let sleeps = threads.map(|thread| {
            let status = read(thread.path().join("status"));
            (thread.path(), number(&status, "voluntary_ctxt_switches:"))
        });
        let status = read(proc.join("status"));
        Self {
            millis: ticks * 10,
            sleeps: sleeps.collect(),
            written: number(&read(proc.join("io")), "write_bytes:"),
            rss: number(&status, "VmRSS:"),
            peak: number(&status, "VmHWM:"),
        }
    }

    /// Since an earlier moment: processor time in milliseconds, wake-ups, bytes written.
    fn since(&self, before: &Self) -> (u64, u64, u64) {
        let slept = |(thread, now): (&PathBuf, &u64)| now - before.sleeps.get(thread).unwrap_or(&0);
        (self.millis - before.millis, self.sleeps.iter().map(slept).sum(), self.written - before.written)
    }
}

/// What is used in some seconds in which nothing is to be done.
async fn used_in(program: &Program, what: &str, seconds: u64) -> (u64, u64, u64) {
    let before = Used::by(program);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let after = Used::by(program);
    let used @ (millis, wakes, written) = after.since(&before);
    println!(
        "{what}, {seconds} s: {millis} ms of processor, {wakes} wake-ups, {written} bytes written, {} KiB of memory",
        after.rss
    );
    used
}

/// So many files that the state knows as backed up, made without a cloud.
fn make_known(rig: &Rig, known: u64) {
    fs::create_dir_all(rig.state_dir()).unwrap();
    let (store, _) = Store::open(&rig.state_dir()).unwrap();
    let store = Arc::new(store);
    let mut queue = Queue::open(Arc::clone(&store)).unwrap();
    let id = queue.folder(&rig.root("photo"), "home").unwrap();
    for number in 0..known {
        let below = format!("old/{:03}/IMG_{number:05}.jpg", number / 200);
        let path = rig.root("photo").join(&below);
        if number % 200 == 0 {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
        }
        fs::write(&path, below.as_bytes()).unwrap();
        let (print, _) = disk::fingerprint(&File::open(&path).unwrap()).unwrap();
        let path = FilePath { folder: id, below: below.as_bytes().into() };
        queue.offer(&path, print).unwrap();
        let Next::Claim(claim) = queue.next_due(i64::MAX, |_| true).unwrap() else { panic!("not due") };
        let remote = format!("/apps/xpand/photo/{below}");
        let copy = Copy { size: print.size, md5: Md5::of(&below), id: number.to_string(), path: remote };
        queue.close(claim.job, Outcome::Done(copy)).unwrap();
        if number % 200 == 0 {
            queue.apply().unwrap();
            queue.flushed();
        }
    }
    queue.apply().unwrap();
    queue.flushed();
    drop(queue);
    Arc::into_inner(store).unwrap().close().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_library_and_a_bad_cloud_stay_within_the_budgets() {
    let rig = Rig::ready(|setup| {
        setup.settle = "200ms";
        setup.folders.push(Folder { label: "new", account: "home", more: String::new() });
    });
    // Thousands of small files are quickly made, and removed, in memory.
    let shelf = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    fs::remove_dir(rig.root("photo")).unwrap();
    std::os::unix::fs::symlink(shelf.path(), rig.root("photo")).unwrap();
    let known = std::env::var("XPAND_KNOWN_FILES").ok().and_then(|n| n.parse().ok()).unwrap_or(4000);
    make_known(&rig, known);
    let group = Group::new(MEMORY);
    if group.is_none() {
        println!("SKIPPED: a memory limit needs root and a cgroup; what is used is measured all the same");
    }
    let mut agent = rig.spawn_as(command(&rig, group.as_ref()));
    rig.until("all of it known", |s| is_quiet(s) && s.totals.counts.backed_up == known).await;
    let before = Used::by(&agent);
    println!("{known} known files: {} ms of processor, {} KiB of memory", before.millis, before.rss);
    assert_eq!(rig.sim.count("superfile2"), 0);

    // A slow cloud that answers too much, without end, or late, while there is work.
    rig.sim.set_latency(Duration::from_millis(5));
    let endless = || FaultKind::Huge(1 << 50);
    for (call, kind) in [
        ("precreate", FaultKind::Huge(300 << 20)),
        ("precreate", endless()),
        ("superfile2", FaultKind::Huge(300 << 20)),
        ("superfile2", endless()),
        ("method=create", endless()),
        ("method=list", endless()),
        ("superfile2", FaultKind::Late(Duration::from_secs(1))),
    ] {
        rig.sim.fault(Fault::times(call, kind, 2).after(5)).unwrap();
    }
    let film = rig.path("outbox").join("film");
    fs::write(&film, video(1, 1 << 20)).unwrap();
    File::options().write(true).open(&film).unwrap().set_len(200 << 20).unwrap();
    fs::rename(&film, rig.root("new").join("film.mp4")).unwrap();
    for seed in 0..60 {
        rig.put_in("new", &format!("{seed}.jpg"), &photo(seed, 3000));
    }
    rig.until("everything there", |s| is_quiet(s) && s.totals.counts.backed_up == known + 61).await;
    let busy = Used::by(&agent);
    let (millis, _, written) = busy.since(&before);
    println!(
        "61 files, one of 200 MiB: {millis} ms of processor, {written} bytes written, {} KiB at most",
        busy.peak
    );
    assert!(agent.is_alive() && busy.peak << 10 < MEMORY, "{} KiB of memory", busy.peak);
    assert_eq!(group.as_ref().map_or(0, Group::killed), 0, "ended for want of memory");
    // Each of the film's 50 slices is on the flash when it is confirmed; on a quick line none shares its commit.
    let most = 61 * (64 << 10) + 50 * (192 << 10);
    assert!(written < most, "{written} bytes written to the flash for 61 files and 50 slices");

    // A moment for what comes after the last file.
    used_in(&agent, "coming to rest", 2).await;
    let (millis, wakes, written) = used_in(&agent, "idle", 6).await;
    assert!(millis <= 200 && wakes <= 200, "{millis} ms, {wakes} wake-ups while there is nothing to do");
    assert_eq!(written, 0, "written while there is nothing to do");
    rig.sim.stop();
    rig.put_in("new", "late.jpg", &photo(99, 900));
    rig.until("offline", |status| status.state == State::Offline).await;
    let (millis, wakes, written) = used_in(&agent, "without a network", 5).await;
    assert!(millis <= 500 && wakes <= 1000, "{millis} ms, {wakes} wake-ups while there is no network");
    // A line or two of the queue; a segment of the log that has just become full is padded to its end.
    let most = SEGMENT + (64 << 10);
    assert!(written <= most, "{written} bytes written while there is no network");
    agent.terminate().await;
}
