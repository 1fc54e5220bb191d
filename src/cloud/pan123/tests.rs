//! The calls against a tiny server: what is sent, and what is made of the answers.

#![allow(clippy::unwrap_used)]

mod drive;
mod later;
mod upload;

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::*;
use crate::clock::Clock;
use crate::cloud::testing::{Reply, Seen, Server, TwoTokens};
use crate::cloud::{Code, Images, Life};
use crate::content::Md5;

/// The image host at a server, in a hurry, with a folder for what it remembers.
fn open_in(server: &Server, folder: &std::path::Path) -> (Oss, Arc<TwoTokens>) {
    let tokens = Arc::new(TwoTokens::default());
    let calls = Calls::of(folder.join("home.calls"), Clock::system().hurried(200));
    (Oss::open(&server.account(), tokens.clone(), calls).unwrap(), tokens)
}

fn open(server: &Server) -> (Oss, Arc<TwoTokens>) {
    let tokens = Arc::new(TwoTokens::default());
    (Oss::open(&server.account(), tokens.clone(), Calls::uncounted()).unwrap(), tokens)
}

fn ok(data: Value) -> (u16, String) {
    (200, json!({"code": 0, "message": "ok", "data": data, "x-traceID": "trace"}).to_string())
}

fn no(code: i64, message: &str) -> (u16, String) {
    (200, json!({"code": code, "message": message, "data": null, "x-traceID": "trace"}).to_string())
}

fn asked(seen: &Seen) -> Value {
    serde_json::from_slice(&seen.body).unwrap_or_default()
}

fn picture(id: &str, name: &str, content: &str) -> Value {
    json!({
        "fileId": id, "filename": name, "type": 0, "etag": Md5::of(content).to_string(), "size": content.len(),
        "status": 2, "createAt": "2025-03-03 16:38:26", "updateAt": "2025-03-03 16:38:26",
        "downloadURL": format!("https://vip.123pan.cn/1/{id}.jpg"),
        "userSelfURL": format!("https://img.example/1/{id}.jpg"),
        "totalTraffic": 0, "parentFileId": "F", "parentFilename": "x", "extension": "jpg"
    })
}

#[tokio::test]
async fn every_call_has_the_headers_of_the_documents_and_a_refused_token_is_renewed_once() {
    let server = Server::start(|seen| match seen.header("authorization") {
        Some("Bearer t2") => ok(json!({"lastFileId": "-1", "fileList": []})),
        _ => no(401, "access_token无效"),
    })
    .await;
    let (oss, tokens) = open(&server);
    let user = crate::cloud::Drive::user(&oss).await.unwrap();
    assert_eq!((user.id.as_str(), user.name.as_str(), user.slice_size), ("AppKey", "", 104_857_600));
    assert_eq!((server.seen().len(), tokens.renewals.load(Ordering::Relaxed)), (2, 1));
    let seen = server.last();
    assert_eq!(seen.call(), "POST /api/v1/oss/file/list");
    assert_eq!(seen.header("platform"), Some("open_platform"));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(asked(&seen), json!({"parentFileId": "", "limit": 100, "type": 1}));
    assert!(!seen.head.lines().next().unwrap().contains("t2"), "no token in an address");
    // A GET, without a body: the table of headers makes no difference.
    oss.image("ID").await.unwrap_err();
    let seen = server.last();
    assert_eq!((seen.call(), seen.asked("fileID").as_deref()), ("GET /api/v1/oss/file/detail", Some("ID")));
    for header in ["Platform: open_platform", "Content-Type: application/json", "Authorization: Bearer t2"] {
        let (name, value) = header.split_once(": ").unwrap();
        let all = seen.head.lines().filter(|line| line.to_lowercase().starts_with(&name.to_lowercase()));
        assert_eq!((all.count(), seen.header(name)), (1, Some(value)), "{header}");
    }

    let server = Server::start(|_| no(401, "access_token无效")).await;
    let (oss, tokens) = open(&server);
    let error = crate::cloud::Drive::user(&oss).await.unwrap_err();
    assert_eq!((error.kind, error.number()), (Kind::Unauthorized, Some(401)));
    assert_eq!((server.seen().len(), tokens.renewals.load(Ordering::Relaxed)), (2, 1));
}

