//! The family's disks: two folders of small files that lie in memory, with the times a kernel would give.
//!
//! A file is a real one without a name on any disk (`memfd`), so that the pipeline reads it by the calls
//! that it always uses; what it is called, and its times, are kept here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Sim;
use crate::backup::filter::Filter;
use crate::backup::media;
use crate::backup::walk::{Found, Step};
use crate::content::{Fingerprint, Md5};

/// Both folders' disks.
#[derive(Debug, Default)]
pub(super) struct Disk {
    pub(super) folders: Vec<Folder>,
    /// Every content that any file ever had.
    pub(super) ever: BTreeSet<Md5>,
}

/// How a folder's disk is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Plug {
    In,
    /// The folder is not there.
    Missing,
    /// The mount point is there, and empty.
    Bare,
    /// It may not be read.
    Denied,
}

/// One configured folder.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) root: PathBuf,
    pub(super) plug: Plug,
    pub(super) files: BTreeMap<Vec<u8>, Node>,
    /// Directories below it that may not be read.
    pub(super) denied: BTreeSet<Vec<u8>>,
    /// What the agent knew when the disk was unplugged.
    pub(super) known_before: BTreeSet<Box<[u8]>>,
    /// Files that are away for a while: half of the folder is gone.
    pub(super) away: BTreeMap<Vec<u8>, Node>,
}

/// One file.
#[derive(Debug)]
pub(super) struct Node {
    file: File,
    inode: u64,
    pub(super) print: Fingerprint,
    pub(super) bytes: Vec<u8>,
}

impl Node {
    pub(super) fn new(now_ns: i64) -> Self {
        let fd = rustix::fs::memfd_create("file", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let file = File::from(fd);
        let inode = file.metadata().unwrap().ino();
        let print = Fingerprint { size: 0, mtime_ns: now_ns, ctime_ns: now_ns };
        Self { file, inode, print, bytes: Vec::new() }
    }

    /// Writes all of it anew. `mtime_ns` is what the writer says, as `cp -p` does.
    pub(super) fn write(&mut self, bytes: Vec<u8>, mtime_ns: i64, now_ns: i64) {
        self.file.set_len(bytes.len() as u64).unwrap();
        self.file.write_all_at(&bytes, 0).unwrap();
        self.bytes = bytes;
        self.print = Fingerprint { size: self.bytes.len() as u64, mtime_ns, ctime_ns: now_ns };
    }

    pub(super) fn append(&mut self, more: &[u8], now_ns: i64) {
        self.file.write_all_at(more, self.bytes.len() as u64).unwrap();
        self.bytes.extend_from_slice(more);
        self.print = Fingerprint { size: self.bytes.len() as u64, mtime_ns: now_ns, ctime_ns: now_ns };
    }
}

impl Folder {
    pub(super) fn new(root: &str) -> Self {
        let (files, denied, away, known_before) = Default::default();
        Self { root: root.into(), plug: Plug::In, files, denied, known_before, away }
    }

    fn is_denied(&self, below: &[u8]) -> bool {
        self.denied.iter().any(|directory| {
            below.strip_prefix(&directory[..]).is_some_and(|rest| rest.first() == Some(&b'/'))
        })
    }

    /// The directories that there are.
    pub(super) fn directories(&self) -> Vec<Vec<u8>> {
        let mut all = BTreeSet::new();
        for below in self.files.keys() {
            for (at, _) in below.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
                all.insert(below[..at].to_vec());
            }
        }
        all.into_iter().collect()
    }
}

impl Disk {
    fn at(&self, root: &Path) -> &Folder {
        self.folders.iter().find(|folder| folder.root == root).unwrap()
    }

    pub(super) fn stat_one(&self, root: &Path, below: &[u8]) -> io::Result<Option<Fingerprint>> {
        let folder = self.at(root);
        match folder.plug {
            Plug::Missing => Err(io::ErrorKind::NotFound.into()),
            Plug::Denied => Err(io::ErrorKind::PermissionDenied.into()),
            Plug::Bare => Ok(None),
            Plug::In if folder.is_denied(below) => Err(io::ErrorKind::PermissionDenied.into()),
            Plug::In => Ok(folder.files.get(below).map(|node| node.print)),
        }
    }

    pub(super) fn open_one(&self, root: &Path, below: &[u8]) -> io::Result<File> {
        let found = self.stat_one(root, below)?;
        found.ok_or(io::ErrorKind::NotFound)?;
        self.at(root).files[below].file.try_clone()
    }

