//! The device's states against a scripted cloud.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;

use super::open::TAKEN;
use super::*;
use crate::cloud::{BoxFuture, Code, DeviceChanges, Kind};

/// A cloud with devices; `errors` are given once each, by call.
#[derive(Default)]
struct Fake {
    calls: Mutex<Vec<String>>,
    errors: Mutex<HashMap<&'static str, Vec<i64>>>,
    bound: Mutex<bool>,
    pages: Mutex<Vec<DeviceChanges>>,
    generation: Mutex<u32>,
}

impl Fake {
    fn note(&self, call: &'static str, with: &str) -> cloud::Result<()> {
        self.calls.lock().unwrap().push(format!("{call} {with}"));
        match self.errors.lock().unwrap().get_mut(call).and_then(Vec::pop) {
            Some(number) => {
                let code = Code::Errno(number);
                Err(cloud::Error::new(
                    Kind::Blocked { after: std::time::Duration::from_secs(60) },
                    call,
                    "no",
                )
                .with_code(code))
            }
            None => Ok(()),
        }
    }

    fn failing(self, call: &'static str, numbers: &[i64]) -> Self {
        self.errors.lock().unwrap().insert(call, numbers.to_vec());
        self
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }
}

impl Devices for Fake {
    fn register<'a>(&'a self, kind: &'a str, address: &'a str) -> BoxFuture<'a, cloud::Result<String>> {
        Box::pin(async move {
            self.note("register", &format!("{kind} {}", &address[..4]))?;
            *self.generation.lock().unwrap() += 1;
            Ok(format!("id{}", self.generation.lock().unwrap()))
        })
    }
    fn bind<'a>(&'a self, device: &'a str) -> BoxFuture<'a, cloud::Result<()>> {
        Box::pin(async move {
            self.note("bind", device)?;
            *self.bound.lock().unwrap() = true;
            Ok(())
        })
    }
    fn unbind<'a>(&'a self, device: &'a str) -> BoxFuture<'a, cloud::Result<()>> {
        Box::pin(async move {
            *self.bound.lock().unwrap() = false;
            self.note("unbind", device)
        })
    }
    fn is_bound<'a>(&'a self, device: &'a str) -> BoxFuture<'a, cloud::Result<bool>> {
        Box::pin(async move { self.note("checkbind", device).map(|()| *self.bound.lock().unwrap()) })
    }
    fn diff<'a>(&'a self, cursor: &'a str) -> BoxFuture<'a, cloud::Result<DeviceChanges>> {
        Box::pin(async move {
            self.note("diff", cursor)?;
            Ok(self.pages.lock().unwrap().pop().unwrap_or_default())
        })
    }
    fn all(&self) -> BoxFuture<'_, cloud::Result<Vec<DeviceEntry>>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

fn config(serial: Option<&str>) -> config::Device {
    config::Device { kind: "2020".into(), name: "box".into(), serial: serial.map(str::to_owned) }
}

struct Rig {
    folder: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }
    fn device(&self, serial: Option<&str>) -> Device {
        Device::new(self.folder.path(), Some(&config(serial)))
            .with_network_cards(&self.folder.path().join("net"))
    }
    fn file(&self) -> String {
        fs::read_to_string(self.folder.path().join("device.json")).unwrap()
    }
}

