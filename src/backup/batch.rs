//! Files that a person names: the pipeline without folders to watch.
//!
//! ```text
//! look: named file, or walk of a named folder -> offer -> queue -> Uploader -> told
//! ```
//!
//! Queue, keeper and uploads are the backup's, over a small store of its own ([`state`]) that lives until
//! everything has arrived: a batch that was cut off goes on with the sessions and slices that the cloud
//! confirmed. What it confirmed whole is believed only as long as the cloud lists it: the person may have
//! deleted it meanwhile, and names it again.
//!
//! A person waits, so that nothing is put off for hours: a file is given up after [`TRIES`], the batch when
//! the cloud cannot be reached for some ten minutes, or says what no waiting helps against.

mod look;
mod patience;
pub mod state;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::body::Throttle;
use super::entry::{Copy, Limits, Skip};
use super::hash;
use super::job::Job;
use super::keeper::Keeper;
use super::progress::{Meters, Progress};
use super::queue::{Claim, Next, Offer, Outcome, Queue};
use super::source::Source;
use super::survey::Survey;
use super::upload::copying::Copier;
use super::upload::making::MOST_WAITING;
use super::upload::{Ended, Uploader};
use super::verdict::Pause;
use super::walk::Passed;
use crate::clock::Clock;
use crate::cloud::{self, Drive, Takes, User};
use crate::content::{FilePath, FolderId};
use crate::status::Stage;
use crate::store;
use look::{Seen, ended_well, look};
use patience::{LONGEST_LIMIT, waits};

/// Tries of a file before it is given up; each call of a try is made some times over.
pub const TRIES: u32 = 4;
/// Before the next try of a file, doubled each time.
const FILE_WAITS: Duration = Duration::from_secs(5);
/// Versions of a file that may change while they are read or sent.
const CHANGES: u32 = 3;
/// Files in a row, nothing arriving between, and it is the cloud that fails.
const FAILURES: u32 = 5;
/// Somebody who logs in meanwhile is noticed after this long.
const LOGIN: Duration = Duration::from_secs(1);
/// Files worked on beyond `upload.parallel`: while those are sent, this many are read.
const AHEAD: usize = 1;

/// What the uploads of a batch need besides the files.
#[derive(Clone)]
pub struct Setting {
    /// The account's name.
    pub account: String,
    /// Its drive.
    pub drive: Arc<dyn Drive>,
    /// Who is logged in there.
    pub user: User,
    /// The login that `user` was asked with.
    pub login: Option<u64>,
    /// The login that the drive's tokens are of now: another one may be another user's.
    pub login_now: Arc<dyn Fn() -> Option<u64> + Send + Sync>,
    /// `upload.parallel`
    pub parallel: usize,
    /// `upload.rate`
    pub throttle: Arc<Throttle>,
    /// `agent.settle`: how long a file that changed is left alone.
    pub settle: Duration,
    /// For times to try again.
    pub clock: Clock,
}

/// Something to send.
#[derive(Clone, Debug)]
pub struct Named {
    /// The folder it is in, and what becomes of it.
    pub source: Arc<Source>,
    /// The file's path below that folder; empty: everything in the folder.
    pub below: Box<[u8]>,
}

/// What became of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// It was sent, and the cloud confirmed it.
    Done(Copy),
    /// The cloud had the content, and made the file of it: nothing was sent.
    Instant(Copy),
    /// It was in the cloud already, as far as the cloud tells this from [`End::Instant`].
    There(Copy),
    /// It is only said what would be done: it would be sent.
    Rehearsed,
    /// It cannot be sent, for a reason known before reading it.
    Skipped(String),
    /// It was given up.
    Failed(String),
    /// Nothing yet: it is tried again, and why if it is this file's own trouble.
    Later(Option<String>),
}

/// Who is told how it goes.
pub trait Watch {
    /// A file is to be sent. `is_escaped`: the cloud does not take its name, or one above it, as it is.
    fn expects(&self, local: &Path, remote: &str, size: u64, is_escaped: bool);
    /// Work on it begins; how far it is shows in `progress`.
    fn begins(&self, local: &Path, size: u64, progress: &Arc<Progress>);
    /// What became of it. `remote` is what it is, or would have been, called in the cloud.
    fn ended(&self, local: &Path, remote: &str, size: u64, end: &End);
    /// Nothing is sent for a while, and why.
    fn waits(&self, words: &str);
    /// Everything was looked for. What is no file, in the folders that were named, is not sent.
    fn passed(&self, passed: Passed);
}

/// Why a batch ended before everything was tried.
#[derive(Debug)]
pub enum Stop {
    /// The account, and why.
    Account(Pause, String),
    /// A call that nothing goes without.
    Cloud(cloud::Error),
    /// Somebody else, who is called so, has logged in: the rest would go to another drive.
    OtherUser(String),
    /// A mistake of our own.
    Broken(String),
    /// What is kept of it cannot be written: [`state::State::end`] says why.
    State,
}

