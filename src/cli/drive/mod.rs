//! `xpand drive`: the cloud drive as a file system, one file a group of commands.
//!
//! A command gets a [`Session`]: the drive of one account, its settings, and how to tell what went wrong.
//! Remote paths are absolute; one without a slash at its beginning is below the account's own folder,
//! `/apps/<app>`.

pub(super) mod ask;
pub(super) mod category;
mod cp;
mod find;
pub(super) mod get;
pub(super) mod glob;
mod info;
pub(super) mod lines;
mod ls;
pub(super) mod manage;
mod media;
mod mkdir;
pub(super) mod pages;
mod preview;
pub(super) mod put;
mod quota;
pub(super) mod rm;

use std::sync::Arc;

use clap::Subcommand;

use super::cloud::{Cloud, Needs, OfAccount, lacks, of_cloud};
use super::{Context, ExitStatus, Failed, Outcome};
use crate::cloud::{self, Drive, Files, GiveBack, Service};
use crate::config;
use crate::remote::Home;

/// What the command line has of `xpand drive`.
pub type Args = OfAccount<Command>;

/// The cloud drive as a file system.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// List files and folders
    Ls(ls::LsArgs),
    /// Find files and folders by a word in their names
    Find(find::FindArgs),
    /// Tell everything the cloud knows of files
    Info(info::InfoArgs),
    /// List photos, videos, documents or torrents
    Media(media::MediaArgs),
    /// Count the files of each kind
    Count(media::CountArgs),
    /// Fetch files and folders to this box, checked; goes on where it stopped
    Get(get::GetArgs),
    /// Send files and folders of this box; goes on where it stopped
    Put(put::PutArgs),
    /// Make folders
    Mkdir(mkdir::MkdirArgs),
    /// Copy files and folders within the cloud
    Cp(cp::CopyArgs),
    /// Move files and folders within the cloud
    Mv(cp::CopyArgs),
    /// Give a file or a folder another name
    Rename(cp::RenameArgs),
    /// Delete files and folders from the cloud
    Rm(rm::RmArgs),
    /// Save a document as a PDF that the cloud makes of it
    Preview(preview::PreviewArgs),
    /// Show how much space there is
    Quota(quota::QuotaArgs),
    /// Show who is logged in, and what the membership allows
    Whoami,
}

/// Does it.
pub(super) fn run(context: &Context, args: Args) -> Outcome {
    let account = args.account.as_deref();
    match args.command {
        Command::Ls(args) => with_files(context, account, async |session| ls::ls(session, &args).await),
        Command::Find(args) => find::run(context, account, &args),
        Command::Info(args) => with_files(context, account, async |session| info::info(session, &args).await),
        Command::Media(args) => media::run(context, account, &args),
        Command::Count(args) => {
            with_files(context, account, async |session| media::counts(session, &args).await)
        }
        Command::Get(args) => get::run(context, account, &args),
        Command::Put(args) => put::run(context, account, &args),
        Command::Mkdir(args) => {
            with_files(context, account, async |session| mkdir::mkdir(session, &args).await)
        }
        Command::Cp(args) => with_files(context, account, async |session| cp::cp(session, &args).await),
        Command::Mv(args) => with_files(context, account, async |session| cp::mv(session, &args).await),
        Command::Rename(args) => {
            with_files(context, account, async |session| cp::rename(session, &args).await)
        }
        Command::Rm(args) => with_files(context, account, async |session| rm::rm(session, &args).await),
        Command::Preview(args) => preview::run(context, account, &args),
        Command::Quota(args) => {
            with_files(context, account, async |session| quota::quota(session, &args).await)
        }
        Command::Whoami => in_session(context, account, async |session| quota::whoami(session).await),
    }
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
    with(context, account, Needs::Nothing, command)
}

/// As [`in_session`], for what needs a drive with files of every kind.
fn with_files(
    context: &Context,
    account: Option<&str>,
    command: impl AsyncFnOnce(&Session<'_>) -> Outcome,
) -> Outcome {
    with(context, account, Needs::A(Service::Files), command)
}

/// As [`in_session`], of an account whose cloud has what is needed.
pub(super) fn with(
    context: &Context,
    account: Option<&str>,
    needs: Needs,
    command: impl AsyncFnOnce(&Session<'_>) -> Outcome,
) -> Outcome {
    let cloud = Cloud::open(context)?;
    let account = cloud.account(account, needs)?;
    needs.check(account)?;
    context.wait(async {
        let login = cloud.login(account)?;
        let session = Session { context, cloud: &cloud, account, drive: Arc::clone(&login.drive) };
        let outcome = command(&session).await;
        login.end().await;
        outcome
    })?
}

impl Session<'_> {
    /// The calls that bring files home.
    pub(super) fn give_back(&self) -> Outcome<&dyn GiveBack> {
        self.drive.give_back().ok_or_else(|| {
            let words = format!("the cloud of {} gives nothing back", self.account.name);
            Failed::words(words).status(ExitStatus::Usage)
        })
    }

    /// The command that shows what is in this cloud.
    pub(super) fn lister(&self) -> &'static str {
        let has_files = Needs::A(Service::Files).is_met_by(self.account);
        if has_files { "xpand drive ls" } else { "xpand image ls" }
    }

    /// The account's own folder in the cloud, and how names are written there.
    pub(super) fn home(&self) -> Home {
        cloud::of(self.account.provider).home(self.account)
    }

    /// The calls for a person at a shell.
    pub(super) fn files(&self) -> Outcome<&dyn Files> {
        self.drive.files().ok_or_else(lacks)
    }

    /// A failed call, with what to do next.
    pub(super) fn failed(&self, error: &cloud::Error) -> Failed {
        of_cloud(error, &self.account.name)
    }

    /// A failed call about a path, which is named.
    pub(super) fn failed_at(&self, path: &str, error: cloud::Error) -> Failed {
        // Without a login or a network no path is better than another.
        if error.is_about_login() || (error.kind == cloud::Kind::Offline && !error.sent) {
            return self.failed(&error);
        }
        let message = format!("{path}: {}", error.message);
        of_cloud(&cloud::Error { message, ..error }, &self.account.name)
    }

    /// The absolute remote path of what was typed, without `.`, `..` and doubled slashes.
    pub(super) fn path(&self, typed: &str) -> String {
        absolute(&self.home().path, typed)
    }
}

/// A remote path on a command line. An empty one is a variable that was never set, and `drive rm -r
/// "$FOLDER"` must not mean the whole backup then.
pub(in crate::cli) fn remote_path(text: &str) -> Result<String, &'static str> {
    if text.is_empty() {
        Err("it is empty; the folder /apps/<app> is written .")
    } else {
        Ok(text.to_owned())
    }
}

/// `typed` below the own folder, or from the top where it begins with a slash.
fn absolute(home: &str, typed: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let home = if typed.starts_with('/') { "" } else { home };
    for part in home.split('/').chain(typed.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The folder that an absolute path lies in, and its name there; `None` for the drive itself.
pub(super) fn folder_and_name(path: &str) -> Option<(&str, &str)> {
    match path.rsplit_once('/')? {
        (_, "") => None,
        ("", name) => Some(("/", name)),
        both => Some(both),
    }
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
            assert_eq!(absolute("/apps/xpand", typed), path, "{typed}");
        }
        assert_eq!(folder_and_name("/"), None);
        assert_eq!(folder_and_name("/x"), Some(("/", "x")));
        assert_eq!(folder_and_name("/a/b/c"), Some(("/a/b", "c")));
    }
}
