//! The few tokens that 123pan lets live, with the real program: none is asked for without need, whatever the
//! cloud, the network and people do.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use cloudsim::{Fault, FaultKind};
use xpand::status::{AccountState, State};

use super::common::Rig;
use super::common::media::photo;
use super::common::process::Said;
use super::ready;

const LS: [&str; 2] = ["image", "ls"];
const ALL: &str = "demo";

fn asked(rig: &Rig) -> usize {
    rig.calls_after(0, "access_token").len()
}

fn live(rig: &Rig) -> usize {
    rig.sim.pan123().live_tokens(ALL)
}

/// So many tokens of the same application that others have.
fn others_have(rig: &Rig, count: usize) {
    for number in 0..count {
        rig.sim.pan123().add_token(ALL, &format!("token-of-another-box-{number}"), None).unwrap();
    }
}

fn import(rig: &Rig, text: &str) -> Said {
    let file = rig.path("typed");
    fs::File::create(&file).unwrap().write_all(text.as_bytes()).unwrap();
    let mut command = rig.command(&["account", "import", "home"]);
    command.stdin(Stdio::from(fs::File::open(&file).unwrap()));
    // There are watchmen who look for secrets in files.
    fs::remove_file(file).unwrap();
    rig.heard(&mut command)
}

fn brought(token: &str) -> String {
    format!("{{\"access_token\": \"{token}\"}}")
}

