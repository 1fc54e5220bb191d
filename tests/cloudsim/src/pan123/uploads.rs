//! Uploads under way: what create promised and which slices have arrived.
//!
//! ```text
//! DIR/.cloudsim/pan123/uploads/<key>/upload.json       what create was told, and how far it is
//! DIR/.cloudsim/pan123/uploads/<key>/<sliceNo>-<md5>   one arrived slice
//! DIR/.cloudsim/pan123/uploads/<key>/content           all of them joined, while they are checked
//! ```
//! `<key>` is the MD5 of the preuploadID. An upload that is over is remembered, so that its result can be
//! asked for as often as a client likes; only `forget_uploads` and `reset` forget it.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::cloud_md5::md5_hex;
use crate::dice::Dice;
use crate::journal;
use crate::parts::{self, Slices};

/// Random numbers in a preuploadID; it is about as long as the documents'.
const ID_NUMBERS: usize = 20;

/// All uploads by key.
#[derive(Debug)]
pub(super) struct Uploads {
    root: PathBuf,
    all: HashMap<String, Upload>,
    /// When the results of those that are being checked are due.
    due: BTreeMap<(u64, String), ()>,
}

/// One upload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Upload {
    pub(super) key: String,
    pub(super) preupload_id: String,
    pub(super) account: String,
    pub(super) parent: String,
    pub(super) name: String,
    pub(super) etag: String,
    pub(super) size: u64,
    pub(super) slice_size: u64,
    pub(super) stage: Stage,
    #[serde(skip)]
    pub(super) slices: Slices,
    /// upload_complete joins its slices just now.
    #[serde(skip)]
    pub(super) busy: bool,
}

/// How far an upload is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    /// Slices are coming.
    Sending,
    /// "123云盘服务器会校验": the result is there at `due_ms`. `md5` is the joined content's.
    Checking {
        due_ms: u64,
        md5: String,
        block_list: Vec<String>,
    },
    Done {
        file_id: String,
    },
    Failed {
        code: i64,
        message: String,
    },
}

impl Upload {
    /// How many slices there are to be.
    pub(super) fn slice_count(&self) -> u32 {
        self.size.div_ceil(self.slice_size).max(1) as u32
    }

    pub(super) fn missing(&self) -> Vec<u32> {
        (1..=self.slice_count()).filter(|number| !self.slices.contains_key(number)).collect()
    }
}

impl Uploads {
    /// Finds the uploads of an earlier run.
    pub(super) fn open(root: &Path) -> io::Result<Uploads> {
        fs::create_dir_all(root)?;
        let mut uploads = Uploads { root: root.into(), all: HashMap::new(), due: BTreeMap::new() };
        for folder in fs::read_dir(root)? {
            let folder = folder?.path();
            let upload = fs::read(folder.join("upload.json"))
                .ok()
                .and_then(|bytes| serde_json::from_slice::<Upload>(&bytes).ok());
            match upload {
                Some(mut upload) => {
                    upload.slices = parts::find(&folder)?;
                    uploads.note_due(&upload);
                    uploads.all.insert(upload.key.clone(), upload);
                }
                None => fs::remove_dir_all(&folder)?,
            }
        }
        Ok(uploads)
    }

    fn note_due(&mut self, upload: &Upload) {
        if let Stage::Checking { due_ms, .. } = upload.stage {
            self.due.insert((due_ms, upload.key.clone()), ());
        }
    }

    /// By preuploadID.
    pub(super) fn find(&self, account: &str, preupload_id: &str) -> Option<&Upload> {
        self.get(&md5_hex(preupload_id.as_bytes())).filter(|upload| upload.account == account)
    }

    pub(super) fn get(&self, key: &str) -> Option<&Upload> {
        self.all.get(key)
    }

    /// Every upload that is not over.
    pub(super) fn open_ones(&self) -> impl Iterator<Item = &Upload> {
        let open = |upload: &&Upload| matches!(upload.stage, Stage::Sending | Stage::Checking { .. });
        self.all.values().filter(open)
    }

    /// Begins an upload; `wanted` gets its preuploadID and key here.
    pub(super) fn start(&mut self, wanted: Upload, dice: &mut Dice) -> io::Result<&Upload> {
        let raw: Vec<u8> = (0..ID_NUMBERS).flat_map(|_| dice.next().to_be_bytes()).collect();
        let preupload_id = STANDARD.encode(raw);
        let key = md5_hex(preupload_id.as_bytes());
        let upload = Upload { preupload_id, key: key.clone(), ..wanted };
        fs::create_dir_all(self.folder(&key))?;
        self.write(&upload)?;
        Ok(self.all.entry(key).or_insert(upload))
    }

    /// Keeps a slice that arrived whole in `file`; false when nobody waits for it any more.
    pub(super) fn keep_slice(
        &mut self,
        key: &str,
        number: u32,
        md5: &str,
        size: u64,
        file: &Path,
    ) -> io::Result<bool> {
        let folder = self.folder(key);
        match self.all.get_mut(key) {
            Some(upload) if upload.stage == Stage::Sending && !upload.busy => {
                parts::keep(&mut upload.slices, &folder, number, md5, size, file)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    pub(super) fn set_busy(&mut self, key: &str, busy: bool) {
        if let Some(upload) = self.all.get_mut(key) {
            upload.busy = busy;
        }
    }

    /// Goes on to another stage; slices are let go once they are no longer needed.
    pub(super) fn set_stage(&mut self, key: &str, stage: Stage) -> io::Result<()> {
        let folder = self.folder(key);
        let Some(upload) = self.all.get_mut(key) else { return Ok(()) };
        upload.stage = stage;
        for slice in std::mem::take(&mut upload.slices).into_values() {
            let _ = fs::remove_file(slice.file);
        }
        if !matches!(upload.stage, Stage::Checking { .. }) {
            let _ = fs::remove_file(folder.join("content"));
        }
        let upload = upload.clone();
        self.note_due(&upload);
        self.write(&upload)
    }

    /// The next upload whose result is due.
    pub(super) fn take_due(&mut self, now_ms: u64) -> Option<Upload> {
        while let Some(((due_ms, key), ())) = self.due.pop_first() {
            if due_ms > now_ms {
                self.due.insert((due_ms, key), ());
                return None;
            }
            if let Some(upload) = self.all.get(&key) {
                return Some(upload.clone());
            }
        }
        None
    }

    /// Forgets every upload. Returns how many were not over.
    pub(super) fn forget_all(&mut self) -> usize {
        let open = self.open_ones().count();
        for key in self.all.keys() {
            let _ = fs::remove_dir_all(self.folder(key));
        }
        self.all.clear();
        self.due.clear();
        open
    }

    /// Where the joined content of an upload lies.
    pub(super) fn content(&self, key: &str) -> PathBuf {
        self.folder(key).join("content")
    }

    fn write(&self, upload: &Upload) -> io::Result<()> {
        journal::replace(&self.folder(&upload.key).join("upload.json"), upload)
    }

    fn folder(&self, key: &str) -> PathBuf {
        self.root.join(key)
    }
}
