//! `xpand drive get`: files of the cloud come home whole, checked, into the folder that was named and
//! nowhere else, whatever the cloud says and whatever happens on the way.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cloudsim::{Fault, FaultKind};
use common::disks::{Mounted, is_done};
use common::media::{noise, set_mtime};
use common::{PATIENCE, Rig, files_below};
use serde_json::{Value, json};

/// Where the bytes of a file come from.
const BYTES: &str = "GET /cdn/file/";
const MIB: usize = 1 << 20;

/// A rig without an agent, whose cloud has these files below `/apps/xpand`.
fn cloud_with(files: &[(&str, &[u8])]) -> Rig {
    let rig = Rig::ready(|_| ());
    fs::create_dir(rig.path("home")).unwrap();
    for (path, bytes) in files {
        rig.sim.put_file("demo", &format!("/apps/xpand/{path}"), bytes).unwrap();
    }
    rig
}

fn home(rig: &Rig, name: &str) -> String {
    rig.path("home").join(name).to_str().unwrap().to_owned()
}

/// Names and contents below a folder, sorted; hidden parts too.
fn tree(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let files = files_below(folder).into_iter();
    let mut files: Vec<_> =
        files.map(|(path, below)| (below.to_string_lossy().into_owned(), fs::read(path).unwrap())).collect();
    files.sort();
    files
}

fn names(folder: &Path) -> Vec<String> {
    tree(folder).into_iter().map(|(name, _)| name).collect()
}

/// The states of a `--json` output by local name, sorted.
fn states(out: &str) -> Vec<(String, String)> {
    let mut states: Vec<_> = out
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let name = line["local"].as_str().or(line["path"].as_str()).unwrap();
            let name = name.rsplit('/').next().unwrap().to_owned();
            (name, line["state"].as_str().unwrap().to_owned())
        })
        .collect();
    states.sort();
    states
}

fn pair(name: &str, state: &str) -> (String, String) {
    (name.to_owned(), state.to_owned())
}

