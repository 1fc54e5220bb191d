//! How work on a file ends, and how it is asked for again.

use super::{Outcome, Queue};
use crate::backup::entry::{Entry, Standing};
use crate::backup::job::Job;
use crate::backup::shelf::Unconfirmed;
use crate::content::{FilePath, FolderId};
use crate::store::Result;

impl Queue {
    /// Ends the work on a claim.
    ///
    /// # Errors
    /// The store fails.
    pub fn close(&mut self, mut job: Job, outcome: Outcome) -> Result<()> {
        let path = job.path.clone();
        self.claimed.remove(&path);
        self.changes.0 += 1;
        let Some(entry) = self.index.get(&self.store, &path)? else {
            return self.drop_job(&path);
        };
        if entry.gone || entry.print != job.print {
            return self.close_replaced(&job, entry, outcome);
        }
        match outcome {
            Outcome::Done(copy) => {
                self.remove_job(&job);
                let size = entry.print.size;
                let done = Entry { standing: Standing::BackedUp, copy: Some(copy), ..entry };
                self.set(&path, Some(done))?;
                let fresh = &mut self.shelf(path.folder).fresh;
                *fresh = Unconfirmed { files: fresh.files + 1, bytes: fresh.bytes + size };
                Ok(())
            }
            Outcome::Again { due_ms, why } => {
                (job.tries, job.due_ms, job.why) = (job.tries.saturating_add(1), due_ms, Some(why));
                self.keep_job(&job);
                self.shelf(path.folder).push_due(due_ms, &path.below);
                Ok(())
            }
            Outcome::Park { why } => {
                (job.tries, job.due_ms, job.why) = (job.tries.saturating_add(1), 0, Some(why));
                self.keep_job(&job);
                self.set(&path, Some(Entry { standing: Standing::Failed, ..entry }))
            }
            Outcome::Skip(skip) => {
                self.remove_job(&job);
                self.set(&path, Some(Entry { standing: Standing::Skipped(skip), ..entry }))
            }
            Outcome::Changed { print, due_ms } => {
                self.remove_job(&job);
                self.set(&path, Some(Entry { print, standing: Standing::Waiting, ..entry }))?;
                self.shelf(path.folder).push_due(due_ms, &path.below);
                Ok(())
            }
            Outcome::Gone => {
                self.remove_job(&job);
                self.gone(&path)
            }
            Outcome::Released => {
                if job.digests().is_some() || job.tries > 0 {
                    self.keep_job(&job);
                }
                self.shelf(path.folder).push(&path.below);
                Ok(())
            }
        }
    }

    /// Gives back what is still claimed: whoever worked on it is no more.
    pub fn release_claims(&mut self) {
        for path in std::mem::take(&mut self.claimed).into_keys() {
            self.shelf(path.folder).push(&path.below);
        }
    }

    /// The file was replaced or went while it was worked on: what was learned of the cloud is kept.
    fn close_replaced(&mut self, job: &Job, entry: Entry, outcome: Outcome) -> Result<()> {
        self.remove_job(job);
        let path = &job.path;
        if let Outcome::Done(copy) = outcome {
            self.set(path, Some(Entry { copy: Some(copy), ..entry.clone() }))?;
        }
        if entry.standing == Standing::Waiting && !entry.gone {
            self.shelf(path.folder).push(&path.below);
        }
        Ok(())
    }

    /// Forgets a file that nobody works on: with the next offer it is a new one.
    ///
    /// # Errors
    /// The store fails.
    pub fn forget(&mut self, path: &FilePath) -> Result<()> {
        self.drop_job(path)?;
        self.set(path, None)
    }

    /// Failed and waiting files are tried now: one, those below one path, or all of a folder. Returns how
    /// many.
    ///
    /// # Errors
    /// The store fails.
    pub fn retry(&mut self, folder: FolderId, below: Option<&[u8]>) -> Result<u64> {
        let mut count = 0;
        let mut after: Option<Box<[u8]>> = None;
        // A file, unless nothing of that name is known: then it is a folder.
        let mut file = match below {
            Some(below) => {
                let path = FilePath { folder, below: below.into() };
                let stored = self.job(&path)?;
                // A failed file whose record is damaged is asked for by name.
                match (&stored, self.index.get(&self.store, &path)?) {
                    (None, Some(entry)) => Some(Job::new(self.new_job_id(), path, entry.print)),
                    _ => stored,
                }
            }
            None => None,
        };
        let is_file = file.is_some();
        let is_wanted = |job: &Job| match below {
            Some(below) if !is_file => {
                job.path.below.strip_prefix(below).is_some_and(|rest| rest.first() == Some(&b'/'))
            }
            _ => true,
        };
        loop {
            let jobs = match file.take() {
                Some(job) => vec![job],
                None => self.jobs(folder, after.as_deref())?,
            };
            after = jobs.last().map(|job| job.path.below.clone());
            for mut job in jobs {
                if !is_wanted(&job) {
                    continue;
                }
                let path = job.path.clone();
                let Some(entry) = self.index.get(&self.store, &path)? else {
                    continue;
                };
                if self.claimed.contains_key(&path) || entry.gone || entry.print != job.print {
                    continue;
                }
                if !matches!(entry.standing, Standing::Failed | Standing::Waiting) {
                    continue;
                }
                (job.due_ms, job.tries) = (0, 0);
                self.keep_job(&job);
                self.set(&path, Some(Entry { standing: Standing::Waiting, ..entry }))?;
                self.shelf(folder).push(&path.below);
                count += 1;
            }
            if is_file || after.is_none() {
                return Ok(count);
            }
        }
    }
}
