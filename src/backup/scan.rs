//! A look at a folder: the walk on one side, the index on the other, both in the same order.
//!
//! Files that stand as the index has them cost one `stat` and no write. What is new or changed goes to
//! the settler; what the index has and the walk has not is gone - unless so much is gone at once that
//! the disk has probably been unplugged, or it was on a disk that is not mounted now (see `mounts`).
//! Nothing here changes a folder or a cloud.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::entry::{Limits, Line, Lines, Skip, Standing, order};
use super::filter::Filter;
use super::keeper::Keeper;
use super::mounts::{self, Mounts, is_within};
use super::queue::LONG;
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
    /// A directory that we may not read.
    fn closed(&mut self, _below: &[u8]) {}
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
    /// Disks below the folder that are not mounted, or not the ones that were.
    pub away: Vec<Away>,
    /// Nothing at all lies in the folder: more likely an empty mount point than a library that was deleted.
    pub bare: bool,
    /// The folder itself cannot be read.
    pub missing: Option<Missing>,
    /// What could not be read, the first few.
    pub trouble: Vec<String>,
    /// The first of it that this user may not read, below the folder.
    pub closed: Option<Box<[u8]>>,
    /// Not ended: the agent is.
    pub cancelled: bool,
}

/// A disk that was mounted below the folder. Nothing of it is believed to be gone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Away {
    /// Where, below the folder.
    pub below: Box<[u8]>,
    /// Known files that are not there now.
    pub files: u64,
    /// No disk is mounted there now: nothing that lies there is sent.
    pub bare: bool,
}

/// Why a folder cannot be looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Missing {
    /// It is not there.
    NotThere,
    /// A directory is there and none of what we know; the disk that was mounted there is not.
    Unmounted,
    /// We may not read it.
    Denied,
    /// Something else, in the system's words.
    Error(String),
}

/// Troubles named in a report.
const NAMED: usize = 5;
/// Fewer known files than this are never suspicious.
const FEW: u64 = 10;
/// Known files that are looked for to tell whether a disk is away.
const SAMPLE: usize = 24;
/// Pages of the index in which these are sought.
const PAGES: usize = 100;
/// Unreadable places remembered.
const UNREAD: usize = 10_000;
/// Gone files remembered until the end of a look; with more the next look goes on.
const GONE: usize = 50_000;

