//! The walk: every wanted file of a folder, in the order of the index.
//!
//! The order is that of the relative paths' bytes with `/` sorting before everything else (as 0x00): a
//! directory's content comes at the directory's own place, and names within one directory go by their
//! bytes. So one pass of the walk and one pass of the index, side by side, show what is new and what is gone.
//!
//! Directories are opened relative to their parent and never through a link, so that nothing that is moved
//! or linked meanwhile leads the walk out of the folder; other file systems below it are entered, a directory
//! that contains itself (a FUSE or bind mount can do it) is not. In memory are the names of the directories
//! from the folder down to where the walk is, wanted ones only; open are the last [`MAX_OPEN`] of these.
//! What cannot be read is a [`Step::Trouble`], and the walk goes on; what vanishes under way is just not there.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FileType, OFlags, RawDir};
use rustix::io::Errno;

use super::disk::{self, Look};
use super::filter::Filter;
use super::mounts;
use crate::content::{Fingerprint, Media};

/// How many directories a walk keeps open.
const MAX_OPEN: usize = 48;

/// Deeper directories are not entered.
const MAX_DEPTH: usize = 512;

/// Bytes of directory entries asked for at a time.
const LISTING_BYTES: usize = 32 * 1024;

/// One thing that the walk came upon. Paths are below the folder, `/` between names, in bytes.
#[derive(Debug)]
pub enum Step {
    /// A directory (at first the start of the walk) is open, and its names will be read at the next step:
    /// a watch that is set now misses nothing.
    Dir {
        /// Empty for the folder itself.
        below: Box<[u8]>,
        /// A disk of its own is mounted here. Of the start of a walk this is not told.
        mounted: bool,
    },
    /// A wanted file.
    Found(Found),
    /// A directory or file that cannot be read. Nothing is known of what lies below it.
    Trouble {
        /// Empty for the folder itself.
        below: Box<[u8]>,
        /// What the system says.
        error: io::Error,
    },
}

/// A wanted file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// Path below the folder.
    pub below: Box<[u8]>,
    /// Its size and times.
    pub print: Fingerprint,
    /// What its name says; `None` when the content has to be asked (`media::sniff`).
    pub media: Option<Media>,
}

/// One pass over a folder, or over a part of it. Reads the disk at every step: for threads that may block.
pub struct Walk {
    filter: Arc<Filter>,
    root: Option<OwnedFd>,
    /// What to do at the first step.
    start: Option<Start>,
    /// From the start down to where we are.
    levels: Vec<Level>,
    /// The path below the folder of the last level, with a `/` at its end unless empty.
    path: Vec<u8>,
    buffer: Box<[MaybeUninit<u8>]>,
    passed: Passed,
    #[cfg(test)]
    simulated: Option<Box<dyn Iterator<Item = Step>>>,
}

/// What a walk goes past without a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Passed {
    /// Links: what they lead to is not looked at.
    pub links: u64,
    /// Pipes, sockets and devices.
    pub others: u64,
}

impl Passed {
    fn see(&mut self, kind: FileType) {
        match kind {
            FileType::Symlink => self.links += 1,
            FileType::RegularFile | FileType::Directory | FileType::Unknown => {}
            _ => self.others += 1,
        }
    }
}

struct Start {
    root: Result<OwnedFd, Errno>,
}

struct Level {
    /// `None` when closed for the sake of deeper ones.
    open: Option<OwnedFd>,
    /// Who it is, to see a directory that contains itself.
    look: Look,
    /// Length of `Walk::path` for this directory.
    path: usize,
    /// All names one after the other.
    names: Vec<u8>,
    /// In order, the next one last. `None` until the directory is read.
    entries: Option<Vec<Entry>>,
}

#[derive(Clone, Copy)]
struct Entry {
    start: u32,
    length: u16,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Directory,
    File(Option<Media>),
    /// The file system does not say in its listing.
    Unknown,
}

