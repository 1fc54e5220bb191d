//! What a file is called in the cloud: the folder's template, and names escaped so that they come back.
//!
//! A leaf: the configuration checks templates, the pipeline makes names, and whoever brings files home
//! reads them back.

pub mod kept;
pub mod meet;
pub mod names;
pub mod template;
pub mod tops;
