//! The slices of one file, cut as the session says: which are to be sent, each until the cloud has it.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::calls::Failure;
use super::hanging::outlasting;
use super::{Afresh, Step, Stop, TRIES, Uploader};
use crate::backup::body::slice_body;
use crate::backup::cache::Cached;
use crate::backup::disk;
use crate::backup::job::{Bitmap, Job, Session, Stage};
use crate::backup::progress::{Meters, Progress};
use crate::backup::queue::Outcome;
use crate::backup::seam::spawn_blocking;
use crate::backup::source::Source;
use crate::backup::verdict::{Call, Verdict};
use crate::cloud::{Slice, Upload};
use crate::content::Md5;
use crate::status;

/// No file has more slices, whatever the cloud says.
const MOST: u64 = 100_000;

/// How a session has a file cut.
pub(super) struct Cut<'f> {
    file: &'f Upload,
    slice_size: u64,
    count: usize,
}

impl<'f> Cut<'f> {
    /// `None` when that would be no slices, or too many.
    pub(super) fn of(file: &'f Upload, slice_size: u64) -> Option<Self> {
        let count = match slice_size {
            size if size == file.slice_size => file.slices.len(),
            0 => return None,
            size => usize::try_from(file.size.div_ceil(size).clamp(1, MOST + 1)).ok()?,
        };
        (count as u64 <= MOST).then_some(Self { file, slice_size, count })
    }

    /// How many slices there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    fn offset(&self, number: usize) -> u64 {
        number as u64 * self.slice_size
    }

    fn length(&self, number: usize) -> u64 {
        self.slice_size.min(self.file.size - self.offset(number))
    }

    /// Our own MD5 of a slice, where the file was read with these slices in mind.
    fn md5(&self, number: usize) -> Option<Md5> {
        let is_known = self.slice_size == self.file.slice_size || self.count == 1;
        let whole = (self.count == 1).then_some(self.file.content_md5);
        whole.or_else(|| self.file.slices.get(number).copied()).filter(|_| is_known)
    }
}

/// What became of a session's slices.
pub(super) enum Sent {
    /// The cloud has them all.
    All,
    /// The cloud has forgotten the session.
    Afresh(Afresh),
}

