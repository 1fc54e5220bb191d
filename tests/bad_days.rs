//! Bad days that once lost time, uplink or a file: each was a bug.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]
mod common;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use cloudsim::{Fault, FaultKind};
use common::clouds::{Cloud, at_each_cloud};
use common::disks::is_done;
use common::media::photo;
use common::{Rig, is_quiet};
use xpand::backup::entry::Copy;
use xpand::backup::entry::Limits;
use xpand::backup::filter::Filter;
use xpand::backup::keeper::Keeper;
use xpand::backup::queue::{Next, Outcome, Queue};
use xpand::backup::scan::{Eyes, Scan};
use xpand::content::{FilePath, Fingerprint, FolderId, Md5};
use xpand::store::Store;

at_each_cloud! {
    a_cloud_that_refuses_the_slices_it_allows_is_not_hammered
    a_folder_that_lost_most_of_its_files_goes_on_sending_new_ones
    a_clean_restart_in_the_middle_of_a_rebuild_sends_nothing_again
    lost_listings_make_it_look_again_and_not_send_again
    a_page_of_a_proxy_with_403_parks_no_file
    a_cloud_that_calls_the_login_good_and_refuses_it_is_not_hammered
}

const MIB: usize = 1 << 20;

/// How often a call is made that always fails, in four seconds; and how often the account is asked about.
async fn hot(cloud: Cloud, call: &str, kind: FaultKind) -> (usize, usize, usize) {
    let rig = Rig::start_at(cloud, |s| s.hurry = 1);
    rig.wait_quiet().await;
    rig.sim.fault(Fault::always(call, kind)).unwrap();
    let mark = rig.mark();
    rig.put("a.jpg", &photo(1, 2000));
    rig.until("the first refused", |_| !rig.calls_after(mark, call).is_empty()).await;
    // A window, not a wait: on a slow machine there are fewer calls in it, never more.
    tokio::time::sleep(Duration::from_secs(4)).await;
    (
        rig.calls_after(mark, call).len(),
        rig.calls_after(mark, "method=uinfo").len(),
        rig.calls_after(mark, cloud.login()).len(),
    )
}

async fn a_cloud_that_calls_the_login_good_and_refuses_it_is_not_hammered(cloud: Cloud) {
    let (call, kind) =
        cloud.of(("superfile2", FaultKind::ErrorCode(31045)), ("file/create", FaultKind::Code(401)));
    let n = hot(cloud, call, kind).await;
    assert!(n.0 < 6 && n.2 <= cloud.of(5, 2), "{n:?}");
}

async fn a_cloud_that_refuses_the_slices_it_allows_is_not_hammered(cloud: Cloud) {
    let kind = cloud.of(FaultKind::ErrorCode(31364), FaultKind::Status(403));
    let n = hot(cloud, cloud.slice(), kind).await;
    assert!(n.0 < 8, "{n:?}");
}

async fn a_folder_that_lost_most_of_its_files_goes_on_sending_new_ones(cloud: Cloud) {
    let mut rig = Rig::backed_up_at(cloud, |rig| rig.put_photos(12)).await;
    rig.remove_photos(9);
    rig.begin();
    rig.put("new.jpg", &photo(77, 900));
    rig.until("the new one is there, and a word about the others", |s| {
        s.totals.counts.backed_up == 13 && s.folders[0].state == xpand::status::FolderState::Suspicious
    })
    .await;
}

async fn a_clean_restart_in_the_middle_of_a_rebuild_sends_nothing_again(cloud: Cloud) {
    let mut rig = Rig::backed_up_at(cloud, |rig| {
        rig.put_photos(30);
        rig.put_large("film", 1, 9 * MIB);
    })
    .await;
    let mark = rig.mark();
    rig.lose_state();
    fs::write(rig.state_dir().join("paused"), "until resumed\n").unwrap();
    rig.begin();
    rig.until("all found", |s| s.totals.counts.waiting == 31).await;
    rig.restart().await;
    rig.until("back", |s| s.totals.counts.waiting == 31).await;
    rig.client.resume().await.unwrap();
    rig.until("done", |s| s.totals.counts.backed_up == 31).await;
    assert_eq!(rig.slices_after(mark).len(), 0);
}

