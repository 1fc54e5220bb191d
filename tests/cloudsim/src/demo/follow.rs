//! Waiting for the running agent, with what it says of itself drawn as bars.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::agent::{Agent, Watch};
use super::story::Story;
use super::tell::{bar, plain, size};
use super::{Step, Stop};
use crate::CloudSim;

/// An agent that gets nothing done for so long has failed.
const STUCK: Duration = Duration::from_secs(90);
/// Between two looks.
const TICK: Duration = Duration::from_millis(40);

impl Story<'_> {
    /// Shows what the agent does until `enough` says so; returns its last status.
    pub(super) fn follow(
        &mut self,
        agent: &mut Agent,
        mut enough: impl FnMut(&Value, &CloudSim) -> bool,
    ) -> Step<Value> {
        let watch = Watch::start(&self.home)?;
        let mut status = Value::Null;
        let (mut before, mut moved) = (String::new(), Instant::now());
        loop {
            self.go_on()?;
            if let Some(ended) = agent.ended()? {
                return Err(self.broken(&format!("the agent ended by itself ({ended})")));
            }
            if let Some(newest) = watch.newest(TICK) {
                status = newest;
                self.tell.progress(&lines(&status));
            }
            if enough(&status, &self.sim) {
                self.memory = self.memory.max(agent.peak_memory().unwrap_or(0));
                return Ok(status);
            }
            let now = format!("{}{}", status["totals"], status["active"]);
            if now != before {
                (before, moved) = (now, Instant::now());
            } else if moved.elapsed() > STUCK {
                let words = format!("nothing moved for {} s: {}", STUCK.as_secs(), lines(&status).join("; "));
                return Err(self.broken(&words));
            }
        }
    }

    /// Waits until `done`, at most so long. Says whether it was.
    pub(super) fn wait(&self, time: Duration, mut done: impl FnMut() -> bool) -> Step<bool> {
        let began = Instant::now();
        while began.elapsed() < time {
            self.go_on()?;
            if done() {
                return Ok(true);
            }
            std::thread::sleep(TICK);
        }
        Ok(false)
    }

    fn broken(&self, words: &str) -> Stop {
        Stop::Broken(format!("{words}; its last words:\n{}", self.home.last_words()))
    }
}

/// Everything was looked at, and nothing waits.
pub(super) fn is_quiet(status: &Value) -> bool {
    let mut folders = status["folders"].as_array().into_iter().flatten();
    status["state"] == "idle"
        && status["totals"]["waiting"] == 0
        && status["active"].as_array().is_some_and(Vec::is_empty)
        && folders.all(|folder| !folder["last_scan"].is_null())
}

/// The whole, and the files on their way.
pub(super) fn lines(status: &Value) -> Vec<String> {
    let number = |path: &str| status.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    let active: Vec<&Value> = status["active"].as_array().into_iter().flatten().collect();
    let sending = active.iter().filter(|file| file["stage"] != "hashing");
    let sent: u64 = sending.filter_map(|file| file["done"].as_u64()).sum();
    let folders = status["folders"].as_array().into_iter().flatten();
    let all: u64 = folders.filter_map(|folder| folder["bytes"].as_u64()).sum();
    let done = (all + sent).saturating_sub(number("/totals/bytes_waiting"));
    let state = status["state"].as_str().unwrap_or("starting").replace('_', " ");
    let percent = (done.min(all) * 100).checked_div(all).unwrap_or(0);
    let mut whole = format!(
        "{} {percent:>3}%  {state}: {} of {} files",
        bar(done, all, 24),
        number("/totals/backed_up"),
        number("/totals/files").saturating_sub(number("/totals/skipped"))
    );
    if number("/totals/rate") > 0 && !active.is_empty() {
        whole += &format!(", {}/s", size(number("/totals/rate")));
    }
    if let Some(reason) = status["reason"].as_str() {
        whole += &format!("; {reason}");
    }
    let files = active.iter().map(|file| {
        let path = file["path"].as_str().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        let (done, all) = (file["done"].as_u64().unwrap_or(0), file["size"].as_u64().unwrap_or(0));
        let stage = file["stage"].as_str().unwrap_or_default();
        format!("  {} {stage:<9}  {}, {}", bar(done, all, 12), plain(name.as_bytes()), size(all))
    });
    std::iter::once(whole).chain(files).collect()
}
