//! The dispatcher: gives files to uploads while there is room, and takes what became of them.

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::JoinSet;

use super::breaker::Admits;
use super::gate::Open;
use super::hub::{AccountCell, Hub, Look, Work, lock};
use crate::account::Accounts;
use crate::backup::job::Job;
use crate::backup::progress::Progress;
use crate::backup::queue::{Claim, Next, Outcome};
use crate::backup::seam::spawn_blocking;
use crate::backup::upload::Ended;
use crate::backup::upload::hanging::HANGS;
use crate::backup::upload::making::MOST_WAITING;
use crate::backup::verdict::{back_off, spread};
use crate::cloud::{Takes, Trace};
use crate::content::FolderId;
use crate::memory;

/// Files worked on beyond `upload.parallel`: while those send, these are read.
const AHEAD: usize = 2;
/// A file whose disk is not mounted is asked for again when it is, and else after this long, milliseconds.
const AWAY_MS: i64 = 3_600_000;
/// So many of them are put back in one go.
const PUT_BACK: usize = 256;
/// The longest sleep; a clock that was set back must not make us sleep for years.
const LONGEST: Duration = Duration::from_secs(3600);
/// After work on a file that ended by a mistake of our own, milliseconds.
const AFTER_PANIC_MS: i64 = 3_600_000;
/// How often is looked whether the first file after a pause gets on.
const PROBE: Duration = Duration::from_secs(1);