impl Uploader {
    /// Sends the slices the cloud lacks, as many at a time as there may be requests. The session is the
    /// job's, and learns of each slice as it is confirmed.
    pub(super) async fn send_slices(
        &self,
        job: &mut Job,
        file: &Upload,
        source: &Source,
        progress: &Progress,
    ) -> Step<Sent> {
        let Stage::Sending { upload, .. } = &job.stage else { return Ok(Sent::Afresh(Afresh::default())) };
        let (session, is_kept) = (upload.id.clone(), job.digests().is_some_and(|own| upload.is_kept(own)));
        let Some(cut) = Cut::of(file, upload.slice_size) else { return Ok(Sent::Afresh(Afresh::default())) };
        let (have, wanted): (Vec<usize>, Vec<usize>) =
            (0..cut.count).partition(|&number| upload.have.get(number));
        progress.enter(status::Stage::Sending, have.into_iter().map(|number| cut.length(number)).sum());
        let (root, below) = (source.root.clone(), job.path.below.clone());
        let opened = source.reader.spawn_blocking(move || disk::open_one(&root, &below));
        let opened = outlasting(opened, (), progress).await;
        let local = match opened.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
            Ok(local) => Arc::new(local),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Stop::Outcome(Outcome::Gone));
            }
            Err(error) => return Err(self.later(job, &format!("cannot read the file: {error}"))),
        };
        // Shared by the slices in flight, and right at every moment: work may be stopped at any.
        let shared = Mutex::new(&mut *job);
        let send = async |number| {
            self.send_slice(&cut, &session, &local, number, progress).await?;
            self.confirm(&shared, number, cut.count > 1 && is_kept).await
        };
        let mut wanted = wanted.into_iter();
        let mut flying = FuturesUnordered::new();
        let failure = loop {
            while flying.len() < self.parallel.max(1)
                && let Some(number) = wanted.next()
            {
                flying.push(send(number));
            }
            match flying.next().await {
                Some(Ok(())) => {}
                Some(Err(failure)) => break failure,
                None => return Ok(Sent::All),
            }
        };
        drop(flying);
        match failure.verdict {
            Verdict::Afresh => Ok(Sent::Afresh(Afresh(failure.why))),
            Verdict::CheckFile => {
                self.check_file(source, job, progress).await?;
                // It may have changed without a trace: the next try reads it anew.
                job.stage = Stage::Found;
                Err(self.later(job, &failure.why))
            }
            _ => Err(Stop::Failed(failure)),
        }
    }

    /// The cloud has a slice. Of a large file that is on the disk before the next one goes: a power cut
    /// costs the slices in flight, no more.
    async fn confirm(&self, job: &Mutex<&mut Job>, number: usize, store: bool) -> Result<(), Failure> {
        self.meters.steps.fetch_add(1, Ordering::Relaxed);
        {
            let mut job = job.lock().unwrap_or_else(PoisonError::into_inner);
            if let Stage::Sending { upload, .. } = &mut job.stage {
                upload.have.set(number);
            }
            if store {
                self.keeper.with(|queue| {
                    queue.record(&job, false);
                    Ok(())
                });
            }
        }
        if store && self.keeper.commit().await.is_none() {
            return Err(Failure::new(Verdict::Later, "the state cannot be written"));
        }
        Ok(())
    }

    /// What of a slice the family had in memory: the hashing saw it, or, of a file that was hashed by an earlier run, it
    /// is what is there now.
    async fn cached(&self, local: &Arc<File>, offset: u64, length: u64, progress: &Progress) -> Arc<Cached> {
        if let Some(cached) = progress.cached.get() {
            return Arc::clone(cached);
        }
        let file = Arc::clone(local);
        let look = spawn_blocking(move || Cached::of_now(&file, offset, offset.saturating_add(length)));
        Arc::new(look.await.unwrap_or_default())
    }

    /// One slice, until the cloud has it: with our MD5 of it, where it tells one.
    async fn send_slice(
        &self,
        cut: &Cut<'_>,
        session: &str,
        local: &Arc<File>,
        number: usize,
        progress: &Progress,
    ) -> Result<(), Failure> {
        let (offset, length, ours) = (cut.offset(number), cut.length(number), cut.md5(number));
        let mut lies = 0;
        let cached = self.cached(local, offset, length, progress).await;
        let attempt = Attempt::new(progress, &self.meters);
        loop {
            let partseq = u32::try_from(number).unwrap_or(u32::MAX);
            let sent = self.tried(Call::Send, || {
                attempt.begin();
                let count = attempt.counter();
                let (local, cached) = (Arc::clone(local), Arc::clone(&cached));
                let body = slice_body(local, cached, offset, length, count, Arc::clone(&self.throttle));
                self.drive.send(cut.file, session, Slice { number: partseq, length, body })
            });
            match sent.await {
                // What cannot be compared here is compared as a whole, by the cloud ([`Drive::send`]).
                Ok(theirs) if theirs.zip(ours).is_none_or(|(theirs, ours)| theirs == ours) => {
                    progress.confirm();
                    return Ok(());
                }
                Ok(_) if lies < TRIES => lies += 1,
                Ok(_) => {
                    // Either the file changed after it was hashed, or the line damages what passes.
                    let why = format!("the cloud got other bytes than ours in slice {number}");
                    return Err(Failure::new(Verdict::CheckFile, why));
                }
                Err(failure) => return Err(failure),
            }
        }
    }
}

/// Which slices are to be sent. In a resumed session that is what the cloud lacks and, in addition,
/// what it never confirmed to us; in a new one what it asks for.
///
/// `[0]` and `[]` are one answer (预上传, 响应示例): of a session whose slice 0 was confirmed to us it says
/// that nothing is missing. Should slice 0 be lost after all, `finish` says so and the upload begins anew.
pub(super) fn plan(resumed: Option<Session>, session: String, missing: &[u32], cut: &Cut<'_>) -> Session {
    let count = cut.count;
    let mut asked = Bitmap::new(count);
    let is_it = |upload: &Session| upload.id == session && upload.slice_size == cut.slice_size;
    let confirmed = resumed.filter(is_it).map(|upload| upload.have);
    if missing != [0] || confirmed.as_ref().is_none_or(|confirmed| !confirmed.get(0)) {
        missing.iter().for_each(|&number| asked.set(number as usize));
    }
    let mut have = Bitmap::new(count);
    for number in (0..count).filter(|&number| !asked.get(number)) {
        if confirmed.as_ref().is_none_or(|confirmed| confirmed.get(number)) {
            have.set(number);
        }
    }
    Session { id: session, remote: cut.file.path.clone(), slice_size: cut.slice_size, have }
}

