//! The agent: opens the state, wires one task for each concern, and ends them.
//!
//! ```text
//! run ── keeper        commits the queue                                  lives until the end
//!     ├─ control       answers on the socket                              lives until the end
//!     └─ a life ─┬─ accounts   one each: login, binding, quota            ends at a reload
//!                ├─ survey     asks the cloud for all it has, when our memory is lost
//!                ├─ notice     sees what others did to our files and to the clock
//!                ├─ folders    looks, watches, settles
//!                ├─ dispatch   files to uploads, and what became of them
//!                └─ yielding   how fast they may go, when others want the line
//! ```
//!
//! Nothing is lost by ending at any moment: an upload keeps what the cloud has confirmed, and the queue
//! says what is left. An orderly end commits, and marks itself as orderly.

mod accounts;
mod breaker;
mod copies;
mod desk;
mod dispatch;
mod explain;
mod files;
mod folders;
pub mod gate;
mod hub;
mod looks;
pub mod manners;
mod phase;
pub mod place;
mod repair;
mod survey;
mod system;
mod time;
mod view;
mod yielding;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::account::Accounts;
use crate::backup::body::Throttle;
use crate::backup::filter::Filter;
use crate::backup::hash;
use crate::backup::keeper::{self, Keeper};
use crate::clock::Clock;
use crate::config::Config;
use crate::control::socket::SocketError;
use crate::control::{server, socket};
use crate::device::Device;
use crate::store::{self, Opened, Store};
use desk::{Ask, Desk};
use hub::{Core, Hub, lock};

/// How the agent is to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Read and checked.
    pub config: Config,
    /// In the place of `agent.socket`.
    pub socket: Option<PathBuf>,
    /// The wall clock.
    pub clock: Clock,
}

/// What the agent is told from outside.
#[derive(Clone, Debug)]
pub struct Signals {
    /// Cancelled: end.
    pub shutdown: CancellationToken,
    /// Rings: read the configuration again.
    pub reload: Arc<tokio::sync::Notify>,
}

/// Why the agent cannot run, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state folder.
    #[error(transparent)]
    Place(#[from] place::PlaceError),
    /// The control socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The database.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The configuration is well-formed and still cannot be used.
    #[error("{0}")]
    Config(String),
    /// A task panicked. An agent without it would look as if it did everything.
    #[error("xpand made a mistake and ends, to begin anew; please report what its log says: {0}")]
    Mistake(String),
}

/// Uploads have this long to leave what they have; a stuck disk must not keep the system from stopping.
const ENDING: Duration = Duration::from_secs(3);
/// And the last commit so long: with the above, the end comes within five seconds.
const LAST_COMMIT: Duration = Duration::from_millis(1500);

/// Runs the agent until it is told to end, or cannot go on.
///
/// # Errors
/// See [`Error`].
pub async fn run(options: Options, signals: Signals) -> Result<(), Error> {
    let Options { mut config, socket, clock } = options;
    let state_dir = config.agent.state_dir.clone();
    let _place = place::Place::take(&state_dir)?;
    crate::backup::batch::state::tidy(&state_dir, clock.now_secs());
    let socket = socket.unwrap_or_else(|| config.agent.socket.clone());
    let listener = socket::bind(&socket)?;
    let (reloads, mut reload_requests) = mpsc::channel(4);
    let (put_hub, get_hub) = watch::channel(None);
    let ended = CancellationToken::new();

    let (opening, longest) = (state_dir.clone(), clock.wait(keeper::LONGEST));
    let opened = tokio::task::spawn_blocking(move || open_state(&opening, longest)).await;
    let keeper = opened.map_err(|panic| Error::Config(panic.to_string()))??;
    let gate = gate::Gate::open(&state_dir);
    let core = Arc::new(Core {
        clock: clock.clone(),
        start: phase::Start::now(&state_dir),
        keeper,
        meters: Arc::default(),
        throttle: Throttle::shared(config.upload.rate, &state_dir),
        gate: Mutex::new(gate),
        renew: tokio::sync::Notify::new(),
    });
    let desk = Arc::new(Desk { core: Arc::clone(&core), hub: get_hub, reloads, since: Mutex::default() });
    let control = tokio::spawn(server::serve(listener, desk, ended.clone().cancelled_owned()));
    let keeper = Arc::clone(&core.keeper);
    let keeping = tokio::spawn({
        let (keeper, ended) = (Arc::clone(&keeper), ended.clone());
        async move { keeper.run(ended).await }
    });

    let outcome = loop {
        let mut life = match Life::begin(&core, &config) {
            Some(Ok(life)) => life,
            Some(Err(words)) => break Err(Error::Config(words)),
            None => break Ok(()),
        };
        put_hub.send_replace(Some(Arc::clone(&life.hub)));
        system::ready();
        let next = life.live(&core, &signals, &mut reload_requests).await;
        life.end().await;
        let next = match next {
            Ok(next) => next,
            Err(error) => break Err(error),
        };
        match next {
            Some(Next { config: fresh, ask }) => {
                let anew = ask.as_ref().is_some_and(|ask| ask.anew);
                let begun = if anew { begin_anew(&keeper, &state_dir).await } else { Ok(()) };
                if let Some(ask) = ask {
                    let answer = begun.as_ref().copied().map_err(ToString::to_string);
                    let _ = ask.answer.send(answer);
                }
                if let Err(error) = begun {
                    break Err(error);
                }
                tracing::info!("beginning anew with the configuration as it is now");
                config = *fresh;
            }
            None => break Ok(()),
        }
    };
    system::stopping();
    put_hub.send_replace(None);
    ended.cancel();
    // A disk that hangs must not keep us: what it has not taken by now is found out again.
    let kept = match tokio::time::timeout(LAST_COMMIT, keeping).await {
        Ok(kept) => kept.unwrap_or_else(|panic| Err(panicked(&state_dir, &panic))),
        Err(_) => return outcome,
    };
    let _ = control.await;
    let _ = std::fs::remove_file(&socket);
    drop(core);
    outcome.and(kept.map_err(Error::from))?;
    if let Some(keeper) = Arc::into_inner(keeper) {
        keeper.close()?;
    }
    Ok(())
}

