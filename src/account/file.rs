//! A token file: its layout (see [`super`]), reading and writing it.

use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::cloud::{Grant, Life, Token};
use crate::durable;

const VERSION: u32 = 1;
/// A token file is a few hundred bytes; what is larger is no token file.
const MAX_BYTES: u64 = 64 << 10;

/// The content. No `Debug`: it is made of secrets.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stored {
    version: u32,
    /// Which login these tokens come from: another number for each, the same after a renewal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) login: Option<u64>,
    /// Which application logged in by itself (`client_id`): its token is no other's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) application: Option<String>,
    /// Empty as long as the first one was only asked for.
    access_token: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) refresh_token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<Timestamp>,
    pub(super) obtained_at: Timestamp,
    /// A refresh was about to be sent, and what became of it is not on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) attempt: Option<Attempt>,
    /// The cloud's clear word that it will not renew this login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) refused: Option<Refused>,
    /// When an application's token was replaced before its end because the cloud refused it ([`super::rest`]).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) replaced: Vec<Timestamp>,
    /// The same of those whose successor was taken by the call that they were refused by: they really were dead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) dead: Vec<Timestamp>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Attempt {
    /// The last time.
    pub(super) at: Timestamp,
    /// How many times this refresh token may have been sent.
    pub(super) tries: u32,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Refused {
    pub(super) at: Timestamp,
    pub(super) words: String,
    /// No login by hand changes it: it passes by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) passes: bool,
}

impl Stored {
    pub(super) fn new(grant: &Grant, now: Timestamp) -> Self {
        Self {
            version: VERSION,
            login: Some(new_login()),
            application: None,
            access_token: grant.access.secret().to_owned(),
            refresh_token: grant.refresh.as_ref().map(|token| token.secret().to_owned()),
            expires_at: grant.life.and_then(|life| match life {
                Life::For(span) => now.checked_add(span).ok(),
                Life::Until(end) => Some(end),
            }),
            obtained_at: now,
            attempt: None,
            refused: None,
            replaced: Vec::new(),
            dead: Vec::new(),
        }
    }

    /// An application that logs in by itself and has not yet.
    pub(super) fn blank(application: &str, now: Timestamp) -> Self {
        Self {
            version: VERSION,
            login: None,
            application: Some(application.to_owned()),
            access_token: String::new(),
            refresh_token: None,
            expires_at: None,
            obtained_at: now,
            attempt: None,
            refused: None,
            replaced: Vec::new(),
            dead: Vec::new(),
        }
    }

    /// As brought along from elsewhere.
    pub(super) fn imported(
        (access_token, refresh_token): (String, Option<String>),
        expires_at: Option<Timestamp>,
        application: Option<String>,
        now: Timestamp,
    ) -> Self {
        let (access, refresh) = (Token::new(access_token), refresh_token.map(Token::new));
        let new = Self::new(&Grant { access, refresh, life: expires_at.map(Life::Until) }, now);
        Self { application, ..new }
    }

    pub(super) fn is_blank(&self) -> bool {
        self.access_token.is_empty()
    }

    pub(super) fn access(&self) -> Token {
        Token::new(self.access_token.clone())
    }

    /// What the next pair is asked for with; of an application that has none what it would replace.
    pub(super) fn key(&self) -> Token {
        self.refresh_token.clone().map_or_else(|| self.access(), Token::new)
    }

    pub(super) fn load(path: &Path) -> io::Result<Option<Self>> {
        let invalid = |words: String| io::Error::new(io::ErrorKind::InvalidData, words);
        match std::fs::metadata(path) {
            Ok(meta) if meta.len() > MAX_BYTES => {
                return Err(invalid("too large for tokens".into()));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        durable::refuse_newer(&bytes, VERSION, "log in anew")?;
        let stored: Self = serde_json::from_slice(&bytes)
            .map_err(|error| invalid(format!("not a token file: {}", place(&error))))?;
        if stored.version != VERSION {
            return Err(invalid(format!("not a token file: its version is {}", stored.version)));
        }
        Ok(Some(stored))
    }

    pub(super) fn save(&self, path: &Path) -> io::Result<()> {
        durable::make_folder_of(path, 0o700)?;
        durable::replace(path, &serde_json::to_vec_pretty(self)?, 0o600)
    }
}

/// A number that no login before had.
fn new_login() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

/// Where JSON is wrong, without what stands there: it may be a secret.
pub(super) fn place(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Data => "a field is missing, unknown or of the wrong type",
        serde_json::error::Category::Eof => "it ends too early",
        _ => "it is no JSON",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

pub(super) fn timestamp(clock: &Clock) -> Timestamp {
    Timestamp::from_second(clock.now_secs()).unwrap_or(Timestamp::UNIX_EPOCH)
}
