//! The one table of Baidu's error numbers: number, key, where it holds, what it means, what kind it is -
//! and, of what stops a whole account, when it is looked at again.
//!
//! From field notes 1.2, 2.1, 2.2 and the error sections of xpan-api and xpan-device. The same number
//! can mean different things by key (`errno`, `error_code`), by call and by the server's text: the first
//! row that fits decides, so the particular rows stand before the general ones. A number that is not
//! here keeps the server's own words and is not tried again unless the HTTP status is 500 or more
//! (field notes 2.1).

use std::time::Duration;

use crate::cloud::{Code, Kind};

/// The key a number came under.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Key {
    /// Any: most of the numbers travel under both.
    Any,
    /// `errno` only.
    Errno,
}

/// One meaning of one number, or of a row of them.
struct Row {
    from: i64,
    to: i64,
    key: Key,
    /// Calls it holds for; none: all.
    at: &'static [&'static str],
    /// Part of the server's text, lower case; empty: any.
    text: &'static str,
    kind: Kind,
    words: &'static str,
}

const BUSY: Kind = Kind::Busy { after: None };
const fn wait(seconds: u64) -> Kind {
    Kind::Busy { after: Some(Duration::from_secs(seconds)) }
}
/// A person has to act: looked at again after so many minutes, or when `xpand retry` says so.
const fn blocked(minutes: u64) -> Kind {
    Kind::Blocked { after: Duration::from_secs(minutes * 60) }
}
/// What a person mends somewhere else shows within the hour.
const BLOCKED: Kind = blocked(60);
/// Risk control: asking again does harm (field notes 7: not retryable by machine).
const BARRED: Kind = blocked(6 * 60);
const fn row(number: i64, kind: Kind, words: &'static str) -> Row {
    rows(number, number, kind, words)
}
const fn rows(from: i64, to: i64, kind: Kind, words: &'static str) -> Row {
    Row { from, to, key: Key::Any, at: &[], text: "", kind, words }
}
impl Row {
    const fn key(mut self, key: Key) -> Self {
        self.key = key;
        self
    }
    const fn at(mut self, at: &'static [&'static str]) -> Self {
        self.at = at;
        self
    }
    const fn text(mut self, text: &'static str) -> Self {
        self.text = text;
        self
    }
}

/// Calls that only look (xpan-api, 获取文件列表: -7 is 文件或目录无权访问 there).
const LOOKS: &[&str] = &[
    "list",
    "listall",
    "doclist",
    "imagelist",
    "videolist",
    "btlist",
    "categoryinfo",
    "categorylist",
    "search",
    "filemetas",
    "download",
];

use Kind::{DayLimit, Exists, Expired, Full, Missing, Refused, SliceSize, Unauthorized};

