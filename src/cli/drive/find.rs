//! `drive find`: files and folders with a word in their names.

use std::ops::ControlFlow;

use super::category::{self, Category};
use super::lines::{Columns, Lines, Shown};
use super::pages::follow;
use super::{Session, in_session};
use crate::cli::cloud::of_device;
use crate::cli::{Context, ExitStatus, Failed, Outcome};
use crate::cloud::files::{LONGEST_KEY, Place, Search};
use crate::device::{Device, DeviceState};

/// `xpand drive find`.
#[derive(clap::Args, Debug)]
#[command(disable_help_flag = true)]
pub struct FindArgs {
    /// What the name has in it: at most 30 characters
    word: String,
    /// Where to look [default: /apps/<app>]; / is the whole drive
    #[arg(value_parser = super::remote_path)]
    path: Option<String>,
    /// Only files of this kind
    #[arg(long, value_name = category::HELP)]
    category: Option<Category>,
    /// Not in folders within the folder
    #[arg(long)]
    not_recursive: bool,
    #[command(flatten)]
    columns: Columns,
}

/// Does it, after refusing what no cloud would take.
pub(super) fn run(context: &Context, account: Option<&str>, args: &FindArgs) -> Outcome {
    check(&args.word)?;
    in_session(context, account, async |session| find(session, args).await)
}

fn check(word: &str) -> Outcome {
    let words = match word.chars().count() {
        0 => "the word to look for is empty".to_owned(),
        length if length > LONGEST_KEY => {
            format!("the word to look for has {length} characters; the cloud takes {LONGEST_KEY} at most")
        }
        _ => return Ok(()),
    };
    Err(Failed::words(words).status(ExitStatus::Usage))
}

async fn find(session: &Session<'_>, args: &FindArgs) -> Outcome {
    let path = session.path(args.path.as_deref().unwrap_or(""));
    let ask = Search {
        key: args.word.clone(),
        category: args.category.map(Category::number),
        device_id: device_id(session)?,
        thumbs: false,
    };
    let place = Place { path: &path, recursion: !args.not_recursive };
    let lines = Lines::new(session.context, args.columns);
    let files = session.files()?;
    follow(
        async |after| files.search(&ask, place, after).await,
        |page| lines.print(&page, Shown::Path).map(ControlFlow::Continue),
    )
    .await
    .map_err(|error| session.failed_at(&path, error))?
}

/// Hardware has to name itself (xpan-search, 请求参数).
fn device_id(session: &Session<'_>) -> Outcome<Option<String>> {
    let config = &session.cloud.config;
    let device = Device::new(&config.agent.state_dir, config.device.as_ref());
    match device.state().map_err(|error| of_device(&error, &session.account.name))? {
        DeviceState::Registered { id, .. } => Ok(Some(id)),
        DeviceState::Off | DeviceState::New { .. } => Ok(None),
    }
}
