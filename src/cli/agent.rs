//! The agent itself, and what the running one is asked: `run`, `check`, `status`, `queue`, `explain`,
//! `pause`, `resume`, `scan`, `accept`, `retry`, `reload`, `rebuild`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Subcommand, ValueEnum};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::terminal::{Look, Tone, bytes, plain, span};
use super::{Context, ExitStatus, Failed, Outcome, Report, check, log, watch};
use crate::agent;
use crate::clock::Clock;
use crate::config::{Config, units};
use crate::control::client::ClientError;
use crate::control::{Explain, FileLine, FileState, QueueQuery, Standing};
use crate::memory;
use crate::store;

/// What the running agent is asked, and the agent itself.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run the agent in the foreground
    Run,
    /// Read the configuration and print what is in force
    Check,
    /// Tell what the agent is doing
    Status {
        /// Draw it again as it changes, with progress bars, until ^C
        #[arg(long, short)]
        watch: bool,
    },
    /// List files, one a line
    Queue {
        /// Only these [default: all but done]
        #[arg(long, value_enum)]
        state: Option<FileState>,
        /// At most so many
        #[arg(long, value_name = "N", value_parser = at_least_one)]
        limit: Option<u64>,
    },
    /// Tell why a file is, or is not, backed up, and where its copy is
    Explain {
        /// The file
        #[arg(required_unless_present = "code")]
        path: Option<PathBuf>,
        /// Tell what a number of the cloud's server, or its word at a login, means instead
        #[arg(long, value_name = "N", conflicts_with = "path", allow_negative_numbers = true, value_parser = NonEmptyStringValueParser::new())]
        code: Option<String>,
    },
    /// Stop uploads
    Pause {
        /// For so long: 30m, 2h [default: until resume]
        #[arg(long = "for", value_name = "TIME", value_parser = pause_time)]
        time: Option<Duration>,
    },
    /// Go on with uploads
    Resume,
    /// Look at the folders now
    Scan {
        /// Only here
        path: Option<PathBuf>,
    },
    /// Believe that what is missing from a folder was deleted on purpose
    #[command(long_about = "Believe that what is missing from a folder was deleted on purpose\n\n\
        When a folder loses most of its files at once, or a disk is not mounted, xpand forgets nothing and \
        waits for them to come back. This says that they will not. Copies in the cloud stay.")]
    Accept {
        /// The folder, or the place below it, as `xpand status` names it
        path: PathBuf,
    },
    /// Try failed files again now
    Retry {
        /// Only this one
        path: Option<PathBuf>,
    },
    /// Let the agent read its configuration again
    Reload,
    /// Make the index again from the folders and what the cloud lists; sends nothing that is there
    Rebuild,
}

impl ValueEnum for FileState {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(self.as_str().into())
    }
}

fn at_least_one(text: &str) -> Result<u64, &'static str> {
    text.parse().ok().filter(|&number| number > 0).ok_or("write a number from 1 on")
}

fn pause_time(text: &str) -> Result<Duration, String> {
    let time = units::duration(text)?;
    if time < Duration::from_secs(1) {
        return Err("a pause takes at least 1s".to_owned());
    }
    Ok(time)
}

/// `xpand run`.
///
/// # Errors
/// The configuration is not good, or the agent cannot start.
pub(super) fn start(context: &Context) -> Outcome {
    let config = context.config()?;
    log::for_agent(&context.global, &config.agent.log);
    something_to_do(&config)?;
    run_agent(context, config)
}

/// Runs the agent until SIGTERM, SIGINT or ^C; SIGHUP reads the configuration again.
fn run_agent(context: &Context, config: Config) -> Outcome {
    memory::share_one_heap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(agent::manners::workers())
        // Threads come as they are needed. A dead disk holds those that read it; commits need one more.
        .max_blocking_threads(128)
        .thread_keep_alive(Duration::from_secs(5))
        .enable_all()
        .build()?;
    let options =
        agent::Options { config, socket: context.named_socket().map(Path::to_owned), clock: Clock::system() };
    let outcome = runtime.block_on(async {
        let signals = agent::Signals { shutdown: CancellationToken::new(), reload: Arc::default() };
        let listening = tokio::spawn(listen(signals.clone())?);
        let outcome = agent::run(options, signals).await;
        listening.abort();
        Ok::<_, std::io::Error>(outcome)
    });
    // A read from a dead disk must not keep the process: everything that counts is on the disk by now.
    runtime.shutdown_timeout(Duration::from_millis(500));
    outcome?.map_err(Failed::from)
}

