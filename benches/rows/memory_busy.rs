//! The most that the agent ever holds while one large video goes to a cloud of 32 MiB slices, eight at a time.
//! The video is a hole; the cloud stores its slices and joins them, which takes 40 GiB of disk.

use std::fs::{self, File};
use std::io::Write;
use std::time::Duration;

use crate::yard::agent::{Home, Setup};
use crate::yard::cloud::{Cloud, Line};
use crate::yard::figure::Amount;
use crate::yard::{Bench, Figure, Measure, Result};

/// Twenty GiB through two processors and a disk.
const PATIENCE: Duration = Duration::from_mins(40);

pub(crate) fn run(bench: &Bench) -> Result<Figure> {
    let room = bench.room()?;
    let videos = room.path().join("videos");
    fs::create_dir_all(&videos)?;
    let bytes = bench.sized(20 << 30);
    let mut video = File::create_new(videos.join("wedding.mp4"))?;
    video.write_all(b"\0\0\0\x18ftypisom")?;
    video.set_len(bytes)?;
    let line = Line { vip: 2, ..Line::default() };
    let cloud = Cloud::start(bench, &room.path().join("cloud"), line)?;
    let setup = Setup { parallel: 8, ..Setup::new(&videos, &cloud) };
    let mut agent = Home::new(&room.path().join("home"), &setup)?.start(bench)?;
    agent.until_backed_up(1, PATIENCE)?;
    let peak = agent.process.memory_kib("VmHWM")?;
    agent.end()?;
    let mut figure = Figure::default();
    let mib = |number| Amount::new(number, "MiB");
    figure.add(Measure::within("most resident", mib(peak as f64 / 1024.0), mib(30.0)));
    Ok(figure)
}
