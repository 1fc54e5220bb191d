//! The rig: a temporary folder, a local cloud, and the real agent on both - in this process, or as the
//! real program, which can be killed.
//!
//! Nothing here sleeps for luck: whoever waits says for what, and gets a generous time for it. The agent's
//! own back-offs run a hundred times faster (`Clock::hurried`), everything else in real time.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, clippy::expect_used)]

pub mod cloud;
pub mod clouds;
pub mod dice;
pub mod disks;
pub mod faults;
pub mod hurried;
pub mod media;
pub mod process;
pub mod setup;
pub mod terminal;
pub mod tls;
pub mod watchmen;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cloudsim::CloudSim;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use xpand::agent::{self, Options, Signals};
use xpand::config::Config;
use xpand::control::client::Client;
use xpand::status::Status;

#[allow(unused_imports)]
pub use setup::{Account, Folder, Setup, numbered};
use watchmen::Still;

/// Whatever is waited for has come by then, even on a machine that does five other things.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(15);

/// See the module.
pub struct Rig {
    pub sim: CloudSim,
    pub client: Client,
    pub setup: Setup,
    dir: tempfile::TempDir,
    agent: Option<Running>,
    /// Contents that were in the cloud once: (account, path, MD5).
    grown: Mutex<Vec<(String, String, String)>>,
    counter: std::sync::atomic::AtomicU64,
    /// Where the log of this process's agents was at the beginning.
    log_from: usize,
}

struct Running {
    signals: Signals,
    task: JoinHandle<Result<(), agent::Error>>,
}

impl Rig {
    /// Everything but the agent.
    pub fn ready(change: impl FnOnce(&mut Setup)) -> Self {
        watchmen::listen();
        let mut setup = Setup::default();
        change(&mut setup);
        let dir = tempfile::Builder::new().prefix("xp-").tempdir().unwrap();
        let sim = CloudSim::start_blocking(setup.sim.clone()).unwrap();
        let client = Client::new(dir.path().join("sock"));
        let (grown, counter, log_from) = (Mutex::default(), 0.into(), watchmen::log_end());
        let rig = Self { sim, client, setup, dir, agent: None, grown, counter, log_from };
        fs::create_dir(rig.dir.path().join("outbox")).unwrap();
        for folder in &rig.setup.folders {
            fs::create_dir_all(rig.root(folder.label)).unwrap();
        }
        rig.write_config();
        rig.log_in_all();
        rig
    }

    /// With the agent, which has just been started.
    pub fn start(change: impl FnOnce(&mut Setup)) -> Self {
        let mut rig = Self::ready(change);
        rig.begin();
        rig
    }

    /// With files that are all in the cloud, and an agent that has ended: `fill` puts them into the folders.
    pub async fn backed_up(fill: impl FnOnce(&Self)) -> Self {
        let mut rig = Self::ready(|_| ());
        fill(&rig);
        rig.back_up_and_stop().await;
        rig
    }

    /// Starts the agent, waits until everything is in the cloud, and ends it.
    pub async fn back_up_and_stop(&mut self) {
        self.begin();
        self.wait_arrived().await;
        self.stop().await;
    }

    /// Starts the agent in this process.
    pub fn begin(&mut self) {
        assert!(self.agent.is_none(), "it runs");
        let config = Config::read(self.config_file()).unwrap();
        let clock = self.setup.clock.clone().hurried(self.setup.hurry);
        let signals = Signals { shutdown: CancellationToken::new(), reload: Arc::default() };
        let options = Options { config, socket: None, clock };
        let task = tokio::spawn(agent::run(options, signals.clone()));
        self.agent = Some(Running { signals, task });
    }

    /// Ends the agent in an orderly way. Returns how long that took.
    pub async fn stop(&mut self) -> Duration {
        self.assert_nothing_taken();
        self.assert_no_secret();
        let Running { signals, task } = self.agent.take().expect("it runs");
        let begun = Instant::now();
        signals.shutdown.cancel();
        let ended = tokio::time::timeout(PATIENCE, task).await.expect("it ends");
        ended.unwrap().unwrap();
        begun.elapsed()
    }

