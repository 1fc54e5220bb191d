//! What must hold: at every step, and at the end of a quiet day.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Sim;
use super::cloud::LARGEST;
use super::disk::{Folder, Plug};
use super::life::Life;
use crate::agent::hub::lock;
use crate::backup::entry::{Entry, Skip, Standing};
use crate::content::{FilePath, Md5};
use crate::status::FolderState;

type Known = Vec<BTreeMap<Box<[u8]>, Entry>>;

fn broken(words: String) -> Result<(), String> {
    Err(words)
}

/// Everything the index knows, by folder.
pub(super) fn known(life: &Life) -> Result<Known, String> {
    let mut all = Vec::new();
    for folder in &life.hub.folders {
        let mut known: BTreeMap<Box<[u8]>, Entry> = BTreeMap::new();
        let mut after: Option<Box<[u8]>> = None;
        loop {
            let page = life.keeper().with(|queue| queue.page(folder.id, after.as_deref()));
            let page = page.ok_or("the store has failed")?;
            let Some(last) = page.last() else { break };
            after = Some(last.below.clone());
            known.extend(page.into_iter().map(|entry| (entry.below.clone(), entry)));
        }
        all.push(known);
    }
    Ok(all)
}

/// At every step.
pub(super) fn always(sim: &Arc<Sim>, life: &Life) -> Result<(), String> {
    sim.verdict()?;
    if sim.memory().is_ended() {
        return Ok(());
    }
    let known = known(life)?;
    for (folder, entries) in life.hub.folders.iter().zip(&known) {
        counts_add_up(life, folder.id, entries)?;
        for entry in entries.values() {
            is_confirmed(sim, entry)?;
        }
    }
    let (claimed, active) =
        (life.keeper().with(|queue| Ok(queue.claimed().count())).unwrap_or(0), lock(&life.hub.active).len());
    if claimed != active {
        return broken(format!("{claimed} files are claimed, {active} are worked on"));
    }
    unplugged_forgets_nothing(sim, &known)
}

fn counts_add_up(
    life: &Life,
    id: crate::content::FolderId,
    entries: &BTreeMap<Box<[u8]>, Entry>,
) -> Result<(), String> {
    let counts = life.keeper().with(|queue| Ok(queue.counts(id))).ok_or("the store has failed")?;
    let there: Vec<_> = entries.values().filter(|entry| !entry.gone).collect();
    let count = |fits: fn(Standing) -> bool| there.iter().filter(|entry| fits(entry.standing)).count() as u64;
    let waiting = count(|standing| standing == Standing::Waiting);
    let backed_up = count(|standing| standing == Standing::BackedUp);
    let failed = count(|standing| standing == Standing::Failed);
    let skipped = count(|standing| matches!(standing, Standing::Skipped(_)));
    let bytes: u64 = there.iter().map(|entry| entry.print.size).sum();
    let right = counts.files == there.len() as u64
        && counts.bytes == bytes
        && counts.files == counts.backed_up + counts.waiting + counts.failed + counts.skipped
        && (counts.failed, counts.skipped) == (failed, skipped)
        // What is done and not yet on the disk counts as waiting.
        && counts.backed_up <= backed_up
        && counts.backed_up + counts.waiting == backed_up + waiting;
    if right {
        return Ok(());
    }
    broken(format!(
        "the counts are {counts:?}; in the records {waiting} wait, {backed_up} are backed up, {failed} failed, \
         {skipped} are skipped, {bytes} bytes"
    ))
}

/// Every copy we know of is in the cloud, as we know it.
fn is_confirmed(sim: &Arc<Sim>, entry: &Entry) -> Result<(), String> {
    let name = entry.below.escape_ascii();
    let Some(copy) = &entry.copy else {
        return match entry.standing {
            Standing::BackedUp => broken(format!("{name} is backed up without a copy")),
            _ => Ok(()),
        };
    };
    let cloud = sim.cloud();
    match cloud.files.get(&copy.path) {
        Some(kept) if (&kept.id, kept.md5, kept.size) == (&copy.id, copy.md5, copy.size) => {}
        kept => return broken(format!("the copy of {name} is {copy:?}, the cloud has {kept:?}")),
    }
    if entry.standing == Standing::BackedUp && copy.size != entry.print.size {
        return broken(format!("{name} is backed up with another size"));
    }
    Ok(())
}

