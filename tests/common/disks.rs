//! Disks for a test, gone at its end. They need root, and some of them tools that are not everywhere.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Something that is mounted at a place, until it is dropped.
pub struct Mounted(PathBuf);

impl Mounted {
    /// Calls `mount` with these options; makes the place where there is none. `None`, and a word about it,
    /// where this user may not mount.
    pub fn new(place: &Path, options: &[impl AsRef<OsStr>]) -> Option<Self> {
        fs::create_dir_all(place).unwrap();
        if is_done(Command::new("mount").args(options).arg(place)) {
            return Some(Self(place.to_owned()));
        }
        let options: Vec<_> = options.iter().map(AsRef::as_ref).collect();
        println!("SKIPPED: mounting needs root: mount {options:?}");
        None
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        unmount(&self.0);
    }
}

/// Unmounts what is at a place, however busy it is. Whether there was something.
pub fn unmount(place: &Path) -> bool {
    is_done(Command::new("umount").arg("-l").arg(place))
}

/// Whether a command could be run and did what it was to do. Nobody hears what it says.
pub fn is_done(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
