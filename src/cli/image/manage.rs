//! `image mkdir`, `image rm`.

use serde_json::json;

use super::Host;
use crate::cli::drive::ask::{How, backup_among, confirm, items, refuse_tops};
use crate::cli::drive::{glob, rm};
use crate::cli::terminal::plain;
use crate::cli::{ExitStatus, Failed, Outcome};
use crate::cloud;
use crate::cloud::images::MOST_DELETED;

/// `xpand image mkdir`.
#[derive(clap::Args, Debug)]
pub struct MkdirArgs {
    /// Folders to make, with those above them
    #[arg(required = true, value_name = "PATH", value_parser = super::image_path)]
    paths: Vec<String>,
}

/// `xpand image mkdir`.
pub(super) async fn mkdir(host: &Host<'_>, args: &MkdirArgs) -> Outcome {
    let session = host.session;
    let paths: Vec<String> = args.paths.iter().map(|typed| session.path(typed)).collect();
    if paths.iter().any(|path| path == "/") {
        return Err(Failed::words("/ is the image host itself, which is there")
            .hint("nothing was done; name a folder in it")
            .status(ExitStatus::Usage));
    }
    paths.iter().try_for_each(|path| check_path(host, path))?;
    for path in paths {
        let id = host.images.mkdir(&path).await.map_err(|error| session.failed_at(&path, error))?;
        if session.context.json() {
            session.context.print_json(&json!({"path": path, "fileId": id, "type": 1}))?;
        }
    }
    Ok(())
}

/// Refuses a path that the cloud would, before anything is done: "文件名要小于255个字符且不能包含以下任何字符"
/// (创建文件).
pub(super) fn check_path(host: &Host<'_>, path: &str) -> Outcome {
    let title = cloud::of(host.session.account.provider).title();
    let refused = host.session.home().names.refused;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        let length = name.chars().count();
        if length > LONGEST_NAME {
            let words =
                format!("{path}: a name at {title} has {LONGEST_NAME} characters at most, this has {length}");
            return Err(Failed::words(words).hint("nothing was done").status(ExitStatus::Usage));
        }
        if let Some(c) = name.chars().find(|&c| c.is_control() || refused.contains(c)) {
            return Err(Failed::words(format!("{path}: {title} takes no {c:?} in a name"))
                .hint("it refuses \\ ? | \" > < : * and control characters; nothing was done")
                .status(ExitStatus::Usage));
        }
    }
    Ok(())
}

const LONGEST_NAME: usize = 254;

/// `xpand image rm`.
#[derive(clap::Args, Debug)]
pub struct RmArgs {
    /// Pictures and folders; * ? [...] stand for many
    #[arg(required = true, value_name = "PATH", value_parser = super::image_path)]
    paths: Vec<String>,
    /// Folders too, with everything in them
    #[arg(short, long)]
    recursive: bool,
    #[command(flatten)]
    how: How,
}

/// `xpand image rm`.
pub(super) async fn rm(host: &Host<'_>, args: &RmArgs) -> Outcome {
    let session = host.session;
    let typed: Vec<String> = args.paths.iter().map(|typed| session.path(typed)).collect();
    refuse_tops(session, typed.iter().map(String::as_str))?;
    let all = rm::without_what_lies_in_others(glob::find(session, &args.paths, &[]).await?.all()?);
    if let Some(folder) = all.iter().find(|item| item.isdir && !args.recursive) {
        return Err(Failed::words(format!("{} is a folder", folder.path))
            .hint("add -r to delete it with everything in it; nothing was done")
            .status(ExitStatus::Usage));
    }
    if args.how.dry_run {
        return all.iter().try_for_each(|item| rm::would_delete(session, item));
    }
    let what = items(all.len(), all.iter().filter(|item| item.isdir).count());
    let backup = backup_among(session, all.iter().map(|item| item.path.as_str()));
    let question = match (&backup, all.as_slice()) {
        (Some(backup), _) => rm::question_of_backup(backup, &what),
        (None, [only]) if only.isdir => format!(
            "Delete the folder {} with everything in it from the image host? The links of its pictures end.",
            only.path
        ),
        (None, [only]) => format!("Delete {} from the image host? Its link ends.", only.path),
        (None, _) => format!("Delete {what} from the image host? Their links end."),
    };
    confirm(&question, backup.is_some(), args.how)?;
    let mut done = 0;
    for batch in all.chunks(MOST_DELETED) {
        let ids: Vec<String> = batch.iter().map(|item| item.fs_id.clone()).collect();
        if let Err(error) = host.images.delete(&ids).await {
            session.context.say(&format!("{done} of {} deleted, the rest left as it is", all.len()));
            return Err(session.failed(&error));
        }
        done += batch.len();
        for item in batch {
            match session.context.json() {
                true => session
                    .context
                    .print_json(&json!({"path": item.path, "fileId": item.fs_id, "deleted": true}))?,
                false => session.context.print_text(&format!("deleted {}\n", plain(&item.path)))?,
            }
        }
    }
    Ok(())
}
