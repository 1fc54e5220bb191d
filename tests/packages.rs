//! What is shipped: every package made twice, and lived with from its installation to its end.
//!
//! A package is installed on a box that is this machine's files with a layer above for the changes. That takes root
//! and Debian's tools; where they are missing a test says `SKIPPED` and why.
#![allow(clippy::unwrap_used)]

#[path = "packages/boxes.rs"]
mod boxes;
#[path = "packages/keep.rs"]
mod keep;
#[path = "packages/machine.rs"]
mod machine;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use machine::Machine;

const XPAND: &str = env!("CARGO_BIN_EXE_xpand");
const VERSION: &str = env!("CARGO_PKG_VERSION");
const ROOM: u64 = 512 << 20;

/// The target of cross.toml for this processor, and Debian's word for it.
const HERE: (&str, &str) = if cfg!(target_arch = "aarch64") {
    ("aarch64-unknown-linux-musl", "arm64")
} else {
    ("x86_64-unknown-linux-musl", "amd64")
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn has(tools: &[&str]) -> bool {
    let missing = tools.iter().find(|tool| Command::new(tool).arg("--version").output().is_err());
    if let Some(tool) = missing {
        println!("SKIPPED: no {tool}");
    }
    missing.is_none()
}

/// Whether a command went well, and both its outputs.
fn said(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn runs(command: &mut Command) -> String {
    let (well, text) = said(command);
    assert!(well, "{command:?}\n{text}");
    text
}

/// A script of packaging/, at a time of its own, in a hurry.
fn script(name: &str) -> Command {
    let mut command = Command::new(root().join("packaging").join(name));
    command.env("SOURCE_DATE_EPOCH", "1700000000").env("XPAND_EFFORT", "1").env("XPAND_SPEAKER", XPAND);
    command
}

fn package(target: &str, binary: &Path, out: &Path, kinds: &[&str]) {
    runs(script("package.sh").arg(target).arg(binary).arg(out).args(kinds));
}

/// As good as a binary for who only packs it: a header for the processor (its ELF number), and the version.
fn header(dir: &Path, processor: u8) -> PathBuf {
    let path = dir.join(format!("header-{processor}"));
    let mut bytes = fs::read(XPAND).unwrap()[..64].to_vec();
    (bytes[18], bytes[19]) = (processor, 0);
    fs::write(&path, [&bytes, VERSION.as_bytes()].concat()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Everything in a folder, by its name.
fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entry =
        |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap());
    fs::read_dir(dir).unwrap().map(|found| entry(found.unwrap())).collect()
}

/// The packages of the binary that is being tested, made once for all.
fn packages() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages");
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        let small = dir.join("xpand");
        // Without what a debugger needs it is a third. No strip: then it takes longer.
        let stripped = Command::new("strip").arg("-o").arg(&small).arg(XPAND).status();
        if !stripped.is_ok_and(|status| status.success()) {
            fs::copy(XPAND, &small).unwrap();
        }
        package(HERE.0, &small, &dir.join("out"), &["deb", "tarball", "spk"]);
        dir
    })
}

fn deb() -> PathBuf {
    packages().join(format!("out/xpand_{VERSION}_{}.deb", HERE.1))
}

/// The .deb with a change to what it says of itself and to its files.
fn changed_deb(dir: &Path, from: &str, to: &str, change: impl FnOnce(&Path)) -> PathBuf {
    let (tree, made) = (dir.join("tree"), dir.join("changed.deb"));
    runs(Command::new("dpkg-deb").arg("--raw-extract").arg(deb()).arg(&tree));
    let control = tree.join("DEBIAN/control");
    let text = fs::read_to_string(&control).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(&control, text.replace(from, to)).unwrap();
    change(&tree);
    runs(Command::new("dpkg-deb").args(["-Znone", "--root-owner-group", "--build"]).arg(&tree).arg(&made));
    made
}

