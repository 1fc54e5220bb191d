//! Every example request of the four documents, with live ids, tokens and digests in place of theirs: no
//! field of the example answer is missing, and each is of the same type.
//!
//! The shapes below are the examples' field names; `0`, `""` and `false` stand for any number, text, truth.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

mod common;
use std::time::Duration;

use cloudsim::{Options, md5_hex};
use common::*;
use reqwest::multipart::Form;
use serde_json::{Value, json};

/// 测试目录, as the examples write it.
const FOLDER: &str = "%E6%B5%8B%E8%AF%95%E7%9B%AE%E5%BD%95";

/// A cloud with what the examples are about.
async fn scene() -> Rig {
    let rig = Rig::new(Options { app: "appName".into(), ..Options::default() }).await;
    for (name, size) in [
        ("abc/testnac/x", 1),
        ("testnac/水上乐园.jpg", 233),
        ("testnac/jbp_map.jpg", 846),
        ("testnac/mmexport1589760367195.gif", 30),
        ("testnac/mmexport1589760383746.gif", 69),
        ("testnac/mmexport3.gif", 70),
        ("20160820.txt", 11),
        ("20160821.txt", 34),
        ("20160906.txt", 55),
        ("123456.docx", 119),
        ("Sleep Away.mp3", 48),
        ("AdventureCoveWaterparkMap.jpg", 64),
        ("test.mp4", 47),
        ("test.torrent", 13),
    ] {
        rig.sim.put_file("demo", &format!("/测试目录/{name}"), &bytes(size, size as u64)).unwrap();
    }
    rig
}

fn id(rig: &Rig, path: &str) -> u64 {
    rig.sim.file(path).unwrap().fs_id
}

/// A body to the letter, as `-d` sends it.
async fn curl_d(rig: &Rig, path: &str, body: String) -> Value {
    let request =
        rig.http.post(rig.url(path)).header("Content-Type", "application/x-www-form-urlencoded").body(body);
    read(request.send().await.unwrap()).await.1
}

/// Nothing of the shape is missing in the answer, and types are alike. Each entry of a list in the shape is
/// found in the answer's list.
fn assert_shape(answer: &Value, shape: &Value) {
    if let Err(what) = compare(answer, shape, "") {
        panic!("{what} in {answer}");
    }
}

fn compare(answer: &Value, shape: &Value, at: &str) -> Result<(), String> {
    match (answer, shape) {
        (Value::Object(answer), Value::Object(shape)) => shape.iter().try_for_each(|(key, shape)| {
            let at = format!("{at}.{key}");
            compare(answer.get(key).ok_or_else(|| format!("{at} is missing"))?, shape, &at)
        }),
        (Value::Array(answer), Value::Array(shape)) => shape.iter().try_for_each(|shape| {
            let tried: Vec<_> =
                answer.iter().map(|entry| compare(entry, shape, &format!("{at}[]"))).collect();
            match tried.iter().any(Result::is_ok) {
                true => Ok(()),
                false => tried.into_iter().next().unwrap_or_else(|| Err(format!("{at} is empty"))),
            }
        }),
        (Value::Number(_), Value::Number(_))
        | (Value::String(_), Value::String(_))
        | (Value::Bool(_), Value::Bool(_)) => Ok(()),
        _ => Err(format!("{at} has another type than {shape}")),
    }
}

#[test]
fn a_missing_field_and_another_type_are_seen() {
    let shape = json!({"list": [{"a": 0}, {"b": ""}], "c": {"d": false}});
    let good = json!({"list": [{"a": 7, "more": 1}, {"b": "x"}], "c": {"d": true}});
    assert_eq!(compare(&good, &shape, ""), Ok(()));
    for bad in [
        json!({"list": [{"a": 7}], "c": {"d": true}}),
        json!({"list": [{"a": "7"}, {"b": "x"}], "c": {"d": true}}),
        json!({"list": [{"a": 7}, {"b": "x"}], "c": {}}),
        json!({"list": [], "c": {"d": true}}),
    ] {
        assert!(compare(&bad, &shape, "").is_err(), "{bad}");
    }
}

#[tokio::test]
async fn uinfo_and_quota() {
    let rig = scene().await;
    let shape = json!({"avatar_url": "", "baidu_name": "", "errmsg": "", "errno": 0, "netdisk_name": "",
        "request_id": "", "uk": 0, "vip_type": 0});
    assert_shape(&rig.get("/rest/2.0/xpan/nas?method=uinfo").await, &shape);
    let shape = json!({"errno": 0, "total": 0, "free": 0, "request_id": 0, "expire": false, "used": 0});
    assert_shape(&rig.get("/api/quota?checkfree=1&checkexpire=1").await, &shape);
}

