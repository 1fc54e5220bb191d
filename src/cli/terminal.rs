//! What text looks like to a person: escaped names, sizes, times, colours, columns.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use jiff::Timestamp;

/// How text may look where it goes.
#[derive(Clone, Debug)]
pub struct Look {
    /// ANSI colours are welcome.
    pub colour: bool,
    /// Seconds since 1970, for relative times.
    pub now_secs: i64,
}

/// A colour, or rather what it stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tone {
    /// Green.
    Good,
    /// Yellow.
    Busy,
    /// Red.
    Bad,
    /// Bold.
    Head,
}

impl Look {
    /// For stdout as it is: colours only on a terminal, and `NO_COLOR` is honoured.
    #[must_use]
    pub fn of_stdout(now_secs: i64) -> Self {
        let unset = |name: &str| std::env::var_os(name).is_none_or(|value| value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { colour: std::io::stdout().is_terminal() && unset("NO_COLOR") && !dumb, now_secs }
    }

    /// For tests and files.
    #[must_use]
    pub fn without_colour(now_secs: i64) -> Self {
        Self { colour: false, now_secs }
    }

    /// `text` in its colour.
    #[must_use]
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => 32,
            Tone::Busy => 33,
            Tone::Bad => 31,
            Tone::Head => 1,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// `2 min ago`, `in 3 h`, of an RFC 3339 time; what cannot be read is shown as it is.
    #[must_use]
    pub fn when(&self, rfc3339: &str) -> String {
        let Ok(time) = rfc3339.parse::<Timestamp>() else {
            return plain(rfc3339);
        };
        let away = self.now_secs.saturating_sub(time.as_second());
        match away {
            -4..=4 => "now".to_owned(),
            5.. => format!("{} ago", span(away.unsigned_abs())),
            _ => format!("in {}", span(away.unsigned_abs())),
        }
    }
}

/// A name from the cloud or the disk, safe for a terminal: control characters, escape sequences and
/// characters that turn the direction of text are shown as `\u{…}`.
#[must_use]
pub fn plain(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => safe.push_str("\\n"),
            '\t' => safe.push_str("\\t"),
            '\r' => safe.push_str("\\r"),
            c if is_unsafe(c) => {
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(c));
            }
            c => safe.push(c),
        }
    }
    safe
}

/// Whether a character moves the cursor, turns the direction of text, or shows nothing at all.
fn is_unsafe(c: char) -> bool {
    match c {
        // Joins the parts of many an emoji and of Indic and Persian words.
        '\u{200c}' | '\u{200d}' => false,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' => true,
        '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => true,
        c => c.is_control(),
    }
}

