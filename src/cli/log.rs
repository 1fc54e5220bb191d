//! Where the log goes: to journald with fields when systemd reads our stderr, else to stderr.

use std::fmt::Debug;
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::MetadataExt as _;

use tracing::field::Field;
use tracing::{Level, Metadata, Subscriber};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::Layer;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, Targets, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::{Global, plain};

/// For the agent: `RUST_LOG`, else `-v` and `-q`, else `agent.log`.
pub(super) fn for_agent(global: &Global, configured: &str) {
    init(global, configured);
}

/// For a command: only what went wrong, unless asked.
pub(super) fn for_command(global: &Global) {
    init(global, "warn");
}

fn init(global: &Global, default: &str) {
    let directives = directives(std::env::var("RUST_LOG").ok().as_deref(), global, default);
    let filter = directives.parse::<Targets>().unwrap_or_else(|error| {
        let words = plain(&error.to_string());
        let _ = writeln!(std::io::stderr(), "xpand: RUST_LOG is not understood, info is taken: {words}");
        Targets::new().with_default(LevelFilter::INFO)
    });
    // A second call is a test's: the first stands.
    let _ = tracing_subscriber::registry()
        .with(output().with_filter(filter.and(filter_fn(may_be_told))))
        .try_init();
}

/// What the libraries tell below `info` can contain addresses, and those carry tokens.
fn may_be_told(event: &Metadata<'_>) -> bool {
    *event.level() <= Level::INFO || event.target().starts_with("xpand")
}

fn directives(rust_log: Option<&str>, global: &Global, default: &str) -> String {
    match (rust_log, global.quiet, global.verbose) {
        (Some(directives), _, _) if !directives.trim().is_empty() => directives.to_owned(),
        (_, true, _) => "error".to_owned(),
        (_, _, 0) => default.to_owned(),
        (_, _, 1) => "info,xpand=debug".to_owned(),
        _ => "info,xpand=trace".to_owned(),
    }
}

fn output<S>() -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    if stderr_is_the_journal()
        && let Ok(journal) = tracing_journald::layer()
    {
        // Fields as they are named (ACCOUNT, FILE, ERRNO), and info is information, not a notice.
        let priorities = PriorityMappings {
            error: Priority::Error,
            warn: Priority::Warning,
            info: Priority::Informational,
            debug: Priority::Debug,
            trace: Priority::Debug,
        };
        return Box::new(
            journal
                .with_field_prefix(None)
                .with_syslog_identifier("xpand".to_owned())
                .with_priority_mappings(priorities),
        );
    }
    let colour =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    Box::new(words(std::io::stderr, colour))
}

/// One line for each event. Names of files are in the fields: none of them may move the cursor.
fn words<S, W>(writer: W, colour: bool) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let fields = debug_fn(|writer: &mut Writer<'_>, field: &Field, value: &dyn Debug| {
        let value = plain(&format!("{value:?}"));
        match field.name() {
            "message" => writer.write_str(&value),
            name => write!(writer, "{name}={value}"),
        }
    });
    tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(colour)
        .with_target(false)
        .fmt_fields(fields.delimited(" "))
}

/// systemd says which device and inode its journal stream has; a redirected stderr has another.
fn stderr_is_the_journal() -> bool {
    let Some(stream) = std::env::var("JOURNAL_STREAM").ok() else {
        return false;
    };
    std::fs::metadata("/proc/self/fd/2")
        .is_ok_and(|stderr| stream == format!("{}:{}", stderr.dev(), stderr.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex, PoisonError};

    fn global(verbose: u8, quiet: bool) -> Global {
        Global { config: None, socket: None, json: false, verbose, quiet }
    }

    #[test]
    fn the_environment_wins_then_the_options_then_the_file() {
        assert_eq!(directives(Some("trace"), &global(0, true), "info"), "trace");
        assert_eq!(directives(Some(" "), &global(0, true), "info"), "error");
        assert_eq!(directives(None, &global(1, false), "warn"), "info,xpand=debug");
        assert_eq!(directives(None, &global(0, false), "warn"), "warn");
    }

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_name_in_the_log_can_move_the_cursor() {
        let paper = Paper::default();
        let writer = paper.clone();
        let log = tracing_subscriber::registry().with(words(move || writer.clone(), false));
        tracing::subscriber::with_default(log, || {
            let file = std::path::Path::new("/p/ev\u{1b}[2Jil.jpg");
            tracing::info!(FILE = %file.display(), "sent as {}", "a\u{1b}\nb");
        });
        let written = paper.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = String::from_utf8_lossy(&written);
        let (_, line) = line.split_once("INFO ").unwrap_or_default();
        assert_eq!(line, "sent as a\\u{1b}\\nb FILE=/p/ev\\u{1b}[2Jil.jpg\n");
    }
}
