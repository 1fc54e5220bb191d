//! What commands that speak to the cloud themselves begin with: configuration, account, tokens, drive.

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Subcommand;
use rustix::process::{Gid, Uid, geteuid};

use super::terminal::span;
use super::{Context, ExitStatus, Failed, Outcome};
use crate::account::{self, Accounts, Tokens};
use crate::cloud::calls::Waiting;
use crate::cloud::{self, Drive, Kind, Service};
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

/// What the command line has of a command for one account.
#[derive(clap::Args, Debug)]
pub struct OfAccount<C: Subcommand> {
    /// NAME of [account.NAME] [default: the only one that can do it]
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) account: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub(super) command: C,
}

/// What a command needs of an account's cloud.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Needs {
    /// What every cloud has.
    Nothing,
    /// This.
    A(Service),
}

impl Needs {
    pub(super) fn is_met_by(self, account: &config::Account) -> bool {
        match self {
            Self::Nothing => true,
            Self::A(service) => cloud::of(account.provider).services().contains(&service),
        }
    }

    /// Says at once what an account's cloud has not, and what it has instead.
    pub(super) fn check(self, account: &config::Account) -> Outcome {
        let Self::A(service) = self else { return Ok(()) };
        if self.is_met_by(account) {
            return Ok(());
        }
        let title = cloud::of(account.provider).title();
        let lacks = match service {
            Service::Files => ": of xpand drive only get, put and whoami work there",
            Service::Devices => ", which knows no devices and needs none",
            Service::Images => ", which is no image host",
            Service::Shares => ", which knows no share links",
        };
        let has_images = Self::A(Service::Images).is_met_by(account);
        let instead = match (service, has_images) {
            (Service::Files, true) => "xpand image has ls, info, mkdir and rm",
            (Service::Shares, true) => "each picture has a link of its own there: xpand image info PATH",
            (Service::Images, _) => {
                "name an account with provider = \"pan123\": --account NAME; xpand drive has the commands for this one"
            }
            (Service::Files | Service::Devices | Service::Shares, _) => {
                "name another account: --account NAME"
            }
        };
        Err(Failed::words(format!("{} is an account of {title}{lacks}", account.name))
            .hint(instead)
            .status(ExitStatus::Usage))
    }
}

/// What [`Needs::check`] has seen to.
pub(super) fn lacks() -> Failed {
    Failed::words("the cloud has no such call").status(ExitStatus::Usage)
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

    /// The account of that name, or the only one there is whose cloud has what is needed.
    pub(super) fn account(&self, name: Option<&str>, needs: Needs) -> Outcome<&config::Account> {
        let file = self.config.file.display();
        let has_it = |account: &&config::Account| needs.is_met_by(account);
        let able: Vec<&config::Account> = self.config.accounts.iter().filter(has_it).collect();
        // None will do: the only one there is has the sentence that says why.
        let choice = if able.is_empty() { self.config.accounts.iter().collect() } else { able };
        let names = |accounts: &mut dyn Iterator<Item = &config::Account>| {
            accounts.map(|account| account.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        match (name, choice.as_slice()) {
            (_, []) => Err(Failed::words(format!("{file} has no account"))
                .hint("write [account.home] with client_id and client_secret")),
            (Some(name), _) => self.config.account(name).ok_or_else(|| {
                Failed::words(format!("there is no account {name:?} in {file}"))
                    .hint(format!("there is {}", names(&mut self.config.accounts.iter())))
            }),
            (None, [only]) => Ok(*only),
            (None, many) => Err(Failed::words("which account?")
                .hint(format!("add --account NAME: {}", names(&mut many.iter().copied())))),
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