#[tokio::test]
async fn too_many_calls_are_made_again_later_and_not_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_| (429, String::new())).await;
    let (oss, _) = open_in(&server, folder.path());
    let error = oss.page("", None).await.unwrap_err();
    let sixteen_times_half_a_second = Kind::Busy { after: Some(Duration::from_secs(8)) };
    assert_eq!((error.kind, server.seen().len()), (sixteen_times_half_a_second, 5));

    let count = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::start(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => no(429, "请求太频繁"),
        _ => ok(json!({"lastFileId": "-1", "fileList": []})),
    })
    .await;
    let (oss, _) = open_in(&server, folder.path());
    assert!(oss.page("", None).await.is_ok());
    assert_eq!(server.seen().len(), 3);
    let places = std::fs::read_to_string(folder.path().join("home.pace")).unwrap();
    assert!(places.starts_with("list "), "{places}");
}

#[tokio::test]
async fn a_login_is_the_applications_id_and_secret_for_a_token_with_an_end() {
    let server =
        Server::start(|_| ok(json!({"accessToken": "TOKEN", "expiredAt": "2025-03-23T15:48:37+08:00"})))
            .await;
    let login = Pan123.authority(&server.account());
    assert_eq!(login.application(), Some("AppKey"));
    let grant = login.obtain().await.unwrap();
    let end = Life::Until("2025-03-23T07:48:37Z".parse().unwrap());
    assert_eq!((grant.access.secret(), grant.refresh, grant.life), ("TOKEN", None, Some(end)));
    let seen = server.last();
    assert_eq!(seen.call(), "POST /api/v1/access_token");
    assert_eq!(asked(&seen), json!({"clientID": "AppKey", "clientSecret": "CLIENTSECRET"}));
    assert_eq!((seen.header("platform"), seen.header("authorization")), (Some("open_platform"), None));
}

#[tokio::test]
async fn a_wrong_id_or_secret_is_said_in_words_without_the_secret() {
    for message in ["clientID或clientSecret错误", "clientSecret CLIENTSECRET is wrong"] {
        let server = Server::start(move |_| no(1, message)).await;
        let error = Pan123.authority(&server.account()).obtain().await.unwrap_err();
        assert_eq!(error.kind, Kind::Unauthorized);
        assert_eq!(
            error.to_string(),
            "access_token: the client_id or the client_secret is not the right one, which 123pan calls clientID and \
             clientSecret (code 1)"
        );
    }
    let server = Server::start(|_| no(7, "no CLIENTSECRET today")).await;
    let error = Pan123.authority(&server.account()).obtain().await.unwrap_err();
    assert_eq!(error.to_string(), "access_token: no … today (code 7)");
    let server = Server::start(|_| no(401, "tokens number has exceeded the limit")).await;
    let error = Pan123.authority(&server.account()).obtain().await.unwrap_err();
    assert!(
        matches!(error.kind, Kind::Blocked { .. }) && error.message.contains("too many logins"),
        "{error}"
    );
}

#[tokio::test]
async fn an_end_without_a_zone_is_beijings_and_one_that_is_no_time_is_none() {
    let utc = |text: &str| Some(Life::Until(text.parse().unwrap()));
    for (told, life) in [
        ("2025-03-23T15:48:37+08:00", utc("2025-03-23T07:48:37Z")),
        ("2025-03-23T07:48:37Z", utc("2025-03-23T07:48:37Z")),
        ("2025-03-23T15:48:37", utc("2025-03-23T07:48:37Z")),
        ("2025-03-23 15:48:37", utc("2025-03-23T07:48:37Z")),
        ("soon", None),
    ] {
        let server = Server::start(move |_| ok(json!({"accessToken": "TOKEN", "expiredAt": told}))).await;
        let grant = Pan123.authority(&server.account()).obtain().await.unwrap();
        assert_eq!(grant.life, life, "{told}");
    }
}

