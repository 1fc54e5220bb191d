//! Changing: mkdir, cp, mv, rename, rm.

use std::time::Duration;

use cloudsim::{Fault, FaultKind};

use super::*;

#[test]
fn folders_are_made() {
    let rig = rig_with(&["a.jpg"]);
    done(&rig, &["mkdir", "b", "b/c"]);
    assert_eq!(done(&rig, &["ls", "-r"]).lines().count(), 3);
    fails(&rig, &["mkdir", "b"], 1, &["/apps/xpand/b: there is such a folder already"]);
    fails(&rig, &["mkdir", "a.jpg"], 1, &["there is a file of this name"]);
    fails(&rig, &["mkdir", "x/y"], 1, &["there is no folder /apps/xpand/x", "-p"]);
    done(&rig, &["mkdir", "-p", "x/y/z", "b"]);
    assert_eq!(done(&rig, &["ls", "x/y"]), "z\n");
    let mark = rig.mark();
    fails(&rig, &["mkdir", "-p", "what?"], 2, &["'?'"]);
    assert!(changing(&rig, mark).is_empty());
    fails(&rig, &["mkdir", "/elsewhere"], 1, &["/elsewhere", "(errno -7)"]);
}

#[test]
fn copies_and_moves_go_into_a_folder_or_to_a_new_name() {
    let rig = rig_with(&["a.jpg", "b.jpg", "to/x", "dir/c"]);
    done(&rig, &["cp", "*.jpg", "to"]);
    assert_eq!(stored(&rig), ["a.jpg", "b.jpg", "dir/c", "to/a.jpg", "to/b.jpg", "to/x"]);
    done(&rig, &["mv", "a.jpg", "to/new.jpg"]);
    done(&rig, &["mv", "dir", "to/"]);
    fails(&rig, &["cp", "to/dir", "copy"], 2, &["/apps/xpand/to/dir is a folder", "add -r"]);
    done(&rig, &["cp", "-r", "to/dir", "copy"]);
    let now = ["b.jpg", "copy/c", "to/a.jpg", "to/b.jpg", "to/dir/c", "to/new.jpg", "to/x"];
    assert_eq!(stored(&rig), now);
    let mark = rig.mark();
    fails(&rig, &["cp", "b.jpg", "to/x", "nowhere"], 1, &["/apps/xpand/nowhere: there is no such folder"]);
    fails(&rig, &["cp", "b.jpg", "nowhere/new"], 1, &["/apps/xpand/nowhere: there is no such folder"]);
    fails(&rig, &["cp", "to/x", "to/a.jpg", "b.jpg"], 1, &["/apps/xpand/b.jpg is a file"]);
    fails(&rig, &["mv", "to", "to/dir"], 1, &["/apps/xpand/to: a folder cannot go into itself"]);
    fails(&rig, &["mv", "b.jpg", "."], 1, &["/apps/xpand/b.jpg: that is where it is"]);
    fails(&rig, &["cp", "b.jpg", "new?.jpg"], 2, &["'?'"]);
    fails(&rig, &["cp", "b.jpg"], 2, &[]);
    assert!(changing(&rig, mark).is_empty());
    assert_eq!(stored(&rig), now);
}

#[test]
fn an_item_that_fails_is_told_on_a_line_of_its_own_and_the_others_are_done() {
    let rig = rig_with(&["a.jpg", "b.jpg", "c.jpg", "to/b.jpg"]);
    let words = "/apps/xpand/b.jpg to /apps/xpand/to/b.jpg: there is a file or folder of this name already (errno -8)";
    let said = fails(&rig, &["mv", "*.jpg", "to"], 1, &[words, "2 of 3 moved"]);
    assert_eq!((said.out.as_str(), said.err.matches("errno").count()), ("", 1));
    assert_eq!(stored(&rig), ["b.jpg", "to/a.jpg", "to/b.jpg", "to/c.jpg"]);
    let said = fails(&rig, &["mv", "--json", "b.jpg", "to"], 1, &[words]);
    let document = documents(&said.out).remove(0);
    assert_eq!((&document["path"], &document["errno"]), (&"/apps/xpand/b.jpg".into(), &(-8).into()));
    done(&rig, &["mv", "b.jpg", "to", "--on-duplicate", "skip"]);
    assert_eq!(rig.sim.files().len(), 4);
    done(&rig, &["mv", "b.jpg", "to", "--on-duplicate", "keep-both"]);
    let now = stored(&rig);
    assert!(now.len() == 4 && now.iter().all(|path| path.starts_with("to/")), "{now:?}");
}

