//! `drive info`: everything the cloud tells of a file.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::glob;
use super::lines::time;
use super::{Session, category};
use crate::cli::terminal::{bytes, columns, count, plain};
use crate::cli::{ExitStatus, Failed, Outcome};
use crate::cloud::files::{Item, MOST_METAS, Want};

/// `xpand drive info`.
#[derive(clap::Args, Debug)]
pub struct InfoArgs {
    /// Files and folders; * ? [...] stand for many
    #[arg(required = true, value_name = "PATH", value_parser = super::remote_path)]
    paths: Vec<String>,
    /// Where the content is fetched, too: good for eight hours and as secret as the file itself; it works
    /// only together with the account's token
    #[arg(long)]
    link: bool,
    /// Addresses of small pictures too
    #[arg(long)]
    thumbs: bool,
}

/// `xpand drive info`.
pub(super) async fn info(session: &Session<'_>, args: &InfoArgs) -> Outcome {
    let found = glob::find(session, &args.paths, &[]).await?;
    let want = Want { extra: true, dlink: args.link, thumbs: args.thumbs, ..Want::default() };
    let mut missing = found.missing;
    let zone = TimeZone::system();
    let mut first = true;
    for batch in found.items.chunks(MOST_METAS) {
        // The drive itself has no id, and is listed by nobody.
        let ids: Vec<String> =
            batch.iter().map(|item| item.fs_id.clone()).filter(|id| !id.is_empty()).collect();
        let metas = match ids.is_empty() {
            true => Vec::new(),
            false => session.files()?.filemetas(&ids, want).await.map_err(|error| session.failed(&error))?,
        };
        let metas: BTreeMap<String, Item> =
            metas.into_iter().map(|item| (item.fs_id.clone(), item)).collect();
        for listed in batch {
            let Some(meta) = metas.get(&listed.fs_id) else {
                missing.push(format!("{}: the cloud tells nothing of it", listed.path));
                continue;
            };
            let item = joined(listed, meta);
            if session.context.json() {
                session.context.print_json(&item)?;
            } else {
                let gap = if first { "" } else { "\n" };
                session.context.print_text(&format!("{gap}{}", text(&item, &zone)))?;
            }
            first = false;
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    for words in missing {
        Failed::words(words).warn();
    }
    Err(Failed::told(ExitStatus::Failed))
}

/// What the listing told, where `filemetas` leaves it out: its answer has no times of the client.
fn joined(listed: &Item, meta: &Item) -> Item {
    let mut item = meta.clone();
    if item.path.is_empty() {
        item.path.clone_from(&listed.path);
    }
    if item.server_filename.is_empty() {
        item.server_filename = super::pages::name(listed).to_owned();
    }
    item.category = item.category.or(listed.category);
    item.md5 = item.md5.or_else(|| listed.md5.clone());
    item.local_ctime = item.local_ctime.or(listed.local_ctime);
    item.local_mtime = item.local_mtime.or(listed.local_mtime);
    item.server_ctime = item.server_ctime.or(listed.server_ctime);
    item.server_mtime = item.server_mtime.or(listed.server_mtime);
    item
}

fn text(item: &Item, zone: &TimeZone) -> String {
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| {
        if !value.is_empty() {
            rows.push(vec![name.to_owned(), value]);
        }
    };
    row("id", plain(&item.fs_id));
    if item.isdir {
        row("kind", "folder".to_owned());
    } else {
        row("size", format!("{} bytes ({})", count(item.size), bytes(item.size)));
        row("category", item.category.map_or_else(String::new, |number| category::word(number).to_owned()));
        row("md5", item.md5.as_deref().map(plain).unwrap_or_default());
    }
    for (name, seconds) in [
        ("made", item.local_ctime),
        ("changed", item.local_mtime),
        ("uploaded", item.server_ctime),
        ("changed there", item.server_mtime),
        ("taken", item.date_taken),
    ] {
        row(name, time(zone, seconds));
    }
    if let (Some(width @ 1..), Some(height @ 1..)) = (item.width, item.height) {
        row("picture", format!("{width} x {height}"));
    }
    row("dlink", item.dlink.as_deref().map(plain).unwrap_or_default());
    for (name, address) in &item.thumbs {
        row(&plain(name), plain(address));
    }
    format!("{}\n{}", plain(&item.path), columns(&rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_the_listing_tells_is_told_too() {
        let listed = Item {
            path: "/a/b.jpg".to_owned(),
            server_filename: "b.jpg".to_owned(),
            local_mtime: Some(1_700_000_000),
            ..Item::default()
        };
        let meta = Item {
            fs_id: "7".to_owned(),
            size: 2048,
            category: Some(3),
            width: Some(4),
            height: Some(3),
            ..Item::default()
        };
        assert_eq!(
            text(&joined(&listed, &meta), &TimeZone::UTC),
            "/a/b.jpg\n  id        7\n  size      2,048 bytes (2.0 KiB)\n  category  picture\n  \
             changed   2023-11-14 22:13\n  picture   4 x 3\n"
        );
    }
}
