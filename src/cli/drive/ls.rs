//! `drive ls`: what lies in a folder, page by page as the cloud tells it.

use std::ops::ControlFlow;

use super::Session;
use super::glob::{self, is_pattern, look_up};
use super::lines::{Columns, Lines, Shown};
use super::pages::follow;
use crate::cli::{ExitStatus, Failed, Outcome};
use crate::cloud::files::{Item, ListAll, Order, Sort, Want};
use crate::cloud::{self, Kind};

/// `xpand drive ls`.
#[derive(clap::Args, Debug)]
#[command(disable_help_flag = true)]
pub struct LsArgs {
    /// Files and folders; * ? [...] stand for many [default: /apps/<app>]
    #[arg(value_name = "PATH", value_parser = super::remote_path)]
    paths: Vec<String>,
    #[command(flatten)]
    columns: Columns,
    /// Folders within folders too: one call for each 1000 files, of which the cloud may allow 5 a minute
    #[arg(short, long, short_alias = 'R')]
    recursive: bool,
    /// Newest first
    #[arg(short = 't', long, conflicts_with = "by_size")]
    by_time: bool,
    /// Largest first
    #[arg(short = 'S', long)]
    by_size: bool,
    /// The other way round
    #[arg(long)]
    reverse: bool,
    /// Only folders
    #[arg(long, conflicts_with_all = ["recursive", "thumbs"])]
    folders: bool,
    /// Folders themselves, not what is in them
    #[arg(short = 'd', long, conflicts_with_all = ["recursive", "folders", "thumbs"])]
    directory: bool,
    /// Addresses of small pictures too
    #[arg(long)]
    thumbs: bool,
    /// As it is anyway - every name, one a line - for fingers that are used to `ls -la1`.
    #[arg(short, short_aliases = ['A', '1'], hide = true, action = clap::ArgAction::Count)]
    all: u8,
}

impl LsArgs {
    /// As `ls` does it: names from a to z, but the newest and the largest first.
    fn sort(&self) -> Sort {
        let (order, desc) = match (self.by_time, self.by_size) {
            (true, _) => (Order::Time, true),
            (_, true) => (Order::Size, true),
            _ => (Order::Name, false),
        };
        Sort { order, desc: desc != self.reverse }
    }
}

/// `xpand drive ls`.
pub(super) async fn ls(session: &Session<'_>, args: &LsArgs) -> Outcome {
    let lines = Lines::new(session.context, args.columns).thumbs(args.thumbs);
    let own = [String::new()];
    let typed = if args.paths.is_empty() { &own[..] } else { &args.paths };
    if let [only] = typed
        && !is_pattern(only)
        && !args.directory
    {
        return one(session, args, &lines, &session.path(only)).await;
    }
    let found = glob::find(session, typed, &[]).await?;
    let (folders, files): (Vec<Item>, Vec<Item>) = found.items.into_iter().partition(|item| item.isdir);
    lines.print(&files, Shown::Path)?;
    if args.directory {
        lines.print(&folders, Shown::Path)?;
    }
    for (at, item) in folders.iter().enumerate().filter(|_| !args.directory) {
        lines.headline(&item.path, at == 0 && files.is_empty())?;
        let told = folder(session, args, &lines, &item.path, &mut 0).await;
        told.map_err(|error| session.failed_at(&item.path, error))??;
    }
    if found.missing.is_empty() {
        return Ok(());
    }
    for words in found.missing {
        Failed::words(words).warn();
    }
    Err(Failed::told(ExitStatus::Failed))
}

/// One path: most likely a folder, so that is asked for first.
async fn one(session: &Session<'_>, args: &LsArgs, lines: &Lines<'_>, path: &str) -> Outcome {
    let mut number = 0;
    match folder(session, args, lines, path, &mut number).await {
        Ok(told) if number > 0 || told.is_err() => return told,
        Err(error) if number > 0 || error.kind != Kind::Missing => return Err(session.failed_at(path, error)),
        _ => {}
    }
    // Nothing in it, or no such folder: it may be a file.
    match look_up(session, [&path.to_owned()]).await?.items.remove(path) {
        Some(item) if item.isdir => Ok(()),
        Some(item) => lines.print(&[item], Shown::Path),
        None => Err(Failed::words(format!("{path}: there is no such file or folder in the cloud"))),
    }
}

/// Prints everything in a folder and counts it.
async fn folder(
    session: &Session<'_>,
    args: &LsArgs,
    lines: &Lines<'_>,
    path: &str,
    number: &mut u64,
) -> cloud::Result<Outcome> {
    let files = match session.files() {
        Ok(files) => files,
        Err(failed) => return Ok(Err(failed)),
    };
    let sort = args.sort();
    let shown = if args.recursive { Shown::Path } else { Shown::Name };
    let take = |page: Vec<Item>| {
        *number += page.len() as u64;
        lines.print(&page, shown).map(ControlFlow::Continue)
    };
    if args.recursive {
        let ask = ListAll { sort, recursion: true, thumbs: args.thumbs, ..ListAll::default() };
        follow(async |after| files.listall(path, &ask, after).await, take).await
    } else {
        let want = Want { thumbs: args.thumbs, folders: args.folders, ..Want::default() };
        follow(async |after| files.list(path, sort, want, after).await, take).await
    }
}
