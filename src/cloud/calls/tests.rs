//! The windows, the file they are kept in, and who is told of the waiting.

#![allow(clippy::unwrap_used)]

use super::*;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicI64, Ordering};

const USUAL: Allowance = Allowance { minute: 20, hour: 300, day: 1000, holds: Holds::Always };
const LISTALL: Allowance = Allowance { minute: 5, hour: 100, day: 500, holds: Holds::Always };
const START: i64 = 1_795_000_000_000;

struct Bench {
    folder: tempfile::TempDir,
    now_ms: Arc<AtomicI64>,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), now_ms: Arc::new(START.into()) }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("home.calls")
    }

    /// As after a start of the program.
    fn calls(&self) -> Arc<Calls> {
        let now_ms = Arc::clone(&self.now_ms);
        let clock = Clock::from_fn(move || now_ms.load(Ordering::Relaxed) * 1_000_000);
        Calls::of(self.file(), clock)
    }

    fn pass(&self, time: Duration) {
        self.now_ms.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
    }
}

/// How many calls go through at this moment.
fn burst(calls: &Calls, endpoint: &str, allowance: Allowance) -> usize {
    (0..2000).take_while(|_| calls.try_now(endpoint, allowance) == Turn::Now).count()
}

#[test]
fn the_numbers_of_the_documents_are_kept_in_every_window() {
    for allowance in [USUAL, LISTALL, Allowance { minute: 10, hour: 100, day: 300, holds: Holds::Always }] {
        let bench = Bench::new();
        let mut at = Vec::new();
        // Two days of somebody who calls as often as it goes, with a new start every ten hours.
        for minute in 0..2 * 24 * 60 {
            let calls = bench.calls();
            for _ in 0..burst(&calls, "list", allowance) {
                at.push(minute);
            }
            bench.pass(MINUTE);
        }
        let most = |window: i64| {
            (0..2 * 24 * 60)
                .map(|from| at.iter().filter(|at| (from..from + window).contains(*at)).count())
                .max()
        };
        assert_eq!(most(1), Some(allowance.minute));
        assert_eq!(most(60), Some(allowance.hour));
        assert_eq!(most(24 * 60), Some(allowance.day));
        assert!(at.len() >= 2 * allowance.day - allowance.hour, "{} calls in two days", at.len());
    }
}

#[test]
fn the_windows_slide_and_have_a_margin() {
    let bench = Bench::new();
    let calls = bench.calls();
    assert_eq!(burst(&calls, "list", USUAL), 20);
    bench.pass(MINUTE);
    assert_eq!(calls.try_now("list", USUAL), Turn::Wait(MARGIN));
    assert_eq!(burst(&calls, "quota", USUAL), 20, "each endpoint has its own");
    bench.pass(MARGIN);
    assert_eq!(burst(&bench.calls(), "list", USUAL), 20);
}

#[test]
fn the_counts_survive_a_restart_in_a_private_file_and_two_programs_share_them() {
    let bench = Bench::new();
    let (agent, command) = (bench.calls(), bench.calls());
    for _ in 0..2 {
        assert_eq!(agent.try_now("listall", LISTALL), Turn::Now);
        assert_eq!(command.try_now("listall", LISTALL), Turn::Now);
    }
    assert_eq!(burst(&bench.calls(), "listall", LISTALL), 1);
    let meta = std::fs::metadata(bench.file()).unwrap();
    assert_eq!(meta.permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_to_string(bench.file()).unwrap().lines().count(), 5);
}

#[test]
fn an_idle_boxs_questions_are_counted_and_not_written() {
    let bench = Bench::new();
    let calls = bench.calls();
    let written = || std::fs::read_to_string(bench.file()).unwrap().lines().count();
    assert_eq!(calls.try_now("uinfo", LISTALL), Turn::Now);
    // Days and days.
    for _ in 0..300 {
        bench.pass(HOUR);
        assert_eq!(calls.try_now("uinfo", LISTALL), Turn::Now);
        assert_eq!(written(), 1);
    }
    // The next that comes soon takes them with it.
    bench.pass(MINUTE);
    assert_eq!(calls.try_now("uinfo", LISTALL), Turn::Now);
    // Those of the last day.
    assert_eq!(written(), 1 + 24 + 1);
    assert_eq!(bench.calls().try_now("uinfo", LISTALL), Turn::Now);
    assert_eq!(written(), 1 + 24 + 2);
}

#[tokio::test]
async fn what_is_used_up_for_the_hour_fails_unsent_and_says_how_long() {
    let bench = Bench::new();
    let calls = bench.calls();
    for _ in 0..20 {
        assert_eq!(burst(&calls, "listall", LISTALL), 5);
        bench.pass(Duration::from_secs(90));
    }
    let error = calls.admit("listall", LISTALL).await.unwrap_err();
    let wait = HOUR + MARGIN - 20 * Duration::from_secs(90);
    assert_eq!((error.kind, error.sent), (Kind::Busy { after: Some(wait) }, false));
    let words =
        "listall: the 100 calls that the cloud allows an hour are used up; the next may go in 31 minutes";
    assert_eq!(error.to_string(), words);
    bench.pass(wait);
    calls.admit("listall", LISTALL).await.unwrap();
}

