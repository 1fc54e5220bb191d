//! What is kept on disk of folders: path and id of those that were used, so that a restart does not list its
//! way down from the root again.
//!
//! ```text
//! <state_dir>/accounts/<name>.folders      0600; first a line that says whose folders these are, then
//!     <crc32 of the rest> <id> <path>      a folder
//!     <crc32 of the rest> - <path>         it is gone, with all that was below it
//! ```
//!
//! Lines are added at the end and not synced; now and then the file is made anew. A line that is torn or does
//! not fit its sum is skipped, and costs a listing. The ids of another application or another cloud are none
//! of ours: then the file begins anew.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use crate::durable;

/// A file that is larger is none of ours, bytes.
const MAX_BYTES: u64 = 8 << 20;
/// Lines that say nothing any more are kept until there are so many.
const STALE_LINES: usize = 1000;

/// The file.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    path: Option<PathBuf>,
    /// The first line.
    owner: String,
    lines: usize,
}

impl Remembered {
    /// The file at `path`, of whoever `owner` names: a word without blanks. Reads nothing yet.
    pub(super) fn at(path: Option<PathBuf>, owner: &str) -> Self {
        Self { path, owner: format!("folders of {owner}\n"), lines: 0 }
    }

    /// What it says, the oldest first: path and id, or no id of one that is gone. Blocks for moments.
    pub(super) fn read(&mut self) -> Vec<(String, Option<String>)> {
        let Some(path) = &self.path else { return Vec::new() };
        let mut bytes = Vec::new();
        let opened = fs::File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.strip_prefix(self.owner.as_str());
        let Some(lines) = lines.filter(|_| opened.is_ok() && bytes.len() as u64 <= MAX_BYTES) else {
            // Made anew with the first line that is added.
            self.lines = usize::MAX;
            return Vec::new();
        };
        let whole = lines.rfind('\n').map_or("", |end| &lines[..=end]);
        // A torn line at the end must not run into the next.
        self.lines = if whole.len() == lines.len() { whole.lines().count() } else { usize::MAX };
        whole.lines().filter_map(read_line).collect()
    }

    /// Adds a line; `all` is what there is to keep if the file is to be made anew. Blocks for moments.
    pub(super) fn add<'a>(
        &mut self,
        path: &str,
        id: Option<&str>,
        all: impl ExactSizeIterator<Item = (&'a str, &'a str)>,
    ) {
        let Some(file) = &self.path else { return };
        let anew = self.lines > all.len().saturating_add(STALE_LINES);
        let written = if anew {
            let lines: String = all.filter_map(|(path, id)| line(path, Some(id))).collect();
            self.lines = lines.lines().count();
            durable::replace(file, format!("{}{lines}", self.owner).as_bytes(), 0o600)
        } else {
            let Some(line) = line(path, id) else { return };
            self.lines += 1;
            append(file, &line)
        };
        if let Err(error) = written {
            tracing::debug!("{} is not written: {error}", file.display());
        }
    }
}

fn append(file: &PathBuf, line: &str) -> io::Result<()> {
    OpenOptions::new().append(true).mode(0o600).open(file)?.write_all(line.as_bytes())
}

/// `None`: nothing that could be read back.
fn line(path: &str, id: Option<&str>) -> Option<String> {
    let id = id.unwrap_or("-");
    let fits = !path.chars().any(char::is_control)
        && !id.is_empty()
        && id.bytes().all(|byte| byte.is_ascii_graphic());
    let rest = format!("{id} {path}");
    fits.then(|| format!("{:08x} {rest}\n", crc32fast::hash(rest.as_bytes())))
}

fn read_line(line: &str) -> Option<(String, Option<String>)> {
    let (sum, rest) = line.split_once(' ')?;
    let is_whole = u32::from_str_radix(sum, 16).ok()? == crc32fast::hash(rest.as_bytes());
    let (id, path) = rest.split_once(' ').filter(|(_, path)| is_whole && path.starts_with('/'))?;
    Some((path.to_owned(), (id != "-").then(|| id.to_owned())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn some(path: &str, id: &str) -> (String, Option<String>) {
        (path.to_owned(), Some(id.to_owned()))
    }

    fn read(path: &std::path::Path, owner: &str) -> Vec<(String, Option<String>)> {
        Remembered::at(Some(path.to_owned()), owner).read()
    }

    #[test]
    fn what_was_added_is_read_back_and_junk_and_another_owners_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("home.folders");
        let mut file = Remembered::at(Some(path.clone()), "me");
        assert_eq!(file.read(), []);
        let all = [("/a", "ID1")];
        file.add("/a", Some("ID1"), all.into_iter());
        file.add("/a b/照片", Some("ID2"), all.into_iter());
        file.add("/a", None, all.into_iter());
        file.add("/with\ttab", Some("ID3"), all.into_iter());
        let written = [some("/a", "ID1"), some("/a b/照片", "ID2"), ("/a".to_owned(), None)];
        assert_eq!(read(&path, "me"), written);
        assert_eq!(read(&path, "you"), []);
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        // A line that is torn in the middle would name another folder.
        let bytes = fs::read(&path).unwrap();
        for cut in 0..bytes.len() {
            fs::write(&path, &bytes[..cut]).unwrap();
            let left = read(&path, "me");
            assert!(written.starts_with(&left), "{left:?}");
        }
        let mut flipped = bytes.clone();
        let at = bytes.len() - 30;
        flipped[at] ^= 1;
        fs::write(&path, flipped).unwrap();
        assert!(read(&path, "me").iter().all(|line| written.contains(line)));
    }

    #[test]
    fn after_a_torn_line_and_after_many_stale_ones_it_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("home.folders");
        let mut file = Remembered::at(Some(path.clone()), "me");
        file.read();
        let all = [("/a", "ID1")];
        file.add("/a", Some("ID1"), all.into_iter());
        fs::write(&path, [fs::read(&path).unwrap(), b"0123 torn".to_vec()].concat()).unwrap();
        let mut file = Remembered::at(Some(path.clone()), "me");
        assert_eq!(file.read(), [some("/a", "ID1")]);
        file.add("/b", Some("ID2"), [("/a", "ID1"), ("/b", "ID2")].into_iter());
        assert_eq!(read(&path, "me"), [some("/a", "ID1"), some("/b", "ID2")]);
        for _ in 0..STALE_LINES + 10 {
            file.add("/a", None, all.into_iter());
        }
        assert!(read(&path, "me").len() < 20);
    }
}
