//! Disks that are mounted in, at or above a folder: they come and go, and what they held is not deleted.
//!
//! What a folder's last good look found is remembered in the state: where in the folder disks were mounted,
//! and how far above it its own was. A later look that finds none of the known files at such a place takes the
//! disk to be away: nothing of it is believed to be gone, and nothing that lies in the bare directory is sent.
//!
//! ```text
//! m <folder, 4 bytes>   1, height + 1 (0: unknown), number of places, each with its length before it
//! ```

use std::fs::File;
use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, openat};
use tokio::net::unix::pipe;

use super::disk::{self, Look};
use crate::store::{Reader, Writer};

/// Bytes of all remembered places: a record of the store holds them (`store::MAX_VALUE`).
const MOST_BYTES: usize = 3000;
/// Higher up nobody looks for the place where a folder's disk is mounted.
const MOST_HEIGHT: u32 = 256;
const TABLE: &str = "/proc/self/mountinfo";

/// Where disks were mounted when a folder was last seen whole.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Mounts {
    /// How many directories above the folder its own disk is mounted; 0 is the folder itself.
    pub height: Option<u32>,
    /// Mounted below the folder: paths below it.
    pub below: Vec<Box<[u8]>>,
}

impl Mounts {
    /// Remembers one more place below the folder. With too many the rest is as any directory.
    pub fn add(&mut self, below: &[u8]) {
        let bytes: usize = self.below.iter().map(|known| known.len() + 2).sum();
        if !self.below.iter().any(|known| **known == *below) && bytes + below.len() < MOST_BYTES {
            self.below.push(below.into());
        }
    }

    /// As a record.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.byte(1).number(self.height.map_or(0, |height| u64::from(height) + 1));
        writer.number(self.below.len() as u64);
        for below in &self.below {
            writer.bytes(below);
        }
        writer.finish()
    }

    /// From a record; one that does not read back is as good as none.
    #[must_use]
    pub fn read(record: &[u8]) -> Self {
        let read = || -> Option<Self> {
            let mut reader = Reader::new(record);
            if reader.byte().ok()? != 1 {
                return None;
            }
            let height = reader.small::<u32>().ok()?.checked_sub(1);
            let count: usize = reader.small().ok()?;
            let below = (0..count.min(MOST_BYTES)).map(|_| Some(reader.bytes().ok()?.into()));
            Some(Self { height, below: below.collect::<Option<_>>()? })
        };
        read().unwrap_or_default()
    }
}

/// Whether a directory is where a file system is mounted, given what lies above it.
pub(super) fn is_mounted(here: &Look, above: &Look) -> bool {
    // Before Linux 5.8 the kernel does not say, and a disk is known by its number.
    here.mounted.unwrap_or(here.device != above.device || here.inode == above.inode)
}

/// How many directories above `root` its disk is mounted.
pub(super) fn height(root: &OwnedFd) -> Option<u32> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = openat(root, c".", flags, Mode::empty()).ok()?;
    let mut here = disk::look_at_open(&at).ok()?;
    for height in 0..MOST_HEIGHT {
        let up = openat(&at, c"..", flags, Mode::empty()).ok()?;
        let above = disk::look_at_open(&up).ok()?;
        if is_mounted(&here, &above) {
            return Some(height);
        }
        (at, here) = (up, above);
    }
    None
}

/// Where a folder really is, links followed; `None` when it is not there.
#[must_use]
pub fn real_path_of(root: &Path) -> Option<PathBuf> {
    use std::os::fd::AsRawFd;
    let open = disk::open_root(root).ok()?;
    std::fs::read_link(format!("/proc/self/fd/{}", open.as_raw_fd())).ok()
}

/// What is mounted where, as the kernel tells it without asking any disk.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Table(Vec<Mounted>);

/// One file system in its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mounted {
    /// The disk's number, `major:minor`.
    pub disk: String,
    /// Distinguishes one mounting from the next.
    pub id: String,
    /// Where.
    pub place: PathBuf,
}

impl Table {
    /// As it is now. Empty where the kernel does not say.
    #[must_use]
    pub fn now() -> Self {
        #[cfg(test)]
        if super::seam::machine().is_some() {
            return Self::default();
        }
        Self(std::fs::read(TABLE).map(|text| parse(&text)).unwrap_or_default())
    }

    /// The disk that `path` is on, by its name alone.
    #[must_use]
    pub fn disk_of(&self, path: &Path) -> Option<&str> {
        Some(&self.holder(path)?.disk)
    }

    /// Everything that is mounted at or below `path`, and what `path` itself is on.
    #[must_use]
    pub fn about(&self, path: &Path) -> Vec<&Mounted> {
        let below = self.0.iter().filter(|mounted| mounted.place.starts_with(path));
        self.holder(path).into_iter().chain(below).collect()
    }

    /// Of several at one place the last one is on top.
    fn holder(&self, path: &Path) -> Option<&Mounted> {
        let holding = self.0.iter().filter(|mounted| path.starts_with(&mounted.place));
        holding.max_by_key(|mounted| mounted.place.as_os_str().len())
    }
}

