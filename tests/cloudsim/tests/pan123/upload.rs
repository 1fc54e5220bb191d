//! Uploads: several slices, instant ones, the same content twice, and completion that takes its time.

use std::time::Duration;

use cloudsim::{CloudSim, Options, Pan123Options, md5_hex};
use serde_json::json;

use crate::client::{Host, refusal, text};
use crate::common::bytes;

/// A cloud of 1000-byte slices.
fn small_slices() -> Options {
    let pan123 = Pan123Options { slice_size: 1000, ..Pan123Options::default() };
    Options { pan123, ..Options::default() }
}

#[tokio::test]
async fn several_slices_are_joined_in_their_order_whatever_order_they_came_in() {
    let host = Host::new(small_slices()).await;
    let content = bytes(2500, 1);
    let answer = host.create("", "a.png", &content).await;
    assert_eq!(answer["data"]["sliceSize"], 1000);
    let id = text(&answer["data"]["preuploadID"]);
    for number in [3, 1, 2] {
        let answer = host.upload_url(&id, number).await;
        assert_eq!(answer["data"]["isMultipart"], true);
        let slice = content.chunks(1000).nth(number as usize - 1).unwrap();
        assert_eq!(host.put(&text(&answer["data"]["presignedURL"]), slice).await.0, 200);
    }
    let answer = host.complete(&id).await;
    assert_eq!((&answer["data"]["async"], &answer["data"]["completed"]), (&json!(false), &json!(true)));
    assert_eq!(host.sim.pan123().read("/a.png").unwrap(), content);
    let file = host.sim.pan123().file("/a.png").unwrap();
    assert_eq!(file.file_id, text(&answer["data"]["fileID"]));
    assert_eq!((file.cloud, file.created, file.instant), ("pan123", 1, false));
    assert_eq!(file.block_list, content.chunks(1000).map(md5_hex).collect::<Vec<_>>());
    assert_eq!(file.disk, host.sim.data_dir().join("pan123/a.png"));
}

#[tokio::test]
async fn missing_slices_are_told_and_can_still_be_sent() {
    let host = Host::new(small_slices()).await;
    let content = bytes(2500, 1);
    let id = text(&host.create("", "a.png", &content).await["data"]["preuploadID"]);
    for number in [1, 3] {
        let url = text(&host.upload_url(&id, number).await["data"]["presignedURL"]);
        host.put(&url, content.chunks(1000).nth(number as usize - 1).unwrap()).await;
    }
    let (code, message) = refusal(&host.complete(&id).await);
    assert!(code != 0 && message.contains("[2]"), "{code} {message}");
    let url = text(&host.upload_url(&id, 2).await["data"]["presignedURL"]);
    host.put(&url, &content[1000..2000]).await;
    assert_eq!(host.complete(&id).await["data"]["completed"], true);
}

#[tokio::test]
async fn a_slice_that_came_again_counts_as_it_came_last() {
    let host = Host::new(Options::default()).await;
    let id = text(&host.create("", "a.png", b"right").await["data"]["preuploadID"]);
    let url = text(&host.upload_url(&id, 1).await["data"]["presignedURL"]);
    for slice in [b"wrong", b"right"] {
        assert_eq!(host.put(&url, slice).await.0, 200, "an address is good until its time is over");
    }
    assert_eq!(host.complete(&id).await["data"]["completed"], true);
}

#[tokio::test]
async fn content_that_any_account_has_is_there_at_once() {
    let host = Host::new(Options::default()).await;
    host.sim.pan123().put_file("妈妈", "/hers/a.png", b"picture").unwrap();
    let folder = host.folder("", "mine").await;
    let answer = host.create(&folder, "b.jpg", b"picture").await;
    let data = answer["data"].as_object().unwrap();
    assert_eq!((&data["reuse"], data.get("preuploadID")), (&json!(true), None), "该字段不存在");
    let file = host.sim.pan123().file("/mine/b.jpg").unwrap();
    assert_eq!(data["fileID"], file.file_id);
    assert!(file.instant);
    assert_eq!(std::fs::read(file.disk).unwrap(), b"picture");
    assert_eq!(host.sim.files().len(), 2);
    let hers = &host.sim.files()[1];
    assert!(hers.disk.starts_with(host.sim.data_dir().join(".cloudsim/pan123/users")), "{hers:?}");
}