/// JSON that may come to a terminal: what is not an escape in it yet and would do harm there becomes one.
/// It is the same document.
#[must_use]
pub(super) fn plain_json(document: &str) -> String {
    let mut safe = String::with_capacity(document.len());
    for c in document.chars() {
        if is_unsafe(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

/// `1.2 GiB`, `512 B`.
#[must_use]
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    // Tenths of the unit, rounded.
    let mut tenths = u128::from(count) * 10;
    let mut unit = "B";
    for next in UNITS {
        if tenths < 10_235 {
            break;
        }
        tenths = (tenths + 512) / 1024;
        unit = next;
    }
    if tenths < 1000 {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    } else {
        format!("{} {unit}", (tenths + 5) / 10)
    }
}

/// `1,234,567`.
#[must_use]
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1,234 files`, `1 file`.
#[must_use]
pub(super) fn files(number: u64) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} file{plural}", count(number))
}

/// A length of time in its largest unit: `40 s`, `5 min`, `3 h`, `2 days`.
#[must_use]
pub(super) fn span(secs: u64) -> String {
    match secs {
        0..=99 => format!("{secs} s"),
        100..=5399 => format!("{} min", (secs + 30) / 60),
        5400..=172_799 => format!("{} h", (secs + 1800) / 3600),
        _ => format!("{} days", (secs + 43_200) / 86_400),
    }
}

/// The columns a text takes on a terminal; wide East Asian characters take two.
#[must_use]
pub(super) fn width(text: &str) -> usize {
    text.chars()
        .map(|c| match u32::from(c) {
            0x300..=0x36f | 0x200c..=0x200d | 0xfe00..=0xfe0f => 0,
            0x1100..=0x115f
            | 0x2e80..=0xa4cf
            | 0xac00..=0xd7a3
            | 0xf900..=0xfaff
            | 0xfe30..=0xfe6f
            | 0xff00..=0xff60
            | 0xffe0..=0xffe6
            | 0x1f300..=0x1faff
            | 0x20000..=0x3fffd => 2,
            _ => 1,
        })
        .sum()
}

/// Rows of cells, each column as wide as its widest cell, two spaces between, indented by two.
#[must_use]
pub(super) fn columns(rows: &[Vec<String>]) -> String {
    let number = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widest: Vec<usize> = (0..number)
        .map(|at| {
            let cells = rows.iter().filter_map(|row| row.get(at));
            cells.map(|cell| width(cell)).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::from("  ");
        for (cell, widest) in row.iter().zip(&widest) {
            line += cell;
            line += &" ".repeat(widest - width(cell) + 2);
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// `[######------]`, `width` cells long.
#[must_use]
pub(super) fn bar(done: u64, total: u64, width: u32) -> String {
    let full = match total {
        0 => 0,
        total => u128::from(done.min(total)) * u128::from(width) / u128::from(total),
    };
    let full = usize::try_from(full).unwrap_or(0);
    let rest = usize::try_from(width).unwrap_or(0).saturating_sub(full);
    format!("[{}{}]", "#".repeat(full), "-".repeat(rest))
}

/// `45%`, never 100% before all is done.
#[must_use]
pub(super) fn percent(done: u64, total: u64) -> String {
    match total {
        0 => "0%".to_owned(),
        total => format!("{}%", u128::from(done.min(total)) * 100 / u128::from(total)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_can_move_the_cursor_or_turn_the_text() {
        assert_eq!(plain("照片 IMG_1.JPG 👨‍👩‍👧"), "照片 IMG_1.JPG 👨‍👩‍👧");
        assert_eq!(
            plain("a\u{1b}[2Jb\n\u{9b}31m\u{202e}gpj.exe\u{7f}"),
            "a\\u{1b}[2Jb\\n\\u{9b}31m\\u{202e}gpj.exe\\u{7f}"
        );
    }

    #[test]
    fn json_is_the_same_document_and_moves_no_cursor_either() {
        let name = "照片 a\u{1b}[2J\u{9b}31m\u{7f}\u{202e}gpj.exe\u{e0041}👨\u{200d}👩\n\"\\";
        let document = serde_json::to_string(name).unwrap_or_default();
        let safe = plain_json(&document);
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap_or_default(), name);
        assert!(!safe.chars().any(is_unsafe) && safe.contains("\\u009b") && safe.contains("照片"), "{safe}");
    }

    #[test]
    fn sizes_are_short() {
        for (number, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_258_291, "1.2 MiB"),
            (1 << 30, "1.0 GiB"),
            ((1 << 30) - 1, "1.0 GiB"),
            (200 << 30, "200 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(number), text);
        }
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(12), "12");
    }

    #[test]
    fn times_are_told_from_now() {
        let look = Look::without_colour(1_000_000_000);
        assert_eq!(look.when("2001-09-09T01:46:40Z"), "now");
        assert_eq!(look.when("2001-09-09T01:44:40Z"), "2 min ago");
        assert_eq!(look.when("2001-09-09T04:46:40Z"), "in 3 h");
        assert_eq!(look.when("soon\u{7}"), "soon\\u{7}");
    }

    #[test]
    fn columns_line_up_under_wide_characters() {
        let rows = [vec!["照片".into(), "a".into()], vec!["x".into(), "b".into()]];
        assert_eq!(columns(&rows), "  照片  a\n  x     b\n");
    }

    #[test]
    fn a_bar_is_full_only_at_the_end() {
        assert_eq!(bar(5, 10, 4), "[##--]");
        assert_eq!(bar(0, 0, 4), "[----]");
        assert_eq!(percent(999, 1000), "99%");
        assert_eq!(percent(1000, 1000), "100%");
    }
}
