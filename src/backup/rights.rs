//! What keeps this user out of a folder of the family, and the command that lets it in.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

/// Why a folder, or something in it, is closed to this user.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Closed {
    /// A folder above may not be passed through.
    Way(PathBuf),
    /// The place itself may not be read.
    Place,
}

/// How this box lets a user read what is another's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Means {
    /// By lists of users beside each file.
    WithLists,
    /// By the modes of files alone: BusyBox brings no `setfacl`, nor does a small Debian.
    WithModes,
    /// By a page of its own; the modes of files count for nothing there.
    Synology,
}

impl Means {
    fn of(root: &Path) -> Self {
        let places = ["bin", "usr/bin", "usr/local/bin", "opt/bin", "sbin", "usr/sbin"];
        if root.join("usr/syno").exists() {
            Self::Synology
        } else if places.iter().any(|dir| root.join(dir).join("setfacl").exists()) {
            Self::WithLists
        } else {
            Self::WithModes
        }
    }
}

/// What a person does so that this user may read a place: which folder is closed, and the command that opens it.
#[must_use]
pub fn advice(path: &Path) -> String {
    let closed = closed(path, |ancestor| fs::metadata(ancestor).map(drop));
    words(path, &closed, &user_name(), Means::of(Path::new("/")))
}

/// What lets a user read a place that can be reached.
#[must_use]
pub fn open(path: &Path, user: &str) -> String {
    command(path, &Closed::Place, user, Means::of(Path::new("/")))
}

fn words(path: &Path, closed: &Closed, user: &str, means: Means) -> String {
    let shown = match closed {
        Closed::Way(above) => above,
        Closed::Place => path,
    };
    format!("{} is closed to the user {user}; {}", shown.display(), command(path, closed, user, means))
}

fn command(path: &Path, closed: &Closed, user: &str, means: Means) -> String {
    match (means, closed) {
        (Means::Synology, _) => {
            "let it read: Control Panel, Shared Folder, Edit, Permissions, System internal user".to_owned()
        }
        (Means::WithLists, Closed::Way(above)) => {
            format!("as root: setfacl -m u:{user}:x -- {}", quoted(above))
        }
        (Means::WithLists, Closed::Place) if path.is_file() => {
            format!("as root: setfacl -m u:{user}:r -- {}", quoted(path))
        }
        // With all that is in it now or later.
        (Means::WithLists, Closed::Place) => {
            format!("as root: setfacl -R -m u:{user}:rX,d:u:{user}:rX -- {}", quoted(path))
        }
        (Means::WithModes, Closed::Way(above)) => format!("as root: chmod o+x -- {}", quoted(above)),
        (Means::WithModes, Closed::Place) => format!("as root: chmod -R o+rX -- {}", quoted(path)),
    }
}

/// As a shell takes it for one word, whatever is in the name.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    if text.bytes().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// What is closed, going by which of the folders above can be looked at: the one below a folder that may not be
/// passed through cannot.
fn closed(path: &Path, look: impl Fn(&Path) -> io::Result<()>) -> Closed {
    let mut ancestors: Vec<&Path> = path.ancestors().collect();
    ancestors.reverse();
    let is_denied =
        |path: &Path| look(path).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
    match ancestors.iter().find(|ancestor| is_denied(ancestor)).and_then(|denied| denied.parent()) {
        Some(above) => Closed::Way(above.to_owned()),
        None => Closed::Place,
    }
}

/// Who we are, by name where `/etc/passwd` has one.
fn user_name() -> String {
    let number = geteuid().as_raw().to_string();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_of(&users, &number).map_or(number.clone(), str::to_owned)
}

fn name_of<'t>(users: &'t str, number: &str) -> Option<&'t str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(number)).then_some(name)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_closed_is_the_first_folder_that_may_not_be_passed_through_or_the_place_itself() {
        let path = Path::new("/volume1/family/photo");
        for (denied, expected) in [
            ("/volume1/family/photo", Closed::Way("/volume1/family".into())),
            ("/volume1/family", Closed::Way("/volume1".into())),
            ("/nothing", Closed::Place),
        ] {
            let look = |path: &Path| match path.starts_with(denied) {
                true => Err(io::ErrorKind::PermissionDenied.into()),
                false => Ok(()),
            };
            assert_eq!(closed(path, look), expected, "{denied}");
        }
    }

    #[test]
    fn the_command_is_one_that_this_box_has() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(Means::of(root.path()), Means::WithModes);
        fs::create_dir_all(root.path().join("usr/bin/setfacl")).unwrap();
        assert_eq!(Means::of(root.path()), Means::WithLists);
        fs::create_dir_all(root.path().join("usr/syno")).unwrap();
        assert_eq!(Means::of(root.path()), Means::Synology);

        let (path, way) = (Path::new("/v/my photos"), Closed::Way("/v".into()));
        for (kind, closed, says) in [
            (Means::WithLists, &Closed::Place, "setfacl -R -m u:xpand:rX,d:u:xpand:rX -- '/v/my photos'"),
            (Means::WithLists, &way, "/v is closed to the user xpand; as root: setfacl -m u:xpand:x -- /v"),
            (Means::WithModes, &Closed::Place, "as root: chmod -R o+rX -- '/v/my photos'"),
            (Means::WithModes, &way, "as root: chmod o+x -- /v"),
            (Means::Synology, &Closed::Place, "Permissions, System internal user"),
        ] {
            let said = words(path, closed, "xpand", kind);
            assert!(said.ends_with(says), "{said}");
        }
    }

    #[test]
    fn a_name_cannot_become_another_command() {
        for (path, word) in [
            ("/v/a-b_1.jpg", "/v/a-b_1.jpg"),
            ("/v/my photos", "'/v/my photos'"),
            ("/v/x;reboot", "'/v/x;reboot'"),
            ("/v/it's $(x)", r"'/v/it'\''s $(x)'"),
        ] {
            assert_eq!(quoted(Path::new(path)), word);
        }
    }

    #[test]
    fn a_user_is_named_where_it_has_a_name() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbroken\nxpand:x:998:997::/:/bin/false\n";
        assert_eq!((name_of(users, "998"), name_of(users, "99")), (Some("xpand"), None));
    }
}
