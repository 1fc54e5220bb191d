//! Lists, counts and searches: what is asked, what is made of the documents' own samples and of odd ones.

use super::{ok, open};
use crate::cloud::files::{
    CategoryList, Count, Files, Item, ListAll, ListKind, Order, Place, Search, Sort, Want,
};
use crate::cloud::testing::{Seen, Server};
use crate::cloud::{Cursor, Kind, Page};

const TOP: Place<'static> = Place { path: "/测试目录", recursion: false };
const BELOW: Place<'static> = Place { path: "/测试目录", recursion: true };
const NEWEST: Sort = Sort { order: Order::Time, desc: true };

async fn answering(json: &'static str) -> Server {
    Server::start(move |_| ok(json)).await
}

/// The query without the token, in its order.
fn query(seen: &Seen) -> String {
    let line = seen.head.lines().next().unwrap();
    let query = line.split_once('?').unwrap().1.trim_end_matches(" HTTP/1.1");
    let text: Vec<String> = url::form_urlencoded::parse(query.as_bytes())
        .filter(|(key, _)| key != "access_token")
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    format!("{} {}", seen.call(), text.join("&"))
}

/// A page of so many files.
fn full(key: &str, count: usize, rest: &str) -> String {
    let entry = |i| format!(r#"{{"fs_id":{i},"path":"/a/{i}","size":1}}"#);
    let entries: Vec<String> = (0..count).map(entry).collect();
    format!(r#"{{"errno":0,"{key}":[{}]{rest}}}"#, entries.join(","))
}

#[tokio::test]
async fn a_folder_is_listed_as_the_document_shows_it() {
    let server = answering(
        r#"{"errno":0,"guid_info":"","list":[{"server_filename":"abc","privacy":0,"category":6,"unlist":0,
        "fs_id":770693330924692,"dir_empty":1,"server_atime":0,"server_ctime":1596078019,"local_mtime":1596078019,
        "size":0,"isdir":1,"share":0,"path":"/测试目录/abc","local_ctime":1596078019,"server_mtime":1596078019,
        "empty":0,"oper_id":2082810368},{"privacy":0,"category":2,"unlist":0,"fs_id":633507813519281,
        "server_mtime":1596077717,"server_atime":0,"server_ctime":1563282091,"oper_id":2082810368,
        "local_mtime":1247549551,"md5":"b8b5bd53e23dd40b5c4a650e272f2e19","share":0,
        "path":"/测试目录/Sleep Away.mp3","local_ctime":1247549558,"size":4842585,
        "server_filename":"Sleep Away.mp3","isdir":0,"thumbs":{"url1":"https://t/1","icon":null}}],
        "request_id":4904657509137213829,"guid":0}"#,
    )
    .await;
    let (xpan, _) = open(&server);
    let want = Want { thumbs: true, ..Want::default() };
    let page = Files::list(&xpan, "/测试目录", NEWEST, want, None).await.unwrap();
    let folder = Item {
        fs_id: "770693330924692".into(),
        path: "/测试目录/abc".into(),
        server_filename: "abc".into(),
        isdir: true,
        category: Some(6),
        local_ctime: Some(1_596_078_019),
        local_mtime: Some(1_596_078_019),
        server_ctime: Some(1_596_078_019),
        server_mtime: Some(1_596_078_019),
        dir_empty: Some(true),
        ..Item::default()
    };
    let file = Item {
        fs_id: "633507813519281".into(),
        path: "/测试目录/Sleep Away.mp3".into(),
        server_filename: "Sleep Away.mp3".into(),
        size: 4_842_585,
        category: Some(2),
        md5: Some("b8b5bd53e23dd40b5c4a650e272f2e19".into()),
        local_ctime: Some(1_247_549_558),
        local_mtime: Some(1_247_549_551),
        server_ctime: Some(1_563_282_091),
        server_mtime: Some(1_596_077_717),
        thumbs: [("url1".to_owned(), "https://t/1".to_owned())].into(),
        ..Item::default()
    };
    assert_eq!(page, Page { entries: vec![folder, file], next: None });
    let asked =
        "GET /rest/2.0/xpan/file method=list&dir=/测试目录&order=time&start=0&limit=1000&desc=1&web=web";
    assert_eq!(query(&server.last()), asked);
}

