//! One path in two `[[folder]]` tables, to be kept at two accounts, here at two clouds: each has its own copies,
//! and whoever names the path means both.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use cloudsim::Fault;
use common::clouds::Cloud;
use common::media::photo;
use common::process::Said;
use common::{Account, Folder, Rig};
use serde_json::Value;
use xpand::control::client::ClientError;
use xpand::control::{CopiesQuery, Spot};
use xpand::status::{FolderState, Status};

/// The names of the photos that are backed up.
const NAMES: [&str; 3] = ["a.jpg", "sub/b.jpg", "sub/c.jpg"];

fn rig() -> Rig {
    let rig = Rig::ready(|setup| {
        setup.accounts.push(Account { name: "vm", user: "cousin", cloud: Cloud::Pan123, logged_in: true });
        setup.folders.push(Folder { label: "photo@vm", account: "vm", more: String::new() });
        // The test loses copies.
        setup.tidies = true;
    });
    for (seed, name) in NAMES.into_iter().enumerate() {
        rig.put(name, &photo(seed as u64, 3000));
    }
    rig
}

/// A rig whose agent runs, with all photos at both clouds.
async fn backed_up() -> Rig {
    let mut rig = rig();
    rig.begin();
    arrived(&rig).await;
    rig
}

async fn arrived(rig: &Rig) {
    rig.until("all photos at both clouds", |status| {
        common::is_quiet(status) && status.totals.counts.backed_up == 2 * NAMES.len() as u64
    })
    .await;
}

/// Runs a command that finds the minute's calls unused, so that nothing has to be waited for.
fn run(rig: &Rig, args: &[&str]) -> Said {
    for account in ["home", "vm"] {
        let _ = fs::remove_file(rig.state_dir().join(format!("accounts/{account}.calls")));
    }
    rig.run(args)
}

/// The documents of a command.
fn json(rig: &Rig, args: &[&str]) -> (Said, Vec<Value>) {
    let said = run(rig, &[&["--json"], args].concat());
    let lines = said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (said, lines)
}

fn lose_at_baidu(rig: &Rig, name: &str) {
    rig.sim.remove("demo", &format!("/apps/xpand/photo/{name}")).unwrap();
}

