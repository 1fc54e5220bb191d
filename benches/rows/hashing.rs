//! One pass over a large video: its MD5, that of its first 256 KiB, those of its 4 MiB slices - beside `openssl md5`,
//! which finds the first of these alone.
//!
//! Cold, nothing of the file is in memory; warm, all of it. In turns, and the quickest of each
//! counts: a machine that others share is slow at times.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Instant;

use rustix::fs::{Advice, fadvise};
use xpand::backup::{disk, hash};

use crate::yard::figure::Amount;
use crate::yard::process::cost;
use crate::yard::{Bench, Figure, Measure, Result, files};

/// Bytes of a slice of an account without membership.
const SLICE: u64 = 4 << 20;
/// Turns.
const ROUNDS: usize = 7;

pub(crate) fn run(bench: &Bench) -> Result<Figure> {
    let room = bench.room()?;
    let bytes = bench.sized(4 << 30);
    let video = files::videos(room.path(), 1, 1, bytes)?.remove(0);
    // What is not yet on the disk stays in memory.
    File::open(&video)?.sync_all()?;
    let openssl = bench.tool("openssl")?;
    let mut figure = Figure::default();
    for is_warm in [false, true] {
        let (mut ours, mut theirs) = (f64::MAX, f64::MAX);
        for _ in 0..ROUNDS {
            prepare(&video, is_warm)?;
            theirs = theirs.min(cost(Command::new(&openssl.program).arg("md5").arg(&video))?.seconds);
            prepare(&video, is_warm)?;
            ours = ours.min(pass(&video, bytes)?);
        }
        let rate = |seconds: f64| Amount::new(bytes as f64 / f64::from(1 << 20) / seconds, "MiB/s");
        let what = if is_warm { "warm" } else { "cold" };
        figure.add(Measure::at_least(what, rate(ours), &openssl.name, rate(theirs), 0.95));
    }
    Ok(figure)
}

fn prepare(video: &Path, is_warm: bool) -> Result<()> {
    let mut file = File::open(video)?;
    if is_warm {
        std::io::copy(&mut file, &mut std::io::sink())?;
    } else {
        fadvise(&file, 0, None, Advice::DontNeed)?;
    }
    Ok(())
}

fn pass(video: &Path, bytes: u64) -> Result<f64> {
    let begun = Instant::now();
    let file = File::open(video)?;
    let print = disk::fingerprint(&file)?.0;
    let mut buffer = vec![0; hash::BUFFER_BYTES];
    let hashes = hash::hash(&file, &print, SLICE, &mut buffer, &AtomicU64::new(0), &AtomicBool::new(false))?;
    if hashes.slices.len() as u64 != bytes.div_ceil(SLICE) {
        return Err("a slice is missing".into());
    }
    Ok(begun.elapsed().as_secs_f64())
}
