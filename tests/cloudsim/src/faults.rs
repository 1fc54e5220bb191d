//! Ways a call can go wrong on purpose, and which call gets which.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use regex::Regex;

use crate::dice::Dice;
use crate::options::parse_duration;

/// One way to fail. As text (`POST /_sim/fault`, `"kind"`) as shown at each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// `drop_before`: the connection closes, nothing was done.
    DropBefore,
    /// `drop_after`: the work is done, then the connection closes without an answer.
    DropAfter,
    /// `status:503`: nothing is done, the answer is this status with a line of plain text.
    Status(u16),
    /// `html` or `html:502`: nothing is done, the answer is a page of the servers in front.
    Html(u16),
    /// `empty_500`: nothing is done, status 500 without any body.
    Empty500,
    /// `cut_answer`: the work is done, half of the answer arrives, then the connection closes.
    CutAnswer,
    /// `errno:-10`: nothing is done, HTTP 200 with this errno.
    Errno(i64),
    /// `error_code:31363`: nothing is done, the PCS answer for it with its HTTP status.
    ErrorCode(i64),
    /// `code:429`: nothing is done, HTTP 200 with 123pan's envelope and this code.
    Code(i64),
    /// `oauth:slow_down`: nothing is done, HTTP 400 with this `error`.
    OAuth(String),
    /// `delay:500ms`: the call waits before anything else; goes together with other faults.
    Delay(Duration),
    /// `stall`: nothing is done and no answer ever comes; the connection stays open.
    Stall,
    /// `lost_slices`: superfile2, or the PUT of a slice, says yes and forgets the slice.
    LostSlices,
    /// `wrong_md5`: the work is done, the answer's `md5` is wrong.
    WrongMd5,
    /// `json_as_html`: the work is done, the right JSON comes as `text/html`.
    JsonAsHtml,
    /// `late:30s`: the work is done at once, the answer comes that much later.
    Late(Duration),
    /// `huge:100MiB`: the work is done, the JSON is padded with blanks to about this size.
    Huge(u64),
    /// `drip:100ms`: the work is done, then a blank comes that often, for ever, and never the JSON.
    Drip(Duration),
    /// `body:…`: nothing is done, HTTP 200 with this text to the letter, as JSON.
    Body(String),
    /// `headers:10000`: the work is done, the right JSON has so many headers.
    Headers(u16),
    /// `redirect:https://…`: nothing is done, HTTP 302 to there.
    Redirect(String),
    /// `answer:{"errno":0}`: nothing is done, HTTP 200 with this JSON.
    Answer(String),
    /// `cut_body:1000`: the head of a download is right, its connection breaks after so many bytes.
    CutBody(u64),
    /// `stall_body:1000`: no byte of a download comes after so many, and the connection stays.
    StallBody(u64),
    /// `shorter:1`: a download ends so many bytes too early, as if that were all of it.
    Shorter(u64),
    /// `flip:0`: the byte at this place of the answer's body is another one; of a PUT that of the slice.
    Flip(u64),
    /// `no_range`: a download's Range is not looked at; all of it comes, with 200.
    NoRange,
    /// `edit:{"size":1,"fs_id":null}`: the work is done, the answer has these fields instead of its own;
    /// `null` takes one away, and an object is for all entries of a list.
    Edit(String),
}

/// A fault to be set: which calls, how, and how often.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Looked for in `METHOD PATH?method=…` (also `opera`, `grant_type`, `partseq`, `partNumber`).
    pub endpoint: String,
    /// What happens.
    pub kind: FaultKind,
    /// How many calls it hits; `None` is every one. Without `probability` the default is 1.
    pub times: Option<u32>,
    /// How likely each matching call is hit; `None` is always.
    pub probability: Option<f64>,
    /// Matching calls that go through unharmed first.
    pub skip: u32,
    /// Words of `errno`, `error_code` and `code` faults instead of the usual ones.
    pub message: Option<String>,
}

impl Fault {
    /// A fault that hits the next call that matches.
    pub fn once(endpoint: &str, kind: FaultKind) -> Fault {
        Fault::times(endpoint, kind, 1)
    }

    /// A fault that hits the next `n` calls that match.
    pub fn times(endpoint: &str, kind: FaultKind, n: u32) -> Fault {
        Fault { endpoint: endpoint.into(), kind, times: Some(n), probability: None, skip: 0, message: None }
    }

    /// A fault that hits every call that matches, until faults are cleared.
    pub fn always(endpoint: &str, kind: FaultKind) -> Fault {
        Fault { times: None, ..Fault::once(endpoint, kind) }
    }

