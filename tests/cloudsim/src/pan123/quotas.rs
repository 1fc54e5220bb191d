//! "限流处理": how often a second one client may make one call.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// When each client made which call.
#[derive(Debug, Default)]
pub(super) struct Quotas(HashMap<(String, String), VecDeque<u64>>);

impl Quotas {
    /// Counts a call; false when there were as many as may be in the last second. Refused ones do not
    /// count.
    pub(super) fn admit(&mut self, account: &str, path: &str, now_ms: u64, window: Duration) -> bool {
        let Some(most) = allowance(path) else { return true };
        let window_ms = window.as_millis() as u64;
        let calls = self.0.entry((account.into(), path.into())).or_default();
        while calls.front().is_some_and(|at| at + window_ms <= now_ms) {
            calls.pop_front();
        }
        let admitted = calls.len() < most;
        if admitted {
            calls.push_back(now_ms);
        }
        admitted
    }
}

/// Calls a second. The table names the calls of the drive; those of the image host have the numbers of
/// their namesakes there, and without one no limit.
fn allowance(path: &str) -> Option<usize> {
    match path {
        "/api/v1/access_token" => Some(1),
        "/upload/v1/oss/file/mkdir" => Some(2),
        "/upload/v1/oss/file/create" => Some(2),
        "/api/v1/oss/file/delete" => Some(1),
        "/api/v1/oss/file/list" => Some(4),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_calls_a_second_are_kept_for_each_client() {
        let mut quotas = Quotas::default();
        let second = Duration::from_secs(1);
        for (path, most) in [
            ("/api/v1/access_token", 1),
            ("/upload/v1/oss/file/mkdir", 2),
            ("/upload/v1/oss/file/create", 2),
            ("/api/v1/oss/file/delete", 1),
            ("/api/v1/oss/file/list", 4),
            ("/upload/v1/oss/file/get_upload_url", 50),
        ] {
            for (client, now) in [("a", 0), ("b", 0), ("a", 1000)] {
                let admitted = (0..50).filter(|_| quotas.admit(client, path, now, second)).count();
                assert_eq!(admitted, most, "{path} {client} {now}");
            }
        }
        assert!(!quotas.admit("a", "/api/v1/oss/file/delete", 1999, second));
        assert!(quotas.admit("a", "/api/v1/oss/file/delete", 2000, second));
    }
}
