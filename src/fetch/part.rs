//! A file on its way home: a part file beside the place it belongs to, hidden, renamed when it is whole.
//!
//! ```text
//! .IMG_0001.JPG.5f3a09c21be8d774.xpand-part
//! ```
//!
//! The digits are of what is being fetched: remote path, id, size, listed md5. So a part is only ever taken
//! up for the content it was begun for, and needs no second file to say so. Parts of the same name for other
//! content - the file changed in the cloud meanwhile - are removed.
//!
//! # What a crash costs
//!
//! Nothing is synced before the end, so after a power cut a part may hold anything, at any length. It is
//! therefore read again and hashed when it is taken up, and the check at the end is over all of its bytes:
//! what went wrong on this disk shows there, and the file is fetched once more from the start. Where there
//! is nothing to check against, an old part is not trusted: the file is fetched anew ([`Part::was_found`]).
//! Only a whole, checked and synced file gets its name.
//!
//! Two programs that fetch the same file do not write into one part: it is locked while it is open.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{self, AtFlags, FlockOperation, Mode, OFlags, RenameFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::digest::Digest;
use super::target::{Folder, PART, Target, refused};
use crate::cloud::Content;
use crate::content::Md5;

/// What a file is read in.
const PIECE: usize = 256 << 10;

/// A part file, open and locked, with the MD5s of what is in it.
pub(super) struct Part {
    file: File,
    name: Vec<u8>,
    folder: Arc<Folder>,
    digest: Digest,
    slice_sizes: Vec<u64>,
    /// There was something in it when it was opened.
    found: bool,
}

/// What became of a part that was put in its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Placed {
    /// It has its name.
    Done,
    /// Something has that name already; the part is gone.
    Taken,
}

impl Part {
    /// Opens the part of the file `name` with the content that `identity` says, makes it when there is none,
    /// and hashes what is in it. It never has more than `size` bytes.
    ///
    /// # Errors
    /// The disk refuses, has no room ([`io::ErrorKind::StorageFull`]), or another program has it open
    /// ([`io::ErrorKind::WouldBlock`]).
    pub(super) fn open(
        target: &Target,
        folder: Arc<Folder>,
        name: &[u8],
        identity: Md5,
        size: u64,
        slice_sizes: Vec<u64>,
    ) -> io::Result<Self> {
        let part = part_name(name, identity, folder.longest());
        for old in folder.parts(&part[..part.len() - PART.len() - DIGITS]) {
            if *old != part && old.len() == part.len() {
                let _ = fs::unlinkat(folder.fd(), old, AtFlags::empty());
            }
        }
        let mut file = open_locked(&folder, &part)?;
        let mut length = file.metadata()?.len();
        if length > size {
            file.set_len(0)?;
            length = 0;
        }
        if let Err(error) = has_room(&mut file, target.free(&folder), size, length) {
            if length == 0 {
                let _ = fs::unlinkat(folder.fd(), &part[..], AtFlags::empty());
            }
            return Err(error);
        }
        let digest = Digest::new(&slice_sizes);
        let mut this = Self { file, name: part, folder, digest, slice_sizes, found: length > 0 };
        hash(&mut this.file, &mut this.digest)?;
        Ok(this)
    }

    /// Bytes that are there.
    pub(super) fn length(&self) -> u64 {
        self.digest.size()
    }

    /// Whether some of its bytes were there before this run.
    pub(super) fn was_found(&self) -> bool {
        self.found
    }

    /// The whole's MD5 is enough, from now on.
    pub(super) fn forget_slices(&mut self) {
        self.digest.forget_slices();
    }

    /// Adds bytes.
    pub(super) fn write(mut self, pieces: &[Bytes]) -> io::Result<Self> {
        for piece in pieces {
            self.file.write_all(piece)?;
            self.digest.update(piece);
        }
        Ok(self)
    }

