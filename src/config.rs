//! Every setting: what it means, its default, how it is checked.
//!
//! [`Config::read`] collects all mistakes of the file before it gives up, each with line, column and
//! what to write instead: a person mends the file once, not once a mistake. The names are fixed;
//! `packaging/config.example.toml` writes them all down with their defaults.

mod checks;
mod places;
mod provider;
mod read;
mod section;
mod show;
mod source;
pub mod units;
mod values;

use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use crate::content::{Media, OnConflict};

pub use places::places;
pub use provider::Provider;
pub use source::{ConfigError, Mistake};
pub use values::SOCKET_PATH_MAX;

/// Where the configuration is when nobody says otherwise.
pub const DEFAULT_FILE: &str = "/etc/xpand/config.toml";

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
    /// AppKey; 123pan's clientID.
    pub client_id: String,
    /// SecretKey, 123pan's clientSecret, or read from `client_secret_file`.
    pub client_secret: Secret,
    /// Baidu only: everything lives under `/apps/<app>`.
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
    /// Remote name below the account's own folder in the cloud.
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
    /// `yield`: go slower while others use the line.
    pub yields: bool,
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

impl Default for Upload {
    fn default() -> Self {
        Self { parallel: 4, rate: None, yields: false, hours: Vec::new(), on_conflict: OnConflict::default() }
    }
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            state_dir: "/var/lib/xpand".into(),
            socket: "/run/xpand/xpand.sock".into(),
            settle: Duration::from_secs(10),
            rescan: Duration::from_secs(3600),
            check_bind: Duration::from_secs(3600),
            log: "info".to_owned(),
        }
    }
}

impl Hours {
    /// Whether a minute of the day, 0 to 1439, lies in the span.
    #[must_use]
    pub fn contains(self, minute: u16) -> bool {
        if self.from <= self.to {
            (self.from..self.to).contains(&minute)
        } else {
            minute >= self.from || minute < self.to
        }
    }
}

impl Config {
    /// Reads and checks the file. Secrets in files of their own are read too: relative to
    /// `$CREDENTIALS_DIRECTORY` where systemd sets it, else relative to `path`.
    ///
    /// # Errors
    /// The file cannot be read, or has mistakes: all of them, each with line and column.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let file = path.as_ref().to_owned();
        let text = text_of(&file)?;
        read::config(
            &text,
            &read::Place {
                file,
                credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
                host: host_name(),
            },
        )
    }

    /// The control socket of the agent that this file configures, as far as the file can be read: an
    /// agent keeps running while somebody mends its file.
    #[must_use]
    pub fn socket_in(path: impl AsRef<Path>) -> PathBuf {
        text_of(path.as_ref())
            .ok()
            .and_then(|text| read::socket(&text))
            .unwrap_or_else(|| Agent::default().socket)
    }

    /// What `{device}` stands for: the device's name, without a device the host's.
    #[must_use]
    pub fn device_name(&self) -> String {
        match &self.device {
            Some(device) => device.name.clone(),
            None => host_name(),
        }
    }

    /// The account of that name.
    #[must_use]
    pub fn account(&self, name: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.name == name)
    }
}

fn text_of(file: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { file: file.to_owned(), source };
    let bytes = std::fs::read(file).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..good).unwrap_or_default();
        let mistake = source::at_end_of(
            &String::from_utf8_lossy(before),
            "this is not UTF-8 text; save the file as UTF-8",
        );
        ConfigError::Mistakes { file: file.to_owned(), mistakes: vec![mistake] }
    })
}

/// The host's name, fit for one part of a remote path.
fn host_name() -> String {
    let uname = rustix::system::uname();
    let name = uname.nodename().to_string_lossy().replace('/', "-");
    if values::name(&name).is_ok() && !name.is_empty() { name } else { "nas".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_that_span_midnight_hold_on_both_sides() {
        let night = Hours { from: 1320, to: 360 };
        for (minute, inside) in [(0, true), (359, true), (360, false), (1319, false), (1320, true)] {
            assert_eq!(night.contains(minute), inside, "{minute}");
        }
        let all_day = Hours { from: 0, to: 1440 };
        assert!(all_day.contains(1439));
    }
}
