//! Thousands of days in seconds: the real agent on simulated disks, clocks, cloud and database.
//!
//! What runs is what runs on the box - folders, dispatcher, account, keeper, uploads - on one thread, on
//! tokio's paused time. Simulated are the files ([`disk`]), the cloud ([`cloud`]), the wall clock, the
//! database's disk (`store/memory.rs`) and chance; `backup/seam.rs` is where they come in. A [`family`]
//! does to the files what families do, and the process is killed, cut off, reloaded at any step
//! ([`life`]). After each bad day comes a quiet one, and at its end everything must be in the cloud
//! ([`checks`]).
//!
//! One seed is one run. `XPAND_SEEDS=200 cargo test --lib simulation` runs more of them, and
//! `XPAND_SEED=17` one alone; a failure names its seed and what happened last (`XPAND_TOLD=500` lines).
#![allow(clippy::unwrap_used)]

mod chance;
mod checks;
mod cloud;
mod disk;
mod drive;
mod family;
mod life;
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::hub::{Look, lock};
use crate::backup::filter::Filter;
use crate::backup::keeper::Keeper;
use crate::backup::seam::{Machine, Simulated};
use crate::backup::walk::Step;
use crate::clock::Clock;
use crate::cloud::{Drive, Error, Kind};
use crate::content::Fingerprint;
use crate::store::memory::Memory;
use chance::Chance;
use cloud::Cloud;
use disk::Disk;
use drive::SimDrive;
use life::Life;

/// When it begins, nanoseconds since 1970: 2030, so that no build is of a later day.
const BEGIN_NS: i64 = 1_893_456_000_000_000_000;
/// Of what happened so much is told.
const TOLD: usize = 40;
/// The clock is read so often at one moment only by somebody who does not get on.
const STUCK: u64 = 20_000;

/// The world outside the process.
#[derive(Debug)]
struct Sim {
    chance: Mutex<Chance>,
    disk: Mutex<Disk>,
    cloud: Mutex<Cloud>,
    log: Mutex<VecDeque<String>>,
    told: usize,
    failure: Mutex<Option<String>>,
    began: Instant,
    /// How wrong the wall clock is, nanoseconds.
    wrong_ns: AtomicI64,
    /// Which process this is.
    life: AtomicU64,
    memory: Mutex<Arc<Memory>>,
    /// Calls to the cloud until the process ends; 0 is never.
    calls_left: AtomicU64,
    /// Of a thousand looks at the disk so many find the family at work.
    meddling: AtomicU64,
    looks: Mutex<Option<mpsc::UnboundedSender<Look>>>,
    keeper: Mutex<Option<Arc<Keeper>>>,
    reads: AtomicU64,
    /// Reads of the clock at the same moment.
    stuck: Mutex<(Duration, u64)>,
}

impl Sim {
    fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            chance: Mutex::new(Chance::new(seed)),
            disk: Mutex::new(Disk { folders: family::folders(), ..Disk::default() }),
            cloud: Mutex::default(),
            log: Mutex::default(),
            told: number("XPAND_TOLD").map_or(TOLD, |lines| usize::try_from(lines).unwrap()),
            failure: Mutex::default(),
            began: Instant::now(),
            wrong_ns: AtomicI64::new(0),
            life: AtomicU64::new(0),
            memory: Mutex::default(),
            calls_left: AtomicU64::new(0),
            meddling: AtomicU64::new(0),
            looks: Mutex::default(),
            keeper: Mutex::default(),
            reads: AtomicU64::new(0),
            stuck: Mutex::default(),
        })
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        lock(&self.disk)
    }

    fn cloud(&self) -> MutexGuard<'_, Cloud> {
        lock(&self.cloud)
    }

    fn chance<T>(&self, ask: impl FnOnce(&mut Chance) -> T) -> T {
        ask(&mut lock(&self.chance))
    }

    fn wall_ns(&self) -> i64 {
        let elapsed = i64::try_from(self.began.elapsed().as_nanos()).unwrap();
        BEGIN_NS + elapsed + self.wrong_ns.load(Ordering::Relaxed)
    }

    /// The agent's clock. Whoever reads it all the time without any passing is found out.
    fn clock(self: &Arc<Self>) -> Clock {
        let sim = Arc::clone(self);
        Clock::from_fn(move || {
            sim.reads.fetch_add(1, Ordering::Relaxed);
            let elapsed = sim.began.elapsed();
            let mut stuck = lock(&sim.stuck);
            let times = if stuck.0 == elapsed { stuck.1 + 1 } else { 0 };
            *stuck = (elapsed, times);
            drop(stuck);
            if times > STUCK {
                let _ = sim.fail("somebody is busy without getting on");
                panic!("busy");
            }
            sim.wall_ns()
        })
    }

    /// Something for the list of what happened last.
    fn note(&self, what: fmt::Arguments<'_>) {
        let elapsed = self.began.elapsed().as_secs();
        let (day, hour, minute, second) =
            (elapsed / 86400, elapsed / 3600 % 24, elapsed / 60 % 60, elapsed % 60);
        let mut log = lock(&self.log);
        if log.len() >= self.told {
            log.pop_front();
        }
        log.push_back(format!("day {day} {hour:02}:{minute:02}:{second:02}  {what}"));
    }

    /// Something is as it must never be.
    fn fail(&self, words: &str) -> Error {
        lock(&self.failure).get_or_insert_with(|| words.to_owned());
        Error::new(Kind::Refused, "simulation", words)
    }

    fn verdict(&self) -> Result<(), String> {
        lock(&self.failure).take().map_or(Ok(()), Err)
    }

    fn memory(&self) -> Arc<Memory> {
        Arc::clone(&lock(&self.memory))
    }

    /// The process ends at this moment.
    fn end_process(&self) {
        self.memory().end();
    }

    /// Whether that process has come to its end.
    fn is_over(&self, life: u64) -> bool {
        self.life.load(Ordering::Relaxed) != life || self.memory().is_ended()
    }

    fn is_last_call(&self) -> bool {
        let left = self.calls_left.load(Ordering::Relaxed);
        self.calls_left.store(left.saturating_sub(1), Ordering::Relaxed);
        left == 1
    }

    /// The family does something while the agent looks.
    fn meddle(&self) {
        let meddling = self.meddling.load(Ordering::Relaxed);
        if meddling > 0 && self.chance(|chance| chance.in_thousand(meddling)) {
            family::act(self);
        }
    }
}

