//! `drive put`: sends files and folders of this box, with the habits of `cp` and the uploads of the backup.
//!
//! What was begun goes on when the same command is typed again: see [`crate::backup::batch`].

pub(in crate::cli) mod local;
pub(in crate::cli) mod teller;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf, absolute};
use std::sync::Arc;

use super::ask::{How, confirm, items};
use super::glob::look_up;
use super::mkdir::check_name;
use super::{Session, in_session};
use crate::backup::batch::state::State;
use crate::backup::batch::{self, Named, Setting, Stop, Watch};
use crate::backup::body::Throttle;
use crate::backup::entry::Limits;
use crate::backup::source::{Naming, Reader, Source};
use crate::backup::verdict::Pause;
use crate::cli::{Context, ExitStatus, Failed, Outcome};
use crate::cloud::{self, User};
use crate::content::{Md5, OnConflict, Purpose};
use crate::fetch::Disk;
use crate::store;
use local::{Local, What};
use teller::Teller;

/// Threads that read: one looks for files, four at most hash, one opens what is sent.
pub(in crate::cli) const THREADS: usize = 6;

/// What becomes of a file in the cloud that has the name already and other content.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Conflict {
    /// Both are kept, the new one under another name
    #[default]
    KeepBoth,
    /// It is replaced
    Overwrite,
    /// The new one becomes a version of it
    Version,
}

impl From<Conflict> for OnConflict {
    fn from(conflict: Conflict) -> Self {
        match conflict {
            Conflict::KeepBoth => Self::KeepBoth,
            Conflict::Overwrite => Self::Overwrite,
            Conflict::Version => Self::Version,
        }
    }
}

/// `xpand drive put`.
#[derive(clap::Args, Debug)]
pub struct PutArgs {
    /// Files of this box; links are followed when they are named here, and not within folders
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A folder in the cloud, below /apps/<app>, or a new name for the one file
    #[arg(required = true, value_name = "REMOTE", value_parser = super::remote_path)]
    remote: String,
    /// Folders too, each with all that is in it below its own name
    #[arg(short, long)]
    recursive: bool,
    /// When other content has the name there
    #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
    on_conflict: Conflict,
    #[command(flatten)]
    how: How,
}

/// Does it.
pub(super) fn run(context: &Context, account: Option<&str>, args: &PutArgs) -> Outcome {
    // Before the account is opened: files are looked at and read with the rights of whoever typed it.
    let disk = Disk::start(THREADS)?;
    let locals: Vec<Local> = args.files.iter().map(|typed| Local::look(typed)).collect();
    if let Some(folder) = locals.iter().find(|local| local.is_folder() && !args.recursive) {
        return Err(Failed::words(format!("{} is a folder", folder.typed.display()))
            .hint("add -r to send it with everything in it; nothing was done")
            .status(ExitStatus::Usage));
    }
    in_session(context, account, async |session| put(session, disk, args, locals).await)
}

async fn put(session: &Session<'_>, disk: Disk, args: &PutArgs, locals: Vec<Local>) -> Outcome {
    let remote = session.path(&args.remote);
    check_remote(session, &remote)?;
    let teller = Teller::new(session.context, args.how.dry_run);
    let (bad, good): (Vec<Local>, Vec<Local>) =
        locals.into_iter().partition(|local| matches!(local.what, What::Bad(_)));
    bad.iter().for_each(|local| teller.bad(local));
    if good.is_empty() {
        return teller.end(Ok(()));
    }
    let into_folder = goes_into(session, args, &good, bad.len(), &remote).await?;
    let reader = Reader::Own(Arc::new(move |work| disk.hand(work)));
    let named = plan(session, &good, args, &remote, into_folder, &reader, &teller)?;
    if args.on_conflict == Conflict::Overwrite && !args.how.dry_run {
        ask_before_replacing(&good, &remote, args.how)?;
    }
    let setting = setting(session).await?;
    if args.how.dry_run {
        let told = teller.while_redrawing(batch::rehearse(&setting.user, named, &teller)).await;
        return teller.end(told.map_err(|stop| stopped(session, stop)));
    }
    let key = key(session, &setting.user, args, &remote)?;
    let ran = send(session, setting, &key, named, &teller, &teller).await?;
    teller.end(ran)
}

