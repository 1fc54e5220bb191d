//! The process: begun, reloaded, ended in order, killed, cut off from power.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::Sim;
use super::family;
use crate::account::Accounts;
use crate::agent::gate::Gate;
use crate::agent::hub::{Core, FolderCell, Hub, lock};
use crate::agent::time::Jumps;
use crate::agent::{ENDING, LAST_COMMIT, accounts, dispatch, folders, phase, survey};
use crate::backup::body::Throttle;
use crate::backup::keeper::{self, Keeper};
use crate::device::Device;
use crate::store::Store;
use crate::store::memory::Memory;

/// A running agent, and how it ends.
pub(super) struct Life {
    sim: Arc<Sim>,
    pub(super) hub: Arc<Hub>,
    jumps: Jumps,
    store: Arc<Store>,
    tasks: JoinSet<()>,
    keeping: JoinHandle<crate::store::Result<()>>,
    ended: CancellationToken,
}

impl Life {
    /// A process that finds `memory` on its disk.
    pub(super) fn begin(sim: &Arc<Sim>, memory: Memory) -> Result<Self, String> {
        let memory = Arc::new(memory);
        *lock(&sim.memory) = Arc::clone(&memory);
        let (store, opened) = Store::on(memory);
        sim.note(format_args!("the agent starts: {opened:?}"));
        let store = Arc::new(store);
        let keeper = Keeper::open(Arc::clone(&store), keeper::LONGEST).map_err(|error| error.to_string())?;
        let core = Arc::new(Core {
            clock: sim.clock(),
            start: phase::Start::now(Path::new("/nonexistent")),
            keeper: Arc::clone(&keeper),
            meters: Arc::default(),
            throttle: Throttle::new(None),
            gate: Mutex::new(Gate::open(Path::new("/nonexistent"))),
            renew: Notify::new(),
        });
        *lock(&sim.keeper) = Some(Arc::clone(&keeper));
        let ended = CancellationToken::new();
        let stop = ended.clone();
        let keeping = tokio::spawn(async move { keeper.run(stop).await });
        let (hub, tasks) = tasks(sim, &core)?;
        let jumps = Jumps::new(&hub);
        Ok(Self { sim: Arc::clone(sim), hub, jumps, store, tasks, keeping, ended })
    }

    /// The clock was set, and the agent notices.
    pub(super) fn jumped(&mut self) {
        if self.jumps.look(&self.hub) {
            self.hub.accounts[0].wake.notify_one();
        }
    }

    pub(super) fn keeper(&self) -> &Keeper {
        &self.hub.core.keeper
    }

    /// Lets time pass. Should the process come to its end meanwhile, another one takes its place.
    pub(super) async fn wait(&mut self, time: Duration) -> Result<(), String> {
        let memory = self.sim.memory();
        tokio::select! {
            biased;
            () = memory.ended() => self.crash().await?,
            () = tokio::time::sleep(time) => {}
        }
        if let Some(Err(panic)) = self.tasks.try_join_next() {
            return Err(format!("a task ended badly: {panic}"));
        }
        self.sim.verdict()
    }

    /// The process is killed, or loses its power; after a while there is another.
    pub(super) async fn crash(&mut self) -> Result<(), String> {
        let sim = Arc::clone(&self.sim);
        let memory = sim.memory();
        // Of a process that ended some steps ago nobody has seen what it said last.
        let shown = if memory.is_ended() { Vec::new() } else { self.shown() };
        memory.end();
        sim.life.fetch_add(1, Ordering::Relaxed);
        sim.cloud().excuse += 1;
        *lock(&sim.keeper) = None;
        *lock(&sim.looks) = None;
        self.tasks.shutdown().await;
        self.keeping.abort();
        let unflushed = memory.unflushed();
        let (is_cut, kept, down) = sim
            .chance(|chance| (chance.in_thousand(500), chance.below(unflushed + 1), chance.within(1, 3600)));
        let left = if is_cut { memory.after_power_cut(kept) } else { memory.after_kill() };
        sim.note(format_args!("{}", if is_cut { "the power is cut" } else { "the agent is killed" }));
        sim.calls_left.store(0, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(down)).await;
        *self = Self::begin(&sim, left)?;
        for (at, (before, now)) in shown.into_iter().zip(self.shown()).enumerate() {
            if now < before {
                return Err(format!(
                    "of {before} files that were shown as backed up in {at}, {now} are left"
                ));
            }
        }
        family::unplugged_again(&sim);
        Ok(())
    }