#[test]
fn nothing_is_replaced_without_a_question_unless_it_is_one_file() {
    let rig = rig_with(&["a.jpg", "b.jpg", "to/a.jpg", "to/b.jpg", "x/a.jpg"]);
    let mark = rig.mark();
    let replace = ["mv", "a.jpg", "b.jpg", "to", "--on-duplicate", "overwrite"];
    fails(&rig, &replace, 2, &["Move 2 files and replace 2 files in the cloud?", "--yes"]);
    // The second would take the first one's place, and the first would be nowhere.
    let twice = ["mv", "a.jpg", "x/a.jpg", "to", "--on-duplicate", "overwrite", "--yes"];
    fails(&rig, &twice, 1, &["two of them would be /apps/xpand/to/a.jpg"]);
    let itself = ["cp", "a.jpg", "a.jpg", "--on-duplicate", "overwrite"];
    fails(&rig, &itself, 1, &["/apps/xpand/a.jpg: that is where it is"]);
    assert!(changing(&rig, mark).is_empty());
    done(&rig, &["cp", "a.jpg", "to", "--on-duplicate", "overwrite"]);
    assert_eq!(rig.sim.read("/apps/xpand/to/a.jpg").unwrap(), b"a.jpg");
    done(&rig, &[&replace[..], &["--yes"]].concat());
    assert_eq!(stored(&rig), ["to/a.jpg", "to/b.jpg", "x/a.jpg"]);
    assert_eq!(rig.sim.read("/apps/xpand/to/b.jpg").unwrap(), b"b.jpg");
}

#[test]
fn a_file_gets_another_name() {
    let rig = rig_with(&["a.jpg", "b.jpg"]);
    done(&rig, &["rename", "a.jpg", "新 名.jpg"]);
    assert_eq!(stored(&rig), ["b.jpg", "新 名.jpg"]);
    let mark = rig.mark();
    for (name, words) in [("x/y", "xpand drive mv"), ("..", "is no name"), ("a:b", "':'")] {
        fails(&rig, &["rename", "b.jpg", name], 2, &[words]);
    }
    fails(&rig, &["rename", "*.jpg", "c.jpg"], 2, &["only one can have a name"]);
    assert!(changing(&rig, mark).is_empty());
    fails(
        &rig,
        &["rename", "b.jpg", "新 名.jpg"],
        1,
        &["/apps/xpand/b.jpg to /apps/xpand/新 名.jpg: ", "(errno -8)"],
    );
}

#[test]
fn without_a_terminal_many_are_deleted_only_with_yes() {
    let rig = rig_with(&["a.jpg", "b.jpg", "dir/c.jpg", "dir/d/e.jpg", "keep"]);
    let mark = rig.mark();
    fails(&rig, &["rm", "*.jpg"], 2, &["Delete 2 files from the cloud?", "nobody is here", "--yes"]);
    fails(&rig, &["rm", "dir"], 2, &["/apps/xpand/dir is a folder", "add -r"]);
    fails(&rig, &["rm", "-r", "dir"], 2, &["Delete 1 folder /apps/xpand/dir from the cloud?"]);
    fails(&rig, &["rm", "-r", "dir", "a.jpg"], 2, &["Delete 2 items, 1 of them a folder from the cloud?"]);
    assert!(changing(&rig, mark).is_empty());
    assert_eq!(rig.sim.files().len(), 5);
    done(&rig, &["rm", "a.jpg"]);
    let out = done(&rig, &["rm", "-r", "--yes", "--json", "dir", "dir/d", "b.jpg"]);
    let paths: Vec<_> =
        documents(&out).into_iter().map(|item| (item["path"].clone(), item["errno"].clone())).collect();
    assert_eq!(paths, [("/apps/xpand/dir".into(), 0.into()), ("/apps/xpand/b.jpg".into(), 0.into())]);
    assert_eq!(stored(&rig), ["keep"]);
}

