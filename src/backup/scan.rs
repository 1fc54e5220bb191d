//! A look at a folder: the walk on one side, the index on the other, both in the same order.
//!
//! Files that stand as the index has them cost one `stat` and no write. What is new or changed goes to
//! the settler; what the index has and the walk has not is gone - unless so much is gone at once that
//! the disk has probably been unplugged. Nothing here changes a folder or a cloud.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::entry::{Entry, Limits, Skip, Standing, order};
use super::filter::Filter;
use super::keeper::Keeper;
use super::walk::{Found, Step, Walk};
use super::{disk, media};
use crate::content::{FilePath, Fingerprint, FolderId, Media};

/// What a look needs to know.
pub struct Scan<'a> {
    /// The folder.
    pub folder: FolderId,
    /// Where it is.
    pub root: &'a Path,
    /// What of it is wanted.
    pub filter: &'a Arc<Filter>,
    /// What cannot be sent, by its size and kind.
    pub limits: Limits,
    /// The queue.
    pub keeper: &'a Keeper,
    /// Ends the look early.
    pub cancelled: &'a AtomicBool,
}

/// Whoever wants to know what a look comes upon.
pub trait Eyes {
    /// A directory is about to be listed: the moment to watch it.
    fn directory(&mut self, below: &[u8]);
    /// A file that the index does not have as it is.
    fn sighting(&mut self, path: FilePath, print: Fingerprint);
}

/// How a look ended.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Wanted files that are there.
    pub files: u64,
    /// Files that have gone since the last look.
    pub gone: u64,
    /// So much would be gone that none of it is believed: how many of how many.
    pub suspicious: Option<(u64, u64)>,
    /// The folder itself cannot be read.
    pub missing: Option<Missing>,
    /// What could not be read, the first few.
    pub trouble: Vec<String>,
    /// Not ended: the agent is.
    pub cancelled: bool,
}

/// Why a folder cannot be looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Missing {
    /// It is not there.
    NotThere,
    /// We may not read it.
    Denied,
    /// Something else, in the system's words.
    Error(String),
}

/// Troubles named in a report.
const NAMED: usize = 5;
/// Fewer known files than this are never suspicious.
const FEW: u64 = 10;
/// Unreadable places remembered.
const UNREAD: usize = 10_000;
/// Gone files remembered until the end of a look; with more the next look goes on.
const GONE: usize = 50_000;

impl Scan<'_> {
    /// Looks at what is at `start` below the folder, or at all of it. Blocks on the disk.
    ///
    /// `None` when the store has failed.
    pub fn look(&self, start: &[u8], eyes: &mut dyn Eyes) -> Option<Report> {
        let mut report = Report::default();
        if start.is_empty() && is_bare(self.root) {
            // An empty mount point is looked at often: the index need not be read each time.
            let files = self.keeper.with(|queue| Ok(queue.counts(self.folder).files))?;
            if files > 0 {
                eyes.directory(start);
                report.suspicious = Some((files, files));
                return Some(report);
            }
        }
        let mut known = Known::new(self, start);
        let (mut gone, mut gone_files, mut unread) = (Vec::new(), 0_u64, HashSet::<Box<[u8]>>::new());
        let mut lost = |entry: &Entry, unread: &HashSet<Box<[u8]>>| {
            if !entry.gone && !is_unread(&entry.below, unread) {
                gone_files += 1;
                if gone.len() < GONE {
                    gone.push(entry.below.clone());
                }
            }
        };
        for step in Walk::new(self.root, start, Arc::clone(self.filter)) {
            if self.cancelled.load(Ordering::Relaxed) {
                return Some(Report { cancelled: true, ..report });
            }
            match step {
                Step::Dir { below } => eyes.directory(&below),
                Step::Trouble { below, error } => {
                    if below.is_empty() {
                        report.missing = Some(missing(&error));
                    } else if error.kind() == io::ErrorKind::NotFound && *below == *start {
                        continue;
                    } else if report.trouble.len() < NAMED {
                        report.trouble.push(format!("{}: {error}", below.escape_ascii()));
                    }
                    if unread.len() < UNREAD {
                        unread.insert(below);
                    } else {
                        // So much cannot be read that nothing is believed to be gone.
                        unread.insert(Box::default());
                    }
                }
                Step::Found(found) => {
                    let mut same = None;
                    while let Some(entry) = known.peek()? {
                        match order(&entry.below, &found.below) {
                            std::cmp::Ordering::Less => lost(&entry.clone(), &unread),
                            std::cmp::Ordering::Equal => same = Some(entry.clone()),
                            std::cmp::Ordering::Greater => break,
                        }
                        known.next();
                    }
                    if self.is_wanted(&found, same.is_some()) {
                        report.files += 1;
                        self.sight(found, same, eyes)?;
                    } else if let Some(entry) = same {
                        lost(&entry, &unread);
                    }
                }
            }
        }
        if report.missing.is_some() {
            return Some(report);
        }
        while let Some(entry) = known.peek()? {
            lost(&entry.clone(), &unread);
            known.next();
        }
        // Of a part, too, more may be gone than is believed: a disk mounted below the folder.
        let all = if start.is_empty() {
            report.files + gone_files
        } else {
            self.keeper.with(|queue| Ok(queue.counts(self.folder).files))?
        };
        if all >= FEW && gone_files * 2 > all {
            report.suspicious = Some((gone_files, all));
            return Some(report);
        }
        if !gone.is_empty() && is_bare(self.root) {
            report.suspicious = Some((gone_files, all));
            return Some(report);
        }
        for below in gone {
            if self.cancelled.load(Ordering::Relaxed) {
                return Some(Report { cancelled: true, ..report });
            }
            let path = FilePath { folder: self.folder, below };
            // Made again while we looked, or left out by the walk for another reason than being gone.
            let is_there = self.filter.why_not(&path.below).is_none()
                && !matches!(disk::stat_one(self.root, &path.below), Ok(None));
            if !is_there {
                if is_bare(self.root) {
                    // Unplugged while we looked: what is gone is the disk.
                    report.suspicious = Some((gone_files, all));
                    return Some(report);
                }
                self.keeper.with(|queue| queue.gone(&path))?;
                report.gone += 1;
            }
        }
        Some(report)
    }

    /// A file whose name does not say what it is: the index remembers, else its first bytes say.
    fn is_wanted(&self, found: &Found, known: bool) -> bool {
        found.media.is_some() || known || self.filter.wants(sniff(self.root, &found.below))
    }

    fn sight(&self, found: Found, same: Option<Entry>, eyes: &mut dyn Eyes) -> Option<()> {
        let path = FilePath { folder: self.folder, below: found.below };
        let skip = self.limits.skip(found.print.size);
        if let Some(entry) = same.filter(|entry| entry.print == found.print && !entry.gone) {
            let stands = match entry.standing {
                Standing::Skipped(before) => {
                    let unknown = before == Skip::OverTier && skip.is_none() && self.limits.tier.is_none();
                    skip == Some(before) || unknown
                }
                Standing::Waiting => skip.is_none(),
                Standing::BackedUp | Standing::Failed => true,
            };
            if stands {
                return Some(());
            }
        }
        match skip {
            Some(skip) => self.keeper.with(|queue| queue.skip(&path, found.print, skip)),
            None => {
                eyes.sighting(path, found.print);
                Some(())
            }
        }
    }
}

