//! What the agent's tasks share: small cells behind locks that are held for moments, and three bells.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::breaker::{Admits, Breaker};
use super::gate::Gate;
use super::phase;
use crate::backup::body::Throttle;
use crate::backup::entry::Limits;
use crate::backup::filter::Filter;
use crate::backup::keeper::Keeper;
use crate::backup::mounts::is_within;
use crate::backup::progress::{Meters, Progress};
use crate::backup::scan::Away;
use crate::backup::settle::Settler;
use crate::backup::source::{Naming, Reader, Source};
use crate::backup::upload::Uploader;
use crate::backup::verdict::Pause;
use crate::clock::Clock;
use crate::cloud;
use crate::config::{self, Config};
use crate::content::{FilePath, FolderId, Purpose};
use crate::control::Spot;
use crate::remote::template::Template;
use crate::status::{self, AccountState, FolderState};

/// What survives a reload of the configuration.
pub(super) struct Core {
    /// The wall clock.
    pub clock: Clock,
    /// When the run began.
    pub start: phase::Start,
    /// The queue.
    pub keeper: Arc<Keeper>,
    /// Sums since the start.
    pub meters: Arc<Meters>,
    /// `upload.rate`
    pub throttle: Arc<Throttle>,
    /// The user's pause.
    pub gate: Mutex<Gate>,
    /// Rings when the life has to begin anew: another user is logged in.
    pub renew: Notify,
}

/// One life: from a start or a reload of the configuration to the next.
pub(super) struct Hub {
    /// See [`Core`].
    pub core: Arc<Core>,
    /// What is configured.
    pub config: Config,
    /// In the order of the configuration.
    pub accounts: Vec<AccountCell>,
    /// In the order of the configuration.
    pub folders: Vec<FolderCell>,
    /// The files being worked on.
    pub active: Mutex<BTreeMap<FilePath, Work>>,
    /// Files that have not yet held still.
    pub settler: Mutex<Settler>,
    /// Rings when there may be work for the dispatcher.
    pub work: Notify,
    /// Places that a person vouches for: what is missing there was deleted. So they are looked at next.
    pub accepted: Mutex<BTreeSet<Look>>,
    /// Asks for a look at a folder.
    pub looks: mpsc::UnboundedSender<Look>,
    /// Cancelled when this life ends.
    pub stop: CancellationToken,
    /// Cancelled, and replaced, when the uploads in flight are to stop.
    pub uploads: Mutex<CancellationToken>,
    /// The device, for the status.
    pub device: Mutex<status::Device>,
}

/// A file being worked on.
pub(super) struct Work {
    /// Bytes.
    pub size: u64,
    /// How far it is.
    pub progress: Arc<Progress>,
}

/// A place to look at.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Look {
    /// Index in [`Hub::folders`].
    pub folder: usize,
    /// Below the folder; empty for all of it.
    pub start: Box<[u8]>,
}

/// An account's reason until its first round has ended.
pub(super) const NOT_ASKED: &str = "not asked yet";

/// One account.
pub(super) struct AccountCell {
    /// `[account.NAME]`
    pub config: config::Account,
    /// For the status.
    pub view: Mutex<status::Account>,
    /// Present while files can be sent.
    pub uploader: Mutex<Option<Arc<Uploader>>>,
    /// The largest file its membership allows, bytes; 0 until it is known.
    pub(super) largest: AtomicU64,
    /// When our memory is lost: the cloud is asked what it has.
    pub(super) asking: Asking,
    /// Why nothing is sent for now.
    pub(super) breaker: Breaker,
    /// Rings when something about the account should be looked at now.
    pub wake: Notify,
}

/// How far the cloud's answer to "what do you have" is: see `survey.rs`.
#[derive(Default)]
pub(super) struct Asking {
    /// Uploads wait for it.
    pub holds: AtomicBool,
    /// It is known to its end.
    pub is_done: Arc<AtomicBool>,
    /// Files so far.
    pub files: AtomicU64,
    /// Rings when there is somebody to ask.
    pub wake: Notify,
}

impl Asking {
    /// For a person, while uploads wait for it.
    pub(super) fn words(&self) -> Option<String> {
        let files = self.files.load(Ordering::Relaxed);
        let holds = self.holds.load(Ordering::Acquire);
        holds.then(|| format!("asking the cloud what it has: {files} files so far"))
    }
}