type Step<T = ()> = Result<T, Stop>;

/// Sends everything that was named, and returns when each file arrived or was given up.
///
/// # Errors
/// See [`Stop`]. What was under way is kept in `keeper`.
pub async fn run(
    setting: Setting,
    keeper: &Arc<Keeper>,
    named: Vec<Named>,
    watch: &dyn Watch,
) -> Result<(), Stop> {
    let stop = CancellationToken::new();
    let mut run = Run {
        uploader: Arc::new(uploader(&setting, keeper, &stop)),
        stop,
        setting,
        keeper: Arc::clone(keeper),
        watch,
        sources: BTreeMap::new(),
        uploads: JoinSet::new(),
        changed: BTreeMap::new(),
        troubles: 0,
        failures: 0,
        rest: None,
        is_anew: false,
        asked: Instant::now(),
    };
    let ended = run.work(named).await;
    // What is in flight leaves what it has.
    run.stop.cancel();
    while let Some(ended) = run.uploads.join_next().await {
        let _ = run.take(ended);
    }
    ended
}

/// Tells what [`run`] would send, and sends nothing.
///
/// # Errors
/// [`Stop::Broken`]
pub async fn rehearse(user: &User, named: Vec<Named>, watch: &dyn Watch) -> Result<(), Stop> {
    let sources: Vec<Arc<Source>> = named.iter().map(|named| Arc::clone(&named.source)).collect();
    let (mut seen, look) = look((0..).map(FolderId).zip(named).collect());
    while let Some(seen) = seen.recv().await {
        let Some(source) = sources.get(seen.path.folder.0 as usize) else { continue };
        let Some(print) = seen.expect(source, watch) else { continue };
        let limits = Limits { tier: Some(user.max_file_size), ..source.limits };
        let end = match limits.skip(&seen.path.below, print.size) {
            Some(skip) => end_of(skip, limits.takes),
            None => End::Rehearsed,
        };
        watch.ended(&seen.local, &source.naming.remote_path(&seen.path.below, None), print.size, &end);
    }
    ended_well(Some(look), watch).await
}

/// What it is for a person that a file cannot be sent.
fn end_of(skip: Skip, takes: &Takes) -> End {
    match skip {
        Skip::OverTier => End::Failed(skip.words(takes).to_owned()),
        _ => End::Skipped(skip.words(takes).to_owned()),
    }
}

/// Everything that an upload needs of its account.
fn uploader(setting: &Setting, keeper: &Arc<Keeper>, stop: &CancellationToken) -> Uploader {
    Uploader {
        drive: Arc::clone(&setting.drive),
        user: setting.user.clone(),
        login: setting.login,
        keeper: Arc::clone(keeper),
        parallel: setting.parallel,
        slots: Arc::new(Semaphore::new(setting.parallel)),
        slices: Arc::new(Semaphore::new(setting.parallel)),
        looks: Semaphore::new(1),
        hashers: Arc::new(Semaphore::new(hash::at_a_time())),
        throttle: Arc::clone(&setting.throttle),
        lookup: Arc::default(),
        copier: Copier::default(),
        waiting: AtomicUsize::new(0),
        survey: Survey::of(&setting.account, &setting.user.id),
        is_surveyed: Arc::default(),
        meters: Arc::new(Meters::default()),
        settle: setting.settle,
        clock: setting.clock.clone(),
        stop: stop.clone(),
    }
}

struct Run<'w> {
    setting: Setting,
    keeper: Arc<Keeper>,
    uploader: Arc<Uploader>,
    /// For all uploads.
    stop: CancellationToken,
    watch: &'w dyn Watch,
    sources: BTreeMap<FolderId, Arc<Source>>,
    uploads: JoinSet<Sent>,
    /// Files that changed under our hands, and how often.
    changed: BTreeMap<FilePath, u32>,
    /// Times in a row that the account had to wait.
    troubles: u32,
    /// Files in a row that were given up because the cloud fails.
    failures: u32,
    /// Nothing is begun before.
    rest: Option<Instant>,
    /// The membership or the login is not what we thought: it is asked for before the next file.
    is_anew: bool,
    /// When it was last looked whether somebody has logged in.
    asked: Instant,
}

/// How the work on a file ended, how far it was, and the login it was done with.
type Sent = (Ended, Arc<Progress>, Option<u64>);

