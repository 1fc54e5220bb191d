//! `{code, message, data, x-traceID}`, always with HTTP 200 ("接口响应参数"), and the fields of JSON bodies.

use serde_json::Value;

use crate::answer::{Answer, Refusal, Reply};
use crate::request::Ask;

/// "code字段等于0标识成功响应".
pub(crate) fn ok(data: Value) -> Reply {
    Ok(Answer::envelope(0, "ok", data))
}

/// "其他code为失败响应".
pub(crate) fn refuse(code: i64, message: impl Into<String>) -> Refusal {
    Refusal::Pan123 { code, message: message.into() }
}

/// A refusal with the usual words of its code.
pub(crate) fn refuse_code(code: i64) -> Refusal {
    let message = match code {
        401 => "access_token无效",
        429 => "请求太频繁",
        5066 => "文件不存在",
        5113 => "流量超出限制",
        20103 => "文件正在校验中,请间隔1秒后再试",
        _ => "请求失败",
    };
    refuse(code, message)
}

/// A text field that has to be there; it may be empty.
pub(crate) fn text<'a>(ask: &'a Ask, name: &str) -> Result<&'a str, Refusal> {
    ask.json.get(name).and_then(Value::as_str).ok_or_else(|| wrong(name))
}

/// A text field that has to be there and not empty.
pub(crate) fn need<'a>(ask: &'a Ask, name: &str) -> Result<&'a str, Refusal> {
    text(ask, name).and_then(|text| if text.is_empty() { Err(wrong(name)) } else { Ok(text) })
}

/// A number that has to be there.
pub(crate) fn number(ask: &Ask, name: &str) -> Result<u64, Refusal> {
    ask.json.get(name).and_then(Value::as_u64).ok_or_else(|| wrong(name))
}

/// A number that may be left out.
pub(crate) fn optional(ask: &Ask, name: &str) -> Result<Option<u64>, Refusal> {
    match ask.json.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(_) => number(ask, name).map(Some),
    }
}

/// "type: 固定为 1".
pub(crate) fn need_type(ask: &Ask) -> Result<(), Refusal> {
    if number(ask, "type")? == 1 { Ok(()) } else { Err(wrong("type")) }
}

/// A field that is missing, or not what its table says.
pub(crate) fn wrong(name: &str) -> Refusal {
    refuse(1, format!("参数错误: {name}"))
}
