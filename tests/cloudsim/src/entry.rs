//! What the cloud knows about one stored file or folder, and what a test gets to see of it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tempfile::TempPath;

use crate::content_md5::ContentMd5;
use crate::names;
use crate::request::Vendor;

/// One file or folder of a drive, as kept in the journal.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Entry {
    pub(crate) fs_id: u64,
    pub(crate) path: String,
    pub(crate) isdir: bool,
    pub(crate) size: u64,
    /// MD5 of the content, and of its first 256 KiB: what instant upload compares.
    pub(crate) content_md5: ContentMd5,
    pub(crate) slice_md5: String,
    /// The `md5` that answers show (field notes 3.7).
    pub(crate) cloud_md5: String,
    pub(crate) block_list: Vec<String>,
    pub(crate) server_ctime: u64,
    pub(crate) server_mtime: u64,
    pub(crate) local_ctime: u64,
    pub(crate) local_mtime: u64,
    pub(crate) attributes: Attributes,
    pub(crate) versions: Vec<Version>,
    pub(crate) created: u32,
    pub(crate) overwritten: u32,
    pub(crate) instant: bool,
    pub(crate) copied: bool,
}

/// The optional parameters of create that are kept with the file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Attributes {
    pub(crate) mode: Option<u8>,
    pub(crate) exif_info: Option<Value>,
    pub(crate) zip_quality: Option<u32>,
    pub(crate) zip_sign: Option<String>,
    pub(crate) local_ctime: Option<u64>,
    pub(crate) local_mtime: Option<u64>,
}

/// Whole content in a temporary file that is moved into place.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) file: TempPath,
    pub(crate) size: u64,
    pub(crate) md5: ContentMd5,
    pub(crate) slice_md5: String,
    pub(crate) block_list: Vec<String>,
    pub(crate) instant: bool,
}

/// An older content of a file, kept because create said `is_revision=1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// MD5 of the content.
    pub md5: String,
    /// Its size in bytes.
    pub size: u64,
    /// Where its bytes lie now.
    pub disk: PathBuf,
}

impl Entry {
    pub(crate) fn category(&self) -> u8 {
        if self.isdir { 6 } else { names::category(&self.path) }
    }

    pub(crate) fn stored(&self, account: &str, disk: PathBuf) -> StoredFile {
        StoredFile {
            cloud: Vendor::Baidu.name(),
            file_id: String::new(),
            status: 0,
            account: account.into(),
            path: self.path.clone(),
            size: self.size,
            md5: self.content_md5.of(&disk).unwrap_or_default().into(),
            cloud_md5: self.cloud_md5.clone(),
            block_list: self.block_list.clone(),
            fs_id: self.fs_id,
            mode: self.attributes.mode,
            exif_info: self.attributes.exif_info.clone(),
            zip_quality: self.attributes.zip_quality,
            local_ctime: self.local_ctime,
            local_mtime: self.local_mtime,
            server_ctime: self.server_ctime,
            server_mtime: self.server_mtime,
            versions: self.versions.clone(),
            created: self.created,
            overwritten: self.overwritten,
            instant: self.instant,
            copied: self.copied,
            disk,
        }
    }
}

/// One stored file as `GET /_sim/files` and [`CloudSim::files`](crate::CloudSim::files) show it.
#[derive(Clone, Debug, Serialize)]
pub struct StoredFile {
    /// Whose cloud has it: `baidu` or `pan123`.
    pub cloud: &'static str,
    /// Its id at 123pan.
    pub file_id: String,
    /// Status of the review at 123pan; above 100 is rejected.
    pub status: i64,
    /// Whose drive it is in.
    pub account: String,
    /// Its path in the cloud.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// The true MD5 of the content, hex.
    pub md5: String,
    /// The `md5` that the API's answers show.
    pub cloud_md5: String,
    /// MD5s of the slices it came in.
    pub block_list: Vec<String>,
    /// Its id in the cloud.
    pub fs_id: u64,
    /// `mode` of the create call: 4 photo backup, 5 video backup, ….
    pub mode: Option<u8>,
    /// `exif_info` of the create call.
    pub exif_info: Option<Value>,
    /// `zip_quality` of the create call.
    pub zip_quality: Option<u32>,
    /// `local_ctime` of the create call.
    pub local_ctime: u64,
    /// `local_mtime` of the create call.
    pub local_mtime: u64,
    /// When the cloud first saw it.
    pub server_ctime: u64,
    /// When the cloud last changed it.
    pub server_mtime: u64,
    /// Older contents, oldest first.
    pub versions: Vec<Version>,
    /// How many calls made or confirmed this path: 1 when everything was sent once.
    pub created: u32,
    /// How often its content was replaced without keeping the old one.
    pub overwritten: u32,
    /// Whether the present content came by instant upload, without sending slices.
    pub instant: bool,
    /// Whether the present content was copied inside the cloud (filemanager, or saved from a share).
    pub copied: bool,
    /// Where the bytes lie on this machine.
    pub disk: PathBuf,
}
