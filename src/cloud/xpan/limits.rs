//! How often one user may make which call, as the documents' tables say ("请求限制" in each section of
//! xpan-api.md). Uploads (precreate, locateupload, superfile2, create), device calls and logins have no
//! table there: they are not counted, and an account pauses when the cloud says 31034.

use crate::cloud::calls::{Allowance, Holds};
use crate::cloud::{Code, Error};

const fn allowed(minute: usize, hour: usize, day: usize) -> Allowance {
    Allowance { minute, hour, day, holds: Holds::Always }
}

/// The same, once the cloud has said that it is too many ([`is_too_many`]).
const fn once_refused(minute: usize, hour: usize, day: usize) -> Allowance {
    Allowance { minute, hour, day, holds: Holds::AfterRefusal }
}

/// Endpoint, allowance, section of xpan-api.md. Field notes 7: these are the numbers for applications that
/// were not reviewed.
const TABLE: &[(&str, Allowance, &str)] = &[
    ("uinfo", allowed(20, 300, 1000), "获取用户信息"),
    ("quota", allowed(20, 300, 1000), "获取网盘容量信息"),
    ("list", allowed(20, 300, 1000), "获取文件列表"),
    ("listall", allowed(5, 100, 500), "递归获取文件列表"),
    ("doclist", allowed(20, 300, 1000), "获取文档列表"),
    ("imagelist", allowed(20, 300, 1000), "获取图片列表"),
    ("videolist", allowed(20, 300, 1000), "获取视频列表"),
    ("btlist", allowed(20, 300, 1000), "获取bt列表"),
    ("categoryinfo", allowed(20, 300, 1000), "获取分类文件总个数"),
    ("categorylist", allowed(10, 100, 300), "获取分类列表文件"),
    ("search", allowed(20, 300, 1000), "搜索文件"),
    ("filemetas", allowed(20, 300, 1000), "查询文件信息"),
    ("filemanager", allowed(20, 300, 1000), "管理文件"),
    ("download", once_refused(20, 300, 1000), "下载"),
];

/// How often `endpoint` may be called; `None`: the documents name no limit.
#[must_use]
pub(super) fn allowance(endpoint: &str) -> Option<Allowance> {
    TABLE.iter().find(|(name, ..)| *name == endpoint).map(|(_, allowance, _)| *allowance)
}

/// Whether a refused download says that there were too many (field notes 5 and 7).
#[must_use]
pub(super) fn is_too_many(error: &Error) -> bool {
    matches!(error.code, Some(Code::Http(429)))
        || matches!(error.number(), Some(31034 | 31326 | 42000 | 20012))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_of_the_documents_is_here_and_uploads_are_free() {
        assert_eq!(TABLE.len(), 14);
        assert_eq!(allowance("list"), Some(allowed(20, 300, 1000)));
        assert_eq!(allowance("listall"), Some(allowed(5, 100, 500)));
        assert_eq!(allowance("categorylist"), Some(allowed(10, 100, 300)));
        assert_eq!(allowance("download"), Some(once_refused(20, 300, 1000)));
        for free in ["precreate", "superfile2", "create", "locateupload", "checkbind", "device list", "token"]
        {
            assert_eq!(allowance(free), None, "{free}");
        }
    }
}
