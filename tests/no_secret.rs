//! No secret in anything the real program says, with everything it could say switched on: every command, the
//! agent, a cloud that repeats tokens in its answers, and tokens typed in wrongly.
//!
//! `Rig::heard` and the end of every rig do the searching (`common::watchmen`), in every other test too.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;
use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use cloudsim::{Fault, FaultKind};
use common::clouds::Cloud;
use common::media::photo;
use common::process::Said;
use common::watchmen::assert_no_secret_in;
use common::{PATIENCE, Rig};
use xpand::status::State;

const SHARE_SECRET: &str = "rigs-own-share-secret-1aF09b";

fn rig() -> Rig {
    let rig = Rig::ready(|setup| {
        setup.device = Some("SN0001");
        setup.accounts[0].logged_in = false;
        setup.sim.code_interval = Duration::from_secs(1);
        setup.secrets.push(SHARE_SECRET.into());
    });
    let config = fs::read_to_string(rig.config_file()).unwrap();
    let more = format!("app = \"xpand\"\nshare_type = 2001\nshare_secret = \"{SHARE_SECRET}\"\n");
    fs::write(rig.config_file(), config.replace("app = \"xpand\"\n", &more)).unwrap();
    rig
}

/// As talkative as it can be.
fn loudly(rig: &Rig, args: &[&str]) -> Said {
    rig.heard(rig.command(args).arg("-vv").env("RUST_LOG", "trace"))
}

/// A login by a code, which the user approves as soon as it is shown.
fn log_in(rig: &Rig) {
    std::thread::scope(|scope| {
        let login = scope.spawn(|| loudly(rig, &["account", "login", "home"]));
        let begun = Instant::now();
        while rig.sim.approve(None) == 0 {
            assert!(begun.elapsed() < PATIENCE && !login.is_finished(), "no code to approve");
            std::thread::sleep(Duration::from_millis(10));
        }
        let said = login.join().unwrap();
        assert_eq!(said.code, Some(0), "{said:?}");
    });
}

