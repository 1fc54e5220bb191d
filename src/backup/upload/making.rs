//! Waiting for a cloud that takes its time to make a file of what was sent.
//!
//! Everything has arrived then, and nothing of ours is busy with the file: it holds no slot, and another one
//! takes its place in the queue's work ([`Uploader::waiting`]). The session is written down with the next commit,
//! so that a restart asks on instead of sending anything again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{Afresh, PATIENCE, Step, Stop, Uploader, other_size};
use crate::backup::job::{Job, Stage};
use crate::backup::verdict::{Call, Verdict};
use crate::cloud::{Finish, Stored, Upload};

/// The cloud is asked so soon, and later on less and less often: when it has had a minute, every six seconds.
const FIRST: Duration = Duration::from_secs(1);
/// As seldom as this at last.
const SELDOM: Duration = Duration::from_secs(10);
/// So long it is asked before the file waits for its next try, which asks on.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// So many files of an account wait like this before others wait for their turn: each costs a few KiB, and a
/// call now and then.
pub(crate) const MOST_WAITING: usize = 32;

/// One of those that wait.
struct Waiting<'u>(&'u AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Uploader {
    /// How many files only wait for the cloud to make them: so many others may be worked on meanwhile.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn waits(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.meters.room.notify_one();
        Waiting(&self.waiting)
    }

    /// Asks until the file has been made of everything that was sent in `session`.
    pub(super) async fn until_made(
        &self,
        job: &mut Job,
        file: &Upload,
        mut session: String,
    ) -> Step<Result<Stored, Afresh>> {
        let _waits = self.waits();
        let mut waited = Duration::ZERO;
        while waited < LONGEST {
            self.keep_session(job, &session);
            let wait = (waited / 10).clamp(FIRST, SELDOM);
            tokio::time::sleep(self.clock.wait(wait)).await;
            waited += wait;
            match self.tried(Call::Made, || self.drive.made(file, &session)).await {
                Ok(Finish::Made(stored)) if stored.size == file.size => return Ok(Ok(stored)),
                Ok(Finish::Made(stored)) => return Err(self.later(job, &other_size(&stored, file))),
                Ok(Finish::Making { session: now }) => session = now,
                Err(failure) if failure.verdict == Verdict::Afresh => return Ok(Err(Afresh(failure.why))),
                Err(failure) => return Err(Stop::Failed(failure)),
            }
        }
        if job.tries >= PATIENCE
            && let Some(digests) = job.digests().cloned()
        {
            // It has had its time: the next try announces it anew.
            job.stage = Stage::Hashed(digests);
        }
        let minutes = LONGEST.as_secs() / 60;
        Err(self.later(job, &format!("the cloud did not say in {minutes} minutes whether it has the file")))
    }

    /// The session is called so from now on, also after a restart.
    fn keep_session(&self, job: &mut Job, session: &str) {
        let Stage::Sending { digests, upload } = &mut job.stage else { return };
        if upload.id == session {
            return;
        }
        session.clone_into(&mut upload.id);
        if upload.is_kept(digests) {
            self.keeper.with(|queue| {
                queue.record(job, true);
                Ok(())
            });
        }
    }
}
