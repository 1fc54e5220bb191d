//! `drive find`: files and folders with a word in their names.

use std::ops::ControlFlow;

use super::category::{self, Category};
use super::glob::Pattern;
use super::lines::{Columns, Lines, Shown};
use super::media::Depth;
use super::pages::{follow, name};
use super::{Session, with_files};
use crate::cli::cloud::of_device;
use crate::cli::{Context, ExitStatus, Failed, Outcome};
use crate::cloud::files::{LONGEST_KEY, Place, Search};
use crate::device::{Device, DeviceState};

/// `xpand drive find`.
#[derive(clap::Args, Debug)]
#[command(disable_help_flag = true)]
pub struct FindArgs {
    /// What the name has in it: at most 30 characters; with * or ? the whole name, as in '*.mp4'
    word: String,
    /// Where to look [default: /apps/<app>]; / is the whole drive
    #[arg(value_parser = super::remote_path)]
    path: Option<String>,
    /// Only files of this kind
    #[arg(long, value_name = category::HELP)]
    category: Option<Category>,
    #[command(flatten)]
    depth: Depth,
    #[command(flatten)]
    columns: Columns,
}

/// Does it, after refusing what no cloud would take.
pub(super) fn run(context: &Context, account: Option<&str>, args: &FindArgs) -> Outcome {
    let (key, pattern) = key(&args.word)?;
    with_files(context, account, async |session| find(session, args, &key, pattern.as_ref()).await)
}

/// What the cloud is asked for, and what of its answer is wanted. The cloud knows no patterns, and no name
/// in it has a `*` or a `?`: it is asked for the longest word of the pattern.
fn key(word: &str) -> Outcome<(String, Option<Pattern>)> {
    let wrong = |words: String| Err(Failed::words(words).status(ExitStatus::Usage));
    if word.contains(['*', '?']) {
        let pattern = Pattern::new(word);
        let key: String = pattern.word().chars().take(LONGEST_KEY).collect();
        return match key.is_empty() {
            true => wrong(format!(
                "{word} has no word in it that the cloud could look for; xpand drive ls -r lists all"
            )),
            false => Ok((key, Some(pattern))),
        };
    }
    match word.chars().count() {
        0 => wrong("the word to look for is empty".to_owned()),
        length if length > LONGEST_KEY => wrong(format!(
            "the word to look for has {length} characters; the cloud takes {LONGEST_KEY} at most"
        )),
        _ => Ok((word.to_owned(), None)),
    }
}

async fn find(session: &Session<'_>, args: &FindArgs, key: &str, pattern: Option<&Pattern>) -> Outcome {
    let path = session.path(args.path.as_deref().unwrap_or(""));
    let ask = Search {
        key: key.to_owned(),
        category: args.category.map(Category::number),
        device_id: device_id(session)?,
        thumbs: false,
    };
    let place = Place { path: &path, recursion: !args.depth.not_recursive };
    let lines = Lines::new(session.context, args.columns);
    let files = session.files()?;
    follow(
        async |after| files.search(&ask, place, after).await,
        |mut page| {
            page.retain(|item| pattern.is_none_or(|pattern| pattern.matches(name(item))));
            lines.print(&page, Shown::Path).map(ControlFlow::Continue)
        },
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_asked_for_by_its_longest_word() {
        for (typed, asked) in [
            ("beach", Some("beach")),
            ("*.mp4", Some("mp4")),
            ("IMG_2024*_?.jpg", Some("IMG_2024")),
            ("[a-zA-Z0-9]x*", Some("x")),
            ("[2024]", Some("[2024]")),
            ("*", None),
            ("?-*", None),
            ("", None),
        ] {
            assert_eq!(key(typed).ok().map(|(key, _)| key).as_deref(), asked, "{typed}");
        }
    }
}
