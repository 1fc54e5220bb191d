//! `GET /v1/explain`: why a file is, or is not, backed up, and where its copy is.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::hub::{FolderCell, Hub, lock};
use super::view::{account_line, time};
use crate::backup::entry::{Entry, Skip, Standing as Known};
use crate::backup::filter::Reason;
use crate::backup::{disk, media, rights, scan};
use crate::cloud;
use crate::content::{FilePath, Fingerprint, Media};
use crate::control::{Explain, Failure, Result, Spot, Standing};

/// A person waits for a link so long.
const LINK: Duration = Duration::from_secs(8);

/// What there is to say about a path, in each folder that has it.
///
/// # Errors
/// The state cannot be read.
pub(super) fn explain(hub: &Hub, spot: &Spot) -> Result<Explain> {
    let places = hub.places(spot).into_iter();
    let mut lines = places.map(|(_, folder, file)| in_folder(hub, &spot.path, folder, file));
    let Some(first) = lines.next() else {
        let words = "it is not in a configured folder";
        let hint = "xpand check shows the folders";
        return Ok(says(Explain::new(&spot.path, Standing::Outside), words, Some(hint)));
    };
    Ok(Explain { others: lines.collect::<Result<_>>()?, ..first? })
}

fn in_folder(hub: &Hub, path: &Path, folder: &FolderCell, file: FilePath) -> Result<Explain> {
    let broken = || Failure::internal("the state cannot be read");
    let entry = hub.core.keeper.with(|queue| queue.get(&file)).ok_or_else(broken)?;
    let job = hub.core.keeper.with(|queue| queue.job(&file)).ok_or_else(broken)?;
    let mut line = Explain::new(path, Standing::Missing);
    line.folder = Some(folder.config.path.to_string_lossy().into_owned());
    line.label = Some(folder.config.label.clone());
    line.account = Some(folder.config.account.clone());
    if let Some(copy) = entry.as_ref().and_then(|entry| entry.copy.as_ref()) {
        line.remote = Some(copy.path.clone());
        line.id = Some(copy.id.clone());
        line.backed_up_size = Some(copy.size);
    }
    if let Some(job) = &job {
        line.tries = job.tries;
        line.next_try = Some(job.due_ms).filter(|&due| due > 0).map(time);
        line.reason.clone_from(&job.why);
    }
    let now = match disk::stat_one(&folder.config.path, &file.below) {
        Ok(Some(now)) => now,
        Ok(None) if hub.is_away(&file) => {
            let words = "the disk that it is on is not mounted; it is not forgotten";
            return Ok(says(line, words, Some("xpand status names the disk")));
        }
        Ok(None) => return Ok(missing(line, folder, &file, entry.as_ref())),
        Err(error) => {
            let words = format!("xpand cannot look at it: {error}");
            let path = file.under(&folder.config.path);
            let hint = (error.kind() == io::ErrorKind::PermissionDenied).then(|| rights::advice(&path));
            return Ok(says(line, &words, hint.as_deref()));
        }
    };
    line.size = Some(now.size);
    if let Some(line) = not_wanted(&line, folder, &file) {
        return Ok(line);
    }
    if lock(&hub.active).contains_key(&file) {
        line.state = Standing::Active;
        return Ok(line);
    }
    // Nothing is wrong with the file itself: then what keeps its whole account is the answer.
    let kept = account_line(&hub.accounts[folder.account], hub.core.clock.now_ms()).reason;
    let mut line = standing(line, folder, entry.filter(|entry| !entry.gone), now, kept);
    if matches!(line.state, Standing::Waiting | Standing::Failed) {
        line.hint = closed(&file.under(&folder.config.path)).or(line.hint);
    }
    Ok(line)
}

/// What to do about a file that may not be read.
fn closed(path: &Path) -> Option<String> {
    let is_closed = File::open(path).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
    is_closed.then(|| rights::advice(path))
}

/// With the links of the copies, of clouds that have such; asked for now.
pub(super) async fn linked(hub: &Hub, mut line: Explain) -> Explain {
    let mut others = Vec::new();
    for other in std::mem::take(&mut line.others) {
        others.push(with_link(hub, other).await);
    }
    Explain { others, ..with_link(hub, line).await }
}

