//! Disks that hang, are full, take no writes, or fail in one place; directories that cannot be watched or
//! read. What needs root or a tool that is not there says so and is left out.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::disks::{Mounted, is_done};
use common::media::photo;
use common::process::Program;
use common::{Folder, Rig, is_quiet};
use rustix::process::Signal;
use xpand::control::Standing;
use xpand::status::{FolderState, State};

/// The real program by way of another one that `exec`s it.
fn spawn_within(rig: &Rig, words: &[&str]) -> Program {
    let agent = rig.command(&["run"]);
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).arg(agent.get_program()).args(agent.get_args());
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).stdin(Stdio::null());
    rig.spawn_as(command)
}

/// A FUSE disk whose server never answers: everybody who asks it for anything waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_hangs_keeps_no_other_folder_waiting() {
    let mut rig = Rig::ready(|setup| {
        for label in ["usb", "camera"] {
            setup.folders.push(Folder { label, account: "home", more: String::new() });
        }
        // Nobody can look whether anything changes on a disk that hangs.
        setup.writes_meanwhile = true;
    });
    let Ok(server) = fs::File::options().read(true).write(true).open("/dev/fuse") else {
        return println!("SKIPPED: there is no /dev/fuse");
    };
    rustix::io::fcntl_setfd(&server, rustix::io::FdFlags::empty()).unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&server);
    let options = format!("fd={number},rootmode=40000,user_id=0,group_id=0");
    // The folder in the middle.
    let options = ["-i", "-t", "fuse", "-o", &options, "hanging"];
    let Some(_hanging) = Mounted::new(&rig.root("usb"), &options) else { return };
    rig.put_photos(3);
    rig.put_in("camera", "a.jpg", &photo(1, 900));
    rig.begin();
    let others = |status: &xpand::status::Status| {
        status.folders.iter().filter(|folder| folder.label != "usb").all(|folder| {
            folder.state == FolderState::Watching && folder.counts.files == folder.counts.backed_up
        })
    };
    rig.until("the others", |s| others(s) && s.totals.counts.backed_up == 4).await;
    // Changes are seen, and looked at, too.
    rig.put_in("camera", "b.jpg", &photo(2, 900));
    rig.until("a new one", |s| others(s) && s.totals.counts.backed_up == 5).await;
    let status = rig.status().await;
    assert_eq!(status.folders[1].state, FolderState::Scanning, "{status:#?}");
    // The disk is pulled out: it goes on with an error, and then without the disk.
    drop(server);
    rig.until("a word about the disk", |s| s.folders[1].state == FolderState::Missing).await;
    drop(_hanging);
    rig.put_in("usb", "c.jpg", &photo(3, 900));
    rig.until("the third", |s| s.totals.counts.backed_up == 6 && s.state == State::Idle).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_under_the_state_is_said_and_loses_nothing() {
    let state = tempfile::Builder::new().prefix("xp-full-").tempdir().unwrap();
    let Some(_disk) = Mounted::new(state.path(), &["-t", "tmpfs", "-o", "size=3m", "full"]) else { return };
    let rig = Rig::ready(|setup| setup.state = Some(state.path().join("state")));
    rig.put_photos(20);
    let program = rig.spawn();
    rig.wait_arrived().await;
    // Whatever is left goes to somebody else.
    let hog = state.path().join("hog");
    let _ = fs::write(&hog, vec![0; 4 << 20]);
    let mark = rig.mark();
    let mut program = program;
    tokio::task::block_in_place(|| {
        let mut count = 0;
        loop {
            rig.put(&format!("more/{count}.jpg"), &photo(100 + count, 900));
            count += 1;
            std::thread::sleep(std::time::Duration::from_millis(20));
            if !program.is_alive() {
                break;
            }
            assert!(count < 3000, "it goes on with a full disk: {}", rig.log());
        }
    });
    let (code, log) = (program.wait().await.code(), rig.log());
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("No space left on device") && log.contains("free some space"), "{log}");
    assert!(log.contains(state.path().to_str().unwrap()), "{log}");
    // As systemd does: it is started again, and says the same.
    // Not even its lock has room, then.
    fs::remove_file(rig.state_dir().join("agent.lock")).unwrap();
    let _ = fs::File::options().append(true).open(&hog).unwrap().write_all(&[0; 1 << 20]);
    let before = rig.log().len();
    let mut again = rig.spawn();
    assert_eq!(again.wait().await.code(), Some(1), "{}", rig.log());
    let said = rig.log().split_off(before);
    assert!(said.contains("cannot use the state folder") && said.contains("free some space"), "{said}");
    assert!(!said.contains("set agent.state_dir"), "{said}");
    fs::remove_file(hog).unwrap();
    let _program = rig.spawn();
    rig.wait_all_there().await;
    let twenty: Vec<_> = rig
        .calls_after(mark, "precreate")
        .into_iter()
        .filter(|call| call.form["path"].contains("/2024/"))
        .collect();
    assert!(twenty.is_empty(), "sent again: {twenty:#?}");
}

