//! Where in the file a mistake is, and all mistakes together.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One mistake: where it is, what is wrong, and what to write instead.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Mistake {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// One sentence.
    pub message: String,
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum ConfigError {
    /// The file cannot be read at all.
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file can be read, but not meant so.
    Mistakes {
        /// The file.
        file: PathBuf,
        /// All of them, in the order of the file; at least one.
        mistakes: Vec<Mistake>,
    },
}

impl fmt::Display for ConfigError {
    /// One line for each mistake, `file:line:column: what is wrong; what to write`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { file, source } if source.kind() == io::ErrorKind::NotFound => {
                write!(
                    f,
                    "{} does not exist; write it, or name another one with --config PATH",
                    file.display()
                )
            }
            Self::Unreadable { file, .. } => write!(f, "{} cannot be read", file.display()),
            Self::Mistakes { file, mistakes } => {
                for (number, mistake) in mistakes.iter().enumerate() {
                    if number > 0 {
                        f.write_str("\n")?;
                    }
                    let Mistake { line, column, message } = mistake;
                    write!(f, "{}:{line}:{column}: {message}", file.display())?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } if source.kind() != io::ErrorKind::NotFound => Some(source),
            _ => None,
        }
    }
}

/// Line and column of a byte offset, both from 1, the column in characters.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    let column = before.get(line_start..).unwrap_or("").chars().count() + 1;
    (line, column)
}

/// What the parser says; the commonest slip, a text without quotes, with the line as it should be.
fn syntax_words(text: &str, line: usize, message: &str) -> String {
    let written = text.lines().nth(line.saturating_sub(1)).unwrap_or("");
    let without_comment = written.split(" #").next().unwrap_or(written);
    match without_comment.split_once('=') {
        Some((key, value)) if message.starts_with("string values must be quoted") => {
            let (key, value) = (key.trim(), value.trim().trim_matches('"'));
            format!("a text has to stand in quotes; write {key} = {value:?}")
        }
        _ => format!("this is not TOML: {message}"),
    }
}

/// A mistake right behind `text`.
pub(super) fn at_end_of(text: &str, message: &str) -> Mistake {
    let (line, column) = position(text, text.len());
    Mistake { line, column, message: message.to_owned() }
}

/// Collects mistakes while a text is read.
pub(super) struct Mistakes<'t> {
    text: &'t str,
    found: RefCell<Vec<Mistake>>,
    /// Lines that are not even TOML: what they lack is not told a second time.
    broken: Vec<usize>,
}

impl<'t> Mistakes<'t> {
    /// None yet but those of the syntax, one a line.
    pub(super) fn new(text: &'t str, syntax: &[toml::de::Error]) -> Self {
        let mut this = Self { text, found: RefCell::default(), broken: Vec::new() };
        for error in syntax {
            let offset = error.span().unwrap_or(0..0).start;
            let (line, _) = position(text, offset);
            if !this.broken.contains(&line) {
                this.note(offset, syntax_words(text, line, error.message()));
                this.broken.push(line);
            }
        }
        this
    }

    /// Notes a mistake at a byte offset.
    pub(super) fn note(&self, offset: usize, message: impl Into<String>) {
        let (line, column) = position(self.text, offset);
        if !self.broken.contains(&line) {
            self.found.borrow_mut().push(Mistake { line, column, message: message.into() });
        }
    }

    /// Notes that something is not there; not when broken lines may hold it.
    pub(super) fn note_missing(&self, offset: usize, message: impl Into<String>) {
        if self.broken.is_empty() {
            self.note(offset, message);
        }
    }

    /// Whether something may be written in a line that is not TOML.
    pub(super) fn has_broken_lines(&self) -> bool {
        !self.broken.is_empty()
    }

    /// The line of a byte offset, from 1.
    pub(super) fn line(&self, span: &Range<usize>) -> usize {
        position(self.text, span.start).0
    }

    /// An error when there were any, in the order of the file.
    pub(super) fn into_result(self, file: &Path) -> Result<(), ConfigError> {
        let mut mistakes = self.found.into_inner();
        mistakes.sort();
        mistakes.dedup();
        if mistakes.is_empty() {
            return Ok(());
        }
        Err(ConfigError::Mistakes { file: file.to_owned(), mistakes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_both_start_at_one() {
        let text = "a = 1\n名字 = \"x\" #\n";
        assert_eq!(position(text, 0), (1, 1));
        assert_eq!(position(text, 4), (1, 5));
        assert_eq!(position(text, 6), (2, 1));
        assert_eq!(position(text, 6 + 6 + 1), (2, 4));
        assert_eq!(position(text, 999), (3, 1));
    }
}
