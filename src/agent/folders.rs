//! The folders: looked at when the agent starts, when the system says that something changed or that a disk
//! was mounted, and every `agent.rescan` all the same.
//!
//! Of each folder one look at a time, of each disk too: two would only make its head travel. Folders on
//! different disks do not wait for each other, so that a disk that hangs is alone with its trouble.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::hub::{Hub, Look, lock};
use super::looks::{self, Looked};
use crate::backup::mounts::{Bell, Table};
use crate::backup::seam::spawn_blocking;
use crate::backup::watch::{Changes, Watcher};
use crate::status::FolderState;

/// Events gather this long before they are looked into: a file being copied makes thousands.
const GATHER: Duration = Duration::from_millis(500);
/// More places of a folder than this to look at are as good as all of it.
const WANTED: usize = 10_000;
/// Places looked at in one go.
const PLACES: usize = 1000;
/// The longest sleep.
const LONGEST: Duration = Duration::from_secs(3600);
/// After a look that ended by a mistake of our own, milliseconds.
const AFTER_PANIC_MS: i64 = 60_000;

/// Work on the disk that has ended.
enum Done {
    /// The looks at a folder, unless they ended by a mistake.
    Looked(usize, Option<Looked>),
    /// Files of a folder have settled; true when some found no room to.
    Settled(usize, bool),
}

/// Runs until the life ends.
pub(super) async fn run(hub: Arc<Hub>, mut wishes: mpsc::UnboundedReceiver<Look>) {
    let watcher = Arc::new(Watcher::new());
    let cancelled = Arc::new(AtomicBool::new(false));
    let bell = Bell::new();
    let mut plan = Plan::new(&hub);
    let mut tasks = JoinSet::new();
    loop {
        let now_ms = hub.core.clock.steady_ms();
        for at in 0..hub.folders.len() {
            if plan.settle_due(&hub, at).is_some_and(|due| due <= now_ms) {
                plan.places[at].settling = true;
                let hub = Arc::clone(&hub);
                let work = spawn_blocking(move || looks::settle(&hub, at));
                tasks.spawn(async move { Done::Settled(at, work.await.unwrap_or(true)) });
            }
            let places = plan.choose(&hub, at, now_ms);
            if !places.is_empty() {
                let (hub, watcher, cancelled) =
                    (Arc::clone(&hub), Arc::clone(&watcher), Arc::clone(&cancelled));
                let work = spawn_blocking(move || looks::look(&hub, &watcher, &places, &cancelled));
                tasks.spawn(async move { Done::Looked(at, work.await.ok()) });
            }
        }
        let wait = plan.next(&hub).map_or(LONGEST, |at| {
            Duration::from_millis(u64::try_from(at.saturating_sub(now_ms)).unwrap_or(0)).min(LONGEST)
        });
        tokio::select! {
            biased;
            () = hub.stop.cancelled() => break,
            Some(done) = tasks.join_next() => match done {
                Ok(Done::Looked(at, looked)) => plan.take(&hub, &watcher, at, looked),
                Ok(Done::Settled(at, overflowed)) => {
                    plan.places[at].settling = false;
                    if overflowed {
                        // More files at once than the settler watches over: the rest once these have settled.
                        let settle = i64::try_from(hub.config.agent.settle.as_millis()).unwrap_or(0);
                        plan.all_by(hub.core.clock.steady_ms() + settle + 1000);
                    }
                }
                Err(error) => tracing::error!("a look at a folder was lost: {error}"),
            },
            Some(look) = wishes.recv() => plan.want(look.folder, look.start),
            () = watcher.changed() => {
                tokio::time::sleep(hub.core.clock.wait(GATHER)).await;
                plan.changed(&hub, watcher.drain());
            }
            () = bell.rung() => plan.mounted(),
            () = tokio::time::sleep(wait) => {}
        }
    }
    cancelled.store(true, Ordering::Relaxed);
    while tasks.join_next().await.is_some() {}
}

/// What is to be looked at, and what is being looked at.
struct Plan {
    /// In the order of the configuration.
    places: Vec<Place>,
    /// What is mounted where.
    table: Table,
}

/// One folder.
struct Place {
    /// When all of it is due, on the steady clock.
    due_ms: i64,
    /// What is to be looked at sooner, below the folder.
    wanted: BTreeSet<Box<[u8]>>,
    looking: bool,
    settling: bool,
    /// Where it really is, as far as we know.
    path: PathBuf,
}