#[tokio::test]
async fn the_same_content_in_one_folder_is_one_picture_under_its_last_name() {
    let host = Host::new(Options::default()).await;
    let id = host.upload("", "first.png", b"picture").await;
    let answer = host.create("", "second.png", b"picture").await;
    assert_eq!((&answer["data"]["reuse"], &answer["data"]["fileID"]), (&json!(true), &json!(id)));
    let files = host.sim.files();
    assert_eq!((files.len(), files[0].path.as_str()), (1, "/second.png"));
    assert_eq!((files[0].created, files[0].overwritten), (2, 1));
    assert!(!host.sim.data_dir().join("pan123/first.png").exists());
    let again = host.create("", "second.png", b"picture").await;
    assert_eq!(again["data"]["fileID"], json!(id), "a second try of the same does no harm");
    assert_eq!(host.sim.files()[0].overwritten, 1);
    let folder = host.folder("", "other").await;
    let other = host.create(&folder, "first.png", b"picture").await;
    assert_ne!(other["data"]["fileID"], json!(id), "another folder has its own");
    assert_eq!(host.sim.files().len(), 2);
}

#[tokio::test]
async fn two_uploads_of_one_content_at_the_same_time_make_one_picture() {
    let host = Host::new(Options::default()).await;
    let one = host.send("", "a.png", b"picture").await;
    let two = host.send("", "b.png", b"picture").await;
    let one = host.complete(&one).await;
    let two = host.complete(&two).await;
    assert_eq!(text(&one["data"]["fileID"]), text(&two["data"]["fileID"]));
    assert_eq!(host.sim.files()[0].path, "/b.png");
    assert_eq!(host.sim.files().len(), 1);
}

#[tokio::test]
async fn completion_can_take_its_time_and_says_so_as_often_as_it_is_asked() {
    let host = Host::new(Options::default()).await;
    host.sim.pan123().set_async(Some(Duration::from_secs(5)));
    let id = host.send("", "a.png", b"picture").await;
    for _ in 0..2 {
        let answer = host.complete(&id).await;
        assert_eq!(answer["data"], json!({"async": true, "completed": false, "fileID": ""}));
        assert_eq!(host.result(&id).await["data"], json!({"completed": false, "fileID": ""}));
    }
    assert!(host.sim.files().is_empty());
    assert_eq!(host.sim.open_uploads(), 1);
    host.sim.advance(Duration::from_secs(5));
    let file_id = host.sim.files()[0].file_id.clone();
    assert_eq!(host.sim.open_uploads(), 0);
    for _ in 0..2 {
        assert_eq!(host.result(&id).await["data"], json!({"completed": true, "fileID": file_id}));
        assert_eq!(host.complete(&id).await["data"]["fileID"], json!(file_id));
    }
    assert_eq!(host.sim.files()[0].created, 1);
}

#[tokio::test]
async fn two_completions_at_once_make_one_picture() {
    let host = Host::new(Options::default()).await;
    let content = bytes(3 << 20, 1);
    let id = host.send("", "a.png", &content).await;
    let (a, b) = tokio::join!(host.complete(&id), host.complete(&id));
    for answer in [&a, &b] {
        let code = answer["code"].as_i64().unwrap();
        assert!(code == 20103 || answer["data"]["completed"] == true, "{answer}");
    }
    assert_eq!(host.sim.files().len(), 1);
    assert_eq!(host.sim.files()[0].created, 1);
}

#[tokio::test]
async fn everything_but_faults_survives_a_new_server() {
    let folder = tempfile::tempdir().unwrap();
    let options = || Options { data: Some(folder.path().into()), ..small_slices() };
    let content = bytes(1500, 1);
    let (dir, file_id, half, checking);
    {
        let host = Host::new(options()).await;
        dir = host.folder("", "照片").await;
        file_id = host.upload(&dir, "a.png", b"picture").await;
        half = text(&host.create(&dir, "b.png", &content).await["data"]["preuploadID"]);
        let url = text(&host.upload_url(&half, 1).await["data"]["presignedURL"]);
        host.put(&url, &content[..1000]).await;
        checking = host.send(&dir, "c.png", b"third").await;
        host.sim.pan123().set_async(Some(Duration::from_secs(60)));
        host.complete(&checking).await;
        host.sim.pan123().review("a.png", 103).unwrap();
        host.sim.shutdown().await;
    }
    let host = Host::of(CloudSim::start(options()).await.unwrap());
    let detail = host.detail(&file_id).await;
    assert_eq!((&detail["data"]["filename"], &detail["data"]["status"]), (&json!("a.png"), &json!(103)));
    assert_eq!(detail["data"]["parentFileId"], json!(dir));
    assert_eq!(host.result(&checking).await["data"]["completed"], false);
    host.sim.advance(Duration::from_secs(60));
    assert_eq!(host.result(&checking).await["data"]["completed"], true);
    let url = text(&host.upload_url(&half, 2).await["data"]["presignedURL"]);
    host.put(&url, &content[1000..]).await;
    assert_eq!(host.complete(&half).await["data"]["completed"], true);
    assert_eq!(host.sim.pan123().read("/照片/b.png").unwrap(), content);
    assert_eq!(host.sim.files().len(), 3);
}
