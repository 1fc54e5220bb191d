//! Share links: what is turned down, what ends, and what is saved from them.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

mod common;
use std::time::Duration;

use cloudsim::{Options, ShareLink, md5_hex};
use common::*;
use serde_json::{Value, json};

const SAVER: &str = "saver-token";
const DAY: Duration = Duration::from_secs(86_400);

/// Two users: one shares, the other saves.
async fn two_users(options: Options) -> Rig {
    let rig = Rig::new(options).await;
    rig.sim.add_token("saver", SAVER, None, None).unwrap();
    rig.sim.put_file("saver", "/mine/here.txt", b"here").unwrap();
    rig
}

async fn set(rig: &Rig, fid_list: &str, change: &[(&str, &str)]) -> Value {
    let csign = md5_hex(format!("2001{fid_list}4secret").as_bytes());
    let mut form = vec![
        ("fid_list", fid_list),
        ("schannel", "4"),
        ("period", "7"),
        ("third_type", "2001"),
        ("csign", &csign),
    ];
    for (name, value) in change {
        form.iter_mut().filter(|(key, _)| key == name).for_each(|(_, old)| *old = value);
    }
    rig.post("/rest/2.0/xpan/share/set", &form).await
}

async fn verify(rig: &Rig, query: &str, pwd: &str, referer: Option<&str>) -> Value {
    let url = format!("{}/rest/2.0/xpan/share?method=verify&{query}", rig.sim.url());
    let mut request = rig.http.post(url).form(&[("pwd", pwd)]);
    if let Some(referer) = referer {
        request = request.header("Referer", referer);
    }
    read(request.send().await.unwrap()).await.1
}

async fn key(rig: &Rig, link: &ShareLink) -> String {
    let query = format!("surl={}", link.surl);
    let answer = verify(rig, &query, &link.pwd, Some("pan.baidu.com")).await;
    answer["randsk"].as_str().unwrap().to_owned()
}

async fn transfer(rig: &Rig, link: &ShareLink, sekey: &str, ids: &[u64], more: &[(&str, &str)]) -> Value {
    let (shareid, uk, ids) = (link.shareid.to_string(), link.uk.to_string(), json!(ids).to_string());
    let mut form = vec![
        ("shareid", shareid.as_str()),
        ("from", &uk),
        ("sekey", sekey),
        ("fsidlist", &ids),
        ("path", "/mine"),
    ];
    for (name, value) in more {
        form.retain(|(key, _)| key != name);
        form.push((name, value));
    }
    let url = format!("{}/rest/2.0/xpan/share?method=transfer&access_token={SAVER}", rig.sim.url());
    let request = rig.http.post(url).header("Referer", "pan.baidu.com").form(&form);
    read(request.send().await.unwrap()).await.1
}

fn saved(rig: &Rig) -> Vec<String> {
    rig.sim
        .files()
        .into_iter()
        .filter(|file| file.account == "saver" && file.copied)
        .map(|file| file.path)
        .collect()
}

#[tokio::test]
async fn a_link_is_made_of_own_files_with_the_right_sign() {
    let rig = two_users(Options::default()).await;
    for path in ["/a.jpg", "/b.zip", "/dir/c.jpg"] {
        rig.sim.put_file("demo", path, path.as_bytes()).unwrap();
    }
    let id = |path: &str| rig.sim.file(path).unwrap().fs_id;
    let good = format!("[{}]", id("/a.jpg"));
    let answer = set(&rig, &good, &[]).await;
    assert_eq!((&answer["errno"], &answer["expiredType"]), (&json!(0), &json!(7)));
    assert_eq!(answer["pwd"].as_str().unwrap().len(), 4);
    let as_text = format!("[\"{}\"]", id("/a.jpg"));
    assert_eq!(set(&rig, &as_text, &[("period", "0")]).await["errno"], 0);
    assert_eq!(set(&rig, &good, &[("csign", "44915d74e265fc7d508bccf5a195b4eb")]).await["errno"], 113);
    assert_eq!(set(&rig, &format!("[{}]", id("/b.zip")), &[]).await["errno"], 5);
    let answer = rig.get("/rest/2.0/xpan/file?method=list&dir=/").await;
    let folder = &answer["list"][0];
    assert_eq!(folder["isdir"], 1);
    assert_eq!(set(&rig, &format!("[{}]", folder["fs_id"]), &[]).await["errno"], 5);
    let answer = set(&rig, "[1]", &[]).await;
    assert_eq!(answer["errno"], -3);
    assert_keys(&answer, &["errno", "err_msg", "newno", "show_msg", "request_id"]);
    for (name, value) in [("period", "3"), ("schannel", "3"), ("third_type", "1"), ("csign", "")] {
        assert_eq!(set(&rig, &good, &[(name, value)]).await["errno"], 2, "{name}");
    }
    let many: Vec<u64> = vec![id("/a.jpg"); 1001];
    assert_eq!(set(&rig, &json!(many).to_string(), &[]).await["errno"], 2);
}

