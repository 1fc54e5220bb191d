//! What a configuration file may say, and the sentence for every mistake in it.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use xpand::config::{Agent, Config, ConfigError, Hours, Provider, Upload};
use xpand::content::Media;

const EXAMPLE: &str = include_str!("../packaging/config.example.toml");

/// An account and a folder: what every other line is added to.
const BASE: &str = "[account.home]\nclient_id = \"id\"\nclient_secret = \"hush\"\n\n[[folder]]\npath = \"/volume1/photo\"\naccount = \"home\"\n";

struct File {
    folder: tempfile::TempDir,
}

impl File {
    fn with(text: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("c.toml"), text).unwrap();
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("c.toml")
    }

    fn read(&self) -> Result<Config, ConfigError> {
        Config::read(self.path())
    }

    /// The mistakes, the folder's own path left out.
    fn mistakes(&self) -> String {
        let all = self.read().unwrap_err().to_string();
        all.replace(&format!("{}/", self.folder.path().display()), "")
    }
}

fn mistakes(text: &str) -> String {
    File::with(text).mistakes()
}

fn read(text: &str) -> Config {
    File::with(text).read().unwrap()
}

/// The example with the lines behind `#:` taken in.
fn whole_example() -> String {
    EXAMPLE.replace("#: ", "")
}

#[test]
fn the_example_says_the_defaults() {
    let example = read(EXAMPLE);
    let short = read(
        "[account.home]\nclient_id = \"AppKey\"\nclient_secret = \"SecretKey\"\n[[folder]]\npath = \"/volume1/photo\"\naccount = \"home\"\n",
    );
    assert_eq!(example.device, short.device);
    assert_eq!(example.accounts, short.accounts);
    assert_eq!(example.folders, short.folders);
    assert_eq!(example.upload, short.upload);
    assert_eq!(example.agent, short.agent);
    assert_eq!(example.upload, Upload::default());
    assert_eq!(example.agent, Agent::default());
    assert_eq!(example.accounts[0].provider, Provider::Baidu);
    assert_eq!(example.folders[0].media, [Media::Photo, Media::Video]);
    assert_eq!(example.agent.settle, Duration::from_secs(10));
}

#[test]
fn every_setting_of_the_example_can_be_written() {
    let config = read(&whole_example());
    let device = config.device.clone().unwrap();
    assert_eq!(device.name, "Living room NAS");
    assert_eq!(device.serial.as_deref(), Some("SN0001"));
    assert_eq!(config.device_name(), "Living room NAS");
    let account = config.account("home").unwrap();
    assert_eq!(account.endpoint.as_ref().unwrap().as_str(), "https://host/");
    assert_eq!(account.share_type, Some(2001));
    assert_eq!(account.client_secret.secret(), "SecretKey");
    assert_eq!(config.upload.rate, Some(2 << 20));
}

#[test]
fn what_check_prints_can_be_read_back_and_has_no_secret() {
    let text = format!(
        "{}\n[[folder]]\npath = \"/b\"\naccount = \"home\"\nexclude = [\"*.\\\"x\"]\nmedia = [\"other\"]\n",
        whole_example()
            .replace("hours = []", "hours = [\"22:00-06:30\"]")
            .replace("SecretKey", "very secret")
            .replace("clientSecret", "very secret")
            .replace("\"…\"", "\"very secret\"")
    );
    let config = read(&text);
    assert_eq!(config.upload.hours, [Hours { from: 1320, to: 390 }]);
    let shown = config.show();
    assert!(!shown.contains("very secret"), "{shown}");
    assert!(!format!("{config:?}").contains("very secret"));
    let again = read(
        &shown
            .replace("# client_secret is set and not shown", "client_secret = \"very secret\"")
            .replace("# share_secret is set and not shown", "share_secret = \"very secret\""),
    );
    assert_eq!(again.accounts, config.accounts);
    assert_eq!(again.folders, config.folders);
    assert_eq!(again.upload, config.upload);
    assert_eq!(again.agent, config.agent);
    assert_eq!(again.device, config.device);
}

#[test]
fn a_setting_that_only_another_cloud_has_is_a_mistake() {
    let account = "[account.pictures]\nprovider = \"pan123\"\nclient_id = \"i\"\nclient_secret = \"s\"\n";
    let config = read(account);
    assert_eq!(config.accounts[0].provider, Provider::Pan123);
    assert!(!config.show().contains("app = "), "{}", config.show());
    assert_eq!(
        mistakes(&format!("{account}app = \"xpand\"\nshare_type = 1\nshare_secret = \"s\"\n")),
        "c.toml:5:7: account.pictures.app: it has no meaning with provider = \"pan123\"; leave it out\n\
         c.toml:6:14: account.pictures.share_type: it has no meaning with provider = \"pan123\"; leave it out\n\
         c.toml:7:16: account.pictures.share_secret: it has no meaning with provider = \"pan123\"; leave it out"
    );
}

