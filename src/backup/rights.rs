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

/// What a person does so that this user may read a place: which folder is closed, and the command that opens it.
#[must_use]
pub fn advice(path: &Path) -> String {
    let user = user_name();
    let place = path.display();
    match closed(path, |ancestor| fs::metadata(ancestor).map(drop)) {
        Closed::Way(above) => {
            let (shown, above) = (above.display(), quoted(&above));
            format!("{shown} is closed to the user {user}; as root: setfacl -m u:{user}:x -- {above}")
        }
        Closed::Place => {
            format!("{place} is closed to the user {user}; as root: {}", open(path, &user))
        }
    }
}

/// The command that opens a file to a user, or a folder with all that is in it now or later.
#[must_use]
pub fn open(path: &Path, user: &str) -> String {
    let place = quoted(path);
    if path.is_file() {
        return format!("setfacl -m u:{user}:r -- {place}");
    }
    format!("setfacl -R -m u:{user}:rX,d:u:{user}:rX -- {place}")
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
