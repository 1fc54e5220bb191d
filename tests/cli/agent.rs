//! An agent that answers what it is told to, behind the real socket.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use xpand::control::{
    Backend, BadCopy, BoxFuture, CopiesPage, CopiesQuery, Explain, Failure, FileLine, FileState, QueuePage,
    QueueQuery, Rebuild, Repaired, Result, Spot, Standing, server, socket,
};
use xpand::status::{State, Status};

/// An agent that answers one thing to everything.
struct Agent(watch::Sender<()>);

impl Backend for Agent {
    fn status(&self) -> BoxFuture<'_, Status> {
        Box::pin(async {
            Status {
                version: "9".to_owned(),
                state: State::Paused,
                reason: Some("by\u{1b}[31m hand".to_owned()),
                ..Status::default()
            }
        })
    }

    fn changes(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }

    fn queue(&self, query: QueueQuery) -> BoxFuture<'_, Result<QueuePage>> {
        // Three pages of two.
        let page: u64 = query.after.map_or(0, |after| after.parse().unwrap());
        let limit = usize::try_from(query.limit).unwrap();
        let files = (0..2).take(limit).map(|at| FileLine {
            path: format!("/p/{}", page * 2 + at),
            account: "home".to_owned(),
            size: 1024,
            state: query.state.unwrap_or(FileState::Waiting),
            reason: None,
            tries: 0,
            next_try: None,
            remote: None,
        });
        let page = QueuePage { files: files.collect(), next: (page < 2).then(|| (page + 1).to_string()) };
        Box::pin(async { Ok(page) })
    }

    fn explain(&self, spot: Spot) -> BoxFuture<'_, Result<Explain>> {
        Box::pin(
            async move { Ok(Explain { label: spot.label, ..Explain::new(spot.path, Standing::Outside) }) },
        )
    }

    fn copies(&self, _: CopiesQuery) -> BoxFuture<'_, Result<CopiesPage>> {
        Box::pin(async { Ok(CopiesPage::default()) })
    }

    fn pause(&self, time: Option<Duration>) -> BoxFuture<'_, Result<()>> {
        assert!(time.is_none_or(|time| time == Duration::from_secs(7200)));
        Box::pin(async { Ok(()) })
    }

    fn resume(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Err(Failure::conflict("it is not paused").hint("nothing to do")) })
    }

    fn scan(&self, path: Option<PathBuf>) -> BoxFuture<'_, Result<()>> {
        let words = path.map_or("everywhere".to_owned(), |path| path.display().to_string());
        Box::pin(async move { Err(Failure::not_found(format!("scan: {words}"))) })
    }

    fn accept(&self, _: PathBuf) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn retry(&self, _: Option<PathBuf>) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn repair(&self, files: Vec<BadCopy>) -> BoxFuture<'_, Result<Vec<Repaired>>> {
        Box::pin(async move { Ok(vec![Repaired::Changed; files.len()]) })
    }

    fn forget(&self, files: Vec<BadCopy>) -> BoxFuture<'_, Result<Vec<Repaired>>> {
        Box::pin(async move { Ok(vec![Repaired::Changed; files.len()]) })
    }

    fn reload(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Err(Failure::bad_config("c.toml:1:1: no\nc.toml:2:1: no")) })
    }

    fn rebuild(&self) -> BoxFuture<'_, Result<Rebuild>> {
        Box::pin(async { Ok(Rebuild { set_aside: "/s/db.damaged".into() }) })
    }
}

/// Answers at `path` for as long as it lives.
pub(super) struct Answering {
    _runtime: tokio::runtime::Runtime,
}

pub(super) fn agent_at(path: &Path) -> Answering {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = {
        let _inside = runtime.enter();
        socket::bind(path).unwrap()
    };
    let agent = Arc::new(Agent(watch::Sender::new(())));
    runtime.spawn(server::serve(listener, agent, std::future::pending()));
    Answering { _runtime: runtime }
}
