//! Boxes without Debian: the tarball with its init script, Synology's and OpenWrt's package.

use super::*;

/// Waits until a command of the shell goes well; says in the end what the log says.
fn comes(machine: &mut Machine, script: &str) {
    let wait =
        format!("for _ in $(seq 300); do {{ {script}; }} >/dev/null 2>&1 && exit 0; sleep 0.3; done; exit 1");
    let (well, text) = machine.tries(&wait);
    assert!(well, "{script}\n{text}\n{}", machine.tries("cat /tmp/log; ps ax").1);
}

/// What is in a .tar.gz or an .ipk (which is one), a .spk or what lies in them.
fn unpacked(archive: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    runs(Command::new("tar").arg("--extract").arg("--file").arg(archive).arg("--directory").arg(to));
}

/// A machine without systemd, whose syslog is a file; with the packages.
fn without_systemd() -> Option<Machine> {
    if !has(&["dpkg-deb", "python3", "setsid", "useradd"]) {
        return None;
    }
    let mut machine = Machine::new(ROOM)?;
    machine.runs(
        "rm -f /usr/bin/logger
         printf '#!/bin/sh\\nexec cat >>/tmp/log\\n' >/usr/bin/logger
         chmod 755 /usr/bin/logger; touch /tmp/log; chmod 666 /tmp/log",
    );
    Some(machine)
}

/// A machine on which there is BusyBox, and hardly anything else.
fn with_busybox_alone() -> Option<Machine> {
    if !has(&["busybox"]) {
        return None;
    }
    let mut machine = without_systemd()?;
    machine.runs(
        "busybox=$(readlink -f $(command -v busybox))
         for applet in $(busybox --list | grep -v -e '^busybox$' -e '^logger$'); do
             ! path=$(command -v $applet) || [ ! -e \"$path\" ] || ln -sf $busybox $path
         done
         rm -f /usr/bin/bash /usr/sbin/useradd /usr/sbin/groupadd /usr/sbin/update-rc.d /etc/localtime
         rm -rf /etc/rc?.d; touch /etc/init.d/rcS
         echo CST-8 >/etc/TZ; printf 'last:x:7777:7777::/:/bin/false' >>/etc/passwd",
    );
    Some(machine)
}

#[test]
fn the_tarball_lives_on_busybox_with_plain_files_and_a_time_zone_of_its_kind() {
    let Some(mut machine) = with_busybox_alone() else { return };
    let name = format!("xpand-{VERSION}-{}", HERE.0);
    machine.give(&packages().join(format!("out/{name}.tar.gz")), "xpand.tar.gz");
    machine.runs("gunzip -c /mnt/xpand.tar.gz | tar -C /tmp -xf -");
    let install = format!("export XPAND_PAUSE=0.1; /tmp/{name}/install.sh");
    machine.runs(&install);
    comes(&mut machine, "xpand status");
    assert_eq!(machine.runs("stat -c '%U' /proc/$(pidof xpand)").trim(), "xpand");
    assert_eq!(machine.runs("stat -c '%a %U' /var/lib/xpand").trim(), "700 xpand");
    machine.runs("grep -qx last:x:7777:7777::/:/bin/false /etc/passwd; test -L /etc/init.d/S95xpand");
    machine.runs("tr '\\0' '\\n' </proc/$(pidof xpand)/environ | grep -qx TZ=CST-8");
    comes(&mut machine, "grep /volume1/photo /tmp/log");

    machine.runs("pidof xpand >/tmp/first; kill -9 $(pidof xpand)");
    comes(&mut machine, "xpand status && ! pidof xpand | grep -qxf /tmp/first");
    machine.runs("pidof xpand >/tmp/first");
    machine.runs(&install);
    comes(&mut machine, "xpand status && ! pidof xpand | grep -qxf /tmp/first");
    machine.runs("/etc/init.d/xpand status; /etc/init.d/xpand stop; test -z \"$(pidof xpand)\"");
    machine.runs("/etc/init.d/xpand start; /usr/lib/xpand/uninstall.sh --purge; test -z \"$(pidof xpand)\"");
    machine.runs("test ! -e /etc/init.d/S95xpand; test ! -e /etc/xpand; test ! -e /var/lib/xpand");
}

/// As OpenRC does it, in a few lines.
const OPENRC: &str = r#"
mkdir /run/openrc
cat >/sbin/openrc-run <<'END'
#!/bin/sh
ebegin() { echo "$*"; }
eend() { return $1; }
. "$1"
case $2 in restart) stop && start ;; *) "$2" ;; esac
END
printf '#!/bin/sh\necho "$*" >>/tmp/told\n' >/sbin/rc-update
printf '#!/bin/sh\nexec /etc/init.d/$1 $2\n' >/sbin/rc-service
rm -f /sbin/start-stop-daemon
printf '#!/bin/sh\necho "start-stop-daemon (OpenRC) 0.45"\n' >/sbin/start-stop-daemon
chmod 755 /sbin/openrc-run /sbin/rc-update /sbin/rc-service /sbin/start-stop-daemon
"#;

