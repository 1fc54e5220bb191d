//! Do our calls and the documents agree? Every call of a backup against `cloudsim`, the second witness:
//! upload with resume, instant upload and conflicts, logins, the device, and every way a call can fail.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cloudsim::{CloudSim, Fault, FaultKind, Options};
use xpand::account::{Accounts, Step};
use xpand::clock::Clock;
use xpand::cloud::{self, Begin, Calls, Code, Drive, Finish, Kind, Slice, Stored, TokenSource, Upload};
use xpand::config;
use xpand::content::{ExifInfo, Md5, Media, OnConflict, Purpose};
use xpand::device::{Binding, Device, DeviceState};

const MIB: usize = 1 << 20;
const HEAD: usize = 256 << 10;

/// A cloud, an account that is logged in, its drive.
struct Rig {
    sim: CloudSim,
    folder: tempfile::TempDir,
    drive: Arc<dyn Drive>,
}

fn account(sim: &CloudSim) -> config::Account {
    config::Account {
        name: "home".into(),
        provider: config::Provider::Baidu,
        client_id: "demo".into(),
        client_secret: config::Secret::new("demo"),
        app: "xpand".into(),
        endpoint: Some(sim.url().parse().unwrap()),
        ca_file: None,
        share_type: None,
        share_secret: None,
    }
}

impl Rig {
    async fn with(options: Options) -> Self {
        let sim = CloudSim::start(options).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        sim.add_token("demo", "ACCESS-1", Some("REFRESH-1"), None).unwrap();
        let accounts = Accounts::new(folder.path(), Clock::system());
        let json = r#"{"access_token":"ACCESS-1","refresh_token":"REFRESH-1"}"#;
        accounts.import("home", json).unwrap();
        let account = account(&sim);
        let drive = cloud::open(&account, accounts.tokens(&account).unwrap(), Calls::uncounted()).unwrap();
        Self { sim, folder, drive }
    }

    async fn new() -> Self {
        Self::with(Options::default()).await
    }

    fn accounts(&self) -> Accounts {
        Accounts::new(self.folder.path(), Clock::system())
    }

    /// As after a restart of the program.
    fn reopen(&self) -> Arc<dyn Drive> {
        let account = account(&self.sim);
        cloud::open(&account, self.accounts().tokens(&account).unwrap(), Calls::uncounted()).unwrap()
    }

    async fn send(&self, file: &Local, session: &str, number: u32) -> cloud::Result<Md5> {
        Ok(self.drive.send(&file.upload, session, file.slice(number)).await?.unwrap())
    }

    async fn upload(&self, file: &Local) -> cloud::Result<Stored> {
        match self.drive.begin(&file.upload, None).await? {
            Begin::Present(stored) | Begin::There(stored) => Ok(stored),
            Begin::Send { session, missing, .. } => {
                for number in missing {
                    assert_eq!(self.send(file, &session, number).await?, file.upload.slices[number as usize]);
                }
                match self.drive.finish(&file.upload, &session).await? {
                    Finish::Made(stored) => Ok(stored),
                    Finish::Making { session } => panic!("{session}"),
                }
            }
            Begin::Making { session } => panic!("{session}"),
        }
    }
}

/// A file as the pipeline would announce it.
struct Local {
    bytes: Bytes,
    upload: Upload,
}

impl Local {
    fn new(path: &str, length: usize, seed: u8) -> Self {
        let bytes: Vec<u8> =
            (0..length).map(|i| (i as u8).wrapping_mul(31) ^ (i >> 13) as u8 ^ seed).collect();
        let bytes = Bytes::from(bytes);
        let upload = Upload {
            path: format!("/apps/xpand/{path}"),
            size: length as u64,
            content_md5: Md5::of(&bytes),
            head_md5: Md5::of(&bytes[..length.min(HEAD)]),
            slice_size: 4 << 20,
            slices: bytes.chunks(4 * MIB).map(Md5::of).collect(),
            purpose: Purpose::Backup,
            media: Media::Photo,
            exif: None,
            ctime_secs: 1_596_009_229,
            mtime_secs: 1_596_009_230,
            on_conflict: OnConflict::KeepBoth,
        };
        Self { bytes, upload }
    }

    fn on_conflict(mut self, on_conflict: OnConflict) -> Self {
        self.upload.on_conflict = on_conflict;
        self
    }

