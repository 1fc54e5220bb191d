//! Rules about paths and names: what may be written where, how duplicates are renamed, and which
//! category an extension belongs to.

/// Characters no file name may have (field notes 3.6).
const FORBIDDEN: &str = "\\?|\"><:*";

/// Longest name in bytes: what the disk below can hold. The documents name no limit.
const LONGEST_NAME: usize = 255;

/// Longest path in bytes, so that the file also fits below the data folder.
const LONGEST_PATH: usize = 3000;

/// Whether `path` is an absolute path without empty, `.` or `..` parts: one that stands for itself.
pub(crate) fn is_plain(path: &str) -> bool {
    path == "/"
        || path
            .strip_prefix('/')
            .is_some_and(|rest| rest.split('/').all(|part| !part.is_empty() && part != "." && part != ".."))
}

/// Whether the application may write `path`: strictly below `/apps/<app>` ("上传文件夹限制").
pub(crate) fn is_writable(path: &str, app: &str) -> bool {
    is_plain(path)
        && path
            .strip_prefix("/apps/")
            .and_then(|rest| rest.strip_prefix(app))
            .is_some_and(|rest| rest.starts_with('/'))
}

/// Whether every part of `path` is a name the cloud takes. Like the real one, the simulator tells only
/// at create (31062), after the bytes went up.
pub(crate) fn is_legal(path: &str) -> bool {
    path.len() <= LONGEST_PATH
        && path.split('/').all(|part| {
            part.len() <= LONGEST_NAME
                && part.chars().all(|c| !FORBIDDEN.contains(c) && !c.is_control() && u32::from(c) <= 0xffff)
        })
}

/// `/a/b.txt` to `/a`; the parent of a first-level entry is `/`.
pub(crate) fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => &path[..at],
    }
}

/// `/a` and `b.txt` to `/a/b.txt`.
pub(crate) fn join(folder: &str, name: &str) -> String {
    format!("{}/{name}", folder.trim_end_matches('/'))
}

/// The last part of a path.
pub(crate) fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The n-th name a duplicate gets: `test.txt` becomes `test(1).txt`, a folder `dir` becomes `dir(1)`
/// (precreate, remark 2).
pub(crate) fn duplicate(path: &str, isdir: bool, n: u32) -> String {
    let start = path.len() - name(path).len();
    match path.rfind('.') {
        Some(dot) if !isdir && dot > start => {
            format!("{}({n}){}", &path[..dot], &path[dot..])
        }
        _ => format!("{path}({n})"),
    }
}

/// What stands behind the last dot of the name, in lower case; nothing when there is no dot.
pub(crate) fn extension(path: &str) -> String {
    name(path).rsplit_once('.').map_or(String::new(), |(_, ext)| ext.to_ascii_lowercase())
}

/// `category` of the answers: 1 video, 2 audio, 3 picture, 4 document, 5 application, 6 other,
/// 7 torrent.
pub(crate) fn category(path: &str) -> u8 {
    match extension(path).as_str() {
        "mp4" | "mov" | "avi" | "mkv" | "wmv" | "flv" | "3gp" | "m4v" | "mpg" | "mpeg" | "mts" | "m2ts"
        | "ts" | "webm" | "rm" | "rmvb" | "vob" | "asf" | "ogv" | "3g2" | "f4v" => 1,
        "mp3" | "wav" | "flac" | "aac" | "m4a" | "ogg" | "wma" | "ape" | "amr" | "aiff" | "opus" => 2,
        "jpg" | "jpeg" | "png" | "gif" | "bmp" | "webp" | "heic" | "heif" | "tif" | "tiff" | "svg"
        | "raw" | "dng" | "cr2" | "cr3" | "nef" | "arw" | "orf" | "rw2" | "raf" | "psd" | "avif" | "ico"
        | "hif" => 3,
        "txt" | "doc" | "docx" | "xls" | "xlsx" | "ppt" | "pptx" | "pdf" | "md" | "csv" | "epub" | "html"
        | "htm" | "xml" | "json" | "rtf" | "wps" | "et" | "dps" => 4,
        "exe" | "apk" | "msi" | "dmg" | "ipa" | "deb" | "rpm" | "appimage" => 5,
        "torrent" => 7,
        _ => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_below_the_applications_folder_can_be_written() {
        assert!(is_writable("/apps/xpand/a.jpg", "xpand"));
        for path in [
            "/apps/xpand",
            "/apps/xpandx/a.jpg",
            "/apps/other/a.jpg",
            "/a.jpg",
            "apps/xpand/a.jpg",
            "/apps/xpand/../other/a.jpg",
            "/apps/xpand/./a.jpg",
            "/apps/xpand//a.jpg",
            "/apps/xpand/",
            "",
        ] {
            assert!(!is_writable(path, "xpand"), "{path}");
        }
    }

    #[test]
    fn names_with_forbidden_control_or_emoji_characters_are_illegal() {
        assert!(is_legal("/apps/xpand/水上乐园 (1).jpg"));
        for name in ["a\\b", "a?", "a|", "a\"", "a>", "a<", "a:", "a*", "a\0b", "a\n", "a😀"] {
            assert!(!is_legal(&format!("/apps/xpand/{name}")), "{name:?}");
        }
        assert!(!is_legal(&format!("/apps/xpand/{}", "x".repeat(256))));
    }

    #[test]
    fn duplicates_are_numbered_before_the_extension() {
        assert_eq!(duplicate("/a/test.txt", false, 1), "/a/test(1).txt");
        assert_eq!(duplicate("/a.b/test", false, 2), "/a.b/test(2)");
        assert_eq!(duplicate("/a/.hidden", false, 1), "/a/.hidden(1)");
        assert_eq!(duplicate("/a/dir.d", true, 1), "/a/dir.d(1)");
    }
}
