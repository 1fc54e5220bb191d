//! `xpand drive`: the cloud drive as a file system, one file a group of commands.
//!
//! A command gets a [`Session`]: the drive of one account, its settings, and how to tell what went wrong.
//! Remote paths are absolute; one without a slash at its beginning is below the account's own folder,
//! `/apps/<app>`.

mod quota;

use std::sync::Arc;

use clap::Subcommand;

use super::cloud::{Cloud, of_cloud};
use super::{Context, ExitStatus, Failed, Outcome};
use crate::cloud::{self, Drive, Files};
use crate::config;

/// What the command line has of `xpand drive`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// NAME of [account.NAME] [default: the only one]
    #[arg(long, global = true, value_name = "NAME")]
    account: Option<String>,
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

/// The cloud drive as a file system.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Show how much space there is
    Quota(quota::QuotaArgs),
    /// Show who is logged in, and what the membership allows
    Whoami,
}

/// Does it.
pub(super) fn run(context: &Context, args: Args) -> Outcome {
    in_session(context, args.account.as_deref(), async |session| match args.command {
        Command::Quota(args) => quota::quota(session, &args).await,
        Command::Whoami => quota::whoami(session).await,
    })
}

/// The drive of one account, open for a command.
pub(super) struct Session<'c> {
    pub(super) context: &'c Context,
    pub(super) cloud: &'c Cloud,
    pub(super) account: &'c config::Account,
    pub(super) drive: Arc<dyn Drive>,
}

/// Opens the drive of an account, does the command, and lets a refresh of the tokens come to its end.
pub(super) fn in_session(
    context: &Context,
    account: Option<&str>,
    command: impl AsyncFnOnce(&Session<'_>) -> Outcome,
) -> Outcome {
    let cloud = Cloud::open(context)?;
    let account = cloud.account(account)?;
    context.runtime()?.block_on(async {
        let login = cloud.login(account)?;
        let session = Session { context, cloud: &cloud, account, drive: Arc::clone(&login.drive) };
        let outcome = command(&session).await;
        login.end().await;
        outcome
    })
}

impl Session<'_> {
    /// The calls for a person at a shell.
    pub(super) fn files(&self) -> Outcome<&dyn Files> {
        self.drive.files().ok_or_else(|| {
            let words = format!("the cloud of {} has no such calls", self.account.name);
            Failed::words(words).status(ExitStatus::Usage)
        })
    }

    /// A failed call, with what to do next.
    pub(super) fn failed(&self, error: &cloud::Error) -> Failed {
        of_cloud(error, &self.account.name)
    }

    /// A failed call about a path, which is named.
    pub(super) fn failed_at(&self, path: &str, error: cloud::Error) -> Failed {
        let message = format!("{path}: {}", error.message);
        of_cloud(&cloud::Error { message, ..error }, &self.account.name)
    }

    /// The absolute remote path of what was typed, without `.`, `..` and doubled slashes.
    pub(super) fn path(&self, typed: &str) -> String {
        absolute(&self.account.app, typed)
    }
}

/// `typed` below `/apps/<app>`, or from the top where it begins with a slash.
fn absolute(app: &str, typed: &str) -> String {
    let mut parts: Vec<&str> = if typed.starts_with('/') { Vec::new() } else { vec!["apps", app] };
    for part in typed.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_without_a_slash_is_below_the_own_folder() {
        for (typed, path) in [
            ("", "/apps/xpand"),
            ("photo", "/apps/xpand/photo"),
            ("./photo//2024/", "/apps/xpand/photo/2024"),
            ("/", "/"),
            ("/apps/other", "/apps/other"),
            ("..", "/apps"),
            ("/../../x", "/x"),
        ] {
            assert_eq!(absolute("xpand", typed), path, "{typed}");
        }
    }
}
