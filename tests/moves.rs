//! What is renamed or moved on the disk is not sent again: its content is copied inside the cloud. And
//! whatever keeps the cloud from doing that costs the uplink a file, and nobody the file.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use cloudsim::{Fault, FaultKind, StoredFile, md5_hex};
use common::clouds::Cloud;
use common::media::photo;
use common::{Account, Folder, Rig, is_quiet};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use xpand::control::Standing;
use xpand::status::Status;
use xpand::store::Store;

/// Too small for instant upload, which is there from 256 KiB on.
fn small(seed: u64) -> Vec<u8> {
    photo(seed, 2000 + 31 * usize::try_from(seed).unwrap())
}

/// Some files that stay where they are: a folder that loses most of what it has is not believed.
fn put_others(rig: &Rig, label: &str) {
    for number in 0..8 {
        rig.put_in(label, &format!("other/{number}.jpg"), &small(100 + number));
    }
}

/// Two files have each other's names, at one moment.
fn swap(rig: &Rig, one: &str, other: &str) {
    renameat_with(CWD, rig.path(one), CWD, rig.path(other), RenameFlags::EXCHANGE).unwrap();
}

fn rename(rig: &Rig, from: &str, to: &str) {
    let (from, to) = (rig.path(from), rig.path(to));
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::rename(from, to).unwrap();
}

