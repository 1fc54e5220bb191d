//! Share links: what each call carries, the signature, and the answers as the document shows them.

use std::sync::Arc;

use super::{ok, open};
use crate::cloud::files::{ItemResult, OnDup, Run};
use crate::cloud::shares::{Link, LinkInfo, Period, Save, Saved, Share, Shares};
use crate::cloud::testing::{Seen, Server, TwoTokens};
use crate::cloud::xpan::Xpan;
use crate::cloud::{Calls, Cursor, Kind};
use crate::config::Secret;
use crate::content::Md5;

const SURL: &str = "7hhjzWuUhVi1VwkFF2XlZOpVRXbQVVaQU08G==";
const KEY: &str = "2CZ9rumLkLold9CVa3csKNCoVKuJsEtTL4n3m6SVsPc=";

fn short() -> Link {
    Link::Short { surl: SURL.into(), linksource: "zhihu".into() }
}

fn numbers() -> Link {
    Link::Numbers { shareid: "2192088175".into(), uk: "3809279679".into() }
}

fn able(server: &Server) -> Xpan {
    let mut account = server.account();
    account.share_type = Some(2001);
    account.share_secret = Some(Secret::new("SHARESECRET"));
    Xpan::open(&account, Arc::new(TwoTokens::default()), Calls::uncounted()).unwrap()
}

fn fields(seen: &Seen, names: &[&str]) -> Vec<Option<String>> {
    names.iter().map(|name| seen.form(name)).collect()
}

#[tokio::test]
async fn a_link_is_made_with_the_documents_signature() {
    let server = Server::start(|_| {
        ok(r#"{"errno":0,"request_id":4891294274629272105,"shareid":2192088175,
        "link":"https://pan.baidu.com/link/zh/7h==","shorturl":"https://pan.baidu.com/link/zh/7h==","ctime":1596029492,
        "expiredType":7,"premis":false,"pwd":"emy5","uk":3809279679}"#)
    })
    .await;
    let xpan = able(&server);
    let ids = ["391137377352125".to_owned(), "391137377352126".to_owned()];
    let share = xpan.set(&ids, Period::Week, "für dich").await.unwrap();
    let expected = Share {
        shareid: "2192088175".into(),
        uk: "3809279679".into(),
        link: "https://pan.baidu.com/link/zh/7h==".into(),
        shorturl: "https://pan.baidu.com/link/zh/7h==".into(),
        pwd: "emy5".into(),
        expired_type: 7,
        ctime: Some(1_596_029_492),
    };
    assert_eq!(share, expected);
    let seen = server.last();
    assert_eq!(seen.call(), "POST /rest/2.0/xpan/share/set");
    assert_eq!(seen.asked("access_token").unwrap(), "t1");
    // third_type . fid_list . schannel . secret, one after the other.
    let csign = Md5::of("2001[391137377352125,391137377352126]4SHARESECRET").to_string();
    assert_eq!(csign, "c38deff35d838085b05a41b9a7952801");
    for (key, value) in [
        ("fid_list", "[391137377352125,391137377352126]"),
        ("schannel", "4"),
        ("period", "7"),
        ("third_type", "2001"),
        ("description", "für dich"),
        ("csign", &csign),
        ("secret", ""),
    ] {
        assert_eq!(seen.form(key).unwrap_or_default(), value, "{key}");
    }
}