/// The lines of proc_pid_mountinfo(5): `36 35 98:0 /root /place options … - type source options`.
fn parse(text: &[u8]) -> Vec<Mounted> {
    let line = |line: &[u8]| -> Option<Mounted> {
        let mut fields = line.split(|&byte| byte == b' ');
        let id = String::from_utf8_lossy(fields.next()?).into_owned();
        let disk = String::from_utf8_lossy(fields.nth(1)?).into_owned();
        Some(Mounted { disk, id, place: unescaped(fields.nth(1)?) })
    };
    text.split(|&byte| byte == b'\n').filter_map(line).collect()
}

/// Blanks, tabs, line ends and backslashes are written `\040`.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let octal = (first == b'\\').then(|| after.get(..3)).flatten();
        let number = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        (bytes, rest) = match number {
            Some(byte) => ([bytes, vec![byte]].concat(), &after[3..]),
            None => ([bytes, vec![first]].concat(), after),
        };
    }
    std::ffi::OsString::from_vec(bytes).into()
}

/// Rings when anything is mounted or unmounted, and once at the beginning. To be made within a tokio runtime.
#[derive(Debug)]
pub struct Bell(Option<pipe::Receiver>);

impl Default for Bell {
    fn default() -> Self {
        Self::new()
    }
}

impl Bell {
    /// Where the kernel does not tell, it never rings.
    #[must_use]
    pub fn new() -> Self {
        #[cfg(test)]
        if super::seam::machine().is_some() {
            return Self(None);
        }
        // No pipe, but a descriptor that becomes readable once more with each change: see watch.rs.
        Self(File::open(TABLE).and_then(|table| pipe::Receiver::from_owned_fd_unchecked(table.into())).ok())
    }

    /// Waits for it. May be dropped and called again at any time.
    pub async fn rung(&self) {
        let Some(table) = &self.0 else { return pending().await };
        if table.readable().await.is_err() {
            return pending().await;
        }
        // Having found nothing to read makes it wait for what comes from here on.
        let _ = table.try_io(|| Err::<(), _>(io::ErrorKind::WouldBlock.into()));
    }
}

/// Whether `below` is `at` or lies in it; paths below a folder, an empty one is the folder itself.
#[must_use]
pub fn is_within(below: &[u8], at: &[u8]) -> bool {
    at.is_empty() || below.strip_prefix(at).is_some_and(|rest| rest.first().is_none_or(|&byte| byte == b'/'))
}

/// The absolute path of what lies at `below` in the folder at `root`, for a person.
#[must_use]
pub fn named(root: &Path, below: &[u8]) -> String {
    if below.is_empty() {
        return root.display().to_string();
    }
    root.join(std::ffi::OsStr::from_bytes(below)).display().to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_reads_back_and_junk_is_as_good_as_nothing() {
        let mut mounts = Mounts { height: Some(0), below: Vec::new() };
        for below in [&b"disk1"[..], b"a/\xff b", b"disk1"] {
            mounts.add(below);
        }
        assert_eq!(mounts.below.len(), 2);
        assert_eq!(Mounts::read(&mounts.write()), mounts);
        assert_eq!(Mounts::read(&Mounts::default().write()), Mounts::default());
        for junk in [&b""[..], b"\x02", b"\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x01\x00\x01\x05a"]
        {
            assert_eq!(Mounts::read(junk), Mounts::default());
        }
        (0..1000).for_each(|number| mounts.add(format!("disk{number}").as_bytes()));
        assert!(mounts.write().len() < crate::store::MAX_VALUE, "{}", mounts.below.len());
    }

    #[test]
    fn the_kernels_table_says_which_disk_holds_a_path() {
        let table = Table(parse(
            b"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
              40 22 8:17 / /mnt/my\\040usb rw,noatime shared:3 - vfat /dev/sdb1 rw\n\
              41 40 0:50 / /mnt/my\\040usb/a rw - tmpfs x rw\nnonsense\n",
        ));
        for (path, disk) in
            [("/home/x", "8:1"), ("/mnt/my usb", "8:17"), ("/mnt/my usb/a/b", "0:50"), ("/mnt/my", "8:1")]
        {
            assert_eq!(table.disk_of(Path::new(path)), Some(disk), "{path}");
        }
        let about: Vec<_> =
            table.about(Path::new("/mnt/my usb/b")).iter().map(|one| one.id.as_str()).collect();
        assert_eq!(about, ["40"]);
        assert_eq!(table.about(Path::new("/mnt")).len(), 3);
        assert!(Table::now().disk_of(Path::new("/proc/self")).is_some());
    }

    #[test]
    fn a_folder_knows_how_far_above_it_its_disk_is_mounted() {
        assert_eq!(height(&disk::open_root(Path::new("/")).unwrap()), Some(0));
        assert_eq!(height(&disk::open_root(Path::new("/proc")).unwrap()), Some(0));
        assert_eq!(height(&disk::open_root(Path::new("/proc/sys/kernel")).unwrap()), Some(2));
    }

    #[test]
    fn a_place_lies_in_its_folder_and_beside_its_neighbour() {
        assert!(is_within(b"a/b", b"a") && is_within(b"a", b"a") && is_within(b"a", b""));
        assert!(!is_within(b"ab", b"a") && !is_within(b"a", b"a/b"));
    }
}
