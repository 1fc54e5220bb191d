//! Who we are as a device: registered once, bound to each account once, and never again by itself after
//! a user has unbound it.
//!
//! ```text
//! let device = Device::new(&config.agent.state_dir, config.device.as_ref());
//! device.state()?;                                   // DeviceState: Off | New | Registered
//! device.ensure_bound("home", &user.id, calls).await?;   // after a login; registers where needed
//! device.check("home", &user.id, calls).await?;      // on a timer: checkbind, then diff
//! device.bind(..) device.unbind(..) device.diff(..)  // the commands
//! device.binding("home")?;  device.stamp();          // what the file says; whether it changed
//! ```
//!
//! `calls` is `drive.devices()`, `user.id` what `drive.user()` answered. Without `[device]` everything is
//! [`Binding::Off`] and no call is made.
//!
//! # On disk
//!
//! `<state_dir>/device.json`, 0600, replaced as a whole and durably; `device.lock` is held by who writes
//! it, in whatever process, from before its call to the cloud until the result is on disk, so that two
//! never register or bind at once and no answer is older than what it replaces.
//!
//! ```json
//! { "version": 1, "address": "md5", "address_of": "eth0", "type": "…", "id": "…",
//!   "accounts": { "home": { "user": "208281036", "binding": {"state": "bound"}, "cursor": "…", "told": "…" } } }
//! ```
//!
//! # What a crash costs
//!
//! Between a call and the file being replaced: the call is made once more. Registering the same address
//! and binding the same user twice leave one device and one binding. The address is on disk before it is
//! registered, so that the second time it is the same one.

mod address;
mod file;
mod open;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cloud::{self, DeviceEntry, Devices};
use crate::config;
use crate::durable::Stamp;

use file::{Reader, Stored};
use open::Open;

/// Not in any table: a device that is not registered (xpan-device, 错误码说明).
const NOT_REGISTERED: i64 = 42101;
/// What can go wrong with the device on this machine, or in the cloud.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call failed.
    #[error(transparent)]
    Cloud(#[from] cloud::Error),
    /// The device's file cannot be read or written.
    #[error("{} cannot be used", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is nothing to make an address of.
    #[error(
        "this machine has no network card with an address of its own; write `serial = \"…\"` into [device]"
    )]
    NoAddress,
    /// A device command without `[device]`.
    #[error("there is no [device] in the configuration")]
    Off,
}

/// The device as the cloud's vendor knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DeviceState {
    /// No `[device]` in the configuration.
    Off,
    /// Not registered yet.
    New {
        /// `device_addr`, once it was chosen.
        address: Option<String>,
    },
    /// Registered.
    Registered {
        /// `device_addr`
        address: String,
        /// `device_id`
        id: String,
    },
}

/// Whether the device is bound to an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Binding {
    /// No `[device]` in the configuration: binding plays no part.
    Off,
    /// Never bound, or to another user.
    Unknown,
    /// Bound.
    Bound,
    /// Unbound, and to stay so until [`Device::bind`].
    Unbound {
        /// In the phone app, not by our own command.
        by_user: bool,
    },
}

impl Binding {
    /// Whether this account may be backed up to.
    #[must_use]
    pub fn allows_backup(self) -> bool {
        matches!(self, Self::Off | Self::Bound)
    }
}

/// What [`Device::check`] found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checked {
    /// Now.
    pub binding: Binding,
    /// What changed among the user's devices since the last time.
    pub changes: Vec<DeviceEntry>,
}

/// The device, by its file.
#[derive(Clone, Debug)]
pub struct Device {
    path: PathBuf,
    config: Option<config::Device>,
    sysfs: PathBuf,
}

type Result<T> = std::result::Result<T, Error>;

impl Device {
    /// The device of a state folder and a configuration. Reads nothing yet.
    #[must_use]
    pub fn new(state_dir: &Path, config: Option<&config::Device>) -> Self {
        Self {
            path: state_dir.join("device.json"),
            config: config.cloned(),
            sysfs: PathBuf::from("/sys/class/net"),
        }
    }

    /// With another place to look for network cards than `/sys/class/net`.
    #[must_use]
    pub fn with_network_cards(mut self, folder: &Path) -> Self {
        folder.clone_into(&mut self.sysfs);
        self
    }

