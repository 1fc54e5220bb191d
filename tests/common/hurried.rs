//! The agent of a rig as a process that is in a hurry: `kill -9` and [`Clock::hurried`] in one.
//!
//! The real program runs in real time, and the rig's own agent cannot be killed. So a test binary runs
//! itself again, with nothing but its test [`ENTRY`], which is the agent when it is asked to be.

use std::env;
use std::fs::OpenOptions;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustix::process::{Signal, set_parent_process_death_signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};
use xpand::agent::{self, Options, Signals};
use xpand::clock::Clock;
use xpand::config::Config;

use super::Rig;
use super::process::Program;

/// The test of this name has to be in the binary, and calls [`be_the_agent_when_asked`].
pub const ENTRY: &str = "the_agent_as_a_process";

const CONFIG: &str = "XPAND_TEST_AGENT";
const HURRY: &str = "XPAND_TEST_HURRY";

impl Rig {
    /// Starts the agent as a process of its own, as hurried as the rig's setup says.
    pub fn spawn_hurried(&self) -> Program {
        let log = OpenOptions::new().create(true).append(true).open(self.path("agent.log")).unwrap();
        let level = env::var("XPAND_TEST_LOG").unwrap_or_else(|_| "xpand=info".into());
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", ENTRY, "--nocapture", "--test-threads=1"])
            .env(CONFIG, self.config_file())
            .env(HURRY, self.setup.hurry.to_string())
            .env("XPAND_TEST_LOG", level)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Program(child)
    }
}

/// Does nothing, unless this process was started by [`Rig::spawn_hurried`]: then it is the agent until
/// SIGTERM, and does not come back.
pub fn be_the_agent_when_asked() {
    let Some(config) = env::var_os(CONFIG) else { return };
    // Nobody is left behind when the test is killed.
    set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
    // error, warn, info, debug or trace; errors alone where it is not set.
    let level = env::var("XPAND_TEST_LOG").ok().and_then(|level| level.parse().ok());
    let level = level.unwrap_or(tracing::Level::ERROR);
    tracing_subscriber::fmt().with_max_level(level).with_ansi(false).with_writer(std::io::stderr).init();
    let hurry = env::var(HURRY).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let outcome = runtime.block_on(async {
        let signals = Signals { shutdown: CancellationToken::new(), reload: Arc::default() };
        let shutdown = signals.shutdown.clone();
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::spawn(async move {
            terminate.recv().await;
            shutdown.cancel();
        });
        let config = Config::read(config).unwrap();
        let options = Options { config, socket: None, clock: Clock::system().hurried(hurry) };
        Ok::<_, std::io::Error>(agent::run(options, signals).await)
    });
    if let Err(error) = outcome.unwrap() {
        tracing::error!("{error}");
        std::process::exit(1);
    }
    std::process::exit(0);
}
