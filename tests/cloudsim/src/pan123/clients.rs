//! "获取access_token": the applications this cloud knows, their tokens, and whose call one is.
//!
//! An account is one application, named by its clientID; the account `demo` has the one of the options.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::envelope::{self, need, refuse, refuse_code};
use super::times;
use crate::answer::{Refusal, Reply};
use crate::options::Options;
use crate::request::Ask;
use crate::state::{Cloud, State};
use crate::users::DEFAULT_ACCOUNT;

/// Applications and tokens, kept across restarts.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Clients {
    accounts: BTreeMap<String, Client>,
    tokens: BTreeMap<String, Token>,
}

/// One application.
#[derive(Debug, Serialize, Deserialize)]
struct Client {
    id: String,
    secret: String,
    /// The number in its presigned addresses and direct links.
    uid: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Token {
    account: String,
    expires_ms: u64,
}

impl Clients {
    /// Makes an application known, or changes its secret.
    pub(super) fn ensure(&mut self, account: &str, id: &str, secret: &str) {
        let uid = 1_815_309_870 + self.accounts.len() as u64;
        let uid = self.accounts.get(account).map_or(uid, |known| known.uid);
        self.accounts.insert(account.into(), Client { id: id.into(), secret: secret.into(), uid });
    }

    /// The application of the options.
    pub(super) fn ensure_default(&mut self, options: &Options) {
        self.ensure(DEFAULT_ACCOUNT, &options.client_id, &options.client_secret);
    }

    pub(super) fn uid(&self, account: &str) -> u64 {
        self.accounts.get(account).map_or(0, |client| client.uid)
    }

    /// Whether this is one of its accounts.
    pub(super) fn has(&self, account: &str) -> bool {
        self.accounts.contains_key(account)
    }

    pub(super) fn account_of_uid(&self, uid: u64) -> Option<&str> {
        self.accounts.iter().find(|(_, client)| client.uid == uid).map(|(account, _)| account.as_str())
    }

    pub(super) fn add_token(&mut self, account: &str, token: &str, expires_ms: u64) {
        self.tokens.insert(token.into(), Token { account: account.into(), expires_ms });
    }

    /// How many tokens of an account are good at this time.
    pub(super) fn live(&self, account: &str, now_ms: u64) -> usize {
        self.tokens.values().filter(|token| token.account == account && token.expires_ms > now_ms).count()
    }

    /// Ends the life of every token, or of one account's. Returns how many.
    pub(super) fn expire(&mut self, account: Option<&str>) -> usize {
        let ended = self.tokens.values_mut().filter(|token| account.is_none_or(|name| name == token.account));
        ended.map(|token| token.expires_ms = 0).count()
    }

    fn of_token(&self, token: &str, now_ms: u64) -> Option<&str> {
        self.tokens.get(token).filter(|token| token.expires_ms > now_ms).map(|token| token.account.as_str())
    }

    fn of_secret(&self, id: &str, secret: &str) -> Option<&str> {
        let mut all = self.accounts.iter();
        all.find(|(_, client)| client.id == id && client.secret == secret)
            .map(|(account, _)| account.as_str())
    }
}

/// POST /api/v1/access_token. "Authorization 必填" of its table is not so in any of its examples.
pub(super) fn access_token(cloud: &Cloud, ask: &Ask) -> Reply {
    check_platform(ask)?;
    let (id, secret) = (need(ask, "clientID")?, need(ask, "clientSecret")?);
    let now_ms = cloud.now_ms();
    let account = {
        let state = cloud.lock();
        let known = state.pan123.clients.of_secret(id, secret);
        known.ok_or_else(|| refuse(1, "clientID或clientSecret错误"))?.to_owned()
    };
    admit(cloud, &account, &ask.path)?;
    let mut state = cloud.lock();
    if state.pan123.clients.live(&account, now_ms) >= state.pan123.behave.live_tokens {
        return Err(refuse(401, "tokens number has exceeded the limit"));
    }
    let token = format!("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.{}.{}", state.dice.hex32(), state.dice.hex32());
    let expires_ms = now_ms.saturating_add(cloud.options.access_ttl.as_millis() as u64);
    add_token(&mut state, &account, &token, expires_ms)?;
    envelope::ok(json!({"accessToken": token, "expiredAt": times::rfc3339(expires_ms / 1000)}))
}

/// Makes a token valid.
pub(super) fn add_token(
    state: &mut State,
    account: &str,
    token: &str,
    expires_ms: u64,
) -> std::io::Result<()> {
    state.given.secrets.insert(token.into());
    state.pan123.clients.add_token(account, token, expires_ms);
    state.pan123.save()
}

/// Whose token a call carries, if it is good.
pub(crate) fn account(cloud: &Cloud, ask: &Ask) -> Option<String> {
    let token = ask.header("authorization")?.strip_prefix("Bearer ")?;
    cloud.lock().pan123.clients.of_token(token, cloud.now_ms()).map(str::to_owned)
}

/// "公共请求头": whose call this is; code 401 for anything but a good token.
pub(super) fn check(cloud: &Cloud, ask: &Ask) -> Result<String, Refusal> {
    check_platform(ask)?;
    account(cloud, ask).ok_or_else(|| refuse_code(401))
}

/// "所有请求接口需带上请求头platform值为open_platform".
fn check_platform(ask: &Ask) -> Result<(), Refusal> {
    match ask.header("platform") {
        Some("open_platform") => Ok(()),
        _ => Err(refuse(1, "请求头Platform错误")),
    }
}

/// "限流处理": code 429 when a client calls too often.
pub(super) fn admit(cloud: &Cloud, account: &str, path: &str) -> Result<(), Refusal> {
    let window = Duration::from_secs(1) / cloud.options.limits_hurry.max(1);
    let mut state = cloud.lock();
    match !cloud.options.limits || state.pan123.quotas.admit(account, path, cloud.now_ms(), window) {
        true => Ok(()),
        false => Err(refuse_code(429)),
    }
}
