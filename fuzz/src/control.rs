//! Requests to the control socket, byte for byte, in front of an agent that says yes to everything.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::sync::watch;
use xpand::control::{
    Backend, BadCopy, BoxFuture, CopiesPage, CopiesQuery, Explain, QueuePage, QueueQuery, Rebuild, Repaired,
    Result, Spot, Standing, server, socket,
};
use xpand::status::Status;

use super::{folder, runtime};

#[derive(Default)]
struct Agent {
    changes: watch::Sender<()>,
}

impl Backend for Agent {
    fn status(&self) -> BoxFuture<'_, Status> {
        Box::pin(async { Status::default() })
    }

    fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    fn queue(&self, query: QueueQuery) -> BoxFuture<'_, Result<QueuePage>> {
        assert!((1..=QueueQuery::LIMIT_MAX).contains(&query.limit));
        Box::pin(async { Ok(QueuePage { files: Vec::new(), next: query.after }) })
    }

    fn explain(&self, spot: Spot) -> BoxFuture<'_, Result<Explain>> {
        assert!(spot.path.is_absolute());
        Box::pin(async { Ok(Explain::new(spot.path, Standing::Outside)) })
    }

    fn pause(&self, time: Option<Duration>) -> BoxFuture<'_, Result<()>> {
        assert_ne!(time, Some(Duration::ZERO));
        Box::pin(async { Ok(()) })
    }

    fn resume(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn scan(&self, path: Option<PathBuf>) -> BoxFuture<'_, Result<()>> {
        assert!(path.is_none_or(|path| path.is_absolute()));
        Box::pin(async { Ok(()) })
    }

    fn accept(&self, path: PathBuf) -> BoxFuture<'_, Result<()>> {
        self.scan(Some(path))
    }

    fn retry(&self, path: Option<PathBuf>) -> BoxFuture<'_, Result<()>> {
        self.scan(path)
    }

    fn copies(&self, query: CopiesQuery) -> BoxFuture<'_, Result<CopiesPage>> {
        assert!(query.path.is_absolute() && (1..=QueueQuery::LIMIT_MAX).contains(&query.limit));
        Box::pin(async { Ok(CopiesPage { copies: Vec::new(), next: query.after }) })
    }

    fn repair(&self, files: Vec<BadCopy>) -> BoxFuture<'_, Result<Vec<Repaired>>> {
        Box::pin(async move { Ok(vec![Repaired::Queued; files.len()]) })
    }

    fn forget(&self, files: Vec<BadCopy>) -> BoxFuture<'_, Result<Vec<Repaired>>> {
        Box::pin(async move { Ok(vec![Repaired::Forgotten; files.len()]) })
    }

    fn reload(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn rebuild(&self) -> BoxFuture<'_, Result<Rebuild>> {
        Box::pin(async { Ok(Rebuild::default()) })
    }
}

/// A server on a thread of its own, for as long as the program runs.
static SOCKET: LazyLock<(PathBuf, tempfile::TempDir)> = LazyLock::new(|| {
    let folder = folder();
    let path = folder.path().join("sock");
    let (path_there, (ready, is_ready)) = (path.clone(), std::sync::mpsc::channel());
    std::thread::spawn(move || {
        runtime().block_on(async {
            let listener = socket::bind(&path_there).expect("a socket");
            let _ = ready.send(());
            server::serve(listener, Arc::new(Agent::default()), std::future::pending()).await;
        });
    });
    let _ = is_ready.recv();
    (path, folder)
});

/// What a client sends, up to its end.
pub fn control(data: &[u8]) {
    let mut stream = UnixStream::connect(&SOCKET.0).expect("a server");
    // A server that has heard enough may close before it has read all.
    let _ = stream.write_all(data);
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    // Events go on for ever.
    while !answer.windows(17).any(|words| words == b"text/event-stream") && answer.len() < 1 << 20 {
        match stream.read(&mut piece) {
            Ok(got) if got > 0 => answer.extend_from_slice(&piece[..got]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("it hangs"),
            _ => break,
        }
    }
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "no HTTP");
}
