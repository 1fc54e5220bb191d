//! Lost or damaged state means look again, not send again: whatever became of our own memory, nothing that
//! the cloud has is sent a second time, and nothing is lost.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]
mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cloudsim::{Call, Fault, FaultKind};
use common::clouds::{Cloud, at_each_cloud};
use common::media::{noise, photo, video};
use common::{Folder, PATIENCE, Rig, is_quiet};
use xpand::status::{State, Status};
use xpand::store::Store;

at_each_cloud! {
    a_kill_while_the_cloud_is_asked_costs_one_call
    a_rebuild_makes_the_index_again_and_sends_nothing
}

const MIB: usize = 1 << 20;
const PHOTOS: usize = 150;
/// With two films of several slices.
const FILES: u64 = PHOTOS as u64 + 2;

/// A library in the cloud, and the agent ended.
async fn backed_up() -> Rig {
    backed_up_at(Cloud::Baidu).await
}

/// At 123pan it has no films.
async fn backed_up_at(cloud: Cloud) -> Rig {
    Rig::backed_up_at(cloud, |rig| {
        rig.put_photos(PHOTOS);
        rig.put("film.mp4", &video(1, 9 * MIB));
        rig.put("2024/long.mov", &video(2, 5 * MIB));
    })
    .await
}

/// Starts the agent, again when it ends with a damaged database, as systemd does; waits until everything is
/// backed up, checks that nothing was sent and nothing is there twice, and ends it.
async fn look_again(rig: &mut Rig, what: &str, files: u64) -> Vec<Call> {
    let mark = rig.mark();
    let mut starts = 1;
    rig.begin();
    let begun = Instant::now();
    loop {
        let status = rig.client.status().await.ok();
        // That it has caught up is put down a moment after it has.
        let has_caught_up = !rig.state_dir().join("look_first").exists();
        if has_caught_up && status.as_ref().is_some_and(|s| is_quiet(s) && s.totals.counts.backed_up == files)
        {
            break;
        }
        if rig.has_ended() {
            let error = rig.ended().await.expect_err("it was not told to end");
            starts += 1;
            assert!(starts < 5, "{what}: {error}");
            rig.begin();
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: {}", rig.story(status.as_ref()));
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    // Damage may show at the very end, too; then the next start sets it aside.
    let _ = rig.try_stop().await;
    rig.assert_arrived_once();
    let cloud = rig.cloud();
    for text in [cloud.begin(), cloud.slice(), cloud.finish()] {
        let calls = rig.calls_after(mark, text);
        assert!(calls.is_empty(), "{what}: {} of {text}", calls.len());
    }
    listings(rig, mark)
}

/// What was asked for a list since a mark. 123pan's own folder is listed to see whether a login is good.
fn listings(rig: &Rig, mark: u64) -> Vec<Call> {
    let mut calls = rig.calls_after(mark, rig.cloud().list());
    calls.retain(|call| call.form.get("parentFileId").is_none_or(|id| !id.is_empty()));
    calls
}

/// The pages of recursive listings among calls: where each began.
fn pages(calls: &[Call]) -> Vec<u64> {
    let all = calls.iter().filter(|call| call.query.get("method").is_some_and(|name| name == "listall"));
    all.map(|call| call.query["start"].parse().unwrap()).collect()
}

fn aside(rig: &Rig) -> PathBuf {
    rig.state_dir().join("db.damaged")
}

/// The database's files, largest first.
fn db_files(rig: &Rig) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        common::files_below(&rig.state_dir().join("db")).into_iter().map(|(path, _)| path).collect();
    files.sort_by_key(|path| std::cmp::Reverse(fs::metadata(path).unwrap().len()));
    files
}

fn cut(path: &Path, length: u64) {
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_gone_or_cut_short_costs_one_listing() {
    let mut rig = backed_up().await;
    let state = rig.state_dir();
    for what in ["no db", "no state", "only the epoch gone", "no db and no epoch"] {
        match what {
            "no db" => fs::remove_dir_all(state.join("db")).unwrap(),
            "no state" => {
                for entry in fs::read_dir(&state).unwrap().flatten() {
                    let name = entry.file_name().into_string().unwrap();
                    let is_folder = entry.file_type().unwrap().is_dir();
                    match name.as_str() {
                        "accounts" => {}
                        _ if is_folder => fs::remove_dir_all(entry.path()).unwrap(),
                        _ => fs::remove_file(entry.path()).unwrap(),
                    }
                }
            }
            "only the epoch gone" => fs::remove_file(state.join("epoch")).unwrap(),
            _ => {
                fs::remove_dir_all(state.join("db")).unwrap();
                fs::remove_file(state.join("epoch")).unwrap();
            }
        }
        let calls = look_again(&mut rig, what, FILES).await;
        let expected: &[u64] = if what == "only the epoch gone" { &[] } else { &[0] };
        assert_eq!(pages(&calls), expected, "{what}");
        assert_eq!(calls.len(), expected.len(), "{what}: {calls:#?}");
        assert!(!state.join("look_first").exists(), "{what}");
    }
    for part in [0, 1, 2, 3, 4] {
        let file = db_files(&rig).swap_remove(0);
        let length = fs::metadata(&file).unwrap().len();
        let what = format!("{} of {length} bytes", length * part / 4 - part / 4);
        cut(&file, length * part / 4 - part / 4);
        let calls = look_again(&mut rig, &what, FILES).await;
        assert!(calls.len() <= 6, "{what}: {calls:#?}");
        if part < 4 {
            assert!(aside(&rig).exists(), "{what}");
        }
        let _ = fs::remove_dir_all(aside(&rig));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flipped_bits_cost_a_look() {
    let mut rig = backed_up().await;
    for seed in 1..=10_u64 {
        let dice = noise(seed, 8 * 40);
        let dice: Vec<u64> = dice.chunks(8).map(|b| u64::from_le_bytes(b.try_into().unwrap())).collect();
        let files = db_files(&rig);
        // Many places in the log, or one; every third time in the snapshot and what else there is.
        let places = if seed % 2 == 0 { 20 } else { 1 };
        for at in 0..places {
            let file = &files[if seed % 3 == 0 { at % files.len() } else { 0 }];
            let mut bytes = fs::read(file).unwrap();
            if let Some(length) = std::num::NonZeroU64::new(bytes.len() as u64) {
                let place = usize::try_from(dice[at] % length).unwrap();
                bytes[place] ^= 1 << (dice[at + 20] % 8);
            }
            fs::write(file, bytes).unwrap();
        }
        let calls = look_again(&mut rig, &format!("bits flipped with seed {seed}"), FILES).await;
        assert!(calls.len() <= 12, "{calls:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_written_snapshots_cost_nothing() {
    let mut rig = backed_up().await;
    let db = rig.state_dir().join("db");
    fs::write(db.join("snap.00000000000000FF.generating"), noise(3, 700)).unwrap();
    let calls = look_again(&mut rig, "a half-written snapshot", FILES).await;
    assert!(calls.is_empty() && !aside(&rig).exists(), "{calls:#?}");
    // One that was finished, of a time that never was.
    fs::write(db.join("snap.7FFFFFFFFFFFFFFF"), noise(4, 700)).unwrap();
    look_again(&mut rig, "a snapshot of noise", FILES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_records_of_folders_cost_no_folder() {
    let folder = |label| Folder { label, account: "home", more: String::new() };
    let mut rig = Rig::ready(|s| s.folders = vec![folder("a"), folder("b"), folder("c")]);
    for (label, count) in [("a", 12), ("b", 9), ("c", 7)] {
        for number in 0..count {
            let bytes = photo(number + 100 * count, 900);
            rig.put_in(label, &format!("x/{number}.jpg"), &bytes);
        }
    }
    rig.back_up_and_stop().await;
    for kinds in [&b"f"[..], b"g", b"fg"] {
        let (store, _) = Store::open(&rig.state_dir()).unwrap();
        for kind in kinds {
            let records = store.page(&[*kind], &[*kind], 9).unwrap();
            assert!(records.len() >= 3, "{records:?}");
            // The first and the last of them.
            for (key, _) in [&records[0], &records[2]] {
                store.apply(&vec![(key.clone(), Some(b"\xff junk".to_vec()))]).unwrap();
            }
        }
        store.close().unwrap();
        let calls = look_again(&mut rig, &format!("{kinds:?}"), 28).await;
        // One of the two tells everything. Without both, the files of two folders are looked up.
        assert_eq!(calls.is_empty(), kinds.len() == 1, "{calls:#?}");
    }
}

/// A listing of several pages, cut off by a kill: it goes on with the page that was missing.
async fn a_kill_while_the_cloud_is_asked_costs_one_call(cloud: Cloud) {
    let rig = Rig::backed_up_at(cloud, |rig| rig.put_photos(40)).await;
    // Two pages: the program runs in real time, and keeps to five of these calls a minute. At 123pan two of
    // this folder, and one of each other.
    for number in 0..cloud.of(1100_u32, 150) {
        rig.put_there(&format!("photo/old/{number:05}.jpg"), &number.to_le_bytes());
    }
    fs::remove_dir_all(rig.state_dir().join("db")).unwrap();
    let mark = rig.mark();
    let mut slow = Fault::always(cloud.of("listall", "file/list"), FaultKind::Delay(Duration::from_secs(2)));
    slow.skip = cloud.of(1, 4);
    rig.sim.fault(slow).unwrap();
    let agent = rig.spawn();
    let some = |reason: &Option<String>| {
        let rest = reason.as_deref().and_then(|words| words.strip_prefix("asking the cloud what it has: "));
        rest.is_some_and(|rest| rest.ends_with(" files so far") && !rest.starts_with("0 "))
    };
    let status = rig.until("one page", |s| some(&s.reason)).await;
    assert!(status.state == State::Scanning && some(&status.accounts[0].reason), "{status:#?}");
    agent.kill();
    rig.sim.clear_faults();
    let (agent, again) = (rig.spawn(), rig.mark());
    let asked = listings(&rig, mark).len();
    rig.until("all known", |s: &Status| s.totals.counts.backed_up == 40).await;
    // What was asked before the kill may be answered after it: only the new program's calls count.
    let calls = listings(&rig, again);
    match cloud {
        Cloud::Baidu => {
            let pages = pages(&calls);
            assert!(!pages.contains(&0) && pages.len() <= 2, "{pages:?}");
        }
        // Seven in all: photo, old twice, 2024 and three in it. The one under way is asked again.
        Cloud::Pan123 => assert!(asked >= 3 && asked + calls.len() <= 8, "{asked} and {calls:#?}"),
    }
    rig.assert_nothing_sent_after(mark);
    agent.terminate().await;
}

async fn a_rebuild_makes_the_index_again_and_sends_nothing(cloud: Cloud) {
    let mut rig = backed_up_at(cloud).await;
    let files = cloud.of(FILES, PHOTOS as u64);
    // One listing of everything, or one of each folder.
    let listing = cloud.of(1, 5);
    rig.begin();
    rig.wait_quiet().await;
    // A disk that does not even take the wish costs nothing but an answer.
    let in_the_way = rig.state_dir().join("rebuild.new");
    fs::create_dir(&in_the_way).unwrap();
    let refused = rig.client.rebuild().await.unwrap_err().to_string();
    assert!(refused.contains("cannot write") && refused.contains("rebuild"), "{refused}");
    assert_eq!(rig.status().await.totals.counts.backed_up, files);
    fs::remove_dir(&in_the_way).unwrap();
    let mark = rig.mark();
    let begun = rig.client.rebuild().await.unwrap();
    assert_eq!(begun.set_aside, aside(&rig).to_string_lossy());
    assert!(aside(&rig).exists());
    let status = rig.until("it again", |s| is_quiet(s) && s.totals.counts.backed_up == files).await;
    assert_eq!(status.totals.instant, files);
    rig.assert_nothing_sent_after(mark);
    let calls = listings(&rig, mark);
    assert_eq!((pages(&calls).as_slice(), calls.len()), (cloud.of(&[0][..], &[]), listing));
    // It goes on: what is new is sent.
    rig.put("new.jpg", &photo(99, 4000));
    rig.wait_arrived().await;
    rig.stop().await;

    let xpand = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_xpand"));
        let output = command.env_clear().arg("--config").arg(rig.config_file()).args(args).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    fs::remove_dir_all(aside(&rig)).unwrap();
    assert!(xpand(&["rebuild"]).contains("it makes the index again when it starts"));
    let json: serde_json::Value = serde_json::from_str(&xpand(&["--json", "rebuild"])).unwrap();
    assert_eq!(json["when"], "next_start");
    let calls = look_again(&mut rig, "rebuild at the next start", files + 1).await;
    assert_eq!(calls.len(), listing);
    assert!(aside(&rig).exists());
    assert!(look_again(&mut rig, "once is enough", files + 1).await.is_empty());
}

/// Another membership cuts a film otherwise, and its listed md5 is of the old slices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_film_cut_in_other_slices_is_known_again() {
    let mut rig = Rig::backed_up(|rig| {
        rig.sim.set_vip(1).unwrap();
        rig.put("film.mp4", &video(1, 17 * MIB));
        rig.put("a.jpg", &photo(2, 2000));
    })
    .await;
    assert_eq!(rig.stored("photo/film.mp4").block_list.len(), 2);
    rig.sim.set_vip(0).unwrap();
    fs::remove_dir_all(rig.state_dir().join("db")).unwrap();
    look_again(&mut rig, "a smaller membership", 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cloud_that_does_not_list_everything_is_asked_folder_by_folder() {
    let mut rig = backed_up().await;
    for kind in [FaultKind::Errno(3), FaultKind::Html(404)] {
        fs::remove_dir_all(rig.state_dir().join("db")).unwrap();
        let is_refused = matches!(kind, FaultKind::Errno(_));
        rig.sim.fault(Fault::always("listall", kind)).unwrap();
        let calls = look_again(&mut rig, "no listall", FILES).await;
        rig.sim.clear_faults();
        assert!(calls.len() > pages(&calls).len());
        // A refusal is taken for one; what may pass is asked for a few times.
        assert!(!is_refused || pages(&calls) == [0], "{calls:#?}");
    }
    // Too many calls, no way there, half an answer: it is asked again.
    fs::remove_dir_all(rig.state_dir().join("db")).unwrap();
    for kind in [FaultKind::Errno(31034), FaultKind::DropBefore, FaultKind::CutAnswer] {
        rig.sim.fault(Fault::times("listall", kind, 1)).unwrap();
    }
    let calls = look_again(&mut rig, "a listall that has to be asked again", FILES).await;
    assert_eq!(pages(&calls), [0; 4]);
    assert_eq!(calls.len(), 4);
}
