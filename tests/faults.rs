//! When calls fail, in every way the local cloud knows: everything arrives, once, and the status says why
//! it takes longer.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::time::Duration;

use cloudsim::{Fault, FaultKind, md5_hex};
use common::clouds::{Cloud, at_each_cloud};
use common::media::{photo, video};
use common::{Rig, is_quiet};
use xpand::control::{FileState, QueueQuery, Standing};
use xpand::status::{AccountState, State};

at_each_cloud! {
    everything_arrives_once_when_announcing_fails_in_every_way
    everything_arrives_once_when_sending_fails_in_every_way
    everything_arrives_once_when_finishing_fails_in_every_way
    everything_arrives_once_when_listing_fails_in_every_way
    everything_arrives_once_when_a_fifth_of_all_calls_fails
    after_a_lost_answer_to_create_the_cloud_is_asked_and_nothing_sent_again
    after_a_lost_answer_to_create_the_renamed_copy_is_found
    a_cloud_that_lies_about_every_slice_is_never_believed
    a_login_that_ends_is_renewed_once_for_all_calls_in_flight
    without_a_network_the_agent_says_offline_and_goes_on_alone
    an_agent_that_starts_without_a_network_goes_on_alone_when_it_comes
    one_bad_file_is_parked_with_the_servers_code_and_the_others_go_on
}

const MIB: usize = 1 << 20;
const UINFO: &str = "method=uinfo";
const LOCATE: &str = "locateupload";

/// Each of them once.
fn each_once(cloud: Cloud) -> Vec<FaultKind> {
    use FaultKind::*;
    let more =
        [Status(504), WrongMd5, LostSlices, Delay(Duration::from_millis(300)), cloud.number(999_999_999)];
    cloud.passing().into_iter().chain(more).collect()
}

/// Each failure hits one call of this name; so many photos and two films arrive all the same.
async fn everything_arrives_although_it_fails(cloud: Cloud, call: &str, kinds: Vec<FaultKind>) {
    let mut rig = Rig::ready_at(cloud, |setup| {
        setup.sim.seed = Some(7);
        // So many failures one after the other would make for long waits otherwise.
        setup.hurry = if call == UINFO { 2000 } else { 100 };
    });
    rig.put_photos(cloud.of(40, 20));
    rig.put_large("one", 1, 9 * MIB);
    rig.put_large("two", 2, 9 * MIB);
    let kinds = kinds.into_iter().filter(|kind| {
        // An unknown number is not tried again: a person has to look. Other tests are about that.
        *kind != cloud.number(999_999_999) || matches!(call, UINFO | LOCATE | "method=list")
    });
    for kind in kinds {
        rig.sim.fault(Fault::once(call, kind)).unwrap();
    }
    rig.begin();
    rig.wait_arrived().await;
    let hit = rig.sim.calls().iter().filter(|call| call.fault.is_some()).count();
    assert!(hit > 0, "no call was hit: {call}");
}

async fn everything_arrives_once_when_announcing_fails_in_every_way(cloud: Cloud) {
    everything_arrives_although_it_fails(cloud, cloud.begin(), each_once(cloud)).await;
}

async fn everything_arrives_once_when_sending_fails_in_every_way(cloud: Cloud) {
    everything_arrives_although_it_fails(cloud, cloud.slice(), each_once(cloud)).await;
}

async fn everything_arrives_once_when_finishing_fails_in_every_way(cloud: Cloud) {
    let mut kinds = each_once(cloud);
    let more = cloud.of(vec![10, 31_081, 31_190, 31_353, 31_355, 31_363], vec![20_103, 5066]);
    kinds.extend(more.into_iter().map(|number| cloud.number(number)));
    everything_arrives_although_it_fails(cloud, cloud.finish(), kinds).await;
}

async fn everything_arrives_once_when_listing_fails_in_every_way(cloud: Cloud) {
    // The answer to a look after a lost answer is one of those that are hit.
    let mut rig = Rig::ready_at(cloud, |_| ());
    rig.put_photos(cloud.of(40, 20));
    // At 123pan a folder is listed before anything is sent there: an unknown number parks the file.
    let left_out = cloud.of(FaultKind::WrongMd5, cloud.number(999_999_999));
    for kind in each_once(cloud).into_iter().filter(|kind| *kind != left_out) {
        rig.sim.fault(Fault::once(cloud.list(), kind.clone())).unwrap();
        rig.sim.fault(Fault::once(cloud.finish(), FaultKind::DropAfter)).unwrap();
    }
    rig.begin();
    rig.wait_arrived().await;
}

