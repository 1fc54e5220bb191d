//! `xpand verify`: what the agent believes to be in the cloud is compared with what is there, by the real
//! program beside a running agent; what is missing or wrong is sent again when that is asked for.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use cloudsim::{Fault, FaultKind};
use common::clouds::{Cloud, at_each_cloud};
use common::media::photo;
use common::process::Said;
use common::{Account, Folder, Rig};
use serde_json::Value;

// Left out at 123pan is what is about one listing of everything, which it does not have: a page more or less
// there, and its calls by the minute and hour.
at_each_cloud! {
    all_that_is_well_is_said_to_be_there_and_without_the_agent_nothing_is_said
    what_is_missing_is_told_and_sent_again_when_asked_for
    another_size_another_content_and_a_stranger_are_told_apart_from_older_versions
    damage_that_no_listing_shows_is_found_by_fetching_and_sent_again
}

/// A rig whose agent runs, with `count` photos in the cloud.
async fn backed_up(count: usize) -> Rig {
    backed_up_at(Cloud::Baidu, count).await
}

async fn backed_up_at(cloud: Cloud, count: usize) -> Rig {
    let mut rig = Rig::ready_at(cloud, |_| ());
    rig.put_photos(count);
    rig.begin();
    rig.wait_arrived().await;
    rig
}

/// Runs a command that finds the minute's calls unused, so that nothing has to be waited for.
fn run(rig: &Rig, args: &[&str]) -> Said {
    let _ = fs::remove_file(rig.state_dir().join("accounts/home.calls"));
    rig.run(args)
}

/// Runs it with `--json`: the differences, and the summary.
fn verify(rig: &Rig, args: &[&str]) -> (Said, Vec<Value>, Value) {
    let said = run(rig, &[&["--json", "verify"], args].concat());
    let mut lines: Vec<Value> = said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.pop().unwrap_or_else(|| panic!("{said:?}"))["summary"].take();
    assert!(summary.is_object(), "{said:?}");
    (said, lines, summary)
}

/// What is different: what it is, and the end of its path.
fn differences(lines: &[Value]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut all: Vec<_> = lines
        .iter()
        .map(|line| (text(&line["what"]), text(&line["remote"]).rsplit('/').next().unwrap().to_owned()))
        .collect();
    all.sort();
    all
}

fn pair(what: &str, name: &str) -> (String, String) {
    (what.to_owned(), name.to_owned())
}

