//! The calls against a tiny server: what is sent, and what is made of the answers.

#![allow(clippy::unwrap_used)]

mod download;
mod listing;
mod manage;
mod share;

use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::*;
use crate::cloud::testing::{Seen, Server, TwoTokens};
use crate::cloud::{Kind, Stored};
use crate::content::{ExifInfo, Media, OnConflict, Purpose};

fn open(server: &Server) -> (Xpan, Arc<TwoTokens>) {
    let tokens = Arc::new(TwoTokens::default());
    (Xpan::open(&server.account(), tokens.clone(), Calls::uncounted()).unwrap(), tokens)
}

fn file(size: u64, slices: &[&str]) -> Upload {
    Upload {
        path: "/apps/xpand/a b+c&ü.jpg".into(),
        size,
        content_md5: Md5::of("content"),
        head_md5: Md5::of("head"),
        slice_size: 4 << 20,
        slices: slices.iter().map(Md5::of).collect(),
        purpose: Purpose::Backup,
        media: Media::Photo,
        exif: None,
        ctime_secs: 1_596_009_229,
        mtime_secs: -5,
        on_conflict: OnConflict::KeepBoth,
    }
}

fn slice(bytes: &'static str) -> Slice {
    let piece = futures_util::stream::iter([Ok(Bytes::from_static(bytes.as_bytes()))]);
    Slice { number: 1, length: bytes.len() as u64, body: Box::pin(piece) }
}

fn ok(json: &str) -> (u16, String) {
    (200, json.to_owned())
}

