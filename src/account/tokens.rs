//! [`Tokens`]: the access token of an account, renewed when it must be. Why it is done in this order,
//! and what a crash costs at each step, is in [`super`].

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::file::{self, Attempt, Refused, Stored};
use super::lock;
use crate::clock::Clock;
use crate::cloud::{Authority, BoxFuture, Code, Error, Grant, Kind, Result, Token, TokenSource};
use crate::durable::{Lock, Stamp};

/// Between two attempts that may be refused (field notes 1.3: hammering is punished).
const HOUR: i64 = 3600;
/// How long before its end an access token is renewed: a day, or a tenth of a shorter life.
const EARLY: i64 = 86_400;
/// The same where the application logs in by itself: each token beside another is one too many.
const SHORTLY: i64 = 300;
/// Renewals an hour, when the cloud refuses one new token after the other.
const RENEWALS: usize = 5;
/// After a failed renewal, before the next is tried; doubled up to [`SLOWEST`].
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const SLOWEST: Duration = Duration::from_secs(600);

/// The tokens of one account. Cheap to clone by `Arc`; share one for all of an account's calls.
pub struct Tokens(Arc<Inner>);

struct Inner {
    name: String,
    path: PathBuf,
    authority: Arc<dyn Authority>,
    clock: Clock,
    /// One renewal at a time in this process; the file lock does the same among processes.
    turn: tokio::sync::Mutex<()>,
    memory: Mutex<Memory>,
}

/// What need not survive: without it the next start is more careful, not less.
#[derive(Default)]
struct Memory {
    cached: Option<(Stamp, Stored)>,
    /// A new pair that could not be written. It is not used before it is.
    unsaved: Option<Stored>,
    /// The access token the cloud refused, with what renewing it came to.
    dead: Option<(Token, Failure)>,
    /// This refresh token was marked as sent, and certainly was not.
    unsent: Option<Token>,
    pause: Option<(Instant, Duration)>,
    renewals: Vec<Instant>,
}

#[derive(Clone)]
struct Failure {
    kind: Kind,
    code: Option<Code>,
    message: String,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("name", &self.0.name).finish_non_exhaustive()
    }
}

impl Tokens {
    pub(super) fn new(name: &str, path: PathBuf, authority: Arc<dyn Authority>, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            name: name.to_owned(),
            path,
            authority,
            clock,
            turn: tokio::sync::Mutex::default(),
            memory: Mutex::default(),
        }))
    }

    /// Logs in an application that does so by itself, now, whatever was refused before.
    ///
    /// # Errors
    /// The cloud refuses or cannot be reached, or the token cannot be written.
    pub async fn log_in(&self) -> Result<()> {
        let inner = Arc::clone(&self.0);
        finished(tokio::spawn(async move { inner.log_in().await }).await)
    }

    /// Waits until no renewal is under way, so that the program can end without a token lost between
    /// the cloud and the disk.
    pub async fn settle(&self) {
        drop(self.0.turn.lock().await);
    }
}

