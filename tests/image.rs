//! `xpand image` as a person or a script calls it: the real binary against a local 123pan.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use cloudsim::{Fault, FaultKind};
use common::process::{Said, documents};
use common::{Rig, media};

/// An empty image host, and an account of it that nobody has to log in to.
fn rig() -> Rig {
    rig_with(|_| ())
}

fn rig_with(change: impl FnOnce(&mut common::Setup)) -> Rig {
    let rig = Rig::ready(|setup| {
        setup.accounts[0].logged_in = false;
        setup.tidies = true;
        change(setup);
    });
    let text = fs::read_to_string(rig.config_file()).unwrap();
    let text = text.replace("[account.home]\n", "[account.home]\nprovider = \"pan123\"\n");
    fs::write(rig.config_file(), text.replace("app = \"xpand\"\n", "")).unwrap();
    rig
}

fn image(rig: &Rig, args: &[&str]) -> Said {
    rig.run(&[&["image"], args].concat())
}

#[track_caller]
fn done(rig: &Rig, args: &[&str]) -> String {
    image(rig, args).done()
}

/// A picture of this box.
fn local(rig: &Rig, name: &str, seed: u64) -> String {
    let path: PathBuf = rig.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, media::photo(seed, 3000)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Paths of everything that is there.
fn stored(rig: &Rig) -> Vec<String> {
    rig.sim.pan123().files().into_iter().map(|file| file.path).collect()
}

/// What anybody gets who has the link.
fn fetched(link: &str) -> Vec<u8> {
    let (host, path) = link.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..head]));
    answer.split_off(head + 4)
}

#[test]
fn put_prints_the_link_of_each_picture_and_anybody_can_see_it() {
    let rig = rig();
    let (one, other) = (local(&rig, "a b.jpg", 1), local(&rig, "c.png", 2));
    let said = image(&rig, &["put", &one, &other, "holiday/2024"]);
    assert!(said.err.contains("2 files sent"), "{said:?}");
    let links: Vec<String> = said.done().lines().map(str::to_owned).collect();
    assert_eq!(links.len(), 2);
    assert_eq!(fetched(&links[0]), fs::read(&one).unwrap());
    assert_eq!(fetched(&links[1]), fs::read(&other).unwrap());
    assert_eq!(stored(&rig), ["/holiday/2024/a b.jpg", "/holiday/2024/c.png"]);
    // Again: the same pictures, and nothing is sent.
    let mark = rig.mark();
    let line = format!("![a b]({})\n", links[0]);
    assert_eq!(done(&rig, &["put", "--markdown", &one, "/holiday/2024/"]), line);
    assert_eq!(rig.calls_after(mark, "PUT").len(), 0);
    let documents = documents(&done(&rig, &["--json", "put", &one, &other, "holiday/2024"]));
    assert_eq!(
        (documents.len(), &documents[1]["link"], &documents[1]["state"]),
        (2, &links[1].as_str().into(), &"there".into())
    );
    assert_eq!(documents[0]["remote"], "/holiday/2024/a b.jpg");
    assert_eq!(stored(&rig).len(), 2);
    assert_eq!(rig.sim.pan123().live_tokens("demo"), 1, "one login does for all commands");
}

#[test]
fn sent_instant_and_there_already_are_three_words() {
    let rig = rig();
    let (one, other) = (local(&rig, "a.jpg", 1), local(&rig, "b.jpg", 2));
    let state = |args: &[&str]| -> (Vec<String>, String) {
        let said = image(&rig, &[&["--json", "put"], args].concat());
        let err = said.err.clone();
        let word = |document: &serde_json::Value| document["state"].as_str().unwrap().to_owned();
        (documents(&said.done()).iter().map(word).collect(), err)
    };
    let (words, told) = state(&[&one, "x"]);
    assert!(words == ["sent"] && told.contains("1 file sent"), "{words:?} {told}");
    // The cloud has the content, and the folder has not.
    let (words, told) = state(&[&one, &other, "y"]);
    assert_eq!(words, ["instant", "sent"]);
    assert!(
        told.contains("1 file sent (") && told.contains(", 1 instant: the cloud had the content"),
        "{told}"
    );
    let (words, told) = state(&[&one, "y"]);
    assert!(words == ["there"] && told.contains("0 files sent (0 B), 1 there already"), "{words:?} {told}");
    assert_eq!(stored(&rig), ["/x/a.jpg", "/y/a.jpg", "/y/b.jpg"]);
}

