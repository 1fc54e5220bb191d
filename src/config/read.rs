//! From the text of the file to a [`Config`]: every table, every setting, every default.

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::section::{Section, describe, flag, nearest, number, text};
use super::source::{ConfigError, Mistakes};
use super::{Account, Agent, Config, Device, Folder, Provider, Secret, Upload};
use super::{checks, units, values};
use crate::content::{Media, OnConflict};
use crate::remote::template::{self, Template};

/// What the surroundings add to the text.
pub(super) struct Place {
    /// The file, for messages and for paths relative to it.
    pub(super) file: PathBuf,
    /// `$CREDENTIALS_DIRECTORY`: where systemd puts secrets.
    pub(super) credentials: Option<PathBuf>,
    /// The host name.
    pub(super) host: String,
}

/// Reads and checks the whole text.
pub(super) fn config(source: &str, place: &Place) -> Result<Config, ConfigError> {
    let (root, syntax) = DeTable::parse_recoverable(source);
    let mistakes = Mistakes::new(source, &syntax);
    let reader = Reader { mistakes: &mistakes, place };
    let config = reader.root(&root);
    mistakes.into_result(&place.file)?;
    Ok(config)
}

/// Only `agent.socket`, as far as it can be made out, for commands that do not need the rest.
pub(super) fn socket(source: &str) -> Option<PathBuf> {
    let (root, _) = DeTable::parse_recoverable(source);
    let agent = root.get_ref().get("agent")?.get_ref().as_table()?;
    let socket = agent.get("socket")?.get_ref().as_str()?;
    values::socket(socket).ok()
}

struct Reader<'t> {
    mistakes: &'t Mistakes<'t>,
    place: &'t Place,
}

/// A folder and where it stands in the file.
pub(super) struct FoundFolder<'t> {
    pub(super) folder: Folder,
    pub(super) section: Section<'t>,
}

impl<'t> Reader<'t> {
    fn root(&self, root: &'t Spanned<DeTable<'t>>) -> Config {
        let table = root.get_ref();
        let top = Section::new("", "", root.span(), table, self.mistakes);
        let device = self.table(&top, table, "device", "[device]").and_then(|section| self.device(&section));
        let accounts = self.accounts(table);
        let known = self.account_names(table);
        let folders = self.folders(table, &known);
        let upload = match self.table(&top, table, "upload", "[upload]") {
            Some(section) => upload(&section),
            None => Upload::default(),
        };
        let agent = match self.table(&top, table, "agent", "[agent]") {
            Some(section) => agent(&section),
            None => Agent::default(),
        };
        let host = device.as_ref().map_or(&self.place.host, |device| &device.name);
        checks::folders(&folders, host, self.mistakes);
        Config {
            file: self.place.file.clone(),
            device,
            accounts,
            folders: folders.into_iter().map(|found| found.folder).collect(),
            upload,
            agent,
        }
    }

