//! What stops an account and nothing else: the documents' limits, which it keeps by itself; its breakers,
//! which say why, what to do and until when; and the repairs of single calls.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::time::Duration;

use cloudsim::{Fault, FaultKind};
use common::clouds::{Cloud, at_each_cloud};
use common::media::{photo, video};
use common::{Account, Folder, Rig, is_quiet};
use xpand::control::{FileState, QueueQuery};
use xpand::status::{AccountState, State, Status};

at_each_cloud! {
    a_cloud_that_fails_stops_the_account_before_the_whole_library_is_read_in_vain
}

const MIB: usize = 1 << 20;

fn account(status: &Status) -> (AccountState, &str) {
    // An agent that starts has not said anything of its accounts.
    let account = status.accounts.first();
    account.map_or((AccountState::NeedsLogin, ""), |a| (a.state, a.reason.as_deref().unwrap_or("")))
}

/// The calls that the cloud refused as too many.
fn too_many(rig: &Rig) -> Vec<String> {
    let calls = rig.sim.calls().into_iter().filter(|call| call.errno == 31_034);
    calls.map(|call| format!("{} {}", call.n, call.target())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_index_of_sixty_folders_is_made_again_without_one_call_too_many() {
    // The cloud's minute is a little shorter than ours: a call may be slow to arrive on a busy machine.
    let mut rig = Rig::ready(|setup| {
        setup.hurry = 20;
        setup.sim.limits = true;
        setup.sim.limits_hurry = 22;
    });
    for number in 0..60 {
        let bytes = photo(number, 900);
        rig.sim.put_file("demo", &format!("/apps/xpand/photo/{number:02}/a.jpg"), &bytes).unwrap();
        rig.put(&format!("{number:02}/a.jpg"), &bytes);
    }
    // A cloud that does not list everything at once is asked folder by folder.
    rig.sim.fault(Fault::always("listall", FaultKind::Errno(3))).unwrap();
    rig.begin();
    rig.until_true("the second minute", || rig.sim.count("method=list") >= 25).await;
    rig.restart().await;
    rig.until("all known", |status| is_quiet(status) && status.totals.counts.backed_up == 60).await;
    assert_eq!(too_many(&rig), [""; 0]);
    assert!(rig.sim.count("method=list") >= 60);
    rig.assert_nothing_sent_after(0);
}

/// Every call of 123pan has its number a second; the real pace, which a restart does not forget.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_are_looked_up_and_sent_without_one_call_too_many_a_second() {
    // The cloud's second is half of ours: a call may be slow to arrive on a busy machine.
    let mut rig = Rig::ready_at(Cloud::Pan123, |setup| {
        setup.hurry = 1;
        setup.sim.limits = true;
        setup.sim.limits_hurry = 2;
    });
    for number in 0..4 {
        rig.put_there(&format!("photo/{number:02}/a.jpg"), &photo(number, 900));
        rig.put(&format!("{number:02}/a.jpg"), &photo(number, 900));
        rig.put(&format!("{number:02}/new/b.jpg"), &photo(100 + number, 900));
    }
    rig.begin();
    rig.until_true("the first new one", || rig.sim.files().len() >= 5).await;
    rig.restart().await;
    rig.wait_arrived().await;
    let refused = rig.sim.calls().into_iter().filter(|call| call.errno == 429).count();
    assert_eq!(refused, 0);
    assert_eq!((rig.sim.count("PUT "), rig.sim.count("access_token")), (4, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_risk_control_stops_says_what_to_do_and_the_other_account_goes_on() {
    let mut rig = Rig::ready(|setup| {
        setup.accounts.push(Account { name: "aunt", user: "aunt", cloud: Cloud::Baidu, logged_in: true });
        setup.folders.push(Folder { label: "film", account: "aunt", more: String::new() });
    });
    rig.begin();
    rig.wait_quiet().await;
    rig.sim.fault(Fault::once("precreate", FaultKind::Errno(9019))).unwrap();
    rig.put("a.jpg", &photo(1, 900));
    let status = rig.until("blocked", |status| account(status).0 == AccountState::Blocked).await;
    let (_, reason) = account(&status);
    for words in ["risk control", "confirm it in the phone app", "xpand retry", "9019", "tried again at"] {
        assert!(reason.contains(words), "{reason}");
    }
    assert!(status.state == State::Failed && status.reason.unwrap().starts_with("home: "));
    rig.put_in("film", "b.mp4", &video(1, 5 * MIB));
    rig.until("hers is there", |status| status.folders[1].counts.backed_up == 1).await;
    let status = rig.status().await;
    assert_eq!((status.folders[0].counts.waiting, status.folders[0].counts.failed), (1, 0));
    assert_eq!(status.accounts[1].state, AccountState::Ready);
    rig.client.retry(None).await.unwrap();
    rig.wait_arrived().await;
    rig.until("ready", |status| account(status) == (AccountState::Ready, "")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_survives_a_restart_without_a_call_and_a_person_ends_it_at_once() {
    for (errno, state) in
        [(17, AccountState::Blocked), (20_013, AccountState::Blocked), (6, AccountState::Blocked)]
    {
        // So that no pause ends by itself.
        let mut rig = Rig::start(|setup| setup.hurry = 4);
        rig.wait_quiet().await;
        rig.sim.fault(Fault::once("precreate", FaultKind::Errno(errno))).unwrap();
        rig.put("a.jpg", &photo(1, 900));
        let before = rig.until("paused", |status| account(status).0 == state).await;
        rig.stop().await;
        let mark = rig.mark();
        rig.begin();
        let after = rig.until("still paused", |status| {
            account(status) == account(&before) && status.totals.counts.waiting == 1
        });
        assert!(account(&after.await).1.contains(&errno.to_string()));
        assert_eq!(rig.calls_after(mark, "").len(), 0);
        assert!(rig.state_dir().join("accounts/home.pause").exists());
        rig.client.retry(None).await.unwrap();
        rig.wait_arrived().await;
        assert!(!rig.state_dir().join("accounts/home.pause").exists());
    }
}

/// The account that was barred is not the one that is logged in now: nobody waits six hours to find out.
#[tokio::test(flavor = "multi_thread")]
async fn another_login_ends_the_pause_that_the_one_before_was_given() {
    // So that no pause ends by itself.
    let rig = Rig::start(|setup| setup.hurry = 4);
    rig.wait_quiet().await;
    rig.sim.fault(Fault::once("precreate", FaultKind::Errno(9100))).unwrap();
    rig.put("a.jpg", &photo(1, 900));
    rig.until("blocked", |status| account(status).0 == AccountState::Blocked).await;
    rig.sim.add_token("aunt", "access-of-aunt", Some("refresh-of-aunt"), None).unwrap();
    let accounts = xpand::account::Accounts::new(&rig.state_dir(), xpand::clock::Clock::system());
    accounts
        .import("home", r#"{"access_token":"access-of-aunt","refresh_token":"refresh-of-aunt"}"#)
        .unwrap();
    let of_aunt = || rig.sim.files().iter().filter(|file| file.account == "aunt").count();
    rig.until("it is hers", |status| of_aunt() == 1 && status.totals.counts.backed_up == 1).await;
    rig.until("ready", |status| account(status) == (AccountState::Ready, "")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_whose_first_questions_are_refused_says_so_and_is_not_called_offline() {
    for (call, errno, words) in [
        ("method=uinfo", 20_011, "under review"),
        ("method=uinfo", 19, "used up for today"),
        ("api/quota", 9_300, "barred by the cloud (level 3)"),
        ("api/quota", 17, "the day's calls are used up"),
    ] {
        let mut rig = Rig::ready(|setup| setup.hurry = 4);
        rig.put("a.jpg", &photo(1, 900));
        rig.sim.fault(Fault::always(call, FaultKind::Errno(errno))).unwrap();
        rig.begin();
        let status = rig.until("blocked", |status| {
            account(status).0 == AccountState::Blocked && status.totals.counts.waiting == 1
        });
        let status = status.await;
        assert!(account(&status).1.contains(words), "{status:#?}");
        assert!(account(&status).1.contains("tried again at"), "{status:#?}");
        assert!(rig.sim.count(call) <= 2, "{}", rig.sim.count(call));
        rig.sim.clear_faults();
        rig.client.retry(None).await.unwrap();
        rig.wait_arrived().await;
    }
}

async fn a_cloud_that_fails_stops_the_account_before_the_whole_library_is_read_in_vain(cloud: Cloud) {
    for (call, kind) in [
        (cloud.begin(), FaultKind::Html(502)),
        (cloud.slice(), cloud.of(FaultKind::Html(200), FaultKind::Html(502))),
        (cloud.finish(), FaultKind::Empty500),
    ] {
        let rig = Rig::start_at(cloud, |_| ());
        rig.wait_quiet().await;
        rig.sim.fault(Fault::always(call, kind)).unwrap();
        rig.put_photos(60);
        let status = rig.until("the cloud fails", |status| account(status).1.contains("the cloud fails: "));
        let status = status.await;
        assert_eq!((account(&status).0, status.state), (AccountState::Offline, State::Offline));
        assert_eq!((status.totals.counts.failed, status.totals.counts.backed_up), (0, 0));
        // Only a few were tried: five, those on their way with them, and one after each pause.
        let query = QueueQuery { state: Some(FileState::Waiting), limit: 100, after: None };
        let files = rig.client.queue(&query).await.unwrap().files;
        let tried = files.iter().filter(|file| file.tries > 0).count();
        assert!(tried <= 25, "{tried} of 60 at {call}");
        rig.sim.clear_faults();
        rig.wait_arrived().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parameter_that_is_refused_once_is_tried_once_more_before_the_file_is_parked() {
    for call in ["precreate", "method=create"] {
        let rig = Rig::start(|_| ());
        rig.wait_quiet().await;
        rig.sim.fault(Fault::once(call, FaultKind::Errno(2))).unwrap();
        let mark = rig.mark();
        rig.put("a.jpg", &photo(1, 900));
        rig.wait_arrived().await;
        assert_eq!(rig.calls_after(mark, call).len(), 2);
        rig.sim.fault(Fault::times(call, FaultKind::Errno(2), 2)).unwrap();
        rig.put("b.jpg", &photo(2, 900));
        rig.until("parked", |status| is_quiet(status) && status.totals.counts.failed == 1).await;
        assert_eq!(rig.calls_after(mark, call).len(), 4);
        rig.client.retry(None).await.unwrap();
        rig.wait_arrived().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slices_missing_twice_in_a_drive_without_room_means_that_it_is_full() {
    let rig = Rig::start(|_| ());
    rig.wait_quiet().await;
    rig.sim.fault(Fault::always("method=create", FaultKind::Errno(31_190))).unwrap();
    // Time to fill the drive after the second precreate.
    rig.sim.fault(Fault::always("method=create", FaultKind::Delay(Duration::from_secs(3)))).unwrap();
    rig.put("a.jpg", &photo(1, 90_000));
    rig.until_true("sent twice", || rig.sim.count("superfile2") == 2).await;
    rig.sim.set_quota(10).unwrap();
    let status = rig.until("full", |status| status.state == State::QuotaFull).await;
    assert!(
        status.reason.as_ref().unwrap().contains("10 bytes are free and the file has 90000"),
        "{status:#?}"
    );
    assert_eq!(rig.sim.count("precreate"), 2);
    rig.sim.clear_faults();
    rig.sim.set_quota(1 << 40).unwrap();
    rig.wait_arrived().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_that_is_refused_after_a_lost_answer_is_looked_up_before_anything_is_sent_again() {
    for refused in [None, Some(10), Some(31_363)] {
        let rig = Rig::start(|_| ());
        rig.put("first.jpg", &photo(9, 900));
        rig.wait_arrived().await;
        // The answer is lost, and the listing is not up to date yet; the session is used up.
        rig.sim.fault(Fault::once("method=create", FaultKind::DropAfter)).unwrap();
        rig.sim.fault(Fault::once("method=list", FaultKind::Errno(-9))).unwrap();
        if let Some(errno) = refused {
            rig.sim.fault(Fault::once("method=create", FaultKind::Errno(errno))).unwrap();
        }
        let mark = rig.mark();
        rig.put("film.mp4", &video(1, 5 * MIB));
        rig.wait_arrived().await;
        assert_eq!(rig.slices_after(mark), [0, 1], "{refused:?}");
        assert_eq!(rig.calls_after(mark, "precreate").len(), 1, "{refused:?}");
        let creates: Vec<i64> =
            rig.calls_after(mark, "method=create").iter().map(|call| call.errno).collect();
        assert_eq!(creates, [0, refused.unwrap_or(31_355)]);
    }
}