#[test]
fn a_picture_that_is_in_the_folder_under_another_name_is_shown_and_other_content_is_kept_beside_it() {
    let rig = rig();
    let one = local(&rig, "a.jpg", 1);
    let link = done(&rig, &["put", &one]);
    let again = local(&rig, "b?.jpg", 1);
    let said = image(&rig, &["put", &again]);
    assert!(said.err.contains("b?.jpg: its folder has this picture already, as /a.jpg\n"), "{said:?}");
    // The name that it would have had is nobody's.
    assert!(said.err.contains("1 there already") && !said.err.contains('%'), "{said:?}");
    assert_eq!(said.done(), link);
    assert_eq!(stored(&rig), ["/a.jpg"]);
    let changed = local(&rig, "a.jpg", 2);
    let said = image(&rig, &["put", &changed]);
    assert!(said.err.contains("a.jpg: the name /a.jpg is not free; it is /a(1).jpg now"), "{said:?}");
    assert_ne!(said.done(), link);
    assert_eq!(stored(&rig), ["/a(1).jpg", "/a.jpg"]);
}

#[test]
fn equal_pictures_of_one_command_are_one_picture_with_one_link() {
    let rig = rig();
    let all =
        [local(&rig, "a.jpg", 1), local(&rig, "b.jpg", 2), local(&rig, "c.jpg", 1), local(&rig, "d.jpg", 1)];
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let said = image(&rig, &[&["put"], &all[..], &["x"]].concat());
    for words in
        ["2 files sent", "2 there already", "c.jpg: its folder has this picture already, as /x/a.jpg"]
    {
        assert!(said.err.contains(words), "{words}: {said:?}");
    }
    let links = said.done();
    let links: Vec<&str> = links.lines().collect();
    assert!(
        links.len() == 4 && links[0] == links[2] && links[2] == links[3] && links[0] != links[1],
        "{links:?}"
    );
    assert_eq!(stored(&rig), ["/x/a.jpg", "/x/b.jpg"]);
    // At a terminal every line stands by itself, and the bars are gone.
    let film = local(&rig, "film.mp4", 9);
    let put = [&["image", "put"], &all[..2], &[all[2], film.as_str(), "y"]].concat();
    let said = rig.answered(&put, "(nothing is asked)", "");
    let shown = said.err.as_str();
    assert!(shown.contains("c.jpg: its folder has this picture already, as /y/a.jpg\r\n"), "{shown}");
    // A bar is filled up with blanks.
    assert!(!shown.split("xpand: ").next().unwrap().ends_with(' '), "{shown}");
    assert_eq!(said.out.lines().count(), 3, "{said:?}");
    // Also when the first one does not arrive.
    rig.sim.pan123().review("e", 104).unwrap();
    let (one, other) = (local(&rig, "e.jpg", 5), local(&rig, "f.jpg", 5));
    let said = image(&rig, &["--json", "put", &one, &other]);
    let states: Vec<_> = documents(&said.out).iter().map(|document| document["state"].clone()).collect();
    assert_eq!(states, ["failed", "failed"]);
    said.failed(1, &["f.jpg: it is the same picture as", "2 failed"]);
}

