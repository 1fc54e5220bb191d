//! The real binary, as a person or a script calls it: what it says, where, and its exit code.
#![allow(clippy::unwrap_used)]

#[path = "cli/agent.rs"]
mod agent;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use agent::agent_at;
use assert_cmd::Command;
use xpand::status::{State, Status};

/// A folder to be in, and the binary with nothing of our own surroundings.
struct Shell {
    folder: tempfile::TempDir,
}

/// The secrets of all configurations and tokens here, which no command says.
const SECRETS: [&str; 3] = ["hush", "very secret", "very-secret"];

struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Shell {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn with_config(text: &str) -> Self {
        let shell = Self::new();
        fs::write(shell.path("c.toml"), text).unwrap();
        shell
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xpand"));
        command
            .env_clear()
            .env("XPAND_CONFIG", self.path("c.toml"))
            .current_dir(self.folder.path())
            .timeout(Duration::from_secs(60))
            .args(args);
        command
    }

    /// Runs it; the folder's own path is shown as `DIR`.
    fn run(&self, args: &[&str]) -> Said {
        self.said(&mut self.command(args))
    }

    fn said(&self, command: &mut Command) -> Said {
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| {
            let text = std::str::from_utf8(bytes).unwrap();
            text.replace(&self.folder.path().display().to_string(), "DIR")
        };
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        for secret in SECRETS {
            assert!(!out.contains(secret) && !err.contains(secret), "{secret}: {out}{err}");
        }
        Said { code: output.status.code().unwrap(), out, err }
    }
}

const GOOD: &str = "[account.home]\nclient_id = \"i\"\nclient_secret = \"hush hush\"\n";

#[test]
fn without_an_agent_the_exit_code_is_3_and_the_next_command_is_said() {
    let shell = Shell::with_config("[agent]\nsocket = \"/nowhere/x.sock\"\n");
    for args in [
        &["status"][..],
        &["status", "--watch"],
        &["queue"],
        &["explain", "x"],
        &["pause"],
        &["resume"],
        &["scan"],
        &["retry"],
        &["reload"],
    ] {
        let said = shell.run(args);
        assert_eq!((said.code, said.out.as_str()), (3, ""), "{args:?}");
        // Where xpand is installed there is more between the two.
        let words = "xpand: the agent is not running: nobody answers at /nowhere/x.sock\n  start it: ";
        assert!(said.err.starts_with(words) && said.err.ends_with("xpand run\n"), "{args:?}: {}", said.err);
    }
}

#[test]
fn the_socket_is_named_by_option_environment_or_file_in_this_order() {
    let shell = Shell::with_config("[agent]\nsocket = \"/file/x.sock\"\nmistake = 1\n");
    let asked = |command: &mut Command| shell.said(command).err.lines().next().unwrap().to_owned();
    let nobody = |at: &str| format!("xpand: the agent is not running: nobody answers at {at}");
    assert_eq!(asked(&mut shell.command(&["status"])), nobody("/file/x.sock"));
    let mut command = shell.command(&["status"]);
    command.env("XPAND_SOCKET", "/env/x.sock");
    assert_eq!(asked(&mut command), nobody("/env/x.sock"));
    command.args(["--socket", "/option/x.sock"]);
    assert_eq!(asked(&mut command), nobody("/option/x.sock"));
    let mut command = shell.command(&["status", "--config", "/none"]);
    assert_eq!(asked(&mut command), nobody("/run/xpand/xpand.sock"));
}

#[test]
fn mistakes_of_the_configuration_are_told_one_a_line_with_exit_code_2() {
    let shell = Shell::with_config("[agent]\nsetle = \"5s\"\nrescan = 5\n");
    for command in ["check", "run"] {
        let said = shell.run(&[command]);
        assert_eq!((said.code, said.out.as_str()), (2, ""));
        assert_eq!(
            said.err,
            "DIR/c.toml:2:1: agent.setle is not a setting; did you mean settle?\n\
             DIR/c.toml:3:10: agent.rescan: a text in quotes is needed, not a number; write rescan = \"1h\"\n\
             xpand: the configuration has 2 mistakes\n"
        );
    }
    let said = shell.run(&["check", "--json"]);
    assert_eq!((said.code, said.err.as_str()), (2, ""));
    let document: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(document["ok"], false);
    assert_eq!(document["mistakes"][1]["column"], 10);
    // No slip of the pen: it may be a setting of a version that is not installed.
    let said = Shell::with_config("[agent]\nteleport = true\n").run(&["run"]);
    let hint =
        format!("\n  this is xpand {}: a setting of a newer one needs that one\n", env!("CARGO_PKG_VERSION"));
    assert!(said.code == 2 && said.err.ends_with(&hint), "{}", said.err);
}

