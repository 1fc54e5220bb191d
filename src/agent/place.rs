//! The state folder: made when missing, ours alone, on a disk that keeps what it is given.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::durable::{self, Lock};

/// Why the state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// Another agent runs on it.
    #[error("another xpand agent{} is using {}; stop it first, or set another agent.state_dir", pid_words(.pid), .path.display())]
    Taken {
        /// The folder.
        path: PathBuf,
        /// Who it is, when it says so.
        pid: Option<u32>,
    },
    /// It is on a network file system, where locks and syncs cannot be relied on.
    #[error(
        "{} is on a network file system ({kind}), which cannot keep the state safe; \
         set agent.state_dir to a folder on this box's own disk",
        path.display()
    )]
    Network {
        /// The folder.
        path: PathBuf,
        /// Which.
        kind: &'static str,
    },
    /// The file system refuses. What to do about it depends on why: see `cli/failed.rs`.
    #[error("cannot use the state folder {}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
}

fn pid_words(pid: &Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

/// The state folder, held until dropped.
#[derive(Debug)]
pub struct Place {
    _lock: Lock,
}

impl Place {
    /// Makes the folder when it is missing, and takes it for this process.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub fn take(path: &Path) -> Result<Self, PlaceError> {
        let io = |source| PlaceError::Io { path: path.into(), source };
        durable::make_folder(&path.join("accounts"), 0o700).map_err(io)?;
        if let Some(kind) = network_file_system(path).map_err(io)? {
            return Err(PlaceError::Network { path: path.into(), kind });
        }
        let file = path.join("agent.lock");
        let Some(lock) = Lock::try_take(&file).map_err(io)? else {
            let pid = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
            return Err(PlaceError::Taken { path: path.into(), pid });
        };
        // Written in place: replacing the file would leave the lock on the old one.
        fs::write(&file, format!("{}\n", std::process::id())).map_err(io)?;
        fs::set_permissions(path.join("accounts"), fs::Permissions::from_mode(0o700)).map_err(io)?;
        Ok(Self { _lock: lock })
    }
}

/// The kind of network file system that `path` is on, if it is on one.
fn network_file_system(path: &Path) -> io::Result<Option<&'static str>> {
    // Numbers from Linux's magic.h; compared as 32 bits, since some are negative on 32-bit machines.
    let kind = rustix::fs::statfs(path)?.f_type as u64 & 0xffff_ffff;
    Ok(match kind {
        0x6969 => Some("NFS"),
        0xff53_4d42 | 0xfe53_4d42 | 0x517b => Some("SMB"),
        0x0102_1997 => Some("9p"),
        0x0c36_4c51 | 0x00c3_6400 => Some("Ceph"),
        0x5346_414f | 0x6b41_4653 => Some("AFS"),
        _ => None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_second_agent_on_the_same_state_is_told_who_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let place = Place::take(&path).unwrap();
        let refused = Place::take(&path).unwrap_err().to_string();
        let expected = format!(
            "another xpand agent (process {}) is using {}; stop it first, or set another agent.state_dir",
            std::process::id(),
            path.display()
        );
        assert_eq!(refused, expected);
        drop(place);
        Place::take(&path).unwrap();
    }

    #[test]
    fn the_folders_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/state");
        let _place = Place::take(&path).unwrap();
        for made in [path.clone(), path.join("accounts")] {
            assert_eq!(fs::metadata(made).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }
}
