//! Content that the drive has under another name is copied there instead of being sent.
//!
//! Only a cloud that has a call for it is asked ([`crate::cloud::Drive::copies`]).
//!
//! What a file was before it was renamed or moved is known by its trace (`traces.rs`). One call copies many
//! files, and the calls are few ([`Copies::copy`]): whoever makes one takes along all that wait, and lists the
//! folders they went to. Only what the listing shows to be the file counts as copied.
//!
//! Nothing is lost where that does not come about - the copy was deleted in the cloud, something else has
//! the name, the hour's calls are used up: the file is sent like any other. Nor by a crash: what was copied
//! then is found by a look-up, or made once more of its slices, which leaves one copy.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Source, Step, Uploader};
use crate::backup::job::Job;
use crate::backup::lookup::{self, Found};
use crate::backup::progress::Progress;
use crate::backup::verdict::Call;
use crate::cloud::{Copies, Kind, Stored, Upload};

/// Before a call is made the files beside this one have time to join it.
const GATHER: Duration = Duration::from_millis(250);
/// After a call that failed nobody asks for this long, and after each further one twice as long.
const REST: Duration = Duration::from_secs(60);
/// The same when the day's calls are used up, and at most.
const LONG_REST: Duration = Duration::from_secs(3600);

/// The files of one account that are to be copied inside the cloud.
#[derive(Debug, Default)]
pub struct Copier {
    waiting: Mutex<Vec<Wish>>,
    /// Held by whoever makes the call for all.
    rest: tokio::sync::Mutex<Rest>,
}

/// A cloud that does not copy, or takes its time to say so, does not keep every file waiting.
#[derive(Debug, Default)]
struct Rest {
    /// No call is made before.
    until: Option<Instant>,
    /// Calls in a row that failed.
    failures: u32,
}

/// A file that is to be copied from where its content is.
#[derive(Debug)]
struct Wish {
    from: String,
    file: Upload,
    /// What is listed afterwards; dropped when nothing came of it.
    found: oneshot::Sender<Found>,
}

impl Uploader {
    /// The file, copied from another whose content is the same; `None`: it has to be sent.
    pub(super) async fn copied(
        &self,
        source: &Source,
        job: &Job,
        file: &Upload,
        progress: &Progress,
        cancelled: &Arc<AtomicBool>,
    ) -> Step<Option<Stored>> {
        let Some(copies) = self.drive.copies() else { return Ok(None) };
        let known = self.keeper.with(|queue| queue.copy_of(&job.path, &job.print, file.content_md5));
        let Some(copy) = known.flatten() else { return Ok(None) };
        let Some(found) = self.copy_from(copies, copy.path.clone(), file).await else { return Ok(None) };
        let entry = match found.same(file) {
            Some(entry) => Some(entry),
            None => self.cut_otherwise(source, job, file, &found, progress, cancelled).await?,
        };
        let Some(entry) = entry.filter(|entry| entry.size == file.size) else { return Ok(None) };
        tracing::debug!("{} was copied inside the cloud from {}", entry.path, copy.path);
        self.meters.instant_files.fetch_add(1, Ordering::Relaxed);
        Ok(Some(Stored { id: entry.id, path: entry.path, size: entry.size }))
    }

    /// Has a file copied, by this task or by another that makes the call. Returns what is listed then.
    async fn copy_from(&self, copies: &dyn Copies, from: String, file: &Upload) -> Option<Found> {
        let (found, mut answer) = oneshot::channel();
        self.copier.add(Wish { from, file: file.clone(), found });
        tokio::select! {
            biased;
            found = &mut answer => return found.ok(),
            mut rest = self.copier.rest.lock() => {
                if let Err(oneshot::error::TryRecvError::Empty) = answer.try_recv().map(drop) {
                    self.copy_all(copies, &mut rest).await;
                }
            }
        }
        answer.await.ok()
    }

    /// Copies all that wait, in one call, and tells each of them what is listed then.
    async fn copy_all(&self, copies: &dyn Copies, rest: &mut Rest) {
        tokio::time::sleep(self.clock.wait(GATHER)).await;
        let mut wishes = self.copier.take();
        if rest.until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        // What has the name already by our own record need not be copied there.
        let (there, mut copying): (Vec<Wish>, Vec<Wish>) =
            wishes.drain(..).partition(|wish| wish.from == wish.file.path);
        if !copying.is_empty() {
            let pairs: Vec<_> = copying.iter().map(|wish| (&*wish.from, &*wish.file.path)).collect();
            match copies.copy(&pairs).await {
                Ok(may_be) => {
                    self.meters.steps.fetch_add(1, Ordering::Relaxed);
                    rest.failures = 0;
                    let mut may_be = may_be.into_iter();
                    copying.retain(|_| may_be.next().unwrap_or(true));
                }
                Err(error) => {
                    tracing::debug!("nothing is copied inside the cloud, but sent: {error}");
                    let pause = match error.kind {
                        Kind::Busy { after: Some(after) } => after.max(REST),
                        Kind::DayLimit => LONG_REST,
                        _ => REST.saturating_mul(1 << rest.failures.min(6)).min(LONG_REST),
                    };
                    rest.until = Some(Instant::now() + self.clock.wait(pause));
                    rest.failures += 1;
                    // Only of an answer that was lost there is something to see.
                    let is_lost =
                        matches!(error.kind, Kind::Offline | Kind::Broken | Kind::Busy { after: None });
                    if !(error.sent && is_lost) {
                        copying.clear();
                    }
                }
            }
        }
        let mut folders: BTreeMap<String, Vec<Wish>> = BTreeMap::new();
        for wish in there.into_iter().chain(copying) {
            folders.entry(lookup::parent(&wish.file.path).to_owned()).or_default().push(wish);
        }
        for (folder, wishes) in folders {
            let files: Vec<&Upload> = wishes.iter().map(|wish| &wish.file).collect();
            let (folder, drive) = (folder.as_str(), &*self.drive);
            let looked = self.tried(Call::Look, || Box::pin(lookup::look_at(drive, folder, &files))).await;
            for (wish, found) in wishes.into_iter().zip(looked.unwrap_or_default()) {
                // Whoever has been stopped meanwhile does not listen.
                let _ = wish.found.send(found);
            }
        }
    }
}

impl Copier {
    fn add(&self, wish: Wish) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(wish);
    }

    /// All that wait, without those who have been stopped meanwhile.
    fn take(&self) -> Vec<Wish> {
        let mut wishes = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        wishes.retain(|wish| !wish.found.is_closed());
        wishes
    }
}
