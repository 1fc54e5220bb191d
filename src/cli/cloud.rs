//! What commands that speak to the cloud themselves begin with: configuration, account, tokens, drive.

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Gid, Uid, geteuid};

use super::terminal::span;
use super::{Context, ExitStatus, Failed, Outcome};
use crate::account::{self, Accounts, Tokens};
use crate::cloud::calls::Waiting;
use crate::cloud::{self, Drive, Kind};
use crate::config::{self, Config};
use crate::device;

/// A wait that is not worth another line.
const SHORT: Duration = Duration::from_secs(2);
/// What to do about secrets that only root and the agent can read.
pub(super) const AS_ROOT: &str = "run it as root: sudo xpand …";

/// The configuration, and the tokens of its accounts.
pub(super) struct Cloud {
    pub(super) config: Config,
    pub(super) accounts: Accounts,
    quiet: bool,
}

/// A drive and who is asking; [`Login::end`] it.
pub(super) struct Login {
    pub(super) drive: Arc<dyn Drive>,
    tokens: Arc<Tokens>,
}

impl Cloud {
    /// Reads the configuration. Called before any thread is started: see [`become_owner`].
    pub(super) fn open(context: &Context) -> Outcome<Self> {
        let config = context.config()?;
        become_owner(&config.agent.state_dir)?;
        let accounts = Accounts::new(&config.agent.state_dir, context.clock().clone());
        Ok(Self { config, accounts, quiet: context.global.quiet })
    }

    /// The account of that name, or the only one there is.
    pub(super) fn account(&self, name: Option<&str>) -> Outcome<&config::Account> {
        let file = self.config.file.display();
        let names: Vec<&str> = self.config.accounts.iter().map(|account| account.name.as_str()).collect();
        match (name, self.config.accounts.as_slice()) {
            (_, []) => Err(Failed::words(format!("{file} has no account"))
                .hint("write [account.home] with client_id and client_secret")),
            (Some(name), _) => self.config.account(name).ok_or_else(|| {
                Failed::words(format!("there is no account {name:?} in {file}"))
                    .hint(format!("there is {}", names.join(", ")))
            }),
            (None, [only]) => Ok(only),
            (None, _) => {
                Err(Failed::words("which account?").hint(format!("add --account NAME: {}", names.join(", "))))
            }
        }
        .map_err(|failed| failed.status(ExitStatus::Usage))
    }

    /// The account's drive, with the tokens that are on the disk. A call that has to wait for its turn says so.
    pub(super) fn login(&self, account: &config::Account) -> Outcome<Login> {
        let failed = |error: account::Error| of_account(&error, &account.name);
        let tokens = self.accounts.tokens(account).map_err(failed)?;
        let source = Arc::clone(&tokens) as Arc<dyn cloud::TokenSource>;
        let quiet = self.quiet;
        // Many short waits for the same calls are one piece of news.
        let last = Mutex::new(None);
        let tell = move |waiting: Waiting| {
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            let is_news = *last != Some(waiting.endpoint) || waiting.wait > SHORT;
            *last = Some(waiting.endpoint);
            if !quiet && is_news {
                let _ = writeln!(std::io::stderr(), "{waiting}");
            }
        };
        let calls = self.accounts.calls_telling(account, tell).map_err(failed)?;
        let drive = cloud::open(account, source, calls).map_err(|error| of_cloud(&error, &account.name))?;
        Ok(Login { drive, tokens })
    }
}

impl Login {
    /// An account that logs in by itself does so now: a person wants it.
    pub(super) async fn log_in(&self) -> cloud::Result<()> {
        self.tokens.log_in().await
    }

    /// Lets a refresh of the tokens that is under way come to its end.
    pub(super) async fn end(self) {
        self.tokens.settle().await;
    }
}

/// Root works as the owner of the state folder: what root writes there the agent could not read.
/// Threads that are started later inherit it.
fn become_owner(state_dir: &Path) -> Outcome {
    let Ok(state) = std::fs::metadata(state_dir) else { return Ok(()) };
    if !geteuid().is_root() || state.uid() == 0 {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(state.uid()), Gid::from_raw(state.gid()));
    let became = rustix::thread::set_thread_groups(&[gid])
        .and_then(|()| rustix::thread::set_thread_gid(gid))
        .and_then(|()| rustix::thread::set_thread_uid(uid));
    became.map_err(|error| Failed::new(&std::io::Error::from(error)))
}

/// A failed call for an account, with what to do next.
pub(super) fn of_cloud(error: &cloud::Error, account: &str) -> Failed {
    let failed = Failed::new(error);
    match error.kind {
        Kind::Offline if failed.says("certificate") => {
            failed.hint("if the server is yours, name its root in ca_file; else somebody is in between, or the clock is wrong")
        }
        Kind::Unauthorized => {
            let failed = failed.status(ExitStatus::UserMustAct);
            let next = format!("xpand account login {account}");
            if error.message.contains(&next) { failed } else { failed.hint(next) }
        }
        Kind::Offline => failed.hint("is the network up?"),
        Kind::Busy { after: Some(after) } if error.is_about_login() => {
            let wait = span(after.as_secs());
            failed.hint(format!("in {wait} at the earliest; to try at once: xpand account login {account}"))
        }
        Kind::Blocked { after } if error.is_about_login() => {
            failed.hint(format!("it is asked again in {} at the earliest", span(after.as_secs())))
        }
        Kind::Local if failed.says("Permission denied") => failed.hint(AS_ROOT),
        _ => failed,
    }
}

/// Trouble with an account's tokens, with what to do next.
pub(super) fn of_account(error: &account::Error, account: &str) -> Failed {
    match error {
        account::Error::Cloud(error) => of_cloud(error, account),
        account::Error::File { source, .. } => of_file(error, source),
        account::Error::Input(_) | account::Error::Name(_) => Failed::new(error).status(ExitStatus::Usage),
    }
}

/// Trouble with the device, with what to do next.
pub(super) fn of_device(error: &device::Error, account: &str) -> Failed {
    match error {
        // Too many devices, or too many users: somebody has to unbind one first.
        device::Error::Cloud(error) if matches!(error.number(), Some(42102 | 42103)) => {
            of_cloud(error, account).status(ExitStatus::UserMustAct)
        }
        device::Error::Cloud(error) => of_cloud(error, account),
        device::Error::File { source, .. } => of_file(error, source),
        device::Error::NoAddress => Failed::new(error).status(ExitStatus::Usage),
        device::Error::Off => Failed::new(error)
            .status(ExitStatus::Usage)
            .hint("write [device] with type = \"…\"; backup works without it"),
    }
}

fn of_file(error: &dyn std::error::Error, source: &std::io::Error) -> Failed {
    let failed = Failed::new(error);
    match source.kind() {
        std::io::ErrorKind::PermissionDenied => failed.hint(AS_ROOT),
        _ => failed,
    }
}
