//! The whole state of a simulated cloud behind one lock, and what of it survives a restart.
//!
//! ```text
//! DIR/.cloudsim/state.json   accounts, tokens, devices and shares, rewritten at every change
//! ```
//! Files have their own journal (see `drives`), upload sessions their own folders (see `sessions`), and so
//! has the other cloud (see `pan123`);
//! faults, limits, tasks, pending device codes and the call log live in memory only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU16, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::answer::Refusal;
use crate::calls::Calls;
use crate::device::Devices;
use crate::dice::Dice;
use crate::drives::{Drives, OWN_FOLDER};
use crate::faults::Faults;
use crate::journal;
use crate::limits::Limits;
use crate::oauth::DeviceCodes;
use crate::options::{Locate, Options};
use crate::pan123::Pan123;
use crate::request::Ask;
use crate::sessions::Sessions;
use crate::shares::Shares;
use crate::tasks::Tasks;
use crate::throttle::Throttle;
use crate::users::{DEFAULT_ACCOUNT, TokenState, Users};

/// A simulated cloud: its settings, its state and its clock.
pub(crate) struct Cloud {
    pub(crate) options: Options,
    pub(crate) data: PathBuf,
    pub(crate) throttle: Throttle,
    /// The line out, for downloads.
    pub(crate) throttle_down: Throttle,
    state: Mutex<State>,
    clock_shift_ms: AtomicI64,
    latency_ms: AtomicU64,
    cdn_port: AtomicU16,
}

/// Everything that changes.
pub(crate) struct State {
    pub(crate) dice: Dice,
    pub(crate) users: Users,
    pub(crate) codes: DeviceCodes,
    pub(crate) devices: Devices,
    pub(crate) drives: Drives,
    pub(crate) sessions: Sessions,
    pub(crate) faults: Faults,
    pub(crate) limits: Limits,
    pub(crate) calls: Calls,
    pub(crate) locate: Locate,
    pub(crate) empty_block_list: bool,
    pub(crate) given: Given,
    pub(crate) tasks: Tasks,
    pub(crate) shares: Shares,
    /// The other cloud.
    pub(crate) pan123: Pan123,
}

/// What no log may show, and what clients did with it. In memory only; not even a reset forgets it.
#[derive(Debug, Default)]
pub(crate) struct Given {
    /// Every token and device code ever given out, or made valid.
    pub(crate) secrets: BTreeSet<String>,
    /// How often each refresh token came in, good or not.
    pub(crate) presented: BTreeMap<String, u32>,
    /// What users took away in the phone app: account and path.
    pub(crate) removed: Vec<(String, String)>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Saved {
    users: Users,
    devices: Devices,
    shares: Shares,
}

impl Cloud {
    /// Opens the cloud in `data`, with everything an earlier run left there.
    pub(crate) fn open(options: Options, data: &Path) -> io::Result<Cloud> {
        fs::create_dir_all(data.join(OWN_FOLDER))?;
        let mut dice = Dice::new(options.seed);
        let drives = Drives::open(data, Dice::new(Some(dice.next())))?;
        let saved: Saved = journal::read_whole(&saved_path(data))?;
        let mut users = saved.users;
        users.ensure(DEFAULT_ACCOUNT, options.vip, options.quota);
        let state = State {
            dice,
            users,
            codes: DeviceCodes::default(),
            devices: saved.devices,
            drives,
            sessions: Sessions::open(&data.join(OWN_FOLDER).join("uploads"))?,
            faults: Faults::default(),
            limits: Limits::default(),
            calls: Calls::default(),
            locate: options.locate.clone(),
            empty_block_list: options.empty_block_list,
            given: Given::default(),
            tasks: Tasks::default(),
            shares: saved.shares,
            pan123: Pan123::open(&options, data)?,
        };
        Ok(Cloud {
            throttle: Throttle::new(options.bandwidth),
            throttle_down: Throttle::new(options.bandwidth),
            latency_ms: AtomicU64::new(options.latency.as_millis() as u64),
            options,
            data: data.into(),
            state: Mutex::new(state),
            clock_shift_ms: AtomicI64::new(0),
            cdn_port: AtomicU16::new(0),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down accounts, tokens, devices and shares.
    pub(crate) fn save(&self, state: &State) -> io::Result<()> {
        #[derive(Serialize)]
        struct View<'a> {
            users: &'a Users,
            devices: &'a Devices,
            shares: &'a Shares,
        }
        let view = View { users: &state.users, devices: &state.devices, shares: &state.shares };
        journal::replace(&saved_path(&self.data), &view)
    }

    /// The cloud's clock: the machine's, moved by `advance`.
    pub(crate) fn now_ms(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        (now + self.clock_shift_ms.load(Ordering::Relaxed)).max(0) as u64
    }

    /// The clock in seconds, as the API's times are.
    pub(crate) fn now(&self) -> u64 {
        self.now_ms() / 1000
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock_shift_ms.fetch_add(by.as_millis() as i64, Ordering::Relaxed);
    }

    pub(crate) fn latency(&self) -> Duration {
        Duration::from_millis(self.latency_ms.load(Ordering::Relaxed))
    }

    pub(crate) fn set_latency(&self, latency: Duration) {
        self.latency_ms.store(latency.as_millis() as u64, Ordering::Relaxed);
    }

    /// Where the CDN listens.
    pub(crate) fn cdn_port(&self) -> u16 {
        self.cdn_port.load(Ordering::Relaxed)
    }

    pub(crate) fn set_cdn_port(&self, port: u16) {
        self.cdn_port.store(port, Ordering::Relaxed);
    }

    /// Changes the pace of both lines.
    pub(crate) fn set_bandwidth(&self, bytes_a_second: Option<u64>) {
        self.throttle.set(bytes_a_second);
        self.throttle_down.set(bytes_a_second);
    }

    /// A folder on the data disk for bytes that are still coming in.
    pub(crate) fn tmp(&self) -> PathBuf {
        self.data.join(OWN_FOLDER).join("tmp")
    }

    /// Whose token came with a call to pan.baidu.com; errno -6 for anything but a valid one.
    pub(crate) fn user(&self, ask: &Ask) -> Result<String, Refusal> {
        match self.token_state(ask) {
            TokenState::Valid(account) => Ok(account),
            TokenState::Expired => Err(Refusal::errno_saying(-6, "access token expired")),
            TokenState::Missing | TokenState::Unknown => Err(Refusal::errno(-6)),
        }
    }

    /// Whose token came with a call to a PCS host: 401 with 110 or 111 (field notes 1.5).
    pub(crate) fn pcs_user(&self, ask: &Ask) -> Result<String, Refusal> {
        match self.token_state(ask) {
            TokenState::Valid(account) => Ok(account),
            TokenState::Expired => Err(Refusal::pcs(111)),
            TokenState::Unknown => Err(Refusal::pcs(110)),
            TokenState::Missing => Err(Refusal::pcs(100)),
        }
    }

    /// "通用参数必须放在URL里": the token counts in the query only.
    pub(crate) fn token_state(&self, ask: &Ask) -> TokenState {
        let state = self.lock();
        state.users.token(ask.query.get("access_token"), self.now_ms())
    }
}

fn saved_path(data: &Path) -> PathBuf {
    data.join(OWN_FOLDER).join("state.json")
}