#[test]
fn the_tarball_comes_again_after_a_boot_with_openrc_and_says_so_where_nothing_is_known() {
    let Some(mut machine) = without_systemd() else { return };
    let name = format!("xpand-{VERSION}-{}", HERE.0);
    machine.give(&packages().join(format!("out/{name}.tar.gz")), "xpand.tar.gz");
    machine.runs("tar -C /tmp -xf /mnt/xpand.tar.gz; rm -f /usr/sbin/update-rc.d; rm -rf /etc/rc?.d");
    let text = machine.runs(&format!("/tmp/{name}/install.sh 2>&1"));
    assert!(text.contains("have it run /etc/init.d/xpand start"), "{text}");
    machine.runs("/usr/lib/xpand/uninstall.sh");

    machine.runs(OPENRC);
    machine.runs(&format!("/tmp/{name}/install.sh"));
    comes(&mut machine, "xpand status");
    assert_eq!(machine.runs("stat -c '%U' /proc/$(pgrep -x xpand)").trim(), "xpand");
    machine.runs("/etc/init.d/xpand status; /etc/init.d/xpand stop; test -z \"$(pgrep -x xpand)\"");
    let (well, _) = machine.tries("/etc/init.d/xpand status");
    assert!(!well);
    machine.runs("/etc/init.d/xpand start; /usr/lib/xpand/uninstall.sh; test -z \"$(pgrep -x xpand)\"");
    assert_eq!(
        machine.runs("cat /tmp/told; test ! -e /etc/init.d/xpand"),
        "--quiet add xpand default\n--quiet del xpand default\n"
    );
}

/// As OpenWrt's procd is told, written down.
const PROCD: &str = r#"
printf '#!/bin/sh\n' >/sbin/procd
cat >/etc/rc.common <<'END'
procd_open_instance() { :; }
procd_close_instance() { :; }
procd_set_param() { echo "$*" >>/tmp/told; }
. "$1"
case $2 in restart) start_service ;; *) echo "$2" >>/tmp/told ;; esac
END
chmod 755 /sbin/procd
rm -f /etc/localtime
echo CST-8 >/etc/TZ
"#;

