//! What NAS boxes, desktops, phones and half-done copies leave in folders: never anybody's photo.
//!
//! A pattern is a whole name, or has one `*` at either end or in the middle. It is compared with every name
//! of a path, folders and files alike, whatever the case of ASCII letters.

/// The built-in patterns, for the documentation and for [`find`].
pub(super) const PATTERNS: &[&str] = &[
    // Synology
    "@eaDir",
    "#recycle",
    "#snapshot",
    "@tmp",
    "@sharebin",
    "@SynoEAStream",
    "@SynoResource",
    "*@SynoEAStream",
    "*@SynoResource",
    "@SynoFinder-log",
    "@ActiveBackup",
    // QNAP, other boxes
    "@Recycle",
    ".@__thumb",
    "@Recently-Snapshot",
    "@Transcode",
    ".streams",
    ".@__qini",
    ".zfs",
    ".snapshots",
    ".recycle",
    ".Trash",
    ".Trash-*",
    "lost+found",
    // macOS
    ".DS_Store",
    "._*",
    ".Spotlight-V100",
    ".Trashes",
    ".fseventsd",
    ".TemporaryItems",
    "__MACOSX",
    ".AppleDouble",
    ".AppleDB",
    ".AppleDesktop",
    ".apdisk",
    ".DocumentRevisions-V100",
    ".VolumeIcon.icns",
    "Network Trash Folder",
    "Temporary Items",
    "Icon\r",
    // Windows
    "Thumbs.db",
    "ehthumbs.db",
    "ehthumbs_vista.db",
    "desktop.ini",
    "$RECYCLE.BIN",
    "RECYCLER",
    "System Volume Information",
    "~$*",
    ".~lock.*",
    // What `xpand restore` has not finished
    "*.xpand-part",
    // Phones, sync tools
    ".thumbnails",
    ".thumbdata*",
    ".trashed-*",
    ".pending-*",
    ".nomedia",
    ".globalTrash",
    ".trashBin",
    ".stfolder",
    ".stversions",
    ".stignore",
    ".sync",
    ".dropbox",
    ".dropbox.cache",
    ".owncloudsync.log",
    ".nextcloudsync.log",
    // Half done
    "*.part",
    "*.partial",
    "*.crdownload",
    "*.download",
    "*.opdownload",
    "*.tmp",
    "*.filepart",
    "*.aria2",
    "*.!qB",
    "*.!ut",
    "*.!sync",
    "*.bts",
    "*.xltd",
    "*.baiduyun.downloading",
    "*.swp",
    ".fuse_hidden*",
    ".nfs0000*",
];

/// rsync's name for a file under way: `.photo.jpg.a1B2c3`.
pub(super) const RSYNC: &str = ".NAME.XXXXXX (rsync)";

/// The pattern that `name`, one component of a path, matches.
pub(super) fn find(name: &[u8]) -> Option<&'static str> {
    let found = PATTERNS.iter().find(|pattern| matches(pattern.as_bytes(), name));
    found.copied().or_else(|| is_rsync(name).then_some(RSYNC))
}

fn matches(pattern: &[u8], name: &[u8]) -> bool {
    // Most names differ from most patterns in their first or last letter.
    match pattern {
        [b'*', rest @ ..] => ends(name, rest),
        [rest @ .., b'*'] => starts(name, rest),
        whole => name.eq_ignore_ascii_case(whole),
    }
}

fn starts(name: &[u8], with: &[u8]) -> bool {
    name.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with))
}

fn ends(name: &[u8], with: &[u8]) -> bool {
    let from = name.len().checked_sub(with.len());
    from.is_some_and(|from| name[from..].eq_ignore_ascii_case(with))
}

/// Six random letters and digits of `mkstemp`. All six lower-case letters is a word rather than chance.
fn is_rsync(name: &[u8]) -> bool {
    let Some((b".", rest)) = name.split_at_checked(1) else {
        return false;
    };
    let Some(dot) = rest.len().checked_sub(7).filter(|&dot| dot > 0) else {
        return false;
    };
    let random = &rest[dot + 1..];
    rest[dot] == b'.'
        && random.iter().all(u8::is_ascii_alphanumeric)
        && !random.iter().all(u8::is_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn junk_is_known_by_name() {
        for (name, pattern) in [
            ("@eaDir", "@eaDir"),
            ("thumbs.DB", "Thumbs.db"),
            ("a.jpg@SynoEAStream", "*@SynoEAStream"),
            ("._IMG.jpg", "._*"),
            (".trashed-1700000000-a.jpg", ".trashed-*"),
            ("film.mp4.part", "*.part"),
            (".a.jpg.swp", "*.swp"),
            (".IMG_1.jpg.a1B2c3", RSYNC),
            ("~$letter.doc", "~$*"),
        ] {
            assert_eq!(find(name.as_bytes()), Some(pattern), "{name}");
        }
        for name in [
            "photo.jpg",
            "eaDir",
            ".hidden.jpg",
            ".config.backup",
            "recycle",
            "part",
            "",
            ".",
            "tmp",
            ".IMG.jpg",
        ] {
            assert_eq!(find(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn a_pattern_has_a_star_at_one_end_only() {
        for pattern in PATTERNS {
            assert!(pattern.matches('*').count() <= 1, "{pattern}");
            assert!(!pattern[1..pattern.len() - 1].contains('*'), "{pattern}");
        }
    }
}
