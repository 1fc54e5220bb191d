//! Whether `upload.rate` is kept: by several slices at once, over seconds and over all of it. What is counted is what the
//! kernel's loopback device took, so nobody believes the agent's own count; nothing else may use that device meanwhile.

use std::fs;
use std::time::{Duration, Instant};

use super::Table;
use crate::yard::agent::{Home, Setup};
use crate::yard::cloud::{Cloud, Line};
use crate::yard::{Bench, Result, files};

/// Sending is to take so long.
const SECONDS: u64 = 20;
/// A short time, seconds.
const SHORT: f64 = 3.0;
const LOOK: Duration = Duration::from_millis(20);

/// Four films at once at three rates.
pub(super) fn kept(bench: &Bench) -> Result<Table> {
    let mut rows = Vec::new();
    for kib in [512, 4096, 32_768_u64] {
        let room = bench.room()?;
        let films = room.path().join("films");
        let bytes = kib * 1024 * SECONDS;
        files::videos(&films, 1, 4, bytes / 4)?;
        let cloud = Cloud::start(bench, &room.path().join("cloud"), Line::default())?;
        let rate = format!("rate = \"{kib}KiB/s\"");
        let setup = Setup { parallel: 8, upload_more: &rate, ..Setup::new(&films, &cloud) };
        let home = Home::new(&room.path().join("home"), &setup)?;
        let agent = home.start(bench)?;
        let sent = watch(&agent, bytes)?;
        agent.end()?;
        let of_rate = |a_second: f64| format!("{:.1} %", a_second / (kib * 1024) as f64 * 100.0);
        let (first, last) = (sent.first().ok_or("nothing sent")?, sent.last().ok_or("nothing sent")?);
        let short = windows(&sent);
        let (least, most) = short.iter().fold((f64::MAX, 0.0_f64), |(l, m), one| (l.min(*one), m.max(*one)));
        rows.push(vec![
            format!("{kib} KiB/s"),
            of_rate((last.1 - first.1) / (last.0 - first.0)),
            format!("{} to {}", of_rate(least), of_rate(most)),
        ]);
    }
    Ok(Table {
        title: "### upload.rate: what is sent, four films at once, parallel 8",
        head: vec!["rate", "over 20 s", "over any 3 s of them"],
        rows,
        notes: vec![],
    })
}

/// Seconds, and bytes on the line by then, from the first slice on.
fn watch(agent: &crate::yard::agent::Agent<'_>, bytes: u64) -> Result<Vec<(f64, f64)>> {
    let (begun, before, mut sent) = (Instant::now(), on_the_line()?, Vec::new());
    while begun.elapsed() < Duration::from_secs(SECONDS * 5) {
        if let Some(status) = agent.status().filter(|status| status.totals.bytes_sent > 0) {
            sent.push((begun.elapsed().as_secs_f64(), (on_the_line()? - before) as f64));
            if status.totals.bytes_sent >= bytes {
                return Ok(sent);
            }
        }
        std::thread::sleep(LOOK);
    }
    Err("it is much slower than its rate".into())
}

/// Bytes that went over the loopback device since the system was started.
fn on_the_line() -> Result<u64> {
    Ok(fs::read_to_string("/sys/class/net/lo/statistics/tx_bytes")?.trim().parse()?)
}

/// Bytes a second of all short times in it.
fn windows(sent: &[(f64, f64)]) -> Vec<f64> {
    let mut all = Vec::new();
    let mut from = 0;
    for (at, bytes) in sent {
        while at - sent[from].0 > SHORT {
            from += 1;
        }
        let (since, before) = sent[from];
        if at - since > SHORT * 0.95 {
            all.push((bytes - before) / (at - since));
        }
    }
    all
}
