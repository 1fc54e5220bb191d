//! The pipeline, from a photo on the disk to a photo in the cloud.

pub mod body;
pub mod disk;
pub mod exif;
pub mod filter;
pub mod hash;
mod heif;
mod junk;
mod md5;
pub mod media;
pub mod names;
pub mod settle;
pub mod template;
mod tiff;
pub mod walk;
pub mod watch;