#[tokio::test]
async fn a_link_opens_with_its_password_until_its_time_is_over() {
    let rig = two_users(Options::default()).await;
    for n in 0..3 {
        rig.sim.put_file("demo", &format!("/d/{n}.jpg"), &[n]).unwrap();
    }
    rig.sim.put_file("demo", "/d/in/4.jpg", b"4").unwrap();
    let link = rig.sim.share("demo", &["/d/0.jpg", "/d/1.jpg", "/d/in"], 1).unwrap();
    let (surl, referer) = (format!("surl={}", link.surl), Some("pan.baidu.com"));
    assert_eq!(verify(&rig, &surl, &link.pwd, None).await["errno"], 2);
    assert_eq!(verify(&rig, &surl, "nope", referer).await["errno"], -9);
    assert_eq!(verify(&rig, "surl=unknown", &link.pwd, referer).await["errno"], 105);
    assert_eq!(verify(&rig, "", &link.pwd, referer).await["errno"], 2);
    let numbers = format!("shareid={}&uk={}", link.shareid, link.uk);
    assert_eq!(verify(&rig, &numbers, &link.pwd, referer).await["errno"], 0);
    let key = key(&rig, &link).await;
    assert!(key.ends_with("%3D"), "ready for an address: {key}");
    let list = async |more: &str| {
        let url = format!("{}/rest/2.0/xpan/share?method=list&shorturl={}&{more}", rig.sim.url(), link.surl);
        rig.get_raw(&url).await.1
    };
    let answer = list(&format!("root=1&sekey={key}&num=2")).await;
    let files = answer["list"].as_array().unwrap();
    assert_eq!((files.len(), &answer["title"]), (2, &json!("/d/0.jpg")));
    let answer = list(&format!("root=1&sekey={key}&num=2&page=2")).await;
    let folder = &answer["list"][0];
    assert_eq!((&folder["isdir"], &folder["server_filename"]), (&json!("1"), &json!("in")));
    let answer = list(&format!("fid={}&sekey={key}", folder["fs_id"].as_str().unwrap())).await;
    assert_eq!(answer["list"][0]["path"], "/d/in/4.jpg");
    assert_eq!(list("root=1&sekey=wrong").await["errno"], -9);
    assert_eq!(list("root=1").await["errno"], -9);
    assert_eq!(list(&format!("sekey={key}&fid=1")).await["errno"], -3);
    let info = format!("{}/api/shorturlinfo?shorturl={}", rig.sim.url(), link.surl);
    assert_eq!(rig.get_raw(&info).await.1["errno"], 2, "a shorturl goes with a linksource");
    let info = format!("{info}&linksource=zh");
    assert_eq!(rig.get_raw(&info).await.1["fcount"], 3);
    assert_eq!(rig.get_raw(&format!("{info}&spd=wrong")).await.1["errno"], -9);
    rig.sim.advance(DAY);
    assert_eq!(verify(&rig, &surl, &link.pwd, referer).await["errno"], 112);
    assert_eq!(list(&format!("root=1&sekey={key}")).await["errno"], 112);
    assert_eq!(rig.get_raw(&info).await.1["errno"], 112);
}