    /// Begins again from nothing.
    pub(super) fn empty(mut self) -> io::Result<Self> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.digest = Digest::new(&self.slice_sizes);
        self.found = false;
        Ok(self)
    }

    /// The MD5s of what is there.
    pub(super) fn content(&self) -> Content {
        self.digest.end()
    }

    /// Takes it away.
    pub(super) fn remove(self) -> io::Result<()> {
        fs::unlinkat(self.folder.fd(), &self.name[..], AtFlags::empty()).map_err(Into::into)
    }

    /// Gives it its time, syncs it, and puts it in its place; over what is there only when `replace` is
    /// wanted.
    pub(super) fn place(
        self,
        target: &Target,
        name: &[u8],
        mtime: Option<(i64, u32)>,
        replace: bool,
    ) -> io::Result<Placed> {
        if let Some((secs, nanos)) = mtime {
            let time = Timespec { tv_sec: secs, tv_nsec: nanos.into() };
            // A time that the disk cannot have is no reason to be without the file.
            let _ = fs::futimens(&self.file, &Timestamps { last_access: time, last_modification: time });
        }
        self.file.sync_all()?;
        let fd = self.folder.fd();
        let moved = if replace {
            fs::renameat(fd, &self.name[..], fd, name)
        } else {
            rename_where_nothing_is(fd, &self.name, name)
        };
        match moved {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                self.remove()?;
                return Ok(Placed::Taken);
            }
            Err(errno) => return Err(errno.into()),
        }
        target.unsynced(&self.folder)?;
        Ok(Placed::Done)
    }
}

/// There is not enough space for a file; words for a person are made where sizes are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{wanted} bytes are wanted and {free} are free")]
pub struct NoRoom {
    /// Bytes that are still to come.
    pub wanted: u64,
    /// Bytes that may be written.
    pub free: u64,
}

/// Whether a file that has `length` bytes may come to have `size`.
fn has_room(file: &mut File, free: Option<u64>, size: u64, length: u64) -> io::Result<()> {
    // No disk lets anybody stand where its files cannot reach: FAT ends them at 4 GiB, and a film would show
    // that only after so much of it has come.
    if file.seek(SeekFrom::Start(size)).is_err() {
        let words = "this disk takes no file of its size (FAT: 4 GiB)";
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, words));
    }
    file.rewind()?;
    match free {
        Some(free) if free < size - length => {
            Err(io::Error::new(io::ErrorKind::StorageFull, NoRoom { wanted: size - length, free }))
        }
        _ => Ok(()),
    }
}

/// Whether a whole part of this file waits for its name: what is empty in the file's place is then ours, see
/// [`rename_by_placeholder`].
pub(super) fn waits_whole(folder: &Folder, name: &[u8], size: u64) -> io::Result<bool> {
    let part = part_name(name, Md5::of(""), folder.longest());
    for old in folder.parts(&part[..part.len() - PART.len() - DIGITS]) {
        let is_whole = |stat: fs::Stat| u64::try_from(stat.st_size).is_ok_and(|there| there == size);
        if old.len() == part.len() && folder.stat(old)?.is_some_and(is_whole) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Hashes an open file from its beginning; it stands at its end then.
pub(super) fn hash(file: &mut File, digest: &mut Digest) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => digest.update(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Digits of the identity in a part's name.
const DIGITS: usize = 16;

/// See the module. A name that would become longer than the disk takes is cut, between two characters, and
/// digits of the whole name tell it from others that begin so.
fn part_name(name: &[u8], identity: Md5, longest: usize) -> Vec<u8> {
    let room = longest.saturating_sub(2 + DIGITS + PART.len());
    let digits = identity.to_string();
    let mut short = name.to_vec();
    if name.len() > room {
        let whole = Md5::of(name).to_string();
        let mut end = room.saturating_sub(1 + DIGITS);
        while std::str::from_utf8(name).is_ok_and(|name| !name.is_char_boundary(end)) {
            end -= 1;
        }
        short = [&name[..end], b"~", &whole.as_bytes()[..DIGITS]].concat();
    }
    [b".", &short[..], b".", &digits.as_bytes()[..DIGITS], PART].concat()
}

/// Opens the part for this program alone. What has its name and is no part of ours is put aside: a link, or a
/// file that has another name too, is not written into.
fn open_locked(folder: &Folder, name: &[u8]) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    for _ in 0..3 {
        let file: File = match fs::openat(folder.fd(), name, flags, Mode::from_raw_mode(0o666)) {
            Ok(fd) => fd.into(),
            Err(Errno::LOOP | Errno::NXIO) => {
                fs::unlinkat(folder.fd(), name, AtFlags::empty())?;
                continue;
            }
            Err(errno) => return Err(refused(errno, "its name")),
        };
        let meta = file.metadata()?;
        if !meta.is_file() || meta.nlink() > 1 {
            fs::unlinkat(folder.fd(), name, AtFlags::empty())?;
            continue;
        }
        match fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let words = "another xpand is fetching it at this moment";
                return Err(io::Error::new(io::ErrorKind::WouldBlock, words));
            }
            // Disks without locks: then nobody can look after two programs at once.
            Err(_) => return Ok(file),
        }
        // Whoever had it locked before us may have put it in its place, or taken it away.
        let here = folder.stat(name)?.is_some_and(|now| now.st_ino == meta.ino());
        if here {
            return Ok(file);
        }
    }
    Err(io::Error::other("its part file is changed by somebody else all the time"))
}

