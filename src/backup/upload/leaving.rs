//! What is left of a file in memory when the work on it ends without having sent all of it.

use std::sync::Arc;

use super::Uploader;
use crate::backup::disk;
use crate::backup::hash::KEEP_BYTES;
use crate::backup::job::Job;
use crate::backup::progress::Progress;
use crate::backup::source::Source;
use crate::status::Stage;

impl Uploader {
    /// A photo stays in memory after it was read, for it is sent in a moment; when nothing was sent of it, because
    /// the cloud has it, or not all, because the hours ended, it goes now. Nobody waits for that.
    pub(super) fn leave(&self, source: &Source, job: &Job, progress: &Progress, is_done: bool) {
        // What is sent goes with each slice, and a large file while it is read.
        let is_sent = is_done && progress.stage() != Stage::Hashing;
        let Some(cached) = progress.cached.get().filter(|cached| cached.has_ours()) else { return };
        if is_sent || job.print.size > KEEP_BYTES {
            return;
        }
        let (root, below, cached, size) =
            (source.root.clone(), job.path.below.clone(), Arc::clone(cached), job.print.size);
        drop(source.reader.spawn_blocking(move || {
            if let Ok(file) = disk::open_one(&root, &below) {
                cached.forget(&file, 0, size);
            }
        }));
    }
}
