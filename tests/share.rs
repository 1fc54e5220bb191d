//! `xpand share` as a person or a script calls it: the real binary against a local cloud.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use cloudsim::{Fault, FaultKind, ShareLink};
use common::Rig;
use common::process::{Said, documents};
use rustix::process::{Pid, Signal, kill_process};

/// With share_type and share_secret, and another user besides.
fn rig() -> Rig {
    let rig = Rig::ready(|setup| {
        setup.sim.async_above = 50;
        setup.sim.task_time = Duration::from_millis(200);
        setup.sim.share_secret = "rigs-own-share-secret".into();
        setup.secrets = vec!["rigs-own-share-secret".into()];
    });
    let text = fs::read_to_string(rig.config_file()).unwrap();
    let settings = "app = \"xpand\"\nshare_type = 2001\nshare_secret = \"rigs-own-share-secret\"\n";
    fs::write(rig.config_file(), text.replace("app = \"xpand\"\n", settings)).unwrap();
    rig.sim.add_token("friend", "friends-own-access", None, None).unwrap();
    rig
}

fn put(rig: &Rig, account: &str, path: &str) {
    rig.sim.put_file(account, &format!("/apps/xpand/{path}"), path.as_bytes()).unwrap();
}

fn share(rig: &Rig, args: &[&str]) -> Said {
    let _ = fs::remove_file(rig.state_dir().join("accounts/home.calls"));
    rig.run(&[&["share"], args].concat())
}

#[track_caller]
fn done(rig: &Rig, args: &[&str]) -> String {
    share(rig, args).done()
}

#[track_caller]
fn fails(rig: &Rig, args: &[&str], code: i32, words: &[&str]) -> Said {
    share(rig, args).failed(code, words)
}

/// A friend's link to two files and a folder with one.
fn friends_link(rig: &Rig) -> ShareLink {
    for path in ["a.jpg", "b.png", "dir/c.jpg"] {
        put(rig, "friend", path);
    }
    rig.sim.share("friend", &["/apps/xpand/a.jpg", "/apps/xpand/b.png", "/apps/xpand/dir"], 7).unwrap()
}

fn stored(rig: &Rig) -> Vec<String> {
    let files = rig.sim.files().into_iter().filter(|file| file.account == "demo");
    files.map(|file| file.path.trim_start_matches("/apps/xpand/").to_owned()).collect()
}

#[test]
fn a_link_is_made_told_and_opened_by_its_password() {
    let rig = rig();
    put(&rig, "demo", "a.jpg");
    put(&rig, "demo", "b.jpg");
    let made = documents(&done(&rig, &["create", "--json", "--days", "7", "--description", "两张", "*.jpg"]))
        .remove(0);
    for field in ["shareid", "uk", "link", "shorturl", "pwd", "ctime"] {
        assert!(!made[field].is_null(), "{field}: {made}");
    }
    assert_eq!(made["expiredType"], 7);
    let (link, pwd) = (made["link"].as_str().unwrap(), made["pwd"].as_str().unwrap());
    assert_eq!(done(&rig, &["verify", link, "--password", pwd]), "the password is right\n");
    assert_eq!(done(&rig, &["verify", &format!("{link}?pwd={pwd}")]), "the password is right\n");
    let numbers = format!("{}:{}", made["shareid"].as_str().unwrap(), made["uk"].as_str().unwrap());
    assert_eq!(done(&rig, &["verify", &numbers, "--password", pwd]), "the password is right\n");
    assert_eq!(done(&rig, &["list", link, "--password", pwd]), "a.jpg\nb.jpg\n");
    let text = done(&rig, &["create", "a.jpg"]);
    assert!(text.contains("  link      https://") && text.contains("\n  lives     for ever\n"), "{text}");
}

#[test]
fn a_link_is_not_made_of_what_the_cloud_would_refuse() {
    let rig = rig();
    put(&rig, "demo", "a.jpg");
    put(&rig, "demo", "dir/b.jpg");
    let words = "/apps/xpand/dir is a folder: the cloud makes links to files only";
    fails(&rig, &["create", "*"], 1, &[words]);
    fails(&rig, &["create", "nothing.jpg"], 1, &["/apps/xpand/nothing.jpg: there is no such file"]);
    fails(&rig, &["create", "a.jpg", "--days", "3"], 2, &["1 day, 7 days"]);
    assert_eq!(rig.sim.count("share/set"), 0);
    let without = fs::read_to_string(rig.config_file()).unwrap().replace("share_", "# share_");
    fs::write(rig.config_file(), without).unwrap();
    fails(&rig, &["create", "a.jpg"], 2, &["share_type and share_secret", "[account.home]"]);
}

