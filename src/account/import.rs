//! Tokens that were got elsewhere: read, checked, and only then put in the place of those that are there.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::file::{self, Stored};
use super::{Accounts, Error, State, at, lock};
use crate::cloud::{self, BoxFuture, Kind, Token, TokenSource};
use crate::config;

impl Accounts {
    /// Takes tokens got elsewhere: `{"access_token", "refresh_token"?, "expires_at"?}`, the time in RFC 3339, or
    /// what lies in another state folder. Waits for a refresh that another process has under way.
    ///
    /// # Errors
    /// The text is not that, or the file cannot be written. What is there stays then.
    pub fn import(&self, name: &str, json: &str) -> Result<(), Error> {
        let path = self.path(name)?;
        let stored = parse(json, self.now()).map_err(Error::Input)?;
        let _lock = lock(&path)?;
        stored.save(&path).map_err(at(&path))
    }

    /// Whether [`Accounts::import`] may take these tokens: an access token that comes alone, or that an
    /// application got for itself, is good only if the cloud says so. Nothing is written. The error that is
    /// returned in `Ok` is why the cloud could not be asked, where there is nothing to lose.
    ///
    /// # Errors
    /// The text is not that, the cloud refuses the token, or there is a login and the cloud cannot be asked.
    pub async fn check_import(
        &self,
        account: &config::Account,
        json: &str,
    ) -> Result<Option<cloud::Error>, Error> {
        let name = &account.name;
        let stored = parse(json, self.now()).map_err(Error::Input)?;
        let authority = cloud::authority(account);
        let application = authority.application();
        if stored.application.is_some() && stored.application.as_deref() != application {
            let words = format!("these tokens were got with another client_id than that of [account.{name}]");
            return Err(Error::Input(words));
        }
        if stored.refresh_token.is_some() && application.is_none() {
            return Ok(None);
        }
        let drive = cloud::open(account, Arc::new(Given(stored.access())), self.calls(account)?)?;
        let stays = format!("the tokens of {name} stay as they were");
        match drive.user().await {
            Ok(_) => Ok(None),
            Err(error) if error.kind == Kind::Unauthorized => {
                let words = format!("the cloud refuses the token that was brought; {stays}");
                let refused = cloud::Error::new(Kind::Refused, "token", words);
                Err(cloud::Error { code: error.code, ..refused }.into())
            }
            Err(error) if matches!(self.state(name), State::Ready { .. }) => {
                let message =
                    format!("{}; whether the token is good is not known, and {stays}", error.message);
                Err(cloud::Error { message, ..error }.into())
            }
            Err(error) => Ok(Some(error)),
        }
    }
}

/// A token that there is no other for.
struct Given(Token);

impl TokenSource for Given {
    fn token(&self) -> BoxFuture<'_, cloud::Result<Token>> {
        Box::pin(async { Ok(self.0.clone()) })
    }

    fn renew<'a>(&'a self, _stale: &'a Token) -> BoxFuture<'a, cloud::Result<Token>> {
        let refused = cloud::Error::new(Kind::Unauthorized, "token", "the cloud refuses it");
        Box::pin(async { Err(refused) })
    }
}

fn parse(json: &str, now: Timestamp) -> Result<Stored, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Import {
        access_token: String,
        refresh_token: Option<String>,
        expires_at: Option<String>,
        /// From here on only what another state folder has.
        application: Option<String>,
        version: Option<u64>,
        #[serde(default, rename = "login")]
        _login: IgnoredAny,
        #[serde(default, rename = "obtained_at")]
        _obtained_at: IgnoredAny,
        #[serde(default, rename = "attempt")]
        _attempt: IgnoredAny,
        #[serde(default, rename = "refused")]
        _refused: IgnoredAny,
        #[serde(default, rename = "replaced")]
        _replaced: IgnoredAny,
        #[serde(default, rename = "dead")]
        _dead: IgnoredAny,
    }
    const SHAPE: &str =
        r#"expected {"access_token": "…", "refresh_token": "…", "expires_at": "2026-12-21T18:00:00Z"}"#;
    let import: Import =
        serde_json::from_str(json).map_err(|error| format!("{}; {SHAPE}", file::place(&error)))?;
    if import.version.is_some() && import.application.is_none() && import.refresh_token.is_some() {
        let words = "that is the login of another box, which can be renewed by one of the two only: it would end there. \
                     Log in here: xpand account login";
        return Err(words.to_owned());
    }
    let token = |text: String, key| {
        let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then_some(text).ok_or_else(|| format!("{key} is empty or has blanks in it; {SHAPE}"))
    };
    let access = token(import.access_token, "access_token")?;
    let refresh = import.refresh_token.map(|text| token(text, "refresh_token")).transpose()?;
    let expires_at = match import.expires_at {
        Some(text) => Some(text.parse().map_err(|_| format!("expires_at is no time in RFC 3339; {SHAPE}"))?),
        None => None,
    };
    Ok(Stored::imported((access, refresh), expires_at, import.application, now))
}
