//! `xpand restore`: what was backed up comes home byte for byte under its own names - from the agent's
//! index, from the cloud's listing alone, and after any number of kills.
#![allow(clippy::unwrap_used)]

mod common;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use cloudsim::{Fault, FaultKind};
use common::clouds::{Cloud, at_each_cloud};
use common::media::{noise, odd_names, photo, set_mtime};
use common::{PATIENCE, Rig, files_below};
use xpand::control::CopiesQuery;
use xpand::remote::names::unescape;

at_each_cloud! {
    every_odd_name_comes_home_byte_for_byte_from_index_and_from_listing
    what_is_gone_comes_home_and_what_is_different_stays
    a_restore_that_is_killed_again_and_again_comes_to_its_end
}

/// Names, contents and whole seconds of the times below a folder, sorted.
fn tree(folder: &Path) -> Vec<(PathBuf, Vec<u8>, i64)> {
    let files = files_below(folder).into_iter();
    let mut files: Vec<_> = files
        .map(|(path, below)| (below, fs::read(&path).unwrap(), fs::metadata(&path).unwrap().mtime()))
        .collect();
    files.sort();
    files
}

fn assert_same(one: &Path, other: &Path) {
    let (one, other) = (tree(one), tree(other));
    let names = |tree: &[(PathBuf, Vec<u8>, i64)]| -> Vec<_> {
        tree.iter().map(|(name, bytes, mtime)| (name.clone(), bytes.len(), *mtime)).collect()
    };
    assert_eq!(names(&one), names(&other));
    assert!(one == other, "the names are the same, the contents are not");
}

