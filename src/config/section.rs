//! One table of the file: settings are taken by name, and what nobody takes is a mistake.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::source::Mistakes;

/// Every setting there is, by its table.
pub(super) const KEYS: [(&str, &[&str]); 6] = [
    ("", &["device", "account", "folder", "upload", "agent"]),
    ("[device]", &["type", "name", "serial"]),
    (
        "[account.NAME]",
        &[
            "provider",
            "client_id",
            "client_secret",
            "client_secret_file",
            "app",
            "endpoint",
            "ca_file",
            "share_type",
            "share_secret",
            "share_secret_file",
        ],
    ),
    (
        "[[folder]]",
        &[
            "path",
            "account",
            "media",
            "label",
            "remote",
            "exclude",
            "default_excludes",
            "min_size",
            "max_size",
        ],
    ),
    ("[upload]", &["parallel", "rate", "yield", "hours", "on_conflict"]),
    ("[agent]", &["state_dir", "socket", "settle", "rescan", "check_bind", "log"]),
];

/// A table with the place it has in the file.
pub(super) struct Section<'t> {
    /// As in [`KEYS`].
    kind: &'static str,
    /// What stands before a setting's name in messages: `account.home`.
    name: String,
    /// Where it starts.
    pub(super) span: Range<usize>,
    table: &'t DeTable<'t>,
    mistakes: &'t Mistakes<'t>,
}

impl<'t> Section<'t> {
    /// A table of the given kind; unknown settings in it are noted at once.
    pub(super) fn new(
        kind: &'static str,
        name: impl Into<String>,
        span: Range<usize>,
        table: &'t DeTable<'t>,
        mistakes: &'t Mistakes<'t>,
    ) -> Self {
        let this = Self { kind, name: name.into(), span, table, mistakes };
        let known = keys(kind);
        for key in table.keys() {
            if !known.contains(&key.get_ref().as_ref()) {
                // Below a header that is not TOML, settings seem to belong to another table.
                mistakes.note_missing(key.span().start, this.unknown(key.get_ref(), known));
            }
        }
        this
    }

    fn unknown(&self, key: &str, known: &[&str]) -> String {
        let name = self.full(key);
        if let Some(near) = nearest(key, known) {
            return format!("{name} is not a setting; did you mean {near}?");
        }
        let elsewhere = KEYS.iter().find(|(_, keys)| keys.contains(&key));
        match elsewhere {
            Some((kind, _)) if !kind.is_empty() => {
                format!("{name} is not a setting here; write it below {kind}")
            }
            _ if self.kind.is_empty() => {
                format!(
                    "{name} is not a setting; there are [device], [account.NAME], [[folder]], [upload] and [agent]"
                )
            }
            _ => format!("{name} is not a setting; {} knows {}", self.kind, known.join(", ")),
        }
    }

    /// The full name of a setting: `account.home.app`.
    pub(super) fn full(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    /// Where the setting's value stands; the table itself when it is not there.
    pub(super) fn at(&self, key: &str) -> usize {
        self.table.get(key).map_or(self.span.start, |value| value.span().start)
    }

    /// Whether the setting is written down.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Notes what is wrong with a setting, and what to write.
    pub(super) fn note(&self, key: &str, message: impl AsRef<str>) {
        let name = self.full(key);
        self.mistakes.note(self.at(key), format!("{name}: {}", message.as_ref()));
    }

    /// Notes that a setting is missing.
    pub(super) fn note_missing(&self, key: &str, write: &str) {
        let name = self.full(key);
        self.mistakes.note_missing(self.span.start, format!("{name} is missing; write {write}"));
    }

    /// Notes the settings that have no meaning for such a provider.
    pub(super) fn refuse(&self, is_foreign: impl Fn(&str) -> bool, provider: &str) {
        for key in self.table.keys().map(|key| key.get_ref().as_ref()).filter(|key| is_foreign(key)) {
            self.note(key, format!("it has no meaning with provider = {provider:?}; leave it out"));
        }
    }

    /// A setting read by `read`, which says what is wrong; `example` is what to write behind `key = `.
    pub(super) fn get<T>(
        &self,
        key: &'static str,
        example: &str,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<T> {
        match read(self.table.get(key)?.get_ref()) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.note(key, format!("{wrong}; write {key} = {example}"));
                None
            }
        }
    }

    /// A text read by `read`.
    pub(super) fn text<T>(
        &self,
        key: &'static str,
        example: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.get(key, example, |value| read(text(value)?))
    }

    /// A list of texts, each read by `read`; what is wrong with one is noted where it stands.
    pub(super) fn list<T>(
        &self,
        key: &'static str,
        example: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let array = self.get(key, example, |value| {
            value.as_array().map(|_| ()).ok_or_else(|| format!("a list is needed, not {}", describe(value)))
        });
        array?;
        let items = self.table.get(key)?.get_ref().as_array()?;
        let mut all = Vec::with_capacity(items.len());
        for item in items.iter() {
            match text(item.get_ref()).and_then(&read) {
                Ok(value) => all.push(value),
                Err(wrong) => self
                    .mistakes
                    .note(item.span().start, format!("{}: {wrong}; write {key} = {example}", self.full(key))),
            }
        }
        Some(all)
    }
}

/// The settings of a kind of table.
fn keys(kind: &str) -> &'static [&'static str] {
    KEYS.iter().find(|(name, _)| *name == kind).map_or(&[], |(_, keys)| keys)
}

/// The value as a text that is not empty.
pub(super) fn text<'v>(value: &'v DeValue<'_>) -> Result<&'v str, String> {
    match value.as_str() {
        Some("") => Err("it is empty".to_owned()),
        Some(text) => Ok(text),
        None => Err(format!("a text in quotes is needed, not {}", describe(value))),
    }
}

/// The value as a whole number in a range.
pub(super) fn number(value: &DeValue<'_>, range: std::ops::RangeInclusive<u64>) -> Result<u64, String> {
    let integer =
        value.as_integer().ok_or_else(|| format!("a whole number is needed, not {}", describe(value)))?;
    u64::from_str_radix(integer.as_str(), integer.radix())
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| format!("{} is not between {} and {}", integer, range.start(), range.end()))
}

/// The value as true or false.
pub(super) fn flag(value: &DeValue<'_>) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("true or false is needed, not {}", describe(value)))
}

/// What a value is, in words.
pub(super) fn describe(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// The known word that was probably meant: at most a third of its letters differ.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|candidate| (distance(&word.to_lowercase(), candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many letters have to be added, dropped, changed or swapped with a neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let width = b.len() + 1;
    let mut cost = vec![0; (a.len() + 1) * width];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            cost[i * width + j] = if i == 0 || j == 0 {
                i + j
            } else {
                let changed = usize::from(a[i - 1] != b[j - 1]);
                let mut least = (cost[(i - 1) * width + j - 1] + changed)
                    .min(cost[(i - 1) * width + j] + 1)
                    .min(cost[i * width + j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    least = least.min(cost[(i - 2) * width + j - 2] + 1);
                }
                least
            };
        }
    }
    cost[a.len() * width + b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_finds_the_word_that_was_meant() {
        let known = keys("[agent]");
        assert_eq!(nearest("setle", known), Some("settle"));
        assert_eq!(nearest("sokcet", known), Some("socket"));
        assert_eq!(nearest("Log", known), Some("log"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("", known), None);
    }
}
