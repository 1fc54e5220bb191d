//! How sending goes: bars on a terminal, a line a file elsewhere, a document a line with `--json`; and the
//! sums at the end.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use indicatif::ProgressBar;
use serde::Serialize;

use super::local::{Local, What};
use crate::backup::batch::{End, Watch};
use crate::backup::progress::Progress;
use crate::backup::walk::Passed;
use crate::cli::screen::{Bars, Screen};
use crate::cli::status_text::short_name;
use crate::cli::terminal::{bytes, count, files, plain};
use crate::cli::{Context, ExitStatus, Failed, Outcome};
use crate::status::Stage;

/// Between two looks at how far files are.
const REDRAW: Duration = Duration::from_millis(200);

/// See the module.
pub(in crate::cli) struct Teller<'c> {
    context: &'c Context,
    screen: Screen<'c>,
    files: RefCell<BTreeMap<PathBuf, File>>,
    sums: RefCell<Sums>,
    /// What goes well is told by somebody else.
    of_troubles: bool,
    has_told_of_escapes: Cell<bool>,
}

#[derive(Debug)]
struct Sums {
    is_dry: bool,
    done: u64,
    bytes: u64,
    instant: u64,
    there: u64,
    rehearsed: u64,
    skipped: u64,
    failed: u64,
    /// Of those, what no second try helps.
    refused: u64,
    passed: Passed,
    /// Nobody reads our output any more.
    broken: Outcome,
}

/// One file, with `--json`.
#[derive(Serialize)]
struct Line<'a> {
    path: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    remote: &'a str,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fs_id: Option<&'a str>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl<'c> Teller<'c> {
    pub(in crate::cli) fn new(context: &'c Context, is_dry: bool) -> Self {
        let (done, bytes, instant, there, rehearsed, skipped, failed, refused) = Default::default();
        let (passed, broken) = (Passed::default(), Ok(()));
        let sums =
            Sums { is_dry, done, bytes, instant, there, rehearsed, skipped, failed, refused, passed, broken };
        Self {
            context,
            screen: Screen::new(context, !is_dry),
            files: RefCell::default(),
            sums: RefCell::new(sums),
            of_troubles: false,
            has_told_of_escapes: Cell::default(),
        }
    }

    /// One that says nothing on stdout: bars, what goes wrong, and the sums.
    pub(in crate::cli) fn of_troubles(context: &'c Context) -> Self {
        Self { of_troubles: true, ..Self::new(context, false) }
    }

    /// Waits for `work` while bars are moved.
    pub(in crate::cli) async fn while_redrawing<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                ended = &mut work => return ended,
                () = tokio::time::sleep(REDRAW), if self.screen.bars.is_some() => {
                    self.screen.bars.iter().for_each(|bars| self.redraw(bars));
                }
            }
        }
    }

    /// Tells of a path that stands for nothing.
    pub(in crate::cli) fn bad(&self, local: &Local) {
        if let What::Bad(why) = &local.what {
            self.ended(&local.typed, "", 0, &End::Failed(why.clone()));
        }
    }

    /// Says once that names are not in the cloud what they are here.
    pub(in crate::cli) fn escaped(&self, name: &[u8], escaped: &str) {
        if !self.has_told_of_escapes.replace(true) {
            let name = String::from_utf8_lossy(name);
            self.screen.say(&format!(
                "some names are written with %XX in the cloud, which does not take them as they are: {name} is \
                 {escaped} there; xpand restore gives them back"
            ));
        }
    }

    /// Says something, above the bars.
    pub(in crate::cli) fn say(&self, words: &str) {
        self.screen.say(words);
    }

    /// Something has failed that a second try may mend.
    pub(in crate::cli) fn is_unfinished(&self) -> bool {
        let sums = self.sums.borrow();
        sums.failed > sums.refused
    }

    /// Takes the bars away.
    pub(in crate::cli) fn clear(&self) {
        if let Some(bars) = &self.screen.bars {
            self.files.take().into_values().for_each(|file| file.bar.finish_and_clear());
            bars.total.finish_and_clear();
        }
    }

    /// Takes the bars away, and sums up. `ran` is how it ended before every file was told of.
    pub(in crate::cli) fn end(self, ran: Outcome) -> Outcome {
        self.clear();
        let sums = self.sums.into_inner();
        self.context.say(&sums.text());
        ran?;
        sums.broken?;
        if sums.failed > 0 { Err(Failed::told(ExitStatus::Failed)) } else { Ok(()) }
    }

    fn redraw(&self, bars: &Bars) {
        for file in self.files.borrow_mut().values_mut() {
            let done = file.progress.done.load(Ordering::Relaxed).min(file.size);
            file.redraw_message();
            file.bar.set_position(done);
            if file.progress.stage() == Stage::Hashing {
                continue;
            }
            // What the cloud had before needs not to be sent: speed and time left are of the rest.
            let (from, before) = *file.known.get_or_insert_with(|| {
                let from = file.progress.sent_before();
                bars.shorten(from);
                (from, 0)
            });
            let sent = done.saturating_sub(from);
            bars.total.set_position((bars.total.position() + sent).saturating_sub(before));
            file.known = Some((from, sent));
        }
    }

    /// Work on a file is over, for now at least.
    fn is_over(&self, bars: &Bars, local: &Path, size: u64, end: &End) {
        let Some(file) = self.files.borrow_mut().remove(local) else {
            if !matches!(end, End::Later(_)) {
                bars.shorten(size);
            }
            return;
        };
        bars.away(&file.bar);
        let (from, sent) = file.known.unwrap_or_default();
        match end {
            End::Done(_) if file.known.is_some() => bars.total.inc(size.saturating_sub(from + sent)),
            End::Done(_) => bars.total.inc(size),
            End::Later(_) => {
                // It counts anew when it begins again.
                bars.total.set_position(bars.total.position().saturating_sub(sent));
                bars.total.inc_length(from);
            }
            End::Instant(_) | End::There(_) | End::Rehearsed | End::Skipped(_) | End::Failed(_) => {
                bars.shorten(size.saturating_sub(from + sent));
            }
        }
    }
}

