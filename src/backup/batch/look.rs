//! Looking for the files that were named, and for those in named folders.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{End, Named, Step, Stop, Watch};
use crate::backup::disk;
use crate::backup::filter::Filter;
use crate::backup::source::{Naming, Reader, Source};
use crate::backup::walk::{self, Passed, Walk};
use crate::content::{FilePath, Fingerprint, FolderId};

/// Found files that wait to be offered.
const WAITING: usize = 256;
/// A file that was found, or could not be looked at.
pub(super) struct Seen {
    pub(super) path: FilePath,
    pub(super) local: PathBuf,
    print: Result<Fingerprint, String>,
}

impl Seen {
    /// Tells that it is to be sent, or why it cannot be.
    pub(super) fn expect(&self, source: &Source, watch: &dyn Watch) -> Option<Fingerprint> {
        let remote = source.naming.remote_path(&self.path.below, None);
        match &self.print {
            Ok(print) => {
                let is_escaped = match source.naming {
                    Naming::Below(_, names) => names.escape(&self.path.below).as_bytes() != &*self.path.below,
                    Naming::Template { .. } | Naming::At(_) => false,
                };
                watch.expects(&self.local, &remote, print.size, is_escaped);
                Some(*print)
            }
            Err(why) => {
                watch.ended(&self.local, &remote, 0, &End::Failed(why.clone()));
                None
            }
        }
    }
}

/// A look under way, and what it goes past.
pub(super) type Look = JoinHandle<Passed>;

/// Looks for everything that was named, on the threads that read.
pub(super) fn look(known: Vec<(FolderId, Named)>) -> (mpsc::Receiver<Seen>, Look) {
    let reader = known.first().map_or(Reader::Runtime, |(_, named)| named.source.reader.clone());
    let (sender, seen) = mpsc::channel(WAITING);
    let look = reader.spawn_blocking(move || {
        let mut passed = Passed::default();
        let _ = known.iter().all(|(id, named)| look_at(*id, named, &sender, &mut passed));
        passed
    });
    (seen, look)
}

/// Hands on everything that one name stands for; false when nobody wants it any more. Blocks on the disk.
fn look_at(folder: FolderId, named: &Named, seen: &mpsc::Sender<Seen>, passed: &mut Passed) -> bool {
    let root = &named.source.root;
    let send = |below: &[u8], print: Result<Fingerprint, String>| {
        let path = FilePath { folder, below: below.into() };
        let print = print.and_then(|print| match disk::open_one(root, below) {
            Ok(_) => Ok(print),
            Err(error) => Err(format!("cannot read it: {error}")),
        });
        let local = if below.is_empty() { root.clone() } else { path.under(root) };
        seen.blocking_send(Seen { local, path, print }).is_ok()
    };
    if !named.below.is_empty() {
        return match disk::stat_one(root, &named.below) {
            Ok(Some(print)) => send(&named.below, Ok(print)),
            Ok(None) => send(&named.below, Err("there is no such file any more".into())),
            Err(error) => send(&named.below, Err(format!("cannot look at it: {error}"))),
        };
    }
    let mut walk = Walk::new(root, b"", Arc::new(Filter::everything()));
    let is_wanted = walk.by_ref().all(|step| match step {
        walk::Step::Dir { .. } => true,
        walk::Step::Found(found) => send(&found.below, Ok(found.print)),
        walk::Step::Trouble { below, error } => send(&below, Err(format!("cannot look into it: {error}"))),
    });
    let Passed { links, others } = walk.passed();
    (passed.links, passed.others) = (passed.links + links, passed.others + others);
    is_wanted
}

/// The look is over; if it was not to its end, nobody knows what is missing.
pub(super) async fn ended_well(look: Option<Look>, watch: &dyn Watch) -> Step {
    if let Some(look) = look {
        watch.passed(look.await.map_err(|panic| Stop::Broken(panic.to_string()))?);
    }
    Ok(())
}