    /// The files that a person may believe to be backed up, by folder.
    fn shown(&self) -> Vec<u64> {
        let shown = |folder: &FolderCell| self.keeper().with(|queue| Ok(queue.counts(folder.id).backed_up));
        self.hub.folders.iter().map(|folder| shown(folder).unwrap_or(0)).collect()
    }

    /// The configuration is read again: new tasks on the old queue.
    pub(super) async fn reload(&mut self) -> Result<(), String> {
        self.sim.note(format_args!("reload"));
        self.end_tasks().await?;
        (self.hub, self.tasks) = tasks(&self.sim, &self.hub.core)?;
        self.jumps = Jumps::new(&self.hub);
        Ok(())
    }

    async fn end_tasks(&mut self) -> Result<(), String> {
        // What is in flight is sent again.
        self.sim.cloud().excuse += 1;
        self.hub.stop.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let ended = tokio::time::timeout(ENDING, all).await;
        lock(&self.hub.active).clear();
        ended.map_err(|_| "the tasks do not end in time".to_owned())
    }

    /// An orderly end.
    pub(super) async fn end(&mut self) -> Result<(), String> {
        self.end_tasks().await?;
        self.ended.cancel();
        let kept = tokio::time::timeout(LAST_COMMIT, &mut self.keeping).await;
        let kept = kept.map_err(|_| "the last commit does not end in time")?;
        kept.map_err(|panic| panic.to_string())?.map_err(|error| error.to_string())?;
        *lock(&self.sim.keeper) = None;
        *lock(&self.sim.looks) = None;
        self.store.mark_closed().map_err(|error| error.to_string())?;
        self.sim.verdict()
    }

    /// An orderly end, and another process.
    pub(super) async fn restart(&mut self) -> Result<(), String> {
        let sim = Arc::clone(&self.sim);
        sim.note(format_args!("an orderly end"));
        self.end().await?;
        sim.life.fetch_add(1, Ordering::Relaxed);
        *self = Self::begin(&sim, sim.memory().after_kill())?;
        Ok(())
    }
}

fn tasks(sim: &Arc<Sim>, core: &Arc<Core>) -> Result<(Arc<Hub>, JoinSet<()>), String> {
    let config = family::config();
    let (looks, wanted) = mpsc::unbounded_channel();
    *lock(&sim.looks) = Some(looks.clone());
    let hub = Hub::new(Arc::clone(core), config.clone(), looks).ok_or("the store has failed")??;
    let hub = Arc::new(hub);
    let shared = Arc::new(accounts::Shared {
        accounts: Accounts::new(&config.agent.state_dir, core.clock.clone()),
        device: Device::new(&config.agent.state_dir, None),
        tokens: Mutex::default(),
        slots: Arc::new(Semaphore::new(config.upload.parallel)),
        slices: Arc::new(Semaphore::new(config.upload.parallel)),
        hashers: Arc::new(Semaphore::new(1)),
    });
    let mut tasks = JoinSet::new();
    survey::prepare(&hub);
    tasks.spawn(survey::run(Arc::clone(&hub), 0));
    tasks.spawn(accounts::run(Arc::clone(&hub), shared, 0));
    tasks.spawn(folders::run(Arc::clone(&hub), wanted));
    tasks.spawn(dispatch::run(Arc::clone(&hub)));
    Ok((hub, tasks))
}
