//! What `drive get` and `restore` have in common: how files come home is told - bars on a terminal, a line
//! a file elsewhere, a document a line with `--json` - and summed up.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use indicatif::ProgressBar;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use super::drive::Session;
use super::screen::{Bars, Screen};
use super::status_text::short_name;
use super::terminal::{bytes, count, files};
use super::{Context, ExitStatus, Failed, Outcome};
use crate::fetch::many::Options;
use crate::fetch::{Copies, Disk, End, Fetcher, Found, NoRoom, Stop, Target, Wanted, Watch};

/// Found files that wait to be looked at: one page of a listing is read while another is fetched.
const WAITING: usize = 200;

/// What is said when it has to stop.
const AGAIN: &str = "the same command goes on where it was";

/// How files are brought home.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(super) struct How {
    /// Replace local files that are different
    #[arg(long)]
    overwrite: bool,
    /// Files fetched at a time
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=16))]
    parallel: u8,
    /// Fetch nothing, only tell what would be fetched
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// What a run begins with. Several accounts may come to one folder in it, one after the other.
#[derive(Clone)]
pub(super) struct Begun {
    pub(super) disk: Disk,
    /// When the first account began to bring something, nanoseconds since 1970: what was written since then is not
    /// overwritten.
    since_ns: Arc<OnceLock<i64>>,
}

/// Starts the threads that write, with the rights of the person: see [`crate::fetch::disk`]. To be called
/// before the cloud is opened.
pub(super) fn begin(how: &How) -> Outcome<Begun> {
    Ok(Begun { disk: Disk::start(usize::from(how.parallel) + 1)?, since_ns: Arc::default() })
}

/// Where found files go to be fetched.
pub(super) struct Sink<'a> {
    found: mpsc::Sender<Found>,
    /// Told of the first.
    first: RefCell<Option<oneshot::Sender<()>>>,
    teller: &'a Teller<'a>,
}

impl Sink<'_> {
    /// Hands one on; `false` when no more are fetched.
    pub(super) async fn send(&self, found: Found) -> bool {
        if let Found::File(wanted) = &found {
            self.teller.screen.expects(wanted.size);
        }
        if let Some(first) = self.first.take() {
            let _ = first.send(());
        }
        self.found.send(found).await.is_ok()
    }

    /// Who hears of long waits.
    pub(super) fn watch(&self) -> &dyn Watch {
        self.teller
    }

    /// Tells of something that cannot be fetched.
    pub(super) async fn bad(&self, remote: &str, size: u64, why: impl Into<String>) -> bool {
        self.send(Found::Bad { remote: remote.to_owned(), size, why: why.into() }).await
    }
}

/// Fetches what `look` finds into the folder `to`, which is made when it is missing and there is something for
/// it, and sums it up. What
/// was found before `look` failed is fetched all the same; what is not there any more, from where `copies` knows
/// its content to be.
pub(super) async fn fetch(
    session: &Session<'_>,
    Begun { disk, since_ns }: Begun,
    to: &Path,
    how: How,
    copies: Option<&dyn Copies>,
    look: impl AsyncFnOnce(&Sink<'_>) -> Outcome,
) -> Outcome {
    let options =
        Options { parallel: usize::from(how.parallel), overwrite: how.overwrite, dry_run: how.dry_run };
    let context = session.context;
    let teller = Teller::new(context, how.dry_run);
    let (found, queue) = mpsc::channel(WAITING);
    let (first, anything) = oneshot::channel();
    let looking = async {
        let sink = Sink { found, first: RefCell::new(Some(first)), teller: &teller };
        look(&sink).await
    };
    let fetching = async {
        let queue = queue;
        // Nothing is made for nothing.
        if anything.await.is_err() {
            return Ok(Ok(()));
        }
        let path = to.to_owned();
        let target = disk.run(move || Target::open(&path, !how.dry_run)).await.map_err(|error| {
            Failed::words(format!("{}: {error}", to.display())).hint("name a folder that you may write")
        })?;
        let (drive, clock) = (Arc::clone(&session.drive), context.clock().clone());
        let mut fetcher = Fetcher::new(drive, disk, Arc::new(target), options, clock, &teller);
        fetcher = fetcher.since(*since_ns.get_or_init(|| context.clock().now_ns()));
        if let Some(copies) = copies {
            fetcher = fetcher.with_copies(copies);
        }
        Ok::<_, Failed>(fetcher.run(queue).await)
    };
    let (looked, fetched) = tokio::join!(looking, fetching);
    let sums = teller.end();
    let fetched = fetched?;
    let mut words = sums.text();
    if let Err(stop) = fetched {
        words += &format!("; {AGAIN}");
        context.say(&words);
        return Err(stopped(session, &stop));
    }
    context.say(&words);
    looked?;
    sums.broken?;
    if sums.failed > 0 { Err(Failed::told(ExitStatus::Failed)) } else { Ok(()) }
}

fn stopped(session: &Session<'_>, stop: &Stop) -> Failed {
    match stop {
        Stop::Cloud(error) => session.failed(error),
        Stop::Disk { path, source } => {
            let room = source.get_ref().and_then(|error| error.downcast_ref::<NoRoom>());
            match (room, source.kind()) {
                (Some(NoRoom { wanted, free }), _) => Failed::words(format!(
                    "the disk is full: {} needs {} more, and {} are free",
                    path.display(),
                    bytes(*wanted),
                    bytes(*free)
                ))
                .hint("free some space"),
                (None, std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded) => {
                    Failed::words(format!("the disk is full: {}: {source}", path.display()))
                        .hint("free some space")
                }
                _ => Failed::words(format!("{}: {source}", path.display()))
                    .hint("the disk takes no more; see dmesg"),
            }
        }
    }
}

/// What became of all files.
#[derive(Debug)]
struct Sums {
    done: u64,
    bytes: u64,
    present: u64,
    rehearsed: u64,
    skipped: u64,
    failed: u64,
    /// Nobody reads our output any more.
    broken: Outcome,
}

impl Default for Sums {
    fn default() -> Self {
        Self { done: 0, bytes: 0, present: 0, rehearsed: 0, skipped: 0, failed: 0, broken: Ok(()) }
    }
}

impl Sums {
    fn text(&self) -> String {
        let mut text = format!("{} fetched ({})", files(self.done), bytes(self.bytes));
        if self.present > 0 {
            text += &format!(", {} there already", count(self.present));
        }
        if self.rehearsed > 0 {
            text += &format!(", {} would be fetched", count(self.rehearsed));
        }
        if self.skipped > 0 {
            text += &format!(", {} left out", count(self.skipped));
        }
        if self.failed > 0 {
            text += &format!(", {} failed", count(self.failed));
        }
        text
    }
}

/// One file, with `--json`.
#[derive(Serialize)]
struct Line<'a> {
    path: &'a str,
    local: Option<&'a str>,
    size: u64,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// Tells how it goes.
struct Teller<'c> {
    screen: Screen<'c>,
    /// By remote path.
    files: RefCell<HashMap<String, ProgressBar>>,
    sums: RefCell<Sums>,
}

