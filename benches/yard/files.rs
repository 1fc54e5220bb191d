//! Photos and videos, each with bytes of its own, made as fast as the disk takes them.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::Result;

/// Writes `count` photos of `bytes` bytes below `folder`, a hundred a folder, and returns where they are.
/// Another `seed` makes others.
pub(crate) fn photos(folder: &Path, seed: u64, count: u64, bytes: u64) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for number in 0..count {
        let below = folder.join(format!("{:03}", number / 100));
        if number % 100 == 0 {
            fs::create_dir_all(&below)?;
        }
        let path = below.join(format!("IMG_{number:05}.jpg"));
        write(&path, JPEG, seed.wrapping_add(number), bytes)?;
        paths.push(path);
    }
    Ok(paths)
}

/// Writes `count` videos of `bytes` bytes into `folder`.
pub(crate) fn videos(folder: &Path, seed: u64, count: u64, bytes: u64) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(folder)?;
    let mut paths = Vec::new();
    for number in 0..count {
        let path = folder.join(format!("VID_{number:04}.mp4"));
        write(&path, MP4, seed.wrapping_add(number), bytes)?;
        paths.push(path);
    }
    Ok(paths)
}

/// Waits until the disk has everything that was written: it is nobody's cost but its writer's.
pub(crate) fn sync() {
    rustix::fs::sync();
}

/// How many bytes they are together.
pub(crate) fn bytes(files: &[PathBuf]) -> Result<u64> {
    let mut sum = 0;
    for path in files {
        sum += fs::metadata(path)?.len();
    }
    Ok(sum)
}

/// A JPEG without an EXIF, which is most of what there is to read in one.
const JPEG: &[u8] =
    b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xc0\0\x0b\x08\0\xf0\x01\x40\x01\x01\x11\0\xff\xda\0\x08\x01\x01\0\0\x3f\0";
const MP4: &[u8] = b"\0\0\0\x18ftypisom\0\0\x02\0isommp42\0\0\0\0mdat";

/// The head, and noise that no two seeds have in common and nobody can compress.
fn write(path: &Path, head: &[u8], seed: u64, bytes: u64) -> Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    file.write_all(head)?;
    let mut left = bytes.saturating_sub(head.len() as u64);
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while left > 0 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let piece = state.to_le_bytes();
        let length = usize::try_from(left.min(8))?;
        file.write_all(&piece[..length])?;
        left -= length as u64;
    }
    file.flush()?;
    Ok(())
}