#[test]
fn files_and_folders_are_fetched_with_the_habits_of_cp() {
    let (a, b, c) = (noise(1, 3000), noise(2, 70_000), noise(3, 10));
    let rig = cloud_with(&[("d/a.jpg", &a), ("d/e/b.jpg", &b), ("c.txt", &c)]);
    let to = home(&rig, "");
    // One file: to a new name, then into a folder.
    let said = rig.run(&["drive", "get", "/apps/xpand/c.txt", &home(&rig, "new.txt")]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(fs::read(home(&rig, "new.txt")).unwrap(), c);
    assert_eq!(rig.run(&["drive", "get", "c.txt", &to]).code, Some(0));
    // A folder wants -r; what else was asked for comes all the same.
    fs::remove_file(home(&rig, "c.txt")).unwrap();
    let said = rig.run(&["--json", "drive", "get", "d", "c.txt", "nothing", &to]);
    assert_eq!(said.code, Some(1));
    let expected = [pair("c.txt", "done"), pair("d", "failed"), pair("nothing", "failed")];
    assert_eq!(states(&said.out), expected, "{said:?}");
    // Into a folder, then as a new one.
    assert_eq!(rig.run(&["drive", "get", "-r", "d", &to]).code, Some(0));
    assert_eq!(rig.run(&["drive", "get", "-r", "d", &home(&rig, "copy")]).code, Some(0));
    let expected = ["c.txt", "copy/a.jpg", "copy/e/b.jpg", "d/a.jpg", "d/e/b.jpg", "new.txt"];
    assert_eq!(names(&rig.path("home")), expected);
    assert_eq!(fs::read(home(&rig, "copy/e/b.jpg")).unwrap(), b);
    // A folder that a slip of the pen names is not made.
    let said = rig.run(&["drive", "get", "c.txt", &home(&rig, "nowhere/c.txt")]);
    assert!(said.code == Some(2) && said.err.contains("there is no such folder"), "{said:?}");
    let said = rig.run(&["drive", "get", "-n", "d/a.jpg", &to]);
    assert!(said.code == Some(0) && said.out.starts_with("would fetch   2.9 KiB  "), "{said:?}");
    assert!(said.err.contains("1 would be fetched") && !said.err.contains("left out"), "{said:?}");
    assert_eq!(names(&rig.path("home")), expected);
    // Many want a folder.
    let said = rig.run(&["drive", "get", "c.txt", "d/a.jpg", &home(&rig, "nowhere")]);
    assert_eq!(said.code, Some(2));
    let said = rig.run(&["drive", "get", "d/*.jpg", &home(&rig, "e")]);
    assert_eq!(said.code, Some(2), "a pattern may be many");
    assert_eq!(rig.run(&["drive", "get", "d/*.jpg", &to]).code, Some(0));
    assert_eq!(fs::read(home(&rig, "a.jpg")).unwrap(), a);
    assert!(rig.sim.leaks().is_empty());
}

#[test]
fn what_is_there_is_not_fetched_again_and_its_time_is_the_clouds() {
    let rig = cloud_with(&[("d/a.jpg", &noise(1, 3000)), ("d/b.jpg", &noise(2, 4000)), ("d/empty", b"")]);
    let to = home(&rig, "d");
    let said = rig.run(&["drive", "get", "-r", "d", &to]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let stored = rig.sim.file("/apps/xpand/d/a.jpg").unwrap();
    let mtime = stored.local_mtime;
    let is = fs::metadata(home(&rig, "d/a.jpg")).unwrap();
    assert_eq!(u64::try_from(is.mtime()).unwrap(), mtime);
    // The same content with another time is known by its content, and left alone.
    set_mtime(Path::new(&home(&rig, "d/b.jpg")), 1_000_000_000);
    let mark = rig.mark();
    let said = rig.run(&["--json", "drive", "get", "-r", "d", &home(&rig, "")]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(rig.calls_after(mark, "filemetas").is_empty() && rig.calls_after(mark, "/file/").is_empty());
    assert_eq!(
        states(&said.out),
        [pair("a.jpg", "present"), pair("b.jpg", "present"), pair("empty", "present")]
    );
    assert_eq!(fs::metadata(home(&rig, "d/b.jpg")).unwrap().mtime(), 1_000_000_000);
}

#[test]
fn a_different_local_file_stays_unless_it_is_to_be_overwritten() {
    let (old, new) = (noise(1, 3000), noise(2, 3000));
    let rig = cloud_with(&[("a.jpg", &new), ("b.jpg", &new)]);
    fs::write(home(&rig, "a.jpg"), &old).unwrap();
    set_mtime(Path::new(&home(&rig, "a.jpg")), 1_000_000_000);
    // Before the run, by more than the kernel's clock for files lags behind.
    std::thread::sleep(std::time::Duration::from_millis(100));
    let get = |more: &[&str]| {
        let to = home(&rig, "");
        rig.run(&[&["--json", "drive", "get"], more, &["a.jpg", "b.jpg", &to]].concat())
    };
    let said = get(&["--dry-run", "--overwrite"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(states(&said.out), [pair("a.jpg", "would_fetch"), pair("b.jpg", "would_fetch")]);
    assert_eq!(tree(&rig.path("home")), [("a.jpg".to_owned(), old.clone())]);
    let said = get(&[]);
    assert_eq!(said.code, Some(1));
    assert_eq!(states(&said.out), [pair("a.jpg", "failed"), pair("b.jpg", "done")]);
    assert!(said.out.contains("--overwrite replaces it"), "{said:?}");
    assert_eq!(fs::read(home(&rig, "a.jpg")).unwrap(), old);
    assert_eq!(get(&["--overwrite"]).code, Some(0));
    assert_eq!(fs::read(home(&rig, "a.jpg")).unwrap(), new);
}

/// A listing as the documents show it.
fn listing(items: &[(&str, u64, usize)]) -> FaultKind {
    let item = |(path, fs_id, size): &(&str, u64, usize)| {
        json!({"fs_id": fs_id, "path": path, "size": size, "isdir": 0, "md5": "", "category": 3,
               "server_filename": path.rsplit('/').next(), "server_mtime": 1_700_000_000})
    };
    let list: Vec<Value> = items.iter().map(item).collect();
    FaultKind::Answer(json!({"errno": 0, "has_more": 0, "cursor": 0, "list": list}).to_string())
}

#[test]
fn nothing_a_listing_says_leads_out_of_the_target_or_to_the_terminal() {
    let bytes = noise(1, 3000);
    let rig = cloud_with(&[("d/good.jpg", &bytes)]);
    fs::create_dir(rig.path("outside")).unwrap();
    let target = rig.path("home/t");
    fs::create_dir(&target).unwrap();
    symlink(rig.path("outside"), target.join("link")).unwrap();
    symlink(rig.path("outside/planted"), target.join("file-link")).unwrap();
    let id = rig.sim.file("/apps/xpand/d/good.jpg").unwrap().fs_id;
    let long = format!("/apps/xpand/d/{}", "x".repeat(300));
    let absolute = rig.path("outside/abs").display().to_string();
    let paths = [
        "/apps/xpand/d/good.jpg",
        "/apps/xpand/d/../../../../outside/x",
        "/apps/xpand/d/a/../../b",
        "/apps/xpand/d/..",
        "/apps/xpand/d//x",
        "/apps/xpand/d/zero\0byte",
        "/apps/xpand/d/link/x",
        "/apps/xpand/d/file-link",
        "/apps/xpand/d/esc\u{1b}[2J.jpg",
        "/apps/xpand/d/good.jpg/below-a-file",
        absolute.as_str(),
        "../x",
        long.as_str(),
    ];
    let items: Vec<_> = paths.iter().map(|path| (*path, id, bytes.len())).collect();
    rig.sim.fault(Fault::always("method=listall", listing(&items))).unwrap();
    let said = rig.run(&["drive", "get", "-r", "--parallel", "1", "d/", &target.display().to_string()]);
    assert_eq!(said.code, Some(1), "{said:?}");
    // Into the folder that exists: below the name of what was asked for.
    let _ = rig.run(&["drive", "get", "-r", "d", &target.join("sub").display().to_string()]);
    assert!(names(&rig.path("outside")).is_empty());
    let found = names(&rig.path("home"));
    let good = ["t/d/esc\u{1b}[2J.jpg", "t/d/file-link", "t/d/good.jpg", "t/d/link/x"];
    assert_eq!(found.iter().filter(|name| name.starts_with("t/d/")).collect::<Vec<_>>(), good);
    assert!(found.iter().all(|name| name.starts_with("t/")), "{found:?}");
    assert!(!said.out.contains('\u{1b}') && !said.err.contains('\u{1b}'), "{said:?}");
    let failed = said.out.lines().filter(|line| line.starts_with("failed")).count();
    assert_eq!(failed, paths.len() - good.len(), "{said:?}");
    assert!(target.join("link").is_symlink() && target.join("file-link").is_symlink());
}

#[test]
fn links_that_lie_in_the_target_are_not_followed_and_not_replaced() {
    let bytes = noise(1, 3000);
    let rig = cloud_with(&[("d/link/x.jpg", &bytes), ("d/file-link", &bytes), ("d/good.jpg", &bytes)]);
    fs::create_dir(rig.path("outside")).unwrap();
    let target = rig.path("home/new");
    fs::create_dir(&target).unwrap();
    symlink(rig.path("outside"), target.join("link")).unwrap();
    symlink(rig.path("outside/planted"), target.join("file-link")).unwrap();
    fs::rename(&target, rig.path("home/d")).unwrap();
    let said = rig.run(&["--json", "drive", "get", "-r", "--overwrite", "d", &home(&rig, "")]);
    assert_eq!(said.code, Some(1));
    let expected = [pair("file-link", "failed"), pair("good.jpg", "done"), pair("link", "failed")];
    let mut found = states(&said.out);
    found.retain(|(name, _)| name != "x.jpg");
    found.dedup();
    assert!(expected.iter().all(|line| found.contains(line) || line.0 == "link"), "{said:?}");
    assert!(said.out.contains("a link, which is not followed"), "{said:?}");
    assert!(names(&rig.path("outside")).is_empty());
    assert!(rig.path("home/d/file-link").is_symlink());
}

#[test]
fn wrong_content_never_gets_the_name() {
    let bytes = noise(1, 300_000);
    let rig = cloud_with(&[("a.jpg", &bytes), ("b.jpg", &noise(2, 500))]);
    let to = home(&rig, "");
    let file = format!("{BYTES}{}", rig.sim.file("/apps/xpand/a.jpg").unwrap().cloud_md5);
    rig.sim.fault(Fault::times(&file, FaultKind::Flip(150_000), 2)).unwrap();
    let said = rig.run(&["--json", "drive", "get", "a.jpg", "b.jpg", &to]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(states(&said.out), [pair("a.jpg", "failed"), pair("b.jpg", "done")]);
    assert_eq!(names(&rig.path("home")), ["b.jpg"], "no part of it is kept");
    // Wrong once: fetched again from the start.
    rig.sim.fault(Fault::once(&file, FaultKind::Flip(7))).unwrap();
    let mark = rig.mark();
    assert_eq!(rig.run(&["drive", "get", "a.jpg", &to]).code, Some(0));
    assert_eq!(rig.calls_after(mark, "/cdn/file/").len(), 2);
    assert_eq!(fs::read(home(&rig, "a.jpg")).unwrap(), bytes);
}

#[test]
fn a_broken_line_is_taken_up_where_it_broke() {
    let bytes = noise(1, 3 * MIB);
    let rig = cloud_with(&[("a.mp4", &bytes), ("b.mp4", &bytes[..2 * MIB])]);
    rig.sim.fault(Fault::once(BYTES, FaultKind::CutBody(MIB as u64))).unwrap();
    let said = rig.run(&["drive", "get", "a.mp4", &home(&rig, "")]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(fs::read(home(&rig, "a.mp4")).unwrap(), bytes);
    let calls = rig.calls_after(0, "/cdn/file/");
    let ranges: Vec<_> = calls.iter().map(|call| call.range.clone()).collect();
    assert_eq!(ranges, [None, Some(format!("bytes={MIB}-"))]);
    // A server without ranges sends all of it again.
    rig.sim.fault(Fault::once(BYTES, FaultKind::CutBody(MIB as u64))).unwrap();
    rig.sim.fault(Fault::once(BYTES, FaultKind::NoRange).after(1)).unwrap();
    let said = rig.run(&["drive", "get", "b.mp4", &home(&rig, "")]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(fs::read(home(&rig, "b.mp4")).unwrap(), bytes[..2 * MIB]);
}

/// Waits until a file on its way has so many bytes, and says where it is.
fn part_of(folder: &Path, least: u64) -> PathBuf {
    let begun = Instant::now();
    loop {
        let parts = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
        let is_part = |path: &PathBuf| {
            path.to_string_lossy().ends_with(".xpand-part")
                && fs::metadata(path).is_ok_and(|meta| meta.len() >= least)
        };
        if let Some(part) = parts.into_iter().find(is_part) {
            return part;
        }
        assert!(begun.elapsed() < PATIENCE, "no part of {least} bytes");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_kill_in_the_middle_of_a_film_costs_no_byte_that_was_written() {
    let bytes = noise(1, 12 * MIB);
    let rig = cloud_with(&[("film.mp4", &bytes)]);
    rig.sim.set_bandwidth(Some(MIB as u64));
    let args = ["drive", "get", "film.mp4", &home(&rig, "")];
    let mut child = rig.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let part = part_of(&rig.path("home"), 2 * MIB as u64);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!rig.path("home/film.mp4").exists());
    let there = fs::metadata(&part).unwrap().len();
    assert!(there < bytes.len() as u64, "the film was quicker than the kill");
    // What the disk made of it at a power cut is found, and costs a second fetch; so cut, not changed.
    rig.sim.set_bandwidth(None);
    let mark = rig.mark();
    let said = rig.run(&args);
    assert_eq!(said.code, Some(0), "{said:?}");
    let calls = rig.calls_after(mark, "/cdn/file/");
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].range, Some(format!("bytes={there}-")));
    assert_eq!(calls[0].bytes_out, bytes.len() as u64 - there);
    assert_eq!(fs::read(home(&rig, "film.mp4")).unwrap(), bytes);
    assert_eq!(names(&rig.path("home")), ["film.mp4"]);
}

#[test]
fn a_part_that_a_power_cut_spoilt_is_found_and_fetched_again() {
    let bytes = noise(1, 12 * MIB);
    let rig = cloud_with(&[("film.mp4", &bytes)]);
    rig.sim.fault(Fault::always(BYTES, FaultKind::CutBody(MIB as u64))).unwrap();
    let args = ["drive", "get", "film.mp4", &home(&rig, "")];
    let mut child = rig.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let part = part_of(&rig.path("home"), MIB as u64);
    child.kill().unwrap();
    child.wait().unwrap();
    rig.sim.clear_faults();
    // The length reached the disk and the bytes did not.
    let length = fs::metadata(&part).unwrap().len();
    fs::write(&part, vec![0; usize::try_from(length).unwrap()]).unwrap();
    assert_eq!(rig.run(&args).code, Some(0));
    assert_eq!(fs::read(home(&rig, "film.mp4")).unwrap(), bytes);
    assert_eq!(names(&rig.path("home")), ["film.mp4"]);
}

#[test]
fn a_listing_that_changes_while_it_is_read_costs_nothing_else() {
    let bytes = noise(1, 3000);
    let rig = cloud_with(&[("d/a.jpg", &bytes), ("d/gone.jpg", &bytes), ("d/grown.jpg", &noise(2, 5000))]);
    let id = |name: &str| rig.sim.file(&format!("/apps/xpand/d/{name}")).unwrap().fs_id;
    let items = [
        ("/apps/xpand/d/a.jpg", id("a.jpg"), 3000),
        ("/apps/xpand/d/gone.jpg", id("gone.jpg"), 3000),
        // Twice on two pages, because something was added before it.
        ("/apps/xpand/d/a.jpg", id("a.jpg"), 3000),
        // It had another size when it was listed.
        ("/apps/xpand/d/grown.jpg", id("grown.jpg"), 4000),
    ];
    rig.sim.fault(Fault::always("method=listall", listing(&items))).unwrap();
    rig.sim.remove("demo", "/apps/xpand/d/gone.jpg").unwrap();
    let said = rig.run(&["--json", "drive", "get", "-r", "d", &home(&rig, "")]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let mut found = states(&said.out);
    found.dedup();
    found.retain(|line| *line != pair("a.jpg", "present"));
    assert_eq!(found, [pair("a.jpg", "done"), pair("gone.jpg", "skipped"), pair("grown.jpg", "done")]);
    assert_eq!(fs::read(home(&rig, "d/grown.jpg")).unwrap(), noise(2, 5000));
}

#[test]
fn a_dlink_that_is_too_old_is_asked_for_anew() {
    let bytes = noise(1, 3000);
    let rig = cloud_with(&[("a.jpg", &bytes)]);
    rig.sim.fault(Fault::once("GET /file/", FaultKind::ErrorCode(31360))).unwrap();
    let said = rig.run(&["drive", "get", "a.jpg", &home(&rig, "")]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(rig.calls_after(0, "method=filemetas").len(), 2);
    assert_eq!(fs::read(home(&rig, "a.jpg")).unwrap(), bytes);
}

#[test]
fn a_refusal_with_http_200_is_no_file() {
    let bytes = noise(1, 3000);
    let rig = cloud_with(&[("a.jpg", &bytes)]);
    let expired = FaultKind::Body(r#"{"error_code":31360,"error_msg":"url expired"}"#.into());
    rig.sim.fault(Fault::once("GET /file/", expired)).unwrap();
    let gone = FaultKind::Body(r#"{"error_code":31066,"error_msg":"no such file"}"#.into());
    rig.sim.fault(Fault::once(BYTES, gone)).unwrap();
    let said = rig.run(&["drive", "get", "a.jpg", &home(&rig, "")]);
    assert!(said.code == Some(1) && said.out.contains("error_code 31066"), "{said:?}");
    assert_eq!(rig.calls_after(0, "method=filemetas").len(), 2, "the expired address was asked for anew");
    assert_eq!(rig.run(&["drive", "get", "a.jpg", &home(&rig, "")]).code, Some(0));
    assert_eq!(tree(&rig.path("home")), [("a.jpg".to_owned(), bytes)]);
}

#[test]
fn nothing_is_made_for_nothing() {
    let rig = cloud_with(&[("d/a.jpg", &noise(1, 3000))]);
    for (more, remote) in [(&["no-such"][..], "no-such"), (&["d"], "d"), (&["-r", "no-such"], "no-such")] {
        let said = rig.run(&[&["drive", "get"], more, &[&home(&rig, "new")]].concat());
        assert!(said.code == Some(1) && said.err.contains(&format!("/apps/xpand/{remote}")), "{said:?}");
        assert!(!rig.path("home/new").exists(), "{more:?}");
    }
}

#[test]
fn a_page_of_a_listing_that_does_not_come_is_asked_for_again() {
    let bytes = noise(1, 3000);
    let rig = cloud_with(&[("d/a.jpg", &bytes)]);
    rig.sim.fault(Fault::times("method=listall", FaultKind::Status(503), 2)).unwrap();
    let said = rig.run(&["drive", "get", "-r", "d", &home(&rig, "")]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(fs::read(home(&rig, "d/a.jpg")).unwrap(), bytes);
}

/// A disk that takes `a` for `A`: FAT, or else exFAT through FUSE.
fn folding_disk(rig: &Rig) -> Option<Mounted> {
    let (image, place) = (rig.path("image"), rig.path("home"));
    fs::File::create(&image).unwrap().set_len(32 * MIB as u64).unwrap();
    let image = image.to_str().unwrap();
    for (make, kind) in [("mkfs.vfat", "vfat"), ("mkfs.exfat", "exfat"), ("mkfs.exfat", "exfat-fuse")] {
        let options = ["-t", kind, "-o", "loop", image];
        if is_done(Command::new(make).arg(image))
            && let Some(disk) = Mounted::new(&place, &options)
        {
            return Some(disk);
        }
    }
    println!("SKIPPED: no disk here takes a for A");
    None
}

#[test]
fn on_a_disk_that_takes_a_for_a_large_a_one_never_stands_for_the_other() {
    let (large, small) = (noise(1, 3000), noise(2, 3000));
    let rig = cloud_with(&[("d/A.jpg", &large), ("d/a.jpg", &small), ("d/b.jpg", &small)]);
    let Some(_disk) = folding_disk(&rig) else { return };
    assert_eq!(rig.run(&["drive", "get", "d/A.jpg", "d/b.jpg", &home(&rig, "")]).code, Some(0));
    let mtime = rig.sim.file("/apps/xpand/d/a.jpg").unwrap().local_mtime;
    set_mtime(Path::new(&home(&rig, "A.jpg")), mtime);
    for more in [&[][..], &["--overwrite"]] {
        let said = rig.run(&[&["--json", "drive", "get"], more, &["d/*.jpg", &home(&rig, "")]].concat());
        assert_eq!(said.code, Some(1), "{said:?}");
        assert_eq!(
            states(&said.out),
            [pair("A.jpg", "present"), pair("a.jpg", "failed"), pair("b.jpg", "present")]
        );
    }
    assert_eq!(tree(&rig.path("home")), [("A.jpg".to_owned(), large), ("b.jpg".to_owned(), small)]);
}

#[test]
fn a_full_disk_stops_it_with_a_sentence_and_it_goes_on_when_there_is_room() {
    let files: Vec<_> = (0..3).map(|seed| noise(seed, 1500 * 1024)).collect();
    let rig = cloud_with(&[("d/0.mp4", &files[0]), ("d/1.mp4", &files[1]), ("d/2.mp4", &files[2])]);
    let small = rig.path("home/small");
    let Some(_disk) = Mounted::new(&small, &["-t", "tmpfs", "-o", "size=2m", "xp-test"]) else { return };
    let args = ["drive", "get", "-r", "d", small.to_str().unwrap()];
    let said = rig.run(&args);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("the disk is full"), "{said:?}");
    assert!(said.err.contains("the same command goes on where it was"), "{said:?}");
    assert!(is_done(Command::new("mount").args(["-o", "remount,size=8m"]).arg(&small)));
    let said = rig.run(&args);
    assert_eq!(said.code, Some(0), "{said:?}");
    for (number, bytes) in files.iter().enumerate() {
        assert_eq!(fs::read(small.join(format!("d/{number}.mp4"))).unwrap(), *bytes);
    }
    assert_eq!(names(&small).len(), 3);
}

#[test]
fn what_root_fetches_belongs_to_root_though_the_state_is_the_agents() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: becoming another user needs root");
        return;
    }
    let bytes = noise(1, 3000);
    let rig = cloud_with(&[("d/a.jpg", &bytes)]);
    let agents = Some(54_321);
    for path in [rig.state_dir(), rig.state_dir().join("accounts"), rig.config_file()] {
        std::os::unix::fs::chown(path, agents, agents).unwrap();
    }
    for entry in fs::read_dir(rig.state_dir().join("accounts")).unwrap().flatten() {
        std::os::unix::fs::chown(entry.path(), agents, agents).unwrap();
    }
    let above = rig.state_dir().parent().unwrap().to_owned();
    fs::set_permissions(&above, fs::Permissions::from_mode(0o755)).unwrap();
    // Nobody but root may write, or even look, here.
    fs::set_permissions(rig.path("home"), fs::Permissions::from_mode(0o700)).unwrap();
    let said = rig.run(&["drive", "get", "-r", "d", &home(&rig, "")]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let file = fs::metadata(home(&rig, "d/a.jpg")).unwrap();
    assert_eq!((file.uid(), file.gid(), file.len()), (0, 0, 3000));
    assert_eq!(fs::metadata(home(&rig, "d")).unwrap().uid(), 0);
}