#[test]
fn nothing_is_kept_of_what_no_second_try_helps() {
    let rig = rig();
    let kept = || fs::read_dir(rig.state_dir().join("put")).unwrap().count();
    let (picture, film) = (local(&rig, "a.jpg", 1), local(&rig, "film.mp4", 2));
    image(&rig, &["put", &film]).failed(1, &["1 failed"]);
    image(&rig, &["put", &picture, &film]).failed(1, &["1 file sent", "1 failed"]);
    assert_eq!(kept(), 0);
    // What was read, and may arrive at another time.
    rig.sim.fault(Fault::times("file/create", FaultKind::Code(77777), 50)).unwrap();
    let other = local(&rig, "b.jpg", 3);
    image(&rig, &["put", &other]).failed(1, &["(code 77777)"]);
    assert_eq!(kept(), 2, "a folder and its lock");
    rig.sim.clear_faults();
    done(&rig, &["put", &other]);
    assert_eq!(kept(), 0);
}

#[test]
fn folders_are_made_listed_and_deleted() {
    let rig = rig();
    done(&rig, &["mkdir", "blog/2024", "/other"]);
    let made = documents(&done(&rig, &["--json", "mkdir", "blog"]));
    assert_eq!(
        (&made[0]["path"], made[0]["fileId"].as_str()),
        (&"/blog".into(), rig.sim.pan123().id("demo", "/blog").as_deref())
    );
    done(&rig, &["put", &local(&rig, "a.jpg", 1), &local(&rig, "b.jpg", 2), "blog"]);
    assert_eq!(done(&rig, &["ls"]), "other\nblog\n", "as the cloud has them: the newest first");
    assert_eq!(done(&rig, &["ls", "blog/*.jpg"]).lines().count(), 2);
    let long = done(&rig, &["ls", "-l", "blog"]);
    assert!(
        long.lines().any(|line| line.trim_start().starts_with("3000") && line.ends_with("  a.jpg")),
        "{long}"
    );
    let listed = documents(&done(&rig, &["--json", "ls", "/blog"]));
    let names: Vec<_> = listed
        .iter()
        .map(|image| (image["path"].as_str().unwrap(), image["type"].as_u64().unwrap()))
        .collect();
    assert!(names.contains(&("/blog/a.jpg", 0)) && names.contains(&("/blog/2024", 1)), "{names:?}");
    image(&rig, &["ls", "nowhere"]).failed(1, &["/nowhere: there is no such folder or picture"]);

    image(&rig, &["rm", "blog/a.jpg"])
        .failed(2, &["Delete /blog/a.jpg from the image host? Its link ends.", "add --yes"]);
    image(&rig, &["rm", "-r", "blog"]).failed(
        2,
        &["Delete the folder /blog with everything in it from the image host? The links of its pictures"],
    );
    image(&rig, &["rm", "blog/*.jpg"]).failed(2, &["Delete 2 files from the image host? Their links end."]);
    assert_eq!(done(&rig, &["rm", "--dry-run", "blog/*.jpg"]).lines().count(), 2);
    image(&rig, &["rm", "--yes", "blog"]).failed(2, &["/blog is a folder", "add -r"]);
    image(&rig, &["rm", "--yes", "/"]).failed(2, &["/ stays: it is all that the account has in the cloud"]);
    assert_eq!(stored(&rig).len(), 2, "nothing was done so far");
    assert_eq!(done(&rig, &["rm", "--yes", "blog/a.jpg"]), "deleted /blog/a.jpg\n");
    done(&rig, &["rm", "-r", "--yes", "blog", "blog/b.jpg"]);
    assert_eq!(stored(&rig), [""; 0]);
    image(&rig, &["rm", "--yes", "blog"]).failed(1, &["/blog: there is no such file or folder"]);
    // What was remembered of the folder is of no use any more, and is not needed.
    done(&rig, &["put", &local(&rig, "a.jpg", 1), "blog/2024"]);
    assert_eq!(stored(&rig), ["/blog/2024/a.jpg"]);
}

#[test]
fn a_folder_that_somebody_deleted_in_the_app_is_made_anew() {
    let rig = rig();
    done(&rig, &["put", &local(&rig, "a.jpg", 1), "blog/2024"]);
    rig.sim.pan123().remove("demo", "/blog").unwrap();
    let listed = image(&rig, &["ls", "blog/2024"]);
    listed.failed(1, &["/blog/2024: there is no such folder"]);
    done(&rig, &["mkdir", "blog/2024"]);
    rig.sim.pan123().remove("demo", "/blog").unwrap();
    done(&rig, &["put", &local(&rig, "b.jpg", 2), "blog/2024"]);
    assert_eq!(stored(&rig), ["/blog/2024/b.jpg"]);
}

