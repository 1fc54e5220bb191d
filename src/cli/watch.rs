//! `xpand status --watch`: the status drawn again as it changes, with progress bars, until ^C.

use std::collections::HashMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::failed::how_to_start;
use super::status_text::{head, progress, short_name, stage};
use super::terminal::{bytes, plain, span};
use super::{Context, ExitStatus, Failed, Outcome};
use crate::status::Status;

/// Follows the agent's events until ^C.
pub(super) async fn watch(context: &Context) -> Outcome {
    let mut events = context.client().events().await?;
    let mut screen = match (context.json(), std::io::stdout().is_terminal()) {
        (true, _) => Screen::Json,
        (false, true) => Screen::Bars(Box::new(Bars::new())),
        (false, false) => Screen::Lines(String::new()),
    };
    loop {
        let next = tokio::select! {
            next = events.next() => next,
            interrupted = tokio::signal::ctrl_c() => {
                screen.end();
                return interrupted.map_err(Failed::from);
            }
        };
        match next {
            Ok(Some(status)) => screen.show(context, &status)?,
            Ok(None) => {
                screen.end();
                return Err(Failed::words("the agent has stopped")
                    .status(ExitStatus::NotRunning)
                    .hint(how_to_start(Path::new("/"))));
            }
            Err(error) => {
                screen.end();
                return Err(error.into());
            }
        }
    }
}

enum Screen {
    Json,
    /// Not a terminal: a line whenever it differs.
    Lines(String),
    Bars(Box<Bars>),
}

impl Screen {
    fn show(&mut self, context: &Context, status: &Status) -> Outcome {
        match self {
            Self::Json => context.print_json(status),
            Self::Lines(before) => {
                let line = line(status);
                if *before == line {
                    return Ok(());
                }
                context.print_text(&format!("{line}\n"))?;
                *before = line;
                Ok(())
            }
            Self::Bars(bars) => {
                bars.show(context, status);
                Ok(())
            }
        }
    }

    /// Leaves the last words standing and takes the bars away.
    fn end(&mut self) {
        if let Self::Bars(bars) = self {
            bars.end();
        }
    }
}

/// `backing up: 3 of 9 backed up, 6 waiting (1.2 MiB)`
fn line(status: &Status) -> String {
    let counts = status.totals.counts;
    let state = serde_json::to_value(status.state).unwrap_or_default();
    let mut line = format!(
        "{}: {}",
        state.as_str().unwrap_or("?").replace('_', " "),
        progress(
            (counts.backed_up, counts.files),
            (counts.waiting, counts.bytes_waiting),
            counts.failed,
            counts.skipped,
        )
    );
    if let Some(reason) = &status.reason {
        line += &format!("; {}", plain(reason));
    }
    line
}

struct Bars {
    all: MultiProgress,
    words: ProgressBar,
    total: ProgressBar,
    files: HashMap<String, ProgressBar>,
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("##-")
}

impl Bars {
    fn new() -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
        let words = all.add(ProgressBar::new(0).with_style(style("{msg}")));
        let total = all.add(ProgressBar::new(0).with_style(style("[{bar:40}] {percent:>3}%  {wide_msg}")));
        Self { all, words, total, files: HashMap::new() }
    }

    fn show(&mut self, context: &Context, status: &Status) {
        let totals = &status.totals;
        let counts = totals.counts;
        let numbers = progress(
            (counts.backed_up, counts.files),
            (counts.waiting, counts.bytes_waiting),
            counts.failed,
            counts.skipped,
        );
        self.words.set_message(format!("{}  {numbers}", head(status, &context.look())));
        let mut message = String::new();
        if totals.rate > 0 {
            message += &format!("{}/s", bytes(totals.rate));
        }
        if let Some(left) = totals.eta_secs {
            message += &format!(", about {} left", span(left));
        }
        self.total.set_length(counts.files.saturating_sub(counts.skipped));
        self.total.set_position(counts.backed_up);
        self.total.set_message(message);
        self.files.retain(|path, bar| {
            let stays = status.active.iter().any(|active| active.path == *path);
            if !stays {
                bar.finish_and_clear();
                self.all.remove(bar);
            }
            stays
        });
        for active in &status.active {
            let bar = self.files.entry(active.path.clone()).or_insert_with(|| {
                let bar =
                    ProgressBar::new(active.size).with_style(style("[{bar:20}] {percent:>3}%  {wide_msg}"));
                self.all.add(bar)
            });
            bar.set_length(active.size);
            bar.set_position(active.done);
            bar.set_message(format!(
                "{} {}, {}",
                stage(active.stage),
                short_name(&active.path),
                bytes(active.size)
            ));
        }
    }

    fn end(&mut self) {
        for bar in self.files.values() {
            bar.finish_and_clear();
        }
        self.total.abandon();
        self.words.abandon();
        // The last bar leaves the cursor behind it.
        let _ = writeln!(std::io::stdout());
    }
}