impl Scan<'_> {
    /// Looks at what is at `start` below the folder, or at all of it. Blocks on the disk.
    ///
    /// `None` when the store has failed.
    pub fn look(&self, start: &[u8], eyes: &mut dyn Eyes) -> Option<Report> {
        self.look_at(start, eyes, false)
    }

    /// The same, on the word of a person: what is missing was deleted, however much it is.
    ///
    /// `None` when the store has failed.
    pub fn accept(&self, start: &[u8], eyes: &mut dyn Eyes) -> Option<Report> {
        self.look_at(start, eyes, true)
    }

    fn look_at(&self, start: &[u8], eyes: &mut dyn Eyes, accept: bool) -> Option<Report> {
        let mut report = Report::default();
        let before = self.keeper.with(|queue| queue.mounts(self.folder))?;
        let mut now = Mounts::default();
        if let Ok(root) = disk::open_root(self.root) {
            now.height = mounts::height(&root);
            let is_higher = before.height.zip(now.height).is_some_and(|(before, now)| now > before);
            if is_higher && !accept && self.is_away(b"")? {
                return Some(Report { missing: Some(Missing::Unmounted), ..report });
            }
        }
        if start.is_empty() && !accept && before.below.is_empty() && is_bare(self.root) {
            // An empty mount point is looked at often: the index need not be read each time.
            let files = self.keeper.with(|queue| Ok(queue.counts(self.folder).files))?;
            if files > 0 {
                eyes.directory(start);
                return Some(Report { suspicious: Some((files, files)), bare: true, ..report });
            }
        }
        let mut losses = Losses::default();
        for below in before.below.iter().filter(|_| !accept) {
            let bare = !self.is_mounted(below) && self.is_away(below)?;
            losses.parts.push(Part { below: below.clone(), bare, ..Part::default() });
        }
        let mut known = Known::new(self, start);
        for step in Walk::new(self.root, start, Arc::clone(self.filter)) {
            if self.cancelled.load(Ordering::Relaxed) {
                return Some(Report { cancelled: true, ..report });
            }
            match step {
                Step::Dir { below, mounted } => {
                    if mounted {
                        now.add(&below);
                    }
                    eyes.directory(&below);
                }
                Step::Trouble { below, error } => {
                    if below.is_empty() {
                        report.missing = Some(missing(&error));
                    } else if error.kind() == io::ErrorKind::NotFound && *below == *start {
                        continue;
                    } else if report.trouble.len() < NAMED {
                        report.trouble.push(format!("{}: {error}", below.escape_ascii()));
                    }
                    if error.kind() == io::ErrorKind::PermissionDenied {
                        eyes.closed(&below);
                        report.closed.get_or_insert_with(|| below.clone());
                    }
                    losses.cannot_read(below);
                }
                Step::Found(found) => {
                    let mut same = None;
                    while let Some((below, line)) = known.peek()? {
                        match order(below, &found.below) {
                            std::cmp::Ordering::Less => losses.add(below, line),
                            std::cmp::Ordering::Equal => same = Some(line),
                            std::cmp::Ordering::Greater => break,
                        }
                        known.next();
                        if same.is_some() {
                            break;
                        }
                    }
                    // In a bare mount point lies nothing that was on the disk: it is not sent in its place.
                    if losses.is_bare(&found.below) || !self.is_wanted(&found, same.is_some()) {
                        same.iter().for_each(|line| losses.add(&found.below, *line));
                    } else {
                        report.files += 1;
                        same.iter().for_each(|line| losses.kept(&found.below, *line));
                        self.sight(found, same, eyes)?;
                    }
                }
            }
        }
        if report.missing.is_some() {
            return Some(report);
        }
        while let Some((below, line)) = known.peek()? {
            losses.add(below, line);
            known.next();
        }
        let (gone, gone_files);
        (gone, gone_files, report.away) = losses.believe(start);
        // Of a part, too, more may be gone than is believed.
        let all = if start.is_empty() {
            report.files + gone_files
        } else {
            self.keeper.with(|queue| Ok(queue.counts(self.folder).files))?
        };
        let is_much = all >= FEW && gone_files * 2 > all;
        report.bare = (is_much || !gone.is_empty()) && is_bare(self.root);
        if !accept && (is_much || report.bare) {
            report.suspicious = Some((gone_files, all));
            let mut kept = before;
            now.below.iter().for_each(|below| kept.add(below));
            self.keeper.with(|queue| queue.set_mounts(self.folder, &kept))?;
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
                if !accept && is_bare(self.root) {
                    // Unplugged while we looked: what is gone is the disk.
                    (report.suspicious, report.bare) = (Some((gone_files, all)), true);
                    return Some(report);
                }
                self.keeper.with(|queue| queue.gone(&path))?;
                report.gone += 1;
            }
        }
        if start.is_empty() {
            report.away.iter().for_each(|away| now.add(&away.below));
            self.keeper.with(|queue| queue.set_mounts(self.folder, &now))?;
        } else if accept {
            let below = before.below.into_iter().filter(|below| !is_within(below, start)).collect();
            let kept = Mounts { below, ..before };
            self.keeper.with(|queue| queue.set_mounts(self.folder, &kept))?;
        }
        Some(report)
    }

    /// Of what we know to lie at `below`, a sample: is none of it there?
    fn is_away(&self, below: &[u8]) -> Option<bool> {
        let mut known = Known::new(self, below);
        let mut sought = 0;
        while let Some((path, line)) = known.peek()? {
            if !line.gone {
                match disk::stat_one(self.root, path) {
                    Ok(None) => sought += 1,
                    Ok(Some(other)) if other.size != line.print.size => sought += 1,
                    // It is there, or the disk is and cannot be read: the walk tells.
                    _ => return Some(false),
                }
            }
            known.next();
            if sought == SAMPLE || known.pages > PAGES {
                break;
            }
        }
        Some(sought > 0)
    }

    /// Whether any disk is mounted at `below`.
    fn is_mounted(&self, below: &[u8]) -> bool {
        let parent = below.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        let look = |below: &[u8]| {
            let root = disk::open_root(self.root)?;
            disk::look_at_open(disk::open_directory(&root, below)?)
        };
        look(below).and_then(|here| Ok(mounts::is_mounted(&here, &look(&below[..parent])?))).unwrap_or(false)
    }

    /// A file whose name does not say what it is: the index remembers, else its first bytes say.
    fn is_wanted(&self, found: &Found, known: bool) -> bool {
        found.media.is_some() || known || self.filter.wants(sniff(self.root, &found.below))
    }

    fn sight(&self, found: Found, same: Option<Line>, eyes: &mut dyn Eyes) -> Option<()> {
        let path = FilePath { folder: self.folder, below: found.below };
        let skip = self.limits.skip(&path.below, found.print.size);
        if let Some(line) = same.filter(|line| line.print == found.print && !line.gone) {
            let stands = match line.standing {
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

/// Nothing is left in the folder.
fn is_bare(root: &Path) -> bool {
    #[cfg(test)]
    if let Some(machine) = super::seam::machine() {
        return machine.is_bare(root);
    }
    std::fs::read_dir(root).is_ok_and(|mut entries| entries.next().is_none())
}

/// What the index has and the walk has not.
#[derive(Default)]
struct Losses {
    /// Outside of all parts, the first of them, and how many.
    gone: Vec<Box<[u8]>>,
    files: u64,
    parts: Vec<Part>,
    unread: HashSet<Box<[u8]>>,
}

/// A place below the folder where a disk was mounted.
#[derive(Default)]
struct Part {
    below: Box<[u8]>,
    /// No disk is mounted there now, and nothing that we know lies there.
    bare: bool,
    kept: u64,
    lost: u64,
    gone: Vec<Box<[u8]>>,
}

impl Losses {
    fn part(&mut self, below: &[u8]) -> Option<&mut Part> {
        let holding = self.parts.iter_mut().filter(|part| is_within(below, &part.below));
        holding.max_by_key(|part| part.below.len())
    }

    fn add(&mut self, below: &[u8], line: Line) {
        if line.gone || is_unread(below, &self.unread) {
            return;
        }
        let (files, gone) = match self.part(below) {
            Some(part) => (&mut part.lost, &mut part.gone),
            None => (&mut self.files, &mut self.gone),
        };
        *files += 1;
        if gone.len() < GONE {
            gone.push(below.into());
        }
    }

    fn kept(&mut self, below: &[u8], line: Line) {
        if let Some(part) = self.part(below).filter(|_| !line.gone) {
            part.kept += 1;
        }
    }

    fn cannot_read(&mut self, below: Box<[u8]>) {
        // When so much cannot be read nothing is believed to be gone.
        self.unread.insert(if self.unread.len() < UNREAD { below } else { Box::default() });
    }

    fn is_bare(&mut self, below: &[u8]) -> bool {
        self.part(below).is_some_and(|part| part.bare)
    }

    /// What is to be believed gone after a look at `start`, how many files that are, and the disks that are
    /// away instead.
    fn believe(self, start: &[u8]) -> (Vec<Box<[u8]>>, u64, Vec<Away>) {
        let (mut gone, mut files, mut away) = (self.gone, self.files, Vec::new());
        for part in self.parts {
            // Of a part of a part nothing follows for the whole.
            let is_whole = is_within(&part.below, start);
            let is_much = is_whole && part.lost >= FEW && part.lost > part.kept;
            if part.bare || is_much {
                away.push(Away { below: part.below, files: part.lost, bare: part.bare });
            } else {
                files += part.lost;
                gone.extend(part.gone);
            }
        }
        (gone, files, away)
    }
}

/// What the index has at and below `start`, in order, a page at a time.
struct Known<'a> {
    scan: &'a Scan<'a>,
    start: &'a [u8],
    page: Lines,
    after: Option<Box<[u8]>>,
    pages: usize,
    ended: bool,
}

impl<'a> Known<'a> {
    fn new(scan: &'a Scan<'a>, start: &'a [u8]) -> Self {
        Self { scan, start, page: Lines::default(), after: None, pages: 0, ended: false }
    }

    /// The next path and what is known of it. The outer `None` means that the store has failed.
    #[allow(clippy::option_option)]
    fn peek(&mut self) -> Option<Option<(&[u8], Line)>> {
        if self.page.first().is_none() && !self.ended {
            let (folder, keeper) = (self.scan.folder, self.scan.keeper);
            // Mostly one file has changed, or a few.
            let records = if self.start.is_empty() || self.pages > 1 { LONG } else { 1 };
            self.page = match &self.after {
                Some(after) => keeper.with(|queue| queue.lines(folder, Some(after), records))?,
                None if self.start.is_empty() => keeper.with(|queue| queue.lines(folder, None, records))?,
                // The start itself may be a file; what follows it in order is what lies in it.
                None => keeper.with(|queue| queue.lines_from(folder, self.start))?,
            };
            match self.page.last() {
                Some(last) => self.after = Some(last.into()),
                None => self.ended = true,
            }
            self.pages += 1;
        }
        // In index order all that is below stands before the first that is not.
        if self.page.first().is_some_and(|(below, _)| !is_within(below, self.start)) {
            (self.page, self.ended) = (Lines::default(), true);
        }
        Some(self.page.first())
    }

    fn next(&mut self) {
        self.page.next();
    }
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