/// What is in a folder, by the names of the photos.
fn came_home(home: &Path) -> Vec<&'static str> {
    let is_there =
        |(seed, name): &(usize, &str)| fs::read(home.join(name)).ok() == Some(photo(*seed as u64, 3000));
    NAMES.into_iter().enumerate().filter(is_there).map(|(_, name)| name).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_explained_and_listed_once_for_each_account() {
    let mut rig = backed_up().await;
    let file = rig.root("photo").join("a.jpg");
    let said = run(&rig, &["explain", file.to_str().unwrap()]).done();
    for account in ["home", "vm"] {
        assert!(said.contains(&format!("/photo to {account}\n")), "{said:?}");
    }
    assert_eq!(said.matches("a.jpg: backed up\n").count(), 2, "{said:?}");
    let explained = rig.client.explain(&file).await.unwrap();
    let labels = |labels: &[Option<&str>]| labels.iter().map(|label| label.unwrap().to_owned()).collect();
    let all: Vec<String> = labels(&[explained.label.as_deref(), explained.others[0].label.as_deref()]);
    assert_eq!(all, ["photo", "photo@vm"]);
    let spots =
        ["photo", "photo@vm", "other"].map(|label| Spot { path: file.clone(), label: Some(label.into()) });
    let told = rig.client.explain_all(&spots).await.unwrap();
    let told: Vec<_> = told.iter().map(|line| (line.account.as_deref(), line.others.len())).collect();
    assert_eq!(told, [(Some("home"), 0), (Some("vm"), 0), (None, 0)]);
    // The lists say whose line it is.
    let (_, lines) = json(&rig, &["queue", "--state", "done"]);
    let mut accounts: Vec<&str> = lines.iter().map(|line| line["account"].as_str().unwrap()).collect();
    accounts.sort_unstable();
    assert_eq!(accounts, ["home", "home", "home", "vm", "vm", "vm"]);
    let said = run(&rig, &["queue", "--state", "done"]).done();
    assert_eq!(said.matches("/a.jpg to vm\n").count(), 1, "{said:?}");
    // The copies are those of one folder, which has to be said.
    let mut query = CopiesQuery { path: file, limit: 9, ..CopiesQuery::default() };
    let refused = rig.client.copies(&query).await.unwrap_err();
    assert!(matches!(&refused, ClientError::Refused(failure) if failure.message.contains("photo, photo@vm")));
    query.label = Some("photo@vm".to_owned());
    let copies = rig.client.copies(&query).await.unwrap().copies;
    assert_eq!((copies.len(), copies[0].account.as_str()), (1, "vm"));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_account_has_lost_is_missed_there_only_and_sent_there_only() {
    let mut rig = backed_up().await;
    let photos = rig.root("photo");
    for args in [vec!["verify"], vec!["verify", photos.to_str().unwrap()]] {
        let said = run(&rig, &args).done();
        assert!(said.starts_with("6 files, ") && said.trim_end().ends_with(": all there"), "{said:?}");
    }
    lose_at_baidu(&rig, "a.jpg");
    let said = run(&rig, &["verify"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("1 file missing in the cloud:\n") && said.out.contains("a.jpg at home\n"));
    let mark = rig.mark();
    let (said, lines) = json(&rig, &["verify", "--repair", photos.join("a.jpg").to_str().unwrap()]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let [missing, summary] = lines.as_slice() else { panic!("{said:?}") };
    assert_eq!((&missing["what"], &missing["account"]), (&"missing".into(), &"home".into()));
    assert_eq!((&summary["summary"]["files"], &summary["summary"]["queued"]), (&2.into(), &1.into()));
    arrived(&rig).await;
    assert_eq!(rig.calls_after(mark, "PUT").len() + rig.calls_after(mark, "file/create").len(), 0);
    run(&rig, &["verify"]).done();
    // Gone here, and there at one cloud only: the copy at the other is no difference, and is not forgotten.
    fs::remove_file(photos.join("sub/b.jpg")).unwrap();
    rig.client.scan(None).await.unwrap();
    rig.until("the file is missed", |status| status.totals.counts.files == 4).await;
    lose_at_baidu(&rig, "sub/b.jpg");
    let (said, lines) = json(&rig, &["verify", "--forget", "--yes"]);
    let summary = &lines.last().unwrap_or_else(|| panic!("{said:?}"))["summary"];
    assert_eq!((said.code, &summary["lost"], &summary["forgotten"]), (Some(1), &1.into(), &1.into()));
    let (said, lines) = json(&rig, &["verify"]);
    assert_eq!((said.code, &lines[0]["summary"]["files"]), (Some(0), &5.into()), "{said:?}");
    let home = rig.path("home");
    run(&rig, &["restore", photos.to_str().unwrap(), "--to", home.to_str().unwrap()]).done();
    assert_eq!(came_home(&home), NAMES);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_comes_home_from_both_accounts_and_a_label_from_its_own() {
    let mut rig = backed_up().await;
    let photos = rig.root("photo");
    let restored = |rig: &Rig, more: &[&str], to: &str| -> (Said, PathBuf) {
        let home = rig.path(to);
        (run(rig, &[&["restore", "--to", home.to_str().unwrap()], more].concat()), home)
    };
    lose_at_baidu(&rig, "a.jpg");
    let mark = rig.mark();
    let (said, home) = restored(&rig, &["photo@vm"], "by label");
    assert_eq!((said.code, came_home(&home)), (Some(0), NAMES.to_vec()), "{said:?}");
    assert_eq!(rig.calls_after(mark, "method=filemetas").len(), 0, "not a word to the other cloud");
    // One cloud has lost it, which is told; the other one has it.
    let path = photos.to_str().unwrap();
    let (said, home) = restored(&rig, &[path], "by path");
    assert_eq!((said.code, came_home(&home)), (Some(1), NAMES.to_vec()), "{said:?}");
    assert!(said.err.contains("from home (folder photo):") && said.err.contains("1 failed"), "{said:?}");
    assert!(said.err.contains("2 there already"), "{said:?}");
    let (said, home) = restored(&rig, &["--account", "vm", path], "by account");
    assert_eq!((said.code, came_home(&home)), (Some(0), NAMES.to_vec()), "{said:?}");
    let (said, home) = restored(&rig, &["--account", "nobody", path], "nowhere");
    assert_eq!((said.code, home.exists()), (Some(2), false), "{said:?}");
    // One account has nothing of it: that is told and is no failure. Without the agent too.
    lose_at_baidu(&rig, "sub");
    rig.stop().await;
    let sub = photos.join("sub");
    let (said, home) = restored(&rig, &[sub.to_str().unwrap()], "sub");
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(home.join("b.jpg").exists() && said.err.contains("is backed up"), "{said:?}");
    let (said, _) = restored(&rig, &[photos.join("none").to_str().unwrap()], "none");
    assert_eq!(said.code, Some(1), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_account_has_just_brought_home_is_not_overwritten_by_the_other() {
    let mut rig = backed_up().await;
    rig.stop().await;
    let (path, home, newer) = (rig.root("photo"), rig.path("home"), photo(99, 2000));
    lose_at_baidu(&rig, "a.jpg");
    rig.sim.put_file("demo", "/apps/xpand/photo/a.jpg", &newer).unwrap();
    // Written before the run, by more than the kernel's clock for files lags behind.
    fs::create_dir(&home).unwrap();
    fs::write(home.join("a.jpg"), b"old").unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let args = ["restore", path.to_str().unwrap(), "--overwrite", "--to", home.to_str().unwrap()];
    let said = run(&rig, &args);
    assert!(fs::read(home.join("a.jpg")).unwrap() == newer, "{said:?}");
    assert!(
        said.out.contains("written there a moment ago") && said.err.contains("2 there already"),
        "{said:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_tried_again_at_both_accounts() {
    let mut rig = rig();
    for cloud in [Cloud::Baidu, Cloud::Pan123] {
        rig.sim.fault(Fault::times(cloud.begin(), cloud.number(987_654), NAMES.len() as u32)).unwrap();
    }
    rig.begin();
    rig.until("all failed", |status| common::is_quiet(status) && status.totals.counts.failed == 6).await;
    rig.client.retry(Some(&rig.root("photo").join("a.jpg"))).await.unwrap();
    rig.until("one at each", |status| {
        common::is_quiet(status)
            && (status.totals.counts.failed, status.totals.counts.backed_up) == (4, 2)
            && status.folders.iter().all(|folder| folder.counts.backed_up == 1)
    })
    .await;
    rig.client.retry(Some(&rig.root("photo").join("sub"))).await.unwrap();
    arrived(&rig).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_lost_most_of_its_files_is_accepted_for_both_accounts_by_a_word() {
    let mut rig = rig();
    rig.put_photos(12);
    rig.begin();
    rig.until("all", |status| common::is_quiet(status) && status.totals.counts.backed_up == 30).await;
    rig.stop().await;
    rig.remove_photos(12);
    rig.begin();
    let all_are = |status: &Status, state| status.folders.iter().all(|folder| folder.state == state);
    rig.until("both are missed", |status| all_are(status, FolderState::Suspicious)).await;
    rig.client.accept(&rig.root("photo")).await.unwrap();
    rig.until("both are believed", |status| {
        all_are(status, FolderState::Watching) && status.totals.counts.files == 6
    })
    .await;
    rig.stop().await;
}
