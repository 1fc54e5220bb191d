//! The folders: looked at when the agent starts, when the system says that something changed, and every
//! `agent.rescan` all the same. One look at a time, on a thread of its own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use super::hub::{FolderCell, Hub, Look, lock};
use crate::backup::disk;
use crate::backup::entry::Limits;
use crate::backup::queue::Queue;
use crate::backup::scan::{Eyes, Missing, Report, Scan, is_bare};
use crate::backup::seam::spawn_blocking;
use crate::backup::settle::Sight;
use crate::backup::watch::Watcher;
use crate::content::{FilePath, Fingerprint};
use crate::status::FolderState;

/// Events gather this long before they are looked into: a file being copied makes thousands.
const GATHER: Duration = Duration::from_millis(500);
/// A folder that is not there is looked for this often.
const MISSING: Duration = Duration::from_secs(30);
/// More places than this to look at are as good as everything.
const WANTED: usize = 10_000;
/// Files settled in one go.
const SETTLED: usize = 256;
/// Places looked at in one go.
const PLACES: usize = 1000;
/// The longest sleep; a clock that was set back must not make us sleep for years.
const LONGEST: Duration = Duration::from_secs(3600);

/// Runs until the life ends.
pub(super) async fn run(hub: Arc<Hub>, mut looks: mpsc::UnboundedReceiver<Look>) {
    let watcher = Arc::new(Watcher::new());
    let cancelled = Arc::new(AtomicBool::new(false));
    let mut due_ms: Vec<i64> = vec![i64::MIN; hub.folders.len()];
    let mut wanted = BTreeSet::new();
    let mut running = None;
    let mut settling = None;
    let mut overflowed = false;
    loop {
        let now_ms = hub.core.clock.now_ms();
        // A due time further off than a rescan was taken while the clock was ahead.
        let rescan = i64::try_from(hub.config.agent.rescan.as_millis()).unwrap_or(i64::MAX / 2);
        for due in due_ms.iter_mut().filter(|due| **due != i64::MAX) {
            *due = (*due).min(now_ms.saturating_add(rescan));
        }
        if wanted.len() > WANTED {
            wanted.clear();
            due_ms.fill(i64::MIN);
        }
        if settling.is_none() && lock(&hub.settler).due().is_some_and(|due| due <= now_ms) {
            let hub = Arc::clone(&hub);
            settling = Some(spawn_blocking(move || settle(&hub, now_ms)));
        }
        if overflowed {
            overflowed = false;
            // More files at once than the settler watches over: the rest once these have settled.
            let later = i64::try_from(hub.config.agent.settle.as_millis()).unwrap_or(0) + 1000;
            due_ms.iter_mut().for_each(|due| *due = (*due).min(now_ms + later));
        }
        if running.is_none() {
            let places = choose(&hub, &mut wanted, &mut due_ms, now_ms);
            if !places.is_empty() {
                let (hub, watcher, cancelled) =
                    (Arc::clone(&hub), Arc::clone(&watcher), Arc::clone(&cancelled));
                running = Some(spawn_blocking(move || look(&hub, &watcher, &places, &cancelled)));
            }
        }
        let settled = lock(&hub.settler).due().filter(|_| settling.is_none());
        let next = due_ms.iter().copied().filter(|_| running.is_none()).chain(settled).min();
        let wait = next.map_or(LONGEST, |at| {
            Duration::from_millis(u64::try_from(at.saturating_sub(now_ms)).unwrap_or(0)).min(LONGEST)
        });
        tokio::select! {
            biased;
            () = hub.stop.cancelled() => break,
            Some(result) = async { Some(running.as_mut()?.await) }, if running.is_some() => {
                running = None;
                if result.is_err() {
                    // Our own mistake; the folders are not forgotten for it.
                    due_ms.fill(now_ms.saturating_add(60_000));
                }
                for (place, report) in result.unwrap_or_default() {
                    if place.start.is_empty() {
                        // What overflowed meanwhile has asked for an earlier look.
                        let next = conclude(&hub, &watcher, place.folder, &report);
                        due_ms[place.folder] = due_ms[place.folder].min(next);
                    } else if report.suspicious.is_some() || report.missing.is_some() {
                        due_ms[place.folder] = i64::MIN;
                    }
                }
            }
            Some(result) = async { Some(settling.as_mut()?.await) }, if settling.is_some() => {
                settling = None;
                overflowed = result.unwrap_or(true);
            }
            Some(look) = looks.recv() => {
                wanted.insert(look);
            }
            () = watcher.changed() => {
                tokio::time::sleep(hub.core.clock.wait(GATHER)).await;
                let changes = watcher.drain();
                for path in changes.files.into_iter().chain(changes.dirs) {
                    if let Some((folder, _)) = hub.folder(path.folder) {
                        wanted.insert(Look { folder, start: path.below });
                    }
                }
                if changes.overflow {
                    tracing::info!("the system lost count of the changes; looking at all folders");
                    due_ms.fill(i64::MIN);
                }
            }
            () = tokio::time::sleep(wait) => {}
        }
    }
    cancelled.store(true, Ordering::Relaxed);
    if let Some(running) = running {
        let _ = running.await;
    }
}

