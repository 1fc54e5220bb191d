//! The source folders' files: looked at and opened for reading, without ever following a link.
//!
//! Nothing here can write. No component of a path below the folder may be a symbolic link - a link put in
//! the place of a directory between two looks must not lead out of the folder. The folder's own path is
//! the user's word and may contain links. Access times stay as they are where the kernel lets us.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{self, AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;

#[cfg(test)]
use super::seam;
use crate::content::Fingerprint;

/// What a look at one name says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Look {
    pub(super) kind: FileType,
    pub(super) print: Fingerprint,
    pub(super) device: (u32, u32),
    pub(super) inode: u64,
    pub(super) links: u32,
    /// Whether a file system is mounted just here; `None` where the kernel does not say.
    pub(super) mounted: Option<bool>,
}

/// The fingerprint of the regular file at `below` under the folder `root`; `None` when there is none: it
/// vanished, is something else, or a link stands in its path.
///
/// # Errors
/// The folder itself is not there, permission is missing, or the disk fails.
pub fn stat_one(root: &Path, below: &[u8]) -> io::Result<Option<Fingerprint>> {
    #[cfg(test)]
    if let Some(machine) = seam::machine() {
        return machine.stat_one(root, below);
    }
    let root = open_root(root)?;
    let look = parent_of(&root, below).and_then(|(parent, name)| match &parent {
        Some(parent) => look_at(parent, name),
        None => look_at(&root, name),
    });
    match look {
        Ok(look) => Ok((look.kind == FileType::RegularFile).then_some(look.print)),
        Err(errno) if is_absence(errno) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// What is where [`stat_one`] finds no file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoFile {
    /// A folder.
    Folder,
    /// A symbolic link, wherever it leads.
    Link,
    /// A pipe, a socket, a device.
    Special,
    /// Nothing, or nobody may know: the path leads through a link.
    Nothing,
}

/// What is at `below` under the folder `root` instead of a file, seen through no link.
#[must_use]
pub fn no_file_but(root: &Path, below: &[u8]) -> NoFile {
    let look = open_root(root).and_then(|root| match below {
        b"" => look_at_open(&root),
        below => match parent_of(&root, below)? {
            (Some(parent), name) => look_at(&parent, name),
            (None, name) => look_at(&root, name),
        },
    });
    match look.map(|look| look.kind) {
        Ok(FileType::Directory) => NoFile::Folder,
        Ok(FileType::Symlink) => NoFile::Link,
        Ok(FileType::RegularFile) | Err(_) => NoFile::Nothing,
        Ok(_) => NoFile::Special,
    }
}

/// Opens the regular file at `below` under the folder `root` for reading.
///
/// # Errors
/// `NotFound` when there is no regular file (also: a link in its path); else what the system says.
pub fn open_one(root: &Path, below: &[u8]) -> io::Result<File> {
    #[cfg(test)]
    if let Some(machine) = seam::machine() {
        return machine.open_one(root, below);
    }
    let root = open_root(root)?;
    let opened = parent_of(&root, below).and_then(|(parent, name)| {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        match &parent {
            Some(parent) => open_at(parent, name, flags),
            None => open_at(&root, name, flags),
        }
    });
    let file = File::from(opened.map_err(|errno| match errno {
        errno if is_absence(errno) => io::Error::from(io::ErrorKind::NotFound),
        errno => errno.into(),
    })?);
    if look_at_open(&file)?.kind != FileType::RegularFile {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(file)
}

/// The fingerprint of an open file, and whether it still has a name.
///
/// # Errors
/// What the system says.
pub fn fingerprint(file: &File) -> io::Result<(Fingerprint, bool)> {
    #[cfg(test)]
    if let Some(machine) = seam::machine() {
        return machine.fingerprint(file);
    }
    let look = look_at_open(file)?;
    Ok((look.print, look.links > 0))
}

/// Whether this error only says that nothing is there (any more), or a link is.
pub(super) fn is_absence(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO)
}

/// Opens the folder itself; here links are followed.
pub(super) fn open_root(root: &Path) -> Result<OwnedFd, Errno> {
    #[cfg(test)]
    if seam::machine().is_some() {
        // Its folders are not on any disk.
        return Err(Errno::NOENT);
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    fs::openat(CWD, root, flags, Mode::empty())
}

/// Opens `name` (no `/` in it) in `parent`, not through a link, without touching its access time if allowed.
pub(super) fn open_at(
    parent: impl AsFd,
    name: impl rustix::path::Arg + Copy,
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // Only the owner of a file may leave its access time alone.
    match fs::openat(&parent, name, flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => fs::openat(&parent, name, flags, Mode::empty()),
        other => other,
    }
}

/// Opens the directory at `below` under `root` for reading, through no link.
pub(super) fn open_directory(root: &OwnedFd, below: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    if below.is_empty() {
        return fs::openat(root, c".", flags, Mode::empty());
    }
    if below.split(|&byte| byte == b'/').any(|name| matches!(name, b"" | b"." | b"..")) {
        return Err(Errno::NOENT);
    }
    match fs::openat2(root, below, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        // Linux before 5.6, containers that do not know the call, and paths over 4096 bytes.
        Err(Errno::NOSYS | Errno::PERM | Errno::NAMETOOLONG | Errno::INVAL | Errno::TOOBIG) => {
            step_by_step(root, below, flags)
        }
        other => other,
    }
}

fn step_by_step(root: &OwnedFd, below: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut names = below.split(|&byte| byte == b'/');
    let first = names.next().unwrap_or_default();
    let mut at = fs::openat(root, first, flags, Mode::empty())?;
    for name in names {
        at = fs::openat(&at, name, flags, Mode::empty())?;
    }
    Ok(at)
}

/// The directory that `below` is in (`None`: the root itself) and its last name.
fn parent_of<'a>(root: &OwnedFd, below: &'a [u8]) -> Result<(Option<OwnedFd>, &'a [u8]), Errno> {
    let (parent, name) = match below.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (Some(open_directory(root, &below[..slash])?), &below[slash + 1..]),
        None => (None, below),
    };
    match name {
        b"" | b"." | b".." => Err(Errno::NOENT),
        name => Ok((parent, name)),
    }
}

