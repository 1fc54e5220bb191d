//! Logging in to a cloud: who gives out tokens ([`Authority`]), and who hands them to the calls
//! ([`TokenSource`]). Nothing is stored here; what a crash costs is `account.rs`.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::{BoxFuture, Error, Kind, Result};

/// Where tokens come from. `account.rs` is its only user.
///
/// There are two kinds. Where a person logs in, that is [`Authority::start`], [`Authority::poll`] and
/// [`Authority::refresh`]. Where the application's id and secret are the login, [`Authority::application`] names
/// it, and [`Authority::obtain`] is all there is. [`Error::sent`] tells whether a token may have been used up,
/// or given out.
pub trait Authority: Send + Sync + 'static {
    /// Begins a login: what the user has to be shown.
    fn start(&self) -> BoxFuture<'_, Result<DeviceCode>> {
        nobody()
    }
    /// Asks whether the user has approved it.
    fn poll<'a>(&'a self, _code: &'a DeviceCode) -> BoxFuture<'a, Result<Poll>> {
        nobody()
    }
    /// Trades a single-use refresh token for a new pair.
    fn refresh<'a>(&'a self, _refresh: &'a Token) -> BoxFuture<'a, Result<Grant>> {
        nobody()
    }
    /// The id of the application that logs in by itself; `None`: a person does.
    fn application(&self) -> Option<&str> {
        None
    }
    /// Another token for the application; the ones before stay good to their end. An id or a secret that is
    /// wrong is [`Kind::Unauthorized`].
    fn obtain(&self) -> BoxFuture<'_, Result<Grant>> {
        nobody()
    }
    /// Which call [`Authority::obtain`] makes, and how many of them a second the documents allow: whoever calls
    /// it waits for its place ([`super::Calls::pace`]).
    fn pace(&self) -> Option<(&'static str, u32)> {
        None
    }
}

fn nobody<T: Send + 'static>() -> BoxFuture<'static, Result<T>> {
    let words = "nobody logs in to this cloud that way";
    Box::pin(async move { Err(Error::new(Kind::Refused, "login", words).unsent()) })
}

/// A login that waits for the user.
#[derive(Clone, Debug)]
pub struct DeviceCode {
    /// `device_code`: proves that it is us who ask. Never shown.
    pub secret: Token,
    /// What the user types.
    pub user_code: String,
    /// Where the user types it.
    pub verification_url: String,
    /// An address that does both, as a QR code; empty if the cloud gives none.
    pub qrcode_url: String,
    /// How long the user has.
    pub expires_in: Duration,
    /// The least time between two [`Authority::poll`].
    pub interval: Duration,
}

/// What became of a login.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Poll {
    /// The user has not finished.
    Pending,
    /// Likewise, and we asked too quickly.
    SlowDown,
    /// The user said no.
    Declined,
    /// The code is too old, or was used.
    Expired,
    /// The user said yes.
    Granted(Grant),
}

/// Tokens as the cloud gives them out. `Debug` shows none of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// For calls.
    pub access: Token,
    /// For the next pair; single-use. `None` where the application logs in by itself.
    pub refresh: Option<Token>,
    /// How long `access` lives.
    pub life: Option<Life>,
}

/// How long a token lives, in whichever way the cloud says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// From now on.
    For(Duration),
    /// Until then, by the cloud's clock.
    Until(Timestamp),
}
/// An access token. It never shows in `Debug`, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Wraps a token.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself, for the request that needs it.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Where calls get their access token from. `account.rs` implements it.
pub trait TokenSource: Send + Sync + 'static {
    /// A token that should be good now. Fails with [`Kind::Unauthorized`] when a person has to log in.
    fn token(&self) -> BoxFuture<'_, Result<Token>>;
    /// Another token, after the cloud refused `stale`. Refreshes at most once for many callers.
    fn renew<'a>(&'a self, stale: &'a Token) -> BoxFuture<'a, Result<Token>>;
    /// A token of [`TokenSource::renew`] was taken by the very call that the one before it was refused by: that one
    /// really was dead.
    fn proved<'a>(&'a self, _: &'a Token) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}
