//! The question before something is taken away, and what may never be.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;

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
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::cli) enum Weight {
    /// A file or folder like any other.
    Ordinary,
    /// The backup, or a folder with it in it: what of it lies there, in words.
    Backup(String),
    /// The drive itself, or the folder of all applications: never.
    Never,
}

/// A remote folder with a backup in it.
struct Root {
    path: String,
    /// What it is the backup of; `None`: the application's own folder.
    of: Option<PathBuf>,
}

/// What it would be to lose `path`.
pub(in crate::cli) fn weigh(session: &Session<'_>, path: &str) -> Weight {
    let roots = backup_roots(&session.cloud.config, session.account, &session.path(""));
    weigh_among(&roots, &session.home().path, path)
}

/// The first of these paths that the backup lies in, and what of it, in words.
pub(in crate::cli) fn backup_among<'p>(
    session: &Session<'_>,
    paths: impl IntoIterator<Item = &'p str>,
) -> Option<(&'p str, String)> {
    paths.into_iter().find_map(|path| match weigh(session, path) {
        Weight::Backup(roots) => Some((path, roots)),
        Weight::Ordinary | Weight::Never => None,
    })
}

/// Refuses to touch what may never be touched.
pub(in crate::cli) fn refuse_tops<'p>(
    session: &Session<'_>,
    paths: impl IntoIterator<Item = &'p str>,
) -> Outcome {
    let home = session.home().path;
    let Some(path) = paths.into_iter().find(|path| is_top(&home, path)) else { return Ok(()) };
    let why = match home.as_str() {
        "" => "it is all that the account has in the cloud",
        _ => "it holds the files of every application",
    };
    Err(Failed::words(format!("{path} stays: {why}"))
        .hint("nothing was done; name what is in it")
        .status(ExitStatus::Usage))
}

/// The drive itself, or a folder above the own one, which is everybody's.
fn is_top(home: &str, path: &str) -> bool {
    path == "/" || home.strip_prefix(path).is_some_and(|below| below.starts_with('/'))
}

fn weigh_among(roots: &[Root], home: &str, path: &str) -> Weight {
    if is_top(home, path) {
        return Weight::Never;
    }
    let within = format!("{path}/");
    let lost = roots.iter().filter(|root| root.path == path || root.path.starts_with(&within));
    let lost: Vec<&Root> = lost.collect();
    if lost.is_empty() {
        return Weight::Ordinary;
    }
    let words = |root: &&Root| {
        let of = root.of.as_ref()?;
        Some(if root.path == path {
            format!("of {}", of.display())
        } else {
            format!("of {} in {}", of.display(), root.path)
        })
    };
    let mut told: Vec<String> = lost.iter().filter_map(words).collect();
    if told.len() > MOST_TOLD {
        let rest = told.len() - MOST_TOLD;
        told.truncate(MOST_TOLD);
        told.push(format!("and {rest} more"));
    }
    Weight::Backup(told.join(", "))
}

/// Folders that are named in a question.
const MOST_TOLD: usize = 3;

/// The remote folders that the account's backup lies in.
fn backup_roots(config: &Config, account: &config::Account, own: &str) -> Vec<Root> {
    let device = config.device_name();
    let folders = config.folders.iter().filter(|folder| folder.account == account.name);
    let tops = folders.filter_map(|folder| {
        let template: Template = folder.remote.parse().ok()?;
        let path = template.top(&cloud::of(account.provider).home(account), &device, &folder.label);
        Some(Root { path, of: Some(folder.path.clone()) })
    });
    tops.chain([Root { path: own.to_owned(), of: None }]).collect()
}

/// `/apps/xpand/box holds the backup of this box, of /volume1/photo in /apps/xpand/box/photo`.
pub(in crate::cli) fn holds_backup((path, roots): &(&str, String)) -> String {
    let comma = if roots.is_empty() { "" } else { ", " };
    format!("{path} holds the backup of this box{comma}{roots}")
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
pub(in crate::cli) fn items(number: usize, folders: usize) -> String {
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
        let root = |path: &str, of: Option<&str>| Root { path: path.to_owned(), of: of.map(PathBuf::from) };
        let roots = [root("/apps/xpand/box/photo", Some("/photo")), root("/apps/xpand", None)];
        let backup = |words: &str| Weight::Backup(words.to_owned());
        for (path, weight) in [
            ("/", Weight::Never),
            ("/apps", Weight::Never),
            ("/apps/xpand", backup("of /photo in /apps/xpand/box/photo")),
            ("/apps/xpand/box", backup("of /photo in /apps/xpand/box/photo")),
            ("/apps/xpand/box/photo", backup("of /photo")),
            ("/apps/xpand/box/photo/2024", Weight::Ordinary),
            ("/apps/xpand2", Weight::Ordinary),
            ("/apps/xp", Weight::Ordinary),
            ("/holiday", Weight::Ordinary),
        ] {
            assert_eq!(weigh_among(&roots, "/apps/xpand", path), weight, "{path}");
        }
        assert_eq!(weigh_among(&roots[1..], "/apps/xpand", "/apps/xpand"), backup(""));
        // A cloud that is all the account's own.
        assert_eq!(weigh_among(&[root("/", None)], "", "/"), Weight::Never);
        assert_eq!(weigh_among(&[root("/", None)], "", "/apps"), Weight::Ordinary);
        let many: Vec<Root> = (0..5).map(|number| root(&format!("/box/{number}"), Some("/p"))).collect();
        let Weight::Backup(words) = weigh_among(&many, "", "/box") else { panic!("no backup") };
        assert_eq!(words, "of /p in /box/0, of /p in /box/1, of /p in /box/2, and 2 more");
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