impl Walk {
    /// Walks the folder at `root`, or only what is at `start` below it (a file or a directory; empty for
    /// all). A folder or start that is not there shows as [`Step::Trouble`] and as nothing.
    #[must_use]
    pub fn new(root: &Path, start: &[u8], filter: Arc<Filter>) -> Self {
        Self {
            #[cfg(test)]
            simulated: super::seam::machine().map(|machine| machine.walk(root, start, &filter)),
            filter,
            root: None,
            start: Some(Start { root: disk::open_root(root) }),
            levels: Vec::new(),
            path: start.to_vec(),
            buffer: Box::new_uninit_slice(LISTING_BYTES),
            passed: Passed::default(),
        }
    }

    /// What was gone past so far.
    #[must_use]
    pub fn passed(&self) -> Passed {
        self.passed
    }

    /// The first step.
    fn begin(&mut self, start: Start) -> Option<Step> {
        let below = std::mem::take(&mut self.path);
        let root = match start.root {
            Ok(root) => root,
            Err(errno) => return Some(trouble(&[], errno)),
        };
        let root = self.root.insert(root);
        let excluded = |(end, _): (usize, &u8)| self.filter.excluded(&below[..end], true).is_some();
        if below.iter().enumerate().filter(|(_, byte)| **byte == b'/').any(excluded) {
            return None;
        }
        match disk::open_directory(root, &below) {
            Ok(_) if !below.is_empty() && self.filter.excluded(&below, true).is_some() => None,
            Ok(open) => self.enter(open, &below),
            Err(Errno::NOTDIR) => self.lone_file(&below),
            Err(errno) if disk::is_absence(errno) => None,
            Err(errno) => Some(trouble(&below, errno)),
        }
    }

    /// A start that is a file.
    fn lone_file(&self, below: &[u8]) -> Option<Step> {
        let media = self.filter.selects(below)?;
        let slash = below.iter().rposition(|&byte| byte == b'/');
        let parent = disk::open_directory(self.root.as_ref()?, &below[..slash.unwrap_or(0)]);
        match parent.and_then(|parent| disk::look_at(parent, &below[slash.map_or(0, |slash| slash + 1)..])) {
            Ok(look) => (look.kind == FileType::RegularFile).then(|| found(below, look, media)),
            Err(errno) => (!disk::is_absence(errno)).then(|| trouble(below, errno)),
        }
    }

    /// Makes an open directory the place where we are, unless we are within it already.
    fn enter(&mut self, open: OwnedFd, below: &[u8]) -> Option<Step> {
        let look = match disk::look_at_open(&open) {
            Ok(look) => look,
            Err(errno) => return Some(trouble(below, errno)),
        };
        let is_it = |level: &Level| (level.look.device, level.look.inode) == (look.device, look.inode);
        if self.levels.len() >= MAX_DEPTH || self.levels.iter().any(is_it) {
            return Some(trouble(below, Errno::LOOP));
        }
        let mounted = self.levels.last().is_some_and(|above| mounts::is_mounted(&look, &above.look));
        if let Some(far) = self.levels.len().checked_sub(MAX_OPEN) {
            self.levels[far].open = None;
        }
        self.path.clear();
        self.path.extend_from_slice(below);
        if !below.is_empty() {
            self.path.push(b'/');
        }
        self.levels.push(Level {
            open: Some(open),
            look,
            path: self.path.len(),
            names: Vec::new(),
            entries: None,
        });
        Some(Step::Dir { below: below.into(), mounted })
    }

    /// Reads the names of the last level.
    fn read(&mut self) -> Option<Step> {
        let level = self.levels.last_mut()?;
        let mut entries = Vec::new();
        let mut failed = None;
        if let Some(open) = &level.open {
            let mut listing = RawDir::new(open, &mut self.buffer);
            while let Some(entry) = listing.next() {
                match entry {
                    Ok(entry) => {
                        let name = entry.file_name().to_bytes();
                        if matches!(name, b"." | b"..") {
                            continue;
                        }
                        self.path.truncate(level.path);
                        self.path.extend_from_slice(name);
                        let Some(kind) = choose(&self.filter, &self.path, entry.file_type()) else {
                            self.passed.see(entry.file_type());
                            continue;
                        };
                        let (Ok(start), Ok(length)) = (level.names.len().try_into(), name.len().try_into())
                        else {
                            failed = Some(Errno::OVERFLOW);
                            break;
                        };
                        entries.push(Entry { start, length, kind });
                        level.names.extend_from_slice(name);
                    }
                    Err(errno) => {
                        failed = Some(errno);
                        break;
                    }
                }
            }
        }
        self.path.truncate(level.path);
        let names = &level.names;
        entries.sort_unstable_by(|one, two| two.name(names).cmp(one.name(names)));
        level.entries = Some(entries);
        let errno = failed.filter(|&errno| !disk::is_absence(errno))?;
        Some(trouble(self.path.strip_suffix(b"/").unwrap_or_default(), errno))
    }