/// Calls that only 123pan has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_arrives_once_when_each_of_the_other_calls_of_123pan_fails_in_every_way() {
    for call in ["oss/file/mkdir", "get_upload_url", "upload_async_result", "file/detail"] {
        let cloud = Cloud::Pan123;
        let mut rig = Rig::ready_at(cloud, |_| ());
        rig.sim.pan123().set_async(Some(Duration::from_millis(20)));
        for (number, kind) in (0..).zip(cloud.passing()) {
            rig.put(&format!("{}/{number}.jpg", number % 7), &photo(number, 900));
            rig.sim.fault(Fault::once(call, kind)).unwrap();
        }
        rig.begin();
        rig.wait_arrived().await;
        assert!(rig.sim.calls().iter().any(|call| call.fault.is_some()), "no call was hit: {call}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_arrives_once_when_uinfo_fails_in_every_way() {
    everything_arrives_although_it_fails(Cloud::Baidu, UINFO, each_once(Cloud::Baidu)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_arrives_once_when_locateupload_fails_in_every_way() {
    everything_arrives_although_it_fails(Cloud::Baidu, LOCATE, each_once(Cloud::Baidu)).await;
}

async fn everything_arrives_once_when_a_fifth_of_all_calls_fails(cloud: Cloud) {
    use FaultKind::*;
    for seed in [1, 2] {
        let mut rig = Rig::ready_at(cloud, |setup| setup.sim.seed = Some(seed));
        rig.put_photos(cloud.of(80, 40));
        rig.put("film.mp4", &video(seed, cloud.of(13, 1) * MIB));
        let own = cloud.of(ErrorCode(31_021), Code(5000));
        let kinds = [DropBefore, DropAfter, Status(503), Html(502), Empty500, CutAnswer, own];
        for kind in kinds {
            rig.sim.fault(Fault::chance("", kind, 0.03)).unwrap();
        }
        rig.begin();
        rig.wait_arrived().await;
    }
}

async fn after_a_lost_answer_to_create_the_cloud_is_asked_and_nothing_sent_again(cloud: Cloud) {
    for kind in [FaultKind::DropAfter, FaultKind::CutAnswer, FaultKind::Huge(2 << 20)] {
        let rig = Rig::start_at(cloud, |_| ());
        // A new state looks around once.
        rig.put("a.jpg", &photo(1, 900));
        rig.wait_arrived().await;
        rig.sim.fault(Fault::once(cloud.finish(), kind.clone())).unwrap();
        let mark = rig.mark();
        rig.put_large("film", 1, 5 * MIB);
        rig.wait_arrived().await;
        assert_eq!(rig.slices_after(mark), cloud.of(vec![0, 1], vec![0]), "{kind}");
        assert_eq!(rig.calls_after(mark, cloud.finish()).len(), 1, "{kind}");
        assert_eq!(rig.calls_after(mark, cloud.list()).len(), 1, "{kind}");
    }
}

async fn after_a_lost_answer_to_create_the_renamed_copy_is_found(cloud: Cloud) {
    let rig = Rig::start_at(cloud, |_| ());
    rig.wait_quiet().await;
    rig.put_there("photo/a.jpg", &photo(1, 2000));
    rig.sim.fault(Fault::once(cloud.finish(), FaultKind::DropAfter)).unwrap();
    rig.put("a.jpg", &photo(2, 2500));
    rig.until("backed up", |status| is_quiet(status) && status.totals.counts.backed_up == 1).await;
    assert_eq!(rig.sim.files().len(), 2, "{:#?}", rig.sim.files());
    assert_eq!(rig.sim.count(cloud.slice()), 1);
}

async fn a_cloud_that_lies_about_every_slice_is_never_believed(cloud: Cloud) {
    let rig = Rig::start_at(cloud, |_| ());
    rig.wait_quiet().await;
    // At 123pan it is the whole that gives the lie away, at the end.
    let lie = cloud.of(FaultKind::WrongMd5, FaultKind::LostSlices);
    rig.sim.fault(Fault::always(cloud.slice(), lie)).unwrap();
    let path = rig.put("a.jpg", &photo(1, 2000));
    rig.until_true("several tries", || {
        assert!(rig.sim.files().is_empty());
        rig.sim.count(cloud.slice()) > cloud.of(12, 4)
    })
    .await;
    let line = rig.client.explain(&path).await.unwrap();
    assert!(matches!(line.state, Standing::Waiting | Standing::Active), "{line:?}");
    rig.sim.clear_faults();
    rig.wait_arrived().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_drive_pauses_the_account_and_it_goes_on_alone_when_there_is_room() {
    let mut rig = Rig::ready(|setup| setup.sim.quota = 100_000);
    rig.put("small.jpg", &photo(1, 5000));
    rig.put("large.jpg", &photo(2, 400_000));
    rig.begin();
    let status = rig.until("quota_full", |status| status.state == State::QuotaFull).await;
    assert!(status.reason.as_ref().unwrap().contains("the drive is full"), "{status:#?}");
    assert_eq!(status.accounts[0].quota.unwrap().total, 100_000);
    assert_eq!(status.totals.counts.failed, 0);
    rig.sim.set_quota(1 << 40).unwrap();
    rig.wait_arrived().await;
    rig.until("idle", |status| status.state == State::Idle && status.reason.is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_calls_pause_the_account_and_it_goes_on_alone() {
    let mut rig = Rig::ready(|setup| setup.hurry = 30);
    rig.put_photos(10);
    rig.sim.fault(Fault::times("precreate", FaultKind::Errno(31_034), 4)).unwrap();
    rig.begin();
    let status = rig.until("paused", |status| status.state == State::Paused).await;
    assert!(status.reason.as_ref().unwrap().contains("too many calls"), "{status:#?}");
    rig.wait_arrived().await;
    // Nobody asks while it pauses, which is for two seconds here; those under way were asking already.
    let calls = rig.calls_after(0, "precreate");
    let refused = calls.iter().find(|call| call.errno == 31_034).unwrap().time_ms;
    let within = calls.iter().filter(|call| call.time_ms < refused + 1000).count();
    assert!(within <= 4 + 2, "{within}");
}

/// Logins that were renewed: at 123pan, whose application logs in by itself, all but the first.
fn refreshes(rig: &Rig) -> usize {
    let calls = rig.calls_after(0, rig.cloud().login());
    match rig.cloud() {
        Cloud::Baidu => calls.iter().filter(|call| call.query["grant_type"] == "refresh_token").count(),
        Cloud::Pan123 => calls.len().saturating_sub(1),
    }
}

async fn a_login_that_ends_is_renewed_once_for_all_calls_in_flight(cloud: Cloud) {
    let mut rig = Rig::ready_at(cloud, |setup| setup.parallel = 6);
    rig.put_photos(60);
    rig.put("film.mp4", &video(1, cloud.of(17, 1) * MIB));
    rig.begin();
    for round in 1..=3 {
        rig.until_true("some files", || rig.sim.files().len() > 10 * round).await;
        rig.sim.expire().unwrap();
        // Should all the others be there already.
        rig.put(&format!("{round}.jpg"), &photo(round as u64, 900));
        rig.until_true("a renewal", || refreshes(&rig) == round).await;
    }
    let status = rig.wait_arrived().await;
    assert_eq!(refreshes(&rig), 3);
    assert_eq!(status.accounts[0].state, AccountState::Ready);
}

/// The slice's bytes are gone when its token is refused: it goes again at once, and nobody pauses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_ends_in_the_middle_of_a_video_does_not_pause_it() {
    let mut rig = Rig::ready(|setup| {
        setup.hurry = 1;
        setup.parallel = 1;
    });
    rig.put("film.mp4", &video(1, 17 * MIB));
    rig.sim.fault(Fault::once("superfile2.*partseq=2", FaultKind::ErrorCode(111))).unwrap();
    rig.begin();
    rig.until("backed up", |status| {
        assert_ne!(status.state, State::Paused, "{status:#?}");
        status.totals.counts.backed_up == 1
    })
    .await;
    assert_eq!((refreshes(&rig), rig.slices_after(0).len()), (1, 6));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_is_not_renewed_needs_a_person_and_is_tried_once() {
    let rig = Rig::start(|_| ());
    rig.put_photos(3);
    rig.wait_arrived().await;
    rig.sim
        .fault(Fault::always("grant_type=refresh_token", FaultKind::OAuth("expired_token".into())))
        .unwrap();
    rig.sim.expire().unwrap();
    rig.put("late.jpg", &photo(9, 900));
    let status = rig.until("needs_login", |status| status.state == State::NeedsLogin).await;
    assert!(status.reason.as_ref().unwrap().contains("xpand account login home"), "{status:#?}");
    assert_eq!(status.accounts[0].state, AccountState::NeedsLogin);
    // Whatever a person tries with the agent, the used-up token is not sent again.
    for _ in 0..5 {
        rig.client.retry(None).await.unwrap();
        rig.client.scan(None).await.unwrap();
        rig.until("needs_login", |status| status.state == State::NeedsLogin).await;
    }
    assert_eq!(refreshes(&rig), 1);
    rig.sim.clear_faults();
    rig.log_in("home");
    rig.wait_arrived().await;
    assert_eq!(refreshes(&rig), 1);
}

async fn without_a_network_the_agent_says_offline_and_goes_on_alone(cloud: Cloud) {
    let rig = Rig::start_at(cloud, |_| ());
    rig.put_photos(5);
    rig.wait_arrived().await;
    rig.sim.stop();
    rig.put("late.jpg", &photo(9, 900));
    rig.put_large("film", 1, 5 * MIB);
    let status = rig.until("offline", |status| status.state == State::Offline).await;
    assert_eq!((status.totals.counts.backed_up, status.totals.counts.failed), (5, 0));
    rig.sim.restart().unwrap();
    rig.wait_arrived().await;
    rig.until("idle", |s| s.state == State::Idle && s.accounts[0].state == AccountState::Ready).await;
}

async fn an_agent_that_starts_without_a_network_goes_on_alone_when_it_comes(cloud: Cloud) {
    let mut rig = Rig::ready_at(cloud, |_| ());
    rig.put_photos(5);
    rig.sim.stop();
    rig.begin();
    rig.until("offline", |status| status.state == State::Offline && status.totals.counts.waiting == 5).await;
    rig.sim.restart().unwrap();
    rig.wait_arrived().await;
}

async fn one_bad_file_is_parked_with_the_servers_code_and_the_others_go_on(cloud: Cloud) {
    let mut rig = Rig::ready_at(cloud, |setup| setup.parallel = 1);
    rig.put_photos(10);
    // Of the one we know what it means, of the other the cloud tells.
    let (call, known) = cloud.of((cloud.finish(), 31_062), (cloud.begin(), 400));
    rig.sim.fault(Fault::once(call, cloud.number(known)).after(3).saying("x")).unwrap();
    rig.sim.fault(Fault::once(call, cloud.number(987_654)).after(3).saying("the moon is full")).unwrap();
    rig.begin();
    let status = rig.until("eight and two", |status| {
        is_quiet(status) && (status.totals.counts.backed_up, status.totals.counts.failed) == (8, 2)
    });
    let status = status.await;
    assert_eq!(status.state, State::Idle);
    assert!(status.reason.as_ref().unwrap().contains("2 files failed"), "{status:#?}");
    let query = QueueQuery { state: Some(FileState::Failed), limit: 10, after: None };
    let failed = rig.client.queue(&query).await.unwrap().files;
    let words: Vec<_> = failed.iter().map(|file| file.reason.clone().unwrap()).collect();
    let (meaning, known) = (cloud.of("the name is not allowed", "does not understand"), known.to_string());
    assert!(words.iter().any(|w| w.contains(meaning) && w.contains(&known)), "{words:?}");
    assert!(words.iter().any(|w| w.contains("the moon is full") && w.contains("987654")), "{words:?}");
    // Also after a restart; and then a person says "again": one of them, then all.
    rig.restart().await;
    rig.until("still two", |status| is_quiet(status) && status.totals.counts.failed == 2).await;
    rig.client.retry(Some(failed[0].path.as_ref())).await.unwrap();
    rig.until("one", |status| is_quiet(status) && status.totals.counts.failed == 1).await;
    rig.client.retry(None).await.unwrap();
    rig.wait_arrived().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_membership_that_ends_while_sending_cuts_the_slices_anew() {
    let mut rig = Rig::ready(|setup| setup.sim.vip = 2);
    rig.put("film.mp4", &video(1, 9 * MIB));
    rig.sim.fault(Fault::times("superfile2", FaultKind::DropBefore, 2)).unwrap();
    rig.begin();
    rig.until("ready", |status| status.accounts.first().is_some_and(|a| a.vip_type == Some(2))).await;
    rig.sim.set_vip(0).unwrap();
    let status = rig.wait_arrived().await;
    let file = rig.stored("photo/film.mp4");
    assert_eq!(file.md5, md5_hex(&video(1, 9 * MIB)));
    if file.block_list.len() > 1 {
        assert_eq!(status.accounts[0].vip_type, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_application_stops_the_account_with_the_reason() {
    let mut rig = Rig::ready(|_| ());
    rig.put_photos(5);
    rig.sim.fault(Fault::always("precreate", FaultKind::Errno(20_013))).unwrap();
    rig.begin();
    let status = rig.until("failed", |status| status.state == State::Failed).await;
    assert!(status.reason.as_ref().unwrap().contains("20013"), "{status:#?}");
    assert_eq!(status.totals.counts.failed, 0, "it is not the files' fault");
    assert!(rig.sim.count("precreate") <= 8);
    rig.sim.clear_faults();
    rig.client.retry(None).await.unwrap();
    rig.wait_arrived().await;
}
