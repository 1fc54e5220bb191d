//! The status, made of what the cells say at this moment.

use std::sync::atomic::Ordering;

use jiff::Timestamp;

use super::breaker::Paused;
use super::gate::Open;
use super::hub::{AccountCell, FolderCell, Hub, NOT_ASKED, lock};
use crate::backup::verdict::Pause;
use crate::status::{Account, AccountState, Active, Counts, Folder, FolderState, State, Status, Totals};

/// The status of this moment. `since` is kept by the caller, who knows the one before.
pub(super) fn status(hub: &Hub) -> Status {
    let now_ms = hub.core.clock.now_ms();
    let folders: Vec<Folder> = hub.folders.iter().map(|folder| folder_line(hub, folder)).collect();
    let accounts: Vec<Account> = hub.accounts.iter().map(|account| account_line(account, now_ms)).collect();
    let active: Vec<Active> = lock(&hub.active)
        .iter()
        .filter_map(|(path, work)| {
            let (_, folder) = hub.folder(path.folder)?;
            Some(Active {
                path: path.under(&folder.config.path).to_string_lossy().into_owned(),
                size: work.size,
                done: work.progress.done.load(Ordering::Relaxed).min(work.size),
                stage: work.progress.stage(),
            })
        })
        .collect();
    let mut counts = Counts::default();
    folders.iter().for_each(|folder| counts.add(&folder.counts));
    let rate = hub.core.meters.rate();
    let totals = Totals {
        counts: counts.into(),
        bytes_sent: hub.core.meters.sent_bytes.load(Ordering::Relaxed),
        instant: hub.core.meters.instant_files.load(Ordering::Relaxed),
        rate,
        eta_secs: (rate > 0 && counts.waiting > 0).then(|| counts.bytes_waiting.div_ceil(rate)),
    };
    let (state, reason) = overall(hub, now_ms, &accounts, &folders, &counts, !active.is_empty());
    // Of what stands still nobody knows when it ends.
    let totals = Totals { eta_secs: totals.eta_secs.filter(|_| state == State::BackingUp), ..totals };
    Status {
        version: env!("CARGO_PKG_VERSION").into(),
        state,
        reason,
        since: time(now_ms),
        device: lock(&hub.device).clone(),
        accounts,
        folders,
        active,
        totals,
    }
}

/// A time in milliseconds since 1970 as RFC 3339, whole seconds.
pub(super) fn time(ms: i64) -> String {
    Timestamp::from_second(ms.div_euclid(1000)).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

fn folder_line(hub: &Hub, folder: &FolderCell) -> Folder {
    let view = lock(&folder.view).clone();
    // In this order a file on its way from the settler to the queue is counted twice, never not at all.
    let settling = lock(&hub.settler).settling(folder.id);
    let mut counts = hub.core.keeper.with(|queue| Ok(queue.counts(folder.id))).unwrap_or_default();
    counts.files += settling.files;
    counts.bytes += settling.bytes;
    counts.waiting += settling.files;
    counts.bytes_waiting += settling.bytes;
    Folder {
        path: folder.config.path.to_string_lossy().into_owned(),
        label: folder.config.label.clone(),
        account: folder.config.account.clone(),
        state: view.state,
        reason: view.reason,
        counts,
        last_scan: view.last_scan_ms.map(time),
    }
}

/// One account, with the reason why nothing is sent to it when there is one.
pub(super) fn account_line(account: &AccountCell, now_ms: i64) -> Account {
    let mut line = lock(&account.view).clone();
    if line.state == AccountState::Ready {
        line.reason = account.asking.words();
    }
    // What a person has to do first, a login or a binding, is shown first.
    let needs_person = matches!(line.state, AccountState::NeedsLogin | AccountState::Unbound);
    if let Some(paused) = account.breaker.paused(now_ms).filter(|_| !needs_person) {
        line.reason = Some(words(&paused));
        line.state = match paused.pause {
            Pause::Offline | Pause::Failing => AccountState::Offline,
            Pause::Blocked { .. } | Pause::DayLimit => AccountState::Blocked,
            Pause::Limit { .. } | Pause::Full | Pause::Login | Pause::Membership => line.state,
        };
    }
    line
}

/// Why an account pauses, and until when.
pub(super) fn words(paused: &Paused) -> String {
    format!("{}; tried again at {}", paused.why, time(paused.until_ms))
}

/// The whole agent in one word: what a person has to do first, then what it does.
fn overall(
    hub: &Hub,
    now_ms: i64,
    accounts: &[Account],
    folders: &[Folder],
    counts: &Counts,
    is_active: bool,
) -> (State, Option<String>) {
    if hub.folders.is_empty() {
        return (State::Idle, Some("no [[folder]] is configured: there is nothing to back up".into()));
    }
    if let Some(words) = hub.no_clock() {
        return (State::WaitingForClock, Some(words));
    }
    let used: Vec<usize> = hub.folders.iter().map(|folder| folder.account).collect();
    let of = |state| {
        let account = used.iter().map(|&at| &accounts[at]).find(|account| account.state == state);
        account.map(|account| account.reason.clone())
    };
    if let Some(reason) = of(AccountState::NeedsLogin) {
        return (State::NeedsLogin, reason);
    }
    if let Some(reason) = of(AccountState::Unbound) {
        return (State::NeedsBind, reason);
    }
    if let Open::No(words, _) = hub.is_open() {
        let by_user = words.starts_with("paused");
        if by_user || counts.waiting > 0 {
            return (State::Paused, Some(words));
        }
    }
    let paused = used.iter().find_map(|&at| {
        let paused = hub.accounts[at].breaker.paused(now_ms)?;
        let words = words(&paused);
        // Of several accounts, which.
        let several = hub.accounts.len() > 1;
        Some((paused.pause, if several { format!("{}: {words}", accounts[at].name) } else { words }))
    });
    // Of a barred account a person should know before there is something to send.
    let matters = |pause: Pause| counts.waiting > 0 || matches!(pause, Pause::Blocked { .. });
    if let Some((pause, words)) = paused.filter(|(pause, _)| matters(*pause)) {
        match pause {
            Pause::Full => return (State::QuotaFull, Some(words)),
            Pause::Blocked { .. } => return (State::Failed, Some(words)),
            Pause::Offline | Pause::Failing => return (State::Offline, Some(words)),
            Pause::Limit { .. } | Pause::DayLimit => return (State::Paused, Some(words)),
            Pause::Login | Pause::Membership => {}
        }
    }
    match of(AccountState::Offline) {
        Some(Some(reason)) if reason == NOT_ASKED => return (State::Starting, None),
        Some(reason) => return (State::Offline, reason),
        None => {}
    }
    let asking = used.iter().find_map(|&at| hub.accounts[at].asking.words());
    if asking.is_some() && counts.waiting > 0 && !is_active {
        return (State::Scanning, asking);
    }
    let scanning = folders.iter().any(|folder| folder.state == FolderState::Scanning);
    if is_active || (counts.waiting > 0 && !scanning) {
        return (State::BackingUp, None);
    }
    if scanning {
        return (State::Scanning, None);
    }
    let bad = folders.iter().find(|folder| {
        matches!(folder.state, FolderState::Missing | FolderState::Suspicious | FolderState::Denied)
    });
    if let Some(folder) = bad {
        return (State::Failed, folder.reason.clone());
    }
    let failed = (counts.failed > 0).then(|| {
        let plural = if counts.failed == 1 { "" } else { "s" };
        format!("{} file{plural} failed: xpand queue --state failed", counts.failed)
    });
    (State::Idle, failed)
}
