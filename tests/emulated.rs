//! The static binaries, each on its own processor, which qemu plays: the whole demo against a local cloud that
//! speaks TLS under a name and with a private certificate authority, a database that is really flushed, and
//! damage to it that is survived.
//!
//! `packaging/build-static.sh TARGET` makes a binary; without it, or without qemu-user-static, a test here says
//! `SKIPPED` and why. `XPAND_PROVE="TARGET ..."` names those that must not be skipped.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use cloudsim::demo::{Demo, Ended};
use cloudsim::{CloudSim, Options};
use common::disks::is_done;
use common::{PATIENCE, media, tls};
use rustix::process::{Pid, Signal, kill_process};

/// The name that only our own server resolves.
const NAME: &str = "cloud.xpand.test";

#[test]
fn armv8_0_backs_up_the_demo() {
    prove("aarch64-unknown-linux-musl", &["qemu-aarch64-static", "-cpu", "cortex-a53"]);
}

#[test]
fn armv7_without_neon_backs_up_the_demo() {
    prove("armv7-unknown-linux-musleabihf", &["qemu-arm-static", "-cpu", "cortex-a9,neon=off"]);
}

/// The processor of the first Raspberry Pi.
#[test]
fn armv6_backs_up_the_demo() {
    prove("arm-unknown-linux-musleabi", &["qemu-arm-static", "-cpu", "arm1176"]);
}

#[test]
fn x86_64_backs_up_the_demo() {
    prove("x86_64-unknown-linux-musl", &["qemu-x86_64-static", "-cpu", "qemu64"]);
}

/// Everything that is asked of a binary. One at a time: each takes a processor for itself.
fn prove(target: &str, emulator: &[&'static str]) {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let bench = match Bench::new(target, emulator) {
        Ok(bench) => bench,
        Err(why) => {
            let asked = std::env::var("XPAND_PROVE").unwrap_or_default();
            assert!(!asked.split_whitespace().any(|asked| asked == target), "{target}: {why}");
            println!("SKIPPED: {target}: {why}");
            return;
        }
    };
    bench.tells_its_version();
    bench.distrusts_a_cloud_that_it_was_not_told_to_trust();
    bench.sees_sizes_and_times_that_do_not_fit_into_32_bits();
    bench.backs_up_the_demo();
    bench.survives_damage_and_flushes_for_real();
}

/// A folder with a way to run the binary: `xpand` there is a script that does it.
struct Bench {
    folder: tempfile::TempDir,
    emulator: Vec<&'static str>,
    binary: PathBuf,
    tls: cloudsim::Tls,
    names: Names,
}

