//! Files on the data disk: new ones that go away by themselves, and second names for stored ones.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::state::Cloud;

/// A file that goes away by itself unless it is moved into place.
pub(crate) fn temp_file(cloud: &Cloud) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o644)).tempfile_in(cloud.tmp())
}

/// The same bytes under another name, in place of what had it. Stored bytes are never written again, only replaced: two
/// names for them do no harm, and a cloud that has a photo already takes it again for nothing. A file system without
/// hard links gets a copy.
pub(crate) fn second_name(stored: &Path, name: &Path) -> io::Result<()> {
    match fs::remove_file(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::hard_link(stored, name).or_else(|_| fs::copy(stored, name).map(drop))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_second_name_replaces_what_was_there_and_outlives_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let (stored, name) = (folder.path().join("stored"), folder.path().join("name"));
        fs::write(&stored, "the same").unwrap();
        fs::write(&name, "another").unwrap();
        second_name(&stored, &name).unwrap();
        assert_eq!(fs::metadata(&name).unwrap().ino(), fs::metadata(&stored).unwrap().ino());
        fs::remove_file(&stored).unwrap();
        assert_eq!(fs::read_to_string(&name).unwrap(), "the same");
    }

    #[test]
    fn what_is_gone_has_no_second_name() {
        let folder = tempfile::tempdir().unwrap();
        assert!(second_name(&folder.path().join("gone"), &folder.path().join("name")).is_err());
    }
}