impl Plan {
    fn new(hub: &Hub) -> Self {
        let places = hub.folders.iter().map(|folder| Place {
            due_ms: i64::MIN,
            wanted: BTreeSet::new(),
            looking: false,
            settling: false,
            path: folder.config.path.clone(),
        });
        Self { places: places.collect(), table: Table::now() }
    }

    fn want(&mut self, at: usize, start: Box<[u8]>) {
        let place = &mut self.places[at];
        place.wanted.insert(start);
        if place.wanted.len() > WANTED {
            place.wanted.clear();
            place.due_ms = i64::MIN;
        }
    }

    fn all_by(&mut self, due_ms: i64) {
        self.places.iter_mut().for_each(|place| place.due_ms = place.due_ms.min(due_ms));
    }

    fn changed(&mut self, hub: &Hub, changes: Changes) {
        for path in changes.files.into_iter().chain(changes.dirs) {
            if let Some((at, _)) = hub.folder(path.folder) {
                self.want(at, path.below);
            }
        }
        if changes.overflow {
            tracing::info!("the system lost count of the changes; looking at all folders");
            self.all_by(i64::MIN);
        }
    }

    /// Something was mounted or unmounted: folders that have to do with it are looked at now.
    fn mounted(&mut self) {
        let table = Table::now();
        for place in &mut self.places {
            if table.about(&place.path) != self.table.about(&place.path) {
                place.due_ms = i64::MIN;
            }
        }
        self.table = table;
    }

    /// Neither it nor another folder on its disk is being looked at.
    fn is_free(&self, at: usize) -> bool {
        let disk = self.table.disk_of(&self.places[at].path);
        let looking = self.places.iter().enumerate().filter(|(_, place)| place.looking);
        looking
            .into_iter()
            .all(|(other, place)| other != at && (disk.is_none() || self.table.disk_of(&place.path) != disk))
    }

    /// The places of a folder to look at next: small ones first, all together; else the whole, when it is due.
    fn choose(&mut self, hub: &Hub, at: usize, now_ms: i64) -> Vec<Look> {
        let place = &self.places[at];
        if (place.wanted.is_empty() && place.due_ms > now_ms) || !self.is_free(at) {
            return Vec::new();
        }
        let place = &mut self.places[at];
        if place.wanted.remove(&[][..]) {
            place.due_ms = i64::MIN;
        }
        let mut chosen = Vec::new();
        while chosen.len() < PLACES
            && let Some(start) = place.wanted.pop_first()
        {
            chosen.push(Look { folder: at, start });
        }
        if chosen.is_empty() && place.due_ms <= now_ms {
            place.due_ms = i64::MAX;
            let mut view = lock(&hub.folders[at].view);
            if !view.looked {
                view.state = FolderState::Scanning;
            }
            chosen.push(Look { folder: at, start: Box::default() });
        }
        place.looking = !chosen.is_empty();
        chosen
    }

    fn take(&mut self, hub: &Hub, watcher: &Watcher, at: usize, looked: Option<Looked>) {
        let place = &mut self.places[at];
        place.looking = false;
        let Some(Looked { path, reports }) = looked else {
            // Our own mistake; the folder is not forgotten for it.
            place.due_ms = place.due_ms.min(hub.core.clock.steady_ms().saturating_add(AFTER_PANIC_MS));
            return;
        };
        place.path = path.unwrap_or_else(|| std::mem::take(&mut place.path));
        for (look, report) in reports {
            if look.start.is_empty() {
                // What was asked for meanwhile is due earlier.
                place.due_ms = place.due_ms.min(looks::conclude(hub, watcher, at, report));
                continue;
            }
            let view = lock(&hub.folders[at].view);
            let is_known = |below: &[u8]| view.away.iter().any(|away| *away.below == *below);
            let is_news = report.away.iter().any(|away| !is_known(&away.below));
            if report.suspicious.is_some() || report.missing.is_some() || is_news {
                place.due_ms = i64::MIN;
            }
        }
    }

    /// When files of a folder will have settled, if nobody is about it already.
    fn settle_due(&self, hub: &Hub, at: usize) -> Option<i64> {
        lock(&hub.settler).due(hub.folders[at].id).filter(|_| !self.places[at].settling)
    }

    /// When there is something to do next, apart from what runs.
    fn next(&self, hub: &Hub) -> Option<i64> {
        let looks = (0..self.places.len()).filter(|&at| self.is_free(at)).map(|at| {
            let place = &self.places[at];
            if place.wanted.is_empty() { place.due_ms } else { i64::MIN }
        });
        looks.chain((0..self.places.len()).filter_map(|at| self.settle_due(hub, at))).min()
    }
}
