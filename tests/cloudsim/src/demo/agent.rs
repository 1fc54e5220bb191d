//! The running agent: started, followed, killed, ended.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::home::Home;

/// `xpand run` in the background. Dropping it kills it.
pub(super) struct Agent {
    child: Child,
}

impl Agent {
    /// Starts it; what it says goes to its log.
    pub(super) fn start(home: &Home) -> io::Result<Agent> {
        let log = File::options().create(true).append(true).open(home.log())?;
        let child = home
            .command(&["run"])
            // ^C is for the demo, which then ends the agent in its own way.
            .process_group(0)
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Agent { child })
    }

    /// How it ended, if it did.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`: nothing of it runs any more, not even a last word.
    pub(super) fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// `kill -TERM`: how long it took, and how it ended. `None` when it did not within a minute.
    pub(super) fn terminate(&mut self) -> io::Result<(Duration, Option<ExitStatus>)> {
        let began = Instant::now();
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.ok_or(io::ErrorKind::NotFound)?, Signal::TERM)?;
        while began.elapsed() < Duration::from_secs(60) {
            if let Some(status) = self.child.try_wait()? {
                return Ok((began.elapsed(), Some(status)));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok((began.elapsed(), None))
    }

    /// The most memory it ever held, in bytes.
    pub(super) fn peak_memory(&self) -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
        Some(kib << 10)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `xpand status --watch --json`: every status as it changes.
pub(super) struct Watch {
    child: Child,
    statuses: Receiver<Value>,
}

impl Watch {
    pub(super) fn start(home: &Home) -> io::Result<Watch> {
        let mut child = home
            .command(&["status", "--watch", "--json"])
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let out = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let (send, statuses) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let sent = serde_json::from_str(&line).map(|status| send.send(status));
                if !matches!(sent, Ok(Ok(()))) {
                    break;
                }
            }
        });
        Ok(Watch { child, statuses })
    }

    /// The newest status that has come, waiting up to `time` for one.
    pub(super) fn newest(&self, time: Duration) -> Option<Value> {
        let first = match self.statuses.recv_timeout(time) {
            Ok(first) => first,
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(time);
                return None;
            }
        };
        Some(self.statuses.try_iter().last().unwrap_or(first))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
