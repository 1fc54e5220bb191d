//! What the paths on a command line are, seen with the rights of whoever typed them.

use std::fs;
use std::path::{Path, PathBuf, absolute};

/// One of them.
#[derive(Debug)]
pub(in crate::cli) struct Local {
    /// As it was typed.
    pub(in crate::cli) typed: PathBuf,
    /// What it is called; empty for `/`.
    pub(in crate::cli) name: Box<[u8]>,
    /// What it is, behind all links.
    pub(in crate::cli) what: What,
}

/// What a path is.
#[derive(Debug)]
pub(in crate::cli) enum What {
    /// A file, in this folder.
    File {
        /// Absolute, without a link in it.
        root: PathBuf,
        /// The file's name there.
        below: Box<[u8]>,
    },
    /// A folder, absolute.
    Folder(PathBuf),
    /// Nothing that can be sent, and why.
    Bad(String),
}

impl Local {
    /// Looks at a path.
    pub(in crate::cli) fn look(typed: &Path) -> Self {
        let what = What::of(typed).unwrap_or_else(|error| What::Bad(error.to_string()));
        let own_name = typed.file_name().map(|name| name.as_encoded_bytes().into());
        let name = match (own_name, &what) {
            (Some(name), _) => name,
            // `.`, `..` or `/`: what it really is called.
            (None, What::Folder(folder)) => {
                let real = fs::canonicalize(folder).ok();
                let name = real.as_deref().and_then(Path::file_name);
                name.map(|name| name.as_encoded_bytes().into()).unwrap_or_default()
            }
            (None, _) => Box::default(),
        };
        Self { typed: typed.to_owned(), name, what }
    }

    pub(in crate::cli) fn is_folder(&self) -> bool {
        matches!(self.what, What::Folder(_))
    }
}

impl What {
    fn of(typed: &Path) -> std::io::Result<Self> {
        let kind = fs::metadata(typed)?.file_type();
        if kind.is_dir() {
            return Ok(Self::Folder(absolute(typed)?));
        }
        if !kind.is_file() {
            return Ok(Self::Bad("it is neither a file nor a folder".into()));
        }
        let path = fs::canonicalize(typed)?;
        Ok(match (path.parent(), path.file_name()) {
            (Some(root), Some(name)) => {
                Self::File { root: root.to_owned(), below: name.as_encoded_bytes().into() }
            }
            _ => Self::Bad("it has no name".into()),
        })
    }

    /// Where it is.
    pub(in crate::cli) fn path(&self) -> PathBuf {
        use std::os::unix::ffi::OsStrExt as _;
        match self {
            Self::File { root, below } => root.join(std::ffi::OsStr::from_bytes(below)),
            Self::Folder(path) => path.clone(),
            Self::Bad(_) => PathBuf::new(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_that_is_named_keeps_its_name_and_leads_to_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let dir = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir(dir.join("real")).unwrap();
        fs::write(dir.join("real/a.jpg"), "a").unwrap();
        symlink(dir.join("real/a.jpg"), dir.join("link.png")).unwrap();
        let link = Local::look(&dir.join("link.png"));
        assert_eq!(&*link.name, b"link.png");
        assert!(
            matches!(&link.what, What::File { root, below } if *root == dir.join("real") && **below == *b"a.jpg")
        );
        assert_eq!(&*Local::look(&dir.join("real/.")).name, b"real");
        assert_eq!(&*Local::look(&dir.join("real/..")).name, dir.file_name().unwrap().as_encoded_bytes());
        assert!(Local::look(Path::new("/")).name.is_empty() && Local::look(Path::new("/")).is_folder());
        assert!(
            matches!(Local::look(&dir.join("none")).what, What::Bad(why) if why.contains("No such file"))
        );
        assert!(matches!(Local::look(Path::new("/dev/null")).what, What::Bad(_)));
    }
}
