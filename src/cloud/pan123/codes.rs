//! The one table of 123pan's numbers (`code` of the answer's envelope): field notes 8.1 and 8.2, and 常用code码
//! of pan123-open-api.md.

use std::time::Duration;

use crate::cloud::Kind;

/// Number, kind, what it means.
#[rustfmt::skip]
const TABLE: &[(i64, Kind, &str)] = &[
    (1, Kind::Busy { after: None }, "the cloud failed and does not say why"),
    (400, Kind::Unauthorized, "the cloud does not understand the request; clients take it for a token that is not valid"),
    (401, Kind::Unauthorized, "the access token is not valid"),
    (429, Kind::Busy { after: Some(Duration::from_millis(500)) }, "too many calls a second"),
    (5000, Kind::Busy { after: None }, "the cloud failed and does not say why"),
    (5066, Kind::Missing, "there is no such file"),
    (5113, Kind::DayLimit, "the day's traffic is used up"),
    (20103, Kind::Busy { after: Some(Duration::from_secs(1)) }, "the cloud is still verifying the file"),
];

/// What `number` means, if it is known.
#[must_use]
pub fn explain(number: i64) -> Option<String> {
    let row = TABLE.iter().find(|(known, ..)| *known == number);
    row.map(|(_, kind, words)| format!("{words}; {}", kind.consequence()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_that_of_the_field_notes() {
        let numbers: Vec<i64> = TABLE.iter().map(|(number, ..)| *number).collect();
        assert_eq!(numbers, [1, 400, 401, 429, 5000, 5066, 5113, 20103]);
        assert_eq!(
            explain(5066).as_deref(),
            Some("there is no such file; what needs it is tried again later")
        );
        assert_eq!(explain(31034), None);
    }
}
