//! What the agent has the disk write for its state while it backs up many files, whatever it writes it for: records,
//! their rewriting, snapshots, and what the queue notes under way.

use std::time::Duration;

use crate::yard::agent::{Home, Setup};
use crate::yard::cloud::{Cloud, Line};
use crate::yard::figure::Amount;
use crate::yard::{Bench, Figure, Measure, Result, files};

pub(crate) fn run(bench: &Bench) -> Result<Figure> {
    let room = bench.room()?;
    let photos = room.path().join("photos");
    let count = files::photos(&photos, 1, bench.sized(10_000), 4000)?.len() as u64;
    let cloud = Cloud::start(bench, &room.path().join("cloud"), Line::default())?;
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
    let mut figure = Figure::default();
    let kib = |number| Amount::new(number, "KiB");
    figure.add(Measure::within("a file", kib(written as f64 / 1024.0 / count as f64), kib(6.0)));
    Ok(figure)
}
