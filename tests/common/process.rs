//! The real program, which can be killed.

use std::fs::{File, OpenOptions};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{PATIENCE, Rig};

/// A running `xpand run`. Killed when dropped.
pub struct Program(pub(super) Child);

impl Rig {
    /// Starts the real program on this rig's configuration. What it says goes to `agent.log`.
    pub fn spawn(&self) -> Program {
        let log = |path| -> File { OpenOptions::new().create(true).append(true).open(path).unwrap() };
        let child = Command::new(env!("CARGO_BIN_EXE_xpand"))
            .env_clear()
            .env("RUST_LOG", "xpand=debug")
            .arg("--config")
            .arg(self.config_file())
            .arg("run")
            .stdin(Stdio::null())
            .stdout(log(self.path("agent.out")))
            .stderr(log(self.path("agent.log")))
            .spawn()
            .unwrap();
        Program(child)
    }

    /// What the programs have said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("agent.log")).unwrap_or_default()
    }
}

impl Program {
    /// SIGKILL: nothing more is done, nothing is written.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// SIGTERM. Returns how it ended, and how long that took.
    pub async fn terminate(mut self) -> (ExitStatus, Duration) {
        let begun = Instant::now();
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
        (self.wait().await, begun.elapsed())
    }

    /// Waits for its end.
    pub async fn wait(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Whether it has not ended by itself.
    pub fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
