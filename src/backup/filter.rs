//! Which files of a folder are wanted, and for the others why not.
//!
//! In order: the built-in list of junk, the folder's own `exclude`, the kind of file. A pattern without `/`
//! is compared with every name of the path, so that it also leaves out a whole directory; one with `/` is
//! compared with the path below the folder, and a `/` at its end means directories only.

use std::fmt;

use fast_glob::glob_match;

use super::{junk, media};
use crate::config::Folder;
use crate::content::Media;

/// A folder's choice of files, ready to be asked a million times.
#[derive(Clone, Debug)]
pub struct Filter {
    photos: bool,
    videos: bool,
    others: bool,
    junk: bool,
    names: Globs,
    paths: Globs,
    min_size: u64,
    max_size: u64,
}

#[derive(Clone, Debug, Default)]
struct Globs(Vec<Glob>);

#[derive(Clone, Debug)]
struct Glob {
    /// As configured.
    pattern: String,
    /// As it is compared.
    glob: String,
    /// Only directories are meant.
    directories: bool,
}

/// An `exclude` that is no glob.
#[derive(Debug, thiserror::Error)]
#[error("exclude \"{pattern}\" is not a pattern: {reason}")]
pub struct NotAPattern {
    /// As configured.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Why a file is not wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    /// A pattern matches the file or a directory it is in.
    Excluded {
        /// The pattern, as configured or as in the built-in list.
        pattern: String,
        /// It is of the built-in list (`default_excludes`).
        built_in: bool,
        /// The path below the folder that it matches: the file's, or a directory's above it.
        at: Vec<u8>,
    },
    /// The folder's `media` does not name this kind.
    Kind(Media),
    /// Smaller than `min_size`, bytes.
    Small(u64),
    /// Larger than `max_size`, bytes.
    Large(u64),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Excluded { pattern, built_in, at } => {
                let list = if *built_in { "the built-in list" } else { "the folder's exclude" };
                write!(f, "{} matches \"{pattern}\" of {list}", at.escape_ascii())
            }
            Self::Kind(Media::Photo) => {
                f.write_str("it is a photo, and the folder's media leaves photos out")
            }
            Self::Kind(Media::Video) => {
                f.write_str("it is a video, and the folder's media leaves videos out")
            }
            Self::Kind(Media::Other) => {
                f.write_str("it is neither photo nor video, and the folder's media leaves others out")
            }
            Self::Small(size) => write!(f, "its {size} bytes are less than min_size"),
            Self::Large(size) => write!(f, "its {size} bytes are more than max_size"),
        }
    }
}

impl Filter {
    /// The choice that a folder's settings make.
    ///
    /// # Errors
    /// An `exclude` that is no glob.
    pub fn new(folder: &Folder) -> Result<Self, NotAPattern> {
        let (paths, names): (Vec<_>, Vec<_>) =
            folder.exclude.iter().partition(|pattern| pattern.trim_end_matches('/').contains('/'));
        let wants = |media| folder.media.contains(&media);
        Ok(Self {
            photos: wants(Media::Photo),
            videos: wants(Media::Video),
            others: wants(Media::Other),
            junk: folder.default_excludes,
            names: Globs::new(&names)?,
            paths: Globs::new(&paths)?,
            min_size: folder.min_size,
            max_size: folder.max_size,
        })
    }

    /// Every file there is, junk and all.
    #[must_use]
    pub fn everything() -> Self {
        let (names, paths) = (Globs::default(), Globs::default());
        let (min_size, max_size) = (0, u64::MAX);
        Self { photos: true, videos: true, others: true, junk: false, names, paths, min_size, max_size }
    }

    /// Whether files of this kind are wanted.
    #[must_use]
    pub fn wants(&self, media: Media) -> bool {
        match media {
            Media::Photo => self.photos,
            Media::Video => self.videos,
            Media::Other => self.others,
        }
    }

    /// Why a file of `size` bytes is not wanted; `None` when its size is fine.
    #[must_use]
    pub fn size(&self, size: u64) -> Option<Reason> {
        if size < self.min_size {
            Some(Reason::Small(size))
        } else if size > self.max_size {
            Some(Reason::Large(size))
        } else {
            None
        }
    }

    /// Why the file at `below`, a path below the folder, is not wanted, by all that its path says.
    /// `None`: it is wanted, or ([`media::by_name`] being `None`) its content decides.
    #[must_use]
    pub fn why_not(&self, below: &[u8]) -> Option<Reason> {
        let slashes = below.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        for end in slashes.map(|(at, _)| at).chain([below.len()]) {
            let at = &below[..end];
            if let Some((pattern, built_in)) = self.excluded(at, end < below.len()) {
                let (pattern, at) = (pattern.to_owned(), at.to_vec());
                return Some(Reason::Excluded { pattern, built_in, at });
            }
        }
        let kind = media::by_name(last(below))?;
        (!self.wants(kind)).then_some(Reason::Kind(kind))
    }

    /// The pattern that leaves out exactly this path (not one above it), and whether it is built in.
    pub(super) fn excluded(&self, below: &[u8], is_directory: bool) -> Option<(&str, bool)> {
        let name = last(below);
        if self.junk
            && let Some(pattern) = junk::find(name)
        {
            return Some((pattern, true));
        }
        let own = self.names.find(name, is_directory).or_else(|| self.paths.find(below, is_directory));
        own.map(|pattern| (pattern, false))
    }

    /// Whether the walk shall report a file: `Some` with its kind by name, if that says it.
    pub(super) fn selects(&self, below: &[u8]) -> Option<Option<Media>> {
        let named = media::by_name(last(below));
        // The cheap question first.
        let wanted = named.is_none_or(|kind| self.wants(kind));
        (wanted && self.excluded(below, false).is_none()).then_some(named)
    }
}