#[rustfmt::skip]
const TABLE: &[Row] = &[
    // 2.1: pan.baidu.com
    row(-1, Refused, "the entitlement for this has expired, or the cloud does not say what is wrong"),
    row(-2, Refused, "the user is unknown or a parameter is wrong"),
    row(-3, Missing, "the share has no such file").at(&["share transfer", "share item"]),
    row(-3, Missing, "a file that was to be shared is missing").at(&["share set"]),
    row(-3, Missing, "the file or the application's data is missing"),
    rows(-5, -4, Unauthorized, "not logged in"),
    row(-6, Unauthorized, "the login was not accepted"),
    row(-7, Refused, "the share may not be looked at: it was taken back, or a limit of this membership is reached").at(&["share list"]),
    row(-7, Refused, "no right to look at this file or folder").at(LOOKS),
    row(-7, Refused, "the name is not allowed, or lies outside what this application may write"),
    row(-8, Exists, "there is a file or folder of this name already"),
    row(-9, Refused, "the password of the share is wrong").at(&["share verify", "share transfer"]),
    row(-9, Refused, "the password or the key of the share is wrong, or what it names is gone").at(&["share set", "share list", "shorturlinfo"]),
    row(-9, Missing, "there is no such file or folder"),
    row(-10, Full, "the drive is full: make room in it, or get more"),
    row(-12, Refused, "the share was not accepted: too many files for an ordinary user").at(&["share verify"]),
    rows(-12, -11, Refused, "the share was not accepted"),
    row(-19, BARRED, "the cloud wants a person to solve a captcha: log in on pan.baidu.com once, then: xpand retry"),
    row(-62, BARRED, "the cloud wants a person to solve a captcha: log in on pan.baidu.com once, then: xpand retry"),
    row(-30, Exists, "there is a file of this name already"),
    row(-31, BUSY, "saving failed"),
    row(-32, Full, "no space left for this: make room in the drive, or get more"),
    row(-33, Refused, "too many files at once"),
    row(-70, Refused, "the cloud found a virus in this file"),
    row(1, BUSY, "the cloud failed and does not say why"),
    row(2, Refused, "the cloud refuses a parameter (empty files give this too)").at(&["precreate", "create"]),
    row(2, Refused, "the cloud refuses a parameter"),
    row(3, Refused, "the cloud does not support this call"),
    row(4, wait(10), "too many calls a second"),
    row(18, wait(10), "too many calls a second"),
    row(5, Refused, "folders and archives cannot be shared").at(&["share set", "share transfer"]),
    row(5, BLOCKED, "this network address is not on the application's list: the owner of the application adds it at pan.baidu.com/union"),
    row(6, blocked(10), "the application may not touch this user's data yet: wait ten minutes after granting it, or ask the vendor"),
    row(10, Exists, "the file is there already").at(&["share transfer", "share item"]),
    row(10, Expired, "the slices do not make up the file: it has to be sent again from the beginning"),
    row(11, Refused, "this is your own share"),
    row(12, Refused, "a part of the batch failed"),
    row(17, DayLimit, "the day's calls are used up"),
    row(19, DayLimit, "all calls are used up for today"),
    row(20, Full, "the drive is full: make room in it, or get more"),
    row(100, Unauthorized, "the access token is missing"),
    row(110, wait(10), "another task of this user is still running").at(&["share list"]),
    row(110, Unauthorized, "the access token is not valid"),
    row(111, wait(10), "another task of this user is still running").key(Key::Errno).at(&["filemanager", "share set", "share transfer"]),
    row(111, Unauthorized, "the access token has expired"),
    row(105, Refused, "the share link is wrong, or it leads to more files than an ordinary user may have").at(&["share list"]),
    row(105, Refused, "the share link is wrong"),
    rows(112, 117, Refused, "the share link or its page has expired, or its signature is wrong"),
    row(120, Refused, "too many files in one transfer for this membership"),
    row(130, Refused, "too many files in one transfer"),
    row(132, BARRED, "the cloud wants a security check after many changes: confirm it in the phone app, then: xpand retry"),
    row(133, wait(30), "an advertisement is playing"),
    row(255, Refused, "too many files in one transfer"),
    row(404, Missing, "the cloud does not know this content: it has to be sent"),
    row(2126, Refused, "the cloud found a forbidden word"),
    row(2131, Missing, "the share does not exist"),
    row(9013, BARRED, "this account is barred from transfers of shares"),
    row(9019, BARRED, "the cloud's risk control wants a verification: confirm it in the phone app, then: xpand retry"),
    row(9100, BARRED, "this account is barred by the cloud (level 1): ask its support"),
    row(9200, BARRED, "this account is barred by the cloud (level 2): ask its support"),
    row(9300, BARRED, "this account is barred by the cloud (level 3): ask its support"),
    row(9400, BARRED, "this account is barred by the cloud (level 4): ask its support"),
    row(9500, BARRED, "this account is barred by the cloud (level 5): ask its support"),
    row(20011, BLOCKED, "the application is under review: only its first ten users may use it; the vendor has to finish it"),
    row(20012, wait(600), "the application has made too many calls"),
    row(20013, BLOCKED, "the application has no right to this call: the vendor grants it"),
    row(36016, Missing, "the task is not known"),
    row(42000, wait(60), "too many calls"),
    row(42001, Refused, "the check of the share failed"),
    row(42100, BLOCKED, "the device type is not known: check `type` in [device], the vendor gives it out"),
    row(42101, Missing, "the device is not registered"),
    row(42102, BLOCKED, "this user has as many devices as the cloud allows: remove one in the phone app first"),
    row(42103, BLOCKED, "this device is bound to another user already: remove it there first"),
    row(42211, BUSY, "the picture's details could not be read"),
    row(42212, BUSY, "who uploaded to the shared folder could not be read"),
    row(42213, Refused, "no right to this shared folder"),
    row(42214, BUSY, "the file's details could not be read"),
    row(42905, BUSY, "the user's name could not be read"),
    row(42999, Refused, "the cloud has taken this function offline"),
    // 2.2: the PCS hosts, and the same numbers through pan.baidu.com
    rows(31001, 31003, BUSY, "the cloud's database failed"),
    rows(31021, 31022, BUSY, "the cloud's own network failed"),
    row(31023, Refused, "the cloud refuses a parameter"),
    row(31024, BLOCKED, "the application has no right to upload: the vendor grants it"),
    row(31034, wait(60), "too many calls"),
    rows(31041, 31046, Unauthorized, "the login was not accepted: was the `netdisk` scope granted?"),
    row(31061, Exists, "there is a file of this name already"),
    row(31062, Refused, "the name is not allowed"),
    row(31063, BUSY, "the folder above is not there yet").at(&["precreate", "create"]),
    row(31063, Missing, "the folder above is missing"),
    row(31064, BLOCKED, "not allowed there: the application may only write below /apps/<app>; check `app` in the configuration"),
    row(31065, Refused, "the folder holds as many files as the cloud allows"),
    row(31066, Missing, "there is no such file or folder"),
    row(-31066, Missing, "there is no such file or folder"),
    rows(31067, 31073, Refused, "the files cannot be moved, copied or deleted like that"),
    row(31079, Missing, "the cloud does not know this content: it has to be sent"),
    row(31081, Expired, "the slices could not be put together: the file has to be sent again from the beginning"),
    row(31112, Full, "the drive is full: make room in it, or get more"),
    row(31190, Expired, "slices are missing: the file has to be sent again from the beginning (or the drive is full)"),
    row(31200, wait(60), "the cloud is overloaded"),
    row(31208, Refused, "the cloud did not understand the length or type of what was sent"),
    row(31211, Refused, "access denied: something between here and the cloud changes what is sent (no Content-Length)"),
    row(31212, BUSY, "the cloud is not available"),
    rows(31218, 31220, Full, "the space or traffic allowed is used up"),
    row(31233, BUSY, "the slice came too slowly for the cloud"),
    row(31299, Expired, "the time to send this file is over: it has to be sent again from the beginning").text("time not match"),
    row(31299, Expired, "the time to send this file is over: it has to be sent again from the beginning").text("expire"),
    row(31299, Refused, "the first slice is smaller than 4 MiB"),
    row(31326, BARRED, "the cloud has barred this account from downloads").at(&["download"]).text("122"),
    row(31326, BARRED, "the cloud has barred this account from downloads").at(&["download"]).text("123"),
    row(31326, wait(60), "the cloud finds that too much is downloaded at once (anti-leech)").at(&["download"]),
    row(31326, Refused, "the cloud takes this for a foreign download (anti-leech)"),
    row(31352, Refused, "the cloud cannot store a file of this name"),
    row(31353, Expired, "the cloud could not make the file: it has to be sent again from the beginning"),
    row(31355, Expired, "the upload is not known any more: the file has to be sent again from the beginning"),
    row(31360, Expired, "the download address has expired"),
    row(31362, Expired, "the signature of the download address is wrong"),
    row(31363, Expired, "slices are missing: the file has to be sent again from the beginning"),
    row(31364, SliceSize, "the slices are larger than this membership allows"),
    row(31365, Refused, "the file is larger than this membership allows"),
    row(31390, Refused, "the cloud calls this file illegal"),
    row(31626, BARRED, "the cloud has barred this account from downloads"),
];

