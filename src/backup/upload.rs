//! One file against the cloud, stage by stage: hash, begin, send, finish.
//!
//! ```text
//! Found -> hash -> Hashed -> begin -> Sending -> slices … -> finish -> Done
//!            \ changed, gone      \ present: Done              \ answer lost: look
//!                                 \ copied from another name: Done
//!                                 \ the cloud still makes it \ the cloud takes its time: made? … -> Done
//! ```
//!
//! `Done` is said only when every slice's answer was our own MD5 (a cloud that tells none compares the whole
//! before it answers `finish`), the file on disk is still the one we hashed, and the cloud's answer to
//! `finish` (or its listing, when that answer was lost) has our size.
//!
//! What a crash costs: before `begin`, one read of the file; in `Sending`, the slices in flight; after
//! `finish`, one look-up. While the cloud makes the file, nothing: it is asked on (`making.rs`).

mod asking;
mod calls;
pub mod copying;
pub(crate) mod hanging;
mod leaving;
pub(crate) mod making;
mod slices;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::body::Throttle;
use super::entry::{Copy, Limits};
use super::hash::{self, BUFFER_BYTES, HashError};
use super::job::{Digests, Job, Stage};
use super::keeper::Keeper;
use super::lookup::{self, Lookup};
use super::progress::{Meters, Progress};
use super::queue::{Claim, Outcome};
use super::source::Source;
use super::survey::Survey;
use super::verdict::{Call, Pause, Verdict, back_off, spread};
use super::{disk, exif, media};
use crate::clock::Clock;
use crate::cloud::{Begin, Drive, Finish, Stored, Trace, Upload, User};
use crate::content::{Fingerprint, Media};
use crate::remote::template::Date;
use crate::status;
use calls::{Failure, pause};
use copying::Copier;
use hanging::outlasting;
use slices::{Cut, Sent, plan};

/// Tries of one call before the file waits.
const TRIES: u32 = 4;
/// Tries of a file whose session is always forgotten before it is parked.
const PATIENCE: u32 = 3;
/// Times an upload begins anew before the file waits.
const STARTS: u32 = 3;

/// What the uploads of one account share.
pub struct Uploader {
    /// The cloud.
    pub drive: Arc<dyn Drive>,
    /// Who is logged in: decides slices and the largest file.
    pub user: User,
    /// The login that `user` was asked with: what is sent with another one's tokens is in another's drive.
    pub login: Option<u64>,
    /// The queue.
    pub keeper: Arc<Keeper>,
    /// `upload.parallel`
    pub parallel: usize,
    /// One permit a request in flight, all files and accounts together.
    pub slots: Arc<Semaphore>,
    /// As many permits, for slices alone.
    pub slices: Arc<Semaphore>,
    /// One permit: look-ups of this account go one after the other, without a slot.
    pub looks: Semaphore,
    /// One permit a file being hashed.
    pub hashers: Arc<Semaphore>,
    /// `upload.rate`
    pub throttle: Arc<Throttle>,
    /// Folder by folder what the cloud has.
    pub lookup: Arc<Lookup>,
    /// Files that the drive has under another name.
    pub copier: Copier,
    /// Files that only wait for the cloud to make them: see [`Uploader::waiting`].
    pub waiting: AtomicUsize,
    /// What it had in all when our memory was lost.
    pub survey: Survey,
    /// The survey has come to its end.
    pub is_surveyed: Arc<AtomicBool>,
    /// Sums.
    pub meters: Arc<Meters>,
    /// `agent.settle`: how long a file that changed is left alone.
    pub settle: Duration,
    /// For times to try again.
    pub clock: Clock,
    /// Cancelled when the account may not send any more.
    pub stop: CancellationToken,
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
    /// For the log: what the cloud said in numbers, when it was its word.
    pub trace: Trace,
}

impl Ended {
    /// Without a word of the cloud's.
    #[must_use]
    pub fn new(job: Job, outcome: Outcome) -> Self {
        Self { job, outcome, pause: None, trace: Trace::default() }
    }
}

/// Ends the work on a file.
enum Stop {
    Outcome(Outcome),
    Failed(Failure),
}

type Step<T> = Result<T, Stop>;

