//! What the answers of all clouds have in common: a JSON object whose envelope says whether the call failed.
//!
//! The body is read twice - once for the envelope, once for the rest - because a tree of it would cost many times
//! its size in memory. Which fields the envelope has, and what its numbers mean, is each cloud's own.

use serde::de::DeserializeOwned;

use super::error::by_status;
use super::http::Answer;
use super::lenient::place;
use super::{Code, Error, Kind, Result};

/// The envelope of an answer, whatever its HTTP status. JSON is taken whatever the Content-Type says.
///
/// # Errors
/// What came is no JSON object: where not, for [`Error::because`].
pub(super) fn envelope<E: DeserializeOwned>(answer: &Answer) -> std::result::Result<E, String> {
    // A list would be read as an object's fields in order.
    let is_object = answer.body.trim_ascii_start().starts_with(b"{");
    let read = if is_object {
        serde_json::from_slice(&answer.body).map_err(|error| place(&error))
    } else {
        Err("no JSON object".to_owned())
    };
    if read.is_err() {
        let Answer { endpoint, status, .. } = *answer;
        tracing::debug!(
            endpoint,
            status,
            took_ms = took_ms(answer),
            bytes = answer.body.len(),
            "answer is not JSON"
        );
    }
    read
}

/// How long the answer took, for the log.
pub(super) fn took_ms(answer: &Answer) -> u64 {
    u64::try_from(answer.took.as_millis()).unwrap_or(u64::MAX)
}

/// An answer as `T`, once its envelope is known to be good.
///
/// # Errors
/// [`Kind::Broken`]: it makes no sense.
pub(super) fn body<T: DeserializeOwned>(answer: &Answer) -> Result<T> {
    serde_json::from_slice(&answer.body)
        .map_err(|error| broken(answer.endpoint, "the answer makes no sense").because(place(&error)))
}

/// A failure of which only the HTTP status tells.
pub(super) fn bare(endpoint: &'static str, status: u16) -> Error {
    let (kind, words) = by_status(status);
    Error::new(kind, endpoint, words).with_code(Code::Http(status))
}

/// An answer without something it must have.
pub(super) fn broken(endpoint: &'static str, what: impl Into<String>) -> Error {
    Error::new(Kind::Broken, endpoint, what)
}