async fn lost_listings_make_it_look_again_and_not_send_again(cloud: Cloud) {
    let mut rig = Rig::backed_up_at(cloud, |rig| rig.put_photos(30)).await;
    let mark = rig.mark();
    rig.lose_state();
    rig.sim.fault(Fault::times(cloud.list(), FaultKind::DropBefore, 5)).unwrap();
    rig.begin();
    rig.until("done", |s| s.totals.counts.backed_up == 30).await;
    assert_eq!(rig.slices_after(mark).len(), 0);
}

async fn a_page_of_a_proxy_with_403_parks_no_file(cloud: Cloud) {
    let rig = Rig::start_at(cloud, |_| ());
    rig.wait_quiet().await;
    rig.sim.fault(Fault::times(cloud.begin(), FaultKind::Html(403), 10)).unwrap();
    rig.put_photos(10);
    let status = rig.until("all there", |s| s.totals.counts.backed_up == 10).await;
    assert_eq!(status.totals.counts.failed, 0);
}

fn print(n: i64) -> Fingerprint {
    Fingerprint { size: 5, mtime_ns: n, ctime_ns: n }
}
fn copy() -> Copy {
    Copy { size: 5, md5: Md5::of("x"), id: "1".into(), path: "/apps/x/a".into() }
}
fn file(folder: FolderId, below: &str) -> FilePath {
    FilePath { folder, below: below.as_bytes().into() }
}
fn claim(q: &mut Queue) -> Option<xpand::backup::job::Job> {
    loop {
        match q.next_due(1_000_000, |_| true).unwrap() {
            Next::Claim(c) => return Some(c.job),
            Next::Searching => {}
            _ => return None,
        }
    }
}

/// A database, and one folder in the queue that it keeps.
struct Kept {
    store: Arc<Store>,
    dir: tempfile::TempDir,
}

impl Kept {
    fn new() -> (Self, Queue, FolderId) {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(dir.path()).unwrap().0);
        let mut queue = Queue::open(Arc::clone(&store)).unwrap();
        let folder = queue.folder(dir.path(), "home").unwrap();
        (Self { store, dir }, queue, folder)
    }

    /// Writes the queue down, and opens it again when one of its records is damaged.
    fn damage(&self, mut queue: Queue, key: &[u8], junk: &[u8]) -> Queue {
        queue.apply().unwrap();
        drop(queue);
        self.store.apply(&vec![(key.to_vec(), Some(junk.to_vec()))]).unwrap();
        Queue::open(Arc::clone(&self.store)).unwrap()
    }
}

#[test]
fn a_failed_file_that_went_and_came_back_is_tried_again() {
    let (_kept, mut q, folder) = Kept::new();
    let path = file(folder, "a.jpg");
    q.offer(&path, print(1)).unwrap();
    let job = claim(&mut q).unwrap();
    q.close(job, Outcome::Done(copy())).unwrap();
    q.offer(&path, print(2)).unwrap();
    let job = claim(&mut q).unwrap();
    q.close(job, Outcome::Park { why: "x".into() }).unwrap();
    q.gone(&path).unwrap();
    q.offer(&path, print(2)).unwrap();
    assert!(claim(&mut q).is_some());
}

/// A person names a file, a folder within the configured one, or something that is not there.
#[test]
fn failed_files_are_tried_again_by_their_own_name_and_by_their_folders() {
    let (_kept, mut q, folder) = Kept::new();
    let names = ["trip/a.jpg", "trip/day 1/b.jpg", "trip2/c.jpg", "trip.jpg"];
    for name in names {
        q.offer(&file(folder, name), print(1)).unwrap();
    }
    while let Some(job) = claim(&mut q) {
        q.close(job, Outcome::Park { why: "no".into() }).unwrap();
    }
    assert_eq!(q.counts(folder).failed, 4);
    for (below, count) in [("trip", 2), ("trip/day 1", 1), ("trip2/c.jpg", 1), ("tri", 0), ("nothing", 0)] {
        assert_eq!(q.retry(folder, Some(below.as_bytes())).unwrap(), count, "{below}");
    }
    assert_eq!(q.counts(folder).failed, 1, "only trip.jpg");
    assert_eq!(q.retry(folder, None).unwrap(), 4, "those that wait are tried at once too");
}

