//! The calls that send a picture: create, get_upload_url, the PUT of a slice, upload_complete,
//! upload_async_result (上传图片; field notes 8.3). Where they are made of what is `drive.rs` and `placing.rs`.
//!
//! The PUT carries nothing of ours but the slice: no token, no `Platform` (常见问题 5). What it answers says no
//! more than that the bytes arrived; the cloud compares the whole with the `etag` of create at the end.

use std::time::Duration;

use serde_json::json;

use super::{Ask, Call, Oss, SMALL, answer, wire};
use crate::cloud::error::by_status;
use crate::cloud::http::{Answer, Body, Request};
use crate::cloud::{Code, Error, Kind, Result, Slice};
use crate::content::Md5;
use reqwest::header::HeaderMap;

/// What is told of an upload of which everything has arrived.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Told {
    /// The file exists, and this is its id.
    Made(String),
    /// Not yet: [`Oss::result`] tells later.
    Later,
    /// Not yet: the same call tells later.
    Again,
}

/// A picture as it is announced.
pub(super) struct Announced<'a> {
    /// Id of the folder it goes to; empty: the image host itself.
    pub(super) parent: &'a str,
    pub(super) name: &'a str,
    pub(super) md5: Md5,
    pub(super) size: u64,
}

/// The answer to `create`.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Created {
    /// The content was there; the file is too now, and this is its id.
    Reused(String),
    /// It is to be sent.
    Session {
        preupload_id: String,
        /// Bytes of every slice but the last.
        slice_size: u64,
    },
}

impl Oss {
    /// 创建文件.
    ///
    /// # Errors
    /// [`Kind::Exists`]: other content has the name. [`Kind::Missing`]: there is no such folder.
    pub(super) async fn create(&self, file: &Announced<'_>) -> Result<Created> {
        let endpoint = "create";
        let ask = Ask::Json(json!({
            "parentFileID": file.parent,
            "filename": file.name,
            "etag": file.md5.to_string(),
            "size": file.size,
            "type": 1,
        }));
        let call = Call { endpoint, path: "/upload/v1/oss/file/create", ask, limit: SMALL };
        let answer: wire::Created = self.ask(call, answer::read).await?;
        let missing = |what| answer::broken(endpoint, format!("the answer has no {what}"));
        if answer.reuse == Some(1) {
            let id = answer.file_id.filter(|id| !id.is_empty()).ok_or_else(|| missing("fileID"))?;
            return Ok(Created::Reused(id));
        }
        let preupload_id =
            answer.preupload_id.filter(|id| !id.is_empty()).ok_or_else(|| missing("preuploadID"))?;
        let slice_size = answer.slice_size.filter(|size| *size > 0).ok_or_else(|| missing("sliceSize"))?;
        Ok(Created::Session { preupload_id, slice_size })
    }

    /// 获取上传地址 and 上传分片: one slice, `number` from 0. An address is good for one slice and for a while, so
    /// that each attempt asks for its own.
    pub(super) async fn put(&self, preupload_id: &str, slice: Slice) -> Result<()> {
        let endpoint = "get_upload_url";
        let number = u64::from(slice.number) + 1;
        let ask = Ask::Json(json!({"preuploadID": preupload_id, "sliceNo": number}));
        let call = Call { endpoint, path: "/upload/v1/oss/file/get_upload_url", ask, limit: SMALL };
        let presigned: wire::Presigned = self.ask(call, answer::read).await.map_err(session_gone)?;
        let address = presigned.address.filter(|address| !address.is_empty());
        let address = address.ok_or_else(|| answer::broken(endpoint, "the answer has no presignedURL"))?;
        let request = Request {
            endpoint: "put",
            url: self.http.bare("put", &address)?,
            body: Body::Bytes { length: slice.length, body: slice.body },
            limit: SMALL,
            referer: None,
            secrets: vec![address],
        };
        stored(&self.http.call_with(request, HeaderMap::new()).await?)
    }

    /// 上传完毕.
    ///
    /// # Errors
    /// [`Kind::Expired`]: the upload is not known any more, or what arrived is not what was announced.
    pub(super) async fn complete(&self, preupload_id: &str) -> Result<Told> {
        self.completed("upload_complete", "/upload/v1/oss/file/upload_complete", preupload_id).await
    }

    /// 异步轮询获取上传结果, of an upload that [`Oss::complete`] was called for. "如果为false,请至少1秒后发起轮询".
    ///
    /// # Errors
    /// As of [`Oss::complete`].
    pub(super) async fn result(&self, preupload_id: &str) -> Result<Told> {
        self.completed("upload_async_result", "/upload/v1/oss/file/upload_async_result", preupload_id).await
    }

    async fn completed(
        &self,
        endpoint: &'static str,
        path: &'static str,
        preupload_id: &str,
    ) -> Result<Told> {
        let ask = Ask::Json(json!({"preuploadID": preupload_id}));
        match self.ask(Call { endpoint, path, ask, limit: SMALL }, answer::read).await {
            // "仍在校验" (field notes 8.2).
            Err(error) if error.number() == Some(20103) => Ok(Told::Again),
            answer => answer.map(told).map_err(session_gone),
        }
    }
}

fn told(answer: wire::Completed) -> Told {
    let id = answer.file_id.filter(|id| answer.completed == Some(1) && !id.is_empty() && id != "0");
    id.map_or(Told::Later, Told::Made)
}

/// What is missing of a call with a `preuploadID` is the upload, or the folder it was to go to: both are had
/// by beginning again.
fn session_gone(error: Error) -> Error {
    match error.kind {
        Kind::Missing => Error { kind: Kind::Expired, ..error },
        _ => error,
    }
}

/// What became of a PUT. It is not 123pan's API that answers: the status is all there is (常见问题 3).
fn stored(answer: &Answer) -> Result<()> {
    let Answer { endpoint, status, .. } = *answer;
    let error = |kind, words: String| Err(Error::new(kind, endpoint, words).with_code(Code::Http(status)));
    match status {
        200..=299 => Ok(()),
        // With the same bytes and another address.
        401 | 403 => {
            let again = Kind::Busy { after: Some(Duration::ZERO) };
            error(again, "the presigned address is too old or not accepted: another one is asked for".into())
        }
        404 | 410 => error(Kind::Expired, "the upload is not known any more".into()),
        status => {
            let (kind, words) = by_status(status);
            error(kind, words)
        }
    }
}