#[tokio::test]
async fn list_and_listall() {
    let rig = scene().await;
    let request = format!(
        "/rest/2.0/xpan/file?method=list&dir=/{FOLDER}&order=time&start=0&limit=10&web=web&folder=0&desc=1"
    );
    let folder = json!({"server_filename": "", "privacy": 0, "category": 0, "unlist": 0, "fs_id": 0,
        "dir_empty": 0, "server_atime": 0, "server_ctime": 0, "local_mtime": 0, "size": 0, "isdir": 0, "share": 0,
        "path": "", "local_ctime": 0, "server_mtime": 0, "empty": 0, "oper_id": 0});
    let document = json!({"privacy": 0, "category": 0, "unlist": 0, "fs_id": 0, "server_mtime": 0, "oper_id": 0,
        "thumbs": {"url3": "", "url2": "", "url1": ""}});
    let song = json!({"privacy": 0, "category": 0, "unlist": 0, "fs_id": 0, "server_mtime": 0,
        "server_atime": 0, "server_ctime": 0, "oper_id": 0, "local_mtime": 0, "md5": "", "share": 0, "path": "",
        "local_ctime": 0, "size": 0, "server_filename": "", "isdir": 0});
    let shape =
        json!({"errno": 0, "guid_info": "", "list": [folder, document, song], "request_id": 0, "guid": 0});
    assert_shape(&rig.get(&request).await, &shape);

    let request = format!(
        "/rest/2.0/xpan/multimedia?method=listall&path=/{FOLDER}&web=1&recursion=1&start=0&limit=10&order=name"
    );
    let film = json!({"category": 0, "fs_id": 0, "isdir": 0, "local_ctime": 0, "local_mtime": 0, "md5": "",
        "path": "", "server_ctime": 0, "server_filename": "", "server_mtime": 0, "size": 0,
        "thumbs": {"url1": "", "url2": "", "url3": ""}});
    let shape =
        json!({"cursor": 0, "errmsg": "", "errno": 0, "has_more": 0, "list": [film], "request_id": ""});
    assert_shape(&rig.get(&request).await, &shape);
}

#[tokio::test]
async fn the_lists_by_kind() {
    let rig = scene().await;
    let item = |more: Value| {
        let mut item = json!({"server_mtime": 0, "category": 0, "fs_id": 0, "isdir": 0, "server_ctime": 0,
            "local_mtime": 0, "size": 0, "md5": "", "share": 0, "path": "", "local_ctime": 0, "object_key": "",
            "server_filename": ""});
        item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"errno": 0, "guid_info": "", "info": [item], "request_id": 0, "guid": 0})
    };
    let thumbs = json!({"thumbs": {"icon": "", "url3": "", "url2": "", "url1": ""}});
    let list = async |more: &str| rig.get(&format!("/rest/2.0/xpan/file?parent_path=/{FOLDER}&{more}")).await;
    let shape = item(json!({"lodocpreview": "", "docpreview": ""}));
    assert_shape(&list("web=1&page=1&num=5&method=doclist").await, &shape);
    assert_shape(&list("web=1&recursion=1&method=imagelist").await, &item(thumbs.clone()));
    assert_shape(&list("web=1&recursion=1&method=videolist").await, &item(thumbs));
    assert_shape(&list("web=1&recursion=1&method=btlist").await, &item(json!({})));
}

#[tokio::test]
async fn categoryinfo_and_categorylist() {
    let rig = scene().await;
    let answer = rig.get(&format!("/api/categoryinfo?parent_path=/{FOLDER}&category=3&recursion=0")).await;
    let shape = json!({"errno": 0, "info": {"3": {"total": 0, "size": 0, "count": 0}}, "request_id": 0});
    assert_shape(&answer, &shape);
    let request = format!(
        "/rest/2.0/xpan/multimedia?category=3&recursion=1&method=categorylist&parent_path=/{FOLDER}/testnac&ext=jpg&order=time&desc=1"
    );
    let answer = rig.get(&request).await;
    assert_eq!((&answer["cursor"], &answer["has_more"]), (&json!(2), &json!(0)));
    let item = json!({"category": 0, "fs_id": 0, "md5": "", "path": "", "server_ctime": 0, "server_filename": "",
        "server_mtime": 0, "size": 0, "thumbs": {"icon": "", "url1": "", "url2": "", "url3": ""}});
    let shape =
        json!({"cursor": 0, "errmsg": "", "errno": 0, "has_more": 0, "list": [item], "request_id": ""});
    assert_shape(&answer, &shape);
}

