//! The command line: what can be typed, how it is answered, and with which exit code.
//!
//! One file per family of commands. Each command makes a [`Report`], which prints as text for people
//! or, with `--json`, as one JSON document. Data goes to stdout, words to stderr, and nobody else in
//! the program writes to either.

pub mod account;
pub mod agent;
mod check;
mod cloud;
pub mod device;
pub mod docs;
pub mod drive;
mod failed;
mod fetching;
pub mod image;
mod log;
mod parts;
mod qr;
pub mod restore;
mod screen;
pub mod share;
mod status_text;
mod terminal;
pub mod verify;
mod watch;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde::Serialize;

use crate::clock::Clock;
use crate::config::{Config, ConfigError, DEFAULT_FILE};
use crate::control::client::Client;

pub use failed::Failed;
pub use terminal::{Look, Tone, plain};

/// Backs up the photos and videos of this box to a cloud drive, by itself.
#[derive(Parser, Debug)]
#[command(
    name = "xpand",
    version,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 agent not running,\n4 you have to act (log in, bind)."
)]
pub struct Args {
    /// What every command understands.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Over the options that every command understands, so that its own stand alone.
const EVERYWHERE: &str = "Every command";

/// What every command understands.
#[derive(clap::Args, Clone, Debug)]
pub struct Global {
    // The environment is read by [`Context`]: told of it, clap names both options in every sentence about a
    // wrong command line.
    /// The configuration [env: XPAND_CONFIG] [default: /etc/xpand/config.toml]
    #[arg(long, global = true, value_name = "PATH", help_heading = EVERYWHERE)]
    pub config: Option<PathBuf>,
    /// The agent's control socket [env: XPAND_SOCKET] [default: agent.socket of the configuration]
    #[arg(long, global = true, value_name = "PATH", help_heading = EVERYWHERE)]
    pub socket: Option<PathBuf>,
    /// Print JSON: one document, or one a line
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub json: bool,
    /// Tell more; twice: everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = EVERYWHERE)]
    pub verbose: u8,
    /// Tell only what went wrong
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = EVERYWHERE)]
    pub quiet: bool,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// What the running agent is asked, and the agent itself.
    #[command(flatten)]
    Agent(agent::Command),
    /// Log in to the cloud, and out
    #[command(subcommand)]
    Account(account::Command),
    /// This box as the cloud knows it
    #[command(subcommand)]
    Device(device::Command),
    /// The cloud drive as a file system
    Drive(drive::Args),
    /// Bring backed-up files home, checked; goes on where it stopped
    Restore(restore::RestoreArgs),
    /// Compare what the agent believes to be in the cloud with what the cloud lists
    Verify(verify::VerifyArgs),
    /// The 123pan image host: pictures with a link for everybody
    Image(image::Args),
    /// Share links: make them, look into them, save from them
    Share(share::Args),
    /// Manual pages and shell completions.
    #[command(flatten)]
    Docs(docs::Command),
}

/// How a command ended. The numbers are fixed: scripts depend on them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExitStatus {
    /// 0
    Done,
    /// 1
    Failed,
    /// 2: wrong usage or configuration.
    Usage,
    /// 3: the agent is not running.
    NotRunning,
    /// 4: the user has to act: log in, bind.
    UserMustAct,
}

impl ExitStatus {
    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotRunning => 3,
            Self::UserMustAct => 4,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        status.code().into()
    }
}

/// What a command has to tell: JSON by its own `Serialize`, and text.
pub trait Report: Serialize {
    /// For people; ends with a newline, or is empty.
    fn text(&self, look: &Look) -> String;
}

/// The result of a command.
pub type Outcome<T = ()> = Result<T, Failed>;

/// What commands need of their surroundings.
pub struct Context {
    global: Global,
    config: PathBuf,
    socket: Option<PathBuf>,
    clock: Clock,
}

impl Context {
    fn new(global: Global) -> Self {
        let of =
            |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
        let config = global.config.clone().or_else(|| of("XPAND_CONFIG"));
        let config = config.unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
        let socket = global.socket.clone().or_else(|| of("XPAND_SOCKET"));
        Self { global, config, socket, clock: Clock::system() }
    }

    /// A context that nothing was said to.
    #[cfg(test)]
    fn for_tests() -> Self {
        Self::new(Global { config: None, socket: None, json: false, verbose: 0, quiet: false })
    }

