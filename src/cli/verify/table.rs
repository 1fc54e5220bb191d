//! What the agent believes to be in the cloud, in sixteen bytes a file, to be ticked off as it is listed.
//!
//! A million files are 16 MB - in a command that ends, not in the agent. So little room has a hash of the
//! remote path, and so much of the size, the MD5 and the id that a wrong size passes once in sixteen million
//! times, a wrong MD5 once in a million, and another file of the same size once in a hundred thousand.
//! Nothing is reported by these alone: what was not ticked off is looked at again with all that the agent
//! knows.

use crate::content::Md5;

/// Bits of a mixed size.
const SIZE_BITS: u32 = 24;
/// Bits of an MD5.
const MD5_BITS: u32 = 20;
/// Bits of an id's hash.
const ID_BITS: u32 = 17;
/// All of these; what was [`Seen`] is above.
const BITS: u32 = SIZE_BITS + MD5_BITS + ID_BITS;

/// What the listing showed of a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Seen {
    /// Nothing.
    Not,
    /// Another size.
    WrongSize,
    /// The size, and another content.
    WrongContent,
    /// Another file, as far as the listing tells with the same content.
    Replaced,
    /// Everything as it should be.
    Well,
}

impl Seen {
    const ALL: [Self; 5] = [Self::Not, Self::WrongSize, Self::WrongContent, Self::Replaced, Self::Well];
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// In order of their paths' hashes once [`Table::sort`] was called.
    rows: Vec<Row>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    path: u64,
    /// From above: what was [`Seen`], [`ID_BITS`], [`MD5_BITS`], [`SIZE_BITS`].
    rest: u64,
}

impl Row {
    fn new(file: &File<'_>, md5: Md5) -> Self {
        let rest =
            part(file.id, ID_BITS) << (SIZE_BITS + MD5_BITS) | bits(md5) << SIZE_BITS | mixed(file.size);
        Self { path: hash(file.path), rest }
    }

    fn seen(self) -> Seen {
        Seen::ALL[((self.rest >> BITS) as usize).min(Seen::ALL.len() - 1)]
    }

    fn see(&mut self, file: &File<'_>, md5: Option<Md5>) {
        let own = |from: u32, count: u32| self.rest >> from & ((1 << count) - 1);
        let seen = if own(0, SIZE_BITS) != mixed(file.size) {
            Seen::WrongSize
        } else if md5.is_some_and(|md5| own(SIZE_BITS, MD5_BITS) != bits(md5)) {
            Seen::WrongContent
        } else if !file.id.is_empty() && own(SIZE_BITS + MD5_BITS, ID_BITS) != part(file.id, ID_BITS) {
            Seen::Replaced
        } else {
            Seen::Well
        };
        // A listing that changes while it is read tells of a file twice.
        self.rest = self.rest & ((1 << BITS) - 1) | (seen.max(self.seen()) as u64) << BITS;
    }
}

/// A file in the cloud, as it is believed to be or as it is listed.
#[derive(Clone, Copy, Debug)]
pub(super) struct File<'f> {
    /// Absolute remote path.
    pub(super) path: &'f str,
    /// Bytes.
    pub(super) size: u64,
    /// The cloud's id; empty where a listing does not tell it.
    pub(super) id: &'f str,
}

impl Table {
    /// A copy that is believed to be in the cloud.
    pub(super) fn add(&mut self, file: &File<'_>, md5: Md5) {
        self.rows.push(Row::new(file, md5));
    }

    /// All of them are added.
    pub(super) fn sort(&mut self) {
        self.rows.sort_unstable_by_key(|row| row.path);
    }

    /// Ticks off a listed file; `md5` where the listing certainly tells that of its content. False when
    /// there should be no such file.
    pub(super) fn see(&mut self, file: &File<'_>, md5: Option<Md5>) -> bool {
        let rows = self.range(file.path);
        let is_known = !rows.is_empty();
        self.rows[rows].iter_mut().for_each(|row| row.see(file, md5));
        is_known
    }

    /// What was ticked off at this path is not well after all.
    pub(super) fn spoil(&mut self, path: &str) {
        let rows = self.range(path);
        for row in &mut self.rows[rows] {
            row.rest = row.rest & ((1 << BITS) - 1) | (Seen::WrongContent as u64) << BITS;
        }
    }

    /// What the listing showed of a copy; `None` when the copy is newer than this table.
    pub(super) fn seen(&self, file: &File<'_>, md5: Md5) -> Option<Seen> {
        let wanted = Row::new(file, md5);
        let believed = (1 << BITS) - 1;
        let rows = self.rows[self.range(file.path)].iter();
        rows.filter(|row| row.rest & believed == wanted.rest).map(|row| row.seen()).max()
    }

