//! `remote`: the template of remote names, and whether two of them can make the same name.

/// What may stand in a template.
pub(super) const PLACEHOLDERS: [&str; 6] = ["device", "label", "path", "year", "month", "day"];

/// The default.
pub(super) const DEFAULT: &str = "{device}/{label}/{path}";

/// One piece of a component.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Text(String),
    /// `{year}`, `{month}`, `{day}`: as good as anything.
    Anything,
}

/// The folders above `{path}`, rendered as far as they are known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Above(Vec<Vec<Piece>>);

/// Checks a template.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn check(template: &str) -> Result<(), String> {
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

impl Above {
    /// Renders what stands above `{path}` in a template that [`check`] accepts.
    pub(super) fn of(template: &str, device: &str, label: &str) -> Self {
        let above = template.strip_suffix("{path}").unwrap_or(template);
        let parts = above.split('/').filter(|part| !part.is_empty());
        Self(parts.map(|part| pieces(part, device, label)).collect())
    }

    /// Whether a file below the one can get the name of a file below the other.
    pub(super) fn can_meet(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(one, two)| overlap(&symbols(one), &symbols(two)))
    }
}

fn pieces(part: &str, device: &str, label: &str) -> Vec<Piece> {
    let mut all = Vec::new();
    let mut rest = part;
    while let Some((text, (name, after))) =
        rest.split_once('{').and_then(|(text, tail)| Some((text, tail.split_once('}')?)))
    {
        all.push(Piece::Text(text.to_owned()));
        all.push(match name {
            "device" => Piece::Text(device.to_owned()),
            "label" => Piece::Text(label.to_owned()),
            _ => Piece::Anything,
        });
        rest = after;
    }
    all.push(Piece::Text(rest.to_owned()));
    all
}

/// One character, or `None` for anything.
fn symbols(pieces: &[Piece]) -> Vec<Option<char>> {
    let mut all = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => all.extend(text.chars().map(Some)),
            Piece::Anything => all.push(None),
        }
    }
    all
}

/// Whether some text matches both.
fn overlap(a: &[Option<char>], b: &[Option<char>]) -> bool {
    let width = b.len() + 1;
    let mut reached = vec![false; (a.len() + 1) * width];
    for i in (0..=a.len()).rev() {
        for j in (0..=b.len()).rev() {
            let at = |i: usize, j: usize| reached.get(i * width + j).copied().unwrap_or(false);
            let yes = match (a.get(i), b.get(j)) {
                (None, None) => true,
                (Some(None), Some(_)) => at(i + 1, j) || at(i, j + 1),
                (Some(_), Some(None)) => at(i, j + 1) || at(i + 1, j),
                (Some(None), None) => at(i + 1, j),
                (None, Some(None)) => at(i, j + 1),
                (Some(Some(x)), Some(Some(y))) => x == y && at(i + 1, j + 1),
                _ => false,
            };
            reached[i * width + j] = yes;
        }
    }
    reached.first().copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_and_dates_are_fine() {
        for good in [DEFAULT, "{path}", "{label}/{year}/{month}-{day}/{path}", "相册 {device}/{path}"] {
            assert_eq!(check(good), Ok(()), "{good}");
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
            assert_eq!(check(bad), Err(words.to_owned()), "{bad}");
        }
    }

    #[test]
    fn templates_meet_when_one_name_fits_both() {
        let above = |template, label| Above::of(template, "nas", label);
        for (one, two, meet) in [
            ((DEFAULT, "a"), (DEFAULT, "b"), false),
            (("{path}", "a"), (DEFAULT, "b"), true),
            (("{year}/{path}", "a"), ("{label}/{path}", "b"), true),
            (("x{year}/{path}", "a"), ("{label}/{path}", "b"), false),
            (("x{year}/{path}", "a"), ("{label}/{path}", "x1"), true),
            (("{year}-{month}/{path}", "a"), ("{day}x/{path}", "b"), true),
            (("{year}y/{path}", "a"), ("{day}x/{path}", "b"), false),
            (("a/b/{path}", "a"), ("a/c/{path}", "b"), false),
            (("a/b/{path}", "a"), ("a/{path}", "b"), true),
            (("{device}/{path}", "a"), ("{label}/{path}", "nas"), true),
        ] {
            let (one_, two_) = (above(one.0, one.1), above(two.0, two.1));
            assert_eq!(one_.can_meet(&two_), meet, "{one:?} {two:?}");
            assert_eq!(two_.can_meet(&one_), meet, "{two:?} {one:?}");
        }
    }
}
