//! What changes in the watched directories, as the kernel tells it.
//!
//! inotify directly, through rustix, and not through `notify`: version 8 of it always asks to be told of
//! every `open` and every single `write` as well, so that a media server's reading, and our own, would wake
//! us for nothing; it follows links when it adds a directory; and it keeps each path twice, in 450 bytes a
//! directory where this takes 150 (measured with 20,041 of them). There is no thread here, and nobody wakes
//! up while nothing is written.
//!
//! Watches are hints. They are set on the way of a walk, each before its directory is read, and what comes
//! of them is looked at through no link like everything else. Where they cannot be set - network disks,
//! which do not tell what other machines write, and boxes at the kernel's limit - the folder is *polled*:
//! only scans find what is new, and [`Watcher::polling`] says why.

use std::collections::{BTreeSet, HashMap};
use std::future::pending;
use std::io;
use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::statfs;
use rustix::io::Errno;
use tokio::net::unix::pipe;

use super::disk;
use crate::content::{FilePath, FolderId};

/// Changed paths that are remembered; beyond that everything is to be scanned.
const MOST_PATHS: usize = 10_000;

/// Events that are taken from the kernel at a time: it holds 16,384.
const MOST_EVENTS: usize = 65_536;

/// Numbers of watches that are just being set, and directories that we may not read, remembered.
const MOST_NUMBERS: usize = 4096;

/// What we want to be told. Not `MODIFY`: a file that is being written is closed one day; not `OPEN` and
/// `ACCESS`: reading changes nothing. `ATTRIB` is a new time stamp or a link.
const EVENTS: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::ATTRIB);

const HOW: WatchFlags = WatchFlags::ONLYDIR.union(WatchFlags::DONT_FOLLOW).union(WatchFlags::EXCL_UNLINK);

/// What changed since the last [`Watcher::drain`].
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Changes {
    /// Files that were written, moved, deleted or got another time: look at them.
    pub files: Vec<FilePath>,
    /// Directories that are new, or went away: walk them. An empty path is the folder itself.
    pub dirs: Vec<FilePath>,
    /// Something was lost: scan everything.
    pub overflow: bool,
}

/// Watches directories. To be made within a tokio runtime.
#[derive(Debug)]
pub struct Watcher {
    /// Why there is none: the reason that every folder gets.
    kernel: Result<pipe::Receiver, String>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What the kernel's numbers stand for.
    watches: HashMap<i32, FilePath>,
    /// A directory that is in two folders (one within the other) has one number: the second place.
    again: HashMap<i32, FilePath>,
    /// Something happened in directories whose number we do not know yet: they are being added.
    strangers: BTreeSet<i32>,
    /// Directories that we may not read: told when that changes.
    closed: BTreeSet<FilePath>,
    polling: HashMap<FolderId, Polling>,
    files: BTreeSet<FilePath>,
    dirs: BTreeSet<FilePath>,
    overflow: bool,
}

/// Why a folder is polled.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Polling {
    Because(String),
    /// So many of its directories found no place at the kernel's limit.
    AtLimit(u64),
}

impl Default for Watcher {
    fn default() -> Self {
        Self::new()
    }
}

