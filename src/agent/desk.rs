//! The agent's end of the control socket.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::gate::Until;
use super::hub::{Core, Hub, Look, lock};
use super::{copies, explain, files, repair, view};
use crate::backup::queue::Queue;
use crate::control::{
    Backend, BadCopy, BoxFuture, CopiesPage, CopiesQuery, Explain, Failure, QueuePage, QueueQuery, Rebuild,
    Repaired, Result, Spot,
};
use crate::status::Status;
use crate::store::{ASIDE, ask_rebuild};

/// What the socket's server asks. It outlives a reload; the hub behind it changes.
pub(super) struct Desk {
    /// What survives a reload.
    pub core: Arc<Core>,
    /// The life of now; none while the agent starts.
    pub hub: watch::Receiver<Option<Arc<Hub>>>,
    /// Asks for the next life.
    pub reloads: mpsc::Sender<Ask>,
    /// The state of the last answer and since when it is so.
    pub since: std::sync::Mutex<Option<(crate::status::State, String)>>,
}

/// Asks for the next life, and wants to know what became of it.
pub(super) struct Ask {
    /// With an empty database; else with the configuration as its file says then.
    pub anew: bool,
    /// Where the answer goes.
    pub answer: oneshot::Sender<std::result::Result<(), String>>,
}

impl Desk {
    fn hub(&self) -> Result<Arc<Hub>> {
        let hub = self.hub.borrow().clone();
        hub.ok_or_else(|| Failure::conflict("the agent is still starting").hint("try again in a moment"))
    }

    /// The hub and the places of a path in it, at least one.
    fn places(&self, spot: &Spot) -> Result<(Arc<Hub>, Vec<Look>)> {
        let hub = self.hub()?;
        let looks: Vec<Look> = hub
            .places(spot)
            .into_iter()
            .map(|(folder, _, file)| Look { folder, start: file.below })
            .collect();
        if looks.is_empty() {
            let which = spot.label.as_ref().map_or_else(
                || "is not in a configured folder".to_owned(),
                |label| format!("is not in a folder with the label {label:?} that the agent knows"),
            );
            let words = format!("{} {which}", spot.path.display());
            let hint = "xpand check shows the folders, xpand reload has the agent read them again";
            return Err(Failure::not_found(words).hint(hint));
        }
        Ok((hub, looks))
    }

    /// The places of a path, or all folders.
    fn looks(&self, path: Option<&Path>) -> Result<(Arc<Hub>, Vec<Look>)> {
        if let Some(path) = path {
            return self.places(&Spot::anywhere(path));
        }
        let hub = self.hub()?;
        let all = (0..hub.folders.len()).map(|folder| Look { folder, start: Box::default() }).collect();
        Ok((hub, all))
    }

    fn now(&self) -> Status {
        let hub = self.hub.borrow().clone();
        let now = view::time(self.core.clock.now_ms());
        let mut status = match hub {
            Some(hub) => view::status(&hub),
            None => Status { version: env!("CARGO_PKG_VERSION").into(), ..Status::default() },
        };
        let mut since = lock(&self.since);
        match &*since {
            Some((state, time)) if *state == status.state => status.since.clone_from(time),
            _ => {
                status.since.clone_from(&now);
                *since = Some((status.state, now));
            }
        }
        status
    }
}

/// Answers from a thread that may block: the queue reads the disk.
pub(super) fn blocking<T: Send + 'static>(
    action: impl FnOnce() -> Result<T> + Send + 'static,
) -> BoxFuture<'static, Result<T>> {
    Box::pin(async move {
        let done = tokio::task::spawn_blocking(action).await;
        done.unwrap_or_else(|error| Err(Failure::internal(error.to_string())))
    })
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", chain(cause)),
        None => error.to_string(),
    }
}