/// Passes the system's signals on.
fn listen(signals: agent::Signals) -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => signals.shutdown.cancel(),
                _ = interrupt.recv() => signals.shutdown.cancel(),
                _ = hangup.recv() => signals.reload.notify_one(),
            }
        }
    })
}

/// An agent without account or folder would only look as if it did something.
fn something_to_do(config: &Config) -> Outcome {
    let file = config.file.display();
    if config.accounts.is_empty() {
        return Err(Failed::words(format!("{file} has no account")).status(ExitStatus::Usage).hint(
            "write [account.home] with client_id and client_secret, then [[folder]] with path and account",
        ));
    }
    if config.folders.is_empty() {
        return Err(Failed::words(format!("{file} has no folder"))
            .status(ExitStatus::Usage)
            .hint("write [[folder]] with path = \"/volume1/photo\" and account = \"home\""));
    }
    Ok(())
}

/// Everything but `run`.
pub(super) fn run(context: &Context, command: Command) -> Outcome {
    match command {
        Command::Run => start(context),
        Command::Check => check::run(context),
        Command::Explain { code: Some(code), .. } => {
            let meanings = crate::cloud::explain(&code);
            let code = code.parse().map_or(CodeName::Word(code), CodeName::Number);
            context.print(&Code { code, meanings })
        }
        command => context.wait(ask(context, command))?,
    }
}

/// What a running agent has to answer.
async fn ask(context: &Context, command: Command) -> Outcome {
    let client = context.client();
    match command {
        Command::Run | Command::Check => Ok(()),
        Command::Status { watch: true } => watch::watch(context).await,
        Command::Status { watch: false } => context.print(&client.status().await?),
        Command::Queue { state, limit } => queue(context, state, limit).await,
        Command::Explain { path, .. } => {
            let path = absolute(&path.unwrap_or_default())?;
            context.print(&client.explain_with_link(&path).await?)
        }
        Command::Pause { time } => {
            client.pause(time).await?;
            done(
                context,
                &match time {
                    Some(time) => format!("paused for {}", span(time.as_secs())),
                    None => "paused; go on with: xpand resume".to_owned(),
                },
            )
        }
        Command::Resume => {
            client.resume().await?;
            done(context, "going on")
        }
        Command::Scan { path } => {
            client.scan(path_of(path)?.as_deref()).await?;
            done(context, "looking")
        }
        Command::Accept { path } => {
            client.accept(&absolute(&path)?).await?;
            done(context, "what is missing there counts as deleted; the copies in the cloud stay")
        }
        Command::Retry { path } => {
            client.retry(path_of(path)?.as_deref()).await?;
            done(context, "trying again")
        }
        Command::Reload => {
            client.reload().await?;
            done(context, "the new configuration is in force")
        }
        Command::Rebuild => rebuild(context).await,
    }
}

/// `xpand rebuild`: now, or without an agent at its next start.
async fn rebuild(context: &Context) -> Outcome {
    match context.client().rebuild().await {
        Ok(begun) => context.print(&Rebuilding { when: "now", set_aside: begun.set_aside }),
        Err(ClientError::NotRunning(_)) => {
            let state_dir = context.config()?.agent.state_dir;
            store::ask_rebuild(&state_dir).map_err(agent::Error::from)?;
            let set_aside = state_dir.join(store::ASIDE).to_string_lossy().into_owned();
            context.print(&Rebuilding { when: "next_start", set_aside })
        }
        Err(error) => Err(error.into()),
    }
}

/// What `xpand rebuild` says.
#[derive(Serialize)]
struct Rebuilding {
    when: &'static str,
    set_aside: String,
}

impl Report for Rebuilding {
    fn text(&self, _: &Look) -> String {
        let folder = plain(&self.set_aside);
        match self.when {
            "now" => format!(
                "making the index again; watch it with: xpand status\nthe old index lies in {folder}\n"
            ),
            _ => format!(
                "the agent is not running; it makes the index again when it starts\n\
                 the old index will then lie in {folder}\n"
            ),
        }
    }
}