#[test]
fn when_too_many_are_alive_it_says_what_helps_asks_once_and_takes_one_that_is_brought() {
    let rig = ready(|_| ());
    others_have(&rig, 3);
    for _ in 0..3 {
        let words = ["too many logins", "no call ends one", "xpand account import home", "at the earliest"];
        rig.run(&LS).failed(1, &words);
    }
    assert_eq!(asked(&rig), 1, "once an hour");
    let list = rig.run(&["account", "list"]).done();
    assert!(list.contains("blocked") && !list.contains("account login"), "{list}");
    // A person who asks has it asked at once, and gets the same answer.
    rig.run(&["account", "login", "home"]).failed(1, &["too many logins", "(code 401)"]);
    assert_eq!(import(&rig, &brought("token-of-another-box-1")).code, Some(0));
    rig.run(&LS).done();
    assert_eq!((asked(&rig), live(&rig)), (2, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_waits_while_too_many_are_alive_and_goes_on_with_one_that_is_brought() {
    let rig = ready(|_| ());
    others_have(&rig, 3);
    rig.put("a.jpg", &photo(1, 900));
    let agent = rig.spawn();
    let status = rig
        .until("blocked", |status| {
            status.accounts.first().is_some_and(|account| account.state == AccountState::Blocked)
        })
        .await;
    let reason = status.accounts[0].reason.clone().unwrap();
    assert!(reason.contains("no call ends one") && reason.contains("tried again at"), "{status:#?}");
    assert_ne!(status.state, State::NeedsLogin);
    rig.client.retry(None).await.unwrap();
    assert_eq!(import(&rig, &brought("token-of-another-box-1")).code, Some(0));
    rig.wait_arrived().await;
    assert_eq!(asked(&rig), 1);
    assert!(agent.terminate().await.0.success());
}

#[test]
fn a_token_that_every_call_refuses_is_replaced_once_kept_and_used_when_the_cloud_takes_it_again() {
    let rig = ready(|_| ());
    rig.sim.fault(Fault::always("oss/file", FaultKind::Code(401))).unwrap();
    rig.run(&LS).failed(4, &["the access token is not valid (code 401)", "xpand account login home"]);
    for _ in 0..3 {
        rig.run(&LS).failed(4, &["as it did the one before", "xpand account login home"]);
    }
    assert_eq!((asked(&rig), live(&rig)), (2, 2));
    // A person may.
    rig.run(&["account", "login", "home"]).failed(4, &["access token is not valid"]);
    assert_eq!((asked(&rig), live(&rig)), (3, 3));
    rig.sim.clear_faults();
    rig.run(&LS).done();
    rig.run(&["account", "login", "home"]).done();
    assert_eq!(asked(&rig), 3, "one that is good is kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_and_commands_that_all_need_a_token_ask_for_one() {
    let rig = ready(|_| ());
    // Long enough for all of them to stand in line.
    rig.sim.fault(Fault::times("access_token", FaultKind::Late(Duration::from_millis(700)), 9)).unwrap();
    rig.put("a.jpg", &photo(1, 900));
    let agent = rig.spawn();
    for asks in 1..=2 {
        let commands: Vec<_> = (0..4)
            .map(|_| rig.command(&LS).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
            .collect();
        for command in commands {
            let output = command.wait_with_output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
        rig.wait_arrived().await;
        assert_eq!((asked(&rig), live(&rig)), (asks, 1));
        rig.sim.pan123().expire(None).unwrap();
        rig.put("b.jpg", &photo(2, 900));
    }
    assert!(agent.terminate().await.0.success());
}

#[test]
fn commands_that_all_ask_for_a_token_and_get_none_do_so_a_second_apart() {
    let rig = ready(|_| ());
    rig.sim.fault(Fault::always("access_token", FaultKind::Code(5000))).unwrap();
    let commands: Vec<_> = (0..3)
        .map(|_| rig.command(&LS).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
        .collect();
    for mut command in commands {
        assert_eq!(command.wait().unwrap().code(), Some(1));
    }
    let times: Vec<u64> = rig.calls_after(0, "access_token").iter().map(|call| call.time_ms).collect();
    // More than two seconds; the first may have been held up between its place and the cloud.
    assert!(times.len() == 3 && times[2] - times[0] >= 1000, "{times:?}");
}

#[test]
fn lost_answers_do_not_use_up_the_last_place_and_no_network_uses_up_nothing() {
    let rig = ready(|_| ());
    rig.sim.stop();
    for _ in 0..4 {
        let said = rig.run(&LS).failed(1, &["access_token: no connection: Connection refused", "network"]);
        assert!(!said.err.contains("/:") && !said.err.contains("error sending"), "{said:?}");
    }
    rig.sim.restart().unwrap();
    rig.sim.fault(Fault::always("access_token", FaultKind::DropAfter)).unwrap();
    for _ in 0..2 {
        rig.run(&LS).failed(1, &["access_token: "]);
    }
    for _ in 0..3 {
        rig.run(&LS).failed(
            1,
            &["no answer came to the last login", " min at the earliest", "xpand account login home"],
        );
    }
    assert_eq!((asked(&rig), live(&rig)), (2, 2));
    rig.sim.clear_faults();
    rig.run(&["account", "login", "home"]).done();
    rig.run(&LS).done();
    assert_eq!((asked(&rig), live(&rig)), (3, 3));
}

#[test]
fn what_is_no_good_token_does_not_take_the_place_of_one() {
    let rig = ready(|_| ());
    rig.run(&LS).done();
    let file = rig.state_dir().join("accounts/home.json");
    let good = fs::read_to_string(&file).unwrap();
    for (text, code, words) in [
        ("", 2, "it ends too early"),
        ("<html>", 2, "it is no JSON"),
        ("{\"access_token\": \"\"}", 2, "is empty"),
        (&*brought("made-up-token-77"), 1, "the cloud refuses the token that was brought"),
        ("{\"access_token\": \"made-up-token-77\", \"refresh_token\": \"r\"}", 1, "stay as they were"),
        (&*good.replace("\"demo\"", "\"another\""), 2, "got with another client_id"),
    ] {
        import(&rig, text).failed(code, &[words]);
        assert_eq!(fs::read_to_string(&file).unwrap(), good, "{text}");
    }
    rig.sim.stop();
    import(&rig, &brought("made-up-token-77")).failed(1, &["no connection", "stay as they were"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), good);
    rig.sim.restart().unwrap();
    rig.run(&LS).done();
    assert_eq!(asked(&rig), 1);
    // Where there is nothing to lose it is taken, and it is said that nobody could be asked.
    rig.run(&["account", "logout", "home"]).done();
    rig.sim.stop();
    let said = import(&rig, &good);
    assert!(said.code == Some(0) && said.err.contains("could not be asked: "), "{said:?}");
    rig.sim.restart().unwrap();
    rig.run(&LS).done();
    assert_eq!(asked(&rig), 1);
}

#[test]
fn a_logout_says_that_the_token_lives_on_and_a_copied_state_folder_goes_on_with_it() {
    let rig = ready(|_| ());
    rig.run(&LS).done();
    let file = rig.state_dir().join("accounts/home.json");
    let (copy, kept) = (fs::read_to_string(&file).unwrap(), rig.path("copy"));
    // With its mode.
    fs::copy(&file, &kept).unwrap();
    let ends = serde_json::from_str::<serde_json::Value>(&copy).unwrap()["expires_at"].clone();
    let said = rig.run(&["account", "logout", "home"]);
    let words =
        [ends.as_str().unwrap(), "no call ends its token", "logs in again by itself, with another token,"];
    assert!(words.iter().all(|words| said.err.contains(words)), "{said:?}");
    assert_eq!(live(&rig), 1);
    let said = rig.run(&["account", "logout", "home"]);
    assert!(said.err.contains("was not logged in; it logs in again by itself as long as"), "{said:?}");
    assert_eq!(import(&rig, &copy).code, Some(0));
    rig.run(&LS).done();
    fs::remove_dir_all(rig.state_dir()).unwrap();
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::rename(&kept, &file).unwrap();
    rig.run(&LS).done();
    assert_eq!((asked(&rig), live(&rig)), (1, 1));
}
