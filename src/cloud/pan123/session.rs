//! An upload's session as the pipeline keeps it.
//!
//! ```text
//! <preuploadID> [again | whole] [<path>]
//! ```
//!
//! The word says what tells of the result, once everything has arrived ([`Stage`]). The path is left out where it
//! is the one that was asked for. The id has no blanks, being base64; a path begins with a slash.

use super::answer;
use crate::cloud::{Result, Upload};

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Session<'a> {
    pub(super) preupload_id: &'a str,
    pub(super) stage: Stage,
    /// Where the picture goes.
    pub(super) path: &'a str,
}

/// How far an upload is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Stage {
    /// Slices are being sent.
    Sending,
    /// `again`: upload_complete says "still verifying" (20103), and is to be called again (field notes 8.2).
    Again,
    /// `whole`: upload_complete has been called; upload_async_result tells.
    Whole,
}

const WORDS: [(&str, Stage); 2] = [("again", Stage::Again), ("whole", Stage::Whole)];

impl<'a> Session<'a> {
    /// The session of `file` that was written so; of what is none of ours the cloud will know nothing.
    pub(super) fn read(text: &'a str, file: &'a Upload) -> Self {
        let (preupload_id, rest) = text.split_once(' ').unwrap_or((text, ""));
        let marked = WORDS.iter().find_map(|(word, stage)| Some((*stage, rest.strip_prefix(word)?)));
        let (stage, path) = marked.unwrap_or((Stage::Sending, rest));
        let path = path.trim_start_matches(' ');
        Self { preupload_id, stage, path: if path.is_empty() { &file.path } else { path } }
    }

    /// # Errors
    /// The cloud's id could not be read back.
    pub(super) fn text(&self, file: &Upload) -> Result<String> {
        if self.preupload_id.contains(' ') {
            return Err(answer::broken("create", "the preuploadID has a blank in it"));
        }
        let word = WORDS.iter().find(|(_, stage)| *stage == self.stage).map(|(word, _)| *word);
        let path = Some(self.path).filter(|path| *path != file.path);
        let parts = [Some(self.preupload_id), word, path];
        Ok(parts.into_iter().flatten().collect::<Vec<_>>().join(" "))
    }
}
