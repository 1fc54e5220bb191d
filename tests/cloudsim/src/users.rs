//! Who uses this cloud: accounts, their tokens, and the two calls that describe them
//! ("获取用户信息", "获取网盘容量信息").

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::answer::{Answer, Refusal, Reply};
use crate::request::Ask;
use crate::state::Cloud;

/// The account that exists from the start, approves device codes and owns DIR itself.
pub const DEFAULT_ACCOUNT: &str = "demo";

/// Accounts and tokens, kept across restarts.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Users {
    pub(crate) accounts: BTreeMap<String, Account>,
    pub(crate) access: BTreeMap<String, AccessToken>,
    pub(crate) refresh: BTreeMap<String, RefreshToken>,
}

/// One user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) uk: u64,
    pub(crate) vip: u8,
    pub(crate) quota: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AccessToken {
    pub(crate) account: String,
    pub(crate) expires_ms: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RefreshToken {
    pub(crate) account: String,
    pub(crate) used: bool,
}

/// What a token is worth.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TokenState {
    Missing,
    Unknown,
    Expired,
    Valid(String),
}

impl Users {
    /// The account of this name, made when it is new.
    pub(crate) fn ensure(&mut self, name: &str, vip: u8, quota: u64) -> &mut Account {
        let uk = 208_281_036 + self.accounts.len() as u64;
        self.accounts.entry(name.into()).or_insert(Account { uk, vip, quota })
    }

    pub(crate) fn token(&self, token: Option<&str>, now_ms: u64) -> TokenState {
        match token.filter(|token| !token.is_empty()) {
            None => TokenState::Missing,
            Some(token) => match self.access.get(token) {
                None => TokenState::Unknown,
                Some(known) if known.expires_ms <= now_ms => TokenState::Expired,
                Some(known) => TokenState::Valid(known.account.clone()),
            },
        }
    }

    /// Ends the life of every access token, or of one account's.
    pub(crate) fn expire(&mut self, account: Option<&str>) -> usize {
        let mut ended = 0;
        for token in self.access.values_mut() {
            if account.is_none_or(|account| account == token.account) {
                token.expires_ms = 0;
                ended += 1;
            }
        }
        ended
    }
}

/// GET /rest/2.0/xpan/nas?method=uinfo
pub(crate) fn uinfo(cloud: &Cloud, ask: &Ask) -> Reply {
    let name = cloud.user(ask)?;
    let state = cloud.lock();
    let account = state.users.accounts.get(&name).ok_or(Refusal::errno(42905))?;
    Ok(Answer::with_text_id(json!({
        "avatar_url": "https://dss0.bdstatic.com/7Ls0a8Sm1A5BphGlnYG/sys/portrait/item/netdisk.1.3d20c095.phlucxvny00WCx9W4kLifw.jpg",
        "baidu_name": name,
        "errmsg": "succ",
        "errno": 0,
        "netdisk_name": name,
        "uk": account.uk,
        "vip_type": account.vip,
    })))
}

/// GET /api/quota. `free` and `expire` are told whether asked for or not: the documents do not say
/// what an answer without them looks like.
pub(crate) fn quota(cloud: &Cloud, ask: &Ask) -> Reply {
    let name = cloud.user(ask)?;
    let state = cloud.lock();
    let total = state.users.accounts.get(&name).map_or(0, |account| account.quota);
    let used = state.drives.used(&name);
    Ok(Answer::with_number_id(json!({
        "errno": 0,
        "total": total,
        "free": total.saturating_sub(used),
        "expire": false,
        "used": used,
    })))
}