/// Runs until the life ends; then every upload has been told to stop and has left what it has.
pub(super) async fn run(hub: Arc<Hub>) {
    let mut uploads = JoinSet::new();
    let room = hub.config.upload.parallel + AHEAD;
    let mut commits = hub.core.keeper.commits();
    let mut uncommitted = false;
    loop {
        let mut wait = LONGEST;
        let now_ms = hub.core.clock.now_ms();
        match hub.is_open() {
            Open::Yes(until) => {
                wait = wait.min(until_then(until, now_ms));
                wait = wait.min(fill(&hub, &mut uploads, room, now_ms));
            }
            Open::No(_, until) => {
                if !uploads.is_empty() {
                    hub.stop_uploads();
                }
                wait = wait.min(until_then(until, now_ms));
            }
        }
        if uploads.is_empty() && std::mem::take(&mut uncommitted) {
            // The last of a batch: nobody else will share the commit.
            hub.core.keeper.hurry();
            memory::give_back();
        }
        if uploads.is_empty() && has_caught_up(&hub) {
            let keeper = Arc::clone(&hub.core.keeper);
            let _ = spawn_blocking(move || keeper.looked()).await;
        }
        tokio::select! {
            biased;
            () = hub.stop.cancelled() => break,
            () = hub.core.keeper.broken().cancelled() => break,
            Some(ended) = uploads.join_next() => {
                take(&hub, ended);
                uncommitted = true;
            }
            // Files count as backed up from here on: whoever watches has to see it.
            Ok(()) = commits.changed() => hub.changed(),
            () = hub.work.notified() => {}
            // A file has been sent, and waits for the cloud: others need not wait with it.
            () = hub.core.meters.room.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    while let Some(ended) = uploads.join_next().await {
        take(&hub, ended);
    }
}

/// Starts uploads while there is room and work. Returns how long there is nothing more to start.
fn fill(hub: &Arc<Hub>, uploads: &mut JoinSet<Ended>, room: usize, now_ms: i64) -> Duration {
    let mut wait = hub.accounts.iter().enumerate().fold(LONGEST, |wait, (at, account)| {
        wait.min(match account.breaker.admits(now_ms) {
            Admits::All => LONGEST,
            Admits::None => until_then(account.breaker.paused(now_ms).map(|paused| paused.until_ms), now_ms),
            // The others follow as soon as something of the first is confirmed.
            Admits::One if hub.is_probing(at) => PROBE,
            Admits::One => LONGEST,
        })
    });
    // Files on a disk that does not answer take no room away from others, and there are no more of them.
    let hanging: Vec<FolderId> = lock(&hub.active)
        .iter()
        .filter(|(_, work)| work.progress.hangs.load(Ordering::Relaxed))
        .map(|(path, _)| path.folder)
        .collect();
    if !uploads.is_empty() {
        wait = wait.min(HANGS);
    }
    // Nor do files that the cloud makes of what it has, of which each account has so many at most.
    let waiting = |account: &AccountCell| lock(&account.uploader).as_ref().map_or(0, |one| one.waiting());
    let waiting: Vec<usize> = hub.accounts.iter().map(waiting).collect();
    let has_room = |id: FolderId| hub.folder(id).is_some_and(|(_, at)| waiting[at.account] < MOST_WAITING);
    let room = room + hanging.len() + waiting.iter().sum::<usize>();
    let mut put_back = 0;
    while uploads.len() < room {
        let may_send = |id: &FolderId| hub.can_send(*id, now_ms) && !hanging.contains(id) && has_room(*id);
        let allowed: Vec<FolderId> = hub.folders.iter().map(|folder| folder.id).filter(may_send).collect();
        let next = hub.core.keeper.with(|queue| queue.next_due(now_ms, |folder| allowed.contains(&folder)));
        match next {
            Some(Next::Claim(claim)) if hub.is_away(&claim.job.path) => {
                hub.core.keeper.with(|queue| {
                    queue.put_back(&claim.job.path, now_ms + AWAY_MS);
                    Ok(())
                });
                put_back += 1;
                if put_back == PUT_BACK {
                    return Duration::ZERO;
                }
            }
            Some(Next::Claim(claim)) => start(hub, uploads, *claim),
            Some(Next::Searching) => return Duration::ZERO,
            Some(Next::At(at)) => {
                wait = wait.min(until_then(Some(at), now_ms));
                break;
            }
            Some(Next::Nothing) | None => break,
        }
    }
    wait
}

fn start(hub: &Arc<Hub>, uploads: &mut JoinSet<Ended>, claim: Claim) {
    let path = claim.job.path.clone();
    let uploader = hub.folder(path.folder).and_then(|(_, folder)| {
        let uploader = lock(&hub.accounts[folder.account].uploader).clone()?;
        Some((folder.account, uploader, Arc::clone(&folder.source)))
    });
    let Some((at, uploader, source)) = uploader else {
        // The account went offline this moment.
        hub.core.keeper.with(|queue| queue.close(claim.job, Outcome::Released));
        return;
    };
    let progress = Arc::new(Progress::default());
    let work = Work { size: claim.job.print.size, progress: Arc::clone(&progress) };
    lock(&hub.active).insert(path, work);
    hub.changed();
    let stop = lock(&hub.uploads).clone();
    let hub = Arc::clone(hub);
    uploads.spawn(async move {
        let job = claim.job.clone();
        let due_ms = uploader.clock.now_ms().saturating_add(AFTER_PANIC_MS);
        let ended = outliving(job, due_ms, uploader.upload(&source, claim, &progress, &stop)).await;
        let is_done = matches!(ended.outcome, Outcome::Done(_));
        if is_done && has_another_login(&hub, at, uploader.login) {
            return Ended { outcome: Outcome::Released, ..ended };
        }
        ended
    });
}

/// Somebody has logged in since the uploader's user was asked for: what it sent may be in another user's drive,
/// and it sends nothing more. The account's task asks anew who it is.
fn has_another_login(hub: &Hub, at: usize, login: Option<u64>) -> bool {
    let account = &hub.accounts[at];
    let accounts = Accounts::new(&hub.config.agent.state_dir, hub.core.clock.clone());
    let is_another = accounts.login_id(&account.config.name) != login;
    if is_another {
        account.stop_sending();
        account.wake.notify_one();
    }
    is_another
}

/// The work on a file, which comes to an end also when it ends by a mistake of ours: a file that is never given
/// back would not be tried again, and an account that waits for its outcome would send nothing more.
async fn outliving(job: Job, due_ms: i64, work: impl Future<Output = Ended>) -> Ended {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
        let why = "xpand made a mistake with this file; please report what its log says".to_owned();
        Ended::new(job, Outcome::Again { due_ms, why })
    })
}

/// Every folder was looked at, and nothing of it waits: what the cloud has is known.
fn has_caught_up(hub: &Hub) -> bool {
    hub.core.keeper.gaps().any()
        && hub.folders.iter().all(|folder| {
            let is_looked_at = lock(&folder.view).last_scan_ms.is_some();
            let settling = lock(&hub.settler).settling(folder.id).files;
            let waiting = hub.core.keeper.with(|queue| Ok(queue.counts(folder.id).waiting));
            is_looked_at && settling == 0 && waiting == Some(0)
        })
}