#[tokio::test]
async fn folders_alone_have_nothing_but_a_path() {
    let server = answering(r#"{"errno":0,"list":[{"path":"/a/b"},{"path":""},{"fs_id":1}]}"#).await;
    let want = Want { folders: true, ..Want::default() };
    let page =
        Files::list(&open(&server).0, "/a", Sort::default(), want, Some(Cursor::at(1000))).await.unwrap();
    let folder = Item { path: "/a/b".into(), server_filename: "b".into(), isdir: true, ..Item::default() };
    assert_eq!(page.entries, [folder]);
    let asked = "GET /rest/2.0/xpan/file method=list&dir=/a&order=name&start=1000&limit=1000&folder=1";
    assert_eq!(query(&server.last()), asked);
}

#[tokio::test]
async fn one_odd_entry_does_not_hide_the_others_and_numbers_may_be_words() {
    let server = answering(
        r#"{"errno":"0","list":[null,7,"x",[1],{},{"path":"/no size"},{"path":{"a":1},"size":1},
        {"path":"/a/b.jpg","size":"7","isdir":"0","category":"3","fs_id":18446744073709551615,"thumbs":[],"width":"x",
        "local_mtime":"1587609475","md5":"","dlink":null,"server_ctime":[]}]}"#,
    )
    .await;
    let page = Files::list(&open(&server).0, "/a", Sort::default(), Want::default(), None).await.unwrap();
    let file = Item {
        fs_id: "18446744073709551615".into(),
        path: "/a/b.jpg".into(),
        server_filename: "b.jpg".into(),
        size: 7,
        category: Some(3),
        local_mtime: Some(1_587_609_475),
        ..Item::default()
    };
    assert_eq!(page.entries, [file]);
}

