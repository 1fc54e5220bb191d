//! `drive quota` and `drive whoami`: the space there is, and who is logged in.

use serde::Serialize;

use super::Session;
use crate::cli::terminal::{Look, bytes, columns, count, percent, plain};
use crate::cli::{Failed, Outcome, Report};
use crate::cloud::{self, Quota};

/// `xpand drive quota`.
#[derive(clap::Args, Debug)]
#[command(disable_help_flag = true)]
pub struct QuotaArgs {
    /// Sizes as people say them: 1.2 GiB
    #[arg(short = 'h', long)]
    human: bool,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

/// `xpand drive quota`.
pub(super) async fn quota(session: &Session<'_>, args: &QuotaArgs) -> Outcome {
    let quota = session.drive.quota().await.map_err(|error| session.failed(&error))?;
    let Some(quota) = quota else {
        let title = cloud::of(session.account.provider).title();
        return Err(Failed::words(format!("{title} does not tell how much space there is")));
    };
    let free = quota.total.saturating_sub(quota.used);
    let (Quota { used, total, expires }, human) = (quota, args.human);
    session.context.print(&Space { used, total, free, expires, human })
}

#[derive(Serialize)]
struct Space {
    used: u64,
    total: u64,
    free: u64,
    #[serde(rename = "expire")]
    expires: bool,
    #[serde(skip)]
    human: bool,
}

impl Report for Space {
    fn text(&self, _: &Look) -> String {
        let size = |number| if self.human { bytes(number) } else { count(number) };
        let unit = if self.human { "" } else { " bytes" };
        let used = format!("{}{unit} ({})", size(self.used), percent(self.used, self.total));
        let total = format!("{}{unit}", size(self.total));
        let note = if self.expires { "; some of it ends within 7 days" } else { "" };
        columns(&[
            vec!["used".to_owned(), used],
            vec!["free".to_owned(), format!("{}{unit}", size(self.free))],
            vec!["total".to_owned(), total + note],
        ])
    }
}

/// `xpand drive whoami`.
pub(super) async fn whoami(session: &Session<'_>) -> Outcome {
    let user = session.drive.user().await.map_err(|error| session.failed(&error))?;
    session.context.print(&Whoami {
        account: session.account.name.clone(),
        uk: user.id,
        netdisk_name: user.name,
        vip_type: user.vip_type,
        slice_size: user.slice_size,
        max_file_size: user.max_file_size,
    })
}

#[derive(Serialize)]
struct Whoami {
    account: String,
    uk: String,
    netdisk_name: String,
    vip_type: Option<u8>,
    slice_size: u64,
    max_file_size: u64,
}

impl Report for Whoami {
    fn text(&self, _: &Look) -> String {
        let row = |name: &str, value: String| vec![name.to_owned(), value];
        let mut rows = vec![row("account", plain(&self.account))];
        // 123pan has no names: there an application is the user.
        if !self.netdisk_name.is_empty() {
            rows.push(row("user", plain(&self.netdisk_name)));
        }
        rows.push(row("number", plain(&self.uk)));
        rows.extend(self.vip_type.map(|vip_type| {
            let membership = match vip_type {
                0 => "ordinary",
                1 => "member",
                2 => "super member",
                _ => "unknown",
            };
            row("membership", format!("{membership} (vip_type {vip_type})"))
        }));
        rows.push(row("largest file", bytes(self.max_file_size)));
        columns(&rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_without_a_name_has_no_empty_line() {
        let whoami = |name: &str| Whoami {
            account: "home".into(),
            uk: "7".into(),
            netdisk_name: name.into(),
            vip_type: None,
            slice_size: 0,
            max_file_size: 1 << 20,
        };
        let look = Look::without_colour(0);
        let nameless = "  account       home\n  number        7\n  largest file  1.0 MiB\n";
        assert_eq!(whoami("").text(&look), nameless);
        assert!(whoami("Ann").text(&look).contains("  user          Ann\n"));
    }

    #[test]
    fn space_is_told_like_df() {
        let space = Space { used: 1 << 30, total: 4 << 30, free: 3 << 30, expires: false, human: true };
        let look = Look::without_colour(0);
        assert_eq!(space.text(&look), "  used   1.0 GiB (25%)\n  free   3.0 GiB\n  total  4.0 GiB\n");
        let space = Space { human: false, expires: true, ..space };
        assert!(space.text(&look).starts_with("  used   1,073,741,824 bytes (25%)\n"));
        assert!(space.text(&look).ends_with("4,294,967,296 bytes; some of it ends within 7 days\n"));
    }
}