/// A machine on which systemd seems to run, and what it is told is written down.
fn with_systemd(room: u64) -> Option<Machine> {
    if !has(&["dpkg", "dpkg-deb", "python3", "adduser", "deb-systemd-helper", "systemctl"]) {
        return None;
    }
    let mut machine = Machine::new(room)?;
    machine.runs(
        r#"mkdir -p /run/systemd/system
        mv /usr/bin/systemctl /usr/bin/systemctl.real
        cat >/usr/bin/systemctl <<'EOF'
#!/bin/sh
case "$*" in
    --root=*) exec systemctl.real "$@" ;;
    --version) echo "systemd $(cat /tmp/systemd 2>/dev/null || echo 252) (made up)" ;;
    *is-enabled*) [ ! -L /etc/systemd/system/multi-user.target.wants/xpand.service ] || echo enabled ;;
    *) echo "$*" >>/tmp/told ;;
esac
EOF
        chmod 755 /usr/bin/systemctl"#,
    );
    Some(machine)
}

/// What systemd was told to do with the unit, since the last time.
fn told(machine: &mut Machine) -> Vec<String> {
    let told = machine.runs("touch /tmp/told; cat /tmp/told; rm /tmp/told");
    let verbs = ["start", "restart", "stop"];
    let of_unit = told.lines().filter(|line| line.contains("xpand.service"));
    of_unit.flat_map(|line| line.split(' ')).filter(|word| verbs.contains(word)).map(str::to_owned).collect()
}

