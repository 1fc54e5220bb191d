//! `POST /v1/repair`: somebody has compared our index with the cloud, and these copies are not there as they
//! should be. They are forgotten, and their files wait to be sent again. `POST /v1/forget`: the same of files
//! that are gone from this box too; nothing is left to say of them.

use std::sync::Arc;

use super::desk::blocking;
use super::hub::{Hub, lock};
use crate::backup::queue::{Queue, Repair};
use crate::content::FilePath;
use crate::control::{BadCopy, Failure, Repaired, Result};
use crate::remote::names::unescape;
use crate::store;

/// [`Queue::repair`] or [`Queue::forget_gone`].
pub(super) type Mend = fn(&mut Queue, &FilePath, &str, &str) -> store::Result<Repair>;

/// One answer a file, in order; all of it is on the disk then.
///
/// # Errors
/// What was listed when our memory was lost is still believed, or the state cannot be written.
pub(super) async fn repair(hub: Arc<Hub>, files: Vec<BadCopy>, mend: Mend) -> Result<Vec<Repaired>> {
    if hub.core.keeper.gaps().everything {
        let words =
            "the agent is still comparing its folders with what the cloud listed when its index was lost";
        return Err(Failure::conflict(words).hint("try again when nothing waits: xpand status --watch"));
    }
    for account in &hub.accounts {
        let Some(uploader) = lock(&account.uploader).clone() else { continue };
        for file in &files {
            // An older listing has it still, and would have it taken for sent.
            uploader.lookup.forget(&file.remote).await;
        }
    }
    let shared = Arc::clone(&hub);
    let repaired =
        blocking(move || files.iter().map(|file| one(&shared, file, mend)).collect::<Result<Vec<_>>>());
    let repaired = repaired.await?;
    let broken = || Failure::internal("the state cannot be written");
    if repaired.iter().any(|one| matches!(one, Repaired::Queued | Repaired::Forgotten)) {
        hub.core.keeper.commit().await.ok_or_else(broken)?;
        hub.work.notify_one();
        hub.changed();
    }
    Ok(repaired)
}

fn one(hub: &Hub, file: &BadCopy, mend: Mend) -> Result<Repaired> {
    let Some(folder) = hub.folders.iter().find(|folder| folder.config.label == file.label) else {
        return Ok(Repaired::Changed);
    };
    let bad = || Failure::bad_request(format!("below: {:?} is not escaped as in /v1/copies", file.below));
    let below = unescape(&file.below).ok_or_else(bad)?;
    let path = FilePath { folder: folder.id, below: below.into() };
    let repaired = hub.core.keeper.with(|queue| mend(queue, &path, &file.fs_id, &file.remote));
    Ok(match repaired.ok_or_else(|| Failure::internal("the state cannot be written"))? {
        Repair::Queued => Repaired::Queued,
        Repair::Forgotten => Repaired::Forgotten,
        Repair::Gone => Repaired::Gone,
        Repair::Changed => Repaired::Changed,
    })
}
