//! The unit under a real systemd, which has namespaces of its own and starts nothing else.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::common::disks::is_done;
use super::common::media::photo;
use super::common::{PATIENCE, Rig};
use super::{has, is_root, unit};

const USER: u32 = 990;
/// What a unit with the usual dependencies leans on.
const TARGETS: [&str; 8] = [
    "sysinit.target",
    "basic.target",
    "multi-user.target",
    "shutdown.target",
    "network.target",
    "local-fs.target",
    "remote-fs.target",
    "time-sync.target",
];
/// A box with the binary, the folder and the configuration, and nothing of the machine's own that could be
/// written. $0 is the folder of [`Box`], $1 the binary, $2 the photos.
const BOOT: &str = r#"
set -e
# systemd hands secrets over by mounts that spread.
mount --make-rshared /
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var
mkdir /run/photos
mount --bind "$2" /run/photos
touch /run/xpand-binary
mount --bind "$1" /run/xpand-binary
mkdir /run/units
cp -R "$0/units/." /run/units
mount --bind "$0/etc" /etc
mount -t cgroup2 cgroup2 /sys/fs/cgroup
exec env -i PATH="$PATH" container=test SYSTEMD_UNIT_PATH=/run/units SYSTEMD_GENERATOR_PATH=/run/none \
    SYSTEMD_LOG_TARGET=null "$3" --system --unit=multi-user.target --show-status=no
"#;
const SYSTEMD: &str = "/lib/systemd/systemd";

/// The machine. It ends with this value.
struct Box {
    child: Child,
    group: PathBuf,
}