#[test]
fn a_wrong_password_is_a_sentence_and_none_is_asked_for() {
    let rig = rig();
    let link = friends_link(&rig);
    let words = "the password of the share is wrong (errno -9)";
    for command in ["verify", "list", "info"] {
        fails(&rig, &[command, &link.link, "--password", "wrong"], 1, &[words]);
    }
    fails(&rig, &["save", &link.link, "--password", "wrong", "--to", "x"], 1, &[words]);
    fails(&rig, &["verify", &link.link], 2, &["which password?", "--password-stdin"]);
    fails(&rig, &["list", &link.link], 1, &["(errno -9)", "if the link has a password: --password"]);
    fails(&rig, &["verify", "https://evil.example/s/1abc", "--password", "x"], 2, &["leads elsewhere"]);
    fails(&rig, &["list", "https://pan.baidu.com/link/zh/1nothing", "--password", "x"], 1, &["(errno "]);
    let mut command = rig.command(&["share", "verify", &link.surl, "--password-stdin"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{}\n", link.pwd).as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stdout == b"the password is right\n", "{output:?}");
}

#[test]
fn what_a_link_leads_to_is_listed() {
    let rig = rig();
    let link = friends_link(&rig);
    let args = |command: &'static str| [command, &*link.link, "--password", &*link.pwd];
    let mut names: Vec<String> = done(&rig, &args("list")).lines().map(str::to_owned).collect();
    names.sort_unstable();
    assert_eq!(names, ["a.jpg", "b.png", "dir"]);
    let long = done(&rig, &[&args("list")[..], &["-lh"]].concat());
    assert!(
        long.lines().any(|line| line.starts_with("      5 B  20") && line.ends_with("  a.jpg")),
        "{long}"
    );
    let all = documents(&done(&rig, &[&args("list")[..], &["-r", "--json"]].concat()));
    assert_eq!(all.len(), 4);
    assert!(
        all.iter()
            .all(|item| item["fs_id"].is_string() && item["isdir"].is_boolean() && item["size"].is_u64())
    );
    let info = documents(&done(&rig, &[&args("info")[..], &["--json"]].concat())).remove(0);
    assert_eq!(
        (&info["shareid"], &info["expire_days"]),
        (&link.shareid.to_string().into(), &7.into()),
        "{info}"
    );
    let text = done(&rig, &args("info"));
    assert!(text.contains("\n  lives    7 days\n"), "{text}");
    // What stands behind the last slash does not say which linksource it has.
    assert_eq!(done(&rig, &["info", &link.surl, "--password", &link.pwd]), text);
    fails(&rig, &["info", &link.surl], 1, &["the password or the key of the share is wrong", "(errno -9)"]);
    let hostile = r#"{"list":{"path":"/x\u001b[2J","server_filename":"x\u001b[2J\u009b"}}"#;
    rig.sim.fault(Fault::always("method=list", FaultKind::Edit(hostile.into()))).unwrap();
    for more in [&[][..], &["-l"], &["--json"]] {
        let out = done(&rig, &[&args("list"), more].concat());
        assert!(!out.contains(['\u{1b}', '\u{9b}']), "{out:?}");
    }
}

#[test]
fn files_of_a_link_are_saved() {
    let rig = rig();
    let link = friends_link(&rig);
    put(&rig, "demo", "own/x");
    let save = |more: &[&str]| {
        let args = ["save", &*link.link, "--password", &*link.pwd, "--to", "own"];
        share(&rig, &[&args, more].concat())
    };
    let said = save(&["a.jpg", "*.png"]);
    assert!(said.code == Some(0) && said.err.contains("2 of 2 files saved to /apps/xpand/own"), "{said:?}");
    assert_eq!(stored(&rig), ["own/a.jpg", "own/b.png", "own/x"]);
    assert_eq!(rig.sim.read("/apps/xpand/own/a.jpg").unwrap(), b"a.jpg");
    let transfers = rig.sim.count("method=transfer");
    for (name, words) in
        [("zzz", "zzz: there is no such file"), ("*.mov", "*.mov: nothing in the share matches")]
    {
        let said = save(&["a.jpg", name]);
        assert!(
            said.code == Some(1) && said.err.contains(words) && said.err.contains("nothing was saved"),
            "{said:?}"
        );
    }
    let said = share(&rig, &["save", &link.link, "--password", &link.pwd, "--to", "nowhere"]);
    let words = "/apps/xpand/nowhere: there is no such folder in the cloud";
    assert!(said.code == Some(1) && said.err.contains(words) && said.err.contains("mkdir"), "{said:?}");
    let said = save(&["--dry-run", "a.jpg"]);
    assert_eq!((said.code, &*said.out), (Some(0), "would save a.jpg to /apps/xpand/own/a.jpg\n"), "{said:?}");
    let said = save(&["-n", "a.jpg", "--json"]);
    assert_eq!(documents(&said.out)[0]["to"], "/apps/xpand/own/a.jpg", "{said:?}");
    assert_eq!(rig.sim.count("method=transfer"), transfers);
    let said = save(&["a.jpg"]);
    let words = "the file is there already (errno 10)";
    assert!(said.code == Some(1) && said.err.contains(words), "{said:?}");
    let said = save(&["a.jpg", "dir", "--on-duplicate", "keep-both", "--json"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let lines = documents(&said.out);
    assert_eq!(lines.len(), 2, "{said:?}");
    assert!(lines.iter().all(|line| line["errno"] == 0 && line["path"].is_string()), "{said:?}");
    assert_eq!(stored(&rig).len(), 5);
    assert!(stored(&rig).contains(&"own/dir/c.jpg".to_owned()));
    assert!(said.err.is_empty(), "with --json nothing else is said: {said:?}");
}

#[test]
fn a_large_share_is_saved_in_the_batches_of_the_membership_and_tasks_are_followed() {
    let rig = rig();
    put(&rig, "demo", "own/x");
    let paths: Vec<String> = (0..510).map(|number| format!("/apps/xpand/{number:03}.jpg")).collect();
    for path in &paths {
        rig.sim.put_file("friend", path, b"x").unwrap();
    }
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let link = rig.sim.share("friend", &paths, 0).unwrap();
    let said = share(&rig, &["save", &link.link, "--password", &link.pwd, "--to", "own"]);
    assert!(said.code == Some(0) && said.err.contains("510 of 510 files saved"), "{said:?}");
    assert_eq!(rig.sim.count("method=transfer"), 2);
    assert!(rig.sim.count("taskquery") >= 1);
    assert_eq!(stored(&rig).len(), 511);
}

#[test]
fn at_a_terminal_the_password_is_asked_for_and_not_shown() {
    let rig = rig();
    let link = friends_link(&rig);
    let ask = |password: &str| rig.answered(&["share", "verify", &link.link], "Password", password);
    let said = ask(&format!("{}\n", link.pwd));
    assert!(said.code == Some(0) && said.out == "the password is right\n", "{said:?}");
    assert!(!said.err.contains(&link.pwd), "{said:?}");
    let said = ask("wrong\n");
    assert!(
        said.code == Some(1) && said.err.contains("(errno -9)") && !said.err.contains("wrong\r"),
        "{said:?}"
    );
    // Ctrl-C ends it by the signal that it is, and the terminal shows again what is typed.
    let before = rig.sim.count("shareverify");
    let said = ask("abc\x03\n");
    assert_eq!((said.code, rig.sim.count("shareverify")), (None, before), "{said:?}");
    // So it does when somebody else ends it.
    for (signal, code) in [(Signal::TERM, 128 + 15), (Signal::HUP, 128 + 1)] {
        let said = rig.at_terminal(&["share", "verify", &link.link], "Password", |_, child| {
            kill_process(Pid::from_child(child), signal).unwrap();
        });
        assert_eq!((said.code, rig.sim.count("shareverify")), (Some(code), before), "{said:?}");
    }
}
