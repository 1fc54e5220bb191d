//! `xpand account`: log in by a code that a phone approves, bring tokens along, list, log out.

use std::io::{IsTerminal as _, Read as _};

use clap::Subcommand;
use serde::Serialize;
use serde_json::json;

use super::cloud::{Cloud, Needs, of_account, of_cloud, of_device};
use super::terminal::{Look, Tone, columns, plain, span};
use super::{Context, ExitStatus, Failed, Outcome, Report, qr};
use crate::account::{Prompt, State, Step, logs_in_by_itself};
use crate::cloud::User;
use crate::config;
use crate::device::{Binding, Device};

/// Tokens are short: whatever is longer is another file sent here by mistake.
const IMPORT_MAX: u64 = 64 * 1024;

/// Log in to the cloud, and out.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Log in: shows a code to approve on a phone, and waits
    Login {
        /// NAME of [account.NAME]
        name: String,
    },
    /// Take tokens from stdin: {"access_token", "refresh_token"?, "expires_at"?}, or another box's accounts/NAME.json
    Import {
        /// NAME of [account.NAME]
        name: String,
    },
    /// List the accounts and their logins
    List,
    /// Forget the tokens of an account
    Logout {
        /// NAME of [account.NAME]
        name: String,
    },
}

/// Does it.
pub(super) fn run(context: &Context, command: Command) -> Outcome {
    let cloud = Cloud::open(context)?;
    match command {
        Command::Login { name } => context.wait(login(context, &cloud, &name))?,
        Command::Import { name } => import(context, &cloud, &name),
        Command::List => list(context, &cloud),
        Command::Logout { name } => logout(context, &cloud, &name),
    }
}

/// The address to open, the code filled in: what the QR code says.
fn address(prompt: &Prompt) -> String {
    let (url, code) = (&prompt.verification_url, &prompt.user_code);
    let joint = if url.contains('?') { '&' } else { '?' };
    format!("{url}{joint}display=mobile&code={code}")
}

/// What the user has to do, as text: the code to scan, and the same in words.
struct Shown<'p>(&'p Prompt);

impl Serialize for Shown<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let prompt = self.0;
        json!({
            "event": "prompt",
            "user_code": prompt.user_code,
            "verification_url": prompt.verification_url,
            "qrcode_url": prompt.qrcode_url,
            "address": address(prompt),
            "expires_in_secs": prompt.expires_in.as_secs(),
            "interval_secs": prompt.interval.as_secs(),
        })
        .serialize(serializer)
    }
}

impl Report for Shown<'_> {
    fn text(&self, look: &Look) -> String {
        let address = address(self.0);
        let code = qr::draw(&address, look.colour).map_or_else(String::new, |code| format!("{code}\n"));
        format!(
            "{code}Scan this with a phone, or open {}\nand type the code  {}\nwithin {}.\n",
            plain(&self.0.verification_url),
            look.paint(Tone::Head, &plain(&self.0.user_code)),
            span(self.0.expires_in.as_secs()),
        )
    }
}

async fn login(context: &Context, cloud: &Cloud, name: &str) -> Outcome {
    let account = cloud.account(Some(name), Needs::Nothing)?;
    let failed = |error| of_account(&error, name);
    if logs_in_by_itself(account) {
        let login = cloud.login(account)?;
        let outcome = match login.log_in().await {
            // Whether the token is good is known when it was used; if not, there is another one then.
            Ok(()) => login.drive.user().await,
            Err(error) => Err(error),
        };
        login.end().await;
        let user = outcome.map_err(|error| of_cloud(&error, name))?;
        return greeting(context, name, Some(user), None);
    }
    let mut login = cloud.accounts.login(account).await.map_err(failed)?;
    context.print(&Shown(login.prompt()))?;
    if !context.json() {
        context.say("Waiting for the approval …");
    }
    let step = loop {
        match login.step().await.map_err(failed)? {
            Step::Waiting => {}
            other => break other,
        }
    };
    let again = format!("xpand account login {name}");
    match step {
        Step::Waiting | Step::Approved => greet(context, cloud, account).await,
        Step::Expired => {
            Err(Failed::words("nobody approved the code in time").status(ExitStatus::UserMustAct).hint(again))
        }
        Step::Declined => Err(Failed::words("the login was declined on the phone")
            .status(ExitStatus::UserMustAct)
            .hint(again)),
    }
}

