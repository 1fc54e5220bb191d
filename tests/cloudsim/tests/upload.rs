//! Uploads as a client sees them: slices, instant upload, resumption, and what is stored in the end.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

mod common;
use cloudsim::{Locate, Options, decode_cloud_md5, md5_hex};
use common::*;
use serde_json::json;

const PATH: &str = "/apps/xpand/photo/a b+水.mov";

#[tokio::test]
async fn a_file_of_three_slices_arrives_byte_for_byte() {
    let rig = Rig::new(Options::default()).await;
    let content = bytes(9 * MIB + 17, 1);
    let uploadid = rig.send(PATH, &content, "1").await;
    let exif = r#"{"height":3024,"width":4032,"orientation":6,"recovery":0,"model":"iPhone 6s"}"#;
    let more = [
        ("rtype", "1"),
        ("mode", "5"),
        ("exif_info", exif),
        ("local_ctime", "1596009229"),
        ("local_mtime", "1596009230"),
        ("zip_quality", "70"),
        ("zip_sign", "7d57c40c9fdb4e4a32d533bee1a4e409"),
    ];
    let answer = rig.create(PATH, content.len(), &uploadid, &blocks(&content), &more).await;
    assert_eq!((&answer["errno"], &answer["path"]), (&json!(0), &json!(PATH)));
    assert!(answer["ctime"].as_u64().unwrap() > 1_596_009_230, "create shows now, not the local time");
    let list = json!(blocks(&content)).to_string();
    assert_eq!(decode_cloud_md5(answer["md5"].as_str().unwrap()), md5_hex(list.as_bytes()));

    assert_eq!(rig.sim.read(PATH).unwrap(), content);
    let file = rig.sim.file(PATH).unwrap();
    assert_eq!((file.md5, file.size), (md5_hex(&content), content.len() as u64));
    assert_eq!((file.mode, file.local_ctime, file.local_mtime), (Some(5), 1596009229, 1596009230));
    assert_eq!(file.exif_info.unwrap()["model"], "iPhone 6s");
    assert_eq!((file.created, file.overwritten, file.instant), (1, 0, false));
    assert_eq!(file.disk, rig.sim.data_dir().join(&PATH[1..]));
    assert_eq!(rig.sim.open_uploads(), 0, "create used the uploadid up");
    let again = rig.create(PATH, content.len(), &uploadid, &blocks(&content), &more).await;
    assert_eq!(again["errno"], 31355);
}

#[tokio::test]
async fn a_one_slice_file_shows_its_own_md5_in_disguise() {
    let rig = Rig::new(Options::default()).await;
    let content = bytes(1000, 2);
    let answer = rig.upload("/apps/xpand/a.jpg", &content, "1").await;
    assert_eq!(decode_cloud_md5(answer["md5"].as_str().unwrap()), md5_hex(&content));
    assert_ne!(answer["md5"], json!(md5_hex(&content)));
}

#[tokio::test]
async fn known_content_is_stored_at_once_when_both_digests_are_right() {
    let rig = Rig::new(Options::default()).await;
    let content = bytes(5 * MIB, 3);
    rig.upload("/apps/xpand/a.mov", &content, "1").await;
    let (md5, head) = (md5_hex(&content), md5_hex(&content[..256 << 10]));
    let ask = async |path: &str, md5: &str, head: &str, rtype: &str| {
        let more = [("content-md5", md5), ("slice-md5", head), ("rtype", rtype)];
        rig.precreate(path, content.len(), &blocks(&content), &more).await
    };
    let wrong = "0".repeat(32);
    assert_eq!(ask("/apps/xpand/b.mov", &md5, &wrong, "1").await["return_type"], 1);
    assert_eq!(ask("/apps/xpand/b.mov", &wrong, &head, "1").await["return_type"], 1);
    assert_eq!(ask("/apps/xpand/b.mov", &md5, "", "1").await["return_type"], 1);
    assert!(rig.sim.file("/apps/xpand/b.mov").is_none());

    let hit = ask("/apps/xpand/b.mov", &md5, &head, "1").await;
    assert_eq!(hit["return_type"], 2);
    assert!(hit.get("uploadid").is_none() && hit.get("block_list").is_none());
    assert_eq!(rig.sim.read("/apps/xpand/b.mov").unwrap(), content);
    assert!(rig.sim.file("/apps/xpand/b.mov").unwrap().instant);
    let renamed = ask("/apps/xpand/b.mov", &md5, &head, "1").await;
    assert_eq!(renamed["info"]["path"], json!("/apps/xpand/b(1).mov"));
    assert_eq!(ask("/apps/xpand/b.mov", &md5, &head, "0").await["errno"], -8);
}

