//! Everything that is turned down, with the number the documents or the field notes give for it.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

mod common;
use cloudsim::{Options, md5_hex};
use common::*;
use serde_json::{Value, json};

const PATH: &str = "/apps/xpand/a.mov";

fn code((status, answer): (u16, Value)) -> (u16, i64) {
    (status, answer["error_code"].as_i64().unwrap())
}

#[tokio::test]
async fn tokens_are_judged_in_the_words_of_each_host() {
    let rig = Rig::new(Options::default()).await;
    let base = rig.sim.url();
    let (status, answer) = rig.get_raw(&format!("{base}/api/quota")).await;
    assert_eq!((status, &answer["errno"]), (200, &json!(-6)));
    let (_, answer) = rig.get_raw(&format!("{base}/api/quota?access_token=wrong")).await;
    assert_eq!(answer["errno"], -6);
    let superfile = format!("{base}/rest/2.0/pcs/superfile2?method=upload&type=tmpfile");
    let post = async |url: String| {
        let part = reqwest::multipart::Part::bytes(vec![0; MIB]).file_name("f");
        let form = reqwest::multipart::Form::new().part("file", part);
        code(read(rig.http.post(url).multipart(form).send().await.unwrap()).await)
    };
    assert_eq!(post(superfile.clone()).await, (401, 100));
    assert_eq!(post(format!("{superfile}&access_token=wrong")).await, (401, 110));
    assert_eq!(rig.sim.expire().unwrap(), 1);
    assert_eq!(post(format!("{superfile}&access_token={TOKEN}")).await, (401, 111));
    assert_eq!(rig.get("/api/quota").await["errno"], -6);
}

#[tokio::test]
async fn precreate_turns_down_what_its_table_does_not_allow() {
    let rig = Rig::new(Options::default()).await;
    let list = blocks(b"x");
    for path in ["/a.mov", "/apps/other/a.mov", "/apps/xpand", "/apps/xpand/../other/a.mov", "a.mov"] {
        assert_eq!(rig.precreate(path, 1, &list, &[]).await["errno"], -7, "{path}");
    }
    assert_eq!(rig.precreate(PATH, 0, &list, &[]).await["errno"], 2, "zero bytes");
    assert_eq!(rig.precreate(PATH, 1, &[], &[]).await["errno"], 2);
    assert_eq!(rig.precreate(PATH, 1, &["abc".into()], &[]).await["errno"], 2);
    assert_eq!(rig.precreate(PATH, 1, &list, &[("rtype", "4")]).await["errno"], 2);
    let many = vec![md5_hex(b"x"); 1025];
    assert_eq!(rig.precreate(PATH, 1, &many, &[]).await["errno"], 2, "1024 slices are the most");
    let form = [("path", PATH), ("size", "1"), ("isdir", "0")];
    assert_eq!(rig.post("/rest/2.0/xpan/file?method=precreate", &form).await["errno"], 2);
}

#[tokio::test]
async fn slices_keep_to_the_sizes_of_the_membership() {
    let rig = Rig::new(Options::default()).await;
    let list = vec![md5_hex(b"a"), md5_hex(b"b")];
    let answer = rig.precreate(PATH, 6 * MIB, &list, &[]).await;
    let uploadid = answer["uploadid"].as_str().unwrap();
    let send = async |partseq, size| rig.slice(PATH, uploadid, partseq, &vec![7; size]).await;
    assert_eq!(code(send(0, 4 * MIB - 1).await), (400, 31299));
    assert_eq!(code(send(0, 4 * MIB + 1).await), (400, 31364));
    assert_eq!(send(0, 4 * MIB).await.0, 200);
    assert_eq!(send(1, 2 * MIB).await.0, 200, "the last slice may be small");
    for (vip, largest) in [(1, 16 * MIB), (2, 32 * MIB)] {
        rig.sim.set_vip(vip).unwrap();
        assert_eq!(code(send(0, largest + 1).await), (400, 31364), "vip {vip}");
        assert_eq!(send(0, largest).await.0, 200, "vip {vip}");
    }
}