impl Globs {
    fn new(patterns: &[&String]) -> Result<Self, NotAPattern> {
        let all = patterns.iter().map(|&pattern| Glob::new(pattern));
        all.collect::<Result<_, _>>().map(Self)
    }

    fn find(&self, path: &[u8], is_directory: bool) -> Option<&str> {
        let mut asked = self.0.iter().filter(|glob| is_directory || !glob.directories);
        asked.find(|glob| glob_match(&glob.glob, path)).map(|glob| glob.pattern.as_str())
    }
}

impl Glob {
    fn new(pattern: &str) -> Result<Self, NotAPattern> {
        let bare = pattern.trim_end_matches('/');
        let mut glob = bare.trim_start_matches('/').to_owned();
        // To this library it means "all others"; here it is a character, and there are no exceptions.
        if glob.starts_with('!') {
            glob.insert(0, '\\');
        }
        fast_glob::validate(&glob)
            .map_err(|error| NotAPattern { pattern: pattern.to_owned(), reason: error.to_string() })?;
        Ok(Self { pattern: pattern.to_owned(), glob, directories: bare.len() < pattern.len() })
    }
}

fn last(below: &[u8]) -> &[u8] {
    below.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use std::path::Path;

    use super::*;

    /// A folder with the default settings.
    pub(in crate::backup) fn folder(path: &Path, exclude: &[&str]) -> Folder {
        Folder {
            path: path.to_owned(),
            account: "home".into(),
            media: vec![Media::Photo, Media::Video],
            label: "photo".into(),
            remote: "{device}/{label}/{path}".into(),
            exclude: exclude.iter().map(|&pattern| pattern.to_owned()).collect(),
            default_excludes: true,
            min_size: 1,
            max_size: 1000,
        }
    }

    fn pattern(filter: &Filter, below: &str) -> Option<(String, String)> {
        match filter.why_not(below.as_bytes())? {
            Reason::Excluded { pattern, at, .. } => Some((pattern, String::from_utf8(at).unwrap())),
            other => Some((other.to_string(), String::new())),
        }
    }

    #[test]
    fn the_pattern_that_leaves_a_file_out_is_named_and_where_it_matches() {
        let exclude = [
            "*.tmp.jpg",
            "cache/",
            "/private/*.jpg",
            "a/**/z",
            "2019",
            "b/**",
            "!*",
            "{x,y}-[0-9]?.jpg",
            "\\*\\*",
        ];
        let filter = Filter::new(&folder(Path::new("/"), &exclude)).unwrap();
        for (below, expected) in [
            ("photo.jpg", None),
            ("x/y/a.tmp.jpg", Some(("*.tmp.jpg", "x/y/a.tmp.jpg"))),
            ("x/cache/a.jpg", Some(("cache/", "x/cache"))),
            ("x/cache.jpg", None),
            ("private/a.jpg", Some(("/private/*.jpg", "private/a.jpg"))),
            ("private/b/a.jpg", None),
            ("x/private/a.jpg", None),
            ("a/b/c/z/1.jpg", Some(("a/**/z", "a/b/c/z"))),
            ("2019/1.jpg", Some(("2019", "2019"))),
            ("a/z/1.jpg", Some(("a/**/z", "a/z"))),
            ("b", None),
            ("b/1.jpg", Some(("b/**", "b/1.jpg"))),
            ("b/c/1.jpg", Some(("b/**", "b/c"))),
            ("x/!a", Some(("!*", "x/!a"))),
            ("x/y-12.jpg", Some(("{x,y}-[0-9]?.jpg", "x/y-12.jpg"))),
            ("x/y-1.jpg", None),
            ("x/**/1.jpg", Some(("\\*\\*", "x/**"))),
            ("x/@eaDir/1.jpg", Some(("@eaDir", "x/@eaDir"))),
        ] {
            let expected = expected.map(|(pattern, at)| (pattern.to_owned(), at.to_owned()));
            assert_eq!(pattern(&filter, below), expected, "{below}");
        }
        assert!(filter.why_not(b"\xff/\xfe.jpg").is_none());
    }

    #[test]
    fn kinds_and_sizes_that_are_not_wanted_are_told() {
        let mut settings = folder(Path::new("/"), &[]);
        let filter = Filter::new(&settings).unwrap();
        assert_eq!(filter.why_not(b"a.txt"), Some(Reason::Kind(Media::Other)));
        assert_eq!(filter.why_not(b"without-ending"), None);
        assert_eq!(filter.selects(b"without-ending"), Some(None));
        assert_eq!(filter.selects(b"x/a.jpg"), Some(Some(Media::Photo)));
        assert_eq!(filter.selects(b"x/a.txt"), None);
        assert_eq!(filter.size(0), Some(Reason::Small(0)));
        assert_eq!(filter.size(1001), Some(Reason::Large(1001)));
        assert_eq!(filter.size(1000), None);
        settings.media = vec![Media::Other];
        settings.default_excludes = false;
        let filter = Filter::new(&settings).unwrap();
        assert_eq!(filter.why_not(b"a.jpg"), Some(Reason::Kind(Media::Photo)));
        assert_eq!(filter.why_not(b"a.part"), None);
    }

    #[test]
    fn a_pattern_that_is_none_is_refused_with_its_text() {
        let error = Filter::new(&folder(Path::new("/"), &["ok", "a["])).unwrap_err();
        assert!(error.to_string().starts_with("exclude \"a[\" is not a pattern: "), "{error}");
    }
}