/// What the pipeline works on.
struct Host(Arc<Sim>);

impl Machine for Host {
    fn stat_one(&self, root: &Path, below: &[u8]) -> io::Result<Option<Fingerprint>> {
        self.0.meddle();
        self.0.disk().stat_one(root, below)
    }

    fn open_one(&self, root: &Path, below: &[u8]) -> io::Result<File> {
        self.0.meddle();
        self.0.disk().open_one(root, below)
    }

    fn fingerprint(&self, file: &File) -> io::Result<(Fingerprint, bool)> {
        self.0.meddle();
        self.0.disk().fingerprint(file)
    }

    fn walk(&self, root: &Path, start: &[u8], filter: &Arc<Filter>) -> Box<dyn Iterator<Item = Step>> {
        let (sim, filter) = (Arc::clone(&self.0), Arc::clone(filter));
        Box::new(disk::Walk { sim, root: root.into(), filter, start: Some(start.into()), levels: Vec::new() })
    }

    // Nobody meddles here: a file that is seen to be deleted just before its disk is unplugged may be forgotten.
    fn is_bare(&self, root: &Path) -> bool {
        self.0.disk().is_bare(root)
    }

    fn spread(&self) -> f64 {
        self.0.chance(Chance::fraction)
    }

    fn drive(&self) -> Arc<dyn Drive> {
        Arc::new(SimDrive { sim: Arc::clone(&self.0), life: self.life() })
    }

    fn life(&self) -> u64 {
        self.0.life.load(Ordering::Relaxed)
    }
}

/// What came of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Tally {
    days: u64,
    calls: u64,
    in_cloud: usize,
    copied: u64,
    lives: u64,
    /// Of everything that happened, in its order.
    trace: u64,
}

/// So many bad days, each with its quiet one.
fn run(seed: u64, bad_days: u32) -> Result<Tally, String> {
    // The steady clock counts from its first reading: from before all runs, so that none goes through zero.
    let _ = Clock::system().steady_ms();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let sim = Sim::new(seed);
        let _simulated = Simulated::on(Rc::new(Host(Arc::clone(&sim))));
        let outcome = live(&sim, bad_days).await;
        let (calls, in_cloud, copied) = {
            let cloud = sim.cloud();
            (cloud.calls, cloud.files.len(), cloud.copied)
        };
        let tally = Tally {
            days: sim.began.elapsed().as_secs() / 86400,
            calls,
            in_cloud,
            copied,
            lives: sim.life.load(Ordering::Relaxed) + 1,
            trace: sim.chance(Chance::number),
        };
        let log = lock(&sim.log).iter().map(|line| format!("  {line}\n")).collect::<String>();
        outcome.map(|()| tally).map_err(|why| format!("seed {seed}: {why}\nwhat happened last:\n{log}"))
    })
}

async fn live(sim: &Arc<Sim>, bad_days: u32) -> Result<(), String> {
    let mut life = Life::begin(sim, Memory::default())?;
    for _ in 0..bad_days {
        family::bad_day(sim, &mut life).await?;
        family::quiet_day(sim, &mut life).await?;
    }
    life.end().await
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
