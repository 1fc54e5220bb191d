//! Unplugged is never deleted: disks that come and go, at a folder and below it, in every state.
//!
//! The disks are bind mounts, whose content is still there when they are plugged in again. Mounting needs
//! root; where that is missing a test says so.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use cloudsim::{Fault, FaultKind};
use common::clouds::{Cloud, at_each_cloud};
use common::disks::{is_done, unmount};
use common::media::{photo, video};
use common::{Rig, Setup};
use xpand::status::{FolderState, Stage, State, Status};

// All else here is about the disk, and the cloud does not matter.
at_each_cloud! {
    a_disk_pulled_out_in_the_middle_of_an_upload_costs_a_wait
}

/// A disk with photos that can be plugged in at a place.
struct Disk {
    content: PathBuf,
    place: PathBuf,
}

impl Disk {
    /// Plugged in; `None` where this user may not mount.
    fn new(rig: &Rig, below: &str, photos: u64) -> Option<Self> {
        let (content, place) = (rig.path("usb"), rig.root("photo").join(below));
        fs::create_dir_all(&content).unwrap();
        fs::create_dir_all(&place).unwrap();
        for seed in 0..photos {
            fs::write(content.join(format!("{seed}.jpg")), photo(5000 + seed, 2000)).unwrap();
        }
        let disk = Self { content, place };
        if !disk.plug_in() {
            println!("SKIPPED: mounting needs root");
            return None;
        }
        Some(disk)
    }

    fn plug_in(&self) -> bool {
        is_done(Command::new("mount").arg("--bind").arg(&self.content).arg(&self.place))
    }

    /// However busy it is.
    fn unplug(&self) {
        assert!(unmount(&self.place));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        unmount(&self.place);
    }
}

/// Photos in the folder and on a disk below it, all of them in the cloud; the agent runs. `None` where this user
/// may not mount.
async fn with_disk(
    change: impl FnOnce(&mut Setup),
    photos: usize,
    below: &str,
    on_disk: u64,
) -> Option<(Rig, Disk)> {
    let mut rig = Rig::ready(change);
    rig.put_photos(photos);
    let disk = Disk::new(&rig, below, on_disk)?;
    rig.begin();
    rig.wait_arrived().await;
    Some((rig, disk))
}

fn says(status: &Status, state: FolderState, words: &str) -> bool {
    status.folders.first().is_some_and(|folder| {
        folder.state == state && folder.reason.as_deref().is_some_and(|reason| reason.contains(words))
    })
}

/// Waits until the folder is suspicious, and tells it in these words.
async fn until_missed(rig: &Rig, words: &str) -> Status {
    rig.until("a word about the disk", |status| says(status, FolderState::Suspicious, words)).await
}