#[test]
fn what_is_done_is_still_to_be_committed_after_somebody_has_read_the_queue() {
    let (_kept, mut q, folder) = Kept::new();
    q.offer(&file(folder, "a.jpg"), print(1)).unwrap();
    let job = claim(&mut q).unwrap();
    q.close(job, Outcome::Done(copy())).unwrap();
    // `xpand retry`, and the list of failed files.
    q.retry(folder, None).unwrap();
    q.jobs(folder, None).unwrap();
    assert!(q.has_changes(), "nobody would flush it");
    // A flush that was under way then is not its flush.
    q.flushed();
    assert_eq!(q.counts(folder).backed_up, 0);
    q.apply().unwrap();
    q.flushed();
    assert_eq!(q.counts(folder).backed_up, 1);
}

#[test]
fn files_of_a_folder_whose_own_record_is_lost_are_found_and_counted() {
    let (kept, mut q, folder) = Kept::new();
    q.offer(&file(folder, "a.jpg"), print(1)).unwrap();
    let mut q = kept.damage(q, b"f\0\0\0\x01", b"junk");
    assert_eq!(q.folder(kept.dir.path(), "home").unwrap(), folder);
    assert!(claim(&mut q).is_some());
}

#[test]
fn counts_are_put_right_after_a_damaged_record() {
    let (kept, mut q, folder) = Kept::new();
    let offer_ten = |q: &mut Queue| {
        for n in 0..10 {
            q.offer(&file(folder, &format!("{n:02}.jpg")), print(1)).unwrap();
        }
    };
    offer_ten(&mut q);
    let mut q = kept.damage(q, b"c\0\0\0\x01", b"\xff\xff");
    offer_ten(&mut q);
    while let Some(job) = claim(&mut q) {
        q.close(job, Outcome::Done(copy())).unwrap();
    }
    q.mend().unwrap();
    q.apply().unwrap();
    q.flushed();
    assert_eq!(q.counts(folder).waiting, 0);
}

struct Blind;
impl Eyes for Blind {
    fn directory(&mut self, _: &[u8]) {}
    fn sighting(&mut self, _: FilePath, _: Fingerprint) {}
}

#[tokio::test]
async fn a_disk_mounted_below_the_folder_and_unplugged_is_not_believed_gone() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    let keeper = Keeper::open(Arc::new(store), Duration::from_secs(1)).unwrap();
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("disk1")).unwrap();
    let id: FolderId = keeper.with(|q| Ok(q.folder(root.path(), "home").unwrap())).unwrap();
    for n in 0..1000 {
        keeper.with(|q| q.offer(&file(id, &format!("disk1/{n}.jpg")), print(1))).unwrap();
    }
    let mut f: xpand::config::Folder = xpand_folder(root.path());
    f.min_size = 1;
    let filter = Arc::new(Filter::new(&f).unwrap());
    let takes = xpand::cloud::of(xpand::config::Provider::Baidu).takes();
    let limits = Limits { min_size: 1, max_size: 1000, tier: None, takes };
    let cancelled = AtomicBool::new(false);
    let scan = Scan {
        folder: id,
        root: root.path(),
        filter: &filter,
        limits,
        keeper: &keeper,
        cancelled: &cancelled,
    };
    let part = scan.look(b"disk1", &mut Blind).unwrap();
    let whole = scan.look(b"", &mut Blind).unwrap();
    assert!(part.suspicious.is_some() || whole.suspicious.is_some());
}

fn xpand_folder(path: &std::path::Path) -> xpand::config::Folder {
    use xpand::content::Media;
    xpand::config::Folder {
        path: path.to_owned(),
        account: "home".into(),
        media: vec![Media::Photo, Media::Video],
        label: "photo".into(),
        remote: "{device}/{label}/{path}".into(),
        exclude: Vec::new(),
        default_excludes: true,
        min_size: 1,
        max_size: 1000,
    }
}

