//! Devices: registered once, bound by users, unbound in the phone app.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

mod common;
use cloudsim::Options;
use common::*;
use serde_json::{Value, json};

const TYPE: &str = "2020073115900228875";

async fn register(rig: &Rig, addr: &str) -> String {
    let path = format!("/rest/2.0/xpan/device?method=register&device_type={TYPE}&device_addr={addr}");
    let answer = rig.get(&path).await;
    answer["device_id"].as_str().unwrap().to_owned()
}

async fn ask(rig: &Rig, method: &str, device: &str, token: &str) -> Value {
    let url = format!(
        "{}/rest/2.0/xpan/device?method={method}&device_id={device}&access_token={token}",
        rig.sim.url()
    );
    rig.get_raw(&url).await.1
}

async fn diff(rig: &Rig, cursor: &Value) -> Value {
    let param = json!({"cursor": cursor, "category_list": [1, 2, 3]}).to_string();
    rig.post("/rest/2.0/xpan/device?method=diff", &[("param", &param)]).await
}

#[tokio::test]
async fn registering_twice_gives_the_same_device() {
    let rig = Rig::new(Options::default()).await;
    let first = register(&rig, "aaaa").await;
    assert_eq!(register(&rig, "aaaa").await, first);
    assert_ne!(register(&rig, "bbbb").await, first);
    let answer = rig.get("/rest/2.0/xpan/device?method=register&device_type=1&device_addr=aaaa").await;
    assert_eq!(answer["errno"], 42100);
    let answer = rig.get(&format!("/rest/2.0/xpan/device?method=register&device_type={TYPE}")).await;
    assert_eq!(answer["errno"], 2);
}

#[tokio::test]
async fn an_unregistered_device_is_42101_everywhere() {
    let rig = Rig::new(Options::default()).await;
    for method in ["bind", "unbind", "checkbind"] {
        assert_eq!(ask(&rig, method, "104771607rs1607808", TOKEN).await["errno"], 42101, "{method}");
    }
    let device = register(&rig, "aaaa").await;
    assert_eq!(ask(&rig, "bind", &device, "wrong").await["errno"], -6);
}

#[tokio::test]
async fn unbinding_in_the_phone_app_shows_in_checkbind_and_diff() {
    let rig = Rig::new(Options::default()).await;
    let device = register(&rig, "aaaa").await;
    assert_eq!(ask(&rig, "checkbind", &device, TOKEN).await["status"], 0);
    assert_eq!(ask(&rig, "bind", &device, TOKEN).await["errno"], 0);
    assert_eq!(ask(&rig, "bind", &device, TOKEN).await["errno"], 0, "binding again is fine");
    let first = diff(&rig, &Value::Null).await;
    assert_eq!(first["device_list"][0]["status"], 1);
    assert_eq!(diff(&rig, &json!("")).await["device_list"], first["device_list"]);
    let quiet = diff(&rig, &first["cursor"]).await;
    assert_eq!((&quiet["device_list"], &quiet["cursor"]), (&json!([]), &first["cursor"]));
    let (_, answer) = rig.sim_post("unbind", json!({})).await;
    assert_eq!(answer["unbound"], 1);
    assert_eq!(ask(&rig, "checkbind", &device, TOKEN).await["status"], 0);
    let changed = diff(&rig, &first["cursor"]).await;
    assert_eq!(changed["device_list"][0]["status"], 0);
    assert_eq!(changed["device_list"][0]["device_id"], json!(device));
    assert_eq!(diff(&rig, &json!("rubbish")).await["errno"], 2);
    let listed = rig.get("/rest/2.0/xpan/device?method=list&category=1,2,3").await;
    assert_eq!(listed["list"][0]["status"], 0);
    assert_eq!(rig.get("/rest/2.0/xpan/device?method=list&category=1").await["list"], json!([]));
}

#[tokio::test]
async fn diff_comes_in_pages() {
    let rig = Rig::new(Options { diff_page: 2, ..Options::default() }).await;
    for n in 0..5 {
        let device = register(&rig, &n.to_string()).await;
        ask(&rig, "bind", &device, TOKEN).await;
    }
    let (mut cursor, mut seen, mut pages) = (json!(""), 0, Vec::new());
    loop {
        let page = diff(&rig, &cursor).await;
        seen += page["device_list"].as_array().unwrap().len();
        pages.push(page["has_more"].as_i64().unwrap());
        cursor = page["cursor"].clone();
        if pages.last() == Some(&0) {
            break;
        }
    }
    assert_eq!((seen, pages), (5, vec![1, 1, 0]));
}

#[tokio::test]
async fn a_user_can_have_only_so_many_devices() {
    let rig = Rig::new(Options { max_devices_per_user: 1, ..Options::default() }).await;
    let (a, b) = (register(&rig, "a").await, register(&rig, "b").await);
    assert_eq!(ask(&rig, "bind", &a, TOKEN).await["errno"], 0);
    assert_eq!(ask(&rig, "bind", &b, TOKEN).await["errno"], 42102);
    assert_eq!(ask(&rig, "unbind", &a, TOKEN).await["errno"], 0);
    assert_eq!(ask(&rig, "bind", &b, TOKEN).await["errno"], 0);
}

#[tokio::test]
async fn a_device_can_have_only_so_many_users_and_names_the_last() {
    let rig = Rig::new(Options { max_users_per_device: 1, ..Options::default() }).await;
    rig.sim.add_token("北极的一只大g狼", "other", None, None).unwrap();
    let device = register(&rig, "a").await;
    assert_eq!(ask(&rig, "bind", &device, "other").await["errno"], 0);
    let answer = ask(&rig, "bind", &device, TOKEN).await;
    assert_keys(&answer, &["errmsg", "errno", "last_user", "request_id"]);
    assert_eq!(answer["errno"], 42103);
    assert_eq!(answer["errmsg"], "exceed max bind count per device");
    assert_eq!(answer["last_user"], "北极***g狼");
}