#[test]
fn info_tells_everything_by_path_and_by_id() {
    let rig = rig();
    let link = done(&rig, &["put", &local(&rig, "a.jpg", 1), "x"]);
    let id = rig.sim.pan123().id("demo", "/x/a.jpg").unwrap();
    let told = done(&rig, &["info", "x/a.jpg"]);
    for words in [
        "path     /x/a.jpg\n",
        "kind     picture\n",
        "review   not rejected (status 2)\n",
        link.trim(),
        id.as_str(),
    ] {
        assert!(told.contains(words), "{told}");
    }
    assert_eq!(done(&rig, &["info", &id]), told);
    let document = documents(&done(&rig, &["--json", "info", &id])).remove(0);
    assert_eq!((&document["fileId"], &document["path"]), (&id.as_str().into(), &"/x/a.jpg".into()));
    assert_eq!(document["downloadURL"], link.trim());
    assert!(done(&rig, &["info", "x"]).contains("kind     folder\n"));
    image(&rig, &["info", "nothing", "x/a.jpg"]).failed(1, &["/nothing: there is no such folder or picture"]);
}

#[test]
fn what_is_no_picture_is_refused_before_anything_is_sent() {
    let rig = rig();
    let picture = local(&rig, "a.jpg", 1);
    let film = local(&rig, "film.mp4", 2);
    let (folder, empty) = (rig.path("folder"), rig.path("empty.jpg"));
    fs::create_dir(&folder).unwrap();
    fs::write(&empty, "").unwrap();
    image(&rig, &["put", &film]).failed(1, &["film.mp4: 123pan keeps pictures only: png gif jpg"]);
    image(&rig, &["put", empty.to_str().unwrap()]).failed(1, &["it is empty"]);
    image(&rig, &["put", folder.to_str().unwrap()]).failed(2, &["it is a folder: name the pictures in it"]);
    image(&rig, &["put", "/no/such.jpg"]).failed(2, &["/no/such.jpg: No such file"]);
    image(&rig, &["put", &picture, "typo.jpg"]).failed(2, &["typo.jpg: there is no such file"]);
    image(&rig, &["put", &picture, "what?"]).failed(2, &["123pan takes no '?' in a name"]);
    let long = "n".repeat(255);
    image(&rig, &["mkdir", &long]).failed(2, &["a name at 123pan has 254 characters at most, this has 255"]);
    assert_eq!(rig.sim.pan123().files().len(), 0);
    assert!(rig.sim.calls().iter().all(|call| !call.path.contains("create") && !call.path.contains("mkdir")));
}

#[test]
fn names_as_long_as_a_disk_has_them_arrive_and_are_told_of() {
    let rig = rig();
    let name = format!("{}.jpg", "n".repeat(251));
    assert_eq!(name.len(), 255);
    let said = image(&rig, &["put", &local(&rig, &name, 1), "x"]);
    assert!(said.err.contains("some names are written with %XX in the cloud"), "{said:?}");
    assert_eq!(fetched(said.done().trim()), media::photo(1, 3000));
    done(&rig, &["mkdir", &"n".repeat(254)]);
}

#[test]
fn a_wrong_id_or_secret_is_said_with_what_to_do_and_nothing_is_tried_without_end() {
    let rig = rig();
    let text = fs::read_to_string(rig.config_file()).unwrap();
    fs::write(rig.config_file(), text.replace("client_id = \"demo\"", "client_id = \"someone\"")).unwrap();
    let said = image(&rig, &["ls"]);
    said.failed(4, &["client_id or the client_secret is not the right one", "(code 1)"]);
    assert!(rig.calls_after(0, "access_token").len() <= 2, "{:?}", rig.sim.calls());
}

