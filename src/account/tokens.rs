//! [`Tokens`]: the access token of an account, renewed when it must be. Why it is done in this order,
//! and what a crash costs at each step, is in [`super`].

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::file::{self, Attempt, Stored};
use super::lock;
use super::rest::{HOUR, LONGEST_REST, after_lost};
use super::words::{Words, is_lost, is_refusal, seconds};
use crate::clock::Clock;
use crate::cloud::{Authority, BoxFuture, Calls, Code, Error, Grant, Kind, Result, Token, TokenSource};
use crate::durable::{Lock, Stamp};

/// How long before its end an access token is renewed: a day, or a tenth of a shorter life.
const EARLY: i64 = 86_400;
/// The same where the application logs in by itself: each token beside another is one too many.
const SHORTLY: i64 = 300;
/// Renewals an hour with refresh tokens, when the cloud refuses one new token after the other.
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
    /// What the last renewal came to, of a token that is still there.
    failed: Option<Failed>,
    /// An attempt that was marked as sent, and certainly was not.
    unsent: Option<Unsent>,
    pause: Option<(Instant, Duration)>,
    renewals: Vec<Instant>,
    /// A person wants a login that works, now: a refused token is replaced, once.
    by_person: bool,
    /// The token that replaced a refused one and is not proved yet.
    unproved: Option<Token>,
}

/// See [`Memory::unsent`].
struct Unsent {
    token: Token,
    /// The mark, and the one before it.
    marked: Option<Attempt>,
    before: Option<Attempt>,
}

/// Why another token is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    /// The cloud refused the one there is.
    Refused,
    /// It ends, or there is none.
    Ends,
}

#[derive(Clone)]
struct Failed {
    /// Which was to be renewed.
    token: Token,
    /// Otherwise it is good to its end.
    is_refused: bool,
    kind: Kind,
    code: Option<Code>,
    message: String,
}

impl Failed {
    fn error(self) -> Error {
        Error { code: self.code, ..Error::new(self.kind, "token", self.message) }
    }
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

    /// Logs in an application that does so by itself, now, whatever was refused before. A token that is there and
    /// turns out to be refused at the next call is replaced, however seldom that is done otherwise.
    ///
    /// # Errors
    /// The cloud refuses or cannot be reached, or the token cannot be written.
    pub async fn log_in(&self) -> Result<()> {
        let inner = Arc::clone(&self.0);
        finished(tokio::spawn(async move { inner.log_in().await }).await)
    }

    /// Waits until no renewal is under way, so that the program can end without a token lost between
    /// the cloud and the disk. Of an attempt that was never sent the mark goes, which the next process would count.
    pub async fn settle(&self) {
        let _turn = self.0.turn.lock().await;
        if let Err(error) = self.0.take_back().await {
            tracing::debug!(ACCOUNT = self.0.name, %error, "the mark of an attempt that was not sent stays");
        }
    }
}

impl TokenSource for Tokens {
    fn token(&self) -> BoxFuture<'_, Result<Token>> {
        Box::pin(async move {
            let stored = self.0.current()?;
            let access = stored.access();
            let now = file::timestamp(&self.0.clock);
            let is_over = stored.is_over(now);
            let is_application = self.0.authority.application().is_some();
            match self.0.failed(&access).filter(|failed| failed.is_refused || is_over) {
                Some(failed) if self.0.is_paused() => return Err(failed.error()),
                // The cloud said no already: without a new pair there is nothing to ask it with. An application's
                // is tried again: the cloud may have been mistaken, and another is not to be had at once.
                Some(_) if !is_application => return renew(&self.0, access, Why::Refused).await,
                _ => {}
            }
            let ends = stored.end(now).map(Timestamp::as_second);
            let life = |ends: i64| (ends - stored.obtained_at.as_second()).max(0);
            let early = if is_application { SHORTLY } else { EARLY };
            let is_near = |ends: i64| now.as_second() >= ends - (life(ends) / 10).min(early);
            if !stored.is_blank() && !ends.is_some_and(is_near) {
                return Ok(access);
            }
            // After trouble the old token is used to its end: each attempt could be the one too many.
            let can_wait = stored.refresh_token.is_none() && !is_application
                || stored.attempt.is_some()
                || stored.refused.is_some()
                || self.0.is_paused();
            if can_wait && !is_over {
                return Ok(access);
            }
            match renew(&self.0, access.clone(), Why::Ends).await {
                Err(error) if !is_over => {
                    tracing::info!(ACCOUNT = self.0.name, %error, "renewing the login early failed");
                    Ok(access)
                }
                renewed => renewed,
            }
        })
    }

    fn renew<'a>(&'a self, stale: &'a Token) -> BoxFuture<'a, Result<Token>> {
        Box::pin(renew(&self.0, stale.clone(), Why::Refused))
    }

    fn proved<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if self.0.memory().unproved.take_if(|unproved| unproved == token).is_none() {
                return;
            }
            if let Err(error) = self.0.prove(token).await {
                tracing::debug!(ACCOUNT = self.0.name, %error, "the replaced token counts as one that may live");
            }
        })
    }
}

