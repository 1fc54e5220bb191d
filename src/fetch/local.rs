//! What lies in a file's place already, and whether it is the file.

use std::io;

use rustix::fs::FileType;

use super::Wanted;
use super::digest::Digest;
use super::part;
use super::target::{Folder, Target};
use crate::cloud::{Content, Drive, Entry};
use crate::content::Md5;

/// What is in a file's place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Looked {
    /// Nothing.
    Free,
    /// The file itself.
    Present,
    /// Something else, which is to be replaced.
    Replace,
    /// Something else, which stays: why.
    Taken(String),
}

/// The kernel's clock for files may be so much behind, nanoseconds.
const BEHIND: i64 = 20_000_000;

/// Looks at a file's place. `since_ns` is when this run began: with `overwrite` what was written before then
/// may be replaced.
///
/// The same size and the same time to the second are taken for the same file, as a restore that goes on has
/// thousands of them; where the time differs the content decides.
pub(super) fn look(
    target: &Target,
    drive: &dyn Drive,
    wanted: &Wanted,
    overwrite: bool,
    since_ns: i64,
) -> io::Result<Looked> {
    let Some(folder) = target.folder_of(&wanted.place, false)? else { return Ok(Looked::Free) };
    let name = wanted.place.name();
    let Some(stat) = folder.stat(name)? else { return Ok(Looked::Free) };
    let taken = |words: &str| Ok(Looked::Taken(words.to_owned()));
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {}
        FileType::Symlink => return taken("there is a link in its place, which stays"),
        FileType::Directory => return taken("there is a folder in its place"),
        _ => return taken("there is something in its place that is no file"),
    }
    if u64::try_from(stat.st_size).is_ok_and(|size| size == wanted.size) {
        // FAT keeps every second second.
        #[allow(clippy::unnecessary_cast)]
        let is_of_then = |(secs, _): (i64, u32)| secs.abs_diff(stat.st_mtime as i64) <= 1;
        if wanted.mtime.is_some_and(is_of_then) || is_same(&folder, drive, wanted)? {
            return Ok(Looked::Present);
        }
    }
    if !overwrite {
        return taken("a different file is there and stays; --overwrite replaces it");
    }
    #[allow(clippy::unnecessary_cast)]
    let changed_ns =
        (stat.st_ctime as i64).saturating_mul(1_000_000_000).saturating_add(stat.st_ctime_nsec as i64);
    if changed_ns.saturating_add(BEHIND) >= since_ns {
        return taken("a file was written there a moment ago, perhaps another of this name; it stays");
    }
    if !folder.has_exactly(name)? {
        return taken("this disk takes its name for that of another file, which stays");
    }
    Ok(Looked::Replace)
}

fn is_same(folder: &Folder, drive: &dyn Drive, wanted: &Wanted) -> io::Result<bool> {
    let mut digest = Digest::new(&cuts(drive, wanted));
    part::hash(&mut folder.open(wanted.place.name())?, &mut digest)?;
    Ok(verdict(drive, wanted, &digest.end(), None) == Some(true))
}

/// In which slices a file has to be cut to be known by its content.
pub(super) fn cuts(drive: &dyn Drive, wanted: &Wanted) -> Vec<u64> {
    if wanted.md5.is_some() {
        return Vec::new();
    }
    drive.slice_sizes().iter().copied().filter(|&size| size < wanted.size).collect()
}

/// Whether this is the content that is wanted; `told` is the server's word for its MD5. `None`: nobody can
/// say. The index decides alone, since nobody else has seen the file itself.
pub(super) fn verdict(
    drive: &dyn Drive,
    wanted: &Wanted,
    content: &Content,
    told: Option<Md5>,
) -> Option<bool> {
    if content.size != wanted.size {
        return Some(false);
    }
    if wanted.size == 0 {
        // Nothing is nothing, whatever is listed.
        return Some(true);
    }
    if let Some(md5) = wanted.md5 {
        return Some(md5 == content.md5);
    }
    let entry = Entry {
        id: wanted.fs_id.clone(),
        path: wanted.remote.clone(),
        size: wanted.size,
        is_folder: false,
        md5: wanted.listed.clone(),
    };
    match (told.map(|md5| md5 == content.md5), drive.has_content(&entry, content)) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (None, None) => None,
        _ => Some(false),
    }
}
