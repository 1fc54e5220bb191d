//! `xpand device`: who we are in a cloud.
use super::{Context, Outcome};
use clap::Subcommand;
/// Log in to the cloud, and out.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// List the devices
    List,
}
pub(super) fn run(_context: &Context, command: Command) -> Outcome {
    match command {
        Command::List => Ok(()),
    }
}
