//! A device-code login, step by step (field notes 1.1, 1.2).
//!
//! A crash costs the login under way: the user begins again. Tokens are on disk before a step says
//! [`Step::Approved`].

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::file::{self, Stored};
use super::{Error, at, lock};
use crate::clock::Clock;
use crate::cloud::{Authority, DeviceCode, Kind, Poll};

/// What `slow_down` adds to the interval (field notes 1.2; RFC 8628, 3.5).
const SLOWER: Duration = Duration::from_secs(5);

/// What the user has to be shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prompt {
    /// What the user types...
    pub user_code: String,
    /// ...at this address...
    pub verification_url: String,
    /// ...or a QR code that does both; empty if the cloud gives none.
    pub qrcode_url: String,
    /// How long the user has, from the start.
    pub expires_in: Duration,
    /// How long a step takes at least.
    pub interval: Duration,
}

/// How far a login is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// The user has not finished.
    Waiting,
    /// Done: the tokens are on disk.
    Approved,
    /// Too late: begin again.
    Expired,
    /// The user said no.
    Declined,
}

/// A login under way.
pub struct Login {
    authority: Arc<dyn Authority>,
    path: PathBuf,
    clock: Clock,
    code: DeviceCode,
    prompt: Prompt,
    interval: Duration,
    end: Instant,
}

impl Login {
    pub(super) async fn start(
        authority: Arc<dyn Authority>,
        path: PathBuf,
        clock: Clock,
    ) -> Result<Self, Error> {
        let code = authority.start().await?;
        let prompt = Prompt {
            user_code: code.user_code.clone(),
            verification_url: code.verification_url.clone(),
            qrcode_url: code.qrcode_url.clone(),
            expires_in: code.expires_in,
            interval: code.interval,
        };
        let (interval, end) = (code.interval, Instant::now() + code.expires_in);
        Ok(Self { authority, path, clock, code, prompt, interval, end })
    }

    /// What the user has to be shown.
    #[must_use]
    pub fn prompt(&self) -> &Prompt {
        &self.prompt
    }

    /// Waits as long as the cloud wants between two questions, and asks. A network that is away for a
    /// while does not end the login.
    ///
    /// # Errors
    /// The cloud refuses us altogether, or the tokens cannot be written.
    pub async fn step(&mut self) -> Result<Step, Error> {
        sleep(self.interval).await;
        match self.authority.poll(&self.code).await {
            Ok(Poll::Granted(grant)) => {
                let stored = Stored::new(&grant, file::timestamp(&self.clock));
                let path = self.path.clone();
                let saved = tokio::task::spawn_blocking(move || {
                    let _lock = lock(&path)?;
                    stored.save(&path).map_err(at(&path))
                });
                saved.await.map_err(|error| at(&self.path)(error.into()))??;
                return Ok(Step::Approved);
            }
            Ok(Poll::Declined) => return Ok(Step::Declined),
            Ok(Poll::Expired) => return Ok(Step::Expired),
            Ok(Poll::SlowDown) => self.interval += SLOWER,
            Ok(Poll::Pending) => {}
            Err(error) => match error.kind {
                Kind::Offline | Kind::Broken => {}
                Kind::Busy { after } => self.interval = self.interval.max(after.unwrap_or_default()),
                _ => return Err(error.into()),
            },
        }
        Ok(if Instant::now() < self.end { Step::Waiting } else { Step::Expired })
    }
}
