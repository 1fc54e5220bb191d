//! xpand backs up the photos and videos of a NAS or TV box to a cloud drive, by itself.

pub mod account;
pub mod agent;
pub mod backup;
pub mod cli;
pub mod clock;
pub mod cloud;
pub mod config;
pub mod content;
pub mod control;
pub mod device;
pub mod durable;
pub mod status;
pub mod store;