#[test]
fn the_tarball_goes_onto_openwrt_and_outlives_a_new_firmware() {
    let Some(mut machine) = without_systemd() else { return };
    let name = format!("xpand-{VERSION}-{}", HERE.0);
    machine.give(&packages().join(format!("out/{name}.tar.gz")), "xpand.tar.gz");
    machine.runs("tar -C /tmp -xf /mnt/xpand.tar.gz");
    machine.runs(PROCD);
    machine.runs(&format!("/tmp/{name}/install.sh"));
    let told = machine.runs("cat /tmp/told; rm /tmp/told");
    for words in ["enable", "command /usr/bin/xpand run", "user xpand", "respawn 3600 30 0", "env TZ=CST-8"] {
        assert!(told.lines().any(|line| line == words), "{told}");
    }
    let rights = "stat -c '%a %U %G' /etc/xpand/config.toml /etc/xpand/state /etc/xpand/state/accounts";
    let expected = "640 root xpand\n700 xpand xpand\n700 xpand xpand\n";
    assert_eq!(machine.runs(rights), expected);
    assert!(machine.runs("xpand check").contains("socket = \"/var/run/xpand/xpand.sock\""));

    // What is in keep.d is there again after it, in folders that are root's; the program is not.
    machine.runs(
        "cat /lib/upgrade/keep.d/xpand | while read -r kept; do ! test -e \"$kept\" || find \"$kept\" -type f; done >/tmp/kept
         grep -qx /etc/xpand/config.toml /tmp/kept; echo '# mine' >>/etc/xpand/config.toml
         chown root:root /etc/xpand/state /etc/xpand/state/accounts; chmod 755 /etc/xpand/state /etc/xpand/state/accounts
         rm /usr/bin/xpand",
    );
    machine.runs(&format!("/tmp/{name}/install.sh"));
    assert_eq!(machine.runs(rights), expected);
    machine.runs("grep -qx '# mine' /etc/xpand/config.toml; /usr/lib/xpand/uninstall.sh");
    machine
        .runs("test ! -e /lib/upgrade/keep.d/xpand; test ! -e /etc/init.d/xpand; test -e /etc/xpand/state");
}

#[test]
fn the_tarball_installs_an_agent_that_is_started_again_upgraded_and_removed() {
    let Some(mut machine) = without_systemd() else { return };
    let name = format!("xpand-{VERSION}-{}", HERE.0);
    machine.give(&packages().join(format!("out/{name}.tar.gz")), "xpand.tar.gz");
    machine.runs("tar -C /tmp -xf /mnt/xpand.tar.gz");

    let install = format!("export XPAND_PAUSE=0.1; /tmp/{name}/install.sh");
    machine.runs(&install);
    comes(&mut machine, "xpand status");
    assert_eq!(machine.runs("stat -c '%U' /proc/$(pgrep -x xpand)").trim(), "xpand");
    assert_eq!(machine.runs("stat -c '%a %U %G' /etc/xpand/config.toml").trim(), "640 root xpand");
    assert_eq!(machine.runs("stat -c '%a %U' /var/lib/xpand").trim(), "700 xpand");
    machine.runs("test -e /etc/rc3.d/S??xpand");
    comes(&mut machine, "grep /volume1/photo /tmp/log");

    // Killed, it comes again.
    machine.runs("pgrep -x xpand >/tmp/first; pkill -KILL -x xpand");
    comes(&mut machine, "xpand status && ! pgrep -x xpand | grep -qxf /tmp/first");

    // Upgraded, it is another process with the configuration that was written.
    machine.runs("pgrep -x xpand >/tmp/first; echo '# mine' >>/etc/xpand/config.toml");
    machine.runs(&install);
    comes(&mut machine, "xpand status && ! pgrep -x xpand | grep -qxf /tmp/first");
    machine.runs("grep -qx '# mine' /etc/xpand/config.toml; /etc/init.d/xpand status");

    // A configuration that is wrong is told, and not tried again.
    machine.runs(
        "/etc/init.d/xpand stop; test -z \"$(pgrep -x xpand)\"; echo 'acount = 1' >>/etc/xpand/config.toml",
    );
    machine.tries("/etc/init.d/xpand start");
    comes(&mut machine, "test ! -e /run/xpand-keep/keep.pid");
    assert!(machine.runs("cat /tmp/log").contains("acount is not a setting"));
    machine.runs("sed -i '/^acount/d' /etc/xpand/config.toml; /etc/init.d/xpand start");

    let text = machine.runs("/usr/lib/xpand/uninstall.sh");
    assert!(text.contains("/etc/xpand and /var/lib/xpand are still there"), "{text}");
    machine.runs("test -z \"$(pgrep -x xpand)\"; test ! -e /usr/bin/xpand; test ! -e /etc/init.d/xpand; test ! -e /etc/rc3.d/S??xpand");
    machine.runs("grep -qx '# mine' /etc/xpand/config.toml; test -e /var/lib/xpand/db");
    machine
        .runs(&format!("/tmp/{name}/uninstall.sh --purge; test ! -e /etc/xpand; test ! -e /var/lib/xpand"));
}

