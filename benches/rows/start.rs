//! From the start of the program to its first answer to `status`: after an end in order, and after a `kill -9`.
//!
//! The answer counts once it says how many files are backed up: the state is open then.

use std::time::Duration;

use crate::yard::figure::Amount;
use crate::yard::library::Library;
use crate::yard::{Bench, Figure, Measure, Result};

pub(crate) fn run(bench: &Bench) -> Result<Figure> {
    let count = bench.sized(1_000_000);
    let library = Library::known(bench, count)?;
    let mut figure = Figure::default();
    for what in ["after its end", "after a kill"] {
        let mut agent = library.home.start(bench)?;
        let took = agent.until(Duration::from_mins(1), |status| status.totals.counts.backed_up == count)?;
        figure.add(Measure::within(what, Amount::new(took.as_secs_f64(), "s"), Amount::new(0.5, "s")));
        // Killed as it is dropped.
    }
    Ok(figure)
}
