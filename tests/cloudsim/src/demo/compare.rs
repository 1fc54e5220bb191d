//! The folder and the cloud side by side: every file by MD5, name, count, mode, EXIF and date.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::time::UNIX_EPOCH;

use super::library::{Expect, Library, Told};
use super::names::unescape;
use super::tell::plain;
use crate::StoredFile;
use crate::content_md5::md5_of;

/// What the comparison found. Each list names what is wrong; empty is right.
#[derive(Default)]
pub(super) struct Compared {
    /// Files of the folder that are in the cloud.
    pub(super) found: BTreeSet<Vec<u8>>,
    /// Files that should be there and are not.
    pub(super) missing: Vec<Vec<u8>>,
    /// Bytes of those that are.
    pub(super) bytes: u64,
    pub(super) with_exif: usize,
    /// Files whose name in the cloud is not the one on the disk.
    pub(super) escaped: usize,
    pub(super) names: Vec<String>,
    pub(super) content: Vec<String>,
    pub(super) times: Vec<String>,
    pub(super) modes: Vec<String>,
    pub(super) exif: Vec<String>,
    pub(super) dates: Vec<String>,
}

impl Compared {
    /// Reads both sides. `prefix` is what every name in the cloud begins with.
    pub(super) fn read(library: &Library, stored: &[StoredFile], prefix: &str) -> io::Result<Compared> {
        let mut compared = Compared::default();
        for file in stored {
            let Some(below) = file.path.strip_prefix(prefix).and_then(unescape) else {
                compared.names.push(format!("{} is no name that xpand writes", file.path));
                continue;
            };
            let Some(local) = fs::metadata(library.path(&below)).ok().filter(|local| local.is_file()) else {
                compared.names.push(format!("{} is in the cloud and not in the folder", plain(&below)));
                continue;
            };
            compared.bytes += local.len();
            compared.escaped += usize::from(file.path.as_bytes() != [prefix.as_bytes(), &below].concat());
            let (here, there) = (md5_of(&library.path(&below))?, md5_of(&file.disk)?);
            let name = plain(&below);
            if here != there {
                compared.content.push(format!("{name}: {here} here, {there} there"));
            }
            if file.created != 1 || file.overwritten != 0 {
                let (created, overwritten) = (file.created, file.overwritten);
                compared.times.push(format!("{name}: created {created} times, replaced {overwritten} times"));
            }
            let seconds = local.modified()?.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
            if file.local_mtime != seconds {
                compared.dates.push(format!("{name}: {seconds} here, {} there", file.local_mtime));
            }
            compared.with_exif += usize::from(file.exif_info.is_some());
            compared.judge(library.files.get(&below), file, &name);
            compared.found.insert(below);
        }
        let missing = library.wanted().filter(|below| !compared.found.contains(*below)).cloned().collect();
        compared.missing = missing;
        Ok(compared)
    }

    /// Mode and EXIF, by what is known of the file.
    fn judge(&mut self, expect: Option<&Expect>, file: &StoredFile, name: &str) {
        let mode = file.mode.unwrap_or(0);
        let mut modes = |right: &[u8]| {
            if !right.contains(&mode) {
                self.modes.push(format!("{name}: mode {mode}"));
            }
        };
        match expect {
            // Another program's picture may be something else than its name says.
            None | Some(Expect::Photo(Told::Unknown)) => modes(&[4, 5]),
            Some(Expect::Photo(_)) => modes(&[4]),
            Some(Expect::Video) => modes(&[5]),
            Some(Expect::Empty | Expect::Junk) => {
                self.names.push(format!("{name} has no place in the cloud"))
            }
        }
        let right = match expect {
            Some(Expect::Photo(Told::This(exif))) => Some(exif.info()),
            Some(Expect::Photo(Told::Nothing) | Expect::Video) => None,
            _ => return,
        };
        if file.exif_info != right {
            let text =
                |info: &Option<_>| info.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
            self.exif.push(format!("{name}: {} instead of {}", text(&file.exif_info), text(&right)));
        }
    }
}

/// The first few of what is wrong.
pub(super) fn some(wrong: &[String]) -> String {
    let shown: Vec<&str> = wrong.iter().take(4).map(String::as_str).collect();
    match wrong.len().saturating_sub(shown.len()) {
        0 => shown.join("; "),
        more => format!("{}; and {more} more", shown.join("; ")),
    }
}
