//! The budgets of a small box, kept by the real program whatever the cloud does: memory in a group with a
//! limit and without swap, processor time, wake-ups, and what is written to the flash.
//!
//! The tests' program is a debug build, so the limits here are a debug build's. `--nocapture` shows what
//! was measured.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cloudsim::{Fault, FaultKind};
use common::media::{photo, video};
use common::process::Program;
use common::{Rig, is_quiet};
use xpand::backup::disk;
use xpand::backup::entry::Copy;
use xpand::backup::queue::{Next, Outcome, Queue};
use xpand::content::{FilePath, Md5};
use xpand::status::State;
use xpand::store::Store;

/// Files that were backed up long ago.
const KNOWN: usize = 20_000;
/// Of a debug build.
const MEMORY: u64 = 64 << 20;

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

    /// `xpand run` inside it from its first byte on.
    fn command(&self, rig: &Rig) -> Command {
        let run = rig.command(&["run"]);
        let mut command = Command::new("/bin/sh");
        command.env_clear().arg("-c").arg("echo $$ > \"$0\" && exec \"$@\"").arg(self.0.join("cgroup.procs"));
        command.arg(run.get_program()).args(run.get_args());
        command
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

/// What a process has used so far.
#[derive(Clone, Copy, Debug)]
struct Used {
    /// Processor time.
    millis: u64,
    /// How often one of its threads went to sleep by itself: each is a wake-up before.
    wakes: u64,
    /// Bytes for a disk.
    written: u64,
    /// Memory, now and at most.
    rss: u64,
    peak: u64,
}

impl Used {
    fn by(program: &Program) -> Self {
        let proc = PathBuf::from(format!("/proc/{}", program.id()));
        let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
        let stat = read(proc.join("stat"));
        // After the name in brackets: state is the first field, utime and stime the 12th and 13th; in
        // hundredths of a second (proc(5), USER_HZ).
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        let threads = fs::read_dir(proc.join("task")).unwrap().flatten();
        let wakes = threads.map(|task| number(&read(task.path().join("status")), "voluntary_ctxt_switches:"));
        let status = read(proc.join("status"));
        Self {
            millis: ticks * 10,
            wakes: wakes.sum(),
            written: number(&read(proc.join("io")), "write_bytes:"),
            rss: number(&status, "VmRSS:") << 10,
            peak: number(&status, "VmHWM:") << 10,
        }
    }
}

/// What it uses in some seconds of nothing to do.
async fn rest(program: &Program, what: &str, seconds: u64) -> Used {
    let before = Used::by(program);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let after = Used::by(program);
    let used = Used {
        millis: after.millis - before.millis,
        wakes: after.wakes.saturating_sub(before.wakes),
        written: after.written - before.written,
        ..after
    };
    println!(
        "{what}, {seconds} s: {} ms of processor, {} wake-ups, {} bytes written, {} KiB of memory",
        used.millis,
        used.wakes,
        used.written,
        used.rss >> 10
    );
    used
}

/// Files that the state knows as backed up, made without a cloud.
fn make_known(rig: &Rig) {
    fs::create_dir_all(rig.state_dir()).unwrap();
    let (store, _) = Store::open(&rig.state_dir()).unwrap();
    let store = Arc::new(store);
    let mut queue = Queue::open(Arc::clone(&store)).unwrap();
    let id = queue.folder(&rig.root("photo"), "home").unwrap();
    for number in 0..KNOWN {
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
    let begun = Instant::now();
    let rig = Rig::ready(|setup| setup.settle = "200ms");
    make_known(&rig);
    println!("{KNOWN} known files, made in {:?}", begun.elapsed());
    let group = Group::new(MEMORY);
    if group.is_none() {
        println!("SKIPPED: a memory limit needs root and a cgroup; everything else is measured without it");
    }
    let command = group.as_ref().map_or_else(|| rig.command(&["run"]), |group| group.command(&rig));
    let mut agent = rig.spawn_as(command);
    let known = KNOWN as u64;
    println!("started: {:?}", begun.elapsed());
    rig.until("all of it known", |s| is_quiet(s) && s.totals.counts.backed_up == known).await;
    let start = Used::by(&agent);
    println!("after the first look: {start:?}, {:?}", begun.elapsed());
    assert_eq!(rig.sim.count("superfile2"), 0);

    // A slow cloud that answers too much, without end, or not at all, while there is work.
    rig.sim.set_latency(Duration::from_millis(5));
    let endless = FaultKind::Huge(1 << 50);
    for (call, kind) in [
        ("precreate", FaultKind::Huge(300 << 20)),
        ("superfile2", endless.clone()),
        ("method=create", FaultKind::Huge(300 << 20)),
        ("precreate", endless.clone()),
        ("superfile2", FaultKind::Stall),
        ("method=list", endless),
        ("superfile2", FaultKind::Delay(Duration::from_secs(1))),
    ] {
        rig.sim.fault(Fault::times(call, kind, 2).after(5)).unwrap();
    }
    let film = rig.path("outbox").join("film");
    fs::write(&film, &video(1, 1 << 20)[..1 << 20]).unwrap();
    let sparse = File::options().write(true).open(&film).unwrap();
    sparse.set_len(200 << 20).unwrap();
    sparse.write_all_at(b"the end", (200 << 20) - 7).unwrap();
    fs::rename(&film, rig.root("photo").join("film.mp4")).unwrap();
    rig.put_photos(100);
    let before = Used::by(&agent);
    // The calls that stall are waited for still; everything else is there.
    let status = rig.until("most of it there", |s| s.totals.counts.backed_up >= known + 98).await;
    let busy = Used::by(&agent);
    println!("with 101 files, one of 200 MiB: {busy:?}, {:?}", begun.elapsed());
    println!("{} bytes written for {} files", busy.written - before.written, status.totals.counts.backed_up - known);
    rig.sim.clear_faults();
    rig.sim.set_latency(Duration::ZERO);
    // Ends the stalled calls: every connection breaks.
    rig.sim.stop();
    rig.sim.restart().unwrap();
    rig.until("everything there", |s| is_quiet(s) && s.totals.counts.backed_up == known + 101).await;
    println!("everything: {:?}", begun.elapsed());
    assert!(agent.is_alive());

    rest(&agent, "settling", 3).await;
    let idle = rest(&agent, "idle", 6).await;
    rig.sim.stop();
    rig.put("late.jpg", &photo(1, 900));
    rig.until("offline", |status| status.state == State::Offline).await;
    let outage = rest(&agent, "outage", 6).await;
    println!("{:?} {:?} {:?}", idle, outage, begun.elapsed());
    if let Some(group) = &group {
        assert_eq!(group.killed(), 0);
    }
    let _ = (AtomicBool::new(false).load(Ordering::Relaxed), PATIENCE);
    agent.terminate().await;
}