#[tokio::test]
async fn superfile2_turns_down_wrong_parts_paths_and_bodies() {
    let rig = Rig::new(Options::default()).await;
    let answer = rig.precreate(PATH, 3, &blocks(b"abc"), &[]).await;
    let uploadid = answer["uploadid"].as_str().unwrap();
    assert_eq!(code(rig.slice(PATH, uploadid, 1, b"abc").await), (400, 31023));
    assert_eq!(code(rig.slice(PATH, "N1-unknown=", 0, b"abc").await), (400, 31355));
    assert_eq!(code(rig.slice("/apps/xpand/other", uploadid, 0, b"abc").await), (400, 31023));
    assert_eq!(code(rig.slice("/elsewhere", uploadid, 0, b"abc").await), (403, 31064));
    let url = rig.url(&format!(
        "/rest/2.0/pcs/superfile2?method=upload&type=tmpfile&path={PATH}&partseq=0&uploadid={uploadid}"
    ));
    let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>("chunk")]);
    let chunked = rig.http.post(&url).body(reqwest::Body::wrap_stream(chunks));
    assert_eq!(code(read(chunked.send().await.unwrap()).await), (403, 31211));
    let bare = rig.http.post(&url).body("no form at all");
    assert_eq!(code(read(bare.send().await.unwrap()).await), (400, 31208));
    let part = reqwest::multipart::Part::bytes(b"abc".to_vec()).file_name("f");
    let misnamed = reqwest::multipart::Form::new().part("data", part);
    assert_eq!(code(read(rig.http.post(&url).multipart(misnamed).send().await.unwrap()).await), (400, 31023));
    assert_eq!(rig.slice(PATH, uploadid, 0, b"abc").await.0, 200);
}

#[tokio::test]
async fn create_checks_that_the_right_slices_are_there() {
    let rig = Rig::new(Options::default()).await;
    let content = bytes(9 * MIB, 1);
    let list = blocks(&content);
    let answer = rig.precreate(PATH, content.len(), &list, &[]).await;
    let uploadid = answer["uploadid"].as_str().unwrap();
    let create = async |size: usize, list: &[String]| {
        rig.create(PATH, size, uploadid, list, &[]).await["errno"].as_i64().unwrap()
    };
    rig.slice(PATH, uploadid, 0, part(&content, 0)).await;
    assert_eq!(create(content.len(), &list).await, 31363);
    rig.slice(PATH, uploadid, 1, part(&content, 1)).await;
    rig.slice(PATH, uploadid, 2, b"cut short").await;
    let mut sent = list.clone();
    sent[2] = md5_hex(b"cut short");
    assert_eq!(create(content.len(), &sent).await, 10, "sizes do not add up");
    rig.slice(PATH, uploadid, 2, part(&content, 2)).await;
    assert_eq!(create(content.len() - 1, &list).await, 10);
    assert_eq!(create(content.len(), &list[..2]).await, 10);
    let swapped = vec![list[1].clone(), list[0].clone(), list[2].clone()];
    assert_eq!(create(content.len(), &swapped).await, 10);
    assert_eq!(create(0, &list).await, 2);
    assert_eq!(rig.create(PATH, 1, "", &blocks(b"x"), &[]).await["errno"], 31355);
    assert_eq!(create(content.len(), &list).await, 0);
}

#[tokio::test]
async fn slices_of_unequal_size_do_not_make_a_file() {
    let rig = Rig::new(Options { vip: 1, ..Options::default() }).await;
    let parts = [vec![1; 4 * MIB], vec![2; 5 * MIB], vec![3; MIB]];
    let list: Vec<String> = parts.iter().map(|part| md5_hex(part)).collect();
    let answer = rig.precreate(PATH, 10 * MIB, &list, &[]).await;
    let uploadid = answer["uploadid"].as_str().unwrap();
    for (partseq, part) in parts.iter().enumerate() {
        assert_eq!(rig.slice(PATH, uploadid, partseq, part).await.0, 200);
    }
    assert_eq!(rig.create(PATH, 10 * MIB, uploadid, &list, &[]).await["errno"], 10);
}