#[test]
fn a_dry_run_tells_and_does_nothing() {
    let rig = rig_with(&["a.jpg", "b.jpg", "dir/c.jpg", "to/a.jpg"]);
    let mark = rig.mark();
    let out = done(&rig, &["rm", "-r", "-n", "*.jpg", "dir"]);
    let lines = ["a.jpg", "b.jpg", "dir and everything in it"]
        .map(|what| format!("would delete /apps/xpand/{what}\n"));
    assert_eq!(out, lines.concat());
    let out = done(&rig, &["mv", "--dry-run", "--on-duplicate", "overwrite", "*.jpg", "dir", "to"]);
    assert!(out.contains("would move /apps/xpand/dir to /apps/xpand/to/dir\n"), "{out}");
    done(&rig, &["cp", "--dry-run", "a.jpg", "new.jpg"]);
    done(&rig, &["rename", "--dry-run", "a.jpg", "new.jpg"]);
    let json = documents(&done(&rig, &["cp", "-n", "--json", "a.jpg", "to/new.jpg"])).remove(0);
    assert_eq!((&json["opera"], &json["to"]), (&"copy".into(), &"/apps/xpand/to/new.jpg".into()));
    // Not even what would have to be asked for.
    done(&rig, &["rm", "-r", "-n", "/apps/xpand"]);
    assert!(changing(&rig, mark).is_empty());
}

#[test]
fn the_backup_is_deleted_only_after_a_question_that_says_so_and_the_tops_never() {
    let rig = rig_with(&["photo/a.jpg", "other/b.jpg"]);
    let mark = rig.mark();
    for path in ["/apps/xpand", "photo", "/apps/xpand/./photo/"] {
        fails(&rig, &["rm", "-r", path], 2, &["holds the backup of this box", "the only copies"]);
    }
    fails(&rig, &["mv", "photo", "other"], 2, &["/apps/xpand/photo holds the backup of this box"]);
    fails(&rig, &["rename", "photo", "pictures"], 2, &["/apps/xpand/photo holds the backup of this box"]);
    for path in ["/", "/apps", "/apps/../apps", "/app*", "/*"] {
        fails(&rig, &["rm", "-r", "--yes", path], 2, &[if path == "/" { "/ stays" } else { "/apps stays" }]);
    }
    fails(&rig, &["mv", "/apps", "/x", "--yes"], 2, &["/apps stays"]);
    fails(&rig, &["rename", "/apps", "x", "--yes"], 2, &["/apps stays"]);
    assert!(changing(&rig, mark).is_empty());
    done(&rig, &["rm", "-r", "--yes", "photo"]);
    assert_eq!(stored(&rig), ["other/b.jpg"]);
}

#[test]
fn a_large_batch_is_cut_into_calls_of_a_hundred() {
    let rig = Rig::ready(|setup| setup.tidies = true);
    for number in 0..230 {
        put(&rig, &format!("many/{number:03}.jpg"));
    }
    let mark = rig.mark();
    let said = drive(&rig, &["rm", "--yes", "many/*"]);
    assert!(said.code == Some(0) && said.err.contains("230 of 230 deleted"), "{said:?}");
    let sizes: Vec<usize> = rig
        .calls_after(mark, "method=filemanager")
        .iter()
        .map(|call| serde_json::from_str::<Vec<String>>(&call.form["filelist"]).unwrap().len())
        .collect();
    assert_eq!(sizes, [100, 100, 30]);
    assert!(rig.sim.files().is_empty());
}

