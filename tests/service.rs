//! The service: the units that systemd is given, and what a real journal keeps of the agent's log.
//!
//! systemd's own tools judge; where they are missing, or where this is not root, a test says `SKIPPED` and why.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

#[path = "service/booted.rs"]
mod booted;
#[path = "service/watchdog.rs"]
mod watchdog;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use cloudsim::{Fault, FaultKind};
use common::disks::is_done;
use common::media::photo;
use common::process::documents;
use common::{PATIENCE, Rig};
use serde_json::Value;

/// What `systemd-analyze security` may count, times ten.
const EXPOSURE: &str = "15";
const JOURNALD: &str = "/lib/systemd/systemd-journald";

fn unit(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(name)
}

fn has(tool: &str) -> bool {
    let there = is_done(Command::new(tool).arg("--version"));
    if !there {
        println!("SKIPPED: no {tool}");
    }
    there
}

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("SKIPPED: it takes root");
    }
    root
}

/// What a command of systemd's says, both its outputs together with how it ended.
fn said(command: &mut Command) -> (bool, String, String) {
    let output = command.env("SYSTEMD_COLORS", "0").output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn systemd_has_nothing_to_say_about_the_unit() {
    if !has("systemd-analyze") {
        return;
    }
    // The program that it names has to be there. Unknown keys end in words alone: the exit code is 0.
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("xpand.service");
    let text = fs::read_to_string(unit("xpand.service")).unwrap();
    fs::write(&copy, text.replace("/usr/bin/xpand", env!("CARGO_BIN_EXE_xpand"))).unwrap();
    let (good, out, err) = said(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(copy));
    assert_eq!((good, out.as_str(), err.as_str()), (true, "", ""));
}

#[test]
fn the_service_is_shut_in_and_each_gap_has_its_reason_beside_it() {
    if !has("systemd-analyze") {
        return;
    }
    let security = |options: &[&str]| {
        said(Command::new("systemd-analyze").args(["security", "--offline=true", "--no-pager"]).args(options))
    };
    let file = unit("xpand.service");
    let file = file.to_str().unwrap();
    let (good, out, err) = security(&["--threshold", EXPOSURE, file]);
    assert!(good && err.is_empty(), "{out}{err}");
    let (good, out, err) = security(&["--json=short", file]);
    assert!(good, "{err}");
    let text = fs::read_to_string(file).unwrap();
    let rows: Vec<Value> = serde_json::from_str(&out).unwrap();
    assert!(rows.len() > 50, "{out}");
    // Null: not counted. Some are only of the user manager, or need a newer kernel.
    let gaps = rows.iter().filter(|row| row["exposure"].is_string() && row["set"] == false);
    let gaps: Vec<&str> = gaps.map(|row| row["name"].as_str().unwrap()).collect();
    for gap in &gaps {
        assert!(text.contains(&format!("\n# {gap}: ")), "no reason for {gap}");
    }
    let reasons = text.lines().filter(|line| line.starts_with("# ") && line.contains("=: "));
    let odd: Vec<&str> = reasons.filter(|line| !gaps.iter().any(|gap| line.contains(gap))).collect();
    assert!(odd.is_empty(), "reasons for what is set: {odd:?}");
}

#[test]
fn the_user_and_the_folders_are_made_with_their_rights() {
    if !has("systemd-sysusers") || !has("systemd-tmpfiles") || !is_root() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let etc = root.path().join("etc");
    fs::create_dir_all(etc.join("xpand")).unwrap();
    fs::write(etc.join("xpand/config.toml"), "").unwrap();
    for (tool, file, more) in
        [("systemd-sysusers", "sysusers.conf", None), ("systemd-tmpfiles", "tmpfiles.conf", Some("--create"))]
    {
        let mut command = Command::new(tool);
        command.arg("--root").arg(root.path()).args(more).arg(unit(file));
        let (good, out, err) = said(&mut command);
        assert!(good, "{tool}: {out}{err}");
    }
    let passwd = fs::read_to_string(etc.join("passwd")).unwrap();
    let user: Vec<&str> =
        passwd.lines().find(|line| line.starts_with("xpand:")).unwrap().split(':').collect();
    let (uid, gid): (u32, u32) = (user[2].parse().unwrap(), user[3].parse().unwrap());
    for (path, mode, owner) in [
        ("etc/xpand", 0o755, (0, 0)),
        ("etc/xpand/secrets", 0o700, (0, 0)),
        ("etc/xpand/config.toml", 0o640, (0, gid)),
        ("var/lib/xpand", 0o700, (uid, gid)),
    ] {
        use std::os::unix::fs::MetadataExt as _;
        let meta = fs::metadata(root.path().join(path)).unwrap();
        assert_eq!((meta.mode() & 0o7777, (meta.uid(), meta.gid())), (mode, owner), "{path}");
    }
}

/// A journal of its own, in namespaces of its own, and the agent below it as a service is. Ends when the file
/// $1 is there, and leaves the journal in $2.
const JOURNAL: &str = r#"
set -e
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/log
mkdir -p /run/systemd/journald.conf.d
printf '[Journal]\nStorage=volatile\nAudit=no\nReadKMsg=no\nRateLimitBurst=0\n' > /run/systemd/journald.conf.d/own.conf
"$0" &
journald=$!
until [ -S /run/systemd/journal/socket ] && [ -S /run/systemd/journal/stdout ]; do sleep 0.05; done
until="$1"
journal="$2"
shift 2
systemd-cat sh -c 'JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec "$0" "$@"' "$@" &
agent=$!
until [ -e "$until" ]; do sleep 0.05; done
kill "$agent"
wait "$agent"
# Its end is also when everything has been written down.
kill "$journald"
wait "$journald" || true
journalctl -D /run/log/journal -o json --no-pager > "$journal"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_keeps_account_folder_file_errno_and_request_in_fields() {
    let private = ["-m", "-p", "-f", "--mount-proc", "--kill-child"];
    // Asked for its version it would start and serve.
    if !Path::new(JOURNALD).exists() {
        println!("SKIPPED: no {JOURNALD}");
        return;
    }
    if !is_root() || !has("journalctl") || !has("systemd-cat") {
        return;
    }
    if !is_done(Command::new("unshare").args(private).arg("true")) {
        println!("SKIPPED: no namespaces here");
        return;
    }
    let rig = Rig::ready(|_| ());
    rig.sim.fault(Fault::once("method=precreate", FaultKind::Errno(31_062))).unwrap();
    let bad = rig.put("a folder/bad.jpg", &photo(2, 900));
    let (end, journal) = (rig.path("end"), rig.path("journal.json"));
    let agent = rig.command(&["run"]);
    let mut command = Command::new("unshare");
    command.args(private).args(["sh", "-c", JOURNAL, JOURNALD]).arg(&end).arg(&journal);
    command.arg(agent.get_program()).args(agent.get_args());
    let mut child = command.env_remove("RUST_LOG").stdin(Stdio::null()).spawn().unwrap();
    rig.until("one refused", |status| status.totals.counts.failed == 1).await;
    let good = rig.put("good.jpg", &photo(1, 900));
    rig.until("one sent", |status| status.totals.counts.backed_up == 1).await;
    fs::write(&end, "").unwrap();
    let begun = Instant::now();
    let ended = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < PATIENCE, "it does not end");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert!(ended.success(), "{ended}");
    let text = fs::read_to_string(&journal).unwrap();
    let entries = documents(&text);
    let entry = |words: &str| -> Value {
        let said = |entry: &&Value| entry["MESSAGE"].as_str().is_some_and(|said| said.starts_with(words));
        entries.iter().find(said).unwrap_or_else(|| panic!("no {words:?} in {text}")).clone()
    };
    let folder = rig.root("photo");
    let (sent, failed) = (entry("backed up as /apps/xpand/photo/good.jpg"), entry("failed: precreate:"));
    for (entry, file, priority) in [(&sent, &good, "6"), (&failed, &bad, "4")] {
        assert_eq!(entry["ACCOUNT"], "home", "{entry}");
        assert_eq!(entry["FOLDER"], folder.to_str().unwrap(), "{entry}");
        assert_eq!(entry["FILE"], file.to_str().unwrap(), "{entry}");
        assert_eq!(entry["PRIORITY"], priority, "{entry}");
        assert_eq!(entry["SYSLOG_IDENTIFIER"], "xpand", "{entry}");
        assert_eq!(entry["_TRANSPORT"], "journal", "{entry}");
    }
    assert_eq!(failed["ERRNO"], "31062", "{failed}");
    assert!(failed["REQUEST_ID"].as_str().is_some_and(|id| id.len() > 5), "{failed}");
    assert_eq!((&sent["ERRNO"], &sent["REQUEST_ID"]), (&Value::Null, &Value::Null), "{sent}");
    rig.assert_no_secret();
    common::watchmen::assert_no_secret_in("the journal", text.as_bytes(), &rig.secrets());
}