fn only_t2(answer: &'static str) -> impl Fn(&Seen) -> (u16, String) {
    move |seen| match seen.asked("access_token").unwrap().as_str() {
        "t2" => ok(answer),
        _ => ok(r#"{"errno":111,"errmsg":"access token expired"}"#),
    }
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_the_call_made_once_more() {
    let server =
        Server::start(only_t2(r#"{"errno":0,"uk":208281036,"vip_type":"2","baidu_name":"a"}"#)).await;
    let (xpan, tokens) = open(&server);
    let user = xpan.user().await.unwrap();
    assert_eq!((user.id.as_str(), user.name.as_str(), user.vip_type), ("208281036", "a", Some(2)));
    assert_eq!(user.slice_size, 32 << 20);
    assert_eq!((server.seen().len(), tokens.renewals.load(Ordering::Relaxed)), (2, 1));
    let seen = server.last();
    assert_eq!(seen.call(), "GET /rest/2.0/xpan/nas");
    assert_eq!(seen.asked("method").unwrap(), "uinfo");
    assert_eq!(seen.header("user-agent").unwrap(), "pan.baidu.com");
}

#[tokio::test]
async fn a_renewed_token_that_is_refused_as_well_is_final() {
    let server = Server::start(|_| ok(r#"{"errno":-6}"#)).await;
    let (xpan, tokens) = open(&server);
    let error = xpan.quota().await.unwrap_err();
    assert_eq!((error.kind, error.number()), (Kind::Unauthorized, Some(-6)));
    assert_eq!((server.seen().len(), tokens.renewals.load(Ordering::Relaxed)), (2, 1));
}

#[tokio::test]
async fn precreate_says_what_the_documents_ask_for() {
    let server =
        Server::start(|_| ok(r#"{"return_type":1,"uploadid":"U","block_list":[2,0,2],"errno":0}"#)).await;
    let (xpan, _) = open(&server);
    let mut big = file(9 << 20, &["a", "b", "c"]);
    let begin = xpan.begin(&big, Some("old")).await.unwrap();
    assert_eq!(begin, Begin::Send { session: "U".into(), slice_size: 4 << 20, missing: vec![0, 2] });
    let seen = server.last();
    assert_eq!(seen.call(), "POST /rest/2.0/xpan/file");
    assert_eq!(seen.asked("method").unwrap(), "precreate");
    let block_list = cloud_md5::slice_list(&big.slices);
    for (key, value) in [
        ("path", "/apps/xpand/a b+c&ü.jpg"),
        ("size", "9437184"),
        ("isdir", "0"),
        ("autoinit", "1"),
        ("rtype", "2"),
        ("uploadid", "old"),
        ("block_list", &block_list),
        ("content-md5", &big.content_md5.to_string()),
        ("slice-md5", &big.head_md5.to_string()),
        ("local_ctime", "1596009229"),
        ("local_mtime", "0"),
    ] {
        assert_eq!(seen.form(key).as_deref(), Some(value), "{key}");
    }
    assert_eq!(seen.form("access_token"), None);

    big.on_conflict = OnConflict::Overwrite;
    xpan.begin(&big, None).await.unwrap();
    assert_eq!(server.last().form("rtype").unwrap(), "3");
    assert_eq!(server.last().form("uploadid"), None);
    big.on_conflict = OnConflict::Version;
    xpan.begin(&big, None).await.unwrap();
    assert_eq!(server.last().form("content-md5"), None, "a version is never made by instant upload");
}

#[tokio::test]
async fn files_below_256_kib_have_no_slice_md5() {
    let server = Server::start(|_| ok(r#"{"return_type":1,"uploadid":"U","block_list":[]}"#)).await;
    let (xpan, _) = open(&server);
    let begin = xpan.begin(&file((256 << 10) - 1, &["a"]), None).await.unwrap();
    assert_eq!(
        begin,
        Begin::Send { session: "U".into(), slice_size: 4 << 20, missing: vec![0] },
        "[] is [0]"
    );
    assert_eq!((server.last().form("content-md5"), server.last().form("slice-md5")), (None, None));
    xpan.begin(&file(256 << 10, &["a"]), None).await.unwrap();
    assert!(server.last().form("slice-md5").is_some());
}

#[tokio::test]
async fn the_answers_to_precreate_are_taken_as_far_as_they_make_sense() {
    let present =
        |id: &str, path: &str, size| Some(Begin::Present(Stored { id: id.into(), path: path.into(), size }));
    let path = "/apps/xpand/a b+c&ü.jpg";
    for (answer, begin) in [
        (
            r#"{"return_type":2,"info":{"fs_id":7,"path":"/apps/xpand/x","size":"5"}}"#,
            present("7", "/apps/xpand/x", 5),
        ),
        (r#"{"return_type":2}"#, present("", path, 9 << 20)),
        (r#"{"return_type":2,"info":[]}"#, present("", path, 9 << 20)),
        (r#"{"return_type":1,"block_list":[0]}"#, None),
        (r#"{"return_type":1,"uploadid":"U","block_list":[3]}"#, None),
        (r#"{"return_type":1,"uploadid":"U","block_list":["x"]}"#, None),
        (
            r#"{"return_type":"1","uploadid":"U"}"#,
            Some(Begin::Send { session: "U".into(), slice_size: 4 << 20, missing: vec![0, 1, 2] }),
        ),
    ] {
        let server = Server::start(move |_| ok(answer)).await;
        let got = open(&server).0.begin(&file(9 << 20, &["a", "b", "c"]), None).await;
        assert_eq!(got.as_ref().ok(), begin.as_ref(), "{answer}");
        assert!(got.err().is_none_or(|error| error.kind == Kind::Broken), "{answer}");
    }
}

#[tokio::test]
async fn content_that_is_not_known_is_announced_again_without_its_md5() {
    let server = Server::start(|seen| match seen.form("content-md5") {
        Some(_) => (404, r#"{"error_code":31079,"error_msg":"md5 not found"}"#.into()),
        None => ok(r#"{"return_type":1,"uploadid":"U","block_list":[0]}"#),
    })
    .await;
    let (xpan, _) = open(&server);
    assert!(xpan.begin(&file(1 << 20, &["a"]), None).await.is_ok());
}

#[tokio::test]
async fn create_repeats_precreate_and_adds_mode_and_exif() {
    let server = Server::start(|_| {
        ok(r#"{"errno":0,"fs_id":"18446744073709551615","size":5,"name":"/apps/xpand/x"}"#)
    })
    .await;
    let (xpan, _) = open(&server);
    let mut photo = file(5, &["a"]);
    photo.exif = Some(ExifInfo {
        height: 3024,
        date_time_original: Some("2018:09:06 15:58:58".into()),
        model: None,
        width: 4032,
        date_time_digitized: None,
        date_time: None,
        orientation: 6,
        recovery: 0,
    });
    let stored = xpan.create(&photo, "U").await.unwrap();
    let id = "18446744073709551615".to_owned();
    assert_eq!(stored, Stored { id, path: "/apps/xpand/x".into(), size: 5 });
    let seen = server.last();
    assert_eq!(seen.asked("method").unwrap(), "create");
    let exif = r#"{"height":3024,"date_time_original":"2018:09:06 15:58:58","width":4032,"orientation":6,"recovery":0}"#;
    let list = cloud_md5::slice_list(&photo.slices);
    for (key, value) in [
        ("uploadid", "U"),
        ("rtype", "2"),
        ("mode", "4"),
        ("isdir", "0"),
        ("block_list", list.as_str()),
        ("exif_info", exif),
    ] {
        assert_eq!(seen.form(key).as_deref(), Some(value), "{key}");
    }
    assert_eq!(seen.form("is_revision"), None);

    photo.media = Media::Video;
    photo.on_conflict = OnConflict::Version;
    xpan.create(&photo, "U").await.unwrap();
    let seen = server.last();
    assert_eq!(seen.form("mode").unwrap(), "5");
    for (purpose, mode) in [(Purpose::Manual, "1"), (Purpose::Batch, "2")] {
        photo.purpose = purpose;
        xpan.create(&photo, "U").await.unwrap();
        assert_eq!(server.last().form("mode").as_deref(), Some(mode));
    }
    assert_eq!(seen.form("is_revision").unwrap(), "1");
    assert_eq!(seen.form("exif_info"), None, "only photos");
}

#[tokio::test]
async fn texts_that_are_kept_on_disk_are_not_taken_at_any_length() {
    let long = "x".repeat(2000);
    for (answer, words) in [
        (format!(r#"{{"uploadid":"{long}","block_list":[0]}}"#), "precreate: the answer has no uploadid"),
        (
            format!(r#"{{"return_type":2,"info":{{"path":"{long}","size":5}}}}"#),
            "precreate: the cloud gives the file a path that is much longer than its own",
        ),
        (
            format!(r#"{{"fs_id":1,"path":"{long}","size":5}}"#),
            "create: the cloud gives the file a path that is much longer than its own",
        ),
        (format!(r#"{{"uk":"{long}"}}"#), "uinfo: the answer has no user id"),
        (format!(r#"{{"device_id":"{long}"}}"#), "register: the answer has no device_id"),
    ] {
        let server = Server::start(move |_| (200, answer.clone())).await;
        let (xpan, _) = open(&server);
        let file = file(5, &["a"]);
        let error = match words.split_once(':').unwrap().0 {
            "precreate" => xpan.begin(&file, None).await.unwrap_err(),
            "create" => xpan.create(&file, "U").await.unwrap_err(),
            "uinfo" => xpan.user().await.unwrap_err(),
            _ => xpan.register("7", "box").await.unwrap_err(),
        };
        assert_eq!((error.kind, error.to_string().as_str()), (Kind::Broken, words));
    }
}

#[tokio::test]
async fn a_create_without_size_or_id_is_not_believed() {
    for (answer, words) in [
        (r#"{"errno":0,"path":"/apps/xpand/x","fs_id":7}"#, "create: the answer has no size"),
        (r#"{"errno":0,"path":"/apps/xpand/x","size":5}"#, "create: the answer has no fs_id"),
    ] {
        let server = Server::start(move |_| ok(answer)).await;
        let error = open(&server).0.create(&file(5, &["a"]), "U").await.unwrap_err();
        assert_eq!((error.kind, error.to_string().as_str()), (Kind::Broken, words));
    }
}

#[tokio::test]
async fn slices_go_to_the_located_host_which_is_asked_for_once_for_all() {
    let server = Server::start(|seen| match seen.call() {
        "GET /rest/2.0/pcs/file" => {
            ok(r#"{"error_code":0,"servers":[{"server":"https://evil.example"}],"host":"c.pcs.baidu.com"}"#)
        }
        _ => ok(r#"{"md5":"0CC175B9C0F1B6A831C399E269772661","request_id":8383464737849269312}"#),
    })
    .await;
    let (xpan, _) = open(&server);
    for session in ["V", "V", "U"] {
        let md5 = xpan.send(&file(8 << 20, &["a", "b"]), session, slice("abc")).await.unwrap();
        assert_eq!(md5, Some(Md5::of("a")));
    }
    let calls: Vec<String> = server.seen().iter().map(|seen| seen.call().to_owned()).collect();
    let sent = "POST /rest/2.0/pcs/superfile2";
    assert_eq!(calls, ["GET /rest/2.0/pcs/file", sent, sent, sent]);
    let located = &server.seen()[0];
    assert_eq!(located.asked("method").unwrap(), "locateupload");
    assert_eq!(located.asked("upload_version").unwrap(), "2.0");
    let seen = server.last();
    for (key, value) in [
        ("method", "upload"),
        ("type", "tmpfile"),
        ("access_token", "t1"),
        ("path", "/apps/xpand/a b+c&ü.jpg"),
        ("uploadid", "U"),
        ("partseq", "1"),
    ] {
        assert_eq!(seen.asked(key).as_deref(), Some(value), "{key}");
    }
    assert!(!seen.head.contains('+'), "blanks are %20: {}", seen.head);
}

#[tokio::test]
async fn a_failing_host_is_asked_for_again_and_a_failing_locateupload_does_not_matter() {
    let server = Server::start(|seen| match seen.call() {
        "GET /rest/2.0/pcs/file" => (404, "<html>".into()),
        _ => (500, String::new()),
    })
    .await;
    let (xpan, _) = open(&server);
    for _ in 0..2 {
        let error = xpan.send(&file(3, &["a"]), "U", slice("abc")).await.unwrap_err();
        assert_eq!(error.kind, Kind::Busy { after: None });
    }
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn a_slice_whose_token_is_refused_is_to_be_sent_again_but_not_for_ever() {
    let answer = |seen: &Seen| match (seen.call(), seen.asked("partseq")) {
        ("GET /rest/2.0/pcs/file", _) => ok("{}"),
        _ => (401, r#"{"error_code":110,"error_msg":"Access token invalid"}"#.into()),
    };
    let server = Server::start(answer).await;
    let (xpan, tokens) = open(&server);
    let send = async || xpan.send(&file(3, &["a"]), "U", slice("abc")).await.unwrap_err();
    let first = send().await;
    assert_eq!(
        (first.kind, first.number()),
        (Kind::Busy { after: Some(std::time::Duration::ZERO) }, Some(110))
    );
    assert_eq!(server.last().asked("access_token").unwrap(), "t1");
    assert_eq!(send().await.kind, Kind::Unauthorized);
    assert_eq!(server.last().asked("access_token").unwrap(), "t2");
    assert_eq!(send().await.kind, Kind::Unauthorized);
    assert_eq!(tokens.renewals.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_listing_goes_on_as_long_as_its_pages_are_full() {
    let server = Server::start(|seen| {
        let start: usize = seen.asked("start").unwrap().parse().unwrap();
        let entry = |i| format!(r#"{{"fs_id":{i},"path":"/apps/xpand/{i}","size":1,"isdir":0,"md5":"x"}}"#);
        let entries: Vec<String> = (start..1500.min(start + 1000)).map(entry).collect();
        ok(&format!(r#"{{"errno":0,"list":[{}]}}"#, entries.join(",")))
    })
    .await;
    let (xpan, _) = open(&server);
    let first = xpan.list("/apps/xpand", None).await.unwrap();
    assert_eq!((first.entries.len(), first.next.clone()), (1000, Some(Cursor::at(1000))));
    let second = xpan.list("/apps/xpand", first.next).await.unwrap();
    assert_eq!((second.entries.len(), second.next), (500, None));
    assert_eq!(server.last().asked("dir").unwrap(), "/apps/xpand");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_missing() {
    let server = Server::start(|_| ok(r#"{"errno":-9}"#)).await;
    assert_eq!(open(&server).0.list("/x", None).await.unwrap_err().kind, Kind::Missing);
}

#[test]
fn sameness_is_said_only_where_the_listed_md5_proves_it() {
    let xpan = Xpan::open(
        &config::Account {
            name: "home".into(),
            provider: config::Provider::Baidu,
            client_id: String::new(),
            client_secret: config::Secret::new(""),
            app: String::new(),
            endpoint: None,
            ca_file: None,
            share_type: None,
            share_secret: None,
        },
        Arc::new(TwoTokens::default()),
        Calls::uncounted(),
    )
    .unwrap();
    let mut one = file(5, &["a"]);
    one.content_md5 = "a54185afbe0123357bb1044a84e60552".parse().unwrap();
    let entry = |md5: &str, size| Entry {
        id: "1".into(),
        path: one.path.clone(),
        size,
        is_folder: false,
        md5: Some(md5.into()),
    };
    assert!(xpan.is_same(&entry("bf2266522sea484085c54035f21ac9a5", 5), &one));
    assert!(!xpan.is_same(&entry("bf2266522sea484085c54035f21ac9a5", 6), &one));
    assert!(!xpan.is_same(&entry("8e23f7635tb64136eddb0719602bc477", 5), &one));
    assert!(xpan.is_same(&entry("a54185afbe0123357bb1044a84e60552", 5), &one));
    let list = |file: &Upload| cloud_md5::of_slices(&file.slices).to_string();
    let many = file(9 << 20, &["a", "b", "c"]);
    assert!(xpan.is_same(&entry(&list(&many), 9 << 20), &many));
    assert!(!xpan.is_same(&entry(&list(&one), 5), &one), "a file of one slice is listed by its content");
    // What came home is the listed content, is not, or nobody can say: cut in a way that no membership cuts.
    let content = |file: &Upload| Content {
        size: file.size,
        md5: file.content_md5,
        cuts: vec![Vec::new(), vec![file.content_md5], file.slices.to_vec()],
    };
    for (listed, size, file, answer) in [
        ("bf2266522sea484085c54035f21ac9a5", 5, &one, Some(true)),
        ("bf2266522sea484085c54035f21ac9a5", 6, &one, Some(false)),
        ("8e23f7635tb64136eddb0719602bc477", 5, &one, Some(false)),
        ("no md5 at all", 5, &one, None),
        (&list(&many), 9 << 20, &many, Some(true)),
        ("8e23f7635tb64136eddb0719602bc477", 9 << 20, &many, None),
    ] {
        assert_eq!(xpan.has_content(&entry(listed, size), &content(file)), answer, "{listed} {size}");
    }
    let md5 = |listed: &str, size| xpan.content_md5(&entry(listed, size));
    assert_eq!(md5("bf2266522sea484085c54035f21ac9a5", 5), Some(one.content_md5));
    assert_eq!(md5("bf2266522sea484085c54035f21ac9a5", 9 << 20), None, "it may be that of its slices");
    assert_eq!(md5("no md5 at all", 5), None);
}

#[tokio::test]
async fn everything_below_a_folder_comes_page_by_page_where_the_cursor_says() {
    let server = Server::start(|seen| match seen.asked("start").as_deref() {
        Some("0") => ok(
            r#"{"errno":0,"has_more":1,"cursor":"1000","list":[{"fs_id":1,"path":"/apps/x/a","size":1,"md5":"m","isdir":0},
            {"fs_id":2,"size":5},{"fs_id":3,"path":"/apps/x/b","isdir":1}]}"#,
        ),
        Some("1000") => ok(r#"{"errno":0,"has_more":0,"cursor":1001,"list":[]}"#),
        _ => ok(r#"{"errno":0,"has_more":1,"cursor":7,"list":[]}"#),
    })
    .await;
    let (drive, _) = open(&server);
    let first = drive.list_all("/apps/x", None).await.unwrap();
    let paths: Vec<_> = first.entries.iter().map(|entry| (entry.path.as_str(), entry.is_folder)).collect();
    assert_eq!(paths, [("/apps/x/a", false), ("/apps/x/b", true)]);
    assert_eq!(drive.list_all("/apps/x", first.next).await.unwrap(), crate::cloud::Page::default());
    // More, but not further on: that would never end.
    assert_eq!(drive.list_all("/apps/x", Some(Cursor::at(7))).await.unwrap_err().kind, Kind::Broken);
    let seen = server.seen();
    assert_eq!(seen[0].call(), "GET /rest/2.0/xpan/multimedia");
    for (key, value) in
        [("method", "listall"), ("recursion", "1"), ("limit", "1000"), ("path", "/apps/x"), ("web", "")]
    {
        assert_eq!(seen[0].asked(key).unwrap_or_default(), value, "{key}");
    }
}
