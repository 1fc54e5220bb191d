//! Fetching a file by its dlink (xpan-api, 下载; field notes 5).
//!
//! The dlink has a query already, so that the token joins it with `&`. The cloud sends us on to another
//! server, which knows no token and gets none. A dlink that is too old is [`Kind::Expired`]: `filemetas`
//! gives another. Some servers on the way say with HTTP 200 what is wrong: a short body of another length
//! than the file is looked into before it is taken for one.

use super::{Xpan, answer, limits, wire};
use crate::cloud::files::Download;
use crate::cloud::http::{self, Answer, Fetch, Fetched, Streamed};
use crate::cloud::{Code, Error, Kind, Result};

impl Xpan {
    pub(super) async fn download_file(&self, dlink: &str, from: u64, size: u64) -> Result<Download> {
        let endpoint = "download";
        let fetched = self.with_token(|token| async move {
            let mut url = self.http.named(endpoint, dlink)?;
            let token = token.secret();
            let own = http::encode(&[("access_token", token)]);
            let query = url.query().map(|query| format!("{query}&{own}"));
            url.set_query(Some(&query.unwrap_or(own)));
            if let Some(allowance) = limits::allowance(endpoint) {
                self.calls.admit(endpoint, allowance).await?;
            }
            let secrets = vec![token.to_owned()];
            let fetched = self.http.fetch(Fetch { endpoint, url, from, secrets: secrets.clone() }).await?;
            let file = file(fetched)?;
            if file.total == Some(size) {
                return Ok(file);
            }
            let (short, file) = file.short(endpoint, secrets).await;
            match short.map(|answer| answer::read::<wire::Nothing>(&answer)) {
                // An error number, not only what HTTP 200 would mean without one.
                Some(Err(error)) if !matches!(error.code, None | Some(Code::Http(_))) => Err(error),
                _ => Ok(file),
            }
        });
        let Streamed { from, total, content_md5, body } = match fetched.await {
            Err(error) => {
                if limits::is_too_many(&error) {
                    self.calls.refused(endpoint).await;
                }
                return Err(error);
            }
            Ok(file) => file,
        };
        let total =
            total.ok_or_else(|| answer::broken(endpoint, "the cloud does not say how long the file is"))?;
        Ok(Download { from, total, content_md5, body })
    }
}

/// The file, or the failure that came instead.
pub(super) fn file(fetched: Fetched) -> Result<Streamed> {
    match fetched {
        Fetched::File(file) => Ok(file),
        Fetched::Refused { answer, redirected } => {
            let mut error = failure(&answer);
            // Whoever knows no token does not mean ours.
            if redirected && error.kind == Kind::Unauthorized {
                error.kind = Kind::Expired;
            }
            Err(error)
        }
    }
}

fn failure(answer: &Answer) -> Error {
    match answer::read::<wire::Nothing>(answer) {
        Err(error) => error,
        Ok(_) => answer::broken(answer.endpoint, "the answer is no file"),
    }
}
