//! `xpand check`: what is in force, every mistake, and what is allowed but probably not meant.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Context, ExitStatus, Failed, Outcome, plain};
use crate::backup::media;
use crate::backup::rights;
use crate::cloud;
use crate::config::{Config, ConfigError, Folder};

/// Prints the configuration; the warnings go to stderr, or into the JSON.
pub(super) fn run(context: &Context) -> Outcome {
    let config = match context.config() {
        Ok(config) => config,
        Err(ConfigError::Mistakes { file, mistakes }) if context.json() => {
            let mistakes: Vec<_> = mistakes
                .iter()
                .map(|mistake| {
                    json!({"line": mistake.line, "column": mistake.column, "message": mistake.message})
                })
                .collect();
            context.print_json(&json!({"ok": false, "file": file, "mistakes": mistakes}))?;
            return Err(Failed::told(ExitStatus::Usage));
        }
        Err(error) => return Err(error.into()),
    };
    let warnings = warnings(&config);
    if context.json() {
        let shown: serde_json::Value = toml::from_str(&config.show()).map_err(|error| Failed::new(&error))?;
        return context
            .print_json(&json!({"ok": true, "file": config.file, "config": shown, "warnings": warnings}));
    }
    context.print_text(&config.show())?;
    for warning in &warnings {
        context.say(&format!("warning: {}", plain(warning)));
    }
    context.say(&format!("{} is good", plain(&config.file.to_string_lossy())));
    Ok(())
}

/// What is no mistake of the file, but probably not meant.
fn warnings(config: &Config) -> Vec<String> {
    let mut all = Vec::new();
    if config.accounts.is_empty() {
        all.push("there is no account: write [account.home] with client_id and client_secret".to_owned());
    } else if config.folders.is_empty() {
        all.push("there is no folder: write [[folder]] with path and account".to_owned());
    }
    all.extend(config.folders.iter().filter_map(not_there));
    for account in &config.accounts {
        let used = |folder: &Folder| folder.account == account.name;
        if !config.folders.is_empty() && !config.folders.iter().any(used) {
            all.push(format!("no folder uses account {}", account.name));
        }
        if let Some(ca_file) = account.ca_file.as_ref().filter(|file| !file.is_file()) {
            let shown = ca_file.display();
            all.push(format!("account.{}.ca_file: {shown} is not there", account.name));
        }
    }
    all.extend(config.folders.iter().filter_map(|folder| never_backed_up(config, folder)));
    for (at, outer) in config.folders.iter().enumerate() {
        for (other, inner) in config.folders.iter().enumerate() {
            let inside = inner.path.starts_with(&outer.path) && inner.path != outer.path;
            if at != other && inside && inner.account == outer.account {
                all.push(format!(
                    "{} lies in {}: its files are backed up twice; exclude it there",
                    inner.path.display(),
                    outer.path.display()
                ));
            }
        }
    }
    all.extend(readable_secrets(config));
    all.extend(cannot_yield(config));
    all
}

/// The way to the cloud is timed by connections of our own, which a proxy does not make.
fn cannot_yield(config: &Config) -> Option<String> {
    let names = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    let proxy = names.into_iter().find(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    proxy.filter(|_| config.upload.yields).map(|name| {
        format!(
            "upload.yield: through a proxy ({name}) nobody sees how busy the line is; uploads may not yield"
        )
    })
}

/// A folder whose media asks for nothing that its account's cloud takes.
fn never_backed_up(config: &Config, folder: &Folder) -> Option<String> {
    let cloud = cloud::of(config.account(&folder.account)?.provider);
    let endings = cloud.takes().endings?;
    let is_asked_for = |ending: &str| {
        let kind = media::by_name(format!("x.{ending}").as_bytes());
        kind.is_none_or(|kind| folder.media.contains(&kind))
    };
    (!endings.iter().any(|ending| is_asked_for(ending))).then(|| {
        let (path, account, only) = (folder.path.display(), &folder.account, cloud.takes().only);
        format!("nothing of {path} can be backed up to {account}: {only}; write media = [\"photo\"]")
    })
}

/// A folder that cannot be looked at just now. It may be a disk that comes later.
fn not_there(folder: &Folder) -> Option<String> {
    let path = folder.path.display();
    match fs::read_dir(&folder.path) {
        Ok(_) => None,
        Err(error) => Some(match error.kind() {
            ErrorKind::NotFound => format!("{path} does not exist now; it is waited for"),
            ErrorKind::NotADirectory => format!("{path} is not a folder"),
            ErrorKind::PermissionDenied => format!(
                "{path} cannot be read by this user; if the agent runs as the user xpand, {}",
                rights::open(&folder.path, "xpand")
            ),
            _ => format!("{path} cannot be read: {error}"),
        }),
    }
}

/// Secrets in files that everybody can read: the configuration itself, or files that it names.
fn readable_secrets(config: &Config) -> Vec<String> {
    // Only a look at the text tells whether the secrets are in this file or in some of their own.
    let text = fs::read_to_string(&config.file).unwrap_or_default();
    let table: toml::Table = text.parse().unwrap_or_default();
    let accounts = table.get("account").and_then(toml::Value::as_table);
    let settings = || accounts.into_iter().flat_map(toml::Table::values).filter_map(toml::Value::as_table);
    let has = |key| settings().any(|account| account.contains_key(key));
    let inside = (has("client_secret") || has("share_secret")).then(|| config.file.clone());
    let named = settings().flat_map(|account| {
        let keys = ["client_secret_file", "share_secret_file"];
        keys.into_iter().filter_map(|key| account.get(key)?.as_str())
    });
    let beside = config.file.parent().unwrap_or(Path::new(""));
    let files = inside.into_iter().chain(named.map(|path| beside.join(path)));
    let is_open =
        |file: &PathBuf| fs::metadata(file).is_ok_and(|meta| meta.permissions().mode() & 0o004 != 0);
    let told = files.filter(is_open).map(|file| {
        let file = file.display();
        format!("every user of this box can read the secrets in {file}: chmod 640 {file}")
    });
    told.collect()
}
