//! `drive get`: brings files and folders home, with the habits of `cp`.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::{Session, folder_and_name, glob, in_session};
use crate::cli::fetching::{self, Begun, How, Sink, fetch};
use crate::cli::{Context, ExitStatus, Failed, Outcome};
use crate::cloud::files::Item;
use crate::cloud::{Cursor, Kind};
use crate::fetch::{Found, Place, Reader, Wanted};

/// `xpand drive get`.
#[derive(clap::Args, Debug)]
pub struct GetArgs {
    /// Files and folders in the cloud
    #[arg(required = true, value_name = "REMOTE", value_parser = super::remote_path)]
    remote: Vec<String>,
    /// A folder of this box, or a new name for the one file
    #[arg(required = true, value_name = "LOCAL")]
    local: PathBuf,
    /// Folders too, with all that is in them
    #[arg(short, long)]
    recursive: bool,
    #[command(flatten)]
    how: How,
}

/// Does it.
pub(super) fn run(context: &Context, account: Option<&str>, args: &GetArgs) -> Outcome {
    // Before the account is opened: what is fetched belongs to whoever typed it.
    let begun = fetching::begin(&args.how)?;
    in_session(context, account, async |session| get(session, begun, args).await)
}

async fn get(session: &Session<'_>, begun: Begun, args: &GetArgs) -> Outcome {
    let local = args.local.clone();
    let is_folder = begun.disk.run(move || Ok(local.is_dir())).await?;
    let many = args.remote.len() > 1 || args.remote.iter().any(|path| glob::is_pattern(path));
    if many && !is_folder {
        let words = format!("{}: several files need a folder to go to", args.local.display());
        return Err(Failed::words(words).hint("make it first: mkdir").status(ExitStatus::Usage));
    }
    let found = glob::find(session, &args.remote, &[]).await?;
    let new_name = match (is_folder, found.items.as_slice()) {
        (true, _) | (_, []) => None,
        (false, [one, ..]) => Some(one),
    };
    if !is_folder && !found.items.iter().any(|item| args.recursive || !item.isdir) {
        // Nothing is made for nothing.
        let words = match new_name {
            Some(one) => format!("{}: it is a folder; add -r to fetch folders", one.path),
            None => found.missing.join("; "),
        };
        return Err(Failed::words(words));
    }
    let to = match new_name {
        // A file gets the new name in the folder that there is.
        Some(one) if !one.isdir => {
            let above = folder_above(&args.local)?;
            let there = above.clone();
            if !begun.disk.run(move || Ok(there.is_dir())).await? {
                return Err(no_folder(&above));
            }
            above
        }
        _ => args.local.clone(),
    };
    fetch(session, begun, &to, args.how, None, async |sink| {
        for words in &found.missing {
            let (path, why) = words.rsplit_once(": ").unwrap_or((words, ""));
            sink.bad(path, 0, why).await;
        }
        for item in &found.items {
            let name = folder_and_name(&item.path).map_or("", |(_, name)| name);
            // The one folder that gets a new name is the target itself.
            let top = if new_name.is_some() { "" } else { name };
            if item.isdir && !args.recursive {
                sink.bad(&item.path, 0, "it is a folder; add -r to fetch folders").await;
            } else if item.isdir {
                all_below(session, sink, &item.path, top).await?;
            } else {
                let place = match (new_name, args.local.file_name()) {
                    (Some(_), Some(name)) => Place::of(name.as_encoded_bytes()),
                    _ => Place::of(name.as_bytes()),
                };
                match place {
                    Ok(place) => drop(sink.send(Found::File(wanted(item, place, false))).await),
                    Err(bad) => drop(sink.bad(&item.path, item.size, bad.to_string()).await),
                }
            }
        }
        Ok(())
    })
    .await
}

/// The folder that a new file is to lie in; it has to be there.
fn folder_above(local: &Path) -> Outcome<PathBuf> {
    let is_named_folder = local.as_os_str().as_encoded_bytes().ends_with(b"/");
    match local.parent() {
        Some(above) if local.file_name().is_some() && !is_named_folder => {
            Ok(if above.as_os_str().is_empty() { PathBuf::from(".") } else { above.to_owned() })
        }
        _ => Err(no_folder(local)),
    }
}

fn no_folder(path: &Path) -> Failed {
    Failed::words(format!("{}: there is no such folder", path.display()))
        .status(ExitStatus::Usage)
        .hint("make it first: mkdir")
}

/// Finds everything below a remote folder, and puts it below `top` in the target.
async fn all_below(session: &Session<'_>, sink: &Sink<'_>, folder: &str, top: &str) -> Outcome {
    if !top.is_empty() {
        match Place::of(top.as_bytes()) {
            Ok(place) => drop(sink.send(Found::Folder { remote: folder.to_owned(), place }).await),
            Err(bad) => {
                sink.bad(folder, 0, bad.to_string()).await;
                return Ok(());
            }
        }
    }
    let head = if folder == "/" { String::new() } else { folder.to_owned() };
    list_all(session, sink, folder, async |item| {
        let below = item.path.strip_prefix(&head).and_then(|below| below.strip_prefix('/'));
        let place = match below {
            Some(below) if top.is_empty() => Place::of(below.as_bytes()).map_err(|bad| bad.to_string()),
            Some(below) => Place::of(format!("{top}/{below}").as_bytes()).map_err(|bad| bad.to_string()),
            None => Err(format!("it is listed below {folder} and does not lie there")),
        };
        if send(sink, &item, place).await { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
    .await
}

/// Hands on everything below a remote folder, page by page, until `take` has enough. A page that does not come
/// is asked for again.
pub(in crate::cli) async fn list_all(
    session: &Session<'_>,
    sink: &Sink<'_>,
    folder: &str,
    mut take: impl AsyncFnMut(Item) -> ControlFlow<()>,
) -> Outcome {
    let files = session.give_back()?;
    let reader = Reader::new(files, session.context.clock().clone(), sink.watch());
    let mut after: Option<Cursor> = None;
    loop {
        let is_first = after.is_none();
        let ask = async || files.items_below(folder, after.clone()).await;
        let page = match reader.patiently(ask).await {
            Ok(page) => page,
            // It was deleted while it was read.
            Err(error) if error.kind == Kind::Missing && !is_first => return Ok(()),
            Err(error) => return Err(session.failed_at(folder, error)),
        };
        for item in page.entries {
            if take(item).await.is_break() {
                return Ok(());
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}

/// Hands on one item for its place, or why it has none.
async fn send(sink: &Sink<'_>, item: &Item, place: Result<Place, String>) -> bool {
    match place {
        Err(why) => sink.bad(&item.path, item.size, why).await,
        Ok(place) if item.isdir => sink.send(Found::Folder { remote: item.path.clone(), place }).await,
        Ok(place) => sink.send(Found::File(wanted(item, place, true))).await,
    }
}

/// A listed file for its place.
pub(in crate::cli) fn wanted(item: &Item, place: Place, may_vanish: bool) -> Wanted {
    Wanted {
        remote: item.path.clone(),
        fs_id: item.fs_id.clone(),
        size: item.size,
        md5: None,
        listed: item.md5.clone(),
        mtime: item.local_mtime.or(item.server_mtime).map(|secs| (secs, 0)),
        place,
        may_vanish,
    }
}
