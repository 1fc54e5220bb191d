//! One folder or picture of the image host: what the cloud keeps of it, and the names and ids it may have.

use std::path::PathBuf;

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::envelope::refuse;
use crate::answer::Refusal;
use crate::entry::StoredFile;
use crate::request::Vendor;

/// Status of a picture that nobody objects to, as in the example of detail; above 100 it is rejected.
pub(super) const ACCEPTED: i64 = 2;

/// Endings of pictures (field notes 8.3), and what a browser is told of them.
const KINDS: [(&str, &str); 9] = [
    ("png", "image/png"),
    ("gif", "image/gif"),
    ("jpeg", "image/jpeg"),
    ("tiff", "image/tiff"),
    ("webp", "image/webp"),
    ("jpg", "image/jpeg"),
    ("tif", "image/tiff"),
    ("svg", "image/svg+xml"),
    ("bmp", "image/bmp"),
];

/// "文件名要小于255个字符".
const LONGEST_NAME: usize = 254;

/// What ids have in common.
const ID_HEAD: &str = "ymjew503t0";
const ID_TAIL: &str = "DIYPAIDOBIY0DcxvDwFO";

/// A folder or a picture.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Item {
    pub(super) id: String,
    /// Its place among all: what lists are sorted by.
    pub(super) number: u64,
    pub(super) account: String,
    /// Id of its folder.
    pub(super) parent: String,
    pub(super) name: String,
    pub(super) isdir: bool,
    pub(super) size: u64,
    pub(super) etag: String,
    pub(super) block_list: Vec<String>,
    /// Times in milliseconds since 1970.
    pub(super) created_ms: u64,
    pub(super) updated_ms: u64,
    /// The status after its review.
    pub(super) verdict: i64,
    /// Bytes that its direct link has sent.
    pub(super) traffic: u64,
    /// How many uploads made or confirmed it.
    pub(super) uploads: u32,
    pub(super) overwritten: u32,
    pub(super) instant: bool,
}

impl Item {
    /// Ending of the name, lower case.
    pub(super) fn extension(&self) -> String {
        if self.isdir { String::new() } else { extension(&self.name) }
    }

    /// "文件审核状态": 0 before the review.
    pub(super) fn status(&self, now_ms: u64, review_ms: u64) -> i64 {
        let reviewed = now_ms >= self.updated_ms.saturating_add(review_ms);
        if self.isdir || !reviewed { 0 } else { self.verdict }
    }

    pub(super) fn stored(&self, path: String, disk: PathBuf, status: i64) -> StoredFile {
        StoredFile {
            cloud: Vendor::Pan123.name(),
            file_id: self.id.clone(),
            status,
            account: self.account.clone(),
            path,
            size: self.size,
            md5: self.etag.clone(),
            cloud_md5: self.etag.clone(),
            block_list: self.block_list.clone(),
            fs_id: 0,
            mode: None,
            exif_info: None,
            zip_quality: None,
            local_ctime: 0,
            local_mtime: 0,
            server_ctime: self.created_ms / 1000,
            server_mtime: self.updated_ms / 1000,
            versions: Vec::new(),
            created: self.uploads,
            overwritten: self.overwritten,
            instant: self.instant,
            copied: false,
            disk,
        }
    }
}

/// What the vendor's review says of pictures, by their path.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Verdicts(Vec<(String, i64)>);

impl Verdicts {
    pub(super) fn add(&mut self, pattern: &str, status: i64) {
        self.0.push((pattern.into(), status));
    }

    /// Of a picture that arrives: the last one that fits.
    pub(super) fn of(&self, path: &str) -> i64 {
        let fits = |pattern: &str| Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(path));
        self.0.iter().rev().find(|(pattern, _)| fits(pattern)).map_or(ACCEPTED, |(_, status)| *status)
    }
}

/// An id like those of the documents: 32 lower-case letters and digits, and a tail. The number is in it,
/// so that a list can go on after a file that is gone.
pub(super) fn make_id(number: u64, random: u64) -> String {
    format!("{ID_HEAD}{}{}{ID_TAIL}", base36(number, 8), base36(random, 14))
}

/// The number in an id.
pub(super) fn number_of(id: &str) -> Option<u64> {
    let middle = id.strip_prefix(ID_HEAD)?.strip_suffix(ID_TAIL)?;
    u64::from_str_radix(middle.get(..8)?, 36).ok()
}

fn base36(mut n: u64, digits: usize) -> String {
    let mut text = vec![b'0'; digits];
    for digit in text.iter_mut().rev() {
        *digit = b"0123456789abcdefghijklmnopqrstuvwxyz"[(n % 36) as usize];
        n /= 36;
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Ending of a name, lower case; empty without one.
pub(super) fn extension(name: &str) -> String {
    name.rsplit_once('.').map_or(String::new(), |(_, ending)| ending.to_ascii_lowercase())
}

/// What a browser is told of a picture; `None` when the name is no picture's.
pub(super) fn content_type(name: &str) -> Option<&'static str> {
    let ending = extension(name);
    KINDS.iter().find(|(known, _)| *known == ending).map(|(_, kind)| *kind)
}

/// "文件名要小于255个字符且不能包含以下任何字符".
pub(super) fn check_name(name: &str) -> Result<(), Refusal> {
    let forbidden = |c: char| "\"\\/:*?|><\0".contains(c);
    match name {
        "" | "." | ".." => Err(refuse(1, "文件名不合法")),
        _ if name.chars().count() > LONGEST_NAME => Err(refuse(1, "文件名要小于255个字符")),
        _ if name.contains(forbidden) => Err(refuse(1, "文件名不能包含以下任何字符：\"\\/:*?|><")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_as_long_as_the_documents_and_tell_their_number() {
        let id = make_id(1_234_567, u64::MAX);
        assert_eq!(id.len(), "ymjew503t0m000d7w32xormjidkak3rgDIYPAIDOBIY0DcxvDwFO".len());
        assert_eq!(number_of(&id), Some(1_234_567));
        for foreign in ["", "-1", "ymjew503t0", "ymjew503t0m000DIYPAIDOBIY0DcxvDwFO", &id[1..]] {
            assert_eq!(number_of(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn names_keep_to_the_documents_rule() {
        for good in ["a.jpg", " 照片 (1)~$%&'.png", &"啊".repeat(254), "..jpg", "a\u{1}b"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for c in "\"\\/:*?|><".chars() {
            assert!(check_name(&format!("a{c}b.jpg")).is_err(), "{c}");
        }
        for bad in ["", ".", "..", &"啊".repeat(255)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_last_verdict_that_fits_is_said() {
        let mut verdicts = Verdicts::default();
        assert_eq!(verdicts.of("/a.jpg"), ACCEPTED);
        verdicts.add("a", 101);
        verdicts.add("^/a\\.jpg$", 104);
        assert_eq!((verdicts.of("/a.jpg"), verdicts.of("/b/a.png")), (104, 101));
    }
}
