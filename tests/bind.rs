//! The device: registered once, bound once, and never bound again by itself after a person unbound it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::time::{Duration, Instant};

use cloudsim::{Fault, FaultKind};
use common::clouds::Cloud;
use common::media::{photo, video};
use common::{Account, Folder, Rig, Setup, is_quiet};
use xpand::cloud;
use xpand::config::Config;
use xpand::device::{Binding, Device};
use xpand::status::{AccountState, DeviceState, State};

/// Two seconds to notice what another process did, and ten times that for a machine with other work.
const SOON: Duration = Duration::from_secs(20);

fn with_device(setup: &mut Setup) {
    setup.device = Some("SN0001");
    setup.check_bind = "1s";
}

/// What `xpand device bind` and `unbind` do, from another process as far as the agent can tell.
async fn device_command(rig: &Rig, bind: bool) -> Binding {
    let config = Config::read(rig.config_file()).unwrap();
    let account = &config.accounts[0];
    let drive =
        cloud::open(account, rig.accounts().tokens(account).unwrap(), cloud::Calls::uncounted()).unwrap();
    let user = drive.user().await.unwrap();
    let device = Device::new(&rig.state_dir(), config.device.as_ref());
    let calls = drive.devices().unwrap();
    if bind {
        device.bind("home", &user.id, calls).await.unwrap()
    } else {
        device.unbind("home", &user.id, calls).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_device_registers_once_and_binds_once() {
    let mut rig = Rig::ready(with_device);
    rig.put("a.jpg", &photo(1, 900));
    rig.begin();
    let status = rig.wait_arrived().await;
    assert_eq!(status.device.state, DeviceState::Registered);
    assert_eq!(status.device.address, Some(cloudsim::md5_hex(b"SN0001")));
    let id = status.device.id.unwrap();
    // Several checks later, and after a restart, there is still one of each.
    rig.until_true("three checks", || rig.sim.count("method=checkbind") >= 3).await;
    rig.restart().await;
    let mark = rig.mark();
    rig.until_true("a check", || !rig.calls_after(mark, "method=checkbind").is_empty()).await;
    assert_eq!((rig.sim.count("method=register"), rig.sim.count("method=bind")), (1, 1));
    assert!(rig.sim.count("method=diff") >= 2);
    // The check is seen here before the agent has taken its answer in.
    let status = rig.until("the device", |status| status.device.id.is_some()).await;
    assert_eq!(status.device.id, Some(id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_device_no_device_call_is_made() {
    let rig = Rig::start(|setup| setup.check_bind = "1s");
    rig.put("a.jpg", &photo(1, 900));
    let status = rig.wait_arrived().await;
    assert_eq!(status.device.state, DeviceState::Off);
    rig.until_true("three rounds", || rig.sim.count("method=uinfo") >= 3).await;
    assert_eq!(rig.sim.count("xpan/device"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unbound_in_the_app_it_stops_says_so_and_stays_so_until_a_person_binds_it() {
    let mut rig = Rig::ready(with_device);
    rig.put("a.jpg", &photo(1, 900));
    rig.begin();
    rig.wait_arrived().await;
    assert_eq!(rig.sim.unbind().unwrap(), 1);
    let status = rig.until("needs_bind", |status| status.state == State::NeedsBind).await;
    assert!(status.reason.as_ref().unwrap().contains("xpand device bind --account home"), "{status:#?}");
    assert_eq!(status.accounts[0].state, AccountState::Unbound);
    let mark = rig.mark();
    rig.put("b.jpg", &photo(2, 900));
    rig.until("one waits", |status| status.totals.counts.waiting == 1).await;
    rig.until_true("more checks", || rig.calls_after(mark, "method=checkbind").len() >= 3).await;
    // A restart changes nothing.
    rig.restart().await;
    rig.until("needs_bind", |status| status.state == State::NeedsBind).await;
    let again = rig.mark();
    rig.until_true("more checks", || rig.calls_after(again, "method=checkbind").len() >= 2).await;
    rig.assert_nothing_sent_after(mark);
    assert!(rig.calls_after(mark, "method=bind").is_empty());
    let begun = Instant::now();
    assert_eq!(device_command(&rig, true).await, Binding::Bound);
    rig.wait_arrived().await;
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unbinding_in_the_middle_of_a_video_stops_it_and_binding_resumes_it() {
    let mut rig = Rig::ready(|setup| {
        with_device(setup);
        setup.parallel = 1;
        setup.sim.bandwidth = Some(4 << 20);
    });
    rig.put("film.mp4", &video(1, 35 << 20));
    rig.begin();
    rig.until_true("a slice", || !rig.slices_after(0).is_empty()).await;
    rig.sim.unbind().unwrap();
    rig.until("a stop", |s| s.state == State::NeedsBind && s.active.is_empty()).await;
    assert!(rig.sim.files().is_empty());
    rig.sim.set_bandwidth(None);
    device_command(&rig, true).await;
    rig.wait_arrived().await;
    assert!(rig.slices_after(0).len() <= 9 + 2, "{:?}", rig.slices_after(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unbound_by_our_own_command_it_stops_within_two_seconds() {
    let mut rig = Rig::ready(|setup| setup.device = Some("SN0001"));
    rig.put("a.jpg", &photo(1, 900));
    rig.begin();
    rig.wait_arrived().await;
    assert_eq!(device_command(&rig, false).await, Binding::Unbound { by_user: false });
    let begun = Instant::now();
    rig.until("needs_bind", |status| status.state == State::NeedsBind).await;
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    rig.put("b.jpg", &photo(2, 900));
    rig.until("one waits", |status| status.totals.counts.waiting == 1).await;
    assert_eq!((rig.sim.files().len(), rig.sim.count("method=bind")), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_others_have_is_told_in_words_with_the_last_user() {
    let mut rig = Rig::ready(|setup| {
        setup.device = Some("SN0001");
        setup.sim.max_users_per_device = 1;
        setup.accounts.push(Account { name: "work", user: "second", cloud: Cloud::Baidu, logged_in: false });
        setup.folders.push(Folder { label: "office", account: "work", more: String::new() });
    });
    rig.put("a.jpg", &photo(1, 900));
    rig.put_in("office", "b.jpg", &photo(2, 900));
    rig.begin();
    rig.until("the first's", |status| status.totals.counts.backed_up == 1).await;
    rig.log_in("work");
    let status = rig.until("needs_bind", |status| status.state == State::NeedsBind).await;
    let reason = status.reason.unwrap();
    assert!(reason.contains("de***mo") && reason.contains("42103"), "{reason}");
    assert_eq!(status.accounts[0].state, AccountState::Ready);
    rig.put("c.jpg", &photo(3, 900));
    rig.until("the first goes on", |status| status.totals.counts.backed_up == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_device_type_is_told_in_words() {
    let mut rig = Rig::ready(with_device);
    rig.put("a.jpg", &photo(1, 900));
    rig.sim.fault(Fault::always("method=register", FaultKind::Errno(42_100))).unwrap();
    rig.begin();
    let status = rig.until("needs_bind", |status| status.state == State::NeedsBind).await;
    assert!(status.reason.as_ref().unwrap().contains("check `type` in [device]"), "{status:#?}");
    assert!(rig.sim.files().is_empty());
    rig.sim.clear_faults();
    rig.wait_arrived().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_call_that_fails_for_the_moment_is_made_again() {
    for method in ["register", "bind", "checkbind", "diff"] {
        let mut rig = Rig::ready(with_device);
        rig.put("a.jpg", &photo(1, 900));
        for kind in [FaultKind::DropBefore, FaultKind::DropAfter, FaultKind::Html(502), FaultKind::Empty500] {
            rig.sim.fault(Fault::once(&format!("method={method}"), kind)).unwrap();
        }
        rig.begin();
        rig.wait_arrived().await;
        let device = rig.status().await.device;
        assert_eq!(device.state, DeviceState::Registered, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_and_a_logout_elsewhere_are_noticed_within_two_seconds() {
    let rig = Rig::start(|setup| setup.accounts[0].logged_in = false);
    rig.put("a.jpg", &photo(1, 900));
    let status = rig.until("needs_login", |status| status.state == State::NeedsLogin).await;
    assert!(status.reason.unwrap().contains("xpand account login home"));
    let begun = Instant::now();
    rig.log_in("home");
    rig.until("ready", |status| status.accounts[0].state == AccountState::Ready).await;
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    rig.wait_arrived().await;
    let begun = Instant::now();
    assert!(rig.accounts().logout("home").unwrap());
    rig.until("needs_login", |status| status.state == State::NeedsLogin).await;
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    rig.put("b.jpg", &photo(2, 900));
    rig.until("one waits", |status| status.totals.counts.waiting == 1).await;
    rig.log_in("home");
    rig.wait_arrived().await;
    rig.until("quiet", is_quiet).await;
}
