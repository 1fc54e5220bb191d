//! The device's file while it is locked, and the calls whose outcome goes into it.

use std::path::{Path, PathBuf};

use super::file::{self, Account, Reader, Stored};
use super::{Binding, Error, NOT_REGISTERED, Result, address, at};
use crate::cloud::{DeviceChanges, DeviceEntry, Devices};
use crate::config;
use crate::durable::{self, Lock};

/// This device is bound to as many users as it may be.
pub(super) const TAKEN: i64 = 42103;
/// Pages of one diff, so that a cloud that says "more" for ever does not hold us.
const PAGES: usize = 100;

/// The file while it is locked.
pub(super) struct Open {
    path: PathBuf,
    config: config::Device,
    pub(super) stored: Stored,
    on_disk: Stored,
    _lock: Lock,
}

impl Open {
    pub(super) fn new(path: PathBuf, config: config::Device, sysfs: &Path) -> Result<Self> {
        durable::make_folder_of(&path, 0o700).map_err(at(&path))?;
        let lock = path.with_extension("lock");
        let lock = Lock::wait(&lock).map_err(at(&lock))?;
        let on_disk = match Stored::load(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                // Registering and binding again make it whole; the old one is kept for whoever asks why.
                let aside = path.with_extension("json.damaged");
                tracing::warn!(%error, "{} is set aside as {}", path.display(), aside.display());
                std::fs::rename(&path, &aside).map_err(at(&path))?;
                Stored::default()
            }
            stored => stored.map_err(at(&path))?.unwrap_or_default(),
        };
        let mut stored = on_disk.clone();
        if !stored.is_of(&config) {
            let kept = stored.address.clone().zip(stored.address_of.clone());
            let (address, of) = match (&config.serial, kept) {
                (Some(serial), _) => (address::of_serial(serial), file::SERIAL.to_owned()),
                (None, Some(kept)) => kept,
                (None, None) => address::of_network_card(sysfs).ok_or(Error::NoAddress)?,
            };
            stored = Stored::new(address, of, config.kind.clone());
        }
        let mut open = Self { path, config, stored, on_disk, _lock: lock };
        open.save()?;
        Ok(open)
    }

    fn save(&mut self) -> Result<()> {
        if self.stored != self.on_disk {
            self.stored.save(&self.path).map_err(at(&self.path))?;
            self.on_disk = self.stored.clone();
        }
        Ok(())
    }

    /// The device's id, registered if need be.
    pub(super) async fn id(&mut self, calls: &dyn Devices) -> Result<String> {
        if let Some(id) = &self.stored.id {
            return Ok(id.clone());
        }
        let address = self.stored.address.clone().ok_or(Error::NoAddress)?;
        let id = calls.register(&self.config.kind, &address).await?;
        self.stored.id = Some(id.clone());
        self.save()?;
        Ok(id)
    }

    /// The account's entry; a new one when another user is logged in now.
    pub(super) fn account(&mut self, account: &str, user: &str) -> &mut Account {
        let entry = self.stored.accounts.entry(account.to_owned()).or_insert_with(|| Account::new(user));
        if entry.user != user {
            *entry = Account::new(user);
        }
        entry
    }

    pub(super) fn set(&mut self, account: &str, user: &str, binding: Binding) -> Result<Binding> {
        self.account(account, user).binding = binding;
        self.save()?;
        Ok(binding)
    }

    pub(super) async fn bind(&mut self, account: &str, user: &str, calls: &dyn Devices) -> Result<Binding> {
        // What the file says of another user must not stand for this one, should the call fail.
        self.account(account, user);
        self.save()?;
        let id = self.id(calls).await?;
        let bound = match calls.bind(&id).await {
            Err(error) if error.number() == Some(NOT_REGISTERED) => {
                self.stored.id = None;
                let id = self.id(calls).await?;
                calls.bind(&id).await
            }
            // The user who has it may be this one: an answer that was lost, a file that was.
            Err(error) if error.number() == Some(TAKEN) => match calls.is_bound(&id).await {
                Ok(true) => Ok(()),
                _ => Err(error),
            },
            bound => bound,
        };
        bound?;
        self.set(account, user, Binding::Bound)
    }

    pub(super) async fn diff(
        &mut self,
        account: &str,
        user: &str,
        calls: &dyn Devices,
        reader: Reader,
    ) -> Result<Vec<DeviceEntry>> {
        let mut cursor = self.account(account, user).cursor_of(reader).clone().unwrap_or_default();
        let mut changes = Vec::new();
        for _ in 0..PAGES {
            let DeviceChanges { cursor: next, more, devices } = calls.diff(&cursor).await?;
            changes.extend(devices);
            let moved = next != cursor && !next.is_empty();
            if moved {
                cursor = next;
            }
            if !more || !moved {
                break;
            }
        }
        if !cursor.is_empty() {
            *self.account(account, user).cursor_of(reader) = Some(cursor);
            self.save()?;
        }
        Ok(changes)
    }
}
