//! `xpand device`: this box as the cloud knows it. Each command is one call of the device documents.

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use super::cloud::{Cloud, Needs, lacks, of_cloud, of_device};
use super::terminal::{Look, columns, plain};
use super::{Context, ExitStatus, Failed, Outcome, Report};
use crate::cloud::{DeviceEntry, Devices, Service};
use crate::device::{Binding, Device, DeviceState};

/// This box as the cloud knows it.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Tell what is known here of the device and its bindings
    Show,
    /// Make the device known to the cloud's vendor, once
    Register(Which),
    /// Bind the device to an account
    Bind(Which),
    /// Unbind the device from an account; backup to it stops
    Unbind(Which),
    /// Ask whether the device is still bound; exit code 4 if not
    Check(Which),
    /// List the account's devices
    List(Which),
    /// List what changed among the account's devices since the last time
    Diff(Which),
}

/// Of which account.
#[derive(Args, Debug)]
pub struct Which {
    /// NAME of [account.NAME] [default: the only one]
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
}

/// Does it.
pub(super) fn run(context: &Context, command: Command) -> Outcome {
    let cloud = Cloud::open(context)?;
    let device = Device::new(&cloud.config.agent.state_dir, cloud.config.device.as_ref());
    if let Command::Show = command {
        return show(context, &cloud, &device);
    }
    if cloud.config.device.is_none() {
        return Err(of_device(&crate::device::Error::Off, ""));
    }
    context.wait(call(context, &cloud, &device, command))?
}

async fn call(context: &Context, cloud: &Cloud, device: &Device, command: Command) -> Outcome {
    let (Command::Register(which)
    | Command::Bind(which)
    | Command::Unbind(which)
    | Command::Check(which)
    | Command::List(which)
    | Command::Diff(which)) = &command
    else {
        return Ok(());
    };
    let needs = Needs::A(Service::Devices);
    let able = cloud.config.accounts.iter().find(|account| needs.is_met_by(account));
    let name = match (&command, &which.account, able) {
        // Registering needs no login: any account's application will do.
        (Command::Register(_), None, Some(first)) => Some(first.name.as_str()),
        (_, name, _) => name.as_deref(),
    };
    let account = cloud.account(name, needs)?;
    needs.check(account)?;
    let name = account.name.as_str();
    let login = cloud.login(account)?;
    let result = match login.drive.devices() {
        None => Err(lacks()),
        Some(calls) => {
            let user = async || match login.drive.user().await {
                Ok(user) => Ok(user.id),
                Err(error) => Err(of_cloud(&error, name)),
            };
            one(context, device, (name, calls), user, command).await
        }
    };
    login.end().await;
    result
}

async fn one(
    context: &Context,
    device: &Device,
    (account, calls): (&str, &dyn Devices),
    user: impl AsyncFn() -> Outcome<String>,
    command: Command,
) -> Outcome {
    let failed = |error| of_device(&error, account);
    let bound = |binding| context.print(&Bound { account: account.to_owned(), binding });
    match command {
        Command::Show => Ok(()),
        Command::Register(_) => {
            let state = device.ensure_registered(calls).await.map_err(failed)?;
            context.print(&Known::of(&state))
        }
        Command::Bind(_) => {
            let binding = device.bind(account, &user().await?, calls).await.map_err(failed)?;
            bound(binding)
        }
        Command::Unbind(_) => {
            let binding = device.unbind(account, &user().await?, calls).await.map_err(failed)?;
            bound(binding)
        }
        Command::Check(_) => {
            let user = user().await?;
            let checked = device.check(account, &user, calls).await.map_err(failed)?;
            bound(checked.binding)?;
            match checked.binding {
                Binding::Bound | Binding::Off => Ok(()),
                Binding::Unknown | Binding::Unbound { .. } => {
                    if !context.json() {
                        context.say(&format!("next: xpand device bind --account {account}"));
                    }
                    Err(Failed::told(ExitStatus::UserMustAct))
                }
            }
        }
        Command::List(_) => {
            let devices = calls.all().await.map_err(|error| of_cloud(&error, account))?;
            if devices.is_empty() && !context.json() {
                context.say("this account has no devices");
            }
            context.print(&Entries { devices })
        }
        Command::Diff(_) => {
            let devices = device.diff(account, &user().await?, calls).await.map_err(failed)?;
            if devices.is_empty() && !context.json() {
                context.say("nothing changed");
            }
            context.print(&Entries { devices })
        }
    }
}