#[tokio::test]
async fn illegal_names_are_only_told_at_create() {
    let rig = Rig::new(Options::default()).await;
    for name in ["a?.jpg", "a:b.jpg", "a\\b", "😀.jpg", "a\nb", "a\u{0}b"] {
        let path = format!("/apps/xpand/{name}");
        assert_eq!(rig.upload(&path, b"abc", "1").await["errno"], 31062, "{name:?}");
    }
    assert!(rig.sim.files().is_empty());
}

#[tokio::test]
async fn create_checks_mode_exif_and_zip() {
    let rig = Rig::new(Options::default()).await;
    let uploadid = rig.send(PATH, b"abc", "1").await;
    for more in [
        ("mode", "0"),
        ("mode", "6"),
        ("exif_info", "{}"),
        ("exif_info", "not json"),
        ("exif_info", r#"{"width":1,"height":1,"orientation":1}"#),
        ("zip_quality", "70"),
        ("zip_sign", "7d57c40c9fdb4e4a32d533bee1a4e409"),
        ("is_revision", "2"),
        ("rtype", "9"),
    ] {
        let answer = rig.create(PATH, 3, &uploadid, &blocks(b"abc"), &[more]).await;
        assert_eq!(answer["errno"], 2, "{more:?}");
    }
    assert_eq!(rig.create(PATH, 3, &uploadid, &blocks(b"abc"), &[]).await["errno"], 0);
}

#[tokio::test]
async fn a_full_drive_and_a_too_big_file_are_told() {
    let rig = Rig::new(Options { quota: 1000, file_cap: Some(800), ..Options::default() }).await;
    rig.sim.put_file("demo", "/apps/xpand/old", &bytes(300, 1)).unwrap();
    assert_eq!(rig.precreate(PATH, 701, &blocks(b"x"), &[]).await["errno"], -10);
    let content = bytes(700, 2);
    let uploadid = rig.send(PATH, &content, "1").await;
    rig.sim.set_quota(999).unwrap();
    assert_eq!(rig.create(PATH, 700, &uploadid, &blocks(&content), &[]).await["errno"], -10);
    rig.sim.set_quota(1 << 20).unwrap();
    assert_eq!(rig.create(PATH, 700, &uploadid, &blocks(&content), &[]).await["errno"], 0);
    let content = bytes(801, 3);
    let uploadid = rig.send("/apps/xpand/big", &content, "1").await;
    assert_eq!(rig.create("/apps/xpand/big", 801, &uploadid, &blocks(&content), &[]).await["errno"], 31365);
}

#[tokio::test]
async fn unknown_calls_get_errno_3_and_unknown_addresses_a_page() {
    let rig = Rig::new(Options::default()).await;
    assert_eq!(rig.get("/rest/2.0/xpan/file?method=nonsense").await["errno"], 3);
    assert_eq!(rig.get("/rest/2.0/xpan/file?method=precreate").await["errno"], 3, "precreate is POST");
    let pcs = rig.get_raw(&rig.url("/rest/2.0/pcs/file?method=nonsense")).await;
    assert_eq!(code(pcs), (400, 3));
    let page = rig.http.get(rig.url("/nowhere")).send().await.unwrap();
    assert_eq!(page.status(), 404);
    assert!(page.text().await.unwrap().contains("nginx"));
    assert_eq!(rig.get("/rest/2.0/xpan/file?method=list&dir=/nowhere").await["errno"], -9);
    assert_eq!(rig.get("/rest/2.0/xpan/multimedia?method=listall&path=/nowhere").await["errno"], 31066);
    assert_eq!(rig.get("/rest/2.0/xpan/file?method=list&dir=/../..").await["errno"], -9);
}