#[tokio::test]
async fn search_of_both_documents() {
    let rig = scene().await;
    let request = format!(
        "/rest/2.0/xpan/file?dir=/{FOLDER}&web=1&recursion=1&page=1&num=2&method=search&key=mmexport"
    );
    let answer = rig.get(&request).await;
    assert_eq!((answer["list"].as_array().unwrap().len(), &answer["has_more"]), (2, &json!(1)));
    let item = json!({"fs_id": 0, "path": "", "server_filename": "", "size": 0, "server_mtime": 0,
        "server_ctime": 0, "local_mtime": 0, "local_ctime": 0, "isdir": 0, "category": 0, "share": 0, "oper_id": 0,
        "extent_tinyint1": 0, "md5": "", "thumbs": {"url1": "", "url2": "", "url3": "", "icon": ""}});
    let shape = json!({"errno": 0, "list": [item], "request_id": 0, "contentlist": [], "has_more": 0});
    assert_shape(&answer, &shape);
}

#[tokio::test]
async fn filemetas_and_the_download_it_leads_to() {
    let rig = scene().await;
    let picture = id(&rig, "/测试目录/AdventureCoveWaterparkMap.jpg");
    let song = id(&rig, "/测试目录/Sleep Away.mp3");
    let request = format!(
        "/rest/2.0/xpan/multimedia?method=filemetas&fsids=[{picture},{song}]&thumb=1&dlink=1&extra=1"
    );
    let answer = rig.get(&request).await;
    let picture = json!({"category": 0, "date_taken": 0, "dlink": "", "filename": "", "fs_id": 0, "height": 0,
        "isdir": 0, "md5": "", "oper_id": 0, "path": "", "server_ctime": 0, "server_mtime": 0, "size": 0,
        "thumbs": {"icon": "", "url1": "", "url2": "", "url3": ""}, "width": 0});
    let song = json!({"category": 0, "dlink": "", "filename": "", "fs_id": 0, "isdir": 0, "md5": "",
        "oper_id": 0, "path": "", "server_ctime": 0, "server_mtime": 0, "size": 0, "thumbs": {}});
    let shape = json!({"errmsg": "", "errno": 0, "list": [picture, song], "names": {}, "request_id": ""});
    assert_shape(&answer, &shape);
    // -L: the client follows by itself, and does not take the token along.
    let link = format!("{}&access_token={TOKEN}", answer["list"][1]["dlink"].as_str().unwrap());
    assert_eq!(rig.http.get(link).send().await.unwrap().bytes().await.unwrap(), bytes(48, 48));
    assert!(rig.sim.leaks().is_empty());
}

#[tokio::test]
async fn filemanager_copies_and_deletes_now_and_later() {
    let rig = scene().await;
    let folder = "/测试目录";
    let copy = |run: u8| {
        format!(
            "async={run}&filelist=[{{\"path\":\"{folder}/123456.docx\",\"dest\":\"{folder}/abc\",\"newname\":\"11223{run}.docx\",\"ondup\":\"fail\"}}]"
        )
    };
    let url = "/rest/2.0/xpan/file?method=filemanager&opera=copy";
    let shape = json!({"errno": 0, "info": [], "request_id": 0, "taskid": 0});
    assert_shape(&curl_d(&rig, url, copy(2)).await, &shape);
    rig.sim.advance(Duration::from_secs(1));
    let done = json!({"errno": 0, "info": [{"errno": 0, "path": ""}], "request_id": 0});
    assert_shape(&curl_d(&rig, url, copy(0)).await, &done);
    for run in [0, 2] {
        assert_eq!(rig.sim.read(&format!("{folder}/abc/11223{run}.docx")).unwrap(), bytes(119, 119));
    }
    let delete = format!("async=1&filelist=[\"{folder}/123456.docx\"]");
    let url = "/rest/2.0/xpan/file?method=filemanager&opera=delete";
    assert_shape(&curl_d(&rig, url, delete).await, &done);
}

