//! `xpand image`: the image host of 123pan, folders and pictures with a link for everybody.
//!
//! Paths are as in `xpand drive`, and so are patterns, lines, questions and exit codes; what is done with them
//! here is what an image host has calls for ([`Images`]).

mod info;
mod manage;
mod put;

use clap::Subcommand;

use super::cloud::Cloud;
use super::drive::{Session, in_session_of};
use super::{Context, ExitStatus, Failed, Outcome};
use crate::cloud::{self, Images};
use crate::config;

/// What the command line has of `xpand image`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// NAME of [account.NAME] [default: the only one with an image host]
    #[arg(long, global = true, value_name = "NAME")]
    account: Option<String>,
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

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
    in_session_of(
        context,
        |cloud| choose(cloud, account),
        async |session| {
            let images = session.drive.images().ok_or_else(|| no_host(session.account))?;
            command(&Host { session, images }).await
        },
    )
}

/// The account of that name, or the only one there is that has an image host.
fn choose<'c>(cloud: &'c Cloud, name: Option<&str>) -> Outcome<&'c config::Account> {
    let has_host = |account: &&config::Account| cloud::of(account.provider).has_links();
    let hosts: Vec<&config::Account> = cloud.config.accounts.iter().filter(has_host).collect();
    match (name, hosts.as_slice()) {
        (None, [only]) => Ok(only),
        // The sentence is that of every command.
        _ => cloud.account(name),
    }
}

fn no_host(account: &config::Account) -> Failed {
    let title = cloud::of(account.provider).title();
    Failed::words(format!("{} is an account of {title}, which is no image host", account.name))
        .hint("name an account with provider = \"pan123\": --account NAME; xpand drive has the commands for this one")
        .status(ExitStatus::Usage)
}
