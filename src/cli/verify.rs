//! `xpand verify`: what the agent believes to be in the cloud, compared with what the cloud lists.
//!
//! 1. The agent's index is read once into a table of sixteen bytes a file ([`table`]): 16 MB for a million
//!    files, in a command that ends. All else is pages.
//! 2. The remote folders are listed, a thousand files a call, and ticked off. What is listed and not in the
//!    table is asked about: the agent may have sent it a moment ago, or it is the older version of a file.
//! 3. The index is read once more. What was not ticked off, and what has come since, is looked at again in its
//!    own remote folder, and the agent is asked again whether it still believes in that copy: only then it
//!    is called missing or wrong ([`walk`]).
//! 4. Of what is well, a sample may be fetched and compared ([`sample`]).
//!
//! A copy that has vanished, of a file that is gone from this box too, is no difference when the same content
//! is in the cloud under another name ([`lost`]).
//!
//! Nothing is changed by this, in the cloud or on the disk. With `--repair` the agent forgets the copies
//! that are missing or wrong and sends their files again; what is wrong in the cloud stays there under the
//! folder's `on_conflict`. It also forgets the names that are gone here and there while the content is
//! elsewhere; those that are lost it forgets with `--forget` only.

mod lost;
mod place;
mod report;
mod sample;
mod table;
mod walk;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::drive::ask::{How, confirm};
use super::drive::in_session;
use super::parts::{Part, parts};
use super::terminal::files;
use super::{Context, ExitStatus, Failed, Outcome};
use crate::config::Config;
use crate::control::Repaired;
use report::Report;

/// `xpand verify`.
#[derive(clap::Args, Debug)]
pub struct VerifyArgs {
    /// Only this file or folder as it is or was on this box, or the label of a [[folder]]
    path: Option<PathBuf>,
    /// Also fetch a share of the files, or so many of them, and compare their content: 1%, 0.1%, 20
    #[arg(long, value_name = "SHARE")]
    sample: Option<Share>,
    /// Choose the sample by this number: the same one chooses the same files
    #[arg(long, value_name = "N", requires = "sample")]
    seed: Option<u64>,
    /// Have what is missing or wrong sent again
    #[arg(long)]
    repair: bool,
    /// Have the agent forget files that are neither in the cloud nor on this box any more; asks first
    #[arg(long)]
    forget: bool,
    /// Do not ask
    #[arg(short, long, requires = "forget")]
    yes: bool,
}

/// How much of the files is fetched.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Share {
    /// Of a hundred.
    Percent(f64),
    /// So many.
    Count(usize),
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no share: write 1%, 0.1%, 100%, or a number of files");
        match text.strip_suffix('%') {
            Some(number) => {
                let percent: f64 = number.trim().parse().map_err(|_| wrong())?;
                if percent > 0.0 && percent <= 100.0 { Ok(Self::Percent(percent)) } else { Err(wrong()) }
            }
            None => text.parse().ok().filter(|&count| count > 0).map(Self::Count).ok_or_else(wrong),
        }
    }
}

impl Share {
    /// So many of `all`; at least one.
    fn of(self, all: usize) -> usize {
        match self {
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Self::Percent(percent) => (all as f64 * percent / 100.0).ceil() as usize,
            Self::Count(count) => count,
        }
    }
}

/// Does it.
pub(super) fn run(context: &Context, args: &VerifyArgs) -> Outcome {
    let config = context.config()?;
    let parts = meant(&config, args.path.as_deref())?;
    if parts.is_empty() {
        let words = format!("{} has no [[folder]]: nothing is backed up", config.file.display());
        return Err(Failed::words(words).status(ExitStatus::Usage));
    }
    let status = context.wait(context.client().status())??;
    let is_known = |label: &String| status.folders.iter().any(|line| line.label == *label);
    if let Some(Part { folder, .. }) = parts.iter().find(|part| !is_known(&part.folder.label))
        && !status.folders.is_empty()
    {
        let words = format!("the agent knows no folder {:?} yet", folder.label);
        return Err(Failed::words(words).hint("xpand reload has it read the configuration again"));
    }
    let accounts: BTreeSet<&str> = parts.iter().map(|part| part.folder.account.as_str()).collect();
    let mut report = Report::new(context, accounts.len());
    for line in status.folders.iter().filter(|line| parts.iter().any(|part| part.folder.label == line.label))
    {
        report.summary.waiting += line.counts.waiting;
        report.summary.failed += line.counts.failed;
    }
    if args.sample.is_some() {
        let by_chance = context.clock().now_ns().unsigned_abs() % 1_000_000;
        report.summary.seed = Some(args.seed.unwrap_or(by_chance));
    }
    for account in &config.accounts {
        let parts: Vec<Part> =
            parts.iter().filter(|part| part.folder.account == account.name).cloned().collect();
        if parts.is_empty() {
            continue;
        }
        let walked = in_session(context, Some(&account.name), async |session| {
            walk::account(session, parts, args, &mut report).await
        });
        if let Err(failed) = walked {
            report.tell_shown()?;
            return Err(failed);
        }
    }
    let forgotten = forget(context, args, &mut report);
    let end = report.end(args.repair);
    forgotten.and(end)
}

/// Has the agent forget what is lost, if a person says so.
fn forget(context: &Context, args: &VerifyArgs, report: &mut Report<'_>) -> Outcome {
    let lost = report.take_lost();
    if lost.is_empty() {
        return Ok(());
    }
    report.tell_shown()?;
    let question =
        format!("Forget {} that are neither in the cloud nor on this box?", files(lost.len() as u64));
    confirm(&question, false, How { yes: args.yes, dry_run: false })?;
    let answers = context.wait(context.client().forget(&lost))??;
    let forgotten = answers.iter().filter(|answer| **answer == Repaired::Forgotten).count();
    report.summary.forgotten += forgotten as u64;
    Ok(())
}

/// What is meant by PATH: all folders, a label, or the places of a path.
fn meant(config: &Config, path: Option<&Path>) -> Outcome<Vec<Part>> {
    let Some(path) = path else { return Ok(config.folders.iter().map(Part::whole).collect()) };
    let parts = parts(config, path)?;
    if parts.is_empty() {
        return Err(Failed::words(format!("{} is in no configured folder", path.display()))
            .hint("xpand check shows the folders")
            .status(ExitStatus::Usage));
    }
    Ok(parts)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_a_hundred_or_a_number_of_files() {
        for (text, of_1000) in [("1%", 10), ("0.05%", 1), ("100%", 1000), ("20", 20), ("33.33%", 334)] {
            assert_eq!(text.parse::<Share>().unwrap().of(1000), of_1000, "{text}");
        }
        for bad in ["", "%", "0%", "101%", "-1%", "nan%", "0", "1.5", "all"] {
            assert!(bad.parse::<Share>().is_err(), "{bad}");
        }
    }
}