#[tokio::test]
async fn the_three_steps_of_an_upload() {
    let rig = scene().await;
    let content = bytes(2_626_327, 1);
    let (md5, head) = (md5_hex(&content), md5_hex(&content[..256 << 10]));
    let precreate = format!(
        "path=/apps/appName/filename.jpg&size=2626327&isdir=0&autoinit=1&rtype=3&block_list=[\"{md5}\"]&content-md5={md5}&slice-md5={head}"
    );
    let answer = curl_d(&rig, "/rest/2.0/xpan/file?method=precreate", precreate.clone()).await;
    let shape =
        json!({"path": "", "uploadid": "", "return_type": 0, "block_list": [], "errno": 0, "request_id": 0});
    assert_shape(&answer, &shape);
    let uploadid = answer["uploadid"].as_str().unwrap();
    let (_, slice) = rig.slice("/apps/appName/filename.jpg", uploadid, 0, &content).await;
    assert_shape(&slice, &json!({"md5": "", "request_id": 0}));
    let create = format!(
        "path=/apps/appName/filename.jpg&size=2626327&isdir=0&rtype=3&uploadid={uploadid}&block_list=[\"{md5}\"]"
    );
    let answer = curl_d(&rig, "/rest/2.0/xpan/file?method=create", create).await;
    let shape = json!({"errno": 0, "fs_id": 0, "md5": "", "server_filename": "", "category": 0, "path": "",
        "size": 0, "ctime": 0, "mtime": 0, "isdir": 0, "name": ""});
    assert_shape(&answer, &shape);
    let answer = curl_d(&rig, "/rest/2.0/xpan/file?method=precreate", precreate).await;
    let info = json!({"size": 0, "category": 0, "isdir": 0, "request_id": 0, "path": "", "fs_id": 0, "md5": "",
        "ctime": 0, "mtime": 0});
    assert_shape(&answer, &json!({"return_type": 0, "errno": 0, "info": info, "request_id": 0}));
    let three = bytes(9 * MIB, 2);
    let answer = rig.precreate("/apps/appName/test.zip", three.len(), &blocks(&three), &[]).await;
    assert_eq!(answer["block_list"], json!([0, 1, 2]));
}

#[tokio::test]
async fn devices() {
    let rig = Rig::new(Options { max_users_per_device: 1, ..Options::default() }).await;
    let register = "/rest/2.0/xpan/device?method=register&device_type=2020073115900228875&device_addr=3c0cbaa96p20436982261cebe1fefd8f";
    let (_, answer) = rig.get_raw(&format!("{}{register}", rig.sim.url())).await;
    assert_shape(&answer, &json!({"device_id": "", "errno": 0, "errmsg": "", "request_id": ""}));
    let device = answer["device_id"].as_str().unwrap().to_owned();
    let call = async |method: &str, more: &str| {
        rig.get(&format!("/rest/2.0/xpan/device?method={method}&{more}device_id={device}")).await
    };
    let done = json!({"errmsg": "", "errno": 0, "request_id": ""});
    assert_shape(&call("bind", "").await, &done);
    rig.sim.add_token("other", "second-user", None, None).unwrap();
    let second = format!(
        "{}/rest/2.0/xpan/device?method=bind&access_token=second-user&device_id={device}",
        rig.sim.url()
    );
    let (_, answer) = rig.get_raw(&second).await;
    assert_shape(&answer, &json!({"errmsg": "", "errno": 0, "last_user": "", "request_id": ""}));
    let shape = json!({"errmsg": "", "errno": 0, "request_id": "", "status": 0});
    assert_shape(&call("checkbind", "").await, &shape);
    let item = json!({"ability": "", "ctime": 0, "device_brand": "", "device_category": 0, "device_id": "",
        "device_logourl": "", "device_name": "", "device_provider": "", "device_type": 0, "extra_info": "",
        "guide_desc": "", "guide_imgurl": "", "mtime": 0, "status": 0});
    let body = r#"param={"cursor": "", "category_list": [1, 2, 3]}"#.to_owned();
    let answer = curl_d(&rig, "/rest/2.0/xpan/device?method=diff", body).await;
    let shape = json!({"cursor": "", "device_list": [item], "errmsg": "", "errno": 0, "has_more": 0, "request_id": ""});
    assert_shape(&answer, &shape);
    let answer = rig.get("/rest/2.0/xpan/device?method=list&category=3").await;
    assert_shape(&answer, &json!({"list": [item], "errmsg": "", "errno": 0, "request_id": ""}));
    assert_shape(&call("unbind", "").await, &done);
}

