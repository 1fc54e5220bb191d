//! What verify tells: differences as they are found, and what they come to.

use std::cell::Cell;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use indicatif::ProgressBar;
use serde::Serialize;

use crate::cli::terminal::{bytes, count, files, plain};
use crate::cli::{Context, ExitStatus, Failed, Outcome};
use crate::control::BadCopy;
use crate::fetch::{End, Wanted, Watch};

/// So many of each kind are shown without `-v`.
const SHOWN: usize = 20;
/// So many are forgotten in one run; another one forgets more.
const FORGOTTEN: usize = 10_000;

/// What is different.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum What {
    /// The agent believes it to be there, and it is not.
    Missing,
    /// It has another size.
    WrongSize,
    /// It has another content.
    WrongContent,
    /// Another file lies there, with as many bytes; whether with this content no listing tells.
    Replaced,
    /// It lies where the agent puts files, and the agent knows nothing of it.
    Unexpected,
    /// No difference: gone here and there, and in the cloud as another file's copy.
    Elsewhere,
}

/// Kinds of differences, [`What::Elsewhere`] left out.
const KINDS: usize = 5;

impl What {
    const ALL: [Self; KINDS + 1] = [
        Self::Missing,
        Self::WrongSize,
        Self::WrongContent,
        Self::Replaced,
        Self::Unexpected,
        Self::Elsewhere,
    ];

    fn words(self) -> &'static str {
        match self {
            Self::Missing => "missing in the cloud",
            Self::WrongSize => "of another size in the cloud",
            Self::WrongContent => "of another content in the cloud",
            Self::Replaced => "replaced in the cloud by another of the same size",
            Self::Unexpected => "in the cloud and unknown to the agent",
            Self::Elsewhere => "gone here and there, and in the cloud under another name: nothing is lost",
        }
    }
}

/// One difference.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Difference {
    /// The file as it is or was on this box.
    pub(super) path: String,
    /// The account that has, or should have, the copy.
    pub(super) account: String,
    /// Absolute remote path.
    pub(super) remote: String,
    pub(super) what: What,
    /// Bytes, as the agent believes; of an unexpected file as it is listed.
    pub(super) size: u64,
    /// Bytes in the cloud, where that is what is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) listed_size: Option<u64>,
    /// Absolute remote path of another copy of the same content, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) elsewhere: Option<String>,
    /// The file is not on this box any more: nothing can be sent again.
    pub(super) gone: bool,
}

/// What it all comes to.
#[derive(Debug, Default, Serialize)]
pub(super) struct Summary {
    /// Copies that the agent believes to be in the cloud.
    pub(super) files: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    missing: u64,
    wrong_size: u64,
    wrong_content: u64,
    replaced: u64,
    unexpected: u64,
    /// Gone here and there, and in the cloud under another name.
    elsewhere: u64,
    /// Files of the cloud that were replaced by newer ones and kept.
    pub(super) older_versions: u64,
    /// Files that wait to be sent.
    pub(super) waiting: u64,
    /// Files that could not be sent.
    pub(super) failed: u64,
    /// Copies that may have changed while this ran, and were not compared.
    pub(super) changed: u64,
    /// Copies of which the cloud's listings say one thing and the other, or that were not looked for any
    /// more, so that nobody knows.
    pub(super) unsure: u64,
    /// What chose the sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seed: Option<u64>,
    /// Files that were fetched.
    pub(super) fetched: u64,
    /// Bytes that were fetched.
    pub(super) bytes_fetched: u64,
    /// Files that could not be fetched, so that nobody knows.
    pub(super) unread: u64,
    /// Files that wait to be sent again.
    pub(super) queued: u64,
    /// Different, and not on this box any more.
    lost: u64,
    /// Gone here and there, and not in the index any more.
    pub(super) forgotten: u64,
}

/// Tells it.
pub(super) struct Report<'c> {
    context: &'c Context,
    bar: Option<ProgressBar>,
    pub(super) summary: Summary,
    /// More than one account is compared.
    names_accounts: bool,
    /// The first lines of each kind.
    shown: [Vec<String>; KINDS + 1],
    /// What is neither in the cloud nor on this box, to be forgotten.
    lost: Vec<BadCopy>,
}

