//! Files that survive a power cut: replaced whole, or not at all, and really on the disk.
//!
//! It also makes sled's flush real. sled 0.34.7 calls `sync_file_range` where it means fsync, which
//! does not wait for the disk's cache nor write the file's size. This module defines that symbol for
//! the whole program and calls `fdatasync` instead; [`sync_count`] lets a test prove on every target
//! that the linker took ours.
//!
//! What root makes here in a folder of another user's belongs to that user: the agent has a user of its own, and
//! `sudo xpand account login` must leave nothing behind that it cannot open.

use std::ffi::c_int;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Gid, Mode, OFlags, Uid};

static SYNCS: AtomicU64 = AtomicU64::new(0);

/// How often sled asked for its data to be on the disk since the program started.
#[must_use]
pub fn sync_count() -> u64 {
    SYNCS.load(Ordering::Relaxed)
}

/// Takes the place of the C library's `sync_file_range` in this program: a whole `fdatasync`.
///
/// The offsets are 64 bits wide in C (`off64_t`); they are not used, and on 32-bit ARM the calling
/// convention passes them where reading none of them does no harm.
#[unsafe(no_mangle)]
#[allow(unsafe_code)]
pub extern "C" fn sync_file_range(fd: c_int, _offset: i64, _bytes: i64, _flags: u32) -> c_int {
    SYNCS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: the caller owns `fd` and keeps it open for the call, as with the function it replaces.
    let file = unsafe { BorrowedFd::borrow_raw(fd) };
    match rustix::fs::fdatasync(file) {
        Ok(()) => 0,
        Err(errno) => {
            set_errno(errno.raw_os_error());
            -1
        }
    }
}

/// sled reads `errno` after a -1.
#[allow(unsafe_code)]
fn set_errno(errno: c_int) {
    unsafe extern "C" {
        fn __errno_location() -> *mut c_int;
    }
    // SAFETY: glibc and musl both return a valid pointer to this thread's errno.
    unsafe { *__errno_location() = errno };
}

/// Puts `bytes` in the place of the file at `path`: written beside it, fsynced, renamed, folder fsynced.
///
/// After an error or a crash the old file stands as it was; a `.new` file may lie beside it and is
/// written over the next time. `mode` is the new file's, e.g. `0o600`.
///
/// # Errors
/// Whatever the file system says; on `ENOSPC` the old file stands.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    // Removed first: an old one could be a link, or have a mode that lets others read it.
    match fs::remove_file(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = create_new(beside, mode)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(beside, path)?;
    sync_folder_of(path)
}

/// Removes the file at `path`, durably. That it was not there is fine.
///
/// # Errors
/// Whatever the file system says.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => sync_folder_of(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes what was created, renamed or removed in `path`'s folder survive a power cut.
///
/// # Errors
/// Whatever the file system says.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the folder at `path` and those above it that are not there, each with this mode. That it is there
/// already is fine.
///
/// # Errors
/// Whatever the file system says.
pub fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    make_folder(folder_of(path), mode)?;
    match fs::DirBuilder::new().mode(mode).create(path) {
        Ok(()) => {
            // Not through a link that somebody has put there since.
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            hand_over(rustix::fs::open(path, flags, Mode::empty())?, path)?;
            sync_folder_of(path)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// The same for the folder of the file at `path`.
///
/// # Errors
/// Whatever the file system says.
pub fn make_folder_of(path: &Path, mode: u32) -> io::Result<()> {
    make_folder(folder_of(path), mode)
}

/// A file that was not there: also no link.
fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    hand_over(&file, path)?;
    Ok(file)
}

/// Gives what root has just made to whoever the folder belongs to.
fn hand_over(made: impl AsFd, path: &Path) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let folder = fs::metadata(folder_of(path))?;
    if folder.uid() == 0 {
        return Ok(());
    }
    let (user, group) = (Uid::from_raw(folder.uid()), Gid::from_raw(folder.gid()));
    Ok(rustix::fs::fchown(made, Some(user), Some(group))?)
}

