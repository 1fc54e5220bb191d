//! The cost model of `docs/performance.md`: how time, memory, state and calls grow, and what a fleet of boxes asks
//! of the cloud. Measured at three sizes each, so that what is said of other sizes is seen to be true.

mod boxes;
mod fleet;
mod growth;
mod rate;

use std::fmt::Write as _;

use crate::yard::{Bench, Result, machine};

/// All tables, as Markdown.
pub(crate) fn tables(bench: &Bench) -> Result<String> {
    let mut all = vec![growth::files(bench)?, growth::one_file(bench)?, rate::kept(bench)?];
    all.extend(fleet::tables(bench)?);
    let mut text = format!("{}\n", machine::name(bench.folder()));
    for Table { title, head, rows, notes } in all {
        let _ = write!(text, "\n{title}\n\n| {} |\n|{}\n", head.join(" | "), " --- |".repeat(head.len()));
        rows.iter().for_each(|row| drop(writeln!(text, "| {} |", row.join(" | "))));
        notes.iter().for_each(|note| drop(write!(text, "\n{note}\n")));
    }
    Ok(text)
}

/// One of them.
struct Table {
    title: &'static str,
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    notes: Vec<String>,
}

/// 1234567 as people read it.
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