#[test]
fn a_token_that_ended_is_replaced_by_itself() {
    let rig = rig();
    done(&rig, &["mkdir", "a"]);
    rig.sim.pan123().expire(None).unwrap();
    done(&rig, &["mkdir", "b"]);
    assert_eq!(done(&rig, &["ls"]), "b\na\n");
    assert_eq!((rig.calls_after(0, "access_token").len(), rig.sim.pan123().live_tokens("demo")), (2, 1));
}

#[test]
fn a_picture_that_the_review_rejects_is_failed_with_the_reason() {
    let rig = rig();
    rig.sim.pan123().review("secret", 104).unwrap();
    let picture = local(&rig, "secret.jpg", 1);
    let said = image(&rig, &["--json", "put", &picture]);
    let document = documents(&said.out).remove(0);
    assert_eq!(document["state"], "failed");
    said.failed(1, &["secret.jpg: detail: 123pan's review rejected this picture (status 104)"]);
    assert!(document["reason"].as_str().unwrap().contains("status 104") && document.get("link").is_none());
    let listed = image(&rig, &["ls"]);
    assert!(listed.err.contains("1 of them the review rejected"), "{listed:?}");
    assert!(
        done(&rig, &["info", "secret.jpg"]).contains("review   rejected (status 104): nobody gets to see it")
    );
}

