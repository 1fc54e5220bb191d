//! `xpand share`: links to files, made, looked into, and saved from (xpan-share).

mod link;
mod password;
mod save;

use std::ops::ControlFlow;

use clap::Subcommand;
use serde::Serialize;

use super::cloud::{Needs, OfAccount, lacks};
use super::drive::lines::{Columns, Lines, Shown, time};
use super::drive::pages::follow;
use super::drive::{Session, glob, remote_path, with};
use super::terminal::{Look, columns, plain};
use super::{Context, ExitStatus, Failed, Outcome, Report};
use crate::cloud::files::Item;
use crate::cloud::shares::{Link, LinkInfo, MOST_SHARED, Period, Share};
use crate::cloud::{self, Page, Service, Shares};
use password::LinkArgs;

/// Folders in a share that are still to be looked into.
const MOST_FOLDERS: usize = 10_000;

/// What the command line has of `xpand share`.
pub type Args = OfAccount<Command>;

/// Share links.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Make a link with a password to files; needs share_type and share_secret in the configuration
    Create(CreateArgs),
    /// Check the password of a link
    Verify(VerifyArgs),
    /// List what a link leads to
    List(ListArgs),
    /// Tell how long a link lives, and how many files it leads to
    Info(VerifyArgs),
    /// Save files of a link to the own drive
    Save(save::SaveArgs),
}

/// `xpand share create`.
#[derive(clap::Args, Debug)]
pub struct CreateArgs {
    /// Files in the cloud, at most 1000, no folders; * ? [...] stand for many
    #[arg(required = true, value_name = "PATH", value_parser = remote_path)]
    paths: Vec<String>,
    /// How many days it lives; 0: for ever
    #[arg(long, value_name = "0|1|7", default_value_t = 0, value_parser = days)]
    days: u8,
    /// Words about it
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
}

/// `xpand share verify` and `xpand share info`.
#[derive(clap::Args, Debug)]
pub struct VerifyArgs {
    #[command(flatten)]
    link: LinkArgs,
}

/// `xpand share list`.
#[derive(clap::Args, Debug)]
#[command(disable_help_flag = true)]
pub struct ListArgs {
    #[command(flatten)]
    link: LinkArgs,
    /// Folders within folders too
    #[arg(short, long)]
    recursive: bool,
    #[command(flatten)]
    columns: Columns,
}

fn days(text: &str) -> Result<u8, String> {
    match text.parse() {
        Ok(days @ (0 | 1 | 7)) => Ok(days),
        _ => Err("a link lives 1 day, 7 days, or for ever: 0".to_owned()),
    }
}

/// Does it.
pub(super) fn run(context: &Context, args: Args) -> Outcome {
    let account = args.account.as_deref();
    match args.command {
        Command::Create(args) => with_shares(context, account, async |session| create(session, &args).await),
        Command::Verify(args) => {
            let (link, password) = args.link.read()?;
            let Some(password) = password else {
                return Err(Failed::words("which password? It is not in the address")
                    .hint("add --password PASSWORD, or --password-stdin")
                    .status(ExitStatus::Usage));
            };
            with_shares(context, account, async |session| verify(session, &link, &password).await)
        }
        Command::List(args) => {
            let (link, password) = args.link.read()?;
            with_shares(context, account, async |session| {
                let sekey = sekey(session, &link, password.as_deref()).await?;
                list(session, &args, &link, &sekey).await
            })
        }
        Command::Info(args) => {
            let (link, password) = args.link.read()?;
            with_shares(context, account, async |session| {
                let spd = sekey(session, &link, password.as_deref()).await?;
                let info = shares(session)?.info(&link, &spd).await;
                let known = password.is_some();
                session.context.print(&info.map_err(|error| failed_without(session, known, &error))?)
            })
        }
        Command::Save(args) => save::run(context, account, &args),
    }
}

/// The calls for share links.
fn shares<'s>(session: &'s Session<'_>) -> Outcome<&'s dyn Shares> {
    session.drive.shares().ok_or_else(lacks)
}

