//! The story's first half: a folder, a cloud, a login, a backup that is killed, and its second life.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::agent::Agent;
use super::evidence::{self, Upload};
use super::follow::is_quiet;
use super::home::Home;
use super::library::{Library, Looks, looks};
use super::tell::{Tell, number, plain};
use super::{Demo, Step, Stop, names, setting};
use crate::{Call, CloudSim};

/// What every name in the cloud begins with: device and label of the configuration.
pub(super) const PREFIX: &str = "/apps/xpand/Living room NAS/photos/";
/// The line after the kill, bytes a second.
const FASTER: u64 = 12 << 20;

/// What the steps share. The cloud ends before its folder goes.
pub(super) struct Story<'a> {
    pub(super) tell: &'a mut Tell,
    pub(super) sim: CloudSim,
    pub(super) library: Library,
    pub(super) before: Looks,
    pub(super) home: Home,
    interrupted: &'a AtomicBool,
    /// The most memory an agent held, bytes.
    pub(super) memory: u64,
    /// Slices that came twice because they were on the line at the kill.
    pub(super) repeated: usize,
}

/// Plays it from the first step to the last.
pub(super) fn play(demo: &Demo, binary: &Path, tell: &mut Tell, interrupted: &AtomicBool) -> Step {
    let home = Home::open(demo.keep.as_deref(), binary)
        .map_err(|error| Stop::Broken(format!("no place for the demo: {error}")))?;
    let library = setting::a_folder(demo, &home, tell)?;
    let before = looks(&library.root)?;
    let sim = setting::a_cloud(demo, &home, &library, tell)?;
    let mut story = Story { tell, sim, library, before, home, interrupted, memory: 0, repeated: 0 };
    let outcome = story.play();
    if demo.keep.is_some() {
        let calls = story.sim.calls();
        let lines = calls.iter().filter_map(|call| serde_json::to_string(call).ok()).map(|line| line + "\n");
        fs::write(story.home.root.join("calls.jsonl"), lines.collect::<String>())?;
    }
    outcome
}
/// What was so at the kill.
struct Killed {
    /// The file in whose middle it happened.
    upload: Option<Upload>,
    /// All slices that the agent had certainly noted, of all files of several slices.
    noted: BTreeSet<(String, u32)>,
    /// Calls until then.
    calls: Vec<Call>,
}

