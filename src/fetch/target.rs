//! The folder that files are brought to, and the folders in it: nothing is ever written outside.
//!
//! The target is opened once, and whoever named it may have named it through links. Below it every step is
//! one `openat` of one checked name ([`super::place`]) that follows no link, from the folder before: a link
//! that lies in the target, planted or old, ends the way to what is behind it and leads nowhere. This needs
//! no newer kernel than any box has, which `openat2` would.
//!
//! A renamed file survives a power cut once its folder is synced. That is done for many files at a time:
//! [`Target::settle`] before anything is said to be finished, and in between when more than a few dozen
//! folders wait for it. A rename that is lost leaves the whole part file, which the next run takes up.

use std::hash::{DefaultHasher, Hasher as _};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::place::{LONGEST, Place};

/// So many folders may wait to be synced.
const UNSYNCED: usize = 32;
/// So many open folders are remembered: neighbours come one after the other.
const REMEMBERED: usize = 16;
/// Ends the name of a part file.
pub(super) const PART: &[u8] = b".xpand-part";

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The folder that files are brought to.
#[derive(Debug)]
pub struct Target {
    path: PathBuf,
    /// `None`: it is missing, and not to be made.
    root: Option<Arc<Folder>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The folders used last, newest at the end.
    open: Vec<Arc<Folder>>,
    unsynced: Vec<Arc<Folder>>,
}

/// A folder in the target.
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
    /// From the target down.
    names: Vec<Box<[u8]>>,
    /// Part files that lay here when it was opened.
    parts: Vec<Vec<u8>>,
    /// Bytes that a name here may have.
    longest: usize,
    /// Hashes of the names that were here when somebody last wanted to know, sorted.
    seen: Mutex<Vec<u64>>,
}

impl Target {
    /// Opens the folder, and makes it and those above it when they are missing and `make` is wanted.
    /// Without, a missing one is as good as an empty one, in which nothing can be made.
    ///
    /// # Errors
    /// It is no folder, cannot be made or may not be opened.
    pub fn open(path: &Path, make: bool) -> io::Result<Self> {
        if make {
            std::fs::create_dir_all(path)?;
        }
        let root = match fs::open(path, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty()) {
            Ok(fd) => Some(Arc::new(Folder::new(fd, Vec::new())?)),
            Err(Errno::NOENT) if !make => None,
            Err(errno) => return Err(errno.into()),
        };
        Ok(Self { path: path.to_owned(), root, state: Mutex::default() })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that a place lies in; `None` when it is missing and not to be made.
    ///
    /// # Errors
    /// Something that is no folder is in the way, or the disk refuses.
    pub fn folder_of(&self, place: &Place, make: bool) -> io::Result<Option<Arc<Folder>>> {
        self.folder(place.folders(), make)
    }

    /// Makes the folder at a place, if it is missing.
    ///
    /// # Errors
    /// As [`Target::folder_of`].
    pub fn make(&self, place: &Place) -> io::Result<()> {
        self.folder(place.names(), true).map(|_| ())
    }

    fn folder(&self, names: &[Box<[u8]>], make: bool) -> io::Result<Option<Arc<Folder>>> {
        let Some((name, above)) = names.split_last() else { return Ok(self.root.clone()) };
        if let Some(known) = self.remembered(names) {
            return Ok(Some(known));
        }
        let Some(parent) = self.folder(above, make)? else { return Ok(None) };
        let fd = match fs::openat(&parent.fd, &**name, FOLDER, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) if !make => return Ok(None),
            Err(Errno::NOENT) => {
                match fs::mkdirat(&parent.fd, &**name, Mode::from_raw_mode(0o777)) {
                    Ok(()) => self.unsynced(&parent)?,
                    Err(Errno::EXIST) => {}
                    Err(errno) => return Err(refused(errno, &format!("the folder's name {}", show(name)))),
                }
                fs::openat(&parent.fd, &**name, FOLDER, Mode::empty())?
            }
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let is_link = matches!(kind(&parent, name), Ok(FileType::Symlink));
                let what = if is_link { "a link, which is not followed" } else { "a file" };
                let words = format!("where its folder {} belongs there is {what}", show(name));
                return Err(io::Error::new(io::ErrorKind::NotADirectory, words));
            }
            Err(errno) => return Err(errno.into()),
        };
        let folder = Arc::new(Folder::new(fd, names.to_vec())?);
        let mut state = self.state();
        if state.open.len() >= REMEMBERED {
            state.open.remove(0);
        }
        state.open.push(Arc::clone(&folder));
        Ok(Some(folder))
    }

    fn remembered(&self, names: &[Box<[u8]>]) -> Option<Arc<Folder>> {
        let mut state = self.state();
        let at = state.open.iter().position(|folder| folder.names == names)?;
        let folder = state.open.remove(at);
        state.open.push(Arc::clone(&folder));
        Some(folder)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What stands in a folder has changed, and has to be synced some time.
    pub(super) fn unsynced(&self, folder: &Arc<Folder>) -> io::Result<()> {
        let oldest = {
            let mut state = self.state();
            if state.unsynced.iter().any(|known| known.names == folder.names) {
                return Ok(());
            }
            state.unsynced.push(Arc::clone(folder));
            (state.unsynced.len() > UNSYNCED).then(|| state.unsynced.remove(0))
        };
        oldest.map_or(Ok(()), |oldest| oldest.sync())
    }

    /// Makes all that was renamed into place survive a power cut.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn settle(&self) -> io::Result<()> {
        let all = std::mem::take(&mut self.state().unsynced);
        all.iter().try_for_each(|folder| folder.sync())
    }

    /// Bytes that may still be written to this disk, where it says so.
    #[must_use]
    pub fn free(&self, folder: &Folder) -> Option<u64> {
        let disk = fs::fstatvfs(&folder.fd).ok()?;
        // Some network disks know nothing of their size.
        (disk.f_blocks > 0).then(|| disk.f_bavail.saturating_mul(disk.f_frsize))
    }
}