    /// A fault that hits matching calls by chance.
    pub fn chance(endpoint: &str, kind: FaultKind, probability: f64) -> Fault {
        Fault { times: None, probability: Some(probability), ..Fault::once(endpoint, kind) }
    }

    /// The same fault, leaving the first `n` matching calls alone.
    pub fn after(self, n: u32) -> Fault {
        Fault { skip: n, ..self }
    }

    /// The same fault with these words.
    pub fn saying(self, message: &str) -> Fault {
        Fault { message: Some(message.into()), ..self }
    }
}

/// The faults that are set, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Armed>);

#[derive(Debug)]
struct Armed {
    pattern: Regex,
    fault: Fault,
}

/// What hits one call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hit {
    pub(crate) delay: Duration,
    pub(crate) kind: Option<FaultKind>,
    pub(crate) message: Option<String>,
}

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) -> Result<(), String> {
        let pattern = Regex::new(&fault.endpoint).map_err(|error| error.to_string())?;
        if fault.probability.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
            return Err("probability must be between 0 and 1".into());
        }
        self.0.push(Armed { pattern, fault });
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes what hits this call: all delays that match, and the first other fault.
    pub(crate) fn take(&mut self, target: &str, dice: &mut Dice) -> Hit {
        let mut hit = Hit::default();
        for Armed { pattern, fault } in &mut self.0 {
            let is_delay = matches!(fault.kind, FaultKind::Delay(_));
            if fault.times == Some(0) || (hit.kind.is_some() && !is_delay) || !pattern.is_match(target) {
                continue;
            }
            if fault.probability.is_some_and(|p| !dice.chance(p)) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            fault.times = fault.times.map(|n| n - 1);
            match &fault.kind {
                FaultKind::Delay(delay) => hit.delay += *delay,
                kind => {
                    hit.kind = Some(kind.clone());
                    hit.message = fault.message.clone();
                }
            }
        }
        self.0.retain(|armed| armed.fault.times != Some(0));
        hit
    }
}

impl FromStr for FaultKind {
    type Err = String;