#[tokio::test]
async fn a_device_is_registered_once_and_bound_once() {
    let (rig, cloud) = (Rig::new(), Fake::default());
    let device = rig.device(Some("SN1"));
    assert_eq!(device.state().unwrap(), DeviceState::New { address: None });
    for _ in 0..3 {
        assert_eq!(device.ensure_bound("home", "7", &cloud).await.unwrap(), Binding::Bound);
    }
    let head = &address::of_serial("SN1")[..4];
    assert_eq!(cloud.take(), [format!("register 2020 {head}"), "bind id1".into()]);
    let address = address::of_serial("SN1");
    assert_eq!(device.state().unwrap(), DeviceState::Registered { address, id: "id1".into() });
    let mode = fs::metadata(rig.folder.path().join("device.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // A second account binds the same device.
    device.ensure_bound("other", "8", &cloud).await.unwrap();
    assert_eq!(cloud.take(), ["bind id1"]);
}

#[tokio::test]
async fn without_a_device_section_no_call_is_made() {
    let (rig, cloud) = (Rig::new(), Fake::default());
    let device = Device::new(rig.folder.path(), None);
    assert_eq!(device.ensure_registered(&cloud).await.unwrap(), DeviceState::Off);
    assert_eq!(device.ensure_bound("home", "7", &cloud).await.unwrap(), Binding::Off);
    assert_eq!(device.check("home", "7", &cloud).await.unwrap().binding, Binding::Off);
    assert!(device.binding("home").unwrap().allows_backup());
    assert!(matches!(device.bind("home", "7", &cloud).await, Err(Error::Off)));
    assert!(cloud.take().is_empty());
}

#[tokio::test]
async fn what_a_user_unbinds_is_bound_again_only_by_the_command() {
    let (rig, cloud) = (Rig::new(), Fake::default());
    let device = rig.device(Some("SN1"));
    device.ensure_bound("home", "7", &cloud).await.unwrap();
    *cloud.bound.lock().unwrap() = false;
    let gone = Binding::Unbound { by_user: true };
    assert_eq!(device.check("home", "7", &cloud).await.unwrap().binding, gone);
    cloud.take();
    assert_eq!(rig.device(Some("SN1")).ensure_bound("home", "7", &cloud).await.unwrap(), gone);
    assert_eq!(cloud.take(), [] as [&str; 0]);
    assert_eq!(device.check("home", "7", &cloud).await.unwrap().binding, gone);
    assert_eq!(device.bind("home", "7", &cloud).await.unwrap(), Binding::Bound);
    assert_eq!(device.check("home", "7", &cloud).await.unwrap().binding, Binding::Bound);
    // Another user logs in: that one never said no.
    device.unbind("home", "7", &cloud).await.unwrap();
    assert_eq!(device.binding("home").unwrap(), Binding::Unbound { by_user: false });
    assert_eq!(device.ensure_bound("home", "9", &cloud).await.unwrap(), Binding::Bound);
}

#[tokio::test]
async fn a_device_the_cloud_has_forgotten_is_registered_again_and_once() {
    let rig = Rig::new();
    let device = rig.device(Some("SN1"));
    let cloud = Fake::default().failing("bind", &[NOT_REGISTERED]);
    assert_eq!(device.ensure_bound("home", "7", &cloud).await.unwrap(), Binding::Bound);
    assert_eq!(
        cloud.take()[1..],
        [
            "bind id1".to_owned(),
            format!("register 2020 {}", &address::of_serial("SN1")[..4]),
            "bind id2".into()
        ]
    );
    // At checkbind: nobody can have unbound what was not known, so it is bound again.
    cloud.errors.lock().unwrap().insert("checkbind", vec![NOT_REGISTERED]);
    *cloud.bound.lock().unwrap() = false;
    assert_eq!(device.check("home", "7", &cloud).await.unwrap().binding, Binding::Bound);
    // For ever unknown is an error, not a loop.
    cloud.errors.lock().unwrap().insert("bind", vec![NOT_REGISTERED; 9]);
    let error = device.bind("home", "7", &cloud).await.unwrap_err();
    assert!(matches!(error, Error::Cloud(error) if error.number() == Some(NOT_REGISTERED)));
}

#[tokio::test]
async fn a_device_taken_by_another_user_stays_unknown_and_one_taken_by_ourselves_is_bound() {
    let rig = Rig::new();
    let device = rig.device(Some("SN1"));
    let cloud = Fake::default().failing("bind", &[TAKEN]);
    assert!(device.ensure_bound("home", "7", &cloud).await.is_err());
    assert_eq!(device.binding("home").unwrap(), Binding::Unknown);
    cloud.errors.lock().unwrap().insert("bind", vec![TAKEN]);
    *cloud.bound.lock().unwrap() = true;
    assert_eq!(device.ensure_bound("home", "7", &cloud).await.unwrap(), Binding::Bound);
}

#[tokio::test]
async fn a_diff_follows_its_pages_keeps_its_cursor_and_writes_only_what_changed() {
    let (rig, cloud) = (Rig::new(), Fake::default());
    let device = rig.device(Some("SN1"));
    device.ensure_bound("home", "7", &cloud).await.unwrap();
    let page = |cursor: &str, more, id: &str| DeviceChanges {
        cursor: cursor.into(),
        more,
        devices: vec![DeviceEntry { id: id.into(), ..DeviceEntry::default() }],
    };
    *cloud.pages.lock().unwrap() = vec![page("c2", false, "y"), page("c1", true, "x")];
    cloud.take();
    let changes = device.diff("home", "7", &cloud).await.unwrap();
    assert_eq!(changes.len(), 2);
    assert_eq!(cloud.take(), ["diff ", "diff c1"]);
    assert!(rig.file().contains("c2"));
    // What a person was told is still news to the agent, and the other way round.
    *cloud.pages.lock().unwrap() = vec![page("c2", false, "y")];
    assert_eq!(device.check("home", "7", &cloud).await.unwrap().changes.len(), 1);
    assert_eq!(cloud.take(), ["checkbind id1", "diff "]);
    let before = device.stamp();
    device.check("home", "7", &cloud).await.unwrap();
    assert_eq!(cloud.take(), ["checkbind id1", "diff c2"]);
    assert_eq!(device.stamp(), before, "nothing changed, nothing written");
    // A cloud that says "more" without moving on, and one that fails.
    *cloud.pages.lock().unwrap() = vec![page("c2", true, "y")];
    device.diff("home", "7", &cloud).await.unwrap();
    cloud.errors.lock().unwrap().insert("diff", vec![2]);
    assert_eq!(device.check("home", "7", &cloud).await.unwrap().binding, Binding::Bound);
}

#[tokio::test]
async fn the_address_once_chosen_stays_when_the_card_is_swapped_and_goes_when_a_serial_is_configured() {
    let (rig, cloud) = (Rig::new(), Fake::default());
    let card = rig.folder.path().join("net/eth0");
    assert!(matches!(rig.device(None).ensure_registered(&cloud).await, Err(Error::NoAddress)));
    fs::create_dir_all(card.join("device")).unwrap();
    fs::write(card.join("address"), "00:11:32:aa:bb:0c\n").unwrap();
    let first = rig.device(None).ensure_registered(&cloud).await.unwrap();
    fs::write(card.join("address"), "00:11:32:aa:bb:0d\n").unwrap();
    assert_eq!(rig.device(None).ensure_registered(&cloud).await.unwrap(), first);
    rig.device(None).ensure_bound("home", "7", &cloud).await.unwrap();
    assert_eq!(rig.device(Some("SN2")).binding("home").unwrap(), Binding::Unknown);
    let other = rig.device(Some("SN2")).ensure_registered(&cloud).await.unwrap();
    assert_eq!(other, DeviceState::Registered { address: address::of_serial("SN2"), id: "id2".into() });
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_the_device_begins_anew() {
    let (rig, cloud) = (Rig::new(), Fake::default());
    fs::write(rig.folder.path().join("device.json"), "{\"version\":").unwrap();
    let device = rig.device(Some("SN1"));
    assert_eq!(device.state().unwrap(), DeviceState::New { address: None });
    assert_eq!(device.ensure_bound("home", "7", &cloud).await.unwrap(), Binding::Bound);
    assert!(rig.folder.path().join("device.json.damaged").exists());
}

#[tokio::test]
async fn a_file_of_a_newer_xpand_is_left_as_it_is_and_nothing_is_registered() {
    let (rig, cloud) = (Rig::new(), Fake::default());
    let (path, text) = (rig.folder.path().join("device.json"), "{\"version\":2,\"id\":7}");
    fs::write(&path, text).unwrap();
    let device = rig.device(Some("SN1"));
    assert!(device.state().is_err());
    assert!(device.ensure_bound("home", "7", &cloud).await.is_err());
    assert!(cloud.take().is_empty());
    assert_eq!(fs::read_to_string(path).unwrap(), text);
}

#[tokio::test]
async fn two_processes_at_once_register_and_bind_once() {
    let (rig, cloud) = (Rig::new(), Fake::default());
    let (one, other) = (rig.device(Some("SN1")), rig.device(Some("SN1")));
    let (first, second) =
        tokio::join!(one.ensure_bound("home", "7", &cloud), other.ensure_bound("home", "7", &cloud));
    assert_eq!((first.unwrap(), second.unwrap()), (Binding::Bound, Binding::Bound));
    assert_eq!(cloud.take().len(), 2);
}
