//! Where a folder's files go: `remote = "{device}/{label}/{path}"`, below the account's own folder.
//!
//! `{path}` stands once, at the end, as a whole name: what comes before it is the same for every file of
//! a folder (but for the date), and the local path can be read back out of the remote one. Two folders of
//! one account must not have prefixes of which one can lie within the other ([`Template::may_meet`]).

use std::str::FromStr;

use super::Home;
use super::names::decode;

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

/// Why a `remote` is none, in words.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotATemplate(String);

/// What may stand in a template.
const PLACEHOLDERS: [&str; 6] = ["device", "label", "path", "year", "month", "day"];

/// The default of the setting.
pub const DEFAULT: &str = "{device}/{label}/{path}";

/// Checks a template.
fn check(template: &str) -> Result<(), String> {
    let mut rest = template;
    let mut paths = 0;
    while let Some(brace) = rest.find(['{', '}']) {
        let tail = rest.get(brace..).unwrap_or("");
        let Some((name, after)) = tail.strip_prefix('{').and_then(|inside| inside.split_once('}')) else {
            return Err("a { or } has no partner".to_owned());
        };
        if !PLACEHOLDERS.contains(&name) {
            return Err(format!(
                "{{{name}}} is not known; there are {{device}} {{label}} {{path}} {{year}} {{month}} {{day}}"
            ));
        }
        paths += usize::from(name == "path");
        rest = after;
    }
    if paths != 1 {
        return Err("{path} has to be there exactly once".to_owned());
    }
    let Some(above) = template.strip_suffix("{path}") else {
        return Err("{path} has to come last".to_owned());
    };
    if !above.is_empty() && !above.ends_with('/') {
        return Err("{path} has to be a part of its own, with / before it".to_owned());
    }
    for part in above.strip_suffix('/').unwrap_or(above).split('/') {
        if part.is_empty() && !above.is_empty() {
            return Err("it has an empty part (a / too many)".to_owned());
        }
        if part == "." || part == ".." {
            return Err(format!("a part cannot be {part}"));
        }
        if part.chars().any(char::is_control) {
            return Err("it has a control character".to_owned());
        }
    }
    Ok(())
}

impl FromStr for Template {
    type Err = NotATemplate;

    /// Reads the setting.
    fn from_str(text: &str) -> Result<Self, NotATemplate> {
        check(text).map_err(NotATemplate)?;
        let before = text.strip_suffix("{path}").unwrap_or(text);
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
            let Some(end) = rest.find('}').filter(|&end| end > 0) else { break };
            parts.push(match &rest[1..end] {
                "device" => Part::Device,
                "label" => Part::Label,
                "year" => Part::Year,
                "month" => Part::Month,
                "day" => Part::Day,
                other => return Err(NotATemplate(format!("{{{other}}} is not known"))),
            });
            rest = &rest[end + 1..];
        }
        Ok(Self { parts })
    }
}

impl Template {
    /// The absolute remote path of the file at `below`, in the account's own folder.
    ///
    /// `device` and `label` are the configured words, `below` the path below the folder. Without a `date`
    /// the date's words are `undated`.
    #[must_use]
    pub fn remote_path(
        &self,
        home: &Home,
        device: &str,
        label: &str,
        below: &[u8],
        date: Option<Date>,
    ) -> String {
        format!("{}{}", self.prefix(home, device, label, date), home.names.escape(below))
    }

