//! A box of its own for a package to live on: this machine's files with a layer above that takes all changes, its
//! own processes, no xpand, and a package database in which nothing but `adduser` is installed.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// In a mount and a process namespace of its own: the box, then a script after the other in it. `$1` is the folder
/// that both sides see, `$2` how much can be written.
const SHELL: &str = r#"
set -e
mkdir "$1/layer" "$1/box"
mount -t tmpfs -o "size=$2" layer "$1/layer"
mkdir "$1/layer/upper" "$1/layer/work"
mount -t overlay -o "lowerdir=/,upperdir=$1/layer/upper,workdir=$1/layer/work" box "$1/box"
mount -t proc proc "$1/box/proc"
mount --bind /dev "$1/box/dev"
mount -t tmpfs run "$1/box/run"
mount -t tmpfs tmp "$1/box/tmp"
mount -t tmpfs dpkg "$1/box/var/lib/dpkg"
mkdir "$1/box/var/lib/dpkg/info" "$1/box/var/lib/dpkg/updates" "$1/box/var/lib/dpkg/triggers"
printf 'Package: adduser\nStatus: install ok installed\nMaintainer: x <x@x>\nArchitecture: all\nVersion: 3.134\nDescription: x\n' \
    >"$1/box/var/lib/dpkg/status"
mount --bind "$1/share" "$1/box/mnt"
rm -rf "$1/box/usr/sbin/policy-rc.d" "$1/box/usr/bin/xpand" "$1/box/etc/xpand" "$1/box/var/lib/xpand"
sed -i '/^xpand:/d' "$1/box/etc/passwd" "$1/box/etc/group"
set +e
echo ready
while read -r size; do
    [ -z "$size" ] || mount -o "remount,size=$size" "$1/layer"
    PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C chroot "$1/box" /bin/sh /mnt/script >"$1/share/said" 2>&1 </dev/null
    echo $?
done
"#;

/// See the module.
pub(crate) struct Machine {
    shell: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    dir: tempfile::TempDir,
}

impl Machine {
    /// With room for this many bytes of changes. `None`, and said why, where this user or this machine cannot have one.
    pub(crate) fn new(room: u64) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("SKIPPED: it takes root");
            return None;
        }
        let dir = tempfile::Builder::new().prefix("xp-box-").tempdir().unwrap();
        fs::create_dir(dir.path().join("share")).unwrap();
        let shell = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", SHELL, "sh"])
            .arg(dir.path())
            .arg(room.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut shell) = shell else {
            println!("SKIPPED: no unshare");
            return None;
        };
        let orders = shell.stdin.take();
        let answers = BufReader::new(shell.stdout.take().unwrap());
        let mut machine = Self { shell, orders, answers, dir };
        if machine.answer() == "ready" {
            return Some(machine);
        }
        let mut why = String::new();
        let _ = std::io::Read::read_to_string(&mut machine.shell.stderr.take().unwrap(), &mut why);
        println!("SKIPPED: no namespaces or no overlay here: {}", why.trim());
        None
    }

    /// A folder that the box has as `/mnt`.
    pub(crate) fn share(&self) -> PathBuf {
        self.dir.path().join("share")
    }

    pub(crate) fn give(&self, file: &Path, name: &str) {
        fs::copy(file, self.share().join(name)).unwrap();
    }

    /// Whether a script of the shell went well, and all that was said.
    pub(crate) fn tries(&mut self, script: &str) -> (bool, String) {
        self.tries_with("", script)
    }

    /// What a script says that has to go well.
    pub(crate) fn runs(&mut self, script: &str) -> String {
        let (well, said) = self.tries(script);
        assert!(well, "{script}\n{said}");
        said
    }

    /// The same, after the box got this many bytes of room.
    pub(crate) fn runs_with_room(&mut self, room: u64, script: &str) -> String {
        let (well, said) = self.tries_with(&room.to_string(), script);
        assert!(well, "{script}\n{said}");
        said
    }

    fn tries_with(&mut self, room: &str, script: &str) -> (bool, String) {
        fs::write(self.share().join("script"), format!("set -e\n{script}\n")).unwrap();
        writeln!(self.orders.as_mut().unwrap(), "{room}").unwrap();
        let code = self.answer();
        let said = String::from_utf8_lossy(&fs::read(self.share().join("said")).unwrap()).into_owned();
        (code == "0", said)
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Machine {
    /// The shell ends, and with it all that ran on the box and all its mounts.
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.shell.wait();
    }
}
