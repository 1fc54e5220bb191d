//! The place of the demo on the disk, its configuration, and the commands that are typed there.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::CloudSim;

/// A path this long leaves room for the socket's name in what the system allows a socket: 108 bytes.
const LONGEST: usize = 80;

/// One folder that holds everything and goes away with this value, unless it is to be kept.
pub(super) struct Home {
    pub(super) root: PathBuf,
    pub(super) binary: PathBuf,
    _temporary: Option<TempDir>,
}

/// What a command said.
pub(super) struct Said {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) err: String,
}

impl Home {
    /// In `keep`, which must be new or empty, or in a temporary folder.
    pub(super) fn open(keep: Option<&Path>, binary: &Path) -> io::Result<Home> {
        let binary = binary.canonicalize()?;
        let builder = || tempfile::Builder::new().prefix("xpand-demo-").to_owned();
        let temporary = match keep {
            Some(_) => None,
            None => {
                let usual = builder().tempdir()?;
                let is_long = usual.path().as_os_str().len() > LONGEST;
                Some(if is_long { builder().tempdir_in("/tmp")? } else { usual })
            }
        };
        let root = match (keep, &temporary) {
            (Some(keep), _) => {
                fs::create_dir_all(keep)?;
                if fs::read_dir(keep)?.next().is_some() {
                    return Err(io::Error::other(format!("{} is not empty", keep.display())));
                }
                keep.canonicalize()?
            }
            (None, Some(temporary)) => temporary.path().canonicalize()?,
            (None, None) => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Home { root, binary, _temporary: temporary })
    }

    pub(super) fn config(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// What the agent said, all its lives together.
    pub(super) fn log(&self) -> PathBuf {
        self.root.join("agent.log")
    }

    /// Writes the configuration as a person would, and returns its text.
    pub(super) fn configure(&self, sim: &CloudSim, photos: &Path) -> io::Result<String> {
        let (endpoint, trust) = (sim.url(), trust(sim)?);
        let text = format!(
            r#"[device]
type = "2020073115900228875"
name = "Living room NAS"
serial = "SN0001"

[account.home]
provider = "baidu"
client_id = "demo"
client_secret = "demo"
endpoint = "{endpoint}"   # the local cloud; leave it out for the real one
{trust}
[[folder]]
path = {}
account = "home"
label = "photos"

[agent]
state_dir = {}
socket = {}
settle = "1s"
"#,
            quoted(photos)?,
            quoted(&self.root.join("state"))?,
            quoted(&self.root.join("xpand.sock"))?,
        );
        fs::write(self.config(), &text)?;
        // It holds a secret.
        fs::set_permissions(self.config(), fs::Permissions::from_mode(0o600))?;
        Ok(text)
    }

    /// Adds an account at 123pan, for the same folder, and returns what was added.
    pub(super) fn configure_second(&self, sim: &CloudSim, photos: &Path) -> io::Result<String> {
        let (endpoint, trust) = (sim.url(), trust(sim)?);
        let text = format!(
            r#"
[account.pictures]
provider = "pan123"
client_id = "demo"
client_secret = "demo"
endpoint = "{endpoint}"
{trust}
[[folder]]
path = {}
account = "pictures"
label = "pictures"
"#,
            quoted(photos)?
        );
        fs::write(self.config(), fs::read_to_string(self.config())? + &text)?;
        Ok(text)
    }

    /// `xpand …`, with nothing of the surroundings that would change what it does.
    pub(super) fn command(&self, args: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(&self.binary);
        for name in ["XPAND_SOCKET", "RUST_LOG", "RUST_BACKTRACE", "NOTIFY_SOCKET", "JOURNAL_STREAM"] {
            command.env_remove(name);
        }
        command.env("XPAND_CONFIG", self.config()).args(args).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub(super) fn run(&self, args: &[impl AsRef<OsStr>]) -> io::Result<Said> {
        let output = self.command(args).output()?;
        Ok(Said {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs a command with `--json` and reads its one document; null when there is none.
    pub(super) fn ask(&self, args: &[impl AsRef<OsStr>]) -> io::Result<Value> {
        let mut args: Vec<&OsStr> = args.iter().map(AsRef::as_ref).collect();
        args.push(OsStr::new("--json"));
        let said = self.run(&args)?;
        Ok(serde_json::from_str(&said.out).unwrap_or_default())
    }

    /// The last lines of the agent's log.
    pub(super) fn last_words(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }
}

/// The line for the root of a cloud that speaks TLS.
fn trust(sim: &CloudSim) -> io::Result<String> {
    match sim.ca() {
        Some(ca) => Ok(format!("ca_file = {}\n", quoted(ca)?)),
        None => Ok(String::new()),
    }
}

/// A path as TOML has it.
fn quoted(path: &Path) -> io::Result<String> {
    match path.to_str() {
        Some(path) => Ok(Value::from(path).to_string()),
        None => Err(io::Error::other(format!("{} is not UTF-8: TOML cannot say it", path.display()))),
    }
}

impl Said {
    /// Exit code 0.
    pub(super) fn is_good(&self) -> bool {
        self.code == Some(0)
    }

    /// For a proof that did not hold.
    pub(super) fn words(&self) -> String {
        let code =
            self.code.map_or_else(|| "ended by a signal".to_owned(), |code| format!("exit code {code}"));
        format!("{code}: {}", self.err.trim())
    }
}
