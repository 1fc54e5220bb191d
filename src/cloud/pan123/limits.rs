//! How often a second one client_id may make which call (限流处理).
//!
//! The document's table names the calls of the drive; the image host's have the numbers of their namesakes.
//! What is not there has the number of the call it goes with.

/// Call, times a second, where that is from.
const TABLE: &[(&str, u32, &str)] = &[
    ("access_token", 1, "api/v1/access_token"),
    ("mkdir", 2, "upload/v1/file/mkdir"),
    ("create", 2, "upload/v1/file/create"),
    ("delete", 1, "api/v1/file/delete"),
    ("list", 4, "api/v1/file/list"),
    // One of each follows a create.
    ("get_upload_url", 2, ""),
    ("upload_complete", 2, ""),
    // One of several uploads in flight asks each second.
    ("upload_async_result", 4, ""),
    // One follows an upload; whoever brings files home asks for each. As often as a list.
    ("detail", 4, ""),
];

/// How often a second `endpoint` may be called; `None`: nobody counts, as of what goes to another server.
#[must_use]
pub(super) fn a_second(endpoint: &str) -> Option<u32> {
    TABLE.iter().find(|(name, ..)| *name == endpoint).map(|(_, count, _)| *count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_numbers_are_kept_and_what_they_do_not_name_is_modest() {
        for (endpoint, count) in
            [("access_token", 1), ("mkdir", 2), ("create", 2), ("delete", 1), ("list", 4)]
        {
            assert_eq!(a_second(endpoint), Some(count), "{endpoint}");
        }
        assert!(TABLE.iter().all(|(_, count, _)| *count <= 4));
        assert_eq!(a_second("put"), None);
    }
}