    /// Looks at the next name of the last level; `None` when there is nothing to say about it.
    fn look(&mut self, entry: Entry) -> Option<Step> {
        let depth = self.levels.len() - 1;
        let level = self.levels.get_mut(depth)?;
        self.path.truncate(level.path);
        if level.open.is_none() {
            // Closed while we were far below: open it again from the top, through no link.
            let below = self.path.strip_suffix(b"/").unwrap_or_default();
            match disk::open_directory(self.root.as_ref()?, below) {
                Ok(open) => level.open = Some(open),
                Err(errno) => {
                    level.entries = Some(Vec::new());
                    return (!disk::is_absence(errno)).then(|| trouble(below, errno));
                }
            }
        }
        let level = &self.levels[depth];
        let name = entry.name(&level.names);
        self.path.extend_from_slice(name);
        let open = level.open.as_ref()?;
        let directory = OFlags::RDONLY | OFlags::DIRECTORY;
        let step = match entry.kind {
            Kind::Directory => match disk::open_at(open, name, directory) {
                Ok(inner) => {
                    let below = std::mem::take(&mut self.path);
                    let step = self.enter(inner, &below);
                    if !matches!(step, Some(Step::Dir { .. })) {
                        self.path = below;
                    }
                    return step;
                }
                Err(errno) => Err(errno),
            },
            Kind::File(media) => disk::look_at(open, name)
                .map(|look| (look.kind == FileType::RegularFile).then(|| found(&self.path, look, media))),
            Kind::Unknown => match disk::look_at(open, name) {
                Ok(look) => {
                    let Some(kind) = choose(&self.filter, &self.path, look.kind) else {
                        self.passed.see(look.kind);
                        return None;
                    };
                    return self.look(Entry { kind, ..entry });
                }
                Err(errno) => Err(errno),
            },
        };
        match step {
            Ok(step) => step,
            Err(errno) if disk::is_absence(errno) => None,
            Err(errno) => Some(trouble(&self.path, errno)),
        }
    }
}

impl Iterator for Walk {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        #[cfg(test)]
        if let Some(simulated) = &mut self.simulated {
            return simulated.next();
        }
        if let Some(start) = self.start.take() {
            return self.begin(start);
        }
        loop {
            let level = self.levels.last_mut()?;
            let step = match &mut level.entries {
                None => self.read(),
                Some(entries) => match entries.pop() {
                    Some(entry) => self.look(entry),
                    None => {
                        self.levels.pop();
                        None
                    }
                },
            };
            if step.is_some() {
                return step;
            }
        }
    }
}

impl Entry {
    fn name<'a>(&self, names: &'a [u8]) -> &'a [u8] {
        let start = self.start as usize;
        &names[start..start + usize::from(self.length)]
    }
}

/// Whether a name of a listing is to be looked at.
fn choose(filter: &Filter, below: &[u8], kind: FileType) -> Option<Kind> {
    match kind {
        FileType::RegularFile => filter.selects(below).map(Kind::File),
        FileType::Directory => filter.excluded(below, true).is_none().then_some(Kind::Directory),
        FileType::Unknown => Some(Kind::Unknown),
        _ => None,
    }
}

fn found(below: &[u8], look: Look, media: Option<Media>) -> Step {
    Step::Found(Found { below: below.into(), print: look.print, media })
}

fn trouble(below: &[u8], errno: Errno) -> Step {
    Step::Trouble { below: below.into(), error: errno.into() }
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
