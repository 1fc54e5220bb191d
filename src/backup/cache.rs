//! What of a file the kernel had in memory before we read it: that stays there, and the rest goes when we
//! are done with it. A terabyte of films must not push the family's files out of memory, nor may the file
//! go that the family looks at.
//!
//! No call tells it to a program that may only read the file (`mincore` does not since Linux 5.2). But the
//! kernel counts what a thread has fetched from a disk (`/proc/thread-self/io`): what could be read without
//! fetching it was there. Of a slice that is about to be read, on any thread, some bytes are asked for without
//! waiting for them (`RWF_NOWAIT`, Linux 4.14), and the same is looked at. Where that is not counted - on
//! network disks, through FUSE, by kernels built without `TASK_IO_ACCOUNTING` - all of it goes.

use std::fs::File;
use std::io::IoSliceMut;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;

use rustix::fs::{Advice, fadvise, fstatfs};
use rustix::io::{ReadWriteFlags, preadv2};

/// So much is looked at as one, bytes.
pub const WINDOW_BYTES: u64 = 8 * 1024 * 1024;

/// A slice is looked at in steps of this, bytes.
const STEP_BYTES: usize = 512 * 1024;

/// Disk file systems, of which the kernel counts what is fetched: ext2 to ext4, XFS, Btrfs, F2FS, exFAT,
/// FAT, NTFS (ntfs3), JFS, overlayfs above them.
const COUNTED: [u32; 9] = [
    0xEF53,
    0x5846_5342,
    0x9123_683E,
    0xF2F5_2010,
    0x2011_BAB0,
    0x4D44,
    0x7366_746E,
    0x3153_464A,
    0x794C_7630,
];

/// Which parts of a file were in memory before it was read. By default: not known, as if nothing was.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cached {
    /// Where each part ends, and whether it was there.
    parts: Vec<(u64, bool)>,
}

impl Cached {
    /// Whether most of `start..end` of `file` is in memory now, where the kernel tells; nothing is known of the rest.
    #[must_use]
    pub fn of_now(file: &File, start: u64, end: u64) -> Self {
        let (mut there, mut all) = (0, 0);
        for at in (start..end).step_by(STEP_BYTES) {
            let (mut eyes, mut byte) = (Eyes::on(file), [0]);
            // Where it is not there, it is asked for; that may be so quick that it is there after all.
            let read = preadv2(file, &mut [IoSliceMut::new(&mut byte)], at, ReadWriteFlags::NOWAIT);
            there += u32::from(read.is_ok() && eyes.was_there(1));
            all += 1;
        }
        let mut cached = Self::default();
        cached.push(end, there * 2 > all);
        cached
    }

    /// The next part ends at `end`.
    pub fn push(&mut self, end: u64, was_there: bool) {
        match self.parts.last_mut() {
            Some(last) if last.1 == was_there => last.0 = end,
            _ => self.parts.push((end, was_there)),
        }
    }

    /// Whether the part that ends at `end` was there, where that is known.
    #[must_use]
    pub fn was_there(&self, end: u64) -> Option<bool> {
        self.parts.iter().find(|(until, _)| *until >= end).map(|(_, was_there)| *was_there)
    }

    /// Whether something of the file is in memory only because it was read by us, as far as is known.
    #[must_use]
    pub fn has_ours(&self) -> bool {
        self.parts.iter().any(|(_, was_there)| !was_there)
    }

    /// Lets the kernel use the memory that holds `start..end` of `file` for something else, apart from what was
    /// there before.
    pub fn forget(&self, file: &File, start: u64, end: u64) {
        let unknown = [(u64::MAX, false)];
        let parts = if self.parts.is_empty() { &unknown } else { self.parts.as_slice() };
        let mut from = 0;
        for &(until, was_there) in parts {
            let (first, last) = (start.max(from), end.min(until));
            if !was_there && first < last {
                let _ = fadvise(file, first, NonZeroU64::new(last - first), Advice::DontNeed);
            }
            from = until;
        }
    }
}

/// Sees how much of what a thread reads comes from the disk. To be used on the thread that made it.
pub struct Eyes {
    counter: Option<File>,
    before: u64,
    /// Bytes that were fetched before they were asked for: the kernel reads ahead.
    ahead: u64,
}

impl Eyes {
    /// From here on, for reading `file`.
    #[must_use]
    pub fn on(file: &File) -> Self {
        let is_counted = fstatfs(file).is_ok_and(|system| COUNTED.contains(&(system.f_type as u32)));
        let counter = is_counted.then(|| File::open("/proc/thread-self/io").ok()).flatten();
        let before = counter.as_ref().and_then(fetched).unwrap_or(0);
        Self { counter, before, ahead: 0 }
    }

    /// Whether most of the `length` bytes that were read since the last time this was asked were in memory.
    pub fn was_there(&mut self, length: u64) -> bool {
        let Some(now) = self.counter.as_ref().and_then(fetched) else { return false };
        let fetched = self.ahead + now.saturating_sub(std::mem::replace(&mut self.before, now));
        self.ahead = fetched.saturating_sub(length);
        fetched < length.div_ceil(2)
    }
}

