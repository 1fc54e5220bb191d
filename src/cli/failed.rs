//! Why a command failed: one chain of causes, what to do next, and the exit code.

use std::error::Error;
use std::io::{self, Write as _};
use std::path::Path;

use super::cloud::AS_ROOT;
use super::{ExitStatus, plain};
use crate::agent;
use crate::config::ConfigError;
use crate::control::client::ClientError;
use crate::control::socket::SocketError;

/// A failed command.
#[derive(Debug)]
pub struct Failed {
    status: ExitStatus,
    /// Lines for stderr, of which the last one is the sentence.
    lines: Vec<String>,
    hint: Option<String>,
}

impl Failed {
    /// An error with its causes, exit code 1.
    #[must_use]
    pub fn new(error: &dyn Error) -> Self {
        Self::words(chain(error))
    }

    /// A sentence, exit code 1.
    #[must_use]
    pub fn words(sentence: impl Into<String>) -> Self {
        Self {
            status: ExitStatus::Failed,
            lines: vec![format!("xpand: {}", plain(&sentence.into()))],
            hint: None,
        }
    }

    /// Whether a word is in what went wrong.
    pub(super) fn says(&self, word: &str) -> bool {
        self.lines.iter().any(|line| line.contains(word))
    }

    /// With another exit code.
    #[must_use]
    pub fn status(mut self, status: ExitStatus) -> Self {
        self.status = status;
        self
    }

    /// With what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// It was told already: only the exit code is left.
    #[must_use]
    pub fn told(status: ExitStatus) -> Self {
        Self { status, lines: Vec::new(), hint: None }
    }

    /// Tells it on stderr; the command goes on.
    pub(super) fn warn(self) {
        let _ = self.tell();
    }

    /// Tells it on stderr.
    pub(super) fn tell(self) -> ExitStatus {
        let mut err = io::stderr().lock();
        for line in &self.lines {
            let _ = writeln!(err, "{line}");
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(err, "  {}", plain(hint));
        }
        self.status
    }
}

/// `what: why: why that`; a cause that the words before it end with already is not said twice.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.ends_with(&words) {
            text += ": ";
            text += &words;
        }
        cause = error.source();
    }
    text
}

impl From<io::Error> for Failed {
    /// Nobody reading our output any more is no failure: `xpand queue | head`.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::told(ExitStatus::Done),
            _ => Self::new(&error),
        }
    }
}

impl From<ConfigError> for Failed {
    fn from(error: ConfigError) -> Self {
        let ConfigError::Mistakes { mistakes, .. } = &error else {
            let failed = Self::new(&error).status(ExitStatus::Usage);
            return if failed.says("Permission denied") { failed.hint(AS_ROOT) } else { failed };
        };
        let mut lines: Vec<String> = error.to_string().lines().map(plain).collect();
        lines.push(match mistakes.len() {
            1 => "xpand: the configuration has a mistake".to_owned(),
            number => format!("xpand: the configuration has {number} mistakes"),
        });
        // Perhaps it was written for a later one.
        let is_strange = |words: &str| words.contains("is not a setting;") && !words.contains("did you mean");
        let hint = mistakes.iter().any(|mistake| is_strange(&mistake.message)).then(|| {
            format!("this is xpand {}: a setting of a newer one needs that one", env!("CARGO_PKG_VERSION"))
        });
        Self { status: ExitStatus::Usage, lines, hint }
    }
}

impl From<SocketError> for Failed {
    fn from(error: SocketError) -> Self {
        let status = match error {
            SocketError::TooLong(_) => ExitStatus::Usage,
            _ => ExitStatus::Failed,
        };
        Self::new(&error).status(status)
    }
}

impl From<agent::Error> for Failed {
    fn from(error: agent::Error) -> Self {
        match error {
            agent::Error::Socket(error) => error.into(),
            agent::Error::Config(_) => Self::new(&error).status(ExitStatus::Usage),
            _ => match disk_hint(&error, std::env::var_os("INVOCATION_ID").is_some()) {
                Some(hint) => Self::new(&error).hint(hint),
                None => Self::new(&error),
            },
        }
    }
}