impl<'c> Report<'c> {
    pub(super) fn new(context: &'c Context, accounts: usize) -> Self {
        let bars = !context.json() && !context.is_quiet() && std::io::stderr().is_terminal();
        let bar = bars.then(ProgressBar::new_spinner);
        if let Some(bar) = &bar {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self {
            context,
            bar,
            summary: Summary::default(),
            names_accounts: accounts > 1,
            shown: Default::default(),
            lost: Vec::new(),
        }
    }

    /// What is being done, on a terminal.
    pub(super) fn progress(&self) -> Progress<'c> {
        Progress { context: self.context, bar: self.bar.clone(), bytes: Cell::new(0) }
    }

    /// Tells of a difference.
    pub(super) fn add(&mut self, difference: &Difference) -> Outcome {
        let sum = match difference.what {
            What::Missing => &mut self.summary.missing,
            What::WrongSize => &mut self.summary.wrong_size,
            What::WrongContent => &mut self.summary.wrong_content,
            What::Replaced => &mut self.summary.replaced,
            What::Unexpected => &mut self.summary.unexpected,
            What::Elsewhere => &mut self.summary.elsewhere,
        };
        *sum += 1;
        self.summary.lost += u64::from(difference.gone && difference.what != What::Elsewhere);
        if self.context.json() {
            return self.context.print_json(difference);
        }
        let shown = &mut self.shown[difference.what as usize];
        if self.context.global.verbose == 0 && shown.len() >= SHOWN {
            return Ok(());
        }
        let mut line = line(difference);
        if self.names_accounts {
            line += &format!(" at {}", difference.account);
        }
        if self.context.global.verbose == 0 {
            shown.push(line);
            return Ok(());
        }
        let line = format!("{}: {line}\n", difference.what.words());
        match &self.bar {
            Some(bar) => bar.suspend(|| self.context.print_text(&line)),
            None => self.context.print_text(&line),
        }
    }

    /// Is to be forgotten, once a person has said so.
    pub(super) fn lost(&mut self, copy: BadCopy) {
        if self.lost.len() < FORGOTTEN {
            self.lost.push(copy);
        }
    }

    /// What is to be forgotten.
    pub(super) fn take_lost(&mut self) -> Vec<BadCopy> {
        std::mem::take(&mut self.lost)
    }

    /// A file could not be fetched.
    pub(super) fn unread(&mut self, path: &str, why: &str) {
        self.summary.unread += 1;
        self.progress().waits(&format!("{path}: {why}"));
    }

    /// Prints what was found so far; at an early end the rest is not known.
    pub(super) fn tell_shown(&mut self) -> Outcome {
        self.print_shown()?;
        self.shown = Default::default();
        Ok(())
    }

    /// Prints what it all comes to, and decides.
    pub(super) fn end(&mut self, repair: bool) -> Outcome {
        self.tell_shown()?;
        let summary = &self.summary;
        let wrong = summary.missing + summary.wrong_size + summary.wrong_content + summary.replaced;
        if self.context.json() {
            self.context.print_json(&serde_json::json!({ "summary": summary }))?;
        } else {
            self.context.print_text(&format!("{}\n", self.text()))?;
        }
        if (wrong > summary.lost || summary.elsewhere > 0) && !repair && summary.forgotten == 0 {
            let here = (wrong > summary.lost).then_some("has what is missing or wrong sent again");
            let gone = (summary.elsewhere > 0).then_some("forgets the names that are gone here and there");
            let both: Vec<_> = [here, gone].into_iter().flatten().collect();
            self.context.say(&format!("xpand verify --repair {}", both.join(", and ")));
        }
        if summary.lost > 0 && summary.forgotten == 0 {
            self.context.say("xpand verify --forget drops what is lost from the agent's index");
        }
        if summary.changed > 0 {
            self.context.say("what changed while this ran was not compared; another run will tell");
        }
        if summary.unsure > 0 {
            self.context.say("the cloud's listings did not agree; another run may tell more");
        }
        let is_well = wrong + summary.unexpected + summary.unread + summary.unsure == 0;
        if is_well { Ok(()) } else { Err(Failed::told(ExitStatus::Failed)) }
    }