impl Box {
    /// Whether there can be one, and else why not.
    fn missing() -> Option<&'static str> {
        let private = ["-m", "-p", "-f", "-u", "-i", "-C", "--mount-proc", "--kill-child", "true"];
        if !Path::new(SYSTEMD).exists() || !is_done(Command::new("systemctl").arg("--version")) {
            Some("no systemd")
        } else if !is_done(Command::new("unshare").args(private)) {
            Some("no namespaces here")
        } else if Self::groups().is_none() {
            Some("no cgroup2 here")
        } else {
            None
        }
    }

    /// Where cgroup2 is mounted.
    fn groups() -> Option<PathBuf> {
        let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
        let of_line = |line: &str| {
            let mut fields = line.split(' ');
            let (place, kind) = (fields.nth(1)?, fields.next()?);
            (kind == "cgroup2").then(|| PathBuf::from(place))
        };
        mounts.lines().find_map(of_line)
    }

    fn boot(folder: &Path, photos: &Path) -> Self {
        let group = Self::groups().unwrap().join(format!("xpand-test-{}", std::process::id()));
        fs::create_dir(&group).unwrap();
        let private = "unshare -m -p -f -u -i -C --mount-proc --kill-child";
        let child = Command::new("sh")
            .args(["-c", &format!("echo $$ > \"$0/cgroup.procs\"; exec {private} sh -c \"$@\"")])
            .arg(&group)
            .arg(BOOT)
            .arg(folder)
            .arg(env!("CARGO_BIN_EXE_xpand"))
            .arg(photos)
            .arg(SYSTEMD)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, group }
    }

    /// Its first process, as this machine numbers it.
    fn init(&self) -> Option<u32> {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
        children.trim().parse().ok()
    }

    /// Runs a command in there, as root.
    fn run(&self, args: &[&str]) -> Output {
        self.run_with(args, Stdio::null())
    }

    fn run_with(&self, args: &[&str], stdin: Stdio) -> Output {
        let init = self.init().expect("it runs").to_string();
        let mut command = Command::new("nsenter");
        command.args(["-t", &init, "-m", "-p", "-u", "-i", "-C"]).args(args);
        command.env_remove("XPAND_CONFIG").stdin(stdin).output().unwrap()
    }

    fn done(&self, args: &[&str]) -> String {
        let said = self.run(args);
        assert!(said.status.success(), "{args:?}: {said:?}");
        String::from_utf8(said.stdout).unwrap().trim().to_owned()
    }

    async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < PATIENCE, "no {what}; {:?}", self.run(&["cat", "/run/said"]));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Box {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // systemd has made groups below; they can go when the last process of theirs has.
        let begun = Instant::now();
        while self.group.exists() && begun.elapsed() < PATIENCE {
            remove(&self.group);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn remove(group: &Path) {
    for below in fs::read_dir(group).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if below.is_dir() {
            remove(&below);
        }
    }
    let _ = fs::remove_dir(group);
}

/// `etc/` and `units/` of a box.
fn furnish(folder: &Path, url: &str) {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let unit = fs::read_to_string(unit("xpand.service")).unwrap();
    write("units/xpand.service", &unit.replace("/usr/bin/xpand", "/run/xpand-binary"));
    write("units/xpand.service.d/log.conf", "[Service]\nStandardError=append:/run/said\n");
    write("units/multi-user.target.d/xpand.conf", "[Unit]\nWants=xpand.service\n");
    for target in TARGETS {
        write(&format!("units/{target}"), "[Unit]\nDefaultDependencies=no\n");
    }
    write(
        "etc/passwd",
        &format!("root:x:0:0::/:/bin/sh\nxpand:x:{USER}:{USER}::/var/lib/xpand:/bin/false\n"),
    );
    write("etc/group", &format!("root:x:0:\nxpand:x:{USER}:\n"));
    write("etc/machine-id", "0123456789abcdef0123456789abcdef\n");
    write("etc/xpand/secrets/home", "secret of the box\n");
    fs::set_permissions(folder.join("etc/xpand/secrets"), fs::Permissions::from_mode(0o700)).unwrap();
    let config = format!(
        "[account.home]\nprovider = \"baidu\"\nclient_id = \"demo\"\nclient_secret_file = \"secrets/home\"\n\
         endpoint = \"{url}\"\n[[folder]]\npath = \"/run/photos\"\naccount = \"home\"\n\
         remote = \"photo/{{path}}\"\n[agent]\nsettle = \"100ms\"\n"
    );
    write("etc/xpand/config.toml", &config);
    chown(folder.join("etc/xpand/config.toml"), Some(0), Some(USER)).unwrap();
    fs::set_permissions(folder.join("etc/xpand/config.toml"), fs::Permissions::from_mode(0o640)).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_systemd_starts_it_shut_in_hands_it_its_secret_and_it_backs_up() {
    if !is_root() || !has("systemctl") {
        return;
    }
    if let Some(why) = Box::missing() {
        println!("SKIPPED: {why}");
        return;
    }
    let rig = Rig::ready(|setup| setup.sim.client_secret = "secret of the box".into());
    let file = rig.put("a.jpg", &photo(1, 900));
    fs::set_permissions(rig.root("photo"), fs::Permissions::from_mode(0o755)).unwrap();
    // Not the rig's: the secret has its place here.
    let folder = tempfile::Builder::new().prefix("xp-box-").tempdir().unwrap();
    let folder = folder.path();
    furnish(folder, &rig.sim.url());
    let machine = Box::boot(folder, &rig.root("photo"));
    let is_active =
        || machine.init().is_some() && machine.run(&["systemctl", "is-active", "xpand"]).status.success();
    machine.until("ready service", is_active).await;

    // Root logs in, the agent's user uses it.
    let tokens = rig.path("tokens.json");
    fs::write(&tokens, r#"{"access_token": "access-box", "refresh_token": "refresh-box"}"#).unwrap();
    rig.sim.add_token("demo", "access-box", Some("refresh-box"), None).unwrap();
    let open = Stdio::from(fs::File::open(&tokens).unwrap());
    fs::remove_file(tokens).unwrap();
    let said = machine.run_with(&["/run/xpand-binary", "account", "import", "home"], open);
    assert!(said.status.success(), "{said:?}");
    machine.until("picture in the cloud", || rig.sim.file("/apps/xpand/photo/a.jpg").is_some()).await;

    // Nobody in its place could change the folder, or more of the machine than its two directories.
    let process = machine.done(&["systemctl", "show", "-P", "MainPID", "xpand"]);
    for (place, can) in [("/run/photos", false), ("/etc", false), ("/usr", false), ("/var/lib/xpand", true)] {
        let test = ["nsenter", "-t", &process, "-m", "test", "-w", place];
        assert_eq!(machine.run(&test).status.success(), can, "{place}");
    }
    let status = machine.done(&["cat", &format!("/proc/{process}/status")]);
    let line =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!(
        (line("CapPrm:"), line("NoNewPrivs:"), line("Seccomp:")),
        ("0".repeat(16), "1".into(), "2".into())
    );
    assert_eq!(line("Uid:").split_whitespace().next(), Some("990"));

    // A bad configuration is refused, and the old one goes on.
    machine.done(&["systemctl", "reload", "xpand"]);
    let config = fs::read_to_string(folder.join("etc/xpand/config.toml")).unwrap();
    fs::write(folder.join("etc/xpand/config.toml"), "[account").unwrap();
    assert!(!machine.run(&["systemctl", "reload", "xpand"]).status.success());
    machine.done(&["systemctl", "is-active", "xpand"]);

    // An agent that hangs is killed, and comes again by itself; so does one that was killed.
    let show = |key: &str| machine.done(&["systemctl", "show", "-P", key, "xpand"]);
    let keys = ["Restart", "RestartUSec", "WatchdogUSec", "StartLimitIntervalUSec"].map(show);
    assert_eq!(keys, ["always", "30s", "5min", "0"]);
    fs::write(folder.join("etc/xpand/config.toml"), &config).unwrap();
    let hurry =
        "printf '[Service]\nRestartSec=100ms\nWatchdogSec=3s\n' >/run/units/xpand.service.d/hurry.conf
                 systemctl daemon-reload && systemctl restart xpand";
    machine.done(&["sh", "-c", hurry]);
    for signal in ["STOP", "KILL"] {
        let process = show("MainPID");
        machine.done(&["kill", "-s", signal, &process]);
        let is_another = || !["0", &process].contains(&show("MainPID").as_str()) && is_active();
        machine.until("another process", is_another).await;
    }
    assert!(show("NRestarts").parse::<u32>().unwrap() >= 2);

    // What only a person can mend is not tried again.
    fs::write(folder.join("etc/xpand/config.toml"), "[account").unwrap();
    machine.done(&["kill", "-s", "KILL", &show("MainPID")]);
    machine.until("end", || show("ActiveState") == "failed").await;
    assert_eq!((show("Result"), show("ExecMainStatus")), ("exit-code".to_owned(), "2".to_owned()));

    fs::write(folder.join("etc/xpand/config.toml"), config).unwrap();
    machine.done(&["systemctl", "start", "xpand"]);
    machine.done(&["systemctl", "stop", "xpand"]);
    assert_eq!(show("Result"), "success");
    drop(machine);
    assert!(file.exists());
}
