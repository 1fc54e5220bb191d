//! What the agent has the disk write for its state while it backs up many files, whatever it writes it for: records,
//! their rewriting, snapshots, and what the queue notes under way.
//!
//! Small files that are done together share a commit. A family's photos on its line share few: that is a note below the
//! table.

use std::time::Duration;

use crate::yard::agent::{Home, Setup};
use crate::yard::cloud::{Cloud, Line};
use crate::yard::figure::Amount;
use crate::yard::{Bench, Figure, Measure, Result, files};

pub(crate) fn run(bench: &Bench) -> Result<Figure> {
    let mut figure = Figure::default();
    let kib = |number| Amount::new(number, "KiB");
    figure.add(Measure::within("a file", kib(a_file(bench, 10_000, 4000, Line::default())?), kib(6.0)));
    let line = Line { latency: Duration::from_millis(80), bandwidth: Some(5 << 20), ..Line::default() };
    let slow = kib(a_file(bench, 100, 3_000_000, line)?).text();
    let count = bench.sized(100);
    figure.note(format!("{count} photos of 3 MB on a line of 5 MiB/s, 80 ms long: {slow} a file"));
    Ok(figure)
}

/// KiB written for each of `count` files of so many bytes.
fn a_file(bench: &Bench, count: u64, bytes: u64, line: Line) -> Result<f64> {
    let room = bench.room()?;
    let photos = room.path().join("photos");
    let count = files::photos(&photos, 1, bench.sized(count), bytes)?.len() as u64;
    let cloud = Cloud::start(bench, &room.path().join("cloud"), line)?;
    let home = Home::new(&room.path().join("home"), &Setup::new(&photos, &cloud))?;
    let mut agent = home.start(bench)?;
    agent.until_backed_up(count, Duration::from_mins(20))?;
    let mut written = agent.process.io_bytes("write_bytes")?;
    agent.end()?;
    // The next start writes what the last end left to it.
    let mut agent = home.start(bench)?;
    agent.until_backed_up(count, Duration::from_mins(1))?;
    written += agent.process.io_bytes("write_bytes")?;
    agent.end()?;
    Ok(written as f64 / 1024.0 / count as f64)
}
