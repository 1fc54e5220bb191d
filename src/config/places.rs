//! Which folders a path on this box belongs to.

use std::path::{Component, Path};

use super::Folder;

/// Which of the folders have a path, with what it is called below each: the innermost first, those of one
/// path in the order of the configuration. There may be several, since folders may share a path to go to several
/// accounts, and may lie within each other: each keeps its own copies. A path with `..` in it belongs nowhere: it
/// would lead out again.
pub fn places<'f, 'p>(
    folders: impl IntoIterator<Item = &'f Folder>,
    path: &'p Path,
) -> Vec<(usize, &'p Path)> {
    if path.components().any(|part| part == Component::ParentDir) {
        return Vec::new();
    }
    let folders = folders.into_iter().enumerate();
    let mut found: Vec<_> =
        folders.filter_map(|(at, folder)| Some((at, path.strip_prefix(&folder.path).ok()?))).collect();
    found.sort_by_key(|(_, below)| below.components().count());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(path: &str) -> Folder {
        Folder {
            path: path.into(),
            account: String::new(),
            media: Vec::new(),
            label: String::new(),
            remote: String::new(),
            exclude: Vec::new(),
            default_excludes: true,
            min_size: 0,
            max_size: 0,
        }
    }

    #[test]
    fn a_path_is_in_every_folder_that_has_it_the_innermost_first() {
        let folders = ["/v", "/v/photo", "/v/photo", "/v/photos", "/w"].map(folder);
        for (path, expected) in [
            ("/v/photo/2024/a.jpg", vec![(1, "2024/a.jpg"), (2, "2024/a.jpg"), (0, "photo/2024/a.jpg")]),
            ("/v/photo", vec![(1, ""), (2, ""), (0, "photo")]),
            ("/v", vec![(0, "")]),
            ("/", vec![]),
            ("/v/photo/../a", vec![]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|(at, below)| (at, Path::new(below))).collect();
            assert_eq!(places(&folders, Path::new(path)), expected, "{path}");
        }
    }
}