impl TokenSource for Tokens {
    fn token(&self) -> BoxFuture<'_, Result<Token>> {
        Box::pin(async move {
            let stored = self.0.current()?;
            let access = stored.access();
            let now = file::timestamp(&self.0.clock);
            let dead = self.0.memory().dead.clone().filter(|(token, _)| *token == access);
            if let Some((_, failure)) = dead {
                // The cloud said no already: without a new pair there is nothing to ask it with.
                return if self.0.is_paused() {
                    Err(self.0.failed(failure))
                } else {
                    renew(&self.0, access).await
                };
            }
            let ends = stored.expires_at.map(Timestamp::as_second);
            let life = |ends: i64| (ends - stored.obtained_at.as_second()).max(0);
            let is_application = self.0.authority.application().is_some();
            let early = if is_application { SHORTLY } else { EARLY };
            let is_near = |ends: i64| now.as_second() >= ends - (life(ends) / 10).min(early);
            if !stored.is_blank() && !ends.is_some_and(is_near) {
                return Ok(access);
            }
            let is_over = stored.is_blank() || ends.is_some_and(|ends| now.as_second() >= ends);
            // After trouble the old token is used to its end: each attempt could be the one too many.
            let can_wait = stored.refresh_token.is_none() && !is_application
                || stored.attempt.is_some()
                || stored.refused.is_some()
                || self.0.is_paused();
            if can_wait && !is_over {
                return Ok(access);
            }
            match renew(&self.0, access.clone()).await {
                Err(error) if !is_over => {
                    tracing::info!(ACCOUNT = self.0.name, %error, "renewing the login early failed");
                    Ok(access)
                }
                renewed => renewed,
            }
        })
    }

    fn renew<'a>(&'a self, stale: &'a Token) -> BoxFuture<'a, Result<Token>> {
        Box::pin(renew(&self.0, stale.clone()))
    }
}

/// Renews in a task of its own, which goes on when the caller does not.
async fn renew(inner: &Arc<Inner>, stale: Token) -> Result<Token> {
    let inner = Arc::clone(inner);
    finished(tokio::spawn(async move { inner.renew(stale).await }).await)
}

fn finished<T>(task: std::result::Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
    task.unwrap_or_else(|error| {
        Err(Error::new(Kind::Local, "token", "the renewal was interrupted").because(error))
    })
}

impl Inner {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_paused(&self) -> bool {
        self.memory().pause.is_some_and(|(until, _)| Instant::now() < until)
    }

    fn failed(&self, failure: Failure) -> Error {
        let mut error = Error::new(failure.kind, "token", failure.message);
        error.code = failure.code;
        error
    }

    fn login_needed(&self, why: &str) -> Error {
        let name = &self.name;
        let look = match self.authority.application() {
            Some(_) => format!("put client_id and client_secret of [account.{name}] right, and then "),
            None => String::new(),
        };
        let words = format!("{why}; {look}run: xpand account login {name}");
        Error::new(Kind::Unauthorized, "token", words)
    }

    /// The tokens on disk, read again only when the file changed.
    fn current(&self) -> Result<Stored> {
        let stamp = Stamp::of(&self.path);
        if let Some((at, stored)) = &self.memory().cached
            && *at == stamp
        {
            return Ok(stored.clone());
        }
        // A change between stamp and reading is seen next time: the stamp is the older one.
        let stored = Stored::load(&self.path).map_err(|error| self.unusable(error))?;
        let application = self.authority.application();
        // Another application's token may be another user's.
        let ours = stored
            .filter(|stored| stored.application.is_none() || stored.application.as_deref() == application);
        let blank = || Some(Stored::blank(application?, file::timestamp(&self.clock)));
        let stored = ours.or_else(blank).ok_or_else(|| self.login_needed("not logged in"))?;
        self.memory().cached = Some((stamp, stored.clone()));
        Ok(stored)
    }

    fn unusable(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        let words = format!("the tokens of account {} cannot be read or written", self.name);
        Error::new(Kind::Local, "token", words).because(error)
    }

    /// A token that is not `stale`.
    async fn renew(self: Arc<Self>, stale: Token) -> Result<Token> {
        let _turn = self.turn.lock().await;
        let _lock = self.lock().await?;
        self.memory().cached = None;
        let mut stored = self.current()?;
        if stored.access() != stale {
            self.memory().unsaved = None;
            return Ok(stored.access());
        }
        let unsaved = self.memory().unsaved.take();
        if let Some(new) = unsaved {
            return self.keep(new);
        }
        let outcome = self.refresh(&mut stored).await;
        let mut memory = self.memory();
        match &outcome {
            Ok(_) => {
                memory.dead = None;
                memory.pause = None;
            }
            Err(error) => {
                let pause = memory.pause.map_or(FIRST_PAUSE, |(_, last)| (last * 2).min(SLOWEST));
                memory.pause = Some((Instant::now() + self.clock.wait(pause), pause));
                let failure =
                    Failure { kind: error.kind, code: error.code.clone(), message: error.message.clone() };
                memory.dead = Some((stale, failure));
            }
        }
        outcome
    }