#[test]
fn the_id_and_the_secret_are_called_what_their_cloud_calls_them() {
    let told = mistakes("[account.pics]\nprovider = \"pan123\"\n[account.home]\n");
    for words in [
        "account.pics.client_id is missing; write client_id = \"clientID\"",
        "account.pics.client_secret is missing; write client_secret = \"clientSecret\" or client_secret_file",
        "account.home.client_id is missing; write client_id = \"AppKey\"",
        "account.home.client_secret is missing; write client_secret = \"SecretKey\" or client_secret_file",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
}

#[test]
fn an_empty_file_is_a_configuration_with_nothing_to_do() {
    let config = read("");
    assert!(config.accounts.is_empty() && config.folders.is_empty() && config.device.is_none());
    assert!(!config.device_name().is_empty());
}

#[test]
fn accounts_and_folders_keep_the_order_of_the_file() {
    let account = |name: &str| format!("[account.{name}]\nclient_id = \"i\"\nclient_secret = \"s\"\n");
    let config = read(&[account("zoe"), account("adam"), account("mia")].concat());
    let names: Vec<_> = config.accounts.iter().map(|account| &account.name).collect();
    assert_eq!(names, ["zoe", "adam", "mia"]);
}

#[test]
fn unknown_settings_are_refused_with_a_guess() {
    let text = format!(
        "{BASE}lable = \"x\"\n\n[agent]\nsetle = \"5s\"\nrate = \"1B/s\"\ncolour = 1\n\n[uploads]\n[nonsense]\n"
    );
    assert_eq!(
        mistakes(&text),
        "c.toml:8:1: folder.lable is not a setting; did you mean label?\n\
         c.toml:11:1: agent.setle is not a setting; did you mean settle?\n\
         c.toml:12:1: agent.rate is not a setting here; write it below [upload]\n\
         c.toml:13:1: agent.colour is not a setting; [agent] knows state_dir, socket, settle, rescan, check_bind, log\n\
         c.toml:15:2: uploads is not a setting; did you mean upload?\n\
         c.toml:16:2: nonsense is not a setting; there are [device], [account.NAME], [[folder]], [upload] and [agent]"
    );
}

#[test]
fn all_mistakes_are_told_at_once_and_each_says_what_to_write() {
    let text = "\
[device]
name = \"a/b\"

[account.home]
provider = \"baidoo\"
client_id = 7
app = \"a/b\"
endpoint = \"http://nas.local\"
share_type = 2001

[account.second]
provider = \"pan123\"
client_id = \"x\"
client_secret = \"x\"
client_secret_file = \"y\"

[[folder]]
path = \"photo\"
account = \"home\"
media = [\"photo\", \"vidoe\", 3]
remote = \"{label}\"
exclude = [\"[a\"]
default_excludes = \"yes\"
min_size = \"5\"

[[folder]]
path = \"/\"
account = \"hom\"
media = []
min_size = \"2GiB\"
max_size = \"1GiB\"

[upload]
parallel = 33
rate = \"2MiB\"
hours = [\"1-6\"]
on_conflict = \"keep_both\"

[agent]
state_dir = \"\"
settle = \"10\"
rescan = \"0s\"
log = \"inof\"
";
    let expected = r#"c.toml:1:1: device.type is missing; write type = "…" as the cloud's vendor gave it out, or leave [device] out: backup works without it
c.toml:2:8: device.name: it cannot contain /; write name = "Living room NAS"
c.toml:4:1: account.home.client_secret is missing; write client_secret = "SecretKey" or client_secret_file = "PATH"
c.toml:4:1: account.home.share_secret is missing; write share_secret = "…" or share_secret_file = "PATH", or leave share_type out
c.toml:5:12: account.home.provider: "baidoo" is not known here, only "baidu", "pan123"; write provider = "baidu"
c.toml:6:13: account.home.client_id: a text in quotes is needed, not a number; write client_id = "AppKey"
c.toml:7:7: account.home.app: it cannot contain /; write app = "xpand"
c.toml:8:12: account.home.endpoint: plain http would send tokens in the clear; it is for 127.0.0.1 only; write endpoint = "https://HOST"
c.toml:15:22: account.second.client_secret_file: client_secret is there too; leave one of the two out
c.toml:18:8: folder.path: "photo" is not an absolute path; write path = "/volume1/photo"
c.toml:20:19: folder.media: "vidoe" is not known here (did you mean "video"?); write media = ["photo", "video"]
c.toml:20:28: folder.media: a text in quotes is needed, not a number; write media = ["photo", "video"]
c.toml:21:10: folder.remote: {path} has to be there exactly once; write remote = "{device}/{label}/{path}"
c.toml:22:12: folder.exclude: "[a" is not a pattern: unclosed character class at byte 0; missing ']' (to match a literal '[', escape it as '\[' or '[[]'); write exclude = ["*.tmp"]
c.toml:23:20: folder.default_excludes: true or false is needed, not a text; write default_excludes = true
c.toml:24:12: folder.min_size: "5" has no unit (B, KiB, MiB, GiB, TiB); write min_size = "1B"
c.toml:27:8: folder.path: its last part cannot serve as a label; write label = "photo"
c.toml:28:11: folder.account: there is no account "hom"; write account = "home"
c.toml:29:9: folder.media: nothing would be backed up; write media = ["photo", "video"]
c.toml:30:12: folder.min_size: min_size 2GiB is more than max_size 1GiB; write a smaller min_size or a larger max_size
c.toml:34:12: upload.parallel: 33 is not between 1 and 32; write parallel = 4
c.toml:35:8: upload.rate: "2MiB" is not a size a second; write rate = "2MiB/s"
c.toml:36:10: upload.hours: "1-6" is not a span of the day; write hours = ["01:00-06:00"]
c.toml:37:15: upload.on_conflict: "keep_both" is not known here (did you mean "keep-both"?); write on_conflict = "keep-both"
c.toml:40:13: agent.state_dir: it is empty; write state_dir = "/var/lib/xpand"
c.toml:41:10: agent.settle: "10" has no unit (ms, s, m, h, d); write settle = "10s"
c.toml:42:10: agent.rescan: "0s" is not between 1s and 30d; write rescan = "1h"
c.toml:43:7: agent.log: "inof" is not known here (did you mean "info"?); write log = "info""#;
    assert_eq!(mistakes(text), expected);
}

#[test]
fn lines_that_are_not_toml_are_told_and_what_they_may_have_said_is_not_missed() {
    assert_eq!(
        mistakes(
            "[account.home]\nclient_id = AppKey\nclient_secret = \"s\"\n\n[[folder]]\npath = /volume1\naccount = \"other\"\nlabel = \"a/b\"\n[agent\nlog = \"info\"\nlog = \"warn\"\n"
        ),
        "c.toml:2:13: a text has to stand in quotes; write client_id = \"AppKey\"\n\
         c.toml:6:8: a text has to stand in quotes; write path = \"/volume1\"\n\
         c.toml:8:9: folder.label: it cannot contain /; write label = \"photo\"\n\
         c.toml:9:7: this is not TOML: unclosed table, expected `]`"
    );
}

#[test]
fn tables_of_the_wrong_kind_say_which_kind() {
    for (text, told) in [
        (
            "[folder]\npath = \"/a\"\n",
            "c.toml:1:1: folder: a list of tables is needed, not a table; write [[folder]]",
        ),
        (
            "[account]\nclient_id = \"x\"\n",
            "c.toml:2:13: account.client_id: this stands directly below [account]; give the account a name and write [account.home]",
        ),
        ("agent = 1\n", "c.toml:1:9: agent: a table is needed, not a number; write [agent]"),
        (
            "account = \"home\"\nfolder = [\"/a\"]\n",
            "c.toml:1:11: account: a table is needed, not a text; write [account.home]\n\
             c.toml:2:11: folder: a table is needed, not a text; write [[folder]]",
        ),
        (
            "[account.\"a/b\"]\nclient_id = \"i\"\nclient_secret = \"s\"\n",
            "c.toml:1:1: account.a/b: an account's name is made of at most 64 letters, digits, - _ and . (not first); write [account.home]",
        ),
    ] {
        assert_eq!(mistakes(text), told);
    }
}

#[test]
fn a_file_that_is_not_text_is_said_so_with_the_place() {
    assert_eq!(
        File::with(b"[agent]\nlog = \"\xff\"\n").mistakes(),
        "c.toml:2:8: this is not UTF-8 text; save the file as UTF-8"
    );
}

#[test]
fn folders_that_are_the_same_or_have_one_label_are_refused() {
    let second = |lines: &str| mistakes(&format!("{BASE}\n[[folder]]\naccount = \"home\"\n{lines}"));
    assert_eq!(
        second("path = \"/volume1//photo/\"\nlabel = \"x\"\n"),
        "c.toml:11:8: folder.path: the folder in line 5 is the same, /volume1/photo, for the same account; leave one of the two out"
    );
    assert_eq!(
        second("path = \"/usb/photo\"\n"),
        "c.toml:11:8: folder.path: the folder in line 5 has the label \"photo\" too; write label = \"…\" with another name"
    );
    assert_eq!(
        second("path = \"/usb\"\nlabel = \"photo\"\n"),
        "c.toml:12:9: folder.label: the folder in line 5 has the label \"photo\" too; write label = \"…\" with another name"
    );
}

#[test]
fn folders_that_could_meet_in_the_cloud_are_refused() {
    let second = |lines: &str| format!("{BASE}\n[[folder]]\naccount = \"home\"\npath = \"/usb\"\n{lines}");
    assert_eq!(
        mistakes(&second("remote = \"{path}\"\n")),
        "c.toml:12:10: folder.remote: files of /usb and of /volume1/photo (line 5) could get the same name in the cloud; \
         write remote = \"{label}/…\" in both, or begin them with different words"
    );
    let device = "[device]\ntype = \"1\"\nname = \"nas\"\n";
    assert_eq!(
        mistakes(&format!("{}{device}", second("remote = \"nas/{year}/{path}\"\n"))),
        "c.toml:12:10: folder.remote: files of /usb and of /volume1/photo (line 5) could get the same name in the cloud; \
         write remote = \"{label}/…\" in both, or begin them with different words"
    );
    read(&format!("{}{device}", second("remote = \"nas2/{year}/{path}\"\n")));
    // Another account is another drive.
    read(&format!(
        "{}[account.away]\nclient_id = \"i\"\nclient_secret = \"s\"\n",
        second("remote = \"{device}/photo/{path}\"\n")
            .replace("account = \"home\"\npath = \"/usb\"", "account = \"away\"\npath = \"/usb\"")
    ));
}

#[test]
fn a_folder_that_is_not_there_is_no_mistake_of_the_file() {
    assert!(!read(BASE).folders[0].path.exists());
}

#[test]
fn a_secret_may_lie_in_a_file_of_its_own() {
    let account = |name: &str| {
        File::with(format!("[account.home]\nclient_id = \"i\"\nclient_secret_file = \"{name}\"\n"))
    };
    let file = account("secret");
    let told = |file: &File| file.mistakes();
    let write = "write client_secret_file = \"PATH\" of a file with the secret alone";
    assert_eq!(
        told(&file),
        format!("c.toml:3:22: account.home.client_secret_file: secret does not exist; {write}")
    );
    for (content, wrong) in [
        ("\n", "is empty"),
        ("a\nb\n", "has more than one line"),
        (&*"x".repeat(5000), "is too large to be a secret"),
    ] {
        fs::write(file.folder.path().join("secret"), content).unwrap();
        assert_eq!(
            told(&file),
            format!("c.toml:3:22: account.home.client_secret_file: secret {wrong}; {write}")
        );
    }
    for content in ["hush\r\n", "\u{feff}hush \n\n"] {
        fs::write(file.folder.path().join("secret"), content).unwrap();
        assert_eq!(file.read().unwrap().accounts[0].client_secret.secret(), "hush");
    }
}

#[test]
fn the_longest_socket_path_is_107_bytes() {
    let agent = |length: usize| format!("[agent]\nsocket = \"/{}\"\n", "x".repeat(length - 1));
    assert_eq!(read(&agent(107)).agent.socket.as_os_str().len(), 107);
    assert_eq!(
        mistakes(&agent(108)),
        "c.toml:2:10: agent.socket: the path of a socket can have 107 bytes, this one has 108; \
         write socket = \"/run/xpand/xpand.sock\""
    );
}

#[test]
fn the_socket_is_found_even_in_a_file_with_mistakes() {
    let file = File::with("[upload]\nrate = 2MiB\n[agent]\nsocket = \"/run/mine.sock\"\nsetle = 1\n");
    assert_eq!(Config::socket_in(file.path()), PathBuf::from("/run/mine.sock"));
    assert_eq!(Config::socket_in("/none"), Agent::default().socket);
}
