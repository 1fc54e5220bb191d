//! `drive media` and `drive count`: the photos, films, documents and torrents of a folder, and how many of
//! each kind there are.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use clap::ValueEnum as _;
use serde::Serialize;

use super::category::{self, Category};
use super::lines::{Columns, Lines, Shown};
use super::pages::follow;
use super::{Session, with_files};
use crate::cli::terminal::{Look, bytes, columns, count};
use crate::cli::{Context, ExitStatus, Failed, Outcome, Report};
use crate::cloud::files::{CategoryList, Count, ListKind, Order, Place, Sort, Want};

/// `xpand drive media`.
#[derive(clap::Args, Debug)]
#[command(disable_help_flag = true)]
pub struct MediaArgs {
    /// photos, videos, documents or torrents; left out with --category
    #[arg(value_name = "KIND", required_unless_present = "category")]
    kind: Option<String>,
    /// Where to look [default: /apps/<app>]; / is the whole drive
    #[arg(value_parser = super::remote_path)]
    path: Option<String>,
    #[command(flatten)]
    depth: Depth,
    /// All files of these kinds, by word or number
    #[arg(long, value_name = "KIND,...", value_delimiter = ',')]
    category: Vec<Category>,
    /// With --category: only files with these endings
    #[arg(long, value_name = "jpg,...", value_delimiter = ',', requires = "category")]
    ext: Vec<String>,
    /// Largest first, not newest first
    #[arg(short = 'S', long)]
    by_size: bool,
    /// Addresses of small pictures too
    #[arg(long, conflicts_with = "category")]
    thumbs: bool,
    #[command(flatten)]
    columns: Columns,
}

/// How deep the cloud looks.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(super) struct Depth {
    /// Not in folders within the folder
    #[arg(long)]
    pub(super) not_recursive: bool,
    /// As it is anyway: for fingers that are used to `ls -r`.
    #[arg(short, long, hide = true, conflicts_with = "not_recursive")]
    recursive: bool,
}

/// The lists that the cloud has ready.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Ready {
    Photos,
    Videos,
    Documents,
    Torrents,
}

/// What is asked for, once it is known which word is the kind and which the path.
enum What {
    Ready(ListKind),
    Categories(CategoryList),
}

impl MediaArgs {
    fn what(&self) -> Outcome<(What, Option<&str>)> {
        let wrong = |words: &str| Err(Failed::words(words).status(ExitStatus::Usage));
        if !self.category.is_empty() {
            // With --category the first word is the path.
            if self.path.is_some() {
                return wrong("with --category there is one PATH and no KIND before it");
            }
            let categories = self.category.iter().map(|category| category.number()).collect();
            let ext = self.ext.iter().map(|ext| ext.trim_start_matches('.').to_owned()).collect();
            return Ok((What::Categories(CategoryList { categories, ext }), self.kind.as_deref()));
        }
        let kind = match Ready::from_str(self.kind.as_deref().unwrap_or(""), false) {
            Ok(Ready::Photos) => ListKind::Image,
            Ok(Ready::Videos) => ListKind::Video,
            Ok(Ready::Documents) => ListKind::Doc,
            Ok(Ready::Torrents) => ListKind::Bt,
            Err(_) => return wrong("write photos, videos, documents or torrents, or add --category"),
        };
        Ok((What::Ready(kind), self.path.as_deref()))
    }
}

/// Does it, after refusing what makes no sense.
pub(super) fn run(context: &Context, account: Option<&str>, args: &MediaArgs) -> Outcome {
    let (what, path) = args.what()?;
    with_files(context, account, async |session| media(session, args, &what, path).await)
}

async fn media(session: &Session<'_>, args: &MediaArgs, what: &What, path: Option<&str>) -> Outcome {
    let path = session.path(path.unwrap_or(""));
    let place = Place { path: &path, recursion: !args.depth.not_recursive };
    let order = if args.by_size { Order::Size } else { Order::Time };
    let sort = Sort { order, desc: true };
    let want = Want { thumbs: args.thumbs, ..Want::default() };
    let lines = Lines::new(session.context, args.columns).thumbs(args.thumbs);
    let files = session.files()?;
    let ask = async |after| match what {
        What::Ready(kind) => files.list_kind(*kind, place, sort, want, after).await,
        What::Categories(ask) => files.categorylist(ask, place, sort, after).await,
    };
    let shown = if !args.depth.not_recursive { Shown::Path } else { Shown::Name };
    follow(ask, |page| lines.print(&page, shown).map(ControlFlow::Continue))
        .await
        .map_err(|error| session.failed_at(&path, error))?
}

/// `xpand drive count`.
#[derive(clap::Args, Debug)]
#[command(disable_help_flag = true)]
pub struct CountArgs {
    /// Where to count [default: /apps/<app>]; / is the whole drive
    #[arg(value_parser = super::remote_path)]
    path: Option<String>,
    #[command(flatten)]
    depth: Depth,
    /// Only these kinds, by word or number [default: all seven, one call for each]
    #[arg(long, value_name = category::HELP, value_delimiter = ',')]
    category: Vec<Category>,
    /// Sizes as people say them: 1.2 GiB
    #[arg(short = 'h', long)]
    human: bool,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

/// `xpand drive count`.
pub(super) async fn counts(session: &Session<'_>, args: &CountArgs) -> Outcome {
    let path = session.path(args.path.as_deref().unwrap_or(""));
    let place = Place { path: &path, recursion: !args.depth.not_recursive };
    let mut wanted = if args.category.is_empty() { Category::all() } else { args.category.clone() };
    wanted.sort_unstable();
    wanted.dedup();
    let mut info = BTreeMap::new();
    for category in wanted {
        let answer = session.files()?.categoryinfo(category.number(), place).await;
        info.insert(category.number(), answer.map_err(|error| session.failed_at(&path, error))?);
    }
    session.context.print(&Counts { info, human: args.human })
}

/// `info` as the document has it: by the numbers of the categories.
#[derive(Serialize)]
struct Counts {
    info: BTreeMap<u8, Count>,
    #[serde(skip)]
    human: bool,
}

impl Report for Counts {
    fn text(&self, _: &Look) -> String {
        let row = |name: &str, of: Count| {
            let size = if self.human { bytes(of.size) } else { count(of.size) };
            vec![name.to_owned(), count(of.count), size]
        };
        let mut rows = vec![vec!["kind".to_owned(), "files".to_owned(), "size".to_owned()]];
        rows.extend(self.info.iter().map(|(number, count)| row(category::word(*number), *count)));
        if self.info.len() > 1 {
            let all = self.info.values().fold(Count::default(), |all, one| Count {
                count: all.count.saturating_add(one.count),
                size: all.size.saturating_add(one.size),
            });
            rows.push(row("all", all));
        }
        columns(&rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_kinds_are_added_up() {
        let info =
            BTreeMap::from([(1, Count { count: 2, size: 3000 }), (3, Count { count: 1234, size: 1 << 20 })]);
        assert_eq!(
            Counts { info, human: true }.text(&Look::without_colour(0)),
            "  kind     files  size\n  video    2      2.9 KiB\n  picture  1,234  1.0 MiB\n  all      1,236  1.0 MiB\n"
        );
    }
}