    fn range(&self, path: &str) -> std::ops::Range<usize> {
        let wanted = hash(path);
        let from = self.rows.partition_point(|row| row.path < wanted);
        let rest = self.rows.get(from..).unwrap_or_default();
        from..from + rest.iter().take_while(|row| row.path == wanted).count()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Chooses `count` of them by chance; the same `seed` chooses the same.
    pub(super) fn choose(&self, seed: u64, count: usize) -> Chosen {
        let mut ranks: Vec<u64> = self.rows.iter().map(|row| rank(seed, row.path)).collect();
        let last = count.min(ranks.len()).checked_sub(1);
        Chosen { seed, most: last.map(|last| *ranks.select_nth_unstable(last).1) }
    }
}

/// Which files are chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Chosen {
    seed: u64,
    most: Option<u64>,
}

impl Chosen {
    /// Whether a file is.
    pub(super) fn has(self, path: &str) -> bool {
        self.most.is_some_and(|most| rank(self.seed, hash(path)) <= most)
    }
}

fn hash(text: &str) -> u64 {
    let Md5([a, b, c, d, e, f, g, h, ..]) = Md5::of(text);
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// So many bits of a hash.
fn part(text: &str, count: u32) -> u64 {
    hash(text) & ((1 << count) - 1)
}

fn bits(md5: Md5) -> u64 {
    let Md5([a, b, c, ..]) = md5;
    u64::from(u32::from_le_bytes([a, b, c, 0])) & ((1 << MD5_BITS) - 1)
}

fn mixed(size: u64) -> u64 {
    size.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - SIZE_BITS)
}

/// A file's place in an order that the seed decides (the finalizer of splitmix64).
fn rank(seed: u64, path: u64) -> u64 {
    let mut mixed = path ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, size: u64) -> File<'_> {
        File { path, size, id: "1" }
    }

    #[test]
    fn files_are_ticked_off_and_the_better_of_two_looks_counts() {
        let mut table = Table::default();
        let md5 = Md5::of("content");
        let path = |number: u64| format!("/apps/x/{number}.jpg");
        for number in (0..1000).rev() {
            table.add(&file(&path(number), number), md5);
        }
        table.sort();
        assert_eq!(std::mem::size_of::<Row>(), 16);
        let mut see = |number, size, md5| table.see(&file(&path(number), size), md5);
        assert!(
            see(1, 1, Some(md5)) && see(2, 2, None) && see(3, 4, None) && see(4, 4, Some(Md5::of("other")))
        );
        assert!(see(5, 6, None) && see(5, 5, None) && see(6, 6, None) && see(6, 5, None));
        assert!(!see(1000, 1000, None));
        assert!(table.see(&File { id: "2", ..file(&path(7), 7) }, Some(md5)));
        assert!(table.see(&File { id: "", ..file(&path(8), 8) }, None));
        let seen = |number| table.seen(&file(&path(number), number), md5);
        let all: Vec<_> = [0, 1, 2, 3, 4, 5, 6, 7, 8].map(seen).into();
        let well = Some(Seen::Well);
        let wrong = [Seen::WrongSize, Seen::WrongContent, Seen::Replaced].map(Some);
        let expected = [Some(Seen::Not), well, well, wrong[0], wrong[1], well, well, wrong[2], well];
        assert_eq!(all, expected);
        assert_eq!(table.seen(&file(&path(1), 2), md5), None, "of another size by now");
        assert_eq!(table.seen(&file(&path(1), 1), Md5::of("other")), None, "of another content by now");
        assert_eq!(table.seen(&File { id: "2", ..file(&path(1), 1) }, md5), None, "another copy by now");
        assert_eq!(seen(1000), None);
        table.spoil(&path(5));
        assert_eq!(table.seen(&file(&path(5), 5), md5), wrong[1], "what was fetched counts");
    }

    #[test]
    fn a_seed_chooses_as_many_as_are_wanted_and_always_the_same() {
        let mut table = Table::default();
        let path = |number: u64| format!("/apps/x/{number}.jpg");
        for number in 0..1000 {
            table.add(&file(&path(number), number), Md5::of("x"));
        }
        table.sort();
        let chosen = |seed, count| -> Vec<u64> {
            let chosen = table.choose(seed, count);
            (0..1000).filter(|&number| chosen.has(&path(number))).collect()
        };
        for count in [0, 1, 20, 1000, 2000] {
            assert_eq!(chosen(7, count).len(), count.min(1000));
            assert_eq!(chosen(7, count), chosen(7, count));
        }
        assert_ne!(chosen(7, 20), chosen(8, 20));
    }
}
