//! The files that wait for their turn to be downloaded, each with an address that grows old meanwhile.

use std::collections::VecDeque;

use tokio::sync::{Mutex, MutexGuard, mpsc};
use tokio::time::Instant;

use super::one::Ready;
use crate::cloud::give_back::{Asked, MOST_DETAILS};

/// See the module.
pub(super) struct Queue(Mutex<Waiting>);

struct Waiting {
    /// These are next.
    first: VecDeque<Ready>,
    rest: mpsc::Receiver<Ready>,
}

impl Queue {
    /// Of what comes out of a channel.
    pub(super) fn new(rest: mpsc::Receiver<Ready>) -> Self {
        Self(Mutex::new(Waiting { first: VecDeque::new(), rest }))
    }

    /// The next file; `None` when no more come.
    pub(super) async fn next(&self) -> Option<Ready> {
        let mut waiting = self.0.lock().await;
        match waiting.first.pop_front() {
            Some(first) => Some(first),
            None => waiting.rest.recv().await,
        }
    }

    /// Files that wait with an address as old as one that was asked for then: so many that they and another
    /// one can be asked about in one call. Nobody takes a file meanwhile.
    pub(super) fn as_old_as(&self, asked_at: Option<Instant>) -> Old<'_> {
        // Somebody waits for the next one, so that none is there; or somebody renews them already.
        let Ok(mut waiting) = self.0.try_lock() else { return Old { waiting: None, asked_at } };
        while waiting.first.len() < MOST_DETAILS - 1
            && let Ok(next) = waiting.rest.try_recv()
        {
            waiting.first.push_back(next);
        }
        Old { waiting: Some(waiting), asked_at }
    }
}

/// See [`Queue::as_old_as`].
pub(super) struct Old<'a> {
    waiting: Option<MutexGuard<'a, Waiting>>,
    asked_at: Option<Instant>,
}

impl Old<'_> {
    /// As the cloud is asked about them.
    pub(super) fn asked(&self) -> impl Iterator<Item = Asked> {
        let waiting = self.waiting.iter().flat_map(|waiting| waiting.first.iter());
        waiting.filter(|file| is_old(file, self.asked_at)).map(Ready::asked)
    }

    /// All of them.
    pub(super) fn files(&mut self) -> impl Iterator<Item = &mut Ready> {
        let asked_at = self.asked_at;
        let waiting = self.waiting.iter_mut().flat_map(|waiting| waiting.first.iter_mut());
        waiting.filter(move |file| is_old(file, asked_at))
    }
}

/// An empty file has no address.
fn is_old(file: &Ready, asked_at: Option<Instant>) -> bool {
    file.wanted.size > 0 && file.asked_at <= asked_at
}