/// Renames, and never over anything, on file systems that cannot say so in one call, too.
fn rename_where_nothing_is(fd: &std::os::fd::OwnedFd, from: &[u8], to: &[u8]) -> Result<(), Errno> {
    match fs::renameat_with(fd, from, fd, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
        answer => return answer,
    }
    match fs::linkat(fd, from, fd, to, AtFlags::empty()) {
        Ok(()) => return fs::unlinkat(fd, from, AtFlags::empty()),
        Err(Errno::PERM | Errno::NOTSUP | Errno::NOSYS | Errno::MLINK | Errno::INVAL) => {}
        Err(errno) => return Err(errno),
    }
    rename_by_placeholder(fd, from, to)
}

/// An empty file of our own takes the name first, and only that is replaced. A crash in between leaves it
/// beside the whole part, by which the next run knows it: [`waits_whole`].
fn rename_by_placeholder(fd: &std::os::fd::OwnedFd, from: &[u8], to: &[u8]) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    drop(fs::openat(fd, to, flags, Mode::from_raw_mode(0o666))?);
    fs::renameat(fd, from, fd, to)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::fetch::place::Place;

    struct Bench {
        dir: tempfile::TempDir,
        target: Target,
        folder: Arc<Folder>,
    }

    fn bench() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::open(dir.path(), false).unwrap();
        let folder = target.folder_of(&Place::of(b"x").unwrap(), true).unwrap().unwrap();
        Bench { dir, target, folder }
    }

    impl Bench {
        fn open(&self, name: &[u8], size: u64) -> io::Result<Part> {
            let folder = self.target.folder_of(&Place::of(b"x").unwrap(), true)?.unwrap();
            Part::open(&self.target, folder, name, Md5::of("v1"), size, Vec::new())
        }

        fn names(&self) -> Vec<String> {
            let entries = std::fs::read_dir(self.dir.path()).unwrap().map(Result::unwrap);
            let mut names: Vec<_> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            names
        }
    }

    #[test]
    fn a_part_goes_on_where_it_was_and_gets_its_name_and_time() {
        let bench = bench();
        let part = bench.open(b"a.jpg", 6).unwrap().write(&[Bytes::from_static(b"abc")]).unwrap();
        assert!(!part.was_found());
        drop(part);
        let part = bench.open(b"a.jpg", 6).unwrap();
        assert_eq!((part.length(), part.was_found()), (3, true));
        let part = part.write(&[Bytes::from_static(b"d"), Bytes::from_static(b"ef")]).unwrap();
        assert_eq!(part.content().md5, Md5::of("abcdef"));
        assert_eq!(
            part.place(&bench.target, b"a.jpg", Some((1_500_000_000, 7)), false).unwrap(),
            Placed::Done
        );
        assert_eq!(bench.names(), ["a.jpg"]);
        let meta = std::fs::metadata(bench.dir.path().join("a.jpg")).unwrap();
        assert_eq!((meta.len(), meta.mtime(), meta.nlink()), (6, 1_500_000_000, 1));
    }

    #[test]
    fn what_is_there_is_replaced_only_when_it_is_wanted() {
        let bench = bench();
        std::fs::write(bench.dir.path().join("a"), "mine").unwrap();
        let part = bench.open(b"a", 1).unwrap().write(&[Bytes::from_static(b"x")]).unwrap();
        assert_eq!(part.place(&bench.target, b"a", None, false).unwrap(), Placed::Taken);
        assert_eq!(std::fs::read(bench.dir.path().join("a")).unwrap(), b"mine");
        let part = bench.open(b"a", 1).unwrap().write(&[Bytes::from_static(b"x")]).unwrap();
        assert_eq!(part.place(&bench.target, b"a", None, true).unwrap(), Placed::Done);
        assert_eq!(std::fs::read(bench.dir.path().join("a")).unwrap(), b"x");
        assert_eq!(bench.names(), ["a"]);
    }

    #[test]
    fn a_part_of_other_content_is_removed_and_one_that_is_too_long_begins_again() {
        let bench = bench();
        drop(bench.open(b"a", 9).unwrap().write(&[Bytes::from_static(b"12345")]).unwrap());
        assert_eq!(bench.open(b"a", 4).unwrap().length(), 0, "shorter than what is there");
        let again = Target::open(bench.dir.path(), false).unwrap();
        let folder = again.folder_of(&Place::of(b"x").unwrap(), true).unwrap().unwrap();
        let other = Part::open(&again, folder, b"a", Md5::of("v2"), 9, Vec::new()).unwrap();
        assert_eq!(other.length(), 0);
        assert_eq!(bench.names().len(), 1);
    }

    #[test]
    fn a_part_is_written_by_one_and_never_through_a_link() {
        let bench = bench();
        let first = bench.open(b"a", 9).unwrap();
        assert_eq!(bench.open(b"a", 9).err().unwrap().kind(), io::ErrorKind::WouldBlock);
        first.remove().unwrap();
        let (name, victim) = (part_name(b"a", Md5::of("v1"), 255), bench.dir.path().join("victim"));
        std::fs::write(&victim, "keep").unwrap();
        let name = bench.dir.path().join(String::from_utf8(name).unwrap());
        std::os::unix::fs::symlink(&victim, &name).unwrap();
        drop(bench.open(b"a", 2).unwrap().write(&[Bytes::from_static(b"x")]).unwrap());
        std::fs::remove_file(&name).unwrap();
        std::fs::hard_link(&victim, &name).unwrap();
        drop(bench.open(b"a", 2).unwrap().write(&[Bytes::from_static(b"x")]).unwrap());
        assert_eq!(std::fs::read(victim).unwrap(), b"keep");
    }

    #[test]
    fn the_name_of_a_part_is_one_that_the_disk_takes_and_no_other_files() {
        assert_eq!(part_name(&[b'x'; 255], Md5::of(""), 255).len(), 255);
        assert_eq!(part_name(b"a.jpg", Md5::of(""), 255), b".a.jpg.d41d8cd98f00b204.xpand-part");
        // eCryptfs, of which some NAS make their shares, takes 143 bytes.
        assert_eq!(part_name(&[b'x'; 143], Md5::of(""), 143).len(), 143);
        // Disks that take only UTF-8 take no half of a character.
        for cut in 0..3 {
            let name = [&b"xxx"[..cut], "照".repeat(84).as_bytes()].concat();
            let part = String::from_utf8(part_name(&name, Md5::of(""), 255)).unwrap();
            assert!((250..=255).contains(&part.len()), "{part}");
        }
        let (one, other) = ([b'x'; 254], [&[b'x'; 253][..], b"y"].concat());
        let start = |name: &[u8]| part_name(name, Md5::of(""), 255)[..230].to_vec();
        assert_ne!(start(&one), start(&other));
    }

    #[test]
    fn long_names_that_begin_alike_keep_their_parts() {
        let bench = bench();
        let names = [[b'x'; 254].to_vec(), [&[b'x'; 253][..], b"y"].concat()];
        for name in &names {
            drop(bench.open(name, 9).unwrap().write(&[Bytes::from_static(b"12345")]).unwrap());
        }
        let again = Target::open(bench.dir.path(), false).unwrap();
        for name in &names {
            let folder = again.folder_of(&Place::of(b"x").unwrap(), true).unwrap().unwrap();
            let part = Part::open(&again, folder, name, Md5::of("v1"), 9, Vec::new()).unwrap();
            assert_eq!(part.length(), 5);
        }
    }

    #[test]
    fn what_is_too_large_for_the_disk_is_not_begun() {
        let bench = bench();
        let error = bench.open(b"a", u64::MAX).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert!(bench.names().is_empty());
    }

    #[test]
    fn a_placeholder_takes_the_name_only_where_nothing_is() {
        let bench = bench();
        let fd = bench.folder.fd();
        std::fs::write(bench.dir.path().join("part"), "new").unwrap();
        std::fs::write(bench.dir.path().join("a"), "mine").unwrap();
        assert_eq!(rename_by_placeholder(fd, b"part", b"a"), Err(Errno::EXIST));
        rename_by_placeholder(fd, b"part", b"b").unwrap();
        assert_eq!(std::fs::read(bench.dir.path().join("a")).unwrap(), b"mine");
        assert_eq!(std::fs::read(bench.dir.path().join("b")).unwrap(), b"new");
        assert_eq!(bench.names(), ["a", "b"]);
    }

    #[test]
    fn there_is_room_or_it_is_not_begun() {
        let bench = bench();
        let error = bench.open(b"a", 1 << 43).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(error.get_ref().unwrap().is::<NoRoom>());
        assert!(bench.names().is_empty());
        assert!(Arc::strong_count(&bench.folder) >= 1);
    }
}