fn unplugged_forgets_nothing(sim: &Arc<Sim>, known: &Known) -> Result<(), String> {
    let disk = sim.disk();
    for (folder, entries) in disk.folders.iter().zip(known) {
        if folder.plug == Plug::In {
            continue;
        }
        for below in &folder.known_before {
            if entries.get(below).is_none_or(|entry| entry.gone) {
                let name = below.escape_ascii();
                return broken(format!("{name} was forgotten while its disk was away ({:?})", folder.plug));
            }
        }
    }
    Ok(())
}

/// At the end of a quiet day.
pub(super) fn everything_arrived(sim: &Arc<Sim>, life: &Life) -> Result<(), String> {
    let known = known(life)?;
    let claimed = life.keeper().with(|queue| Ok(queue.claimed().count())).unwrap_or(0);
    let settling: u64 = {
        let settler = lock(&life.hub.settler);
        life.hub.folders.iter().map(|folder| settler.settling(folder.id).files).sum()
    };
    if claimed > 0 || settling > 0 || !lock(&life.hub.active).is_empty() {
        return broken(format!("{claimed} files are still claimed, {settling} still settle"));
    }
    let disk = sim.disk();
    for ((cell, folder), entries) in life.hub.folders.iter().zip(&disk.folders).zip(&known) {
        for (below, node) in &folder.files {
            let path = FilePath { folder: cell.id, below: below[..].into() };
            let name = below.escape_ascii();
            let job = life.keeper().with(|queue| queue.job(&path)).flatten();
            let Some(entry) = entries.get(&below[..]).filter(|entry| !entry.gone) else {
                return broken(format!("{name} was never found"));
            };
            let told = || format!("{name} is {:?}, known as {entry:?}, its job {job:?}", node.print);
            if entry.print != node.print {
                return broken(format!("{} - an older version", told()));
            }
            let is_right = match entry.standing {
                Standing::BackedUp => {
                    entry.copy.as_ref().is_some_and(|copy| copy.md5 == Md5::of(&node.bytes))
                }
                Standing::Failed => {
                    job.as_ref().is_some_and(|job| job.why.is_some()) && is_refused(sim, folder, below)
                }
                Standing::Skipped(Skip::Empty) => node.bytes.is_empty(),
                Standing::Skipped(Skip::OverTier) => node.bytes.len() as u64 > LARGEST,
                Standing::Skipped(_) | Standing::Waiting => false,
            };
            if !is_right {
                let (view, pause) = (lock(&cell.view).clone(), life.hub.accounts[0].breaker.last());
                return broken(format!("{}\n{view:?}\n{pause:?}", told()));
            }
        }
        let state = lock(&cell.view).state;
        let left: Vec<_> = entries.values().filter(|entry| !entry.gone).collect();
        let lost = left.iter().filter(|entry| !folder.files.contains_key(&entry.below[..])).count();
        match state {
            FolderState::Suspicious if lost * 2 > left.len() || folder.files.is_empty() => {}
            FolderState::Watching | FolderState::Polling if lost == 0 => {}
            _ => return broken(format!("{state:?}: {lost} of {} known files are not there", left.len())),
        }
    }
    Ok(())
}

/// Whether the cloud ever said that it will not take this file.
fn is_refused(sim: &Arc<Sim>, folder: &Folder, below: &[u8]) -> bool {
    let label = folder.root.file_name().unwrap().to_str().unwrap();
    let path = format!("/apps/xpand/{label}/{}", String::from_utf8_lossy(below));
    sim.cloud().is_excused(&path)
}
