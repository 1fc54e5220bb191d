//! Completions and manual pages, generated from the definitions of the commands themselves.

use std::path::PathBuf;

use clap::{CommandFactory as _, Subcommand};
use clap_complete::Shell;

use super::{Args, Context, Failed, Outcome};

/// Completions and manual pages.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Print the completions for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Write the manual pages
    Man {
        /// An existing folder for xpand.1, xpand-status.1 and so on
        dir: PathBuf,
    },
}

/// Does it.
///
/// # Errors
/// The folder cannot be written to.
pub fn run(context: &Context, command: Command) -> Outcome {
    match command {
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "xpand", &mut script);
            context.print_text(&String::from_utf8_lossy(&script))
        }
        Command::Man { dir } => {
            if !dir.is_dir() {
                return Err(Failed::words(format!("{} is not a folder; make it first", dir.display())));
            }
            clap_mangen::generate_to(Args::command(), &dir)?;
            Ok(())
        }
    }
}
