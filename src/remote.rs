//! What a file is called in the cloud: the folder's template, and names escaped so that they come back.
//!
//! A leaf: the configuration checks templates, the pipeline makes names, and whoever brings files home
//! reads them back. Which names a cloud takes is its own word ([`names::Rules`]).

pub mod kept;
pub mod meet;
pub mod names;
pub mod template;
pub mod tops;

use names::Rules;

/// The remote folder that everything of an account goes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Home {
    /// Its absolute path, without `/` at the end; empty: the drive itself.
    pub path: String,
    /// How names are written there.
    pub names: &'static Rules,
}
