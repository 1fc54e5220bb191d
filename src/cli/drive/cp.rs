//! `drive cp`, `drive mv` and `drive rename`: within the cloud, nothing is fetched or sent.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::ask::{How, backup_among, confirm, holds_backup, items, refuse_tops};
use super::glob::{self, Found, look_up};
use super::manage::{Change, Copied, Moved, Renamed, carry_out, target};
use super::mkdir::check_name;
use super::pages::name;
use super::{Session, folder_and_name};
use crate::cli::terminal::plain;
use crate::cli::{ExitStatus, Failed, Outcome};
use crate::cloud::files::{Item, OnDup, Transfer};

/// What becomes of something that has the name already.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(in crate::cli) enum OnDuplicate {
    /// It stays, and the one that came fails
    #[default]
    Fail,
    /// Both are kept, the new one under another name
    KeepBoth,
    /// It is replaced
    Overwrite,
    /// It stays, and the one that came is left where it is
    Skip,
}

impl OnDuplicate {
    fn ondup(self) -> OnDup {
        match self {
            Self::Fail => OnDup::Fail,
            Self::KeepBoth => OnDup::NewCopy,
            Self::Overwrite => OnDup::Overwrite,
            Self::Skip => OnDup::Skip,
        }
    }

    /// The protocol's word.
    fn word(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::KeepBoth => "newcopy",
            Self::Overwrite => "overwrite",
            Self::Skip => "skip",
        }
    }
}

/// `xpand drive cp` and `xpand drive mv`.
#[derive(clap::Args, Debug)]
pub struct CopyArgs {
    /// What (* ? [...] stand for many), and at last where to: a folder, or a new name for one
    #[arg(required = true, num_args = 2.., value_name = "PATH", value_parser = super::remote_path)]
    paths: Vec<String>,
    /// Folders too, with everything in them (mv moves them anyway)
    #[arg(short, long)]
    recursive: bool,
    /// When the name is taken there
    #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
    on_duplicate: OnDuplicate,
    #[command(flatten)]
    how: How,
}

/// `xpand drive rename`.
#[derive(clap::Args, Debug)]
pub struct RenameArgs {
    /// A file or a folder
    #[arg(value_parser = super::remote_path)]
    path: String,
    /// What it is called then, without a folder
    newname: String,
    #[command(flatten)]
    how: How,
}

/// `xpand drive cp`.
pub(super) async fn cp(session: &Session<'_>, args: &CopyArgs) -> Outcome {
    let (all, sources) = plan(session, args, args.on_duplicate == OnDuplicate::KeepBoth).await?;
    if let Some(folder) = sources.iter().find(|item| item.isdir && !args.recursive) {
        return Err(Failed::words(format!("{} is a folder", folder.path))
            .hint("add -r to copy it with everything in it; nothing was done")
            .status(ExitStatus::Usage));
    }
    let all: Vec<Copied> = all.into_iter().map(Copied).collect();
    transfer(session, args, ("copy", "Copy"), &sources, &all, |copied| &copied.0).await
}

/// `xpand drive mv`.
pub(super) async fn mv(session: &Session<'_>, args: &CopyArgs) -> Outcome {
    let (all, sources) = plan(session, args, false).await?;
    let paths = || sources.iter().map(|item| item.path.as_str());
    refuse_tops(session, paths())?;
    if !args.how.dry_run {
        let question = "move it, so that the backup no longer finds it and sends everything again?";
        ask_for_the_backup(session, paths(), question, args.how)?;
    }
    let all: Vec<Moved> = all.into_iter().map(Moved).collect();
    transfer(session, args, ("move", "Move"), &sources, &all, |moved| &moved.0).await
}

/// `xpand drive rename`.
pub(super) async fn rename(session: &Session<'_>, args: &RenameArgs) -> Outcome {
    if args.newname.contains('/') || matches!(args.newname.as_str(), "" | "." | "..") {
        return Err(Failed::words(format!("{:?} is no name", args.newname))
            .hint("to move it to another folder: xpand drive mv")
            .status(ExitStatus::Usage));
    }
    check_name(&format!("/{}", args.newname))?;
    let path = session.path(&args.path);
    refuse_tops(session, [path.as_str()])?;
    let all = glob::find(session, std::slice::from_ref(&args.path), &[]).await?.all()?;
    let [item] = all.as_slice() else {
        let words = format!("{path} stands for {}; only one can have a name", items(all.len(), 0));
        return Err(Failed::words(words).status(ExitStatus::Usage));
    };
    refuse_tops(session, [item.path.as_str()])?;
    if args.how.dry_run {
        return would(session, "rename", &item.path, &args.newname, None);
    }
    let question = "rename it, so that the backup no longer finds it and sends everything again?";
    ask_for_the_backup(session, [item.path.as_str()], question, args.how)?;
    carry_out(session, &[Renamed(item.path.clone(), args.newname.clone())]).await
}

fn ask_for_the_backup<'p>(
    session: &Session<'_>,
    paths: impl IntoIterator<Item = &'p str>,
    question: &str,
    how: How,
) -> Outcome {
    match backup_among(session, paths) {
        None => Ok(()),
        Some(backup) => confirm(&format!("{}: {question}", holds_backup(&backup)), true, how),
    }
}

