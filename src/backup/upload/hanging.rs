//! A read from a disk that does not answer: others need not wait for it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};

use crate::backup::progress::Progress;

/// A disk that gives no byte for so long hangs; one that has to spin up does not.
pub(crate) const HANGS: Duration = Duration::from_secs(20);

/// Waits for a read to end. While the disk does not answer, its turn goes to a file on another one.
pub(super) async fn outlasting<T, P>(
    mut read: JoinHandle<T>,
    turn: P,
    progress: &Progress,
) -> Result<T, JoinError> {
    let mut turn = Some(turn);
    loop {
        let before = progress.done.load(Ordering::Relaxed);
        tokio::select! {
            biased;
            ended = &mut read => {
                progress.hangs.store(false, Ordering::Relaxed);
                return ended;
            }
            () = tokio::time::sleep(HANGS) => {
                let hangs = progress.done.load(Ordering::Relaxed) == before;
                progress.hangs.store(hangs, Ordering::Relaxed);
                if hangs && turn.take().is_some() {
                    tracing::warn!("a disk has not answered for {} s; others go on meanwhile", HANGS.as_secs());
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::sync::Semaphore;

    #[tokio::test(start_paused = true)]
    async fn a_read_that_hangs_gives_its_turn_away_and_one_that_gets_on_keeps_it() {
        for gets_on in [true, false] {
            let (progress, turns) = (Arc::new(Progress::default()), Semaphore::new(1));
            let (reading, done) = (Arc::clone(&progress), Arc::new(tokio::sync::Notify::new()));
            let ends = Arc::clone(&done);
            let read = tokio::spawn(async move {
                loop {
                    tokio::select! {
                        () = ends.notified() => return 7,
                        () = tokio::time::sleep(HANGS / 3) => {
                            reading.done.fetch_add(u64::from(gets_on), Ordering::Relaxed);
                        }
                    }
                }
            });
            let turn = turns.acquire().await.unwrap();
            let watch = async {
                tokio::time::sleep(HANGS * 10).await;
                let seen = (turns.available_permits(), progress.hangs.load(Ordering::Relaxed));
                done.notify_one();
                seen
            };
            let (ended, seen) = tokio::join!(outlasting(read, turn, &progress), watch);
            assert_eq!((ended.unwrap(), seen), (7, (usize::from(!gets_on), !gets_on)));
            assert!(!progress.hangs.load(Ordering::Relaxed));
        }
    }
}
