//! What a kill, an end or a lost state costs: the slices in flight, or a look, and never a file.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;
use std::time::Duration;

use common::Rig;
use common::cloud::partseq;
use common::clouds::{Cloud, at_each_cloud};
use common::media::{photo, video};

at_each_cloud! {
    sigterm_ends_within_five_seconds_even_when_the_cloud_says_nothing_any_more
    a_lost_state_folder_costs_a_look_and_no_slice
    a_damaged_database_is_set_aside_and_costs_a_look
    small_files_survive_a_kill_at_any_moment_and_hardly_any_goes_twice
    a_lost_state_finds_the_copy_that_had_to_be_renamed
    a_database_that_lost_its_content_costs_a_look
}

const MIB: usize = 1 << 20;
const PARALLEL: usize = 2;
/// As a machine counts them that has other work.
const FIVE_SECONDS: Duration = Duration::from_secs(20);

/// A rig whose agent is the real program, and a video of ten slices on a line of some 8 MiB a second.
fn slow_rig() -> Rig {
    let rig = Rig::ready(|setup| {
        setup.parallel = PARALLEL;
        setup.sim.bandwidth = Some(8 << 20);
    });
    rig.put("film.mp4", &video(1, 39 * MIB));
    rig
}

/// The slices that the cloud took, sorted.
fn confirmed(rig: &Rig, mark: u64) -> Vec<u32> {
    let calls = rig.calls_after(mark, "superfile2");
    let mut slices: Vec<u32> = calls.iter().filter(|call| call.status == 200).map(partseq).collect();
    slices.sort_unstable();
    slices
}

