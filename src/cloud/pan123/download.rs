//! Fetching a picture by its direct link (downloadURL of 获取图片详情): a GET without a token, from an offset.
//!
//! The link is for everyone who has it and does not end. It may lead to any host, and what comes is compared
//! with the picture's MD5 by whoever asked.

use super::{Oss, answer};
use crate::cloud::error::by_status;
use crate::cloud::files::Download;
use crate::cloud::http::{Answer, Fetched, Streamed};
use crate::cloud::{Code, Error, Kind, Result};

impl Oss {
    pub(super) async fn fetch(&self, address: &str, from: u64, size: u64) -> Result<Download> {
        let endpoint = "download";
        let url = self.http.bare(endpoint, address)?;
        let file = match self.http.fetch_bare(endpoint, url, from, size).await? {
            Fetched::File(file) => file,
            // What has a code in it is no picture, whatever its status.
            Fetched::Doubtful { file, answer, .. } => match answer::check(&answer) {
                Err(error) if error.number().is_some() => return Err(error),
                _ => file,
            },
            Fetched::Refused { answer, .. } => return Err(refusal(&answer)),
        };
        let Streamed { from, total, content_md5, body } = file;
        let total = total
            .ok_or_else(|| answer::broken(endpoint, "the cloud does not say how long the picture is"))?;
        Ok(Download { from, total, content_md5, body })
    }
}

/// What came instead of a picture: an envelope, or a status that nobody documents.
fn refusal(answer: &Answer) -> Error {
    if let Err(error) = answer::check(answer)
        && error.number().is_some()
    {
        return error;
    }
    let Answer { endpoint, status, .. } = *answer;
    let (kind, words) = match status {
        403 => (
            Kind::Refused,
            "123pan does not give this picture out: its review rejected it, or its links are switched off"
                .to_owned(),
        ),
        404 | 410 => (Kind::Missing, "there is no picture at this link".to_owned()),
        status => by_status(status),
    };
    Error::new(kind, endpoint, words).with_code(Code::Http(status))
}
