//! Looking: ls, find, info, media, count, quota, whoami.

use cloudsim::{Fault, FaultKind};

use super::*;

const MANY: usize = 2500;

#[test]
fn ls_tells_names_and_with_l_sizes_and_times_in_columns() {
    let rig = rig_with(&["a.jpg", "b/c.jpg", "b/d/e.txt", "照片 1.jpg"]);
    assert_eq!(done(&rig, &["ls"]), "b\na.jpg\n照片 1.jpg\n");
    assert_eq!(done(&rig, &["ls", "/apps/xpand", "--reverse"]).lines().count(), 3);
    let long = done(&rig, &["ls", "-lh", "b"]);
    let lines: Vec<&str> = long.lines().collect();
    assert!(lines[0].trim_start().starts_with("- ") && lines[0].ends_with("  d"), "{long}");
    assert!(lines[1].starts_with("      7 B  20") && lines[1].ends_with("  c.jpg"), "{long}");
    assert_eq!(done(&rig, &["ls", "--folders"]), "b\n");
    // What fingers type.
    assert_eq!(done(&rig, &["ls", "-1aR", "b/d"]), "/apps/xpand/b/d/e.txt\n");
    assert_eq!(done(&rig, &["ls", "-d", "b", "b/d"]), "/apps/xpand/b\n/apps/xpand/b/d\n");
    assert_eq!(done(&rig, &["ls", "b/c.jpg"]), "/apps/xpand/b/c.jpg\n");
    let all = done(&rig, &["ls", "-r", "b"]);
    let mut all: Vec<&str> = all.lines().collect();
    all.sort_unstable();
    assert_eq!(all, ["/apps/xpand/b/c.jpg", "/apps/xpand/b/d", "/apps/xpand/b/d/e.txt"]);
    // Several: files first, then each folder under its name.
    assert_eq!(done(&rig, &["ls", "b", "a.jpg"]), "/apps/xpand/a.jpg\n\n/apps/xpand/b:\nd\nc.jpg\n");
}

#[test]
fn ls_is_in_order_of_time_and_size() {
    let rig = rig_with(&["1", "333", "22"]);
    assert_eq!(done(&rig, &["ls", "-S"]), "333\n22\n1\n");
    assert_eq!(done(&rig, &["ls", "-S", "--reverse"]), "1\n22\n333\n");
    let query = |rig: &Rig| rig.sim.calls().pop().unwrap().query;
    done(&rig, &["ls", "-t"]);
    assert_eq!(query(&rig)["order"], "time");
    assert!(query(&rig).contains_key("desc"));
}

#[test]
fn a_path_that_is_not_there_is_named() {
    let rig = rig_with(&["a.jpg"]);
    let words = "/apps/xpand/nowhere/x: there is no such file or folder";
    fails(&rig, &["ls", "nowhere/x"], 1, &[words]);
    fails(&rig, &["ls", "-r", "nowhere/x"], 1, &[words]);
    fails(&rig, &["info", "nowhere/x"], 1, &[words]);
    fails(&rig, &["cp", "nowhere/x", "a.jpg", "."], 1, &[words, "nothing was done"]);
    fails(&rig, &["rm", "--yes", "nowhere/x"], 1, &[words, "nothing was done"]);
    fails(&rig, &["ls", "*.png"], 1, &["/apps/xpand/*.png: nothing in the cloud matches"]);
    let said = fails(&rig, &["ls", "a.jpg", "b.jpg"], 1, &["/apps/xpand/b.jpg: there is no such"]);
    assert_eq!(said.out, "/apps/xpand/a.jpg\n", "what is there is told all the same");
}

#[test]
fn patterns_stand_for_names_in_any_part_and_a_literal_name_comes_first() {
    let rig = rig_with(&["2023/a.jpg", "2024/a.jpg", "2024/b.png", "x[1].jpg", "x1.jpg", "[ab]/c", "a/d"]);
    let ls = |pattern: &str| done(&rig, &["ls", pattern]).lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(ls("*/a.jpg"), ["/apps/xpand/2023/a.jpg", "/apps/xpand/2024/a.jpg"]);
    assert_eq!(ls("202?/*.png"), ["/apps/xpand/2024/b.png"]);
    assert_eq!(ls("/a*/x*d/202[!3]/a.*"), ["/apps/xpand/2024/a.jpg"]);
    assert_eq!(ls("x[1].jpg"), ["/apps/xpand/x[1].jpg"]);
    assert_eq!(ls("[ab]/*"), ["/apps/xpand/[ab]/c"]);
    assert_eq!(ls("x?.jpg"), ["/apps/xpand/x1.jpg"]);
}

