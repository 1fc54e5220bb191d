//! What happens when the path is taken: rtype, is_revision, and folders.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

mod common;
use cloudsim::{Options, md5_hex};
use common::*;
use serde_json::json;

const PATH: &str = "/apps/xpand/test.txt";

async fn rig_with_one_file() -> (Rig, Vec<u8>) {
    let rig = Rig::new(Options::default()).await;
    let content = bytes(1000, 1);
    assert_eq!(rig.upload(PATH, &content, "1").await["errno"], 0);
    (rig, content)
}

#[tokio::test]
async fn rtype_0_is_a_conflict_at_precreate_and_at_create() {
    let (rig, content) = rig_with_one_file().await;
    assert_eq!(rig.precreate(PATH, 1000, &blocks(&content), &[("rtype", "0")]).await["errno"], -8);
    let by_default = rig.precreate(PATH, 1000, &blocks(&content), &[]).await;
    assert_eq!(by_default["errno"], -8, "precreate's default is 0");
    let uploadid = rig.send(PATH, &content, "1").await;
    let answer = rig.create(PATH, 1000, &uploadid, &blocks(&content), &[("rtype", "0")]).await;
    assert_eq!(answer["errno"], -8);
    assert_eq!(rig.sim.open_uploads(), 1, "a refused create does not use the uploadid up");
}

#[tokio::test]
async fn rtype_1_renames_even_equal_content() {
    let (rig, content) = rig_with_one_file().await;
    assert_eq!(rig.upload(PATH, &content, "1").await["path"], json!("/apps/xpand/test(1).txt"));
    let uploadid = rig.send(PATH, &content, "1").await;
    let by_default = rig.create(PATH, 1000, &uploadid, &blocks(&content), &[]).await;
    assert_eq!(by_default["path"], json!("/apps/xpand/test(2).txt"), "create's default is 1");
}

#[tokio::test]
async fn rtype_2_renames_only_different_content() {
    let (rig, content) = rig_with_one_file().await;
    let before = rig.sim.file(PATH).unwrap();
    let same = rig.upload(PATH, &content, "2").await;
    assert_eq!((&same["path"], &same["fs_id"]), (&json!(PATH), &json!(before.fs_id)));
    let other = rig.upload(PATH, &bytes(1000, 2), "2").await;
    assert_eq!(other["path"], json!("/apps/xpand/test(1).txt"));
    let after = rig.sim.file(PATH).unwrap();
    assert_eq!((after.overwritten, after.created), (0, 2));
}

#[tokio::test]
async fn rtype_3_overwrites() {
    let (rig, _) = rig_with_one_file().await;
    let other = bytes(2000, 3);
    assert_eq!(rig.upload(PATH, &other, "3").await["path"], json!(PATH));
    assert_eq!(rig.sim.read(PATH).unwrap(), other);
    let file = rig.sim.file(PATH).unwrap();
    assert_eq!((file.overwritten, file.versions.len()), (1, 0));
    assert_eq!(rig.get("/api/quota").await["used"], 2000);
}

#[tokio::test]
async fn is_revision_keeps_the_old_content_and_ignores_rtype() {
    let (rig, old) = rig_with_one_file().await;
    let before = rig.sim.file(PATH).unwrap();
    let new = bytes(2000, 4);
    let uploadid = rig.send(PATH, &new, "1").await;
    let more = [("rtype", "0"), ("is_revision", "1")];
    let answer = rig.create(PATH, 2000, &uploadid, &blocks(&new), &more).await;
    assert_eq!((&answer["errno"], &answer["path"]), (&json!(0), &json!(PATH)));
    let file = rig.sim.file(PATH).unwrap();
    assert_eq!((file.fs_id, file.overwritten), (before.fs_id, 0));
    assert_eq!(file.versions.len(), 1);
    assert_eq!(file.versions[0].md5, md5_hex(&old));
    assert_eq!(std::fs::read(&file.versions[0].disk).unwrap(), old);
    assert_eq!(rig.sim.read(PATH).unwrap(), new);
}

#[tokio::test]
async fn an_existing_folder_is_a_conflict_and_parents_come_along() {
    let rig = Rig::new(Options::default()).await;
    let answer = rig.mkdir("/apps/xpand/a/b", "0").await;
    assert_eq!((&answer["errno"], &answer["isdir"], &answer["size"]), (&json!(0), &json!(1), &json!(0)));
    assert!(answer.get("md5").is_none());
    for path in ["/apps/xpand", "/apps/xpand/a", "/apps/xpand/a/b"] {
        assert_eq!(rig.mkdir(path, "0").await["errno"], -8, "{path}");
    }
    assert_eq!(rig.mkdir("/apps/xpand/a", "1").await["path"], json!("/apps/xpand/a(1)"));
    assert_eq!(rig.mkdir("/apps/other", "0").await["errno"], -7);
    assert_eq!(rig.mkdir("/apps/xpand/a?", "0").await["errno"], 31062);
    let content = bytes(10, 5);
    let onto_folder = rig.precreate("/apps/xpand/a", 10, &blocks(&content), &[("rtype", "3")]).await;
    assert_eq!(onto_folder["errno"], -8, "a file never replaces a folder");
    rig.upload("/apps/xpand/f", &content, "1").await;
    let below_file = rig.precreate("/apps/xpand/f/g", 10, &blocks(&content), &[("rtype", "3")]).await;
    assert_eq!(below_file["errno"], -8);
}
