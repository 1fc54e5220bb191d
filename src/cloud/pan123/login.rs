//! Logging in to 123pan: the application's id and secret for a token that lives for weeks (获取access_token;
//! field notes 8.1). Nobody is asked, and there is nothing to renew a token with but the same call.

use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::{PATIENCE, SMALL, answer, headers, limits, manage, wire};
use crate::cloud::http::{Body, Http, Request};
use crate::cloud::{Authority, BoxFuture, Grant, Life, Result, Token};
use crate::config;

const ENDPOINT: &str = "access_token";

/// Where an account of 123pan logs in.
pub(super) struct Login {
    account: config::Account,
    /// Made at the first call: an agent logs in once a month, and a client costs memory.
    http: OnceLock<Http>,
}

impl Login {
    /// For a configured account. What is wrong with its endpoint or CA file shows at the first call.
    pub(super) fn new(account: &config::Account) -> Self {
        Self { account: account.clone(), http: OnceLock::new() }
    }

    fn http(&self) -> Result<&Http> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let http = Http::new(super::options(&self.account))?;
        Ok(self.http.get_or_init(|| http))
    }

    /// 获取access_token. Its table wants an `Authorization`, which nobody has yet; its examples have none.
    async fn access_token(&self) -> Result<Grant> {
        let endpoint = ENDPOINT;
        let http = self.http()?;
        let secret = self.account.client_secret.secret();
        let body = json!({"clientID": self.account.client_id, "clientSecret": secret}).to_string();
        let mut wait = Duration::from_secs(1);
        for attempt in 1.. {
            let request = Request {
                endpoint,
                url: http.address(endpoint, super::ORIGIN, "/api/v1/access_token", "")?,
                body: Body::Json(body.clone()),
                limit: SMALL,
                referer: None,
                secrets: vec![secret.to_owned()],
            };
            match answer::read(&http.call_with(request, headers(None)?).await?) {
                // Another box of the same application may have asked just now.
                Err(error) if answer::is_too_many(&error) && attempt < PATIENCE => {
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                answer => return answer.and_then(grant),
            }
        }
        unreachable!("the last attempt returns")
    }
}

fn grant(answer: wire::Login) -> Result<Grant> {
    let missing = |what| answer::broken(ENDPOINT, format!("the answer has no {what}"));
    let access = answer.access_token.filter(|token| !token.is_empty());
    // Without its end it is used until it is refused.
    let end = answer.expired_at.and_then(|text| end_of(&text));
    Ok(Grant {
        access: Token::new(access.ok_or_else(|| missing("accessToken"))?),
        refresh: None,
        life: end.map(Life::Until),
    })
}

/// `expiredAt`: RFC 3339 (响应示例); without a zone it is Beijing's, as all its times are (field notes 8.2).
fn end_of(text: &str) -> Option<Timestamp> {
    let of_beijing = || Timestamp::from_second(manage::seconds(text)?).ok();
    text.trim().parse().ok().or_else(of_beijing)
}

impl Authority for Login {
    fn application(&self) -> Option<&str> {
        Some(&self.account.client_id)
    }

    fn obtain(&self) -> BoxFuture<'_, Result<Grant>> {
        Box::pin(self.access_token())
    }

    fn pace(&self) -> Option<(&'static str, u32)> {
        limits::a_second(ENDPOINT).map(|a_second| (ENDPOINT, a_second))
    }
}