#[tokio::test]
async fn a_link_is_not_made_without_the_settings_nor_of_too_many_files() {
    let server = Server::start(|_| ok(r#"{"errno":5,"show_msg":"no SHARESECRET here"}"#)).await;
    let ids = |count: usize| vec!["1".to_owned(); count];
    let error = open(&server).0.set(&ids(1), Period::Forever, "").await.unwrap_err();
    assert_eq!((error.kind, error.sent), (Kind::Local, false));
    assert!(error.message.starts_with("share_type and share_secret are not in the configuration"));
    let xpan = able(&server);
    for (ids, words) in [
        (ids(1001), "share set: 1001 files were given at once; the cloud takes 1000"),
        (ids(0), "share set: there is no file to share"),
        (vec!["x".to_owned()], "share set: \"x\" is no fs_id: a number is expected"),
    ] {
        assert_eq!(xpan.set(&ids, Period::Day, "").await.unwrap_err().to_string(), words);
    }
    assert!(server.seen().is_empty());
    let error = xpan.set(&ids(1), Period::Day, "").await.unwrap_err();
    assert_eq!(
        (error.kind, error.to_string().as_str()),
        (Kind::Refused, "share set: folders and archives cannot be shared (errno 5)")
    );
    assert_eq!(server.last().form("period").unwrap(), "1");
    let echo = Server::start(|_| ok(r#"{"errno":77777,"show_msg":"no SHARESECRET and t1 here"}"#)).await;
    let error = able(&echo).set(&ids(1), Period::Day, "").await.unwrap_err();
    assert_eq!(error.message, "no … and … here");
}

#[tokio::test]
async fn a_password_is_traded_for_a_key_without_a_token() {
    let server = Server::start(|_| {
        ok(r#"{"errno":0,"err_msg":"","request_id":297220488144243753,
        "randsk":"2CZ9rumLkLold9CVa3csKNCoVKuJsEtTL4n3m6SVsPc%3D"}"#)
    })
    .await;
    let xpan = able(&server);
    assert_eq!(xpan.verify(&short(), "emy5").await.unwrap(), KEY);
    let seen = server.last();
    assert_eq!(seen.call(), "POST /rest/2.0/xpan/share");
    assert_eq!(seen.header("referer"), Some("pan.baidu.com"));
    let asked: Vec<_> = ["method", "surl", "shareid", "access_token"].map(|key| seen.asked(key)).into();
    assert_eq!(asked, [Some("verify".to_owned()), Some(SURL.to_owned()), None, None]);
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(fields(&seen, &["pwd", "redirect", "third_type"]), [text("emy5"), text("0"), text("2001")]);

    open(&server).0.verify(&numbers(), "emy5").await.unwrap();
    let seen = server.last();
    let asked: Vec<_> = ["surl", "shareid", "uk"].map(|key| seen.asked(key)).into();
    assert_eq!(asked, [None, text("2192088175"), text("3809279679")]);
    assert_eq!(seen.form("third_type"), None);

    for (json, kind, words) in [
        (r#"{"errno":-9}"#, Kind::Refused, "share verify: the password of the share is wrong (errno -9)"),
        (r#"{"errno":105}"#, Kind::Refused, "share verify: the share link is wrong (errno 105)"),
        (r#"{"errno":2131}"#, Kind::Missing, "share verify: the share does not exist (errno 2131)"),
        (r#"{"errno":0}"#, Kind::Broken, "share verify: the answer has no randsk"),
    ] {
        let server = Server::start(move |_| ok(json)).await;
        let error = open(&server).0.verify(&short(), "x").await.unwrap_err();
        assert_eq!((error.kind, error.to_string().as_str()), (kind, words));
    }
}

#[tokio::test]
async fn what_a_link_leads_to_is_listed_page_by_page_with_numbers_as_words() {
    let server = Server::start(|seen| match seen.asked("page").as_deref() {
        Some("1") => ok(r#"{"errno":0,"server_time":1596102437,"cfrom_id":2001,"title":"/a/107812.pptx",
            "list":[{"category":"4","fs_id":"391137377352125","isdir":"0","local_ctime":"1587609475",
            "local_mtime":"1587609475","md5":"107812fa7t23f01bd05a8fd47562501a","path":"/a/107812.pptx",
            "server_ctime":"1587609475","server_filename":"107812.pptx","server_mtime":"1593679688",
            "size":"18054683","thumbs":{"url1":"https://t/1"},"docpreview":"https://pcsdata.baidu.com/doc/1?fid=3"},
            null],"share_id":2192088175,"uk":3809279679}"#),
        _ => {
            let entry = r#"{"path":"/a/b","size":"1"}"#;
            ok(&format!(r#"{{"errno":0,"shareid":"7","list":[{}]}}"#, vec![entry; 100].join(",")))
        }
    })
    .await;
    let (xpan, _) = open(&server);
    // The key as it is, or as the address shows it.
    for key in [KEY, "2CZ9rumLkLold9CVa3csKNCoVKuJsEtTL4n3m6SVsPc%3D"] {
        let shared = Shares::list(&xpan, &short(), key, None, None).await.unwrap();
        assert_eq!((shared.shareid.as_str(), shared.uk.as_str()), ("2192088175", "3809279679"));
        assert_eq!((shared.title.as_str(), &shared.page.next), ("/a/107812.pptx", &None));
        let [item] = shared.page.entries.as_slice() else { panic!("{shared:?}") };
        assert_eq!((item.fs_id.as_str(), item.size, item.category), ("391137377352125", 18_054_683, Some(4)));
        assert_eq!((item.server_mtime, item.isdir), (Some(1_593_679_688), false));
        assert!(item.lodocpreview.as_deref().unwrap().ends_with("fid=3&type=pdf&from=lo"));
        let seen = server.last();
        assert_eq!(seen.call(), "GET /rest/2.0/xpan/share");
        for (name, value) in [
            ("method", "list"),
            ("shorturl", SURL),
            ("page", "1"),
            ("num", "100"),
            ("root", "1"),
            ("sekey", KEY),
            ("fid", ""),
            ("access_token", ""),
        ] {
            assert_eq!(seen.asked(name).unwrap_or_default(), value, "{name}");
        }
    }
    let shared = Shares::list(&xpan, &numbers(), KEY, Some("55"), Some(Cursor::at(2))).await.unwrap();
    assert_eq!(
        (shared.shareid.as_str(), shared.page.entries.len(), shared.page.next),
        ("7", 100, Some(Cursor::at(3)))
    );
    let seen = server.last();
    assert_eq!((seen.asked("fid").unwrap().as_str(), seen.asked("root")), ("55", None));
}

#[tokio::test]
async fn a_link_is_described_whatever_its_errno_as_long_as_it_is_described() {
    let sample = r#"{"shareid":2192088175,"uk":3809279679,"dir":"","type":0,"prod_type":"share","page":1,"root":0,
        "third":0,"longurl":"shareid=2192088175uk=3809279679","fid":0,"errno":-3,"expire_days":7,"ctime":1596029492,
        "expiredtype":527864,"fcount":1,"uk_str":"3809279679"}"#;
    let server = Server::start(move |_| ok(sample)).await;
    let info = open(&server).0.info(&short(), KEY).await.unwrap();
    let expected = LinkInfo {
        shareid: "2192088175".into(),
        uk: "3809279679".into(),
        expire_days: Some(7),
        ctime: Some(1_596_029_492),
        fcount: Some(1),
    };
    assert_eq!(info, expected);
    let seen = server.last();
    assert_eq!(seen.call(), "GET /api/shorturlinfo");
    for (name, value) in [("shorturl", SURL), ("linksource", "zhihu"), ("spd", KEY), ("access_token", "")] {
        assert_eq!(seen.asked(name).unwrap_or_default(), value, "{name}");
    }
    // Without a linksource by its numbers, which the list has.
    let server = Server::start(move |seen| match seen.asked("method").as_deref() {
        Some("list") => ok(r#"{"errno":0,"list":[],"share_id":2192088175,"uk":3809279679}"#),
        _ => ok(sample),
    })
    .await;
    let bare = Link::Short { surl: SURL.into(), linksource: String::new() };
    assert_eq!(open(&server).0.info(&bare, KEY).await.unwrap(), expected);
    let asked = ["shorturl", "linksource", "shareid", "uk"].map(|name| server.last().asked(name));
    assert_eq!(asked, [None, None, Some("2192088175".into()), Some("3809279679".into())]);
    let words = Server::start(|_| ok(r#"{"shareid":"7","uk":0,"uk_str":"3809279679","errno":-3}"#)).await;
    assert_eq!(open(&words).0.info(&short(), KEY).await.unwrap().uk, "3809279679");
    for (json, kind) in [
        (r#"{"errno":-3}"#, Kind::Missing),
        (r#"{"errno":105,"shareid":0}"#, Kind::Refused),
        (r#"{"errno":0}"#, Kind::Broken),
        ("<html>", Kind::Broken),
    ] {
        let server = Server::start(move |_| ok(json)).await;
        assert_eq!(open(&server).0.info(&numbers(), "").await.unwrap_err().kind, kind, "{json}");
        assert_eq!(server.last().asked("spd"), None);
    }
}

#[tokio::test]
async fn files_of_a_link_are_saved_and_each_says_how_it_fared() {
    let save = |ondup| Save {
        shareid: "929539501".into(),
        uk: "29611008".into(),
        sekey: KEY.into(),
        ids: vec!["511854832260583".into(), "883280746409607".into()],
        path: "/测试".into(),
        ondup,
    };
    let server = Server::start(|_| {
        ok(r#"{"errno":0,"extra":{"list":[{"from":"/IMG_4500.JPG","from_fs_id":511854832260583,
        "to":"/测试/IMG_4500.JPG"}]},"info":[{"errno":0,"fsid":511854832260583,"path":"/IMG_4500.JPG"}],"newno":"",
        "request_id":3883433737624734161,"show_msg":"","task_id":0}"#)
    })
    .await;
    let (xpan, _) = open(&server);
    let saved = xpan.transfer(&save(OnDup::NewCopy), Run::Sync).await.unwrap();
    let done = |path: &str| ItemResult { path: path.into(), errno: 0, meaning: String::new() };
    let way = ("/IMG_4500.JPG".to_owned(), "/测试/IMG_4500.JPG".to_owned());
    assert_eq!(saved, Saved { taskid: None, info: vec![done("/IMG_4500.JPG")], saved: vec![way] });
    let seen = server.last();
    assert_eq!((seen.call(), seen.header("referer")), ("POST /rest/2.0/xpan/share", Some("pan.baidu.com")));
    for (name, value) in
        [("method", "transfer"), ("access_token", "t1"), ("shareid", "929539501"), ("from", "29611008")]
    {
        assert_eq!(seen.asked(name).as_deref(), Some(value), "{name}");
    }
    for (name, value) in [
        ("shareid", "929539501"),
        ("from", "29611008"),
        ("sekey", KEY),
        ("fsidlist", "[511854832260583,883280746409607]"),
        ("path", "/测试"),
        ("async", "0"),
        ("ondup", "newcopy"),
    ] {
        assert_eq!(seen.form(name).as_deref(), Some(value), "{name}");
    }
    xpan.transfer(&save(OnDup::Fail), Run::Async).await.unwrap();
    let seen = server.last();
    assert_eq!((seen.form("async").unwrap().as_str(), seen.form("ondup")), ("1", None));
    assert_eq!(xpan.transfer(&save(OnDup::Overwrite), Run::Sync).await.unwrap_err().kind, Kind::Refused);

    let task = Server::start(|_| ok(r#"{"errno":0,"task_id":77,"info":[],"newno":0}"#)).await;
    assert_eq!(
        open(&task).0.transfer(&save(OnDup::Fail), Run::Async).await.unwrap().taskid.as_deref(),
        Some("77")
    );
    // The table says `taskid`, the sample `task_id`: a cloud may have both, and 0 is none.
    let both = Server::start(|_| ok(r#"{"errno":0,"taskid":0,"task_id":77,"info":[]}"#)).await;
    let saved = open(&both).0.transfer(&save(OnDup::Fail), Run::Async).await.unwrap();
    assert_eq!(saved.taskid.as_deref(), Some("77"));
    let part =
        Server::start(|_| ok(r#"{"errno":12,"info":[{"errno":-9,"fsid":1},{"errno":10,"path":"/b"}]}"#))
            .await;
    let info = open(&part).0.transfer(&save(OnDup::Fail), Run::Sync).await.unwrap().info;
    let told: Vec<_> = info.iter().map(|item| (item.path.as_str(), item.errno)).collect();
    assert_eq!(told, [("1", -9), ("/b", 10)]);
    assert_eq!(info[0].meaning, "there is no such file or folder");
    assert_eq!(info[1].meaning, "the file is there already");

    let wait = |secs| Kind::Busy { after: Some(std::time::Duration::from_secs(secs)) };
    for (json, kind) in [
        (r#"{"errno":-9}"#, Kind::Refused),
        (r#"{"errno":111}"#, wait(10)),
        (r#"{"errno":120}"#, Kind::Refused),
        (r#"{"errno":130}"#, Kind::Refused),
        (r#"{"errno":-33}"#, Kind::Refused),
        (r#"{"errno":12}"#, Kind::Refused),
        (r#"{"errno":-3}"#, Kind::Missing),
        (r#"{"errno":5}"#, Kind::Refused),
        (r#"{"errno":0,"newno":-9}"#, Kind::Refused),
    ] {
        let server = Server::start(move |_| ok(json)).await;
        let error = open(&server).0.transfer(&save(OnDup::Fail), Run::Sync).await.unwrap_err();
        assert_eq!(error.kind, kind, "{json}");
    }
}