/// Text for the stdin of `account import`.
fn import(rig: &Rig, text: &str) -> Said {
    let mut command = rig.command(&["account", "import", "home", "-vv"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_no_secret_in("the words of an import", words.as_bytes(), &rig.secrets());
    Said { code: output.status.code(), out: String::new(), err: words }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_keeps_every_secret_even_when_told_to_tell_everything() {
    let rig = rig();
    let path = rig.put("a.jpg", &photo(1, 900));
    let path = path.to_str().unwrap();
    log_in(&rig);
    assert!(rig.secrets().len() >= 5, "a code, two tokens, two secrets of the application");
    let agent = rig.spawn();
    rig.wait_arrived().await;
    let commands: &[&[&str]] = &[
        &["check"],
        &["account", "list"],
        &["device", "show"],
        &["device", "register"],
        &["device", "check"],
        &["device", "list"],
        &["device", "diff"],
        &["status"],
        &["queue", "--state", "done"],
        &["explain", path],
        &["scan"],
        &["retry"],
        &["pause"],
        &["resume"],
        &["reload"],
    ];
    for command in commands {
        for json in [false, true] {
            let command = if json { [command, &["--json"][..]].concat() } else { command.to_vec() };
            // Tokens that are refused are renewed: new secrets, and more to be said.
            rig.sim.expire().unwrap();
            let said = loudly(&rig, &command);
            assert_eq!(said.code, Some(0), "{command:?}: {said:?}");
        }
    }
    assert!(agent.terminate().await.0.success());
    // While there are tokens on the disk: at the end there are none.
    rig.assert_no_secret();
    assert_eq!(loudly(&rig, &["account", "logout", "home"]).code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cloud_that_repeats_our_secrets_does_not_make_us_say_them() {
    let rig = rig();
    log_in(&rig);
    let agent = rig.spawn();
    rig.put("a.jpg", &photo(1, 900));
    rig.wait_arrived().await;
    // A call's answer can repeat what came with the call: the access token, or what a renewal sends.
    let of = |start: &str| rig.secrets().into_iter().find(|secret| secret.starts_with(start)).unwrap();
    let words = format!("refused: {}", of("121."));
    for kind in [
        FaultKind::Errno(5555),
        FaultKind::ErrorCode(31_299),
        FaultKind::OAuth("odd".into()),
        // Here it is our own side that knows what was asked for: addresses have tokens in them.
        FaultKind::DropBefore,
        FaultKind::CutAnswer,
        FaultKind::Headers(10_000),
        FaultKind::Redirect("http://127.0.0.1:1/".into()),
    ] {
        rig.sim.fault(Fault::always("", kind).saying(&words)).unwrap();
        for command in [["device", "check"], ["device", "list"], ["device", "bind"]] {
            let said = loudly(&rig, &command);
            assert_ne!(said.code, Some(0), "{said:?}");
        }
        rig.sim.clear_faults();
    }
    // The files' own reasons, in the queue and in the log.
    for (number, call) in ["precreate", "superfile2"].into_iter().enumerate() {
        rig.sim.fault(Fault::once(call, FaultKind::Errno(5555)).saying(&words)).unwrap();
        rig.put(&format!("{call}.jpg"), &photo(2 + number as u64, 900));
        let failed = number as u64 + 1;
        rig.until("one more failed", |status| status.totals.counts.failed == failed).await;
    }
    let said = loudly(&rig, &["queue", "--state", "failed"]);
    assert_eq!(said.out.matches("refused").count(), 2, "{said:?}");
    // And the login's, whose address has everything in it.
    rig.sim.fault(Fault::once("oauth", FaultKind::DropBefore)).unwrap();
    let words = format!("refused: {} {}", of("122."), rig.setup.sim.client_secret);
    rig.sim.fault(Fault::always("oauth", FaultKind::OAuth("odd".into())).saying(&words)).unwrap();
    rig.sim.expire().unwrap();
    rig.put("c.jpg", &photo(4, 900));
    rig.until("a word about it", |status| status.state == State::NeedsLogin).await;
    assert!(agent.terminate().await.0.success());
}

/// At 123pan, where the secret of the application is the login, and links and presigned addresses are told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_keeps_the_secrets_of_123pan_even_when_told_to_tell_everything() {
    let rig = Rig::ready_at(Cloud::Pan123, |_| ());
    let path = rig.put("a.jpg", &photo(1, 900));
    let more = rig.path("outbox").join("b.jpg");
    fs::write(&more, photo(2, 900)).unwrap();
    let home = rig.path("home");
    let (path, more, home) = (path.to_str().unwrap(), more.to_str().unwrap(), home.to_str().unwrap());
    let agent = rig.spawn();
    rig.wait_arrived().await;
    assert!(rig.secrets().len() >= 2, "a token, and the secret of the application");
    let commands: &[&[&str]] = &[
        &["check"],
        &["account", "list"],
        &["account", "login", "home"],
        &["status"],
        &["queue", "--state", "done"],
        &["explain", path],
        &["verify", "--sample", "100%"],
        &["restore", "--overwrite", path, "--to", home],
        &["image", "mkdir", "blog"],
        &["image", "put", more, "blog"],
        &["image", "ls", "-l", "blog"],
        &["image", "info", "blog/b.jpg"],
    ];
    for command in commands {
        let command = [command, &["--json"][..]].concat();
        rig.sim.expire().unwrap();
        let said = loudly(&rig, &command);
        assert_eq!(said.code, Some(0), "{command:?}: {said:?}");
    }
    assert!(agent.terminate().await.0.success());
    // While there is a token on the disk.
    rig.assert_no_secret();
    assert_eq!(loudly(&rig, &["account", "logout", "home"]).code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_123pan_that_repeats_our_secrets_does_not_make_us_say_them() {
    let rig = Rig::ready_at(Cloud::Pan123, |_| ());
    rig.put("a.jpg", &photo(1, 900));
    let agent = rig.spawn();
    rig.wait_arrived().await;
    let token = rig.secrets().into_iter().find(|secret| secret.starts_with("eyJ")).unwrap();
    let words = format!("refused: {token}");
    for kind in [
        FaultKind::Code(5555),
        FaultKind::Body(format!("{{\"code\":5555,\"message\":[\"{token}\"]}}")),
        FaultKind::DropBefore,
        FaultKind::CutAnswer,
        FaultKind::Headers(10_000),
        FaultKind::Redirect("http://127.0.0.1:1/".into()),
    ] {
        // Not of the login, which has the other secret.
        rig.sim.fault(Fault::always("/oss/", kind).saying(&words)).unwrap();
        for command in [["image", "ls", "/"], ["image", "info", "a.jpg"], ["image", "mkdir", "x"]] {
            let said = loudly(&rig, &command);
            assert_ne!(said.code, Some(0), "{said:?}");
        }
        rig.sim.clear_faults();
    }
    // The files' own reasons, in the queue and in the log.
    for (number, call) in ["file/create", "get_upload_url", "upload_complete"].into_iter().enumerate() {
        rig.sim.fault(Fault::once(call, FaultKind::Code(5555)).saying(&words)).unwrap();
        rig.put(&format!("{number}.jpg"), &photo(2 + number as u64, 900));
        let failed = number as u64 + 1;
        rig.until("one more failed", |status| status.totals.counts.failed == failed).await;
    }
    let said = loudly(&rig, &["queue", "--state", "failed"]);
    assert_eq!(said.out.matches("refused").count(), 3, "{said:?}");
    // And the login's, which has the secret in its body.
    let words = format!("clientID refused: {token} {}", rig.setup.sim.client_secret);
    rig.sim.fault(Fault::always("access_token", FaultKind::Code(1)).saying(&words)).unwrap();
    rig.sim.expire().unwrap();
    rig.put("c.jpg", &photo(9, 900));
    rig.until("a word about it", |status| status.state == State::NeedsLogin).await;
    assert!(agent.terminate().await.0.success());
}

#[test]
fn what_is_typed_in_wrongly_is_not_repeated() {
    let rig = rig();
    let (access, refresh) = ("access-typed-7d31", "refresh-typed-90c2");
    rig.sim.add_token("demo", access, Some(refresh), None).unwrap();
    for text in [
        format!("{access} {refresh}"),
        format!("{{\"access_token\": \"{access}\", \"refresh_token\": \"{refresh}\""),
        format!("{{\"access_token\": \"{access}\", \"{refresh}\": 1}}"),
        format!("{{\"access_token\": [\"{access}\"]}}"),
        format!("{{\"access_token\": \"{access}\", \"expires_at\": \"{refresh}\"}}"),
    ] {
        let said = import(&rig, &text);
        assert_eq!(said.code, Some(2), "{text}: {said:?}");
    }
    let right = format!("{{\"access_token\": \"{access}\", \"refresh_token\": \"{refresh}\"}}");
    assert_eq!(import(&rig, &right).code, Some(0));
    assert_eq!(rig.run(&["device", "register"]).code, Some(0));
    // A mistake in the configuration, right beside a secret.
    let config = fs::read_to_string(rig.config_file()).unwrap();
    fs::write(rig.config_file(), config.replace("share_type = 2001", "share_typ = 2001")).unwrap();
    assert_eq!(rig.run(&["check"]).code, Some(2));
    fs::write(rig.config_file(), config.replace("client_secret = \"", "client_secret = 7 \"")).unwrap();
    assert_eq!(rig.run(&["check"]).code, Some(2));
}
