//! `share save`: files of a link to a folder of the own drive, within the cloud (xpan-share, 附件文件转存).

use std::collections::BTreeMap;

use serde::Serialize;

use super::password::LinkArgs;
use super::{failed_without, sekey, shares, with_shares};
use crate::cli::drive::glob::{Pattern, is_pattern, look_up};
use crate::cli::drive::manage::{follow, in_turn};
use crate::cli::drive::pages::name;
use crate::cli::drive::{Session, remote_path};
use crate::cli::terminal::{files, plain};
use crate::cli::{Context, ExitStatus, Failed, Outcome};
use crate::cloud::files::{ItemResult, OnDup, Run};
use crate::cloud::shares::{Link, Save};

/// What is known of a share's top before any of it is saved: the most that one transfer takes.
const MOST: usize = 50_000;

/// `xpand share save`.
#[derive(clap::Args, Debug)]
pub struct SaveArgs {
    #[command(flatten)]
    link: LinkArgs,
    /// Only these files and folders of it; * ? [...] stand for many [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// A folder of the own drive
    #[arg(long, value_name = "PATH", value_parser = remote_path)]
    to: String,
    /// When the name is taken there
    #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
    on_duplicate: OnDuplicate,
    /// Only tell what would be saved
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// What becomes of something that has the name already: a transfer can do no more.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
enum OnDuplicate {
    /// It stays, and the one that came fails
    #[default]
    Fail,
    /// Both are kept, the new one under another name
    KeepBoth,
}

/// Does it.
pub(super) fn run(context: &Context, account: Option<&str>, args: &SaveArgs) -> Outcome {
    let (link, password) = args.link.read()?;
    with_shares(context, account, async |session| save(session, args, &link, password.as_deref()).await)
}

/// What is to be saved.
struct Top {
    shareid: String,
    uk: String,
    /// `fs_id` and path in the share.
    items: Vec<(String, String)>,
}

async fn save(session: &Session<'_>, args: &SaveArgs, link: &Link, password: Option<&str>) -> Outcome {
    let sekey = sekey(session, link, password).await?;
    let top = top(session, args, link, &sekey).await?;
    let path = session.path(&args.to);
    let words = match look_up(session, [&path]).await?.items.get(&path) {
        Some(item) if item.isdir => None,
        Some(_) => Some(format!("{path} is a file, not a folder")),
        None => Some(format!("{path}: there is no such folder in the cloud")),
    };
    if let Some(words) = words {
        return Err(Failed::words(words).hint("nothing was saved; xpand drive mkdir makes folders"));
    }
    if args.dry_run {
        return top.items.iter().try_for_each(|(_, from)| would(session, from, &path));
    }
    let user = session.drive.user().await.map_err(|error| session.failed(&error))?;
    let ondup = match args.on_duplicate {
        OnDuplicate::Fail => OnDup::Fail,
        OnDuplicate::KeepBoth => OnDup::NewCopy,
    };
    let (all, mut failed) = (top.items.len(), 0);
    for batch in top.items.chunks(at_once(user.vip_type)) {
        let ids = batch.iter().map(|(id, _)| id.clone()).collect();
        let (shareid, uk, sekey) = (top.shareid.clone(), top.uk.clone(), sekey.clone());
        let ask = Save { shareid, uk, sekey, ids, path: path.clone(), ondup };
        let shares = shares(session)?;
        let saved = in_turn(session, async || shares.transfer(&ask, Run::Async).await).await;
        let saved = saved.map_err(|error| session.failed_at(&path, error))?;
        let results = match &saved.taskid {
            Some(task) => follow(session, async || shares.taskquery(task).await).await?,
            None => saved.info,
        };
        failed += tell(session, batch, &results, saved.saved)?;
    }
    let done = all.saturating_sub(failed);
    if !session.context.json() {
        session.context.say(&format!("{done} of {} saved to {path}", files(all as u64)));
    }
    if failed == 0 { Ok(()) } else { Err(Failed::told(ExitStatus::Failed)) }
}

/// Tells of one that would be saved, in the words of `drive cp --dry-run`.
fn would(session: &Session<'_>, path: &str, to: &str) -> Outcome {
    let name = path.rsplit('/').next().unwrap_or(path);
    let to = format!("{}/{name}", to.trim_end_matches('/'));
    if session.context.json() {
        let document = serde_json::json!({"opera": "transfer", "path": path, "to": to});
        return session.context.print_json(&document);
    }
    session.context.print_text(&format!("would save {} to {}\n", plain(name), plain(&to)))
}

/// 转存数量限制: how many files one transfer takes, by membership.
fn at_once(vip_type: Option<u8>) -> usize {
    match vip_type {
        Some(1) => 3000,
        Some(2) => 50_000,
        _ => 500,
    }
}

/// What of the share's top is wanted. Nothing is saved if a name is not there.
async fn top(session: &Session<'_>, args: &SaveArgs, link: &Link, sekey: &str) -> Outcome<Top> {
    let shares = shares(session)?;
    let mut wanted: Vec<(&String, Pattern, bool)> =
        args.names.iter().map(|name| (name, Pattern::new(name), false)).collect();
    let (mut shareid, mut uk) = match link {
        Link::Numbers { shareid, uk } => (shareid.clone(), uk.clone()),
        Link::Short { .. } => Default::default(),
    };
    let (mut items, mut after) = (Vec::new(), None);
    loop {
        let listed = shares.list(link, sekey, None, after).await;
        let listed = listed.map_err(|error| failed_without(session, !sekey.is_empty(), &error))?;
        if shareid.is_empty() {
            (shareid, uk) = (listed.shareid, listed.uk);
        }
        for item in listed.page.entries {
            let mut is_wanted = wanted.is_empty();
            for (_, pattern, seen) in &mut wanted {
                if pattern.matches(name(&item)) {
                    (is_wanted, *seen) = (true, true);
                }
            }
            if is_wanted {
                items.push((item.fs_id, item.path));
            }
        }
        if items.len() > MOST {
            let words = format!("the share has more than {MOST} files at its top");
            return Err(Failed::words(words).hint("name some of them; nothing was saved"));
        }
        match listed.page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    if let Some((typed, ..)) = wanted.iter().find(|(.., seen)| !seen) {
        let words = match is_pattern(typed) {
            true => format!("{typed}: nothing in the share matches"),
            false => format!("{typed}: there is no such file or folder in the share"),
        };
        return Err(Failed::words(words).hint("nothing was saved; xpand share list shows what there is"));
    }
    if items.is_empty() {
        return Err(Failed::words("the share is empty"));
    }
    if shareid.is_empty() || uk.is_empty() {
        let info = shares.info(link, sekey).await.map_err(|error| session.failed(&error))?;
        (shareid, uk) = (info.shareid, info.uk);
    }
    Ok(Top { shareid, uk, items })
}

/// How one file fared, in the protocol's words.
#[derive(Serialize)]
struct Line<'r> {
    path: &'r str,
    errno: i64,
    #[serde(skip_serializing_if = "str::is_empty")]
    meaning: &'r str,
    /// Where it is now, if the cloud says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'r str>,
}

/// Tells how a batch fared and returns how many failed. Without results all of them are saved.
fn tell(
    session: &Session<'_>,
    batch: &[(String, String)],
    results: &[ItemResult],
    saved: Vec<(String, String)>,
) -> Outcome<usize> {
    let saved: BTreeMap<String, String> = saved.into_iter().collect();
    let failed = results.iter().filter(|result| result.errno != 0);
    for result in failed.clone() {
        let words = format!("{}: {} (errno {})", result.path, result.meaning, result.errno);
        Failed::words(words).warn();
    }
    if session.context.json() {
        let mut lines = String::new();
        let line =
            |path, errno, meaning| Line { path, errno, meaning, to: saved.get(path).map(String::as_str) };
        let told = results.iter().map(|result| line(&result.path, result.errno, &result.meaning));
        // The cloud names them by their paths in the share, which its listing may not.
        let silent = batch.iter().filter(|_| results.is_empty()).map(|(_, path)| line(path, 0, ""));
        for line in told.chain(silent) {
            lines += &session.context.json_line(&line)?;
        }
        session.context.print_text(&lines)?;
    }
    Ok(failed.count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_transfer_takes_what_the_membership_allows() {
        assert_eq!([0, 1, 2, 9].map(|vip_type| at_once(Some(vip_type))), [500, 3000, 50_000, 500]);
    }
}
