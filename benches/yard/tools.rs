//! The tools that the agent is measured beside: found, or installed by `yardsticks.sh`, and never passed over in silence.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::cost;
use super::{Bench, Result};

/// A tool that is there.
pub(crate) struct Tool {
    /// Its program; of a Python client the interpreter that has it.
    pub(crate) program: PathBuf,
    /// Name and version, for the table.
    pub(crate) name: String,
}

impl Bench {
    /// The tool of that name, installed where it is missing: `curl`, `find`, `md5sum`, `openssl`, `rclone`, `syncthing`,
    /// `restic`, and `bypy-next` and `pypang`, whose program is a Python.
    ///
    /// # Errors
    /// It cannot be had, and why.
    pub(crate) fn tool(&self, name: &str) -> Result<Tool> {
        let cache = self.folder().join("yardsticks");
        if find(&cache, name).is_none() {
            self.say(&format!("installing {name}"));
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/yardsticks.sh");
            cost(Command::new("sh").arg(script).arg(&cache).arg(name))?;
        }
        let program = find(&cache, name).ok_or_else(|| format!("there is no {name}"))?;
        let name = format!("{name} {}", version(&program, name).unwrap_or_default());
        Ok(Tool { program, name: name.trim().to_owned() })
    }
}

fn find(cache: &Path, name: &str) -> Option<PathBuf> {
    if matches!(name, "bypy-next" | "pypang") {
        let python = cache.join(name).join("bin/python");
        return python.exists().then_some(python);
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// The first word with a digit in front that it says of itself.
fn version(program: &Path, name: &str) -> Option<String> {
    let mut command = Command::new(program);
    match name {
        "bypy-next" | "pypang" => {
            let ask = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))";
            command.args(["-c", ask, name]);
        }
        "rclone" | "restic" | "openssl" => drop(command.arg("version")),
        _ => drop(command.arg("--version")),
    }
    let said = cost(&mut command).ok()?.out;
    let is_version = |word: &&str| word.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit());
    let word = said.lines().next()?.split_whitespace().find(is_version)?;
    Some(word.trim_start_matches('v').trim_end_matches(',').to_owned())
}