#[tokio::test]
async fn listall_says_what_is_wanted_and_goes_on_where_the_cursor_says() {
    let server = Server::start(|seen| match seen.asked("start").as_deref() {
        Some("0") => ok(&full("list", 3, r#","has_more":1,"cursor":5"#)),
        Some("5") => ok(&full("list", 3, r#","has_more":0,"cursor":8"#)),
        _ => ok(&full("list", 3, r#","has_more":1,"cursor":8"#)),
    })
    .await;
    let (xpan, _) = open(&server);
    let ask = ListAll { sort: NEWEST, recursion: true, ctime: Some(5), mtime: Some(-5), thumbs: true };
    let first = Files::listall(&xpan, "/a", &ask, None).await.unwrap();
    assert_eq!((first.entries.len(), first.next.clone()), (3, Some(Cursor::at(5))));
    let asked = "GET /rest/2.0/xpan/multimedia \
                 method=listall&path=/a&recursion=1&order=time&desc=1&start=0&limit=1000&web=1&ctime=5&mtime=0";
    assert_eq!(query(&server.last()), asked);
    let second = Files::listall(&xpan, "/a", &ListAll::default(), first.next).await.unwrap();
    assert_eq!(second.next, None);
    let error = Files::listall(&xpan, "/a", &ListAll::default(), Some(Cursor::at(8))).await.unwrap_err();
    assert_eq!(error.to_string(), "listall: it says there is more, and not where");
}

#[tokio::test]
async fn documents_pictures_films_and_torrents_come_by_numbered_pages() {
    let server = Server::start(|seen| match seen.asked("page").as_deref() {
        Some("1") => ok(&full("info", 1000, "")),
        _ => ok(&full("info", 999, "")),
    })
    .await;
    let (xpan, _) = open(&server);
    for (kind, method) in [
        (ListKind::Doc, "doclist"),
        (ListKind::Image, "imagelist"),
        (ListKind::Video, "videolist"),
        (ListKind::Bt, "btlist"),
    ] {
        let want = Want { thumbs: true, ..Want::default() };
        let page = xpan.list_kind(kind, BELOW, NEWEST, want, None).await.unwrap();
        assert_eq!((page.entries.len(), page.next.clone()), (1000, Some(Cursor::at(2))));
        let asked = format!(
            "GET /rest/2.0/xpan/file \
             method={method}&parent_path=/测试目录&recursion=1&order=time&desc=1&page=1&num=1000&web=1"
        );
        assert_eq!(query(&server.last()), asked);
        let page =
            xpan.list_kind(kind, TOP, Sort::default(), Want::default(), Some(Cursor::at(2))).await.unwrap();
        assert_eq!((page.entries.len(), page.next), (999, None));
        assert!(query(&server.last()).ends_with("&recursion=0&order=name&desc=0&page=2&num=1000"));
    }
}

#[tokio::test]
async fn a_document_says_where_its_preview_begins_and_it_is_made_up_where_only_docpreview_came() {
    let server = answering(
        r#"{"errno":0,"info":[{"category":4,"fs_id":1019673715638979,"isdir":0,"size":11922,
        "lodocpreview":"http://pcsdata.baidu.com/doc/e7?fid=1&dp-callid=0&type=pdf&from=lo",
        "docpreview":"http://pcsdata.baidu.com/doc/e7?fid=1&dp-callid=0","md5":"e787c81b7j757a1cdcad35efd570081c",
        "path":"/测试目录/123456.docx","server_filename":"123456.docx"},
        {"path":"/b.docx","size":1,"docpreview":"http://pcsdata.baidu.com/doc/e8?fid=2"},
        {"path":"/c.docx","size":1,"docpreview":"http://pcsdata.baidu.com/doc/e9"},{"path":"/d.docx","size":1}]}"#,
    )
    .await;
    let (xpan, _) = open(&server);
    let page = xpan.list_kind(ListKind::Doc, TOP, Sort::default(), Want::default(), None).await.unwrap();
    let previews: Vec<_> = page.entries.iter().map(|item| item.lodocpreview.as_deref()).collect();
    assert_eq!(
        previews,
        [
            Some("http://pcsdata.baidu.com/doc/e7?fid=1&dp-callid=0&type=pdf&from=lo"),
            Some("http://pcsdata.baidu.com/doc/e8?fid=2&type=pdf&from=lo"),
            Some("http://pcsdata.baidu.com/doc/e9?type=pdf&from=lo"),
            None
        ]
    );
}

#[tokio::test]
async fn a_category_is_counted_however_the_answer_says_it() {
    let counted = |count, size| Count { count, size };
    for (json, count) in [
        (
            r#"{"errno":0,"info":{"3":{"total":2,"size":3746464,"count":2}},"request_id":1}"#,
            counted(2, 3_746_464),
        ),
        (r#"{"errno":0,"count":"5"}"#, counted(5, 0)),
        (r#"{"errno":0,"info":[]}"#, counted(0, 0)),
        (r#"{"errno":0,"info":{"4":{"count":2}}}"#, counted(0, 0)),
    ] {
        let server = answering(json).await;
        assert_eq!(open(&server).0.categoryinfo(3, TOP).await.unwrap(), count, "{json}");
        let asked = "GET /api/categoryinfo category=3&parent_path=/测试目录&recursion=0";
        assert_eq!(query(&server.last()), asked);
    }
}

#[tokio::test]
async fn categories_are_listed_with_their_extensions() {
    let server = answering(
        r#"{"cursor":2,"errmsg":"succ","errno":0,"has_more":0,"list":[{"category":3,"fs_id":864448650729567,
        "md5":"3ad446fda0d8d81302a991aef7136581","path":"/测试目录/testnac/水上乐园.jpg","server_ctime":1475996315,
        "server_filename":"水上乐园.jpg","server_mtime":1596078006,"size":233999,"thumbs":{"icon":"https://t/i"}}],
        "request_id":"40241514794500477"}"#,
    )
    .await;
    let (xpan, _) = open(&server);
    let ask = CategoryList { categories: vec![3, 4], ext: vec!["jpg".into(), "txt".into()] };
    let page = xpan.categorylist(&ask, BELOW, NEWEST, None).await.unwrap();
    assert_eq!((page.entries[0].size, page.entries[0].isdir, page.next), (233_999, false, None));
    let asked = "GET /rest/2.0/xpan/multimedia method=categorylist&category=3,4&parent_path=/测试目录&recursion=1\
                 &start=0&limit=1000&order=time&desc=1&ext=jpg,txt";
    assert_eq!(query(&server.last()), asked);
    let none = CategoryList::default();
    let error = xpan.categorylist(&none, BELOW, NEWEST, None).await.unwrap_err();
    assert_eq!((error.kind, error.sent), (Kind::Refused, false));
}

#[tokio::test]
async fn a_search_recurses_only_when_wanted_and_its_word_is_not_too_long() {
    let server = Server::start(|seen| match seen.asked("page").as_deref() {
        Some("1") => ok(&full("list", 2, r#","contentlist":[],"has_more":1"#)),
        Some("2") => ok(&full("list", 2, r#","has_more":0"#)),
        Some("3") => ok(&full("list", 0, r#","has_more":1"#)),
        _ => ok(&full("list", 500, "")),
    })
    .await;
    let (xpan, _) = open(&server);
    let key = |count: usize| Search { key: "ü".repeat(count), ..Search::default() };
    let plain = key(30);
    let first = xpan.search(&plain, TOP, None).await.unwrap();
    assert_eq!((first.entries.len(), first.next.clone()), (2, Some(Cursor::at(2))));
    let asked =
        format!("GET /rest/2.0/xpan/file method=search&key={}&dir=/测试目录&page=1&num=500", plain.key);
    assert_eq!(query(&server.last()), asked);

    let device_id = Some("104771607rs1607808".to_owned());
    let all = Search { category: Some(3), device_id, thumbs: true, ..key(1) };
    assert_eq!(xpan.search(&all, BELOW, first.next).await.unwrap().next, None);
    assert!(
        query(&server.last())
            .ends_with("&page=2&num=500&category=3&recursion=1&web=1&device_id=104771607rs1607808")
    );
    assert_eq!(xpan.search(&plain, TOP, Some(Cursor::at(3))).await.unwrap_err().kind, Kind::Broken);
    assert_eq!(xpan.search(&plain, TOP, Some(Cursor::at(4))).await.unwrap().next, Some(Cursor::at(5)));

    let calls = server.seen().len();
    for (count, words) in [
        (31, "search: the word to search for has 31 characters; the cloud takes 30"),
        (0, "search: there is no word to search for"),
    ] {
        let error = xpan.search(&key(count), TOP, None).await.unwrap_err();
        assert_eq!((error.kind, error.sent, error.to_string().as_str()), (Kind::Refused, false, words));
    }
    assert_eq!(server.seen().len(), calls, "nothing was asked");
}

#[tokio::test]
async fn filemetas_are_read_as_the_document_and_as_its_table_name_them() {
    let server = answering(
        r#"{"errmsg":"succ","errno":0,"list":[{"category":3,"date_taken":1364134922,
        "dlink":"https://d.pcs.baidu.com/file/1261?fid=1","filename":"AdventureCoveWaterparkMap.jpg",
        "fs_id":414244021542671,"height":1379,"isdir":"0","md5":"1261d72d03471f7b7b805fd60e024b8d",
        "path":"/测试目录/AdventureCoveWaterparkMap.jpg","server_ctime":1475996301,"server_mtime":1596077947,
        "size":642374,"thumbs":{"icon":"https://t/i"},"width":1600}],"names":{},"request_id":"4111827552384370545"}"#,
    )
    .await;
    let (xpan, _) = open(&server);
    let ids = |count: u64| (1..=count).map(|id| id.to_string()).collect::<Vec<_>>();
    let want = Want { thumbs: true, dlink: true, extra: true, folders: false };
    let items = xpan.filemetas(&ids(2), want).await.unwrap();
    let item = &items[0];
    assert_eq!(item.server_filename, "AdventureCoveWaterparkMap.jpg");
    assert_eq!((item.date_taken, item.width, item.height), (Some(1_364_134_922), Some(1600), Some(1379)));
    assert_eq!(item.dlink.as_deref(), Some("https://d.pcs.baidu.com/file/1261?fid=1"));
    let asked = "GET /rest/2.0/xpan/multimedia method=filemetas&fsids=[1,2]&thumb=1&dlink=1&extra=1";
    assert_eq!(query(&server.last()), asked);

    let other = answering(r#"{"errno":0,"info":[{"file_name":"b","path":"/a/c","size":1}]}"#).await;
    let items = open(&other).0.filemetas(&ids(1), Want::default()).await.unwrap();
    assert_eq!(items[0].server_filename, "b");

    let calls = server.seen().len();
    assert!(xpan.filemetas(&[], want).await.unwrap().is_empty());
    for (ids, words) in [
        (ids(101), "filemetas: 101 files were asked for at once; the cloud takes 100"),
        (vec!["1,2".to_owned()], "filemetas: \"1,2\" is no fs_id: a number is expected"),
    ] {
        let error = xpan.filemetas(&ids, want).await.unwrap_err();
        assert_eq!((error.kind, error.sent, error.to_string().as_str()), (Kind::Refused, false, words));
    }
    assert_eq!(server.seen().len(), calls, "nothing was asked");
}

#[tokio::test]
async fn ids_that_are_gone_are_left_out_whether_the_cloud_refuses_all_for_one_or_only_all() {
    // One bad id is held against all that are asked for with it, or only what is wholly bad.
    for (refuses_all_for_one, gone, calls) in [(false, 1..=100, 4), (false, 3..=3, 1), (true, 3..=3, 16)] {
        let lost = gone.clone();
        let server = Server::start(move |seen| {
            let ids: Vec<u64> = serde_json::from_str(&seen.asked("fsids").unwrap()).unwrap();
            let there: Vec<_> = ids.iter().filter(|id| !lost.contains(*id)).collect();
            if there.is_empty() || (refuses_all_for_one && there.len() < ids.len()) {
                return (200, r#"{"errno":42214,"errmsg":"get file basic info failed"}"#.to_owned());
            }
            let list: Vec<String> =
                there.iter().map(|id| format!(r#"{{"fs_id":{id},"path":"/a/{id}","size":1}}"#)).collect();
            (200, format!(r#"{{"errno":0,"list":[{}]}}"#, list.join(",")))
        })
        .await;
        let (xpan, _) = open(&server);
        let ids: Vec<String> = (1..=100_u64).map(|id| id.to_string()).collect();
        let items = xpan.filemetas(&ids, Want::default()).await.unwrap();
        let mut found: Vec<u64> = items.iter().map(|item| item.fs_id.parse().unwrap()).collect();
        found.sort_unstable();
        let there: Vec<u64> = (1..=100).filter(|id| !gone.contains(id)).collect();
        assert_eq!(found, there);
        assert!(server.seen().len() <= calls + 4, "{refuses_all_for_one} {gone:?}: {}", server.seen().len());
    }
    let server = answering(r#"{"errno":42214}"#).await;
    let (xpan, _) = open(&server);
    assert!(xpan.filemetas(&["1".to_owned()], Want::default()).await.unwrap().is_empty());
    assert_eq!(server.seen().len(), 1);
}
