//! `GET /v1/queue`: the files of the queue, page by page, without ever holding more than a page.

use super::hub::{FolderCell, Hub, lock};
use super::view::time;
use crate::backup::entry::{Entry, Standing};
use crate::backup::job::Job;
use crate::content::FilePath;
use crate::control::{Failure, FileLine, FileState, QueuePage, QueueQuery, Result};

/// Entries of the index that one request looks through; a page may come back short, with a `next`.
const LOOKED_AT: usize = 50_000;

/// One page.
///
/// # Errors
/// The `after` is not one of ours, or the state cannot be read.
pub(super) fn page(hub: &Hub, query: &QueueQuery) -> Result<QueuePage> {
    let limit = usize::try_from(query.limit.clamp(1, QueueQuery::LIMIT_MAX)).unwrap_or(1);
    let after = query.after.as_deref().map(place).transpose()?;
    match query.state {
        Some(FileState::Active) => Ok(active(hub, limit, after.as_ref())),
        state => listed(hub, state, limit, after),
    }
}

fn active(hub: &Hub, limit: usize, after: Option<&(usize, Vec<u8>)>) -> QueuePage {
    let all: Vec<(FilePath, u64)> =
        lock(&hub.active).iter().map(|(path, work)| (path.clone(), work.size)).collect();
    let lines = all.iter().filter_map(|(path, size)| {
        let (at, folder) = hub.folder(path.folder)?;
        let here = (at, path.below.to_vec());
        let job = hub.core.keeper.with(|queue| queue.job(path)).flatten();
        let line = FileLine { size: *size, state: FileState::Active, ..line(folder, path, job.as_ref()) };
        after.is_none_or(|after| here > *after).then_some((here, line))
    });
    let mut lines: Vec<_> = lines.collect();
    lines.sort_by(|a, b| a.0.cmp(&b.0));
    let next = (lines.len() > limit).then(|| token(&lines[limit - 1].0));
    lines.truncate(limit);
    QueuePage { files: lines.into_iter().map(|(_, line)| line).collect(), next }
}

fn listed(
    hub: &Hub,
    state: Option<FileState>,
    limit: usize,
    after: Option<(usize, Vec<u8>)>,
) -> Result<QueuePage> {
    let broken = || Failure::internal("the state cannot be read");
    let (first, mut after) = match after {
        Some((at, below)) => (at, Some(below)),
        None => (0, None),
    };
    let (mut files, mut looked_at) = (Vec::new(), 0);
    for at in first..hub.folders.len() {
        let folder = &hub.folders[at];
        loop {
            let page =
                hub.core.keeper.with(|queue| queue.page(folder.id, after.as_deref())).ok_or_else(broken)?;
            let Some(last) = page.last().map(|entry| entry.below.to_vec()) else { break };
            looked_at += page.len();
            for entry in page.iter().filter(|entry| !entry.gone) {
                let path = FilePath { folder: folder.id, below: entry.below.clone() };
                let is_active = lock(&hub.active).contains_key(&path);
                let Some(now) = state_of(entry, is_active) else { continue };
                if state.map_or(now == FileState::Done, |state| state != now) {
                    continue;
                }
                files.push(entry_line(hub, folder, path, entry, now));
                if files.len() == limit {
                    let next = Some(token(&(at, entry.below.to_vec())));
                    return Ok(QueuePage { files, next });
                }
            }
            if looked_at >= LOOKED_AT {
                return Ok(QueuePage { files, next: Some(token(&(at, last))) });
            }
            after = Some(last);
        }
        after = None;
    }
    Ok(QueuePage { files, next: None })
}

/// Skipped files are not in the queue: `explain` tells of them.
fn state_of(entry: &Entry, is_active: bool) -> Option<FileState> {
    match entry.standing {
        _ if is_active => Some(FileState::Active),
        Standing::Waiting => Some(FileState::Waiting),
        Standing::BackedUp => Some(FileState::Done),
        Standing::Failed => Some(FileState::Failed),
        Standing::Skipped(_) => None,
    }
}

fn entry_line(hub: &Hub, folder: &FolderCell, path: FilePath, entry: &Entry, state: FileState) -> FileLine {
    let job = match state {
        FileState::Done => None,
        _ => hub.core.keeper.with(|queue| queue.job(&path)).flatten(),
    };
    let remote = entry.copy.as_ref().map(|copy| copy.path.clone());
    FileLine { size: entry.print.size, state, remote, ..line(folder, &path, job.as_ref()) }
}

fn line(folder: &FolderCell, path: &FilePath, job: Option<&Job>) -> FileLine {
    FileLine {
        path: path.under(&folder.config.path).to_string_lossy().into_owned(),
        account: folder.config.account.clone(),
        size: 0,
        state: FileState::Waiting,
        reason: job.and_then(|job| job.why.clone()),
        tries: job.map_or(0, |job| job.tries),
        next_try: job.filter(|job| job.due_ms > 0).map(|job| time(job.due_ms)),
        remote: None,
    }
}

/// Where a page ended, as text that a client hands back: the folder's number and the path in hex.
fn token((at, below): &(usize, Vec<u8>)) -> String {
    use std::fmt::Write;
    below.iter().fold(format!("{at}-"), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn place(token: &str) -> Result<(usize, Vec<u8>)> {
    let bad = || Failure::bad_request("`after` is not a `next` of this list");
    let (at, hex) = token.split_once('-').ok_or_else(bad)?;
    if !hex.is_ascii() || hex.len() % 2 != 0 {
        return Err(bad());
    }
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).map_err(|_| bad());
    let below = (0..hex.len()).step_by(2).map(byte).collect::<Result<_>>()?;
    Ok((at.parse().map_err(|_| bad())?, below))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_where_the_next_begins_and_junk_is_refused() {
        let here = (3, b"a/\xff\n.jpg".to_vec());
        assert_eq!(place(&token(&here)).unwrap(), here);
        for junk in ["", "1", "x-00", "1-0", "1-zz", "1-é0"] {
            assert!(place(junk).is_err(), "{junk}");
        }
    }
}
