//! Tells a good answer from a failure: `{code, message, data, x-traceID}` (接口响应参数).
//!
//! `code` 0 is success and everything else a failure, whatever the HTTP status; without a `code` the status
//! decides.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::codes;
pub(super) use crate::cloud::envelope::broken;
use crate::cloud::envelope::{bare, body, envelope, took_ms};
use crate::cloud::http::Answer;
use crate::cloud::lenient::{Scalar, object};
use crate::cloud::{Code, Error, Result};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Envelope {
    code: Scalar,
    message: Scalar,
    /// 如果接口响应异常需要技术支持请提供接口返回的x-traceID: for the log.
    #[serde(rename = "x-traceID")]
    trace: Scalar,
}

#[derive(Deserialize)]
struct Data<T: DeserializeOwned> {
    #[serde(default = "nothing", deserialize_with = "object", bound(deserialize = ""))]
    data: Option<T>,
}

fn nothing<T>() -> Option<T> {
    None
}

/// Reads the `data` of an answer, or the failure it is.
///
/// # Errors
/// The failure the answer tells of, or [`Kind::Broken`] when it makes no sense or has no data.
pub(super) fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T> {
    check(answer)?;
    body::<Data<T>>(answer)?.data.ok_or_else(|| broken(answer.endpoint, "the answer has no data"))
}

/// Whether the answer tells of a failure; its `data` may be null (删除图片).
///
/// # Errors
/// As [`read`].
pub(super) fn check(answer: &Answer) -> Result<()> {
    let Answer { endpoint, status, .. } = *answer;
    let envelope: Envelope = envelope(answer).map_err(|error| by_status(endpoint, status).because(error))?;
    let code = envelope.code.int().and_then(|code| i64::try_from(code).ok());
    let trace = envelope.trace.text().map(|id| answer.clean(&id));
    tracing::debug!(endpoint, status, code, REQUEST_ID = trace, took_ms = took_ms(answer), "answered");
    match code {
        Some(0) if (200..300).contains(&status) => Ok(()),
        Some(0) | None => Err(by_status(endpoint, status)),
        Some(code) => {
            let text = answer.clean(&envelope.message.text().unwrap_or_default());
            let (kind, words) = codes::meaning(endpoint, code, &text, status);
            Err(Error::new(kind, endpoint, words).with_code(Code::Envelope(code)).of_request(trace))
        }
    }
}

/// A failure of which only the HTTP status tells; 429 is the same word as in an envelope (field notes 8.2).
fn by_status(endpoint: &'static str, status: u16) -> Error {
    if status != 429 {
        return bare(endpoint, status);
    }
    let (kind, words) = codes::meaning(endpoint, 429, "", status);
    Error::new(kind, endpoint, words).with_code(Code::Http(status))
}

/// Whether a call failed because there were too many (限流处理).
pub(super) fn is_too_many(error: &Error) -> bool {
    matches!(error.code, Some(Code::Envelope(429) | Code::Http(429)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cloud::Kind;
    use crate::cloud::pan123::wire;

    fn failure(status: u16, body: &str) -> Error {
        let answer = Answer::for_test("upload_complete", status, body, &["SECRET"]);
        read::<wire::Completed>(&answer).unwrap_err()
    }

    #[test]
    fn a_code_that_is_not_zero_is_a_failure_whatever_the_status_and_without_one_the_status_decides() {
        let busy = Kind::Busy { after: None };
        for (status, body, kind, code) in [
            (200, r#"{"code":401,"message":"x","data":null}"#, Kind::Unauthorized, "code 401"),
            (500, r#"{"code":"5066"}"#, Kind::Missing, "code 5066"),
            (200, r#"{"code":77777,"message":"什么"}"#, Kind::Refused, "code 77777"),
            (200, r#"{"message":"ok","data":{}}"#, Kind::Broken, "HTTP 200"),
            (502, r#"{"code":0,"data":{}}"#, busy, "HTTP 502"),
            (200, "<html>", Kind::Broken, "HTTP 200"),
            (200, "[0]", Kind::Broken, "HTTP 200"),
            (200, r#"{"code":0,"data":{"#, Kind::Broken, "HTTP 200"),
            (500, "", busy, "HTTP 500"),
            (401, "", Kind::Unauthorized, "HTTP 401"),
        ] {
            let error = failure(status, body);
            assert_eq!((error.kind, error.code.unwrap().to_string().as_str()), (kind, code), "{body}");
        }
        let half_a_second = Kind::Busy { after: Some(std::time::Duration::from_millis(500)) };
        assert_eq!(failure(429, "").kind, half_a_second);
        assert!(is_too_many(&failure(429, "")) && is_too_many(&failure(200, r#"{"code":429}"#)));
    }

    #[test]
    fn data_that_is_not_there_is_broken_where_it_is_needed_only() {
        for body in [r#"{"code":0,"data":null}"#, r#"{"code":0}"#, r#"{"code":0,"data":[1]}"#] {
            assert_eq!(failure(200, body).message, "the answer has no data", "{body}");
            assert!(check(&Answer::for_test("delete", 200, body, &[])).is_ok());
        }
        assert_eq!(failure(200, &"{\"a\":".repeat(100_000)).kind, Kind::Broken);
    }

    #[test]
    fn an_echoed_secret_is_blotted_out() {
        let echo = failure(200, "{\"code\":5555,\"message\":\"bad SECRET\\u001b[2J\"}");
        assert_eq!(echo.to_string(), "upload_complete: bad …[2J (code 5555)");
    }
}
