//! One look at a folder, and what it means: for the queue, for the person who reads the status, and for
//! when the next one is due. Everything here but [`conclude`] blocks on the disk.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use super::hub::{FolderCell, Hub, Look, lock};
use crate::backup::entry::Limits;
use crate::backup::queue::Queue;
use crate::backup::scan::{Away, Eyes, Missing, Report, Scan};
use crate::backup::settle::Sight;
use crate::backup::watch::Watcher;
use crate::backup::{disk, mounts, rights};
use crate::content::{FilePath, Fingerprint};
use crate::memory;
use crate::status::FolderState;

/// A folder that is not there is looked for this often.
const MISSING: std::time::Duration = std::time::Duration::from_secs(30);
/// Files settled in one go.
const SETTLED: usize = 256;

/// What the looks at some places of one folder found.
#[derive(Default)]
pub(super) struct Looked {
    /// Where the folder really is, links followed.
    pub path: Option<PathBuf>,
    /// In the order of the places; the last ones are not there when the agent ends.
    pub reports: Vec<(Look, Report)>,
}

/// Looks at places of one folder, one after the other.
pub(super) fn look(hub: &Hub, watcher: &Watcher, places: &[Look], cancelled: &AtomicBool) -> Looked {
    let mut looked = Looked::default();
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
            looked.path = mounts::real_path_of(&folder.config.path);
        }
        let mut eyes = Watch { hub, folder, watcher, offered: false };
        let is_accepted = lock(&hub.accepted).remove(place);
        let report = match is_accepted {
            true => scan.accept(&place.start, &mut eyes),
            false => scan.look(&place.start, &mut eyes),
        };
        match report {
            Some(report) if !report.cancelled => {
                hub.core.keeper.with(Queue::mend);
                if place.start.is_empty() {
                    memory::give_back();
                }
                hub.work.notify_one();
                hub.changed();
                looked.reports.push((place.clone(), report));
            }
            _ => break,
        }
    }
    looked
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
        let sight = lock(&self.hub.settler).see(&path, print, self.hub.core.clock.now());
        if sight == Sight::Quiet {
            self.hub.core.keeper.with(|queue| queue.offer(&path, print));
            // The first file of a look need not wait for the last.
            if !std::mem::replace(&mut self.offered, true) {
                self.hub.work.notify_one();
            }
        }
    }

    fn closed(&mut self, below: &[u8]) {
        self.watcher.add_closed(self.folder.id, below);
    }
}

/// What a whole look means for the folder. Returns when the next one is due, on the steady clock.
pub(super) fn conclude(hub: &Hub, watcher: &Watcher, at: usize, report: Report) -> i64 {
    let folder = &hub.folders[at];
    let rescan = hub.config.agent.rescan;
    let missing = hub.core.clock.wait(MISSING).min(rescan);
    let (state, reason) = state_of(folder, watcher, &report);
    let wait = match state {
        FolderState::Missing | FolderState::Denied => missing,
        // An empty mount point is looked at often; a folder that was tidied up keeps its disk asleep.
        FolderState::Suspicious if report.bare => missing,
        _ => rescan,
    };
    let mut view = lock(&folder.view);
    if view.state != state || view.reason != reason {
        tracing::info!(FOLDER = %folder.config.path.display(), "{}", reason.as_deref().unwrap_or("looked at; watching it"));
    }
    let is_back = report.missing.is_none()
        && (matches!(view.state, FolderState::Missing | FolderState::Denied)
            || view.away.iter().any(|was| !report.away.iter().any(|away| away.below == was.below)));
    view.looked = true;
    (view.state, view.reason) = (state, reason);
    if report.missing.is_none() {
        view.last_scan_ms = Some(hub.core.clock.now_ms());
        view.away = report.away;
    }
    drop(view);
    if is_back {
        hub.core.keeper.with(|queue| {
            queue.hurry(folder.id);
            Ok(())
        });
        hub.work.notify_one();
    }
    hub.changed();
    hub.core.clock.steady_ms().saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}

/// The folder in one word, and in a sentence that says what to do.
fn state_of(folder: &FolderCell, watcher: &Watcher, report: &Report) -> (FolderState, Option<String>) {
    let path = folder.config.path.display();
    match (&report.missing, report.suspicious, report.away.first()) {
        (Some(Missing::NotThere), ..) => {
            let words =
                format!("{path} is not there; nothing is forgotten, it goes on when the folder is back");
            (FolderState::Missing, Some(words))
        }
        (Some(Missing::Unmounted), ..) => {
            let words = format!(
                "the disk of {path} is not mounted; nothing is forgotten and nothing is sent, it goes on when \
                 the disk is back. If it is not to come back: xpand accept {path}"
            );
            (FolderState::Missing, Some(words))
        }
        (Some(Missing::Denied), ..) => {
            let words = format!("xpand may not read {path}: {}", rights::advice(&folder.config.path));
            (FolderState::Denied, Some(words))
        }
        (Some(Missing::Error(error)), ..) => {
            (FolderState::Missing, Some(format!("{path} cannot be read: {error}")))
        }
        (None, Some((gone, all)), _) => {
            let words = format!(
                "{gone} of {all} files are not in {path} any more: is the disk plugged in? Nothing is \
                 forgotten; it goes on when they are back. If they were deleted on purpose: xpand accept {path}"
            );
            (FolderState::Suspicious, Some(words))
        }
        (None, None, Some(away)) => (FolderState::Suspicious, Some(away_words(folder, away))),
        (None, None, None) => match watcher.polling(folder.id) {
            Some(why) => (FolderState::Polling, Some(why)),
            None => (FolderState::Watching, trouble(folder, report)),
        },
    }
}

fn away_words(folder: &FolderCell, away: &Away) -> String {
    let (place, files) = (mounts::named(&folder.config.path, &away.below), away.files);
    if away.bare {
        return format!(
            "no disk is mounted at {place}: its {files} files are not forgotten, it goes on when the disk is \
             back. If it is not to come back: xpand accept {place}"
        );
    }
    format!(
        "{files} files are not on the disk at {place} any more: is it another disk? Nothing is forgotten; it \
         goes on when they are back. If they were deleted on purpose: xpand accept {place}"
    )
}

fn trouble(folder: &FolderCell, report: &Report) -> Option<String> {
    let first = report.trouble.first()?;
    let advice = report.closed.as_ref().map_or_else(String::new, |below| {
        format!("; {}", rights::advice(&folder.config.path.join(OsStr::from_bytes(below))))
    });
    Some(format!("some of it cannot be read, first {first}{advice}"))
}

/// Offers what has held still for long enough in a folder. Returns whether some files found no room to settle.
/// Never blocks while it holds a lock: a dead disk must not stop those who only want to count.
pub(super) fn settle(hub: &Hub, at: usize) -> bool {
    let folder = &hub.folders[at];
    let now = hub.core.clock.now();
    let due = lock(&hub.settler).take_look(folder.id, now, SETTLED);
    for (path, before) in due {
        let print = disk::stat_one(&folder.config.path, &path.below).ok().flatten();
        // Counted as settling until it is queued: nobody sees it in neither.
        let mut settler = lock(&hub.settler);
        if let Some(print) = settler.looked(&path, before, print, now) {
            hub.core.keeper.with(|queue| queue.offer(&path, print));
            settler.forget(&path);
        }
    }
    hub.work.notify_one();
    hub.changed();
    lock(&hub.settler).take_overflowed()
}
