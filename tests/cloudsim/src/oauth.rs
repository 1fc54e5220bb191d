//! OAuth by device code and by single-use refresh token (field notes 1; the documents leave it out).

use serde_json::json;

use crate::answer::{Answer, Refusal, Reply};
use crate::request::Ask;
use crate::state::{Cloud, State};
use crate::users::{AccessToken, DEFAULT_ACCOUNT, RefreshToken};

/// Device codes that wait for a person, or were answered. In memory only: a restart forgets them.
#[derive(Debug, Default)]
pub(crate) struct DeviceCodes(Vec<DeviceCode>);

#[derive(Debug)]
struct DeviceCode {
    code: String,
    user_code: String,
    expires_ms: u64,
    polled_ms: Option<u64>,
    verdict: Verdict,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Pending,
    Approved(String),
    Declined,
    Used,
}

impl DeviceCodes {
    /// The person's answer to one pending code, or to all of them. Returns how many it was.
    pub(crate) fn decide(&mut self, user_code: Option<&str>, account: Option<&str>) -> usize {
        let mut decided = 0;
        for code in &mut self.0 {
            let meant = user_code.is_none_or(|wanted| wanted == code.user_code);
            if meant && code.verdict == Verdict::Pending {
                code.verdict = match account {
                    Some(account) => Verdict::Approved(account.into()),
                    None => Verdict::Declined,
                };
                decided += 1;
            }
        }
        decided
    }

