//! Files as lines on stdout: names, or with `-l` size, time and name, in columns of a fixed width, because
//! they are printed before the next page is known.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::pages::name;
use crate::cli::terminal::{bytes, plain};
use crate::cli::{Context, Outcome};
use crate::cloud::files::Item;

/// Digits of the largest file the cloud takes, and then some.
const SIZE: usize = 12;
/// `1023.9 GiB`.
const HUMAN: usize = 9;
/// `2024-05-01 12:00`.
const TIME: usize = 16;

/// How much a line says.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(in crate::cli) struct Columns {
    /// Size, time and name of each
    #[arg(short, long)]
    long: bool,
    /// With -l, sizes as people say them: 1.2 GiB
    #[arg(short = 'h', long)]
    human: bool,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

/// What stands for a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::cli) enum Shown {
    /// Its name: all of them lie in one folder.
    Name,
    /// Its path, to be copied into the next command.
    Path,
}

/// Prints files, a page at a time.
pub(in crate::cli) struct Lines<'c> {
    context: &'c Context,
    columns: Columns,
    /// A slash behind folders: for people, not for pipes.
    slashes: bool,
    /// Addresses of small pictures under each: some lists have them always.
    thumbs: bool,
    zone: TimeZone,
}

impl<'c> Lines<'c> {
    pub(in crate::cli) fn new(context: &'c Context, columns: Columns) -> Self {
        let slashes = std::io::stdout().is_terminal();
        Self { context, columns, slashes, thumbs: false, zone: TimeZone::system() }
    }

    /// With the addresses of small pictures, if they are wanted.
    pub(in crate::cli) fn thumbs(self, wanted: bool) -> Self {
        Self { thumbs: wanted, ..self }
    }

    /// Prints one page.
    pub(in crate::cli) fn print(&self, items: &[Item], shown: Shown) -> Outcome {
        let mut text = String::new();
        for item in items {
            if self.context.json() {
                text += &self.context.json_line(item)?;
            } else {
                self.line(&mut text, item, shown);
            }
        }
        if text.is_empty() { Ok(()) } else { self.context.print_text(&text) }
    }

    /// A headline, where several folders are shown.
    pub(in crate::cli) fn headline(&self, path: &str, first: bool) -> Outcome {
        if self.context.json() {
            return Ok(());
        }
        let gap = if first { "" } else { "\n" };
        self.context.print_text(&format!("{gap}{}:\n", plain(path)))
    }

    fn line(&self, text: &mut String, item: &Item, shown: Shown) {
        if self.columns.long {
            let size = match (item.isdir, self.columns.human) {
                (true, _) => "-".to_owned(),
                (false, true) => bytes(item.size),
                (false, false) => item.size.to_string(),
            };
            let wide = if self.columns.human { HUMAN } else { SIZE };
            let time = time(&self.zone, item.local_mtime.or(item.server_mtime));
            let _ = write!(text, "{size:>wide$}  {time:<TIME$}  ");
        }
        *text += &plain(match shown {
            Shown::Name => name(item),
            Shown::Path => &item.path,
        });
        if item.isdir && self.slashes {
            text.push('/');
        }
        text.push('\n');
        for (name, address) in item.thumbs.iter().filter(|_| self.thumbs) {
            let _ = writeln!(text, "    {}  {}", plain(name), plain(address));
        }
    }
}

/// A time of the cloud, in the time of this place.
pub(in crate::cli) fn time(zone: &TimeZone, seconds: Option<i64>) -> String {
    let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(String::new, |time| time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(long: bool, human: bool, item: &Item, shown: Shown) -> String {
        let context = Context::for_tests();
        let columns = Columns { long, human, help: None };
        let lines = Lines { context: &context, columns, slashes: true, thumbs: false, zone: TimeZone::UTC };
        let mut text = String::new();
        lines.line(&mut text, item, shown);
        text
    }

    #[test]
    fn a_line_says_what_was_asked_for_and_lines_up_with_the_next_page() {
        let file = Item {
            path: "/a/b\u{1b}[2J.jpg".to_owned(),
            server_filename: "b\u{1b}[2J.jpg".to_owned(),
            size: 1_258_291,
            local_mtime: Some(1_700_000_000),
            ..Item::default()
        };
        assert_eq!(line(false, false, &file, Shown::Name), "b\\u{1b}[2J.jpg\n");
        assert_eq!(line(false, false, &file, Shown::Path), "/a/b\\u{1b}[2J.jpg\n");
        let long = line(true, false, &file, Shown::Name);
        assert_eq!(long, "     1258291  2023-11-14 22:13  b\\u{1b}[2J.jpg\n");
        let human = line(true, true, &file, Shown::Name);
        assert_eq!(human, "  1.2 MiB  2023-11-14 22:13  b\\u{1b}[2J.jpg\n");
        let folder = Item { path: "/a/c".to_owned(), isdir: true, ..Item::default() };
        assert_eq!(line(true, false, &folder, Shown::Name), "           -                    c/\n");
    }
}
