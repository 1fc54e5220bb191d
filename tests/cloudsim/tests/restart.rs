//! What survives: going offline and coming back, a new server on old data, several users, a reset.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

mod common;
use std::io::{BufRead, Write};

use cloudsim::{CloudSim, Options};
use common::*;
use serde_json::json;

const PATH: &str = "/apps/xpand/照片/a.mov";

#[tokio::test]
async fn offline_means_refused_and_back_means_the_same_address() {
    let rig = Rig::new(Options::default()).await;
    let url = rig.url("/api/quota");
    assert_eq!(rig.get("/api/quota").await["errno"], 0);
    rig.sim.stop();
    assert!(rig.http.get(&url).send().await.is_err());
    let refused = std::net::TcpStream::connect(rig.sim.addr()).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    rig.sim.restart().unwrap();
    assert_eq!(rig.url("/api/quota"), url);
    assert_eq!(rig.get("/api/quota").await["errno"], 0);
}

#[tokio::test]
async fn files_tokens_devices_and_half_done_uploads_survive_a_new_server() {
    let folder = tempfile::tempdir().unwrap();
    let options = || Options { data: Some(folder.path().into()), ..Options::default() };
    let content = bytes(9 * MIB, 1);
    let (before, uploadid, device);
    {
        let rig = Rig::new(options()).await;
        rig.upload(PATH, &bytes(5 * MIB, 2), "1").await;
        before = rig.sim.file(PATH).unwrap();
        let path = "/rest/2.0/xpan/device?method=register&device_type=2020073115900228875&device_addr=a";
        device = rig.get(path).await["device_id"].clone();
        let answer = rig.precreate("/apps/xpand/b.mov", content.len(), &blocks(&content), &[]).await;
        uploadid = answer["uploadid"].as_str().unwrap().to_owned();
        rig.slice("/apps/xpand/b.mov", &uploadid, 1, part(&content, 1)).await;
        rig.sim.shutdown().await;
    }
    // As if the last line had been cut off by a kill.
    let journal = folder.path().join(".cloudsim/files.jsonl");
    let mut file = std::fs::OpenOptions::new().append(true).open(journal).unwrap();
    file.write_all(b"{\"put\":{\"account\":\"demo\",\"en").unwrap();

    let sim = CloudSim::start(options()).await.unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let rig = Rig { sim, http };
    let after = rig.sim.file(PATH).unwrap();
    assert_eq!((after.fs_id, after.md5, after.cloud_md5), (before.fs_id, before.md5, before.cloud_md5));
    let path = "/rest/2.0/xpan/device?method=register&device_type=2020073115900228875&device_addr=a";
    assert_eq!(rig.get(path).await["device_id"], device);
    let more = [("uploadid", uploadid.as_str())];
    let answer = rig.precreate("/apps/xpand/b.mov", content.len(), &blocks(&content), &more).await;
    assert_eq!((&answer["errno"], &answer["block_list"]), (&json!(0), &json!([0, 2])));
    assert_eq!(answer["uploadid"], json!(uploadid));
    for partseq in [0, 2] {
        rig.slice("/apps/xpand/b.mov", &uploadid, partseq, part(&content, partseq)).await;
    }
    let answer = rig.create("/apps/xpand/b.mov", content.len(), &uploadid, &blocks(&content), &[]).await;
    assert_eq!(answer["errno"], 0, "{answer}");
    assert_eq!(rig.sim.read("/apps/xpand/b.mov").unwrap(), content);
}

/// `cloudsim serve` on a free port, and the address it says it serves.
fn serve(data: &std::path::Path) -> (std::process::Child, String) {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_cloudsim"))
        .args(["serve", "--listen", "127.0.0.1:0", "--app", "xpand", "--auto-approve", "--data"])
        .arg(data)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.split_whitespace().nth(2).unwrap().to_owned();
    (child, url)
}

#[tokio::test]
async fn the_command_serves_and_remembers_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let (mut child, url) = serve(folder.path());
    let token = json!({"account": "demo", "access_token": "t", "refresh_token": "r"}).to_string();
    assert_eq!(http.post(format!("{url}/_sim/token")).body(token).send().await.unwrap().status(), 200);
    let form = [("path", "/apps/xpand/photo"), ("size", "0"), ("isdir", "1"), ("rtype", "0")];
    let mkdir = |url: &str| {
        let url = format!("{url}/rest/2.0/xpan/file?method=create&access_token=t");
        http.post(url).form(&form).send()
    };
    assert_eq!(read(mkdir(&url).await.unwrap()).await.1["errno"], 0);
    child.kill().unwrap();
    child.wait().unwrap();
    let (mut child, url) = serve(folder.path());
    let answer = read(mkdir(&url).await.unwrap()).await.1;
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(answer["errno"], -8, "token and folder are still known");
}

#[tokio::test]
async fn users_have_drives_of_their_own() {
    let rig = Rig::new(Options::default()).await;
    let (status, _) =
        rig.sim_post("token", json!({"account": "../妈妈", "access_token": "m", "refresh_token": "r"})).await;
    assert_eq!(status, 200);
    rig.sim.put_file("../妈妈", "/apps/xpand/a", b"hers").unwrap();
    rig.upload("/apps/xpand/a", b"his", "1").await;
    let files = rig.sim.files();
    assert_eq!(files.len(), 2);
    for file in &files {
        assert!(file.disk.starts_with(rig.sim.data_dir()));
        assert!(!file.disk.to_string_lossy().contains(".."));
    }
    let url = format!("{}/rest/2.0/xpan/nas?method=uinfo&access_token=m", rig.sim.url());
    assert_eq!(rig.get_raw(&url).await.1["baidu_name"], "../妈妈");
    let url = format!("{}/rest/2.0/xpan/file?method=list&dir=/apps/xpand&access_token=m", rig.sim.url());
    assert_eq!(rig.get_raw(&url).await.1["list"][0]["size"], 4);
}

#[tokio::test]
async fn two_creates_of_one_uploadid_make_one_file() {
    let rig = Rig::new(Options::default()).await;
    let content = bytes(9 * MIB, 3);
    let uploadid = rig.send(PATH, &content, "1").await;
    let list = blocks(&content);
    let create = || rig.create(PATH, content.len(), &uploadid, &list, &[]);
    let (a, b) = tokio::join!(create(), create());
    let mut codes = [a["errno"].as_i64().unwrap(), b["errno"].as_i64().unwrap()];
    codes.sort_unstable();
    assert_eq!(codes, [0, 31355]);
    assert_eq!(rig.sim.files().len(), 1);
}

#[tokio::test]
async fn removing_and_resetting_leave_nothing_behind() {
    let rig = Rig::new(Options::default()).await;
    rig.upload("/apps/xpand/x/a.jpg", b"abc", "1").await;
    rig.upload("/apps/xpand/x/b.jpg", b"abc", "1").await;
    let (_, answer) = rig.sim_post("remove", json!({"path": "/apps/xpand/x"})).await;
    assert_eq!(answer["removed"], 3);
    assert_eq!(rig.get("/rest/2.0/xpan/file?method=list&dir=/apps/xpand").await["list"], json!([]));
    assert!(!rig.sim.data_dir().join("apps/xpand/x").exists());
    rig.upload(PATH, b"abc", "1").await;
    assert_eq!(rig.sim_post("reset", json!({})).await.0, 200);
    assert!(rig.sim.files().is_empty() && rig.sim.calls().is_empty());
    assert!(!rig.sim.data_dir().join("apps").exists());
    assert_eq!(rig.get("/api/quota").await["errno"], -6, "tokens are gone too");
}