#[tokio::test]
async fn pages_go_on_to_minus_one_and_what_has_no_name_that_a_file_can_have_is_left_out() {
    let server = Server::start(|seen| {
        ok(match asked(seen)["lastFileId"].as_str() {
            None => json!({"lastFileId": "B", "fileList": [picture("A", "a.jpg", "1"), picture("X", "../x", "1")]}),
            Some("B") => json!({"lastFileId": "-1", "fileList": [picture("B", "b.jpg", "2"), picture("", "y", "1")]}),
            Some(other) => json!({"lastFileId": other, "fileList": []}),
        })
    })
    .await;
    let (oss, _) = open(&server);
    let listed = oss.page("F", None).await.unwrap();
    let names: Vec<_> = listed.images.iter().map(|image| image.filename.as_str()).collect();
    assert_eq!((names, listed.next.as_deref()), (vec!["a.jpg"], Some("B")));
    let listed = oss.page("F", Some("B")).await.unwrap();
    assert_eq!((listed.images.len(), listed.next), (1, None));
    assert_eq!(listed.images[0].create_at, Some(1_740_991_106));
    assert_eq!(
        oss.page("F", Some("C")).await.map(|_| ()).unwrap_err().kind,
        Kind::Broken,
        "it goes round in circles"
    );
}

/// An answer to something else would be an empty folder otherwise.
#[tokio::test]
async fn a_list_without_its_fields_is_none_and_null_is_an_empty_one() {
    for (data, kind) in [
        (json!({"lastFileId": "-1"}), Some(Kind::Broken)),
        (json!({"fileList": []}), Some(Kind::Broken)),
        (json!({"lastFileId": null, "fileList": []}), Some(Kind::Broken)),
        (json!({"list": []}), Some(Kind::Broken)),
        (json!({"lastFileId": "-1", "fileList": null}), None),
        (json!({"lastFileId": -1, "fileList": []}), None),
    ] {
        let told = data.to_string();
        let server = Server::start(move |_| ok(data.clone())).await;
        let (oss, _) = open(&server);
        let listed = oss.page("F", None).await;
        let listed = listed.map(|listed| assert!(listed.images.is_empty() && listed.next.is_none()));
        assert_eq!(listed.map_err(|error| error.kind).err(), kind, "{told}");
    }
}

/// The answer to an earlier mkdir was lost, say, and the list is a moment behind.
#[tokio::test]
async fn a_folder_that_is_there_and_not_listed_is_looked_for_again_and_a_picture_in_its_place_is_said() {
    for (there, kind, words) in [
        (json!([]), Kind::Busy { after: None }, "does not list it"),
        (json!([picture("A", "x", "1")]), Kind::Refused, "there is a picture of the name of the folder /x"),
    ] {
        let server = Server::start(move |seen| match seen.call() {
            "POST /upload/v1/oss/file/mkdir" => no(1, "目录名不能重名"),
            _ => ok(json!({"lastFileId": "-1", "fileList": there})),
        })
        .await;
        let (oss, _) = open(&server);
        let error = Images::mkdir(&oss, "/x").await.unwrap_err();
        assert_eq!((error.kind, error.number()), (kind, Some(1)), "{error}");
        assert!(error.message.contains(words), "{error}");
    }
}

#[tokio::test]
async fn folders_details_and_deleting_speak_as_the_documents_do() {
    let server = Server::start(|seen| match seen.call() {
        "POST /upload/v1/oss/file/mkdir" => ok(json!({"list": [{"filename": "测试图床目录", "dirID": "D"}]})),
        "GET /api/v1/oss/file/detail" => ok(picture("A", "a.jpg", "1")),
        "POST /api/v1/oss/file/delete" => ok(Value::Null),
        other => panic!("{other}"),
    })
    .await;
    let (oss, _) = open(&server);
    assert_eq!(oss.mkdir("", "测试图床目录").await.unwrap(), "D");
    assert_eq!(asked(&server.last()), json!({"name": ["测试图床目录"], "parentID": "", "type": 1}));
    let image = oss.image("a b+c/d").await.unwrap();
    assert_eq!(server.last().asked("fileID").as_deref(), Some("a b+c/d"));
    assert_eq!((image.filename.as_str(), image.link()), ("a.jpg", "https://img.example/1/A.jpg"));
    oss.remove(&["A".into(), "B".into()]).await.unwrap();
    assert_eq!(asked(&server.last()), json!({"fileIDs": ["A", "B"]}));
}