    fn print_shown(&self) -> Outcome {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let sums = self.sums();
        for (what, lines) in What::ALL.into_iter().zip(&self.shown).filter(|(_, lines)| !lines.is_empty()) {
            let sum = sums[what as usize];
            let mut text = format!("{} {}:\n", files(sum), what.words());
            lines.iter().for_each(|line| text += &format!("  {line}\n"));
            let more = sum.saturating_sub(lines.len() as u64);
            if more > 0 {
                text += &format!("  and {} more; -v or --json shows all\n", count(more));
            }
            self.context.print_text(&text)?;
        }
        Ok(())
    }

    fn sums(&self) -> [u64; KINDS + 1] {
        let Summary { missing, wrong_size, wrong_content, replaced, unexpected, elsewhere, .. } =
            self.summary;
        [missing, wrong_size, wrong_content, replaced, unexpected, elsewhere]
    }

    fn text(&self) -> String {
        let summary = &self.summary;
        let mut text = format!("{}, {}", files(summary.files), bytes(summary.bytes));
        let sums = self.sums();
        if sums[..KINDS] == [0; KINDS] {
            let is_all = summary.changed + summary.unsure + summary.unread == 0;
            text += if is_all { ": all there" } else { ": all there as far as was compared" };
        } else {
            let parts = What::ALL.into_iter().zip(sums).take(KINDS).filter(|(_, sum)| *sum > 0);
            let parts: Vec<_> = parts.map(|(what, sum)| format!("{} {}", count(sum), what.words())).collect();
            text += &format!(": {}", parts.join(", "));
        }
        for (sum, words) in [
            (summary.fetched, "fetched and compared"),
            (summary.unread, "could not be fetched"),
            (summary.waiting, "wait to be sent"),
            (summary.failed, "could not be sent (xpand queue --state failed)"),
            (summary.older_versions, "older versions kept"),
            (summary.elsewhere, "gone here and there, and in the cloud under another name"),
            (summary.changed, "changed while this ran"),
            (summary.unsure, "not certain: the cloud's listings did not agree"),
            (summary.queued, "wait to be sent again"),
            (summary.lost, "lost: neither as it was in the cloud nor on this box"),
            (summary.forgotten, "forgotten"),
        ] {
            if sum > 0 {
                text += &format!("; {} {words}", count(sum));
            }
        }
        if let Some(seed) = summary.seed {
            text +=
                &format!("; {} fetched, --seed {seed} takes the same files", bytes(summary.bytes_fetched));
        }
        text
    }
}

fn line(difference: &Difference) -> String {
    let Difference { path, remote, what, size, listed_size, elsewhere, gone, .. } = difference;
    let mut line = match what {
        What::Unexpected => format!("{} ({})", plain(remote), bytes(*size)),
        _ => plain(path),
    };
    if let Some(listed) = listed_size {
        line += &format!(" ({} bytes there, {} sent)", count(*listed), count(*size));
    }
    if let Some(elsewhere) = elsewhere {
        line += &format!(" (it is {})", plain(elsewhere));
    } else if *gone {
        line += " (not on this box any more)";
    }
    line
}

/// A spinner on a terminal, with words.
pub(super) struct Progress<'c> {
    context: &'c Context,
    bar: Option<ProgressBar>,
    bytes: Cell<u64>,
}

impl Progress<'_> {
    pub(super) fn says(&self, words: impl FnOnce() -> String) {
        if let Some(bar) = &self.bar {
            bar.set_message(words());
        }
    }

    /// So many more bytes were fetched.
    pub(super) fn came(&self, more: u64) {
        self.bytes.set(self.bytes.get() + more);
        self.says(|| format!("fetching a sample: {}", bytes(self.bytes.get())));
    }

    /// Bytes fetched so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.get()
    }
}

impl Watch for Progress<'_> {
    fn begins(&self, _: &Wanted, _: u64) {}

    fn at(&self, _: &Wanted, _: u64) {}

    fn ended(&self, _: &str, _: Option<PathBuf>, _: u64, _: &End) {}

    fn waits(&self, words: &str) {
        match &self.bar {
            Some(bar) => bar.println(plain(words)),
            None => self.context.say(&plain(words)),
        }
    }
}
