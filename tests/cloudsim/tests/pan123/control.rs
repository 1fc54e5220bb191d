//! `/_sim/*` for this cloud: beside the other one, and never in its way.

use cloudsim::{Options, md5_hex};
use serde_json::{Value, json};

use crate::client::{Host, text};
use crate::common::read;

async fn get(host: &Host, verb: &str) -> Value {
    read(host.http.get(format!("{}/_sim/{verb}", host.sim.url())).send().await.unwrap()).await.1
}

#[tokio::test]
async fn the_files_of_both_clouds_are_shown_side_by_side() {
    let host = Host::new(Options::default()).await;
    host.sim.put_file("demo", "/apps/xpand/a.png", b"at baidu").unwrap();
    host.upload("", "a.png", b"at 123pan").await;
    let files = get(&host, "files").await["files"].clone();
    let shown: Vec<_> =
        files.as_array().unwrap().iter().map(|file| (&file["cloud"], &file["path"])).collect();
    assert_eq!(shown, [(&json!("baidu"), &json!("/apps/xpand/a.png")), (&json!("pan123"), &json!("/a.png"))]);
    assert_eq!((&files[1]["md5"], &files[1]["status"]), (&json!(md5_hex(b"at 123pan")), &json!(2)));
    assert_eq!(host.sim.files().len(), 2);
    assert!(host.sim.file("/a.png").is_none(), "that is a path at Baidu");
    assert!(host.sim.put_file("demo", "/pan123/b.png", b"x").is_err(), "not among the pictures");
}

#[tokio::test]
async fn tokens_expire_and_uploads_are_forgotten_for_one_cloud_or_for_both() {
    let host = Host::new(Options::default()).await;
    let token = json!({"cloud": "pan123", "access_token": "t2", "ttl_secs": 60, "account": "妈妈"});
    assert_eq!(host.control("token", token).await.0, 200);
    assert_eq!(host.sim.pan123().live_tokens("妈妈"), 1);
    host.sim.add_token("demo", "at-baidu", None, None).unwrap();
    let expired = async |body: Value| host.control("expire", body).await.1["expired"].clone();
    assert_eq!(expired(json!({"cloud": "baidu"})).await, 1);
    assert_eq!(expired(json!({"cloud": "pan123", "account": "妈妈"})).await, 1);
    assert_eq!(host.mkdir("", "a").await["code"], 0);
    assert_eq!(expired(json!({})).await, 3);
    assert_eq!(host.mkdir("", "b").await["code"], 401);
    assert!(host.sim.secrets().contains(&"t2".to_owned()));

    host.sim.pan123().add_token("demo", &host.token, None).unwrap();
    host.create("", "a.png", b"picture").await;
    let uploads = get(&host, "uploads").await["uploads"].clone();
    assert_eq!((&uploads[0]["cloud"], &uploads[0]["path"]), (&json!("pan123"), &json!("/a.png")));
    assert_eq!(uploads[0]["missing"], json!([1]));
    let forgotten = async |body: Value| host.control("forget_uploads", body).await.1["forgotten"].clone();
    assert_eq!(forgotten(json!({"cloud": "baidu"})).await, 0);
    assert_eq!(forgotten(json!({})).await, 1);
}

#[tokio::test]
async fn clients_slices_and_completion_change_on_request() {
    let host = Host::new(Options::default()).await;
    let client = json!({"client_id": "id-2", "client_secret": "secret-2", "account": "妈妈"});
    assert_eq!(host.control("client", client).await.0, 200);
    assert_eq!(host.access_token("id-2", "secret-2").await["code"], 0);
    assert_eq!(host.sim.pan123().live_tokens("妈妈"), 1);
    let behave = json!({"slice_size": "1KiB", "async_delay": "5s", "review_time": "1h"});
    assert_eq!(host.control("behave", behave).await.0, 200);
    let id = host.send("", "a.png", &[7; 2000]).await;
    assert_eq!(host.complete(&id).await["data"]["async"], true);
    host.control("behave", json!({"async_delay": "off"})).await;
    let id = host.upload("", "b.png", b"picture").await;
    assert_eq!(host.detail(&id).await["data"]["status"], 0, "not reviewed yet");
    for wrong in [json!({"slice_size": "big"}), json!({"async_delay": "soon"})] {
        assert_eq!(host.control("behave", wrong).await.0, 400);
    }
    assert_eq!(host.control("review", json!({"pattern": "(", "status": 101})).await.0, 400);
    assert_eq!(host.control("token", json!({"cloud": "third", "access_token": "x"})).await.0, 400);
}

#[tokio::test]
async fn the_log_has_every_call_without_its_secrets() {
    let host = Host::new(Options::default()).await;
    let token = text(&host.access_token("demo", "demo").await["data"]["accessToken"]);
    let host = Host { token, ..host };
    host.upload("", "a.png", b"picture").await;
    let calls = get(&host, "calls").await;
    assert!(!calls.to_string().contains(&host.token));
    let calls = host.sim.calls();
    let targets: Vec<String> = calls.iter().map(|call| format!("{} {}", call.method, call.path)).collect();
    assert_eq!(
        targets[..3],
        [
            "POST /api/v1/access_token",
            "POST /upload/v1/oss/file/create",
            "POST /upload/v1/oss/file/get_upload_url",
        ]
    );
    assert!(
        targets[3].starts_with("PUT /123-846/") && targets[4].ends_with("/upload_complete"),
        "{targets:?}"
    );
    assert!(calls.iter().all(|call| call.cloud == "pan123"));
    assert_eq!((&*calls[0].form["clientID"], &*calls[0].form["clientSecret"]), ("demo", "REDACTED"));
    assert_eq!((&*calls[1].form["filename"], &*calls[1].form["size"]), ("a.png", "7"));
    assert_eq!((calls[1].account.as_deref(), calls[3].account.as_deref()), (Some("demo"), None));
    assert_eq!(host.sim.count("upload_complete"), 1);
}

#[tokio::test]
async fn the_user_takes_things_away_and_a_reset_takes_everything() {
    let host = Host::new(Options::default()).await;
    let folder = host.folder("", "d").await;
    host.upload(&folder, "a.png", b"picture").await;
    host.upload(&folder, "b.png", b"another").await;
    let remove = async |path: &str| {
        host.control("remove", json!({"cloud": "pan123", "path": path})).await.1["removed"].clone()
    };
    assert_eq!(remove("/d/a.png").await, 1);
    assert_eq!(remove("/none").await, 0);
    assert_eq!(remove("/").await, 0, "the root stays");
    assert_eq!(remove("/d").await, 2);
    assert_eq!(host.sim.removed().len(), 4);
    host.upload("", "c.png", b"picture").await;
    host.create("", "d.png", b"half").await;
    assert_eq!(host.control("reset", json!({})).await.0, 200);
    assert!(host.sim.files().is_empty() && host.sim.open_uploads() == 0);
    assert!(!host.sim.data_dir().join("pan123").exists());
    assert_eq!(host.mkdir("", "x").await["code"], 401, "tokens are gone too");
    assert_eq!(host.access_token("demo", "demo").await["code"], 0, "the application is known still");
}