#[tokio::test]
async fn small_files_are_never_instant() {
    let rig = Rig::new(Options::default()).await;
    let content = bytes((256 << 10) - 1, 4);
    rig.upload("/apps/xpand/a.jpg", &content, "1").await;
    let md5 = md5_hex(&content);
    let more = [("content-md5", md5.as_str()), ("slice-md5", md5.as_str())];
    let answer = rig.precreate("/apps/xpand/b.jpg", content.len(), &blocks(&content), &more).await;
    assert_eq!(answer["return_type"], 1);
}

#[tokio::test]
async fn a_saved_uploadid_asks_for_the_missing_slices_only() {
    let rig = Rig::new(Options::default()).await;
    let content = bytes(13 * MIB, 5);
    let list = blocks(&content);
    let first = rig.precreate(PATH, content.len(), &list, &[]).await;
    let uploadid = first["uploadid"].as_str().unwrap();
    for partseq in [0, 2] {
        rig.slice(PATH, uploadid, partseq, part(&content, partseq)).await;
    }
    let resume =
        async |list: &[String]| rig.precreate(PATH, content.len(), list, &[("uploadid", uploadid)]).await;
    let again = resume(&list).await;
    assert_eq!((&again["uploadid"], &again["block_list"]), (&json!(uploadid), &json!([1, 3])));
    for partseq in [1, 3] {
        rig.slice(PATH, uploadid, partseq, part(&content, partseq)).await;
    }
    // Nothing is missing, and [] would mean [0]: so [0] is what it says.
    assert_eq!(resume(&list).await["block_list"], json!([0]));
    let mut other = list.clone();
    other[1] = md5_hex(b"changed");
    let fresh = resume(&other).await;
    assert_ne!(fresh["uploadid"], json!(uploadid));
    assert_eq!(fresh["block_list"], json!([0, 1, 2, 3]));
    assert_eq!(rig.create(PATH, content.len(), uploadid, &list, &[]).await["errno"], 0);
    assert_eq!(rig.sim.read(PATH).unwrap(), content);
}

#[tokio::test]
async fn a_forgotten_uploadid_starts_a_new_session() {
    let rig = Rig::new(Options::default()).await;
    let content = bytes(5 * MIB, 6);
    let uploadid = rig.send(PATH, &content, "1").await;
    assert_eq!(rig.sim.forget_uploads(), 1);
    let (status, answer) = rig.slice(PATH, &uploadid, 0, part(&content, 0)).await;
    assert_eq!((status, &answer["error_code"]), (400, &json!(31355)));
    assert_eq!(rig.create(PATH, content.len(), &uploadid, &blocks(&content), &[]).await["errno"], 31355);
    let more = [("uploadid", uploadid.as_str())];
    let answer = rig.precreate(PATH, content.len(), &blocks(&content), &more).await;
    assert_ne!(answer["uploadid"], json!(uploadid));
    assert_eq!(answer["block_list"], json!([0, 1]));
}

#[tokio::test]
async fn the_single_shot_upload_stores_a_small_file() {
    let rig = Rig::new(Options::default()).await;
    let send = async |ondup: &str, content: &[u8]| {
        let url = rig.url(&format!("/rest/2.0/pcs/file?method=upload&path=/apps/xpand/a.txt&ondup={ondup}"));
        let part = reqwest::multipart::Part::bytes(content.to_vec()).file_name("file");
        let form = reqwest::multipart::Form::new().part("file", part);
        read(rig.http.post(url).multipart(form).send().await.unwrap()).await
    };
    let (status, answer) = send("fail", b"one").await;
    assert_eq!(status, 200);
    assert_keys(&answer, &["path", "size", "ctime", "mtime", "md5", "fs_id", "request_id"]);
    let (status, answer) = send("fail", b"two").await;
    assert_eq!((status, &answer["error_code"]), (400, &json!(31061)));
    assert_eq!(send("newcopy", b"two").await.1["path"], json!("/apps/xpand/a(1).txt"));
    send("overwrite", b"three").await;
    assert_eq!(rig.sim.read("/apps/xpand/a.txt").unwrap(), b"three");
}

#[tokio::test]
async fn locateupload_names_the_hosts_it_is_told_to() {
    let rig = Rig::new(Options::default()).await;
    let path = "/rest/2.0/pcs/file?method=locateupload&appid=250528&path=/apps/xpand/a&uploadid=N1-x";
    let ask = async || rig.get(&format!("{path}&upload_version=2.0")).await;
    let answer = ask().await;
    assert_eq!((&answer["host"], &answer["servers"]), (&json!(""), &json!([])));
    rig.sim.set_locate(Locate::Own);
    assert_eq!(ask().await["servers"], json!([{"server": rig.sim.url()}]));
    rig.sim.set_locate(Locate::Named(vec!["https://c.pcs.baidu.com.evil.example".into()]));
    let answer = ask().await;
    assert_eq!(answer["servers"], json!([{"server": "https://c.pcs.baidu.com.evil.example"}]));
    assert_eq!(answer["host"], json!("c.pcs.baidu.com.evil.example"));
    assert_eq!(rig.get(path).await["server"], json!(["c.pcs.baidu.com.evil.example"]));
}
