//! `xpand drive put`: files that a person names arrive under the names that were meant, once, and what was
//! cut off goes on where it was.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use cloudsim::{Fault, FaultKind};
use common::cloud::partseq;
use common::clouds::Cloud;
use common::media::{photo, video};
use common::process::{Program, Said};
use common::{Account, PATIENCE, Rig};
use serde_json::Value;
use xpand::remote::names::escape;

const MIB: usize = 1 << 20;
const PARALLEL: usize = 2;

/// Files to send, which the agent does not look after.
fn file(rig: &Rig, name: &str, bytes: &[u8]) -> PathBuf {
    let path = rig.path("mine").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

/// `xpand --json drive put`, and what it says of each file.
fn put(rig: &Rig, args: &[&str]) -> (Said, Vec<Value>) {
    let said = rig.heard(rig.command(&["--json", "drive", "put"]).args(args).current_dir(rig.path("mine")));
    let lines = said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (said, lines)
}

/// The same, when everything arrives.
fn puts(rig: &Rig, args: &[&str]) -> Vec<Value> {
    let (said, lines) = put(rig, args);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(!keeps_state(rig), "nothing is kept of what is through");
    lines
}

fn spawn(rig: &Rig, args: &[&str]) -> Program {
    let mut command = rig.command(&["drive", "put"]);
    command.args(args).current_dir(rig.path("mine"));
    rig.spawn_as(command)
}

fn keeps_state(rig: &Rig) -> bool {
    fs::read_dir(rig.state_dir().join("put")).is_ok_and(|mut entries| entries.next().is_some())
}

/// Paths and modes below the application's folder, sorted.
fn stored(rig: &Rig) -> Vec<(String, Option<u8>)> {
    let below = |path: &str| path.strip_prefix("/apps/xpand/").unwrap().to_owned();
    let mut all: Vec<_> = rig.sim.files().iter().map(|file| (below(&file.path), file.mode)).collect();
    all.sort();
    all
}

fn until(what: &str, check: impl Fn() -> bool) {
    let begun = Instant::now();
    while !check() {
        assert!(begun.elapsed() < PATIENCE, "no {what}");
        sleep(Duration::from_millis(10));
    }
}

fn changing(rig: &Rig, mark: u64) -> usize {
    ["precreate", "superfile2", "method=create", "filemanager"]
        .iter()
        .map(|text| rig.calls_after(mark, text).len())
        .sum()
}

#[test]
fn a_file_goes_into_a_folder_under_its_own_name_or_gets_a_new_one() {
    let rig = Rig::ready(|_| ());
    let bytes = photo(1, 300_000);
    let path = file(&rig, "a.jpg", &bytes);
    // No such folder yet: the slash says that it is one.
    let lines = puts(&rig, &["a.jpg", "holiday/"]);
    let there = rig.stored("holiday/a.jpg");
    let expected = serde_json::json!({
        "path": fs::canonicalize(&path).unwrap(), "remote": "/apps/xpand/holiday/a.jpg",
        "size": bytes.len(), "fs_id": there.fs_id.to_string(), "state": "sent",
    });
    assert_eq!(lines, [expected]);
    assert_eq!(rig.sim.read("/apps/xpand/holiday/a.jpg").unwrap(), bytes);
    // Now it is one without the slash; a new name makes the folders above it.
    file(&rig, "b.jpg", &photo(2, 5000));
    puts(&rig, &["b.jpg", "holiday"]);
    puts(&rig, &["b.jpg", "/apps/xpand/new/deep/b c.jpg"]);
    file(&rig, "b.txt", b"words");
    symlink("b.txt", rig.path("mine/link.md")).unwrap();
    puts(&rig, &["link.md", "."]);
    let manual = |path: &str| (path.to_owned(), Some(1));
    assert_eq!(stored(&rig), ["holiday/a.jpg", "holiday/b.jpg", "link.md", "new/deep/b c.jpg"].map(manual));
}

#[test]
fn of_several_files_those_that_can_be_read_arrive_and_the_others_are_told() {
    let rig = Rig::ready(|_| ());
    for name in ["a.jpg", "b:1.txt", "sub/c.jpg"] {
        file(&rig, name, name.as_bytes());
    }
    file(&rig, "empty.jpg", b"");
    let args = ["a.jpg", "gone.jpg", "./a.jpg", "empty.jpg", "b:1.txt", "sub/c.jpg", "all"];
    let (said, lines) = put(&rig, &args);
    assert_eq!(said.code, Some(1), "{said:?}");
    let manual = |path: &str| (path.to_owned(), Some(1));
    assert_eq!(stored(&rig), ["all/a.jpg", "all/b%3A1.txt", "all/c.jpg"].map(manual));
    assert_eq!(said.err.matches("%3A").count(), 1, "{}", said.err);
    let told = |lines: &[Value], state: &str| -> Vec<(String, String)> {
        let lines = lines.iter().filter(|line| line["state"] == state);
        let mut told: Vec<_> = lines
            .map(|line| {
                let path = Path::new(line["path"].as_str().unwrap());
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                (name, line["reason"].as_str().unwrap_or("").to_owned())
            })
            .collect();
        told.sort();
        told
    };
    let names = |lines: &[Value], state| -> Vec<String> {
        told(lines, state).into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(names(&lines, "sent"), ["a.jpg", "b:1.txt", "c.jpg"]);
    let (failed, skipped) = (told(&lines, "failed"), told(&lines, "skipped"));
    assert!(failed.len() == 1 && failed[0].0 == "gone.jpg", "{failed:?}");
    assert!(failed[0].1.contains("No such file"), "{failed:?}");
    assert!(skipped.len() == 1 && skipped[0].1.contains("it is empty"), "{skipped:?}");
    assert!(keeps_state(&rig), "what failed may be tried again");
    // The same command again looks whether what arrived is still there, and sends what is not.
    file(&rig, "gone.jpg", b"here it is");
    rig.sim.remove("demo", "/apps/xpand/all/c.jpg").unwrap();
    let lines = puts(&rig, &args);
    assert_eq!(names(&lines, "sent"), ["c.jpg", "gone.jpg"]);
    assert_eq!(names(&lines, "there"), ["a.jpg", "b:1.txt"]);
    assert_eq!((rig.stored("all/gone.jpg").size, rig.stored("all/c.jpg").size), (10, 9));
    // Neither a pipe nor what nobody may read keeps the others from arriving.
    let locked = Path::new("/proc/sys/net/ipv4/route/flush");
    let is_locked = fs::File::open(locked).is_err_and(|error| error.raw_os_error() == Some(13));
    if is_locked {
        let (said, lines) = put(&rig, &["/dev/null", locked.to_str().unwrap(), "a.jpg", "odd"]);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert_eq!(names(&lines, "failed"), ["flush", "null"]);
        assert!(told(&lines, "failed")[0].1.contains("Permission denied"), "{lines:?}");
        assert_eq!(rig.stored("odd/a.jpg").size, 5);
    } else {
        eprintln!("SKIPPED: there is no file here that even root cannot read");
    }
    // Two that would be one file: nothing is done at all.
    let mark = rig.mark();
    file(&rig, "other/a.jpg", b"other");
    let (said, _) = put(&rig, &["a.jpg", "other/a.jpg", "all"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert_eq!(changing(&rig, mark), 0);
}

#[test]
fn a_folder_arrives_below_its_own_name_with_every_odd_name_in_it() {
    let rig = Rig::ready(|_| ());
    let long = "照".repeat(85);
    let names: [&[u8]; 9] = [
        b"a.jpg",
        b"Thumbs.db",
        b".hidden/.DS_Store",
        b"deep/er/100%.txt",
        "😀 film.mp4".as_bytes(),
        b"not utf-8 \xff\xfe",
        b"a\nb\x1b[2J",
        b" blanks . ",
        long.as_bytes(),
    ];
    let top = rig.path("mine/trip: 2024");
    for name in names {
        let path = top.join(OsStr::from_bytes(name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    // Nothing behind a link in a folder is sent.
    symlink("/etc", top.join("link")).unwrap();
    symlink("a.jpg", top.join("link.jpg")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, top.join("pipe"), 0o600.into()).unwrap();
    let (said, lines) = put(&rig, &["-r", "trip: 2024/", "photos"]);
    assert_eq!((said.code, lines.len()), (Some(0), names.len()), "{said:?}");
    for words in ["2 links were not followed", "1 neither a file nor a folder"] {
        assert!(said.err.contains(words), "{said:?}");
    }
    assert!(!keeps_state(&rig), "nothing is kept of what is through");
    let mut expected: Vec<_> =
        names.iter().map(|name| (format!("photos/trip%3A 2024/{}", escape(name)), Some(2))).collect();
    expected.sort();
    assert_eq!(stored(&rig), expected);
    for name in names {
        let remote = format!("/apps/xpand/photos/trip%3A 2024/{}", escape(name));
        assert_eq!(rig.sim.read(&remote).unwrap(), name);
    }
    // Without -r nothing is asked of the cloud.
    let mark = rig.mark();
    let (said, _) = put(&rig, &["trip: 2024", "photos"]);
    assert!(said.code == Some(2) && said.err.contains("add -r"), "{said:?}");
    assert!(rig.sim.calls_since(mark).is_empty());
    // A person reads no escape sequence either.
    fs::remove_file(top.join("a.jpg")).unwrap();
    let said = rig.run(&["drive", "put", "-r", top.to_str().unwrap(), "again"]);
    assert!(said.code == Some(0) && !(said.out + &said.err).contains('\u{1b}'));
}

#[test]
fn a_kill_in_the_middle_of_a_film_costs_the_slices_in_flight() {
    let rig = Rig::ready(|setup| {
        setup.parallel = PARALLEL;
        setup.sim.bandwidth = Some(6 << 20);
    });
    let film = video(1, 27 * MIB);
    file(&rig, "film.mp4", &film);
    let confirmed = |mark| -> Vec<u32> {
        let calls = rig.calls_after(mark, "superfile2");
        calls.iter().filter(|call| call.status == 200).map(partseq).collect()
    };
    let running = spawn(&rig, &["film.mp4", "films/"]);
    until("three slices", || confirmed(0).len() >= 3);
    // The same command meanwhile does nothing.
    let (said, _) = put(&rig, &["film.mp4", "films/"]);
    assert!(said.code == Some(1) && said.err.contains("running already"), "{said:?}");
    running.kill();
    let (mark, sent) = (rig.mark(), confirmed(0));
    rig.sim.set_bandwidth(None);
    let lines = puts(&rig, &["film.mp4", "films/"]);
    assert_eq!(lines[0]["state"], "sent");
    let again = confirmed(mark);
    let twice = again.iter().filter(|slice| sent.contains(slice)).count();
    assert!(twice <= PARALLEL, "sent {sent:?}, after the kill {again:?}");
    assert_eq!(rig.calls_after(mark, "precreate").len(), 1);
    assert_eq!(rig.sim.open_uploads(), 0, "the same session was taken up again");
    assert_eq!(rig.sim.read("/apps/xpand/films/film.mp4").unwrap(), film);
    assert_eq!(rig.stored("films/film.mp4").created, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_may_run_at_the_same_time() {
    let mut rig = Rig::ready(|setup| setup.sim.bandwidth = Some(12 << 20));
    rig.put_photos(30);
    rig.put("film.mp4", &video(2, 9 * MIB));
    for number in 0..20 {
        file(&rig, &format!("mine/{number}.jpg"), &photo(5000 + number, 4000));
    }
    file(&rig, "mine/film.mp4", &video(3, 9 * MIB));
    // Both have to renew it, and it is good once.
    rig.sim.expire().unwrap();
    rig.begin();
    let lines = puts(&rig, &["-r", "mine", "by hand"]);
    assert_eq!(lines.len(), 21);
    rig.wait_quiet().await;
    let modes = |mode| rig.sim.files().iter().filter(|file| file.mode == Some(mode)).count();
    assert_eq!((modes(2), modes(4), modes(5)), (21, 30, 1));
    assert!(rig.sim.files().iter().all(|file| (file.created, file.overwritten) == (1, 0)));
    rig.stop().await;
}

#[test]
fn other_content_of_the_same_name_is_kept_replaced_or_made_a_version() {
    // For the watchmen: both is asked for.
    let rig = Rig::ready(|setup| setup.upload = "# overwrite, version".into());
    let of = |seed| photo(seed, 300_000);
    file(&rig, "a.jpg", &of(1));
    puts(&rig, &["a.jpg", "x/"]);
    // The same content is there already.
    let mark = rig.mark();
    assert_eq!(puts(&rig, &["a.jpg", "x/"])[0]["state"], "instant");
    assert!(rig.calls_after(mark, "superfile2").is_empty());
    file(&rig, "a.jpg", &of(2));
    let kept = puts(&rig, &["a.jpg", "x/"]);
    let remote = kept[0]["remote"].as_str().unwrap();
    assert_ne!(remote, "/apps/xpand/x/a.jpg");
    assert_eq!(rig.sim.read(remote).unwrap(), of(2));
    assert_eq!(rig.sim.read("/apps/xpand/x/a.jpg").unwrap(), of(1));
    // Nobody is there to be asked.
    file(&rig, "a.jpg", &of(3));
    let mark = rig.mark();
    let (said, _) = put(&rig, &["--on-conflict", "overwrite", "a.jpg", "x/"]);
    assert!(said.code == Some(2) && said.err.contains("add --yes"), "{said:?}");
    assert_eq!(changing(&rig, mark), 0);
    puts(&rig, &["--on-conflict", "overwrite", "--yes", "a.jpg", "x/"]);
    assert_eq!(rig.sim.read("/apps/xpand/x/a.jpg").unwrap(), of(3));
    file(&rig, "a.jpg", &of(4));
    puts(&rig, &["--on-conflict", "version", "a.jpg", "x/"]);
    let there = rig.stored("x/a.jpg");
    assert_eq!((there.versions.len(), there.overwritten), (1, 1));
    assert_eq!(rig.sim.read("/apps/xpand/x/a.jpg").unwrap(), of(4));
}

#[test]
fn what_the_cloud_would_refuse_is_refused_before_it_is_asked() {
    let rig = Rig::ready(|_| ());
    file(&rig, "a.jpg", b"a");
    for (remote, words) in [
        ("/", "outside /apps/xpand"),
        ("/photo/a.jpg", "outside /apps/xpand"),
        ("/apps/xpand2/", "outside /apps/xpand"),
        ("../other/", "outside /apps/xpand"),
        ("a:b/c.jpg", "takes no ':'"),
        ("b?.jpg", "takes no '?'"),
    ] {
        let (said, _) = put(&rig, &["a.jpg", remote]);
        assert!(said.code == Some(2) && said.err.contains(words), "{remote}: {said:?}");
    }
    let (said, _) = put(&rig, &["--account", "nobody", "a.jpg", "x/"]);
    assert!(said.code == Some(2) && said.err.contains("no account \"nobody\""), "{said:?}");
    let (said, lines) = put(&rig, &["none.jpg", "x/"]);
    assert_eq!((said.code, lines.len()), (Some(1), 1), "{said:?}");
    assert!(rig.sim.calls().is_empty(), "{:?}", rig.sim.calls());
    // More than 4 GB needs a membership.
    let large = fs::File::create(rig.path("mine/large.mp4")).unwrap();
    large.set_len((4 << 30) + 1).unwrap();
    let (said, lines) = put(&rig, &["large.mp4", "x/"]);
    // The watchmen would read it all.
    fs::remove_file(rig.path("mine/large.mp4")).unwrap();
    assert_eq!((said.code, changing(&rig, 0)), (Some(1), 0), "{said:?}");
    assert!(lines[0]["state"] == "failed" && lines[0]["reason"].as_str().unwrap().contains("membership"));
}

#[test]
fn a_dry_run_tells_and_changes_nothing() {
    let rig = Rig::ready(|_| ());
    file(&rig, "dir/a.jpg", b"a");
    file(&rig, "dir/b/c.jpg", b"c");
    file(&rig, "dir/empty", b"");
    let lines = puts(&rig, &["--dry-run", "-r", "--on-conflict", "overwrite", "dir", "to"]);
    let told: Vec<(&str, &str)> = lines
        .iter()
        .map(|line| (line["remote"].as_str().unwrap(), line["state"].as_str().unwrap()))
        .collect();
    assert_eq!(
        told[..2],
        [("/apps/xpand/to/dir/a.jpg", "would_send"), ("/apps/xpand/to/dir/b/c.jpg", "would_send"),]
    );
    assert!(told[2].1 == "skipped" && lines[2]["reason"].as_str().unwrap().contains("it is empty"));
    assert_eq!(changing(&rig, 0), 0);
    assert!(rig.sim.files().is_empty() && !rig.state_dir().join("put").exists());
}

#[test]
fn a_file_that_changes_while_it_is_sent_arrives_as_it_is_in_the_end() {
    let rig = Rig::ready(|setup| {
        setup.parallel = 1;
        setup.sim.bandwidth = Some(4 << 20);
    });
    let path = file(&rig, "film.mp4", &video(1, 11 * MIB));
    let mut running = spawn(&rig, &["film.mp4", "x/"]);
    until("a slice", || rig.sim.count("superfile2") > 0);
    let after = video(2, 5 * MIB);
    let beside = file(&rig, "beside", &after);
    fs::rename(beside, &path).unwrap();
    rig.sim.set_bandwidth(None);
    let begun = Instant::now();
    while running.is_alive() {
        assert!(begun.elapsed() < PATIENCE, "{}", rig.log());
        sleep(Duration::from_millis(10));
    }
    assert_eq!(rig.sim.read("/apps/xpand/x/film.mp4").unwrap(), after);
    assert_eq!(stored(&rig), [("x/film.mp4".to_owned(), Some(1))]);
}

#[test]
fn a_full_drive_and_a_refused_login_end_the_command_and_it_goes_on_later() {
    let rig = Rig::ready(|setup| setup.sim.quota = 100_000);
    for number in 0..3 {
        file(&rig, &format!("{number}.jpg"), &photo(number, 200_000));
    }
    let args = ["0.jpg", "1.jpg", "2.jpg", "x/"];
    let (said, lines) = put(&rig, &args);
    assert_eq!((said.code, lines.len()), (Some(1), 0), "{said:?}");
    assert!(said.err.contains("errno -10") && said.err.contains("make room"), "{said:?}");
    rig.sim.set_quota(1 << 40).unwrap();
    rig.sim.fault(Fault::always("precreate", FaultKind::Errno(-6))).unwrap();
    let (said, _) = put(&rig, &args);
    assert!(said.code == Some(4) && said.err.contains("account login home"), "{said:?}");
    rig.sim.clear_faults();
    assert_eq!(puts(&rig, &args).len(), 3);
    assert_eq!(rig.sim.files().len(), 3);
}

#[test]
fn somebody_else_who_logs_in_meanwhile_gets_nothing_of_it() {
    let rig = Rig::ready(|setup| {
        setup.accounts.push(Account { name: "other", user: "other", cloud: Cloud::Baidu, logged_in: true });
        setup.parallel = 1;
        setup.sim.bandwidth = Some(2 << 20);
    });
    let film = video(1, 27 * MIB);
    file(&rig, "film.mp4", &film);
    for number in 0..4 {
        file(&rig, &format!("{number}.jpg"), &photo(number, 4000));
    }
    let args = ["--account", "home", "film.mp4", "0.jpg", "1.jpg", "2.jpg", "3.jpg", "x/"];
    let log_in = |from: &str, to: &str| {
        let tokens = |name| rig.state_dir().join(format!("accounts/{name}.json"));
        fs::copy(tokens(from), tokens("between")).unwrap();
        fs::rename(tokens("between"), tokens(to)).unwrap();
    };
    log_in("home", "mine");
    let mut command = rig.command(&["drive", "put"]);
    command.args(args).current_dir(rig.path("mine")).stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = command.spawn().unwrap();
    until("two slices", || {
        rig.calls_after(0, "superfile2").iter().filter(|call| call.status == 200).count() >= 2
    });
    log_in("other", "home");
    let said = running.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.code() == Some(1) && err.contains("has logged in to home meanwhile"), "{err}");
    let of = |account: &str| -> Vec<String> {
        rig.sim.files().into_iter().filter(|file| file.account == account).map(|file| file.path).collect()
    };
    assert!(of("other").is_empty(), "{:?}", of("other"));
    // Whoever began it goes on where it was; the other one's is another batch.
    log_in("mine", "home");
    rig.sim.set_bandwidth(None);
    let (said, lines) = put(&rig, &args);
    assert_eq!((said.code, lines.len()), (Some(0), 5), "{said:?}");
    assert_eq!((of("demo").len(), of("other").len()), (5, 0));
    assert_eq!(rig.sim.read("/apps/xpand/x/film.mp4").unwrap(), film);
    log_in("other", "home");
    let (said, _) = put(&rig, &args);
    assert_eq!((said.code, of("demo").len(), of("other").len()), (Some(0), 5, 5), "{said:?}");
}

/// Whoever types it reads with their own rights, although the state belongs to the agent's user.
#[test]
fn files_are_read_with_the_rights_of_whoever_typed_it() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root has files that the agent's user may not read");
        return;
    }
    const AGENT: u32 = 65_534;
    let rig = Rig::ready(|_| ());
    let own = |path: &Path| std::os::unix::fs::chown(path, Some(AGENT), Some(AGENT)).unwrap();
    let mut folders = vec![rig.state_dir()];
    while let Some(folder) = folders.pop() {
        own(&folder);
        for entry in fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() { folders.push(entry.path()) } else { own(&entry.path()) }
        }
    }
    // The rig's folder is root's alone, as `mkdtemp` makes it: only its names are to be passed.
    fs::set_permissions(rig.path(""), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    let secret = file(&rig, "dir/secret.jpg", &photo(1, 300_000));
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    fs::set_permissions(rig.path("mine/dir"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    assert_eq!(puts(&rig, &["-r", "dir", "x"])[0]["state"], "sent");
    assert_eq!(puts(&rig, &["dir/secret.jpg", "y/"]).len(), 1);
    // And what it writes there is the agent's.
    use std::os::unix::fs::MetadataExt as _;
    assert_eq!(fs::metadata(rig.state_dir().join("put")).unwrap().uid(), AGENT);
}
