//! Opening the database after anything: a clean end, a kill, a power cut, damage, another version.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::{Backing, Error, Gaps, Result, Store, guarded};
use crate::durable;

/// The layout of what `db/` holds. Older ones are read, newer ones refused.
const FORMAT: u32 = 1;
const EPOCH: &str = "xpand state ";
/// There in every database that was ever used: a database without it has lost its content.
const BIRTH: &[u8] = b"birth";
/// How many clean ends there were; `closed` beside the database says the same.
const ENDS: &[u8] = b"ends";
/// Where a database is set aside, below the state folder.
pub const ASIDE: &str = "db.damaged";
/// sled takes a moment to let go of its lock after the process before has ended.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// How the database was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Opened {
    /// As the last clean end left it.
    Clean,
    /// As a kill or a power cut left it: what was flushed is there, and the cloud may know more.
    Unclean,
    /// There was none.
    New,
    /// It was damaged or had lost its content; it lies in the named folder, and this one is empty.
    SetAside {
        /// Where the old one lies.
        folder: PathBuf,
        /// What was wrong.
        why: String,
    },
}

pub(super) fn open(folder: &Path) -> Result<(Store, Opened)> {
    let known_before = check_epoch(folder)?;
    let unclean = folder.join("running").exists();
    let ends_known = ends_beside(folder);
    let mut set_aside = None;
    for name in ["damaged", "rebuild"] {
        let mark = folder.join(name);
        if mark.exists() {
            let why = match name {
                "rebuild" => "a rebuild was asked for".to_owned(),
                _ => fs::read_to_string(&mark).unwrap_or_default(),
            };
            set_aside = Some(put_aside(folder, &why)?);
            durable::remove(&mark).map_err(io_error("cannot remove", &mark))?;
        }
    }
    let db = match sled_open(folder) {
        Ok(db) => db,
        Err(Error::Damaged { why, .. }) => match mend_snapshot(folder) {
            Some(db) => db,
            None => {
                set_aside = Some(put_aside(folder, &why)?);
                sled_open(folder)?
            }
        },
        Err(error) => return Err(error),
    };
    let mut store = Store::around(folder, Backing::Sled(db));
    let mut born = matches!(store.get(BIRTH), Ok(Some(_)));
    let lost = match (born, ends(&store)) {
        (false, _) => {
            known_before.then_some("it had lost its content, as after a power cut before its first fsync")
        }
        (true, Ok(in_db)) => (in_db < ends_known).then_some("it had lost what was written last"),
        (true, Err(_)) => Some("it cannot be read"),
    };
    if let Some(why) = lost.filter(|_| set_aside.is_none()) {
        drop(store);
        set_aside = Some(put_aside(folder, why)?);
        store = Store::around(folder, Backing::Sled(sled_open(folder)?));
        born = false;
    }
    if !born {
        store.apply(&vec![(BIRTH.to_vec(), Some(Vec::new()))])?;
        store.flush()?;
        let db = folder.join("db");
        durable::sync_folder_of(&db.join("db")).map_err(io_error("cannot sync", &db))?;
        durable::sync_folder_of(&db).map_err(io_error("cannot sync", folder))?;
    }
    if !born || !known_before {
        replace(&folder.join("epoch"), format!("{EPOCH}{FORMAT}\n").as_bytes())?;
    }
    replace(&folder.join("running"), b"")?;
    // Kept over clean ends, until everything that waits now is through: see [`Store::looked`].
    store.widen(known_gaps(folder))?;
    store.widen(Gaps { everything: set_aside.is_some() || !born, something: unclean && born })?;
    let opened = match set_aside {
        Some((folder, why)) => Opened::SetAside { folder, why },
        None if !born => Opened::New,
        None if unclean => Opened::Unclean,
        None => Opened::Clean,
    };
    Ok((store, opened))
}

impl Store {
    pub(super) fn around(folder: &Path, db: Backing) -> Self {
        Self {
            folder: folder.into(),
            db,
            damages: 0.into(),
            damaged: false.into(),
            everything: false.into(),
            something: false.into(),
            place: super::identity(folder),
        }
    }
}

/// Asks the next start to set the database in `folder` aside and to begin with an empty one.
///
/// # Errors
/// The mark cannot be written.
pub fn ask_rebuild(folder: &Path) -> Result<()> {
    let mark = folder.join("rebuild");
    // Whoever asks may be another user than the agent, who only has to see that it is there.
    durable::replace(&mark, b"", 0o644).map_err(io_error("cannot write", &mark))
}

pub(super) fn mark_stopped(store: &Store) -> Result<()> {
    let number = ends(store)?.max(ends_beside(&store.folder)) + 1;
    store.apply(&vec![(ENDS.to_vec(), Some(number.to_le_bytes().to_vec()))])?;
    store.flush()?;
    replace(&store.folder.join("closed"), format!("{number}\n").as_bytes())?;
    let mark = store.folder.join("running");
    durable::remove(&mark).map_err(io_error("cannot remove", &mark))
}

fn ends(store: &Store) -> Result<u64> {
    let number = store.get(ENDS)?.and_then(|bytes| bytes.try_into().ok());
    Ok(number.map_or(0, u64::from_le_bytes))
}