#[tokio::test]
async fn files_and_folders_are_saved_to_the_own_drive() {
    let rig = two_users(Options::default()).await;
    rig.sim.put_file("demo", "/d/here.txt", b"there").unwrap();
    rig.sim.put_file("demo", "/d/in/4.jpg", b"4").unwrap();
    rig.sim.put_file("demo", "/d/secret.txt", b"not shared").unwrap();
    let id = |path: &str| rig.sim.file(path).unwrap().fs_id;
    let link = rig.sim.share("demo", &["/d/here.txt", "/d/in"], 0).unwrap();
    let key = key(&rig, &link).await;
    let file = [id("/d/here.txt")];
    assert_eq!(transfer(&rig, &link, "wrong", &file, &[]).await["errno"], -9);
    assert_eq!(transfer(&rig, &link, &key, &[id("/d/secret.txt")], &[]).await["errno"], -3);
    assert_eq!(transfer(&rig, &link, &key, &file, &[("path", "/none")]).await["errno"], 2);
    assert_eq!(transfer(&rig, &link, &key, &file, &[("ondup", "overwrite")]).await["errno"], 2);
    assert_eq!(transfer(&rig, &link, &key, &file, &[("shareid", "1")]).await["errno"], 105);
    let answer = transfer(&rig, &link, &key, &file, &[]).await;
    assert_eq!(
        (&answer["errno"], &answer["info"][0]["errno"]),
        (&json!(12), &json!(10)),
        "it is there already"
    );
    let answer = transfer(&rig, &link, &key, &file, &[("ondup", "newcopy")]).await;
    assert_eq!(answer["extra"]["list"][0]["to"], "/mine/here(1).txt");
    assert_eq!(answer["info"][0]["path"], "/here.txt");
    let list =
        format!("{}/rest/2.0/xpan/share?method=list&shorturl={}&sekey={key}", rig.sim.url(), link.surl);
    let listed = rig.get_raw(&list).await.1;
    let folder: u64 = listed["list"][1]["fs_id"].as_str().unwrap().parse().unwrap();
    let answer = transfer(&rig, &link, &key, &[folder], &[("async", "1")]).await;
    let taskid = answer["task_id"].as_u64().unwrap();
    assert!(taskid > 0);
    rig.sim.advance(Duration::from_secs(1));
    let query = format!("{}/share/taskquery?taskid={taskid}&access_token={SAVER}", rig.sim.url());
    assert_eq!(rig.get_raw(&query).await.1["status"], "success");
    assert_eq!(saved(&rig), ["/mine/here(1).txt", "/mine/in/4.jpg"]);
    let own = format!("{}/rest/2.0/xpan/share?method=transfer&access_token={TOKEN}", rig.sim.url());
    let (shareid, uk) = (link.shareid.to_string(), link.uk.to_string());
    let ids = json!(file).to_string();
    let form =
        [("shareid", shareid.as_str()), ("from", &uk), ("sekey", &key), ("fsidlist", &ids), ("path", "/d")];
    let with = rig.http.post(&own).header("Referer", "pan.baidu.com").form(&form);
    assert_eq!(read(with.send().await.unwrap()).await.1["errno"], 11, "one's own");
    let without = rig.http.post(&own).form(&form);
    assert_eq!(read(without.send().await.unwrap()).await.1["errno"], 2, "no Referer");
}

#[tokio::test]
async fn a_transfer_has_no_more_files_than_the_membership_allows() {
    let rig = two_users(Options::default()).await;
    for n in 0..501 {
        rig.sim.put_file("demo", &format!("/many/{n}"), b"x").unwrap();
    }
    let link = rig.sim.share("demo", &["/many"], 0).unwrap();
    let key = key(&rig, &link).await;
    let list =
        format!("{}/rest/2.0/xpan/share?method=list&shorturl={}&sekey={key}", rig.sim.url(), link.surl);
    let folder: u64 = rig.get_raw(&list).await.1["list"][0]["fs_id"].as_str().unwrap().parse().unwrap();
    assert_eq!(transfer(&rig, &link, &key, &[folder], &[]).await["errno"], 120);
    rig.sim.set_vip(1).unwrap();
    assert_eq!(transfer(&rig, &link, &key, &[folder], &[]).await["errno"], 0);
    assert_eq!(saved(&rig).len(), 501);
}

#[tokio::test]
async fn links_survive_a_new_server() {
    let folder = tempfile::tempdir().unwrap();
    let options = || Options { data: Some(folder.path().into()), ..Options::default() };
    let rig = two_users(options()).await;
    rig.sim.put_file("demo", "/a", b"a").unwrap();
    let link = rig.sim.share("demo", &["/a"], 0).unwrap();
    rig.sim.shutdown().await;
    let rig = two_users(options()).await;
    let answer = verify(&rig, &format!("surl={}", link.surl), &link.pwd, Some("pan.baidu.com")).await;
    assert_eq!(answer["errno"], 0);
}