#[test]
fn a_folder_of_many_pages_is_told_page_by_page() {
    let rig = Rig::ready(|_| {});
    for number in 0..MANY {
        put(&rig, &format!("many/{number:04}.jpg"));
    }
    let all: Vec<String> = (0..MANY).map(|number| format!("{number:04}.jpg")).collect();
    let mark = rig.mark();
    assert!(done(&rig, &["ls", "many"]).lines().eq(all.iter().map(String::as_str)));
    assert_eq!(rig.calls_after(mark, "method=list").len(), 3);
    let mark = rig.mark();
    let recursive = done(&rig, &["ls", "-r", "--json", "many"]);
    assert_eq!(rig.calls_after(mark, "method=listall").len(), 3);
    let names =
        documents(&recursive).into_iter().map(|item| item["server_filename"].as_str().unwrap().to_owned());
    assert!(names.eq(all.iter().cloned()));
    assert_eq!(done(&rig, &["find", ".jpg", "many"]).lines().count(), MANY);
    // What was told before the third page is refused has been told.
    rig.sim.fault(Fault::once("method=list$", FaultKind::Errno(2)).after(2)).unwrap();
    let said = fails(&rig, &["ls", "many"], 1, &["/apps/xpand/many", "(errno 2)"]);
    assert!(said.out.lines().eq(all[..2000].iter().map(String::as_str)));
}

#[test]
fn a_listing_that_changes_while_it_is_read_is_told_as_it_comes() {
    let rig = Rig::ready(|_| {});
    for number in 0..1200 {
        put(&rig, &format!("many/{number:04}.jpg"));
    }
    let slowly = FaultKind::Delay(std::time::Duration::from_millis(1500));
    rig.sim.fault(Fault::once("method=list$", slowly).after(1)).unwrap();
    let mark = rig.mark();
    std::thread::scope(|scope| {
        let listing = scope.spawn(|| done(&rig, &["ls", "many"]));
        let begun = std::time::Instant::now();
        while rig.calls_after(mark, "method=list").is_empty() && begun.elapsed() < common::PATIENCE {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        for number in 0..40 {
            rig.sim.remove("demo", &format!("/apps/xpand/many/{:04}.jpg", number * 30)).unwrap();
        }
        let out = listing.join().unwrap();
        let told = out.lines().count();
        assert!((1100..=1200).contains(&told), "{told}");
    });
    // A folder that is gone by then is a sentence.
    rig.sim.fault(Fault::once("method=list$", FaultKind::Errno(-9)).after(1)).unwrap();
    fails(&rig, &["ls", "many"], 1, &["/apps/xpand/many", "there is no such file or folder"]);
}

/// Looked at everywhere: in text and in JSON.
const HOSTILE: &str = "x\u{1b}[2J\u{9b}31m\u{202e}gpj.exe\r\n";

#[test]
fn no_name_of_the_cloud_reaches_a_terminal_as_it_is() {
    let rig = rig_with(&["a.jpg"]);
    let path = format!("/apps/xpand/{HOSTILE}");
    let name = serde_json::json!({"list": {"path": path, "server_filename": HOSTILE, "filename": HOSTILE}});
    rig.sim.fault(Fault::always("GET /rest/2.0/xpan", FaultKind::Edit(name.to_string()))).unwrap();
    for args in [
        &["ls"][..],
        &["ls", "-l"],
        &["ls", "--json"],
        &["ls", "-r"],
        &["ls", "*"],
        &["find", "a"],
        &["info", "*"],
        &["info", "--json", "*"],
        &["media", "--category", "picture"],
        &["cp", "*", "/apps/xpand/b", "--dry-run"],
        &["rm", "*", "--dry-run"],
    ] {
        let said = drive(&rig, args);
        let told = format!("{}{}", said.out, said.err);
        let is_raw = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!told.contains(is_raw), "{args:?}: {said:?}");
        if said.code == Some(0) {
            assert!(
                told.contains("gpj.exe") && told.contains("u{1b}[2J") || told.contains("u001b"),
                "{args:?}: {said:?}"
            );
        }
        if args.contains(&"--json") {
            assert_eq!(documents(&said.out)[0]["path"], path);
        }
    }
}

