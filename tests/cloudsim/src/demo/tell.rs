//! What the demo says: steps, commands, proofs, bars that move on a terminal, a table at the end.

use std::io::Write;
use std::time::{Duration, Instant};

/// Between two lines of progress where lines cannot be drawn again.
const CALM: Duration = Duration::from_secs(2);

/// Columns that a moving line may take: no terminal wraps these.
const COLUMNS: usize = 78;

/// The one writer of the demo. A reader that has gone away is no reason to stop.
pub(super) struct Tell {
    out: Box<dyn Write>,
    /// A terminal: colours, and lines that are drawn again.
    live: bool,
    colour: bool,
    drawn: usize,
    /// When a line of progress was last printed where it stays, and which.
    last: Option<(Instant, String)>,
    step: u32,
    pub(super) proved: u32,
    pub(super) failed: Vec<String>,
}

impl Tell {
    pub(super) fn new(out: Box<dyn Write>, live: bool) -> Tell {
        let colour = live && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Tell { out, live, colour, drawn: 0, last: None, step: 0, proved: 0, failed: Vec::new() }
    }

    pub(super) fn is_live(&self) -> bool {
        self.live
    }

    /// The first line of a part of the story.
    pub(super) fn step(&mut self, words: &str) {
        self.step += 1;
        let line = self.paint("1", &format!("{}. {words}", self.step));
        self.line("");
        self.line(&line);
    }

    pub(super) fn say(&mut self, words: &str) {
        self.line(&format!("   {words}"));
    }

    /// A command as a person would type it.
    pub(super) fn command(&mut self, words: &str) {
        let line = self.paint("36", &format!("$ {words}"));
        self.line(&format!("   {line}"));
    }

    /// What a command or a file says.
    pub(super) fn shown(&mut self, text: &str) {
        for line in text.lines() {
            let line = self.paint("2", line);
            self.line(format!("     {line}").trim_end());
        }
    }

    /// Something that was to be shown, and whether it holds; `otherwise` says what was found instead.
    pub(super) fn prove(&mut self, holds: bool, what: &str, otherwise: impl FnOnce() -> String) {
        if holds {
            self.proved += 1;
            let mark = self.paint("32", "✓");
            return self.line(&format!("   {mark} {what}"));
        }
        let found = format!("expected: {what}; found: {}", otherwise());
        let line = self.paint("31", &format!("✗ {found}"));
        self.line(&format!("   {line}"));
        self.failed.push(found);
    }

    /// Progress: all lines drawn again on a terminal; elsewhere the first one, now and then.
    pub(super) fn progress(&mut self, lines: &[String]) {
        if !self.live {
            let first = lines.first().cloned().unwrap_or_default();
            if self.last.as_ref().is_none_or(|(time, line)| time.elapsed() >= CALM && *line != first) {
                self.line(&format!("   {first}"));
                self.last = Some((Instant::now(), first));
            }
            return;
        }
        self.wipe();
        for line in lines {
            let _ = writeln!(self.out, "   {}", clip(line, COLUMNS));
        }
        self.drawn = lines.len();
        let _ = self.out.flush();
    }

    /// The last line of progress stays.
    pub(super) fn progress_ended(&mut self, last: &str) {
        self.wipe();
        if self.last.take().is_none_or(|(_, line)| line != last) {
            self.say(last);
        }
    }

    /// Rows of name and value.
    pub(super) fn table(&mut self, rows: &[(&str, String)]) {
        let widest = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, value) in rows {
            self.line(&format!("   {name:<widest$}  {value}"));
        }
    }

    /// The last words.
    pub(super) fn verdict(&mut self, good: bool, words: &str) {
        let words = self.paint(if good { "1;32" } else { "1;31" }, words);
        self.line("");
        self.line(&words);
    }

    pub(super) fn line(&mut self, line: &str) {
        self.wipe();
        let _ = writeln!(self.out, "{line}");
        let _ = self.out.flush();
    }

    fn wipe(&mut self) {
        if self.drawn > 0 {
            let _ = write!(self.out, "\x1b[{}A\x1b[J", self.drawn);
            self.drawn = 0;
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A name from the disk, safe for a terminal.
pub(super) fn plain(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    text.chars().map(|char| if char.is_control() { '?' } else { char }).collect()
}

/// The beginning of a text; whatever is not ASCII may be two columns wide.
pub(super) fn clip(text: &str, columns: usize) -> String {
    let mut width = 0;
    let width_of =
        |char: char| if char.is_ascii() || matches!(char, '█' | '░' | '■' | '□') { 1 } else { 2 };
    let fits = |char: &char| {
        width += width_of(*char);
        width <= columns
    };
    let mut clipped: String = text.chars().take_while(fits).collect();
    if clipped.len() < text.len() {
        clipped.pop();
        clipped.push('…');
    }
    clipped
}

/// `[████░░░░]`
pub(super) fn bar(done: u64, all: u64, cells: u64) -> String {
    let full = (done.min(all) * cells).checked_div(all).unwrap_or(0);
    (0..cells).map(|cell| if cell < full { '█' } else { '░' }).collect()
}

/// `52.4 MiB`
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
        _ => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}

/// `1 file`, `3 files`
pub(super) fn number(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}
