//! What we know of one file, and how many of them are packed into one record.
//!
//! # Layout of a record
//!
//! ```text
//! number of entries, then for each, in index order:
//!   path       bytes shared with the entry before, then the rest
//!   standing   one byte: 0 waiting, 1 backed up, 2 failed, 16+ skipped; +64 has a copy, +128 gone
//!   print      size, mtime (8 bytes), ctime - mtime
//!   copy       size (left out when it is the print's), MD5, id, path shared with the copy before, rest
//! ```
//!
//! A photo takes some 80 bytes, so a dozen of them share a record.

use crate::cloud::Takes;
use crate::content::{Fingerprint, Md5};
use crate::store::{Malformed, Reader, Writer};

/// One file we know of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Path below the folder, as the disk has it.
    pub below: Box<[u8]>,
    /// The version of the file this is about.
    pub print: Fingerprint,
    /// Where that version stands.
    pub standing: Standing,
    /// The newest copy the cloud confirmed; while a changed file waits, the copy of an older version.
    pub copy: Option<Copy>,
    /// No longer in the folder. Its copy stays, here and in the cloud.
    pub gone: bool,
}

/// Where a file's present version stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// To be sent.
    Waiting,
    /// The cloud confirmed it.
    BackedUp,
    /// Parked; its job says why.
    Failed,
    /// Cannot be backed up, for a reason known before reading it.
    Skipped(Skip),
}

/// Why a file is not sent at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Skip {
    /// The cloud takes no empty files (field notes 3.6).
    Empty,
    /// Below the folder's `min_size`.
    TooSmall,
    /// Above the folder's `max_size`.
    TooLarge,
    /// Above what the account's membership, or its cloud, allows (xpan-api, "上传文件限制").
    OverTier,
    /// A kind of file that the account's cloud does not take.
    Unsupported,
}

impl Skip {
    const ALL: [Self; 5] = [Self::Empty, Self::TooSmall, Self::TooLarge, Self::OverTier, Self::Unsupported];

    /// Words for a person, of a cloud that takes these files.
    #[must_use]
    pub fn words(self, takes: &Takes) -> &'static str {
        match self {
            Self::Empty => "it is empty, and the cloud takes no empty files",
            Self::TooSmall => "it is smaller than this folder's min_size",
            Self::TooLarge => "it is larger than this folder's max_size",
            Self::OverTier => takes.at_most,
            Self::Unsupported => takes.only,
        }
    }
}

/// What cannot be sent, known before a file is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes, the folder's.
    pub min_size: u64,
    /// Bytes, the folder's.
    pub max_size: u64,
    /// Bytes, the membership's, once it is known.
    pub tier: Option<u64>,
    /// What the account's cloud takes.
    pub takes: &'static Takes,
}

impl Limits {
    /// Why a file of this path below its folder and of `size` bytes cannot be sent.
    #[must_use]
    pub fn skip(&self, below: &[u8], size: u64) -> Option<Skip> {
        match size {
            _ if !self.takes.takes_name(below) => Some(Skip::Unsupported),
            0 => Some(Skip::Empty),
            _ if size < self.min_size => Some(Skip::TooSmall),
            _ if size > self.max_size => Some(Skip::TooLarge),
            _ if self.tier.or(self.takes.largest).is_some_and(|tier| size > tier) => Some(Skip::OverTier),
            _ => None,
        }
    }
}

/// A copy in the cloud, as the cloud confirmed it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Copy {
    /// Bytes.
    pub size: u64,
    /// MD5 of the content.
    pub md5: Md5,
    /// The cloud's id (`fs_id`).
    pub id: String,
    /// Absolute remote path.
    pub path: String,
}

const COPY: u8 = 64;
const GONE: u8 = 128;
const SKIPPED: u8 = 16;

/// The order of the index: that of paths with `/` below every other byte, so that a folder's content
/// stands together where a walk comes by it.
#[must_use]
pub fn order_key(below: &[u8]) -> Vec<u8> {
    below.iter().map(|&byte| if byte == b'/' { 0 } else { byte }).collect()
}

/// Compares two paths in index order without making keys of them.
#[must_use]
pub fn order(a: &[u8], b: &[u8]) -> std::cmp::Ordering {
    if a == b {
        // Most comparisons are of a file with itself, and this is quicker.
        return std::cmp::Ordering::Equal;
    }
    let fold = |&byte: &u8| if byte == b'/' { 0 } else { byte };
    a.iter().map(fold).cmp(b.iter().map(fold))
}

/// Packs entries, which are in index order.
#[must_use]
pub fn pack(entries: &[Entry]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.number(entries.len() as u64);
    let (mut below, mut remote): (&[u8], &[u8]) = (&[], &[]);
    for entry in entries {
        shared(&mut writer, below, &entry.below);
        below = &entry.below;
        writer.byte(standing_byte(entry));
        let print = &entry.print;
        writer
            .number(print.size)
            .fixed(&print.mtime_ns.to_le_bytes())
            .signed(print.ctime_ns.wrapping_sub(print.mtime_ns));
        if let Some(copy) = &entry.copy {
            if entry.standing != Standing::BackedUp {
                writer.number(copy.size);
            }
            writer.fixed(&copy.md5.0).bytes(copy.id.as_bytes());
            shared(&mut writer, remote, copy.path.as_bytes());
            remote = copy.path.as_bytes();
        }
    }
    writer.finish()
}

