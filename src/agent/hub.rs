//! What the agent's tasks share: small cells behind locks that are held for moments, and three bells.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::gate::Gate;
use crate::backup::body::Throttle;
use crate::backup::entry::Limits;
use crate::backup::filter::Filter;
use crate::backup::keeper::Keeper;
use crate::backup::mounts::is_within;
use crate::backup::progress::{Meters, Progress};
use crate::backup::scan::Away;
use crate::backup::settle::Settler;
use crate::backup::upload::{Source, Uploader};
use crate::backup::verdict::Pause;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::content::{FilePath, FolderId};
use crate::remote::template::Template;
use crate::status::{self, AccountState, FolderState};

/// What survives a reload of the configuration.
pub(super) struct Core {
    /// The wall clock.
    pub clock: Clock,
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
    /// Our memory may have gaps: the cloud is asked before anything is sent.
    pub may_have_forgotten: AtomicBool,
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
    /// Why nothing is sent for now.
    pub pause: Mutex<Option<Paused>>,
    /// Rings when something about the account should be looked at now.
    pub wake: Notify,
}

/// An account's pause.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Paused {
    /// Why, in one word.
    pub pause: Pause,
    /// Why, for a person.
    pub why: String,
    /// Milliseconds since 1970: looked at again then.
    pub until_ms: i64,
    /// Pauses for this reason in a row.
    pub times: u32,
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
        let accounts = config.accounts.iter().map(AccountCell::new).collect();
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

    /// Where a path belongs: the innermost configured folder that has it, and the path below it.
    pub(super) fn place<'a>(&'a self, path: &Path) -> Option<(usize, &'a FolderCell, FilePath)> {
        let within = |(at, folder): (usize, &'a FolderCell)| {
            let below = path.strip_prefix(&folder.config.path).ok()?;
            Some((at, folder, FilePath::new(folder.id, below)))
        };
        let found = self.folders.iter().enumerate().filter_map(within);
        found.max_by_key(|(_, folder, _)| folder.config.path.as_os_str().len())
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
        readable && self.accounts[folder.account].can_send(now_ms)
    }
}

impl AccountCell {
    fn new(config: &config::Account) -> Self {
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
            pause: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// Whether files can be sent now.
    pub(super) fn can_send(&self, now_ms: i64) -> bool {
        let pause = lock(&self.pause);
        // A pause that is longer than any was meant to be was begun by a clock that was wrong.
        let is_over = |paused: &Paused| paused.until_ms <= now_ms || paused.until_ms - now_ms > LONGEST_MS;
        lock(&self.uploader).is_some() && pause.as_ref().is_none_or(is_over)
    }

    /// Nothing may be sent any more: no login, or not bound. What is in flight stops too.
    pub(super) fn stop_sending(&self) {
        if let Some(uploader) = lock(&self.uploader).take() {
            uploader.stop.cancel();
        }
    }

    /// Stops sending for a while: longer each time in a row.
    pub(super) fn pause_for(&self, pause: Pause, why: String, clock: &Clock) {
        let now_ms = clock.now_ms();
        let mut cell = lock(&self.pause);
        let again = cell.as_ref().filter(|paused| {
            // Uploads that were in flight together fail together: that is one time.
            std::mem::discriminant(&paused.pause) == std::mem::discriminant(&pause)
        });
        if again.is_some_and(|paused| paused.until_ms > now_ms) {
            return;
        }
        let times = again.map_or(0, |paused| paused.times + 1);
        let wait = clock.wait(wait(pause, times)).mul_f64(0.9 + 0.2 * crate::backup::verdict::spread());
        let until_ms = now_ms + i64::try_from(wait.as_millis()).unwrap_or(i64::MAX / 2);
        tracing::warn!(ACCOUNT = %self.config.name, "sending pauses for {} s: {why}", wait.as_secs());
        *cell = Some(Paused { pause, why, until_ms, times });
        self.wake.notify_one();
    }
}

/// Longer than any pause, milliseconds.
const LONGEST_MS: i64 = 2 * 3_600_000;

/// How long an account stops, at the `times`-th time in a row.
fn wait(pause: Pause, times: u32) -> Duration {
    let doubling = |first: u64, most: u64| Duration::from_secs((first << times.min(16)).min(most));
    match pause {
        Pause::Membership => doubling(1, 3600),
        Pause::Offline => doubling(5, 300),
        Pause::Limit { after } => after.max(doubling(30, 1800)),
        // Nobody documents when the day begins; asking once an hour costs nothing.
        Pause::DayLimit | Pause::Blocked => Duration::from_hours(1),
        Pause::Full => Duration::from_mins(10),
        // The account's own task waits for the login.
        Pause::Login => doubling(60, 3600),
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
            template,
            app: config.accounts[account].app.clone(),
            device: config.device_name(),
            label: folder.label.clone(),
            on_conflict: config.upload.on_conflict,
            limits: Limits { min_size: folder.min_size, max_size: folder.max_size, tier: None },
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
