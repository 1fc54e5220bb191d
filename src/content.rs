//! Leaf words that every layer shares: a content digest, a file's fingerprint, which file we mean.
//!
//! Nothing here touches disk, network or clock.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An MD5 digest. Baidu's documents ask for it in lower-case hex (xpan-api, "预上传", block_list).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Md5(pub [u8; 16]);

impl Md5 {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        use md5::Digest;
        Self(md5::Md5::digest(bytes.as_ref()).into())
    }
}

impl fmt::Display for Md5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Md5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Md5({self})")
    }
}

/// The text is not 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an MD5: 32 hexadecimal digits are expected")]
pub struct NotAnMd5;

impl FromStr for Md5 {
    type Err = NotAnMd5;

    /// Reads 32 hexadecimal digits, upper or lower case.
    fn from_str(text: &str) -> Result<Self, NotAnMd5> {
        let digits = text.as_bytes();
        if digits.len() != 32 {
            return Err(NotAnMd5);
        }
        let nibble = |digit: u8| (digit as char).to_digit(16).ok_or(NotAnMd5);
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let (high, low) = (nibble(pair[0])?, nibble(pair[1])?);
            *byte = u8::try_from(high << 4 | low).map_err(|_| NotAnMd5)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Md5 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Md5 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What tells us cheaply that a file has not changed: its size and both times, in nanoseconds since 1970.
///
/// No inode number: exFAT, FUSE and many network disks make up new ones at each mount, and a whole
/// library would look changed. The change time catches what keeps the modification time (`cp -p`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Fingerprint {
    /// Bytes.
    pub size: u64,
    /// Last modification of the content, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Last change of content or attributes, nanoseconds since 1970.
    pub ctime_ns: i64,
}

impl Fingerprint {
    /// The modification time in whole seconds since 1970, what the cloud calls `local_mtime`.
    #[must_use]
    pub fn mtime_secs(&self) -> i64 {
        self.mtime_ns.div_euclid(1_000_000_000)
    }

    /// The later of the two times, nanoseconds since 1970: nothing was written after it.
    #[must_use]
    pub fn touched_ns(&self) -> i64 {
        self.mtime_ns.max(self.ctime_ns)
    }
}

/// A number that stands for one configured folder (its path and account) for as long as the state lives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FolderId(pub u32);

/// One local file: the folder it is in and its path below that folder, bytes as the disk has them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath {
    /// The configured folder.
    pub folder: FolderId,
    /// Path below the folder, `/` between names, no leading `/`, not necessarily UTF-8.
    pub below: Box<[u8]>,
}

impl FilePath {
    /// The file at `below` in `folder`.
    #[must_use]
    pub fn new(folder: FolderId, below: impl AsRef<Path>) -> Self {
        Self { folder, below: below.as_ref().as_os_str().as_bytes().into() }
    }

    /// The path below the folder.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.below))
    }

    /// The absolute path, given the folder's own.
    #[must_use]
    pub fn under(&self, root: &Path) -> PathBuf {
        root.join(self.as_path())
    }
}

impl fmt::Debug for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:?}", self.folder.0, self.as_path())
    }
}

/// Who had a file sent. With [`Media`] it decides `mode` at `create` (xpan-api, "创建文件").
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Purpose {
    /// The agent, by itself: `mode` 3, 4 or 5 by the kind of file.
    #[default]
    Backup,
    /// A person who named it: `mode` 1.
    Manual,
    /// A person who named the folder it is in: `mode` 2.
    Batch,
}

/// What kind of backup a file is: decides `mode` at `create` (xpan-api, "创建文件": 4 album, 5 video, 3 file).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Media {
    /// A picture: `mode` 4.
    Photo,
    /// A film: `mode` 5.
    Video,
    /// Anything else: `mode` 3.
    Other,
}

/// The `exif_info` of `create` (xpan-api, "创建文件"): the four numbers are required, the texts optional.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ExifInfo {
    /// Pixels.
    pub height: u32,
    /// As the camera wrote it, `2018:09:06 15:58:58`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date_time_original: Option<String>,
    /// The camera.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Pixels.
    pub width: u32,
    /// When the picture was digitised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date_time_digitized: Option<String>,
    /// When the file was changed last, by the camera's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date_time: Option<String>,
    /// EXIF orientation, 1 to 8.
    pub orientation: u16,
    /// 0: an original, not a recovered picture.
    pub recovery: u8,
}

/// What to do when different content has the name already. Equal content is never stored twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnConflict {
    /// The new one gets another name (`rtype` 2).
    #[default]
    KeepBoth,
    /// The new one takes the place (`rtype` 3).
    Overwrite,
    /// The new one is a new version of the same file (`is_revision` 1).
    Version,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_md5_reads_back_what_it_prints() {
        let empty = Md5::of("");
        assert_eq!(empty.to_string(), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!("D41D8CD98F00B204E9800998ECF8427E".parse(), Ok(empty));
        for junk in ["", "d41d", "g41d8cd98f00b204e9800998ecf8427e", "é41d8cd98f00b204e9800998ecf8427"] {
            assert_eq!(junk.parse::<Md5>(), Err(NotAnMd5), "{junk}");
        }
    }

    #[test]
    fn whole_seconds_before_1970_round_down_like_everywhere() {
        let print = Fingerprint { size: 1, mtime_ns: -1, ctime_ns: 5 };
        assert_eq!(print.mtime_secs(), -1);
        assert_eq!(print.touched_ns(), 5);
    }
}
