//! Where the `xpand` binary comes from: built here by cargo, with the profile of this program.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// Builds `xpand` and says where it is. Cargo's words go to stderr as ever.
///
/// No lock is in the way: `cargo run` has let go of its own before it starts us.
pub(super) fn xpand() -> Result<PathBuf, String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    let mut command = Command::new(&cargo);
    command.args(["build", "--package", "xpand", "--bin", "xpand"]);
    command.args(["--message-format", "json-render-diagnostics", "--manifest-path"]).arg(&manifest);
    if let Some(profile) = profile() {
        command.args(["--profile", &profile]);
    }
    let cannot = |error| format!("cannot start {}: {error}", cargo.to_string_lossy());
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().map_err(cannot)?;
    if !output.status.success() {
        return Err(format!("cargo could not build xpand ({})", output.status));
    }
    let binary = output.stdout.split(|&byte| byte == b'\n').rev().find_map(|line| {
        let message: Value = serde_json::from_slice(line).ok()?;
        let is_bin = message.pointer("/target/kind/0")? == "bin";
        is_bin.then(|| message.get("executable")?.as_str().map(PathBuf::from))?
    });
    binary.ok_or_else(|| "cargo did not say where it put xpand".to_owned())
}

/// The profile this program was built with, by the folder it lies in; none is `dev`.
fn profile() -> Option<String> {
    let program = env::current_exe().ok()?;
    let folder = program.parent()?.file_name()?.to_str()?;
    (!matches!(folder, "debug" | "deps")).then(|| folder.to_owned())
}
