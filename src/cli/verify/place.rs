//! A configured folder, or a place in it, and where its files go in the cloud.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use crate::cli::drive::Session;
use crate::cli::parts::Part;
use crate::cli::{ExitStatus, Failed, Outcome};
use crate::control::{CopiesQuery, Spot};
use crate::remote::Home;
use crate::remote::template::Template;

/// A configured folder and where its files go.
pub(super) struct Place {
    part: Part,
    template: Template,
    pub(super) home: Home,
    device: String,
}

impl Place {
    pub(super) fn new(session: &Session<'_>, part: Part) -> Outcome<Self> {
        let template: Template =
            part.folder.remote.parse().map_err(|error| Failed::new(&error).status(ExitStatus::Usage))?;
        let (home, device) = (session.home(), session.cloud.config.device_name());
        Ok(Self { part, template, home, device })
    }

    /// The remote folder that all of it lies in.
    pub(super) fn root(&self) -> String {
        let top = self.template.top(&self.home, &self.device, &self.part.folder.label);
        match (self.start().is_empty(), self.template.has_date()) {
            (false, false) => format!("{top}/{}", self.home.names.escape(self.start())),
            _ => top,
        }
    }

    /// Only what is there, or below.
    pub(super) fn start(&self) -> &[u8] {
        &self.part.below
    }

    /// The local file whose copy this folder's template can have made at a remote path.
    pub(super) fn local(&self, remote: &str) -> Option<Spot> {
        let label = &self.part.folder.label;
        let below = self.template.below(&self.home, &self.device, label, remote)?;
        let is_wanted = self.start().is_empty()
            || below.strip_prefix(self.start()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"));
        is_wanted.then(|| self.at(below))
    }

    /// A file of this folder.
    pub(super) fn at(&self, below: Vec<u8>) -> Spot {
        let folder = &self.part.folder;
        let path = folder.path.join(Path::new(&OsString::from_vec(below)));
        Spot { path, label: Some(folder.label.clone()) }
    }

    pub(super) fn query(&self) -> CopiesQuery {
        self.part.copies()
    }
}