/// What sending needs of the account, which is asked who it is.
pub(in crate::cli) async fn setting(session: &Session<'_>) -> Outcome<Setting> {
    let (accounts, name) = (session.cloud.accounts.clone(), session.account.name.clone());
    let login_now = Arc::new(move || accounts.login_id(&name));
    // Before the question: whoever logs in from here on makes the answer worthless.
    let login = login_now();
    let user = session.drive.user().await.map_err(|error| session.failed(&error))?;
    // An application that logs in by itself may have done so for the question.
    let login = login.or_else(|| login_now());
    let config = &session.cloud.config;
    Ok(Setting {
        account: session.account.name.clone(),
        drive: Arc::clone(&session.drive),
        user,
        login,
        login_now,
        parallel: config.upload.parallel,
        throttle: Throttle::shared(config.upload.rate, &config.agent.state_dir),
        settle: config.agent.settle,
        clock: session.context.clock().clone(),
    })
}

/// Sends what was named, as the command that is known by `key`. The outer failure is that it was not begun, the
/// inner one why it ended before its end.
pub(in crate::cli) async fn send(
    session: &Session<'_>,
    setting: Setting,
    key: &Md5,
    named: Vec<Named>,
    teller: &Teller<'_>,
    watch: &dyn Watch,
) -> Outcome<Outcome> {
    let state_dir = &session.cloud.config.agent.state_dir;
    let opened = State::open(state_dir, key, session.context.clock().now_secs());
    let Some(state) = opened.map_err(|error| of_state(&error))? else {
        return Err(Failed::words("the same command is running already")
            .hint("it does all that this one would; wait for its end"));
    };
    let ran = teller.while_redrawing(batch::run(setting, state.keeper(), named, watch)).await;
    let is_through = ran.is_ok() && !teller.is_unfinished();
    let kept = state.end(is_through).await.map_err(|error| of_state(&error));
    Ok(match ran {
        Err(Stop::State) => kept.and(Err(Failed::words("the state cannot be written"))),
        Err(stop) => Err(stopped(session, stop)),
        Ok(()) => kept,
    })
}

/// Refuses what the cloud would, before it is asked anything: the documents let an application write to its
/// own folder only, and some characters in no name.
fn check_remote(session: &Session<'_>, remote: &str) -> Outcome {
    let own = session.home().path;
    let Some(below) = remote.strip_prefix(&own).filter(|below| below.is_empty() || below.starts_with('/'))
    else {
        return Err(Failed::words(format!("{remote}: the cloud lets nothing be written outside {own}"))
            .hint(format!("a path without a slash at its beginning is below {own}; nothing was done"))
            .status(ExitStatus::Usage));
    };
    let ends = below.match_indices('/').map(|(at, _)| at).chain([below.len()]).filter(|&at| at > 0);
    ends.map(|at| format!("{own}{}", &below[..at])).try_for_each(|path| check_name(&path))
}

/// Whether the destination is a folder to put things into, or else a new name for the one file. A folder
/// always goes into one: typed again after a kill, the same command must mean the same.
async fn goes_into(
    session: &Session<'_>,
    args: &PutArgs,
    good: &[Local],
    bad: usize,
    remote: &String,
) -> Outcome<bool> {
    let last = args.remote.rsplit('/').next().unwrap_or_default();
    let is_said = matches!(last, "" | "." | "..") || *remote == session.path("");
    let must = is_said || good.len() + bad > 1 || good.iter().any(Local::is_folder);
    if *remote == session.path("") {
        return Ok(true);
    }
    match look_up(session, [remote]).await?.items.get(remote) {
        Some(item) if item.isdir => Ok(true),
        Some(_) if must => Err(Failed::words(format!("{remote} is a file, not a folder"))
            .hint("nothing was done; name a folder, or another name")),
        _ => Ok(must),
    }
}

