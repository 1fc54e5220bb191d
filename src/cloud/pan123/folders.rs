//! From a path to the id of a folder: by what is remembered, else by listing down from the root.
//!
//! One task at a time looks or makes; the others wait for what it finds. Nothing tells a client that a folder
//! was deleted: a call with its id fails with "there is no such folder". Then its path is forgotten, and found
//! or made anew ([`Oss::in_folder`]).

use tokio::sync::MutexGuard;

use super::Oss;
use super::known::{Contents, Known};
use super::remembered::Remembered;
use crate::cloud::{Error, Kind, Result};
use crate::config;
use crate::content::Md5;

/// The id of the image host itself ("上传到根目录时填写 空").
pub(super) const ROOT: &str = "";
/// Pages of one folder: a hundred entries each. A cloud that gives more of them is not one that ends.
pub(super) const PAGES: usize = 10_000;

/// Whether a folder that is not there is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Want {
    /// Then it is [`Kind::Missing`].
    Find,
    /// With those above it.
    Make,
}

/// How much is forgotten of a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Forget {
    /// The folder and what is below it.
    This,
    /// Everything that lies in the same folder of the root.
    All,
}

/// The file that an account's folders are remembered in, beside its others.
pub(super) fn remembered(account: &config::Account, file: Option<std::path::PathBuf>) -> Remembered {
    let endpoint = account.endpoint.as_ref().map(ToString::to_string).unwrap_or_default();
    let owner = Md5::of(format!("{} {endpoint}", account.client_id));
    Remembered::at(file, &owner.to_string())
}

/// The names of a path, without empty ones: of `/a//b/` a and b.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty())
}

/// As it is remembered: of `a//b/` `/a/b`, and of `/` nothing.
pub(super) fn tidy(path: &str) -> String {
    names(path).fold(String::new(), |path, name| path + "/" + name)
}

