//! Threads for the target's disk, with the rights of whoever typed the command.
//!
//! On Linux rights belong to a thread. A command that speaks to the cloud becomes the owner of the state
//! folder, so that the agent can read the tokens it writes; the files it brings home must belong to the
//! person. So these threads are started first, keep the rights they began with, and do all of the target's
//! disk work, one closure at a time. They also keep a slow disk from holding up the network.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Work on the disk.
pub type Job = Box<dyn FnOnce() + Send>;

/// The threads; they end when the last clone is dropped and its work is done.
#[derive(Clone)]
pub struct Disk {
    jobs: Sender<Job>,
}

impl Disk {
    /// Starts `threads` threads with the rights of this one.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(threads: usize) -> io::Result<Self> {
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads.max(1) {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new().name("disk".into()).spawn(move || work(&queue))?;
        }
        Ok(Self { jobs })
    }

    /// Does `job` on one of the threads.
    ///
    /// # Errors
    /// Those of the job.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (answer, done) = tokio::sync::oneshot::channel();
        self.hand(Box::new(move || drop(answer.send(job()))))?;
        done.await.map_err(|_| ended())?
    }

    /// Has `job` done on one of the threads, without waiting for it.
    ///
    /// # Errors
    /// There is no thread any more.
    pub fn hand(&self, job: Job) -> io::Result<()> {
        self.jobs.send(job).map_err(|_| ended())
    }
}

fn ended() -> io::Error {
    io::Error::other("the threads for the disk have ended")
}

fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        // Whoever asked sees that there is no answer; the others still need the thread.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}
