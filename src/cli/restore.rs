//! `xpand restore`: the backup the other way round. What was backed up comes home under its own names.
//!
//! Where it is known from, best first: the running agent's index, which knows every copy with its MD5 and
//! also what is not on the disk any more, and where else a content is; else the cloud's listing, out of whose paths the folder's template
//! is read back; else, on a box whose configuration has no such folder, any remote path, whose escaped names
//! are read back all the same.

mod elsewhere;

use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::PathBuf;

use super::drive::get::{list_all, wanted};
use super::drive::{Session, folder_and_name, glob, in_session};
use super::fetching::{self, Begun, How, Sink};
use super::parts::{Part, parts};
use super::{Context, ExitStatus, Failed, Outcome};
use crate::cloud::files::Item;
use crate::config::Config;
use crate::control::client::ClientError;
use crate::control::{CopiesQuery, CopyLine};
use crate::fetch::{Copies, Found, Place, Wanted};
use crate::remote::names::{Rules, unescape};
use crate::remote::template::Template;
use elsewhere::Elsewhere;

/// `xpand restore`.
#[derive(clap::Args, Debug)]
pub struct RestoreArgs {
    /// A backed-up file or folder as it was on this box, the label of a [[folder]], or a path in the cloud
    path: PathBuf,
    /// The folder to bring it to; what lies below PATH comes to lie below it
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Do not ask the agent, go by what the cloud lists
    #[arg(long)]
    from_cloud: bool,
    /// Only from NAME of [account.NAME] [default: each one that PATH goes to; for a path in the cloud the only one]
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    #[command(flatten)]
    how: How,
}

/// What is to be restored.
enum Source {
    /// What folders keep of a path, each in its account; at least one.
    Parts(Vec<Part>),
    /// A remote path.
    Remote(String),
}

/// Does it.
pub(super) fn run(context: &Context, args: &RestoreArgs) -> Outcome {
    // Before anything else: what is fetched belongs to whoever typed it.
    let begun = fetching::begin(&args.how)?;
    match source(&context.config()?, args)? {
        Source::Remote(typed) => {
            let account = args.account.as_deref();
            in_session(context, account, async |session| remote_path(session, begun, args, &typed).await)
        }
        Source::Parts(parts) => all(context, &begun, args, &parts),
    }
}

/// What is meant by PATH: a label, the places of a path in configured folders, or else a remote path.
fn source(config: &Config, args: &RestoreArgs) -> Outcome<Source> {
    let (path, wrong) = (&args.path, |failed: Failed| failed.status(ExitStatus::Usage));
    let mut parts = parts(config, path)?;
    if parts.is_empty() {
        return match path.to_str() {
            Some(remote) => Ok(Source::Remote(remote.to_owned())),
            None => Err(wrong(
                Failed::words(format!("{} is in no configured folder", path.display()))
                    .hint("xpand check shows the folders"),
            )),
        };
    }
    if let Some(account) = &args.account {
        parts.retain(|part| part.folder.account == *account);
        if parts.is_empty() {
            let words = format!("{} is not backed up to an account {account:?}", path.display());
            return Err(wrong(Failed::words(words).hint("xpand check shows the folders and their accounts")));
        }
    }
    Ok(Source::Parts(parts))
}

/// One after the other: what the first account brings home is there already for the next, and what it has not
/// may come from the next.
fn all(context: &Context, begun: &Begun, args: &RestoreArgs, parts: &[Part]) -> Outcome {
    let one = |part: &Part, has_none: &Cell<bool>| {
        in_session(context, Some(&part.folder.account), async |session| {
            restore(session, begun.clone(), args, part, has_none).await
        })
    };
    if let [part] = parts {
        return one(part, &Cell::default());
    }
    let (mut worst, mut without) = (None, 0);
    for part in parts {
        context.say(&format!("from {} (folder {}):", part.folder.account, part.folder.label));
        let has_none = Cell::new(false);
        let Err(failed) = one(part, &has_none) else { continue };
        match failed.tell() {
            // Nobody reads what is told any more.
            ExitStatus::Done => break,
            _ if has_none.get() => without += 1,
            status if worst != Some(ExitStatus::UserMustAct) => worst = Some(status),
            _ => {}
        }
    }
    match worst {
        Some(status) => Err(Failed::told(status)),
        None if without == parts.len() => Err(Failed::told(ExitStatus::Failed)),
        None => Ok(()),
    }
}