/// What to do about a disk that does not take the state. Nothing is lost: xpand goes on where it was.
/// `in_service`: systemd has started this, whose unit lets it write to two places only.
fn disk_hint(error: &agent::Error, in_service: bool) -> Option<&'static str> {
    let mut cause = error.source();
    let said = loop {
        match cause?.downcast_ref::<io::Error>() {
            Some(said) => break said.kind(),
            None => cause = cause?.source(),
        }
    };
    Some(match said {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space on the disk that agent.state_dir is on; xpand then goes on where it was"
        }
        io::ErrorKind::ReadOnlyFilesystem if in_service => {
            "the service may write to /var/lib/xpand and /run/xpand only; for another agent.state_dir run \
             sudo systemctl edit xpand, and write [Service] and ReadWritePaths= with that folder, which has to be \
             there. If it is none other, its disk had an error of its own (see dmesg): check and remount it"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "the disk that agent.state_dir is on takes no writes, as after an error of its own (see dmesg): \
             check and remount it; xpand then goes on where it was"
        }
        io::ErrorKind::PermissionDenied => {
            "agent.state_dir and all that lies in it must belong to the user that xpand runs as (ls -la, chown -R); \
             where it is missing, that user must be allowed to make it"
        }
        _ if matches!(error, agent::Error::Place(_)) => {
            "set agent.state_dir to a folder on a disk of this box that xpand may write"
        }
        _ => return None,
    })
}

/// How the agent is started on this box, which its packages tell by what they have left below `root`.
pub(super) fn how_to_start(root: &Path) -> String {
    let is_there = |path: &str| root.join(path).exists();
    let unit = ["etc", "usr/lib", "lib"].map(|place| format!("{place}/systemd/system/xpand.service"));
    // Synology's DSM runs systemd, too, but starts packages by its own command.
    let service = if is_there("var/packages/xpand") {
        "sudo synopkg start xpand, "
    } else if is_there("run/systemd/system") && unit.iter().any(|unit| is_there(unit)) {
        "sudo systemctl start xpand, "
    } else if is_there("sbin/procd") && is_there("etc/init.d/xpand") {
        // There one is root, and sudo is not.
        "/etc/init.d/xpand start, "
    } else if is_there("etc/init.d/xpand") {
        "sudo /etc/init.d/xpand start, "
    } else {
        return "start it: xpand run".to_owned();
    };
    format!("start it: {service}or in the foreground: xpand run")
}