    /// The table `key` of the root, when there is one; a mistake when it is something else.
    fn table(
        &self,
        top: &Section<'t>,
        root: &'t DeTable<'t>,
        key: &'static str,
        header: &'static str,
    ) -> Option<Section<'t>> {
        let value = root.get(key)?;
        let Some(table) = value.get_ref().as_table() else {
            let found = describe(value.get_ref());
            top.note(key, format!("a table is needed, not {found}; write {header}"));
            return None;
        };
        Some(Section::new(header, key, value.span(), table, self.mistakes))
    }

    /// A value of the wrong kind: what is needed instead of it, and how that is written.
    fn note_kind(&self, value: &Spanned<DeValue<'_>>, needed: &str, header: &str) {
        let found = describe(value.get_ref());
        self.mistakes.note(value.span().start, format!("{needed} is needed, not {found}; write {header}"));
    }

    fn device(&self, section: &Section<'t>) -> Option<Device> {
        let kind = section.text("type", "\"2020073115900228875\"", |text| Ok(text.to_owned()));
        if !section.has("type") {
            section.note_missing(
                "type",
                "type = \"…\" as the cloud's vendor gave it out, or leave [device] out: backup works without it",
            );
        }
        let name =
            section.text("name", "\"Living room NAS\"", |text| values::name(text).map(|()| text.to_owned()));
        let serial = section.text("serial", "\"SN0001\"", |text| Ok(text.to_owned()));
        Some(Device { kind: kind?, name: name.unwrap_or_else(|| self.place.host.clone()), serial })
    }

    fn account_tables(&self, root: &'t DeTable<'t>) -> Vec<(&'t str, &'t Spanned<DeValue<'t>>)> {
        let Some(value) = root.get("account") else {
            return Vec::new();
        };
        let Some(table) = value.get_ref().as_table() else {
            self.note_kind(value, "account: a table", "[account.home]");
            return Vec::new();
        };
        let mut all: Vec<_> = table.iter().collect();
        all.sort_by_key(|(key, _)| key.span().start);
        all.into_iter().map(|(key, value)| (key.get_ref().as_ref(), value)).collect()
    }

    /// All accounts that are written down, whether or not they are right.
    fn account_names(&self, root: &'t DeTable<'t>) -> Vec<&'t str> {
        let value = root.get("account").map(Spanned::get_ref);
        value
            .and_then(DeValue::as_table)
            .map_or_else(Vec::new, |table| table.keys().map(|key| key.get_ref().as_ref()).collect())
    }

    fn accounts(&self, root: &'t DeTable<'t>) -> Vec<Account> {
        let mut all = Vec::new();
        for (name, value) in self.account_tables(root) {
            let at = value.span().start;
            let Some(table) = value.get_ref().as_table() else {
                self.mistakes.note(
                    at,
                    format!(
                        "account.{name}: this stands directly below [account]; give the account a name and write [account.home]"
                    ),
                );
                continue;
            };
            if let Err(wrong) = values::account_name(name) {
                self.mistakes.note(at, format!("account.{name}: {wrong}"));
            }
            let section =
                Section::new("[account.NAME]", format!("account.{name}"), value.span(), table, self.mistakes);
            all.extend(self.account(name, &section));
        }
        all
    }

    fn account(&self, name: &str, section: &Section<'t>) -> Option<Account> {
        let provider = section.text("provider", "\"baidu\"", values::provider);
        let provider = provider.unwrap_or(Provider::DEFAULT);
        section.refuse(|key| !provider.has(key), provider.as_str());
        let (id, secret) = provider.application();
        let client_id = section.text("client_id", &format!("{id:?}"), |text| Ok(text.to_owned()));
        if !section.has("client_id") {
            section.note_missing("client_id", &format!("client_id = {id:?}"));
        }
        let keys = ("client_secret", "client_secret_file");
        let client_secret = self.secret(section, keys, &format!("{secret:?}"));
        if !section.has("client_secret") && !section.has("client_secret_file") {
            let instead = format!("client_secret = {secret:?} or client_secret_file = \"PATH\"");
            section.note_missing("client_secret", &instead);
        }
        let app = section.text("app", "\"xpand\"", |text| values::name(text).map(|()| text.to_owned()));
        let endpoint = section.text("endpoint", "\"https://HOST\"", values::endpoint);
        let ca_file = section.text("ca_file", "\"/etc/xpand/ca.pem\"", values::absolute);
        let share_type = section.get("share_type", "2001", |value| number(value, 0..=u64::MAX));
        let share_secret = self.secret(section, ("share_secret", "share_secret_file"), "\"…\"");
        let has_share_secret = section.has("share_secret") || section.has("share_secret_file");
        if section.has("share_type") && !has_share_secret {
            section.note_missing(
                "share_secret",
                "share_secret = \"…\" or share_secret_file = \"PATH\", or leave share_type out",
            );
        }
        if has_share_secret && !section.has("share_type") {
            section.note_missing("share_type", "share_type = 2001, or leave share_secret out");
        }
        Some(Account {
            name: name.to_owned(),
            provider,
            client_id: client_id?,
            client_secret: client_secret?,
            app: app.unwrap_or_else(|| "xpand".to_owned()),
            endpoint,
            ca_file,
            share_type,
            share_secret,
        })
    }

    /// A secret as written, or read from the file that is named instead.
    fn secret(
        &self,
        section: &Section<'t>,
        (key, file_key): (&'static str, &'static str),
        example: &str,
    ) -> Option<Secret> {
        if section.has(key) && section.has(file_key) {
            section.note(file_key, format!("{key} is there too; leave one of the two out"));
            return None;
        }
        if section.has(file_key) {
            return section
                .text(file_key, "\"PATH\" of a file with the secret alone", |path| {
                    values::secret_file(Path::new(path), self.place)
                })
                .map(Secret::new);
        }
        section.text(key, example, |text| Ok(Secret::new(text)))
    }

    fn folders(&self, root: &'t DeTable<'t>, known: &[&str]) -> Vec<FoundFolder<'t>> {
        let Some(value) = root.get("folder") else {
            return Vec::new();
        };
        let Some(items) = value.get_ref().as_array() else {
            self.note_kind(value, "folder: a list of tables", "[[folder]]");
            return Vec::new();
        };
        let mut all = Vec::new();
        for item in items.iter() {
            let Some(table) = item.get_ref().as_table() else {
                self.note_kind(item, "folder: a table", "[[folder]]");
                continue;
            };
            let section = Section::new("[[folder]]", "folder", item.span(), table, self.mistakes);
            if let Some(folder) = folder(&section, known, self.mistakes) {
                all.push(FoundFolder { folder, section });
            }
        }
        all
    }
}