#[tokio::test]
async fn an_unknown_code_keeps_the_clouds_own_words() {
    let server = Server::start(|_| no(77777, "完全不知道")).await;
    let (oss, _) = open(&server);
    let error = oss.image("A").await.unwrap_err();
    assert_eq!((error.kind, error.code.clone()), (Kind::Refused, Some(Code::Envelope(77777))));
    assert_eq!(error.to_string(), "detail: 完全不知道 (code 77777)");
}

#[tokio::test]
async fn a_picture_is_fetched_without_a_token_from_where_it_stopped() {
    let server = Server::replying(|seen| match seen.header("range") {
        Some("bytes=2-") => Reply::of(206, &[("Content-Range", "bytes 2-4/5")], "cde"),
        _ if seen.call().ends_with("gone.jpg") => Reply::of(404, &[], ""),
        _ if seen.call().ends_with("rejected.jpg") => Reply::of(403, &[], "<html>"),
        _ if seen.call().ends_with("traffic.jpg") => Reply::of(200, &[("Content-Encoding", "gzip")], "x"),
        _ if seen.call().ends_with("used200.jpg") => Reply::of(200, &[], r#"{"code":5113,"message":"流量"}"#),
        _ if seen.call().ends_with("used.jpg") => Reply::of(400, &[], r#"{"code":5113,"message":"流量"}"#),
        _ => Reply::of(200, &[], "abcde"),
    })
    .await;
    let (oss, _) = open(&server);
    let address = |name: &str| server.url.join(name).unwrap().to_string();
    let download = oss.fetch(&address("a.jpg"), 2, 5).await.unwrap();
    assert_eq!((download.from, download.total), (2, 5));
    let seen = server.last();
    assert_eq!((seen.header("authorization"), seen.header("platform")), (None, None));
    for (name, kind, words) in [
        ("gone.jpg", Kind::Missing, "there is no picture at this link"),
        ("rejected.jpg", Kind::Refused, "does not give this picture out"),
        ("used.jpg", Kind::DayLimit, "the day's traffic is used up"),
        ("used200.jpg", Kind::DayLimit, "the day's traffic is used up"),
        ("traffic.jpg", Kind::Broken, "packed"),
    ] {
        let error = oss.fetch(&address(name), 0, 5).await.map(|_| ()).unwrap_err();
        assert_eq!(error.kind, kind, "{name}");
        assert!(error.to_string().contains(words), "{error}");
    }
    for elsewhere in ["http://vip.123pan.cn/a.jpg", "ftp://127.0.0.1/a", "", "https://user@example.com/a"] {
        assert_eq!(
            oss.fetch(elsewhere, 0, 5).await.map(|_| ()).unwrap_err().kind,
            Kind::Broken,
            "{elsewhere}"
        );
    }
}

#[tokio::test]
async fn a_path_is_found_by_going_up_from_a_picture() {
    let server = Server::start(|seen| {
        let mut item = match seen.asked("fileID").as_deref() {
            Some("A") => picture("A", "a.jpg", "1"),
            Some("F") => picture("F", "x", ""),
            _ => return no(5066, "文件不存在"),
        };
        if item["fileId"] == "F" {
            item["parentFileId"] = "ROOT".into();
        }
        ok(item)
    })
    .await;
    let (oss, _) = open(&server);
    assert_eq!(oss.detail("A").await.unwrap().path.as_deref(), Some("/x/a.jpg"));
}