/// Who is logged in now; and the device is bound, once. The login stands even if this cannot be asked.
async fn greet(context: &Context, cloud: &Cloud, account: &config::Account) -> Outcome {
    let name = account.name.as_str();
    let login = cloud.login(account)?;
    let user = login.drive.user().await;
    let mut binding = None;
    match (&user, login.drive.devices()) {
        (Ok(user), Some(calls)) if cloud.config.device.is_some() => {
            let device = Device::new(&cloud.config.agent.state_dir, cloud.config.device.as_ref());
            let bound = match device.ensure_bound(name, &user.id, calls).await {
                // Known from before: a login is the moment to ask whether it is still so.
                Ok(Binding::Bound) => device.check(name, &user.id, calls).await.map(|now| now.binding),
                bound => bound,
            };
            match bound {
                Ok(now) => binding = Some(now),
                Err(error) => of_device(&error, name).warn(),
            }
        }
        (Err(error), _) => Failed::new(error).warn(),
        _ => {}
    }
    login.end().await;
    greeting(context, name, user.ok(), binding)
}

fn greeting(context: &Context, name: &str, user: Option<User>, binding: Option<Binding>) -> Outcome {
    let user = user.map(|user| user.name).filter(|name| !name.is_empty());
    if context.json() {
        return context
            .print_json(&json!({"event": "approved", "account": name, "user": user, "binding": binding}));
    }
    let who = user.map_or_else(String::new, |user| format!(" as {}", plain(&user)));
    context.say(&format!("{name} is logged in{who}"));
    match binding {
        Some(Binding::Bound) => context.say("the device is bound"),
        Some(Binding::Unbound { .. }) => context.say(&format!(
            "the device was unbound and stays so; to bind it again: xpand device bind --account {name}"
        )),
        _ => {}
    }
    Ok(())
}

fn import(context: &Context, cloud: &Cloud, name: &str) -> Outcome {
    let account = cloud.account(Some(name), Needs::Nothing)?;
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        context.say("Paste the tokens as JSON, then press ^D:");
    }
    let mut text = String::new();
    stdin.lock().take(IMPORT_MAX).read_to_string(&mut text).map_err(|error| Failed::new(&error))?;
    let failed = |error| of_account(&error, name);
    let checking = cloud.accounts.check_import(account, &text);
    if let Some(error) = context.wait(checking)?.map_err(failed)? {
        context.say(&format!("whether the token is good could not be asked: {}", plain(&error.to_string())));
    }
    cloud.accounts.import(name, &text).map_err(failed)?;
    done(context, &format!("the tokens of {name} are taken"))
}

fn logout(context: &Context, cloud: &Cloud, name: &str) -> Outcome {
    let account = cloud.config.account(name);
    let by_itself = account.is_some_and(logs_in_by_itself);
    let mut words = match cloud.accounts.state(name) {
        State::Ready { expires_at, of_application, .. } if of_application || by_itself => {
            let until = expires_at.map_or_else(|| "its end".to_owned(), |at| at.to_string());
            format!(
                "; no call ends its token, which counts until {until} as one of the few that the cloud lets live"
            )
        }
        _ => String::new(),
    };
    let existed = cloud.accounts.logout(name).map_err(|error| of_account(&error, name))?;
    if !existed && account.is_none() {
        // Neither tokens nor a table: a slip of the pen.
        cloud.account(Some(name), Needs::Nothing)?;
    }
    if by_itself {
        let another = if words.is_empty() { "" } else { ", with another token," };
        words += &format!(
            "; it logs in again by itself{another} as long as [account.{name}] is in the configuration"
        );
    }
    let was = if existed { "is logged out" } else { "was not logged in" };
    done(context, &format!("{name} {was}{words}"))
}

fn done(context: &Context, words: &str) -> Outcome {
    if context.json() {
        return context.print_json(&json!({}));
    }
    context.say(words);
    Ok(())
}

/// `xpand account list`.
#[derive(Serialize)]
struct List {
    accounts: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    name: String,
    /// Null: tokens of an account that is not in the configuration.
    provider: Option<&'static str>,
    state: &'static str,
    expires_at: Option<String>,
    renewable: Option<bool>,
    reason: Option<String>,
    /// Nobody has to log in.
    #[serde(skip)]
    is_application: bool,
}