impl Watch for Teller<'_> {
    fn expects(&self, local: &Path, remote: &str, size: u64, is_escaped: bool) {
        if let (true, Some(name)) = (is_escaped, local.file_name()) {
            self.escaped(name.as_encoded_bytes(), remote.rsplit('/').next().unwrap_or_default());
        }
        self.screen.expects(size);
    }

    fn begins(&self, local: &Path, size: u64, progress: &Arc<Progress>) {
        if let Some(bars) = &self.screen.bars {
            let name = format!("{}, {}", short_name(&local.to_string_lossy()), bytes(size));
            let (bar, progress) = (bars.file(size, 0), Arc::clone(progress));
            let file = File { bar, name, size, progress, known: None };
            file.redraw_message();
            self.files.borrow_mut().insert(local.to_owned(), file);
        }
    }

    fn ended(&self, local: &Path, remote: &str, size: u64, end: &End) {
        if let Some(bars) = &self.screen.bars {
            self.is_over(bars, local, size, end);
        }
        let mut sums = self.sums.borrow_mut();
        let (state, fs_id, reason) = match end {
            End::Done(copy) => {
                sums.done += 1;
                sums.bytes += size;
                ("sent", Some(copy.id.as_str()), None)
            }
            End::Instant(copy) => {
                sums.instant += 1;
                ("instant", Some(copy.id.as_str()), None)
            }
            End::There(copy) => {
                sums.there += 1;
                ("there", Some(copy.id.as_str()), None)
            }
            End::Rehearsed => {
                sums.rehearsed += 1;
                ("would_send", None, None)
            }
            // What a person named is not left out in silence.
            End::Skipped(why) if self.of_troubles => {
                (sums.failed, sums.refused) = (sums.failed + 1, sums.refused + 1);
                ("failed", None, Some(why.as_str()))
            }
            End::Skipped(why) => {
                sums.skipped += 1;
                ("skipped", None, Some(why.as_str()))
            }
            End::Failed(why) => {
                sums.failed += 1;
                ("failed", None, Some(why.as_str()))
            }
            End::Later(Some(why)) => return self.screen.say(&format!("{}: {why}", local.display())),
            End::Later(None) => return,
        };
        let local = local.to_string_lossy();
        if self.of_troubles {
            if let Some(reason) = reason {
                self.screen.above_bars(|| Failed::words(format!("{local}: {reason}")).warn());
            }
            return;
        }
        let name = if remote.is_empty() { local.to_string() } else { format!("{local} -> {remote}") };
        let line = Line { path: &local, remote, size, fs_id, state, reason };
        let told = self.screen.fared(&line, (state, size), &name, reason);
        if told.is_err() && sums.broken.is_ok() {
            sums.broken = told;
        }
    }

    fn waits(&self, words: &str) {
        self.screen.say(words);
    }

    fn passed(&self, passed: Passed) {
        self.sums.borrow_mut().passed = passed;
    }
}

impl Sums {
    fn text(&self) -> String {
        let mut text = match self.is_dry {
            true => "nothing was sent, this was a dry run".to_owned(),
            false => format!("{} sent ({})", files(self.done), bytes(self.bytes)),
        };
        if self.instant > 0 {
            text += &format!(", {} instant: the cloud had the content", count(self.instant));
        }
        if self.there > 0 {
            text += &format!(", {} there already", count(self.there));
        }
        if self.rehearsed > 0 {
            text += &format!(", {} would be sent", count(self.rehearsed));
        }
        if self.skipped > 0 {
            text += &format!(", {} left out", count(self.skipped));
        }
        if self.failed > 0 {
            text += &format!(", {} failed", count(self.failed));
        }
        match self.passed.links {
            0 => {}
            1 => text += ", 1 link was not followed",
            links => text += &format!(", {} links were not followed", count(links)),
        }
        if self.passed.others > 0 {
            text += &format!(", {} neither a file nor a folder", count(self.passed.others));
        }
        text
    }
}

/// A file with a bar.
struct File {
    bar: ProgressBar,
    name: String,
    size: u64,
    progress: Arc<Progress>,
    /// What the total knows of it: bytes that were there when sending began, and bytes sent since.
    known: Option<(u64, u64)>,
}

impl File {
    fn redraw_message(&self) {
        let doing = match self.progress.stage() {
            Stage::Hashing => "reading ",
            Stage::Sending => "",
            Stage::Finishing => "finishing ",
        };
        self.bar.set_message(format!("{doing}{}", plain(&self.name)));
    }
}
