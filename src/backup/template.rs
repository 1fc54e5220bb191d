//! Where a folder's files go: `remote = "{device}/{label}/{path}"`, below `/apps/<app>`.
//!
//! `{path}` stands once, at the end, as a whole name: what comes before it is the same for every file of
//! a folder (but for the date), and the local path can be read back out of the remote one. Two folders of
//! one account must not have prefixes of which one can lie within the other ([`Template::may_meet`]).

use std::str::FromStr;

use super::names::{escape, escape_name, unescape};

/// Year, month and day as a camera wrote them. A month of 1 to 12, a day of 1 to 31.
pub type Date = (u16, u8, u8);

/// What stands for a date that is not known.
const NO_DATE: &str = "undated";

/// The setting `remote` of a folder, read and checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Text(String),
    Slash,
    Device,
    Label,
    Year,
    Month,
    Day,
}

/// Why a `remote` is none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotATemplate {
    /// `{word}` with an unknown word, or a brace that stands alone.
    #[error("{{{0}}} is not known: write {{device}}, {{label}}, {{year}}, {{month}}, {{day}} or {{path}}")]
    Unknown(String),
    /// `{path}` is missing, not at the end, or only a part of the last name.
    #[error("it must end with a whole name of {{path}}, as in \"{{device}}/{{label}}/{{path}}\"")]
    Path,
    /// `//`, a leading `/`, or a name of `.` or `..`.
    #[error("it must be names with one / between them")]
    Names,
}

impl FromStr for Template {
    type Err = NotATemplate;

    /// Reads the setting.
    fn from_str(text: &str) -> Result<Self, NotATemplate> {
        let before = text.strip_suffix("{path}").ok_or(NotATemplate::Path)?;
        if before.contains("{path}") || !(before.is_empty() || before.ends_with('/')) {
            return Err(NotATemplate::Path);
        }
        let names = before.strip_suffix('/');
        if names.is_some_and(|names| names.split('/').any(|name| matches!(name, "" | "." | ".."))) {
            return Err(NotATemplate::Names);
        }
        let mut parts = Vec::new();
        let mut rest = before;
        while let Some(at) = rest.find(['/', '{', '}']) {
            if at > 0 {
                parts.push(Part::Text(rest[..at].to_owned()));
            }
            rest = &rest[at..];
            if let Some(after) = rest.strip_prefix('/') {
                parts.push(Part::Slash);
                rest = after;
                continue;
            }
            let end = rest.find('}').filter(|&end| end > 0);
            let end = end.ok_or_else(|| NotATemplate::Unknown(rest.trim_matches(['{', '}']).to_owned()))?;
            parts.push(match &rest[1..end] {
                "device" => Part::Device,
                "label" => Part::Label,
                "year" => Part::Year,
                "month" => Part::Month,
                "day" => Part::Day,
                other => return Err(NotATemplate::Unknown(other.to_owned())),
            });
            rest = &rest[end + 1..];
        }
        Ok(Self { parts })
    }
}

impl Template {
    /// The absolute remote path of the file at `below`: `/apps/<app>/…`.
    ///
    /// `device` and `label` are the configured words, `below` the path below the folder. Without a `date`
    /// the date's words are `undated`.
    #[must_use]
    pub fn remote_path(
        &self,
        app: &str,
        device: &str,
        label: &str,
        below: &[u8],
        date: Option<Date>,
    ) -> String {
        format!("{}{}", self.prefix(app, device, label, date), escape(below))
    }

    /// What all files of the folder (with this date) have in front, `/` at the end.
    #[must_use]
    pub fn prefix(&self, app: &str, device: &str, label: &str, date: Option<Date>) -> String {
        let mut path = String::from("/apps/");
        escape_name(app.as_bytes(), &mut path);
        path.push('/');
        let mut name = String::new();
        for part in &self.parts {
            match part {
                Part::Slash => {
                    escape_name(name.as_bytes(), &mut path);
                    path.push('/');
                    name.clear();
                }
                Part::Text(text) => name.push_str(text),
                Part::Device => name.push_str(device),
                Part::Label => name.push_str(label),
                Part::Year => name.push_str(&date.map_or(NO_DATE.into(), |(year, ..)| format!("{year:04}"))),
                Part::Month => {
                    name.push_str(&date.map_or(NO_DATE.into(), |(_, month, _)| format!("{month:02}")))
                }
                Part::Day => name.push_str(&date.map_or(NO_DATE.into(), |(.., day)| format!("{day:02}"))),
            }
        }
        path
    }