/// Waits until nothing waits, all these paths (with their label) are backed up and no more files than `count`.
async fn arrived(rig: &Rig, count: u64, paths: &[&str]) -> Status {
    let all = |status: &Status| is_quiet(status) && status.totals.counts.backed_up == count;
    for path in paths {
        loop {
            let status = rig.until("everything backed up", all).await;
            assert_eq!(status.totals.counts.failed, 0, "{status:#?}");
            let line = rig.client.explain(&rig.path(path)).await.unwrap();
            if line.state == Standing::BackedUp {
                let md5 = md5_hex(&fs::read(rig.path(path)).unwrap());
                let is_it = |file: &StoredFile| Some(&file.path) == line.remote.as_ref() && file.md5 == md5;
                assert!(rig.sim.files().iter().any(is_it), "{path}: {line:?}");
                break;
            }
        }
    }
    rig.assert_only_grew();
    assert!(rig.sim.files().iter().all(|file| file.overwritten == 0));
    for call in rig.calls_after(0, "method=filemanager") {
        assert_eq!(call.query["opera"], "copy", "{call:#?}");
        // Of a call that a fault hit the form was not read.
        assert!(call.form.get("filelist").is_none_or(|list| !list.contains("overwrite")), "{call:#?}");
    }
    rig.until("everything backed up", all).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renamed_folder_is_copied_in_few_calls_and_nothing_of_it_is_sent() {
    let mut rig = Rig::ready(|_| ());
    put_others(&rig, "photo");
    for number in 0..6 {
        rig.put(&format!("trip/day {}/{number}.jpg", number % 2), &small(number));
    }
    rig.put("trip/large.jpg", &photo(50, 300_000));
    rig.begin();
    rig.wait_arrived().await;
    // While it runs, and while it does not.
    for (from, to, restart) in
        [("trip", "travel/first trip", false), ("travel/first trip", "other/trip", true)]
    {
        let (mark, before) = (rig.mark(), rig.sim.files().len());
        if restart {
            rig.stop().await;
        }
        rename(&rig, &format!("photo/{from}"), &format!("photo/{to}"));
        if restart {
            rig.begin();
        }
        let paths: Vec<String> =
            (0..6).map(|number| format!("photo/{to}/day {}/{number}.jpg", number % 2)).collect();
        let status = arrived(&rig, 15, &paths.iter().map(String::as_str).collect::<Vec<_>>()).await;
        assert_eq!(rig.slices_after(mark), [0; 0], "{}", rig.story(Some(&status)));
        assert_eq!(status.totals.instant, 7);
        assert_eq!(rig.sim.files().len(), before + 7, "each once");
        assert!(rig.stored(&format!("{}/day 0/0.jpg", paths[0].split("/day").next().unwrap())).copied);
        assert!(rig.stored(&format!("photo/{to}/large.jpg")).instant);
        let copies = rig.calls_after(mark, "method=filemanager").len();
        assert!((1..=6).contains(&copies), "{copies} calls for 6 files: {}", rig.story(Some(&status)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_moves_to_another_folder_is_copied_if_that_is_in_the_same_drive() {
    let rig = Rig::start(|setup| {
        setup.accounts.push(Account { name: "other", user: "other", cloud: Cloud::Baidu, logged_in: true });
        setup.folders.push(Folder { label: "album", account: "home", more: String::new() });
        setup.folders.push(Folder { label: "elsewhere", account: "other", more: String::new() });
    });
    put_others(&rig, "photo");
    rig.put("a.jpg", &small(1));
    rig.put("b.jpg", &small(2));
    rig.wait_arrived().await;
    let mark = rig.mark();
    rename(&rig, "photo/a.jpg", "album/a.jpg");
    arrived(&rig, 10, &["album/a.jpg"]).await;
    assert_eq!(rig.slices_after(mark), [0; 0]);
    rename(&rig, "photo/b.jpg", "elsewhere/b.jpg");
    arrived(&rig, 10, &["elsewhere/b.jpg"]).await;
    assert_eq!(rig.slices_after(mark), [0], "another's drive does not have it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_are_taken_are_never_written_over() {
    let rig = Rig::start(|_| ());
    put_others(&rig, "photo");
    for (number, name) in ["a", "b", "c", "d"].iter().enumerate() {
        rig.put(&format!("{name}.jpg"), &small(number as u64));
    }
    rig.wait_arrived().await;
    // Two files swap their names, and one takes the place of another.
    swap(&rig, "photo/a.jpg", "photo/b.jpg");
    rename(&rig, "photo/c.jpg", "photo/d.jpg");
    arrived(&rig, 11, &["photo/a.jpg", "photo/b.jpg", "photo/d.jpg"]).await;
    for (number, name) in ["a", "b", "c", "d"].iter().enumerate() {
        assert_eq!(rig.stored(&format!("photo/{name}.jpg")).md5, md5_hex(&small(number as u64)), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_to_be_written_over_gets_the_moved_content() {
    let rig = Rig::start(|setup| setup.upload = "on_conflict = \"overwrite\"".into());
    put_others(&rig, "photo");
    rig.put("a.jpg", &small(1));
    rig.put("b.jpg", &small(2));
    rig.wait_arrived().await;
    rename(&rig, "photo/a.jpg", "photo/b.jpg");
    let moved = md5_hex(&small(1));
    rig.until_true("the content at its new name", || rig.stored("photo/b.jpg").md5 == moved).await;
    rig.until("nine files", |status| is_quiet(status) && status.totals.counts.backed_up == 9).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_in_the_cloud_any_more_or_not_the_same_is_sent() {
    let rig = Rig::start(|_| ());
    put_others(&rig, "photo");
    rig.put("a.jpg", &small(1));
    rig.put("b.jpg", &small(2));
    rig.wait_arrived().await;
    // Its copy was deleted in the phone app.
    let mark = rig.mark();
    assert_eq!(rig.sim.remove("demo", "/apps/xpand/photo/a.jpg").unwrap(), 1);
    rename(&rig, "photo/a.jpg", "photo/c.jpg");
    arrived(&rig, 10, &["photo/c.jpg"]).await;
    assert_eq!(rig.slices_after(mark), [0]);
    // Renamed and changed at once.
    let mark = rig.mark();
    fs::remove_file(rig.path("photo/b.jpg")).unwrap();
    rig.put("d.jpg", &small(3));
    arrived(&rig, 10, &["photo/d.jpg"]).await;
    assert_eq!(rig.slices_after(mark), [0]);
    assert_eq!(rig.calls_after(mark, "method=filemanager").len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_leaves_one_copy() {
    let rig = Rig::start(|_| ());
    put_others(&rig, "photo");
    rig.put("a.jpg", &small(1));
    rig.wait_arrived().await;
    for (kind, from, to) in
        [(FaultKind::DropAfter, "a", "b"), (FaultKind::CutAnswer, "b", "c"), (FaultKind::Html(502), "c", "d")]
    {
        let (mark, before) = (rig.mark(), rig.sim.files().len());
        let is_done = !matches!(kind, FaultKind::Html(_));
        rig.sim.fault(Fault::times("opera=copy", kind, 1)).unwrap();
        let to = format!("photo/{to}.jpg");
        rename(&rig, &format!("photo/{from}.jpg"), &to);
        arrived(&rig, 9, &[&to]).await;
        let tried = rig.calls_after(mark, "method=filemanager").len();
        // After a failure nobody asks for a moment, and the file is sent.
        assert!(tried <= 2, "{tried} calls");
        if is_done && tried > 0 {
            assert_eq!(rig.slices_after(mark), [0; 0]);
        }
        assert_eq!(rig.sim.files().len(), before + 1);
        assert_eq!(rig.stored(&to).created, 1);
        rig.sim.clear_faults();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cloud_that_does_not_copy_gets_the_file() {
    for kind in
        [FaultKind::Errno(-7), FaultKind::Errno(31034), FaultKind::Errno(99999), FaultKind::Errno(111)]
    {
        let rig = Rig::start(|_| ());
        put_others(&rig, "photo");
        rig.put("a.jpg", &small(1));
        rig.wait_arrived().await;
        let mark = rig.mark();
        rig.sim.fault(Fault::always("opera=copy", kind)).unwrap();
        rename(&rig, "photo/a.jpg", "photo/b.jpg");
        arrived(&rig, 9, &["photo/b.jpg"]).await;
        assert_eq!(rig.slices_after(mark), [0]);
        assert!(rig.stored("photo/b.jpg").created == 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_hours_calls_are_used_up_files_are_sent() {
    let mut rig = Rig::start(|_| ());
    put_others(&rig, "photo");
    rig.put("a.jpg", &small(1));
    rig.wait_arrived().await;
    rig.stop().await;
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let calls = format!("filemanager {now_ms}\n").repeat(300);
    fs::write(rig.state_dir().join("accounts/home.calls"), calls).unwrap();
    // Its hours are not hurried.
    rig.setup.hurry = 1;
    let mark = rig.mark();
    rig.begin();
    rename(&rig, "photo/a.jpg", "photo/b.jpg");
    arrived(&rig, 9, &["photo/b.jpg"]).await;
    assert_eq!(rig.slices_after(mark), [0]);
    assert_eq!(rig.calls_after(mark, "method=filemanager").len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_between_the_copy_and_its_record_costs_a_look() {
    let rig = Rig::ready(|_| ());
    put_others(&rig, "photo");
    rig.put("a.jpg", &small(1));
    let agent = rig.spawn();
    rig.wait_arrived().await;
    let mark = rig.mark();
    rig.sim.fault(Fault::always("opera=copy", FaultKind::Late(common::PATIENCE))).unwrap();
    rename(&rig, "photo/a.jpg", "photo/b.jpg");
    rig.until_true("the copy", || rig.sim.file("/apps/xpand/photo/b.jpg").is_some()).await;
    agent.kill();
    let agent = rig.spawn();
    arrived(&rig, 9, &["photo/b.jpg"]).await;
    assert_eq!(rig.slices_after(mark), [0; 0]);
    assert_eq!((rig.stored("photo/b.jpg").created, rig.sim.files().len()), (1, 10));
    agent.terminate().await;
}

/// What the traces say can be lost, damaged, or of a version that had none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_traces_are_made_anew_and_lost_ones_cost_the_uplink() {
    let mut rig = Rig::start(|_| ());
    put_others(&rig, "photo");
    rig.put("0.jpg", &small(1));
    rig.wait_arrived().await;
    let hints = |store: &Store| store.page(b"h", b"h", usize::MAX).unwrap();
    let junk = Some(b"junk".to_vec());
    // What is done to the records of hints and to the mark that they are whole; and what a move costs then.
    for (round, (hint, mark, sent)) in
        [(None, Some(None), 0), (junk, None, 0), (None, None, 1)].into_iter().enumerate()
    {
        rig.stop().await;
        {
            let (store, _) = Store::open(&rig.state_dir()).unwrap();
            let mut batch: Vec<_> = hints(&store).into_iter().map(|(key, _)| (key, hint.clone())).collect();
            assert!(!batch.is_empty());
            batch.extend(mark.map(|mark| (b"i".to_vec(), mark)));
            store.apply(&batch).unwrap();
            store.close().unwrap();
        }
        if hint.is_some() {
            // Seen when it is read: by a file with new content.
            rig.begin();
            rig.put("new.jpg", &small(60));
            arrived(&rig, 10, &["photo/new.jpg"]).await;
        } else {
            rig.begin();
            rig.wait_quiet().await;
        }
        rig.stop().await;
        rig.begin();
        rig.wait_quiet().await;
        let since = rig.mark();
        let to = format!("photo/{}.jpg", round + 1);
        rename(&rig, &format!("photo/{round}.jpg"), &to);
        arrived(&rig, if round == 0 { 9 } else { 10 }, &[&to]).await;
        assert_eq!(rig.slices_after(since).len(), sent, "round {round}");
    }
}
