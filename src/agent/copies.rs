//! `GET /v1/copies`: what has a copy in the cloud, page by page, whether it is on the disk still or not.
//!
//! What is below a folder stands together in the index, so that a page begins where the one before ended.
//! The queue is asked for a record at a time: nobody waits for long.

use super::hub::{FolderCell, Hub, Look};
use crate::backup::entry::{Entry, Standing, order};
use crate::content::FilePath;
use crate::control::{CopiesPage, CopiesQuery, CopyLine, Failure, QueueQuery, Result};
use crate::remote::names::{escape, unescape};

/// Entries of the index that one request looks through; a page may come back short, with a `next`.
const LOOKED_AT: usize = 20_000;

/// One page of the copies at a place or below it.
///
/// # Errors
/// The `after` is not one of ours, or the state cannot be read.
pub(super) fn page(hub: &Hub, place: &Look, query: &CopiesQuery) -> Result<CopiesPage> {
    let limit = usize::try_from(query.limit.clamp(1, QueueQuery::LIMIT_MAX)).unwrap_or(1);
    let broken = || Failure::internal("the state cannot be read");
    let folder = &hub.folders[place.folder];
    let (mut copies, mut looked_at) = (Vec::new(), 0);
    let mut after = match &query.after {
        Some(after) => {
            let bad = || Failure::bad_request("`after` is not a `next` of this list");
            Some(unescape(after).ok_or_else(bad)?)
        }
        None => {
            // The place may be a file itself.
            let path = FilePath { folder: folder.id, below: place.start.clone() };
            let one = hub.core.keeper.with(|queue| queue.get(&path)).ok_or_else(broken)?;
            copies.extend(one.and_then(|entry| line(folder, &entry)));
            (!place.start.is_empty()).then(|| place.start.to_vec())
        }
    };
    loop {
        let entries =
            hub.core.keeper.with(|queue| queue.page(folder.id, after.as_deref())).ok_or_else(broken)?;
        let Some(last) = entries.last().map(|entry| entry.below.to_vec()) else { break };
        looked_at += entries.len();
        for entry in &entries {
            if !is_below(&entry.below, &place.start) {
                // In index order all that is below stands before the first that is not.
                return Ok(CopiesPage { copies, next: None });
            }
            copies.extend(line(folder, entry));
            if copies.len() >= limit {
                return Ok(CopiesPage { copies, next: Some(escape(&entry.below)) });
            }
        }
        if looked_at >= LOOKED_AT {
            return Ok(CopiesPage { copies, next: Some(escape(&last)) });
        }
        after = Some(last);
    }
    Ok(CopiesPage { copies, next: None })
}

/// Whether a path lies below another; all lies below the folder itself.
fn is_below(path: &[u8], start: &[u8]) -> bool {
    debug_assert!(order(path, start).is_ge());
    start.is_empty() || path.strip_prefix(start).is_some_and(|rest| rest.starts_with(b"/"))
}

fn line(folder: &FolderCell, entry: &Entry) -> Option<CopyLine> {
    let copy = entry.copy.as_ref()?;
    Some(CopyLine {
        label: folder.config.label.clone(),
        account: folder.config.account.clone(),
        below: escape(&entry.below),
        size: copy.size,
        mtime_ns: (entry.standing == Standing::BackedUp).then_some(entry.print.mtime_ns),
        md5: copy.md5.to_string(),
        fs_id: copy.id.clone(),
        remote: copy.path.clone(),
        gone: entry.gone,
    })
}
