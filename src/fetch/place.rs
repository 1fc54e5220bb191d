//! Where a file belongs below the target: names that were looked at one by one.
//!
//! Names come from the cloud, where anybody may have written them: a share that was saved, another program,
//! a stranger with the password. A path is never handed to the disk as it came. It is split at `/`, and
//! each name must be one that can stand in a folder: not empty, not `.` or `..`, no zero byte, at most
//! [`LONGEST`] bytes. Anything else is a name: control characters, blanks and bytes that are no UTF-8 come
//! home as they were.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// The longest name of Linux's file systems, bytes.
pub const LONGEST: usize = 255;

/// The longest path, bytes (`PATH_MAX` with its zero). It also bounds how deep folders lie in each other.
const DEEPEST: usize = 4095;

/// A path below the target, at least one name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place(Vec<Box<[u8]>>);

/// Why a name cannot exist on the disk, in words.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadName(String);

impl Place {
    /// The place of a relative path, `/` between names.
    ///
    /// # Errors
    /// One of the names cannot exist.
    pub fn of(below: &[u8]) -> Result<Self, BadName> {
        if below.len() > DEEPEST {
            return Err(BadName(format!("its path has {} bytes, and Linux takes {DEEPEST}", below.len())));
        }
        below.split(|&byte| byte == b'/').map(name).collect::<Result<_, _>>().map(Self)
    }

    /// The names of the folders it lies in, from the target down.
    #[must_use]
    pub fn folders(&self) -> &[Box<[u8]>] {
        self.0.split_last().map_or(&[], |(_, folders)| folders)
    }

    /// All names.
    #[must_use]
    pub fn names(&self) -> &[Box<[u8]>] {
        &self.0
    }

    /// The last name.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.0.last().map_or(b"", |name| name)
    }

    /// The path below a folder.
    #[must_use]
    pub fn under(&self, folder: &Path) -> PathBuf {
        let mut path = folder.to_owned();
        path.extend(self.0.iter().map(|name| OsStr::from_bytes(name)));
        path
    }
}

fn name(name: &[u8]) -> Result<Box<[u8]>, BadName> {
    let bad = |words: &str| Err(BadName(words.to_owned()));
    match name {
        b"" => bad("its path has an empty name, which cannot exist on a disk"),
        b"." | b".." => bad("its path has a name of dots, which would lead elsewhere"),
        _ if name.contains(&0) => bad("its name has a zero byte, which cannot exist on a disk"),
        _ if name.len() > LONGEST => {
            Err(BadName(format!("its name has {} bytes, and a disk takes {LONGEST}", name.len())))
        }
        _ => Ok(name.into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_or_cannot_exist_are_refused() {
        let long = "x".repeat(256);
        for bad in ["", "/", "/etc/passwd", "..", ".", "a/../../b", "a//b", "a/", "a\0b", "a/./b", &long] {
            assert!(Place::of(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_path_that_nobody_could_name_is_refused_and_the_deepest_other_is_not() {
        assert!(Place::of("a/".repeat(2048).trim_end_matches('/').as_bytes()).is_ok());
        assert!(Place::of(&b"a/".repeat(1_000_000)[..1_999_999]).is_err());
    }

    #[test]
    fn every_other_name_stays_as_it_is() {
        let long = [b'x'; 255];
        for good in [&b"a/b"[..], b"...", b" a ", b"\x1b[2J", b"\xff\xfe", b"a\nb", b"..a", &long] {
            let place = Place::of(good).unwrap();
            assert_eq!(place.under(Path::new("/t")).as_os_str().as_bytes(), [b"/t/", good].concat());
        }
        let place = Place::of(b"a/b/c").unwrap();
        assert_eq!((place.folders().len(), place.name()), (2, &b"c"[..]));
    }
}