    fn slice(&self, number: u32) -> Slice {
        let from = number as usize * 4 * MIB;
        let bytes = self.bytes.slice(from..self.bytes.len().min(from + 4 * MIB));
        let pieces: Vec<_> = bytes.chunks(64 << 10).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        Slice { number, length: bytes.len() as u64, body: Box::pin(futures_util::stream::iter(pieces)) }
    }
}

#[tokio::test]
async fn a_file_of_several_slices_arrives_whole_with_mode_exif_and_times() {
    let rig = Rig::new().await;
    let mut film = Local::new("Ünï köde+&%/a film.jpg", 9 * MIB + 17, 1);
    film.upload.exif = Some(ExifInfo {
        height: 3024,
        date_time_original: Some("2018:09:06 15:58:58".into()),
        model: Some("iPhone 6s".into()),
        width: 4032,
        date_time_digitized: None,
        date_time: None,
        orientation: 6,
        recovery: 0,
    });
    let stored = rig.upload(&film).await.unwrap();
    assert_eq!((stored.size, &stored.path), (film.upload.size, &film.upload.path));
    assert_eq!(rig.sim.read(&film.upload.path).unwrap(), film.bytes);
    let file = rig.sim.file(&film.upload.path).unwrap();
    assert_eq!((file.created, file.overwritten, file.mode), (1, 0, Some(4)));
    assert!(format!("{:?}", file.exif_info).contains("iPhone 6s"));

    let page = rig.drive.list("/apps/xpand/Ünï köde+&%", None).await.unwrap();
    assert_eq!((page.entries.len(), page.next), (1, None));
    assert!(rig.drive.is_same(&page.entries[0], &film.upload));
    let other = Local::new("x", 9 * MIB + 17, 2);
    assert!(!rig.drive.is_same(&page.entries[0], &other.upload));
    let calls = rig.sim.calls();
    assert!(calls.iter().all(|call| call.user_agent == "pan.baidu.com"), "{calls:?}");
}

#[tokio::test]
async fn a_session_taken_up_again_names_only_the_missing_slices() {
    let rig = Rig::new().await;
    let film = Local::new("film.jpg", 13 * MIB, 1);
    let Begin::Send { session, slice_size, missing } = rig.drive.begin(&film.upload, None).await.unwrap()
    else {
        panic!("it is not there")
    };
    assert_eq!(missing, [0, 1, 2, 3]);
    rig.send(&film, &session, 2).await.unwrap();
    let again = rig.drive.begin(&film.upload, Some(&session)).await.unwrap();
    assert_eq!(again, Begin::Send { session: session.clone(), slice_size, missing: vec![0, 1, 3] });
    // Too early: 31363. Then forgotten altogether: 31355. Both mean: begin again.
    let error = rig.drive.finish(&film.upload, &session).await.unwrap_err();
    assert_eq!((error.kind, error.number()), (Kind::Expired, Some(31363)));
    rig.sim.forget_uploads();
    assert_eq!(rig.send(&film, &session, 1).await.unwrap_err().kind, Kind::Expired);
    assert_eq!(rig.drive.finish(&film.upload, &session).await.unwrap_err().kind, Kind::Expired);
}

#[tokio::test]
async fn known_content_is_there_at_once_and_one_slice_may_be_an_empty_list() {
    let rig = Rig::new().await;
    let photo = Local::new("a.jpg", MIB, 1);
    assert_eq!(rig.upload(&photo).await.unwrap().size, MIB as u64);
    let sent = rig.sim.count("superfile2");
    let copy = Local::new("b.jpg", MIB, 1);
    let stored = rig.upload(&copy).await.unwrap();
    assert_eq!((stored.path.as_str(), stored.size), ("/apps/xpand/b.jpg", MIB as u64));
    assert_eq!(rig.sim.count("superfile2"), sent);
    // Too small for that: sent.
    rig.upload(&Local::new("c.jpg", 1000, 1)).await.unwrap();
    rig.upload(&Local::new("d.jpg", 1000, 1)).await.unwrap();
    assert_eq!(rig.sim.count("superfile2"), sent + 2);
    let page = rig.drive.list("/apps/xpand", None).await.unwrap();
    let small = Local::new("c.jpg", 1000, 1);
    let same = page.entries.iter().filter(|entry| rig.drive.is_same(entry, &small.upload));
    assert_eq!(same.count(), 2);
}

