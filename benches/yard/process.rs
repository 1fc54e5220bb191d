//! What the kernel knows of a process: processor seconds, memory, wake-ups, bytes.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::Result;

/// A process of ours, which ends with this.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Processor seconds so far, of all its threads and of the children it has waited for.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        let [own_user, own_system, user, system] = times(&self.id().to_string())?;
        Ok(own_user + own_system + user + system)
    }

    /// A line of `/proc/PID/status` in KiB: `VmRSS` is what it holds now, `VmHWM` the most it ever held.
    pub(crate) fn memory_kib(&self, line: &str) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let found = text.lines().find_map(|one| one.strip_prefix(line)?.strip_prefix(':'));
        let words = found.ok_or_else(|| format!("the kernel tells no {line}"))?;
        Ok(words.trim().trim_end_matches("kB").trim().parse()?)
    }

    /// How often its threads went to sleep of their own will so far: each a wake-up, but the first of each.
    pub(crate) fn sleeps(&self) -> Result<u64> {
        let mut sum = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.id()))? {
            let Ok(text) = fs::read_to_string(thread?.path().join("status")) else { continue };
            let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            sum += line.map_or(Ok(0), |count| count.trim().parse::<u64>())?;
        }
        Ok(sum)
    }

    /// A line of `/proc/PID/io`: `write_bytes` is what it had the disk write, `wchar` what it wrote anywhere.
    pub(crate) fn io_bytes(&self, line: &str) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/io", self.id()))?;
        let found = text.lines().find_map(|one| one.strip_prefix(line)?.strip_prefix(':'));
        Ok(found.ok_or_else(|| format!("the kernel tells no {line}"))?.trim().parse()?)
    }

    /// `kill -TERM`, and waits for the end; how long that took.
    pub(crate) fn end(mut self) -> Result<Duration> {
        let begun = Instant::now();
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw).ok_or("no such process")?;
        kill_process(pid, Signal::TERM)?;
        let status = self.0.wait()?;
        if !status.success() {
            return Err(format!("it ended badly: {status}").into());
        }
        Ok(begun.elapsed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a command cost from its start to its end.
pub(crate) struct Cost {
    /// Seconds on the wall.
    pub(crate) seconds: f64,
    /// Processor seconds, with all its children.
    pub(crate) cpu_seconds: f64,
    /// What it printed.
    pub(crate) out: String,
}

/// Runs a command to its end. Nobody else may be waited for meanwhile.
///
/// # Errors
/// It fails; its last words are in the error.
pub(crate) fn cost(command: &mut Command) -> Result<Cost> {
    let before = children_seconds()?;
    let begun = Instant::now();
    let output = command.stdin(Stdio::null()).output()?;
    let seconds = begun.elapsed().as_secs_f64();
    let cpu_seconds = children_seconds()? - before;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let last: Vec<&str> = words.lines().rev().take(3).collect();
        let name = command.get_program().to_string_lossy().into_owned();
        return Err(format!("{name}: {}: {}", output.status, last.join(" / ")).into());
    }
    Ok(Cost { seconds, cpu_seconds, out: String::from_utf8_lossy(&output.stdout).into_owned() })
}

fn children_seconds() -> Result<f64> {
    let [_, _, user, system] = times("self")?;
    Ok(user + system)
}

/// utime, stime, cutime, cstime of `/proc/PID/stat`, in seconds.
fn times(pid: &str) -> Result<[f64; 4]> {
    // 100 on every Linux that is not Alpha or Itanium.
    const TICKS: f64 = 100.0;
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name before may have blanks and brackets.
    let (_, rest) = text.rsplit_once(')').ok_or("the kernel writes its stat otherwise")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let mut seconds = [0.0; 4];
    for (second, field) in seconds.iter_mut().zip(fields.get(11..15).ok_or("the kernel's stat is short")?) {
        *second = field.parse::<f64>()? / TICKS;
    }
    Ok(seconds)
}