/// Counts the bytes of one slice as they go out, and takes them back when it has to go again.
struct Attempt {
    progress: Arc<AtomicU64>,
    meters: Arc<Meters>,
    sent: Arc<AtomicU64>,
}

impl Attempt {
    fn new(progress: &Progress, meters: &Arc<Meters>) -> Self {
        let (progress, meters) = (Arc::clone(&progress.done), Arc::clone(meters));
        Self { progress, meters, sent: Arc::default() }
    }

    fn begin(&self) {
        let again = self.sent.swap(0, Ordering::Relaxed);
        self.progress.fetch_sub(again, Ordering::Relaxed);
    }

    fn counter(&self) -> impl Fn(u64) + Send + Sync + 'static {
        let (progress, meters) = (Arc::clone(&self.progress), Arc::clone(&self.meters));
        let sent = Arc::clone(&self.sent);
        move |bytes| {
            sent.fetch_add(bytes, Ordering::Relaxed);
            progress.fetch_add(bytes, Ordering::Relaxed);
            meters.sent(bytes);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::content::{Md5, Media, OnConflict, Purpose};

    fn file() -> Upload {
        Upload {
            path: "/apps/x/a.mp4".into(),
            size: 12 << 20,
            content_md5: Md5([0; 16]),
            head_md5: Md5([0; 16]),
            slice_size: 4 << 20,
            slices: Arc::new([Md5([1; 16]), Md5([2; 16]), Md5([3; 16])]),
            purpose: Purpose::Backup,
            media: Media::Video,
            exif: None,
            ctime_secs: 0,
            mtime_secs: 0,
            on_conflict: OnConflict::KeepBoth,
        }
    }

    #[test]
    fn a_session_cuts_as_it_likes_and_only_what_was_read_so_is_compared() {
        let file = file();
        for (slice_size, lengths, md5s) in [
            (4, vec![4, 4, 4], vec![Some(1), Some(2), Some(3)]),
            (5, vec![5, 5, 2], vec![None; 3]),
            (12, vec![12], vec![Some(0)]),
            (100, vec![12], vec![Some(0)]),
        ] {
            let cut = Cut::of(&file, slice_size << 20).unwrap();
            let all = 0..cut.count();
            assert_eq!(all.clone().map(|number| cut.length(number) >> 20).collect::<Vec<_>>(), lengths);
            let md5s: Vec<_> = md5s.into_iter().map(|byte| byte.map(|byte| Md5([byte; 16]))).collect();
            assert_eq!(all.map(|number| cut.md5(number)).collect::<Vec<_>>(), md5s, "{slice_size}");
        }
        assert!(Cut::of(&file, 0).is_none() && Cut::of(&file, 1).is_none());
    }

    fn to_send(resumed: Option<&[usize]>, missing: &[u32]) -> Vec<usize> {
        let file = file();
        let resumed = resumed.map(|confirmed| {
            let mut have = Bitmap::new(3);
            confirmed.iter().for_each(|&number| have.set(number));
            Session { id: "s".into(), remote: file.path.clone(), slice_size: 4 << 20, have }
        });
        let plan = plan(resumed, "s".into(), missing, &Cut::of(&file, 4 << 20).unwrap());
        (0..3).filter(|&number| !plan.have.get(number)).collect()
    }

    #[test]
    fn a_slice_is_sent_when_the_cloud_lacks_it_or_never_confirmed_it() {
        assert_eq!(to_send(None, &[0, 1, 2]), [0, 1, 2]);
        assert_eq!(to_send(Some(&[0, 1]), &[2]), [2]);
        assert_eq!(to_send(Some(&[0]), &[2]), [1, 2]);
        assert_eq!(to_send(Some(&[0, 1]), &[1, 2]), [1, 2]);
    }

    #[test]
    fn zero_alone_says_nothing_is_missing_once_slice_zero_was_confirmed() {
        assert_eq!(to_send(Some(&[0, 1, 2]), &[0]), [0; 0]);
        assert_eq!(to_send(Some(&[0, 2]), &[0]), [1]);
        assert_eq!(to_send(Some(&[1, 2]), &[0]), [0]);
    }
}
