//! What is said when there is no token: what the cloud's answer to a renewal means, and what a person does next.

use std::time::Duration;

use jiff::Timestamp;

use super::file::Refused;
use crate::cloud::{Code, Error, Kind};

/// Of which account.
pub(super) struct Words<'a> {
    pub(super) name: &'a str,
    /// It logs in by itself.
    pub(super) is_application: bool,
}

impl Words<'_> {
    /// A person has to log in.
    pub(super) fn login_needed(&self, why: &str) -> Error {
        self.run(&format!("{why}; run"))
    }

    fn run(&self, words: &str) -> Error {
        Error::new(Kind::Unauthorized, "token", format!("{words}: xpand account login {}", self.name))
    }

    /// The file cannot be read or written.
    pub(super) fn unusable(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        let words = format!("the tokens of account {} cannot be read or written", self.name);
        Error::new(Kind::Local, "token", words).because(error)
    }

    /// The cloud's clear no, as it is kept.
    pub(super) fn refusal(&self, error: &Error, now: Timestamp) -> Refused {
        let passes = self.is_application && error.kind != Kind::Unauthorized;
        Refused { at: now, words: error.message.clone(), passes }
    }

    /// The same, as it is told; `secs` until the cloud is asked again.
    pub(super) fn told(&self, refused: &Refused, secs: i64) -> Error {
        let (name, words) = (self.name, &refused.words);
        if !self.is_application {
            return self.login_needed(&format!("the cloud does not renew the login: {words}"));
        }
        let words = format!("the cloud gives this application no token: {words}");
        match refused.passes {
            true => {
                let words = format!(
                    "{words}; a token that another state folder has still can be brought here: xpand account \
                     import {name}"
                );
                Error::new(Kind::Blocked { after: seconds(secs) }, "token", words)
            }
            false => self.run(&format!(
                "{words}; put client_id and client_secret of [account.{name}] right, and then run"
            )),
        }
    }

    /// A refused token is not replaced before `until`.
    pub(super) fn kept(&self, until: Timestamp) -> Error {
        let until = until.strftime("%Y-%m-%d %H:%M UTC");
        self.run(&format!(
            "the cloud refuses this token, as it did the one before it, and gives out only a few: the next is asked \
             for at {until}; to ask at once run"
        ))
    }

    /// What became of the last attempt nobody knows; `secs` until the next.
    pub(super) fn unknown(&self, secs: i64) -> Error {
        let words = match self.is_application {
            true => {
                "no answer came to the last login, which may have used up one of the few that the cloud allows: \
                     it is tried again later"
            }
            false => "what became of the last renewal of the login is not known; it is tried again later",
        };
        Error::new(Kind::Busy { after: Some(seconds(secs)) }, "token", words).unsent()
    }
}

pub(super) fn seconds(secs: i64) -> Duration {
    Duration::from_secs(u64::try_from(secs).unwrap_or(0))
}

/// Whether the cloud may have done what nobody heard of: no answer came, or none with a word of its own in it. A
/// bare HTTP status may be a proxy's.
pub(super) fn is_lost(error: &Error) -> bool {
    error.sent && matches!(error.code, None | Some(Code::Http(_)))
}

/// Whether a failed renewal is the cloud's clear word (field notes 1.2, 1.3), which includes being told to
/// wait for having tried too often.
pub(super) fn is_refusal(error: &Error) -> bool {
    let hour = Duration::from_secs(3600);
    !is_lost(error)
        && match error.kind {
            Kind::Unauthorized | Kind::Refused | Kind::Blocked { .. } => true,
            Kind::Busy { after } => after.is_some_and(|after| after >= hour),
            _ => false,
        }
}
