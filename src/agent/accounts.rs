//! One task an account: logged in? bound? then files may be sent; looked at again on a timer and
//! whenever somebody logs in, out, binds or unbinds.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::hub::{AccountCell, Hub, Look, NOT_ASKED, lock};
use super::phase;
use super::time::{Jumps, Ticks};
use super::view::{self, time};
use crate::account::{Accounts, State, Tokens};
use crate::backup::survey::Survey;
use crate::backup::upload::Uploader;
use crate::backup::upload::copying::Copier;
use crate::backup::verdict::{Pause, spread};
use crate::clock::Clock;
use crate::cloud::{self, Drive, Kind, User};
use crate::device::{Binding, Device, DeviceState};
use crate::status::{self, AccountState, Quota};

/// After a failure nothing is asked before this; doubled up to [`SLOWEST`].
const FIRST: Duration = Duration::from_secs(5);
const SLOWEST: Duration = Duration::from_secs(600);
/// A refused login is looked at again this often: `account.rs` allows one attempt an hour.
const LOGIN: Duration = Duration::from_secs(3600);
/// Changes made by other processes are noticed within two seconds.
const NOTICE: Duration = Duration::from_millis(1500);

/// What all accounts share.
pub(super) struct Shared {
    /// The accounts' files.
    pub accounts: Accounts,
    /// The device's file.
    pub device: Device,
    /// Of each account that was used: a renewal under way is waited for at the end.
    pub tokens: Mutex<Vec<Arc<Tokens>>>,
    /// `upload.parallel`
    pub slots: Arc<Semaphore>,
    /// As many, for slices alone.
    pub(super) slices: Arc<Semaphore>,
    /// One file is hashed on each processor but one.
    pub hashers: Arc<Semaphore>,
}

/// What one round found.
enum Found {
    /// Files can be sent.
    Ready,
    /// A person has to act.
    Waiting(AccountState, String),
    /// The cloud does nothing for this account for now.
    Refused(Pause, String),
    /// It has said so before, and is not asked.
    Paused,
    /// Try again soon.
    Failed(String),
    /// Nobody has told the box the time; `notice` sees when that is done.
    NoClock(String),
    /// The box has just been started, as many others may have been.
    Resting(Duration),
}

/// Who rests after a power cut: the login that was there. Whoever logs in now wants to see it work.
struct Rest {
    login: Option<u64>,
}