/// One folder.
pub(super) struct FolderCell {
    /// `[[folder]]`
    pub config: config::Folder,
    /// In the queue.
    pub id: FolderId,
    /// What of it is wanted.
    pub filter: Arc<Filter>,
    /// How its files are sent.
    pub source: Arc<Source>,
    /// Index in [`Hub::accounts`].
    pub account: usize,
    /// For the status.
    pub view: Mutex<FolderView>,
}

/// A folder's state.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct FolderView {
    /// In one word.
    pub state: FolderState,
    /// Words for a person.
    pub reason: Option<String>,
    /// When the last complete look ended, milliseconds since 1970.
    pub last_scan_ms: Option<i64>,
    /// A complete look has ended in this life.
    pub looked: bool,
    /// Disks below the folder that are not there.
    pub away: Vec<Away>,
}

/// Locks a cell. Nobody panics while holding one, and if so the content is still whole.
pub(super) fn lock<T>(cell: &Mutex<T>) -> MutexGuard<'_, T> {
    cell.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    /// A new life for `config`. `None` when the store has failed.
    pub(super) fn new(
        core: Arc<Core>,
        config: Config,
        looks: mpsc::UnboundedSender<Look>,
    ) -> Option<Result<Self, String>> {
        core.throttle.set(config.upload.rate);
        let accounts = config
            .accounts
            .iter()
            .map(|account| AccountCell::new(account, &config.agent.state_dir))
            .collect();
        let mut folders = Vec::new();
        for folder in &config.folders {
            let id = core.keeper.with(|queue| queue.folder(&folder.path, &folder.account))?;
            match FolderCell::new(folder, &config, id) {
                Ok(cell) => folders.push(cell),
                Err(words) => return Some(Err(words)),
            }
        }
        let stop = CancellationToken::new();
        let settle = u64::try_from(config.agent.settle.as_millis()).unwrap_or(u64::MAX);
        Some(Ok(Self {
            core,
            accounts,
            folders,
            active: Mutex::default(),
            settler: Mutex::new(Settler::new(settle)),
            work: Notify::new(),
            accepted: Mutex::default(),
            looks,
            uploads: Mutex::new(stop.child_token()),
            stop,
            device: Mutex::default(),
            config,
        }))
    }

    /// The status may have changed.
    pub(super) fn changed(&self) {
        self.core.meters.changes.send_replace(());
    }

    /// Stops the uploads in flight; each keeps what the cloud has confirmed.
    pub(super) fn stop_uploads(&self) {
        let fresh = self.stop.child_token();
        std::mem::replace(&mut *lock(&self.uploads), fresh).cancel();
    }

    /// The folder with this id.
    pub(super) fn folder(&self, id: FolderId) -> Option<(usize, &FolderCell)> {
        self.folders.iter().enumerate().find(|(_, folder)| folder.id == id)
    }

    /// Where a path belongs, as [`config::places`] says, and its name below each folder; only in the folder of
    /// the label, when there is one.
    pub(super) fn places<'a>(&'a self, spot: &Spot) -> Vec<(usize, &'a FolderCell, FilePath)> {
        let places = config::places(self.folders.iter().map(|folder| &folder.config), &spot.path);
        let folders = places.into_iter().map(|(at, below)| (at, &self.folders[at], below));
        let is_meant =
            |folder: &FolderCell| spot.label.as_ref().is_none_or(|label| *label == folder.config.label);
        folders
            .filter(|(_, folder, _)| is_meant(folder))
            .map(|(at, folder, below)| (at, folder, FilePath::new(folder.id, below)))
            .collect()
    }

    /// Whether a file is on a disk that is not mounted.
    pub(super) fn is_away(&self, path: &FilePath) -> bool {
        self.folder(path.folder).is_some_and(|(_, folder)| {
            let view = lock(&folder.view);
            view.away.iter().any(|away| away.bare && is_within(&path.below, &away.below))
        })
    }

    /// Whether files of this folder can be sent now.
    pub(super) fn can_send(&self, id: FolderId, now_ms: i64) -> bool {
        let Some((_, folder)) = self.folder(id) else { return false };
        let readable = matches!(
            lock(&folder.view).state,
            // What is left in a suspicious folder is worth sending all the more.
            FolderState::Watching | FolderState::Polling | FolderState::Scanning | FolderState::Suspicious
        );
        readable && self.can_account_send(folder.account, now_ms)
    }

    /// Whether another file of this account can be sent now.
    fn can_account_send(&self, at: usize, now_ms: i64) -> bool {
        let account = &self.accounts[at];
        let is_ready = lock(&account.uploader).is_some() && !account.asking.holds.load(Ordering::Acquire);
        is_ready
            && match account.breaker.admits(now_ms) {
                Admits::None => false,
                Admits::All => true,
                Admits::One => !self.is_probing(at),
            }
    }

    /// A file of an account that has paused is on its way, and nothing of it is confirmed.
    pub(super) fn is_probing(&self, at: usize) -> bool {
        let active = lock(&self.active);
        let is_its =
            |path: &FilePath| self.folder(path.folder).is_some_and(|(_, folder)| folder.account == at);
        is_unanswered(active.iter().filter(|(path, _)| is_its(path)).map(|(_, work)| &*work.progress))
    }
}

