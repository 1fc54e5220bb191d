//! filemanager: what is copied, moved, renamed and deleted, and what is turned down.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

mod common;
use std::time::Duration;

use cloudsim::{Options, StoredFile};
use common::*;
use serde_json::{Value, json};

async fn manage(rig: &Rig, opera: &str, run: &str, filelist: Value, ondup: &str) -> Value {
    let filelist = filelist.to_string();
    let path = format!("/rest/2.0/xpan/file?method=filemanager&opera={opera}");
    rig.post(&path, &[("async", run), ("filelist", &filelist), ("ondup", ondup)]).await
}

/// One item to a place: its errno.
async fn one(rig: &Rig, opera: &str, path: &str, dest: &str, newname: &str, ondup: &str) -> i64 {
    let list = json!([{"path": path, "dest": dest, "newname": newname, "ondup": ondup}]);
    let answer = manage(rig, opera, "0", list, "").await;
    let errno = answer["info"][0]["errno"].as_i64().unwrap_or_else(|| panic!("{answer}"));
    assert_eq!(answer["errno"], if errno == 0 { 0 } else { 12 }, "{answer}");
    assert_eq!(answer["info"][0]["path"], path);
    errno
}

fn paths(rig: &Rig) -> Vec<String> {
    rig.sim.files().iter().map(|file| file.path.trim_start_matches("/apps/xpand/").to_owned()).collect()
}

fn stored(rig: &Rig, path: &str) -> StoredFile {
    rig.sim.file(&format!("/apps/xpand/{path}")).unwrap_or_else(|| panic!("{path} is not there"))
}

async fn rig_with(files: &[&str]) -> Rig {
    let rig = Rig::new(Options::default()).await;
    for path in files {
        rig.sim.put_file("demo", &format!("/apps/xpand/{path}"), path.as_bytes()).unwrap();
    }
    rig
}

#[tokio::test]
async fn a_copy_has_the_same_content_and_times_and_an_id_of_its_own() {
    let rig = Rig::new(Options::default()).await;
    let content = bytes(1000, 1);
    let exif = r#"{"height":1379,"width":1600,"orientation":1,"recovery":0}"#;
    let uploadid = rig.send("/apps/xpand/a.jpg", &content, "1").await;
    let more = [("local_mtime", "1500000000"), ("mode", "4"), ("exif_info", exif)];
    rig.create("/apps/xpand/a.jpg", 1000, &uploadid, &blocks(&content), &more).await;
    rig.mkdir("/apps/xpand/to", "0").await;
    assert_eq!(one(&rig, "copy", "/apps/xpand/a.jpg", "/apps/xpand/to", "b.jpg", "fail").await, 0);
    let (old, new) = (stored(&rig, "a.jpg"), stored(&rig, "to/b.jpg"));
    assert_eq!((old.md5, old.local_mtime, old.mode), (new.md5, new.local_mtime, new.mode));
    assert_eq!((new.local_mtime, new.exif_info.is_some()), (1_500_000_000, true));
    assert_ne!(old.fs_id, new.fs_id);
    assert!(new.copied && !old.copied);
    assert_eq!(std::fs::read(&new.disk).unwrap(), content);
    rig.sim.put_file("demo", "/apps/xpand/a.jpg", b"another").unwrap();
    assert_eq!(std::fs::read(&new.disk).unwrap(), content, "a copy does not change with its source");
}

#[tokio::test]
async fn folders_are_moved_and_copied_with_everything_in_them() {
    let rig = rig_with(&["old/a", "old/deep/b"]).await;
    let id = stored(&rig, "old/deep/b").fs_id;
    assert_eq!(one(&rig, "move", "/apps/xpand/old", "/apps/xpand", "new", "fail").await, 0);
    assert_eq!(paths(&rig), ["new/a", "new/deep/b"]);
    assert_eq!(stored(&rig, "new/deep/b").fs_id, id, "what is moved keeps its id");
    assert_eq!(one(&rig, "copy", "/apps/xpand/new", "/apps/xpand", "copy", "fail").await, 0);
    assert_eq!(paths(&rig), ["copy/a", "copy/deep/b", "new/a", "new/deep/b"]);
    assert_eq!(rig.sim.read("/apps/xpand/copy/deep/b").unwrap(), b"old/deep/b");
    let rename = json!([{"path": "/apps/xpand/copy/deep", "newname": "Deep"}]);
    assert_eq!(manage(&rig, "rename", "0", rename, "").await["errno"], 0);
    assert_eq!(paths(&rig), ["copy/Deep/b", "copy/a", "new/a", "new/deep/b"]);
    let answer = manage(&rig, "delete", "0", json!(["/apps/xpand/copy", "/apps/xpand/never"]), "").await;
    assert_eq!(answer["errno"], 0, "deleting what is not there is a success: {answer}");
    assert_eq!(paths(&rig), ["new/a", "new/deep/b"]);
    assert!(!rig.sim.data_dir().join("apps/xpand/copy").exists());
}