impl Run<'_> {
    async fn work(&mut self, named: Vec<Named>) -> Step {
        let mut known = Vec::with_capacity(named.len());
        for named in named {
            known.push((self.folder(&named.source)?, named));
        }
        let (mut seen, look) = look(known);
        let mut look = Some(look);
        loop {
            let wait = self.fill().await?;
            let meters = Arc::clone(&self.uploader.meters);
            if look.is_none() && self.uploads.is_empty() && wait.is_none() {
                return Ok(());
            }
            tokio::select! {
                biased;
                () = self.keeper.broken().cancelled() => return Err(Stop::State),
                Some(ended) = self.uploads.join_next() => self.take(ended)?,
                found = seen.recv(), if look.is_some() => match found {
                    Some(found) => self.offer(found).await?,
                    None => ended_well(look.take(), self.watch).await?,
                },
                () = meters.room.notified() => {}
                () = sleep(wait.unwrap_or(LOGIN).min(LOGIN)) => {}
            }
        }
    }

    /// The queue's number of a source. What failed in an earlier run is tried again.
    fn folder(&mut self, source: &Arc<Source>) -> Step<FolderId> {
        let id = self.with(|queue| queue.folder(&source.root, &source.naming.key()))?;
        if self.sources.insert(id, Arc::clone(source)).is_none() {
            self.with(|queue| queue.retry(id, None))?;
        }
        Ok(id)
    }

    fn with<T>(&self, action: impl FnOnce(&mut Queue) -> store::Result<T>) -> Step<T> {
        self.keeper.with(action).ok_or(Stop::State)
    }

    /// Takes a found file into the queue.
    async fn offer(&mut self, seen: Seen) -> Step {
        let Some(source) = self.sources.get(&seen.path.folder) else { return Ok(()) };
        let Some(print) = seen.expect(source, self.watch) else { return Ok(()) };
        let Seen { path, local, .. } = seen;
        if self.with(|queue| queue.offer(&path, print))? != Offer::AlreadyBackedUp {
            return Ok(());
        }
        let copy = self.with(|queue| queue.get(&path))?.and_then(|entry| entry.copy);
        if let Some(copy) = copy
            && self.uploader.lookup.lists(&*self.setting.drive, &copy).await.unwrap_or(false)
        {
            self.watch.ended(&local, &copy.path.clone(), print.size, &End::There(copy));
            return Ok(());
        }
        self.with(|queue| {
            queue.forget(&path)?;
            queue.offer(&path, print).map(drop)
        })
    }

    /// Begins uploads while there is room. Returns how long there is nothing more to begin; `None`: nothing
    /// waits.
    async fn fill(&mut self) -> Step<Option<Duration>> {
        if let Some(rest) = self.rest {
            let left = rest.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                return Ok(Some(left));
            }
            self.rest = None;
        }
        // After trouble one goes first, to see whether it is over.
        let beside = self.uploader.waiting().min(MOST_WAITING);
        let room = beside + if self.troubles > 0 { 1 } else { self.setting.parallel + AHEAD };
        let is_due = self.uploads.len() < room || self.asked.elapsed() >= LOGIN;
        if is_due && (self.is_anew || self.has_another_login()) {
            self.ask_who().await?;
        }
        while self.uploads.len() < room {
            let now_ms = self.setting.clock.now_ms();
            let sources = &self.sources;
            let next = self.with(|queue| queue.next_due(now_ms, |folder| sources.contains_key(&folder)))?;
            match next {
                Next::Claim(claim) => self.begin(*claim),
                Next::Searching => return Ok(Some(Duration::ZERO)),
                Next::At(at) => {
                    let wait = u64::try_from(at.saturating_sub(now_ms)).unwrap_or(0);
                    return Ok(Some(Duration::from_millis(wait)));
                }
                Next::Nothing => return Ok(None),
            }
        }
        Ok(Some(LONGEST_LIMIT))
    }

    fn has_another_login(&mut self) -> bool {
        self.asked = Instant::now();
        (self.setting.login_now)() != self.setting.login
    }

    /// Sees who is logged in now, and with which membership. What goes to one drive does not go on in another.
    async fn ask_who(&mut self) -> Step {
        // Before the question: whoever logs in from here on makes the answer worthless.
        let login = (self.setting.login_now)();
        let user = self.setting.drive.user().await.map_err(Stop::Cloud)?;
        if user.id != self.setting.user.id {
            return Err(Stop::OtherUser(user.name));
        }
        (self.setting.user, self.setting.login, self.is_anew) = (user, login, false);
        self.uploader = Arc::new(uploader(&self.setting, &self.keeper, &self.stop));
        Ok(())
    }

    fn begin(&mut self, claim: Claim) {
        let Some(source) = self.sources.get(&claim.job.path.folder).cloned() else { return };
        let (uploader, progress) = (Arc::clone(&self.uploader), Arc::new(Progress::default()));
        self.watch.begins(&claim.job.path.under(&source.root), claim.job.print.size, &progress);
        // The queue's word for a copy is of an earlier run, and not what the cloud says now.
        let claim = Claim { copy: None, ..claim };
        self.uploads.spawn(async move {
            let ended = uploader.upload(&source, claim, &progress, &uploader.stop).await;
            (ended, progress, uploader.login)
        });
    }

    /// What became of an upload goes into the queue, and is told.
    fn take(&mut self, ended: Result<Sent, JoinError>) -> Step {
        let (Ended { job, mut outcome, pause, .. }, progress, login) =
            ended.map_err(|panic| Stop::Broken(panic.to_string()))?;
        if matches!(outcome, Outcome::Done(_)) && (self.setting.login_now)() != login {
            // Perhaps it is in another user's drive: if it is not, that is seen when it is tried again.
            outcome = Outcome::Released;
        }
        let Some(source) = self.sources.get(&job.path.folder).cloned() else { return Ok(()) };
        if progress.is_confirmed() || matches!(outcome, Outcome::Done(_)) {
            (self.troubles, self.failures) = (0, 0);
        }
        let (outcome, end) = self.decide(&job, outcome, &progress);
        let (local, size) = (job.path.under(&source.root), job.print.size);
        let remote = match &end {
            End::Done(copy) | End::Instant(copy) | End::There(copy) => copy.path.clone(),
            _ => source.naming.remote_path(&job.path.below, None),
        };
        self.with(|queue| queue.close(job, outcome))?;
        self.watch.ended(&local, &remote, size, &end);
        match pause {
            Some((Pause::Failing, why)) if matches!(end, End::Failed(_)) => {
                self.failures += 1;
                if self.failures < FAILURES { Ok(()) } else { Err(Stop::Account(Pause::Failing, why)) }
            }
            Some((Pause::Failing, _)) | None => Ok(()),
            Some((pause, why)) => self.pause(pause, why),
        }
    }

    /// What an outcome means for a person who waits: for the queue, and to be told.
    fn decide(&mut self, job: &Job, outcome: Outcome, progress: &Progress) -> (Outcome, End) {
        let give_up = |why: String| (Outcome::Park { why: why.clone() }, End::Failed(why));
        match outcome {
            Outcome::Done(copy) if progress.is_there() => (Outcome::Done(copy.clone()), End::There(copy)),
            // Nothing of it was sent: it never came so far.
            Outcome::Done(copy) if progress.stage() == Stage::Hashing => {
                (Outcome::Done(copy.clone()), End::Instant(copy))
            }
            Outcome::Done(copy) => (Outcome::Done(copy.clone()), End::Done(copy)),
            Outcome::Again { why, .. } if job.tries + 1 >= TRIES => give_up(why),
            Outcome::Again { why, .. } => {
                let wait = FILE_WAITS * (1 << job.tries);
                let words = format!("{why}; again in {} s", wait.as_secs());
                (Outcome::Again { due_ms: self.in_ms(wait), why }, End::Later(Some(words)))
            }
            Outcome::Park { why } => give_up(why),
            Outcome::Skip(skip) => {
                let source = self.sources.get(&job.path.folder);
                let end = source.map_or(End::Later(None), |source| end_of(skip, source.limits.takes));
                (Outcome::Skip(skip), end)
            }
            Outcome::Changed { print, .. } => {
                let times = self.changed.entry(job.path.clone()).or_default();
                *times += 1;
                if *times >= CHANGES {
                    return give_up("it changes all the time; send it when nobody writes to it".into());
                }
                let (settle, due_ms) = (self.setting.settle, self.in_ms(self.setting.settle));
                let words = format!("it changed while it was read; again in {} s", settle.as_secs());
                (Outcome::Changed { print, due_ms }, End::Later(Some(words)))
            }
            Outcome::Gone => (Outcome::Gone, End::Failed("it is not there any more".into())),
            Outcome::Released => (Outcome::Released, End::Later(None)),
        }
    }

    /// The account cannot go on just now: waits, or gives up.
    fn pause(&mut self, pause: Pause, why: String) -> Step {
        if self.rest.is_some() {
            // Those that were in flight together failed together.
            return Ok(());
        }
        self.troubles += 1;
        let Some(wait) = waits(pause, self.troubles) else { return Err(Stop::Account(pause, why)) };
        self.is_anew |= pause == Pause::Membership;
        if !wait.is_zero() {
            self.watch.waits(&format!("{why}; going on in {} s", wait.as_secs()));
        }
        self.rest = Some(Instant::now() + self.setting.clock.wait(wait));
        Ok(())
    }

    fn in_ms(&self, wait: Duration) -> i64 {
        let wait = self.setting.clock.wait(wait).as_millis();
        self.setting.clock.now_ms().saturating_add(i64::try_from(wait).unwrap_or(i64::MAX))
    }
}
