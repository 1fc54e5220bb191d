//! Other clients of the same cloud, which see nothing of the world but this cloud: both run in a network of their own
//! that has a loopback interface and nothing else.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use super::cloud::{Cloud, Line, TOKEN};
use super::process::cost;
use super::tools::Tool;
use super::{Bench, Result};

/// The first argument of this program when it is to bring a cloud and a client together.
pub(crate) const MEET: &str = "meet";

/// Has a client send these files over this line, one after the other as it does; how many seconds that took.
pub(crate) fn send(tool: &Tool, client: &str, line: Line, data: &Path, files: &[PathBuf]) -> Result<f64> {
    let driver =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers").join(format!("with-{client}.py"));
    let mut command = Command::new("unshare");
    command.args(["-rn", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"]);
    command.arg(std::env::current_exe()?).arg(MEET).args(line.words()).arg(data);
    command.arg(&tool.program).arg(driver).args(files);
    let out = cost(&mut command)?.out;
    let seconds = out.lines().rev().find_map(|line| line.strip_prefix("seconds "));
    Ok(seconds.ok_or_else(|| format!("{client} says nothing of seconds"))?.trim().parse()?)
}

/// Inside of that network: the cloud, the client, and whether everything arrived.
pub(crate) fn meet(args: &[String]) -> ExitCode {
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<()> {
    let (line, rest) = args.split_at_checked(Line::WORDS).ok_or("too few arguments")?;
    let [data, program, driver, files @ ..] = rest else { return Err("too few arguments".into()) };
    let bench = Bench::within(false)?;
    let line = Line::of(line)?;
    let cloud = Cloud::start(&bench, Path::new(data), line.clone())?;
    let client =
        cost(Command::new(program).arg(driver).arg(&cloud.url).arg(&line.app).arg(TOKEN).args(files))?;
    let paths: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
    cloud.check(&bench, &paths)?;
    write!(std::io::stdout(), "{}", client.out)?;
    Ok(())
}
