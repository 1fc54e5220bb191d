//! Photos that the cloud has already, from somebody else: one call each and no slice, so that reading them is all there is to do.
//!
//! The yardstick is `md5sum` of the same files, one process, one file after the other: what one reader can do.

use std::process::Command;
use std::time::Duration;

use crate::yard::agent::{Home, Setup};
use crate::yard::cloud::{Cloud, Line};
use crate::yard::figure::{Amount, Outcome};
use crate::yard::process::cost;
use crate::yard::{Bench, Figure, Measure, Result, files};

pub(crate) fn run(bench: &Bench) -> Result<Figure> {
    let room = bench.room()?;
    let photos = room.path().join("photos");
    let all = files::photos(&photos, 1, bench.sized(1000), 3_000_000)?;
    let count = all.len() as u64;
    let cloud = Cloud::start(bench, &room.path().join("cloud"), Line::default())?;
    // The first agent brings them there, and is another device's.
    let first = Setup { folder_more: "remote = \"first/{path}\"", ..Setup::new(&photos, &cloud) };
    let mut agent = Home::new(&room.path().join("first"), &first)?.start(bench)?;
    agent.until_backed_up(count, Duration::from_mins(10))?;
    agent.end()?;
    let before = cloud.count(bench, "upload")?;
    files::sync();
    let summed = cost(Command::new("md5sum").args(&all))?;
    let second = Setup { folder_more: "remote = \"second/{path}\"", ..Setup::new(&photos, &cloud) };
    let mut agent = Home::new(&room.path().join("second"), &second)?.start(bench)?;
    let took = agent.until_backed_up(count, Duration::from_mins(10))?.as_secs_f64();
    agent.end()?;
    let slices = cloud.count(bench, "upload")? - before;
    let mut figure = Figure::default();
    figure.add(Measure {
        what: "slices sent".into(),
        figure: slices.to_string(),
        yardstick: String::new(),
        floor: "none".into(),
        outcome: Outcome::of(slices == 0),
    });
    let seconds = |number| Amount::new(number, "s");
    figure.add(Measure::at_most("time", seconds(took), "md5sum", seconds(summed.seconds), 1.5));
    Ok(figure)
}
