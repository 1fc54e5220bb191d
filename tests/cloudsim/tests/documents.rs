//! The documents' own curl examples, with host, token, uploadid and digests changed, get answers with
//! the fields the documents show.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

mod common;
use cloudsim::{Options, md5_hex};
use common::*;
use serde_json::{Value, json};

fn app_name() -> Options {
    Options { app: "appName".into(), ..Options::default() }
}

/// POSTs a body exactly as the documents' `-d` shows it.
async fn curl_d(rig: &Rig, path: &str, body: String) -> Value {
    let request =
        rig.http.post(rig.url(path)).header("Content-Type", "application/x-www-form-urlencoded").body(body);
    read(request.send().await.unwrap()).await.1
}

#[tokio::test]
async fn uinfo_and_quota_answer_as_the_examples_show() {
    let rig = Rig::new(Options::default()).await;
    let answer = rig.get("/rest/2.0/xpan/nas?method=uinfo").await;
    assert_keys(
        &answer,
        &["avatar_url", "baidu_name", "errmsg", "errno", "netdisk_name", "request_id", "uk", "vip_type"],
    );
    assert_eq!((&answer["errmsg"], &answer["errno"]), (&json!("succ"), &json!(0)));
    assert!(answer["request_id"].is_string() && answer["uk"].is_u64());
    let answer = rig.get("/api/quota?checkfree=1&checkexpire=1").await;
    assert_keys(&answer, &["errno", "total", "free", "request_id", "expire", "used"]);
    assert!(answer["request_id"].is_u64() && answer["expire"].is_boolean());
}

#[tokio::test]
async fn the_three_steps_of_an_upload_answer_as_the_examples_show() {
    let rig = Rig::new(app_name()).await;
    let content = bytes(2_626_327, 1);
    let (md5, head) = (md5_hex(&content), md5_hex(&content[..256 << 10]));
    let precreate = format!(
        "path=/apps/appName/filename.jpg&size=2626327&isdir=0&autoinit=1&rtype=3&block_list=[\"{md5}\"]&content-md5={md5}&slice-md5={head}"
    );
    let answer = curl_d(&rig, "/rest/2.0/xpan/file?method=precreate", precreate.clone()).await;
    assert_keys(&answer, &["path", "uploadid", "return_type", "block_list", "errno", "request_id"]);
    assert_eq!(answer["return_type"], 1);
    assert_eq!(answer["block_list"], json!([]), "the first example: [] stands for [0]");
    let uploadid = answer["uploadid"].as_str().unwrap();
    assert!(uploadid.starts_with("N1-"));

    let (status, answer) = rig.slice("/apps/appName/filename.jpg", uploadid, 0, &content).await;
    assert_eq!(status, 200);
    assert_keys(&answer, &["md5", "request_id"]);
    assert_eq!(answer["md5"], json!(md5));

    let create = format!(
        "path=/apps/appName/filename.jpg&size=2626327&isdir=0&rtype=3&uploadid={uploadid}&block_list=[\"{md5}\"]"
    );
    let answer = curl_d(&rig, "/rest/2.0/xpan/file?method=create", create).await;
    assert_keys(
        &answer,
        &[
            "errno",
            "fs_id",
            "md5",
            "server_filename",
            "category",
            "path",
            "size",
            "ctime",
            "mtime",
            "isdir",
            "name",
        ],
    );
    assert_eq!(answer["name"], json!("/apps/appName/filename.jpg"));
    assert_eq!(answer["server_filename"], json!("filename.jpg"));
    assert_eq!(answer["category"], 3);

    let answer = curl_d(&rig, "/rest/2.0/xpan/file?method=precreate", precreate).await;
    assert_keys(&answer, &["return_type", "errno", "info", "request_id"]);
    assert_eq!(answer["return_type"], 2);
    assert_keys(
        &answer["info"],
        &["size", "category", "isdir", "request_id", "path", "fs_id", "md5", "ctime", "mtime"],
    );
}

#[tokio::test]
async fn three_slices_are_listed_as_the_second_example_shows() {
    let rig = Rig::new(Options::default()).await;
    let content = bytes(9 * MIB, 2);
    let answer = rig.precreate("/apps/xpand/test.zip", content.len(), &blocks(&content), &[]).await;
    assert_eq!(answer["block_list"], json!([0, 1, 2]));
    assert_eq!(answer["path"], json!("/apps/xpand/test.zip"));
}