    /// What all files of the folder (with this date) have in front, `/` at the end.
    #[must_use]
    pub fn prefix(&self, home: &Home, device: &str, label: &str, date: Option<Date>) -> String {
        let mut path = format!("{}/", home.path);
        let mut name = String::new();
        for part in &self.parts {
            match part {
                Part::Slash => {
                    home.names.escape_name(name.as_bytes(), &mut path);
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

    /// The remote folder that all files of the folder lie in, whatever their date: no `/` at the end, so that
    /// the drive itself is empty.
    #[must_use]
    pub fn top(&self, home: &Home, device: &str, label: &str) -> String {
        let is_dated = |part: &Part| matches!(part, Part::Year | Part::Month | Part::Day);
        let dated = self.parts.iter().position(is_dated).unwrap_or(self.parts.len());
        let slash = self.parts[..dated].iter().rposition(|part| *part == Part::Slash);
        let fixed = Self { parts: self.parts[..slash.map_or(0, |at| at + 1)].to_vec() };
        let mut path = fixed.prefix(home, device, label, None);
        path.pop();
        path
    }

    /// The path below the folder of the file whose remote path is `remote`; `None` when it is not one that
    /// [`Template::remote_path`] makes.
    #[must_use]
    pub fn below(&self, home: &Home, device: &str, label: &str, remote: &str) -> Option<Vec<u8>> {
        let undated = self.prefix(home, device, label, None);
        let rest = match remote.strip_prefix(&undated) {
            Some(rest) => rest,
            // Where a name was too long its pieces differ by date: what was made with this one decides.
            None => {
                let date = self.date_in(home, device, label, remote)?;
                remote.strip_prefix(&self.prefix(home, device, label, Some(date)))?
            }
        };
        home.names.unescape(rest).filter(|below| !below.is_empty())
    }

    /// The date that stands in `remote` where the template has it.
    fn date_in(&self, home: &Home, device: &str, label: &str, remote: &str) -> Option<Date> {
        let plain = decode(remote.strip_prefix(&home.path)?)?;
        let mut rest = plain.strip_prefix(b"/")?;
        let (mut year, mut month, mut day) = (1, 1, 1);
        for part in &self.parts {
            let mut number = |digits: usize| {
                let (number, after) = rest.split_at_checked(digits)?;
                rest = after;
                std::str::from_utf8(number).ok()?.parse().ok()
            };
            match part {
                Part::Text(text) => rest = rest.strip_prefix(text.as_bytes())?,
                Part::Slash => rest = rest.strip_prefix(b"/")?,
                Part::Device => rest = rest.strip_prefix(device.as_bytes())?,
                Part::Label => rest = rest.strip_prefix(label.as_bytes())?,
                Part::Year => year = number(4)?,
                Part::Month => month = u8::try_from(number(2)?).ok()?,
                Part::Day => day = u8::try_from(number(2)?).ok()?,
            }
        }
        Some((year, month, day))
    }

    /// Whether the date of a picture is wanted.
    #[must_use]
    pub fn has_date(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Year | Part::Month | Part::Day))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::remote::names::STRICT;

    fn home(app: &str) -> Home {
        Home { path: format!("/apps/{app}"), names: &STRICT }
    }

    fn template(text: &str) -> Template {
        text.parse().unwrap()
    }

    #[test]
    fn the_words_are_filled_in_and_escaped() {
        let default = template("{device}/{label}/{path}");
        assert_eq!(
            default.remote_path(&home("xpand"), "Living room: NAS", "a/b", b"2024/\xff?.jpg", None),
            "/apps/xpand/Living room%3A NAS/a%2Fb/2024/%FF%3F.jpg"
        );
        let dated = template("Photos {year}/{year}-{month}/{path}");
        assert_eq!(
            dated.remote_path(&home("x"), "d", "l", b"p.jpg", Some((2018, 9, 6))),
            "/apps/x/Photos 2018/2018-09/p.jpg"
        );
        assert_eq!(
            dated.remote_path(&home("x"), "d", "l", b"p.jpg", None),
            "/apps/x/Photos undated/undated-undated/p.jpg"
        );
        assert!(dated.has_date() && !default.has_date());
        assert_eq!(template("{path}").remote_path(&home("x"), "d", "l", b"p.jpg", None), "/apps/x/p.jpg");
    }

    #[test]
    fn the_top_folder_ends_before_the_first_date() {
        for (text, top) in [
            (DEFAULT, "/apps/x/nas/l%3A"),
            ("{path}", "/apps/x"),
            ("a/{label}-{year}/{path}", "/apps/x/a"),
            ("{year}/{path}", "/apps/x"),
            ("a/b{device}/{month}/{label}/{path}", "/apps/x/a/bnas"),
        ] {
            assert_eq!(template(text).top(&home("x"), "nas", "l:"), top, "{text}");
        }
    }

    #[test]
    fn the_local_path_is_read_back() {
        let dated = template("{label}/{year}/{path}");
        for date in [None, Some((2018, 9, 6))] {
            let remote = dated.remote_path(&home("x"), "d", "l", b"a/b:\xff", date);
            assert_eq!(dated.below(&home("x"), "d", "l", &remote).as_deref(), Some(&b"a/b:\xff"[..]));
        }
        assert_eq!(dated.below(&home("x"), "d", "l", "/apps/x/other/2018/p.jpg"), None);
        assert_eq!(dated.below(&home("x"), "d", "l", "/apps/x/l/2018/a:b"), None);
        assert_eq!(dated.below(&home("x"), "d", "l", "/apps/x/l/2018"), None);
        assert_eq!(dated.below(&home("x"), "d", "l", "/apps/x/l/other/p.jpg"), None);
        let beside = template("{label}-{year}/{path}");
        assert_eq!(beside.below(&home("x"), "d", "l", "/apps/x/other-2018/p.jpg"), None);
        assert_eq!(
            beside.below(&home("x"), "d", "l", "/apps/x/l-2018/p.jpg").as_deref(),
            Some(&b"p.jpg"[..])
        );
    }

    /// Found by the fuzz target `names`.
    #[test]
    fn a_folder_name_that_is_too_long_is_read_back_with_every_date() {
        let dated = template("{label} {year}-{month}-{day} {device}/{path}");
        for length in 215..250 {
            let label = format!("a/{}", "x".repeat(length));
            for date in [None, Some((2018, 9, 6)), Some((1970, 12, 31))] {
                let remote = dated.remote_path(&home("x"), "  d", &label, b"a b.jpg", date);
                let below = dated.below(&home("x"), "  d", &label, &remote);
                assert_eq!(below.as_deref(), Some(&b"a b.jpg"[..]), "{remote}");
            }
        }
    }

    #[test]
    fn an_account_may_have_the_whole_drive() {
        let drive = Home { path: String::new(), names: &STRICT };
        for (text, remote, top) in [
            ("{label}/{path}", "/l/a%3Ab", "/l"),
            ("{path}", "/a%3Ab", ""),
            ("{year}/{path}", "/2018/a%3Ab", ""),
        ] {
            let template = template(text);
            let date = Some((2018, 9, 6));
            assert_eq!(template.remote_path(&drive, "d", "l", b"a:b", date), remote);
            assert_eq!(template.below(&drive, "d", "l", remote).as_deref(), Some(&b"a:b"[..]));
            assert_eq!(template.top(&drive, "d", "l"), top);
        }
    }

    #[test]
    fn the_default_and_dates_are_fine() {
        for good in [DEFAULT, "{path}", "{label}/{year}/{month}-{day}/{path}", "相册 {device}/{path}"] {
            assert!(good.parse::<Template>().is_ok(), "{good}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_template_is_said_in_words() {
        for (bad, words) in [
            ("{label}", "{path} has to be there exactly once"),
            ("{path}/{path}", "{path} has to be there exactly once"),
            ("{path}/x", "{path} has to come last"),
            ("{label", "a { or } has no partner"),
            ("label}/{path}", "a { or } has no partner"),
            ("{label}-{path}", "{path} has to be a part of its own, with / before it"),
            ("{name}/{path}", "{name} is not known; there are {device} {label} {path} {year} {month} {day}"),
            ("/x/{path}", "it has an empty part (a / too many)"),
            ("x//{path}", "it has an empty part (a / too many)"),
            ("/{path}", "it has an empty part (a / too many)"),
            ("../{path}", "a part cannot be .."),
            ("a\u{1b}/{path}", "it has a control character"),
        ] {
            assert_eq!(bad.parse::<Template>(), Err(NotATemplate(words.to_owned())), "{bad}");
        }
    }
}