/// Field notes 1.2: the words of OAuth.
#[rustfmt::skip]
const WORDS: &[(&str, Kind, &str)] = &[
    ("authorization_pending", BUSY, "the user has not finished"),
    ("slow_down", wait(5), "asked too quickly"),
    ("authorization_declined", Refused, "the user said no"),
    ("access_denied", Refused, "the user said no"),
    ("expired_token", Unauthorized, "the code or the refresh token has expired or was used"),
    ("invalid_grant", Unauthorized, "the code is wrong or was used"),
    ("invalid_token", Unauthorized, "the token is not valid"),
    ("invalid_client", BLOCKED, "client_id or client_secret is wrong"),
    ("unauthorized_client", BLOCKED, "the application may not log in like this"),
    ("invalid_scope", BLOCKED, "the application has no right to the `netdisk` scope"),
    ("unsupported_grant_type", BLOCKED, "the cloud does not know this way to log in"),
    ("unsupported_response_type", BLOCKED, "the cloud does not know this way to log in"),
    ("redirect_uri_mismatch", BLOCKED, "the application's redirect address does not fit"),
    ("invalid_request", BLOCKED, "the cloud does not understand the request: check client_id and client_secret"),
];

/// What a code of `endpoint` means: its kind, and words a person understands.
#[must_use]
pub fn meaning(endpoint: &str, code: &Code, server_text: &str, http: u16) -> (Kind, String) {
    let own_words = || match server_text {
        "" => "the cloud gives no reason".to_owned(),
        text => text.to_owned(),
    };
    let unknown = || (if http >= 500 { BUSY } else { Refused }, own_words());
    let lower = server_text.to_ascii_lowercase();
    match code {
        Code::Errno(number) | Code::ErrorCode(number) | Code::ErrorNo(number) => {
            let fits = |row: &&Row| {
                (row.from..=row.to).contains(number)
                    && match row.key {
                        Key::Any => true,
                        Key::Errno => matches!(code, Code::Errno(_)),
                    }
                    && (row.at.is_empty() || row.at.contains(&endpoint))
                    && lower.contains(row.text)
            };
            match TABLE.iter().find(fits) {
                Some(row) => (row.kind, row.words.to_owned()),
                None => unknown(),
            }
        }
        // Field notes 1.3: what the cloud says to who refreshes too often, and to an odd refresh token.
        Code::OAuth(word) => {
            let word = word.to_ascii_lowercase();
            if [&word, &lower]
                .iter()
                .any(|text| text.contains("security policy") || text.contains("try again later"))
            {
                return (wait(3600), "too many attempts to log in".to_owned());
            }
            if word == "invalid_request" && lower.contains("refresh token") {
                return (Unauthorized, "the refresh token is not valid".to_owned());
            }
            match WORDS.iter().find(|(known, ..)| *known == word) {
                Some((_, kind, words)) => (*kind, (*words).to_owned()),
                None => unknown(),
            }
        }
        Code::Http(status) => by_status(*status),
    }
}

