//! What the agent does when there is nothing to do: ten minutes of a box whose library is backed up.
//!
//! What is done once an hour is not in them but by chance: a look at all files is the row `rescan`'s.
//!
//! A wake-up is a time that one of its threads went to sleep by itself. Whether anything is forced to the disk is seen
//! by `strace` in a minute of its own, because being watched wakes a process.

use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::yard::figure::Amount;
use crate::yard::library::Library;
use crate::yard::process::Process;
use crate::yard::{Bench, Figure, Measure, Result};

/// The network connections of the first round have ended by then, and threads without work.
const REST: Duration = Duration::from_secs(100);
/// The calls that force something to the disk.
const FORCING: &str = "trace=fsync,fdatasync,sync_file_range,msync,syncfs,sync";

pub(crate) fn run(bench: &Bench) -> Result<Figure> {
    let library = Library::known(bench, bench.sized(100_000))?;
    let agent = library.at_rest(bench)?;
    std::thread::sleep(REST);
    let seconds = bench.sized(600);
    let process = &agent.process;
    let (cpu, sleeps, written) = (process.cpu_seconds()?, process.sleeps()?, process.io_bytes("wchar")?);
    let for_disk = process.io_bytes("write_bytes")?;
    std::thread::sleep(Duration::from_secs(seconds));
    let cpu = process.cpu_seconds()? - cpu;
    // A thread that has ended takes its own with it.
    let sleeps = process.sleeps()?.saturating_sub(sleeps);
    let for_disk = process.io_bytes("write_bytes")? - for_disk;
    let seconds = seconds as f64;
    let mut figure = Figure::default();
    let (bare, percent) = (|number| Amount::new(number, ""), |number| Amount::new(number, "%"));
    let share = cpu / seconds * 100.0;
    figure.add(Measure::within("of one core", percent(share), percent(0.05)));
    let a_second = Amount::new(sleeps as f64 / seconds, "a second");
    figure.add(Measure::within("wake-ups", a_second, Amount::new(1.0, "a second")));
    let bytes = |number| Amount::new(number, "bytes");
    figure.add(Measure::within("written to disk", bytes(for_disk as f64), bytes(0.0)));
    figure.add(match forced(bench, process) {
        Ok(calls) => Measure::within("fsync and its like", bare(calls as f64), bare(0.0)),
        Err(error) => Measure::unknown("fsync and its like", "none", &error.to_string()),
    });
    let written = process.io_bytes("wchar")? - written;
    figure.note(format!("its descriptors took {written} bytes meanwhile, which are its threads' bells"));
    agent.end()?;
    Ok(figure)
}

/// How often the process forces something to the disk in a minute.
fn forced(bench: &Bench, process: &Process) -> Result<usize> {
    let strace = bench.tool("strace")?;
    let room = bench.room()?;
    let log = room.path().join("calls");
    let mut command = Command::new(strace.program);
    command.args(["-f", "-e", FORCING, "-o"]).arg(&log).arg("-p").arg(process.id().to_string());
    let mut watching = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn()?;
    std::thread::sleep(Duration::from_secs(60));
    // It writes down what it saw as it is interrupted.
    kill_process(Pid::from_child(&watching), Signal::INT)?;
    watching.wait()?;
    let calls = std::fs::read_to_string(log)?;
    Ok(calls.lines().filter(|line| line.contains("sync")).count())
}
