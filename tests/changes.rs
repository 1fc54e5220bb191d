//! Files that change, grow, move and go while the agent runs: every copy in the cloud is one that really
//! was on the disk, and nothing goes twice.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use cloudsim::{Fault, FaultKind, md5_hex};
use common::clouds::{Cloud, at_each_cloud};
use common::media::{noise, photo, set_mtime, video};
use common::{Rig, is_quiet};
use xpand::control::Standing;
use xpand::status::{FolderState, State, Status};

at_each_cloud! {
    a_new_file_is_seen_without_anybody_asking
    a_file_that_changes_while_uploading_is_sent_again_and_never_mixed
    a_growing_file_is_left_alone_until_it_holds_still
    every_copy_of_a_file_that_keeps_changing_is_one_that_was_on_the_disk
    a_changed_file_goes_again_beside_its_older_copy
    a_touched_file_is_read_and_not_sent_again
    a_renamed_file_gets_a_second_name_in_the_cloud_without_being_sent
    a_deleted_file_stays_in_the_cloud_and_comes_back_without_being_sent
    a_folder_that_is_suddenly_empty_loses_nothing_and_goes_on_when_it_is_back
}

const MIB: usize = 1 << 20;

async fn a_new_file_is_seen_without_anybody_asking(cloud: Cloud) {
    let rig = Rig::start_at(cloud, |_| ());
    rig.wait_quiet().await;
    rig.put("a.jpg", &photo(1, 2000));
    rig.wait_arrived().await;
    // A new folder below, with what was in it before it came.
    fs::create_dir_all(rig.path("outside/deep")).unwrap();
    fs::write(rig.path("outside/deep/b.jpg"), photo(2, 2000)).unwrap();
    fs::rename(rig.path("outside"), rig.root("photo").join("inside")).unwrap();
    rig.wait_arrived().await;
    assert_eq!(rig.stored("photo/inside/deep/b.jpg").mode, cloud.of(Some(4), None));
}

async fn a_file_that_changes_while_uploading_is_sent_again_and_never_mixed(cloud: Cloud) {
    let rig = Rig::start_at(cloud, |setup| setup.parallel = 1);
    rig.wait_quiet().await;
    // More than what is on the line already and in nobody's hands any more.
    let (make, name) = cloud.of((video as fn(u64, usize) -> Vec<u8>, "a.mp4"), (photo as _, "a.jpg"));
    let (before, after) = (make(1, 9 * MIB), make(2, 9 * MIB));
    // Time to write: the second slice is long on its way, or the only one is about to be sent.
    let slow = FaultKind::Delay(Duration::from_secs(4));
    let (call, begun) = cloud.of(("superfile2.*partseq=1", "superfile2"), ("get_upload_url", "file/create"));
    rig.sim.fault(Fault::once(call, slow)).unwrap();
    let path = rig.put(name, &before);
    rig.until_true("a beginning", || rig.sim.count(begun) > 0).await;
    fs::File::options().write(true).open(&path).unwrap().write_all_at(&after, 0).unwrap();
    rig.wait_arrived().await;
    assert_eq!(rig.stored(&format!("photo/{name}")).md5, md5_hex(&after));
}

/// The size and both times can be as before: only what the cloud says of a slice gives it away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slice_that_arrived_as_other_bytes_than_were_hashed_is_never_called_done() {
    let rig = Rig::start(|setup| setup.parallel = 1);
    rig.wait_quiet().await;
    let fault = Fault::times("superfile2.*partseq=1", FaultKind::WrongMd5, 8);
    rig.sim.fault(fault).unwrap();
    rig.put("film.mp4", &video(1, 9 * MIB));
    rig.until("a failed try", |status| {
        assert_eq!(status.totals.counts.backed_up, 0);
        rig.slices_after(0).iter().filter(|slice| **slice == 1).count() >= 5
    })
    .await;
    assert!(rig.sim.files().is_empty());
    rig.wait_arrived().await;
}