#[test]
fn the_tarball_for_another_processor_and_a_full_disk_are_told_and_change_nothing() {
    let size = fs::metadata(packages().join("xpand")).unwrap().len();
    let Some(mut machine) = without_systemd() else { return };
    let name = format!("xpand-{VERSION}-{}", HERE.0);
    machine.give(&packages().join(format!("out/{name}.tar.gz")), "xpand.tar.gz");
    machine.runs("tar -C /tmp -xf /mnt/xpand.tar.gz");
    let (well, text) = machine.tries(&format!(
        "cp -a /tmp/{name} /tmp/other; printf '\\003' | dd of=/tmp/other/files/usr/bin/xpand bs=1 seek=18 conv=notrunc status=none
         /tmp/other/install.sh"
    ));
    assert!(
        !well && text.contains(&format!("this xpand is for {}, and does not run on this box", HERE.0)),
        "{text}"
    );
    machine
        .runs("mkdir /tmp/mips; printf '#!/bin/sh\necho mips\n' >/tmp/mips/uname; chmod 755 /tmp/mips/uname");
    let (well, text) = machine.tries(&format!("PATH=/tmp/mips:$PATH /tmp/{name}/install.sh"));
    assert!(!well && text.contains("does not run on this box (mips)"), "{text}");
    let (well, text) = machine.tries(&format!(
        "mkdir /tmp/stick; mount -t tmpfs -o noexec stick /tmp/stick; cp -a /tmp/{name} /tmp/stick
         sh /tmp/stick/{name}/install.sh"
    ));
    assert!(!well && text.contains("as on a disk that is mounted noexec: unpack it elsewhere"), "{text}");
    machine.runs("test ! -e /etc/xpand; ! grep '^xpand:' /etc/passwd");

    machine.runs(&format!("echo the old one >/usr/bin/xpand; fallocate -l {} /full", ROOM - size / 2));
    let (well, text) = machine.tries(&format!("/tmp/{name}/install.sh"));
    assert!(!well && text.contains("cannot write /usr/bin/xpand; make room and run this again"), "{text}");
    assert_eq!(machine.runs("cat /usr/bin/xpand").trim(), "the old one");
    machine.runs(&format!("rm /full; /tmp/{name}/install.sh; xpand --version"));
}

#[test]
fn the_synology_package_starts_stops_and_keeps_what_is_written() {
    let Some(mut machine) = without_systemd() else { return };
    let (spk, target) = (machine.share().join("spk"), machine.share().join("target"));
    unpacked(&packages().join(format!("out/xpand-{VERSION}-{}.spk", HERE.0)), &spk);
    unpacked(&spk.join("package.tgz"), &target);
    let info = fs::read_to_string(spk.join("INFO")).unwrap();
    assert!(
        info.starts_with("package=\"xpand\"\n") && info.contains(&format!("version=\"{VERSION}-0001\"")),
        "{info}"
    );
    // The part of DSM: folders, a user, links, and every script runs as that user.
    machine.runs(
        "useradd -r -U xpand; cd /var; mkdir -p packages/xpand/etc packages/xpand/var
         cp -a /mnt/target packages/xpand/; chown -R xpand:xpand packages/xpand
         mkdir -p /usr/local/bin; ln -sf /var/packages/xpand/target/bin/xpand /usr/local/bin/xpand",
    );
    let dsm = |what: &str| format!("su -s /bin/sh xpand -c '/mnt/spk/scripts/{what}'");
    machine.runs(&dsm("preinst"));
    machine.runs(&dsm("postinst"));
    assert_eq!(machine.runs("stat -c '%a %U' /var/packages/xpand/etc/config.toml").trim(), "600 xpand");
    machine.runs(&dsm("start-stop-status start"));
    comes(&mut machine, "/usr/local/bin/xpand status");
    machine.runs("test -S /var/packages/xpand/var/xpand.sock; test -d /var/packages/xpand/var/state/db");
    machine.runs(&dsm("start-stop-status status"));
    machine.runs(&dsm("start-stop-status stop"));
    let (well, text) = machine.tries(&dsm("start-stop-status status"));
    assert!(!well && text.contains("does not run"), "{text}");

    machine.runs("echo '# mine' >>/var/packages/xpand/etc/config.toml");
    machine.runs(&dsm("postinst"));
    machine.runs("grep -qx '# mine' /var/packages/xpand/etc/config.toml; test -z \"$(pgrep -x xpand)\"");
}