/// Brings home what is at a remote path.
async fn remote_path(session: &Session<'_>, begun: Begun, args: &RestoreArgs, typed: &str) -> Outcome {
    let path = glob::find(session, std::slice::from_ref(&typed.to_owned()), &[]).await?;
    let [item] = path.items.as_slice() else {
        if path.items.len() > 1 {
            let words = format!("{typed} is more than one; restore takes one path");
            return Err(Failed::words(words).status(ExitStatus::Usage));
        }
        return Err(Failed::words(format!(
            "{typed} is in no configured folder, and there is no {} in the cloud",
            session.path(typed)
        ))
        .hint(format!("xpand check shows the folders, {} what is in the cloud", session.lister())));
    };
    let looked = async |sink: &Sink<'_>| remote(session, sink, item).await;
    fetching::fetch(session, begun, &args.to, args.how, None, looked).await
}

/// Brings home what one folder keeps of a path. Sets `has_none` when that is nothing, which then is the failure.
async fn restore(
    session: &Session<'_>,
    begun: Begun,
    args: &RestoreArgs,
    part: &Part,
    has_none: &Cell<bool>,
) -> Outcome {
    let nothing = || {
        has_none.set(true);
        Err(Failed::words(format!("nothing of {} is backed up", part.path().display()))
            .hint("xpand explain PATH tells why; --from-cloud looks at what the cloud lists"))
    };
    let first = if args.from_cloud { None } else { first_page(session, part).await? };
    // Nothing is made for nothing.
    if first.as_ref().is_some_and(|known| known.copies.is_empty() && known.next.is_none()) {
        return nothing();
    }
    let elsewhere = Elsewhere(session);
    let copies = first.is_some().then_some(&elsewhere as &dyn Copies);
    fetching::fetch(session, begun, &args.to, args.how, copies, async |sink| {
        let any = match first {
            Some(first) => from_index(session, sink, first, &part.below).await?,
            None => from_listing(session, sink, part).await?,
        };
        if any { Ok(()) } else { nothing() }
    })
    .await
}

/// A page of the agent's index, and the question for the next.
struct Known {
    query: CopiesQuery,
    copies: Vec<CopyLine>,
    next: Option<String>,
}

