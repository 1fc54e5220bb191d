//! The watchmen over every test that has a rig: no secret in anything an agent says or leaves readable,
//! nothing in a cloud taken away or replaced unless the configuration asks for it, and source folders that
//! stay as they are while a test only waits.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};
use xpand::status::Status;

use super::Rig;

/// Of an application that nobody has, and long enough to be looked for.
pub const CLIENT_SECRET: &str = "rigs-own-client-secret-5eC2e7";
/// What is shorter could stand anywhere by accident.
const SHORTEST: usize = 8;
/// More of the log than this is not kept; the older half goes first.
const KEPT: usize = 64 << 20;

/// What all agents of this process have logged. Tests run side by side in it: each looks for its own secrets,
/// in what came after its own beginning.
static SAID: Mutex<Said> = Mutex::new(Said { text: Vec::new(), dropped: 0 });

struct Said {
    text: Vec<u8>,
    dropped: usize,
}

fn said() -> MutexGuard<'static, Said> {
    SAID.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Paper;

impl io::Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut said = said();
        said.text.extend_from_slice(bytes);
        if said.text.len() > KEPT {
            said.text.drain(..KEPT / 2);
            said.dropped += KEPT / 2;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes down all that the agents of this process log, at every level that the program itself could be told
/// to write (`cli::log`: from the libraries only what matters). `XPAND_TEST_LOG` shows it as well.
pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let shown = std::env::var("XPAND_TEST_LOG").unwrap_or_else(|_| "off".into());
        let may_be_told =
            filter_fn(|event| *event.level() <= tracing::Level::INFO || event.target().starts_with("xpand"));
        let _ = tracing_subscriber::registry()
            .with(fmt::layer().with_ansi(false).with_writer(|| Paper).with_filter(may_be_told))
            .with(fmt::layer().with_test_writer().with_filter(shown.parse::<Targets>().unwrap()))
            .try_init();
    });
}

/// Where the log is now.
pub fn log_end() -> usize {
    let said = said();
    said.dropped + said.text.len()
}

/// What was logged since then.
pub fn logged_since(from: usize) -> String {
    let said = said();
    let from = from.saturating_sub(said.dropped).min(said.text.len());
    String::from_utf8_lossy(&said.text[from..]).into_owned()
}

