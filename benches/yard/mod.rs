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

use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(crate) use figure::{Figure, Measure, Outcome, markdown};

/// Whatever goes wrong ends the row, in words.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// One run of the benchmark.
pub(crate) struct Bench {
    small: bool,
    folder: PathBuf,
    runtime: Runtime,
}

impl Bench {
    /// `small`: a tenth of everything.
    pub(crate) fn new(small: bool) -> Result<Self> {
        // Below target/, which is on a disk; /tmp may be memory.
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench");
        std::fs::create_dir_all(&folder)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { small, folder, runtime })
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
        Ok(tempfile::Builder::new().prefix("r").tempdir_in(&self.folder)?)
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