impl Watcher {
    /// A watcher of nothing yet. Where the kernel gives none, every folder is polled.
    #[must_use]
    pub fn new() -> Self {
        #[cfg(test)]
        if super::seam::machine().is_some() {
            return Self { kernel: Err("simulated".into()), state: Mutex::default() };
        }
        let kernel = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)
            .map_err(|errno| match errno {
                Errno::MFILE => at_limit("max_user_instances", "programs that watch directories", 0),
                errno => format!("the kernel watches no directories: {errno}"),
            })
            .and_then(|fd| {
                // Nothing but a descriptor that becomes readable: tokio's safe way to wait for one.
                pipe::Receiver::from_owned_fd_unchecked(fd).map_err(|error| error.to_string())
            });
        Self { kernel, state: Mutex::default() }
    }

    /// A scan of a whole folder begins: what made it polled is tried again.
    pub fn start(&self, folder: FolderId, root: &Path) {
        let reason = match &self.kernel {
            Err(reason) => Some(reason.clone()),
            Ok(_) => network_disk(root).map(|kind| {
                format!("{kind} does not tell what other machines write: new files are found by scans")
            }),
        };
        let mut state = self.lock();
        match reason {
            Some(reason) => state.polling.insert(folder, Polling::Because(reason)),
            None => state.polling.remove(&folder),
        };
    }

    /// Watches the directory at `below` under the folder's `root`, before it is read. What is watched
    /// already stays so. Failure makes the folder polled.
    pub fn add_dir(&self, folder: FolderId, root: &Path, below: &[u8]) {
        let Ok(kernel) = &self.kernel else {
            return;
        };
        let place = FilePath { folder, below: below.into() };
        let mut events = EVENTS | HOW;
        if below.is_empty() {
            events |= WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
            // The folder's own path may be a link.
            events -= WatchFlags::DONT_FOLLOW;
        }
        // Not under the lock: a disk that hangs keeps nobody but the walk that came upon it.
        let added = inotify::add_watch(kernel, place.under(root), events);
        let mut state = self.lock();
        match added {
            Ok(number) => state.put(number, place),
            // It went away again, or is a link by now, or may not be read: the walk will say so.
            Err(errno) if disk::is_absence(errno) || errno == Errno::ACCESS => {}
            Err(Errno::NOSPC) => match state.polling.entry(folder).or_insert(Polling::AtLimit(0)) {
                Polling::AtLimit(count) => *count += 1,
                Polling::Because(_) => {}
            },
            Err(errno) => {
                let reason = format!("a directory cannot be watched: {errno}");
                state.polling.entry(folder).or_insert(Polling::Because(reason));
            }
        }
    }

    /// A directory at `below` may not be read: told of when somebody changes who may.
    pub fn add_closed(&self, folder: FolderId, below: &[u8]) {
        let mut state = self.lock();
        if state.closed.len() < MOST_NUMBERS {
            state.closed.insert(FilePath { folder, below: below.into() });
        }
    }

    /// Forgets a folder that is not configured any more.
    pub fn forget(&self, folder: FolderId) {
        let mut state = self.lock();
        state.polling.remove(&folder);
        state.closed.retain(|place| place.folder != folder);
        self.unwatch(&mut state, |place| place.folder == folder);
    }

    /// Why only scans find what is new in (parts of) this folder; `None` when all of it is watched.
    #[must_use]
    pub fn polling(&self, folder: FolderId) -> Option<String> {
        let state = self.lock();
        Some(match state.polling.get(&folder)? {
            Polling::Because(reason) => reason.clone(),
            Polling::AtLimit(count) => {
                at_limit("max_user_watches", "watched directories", state.watches.len() as u64 + count)
            }
        })
    }

    /// How many directories are watched.
    #[must_use]
    pub fn watched(&self) -> usize {
        self.lock().watches.len()
    }

    /// Waits until something changed. May be dropped and called again at any time.
    pub async fn changed(&self) {
        let Ok(kernel) = &self.kernel else {
            return pending().await;
        };
        loop {
            if self.collect() {
                return;
            }
            if kernel.readable().await.is_err() {
                return pending().await;
            }
            // Having found nothing makes it wait for what comes from here on.
            let found =
                kernel.try_io(|| self.collect().then_some(()).ok_or(io::ErrorKind::WouldBlock.into()));
            if found.is_ok() {
                return;
            }
        }
    }

    /// Takes what changed. Does not wait.
    #[must_use]
    pub fn drain(&self) -> Changes {
        self.collect();
        let mut state = self.lock();
        Changes {
            files: std::mem::take(&mut state.files).into_iter().collect(),
            dirs: std::mem::take(&mut state.dirs).into_iter().collect(),
            overflow: std::mem::take(&mut state.overflow),
        }
    }

    /// Reads what the kernel has; whether there is something for [`Watcher::drain`].
    fn collect(&self) -> bool {
        let mut state = self.lock();
        if let Ok(kernel) = &self.kernel {
            let mut buffer = [MaybeUninit::uninit(); 4096];
            let mut events = inotify::Reader::new(kernel, &mut buffer);
            for _ in 0..MOST_EVENTS {
                match events.next() {
                    Ok(event) => {
                        let name = event.file_name().map(std::ffi::CStr::to_bytes);
                        self.take(&mut state, event.wd(), event.events(), name);
                    }
                    Err(Errno::INTR) => {}
                    Err(_) => break,
                }
            }
        }
        state.overflow || !state.files.is_empty() || !state.dirs.is_empty()
    }

    fn take(&self, state: &mut State, number: i32, events: ReadFlags, name: Option<&[u8]>) {
        if events.contains(ReadFlags::QUEUE_OVERFLOW) {
            state.overflow = true;
            return;
        }
        let places = [state.watches.get(&number), state.again.get(&number)];
        let places: Vec<FilePath> = places.into_iter().flatten().cloned().collect();
        if events.contains(ReadFlags::IGNORED) {
            state.watches.remove(&number);
            state.again.remove(&number);
            state.strangers.remove(&number);
        } else if places.is_empty() {
            state.strangers.insert(number);
            if state.strangers.len() > MOST_NUMBERS {
                // Of directories that nobody watches any more.
                state.strangers.pop_first();
            }
        }
        for place in places {
            let Some(name) = name else {
                // Of the directory itself only its end matters, and only the folder's.
                if events.intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT) {
                    state.note(place, true);
                }
                continue;
            };
            let mut below = place.below.into_vec();
            if !below.is_empty() {
                below.push(b'/');
            }
            below.extend_from_slice(name);
            let place = FilePath { folder: place.folder, below: below.into() };
            if !events.contains(ReadFlags::ISDIR) {
                state.note(place, false);
                continue;
            }
            if events.contains(ReadFlags::ATTRIB) && state.closed.remove(&place) {
                // Perhaps we may read it now. (Others get new attributes all the time, as from rsync.)
                state.note(place, true);
                continue;
            }
            if events.contains(ReadFlags::MOVED_FROM) {
                // Watches follow the directory to where we do not know it. Should a new one have taken its
                // place already, its watches go too - so the place is walked again, which sets them.
                self.unwatch(state, |other| is_within(other, &place));
            }
            if events.intersects(
                ReadFlags::CREATE | ReadFlags::MOVED_TO | ReadFlags::MOVED_FROM | ReadFlags::DELETE,
            ) {
                state.note(place, true);
            }
        }
    }

    /// Ends the watches of the places that `which` names.
    fn unwatch(&self, state: &mut State, which: impl Fn(&FilePath) -> bool) {
        let mut ended = Vec::new();
        state.again.retain(|_, place| !which(place));
        state.watches.retain(|&number, place| {
            let ends = which(place);
            if ends {
                ended.push(number);
            }
            !ends
        });
        for number in ended {
            if let Some(place) = state.again.remove(&number) {
                state.watches.insert(number, place);
            } else if let Ok(kernel) = &self.kernel {
                // It may have ended by itself.
                let _ = inotify::remove_watch(kernel, number);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put(&mut self, number: i32, place: FilePath) {
        if self.strangers.remove(&number) {
            // Something happened in it between the watch and this moment.
            self.note(place.clone(), true);
        }
        match self.watches.get(&number) {
            Some(known) if known.folder != place.folder => drop(self.again.insert(number, place)),
            _ => drop(self.watches.insert(number, place)),
        }
    }

    fn note(&mut self, place: FilePath, is_directory: bool) {
        let paths = if is_directory { &mut self.dirs } else { &mut self.files };
        paths.insert(place);
        if self.files.len() + self.dirs.len() > MOST_PATHS {
            self.files.clear();
            self.dirs.clear();
            self.overflow = true;
        }
    }
}

fn is_within(place: &FilePath, directory: &FilePath) -> bool {
    let rest = place.below.strip_prefix(&*directory.below);
    place.folder == directory.folder && matches!(rest, Some([] | [b'/', ..]))
}

/// The kernel's limit is reached, where `wanted` would do for the moment.
fn at_limit(setting: &str, of_what: &str, wanted: u64) -> String {
    let limit = std::fs::read_to_string(format!("/proc/sys/fs/inotify/{setting}")).unwrap_or_default();
    let limit = limit.trim().parse().unwrap_or(128);
    let enough = wanted.max(limit).saturating_mul(2).checked_next_power_of_two().unwrap_or(u64::MAX);
    format!(
        "the kernel's limit of {of_what} is reached: new files are found by scans; for all to be watched: \
         sysctl -w fs.inotify.{setting}={enough} (now {limit})"
    )
}

/// What kind of disk this is, if it is one that others write without the kernel knowing.
///
/// The numbers are `f_type` of statfs(2).
fn network_disk(root: &Path) -> Option<&'static str> {
    // Some are negative where the field is signed and 32 bits wide.
    #[allow(clippy::unnecessary_cast)]
    let kind = statfs(root).ok()?.f_type as u32;
    Some(match kind {
        0x6969 => "NFS",
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => "SMB",
        0x0102_1997 => "9p",
        0x6573_5546 => "FUSE",
        0x00c3_6400 => "Ceph",
        0x5346_414f | 0x6b41_4653 => "AFS",
        0x786f_4256 => "a VirtualBox folder",
        0x0bd0_0bd0 => "Lustre",
        _ => return None,
    })
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