/// Panics when one of the secrets is in the text.
pub fn assert_no_secret_in(place: &str, text: &[u8], secrets: &[String]) {
    let text = String::from_utf8_lossy(text);
    for secret in secrets.iter().filter(|secret| secret.len() >= SHORTEST) {
        if let Some(at) = text.find(secret.as_str()) {
            let from = (0..=at.saturating_sub(120)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            panic!("a secret in {place}: {}\u{2026}{secret}", &text[from..at]);
        }
    }
}

impl Rig {
    /// What nobody may see: the cloud's secrets, those of the application, and those of the test.
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets = self.sim.secrets();
        secrets.extend(self.setup.secrets.iter().cloned());
        secrets
    }

    /// The secrets of this rig's cloud are in nothing that was said, answered or left to be read.
    pub fn assert_no_secret(&self) {
        let secrets = self.secrets();
        let search = |place: &str, text: &[u8]| assert_no_secret_in(place, text, &secrets);
        search("the log of the agent", logged_since(self.log_from).as_bytes());
        search("what the programs wrote to stderr", self.log().as_bytes());
        search("what the programs wrote to stdout", &fs::read(self.path("agent.out")).unwrap_or_default());
        for (request, answer) in self.ask_everything() {
            search(&format!("the answer to {request}"), &answer);
        }
        // The configuration is the user's own, and so are the pictures.
        let mut skipped: Vec<PathBuf> = self.setup.folders.iter().map(|f| self.root(f.label)).collect();
        skipped.extend([self.config_file(), self.path("outbox")]);
        let accounts = self.state_dir().join("accounts");
        for root in [self.path(""), self.state_dir()] {
            each_file_below(&root, &skipped, &mut |path, meta| {
                search("the name of a file", path.as_os_str().as_bytes());
                // The tokens themselves have one place, which nobody else may read.
                let is_home = path.parent() == Some(&accounts) && meta.mode() & 0o077 == 0;
                if !is_home && let Ok(content) = fs::read(path) {
                    search(&format!("{} (mode {:o})", path.display(), meta.mode()), &content);
                }
            });
        }
    }

    /// No secret in a document of the agent.
    pub(super) fn assert_says_no_secret(&self, status: &Status) {
        let text = serde_json::to_vec(status).unwrap();
        assert_no_secret_in("the status", &text, &self.secrets());
    }

    /// No secret among the arguments and in the environment of a process.
    pub(super) fn assert_hides_secrets(&self, pid: u32) {
        for file in ["cmdline", "environ"] {
            let text = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            assert_no_secret_in(&format!("/proc/PID/{file}"), &text, &self.secrets());
        }
    }

    /// Everything that can be read through the socket, if an agent answers there.
    fn ask_everything(&self) -> Vec<(String, Vec<u8>)> {
        // An agent that shares this very thread could not answer.
        if Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::CurrentThread) {
            return Vec::new();
        }
        let mut requests = vec!["/v1/status".to_owned()];
        for state in ["waiting", "active", "failed", "done"] {
            requests.push(format!("/v1/queue?state={state}&limit=1000"));
        }
        let ask = |request: String| {
            let answer = ask(&self.path("sock"), &request).ok()?;
            (!answer.is_empty()).then_some((request, answer))
        };
        // Nobody there: nobody there for the other requests either.
        requests.into_iter().map_while(ask).collect()
    }

    /// What the calls asked the cloud to do, and what it did: nothing was taken away or replaced.
    pub fn assert_nothing_taken(&self) {
        let asked = |mode: &str| self.setup.upload.contains(mode);
        let (overwrite, version) = (asked("overwrite"), asked("version"));
        for call in self.sim.calls() {
            let value = |key: &str| call.form.get(key).or_else(|| call.query.get(key)).map(String::as_str);
            if value("method") == Some("filemanager") && !self.setup.tidies {
                // Of a renamed file's copy: it lies beside what there is, and never takes its name.
                let list = value("filelist").unwrap_or_default();
                assert!(value("opera") == Some("copy") && !list.contains("overwrite"), "{call:#?}");
            }
            // Of 123pan: it deletes whatever it is told to.
            assert!(overwrite || self.setup.tidies || !call.path.ends_with("/delete"), "{call:#?}");
            assert!(overwrite || value("rtype") != Some("3"), "{call:#?}");
            assert!(overwrite || value("ondup") != Some("overwrite"), "{call:#?}");
            assert!(version || matches!(value("is_revision"), None | Some("0")), "{call:#?}");
        }
        for file in self.sim.files() {
            assert!(overwrite || file.overwritten == 0, "{} was replaced", file.path);
            assert!(overwrite || version || file.versions.is_empty(), "{} has older versions", file.path);
        }
        self.assert_only_grew();
    }
}

/// One GET over the socket, the way any program could do it.
fn ask(socket: &Path, request: &str) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    Ok(answer)
}

fn each_file_below(root: &Path, skipped: &[PathBuf], visit: &mut impl FnMut(&Path, &Metadata)) {
    // The agent works on: what is listed may be gone already.
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.metadata() {
            _ if skipped.contains(&path) => {}
            Ok(meta) if meta.is_dir() => each_file_below(&path, skipped, visit),
            Ok(meta) if meta.is_file() => visit(&path, &meta),
            _ => {}
        }
    }
}

/// Everything in some folders, as the system describes it. The change time is among it, which no program can
/// set: it tells of a written, renamed, linked or described file whatever else looks as before.
#[derive(PartialEq, Eq)]
pub struct Still(BTreeMap<PathBuf, [i64; 10]>);

impl Still {
    pub fn of(roots: impl IntoIterator<Item = PathBuf>) -> Self {
        let mut still = Self(BTreeMap::new());
        for root in roots {
            still.look(root);
        }
        still
    }

    fn look(&mut self, path: PathBuf) {
        let Ok(meta) = fs::symlink_metadata(&path) else { return };
        if meta.is_dir() {
            for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
                self.look(entry.path());
            }
        }
        let look = [
            meta.ino().cast_signed(),
            meta.nlink().cast_signed(),
            meta.mode().into(),
            meta.uid().into(),
            meta.gid().into(),
            meta.size().cast_signed(),
            meta.mtime(),
            meta.mtime_nsec(),
            meta.ctime(),
            meta.ctime_nsec(),
        ];
        self.0.insert(path, look);
    }

    /// Panics with what is not as it was before.
    pub fn assert_same(&self, after: &Self) {
        let names: BTreeSet<_> = self.0.keys().chain(after.0.keys()).collect();
        let changed: Vec<_> =
            names.into_iter().filter(|name| self.0.get(*name) != after.0.get(*name)).collect();
        assert!(changed.is_empty(), "changed in a source folder, which is only to be read: {changed:?}");
    }
}