#[test]
fn a_batch_that_is_refused_leaves_the_rest_and_says_how_far_it_came() {
    let rig = Rig::ready(|setup| setup.tidies = true);
    for number in 0..150 {
        put(&rig, &format!("many/{number:03}.jpg"));
    }
    rig.sim.fault(Fault::once("method=filemanager", FaultKind::Errno(132)).after(1)).unwrap();
    fails(&rig, &["rm", "--yes", "many/*"], 1, &["100 of 150 deleted, 50 left as they are", "(errno 132)"]);
    assert_eq!(rig.sim.files().len(), 50);
    // An answer that is lost may have been a yes.
    rig.sim.fault(Fault::once("method=filemanager", FaultKind::DropAfter)).unwrap();
    fails(&rig, &["rm", "many/100.jpg"], 1, &["whether the cloud did it is not known", "xpand drive ls"]);
}

#[test]
fn an_empty_path_is_never_the_whole_backup() {
    let rig = rig_with(&["a.jpg", "dir/b.jpg"]);
    let mark = rig.mark();
    for args in [
        &["rm", "-r", "--yes", ""][..],
        &["rm", "--yes", "a.jpg", ""],
        &["mv", "--yes", "", "dir"],
        &["mv", "a.jpg", ""],
        &["cp", "-r", "", "dir"],
        &["rename", "", "b"],
        &["mkdir", ""],
        &["ls", ""],
        &["get", "-r", "", "/tmp"],
        &["put", "/etc/hostname", ""],
    ] {
        fails(&rig, args, 2, &["it is empty; the folder /apps/<app> is written ."]);
    }
    assert!(rig.calls_after(mark, "").is_empty());
}

#[test]
fn a_task_of_the_cloud_is_followed_to_its_end() {
    let rig = Rig::ready(|setup| {
        setup.tidies = true;
        setup.sim.async_above = 0;
        setup.sim.task_time = Duration::from_millis(300);
    });
    for path in ["a.jpg", "b.jpg", "to/b.jpg"] {
        put(&rig, path);
    }
    // Somebody else's task is waited for first, and a question that finds no answer is asked again.
    rig.sim.fault(Fault::once("method=filemanager", FaultKind::Errno(111))).unwrap();
    rig.sim.fault(Fault::once("taskquery", FaultKind::Status(503))).unwrap();
    let words = "/apps/xpand/b.jpg to /apps/xpand/to/b.jpg: there is a file or folder of this name already (errno -8)";
    let waits = "another task of this account is running in the cloud: waiting for its end";
    fails(&rig, &["mv", "*.jpg", "to"], 1, &[waits, words, "1 of 2 moved"]);
    assert_eq!(stored(&rig), ["b.jpg", "to/a.jpg", "to/b.jpg"]);
    assert!(rig.sim.count("taskquery") >= 2);
    let out = done(&rig, &["rm", "--json", "b.jpg"]);
    assert_eq!(documents(&out)[0]["errno"], 0, "{out}");
    assert_eq!(stored(&rig), ["to/a.jpg", "to/b.jpg"]);
}

#[test]
fn at_a_terminal_the_question_is_asked_and_the_answer_decides() {
    let rig = rig_with(&["a.jpg", "b.jpg", "photo/c.jpg"]);
    let mark = rig.mark();
    let many = ["drive", "rm", "*.jpg"];
    for answer in ["n\n", "\n", "yessir\n", "\u{4}"] {
        let said = rig.answered(&many, "[y/N]", answer);
        let asked = said.err.contains("Delete 2 files from the cloud? [y/N]");
        assert!(said.code == Some(1) && asked && said.err.contains("nothing was done"), "{said:?}");
    }
    let backup = ["drive", "rm", "-r", "photo"];
    let said = rig.answered(&backup, "[yes/N]", "y\n");
    assert!(said.code == Some(1) && said.err.contains("holds the backup of this box"), "{said:?}");
    assert!(changing(&rig, mark).is_empty());
    assert_eq!(rig.answered(&many, "[y/N]", "y\n").code, Some(0));
    assert_eq!(stored(&rig), ["photo/c.jpg"]);
    assert_eq!(rig.answered(&backup, "[yes/N]", "yes\n").code, Some(0));
    assert!(rig.sim.files().is_empty());
}
