//! Whether files of two folders can get the same remote name.

/// One piece of a component.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Text(String),
    /// `{year}`, `{month}`, `{day}`: as good as anything.
    Anything,
}

/// The folders above `{path}`, rendered as far as they are known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Above(Vec<Vec<Piece>>);

impl Above {
    /// Renders what stands above `{path}` in a template that was read and checked.
    pub fn of(template: &str, device: &str, label: &str) -> Self {
        let above = template.strip_suffix("{path}").unwrap_or(template);
        let parts = above.split('/').filter(|part| !part.is_empty());
        Self(parts.map(|part| pieces(part, device, label)).collect())
    }

    /// Whether a file below the one can get the name of a file below the other.
    pub fn can_meet(&self, other: &Self) -> bool {
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
    use crate::remote::template::DEFAULT;

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