/// Waits until all of the folder has been looked at once more.
async fn look_again(rig: &Rig) {
    let before = rig.status().await.folders[0].last_scan.clone();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    rig.client.scan(None).await.unwrap();
    rig.until("another look", |status| status.folders[0].last_scan != before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_below_the_folder_is_missed_and_not_believed_deleted() {
    let Some((mut rig, disk)) = with_disk(|_| (), 12, "disk one", 4).await else { return };
    let mark = rig.mark();
    for restart in [false, true] {
        disk.unplug();
        // What lies in the bare mount point is not what was on the disk.
        fs::write(disk.place.join("0.jpg"), photo(1, 1000)).unwrap();
        fs::write(disk.place.join("other.jpg"), photo(2, 1000)).unwrap();
        // Nobody asks: the system tells that something was unmounted.
        let is_missed = |s: &Status| {
            says(s, FolderState::Suspicious, "no disk is mounted at")
                && says(s, FolderState::Suspicious, "its 4 files are not forgotten")
                && s.totals.counts.files == 16 + usize::from(restart) as u64
        };
        rig.until("a word about the disk", is_missed).await;
        if restart {
            rig.restart().await;
            rig.until("the same word", is_missed).await;
            look_again(&rig).await;
        } else {
            // The rest of the folder goes on.
            rig.put("new.jpg", &photo(77, 900));
            rig.until("the new one", |status| status.totals.counts.backed_up == 17).await;
        }
        assert!(disk.plug_in());
        rig.until("all well again", |status| {
            status.folders[0].state == FolderState::Watching && status.is_quiet()
        })
        .await;
    }
    rig.wait_arrived().await;
    assert_eq!(rig.slices_after(mark).len(), 1, "the new photo and nothing else");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_wait_on_a_disk_that_is_unplugged_go_when_it_is_back() {
    let rig = Rig::start(|_| ());
    rig.put_photos(2);
    let Some(disk) = Disk::new(&rig, "disk1", 3) else { return };
    rig.wait_arrived().await;
    rig.client.pause(None).await.unwrap();
    for seed in 0..5 {
        fs::write(disk.place.join(format!("late-{seed}.jpg")), photo(9000 + seed, 1500)).unwrap();
    }
    rig.until("five waiting", |status| status.totals.counts.waiting == 5).await;
    // The queue knows them once they have settled.
    look_again(&rig).await;
    disk.unplug();
    until_missed(&rig, "no disk is mounted at").await;
    let mark = rig.mark();
    rig.client.resume().await.unwrap();
    rig.put("here.jpg", &photo(77, 900));
    rig.until("the one that is here", |status| status.totals.counts.backed_up == 6).await;
    assert_eq!(rig.calls_after(mark, "precreate").len(), 1);
    let status = rig.status().await;
    assert_eq!((status.totals.counts.waiting, status.totals.counts.files), (5, 11));
    let line = rig.client.explain(&disk.place.join("late-1.jpg")).await.unwrap();
    assert!(line.reason.as_deref().is_some_and(|why| why.contains("is not mounted")), "{line:?}");
    assert!(disk.plug_in());
    rig.wait_arrived().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_from_the_bare_mount_point_of_a_folder() {
    let Some((mut rig, disk)) = with_disk(|_| (), 0, "", 4).await else { return };
    let mark = rig.mark();
    disk.unplug();
    let is_missed = |status: &Status| says(status, FolderState::Missing, "is not mounted");
    rig.until("a word about the disk", is_missed).await;
    fs::write(disk.place.join("0.jpg"), photo(1, 1000)).unwrap();
    fs::write(disk.place.join("other.jpg"), photo(2, 1000)).unwrap();
    rig.restart().await;
    let is_told = |s: &Status| is_missed(s) && s.state == State::Failed && s.totals.counts.backed_up == 4;
    rig.until("the same word", is_told).await;
    // A missing folder is looked for every third of a second here.
    tokio::time::sleep(Duration::from_secs(1)).await;
    rig.until("the same word", |status| is_missed(status) && status.totals.counts.files == 4).await;
    assert!(disk.plug_in());
    rig.until("all well again", |status| status.state == State::Idle && status.is_quiet()).await;
    rig.wait_arrived().await;
    rig.assert_nothing_sent_after(mark);
}

async fn a_disk_pulled_out_in_the_middle_of_an_upload_costs_a_wait(cloud: Cloud) {
    for call in [cloud.begin(), cloud.of("superfile2.*partseq=1", "PUT .*partNumber=2"), cloud.finish()] {
        let change = |setup: &mut Setup| {
            setup.at(cloud);
            setup.parallel = 1;
        };
        let Some((rig, disk)) = with_disk(change, 2, "disk1", 3).await else { return };
        rig.sim.pan123().set_slice_size(4 << 20);
        let slow = FaultKind::Delay(Duration::from_millis(700));
        rig.sim.fault(Fault::once(call, slow)).unwrap();
        let mark = rig.mark();
        let begun = call.split('.').next().unwrap();
        let (name, bytes) = cloud.of(("film.mp4", video(1, 9 << 20)), ("large.jpg", photo(1, 9 << 20)));
        fs::write(disk.place.join(name), bytes).unwrap();
        rig.until_true("the call", || !rig.calls_after(mark, begun).is_empty()).await;
        disk.unplug();
        let status = until_missed(&rig, "no disk is mounted at").await;
        assert_eq!(status.totals.counts.files, 6, "{call}: {status:#?}");
        assert!(disk.plug_in());
        rig.wait_arrived().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_pulled_out_while_a_file_is_read_forgets_nothing() {
    let Some((rig, disk)) = with_disk(|_| (), 2, "disk1", 3).await else { return };
    // Large, and not a byte of it on any disk: it takes a while to read.
    let film = fs::File::create(disk.place.join("film.mp4")).unwrap();
    film.set_len(600 << 20).unwrap();
    rig.until("the reading", |s| s.active.iter().any(|file| file.stage == Stage::Hashing && file.done > 0))
        .await;
    disk.unplug();
    until_missed(&rig, "its 4 files are not forgotten").await;
    rig.until("its end", |status| status.active.is_empty() && status.totals.counts.files == 6).await;
    // It was not meant to be sent: this is about the others.
    fs::remove_file(disk.content.join("film.mp4")).unwrap();
    assert!(disk.plug_in());
    rig.until("all well again", |s| {
        s.folders[0].state == FolderState::Watching && s.totals.counts.files == 5
    })
    .await;
    rig.wait_arrived().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_not_to_come_back_is_given_up_by_a_word() {
    let Some((mut rig, disk)) = with_disk(|_| (), 12, "disk1", 4).await else { return };
    let mark = rig.mark();
    disk.unplug();
    let place = disk.place.to_str().unwrap().to_owned();
    until_missed(&rig, &format!("xpand accept {place}")).await;
    rig.client.accept(Path::new(&place)).await.unwrap();
    let is_given_up = |s: &Status| s.state == State::Idle && s.totals.counts.files == 12;
    rig.until("twelve files", is_given_up).await;
    rig.restart().await;
    rig.until("still twelve", |status| is_given_up(status) && status.folders[0].last_scan.is_some()).await;
    assert_eq!(rig.sim.files().len(), 16, "the copies stay");
    // It comes back after all: nothing needs to be sent.
    assert!(disk.plug_in());
    rig.until("all of it", |status| status.totals.counts.backed_up == 16 && status.is_quiet()).await;
    rig.wait_arrived().await;
    rig.assert_nothing_sent_after(mark);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_family_that_really_deleted_most_of_its_files_says_so_once() {
    let mut rig = Rig::backed_up(|rig| rig.put_photos(12)).await;
    // What is deleted before its eyes, one by one, is believed; not so what is missing at a look.
    rig.remove_photos(9);
    rig.begin();
    until_missed(&rig, &format!("xpand accept {}", rig.root("photo").display())).await;
    rig.client.accept(&rig.root("photo")).await.unwrap();
    let status = rig.until("three files", |s| s.state == State::Idle && s.totals.counts.files == 3).await;
    assert_eq!(status.folders[0].state, FolderState::Watching);
    assert_eq!(rig.sim.files().len(), 12, "the copies stay");
}
