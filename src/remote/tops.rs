//! Which remote folders have to be listed to see all that lies in some of them.

/// The folders that lie in no other of these, each once, in order.
#[must_use]
pub fn outermost(mut folders: Vec<String>) -> Vec<String> {
    folders.sort();
    folders.dedup();
    let all = folders.clone();
    folders.retain(|folder| !all.iter().any(|other| other != folder && is_in(folder, other)));
    folders
}

/// Whether a remote path lies in a folder, or is that folder.
#[must_use]
pub fn is_in(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_within_another_is_listed_with_it() {
        let folders = ["/a/b", "/a/b/c", "/a/bc", "/a/b", "/d"].map(str::to_owned).to_vec();
        assert_eq!(outermost(folders), ["/a/b", "/a/bc", "/d"]);
    }
}