#[tokio::test]
async fn ondup_says_what_becomes_of_a_file_that_is_there() {
    let (from, to) = ("/apps/xpand/a", "/apps/xpand/to");
    for (opera, ondup, errno, want) in [
        ("copy", "fail", -8, vec!["a", "to/b"]),
        ("copy", "skip", 0, vec!["a", "to/b"]),
        ("copy", "newcopy", 0, vec!["a", "to/b", "to/b(1)"]),
        ("copy", "overwrite", 0, vec!["a", "to/b"]),
        ("move", "fail", -8, vec!["a", "to/b"]),
        ("mover", "newcopy", 0, vec!["to/b", "to/b(1)"]),
        ("move", "overwrite", 0, vec!["to/b"]),
    ] {
        let rig = rig_with(&["a", "to/b"]).await;
        assert_eq!(one(&rig, opera, from, to, "b", ondup).await, errno, "{opera} {ondup}");
        assert_eq!(paths(&rig), want, "{opera} {ondup}");
        let replaced = rig.sim.read("/apps/xpand/to/b").unwrap() == b"a";
        assert_eq!(replaced, ondup == "overwrite", "{opera} {ondup}");
    }
}

#[tokio::test]
async fn the_items_own_ondup_goes_before_the_one_for_all() {
    let rig = rig_with(&["a", "b", "to/a", "to/b"]).await;
    let list = json!([
        {"path": "/apps/xpand/a", "dest": "/apps/xpand/to", "newname": "a"},
        {"path": "/apps/xpand/b", "dest": "/apps/xpand/to", "newname": "b", "ondup": "fail"},
    ]);
    let answer = manage(&rig, "copy", "0", list, "newcopy").await;
    assert_eq!(answer["errno"], 12);
    assert_eq!((&answer["info"][0]["errno"], &answer["info"][1]["errno"]), (&json!(0), &json!(-8)));
    assert_eq!(paths(&rig), ["a", "b", "to/a", "to/a(1)", "to/b"]);
}

#[tokio::test]
async fn what_cannot_be_is_told_item_by_item() {
    let rig = rig_with(&["a", "dir/b", "full/dir/c"]).await;
    rig.sim.put_file("demo", "/elsewhere/x", b"x").unwrap();
    let app = "/apps/xpand";
    for (opera, path, dest, newname, errno) in [
        ("copy", "/apps/xpand/none", app, "n", -9),
        ("copy", "/apps/xpand/a", "/apps/xpand/none", "n", -9),
        ("copy", "/apps/xpand/dir", "/apps/xpand/a", "n", -8),
        ("copy", "/apps/xpand/a", app, "a?", 31062),
        ("copy", "/apps/xpand/a", app, "a/b", 31062),
        ("copy", "/apps/xpand/a", app, "..", 31062),
        ("copy", "/apps/xpand/dir", "/apps/xpand/dir", "in", 31069),
        ("move", "/apps/xpand/dir", "/apps/xpand/dir", "in", 31072),
        ("copy", "/apps/xpand/../xpand/a", app, "b", -7),
        ("move", "/", app, "root", -7),
        ("move", "/apps/xpand/dir", "/apps/xpand/full", "dir", -8),
    ] {
        assert_eq!(
            one(&rig, opera, path, dest, newname, "fail").await,
            errno,
            "{opera} {path} {dest} {newname}"
        );
    }
    assert_eq!(one(&rig, "move", "/apps/xpand/dir", "/apps/xpand/full", "dir", "overwrite").await, -8);
    assert_eq!(one(&rig, "copy", "/apps/xpand/a", app, "a", "overwrite").await, 31069);
    assert_eq!(one(&rig, "copy", "/elsewhere/x", app, "x", "fail").await, 0);
    assert_eq!(one(&rig, "move", "/apps/xpand/x", "/elsewhere", "y", "fail").await, 0, "moves go anywhere");
    assert_eq!(
        one(&rig, "copy", "/apps/xpand/a", "/elsewhere", "a", "fail").await,
        0,
        "and copies, as the example's"
    );
    rig.sim.set_quota(20).unwrap();
    assert_eq!(one(&rig, "copy", "/apps/xpand/full", app, "more", "fail").await, -10);
    rig.sim.set_quota(1 << 20).unwrap();
    let too_many: Vec<String> = (0..1000).map(|n| format!("/apps/xpand/{n}")).collect();
    assert_eq!(manage(&rig, "delete", "0", json!(too_many), "").await["errno"], 2);
    assert_eq!(manage(&rig, "delete", "3", json!(["/apps/xpand/a"]), "").await["errno"], 2);
    assert_eq!(manage(&rig, "shred", "0", json!(["/apps/xpand/a"]), "").await["errno"], 2);
    assert_eq!(manage(&rig, "copy", "0", json!(["/apps/xpand/a"]), "").await["errno"], 2);
    assert_eq!(manage(&rig, "delete", "0", json!([]), "").await["errno"], 2);
    assert!(rig.sim.file("/apps/xpand/a").is_some());
}

