//! How long the way to the cloud is at this moment: the time a connection takes to come about, which is once
//! there and back. Nothing is said on it, so that it is no call, and the cloud's programs never see it.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};
use url::Url;

/// A way that is longer is as long as this.
const LONGEST: Duration = Duration::from_secs(5);

/// Where something was sent last.
#[derive(Debug, Default)]
pub(super) struct Door(Mutex<Option<(String, u16, Option<SocketAddr>)>>);

impl Door {
    /// Something is sent to `url`.
    pub(super) fn is_at(&self, url: &Url) {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return };
        let mut door = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if door.as_ref().is_none_or(|(was, at, _)| was != host || *at != port) {
            *door = Some((host.to_owned(), port, None));
        }
    }

    /// How long the way takes; `None` when nothing was sent yet, or there is no way but through a proxy.
    pub(super) async fn knock(&self) -> Option<Duration> {
        let (host, port, known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        // Asking for the address is no part of the way.
        let address = match known {
            Some(address) => address,
            None => lookup_host((host.trim_matches(['[', ']']), port)).await.ok()?.next()?,
        };
        let begun = Instant::now();
        let answer = timeout(LONGEST, TcpStream::connect(address)).await;
        let took = begun.elapsed();
        // "No" is an answer, too; what does not get out of the house is none.
        let is_answer = match &answer {
            Ok(Ok(_)) | Err(_) => true,
            Ok(Err(error)) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        };
        let is_known = matches!(answer, Ok(Ok(_)));
        let mut door = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((was, at, known)) = door.as_mut()
            && (was.as_str(), *at) == (host.as_str(), port)
        {
            *known = Some(address).filter(|_| is_known);
        }
        is_answer.then_some(took)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn there_is_a_way_to_where_something_was_sent_and_to_nowhere_else() {
        let door = Door::default();
        assert_eq!(door.knock().await, None);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        door.is_at(&Url::parse(&url).unwrap());
        for _ in 0..3 {
            assert!(door.knock().await.unwrap() < LONGEST);
        }
        // Nobody is there any more, and the system says so at once.
        drop(listener);
        assert!(door.knock().await.unwrap() < LONGEST);
        door.is_at(&Url::parse("https://no-such-host.invalid/").unwrap());
        assert_eq!(door.knock().await, None);
    }
}
