//! The real agent with a configuration of its own: started, followed, ended.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use xpand::control::client::Client;
use xpand::status::Status;

use super::cloud::{Cloud, TOKEN};
use super::process::Process;
use super::{Bench, Result};

/// The program as it ships, but for the C library.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_xpand");
/// Between two looks at the status.
const LOOK: Duration = Duration::from_millis(50);

/// Where an agent lives, and what it is told.
pub(crate) struct Home {
    /// Its configuration, state, socket and log are in here.
    folder: PathBuf,
}

/// How the agent is set up.
pub(crate) struct Setup<'a> {
    /// The folder to back up.
    pub(crate) photos: &'a Path,
    /// Where it goes.
    pub(crate) cloud: &'a Cloud,
    /// `upload.parallel`
    pub(crate) parallel: usize,
    /// More lines of `[[folder]]`.
    pub(crate) folder_more: &'a str,
    /// More lines of `[upload]`.
    pub(crate) upload_more: &'a str,
    /// More lines of `[agent]`; `settle` and `log` may not be among them.
    pub(crate) agent_more: &'a str,
}

impl<'a> Setup<'a> {
    /// With everything else as it is by default.
    pub(crate) fn new(photos: &'a Path, cloud: &'a Cloud) -> Self {
        Self { photos, cloud, parallel: 4, folder_more: "", upload_more: "", agent_more: "" }
    }
}

impl Home {
    /// Writes the configuration into `folder`, which must be new, and logs in.
    pub(crate) fn new(folder: &Path, setup: &Setup<'_>) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let home = Self { folder: folder.to_owned() };
        let mut text = String::new();
        let url = &setup.cloud.url;
        write!(
            text,
            "[account.home]\nprovider = \"baidu\"\nclient_id = \"demo\"\nclient_secret = \"demo\"\napp = \"xpand\"\n\
             endpoint = {url:?}\n\n[[folder]]\npath = {:?}\naccount = \"home\"\nlabel = \"photo\"\n{}\n\n\
             [upload]\nparallel = {}\n{}\n\n[agent]\nstate_dir = {:?}\nsocket = {:?}\n\
             settle = \"100ms\"\nlog = \"warn\"\n{}\n",
            setup.photos,
            setup.folder_more,
            setup.parallel,
            setup.upload_more,
            home.state(),
            home.socket(),
            setup.agent_more,
        )?;
        fs::write(home.config(), text)?;
        let mut import = home.command(&["account", "import", "home"]);
        let mut import = import.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let tokens = format!(r#"{{"access_token": "{TOKEN}", "refresh_token": "bench-refresh"}}"#);
        import.stdin.take().ok_or("no standard input")?.write_all(tokens.as_bytes())?;
        if !import.wait()?.success() {
            return Err("account import failed".into());
        }
        Ok(home)
    }

    /// `agent.state_dir`
    pub(crate) fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// `agent.socket`
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("s")
    }

    /// The configuration.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.join("config.toml")
    }

    /// What it says of itself.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// `xpand --config … ARGS`
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("--config").arg(self.config()).args(args).env_remove("RUST_LOG");
        command
    }

    /// `xpand run`, from now on.
    pub(crate) fn start<'b>(&self, bench: &'b Bench) -> Result<Agent<'b>> {
        let log = fs::File::options().create(true).append(true).open(self.log())?;
        let mut command = self.command(&["run"]);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let begun = Instant::now();
        let process = Process(command.spawn()?);
        Ok(Agent { bench, process, begun, client: Client::new(self.socket()), log: self.log() })
    }
}

/// A running agent, killed with this.
pub(crate) struct Agent<'b> {
    bench: &'b Bench,
    /// For what it costs.
    pub(crate) process: Process,
    /// When it was started.
    pub(crate) begun: Instant,
    /// The way to it.
    pub(crate) client: Client,
    log: PathBuf,
}

impl Agent<'_> {
    /// What it is doing; none while it does not answer.
    pub(crate) fn status(&self) -> Option<Status> {
        self.bench.wait(self.client.status()).ok()
    }

    /// Waits until the status is so, and says how long after the start that was.
    pub(crate) fn until(&mut self, patience: Duration, check: impl Fn(&Status) -> bool) -> Result<Duration> {
        loop {
            let status = self.status();
            let now = self.begun.elapsed();
            if status.as_ref().is_some_and(&check) {
                return Ok(now);
            }
            if let Some(ended) = self.process.0.try_wait()? {
                return Err(format!("the agent ended: {ended}; {}", self.last_words()).into());
            }
            if now > patience {
                let totals = status.map(|status| format!("{:?} {:?}", status.state, status.totals));
                return Err(format!("not done in {patience:?}: {totals:?}; {}", self.last_words()).into());
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until `files` files are backed up, which is when their records are on the disk, too.
    pub(crate) fn until_backed_up(&mut self, files: u64, patience: Duration) -> Result<Duration> {
        self.until(patience, |status| {
            let counts = &status.totals.counts;
            counts.backed_up >= files && counts.waiting == 0
        })
    }

    /// `kill -TERM`, and waits for its end.
    pub(crate) fn end(self) -> Result<Duration> {
        self.process.end()
    }

    fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().rev().take(3).collect::<Vec<_>>().join(" / ")
    }
}
