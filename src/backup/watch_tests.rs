//! Tests of the watcher, on real directories. The kernel queues an event before the call that made it
//! returns, so nothing here has to wait.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use super::*;

const ONE: FolderId = FolderId(1);

fn paths(paths: &[FilePath]) -> Vec<String> {
    paths.iter().map(|path| format!("{path:?}")).collect()
}

/// A watched folder with `a/b` in it.
fn folder() -> (tempfile::TempDir, Watcher) {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("a/b")).unwrap();
    let watcher = Watcher::new();
    watcher.start(ONE, root.path());
    for below in ["", "a", "a/b"] {
        watcher.add_dir(ONE, root.path(), below.as_bytes());
    }
    assert_eq!((watcher.polling(ONE), watcher.watched()), (None, 3));
    (root, watcher)
}

#[tokio::test]
async fn a_written_a_moved_and_a_deleted_file_are_told_once_each() {
    let (root, watcher) = folder();
    fs::write(root.path().join("a/b/new.jpg"), "new").unwrap();
    fs::write(root.path().join("a/b/new.jpg"), "newer").unwrap();
    fs::rename(root.path().join("a/b/new.jpg"), root.path().join("moved.jpg")).unwrap();
    watcher.changed().await;
    let changes = watcher.drain();
    assert_eq!(paths(&changes.files), [r#"1:"a/b/new.jpg""#, r#"1:"moved.jpg""#]);
    assert!(changes.dirs.is_empty() && !changes.overflow);
    assert_eq!(watcher.drain(), Changes::default());
    fs::remove_file(root.path().join("moved.jpg")).unwrap();
    assert_eq!(paths(&watcher.drain().files), [r#"1:"moved.jpg""#]);
}

#[tokio::test(start_paused = true)]
async fn reading_wakes_nobody() {
    let (root, watcher) = folder();
    fs::write(root.path().join("a/x.jpg"), "x").unwrap();
    drop(watcher.drain());
    fs::read(root.path().join("a/x.jpg")).unwrap();
    fs::read_dir(root.path().join("a")).unwrap().count();
    let woken = tokio::time::timeout(Duration::from_secs(3600), watcher.changed()).await;
    assert!(woken.is_err());
}

#[tokio::test]
async fn a_change_wakes_a_waiter_again_and_again() {
    let (root, watcher) = folder();
    for number in 0..3 {
        let write = async {
            tokio::task::yield_now().await;
            fs::write(root.path().join(format!("a/{number}.jpg")), "x").unwrap();
        };
        tokio::join!(watcher.changed(), write);
        assert_eq!(watcher.drain().files.len(), 1);
    }
}

#[tokio::test]
async fn new_and_gone_directories_are_to_be_walked() {
    let (root, watcher) = folder();
    fs::create_dir(root.path().join("a/new")).unwrap();
    assert_eq!(paths(&watcher.drain().dirs), [r#"1:"a/new""#]);
    fs::remove_dir(root.path().join("a/b")).unwrap();
    assert_eq!(paths(&watcher.drain().dirs), [r#"1:"a/b""#]);
    assert_eq!(watcher.watched(), 2);
}

#[tokio::test]
async fn a_directory_that_moves_is_known_by_its_new_place() {
    let (root, watcher) = folder();
    fs::rename(root.path().join("a"), root.path().join("c")).unwrap();
    let changes = watcher.drain();
    assert_eq!(paths(&changes.dirs), [r#"1:"a""#, r#"1:"c""#]);
    assert_eq!(watcher.watched(), 1);
    // The walk of the new place sets the watches.
    watcher.add_dir(ONE, root.path(), b"c");
    watcher.add_dir(ONE, root.path(), b"c/b");
    fs::write(root.path().join("c/b/x.jpg"), "x").unwrap();
    assert_eq!(paths(&watcher.drain().files), [r#"1:"c/b/x.jpg""#]);
}

#[tokio::test]
async fn the_folder_itself_going_away_is_told() {
    let (root, watcher) = folder();
    fs::rename(root.path(), root.path().with_extension("away")).unwrap();
    assert_eq!(paths(&watcher.drain().dirs), [r#"1:"""#]);
    fs::rename(root.path().with_extension("away"), root.path()).unwrap();
}

#[tokio::test]
async fn a_folder_within_a_folder_is_told_of_in_both() {
    let (root, watcher) = folder();
    let two = FolderId(2);
    watcher.add_dir(two, &root.path().join("a"), b"");
    fs::write(root.path().join("a/x.jpg"), "x").unwrap();
    assert_eq!(paths(&watcher.drain().files), [r#"1:"a/x.jpg""#, r#"2:"x.jpg""#]);
    watcher.forget(ONE);
    fs::write(root.path().join("a/x.jpg"), "x").unwrap();
    assert_eq!(paths(&watcher.drain().files), [r#"2:"x.jpg""#]);
}

#[tokio::test]
async fn a_link_is_not_watched() {
    let (root, watcher) = folder();
    symlink("a", root.path().join("linked")).unwrap();
    watcher.add_dir(ONE, root.path(), b"linked");
    assert_eq!((watcher.watched(), watcher.polling(ONE)), (3, None));
}

#[tokio::test]
async fn too_many_changes_mean_that_everything_is_to_be_scanned() {
    let (_root, watcher) = folder();
    for number in 0..=MOST_PATHS {
        let path = FilePath::new(ONE, number.to_string());
        watcher.lock().note(path, number % 2 == 0);
    }
    watcher.changed().await;
    assert_eq!(watcher.drain(), Changes { overflow: true, ..Changes::default() });
}

#[tokio::test]
async fn what_happens_while_a_watch_is_being_set_is_looked_at_afterwards() {
    let (root, watcher) = folder();
    fs::create_dir(root.path().join("late")).unwrap();
    drop(watcher.drain());
    // Set as `add_dir` sets it, and not yet known.
    let kernel = watcher.kernel.as_ref().unwrap();
    let number = inotify::add_watch(kernel, root.path().join("late"), EVENTS | HOW).unwrap();
    fs::write(root.path().join("late/x.jpg"), "x").unwrap();
    assert_eq!(watcher.drain(), Changes::default());
    watcher.lock().put(number, FilePath::new(ONE, "late"));
    assert_eq!(paths(&watcher.drain().dirs), [r#"1:"late""#]);
    fs::write(root.path().join("late/y.jpg"), "y").unwrap();
    assert_eq!(paths(&watcher.drain().files), [r#"1:"late/y.jpg""#]);
}

#[tokio::test]
async fn a_directory_that_may_be_read_again_is_told_and_others_attributes_are_not() {
    use std::os::unix::fs::PermissionsExt;
    let (root, watcher) = folder();
    let chmod =
        |mode| fs::set_permissions(root.path().join("a/b"), fs::Permissions::from_mode(mode)).unwrap();
    chmod(0o700);
    assert_eq!(watcher.drain(), Changes::default());
    watcher.add_closed(ONE, b"a/b");
    chmod(0o755);
    assert_eq!(paths(&watcher.drain().dirs), [r#"1:"a/b""#]);
    chmod(0o700);
    assert_eq!(watcher.drain(), Changes::default());
}

#[tokio::test]
async fn at_the_kernels_limit_a_folder_says_how_far_to_raise_it() {
    let (_root, watcher) = folder();
    watcher.lock().polling.insert(ONE, Polling::AtLimit(5_000_000));
    let words = watcher.polling(ONE).unwrap();
    assert!(words.contains("sysctl -w fs.inotify.max_user_watches=16777216 (now "), "{words}");
}

#[tokio::test]
async fn without_the_kernels_help_folders_are_polled_and_say_why() {
    let root = tempfile::tempdir().unwrap();
    let reason = at_limit("max_user_watches", "watched directories", 0);
    assert!(reason.contains("sysctl -w fs.inotify.max_user_watches="), "{reason}");
    let watcher = Watcher { kernel: Err(reason.clone()), state: Mutex::default() };
    watcher.start(ONE, root.path());
    watcher.add_dir(ONE, root.path(), b"");
    assert_eq!((watcher.polling(ONE), watcher.watched()), (Some(reason), 0));
    assert_eq!(watcher.drain(), Changes::default());
}