#[tokio::test]
async fn a_taken_name_is_dealt_with_as_configured_and_never_a_conflict() {
    use OnConflict::{KeepBoth, Overwrite, Version};
    let rig = Rig::new().await;
    let put = async |seed, on_conflict| {
        rig.upload(&Local::new("a.jpg", 300 << 10, seed).on_conflict(on_conflict)).await.unwrap().path
    };
    let path = put(1, KeepBoth).await;
    assert_eq!(put(1, KeepBoth).await, path, "equal content stays one file");
    let beside = put(2, KeepBoth).await;
    assert_ne!(beside, path);
    assert_eq!(put(3, Version).await, path);
    assert_eq!(rig.sim.file(&path).unwrap().overwritten, 0);
    assert_eq!(rig.sim.file(&path).unwrap().versions.len(), 1);
    assert_eq!(put(4, Overwrite).await, path);
    assert_eq!(rig.sim.file(&path).unwrap().overwritten, 1);
    assert_eq!(rig.sim.files().len(), 2);
}

#[tokio::test]
async fn the_cloud_says_no_in_our_words() {
    let rig = Rig::with(Options { quota: 10 << 20, file_cap: Some(5 << 20), ..Options::default() }).await;
    let outside = {
        let mut file = Local::new("x", 5, 1);
        file.upload.path = "/elsewhere/x".into();
        file
    };
    for (file, kind) in [
        (outside, Kind::Refused),
        (Local::new("a:b.jpg", 5, 1), Kind::Refused),
        (Local::new("full.jpg", 11 * MIB, 1), Kind::Full),
        (Local::new("large.jpg", 6 * MIB, 1), Kind::Refused),
    ] {
        let error = rig.upload(&file).await.unwrap_err();
        assert_eq!(error.kind, kind, "{}: {error}", file.upload.path);
        assert!(error.number().is_some(), "{error}");
    }
    assert_eq!(rig.drive.list("/apps/xpand/none", None).await.unwrap_err().kind, Kind::Missing);
    let quota = rig.drive.quota().await.unwrap().unwrap();
    assert_eq!((quota.used, quota.total), (0, 10 << 20));
}

#[tokio::test]
async fn slices_cut_for_another_membership_are_said_to_be() {
    let rig = Rig::new().await;
    let user = rig.drive.user().await.unwrap();
    assert_eq!((user.vip_type, user.slice_size), (Some(0), 4 << 20));
    let mut film = Local::new("film.jpg", 10 * MIB, 1);
    film.upload.slices = film.bytes.chunks(8 * MIB).map(Md5::of).collect();
    let Begin::Send { session, .. } = rig.drive.begin(&film.upload, None).await.unwrap() else { panic!() };
    let bytes = film.bytes.slice(..8 * MIB);
    let body = Box::pin(futures_util::stream::iter([Ok(bytes)]));
    let slice = Slice { number: 0, length: 8 << 20, body };
    let error = rig.drive.send(&film.upload, &session, slice).await.unwrap_err();
    assert_eq!((error.kind, error.number()), (Kind::SliceSize, Some(31364)), "{error}");
    rig.sim.set_vip(2).unwrap();
    assert_eq!(rig.drive.user().await.unwrap().slice_size, 32 << 20);
}

#[tokio::test]
async fn every_way_a_call_can_fail_has_its_kind() {
    let busy = Kind::Busy { after: None };
    let blocked = Kind::Blocked { after: Duration::from_hours(1) };
    for (fault, kind) in [
        (FaultKind::DropBefore, Kind::Offline),
        (FaultKind::DropAfter, Kind::Offline),
        (FaultKind::CutAnswer, Kind::Broken),
        (FaultKind::Empty500, busy),
        (FaultKind::Html(502), busy),
        (FaultKind::Html(400), Kind::Broken),
        (FaultKind::Html(200), Kind::Broken),
        (FaultKind::Status(429), Kind::Busy { after: Some(Duration::from_secs(60)) }),
        (FaultKind::Status(302), Kind::Broken),
        (FaultKind::Huge(10 << 20), Kind::Broken),
        (FaultKind::Errno(31034), Kind::Busy { after: Some(Duration::from_secs(60)) }),
        (FaultKind::ErrorCode(31112), Kind::Full),
        (FaultKind::Errno(77777), Kind::Refused),
        (FaultKind::Errno(20013), blocked),
        (FaultKind::Errno(17), Kind::DayLimit),
        (FaultKind::OAuth("invalid_client".into()), blocked),
    ] {
        let rig = Rig::new().await;
        let file = Local::new("a.jpg", 1000, 1);
        let Begin::Send { session, .. } = rig.drive.begin(&file.upload, None).await.unwrap() else {
            panic!()
        };
        rig.send(&file, &session, 0).await.unwrap();
        rig.sim.fault(Fault::always("", fault.clone())).unwrap();
        let kinds = [
            ("user", rig.drive.user().await.map(drop)),
            ("quota", rig.drive.quota().await.map(drop)),
            ("begin", rig.drive.begin(&file.upload, None).await.map(drop)),
            ("send", rig.send(&file, &session, 0).await.map(drop)),
            ("finish", rig.drive.finish(&file.upload, &session).await.map(drop)),
            ("list", rig.drive.list("/apps/xpand", None).await.map(drop)),
        ];
        for (call, result) in kinds {
            let error = result.unwrap_err();
            assert_eq!(error.kind, kind, "{fault:?} at {call}: {error}");
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("ACCESS") && !shown.contains("http://"), "{shown}");
        }
    }
}

