//! One file against the cloud, stage by stage: hash, begin, send, finish.
//!
//! ```text
//! Found -> hash -> Hashed -> begin -> Sending -> slices … -> finish -> Done
//!            \ changed, gone      \ present: Done              \ answer lost: look
//! ```
//!
//! `Done` is said only when every slice's answer was our own MD5, the file on disk is still the one we
//! hashed, and the cloud's answer to `finish` (or its listing, when that answer was lost) has our size.
//!
//! What a crash costs: before `begin`, one read of the file; in `Sending`, the slices in flight; after
//! `finish`, one look-up.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::body::{Throttle, slice_body};
use super::entry::{Copy, Skip};
use super::hash::{self, BUFFER_BYTES, HashError};
use super::job::{Bitmap, Digests, Job, Session, Stage};
use super::keeper::Keeper;
use super::lookup::{self, Lookup};
use super::progress::{Meters, Progress};
use super::queue::{Claim, Outcome};
use super::template::{Date, Template};
use super::verdict::{Call, Pause, Verdict, back_off, spread, verdict};
use super::{disk, exif, media};
use crate::clock::Clock;
use crate::cloud::{Begin, Drive, Error, Slice, Stored, Upload, User};
use crate::content::{Media, OnConflict};
use crate::status;

/// Tries of one call before the file waits.
const TRIES: u32 = 4;
/// Times an upload begins anew before the file waits.
const STARTS: u32 = 3;

/// What the uploads of one account share.
pub struct Uploader {
    /// The cloud.
    pub drive: Arc<dyn Drive>,
    /// Who is logged in: decides slices and the largest file.
    pub user: User,
    /// The queue.
    pub keeper: Arc<Keeper>,
    /// `upload.parallel`
    pub parallel: usize,
    /// One permit a request in flight, all files and accounts together.
    pub slots: Arc<Semaphore>,
    /// One permit a file being hashed.
    pub hashers: Arc<Semaphore>,
    /// `upload.rate`
    pub throttle: Arc<Throttle>,
    /// Present when our own memory may have gaps.
    pub lookup: Option<Arc<Lookup>>,
    /// Sums.
    pub meters: Arc<Meters>,
    /// For times to try again.
    pub clock: Clock,
}

/// What a configured folder says about its files' uploads.
#[derive(Clone, Debug)]
pub struct Source {
    /// The folder.
    pub root: PathBuf,
    /// Where its files go.
    pub template: Template,
    /// The account's `app`.
    pub app: String,
    /// The device's name.
    pub device: String,
    /// The folder's label.
    pub label: String,
    /// For different content of the same name.
    pub on_conflict: OnConflict,
}

/// How the work on a claim ended.
#[derive(Debug)]
pub struct Ended {
    /// The job as far as it got.
    pub job: Job,
    /// For the queue.
    pub outcome: Outcome,
    /// For the account.
    pub pause: Option<(Pause, String)>,
}

/// Ends the work on a file.
enum Stop {
    Outcome(Outcome),
    Pause(Pause, String),
}

type Step<T> = Result<T, Stop>;

impl Uploader {
    /// Works on a claim until something is decided or `stop` is cancelled.
    pub async fn upload(
        &self,
        source: &Source,
        claim: Claim,
        progress: &Progress,
        stop: &CancellationToken,
    ) -> Ended {
        let Claim { mut job, copy } = claim;
        let cancelled = Arc::new(AtomicBool::new(false));
        let stopped = tokio::select! {
            biased;
            stopped = self.work(source, &mut job, copy, progress, &cancelled) => stopped,
            () = stop.cancelled() => Err(Stop::Outcome(Outcome::Released)),
        };
        cancelled.store(true, Ordering::Relaxed);
        let (outcome, pause) = match stopped {
            Ok(copy) => (Outcome::Done(copy), None),
            Err(Stop::Outcome(outcome)) => (outcome, None),
            Err(Stop::Pause(pause, why)) => (Outcome::Released, Some((pause, why))),
        };
        Ended { job, outcome, pause }
    }