#[test]
fn the_openwrt_package_goes_into_an_image_and_is_refused_by_another_processor() {
    if !has(&["dpkg-deb", "python3"]) || !rustix::process::geteuid().is_root() {
        println!("SKIPPED: it takes root and dpkg-deb");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (out, parts, image) = (dir.path().join("out"), dir.path().join("parts"), dir.path().join("image"));
    package(HERE.0, &header(dir.path(), fs::read(XPAND).unwrap()[18]), &out, &["ipk"]);
    unpacked(&out.join(format!("xpand-{VERSION}-{}.ipk", HERE.0)), &parts);
    assert_eq!(fs::read_to_string(parts.join("debian-binary")).unwrap(), "2.0\n");
    unpacked(&parts.join("control.tar.gz"), &parts.join("control"));
    unpacked(&parts.join("data.tar.gz"), &image);
    fs::write(image.join("etc/passwd"), "root:x:0:0:root:/root:/bin/ash\ndns:x:200:65534::/:/bin/false\n")
        .unwrap();
    fs::write(image.join("etc/group"), "root:x:0:\n").unwrap();

    for again in [1, 2] {
        if again == 2 {
            // As a firmware upgrade leaves it: the folders are root's.
            let state = image.join("etc/xpand/state");
            runs(Command::new("chown").arg("0:0").arg(state.join("accounts")).arg(&state));
            runs(Command::new("chmod").arg("755").arg(state.join("accounts")).arg(&state));
        }
        for name in ["preinst", "postinst", "prerm"] {
            runs(Command::new("sh").arg(parts.join("control").join(name)).env("IPKG_INSTROOT", &image));
        }
        let users = fs::read_to_string(image.join("etc/passwd")).unwrap();
        assert!(
            users.ends_with("\nxpand:*:201:201:xpand backup agent:/var/lib/xpand:/bin/false\n"),
            "{users}"
        );
    }
    for folder in ["etc/xpand/state", "etc/xpand/state/accounts"] {
        let who = runs(Command::new("stat").args(["-c", "%a %u %g"]).arg(image.join(folder)));
        assert_eq!(who.trim(), "700 201 201", "{folder}");
    }
    let who = runs(Command::new("stat").args(["-c", "%a %u %g"]).arg(image.join("etc/xpand/config.toml")));
    assert_eq!(who.trim(), "640 0 201");
    let config = image.join("etc/xpand/config.toml");
    let checked = runs(Command::new(XPAND).arg("--config").arg(&config).arg("check"));
    assert!(checked.contains("state_dir = \"/etc/xpand/state\""), "{checked}");

    let tools = dir.path().join("tools");
    fs::create_dir(&tools).unwrap();
    fs::write(tools.join("uname"), "#!/bin/sh\necho mips\n").unwrap();
    fs::set_permissions(tools.join("uname"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", tools.display());
    let (well, text) = said(Command::new("sh").arg(parts.join("control/preinst")).env("PATH", path));
    assert!(!well && text.contains("and this box is mips: take the one for it"), "{text}");
}
