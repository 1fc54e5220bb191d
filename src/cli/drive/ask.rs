//! The question before something is taken away, and what may never be.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use super::Session;
use crate::cli::terminal::plain;
use crate::cli::{ExitStatus, Failed, Outcome};
use crate::cloud;
use crate::config::{self, Config};
use crate::remote::template::Template;

/// How a change is to be made.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(in crate::cli) struct How {
    /// Do not ask
    #[arg(short, long)]
    pub(in crate::cli) yes: bool,
    /// Only tell what would be done
    #[arg(short = 'n', long)]
    pub(in crate::cli) dry_run: bool,
}

/// How much depends on a remote path.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Weight {
    /// A file or folder like any other.
    Ordinary,
    /// The backup, or a folder with it in it.
    Backup,
    /// The drive itself, or the folder of all applications: never.
    Never,
}

/// What it would be to lose `path`.
pub(super) fn weigh(session: &Session<'_>, path: &str) -> Weight {
    let roots = backup_roots(&session.cloud.config, session.account, &session.path(""));
    weigh_among(&roots, path)
}

/// Refuses to touch what may never be touched.
pub(super) fn refuse_tops<'p>(paths: impl IntoIterator<Item = &'p str>) -> Outcome {
    match paths.into_iter().find(|path| weigh_among(&[], path) == Weight::Never) {
        None => Ok(()),
        Some(path) => Err(Failed::words(format!("{path} stays: it holds the files of every application"))
            .hint("nothing was done; name what is in it")
            .status(ExitStatus::Usage)),
    }
}

fn weigh_among(backups: &[String], path: &str) -> Weight {
    if matches!(path, "/" | "/apps") {
        return Weight::Never;
    }
    let within = format!("{path}/");
    match backups.iter().any(|backup| backup == path || backup.starts_with(&within)) {
        true => Weight::Backup,
        false => Weight::Ordinary,
    }
}

/// The remote folders that the account's backup lies in.
fn backup_roots(config: &Config, account: &config::Account, own: &str) -> Vec<String> {
    let device = config.device_name();
    let folders = config.folders.iter().filter(|folder| folder.account == account.name);
    let tops = folders.filter_map(|folder| {
        let template: Template = folder.remote.parse().ok()?;
        Some(template.top(&cloud::of(account.provider).home(account), &device, &folder.label))
    });
    tops.chain([own.to_owned()]).collect()
}

/// Asks on a terminal; without one, `--yes` has to have been said. `heavy` wants a whole word.
pub(in crate::cli) fn confirm(question: &str, heavy: bool, how: How) -> Outcome {
    if how.yes {
        return Ok(());
    }
    let question = plain(question);
    let mut err = std::io::stderr();
    if !std::io::stdin().is_terminal() || !err.is_terminal() {
        return Err(Failed::words(question)
            .hint("nobody is here to answer, and nothing was done; add --yes")
            .status(ExitStatus::Usage));
    }
    let choice = if heavy { "[yes/N]" } else { "[y/N]" };
    write!(err, "{question} {choice} ")?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if is_yes(&answer, heavy) { Ok(()) } else { Err(Failed::words("nothing was done")) }
}

fn is_yes(answer: &str, heavy: bool) -> bool {
    let answer = answer.trim().to_ascii_lowercase();
    answer == "yes" || (answer == "y" && !heavy)
}

/// `12 items, 3 of them folders`; `1 folder`.
pub(super) fn items(number: usize, folders: usize) -> String {
    match (number, folders) {
        (1, 0) => "1 file".to_owned(),
        (1, _) => "1 folder".to_owned(),
        (number, 0) => format!("{number} files"),
        (number, folders) if number == folders => format!("{number} folders"),
        (number, 1) => format!("{number} items, 1 of them a folder"),
        (number, folders) => format!("{number} items, {folders} of them folders"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tops_stay_and_the_backup_is_told_apart() {
        let backups = ["/apps/xpand/box/photo".to_owned(), "/apps/xpand".to_owned()];
        for (path, weight) in [
            ("/", Weight::Never),
            ("/apps", Weight::Never),
            ("/apps/xpand", Weight::Backup),
            ("/apps/xpand/box", Weight::Backup),
            ("/apps/xpand/box/photo", Weight::Backup),
            ("/apps/xpand/box/photo/2024", Weight::Ordinary),
            ("/apps/xpand2", Weight::Ordinary),
            ("/apps/xp", Weight::Ordinary),
            ("/holiday", Weight::Ordinary),
        ] {
            assert_eq!(weigh_among(&backups, path), weight, "{path}");
        }
        assert!(refuse_tops(["/holiday", "/apps"]).is_err() && refuse_tops(["/apps/xpand"]).is_ok());
    }

    #[test]
    fn what_weighs_more_wants_a_whole_word() {
        assert!(is_yes("y\n", false) && is_yes(" YES\n", false) && is_yes("yes\n", true));
        assert!(
            !is_yes("y\n", true) && !is_yes("\n", false) && !is_yes("", true) && !is_yes("yessir", false)
        );
    }

    #[test]
    fn items_are_counted_in_words() {
        assert_eq!(items(12, 3), "12 items, 3 of them folders");
        assert_eq!(items(2, 1), "2 items, 1 of them a folder");
        assert_eq!((items(1, 1), items(1, 0), items(2, 0), items(2, 2)).0, "1 folder");
    }
}
