//! A configured folder, or a place in it, and where its files go in the cloud.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use super::Part;
use crate::cli::drive::Session;
use crate::cli::{ExitStatus, Failed, Outcome};
use crate::control::{CopiesQuery, QueueQuery};
use crate::remote::Home;
use crate::remote::template::Template;

/// A configured folder and where its files go.
pub(super) struct Place {
    path: PathBuf,
    label: String,
    template: Template,
    pub(super) home: Home,
    device: String,
    /// Only what is there, or below.
    pub(super) start: Vec<u8>,
}

impl Place {
    pub(super) fn new(session: &Session<'_>, (folder, start): Part) -> Outcome<Self> {
        let template: Template =
            folder.remote.parse().map_err(|error| Failed::new(&error).status(ExitStatus::Usage))?;
        let (home, device) = (session.home(), session.cloud.config.device_name());
        Ok(Self { path: folder.path, label: folder.label, template, home, device, start })
    }

    /// The remote folder that all of it lies in.
    pub(super) fn root(&self) -> String {
        let top = self.template.top(&self.home, &self.device, &self.label);
        match (self.start.is_empty(), self.template.has_date()) {
            (false, false) => format!("{top}/{}", self.home.names.escape(&self.start)),
            _ => top,
        }
    }

    /// The local path of a remote file that this folder's template can have made.
    pub(super) fn local(&self, remote: &str) -> Option<PathBuf> {
        let below = self.template.below(&self.home, &self.device, &self.label, remote)?;
        let is_wanted = self.start.is_empty()
            || below.strip_prefix(&*self.start).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"));
        is_wanted.then(|| self.at(below))
    }

    pub(super) fn at(&self, below: Vec<u8>) -> PathBuf {
        self.path.join(Path::new(&OsString::from_vec(below)))
    }

    pub(super) fn query(&self) -> CopiesQuery {
        CopiesQuery { path: self.at(self.start.clone()), after: None, limit: QueueQuery::LIMIT_MAX }
    }
}
