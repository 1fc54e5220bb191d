//! The HTTP/1.1 server: a thread with its own runtime, so that tests that block do not block the cloud,
//! and so that stopping it breaks every connection at once.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::gate;
use crate::state::Cloud;

/// A running server. Dropping it stops it.
pub(crate) struct Server {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    pub(crate) addr: SocketAddr,
}

impl Server {
    /// Listens on `addr` and serves until dropped.
    pub(crate) fn start(cloud: Arc<Cloud>, addr: SocketAddr) -> io::Result<Server> {
        // The standard library sets SO_REUSEADDR, so the same port can be taken again at once.
        let listener = TcpListener::bind(addr)?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("cloudsim")
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("cloudsim".into()).spawn(move || {
            let served = runtime.block_on(accept(cloud, listener, stopped));
            if let Err(error) = served {
                eprintln!("cloudsim: {error}");
            }
            runtime.shutdown_timeout(Duration::from_secs(5));
        })?;
        Ok(Server { stop: Some(stop), thread: Some(thread), addr })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(
    cloud: Arc<Cloud>,
    listener: TcpListener,
    mut stopped: oneshot::Receiver<()>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(cloud.clone(), stream));
                }
                // Out of file descriptors, for example: others may end soon.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    drop(listener);
    connections.shutdown().await;
    Ok(())
}

async fn connection(cloud: Arc<Cloud>, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| gate::serve(cloud.clone(), request));
    // Errors here are clients that went away, or connections closed on purpose.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
