//! 123pan's image host, asked by hand as its documents say.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

#[path = "../common/mod.rs"]
mod common;

mod client;
mod control;
mod errors;
mod faults;
mod fields;
mod links;
mod lists;
mod upload;
