//! Logging in to Baidu and renewing tokens: OAuth 2.0 with device codes (field notes 1).
//!
//! Everything is a GET with query parameters at openapi.baidu.com. Nothing is stored here: what a crash
//! in the middle of a refresh costs, and how it is noticed, is `account.rs`.

use std::sync::OnceLock;
use std::time::Duration;

use super::{answer, wire};
use crate::cloud::http::{self, Body, Http, Request};
use crate::cloud::{Authority, BoxFuture, DeviceCode, Error, Grant, Life, Poll, Result, Token};
use crate::config;

const ORIGIN: &str = "https://openapi.baidu.com";

/// Where an account of Baidu logs in.
pub struct OAuth {
    account: config::Account,
    /// Made at the first call: an agent logs in once a month, and a client costs memory.
    http: OnceLock<Http>,
}

impl OAuth {
    /// For a configured account. What is wrong with its endpoint or CA file shows at the first call.
    #[must_use]
    pub fn new(account: &config::Account) -> Self {
        Self { account: account.clone(), http: OnceLock::new() }
    }

    fn http(&self) -> Result<&Http> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let http = Http::new(super::options(&self.account))?;
        Ok(self.http.get_or_init(|| http))
    }

    async fn get<T: serde::de::DeserializeOwned>(
        &self,
        endpoint: &'static str,
        path: &str,
        query: &[(&str, &str)],
        secrets: Vec<String>,
    ) -> Result<T> {
        let http = self.http()?;
        let url = http.address(endpoint, ORIGIN, path, &http::encode(query))?;
        let request =
            Request { endpoint, url, body: Body::None, limit: super::SMALL, referer: None, secrets };
        answer::read(&http.call(request).await?)
    }

    async fn token(&self, kind: &str, key: &str, value: &Token) -> Result<wire::TokenAnswer> {
        let secret = self.account.client_secret.secret();
        let query = [
            ("grant_type", kind),
            (key, value.secret()),
            ("client_id", &self.account.client_id),
            ("client_secret", secret),
        ];
        let secrets = vec![value.secret().to_owned(), secret.to_owned()];
        self.get("token", "/oauth/2.0/token", &query, secrets).await
    }
}

fn grant(answer: wire::TokenAnswer) -> Result<Grant> {
    let access = answer.access_token.filter(|token| !token.is_empty());
    let access = access.ok_or_else(|| answer::broken("token", "the answer has no access token"))?;
    Ok(Grant {
        access: Token::new(access),
        refresh: answer.refresh_token.filter(|token| !token.is_empty()).map(Token::new),
        life: answer.expires_in.map(|secs| Life::For(Duration::from_secs(secs))),
    })
}

impl Authority for OAuth {
    fn start(&self) -> BoxFuture<'_, Result<DeviceCode>> {
        Box::pin(async move {
            let query = [
                ("response_type", "device_code"),
                ("client_id", self.account.client_id.as_str()),
                ("scope", "basic,netdisk"),
            ];
            let path = "/oauth/2.0/device/code";
            let answer: wire::DeviceCodeAnswer = self.get("device/code", path, &query, Vec::new()).await?;
            let missing = |what| answer::broken("device/code", format!("the answer has no {what}"));
            // The old documents' figures, where the answer has none (field notes 1.1).
            let expires = answer.expires_in.unwrap_or(1800).clamp(1, 86_400);
            // It may have a fraction (field notes 1.1), which is lost here: one second more is never too quick.
            let interval = answer.interval.map_or(5, |whole| whole.saturating_add(1)).clamp(1, 600);
            Ok(DeviceCode {
                secret: Token::new(answer.device_code.ok_or_else(|| missing("device_code"))?),
                user_code: answer.user_code.ok_or_else(|| missing("user_code"))?,
                verification_url: answer.verification_url.ok_or_else(|| missing("verification_url"))?,
                qrcode_url: answer.qrcode_url.unwrap_or_default(),
                expires_in: Duration::from_secs(expires),
                interval: Duration::from_secs(interval),
            })
        })
    }

    fn poll<'a>(&'a self, code: &'a DeviceCode) -> BoxFuture<'a, Result<Poll>> {
        Box::pin(async move {
            match self.token("device_token", "code", &code.secret).await {
                Ok(answer) => grant(answer).map(Poll::Granted),
                // Field notes 1.2.
                Err(error) => match word(&error) {
                    "authorization_pending" => Ok(Poll::Pending),
                    "slow_down" => Ok(Poll::SlowDown),
                    "authorization_declined" | "access_denied" => Ok(Poll::Declined),
                    "expired_token" | "invalid_grant" => Ok(Poll::Expired),
                    _ => Err(error),
                },
            }
        })
    }

    fn refresh<'a>(&'a self, refresh: &'a Token) -> BoxFuture<'a, Result<Grant>> {
        Box::pin(async move { self.token("refresh_token", "refresh_token", refresh).await.and_then(grant) })
    }
}

fn word(error: &Error) -> &str {
    match &error.code {
        Some(crate::cloud::Code::OAuth(word)) => word,
        _ => "",
    }
}