#[tokio::test]
async fn a_document_preview() {
    let rig = scene().await;
    let answer = rig.get(&format!("/rest/2.0/xpan/file?parent_path=/{FOLDER}&web=1&method=doclist")).await;
    let info = answer["info"].as_array().unwrap();
    let document = info.iter().find(|item| item["server_filename"] == "123456.docx").unwrap();
    let lodocpreview = document["lodocpreview"].as_str().unwrap();
    let (_, answer) = rig.get_raw(&format!("{lodocpreview}&part_index=0&method=newinfo")).await;
    let shape = json!({"page_num": 0, "status": "", "ndb_key": "", "region": "", "request_id": 0});
    assert_shape(&answer, &shape);
    let key = answer["ndb_key"].as_str().unwrap();
    let view = format!("{lodocpreview}&ndb_key={key}&region=yangquan&method=newview");
    let pdf = rig.http.get(view).send().await.unwrap().bytes().await.unwrap();
    assert!(pdf.starts_with(b"%PDF-"));
}

#[tokio::test]
async fn a_share_from_its_making_to_its_saving() {
    let rig = scene().await;
    let file = id(&rig, "/测试目录/123456.docx");
    let csign = md5_hex(format!("2001[{file}]4secret").as_bytes());
    let form = Form::new()
        .text("fid_list", format!("[{file}]"))
        .text("period", "7")
        .text("third_type", "2001")
        .text("description", "")
        .text("csign", csign)
        .text("schannel", "4");
    let request = rig.http.post(rig.url("/rest/2.0/xpan/share/set")).multipart(form);
    let share = read(request.send().await.unwrap()).await.1;
    let shape = json!({"errno": 0, "request_id": 0, "shareid": 0, "link": "", "shorturl": "", "ctime": 0,
        "expiredType": 0, "premis": false, "pwd": "", "uk": 0});
    assert_shape(&share, &shape);
    let (shareid, uk) = (&share["shareid"], &share["uk"]);
    let surl = share["shorturl"].as_str().unwrap().rsplit('/').next().unwrap();
    let base = rig.sim.url();

    let verify = format!("{base}/rest/2.0/xpan/share?method=verify&shareid={shareid}&uk={uk}&surl={surl}");
    let form = Form::new().text("pwd", share["pwd"].as_str().unwrap().to_owned());
    let request = rig.http.post(verify).header("Referer", "pan.baidu.com").multipart(form);
    let verified = read(request.send().await.unwrap()).await.1;
    assert_shape(&verified, &json!({"errno": 0, "err_msg": "", "request_id": 0, "randsk": ""}));
    let randsk = verified["randsk"].as_str().unwrap();

    let list = format!(
        "{base}/rest/2.0/xpan/share?method=list&shareid={shareid}&uk={uk}&page=1&num=100&root=1&fid%20=&sekey={randsk}&fid%09="
    );
    let item = json!({"category": "", "fs_id": "", "isdir": "", "local_ctime": "", "local_mtime": "", "md5": "",
        "path": "", "server_ctime": "", "server_filename": "", "server_mtime": "", "size": "",
        "thumbs": {"url1": "", "url3": ""}, "docpreview": ""});
    let shape = json!({"errno": 0, "request_id": 0, "server_time": 0, "cfrom_id": 0, "title": "", "list": [item],
        "share_id": 0, "uk": 0});
    assert_shape(&rig.get_raw(&list).await.1, &shape);

    let info = format!("{base}/api/shorturlinfo?shorturl={surl}&linksource=zhihu");
    let shape = json!({"shareid": 0, "uk": 0, "dir": "", "type": 0, "prod_type": "", "page": 0, "root": 0,
        "third": 0, "longurl": "", "fid": 0, "errno": 0, "expire_days": 0, "ctime": 0, "expiredtype": 0,
        "fcount": 0, "uk_str": ""});
    let answer = rig.get_raw(&info).await.1;
    assert_shape(&answer, &shape);
    assert_eq!((&answer["errno"], &answer["expire_days"]), (&json!(-3), &json!(7)));

    rig.sim.add_token("other", "123", None, None).unwrap();
    rig.sim.put_file("other", "/baidu/x", b"x").unwrap();
    let transfer =
        format!("{base}/rest/2.0/xpan/share?method=transfer&access_token=123&shareid={shareid}&from={uk}");
    let request = rig
        .http
        .post(transfer)
        .header("Referer", "pan.baidu.com")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(format!("sekey={randsk}&fsidlist=[{file}]&path=/baidu"));
    let shape = json!({"errno": 0, "extra": {"list": [{"from": "", "from_fs_id": 0, "to": ""}]},
        "info": [{"errno": 0, "fsid": 0, "path": ""}], "newno": "", "request_id": 0, "show_msg": "", "task_id": 0});
    assert_shape(&read(request.send().await.unwrap()).await.1, &shape);
    let saved = rig.sim.files().into_iter().find(|file| file.account == "other" && file.copied).unwrap();
    assert_eq!(saved.path, "/baidu/123456.docx");
}
