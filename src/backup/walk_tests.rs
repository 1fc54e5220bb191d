//! Tests of the walk, on real directories.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::backup::filter::tests::folder;

fn walk(root: &Path, start: &str) -> Vec<String> {
    let filter = Filter::new(&folder(root, &["cache"])).unwrap();
    let steps = Walk::new(root, start.as_bytes(), Arc::new(filter));
    let text = |below: &[u8]| String::from_utf8_lossy(below).into_owned();
    steps
        .map(|step| match step {
            Step::Dir { below, .. } => format!("{}/", text(&below)),
            Step::Found(found) => text(&found.below),
            Step::Trouble { below, error } => format!("{}! {:?}", text(&below), error.kind()),
        })
        .collect()
}

fn make(files: &[&str]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for file in files {
        let path = root.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
    root
}

#[test]
fn directories_come_at_their_own_place_and_junk_does_not_come() {
    let root = make(&[
        "a/z.jpg",
        "a-b.jpg",
        "a.jpg",
        "a b/x.mp4",
        "notes.txt",
        "without",
        "@eaDir/a.jpg",
        "cache/a.jpg",
        "b/.DS_Store",
        "Z.JPG",
    ]);
    symlink("a.jpg", root.path().join("link.jpg")).unwrap();
    symlink("a", root.path().join("linked")).unwrap();
    let all = ["/", "Z.JPG", "a/", "a/z.jpg", "a b/", "a b/x.mp4", "a-b.jpg", "a.jpg", "b/", "without"];
    assert_eq!(walk(root.path(), ""), all);
}

#[test]
fn what_is_found_has_the_fingerprint_of_the_file() {
    let root = make(&["a/b.jpg", "without"]);
    let filter = Arc::new(Filter::new(&folder(root.path(), &[])).unwrap());
    let files: Vec<Found> = Walk::new(root.path(), b"", filter)
        .filter_map(|step| match step {
            Step::Found(found) => Some(found),
            _ => None,
        })
        .collect();
    assert_eq!(files.len(), 2);
    for found in &files {
        assert_eq!(disk::stat_one(root.path(), &found.below).unwrap(), Some(found.print));
    }
    assert_eq!(files[0].media, Some(Media::Photo));
    assert_eq!(files[1].media, None);
}

#[test]
fn a_walk_may_start_anywhere_but_not_within_what_is_excluded() {
    let root = make(&["a/b/c.jpg", "a/d.jpg", "e.jpg", "cache/x/y.jpg", "n.txt"]);
    symlink("a", root.path().join("linked")).unwrap();
    assert_eq!(walk(root.path(), "a"), ["a/", "a/b/", "a/b/c.jpg", "a/d.jpg"]);
    assert_eq!(walk(root.path(), "a/b"), ["a/b/", "a/b/c.jpg"]);
    assert_eq!(walk(root.path(), "a/d.jpg"), ["a/d.jpg"]);
    assert_eq!(walk(root.path(), "e.jpg"), ["e.jpg"]);
    for nothing in
        ["n.txt", "gone", "gone/deeper", "cache", "cache/x", "cache/x/y.jpg", "linked", "linked/b", "a/../a"]
    {
        assert!(walk(root.path(), nothing).is_empty(), "{nothing}");
    }
}

#[test]
fn a_missing_folder_is_a_trouble_and_not_an_empty_folder() {
    assert_eq!(walk(Path::new("/nonexistent/photos"), ""), ["! NotFound"]);
}

#[test]
fn an_unreadable_directory_does_not_stop_the_rest() {
    let root = make(&["a/x.jpg", "b/x.jpg", "c.jpg"]);
    let closed = root.path().join("a");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read_dir(&closed).is_ok() {
        println!("skipped: this user may read everything");
        return;
    }
    assert_eq!(walk(root.path(), ""), ["/", "a! PermissionDenied", "b/", "b/x.jpg", "c.jpg"]);
}

#[test]
fn what_vanishes_or_is_replaced_by_a_link_is_just_not_there() {
    let root = make(&["a/x.jpg", "b/x.jpg", "c/x.jpg", "d.jpg"]);
    let filter = Arc::new(Filter::new(&folder(root.path(), &[])).unwrap());
    let steps = Walk::new(root.path(), b"", filter);
    let mut names = Vec::new();
    for step in steps {
        match step {
            Step::Dir { below, .. } if &*below == b"a" => {
                fs::remove_dir_all(root.path().join("b")).unwrap();
                fs::remove_dir_all(root.path().join("c")).unwrap();
                symlink("/etc", root.path().join("c")).unwrap();
                fs::remove_file(root.path().join("d.jpg")).unwrap();
                // New in the directory that is being entered: seen.
                fs::write(root.path().join("a/new.jpg"), "new").unwrap();
            }
            Step::Found(found) => names.push(String::from_utf8(found.below.into()).unwrap()),
            Step::Dir { .. } => {}
            Step::Trouble { error, .. } => panic!("{error}"),
        }
    }
    assert_eq!(names, ["a/new.jpg", "a/x.jpg"]);
}

#[test]
fn a_deep_tree_needs_few_open_files_and_is_walked_whole() {
    let root = tempfile::tempdir().unwrap();
    let mut path = PathBuf::from(root.path());
    for _ in 0..200 {
        path.push("d");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("a.jpg"), "a").unwrap();
        fs::write(path.join("z.jpg"), "z").unwrap();
    }
    let filter = Arc::new(Filter::new(&folder(root.path(), &[])).unwrap());
    let mut steps = Walk::new(root.path(), b"", filter);
    let (mut found, mut most) = (0, 0);
    while let Some(step) = steps.next() {
        found += usize::from(matches!(step, Step::Found(_)));
        most = most.max(steps.levels.iter().filter(|level| level.open.is_some()).count());
    }
    assert_eq!(found, 400);
    assert!(most <= MAX_OPEN + 1, "{most}");
}

#[test]
fn names_that_are_not_text_are_walked_too() {
    let root = tempfile::tempdir().unwrap();
    let name = std::ffi::OsStr::from_bytes(b"\xff\xfe.jpg");
    if fs::write(root.path().join(name), "x").is_err() {
        println!("skipped: this file system wants UTF-8");
        return;
    }
    let filter = Arc::new(Filter::new(&folder(root.path(), &[])).unwrap());
    let found = Walk::new(root.path(), b"", filter).find_map(|step| match step {
        Step::Found(found) => Some(found.below),
        _ => None,
    });
    assert_eq!(found.as_deref(), Some(name.as_bytes()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_order_is_that_of_paths_with_the_slash_first(
        paths in prop::collection::btree_set("[a-b.! -]{1,3}(/[a-b.!-]{1,2}){0,3}", 1..30)
    ) {
        let root = tempfile::tempdir().unwrap();
        for path in paths {
            let path = root.path().join(path.replace('.', "c") + ".jpg");
            let _ = fs::create_dir_all(path.parent().unwrap());
            let _ = fs::write(path, "x");
        }
        let filter = Arc::new(Filter::new(&folder(root.path(), &[])).unwrap());
        let keys: Vec<Vec<u8>> = Walk::new(root.path(), b"", filter)
            .filter_map(|step| match step {
                Step::Found(found) => Some(found.below.iter().map(|&b| if b == b'/' { 0 } else { b }).collect()),
                _ => None,
            })
            .collect();
        prop_assert!(!keys.is_empty());
        prop_assert!(keys.is_sorted_by(|one, two| one < two));
    }
}
