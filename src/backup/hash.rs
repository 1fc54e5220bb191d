//! One pass over a file: its MD5, that of its first 256 KiB, those of its slices, and what it is.
//!
//! The pass counts only if the file had the expected fingerprint before the first byte and after the last,
//! so the digests are of one state of the file. It asks for read-ahead, and takes a large file out of the
//! cache behind itself, apart from what was there before (`cache.rs`). A smaller one stays there, because it
//! will be sent in a moment; [`Cached::forget`] is for when that is over. A pass that fails leaves nothing of its own.

use std::fs::File;
use std::io;
use std::num::NonZero;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::available_parallelism;

use rustix::fs::{Advice, fadvise};
use rustix::io::Errno;

use super::cache::{Cached, Eyes, WINDOW_BYTES};
use super::disk;
use super::md5::Running;
use super::media;
use crate::content::{Fingerprint, Md5, Media};

/// Bytes of the `slice-md5` of precreate (xpan-api, "预上传"): the first 256 KiB.
pub const HEAD_BYTES: u64 = 256 * 1024;

/// A good size for the buffer of [`hash`], bytes.
pub const BUFFER_BYTES: usize = 512 * 1024;

/// Larger files leave the cache while they are read, and are read from the disk once more when they are sent, bytes. Some
/// files are in work at a time, and a box, or the agent's control group, may have little memory for all of them.
pub(super) const KEEP_BYTES: u64 = 32 * 1024 * 1024;

/// Files that are hashed at a time: one processor is left for those who send them, and for the family.
#[must_use]
pub fn at_a_time() -> usize {
    available_parallelism().map_or(1, NonZero::get).saturating_sub(1).clamp(1, 4)
}

/// What one pass over a file found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hashes {
    /// MD5 of the whole file.
    pub content: Md5,
    /// MD5 of the first [`HEAD_BYTES`], or of the whole of a shorter file.
    pub head: Md5,
    /// MD5 of each slice, in order. At least one: an empty file has one empty slice.
    pub slices: Arc<[Md5]>,
    /// What the first bytes say the file is, when they say it with certainty.
    pub sniffed: Option<Media>,
    /// What of it was in memory before.
    pub cached: Cached,
}

/// Why there are no hashes.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// The file is not the expected one, or did not hold still.
    #[error("the file changed while it was read")]
    Changed {
        /// What it is like now.
        now: Fingerprint,
    },
    /// The file has no name any more.
    #[error("the file was deleted while it was read")]
    Gone,
    /// `cancel` was set.
    #[error("reading the file was cancelled")]
    Cancelled,
    /// The disk failed.
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
}

/// Reads `file` once and computes all its digests. Blocks: for a thread that may.
///
/// * `expected`: its fingerprint when it was found quiet; that many bytes are read.
/// * `slice_size`: bytes of every slice but the last; 0 is one slice.
/// * `buffer`: is read into, so its length is the size of a read: [`BUFFER_BYTES`].
/// * `progress`: set to the bytes read so far.
/// * `cancel`: looked at before every read.
///
/// # Errors
/// See [`HashError`].
pub fn hash(
    file: &File,
    expected: &Fingerprint,
    slice_size: u64,
    buffer: &mut [u8],
    progress: &AtomicU64,
    cancel: &AtomicBool,
) -> Result<Hashes, HashError> {
    let mut streams = Streams::new(slice_size);
    let mut sniffed = None;
    let cached = read_through(file, expected, &Cached::default(), buffer, progress, cancel, |done, read| {
        if done == 0 {
            sniffed = media::sniff(&read[..read.len().min(media::SNIFF_BYTES)]);
        }
        streams.update(read);
    })?;
    let (content, head, slices) = streams.finish();
    Ok(Hashes { content, head, slices: slices.into(), sniffed, cached })
}

/// Reads `file` once more and computes the MD5s of its slices for each of `sizes`, bytes. As [`hash`], which
/// found out what was in memory before.
///
/// # Errors
/// See [`HashError`].
pub fn slicings(
    file: &File,
    expected: &Fingerprint,
    cached: &Cached,
    sizes: &[u64],
    buffer: &mut [u8],
    progress: &AtomicU64,
    cancel: &AtomicBool,
) -> Result<Vec<Arc<[Md5]>>, HashError> {
    let mut all: Vec<Streams> = sizes.iter().map(|&size| Streams::new(size)).collect();
    read_through(file, expected, cached, buffer, progress, cancel, |_, read| {
        all.iter_mut().for_each(|streams| streams.update(read));
    })?;
    Ok(all.into_iter().map(|streams| streams.finish().2.into()).collect())
}

