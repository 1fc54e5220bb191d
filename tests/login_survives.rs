//! A login survives a crash at every step of its renewal, and a single-use token is used once: the real
//! program is killed at each step, and several processes want a new token at the same moment.
//!
//! One case cannot be avoided: the cloud took the refresh token, and nobody heard the answer. Then it is
//! sent exactly once more, and a person is told what to type.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cloudsim::{Fault, FaultKind};
use common::Rig;
use common::clouds::Cloud;
use common::media::photo;
use xpand::status::State;

/// The command that brings a lost login back.
const NEXT: &str = "xpand account login home";
const REFRESH: &str = "grant_type=refresh_token";

/// A command that needs a login: it asks the cloud who its user is.
const ASK: [&str; 2] = ["device", "bind"];

fn rig() -> Rig {
    Rig::ready(|setup| setup.device = Some("SN0001"))
}

/// How often each refresh token came to the cloud; those that never did are not among them.
fn presented(rig: &Rig) -> Vec<u32> {
    rig.sim.presented().into_values().collect()
}

/// The token file is whole at any moment.
fn assert_whole(rig: &Rig) {
    let file = fs::read(rig.state_dir().join("accounts/home.json")).unwrap();
    let tokens: serde_json::Value = serde_json::from_slice(&file).expect("a whole token file");
    assert!(tokens["access_token"].is_string() && tokens["refresh_token"].is_string());
}

/// After a kill: the login works, or the cloud had used the token up, and then it was sent once more, a
/// person is told what to do, and it is not sent again. Returns whether the login survived.
fn survived(rig: &Rig, step: &str) -> bool {
    assert_whole(rig);
    let said = rig.run(&ASK);
    let most = presented(rig).into_iter().max().unwrap_or(0);
    if said.code == Some(0) {
        assert!(most <= 1, "{step}: a token was used twice: {said:?}");
        return true;
    }
    assert_eq!((said.code, most), (Some(4), 2), "{step}: {said:?}");
    assert!(said.err.contains(NEXT), "{step}: {said:?}");
    for _ in 0..3 {
        assert_eq!(rig.run(&ASK).code, Some(4), "{step}");
    }
    assert_eq!(presented(rig).into_iter().max(), Some(2), "{step}: sent again and again");
    rig.log_in("home");
    assert_eq!(rig.run(&ASK).code, Some(0), "{step}: the next login is used at once");
    false
}

/// A command, killed when it is about to do this to the account's files for the nth time. Returns
/// whether it came to that. None where strace is missing or may not trace.
fn killed_at(rig: &Rig, ask: &[&str], call: &str, n: usize) -> Option<bool> {
    let accounts = rig.state_dir().join("accounts");
    let plain = rig.command(ask);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "trace=all", "-e"]);
    strace.arg(format!("inject=/^{call}:signal=SIGKILL:when={n}")).arg("-o").arg(rig.path("strace"));
    for name in ["home.json", "home.json.new", "home.lock"] {
        strace.arg("-P").arg(accounts.join(name));
    }
    strace.arg("-P").arg(accounts).arg(plain.get_program()).args(plain.get_args());
    let status = strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    let is_killed = !status.success();
    let trace = fs::read_to_string(rig.path("strace")).unwrap_or_default();
    let last = trace.lines().rev().find(|line| line.contains('(')).unwrap_or_default();
    println!("{call} {n}: {}", if is_killed { last } else { "it came to its end" });
    (!trace.is_empty()).then_some(is_killed)
}

#[test]
fn a_kill_at_any_step_on_the_disk_keeps_the_login_or_says_how_to_get_it_back() {
    let (mut kept, mut lost) = (0, 0);
    // As `durable::replace` does them, and the lock before.
    for (call, at_least) in
        [("flock", 1), ("openat", 6), ("unlink", 2), ("write", 2), ("fsync", 4), ("rename", 2)]
    {
        for n in 1.. {
            let rig = rig();
            rig.run(&ASK);
            rig.sim.expire().unwrap();
            match killed_at(&rig, &ASK, call, n) {
                None => return println!("SKIPPED: killing at every step needs strace"),
                Some(true) if survived(&rig, &format!("{call} {n}")) => kept += 1,
                Some(true) => lost += 1,
                Some(false) => {
                    assert!(n > at_least, "{call} was seen {} times only", n - 1);
                    break;
                }
            }
        }
    }
    println!("after {kept} of the kills the login worked, after {lost} it was asked for");
    // Lost only between the answer and its rename: open, unlink, write, fsync, rename.
    assert!(lost <= 5 && kept > lost, "{kept} {lost}");
}