/// What a bare HTTP status means, when the answer has no number in it.
#[must_use]
pub fn by_status(status: u16) -> (Kind, String) {
    let (kind, words) = match status {
        200..=299 => (Kind::Broken, "the answer makes no sense"),
        300..=399 => (Kind::Broken, "the cloud sent us elsewhere, which it never should"),
        401 => (Unauthorized, "the login was not accepted"),
        // Without a number it is not the cloud that speaks: a proxy, a hotel's log-in page.
        416 => (Kind::Broken, "the file has no such part: it may have changed"),
        403 => (Kind::Broken, "refused without a reason"),
        408 => (BUSY, "the request came too slowly for the cloud"),
        413 => (Kind::Broken, "too large for something on the way"),
        429 => (wait(60), "too many calls"),
        400..=499 => (Kind::Broken, "the cloud did not understand the request"),
        _ => (BUSY, "the cloud failed"),
    };
    (kind, words.to_owned())
}

/// What `number` means, one line a meaning; none when it is not known.
#[must_use]
pub fn explain(number: i64) -> Vec<String> {
    let known = TABLE.iter().filter(|row| (row.from..=row.to).contains(&number)).map(|row| {
        let key = match row.key {
            Key::Any => "",
            Key::Errno => " (as errno)",
        };
        let at = if row.at.is_empty() { String::new() } else { format!(" at {}", row.at.join(", ")) };
        let text =
            if row.text.is_empty() { String::new() } else { format!(" when the cloud says {:?}", row.text) };
        format!("{number}{key}{at}{text}: {}; {}", row.words, row.kind.consequence())
    });
    known.collect()
}

/// The same for an HTTP status that came without a number of the cloud.
#[must_use]
pub fn explain_status(status: u16) -> String {
    let (kind, words) = by_status(status);
    format!("HTTP {status} without a number of the cloud's own: {words}; {}", kind.consequence())
}

