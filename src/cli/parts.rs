//! What a person means by a path on this box: configured folders, or places in them.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use super::Outcome;
use super::agent::absolute;
use crate::config::{self, Config, Folder};
use crate::control::{CopiesQuery, QueueQuery};

/// A configured folder, or a place in it.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Part {
    pub(super) folder: Folder,
    /// Below the folder, bytes as the disk has them; empty for all of it.
    pub(super) below: Vec<u8>,
}

impl Part {
    /// All of a folder.
    pub(super) fn whole(folder: &Folder) -> Self {
        Self { folder: folder.clone(), below: Vec::new() }
    }

    /// Where it is, or was, on this box.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.path.join(Path::new(&OsString::from_vec(self.below.clone())))
    }

    /// Asks the agent for its copies from the beginning.
    pub(super) fn copies(&self) -> CopiesQuery {
        copies_of(&self.folder, self.path())
    }
}

/// Asks the agent for the copies that a folder has at a path or below, from the beginning.
pub(super) fn copies_of(folder: &Folder, path: PathBuf) -> CopiesQuery {
    CopiesQuery { path, label: Some(folder.label.clone()), after: None, limit: QueueQuery::LIMIT_MAX }
}

/// What is meant: the folder that has this label, or else all places that the path is in; none when no
/// folder has it.
pub(super) fn parts(config: &Config, path: &Path) -> Outcome<Vec<Part>> {
    if let Some(folder) = config.folders.iter().find(|folder| Path::new(&folder.label) == path) {
        return Ok(vec![Part::whole(folder)]);
    }
    let local = absolute(path)?;
    let places = config::places(&config.folders, &local).into_iter();
    let part = |(at, below): (usize, &Path)| {
        let folder = config.folders.get(at)?.clone();
        Some(Part { folder, below: below.as_os_str().as_bytes().to_vec() })
    };
    Ok(places.filter_map(part).collect())
}
