//! The local cloud, in a process of its own: what it costs is not counted to anybody else.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use cloudsim::{CloudSim, Options};
use serde_json::{Value, json};

use super::process::Process;
use super::{Bench, Result};

/// The first argument of this program when it is to be a cloud.
pub(crate) const SERVE: &str = "cloud";
/// The token that everybody here has.
pub(crate) const TOKEN: &str = "bench-access";

/// What the line to the cloud is like, and who the user is.
#[derive(Clone)]
pub(crate) struct Line {
    /// Before each answer.
    pub(crate) latency: Duration,
    /// Bytes a second of all requests together; none is no limit.
    pub(crate) bandwidth: Option<u64>,
    /// Membership: 0, 1 and 2 have slices of 4, 16 and 32 MiB.
    pub(crate) vip: u8,
    /// The documents' limits of calls hold.
    pub(crate) limits: bool,
    /// Application that may write.
    pub(crate) app: String,
}

impl Default for Line {
    fn default() -> Self {
        Self { latency: Duration::ZERO, bandwidth: None, vip: 0, limits: false, app: "xpand".into() }
    }
}

impl Line {
    /// How many arguments it is.
    pub(crate) const WORDS: usize = 5;

    /// As arguments of a program.
    pub(crate) fn words(&self) -> [String; Self::WORDS] {
        let (latency, bandwidth) = (self.latency.as_millis(), self.bandwidth.unwrap_or(0));
        [
            latency.to_string(),
            bandwidth.to_string(),
            self.vip.to_string(),
            self.limits.to_string(),
            self.app.clone(),
        ]
    }

    /// Of such arguments.
    pub(crate) fn of(words: &[String]) -> Result<Self> {
        let [latency, bandwidth, vip, limits, app] = words else { return Err("a line is five words".into()) };
        Ok(Self {
            latency: Duration::from_millis(latency.parse()?),
            bandwidth: Some(bandwidth.parse()?).filter(|&rate| rate > 0),
            vip: vip.parse()?,
            limits: limits.parse()?,
            app: app.clone(),
        })
    }
}

/// A running cloud with one user, [`TOKEN`].
pub(crate) struct Cloud {
    /// Ends with this.
    _process: Process,
    /// `http://127.0.0.1:PORT`
    pub(crate) url: String,
}

impl Cloud {
    /// Starts one with what it stores below `data`.
    pub(crate) fn start(bench: &Bench, data: &Path, line: Line) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command
            .arg(SERVE)
            .arg(data)
            .args(line.words())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take();
        let process = Process(child);
        let mut url = String::new();
        BufReader::new(out.ok_or("the cloud has no output")?).read_line(&mut url)?;
        let url = url.trim().to_owned();
        if url.is_empty() {
            return Err("the cloud did not start".into());
        }
        let cloud = Self { _process: process, url };
        cloud.control(bench, "token", &json!({"access_token": TOKEN, "refresh_token": "bench-refresh"}))?;
        Ok(cloud)
    }

    /// `POST /_sim/…`
    pub(crate) fn control(&self, bench: &Bench, what: &str, body: &Value) -> Result<Value> {
        let url = format!("{}/_sim/{what}", self.url);
        let answer = bench.wait(async {
            let sent = client()?.post(url).body(body.to_string()).send().await?;
            Ok::<_, reqwest::Error>((sent.status(), sent.text().await?))
        })?;
        match answer {
            (status, text) if status.is_success() => Ok(serde_json::from_str(&text).unwrap_or_default()),
            (status, text) => Err(format!("{what}: {status} {text}").into()),
        }
    }

    /// `GET /_sim/…`
    pub(crate) fn ask(&self, bench: &Bench, what: &str) -> Result<Value> {
        let url = format!("{}/_sim/{what}", self.url);
        let text = bench.wait(async { client()?.get(url).send().await?.text().await })?;
        Ok(serde_json::from_str(&text)?)
    }

    /// How many calls there were so far whose `method=` is this.
    pub(crate) fn count(&self, bench: &Bench, method: &str) -> Result<usize> {
        let calls = self.ask(bench, "calls")?;
        let calls = calls["calls"].as_array().ok_or("the cloud tells no calls")?;
        Ok(calls.iter().filter(|call| call["query"]["method"] == method).count())
    }

    /// Everything of `all` is there, as its sizes tell, and nothing else.
    pub(crate) fn check(&self, bench: &Bench, all: &[PathBuf]) -> Result<()> {
        let stored = self.ask(bench, "files")?;
        let stored = stored["files"].as_array().ok_or("the cloud tells no files")?;
        let mut theirs: Vec<u64> = stored.iter().filter_map(|file| file["size"].as_u64()).collect();
        let mut ours =
            all.iter().map(|path| Ok(std::fs::metadata(path)?.len())).collect::<Result<Vec<_>>>()?;
        theirs.sort_unstable();
        ours.sort_unstable();
        if theirs != ours {
            return Err(format!("{} files were to be in the cloud, {} are", ours.len(), theirs.len()).into());
        }
        Ok(())
    }
}

/// One for each request: a row asks seldom, and nothing of it may stay open while something is measured.
fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().no_proxy().build()
}

/// Is a cloud, until nobody holds the other end of the standard input.
pub(crate) fn serve(args: &[String]) -> ExitCode {
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn run(args: &[String]) -> Result<()> {
    use std::io::Write;
    let (data, line) = args.split_first().ok_or("a folder is needed")?;
    let Line { latency, bandwidth, vip, limits, app } = Line::of(line)?;
    let options = Options {
        data: Some(data.into()),
        latency,
        bandwidth,
        vip,
        limits,
        app,
        // One of the other clients takes an empty list for "nothing to send".
        empty_block_list: false,
        ..Options::default()
    };
    let sim = CloudSim::start_blocking(options)?;
    writeln!(std::io::stdout(), "{}", sim.url())?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
