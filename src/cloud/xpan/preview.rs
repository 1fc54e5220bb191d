//! A document as a PDF, part by part (xpan-api, 获取文档列表, 其他说明).
//!
//! The address that a list gives carries its own signature: no token goes there.

use url::Url;

use super::{Xpan, answer, download, wire};
use crate::cloud::files::{Download, PreviewPart};
use crate::cloud::http::{self, Body, Fetch, Request};
use crate::cloud::{Error, Kind, Result};

impl Xpan {
    /// `method=newinfo`
    pub(super) async fn preview_part(&self, lodocpreview: &str, part_index: u32) -> Result<PreviewPart> {
        let endpoint = "newinfo";
        let index = part_index.to_string();
        let url = self.preview(endpoint, lodocpreview, &[("part_index", &index), ("method", endpoint)])?;
        let request = Request {
            endpoint,
            url,
            body: Body::None,
            limit: super::SMALL,
            referer: None,
            secrets: Vec::new(),
        };
        let answer = self.http.call(request).await?;
        let part: wire::items::Part = answer::read(&answer).map_err(without_login)?;
        let ndb_key = part.ndb_key.filter(|key| !key.is_empty());
        let ndb_key = ndb_key.ok_or_else(|| answer::broken(endpoint, "the answer has no ndb_key"))?;
        Ok(PreviewPart {
            page_num: part.page_num.unwrap_or(1),
            ndb_key,
            region: part.region.unwrap_or_default(),
        })
    }

    /// `method=newview`. The length is not always told: then the total is 0.
    pub(super) async fn preview_content(&self, lodocpreview: &str, part: &PreviewPart) -> Result<Download> {
        let endpoint = "newview";
        // The sample asks for "yangquan" where the answer before said "Yangquan".
        let region = part.region.to_ascii_lowercase();
        let query = [("ndb_key", part.ndb_key.as_str()), ("region", &region), ("method", endpoint)];
        let url = self.preview(endpoint, lodocpreview, &query)?;
        let fetched =
            self.http.fetch(Fetch { endpoint, url, from: 0, size: None, secrets: Vec::new() }).await?;
        let file = download::file(fetched).map_err(without_login)?;
        Ok(Download {
            from: file.from,
            total: file.total.unwrap_or(0),
            content_md5: file.content_md5,
            body: file.body,
        })
    }

    fn preview(&self, endpoint: &'static str, address: &str, query: &[(&str, &str)]) -> Result<Url> {
        let mut url = self.http.named(endpoint, address)?;
        let own = http::encode(query);
        let query = url.query().map(|query| format!("{query}&{own}"));
        url.set_query(Some(&query.unwrap_or(own)));
        Ok(url)
    }
}

/// No token was sent, so that none is refused: it is the address that has grown too old.
fn without_login(mut error: Error) -> Error {
    if error.kind == Kind::Unauthorized {
        error.kind = Kind::Expired;
    }
    error
}