/// The cloud has forgotten a session on the way, or made something else of it, and why: it begins anew.
#[derive(Debug, Default)]
struct Afresh(String);

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
            () = self.stop.cancelled() => Err(Stop::Outcome(Outcome::Released)),
        };
        cancelled.store(true, Ordering::Relaxed);
        self.leave(source, &job, progress, stopped.is_ok());
        match stopped {
            Ok(copy) => Ended::new(job, Outcome::Done(copy)),
            Err(Stop::Outcome(outcome)) => Ended::new(job, outcome),
            Err(Stop::Failed(failure)) => self.failed(job, failure),
        }
    }

    fn failed(&self, mut job: Job, Failure { verdict, why, trace, .. }: Failure) -> Ended {
        let (outcome, pause) = match verdict {
            Verdict::Pause(pause) => {
                if pause == Pause::Membership {
                    // The slices are too large: they are cut anew.
                    job.stage = Stage::Found;
                }
                let outcome = match pause {
                    // Each file waits for itself, so that none is tried without end.
                    Pause::Failing => self.again(&job, &why),
                    _ => Outcome::Released,
                };
                (outcome, Some((pause, why)))
            }
            Verdict::Park => (Outcome::Park { why }, None),
            _ => (self.again(&job, &why), None),
        };
        Ended { job, outcome, pause, trace }
    }

    async fn work(
        &self,
        source: &Source,
        job: &mut Job,
        copy: Option<Copy>,
        progress: &Progress,
        cancelled: &Arc<AtomicBool>,
    ) -> Step<Copy> {
        // Checked again: it may have grown, or shrunk to nothing, since it was looked at.
        let limits = Limits { tier: Some(self.user.max_file_size), ..source.limits };
        if let Some(skip) = limits.skip(&job.path.below, job.print.size) {
            return Err(Stop::Outcome(Outcome::Skip(skip)));
        }
        let digests = self.hash(source, job, progress, cancelled).await?;
        if let Some(copy) = copy.filter(|copy| copy.md5 == digests.content && copy.size == job.print.size) {
            // Only its times have changed.
            self.meters.instant_files.fetch_add(1, Ordering::Relaxed);
            return Ok(copy);
        }
        let file = self.describe(source, job, &digests, progress).await?;
        if let Some(copy) = self.find(source, job, &file, progress, cancelled).await? {
            self.meters.instant_files.fetch_add(1, Ordering::Relaxed);
            progress.find_there();
            return Ok(copy);
        }
        let mut why = String::new();
        for start in 0..STARTS {
            match self.send_once(source, job, &file, progress, cancelled).await? {
                Ok(stored) => {
                    self.lookup.forget(&stored.path).await;
                    return Ok(copy_of(&file, stored));
                }
                Err(Afresh(last)) => why = last,
            }
            job.stage = Stage::Hashed(digests.clone());
            if start > 0 {
                self.check_room(&file).await?;
            }
        }
        let why = format!("the cloud takes the slices and then refuses to make the file of them: {why}");
        if job.tries >= PATIENCE {
            // It would send the whole file again and again, for ever.
            return Err(Stop::Outcome(Outcome::Park { why }));
        }
        Err(self.later(job, &why))
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
        let Ok(turn) = self.hashers.acquire().await else {
            return Err(Stop::Outcome(Outcome::Released));
        };
        progress.enter(status::Stage::Hashing, 0);
        let (root, path, print) = (source.root.clone(), job.path.clone(), job.print);
        let slice_size = self.user.slice_size;
        let (counter, cancelled) = (Arc::clone(&progress.done), Arc::clone(cancelled));
        let hashed = source.reader.spawn_blocking(move || {
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
            Ok((Digests { content, head, slice_size, slices, media }, hashes.cached))
        });
        match outlasting(hashed, turn, progress).await {
            Ok(Ok((digests, cached))) => {
                let _ = progress.cached.set(Arc::new(cached));
                job.stage = Stage::Hashed(digests.clone());
                Ok(digests)
            }
            Ok(Err(HashError::Changed { now })) => Err(self.changed(now)),
            Ok(Err(HashError::Gone)) => Err(Stop::Outcome(Outcome::Gone)),
            Ok(Err(HashError::Cancelled)) => Err(Stop::Outcome(Outcome::Released)),
            Ok(Err(HashError::Io(error))) => Err(self.later(job, &format!("cannot read the file: {error}"))),
            Err(panic) => Err(self.later(job, &format!("reading the file failed: {panic}"))),
        }
    }

    /// What the calls need to know of the file.
    async fn describe(
        &self,
        source: &Source,
        job: &Job,
        digests: &Digests,
        progress: &Progress,
    ) -> Step<Upload> {
        let (root, below, media) = (source.root.clone(), job.path.below.clone(), digests.media);
        let picture = source.reader.spawn_blocking(move || match media {
            Media::Photo => disk::open_one(&root, &below).map(|file| exif::exif_info(&file)),
            Media::Video | Media::Other => Ok(None),
        });
        let picture = outlasting(picture, (), progress).await;
        let picture = match picture.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
            Ok(picture) => picture,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Stop::Outcome(Outcome::Gone));
            }
            Err(error) => return Err(self.later(job, &format!("cannot read the file: {error}"))),
        };
        let date = picture.as_ref().and_then(exif::taken).or_else(|| date_of(job.print.mtime_secs()));
        Ok(Upload {
            path: source.naming.remote_path(&job.path.below, date),
            size: job.print.size,
            content_md5: digests.content,
            head_md5: digests.head,
            slice_size: digests.slice_size,
            slices: Arc::clone(&digests.slices),
            purpose: source.purpose,
            media,
            exif: picture,
            // The change time is when a box copied it; the picture is as old as its content.
            ctime_secs: job.print.mtime_secs(),
            mtime_secs: job.print.mtime_secs(),
            on_conflict: source.on_conflict,
        })
    }

    /// One upload session from begin to finish.
    async fn send_once(
        &self,
        source: &Source,
        job: &mut Job,
        file: &Upload,
        progress: &Progress,
        cancelled: &Arc<AtomicBool>,
    ) -> Step<Result<Stored, Afresh>> {
        let resumed = match &job.stage {
            Stage::Sending { upload, .. } if upload.remote == file.path => Some(upload.clone()),
            _ => None,
        };
        let resume = resumed.as_ref().map(|upload| upload.id.as_str());
        let begun = match self.tried(Call::Begin, || self.drive.begin(file, resume)).await {
            Ok(begun) => begun,
            Err(failure) if failure.verdict == Verdict::Afresh => return Ok(Err(Afresh(failure.why))),
            Err(failure) => return Err(Stop::Failed(failure)),
        };
        if matches!(begun, Begin::There(_)) {
            progress.find_there();
        }
        let (session, slice_size, missing) = match begun {
            Begin::Present(stored) | Begin::There(stored) if stored.id.is_empty() => {
                // It says so without saying what it has: the listing does.
                tracing::debug!("present, but of {} nothing is told", stored.path);
                let looked = self.tried(Call::Look, || Box::pin(lookup::look(&*self.drive, file))).await;
                let entry = looked.map_err(Stop::Failed)?;
                let Some(entry) = entry.filter(|entry| entry.size == file.size) else {
                    return Err(self.later(job, "the cloud says it has the file, and does not list it"));
                };
                return Ok(Ok(Stored { id: entry.id, path: entry.path, size: entry.size }));
            }
            Begin::Present(stored) | Begin::There(stored) if stored.size == file.size => {
                self.meters.instant_files.fetch_add(1, Ordering::Relaxed);
                return Ok(Ok(stored));
            }
            Begin::Present(stored) | Begin::There(stored) => {
                let why = format!("the cloud says it has {} bytes of it, not {}", stored.size, file.size);
                return Err(self.later(job, &why));
            }
            Begin::Making { session } => {
                // The cloud works; the others need not wait for its end.
                progress.confirm();
                return self.until_made(job, file, session).await;
            }
            Begin::Send { session, slice_size, missing } => (session, slice_size, missing),
        };
        let Some(cut) = Cut::of(file, slice_size) else {
            let why =
                format!("the cloud wants the file in slices of {slice_size} bytes, which makes no sense");
            return Err(self.later(job, &why));
        };
        // Of one that was begun earlier there was no other copy then, and slices of it are there already.
        if resumed.is_none()
            && let Some(stored) = self.copied(source, job, file, progress, cancelled).await?
        {
            return Ok(Ok(stored));
        }
        let upload = plan(resumed, session, &missing, &cut);
        let session = upload.id.clone();
        let Some(digests) = job.digests().cloned() else { return Ok(Err(Afresh::default())) };
        let is_kept = upload.is_kept(&digests);
        job.stage = Stage::Sending { digests, upload };
        if cut.count() > 1 && is_kept {
            // A small file is sent again sooner than its session is written down.
            self.keeper.with(|queue| {
                queue.record(job, true);
                Ok(())
            });
            // A kill from here on costs slices, not the session.
            self.keeper.hurry();
        }
        match self.send_slices(job, file, source, progress).await? {
            Sent::All => {}
            Sent::Afresh(afresh) => return Ok(Err(afresh)),
        }
        self.check_file(source, job, progress).await?;
        progress.enter(status::Stage::Finishing, file.size);
        self.finish(job, file, &session).await
    }

    /// Makes the file of its slices, and finds out whether it was made when the answer is lost.
    async fn finish(&self, job: &mut Job, file: &Upload, session: &str) -> Step<Result<Stored, Afresh>> {
        let mut last = Failure::new(Verdict::Later, "");
        for attempt in 0..TRIES {
            let finished = self.tried(Call::Finish, || self.drive.finish(file, session)).await;
            let failure = match finished {
                Ok(Finish::Made(stored)) if stored.size == file.size => return Ok(Ok(stored)),
                Ok(Finish::Made(stored)) => Failure::new(Verdict::Look, other_size(&stored, file)),
                Ok(Finish::Making { session }) => return self.until_made(job, file, session).await,
                Err(failure) => failure,
            };
            match failure.verdict {
                // The session may be gone because an earlier `create` made the file, its answer lost: seen
                // first, before everything is sent again.
                Verdict::Afresh if attempt == 0 => return Ok(Err(Afresh(failure.why))),
                Verdict::Afresh | Verdict::Look => {}
                _ => return Err(Stop::Failed(failure)),
            }
            let looked = self.tried(Call::Look, || Box::pin(lookup::look(&*self.drive, file))).await;
            let entry = looked.map_err(Stop::Failed)?;
            if let Some(entry) = entry.filter(|entry| entry.size == file.size) {
                return Ok(Ok(Stored { id: entry.id, path: entry.path, size: entry.size }));
            }
            if failure.verdict == Verdict::Afresh {
                return Ok(Err(Afresh(failure.why)));
            }
            last = failure;
            tokio::time::sleep(self.clock.wait(pause(attempt))).await;
        }
        if last.is_clouds {
            return Err(Stop::Failed(Failure { verdict: Verdict::Pause(Pause::Failing), ..last }));
        }
        Err(self.later(job, &last.why))
    }

    /// A drive without room for the file may say the same as one that has lost slices (31190, field notes
    /// 2.2): when sending it once more did not help, the space is asked for.
    async fn check_room(&self, file: &Upload) -> Step<()> {
        match self.drive.quota().await {
            Ok(Some(quota)) if quota.total.saturating_sub(quota.used) < file.size => {
                let free = quota.total.saturating_sub(quota.used);
                let why = format!(
                    "the drive is full: {free} bytes are free and the file has {}; make room in it, or get more",
                    file.size
                );
                Err(Stop::Failed(Failure::new(Verdict::Pause(Pause::Full), why)))
            }
            // Not knowing costs another try.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Our own file is still the version this job is about.
    async fn check_file(&self, source: &Source, job: &Job, progress: &Progress) -> Step<()> {
        let (root, below) = (source.root.clone(), job.path.below.clone());
        let print = source.reader.spawn_blocking(move || disk::stat_one(&root, &below));
        match outlasting(print, (), progress).await {
            Ok(Ok(Some(print))) if print == job.print => Ok(()),
            Ok(Ok(Some(print))) => Err(self.changed(print)),
            Ok(Ok(None)) => Err(Stop::Outcome(Outcome::Gone)),
            Ok(Err(error)) => Err(self.later(job, &format!("cannot look at the file: {error}"))),
            Err(panic) => Err(self.later(job, &format!("looking at the file failed: {panic}"))),
        }
    }

    fn later(&self, job: &Job, why: &str) -> Stop {
        Stop::Outcome(self.again(job, why))
    }

    fn again(&self, job: &Job, why: &str) -> Outcome {
        let due_ms = self.in_ms(self.clock.wait(back_off(job.tries, spread())));
        Outcome::Again { due_ms, why: why.to_owned() }
    }

    /// The file is another than the one hashed: again once it has held still.
    fn changed(&self, print: Fingerprint) -> Stop {
        Stop::Outcome(Outcome::Changed { print, due_ms: self.in_ms(self.settle) })
    }

    fn in_ms(&self, wait: Duration) -> i64 {
        self.clock.now_ms().saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The day of a time in seconds since 1970, where the box is.
fn date_of(secs: i64) -> Option<Date> {
    let date = jiff::Timestamp::from_second(secs).ok()?.to_zoned(jiff::tz::TimeZone::system()).date();
    let (month, day) = (u8::try_from(date.month()).ok()?, u8::try_from(date.day()).ok()?);
    Some((u16::try_from(date.year()).ok()?, month, day))
}

fn other_size(stored: &Stored, file: &Upload) -> String {
    format!("the cloud made a file of {} bytes, not {}", stored.size, file.size)
}

fn copy_of(file: &Upload, stored: Stored) -> Copy {
    Copy { size: file.size, md5: file.content_md5, id: stored.id, path: stored.path }
}
