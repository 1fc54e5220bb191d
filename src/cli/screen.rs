//! How files on their way are told, whichever way they go: bars on a terminal, a line a file elsewhere, a
//! document a line with `--json`.

use std::io::IsTerminal as _;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::terminal::{bytes, plain};
use super::{Context, Outcome};

/// Where it is told.
pub(super) struct Screen<'c> {
    context: &'c Context,
    /// Files are on their way; without, it is a dry run.
    moves: bool,
    /// On a terminal.
    pub(super) bars: Option<Bars>,
}

/// A bar for all files, below one for each that is on its way.
pub(super) struct Bars {
    all: MultiProgress,
    /// Bytes of all that is expected.
    pub(super) total: ProgressBar,
}

impl<'c> Screen<'c> {
    /// A screen; `moves` when there is something to see in bars, which is not so in a dry run.
    pub(super) fn new(context: &'c Context, moves: bool) -> Self {
        let bars = moves && !context.json() && !context.is_quiet() && std::io::stderr().is_terminal();
        Self { context, moves, bars: bars.then(Bars::new) }
    }

    /// More bytes are on their way.
    pub(super) fn expects(&self, size: u64) {
        if let Some(bars) = &self.bars {
            bars.total.inc_length(size);
        }
    }

    /// Tells how one file fared: `json` with `--json`, else its state, size, name and a reason.
    pub(super) fn fared(
        &self,
        json: &impl Serialize,
        (state, size): (&str, u64),
        name: &str,
        reason: Option<&str>,
    ) -> Outcome {
        if self.context.json() {
            return self.context.print_json(json);
        }
        let reason = reason.map_or(String::new(), |reason| format!("  ({})", plain(reason)));
        // In a person's words, and in columns.
        let words = state.replace('_', " ");
        let width = if self.moves { 8 } else { 11 };
        let text = format!("{words:<width$} {:>9}  {}{reason}", bytes(size), plain(name));
        match &self.bars {
            // A person who watches the bars only has to be told what went wrong.
            Some(bars) if matches!(state, "failed" | "skipped") => Ok(bars.all.println(text)?),
            Some(_) => Ok(()),
            None if self.context.is_quiet() && state != "failed" => Ok(()),
            None => self.context.print_text(&format!("{text}\n")),
        }
    }

    /// Has something printed that knows nothing of bars, above them.
    pub(super) fn above_bars<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.bars {
            Some(bars) => bars.all.suspend(print),
            None => print(),
        }
    }

    /// Says something, above the bars.
    pub(super) fn say(&self, words: &str) {
        match &self.bars {
            Some(bars) if !bars.total.is_finished() => drop(bars.all.println(plain(words))),
            Some(_) | None => self.context.say(&plain(words)),
        }
    }
}

impl Bars {
    fn new() -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let template =
            "[{bar:30}] {binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}, {eta} left";
        let total = all.add(ProgressBar::new(0).with_style(style(template)));
        Self { all, total }
    }

    /// A bar for a file that begins, `from` of its bytes there already.
    pub(super) fn file(&self, size: u64, from: u64) -> ProgressBar {
        let bar = ProgressBar::new(size).with_style(style("[{bar:20}] {percent:>3}%  {wide_msg}"));
        self.all.insert_before(&self.total, bar.with_position(from))
    }

    /// Takes a file's bar away.
    pub(super) fn away(&self, bar: &ProgressBar) {
        bar.finish_and_clear();
        self.all.remove(bar);
    }

    /// Less is to come than was expected: speed and time left are of the rest.
    pub(super) fn shorten(&self, by: u64) {
        self.total.set_length(self.total.length().unwrap_or(0).saturating_sub(by));
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("##-")
}
