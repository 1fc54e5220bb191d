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
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::gate;
use crate::request::Host;
use crate::state::Cloud;
use crate::tls::Tls;

/// A running server. Dropping it stops it.
pub(crate) struct Server {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Where the cloud and where the CDN listens.
    pub(crate) addr: SocketAddr,
    pub(crate) cdn: SocketAddr,
}

impl Server {
    /// Listens on `addr` and, for the CDN, on `cdn`, and serves until dropped.
    pub(crate) fn start(cloud: Arc<Cloud>, addr: SocketAddr, cdn: SocketAddr) -> io::Result<Server> {
        let listeners = [listen(addr)?, listen(cdn)?];
        let (addr, cdn) = (listeners[0].local_addr()?, listeners[1].local_addr()?);
        cloud.set_cdn_port(cdn.port());
        let tls = cloud.options.tls.as_ref().map(Tls::acceptor).transpose()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("cloudsim")
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("cloudsim".into()).spawn(move || {
            let served = runtime.block_on(accept(cloud, listeners, tls, stopped));
            if let Err(error) = served {
                eprintln!("cloudsim: {error}");
            }
            runtime.shutdown_timeout(Duration::from_secs(5));
        })?;
        Ok(Server { stop: Some(stop), thread: Some(thread), addr, cdn })
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

fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    // The standard library sets SO_REUSEADDR, so the same port can be taken again at once.
    let listener = TcpListener::bind(addr)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn accept(
    cloud: Arc<Cloud>,
    [listener, cdn]: [TcpListener; 2],
    tls: Option<TlsAcceptor>,
    mut stopped: oneshot::Receiver<()>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let cdn = tokio::net::TcpListener::from_std(cdn)?;
    let mut connections = JoinSet::new();
    loop {
        let (accepted, host) = tokio::select! {
            _ = &mut stopped => break,
            accepted = listener.accept() => (accepted, Host::Cloud),
            accepted = cdn.accept() => (accepted, Host::Cdn),
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(connection(cloud.clone(), stream, tls.clone(), host));
            }
            // Out of file descriptors, for example: others may end soon.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    drop((listener, cdn));
    connections.shutdown().await;
    Ok(())
}

async fn connection(cloud: Arc<Cloud>, stream: TcpStream, tls: Option<TlsAcceptor>, host: Host) {
    let _ = stream.set_nodelay(true);
    // TCP's own greeting goes there and back as well.
    let latency = cloud.latency();
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    match tls {
        None => answer(cloud, stream, host).await,
        // A client that does not trust us goes away here.
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                answer(cloud, stream, host).await;
            }
        }
    }
}

async fn answer(cloud: Arc<Cloud>, stream: impl AsyncRead + AsyncWrite + Unpin, host: Host) {
    let service = service_fn(move |request| gate::serve(cloud.clone(), request, host));
    // Errors here are clients that went away, or connections closed on purpose.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
