//! Many small files on a line 50 ms away, beside the ideal: every call that is needed, eight at a time, nothing else.
//!
//! Needed are precreate, superfile2 and create of each file.

use std::time::Duration;

use crate::yard::agent::{Home, Setup};
use crate::yard::cloud::{Cloud, Line};
use crate::yard::figure::Amount;
use crate::yard::{Bench, Figure, Measure, Result, files};

const LATENCY: Duration = Duration::from_millis(50);
const PARALLEL: usize = 8;
const CALLS: f64 = 3.0;

pub(crate) fn run(bench: &Bench) -> Result<Figure> {
    let room = bench.room()?;
    let photos = room.path().join("photos");
    let all = files::photos(&photos, 1, bench.sized(10_000), 100_000)?;
    let cloud =
        Cloud::start(bench, &room.path().join("cloud"), Line { latency: LATENCY, ..Line::default() })?;
    let setup = Setup { parallel: PARALLEL, ..Setup::new(&photos, &cloud) };
    let home = Home::new(&room.path().join("home"), &setup)?;
    files::sync();
    let mut agent = home.start(bench)?;
    let took = agent.until_backed_up(all.len() as u64, Duration::from_mins(20))?.as_secs_f64();
    agent.end()?;
    cloud.check(bench, &all)?;
    let ideal = all.len() as f64 * CALLS * LATENCY.as_secs_f64() / PARALLEL as f64;
    let mut figure = Figure::default();
    let seconds = |number| Amount::new(number, "s");
    figure.add(Measure::at_most("time", seconds(took), "the ideal", seconds(ideal), 1.2));
    Ok(figure)
}
