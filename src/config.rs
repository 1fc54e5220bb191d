//! Every setting: what it means, its default, how it is checked.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::content::{Media, OnConflict};

/// The whole configuration, read and checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// `[device]`, when there is one.
    pub device: Option<Device>,
    /// `[account.NAME]`, in the order of the file.
    pub accounts: Vec<Account>,
    /// `[[folder]]`, in the order of the file.
    pub folders: Vec<Folder>,
    /// `[upload]`
    pub upload: Upload,
    /// `[agent]`
    pub agent: Agent,
}

/// `[device]`: the box as the cloud's vendor knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Device {
    /// `type`: the `device_type` given out by the vendor.
    pub kind: String,
    /// Default: the host name.
    pub name: String,
    /// Device address = MD5(serial); without it MD5(MAC address).
    pub serial: Option<String>,
}

/// Which cloud.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Provider {
    /// Baidu Netdisk.
    Baidu,
}

impl Provider {
    /// As written in the configuration and shown in the status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Baidu => "baidu",
        }
    }
}

/// A secret of the configuration. It never shows in `Debug`, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself, for the request that needs it.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// `[account.NAME]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// The NAME of `[account.NAME]`.
    pub name: String,
    /// Default: baidu.
    pub provider: Provider,
    /// AppKey.
    pub client_id: String,
    /// SecretKey, or read from `client_secret_file`.
    pub client_secret: Secret,
    /// Everything lives under `/apps/<app>`.
    pub app: String,
    /// Replaces all hosts of the provider.
    pub endpoint: Option<Url>,
    /// Trust these roots too.
    pub ca_file: Option<PathBuf>,
    /// `third_type` of share links.
    pub share_type: Option<u64>,
    /// The secret of share links, or read from `share_secret_file`.
    pub share_secret: Option<Secret>,
}

/// `[[folder]]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Folder {
    /// Absolute.
    pub path: PathBuf,
    /// Name of an account.
    pub account: String,
    /// What is backed up.
    pub media: Vec<Media>,
    /// Unique; default: last part of `path`.
    pub label: String,
    /// Remote name below `/apps/<app>`.
    pub remote: String,
    /// Globs.
    pub exclude: Vec<String>,
    /// Whether the built-in list of NAS junk applies.
    pub default_excludes: bool,
    /// Bytes.
    pub min_size: u64,
    /// Bytes.
    pub max_size: u64,
}

/// `[upload]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upload {
    /// Requests in flight, all files together.
    pub parallel: usize,
    /// Bytes a second; `None` is unlimited.
    pub rate: Option<u64>,
    /// Local time; empty is always.
    pub hours: Vec<Hours>,
    /// For different content under the same remote name.
    pub on_conflict: OnConflict,
}

/// A span of the day, in minutes since midnight, local time. `from > to` spans midnight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hours {
    /// First minute, 0 to 1439.
    pub from: u16,
    /// First minute that is outside, 0 to 1440.
    pub to: u16,
}

/// `[agent]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Agent {
    /// Where state is kept.
    pub state_dir: PathBuf,
    /// The control socket.
    pub socket: PathBuf,
    /// A file must be unchanged this long before it is read.
    pub settle: Duration,
    /// Between two looks at a whole folder.
    pub rescan: Duration,
    /// Between two checkbinds.
    pub check_bind: Duration,
    /// As `RUST_LOG`.
    pub log: String,
}