    pub(super) fn fingerprint(&self, file: &File) -> io::Result<(Fingerprint, bool)> {
        let inode = file.metadata()?.ino();
        for folder in &self.folders {
            if let Some(node) = folder.files.values().find(|node| node.inode == inode) {
                return match folder.plug {
                    // The disk went from under the open file.
                    Plug::Missing | Plug::Bare => Err(io::Error::from_raw_os_error(5)),
                    Plug::In | Plug::Denied => Ok((node.print, true)),
                };
            }
        }
        Ok((Fingerprint { size: 0, mtime_ns: 0, ctime_ns: 0 }, false))
    }

    pub(super) fn is_bare(&self, root: &Path) -> bool {
        let folder = self.at(root);
        folder.plug == Plug::Bare || folder.plug == Plug::In && folder.files.is_empty()
    }

    /// The names in a directory, in order, and whether each is a directory.
    fn names(&self, root: &Path, directory: &[u8]) -> Vec<(Vec<u8>, bool)> {
        let folder = self.at(root);
        let mut names = BTreeMap::new();
        for below in folder.files.keys().filter(|_| folder.plug == Plug::In) {
            let rest = match directory {
                b"" => Some(&below[..]),
                _ => below.strip_prefix(directory).and_then(|rest| rest.strip_prefix(b"/")),
            };
            if let Some(rest) = rest {
                let mut parts = rest.splitn(2, |byte| *byte == b'/');
                let name = parts.next().unwrap().to_vec();
                names.insert(name, parts.next().is_some());
            }
        }
        names.into_iter().collect()
    }
}

/// What is left of a directory: names, and whether each is a directory.
type Names = std::vec::IntoIter<(Vec<u8>, bool)>;

/// A walk that looks at one thing after the other, while the family goes on with what it does.
pub(super) struct Walk {
    pub(super) sim: Arc<Sim>,
    pub(super) root: PathBuf,
    pub(super) filter: Arc<Filter>,
    pub(super) start: Option<Vec<u8>>,
    /// Directories from the start down to here, each with the names that are still to be looked at.
    pub(super) levels: Vec<(Vec<u8>, Option<Names>)>,
}

impl Walk {
    fn enter(&mut self, below: Vec<u8>) -> Step {
        let step = Step::Dir { below: below.clone().into(), mounted: false };
        self.levels.push((below, None));
        step
    }

    fn begin(&mut self, start: Vec<u8>) -> Option<Step> {
        let disk = self.sim.disk();
        let folder = disk.at(&self.root);
        let error = match folder.plug {
            Plug::Missing => Some(io::ErrorKind::NotFound),
            Plug::Denied => Some(io::ErrorKind::PermissionDenied),
            Plug::In | Plug::Bare => None,
        };
        if let Some(error) = error {
            return Some(Step::Trouble { below: Box::default(), error: error.into() });
        }
        let is_directory = start.is_empty() || folder.directories().contains(&start);
        drop(disk);
        match is_directory {
            true => self.directory(start),
            false => self.file(&start),
        }
    }

    fn directory(&mut self, below: Vec<u8>) -> Option<Step> {
        let disk = self.sim.disk();
        let folder = disk.at(&self.root);
        let inside = [&below[..], b"/"].concat();
        if folder.is_denied(&inside) {
            let error = io::ErrorKind::PermissionDenied.into();
            return Some(Step::Trouble { below: below.into(), error });
        }
        drop(disk);
        Some(self.enter(below))
    }

    fn file(&self, below: &[u8]) -> Option<Step> {
        if self.filter.why_not(below).is_some() {
            return None;
        }
        match self.sim.disk().stat_one(&self.root, below) {
            Ok(print) => {
                let found = Found { below: below.into(), print: print?, media: media::by_name(below) };
                Some(Step::Found(found))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => Some(Step::Trouble { below: below.into(), error }),
        }
    }
}

impl Iterator for Walk {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        self.sim.meddle();
        if let Some(start) = self.start.take() {
            return self.begin(start);
        }
        loop {
            let (directory, names) = self.levels.last_mut()?;
            if names.is_none() {
                *names = Some(self.sim.disk().names(&self.root, directory).into_iter());
            }
            let next = names.as_mut().and_then(Iterator::next);
            let Some((name, is_directory)) = next else {
                self.levels.pop();
                continue;
            };
            let mut below = directory.clone();
            if !below.is_empty() {
                below.push(b'/');
            }
            below.extend(name);
            let step = if is_directory { self.directory(below) } else { self.file(&below) };
            if step.is_some() {
                return step;
            }
        }
    }
}