/// The same for a word of OAuth.
#[must_use]
pub fn explain_word(word: &str) -> Vec<String> {
    let known = WORDS.iter().filter(|(known, ..)| known.eq_ignore_ascii_case(word));
    known.map(|(word, kind, words)| format!("{word}: {words}; {}", kind.consequence())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(endpoint: &str, code: Code, text: &str) -> Kind {
        meaning(endpoint, &code, text, 200).0
    }

    /// Field notes 2.1 and 2.2 row by row: the numbers, and what is to be done about them (their columns
    /// `act`: R again, A renew the token, P from precreate, U a person, S special).
    #[rustfmt::skip]
    const NOTES: &[(char, &[i64])] = &[
        ('R', &[1, 4, 18, -31, 20012, 42000, 42211, 42212, 42214, 42905, 31001, 31002, 31003, 31021, 31022,
            31034, 31200, 31212, 31233]),
        ('A', &[-4, -5, -6, 100, 110, 31041, 31042, 31043, 31044, 31045, 31046]),
        ('P', &[31081, 31190, 31353, 31355, 31363]),
        ('U', &[-1, -2, 2, 3, 5, -7, 6, -9, 11, -10, -11, -12, -19, -62, 20, -32, -33, 105, 112, 113, 114, 115,
            116, 117, -70, 120, 130, 132, 2126, 2131, 9013, 9019, 9100, 9200, 9300, 9400, 9500, 20011, 20013,
            42001, 42100, 42102, 42103, 42213, 42999, 31023, 31024, 31062, 31064, 31065, 31066, -31066, 31067,
            31068, 31069, 31070, 31071, 31072, 31073, 31112, 31208, 31211, 31218, 31219, 31220, 31326, 31352,
            31365, 31390, 31626]),
        // Special ones, and those with more than one meaning: `the_same_number_is_told_apart_…` and `SPECIAL`.
        ('S', &[-3, -8, 10, 12, 17, 19, -30, 111, 133, 255, 404, 36016, 42101, 31061, 31063, 31079, 31299, 31360,
            31362, 31364]),
    ];

    #[rustfmt::skip]
    const SPECIAL: &[(i64, Kind)] = &[
        (-3, Missing), (-8, Exists), (10, Expired), (12, Refused), (17, DayLimit), (19, DayLimit), (-30, Exists),
        (255, Refused), (404, Missing), (36016, Missing), (42101, Missing), (31061, Exists), (31079, Missing),
        (31360, Expired), (31362, Expired), (31364, SliceSize),
    ];

    #[test]
    fn every_number_of_the_field_notes_is_in_the_table_with_its_act_and_no_other_number() {
        for &(act, numbers) in NOTES {
            for &number in numbers {
                let found = kind("create", Code::Errno(number), "");
                let fits = match act {
                    'R' => matches!(found, Kind::Busy { .. }),
                    'A' => found == Unauthorized,
                    'P' => found == Expired,
                    'U' => matches!(found, Refused | Full | Missing | Kind::Blocked { .. }),
                    _ => true,
                };
                assert!(fits, "{number} is {found:?}, and the notes say {act}");
                assert!(!explain(number).is_empty(), "{number}");
            }
        }
        for &(number, special) in SPECIAL {
            assert_eq!(kind("create", Code::Errno(number), ""), special, "{number}");
        }
        let noted = |number: i64| NOTES.iter().any(|(_, numbers)| numbers.contains(&number));
        for row in TABLE {
            assert!((row.from..=row.to).all(noted), "{}..={} is not in the notes", row.from, row.to);
        }
        for unknown in [42202, 50002, 31297, 9150] {
            assert_eq!(explain(unknown), [""; 0], "{unknown}");
        }
    }

    #[test]
    fn what_stops_an_account_is_looked_at_again_after_the_notes_time() {
        let minutes = |number| match kind("uinfo", Code::Errno(number), "") {
            Kind::Blocked { after } => after.as_secs() / 60,
            other => panic!("{number} is {other:?}"),
        };
        assert_eq!(minutes(6), 10);
        for number in [5, 20011, 20013] {
            assert_eq!(minutes(number), 60, "{number}");
        }
        for number in [-19, -62, 132, 9019, 9100, 9200, 9300, 9400, 9500] {
            assert_eq!(minutes(number), 6 * 60, "{number}");
        }
    }

    #[test]
    fn every_word_of_oauth_is_explained() {
        for word in [
            "authorization_pending",
            "slow_down",
            "authorization_declined",
            "access_denied",
            "expired_token",
            "invalid_grant",
            "invalid_client",
            "unauthorized_client",
            "invalid_scope",
            "unsupported_grant_type",
            "unsupported_response_type",
            "redirect_uri_mismatch",
            "invalid_request",
        ] {
            assert_eq!(explain_word(word).len(), 1, "{word}");
        }
        assert_eq!(explain_word("nonsense"), [""; 0]);
        let line = "expired_token: the code or the refresh token has expired or was used; the token is renewed \
                    once; then a person has to log in again";
        assert_eq!(explain_word("EXPIRED_TOKEN"), [line]);
    }

    #[test]
    fn the_same_number_is_told_apart_by_call_key_and_text() {
        let busy = wait(10);
        assert_eq!(kind("filemanager", Code::Errno(111), ""), busy);
        assert_eq!(kind("filemanager", Code::ErrorCode(111), ""), Unauthorized);
        assert_eq!(kind("list", Code::Errno(111), ""), Unauthorized);
        assert_eq!(kind("create", Code::ErrorCode(111), ""), Unauthorized);
        assert_eq!(explain(111).len(), 2);
        let first = "111 (as errno) at filemanager, share set, share transfer: another task";
        assert!(explain(111)[0].starts_with(first));
        assert_eq!(explain(31299).len(), 3);
        assert_eq!(kind("superfile2", Code::ErrorCode(31299), "Expried Time Not Match"), Expired);
        assert_eq!(kind("superfile2", Code::ErrorCode(31299), "upload window expired"), Expired);
        assert_eq!(kind("superfile2", Code::ErrorCode(31299), "Invalid param"), Refused);
        assert_eq!(kind("share verify", Code::Errno(-9), ""), Refused);
        assert_eq!(kind("share transfer", Code::Errno(-9), ""), Refused);
        assert_eq!(kind("share transfer", Code::Errno(10), ""), Exists);
        assert_eq!(kind("share transfer", Code::Errno(111), ""), busy);
        assert_eq!(kind("share list", Code::Errno(110), ""), busy);
        assert_eq!(kind("share set", Code::Errno(5), ""), Refused);
        assert_eq!(kind("list", Code::Errno(5), ""), BLOCKED);
        assert_eq!(kind("download", Code::ErrorCode(31326), "hitcode:104"), wait(60));
        assert_eq!(kind("download", Code::ErrorCode(31326), "hitcode:122"), BARRED);
        assert_eq!(kind("filemetas", Code::ErrorCode(31326), ""), Refused);
        assert_eq!(kind("list", Code::Errno(-9), ""), Missing);
        let words = |endpoint, number| meaning(endpoint, &Code::Errno(number), "", 200).1;
        assert_eq!(words("list", -7), "no right to look at this file or folder");
        assert_eq!(
            words("filemanager", -7),
            "the name is not allowed, or lies outside what this application may write"
        );
        assert!(
            words("create", 2).contains("empty files") && !words("filemanager", 2).contains("empty files")
        );
        for (endpoint, number, part) in [
            ("share set", -9, "password"),
            ("share set", -3, "missing"),
            ("share list", -9, "password"),
            ("share list", 105, "more files than an ordinary user"),
            ("share verify", -12, "too many files"),
            ("share verify", 105, "the share link is wrong"),
        ] {
            assert!(
                words(endpoint, number).contains(part),
                "{endpoint} {number}: {}",
                words(endpoint, number)
            );
        }
    }

    #[test]
    fn an_unknown_number_keeps_the_clouds_words_and_is_tried_again_only_after_a_500() {
        let code = Code::Errno(77_777);
        assert_eq!(meaning("list", &code, "odd", 200), (Refused, "odd".to_owned()));
        assert_eq!(meaning("list", &code, "odd", 503).0, BUSY);
        assert_eq!(meaning("list", &code, "", 200).1, "the cloud gives no reason");
    }

    #[test]
    fn oauth_words_say_who_has_to_act() {
        let oauth = |word: &str, text| kind("token", Code::OAuth(word.into()), text);
        assert_eq!(oauth("expired_token", "refresh token has been used"), Unauthorized);
        assert_eq!(oauth("invalid_request", "invalid refresh token, lifetime changed"), Unauthorized);
        assert_eq!(oauth("invalid_client", "unknown client id"), BLOCKED);
        assert_eq!(oauth("Trigger security policy", ""), wait(3600));
        assert_eq!(oauth("error", "Please try again later"), wait(3600));
        assert_eq!(oauth("something_new", "x"), Refused);
    }
}
