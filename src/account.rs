//! Who we are in a cloud: logging in, tokens on disk, and their renewal.
//!
//! ```text
//! let accounts = Accounts::new(&config.agent.state_dir, clock);
//! let tokens = accounts.tokens(&account)?;             // Arc<Tokens>: a TokenSource for cloud::open
//! let mut login = accounts.login(&account).await?;     // show login.prompt(), then:
//! while login.step().await? == Step::Waiting {}        // each step waits as long as the cloud wants
//! accounts.import("home", json)?;                      // stdin of `account import`
//! accounts.logout("home")?;  accounts.list()?;  accounts.state("home");  accounts.stamp("home");
//! ```
//!
//! # On disk
//!
//! ```text
//! <state_dir>/accounts/            0700
//!     <name>.json                  0600, replaced as a whole and durably
//!     <name>.lock                  empty; held by who writes <name>.json, in whatever process
//!     <name>.calls                 when which call was made (cloud/calls.rs)
//!     <name>.pace                  when the next call may go, where so many a second may (cloud/calls/pace.rs)
//!     <name>.folders               what 123pan calls the folders that were used (cloud/pan123/remembered.rs)
//!     <name>.pause                 why nothing is sent, and until when (agent/breaker.rs)
//! ```
//!
//! ```json
//! { "version": 1, "login": 7, "access_token": "…", "refresh_token": "…", "expires_at": "2026-12-21T18:00:00Z",
//!   "obtained_at": "2026-11-21T18:00:00Z",
//!   "attempt": {"at": "…", "tries": 1}, "refused": {"at": "…", "words": "…"}, "replaced": ["…"] }
//! ```
//!
//! # An application that logs in by itself
//!
//! Some clouds ask no person: an id and a secret of the configuration are traded for an access token
//! ([`cloud::Authority::application`]). There is no refresh token; `application` in the file says whose token
//! it is, and another id in the configuration begins anew. It is got when it is first needed, shortly before
//! its end, and once when it is refused - in the order, with the marks and under the lock below, because the
//! cloud gives out only few at a time. How seldom that is when something goes wrong is in `account/rest.rs`. A
//! crash between sending and saving leaves one token that nobody knows.
//!
//! # What a crash costs
//!
//! Baidu's refresh token is single-use, and sending one again is punished (field notes 1.3). One refresh
//! goes on at a time, across processes, under the lock; who gets the lock reads the file again and uses
//! a pair that another process got meanwhile. The order of a refresh is: mark `attempt` on disk, send,
//! put the new pair on disk (which removes the mark), use it. A crash
//!
//! - before the mark is on disk: costs nothing, nothing was sent;
//! - between the mark and the answer being on disk: nobody can know whether the token was used up. The
//!   mark says so to the next start. The old access token is used as long as it is good - refreshing
//!   begins a day early, so that is a day mostly -, then one more attempt is made with the marked token,
//!   and if that has no clear outcome either, one an hour. If the cloud had used it up it says so, and a
//!   person has to log in; if the request never got there, the login has survived;
//! - during the replacement of the file: the old file stands, with the mark, and it is as above;
//! - after it: costs nothing.
//!
//! An attempt that certainly was not sent (no connection) counts for nothing: it is not marked again, and at the
//! end of the program its mark is taken off. A clear refusal is kept as `refused`, and at most one attempt an
//! hour follows. A refresh runs in a task of its own: dropping the call that wanted it does not tear it between
//! sending and saving; [`Tokens::settle`] waits for it.

mod file;
mod import;
mod login;
mod rest;
mod tokens;
mod words;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use crate::clock::Clock;
use crate::config;
use crate::durable::{Lock, Stamp};
use crate::{cloud, durable};

use file::{Refused, Stored};
pub use login::{Login, Prompt, Step};
pub use tokens::Tokens;

/// What can go wrong with tokens on this machine, or in the cloud.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call failed.
    #[error(transparent)]
    Cloud(#[from] cloud::Error),
    /// A token file cannot be read or written.
    #[error("{} cannot be used", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What was to be imported is not what it should be. Says nothing of its content.
    #[error("{0}")]
    Input(String),
    /// The name cannot be a file's.
    #[error("{0:?} cannot be the name of an account: letters, digits, - and _ can")]
    Name(String),
}

/// The accounts of one state folder.
#[derive(Clone, Debug)]
pub struct Accounts {
    folder: PathBuf,
    clock: Clock,
}

/// Whether an account can work, as far as its file tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    /// No tokens.
    LoggedOut,
    /// Tokens that are good as far as we know.
    Ready {
        /// When the access token ends, if known.
        expires_at: Option<Timestamp>,
        /// Whether it can be renewed.
        renewable: bool,
        /// Whether an application got it for itself: nothing ends it in the cloud before its time.
        of_application: bool,
    },
    /// The cloud refused to renew the login.
    Refused {
        /// When.
        at: Timestamp,
        /// In which words.
        words: String,
        /// No login by hand changes it: it passes by itself.
        passes: bool,
    },
    /// The file cannot be read.
    Damaged {
        /// Why.
        words: String,
    },
}

