//! Boxes with the real agent in each, all in this process, behind one cloud that enforces the documents' limits.
//!
//! Their time runs faster than ours: of what the agent waits for, so many times ([`HURRY`]); and the limits' minutes,
//! hours and days are as much shorter.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cloudsim::{Call, CloudSim, Options};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use xpand::account::Accounts;
use xpand::agent::{self, Signals};
use xpand::clock::Clock;
use xpand::config::Config;
use xpand::control::client::Client;
use xpand::status::{AccountState, Status};

use crate::yard::{Bench, Result, files};

/// A minute of a box is a second of ours.
pub(super) const HURRY: u32 = 60;
const PATIENCE: Duration = Duration::from_mins(5);

/// Some boxes, each with a user and a device of its own.
pub(super) struct Boxes {
    /// The cloud of all of them.
    pub(super) sim: CloudSim,
    /// How many there are.
    pub(super) count: usize,
    runtime: Runtime,
    room: TempDir,
    running: Vec<(CancellationToken, JoinHandle<std::result::Result<(), agent::Error>>)>,
    photos: u64,
}

impl Boxes {
    /// So many, logged in, with photos, and not started.
    pub(super) fn new(bench: &Bench, count: usize, photos: u64) -> Result<Self> {
        let options = Options { limits: true, limits_hurry: HURRY, ..Options::default() };
        let sim = CloudSim::start_blocking(options)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let mut boxes = Self { sim, count, runtime, room: bench.room()?, running: Vec::new(), photos: 0 };
        for number in 0..count {
            let (home, url) = (boxes.home(number), boxes.sim.url());
            fs::create_dir_all(home.join("photos"))?;
            let mut text = String::new();
            write!(
                text,
                "[device]\ntype = \"2020073115900228875\"\nname = \"Box {number}\"\nserial = \"SN{number}\"\n\n\
                 [account.home]\nprovider = \"baidu\"\nclient_id = \"demo\"\nclient_secret = \"demo\"\n\
                 app = \"xpand\"\nendpoint = {url:?}\n\n[[folder]]\npath = {:?}\naccount = \"home\"\n\n\
                 [agent]\nstate_dir = {:?}\nsocket = {:?}\nsettle = \"100ms\"\ncheck_bind = \"{}s\"\n",
                home.join("photos"),
                home.join("state"),
                home.join("s"),
                3600 / HURRY,
            )?;
            fs::write(home.join("config.toml"), text)?;
            let (access, refresh) = (format!("access-{number}"), format!("refresh-{number}"));
            boxes.sim.add_token(&format!("user-{number}"), &access, Some(&refresh), None)?;
            let tokens = format!(r#"{{"access_token": "{access}", "refresh_token": "{refresh}"}}"#);
            Accounts::new(&home.join("state"), Clock::system()).import("home", &tokens)?;
        }
        boxes.add_photos(photos)?;
        Ok(boxes)
    }

    fn home(&self, number: usize) -> PathBuf {
        self.room.path().join(number.to_string())
    }

    /// So many new photos come to each box.
    pub(super) fn add_photos(&mut self, photos: u64) -> Result<()> {
        for number in 0..self.count {
            let folder = self.home(number).join("photos").join(self.photos.to_string());
            let seed = (number as u64 + 1) * 1_000_000 + self.photos;
            files::photos(&folder, seed, photos, 4096)?;
        }
        self.photos += photos;
        Ok(())
    }

    /// All at the same moment. `boot`: the first time since the power came back.
    pub(super) fn start(&mut self, boot: bool) -> Result<()> {
        for number in 0..self.count {
            if boot {
                fs::write(self.home(number).join("state/boot"), "another\n")?;
            }
        }
        let configs = (0..self.count).map(|number| Config::read(self.home(number).join("config.toml")));
        for config in configs.collect::<std::result::Result<Vec<_>, _>>()? {
            let signals = Signals { shutdown: CancellationToken::new(), reload: Arc::default() };
            let clock = Clock::system().hurried(HURRY);
            let options = agent::Options { config, socket: None, clock };
            let shutdown = signals.shutdown.clone();
            self.running.push((shutdown, self.runtime.spawn(agent::run(options, signals))));
        }
        Ok(())
    }

    /// All of them end.
    pub(super) fn stop(&mut self) -> Result<()> {
        self.running.iter().for_each(|(shutdown, _)| shutdown.cancel());
        for (_, task) in self.running.drain(..) {
            self.runtime.block_on(task)??;
        }
        Ok(())
    }

    /// Until all of them are ready, with everything backed up.
    pub(super) fn until_done(&self) -> Result<()> {
        let photos = self.photos;
        self.until(|status| {
            let is_ready = status.accounts.iter().all(|account| account.state == AccountState::Ready);
            is_ready && status.totals.counts.backed_up == photos && status.is_quiet()
        })
    }

    /// Until the status of all of them is so.
    pub(super) fn until(&self, check: impl Fn(&Status) -> bool) -> Result<()> {
        let begun = Instant::now();
        for number in 0..self.count {
            let client = Client::new(self.home(number).join("s"));
            loop {
                let status = self.runtime.block_on(client.status()).ok();
                if status.as_ref().is_some_and(&check) {
                    break;
                }
                if begun.elapsed() > PATIENCE {
                    return Err(format!(
                        "box {number} is not done: {:?}",
                        status.map(|status| status.reason)
                    )
                    .into());
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        Ok(())
    }

    /// Lets so much of the boxes' time pass.
    pub(super) fn pass(&self, time: Duration) {
        std::thread::sleep(time / HURRY);
    }

    /// Where the log of calls ends now, and when that is.
    pub(super) fn mark(&self) -> Mark {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let number = self.sim.calls().last().map_or(0, |call| call.n + 1);
        Mark { number, at_ms: now.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0)) }
    }

    /// The calls since then.
    pub(super) fn since(&self, mark: &Mark) -> Calls {
        let calls = self.sim.calls_since(mark.number);
        let seconds = calls.iter().map(|call| {
            let ms = call.time_ms.saturating_sub(mark.at_ms);
            ms as f64 / 1000.0 * f64::from(HURRY)
        });
        let mut seconds: Vec<f64> = seconds.collect();
        seconds.sort_unstable_by(f64::total_cmp);
        Calls { calls, seconds }
    }
}

/// See [`Boxes::mark`].
pub(super) struct Mark {
    number: u64,
    at_ms: u64,
}

/// Some calls.
pub(super) struct Calls {
    /// They themselves.
    pub(super) calls: Vec<Call>,
    /// When they came, in seconds of the boxes' time.
    pub(super) seconds: Vec<f64>,
}

impl Calls {
    /// How many there are.
    pub(super) fn count(&self) -> f64 {
        self.calls.len() as f64
    }

    /// How many have this in their target: `uinfo`, `create`.
    pub(super) fn of(&self, text: &str) -> f64 {
        self.calls.iter().filter(|call| call.target().contains(text)).count() as f64
    }

    /// How many the cloud refused with this number.
    pub(super) fn refused(&self, errno: i64) -> f64 {
        self.calls.iter().filter(|call| call.errno == errno).count() as f64
    }

    /// The most that came within so many seconds of the boxes' time, a second.
    pub(super) fn busiest(&self, within: f64) -> f64 {
        let mut from = 0;
        let mut most = 0;
        for (at, second) in self.seconds.iter().enumerate() {
            while self.seconds[from] < second - within {
                from += 1;
            }
            most = most.max(at - from + 1);
        }
        most as f64 / within
    }

    /// From the first to the last, in minutes of the boxes' time.
    pub(super) fn minutes(&self) -> f64 {
        match (self.seconds.first(), self.seconds.last()) {
            (Some(first), Some(last)) => (last - first) / 60.0,
            _ => 0.0,
        }
    }
}
