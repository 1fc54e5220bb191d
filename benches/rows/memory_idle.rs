//! What the agent holds when it has nothing to do, after its first look at all the files that it knows.

use std::time::Duration;

use crate::yard::figure::Amount;
use crate::yard::library::Library;
use crate::yard::{Bench, Figure, Measure, Result};

/// Threads that have nothing to do have ended by then.
const REST: Duration = Duration::from_secs(15);

pub(crate) fn run(bench: &Bench) -> Result<Figure> {
    let mut figure = Figure::default();
    for (full, most) in [(100_000, 15.0), (1_000_000, 25.0)] {
        let count = bench.sized(full);
        let library = Library::known(bench, count)?;
        let agent = library.at_rest(bench)?;
        std::thread::sleep(REST);
        let mib = |kib: u64| Amount::new(kib as f64 / 1024.0, "MiB");
        let held = agent.process.memory_kib("VmRSS")?;
        let peak = agent.process.memory_kib("VmHWM")?;
        figure.add(Measure::within(&format!("{count} files known"), mib(held), mib((most * 1024.0) as u64)));
        figure.note(format!("with {count} files known, at most {} during the first look", mib(peak).text()));
        agent.end()?;
    }
    Ok(figure)
}