/// What a file without a telling name is, by its first bytes.
#[must_use]
pub fn sniff(root: &Path, below: &[u8]) -> Media {
    use std::io::Read;
    let mut head = [0; 64];
    let read = disk::open_one(root, below).and_then(|mut file| {
        let mut filled = 0;
        while filled < head.len() {
            match file.read(&mut head[filled..])? {
                0 => break,
                bytes => filled += bytes,
            }
        }
        Ok(filled)
    });
    media::sniff(&head[..read.unwrap_or(0)]).unwrap_or(Media::Other)
}

fn missing(error: &io::Error) -> Missing {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Missing::NotThere,
        io::ErrorKind::PermissionDenied => Missing::Denied,
        _ => Missing::Error(error.to_string()),
    }
}

/// Whether the walk could not see `below`: it or a directory it is in could not be read.
fn is_unread(below: &[u8], unread: &HashSet<Box<[u8]>>) -> bool {
    if unread.is_empty() {
        return false;
    }
    let slashes = below.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    slashes.chain([0, below.len()]).any(|end| unread.contains(&below[..end]))
}

/// Nothing is left in the folder: more likely an empty mount point than a library that was deleted.
#[must_use]
pub fn is_bare(root: &Path) -> bool {
    #[cfg(test)]
    if let Some(machine) = super::seam::machine() {
        return machine.is_bare(root);
    }
    std::fs::read_dir(root).is_ok_and(|mut entries| entries.next().is_none())
}

/// Whether `below` is `at` or lies in it.
fn is_within(below: &[u8], at: &[u8]) -> bool {
    below.strip_prefix(at).is_some_and(|rest| at.is_empty() || rest.first().is_none_or(|&byte| byte == b'/'))
}

/// What the index has at and below `start`, in order, a page at a time.
struct Known<'a> {
    scan: &'a Scan<'a>,
    start: &'a [u8],
    page: VecDeque<Entry>,
    after: Option<Box<[u8]>>,
    ended: bool,
}

impl<'a> Known<'a> {
    fn new(scan: &'a Scan<'a>, start: &'a [u8]) -> Self {
        Self { scan, start, page: VecDeque::new(), after: None, ended: false }
    }

    /// The next entry. The outer `None` means that the store has failed.
    #[allow(clippy::option_option)]
    fn peek(&mut self) -> Option<Option<&Entry>> {
        if self.page.is_empty() && !self.ended {
            let (folder, keeper) = (self.scan.folder, self.scan.keeper);
            let mut entries = match &self.after {
                Some(after) => keeper.with(|queue| queue.page(folder, Some(after)))?,
                None if self.start.is_empty() => keeper.with(|queue| queue.page(folder, None))?,
                None => {
                    // The start itself may be a file; what follows it in order is what lies in it.
                    let path = FilePath { folder, below: self.start.into() };
                    let mut first: Vec<_> = keeper.with(|queue| queue.get(&path))?.into_iter().collect();
                    first.extend(keeper.with(|queue| queue.page(folder, Some(self.start)))?);
                    first
                }
            };
            match entries.last() {
                Some(last) => self.after = Some(last.below.clone()),
                None => self.ended = true,
            }
            let count = entries.len();
            entries.retain(|entry| is_within(&entry.below, self.start));
            self.ended |= entries.len() < count;
            self.page = entries.into();
        }
        Some(self.page.front())
    }

    fn next(&mut self) {
        self.page.pop_front();
    }
}