/// Shows `each` the whole of `file`, piece by piece with the bytes before it. Returns what of it was in memory;
/// what is `known` of that counts more than what is seen.
fn read_through(
    file: &File,
    expected: &Fingerprint,
    known: &Cached,
    buffer: &mut [u8],
    progress: &AtomicU64,
    cancel: &AtomicBool,
    mut each: impl FnMut(u64, &[u8]),
) -> Result<Cached, HashError> {
    progress.store(0, Ordering::Relaxed);
    check(file, expected)?;
    let is_large = expected.size > KEEP_BYTES;
    let _ = fadvise(file, 0, None, Advice::Sequential);
    let (mut eyes, mut cached) = (Eyes::on(file), Cached::default());
    let (mut done, mut seen) = (0, 0);
    let mut read_all = || {
        while done < expected.size {
            if cancel.load(Ordering::Relaxed) {
                return Err(HashError::Cancelled);
            }
            let wanted = usize::try_from(expected.size - done).unwrap_or(usize::MAX);
            let wanted = wanted.min(buffer.len());
            let read = match file.read_at(&mut buffer[..wanted], done) {
                Ok(0) => {
                    check(file, expected)?;
                    return Err(HashError::Io(io::ErrorKind::UnexpectedEof.into()));
                }
                Ok(read) => &buffer[..read],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // A network disk's way to say that the file was deleted.
                Err(error) if error.raw_os_error() == Some(Errno::STALE.raw_os_error()) => {
                    return Err(HashError::Gone);
                }
                Err(error) => return Err(error.into()),
            };
            each(done, read);
            done += read.len() as u64;
            progress.store(done, Ordering::Relaxed);
            if done - seen >= WINDOW_BYTES || done == expected.size {
                let was_there = eyes.was_there(done - seen);
                cached.push(done, known.was_there(done).unwrap_or(was_there));
                if is_large {
                    cached.forget(file, seen, done);
                }
                seen = done;
            }
        }
        check(file, expected)
    };
    let read = read_all();
    if read.is_err() {
        // What was read is of no use to anybody.
        let was_there = eyes.was_there(done - seen);
        cached.push(done, known.was_there(done).unwrap_or(was_there));
        cached.forget(file, 0, done);
    }
    read.map(|()| cached)
}

/// That the file is still the expected one.
fn check(file: &File, expected: &Fingerprint) -> Result<(), HashError> {
    match disk::fingerprint(file)? {
        (_, false) => Err(HashError::Gone),
        (now, true) if now != *expected => Err(HashError::Changed { now }),
        _ => Ok(()),
    }
}

/// The digests under way: never one of them twice.
struct Streams {
    slice_size: u64,
    whole: Running,
    /// Bytes of `whole`.
    done: u64,
    head: Option<Md5>,
    /// From the second slice on; the first is the beginning of `whole`.
    slice: Option<Running>,
    slices: Vec<Md5>,
}

impl Streams {
    fn new(slice_size: u64) -> Self {
        Self {
            slice_size: if slice_size == 0 { u64::MAX } else { slice_size },
            whole: Running::new(),
            done: 0,
            head: None,
            slice: None,
            slices: Vec::new(),
        }
    }

    fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            // A slice ends only when there is a byte after it: n slices' bytes are n slices.
            if self.done > 0 && self.done.is_multiple_of(self.slice_size) {
                let ended = self.slice.replace(Running::new());
                self.slices.push(ended.unwrap_or_else(|| self.whole.clone()).finish());
            }
            if self.done == HEAD_BYTES {
                self.head = Some(self.whole.clone().finish());
            }
            let mut until = self.slice_size - self.done % self.slice_size;
            if self.done < HEAD_BYTES {
                until = until.min(HEAD_BYTES - self.done);
            }
            let until = usize::try_from(until).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(bytes.len().min(until));
            match &mut self.slice {
                Some(slice) => Running::update_both(&mut self.whole, slice, now),
                None => self.whole.update(now),
            }
            self.done += now.len() as u64;
            bytes = later;
        }
    }

    fn finish(mut self) -> (Md5, Md5, Vec<Md5>) {
        let content = self.whole.finish();
        self.slices.push(self.slice.map_or(content, Running::finish));
        (content, self.head.unwrap_or(content), self.slices)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at * 7 + at / 251) as u8).collect()
    }

    fn file_of(content: &[u8]) -> (tempfile::NamedTempFile, Fingerprint) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        let print = disk::fingerprint(file.as_file()).unwrap().0;
        (file, print)
    }

    fn hash_of(file: &File, print: &Fingerprint, slice_size: u64) -> Result<Hashes, HashError> {
        let progress = AtomicU64::new(9);
        let hashes =
            hash(file, print, slice_size, &mut vec![0; 100_000], &progress, &AtomicBool::new(false))?;
        assert_eq!(progress.into_inner(), print.size);
        Ok(hashes)
    }

    #[test]
    fn one_pass_gives_what_separate_passes_would() {
        const HEAD: usize = 256 * 1024;
        for length in [0, 1, 63, 64, HEAD - 1, HEAD, HEAD + 1, 2 * HEAD, 700_000] {
            for slice_size in [HEAD / 2, HEAD, 300_000, 350_000, 1_000_000, 65_537] {
                let content = bytes(length);
                let (file, print) = file_of(&content);
                let hashes = hash_of(file.as_file(), &print, slice_size as u64).unwrap();
                assert_eq!(hashes.content, Md5::of(&content));
                assert_eq!(hashes.head, Md5::of(&content[..length.min(HEAD)]));
                let mut slices: Vec<Md5> = content.chunks(slice_size).map(Md5::of).collect();
                if slices.is_empty() {
                    slices.push(Md5::of(""));
                }
                assert_eq!(&*hashes.slices, slices, "{length} in slices of {slice_size}");
            }
        }
    }

    #[test]
    fn several_slicings_of_one_pass_are_those_of_one_pass_each() {
        let (file, print) = file_of(&bytes(700_000));
        let sizes = [65_536, 300_000, 1_000_000];
        let (progress, go_on) = (AtomicU64::new(0), AtomicBool::new(false));
        let all = slicings(
            file.as_file(),
            &print,
            &Cached::default(),
            &sizes,
            &mut vec![0; 100_000],
            &progress,
            &go_on,
        )
        .unwrap();
        for (size, slices) in sizes.into_iter().zip(all) {
            assert_eq!(slices, hash_of(file.as_file(), &print, size).unwrap().slices);
        }
    }

    #[test]
    fn exactly_n_slices_are_n_slices() {
        let content = bytes(4 * 65_536);
        let (file, print) = file_of(&content);
        assert_eq!(hash_of(file.as_file(), &print, 65_536).unwrap().slices.len(), 4);
        assert_eq!(hash_of(file.as_file(), &print, 4 * 65_536).unwrap().slices.len(), 1);
        assert_eq!(hash_of(file.as_file(), &print, 0).unwrap().slices.len(), 1);
    }

    #[test]
    fn the_content_tells_what_the_file_is() {
        let (file, print) = file_of(b"\xff\xd8\xff\xe0 a picture");
        assert_eq!(hash_of(file.as_file(), &print, 4).unwrap().sniffed, Some(Media::Photo));
    }

    #[test]
    fn a_file_that_is_not_the_expected_one_is_not_hashed() {
        let (mut file, print) = file_of(b"before");
        file.write_all(b" and after").unwrap();
        let now = disk::fingerprint(file.as_file()).unwrap().0;
        assert!(
            matches!(hash_of(file.as_file(), &print, 4), Err(HashError::Changed { now: seen }) if seen == now)
        );
        let file = file.into_file();
        assert!(matches!(hash_of(&file, &now, 4), Err(HashError::Gone)));
    }

    #[test]
    fn a_cancelled_pass_ends_at_once() {
        let (file, print) = file_of(&bytes(1000));
        let result =
            hash(file.as_file(), &print, 4, &mut [0; 10], &AtomicU64::new(0), &AtomicBool::new(true));
        assert!(matches!(result, Err(HashError::Cancelled)));
    }

    proptest! {
        #[test]
        fn any_pieces_and_slices_agree_with_the_plain_way(
            length in 0usize..600_000,
            slice_size in prop_oneof![1000u64..400_000, (1u64..6).prop_map(|n| n * 65_536)],
            piece in 1usize..300_000,
        ) {
            let content = bytes(length);
            let mut streams = Streams::new(slice_size);
            content.chunks(piece).for_each(|piece| streams.update(piece));
            let (whole, head, slices) = streams.finish();
            prop_assert_eq!(whole, Md5::of(&content));
            prop_assert_eq!(head, Md5::of(&content[..length.min(256 * 1024)]));
            let expected: Vec<Md5> = content.chunks(slice_size as usize).map(Md5::of).collect();
            prop_assert!(slices == expected || length == 0);
        }
    }
}