/// Opens the state after anything. Blocks on the disk.
fn open_state(folder: &Path, longest: Duration) -> Result<Arc<Keeper>, store::Error> {
    let mut tries = 0;
    loop {
        tries += 1;
        let (store, opened) = Store::open(folder)?;
        tell(&opened);
        let store = Arc::new(store);
        match Keeper::open(Arc::clone(&store), longest) {
            // Some damage shows only when the first records are read.
            Err(error @ store::Error::Damaged { .. }) if tries == 1 => store.condemn(&error),
            keeper => {
                let keeper = keeper?;
                if !keeper.gaps().everything {
                    keeper.with_store(crate::backup::survey::clear);
                }
                return Ok(keeper);
            }
        }
    }
}

/// Sets the database aside and goes on with an empty one; the cloud is asked what it has.
async fn begin_anew(keeper: &Arc<Keeper>, state_dir: &Path) -> Result<(), Error> {
    let (keeper, state_dir) = (Arc::clone(keeper), state_dir.to_owned());
    let begun = tokio::task::spawn_blocking(move || keeper.begin_anew(&state_dir)).await;
    tell(&begun.map_err(|panic| Error::Config(panic.to_string()))??);
    Ok(())
}

/// Says how the database was found.
fn tell(opened: &Opened) {
    match opened {
        Opened::SetAside { folder, why } if !folder.exists() => tracing::warn!(
            "beginning with an empty database because {why}; nothing is lost: the folders are looked at, and \
             what the cloud has is not sent again"
        ),
        Opened::SetAside { folder, why } => tracing::warn!(
            "the database was set aside in {} because {why}; nothing is lost: the folders are looked at \
             again, and what the cloud has is not sent again",
            folder.display()
        ),
        Opened::Unclean => tracing::info!("the last run was cut off; going on where it was"),
        Opened::New | Opened::Clean => {}
    }
}

fn panicked(state_dir: &std::path::Path, panic: &JoinError) -> store::Error {
    store::Error::Damaged { path: state_dir.into(), why: panic.to_string() }
}

/// Why a life ends, other than for good.
struct Next {
    /// For the next.
    config: Box<Config>,
    /// Who asked for it.
    ask: Option<Ask>,
}

/// The tasks that follow one configuration.
struct Life {
    hub: Arc<Hub>,
    shared: Arc<accounts::Shared>,
    tasks: JoinSet<()>,
}

