//! The agent backs up to 123pan: the same pipeline, another cloud behind it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
#[path = "pan123/tokens.rs"]
mod tokens;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use cloudsim::{Fault, FaultKind};
use common::clouds::Cloud;
use common::{Rig, Setup, media};
use xpand::status::Status;

/// A rig whose account is at 123pan.
fn ready(change: impl FnOnce(&mut Setup)) -> Rig {
    Rig::ready_at(Cloud::Pan123, change)
}

/// Paths of everything that is there.
fn stored(rig: &Rig) -> Vec<String> {
    rig.sim.pan123().files().into_iter().map(|file| file.path).collect()
}

async fn arrived(rig: &Rig, count: u64) -> Status {
    rig.until("everything backed up", |status| {
        status.totals.counts.backed_up == count
            && status.totals.counts.waiting == 0
            && status.active.is_empty()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_arrive_where_they_belong_and_nothing_else_is_read() {
    let mut rig = ready(|_| ());
    rig.put("2024/été/a:b?.jpg", &media::photo(1, 3000));
    rig.put("2024/b.png", &media::photo(2, 4000));
    rig.put("film.mp4", &media::video(3, 5000));
    rig.put("c.heic", &media::photo(4, 4000));
    rig.begin();
    let status = arrived(&rig, 2).await;
    assert_eq!((status.totals.counts.skipped, status.totals.counts.failed), (2, 0));
    assert_eq!(stored(&rig), ["/photo/2024/b.png", "/photo/2024/été/a%3Ab%3F.jpg"]);
    let told = rig.client.explain(&rig.root("photo").join("film.mp4")).await;
    let told = format!("{told:?}");
    assert!(told.contains("123pan keeps pictures only"), "{told}");
    rig.stop().await;
    // A restart sends nothing, and asks for no other token.
    let mark = rig.mark();
    rig.begin();
    arrived(&rig, 2).await;
    rig.stop().await;
    assert_eq!((rig.calls_after(mark, "PUT").len(), rig.calls_after(0, "access_token").len()), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_pictures_of_one_folder_are_all_in_the_cloud_and_come_home_by_their_names() {
    let mut rig = ready(|_| ());
    let names = ["a.jpg", "b.jpg", "c.jpg", "sub/a.jpg"];
    for name in names {
        rig.put(name, &media::photo(1, 3000));
    }
    rig.put("d.jpg", &media::photo(2, 3000));
    rig.begin();
    arrived(&rig, 5).await;
    assert_eq!(rig.sim.pan123().files().len(), 5);
    assert!(rig.sim.pan123().files().iter().all(|file| file.overwritten == 0), "{:?}", stored(&rig));
    rig.run(&["verify"]).done();
    rig.stop().await;
    // The box is lost with all that it remembered.
    let photo = rig.root("photo");
    for name in names {
        fs::remove_file(photo.join(name)).unwrap();
    }
    fs::remove_dir_all(rig.state_dir()).unwrap();
    let home = rig.path("home");
    rig.run(&["restore", photo.to_str().unwrap(), "--to", home.to_str().unwrap()]).done();
    for name in names {
        let found =
            [home.join(name), home.join("photo").join(name)].into_iter().find_map(|path| fs::read(path).ok());
        assert_eq!(
            found.as_deref(),
            Some(&*media::photo(1, 3000)),
            "{name}: {:?}",
            common::files_below(&home)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_picture_is_failed_with_the_reason_and_the_others_arrive() {
    let mut rig = ready(|_| ());
    rig.sim.pan123().review("bad", 104).unwrap();
    rig.put("good.jpg", &media::photo(1, 3000));
    rig.put("bad.jpg", &media::photo(2, 3000));
    rig.begin();
    let status = rig
        .until("one failed", |status| status.totals.counts.failed == 1 && status.totals.counts.waiting == 0)
        .await;
    assert_eq!(status.totals.counts.backed_up, 1);
    let told = rig.run(&["explain", rig.root("photo").join("bad.jpg").to_str().unwrap()]).done();
    assert!(told.contains("123pan's review rejected this picture (status 104)"), "{told}");
    let told = rig.run(&["explain", rig.root("photo").join("good.jpg").to_str().unwrap()]).done();
    assert!(told.contains("http://127.0.0.1:"), "the link is told: {told}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_gets_lost_on_the_way_every_picture_arrives() {
    let mut rig = ready(|setup| {
        setup.sim.limits = true;
        setup.sim.limits_hurry = setup.hurry;
    });
    rig.sim.pan123().set_async(Some(Duration::from_millis(20)));
    let calls = ["mkdir", "file/create", "get_upload_url", "PUT ", "upload_complete"];
    let more = ["upload_async_result", "file/detail", "file/list"];
    for endpoint in calls.into_iter().chain(more) {
        for kind in [
            FaultKind::DropBefore,
            FaultKind::DropAfter,
            FaultKind::Status(503),
            FaultKind::Status(429),
            FaultKind::Html(502),
            FaultKind::Code(429),
            FaultKind::Code(5000),
        ] {
            rig.sim.fault(Fault::chance(endpoint, kind, 0.03)).unwrap();
        }
    }
    rig.sim.fault(Fault::chance("PUT ", FaultKind::LostSlices, 0.1)).unwrap();
    rig.sim.fault(Fault::chance("PUT ", FaultKind::Flip(5), 0.1)).unwrap();
    for number in 0..12 {
        rig.put(&format!("{}/{number}.jpg", number % 3), &media::photo(100 + number, 3000));
    }
    rig.begin();
    rig.until("everything begun", |status| status.totals.counts.backed_up >= 6).await;
    rig.sim.clear_faults();
    arrived(&rig, 12).await;
    rig.stop().await;
    assert_eq!(stored(&rig).len(), 12, "{:?}", stored(&rig));
    assert!(rig.sim.leaks().is_empty(), "{:?}", rig.sim.leaks());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_deleted_in_the_app_is_made_anew_for_what_comes_next() {
    let mut rig = ready(|_| ());
    rig.put("2024/a.jpg", &media::photo(1, 3000));
    rig.begin();
    arrived(&rig, 1).await;
    rig.sim.pan123().remove("demo", "/photo").unwrap();
    rig.put("2024/b.jpg", &media::photo(2, 3000));
    arrived(&rig, 2).await;
    assert_eq!(stored(&rig), ["/photo/2024/b.jpg"]);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_picture_is_kept_beside_the_old_one_or_takes_its_place() {
    for (on_conflict, left) in
        [("keep-both", &["/photo/a(1).jpg", "/photo/a.jpg"][..]), ("overwrite", &["/photo/a.jpg"])]
    {
        let mut rig = ready(|setup| setup.upload = format!("on_conflict = \"{on_conflict}\""));
        let path = rig.put("a.jpg", &media::photo(1, 3000));
        rig.begin();
        arrived(&rig, 1).await;
        rig.put("a.jpg", &media::photo(2, 4000));
        rig.until("the new one", |status| {
            status.totals.counts.waiting == 0 && status.folders[0].counts.bytes == 4000
        })
        .await;
        arrived(&rig, 1).await;
        assert_eq!(stored(&rig), left, "{on_conflict}");
        let told = rig.client.explain(&path).await.unwrap();
        let copy = format!("{told:?}");
        let name = if on_conflict == "overwrite" { "/photo/a.jpg" } else { "/photo/a(1).jpg" };
        assert!(copy.contains(name), "{copy}");
        let now = rig.sim.pan123().read(name).unwrap();
        assert_eq!(now, media::photo(2, 4000), "{on_conflict}");
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_cloud_checks_a_picture_others_go_on_and_a_kill_costs_no_slice() {
    let rig = ready(|setup| (setup.parallel, setup.hurry) = (1, 20));
    rig.sim.pan123().set_async(Some(Duration::from_secs(86_400)));
    for number in 0..5 {
        rig.put(&format!("{number}.jpg"), &media::photo(number, 3000));
    }
    let agent = rig.spawn_hurried();
    rig.until_true("all are sent although none is made", || {
        rig.calls_after(0, "upload_complete").len() == 5 && rig.sim.pan123().files().is_empty()
    })
    .await;
    // What is backed up after them was committed after them.
    rig.sim.pan123().set_async(None);
    rig.put("last.jpg", &media::photo(9, 3000));
    rig.until("one is made", |status| status.totals.counts.backed_up == 1).await;
    agent.kill();
    let mark = rig.mark();
    let agent = rig.spawn_hurried();
    rig.until_true("all are asked for", || {
        let asked = rig.calls_after(mark, "upload_async_result");
        asked.iter().map(|call| &call.form["preuploadID"]).collect::<BTreeSet<_>>().len() == 5
    })
    .await;
    rig.sim.pan123().end_checks().unwrap();
    rig.wait_arrived().await;
    for call in ["PUT", "file/create", "upload_complete"] {
        assert_eq!(rig.calls_after(mark, call).len(), 0, "{call}");
    }
    agent.terminate().await;
}

/// What is told of a file, once that says so.
async fn told(rig: &Rig, path: &Path, words: &str) {
    let mut last = String::new();
    for _ in 0..4000 {
        last = format!("{:?}", rig.client.explain(path).await);
        if last.contains(words) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    panic!("{words}: {last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_presigned_address_that_is_too_old_is_replaced_and_one_that_always_is_says_so() {
    let mut rig = ready(|_| ());
    rig.sim.fault(Fault::once("PUT ", FaultKind::Status(403))).unwrap();
    rig.put("a.jpg", &media::photo(1, 3000));
    rig.begin();
    arrived(&rig, 1).await;
    let counts = ["file/create", "get_upload_url", "PUT "].map(|call| rig.calls_after(0, call).len());
    assert_eq!(counts, [1, 2, 2], "another address, and not another upload");
    rig.stop().await;
    // Each is too old the moment it is given out.
    let mut rig = ready(|setup| setup.sim.cdn_ttl = Duration::ZERO);
    let path = rig.put("a.jpg", &media::photo(1, 3000));
    rig.begin();
    let words = "put: the presigned address is too old or not accepted: another one is asked for (HTTP 403)";
    told(&rig, &path, words).await;
    assert_eq!(rig.status().await.totals.counts.failed, 0, "it is tried again");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_is_not_what_was_announced_is_never_a_copy_and_says_so() {
    for delay in [None, Some(Duration::from_millis(1))] {
        let mut rig = ready(|_| ());
        rig.sim.pan123().set_async(delay);
        rig.sim.fault(Fault::always("PUT ", FaultKind::Flip(700))).unwrap();
        let path = rig.put("a.jpg", &media::photo(1, 3000));
        rig.begin();
        let words = "the cloud takes the slices and then refuses to make the file of them: ";
        let call = if delay.is_some() { "upload_async_result" } else { "upload_complete" };
        told(&rig, &path, &format!("{words}{call}: what arrived is not what was announced (code 1)")).await;
        assert_eq!(stored(&rig).len(), 0);
        rig.sim.clear_faults();
        rig.client.retry(None).await.unwrap();
        arrived(&rig, 1).await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_as_long_as_a_disk_has_them_arrive_and_come_home() {
    let mut rig = ready(|_| ());
    let names: Vec<String> = [
        format!("{}.jpg", "n".repeat(250)),
        format!("{}.jpg", "n".repeat(251)),
        format!("{}.jpg", "\u{7167}".repeat(83)),
        format!("{}.jpg", ":".repeat(251)),
    ]
    .into();
    for (number, name) in (0..).zip(&names) {
        assert!((254..=255).contains(&name.len()) || name.starts_with('\u{7167}'));
        rig.put(name, &media::photo(number, 3000));
    }
    rig.begin();
    arrived(&rig, 4).await;
    for path in stored(&rig) {
        assert!(path.split('/').all(|name| name.len() < 255) && path.ends_with(".jpg"), "{path}");
    }
    rig.stop().await;
    let (photo, home) = (rig.root("photo"), rig.path("home"));
    let home = home.to_str().unwrap();
    rig.run(&["restore", photo.to_str().unwrap(), "--to", home, "--from-cloud"]).done();
    for (number, name) in (0..).zip(&names) {
        assert_eq!(fs::read(format!("{home}/{name}")).unwrap(), media::photo(number, 3000));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_nobody_knows_is_told_in_the_clouds_own_words_and_waits_for_a_person() {
    let mut rig = ready(|_| ());
    rig.sim
        .fault(Fault::once("upload_complete", FaultKind::Code(77_777)).saying("\u{4ec0}\u{4e48}"))
        .unwrap();
    let path = rig.put("a.jpg", &media::photo(1, 3000));
    rig.begin();
    rig.until("it is failed", |status| status.totals.counts.failed == 1).await;
    told(&rig, &path, "upload_complete: \u{4ec0}\u{4e48} (code 77777)").await;
    rig.client.retry(None).await.unwrap();
    arrived(&rig, 1).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_wrong_id_or_secret_the_agent_says_which_setting_to_mend_and_waits() {
    for (right, wrong) in
        [("client_id = \"", "client_id = \"not"), ("client_secret = \"", "client_secret = \"not")]
    {
        let mut rig = ready(|setup| setup.accounts[0].logged_in = false);
        let text = fs::read_to_string(rig.config_file()).unwrap();
        fs::write(rig.config_file(), text.replacen(right, wrong, 1)).unwrap();
        rig.put("a.jpg", &media::photo(1, 3000));
        rig.begin();
        let status = rig
            .until("it says so", |status| {
                let reason = status.accounts.first().and_then(|account| account.reason.as_deref());
                let words = "the client_id or the client_secret is not the right one";
                reason.is_some_and(|reason| reason.contains(words))
            })
            .await;
        assert_eq!(status.totals.counts.failed, 0);
        assert!(rig.calls_after(0, "access_token").len() <= 2, "{right}");
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_home_is_listed_and_nothing_is_made_for_nothing() {
    let mut rig = ready(|_| ());
    for number in 0..12 {
        rig.put(&format!("2024/{number}.jpg"), &media::photo(number, 2000));
    }
    rig.begin();
    arrived(&rig, 12).await;
    let photo = rig.root("photo");
    for (to, more) in [("by-index", None), ("by-list", Some("--from-cloud"))] {
        let (mark, to) = (rig.mark(), rig.path(to));
        let args = ["restore", photo.to_str().unwrap(), "--to", to.to_str().unwrap()];
        rig.run(&args.into_iter().chain(more).collect::<Vec<_>>()).done();
        assert_eq!(common::files_below(&to).len(), 12);
        assert_eq!(rig.calls_after(mark, "file/detail").len(), 0, "{more:?}");
        assert!(rig.calls_after(mark, "file/list").len() <= 5, "{more:?}");
    }
    rig.stop().await;
    let (to, nowhere) = (rig.path("nothing"), photo.join("2022"));
    let args = ["restore", nowhere.to_str().unwrap(), "--to", to.to_str().unwrap(), "--from-cloud"];
    rig.run(&args).failed(1, &["is backed up"]);
    assert!(!to.exists());
}

/// Not a test: see `common/hurried.rs`.
#[test]
fn the_agent_as_a_process() {
    common::hurried::be_the_agent_when_asked();
}