/// Runs until the life ends.
pub(super) async fn run(hub: Arc<Hub>, shared: Arc<Shared>, at: usize) {
    let account = &hub.accounts[at];
    let mut drive: Option<Arc<dyn Drive>> = None;
    let mut failures = 0_u32;
    // On the steady clock: a time that was set back must not put it off for years.
    let mut checked_ms = i64::MIN;
    let rest = Rest { login: shared.accounts.login_id(&account.config.name) };
    loop {
        let found = tokio::select! {
            biased;
            found = round(&hub, &shared, at, &mut drive, &mut checked_ms, &rest) => found,
            () = hub.stop.cancelled() => break,
        };
        let wait = show(&hub, account, found, &mut failures);
        refresh_device(&hub, &shared);
        tokio::select! {
            biased;
            () = hub.stop.cancelled() => break,
            () = account.wake.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
        if let Some(Pause::Login | Pause::Membership) = account.breaker.last() {
            // It is not what we thought.
            *lock(&account.uploader) = None;
        }
    }
    account.stop_sending();
}

/// One round: login, user, binding, quota.
async fn round(
    hub: &Hub,
    shared: &Shared,
    at: usize,
    drive: &mut Option<Arc<dyn Drive>>,
    checked_ms: &mut i64,
    rest: &Rest,
) -> Found {
    let account = &hub.accounts[at];
    if let Some(words) = hub.no_clock() {
        return Found::NoClock(words);
    }
    let name = &account.config.name;
    let login = || format!("log in with: xpand account login {name}");
    match login_of(shared, name) {
        State::LoggedOut if crate::account::logs_in_by_itself(&account.config) => {}
        State::LoggedOut => {
            *drive = None;
            return Found::Waiting(AccountState::NeedsLogin, format!("not logged in; {}", login()));
        }
        State::Damaged { words } => {
            *drive = None;
            return Found::Waiting(AccountState::NeedsLogin, format!("{words}; {}", login()));
        }
        State::Ready { .. } | State::Refused { .. } => {}
    }
    if is_kept_waiting(account, &hub.core.clock) {
        return Found::Paused;
    }
    // Before the question: whoever logs in from here on makes the answer worthless.
    let login_id = shared.accounts.login_id(name);
    if login_id == rest.login
        && let Some(left) = hub.core.start.rest(login_id, &hub.core.clock)
    {
        return Found::Resting(left);
    }
    let open = match drive {
        Some(drive) => Arc::clone(drive),
        None => match open_drive(shared, account) {
            Ok(opened) => Arc::clone(drive.insert(opened)),
            Err(words) => return Found::Failed(words),
        },
    };
    let user = match open.user().await {
        Ok(user) => user,
        Err(error) => return refused(&error, &login()),
    };
    // An application that logs in by itself may have done so just now.
    let login_id = login_id.or_else(|| shared.accounts.login_id(name));
    show_user(account, &user);
    match hub.core.keeper.with(|queue| queue.set_user(name, &user.id)) {
        Some(true) => {}
        Some(false) => {
            // What is backed up is so in another user's drive: begin anew with what is known of this one's.
            tracing::warn!(ACCOUNT = %name, "another user is logged in now; looking at everything again");
            account.breaker.lift();
            hub.core.renew.notify_one();
            return Found::Failed("another user is logged in now".into());
        }
        None => return Found::Failed("the state cannot be written".into()),
    }
    if let Some(devices) = open.devices() {
        let now_ms = hub.core.clock.steady_ms();
        let every = i64::try_from(hub.config.agent.check_bind.as_millis()).unwrap_or(i64::MAX);
        let mut binding = shared.device.ensure_bound(name, &user.id, devices).await;
        if binding.is_ok() && now_ms.saturating_sub(*checked_ms) >= every / 2 {
            binding = match shared.device.check(name, &user.id, devices).await {
                Ok(checked) => {
                    *checked_ms = now_ms;
                    Ok(checked.binding)
                }
                // What the file says stands until the cloud can be asked.
                Err(crate::device::Error::Cloud(error)) if error.kind != Kind::Unauthorized => {
                    tracing::debug!(ACCOUNT = %name, "checkbind is tried again: {error}");
                    binding
                }
                Err(error) => Err(error),
            };
        }
        match binding {
            Ok(binding) if binding.allows_backup() => {}
            Ok(Binding::Unbound { by_user: true }) => {
                let words = format!(
                    "this device was unbound in the app; to go on: xpand device bind --account {name}"
                );
                return Found::Waiting(AccountState::Unbound, words);
            }
            Ok(_) => {
                let words =
                    format!("this device is not bound; bind it with: xpand device bind --account {name}");
                return Found::Waiting(AccountState::Unbound, words);
            }
            Err(crate::device::Error::Cloud(error)) if !is_about_device(&error) => {
                return refused(&error, &login());
            }
            Err(error) => return Found::Waiting(AccountState::Unbound, error.to_string()),
        }
    }
    match open.quota().await {
        Ok(quota) => {
            let quota = quota.map(|quota| Quota { used: quota.used, total: quota.total });
            lock(&account.view).quota = quota;
        }
        Err(error) if matches!(error.kind, Kind::Blocked { .. } | Kind::DayLimit) => {
            return refused(&error, &login());
        }
        Err(error) => tracing::debug!(ACCOUNT = %name, "quota: {error}"),
    }
    put_uploader(hub, shared, at, open, (user, login_id));
    Found::Ready
}

fn login_of(shared: &Shared, name: &str) -> State {
    #[cfg(test)]
    if crate::backup::seam::machine().is_some() {
        return State::Ready { expires_at: None, renewable: true, of_application: false };
    }
    shared.accounts.state(name)
}

/// The drive of an account; no call is made.
fn open_drive(shared: &Shared, account: &AccountCell) -> Result<Arc<dyn Drive>, String> {
    #[cfg(test)]
    if let Some(machine) = crate::backup::seam::machine() {
        return Ok(machine.drive());
    }
    let words = |error: crate::account::Error| error.to_string();
    let tokens = shared.accounts.tokens(&account.config).map_err(words)?;
    lock(&shared.tokens).push(Arc::clone(&tokens));
    let calls = shared.accounts.calls(&account.config).map_err(words)?;
    cloud::open(&account.config, tokens, calls).map_err(|error| error.to_string())
}

/// Whether the account pauses for something that asking would only make worse.
fn is_kept_waiting(account: &AccountCell, clock: &Clock) -> bool {
    let paused = account.breaker.paused(clock.now_ms());
    paused.is_some_and(|paused| {
        matches!(paused.pause, Pause::Limit { .. } | Pause::DayLimit | Pause::Blocked { .. })
    })
}

fn put_uploader(
    hub: &Hub,
    shared: &Shared,
    at: usize,
    drive: Arc<dyn Drive>,
    (user, login): (User, Option<u64>),
) {
    let account = &hub.accounts[at];
    if hub.accounts[..at].iter().all(|before| lock(&before.uploader).is_none()) {
        lock(&hub.core.gate).open_later(hub.core.clock.wait(phase::opening(login)));
    }
    let mut cell = lock(&account.uploader);
    let is_the_same = |uploader: &Arc<Uploader>| {
        uploader.user == user && uploader.login == login && Arc::ptr_eq(&uploader.drive, &drive)
    };
    if cell.as_ref().is_some_and(is_the_same) {
        return;
    }
    let survey = Survey::of(&account.config.name, &user.id);
    let uploader = Uploader {
        drive,
        user,
        login,
        keeper: Arc::clone(&hub.core.keeper),
        parallel: hub.config.upload.parallel,
        slots: Arc::clone(&shared.slots),
        slices: Arc::clone(&shared.slices),
        looks: Semaphore::new(1),
        hashers: Arc::clone(&shared.hashers),
        throttle: Arc::clone(&hub.core.throttle),
        lookup: Arc::default(),
        copier: Copier::default(),
        waiting: AtomicUsize::new(0),
        survey,
        is_surveyed: Arc::clone(&account.asking.is_done),
        meters: Arc::clone(&hub.core.meters),
        settle: hub.config.agent.settle,
        clock: hub.core.clock.clone(),
        stop: hub.stop.child_token(),
    };
    let largest = uploader.user.max_file_size;
    *cell = Some(Arc::new(uploader));
    drop(cell);
    account.asking.wake.notify_one();
    if account.largest.swap(largest, Ordering::Relaxed) != largest {
        // Files that were too large may fit, or the other way round.
        for folder in (0..hub.folders.len()).filter(|&folder| hub.folders[folder].account == at) {
            let _ = hub.looks.send(Look { folder, start: Box::default() });
        }
    }
}

/// Shows what a round found. Returns when the next is due.
fn show(hub: &Hub, account: &AccountCell, found: Found, failures: &mut u32) -> Duration {
    let now_ms = hub.core.clock.now_ms();
    if let Found::Refused(pause, why) = &found {
        account.pause_for(*pause, why.clone(), &hub.core.clock);
    }
    let paused = account.breaker.paused(now_ms);
    let spread_by = |least: f64, wait: Duration| wait.mul_f64(least + 2.0 * (1.0 - least) * spread());
    let spread = |wait| spread_by(0.95, wait);
    let wait = match &found {
        Found::Ready => {
            *failures = 0;
            let login = lock(&account.uploader).as_ref().and_then(|uploader| uploader.login);
            phase::until_next(now_ms, hub.config.agent.check_bind, phase::of(login))
        }
        Found::Resting(left) => *left,
        Found::Waiting(AccountState::Unbound, _) => spread(hub.config.agent.check_bind),
        Found::Waiting(..) => spread(hub.core.clock.wait(LOGIN)),
        Found::Refused(..) | Found::Paused => {
            let left = paused.as_ref().map_or(0, |paused| paused.until_ms - now_ms);
            // Looking whether the time has come costs nothing, and clocks jump.
            Duration::from_millis(u64::try_from(left).unwrap_or(0) + 1).min(SLOWEST)
        }
        Found::NoClock(_) => spread(hub.core.clock.wait(LOGIN)),
        Found::Failed(_) => {
            let wait = FIRST.saturating_mul(1 << (*failures).min(10)).min(SLOWEST);
            *failures += 1;
            // What fails for one fails for all, from the same second on.
            spread_by(0.5, hub.core.clock.wait(wait))
        }
    };
    let is_resting = matches!(found, Found::Resting(_));
    let (state, reason) = match found {
        Found::Ready => (AccountState::Ready, None),
        Found::Waiting(state, words) => (state, Some(words)),
        // What is in flight goes on, and the pause says the rest.
        Found::Refused(..) | Found::Paused if lock(&account.uploader).is_some() => {
            (AccountState::Ready, None)
        }
        Found::Refused(..) | Found::Paused => (AccountState::Blocked, paused.as_ref().map(view::words)),
        Found::NoClock(words) => (AccountState::Offline, Some(words)),
        Found::Resting(left) => {
            let first = time(now_ms + i64::try_from(left.as_millis()).unwrap_or(0));
            let words = format!("this box has just been started: the cloud is first asked at {first}");
            (AccountState::Offline, Some(words))
        }
        Found::Failed(words) => {
            let next = now_ms + i64::try_from(wait.as_millis()).unwrap_or(0);
            (AccountState::Offline, Some(format!("{words}; tried again at {}", time(next))))
        }
    };
    if state == AccountState::Ready {
        account.breaker.is_ready(now_ms);
    }
    if matches!(state, AccountState::NeedsLogin | AccountState::Unbound) {
        // Offline stops nothing: uploads notice by themselves, and may be through before we are.
        account.stop_sending();
    }
    let mut view = lock(&account.view);
    if view.state != state || view.reason.as_deref() == Some(NOT_ASKED) {
        match &reason {
            Some(words) if is_resting => tracing::info!(ACCOUNT = %account.config.name, "{words}"),
            Some(words) => tracing::warn!(ACCOUNT = %account.config.name, "{words}"),
            None => tracing::info!(ACCOUNT = %account.config.name, "ready"),
        }
    }
    (view.state, view.reason) = (state, reason);
    drop(view);
    hub.work.notify_one();
    hub.changed();
    wait
}

fn show_user(account: &AccountCell, user: &User) {
    let mut view = lock(&account.view);
    view.user = Some(user.name.clone()).filter(|name| !name.is_empty());
    view.vip_type = user.vip_type;
}

fn refused(error: &cloud::Error, login: &str) -> Found {
    match error.kind {
        Kind::Unauthorized => {
            let words = error.to_string();
            let hint = if words.contains("account login") { String::new() } else { format!("; {login}") };
            Found::Waiting(AccountState::NeedsLogin, format!("{words}{hint}"))
        }
        Kind::Blocked { after } => Found::Refused(Pause::Blocked { after }, error.to_string()),
        Kind::DayLimit => Found::Refused(Pause::DayLimit, error.to_string()),
        Kind::Busy { after: Some(after) } if !after.is_zero() => {
            Found::Refused(Pause::Limit { after }, error.to_string())
        }
        _ => Found::Failed(error.to_string()),
    }
}

/// Whether a device call was refused for the device's sake: the binding is then what a person has to mend.
fn is_about_device(error: &cloud::Error) -> bool {
    let is_number = error.number().is_some_and(|number| (42_100..=42_103).contains(&number));
    is_number || matches!(error.kind, Kind::Refused | Kind::Exists | Kind::Missing)
}

/// Shows the device as its file says.
fn refresh_device(hub: &Hub, shared: &Shared) {
    let kind = hub.config.device.as_ref().map(|device| device.kind.clone());
    let line = match shared.device.state() {
        Ok(DeviceState::Off) | Err(_) => status::Device::default(),
        Ok(DeviceState::New { address }) => {
            status::Device { address, kind, id: None, state: status::DeviceState::New }
        }
        Ok(DeviceState::Registered { address, id }) => {
            let state = status::DeviceState::Registered;
            status::Device { address: Some(address), kind, id: Some(id), state }
        }
    };
    *lock(&hub.device) = line;
}

/// Rings an account's bell when its file, or the device's, has been changed by anybody, or the clock was set.
/// Ends the agent when its state folder is not there any more.
pub(super) async fn notice(hub: Arc<Hub>, shared: Arc<Shared>) {
    let stamps = || -> (Vec<_>, _) {
        let files = hub.accounts.iter().map(|account| shared.accounts.stamp(&account.config.name));
        (files.collect(), shared.device.stamp())
    };
    let mut before = stamps();
    let mut jumps = Jumps::new(&hub);
    let ticks = Ticks::new(NOTICE);
    loop {
        tokio::select! {
            () = ticks.next() => {}
            () = hub.stop.cancelled() => return,
        }
        let now = stamps();
        let has_jumped = jumps.look(&hub);
        hub.core.keeper.check_place();
        for (at, account) in hub.accounts.iter().enumerate() {
            let is_another_login = now.0[at] != before.0[at];
            if is_another_login && is_kept_waiting(account, &hub.core.clock) {
                // What the cloud said was about the login before this one, and nobody is asked while it counts.
                // Nothing goes before it is known who this one is.
                account.stop_sending();
                account.breaker.lift();
            }
            if has_jumped || is_another_login || now.1 != before.1 {
                account.wake.notify_one();
            }
        }
        before = now;
    }
}