/// As after an error of its journal, which makes an ext4 refuse all writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_takes_no_more_writes_under_the_state_is_said_and_loses_nothing() {
    let dir = tempfile::Builder::new().prefix("xp-ro-").tempdir().unwrap();
    let (image, place) = (dir.path().join("image"), dir.path().join("disk"));
    fs::File::create(&image).unwrap().set_len(32 << 20).unwrap();
    if !is_done(Command::new("mkfs.ext4").arg("-q").arg(&image)) {
        return println!("SKIPPED: there is no mkfs.ext4");
    }
    let options = ["-o", "loop", image.to_str().unwrap()];
    let Some(disk) = Mounted::new(&place, &options) else { return };
    let rig = Rig::ready(|setup| setup.state = Some(place.join("state")));
    rig.put_photos(12);
    let mut program = rig.spawn();
    rig.wait_arrived().await;
    let mark = rig.mark();
    assert!(is_done(Command::new("mount").args(["-o", "remount,abort"]).arg(&place)));
    rig.put("new.jpg", &photo(1, 900));
    assert_eq!(program.wait().await.code(), Some(1), "{}", rig.log());
    assert!(rig.log().contains("Read-only file system"), "{}", rig.log());
    let mut again = rig.spawn();
    assert_eq!(again.wait().await.code(), Some(1), "{}", rig.log());
    assert!(rig.log().contains("takes no writes"), "{}", rig.log());
    // It is checked and mounted again.
    drop(disk);
    let Some(_disk) = Mounted::new(&place, &options) else { return };
    let _program = rig.spawn();
    rig.wait_all_there().await;
    assert!(rig.slices_after(mark).len() <= 2, "the new one, perhaps twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_folder_that_is_deleted_under_a_running_agent_is_said() {
    let mut rig = Rig::start(|_| ());
    rig.put_photos(12);
    rig.wait_arrived().await;
    let mark = rig.mark();
    fs::remove_dir_all(rig.state_dir()).unwrap();
    let words = rig.ended().await.unwrap_err().to_string();
    assert!(
        words.contains("was removed or replaced") && words.contains(rig.state_dir().to_str().unwrap()),
        "{words}"
    );
    // It is started again and asks for a login.
    rig.begin();
    rig.until("a login to be asked for", |status| status.state == State::NeedsLogin).await;
    rig.log_in("home");
    rig.until("all found again", |s| is_quiet(s) && s.totals.counts.backed_up == 12).await;
    assert_eq!(rig.slices_after(mark).len(), 0);
}

