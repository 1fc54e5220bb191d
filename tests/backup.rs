//! Do photos and videos arrive, as what they are, where they belong, once, and nothing else?
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use cloudsim::{Locate, md5_hex};
use common::clouds::Cloud;
use common::media::{self, odd_names, photo, video};
use common::{Account, Folder, Rig, is_quiet};
use xpand::control::{Explain, Standing};
use xpand::status::{AccountState, Active, State};

const MIB: usize = 1 << 20;

/// Photos and videos and everything else.
const ALL: &str = "media = [\"photo\", \"video\", \"other\"]";

async fn explain(rig: &Rig, below: &str) -> Explain {
    rig.client.explain(&rig.root("photo").join(below)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn photos_videos_and_others_arrive_as_what_they_are() {
    let mut rig = Rig::ready(|setup| setup.folders[0].more = ALL.into());
    let picture = rig.put("2018/a.jpg", &photo(1, 5000));
    let film = rig.put("2018/b.mp4", &video(2, 7000));
    rig.put("notes.txt", b"not a picture");
    media::set_mtime(&picture, 1_536_249_538);
    media::set_mtime(&film, 1_600_000_000);
    rig.begin();
    rig.wait_arrived().await;
    let (a, b) = (rig.stored("photo/2018/a.jpg"), rig.stored("photo/2018/b.mp4"));
    let other = rig.stored("photo/notes.txt");
    assert_eq!([a.mode, b.mode, other.mode], [Some(4), Some(5), Some(3)]);
    assert_eq!((a.local_mtime, b.local_mtime), (1_536_249_538, 1_600_000_000));
    let exif = a.exif_info.unwrap();
    assert_eq!(exif["width"], u64::from(media::WIDTH));
    assert_eq!(exif["height"], u64::from(media::HEIGHT));
    assert_eq!(exif["orientation"], u64::from(media::ORIENTATION));
    assert_eq!(exif["recovery"], 0);
    assert_eq!(
        (exif["model"].as_str(), exif["date_time"].as_str()),
        (Some(media::MODEL), Some(media::TAKEN))
    );
    assert_eq!(exif["date_time_original"], media::TAKEN);
    assert_eq!((b.exif_info, other.exif_info), (None, None));
    assert!(rig.sim.calls().iter().all(|call| call.user_agent == "pan.baidu.com"));
    assert_eq!(rig.sim.count("xpan/device"), 0, "there is no [device]");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_video_goes_in_slices_that_the_membership_allows() {
    for (vip, expected) in [(0, vec![0, 1, 2]), (1, vec![0]), (2, vec![0])] {
        let rig = Rig::start(|setup| {
            setup.sim.vip = vip;
            setup.sim.locate = Locate::Own;
        });
        rig.put("film.mp4", &video(3, 9 * MIB));
        let status = rig.wait_arrived().await;
        assert_eq!(rig.slices_after(0), expected, "vip {vip}");
        assert_eq!(status.accounts[0].vip_type, Some(vip));
        assert_eq!(status.totals.bytes_sent, 9 * MIB as u64);
        assert_eq!(rig.sim.count("locateupload"), 1);
        assert_eq!(rig.sim.open_uploads(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_library_goes_up_in_parallel_and_a_second_run_sends_nothing() {
    let mut rig = Rig::ready(|setup| setup.parallel = 3);
    rig.put_photos(120);
    rig.begin();
    let status = rig.wait_arrived().await;
    assert_eq!((status.totals.counts.files, status.totals.counts.backed_up), (120, 120));
    assert_eq!(status.state, State::Idle);
    let is_upload = |target: &str| ["precreate", "superfile2", "create"].iter().any(|m| target.contains(m));
    let most = rig.sim.calls().iter().filter(|c| is_upload(&c.target())).map(|c| c.in_flight).max().unwrap();
    // The account's own calls and listings come on top.
    assert!((2..=3 + 2).contains(&most), "{most} calls at a time");
    let mark = rig.mark();
    rig.stop().await;
    assert!(!rig.state_dir().join("running").exists(), "the end was a clean one");
    rig.begin();
    let status = rig.wait_quiet().await;
    assert_eq!(status.totals.counts.backed_up, 120);
    rig.assert_nothing_sent_after(mark);
    assert!(rig.calls_after(mark, "method=list").is_empty(), "after a clean end there is nothing to look up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_the_cloud_refuses_arrive_escaped_and_no_two_meet() {
    let mut rig = Rig::ready(|_| ());
    let names = odd_names();
    let count = names.len() as u64;
    for (seed, name) in (0..).zip(&names) {
        let path = rig.root("photo").join(OsStr::from_bytes(name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, photo(seed, 900)).unwrap();
    }
    rig.begin();
    let status = rig.wait_arrived().await;
    assert_eq!((status.totals.counts.backed_up, status.totals.counts.failed), (count, 0));
    assert_eq!(rig.stored("photo/\u{4e2d}\u{6587}.jpg").md5, md5_hex(&photo(4, 900)));
}

/// Another program's file has the name already, with other content.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_the_name_already_is_kept_replaced_or_becomes_an_older_version() {
    let (theirs, ours) = (photo(1, 2000), photo(2, 2500));
    for mode in ["keep-both", "overwrite", "version"] {
        let mut rig = Rig::ready(|setup| setup.upload = format!("on_conflict = \"{mode}\""));
        rig.sim.put_file("demo", "/apps/xpand/photo/a.jpg", &theirs).unwrap();
        rig.put("a.jpg", &ours);
        rig.begin();
        rig.wait_quiet().await;
        let file = rig.stored("photo/a.jpg");
        let found = (file.md5.clone(), file.overwritten, file.versions.len(), rig.sim.files().len());
        let expected = match mode {
            "keep-both" => (md5_hex(&theirs), 0, 0, 2),
            "overwrite" => (md5_hex(&ours), 1, 0, 1),
            _ => (md5_hex(&ours), 0, 1, 1),
        };
        assert_eq!(found, expected, "{mode}");
        let remote = explain(&rig, "a.jpg").await.remote.unwrap();
        assert_eq!(md5_hex(&rig.sim.read(&remote).unwrap()), md5_hex(&ours), "{mode}: where the copy is");
    }
}

/// The agent does not know: its state ended cleanly before the file was there on either side.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_content_at_the_same_path_is_never_stored_twice() {
    for (mode, size) in [("keep-both", 3000), ("overwrite", 3000), ("version", 3000), ("version", 300_000)] {
        let mut rig = Rig::start(|setup| setup.upload = format!("on_conflict = \"{mode}\""));
        rig.wait_quiet().await;
        rig.stop().await;
        let content = photo(1, size);
        rig.sim.put_file("demo", "/apps/xpand/photo/a.jpg", &content).unwrap();
        rig.put("a.jpg", &content);
        rig.begin();
        rig.wait_quiet().await;
        assert_eq!(explain(&rig, "a.jpg").await.state, Standing::BackedUp, "{mode}");
        let file = rig.stored("photo/a.jpg");
        let found = (file.md5, file.overwritten, file.versions.len(), rig.sim.files().len());
        assert_eq!(found, (md5_hex(&content), 0, 0, 1), "{mode}, {size} bytes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_cloud_cannot_take_is_skipped_with_the_reason_before_a_byte_is_read() {
    let mut rig = Rig::ready(|setup| setup.folders[0].more = "min_size = \"1000B\"".into());
    rig.put("empty.jpg", b"");
    rig.put("tiny.jpg", &photo(1, 10)[..200]);
    let large = rig.put("large.mp4", b"x");
    // Sparse: reading it would take a while, and hashing it much longer.
    fs::File::options().write(true).open(large).unwrap().set_len(4 * (1 << 30) + 1).unwrap();
    rig.put("good.jpg", &photo(2, 2000));
    rig.begin();
    let status = rig
        .until("three skipped, one backed up", |status| {
            // Found before the membership was known, it is taken up, measured, and laid aside unread.
            let unread = |file: &Active| file.path.ends_with("good.jpg") || file.done == 0;
            assert!(status.active.iter().all(unread), "{:?}", status.active);
            is_quiet(status) && (status.totals.counts.skipped, status.totals.counts.backed_up) == (3, 1)
        })
        .await;
    assert_eq!(status.totals.counts.files, 4);
    for (name, words) in [("empty.jpg", "empty"), ("tiny.jpg", "min_size"), ("large.mp4", "membership")] {
        let line = explain(&rig, name).await;
        assert_eq!(line.state, Standing::Skipped, "{name}");
        assert!(line.reason.as_ref().unwrap().contains(words), "{line:?}");
    }
    assert_eq!(rig.sim.files().len(), 1);
    // Members may send it: 10 GiB. It would be sent now, so the test ends here.
    rig.client.pause(None).await.unwrap();
    rig.sim.set_vip(1).unwrap();
    rig.client.retry(None).await.unwrap();
    rig.until("the large one waiting", |status| status.totals.counts.waiting == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_are_not_followed_and_special_files_do_not_hold_anybody() {
    let mut rig = Rig::ready(|_| ());
    let outside = rig.path("elsewhere");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret.jpg"), photo(1, 900)).unwrap();
    let root = rig.root("photo");
    symlink(outside.join("secret.jpg"), root.join("link.jpg")).unwrap();
    symlink(&outside, root.join("dir")).unwrap();
    symlink(&root, root.join("circle")).unwrap();
    symlink("nowhere", root.join("broken.jpg")).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let cwd = rustix::fs::CWD;
    rustix::fs::mknodat(cwd, root.join("fifo.jpg"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket.jpg")).unwrap();
    rig.put("real.jpg", &photo(2, 900));
    rig.begin();
    let status = rig.wait_arrived().await;
    assert_eq!((status.totals.counts.files, rig.sim.files().len()), (1, 1));
    assert!(explain(&rig, "link.jpg").await.reason.unwrap().contains("link"));
    assert!(explain(&rig, "fifo.jpg").await.reason.unwrap().contains("no ordinary file"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn junk_and_what_is_excluded_stays_at_home() {
    let mut rig = Rig::ready(|setup| setup.folders[0].more = "exclude = [\"*_edited.jpg\", \"raw/\"]".into());
    let junk = ["@eaDir/a.jpg", "#recycle/b.jpg", ".thumbnails/c.jpg", "._d.jpg", ".Trash-1000/e.jpg"];
    let excluded = ["f_edited.jpg", "2024/raw/g.jpg"];
    for (seed, name) in (0..).zip(junk.iter().chain(&excluded)) {
        rig.put(name, &photo(seed, 900));
    }
    rig.put("readme.txt", b"no photo");
    rig.put("2024/keep.jpg", &photo(99, 900));
    rig.begin();
    let status = rig.wait_quiet().await;
    let paths: Vec<_> = rig.sim.files().into_iter().map(|file| file.path).collect();
    assert_eq!(paths, ["/apps/xpand/photo/2024/keep.jpg"]);
    assert_eq!(status.totals.counts.files, 1);
    assert_eq!(explain(&rig, "@eaDir/a.jpg").await.state, Standing::Excluded);
    assert_eq!(explain(&rig, "f_edited.jpg").await.state, Standing::Excluded);
    assert_eq!(explain(&rig, "readme.txt").await.state, Standing::NotSelected);
    assert_eq!(explain(&rig, "2024/keep.jpg").await.state, Standing::BackedUp);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_folders_go_to_two_places() {
    let mut rig = Rig::ready(|setup| {
        setup.folders.push(Folder { label: "camera", account: "home", more: "media = [\"video\"]".into() });
    });
    rig.put("a.jpg", &photo(1, 900));
    rig.put_in("camera", "a.mp4", &video(2, 900));
    rig.begin();
    let status = rig.wait_arrived().await;
    assert_eq!(rig.stored("photo/a.jpg").mode, Some(4));
    assert_eq!(rig.stored("camera/a.mp4").mode, Some(5));
    let files: Vec<_> = status.folders.iter().map(|f| (f.label.as_str(), f.counts.backed_up)).collect();
    assert_eq!(files, [("photo", 1), ("camera", 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_accounts_the_one_that_is_logged_out_does_not_stop_the_other() {
    let mut rig = Rig::ready(|setup| {
        setup.accounts.push(Account { name: "work", user: "second", cloud: Cloud::Baidu, logged_in: false });
        setup.folders.push(Folder { label: "office", account: "work", more: String::new() });
    });
    rig.put_photos(5);
    rig.put_in("office", "b.jpg", &photo(9, 900));
    rig.begin();
    let status = rig
        .until("five backed up, one waiting", |status| {
            let counts = &status.totals.counts;
            (counts.backed_up, counts.waiting) == (5, 1) && status.state == State::NeedsLogin
        })
        .await;
    assert!(status.reason.unwrap().contains("xpand account login work"));
    let states: Vec<_> = status.accounts.iter().map(|account| account.state).collect();
    assert_eq!(states, [AccountState::Ready, AccountState::NeedsLogin]);
    rig.log_in("work");
    rig.wait_arrived().await;
    assert_eq!(rig.sim.files().iter().filter(|file| file.account == "second").count(), 1);
}

/// Two drives, the same remote names: what one has says nothing of the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_accounts_with_equal_files_at_equal_places_both_get_them() {
    let mut rig = Rig::ready(|setup| {
        setup.accounts.push(Account { name: "work", user: "second", cloud: Cloud::Baidu, logged_in: true });
        let more = || "remote = \"{path}\"".into();
        setup.folders[0].more = more();
        setup.folders.push(Folder { label: "office", account: "work", more: more() });
    });
    rig.put_photos(6);
    rig.back_up_and_stop().await;
    // The agent forgets everything, and the first drive has what the second is to get.
    rig.lose_state();
    rig.put_photos_in("office", 6);
    rig.begin();
    rig.wait_arrived().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cloud_with_a_certificate_of_its_own_is_trusted_when_the_configuration_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let Some(tls) = common::tls::certificate(folder.path(), "localhost") else {
        println!("SKIPPED: no openssl to make certificates");
        return;
    };
    let mut rig = Rig::ready(|setup| setup.sim.tls = Some(tls));
    rig.put_photos(3);
    let config = fs::read_to_string(rig.config_file()).unwrap();
    let careful: String =
        config.lines().filter(|line| !line.starts_with("ca_file")).map(|l| format!("{l}\n")).collect();
    assert_ne!(careful, config);
    fs::write(rig.config_file(), careful).unwrap();
    let said = rig.run(&["drive", "quota"]).failed(1, &["certificate"]);
    assert_eq!(rig.sim.calls().len(), 0, "nothing was said to it: {said:?}");
    fs::write(rig.config_file(), config).unwrap();
    rig.begin();
    rig.wait_arrived().await;
}