/// Of some files that are being worked on: none of them has been confirmed yet. One whose disk hangs does not
/// count: it says nothing of the cloud, and may go on like that for days.
fn is_unanswered<'a>(files: impl Iterator<Item = &'a Progress>) -> bool {
    let mut files = files.filter(|progress| !progress.hangs.load(Ordering::Relaxed)).peekable();
    files.peek().is_some() && files.all(|progress| !progress.is_confirmed())
}

impl AccountCell {
    fn new(config: &config::Account, state_dir: &Path) -> Self {
        let view = status::Account {
            name: config.name.clone(),
            provider: config.provider.as_str().to_owned(),
            state: AccountState::Offline,
            reason: Some(NOT_ASKED.into()),
            ..status::Account::default()
        };
        Self {
            config: config.clone(),
            view: Mutex::new(view),
            uploader: Mutex::default(),
            largest: AtomicU64::new(0),
            breaker: Breaker::open(state_dir, &config.name),
            asking: Asking::default(),
            wake: Notify::new(),
        }
    }

    /// Nothing may be sent any more: no login, or not bound. What is in flight stops too.
    pub(super) fn stop_sending(&self) {
        if let Some(uploader) = lock(&self.uploader).take() {
            uploader.stop.cancel();
        }
    }

    /// Stops sending for a while, unless it has stopped already.
    pub(super) fn pause_for(&self, pause: Pause, why: String, clock: &Clock) {
        let began = match pause {
            Pause::Failing => self.breaker.failed(&why, clock),
            _ => self.breaker.pause(pause, why, clock),
        };
        if began {
            self.wake.notify_one();
        }
    }
}

impl FolderCell {
    fn new(folder: &config::Folder, config: &Config, id: FolderId) -> Result<Self, String> {
        let place = |words: String| format!("folder {}: {words}", folder.path.display());
        let account = config.accounts.iter().position(|account| account.name == folder.account);
        let account = account.ok_or_else(|| place(format!("there is no account {}", folder.account)))?;
        let template: Template = folder.remote.parse().map_err(|error| place(format!("remote: {error}")))?;
        let source = Source {
            root: folder.path.clone(),
            naming: Naming::Template {
                template,
                home: cloud::of(config.accounts[account].provider).home(&config.accounts[account]),
                device: config.device_name(),
                label: folder.label.clone(),
            },
            on_conflict: config.upload.on_conflict,
            limits: Limits {
                min_size: folder.min_size,
                max_size: folder.max_size,
                tier: None,
                takes: cloud::of(config.accounts[account].provider).takes(),
            },
            purpose: Purpose::Backup,
            reader: Reader::Runtime,
        };
        Ok(Self {
            config: folder.clone(),
            id,
            filter: Arc::new(Filter::new(folder).map_err(|error| place(error.to_string()))?),
            source: Arc::new(source),
            account,
            view: Mutex::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_file_after_a_pause_keeps_others_waiting_until_something_is_confirmed_or_its_disk_hangs() {
        let (first, second) = (Progress::default(), Progress::default());
        assert!(!is_unanswered([].into_iter()));
        assert!(is_unanswered([&first].into_iter()));
        first.hangs.store(true, Ordering::Relaxed);
        assert!(!is_unanswered([&first].into_iter()), "another one may go");
        assert!(is_unanswered([&first, &second].into_iter()), "and then that is the first");
        second.confirm();
        assert!(!is_unanswered([&first, &second].into_iter()));
    }
}