/// An ext4 on which one file cannot be looked at, and another one only be read in part.
fn broken_disk(dir: &Path) -> Option<PathBuf> {
    let image = dir.join("image");
    fs::File::create(&image).unwrap().set_len(8 << 20).unwrap();
    let mut mkfs = Command::new("mkfs.ext4");
    let plain = "^metadata_csum,^has_journal,^extents,^64bit";
    if !is_done(mkfs.args(["-q", "-b", "1024", "-O", plain]).arg(&image)) {
        println!("SKIPPED: there is no mkfs.ext4");
        return None;
    }
    let place = dir.join("filled");
    {
        let _disk = Mounted::new(&place, &["-o", "loop", image.to_str().unwrap()])?;
        for (name, seed) in [("a.jpg", 1), ("nowhere.jpg", 2), ("torn.jpg", 3), ("z.jpg", 4)] {
            fs::write(place.join(name), photo(seed, 300_000)).unwrap();
        }
        is_done(Command::new("umount").arg(&place));
    }
    let debugfs = |command: &str| {
        let output = Command::new("debugfs").args(["-w", "-R", command]).arg(&image).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let Some(told) = debugfs("stat /torn.jpg") else {
        println!("SKIPPED: there is no debugfs");
        return None;
    };
    // The block that names the blocks after the twelfth.
    let indirect = told.split("(IND):").nth(1)?.split([',', '\n']).next()?.trim().parse::<u64>().ok()?;
    std::os::unix::fs::FileExt::write_all_at(
        &fs::File::options().write(true).open(&image).unwrap(),
        &[0xee; 1024],
        indirect * 1024,
    )
    .unwrap();
    debugfs("set_inode_field /nowhere.jpg block[3] 0x7ffffff0")?;
    Some(image)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_the_disk_cannot_read_says_why_and_stops_no_other() {
    let mut rig = Rig::ready(|setup| setup.hurry = 10);
    let Some(image) = broken_disk(&rig.path("outbox")) else { return };
    let options = ["-o", "loop,errors=continue", image.to_str().unwrap()];
    let Some(_disk) = Mounted::new(&rig.root("photo"), &options) else { return };
    rig.begin();
    rig.until("the two that can be read", |status| status.totals.counts.backed_up == 2).await;
    let torn = rig.root("photo").join("torn.jpg");
    let begun = std::time::Instant::now();
    let line = loop {
        let line = rig.client.explain(&torn).await.unwrap();
        if line.tries > 0 {
            break line;
        }
        assert!(begun.elapsed() < common::PATIENCE, "{line:?}");
        tokio::time::sleep(std::time::Duration::from_millis(15)).await;
    };
    assert!(line.reason.as_deref().is_some_and(|why| why.contains("cannot read the file")), "{line:?}");
    assert!(
        line.next_try.is_some() && matches!(line.state, Standing::Waiting | Standing::Active),
        "{line:?}"
    );
    let nowhere = rig.client.explain(&rig.root("photo").join("nowhere.jpg")).await.unwrap();
    assert!(nowhere.reason.as_deref().is_some_and(|why| why.contains("cannot look at it")), "{nowhere:?}");
    let status = rig.status().await;
    let why = status.folders[0].reason.clone().unwrap_or_default();
    assert!(why.contains("some of it cannot be read, first nowhere.jpg"), "{status:#?}");
    // The rest of the folder goes on.
    fs::create_dir(rig.root("photo").join("new")).unwrap();
    fs::write(rig.root("photo").join("new/b.jpg"), photo(9, 900)).unwrap();
    rig.until("a third", |status| status.totals.counts.backed_up == 3).await;
    rig.stop().await;
}

/// The real program as root without the right to read everything, so that the files' own rights count.
fn without_override(rig: &Rig) -> Option<Program> {
    let caps = ["--bounding-set=-dac_override,-dac_read_search", "--"];
    let may = is_done(Command::new("setpriv").args(caps).arg("true")) && rustix::process::geteuid().is_root();
    if !may {
        println!("SKIPPED: there is no setpriv, or we are not root");
        return None;
    }
    Some(spawn_within(rig, &["setpriv", caps[0], caps[1]]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_not_be_read_waits_until_it_may() {
    let rig = Rig::ready(|_| ());
    let chmod = |below: &str, mode| {
        fs::set_permissions(rig.root("photo").join(below), fs::Permissions::from_mode(mode)).unwrap();
    };
    rig.put_photos(3);
    let secret = rig.put("secret.jpg", &photo(1, 900));
    rig.put("closed/a.jpg", &photo(2, 900));
    chmod("secret.jpg", 0o000);
    chmod("closed", 0o000);
    let Some(_program) = without_override(&rig) else { return };
    rig.until("the three", |status| status.totals.counts.backed_up == 3).await;
    let begun = std::time::Instant::now();
    while rig.client.explain(&secret).await.unwrap().tries == 0 {
        assert!(begun.elapsed() < common::PATIENCE);
        tokio::time::sleep(std::time::Duration::from_millis(15)).await;
    }
    let line = rig.client.explain(&secret).await.unwrap();
    assert!(line.reason.as_deref().is_some_and(|why| why.contains("Permission denied")), "{line:?}");
    let hint = line.hint.unwrap_or_default();
    // setfacl, where this machine has it.
    assert!(hint.contains("is closed to the user root; as root: "), "{hint}");
    assert!(hint.contains("setfacl -m u:root:r -- /") || hint.contains("chmod -R o+rX -- /"), "{hint}");
    let told = |status: &xpand::status::Status| {
        let commands = ["setfacl -R -m u:root:rX,d:u:root:rX -- /", "chmod -R o+rX -- /"];
        status.folders[0].reason.as_deref().is_some_and(|why| {
            why.contains("closed: Permission denied")
                && commands.iter().any(|command| why.contains(command))
                && why.ends_with("/photo/closed")
        })
    };
    rig.until("a word about the directory", told).await;
    chmod("secret.jpg", 0o644);
    chmod("closed", 0o755);
    rig.wait_arrived().await;
    // Taken away again from what is backed up: nothing is believed to be gone.
    chmod("closed", 0o000);
    rig.client.scan(None).await.unwrap();
    let status = rig.until("a word about the directory", told).await;
    assert_eq!(status.totals.counts.backed_up, 5);
    chmod("closed", 0o755);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_watch_limit_the_rest_is_polled_and_the_sysctl_is_named() {
    let lower = "echo 3 > /proc/sys/user/max_inotify_watches && exec \"$0\" \"$@\"";
    let within = ["unshare", "-Ur", "sh", "-c", lower];
    if !is_done(Command::new(within[0]).args(&within[1..]).arg("true")) {
        return println!("SKIPPED: there are no user namespaces here");
    }
    let rig = Rig::ready(|setup| setup.agent = "rescan = \"1s\"".into());
    for seed in 0..6 {
        rig.put(&format!("album {seed}/a.jpg"), &photo(seed, 900));
    }
    let _program = spawn_within(&rig, &within);
    let status = rig
        .until("a word about it", |s| s.folders.first().is_some_and(|f| f.state == FolderState::Polling))
        .await;
    let why = status.folders[0].reason.clone().unwrap();
    assert!(why.contains("sysctl -w fs.inotify.max_user_watches="), "{why}");
    rig.wait_arrived().await;
    // Where nobody watches, too.
    rig.put("album 5/b.jpg", &photo(50, 900));
    rig.wait_arrived().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_system_loses_count_of_the_changes_everything_is_looked_at() {
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    if limit > 100_000 {
        return println!("SKIPPED: it would take {limit} events");
    }
    let rig = Rig::ready(|_| ());
    rig.put("deep/a.jpg", &photo(1, 900));
    let program = rig.spawn();
    rig.wait_arrived().await;
    // It is held up while more happens than the kernel keeps.
    program.signal(Signal::STOP);
    let junk = rig.root("photo").join("deep/x.tmp");
    for _ in 0..limit / 2 + 10 {
        fs::write(&junk, "").unwrap();
        fs::remove_file(&junk).unwrap();
    }
    // Of this one nobody is told.
    rig.put("deep/b.jpg", &photo(2, 900));
    program.signal(Signal::CONT);
    rig.wait_arrived().await;
    assert!(rig.log().contains("lost count of the changes"), "{}", rig.log());
}
