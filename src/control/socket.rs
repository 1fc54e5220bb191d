//! Making the Unix socket: never in another agent's place, and for the right people.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// The most bytes a socket's path can have (`sun_path` is 108 with its closing zero).
const PATH_MAX: usize = 107;

/// Who may talk to the agent beside its own user, when there is such a group.
const GROUP: &str = "xpand";

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// `sun_path` is short.
    #[error(
        "the socket path {} has {} bytes and can have {PATH_MAX}; write a shorter agent.socket",
        .0.display(), .0.as_os_str().len()
    )]
    TooLong(PathBuf),
    /// Another agent answers on it.
    #[error("another agent answers at {}; stop it first, or give this one its own agent.socket and agent.state_dir", .0.display())]
    InUse(PathBuf),
    /// There is something else.
    #[error("{} is there already and is not a socket; move it away, or write another agent.socket", .0.display())]
    NotASocket(PathBuf),
    /// The file system says no.
    #[error("the socket {} cannot be made", .path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Makes the socket at `path`: mode 0660, group `xpand` when it exists. A missing folder is made, a
/// socket on which nobody answers is replaced.
///
/// # Errors
/// Each with what to do about it.
pub fn bind(path: &Path) -> Result<UnixListener, SocketError> {
    if path.as_os_str().len() > PATH_MAX {
        return Err(SocketError::TooLong(path.to_owned()));
    }
    let failed = |source| SocketError::Io { path: path.to_owned(), source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o755);
        builder.create(folder).map_err(failed)?;
    }
    match fs::symlink_metadata(path) {
        Ok(meta) if !meta.file_type().is_socket() => {
            return Err(SocketError::NotASocket(path.to_owned()));
        }
        Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                fs::remove_file(path).map_err(failed)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // A full backlog or no permission: somebody is there.
            _ => return Err(SocketError::InUse(path.to_owned())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let listener = UnixListener::bind(path).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => SocketError::InUse(path.to_owned()),
        _ => failed(source),
    })?;
    fs::set_permissions(path, Permissions::from_mode(0o660)).map_err(failed)?;
    if let Some(group) = group_id(GROUP) {
        // Not our group and not root: the socket serves its own user then.
        let _ = std::os::unix::fs::chown(path, None, Some(group));
    }
    Ok(listener)
}

/// The number of a group of `/etc/group`; the C library's look-up is not in a static binary.
fn group_id(name: &str) -> Option<u32> {
    group_in(&fs::read_to_string("/etc/group").ok()?, name)
}

fn group_in(groups: &str, name: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then_some(())?;
        fields.nth(1)?.parse().ok()
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/xpand.sock");
        let first = bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert_eq!(
            bind(&path).unwrap_err().to_string(),
            format!(
                "another agent answers at {}; stop it first, or give this one its own agent.socket and agent.state_dir",
                path.display()
            )
        );
        drop(first);
        drop(bind(&path).unwrap());
    }

    #[tokio::test]
    async fn a_file_in_its_place_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("xpand.sock");
        fs::write(&path, "mine").unwrap();
        assert!(matches!(bind(&path), Err(SocketError::NotASocket(_))));
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_is_said_so() {
        let path = PathBuf::from(format!("/tmp/{}", "x".repeat(103)));
        assert_eq!(
            bind(&path).unwrap_err().to_string(),
            format!(
                "the socket path {} has 108 bytes and can have 107; write a shorter agent.socket",
                path.display()
            )
        );
    }

    #[test]
    fn groups_are_found_by_their_name() {
        let groups = "root:x:0:\nxpander:x:7:\nxpand:x:998:me,you\n";
        assert_eq!(group_in(groups, "xpand"), Some(998));
        assert_eq!(group_in(groups, "nobody"), None);
    }
}