#[tokio::test]
async fn over_the_minutes_allowance_a_call_waits_inside_and_can_be_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let calls = Calls::of(folder.path().join("home.calls"), Clock::system().hurried(100));
    let small = Allowance { minute: 1, hour: 100, day: 500, holds: Holds::Always };
    calls.admit("listall", small).await.unwrap();
    let waiting = calls.admit("listall", small);
    assert!(tokio::time::timeout(Duration::from_millis(20), waiting).await.is_err());
    calls.admit("listall", small).await.unwrap();
}

#[test]
fn junk_in_the_file_is_skipped_and_the_file_made_anew() {
    let bench = Bench::new();
    for junk in [&b"\xff\xfe\0junk"[..], b"list x\nlist\n\n 5", &vec![b'7'; 2 << 20]] {
        std::fs::write(bench.file(), junk).unwrap();
        assert_eq!(burst(&bench.calls(), "list", USUAL), 20);
        let text = std::fs::read_to_string(bench.file()).unwrap();
        assert!(text.lines().count() == 20 && text.lines().all(|line| line.starts_with("list 17950")));
        std::fs::remove_file(bench.file()).unwrap();
    }
    // A folder in its place: nothing is kept, and still no more than is allowed.
    std::fs::create_dir(bench.file()).unwrap();
    assert_eq!(burst(&bench.calls(), "list", USUAL), 20);
}

#[test]
fn a_clock_that_jumps_blocks_no_call_for_longer_than_its_window() {
    let bench = Bench::new();
    assert_eq!(burst(&bench.calls(), "list", USUAL), 20);
    // Twenty years back: the calls of the future count as made now, once.
    bench.now_ms.store(START - 20 * 365 * 86_400_000, Ordering::Relaxed);
    assert_eq!(burst(&bench.calls(), "list", USUAL), 0);
    bench.pass(MINUTE + MARGIN);
    assert_eq!(burst(&bench.calls(), "list", USUAL), 20);
    // And forward again.
    bench.now_ms.store(START, Ordering::Relaxed);
    assert_eq!(burst(&bench.calls(), "list", USUAL), 20);
}

#[test]
fn the_file_stays_small() {
    let bench = Bench::new();
    for _ in 0..40 {
        for endpoint in ["uinfo", "quota"] {
            assert_eq!(burst(&bench.calls(), endpoint, USUAL), 20);
        }
        bench.pass(DAY + MARGIN);
    }
    assert!(std::fs::metadata(bench.file()).unwrap().len() < 10_000);
}

const DOWNLOAD: Allowance = Allowance { holds: Holds::AfterRefusal, ..USUAL };

#[test]
fn downloads_are_not_counted_until_the_cloud_refuses_one_and_then_keep_the_pace_for_a_day() {
    let bench = Bench::new();
    assert_eq!(burst(&bench.calls(), "download", DOWNLOAD), 2000, "as many as anybody asks for");
    assert_eq!(std::fs::metadata(bench.file()).unwrap().len(), 0, "and nothing is written of them");
    bench.calls().note_refusal("download");
    let text = std::fs::read_to_string(bench.file()).unwrap();
    assert_eq!(text, format!("download-refused {START}\n"));
    // After a restart too, in all windows, and for no other call.
    assert_eq!(burst(&bench.calls(), "download", DOWNLOAD), 20);
    assert_eq!(burst(&bench.calls(), "preview", DOWNLOAD), 2000);
    assert!(matches!(bench.calls().try_now("download", DOWNLOAD), Turn::Wait(_)));
    bench.pass(MINUTE + MARGIN);
    assert_eq!(burst(&bench.calls(), "download", DOWNLOAD), 20);
    bench.pass(DAY - MINUTE);
    assert_eq!(burst(&bench.calls(), "download", DOWNLOAD), 2000, "a day later it is forgotten");
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_is_told_once_how_long_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (hears, begun) = (Arc::clone(&heard), tokio::time::Instant::now());
    let clock =
        Clock::from_fn(move || START * 1_000_000 + i64::try_from(begun.elapsed().as_nanos()).unwrap());
    let calls =
        Calls::telling(folder.path().join("home.calls"), clock, move |it| hears.lock().unwrap().push(it));
    let small = Allowance { minute: 1, ..LISTALL };
    calls.admit("listall", small).await.unwrap();
    assert!(heard.lock().unwrap().is_empty());
    // Two wait together; when one of them has had its turn the other waits again.
    let (one, other) = tokio::join!(calls.admit("listall", small), calls.admit("listall", small));
    assert!(one.is_ok() && other.is_ok());
    let heard = heard.lock().unwrap();
    let waits = Waiting { endpoint: "listall", wait: MINUTE + MARGIN, minute: 1 };
    assert_eq!(*heard, [waits, waits]);
    let words = Waiting { wait: Duration::from_millis(39_100), minute: 5, ..waits }.to_string();
    assert_eq!(words, "waiting 40 s: the cloud allows 5 listall calls a minute");
}
