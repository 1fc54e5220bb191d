//! What the rows share: where they work, the cloud, the agent, other tools, and how a figure is written down.

pub(crate) mod agent;
pub(crate) mod cloud;
pub(crate) mod figure;
pub(crate) mod files;
pub(crate) mod library;
pub(crate) mod machine;
pub(crate) mod peers;
pub(crate) mod process;
pub(crate) mod tools;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(crate) use figure::{Figure, Measure, Outcome, markdown};

/// Whatever goes wrong ends the row, in words.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What the names of the rows' folders begin with.
const ROOM: &str = "room-";

/// One run of the benchmark.
pub(crate) struct Bench {
    small: bool,
    folder: PathBuf,
    runtime: Runtime,
    /// Held while this is the one that runs.
    _turn: Option<File>,
}

impl Bench {
    /// `small`: a tenth of everything. What a run that was killed has left goes away.
    ///
    /// # Errors
    /// Another one runs: neither would measure anything.
    pub(crate) fn new(small: bool) -> Result<Self> {
        let bench = Self::within(small)?;
        let turn = File::create(bench.folder.join("running"))?;
        let is_alone = flock(&turn, FlockOperation::NonBlockingLockExclusive).is_ok();
        if !is_alone {
            return Err("another benchmark is running here".into());
        }
        for left in fs::read_dir(&bench.folder)?.flatten() {
            if left.file_name().to_string_lossy().starts_with(ROOM) {
                fs::remove_dir_all(left.path())?;
            }
        }
        Ok(Self { _turn: Some(turn), ..bench })
    }

    /// For a part of a run that is a process of its own.
    pub(crate) fn within(small: bool) -> Result<Self> {
        // Below target/, which is on a disk; /tmp may be memory.
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench");
        fs::create_dir_all(&folder)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { small, folder, runtime, _turn: None })
    }

    /// A row's number of files or bytes: a tenth of it in a small run.
    pub(crate) fn sized(&self, full: u64) -> u64 {
        if self.small { (full / 10).max(1) } else { full }
    }

    /// Where everything lies.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A new folder, which goes away with what is in it. Its path is short enough for a socket.
    pub(crate) fn room(&self) -> Result<TempDir> {
        Ok(tempfile::Builder::new().prefix(ROOM).tempdir_in(&self.folder)?)
    }

    /// Waits for an answer.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Tells whoever waits how far it is.
    pub(crate) fn say(&self, words: &str) {
        let _ = writeln!(std::io::stderr(), "{words}");
    }
}