impl Backend for Desk {
    fn status(&self) -> BoxFuture<'_, Status> {
        Box::pin(async { self.now() })
    }

    fn changes(&self) -> watch::Receiver<()> {
        self.core.meters.changes.subscribe()
    }

    fn queue(&self, query: QueueQuery) -> BoxFuture<'_, Result<QueuePage>> {
        match self.hub() {
            Ok(hub) => blocking(move || files::page(&hub, &query)),
            Err(failure) => Box::pin(async { Err(failure) }),
        }
    }

    fn linked(&self, line: Explain) -> BoxFuture<'_, Explain> {
        Box::pin(async move {
            match self.hub() {
                Ok(hub) => explain::linked(&hub, line).await,
                Err(_) => line,
            }
        })
    }

    fn explain(&self, spot: Spot) -> BoxFuture<'_, Result<Explain>> {
        match self.hub() {
            Ok(hub) => blocking(move || explain::explain(&hub, &spot)),
            Err(failure) => Box::pin(async { Err(failure) }),
        }
    }

    fn copies(&self, query: CopiesQuery) -> BoxFuture<'_, Result<CopiesPage>> {
        let spot = Spot { path: query.path.clone(), label: query.label.clone() };
        match self.places(&spot) {
            Ok((hub, looks)) => match looks.as_slice() {
                [look] => {
                    let look = look.clone();
                    blocking(move || copies::page(&hub, &look, &query))
                }
                several => {
                    let labels: Vec<_> =
                        several.iter().map(|look| hub.folders[look.folder].config.label.as_str()).collect();
                    let words =
                        format!("{} is in several folders: {}", spot.path.display(), labels.join(", "));
                    let failure = Failure::bad_request(words).hint("say which one with label=");
                    Box::pin(async { Err(failure) })
                }
            },
            Err(failure) => Box::pin(async { Err(failure) }),
        }
    }

    fn pause(&self, time: Option<Duration>) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let until = match time {
                Some(time) => {
                    let ms = i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4);
                    Until::Time(self.core.clock.now_ms().saturating_add(ms))
                }
                None => Until::Resumed,
            };
            let stored = lock(&self.core.gate).pause(until, self.core.clock.now());
            self.ring(true);
            stored
                .map_err(|error| Failure::internal(format!("paused, but a restart will forget it: {error}")))
        })
    }

    fn resume(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let stored = lock(&self.core.gate).resume();
            self.ring(false);
            stored.map_err(|error| {
                Failure::internal(format!("resumed, but a restart will pause again: {error}"))
            })
        })
    }

    fn scan(&self, path: Option<PathBuf>) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let (hub, looks) = self.looks(path.as_deref())?;
            for look in looks {
                let _ = hub.looks.send(look);
            }
            Ok(())
        })
    }

    fn accept(&self, path: PathBuf) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let (hub, looks) = self.places(&Spot::anywhere(path))?;
            for look in looks {
                lock(&hub.accepted).insert(look.clone());
                let whole = Look { start: Box::default(), ..look.clone() };
                // Then all of the folder: its state is told anew.
                for look in [look, whole] {
                    let _ = hub.looks.send(look);
                }
            }
            Ok(())
        })
    }

    fn retry(&self, path: Option<PathBuf>) -> BoxFuture<'_, Result<()>> {
        let (hub, looks) = match self.looks(path.as_deref()) {
            Ok(looks) => looks,
            Err(failure) => return Box::pin(async { Err(failure) }),
        };
        blocking(move || {
            let mut count = 0;
            for look in looks {
                let folder = &hub.folders[look.folder];
                let below = Some(look.start.as_ref()).filter(|below| !below.is_empty());
                let retried = hub.core.keeper.with(|queue| queue.retry(folder.id, below));
                count += retried.ok_or_else(|| Failure::internal("the state cannot be written"))?;
                // Whatever the account waited for: a person says now.
                let account = &hub.accounts[folder.account];
                account.breaker.lift();
                account.wake.notify_one();
            }
            hub.work.notify_one();
            match path {
                // What is backed up, or on its way, needs no other try. A wrong name does.
                Some(path) if count == 0 && path.symlink_metadata().is_err() => {
                    let words = format!("there is nothing to try again at {}", path.display());
                    Err(Failure::not_found(words).hint("xpand queue --state failed names what has failed"))
                }
                _ => Ok(()),
            }
        })
    }

    fn repair(&self, files: Vec<BadCopy>) -> BoxFuture<'_, Result<Vec<Repaired>>> {
        Box::pin(async move { repair::repair(self.hub()?, files, Queue::repair).await })
    }

    fn forget(&self, files: Vec<BadCopy>) -> BoxFuture<'_, Result<Vec<Repaired>>> {
        Box::pin(async move { repair::repair(self.hub()?, files, Queue::forget_gone).await })
    }

    fn reload(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { self.begin_again(false).await?.map_err(Failure::bad_config) })
    }

    fn rebuild(&self) -> BoxFuture<'_, Result<Rebuild>> {
        Box::pin(async move {
            let state_dir = self.hub()?.config.agent.state_dir.clone();
            let folder = state_dir.join(ASIDE);
            // Asked for on the disk first: one that takes nothing must not cost the agent that runs.
            blocking(move || ask_rebuild(&state_dir).map_err(|error| Failure::internal(chain(&error))))
                .await?;
            self.begin_again(true).await?.map_err(Failure::internal)?;
            Ok(Rebuild { set_aside: folder.to_string_lossy().into_owned() })
        })
    }
}

impl Desk {
    /// Ends this life and begins the next. Returns when that has begun, or why it has not.
    async fn begin_again(&self, anew: bool) -> Result<std::result::Result<(), String>> {
        let (answer, done) = oneshot::channel();
        let ending = || Failure::conflict("the agent is ending");
        self.reloads.send(Ask { anew, answer }).await.map_err(|_| ending())?;
        done.await.map_err(|_| ending())
    }

    /// The gate has moved: the dispatcher looks, and a pause stops what is in flight.
    fn ring(&self, stop: bool) {
        if let Some(hub) = self.hub.borrow().as_ref() {
            if stop {
                hub.stop_uploads();
            }
            hub.work.notify_one();
            hub.changed();
        }
    }
}
