//! The password of a share: named, in the address, from stdin, or asked for without showing it.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};

use super::link::{self, Typed};
use crate::cli::{ExitStatus, Failed, Outcome};
use crate::cloud::shares::Link;

/// Passwords have four characters; what is longer is another file sent here by mistake.
const LONGEST: u64 = 256;

/// A link and its password.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct LinkArgs {
    /// The address, what stands behind its last slash, or SHAREID:UK
    #[arg(value_name = "LINK")]
    link: String,
    /// Its password, unless the address has it; other people on this machine can see what is typed here
    #[arg(long, value_name = "PASSWORD", conflicts_with = "password_stdin")]
    password: Option<String>,
    /// Read the password from stdin
    #[arg(long)]
    password_stdin: bool,
}

impl LinkArgs {
    /// The link, and its password if it was said anywhere. On a terminal it is asked for.
    pub(super) fn read(&self) -> Outcome<(Link, Option<String>)> {
        let Typed { link, pwd } =
            link::read(&self.link).map_err(|words| Failed::words(words).status(ExitStatus::Usage))?;
        let said = match (&self.password, self.password_stdin) {
            (Some(password), _) => Some(password.clone()),
            (None, true) => Some(from_stdin()?),
            (None, false) if pwd.is_some() => pwd,
            (None, false) => ask()?,
        };
        Ok((link, said.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())))
    }
}

fn from_stdin() -> Outcome<String> {
    let mut text = String::new();
    io::stdin().lock().take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}

/// Asks on a terminal, which shows nothing of what is typed; `None` without one.
fn ask() -> Outcome<Option<String>> {
    let stdin = io::stdin();
    let mut err = io::stderr();
    if !stdin.is_terminal() || !err.is_terminal() {
        return Ok(None);
    }
    let shown = tcgetattr(&stdin).map_err(io::Error::from)?;
    let mut hidden = shown.clone();
    // The keys that would end us here and now end the line instead: a terminal must not stay like this.
    hidden.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
    let (interrupt, quit) =
        (shown.special_codes[SpecialCodeIndex::VINTR], shown.special_codes[SpecialCodeIndex::VQUIT]);
    hidden.special_codes[SpecialCodeIndex::VEOL] = interrupt;
    hidden.special_codes[SpecialCodeIndex::VEOL2] = quit;
    let to_be_shown = Arc::new(Mutex::new(Some(shown.clone())));
    show_again_at_the_end(Arc::clone(&to_be_shown))?;
    // Before the question: nobody types quicker than that.
    tcsetattr(&stdin, OptionalActions::Flush, &hidden).map_err(io::Error::from)?;
    let asked = write!(err, "Password of the share (empty if it has none): ");
    // A terminal hands out whole lines.
    let read = asked.and_then(|()| {
        let mut stdin = stdin.lock();
        let line = stdin.fill_buf()?.to_vec();
        stdin.consume(line.len());
        Ok(line)
    });
    let back = tcsetattr(&stdin, OptionalActions::Now, &shown);
    *to_be_shown.lock().unwrap_or_else(PoisonError::into_inner) = None;
    writeln!(err)?;
    back.map_err(io::Error::from)?;
    let line = read?;
    let ended_by = line.last().copied().filter(|&key| key != 0);
    if let Some(key) = ended_by.filter(|key| [interrupt, quit].contains(key)) {
        let signal = if key == interrupt { Signal::INT } else { Signal::QUIT };
        kill_process(getpid(), signal).map_err(io::Error::from)?;
        return Err(Failed::words("nothing was done"));
    }
    Ok(Some(String::from_utf8_lossy(&line).into_owned()))
}

/// From here on whoever ends us (`kill`, a terminal that is closed) lets the terminal show again first what
/// is typed, as long as there is a `shown` to set it to.
fn show_again_at_the_end(shown: Arc<Mutex<Option<Termios>>>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut terminate, mut hangup) = {
        let _inside = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?)
    };
    let wait = move || {
        let number = runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => SignalKind::terminate().as_raw_value(),
                _ = hangup.recv() => SignalKind::hangup().as_raw_value(),
            }
        });
        // Held to the end, so that nobody hides anything any more.
        let shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shown) = &*shown {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, shown);
        }
        // As a shell tells of a signal's end.
        std::process::exit(128 + number);
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
    Ok(())
}