#[tokio::test]
async fn list_answers_as_the_example_shows() {
    let rig = Rig::new(Options::default()).await;
    for name in ["abc/testnac", "b"] {
        rig.mkdir(&format!("/apps/xpand/测试目录/{name}"), "0").await;
    }
    rig.sim.put_file("demo", "/apps/xpand/测试目录/Sleep Away.mp3", b"la la").unwrap();
    rig.sim.put_file("demo", "/apps/xpand/测试目录/a.jpg", b"picture").unwrap();
    let answer = rig
        .get("/rest/2.0/xpan/file?method=list&dir=/apps/xpand/%E6%B5%8B%E8%AF%95%E7%9B%AE%E5%BD%95&order=time&start=0&limit=10&web=web&folder=0&desc=1")
        .await;
    assert_keys(&answer, &["errno", "guid_info", "list", "request_id", "guid"]);
    let list = answer["list"].as_array().unwrap();
    assert_eq!(list.len(), 4);
    assert_keys(
        &list[0],
        &[
            "server_filename",
            "privacy",
            "category",
            "unlist",
            "fs_id",
            "dir_empty",
            "server_atime",
            "server_ctime",
            "local_mtime",
            "size",
            "isdir",
            "share",
            "path",
            "local_ctime",
            "server_mtime",
            "empty",
            "oper_id",
        ],
    );
    let song = list.iter().find(|item| item["category"] == 2).unwrap();
    let of_a_file = [
        "privacy",
        "category",
        "unlist",
        "fs_id",
        "server_mtime",
        "server_atime",
        "server_ctime",
        "oper_id",
        "local_mtime",
        "md5",
        "share",
        "path",
        "local_ctime",
        "size",
        "server_filename",
        "isdir",
    ];
    assert_keys(song, &of_a_file);
    let picture = list.iter().find(|item| item["category"] == 3).unwrap();
    assert!(picture["thumbs"]["url3"].is_string());
    let by_name = |name: &str| list.iter().find(|item| item["server_filename"] == name).unwrap();
    assert_eq!(by_name("abc")["dir_empty"], 0, "it has a folder inside");
    assert_eq!(by_name("b")["dir_empty"], 1);
    let answer = rig.get("/rest/2.0/xpan/file?method=list&dir=/apps/xpand/测试目录&folder=1").await;
    assert_eq!(answer["list"].as_array().unwrap().len(), 2);
    assert_keys(&answer["list"][0], &["path"]);
}

#[tokio::test]
async fn listall_answers_as_the_example_shows() {
    let rig = Rig::new(Options::default()).await;
    for n in 0..7 {
        rig.sim.put_file("demo", &format!("/apps/xpand/测试目录/{n}.txt"), &[n]).unwrap();
    }
    let answer = rig
        .get("/rest/2.0/xpan/multimedia?method=listall&path=/apps/xpand/%E6%B5%8B%E8%AF%95%E7%9B%AE%E5%BD%95&web=1&recursion=1&start=0&limit=5")
        .await;
    assert_keys(&answer, &["cursor", "errmsg", "errno", "has_more", "list", "request_id"]);
    assert_eq!((&answer["cursor"], &answer["has_more"]), (&json!(5), &json!(1)));
    assert!(answer["request_id"].is_string());
    assert_keys(
        &answer["list"][0],
        &[
            "category",
            "fs_id",
            "isdir",
            "local_ctime",
            "local_mtime",
            "md5",
            "path",
            "server_ctime",
            "server_filename",
            "server_mtime",
            "size",
            "thumbs",
        ],
    );
    let answer = rig
        .get("/rest/2.0/xpan/multimedia?method=listall&path=/apps/xpand/测试目录&recursion=1&start=5&limit=5")
        .await;
    assert_eq!((&answer["cursor"], &answer["has_more"]), (&json!(7), &json!(0)));
}