impl<'c> Teller<'c> {
    fn new(context: &'c Context, is_dry: bool) -> Self {
        Self { screen: Screen::new(context, !is_dry), files: RefCell::default(), sums: RefCell::default() }
    }

    /// Takes the bars away.
    fn end(&self) -> Sums {
        if let Some(bars) = &self.screen.bars {
            self.files.borrow_mut().drain().for_each(|(_, bar)| bar.finish_and_clear());
            bars.total.finish_and_clear();
        }
        self.sums.take()
    }

    /// A file is not expected any more: what of it did not come.
    fn is_over(&self, bars: &Bars, remote: &str, size: u64) {
        let came = self.files.borrow_mut().remove(remote).map_or(0, |bar| {
            let came = bar.position();
            bars.away(&bar);
            came
        });
        bars.shorten(size.saturating_sub(came));
    }
}

impl Watch for Teller<'_> {
    fn begins(&self, file: &Wanted, from: u64) {
        if let Some(bars) = &self.screen.bars {
            let bar = bars.file(file.size, from);
            bar.set_message(format!("{}, {}", short_name(&file.remote), bytes(file.size)));
            // What is there needs not to be fetched.
            bars.shorten(from);
            if let Some(old) = self.files.borrow_mut().insert(file.remote.clone(), bar) {
                bars.away(&old);
            }
        }
    }

    fn at(&self, file: &Wanted, now: u64) {
        if let (Some(bars), Some(bar)) = (&self.screen.bars, self.files.borrow().get(&file.remote)) {
            bars.total.inc(now.saturating_sub(bar.position()));
            bar.set_position(now);
        }
    }

    fn ended(&self, remote: &str, local: Option<PathBuf>, size: u64, end: &End) {
        if let Some(bars) = &self.screen.bars {
            self.is_over(bars, remote, size);
        }
        let (state, reason) = match end {
            End::Done => ("done", None),
            End::Present => ("present", None),
            End::Rehearsed => ("would_fetch", None),
            End::Skipped(why) => ("skipped", Some(why.as_str())),
            End::Failed(why) => ("failed", Some(why.as_str())),
        };
        let mut sums = self.sums.borrow_mut();
        match end {
            End::Done => {
                sums.done += 1;
                sums.bytes += size;
            }
            End::Present => sums.present += 1,
            End::Rehearsed => sums.rehearsed += 1,
            End::Skipped(_) => sums.skipped += 1,
            End::Failed(_) => sums.failed += 1,
        }
        let local = local.map(|local| local.to_string_lossy().into_owned());
        let name = local.as_deref().unwrap_or(remote);
        let line = Line { path: remote, local: local.as_deref(), size, state, reason };
        let told = self.screen.fared(&line, (state, size), name, reason);
        if told.is_err() && sums.broken.is_ok() {
            sums.broken = told;
        }
    }

    fn waits(&self, words: &str) {
        self.screen.say(words);
    }
}