async fn all_that_is_well_is_said_to_be_there_and_without_the_agent_nothing_is_said(cloud: Cloud) {
    let mut rig = backed_up_at(cloud, 7).await;
    // A file that is gone from the disk has its copy still.
    fs::remove_file(rig.root("photo").join("2024/00/IMG_0000.jpg")).unwrap();
    rig.client.scan(None).await.unwrap();
    rig.until("the file is missed", |status| status.totals.counts.files == 6).await;
    let mark = rig.mark();
    let said = run(&rig, &["verify"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.starts_with("7 files, ") && said.out.trim_end().ends_with(": all there"), "{said:?}");
    let pages = rig.calls_after(mark, cloud.list()).len();
    assert_eq!(pages, cloud.of(1, 5), "one page of one listing; of each folder where there is none of all");
    // A folder, a file, a label, and what is nowhere.
    let photos = rig.root("photo");
    for (path, files) in [("2024/01", 2), ("2024/01/IMG_0001.jpg", 1), ("2024/00/IMG_0000.jpg", 1), ("", 7)] {
        let (said, lines, summary) = verify(&rig, &[photos.join(path).to_str().unwrap()]);
        assert_eq!((said.code, lines.len()), (Some(0), 0), "{path} {said:?}");
        assert_eq!(summary["files"], files, "{path} {summary}");
    }
    assert_eq!(run(&rig, &["verify", "photo"]).code, Some(0));
    let said = run(&rig, &["verify", "/elsewhere"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    rig.stop().await;
    let said = run(&rig, &["verify"]);
    assert_eq!((said.code, said.out.as_str()), (Some(3), ""), "{said:?}");
    assert!(said.err.contains("the agent is not running"), "{said:?}");
}

async fn what_is_missing_is_told_and_sent_again_when_asked_for(cloud: Cloud) {
    let mut rig = backed_up_at(cloud, 6).await;
    rig.remove_there("photo/2024/00/IMG_0003.jpg");
    let said = run(&rig, &["verify"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.out.contains("1 file missing in the cloud:\n") && said.out.contains("IMG_0003.jpg"),
        "{said:?}"
    );
    assert!(said.err.contains("--repair"), "{said:?}");
    let (said, lines, summary) = verify(&rig, &["--repair"]);
    assert_eq!(said.code, Some(1), "it was not there: {said:?}");
    assert_eq!(differences(&lines), [pair("missing", "IMG_0003.jpg")]);
    assert_eq!((&summary["missing"], &summary["queued"]), (&1.into(), &1.into()), "{summary}");
    rig.wait_arrived().await;
    let (said, _, summary) = verify(&rig, &[]);
    assert_eq!(said.code, Some(0), "{said:?} {summary}");
    // What is not on the disk any more cannot be sent.
    fs::remove_file(rig.root("photo").join("2024/01/IMG_0004.jpg")).unwrap();
    rig.client.scan(None).await.unwrap();
    rig.until("the file is missed", |status| status.totals.counts.files == 5).await;
    rig.remove_there("photo/2024/01");
    let (said, lines, summary) = verify(&rig, &["--repair"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(differences(&lines), [pair("missing", "IMG_0001.jpg"), pair("missing", "IMG_0004.jpg")]);
    assert_eq!((&summary["queued"], &summary["lost"]), (&1.into(), &1.into()), "{summary}");
    rig.wait_arrived().await;
    let said = run(&rig, &["verify"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.out.contains("IMG_0004.jpg (not on this box any more)") && said.out.contains("1 lost"),
        "{said:?}"
    );
    // That is a difference for ever, unless a person says that it may be forgotten.
    let said = run(&rig, &["verify", "--forget"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("Forget 1 file") && said.err.contains("add --yes"), "{said:?}");
    let (said, _, summary) = verify(&rig, &["--forget", "--yes"]);
    assert_eq!((said.code, &summary["lost"], &summary["forgotten"]), (Some(1), &1.into(), &1.into()));
    let (said, lines, summary) = verify(&rig, &[]);
    assert_eq!((said.code, lines.len(), &summary["files"]), (Some(0), 0, &5.into()), "{said:?}");
    rig.stop().await;
}

async fn another_size_another_content_and_a_stranger_are_told_apart_from_older_versions(cloud: Cloud) {
    let mut rig = Rig::ready_at(cloud, |_| ());
    rig.put("a.jpg", &photo(1, 1000));
    rig.put("b.jpg", &photo(2, 1001));
    rig.put("c.jpg", &photo(3, 1002));
    rig.begin();
    rig.wait_arrived().await;
    // Changed here: both versions are kept.
    rig.put("c.jpg", &photo(4, 1003));
    rig.until("the new version", |status| status.is_quiet() && rig.sim.files().len() == 4).await;
    let (said, lines, summary) = verify(&rig, &["--sample", "100%"]);
    assert_eq!((said.code, lines.len()), (Some(0), 0), "{said:?}");
    assert_eq!((&summary["files"], &summary["older_versions"]), (&3.into(), &1.into()), "{summary}");
    assert_eq!(summary["fetched"], 3, "{summary}");
    // Replaced behind our back, and one that we never had.
    let replace = |path: &str, bytes: &[u8]| {
        let path = format!("photo/{path}");
        if rig.there(&path).is_some() {
            rig.remove_there(&path);
        }
        rig.put_there(&path, bytes);
    };
    replace("a.jpg", &photo(5, 900));
    replace("b.jpg", &photo(6, 1001));
    replace("stranger.jpg", &photo(7, 500));
    let (said, lines, summary) = verify(&rig, &["--repair"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let told =
        [pair("unexpected", "stranger.jpg"), pair("wrong_content", "b.jpg"), pair("wrong_size", "a.jpg")];
    assert_eq!(differences(&lines), told);
    assert_eq!(summary["queued"], 2, "{summary}");
    let wrong_size = lines.iter().find(|line| line["what"] == "wrong_size").unwrap();
    assert_eq!((&wrong_size["size"], &wrong_size["listed_size"]), (&1000.into(), &900.into()));
    rig.until("all sent again", |status| status.is_quiet() && rig.sim.files().len() == 7).await;
    // Nothing was replaced in the cloud.
    assert_eq!(fs::read(rig.stored("photo/a.jpg").disk).unwrap(), photo(5, 900));
    let (said, lines, summary) = verify(&rig, &[]);
    assert_eq!(differences(&lines), [pair("unexpected", "stranger.jpg")], "{said:?}");
    assert_eq!(summary["older_versions"], 3, "{summary}");
    rig.stop().await;
}

async fn damage_that_no_listing_shows_is_found_by_fetching_and_sent_again(cloud: Cloud) {
    let mut rig = backed_up_at(cloud, 5).await;
    let stored = rig.stored("photo/2024/02/IMG_0002.jpg");
    let of_baidu = format!("GET /cdn/file/({}|{})", stored.md5, stored.cloud_md5);
    let its_bytes = cloud.of(of_baidu, format!("GET /[0-9]+/{}", stored.file_id));
    rig.sim.fault(Fault::always(&its_bytes, FaultKind::Flip(500))).unwrap();
    assert_eq!(verify(&rig, &[]).0.code, Some(0), "the listing is as it should be");
    let (said, lines, summary) = verify(&rig, &["--sample", "100%", "--repair"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(differences(&lines), [pair("wrong_content", "IMG_0002.jpg")]);
    assert_eq!((&summary["fetched"], &summary["queued"]), (&5.into(), &1.into()), "{summary}");
    rig.sim.clear_faults();
    rig.wait_quiet().await;
    let mark = rig.mark();
    let (said, _, summary) = verify(&rig, &["--sample", "2", "--seed", "7"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!((&summary["fetched"], &summary["seed"]), (&2.into(), &7.into()), "{summary}");
    // Links of 123pan begin with the number of the user, who is the first one.
    let any_bytes = cloud.of("GET /cdn/file/", "GET /1815309870/");
    let fetched = |mark| -> Vec<String> {
        let calls = rig.calls_after(mark, any_bytes);
        let mut paths: Vec<_> = calls.iter().map(|call| call.path.clone()).collect();
        paths.sort();
        paths
    };
    let first = fetched(mark);
    let mark = rig.mark();
    verify(&rig, &["--sample", "2", "--seed", "7"]);
    assert_eq!((first.len(), &fetched(mark)), (2, &first), "the same seed, the same files");
    let said = run(&rig, &["verify", "--sample", "40%"]);
    assert!(said.out.contains("2 fetched and compared") && said.out.contains("--seed "), "{said:?}");
    // One file, which is fetched whatever the share is.
    let one = rig.root("photo").join("2024/02/IMG_0002.jpg");
    let (_, _, summary) = verify(&rig, &["--sample", "1%", one.to_str().unwrap()]);
    assert_eq!((&summary["files"], &summary["fetched"]), (&1.into(), &1.into()), "{summary}");
    // A line that breaks is nobody's damage.
    rig.sim.fault(Fault::once(any_bytes, FaultKind::CutBody(1000))).unwrap();
    let (said, _, summary) = verify(&rig, &["--sample", "100%"]);
    assert_eq!((said.code, &summary["fetched"]), (Some(0), &5.into()), "{said:?}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_while_it_runs_is_no_difference() {
    let mut rig = Rig::ready(|setup| setup.writes_meanwhile = true);
    rig.put_photos(4);
    rig.begin();
    rig.wait_arrived().await;
    // The listing is answered late with what there was at first: the file comes in between.
    let late = std::time::Duration::from_secs(2);
    rig.sim.fault(Fault::once("method=listall", FaultKind::Delay(late))).unwrap();
    let mut command = rig.command(&["--json", "verify"]);
    let mark = rig.mark();
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    rig.put("2024/00/new.jpg", &photo(90, 1234));
    rig.until_true("the new file", || rig.sim.files().len() == 5).await;
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(rig.calls_after(mark, "method=listall").len(), 1, "{said}");
    rig.wait_arrived().await;
    // What the listing leaves out is looked for where it lies before it is called missing.
    let edit = r#"edit:{"list":[]}"#.parse().unwrap();
    rig.sim.fault(Fault::once("method=listall", edit)).unwrap();
    let (said, lines, summary) = verify(&rig, &[]);
    assert_eq!((said.code, lines.len()), (Some(0), 0), "{said:?}");
    assert_eq!(summary["files"], 5, "{summary}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_files_are_compared_in_a_few_calls() {
    let mut rig = backed_up(60).await;
    for number in 0..2100_u64 {
        let path = format!("/apps/xpand/photo/{}/{number}.jpg", number % 30);
        rig.sim.put_file("demo", &path, &number.to_le_bytes()).unwrap();
    }
    for number in 0..40 {
        let path = format!("/apps/xpand/photo/2024/{:02}/IMG_{number:04}.jpg", number % 3);
        rig.sim.remove("demo", &path).unwrap();
    }
    let mark = rig.mark();
    let (said, lines, summary) = verify(&rig, &[]);
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert_eq!((&summary["missing"], &summary["unexpected"]), (&40.into(), &2100.into()), "{summary}");
    assert_eq!((lines.len(), &summary["files"]), (2140, &60.into()));
    assert_eq!(rig.calls_after(mark, "method=listall").len(), 3);
    let looks = rig.calls_after(mark, "method=list").len() - 3;
    assert_eq!(looks, 3, "one for each folder of which something seems to be missing");
    let said = run(&rig, &["verify"]);
    assert!(said.out.contains("and 20 more") && said.out.contains("40 missing in the cloud"), "{said:?}");
    assert!(said.out.contains("and 2,080 more"), "{said:?}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_renamed_is_not_lost_when_only_its_old_copy_is_deleted() {
    let mut rig = backed_up(8).await;
    let old = rig.root("photo").join("2024/01/IMG_0001.jpg");
    fs::create_dir(rig.root("photo").join("best")).unwrap();
    fs::rename(&old, rig.root("photo").join("best/sunset.jpg")).unwrap();
    rig.client.scan(None).await.unwrap();
    rig.until("the copy under its new name", |status| status.is_quiet() && rig.sim.files().len() == 9).await;
    rig.until("the old name is missed", |status| status.totals.counts.files == 8).await;
    rig.remove_there("photo/2024/01/IMG_0001.jpg");
    let said = run(&rig, &["verify"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("nothing is lost") && said.out.contains("best/sunset.jpg"), "{said:?}");
    assert!(said.out.contains(": all there; 1 gone here and there"), "{said:?}");
    // The new name lies outside of what is compared.
    for path in [old.to_str().unwrap(), old.parent().unwrap().to_str().unwrap()] {
        let (said, lines, summary) = verify(&rig, &[path]);
        assert_eq!(said.code, Some(0), "{said:?}");
        assert_eq!(differences(&lines), [pair("elsewhere", "IMG_0001.jpg")]);
        assert_eq!((&summary["elsewhere"], &summary["lost"]), (&1.into(), &0.into()), "{summary}");
    }
    // Where the new copy is not there either, nothing speaks for the old one.
    let moved = fs::read(rig.stored("photo/best/sunset.jpg").disk).unwrap();
    rig.remove_there("photo/best/sunset.jpg");
    let (said, lines, summary) = verify(&rig, &[]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(differences(&lines), [pair("missing", "IMG_0001.jpg"), pair("missing", "sunset.jpg")]);
    assert_eq!(summary["lost"], 1, "{summary}");
    // Another file with the same bytes in its place is not the one that was sent: restore would not find it.
    rig.put_there("photo/best/sunset.jpg", &moved);
    let (said, lines, summary) = verify(&rig, &["--repair"]);
    assert_eq!(differences(&lines), [pair("missing", "IMG_0001.jpg"), pair("replaced", "sunset.jpg")]);
    assert_eq!((said.code, &summary["queued"]), (Some(1), &1.into()), "{summary}");
    rig.until("it is known", |status| status.is_quiet() && status.totals.counts.backed_up == 8).await;
    assert_eq!(rig.sim.files().len(), 8, "equal content is there once");
    let (said, _, summary) = verify(&rig, &["--repair"]);
    assert_eq!((said.code, &summary["forgotten"]), (Some(0), &1.into()), "{said:?}");
    let (said, lines, summary) = verify(&rig, &[]);
    assert_eq!((said.code, lines.len(), &summary["files"]), (Some(0), 0, &8.into()), "{said:?}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_second_looks_are_used_up_nothing_is_called_well_that_was_not_seen() {
    let mut rig = Rig::ready(|_| ());
    for number in 0..25_u64 {
        for name in ["a", "b"] {
            rig.put(&format!("{number:02}/{name}.jpg"), &photo(number, 500 + name.len()));
        }
    }
    rig.begin();
    rig.wait_arrived().await;
    for number in 0..25 {
        rig.sim.remove("demo", &format!("/apps/xpand/photo/{number:02}/a.jpg")).unwrap();
    }
    let mark = rig.mark();
    let (said, lines, summary) = verify(&rig, &[]);
    assert_eq!((said.code, lines.len(), &summary["missing"]), (Some(1), 25, &25.into()), "{summary}");
    assert_eq!(rig.calls_after(mark, "GET /rest/2.0/xpan/file?method=list").len(), 20);
    // The first listing leaves everything out: that it did is seen, and it is not believed then.
    let edit = r#"edit:{"list":[]}"#.parse().unwrap();
    rig.sim.fault(Fault::once("method=listall", edit)).unwrap();
    let (said, lines, summary) = verify(&rig, &[]);
    assert_eq!((said.code, lines.len(), &summary["unsure"]), (Some(1), 20, &10.into()), "{summary}");
    let (said, _, summary) = verify(&rig, &["--repair"]);
    assert_eq!((said.code, &summary["queued"]), (Some(1), &25.into()), "{summary}");
    rig.wait_arrived().await;
    rig.sim.fault(Fault::once("method=listall", r#"edit:{"list":[]}"#.parse().unwrap())).unwrap();
    let said = run(&rig, &["verify"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("all there as far as was compared; 10 not certain"), "{said:?}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn earlier_labels_dates_and_two_accounts_are_compared_where_their_files_are() {
    let mut rig = Rig::ready(|setup| {
        setup.accounts.push(Account { name: "work", user: "other", cloud: Cloud::Baidu, logged_in: true });
        let dated = "remote = \"{label}/{year}/{month}/{path}\"".to_owned();
        setup.folders.push(Folder { label: "job", account: "work", more: dated });
    });
    rig.put_photos(4);
    rig.put_photos_in("job", 4);
    rig.back_up_and_stop().await;
    assert!(rig.sim.files().iter().any(|file| file.path.starts_with("/apps/xpand/job/2018/09/2024/")));
    let config = fs::read_to_string(rig.config_file()).unwrap();
    fs::write(rig.config_file(), config.replace("label = \"photo\"", "label = \"pictures\"")).unwrap();
    rig.begin();
    rig.wait_quiet().await;
    let place = rig.root("job").join("2024/01");
    for (path, files) in [(None, 8), (Some("pictures"), 4), (Some("job"), 4), (place.to_str(), 1)] {
        let (said, lines, summary) = verify(&rig, path.as_slice());
        assert_eq!((said.code, lines.len(), &summary["files"]), (Some(0), 0, &files.into()), "{said:?}");
    }
    rig.sim.remove("demo", "/apps/xpand/photo/2024/01/IMG_0001.jpg").unwrap();
    rig.sim.remove("other", "/apps/xpand/job/2018/09/2024/02/IMG_0002.jpg").unwrap();
    rig.sim.put_file("other", "/apps/xpand/job/2019/01/stranger.jpg", b"not ours").unwrap();
    let (said, lines, summary) = verify(&rig, &[]);
    let wrong = [
        pair("missing", "IMG_0001.jpg"),
        pair("missing", "IMG_0002.jpg"),
        pair("unexpected", "stranger.jpg"),
    ];
    assert_eq!((said.code, differences(&lines), &summary["files"]), (Some(1), wrong.into(), &8.into()));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_keeps_it_from_comparing_is_said_and_nothing_is_called_well() {
    let mut rig = backed_up(3).await;
    // A cloud that is tired for a moment, and details that it does not tell of a file that it lists.
    rig.sim.fault(Fault::times("method=listall", FaultKind::Status(503), 2)).unwrap();
    assert_eq!(verify(&rig, &[]).0.code, Some(0));
    rig.sim.fault(Fault::always("method=filemetas", FaultKind::Errno(42214))).unwrap();
    let (said, lines, summary) = verify(&rig, &["--sample", "100%"]);
    assert_eq!((said.code, lines.len(), &summary["unread"]), (Some(1), 0, &3.into()), "{said:?}");
    assert!(said.err.contains("tells nothing of it"), "{said:?}");
    rig.sim.clear_faults();
    // The hour's calls are used up: it says so, and waits.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let calls = rig.state_dir().join("accounts/home.calls");
    fs::write(&calls, format!("listall {}\n", now - 600_000).repeat(100)).unwrap();
    let mut waiting = rig.command(&["verify"]).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut told = String::new();
    BufReader::new(waiting.stderr.take().unwrap()).read_line(&mut told).unwrap();
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    assert!(told.contains("used up") && told.contains("waiting 51 min"), "{told}");
    // The agent ends in the middle.
    fs::remove_file(&calls).unwrap();
    rig.sim.remove("demo", "/apps/xpand/photo/2024/00/IMG_0000.jpg").unwrap();
    let late = std::time::Duration::from_secs(3);
    rig.sim.fault(Fault::once("xpan/file.method=list", FaultKind::Delay(late))).unwrap();
    let mark = rig.mark();
    let mut command = rig.command(&["verify", "--repair"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    rig.until_true("the first listing", || rig.calls_after(mark, "method=listall").len() == 1).await;
    rig.stop().await;
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    match output.status.code() {
        Some(3) => assert!(said.contains("the agent is not running"), "{said}"),
        // It was asked at that moment.
        code => assert!(code == Some(1) && said.contains("the agent did not answer"), "{code:?} {said}"),
    }
    rig.begin();
    rig.wait_quiet().await;
    let (repaired, lines, summary) = verify(&rig, &["--repair"]);
    assert_eq!(summary["queued"], 1, "{said} {repaired:?} {lines:?}");
    rig.wait_arrived().await;
    assert_eq!(verify(&rig, &[]).0.code, Some(0));
    // A folder that the agent has not heard of, no folder at all, and nobody logged in.
    let config = fs::read_to_string(rig.config_file()).unwrap();
    let more = format!("[[folder]]\npath = {:?}\naccount = \"home\"\nlabel = \"new\"\n", rig.path("outbox"));
    fs::write(rig.config_file(), config.replacen("[[folder]]", &format!("{more}[[folder]]"), 1)).unwrap();
    let said = run(&rig, &["verify"]);
    assert!(said.code == Some(1) && said.err.contains("xpand reload"), "{said:?}");
    let from = config.find("[[folder]]").unwrap();
    let until = config.find("[upload]").unwrap();
    fs::write(rig.config_file(), [&config[..from], &config[until..]].concat()).unwrap();
    let said = run(&rig, &["verify"]);
    assert!(said.code == Some(2) && said.err.contains("no [[folder]]"), "{said:?}");
    fs::write(rig.config_file(), &config).unwrap();
    fs::remove_file(rig.state_dir().join("accounts/home.json")).unwrap();
    let said = run(&rig, &["verify"]);
    assert!(said.code == Some(4) && said.out.is_empty(), "{said:?}");
    rig.stop().await;
}

/// 123pan looks at pictures whenever it likes. What it rejects nobody gets back: that is no copy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_later_review_takes_back_is_told_and_said_to_be_no_copy() {
    let mut rig = backed_up_at(Cloud::Pan123, 3).await;
    rig.sim.pan123().review("IMG_0001", 104).unwrap();
    let (said, lines, summary) = verify(&rig, &["--repair"]);
    assert_eq!(differences(&lines), [pair("missing", "IMG_0001.jpg")], "{said:?}");
    assert_eq!((said.code, &summary["queued"]), (Some(1), &1.into()), "{summary}");
    rig.until("it is refused", |status| status.totals.counts.failed == 1 && status.is_quiet()).await;
    let path = rig.root("photo").join("2024/01/IMG_0001.jpg");
    let told = rig.run(&["explain", path.to_str().unwrap()]).done();
    assert!(told.contains("review rejected this picture (status 104)"), "{told}");
    assert_eq!((rig.sim.files().len(), rig.sim.count("PUT ")), (3, 3), "it is not sent once more");
    rig.stop().await;
}
