//! The control socket of a live agent: what it answers, what it does, and what it says in between.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use cloudsim::{Fault, FaultKind};
use common::media::{photo, video};
use common::{Folder, Rig, check_sums, is_quiet};
use tokio_util::sync::CancellationToken;
use xpand::agent::{self, Options, Signals};
use xpand::clock::Clock;
use xpand::config::Config;
use xpand::control::client::ClientError;
use xpand::control::{Failure, FileState, QueueQuery, Standing};
use xpand::status::State;

fn refused<T: std::fmt::Debug>(answer: Result<T, ClientError>) -> Failure {
    match answer.unwrap_err() {
        ClientError::Refused(failure) => failure,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sums_are_right_in_every_document_of_the_event_stream() {
    let mut rig = Rig::ready(|setup| {
        setup.sim.latency = Duration::from_millis(5);
        setup.folders.push(Folder { label: "camera", account: "home", more: String::new() });
    });
    rig.put_photos(60);
    for seed in 0..20 {
        rig.put_in("camera", &format!("{seed}.jpg"), &photo(seed, 900));
    }
    rig.put("empty.jpg", b"");
    rig.sim.fault(Fault::once("method=create", FaultKind::Errno(31_062)).after(5)).unwrap();
    rig.begin();
    // The socket is there a moment before anybody listens at it.
    rig.until("an answer", |_| true).await;
    let mut events = rig.client.events().await.unwrap();
    let (mut seen, mut backed_up, mut changed) = (0, 0, false);
    let begun = Instant::now();
    loop {
        let status = events.next().await.unwrap().expect("the agent goes on");
        assert!(begun.elapsed() < common::PATIENCE, "{}", rig.story(Some(&status)));
        check_sums(&status);
        for file in &status.active {
            assert!(file.done <= file.size, "{file:?}");
        }
        assert!(changed || status.totals.counts.backed_up >= backed_up, "backed up, and not any more");
        backed_up = status.totals.counts.backed_up;
        seen += 1;
        if !changed && backed_up > 20 {
            changed = true;
            // Not one of the first, of which one is parked.
            rig.put("2024/02/IMG_0059.jpg", &photo(777, 1234));
            fs::remove_file(rig.root("camera").join("9.jpg")).unwrap();
        }
        let counts = &status.totals.counts;
        if is_quiet(&status) && (counts.files, counts.failed, counts.skipped) == (80, 1, 1) {
            break;
        }
    }
    assert!(seen > 3, "{seen} documents");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_holds_survives_a_restart_and_ends_by_a_word() {
    let mut rig = Rig::start(|_| ());
    rig.wait_quiet().await;
    rig.client.pause(None).await.unwrap();
    rig.put_photos(3);
    let status = rig.until("three waiting", |status| status.totals.counts.waiting == 3).await;
    assert_eq!(status.state, State::Paused);
    assert!(status.reason.unwrap().contains("xpand resume"));
    rig.restart().await;
    rig.until("paused", |s| s.state == State::Paused && s.totals.counts.waiting == 3).await;
    rig.assert_nothing_sent_after(0);
    rig.client.resume().await.unwrap();
    rig.wait_arrived().await;
    rig.restart().await;
    rig.until("idle", |status| status.state == State::Idle && is_quiet(status)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_for_a_time_ends_by_itself() {
    let rig = Rig::start(|_| ());
    rig.wait_quiet().await;
    let begun = Instant::now();
    rig.client.pause(Some(Duration::from_secs(2))).await.unwrap();
    rig.put_photos(3);
    rig.until("paused", |s| s.state == State::Paused && s.totals.counts.waiting == 3).await;
    rig.wait_arrived().await;
    assert!(begun.elapsed() >= Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_in_the_middle_of_a_video_stops_it_and_costs_the_slices_in_flight() {
    let mut rig = Rig::ready(|setup| {
        setup.parallel = 2;
        setup.sim.bandwidth = Some(8 << 20);
    });
    rig.put("film.mp4", &video(1, 31 << 20));
    rig.begin();
    rig.until_true("two slices", || rig.slices_after(0).len() >= 2).await;
    rig.client.pause(None).await.unwrap();
    rig.until("a stop", |status| status.state == State::Paused && status.active.is_empty()).await;
    rig.sim.set_bandwidth(None);
    rig.client.resume().await.unwrap();
    rig.wait_arrived().await;
    let sent = rig.slices_after(0);
    assert!(sent.len() <= 8 + 2, "{sent:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_takes_a_good_configuration_and_refuses_a_bad_one() {
    let mut rig = Rig::start(|_| ());
    rig.put_photos(3);
    rig.wait_arrived().await;
    rig.setup.folders.push(Folder { label: "camera", account: "home", more: String::new() });
    fs::create_dir(rig.root("camera")).unwrap();
    rig.put_in("camera", "a.jpg", &photo(50, 900));
    rig.write_config();
    rig.client.reload().await.unwrap();
    let status = rig.wait_arrived().await;
    assert_eq!(status.folders.len(), 2);
    // Bad: all its mistakes are told, and the old one stays.
    let good = fs::read_to_string(rig.config_file()).unwrap();
    fs::write(rig.config_file(), good.replace("settle =", "setle =")).unwrap();
    let failure = refused(rig.client.reload().await);
    assert_eq!((failure.status, failure.code.as_str()), (422, "bad_config"));
    assert!(failure.message.contains("settle") && failure.message.contains("config.toml:"), "{failure:?}");
    rig.hang_up();
    fs::write(rig.config_file(), good.replace("/state\"", "/elsewhere\"")).unwrap();
    assert!(refused(rig.client.reload().await).message.contains("only with a restart"));
    rig.put("late.jpg", &photo(51, 900));
    rig.wait_arrived().await;
    // And without the folder again: what it has is kept, and nothing of it is sent when it is back.
    let mark = rig.mark();
    let camera = rig.setup.folders.pop().unwrap();
    rig.write_config();
    rig.hang_up();
    rig.until("one folder", |status| status.folders.len() == 1 && is_quiet(status)).await;
    rig.setup.folders.push(camera);
    rig.write_config();
    rig.hang_up();
    rig.until("two folders", |status| status.folders.len() == 2 && is_quiet(status)).await;
    rig.assert_nothing_sent_after(mark);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_in_the_middle_of_uploads_lose_and_repeat_nothing() {
    let mut rig = Rig::ready(|setup| setup.sim.latency = Duration::from_millis(3));
    rig.put_photos(60);
    rig.put("film.mp4", &video(1, 17 << 20));
    rig.begin();
    for number in 1..=4 {
        rig.until_true("some files", || rig.sim.files().len() > 9 * number).await;
        rig.client.reload().await.unwrap();
    }
    rig.wait_arrived().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_is_told_in_pages_that_show_every_file_once() {
    let rig = Rig::start(|_| ());
    rig.wait_quiet().await;
    rig.client.pause(None).await.unwrap();
    rig.put_photos(25);
    rig.until("25 waiting", |status| status.totals.counts.waiting == 25).await;
    // The queue knows them once they have settled.
    let mut query = QueueQuery { state: Some(FileState::Waiting), limit: 10, after: None };
    let begun = Instant::now();
    let seen = loop {
        let (mut seen, mut pages) = (Vec::new(), 0);
        query.after = None;
        loop {
            let page = rig.client.queue(&query).await.unwrap();
            assert!(page.files.len() <= 10 && page.files.iter().all(|file| file.state == FileState::Waiting));
            seen.extend(page.files.into_iter().map(|file| file.path));
            pages += 1;
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        if seen.len() == 25 {
            assert!((3..=4).contains(&pages), "{pages}");
            break seen;
        }
        assert!(begun.elapsed() < common::PATIENCE, "{seen:?}");
        tokio::time::sleep(Duration::from_millis(15)).await;
    };
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 25);
    rig.client.resume().await.unwrap();
    rig.wait_arrived().await;
    let done = QueueQuery { state: Some(FileState::Done), limit: 1000, after: None };
    let page = rig.client.queue(&done).await.unwrap();
    assert_eq!((page.files.len(), page.next), (25, None));
    assert!(page.files.iter().all(|file| file.remote.is_some()));
    let failure = refused(rig.client.queue(&QueueQuery { after: Some("junk".into()), ..done }).await);
    assert_eq!(failure.code, "bad_request");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_scan_and_retry_know_where_a_path_belongs() {
    let rig = Rig::start(|_| ());
    let path = rig.put("a.jpg", &photo(1, 900));
    rig.wait_arrived().await;
    let line = rig.client.explain(&path).await.unwrap();
    assert_eq!(line.state, Standing::BackedUp);
    assert_eq!(line.remote.as_deref(), Some("/apps/xpand/photo/a.jpg"));
    assert_eq!((line.size, line.backed_up_size), (Some(900), Some(900)));
    assert_eq!(rig.client.explain(Path::new("/etc/passwd")).await.unwrap().state, Standing::Outside);
    assert_eq!(rig.client.explain(&rig.root("photo").join("no.jpg")).await.unwrap().state, Standing::Missing);
    for outside in ["/etc/passwd", "/"] {
        let outside = Some(Path::new(outside));
        assert_eq!(refused(rig.client.scan(outside).await).code, "not_found");
        assert_eq!(refused(rig.client.retry(outside).await).code, "not_found");
    }
    rig.client.scan(Some(&path)).await.unwrap();
    for known in [&path, &rig.root("photo")] {
        rig.client.retry(Some(known)).await.unwrap();
    }
    let nothing = rig.root("photo").join("no.jpg");
    assert_eq!(refused(rig.client.retry(Some(&nothing)).await).code, "not_found");
    let status = rig.wait_quiet().await;
    assert_eq!(status.totals.counts.backed_up, 1);
    assert_eq!(rig.slices_after(0).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_agent_on_the_same_state_is_refused_and_the_first_goes_on() {
    let rig = Rig::start(|_| ());
    rig.wait_quiet().await;
    let config = Config::read(rig.config_file()).unwrap();
    let signals = Signals { shutdown: CancellationToken::new(), reload: std::sync::Arc::default() };
    let options = Options { config, socket: Some(rig.path("other.sock")), clock: Clock::system() };
    let words = agent::run(options, signals).await.unwrap_err().to_string();
    let pid = std::process::id().to_string();
    assert!(words.contains("another xpand agent") && words.contains(&pid), "{words}");
    // As a program: exit code and words.
    let mut program = rig.spawn();
    assert_eq!(program.wait().await.code(), Some(1));
    assert!(rig.log().contains("another xpand agent"), "{}", rig.log());
    rig.put("a.jpg", &photo(1, 900));
    rig.wait_arrived().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_put_where_nobody_watches_is_found_by_a_scan() {
    let rig = Rig::start(|_| ());
    rig.wait_quiet().await;
    rig.put("a.jpg", &photo(1, 900));
    rig.client.scan(None).await.unwrap();
    rig.client.scan(Some(&rig.root("photo"))).await.unwrap();
    rig.wait_arrived().await;
    rig.client.scan(Some(&rig.root("photo").join("not/there"))).await.unwrap();
    let status = rig.wait_quiet().await;
    assert_eq!(status.totals.counts.files, 1);
}
