//! An upload's session as the pipeline keeps it.
//!
//! ```text
//! <preuploadID> [whole] [<path>]
//! ```
//!
//! `whole`: upload_complete was called for it. The path is left out where it is the one that was asked for. The
//! id has no blanks, being base64; a path begins with a slash.

use super::answer;
use crate::cloud::{Result, Upload};

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Session<'a> {
    pub(super) preupload_id: &'a str,
    /// Everything has arrived.
    pub(super) is_whole: bool,
    /// Where the picture goes.
    pub(super) path: &'a str,
}

const WHOLE: &str = "whole";

impl<'a> Session<'a> {
    /// The session of `file` that was written so; of what is none of ours the cloud will know nothing.
    pub(super) fn read(text: &'a str, file: &'a Upload) -> Self {
        let (preupload_id, rest) = text.split_once(' ').unwrap_or((text, ""));
        let (is_whole, path) = match rest.strip_prefix(WHOLE) {
            Some(path) => (true, path.trim_start_matches(' ')),
            None => (false, rest),
        };
        Self { preupload_id, is_whole, path: if path.is_empty() { &file.path } else { path } }
    }

    /// # Errors
    /// The cloud's id could not be read back.
    pub(super) fn text(&self, file: &Upload) -> Result<String> {
        if self.preupload_id.contains(' ') {
            return Err(answer::broken("create", "the preuploadID has a blank in it"));
        }
        let mut text = self.preupload_id.to_owned();
        if self.is_whole {
            text = text + " " + WHOLE;
        }
        if self.path != file.path {
            text = text + " " + self.path;
        }
        Ok(text)
    }
}
