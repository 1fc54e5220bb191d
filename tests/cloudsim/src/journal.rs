//! Journals of what is stored: `DIR/.cloudsim/*.jsonl`, one JSON line a change, written at once and read
//! back when a server starts on the same folder; and small files that are written whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// One line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Change<E> {
    /// An entry is there, as it now is.
    Put { account: String, entry: Box<E> },
    /// An entry is gone.
    Remove { account: String, path: String },
}

/// The end of the journal, where lines are added.
#[derive(Debug)]
pub(crate) struct Journal(File);

impl Journal {
    pub(crate) fn open(path: &Path) -> io::Result<Journal> {
        Ok(Journal(OpenOptions::new().create(true).append(true).open(path)?))
    }

    pub(crate) fn write<E: Serialize>(&mut self, change: &Change<E>) -> io::Result<()> {
        let mut line = serde_json::to_vec(change)?;
        line.push(b'\n');
        self.0.write_all(&line)
    }

    /// Starts over with one line an entry; also ends a torn last line.
    pub(crate) fn rewrite<'a, E: Serialize + Clone + 'a>(
        path: &Path,
        entries: impl Iterator<Item = (&'a str, &'a E)>,
    ) -> io::Result<Journal> {
        let fresh = path.with_extension("new");
        let mut file = BufWriter::new(File::create(&fresh)?);
        for (account, entry) in entries {
            let change = Change::Put { account: account.into(), entry: Box::new(entry.clone()) };
            serde_json::to_writer(&mut file, &change)?;
            file.write_all(b"\n")?;
        }
        file.flush()?;
        fs::rename(&fresh, path)?;
        Journal::open(path)
    }
}

/// Writes a small file anew, whole or not at all.
pub(crate) fn replace(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let fresh = path.with_extension("new");
    fs::write(&fresh, serde_json::to_vec_pretty(value)?)?;
    fs::rename(fresh, path)
}

/// What [`replace`] wrote; the default when there is nothing yet.
pub(crate) fn read_whole<T: DeserializeOwned + Default>(path: &Path) -> io::Result<T> {
    match fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(error),
    }
}

/// Every change so far. The last line can be torn when the simulator was killed: what it said did not
/// happen.
pub(crate) fn read<E: DeserializeOwned>(path: &Path) -> io::Result<Vec<Change<E>>> {
    let mut changes = Vec::new();
    for line in BufReader::new(File::open(path)?).split(b'\n') {
        if let Ok(change) = serde_json::from_slice(&line?) {
            changes.push(change);
        }
    }
    Ok(changes)
}