impl Folder {
    fn new(fd: OwnedFd, names: Vec<Box<[u8]>>) -> io::Result<Self> {
        let mut parts = Vec::new();
        for entry in Dir::read_from(&fd)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if name.starts_with(b".") && name.ends_with(PART) {
                parts.push(name);
            }
        }
        let longest = fs::fstatvfs(&fd).map_or(0, |disk| disk.f_namemax);
        let longest = usize::try_from(longest).unwrap_or(0);
        // What cannot be is as good as nothing said.
        let longest = if (64..LONGEST).contains(&longest) { longest } else { LONGEST };
        Ok(Self { fd, names, parts, longest, seen: Mutex::default() })
    }

    pub(super) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Bytes that a name here may have; encrypted disks take fewer than others.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// Part files that lay here when the folder was opened and whose names begin so.
    pub(super) fn parts<'a>(&'a self, start: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.parts.iter().map(Vec::as_slice).filter(move |name| name.starts_with(start))
    }

    /// What is at a name, links not followed; `None`: nothing.
    pub(super) fn stat(&self, name: &[u8]) -> io::Result<Option<Stat>> {
        match fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(refused(errno, "its name")),
        }
    }

    /// Whether a name stands in the folder just so, letter by letter: a disk may take `a` for `A`, and a
    /// long name for its short one. The folder is read once for all names that were in it then.
    pub(super) fn has_exactly(&self, name: &[u8]) -> io::Result<bool> {
        let hash = |name: &[u8]| {
            let mut hasher = DefaultHasher::new();
            hasher.write(name);
            hasher.finish()
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.binary_search(&hash(name)).is_ok() {
            return Ok(true);
        }
        seen.clear();
        for entry in Dir::read_from(&self.fd)? {
            seen.push(hash(entry?.file_name().to_bytes()));
        }
        seen.sort_unstable();
        Ok(seen.binary_search(&hash(name)).is_ok())
    }

    /// Opens the ordinary file of that name for reading.
    pub(super) fn open(&self, name: &[u8]) -> io::Result<std::fs::File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        Ok(fs::openat(&self.fd, name, flags, Mode::empty())?.into())
    }

    fn sync(&self) -> io::Result<()> {
        match fs::fsync(&self.fd) {
            // Some file systems have nothing to sync in a folder, and say so.
            Ok(()) | Err(Errno::INVAL | Errno::NOTSUP) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

fn kind(folder: &Folder, name: &[u8]) -> io::Result<FileType> {
    let stat = folder.stat(name)?.ok_or(io::ErrorKind::NotFound)?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}

/// What the disk says to a name, in words where its own are of no use.
pub(super) fn refused(errno: Errno, what: &str) -> io::Error {
    match errno {
        // exFAT through FUSE says that there is nothing of that name.
        Errno::INVAL | Errno::ILSEQ | Errno::NOENT => {
            let words =
                format!("this disk does not take {what} as it is (FAT and NTFS take no \\ : * ? \" < > |)");
            io::Error::new(io::ErrorKind::InvalidFilename, words)
        }
        Errno::NAMETOOLONG => {
            io::Error::new(io::ErrorKind::InvalidFilename, format!("{what} is too long for this disk"))
        }
        errno => errno.into(),
    }
}

/// A name for words; whoever prints it escapes it.
fn show(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn place(path: &str) -> Place {
        Place::of(path.as_bytes()).unwrap()
    }

    #[test]
    fn folders_are_made_below_the_target_and_links_lead_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        let target = Target::open(&dir.path().join("a/target"), true).unwrap();
        std::os::unix::fs::symlink(&outside, dir.path().join("a/target/link")).unwrap();
        assert!(target.folder_of(&place("new/deep/x"), false).unwrap().is_none());
        assert!(target.folder_of(&place("new/deep/x"), true).unwrap().is_some());
        assert!(dir.path().join("a/target/new/deep").is_dir());
        let refused = target.folder_of(&place("link/x"), true).unwrap_err().to_string();
        assert_eq!(refused, "where its folder link belongs there is a link, which is not followed");
        assert!(target.make(&place("link/x/y")).is_err());
        assert_eq!(std::fs::read_dir(outside).unwrap().count(), 0);
        target.settle().unwrap();
    }

    #[test]
    fn a_file_in_a_folders_place_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), "x").unwrap();
        let target = Target::open(dir.path(), false).unwrap();
        let refused = target.folder_of(&place("f/x"), true).unwrap_err().to_string();
        assert_eq!(refused, "where its folder f belongs there is a file");
    }

    #[test]
    fn names_are_known_letter_by_letter_also_those_that_came_later() {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::open(dir.path(), false).unwrap();
        let folder = target.folder_of(&place("x"), false).unwrap().unwrap();
        std::fs::write(dir.path().join("A.jpg"), "x").unwrap();
        assert!(folder.has_exactly(b"A.jpg").unwrap() && !folder.has_exactly(b"a.jpg").unwrap());
        std::fs::write(dir.path().join("a.jpg"), "x").unwrap();
        assert!(folder.has_exactly(b"A.jpg").unwrap() && folder.has_exactly(b"a.jpg").unwrap());
    }

    #[test]
    fn more_folders_than_are_remembered_are_all_made_and_synced() {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::open(dir.path(), false).unwrap();
        for number in 0..100 {
            target.make(&place(&format!("{number}/{number}"))).unwrap();
        }
        assert!(target.state().unsynced.len() <= UNSYNCED && target.state().open.len() <= REMEMBERED);
        target.settle().unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 100);
    }
}