/// Unpacks what [`pack`] made.
///
/// # Errors
/// The record is not one of ours.
pub fn unpack(record: &[u8]) -> Result<Vec<Entry>, Malformed> {
    let (mut entries, mut remote) = (Vec::new(), Vec::new());
    each(record, |below, Line { print, standing, gone }, copy| {
        let copy = match copy {
            None => None,
            Some((size, md5, id, path)) => {
                path.put(&mut remote)?;
                let path = str::from_utf8(&remote).map_err(|_| Malformed)?.to_owned();
                Some(Copy { size, md5, id: id.to_owned(), path })
            }
        };
        entries.push(Entry { below: below.into(), print, standing, copy, gone });
        Ok(())
    })?;
    Ok(entries)
}

/// What a look at a folder wants to know of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line {
    /// As [`Entry::print`].
    pub print: Fingerprint,
    /// As [`Entry::standing`].
    pub standing: Standing,
    /// As [`Entry::gone`].
    pub gone: bool,
}

/// The lines of many files in index order, all paths in one piece: a look goes by a million of them.
#[derive(Clone, Default, Debug)]
pub struct Lines {
    paths: Vec<u8>,
    /// With the end of its path.
    lines: Vec<(usize, Line)>,
    /// How many were taken, and the end of their paths.
    taken: (usize, usize),
}

impl Lines {
    /// The next path and its line.
    #[must_use]
    pub fn first(&self) -> Option<(&[u8], Line)> {
        let (end, line) = self.lines.get(self.taken.0)?;
        Some((&self.paths[self.taken.1..*end], *line))
    }

    /// Takes that one away.
    pub fn next(&mut self) {
        if let Some((end, _)) = self.lines.get(self.taken.0) {
            self.taken = (self.taken.0 + 1, *end);
        }
    }

    /// The path of the last one.
    #[must_use]
    pub fn last(&self) -> Option<&[u8]> {
        let start = self.lines.len().checked_sub(2).map_or(0, |before| self.lines[before].0);
        self.lines.last().map(|(end, _)| &self.paths[start..*end])
    }

    /// That of one file.
    #[must_use]
    pub fn of(entry: &Entry) -> Self {
        let mut lines = Self::default();
        lines.push(entry);
        lines
    }

    /// Puts one behind the others.
    pub fn push(&mut self, entry: &Entry) {
        self.add(&entry.below, Line { print: entry.print, standing: entry.standing, gone: entry.gone });
    }

    fn add(&mut self, below: &[u8], line: Line) {
        self.paths.extend_from_slice(below);
        self.lines.push((self.paths.len(), line));
    }

    /// Puts those of a record behind the others.
    ///
    /// # Errors
    /// The record is not one of ours, and none of it is there.
    pub fn unpack(&mut self, record: &[u8]) -> Result<(), Malformed> {
        let before = (self.paths.len(), self.lines.len());
        let unpacked = each(record, |below, line, _| {
            self.add(below, line);
            Ok(())
        });
        if unpacked.is_err() {
            self.paths.truncate(before.0);
            self.lines.truncate(before.1);
        }
        unpacked
    }
}

/// A path of which only the end is written: the rest is that of the one before.
#[derive(Clone, Copy)]
struct Shared<'a> {
    same: usize,
    rest: &'a [u8],
}

impl<'a> Shared<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok(Self { same: reader.small()?, rest: reader.bytes()? })
    }

    /// In the place of the one before.
    fn put(self, path: &mut Vec<u8>) -> Result<(), Malformed> {
        if self.same > path.len() {
            return Err(Malformed);
        }
        path.truncate(self.same);
        path.extend_from_slice(self.rest);
        Ok(())
    }
}

/// The fields of a copy, as they are packed.
type PackedCopy<'a> = (u64, Md5, &'a str, Shared<'a>);

/// Shows each entry of a record: its path, its line, its copy.
fn each<'a>(
    record: &'a [u8],
    mut show: impl FnMut(&[u8], Line, Option<PackedCopy<'a>>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut reader = Reader::new(record);
    let count: usize = reader.small()?;
    let mut below = Vec::new();
    for _ in 0..count {
        Shared::read(&mut reader)?.put(&mut below)?;
        let byte = reader.byte()?;
        let standing = standing_of(byte)?;
        let size = reader.number()?;
        let mtime_ns = i64::from_le_bytes(reader.array()?);
        let ctime_ns = mtime_ns.wrapping_add(reader.signed()?);
        let copy = if byte & COPY == 0 {
            None
        } else {
            let size = if standing == Standing::BackedUp { size } else { reader.number()? };
            let md5 = Md5(reader.array()?);
            let id = str::from_utf8(reader.bytes()?).map_err(|_| Malformed)?;
            Some((size, md5, id, Shared::read(&mut reader)?))
        };
        let print = Fingerprint { size, mtime_ns, ctime_ns };
        show(&below, Line { print, standing, gone: byte & GONE != 0 }, copy)?;
    }
    Ok(())
}

