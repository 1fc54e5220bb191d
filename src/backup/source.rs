//! Where files come from, where they go, and whose rights they are read with.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::entry::Limits;
use super::seam::spawn_blocking;
use crate::content::{OnConflict, Purpose};
use crate::remote::Home;
use crate::remote::names::Rules;
use crate::remote::template::{Date, Template};

/// A folder, and what is said about the uploads of its files: by the configuration, or by a person at a shell.
#[derive(Clone, Debug)]
pub struct Source {
    /// The folder.
    pub root: PathBuf,
    /// Where its files go.
    pub naming: Naming,
    /// For different content of the same name.
    pub on_conflict: OnConflict,
    /// What is not sent at all; the membership's limit comes with the account.
    pub limits: Limits,
    /// Who wants them sent.
    pub purpose: Purpose,
    /// Who reads them.
    pub reader: Reader,
}

/// What the files of a folder are called in the cloud.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Naming {
    /// As the folder's template says.
    Template {
        /// The folder's.
        template: Template,
        /// The account's own folder.
        home: Home,
        /// The device's name.
        device: String,
        /// The folder's label.
        label: String,
    },
    /// Under their own names, escaped, below this absolute remote folder.
    Below(String, &'static Rules),
    /// The only one: just so.
    At(String),
}

impl Naming {
    /// The absolute remote path of the file at `below`, whose picture was taken on `date`.
    #[must_use]
    pub fn remote_path(&self, below: &[u8], date: Option<Date>) -> String {
        match self {
            Self::Template { template, home, device, label } => {
                template.remote_path(home, device, label, below, date)
            }
            Self::Below(folder, _) if below.is_empty() => folder.clone(),
            Self::Below(folder, names) => format!("{folder}/{}", names.escape(below)),
            Self::At(path) => path.clone(),
        }
    }

    /// Tells one naming from another: a path, with a `/` at its end unless it is the only file's.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::At(path) => path.clone(),
            Self::Template { .. } | Self::Below(..) => format!("{}/", self.top()),
        }
    }

    /// The remote folder that all of them go to, whatever they are called; without a `/` at its end.
    #[must_use]
    pub fn top(&self) -> String {
        match self {
            Self::Template { template, home, device, label } => template.top(home, device, label),
            Self::Below(folder, _) => folder.clone(),
            Self::At(path) => path.rsplit_once('/').map_or(path.as_str(), |(folder, _)| folder).to_owned(),
        }
    }
}

/// A piece of work on the disk.
pub type Work = Box<dyn FnOnce() + Send>;

/// The threads that look at, open and hash a folder's files. On Linux rights belong to a thread: a command
/// that became the owner of the state folder reads a person's files with threads it started before.
#[derive(Clone, Default)]
pub enum Reader {
    /// Those of the runtime, with the rights of the program.
    #[default]
    Runtime,
    /// Others, which this hands work to.
    Own(Arc<dyn Fn(Work) -> io::Result<()> + Send + Sync>),
}

impl Reader {
    /// Has `work` done on one of the threads. As tokio's function of this name.
    pub(super) fn spawn_blocking<T, F>(&self, work: F) -> JoinHandle<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let Self::Own(hand) = self else { return spawn_blocking(work) };
        let (answer, done) = oneshot::channel();
        let handed = hand(Box::new(move || drop(answer.send(catch_unwind(AssertUnwindSafe(work))))));
        tokio::spawn(async move {
            match (handed, done.await) {
                (Ok(()), Ok(Ok(value))) => value,
                (_, Ok(Err(panic))) => resume_unwind(panic),
                (handed, _) => resume_unwind(Box::new(match handed {
                    Err(error) => error.to_string(),
                    Ok(()) => "the threads that read have ended".to_owned(),
                })),
            }
        })
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Runtime => "Runtime",
            Self::Own(_) => "Own",
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::remote::names::STRICT;

    #[test]
    fn a_name_is_escaped_below_a_folder_and_taken_as_it_is_at_a_path() {
        let below = Naming::Below("/apps/x/100%".into(), &STRICT);
        assert_eq!(below.remote_path(b"a:b/c\xff", None), "/apps/x/100%/a%3Ab/c%FF");
        let at = Naming::At("/apps/x/new name".into());
        assert_eq!(at.remote_path(b"a:b", None), "/apps/x/new name");
        assert_eq!((below.top(), at.top()), ("/apps/x/100%".into(), "/apps/x".into()));
    }

    #[tokio::test]
    async fn work_is_done_on_the_threads_it_was_handed_to_and_a_panic_comes_back() {
        let hand = |work: Work| std::thread::Builder::new().name("own".into()).spawn(work).map(drop);
        let reader = Reader::Own(Arc::new(hand));
        let name = || std::thread::current().name().unwrap_or_default().to_owned();
        assert_eq!(reader.spawn_blocking(name).await.unwrap(), "own");
        let panicked = reader.spawn_blocking(|| assert_eq!(1 + 1, 3, "arithmetic")).await.unwrap_err();
        assert!(panicked.to_string().contains("arithmetic"), "{panicked}");
        let gone = Reader::Own(Arc::new(|_| Err(io::Error::other("no thread"))));
        assert!(gone.spawn_blocking(|| ()).await.unwrap_err().to_string().contains("no thread"));
    }
}
