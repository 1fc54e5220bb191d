//! Clocks that say nothing, jump, or are changed with the seasons, and files that lie about their age.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use cloudsim::{Fault, FaultKind};
use common::media::{photo, video};
use common::{Rig, numbered};
use xpand::clock::Clock;
use xpand::status::{AccountState, State};

const DAY: i64 = 86_400;
const YEARS: i64 = 10 * 365 * DAY;

/// A clock that a test sets: so many seconds beside the right time.
fn settable(beside: &Arc<AtomicI64>) -> Clock {
    let (right, beside) = (Clock::system(), Arc::clone(beside));
    Clock::from_fn(move || right.now_ns() + beside.load(Ordering::SeqCst) * 1_000_000_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_box_that_does_not_know_the_time_waits_watches_and_goes_on_by_itself() {
    let in_1970 = -Clock::system().now_secs() + 3600;
    let beside = Arc::new(AtomicI64::new(in_1970));
    let mut rig = Rig::ready(|setup| {
        setup.clock = settable(&beside);
        // In a hurry it would look again soon enough without noticing that the clock was set.
        setup.hurry = 1;
    });
    rig.put_photos(3);
    rig.begin();
    let is_waiting = |status: &xpand::status::Status, files| {
        status.state == State::WaitingForClock && status.totals.counts.waiting == files
    };
    let status = rig.until("a word about the clock", |s| is_waiting(s, 3)).await;
    let words = "the clock says 1970-01-01; waiting until it is set, as by NTP";
    assert_eq!(status.reason.as_deref(), Some(words));
    assert_eq!(
        (status.accounts[0].state, status.accounts[0].reason.as_deref()),
        (AccountState::Offline, Some(words))
    );
    // The folders are watched all the same.
    rig.put("new.jpg", &photo(1, 900));
    rig.until("a fourth file", |status| is_waiting(status, 4)).await;
    assert!(rig.sim.calls().is_empty(), "{}", rig.story(None));
    beside.store(0, Ordering::SeqCst);
    rig.wait_arrived().await;
    // And back, as when the battery of the clock is at its end.
    beside.store(in_1970, Ordering::SeqCst);
    rig.put("newer.jpg", &photo(2, 900));
    rig.until("the clock again", |status| is_waiting(status, 1)).await;
    beside.store(0, Ordering::SeqCst);
    rig.wait_arrived().await;
    rig.until("idle", |status| status.state == State::Idle).await;
}

/// Files that wait, and an account that pauses, because of something that happened by another time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_put_off_by_a_wrong_clock_is_not_put_off_for_years() {
    // The cloud's limit pauses the account; a 500 puts off the file alone.
    let troubles = [FaultKind::Errno(-10), FaultKind::Status(500)];
    for trouble in troubles {
        let beside = Arc::new(AtomicI64::new(YEARS));
        let rig = Rig::start(|setup| {
            setup.clock = settable(&beside);
            setup.hurry = 500;
        });
        rig.wait_quiet().await;
        for (number, jump) in [YEARS, 0].into_iter().enumerate() {
            beside.store(jump, Ordering::SeqCst);
            rig.sim.fault(Fault::always("precreate", trouble.clone())).unwrap();
            let mark = rig.mark();
            rig.put(&format!("{number}.jpg"), &photo(number as u64, 900));
            rig.until_true("refusals", || rig.calls_after(mark, "precreate").len() >= 4).await;
            // Put off by one time, taken up by the other.
            beside.store(YEARS - jump, Ordering::SeqCst);
            rig.sim.clear_faults();
            rig.wait_arrived().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_from_the_future_and_from_before_1970_are_backed_up_once_and_left_alone() {
    let mut rig = Rig::ready(|setup| {
        setup.folders[0].more = "remote = \"{label}/{year}/{path}\"\n".into();
    });
    let future = SystemTime::UNIX_EPOCH + Duration::from_secs(4_086_000_000);
    let past = SystemTime::UNIX_EPOCH - Duration::from_secs(200 * 86_400);
    for (name, time, seed) in [("future", future, 1), ("epoch", SystemTime::UNIX_EPOCH, 2), ("past", past, 3)]
    {
        // Without a date of their own.
        let path = rig.put(&format!("{name}.mp4"), &video(seed, 9000));
        std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }
    rig.begin();
    let seen = rig.wait_arrived().await;
    rig.stored("photo/2099/future.mp4");
    rig.stored("photo/1969/past.mp4");
    assert_eq!(seen.state, State::Idle);
    let mark = rig.mark();
    for _ in 0..2 {
        let before = rig.status().await.folders[0].last_scan.clone();
        tokio::time::sleep(Duration::from_millis(1100)).await;
        rig.client.scan(None).await.unwrap();
        rig.until("another look", |s| s.folders[0].last_scan != before && s.is_quiet()).await;
    }
    assert!(rig.calls_after(mark, "precreate").is_empty());
    rig.restart().await;
    rig.wait_arrived().await;
    rig.assert_nothing_sent_after(mark);
}

/// Milliseconds since 1970, as the cloud puts down when a call came.
fn right_ms() -> i64 {
    Clock::system().now_ms()
}

/// A clock that comes to this hour of the day in three seconds, and the right time at which it does.
fn soon(hour: i8) -> (Clock, i64) {
    let now = jiff::Timestamp::from_millisecond(right_ms()).unwrap().to_zoned(jiff::tz::TimeZone::system());
    let then = now.with().hour(hour).minute(0).second(0).subsec_nanosecond(0).build().unwrap();
    let ahead_ms = then.timestamp().as_millisecond() - right_ms() - 3000;
    let right = Clock::system();
    (Clock::from_fn(move || right.now_ns() + ahead_ms * 1_000_000), right_ms() + 3000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_before_the_hours_begin_and_everything_once_they_have() {
    let (clock, begin_ms) = soon(1);
    let rig = Rig::start(|setup| {
        setup.clock = clock;
        setup.upload = "hours = [\"01:00-06:00\"]\n".into();
    });
    rig.put_photos(3);
    rig.wait_arrived().await;
    let first = rig.calls_after(0, "precreate").first().map(|call| call.time_ms).unwrap();
    assert!(i64::try_from(first).unwrap() >= begin_ms, "{first} is before {begin_ms}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_logs_in_while_the_agent_runs_has_a_place_in_the_hours_as_well() {
    let (clock, begin_ms) = soon(1);
    let rig = Rig::start(|setup| {
        setup.clock = clock;
        setup.upload = "hours = [\"01:00-06:00\"]\n".into();
        setup.accounts[0].logged_in = false;
        setup.hurry = 1;
    });
    rig.put_photos(1);
    rig.until("nobody", |status| status.state == State::NeedsLogin).await;
    rig.log_in_as("home", LATE);
    // Three quarters of a minute after the hours have begun.
    let is_waiting = |status: &xpand::status::Status| {
        right_ms() > begin_ms + 2000
            && status.reason.as_deref().is_some_and(|words| words.contains("outside upload.hours"))
    };
    rig.until("its place in the first minute", is_waiting).await;
    assert!(!rig.calls_after(0, "uinfo").is_empty());
    assert!(rig.calls_after(0, "precreate").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_hours_end_nothing_more_is_sent() {
    let (clock, end_ms) = soon(6);
    let rig = Rig::start(|setup| {
        setup.clock = clock;
        // The film would take minutes.
        setup.upload = "hours = [\"01:00-06:00\"]\nrate = \"64KiB/s\"\n".into();
    });
    rig.put("film.mp4", &video(1, 16 << 20));
    let closed = |status: &xpand::status::Status| {
        status.state != State::BackingUp
            && status.reason.as_deref().is_some_and(|words| words.contains("outside upload.hours"))
    };
    rig.until("the end of the hours", closed).await;
    assert!(right_ms() >= end_ms);
    let quiet = rig.until("the end of what was sent", |s| closed(s) && s.active.is_empty()).await;
    let (mark, sent) = (rig.mark(), quiet.totals.bytes_sent);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let later = rig.until("the same", closed).await;
    assert_eq!((rig.mark(), later.totals.bytes_sent), (mark, sent));
}

/// The name of a login in its file, which says when in ten minutes after a power cut the box calls: here after three
/// quarters of them.
const LATE: u64 = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_power_cut_a_box_calls_in_its_own_time_and_at_once_when_somebody_logs_in() {
    let mut rig = Rig::backed_up(|rig| rig.put_photos(1)).await;
    let file = rig.state_dir().join("accounts/home.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let boot = rig.state_dir().join("boot");
    assert!(boot.exists());
    let rest = |status: &xpand::status::Status| {
        // In its first moments an agent tells of no account.
        let words = status.accounts.first().and_then(|account| account.reason.as_deref());
        words.is_some_and(|words| {
            words.starts_with("this box has just been started: the cloud is first asked at ")
        })
    };
    for logs_in in [true, false] {
        std::fs::write(&file, numbered(&text, LATE)).unwrap();
        std::fs::write(&boot, "another\n").unwrap();
        // As the box has it: over seven minutes; a moment is enough where nobody logs in.
        rig.setup.hurry = if logs_in { 1 } else { 200 };
        let mark = rig.mark();
        rig.put(&format!("{logs_in}.jpg"), &photo(u64::from(logs_in), 900));
        rig.begin();
        rig.until("a rest", rest).await;
        if logs_in {
            assert_eq!(rig.mark(), mark, "it asked");
            rig.log_in("home");
        }
        rig.wait_arrived().await;
        rig.stop().await;
    }
    // The system was not started since: nothing waits.
    rig.put("last.jpg", &photo(77, 900));
    rig.setup.hurry = 1;
    rig.begin();
    rig.wait_arrived().await;
}