fn standing_byte(entry: &Entry) -> u8 {
    let standing = match entry.standing {
        Standing::Waiting => 0,
        Standing::BackedUp => 1,
        Standing::Failed => 2,
        Standing::Skipped(skip) => {
            let number = Skip::ALL.iter().position(|&one| one == skip).unwrap_or(0);
            SKIPPED + u8::try_from(number).unwrap_or(0)
        }
    };
    standing | if entry.copy.is_some() { COPY } else { 0 } | if entry.gone { GONE } else { 0 }
}

fn standing_of(byte: u8) -> Result<Standing, Malformed> {
    match byte & !(COPY | GONE) {
        0 => Ok(Standing::Waiting),
        1 => Ok(Standing::BackedUp),
        2 => Ok(Standing::Failed),
        number => {
            let skip = usize::from(number.checked_sub(SKIPPED).ok_or(Malformed)?);
            Skip::ALL.get(skip).copied().map(Standing::Skipped).ok_or(Malformed)
        }
    }
}

fn shared(writer: &mut Writer, before: &[u8], now: &[u8]) {
    let same = before.iter().zip(now).take_while(|(a, b)| a == b).count();
    writer.number(same as u64).bytes(&now[same..]);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn any_entry() -> impl Strategy<Value = Entry> {
        let print = (any::<u64>(), any::<i64>(), any::<i64>());
        let standing = prop_oneof![
            Just(Standing::Waiting),
            Just(Standing::BackedUp),
            Just(Standing::Failed),
            (0..Skip::ALL.len()).prop_map(|number| Standing::Skipped(Skip::ALL[number])),
        ];
        let copy = proptest::option::of((any::<u64>(), any::<[u8; 16]>(), "[0-9]{1,18}", ".{0,40}"));
        (proptest::collection::vec(1..=255_u8, 1..60), print, standing, copy, any::<bool>()).prop_map(
            |(below, (size, mtime_ns, ctime_ns), standing, copy, gone)| Entry {
                below: below.into(),
                print: Fingerprint { size, mtime_ns, ctime_ns },
                standing,
                copy: copy.map(|(other, md5, id, path)| Copy {
                    size: if standing == Standing::BackedUp { size } else { other },
                    md5: Md5(md5),
                    id,
                    path,
                }),
                gone,
            },
        )
    }

    proptest! {
        #[test]
        fn entries_unpack_as_they_were_packed(entries in proptest::collection::vec(any_entry(), 0..20)) {
            let record = pack(&entries);
            prop_assert_eq!(unpack(&record), Ok(entries.clone()));
            let mut lines = Lines::default();
            lines.unpack(&record).unwrap();
            entries.iter().for_each(|_| lines.next());
            lines.unpack(&record).unwrap();
            prop_assert!(lines.unpack(&record[..record.len() - 1]).is_err());
            prop_assert_eq!(lines.last(), entries.last().map(|entry| &*entry.below));
            for entry in &entries {
                let line = Line { print: entry.print, standing: entry.standing, gone: entry.gone };
                prop_assert_eq!(lines.first(), Some((&*entry.below, line)));
                lines.next();
            }
            prop_assert_eq!(lines.first(), None);
        }

        #[test]
        fn a_record_of_junk_or_cut_short_is_refused_without_a_panic(
            junk: Vec<u8>,
            entries in proptest::collection::vec(any_entry(), 1..5),
            cut: prop::sample::Index,
        ) {
            let _ = unpack(&junk);
            let packed = pack(&entries);
            prop_assert!(unpack(&packed[..cut.index(packed.len())]).is_err());
        }

        #[test]
        fn keys_and_comparison_agree_on_the_order(a in "[a-c/.]{0,8}", b in "[a-c/.]{0,8}") {
            let (a, b) = (a.as_bytes(), b.as_bytes());
            prop_assert_eq!(order(a, b), order_key(a).cmp(&order_key(b)));
        }
    }

    #[test]
    fn a_typical_photo_takes_no_more_than_eighty_bytes() {
        let entries: Vec<_> = (0..40)
            .map(|number| Entry {
                below: format!("2024/07/IMG_{number:04}.JPG").into_bytes().into(),
                print: Fingerprint {
                    size: 3_145_728 + number,
                    mtime_ns: 1_720_000_000_123_456_789,
                    ctime_ns: 1_720_000_111_123_456_789,
                },
                standing: Standing::BackedUp,
                copy: Some(Copy {
                    size: 3_145_728 + number,
                    md5: Md5::of(number.to_string()),
                    id: "693789892866840".into(),
                    path: format!("/apps/xpand/nas/photo/2024/07/IMG_{number:04}.JPG"),
                }),
                gone: false,
            })
            .collect();
        let size = pack(&entries).len() / entries.len();
        assert!(size <= 80, "{size}");
    }
}
