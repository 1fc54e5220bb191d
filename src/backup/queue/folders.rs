//! The record of a folder: which it is, and how many of its files stand where.

use crate::status::Counts;
use crate::store::{Reader, Writer};

/// A folder's path, as the disk has it, and its account.
pub(super) type Name = (Vec<u8>, String);

/// Packs a folder's record.
pub(super) fn write_folder(path: &[u8], account: &str, counts: &Counts) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.byte(1).bytes(path).bytes(account.as_bytes());
    for count in [
        counts.files,
        counts.bytes,
        counts.backed_up,
        counts.waiting,
        counts.failed,
        counts.skipped,
        counts.bytes_waiting,
    ] {
        writer.number(count);
    }
    writer.finish()
}

/// Unpacks it; `None` when it is not one of ours.
pub(super) fn read_folder(payload: &[u8]) -> Option<(Name, Counts)> {
    let mut reader = Reader::new(payload);
    if reader.byte().ok()? != 1 {
        return None;
    }
    let name = (reader.bytes().ok()?.to_vec(), reader.text().ok()?);
    let mut number = || reader.number().ok();
    let counts = Counts {
        files: number()?,
        bytes: number()?,
        backed_up: number()?,
        waiting: number()?,
        failed: number()?,
        skipped: number()?,
        bytes_waiting: number()?,
    };
    Some((name, counts))
}