/// What goes where: into a folder that exists, or one item to a new name.
async fn plan(
    session: &Session<'_>,
    args: &CopyArgs,
    beside_itself: bool,
) -> Outcome<(Vec<Transfer>, Vec<Item>)> {
    let (dest, sources) = args.paths.split_last().ok_or_else(|| Failed::words("what, and where to?"))?;
    let to_a_folder = dest.ends_with('/');
    let dest = session.path(dest);
    let mut found = glob::find(session, sources, std::slice::from_ref(&dest)).await?;
    let sources = found.all()?;
    let into_folder = goes_into(&found, &dest, to_a_folder, sources.len())?;
    let transfers: Vec<Transfer> = sources
        .iter()
        .map(|item| {
            let (folder, newname) = match into_folder {
                true => (dest.as_str(), name(item)),
                false => folder_and_name(&dest).unwrap_or(("/", "")),
            };
            let (path, dest) = (item.path.clone(), folder.to_owned());
            Transfer { path, dest, newname: newname.to_owned(), ondup: args.on_duplicate.ondup() }
        })
        .collect();
    for (item, transfer) in sources.iter().zip(&transfers) {
        let target = target(transfer);
        if target == item.path && !beside_itself {
            return Err(Failed::words(format!("{target}: that is where it is")).hint("nothing was done"));
        }
        if item.isdir && (item.path == "/" || target.starts_with(&format!("{}/", item.path))) {
            let words = format!("{}: a folder cannot go into itself", item.path);
            return Err(Failed::words(words).hint("nothing was done"));
        }
        check_name(&target)?;
    }
    // The first would be replaced by the second, and a moved one is then nowhere.
    let mut targets = BTreeSet::new();
    let twice = transfers.iter().map(target).find(|target| !targets.insert(target.clone()));
    if let Some(target) = twice.filter(|_| args.on_duplicate == OnDuplicate::Overwrite) {
        let words = format!("two of them would be {target}, and one would replace the other");
        return Err(Failed::words(words).hint("nothing was done"));
    }
    Ok((transfers, sources))
}

/// Whether the destination is a folder to put things into, or else a new name for one.
fn goes_into(found: &Found, dest: &str, to_a_folder: bool, sources: usize) -> Outcome<bool> {
    let missing = folder_and_name(dest).filter(|(folder, _)| found.also.no_folder.contains(*folder));
    let words = match (found.also.items.get(dest), missing) {
        (Some(item), _) if item.isdir => return Ok(true),
        (Some(_), _) if sources > 1 || to_a_folder => format!("{dest} is a file, not a folder"),
        (None, _) if sources > 1 || to_a_folder => format!("{dest}: there is no such folder in the cloud"),
        (None, Some((folder, _))) => format!("{folder}: there is no such folder in the cloud"),
        _ => return Ok(false),
    };
    Err(Failed::words(words).hint("nothing was done; xpand drive mkdir makes folders"))
}

/// Tells it, or asks and does it.
async fn transfer<C: Change>(
    session: &Session<'_>,
    args: &CopyArgs,
    (opera, verb): (&'static str, &str),
    sources: &[Item],
    all: &[C],
    transfer: impl Fn(&C) -> &Transfer,
) -> Outcome {
    if args.how.dry_run {
        let would = |one| {
            let to = transfer(one);
            would(session, opera, &to.path, &target(to), Some(args.on_duplicate.word()))
        };
        return all.iter().try_for_each(would);
    }
    if args.on_duplicate == OnDuplicate::Overwrite {
        let targets: Vec<String> = all.iter().map(|one| target(transfer(one))).collect();
        let there = look_up(session, &targets).await?.items;
        ask_before_replacing(session, verb, sources, &there, args.how)?;
    }
    carry_out(session, all).await
}

fn ask_before_replacing(
    session: &Session<'_>,
    verb: &str,
    sources: &[Item],
    there: &BTreeMap<String, Item>,
    how: How,
) -> Outcome {
    refuse_tops(session, there.keys().map(String::as_str))?;
    let question = "replace it, and with it the only copies there are in the cloud?";
    ask_for_the_backup(session, there.keys().map(String::as_str), question, how)?;
    let folders = |items: &mut dyn Iterator<Item = &Item>| items.filter(|item| item.isdir).count();
    let (coming, going) = (folders(&mut sources.iter()), folders(&mut there.values()));
    if sources.len() == 1 && coming == 0 && going == 0 {
        return Ok(());
    }
    let what = match there.len() {
        0 => "nothing that is there now".to_owned(),
        number => items(number, going),
    };
    let question = format!("{verb} {} and replace {what} in the cloud?", items(sources.len(), coming));
    confirm(&question, false, how)
}

#[derive(Serialize)]
struct Would<'t> {
    opera: &'static str,
    path: &'t str,
    /// Where to, or the new name.
    to: &'t str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ondup: Option<&'static str>,
}

fn would(
    session: &Session<'_>,
    opera: &'static str,
    path: &str,
    to: &str,
    ondup: Option<&'static str>,
) -> Outcome {
    if session.context.json() {
        return session.context.print_json(&Would { opera, path, to, ondup });
    }
    session.context.print_text(&format!("would {opera} {} to {}\n", plain(path), plain(to)))
}
