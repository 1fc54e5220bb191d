//! Names: local ones on their way to the cloud and back, and what excludes them.

use xpand::backup::filter::Filter;
use xpand::config::Folder;
use xpand::content::Media;
use xpand::remote::Home;
use xpand::remote::names::{MAX_NAME, STRICT, escape, unescape};
use xpand::remote::template::Template;

use super::pieces;

/// A template, an app, a device, a label, a path, a date: the remote path stays below the application's
/// folder, has nothing in it that the cloud refuses, and is read back byte for byte.
pub fn names(data: &[u8]) {
    let [template, app, device, label, day, below] = pieces(data);
    let words = [template, app, device, label].map(std::str::from_utf8);
    let [Ok(template), Ok(app), Ok(device), Ok(label)] = words else { return };
    if let Ok(text) = std::str::from_utf8(below)
        && let Some(back) = unescape(text)
    {
        assert_eq!(escape(&back), text);
    }
    let Ok(template) = template.parse::<Template>() else { return };
    let date = match *day {
        [year, month, day, ..] => Some((1900 + u16::from(year), 1 + month % 12, 1 + day % 31)),
        _ => None,
    };
    // As a walk gives them: no zero byte, no empty names.
    let is_path = !below.contains(&0) && below.split(|&byte| byte == b'/').all(|name| !name.is_empty());
    // As the configuration allows them.
    let is_word = |word: &str| !word.is_empty() && !word.chars().any(char::is_control);
    if !is_path || ![app, device, label].into_iter().all(is_word) {
        return;
    }
    let mut path = "/apps/".to_owned();
    STRICT.escape_name(app.as_bytes(), &mut path);
    let home = Home { path, names: &STRICT };
    let remote = template.remote_path(&home, device, label, below, date);
    let own = template.prefix(&home, device, label, date);
    assert!(remote.starts_with(&own) && own.starts_with("/apps/"), "{remote}");
    let names: Vec<&str> = remote.split('/').skip(1).collect();
    assert!(names.len() >= 3, "{remote}");
    for name in names {
        assert!(!name.is_empty() && name != "." && name != ".." && name.len() <= MAX_NAME, "{remote}");
        assert!(!name.ends_with('.') && name.trim() == name, "{remote}");
        let refused = |c: char| c.is_control() || c > '\u{fffd}' || "\\?|\"><:*".contains(c);
        assert!(!name.chars().any(refused), "{remote}");
    }
    assert_eq!(template.below(&home, device, label, &remote).as_deref(), Some(below), "{remote}");
}

/// Patterns, one a line, and a path.
pub fn filters(data: &[u8]) {
    let [patterns, below] = pieces(data);
    let Ok(patterns) = std::str::from_utf8(patterns) else { return };
    let folder = Folder {
        path: "/photo".into(),
        account: "home".into(),
        media: vec![Media::Photo, Media::Video],
        label: "photo".into(),
        remote: "{path}".into(),
        exclude: patterns.lines().map(str::to_owned).collect(),
        default_excludes: data.len().is_multiple_of(2),
        min_size: 1,
        max_size: u64::MAX,
    };
    if let Ok(filter) = Filter::new(&folder)
        && let Some(reason) = filter.why_not(below)
    {
        assert!(!reason.to_string().is_empty());
    }
}
