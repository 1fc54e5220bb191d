//! Whether the cloud has a file already: asked before anything is sent, when there is reason to.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::calls::Failure;
use super::hanging::outlasting;
use super::{Step, Stop, Uploader, copy_of};
use crate::backup::disk;
use crate::backup::entry::Copy;
use crate::backup::hash::{self, BUFFER_BYTES, HashError};
use crate::backup::job::{Job, Stage};
use crate::backup::lookup::{self, Found};
use crate::backup::progress::Progress;
use crate::backup::source::Source;
use crate::backup::verdict::{Call, Pause, Verdict};
use crate::cloud::{Entry, Stored, Upload};
use crate::content::OnConflict;
use crate::status;

impl Uploader {
    /// The copy that the cloud has of this file, when there is reason to ask.
    pub(super) async fn find(
        &self,
        source: &Source,
        job: &Job,
        file: &Upload,
        progress: &Progress,
        cancelled: &Arc<AtomicBool>,
    ) -> Step<Option<Copy>> {
        let drive = &*self.drive;
        let found = match &job.stage {
            // Everything was sent, and perhaps the file was made: our last answer is lost.
            Stage::Sending { upload, .. } if upload.have.is_full() => {
                let looked = self.tried(Call::Look, || Box::pin(lookup::look(drive, file))).await;
                looked.map_err(Stop::Failed)?
            }
            _ => {
                let found = self.ask(file).await?;
                match found.same(file) {
                    Some(entry) => Some(entry),
                    None => self.cut_otherwise(source, job, file, &found, progress, cancelled).await?,
                }
            }
        };
        Ok(found.filter(|entry| entry.size == file.size).map(|entry| {
            let (id, path, size) = (entry.id, entry.path, entry.size);
            copy_of(file, Stored { id, path, size })
        }))
    }

    /// What was listed of this file's names, as far as our own memory has gaps.
    async fn ask(&self, file: &Upload) -> Step<Found> {
        // Keeping both, nothing that was listed is ever replaced, and the cloud itself sees to it that
        // equal content is not stored twice. Otherwise only the folder as it is now tells.
        let keeps_both = file.on_conflict == OnConflict::KeepBoth;
        let everything = self.keeper.gaps().everything;
        if everything && keeps_both {
            let found = self.keeper.with_store(|store| self.survey.find(store, &*self.drive, file));
            let found = found.unwrap_or_default();
            if found.same(file).is_some() || !found.alike(file).is_empty() {
                return Ok(found);
            }
        }
        let is_listed = everything && self.is_surveyed.load(Ordering::Acquire);
        if keeps_both && (is_listed || !everything) && !self.keeper.gaps().something {
            return Ok(Found::default());
        }
        match self.tried(Call::Look, || Box::pin(self.lookup.find(&*self.drive, file))).await {
            Ok(found) => Ok(found),
            // A cloud that cannot list: not knowing costs the uplink, not the file.
            Err(Failure { verdict: Verdict::Pause(Pause::Failing), .. }) => Ok(Found::default()),
            // The listings of this hour or day are used up. Uploads have no such limit, so that nothing waits
            // for them - unless something in the cloud might be replaced.
            Err(Failure { verdict: Verdict::Pause(Pause::Limit { .. }), is_unsent: true, .. })
                if keeps_both =>
            {
                Ok(Found::default())
            }
            Err(failure) if matches!(failure.verdict, Verdict::Pause(_)) => Err(Stop::Failed(failure)),
            Err(_) => Ok(Found::default()),
        }
    }

    /// A listed md5 tells how a large file was cut, and another membership cuts otherwise: one more read
    /// of our own file instead of a second copy in the cloud.
    pub(super) async fn cut_otherwise(
        &self,
        source: &Source,
        job: &Job,
        file: &Upload,
        found: &Found,
        progress: &Progress,
        cancelled: &Arc<AtomicBool>,
    ) -> Step<Option<Entry>> {
        let sizes = self.drive.slice_sizes().iter().copied();
        // A file of one slice is known by its content.
        let sizes: Vec<u64> = sizes.filter(|&size| size != file.slice_size && size < file.size).collect();
        let alike = found.alike(file);
        if alike.is_empty() || sizes.is_empty() {
            return Ok(None);
        }
        let Ok(permit) = self.hashers.acquire().await else { return Ok(None) };
        tracing::info!("the cloud has as long a file as {}; reading ours again to compare", file.path);
        progress.enter(status::Stage::Hashing, 0);
        let (root, below, print) = (source.root.clone(), job.path.below.clone(), job.print);
        let (counter, cancelled, wanted) = (Arc::clone(&progress.done), Arc::clone(cancelled), sizes.clone());
        let cached = progress.cached.get().cloned().unwrap_or_default();
        let cut = source.reader.spawn_blocking(move || {
            let local = disk::open_one(&root, &below)?;
            let mut buffer = vec![0; BUFFER_BYTES];
            hash::slicings(&local, &print, &cached, &wanted, &mut buffer, &counter, &cancelled)
        });
        let cut = outlasting(cut, permit, progress).await;
        let cut = match cut.unwrap_or_else(|panic| Err(io::Error::other(panic).into())) {
            Ok(cut) => cut,
            Err(HashError::Changed { now }) => return Err(self.changed(now)),
            // Whatever it is, sending finds it out too.
            Err(_) => return Ok(None),
        };
        let same = sizes.into_iter().zip(cut).find_map(|(slice_size, slices)| {
            let file = Upload { slice_size, slices, ..file.clone() };
            alike.iter().find(|entry| self.drive.is_same(entry, &file)).cloned()
        });
        Ok(same)
    }
}