/// A command without data: a word for people, `{}` for programs.
fn done(context: &Context, words: &str) -> Outcome {
    if context.json() {
        return context.print_json(&serde_json::json!({}));
    }
    context.say(words);
    Ok(())
}

fn path_of(path: Option<PathBuf>) -> Outcome<Option<PathBuf>> {
    path.map(|path| absolute(&path)).transpose()
}

/// As the agent has it: from the root, without `.` and `..`, links in the folders above followed only
/// where `..` asks for it.
pub(super) fn absolute(path: &Path) -> Outcome<PathBuf> {
    let full = std::path::absolute(path)?;
    let dotted = full.components().any(|part| part == std::path::Component::ParentDir);
    if !dotted {
        return Ok(full);
    }
    // What lies above `..` decides what it means; the file itself may be gone or a link.
    match (full.parent(), full.file_name()) {
        (Some(parent), Some(name)) => Ok(parent.canonicalize()?.join(name)),
        _ => Ok(full.canonicalize()?),
    }
}

async fn queue(context: &Context, state: Option<FileState>, limit: Option<u64>) -> Outcome {
    let client = context.client();
    let mut left = limit.unwrap_or(u64::MAX);
    let mut query = QueueQuery { state, limit: QueueQuery::LIMIT_MAX, after: None };
    let mut any = false;
    // A folder may go to several accounts: whose line is it?
    let names_account = context.config().is_ok_and(|config| config.accounts.len() > 1);
    while left > 0 {
        query.limit = u32::try_from(left).unwrap_or(u32::MAX).min(QueueQuery::LIMIT_MAX);
        let page = client.queue(&query).await?;
        for file in &page.files {
            context.print(&Queued { file, names_account })?;
        }
        any |= !page.files.is_empty();
        left = left.saturating_sub(u64::try_from(page.files.len()).unwrap_or(u64::MAX));
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    if !any && !context.json() {
        let which = state.map_or_else(String::new, |state| format!("{} ", state.as_str()));
        context.say(&format!("no {which}files"));
    }
    Ok(())
}

/// A line of `xpand queue`.
#[derive(Serialize)]
#[serde(transparent)]
struct Queued<'f> {
    file: &'f FileLine,
    #[serde(skip)]
    names_account: bool,
}

impl Report for Queued<'_> {
    fn text(&self, look: &Look) -> String {
        let file = self.file;
        let mut line = format!("{:<8} {:>9}  {}", file.state.as_str(), bytes(file.size), plain(&file.path));
        if self.names_account {
            line += &format!(" to {}", plain(&file.account));
        }
        let mut why = Vec::new();
        why.extend(file.reason.as_deref().map(plain));
        if let Some(next) = &file.next_try {
            why.push(format!("next try {}", look.when(next)));
        }
        if !why.is_empty() {
            line += &format!("  ({})", why.join("; "));
        }
        line.push('\n');
        line
    }
}

impl Report for Explain {
    fn text(&self, look: &Look) -> String {
        let (word, tone) = match self.state {
            Standing::BackedUp => ("backed up", Tone::Good),
            Standing::Waiting => ("waiting for its turn", Tone::Busy),
            Standing::Settling => ("changed a moment ago, left alone until it is quiet", Tone::Busy),
            Standing::Active => ("on its way", Tone::Busy),
            Standing::Failed => ("failed", Tone::Bad),
            Standing::Skipped => ("skipped: it cannot be backed up", Tone::Bad),
            Standing::Excluded => ("excluded by a pattern", Tone::Busy),
            Standing::NotSelected => ("not of a kind that this folder's media asks for", Tone::Busy),
            Standing::Outside => ("not in any folder of the configuration", Tone::Bad),
            Standing::Missing => ("not there", Tone::Bad),
        };
        let mut text = format!("{}: {}\n", plain(&self.path), look.paint(tone, word));
        let mut row = |name: &str, value: &str| {
            text += &format!("  {name:<9} {value}\n");
        };
        if let Some(reason) = &self.reason {
            row("why", &plain(reason));
        }
        if let Some(folder) = &self.folder {
            let to =
                self.account.as_deref().map_or_else(String::new, |account| format!(" to {}", plain(account)));
            row("folder", &format!("{}{to}", plain(folder)));
        }
        if let Some(remote) = &self.remote {
            let id = self.id.as_deref();
            let id = id.map_or_else(String::new, |id| format!(" (id {})", plain(id)));
            row("copy", &format!("{}{id}", plain(remote)));
        }
        match (&self.link, &self.no_link) {
            (Some(link), _) => row("link", &plain(link)),
            (None, Some(why)) => row("link", &format!("not known now: {}", plain(why))),
            (None, None) => {}
        }
        match (self.size, self.backed_up_size) {
            (Some(here), Some(there)) if here != there => {
                row("size", &format!("{here} bytes here, {there} bytes in the cloud"))
            }
            (Some(size), _) => row("size", &bytes(size)),
            (None, Some(size)) => row("size", &format!("{} in the cloud", bytes(size))),
            (None, None) => {}
        }
        if let Some(at) = &self.backed_up_at {
            row("backed up", &look.when(at));
        }
        if self.tries > 0 {
            let next = self.next_try.as_deref();
            let next = next.map_or_else(String::new, |next| format!(", next {}", look.when(next)));
            row("tries", &format!("{}{next}", self.tries));
        }
        if let Some(hint) = &self.hint {
            row("next", &plain(hint));
        }
        self.others.iter().for_each(|other| text += &other.text(look));
        text
    }
}