/// Refuses a file of ours, JSON with a `version` in it, that a later xpand has written: it is left as it is.
/// `instead` is what a person can do who does not want that one again.
///
/// # Errors
/// [`io::ErrorKind::Unsupported`], with the words for that person: it is no damaged file, which may be set aside. Of
/// all else that may be wrong with it nothing.
pub fn refuse_newer(json: &[u8], known: u32, instead: &str) -> io::Result<()> {
    #[derive(serde::Deserialize)]
    struct Format {
        version: u32,
    }
    match serde_json::from_slice(json) {
        Ok(Format { version }) if version > known => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!(
                "it was written by a newer xpand (format {version}, this one knows {known}): \
                 install that one again, or {instead}"
            ),
        )),
        _ => Ok(()),
    }
}

/// Tells one state of a file from the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stamp(Option<(i64, i64, u64, u64)>);

impl Stamp {
    /// Of the file as it is now; a file that is not there has one too.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let meta = std::fs::metadata(path).ok();
        Self(meta.map(|meta| (meta.mtime(), meta.mtime_nsec(), meta.size(), meta.ino())))
    }
}

/// A lock that other processes see, held until dropped (or until the process dies).
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the lock at `path`. Blocks: call it where blocking is allowed.
    ///
    /// # Errors
    /// The lock file cannot be made or locked.
    pub fn wait(path: &Path) -> io::Result<Self> {
        let file = Self::file(path)?;
        file.lock()?;
        Ok(Self { _file: file })
    }

    /// Takes the lock at `path` if nobody has it.
    ///
    /// # Errors
    /// The lock file cannot be made or locked.
    pub fn try_take(path: &Path) -> io::Result<Option<Self>> {
        loop {
            let file = Self::file(path)?;
            match file.try_lock() {
                // Whoever had it may have removed it meanwhile: then the lock of that name is another file.
                Ok(()) if !Self::is_at(&file, path)? => {}
                Ok(()) => return Ok(Some(Self { _file: file })),
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    fn is_at(file: &File, path: &Path) -> io::Result<bool> {
        let own = file.metadata()?;
        match fs::metadata(path) {
            Ok(there) => Ok((there.dev(), there.ino()) == (own.dev(), own.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether somebody has the lock at `path`. While this finds out, nobody else gets it; whoever tries once
    /// has to reckon with that.
    #[must_use]
    pub fn is_held(path: &Path) -> bool {
        File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    fn file(path: &Path) -> io::Result<File> {
        match create_new(path, 0o600) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)
            }
            made => made,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_replaced_file_is_whole_and_private_even_when_a_half_written_one_lies_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        fs::write(folder.path().join("tokens.json.new"), "half").unwrap();
        replace(&path, b"first", 0o600).unwrap();
        replace(&path, b"second", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_root_makes_in_anothers_folder_is_the_others() {
        const NOBODY: u32 = 65_534;
        if !rustix::process::geteuid().is_root() {
            println!("SKIPPED: only root can make something that is another's");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        let accounts = folder.path().join("state/accounts");
        make_folder(&accounts, 0o700).unwrap();
        let tokens = accounts.join("home.json");
        drop(Lock::wait(&tokens.with_extension("lock")).unwrap());
        for text in ["first", "second"] {
            replace(&tokens, text.as_bytes(), 0o600).unwrap();
        }
        for path in [&accounts, &tokens, &tokens.with_extension("lock"), &folder.path().join("state")] {
            let meta = fs::metadata(path).unwrap();
            assert_eq!((meta.uid(), meta.gid()), (NOBODY, NOBODY), "{}", path.display());
            assert_eq!(meta.permissions().mode() & 0o077, 0, "{}", path.display());
        }
    }

    #[test]
    fn only_what_says_that_it_is_newer_is_refused_for_that() {
        for good in ["{\"version\":1}", "{\"version\":0}", "{}", "", "{\"version\":-1}", "not json"] {
            refuse_newer(good.as_bytes(), 1, "").unwrap();
        }
        let refused = refuse_newer(b"{\"version\":2,\"new\":[]}", 1, "begin anew").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::Unsupported);
        let words = "it was written by a newer xpand (format 2, this one knows 1): install that one again, or begin anew";
        assert_eq!(refused.to_string(), words);
    }

    #[test]
    fn a_lock_is_held_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = Lock::wait(&path).unwrap();
        assert!(Lock::try_take(&path).unwrap().is_none());
        drop(held);
        assert!(Lock::try_take(&path).unwrap().is_some());
    }
}
