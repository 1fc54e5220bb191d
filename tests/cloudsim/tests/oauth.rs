//! Logging in by device code, and refresh tokens that work once.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

mod common;
use std::time::Duration;

use cloudsim::{DEFAULT_ACCOUNT, Options};
use common::*;
use serde_json::{Value, json};

struct Login {
    rig: Rig,
}

impl Login {
    async fn new(options: Options) -> Login {
        Login { rig: Rig::new(options).await }
    }

    async fn get(&self, path_and_query: &str) -> (u16, Value) {
        self.rig.get_raw(&format!("{}{path_and_query}", self.rig.sim.url())).await
    }

    async fn begin(&self) -> Value {
        let (status, answer) = self
            .get("/oauth/2.0/device/code?response_type=device_code&client_id=demo&scope=basic,netdisk")
            .await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    async fn poll(&self, code: &str) -> (u16, Value) {
        self.get(&format!(
            "/oauth/2.0/token?grant_type=device_token&code={code}&client_id=demo&client_secret=demo"
        ))
        .await
    }

    async fn refresh(&self, token: &str) -> (u16, Value) {
        self.get(&format!(
            "/oauth/2.0/token?grant_type=refresh_token&refresh_token={token}&client_id=demo&client_secret=demo"
        ))
        .await
    }
}

fn quick() -> Options {
    Options { code_interval: Duration::ZERO, ..Options::default() }
}

fn error(answer: &(u16, Value)) -> &str {
    assert_eq!(answer.0, 400, "{}", answer.1);
    assert_keys(&answer.1, &["error", "error_description"]);
    answer.1["error"].as_str().unwrap()
}

#[tokio::test]
async fn a_device_code_becomes_a_token_once_the_user_approves() {
    let login = Login::new(quick()).await;
    let begun = login.begin().await;
    assert_keys(
        &begun,
        &["device_code", "user_code", "verification_url", "qrcode_url", "expires_in", "interval"],
    );
    let code = begun["device_code"].as_str().unwrap();
    assert_eq!(error(&login.poll(code).await), "authorization_pending");
    assert_eq!(login.rig.sim.pending_codes(), [begun["user_code"].as_str().unwrap()]);
    assert_eq!(login.rig.sim.approve(Some("not this one")), 0);
    assert_eq!(login.rig.sim.approve(begun["user_code"].as_str()), 1);
    let (status, token) = login.poll(code).await;
    assert_eq!(status, 200);
    assert_keys(
        &token,
        &["access_token", "expires_in", "refresh_token", "scope", "session_key", "session_secret"],
    );
    assert_eq!((&token["expires_in"], &token["scope"]), (&json!(2592000), &json!("basic netdisk")));
    let access = token["access_token"].as_str().unwrap();
    let (_, user) = login.get(&format!("/rest/2.0/xpan/nas?method=uinfo&access_token={access}")).await;
    assert_eq!(user["baidu_name"], DEFAULT_ACCOUNT);
    assert_eq!(error(&login.poll(code).await), "invalid_grant", "a code works once");
    let older = login.rig.get("/api/quota").await;
    assert_eq!(older["errno"], -6, "a new authorisation ends the older access token");
}

#[tokio::test]
async fn polling_too_quickly_is_told_to_slow_down() {
    let login = Login::new(Options::default()).await;
    let begun = login.begin().await;
    let code = begun["device_code"].as_str().unwrap();
    assert_eq!(begun["interval"], 5);
    assert_eq!(error(&login.poll(code).await), "authorization_pending");
    assert_eq!(error(&login.poll(code).await), "slow_down");
    login.rig.sim.advance(Duration::from_secs(5));
    assert_eq!(error(&login.poll(code).await), "authorization_pending");
    login.rig.sim.advance(Duration::from_secs(1800));
    assert_eq!(error(&login.poll(code).await), "expired_token");
}

#[tokio::test]
async fn a_declined_code_stays_declined() {
    let login = Login::new(quick()).await;
    let begun = login.begin().await;
    assert_eq!(login.rig.sim.decline(None), 1);
    let code = begun["device_code"].as_str().unwrap();
    assert_eq!(error(&login.poll(code).await), "authorization_declined");
}

#[tokio::test]
async fn auto_approve_needs_nobody() {
    let login = Login::new(Options { auto_approve: true, ..quick() }).await;
    let begun = login.begin().await;
    assert_eq!(login.poll(begun["device_code"].as_str().unwrap()).await.0, 200);
}

#[tokio::test]
async fn a_refresh_token_works_once() {
    let login = Login::new(Options::default()).await;
    let (status, token) = login.refresh("refresh-1").await;
    assert_eq!(status, 200);
    assert_ne!(token["refresh_token"], json!("refresh-1"));
    let again = login.refresh("refresh-1").await;
    assert_eq!(error(&again), "expired_token");
    assert_eq!(again.1["error_description"], "refresh token has been used");
    assert_eq!(error(&login.refresh("never-seen").await), "invalid_grant");
    assert_eq!(login.refresh(token["refresh_token"].as_str().unwrap()).await.0, 200);
}

#[tokio::test]
async fn an_expired_access_token_can_still_be_refreshed() {
    let login = Login::new(Options::default()).await;
    login.rig.sim.advance(Duration::from_secs(2_592_000));
    assert_eq!(login.rig.get("/api/quota").await["errno"], -6);
    let (status, token) = login.refresh("refresh-1").await;
    assert_eq!(status, 200);
    let access = token["access_token"].as_str().unwrap();
    assert_eq!(login.get(&format!("/api/quota?access_token={access}")).await.1["errno"], 0);
}

#[tokio::test]
async fn wrong_applications_scopes_and_grants_are_refused() {
    let login = Login::new(Options::default()).await;
    for (query, wanted) in [
        ("device/code?response_type=device_code&client_id=other&scope=basic", "invalid_client"),
        ("device/code?response_type=code&client_id=demo&scope=basic", "unsupported_response_type"),
        ("device/code?response_type=device_code&client_id=demo&scope=basic,moon", "invalid_scope"),
        ("token?grant_type=device_token&code=x&client_id=demo&client_secret=wrong", "invalid_client"),
        ("token?grant_type=device_token&code=x&client_id=demo&client_secret=demo", "invalid_grant"),
        ("token?grant_type=password&client_id=demo&client_secret=demo", "unsupported_grant_type"),
    ] {
        assert_eq!(error(&login.get(&format!("/oauth/2.0/{query}")).await), wanted, "{query}");
    }
    let spaced = "/oauth/2.0/device/code?response_type=device_code&client_id=demo&scope=basic%20netdisk";
    assert_eq!(login.get(spaced).await.0, 200);
}

#[tokio::test]
async fn secrets_do_not_reach_the_call_log() {
    let login = Login::new(quick()).await;
    let begun = login.begin().await;
    login.poll(begun["device_code"].as_str().unwrap()).await;
    login.refresh("refresh-1").await;
    login.rig.get("/api/quota").await;
    let log = format!("{:?}", login.rig.sim.calls());
    for secret in [begun["device_code"].as_str().unwrap(), "refresh-1", TOKEN] {
        assert!(!log.contains(secret), "{secret}");
    }
    let (_, calls) = login.get("/_sim/calls?since=1").await;
    assert_eq!(calls["calls"].as_array().unwrap().len(), 3);
    assert_eq!(calls["calls"][0]["error"], "authorization_pending");
    assert_eq!(calls["calls"][2]["user_agent"], "pan.baidu.com");
}
