//! The pipeline.

pub mod entry;
pub mod index;
pub mod job;
pub mod queue;
pub mod shelf;