/// What the thread has fetched from disks so far, bytes.
fn fetched(counter: &File) -> Option<u64> {
    let mut text = [0; 512];
    let length = counter.read_at(&mut text, 0).ok()?;
    let text = std::str::from_utf8(&text[..length]).ok()?;
    text.lines().find_map(|line| line.strip_prefix("read_bytes: ")?.trim().parse().ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::backup::body::{Throttle, slice_body};
    use crate::backup::{disk, hash};
    use futures_util::StreamExt;
    use std::io::{Read, Write};
    use std::process::Command;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU64};

    const MIB: u64 = 1 << 20;

    #[test]
    fn parts_that_are_alike_are_one_and_each_end_is_found() {
        let mut cached = Cached::default();
        assert!(cached.was_there(1).is_none() && !cached.has_ours());
        for (end, was_there) in [(8, false), (16, false), (24, true), (30, false)] {
            cached.push(end, was_there);
        }
        assert_eq!(cached.parts, [(16, false), (24, true), (30, false)]);
        assert_eq!([8, 16, 24, 30].map(|end| cached.was_there(end)), [false, false, true, false].map(Some));
        assert!(cached.has_ours());
    }

    /// Bytes of a file that the kernel has in memory; `None` where nobody can say.
    fn resident(path: &std::path::Path) -> Option<u64> {
        let told = Command::new("fincore").args(["--bytes", "--noheadings", "-o", "RES"]).arg(path).output();
        String::from_utf8(told.ok().filter(|told| told.status.success())?.stdout).ok()?.trim().parse().ok()
    }

    /// What becomes of a file's memory when it is hashed and sent: (before, afterwards).
    async fn hashed_and_sent(bytes: u64, is_cached: bool) -> Option<(u64, u64)> {
        let mut named = tempfile::NamedTempFile::new().unwrap();
        for at in 0..bytes / MIB {
            named.write_all(&vec![at as u8; MIB as usize]).unwrap();
        }
        named.as_file().sync_all().unwrap();
        let file = File::open(named.path()).unwrap();
        Cached::default().forget(&file, 0, bytes);
        if is_cached {
            std::io::copy(&mut (&file).take(bytes), &mut std::io::sink()).unwrap();
        }
        let before = resident(named.path())?;
        let print = disk::fingerprint(&file).unwrap().0;
        let (mut buffer, done, go_on) =
            (vec![0; hash::BUFFER_BYTES], AtomicU64::new(0), AtomicBool::new(false));
        let hashes = hash::hash(&file, &print, 4 * MIB, &mut buffer, &done, &go_on).unwrap();
        let (file, cached) = (Arc::new(file), Arc::new(hashes.cached));
        for offset in (0..bytes).step_by(4 * MIB as usize) {
            let length = (4 * MIB).min(bytes - offset);
            let (file, cached) = (Arc::clone(&file), Arc::clone(&cached));
            let body = slice_body(file, cached, offset, length, |_| {}, Throttle::new(None));
            body.for_each(async |piece| drop(piece.unwrap())).await;
        }
        Some((before, resident(named.path())?))
    }

    /// A file of which nothing is in memory; none where that cannot be had.
    fn cold(bytes: u64) -> Option<(tempfile::NamedTempFile, File)> {
        let mut named = tempfile::NamedTempFile::new().unwrap();
        named.write_all(&vec![7; bytes as usize]).unwrap();
        named.as_file().sync_all().unwrap();
        let file = File::open(named.path()).unwrap();
        Cached::default().forget(&file, 0, bytes);
        if resident(named.path()) == Some(0) {
            return Some((named, file));
        }
        eprintln!("SKIPPED: the temporary folder's files do not leave the memory, or nobody tells");
        None
    }

    #[test]
    fn of_a_file_that_was_hashed_by_an_earlier_run_it_is_seen_what_is_in_memory_now() {
        let Some((named, file)) = cold(8 * MIB) else { return };
        let slice = |start: u64| Cached::of_now(&file, start, start + 4 * MIB);
        assert_eq!(slice(0).was_there(4 * MIB), Some(false));
        if fetched(&File::open("/proc/thread-self/io").unwrap()).is_none() {
            return eprintln!("SKIPPED: this kernel does not count what a thread fetches");
        }
        file.read_exact_at(&mut vec![0; 4 * MIB as usize], 4 * MIB).unwrap();
        let second = slice(4 * MIB);
        assert_eq!(second.was_there(8 * MIB), Some(true));
        second.forget(&file, 4 * MIB, 8 * MIB);
        assert!(resident(named.path()).unwrap() >= 4 * MIB);
    }

    #[test]
    fn a_pass_that_fails_leaves_nothing_of_its_own_in_memory() {
        let Some((named, file)) = cold(8 * MIB) else { return };
        // It has shrunk, as far as the pass is told.
        let mut print = disk::fingerprint(&file).unwrap().0;
        print.size += 1;
        let (done, go_on) = (AtomicU64::new(0), AtomicBool::new(false));
        hash::hash(&file, &print, 4 * MIB, &mut vec![0; hash::BUFFER_BYTES], &done, &go_on).unwrap_err();
        assert_eq!(resident(named.path()), Some(0));
    }

    /// A photo, which stays until it is sent, and a film, which goes window by window.
    #[tokio::test]
    async fn what_was_not_in_memory_is_not_afterwards_and_what_the_family_had_there_stays() {
        for bytes in [3 * MIB, 44 * MIB] {
            let Some((cold, left)) = hashed_and_sent(bytes, false).await else {
                return eprintln!("SKIPPED: nobody here tells what is in memory: fincore of util-linux");
            };
            if cold > bytes / 10 {
                return eprintln!("SKIPPED: the temporary folder's files do not leave the memory");
            }
            assert!(left <= bytes / 10, "{left} of {bytes} bytes are in memory for nothing");
            let (warm, left) = hashed_and_sent(bytes, true).await.unwrap();
            if fetched(&File::open("/proc/thread-self/io").unwrap()).is_none() {
                return eprintln!("SKIPPED: this kernel does not count what a thread fetches");
            }
            // Somebody else may be short of memory at just this moment.
            assert!(left >= warm / 2, "of {warm} bytes that were in memory {left} are left");
        }
    }
}
