//! Fetching a file by its dlink (xpan-api, 下载; field notes 5).
//!
//! The dlink has a query already, so that the token joins it with `&`. The cloud sends us on to another
//! server, which knows no token and gets none. A dlink that is too old is [`Kind::Expired`]: `filemetas`
//! gives another. A server that does not say how long the file is has to send as much as was listed.

use super::{Xpan, answer, limits, wire};
use crate::cloud::files::Download;
use crate::cloud::http::{self, Answer, Fetch, Fetched, Streamed};
use crate::cloud::{Error, Kind, Result};

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
            file(self.http.fetch(Fetch { endpoint, url, from, size: Some(size), secrets }).await?)
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
        Ok(Download { from, total: total.unwrap_or(size), content_md5, body })
    }
}

/// The file, or the failure that came instead.
pub(super) fn file(fetched: Fetched) -> Result<Streamed> {
    let (error, redirected) = match fetched {
        Fetched::File(file) => return Ok(file),
        // pan.baidu.com refuses with HTTP 200 (field notes 2); what has no number in it is a file.
        Fetched::Doubtful { file, answer, redirected } => match answer::read::<wire::Nothing>(&answer) {
            Err(error) if error.number().is_some() => (error, redirected),
            _ => return Ok(file),
        },
        Fetched::Refused { answer, redirected } => (failure(&answer), redirected),
    };
    // Whoever knows no token does not mean ours.
    let kind = match error.kind {
        Kind::Unauthorized if redirected => Kind::Expired,
        kind => kind,
    };
    Err(Error { kind, ..error })
}

fn failure(answer: &Answer) -> Error {
    match answer::read::<wire::Nothing>(answer) {
        Err(error) => error,
        Ok(_) => answer::broken(answer.endpoint, "the answer is no file"),
    }
}
