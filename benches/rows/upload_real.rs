//! Upload on a family's line: 80 ms away, 5 MiB a second for all connections together, and two Python clients on the same.

use std::time::Duration;

use crate::yard::agent::{Home, Setup};
use crate::yard::cloud::{Cloud, Line};
use crate::yard::figure::Amount;
use crate::yard::{Bench, Figure, Measure, Result, files, peers};

const MIB: f64 = (1 << 20) as f64;

pub(crate) fn run(bench: &Bench) -> Result<Figure> {
    let room = bench.room()?;
    let photos = room.path().join("photos");
    let mut all = files::photos(&photos, 1, bench.sized(60), 3_000_000)?;
    all.extend(files::videos(&photos, 1 << 32, 1, bench.sized(120_000_000))?);
    let bytes = files::bytes(&all)?;
    let line = Line { latency: Duration::from_millis(80), bandwidth: Some(5 << 20), ..Line::default() };
    let cloud = Cloud::start(bench, &room.path().join("cloud"), line.clone())?;
    let home = Home::new(&room.path().join("home"), &Setup::new(&photos, &cloud))?;
    files::sync();
    let mut agent = home.start(bench)?;
    let took = agent.until_backed_up(all.len() as u64, Duration::from_mins(10))?.as_secs_f64();
    agent.end()?;
    cloud.check(bench, &all)?;
    let mut figure = Figure::default();
    let rate = |seconds: f64| Amount::new(bytes as f64 / MIB / seconds, "MiB/s");
    figure.add(Measure::at_least("rate", rate(took), "the line", Amount::new(5.0, "MiB/s"), 0.95));
    for (client, app) in [("bypy-next", "bypy"), ("pypang", "xpand")] {
        let line = Line { app: app.into(), ..line.clone() };
        let data = room.path().join(client);
        let theirs = bench.tool(client).and_then(|tool| {
            let seconds = peers::send(&tool, client, line, &data, &all)?;
            Ok((tool.name, rate(seconds)))
        });
        figure.add(match theirs {
            Ok((name, theirs)) => Measure::at_least("rate", rate(took), &name, theirs, 1.0),
            Err(error) => Measure::unknown("rate", &format!("above {client}"), &error.to_string()),
        });
    }
    Ok(figure)
}
