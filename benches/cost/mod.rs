//! The cost model of `docs/performance.md`: how time, memory, state and calls grow, and what a fleet of boxes asks
//! of the cloud. Measured at three sizes each, so that what is said of other sizes is seen to be true.

mod boxes;
mod fleet;
mod growth;
mod rate;

use std::fmt::Write as _;

use crate::yard::{Bench, Result, machine};

/// What can be asked for by name, and how it is found out.
type Part = (&'static str, fn(&Bench) -> Result<Vec<Table>>);
const PARTS: [Part; 4] = [
    ("files", |bench| Ok(vec![growth::files(bench)?])),
    ("bytes", |bench| Ok(vec![growth::one_file(bench)?])),
    ("rate", |bench| Ok(vec![rate::kept(bench)?])),
    ("fleet", fleet::tables),
];

/// The tables of these names, or all of them, as Markdown.
pub(crate) fn tables(bench: &Bench, names: &[String]) -> Result<String> {
    if let Some(strange) = names.iter().find(|name| PARTS.iter().all(|(part, _)| part != name)) {
        let known = PARTS.map(|(part, _)| part).join(", ");
        return Err(format!("{strange} is none of the costs: {known}").into());
    }
    let mut all = Vec::new();
    for (part, measure) in PARTS {
        if names.is_empty() || names.iter().any(|name| name == part) {
            bench.say(&format!("cost: {part}"));
            all.extend(measure(bench)?);
        }
    }
    let mut text = format!("{}\n", machine::name(bench.folder()));
    for Table { title, head, rows, notes } in all {
        let _ = write!(text, "\n{title}\n\n| {} |\n|{}\n", head.join(" | "), " --- |".repeat(head.len()));
        for row in rows {
            let _ = writeln!(text, "| {} |", row.join(" | "));
        }
        for note in notes {
            let _ = write!(text, "\n{note}\n");
        }
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
