//! `image ls`, `image info`.

use std::ops::ControlFlow;

use jiff::tz::TimeZone;

use super::Host;
use crate::cli::drive::glob::{self, is_pattern, look_up};
use crate::cli::drive::lines::{Columns, Lines, Shown, time};
use crate::cli::drive::pages::follow;
use crate::cli::terminal::{bytes, columns, count, plain};
use crate::cli::{ExitStatus, Failed, Outcome};
use crate::cloud::Kind;
use crate::cloud::files::Item;
use crate::cloud::images::Image;

/// `xpand image ls`.
#[derive(clap::Args, Debug)]
#[command(disable_help_flag = true)]
pub struct LsArgs {
    /// A folder or a picture; * ? [...] stand for many
    #[arg(value_name = "PATH", default_value = "/", value_parser = super::image_path)]
    path: String,
    #[command(flatten)]
    columns: Columns,
}

/// `xpand image ls`.
pub(super) async fn ls(host: &Host<'_>, args: &LsArgs) -> Outcome {
    let session = host.session;
    let lines = Lines::new(session.context, args.columns);
    if is_pattern(&args.path) {
        let found = glob::find(session, std::slice::from_ref(&args.path), &[]).await?.all()?;
        if session.context.json() {
            for item in &found {
                show(host, &item.fs_id, &item.path).await?;
            }
            return Ok(());
        }
        return lines.print(&found, Shown::Path);
    }
    let path = session.path(&args.path);
    match folder(host, &lines, &path).await {
        Err(error) if error.kind == Kind::Missing => {}
        Err(error) => return Err(session.failed_at(&path, error)),
        Ok(told) => return told,
    }
    match look_up(session, [&path]).await?.items.remove(&path) {
        Some(item) if session.context.json() => show(host, &item.fs_id, &path).await,
        Some(item) => lines.print(&[item], Shown::Path),
        None => Err(nothing(&path)),
    }
}

fn nothing(path: &str) -> Failed {
    Failed::words(format!("{path}: there is no such folder or picture at the image host"))
}

/// Prints everything in a folder, a page at a time.
async fn folder(host: &Host<'_>, lines: &Lines<'_>, path: &str) -> crate::cloud::Result<Outcome> {
    let session = host.session;
    let mut rejected = 0_u64;
    let told = follow(
        async |after| host.images.list(path, after).await,
        |page: Vec<Image>| {
            rejected += page.iter().map(|image| u64::from(image.is_rejected())).sum::<u64>();
            if session.context.json() {
                let lines: Outcome<Vec<String>> =
                    page.iter().map(|image| session.context.json_line(image)).collect();
                session.context.print_text(&lines?.concat())?;
            } else {
                lines.print(&page.iter().map(shown).collect::<Vec<_>>(), Shown::Name)?;
            }
            Ok(ControlFlow::Continue(()))
        },
    );
    let told = told.await?;
    if rejected > 0 {
        let words = format!("{} of them the review rejected: xpand image info tells which", count(rejected));
        session.context.say(&words);
    }
    Ok(told)
}

/// As a line has it.
fn shown(image: &Image) -> Item {
    Item {
        path: image.path.clone().unwrap_or_default(),
        server_filename: image.filename.clone(),
        isdir: image.is_folder(),
        size: image.size,
        server_mtime: image.update_at.or(image.create_at),
        ..Item::default()
    }
}

/// `xpand image info`.
#[derive(clap::Args, Debug)]
pub struct InfoArgs {
    /// Pictures and folders, or their ids; * ? [...] stand for many
    #[arg(required = true, value_name = "PATH|ID", value_parser = super::image_path)]
    paths: Vec<String>,
}

/// `xpand image info`.
pub(super) async fn info(host: &Host<'_>, args: &InfoArgs) -> Outcome {
    let session = host.session;
    let (mut is_first, mut missing) = (true, Vec::new());
    for typed in &args.paths {
        let path = session.path(typed);
        let found = glob::find(session, std::slice::from_ref(typed), &[]).await?;
        let mut all: Vec<(String, String)> =
            found.items.into_iter().map(|item| (item.fs_id, item.path)).collect();
        // An id is one name without a slash in it, and no file has it.
        if all.is_empty() && !typed.contains('/') && !is_pattern(typed) {
            all.push((typed.clone(), path.clone()));
        }
        if all.is_empty() {
            missing.push(nothing(&path));
        }
        for (id, path) in all {
            if id.is_empty() {
                missing.push(Failed::words(format!("{path}: nothing is told of the image host itself")));
                continue;
            }
            if !is_first && !session.context.json() {
                session.context.print_text("\n")?;
            }
            match show(host, &id, &path).await {
                Ok(()) => is_first = false,
                Err(failed) => missing.push(failed),
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    missing.into_iter().for_each(Failed::warn);
    Err(Failed::told(ExitStatus::Failed))
}

/// Prints what there is to know of one.
async fn show(host: &Host<'_>, id: &str, path: &str) -> Outcome {
    let session = host.session;
    let image = match host.images.detail(id).await {
        Err(error) if error.kind == Kind::Missing => return Err(nothing(path)),
        image => image.map_err(|error| session.failed_at(path, error))?,
    };
    match session.context.json() {
        true => session.context.print_json(&image),
        false => session.context.print_text(&text(&image, &TimeZone::system())),
    }
}

fn text(image: &Image, zone: &TimeZone) -> String {
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| {
        if !value.is_empty() {
            rows.push(vec![name.to_owned(), value]);
        }
    };
    row("path", plain(image.path.as_deref().unwrap_or(&image.filename)));
    row("id", plain(&image.file_id));
    row("made", time(zone, image.create_at));
    row("changed", time(zone, image.update_at));
    if image.is_folder() {
        row("kind", "folder".to_owned());
        return columns(&rows);
    }
    row("kind", "picture".to_owned());
    row("size", format!("{} ({} bytes)", bytes(image.size), count(image.size)));
    row("md5", plain(&image.etag));
    row("review", review(image));
    row("link", plain(image.link()));
    if image.download_url != image.link() {
        row("download", plain(&image.download_url));
    }
    row("fetched", bytes(image.total_traffic));
    columns(&rows)
}

fn review(image: &Image) -> String {
    match image.is_rejected() {
        true => format!("rejected (status {}): nobody gets to see it", image.status),
        false => format!("not rejected (status {})", image.status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_told_in_words_and_nothing_moves_the_cursor() {
        let image = Image {
            file_id: "ID".into(),
            filename: "a.jpg".into(),
            path: Some("/x/a\u{1b}[2J.jpg".into()),
            size: 2048,
            etag: "e62623f4906aeba8f8d8f5de19e1e34e".into(),
            status: 103,
            create_at: Some(1_700_000_000),
            download_url: "https://vip.123pan.cn/1/ID.jpg".into(),
            ..Image::default()
        };
        let told = text(&image, &TimeZone::UTC);
        for line in [
            "path     /x/a\\u{1b}[2J.jpg\n",
            "made     2023-11-14 22:13\n",
            "size     2.0 KiB (2,048 bytes)\n",
            "review   rejected (status 103): nobody gets to see it\n",
            "link     https://vip.123pan.cn/1/ID.jpg\n",
        ] {
            assert!(told.contains(line), "{told}");
        }
        let folder = Image { kind: 1, ..image };
        assert!(
            text(&folder, &TimeZone::UTC).ends_with("kind  folder\n"),
            "{}",
            text(&folder, &TimeZone::UTC)
        );
    }
}
