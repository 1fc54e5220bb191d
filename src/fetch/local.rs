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
    #[allow(clippy::unnecessary_cast)]
    let (mtime, ctime, rest) = (stat.st_mtime as i64, stat.st_ctime as i64, stat.st_ctime_nsec as i64);
    let changed_ns = ctime.saturating_mul(1_000_000_000).saturating_add(rest);
    let is_new = changed_ns.saturating_add(BEHIND) >= since_ns;
    if u64::try_from(stat.st_size).is_ok_and(|size| size == wanted.size) {
        // FAT keeps every second second. What this run wrote may be another file of the same place.
        let is_of_then = wanted.mtime.is_some_and(|(secs, _)| secs.abs_diff(mtime) <= 1);
        // On a disk that takes `a` for `A`, one file's time must not speak for another.
        if is_of_then && !is_new && folder.has_exactly(name)? || is_same(&folder, drive, wanted)? {
            return Ok(Looked::Present);
        }
    }
    if stat.st_size == 0 && wanted.size > 0 && part::waits_whole(&folder, name, wanted.size)? {
        return Ok(Looked::Replace);
    }
    if !overwrite {
        return taken("a different file is there and stays; --overwrite replaces it");
    }
    if is_new {
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cloud::Cursor;
    use crate::cloud::testing::Lists;
    use crate::fetch::Place;
    use std::os::unix::fs::symlink;

    /// A cloud that is asked nothing, and whose listed md5 is the content's.
    fn cloud() -> impl Drive {
        Lists(|_: &str, _: Option<Cursor>| unreachable!())
    }

    fn wanted(name: &str, bytes: &[u8]) -> Wanted {
        Wanted {
            remote: format!("/{name}"),
            fs_id: "1".into(),
            size: bytes.len() as u64,
            md5: Some(Md5::of(bytes)),
            listed: None,
            mtime: Some((1_000_000_000, 0)),
            place: Place::of(name.as_bytes()).unwrap(),
            may_vanish: false,
        }
    }

    #[test]
    fn only_the_file_itself_is_present_and_only_an_old_file_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::open(dir.path(), false).unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("same"), "abc").unwrap();
        std::fs::write(path("other"), "abd").unwrap();
        std::fs::write(path("longer"), "abcd").unwrap();
        std::fs::create_dir(path("folder")).unwrap();
        symlink("same", path("link")).unwrap();
        let look = |name: &str, overwrite, since_ns| {
            look(&target, &cloud(), &wanted(name, b"abc"), overwrite, since_ns).unwrap()
        };
        let later = i64::MAX;
        assert_eq!(look("none", false, later), Looked::Free);
        assert_eq!(look("no/folder", false, later), Looked::Free);
        assert_eq!(look("same", true, later), Looked::Present, "by its content");
        for name in ["other", "longer"] {
            assert!(matches!(look(name, false, later), Looked::Taken(_)), "{name}");
            assert_eq!(look(name, true, later), Looked::Replace, "{name}");
            // Written since this run began: by this run, under another name of the same place.
            assert!(matches!(look(name, true, 0), Looked::Taken(_)), "{name}");
        }
        for name in ["folder", "link"] {
            assert!(matches!(look(name, true, later), Looked::Taken(_)), "{name}");
        }
        let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_001);
        std::fs::File::options().write(true).open(path("other")).unwrap().set_modified(old).unwrap();
        assert_eq!(look("other", false, later), Looked::Present, "by its size and time");
    }

    #[test]
    fn an_empty_file_beside_its_whole_part_is_what_a_crash_left_of_the_renaming() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["whole", "half", "none"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        std::fs::write(dir.path().join(".whole.0123456789abcdef.xpand-part"), "abc").unwrap();
        std::fs::write(dir.path().join(".half.0123456789abcdef.xpand-part"), "ab").unwrap();
        let target = Target::open(dir.path(), false).unwrap();
        let look = |name: &str| look(&target, &cloud(), &wanted(name, b"abc"), false, i64::MAX).unwrap();
        assert_eq!(look("whole"), Looked::Replace);
        assert!(matches!((look("half"), look("none")), (Looked::Taken(_), Looked::Taken(_))));
    }

    #[test]
    fn the_index_decides_then_the_server_or_the_listing() {
        let content = Content { size: 3, md5: Md5::of("abc"), cuts: Vec::new() };
        let (right, wrong) = (Md5::of("abc"), Md5::of("abd"));
        for (known, told, listed, answer) in [
            (Some(right), Some(wrong), Some(wrong), Some(true)),
            (Some(wrong), Some(right), Some(right), Some(false)),
            (None, Some(right), Some(wrong), Some(true)),
            (None, Some(wrong), Some(right), Some(true)),
            (None, Some(wrong), None, Some(false)),
            (None, None, Some(wrong), Some(false)),
            (None, None, None, None),
        ] {
            let listed = listed.map(|md5: Md5| md5.to_string());
            let wanted = Wanted { md5: known, listed, ..wanted("a", b"abc") };
            assert_eq!(verdict(&cloud(), &wanted, &content, told), answer, "{wanted:?} {told:?}");
        }
        let short = Content { size: 2, ..content };
        assert_eq!(verdict(&cloud(), &wanted("a", b"abc"), &short, Some(short.md5)), Some(false));
    }
}