fn folder(section: &Section<'_>, known: &[&str], mistakes: &Mistakes<'_>) -> Option<Folder> {
    let path = section.text("path", "\"/volume1/photo\"", values::absolute);
    if !section.has("path") {
        section.note_missing("path", "path = \"/volume1/photo\"");
    }
    let account = section.text("account", "\"home\"", |text| Ok(text.to_owned()));
    if !section.has("account") {
        section.note_missing("account", "account = \"home\"");
    }
    if let Some(account) = &account {
        check_account(section, account, known, mistakes);
    }
    let media = section.list("media", "[\"photo\", \"video\"]", values::media);
    if media.as_ref().is_some_and(Vec::is_empty) {
        section.note("media", "nothing would be backed up; write media = [\"photo\", \"video\"]");
    }
    let label = if section.has("label") {
        section.text("label", "\"photo\"", |text| values::name(text).map(|()| text.to_owned()))
    } else {
        path.as_ref().and_then(|path| {
            let label = values::label_of(path);
            if label.is_none() {
                section.note("path", "its last part cannot serve as a label; write label = \"photo\"");
            }
            label
        })
    };
    let remote = section.text("remote", &format!("{:?}", template::DEFAULT), |text| {
        text.parse::<Template>().map(|_| text.to_owned()).map_err(|error| error.to_string())
    });
    let exclude = section.list("exclude", "[\"*.tmp\"]", values::glob);
    let default_excludes = section.get("default_excludes", "true", flag);
    let min_size = section.text("min_size", "\"1B\"", units::size);
    let max_size = section.text("max_size", "\"20GiB\"", units::size);
    let (min_size, max_size) = (min_size.unwrap_or(1), max_size.unwrap_or(20 << 30));
    if min_size > max_size {
        let key = if section.has("min_size") { "min_size" } else { "max_size" };
        section.note(
            key,
            format!(
                "min_size {} is more than max_size {}; write a smaller min_size or a larger max_size",
                units::show_size(min_size),
                units::show_size(max_size)
            ),
        );
    }
    Some(Folder {
        path: path?,
        account: account?,
        media: media.unwrap_or_else(|| vec![Media::Photo, Media::Video]),
        label: label?,
        remote: remote.unwrap_or_else(|| template::DEFAULT.to_owned()),
        exclude: exclude.unwrap_or_default(),
        default_excludes: default_excludes.unwrap_or(true),
        min_size,
        max_size,
    })
}

fn upload(section: &Section<'_>) -> Upload {
    let default = Upload::default();
    let parallel = section.get("parallel", "4", |value| number(value, 1..=32));
    Upload {
        parallel: parallel.and_then(|number| usize::try_from(number).ok()).unwrap_or(default.parallel),
        rate: section.text("rate", "\"2MiB/s\"", units::rate),
        yields: section.get("yield", "true", flag).unwrap_or(default.yields),
        hours: section.list("hours", "[\"01:00-06:00\"]", units::hours).unwrap_or_default(),
        on_conflict: section
            .text("on_conflict", "\"keep-both\"", |text| match text {
                "keep-both" => Ok(OnConflict::KeepBoth),
                "overwrite" => Ok(OnConflict::Overwrite),
                "version" => Ok(OnConflict::Version),
                other => Err(values::not_one_of(other, &["keep-both", "overwrite", "version"])),
            })
            .unwrap_or(default.on_conflict),
    }
}

fn agent(section: &Section<'_>) -> Agent {
    let default = Agent::default();
    let span = |key: &'static str, example: &str, least: Duration, most: Duration| {
        section.text(key, example, |text| {
            let found = units::duration(text)?;
            if (least..=most).contains(&found) {
                return Ok(found);
            }
            let (least, most) = (units::show_duration(least), units::show_duration(most));
            Err(format!("{text:?} is not between {least} and {most}"))
        })
    };
    const SECOND: Duration = Duration::from_secs(1);
    const DAY: Duration = Duration::from_secs(86_400);
    Agent {
        state_dir: section
            .text("state_dir", "\"/var/lib/xpand\"", values::absolute)
            .unwrap_or(default.state_dir),
        socket: section.text("socket", "\"/run/xpand/xpand.sock\"", values::socket).unwrap_or(default.socket),
        settle: span("settle", "\"10s\"", Duration::ZERO, DAY).unwrap_or(default.settle),
        rescan: span("rescan", "\"1h\"", SECOND, DAY * 30).unwrap_or(default.rescan),
        check_bind: span("check_bind", "\"1h\"", SECOND, DAY * 30).unwrap_or(default.check_bind),
        log: section
            .get("log", "\"info\"", |value| values::log(text(value)?).map(str::to_owned))
            .unwrap_or(default.log),
    }
}

/// ` (did you mean "x"?)`, or nothing.
pub(super) fn did_you_mean(word: &str, known: &[&str]) -> String {
    nearest(word, known).map_or_else(String::new, |near| format!(" (did you mean {near:?}?)"))
}

/// Notes when a folder's account is not there; a line that is not TOML may have been the account's.
fn check_account(section: &Section<'_>, account: &str, known: &[&str], mistakes: &Mistakes<'_>) {
    if known.contains(&account) || mistakes.has_broken_lines() {
        return;
    }
    let wrong = format!("there is no account {account:?}");
    let mend = match nearest(account, known) {
        Some(near) => format!("write account = {near:?}"),
        None => format!("write [account.{account}] and what belongs to it"),
    };
    section.note("account", format!("{wrong}; {mend}"));
}
