//! "请求限制": how often one user may make one call, as the documents' tables say.

use std::collections::{HashMap, VecDeque};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// When each user made which call.
#[derive(Debug, Default)]
pub(crate) struct Limits(HashMap<(String, String), VecDeque<u64>>);

impl Limits {
    /// Counts a call; false when one of its limits is used up (errno 31034). Refused calls do not
    /// count: the documents do not say, and otherwise a client could never get out.
    /// The windows are `hurry` times shorter.
    pub(crate) fn admit(&mut self, account: &str, path: &str, method: &str, now_ms: u64, hurry: u32) -> bool {
        let [minute_ms, hour_ms, day_ms] = [MINUTE, HOUR, DAY].map(|window| window / u64::from(hurry.max(1)));
        let Some((minute, hour, day)) = allowance(path, method) else { return true };
        // Each dlink has a path of its own, and all of them are one call.
        let path = if path.starts_with("/file/") { "/file/" } else { path };
        let calls = self.0.entry((account.into(), format!("{path}?{method}"))).or_default();
        while calls.front().is_some_and(|at| at + day_ms <= now_ms) {
            calls.pop_front();
        }
        let within = |window: u64| calls.iter().rev().take_while(|at| **at + window > now_ms).count();
        let admitted = within(minute_ms) < minute && within(hour_ms) < hour && calls.len() < day;
        if admitted {
            calls.push_back(now_ms);
        }
        admitted
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Calls a minute, an hour and a day. Uploads, the device calls, shares and previews have no table in the
/// documents; of a download the dlink counts, not what it leads to.
fn allowance(path: &str, method: &str) -> Option<(usize, usize, usize)> {
    match (path, method) {
        ("/rest/2.0/xpan/multimedia", "listall") => Some((5, 100, 500)),
        ("/rest/2.0/xpan/multimedia", "categorylist") => Some((10, 100, 300)),
        ("/rest/2.0/xpan/file", "precreate" | "create") => None,
        ("/rest/2.0/xpan/nas" | "/rest/2.0/xpan/file" | "/rest/2.0/xpan/multimedia", _)
        | ("/api/quota" | "/api/categoryinfo", _) => Some((20, 300, 1000)),
        (path, _) if path.starts_with("/file/") => Some((20, 300, 1000)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_tables_are_kept_in_each_window() {
        let mut limits = Limits::default();
        let mut list = |now| limits.admit("demo", "/rest/2.0/xpan/file", "list", now, 1);
        assert!((0..20).all(|_| list(0)));
        assert!(!list(MINUTE - 1));
        assert!(list(MINUTE));
        let mut made = 21;
        for minute in 2..60 {
            made += (0..20).filter(|_| list(minute * MINUTE)).count();
        }
        assert_eq!(made, 300);
        for minute in 60..24 * 60 {
            made += (0..20).filter(|_| list(minute * MINUTE)).count();
        }
        assert_eq!(made, 1000);
    }

    #[test]
    fn every_table_of_the_documents_is_known() {
        for (path, method, a_minute) in [
            ("/rest/2.0/xpan/nas", "uinfo", 20),
            ("/api/quota", "", 20),
            ("/rest/2.0/xpan/file", "doclist", 20),
            ("/rest/2.0/xpan/file", "search", 20),
            ("/rest/2.0/xpan/file", "filemanager", 20),
            ("/rest/2.0/xpan/multimedia", "filemetas", 20),
            ("/rest/2.0/xpan/multimedia", "listall", 5),
            ("/rest/2.0/xpan/multimedia", "categorylist", 10),
            ("/api/categoryinfo", "", 20),
        ] {
            let mut limits = Limits::default();
            let admitted = (0..100).filter(|_| limits.admit("demo", path, method, 0, 1)).count();
            assert_eq!(admitted, a_minute, "{path} {method}");
        }
        let mut limits = Limits::default();
        let dlinks = (0..100).filter(|n| limits.admit("demo", &format!("/file/{n}"), "", 0, 1)).count();
        assert_eq!(dlinks, 20, "all dlinks are one call");
        for path in ["/rest/2.0/xpan/share", "/share/taskquery", "/cdn/file/1", "/doc/1"] {
            assert!((0..2000).all(|_| limits.admit("demo", path, "list", 0, 1)), "{path}");
        }
    }

    #[test]
    fn uploads_are_not_limited_and_users_do_not_share() {
        let mut limits = Limits::default();
        assert!((0..2000).all(|_| limits.admit("a", "/rest/2.0/pcs/superfile2", "upload", 0, 1)));
        assert!((0..2000).all(|_| limits.admit("a", "/rest/2.0/xpan/file", "create", 0, 1)));
        for user in ["a", "b"] {
            let listall =
                |limits: &mut Limits| limits.admit(user, "/rest/2.0/xpan/multimedia", "listall", 0, 1);
            assert!((0..5).all(|_| listall(&mut limits)));
            assert!(!listall(&mut limits));
        }
    }
}
