//! The real program, which can be killed.

use std::fs::{File, OpenOptions};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::watchmen::assert_no_secret_in;
use super::{PATIENCE, Rig};

/// A running `xpand run`. Killed when dropped.
pub struct Program(pub(super) Child);

/// What a command said, and its exit code if it was not killed.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    /// It went well; what it printed.
    #[track_caller]
    pub fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// It ended with this exit code, and said all of these words.
    #[track_caller]
    pub fn failed(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "it does not say {word:?}: {self:?}");
        }
        self
    }
}

/// Each line of what `--json` printed is a document of its own.
#[track_caller]
pub fn documents(out: &str) -> Vec<serde_json::Value> {
    let document = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    out.lines().map(document).collect()
}

impl Rig {
    /// Starts the real program on this rig's configuration. What it says goes to `agent.log`.
    pub fn spawn(&self) -> Program {
        self.spawn_as(self.command(&["run"]))
    }

    /// The same with a command that comes to be `xpand run` in the end.
    pub fn spawn_as(&self, mut command: Command) -> Program {
        let log = |path| -> File { OpenOptions::new().create(true).append(true).open(path).unwrap() };
        let child = command
            .env("RUST_LOG", "trace")
            .stdout(log(self.path("agent.out")))
            .stderr(log(self.path("agent.log")))
            .spawn()
            .unwrap();
        self.assert_hides_secrets(child.id());
        Program(child)
    }

    /// A command of the real program on this rig's configuration, with nothing of our own surroundings.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xpand"));
        command.env_clear().arg("--config").arg(self.config_file()).args(args).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end; its words are searched for secrets.
    pub fn run(&self, args: &[&str]) -> Said {
        self.heard(&mut self.command(args))
    }

    /// The same for a command that was made ready.
    pub fn heard(&self, command: &mut Command) -> Said {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        self.assert_hides_secrets(child.id());
        let output = child.wait_with_output().unwrap();
        let secrets = self.secrets();
        assert_no_secret_in("the stdout of a command", &output.stdout, &secrets);
        assert_no_secret_in("the stderr of a command", &output.stderr, &secrets);
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Said { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// What the programs have said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("agent.log")).unwrap_or_default()
    }
}

impl Program {
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it runs still.
    pub fn is_alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

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

    /// What it has in memory, KiB: `VmRSS` now, `VmHWM` at the most since its start (proc(5)).
    pub fn memory(&self, which: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(which)?.strip_prefix(':'));
        line.unwrap().split_whitespace().next().unwrap().parse().unwrap()
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