impl From<ClientError> for Failed {
    fn from(error: ClientError) -> Self {
        match &error {
            ClientError::NotRunning(_) => {
                Self::new(&error).status(ExitStatus::NotRunning).hint(how_to_start(Path::new("/")))
            }
            ClientError::Denied(_) => {
                Self::new(&error).hint("join its group and log in anew: sudo usermod -aG xpand $USER")
            }
            ClientError::Refused(failure) => {
                let status = match failure.code.as_str() {
                    "bad_config" => ExitStatus::Usage,
                    "needs_login" | "needs_bind" => ExitStatus::UserMustAct,
                    _ => ExitStatus::Failed,
                };
                // Mistakes of the configuration, one a line, stand alone: editors find the places.
                let mistakes = failure.code == "bad_config";
                let sentence =
                    if mistakes { "the agent keeps its old configuration" } else { &failure.message };
                let mut failed = Self::words(sentence).status(status);
                if mistakes {
                    failed.lines.splice(0..0, failure.message.lines().map(plain));
                }
                failed.hint.clone_from(&failure.hint);
                failed
            }
            _ => Self::new(&error),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::agent::place::PlaceError;
    use crate::store;
    use rustix::io::Errno;

    #[test]
    fn a_state_folder_that_cannot_be_used_comes_with_advice_that_fits_the_cause() {
        let all = [
            (Errno::NOSPC, "free some space on the disk"),
            (Errno::DQUOT, "free some space on the disk"),
            (Errno::ROFS, "check and remount it"),
            (Errno::ACCESS, "must belong to the user that xpand runs as"),
            (Errno::PERM, "must belong to the user that xpand runs as"),
            (Errno::NOTDIR, "set agent.state_dir to a folder"),
            (Errno::IO, "set agent.state_dir to a folder"),
        ];
        for (errno, advice) in all {
            let at_start = PlaceError::Io { path: "/state".into(), source: errno.into() };
            let failed = Failed::from(agent::Error::from(at_start));
            // The sentence says what is wrong, the hint what to do; neither guesses at another cause.
            assert_eq!(
                failed.lines,
                [format!("xpand: cannot use the state folder /state: {}", io::Error::from(errno))]
            );
            let hint = failed.hint.unwrap_or_default();
            let others = all.iter().filter(|(_, other)| *other != advice && hint.contains(other));
            assert!(hint.contains(advice) && others.count() == 0, "{errno}: {hint}");
        }
    }

    #[test]
    fn a_service_is_told_that_its_unit_keeps_it_from_writing_elsewhere() {
        let refused = |errno: Errno| {
            agent::Error::from(PlaceError::Io { path: "/mnt/disk/xpand".into(), source: errno.into() })
        };
        let hint = |errno, in_service| disk_hint(&refused(errno), in_service).unwrap_or_default();
        assert!(hint(Errno::ROFS, true).contains("ReadWritePaths="));
        assert!(!hint(Errno::ROFS, false).contains("systemctl"));
        assert_eq!(hint(Errno::NOSPC, true), hint(Errno::NOSPC, false));
    }

    #[test]
    fn a_state_that_cannot_be_written_any_more_comes_with_the_same_advice() {
        for (errno, advice) in [
            (Errno::NOSPC, Some("free some space on the disk")),
            (Errno::ROFS, Some("check and remount it")),
            (Errno::ACCESS, Some("must belong to the user that xpand runs as")),
            (Errno::IO, None),
        ] {
            let (what, path) = ("cannot write", "/state/running".into());
            let while_running = store::Error::Io { what, path, source: errno.into() };
            let hint = Failed::from(agent::Error::from(while_running)).hint;
            assert_eq!(hint.is_some(), advice.is_some(), "{errno}");
            assert!(hint.unwrap_or_default().contains(advice.unwrap_or_default()), "{errno}");
        }
    }

    #[test]
    fn the_agent_is_started_as_this_box_starts_it() {
        let (systemd, unit) = ("run/systemd/system", "etc/systemd/system/xpand.service");
        let (init, procd, dsm) = ("etc/init.d/xpand", "sbin/procd", "var/packages/xpand");
        for (there, says) in [
            (vec![systemd, unit], "start it: sudo systemctl start xpand, or in"),
            (
                vec![systemd, "usr/lib/systemd/system/xpand.service"],
                "start it: sudo systemctl start xpand, or in",
            ),
            (vec![init], "start it: sudo /etc/init.d/xpand start, or in"),
            (vec![init, procd], "start it: /etc/init.d/xpand start, or in"),
            (vec![systemd, dsm], "start it: sudo synopkg start xpand, or in"),
            // It was never installed as a service.
            (vec![systemd], "start it: xpand run"),
            (vec![], "start it: xpand run"),
        ] {
            let root = tempfile::tempdir().unwrap();
            for path in &there {
                std::fs::create_dir_all(root.path().join(path)).unwrap();
            }
            let hint = how_to_start(root.path());
            assert!(hint.starts_with(says), "{there:?}: {hint}");
        }
    }

    #[test]
    fn a_cause_is_said_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer: inner")]
        struct Told(#[source] Inner);
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Untold(#[source] Inner);
        #[derive(Debug, thiserror::Error)]
        #[error("inner")]
        struct Inner;
        assert_eq!(chain(&Told(Inner)), "outer: inner");
        assert_eq!(chain(&Untold(Inner)), "outer: inner");
    }
}