/// Asks the agent; `None` when it does not run.
async fn first_page(session: &Session<'_>, part: &Part) -> Outcome<Option<Known>> {
    let query = part.copies();
    match session.context.client().copies(&query).await {
        Ok(page) => Ok(Some(Known { query, copies: page.copies, next: page.next })),
        Err(ClientError::NotRunning(_)) => {
            session.context.say("the agent is not running: going by what the cloud lists");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Hands on what the agent's index knows, files that are gone from the disk included; whether there is any.
async fn from_index(session: &Session<'_>, sink: &Sink<'_>, mut known: Known, start: &[u8]) -> Outcome<bool> {
    let mut any = false;
    loop {
        for copy in &known.copies {
            any = true;
            let is_wanted = match indexed(copy, start) {
                Ok(wanted) => sink.send(Found::File(wanted)).await,
                Err(why) => sink.bad(&copy.remote, copy.size, why).await,
            };
            if !is_wanted {
                return Ok(true);
            }
        }
        let Some(next) = known.next.take() else { break };
        known.query.after = Some(next);
        let page = session.context.client().copies(&known.query).await?;
        (known.copies, known.next) = (page.copies, page.next);
    }
    Ok(any)
}

/// A copy of the index for its place.
fn indexed(copy: &CopyLine, start: &[u8]) -> Result<Wanted, String> {
    let below = unescape(&copy.below).ok_or("the agent's answer is not understood")?;
    let mtime = copy.mtime_ns.map(|ns| {
        let nanos = u32::try_from(ns.rem_euclid(1_000_000_000)).unwrap_or(0);
        (ns.div_euclid(1_000_000_000), nanos)
    });
    Ok(Wanted {
        remote: copy.remote.clone(),
        fs_id: copy.fs_id.clone(),
        size: copy.size,
        md5: Some(copy.md5.parse().map_err(|_| "the agent's answer is not understood")?),
        listed: None,
        mtime,
        place: place_below(&below, start).ok_or("the agent's answer is not understood")??,
        may_vanish: false,
    })
}

/// Where what is at `path` belongs when `start` is restored; `None` when it is not part of it.
fn place_below(path: &[u8], start: &[u8]) -> Option<Result<Place, String>> {
    let below = if start.is_empty() {
        path
    } else if path == start {
        // The one file itself.
        path.rsplit(|&byte| byte == b'/').next()?
    } else {
        path.strip_prefix(start)?.strip_prefix(b"/")?
    };
    Some(Place::of(below).map_err(|bad| bad.to_string()))
}

/// Hands on what the cloud lists of a configured folder, under the names that the folder's template was
/// given; whether there is any. What others put there comes home under its path as it is.
async fn from_listing(session: &Session<'_>, sink: &Sink<'_>, part: &Part) -> Outcome<bool> {
    let (folder, start) = (&part.folder, part.below.as_slice());
    let config = &session.cloud.config;
    let home = session.home();
    let (device, label) = (config.device_name(), folder.label.as_str());
    let template: Template =
        folder.remote.parse().map_err(|error| Failed::new(&error).status(ExitStatus::Usage))?;
    let top = template.top(&home, &device, label);
    let mut any = false;
    list_all(session, sink, &top, async |item| {
        if item.isdir {
            return ControlFlow::Continue(());
        }
        let place = match template.below(&home, &device, label, &item.path) {
            Some(below) => place_below(&below, start),
            None if start.is_empty() => Some(as_it_is(home.names, &item, &top)),
            None => None,
        };
        let Some(place) = place else { return ControlFlow::Continue(()) };
        any = true;
        send(sink, &item, place).await
    })
    .await?;
    Ok(any)
}

/// Hands on a remote file, or all that is below a remote folder.
async fn remote(session: &Session<'_>, sink: &Sink<'_>, item: &Item) -> Outcome {
    if !item.isdir {
        let name = folder_and_name(&item.path).map_or("", |(_, name)| name);
        let _ = send(sink, item, of_escaped(session.home().names, name)).await;
        return Ok(());
    }
    let (top, names) = (item.path.trim_end_matches('/'), session.home().names);
    list_all(session, sink, &item.path, async |item| {
        if item.isdir {
            return ControlFlow::Continue(());
        }
        let below = item.path.strip_prefix(top).and_then(|below| below.strip_prefix('/'));
        let place = below.map_or_else(|| Err(elsewhere(top)), |below| of_escaped(names, below));
        send(sink, &item, place).await
    })
    .await
}

/// The place of a remote path that may be escaped; what was not escaped by us is taken as it is.
fn of_escaped(names: &Rules, below: &str) -> Result<Place, String> {
    let below = names.unescape(below).unwrap_or_else(|| below.as_bytes().to_vec());
    Place::of(&below).map_err(|bad| bad.to_string())
}

fn as_it_is(names: &Rules, item: &Item, top: &str) -> Result<Place, String> {
    let below = item.path.strip_prefix(top).and_then(|below| below.strip_prefix('/'));
    below.map_or_else(|| Err(elsewhere(top)), |below| of_escaped(names, below))
}

fn elsewhere(top: &str) -> String {
    format!("it is listed below {top} and does not lie there")
}

async fn send(sink: &Sink<'_>, item: &Item, place: Result<Place, String>) -> ControlFlow<()> {
    let is_wanted = match place {
        Ok(place) => sink.send(Found::File(wanted(item, place, true))).await,
        Err(why) => sink.bad(&item.path, item.size, why).await,
    };
    if is_wanted { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::remote::names::STRICT;

    #[test]
    fn what_lies_below_the_path_comes_to_lie_below_the_target() {
        for (path, start, place) in [
            ("2024/a.jpg", "", Some("2024/a.jpg")),
            ("2024/a.jpg", "2024", Some("a.jpg")),
            ("2024/a.jpg", "2024/a.jpg", Some("a.jpg")),
            ("2024b/a.jpg", "2024", None),
            ("other", "2024", None),
        ] {
            let found = place_below(path.as_bytes(), start.as_bytes());
            let found = found.map(|found| found.unwrap().under(Path::new("")).display().to_string());
            assert_eq!(found.as_deref(), place, "{path} {start}");
        }
        assert!(place_below(b"2024/../../x", b"2024").unwrap().is_err());
    }

    #[test]
    fn remote_names_are_read_back_where_they_were_escaped() {
        for (remote, local) in [("a%3Ab", "a:b"), ("a:b", "a:b"), ("100%", "100%"), ("d/x%2E", "d/x.")] {
            assert_eq!(of_escaped(&STRICT, remote).unwrap(), Place::of(local.as_bytes()).unwrap());
        }
        assert!(of_escaped(&STRICT, "x/.%2E/y").is_err());
        assert!(of_escaped(&STRICT, "../y").is_err());
    }
}