    async fn work(
        &self,
        source: &Source,
        job: &mut Job,
        copy: Option<Copy>,
        progress: &Progress,
        cancelled: &Arc<AtomicBool>,
    ) -> Step<Copy> {
        if job.print.size > self.user.max_file_size {
            return Err(Stop::Outcome(Outcome::Skip(Skip::OverTier)));
        }
        let digests = self.hash(source, job, progress, cancelled).await?;
        if let Some(copy) = copy.filter(|copy| copy.md5 == digests.content && copy.size == job.print.size) {
            // Only its times have changed.
            self.meters.instant_files.fetch_add(1, Ordering::Relaxed);
            return Ok(copy);
        }
        let file = self.describe(source, job, &digests).await?;
        if let Some(copy) = self.find(job, &file).await? {
            self.meters.instant_files.fetch_add(1, Ordering::Relaxed);
            return Ok(copy);
        }
        for _ in 0..STARTS {
            if let Some(stored) = self.send_once(source, job, &file, progress).await? {
                return Ok(copy_of(&file, stored));
            }
            job.stage = Stage::Hashed(digests.clone());
        }
        Err(self.later(job, "the cloud keeps forgetting the upload session"))
    }

    /// The digests: those of the job, or of one read of the file.
    async fn hash(
        &self,
        source: &Source,
        job: &mut Job,
        progress: &Progress,
        cancelled: &Arc<AtomicBool>,
    ) -> Step<Digests> {
        let fits = |digests: &&Digests| {
            // A membership that ended allows only smaller slices.
            digests.slice_size <= self.user.slice_size || job.print.size <= self.user.slice_size
        };
        if let Some(digests) = job.digests().filter(fits) {
            return Ok(digests.clone());
        }
        let Ok(_permit) = self.hashers.acquire().await else {
            return Err(Stop::Outcome(Outcome::Released));
        };
        progress.enter(status::Stage::Hashing, 0);
        let (root, path, print) = (source.root.clone(), job.path.clone(), job.print);
        let slice_size = self.user.slice_size;
        let (counter, cancelled) = (Arc::clone(&progress.done), Arc::clone(cancelled));
        let hashed = tokio::task::spawn_blocking(move || {
            let file = match disk::open_one(&root, &path.below) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(HashError::Gone),
                Err(error) => return Err(error.into()),
            };
            let mut buffer = vec![0; BUFFER_BYTES];
            let hashes = hash::hash(&file, &print, slice_size, &mut buffer, &counter, &cancelled)?;
            let name = path.below.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
            let media = media::decide(name, hashes.sniffed);
            let (content, head, slices) = (hashes.content, hashes.head, hashes.slices);
            Ok(Digests { content, head, slice_size, slices, media })
        });
        match hashed.await {
            Ok(Ok(digests)) => {
                job.stage = Stage::Hashed(digests.clone());
                Ok(digests)
            }
            Ok(Err(HashError::Changed { now })) => Err(Stop::Outcome(Outcome::Changed(now))),
            Ok(Err(HashError::Gone)) => Err(Stop::Outcome(Outcome::Gone)),
            Ok(Err(HashError::Cancelled)) => Err(Stop::Outcome(Outcome::Released)),
            Ok(Err(HashError::Io(error))) => Err(self.later(job, &format!("cannot read the file: {error}"))),
            Err(panic) => Err(self.later(job, &format!("reading the file failed: {panic}"))),
        }
    }

    /// What the calls need to know of the file.
    async fn describe(&self, source: &Source, job: &Job, digests: &Digests) -> Step<Upload> {
        let (root, below, media) = (source.root.clone(), job.path.below.clone(), digests.media);
        let picture = tokio::task::spawn_blocking(move || match media {
            Media::Photo => disk::open_one(&root, &below).ok().and_then(|file| exif::exif_info(&file)),
            Media::Video | Media::Other => None,
        });
        let picture = picture.await.ok().flatten();
        let date = picture.as_ref().and_then(exif::taken).or_else(|| date_of(job.print.mtime_secs()));
        let path =
            source.template.remote_path(&source.app, &source.device, &source.label, &job.path.below, date);
        Ok(Upload {
            path,
            size: job.print.size,
            content_md5: digests.content,
            head_md5: digests.head,
            slice_size: digests.slice_size,
            slices: Arc::clone(&digests.slices),
            media,
            exif: picture,
            // The change time is when a box copied it; the picture is as old as its content.
            ctime_secs: job.print.mtime_secs(),
            mtime_secs: job.print.mtime_secs(),
            on_conflict: source.on_conflict,
        })
    }

    /// Whether the cloud has this file already, when there is reason to ask.
    async fn find(&self, job: &Job, file: &Upload) -> Step<Option<Copy>> {
        let drive = &*self.drive;
        let found = match &job.stage {
            // Everything was sent, and perhaps the file was made: our last answer is lost.
            Stage::Sending { upload, .. } if upload.have.is_full() => {
                let looked = self.tried(Call::Begin, || Box::pin(lookup::look(drive, file))).await;
                looked.map_err(|failure| self.stop(job, failure))?.filter(|entry| drive.is_same(entry, file))
            }
            _ => match &self.lookup {
                // Not knowing costs the uplink, not the file: go on without.
                Some(lookup) => lookup.find(drive, file).await.ok().flatten(),
                None => None,
            },
        };
        Ok(found.filter(|entry| entry.size == file.size).map(|entry| {
            let (id, path, size) = (entry.id, entry.path, entry.size);
            copy_of(file, Stored { id, path, size })
        }))
    }

    /// One upload session from begin to finish; `None` when the cloud has forgotten it on the way.
    async fn send_once(
        &self,
        source: &Source,
        job: &mut Job,
        file: &Upload,
        progress: &Progress,
    ) -> Step<Option<Stored>> {
        let resumed = match &job.stage {
            Stage::Sending { upload, .. } if upload.remote == file.path => Some(upload.clone()),
            _ => None,
        };
        let resume = resumed.as_ref().map(|upload| upload.id.as_str());
        let begun = match self.tried(Call::Begin, || self.drive.begin(file, resume)).await {
            Ok(begun) => begun,
            Err(failure) if failure.verdict == Verdict::Afresh => return Ok(None),
            Err(failure) => return Err(self.stop(job, failure)),
        };
        let (session, missing) = match begun {
            Begin::Present(stored) if stored.size == file.size => {
                self.meters.instant_files.fetch_add(1, Ordering::Relaxed);
                return Ok(Some(stored));
            }
            Begin::Present(stored) => {
                let why = format!("the cloud says it has {} bytes of it, not {}", stored.size, file.size);
                return Err(self.later(job, &why));
            }
            Begin::Send { session, missing } => (session, missing),
        };
        let mut upload = plan(resumed, session, &missing, file);
        let is_large = file.slices.len() > 1;
        self.keep(job, file, &upload, is_large, true);
        match self.send_slices(job, file, source, &mut upload, progress).await? {
            Sent::All => {}
            Sent::Afresh => return Ok(None),
        }
        self.keep(job, file, &upload, false, false);
        self.check_file(source, job).await?;
        progress.enter(status::Stage::Finishing, file.size);
        self.finish(job, file, &upload.id).await
    }

    /// Sends the slices the cloud lacks, `parallel` at a time.
    async fn send_slices(
        &self,
        job: &mut Job,
        file: &Upload,
        source: &Source,
        upload: &mut Session,
        progress: &Progress,
    ) -> Step<Sent> {
        let is_large = file.slices.len() > 1;
        let length = |number: usize| file.slice_size.min(file.size - number as u64 * file.slice_size);
        let wanted: Vec<usize> = (0..file.slices.len()).filter(|&number| !upload.have.get(number)).collect();
        let sent: u64 = (0..file.slices.len()).filter(|&number| upload.have.get(number)).map(length).sum();
        progress.enter(status::Stage::Sending, sent);
        let (root, below) = (source.root.clone(), job.path.below.clone());
        let opened = tokio::task::spawn_blocking(move || disk::open_one(&root, &below)).await;
        let local = match opened.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
            Ok(local) => Arc::new(local),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Stop::Outcome(Outcome::Gone));
            }
            Err(error) => return Err(self.later(job, &format!("cannot read the file: {error}"))),
        };
        let session = upload.id.clone();
        let mut wanted = wanted.into_iter();
        let mut flying = FuturesUnordered::new();
        loop {
            while flying.len() < self.slots_in_all()
                && let Some(number) = wanted.next()
            {
                flying.push(self.send_slice(file, &session, &local, number, length(number), progress));
            }
            let Some((number, sent)) = flying.next().await else { return Ok(Sent::All) };
            match sent {
                Ok(()) => upload.have.set(number),
                Err(failure) => {
                    drop(flying);
                    self.keep(job, file, upload, is_large, false);
                    return match failure.verdict {
                        Verdict::Afresh => Ok(Sent::Afresh),
                        Verdict::CheckFile => {
                            self.check_file(source, job).await?;
                            Err(self.later(job, &failure.why))
                        }
                        _ => Err(self.stop(job, failure)),
                    };
                }
            }
            self.meters.steps.fetch_add(1, Ordering::Relaxed);
            if is_large {
                // On the disk before the next slice: a power cut costs the slices in flight, no more.
                self.keep(job, file, upload, true, false);
                if self.keeper.commit().await.is_none() {
                    return Err(Stop::Outcome(Outcome::Released));
                }
            }
        }
    }

    /// One slice, until the cloud answers with our MD5 of it.
    async fn send_slice(
        &self,
        file: &Upload,
        session: &str,
        local: &Arc<File>,
        number: usize,
        length: u64,
        progress: &Progress,
    ) -> (usize, Result<(), Failure>) {
        let offset = number as u64 * file.slice_size;
        let mut lies = 0;
        let attempt = Attempt::new(progress, &self.meters);
        loop {
            let partseq = u32::try_from(number).unwrap_or(u32::MAX);
            let sent = self.tried(Call::Send, || {
                attempt.begin();
                let count = attempt.counter();
                let body = slice_body(Arc::clone(local), offset, length, count, Arc::clone(&self.throttle));
                self.drive.send(file, session, Slice { number: partseq, length, body })
            });
            let sent = sent.await;
            match sent {
                Ok(md5) if md5 == file.slices[number] => return (number, Ok(())),
                Ok(_) if lies < TRIES => lies += 1,
                Ok(_) => {
                    // Either the file changed after it was hashed, or the line damages what passes.
                    let why = format!("the cloud got other bytes than ours in slice {number}");
                    return (number, Err(Failure { verdict: Verdict::CheckFile, why }));
                }
                Err(failure) => return (number, Err(failure)),
            }
        }
    }

    /// Makes the file of its slices, and finds out whether it was made when the answer is lost.
    async fn finish(&self, job: &Job, file: &Upload, session: &str) -> Step<Option<Stored>> {
        let mut last = String::new();
        for attempt in 0..TRIES {
            let finished = self.tried(Call::Finish, || self.drive.finish(file, session)).await;
            let failure = match finished {
                Ok(stored) if stored.size == file.size => return Ok(Some(stored)),
                Ok(stored) => {
                    let why = format!("the cloud made a file of {} bytes, not {}", stored.size, file.size);
                    Failure { verdict: Verdict::Look, why }
                }
                Err(failure) => failure,
            };
            match failure.verdict {
                Verdict::Afresh => return Ok(None),
                Verdict::Look => {}
                _ => return Err(self.stop(job, failure)),
            }
            let looked = self.tried(Call::Begin, || Box::pin(lookup::look(&*self.drive, file))).await;
            let entry = looked.map_err(|failure| self.stop(job, failure))?;
            if let Some(entry) = entry.filter(|e| e.size == file.size && self.drive.is_same(e, file)) {
                return Ok(Some(Stored { id: entry.id, path: entry.path, size: entry.size }));
            }
            last = failure.why;
            tokio::time::sleep(pause(attempt)).await;
        }
        Err(self.later(job, &last))
    }

    /// A call with its slot, some times over.
    async fn tried<'a, T>(
        &'a self,
        call: Call,
        mut action: impl FnMut() -> CloudFuture<'a, T>,
    ) -> Result<T, Failure> {
        let mut attempt = 0;
        loop {
            let Ok(slot) = self.slots.acquire().await else {
                return Err(Failure { verdict: Verdict::Later, why: "the agent is ending".into() });
            };
            let error = match action().await {
                Ok(value) => {
                    self.meters.steps.fetch_add(1, Ordering::Relaxed);
                    return Ok(value);
                }
                Err(error) => error,
            };
            drop(slot);
            let why = chain(&error);
            tracing::debug!(kind = ?error.kind, attempt, "{why}");
            match verdict(&error, call) {
                Verdict::Soon(_) if attempt + 1 < TRIES => tokio::time::sleep(pause(attempt)).await,
                Verdict::Soon(Some(pause)) => return Err(Failure { verdict: Verdict::Pause(pause), why }),
                Verdict::Soon(None) => return Err(Failure { verdict: Verdict::Later, why }),
                verdict => return Err(Failure { verdict, why }),
            }
            attempt += 1;
        }
    }

    /// Our own file is still the version this job is about.
    async fn check_file(&self, source: &Source, job: &Job) -> Step<()> {
        let (root, below) = (source.root.clone(), job.path.below.clone());
        let print = tokio::task::spawn_blocking(move || disk::stat_one(&root, &below)).await;
        match print {
            Ok(Ok(Some(print))) if print == job.print => Ok(()),
            Ok(Ok(Some(print))) => Err(Stop::Outcome(Outcome::Changed(print))),
            Ok(Ok(None)) => Err(Stop::Outcome(Outcome::Gone)),
            Ok(Err(error)) => Err(self.later(job, &format!("cannot look at the file: {error}"))),
            Err(panic) => Err(self.later(job, &format!("looking at the file failed: {panic}"))),
        }
    }

    fn keep(&self, job: &mut Job, file: &Upload, upload: &Session, stored: bool, slices: bool) {
        if let Some(digests) = job.digests().cloned() {
            debug_assert_eq!(digests.content, file.content_md5);
            job.stage = Stage::Sending { digests, upload: upload.clone() };
        }
        if stored {
            self.keeper.with(|queue| {
                queue.record(job, slices);
                Ok(())
            });
        }
    }

    fn stop(&self, job: &Job, failure: Failure) -> Stop {
        match failure.verdict {
            Verdict::Pause(pause) => Stop::Pause(pause, failure.why),
            Verdict::Park => Stop::Outcome(Outcome::Park { why: failure.why }),
            _ => self.later(job, &failure.why),
        }
    }

    fn later(&self, job: &Job, why: &str) -> Stop {
        let wait = back_off(job.tries, spread());
        let due_ms = self.clock.now_ms() + i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        Stop::Outcome(Outcome::Again { due_ms, why: why.to_owned() })
    }

    /// Slices of one file in flight: never more than requests in all.
    fn slots_in_all(&self) -> usize {
        self.parallel.max(1)
    }
}

