//! The one table of 123pan's numbers (`code` of the answer's envelope): 常用code码 of pan123-open-api.md and
//! field notes 8.1 and 8.2.
//!
//! The numbers are few and `1` stands for nearly everything, so that the server's words and the call decide
//! what is meant: the first row that fits, the particular ones before the general. The words are those that
//! the documents and real clients quote. A number that is not here keeps the server's own words and is not
//! tried again unless the HTTP status is 500 or more.

use std::time::Duration;

use crate::cloud::Kind;

/// One meaning of one number.
struct Row {
    /// `None`: whatever number comes with these words; nearly always one of `often`.
    number: Option<i64>,
    often: &'static [i64],
    /// Calls it holds for; none: all.
    at: &'static [&'static str],
    /// Parts of the server's text, lower case, one of which is in it; none: any text.
    text: &'static [&'static str],
    kind: Kind,
    words: &'static str,
}

/// Numbers that say nothing by themselves.
const GENERIC: &[i64] = &[1, 5000];
/// The calls that carry a `preuploadID`.
const OF_SESSION: &[&str] = &["get_upload_url", "upload_complete", "upload_async_result"];
const LOGIN: &[&str] = &["access_token"];
const NAMES: &[&str] = &["create", "mkdir", "upload_complete", "upload_async_result"];
/// The calls that name a file, a folder or an upload.
const WITH_IDS: &[&str] = &[
    "create",
    "mkdir",
    "list",
    "detail",
    "delete",
    "get_upload_url",
    "upload_complete",
    "upload_async_result",
];

const BUSY: Kind = Kind::Busy { after: None };
const fn wait_ms(ms: u64) -> Kind {
    Kind::Busy { after: Some(Duration::from_millis(ms)) }
}
/// What a person mends somewhere else shows within the hour.
const BLOCKED: Kind = Kind::Blocked { after: Duration::from_secs(3600) };

const fn row(number: i64, kind: Kind, words: &'static str) -> Row {
    Row { number: Some(number), often: &[], at: &[], text: &[], kind, words }
}
const fn said(text: &'static [&'static str], kind: Kind, words: &'static str) -> Row {
    Row { number: None, often: GENERIC, at: &[], text, kind, words }
}
impl Row {
    const fn at(mut self, at: &'static [&'static str]) -> Self {
        self.at = at;
        self
    }
    const fn often(mut self, often: &'static [i64]) -> Self {
        self.often = often;
        self
    }
    const fn text(mut self, text: &'static [&'static str]) -> Self {
        self.text = text;
        self
    }
}

const WRONG_CLIENT: &str =
    "the client_id or the client_secret is not the right one, which 123pan calls clientID and clientSecret";
const OTHER_CONTENT: &str = "what arrived is not what was announced";

/// No document has these words: they are what the cloud, or whoever stands in for it, is likely to say.
const NOT_THERE: &[&str] = &["不存在", "not exist", "n't exist", "not found", "no such"];
const TAKEN: &[&str] = &["重名", "同名", "重复", "已存在", "exist", "duplicate"];