/// The places to look at next: small ones first, all together; else one whole folder that is due.
fn choose(hub: &Hub, wanted: &mut BTreeSet<Look>, due_ms: &mut [i64], now_ms: i64) -> Vec<Look> {
    let mut places = Vec::new();
    while places.len() < PLACES
        && let Some(look) = wanted.pop_first()
    {
        if look.start.is_empty() {
            due_ms[look.folder] = i64::MIN;
        } else {
            places.push(look);
        }
    }
    if places.is_empty()
        && let Some(folder) = (0..hub.folders.len()).find(|&folder| due_ms[folder] <= now_ms)
    {
        due_ms[folder] = i64::MAX;
        let mut view = lock(&hub.folders[folder].view);
        if !view.looked {
            view.state = FolderState::Scanning;
        }
        places.push(Look { folder, start: Box::default() });
    }
    places
}

/// Looks at places one after the other. Blocks on the disk.
fn look(hub: &Hub, watcher: &Watcher, places: &[Look], cancelled: &AtomicBool) -> Vec<(Look, Report)> {
    let mut reports = Vec::new();
    for place in places {
        let folder = &hub.folders[place.folder];
        let tier = hub.accounts[folder.account].largest.load(Ordering::Relaxed);
        let limits = Limits { tier: Some(tier).filter(|&tier| tier > 0), ..folder.source.limits };
        let scan = Scan {
            folder: folder.id,
            root: &folder.config.path,
            filter: &folder.filter,
            limits,
            keeper: &hub.core.keeper,
            cancelled,
        };
        if place.start.is_empty() {
            watcher.start(folder.id, &folder.config.path);
        }
        let mut eyes = Watch { hub, folder, watcher, offered: false };
        match scan.look(&place.start, &mut eyes) {
            Some(report) if !report.cancelled => {
                hub.core.keeper.with(Queue::mend);
                hub.work.notify_one();
                hub.changed();
                reports.push((place.clone(), report));
            }
            _ => break,
        }
    }
    reports
}

/// What a look comes upon: directories are watched, files go to the settler or straight to the queue.
struct Watch<'a> {
    hub: &'a Hub,
    folder: &'a FolderCell,
    watcher: &'a Watcher,
    offered: bool,
}

impl Eyes for Watch<'_> {
    fn directory(&mut self, below: &[u8]) {
        self.watcher.add_dir(self.folder.id, &self.folder.config.path, below);
    }

    fn sighting(&mut self, path: FilePath, print: Fingerprint) {
        let sight = lock(&self.hub.settler).see(&path, print, self.hub.core.clock.now_ms());
        if sight == Sight::Quiet {
            self.hub.core.keeper.with(|queue| queue.offer(&path, print));
            // The first file of a look need not wait for the last.
            if !std::mem::replace(&mut self.offered, true) {
                self.hub.work.notify_one();
            }
        }
    }
}

/// What a whole look means for the folder. Returns when the next one is due.
fn conclude(hub: &Hub, watcher: &Watcher, at: usize, report: &Report) -> i64 {
    let folder = &hub.folders[at];
    let now_ms = hub.core.clock.now_ms();
    let rescan = hub.config.agent.rescan;
    let missing = hub.core.clock.wait(MISSING).min(rescan);
    let path = folder.config.path.display();
    let (state, reason, wait) = match (&report.missing, report.suspicious) {
        (Some(Missing::NotThere), _) => {
            let words =
                format!("{path} is not there; nothing is forgotten, it goes on when the folder is back");
            (FolderState::Missing, Some(words), missing)
        }
        (Some(Missing::Denied), _) => {
            let words = format!("xpand may not read {path}; give its user the right to");
            (FolderState::Denied, Some(words), missing)
        }
        (Some(Missing::Error(error)), _) => {
            (FolderState::Missing, Some(format!("{path} cannot be read: {error}")), missing)
        }
        (None, Some((gone, all))) => {
            let words = format!(
                "{gone} of {all} files are not in {path} any more: is the disk plugged in? \
                 Nothing is forgotten; it goes on when they are back"
            );
            // An empty mount point is looked at often; a folder that was tidied up keeps its disk asleep.
            let wait = if is_bare(&folder.config.path) { missing } else { rescan };
            (FolderState::Suspicious, Some(words), wait)
        }
        (None, None) => match watcher.polling(folder.id) {
            Some(why) => (FolderState::Polling, Some(why), rescan),
            None => (FolderState::Watching, trouble(report), rescan),
        },
    };
    let mut view = lock(&folder.view);
    if view.state != state {
        tracing::info!(FOLDER = ?folder.config.path, "{}", reason.as_deref().unwrap_or("looked at; watching it"));
    }
    view.looked = true;
    (view.state, view.reason) = (state, reason);
    if report.missing.is_none() {
        view.last_scan_ms = Some(now_ms);
    }
    drop(view);
    hub.changed();
    now_ms.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}

fn trouble(report: &Report) -> Option<String> {
    let first = report.trouble.first()?;
    Some(format!("some of it cannot be read, first {first}"))
}

/// Offers what has held still for long enough. Returns whether some files found no room to settle. Blocks
/// on the disk, and never while it holds a lock: a dead disk must not stop those who only want to count.
fn settle(hub: &Hub, now_ms: i64) -> bool {
    let due = lock(&hub.settler).take_look(now_ms, SETTLED);
    for (path, before) in due {
        let Some((_, folder)) = hub.folder(path.folder) else { continue };
        let now = disk::stat_one(&folder.config.path, &path.below).ok().flatten();
        // Counted as settling until it is queued: nobody sees it in neither.
        let mut settler = lock(&hub.settler);
        if let Some(print) = settler.looked(&path, before, now, now_ms) {
            hub.core.keeper.with(|queue| queue.offer(&path, print));
            settler.forget(&path);
        }
    }
    hub.work.notify_one();
    hub.changed();
    lock(&hub.settler).take_overflowed()
}
