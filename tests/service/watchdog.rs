//! What the agent tells whoever started it over `NOTIFY_SOCKET`, where systemd listens.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::task::block_in_place;

use super::common::media::photo;
use super::common::{PATIENCE, Rig};

/// systemd's end of the socket.
struct Ear(UnixDatagram);

impl Ear {
    /// The lines of the next message; `None`: nothing came for so long.
    fn next(&self, time: Duration) -> Option<Vec<String>> {
        self.0.set_read_timeout(Some(time)).unwrap();
        let mut bytes = [0; 4096];
        let length = self.0.recv(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes[..length]).lines().map(str::to_owned).collect())
    }

    /// Waits for a message with this line.
    fn until(&self, line: &str) -> Vec<String> {
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < PATIENCE, "it does not say {line}");
            match self.next(PATIENCE) {
                Some(lines) if lines.iter().any(|other| other == line) => return lines,
                _ => {}
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_says_that_it_is_ready_and_feeds_the_watchdog_until_it_stands_still() {
    let rig = Rig::ready(|_| ());
    rig.put("a.jpg", &photo(1, 900));
    let path = rig.path("notify");
    let ear = Ear(UnixDatagram::bind(&path).unwrap());
    let mut command = rig.command(&["run"]);
    // It is fed three times in this time.
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "600000");
    let agent = rig.spawn_as(command);
    assert_eq!(block_in_place(|| ear.next(PATIENCE)), Some(vec!["READY=1".to_owned()]));
    let fed = block_in_place(|| ear.until("STATUS=everything is backed up: 1 of 1 files"));
    assert!(fed.contains(&"WATCHDOG=1".to_owned()), "{fed:?}");

    // Nothing in it runs any more: nobody feeds in its place.
    agent.signal(Signal::STOP);
    block_in_place(|| while ear.next(Duration::from_secs(3)).is_some() {});
    agent.signal(Signal::CONT);
    block_in_place(|| ear.until("WATCHDOG=1"));
    let (status, _) = agent.terminate().await;
    assert!(status.success(), "{status}");
    block_in_place(|| ear.until("STOPPING=1"));
}