#[rustfmt::skip]
const TABLE: &[Row] = &[
    // 常见问题 6; field notes 8.1: three at a time, 30 days or 90 each. "请及时退出登录" it says, but has no call for it.
    said(&["tokens number has exceeded"], BLOCKED, "too many logins of this client_id are alive, and no call ends one: the next is possible when the oldest ends by itself, 30 or 90 days after it began").often(&[401, 1]),
    row(429, wait_ms(500), "too many calls a second"),
    said(&["clientid", "client_id", "client id", "secret"], Kind::Unauthorized, WRONG_CLIENT).at(LOGIN),
    row(401, Kind::Unauthorized, WRONG_CLIENT).at(LOGIN),
    row(401, Kind::Unauthorized, "the access token is not valid"),
    row(400, Kind::Unauthorized, "the access token is not valid").text(&["token"]),
    row(20103, wait_ms(1000), "the cloud is still verifying the file"),
    // 123云盘服务器会校验用户预上传时的MD5与实际上传成功的MD5是否一致; the first words are from the field (notes 8.4).
    said(&["文件上传失败", "md5", "etag", "不一致"], Kind::Expired, OTHER_CONTENT).at(OF_SESSION),
    said(&["uploadid", "upload id"], Kind::Expired, "the upload is not known any more").at(OF_SESSION),
    said(&["分片", "slice"], Kind::Expired, "not all of the file has arrived").at(OF_SESSION),
    said(NOT_THERE, Kind::Missing, "there is no such file or folder").at(WITH_IDS),
    // 不能重名
    said(TAKEN, Kind::Exists, "the name is taken").at(NAMES),
    said(&["格式", "format"], Kind::Refused, "this is no kind of picture that 123pan takes").at(&["create"]),
    said(&["大小", "too large"], Kind::Refused, "it is larger than 123pan takes pictures (100 MiB)").at(&["create"]),
    said(&["文件名", "filename"], Kind::Refused, "123pan does not take this name").at(&["create", "mkdir"]),
    row(400, Kind::Refused, "the cloud does not understand the request"),
    row(5066, Kind::Missing, "there is no such file or folder"),
    row(5113, Kind::DayLimit, "the day's traffic is used up"),
    row(1, BUSY, "the cloud failed"),
    row(5000, BUSY, "the cloud failed"),
];

/// What a number means at this call, and the words for it: ours, and of a number that says nothing by itself
/// the server's too.
pub(super) fn meaning(endpoint: &str, number: i64, server_text: &str, http: u16) -> (Kind, String) {
    let lower = server_text.to_lowercase();
    let fits = |row: &&Row| {
        row.number.is_none_or(|known| known == number)
            && (row.at.is_empty() || row.at.contains(&endpoint))
            && (row.text.is_empty() || row.text.iter().any(|text| lower.contains(text)))
    };
    match TABLE.iter().find(fits) {
        // Numbers that do not say what the matter is.
        Some(Row { number: Some(1 | 400 | 5000), text: [], kind, words, .. }) => {
            let why = if server_text.is_empty() { "it does not say why" } else { server_text };
            (*kind, format!("{words}: {why}"))
        }
        Some(row) => (row.kind, row.words.to_owned()),
        None => {
            let words = if server_text.is_empty() { "the cloud gives no reason" } else { server_text };
            (if http >= 500 { BUSY } else { Kind::Refused }, words.to_owned())
        }
    }
}

/// What `number` means, one line a meaning; none when it is not known. The status of a picture is a number too
/// ("大于100为审核驳回文件", 获取图片详情).
#[must_use]
pub fn explain(number: i64) -> Vec<String> {
    let known = TABLE.iter().filter(|row| row.number == Some(number) || row.often.contains(&number));
    let mut lines: Vec<String> = known
        .map(|row| {
            let at = if row.at.is_empty() { String::new() } else { format!(" at {}", row.at.join(", ")) };
            let text = match row.text {
                [] => String::new(),
                texts => format!(" when the cloud says \"{}\"", texts.join("\" or \"")),
            };
            let consequence = match row.at {
                LOGIN => "the account waits until they are those that 123pan gave out".to_owned(),
                _ => row.kind.consequence(),
            };
            format!("{number} at 123pan{at}{text}: {}; {consequence}", row.words)
        })
        .collect();
    if lines.is_empty() && STATUSES.contains(&number) {
        lines.push(format!(
            "{number} as the status of a picture at 123pan: the review rejected it, as with every status above 100: it \
             is in the cloud, and nobody gets to see it; {}",
            Kind::Refused.consequence()
        ));
    }
    lines
}

/// Numbers that may be asked for because a picture has them as its status: from 300 on they rather are an HTTP
/// status.
const STATUSES: std::ops::RangeInclusive<i64> = 101..=299;

#[cfg(test)]
mod tests {
    use super::*;

