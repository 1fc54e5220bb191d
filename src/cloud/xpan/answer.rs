//! Tells a good answer from a failure: the five error shapes of field notes 6 in one place.
//!
//! Success is that none of the error numbers is there and non-zero; the HTTP status decides only where
//! there is no number.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::codes;
pub(super) use crate::cloud::envelope::broken;
use crate::cloud::envelope::{bare, body, envelope, took_ms};
use crate::cloud::http::Answer;
use crate::cloud::lenient::Scalar;
use crate::cloud::{Code, Error, Result};

/// Everything that can say that a call failed.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Envelope {
    /// xpan and web, with `errmsg`, `err_msg` or `show_msg`.
    errno: Scalar,
    errmsg: Scalar,
    err_msg: Scalar,
    show_msg: Scalar,
    /// PCS, with `error_msg`.
    error_code: Scalar,
    error_msg: Scalar,
    /// xpan/unisearch, with `error_msg`.
    error_no: Scalar,
    /// OAuth, with `error_description`.
    error: Scalar,
    error_description: Scalar,
    /// `bind`: who has the device (xpan-device, 设备绑定).
    last_user: Scalar,
    /// A number or a string, beyond 64 bits at times: opaque.
    request_id: Scalar,
}

impl Envelope {
    fn code(&mut self) -> Option<Code> {
        let number = |scalar: &Scalar| {
            let number = scalar.int().and_then(|number| i64::try_from(number).ok());
            number.filter(|number| *number != 0)
        };
        if let Some(errno) = number(&self.errno) {
            return Some(Code::Errno(errno));
        }
        if let Some(code) = number(&self.error_code) {
            return Some(Code::ErrorCode(code));
        }
        if let Some(no) = number(&self.error_no) {
            return Some(Code::ErrorNo(no));
        }
        let word = std::mem::take(&mut self.error).text()?;
        (!word.is_empty() && word != "0").then_some(Code::OAuth(word))
    }

    fn text(&mut self) -> String {
        [
            &mut self.errmsg,
            &mut self.error_msg,
            &mut self.error_description,
            &mut self.err_msg,
            &mut self.show_msg,
        ]
        .into_iter()
        .filter_map(|scalar| std::mem::take(scalar).text())
        .find(|text| !text.is_empty())
        .unwrap_or_default()
    }
}

/// Reads an answer as `T`, or as the failure it is.
///
/// # Errors
/// The failure the answer tells of, or [`Kind::Broken`] when it makes no sense.
pub(super) fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T> {
    failure(answer)?;
    body(answer)
}

/// As [`read`], of a call whose answer may have all of its data beside the number of a failure: then
/// `is_fine` says whether it is to be taken all the same.
///
/// # Errors
/// As [`read`].
pub(super) fn read_despite<T: DeserializeOwned>(
    answer: &Answer,
    is_fine: impl Fn(&Error, &T) -> bool,
) -> Result<T> {
    match failure(answer) {
        Err(error) => body(answer).ok().filter(|data| is_fine(&error, data)).ok_or(error),
        Ok(()) => body(answer),
    }
}

/// Whether the answer tells of a failure.
fn failure(answer: &Answer) -> Result<()> {
    let Answer { endpoint, status, .. } = *answer;
    let mut envelope: Envelope = envelope(answer).map_err(|error| bare(endpoint, status).because(error))?;
    let code = envelope.code();
    let request_id = std::mem::take(&mut envelope.request_id).text();
    let request_id = request_id.map(|id| answer.clean(&id));
    let shown = code.as_ref().map(|code| answer.clean(&code.to_string()));
    tracing::debug!(
        endpoint,
        status,
        code = shown,
        REQUEST_ID = request_id,
        took_ms = took_ms(answer),
        "answered"
    );
    if let Some(code) = code {
        let text = answer.clean(&envelope.text());
        let (kind, mut words) = codes::meaning(endpoint, &code, &text, status);
        let last_user = envelope.last_user.text().filter(|user| !user.is_empty());
        if let (Some(42103), Some(user)) = (code.number(), last_user) {
            let user = answer.clean(&user);
            words = format!("this device is bound to {user} already: remove it there first");
        }
        let code = match code {
            Code::OAuth(word) => Code::OAuth(answer.clean(&word)),
            numbered => numbered,
        };
        return Err(Error::new(kind, endpoint, words).with_code(code).of_request(request_id));
    }
    if !(200..300).contains(&status) {
        return Err(bare(endpoint, status));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cloud::Kind;

    fn failure(status: u16, body: &str) -> Error {
        let answer = Answer::for_test("bind", status, body, &["SECRET"]);
        read::<super::super::wire::Nothing>(&answer).unwrap_err()
    }

    #[test]
    fn all_five_error_shapes_are_failures_whatever_the_status() {
        for (body, code) in [
            (r#"{"errno":-9,"errmsg":"x"}"#, "errno -9"),
            (r#"{"errno":"-9"}"#, "errno -9"),
            (
                r#"{"error_code":31066,"error_msg":"x","request_id":99999999999999999999999}"#,
                "error_code 31066",
            ),
            (r#"{"error":"expired_token","error_description":"x"}"#, "expired_token"),
            (r#"{"error_no":-9,"error_msg":"x"}"#, "error_no -9"),
            (r#"{"errno":-9,"err_msg":"x","show_msg":"y","newno":""}"#, "errno -9"),
        ] {
            for status in [200, 400, 500] {
                assert_eq!(failure(status, body).code.unwrap().to_string(), code, "{body}");
            }
        }
    }

    #[test]
    fn zero_and_empty_mean_success() {
        for body in [
            r#"{"errno":0,"errmsg":"succ"}"#,
            r#"{"errno":"0","error_code":0,"error":"","error_no":null}"#,
            r#" {"anything":[1,{"a":null}]} "#,
        ] {
            let answer = Answer::for_test("bind", 200, body, &[]);
            assert!(read::<super::super::wire::Nothing>(&answer).is_ok(), "{body}");
        }
    }

    #[test]
    fn html_empty_and_cut_answers_go_by_their_status() {
        let busy = Kind::Busy { after: None };
        for (status, body, kind) in [
            (200, "<html>hello</html>", Kind::Broken),
            (200, "", Kind::Broken),
            (200, r#"{"errno":0,"list":["#, Kind::Broken),
            (200, "[1]", Kind::Broken),
            (200, "null", Kind::Broken),
            (302, "", Kind::Broken),
            (400, "<html>", Kind::Broken),
            (401, "", Kind::Unauthorized),
            (500, "", busy),
            (502, "<html>", busy),
            (504, r#"{"errno":0}"#, busy),
        ] {
            assert_eq!(failure(status, body).kind, kind, "{status} {body}");
        }
        assert_eq!(failure(200, &"[".repeat(100_000)).kind, Kind::Broken);
        assert_eq!(failure(200, &"{\"a\":".repeat(100_000)).kind, Kind::Broken);
    }

    #[test]
    fn a_taken_device_names_who_has_it_and_an_echoed_secret_is_blotted_out() {
        let taken = failure(200, r#"{"errno":42103,"last_user":"北极***g狼"}"#);
        assert_eq!(
            taken.to_string(),
            "bind: this device is bound to 北极***g狼 already: remove it there first (errno 42103)"
        );
        let echo = failure(200, "{\"errno\":5555,\"errmsg\":\"bad token SECRET\\u001b[2J\"}");
        assert_eq!(echo.to_string(), "bind: bad token …[2J (errno 5555)");
        let echo = failure(400, r#"{"error":"bad SECRET"}"#);
        assert!(!format!("{echo:?} {echo}").contains("SECRET"));
    }
}
