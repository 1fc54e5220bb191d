//! The rows, each in a file of its own that says what is done, what it is compared with, and why so.

mod flash;
mod hashing;
mod idle;
mod instant;
mod memory_busy;
mod memory_idle;
mod rescan;
mod size;
mod small;
mod start;
mod upload_fast;
mod upload_real;

use crate::yard::{Bench, Figure, Result};

/// A row of the table.
pub(crate) struct Row {
    /// What to type.
    pub(crate) key: &'static str,
    /// What the table calls it.
    pub(crate) name: &'static str,
    /// What is done, at its full size.
    pub(crate) workload: &'static str,
    /// Does it. Cleans up behind itself, also when it fails.
    pub(crate) run: fn(&Bench) -> Result<Figure>,
}

/// All of them, in the order of the table.
pub(crate) const ROWS: &[Row] = &[
    Row {
        key: "upload-fast",
        name: "upload, fast link",
        workload: "1,000 photos of 3 MB and 4 videos of 500 MB, no latency",
        run: upload_fast::run,
    },
    Row {
        key: "upload-real",
        name: "upload, real link",
        workload: "60 photos of 3 MB and a video of 120 MB, 80 ms, 5 MiB/s",
        run: upload_real::run,
    },
    Row {
        key: "small-files",
        name: "small files",
        workload: "10,000 photos of 100 KB, 50 ms, parallel 8",
        run: small::run,
    },
    Row {
        key: "instant",
        name: "instant upload",
        workload: "1,000 photos of 3 MB that the cloud already has",
        run: instant::run,
    },
    Row { key: "hashing", name: "hashing", workload: "one 4 GiB file, cold and warm", run: hashing::run },
    Row {
        key: "rescan",
        name: "rescan",
        workload: "100,000 and 1,000,000 unchanged files",
        run: rescan::run,
    },
    Row {
        key: "memory-idle",
        name: "memory, idle",
        workload: "100,000 and 1,000,000 files known",
        run: memory_idle::run,
    },
    Row {
        key: "memory-busy",
        name: "memory, busy",
        workload: "one 20 GiB file, 32 MiB slices, parallel 8",
        run: memory_busy::run,
    },
    Row { key: "idle", name: "idle cost", workload: "ten minutes idle, 100,000 files known", run: idle::run },
    Row { key: "flash", name: "flash", workload: "10,000 files backed up", run: flash::run },
    Row { key: "start", name: "start", workload: "1,000,000 files known", run: start::run },
    Row { key: "size", name: "size", workload: "static binaries, stripped", run: size::run },
];
