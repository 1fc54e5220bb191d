//! Where the log goes: to journald with fields when systemd reads our stderr, else to stderr.

use std::io::IsTerminal as _;
use std::os::unix::fs::MetadataExt as _;

use tracing::{Level, Metadata, Subscriber};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

use super::Global;

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
    let filter = EnvFilter::try_new(&directives).unwrap_or_else(|_| EnvFilter::new("info"));
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
    Box::new(
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colour).with_target(false),
    )
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

    fn global(verbose: u8, quiet: bool) -> Global {
        Global { config: "c".into(), socket: None, json: false, verbose, quiet }
    }

    #[test]
    fn the_environment_wins_then_the_options_then_the_file() {
        assert_eq!(directives(Some("trace"), &global(0, true), "info"), "trace");
        assert_eq!(directives(Some(" "), &global(0, true), "info"), "error");
        assert_eq!(directives(None, &global(1, false), "warn"), "info,xpand=debug");
        assert_eq!(directives(None, &global(0, false), "warn"), "warn");
    }
}