/// Looks at `name` in `parent`, at a link itself if it is one.
pub(super) fn look_at(parent: impl AsFd, name: impl rustix::path::Arg + Copy) -> Result<Look, Errno> {
    look(parent, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// Looks at an open file or directory.
pub(super) fn look_at_open(open: impl AsFd) -> Result<Look, Errno> {
    look(open, c"", AtFlags::EMPTY_PATH)
}

fn look(at: impl AsFd, name: impl rustix::path::Arg + Copy, flags: AtFlags) -> Result<Look, Errno> {
    let wanted = StatxFlags::TYPE
        | StatxFlags::SIZE
        | StatxFlags::MTIME
        | StatxFlags::CTIME
        | StatxFlags::INO
        | StatxFlags::NLINK;
    match fs::statx(&at, name, flags | AtFlags::NO_AUTOMOUNT, wanted) {
        Ok(found) => Ok(Look {
            kind: FileType::from_raw_mode(found.stx_mode.into()),
            print: Fingerprint {
                size: found.stx_size,
                mtime_ns: nanoseconds(found.stx_mtime.tv_sec, i64::from(found.stx_mtime.tv_nsec)),
                ctime_ns: nanoseconds(found.stx_ctime.tv_sec, i64::from(found.stx_ctime.tv_nsec)),
            },
            device: (found.stx_dev_major, found.stx_dev_minor),
            inode: found.stx_ino,
            links: found.stx_nlink,
            mounted: found
                .stx_attributes_mask
                .contains(StatxAttributes::MOUNT_ROOT)
                .then(|| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)),
        }),
        Err(Errno::NOSYS) => look_in_the_old_way(at, name, flags),
        Err(errno) => Err(errno),
    }
}

/// Linux before 4.11 has no `statx`. (`NO_AUTOMOUNT` came later than `fstatat`, too.)
#[allow(clippy::unnecessary_cast, clippy::useless_conversion)] // the fields' types differ by target
fn look_in_the_old_way(at: impl AsFd, name: impl rustix::path::Arg, flags: AtFlags) -> Result<Look, Errno> {
    let found = fs::statat(at, name, flags)?;
    Ok(Look {
        kind: FileType::from_raw_mode(found.st_mode),
        print: Fingerprint {
            size: found.st_size as u64,
            mtime_ns: nanoseconds(found.st_mtime as i64, found.st_mtime_nsec as i64),
            ctime_ns: nanoseconds(found.st_ctime as i64, found.st_ctime_nsec as i64),
        },
        device: (fs::major(found.st_dev.into()), fs::minor(found.st_dev.into())),
        inode: found.st_ino as u64,
        links: found.st_nlink as u32,
        mounted: None,
    })
}

fn nanoseconds(seconds: i64, rest: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::{MetadataExt, symlink};
    use std::time::{Duration, UNIX_EPOCH};

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        std::fs::write(folder.path().join("a/b/photo.jpg"), "photo").unwrap();
        std::fs::write(folder.path().join("top.jpg"), "top").unwrap();
        symlink("photo.jpg", folder.path().join("a/b/link.jpg")).unwrap();
        symlink("a", folder.path().join("linked")).unwrap();
        symlink("/", folder.path().join("away")).unwrap();
        folder
    }

    #[test]
    fn a_file_is_found_and_read_and_its_times_are_exact() {
        let folder = folder();
        let path = folder.path().join("a/b/photo.jpg");
        // After January 2038, to the nanosecond.
        let later = UNIX_EPOCH + Duration::new(4_102_444_800, 123_456_789);
        File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        let print = stat_one(folder.path(), b"a/b/photo.jpg").unwrap().unwrap();
        let meta = std::fs::metadata(&path).unwrap();
        assert_eq!(print.size, 5);
        assert_eq!(print.mtime_ns, 4_102_444_800_123_456_789);
        assert_eq!(print.ctime_ns, meta.ctime() * 1_000_000_000 + meta.ctime_nsec());
        let mut file = open_one(folder.path(), b"a/b/photo.jpg").unwrap();
        assert_eq!(fingerprint(&file).unwrap(), (print, true));
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "photo");
        assert!(stat_one(folder.path(), b"top.jpg").unwrap().is_some());
        std::fs::remove_file(path).unwrap();
        assert!(!fingerprint(&file).unwrap().1);
    }

    #[test]
    fn links_are_followed_nowhere_below_the_folder() {
        let folder = folder();
        for below in [
            "a/b/link.jpg",
            "linked/b/photo.jpg",
            "away/etc/hostname",
            "linked",
            "a/../top.jpg",
            "a",
            "",
            "gone/x",
            "top.jpg/x",
        ] {
            let below = below.as_bytes();
            assert_eq!(stat_one(folder.path(), below).unwrap(), None);
            assert_eq!(open_one(folder.path(), below).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
        let beside = tempfile::tempdir().unwrap();
        symlink(folder.path(), beside.path().join("root")).unwrap();
        assert!(stat_one(&beside.path().join("root"), b"top.jpg").unwrap().is_some());
    }

    #[test]
    fn nobody_learns_what_lies_behind_a_link_or_above_the_folder() {
        let folder = folder();
        for (below, what) in [
            ("", NoFile::Folder),
            ("a/b", NoFile::Folder),
            ("linked", NoFile::Link),
            ("away", NoFile::Link),
            ("away/etc", NoFile::Nothing),
            ("linked/b", NoFile::Nothing),
            ("../../etc", NoFile::Nothing),
            ("a/..", NoFile::Nothing),
            ("gone", NoFile::Nothing),
            ("top.jpg/x", NoFile::Nothing),
        ] {
            assert_eq!(no_file_but(folder.path(), below.as_bytes()), what, "{below}");
        }
    }

    #[test]
    fn the_way_of_old_kernels_sees_the_same() {
        let folder = folder();
        let root = open_root(folder.path()).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let parent = step_by_step(&root, b"a/b", flags).unwrap();
        assert!(step_by_step(&root, b"linked/b", flags).is_err_and(is_absence));
        let old = look_in_the_old_way(&parent, "photo.jpg", AtFlags::SYMLINK_NOFOLLOW).unwrap();
        assert_eq!(old, Look { mounted: None, ..look_at(&parent, "photo.jpg").unwrap() });
        let old = look_in_the_old_way(&parent, c"", AtFlags::EMPTY_PATH).unwrap();
        assert_eq!(old, Look { mounted: None, ..look_at_open(&parent).unwrap() });
    }

    #[test]
    fn a_pipe_is_no_file_and_does_not_block() {
        let folder = folder();
        let root = open_root(folder.path()).unwrap();
        fs::mknodat(&root, "pipe.jpg", FileType::Fifo, Mode::RWXU, 0).unwrap();
        assert_eq!(stat_one(folder.path(), b"pipe.jpg").unwrap(), None);
        assert!(open_one(folder.path(), b"pipe.jpg").is_err());
    }
}