    /// The path below the folder of the file whose remote path is `remote`; `None` when it is not one that
    /// [`Template::remote_path`] makes.
    #[must_use]
    pub fn below(&self, app: &str, device: &str, label: &str, remote: &str) -> Option<Vec<u8>> {
        let prefix = self.prefix(app, device, label, None);
        let mut rest = remote;
        for (number, wanted) in prefix.split_terminator('/').enumerate() {
            let (name, after) = rest.split_once('/')?;
            let dated = number >= 3 && wanted.contains(NO_DATE) && self.has_date();
            if name != wanted && !dated {
                return None;
            }
            rest = after;
        }
        unescape(rest).filter(|below| !below.is_empty())
    }

    /// Whether the date of a picture is wanted.
    #[must_use]
    pub fn has_date(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Year | Part::Month | Part::Day))
    }

    /// Whether a file of a folder with this template and `label` could get the remote name of a file of
    /// another folder (of the same account) with `other` and `other_label`.
    #[must_use]
    pub fn may_meet(&self, label: &str, other: &Self, other_label: &str, device: &str) -> bool {
        let (one, two) = (self.prefix("", device, label, None), other.prefix("", device, other_label, None));
        let same = |(one, two): (&str, &str)| one == two || one.contains(NO_DATE) || two.contains(NO_DATE);
        one.split_terminator('/').zip(two.split_terminator('/')).all(same)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn template(text: &str) -> Template {
        text.parse().unwrap()
    }

    #[test]
    fn the_words_are_filled_in_and_escaped() {
        let default = template("{device}/{label}/{path}");
        assert_eq!(
            default.remote_path("xpand", "Living room: NAS", "a/b", b"2024/\xff?.jpg", None),
            "/apps/xpand/Living room%3A NAS/a%2Fb/2024/%FF%3F.jpg"
        );
        let dated = template("Photos {year}/{year}-{month}/{path}");
        assert_eq!(
            dated.remote_path("x", "d", "l", b"p.jpg", Some((2018, 9, 6))),
            "/apps/x/Photos 2018/2018-09/p.jpg"
        );
        assert_eq!(
            dated.remote_path("x", "d", "l", b"p.jpg", None),
            "/apps/x/Photos undated/undated-undated/p.jpg"
        );
        assert!(dated.has_date() && !default.has_date());
        assert_eq!(template("{path}").remote_path("x", "d", "l", b"p.jpg", None), "/apps/x/p.jpg");
    }

    #[test]
    fn the_local_path_is_read_back() {
        let dated = template("{label}/{year}/{path}");
        for date in [None, Some((2018, 9, 6))] {
            let remote = dated.remote_path("x", "d", "l", b"a/b:\xff", date);
            assert_eq!(dated.below("x", "d", "l", &remote).as_deref(), Some(&b"a/b:\xff"[..]));
        }
        assert_eq!(dated.below("x", "d", "l", "/apps/x/other/2018/p.jpg"), None);
        assert_eq!(dated.below("x", "d", "l", "/apps/x/l/2018/a:b"), None);
        assert_eq!(dated.below("x", "d", "l", "/apps/x/l/2018"), None);
    }

    #[test]
    fn a_template_that_would_lose_files_is_refused_with_words() {
        assert_eq!("{device}/{label}".parse::<Template>(), Err(NotATemplate::Path));
        assert_eq!("{path}/x".parse::<Template>(), Err(NotATemplate::Path));
        assert_eq!("x-{path}".parse::<Template>(), Err(NotATemplate::Path));
        assert_eq!("{path}/{path}".parse::<Template>(), Err(NotATemplate::Path));
        assert_eq!("/x/{path}".parse::<Template>(), Err(NotATemplate::Names));
        assert_eq!("x//{path}".parse::<Template>(), Err(NotATemplate::Names));
        assert_eq!("../{path}".parse::<Template>(), Err(NotATemplate::Names));
        assert_eq!("{hour}/{path}".parse::<Template>(), Err(NotATemplate::Unknown("hour".into())));
        assert!(matches!("a}/{path}".parse::<Template>(), Err(NotATemplate::Unknown(_))));
        assert!(matches!("{a/{path}".parse::<Template>(), Err(NotATemplate::Unknown(_))));
        assert!(NotATemplate::Path.to_string().contains("{device}/{label}/{path}"));
    }

    #[test]
    fn folders_whose_files_could_meet_are_told() {
        let default = template("{device}/{label}/{path}");
        assert!(!default.may_meet("a", &default, "b", "nas"));
        assert!(template("{path}").may_meet("a", &default, "b", "nas"));
        assert!(template("x/{label}/{path}").may_meet("y", &template("{label}/{path}"), "x", "nas"));
        assert!(template("{year}/{path}").may_meet("y", &template("2024/{path}"), "x", "nas"));
        assert!(!template("{year}/{label}/{path}").may_meet(
            "y",
            &template("{year}/{label}/{path}"),
            "x",
            "nas"
        ));
    }
}
