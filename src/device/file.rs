//! The device's file: its layout (see [`super`]), reading and writing it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Binding;
use crate::{config, durable};

const VERSION: u32 = 1;
const MAX_BYTES: u64 = 1 << 20;
/// `address_of` when the address is that of the configured serial number.
pub(super) const SERIAL: &str = "serial";

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Stored {
    version: u32,
    pub(super) address: Option<String>,
    /// What the address was made of: [`SERIAL`], or the name of a network card.
    pub(super) address_of: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    pub(super) id: Option<String>,
    #[serde(default)]
    pub(super) accounts: BTreeMap<String, Account>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Account {
    /// The cloud's number of the user that `binding` is about.
    pub(super) user: String,
    pub(super) binding: Binding,
    /// Where the agent's next diff begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cursor: Option<String>,
    /// Where the next diff that a person asks for begins: the agent's must not take its news away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) told: Option<String>,
}

/// Who asks what changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reader {
    /// The agent, on its timer.
    Agent,
    /// A person, by command.
    Person,
}

impl Account {
    pub(super) fn new(user: &str) -> Self {
        Self { user: user.to_owned(), binding: Binding::Unknown, cursor: None, told: None }
    }

    /// Where the reader's next diff begins.
    pub(super) fn cursor_of(&mut self, reader: Reader) -> &mut Option<String> {
        match reader {
            Reader::Agent => &mut self.cursor,
            Reader::Person => &mut self.told,
        }
    }
}

impl Stored {
    pub(super) fn new(address: String, address_of: String, kind: String) -> Self {
        Self {
            version: VERSION,
            address: Some(address),
            address_of: Some(address_of),
            kind,
            id: None,
            accounts: BTreeMap::new(),
        }
    }

    /// Whether this is the configured device: its type, and its serial number where one is configured.
    /// Without one, the address once chosen stays, whatever becomes of the network card.
    pub(super) fn is_of(&self, config: &config::Device) -> bool {
        let serial_fits = config
            .serial
            .as_ref()
            .is_none_or(|serial| self.address.as_deref() == Some(&super::address::of_serial(serial)));
        self.address.is_some() && self.kind == config.kind && serial_fits
    }

    pub(super) fn load(path: &Path) -> io::Result<Option<Self>> {
        let invalid = |words: String| io::Error::new(io::ErrorKind::InvalidData, words);
        match std::fs::metadata(path) {
            Ok(meta) if meta.len() > MAX_BYTES => return Err(invalid("too large for a device".into())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
        let bytes = match std::fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes?,
        };
        let instead = format!("move {} away, and the box is registered and bound anew", path.display());
        durable::refuse_newer(&bytes, VERSION, &instead)?;
        let stored: Self = serde_json::from_slice(&bytes)
            .map_err(|error| invalid(format!("not the file of a device: {error}")))?;
        if stored.version != VERSION {
            return Err(invalid(format!("not the file of a device: its version is {}", stored.version)));
        }
        Ok(Some(stored))
    }

    pub(super) fn save(&self, path: &Path) -> io::Result<()> {
        durable::replace(path, &serde_json::to_vec_pretty(self)?, 0o600)
    }
}
