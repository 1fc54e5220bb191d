//! The story's second half: what arrived, what did not and why, a run with nothing to do, a new picture,
//! and the end.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Step;
use super::agent::Agent;
use super::compare::{Compared, some};
use super::evidence;
use super::follow::is_quiet;
use super::library::{Expect, looks};
use super::story::{PREFIX, Story};
use super::tell::{number, plain, size};
use crate::Call;
use crate::content_md5::md5_of;

/// An agent that is told to end does so within this.
const ENDING: Duration = Duration::from_secs(5);

impl Story<'_> {
    /// Folder and cloud, file by file.
    pub(super) fn compare(&mut self) -> Step {
        self.tell.step("The proof: folder and cloud, file by file");
        let mut compared = Compared::read(&self.library, &self.sim.files(), PREFIX)?;
        self.own_reasons(&mut compared)?;
        let (count, bytes) = (compared.found.len(), size(compared.bytes));
        let mut proofs = vec![
            (
                &compared.names,
                "every photo and video is in the cloud, under a name that leads back to it".to_owned(),
            ),
            (
                &compared.content,
                format!("all {count} have the MD5 of the file in the folder ({bytes} read on both sides)"),
            ),
            (&compared.times, "each was created once, and nothing was overwritten".to_owned()),
            (&compared.modes, "photos came as photos (mode 4), videos as videos (mode 5)".to_owned()),
            (&compared.dates, "each has the date of its file".to_owned()),
        ];
        if self.library.made {
            let words = format!(
                "exif_info is what the camera wrote ({} have any)",
                number(compared.with_exif, "photo")
            );
            proofs.push((&compared.exif, words));
        }
        for (wrong, words) in proofs {
            self.tell.prove(wrong.is_empty(), &words, || some(wrong));
        }
        let escaped = compared.escaped;
        self.tell.say(&format!("{} had to be written in another way for the cloud", number(escaped, "name")));
        let totals = self.home.ask(&["status"])?["totals"].clone();
        self.tell.prove(
            totals["backed_up"] == count && totals["failed"] == 0 && totals["waiting"] == 0,
            &format!("xpand itself says the same: {} backed up, none failed", number(count, "file")),
            || totals.to_string(),
        );
        self.tell.command("xpand status");
        let said = self.home.run(&["status"])?;
        self.tell.shown(&said.out);
        Ok(())
    }

    /// What is missing of the user's own files may have its reason: xpand has to name it.
    fn own_reasons(&mut self, compared: &mut Compared) -> Step {
        for below in std::mem::take(&mut compared.missing) {
            let told = self.explain(&below)?;
            let has_reason = matches!(told["state"].as_str(), Some("excluded" | "skipped" | "not_selected"));
            let reason = told["reason"].as_str().unwrap_or("no reason");
            if has_reason && !self.library.made {
                self.tell.say(&format!("left out: {} ({reason})", plain(&below)));
            } else {
                compared.names.push(format!("{} is not in the cloud ({reason})", plain(&below)));
            }
        }
        Ok(())
    }

    fn explain(&self, below: &[u8]) -> Step<Value> {
        let path = self.library.path(below);
        Ok(self.home.ask(&[OsStr::new("explain"), path.as_os_str()])?)
    }

    /// Empty files and junk stay at home, and xpand says why.
    pub(super) fn left_out(&mut self) -> Step {
        let of_kind = |empty: bool| {
            let files = self.library.files.iter();
            let mut files = files.filter(move |(_, expect)| match expect {
                Expect::Empty => empty,
                Expect::Junk => !empty,
                _ => false,
            });
            files.next().map(|(below, _)| below.clone())
        };
        let shown: Vec<Vec<u8>> = [of_kind(true), of_kind(false)].into_iter().flatten().collect();
        if shown.is_empty() {
            return Ok(());
        }
        self.tell.step("What stays at home, and why");
        for below in shown {
            let path = self.library.path(&below);
            self.tell.command(&format!("xpand explain '{}'", plain(path.as_os_str().as_bytes())));
            let said = self.home.run(&[OsStr::new("explain"), path.as_os_str()])?;
            self.tell.shown(&said.out);
        }
        let mut wrong = Vec::new();
        let files: Vec<_> = self.library.files.clone().into_iter().collect();
        for (below, expect) in files {
            let right: &[&str] = match expect {
                Expect::Empty => &["skipped"],
                Expect::Junk => &["excluded", "not_selected"],
                Expect::Photo(_) | Expect::Video => continue,
            };
            let told = self.explain(&below)?;
            if !told["state"].as_str().is_some_and(|state| right.contains(&state)) {
                wrong.push(format!("{}: {}", plain(&below), told["state"]));
            }
        }
        self.tell.prove(wrong.is_empty(), "every file that was left out has its reason", || some(&wrong));
        Ok(())
    }

    /// A new start and a new look at everything: nothing to send.
    pub(super) fn second_run(&mut self, agent: &mut Agent) -> Step {
        let pid = agent.pid();
        self.tell.step("Start it again: there is nothing to do");
        self.tell.command(&format!("kill {pid}"));
        let (time, status) = agent.terminate()?;
        self.ended_well(time, status);
        let from = self.sim.calls().last().map_or(0, |call| call.n + 1);
        *agent = self.launch()?;
        let status = self.follow(agent, |status, _| is_quiet(status))?;
        let looked = status.pointer("/folders/0/last_scan").cloned();
        // Times are told in whole seconds.
        self.wait(Duration::from_millis(1100), || false)?;
        self.tell.command("xpand scan");
        let said = self.home.run(&["scan"])?;
        let again = |status: &Value| status.pointer("/folders/0/last_scan").cloned() != looked;
        let status = self.follow(agent, |status, _| is_quiet(status) && again(status))?;
        self.tell.progress_ended(&super::follow::lines(&status)[0]);
        let calls = self.sim.calls_since(from);
        let [begun, sent, made] =
            ["precreate", "superfile2", "create"].map(|method| evidence::count(&calls, method));
        self.tell.prove(
            said.is_good() && (begun, sent, made) == (0, 0, 0),
            "two looks at the whole folder sent nothing: 0 precreate, 0 superfile2, 0 create",
            || format!("{begun} precreate, {sent} superfile2, {made} create; scan: {}", said.words()),
        );
        Ok(())
    }

    /// A phone copies a picture into the folder while the agent runs; somebody makes a copy of a film.
    pub(super) fn new_files(&mut self, agent: &mut Agent) -> Step {
        if !self.library.made {
            return Ok(());
        }
        self.tell.step("New files come into the folder");
        let taken = b"2024/Just taken.jpg";
        self.tell.command(&format!("cp phone/IMG_2001.jpg '{}'", self.library.path(taken).display()));
        self.library.add_photo(taken)?;
        let (time, calls) = self.arrives(agent, taken)?;
        let made = evidence::count(&calls, "create");
        self.tell.prove(
            made == 1,
            &format!("a new picture is in the cloud {time:.1} s later, and nothing else was sent"),
            || format!("{made} files were made"),
        );
        let again = b"Best of/The sea again.mp4";
        self.tell.command(&format!(
            "cp '{}' '{}'",
            self.library.path(b"2024/Holiday/The sea.mp4").display(),
            self.library.path(again).display()
        ));
        self.library.copy(b"2024/Holiday/The sea.mp4", again)?;
        let (time, calls) = self.arrives(agent, again)?;
        let sent = evidence::slice_bytes(&calls);
        self.tell.prove(
            sent == 0,
            &format!(
                "a copy of a film is there {time:.1} s later without a byte being sent: the cloud knew it"
            ),
            || format!("{sent} bytes sent"),
        );
        Ok(())
    }

    /// Waits until a file is in the cloud as it is here. Returns the seconds, and the calls it took.
    fn arrives(&mut self, agent: &mut Agent, below: &[u8]) -> Step<(f32, Vec<Call>)> {
        let from = self.sim.calls().last().map_or(0, |call| call.n + 1);
        let began = Instant::now();
        let remote = format!("{PREFIX}{}", String::from_utf8_lossy(below));
        self.wait(Duration::from_secs(30), || self.sim.file(&remote).is_some())?;
        let time = began.elapsed().as_secs_f32();
        let status = self.follow(agent, |status, _| is_quiet(status))?;
        self.tell.progress_ended(&super::follow::lines(&status)[0]);
        let here = md5_of(&self.library.path(below))?;
        let there = self.sim.file(&remote).map(|file| file.md5);
        let name = plain(below);
        self.tell.prove(there.as_ref() == Some(&here), &format!("\"{name}\" has the same MD5 there"), || {
            format!("{there:?} instead of {here}")
        });
        let now = looks(&self.library.root)?;
        self.before.extend(now.into_iter().filter(|(name, _)| name == below));
        Ok((time, self.sim.calls_since(from)))
    }

    /// The end, and the figures.
    pub(super) fn end(&mut self, mut agent: Agent) -> Step {
        self.tell.step("The end");
        self.memory = self.memory.max(agent.peak_memory().unwrap_or(0));
        self.tell.command(&format!("kill {}", agent.pid()));
        let (time, status) = agent.terminate()?;
        self.ended_well(time, status);
        let after = looks(&self.library.root)?;
        self.tell.prove(after == self.before, "the folder is untouched", || {
            let changed = self.before.iter().filter(|(name, look)| after.get(*name) != Some(look));
            some(&changed.map(|(name, _)| plain(name)).collect::<Vec<_>>())
        });
        self.tell.line("");
        let calls = self.sim.calls();
        let slices = evidence::slices(&calls);
        let (pictures, mut stored) = (self.at_123pan(), self.sim.files());
        stored.retain(|file| file.cloud == "baidu");
        let instant = stored.iter().filter(|file| file.instant).count();
        let bytes = stored.iter().map(|file| file.size).sum();
        let files = number(stored.len(), "file");
        let build = if cfg!(debug_assertions) { " (a debug build)" } else { "" };
        self.tell.table(&[
            ("In the cloud", format!("{files}, {}", size(bytes))),
            ("At 123pan too", number(pictures.len(), "picture")),
            ("Sent", format!("{} in {}", size(evidence::slice_bytes(&calls)), number(slices.len(), "slice"))),
            ("Sent twice, for the kill", number(self.repeated, "slice")),
            ("Already there, not sent", format!("{} of the same content", number(instant, "file"))),
            ("Calls to the cloud", calls.len().to_string()),
            ("Memory of the agent", format!("{} at most{build}", size(self.memory))),
            ("Asked to end, it took", format!("{} ms", time.as_millis())),
        ]);
        Ok(())
    }

    fn ended_well(&mut self, time: Duration, status: Option<std::process::ExitStatus>) {
        let good = status.is_some_and(|status| status.success()) && time <= ENDING;
        let words = format!("it ends within 5 s ({} ms), exit code 0", time.as_millis());
        self.tell.prove(good, &words, || format!("{status:?} after {} ms", time.as_millis()));
    }
}