#[test]
fn find_asks_for_a_word_and_refuses_one_that_is_too_long() {
    let rig = rig_with(&["a/beach.jpg", "beach.mp4", "other.jpg"]);
    let mark = rig.mark();
    let long = "长".repeat(31);
    fails(&rig, &["find", &long], 2, &["31 characters", "30 at most"]);
    fails(&rig, &["find", ""], 2, &["empty"]);
    assert!(rig.calls_after(mark, "").is_empty());
    fails(&rig, &["find", &"长".repeat(30), "/nowhere"], 1, &["/nowhere"]);
    let find = |args: &[&str]| {
        let out = done(&rig, &[&["find", "beach"], args].concat());
        let mut lines: Vec<String> = out.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    assert_eq!(find(&[]), ["/apps/xpand/a/beach.jpg", "/apps/xpand/beach.mp4"]);
    assert_eq!(find(&["/", "--category", "video"]), ["/apps/xpand/beach.mp4"]);
    assert_eq!(find(&["--not-recursive"]), ["/apps/xpand/beach.mp4"]);
    let call = rig.sim.calls().pop().unwrap();
    assert!(!call.query.contains_key("device_id"));
    // A pattern is for the whole name, as find -name has it: the cloud is asked for a word of it.
    assert_eq!(done(&rig, &["find", "*.mp4"]), "/apps/xpand/beach.mp4\n");
    assert_eq!(done(&rig, &["find", "b?ach.j*"]), "/apps/xpand/a/beach.jpg\n");
    assert_eq!(rig.sim.calls().pop().unwrap().query["key"], "ach.j");
    fails(&rig, &["find", "*"], 2, &["no word in it"]);
}

#[test]
fn a_registered_device_names_itself_when_it_searches() {
    let rig = Rig::ready(|setup| setup.device = Some("SN0001"));
    put(&rig, "beach.jpg");
    done(&rig, &["find", "beach"]);
    assert!(!rig.sim.calls().pop().unwrap().query.contains_key("device_id"));
    let known = rig.run(&["device", "register", "--json"]);
    let id = documents(&known.out)[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(done(&rig, &["find", "beach"]), "/apps/xpand/beach.jpg\n");
    assert_eq!(rig.sim.calls().pop().unwrap().query["device_id"], id);
}

#[test]
fn info_tells_of_more_than_a_hundred_files_in_batches() {
    let rig = Rig::ready(|_| {});
    for number in 0..120 {
        put(&rig, &format!("many/{number:03}.jpg"));
    }
    let mark = rig.mark();
    let out = done(&rig, &["info", "--json", "many/*"]);
    let items = documents(&out);
    assert_eq!(items.len(), 120);
    let calls = rig.calls_after(mark, "method=filemetas");
    let sizes: Vec<usize> = calls.iter().map(|call| call.query["fsids"].split(',').count()).collect();
    assert_eq!(sizes, [100, 20]);
    for field in [
        "fs_id",
        "path",
        "server_filename",
        "isdir",
        "size",
        "category",
        "md5",
        "server_mtime",
        "local_mtime",
    ] {
        assert!(!items[0][field].is_null(), "{field}: {}", items[0]);
    }
    assert!(items.iter().all(|item| item.get("dlink").is_none()));
    let text = done(&rig, &["info", "many/007.jpg"]);
    assert!(text.starts_with("/apps/xpand/many/007.jpg\n") && text.contains("\n  size "), "{text}");
    assert!(!text.contains("dlink"));
    assert!(done(&rig, &["info", "--link", "many/007.jpg"]).contains("\n  dlink "));
    // What vanished between the listing and the question.
    let gone = r#"{"errno":0,"list":[],"names":{},"request_id":"1"}"#;
    rig.sim.fault(Fault::once("method=filemetas", FaultKind::Answer(gone.into()))).unwrap();
    fails(&rig, &["info", "many/007.jpg"], 1, &["/apps/xpand/many/007.jpg: the cloud tells nothing of it"]);
}

#[test]
fn media_are_listed_by_kind_and_counted() {
    let rig = rig_with(&["a.jpg", "b/c.jpg", "d.mp4", "e.pdf", "f.torrent", "g.xyz"]);
    for (kind, name) in
        [("photos", "a.jpg"), ("videos", "d.mp4"), ("documents", "e.pdf"), ("torrents", "f.torrent")]
    {
        let flat = done(&rig, &["media", kind, "--not-recursive"]);
        assert_eq!(flat, format!("{name}\n"), "{kind}");
    }
    assert_eq!(done(&rig, &["media", "photos"]).lines().count(), 2);
    assert_eq!(done(&rig, &["media", "photos", "-r"]).lines().count(), 2);
    assert_eq!(done(&rig, &["media", "photos", "b", "--not-recursive"]), "c.jpg\n");
    let two = done(&rig, &["media", "--category", "picture,1", "/apps/xpand"]);
    assert_eq!(two.lines().count(), 3, "{two}");
    assert_eq!(done(&rig, &["media", "--category", "3", "--ext", ".png", "-r"]), "");
    fails(&rig, &["media", "films"], 2, &["photos, videos, documents or torrents"]);
    fails(&rig, &["media", "--category", "films"], 2, &["video|audio|picture"]);
    let table = done(&rig, &["count"]);
    assert!(table.contains("\n  picture   2 ") && table.contains("\n  all       6 "), "{table}");
    assert_eq!(rig.sim.count("categoryinfo"), 7);
    let json = done(&rig, &["count", "--json", "--category", "3", "--not-recursive"]);
    assert_eq!(documents(&json)[0]["info"]["3"]["count"], 1, "{json}");
}

#[test]
fn space_and_user_are_told() {
    let rig = rig_with(&["a.jpg"]);
    let text = done(&rig, &["quota", "-h"]);
    assert!(text.contains("total  2.0 TiB"), "{text}");
    let json = documents(&done(&rig, &["quota", "--json"])).remove(0);
    assert_eq!((&json["used"], &json["total"]), (&5.into(), &(2_u64 << 40).into()));
    let who = documents(&done(&rig, &["whoami", "--json"])).remove(0);
    assert_eq!((&who["account"], &who["vip_type"]), (&"home".into(), &0.into()));
    assert!(who["uk"].is_string());
}

#[test]
fn who_is_not_logged_in_has_to_act() {
    let rig = Rig::ready(|setup| setup.accounts[0].logged_in = false);
    fails(&rig, &["ls"], 4, &["xpand account login home"]);
    fails(&rig, &["ls", "--account", "away"], 2, &["there is no account \"away\""]);
}