    async fn lock(&self) -> Result<Lock> {
        let path = self.path.clone();
        let waiting = tokio::task::spawn_blocking(move || lock(&path));
        waiting.await.map_err(|error| self.unusable(error))?.map_err(|error| self.unusable(error))
    }

    /// Another token, because a person says so: what earlier attempts came to counts for nothing. One that is
    /// good still and was not refused is kept.
    async fn log_in(self: Arc<Self>) -> Result<()> {
        let _turn = self.turn.lock().await;
        let _lock = self.lock().await?;
        self.memory().cached = None;
        let now = file::timestamp(&self.clock);
        let mut stored = match (self.current(), self.authority.application()) {
            (Ok(stored), _) => stored,
            (Err(_), Some(application)) => Stored::blank(application, now),
            (Err(error), None) => return Err(error),
        };
        let is_over = stored.expires_at.is_some_and(|ends| now >= ends);
        if !stored.is_blank() && stored.refused.is_none() && !is_over {
            return Ok(());
        }
        (stored.attempt, stored.refused) = (None, None);
        let renewed = self.refresh(&mut stored).await;
        if renewed.is_ok() {
            *self.memory() = Memory::default();
        }
        renewed.map(drop)
    }

    /// One renewal, if it is allowed now: mark, send, keep, and only then use.
    async fn refresh(&self, stored: &mut Stored) -> Result<Token> {
        let now = file::timestamp(&self.clock);
        let is_application = self.authority.application().is_some();
        let Some(token) = stored.refresh().or_else(|| is_application.then(|| stored.access())) else {
            return Err(self.login_needed("the login has ended and came without a refresh token"));
        };
        if self.too_many_renewals() {
            return Err(self.login_needed("the cloud refuses the tokens it has just given out"));
        }
        let known_unsent = self.memory().unsent.as_ref() == Some(&token) && stored.attempt.is_some();
        if !known_unsent {
            self.allowed(stored, now)?;
            let tries = stored.attempt.map_or(0, |attempt| attempt.tries) + 1;
            stored.attempt = Some(Attempt { at: now, tries });
            // Also the rehearsal: where this cannot be written the new pair could not either.
            stored.save(&self.path).map_err(|error| self.unusable(error))?;
        }
        self.memory().unsent = None;
        tracing::debug!(ACCOUNT = self.name, "renewing the login");
        let grant = match self.ask(&token).await {
            // An application has nothing to renew with, and needs nothing.
            Ok(grant) if is_application => Ok(Grant { refresh: Some(token.clone()), ..grant }),
            // Seen in the field (notes 1.3): an answer without a refresh token. Once more, not oftener.
            Ok(Grant { refresh: None, .. }) => {
                if let Some(attempt) = &mut stored.attempt {
                    attempt.tries += 1;
                }
                stored.save(&self.path).map_err(|error| self.unusable(error))?;
                self.authority.refresh(&token).await
            }
            answer => answer,
        };
        match grant {
            Ok(Grant { refresh: None, .. }) => Err(Error::new(
                Kind::Broken,
                "token",
                "the cloud renewed the login without a new refresh token",
            )),
            Ok(grant) => {
                self.memory().renewals.push(Instant::now());
                let mut new = Stored::new(&grant, file::timestamp(&self.clock));
                if !stored.is_blank() {
                    new.login = stored.login;
                }
                if let Some(application) = self.authority.application() {
                    (new.application, new.refresh_token) = (Some(application.to_owned()), None);
                }
                self.keep(new)
            }
            Err(error) if !error.sent => {
                self.memory().unsent = Some(token);
                Err(error)
            }
            Err(error) if is_refusal(&error) => {
                let words = error.message.clone();
                stored.attempt = None;
                stored.refused = Some(Refused { at: file::timestamp(&self.clock), words: words.clone() });
                if let Err(error) = stored.save(&self.path) {
                    tracing::warn!(ACCOUNT = self.name, %error, "the refusal could not be written down");
                }
                let mut needed = self.login_needed(&self.refused(&words));
                needed.code = error.code;
                Err(needed)
            }
            // No clear word: the mark stays on disk.
            Err(error) => Err(error),
        }
    }