fn show(context: &Context, cloud: &Cloud, device: &Device) -> Outcome {
    let failed = |error| of_device(&error, "NAME");
    let mut known = Known::of(&device.state().map_err(failed)?);
    if let Some(config) = &cloud.config.device {
        known.name = Some(config.name.clone());
        known.kind = Some(config.kind.clone());
        for account in &cloud.config.accounts {
            let binding = device.binding(&account.name).map_err(failed)?;
            known.accounts.push(Bound { account: account.name.clone(), binding });
        }
    }
    context.print(&known)
}

/// `xpand device show`.
#[derive(Serialize, Default)]
struct Known {
    state: &'static str,
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    address: Option<String>,
    id: Option<String>,
    accounts: Vec<Bound>,
}

impl Known {
    fn of(state: &DeviceState) -> Self {
        let (state, address, id) = match state {
            DeviceState::Off => ("off", None, None),
            DeviceState::New { address } => ("new", address.clone(), None),
            DeviceState::Registered { address, id } => {
                ("registered", Some(address.clone()), Some(id.clone()))
            }
        };
        Self { state, address, id, ..Self::default() }
    }
}

impl Report for Known {
    fn text(&self, _: &Look) -> String {
        let state = match self.state {
            "off" => "There is no [device] in the configuration; backup works without it",
            "new" => "Not registered yet",
            _ => "Registered",
        };
        let mut rows = Vec::new();
        for (name, value) in
            [("name", &self.name), ("type", &self.kind), ("address", &self.address), ("id", &self.id)]
        {
            rows.extend(value.as_ref().map(|value| vec![name.to_owned(), plain(value)]));
        }
        for bound in &self.accounts {
            rows.push(vec![plain(&bound.account), bound.words().to_owned()]);
        }
        format!("{state}\n{}", columns(&rows))
    }
}

/// Whether the device is bound to an account.
struct Bound {
    account: String,
    binding: Binding,
}

impl Serialize for Bound {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json!({"account": self.account, "binding": self.binding}).serialize(serializer)
    }
}

impl Bound {
    fn words(&self) -> &'static str {
        match self.binding {
            Binding::Off => "binding plays no part",
            Binding::Unknown => "not bound yet",
            Binding::Bound => "bound",
            Binding::Unbound { by_user: true } => "unbound in the phone app",
            Binding::Unbound { by_user: false } => "unbound by command",
        }
    }
}

impl Report for Bound {
    fn text(&self, _: &Look) -> String {
        format!("{}: {}\n", plain(&self.account), self.words())
    }
}

/// Devices as the cloud knows them.
#[derive(Serialize)]
struct Entries {
    devices: Vec<DeviceEntry>,
}

impl Report for Entries {
    fn text(&self, _: &Look) -> String {
        let row = |device: &DeviceEntry| {
            vec![
                plain(&device.id),
                plain(&device.name),
                if device.bound { "bound" } else { "not bound" }.to_owned(),
                match device.category {
                    1 => "loudspeaker".to_owned(),
                    2 => "television".to_owned(),
                    3 => "NAS".to_owned(),
                    other => format!("category {other}"),
                },
                plain(&device.brand),
                plain(&device.provider),
            ]
        };
        columns(&self.devices.iter().map(row).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_the_device_is_told_in_rows() {
        let mut known =
            Known::of(&DeviceState::Registered { address: "d41d".to_owned(), id: "7\u{1b}".to_owned() });
        known.accounts = vec![
            Bound { account: "home".to_owned(), binding: Binding::Bound },
            Bound { account: "away".to_owned(), binding: Binding::Unbound { by_user: true } },
        ];
        let look = Look::without_colour(0);
        assert_eq!(
            known.text(&look),
            "Registered\n  address  d41d\n  id       7\\u{1b}\n  home     bound\n  away     unbound in the phone app\n"
        );
        assert_eq!(
            serde_json::to_string(&known.accounts[1]).unwrap_or_default(),
            r#"{"account":"away","binding":{"by_user":true,"state":"unbound"}}"#
        );
        assert_eq!(
            Known::of(&DeviceState::Off).text(&look),
            "There is no [device] in the configuration; backup works without it\n"
        );
    }
}