/// The line is fast again, and so is the agent that is started now: the video arrives, and of the slices that
/// the cloud had confirmed none goes again but those that were in flight. Returns where the log of calls was.
async fn go_on(rig: &Rig) -> u64 {
    let (mark, sent) = (rig.mark(), confirmed(rig, 0));
    rig.sim.set_bandwidth(None);
    let agent = rig.spawn();
    rig.wait_arrived().await;
    let again = confirmed(rig, mark);
    let twice = again.iter().filter(|slice| sent.contains(slice)).count();
    assert!(twice <= PARALLEL, "sent {sent:?}, again {again:?}");
    agent.terminate().await;
    mark
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_the_middle_of_a_video_costs_the_slices_in_flight() {
    let rig = slow_rig();
    let agent = rig.spawn();
    rig.until_true("four slices", || confirmed(&rig, 0).len() >= 4).await;
    agent.kill();
    let mark = go_on(&rig).await;
    assert_eq!(rig.calls_after(mark, "precreate").len(), 1);
    assert_eq!(rig.sim.open_uploads(), 0, "the same session was taken up again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_the_cloud_has_forgotten_begins_anew() {
    let rig = slow_rig();
    let agent = rig.spawn();
    rig.until_true("two slices", || confirmed(&rig, 0).len() >= 2).await;
    agent.kill();
    rig.sim.forget_uploads();
    let mark = rig.mark();
    rig.sim.set_bandwidth(None);
    let agent = rig.spawn();
    rig.wait_arrived().await;
    let calls = rig.calls_after(mark, "superfile2");
    let session = calls.last().unwrap().query["uploadid"].clone();
    let mut slices: Vec<u32> =
        calls.iter().filter(|call| call.query["uploadid"] == session).map(partseq).collect();
    slices.sort_unstable();
    assert_eq!(slices, (0..10).collect::<Vec<_>>(), "all of it, in a new session");
    // And while it runs: the slices it goes on with are of no use.
    rig.sim.set_bandwidth(Some(8 << 20));
    rig.put("second.mp4", &video(2, 20 * MIB));
    let mark = rig.mark();
    rig.until_true("two slices", || confirmed(&rig, mark).len() >= 2).await;
    rig.sim.forget_uploads();
    rig.sim.set_bandwidth(None);
    rig.wait_arrived().await;
    agent.terminate().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_in_the_middle_of_a_video_ends_within_five_seconds_and_keeps_what_is_there() {
    let rig = slow_rig();
    let agent = rig.spawn();
    rig.until_true("three slices", || confirmed(&rig, 0).len() >= 3).await;
    let (status, took) = agent.terminate().await;
    assert!(status.success(), "{status}: {}", rig.log());
    assert!(took < FIVE_SECONDS, "{took:?}");
    assert!(!rig.state_dir().join("running").exists(), "the end was a clean one");
    go_on(&rig).await;
}

async fn sigterm_ends_within_five_seconds_even_when_the_cloud_says_nothing_any_more(cloud: Cloud) {
    use cloudsim::{Fault, FaultKind};
    let rig = Rig::ready_at(cloud, |_| ());
    rig.put_photos(10);
    rig.sim.fault(Fault::always(cloud.slice(), FaultKind::Stall)).unwrap();
    let agent = rig.spawn();
    rig.until("files on their way", |status| !status.active.is_empty()).await;
    let (status, took) = agent.terminate().await;
    assert!(status.success(), "{status}: {}", rig.log());
    assert!(took < FIVE_SECONDS, "{took:?}");
}

async fn a_lost_state_folder_costs_a_look_and_no_slice(cloud: Cloud) {
    let mut rig = Rig::backed_up_at(cloud, |rig| {
        rig.put_photos(60);
        rig.put_large("film", 1, 9 * MIB);
    })
    .await;
    let mark = rig.mark();
    rig.lose_state();
    rig.begin();
    let status = rig.wait_arrived().await;
    assert_eq!(status.totals.counts.backed_up, 61);
    assert_eq!(status.totals.instant, 61);
    rig.assert_nothing_sent_after(mark);
    // The remote folders are few, and so are the listings.
    let lists = rig.calls_after(mark, cloud.list());
    assert!(lists.len() <= 8, "{lists:#?}");
}

async fn a_damaged_database_is_set_aside_and_costs_a_look(cloud: Cloud) {
    let mut rig = Rig::backed_up_at(cloud, |rig| rig.put_photos(40)).await;
    let mark = rig.mark();
    let db = rig.state_dir().join("db");
    for (path, _) in common::files_below(&db) {
        let length = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap();
        fs::write(path, common::media::noise(7, length)).unwrap();
    }
    rig.begin();
    let status = rig.wait_arrived().await;
    assert_eq!(status.totals.counts.backed_up, 40);
    rig.assert_nothing_sent_after(mark);
    assert!(rig.state_dir().join("db.damaged").exists());
}

async fn small_files_survive_a_kill_at_any_moment_and_hardly_any_goes_twice(cloud: Cloud) {
    // The real program keeps to 123pan's two pictures a second.
    let all = cloud.of(60, 6);
    for (round, few) in [(0, 1), (1, all / 3), (2, all - 1)] {
        let rig = Rig::ready_at(cloud, |_| ());
        rig.put_photos(all);
        rig.put("late.jpg", &photo(5, 900));
        let agent = rig.spawn();
        rig.until_true("some files", || rig.sim.files().len() > few).await;
        agent.kill();
        let (mark, there) = (rig.mark(), rig.sim.files().len());
        let agent = rig.spawn();
        let status = rig.wait_all_there().await;
        assert_eq!(status.totals.counts.backed_up, all as u64 + 1);
        let again = rig.slices_after(mark).len();
        // Files that were between their slice and their `create` when the kill came.
        let most = all + 1 - there + 8;
        assert!(again <= most, "round {round}: {there} were there, {again} slices after the kill");
        agent.terminate().await;
    }
}

/// Other content had the name, so that the cloud gave the file another one. Without our memory that copy
/// is found all the same.
async fn a_lost_state_finds_the_copy_that_had_to_be_renamed(cloud: Cloud) {
    let mut rig = Rig::ready_at(cloud, |_| ());
    rig.put_there("photo/a.jpg", &photo(1, 2000));
    rig.put("a.jpg", &photo(2, 2500));
    rig.put("b.jpg", &photo(3, 2500));
    rig.begin();
    rig.wait_quiet().await;
    assert_eq!(rig.sim.files().len(), 3);
    rig.stop().await;
    let mark = rig.mark();
    rig.lose_state();
    rig.begin();
    let status = rig.until("two backed up", |status| status.totals.counts.backed_up == 2).await;
    assert_eq!(status.totals.instant, 2);
    rig.assert_nothing_sent_after(mark);
}

/// A power cut can leave sled a database that opens well and is empty: the epoch beside it knows better.
async fn a_database_that_lost_its_content_costs_a_look(cloud: Cloud) {
    let mut rig = Rig::backed_up_at(cloud, |rig| rig.put_photos(20)).await;
    let mark = rig.mark();
    assert!(rig.state_dir().join("epoch").exists());
    fs::remove_dir_all(rig.state_dir().join("db")).unwrap();
    rig.begin();
    let status = rig.wait_arrived().await;
    assert_eq!(status.totals.instant, 20);
    rig.assert_nothing_sent_after(mark);
}
