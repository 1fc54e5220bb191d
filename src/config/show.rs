//! What is in force, written as a configuration; secrets are not shown.

use std::fmt::Write as _;
use std::path::Path;

use super::{Config, units};
use crate::content::{Media, OnConflict};

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn quoted_path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

fn list<T>(items: &[T], show: impl Fn(&T) -> String) -> String {
    let items: Vec<String> = items.iter().map(show).collect();
    format!("[{}]", items.join(", "))
}

fn media(media: Media) -> &'static str {
    match media {
        Media::Photo => "photo",
        Media::Video => "video",
        Media::Other => "other",
    }
}

impl Config {
    /// Everything that is in force, defaults included, as TOML. Secrets become comments.
    #[must_use]
    pub fn show(&self) -> String {
        let mut text = String::new();
        let out = &mut text;
        if let Some(device) = &self.device {
            let _ = writeln!(out, "[device]\ntype = {}", quoted(&device.kind));
            let _ = writeln!(out, "name = {}", quoted(&device.name));
            if let Some(serial) = &device.serial {
                let _ = writeln!(out, "serial = {}", quoted(serial));
            }
            out.push('\n');
        }
        for account in &self.accounts {
            let name = match account.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
                true => account.name.clone(),
                false => quoted(&account.name),
            };
            let _ = writeln!(out, "[account.{name}]");
            let _ = writeln!(out, "provider = {}", quoted(account.provider.as_str()));
            let _ = writeln!(out, "client_id = {}", quoted(&account.client_id));
            let _ = writeln!(out, "# client_secret is set and not shown");
            if account.provider.has("app") {
                let _ = writeln!(out, "app = {}", quoted(&account.app));
            }
            if let Some(endpoint) = &account.endpoint {
                let _ = writeln!(out, "endpoint = {}", quoted(endpoint.as_str()));
            }
            if let Some(ca_file) = &account.ca_file {
                let _ = writeln!(out, "ca_file = {}", quoted_path(ca_file));
            }
            if let Some(share_type) = account.share_type {
                let _ = writeln!(out, "share_type = {share_type}");
                let _ = writeln!(out, "# share_secret is set and not shown");
            }
            out.push('\n');
        }
        for folder in &self.folders {
            let _ = writeln!(out, "[[folder]]\npath = {}", quoted_path(&folder.path));
            let _ = writeln!(out, "account = {}", quoted(&folder.account));
            let kinds = list(&folder.media, |kind| quoted(media(*kind)));
            let _ = writeln!(out, "media = {kinds}");
            let _ = writeln!(out, "label = {}", quoted(&folder.label));
            let _ = writeln!(out, "remote = {}", quoted(&folder.remote));
            let exclude = list(&folder.exclude, |glob| quoted(glob));
            let _ = writeln!(out, "exclude = {exclude}");
            let _ = writeln!(out, "default_excludes = {}", folder.default_excludes);
            let _ = writeln!(out, "min_size = \"{}\"", units::show_size(folder.min_size));
            let _ = writeln!(out, "max_size = \"{}\"\n", units::show_size(folder.max_size));
        }
        let upload = &self.upload;
        let _ = writeln!(out, "[upload]\nparallel = {}", upload.parallel);
        match upload.rate {
            Some(rate) => {
                let _ = writeln!(out, "rate = \"{}/s\"", units::show_size(rate));
            }
            None => out.push_str("# rate is unlimited\n"),
        }
        let _ = writeln!(out, "yield = {}", upload.yields);
        let hours = list(&upload.hours, |span| quoted(&units::show_hours(*span)));
        let _ = writeln!(out, "hours = {hours}");
        let on_conflict = match upload.on_conflict {
            OnConflict::KeepBoth => "keep-both",
            OnConflict::Overwrite => "overwrite",
            OnConflict::Version => "version",
        };
        let _ = writeln!(out, "on_conflict = \"{on_conflict}\"\n");
        let agent = &self.agent;
        let _ = writeln!(out, "[agent]\nstate_dir = {}", quoted_path(&agent.state_dir));
        let _ = writeln!(out, "socket = {}", quoted_path(&agent.socket));
        for (key, value) in
            [("settle", agent.settle), ("rescan", agent.rescan), ("check_bind", agent.check_bind)]
        {
            let _ = writeln!(out, "{key} = \"{}\"", units::show_duration(value));
        }
        let _ = writeln!(out, "log = {}", quoted(&agent.log));
        text
    }
}