/// Renews in a task of its own, which goes on when the caller does not.
async fn renew(inner: &Arc<Inner>, stale: Token, why: Why) -> Result<Token> {
    let inner = Arc::clone(inner);
    finished(tokio::spawn(async move { inner.renew(stale, why).await }).await)
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

    fn failed(&self, token: &Token) -> Option<Failed> {
        self.memory().failed.clone().filter(|failed| failed.token == *token)
    }

    fn words(&self) -> Words<'_> {
        Words { name: &self.name, is_application: self.authority.application().is_some() }
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
        let stored = Stored::load(&self.path).map_err(|error| self.words().unusable(error))?;
        let application = self.authority.application();
        // Another application's token may be another user's.
        let ours = stored
            .filter(|stored| stored.application.is_none() || stored.application.as_deref() == application);
        let blank = || Some(Stored::blank(application?, file::timestamp(&self.clock)));
        let stored = ours.or_else(blank).ok_or_else(|| self.words().login_needed("not logged in"))?;
        self.memory().cached = Some((stamp, stored.clone()));
        Ok(stored)
    }

    /// A token that is not `stale`.
    async fn renew(self: Arc<Self>, stale: Token, why: Why) -> Result<Token> {
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
        let is_application = self.authority.application().is_some();
        if let Some(failed) = self.failed(&stale).filter(|_| is_application && self.is_paused()) {
            // Of several calls at once that want it, the first one has asked.
            return Err(failed.error());
        }
        let outcome = self.refresh(&mut stored, why).await;
        let mut memory = self.memory();
        match &outcome {
            Ok(_) => {
                memory.failed = None;
                memory.pause = None;
            }
            Err(error) => {
                let mut pause = memory.pause.map_or(FIRST_PAUSE, |(_, last)| (last * 2).min(SLOWEST));
                if is_application && is_lost(error) {
                    pause = pause.max(seconds(after_lost(1)));
                }
                memory.pause = Some((Instant::now() + self.clock.wait(pause), pause));
                let (kind, code, message) = (error.kind, error.code.clone(), error.message.clone());
                let is_refused = why == Why::Refused;
                memory.failed = Some(Failed { token: stale, is_refused, kind, code, message });
            }
        }
        outcome
    }

    async fn lock(&self) -> Result<Lock> {
        let path = self.path.clone();
        let waiting = tokio::task::spawn_blocking(move || lock(&path));
        waiting
            .await
            .map_err(|error| self.words().unusable(error))?
            .map_err(|error| self.words().unusable(error))
    }

    /// Another token, because a person says so: what earlier attempts came to counts for nothing. One that has
    /// not ended is kept, unless the application itself was refused.
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
        let is_wrong = stored.refused.as_ref().is_some_and(|refused| !refused.passes);
        let is_marked = stored.attempt.is_some() || stored.refused.is_some();
        (stored.attempt, stored.refused) = (None, None);
        (stored.replaced, stored.dead) = (Vec::new(), Vec::new());
        if !is_wrong && !stored.is_over(now) {
            if is_marked {
                stored.save(&self.path).map_err(|error| self.words().unusable(error))?;
            }
            self.memory().by_person = true;
            return Ok(());
        }
        let renewed = self.refresh(&mut stored, Why::Ends).await;
        if renewed.is_ok() {
            *self.memory() = Memory::default();
        }
        renewed.map(drop)
    }

    /// Notes that the token before this one was dead.
    async fn prove(&self, token: &Token) -> Result<()> {
        let _lock = self.lock().await?;
        self.memory().cached = None;
        let mut stored = self.current()?;
        if stored.access() == *token
            && let Some(at) = stored.replaced.pop()
        {
            stored.dead.push(at);
            stored.save(&self.path).map_err(|error| self.words().unusable(error))?;
        }
        Ok(())
    }

    /// Takes the mark of an attempt off the disk that certainly was not sent, unless another process has made its
    /// own since.
    async fn take_back(&self) -> Result<()> {
        let Some(unsent) = self.memory().unsent.take() else { return Ok(()) };
        let _lock = self.lock().await?;
        self.memory().cached = None;
        let mut stored = self.current()?;
        if stored.key() == unsent.token && stored.attempt == unsent.marked {
            stored.attempt = unsent.before;
            stored.save(&self.path).map_err(|error| self.words().unusable(error))?;
        }
        Ok(())
    }

    /// One renewal, if it is allowed now: mark, send, keep, and only then use.
    async fn refresh(&self, stored: &mut Stored, why: Why) -> Result<Token> {
        let now = file::timestamp(&self.clock);
        let is_application = self.authority.application().is_some();
        if stored.refresh_token.is_none() && !is_application {
            return Err(self.words().login_needed("the login has ended and came without a refresh token"));
        }
        let token = stored.key();
        let by_person = std::mem::take(&mut self.memory().by_person);
        let (mut replaced, dead) = match by_person {
            true => (Vec::new(), Vec::new()),
            false => (stored.recently_replaced(now), stored.recently_dead(now)),
        };
        let before_its_end = is_application && why == Why::Refused && !stored.is_over(now);
        if before_its_end {
            if let Some(until) = stored.kept_until(now).filter(|_| !by_person) {
                return Err(self.words().kept(until));
            }
            replaced.push(now);
        }
        if !is_application && self.too_many_renewals() {
            return Err(self.words().login_needed("the cloud refuses the tokens it has just given out"));
        }
        let known_unsent =
            self.memory().unsent.take_if(|unsent| unsent.token == token && unsent.marked == stored.attempt);
        let before = match known_unsent {
            Some(unsent) => unsent.before,
            None => {
                if !by_person {
                    self.allowed(stored, now)?;
                }
                let before = stored.attempt;
                let tries = before.map_or(0, |attempt| attempt.tries) + 1;
                stored.attempt = Some(Attempt { at: now, tries });
                // Also the rehearsal: where this cannot be written the new pair could not either.
                stored.save(&self.path).map_err(|error| self.words().unusable(error))?;
                before
            }
        };
        tracing::debug!(ACCOUNT = self.name, "renewing the login");
        let grant = match self.ask(&token).await {
            // An application has nothing to renew with, and needs nothing.
            Ok(grant) if is_application => Ok(Grant { refresh: Some(token.clone()), ..grant }),
            // Seen in the field (notes 1.3): an answer without a refresh token. Once more, not oftener.
            Ok(Grant { refresh: None, .. }) => {
                if let Some(attempt) = &mut stored.attempt {
                    attempt.tries += 1;
                }
                stored.save(&self.path).map_err(|error| self.words().unusable(error))?;
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
                    (new.replaced, new.dead) = (replaced, dead);
                    self.memory().unproved = before_its_end.then(|| new.access());
                }
                self.keep(new)
            }
            Err(error) if !error.sent => {
                self.memory().unsent = Some(Unsent { token, marked: stored.attempt, before });
                Err(error)
            }
            Err(error) if is_refusal(&error) => {
                let refused = self.words().refusal(&error, file::timestamp(&self.clock));
                stored.attempt = None;
                stored.refused = Some(refused.clone());
                if let Err(error) = stored.save(&self.path) {
                    tracing::warn!(ACCOUNT = self.name, %error, "the refusal could not be written down");
                }
                Err(Error { code: error.code, ..self.words().told(&refused, HOUR) })
            }
            // A clear word, though not for long: nothing was given out.
            Err(error) if is_application && !is_lost(&error) => {
                stored.attempt = before;
                stored.save(&self.path).map_err(|error| self.words().unusable(error))?;
                Err(error)
            }
            // No clear word: the mark stays on disk.
            Err(error) => Err(error),
        }
    }

    async fn ask(&self, token: &Token) -> Result<Grant> {
        if self.authority.application().is_none() {
            return self.authority.refresh(token).await;
        }
        if let Some((endpoint, a_second)) = self.authority.pace() {
            let calls = Calls::of(self.path.with_extension("calls"), self.clock.clone());
            calls.pace(endpoint, a_second).await;
        }
        self.authority.obtain().await
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
                Err(self.words().unusable(error))
            }
        }
    }

    /// Whether the refresh token may be sent now, given what is on disk of earlier attempts.
    fn allowed(&self, stored: &Stored, now: Timestamp) -> Result<()> {
        // A clock that was set back does not stop us for longer than an hour.
        let since = |at: Timestamp| match now.as_second() - at.as_second() {
            gone if gone < 0 => LONGEST_REST,
            gone => gone,
        };
        let is_application = self.authority.application().is_some();
        if let Some(refused) = &stored.refused {
            let attempted = stored.attempt.map_or(refused.at, |attempt| attempt.at.max(refused.at));
            // The end of ours has made room for another.
            let has_ended =
                is_application && stored.end(now).is_some_and(|end| refused.at < end && end <= now);
            if since(attempted) < HOUR && !has_ended {
                return Err(self.words().told(refused, HOUR - since(attempted)));
            }
        }
        // A single-use token may be used up, and sending it again is punished. Of an application see `rest.rs`.
        let rest = |tries| if is_application { after_lost(tries) } else { HOUR };
        match stored.attempt {
            Some(attempt) if attempt.tries > 1 && since(attempt.at) < rest(attempt.tries) => {
                Err(self.words().unknown(rest(attempt.tries) - since(attempt.at)))
            }
            _ => Ok(()),
        }
    }

    fn too_many_renewals(&self) -> bool {
        let mut memory = self.memory();
        memory.renewals.retain(|at| at.elapsed() < Duration::from_secs(3600));
        memory.renewals.len() >= RENEWALS
    }
}