#[tokio::test]
async fn json_that_calls_itself_html_is_read() {
    let rig = Rig::new().await;
    rig.sim.fault(Fault::always("", FaultKind::JsonAsHtml)).unwrap();
    rig.upload(&Local::new("a.jpg", 1000, 1)).await.unwrap();
}

#[tokio::test]
async fn a_slice_that_arrives_spoilt_shows_in_its_md5() {
    let rig = Rig::new().await;
    let file = Local::new("a.jpg", 1000, 1);
    let Begin::Send { session, .. } = rig.drive.begin(&file.upload, None).await.unwrap() else { panic!() };
    rig.sim.fault(Fault::once("superfile2", FaultKind::WrongMd5)).unwrap();
    assert_ne!(rig.send(&file, &session, 0).await.unwrap(), file.upload.slices[0]);
}

#[tokio::test]
async fn a_login_by_device_code_ends_with_a_working_drive() {
    let options = Options { code_interval: Duration::from_secs(1), ..Options::default() };
    let sim = CloudSim::start(options).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let accounts = Accounts::new(folder.path(), Clock::system());
    let account = account(&sim);
    let mut login = accounts.login(&account).await.unwrap();
    assert_eq!(login.prompt().user_code, sim.pending_codes()[0]);
    assert_eq!(login.step().await.unwrap(), Step::Waiting);
    sim.approve(None);
    assert_eq!(login.step().await.unwrap(), Step::Approved);
    let drive = cloud::open(&account, accounts.tokens(&account).unwrap(), Calls::uncounted()).unwrap();
    assert!(!drive.user().await.unwrap().id.is_empty());

    let mut login = accounts.login(&account).await.unwrap();
    sim.decline(None);
    assert_eq!(login.step().await.unwrap(), Step::Declined);
    let mut wrong = account.clone();
    wrong.client_secret = config::Secret::new("WRONGSECRET");
    let error = match accounts.login(&wrong).await {
        Ok(mut login) => login.step().await.unwrap_err(),
        Err(error) => error,
    };
    assert!(error.to_string().contains("client_id or client_secret is wrong"), "{error}");
    assert!(!format!("{error:?}").contains("WRONGSECRET"), "{error:?}");
}

#[tokio::test]
async fn an_expired_token_is_renewed_once_for_many_calls_at_a_time() {
    let rig = Rig::new().await;
    for round in 1..=2 {
        rig.sim.expire().unwrap();
        let calls = (0..8).map(|_| rig.drive.quota());
        for quota in futures_util::future::join_all(calls).await {
            quota.unwrap();
        }
        assert_eq!(rig.sim.count("/oauth/2.0/token"), round);
    }
    // A slice cannot be sent twice by itself: it says so, and the next one goes through.
    rig.sim.expire().unwrap();
    let file = Local::new("a.jpg", 1000, 1);
    let Begin::Send { session, .. } = rig.drive.begin(&file.upload, None).await.unwrap() else { panic!() };
    rig.send(&file, &session, 0).await.unwrap();
    for _ in 0..2 {
        rig.sim.expire().unwrap();
        let error = rig.send(&file, &session, 0).await.unwrap_err();
        assert_eq!(error.kind, Kind::Busy { after: Some(Duration::ZERO) }, "{error}");
        rig.send(&file, &session, 0).await.unwrap();
    }
    rig.drive.finish(&file.upload, &session).await.unwrap();
}