#[test]
fn a_clock_that_was_ahead_once_keeps_no_file_waiting_for_years() {
    let (_kept, mut q, folder) = Kept::new();
    q.offer(&file(folder, "a.jpg"), print(1)).unwrap();
    let job = claim(&mut q).unwrap();
    // 30 s back-off, on a box whose clock said 2040.
    q.close(job, Outcome::Again { due_ms: 2_208_988_830_000, why: "HTTP 500".into() }).unwrap();
    let now_2026 = 1_795_000_000_000;
    assert!(matches!(q.next_due(now_2026, |_| true).unwrap(), Next::Claim(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_users_login_sends_everything_to_that_users_drive_too() {
    let rig = Rig::start(|_| ());
    rig.put_photos(6);
    rig.wait_arrived().await;
    rig.sim.add_token("aunt", "access-of-aunt", Some("refresh-of-aunt"), None).unwrap();
    let accounts = xpand::account::Accounts::new(&rig.state_dir(), xpand::clock::Clock::system());
    accounts
        .import("home", r#"{"access_token":"access-of-aunt","refresh_token":"refresh-of-aunt"}"#)
        .unwrap();
    let of_aunt = || rig.sim.files().iter().filter(|file| file.account == "aunt").count();
    rig.until("all of it is hers too", |s| of_aunt() == 6 && s.totals.counts.backed_up == 6).await;
}

/// The agent notices a login within two seconds; what it sends until then goes to the drive of whoever is logged
/// in by now, and must not count as being in the drive of the one before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_while_another_user_logs_in_is_not_done_for_the_user_before() {
    let rig = Rig::start(|_| ());
    rig.until("his name", |s| s.accounts.iter().any(|account| account.user.as_deref() == Some("demo"))).await;
    rig.wait_quiet().await;
    let accounts = xpand::account::Accounts::new(&rig.state_dir(), xpand::clock::Clock::system());
    let log_in = |user: &str, number: u8| {
        let (access, refresh) = (format!("access-{number}-of-{user}"), format!("refresh-{number}-of-{user}"));
        rig.sim.add_token(user, &access, Some(&refresh), None).unwrap();
        let json = format!(r#"{{"access_token":"{access}","refresh_token":"{refresh}"}}"#);
        accounts.import("home", &json).unwrap();
    };
    let has = |user: &str| rig.sim.files().iter().any(|file| file.account == user);
    // Who it is now the cloud says late.
    rig.sim.fault(Fault::once("uinfo", FaultKind::Delay(Duration::from_secs(3)))).unwrap();
    log_in("aunt", 1);
    rig.put("a.jpg", &photo(1, 900));
    rig.until("it is hers", |s| has("aunt") && is_quiet(s) && s.totals.counts.backed_up == 1).await;
    assert!(!has("demo"));
    rig.until("her name", |s| s.accounts[0].user.as_deref() == Some("aunt")).await;
    log_in("demo", 2);
    rig.until("it is his too", |s| has("demo") && s.totals.counts.backed_up == 1).await;
}

/// What Linux 3.10 does not know, as old boxes have it.
const NEWER: &str = "renameat2,getrandom,memfd_create,membarrier,copy_file_range,preadv2,pwritev2,statx,io_uring_setup,\
     pidfd_open,clone3,openat2,close_range,faccessat2,epoll_pwait2,rseq";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kernel_of_2013_is_enough() {
    let rig = Rig::ready(|_| ());
    let on_the_old = |command: Command| {
        let mut strace = Command::new("strace");
        // -D: the program is the child, and strace only its companion.
        strace.args(["-D", "-f", "-A", "-qq", "--seccomp-bpf", "-e"]).arg(format!("trace={NEWER}"));
        strace.arg("-e").arg(format!("inject={NEWER}:error=ENOSYS")).arg("-o").arg(rig.path("strace"));
        strace.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
        strace
    };
    if !is_done(&mut on_the_old(Command::new("true"))) {
        println!("SKIPPED: no strace, or it may not trace");
        return;
    }
    rig.put_photos(5);
    let agent = rig.spawn_as(on_the_old(rig.command(&["run"])));
    rig.wait_arrived().await;
    let (ended, _) = agent.terminate().await;
    assert!(ended.success(), "{ended}");
    let (from, home) = (rig.root("photo"), rig.path("home"));
    let restore = ["restore", from.to_str().unwrap(), "--to", home.to_str().unwrap()];
    rig.heard(&mut on_the_old(rig.command(&restore))).done();
    assert_eq!(common::files_below(&home).len(), 5);
    let refused = fs::read_to_string(rig.path("strace")).unwrap();
    assert!(refused.contains("statx(") && refused.contains("ENOSYS"), "{refused}");
}
