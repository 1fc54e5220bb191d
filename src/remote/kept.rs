//! Names that the cloud makes up when a name is taken and both files are to be kept.

/// The path that was asked for, if the cloud may have made `path` of it: `b.jpg` of `b(1).jpg` and of
/// `b_20261121_180000.jpg` (field notes 3.2).
#[must_use]
pub fn original(path: &str) -> Option<String> {
    let name = path.rfind('/').map_or(0, |at| at + 1);
    let dot = path.get(name..)?.rfind('.').map_or(path.len(), |dot| name + dot);
    let (stem, ending) = path.split_at_checked(dot)?;
    let bare = without_count(stem).or_else(|| without_time(stem)).filter(|bare| bare.len() >= name)?;
    // One dot in front was no ending before something stood in front of it.
    (bare.len() > name || !ending.is_empty()).then(|| format!("{bare}{ending}"))
}

/// `b` of `b(1)`.
fn without_count(stem: &str) -> Option<&str> {
    let (bare, number) = stem.strip_suffix(')')?.rsplit_once('(')?;
    ((1..=20).contains(&number.len()) && is_number(number)).then_some(bare)
}

/// `b` of `b_20261121_180000`.
fn without_time(stem: &str) -> Option<&str> {
    let (rest, time) = stem.rsplit_once('_')?;
    let (bare, day) = rest.rsplit_once('_')?;
    ([day.len(), time.len()] == [8, 6] && is_number(day) && is_number(time)).then_some(bare)
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_name_is_read_back() {
        for (path, wanted) in [
            ("/x/a.b/c(1).jpg", Some("/x/a.b/c.jpg")),
            ("/x/a.b/c_20261121_180000.jpg", Some("/x/a.b/c.jpg")),
            ("/x/a.b/c(12)", Some("/x/a.b/c")),
            ("/x/a.b/c.d(1).jpg", Some("/x/a.b/c.d.jpg")),
            ("/x/c(1)(2).jpg", Some("/x/c(1).jpg")),
            ("/x/(1).jpg", Some("/x/.jpg")),
            ("/x/a.b/c.jpg", None),
            ("/x/a.b/c().jpg", None),
            ("/x/a.b/c(x).jpg", None),
            ("/x/a.b/c_2026112_180000.jpg", None),
            ("/x/a.b/c_b_180000.jpg", None),
            ("/x/a(1)/c.jpg", None),
            ("/x/(1)", None),
            ("", None),
        ] {
            assert_eq!(original(path).as_deref(), wanted, "{path}");
        }
    }
}