    /// The file of the configuration.
    #[must_use]
    pub fn config_file(&self) -> &Path {
        &self.config
    }

    /// Reads the configuration, secrets included.
    ///
    /// # Errors
    /// All mistakes of the file; exit code 2.
    pub fn config(&self) -> Result<Config, ConfigError> {
        Config::read(&self.config)
    }

    /// The socket that was named, if one was.
    #[must_use]
    pub fn named_socket(&self) -> Option<&Path> {
        self.socket.as_deref()
    }

    /// A client of the running agent. The configuration is only looked at for the socket's path.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(match &self.socket {
            Some(socket) => socket.clone(),
            None => Config::socket_in(&self.config),
        })
    }

    /// Whether JSON is wanted.
    #[must_use]
    pub fn json(&self) -> bool {
        self.global.json
    }

    /// What the time is.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// How text to stdout looks now.
    #[must_use]
    pub fn look(&self) -> Look {
        Look::of_stdout(self.clock.now_secs())
    }

    /// Prints to stdout, as text or as one line of JSON.
    ///
    /// # Errors
    /// Nobody reads any more, or the disk behind stdout is full.
    pub fn print(&self, report: &impl Report) -> Outcome {
        if self.global.json { self.print_json(report) } else { self.print_text(&report.text(&self.look())) }
    }

    /// Prints one line of JSON to stdout.
    ///
    /// # Errors
    /// As [`Context::print`].
    pub fn print_json(&self, document: &impl Serialize) -> Outcome {
        self.print_text(&self.json_line(document)?)
    }

    /// A document as one line of JSON, which moves no cursor either.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn json_line(&self, document: &impl Serialize) -> Outcome<String> {
        let mut line = serde_json::to_string(document).map_err(|error| Failed::new(&error))?;
        line = terminal::plain_json(&line);
        line.push('\n');
        Ok(line)
    }

    /// Prints to stdout as it is.
    ///
    /// # Errors
    /// As [`Context::print`].
    pub fn print_text(&self, text: &str) -> Outcome {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()?;
        Ok(())
    }

    /// Whether only what went wrong is to be told.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.global.quiet
    }

    /// Words to stderr, unless `--quiet`.
    pub fn say(&self, words: &str) {
        if !self.global.quiet {
            let _ = writeln!(std::io::stderr(), "{words}");
        }
    }

    /// Does a command's work to its end, everything on this thread.
    ///
    /// # Errors
    /// The system refuses to start a runtime.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> Outcome<T> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // Behind a pointer of one type: the runtime is in the program once, not with every command.
        let work: Pin<Box<dyn Future<Output = T> + '_>> = Box::pin(work);
        Ok(runtime.block_on(work))
    }
}

/// Parses the command line of this process and does what it says; every word is said by then.
#[must_use]
pub fn main() -> ExitStatus {
    panic_in_one_sentence();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(told) => {
            let wrong = told.use_stderr();
            let _ = told.print();
            return if wrong { ExitStatus::Usage } else { ExitStatus::Done };
        }
    };
    let context = Context::new(args.global);
    match dispatch(&context, args.command) {
        Ok(()) => ExitStatus::Done,
        Err(failed) => failed.tell(),
    }
}

fn dispatch(context: &Context, command: Command) -> Outcome {
    match command {
        Command::Agent(agent::Command::Run) => agent::start(context),
        command => {
            log::for_command(&context.global);
            match command {
                Command::Agent(command) => agent::run(context, command),
                Command::Account(command) => account::run(context, command),
                Command::Device(command) => device::run(context, command),
                Command::Drive(args) => drive::run(context, args),
                Command::Image(args) => image::run(context, args),
                Command::Share(args) => share::run(context, args),
                Command::Restore(args) => restore::run(context, &args),
                Command::Verify(args) => verify::run(context, &args),
                Command::Docs(command) => docs::run(context, command),
            }
        }
    }
}

/// A panic is our own mistake: one sentence says so, the backtrace is for those who ask for it.
fn panic_in_one_sentence() {
    if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
        return;
    }
    std::panic::set_hook(Box::new(|panic| {
        // sled reports damage by panicking; the store makes an error of it.
        if crate::store::is_catching() {
            return;
        }
        let place = panic.location().map_or_else(String::new, ToString::to_string);
        let payload = panic.payload();
        let words = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no words");
        let _ = writeln!(
            std::io::stderr(),
            "xpand: a mistake in xpand itself, please report it: {} ({place})",
            plain(words)
        );
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