/// As [`assert_same`], of what came home without the index: 123pan keeps no time of a file.
fn assert_came_home(cloud: Cloud, one: &Path, other: &Path) {
    if cloud == Cloud::Baidu {
        return assert_same(one, other);
    }
    let known =
        |folder: &Path| tree(folder).into_iter().map(|(name, bytes, _)| (name, bytes)).collect::<Vec<_>>();
    assert!(known(one) == known(other), "{:?} {:?}", files_below(one), files_below(other));
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A rig whose folder `photo` has all odd names, backed up by the agent, which runs.
async fn backed_up(cloud: Cloud) -> Rig {
    let mut rig = Rig::ready_at(cloud, |_| ());
    for (seed, name) in (0..).zip(odd_names()) {
        let path = rig.root("photo").join(OsStr::from_bytes(&name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, photo(seed, 900 + usize::try_from(seed).unwrap())).unwrap();
        set_mtime(&path, 1_500_000_000 + seed);
    }
    rig.begin();
    let status = rig.wait_arrived().await;
    assert_eq!(status.totals.counts.failed, 0);
    rig
}

async fn every_odd_name_comes_home_byte_for_byte_from_index_and_from_listing(cloud: Cloud) {
    let mut rig = backed_up(cloud).await;
    let photos = rig.root("photo");
    let indexed = rig.path("indexed");
    let mark = rig.mark();
    let said = rig.run(&["restore", text(&photos), "--to", text(&indexed)]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_same(&photos, &indexed);
    let lists = rig.calls_after(mark, cloud.list());
    // 123pan has no other call that tells whether a login is good, and none that tells of several files.
    let most = odd_names().len() + 1 - cloud.of(0, rig.calls_after(mark, "file/detail").len());
    assert!(lists.len() <= cloud.of(0, most), "the index is asked, not the cloud: {lists:#?}");
    assert!(!said.out.contains('\u{1b}') && !said.err.contains('\u{1b}'), "{said:?}");
    // Any program can read the index in pages, names that are no text included.
    let (mut query, mut known) =
        (CopiesQuery { path: photos.clone(), limit: 7, ..CopiesQuery::default() }, Vec::new());
    loop {
        let page = rig.client.copies(&query).await.unwrap();
        assert!(page.copies.len() <= 7);
        known.extend(page.copies.iter().map(|copy| unescape(&copy.below).unwrap()));
        let Some(next) = page.next else { break };
        query.after = Some(next);
    }
    let mut names = odd_names();
    known.sort();
    names.sort();
    assert_eq!(known, names);
    // Again: all is there, and no call is made for it.
    let mark = rig.mark();
    let said = rig.run(&["restore", "photo", "--to", text(&indexed)]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let fetching = cloud.of(["filemetas", "/file/"], ["file/detail", "GET /181"]);
    assert!(fetching.iter().all(|call| rig.calls_after(mark, call).is_empty()));
    // The folder is wiped, the agent does not run.
    rig.stop().await;
    let wiped = rig.path("wiped");
    fs::rename(&photos, &wiped).unwrap();
    let listed = rig.path("listed");
    let said = rig.run(&["restore", text(&photos), "--to", text(&listed)]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.err.contains("the agent is not running"), "{said:?}");
    assert_came_home(cloud, &wiped, &listed);
    // A bare box: a login, and no such folder.
    rig.setup.folders.clear();
    rig.write_config();
    let bare = rig.path("bare");
    let said = rig.run(&["restore", "photo", "--to", text(&bare)]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_came_home(cloud, &wiped, &bare);
    let one = rig.path("one");
    let said = rig.run(&["restore", &format!("{}photo/a%3Ab%3F.jpg", cloud.root()), "--to", text(&one)]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(fs::read(one.join("a:b?.jpg")).unwrap(), photo(0, 900));
    let said = rig.run(&["restore", "no-such", "--to", text(&one)]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains(&format!("{}no-such", cloud.root())), "{said:?}");
}

async fn what_is_gone_comes_home_and_what_is_different_stays(cloud: Cloud) {
    let mut rig = Rig::ready_at(cloud, |_| ());
    rig.put("2024/a.jpg", &photo(1, 1000));
    rig.put("2024/b.jpg", &photo(2, 1001));
    rig.put("2023/c.jpg", &photo(3, 1002));
    rig.put("2023/d.jpg", &photo(4, 1003));
    rig.begin();
    rig.wait_arrived().await;
    fs::remove_file(rig.root("photo").join("2024/a.jpg")).unwrap();
    rig.client.scan(None).await.unwrap();
    rig.until("the file is missed", |status| status.totals.counts.files == 3).await;
    let (photos, to) = (rig.root("photo"), rig.path("to"));
    fs::create_dir_all(to.join("2024")).unwrap();
    fs::write(to.join("2024/b.jpg"), "mine").unwrap();
    let said = rig.run(&["restore", text(&photos), "--to", text(&to), "--dry-run"]);
    assert_eq!(said.code, Some(1), "b.jpg stays, which is said: {said:?}");
    assert_eq!(files_below(&to).len(), 1);
    let said = rig.run(&["--json", "restore", text(&photos), "--to", text(&to)]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(fs::read(to.join("2024/a.jpg")).unwrap(), photo(1, 1000), "gone from the disk");
    assert_eq!(fs::read(to.join("2024/b.jpg")).unwrap(), b"mine");
    assert_eq!(fs::read(to.join("2023/c.jpg")).unwrap(), photo(3, 1002));
    assert_eq!(said.out.matches("\"done\"").count(), 3);
    let said = rig.run(&["restore", text(&photos), "--to", text(&to), "--overwrite"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(fs::read(to.join("2024/b.jpg")).unwrap(), photo(2, 1001));
    // A folder of it, a file of it, what is not backed up, and what is nowhere.
    let part = rig.path("part");
    for path in ["2023", "2024/a.jpg"] {
        let said = rig.run(&["restore", text(&photos.join(path)), "--to", text(&part)]);
        assert_eq!(said.code, Some(0), "{said:?}");
    }
    let names: Vec<_> = tree(&part).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["a.jpg", "c.jpg", "d.jpg"].map(PathBuf::from));
    let nothing = rig.path("nothing");
    let said = rig.run(&["restore", text(&photos.join("2022")), "--to", text(&nothing)]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("is backed up") && !nothing.exists(), "{said:?}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_not_what_was_backed_up_is_told_and_not_restored() {
    let mut rig = Rig::ready(|_| ());
    rig.put("a.jpg", &photo(1, 1000));
    rig.put("b.jpg", &photo(2, 1001));
    rig.begin();
    rig.wait_arrived().await;
    let file = format!("GET /cdn/file/{}", rig.stored("photo/a.jpg").cloud_md5);
    rig.sim.fault(Fault::always(&file, FaultKind::Flip(500))).unwrap();
    let (photos, to) = (rig.root("photo"), rig.path("to"));
    let said = rig.run(&["restore", text(&photos), "--to", text(&to)]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(files_below(&to).len(), 1);
    rig.sim.clear_faults();
    // Its user deleted one in the phone app.
    rig.sim.remove("demo", "/apps/xpand/photo/b.jpg").unwrap();
    fs::remove_file(to.join("b.jpg")).unwrap();
    let said = rig.run(&["restore", text(&photos), "--to", text(&to)]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("it is not in the cloud any more"), "{said:?}");
    assert_eq!(fs::read(to.join("a.jpg")).unwrap(), photo(1, 1000));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_has_another_id_by_now_is_found_at_its_path_or_under_another_name() {
    let mut rig = Rig::ready(|_| ());
    let photos: Vec<_> = (0..5).map(|seed| photo(seed, 1000)).collect();
    for (name, bytes) in
        ["d/again.jpg", "d/same.jpg", "d/other.jpg", "d/longer.jpg", "b.jpg"].iter().zip(&photos)
    {
        rig.put(name, bytes);
    }
    rig.put("d/twin.jpg", &photos[4]);
    rig.begin();
    rig.wait_arrived().await;
    // Somebody puts these there again, or something else of the same name.
    let path = |name: &str| format!("/apps/xpand/photo/{name}");
    for (name, bytes) in [
        ("d/again.jpg", photos[0].clone()),
        ("d/other.jpg", photo(9, 1000)),
        ("d/longer.jpg", photo(9, 1001)),
    ] {
        let before = rig.stored(&format!("photo/{name}")).fs_id;
        rig.sim.remove("demo", &path(name)).unwrap();
        rig.sim.put_file("demo", &path(name), &bytes).unwrap();
        assert_ne!(rig.stored(&format!("photo/{name}")).fs_id, before);
    }
    // And takes away one of two copies of the same picture.
    rig.sim.remove("demo", &path("d/twin.jpg")).unwrap();
    let (folder, to) = (rig.root("photo"), rig.path("to"));
    let mark = rig.mark();
    let said = rig.run(&["restore", text(&folder), "--to", text(&to)]);
    assert_eq!(said.code, Some(1), "two of them are nowhere: {said:?}");
    let failed: Vec<_> = said.out.lines().filter(|line| line.starts_with("failed")).collect();
    assert!(failed.len() == 2 && failed.iter().all(|line| line.contains("has its name")), "{said:?}");
    let expected = [("b.jpg", 4), ("d/again.jpg", 0), ("d/same.jpg", 1), ("d/twin.jpg", 4)];
    let came: Vec<_> = tree(&to).into_iter().map(|(name, bytes, _)| (name, bytes)).collect();
    let expected: Vec<_> =
        expected.iter().map(|&(name, at)| (PathBuf::from(name), photos[at].clone())).collect();
    assert!(came == expected, "{said:?}");
    assert_eq!(rig.calls_after(mark, "method=list").len(), 1, "one folder is listed, once");
    rig.stop().await;
}

#[test]
fn addresses_that_grew_too_old_while_a_film_came_are_renewed_all_at_once() {
    let rig = Rig::ready(|_| ());
    rig.sim.put_file("demo", "/apps/xpand/photo/a.mp4", &noise(99, 2 << 20)).unwrap();
    for number in 0..30 {
        let path = format!("/apps/xpand/photo/b{number}.jpg");
        rig.sim.put_file("demo", &path, &noise(number, 500)).unwrap();
    }
    rig.sim.set_bandwidth(Some(256 << 10));
    let to = rig.path("to");
    let mut restore = rig.command(&["restore", "photo", "--to", text(&to), "--parallel", "1"]);
    let mut child = restore.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    let is_coming = |(path, _): &(PathBuf, _)| fs::metadata(path).is_ok_and(|file| file.len() >= 256 << 10);
    while !to.exists() || !files_below(&to).iter().any(is_coming) {
        assert!(begun.elapsed() < PATIENCE, "no part of the film");
        std::thread::sleep(Duration::from_millis(10));
    }
    // All others wait with an address that is good for eight hours.
    rig.sim.advance(Duration::from_secs(9 * 3600));
    rig.sim.set_bandwidth(None);
    assert!(child.wait().unwrap().success());
    assert_eq!(files_below(&to).len(), 31);
    assert_eq!(rig.calls_after(0, "method=filemetas").len(), 2, "one for all, and another for all");
}

/// The years of a template are left out, so that two remote files can have one place.
#[test]
fn two_copies_of_one_place_never_replace_each_other() {
    let rig = Rig::ready(|setup| setup.folders[0].more = "remote = \"{label}/{year}/{path}\"".into());
    let copies = [photo(1, 1000), photo(2, 1000)];
    for (year, copy) in [2018, 2019].iter().zip(&copies) {
        rig.sim.put_file("demo", &format!("/apps/xpand/photo/{year}/d/a.jpg"), copy).unwrap();
    }
    rig.sim.put_file("demo", "/apps/xpand/photo/2018/b.jpg", &copies[0]).unwrap();
    rig.sim.put_file("demo", "/apps/xpand/photo/else/c.jpg", &copies[1]).unwrap();
    let to = rig.path("to");
    let said = rig.run(&["restore", "photo", "--to", text(&to), "--overwrite", "--parallel", "1"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(said.out.lines().filter(|line| line.starts_with("failed")).count(), 1, "{said:?}");
    let names: Vec<_> = files_below(&to).into_iter().map(|(_, below)| below).collect();
    assert!(names.contains(&"b.jpg".into()) && names.contains(&"else/c.jpg".into()), "{names:?}");
    assert!(copies.contains(&fs::read(to.join("d/a.jpg")).unwrap()));
    assert_eq!(names.len(), 3, "{names:?}");
}

/// With `XPAND_RESTORE_FILES=2000` the whole of the promise; in an ordinary run a small part of it.
async fn a_restore_that_is_killed_again_and_again_comes_to_its_end(cloud: Cloud) {
    let usual = cloud.of(120, 16);
    let count = std::env::var("XPAND_RESTORE_FILES").map_or(usual, |count| count.parse().unwrap());
    let mut rig = Rig::ready_at(cloud, |_| ());
    let odd = odd_names();
    for number in 0..count {
        let name = &odd[number % odd.len()];
        let mut below = format!("{}/{}", number % 17, number / odd.len()).into_bytes();
        below.extend([b"-".as_slice(), name].concat());
        // A name that would be too long on the disk with the number before it.
        let below = if name.len() > 240 { [format!("{number}/").as_bytes(), name].concat() } else { below };
        let path = rig.root("photo").join(OsStr::from_bytes(&below));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, photo(number as u64, 700 + number)).unwrap();
        set_mtime(&path, 1_400_000_000 + number as u64);
    }
    rig.begin();
    rig.wait_arrived().await;
    let (photos, to) = (rig.root("photo"), rig.path("to"));
    let args = ["restore", text(&photos), "--to", text(&to)];
    let mark = rig.mark();
    for kill in 1..=3 {
        let mut child = rig.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        // A quarter of them more each time.
        let enough = || to.exists() && files_below(&to).len() >= kill * count / 4;
        while !enough() && child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let said = rig.run(&args);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_same(&photos, &to);
    // Whatever was killed was fetched again, and nothing else: three at a time.
    let bytes = |call: &cloudsim::Call| call.host == "cdn" && call.method == "GET";
    let fetched = rig.sim.calls_since(mark).iter().filter(|call| bytes(call)).count();
    assert!(fetched <= count + 3 * 3, "{fetched} downloads of {count} files");
    rig.stop().await;
}
