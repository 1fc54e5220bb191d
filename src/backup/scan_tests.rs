//! Tests of a look while its disk is unplugged.
#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::fs::{self, File};
use std::rc::Rc;

use super::super::keeper::LONGEST;
use super::super::seam::{Machine, Simulated};
use super::*;
use crate::backup::filter::tests::folder;
use crate::cloud::Drive;
use crate::store::Store;

/// A disk that is unplugged once it was asked so many times whether anything lies on it.
struct Loose {
    looks: Cell<u32>,
}

impl Loose {
    fn is_out(&self) -> bool {
        self.looks.get() == 0
    }
}

impl Machine for Loose {
    fn stat_one(&self, root: &Path, below: &[u8]) -> io::Result<Option<Fingerprint>> {
        let size = fs::metadata(root.join(std::str::from_utf8(below).unwrap())).map(|meta| meta.len());
        Ok(size.ok().filter(|_| !self.is_out()).map(print))
    }

    fn walk(&self, root: &Path, _: &[u8], _: &Arc<Filter>) -> Box<dyn Iterator<Item = Step>> {
        let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap());
        let mut found: Vec<Found> = entries
            .map(|entry| Found {
                below: entry.file_name().into_encoded_bytes().into(),
                print: print(entry.metadata().unwrap().len()),
                media: Some(Media::Photo),
            })
            .collect();
        found.sort_by(|one, two| order(&one.below, &two.below));
        let begin = Step::Dir { below: Box::default(), mounted: false };
        Box::new([begin].into_iter().chain(found.into_iter().map(Step::Found)))
    }

    fn is_bare(&self, _: &Path) -> bool {
        let is_out = self.is_out();
        self.looks.set(self.looks.get().saturating_sub(1));
        is_out
    }

    fn open_one(&self, _: &Path, _: &[u8]) -> io::Result<File> {
        unreachable!()
    }

    fn fingerprint(&self, _: &File) -> io::Result<(Fingerprint, bool)> {
        unreachable!()
    }

    fn spread(&self) -> f64 {
        unreachable!()
    }

    fn drive(&self) -> Arc<dyn Drive> {
        unreachable!()
    }

    fn life(&self) -> u64 {
        unreachable!()
    }
}

fn print(size: u64) -> Fingerprint {
    Fingerprint { size, mtime_ns: 1, ctime_ns: 1 }
}

struct Blind;

impl Eyes for Blind {
    fn directory(&mut self, _: &[u8]) {}
    fn sighting(&mut self, _: FilePath, _: Fingerprint) {}
}

/// Twenty known files, of which three were deleted: how a look ends, and how many files are known then.
/// The disk answers so often before it is unplugged.
fn look(looks: u32, accept: bool) -> (Report, u64) {
    let (state, disk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, _) = Store::open(state.path()).unwrap();
    let keeper = Keeper::open(Arc::new(store), LONGEST).unwrap();
    let id = keeper.with(|queue| queue.folder(disk.path(), "home")).unwrap();
    for number in 0..20 {
        let name = format!("{number:02}.jpg");
        keeper.with(|queue| queue.offer(&FilePath::new(id, &name), print(3))).unwrap();
        if number >= 3 {
            fs::write(disk.path().join(name), "jpg").unwrap();
        }
    }
    let scan = Scan {
        folder: id,
        root: disk.path(),
        filter: &Arc::new(Filter::new(&folder(disk.path(), &[])).unwrap()),
        limits: Limits {
            min_size: 0,
            max_size: u64::MAX,
            tier: None,
            takes: crate::cloud::of(crate::config::Provider::Baidu).takes(),
        },
        keeper: &keeper,
        cancelled: &AtomicBool::new(false),
    };
    let _simulated = Simulated::on(Rc::new(Loose { looks: Cell::new(looks) }));
    let report = if accept { scan.accept(b"", &mut Blind) } else { scan.look(b"", &mut Blind) };
    (report.unwrap(), keeper.with(|queue| Ok(queue.counts(id).files)).unwrap())
}

/// A read would panic: see [`Loose`].
#[test]
fn what_the_cloud_does_not_take_is_skipped_without_being_read() {
    let (state, disk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, _) = Store::open(state.path()).unwrap();
    let keeper = Keeper::open(Arc::new(store), LONGEST).unwrap();
    let id = keeper.with(|queue| queue.folder(disk.path(), "home")).unwrap();
    const MIB: u64 = 1 << 20;
    let files = [
        ("a.JPG", 3, None),
        ("b.heic", 3, Some(Skip::Unsupported)),
        ("c.mp4", 200 * MIB, Some(Skip::Unsupported)),
        ("d.png", 100 * MIB, None),
        ("e.png", 100 * MIB + 1, Some(Skip::OverTier)),
        ("f", 3, Some(Skip::Unsupported)),
    ];
    for (name, size, _) in files {
        File::create(disk.path().join(name)).unwrap().set_len(size).unwrap();
    }
    struct Seen(Vec<String>);
    impl Eyes for Seen {
        fn directory(&mut self, _: &[u8]) {}
        fn sighting(&mut self, path: FilePath, _: Fingerprint) {
            self.0.push(String::from_utf8_lossy(&path.below).into_owned());
        }
    }
    let takes = crate::cloud::of(crate::config::Provider::Pan123).takes();
    let scan = Scan {
        folder: id,
        root: disk.path(),
        filter: &Arc::new(Filter::new(&folder(disk.path(), &[])).unwrap()),
        limits: Limits { min_size: 0, max_size: u64::MAX, tier: None, takes },
        keeper: &keeper,
        cancelled: &AtomicBool::new(false),
    };
    let _simulated = Simulated::on(Rc::new(Loose { looks: Cell::new(u32::MAX) }));
    let mut seen = Seen(Vec::new());
    for _ in 0..2 {
        seen.0.clear();
        scan.look(b"", &mut seen).unwrap();
        assert_eq!(seen.0, ["a.JPG", "d.png"], "again: it stays so");
    }
    for (name, _, skip) in files {
        let entry = keeper.with(|queue| queue.get(&FilePath::new(id, name))).unwrap();
        assert_eq!(entry.map(|entry| entry.standing), skip.map(Standing::Skipped), "{name}");
    }
    assert!(Skip::Unsupported.words(takes).starts_with("123pan keeps pictures only"));
    assert!(Skip::OverTier.words(takes).contains("100 MiB"));
}

#[test]
fn what_was_deleted_is_forgotten_while_its_disk_is_there() {
    let (report, known) = look(u32::MAX, false);
    assert_eq!((report.gone, report.suspicious, report.bare), (3, None, false));
    assert_eq!(known, 17);
}

/// Three files are missed while the disk is still there. From the moment on that it is not, nobody knows
/// what else was.
#[test]
fn a_disk_unplugged_between_two_looks_at_its_files_forgets_none_of_them() {
    // Asked before the walk, after it, and before each file is forgotten.
    for (looks, gone) in [(2, 0), (3, 1), (4, 2)] {
        let (report, known) = look(looks, false);
        assert_eq!((report.gone, known), (gone, 20 - gone), "unplugged after {looks} looks");
        assert_eq!((report.suspicious, report.bare), (Some((3, 20)), true), "after {looks} looks");
    }
}

#[test]
fn on_the_word_of_a_person_they_are_forgotten_all_the_same() {
    for looks in [1, 2, 3] {
        let (report, known) = look(looks, true);
        assert_eq!((report.gone, report.suspicious, known), (3, None, 17), "after {looks} looks");
    }
}