impl Oss {
    /// What is known of the folders, for one task at a time.
    pub(super) async fn known(&self) -> MutexGuard<'_, Known> {
        let mut known = self.known.lock().await;
        known.read();
        known
    }

    /// The id of the folder at a path.
    ///
    /// # Errors
    /// [`Kind::Missing`]: there is none, and it is not to be made. [`Kind::Refused`]: something on the way is
    /// no folder.
    pub(super) async fn folder(&self, path: &str, want: Want) -> Result<String> {
        let mut known = self.known().await;
        self.resolve(&mut known, path, want).await
    }

    /// Does something in the folder at a path; again, should an id that is remembered be gone: that of the
    /// folder itself, or of one that it lies in.
    pub(super) async fn in_folder<T, Answer>(
        &self,
        path: &str,
        want: Want,
        call: impl Fn(String) -> Answer,
    ) -> Result<T>
    where
        Answer: Future<Output = Result<T>>,
    {
        let mut forgets = [Forget::This, Forget::All].into_iter();
        loop {
            let answer = match self.folder(path, want).await {
                Ok(id) => call(id).await,
                Err(error) => Err(error),
            };
            // What the cloud says, not what our own look from the root did not find.
            let is_gone = matches!(answer, Err(Error { kind: Kind::Missing, code: Some(_), .. }));
            match forgets.next().filter(|_| is_gone) {
                Some(forget) => self.forget_folder(path, forget).await,
                None => return answer,
            }
        }
    }

    async fn forget_folder(&self, path: &str, forget: Forget) {
        let path = tidy(path);
        let top = path.match_indices('/').nth(1).map_or(path.len(), |(at, _)| at);
        self.known().await.forget(if forget == Forget::All { &path[..top] } else { &path });
    }

    /// A picture that went to this folder says that the folder has another name than that of its path: it was
    /// renamed in the cloud, and the path is to be found anew.
    pub(super) async fn check_folder(&self, path: &str, name: &str) {
        let path = tidy(path);
        let is_renamed = path.rsplit('/').next().is_some_and(|own| !own.is_empty() && own != name);
        if is_renamed && !name.is_empty() {
            tracing::warn!(
                "the remote folder {path} was renamed in the cloud; it is made anew for what comes next"
            );
            self.known().await.forget(&path);
        }
    }

    async fn resolve(&self, known: &mut Known, path: &str, want: Want) -> Result<String> {
        let path = tidy(path);
        let (mut at, mut id) = (path.as_str(), ROOT.to_owned());
        // The lowest folder on the way that is known.
        while !at.is_empty() {
            if let Some(found) = known.id(at) {
                id = found.to_owned();
                break;
            }
            at = at.rfind('/').map_or("", |slash| &at[..slash]);
        }
        let mut here = at.to_owned();
        for name in names(&path[at.len()..]) {
            let found = match want {
                Want::Find => self.child(known, &id, name).await?,
                Want::Make => {
                    let contents = self.contents(known, &id).await?;
                    contents.folder(name).map(str::to_owned)
                }
            };
            here = format!("{here}/{name}");
            id = match found {
                Some(found) => found,
                None if want == Want::Find => return Err(missing(&here)),
                None => self.make(known, &here, &id, name).await?,
            };
            known.learn(&here, &id);
        }
        Ok(id)
    }

    /// Makes a folder of which nothing is known; another process may just have made it.
    async fn make(&self, known: &mut Known, path: &str, parent: &str, name: &str) -> Result<String> {
        match self.mkdir(parent, name).await {
            Ok(id) => {
                known.put_folder(parent, name, &id);
                Ok(id)
            }
            Err(error) if error.kind == Kind::Exists => {
                known.forget_contents(parent);
                if let Some(found) = self.child(known, parent, name).await? {
                    return Ok(found);
                }
                let picture = self.find(parent, |image| !image.is_folder() && image.filename == name).await?;
                let (kind, words) = match picture {
                    Some(_) => {
                        (Kind::Refused, format!("there is a picture of the name of the folder {path}"))
                    }
                    // Made a moment ago, perhaps.
                    None => (
                        Kind::Busy { after: None },
                        format!("the cloud says that there is a folder {path}, and does not list it"),
                    ),
                };
                Err(Error { kind, message: words, ..error })
            }
            Err(error) => Err(error),
        }
    }

    /// The id of a folder in a folder: as far as is known, else page by page until it comes.
    async fn child(&self, known: &mut Known, parent: &str, name: &str) -> Result<Option<String>> {
        if let Some(contents) = known.contents(parent).filter(|contents| !contents.is_too_large()) {
            return Ok(contents.folder(name).map(str::to_owned));
        }
        let found = self.find(parent, |image| image.is_folder() && image.filename == name).await?;
        Ok(found.map(|folder| folder.file_id))
    }

    /// What is in the folder of this id, listed to its end if that is not known.
    pub(super) async fn contents<'k>(&self, known: &'k mut Known, id: &str) -> Result<&'k Contents> {
        if known.contents(id).is_none() {
            let (mut contents, mut after) = (Contents::default(), None);
            for page in 0.. {
                let listed = self.page(id, after.as_deref()).await?;
                listed.images.iter().for_each(|image| contents.see(image));
                after = listed.next;
                if after.is_none() {
                    break;
                }
                if page == PAGES {
                    return Err(endless());
                }
            }
            known.keep(id, contents);
        }
        // It was kept just now.
        known.contents(id).ok_or_else(endless)
    }
}

fn missing(path: &str) -> Error {
    Error::new(Kind::Missing, "list", format!("there is no folder {path}"))
}

pub(super) fn endless() -> Error {
    Error::new(Kind::Broken, "list", "the list of a folder does not end")
}

#[cfg(test)]
mod tests {
    use super::tidy;

    #[test]
    fn a_path_has_one_form() {
        for (path, tidied) in [("/", ""), ("", ""), ("/a", "/a"), ("a//b/", "/a/b"), ("/a b/c", "/a b/c")] {
            assert_eq!(tidy(path), tidied);
        }
    }
}