async fn a_growing_file_is_left_alone_until_it_holds_still(cloud: Cloud) {
    let rig = Rig::start_at(cloud, |setup| setup.settle = "700ms");
    rig.wait_quiet().await;
    let (whole, name) = cloud.of((video(7, 3 * MIB), "growing.mp4"), (photo(7, 900_000), "growing.jpg"));
    let path = rig.root("photo").join(name);
    let mut states = BTreeSet::new();
    let mut file = fs::File::create(&path).unwrap();
    for (number, piece) in whole.chunks(whole.len() / 40 + 1).enumerate() {
        file.write_all(piece).unwrap();
        let length = usize::try_from(file.metadata().unwrap().len()).unwrap();
        states.insert(md5_hex(&whole[..length]));
        if number % 10 == 0 {
            rig.client.scan(None).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    drop(file);
    let whole = md5_hex(&whole);
    rig.until_true("the whole file", || rig.sim.files().iter().any(|stored| stored.md5 == whole)).await;
    rig.wait_quiet().await;
    // On a machine that stood still for a while in between there may be an earlier state as well.
    for stored in rig.sim.files() {
        assert!(states.contains(&stored.md5), "{} was never on the disk like that", stored.path);
    }
}

/// Writers that never stop for long, for a few seconds, with settle far too short for them.
async fn every_copy_of_a_file_that_keeps_changing_is_one_that_was_on_the_disk(cloud: Cloud) {
    let rig = Rig::start_at(cloud, |setup| setup.settle = "20ms");
    rig.wait_quiet().await;
    let mut states = BTreeSet::new();
    let path = rig.root("photo").join("busy.jpg");
    let begun = Instant::now();
    let mut last = Vec::new();
    while begun.elapsed() < Duration::from_secs(3) {
        let random = usize::from(noise(begun.elapsed().as_nanos() as u64, 1)[0]);
        last = photo(begun.elapsed().as_nanos() as u64, 20_000 + 100 * random);
        states.insert(md5_hex(&last));
        // Replaced as a whole, so that every state is one that a reader could have seen.
        let beside = rig.path("beside");
        fs::write(&beside, &last).unwrap();
        fs::rename(beside, &path).unwrap();
        tokio::time::sleep(Duration::from_millis(random as u64)).await;
    }
    let last = md5_hex(&last);
    rig.until_true("the last state", || rig.sim.files().iter().any(|stored| stored.md5 == last)).await;
    rig.wait_quiet().await;
    for stored in rig.sim.files() {
        assert!(states.contains(&stored.md5), "{} was never on the disk like that", stored.path);
    }
    rig.assert_only_grew();
}

async fn a_changed_file_goes_again_beside_its_older_copy(cloud: Cloud) {
    let rig = Rig::start_at(cloud, |_| ());
    rig.put("a.jpg", &photo(1, 2000));
    rig.put("b.jpg", &photo(2, 2000));
    rig.wait_arrived().await;
    let fresh = photo(3, 2500);
    rig.put("a.jpg", &fresh);
    let fresh = md5_hex(&fresh);
    rig.until_true("the new content", || rig.sim.files().iter().any(|file| file.md5 == fresh)).await;
    let status = rig.wait_quiet().await;
    assert_eq!((status.totals.counts.files, status.totals.counts.backed_up), (2, 2));
    assert_eq!(rig.sim.files().len(), 3);
    assert_eq!(rig.stored("photo/a.jpg").md5, md5_hex(&photo(1, 2000)));
}

async fn a_touched_file_is_read_and_not_sent_again(cloud: Cloud) {
    let rig = Rig::start_at(cloud, |_| ());
    let path = rig.put("a.jpg", &photo(1, 2000));
    rig.put("b.jpg", &photo(2, 2000));
    rig.wait_arrived().await;
    let mark = rig.mark();
    set_mtime(&path, 1_600_000_000);
    rig.until("a file that needed no sending", |status| is_quiet(status) && status.totals.instant == 1).await;
    rig.assert_nothing_sent_after(mark);
    let line = rig.client.explain(&path).await.unwrap();
    assert_eq!(line.state, Standing::BackedUp);
}

async fn a_renamed_file_gets_a_second_name_in_the_cloud_without_being_sent(cloud: Cloud) {
    let rig = Rig::start_at(cloud, |_| ());
    let path = rig.put("old/a.jpg", &photo(1, 300_000));
    rig.put("b.jpg", &photo(2, 2000));
    rig.wait_arrived().await;
    let mark = rig.mark();
    fs::rename(path, rig.root("photo").join("new.jpg")).unwrap();
    rig.until_true("the new name", || rig.there("photo/new.jpg").is_some()).await;
    let status = rig.until("the old name forgotten", |s| is_quiet(s) && s.totals.counts.backed_up == 2).await;
    assert_eq!(status.totals.counts.files, 2);
    assert!(rig.slices_after(mark).is_empty(), "the cloud has the content");
    assert!(rig.stored("photo/new.jpg").instant);
    assert_eq!(rig.stored("photo/old/a.jpg").created, 1, "nothing is ever deleted");
    rig.assert_only_grew();
}

async fn a_deleted_file_stays_in_the_cloud_and_comes_back_without_being_sent(cloud: Cloud) {
    let rig = Rig::start_at(cloud, |_| ());
    rig.put_photos(4);
    let content = photo(1, 2000);
    let path = rig.put("a.jpg", &content);
    rig.wait_arrived().await;
    fs::remove_file(&path).unwrap();
    rig.until("four files", |status| status.totals.counts.files == 4).await;
    assert_eq!(rig.sim.files().len(), 5);
    let line = rig.client.explain(&path).await.unwrap();
    let remote = format!("{}photo/a.jpg", cloud.root());
    assert_eq!((line.state, line.remote), (Standing::Missing, Some(remote)));
    let mark = rig.mark();
    rig.put("a.jpg", &content);
    rig.until("five backed up", |status| status.totals.counts.backed_up == 5).await;
    rig.assert_nothing_sent_after(mark);
    rig.assert_arrived_once();
}

async fn a_folder_that_is_suddenly_empty_loses_nothing_and_goes_on_when_it_is_back(cloud: Cloud) {
    let is_now = |status: &Status, state| status.folders.first().is_some_and(|folder| folder.state == state);
    let mut rig = Rig::start_at(cloud, |_| ());
    rig.put_photos(12);
    rig.wait_arrived().await;
    let mark = rig.mark();
    for (unplug, expected) in [(true, FolderState::Missing), (false, FolderState::Suspicious)] {
        fs::rename(rig.root("photo"), rig.path("unplugged")).unwrap();
        if !unplug {
            fs::create_dir(rig.root("photo")).unwrap();
        }
        rig.client.scan(None).await.unwrap();
        let status = rig.until("a word about it", |status| is_now(status, expected)).await;
        assert_eq!((status.state, status.totals.counts.backed_up), (State::Failed, 12), "{status:#?}");
        // Also over a restart.
        rig.restart().await;
        rig.until("the same word", |status| is_now(status, expected)).await;
        if !unplug {
            fs::remove_dir(rig.root("photo")).unwrap();
        }
        fs::rename(rig.path("unplugged"), rig.root("photo")).unwrap();
        rig.until("all well again", |s| is_quiet(s) && s.state == State::Idle).await;
    }
    rig.put("new.jpg", &photo(77, 900));
    rig.wait_arrived().await;
    assert_eq!(rig.slices_after(mark).len(), 1);
}

/// The listing that was looked up at the start knows the first state only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_becomes_what_it_was_is_that_in_the_cloud_too() {
    let (first, second) = (photo(1, 2000), photo(2, 2500));
    let mut rig = Rig::ready(|setup| setup.upload = "on_conflict = \"overwrite\"".into());
    rig.sim.put_file("demo", "/apps/xpand/photo/a.jpg", &first).unwrap();
    rig.put("b.jpg", &photo(3, 900));
    rig.begin();
    for content in [&first, &second, &first, &second] {
        rig.put("a.jpg", content);
        let path = rig.root("photo").join("a.jpg");
        rig.until("quiet", is_quiet).await;
        let begun = Instant::now();
        while rig.client.explain(&path).await.unwrap().state != Standing::BackedUp {
            assert!(begun.elapsed() < common::PATIENCE);
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
        assert_eq!(rig.stored("photo/a.jpg").md5, md5_hex(content));
    }
}
