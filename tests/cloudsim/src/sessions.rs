//! Upload sessions: what precreate promised and which slices have arrived.
//!
//! ```text
//! DIR/.cloudsim/uploads/<key>/session.json        what precreate was told
//! DIR/.cloudsim/uploads/<key>/<partseq>-<md5>     one arrived slice
//! ```
//! `<key>` is the uploadid. Sessions survive a restart; the documents name no lifetime, so only create,
//! `forget_uploads` and `reset` end one.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::dice::Dice;
use crate::parts::{self, Slices};

/// All open upload sessions by uploadid.
#[derive(Debug)]
pub(crate) struct Sessions {
    root: PathBuf,
    open: HashMap<String, Session>,
}

/// One upload that precreate started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) uploadid: String,
    pub(crate) account: String,
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) block_list: Vec<String>,
    #[serde(skip)]
    pub(crate) slices: Slices,
    /// A create is at work on it.
    #[serde(skip)]
    pub(crate) busy: bool,
}

impl Sessions {
    /// Finds the sessions of an earlier run.
    pub(crate) fn open(root: &Path) -> io::Result<Sessions> {
        let mut open = HashMap::new();
        for folder in fs::read_dir(root)? {
            let folder = folder?.path();
            let session = fs::read(folder.join("session.json"))
                .ok()
                .and_then(|bytes| serde_json::from_slice::<Session>(&bytes).ok());
            match session {
                Some(mut session) => {
                    session.slices = parts::find(&folder)?;
                    open.insert(session.uploadid.clone(), session);
                }
                None => fs::remove_dir_all(&folder)?,
            }
        }
        Ok(Sessions { root: root.into(), open })
    }

    pub(crate) fn get(&self, uploadid: &str) -> Option<&Session> {
        self.open.get(uploadid)
    }

    pub(crate) fn get_mut(&mut self, uploadid: &str) -> Option<&mut Session> {
        self.open.get_mut(uploadid)
    }

    /// Every open session.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Session> {
        self.open.values()
    }

    /// Starts a session. The uploadid looks like the documents' ones: base64 of an address, a time and
    /// a number, with `=` at its end.
    pub(crate) fn start(
        &mut self,
        account: &str,
        path: &str,
        size: u64,
        block_list: Vec<String>,
        now: u64,
        dice: &mut Dice,
    ) -> io::Result<&Session> {
        let raw = format!("127.0.0.1:{now:010}:{:020}", dice.next());
        let uploadid = format!("N1-{}", STANDARD.encode(raw));
        let session = Session {
            uploadid: uploadid.clone(),
            account: account.into(),
            path: path.into(),
            size,
            block_list,
            slices: Slices::new(),
            busy: false,
        };
        let folder = self.folder(&uploadid);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("session.json"), serde_json::to_vec(&session)?)?;
        Ok(self.open.entry(uploadid).or_insert(session))
    }

    /// Keeps a slice that arrived whole in `file`; the same partseq again replaces it.
    pub(crate) fn keep_slice(
        &mut self,
        uploadid: &str,
        partseq: u32,
        md5: &str,
        size: u64,
        file: &Path,
    ) -> io::Result<bool> {
        let folder = self.folder(uploadid);
        let Some(session) = self.open.get_mut(uploadid) else { return Ok(false) };
        parts::keep(&mut session.slices, &folder, partseq, md5, size, file)?;
        Ok(true)
    }

    /// Ends a session and lets go of its slices.
    pub(crate) fn end(&mut self, uploadid: &str) {
        if self.open.remove(uploadid).is_some() {
            let _ = fs::remove_dir_all(self.folder(uploadid));
        }
    }

    /// Forgets every session, as the real cloud does after some hours.
    pub(crate) fn forget_all(&mut self) -> usize {
        let ids: Vec<String> = self.open.keys().cloned().collect();
        for id in &ids {
            self.end(id);
        }
        ids.len()
    }

    fn folder(&self, uploadid: &str) -> PathBuf {
        self.root.join(uploadid)
    }
}

impl Session {
    /// The slices still to send.
    pub(crate) fn missing(&self) -> Vec<u32> {
        (0..self.block_list.len() as u32).filter(|partseq| !self.slices.contains_key(partseq)).collect()
    }
}
