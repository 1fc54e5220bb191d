//! What a row found out, and how it is written down.

use std::fmt::Write as _;

use crate::rows::Row;

/// What a row found out.
#[derive(Default)]
pub(crate) struct Figure {
    /// Each is a line of the table.
    pub(crate) measures: Vec<Measure>,
    /// What a reader should know besides, each a sentence.
    pub(crate) notes: Vec<String>,
}

/// One thing measured.
pub(crate) struct Measure {
    /// What: `rate`, `processor time`.
    pub(crate) what: String,
    /// How much, with its unit.
    pub(crate) figure: String,
    /// What it is compared with, and how much that was in the same run; empty when with nothing.
    pub(crate) yardstick: String,
    /// What it has to be.
    pub(crate) floor: String,
    /// Whether it is.
    pub(crate) outcome: Outcome,
}

/// Whether a measure is what it has to be.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is.
    Holds,
    /// It is not.
    Falls,
    /// Not known, and why: the yardstick cannot be had, or the row failed.
    Unknown(String),
}

impl Figure {
    /// Nothing was found out.
    pub(crate) fn failed(why: &str) -> Self {
        let mut figure = Self::default();
        figure.measures.push(Measure::unknown("", "", why));
        figure
    }

    /// Adds a line.
    pub(crate) fn add(&mut self, measure: Measure) {
        self.measures.push(measure);
    }

    /// Adds a sentence.
    pub(crate) fn note(&mut self, words: impl Into<String>) {
        self.notes.push(words.into());
    }

    /// For a terminal.
    pub(crate) fn text(&self, name: &str) -> String {
        let mut text = format!("{name}\n");
        for Measure { what, figure, yardstick, floor, outcome } in &self.measures {
            let beside = if yardstick.is_empty() { String::new() } else { format!("; {yardstick}") };
            let floor = if floor.is_empty() { String::new() } else { format!("; to be {floor}") };
            let _ = writeln!(text, "  {what}: {figure}{beside}{floor}: {}", outcome.words());
        }
        for note in &self.notes {
            let _ = writeln!(text, "  {note}");
        }
        text
    }
}

impl Measure {
    /// `value` has to be at least `factor` times what the yardstick `name` had.
    pub(crate) fn at_least(what: &str, value: Amount, name: &str, yardstick: Amount, factor: f64) -> Self {
        let ratio = value.number / yardstick.number;
        Self {
            what: what.into(),
            figure: value.text(),
            yardstick: format!("{ratio:.2} of {name}: {}", yardstick.text()),
            floor: format!("at least {factor} of it"),
            outcome: Outcome::of(ratio >= factor),
        }
    }

    /// `value` may be at most `factor` times what the yardstick `name` had.
    pub(crate) fn at_most(what: &str, value: Amount, name: &str, yardstick: Amount, factor: f64) -> Self {
        let ratio = value.number / yardstick.number;
        Self {
            what: what.into(),
            figure: value.text(),
            yardstick: format!("{ratio:.2} of {name}: {}", yardstick.text()),
            floor: format!("at most {factor} of it"),
            outcome: Outcome::of(ratio <= factor),
        }
    }

    /// `value` may be at most `most`, whatever others do.
    pub(crate) fn within(what: &str, value: Amount, most: Amount) -> Self {
        Self {
            what: what.into(),
            figure: value.text(),
            yardstick: String::new(),
            floor: format!("at most {}", most.text()),
            outcome: Outcome::of(value.number <= most.number),
        }
    }

    /// Not measured, or not to be judged.
    pub(crate) fn unknown(what: &str, floor: &str, why: &str) -> Self {
        let (what, floor) = (what.into(), floor.into());
        let outcome = Outcome::Unknown(why.into());
        Self { what, figure: "-".into(), yardstick: String::new(), floor, outcome }
    }
}

impl Outcome {
    /// As a condition says.
    pub(crate) fn of(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Falls }
    }

    fn words(&self) -> String {
        match self {
            Self::Holds => "holds".into(),
            Self::Falls => "DOES NOT HOLD".into(),
            Self::Unknown(why) => format!("NOT KNOWN: {why}"),
        }
    }
}

/// A number with its unit.
#[derive(Clone, Copy)]
pub(crate) struct Amount {
    /// How many.
    pub(crate) number: f64,
    /// Of what: `MiB/s`, `s`, `MiB`; empty for a bare number.
    pub(crate) unit: &'static str,
}

impl Amount {
    /// So many of those.
    pub(crate) fn new(number: f64, unit: &'static str) -> Self {
        Self { number, unit }
    }

    /// Three digits that mean something.
    pub(crate) fn text(self) -> String {
        let Self { number, unit } = self;
        let digits = match number.abs() {
            large if large >= 100.0 => 0,
            middle if middle >= 10.0 => 1,
            0.0 => 0,
            small if small >= 0.1 => 2,
            _ => 4,
        };
        format!("{number:.digits$} {unit}").trim_end().to_owned()
    }
}

/// The whole table.
pub(crate) fn markdown(rows: &[(&Row, Figure)], machine: &str, small: bool) -> String {
    let mut text = format!("{machine}\n\n");
    if small {
        text.push_str("Every row at a tenth of its size: to try it out, not to judge by.\n\n");
    }
    text.push_str("| row | workload | what | figure | beside | must be | holds |\n");
    text.push_str("| --- | --- | --- | --- | --- | --- | --- |\n");
    for (row, figure) in rows {
        let (mut name, mut workload) = (row.name, row.workload);
        for Measure { what, figure, yardstick, floor, outcome } in &figure.measures {
            let words = outcome.words();
            let cells = [name, workload, what, figure, yardstick, floor, &words];
            let cells = cells.map(|cell| cell.replace('|', "\\|").replace('\n', " "));
            let _ = writeln!(text, "| {} |", cells.join(" | "));
            (name, workload) = ("", "");
        }
    }
    for (row, figure) in rows {
        for note in &figure.notes {
            let _ = write!(text, "\n- {}: {note}", row.name);
        }
    }
    text
}
