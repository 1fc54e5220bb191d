//! What a person can see of the agent, as plain data.
//!
//! The socket, `--json`, the text of `xpand status` and the tests share these types, so that they
//! cannot tell different stories. The names are fixed: other programs read them.
//! `files = backed_up + waiting + failed + skipped` holds in every answer.

use serde::{Deserialize, Serialize};

/// The whole agent in one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Opening the state, not yet looking at the folders.
    #[default]
    Starting,
    /// An account has no usable login: `xpand account login NAME`.
    NeedsLogin,
    /// The device is not bound to an account: `xpand device bind --account NAME`.
    NeedsBind,
    /// The box has no right time yet.
    WaitingForClock,
    /// Looking at the folders.
    Scanning,
    /// Sending files.
    BackingUp,
    /// Everything that can be backed up is.
    Idle,
    /// Paused by the user or by `upload.hours`.
    Paused,
    /// No way to the cloud just now.
    Offline,
    /// The cloud drive is full.
    QuotaFull,
    /// Something needs a person; `reason` says what.
    Failed,
}

/// The device as the cloud knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    /// No `[device]` in the configuration.
    #[default]
    Off,
    /// Configured, not yet registered.
    New,
    /// The cloud gave it an id.
    Registered,
}

/// An account in one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountState {
    /// Logged in, and bound where a device is configured.
    Ready,
    /// No login, or the cloud refused the one we have.
    #[default]
    NeedsLogin,
    /// The device is not bound to this account.
    Unbound,
    /// Not reachable just now.
    Offline,
    /// The cloud does nothing for this account or application for now; `reason` says until when, and what a
    /// person can do.
    Blocked,
}

/// A folder in one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FolderState {
    /// Changes are seen as they happen.
    Watching,
    /// Changes are seen at the next rescan (the system's watch limit is reached, or a network disk).
    Polling,
    /// The first or a later look is under way.
    #[default]
    Scanning,
    /// The folder is not there; nothing is forgotten, it goes on when it is back.
    Missing,
    /// It lost most of its files at once: probably an empty mount point.
    Suspicious,
    /// We may not read it.
    Denied,
}

/// What is being done with a file right now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Reading it for the first time.
    #[default]
    Hashing,
    /// Slices are on their way.
    Sending,
    /// `create` is under way.
    Finishing,
}

/// The answer to `GET /v1/status`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Status {
    /// The agent's version.
    pub version: String,
    /// The whole agent in one word.
    pub state: State,
    /// Words for a person.
    pub reason: Option<String>,
    /// Since when it is so, RFC 3339.
    pub since: String,
    /// The device.
    pub device: Device,
    /// In the order of the configuration.
    pub accounts: Vec<Account>,
    /// In the order of the configuration.
    pub folders: Vec<Folder>,
    /// The files being worked on.
    pub active: Vec<Active>,
    /// Sums over all folders, and the speed.
    pub totals: Totals,
}

/// See [`Status::device`].
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Device {
    /// `device_addr`: MD5 of serial or MAC address.
    pub address: Option<String>,
    /// `device_type` as configured.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// `device_id` as the cloud gave it.
    pub id: Option<String>,
    /// Off, new or registered.
    pub state: DeviceState,
}

/// See [`Status::accounts`].
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Account {
    /// The name in the configuration.
    pub name: String,
    /// `baidu` or `pan123`.
    pub provider: String,
    /// In one word.
    pub state: AccountState,
    /// The user's name in the cloud, once known.
    pub user: Option<String>,
    /// Membership: 0 ordinary, 1 member, 2 super member.
    pub vip_type: Option<u8>,
    /// Space, once known.
    pub quota: Option<Quota>,
    /// Words for a person.
    pub reason: Option<String>,
}

/// Space in the cloud, bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Quota {
    /// Bytes in use.
    pub used: u64,
    /// Bytes in all.
    pub total: u64,
}

/// See [`Status::folders`].
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Folder {
    /// Absolute path.
    pub path: String,
    /// The label in remote names.
    pub label: String,
    /// The account it is backed up to.
    pub account: String,
    /// In one word.
    pub state: FolderState,
    /// Words for a person.
    pub reason: Option<String>,
    /// How many files.
    #[serde(flatten)]
    pub counts: Counts,
    /// When the last complete look ended, RFC 3339.
    pub last_scan: Option<String>,
}

/// How many files stand where. `files = backed_up + waiting + failed + skipped`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Counts {
    /// All photos and videos (and others, where asked for) in the folder.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Confirmed by the cloud.
    pub backed_up: u64,
    /// Found, settling, queued, or being sent.
    pub waiting: u64,
    /// Parked with a reason; `xpand retry` tries again.
    pub failed: u64,
    /// Cannot be backed up (empty, too large), with a reason.
    pub skipped: u64,
    /// Bytes of the waiting files.
    pub bytes_waiting: u64,
}

/// See [`Status::active`].
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Active {
    /// Absolute path.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Bytes of this stage done.
    pub done: u64,
    /// What is being done.
    pub stage: Stage,
}

/// See [`Status::totals`].
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Totals {
    /// All folders together.
    #[serde(flatten)]
    pub counts: TotalCounts,
    /// Bytes of slices sent since the agent started.
    pub bytes_sent: u64,
    /// Files since the agent started that the cloud had already: nothing was sent.
    pub instant: u64,
    /// Bytes a second, over the last seconds.
    pub rate: u64,
    /// Seconds until nothing waits, at this rate.
    pub eta_secs: Option<u64>,
}

/// [`Counts`] without the bytes that stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TotalCounts {
    /// See [`Counts::files`].
    pub files: u64,
    /// See [`Counts::backed_up`].
    pub backed_up: u64,
    /// See [`Counts::waiting`].
    pub waiting: u64,
    /// See [`Counts::failed`].
    pub failed: u64,
    /// See [`Counts::skipped`].
    pub skipped: u64,
    /// See [`Counts::bytes_waiting`].
    pub bytes_waiting: u64,
}

impl Counts {
    /// Adds another folder's numbers.
    pub fn add(&mut self, other: &Self) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.backed_up += other.backed_up;
        self.waiting += other.waiting;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.bytes_waiting += other.bytes_waiting;
    }
}

impl From<Counts> for TotalCounts {
    fn from(all: Counts) -> Self {
        Self {
            files: all.files,
            backed_up: all.backed_up,
            waiting: all.waiting,
            failed: all.failed,
            skipped: all.skipped,
            bytes_waiting: all.bytes_waiting,
        }
    }
}

impl Status {
    /// Nothing waits and nothing is under way.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.totals.counts.waiting == 0 && self.active.is_empty()
    }
}
