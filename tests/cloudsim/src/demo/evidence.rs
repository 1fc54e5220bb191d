//! What the cloud's own call log says: which slices had arrived at the kill, and what came afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::Call;

/// Bytes of a slice of an ordinary account.
pub(super) const SLICE: u64 = 4 << 20;

/// An answer that lies back this long has certainly been noted by the agent, on its disk.
const NOTED_MS: u64 = 1500;

/// How far a file is.
#[derive(Clone, Debug, Default)]
pub(super) struct Upload {
    pub(super) path: String,
    pub(super) slices: u32,
    /// Slices whose answer the agent has certainly noted.
    pub(super) noted: BTreeSet<u32>,
    /// Slices that have arrived.
    pub(super) arrived: BTreeSet<u32>,
    pub(super) created: bool,
}

impl Upload {
    /// In the middle: enough has arrived to be worth keeping, enough is left to be worth a kill.
    ///
    /// `largest` is the most slices that a file of the folder has: a short film is no middle to speak of.
    pub(super) fn is_midway(&self, largest: u32) -> bool {
        let left = self.slices.saturating_sub(self.arrived.len() as u32);
        let needed = if self.slices >= 4 { 2 } else { 1 };
        let is_large = self.slices > 1 && self.slices * 3 >= largest * 2;
        is_large && !self.created && left >= needed && self.noted.len() as u32 >= needed
    }

    /// `■■□□`
    pub(super) fn drawn(&self, has: &BTreeSet<u32>) -> String {
        (0..self.slices.min(60)).map(|slice| if has.contains(&slice) { '■' } else { '□' }).collect()
    }
}

/// The uploads of a call log, by remote path.
pub(super) fn uploads(calls: &[Call]) -> BTreeMap<String, Upload> {
    let mut uploads = BTreeMap::<String, Upload>::new();
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as u64);
    for call in calls.iter().filter(|call| succeeded(call)) {
        let params = if is_slice(call) { &call.query } else { &call.form };
        let Some(path) = params.get("path") else { continue };
        let upload = uploads.entry(path.clone()).or_default();
        upload.path.clone_from(path);
        match call.api_method() {
            "precreate" => {
                let size = params.get("size").and_then(|size| size.parse::<u64>().ok()).unwrap_or(0);
                upload.slices = u32::try_from(size.div_ceil(SLICE)).unwrap_or(u32::MAX);
            }
            "create" => upload.created = true,
            _ => {
                let Some(slice) = partseq(call) else { continue };
                upload.arrived.insert(slice);
                if call.time_ms + call.duration_ms + NOTED_MS <= now_ms {
                    upload.noted.insert(slice);
                }
            }
        }
    }
    uploads
}

/// Slices by path and number that arrived in these calls, with how often.
pub(super) fn slices(calls: &[Call]) -> BTreeMap<(String, u32), usize> {
    let mut slices = BTreeMap::new();
    for call in calls.iter().filter(|call| is_slice(call) && succeeded(call)) {
        if let (Some(path), Some(slice)) = (call.query.get("path"), partseq(call)) {
            *slices.entry((path.clone(), slice)).or_default() += 1;
        }
    }
    slices
}

/// Bytes of slices that came, whatever became of them.
pub(super) fn slice_bytes(calls: &[Call]) -> u64 {
    calls.iter().filter(|call| is_slice(call)).map(|call| call.bytes_in).sum()
}

/// How many calls were of this method.
pub(super) fn count(calls: &[Call], method: &str) -> usize {
    let of_method = |call: &&Call| match method {
        "superfile2" => is_slice(call),
        method => call.api_method() == method,
    };
    calls.iter().filter(of_method).count()
}

/// The upload sessions that a file had, in order.
pub(super) fn sessions(calls: &[Call], path: &str) -> Vec<String> {
    let mut sessions: Vec<String> = Vec::new();
    for call in
        calls.iter().filter(|call| is_slice(call) && call.query.get("path").is_some_and(|p| p == path))
    {
        if let Some(session) = call.query.get("uploadid").filter(|id| !sessions.contains(id)) {
            sessions.push(session.clone());
        }
    }
    sessions
}

fn is_slice(call: &Call) -> bool {
    call.path.ends_with("/superfile2")
}

fn succeeded(call: &Call) -> bool {
    call.status == 200 && call.errno == 0
}

fn partseq(call: &Call) -> Option<u32> {
    call.query.get("partseq")?.parse().ok()
}
