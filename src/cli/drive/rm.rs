//! `drive rm`: takes files and folders out of the cloud, after a question.

use serde::Serialize;

use super::ask::{How, backup_among, confirm, holds_backup, items, refuse_tops};
use super::manage::{Deleted, carry_out};
use super::{Session, glob};
use crate::cli::terminal::plain;
use crate::cli::{ExitStatus, Failed, Outcome};
use crate::cloud::files::Item;

/// `xpand drive rm`.
#[derive(clap::Args, Debug)]
pub struct RmArgs {
    /// Files and folders; * ? [...] stand for many
    #[arg(required = true, value_name = "PATH", value_parser = super::remote_path)]
    paths: Vec<String>,
    /// Folders too, with everything in them
    #[arg(short, long)]
    recursive: bool,
    #[command(flatten)]
    how: How,
}

/// `xpand drive rm`.
pub(super) async fn rm(session: &Session<'_>, args: &RmArgs) -> Outcome {
    let typed: Vec<String> = args.paths.iter().map(|typed| session.path(typed)).collect();
    refuse_tops(session, typed.iter().map(String::as_str))?;
    let all = glob::find(session, &args.paths, &[]).await?.all()?;
    refuse_tops(session, all.iter().map(|item| item.path.as_str()))?;
    let all = without_what_lies_in_others(all);
    if let Some(folder) = all.iter().find(|item| item.isdir && !args.recursive) {
        return Err(Failed::words(format!("{} is a folder", folder.path))
            .hint("add -r to delete it with everything in it; nothing was done")
            .status(ExitStatus::Usage));
    }
    if args.how.dry_run {
        return all.iter().try_for_each(|item| would_delete(session, item));
    }
    let folders = all.iter().filter(|item| item.isdir).count();
    let backup = backup_among(session, all.iter().map(|item| item.path.as_str()));
    let what = items(all.len(), folders);
    match backup {
        Some(backup) => confirm(&question_of_backup(&backup, &what), true, args.how)?,
        None if all.len() > 1 || folders > 0 => {
            let named = all.first().filter(|_| all.len() == 1);
            let named = named.map_or_else(String::new, |item| format!(" {}", item.path));
            confirm(&format!("Delete {what}{named} from the cloud?"), false, args.how)?;
        }
        None => {}
    }
    let all: Vec<Deleted> = all.into_iter().map(|item| Deleted(item.path)).collect();
    carry_out(session, &all).await
}

/// The question before a backup goes.
pub(in crate::cli) fn question_of_backup(backup: &(&str, String), what: &str) -> String {
    let holds = holds_backup(backup);
    format!("{holds}. Delete {what}, and with that the only copies there are in the cloud?")
}

/// What lies in a folder that goes anyway need not be named again: it would be missing by then.
pub(in crate::cli) fn without_what_lies_in_others(all: Vec<Item>) -> Vec<Item> {
    let folders: Vec<String> =
        all.iter().filter(|item| item.isdir).map(|item| format!("{}/", item.path)).collect();
    let lies_in_one = |item: &Item| folders.iter().any(|folder| item.path.starts_with(folder.as_str()));
    all.into_iter().filter(|item| !lies_in_one(item)).collect()
}

#[derive(Serialize)]
struct WouldDelete<'i> {
    opera: &'static str,
    path: &'i str,
    isdir: bool,
}

/// Tells what would be deleted.
pub(in crate::cli) fn would_delete(session: &Session<'_>, item: &Item) -> Outcome {
    if session.context.json() {
        let document = WouldDelete { opera: "delete", path: &item.path, isdir: item.isdir };
        return session.context.print_json(&document);
    }
    let what = if item.isdir { " and everything in it" } else { "" };
    session.context.print_text(&format!("would delete {}{what}\n", plain(&item.path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_with_its_folder_is_not_asked_for_twice() {
        let item = |path: &str, isdir| Item { path: path.to_owned(), isdir, ..Item::default() };
        let all = vec![item("/a/b.jpg", false), item("/a", true), item("/ab.jpg", false), item("/a/c", true)];
        let left: Vec<String> = without_what_lies_in_others(all).into_iter().map(|item| item.path).collect();
        assert_eq!(left, ["/a", "/ab.jpg"]);
    }
}