#[test]
fn a_configuration_that_is_not_there_is_said_so() {
    let said = Shell::new().run(&["check"]);
    assert_eq!(said.code, 2);
    assert_eq!(
        said.err,
        "xpand: DIR/c.toml does not exist; write it, or name another one with --config PATH\n"
    );
}

#[test]
fn check_prints_what_is_in_force_and_warns_of_what_is_probably_not_meant() {
    let shell = Shell::new();
    let (photo, sub) = (shell.path("photo"), shell.path("photo/sub"));
    fs::create_dir_all(&sub).unwrap();
    let config = format!(
        "{GOOD}ca_file = \"/none.pem\"\n[account.spare]\nclient_id = \"i\"\nclient_secret_file = \"s\"\n\
         [[folder]]\npath = {photo:?}\naccount = \"home\"\n[[folder]]\npath = {sub:?}\naccount = \"home\"\n\
         [[folder]]\npath = \"/none/at/all\"\naccount = \"home\"\n"
    );
    fs::write(shell.path("s"), "very secret\n").unwrap();
    fs::write(shell.path("c.toml"), config).unwrap();
    let said = shell.run(&["check"]);
    assert_eq!(
        said.err,
        "warning: /none/at/all does not exist now; it is waited for\n\
         warning: account.home.ca_file: /none.pem is not there\n\
         warning: no folder uses account spare\n\
         warning: DIR/photo/sub lies in DIR/photo: its files are backed up twice; exclude it there\n\
         warning: every user of this box can read the secrets in DIR/c.toml: chmod 640 DIR/c.toml\n\
         warning: every user of this box can read the secrets in DIR/s: chmod 640 DIR/s\n\
         DIR/c.toml is good\n"
    );
    assert_eq!(said.code, 0);
    assert!(said.out.starts_with(
        "[account.home]\nprovider = \"baidu\"\nclient_id = \"i\"\n# client_secret is set and not shown\n"
    ));
    assert!(!said.out.contains("hush") && !said.out.contains("secret\n"), "{}", said.out);
    let said = shell.run(&["check", "--json"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    let document: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(document["config"]["agent"]["settle"], "10s");
    assert_eq!(document["warnings"].as_array().unwrap().len(), 6);
    assert!(!said.out.contains("hush"));
}

#[test]
fn check_says_when_nothing_of_a_folder_could_ever_be_backed_up() {
    let shell = Shell::new();
    let photo = shell.path("photo");
    fs::create_dir_all(&photo).unwrap();
    for (media, provider, is_told) in [
        ("media = [\"video\"]\n", "pan123", true),
        ("", "pan123", false),
        ("media = [\"photo\"]\n", "pan123", false),
        ("media = [\"video\"]\n", "baidu", false),
    ] {
        let config = format!(
            "[account.a]\nprovider = \"{provider}\"\nclient_id = \"i\"\nclient_secret = \"hush\"\n\
             [[folder]]\npath = {photo:?}\naccount = \"a\"\n{media}"
        );
        fs::write(shell.path("c.toml"), config).unwrap();
        let said = shell.run(&["check"]);
        let warning = "warning: nothing of DIR/photo can be backed up to a: 123pan keeps pictures only: png gif jpg \
                       jpeg tif tiff webp svg bmp; write media = [\"photo\"]\n";
        assert_eq!((said.code, said.err.contains(warning)), (0, is_told), "{media}{provider}: {}", said.err);
    }
}

#[test]
fn run_says_what_to_add_to_a_configuration_with_nothing_to_do() {
    let said = Shell::with_config("").run(&["run"]);
    assert_eq!(said.code, 2);
    assert_eq!(
        said.err,
        "xpand: DIR/c.toml has no account\n  \
         write [account.home] with client_id and client_secret, then [[folder]] with path and account\n"
    );
    let said = Shell::with_config(GOOD).run(&["run"]);
    assert_eq!(said.code, 2);
    assert_eq!(
        said.err,
        "xpand: DIR/c.toml has no folder\n  \
         write [[folder]] with path = \"/volume1/photo\" and account = \"home\"\n"
    );
}

#[test]
fn data_goes_to_stdout_and_words_to_stderr() {
    let shell = Shell::new();
    let socket = shell.path("x.sock");
    let _agent = agent_at(&socket);
    let ask = |args: &[&str]| {
        let mut command = shell.command(args);
        let said = shell.said(command.env("XPAND_SOCKET", &socket));
        (said.code, said.out, said.err)
    };
    let out = |text: &str| (0, text.to_owned(), String::new());
    let err = |code, text: &str| (code, String::new(), text.to_owned());
    assert_eq!(ask(&["status"]), out("Paused\n  by\\u{1b}[31m hand\n"));
    assert!(ask(&["status", "--json"]).1.contains("\"by\\u001b[31m hand\""));
    assert_eq!(
        ask(&["queue", "--limit", "3", "--state", "failed"]),
        out("failed     1.0 KiB  /p/0\nfailed     1.0 KiB  /p/1\nfailed     1.0 KiB  /p/2\n")
    );
    assert_eq!(ask(&["queue", "--json"]).1.lines().count(), 6);
    assert_eq!(ask(&["explain", "a.jpg"]), out("DIR/a.jpg: not in any folder of the configuration\n"));
    assert_eq!(ask(&["pause", "--for", "2h"]), err(0, "paused for 2 h\n"));
    assert_eq!(ask(&["pause"]), err(0, "paused; go on with: xpand resume\n"));
    assert_eq!(ask(&["pause", "--quiet"]), err(0, ""));
    assert_eq!(ask(&["retry", "--json"]), out("{}\n"));
    assert_eq!(ask(&["resume"]), err(1, "xpand: it is not paused\n  nothing to do\n"));
    assert_eq!(ask(&["scan", "x"]), err(1, "xpand: scan: DIR/x\n"));
    assert_eq!(
        ask(&["reload"]),
        err(2, "c.toml:1:1: no\nc.toml:2:1: no\nxpand: the agent keeps its old configuration\n")
    );
}

#[test]
fn watching_follows_the_agent_until_it_is_gone() {
    let shell = Shell::new();
    let socket = shell.path("x.sock");
    let agent = agent_at(&socket);
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_xpand"))
        .args(["status", "--watch", "--json", "--socket"])
        .arg(&socket)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut first).unwrap();
    let document: Status = serde_json::from_str(&first).unwrap();
    assert_eq!(document.state, State::Paused);
    drop(agent);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn nobody_reading_is_no_failure() {
    let shell = Shell::new();
    let socket = shell.path("x.sock");
    let _agent = agent_at(&socket);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_xpand"))
        .args(["queue", "--socket"])
        .arg(&socket)
        .stdout(writer)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let shell = Shell::new();
    for args in [
        &["frobnicate"][..],
        &[],
        &["explain"],
        &["pause", "--for", "5"],
        &["queue", "--state", "lost"],
        &["queue", "--limit", "0"],
        &["status", "-v", "-q"],
    ] {
        let said = shell.run(args);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{args:?}");
        assert!(!said.err.is_empty());
    }
    assert!(shell.run(&["pause", "--for", "5"]).err.contains("\"5\" has no unit (ms, s, m, h, d)"));
    let said = shell.run(&["--help"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert_eq!(shell.run(&["--version"]).out, concat!("xpand ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn completions_and_manual_pages_come_out_of_the_same_definitions() {
    let shell = Shell::new();
    for name in ["bash", "zsh", "fish"] {
        assert!(shell.run(&["completions", name]).out.contains("explain"), "{name}");
    }
    fs::create_dir(shell.path("man")).unwrap();
    assert_eq!(shell.run(&["man", "man"]).code, 0);
    let page = fs::read_to_string(shell.path("man/xpand-status.1")).unwrap();
    assert!(page.contains("watch"));
    let said = shell.run(&["man", "nowhere"]);
    assert_eq!((said.code, said.err.as_str()), (1, "xpand: nowhere is not a folder; make it first\n"));
}

/// A shell whose state lies in its folder; `extra` goes to the end of the configuration.
fn with_state(extra: &str) -> Shell {
    let shell = Shell::new();
    let state = shell.path("state");
    let config = format!(
        "[account.home]\nclient_id = \"i\"\nclient_secret = \"hush\"\nendpoint = \"http://127.0.0.1:1\"\n\
         [agent]\nstate_dir = {state:?}\n{extra}"
    );
    fs::write(shell.path("c.toml"), config).unwrap();
    shell
}

#[test]
fn tokens_can_be_brought_along_listed_and_forgotten() {
    let shell = with_state("");
    let run = |args: &[&str], stdin: &str| {
        let said = shell.said(shell.command(args).write_stdin(stdin));
        (said.code, said.out, said.err)
    };
    let told = |code, out: &str, err: &str| (code, out.to_owned(), err.to_owned());
    assert_eq!(
        run(&["account", "list"], ""),
        told(0, "  home  baidu  logged out  next: xpand account login home\n", "")
    );
    let tokens = r#"{"access_token":"at-very-secret","refresh_token":"rt-very-secret","expires_at":"2126-01-01T00:00:00Z"}"#;
    assert_eq!(
        run(&["account", "import", "hom"], tokens),
        told(2, "", "xpand: there is no account \"hom\" in DIR/c.toml\n  there is home\n")
    );
    assert_eq!(run(&["account", "import", "home"], tokens), told(0, "", "the tokens of home are taken\n"));
    let (code, out, err) = run(&["account", "list", "--json"], "");
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(document["accounts"][0]["state"], "ready");
    assert_eq!(document["accounts"][0]["expires_at"], "2126-01-01T00:00:00Z");
    assert!(!out.contains("very-secret"));
    let (code, out, err) = run(&["account", "import", "home"], "{\"access_token\": \"at-very-secret\"");
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.starts_with("xpand: ") && !err.contains("very-secret"), "{err}");
    assert_eq!(run(&["account", "logout", "home"], ""), told(0, "", "home is logged out\n"));
    assert_eq!(run(&["account", "logout", "home"], ""), told(0, "", "home was not logged in\n"));
    assert_eq!(run(&["account", "logout", "hom"], "").0, 2);
}

#[test]
fn who_is_not_logged_in_has_to_act_and_is_told_how() {
    let shell = with_state("[device]\ntype = \"1\"\nserial = \"SN\"\n");
    let said = shell.run(&["device", "bind"]);
    assert_eq!((said.code, said.out.as_str()), (4, ""));
    assert_eq!(said.err, "xpand: token: not logged in; run: xpand account login home\n");
    // Nobody answers at the endpoint.
    let said = shell.run(&["account", "login", "home"]);
    assert_eq!((said.code, said.out.as_str()), (1, ""));
    assert!(said.err.ends_with("\n  is the network up?\n"), "{}", said.err);
}

#[test]
fn what_a_newer_xpand_has_written_is_left_as_it_is_and_what_to_do_is_said() {
    let shell = with_state("[device]\ntype = \"1\"\nserial = \"SN\"\n");
    let newer = "it was written by a newer xpand (format 2, this one knows 1): install that one again, or";
    for (file, args, code, instead) in [
        ("accounts/home.json", &["account", "list"][..], 0, "log in anew"),
        ("accounts/home.json", &["drive", "ls"], 1, "log in anew"),
        ("device.json", &["device", "show"], 1, "move DIR/state/device.json away, and the box is registered"),
        (
            "device.json",
            &["device", "register"],
            1,
            "move DIR/state/device.json away, and the box is registered",
        ),
    ] {
        let path = shell.path("state").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "{\"version\": 2, \"and\": [\"more\"]}").unwrap();
        let said = shell.run(args);
        let words = said.out + &said.err;
        assert_eq!(said.code, code, "{args:?}: {words}");
        assert!(words.contains(&format!("{newer} {instead}")), "{args:?}: {words}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"version\": 2, \"and\": [\"more\"]}");
    }
}

#[test]
fn without_a_device_its_commands_say_so() {
    let shell = with_state("");
    let said = shell.run(&["device", "show"]);
    assert_eq!(
        (said.code, said.out.as_str()),
        (0, "There is no [device] in the configuration; backup works without it\n")
    );
    for command in ["register", "bind", "unbind", "check", "list", "diff"] {
        let said = shell.run(&["device", command]);
        assert_eq!(
            (said.code, said.err.as_str()),
            (
                2,
                "xpand: there is no [device] in the configuration\n  \
                 write [device] with type = \"…\"; backup works without it\n"
            )
        );
    }
}

#[test]
fn with_two_accounts_the_command_has_to_say_which() {
    let shell = with_state(
        "[account.away]\nclient_id = \"i\"\nclient_secret = \"s\"\n[device]\ntype = \"1\"\nname = \"nas\"\nserial = \"SN\"\n",
    );
    let said = shell.run(&["device", "bind"]);
    assert_eq!(
        (said.code, said.err.as_str()),
        (2, "xpand: which account?\n  add --account NAME: home, away\n")
    );
    let said = shell.run(&["device", "show"]);
    assert_eq!(
        (said.code, said.out.as_str()),
        (0, "Not registered yet\n  name  nas\n  type  1\n  home  not bound yet\n  away  not bound yet\n")
    );
}

#[test]
fn a_number_of_the_server_is_explained() {
    let shell = Shell::new();
    let said = shell.run(&["explain", "--code", "-6"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert!(said.out.starts_with("-6"), "{}", said.out);
    let said = shell.run(&["explain", "--code", "31299", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(document["code"], 31299);
}