impl Life {
    fn begin(core: &Arc<Core>, config: &Config) -> Option<Result<Self, String>> {
        let (looks, wanted) = mpsc::unbounded_channel();
        let hub = match Hub::new(Arc::clone(core), config.clone(), looks)? {
            Ok(hub) => Arc::new(hub),
            Err(words) => return Some(Err(words)),
        };
        let shared = Arc::new(accounts::Shared {
            accounts: Accounts::new(&config.agent.state_dir, core.clock.clone()),
            device: Device::new(&config.agent.state_dir, config.device.as_ref()),
            tokens: Mutex::default(),
            slots: Arc::new(Semaphore::new(config.upload.parallel)),
            slices: Arc::new(Semaphore::new(config.upload.parallel)),
            hashers: Arc::new(Semaphore::new(hash::at_a_time())),
        });
        let mut tasks = JoinSet::new();
        // Of a life that did not end in time some may be left.
        core.keeper.with(|queue| {
            queue.release_claims();
            Ok(())
        })?;
        survey::prepare(&hub);
        for at in 0..hub.accounts.len() {
            tasks.spawn(survey::run(Arc::clone(&hub), at));
            tasks.spawn(accounts::run(Arc::clone(&hub), Arc::clone(&shared), at));
        }
        tasks.spawn(accounts::notice(Arc::clone(&hub), Arc::clone(&shared)));
        tasks.spawn(folders::run(Arc::clone(&hub), wanted));
        tasks.spawn(dispatch::run(Arc::clone(&hub)));
        tasks.spawn(system::report(Arc::clone(&hub)));
        tasks.spawn(yielding::run(Arc::clone(&hub)));
        Some(Ok(Self { hub, shared, tasks }))
    }

    /// Until there is a new configuration, or (`None`) the end.
    async fn live(
        &mut self,
        core: &Core,
        signals: &Signals,
        requests: &mut mpsc::Receiver<Ask>,
    ) -> Result<Option<Next>, Error> {
        let hub = Arc::clone(&self.hub);
        let as_it_is = || Box::new(hub.config.clone());
        loop {
            let ask = tokio::select! {
                () = signals.shutdown.cancelled() => return Ok(None),
                () = core.keeper.broken().cancelled() => return Ok(None),
                panic = mistake(&mut self.tasks) => return Err(Error::Mistake(panic.to_string())),
                Some(ask) = requests.recv() => Some(ask),
                () = signals.reload.notified() => None,
                () = core.renew.notified() => return Ok(Some(Next { config: as_it_is(), ask: None })),
            };
            if ask.as_ref().is_some_and(|ask| ask.anew) {
                return Ok(Some(Next { config: as_it_is(), ask }));
            }
            match reread(&hub.config) {
                Ok(config) => return Ok(Some(Next { config: Box::new(config), ask })),
                Err(words) => {
                    tracing::error!("the configuration was not reloaded, the old one stays: {words}");
                    if let Some(ask) = ask {
                        let _ = ask.answer.send(Err(words));
                    }
                }
            }
        }
    }

    async fn end(mut self) {
        self.hub.stop.cancel();
        let tokens = std::mem::take(&mut *lock(&self.shared.tokens));
        let all = async {
            while self.tasks.join_next().await.is_some() {}
            // A single-use token must not be lost between the cloud and the disk.
            for tokens in tokens {
                tokens.settle().await;
            }
        };
        if tokio::time::timeout(ENDING, all).await.is_err() {
            tracing::warn!("some work did not end in time; it is taken up again at the next start");
        }
        lock(&self.hub.active).clear();
    }
}

/// Waits until a task panics; others may have come to their end.
async fn mistake(tasks: &mut JoinSet<()>) -> JoinError {
    loop {
        match tasks.join_next().await {
            Some(Err(panic)) => return panic,
            Some(Ok(())) => {}
            None => std::future::pending().await,
        }
    }
}

/// The configuration as its file says now, if a running agent can take it.
fn reread(old: &Config) -> Result<Config, String> {
    let new = Config::read(&old.file).map_err(|error| error.to_string())?;
    if new.agent.state_dir != old.agent.state_dir || new.agent.socket != old.agent.socket {
        return Err("agent.state_dir and agent.socket change only with a restart".into());
    }
    // What only the pipeline can tell is told before the old life ends.
    for folder in &new.folders {
        Filter::new(folder).map_err(|error| format!("folder {}: {error}", folder.path.display()))?;
    }
    Ok(new)
}

#[cfg(test)]
mod simulation;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_seen_at_once_and_one_that_has_ended_is_no_mistake() {
        let mut tasks = JoinSet::new();
        tasks.spawn(async {});
        tasks.spawn(std::future::pending());
        let (hour, minute) = (Duration::from_secs(3600), Duration::from_secs(60));
        assert!(tokio::time::timeout(hour, mistake(&mut tasks)).await.is_err());
        tasks.spawn(async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            panic!("as on purpose");
        });
        let seen = tokio::time::timeout(minute, mistake(&mut tasks)).await;
        assert!(seen.is_ok_and(|panic| panic.is_panic()));
    }
}