fn list(context: &Context, cloud: &Cloud) -> Outcome {
    let line = |name: &str, provider, state| {
        let (state, expires_at, renewable, reason) = match state {
            State::LoggedOut => ("logged_out", None, None, None),
            State::Ready { expires_at, renewable, .. } => {
                ("ready", expires_at.map(|at| at.to_string()), Some(renewable), None)
            }
            State::Refused { words, passes: true, .. } => ("blocked", None, None, Some(words)),
            State::Refused { words, .. } => ("needs_login", None, None, Some(words)),
            State::Damaged { words } => ("damaged", None, None, Some(words)),
        };
        Line { name: name.to_owned(), provider, state, expires_at, renewable, reason, is_application: false }
    };
    let configured = cloud.config.accounts.iter().map(|account| {
        let name = account.name.as_str();
        let mut line = line(name, Some(account.provider.as_str()), cloud.accounts.state(name));
        line.is_application = logs_in_by_itself(account);
        if line.is_application && line.renewable.is_some() {
            line.renewable = Some(true);
        }
        line
    });
    let mut accounts: Vec<Line> = configured.collect();
    let stored = cloud.accounts.list().map_err(|error| of_account(&error, "NAME"))?;
    for (name, state) in stored {
        if cloud.config.account(&name).is_none() {
            accounts.push(line(&name, None, state));
        }
    }
    if accounts.is_empty() && !context.json() {
        context.say("no accounts; write [account.home] with client_id and client_secret");
    }
    context.print(&List { accounts })
}

impl Report for List {
    fn text(&self, look: &Look) -> String {
        let row = |line: &Line| {
            let mut words = match (line.state, &line.expires_at) {
                ("ready", Some(at)) if line.renewable == Some(true) => {
                    format!("renewed by itself, access ends {}", look.when(at))
                }
                ("ready", Some(at)) => format!("cannot be renewed, ends {}", look.when(at)),
                ("ready", None) if line.renewable == Some(false) => "cannot be renewed".to_owned(),
                ("logged_out", _) if line.is_application => "logs in by itself".to_owned(),
                ("logged_out" | "needs_login", _) if line.provider.is_some() => {
                    format!("next: xpand account login {}", plain(&line.name))
                }
                _ => String::new(),
            };
            if let Some(reason) = &line.reason {
                words = format!("{}  {words}", plain(reason)).trim_end().to_owned();
            }
            vec![
                plain(&line.name),
                line.provider.unwrap_or("not in the configuration").to_owned(),
                line.state.replace('_', " "),
                words,
            ]
        };
        columns(&self.accounts.iter().map(row).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_prompt_says_the_same_to_cameras_and_to_people() {
        let prompt = Prompt {
            user_code: "w8ch\u{7}k5".to_owned(),
            verification_url: "https://openapi.baidu.com/device".to_owned(),
            qrcode_url: String::new(),
            expires_in: Duration::from_secs(1800),
            interval: Duration::from_secs(5),
        };
        assert_eq!(address(&prompt), "https://openapi.baidu.com/device?display=mobile&code=w8ch\u{7}k5");
        let text = Shown(&prompt).text(&Look::without_colour(0));
        let code = qr::draw(&address(&prompt), false).unwrap_or_default();
        assert_eq!(
            text,
            format!(
                "{code}\nScan this with a phone, or open https://openapi.baidu.com/device\n\
                 and type the code  w8ch\\u{{7}}k5\nwithin 30 min.\n"
            )
        );
    }

    #[test]
    fn the_list_says_which_login_needs_a_person() {
        let line = |name: &str, state, expires_at: Option<&str>, reason: Option<&str>| Line {
            name: name.to_owned(),
            provider: Some("baidu"),
            state,
            expires_at: expires_at.map(str::to_owned),
            renewable: expires_at.map(|_| true),
            reason: reason.map(str::to_owned),
            is_application: false,
        };
        let list = List {
            accounts: vec![
                line("home", "ready", Some("1970-01-31T00:00:00Z"), None),
                line("away", "needs_login", None, Some("expired_token")),
            ],
        };
        assert_eq!(
            list.text(&Look::without_colour(0)),
            "  home  baidu  ready        renewed by itself, access ends in 30 days\n  \
             away  baidu  needs login  expired_token  next: xpand account login away\n"
        );
    }
}
