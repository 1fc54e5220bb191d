//! One box: what a first backup costs, by the number of files and by the size of one.

use std::path::Path;
use std::time::Duration;

use super::{Table, thousands};
use crate::yard::agent::{Home, Setup};
use crate::yard::cloud::{Cloud, Line};
use crate::yard::{Bench, Result, files};

const PATIENCE: Duration = Duration::from_mins(30);

/// Photos of 4 KB: what a file costs besides its bytes.
pub(super) fn files(bench: &Bench) -> Result<Table> {
    let mut rows = Vec::new();
    for count in [1_000, 10_000, 100_000].map(|count| bench.sized(count)) {
        let room = bench.room()?;
        let photos = room.path().join("photos");
        files::photos(&photos, 1, count, 4096)?;
        let cost = backup(bench, room.path(), &photos, count)?;
        let each = |number: f64| number / count as f64;
        let again = cost.again;
        rows.push(vec![
            thousands(count as f64),
            format!("{:.1} s", cost.seconds),
            format!("{:.2} ms", each(cost.cpu_seconds) * 1000.0),
            format!("{:.2}", each(cost.calls as f64)),
            format!("{:.1} KiB", each(cost.written as f64) / 1024.0),
            format!("{:.0} B", each(cost.state as f64)),
            format!("{:.1} MiB", cost.peak_kib as f64 / 1024.0),
            format!("{:.2} s", again.seconds),
            format!("{:.1} MiB", again.rss_kib as f64 / 1024.0),
            again.calls.to_string(),
        ]);
    }
    Ok(Table {
        title: "### By the number of files (photos of 4 KB, a cloud without latency, parallel 8)",
        head: vec![
            "files",
            "first backup",
            "processor a file",
            "calls a file",
            "written a file",
            "state a file",
            "memory, peak",
            "started again: all looked at",
            "memory then",
            "calls then",
        ],
        rows,
        notes: vec![],
    })
}

/// One film.
pub(super) fn one_file(bench: &Bench) -> Result<Table> {
    let mut rows = Vec::new();
    for size in [10, 100, 1000].map(|mib| bench.sized(mib)) {
        let room = bench.room()?;
        let films = room.path().join("films");
        files::videos(&films, 1, 1, size << 20)?;
        let cost = backup(bench, room.path(), &films, 1)?;
        rows.push(vec![
            format!("{} MiB", thousands(size as f64)),
            format!("{:.1} s", cost.seconds),
            format!("{:.1} s", cost.cpu_seconds / size as f64 * 1024.0),
            cost.calls.to_string(),
            size.div_ceil(4).to_string(),
            format!("{:.1} KiB", cost.written as f64 / 1024.0),
            format!("{:.1} MiB", cost.peak_kib as f64 / 1024.0),
        ]);
    }
    Ok(Table {
        title: "### By the size of one file (slices of 4 MiB, a cloud without latency, parallel 8)",
        head: vec![
            "file",
            "first backup",
            "processor a GiB",
            "calls",
            "of them slices",
            "written to state",
            "memory, peak",
        ],
        rows,
        notes: vec![],
    })
}

struct Cost {
    seconds: f64,
    cpu_seconds: f64,
    calls: u64,
    /// Bytes the agent had the disk write.
    written: u64,
    /// Bytes of its state folder at the end.
    state: u64,
    peak_kib: u64,
    again: Again,
}

/// The same box, started again with nothing to do.
struct Again {
    seconds: f64,
    rss_kib: u64,
    calls: u64,
}

fn backup(bench: &Bench, room: &Path, folder: &Path, count: u64) -> Result<Cost> {
    let cloud = Cloud::start(bench, &room.join("cloud"), Line::default())?;
    let setup = Setup { parallel: 8, ..Setup::new(folder, &cloud) };
    let home = Home::new(&room.join("home"), &setup)?;
    let mut agent = home.start(bench)?;
    let seconds = agent.until_backed_up(count, PATIENCE)?.as_secs_f64();
    let cpu_seconds = agent.process.cpu_seconds()?;
    let written = agent.process.io_bytes("write_bytes")?;
    let peak_kib = agent.process.memory_kib("VmHWM")?;
    agent.end()?;
    let calls = calls(bench, &cloud, count * 3)?;
    let state = size_of(&home.state())?;
    let mut agent = home.start(bench)?;
    // Looked at, all of it known, and nothing to do.
    let looked = agent.until(PATIENCE, |status| {
        let is_looked_at = status.folders.iter().all(|folder| folder.last_scan.is_some());
        is_looked_at && status.state == xpand::status::State::Idle && status.totals.counts.backed_up == count
    })?;
    let rss_kib = agent.process.memory_kib("VmRSS")?;
    agent.end()?;
    let again =
        Again { seconds: looked.as_secs_f64(), rss_kib, calls: self::calls(bench, &cloud, calls)? - calls };
    Ok(Cost { seconds, cpu_seconds, calls, written, state, peak_kib, again })
}

/// How many calls there were so far, which are more than `least` or so.
fn calls(bench: &Bench, cloud: &Cloud, least: u64) -> Result<u64> {
    // The log of all of them is a hundred megabytes.
    for from in [least, least / 10 * 9, 0] {
        let log = cloud.ask(bench, &format!("calls?since={from}"))?;
        let last = log["calls"].as_array().and_then(|calls| calls.last());
        if let Some(last) = last.and_then(|call| call["n"].as_u64()) {
            return Ok(last + 1);
        }
    }
    Ok(least)
}

fn size_of(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        bytes += if meta.is_dir() { size_of(&entry.path())? } else { meta.len() };
    }
    Ok(bytes)
}