    /// What the file says of the device.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn state(&self) -> Result<DeviceState> {
        let Some(config) = &self.config else { return Ok(DeviceState::Off) };
        let stored = self.load()?.unwrap_or_default();
        Ok(match (stored.address.clone(), stored.id.clone()) {
            (Some(address), Some(id)) if stored.is_of(config) => DeviceState::Registered { address, id },
            (address, _) => DeviceState::New { address },
        })
    }

    /// What the file says of an account.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn binding(&self, account: &str) -> Result<Binding> {
        let Some(config) = &self.config else { return Ok(Binding::Off) };
        let stored = self.load()?.filter(|stored| stored.is_of(config)).unwrap_or_default();
        Ok(stored.accounts.get(account).map_or(Binding::Unknown, |account| account.binding))
    }

    /// Changes whenever the file does. One `stat`.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        Stamp::of(&self.path)
    }

    /// Registers the device if it is not (设备注册: when the application is installed).
    ///
    /// # Errors
    /// No address, no file, no cloud.
    pub async fn ensure_registered(&self, calls: &dyn Devices) -> Result<DeviceState> {
        if self.config.is_some() {
            self.open().await?.id(calls).await?;
        }
        self.state()
    }

    /// Binds the device to the user who is logged in, unless that was done before. A user's unbinding
    /// stands; another user begins anew.
    ///
    /// # Errors
    /// No address, no file, no cloud; 42102 and 42103 in words.
    pub async fn ensure_bound(&self, account: &str, user: &str, calls: &dyn Devices) -> Result<Binding> {
        if self.config.is_none() {
            return Ok(Binding::Off);
        }
        // Most of the time there is nothing to do, and then nothing to lock.
        let known = self.known(account, user)?;
        if known != Binding::Unknown {
            return Ok(known);
        }
        let mut open = self.open().await?;
        match open.account(account, user).binding {
            Binding::Unknown => open.bind(account, user, calls).await,
            known => Ok(known),
        }
    }

    /// Binds the device to the user who is logged in, whatever was before: only when a person says so.
    ///
    /// # Errors
    /// As [`Device::ensure_bound`], and without `[device]`.
    pub async fn bind(&self, account: &str, user: &str, calls: &dyn Devices) -> Result<Binding> {
        self.open().await?.bind(account, user, calls).await
    }

    /// Unbinds the device.
    ///
    /// # Errors
    /// No file, no cloud, no `[device]`.
    pub async fn unbind(&self, account: &str, user: &str, calls: &dyn Devices) -> Result<Binding> {
        let mut open = self.open().await?;
        if let Some(id) = open.stored.id.clone() {
            match calls.unbind(&id).await {
                // What is not registered is not bound.
                Err(error) if error.number() == Some(NOT_REGISTERED) => open.stored.id = None,
                answer => answer?,
            }
        }
        open.set(account, user, Binding::Unbound { by_user: false })
    }

    /// Looks whether the device is still bound (检查设备绑定关系) and what changed (设备列表diff). Writes
    /// only what changed. `checkbind` decides; a diff that fails is left for the next time.
    ///
    /// # Errors
    /// No file, no cloud.
    pub async fn check(&self, account: &str, user: &str, calls: &dyn Devices) -> Result<Checked> {
        let known = self.known(account, user)?;
        if known == Binding::Off || known == Binding::Unknown {
            return Ok(Checked { binding: known, changes: Vec::new() });
        }
        let mut open = self.open().await?;
        let was = open.account(account, user).binding;
        let id = open.id(calls).await?;
        let is_bound = match calls.is_bound(&id).await {
            Err(error) if error.number() == Some(NOT_REGISTERED) => {
                open.stored.id = None;
                let new = open.id(calls).await?;
                if new != id && was == Binding::Bound {
                    // Nobody can have unbound a device that the cloud did not know.
                    open.bind(account, user, calls).await?;
                }
                calls.is_bound(&new).await?
            }
            answer => answer?,
        };
        let binding = match (is_bound, was) {
            (true, _) => Binding::Bound,
            (false, unbound @ Binding::Unbound { .. }) => unbound,
            (false, _) => Binding::Unbound { by_user: true },
        };
        open.set(account, user, binding)?;
        let changes = match open.diff(account, user, calls, Reader::Agent).await {
            Ok(changes) => changes,
            Err(error) => {
                tracing::debug!(account, %error, "what changed among the devices is asked for next time");
                Vec::new()
            }
        };
        Ok(Checked { binding, changes })
    }

    /// What changed among the user's devices since the last time somebody asked by this.
    ///
    /// # Errors
    /// No file, no cloud, no `[device]`.
    pub async fn diff(&self, account: &str, user: &str, calls: &dyn Devices) -> Result<Vec<DeviceEntry>> {
        self.open().await?.diff(account, user, calls, Reader::Person).await
    }

    fn known(&self, account: &str, user: &str) -> Result<Binding> {
        let Some(config) = &self.config else { return Ok(Binding::Off) };
        let stored = self.load()?.filter(|stored| stored.is_of(config)).unwrap_or_default();
        let entry = stored.accounts.get(account).filter(|entry| entry.user == user);
        Ok(entry.map_or(Binding::Unknown, |entry| entry.binding))
    }

    /// A damaged file is none: whoever writes next sets it aside.
    fn load(&self) -> Result<Option<Stored>> {
        match Stored::load(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Ok(None),
            stored => stored.map_err(at(&self.path)),
        }
    }

    /// The file, locked and read, with an address for the configured device.
    async fn open(&self) -> Result<Open> {
        let config = self.config.clone().ok_or(Error::Off)?;
        let (path, sysfs) = (self.path.clone(), self.sysfs.clone());
        let opening = tokio::task::spawn_blocking(move || Open::new(path, config, &sysfs));
        opening.await.map_err(|error| at(&self.path)(error.into()))?
    }
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::File { path: path.clone(), source }
}

#[cfg(test)]
mod tests;