#[test]
fn slices_and_answers_that_get_lost_or_damaged_cost_another_try_and_no_picture() {
    let rig = rig();
    rig.sim.pan123().set_async(Some(Duration::from_millis(300)));
    for (endpoint, kind) in [
        // An address that is too old.
        ("PUT ", FaultKind::Status(403)),
        ("PUT ", FaultKind::LostSlices),
        // The MD5 does not match at completion.
        ("PUT ", FaultKind::Flip(7)),
        ("PUT ", FaultKind::DropBefore),
        ("file/create", FaultKind::Code(429)),
        ("upload_complete", FaultKind::DropAfter),
        ("upload_async_result", FaultKind::Code(20103)),
        ("file/detail", FaultKind::CutAnswer),
    ] {
        rig.sim.fault(Fault::once(endpoint, kind)).unwrap();
    }
    let names = |number: u64| format!("{number}.jpg");
    let pictures: Vec<String> = (0..4).map(|number| local(&rig, &names(number), 10 + number)).collect();
    let put = [&["put"], &pictures.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat();
    let links = done(&rig, &put);
    for (number, link) in links.lines().enumerate() {
        assert_eq!(fetched(link), media::photo(10 + number as u64, 3000), "in the order they were typed");
    }
    assert_eq!(links.lines().count(), 4);
    assert_eq!(rig.sim.calls().iter().filter(|call| call.fault.is_some()).count(), 8, "each fault hit");
    assert_eq!(stored(&rig).len(), 4);
    assert!(rig.sim.leaks().is_empty(), "{:?}", rig.sim.leaks());
}

#[test]
fn a_code_that_nobody_knows_is_shown_in_the_clouds_own_words() {
    let rig = rig();
    rig.sim.fault(Fault::times("file/create", FaultKind::Code(77777), 50).saying("完全不知道")).unwrap();
    let said = image(&rig, &["put", &local(&rig, "a.jpg", 1)]);
    said.failed(1, &["a.jpg: create: 完全不知道 (code 77777)"]);
    assert!(rig.calls_after(0, "file/create").len() == 1, "what is refused is not asked again");
}

#[test]
fn a_path_that_is_empty_or_leads_out_is_refused_before_anything_is_asked() {
    let rig = rig();
    let picture = local(&rig, "a.jpg", 1);
    image(&rig, &["mkdir", "/"]).failed(2, &["/ is the image host itself, which is there"]);
    image(&rig, &["mkdir", "a/.."]).failed(2, &["/ is the image host itself"]);
    for command in ["mkdir", "ls", "info", "rm"] {
        image(&rig, &[command, ""]).failed(2, &["it is empty; the image host itself is written /"]);
        image(&rig, &[command, "../x"]).failed(2, &["it leads out of the image host"]);
    }
    image(&rig, &["put", &picture, "../x"]).failed(2, &["\"../x\": it leads out of the image host"]);
    assert_eq!(rig.sim.calls().len(), 0);
}

#[test]
fn the_question_before_the_backup_goes_says_of_what_and_apps_is_a_folder_like_any_other() {
    let rig = rig();
    let top = "/box/photo";
    let text = fs::read_to_string(rig.config_file()).unwrap();
    fs::write(rig.config_file(), text.replace("\"{label}/{path}\"", "\"box/{label}/{path}\"")).unwrap();
    done(&rig, &["mkdir", top, "/apps/x"]);
    let of = rig.root("photo").display().to_string();
    let holds =
        format!("/box holds the backup of this box, of {of} in {top}. Delete 1 folder, and with that");
    image(&rig, &["rm", "-r", "box"]).failed(2, &[&holds]);
    let holds = format!("{top} holds the backup of this box, of {of}. Delete 1 folder");
    image(&rig, &["rm", "-r", top]).failed(2, &[&holds]);
    done(&rig, &["rm", "-r", "--yes", "/apps"]);
}

#[test]
fn what_works_of_drive_and_share_is_said_at_once() {
    let rig = rig();
    let file = local(&rig, "a.jpg", 1);
    let refused = [
        "home is an account of 123pan: of xpand drive only get, put and whoami work there",
        "xpand image has ls, info, mkdir and rm",
    ];
    for args in [
        &["ls"][..],
        &["find", "x"],
        &["info", "x"],
        &["media", "photos"],
        &["count"],
        &["mkdir", "x"],
        &["cp", "x", "y"],
        &["mv", "x", "y"],
        &["rename", "x", "y"],
        &["rm", "x"],
        &["preview", "x", "y.pdf"],
        &["quota"],
    ] {
        rig.run(&[&["drive"], args].concat()).failed(2, &refused);
    }
    rig.run(&["share", "list", "https://pan.baidu.com/s/1abc"])
        .failed(2, &["123pan, which knows no share links"]);
    assert_eq!(rig.sim.calls().len(), 0, "nobody was asked");
    // And this does work.
    rig.run(&["drive", "put", &file, "x/"]).done();
    let target = rig.path("home");
    fs::create_dir(&target).unwrap();
    rig.run(&["drive", "get", "x/a.jpg", target.to_str().unwrap()]).done();
    assert_eq!(fs::read(target.join("a.jpg")).unwrap(), fs::read(&file).unwrap());
    assert!(!rig.run(&["drive", "whoami"]).done().contains("user"), "123pan tells no name");
    rig.run(&["restore", "nowhere", "--to", target.to_str().unwrap()])
        .failed(1, &["xpand image ls what is in the cloud"]);
}

#[test]
fn the_account_that_can_do_it_need_not_be_named() {
    let rig = rig();
    let text = fs::read_to_string(rig.config_file()).unwrap();
    let other =
        "\n[account.drive]\nclient_id = \"demo\"\nclient_secret = \"demo\"\napp = \"xpand\"\nendpoint = ";
    fs::write(rig.config_file(), format!("{text}{other}\"{}\"\n", rig.sim.url())).unwrap();
    done(&rig, &["mkdir", "x"]);
    // It comes as far as the login of the other one.
    rig.run(&["drive", "ls"]).failed(4, &["xpand account login drive"]);
    rig.run(&["share", "list", "https://pan.baidu.com/s/1abc"]).failed(1, &["(errno 105)"]);
    rig.run(&["drive", "whoami"]).failed(2, &["which account?", "home, drive"]);
    image(&rig, &["ls", "--account", "drive"])
        .failed(2, &["drive is an account of Baidu Netdisk, which is no image host"]);
}

#[test]
fn another_clouds_account_is_told_where_to_go() {
    let rig = Rig::ready(|_| ());
    image(&rig, &["ls"]).failed(2, &["home is an account of Baidu", "provider = \"pan123\""]);
}