impl Story<'_> {
    /// An error when somebody has pressed ^C.
    pub(super) fn go_on(&self) -> Step {
        if self.interrupted.load(Ordering::Relaxed) { Err(Stop::Interrupted) } else { Ok(()) }
    }

    fn play(&mut self) -> Step {
        self.configuration()?;
        self.login()?;
        let mut agent = self.start("Start the backup: it registers this box as a device and binds it")?;
        self.device(&mut agent)?;
        let killed = self.kill(agent)?;
        let mut agent = self.resume(killed)?;
        self.compare()?;
        self.left_out()?;
        self.second_run(&mut agent)?;
        self.new_files(&mut agent)?;
        self.second_cloud(&mut agent)?;
        self.end(agent)
    }

    fn configuration(&mut self) -> Step {
        self.tell.command(&format!("export XPAND_CONFIG={}", self.home.config().display()));
        self.tell.command("xpand check");
        let said = self.home.run(&["check"])?;
        self.tell.shown(&said.err);
        self.tell.prove(said.is_good(), "the configuration is good", || said.words());
        Ok(())
    }

    fn login(&mut self) -> Step {
        self.tell.step("Log in with a phone");
        self.tell.command("xpand account login home");
        let mut command = self.home.command(&["account", "login", "home"]);
        if !self.tell.is_live() {
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
        }
        let mut child = command.spawn()?;
        let asked = self.wait(Duration::from_secs(30), || !self.sim.pending_codes().is_empty());
        if matches!(asked, Ok(true)) && self.tell.is_live() {
            // Time to see the code.
            let _ = self.wait(Duration::from_secs(2), || false);
        }
        let code = self.sim.pending_codes().join(", ");
        let approved = self.sim.approve(None);
        let ended = self.wait(Duration::from_secs(30), || !matches!(child.try_wait(), Ok(None)));
        if !matches!(ended, Ok(true)) {
            let _ = child.kill();
        }
        let status = child.wait()?;
        let mut text = String::new();
        if let (Some(mut out), Some(mut err)) = (child.stdout.take(), child.stderr.take()) {
            out.read_to_string(&mut text)?;
            err.read_to_string(&mut text)?;
        }
        self.tell.shown(&text);
        ended?;
        self.tell.say(&format!("(the demo played the phone and approved the code {code})"));
        let accounts = self.home.ask(&["account", "list"])?;
        let is_ready = accounts.pointer("/accounts/0/state").is_some_and(|state| state == "ready");
        self.tell.prove(
            approved == 1 && status.success() && is_ready,
            "one code was shown and approved, and home is logged in",
            || format!("{approved} codes, {status}, {accounts}"),
        );
        Ok(())
    }

    fn start(&mut self, title: &str) -> Step<Agent> {
        self.tell.step(title);
        self.launch()
    }

    /// Starts the agent and waits until it answers.
    pub(super) fn launch(&mut self) -> Step<Agent> {
        self.tell.command("xpand run &");
        let mut agent = Agent::start(&self.home)?;
        let answers = self.wait(Duration::from_secs(30), || {
            let gone = !matches!(agent.ended(), Ok(None));
            gone || self.home.ask(&["status"]).is_ok_and(|status| status.is_object())
        })?;
        match agent.ended()? {
            None if answers => Ok(agent),
            _ => Err(Stop::Broken(format!("the agent does not start:\n{}", self.home.last_words()))),
        }
    }

    fn device(&mut self, agent: &mut Agent) -> Step {
        let is_bound = |status: &Value| {
            status["device"]["state"] == "registered"
                && status.pointer("/accounts/0/state").is_some_and(|state| state == "ready")
        };
        self.follow(agent, |status, _| is_bound(status))?;
        self.tell.command("xpand device show");
        let said = self.home.run(&["device", "show"])?;
        self.tell.shown(&said.out);
        let shown = self.home.ask(&["device", "show"])?;
        let binding = shown.pointer("/accounts/0/binding/state").and_then(Value::as_str);
        let calls = self.sim.calls();
        let (registered, bound) = (evidence::count(&calls, "register"), evidence::count(&calls, "bind"));
        self.tell.prove(
            shown["state"] == "registered" && binding == Some("bound") && (registered, bound) == (1, 1),
            "the cloud was asked once to register the device and once to bind it",
            || format!("{registered} and {bound} times; {shown}"),
        );
        Ok(())
    }

    /// Lets it send until it is in the middle of a film, and kills it.
    fn kill(&mut self, mut agent: Agent) -> Step<Killed> {
        self.tell.step("Backing up - and a power cut in the middle of a film");
        self.tell.command("xpand status --watch");
        let wanted: Vec<_> = self.library.wanted().filter_map(|below| self.before.get(below)).collect();
        let largest = wanted.iter().map(|(size, _)| size.div_ceil(evidence::SLICE)).max().unwrap_or(0) as u32;
        let (number_wanted, mut uploads) = (wanted.len(), BTreeMap::new());
        self.follow(&mut agent, |status, sim| {
            uploads = evidence::uploads(&sim.calls());
            let done = uploads.values().filter(|upload: &&Upload| upload.created).count();
            let some = largest < 2 && done * 3 >= number_wanted;
            some || is_quiet(status) || uploads.values().any(|upload| upload.is_midway(largest))
        })?;
        let pid = agent.pid();
        agent.kill()?;
        self.tell.command(&format!("kill -9 {pid}"));
        // What had left the agent may still arrive.
        let mut calls = self.sim.calls();
        while self.wait(Duration::from_millis(400), || self.sim.calls().len() != calls.len())? {
            calls = self.sim.calls();
        }
        // A file of one slice is made of one piece: it begins anew until the cloud has it.
        let films = uploads.values().filter(|upload| upload.slices > 1);
        let noted =
            films.flat_map(|upload| upload.noted.iter().map(|&slice| (upload.path.clone(), slice))).collect();
        let upload = uploads
            .into_values()
            .filter(|upload| upload.is_midway(largest))
            .max_by_key(|upload| upload.slices);
        match &upload {
            None => self.tell.say("no file here has enough slices to be cut in the middle"),
            Some(upload) => {
                let now = evidence::uploads(&calls).remove(&upload.path).unwrap_or_default();
                let (name, has) = (local_name(&upload.path), upload.arrived.len());
                self.tell.prove(
                    has > 0 && has < upload.slices as usize && !now.created,
                    &format!(
                        "killed with {has} of {} slices of \"{name}\" in the cloud  {}",
                        upload.slices,
                        upload.drawn(&upload.arrived)
                    ),
                    || format!("{has} slices, created: {}", now.created),
                );
            }
        }
        Ok(Killed { upload, noted, calls })
    }

    /// Its second life, until all is quiet.
    fn resume(&mut self, killed: Killed) -> Step<Agent> {
        self.sim.set_bandwidth(self.library.made.then_some(FASTER));
        let mut agent = self.start("The power is back: it goes on where it was")?;
        self.tell.command("xpand status --watch");
        let status = self.follow(&mut agent, |status, _| is_quiet(status))?;
        self.tell.progress_ended(&super::follow::lines(&status)[0]);
        let calls = self.sim.calls_since(killed.calls.last().map_or(0, |call| call.n + 1));
        let sent = evidence::slices(&calls);
        let earlier = evidence::slices(&killed.calls);
        self.repeated = sent.keys().filter(|slice| earlier.contains_key(*slice)).count();
        if let Some(upload) = &killed.upload {
            let here = |(path, slice): &(String, u32)| (*path == upload.path).then_some(*slice);
            let now: BTreeSet<u32> = sent.keys().filter_map(here).collect();
            let name = local_name(&upload.path);
            self.tell.say(&format!("slices of \"{name}\" sent now: {}", upload.drawn(&now)));
            let sessions = evidence::sessions(&self.sim.calls(), &upload.path);
            self.tell.prove(sessions.len() == 1, "it went on in the same upload session", || {
                format!("{} sessions", sessions.len())
            });
        }
        let again: Vec<String> = killed
            .noted
            .iter()
            .filter(|slice| sent.contains_key(*slice))
            .map(|(path, slice)| format!("{slice} of {}", local_name(path)))
            .collect();
        self.tell.prove(
            again.is_empty(),
            &format!(
                "of the {} of films that were confirmed before the kill, none was sent again",
                number(killed.noted.len(), "slice")
            ),
            || format!("sent again: {}", again.join(", ")),
        );
        if self.repeated > 0 {
            let words = number(self.repeated, "slice");
            self.tell.say(&format!("({words} on the line at the kill came twice: that is what it costs)"));
        }
        Ok(agent)
    }
}

/// A file's own name, from its path in the cloud.
fn local_name(remote: &str) -> String {
    let below = remote.strip_prefix(PREFIX).and_then(names::unescape).unwrap_or_default();
    plain(below.rsplit(|&byte| byte == b'/').next().unwrap_or_default())
}