#[tokio::test]
async fn a_task_waits_runs_and_ends_and_a_user_has_one_at_a_time() {
    let hour = Duration::from_secs(3600);
    let rig = Rig::new(Options { task_time: hour, ..Options::default() }).await;
    rig.sim.put_file("demo", "/apps/xpand/a", b"a").unwrap();
    let answer = manage(&rig, "delete", "2", json!(["/apps/xpand/a"]), "").await;
    assert_eq!((&answer["errno"], &answer["info"]), (&json!(0), &json!([])));
    let taskid = answer["taskid"].as_u64().unwrap();
    let query = format!("/share/taskquery?taskid={taskid}");
    let status = async || rig.get(&query).await["status"].clone();
    assert_eq!(status().await, "pending");
    assert_eq!(manage(&rig, "delete", "2", json!(["/apps/xpand/b"]), "").await["errno"], 111);
    rig.sim.advance(hour / 2);
    assert_eq!(status().await, "running");
    assert!(rig.sim.file("/apps/xpand/a").is_some(), "the work is done at its end");
    rig.sim.advance(hour / 2);
    let answer = rig.get(&query).await;
    assert_eq!((&answer["status"], &answer["task_errno"]), (&json!("success"), &json!(0)));
    assert_eq!(answer["list"], json!([{"path": "/apps/xpand/a", "error_code": 0}]));
    assert!(rig.sim.file("/apps/xpand/a").is_none());
    let list = json!([{"path": "/apps/xpand/a", "newname": "b"}]);
    let taskid = manage(&rig, "rename", "2", list, "").await["taskid"].as_u64().unwrap();
    rig.sim.advance(hour);
    let answer = rig.get(&format!("/share/taskquery?taskid={taskid}")).await;
    assert_eq!((&answer["status"], &answer["task_errno"]), (&json!("failed"), &json!(12)));
    assert_eq!(answer["list"][0]["error_code"], -9);
    assert_eq!(rig.get("/share/taskquery?taskid=1").await["errno"], 36016);
}

#[tokio::test]
async fn the_cloud_makes_a_task_of_many_files_when_it_may_choose() {
    let rig = Rig::new(Options { async_above: 2, ..Options::default() }).await;
    for n in 0..3 {
        rig.sim.put_file("demo", &format!("/apps/xpand/dir/{n}"), b"x").unwrap();
    }
    let answer = manage(&rig, "delete", "1", json!(["/apps/xpand/dir/0"]), "").await;
    assert!(answer["taskid"].is_null(), "{answer}");
    let answer = manage(&rig, "delete", "1", json!(["/apps/xpand/dir"]), "").await;
    assert!(answer["taskid"].is_u64(), "{answer}");
    rig.sim.advance(Duration::from_secs(1));
    assert!(rig.sim.files().is_empty());
}

#[tokio::test]
async fn what_was_managed_survives_a_new_server() {
    let folder = tempfile::tempdir().unwrap();
    let options = || Options { data: Some(folder.path().into()), ..Options::default() };
    let rig = Rig::new(options()).await;
    rig.sim.put_file("demo", "/apps/xpand/old/a", b"a").unwrap();
    assert_eq!(one(&rig, "move", "/apps/xpand/old", "/apps/xpand", "new", "fail").await, 0);
    assert_eq!(one(&rig, "copy", "/apps/xpand/new/a", "/apps/xpand", "b", "fail").await, 0);
    let before: Vec<u64> = rig.sim.files().iter().map(|file| file.fs_id).collect();
    rig.sim.shutdown().await;
    let rig = Rig::new(options()).await;
    assert_eq!(paths(&rig), ["b", "new/a"]);
    assert_eq!(rig.sim.files().iter().map(|file| file.fs_id).collect::<Vec<_>>(), before);
}