#[test]
fn two_builds_of_every_package_are_the_same_byte_for_byte() {
    if !has(&["dpkg-deb", "python3"]) {
        return;
    }
    if !said(Command::new("python3").args(["-c", "import tomllib"])).0 {
        println!("SKIPPED: the list of parts takes Python 3.11");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let binary = header(dir.path(), fs::read(XPAND).unwrap()[18]);
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    package(HERE.0, &binary, &first, &[]);
    // Somebody else's habits.
    let shell = "umask 077; exec \"$0\" \"$@\"";
    let build = root().join("packaging/package.sh");
    let mut other = Command::new("sh");
    other.args(["-c", shell]).arg(build).arg(HERE.0).arg(&binary).arg(&second).envs(
        [("SOURCE_DATE_EPOCH", "1700000000"), ("XPAND_EFFORT", "1"), ("XPAND_SPEAKER", XPAND)]
            .into_iter()
            .chain([("TZ", "Asia/Shanghai"), ("XPAND_CONFIG", "/elsewhere"), ("COLUMNS", "40")]),
    );
    runs(&mut other);

    let (first_contents, second_contents) = (contents(&first), contents(&second));
    let target = HERE.0;
    let kinds = ["cdx.json", "container.tar.gz", "ipk", "spk", "tar.gz"];
    let mut names = vec!["SHA256SUMS".to_owned()];
    names.extend(kinds.map(|kind| format!("xpand-{VERSION}-{target}.{kind}")));
    names.push(format!("xpand_{VERSION}_{}.deb", HERE.1));
    assert_eq!(first_contents.keys().cloned().collect::<Vec<_>>(), names);
    for (name, content) in &first_contents {
        assert!(second_contents.get(name) == Some(content), "{name} differs");
    }
    let parts =
        String::from_utf8_lossy(&first_contents[&format!("xpand-{VERSION}-{target}.cdx.json")]).into_owned();
    assert!(parts.contains("\"pkg:cargo/sled@") && !parts.contains("\"pkg:cargo/proptest@"), "{parts}");
    runs(Command::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(&first));
}

#[test]
fn the_folder_that_takes_the_packages_may_hold_other_things_and_a_maintainer_may_sign_them() {
    if !has(&["dpkg-deb", "python3"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (binary, out) = (header(dir.path(), fs::read(XPAND).unwrap()[18]), dir.path().join("out"));
    fs::create_dir_all(out.join("a folder")).unwrap();
    fs::write(out.join("notes"), "mine").unwrap();
    fs::set_permissions(out.join("notes"), fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = script("package.sh");
    command.env("XPAND_MAINTAINER", "Li Hua <li@nas.example>");
    runs(command.arg(HERE.0).arg(&binary).arg(&out).args(["deb", "ipk", "spk"]));
    let mode = |name: &str| fs::metadata(out.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("notes"), mode("a folder") & 0o100), (0o600, 0o100));
    let sums = fs::read_to_string(out.join("SHA256SUMS")).unwrap();
    assert_eq!((sums.lines().count(), sums.contains("notes")), (3, false), "{sums}");
    let deb = out.join(format!("xpand_{VERSION}_{}.deb", HERE.1));
    let said = runs(Command::new("dpkg-deb").arg("--field").arg(deb).arg("Maintainer"));
    assert_eq!(said.trim(), "Li Hua <li@nas.example>");
    let spk = out.join(format!("xpand-{VERSION}-{}.spk", HERE.0));
    let info = runs(Command::new("tar").args(["--to-stdout", "--extract", "--file"]).arg(spk).arg("INFO"));
    assert!(info.contains("\nmaintainer=\"Li Hua\"\n"), "{info}");
}

#[test]
fn each_target_has_the_packages_of_its_boxes_and_a_binary_for_another_is_refused() {
    if !has(&["dpkg-deb", "python3"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (target, processor, debian) in
        [("aarch64-unknown-linux-musl", 0xb7, "arm64"), ("armv7-unknown-linux-musleabihf", 0x28, "armhf")]
    {
        let out = dir.path().join(target);
        package(target, &header(dir.path(), processor), &out, &["deb", "ipk"]);
        let deb = out.join(format!("xpand_{VERSION}_{debian}.deb"));
        assert_eq!(
            runs(Command::new("dpkg-deb").arg("--field").arg(&deb).arg("Architecture")).trim(),
            debian
        );
        let (well, text) =
            said(script("stage.sh").arg(target).arg(header(dir.path(), 3)).arg(out.join("tree")));
        assert!(!well && text.contains(&format!("is not for {target}")), "{text}");
    }
}

#[test]
fn the_deb_is_installed_upgraded_removed_and_purged() {
    let Some(mut machine) = with_systemd(ROOM) else { return };
    let dir = tempfile::tempdir().unwrap();
    let before = changed_deb(dir.path(), &format!("Version: {VERSION}"), "Version: 0.0.9", |tree| {
        fs::write(tree.join("etc/xpand/config.toml"), "# of the version before\n").unwrap();
    });
    machine.give(&before, "before.deb");
    machine.give(&deb(), "xpand.deb");

    machine.runs("dpkg --install /mnt/before.deb");
    assert_eq!(told(&mut machine), ["start"]);
    assert_eq!(machine.runs("stat -c '%a %U %G' /etc/xpand/config.toml").trim(), "640 root xpand");
    assert_eq!(machine.runs("stat -c '%a %U %G' /etc/xpand/secrets").trim(), "700 root root");
    assert_eq!(machine.runs("stat -c '%a %U %G' /var/lib/xpand").trim(), "700 xpand xpand");
    machine.runs("dpkg --listfiles xpand | grep xpand >/tmp/files; test -s /tmp/files");
    machine.runs("test -L /etc/systemd/system/multi-user.target.wants/xpand.service");
    machine.runs(
        "echo '# mine' >>/etc/xpand/config.toml
         echo secret >/etc/xpand/secrets/home
         su -s /bin/sh xpand -c 'echo state >/var/lib/xpand/device.json'",
    );

    machine.runs("dpkg --install --force-confdef --force-confold /mnt/xpand.deb");
    assert_eq!(told(&mut machine), ["restart"]);
    assert_eq!(machine.runs("xpand --version").trim(), format!("xpand {VERSION}"));
    let mine = "# of the version before\n# mine\n";
    assert_eq!(machine.runs("cat /etc/xpand/config.toml"), mine);
    assert_eq!(machine.runs("stat -c '%a %U %G' /etc/xpand/config.toml").trim(), "640 root xpand");
    machine.runs(
        "xpand check; bash -n /usr/share/bash-completion/completions/xpand; cd /usr/share
         for file in zsh/vendor-completions/_xpand fish/vendor_completions.d/xpand.fish man/man1/xpand-drive.1.gz \\
             doc/xpand/copyright doc/xpand/THIRD-PARTY.gz doc/xpand/README.md doc/xpand/config.example.toml; do test -s $file; done",
    );

    // Whoever turned it off finds it off after the next upgrade.
    machine
        .runs("rm /etc/systemd/system/multi-user.target.wants/xpand.service; dpkg --install /mnt/xpand.deb");
    machine.runs("test ! -e /etc/systemd/system/multi-user.target.wants/xpand.service");
    told(&mut machine);

    machine.runs("dpkg --remove xpand");
    assert_eq!(told(&mut machine), ["stop"]);
    machine.runs("test ! -e /usr/bin/xpand");
    assert_eq!(machine.runs("cat /etc/xpand/config.toml"), mine);
    assert_eq!(machine.runs("cat /etc/xpand/secrets/home /var/lib/xpand/device.json"), "secret\nstate\n");

    machine.runs("dpkg --purge xpand");
    machine.runs("test ! -e /etc/xpand; test ! -e /var/lib/xpand");
    machine.runs("for file in $(cat /tmp/files); do test ! -e $file; done");
    machine.runs("test -z \"$(find /etc/systemd /var/lib/systemd -name '*xpand*')\"");
}

#[test]
fn the_deb_mends_rights_knows_an_old_systemd_and_does_not_hide_behind_the_tarball() {
    let Some(mut machine) = with_systemd(ROOM) else { return };
    let dir = tempfile::tempdir().unwrap();
    let before = changed_deb(dir.path(), &format!("Version: {VERSION}"), "Version: 0.0.9", |_| {});
    machine.give(&before, "before.deb");
    machine.give(&deb(), "xpand.deb");
    machine.runs("mkdir -p /usr/lib/xpand; install -m 755 /bin/true /usr/lib/xpand/uninstall.sh");
    let (well, text) = machine.tries("dpkg --install /mnt/before.deb");
    assert!(!well && text.contains("sudo /usr/lib/xpand/uninstall.sh"), "{text}");
    machine.runs("rm -r /usr/lib/xpand; test ! -e /usr/bin/xpand");

    // Of Ubuntu 22.04.
    let old = "/etc/systemd/system/xpand.service.d/old-systemd.conf";
    machine.runs("echo 249 >/tmp/systemd; dpkg --install /mnt/before.deb");
    assert!(machine.runs(&format!("cat {old}")).ends_with("\n[Service]\nLoadCredential=\n"));

    // A person or an editor made it the agent's own, or root's alone.
    for (owner, after) in [("xpand:xpand", "640 xpand xpand"), ("root:root", "640 root xpand")] {
        machine.runs(&format!(
            "cd /etc/xpand; chown {owner} config.toml; chmod 600 config.toml; echo '# mine' >>config.toml"
        ));
        machine.runs("dpkg --install --force-confold /mnt/xpand.deb");
        assert_eq!(machine.runs("stat -c '%a %U %G' /etc/xpand/config.toml").trim(), after);
    }
    let upgrade = "dpkg --install --force-confold /mnt/xpand.deb";
    machine.runs(&format!("rm /tmp/systemd; {upgrade}; test ! -e {old}"));
    machine.runs(&format!("echo 249 >/tmp/systemd; {upgrade}; test -e {old}"));
    machine.runs(&format!("dpkg --remove xpand; test ! -e {old}"));
}

#[test]
fn a_deb_for_another_processor_is_refused_in_words() {
    let Some(mut machine) = with_systemd(ROOM) else { return };
    let dir = tempfile::tempdir().unwrap();
    let other = changed_deb(dir.path(), &format!("Architecture: {}", HERE.1), "Architecture: armhf", |_| {});
    machine.give(&other, "other.deb");
    machine.give(&deb(), "xpand.deb");
    let (well, text) = machine.tries("dpkg --install /mnt/other.deb");
    assert!(!well && text.contains("package architecture (armhf) does not match system"), "{text}");

    // A first Raspberry Pi is armhf to Debian, but has no ARMv7.
    machine.runs("mkdir /tmp/pi; printf '#!/bin/sh\necho armv6l\n' >/tmp/pi/uname; chmod 755 /tmp/pi/uname");
    let (well, text) = machine.tries("PATH=/tmp/pi:$PATH dpkg --install /mnt/xpand.deb");
    assert!(!well && text.contains("take the tarball for arm-unknown-linux-musleabi"), "{text}");
    machine.runs("test ! -e /usr/bin/xpand; dpkg --install /mnt/xpand.deb");
}

#[test]
fn a_full_disk_keeps_what_is_installed_and_the_next_installation_succeeds() {
    let size = fs::metadata(packages().join("xpand")).unwrap().len();
    let Some(mut machine) = with_systemd(size / 2) else { return };
    let dir = tempfile::tempdir().unwrap();
    let before = changed_deb(dir.path(), &format!("Version: {VERSION}"), "Version: 0.0.9", |_| {});
    machine.give(&before, "before.deb");
    machine.give(&deb(), "xpand.deb");
    let (well, text) = machine.tries("dpkg --install /mnt/before.deb");
    assert!(!well && text.contains("No space left on device"), "{text}");
    machine.runs("test ! -e /usr/bin/xpand");

    machine.runs_with_room(size * 3 / 2, "dpkg --install /mnt/before.deb; xpand --version");
    let (well, text) = machine.tries("dpkg --install /mnt/xpand.deb");
    assert!(!well && text.contains("No space left on device"), "{text}");
    machine.runs("xpand --version; xpand check");
    assert!(machine.runs("dpkg --status xpand").contains("Version: 0.0.9"));

    machine.runs_with_room(ROOM, "dpkg --install /mnt/xpand.deb; xpand --version");
    assert!(machine.runs("dpkg --status xpand").contains("Status: install ok installed"));
}

#[test]
fn lintian_finds_no_error_in_the_deb() {
    if !has(&["dpkg-deb", "python3", "lintian", "cc"]) {
        return;
    }
    // The binary under test is not static, and lintian would ask for its libraries.
    let dir = tempfile::tempdir().unwrap();
    let (source, binary, out) =
        (dir.path().join("xpand.c"), dir.path().join("xpand"), dir.path().join("out"));
    fs::write(&source, format!("#include <stdio.h>\nint main(void) {{ return puts(\"{VERSION}\") < 0; }}\n"))
        .unwrap();
    let mut cc = Command::new("cc");
    let (well, text) = said(cc.args(["-static-pie", "-s", "-o"]).arg(&binary).arg(&source));
    if !well {
        println!("SKIPPED: no static C library: {text}");
        return;
    }
    package(HERE.0, &binary, &out, &["deb"]);
    let deb = out.join(format!("xpand_{VERSION}_{}.deb", HERE.1));
    let (well, text) = said(Command::new("lintian").args(["--allow-root", "--fail-on", "error"]).arg(deb));
    assert!(well, "{text}");
}

#[test]
fn every_script_of_the_packages_is_good_shell() {
    let mut folders = vec![root().join("packaging")];
    let mut scripts = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read(&path).unwrap_or_default();
            let head = String::from_utf8_lossy(&text[..text.len().min(200)]).into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if head.contains("sh\n") && head.starts_with("#!") || head.contains("shellcheck shell") {
                scripts.push(path);
            }
        }
    }
    assert!(scripts.len() >= 20, "{scripts:?}");
    for script in &scripts {
        let shell = if script.extension().is_some_and(|end| end == "sh") { "bash" } else { "sh" };
        runs(Command::new(shell).arg("-n").arg(script));
    }
    if has(&["shellcheck"]) {
        runs(Command::new("shellcheck").args(["--external-sources", "--severity=warning"]).args(&scripts));
    }
}
