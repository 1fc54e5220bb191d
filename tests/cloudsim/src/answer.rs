//! What goes back: JSON answers, and the error shapes of the different hosts (field notes 6).

use std::io;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::{Response, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::dice::Dice;

/// Body of every HTTP answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// What a handler returns.
pub(crate) type Reply = Result<Answer, Refusal>;

/// A JSON answer before it gets its request_id, or something else than JSON.
#[derive(Debug)]
pub(crate) struct Answer {
    status: u16,
    value: Value,
    id: Id,
    page: Option<Response<Body>>,
}

/// The documents show request_id as a number here and as a string there; create shows none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Id {
    None,
    Number,
    Text,
    /// x-traceID of 123pan.
    Trace,
}

/// Why a call is turned down, in the shape of the host that says it.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// pan.baidu.com: HTTP 200 with errno and errmsg, and sometimes more.
    Xpan { errno: i64, message: String, more: Map<String, Value> },
    /// The share calls: HTTP 200 with errno, err_msg, newno and show_msg.
    Share { errno: i64, message: String },
    /// The PCS hosts: 4xx or 5xx with error_code and error_msg.
    Pcs { status: u16, error_code: i64, message: String },
    /// 123pan: HTTP 200 with code, message and data.
    Pan123 { code: i64, message: String },
    /// openapi.baidu.com: 400 with error and error_description.
    OAuth { error: String, description: String },
    /// No such address: an HTML page.
    NotFound,
    /// The simulator itself failed (disk full, for example).
    Broken(io::Error),
}

impl Answer {
    /// Answers whose request_id is a number.
    pub(crate) fn with_number_id(value: Value) -> Answer {
        Answer::json(200, value, Id::Number)
    }

    /// Answers whose request_id is a string.
    pub(crate) fn with_text_id(value: Value) -> Answer {
        Answer::json(200, value, Id::Text)
    }

    /// Answers that show no request_id.
    pub(crate) fn without_id(value: Value) -> Answer {
        Answer::json(200, value, Id::None)
    }

    /// What 123pan answers, whatever it says.
    pub(crate) fn envelope(code: i64, message: &str, data: Value) -> Answer {
        Answer::json(200, json!({"code": code, "message": message, "data": data}), Id::Trace)
    }

    /// Redirects, and the bytes of files.
    pub(crate) fn page(response: Response<Body>) -> Answer {
        Answer { page: Some(response), ..Answer::without_id(Value::Null) }
    }

    fn json(status: u16, value: Value, id: Id) -> Answer {
        Answer { status, value, id, page: None }
    }

    /// Adds the request_id: any u64, so that half of them do not fit a signed number.
    pub(crate) fn finish(mut self, dice: &mut Dice) -> Finished {
        if let Some(response) = self.page {
            return Finished::Page(response);
        }
        if let Some(object) = self.value.as_object_mut() {
            match self.id {
                Id::None => {}
                Id::Number => {
                    object.insert("request_id".into(), json!(dice.next()));
                }
                Id::Text => {
                    object.insert("request_id".into(), json!(dice.next().to_string()));
                }
                Id::Trace => {
                    let (id, node) = (dice.hex32(), dice.hex32());
                    let id = [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-");
                    let trace = format!("{id}_kong-db-5898fdd8c6-{}", &node[..5]);
                    object.insert("x-traceID".into(), json!(trace));
                }
            }
        }
        Finished::Json(self.status, self.value)
    }
}

/// A reply on its way out.
pub(crate) enum Finished {
    Json(u16, Value),
    Page(Response<Body>),
}

impl Refusal {
    /// A refusal of pan.baidu.com with its usual words.
    pub(crate) fn errno(errno: i64) -> Refusal {
        Refusal::Xpan { errno, message: errmsg(errno).into(), more: Map::new() }
    }

    /// The same with other words.
    pub(crate) fn errno_saying(errno: i64, message: impl Into<String>) -> Refusal {
        Refusal::Xpan { errno, message: message.into(), more: Map::new() }
    }

    /// A refusal of the share calls with its usual words.
    pub(crate) fn share(errno: i64) -> Refusal {
        let message = match errno {
            -3 => "share file does not exist",
            -9 => "pwd is wrong",
            5 => "not allowed to be shared",
            10 => "file already exists",
            11 => "own share",
            105 => "link is wrong",
            112 => "link has expired",
            113 => "csign is wrong",
            120 | 130 => "too many files in one transfer",
            other => errmsg(other),
        };
        Refusal::Share { errno, message: message.into() }
    }

    /// A refusal of the PCS hosts with its usual status and words.
    pub(crate) fn pcs(error_code: i64) -> Refusal {
        let (status, message) = pcs_words(error_code);
        Refusal::Pcs { status, error_code, message: message.into() }
    }

