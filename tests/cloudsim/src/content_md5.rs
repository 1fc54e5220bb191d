//! The MD5 of a stored file's whole content: what instant upload compares, and what tests look at.
//!
//! A file that came in one piece was hashed as it came. Of one that came in slices only theirs are known, and its own is
//! found when somebody asks for it: on a machine that the agent shares, hashing each video a second time when it is made
//! would be the dearest part of its upload.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

use crate::cloud_md5::hex;

/// Known, or to be found; copies of it find it once. The journal has "" for what is not known.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub(crate) struct ContentMd5(Arc<OnceLock<String>>);

impl ContentMd5 {
    /// The MD5 of the content, which lies in `disk`.
    pub(crate) fn of(&self, disk: &Path) -> io::Result<&str> {
        if let Some(md5) = self.0.get() {
            return Ok(md5);
        }
        let md5 = md5_of(disk)?;
        Ok(self.0.get_or_init(|| md5))
    }
}

impl From<String> for ContentMd5 {
    fn from(md5: String) -> ContentMd5 {
        let known = OnceLock::new();
        if !md5.is_empty() {
            let _ = known.set(md5);
        }
        ContentMd5(Arc::new(known))
    }
}

impl From<ContentMd5> for String {
    fn from(md5: ContentMd5) -> String {
        md5.0.get().cloned().unwrap_or_default()
    }
}

/// MD5 of a file, read bit by bit.
pub(crate) fn md5_of(disk: &Path) -> io::Result<String> {
    let (mut file, mut hash, mut buffer) = (File::open(disk)?, Md5::new(), vec![0; 256 << 10]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            n => hash.update(&buffer[..n]),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_found_once_and_by_all_copies() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        let journal = serde_json::to_string(&ContentMd5::default()).unwrap();
        assert_eq!(journal, "\"\"");
        let one: ContentMd5 = serde_json::from_str(&journal).unwrap();
        let two = one.clone();
        assert_eq!(one.of(file.path()).unwrap(), "900150983cd24fb0d6963f7d28e17f72");
        std::fs::remove_file(file.path()).unwrap();
        assert_eq!(two.of(file.path()).unwrap(), one.of(file.path()).unwrap());
        assert_eq!(serde_json::to_string(&two).unwrap(), "\"900150983cd24fb0d6963f7d28e17f72\"");
    }

    #[test]
    fn a_file_that_is_gone_has_none() {
        assert!(ContentMd5::default().of(Path::new("/nowhere")).is_err());
    }
}
