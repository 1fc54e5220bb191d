//! When our memory is lost: one task an account asks the cloud for everything it has, page by page, before
//! anything is sent. What it says is kept in the store (`backup/survey.rs`), and a restart goes on there.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Notify;

use super::hub::{AccountCell, Hub, lock};
use crate::backup::seam::spawn_blocking;
use crate::backup::survey::Progress;
use crate::backup::upload::Uploader;
use crate::backup::verdict::{Pause, spread};
use crate::cloud::{Kind, Page};
use crate::content::OnConflict;
use crate::remote::tops::outermost;

/// Uploads wait no longer than this for the listing: a page a call, a drive of a million files takes two
/// days (递归获取文件列表, 请求限制: 500 calls a day). From then on each remote folder is asked for by itself.
const LONGEST: Duration = Duration::from_mins(30);
/// After a failure nothing is asked before this; doubled up to [`SLOWEST`].
const FIRST: Duration = Duration::from_secs(5);
const SLOWEST: Duration = Duration::from_mins(10);
/// A listing that does not end by then never does: no drive takes so many files.
const MOST: u64 = 10_000_000;
/// So many failures in a row, other than having no way to the cloud, and uploads do not wait any more.
const FAILURES: u32 = 5;

/// What comes next.
enum Next {
    /// Another page, now.
    Page,
    /// Everything is known.
    Done,
    /// Nothing before this time.
    Wait(Duration),
    /// This cloud does not say.
    Never,
}

/// The remote folders that the account's folders lie in, none within another.
fn tops(hub: &Hub, at: usize) -> Vec<String> {
    let folders = hub.folders.iter().filter(|folder| folder.account == at);
    outermost(folders.map(|folder| folder.source.naming.top()).collect())
}

/// Makes uploads of the accounts wait that have something to ask. Before their tasks begin.
pub(super) fn prepare(hub: &Hub) {
    // Otherwise only the folder as it is now tells, and each upload asks for it.
    let is_used = hub.core.keeper.gaps().everything && hub.config.upload.on_conflict == OnConflict::KeepBoth;
    for (at, account) in hub.accounts.iter().enumerate() {
        account.asking.holds.store(is_used && !tops(hub, at).is_empty(), Ordering::Release);
    }
}

/// Runs until everything is known, or nobody wants to know any more.
pub(super) async fn run(hub: Arc<Hub>, at: usize) {
    let account = &hub.accounts[at];
    if !account.asking.holds.load(Ordering::Acquire) {
        return;
    }
    let begun = Notify::new();
    let patience = async {
        begun.notified().await;
        tokio::time::sleep(hub.core.clock.wait(LONGEST)).await;
        tracing::info!(ACCOUNT = %account.config.name, "the listing takes long; asking folder by folder too");
        let_go(&hub, account);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        () = ask(&hub, at, &begun) => {}
        () = patience => {}
        () = hub.stop.cancelled() => return,
    }
    let_go(&hub, account);
}

fn let_go(hub: &Hub, account: &AccountCell) {
    if account.asking.holds.swap(false, Ordering::AcqRel) {
        hub.work.notify_one();
        hub.changed();
    }
}

async fn ask(hub: &Arc<Hub>, at: usize, begun: &Notify) {
    let account = &hub.accounts[at];
    let tops = tops(hub, at);
    let mut progress: Option<(String, Progress)> = None;
    let mut failures = 0;
    while hub.core.keeper.gaps().everything {
        let Some(uploader) = lock(&account.uploader).clone() else {
            account.asking.wake.notified().await;
            continue;
        };
        begun.notify_one();
        let known = progress.take().filter(|(user, _)| *user == uploader.user.id);
        let known = match known {
            Some((_, known)) => Some(known),
            None => open(hub, &uploader, tops.clone()).await,
        };
        let Some(mut known) = known else { return };
        account.asking.files.store(known.files, Ordering::Relaxed);
        hub.changed();
        match page(hub, account, &uploader, &mut known, &mut failures).await {
            Next::Page => {}
            Next::Done => {
                tracing::info!(ACCOUNT = %account.config.name, "the cloud has {} files of ours", known.files);
                account.asking.is_done.store(true, Ordering::Release);
                return;
            }
            Next::Wait(wait) => {
                if failures >= FAILURES {
                    let_go(hub, account);
                }
                tokio::select! {
                    biased;
                    () = account.asking.wake.notified() => {}
                    () = tokio::time::sleep(wait) => {}
                }
            }
            Next::Never => return,
        }
        progress = Some((uploader.user.id.clone(), known));
    }
}

async fn open(hub: &Arc<Hub>, uploader: &Arc<Uploader>, tops: Vec<String>) -> Option<Progress> {
    let (hub, uploader) = (Arc::clone(hub), Arc::clone(uploader));
    let opened = spawn_blocking(move || {
        let now_ms = hub.core.clock.now_ms();
        hub.core.keeper.with_store(|store| uploader.survey.open(store, &tops, now_ms))
    });
    opened.await.ok().flatten()
}

/// One page: asked for, and on the disk.
async fn page(
    hub: &Arc<Hub>,
    account: &AccountCell,
    uploader: &Arc<Uploader>,
    progress: &mut Progress,
    failures: &mut u32,
) -> Next {
    let Some(top) = progress.next_top() else { return Next::Done };
    if progress.files > MOST {
        tracing::warn!("the cloud's listing does not end; its folders are asked one by one");
        return Next::Never;
    }
    let page = match uploader.drive.list_all(top, progress.after.clone()).await {
        Ok(page) => page,
        // Nothing was ever sent there.
        Err(error) if error.kind == Kind::Missing => Page::default(),
        Err(error) => {
            let wait = match error.kind {
                Kind::Busy { after: Some(after) } => after.max(FIRST),
                Kind::DayLimit => {
                    // Tomorrow is too far away.
                    *failures = FAILURES;
                    Duration::from_hours(1)
                }
                Kind::Refused | Kind::Blocked { .. } | Kind::Exists | Kind::Full | Kind::SliceSize => {
                    tracing::warn!(
                        ACCOUNT = %account.config.name,
                        ERRNO = error.number(),
                        REQUEST_ID = error.request_id(),
                        "what the cloud has is asked folder by folder: {error}"
                    );
                    return Next::Never;
                }
                Kind::Unauthorized => {
                    account.pause_for(Pause::Login, error.to_string(), &hub.core.clock);
                    SLOWEST
                }
                kind => {
                    *failures += u32::from(kind != Kind::Offline);
                    FIRST.saturating_mul(1 << (*failures).min(7)).min(SLOWEST)
                }
            };
            tracing::info!(
                ACCOUNT = %account.config.name,
                ERRNO = error.number(),
                REQUEST_ID = error.request_id(),
                "what the cloud has is asked again: {error}"
            );
            return Next::Wait(hub.core.clock.wait(wait).mul_f64(0.9 + 0.2 * spread()));
        }
    };
    *failures = 0;
    let (shared, uploader, mut next) = (Arc::clone(hub), Arc::clone(uploader), progress.clone());
    let kept = spawn_blocking(move || {
        let now_ms = shared.core.clock.now_ms();
        let added =
            shared.core.keeper.with_store(|store| uploader.survey.add(store, &mut next, page, now_ms));
        added.map(|()| next)
    });
    match kept.await.ok().flatten() {
        Some(next) => *progress = next,
        // The agent is ending.
        None => return Next::Never,
    }
    Next::Page
}