    pub(crate) fn oauth(error: &str, description: &str) -> Refusal {
        Refusal::OAuth { error: error.into(), description: description.into() }
    }

    /// The refusal as an answer; `None` when it is no JSON.
    pub(crate) fn into_answer(self) -> Result<Answer, Refusal> {
        Ok(match self {
            Refusal::Xpan { errno, message, more } => {
                let mut value = json!({"errno": errno, "errmsg": message});
                if let Some(object) = value.as_object_mut() {
                    object.extend(more);
                }
                Answer::with_text_id(value)
            }
            Refusal::Share { errno, message } => {
                let value = json!({"errno": errno, "err_msg": message, "newno": "", "show_msg": message});
                Answer::with_number_id(value)
            }
            Refusal::Pcs { status, error_code, message } => {
                let value = json!({"error_code": error_code, "error_msg": message});
                Answer::json(status, value, Id::Number)
            }
            Refusal::Pan123 { code, message } => Answer::envelope(code, &message, Value::Null),
            Refusal::OAuth { error, description } => {
                let value = json!({"error": error, "error_description": description});
                Answer::json(400, value, Id::None)
            }
            other => return Err(other),
        })
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        Refusal::Broken(error)
    }
}

/// An HTTP answer with a text of any kind.
pub(crate) fn page(status: u16, content_type: &'static str, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(text.into()).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}

/// An HTTP answer with JSON.
pub(crate) fn json_page(status: u16, value: &Value) -> Response<Body> {
    page(status, "application/json; charset=UTF-8", value.to_string())
}

/// The kind of page the servers in front of the cloud send on their own (field notes 6).
pub(crate) fn html(status: u16) -> Response<Body> {
    let text = format!(
        "<html>\r\n<head><title>{status}</title></head>\r\n<body bgcolor=\"white\">\r\n\
         <center><h1>{status}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    );
    page(status, "text/html", text)
}

/// Words of the errno values this cloud says (field notes 2.1 and the documents' error tables).
fn errmsg(errno: i64) -> &'static str {
    match errno {
        2 => "param error",
        3 => "unsupported method",
        10 => "create file failed",
        -6 => "Invalid Bduss",
        -7 => "file or dir name is invalid or not allowed",
        -8 => "file already exists",
        -9 => "file does not exist",
        -10 => "no space left",
        12 => "batch operation failed in part",
        111 => "access token expired",
        36016 => "task does not exist",
        31034 => "hit frequency limit",
        31062 => "file name is invalid",
        31066 => "file does not exist",
        31355 => "uploadid is invalid",
        31363 => "block miss in superfile2",
        31365 => "file size exceeds limit",
        42100 => "device type not exist",
        42101 => "device not registered",
        42102 => "exceed max bind count per user",
        42103 => "exceed max bind count per device",
        42214 => "get file basic info failed",
        42905 => "query user name failed",
        _ => "error",
    }
}

/// HTTP status and words of the PCS error codes (field notes 2.2).
fn pcs_words(error_code: i64) -> (u16, &'static str) {
    match error_code {
        0 => (200, "no error"),
        3 => (400, "Unsupported open api"),
        6 => (403, "No permission to access user data"),
        100 => (401, "Invalid parameter: access token missing"),
        110 => (401, "Access token invalid or no longer valid"),
        111 => (401, "Access token expired"),
        31021 => (503, "network error"),
        31023 => (400, "param error"),
        31024 => (400, "no permission to upload"),
        31034 => (400, "hit frequency limit"),
        31045 => (403, "token check failed"),
        31061 => (400, "file already exists"),
        31062 => (400, "file name is invalid"),
        31063 => (400, "file parent path does not exist"),
        31064 => (403, "file is not authorized"),
        31066 => (404, "file does not exist"),
        31079 => (404, "file md5 not found, you should use upload api to upload the whole file"),
        31081 => (404, "superfile create failed"),
        31112 => (400, "exceed quota"),
        31208 => (400, "content-length or content-type is invalid"),
        31211 => (403, "access denied"),
        31233 => (408, "read body timeout"),
        31299 => (400, "size of superfile first part should not be smaller than 4MB"),
        31326 => (403, "anti hotlinking"),
        31360 => (403, "url expired"),
        31362 => (403, "sign error"),
        31355 => (400, "uploadid is invalid"),
        31363 => (403, "block miss in superfile2"),
        31364 => (400, "superfile part size exceeds limit"),
        31365 => (400, "file size exceeds limit"),
        31390 => (404, "Illegal File"),
        _ => (400, "error"),
    }
}
