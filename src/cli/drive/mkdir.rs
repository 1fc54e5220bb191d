//! `drive mkdir`: makes folders.

use super::glob::look_up;
use super::{Session, folder_and_name};
use crate::cli::{ExitStatus, Failed, Outcome};

/// `xpand drive mkdir`.
#[derive(clap::Args, Debug)]
pub struct MkdirArgs {
    /// Folders to make; the cloud allows it below /apps/<app>
    #[arg(required = true, value_name = "PATH", value_parser = super::remote_path)]
    paths: Vec<String>,
    /// The folders above too; one that exists already is no failure
    #[arg(short, long)]
    parents: bool,
}

/// `xpand drive mkdir`.
pub(super) async fn mkdir(session: &Session<'_>, args: &MkdirArgs) -> Outcome {
    let mut failed = false;
    for typed in &args.paths {
        let path = session.path(typed);
        check_name(&path)?;
        if !args.parents
            && let Err(words) = is_free(session, &path).await?
        {
            failed = true;
            Failed::words(words).warn();
            continue;
        }
        let made = session.files()?.create_folder(&path).await;
        let made = made.map_err(|error| session.failed_at(&path, error))?;
        if session.context.json() {
            let document = serde_json::json!({"path": made.path, "fs_id": made.id, "isdir": true});
            session.context.print_json(&document)?;
        }
    }
    if failed { Err(Failed::told(ExitStatus::Failed)) } else { Ok(()) }
}

/// Whether the folder above is there and the name is not, or a sentence.
async fn is_free(session: &Session<'_>, path: &String) -> Outcome<Result<(), String>> {
    let known = look_up(session, [path]).await?;
    Ok(match known.items.get(path) {
        Some(item) if item.isdir => Err(format!("{path}: there is such a folder already")),
        Some(_) => Err(format!("{path}: there is a file of this name")),
        None => match known.no_folder.first() {
            Some(folder) => Err(format!("{path}: there is no folder {folder}; add -p to make it too")),
            None => Ok(()),
        },
    })
}

/// Refuses a name that the cloud would (field notes 3.6), before anything is done.
pub(super) fn check_name(path: &str) -> Outcome {
    let (_, name) = folder_and_name(path).unwrap_or(("/", ""));
    match name
        .chars()
        .find(|&c| c.is_control() || matches!(c, '\\' | '?' | '|' | '"' | '>' | '<' | ':' | '*'))
    {
        None if name.is_empty() => {
            Err(Failed::words(format!("{path}: that is the drive itself")).status(ExitStatus::Usage))
        }
        None => Ok(()),
        Some(c) => Err(Failed::words(format!("{path}: the cloud takes no {c:?} in a name"))
            .hint("it refuses \\ ? | \" > < : * and control characters")
            .status(ExitStatus::Usage)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_the_cloud_refuses_are_refused_here() {
        assert!(check_name("/a/照片 [1]").is_ok());
        for name in ["/", "/a/b?", "/a/b*", "/a/b:c", "/a/b\u{1b}c"] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