async fn with_link(hub: &Hub, mut line: Explain) -> Explain {
    let mut accounts = hub.accounts.iter();
    let account = accounts.find(|account| Some(&account.config.name) == line.account.as_ref());
    let (Some(account), Some(id)) = (account, line.id.clone()) else { return line };
    if !cloud::of(account.config.provider).has_links() {
        return line;
    }
    let drive = lock(&account.uploader).as_ref().map(|uploader| Arc::clone(&uploader.drive));
    let asked = drive.as_ref().and_then(|drive| drive.link(&id));
    let Some(asked) = asked else {
        let reason = account_line(account, hub.core.clock.now_ms()).reason;
        line.no_link = Some(reason.unwrap_or_else(|| "the account is not ready".to_owned()));
        return line;
    };
    match tokio::time::timeout(LINK, asked).await {
        Ok(Ok(link)) => line.link = Some(link),
        Ok(Err(error)) => line.no_link = Some(error.to_string()),
        Err(_) => line.no_link = Some("the cloud does not answer".to_owned()),
    }
    line
}

fn standing(
    mut line: Explain,
    folder: &FolderCell,
    entry: Option<Entry>,
    now: Fingerprint,
    kept: Option<String>,
) -> Explain {
    let Some(entry) = entry.filter(|entry| entry.print == now) else {
        line.state = Standing::Settling;
        return says(line, "it is new or has just changed; it waits until it holds still", None);
    };
    match entry.standing {
        Known::BackedUp => line.state = Standing::BackedUp,
        Known::Waiting => {
            line.state = Standing::Waiting;
            let account = &folder.config.account;
            let own = line.reason.take();
            let words = own.or(kept).unwrap_or_else(|| format!("it waits for its turn to go to {account}"));
            return says(line, &words, Some("xpand status says what the agent is doing"));
        }
        Known::Failed => {
            line.state = Standing::Failed;
            let path = line.path.clone();
            line.hint = Some(format!("when the cause is mended: xpand retry {path}"));
        }
        Known::Skipped(skip) => {
            line.state = Standing::Skipped;
            let hint = match skip {
                Skip::TooSmall => Some("min_size of the folder decides"),
                Skip::TooLarge => Some("max_size of the folder decides"),
                _ => None,
            };
            return says(line, skip.words(folder.source.limits.takes), hint);
        }
    }
    line
}

fn missing(line: Explain, folder: &FolderCell, file: &FilePath, entry: Option<&Entry>) -> Explain {
    match disk::no_file_but(&folder.config.path, &file.below) {
        disk::NoFile::Folder => {
            return says(line, "it is a folder; ask about a file", Some("xpand status shows the folders"));
        }
        disk::NoFile::Link => return says(line, "it is a link; links are not followed", None),
        disk::NoFile::Special => {
            return says(line, "it is no ordinary file: there is nothing in it to back up", None);
        }
        disk::NoFile::Nothing => {}
    }
    match entry.and_then(|entry| entry.copy.as_ref()) {
        Some(_) => says(line, "it is not on the disk any more; its copy in the cloud stays", None),
        None => says(line, "there is no such file", None),
    }
}

fn not_wanted(line: &Explain, folder: &FolderCell, file: &FilePath) -> Option<Explain> {
    let reason = folder.filter.why_not(&file.below).or_else(|| {
        let name = file.below.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let unknown = media::by_name(name).is_none();
        let kind: Media = if unknown { scan::sniff(&folder.config.path, &file.below) } else { return None };
        (!folder.filter.wants(kind)).then_some(Reason::Kind(kind))
    })?;
    let (state, hint) = match reason {
        Reason::Excluded { built_in: true, .. } => {
            (Standing::Excluded, "default_excludes = false backs such files up too")
        }
        Reason::Excluded { .. } => (Standing::Excluded, "exclude of the folder decides"),
        _ => (Standing::NotSelected, "media of the folder decides; \"other\" adds every other file"),
    };
    Some(says(Explain { state, ..line.clone() }, &reason.to_string(), Some(hint)))
}

fn says(line: Explain, words: &str, hint: Option<&str>) -> Explain {
    Explain { reason: Some(words.to_owned()), hint: hint.map(str::to_owned), ..line }
}