#[tokio::test]
async fn filemetas_answers_as_the_example_shows() {
    let rig = Rig::new(Options::default()).await;
    let exif = r#"{"height":1379,"width":1600,"orientation":1,"recovery":0}"#;
    let content = bytes(1000, 3);
    let uploadid = rig.send("/apps/xpand/map.jpg", &content, "1").await;
    let more = [("exif_info", exif), ("mode", "4")];
    rig.create("/apps/xpand/map.jpg", 1000, &uploadid, &blocks(&content), &more).await;
    rig.sim.put_file("demo", "/apps/xpand/Sleep Away.mp3", b"la").unwrap();
    let ids: Vec<u64> = ["/apps/xpand/map.jpg", "/apps/xpand/Sleep Away.mp3"]
        .iter()
        .map(|path| rig.sim.file(path).unwrap().fs_id)
        .collect();
    let path = format!(
        "/rest/2.0/xpan/multimedia?method=filemetas&fsids=[{},{}]&thumb=1&dlink=1&extra=1",
        ids[0], ids[1]
    );
    let answer = rig.get(&path).await;
    assert_keys(&answer, &["errmsg", "errno", "list", "names", "request_id"]);
    let of_a_file = [
        "category",
        "dlink",
        "filename",
        "fs_id",
        "isdir",
        "md5",
        "oper_id",
        "path",
        "server_ctime",
        "server_mtime",
        "size",
        "thumbs",
    ];
    assert_keys(&answer["list"][0], &[&of_a_file[..], &["date_taken", "height", "width"]].concat());
    assert_eq!((&answer["list"][0]["width"], &answer["list"][0]["height"]), (&json!(1600), &json!(1379)));
    assert_keys(&answer["list"][1], &of_a_file);
    assert_eq!(answer["list"][1]["thumbs"], json!({}));
    let many: Vec<String> = (0..101).map(|n| n.to_string()).collect();
    let path = format!("/rest/2.0/xpan/multimedia?method=filemetas&fsids=[{}]", many.join(","));
    assert_eq!(rig.get(&path).await["errno"], 2);
    assert_eq!(rig.get("/rest/2.0/xpan/multimedia?method=filemetas&fsids=[1]").await["errno"], 42214);
}

#[tokio::test]
async fn the_device_calls_answer_as_the_examples_show() {
    let rig = Rig::new(Options::default()).await;
    let url = format!(
        "{}/rest/2.0/xpan/device?method=register&device_type=2020073115900228875&device_addr=3c0cbaa96p20436982261cebe1fefd8f",
        rig.sim.url()
    );
    let (_, answer) = rig.get_raw(&url).await;
    assert_keys(&answer, &["device_id", "errno", "errmsg", "request_id"]);
    assert!(answer["request_id"].is_string());
    let device = answer["device_id"].as_str().unwrap().to_owned();
    let answer = rig.get(&format!("/rest/2.0/xpan/device?method=bind&device_id={device}")).await;
    assert_keys(&answer, &["errmsg", "errno", "request_id"]);
    let answer = rig.get(&format!("/rest/2.0/xpan/device?method=checkbind&device_id={device}")).await;
    assert_keys(&answer, &["errmsg", "errno", "request_id", "status"]);
    assert_eq!(answer["status"], 1);
    let fields = [
        "ability",
        "ctime",
        "device_brand",
        "device_category",
        "device_id",
        "device_logourl",
        "device_name",
        "device_provider",
        "device_type",
        "extra_info",
        "guide_desc",
        "guide_imgurl",
        "mtime",
        "status",
    ];
    let body = r#"param={"cursor": "", "category_list": [1, 2, 3]}"#.to_owned();
    let answer = curl_d(&rig, "/rest/2.0/xpan/device?method=diff", body).await;
    assert_keys(&answer, &["cursor", "device_list", "errmsg", "errno", "has_more", "request_id"]);
    assert_keys(&answer["device_list"][0], &fields);
    assert_eq!(answer["device_list"][0]["device_type"], json!(2020073115900228875u64));
    let answer = rig.get("/rest/2.0/xpan/device?method=list&category=3").await;
    assert_keys(&answer, &["list", "errmsg", "errno", "request_id"]);
    assert_keys(&answer["list"][0], &fields);
    let answer = rig.get(&format!("/rest/2.0/xpan/device?method=unbind&device_id={device}")).await;
    assert_eq!(answer["errno"], 0);
}