fn ends_beside(folder: &Path) -> u64 {
    let text = fs::read_to_string(folder.join("closed")).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// What `look_first` says: a word a line; without any it is of an earlier version, and says `something`.
fn known_gaps(folder: &Path) -> Gaps {
    let Ok(text) = fs::read(folder.join("look_first")) else { return Gaps::default() };
    let text = String::from_utf8_lossy(&text);
    let everything = text.lines().any(|line| line == "everything");
    Gaps { everything, something: !everything || text.lines().any(|line| line == "something") }
}

pub(super) fn mark_gaps(folder: &Path, gaps: Gaps) -> Result<()> {
    let mark = folder.join("look_first");
    let words: String = [("everything", gaps.everything), ("something", gaps.something)]
        .iter()
        .filter(|(_, is)| *is)
        .map(|(word, _)| format!("{word}\n"))
        .collect();
    if words.is_empty() {
        return durable::remove(&mark).map_err(io_error("cannot remove", &mark));
    }
    replace(&mark, words.as_bytes())
}

pub(super) fn mark_damaged(folder: &Path, why: &str) {
    if let Err(error) = replace(&folder.join("damaged"), why.as_bytes()) {
        tracing::error!("cannot note that the database is damaged: {error}");
    }
}

/// Whether there was a database with content before; refuses one of a later version.
fn check_epoch(folder: &Path) -> Result<bool> {
    let path = folder.join("epoch");
    let text = match fs::read(&path) {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(io_error("cannot read", &path)(error)),
    };
    let found = text.trim().strip_prefix(EPOCH.trim_end()).unwrap_or("").trim();
    match found.parse::<u32>() {
        Ok(format) if format > FORMAT => {
            Err(Error::Newer { path: folder.into(), found: found.into(), known: FORMAT })
        }
        // An epoch file cut short or overwritten still says that there was content.
        _ => Ok(true),
    }
}

/// Opens sled in `folder/db`, waiting a little for a process that is just ending.
fn sled_open(folder: &Path) -> Result<sled::Db> {
    let db = folder.join("db");
    remove_half_snapshots(&db);
    let mut tries = 0;
    loop {
        let opened = guarded(folder, || {
            sled::Config::new()
                .path(&db)
                // Soft: sled takes a few MiB more. What is read twice is read in a row.
                .cache_capacity(2 << 20)
                // Our own commits flush; sled's timer would wake and write an idle box.
                .flush_every_ms(None)
                .mode(sled::Mode::LowSpace)
                .open()
        });
        match opened {
            Err(Error::Io { source, .. }) if is_lock_held(&source) => {
                tries += 1;
                if tries > LOCK_TRIES {
                    return Err(Error::InUse(folder.into()));
                }
                thread::sleep(LOCK_PAUSE);
            }
            other => return other,
        }
    }
}

/// sled hides the kind of the error and keeps its words only.
fn is_lock_held(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.to_string().contains("could not acquire lock")
}

/// A half-written snapshot keeps sled from opening; the log holds everything it would have said.
fn remove_half_snapshots(db: &Path) {
    for path in snapshots(db) {
        if path.extension().is_some_and(|extension| extension == "generating") {
            tracing::warn!("removing a half-written snapshot, {}", path.display());
            let _ = fs::remove_file(&path);
        }
    }
}

fn snapshots(db: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(db) else {
        return Vec::new();
    };
    let is_snapshot =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("snap."));
    entries.flatten().map(|entry| entry.path()).filter(is_snapshot).collect()
}

/// A damaged snapshot over a good log: tries the log alone, on a copy, and keeps the copy if it opens.
fn mend_snapshot(folder: &Path) -> Option<sled::Db> {
    let (db, trial) = (folder.join("db"), folder.join("db.trial"));
    if snapshots(&db).is_empty() {
        return None;
    }
    let _ = fs::remove_dir_all(&trial);
    let mended = copy_without_snapshots(&db, &trial).is_ok()
        && guarded(folder, || sled::Config::new().path(&trial).flush_every_ms(None).open())
            .and_then(|trial| guarded(folder, || trial.contains_key(BIRTH)))
            .unwrap_or(false);
    if !mended {
        let _ = fs::remove_dir_all(&trial);
        return None;
    }
    put_aside(folder, "its snapshot was damaged").ok()?;
    fs::rename(&trial, &db).ok()?;
    tracing::warn!("the database's snapshot was damaged; its log was whole and nothing is lost");
    sled_open(folder).ok()
}

fn copy_without_snapshots(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    let left_out = snapshots(from);
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        if path.is_file() && !left_out.contains(&path) {
            let copy = to.join(path.file_name().unwrap_or_default());
            fs::copy(&path, &copy)?;
            fs::File::open(&copy)?.sync_all()?;
        }
    }
    durable::sync_folder_of(&to.join("db"))
}

/// Moves `db/` to [`ASIDE`], in the place of an earlier one: flash is small.
fn put_aside(folder: &Path, why: &str) -> Result<(PathBuf, String)> {
    let (db, aside) = (folder.join("db"), folder.join(ASIDE));
    let closed = folder.join("closed");
    // It is about the one that goes.
    durable::remove(&closed).map_err(io_error("cannot remove", &closed))?;
    if db.exists() {
        match fs::remove_dir_all(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error("cannot remove", &aside)(error));
            }
            _ => {}
        }
        fs::rename(&db, &aside).map_err(io_error("cannot set aside", &db))?;
        durable::sync_folder_of(&aside).map_err(io_error("cannot sync", folder))?;
    }
    Ok((aside, why.to_owned()))
}

fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    durable::replace(path, bytes, 0o600).map_err(io_error("cannot write", path))
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { what, path, source }
}