impl Accounts {
    /// The accounts whose tokens lie below `state_dir`.
    #[must_use]
    pub fn new(state_dir: &Path, clock: Clock) -> Self {
        Self { folder: state_dir.join("accounts"), clock }
    }

    /// The source of tokens of an account: make one and share it. Reads nothing yet.
    ///
    /// # Errors
    /// The name cannot be used.
    pub fn tokens(&self, account: &config::Account) -> Result<Arc<Tokens>, Error> {
        self.tokens_of(&account.name, cloud::authority(account))
    }

    /// As [`Accounts::tokens`], with another authority than the configuration's.
    ///
    /// # Errors
    /// The name cannot be used.
    pub fn tokens_of(&self, name: &str, authority: Arc<dyn cloud::Authority>) -> Result<Arc<Tokens>, Error> {
        let path = self.path(name)?;
        Ok(Arc::new(Tokens::new(name, path, authority, self.clock.clone())))
    }

    /// What counts an account's calls, for `cloud::open`. Reads nothing yet.
    ///
    /// # Errors
    /// The name cannot be used.
    pub fn calls(&self, account: &config::Account) -> Result<Arc<cloud::Calls>, Error> {
        let path = self.path(&account.name)?.with_extension("calls");
        Ok(cloud::Calls::of(path, self.clock.clone()))
    }

    /// As [`Accounts::calls`]; `tell` hears of each wait once, when it begins.
    ///
    /// # Errors
    /// The name cannot be used.
    pub fn calls_telling(
        &self,
        account: &config::Account,
        tell: impl Fn(cloud::calls::Waiting) + Send + Sync + 'static,
    ) -> Result<Arc<cloud::Calls>, Error> {
        let path = self.path(&account.name)?.with_extension("calls");
        Ok(cloud::Calls::telling(path, self.clock.clone(), tell))
    }

    /// Begins a device-code login. What the user has to do is in [`Login::prompt`].
    ///
    /// # Errors
    /// The cloud refuses or cannot be reached, or the configuration cannot be used.
    pub async fn login(&self, account: &config::Account) -> Result<Login, Error> {
        let path = self.path(&account.name)?;
        Login::start(cloud::authority(account), path, self.clock.clone()).await
    }

    /// Forgets an account's tokens. Whether there were any.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn logout(&self, name: &str) -> Result<bool, Error> {
        let path = self.path(name)?;
        if !path.exists() {
            return Ok(false);
        }
        let _lock = lock(&path)?;
        let existed = path.exists();
        durable::remove(&path).map_err(at(&path))?;
        Ok(existed)
    }

    /// The accounts that have a file, by name.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn list(&self) -> Result<Vec<(String, State)>, Error> {
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(at(&self.folder)(error)),
        };
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".json")?.to_owned()))
            .collect();
        names.sort_unstable();
        Ok(names.into_iter().map(|name| (name.clone(), self.state(&name))).collect())
    }

    /// Whether the account can work, as far as its file tells.
    #[must_use]
    pub fn state(&self, name: &str) -> State {
        let path = match self.path(name) {
            Ok(path) => path,
            Err(error) => {
                return State::Damaged { words: error.to_string() };
            }
        };
        match Stored::load(&path) {
            Ok(None) => State::LoggedOut,
            Ok(Some(stored)) => match stored.refused {
                Some(Refused { at, words, passes }) => State::Refused { at, words, passes },
                None if stored.is_blank() => State::LoggedOut,
                None => {
                    let of_application = stored.application.is_some();
                    let renewable = stored.refresh_token.is_some() || of_application;
                    State::Ready { expires_at: stored.expires_at, renewable, of_application }
                }
            },
            Err(error) => State::Damaged { words: error.to_string() },
        }
    }

    /// Changes whenever the account's file does: compare two to notice a login or logout made by
    /// another process. One `stat`.
    #[must_use]
    pub fn stamp(&self, name: &str) -> Stamp {
        self.path(name).map(|path| Stamp::of(&path)).unwrap_or_default()
    }

    /// Which login the account's tokens come from: the same number until somebody logs in anew. `None` of one
    /// that is not logged in, or was by an earlier version. Reads the file.
    #[must_use]
    pub fn login_id(&self, name: &str) -> Option<u64> {
        Stored::load(&self.path(name).ok()?).ok()??.login
    }

    fn now(&self) -> Timestamp {
        file::timestamp(&self.clock)
    }

    fn path(&self, name: &str) -> Result<PathBuf, Error> {
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
        if name.is_empty() || name.len() > 100 || name.starts_with('.') || !name.chars().all(fits) {
            return Err(Error::Name(name.to_owned()));
        }
        Ok(self.folder.join(format!("{name}.json")))
    }
}

/// Whether nobody has to log in to an account: its application's id and secret are enough.
#[must_use]
pub fn logs_in_by_itself(account: &config::Account) -> bool {
    cloud::authority(account).application().is_some()
}

/// Waits for the lock of a token file. Blocks.
fn lock(path: &Path) -> Result<Lock, Error> {
    durable::make_folder_of(path, 0o700).map_err(at(path))?;
    let path = path.with_extension("lock");
    Lock::wait(&path).map_err(at(&path))
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::File { path: path.clone(), source }
}

#[cfg(test)]
mod application_tests;
#[cfg(test)]
mod tests;
