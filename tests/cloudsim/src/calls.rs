//! The call log: what every client asked, without its secrets.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::request::Params;

/// Older calls are forgotten beyond this many.
const KEPT: usize = 200_000;

/// Longer values, such as the block_list of a big file, are cut.
const LONGEST_VALUE: usize = 4096;

/// Parameters whose values must not stand in a log.
const SECRET: [&str; 12] = [
    "access_token",
    "refresh_token",
    "client_secret",
    "code",
    "device_code",
    "sign",
    "pwd",
    "sekey",
    "spd",
    "accessToken",
    "clientSecret",
    "X-Amz-Signature",
];

/// One call, as `GET /_sim/calls` and [`CloudSim::calls`](crate::CloudSim::calls) show it.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    /// Position in the log, from 0.
    pub n: u64,
    /// When it came, in milliseconds since 1970 on the cloud's clock.
    pub time_ms: u64,
    /// HTTP method.
    pub method: String,
    /// Path of the URL.
    pub path: String,
    /// Query parameters; secrets read `REDACTED`.
    pub query: BTreeMap<String, String>,
    /// Form parameters, or the fields of a JSON body; secrets read `REDACTED`.
    pub form: BTreeMap<String, String>,
    /// HTTP status of the answer; 0 when the connection was closed instead.
    pub status: u16,
    /// `errno`, `error_code` or `code` of the answer, 0 when it has none.
    pub errno: i64,
    /// `error` of an OAuth answer.
    pub error: Option<String>,
    /// Whose token it carried.
    pub account: Option<String>,
    /// Whose cloud was asked: `baidu` or `pan123`.
    pub cloud: &'static str,
    /// Which host of this cloud was asked: `cloud`, or `cdn` with the bytes of files.
    pub host: &'static str,
    /// The Host header it came with.
    pub authority: String,
    /// The Range header it came with.
    pub range: Option<String>,
    /// What came to the CDN and must not: `access_token`, `authorization`, `cookie`.
    pub leaked: Vec<String>,
    /// Bytes of the request body that arrived.
    pub bytes_in: u64,
    /// Bytes of a file that went out until now.
    pub bytes_out: u64,
    /// Where they are counted.
    #[serde(skip)]
    pub(crate) sent: Option<Arc<AtomicU64>>,
    /// Milliseconds from the head of the request to the answer.
    pub duration_ms: u64,
    /// API calls in the works when this one came, itself included. A download is until its last byte went.
    pub in_flight: u32,
    /// The User-Agent it came with.
    pub user_agent: String,
    /// The fault that hit it.
    pub fault: Option<String>,
}

impl Call {
    /// `method=` of the query.
    pub fn api_method(&self) -> &str {
        self.query.get("method").map_or("", String::as_str)
    }

    /// Begins to count what goes out.
    pub(crate) fn counts_sent(&mut self) -> Arc<AtomicU64> {
        self.sent.insert(Arc::default()).clone()
    }

    /// `METHOD PATH?method=…`, or without `?method=` where there is none.
    pub fn target(&self) -> String {
        match self.api_method() {
            "" => format!("{} {}", self.method, self.path),
            method => format!("{} {}?method={method}", self.method, self.path),
        }
    }
}

/// The log itself.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    log: VecDeque<Call>,
    next: u64,
    pub(crate) in_flight: u32,
}

impl Calls {
    pub(crate) fn push(&mut self, mut call: Call) {
        call.n = self.next;
        self.next += 1;
        self.log.push_back(call);
        if self.log.len() > KEPT {
            self.log.pop_front();
        }
    }

    /// The calls from number `since` on.
    pub(crate) fn since(&self, since: u64) -> Vec<Call> {
        let shown = |call: &Call| Call {
            bytes_out: call.sent.as_ref().map_or(0, |sent| sent.load(Ordering::Relaxed)),
            ..call.clone()
        };
        self.log.iter().filter(|call| call.n >= since).map(shown).collect()
    }

    pub(crate) fn clear(&mut self) {
        self.log.clear();
        self.next = 0;
    }
}

/// Parameters for the log, without secrets.
pub(crate) fn redacted(params: &Params) -> BTreeMap<String, String> {
    params
        .0
        .iter()
        .map(|(key, value)| {
            let shown = match SECRET.contains(&key.as_str()) {
                true => "REDACTED".into(),
                false => value.chars().take(LONGEST_VALUE).collect(),
            };
            (key.clone(), shown)
        })
        .collect()
}