type CloudFuture<'a, T> = crate::cloud::BoxFuture<'a, crate::cloud::Result<T>>;

/// A call that did not succeed, and what to do about it.
struct Failure {
    verdict: Verdict,
    why: String,
}

enum Sent {
    All,
    Afresh,
}

/// Which slices are to be sent. In a resumed session that is what the cloud lacks and, in addition,
/// what it never confirmed to us; in a new one what it asks for.
fn plan(resumed: Option<Session>, session: String, missing: &[u32], file: &Upload) -> Session {
    let count = file.slices.len();
    let mut asked = Bitmap::new(count);
    missing.iter().for_each(|&number| asked.set(number as usize));
    let confirmed = resumed.filter(|upload| upload.id == session).map(|upload| upload.have);
    let mut have = Bitmap::new(count);
    for number in (0..count).filter(|&number| !asked.get(number)) {
        if confirmed.as_ref().is_none_or(|confirmed| confirmed.get(number)) {
            have.set(number);
        }
    }
    Session { id: session, remote: file.path.clone(), have }
}

/// Between two tries of one call: half a second, doubling, spread.
fn pause(attempt: u32) -> Duration {
    Duration::from_millis(500 << attempt.min(6)).mul_f64(0.75 + 0.5 * spread())
}

/// An error and its causes in one line.
fn chain(error: &Error) -> String {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
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

/// The day of a time in seconds since 1970, where the box is.
fn date_of(secs: i64) -> Option<Date> {
    let date = jiff::Timestamp::from_second(secs).ok()?.to_zoned(jiff::tz::TimeZone::system()).date();
    let (month, day) = (u8::try_from(date.month()).ok()?, u8::try_from(date.day()).ok()?);
    Some((u16::try_from(date.year()).ok()?, month, day))
}

fn copy_of(file: &Upload, stored: Stored) -> Copy {
    Copy { size: file.size, md5: file.content_md5, id: stored.id, path: stored.path }
}