    pub async fn restart(&mut self) {
        self.stop().await;
        self.begin();
    }

    /// As SIGHUP.
    pub fn hang_up(&self) {
        self.agent.as_ref().expect("it runs").signals.reload.notify_one();
    }

    /// As [`Rig::stop`], and how it ended.
    pub async fn try_stop(&mut self) -> Result<(), agent::Error> {
        self.assert_only_grew();
        self.agent.as_ref().expect("it runs").signals.shutdown.cancel();
        self.ended().await
    }

    /// Whether the agent has ended by itself.
    pub fn has_ended(&self) -> bool {
        self.agent.as_ref().is_some_and(|agent| agent.task.is_finished())
    }

    /// Why the agent ended by itself.
    pub async fn ended(&mut self) -> Result<(), agent::Error> {
        let Running { task, .. } = self.agent.take().expect("it runs");
        tokio::time::timeout(PATIENCE, task).await.expect("it ends").unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn state_dir(&self) -> PathBuf {
        self.setup.state.clone().unwrap_or_else(|| self.path("state"))
    }

    pub fn config_file(&self) -> PathBuf {
        self.path("config.toml")
    }

    /// The local folder with this label: `photo`, and also `photo@cousin`, which is another `[[folder]]` with the
    /// same path.
    pub fn root(&self, label: &str) -> PathBuf {
        self.path(label.split('@').next().unwrap_or(label))
    }

    /// Puts a file into the first folder, whole at once, and returns its absolute path.
    pub fn put(&self, below: &str, bytes: &[u8]) -> PathBuf {
        self.put_in(self.setup.folders[0].label, below, bytes)
    }

    pub fn put_in(&self, label: &str, below: &str, bytes: &[u8]) -> PathBuf {
        let path = self.root(label).join(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let number = self.counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let outbox = self.path("outbox").join(number.to_string());
        fs::write(&outbox, bytes).unwrap();
        fs::rename(outbox, &path).unwrap();
        path
    }

    /// `count` photos of some kilobytes in a few folders.
    pub fn put_photos(&self, count: usize) {
        self.put_photos_in(self.setup.folders[0].label, count);
    }

    pub fn put_photos_in(&self, label: &str, count: usize) {
        for number in 0..count {
            let bytes = media::photo(1000 + number as u64, 3000 + 37 * number);
            self.put_in(label, &photo_below(number), &bytes);
        }
    }

    /// Removes the first of the photos that [`Rig::put_photos`] put there.
    pub fn remove_photos(&self, count: usize) {
        let root = self.root(self.setup.folders[0].label);
        for number in 0..count {
            fs::remove_file(root.join(photo_below(number))).unwrap();
        }
    }

    /// The status, which adds up.
    pub async fn status(&self) -> Status {
        let status = self.client.status().await.unwrap();
        check_sums(&status);
        status
    }

    /// Waits until the status is as `check` wants it, and returns it. Nobody changes a source folder meanwhile.
    pub async fn until(&self, what: &str, check: impl Fn(&Status) -> bool) -> Status {
        let begun = Instant::now();
        let (mut last, before) = (None, (!self.setup.writes_meanwhile).then(|| self.sources()));
        loop {
            if let Ok(status) = self.client.status().await {
                check_sums(&status);
                self.assert_says_no_secret(&status);
                if check(&status) {
                    if let Some(before) = before {
                        before.assert_same(&self.sources());
                    }
                    return status;
                }
                last = Some(status);
            }
            let is_over = self.agent.as_ref().is_some_and(|agent| agent.task.is_finished());
            assert!(!is_over && begun.elapsed() < PATIENCE, "no {what}; {}", self.story(last.as_ref()));
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Everything in the source folders as it is now.
    pub fn sources(&self) -> Still {
        Still::of(self.setup.folders.iter().map(|folder| self.root(folder.label)))
    }

    /// Waits for something that the status does not show.
    pub async fn until_true(&self, what: &str, check: impl Fn() -> bool) {
        let begun = Instant::now();
        while !check() {
            let status = self.client.status().await.ok();
            assert!(begun.elapsed() < PATIENCE, "no {what}; {}", self.story(status.as_ref()));
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until every folder has been looked at and nothing waits.
    pub async fn wait_quiet(&self) -> Status {
        self.until("quiet", is_quiet).await
    }

    /// Waits until the folders' files are in the cloud and nothing waits, and checks that each is there once.
    pub async fn wait_arrived(&self) -> Status {
        let begun = Instant::now();
        loop {
            let status = self.wait_quiet().await;
            let Some(words) = self.differs() else {
                self.assert_arrived_once();
                return status;
            };
            assert!(begun.elapsed() < PATIENCE, "{words}; {}", self.story(Some(&status)));
            tokio::time::sleep(LOOK).await;
        }
    }

    /// As [`Rig::wait_arrived`], after a kill: a `create` that was under way then may have been confirmed a
    /// second time, which leaves one copy all the same.
    pub async fn wait_all_there(&self) -> Status {
        let status = self.until("everything there", |s| is_quiet(s) && self.differs().is_none()).await;
        let twice = self.sim.files().iter().filter(|file| file.created > 1).count();
        assert!(twice <= self.setup.parallel, "{twice} files were made twice");
        assert!(self.sim.files().iter().all(|file| file.overwritten == 0 && file.versions.is_empty()));
        self.assert_only_grew();
        status
    }

    /// For a failed test: what the agent says, and what the cloud was asked last.
    pub fn story(&self, status: Option<&Status>) -> String {
        let calls = self.sim.calls();
        let lines = calls.iter().skip(calls.len().saturating_sub(60)).map(|call| {
            let part = call.query.get("partseq").map_or(String::new(), |part| format!("&partseq={part}"));
            let fault = call.fault.as_deref().unwrap_or("");
            format!("{:4} {}{part} -> {} {} {fault}", call.n, call.target(), call.status, call.errno)
        });
        format!("{status:#?}\n{}", lines.collect::<Vec<_>>().join("\n"))
    }
}

/// Every test ends with the watchmen's round, unless it has failed already.
impl Drop for Rig {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.assert_nothing_taken();
            self.assert_no_secret();
        }
    }
}

/// Where [`Rig::put_photos`] puts a photo.
fn photo_below(number: usize) -> String {
    format!("2024/{:02}/IMG_{number:04}.jpg", number % 3)
}

/// Every folder was looked at, and nothing waits.
pub fn is_quiet(status: &Status) -> bool {
    !status.folders.is_empty() && status.folders.iter().all(|f| f.last_scan.is_some()) && status.is_quiet()
}

/// `files = backed_up + waiting + failed + skipped`, in every folder and in all.
pub fn check_sums(status: &Status) {
    let mut sums = BTreeMap::new();
    for folder in &status.folders {
        let c = &folder.counts;
        assert_eq!(c.files, c.backed_up + c.waiting + c.failed + c.skipped, "{status:#?}");
        for (name, count) in [("files", c.files), ("waiting", c.waiting), ("backed_up", c.backed_up)] {
            *sums.entry(name).or_insert(0) += count;
        }
    }
    let c = &status.totals.counts;
    assert_eq!(c.files, c.backed_up + c.waiting + c.failed + c.skipped, "{status:#?}");
    for (name, count) in [("files", c.files), ("waiting", c.waiting), ("backed_up", c.backed_up)] {
        assert_eq!(sums.get(name).copied().unwrap_or(0), count, "{name}: {status:#?}");
    }
}

/// All files below a folder, links not followed, with their path below it.
pub fn files_below(root: &Path) -> Vec<(PathBuf, PathBuf)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => {
                    let below = entry.path().strip_prefix(root).unwrap().to_owned();
                    found.push((entry.path(), below));
                }
                _ => {}
            }
        }
    }
    found
}
