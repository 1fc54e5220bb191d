//! What a test wants of its rig, written down as a configuration, and the logins that go with it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use xpand::account::Accounts;
use xpand::clock::Clock;

use super::clouds::Cloud;
use super::{Rig, watchmen};

/// What a test wants of its rig.
pub struct Setup {
    pub sim: cloudsim::Options,
    pub accounts: Vec<Account>,
    pub folders: Vec<Folder>,
    /// More lines of `[upload]`.
    pub upload: String,
    /// More lines of `[agent]`.
    pub agent: String,
    pub parallel: usize,
    pub settle: &'static str,
    pub check_bind: &'static str,
    /// The serial number of `[device]`.
    pub device: Option<&'static str>,
    /// How many times faster the agent's own waits run.
    pub hurry: u32,
    /// A state folder elsewhere.
    pub state: Option<PathBuf>,
    /// The wall clock of the agent.
    pub clock: Clock,
    /// The test copies, moves, renames and deletes in the cloud, as a person at the shell does.
    pub tidies: bool,
    /// The test changes the source folders in the background, also while it waits.
    pub writes_meanwhile: bool,
    /// What nobody may see, besides what the cloud gives out.
    pub secrets: Vec<String>,
}

pub struct Account {
    pub name: &'static str,
    /// Whose drive it is at the local cloud.
    pub user: &'static str,
    pub cloud: Cloud,
    pub logged_in: bool,
}

pub struct Folder {
    pub label: &'static str,
    pub account: &'static str,
    /// More lines of `[[folder]]`.
    pub more: String,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            sim: cloudsim::Options {
                client_secret: watchmen::CLIENT_SECRET.into(),
                ..cloudsim::Options::default()
            },
            accounts: vec![Account { name: "home", user: "demo", cloud: Cloud::Baidu, logged_in: true }],
            folders: vec![Folder { label: "photo", account: "home", more: String::new() }],
            upload: String::new(),
            agent: String::new(),
            parallel: 4,
            settle: "60ms",
            check_bind: "1h",
            device: None,
            hurry: 100,
            state: None,
            clock: Clock::system(),
            tidies: false,
            writes_meanwhile: false,
            secrets: Vec::new(),
        }
    }
}

impl Rig {
    /// Writes the configuration that [`Rig::setup`] describes.
    pub fn write_config(&self) {
        let setup = &self.setup;
        let mut text = String::new();
        if let Some(serial) = setup.device {
            let kind = &setup.sim.device_type;
            let _ = writeln!(text, "[device]\ntype = \"{kind}\"\nname = \"Rig\"\nserial = \"{serial}\"\n");
        }
        for account in &setup.accounts {
            let _ = writeln!(text, "{}", account.cloud.account(account, setup, &self.sim.url()));
        }
        for folder in &setup.folders {
            let (path, Folder { label, account, more }) = (self.root(folder.label), folder);
            let remote = if more.contains("remote") { "" } else { "remote = \"{label}/{path}\"\n" };
            let _ = writeln!(
                text,
                "[[folder]]\npath = {path:?}\naccount = \"{account}\"\nlabel = \"{label}\"\n{remote}{more}\n"
            );
        }
        let (state, socket) = (self.state_dir(), self.path("sock"));
        let Setup { parallel, upload, settle, check_bind, agent, .. } = setup;
        let _ = writeln!(
            text,
            "[upload]\nparallel = {parallel}\n{upload}\n[agent]\nstate_dir = {state:?}\n\
             socket = {socket:?}\nsettle = \"{settle}\"\ncheck_bind = \"{check_bind}\"\n{agent}"
        );
        fs::write(self.config_file(), text).unwrap();
    }

    pub fn accounts(&self) -> Accounts {
        Accounts::new(&self.state_dir(), Clock::system())
    }

    pub(super) fn log_in_all(&self) {
        for account in self.setup.accounts.iter().filter(|account| account.logged_in) {
            self.log_in(account.name);
        }
    }

    /// Makes a pair of tokens valid in the cloud and imports it, as `xpand account import` does. An account of
    /// 123pan logs in by itself: its application is made known there, with the right secret.
    pub fn log_in(&self, name: &str) {
        self.log_in_for(name, Duration::from_hours(24 * 30));
    }

    /// The same, with tokens of that life as far as the cloud is concerned; nobody tells the agent.
    pub fn log_in_for(&self, name: &str, life: Duration) {
        self.log_in_at(&self.accounts(), name, life);
    }

    /// The login has this number, which says when the box calls.
    pub fn log_in_as(&self, name: &str, number: u64) {
        let elsewhere = self.path("elsewhere");
        self.log_in_at(&Accounts::new(&elsewhere, Clock::system()), name, Duration::from_hours(24 * 30));
        let file = |state: &Path| state.join(format!("accounts/{name}.json"));
        let made = file(&elsewhere);
        fs::write(&made, numbered(&fs::read_to_string(&made).unwrap(), number)).unwrap();
        fs::rename(made, file(&self.state_dir())).unwrap();
    }

    fn log_in_at(&self, accounts: &Accounts, name: &str, life: Duration) {
        let account = self.setup.accounts.iter().find(|account| account.name == name).unwrap();
        if account.cloud == Cloud::Pan123 {
            let (id, secret) = account.application(&self.setup);
            return self.sim.pan123().add_client(account.user, &id, &secret).unwrap();
        }
        let number = self.counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // Of this cloud only: what one rig's agent logs is not taken for another's secret.
        let port = self.sim.addr().port();
        let (access, refresh) =
            (format!("access-{name}-{port}-{number}"), format!("refresh-{name}-{port}-{number}"));
        self.sim.add_token(account.user, &access, Some(&refresh), Some(life)).unwrap();
        let json = format!(r#"{{"access_token": "{access}", "refresh_token": "{refresh}"}}"#);
        accounts.import(name, &json).unwrap();
    }

    /// The state folder is lost with all that is in it, and somebody has logged in again.
    pub fn lose_state(&self) {
        fs::remove_dir_all(self.state_dir()).unwrap();
        fs::create_dir(self.state_dir()).unwrap();
        self.log_in_all();
    }
}

/// A login's file with another number.
pub fn numbered(text: &str, number: u64) -> String {
    let (before, after) = text.split_once("\"login\":").expect("a login has a number");
    let after = after.split_once(',').unwrap().1;
    format!("{before}\"login\": {number},{after}")
}