/// Opens the drive of an account with share links.
fn with_shares(
    context: &Context,
    account: Option<&str>,
    command: impl AsyncFnOnce(&Session<'_>) -> Outcome,
) -> Outcome {
    with(context, account, Needs::A(Service::Shares), command)
}

/// The key that a password gives; empty without one.
async fn sekey(session: &Session<'_>, link: &Link, password: Option<&str>) -> Outcome<String> {
    match password {
        None => Ok(String::new()),
        Some(password) => {
            let verified = shares(session)?.verify(link, password).await;
            verified.map_err(|error| session.failed(&error))
        }
    }
}

/// A call about a link failed. Without the password it is -9, as with a wrong one.
fn failed_without(session: &Session<'_>, password: bool, error: &cloud::Error) -> Failed {
    let failed = session.failed(error);
    match (password, error.number()) {
        (false, Some(-9)) => failed.hint("if the link has a password: --password, or --password-stdin"),
        _ => failed,
    }
}

async fn create(session: &Session<'_>, args: &CreateArgs) -> Outcome {
    shares(session)?;
    let account = session.account;
    if account.share_type.is_none() || account.share_secret.is_none() {
        let file = session.cloud.config.file.display();
        let words = format!("{file} has no share_type and share_secret in [account.{}]", account.name);
        return Err(Failed::words(words)
            .hint("the vendor gives both out (netdisk-union@baidu.com); links cannot be made without them")
            .status(ExitStatus::Usage));
    }
    let items = glob::find(session, &args.paths, &[]).await?.all()?;
    if let Some(folder) = items.iter().find(|item| item.isdir) {
        let words = format!("{} is a folder: the cloud makes links to files only", folder.path);
        return Err(Failed::words(words).hint("name the files in it, or use * at its end"));
    }
    if items.len() > MOST_SHARED {
        let words = format!("{} files are too many for one link: {MOST_SHARED} at most", items.len());
        return Err(Failed::words(words));
    }
    let ids: Vec<String> = items.into_iter().map(|item| item.fs_id).collect();
    let period = match args.days {
        1 => Period::Day,
        7 => Period::Week,
        _ => Period::Forever,
    };
    let made = shares(session)?.set(&ids, period, &args.description).await;
    session.context.print(&made.map_err(|error| session.failed(&error))?)
}

impl Report for Share {
    fn text(&self, _: &Look) -> String {
        let life = match self.expired_type {
            0 => "for ever".to_owned(),
            1 => "1 day".to_owned(),
            days => format!("{days} days"),
        };
        let mut rows = vec![vec!["link".to_owned(), plain(&self.link)]];
        if !self.pwd.is_empty() {
            rows.push(vec!["password".to_owned(), plain(&self.pwd)]);
        }
        rows.push(vec!["lives".to_owned(), life]);
        columns(&rows)
    }
}

/// The key in the protocol's word, for scripts.
#[derive(Serialize)]
struct Verified {
    randsk: String,
}

impl Report for Verified {
    fn text(&self, _: &Look) -> String {
        "the password is right\n".to_owned()
    }
}

async fn verify(session: &Session<'_>, link: &Link, password: &str) -> Outcome {
    let randsk = sekey(session, link, Some(password)).await?;
    session.context.print(&Verified { randsk })
}

async fn list(session: &Session<'_>, args: &ListArgs, link: &Link, sekey: &str) -> Outcome {
    let shares = shares(session)?;
    let lines = Lines::new(session.context, args.columns);
    let shown = if args.recursive { Shown::Path } else { Shown::Name };
    let mut open: Vec<Option<String>> = vec![None];
    while let Some(fid) = open.pop() {
        let ask = async |after| {
            let shared = shares.list(link, sekey, fid.as_deref(), after).await?;
            Ok(Page { entries: shared.page.entries, next: shared.page.next })
        };
        let take = |page: Vec<Item>| {
            lines.print(&page, shown)?;
            if args.recursive {
                open.extend(page.into_iter().filter(|item| item.isdir).map(|item| Some(item.fs_id)));
            }
            if open.len() > MOST_FOLDERS {
                return Err(Failed::words(format!("the share has more than {MOST_FOLDERS} folders")));
            }
            Ok(ControlFlow::Continue(()))
        };
        let told = follow(ask, take).await;
        told.map_err(|error| failed_without(session, !sekey.is_empty(), &error))??;
    }
    Ok(())
}

impl Report for LinkInfo {
    fn text(&self, _: &Look) -> String {
        let zone = jiff::tz::TimeZone::system();
        let mut rows =
            vec![vec!["shareid".to_owned(), plain(&self.shareid)], vec!["uk".to_owned(), plain(&self.uk)]];
        let mut row = |name: &str, value: Option<String>| {
            rows.extend(value.map(|value| vec![name.to_owned(), value]));
        };
        row("files", self.fcount.map(|count| count.to_string()));
        row("made", Some(time(&zone, self.ctime)).filter(|time| !time.is_empty()));
        row(
            "lives",
            self.expire_days.map(|days| match days {
                0 => "for ever".to_owned(),
                1 => "1 day".to_owned(),
                days => format!("{days} days"),
            }),
        );
        columns(&rows)
    }
}