/// What became of an upload goes into the queue, and what it says about its account to the account.
fn take(hub: &Hub, ended: Result<Ended, tokio::task::JoinError>) {
    let Ended { job, mut outcome, pause, trace } = match ended {
        Ok(ended) => ended,
        // Nothing but an end by force: the claim is given back when the next life begins.
        Err(error) => return tracing::error!("an upload ended badly: {error}"),
    };
    let Some((at, folder)) = hub.folder(job.path.folder) else { return };
    let now_ms = hub.core.clock.now_ms();
    let account = &hub.accounts[folder.account];
    let path = job.path.under(&folder.config.path);
    let told =
        Told { account: &account.config.name, folder: &folder.config.path, file: &path, trace: &trace };
    let why = pause.as_ref().map(|(_, why)| why.as_str());
    told.report(&outcome, why, folder.source.limits.takes);
    match pause {
        Some((pause, why)) => account.pause_for(pause, why, &hub.core.clock),
        // The cloud works: it refuses this file.
        None if matches!(outcome, Outcome::Park { .. }) => account.breaker.succeeded(now_ms),
        None => {
            if let Outcome::Done(copy) = &outcome {
                account.breaker.succeeded(now_ms);
                // Until the cloud is asked again.
                if let Some(quota) = &mut lock(&account.view).quota {
                    quota.used = quota.used.saturating_add(copy.size);
                }
            }
        }
    }
    if outcome == Outcome::Gone {
        // Deleted, or the whole disk is gone: a look decides, and until then nothing is forgotten.
        let _ = hub.looks.send(Look { folder: at, start: job.path.below.clone() });
        let wait = hub.core.clock.wait(back_off(job.tries, spread()));
        let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX / 2);
        outcome = Outcome::Again { due_ms: now_ms + wait, why: "the file is not there just now".into() };
    }
    let path = job.path.clone();
    hub.core.keeper.with(|queue| queue.close(job, outcome));
    lock(&hub.active).remove(&path);
    hub.core.meters.steps.fetch_add(1, Ordering::Relaxed);
    hub.changed();
}

/// The fields of what the log says of a file.
struct Told<'a> {
    account: &'a str,
    folder: &'a Path,
    file: &'a Path,
    trace: &'a Trace,
}

impl Told<'_> {
    /// `paused`: why the account sends nothing for a while.
    fn report(&self, outcome: &Outcome, paused: Option<&str>, takes: &Takes) {
        macro_rules! tell {
            ($level:ident, $($words:tt)+) => {
                tracing::$level!(
                    ACCOUNT = %self.account,
                    FOLDER = %self.folder.display(),
                    FILE = %self.file.display(),
                    ERRNO = self.trace.errno,
                    REQUEST_ID = self.trace.request_id,
                    $($words)+
                )
            };
        }
        match outcome {
            Outcome::Done(copy) => tell!(info, "backed up as {}", copy.path),
            Outcome::Again { why, .. } => tell!(info, "again later: {why}"),
            Outcome::Park { why } => tell!(warn, "failed: {why}"),
            Outcome::Skip(skip) => tell!(info, "skipped: {}", skip.words(takes)),
            Outcome::Changed { .. } => tell!(debug, "it changed; again"),
            // The account says why it pauses; what the cloud said is here.
            Outcome::Released if self.trace.errno.is_some() => {
                tell!(info, "not sent now: {}", paused.unwrap_or_default());
            }
            Outcome::Gone | Outcome::Released => {}
        }
    }
}

fn until_then(at_ms: Option<i64>, now_ms: i64) -> Duration {
    let Some(at_ms) = at_ms else { return LONGEST };
    Duration::from_millis(u64::try_from(at_ms - now_ms).unwrap_or(0)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{FilePath, Fingerprint};

    #[tokio::test]
    async fn a_mistake_of_ours_with_one_file_gives_it_back_for_later() {
        let print = Fingerprint { size: 1, mtime_ns: 1, ctime_ns: 1 };
        let job = Job::new(1, FilePath::new(FolderId(1), "a.jpg"), print);
        let ended = outliving(job.clone(), 77, async { panic!("as on purpose") }).await;
        assert!(ended.job == job && ended.pause.is_none());
        assert!(matches!(ended.outcome, Outcome::Again { due_ms: 77, .. }), "{:?}", ended.outcome);
    }
}