/// At 123pan, where an application logs in by itself: what is lost is a token, and the next command has another.
#[test]
fn a_kill_at_any_step_on_the_disk_costs_123pan_one_token_at_most() {
    let ask = ["image", "ls"];
    let mut kills = 0;
    for (call, at_least) in [("openat", 2), ("write", 2), ("fsync", 2), ("rename", 2)] {
        for n in 1.. {
            let rig = Rig::ready_at(Cloud::Pan123, |_| ());
            match killed_at(&rig, &ask, call, n) {
                None => return println!("SKIPPED: killing at every step needs strace"),
                Some(true) => kills += 1,
                Some(false) => {
                    assert!(n > at_least, "{call} was seen {} times only", n - 1);
                    break;
                }
            }
            if let Ok(file) = fs::read(rig.state_dir().join("accounts/home.json")) {
                serde_json::from_slice::<serde_json::Value>(&file).expect("a whole token file");
            }
            for _ in 0..2 {
                assert_eq!(rig.run(&ask).code, Some(0), "{call} {n}");
            }
            let live = rig.sim.pan123().live_tokens("demo");
            assert!(live <= 2 && rig.sim.count("access_token") == live, "{call} {n}: {live} tokens");
        }
    }
    println!("after {kills} kills the login worked");
}

#[test]
fn a_kill_while_the_request_is_out_keeps_the_login_if_the_cloud_never_took_it() {
    for kind in [FaultKind::Stall, FaultKind::Late(Duration::from_secs(600))] {
        let rig = rig();
        rig.run(&ASK);
        rig.sim.expire().unwrap();
        let is_taken = matches!(kind, FaultKind::Late(_));
        rig.sim.fault(Fault::once(REFRESH, kind.clone())).unwrap();
        let mut command = rig.command(&ASK).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let is_out = || match is_taken {
            true => presented(&rig) == [1],
            false => rig.sim.calls().iter().any(|call| call.fault.is_some()),
        };
        let begun = Instant::now();
        while !is_out() {
            assert!(begun.elapsed() < common::PATIENCE, "no refresh is under way");
            std::thread::sleep(Duration::from_millis(10));
        }
        let file = fs::read_to_string(rig.state_dir().join("accounts/home.json")).unwrap();
        assert!(file.contains("attempt"), "on the disk before the request goes out");
        command.kill().unwrap();
        command.wait().unwrap();
        assert_eq!(survived(&rig, &kind.to_string()), !is_taken, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_killed_before_it_heard_the_answer_asks_for_a_login_and_goes_on_after_it() {
    let rig = Rig::ready(|_| ());
    rig.put("a.jpg", &photo(1, 900));
    let agent = rig.spawn();
    rig.wait_arrived().await;
    rig.sim.expire().unwrap();
    rig.sim.fault(Fault::once(REFRESH, FaultKind::Late(Duration::from_secs(600)))).unwrap();
    rig.put("b.jpg", &photo(2, 900));
    rig.until_true("the cloud has taken the token", || presented(&rig) == [1]).await;
    agent.kill();
    assert_whole(&rig);
    let agent = rig.spawn();
    let status = rig.until("needs_login", |status| status.state == State::NeedsLogin).await;
    assert!(status.reason.as_ref().unwrap().contains(NEXT), "{status:#?}");
    assert_eq!(presented(&rig), [2]);
    // Another start, or a person who tries something, does not send it again.
    agent.kill();
    let agent = rig.spawn();
    rig.until("needs_login", |status| status.state == State::NeedsLogin).await;
    rig.client.retry(None).await.unwrap();
    rig.put("c.jpg", &photo(3, 900));
    rig.until("two waiting", |status| status.totals.counts.waiting == 2).await;
    assert_eq!(presented(&rig), [2]);
    rig.log_in("home");
    rig.wait_arrived().await;
    assert!(agent.terminate().await.0.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_and_commands_that_all_need_a_new_token_send_the_old_one_once() {
    let rig = rig();
    rig.put("a.jpg", &photo(1, 900));
    let agent = rig.spawn();
    rig.wait_arrived().await;
    for round in 1..=2 {
        // Long enough for all of them to stand in line.
        rig.sim.fault(Fault::once(REFRESH, FaultKind::Late(Duration::from_millis(700)))).unwrap();
        rig.sim.expire().unwrap();
        rig.put(&format!("{round}.jpg"), &photo(10 + round, 900));
        let commands: Vec<_> = (0..4)
            .map(|_| {
                let mut command = rig.command(&ASK);
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        for command in commands {
            let output = command.wait_with_output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
        rig.wait_arrived().await;
        let all = presented(&rig);
        assert!(all.iter().all(|times| *times == 1), "{all:?}");
        assert_eq!(all.len() as u64, round, "one renewal for all of them");
    }
    assert!(agent.terminate().await.0.success());
}
