//! Batches, tasks and new folders: what is sent, and that a part of a batch may fail.

use super::{ok, open};
use crate::cloud::files::{
    Files, ItemResult, MOST_MANAGED, Managed, OnDup, Opera, Run, Task, TaskStatus, Transfer,
};
use crate::cloud::testing::Server;
use crate::cloud::{Copies as _, Kind, Stored};

fn way(path: &str, ondup: OnDup) -> Transfer {
    let (dest, newname) = ("/测试目录/abc".into(), "11223.docx".into());
    Transfer { path: path.into(), dest, newname, ondup }
}

fn fared(path: &str, errno: i64, meaning: &str) -> ItemResult {
    ItemResult { path: path.into(), errno, meaning: meaning.into() }
}

#[tokio::test]
async fn each_opera_is_sent_as_the_document_shows_it() {
    let server = Server::start(|_| ok(r#"{"errno":0,"info":[],"request_id":4933141731265056648}"#)).await;
    let (xpan, _) = open(&server);
    let path = "/测试目录/123456.docx";
    let list = |ondup: &str| {
        format!(
            r#"[{{"dest":"/测试目录/abc","newname":"11223.docx","ondup":"{ondup}","path":"/测试目录/123456.docx"}}]"#
        )
    };
    for (opera, run, word, number, filelist) in [
        (Opera::Copy(vec![way(path, OnDup::Fail)]), Run::Sync, "copy", "0", list("fail")),
        (Opera::Copy(vec![way(path, OnDup::Skip)]), Run::Sync, "copy", "0", list("skip")),
        (Opera::Move(vec![way(path, OnDup::NewCopy)]), Run::Adaptive, "move", "1", list("newcopy")),
        (Opera::Move(vec![way(path, OnDup::Overwrite)]), Run::Async, "move", "2", list("overwrite")),
        (
            Opera::Rename(vec![(path.into(), "a \"b\".docx".into())]),
            Run::Sync,
            "rename",
            "0",
            r#"[{"newname":"a \"b\".docx","path":"/测试目录/123456.docx"}]"#.to_owned(),
        ),
        (Opera::Delete(vec![path.into()]), Run::Async, "delete", "2", format!("[\"{path}\"]")),
    ] {
        assert_eq!(xpan.filemanager(&opera, run).await.unwrap(), Managed::default());
        let seen = server.last();
        assert_eq!(seen.call(), "POST /rest/2.0/xpan/file");
        assert_eq!(seen.asked("method").unwrap(), "filemanager");
        assert_eq!((seen.asked("opera").unwrap(), seen.form("opera")), (word.to_owned(), None));
        assert_eq!(
            (seen.form("async").unwrap(), seen.form("filelist").unwrap()),
            (number.to_owned(), filelist)
        );
    }
}

#[tokio::test]
async fn a_batch_that_failed_in_part_says_how_each_item_fared() {
    let missing = "there is no such file or folder";
    let exists = "there is a file or folder of this name already";
    for (json, taskid, info) in [
        (r#"{"errno":0,"info":[],"taskid":305630575292492}"#, Some("305630575292492"), vec![]),
        (r#"{"errno":0,"info":[{"errno":0,"path":"\/a"}],"taskid":0}"#, None, vec![fared("/a", 0, "")]),
        (r#"{"errno":0}"#, None, vec![]),
        (
            r#"{"errno":12,"info":[{"errno":0,"path":"/a"},{"errno":-9,"path":"/b"},{"errno":"-8"}],"taskid":"0"}"#,
            None,
            vec![fared("/a", 0, ""), fared("/b", -9, missing), fared("/c", -8, exists)],
        ),
        // A copy onto something that exists (field notes 3.8).
        (
            r#"{"errno":0,"info":[{"errno":0,"newno":-8,"path":"/a"},{"errno":0,"newno":"","path":"/b"},null]}"#,
            None,
            vec![fared("/a", -8, exists), fared("/b", 0, ""), fared("/c", 0, "")],
        ),
    ] {
        let server = Server::start(move |_| ok(json)).await;
        let opera = Opera::Delete(vec!["/a".into(), "/b".into(), "/c".into()]);
        let managed = open(&server).0.filemanager(&opera, Run::Sync).await.unwrap();
        assert_eq!(managed, Managed { taskid: taskid.map(str::to_owned), info }, "{json}");
    }
}

#[tokio::test]
async fn a_call_that_failed_as_a_whole_is_a_failure() {
    for (json, kind) in [
        (r#"{"errno":12}"#, Kind::Refused),
        (r#"{"errno":12,"info":[]}"#, Kind::Refused),
        // One of two is told of, and the other is not.
        (r#"{"errno":-7,"info":[{"errno":-7,"path":"/a"}]}"#, Kind::Refused),
        // Nothing failed: then what did?
        (r#"{"errno":12,"info":[{"errno":0},{"errno":0}]}"#, Kind::Refused),
        (r#"{"errno":-6,"info":[{"errno":-6},{"errno":-6}]}"#, Kind::Unauthorized),
        (r#"{"errno":132}"#, Kind::Blocked { after: std::time::Duration::from_secs(6 * 3600) }),
        (r#"{"errno":111}"#, Kind::Busy { after: Some(std::time::Duration::from_secs(10)) }),
    ] {
        let server = Server::start(move |_| ok(json)).await;
        let opera = Opera::Delete(vec!["/a".into(), "/b".into()]);
        let error = open(&server).0.filemanager(&opera, Run::Sync).await.unwrap_err();
        assert_eq!(error.kind, kind, "{json}");
    }
    // A cloud that says the number of the one that failed still tells of each.
    let server = Server::start(|_| ok(r#"{"errno":-9,"info":[{"errno":"-9"},{"errno":0}]}"#)).await;
    let opera = Opera::Delete(vec!["/a".into(), "/b".into()]);
    let managed = open(&server).0.filemanager(&opera, Run::Sync).await.unwrap();
    assert_eq!(managed.info, [fared("/a", -9, "there is no such file or folder"), fared("/b", 0, "")]);
    // Neither too much nor nothing is sent at all.
    let server = Server::start(|_| ok("{}")).await;
    let (xpan, _) = open(&server);
    let many = Opera::Delete(vec!["/a".into(); MOST_MANAGED + 1]);
    let error = xpan.filemanager(&many, Run::Sync).await.unwrap_err();
    assert_eq!(error.to_string(), "filemanager: 1000 items were given at once; the cloud takes 999");
    assert!(!error.sent);
    assert_eq!(xpan.filemanager(&Opera::Copy(vec![]), Run::Sync).await.unwrap(), Managed::default());
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_task_is_asked_for_until_its_end() {
    let task = |status, errno, info| Task { status, errno, info };
    for (json, expected) in [
        (r#"{"errno":0,"status":"pending"}"#, task(TaskStatus::Pending, 0, vec![])),
        (r#"{"errno":0,"status":"running","progress":40}"#, task(TaskStatus::Running, 0, vec![])),
        (
            r#"{"errno":0,"task_errno":0,"status":"success","list":[{"from":"/a","to":"/b"}]}"#,
            task(TaskStatus::Success, 0, vec![fared("/a", 0, "")]),
        ),
        (
            r#"{"errno":0,"task_errno":"12","status":"failed","list":[{"path":"/a","error_code":-9}]}"#,
            task(TaskStatus::Failed, 12, vec![fared("/a", -9, "there is no such file or folder")]),
        ),
    ] {
        let server = Server::start(move |_| ok(json)).await;
        assert_eq!(open(&server).0.taskquery("305630575292492").await.unwrap(), expected, "{json}");
        let seen = server.last();
        assert_eq!(seen.call(), "GET /share/taskquery");
        assert_eq!(seen.asked("taskid").unwrap(), "305630575292492");
        assert_eq!(seen.asked("access_token").unwrap(), "t1");
    }
    for (json, kind) in
        [(r#"{"errno":36016}"#, Kind::Missing), (r#"{"errno":0,"status":"odd"}"#, Kind::Broken)]
    {
        let server = Server::start(move |_| ok(json)).await;
        assert_eq!(open(&server).0.taskquery("1").await.unwrap_err().kind, kind);
    }
}

#[tokio::test]
async fn a_folder_is_made_and_one_that_is_there_is_no_failure() {
    let server = Server::start(|_| ok(r#"{"errno":0,"fs_id":7,"isdir":1,"name":"/apps/xpand/a b"}"#)).await;
    let stored = open(&server).0.create_folder("/apps/xpand/a b").await.unwrap();
    assert_eq!(stored, Stored { id: "7".into(), path: "/apps/xpand/a b".into(), size: 0 });
    let seen = server.last();
    assert_eq!((seen.call(), seen.asked("method").unwrap().as_str()), ("POST /rest/2.0/xpan/file", "create"));
    for (key, value) in [("path", "/apps/xpand/a b"), ("size", "0"), ("isdir", "1"), ("rtype", "0")] {
        assert_eq!(seen.form(key).as_deref(), Some(value), "{key}");
    }

    // There already: a folder can be listed, a file cannot.
    for (listing, kind) in [(r#"{"errno":0,"list":[]}"#, None), (r#"{"errno":-9}"#, Some(Kind::Exists))] {
        let server = Server::start(move |seen| match seen.call() {
            "POST /rest/2.0/xpan/file" => ok(r#"{"errno":-8}"#),
            _ => ok(listing),
        })
        .await;
        let made = open(&server).0.create_folder("/apps/xpand/a").await;
        assert_eq!(made.as_ref().err().map(|error| error.kind), kind);
        assert!(made.is_err() || made.unwrap().path == "/apps/xpand/a");
    }
}

#[tokio::test]
async fn a_copy_whose_folder_cannot_be_made_does_not_keep_the_others_from_being_made() {
    let server =
        Server::start(|seen| match (seen.asked("method").as_deref(), seen.form("path").as_deref()) {
            (Some("create"), Some("/apps/x/taken.jpg")) => ok(r#"{"errno":-8}"#),
            (Some("create"), _) => ok(r#"{"errno":0,"fs_id":1,"path":"/apps/x/new"}"#),
            (Some("list"), _) => ok(r#"{"errno":-9}"#),
            _ => {
                ok(r#"{"errno":12,"info":[{"errno":-9,"path":"/apps/x/b"},{"errno":-8,"path":"/apps/x/c"}]}"#)
            }
        })
        .await;
    let (xpan, _) = open(&server);
    let files = [
        ("/apps/x/a", "/apps/x/taken.jpg/a"),
        ("/apps/x/b", "/apps/x/new/b"),
        ("/apps/x/c", "/apps/x/new/c"),
    ];
    // What is gone is not there; of what has the name the listing tells.
    assert_eq!(xpan.copy(&files).await.unwrap(), [false, false, true]);
    let asked = server.last().form("filelist").unwrap();
    assert!(!asked.contains("taken") && asked.matches("newname").count() == 2, "{asked}");
    // Nothing is asked for where nothing is left to ask.
    assert_eq!(xpan.copy(&files[..1]).await.unwrap(), [false]);
    assert_ne!(server.last().asked("method").unwrap(), "filemanager");
}