impl Bench {
    fn new(target: &str, emulator: &[&'static str]) -> Result<Self, String> {
        let place = std::env::var_os("XPAND_STATIC_DIR")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/static"), PathBuf::from);
        let binary = place.join(target).join("xpand");
        if !binary.exists() {
            return Err(format!("no {}; packaging/build-static.sh {target} makes it", binary.display()));
        }
        if !is_done(Command::new(emulator[0]).arg("--version")) {
            return Err(format!("no {}; install qemu-user-static", emulator[0]));
        }
        if !rustix::process::geteuid().is_root() || !is_done(Command::new("unshare").args(["-m", "true"])) {
            return Err("it takes root and unshare(1) to play the name server".into());
        }
        let folder = tempfile::Builder::new().prefix("xp-").tempdir().unwrap();
        let tls = tls::certificate(folder.path(), NAME).ok_or("no openssl to make certificates")?;
        let names = Names::serve().map_err(|error| format!("no port 53 for the name server: {error}"))?;
        let bench = Self { folder, emulator: emulator.to_vec(), binary, tls, names };
        bench.write_script("xpand", "");
        bench.write_script("traced", &format!("-strace -D {}", bench.path("trace").display()));
        Ok(bench)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its own /etc/resolv.conf, and then the emulator in the place of the shell: whoever kills the one kills the
    /// other.
    fn write_script(&self, name: &str, options: &str) {
        let resolv = self.path("resolv.conf");
        fs::write(&resolv, format!("nameserver {}\n", self.names.address.ip())).unwrap();
        let text = format!(
            "#!/bin/sh\nexec unshare -m sh -c 'mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"' \
             '{}' {} {options} '{}' \"$@\"\n",
            resolv.display(),
            self.emulator.join(" "),
            self.binary.display(),
        );
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn command(&self, script: &str, config: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(self.path(script));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.arg("--config").arg(config).args(args).stdin(Stdio::null());
        command
    }

    fn tells_its_version(&self) {
        let Output { status, stdout, stderr } =
            Command::new(self.path("xpand")).arg("--version").output().unwrap();
        let words = String::from_utf8_lossy(&stdout);
        assert!(status.success(), "{status}: {}", String::from_utf8_lossy(&stderr));
        assert_eq!(words, format!("xpand {}\n", env!("CARGO_PKG_VERSION")));
    }

    fn distrusts_a_cloud_that_it_was_not_told_to_trust(&self) {
        let sim =
            CloudSim::start_blocking(Options { tls: Some(self.tls.clone()), ..Options::default() }).unwrap();
        let config = self.path("distrust.toml");
        let (url, state) = (sim.url(), self.path("distrust"));
        let text = format!(
            "[account.home]\nprovider = \"baidu\"\nclient_id = \"demo\"\nclient_secret = \"demo\"\n\
             endpoint = \"{url}\"\n[[folder]]\npath = \"/tmp\"\naccount = \"home\"\n\
             [agent]\nstate_dir = {state:?}\n"
        );
        fs::write(&config, text).unwrap();
        let said = self.command("xpand", &config, &["account", "login", "home"]).output().unwrap();
        let words = String::from_utf8_lossy(&said.stderr);
        assert_eq!(said.status.code(), Some(1), "{words}");
        assert!(words.contains("certificate"), "{words}");
        assert_eq!(sim.calls().len(), 0, "nothing was said to it");
    }

    fn sees_sizes_and_times_that_do_not_fit_into_32_bits(&self) {
        const LARGE: u64 = (5 << 30) + 123;
        let sim =
            CloudSim::start_blocking(Options { tls: Some(self.tls.clone()), ..Options::default() }).unwrap();
        let photos = self.path("far");
        fs::create_dir(&photos).unwrap();
        File::create(photos.join("large.mp4")).unwrap().set_len(LARGE).unwrap();
        fs::write(photos.join("later.jpg"), "a picture of 2040").unwrap();
        let june_2040 = UNIX_EPOCH + Duration::from_secs(2_222_222_222);
        let later = File::options().write(true).open(photos.join("later.jpg")).unwrap();
        later.set_modified(june_2040).unwrap();
        let config = self.path("far.toml");
        let (url, ca, state, socket) =
            (sim.url(), &self.tls.ca, self.path("far-state"), self.path("far.sock"));
        let text = format!(
            "[account.home]\nprovider = \"baidu\"\nclient_id = \"demo\"\nclient_secret = \"demo\"\n\
             endpoint = \"{url}\"\nca_file = {ca:?}\n\
             [[folder]]\npath = {photos:?}\naccount = \"home\"\nremote = \"{{year}}/{{path}}\"\n\
             [agent]\nstate_dir = {state:?}\nsocket = {socket:?}\nsettle = \"1s\"\n"
        );
        fs::write(&config, text).unwrap();
        sim.add_token("demo", "access", Some("refresh"), None).unwrap();
        let tokens = self.path("tokens.json");
        fs::write(&tokens, r#"{"access_token": "access", "refresh_token": "refresh"}"#).unwrap();
        let mut import = self.command("xpand", &config, &["account", "import", "home"]);
        assert!(import.stdin(File::open(tokens).unwrap()).status().unwrap().success());
        let log = self.path("far.log");
        let agent = self.start("xpand", &config, &log);
        self.until(&log, "the picture in the folder of its year", || {
            sim.files().iter().any(|file| file.path == "/apps/xpand/2040/later.jpg")
        });
        // Larger than this account's files may be; what it is not is small.
        let large = photos.join("large.mp4");
        let args = ["explain", large.to_str().unwrap(), "--json"];
        self.until(&log, "film that is skipped for its size", || {
            let said = self.command("xpand", &config, &args).output().unwrap();
            let said: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap_or_default();
            said["state"] == "skipped" && said["size"] == LARGE
        });
        agent.terminate();
    }

    /// With the kill in the middle of a film, and everything else that the demo proves.
    fn backs_up_the_demo(&self) {
        let before = self.names.asked.load(Ordering::Relaxed);
        let demo = Demo {
            xpand: Some(self.path("xpand")),
            keep: Some(self.path("demo")),
            plain: true,
            tls: Some(self.tls.clone()),
            ..Demo::default()
        };
        let said = Said::default();
        let ended = demo.play(Box::new(said.clone()), false, Arc::new(AtomicBool::new(false)));
        println!("{}", String::from_utf8_lossy(&said.0.lock().unwrap()));
        assert_eq!(ended, Ended::Proved);
        assert!(self.names.asked.load(Ordering::Relaxed) > before, "the name was resolved");
    }

    /// The database that the demo left is damaged: the one in its place is made, and put on the disk.
    fn survives_damage_and_flushes_for_real(&self) {
        let state = self.path("demo").join("state");
        for (path, _) in common::files_below(&state.join("db")) {
            let length = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap();
            fs::write(path, media::noise(7, length)).unwrap();
        }
        let log = self.path("agent.log");
        let agent = self.start("traced", &self.path("demo").join("config.toml"), &log);
        let aside = state.join("db.damaged");
        let trace = || fs::read_to_string(self.path("trace")).unwrap_or_default();
        self.until(&log, "the damaged one aside", || aside.exists());
        self.until(&log, "a flush", || trace().contains("fdatasync("));
        agent.terminate();
        assert!(!trace().contains("sync_file_range"), "sled's flush went past us");
    }

    fn until(&self, log: &Path, what: &str, mut is_so: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            let words = || fs::read_to_string(log).unwrap_or_default();
            assert!(begun.elapsed() < PATIENCE, "no {what}: {}", words());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn start(&self, script: &str, config: &Path, log: &Path) -> Agent {
        let log = File::create(log).unwrap();
        let mut command = self.command(script, config, &["run"]);
        Agent(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap())
    }
}

/// A running agent. Killed when dropped.
struct Agent(Child);

impl Agent {
    fn terminate(mut self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(50));
        };
        assert!(status.success(), "{status}");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A name server that knows [`NAME`], which is this machine.
struct Names {
    address: SocketAddr,
    /// How often the name was asked for.
    asked: Arc<AtomicU32>,
}

impl Names {
    /// Serves until the program ends.
    fn serve() -> std::io::Result<Self> {
        // Not 127.0.0.1, where a name server of this machine's may be. Those of earlier tests serve on.
        let bind = |number| UdpSocket::bind((Ipv4Addr::new(127, 88, 53, number), 53));
        let socket = (1..50).find_map(|number| bind(number).ok()).map_or_else(|| bind(50), Ok)?;
        let (address, asked) = (socket.local_addr()?, Arc::new(AtomicU32::new(0)));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query) {
                if let Some(answer) = answer(&query[..length]) {
                    count.fetch_add(1, Ordering::Relaxed);
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Ok(Self { address, asked })
    }
}

/// An answer to a query of one question (RFC 1035, 4.1): 127.0.0.1 to `A`, nothing to `AAAA`.
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    const HEADER: usize = 12;
    let name: Vec<u8> =
        NAME.split('.').flat_map(|part| [&[part.len() as u8], part.as_bytes()].concat()).collect();
    let question = query.get(HEADER..HEADER + name.len() + 5)?;
    let (asked, kind) = (question.get(..name.len())?, question.get(name.len() + 1..name.len() + 3)?);
    if !asked.eq_ignore_ascii_case(&name) {
        return None;
    }
    let answers = u8::from(kind == [0, 1]);
    let mut answer = query[..2].to_vec();
    answer.extend([0x81, 0x80, 0, 1, 0, answers, 0, 0, 0, 0]);
    answer.extend(question);
    if answers == 1 {
        answer.extend([0xc0, HEADER as u8, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    Some(answer)
}

/// Keeps what the demo says.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
