//! `xpand image`: the image host of 123pan, folders and pictures with a link for everybody.
//!
//! Paths are as in `xpand drive`, and so are patterns, lines, questions and exit codes; what is done with them
//! here is what an image host has calls for ([`Images`]).

mod info;
mod manage;
mod put;
mod twins;

use clap::Subcommand;

use super::cloud::{Needs, OfAccount, lacks};
use super::drive::{Session, with};
use super::{Context, Outcome};
use crate::cloud::{Images, Service};

/// What the command line has of `xpand image`.
pub type Args = OfAccount<Command>;

/// The 123pan image host.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Make folders
    Mkdir(manage::MkdirArgs),
    /// Send pictures and print the link of each
    Put(put::PutArgs),
    /// List folders and pictures
    Ls(info::LsArgs),
    /// Tell everything the image host knows of pictures, their links among it
    Info(info::InfoArgs),
    /// Delete pictures and folders from the image host
    Rm(manage::RmArgs),
}

/// Does it.
pub(super) fn run(context: &Context, args: Args) -> Outcome {
    let account = args.account.as_deref();
    match args.command {
        Command::Mkdir(args) => in_session(context, account, async |host| manage::mkdir(host, &args).await),
        Command::Put(args) => put::run(context, account, &args),
        Command::Ls(args) => in_session(context, account, async |host| info::ls(host, &args).await),
        Command::Info(args) => in_session(context, account, async |host| info::info(host, &args).await),
        Command::Rm(args) => in_session(context, account, async |host| manage::rm(host, &args).await),
    }
}

/// The image host of one account, open for a command.
struct Host<'s> {
    session: &'s Session<'s>,
    images: &'s dyn Images,
}

/// Opens the image host of an account and does the command.
fn in_session(
    context: &Context,
    account: Option<&str>,
    command: impl AsyncFnOnce(&Host<'_>) -> Outcome,
) -> Outcome {
    with(context, account, Needs::A(Service::Images), async |session| {
        let images = session.drive.images().ok_or_else(lacks)?;
        command(&Host { session, images }).await
    })
}

/// A path of the image host on a command line. An empty one is a variable that was never set, and one that leads
/// out of the image host is not what was meant.
fn image_path(text: &str) -> Result<String, &'static str> {
    if text.is_empty() {
        return Err("it is empty; the image host itself is written /");
    }
    let mut depth = 0_usize;
    for part in text.split('/') {
        depth = match part {
            "" | "." => depth,
            ".." => depth.checked_sub(1).ok_or("it leads out of the image host")?,
            _ => depth + 1,
        };
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::image_path;

    #[test]
    fn a_path_is_not_empty_and_does_not_lead_out() {
        for good in ["/", "a", "a/../b", "/a/./b/", "a/b/../.."] {
            assert_eq!(image_path(good).as_deref(), Ok(good));
        }
        for bad in ["", "..", "../x", "/..", "a/../../b", "a//../.."] {
            assert!(image_path(bad).is_err(), "{bad}");
        }
    }
}
