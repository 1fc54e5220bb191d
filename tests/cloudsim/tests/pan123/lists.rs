//! list, page by page and within times, and delete of what is in folders.

use std::time::Duration;

use cloudsim::Options;
use serde_json::{Value, json};

use crate::client::{Host, text};

fn names(answer: &Value) -> Vec<&str> {
    let files = answer["data"]["fileList"].as_array().unwrap_or_else(|| panic!("{answer}"));
    files.iter().map(|file| file["filename"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn pages_lead_to_the_end_though_files_come_and_go() {
    let host = Host::new(Options::default()).await;
    for n in 0..5 {
        host.sim.pan123().put_file("demo", &format!("/d/{n}.png"), &[n]).unwrap();
    }
    let folder = host.sim.pan123().id("demo", "/d").unwrap();
    let page = async |last: &str| {
        host.list(json!({"parentFileId": folder, "limit": 2, "type": 1, "lastFileId": last})).await
    };
    let first = page("").await;
    assert_eq!(names(&first), ["4.png", "3.png"], "the newest first");
    let last = text(&first["data"]["lastFileId"]);
    assert_eq!(last, host.sim.pan123().id("demo", "/d/2.png").unwrap(), "代表下一页开始的文件id");
    host.sim.pan123().remove("demo", "/d/2.png").unwrap();
    host.sim.pan123().put_file("demo", "/d/5.png", b"5").unwrap();
    let second = page(&last).await;
    assert_eq!((names(&second), &second["data"]["lastFileId"]), (vec!["1.png", "0.png"], &json!("-1")));
    assert_eq!(names(&page("-1").await), Vec::<&str>::new());
    assert_eq!(page("x").await["code"], 1);
}

#[tokio::test]
async fn a_full_last_page_is_the_end_and_folders_are_listed_beside_pictures() {
    let host = Host::new(Options::default()).await;
    host.folder("", "d").await;
    host.upload("", "a.png", b"a").await;
    let answer = host.list(json!({"parentFileId": "", "limit": 2, "type": 1})).await;
    assert_eq!((names(&answer), &answer["data"]["lastFileId"]), (vec!["a.png", "d"], &json!("-1")));
    let root = text(&answer["data"]["fileList"][0]["parentFileId"]);
    let again = host.list(json!({"parentFileId": root, "limit": 2, "type": 1})).await;
    assert_eq!(again["data"], answer["data"], "the root has an id, too");
}

#[tokio::test]
async fn times_narrow_a_list_down() {
    let host = Host::new(Options::default()).await;
    host.upload("", "old.png", b"old").await;
    host.sim.advance(Duration::from_secs(1000));
    host.upload("", "new.png", b"new").await;
    let between = host.sim.files().iter().map(|file| file.server_ctime).max().unwrap() - 500;
    let list = async |key: &str| host.list(json!({"limit": 100, "type": 1, key: between})).await;
    assert_eq!(names(&list("startTime").await), ["new.png"]);
    assert_eq!(names(&list("endTime").await), ["old.png"]);
}

#[tokio::test]
async fn a_folder_goes_with_what_is_in_it() {
    let host = Host::new(Options::default()).await;
    let outer = host.folder("", "a").await;
    let inner = host.folder(&outer, "b").await;
    let id = host.upload(&inner, "c.png", b"picture").await;
    assert_eq!(host.sim.files()[0].path, "/a/b/c.png");
    assert_eq!(host.delete(&[&outer, "unknown"]).await["code"], 0, "what is not there is passed over");
    assert!(host.sim.files().is_empty());
    assert!(!host.sim.data_dir().join("pan123/a").exists());
    assert_eq!(host.detail(&id).await["code"], 5066);
    assert_eq!(host.create(&inner, "d.png", b"x").await["code"], 5066, "a folder id that is gone");
    assert_eq!(host.delete(&[&outer]).await["code"], 5066);
}