/// `xpand explain --code N`.
#[derive(Serialize)]
struct Code {
    code: CodeName,
    meanings: Vec<String>,
}

/// A number, as JSON a number; or a word.
#[derive(Serialize)]
#[serde(untagged)]
enum CodeName {
    Number(i64),
    Word(String),
}

impl Report for Code {
    fn text(&self, _: &Look) -> String {
        self.meanings.iter().map(|line| format!("{line}\n")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_explained_in_a_few_lines() {
        let look = Look::without_colour(1_795_284_000);
        let mut file = Explain::new("/v/a\u{1b}.jpg", Standing::Failed);
        assert_eq!(file.text(&look), "/v/a\\u{1b}.jpg: failed\n");
        file.reason = Some("the name is refused (errno -7)".to_owned());
        file.folder = Some("/v".to_owned());
        file.account = Some("home".to_owned());
        file.remote = Some("/apps/xpand/nas/v/a.jpg".to_owned());
        file.id = Some("7".to_owned());
        file.size = Some(2048);
        file.backed_up_size = Some(2047);
        file.tries = 3;
        file.next_try = Some("2026-11-21T18:05:00Z".to_owned());
        file.hint = Some("xpand retry /v/a.jpg".to_owned());
        assert_eq!(
            file.text(&look),
            "\
/v/a\\u{1b}.jpg: failed
  why       the name is refused (errno -7)
  folder    /v to home
  copy      /apps/xpand/nas/v/a.jpg (id 7)
  size      2048 bytes here, 2047 bytes in the cloud
  tries     3, next in 5 min
  next      xpand retry /v/a.jpg
"
        );
        let mut first = Explain::new("/v/a.jpg", Standing::Waiting);
        first.others = vec![Explain::new("/v/a.jpg", Standing::BackedUp)];
        assert_eq!(first.text(&look), "/v/a.jpg: waiting for its turn\n/v/a.jpg: backed up\n");
    }

    #[test]
    fn a_file_of_the_queue_is_one_line() {
        let look = Look::without_colour(1_795_284_000);
        let mut file = FileLine {
            path: "/v/a\n.jpg".to_owned(),
            account: "home".to_owned(),
            size: 5 << 20,
            state: FileState::Waiting,
            reason: None,
            tries: 0,
            next_try: None,
            remote: None,
        };
        let text = |file: &FileLine, names_account| Queued { file, names_account }.text(&look);
        assert_eq!(text(&file, false), "waiting    5.0 MiB  /v/a\\n.jpg\n");
        file.reason = Some("offline".to_owned());
        file.next_try = Some("2026-11-21T18:02:00Z".to_owned());
        assert_eq!(text(&file, false), "waiting    5.0 MiB  /v/a\\n.jpg  (offline; next try in 2 min)\n");
        assert_eq!(
            text(&file, true),
            "waiting    5.0 MiB  /v/a\\n.jpg to home  (offline; next try in 2 min)\n"
        );
    }
}