    /// 常用code码, field notes 8.1 and 8.2, and what becomes of each.
    #[test]
    fn the_table_is_that_of_the_field_notes() {
        for (number, kind) in [
            (1, BUSY),
            (400, Kind::Refused),
            (401, Kind::Unauthorized),
            (429, wait_ms(500)),
            (5000, BUSY),
            (5066, Kind::Missing),
            (5113, Kind::DayLimit),
            (20103, wait_ms(1000)),
        ] {
            assert_eq!(meaning("detail", number, "", 200).0, kind, "{number}");
            assert!(!explain(number).is_empty(), "{number}");
        }
        let gone = "5066 at 123pan: there is no such file or folder; what needs it is tried again later";
        assert_eq!(explain(5066), [gone]);
        assert!(explain(31034).is_empty());
        let rejected = explain(104);
        assert!(rejected.len() == 1 && rejected[0].contains("the review rejected it"), "{rejected:?}");
        // What nearly always comes with words is explained with them.
        let ones = explain(1);
        for words in ["\"格式\"", "\"重名\"", "the cloud failed"] {
            assert!(ones.iter().any(|line| line.contains(words)), "{words}: {ones:#?}");
        }
        assert!(explain(401).iter().any(|line| line.contains("too many logins")));
        assert!(
            !explain(401)
                .iter()
                .any(|line| line.contains("not the right one") && line.contains("log in again"))
        );
    }

    #[test]
    fn the_call_and_the_words_tell_one_from_the_other() {
        for (endpoint, number, text, kind) in [
            ("access_token", 1, "clientID或clientSecret错误", Kind::Unauthorized),
            ("access_token", 1, "client_id不存在", Kind::Unauthorized),
            ("access_token", 403, "wrong Client ID", Kind::Unauthorized),
            ("access_token", 429, "too many calls of this client", wait_ms(500)),
            ("access_token", 1, "系统错误", BUSY),
            ("access_token", 401, "tokens number has exceeded the limit", BLOCKED),
            ("access_token", 401, "", Kind::Unauthorized),
            ("detail", 400, "Token is expired", Kind::Unauthorized),
            ("upload_complete", 1, "文件上传失败", Kind::Expired),
            ("detail", 1, "文件上传失败", BUSY),
            ("get_upload_url", 1, "preuploadID不存在或已失效", Kind::Expired),
            ("upload_complete", 1, "分片未上传: [1]", Kind::Expired),
            ("create", 1, "该目录下已经有同名文件,不能重名", Kind::Exists),
            ("mkdir", 77, "folder Already Exists", Kind::Exists),
            ("create", 1, "文件名重复", Kind::Exists),
            ("create", 1, "Duplicate filename", Kind::Exists),
            ("upload_complete", 5067, "文件已存在", Kind::Exists),
            ("create", 400, "parentFileID 不存在", Kind::Missing),
            ("mkdir", 404, "parent folder does not exist", Kind::Missing),
            ("detail", 404, "File not found", Kind::Missing),
            ("upload_complete", 1, "preuploadID not found", Kind::Expired),
            ("upload_async_result", 77777, "MD5 mismatch", Kind::Expired),
            ("upload_async_result", 20103, "md5 is being verified", wait_ms(1000)),
            ("list", 400, "limit is wrong", Kind::Refused),
            ("create", 1, "不支持的图片格式", Kind::Refused),
            ("create", 1, "文件名不合法", Kind::Refused),
            ("create", 77777, "什么", Kind::Refused),
        ] {
            assert_eq!(meaning(endpoint, number, text, 200).0, kind, "{endpoint} {number} {text}");
        }
        assert_eq!(meaning("list", 1, "内部错误", 200), (BUSY, "the cloud failed: 内部错误".into()));
        let missing = "the cloud does not understand the request: limit is missing".to_owned();
        assert_eq!(meaning("list", 400, "limit is missing", 200), (Kind::Refused, missing));
        assert_eq!(meaning("list", 1, "", 200), (BUSY, "the cloud failed: it does not say why".into()));
        assert_eq!(meaning("list", 77777, "", 200), (Kind::Refused, "the cloud gives no reason".into()));
        assert_eq!(meaning("list", 77777, "x", 502), (BUSY, "x".into()));
    }
}