    /// The user codes a person could be looking at.
    pub(crate) fn pending(&self) -> Vec<String> {
        self.0
            .iter()
            .filter(|code| code.verdict == Verdict::Pending)
            .map(|code| code.user_code.clone())
            .collect()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// GET /oauth/2.0/device/code
pub(crate) fn device_code(cloud: &Cloud, ask: &Ask) -> Reply {
    let query = &ask.query;
    if query.get("response_type") != Some("device_code") {
        return Err(Refusal::oauth("unsupported_response_type", "response_type must be device_code"));
    }
    if query.get("client_id") != Some(cloud.options.client_id.as_str()) {
        return Err(Refusal::oauth("invalid_client", "unknown client id"));
    }
    let scope = query.get("scope").unwrap_or("basic");
    if !scope.split([',', ' ']).all(|name| matches!(name, "basic" | "netdisk")) {
        return Err(Refusal::oauth("invalid_scope", "The requested scope is invalid, unknown, or malformed"));
    }
    let mut state = cloud.lock();
    let code = state.dice.hex32();
    state.given.secrets.insert(code.clone());
    // Not the device code: this one is shown to everybody ("qrcode_url" of the documents' example).
    let picture = state.dice.hex32();
    let user_code = state.dice.hex32()[..8].to_owned();
    state.codes.0.push(DeviceCode {
        code: code.clone(),
        user_code: user_code.clone(),
        expires_ms: cloud.now_ms() + cloud.options.code_ttl.as_millis() as u64,
        polled_ms: None,
        verdict: match cloud.options.auto_approve {
            true => Verdict::Approved(DEFAULT_ACCOUNT.into()),
            false => Verdict::Pending,
        },
    });
    let base = ask.base_url();
    Ok(Answer::without_id(json!({
        "device_code": code,
        "user_code": user_code,
        "verification_url": format!("{base}/device"),
        "qrcode_url": format!("{base}/device/qrcode/{picture}/{user_code}"),
        "expires_in": cloud.options.code_ttl.as_secs(),
        "interval": cloud.options.code_interval.as_secs(),
    })))
}

/// GET /oauth/2.0/token
pub(crate) fn token(cloud: &Cloud, ask: &Ask) -> Reply {
    let grant = ask.query.get("grant_type").unwrap_or_default();
    if !matches!(grant, "device_token" | "refresh_token") {
        return Err(Refusal::oauth(
            "unsupported_grant_type",
            "The authorization grant type is not supported",
        ));
    }
    let options = &cloud.options;
    if ask.query.get("client_id") != Some(options.client_id.as_str())
        || ask.query.get("client_secret") != Some(options.client_secret.as_str())
    {
        return Err(Refusal::oauth("invalid_client", "Client authentication failed"));
    }
    let mut state = cloud.lock();
    let account = match grant {
        "device_token" => redeem_code(cloud, &mut state, ask.query.get("code"))?,
        _ => redeem_refresh(&mut state, ask.query.get("refresh_token"))?,
    };
    let access = format!("121.{}.{}", state.dice.hex32(), state.dice.hex32());
    let refresh = format!("122.{}.{}", state.dice.hex32(), state.dice.hex32());
    let ttl = options.access_ttl;
    add_tokens(&mut state, &account, &access, Some(&refresh), cloud.now_ms() + ttl.as_millis() as u64);
    cloud.save(&state)?;
    Ok(Answer::without_id(json!({
        "access_token": access,
        "expires_in": ttl.as_secs(),
        "refresh_token": refresh,
        "scope": "basic netdisk",
        "session_key": "",
        "session_secret": "",
    })))
}

/// Makes tokens valid.
pub(crate) fn add_tokens(
    state: &mut State,
    account: &str,
    access: &str,
    refresh: Option<&str>,
    expires_ms: u64,
) {
    state.given.secrets.extend([access, refresh.unwrap_or(access)].map(str::to_owned));
    let token = AccessToken { account: account.into(), expires_ms };
    state.users.access.insert(access.into(), token);
    if let Some(refresh) = refresh {
        let token = RefreshToken { account: account.into(), used: false };
        state.users.refresh.insert(refresh.into(), token);
    }
}

/// grant_type=device_token: one poll of a device code.
fn redeem_code(cloud: &Cloud, state: &mut State, code: Option<&str>) -> Result<String, Refusal> {
    let now = cloud.now_ms();
    let known = state
        .codes
        .0
        .iter_mut()
        .find(|known| Some(known.code.as_str()) == code)
        .ok_or_else(|| Refusal::oauth("invalid_grant", "Invalid device code"))?;
    if known.verdict == Verdict::Used {
        return Err(Refusal::oauth("invalid_grant", "device code has been used"));
    }
    if known.expires_ms <= now {
        return Err(Refusal::oauth("expired_token", "device code has expired"));
    }
    let interval = cloud.options.code_interval.as_millis() as u64;
    let too_soon = known.polled_ms.is_some_and(|before| now < before + interval);
    known.polled_ms = Some(now);
    if too_soon {
        return Err(Refusal::oauth("slow_down", "polling too quickly"));
    }
    match &known.verdict {
        Verdict::Pending => {
            Err(Refusal::oauth("authorization_pending", "User has not yet completed the authorization"))
        }
        Verdict::Declined => {
            Err(Refusal::oauth("authorization_declined", "User has declined the authorization"))
        }
        Verdict::Used => Err(Refusal::oauth("invalid_grant", "device code has been used")),
        Verdict::Approved(account) => {
            let account = account.clone();
            known.verdict = Verdict::Used;
            // A new authorisation of the same application and user ends the older access tokens.
            state.users.expire(Some(&account));
            Ok(account)
        }
    }
}

/// grant_type=refresh_token: works once.
fn redeem_refresh(state: &mut State, token: Option<&str>) -> Result<String, Refusal> {
    if let Some(token) = token {
        *state.given.presented.entry(token.to_owned()).or_default() += 1;
    }
    let known = token
        .and_then(|token| state.users.refresh.get_mut(token))
        .ok_or_else(|| Refusal::oauth("invalid_grant", "Invalid refresh token"))?;
    if known.used {
        return Err(Refusal::oauth("expired_token", "refresh token has been used"));
    }
    known.used = true;
    Ok(known.account.clone())
}