#[tokio::test]
async fn a_renewal_whose_answer_is_lost_is_tried_once_more_and_ends_in_words() {
    let rig = Rig::new().await;
    rig.sim.expire().unwrap();
    rig.sim.fault(Fault::once("refresh_token", FaultKind::DropAfter)).unwrap();
    assert_eq!(rig.drive.quota().await.unwrap_err().kind, Kind::Offline);
    let error = rig.reopen().quota().await.unwrap_err();
    assert_eq!(error.kind, Kind::Unauthorized);
    assert_eq!(error.code, Some(Code::OAuth("expired_token".into())));
    assert!(error.message.ends_with("run: xpand account login home"), "{error}");
    for _ in 0..3 {
        assert_eq!(rig.reopen().quota().await.unwrap_err().kind, Kind::Unauthorized);
    }
    assert_eq!(rig.sim.count("/oauth/2.0/token"), 2);
    // Lost before it was used: the login survives.
    let rig = Rig::new().await;
    rig.sim.expire().unwrap();
    rig.sim.fault(Fault::once("refresh_token", FaultKind::DropBefore)).unwrap();
    assert_eq!(rig.drive.quota().await.unwrap_err().kind, Kind::Offline);
    rig.reopen().quota().await.unwrap();
    // No network at all, for long: not an attempt, however often.
    rig.sim.expire().unwrap();
    let account = account(&rig.sim);
    let tokens = rig.accounts().tokens(&account).unwrap();
    let stale = tokens.token().await.unwrap();
    rig.sim.stop();
    for _ in 0..5 {
        let error = tokens.renew(&stale).await.unwrap_err();
        assert_eq!((error.kind, error.sent), (Kind::Offline, false), "{error:?}");
    }
    rig.sim.restart().unwrap();
    tokens.renew(&stale).await.unwrap();
}

#[tokio::test]
async fn a_device_is_bound_checked_unbound_in_the_app_and_stays_so() {
    let rig = Rig::new().await;
    let config =
        config::Device { kind: "2020073115900228875".into(), name: "box".into(), serial: Some("S".into()) };
    let device = Device::new(rig.folder.path(), Some(&config));
    let user = rig.drive.user().await.unwrap().id;
    let calls = rig.drive.devices().unwrap();
    assert_eq!(device.ensure_bound("home", &user, calls).await.unwrap(), Binding::Bound);
    assert_eq!(device.ensure_bound("home", &user, calls).await.unwrap(), Binding::Bound);
    assert_eq!((rig.sim.count("method=register"), rig.sim.count("method=bind")), (1, 1));
    let DeviceState::Registered { id, address } = device.state().unwrap() else { panic!() };
    assert_eq!(address, Md5::of("S").to_string());
    let all = calls.all().await.unwrap();
    assert!(all.iter().any(|entry| entry.id == id && entry.bound), "{all:?}");
    let checked = device.check("home", &user, calls).await.unwrap();
    assert_eq!(checked.binding, Binding::Bound);
    assert!(checked.changes.iter().any(|entry| entry.id == id));
    assert!(device.check("home", &user, calls).await.unwrap().changes.is_empty());

    rig.sim.unbind().unwrap();
    let checked = device.check("home", &user, calls).await.unwrap();
    assert_eq!(checked.binding, Binding::Unbound { by_user: true });
    assert!(checked.changes.iter().any(|entry| entry.id == id && !entry.bound));
    device.ensure_bound("home", &user, calls).await.unwrap();
    assert_eq!(rig.sim.count("method=bind"), 1);
    assert_eq!(device.bind("home", &user, calls).await.unwrap(), Binding::Bound);
    assert_eq!(device.unbind("home", &user, calls).await.unwrap(), Binding::Unbound { by_user: false });

    let unknown = config::Device { kind: "1".into(), ..config };
    let error = Device::new(rig.folder.path(), Some(&unknown)).ensure_registered(calls).await.unwrap_err();
    assert!(error.to_string().contains("the device type is not known"), "{error}");
}

#[tokio::test]
async fn a_device_that_others_have_names_them() {
    let rig = Rig::with(Options { max_users_per_device: 1, ..Options::default() }).await;
    let kind = "2020073115900228875".to_owned();
    let config = config::Device { kind, name: "box".into(), serial: Some("S".into()) };
    let device = Device::new(rig.folder.path(), Some(&config));
    device.ensure_bound("home", "1", rig.drive.devices().unwrap()).await.unwrap();
    rig.sim.add_token("other", "OTHER", None, None).unwrap();
    rig.accounts().import("home", r#"{"access_token":"OTHER"}"#).unwrap();
    let error = device.ensure_bound("home", "2", rig.drive.devices().unwrap()).await.unwrap_err();
    let words = error.to_string();
    assert!(words.contains("this device is bound to ") && words.ends_with("(errno 42103)"), "{words}");
    assert_eq!(device.binding("home").unwrap(), Binding::Unknown);
}