    async fn ask(&self, token: &Token) -> Result<Grant> {
        match self.authority.application() {
            Some(_) => self.authority.obtain().await,
            None => self.authority.refresh(token).await,
        }
    }

    fn refused(&self, words: &str) -> String {
        match self.authority.application() {
            Some(_) => format!("the cloud gives this application no token: {words}"),
            None => format!("the cloud does not renew the login: {words}"),
        }
    }

    /// The new pair goes to disk before anybody gets its access token.
    fn keep(&self, new: Stored) -> Result<Token> {
        match new.save(&self.path) {
            Ok(()) => {
                self.memory().cached = None;
                tracing::info!(ACCOUNT = self.name, "the login was renewed");
                Ok(new.access())
            }
            Err(error) => {
                self.memory().unsaved = Some(new);
                Err(self.unusable(error))
            }
        }
    }

    /// Whether the refresh token may be sent now, given what is on disk of earlier attempts.
    fn allowed(&self, stored: &Stored, now: Timestamp) -> Result<()> {
        // A clock that was set back does not stop us for longer than an hour.
        let since = |at: Timestamp| match now.as_second() - at.as_second() {
            gone if gone < 0 => HOUR,
            gone => gone,
        };
        if let Some(refused) = &stored.refused {
            let attempted = stored.attempt.map_or(refused.at, |attempt| attempt.at.max(refused.at));
            if since(attempted) < HOUR {
                return Err(self.login_needed(&self.refused(&refused.words)));
            }
        }
        match stored.attempt {
            Some(attempt) if attempt.tries > 1 && since(attempt.at) < self.rest(attempt.tries) => {
                let wait = u64::try_from(self.rest(attempt.tries) - since(attempt.at)).unwrap_or(0);
                let after = Some(Duration::from_secs(wait));
                let words =
                    "what became of the last renewal of the login is not known; it is tried again later";
                Err(Error::new(Kind::Busy { after }, "token", words).unsent())
            }
            _ => Ok(()),
        }
    }

    /// For how many seconds attempts of unknown outcome keep the next one off. A single-use token may be used
    /// up, and sending it again is punished. An application has none; but each answer that did not arrive may be
    /// a token beside ours, and there may be three (field notes 8.1).
    fn rest(&self, tries: u32) -> i64 {
        match self.authority.application() {
            Some(_) => (60 << tries.saturating_sub(2).min(6)).min(HOUR),
            None => HOUR,
        }
    }

    fn too_many_renewals(&self) -> bool {
        let mut memory = self.memory();
        memory.renewals.retain(|at| at.elapsed() < Duration::from_secs(3600));
        memory.renewals.len() >= RENEWALS
    }
}

/// Whether a failed renewal is the cloud's clear word (field notes 1.2, 1.3), which includes being told to
/// wait for having tried too often. A bare HTTP status is none: it may be a proxy's.
fn is_refusal(error: &Error) -> bool {
    let is_word = matches!(&error.code, Some(code) if !matches!(code, Code::Http(_)));
    let hour = Duration::from_secs(3600);
    is_word
        && match error.kind {
            Kind::Unauthorized | Kind::Refused | Kind::Blocked { .. } => true,
            Kind::Busy { after } => after.is_some_and(|after| after >= hour),
            _ => false,
        }
}