/// What is sent as what.
fn plan(
    session: &Session<'_>,
    good: &[Local],
    args: &PutArgs,
    remote: &str,
    into_folder: bool,
    reader: &Reader,
    teller: &Teller<'_>,
) -> Outcome<Vec<Named>> {
    let purpose = if args.recursive { Purpose::Batch } else { Purpose::Manual };
    // The drive itself.
    let remote = if remote == "/" { "" } else { remote };
    let (names, takes) = (session.home().names, cloud::of(session.account.provider).takes());
    let limits = Limits { min_size: 0, max_size: u64::MAX, tier: None, takes };
    let mut sources: BTreeMap<(PathBuf, String), Arc<Source>> = BTreeMap::new();
    let mut targets: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut all = Vec::with_capacity(good.len());
    for local in good {
        let name = names.escape(&local.name);
        let target = match (into_folder, local.name.is_empty()) {
            (true, false) => format!("{remote}/{name}"),
            _ => remote.to_owned(),
        };
        if into_folder && name.as_bytes() != &*local.name {
            teller.escaped(&local.name, &name);
        }
        let (root, below, naming) = match &local.what {
            What::Bad(_) => continue,
            What::Folder(root) => (root, Box::default(), Naming::Below(target.clone(), names)),
            // So many files of one folder are one source.
            What::File { root, below } if into_folder && **below == *local.name => {
                (root, below.clone(), Naming::Below(remote.to_owned(), names))
            }
            What::File { root, below } => (root, below.clone(), Naming::At(target.clone())),
        };
        let path = local.what.path();
        if let Some(other) = targets.insert(target.clone(), path.clone()) {
            if other == path {
                continue;
            }
            let (one, other) = (other.display(), path.display());
            return Err(Failed::words(format!("{one} and {other} would both be {target}"))
                .hint("nothing was done; send them one after the other")
                .status(ExitStatus::Usage));
        }
        let source = sources.entry((root.clone(), naming.key())).or_insert_with(|| {
            let (root, on_conflict, reader) = (root.clone(), args.on_conflict.into(), reader.clone());
            Arc::new(Source { root, naming, on_conflict, limits, purpose, reader })
        });
        all.push(Named { source: Arc::clone(source), below });
    }
    Ok(all)
}

fn ask_before_replacing(good: &[Local], remote: &str, how: How) -> Outcome {
    let folders = good.iter().filter(|local| local.is_folder()).count();
    let what = match good {
        [one] if folders == 1 => format!("everything in {}", one.typed.display()),
        [one] => one.typed.display().to_string(),
        many => items(many.len(), folders),
    };
    confirm(&format!("Send {what} to {remote} and replace what has their names there?"), false, how)
}

/// What this command is known by when it is typed again.
fn key(session: &Session<'_>, user: &User, args: &PutArgs, remote: &str) -> Outcome<Md5> {
    let kind = format!("{} {:?}", args.recursive, args.on_conflict);
    let words = [session.account.name.as_str(), &user.id, &kind, remote];
    key_of(&words, args.files.iter().map(PathBuf::as_path))
}

/// What a command with these words and local paths is known by when it is typed again.
pub(in crate::cli) fn key_of<'p>(words: &[&str], files: impl Iterator<Item = &'p Path>) -> Outcome<Md5> {
    let mut all: Vec<u8> = Vec::new();
    for word in words {
        all.extend_from_slice(word.as_bytes());
        all.push(0);
    }
    for typed in files {
        all.extend_from_slice(absolute(typed)?.as_os_str().as_encoded_bytes());
        all.push(0);
    }
    Ok(Md5::of(all))
}

fn stopped(session: &Session<'_>, stop: Stop) -> Failed {
    const AGAIN: &str = "the same command goes on where it was";
    match stop {
        Stop::Account(Pause::Login, why) => Failed::words(why)
            .hint(format!("xpand account login {}", session.account.name))
            .status(ExitStatus::UserMustAct),
        Stop::Account(Pause::Full, why) => {
            Failed::words(why).hint(format!("make room in the drive; {AGAIN}"))
        }
        Stop::Account(Pause::Offline, why) => Failed::words(why).hint(format!("is the network up? {AGAIN}")),
        Stop::Account(_, why) => Failed::words(why).hint(AGAIN),
        Stop::Cloud(error) => session.failed(&error),
        Stop::OtherUser(name) => {
            let account = &session.account.name;
            Failed::words(format!("{name} has logged in to {account} meanwhile; nothing more was sent")).hint(
                format!("the same command sends everything to the drive of {name}; it goes on where it was when you log in to {account} as before"),
            )
        }
        Stop::Broken(words) => Failed::words(words).hint(AGAIN),
        Stop::State => Failed::words("the state cannot be written"),
    }
}

fn of_state(error: &store::Error) -> Failed {
    Failed::new(error).hint("what was sent is in the cloud; is the disk of agent.state_dir full?")
}