    fn from_str(text: &str) -> Result<FaultKind, String> {
        let (name, value) = match text.split_once(':') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let number = || -> Result<i64, String> {
            value
                .and_then(|value| value.parse().ok())
                .ok_or_else(|| format!("{name} needs a number: {name}:N"))
        };
        let status = || -> Result<u16, String> {
            u16::try_from(number()?)
                .ok()
                .filter(|status| (200..600).contains(status))
                .ok_or_else(|| format!("{name} needs an HTTP status: {name}:503"))
        };
        Ok(match name {
            "drop_before" => FaultKind::DropBefore,
            "drop_after" => FaultKind::DropAfter,
            "status" => FaultKind::Status(status()?),
            "html" => FaultKind::Html(if value.is_some() { status()? } else { 502 }),
            "empty_500" => FaultKind::Empty500,
            "cut_answer" => FaultKind::CutAnswer,
            "errno" => FaultKind::Errno(number()?),
            "error_code" => FaultKind::ErrorCode(number()?),
            "code" => FaultKind::Code(number()?),
            "oauth" => FaultKind::OAuth(value.ok_or("oauth needs a word: oauth:slow_down")?.into()),
            "delay" => FaultKind::Delay(parse_duration(value.unwrap_or_default())?),
            "stall" => FaultKind::Stall,
            "lost_slices" => FaultKind::LostSlices,
            "wrong_md5" => FaultKind::WrongMd5,
            "json_as_html" => FaultKind::JsonAsHtml,
            "late" => FaultKind::Late(parse_duration(value.unwrap_or_default())?),
            "drip" => FaultKind::Drip(parse_duration(value.unwrap_or_default())?),
            "body" => FaultKind::Body(value.unwrap_or_default().into()),
            "headers" => FaultKind::Headers(
                u16::try_from(number()?)
                    .ok()
                    .filter(|count| *count <= 20_000)
                    .ok_or_else(|| format!("{name} needs at most 20000: {name}:10000"))?,
            ),
            "cut_body" => FaultKind::CutBody(crate::options::parse_size(value.unwrap_or_default())?),
            "stall_body" => FaultKind::StallBody(crate::options::parse_size(value.unwrap_or_default())?),
            "shorter" => FaultKind::Shorter(crate::options::parse_size(value.unwrap_or_default())?),
            "flip" => FaultKind::Flip(crate::options::parse_size(value.unwrap_or("0"))?),
            "no_range" => FaultKind::NoRange,
            "redirect" => FaultKind::Redirect(value.ok_or("redirect needs an address")?.into()),
            "huge" => FaultKind::Huge(crate::options::parse_size(value.unwrap_or_default())?),
            "answer" | "edit" => {
                let text = value.unwrap_or_default();
                serde_json::from_str::<serde_json::Map<_, _>>(text).map_err(|error| error.to_string())?;
                if name == "answer" { FaultKind::Answer(text.into()) } else { FaultKind::Edit(text.into()) }
            }
            _ => return Err(format!("unknown kind {text:?}; the README lists them")),
        })
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FaultKind::DropBefore => f.write_str("drop_before"),
            FaultKind::DropAfter => f.write_str("drop_after"),
            FaultKind::Status(status) => write!(f, "status:{status}"),
            FaultKind::Html(status) => write!(f, "html:{status}"),
            FaultKind::Empty500 => f.write_str("empty_500"),
            FaultKind::CutAnswer => f.write_str("cut_answer"),
            FaultKind::Errno(errno) => write!(f, "errno:{errno}"),
            FaultKind::ErrorCode(code) => write!(f, "error_code:{code}"),
            FaultKind::Code(code) => write!(f, "code:{code}"),
            FaultKind::OAuth(error) => write!(f, "oauth:{error}"),
            FaultKind::Delay(delay) => write!(f, "delay:{}ms", delay.as_millis()),
            FaultKind::Stall => f.write_str("stall"),
            FaultKind::LostSlices => f.write_str("lost_slices"),
            FaultKind::WrongMd5 => f.write_str("wrong_md5"),
            FaultKind::JsonAsHtml => f.write_str("json_as_html"),
            FaultKind::Late(delay) => write!(f, "late:{}ms", delay.as_millis()),
            FaultKind::Huge(bytes) => write!(f, "huge:{bytes}"),
            FaultKind::Drip(pause) => write!(f, "drip:{}ms", pause.as_millis()),
            // For the log of calls: a long one is not wanted there whole.
            FaultKind::Body(text) => write!(f, "body:{}", text.chars().take(200).collect::<String>()),
            FaultKind::Headers(count) => write!(f, "headers:{count}"),
            FaultKind::CutBody(bytes) => write!(f, "cut_body:{bytes}"),
            FaultKind::StallBody(bytes) => write!(f, "stall_body:{bytes}"),
            FaultKind::Shorter(bytes) => write!(f, "shorter:{bytes}"),
            FaultKind::Flip(place) => write!(f, "flip:{place}"),
            FaultKind::NoRange => f.write_str("no_range"),
            FaultKind::Redirect(address) => write!(f, "redirect:{address}"),
            FaultKind::Answer(json) => write!(f, "answer:{json}"),
            FaultKind::Edit(json) => write!(f, "edit:{json}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_reads_back_as_it_is_written() {
        for text in [
            "drop_before",
            "drop_after",
            "status:503",
            "html:502",
            "empty_500",
            "cut_answer",
            "errno:-10",
            "error_code:31363",
            "code:429",
            "oauth:slow_down",
            "delay:500ms",
            "stall",
            "lost_slices",
            "wrong_md5",
            "json_as_html",
            "late:30000ms",
            "huge:1024",
            "drip:100ms",
            "body:{\"errno\":[]}",
            "headers:10000",
            "redirect:https://pan.baidu.com/x",
            "cut_body:1000",
            "stall_body:1000",
            "shorter:1",
            "flip:7",
            "no_range",
            r#"answer:{"errno":0}"#,
            r#"edit:{"info":{"size":1}}"#,
        ] {
            let kind: FaultKind = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(kind.to_string(), text);
        }
        for text in ["", "errno", "errno:x", "status:99", "delay:soon", "headers:65536", "nonsense", "edit:1"]
        {
            assert!(text.parse::<FaultKind>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_fault_hits_as_often_as_it_says_and_after_what_it_skips() {
        let mut dice = Dice::new(Some(1));
        let mut faults = Faults::default();
        let fault = Fault::times("superfile2", FaultKind::DropAfter, 2).after(1);
        assert_eq!(faults.add(fault), Ok(()));
        let target = "POST /rest/2.0/pcs/superfile2?method=upload&partseq=0";
        let hits: Vec<bool> = (0..5).map(|_| faults.take(target, &mut dice).kind.is_some()).collect();
        assert_eq!(hits, [false, true, true, false, false]);
        assert!(faults.take("GET /api/quota", &mut dice).kind.is_none());
    }
}
