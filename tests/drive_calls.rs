//! Every call of `Files` and `Shares` against `cloudsim`, the second witness: look, search, count, manage,
//! fetch, preview and share, page by page and with everything that can be turned down.

#![allow(clippy::unwrap_used)]

#[path = "drive_calls/shares.rs"]
mod shares;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use cloudsim::{CloudSim, Fault, FaultKind, Options};
use futures_util::StreamExt;
use xpand::account::Accounts;
use xpand::clock::Clock;
use xpand::cloud::files::{
    CategoryList, Download, Files, Item, ItemResult, ListAll, ListKind, OnDup, Opera, Order, Place, Run,
    Search, Sort, TaskStatus, Transfer, Want,
};
use xpand::cloud::shares::Shares;
use xpand::cloud::{self, Calls, Drive, Error, Kind, Page};
use xpand::config;
use xpand::content::Md5;

/// A cloud, an account that is logged in, its drive.
struct Rig {
    sim: CloudSim,
    _folder: tempfile::TempDir,
    drive: Arc<dyn Drive>,
}

impl Rig {
    async fn new() -> Self {
        Self::with(Options::default()).await
    }

    async fn with(options: Options) -> Self {
        let sim = CloudSim::start(options).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        sim.add_token("demo", "ACCESS-1", Some("REFRESH-1"), None).unwrap();
        let accounts = Accounts::new(folder.path(), Clock::system());
        accounts.import("home", r#"{"access_token":"ACCESS-1","refresh_token":"REFRESH-1"}"#).unwrap();
        let account = config::Account {
            name: "home".into(),
            provider: config::Provider::Baidu,
            client_id: "demo".into(),
            client_secret: config::Secret::new("demo"),
            app: "xpand".into(),
            endpoint: Some(sim.url().parse().unwrap()),
            ca_file: None,
            share_type: Some(2001),
            share_secret: Some(config::Secret::new("secret")),
        };
        let drive = cloud::open(&account, accounts.tokens(&account).unwrap(), Calls::uncounted()).unwrap();
        Self { sim, _folder: folder, drive }
    }

    fn files(&self) -> &dyn Files {
        self.drive.files().unwrap()
    }

    fn shares(&self) -> &dyn Shares {
        self.drive.shares().unwrap()
    }

    fn put(&self, path: &str, bytes: &[u8]) {
        self.sim.put_file("demo", path, bytes).unwrap();
    }

    fn id(&self, path: &str) -> String {
        self.sim.file(path).unwrap().fs_id.to_string()
    }

    async fn dlink(&self, path: &str) -> String {
        let want = Want { dlink: true, ..Want::default() };
        let items = self.files().filemetas(&[self.id(path)], want).await.unwrap();
        items[0].dlink.clone().unwrap()
    }

    fn fault(&self, endpoint: &str, kind: FaultKind) {
        self.sim.fault(Fault::times(endpoint, kind, 1)).unwrap();
    }
}

fn names(page: &Page<Item>) -> Vec<&str> {
    page.entries.iter().map(|item| item.server_filename.as_str()).collect()
}

const fn below(path: &str) -> Place<'_> {
    Place { path, recursion: true }
}

fn way(path: &str, dest: &str, newname: &str) -> Transfer {
    Transfer { path: path.into(), dest: dest.into(), newname: newname.into(), ondup: OnDup::Fail }
}

/// Path and number of each item.
fn told(info: &[ItemResult]) -> Vec<(&str, i64)> {
    info.iter().map(|item| (item.path.as_str(), item.errno)).collect()
}

/// What came, and how it ended.
async fn drain(mut download: Download) -> (Vec<u8>, Option<Error>) {
    let mut bytes = Vec::new();
    while let Some(piece) = download.body.next().await {
        match piece {
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(error) => return (bytes, Some(error)),
        }
    }
    (bytes, None)
}

#[tokio::test]
async fn every_list_is_followed_to_its_end_page_by_page() {
    let rig = Rig::new().await;
    for number in 0..1005 {
        rig.put(&format!("/apps/xpand/many/IMG_{number:04}.jpg"), b"photo");
    }
    let files = rig.files();
    let dir = "/apps/xpand/many";
    let (sort, want) = (Sort::default(), Want::default());
    let (all, images) = (
        ListAll { recursion: true, ..ListAll::default() },
        CategoryList { categories: vec![3], ext: vec![] },
    );
    let key = Search { key: "img_".into(), ..Search::default() };
    for (which, pages) in [("list", 2), ("listall", 2), ("imagelist", 2), ("categorylist", 2), ("search", 3)]
    {
        let (mut after, mut seen, mut count) = (None, std::collections::BTreeSet::new(), 0);
        loop {
            let page = match which {
                "list" => files.list(dir, sort, want, after).await,
                "listall" => files.listall("/apps", &all, after).await,
                "imagelist" => files.list_kind(ListKind::Image, below("/apps"), sort, want, after).await,
                "categorylist" => files.categorylist(&images, below("/apps"), sort, after).await,
                _ => files.search(&key, below("/"), after).await,
            }
            .unwrap();
            count += 1;
            seen.extend(page.entries.into_iter().filter(|item| !item.isdir).map(|item| item.path));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!((seen.len(), count), (1005, pages), "{which}");
    }
    let counted = files.categoryinfo(3, below("/apps")).await.unwrap();
    assert_eq!((counted.count, counted.size), (1005, 1005 * 5));
}

#[tokio::test]
async fn lists_have_the_order_and_the_extras_that_were_asked_for() {
    let rig = Rig::new().await;
    let dir = "/apps/xpand/a";
    for (name, size) in [("b.jpg", 3), ("a.jpg", 2), ("c.mp4", 1), ("d.docx", 4), ("e.torrent", 5)] {
        rig.put(&format!("{dir}/{name}"), &vec![7; size]);
        rig.sim.advance(Duration::from_secs(60));
    }
    rig.put(&format!("{dir}/in/deep.jpg"), b"deep");
    let files = rig.files();
    let by_size = Sort { order: Order::Size, desc: true };
    let want = Want { thumbs: true, ..Want::default() };
    let page = files.list(dir, by_size, want, None).await.unwrap();
    assert_eq!(names(&page)[..3], ["in", "e.torrent", "d.docx"], "{:?}", names(&page));
    let (folder, photo) =
        (&page.entries[0], page.entries.iter().find(|item| item.server_filename == "b.jpg"));
    assert_eq!((folder.isdir, folder.size, folder.dir_empty), (true, 0, Some(true)));
    let photo = photo.unwrap();
    assert_eq!((photo.size, photo.category, photo.thumbs.is_empty()), (3, Some(3), false));
    assert!(photo.server_mtime.is_some() && photo.md5.is_some());
    let folders = Want { folders: true, ..Want::default() };
    assert_eq!(names(&files.list(dir, Sort::default(), folders, None).await.unwrap()), ["in"]);

    for (kind, found) in [
        (ListKind::Doc, "d.docx"),
        (ListKind::Image, "b.jpg a.jpg"),
        (ListKind::Video, "c.mp4"),
        (ListKind::Bt, "e.torrent"),
    ] {
        let place = Place { path: dir, recursion: false };
        let page = files.list_kind(kind, place, Sort::default(), want, None).await.unwrap();
        let mut found: Vec<&str> = found.split(' ').collect();
        let mut names = names(&page);
        found.sort_unstable();
        names.sort_unstable();
        assert_eq!(names, found);
    }
    let ask = CategoryList { categories: vec![1, 3], ext: vec!["mp4".into()] };
    assert_eq!(names(&files.categorylist(&ask, below(dir), Sort::default(), None).await.unwrap()), ["c.mp4"]);
    let since = ListAll { recursion: true, ctime: photo.server_ctime, ..ListAll::default() };
    let newer = files.listall(dir, &since, None).await.unwrap();
    assert!(!names(&newer).contains(&"b.jpg") && names(&newer).contains(&"d.docx"), "{:?}", names(&newer));

    let key = |key: &str| Search { key: key.into(), ..Search::default() };
    let found = files.search(&key("DEEP"), below("/apps"), None).await.unwrap();
    assert_eq!(names(&found), ["deep.jpg"]);
    let here = Place { path: dir, recursion: false };
    assert!(files.search(&key("deep"), here, None).await.unwrap().entries.is_empty(), "not below");
    let photos = Search { category: Some(3), ..key(".") };
    assert_eq!(files.search(&photos, below(dir), None).await.unwrap().entries.len(), 3);
    let stranger = Search { device_id: Some("7".into()), ..key("a") };
    assert_eq!(files.search(&stranger, below(dir), None).await.unwrap_err().number(), Some(42101));

    for error in [
        files.list("/none", Sort::default(), want, None).await.unwrap_err(),
        files.listall("/none", &ListAll::default(), None).await.unwrap_err(),
        files.list_kind(ListKind::Doc, below("/none"), Sort::default(), want, None).await.unwrap_err(),
    ] {
        assert_eq!(error.kind, Kind::Missing, "{error}");
    }
    let calls = rig.sim.calls().len();
    let error = files.search(&key(&"ü".repeat(31)), below("/"), None).await.unwrap_err();
    assert_eq!((error.kind, error.sent), (Kind::Refused, false));
    let many: Vec<String> = (0..101).map(|id| id.to_string()).collect();
    assert_eq!(files.filemetas(&many, want).await.unwrap_err().kind, Kind::Refused);
    assert_eq!(rig.sim.calls().len(), calls, "neither reached the cloud");
    // Those that do not exist are left out.
    let some = [rig.id("/apps/xpand/a/a.jpg"), "1".to_owned()];
    assert_eq!(files.filemetas(&some, want).await.unwrap().len(), 1);
}

#[tokio::test]
async fn items_are_copied_moved_renamed_and_deleted_and_each_says_how_it_fared() {
    let rig = Rig::new().await;
    for name in ["a", "b", "c"] {
        rig.put(&format!("/apps/xpand/{name}.jpg"), name.as_bytes());
    }
    let files = rig.files();
    let made = files.create_folder("/apps/xpand/to/deep").await.unwrap();
    assert_eq!((made.path.as_str(), made.id.is_empty()), ("/apps/xpand/to/deep", false));
    let again = files.create_folder("/apps/xpand/to/deep").await.unwrap();
    assert_eq!(again.path, made.path, "one that is there is no failure");
    assert_eq!(files.create_folder("/apps/xpand/a.jpg").await.unwrap_err().kind, Kind::Exists, "a file is");

    let copies = [
        way("/apps/xpand/a.jpg", "/apps/xpand/to", "a copy.jpg"),
        way("/apps/xpand/never.jpg", "/apps/xpand/to", "never.jpg"),
        way("/apps/xpand/b.jpg", "/apps/xpand", "c.jpg"),
        Transfer { ondup: OnDup::Skip, ..way("/apps/xpand/b.jpg", "/apps/xpand", "c.jpg") },
        Transfer { ondup: OnDup::Overwrite, ..way("/apps/xpand/b.jpg", "/apps/xpand", "a.jpg") },
    ];
    let managed = files.filemanager(&Opera::Copy(copies.to_vec()), Run::Sync).await.unwrap();
    assert_eq!(managed.taskid, None);
    let (a, b) = ("/apps/xpand/a.jpg", "/apps/xpand/b.jpg");
    assert_eq!(told(&managed.info), [(a, 0), ("/apps/xpand/never.jpg", -9), (b, -8), (b, 0), (b, 0)]);
    assert_eq!(managed.info[1].meaning, "there is no such file or folder");
    assert_eq!(rig.sim.read("/apps/xpand/to/a copy.jpg").unwrap(), b"a");
    assert_eq!(rig.sim.read(a).unwrap(), b"b", "replaced, since that was asked for");

    let renamed = Opera::Rename(vec![(a.into(), "new \"name\".jpg".into()), (b.into(), "B.jpg".into())]);
    let managed = files.filemanager(&renamed, Run::Sync).await.unwrap();
    assert_eq!(told(&managed.info), [(a, 31062), (b, 0)], "a quote is not allowed in a name");
    assert_eq!(managed.info[0].meaning, "the name is not allowed");
    let moved = Opera::Move(vec![way("/apps/xpand/to", "/apps/xpand", "moved")]);
    assert_eq!(told(&files.filemanager(&moved, Run::Adaptive).await.unwrap().info), [("/apps/xpand/to", 0)]);
    assert_eq!(rig.sim.read("/apps/xpand/moved/a copy.jpg").unwrap(), b"a");

    let deleted = Opera::Delete(vec!["/apps/xpand/moved".into(), "/apps/xpand/never".into()]);
    let managed = files.filemanager(&deleted, Run::Sync).await.unwrap();
    assert!(managed.info.iter().all(|item| item.errno == 0), "{managed:?}");
    assert!(rig.sim.file("/apps/xpand/moved/a copy.jpg").is_none());
}

#[tokio::test]
async fn a_task_is_followed_to_its_end_and_a_second_one_has_to_wait() {
    let options = Options { task_time: Duration::from_secs(600), ..Options::default() };
    let rig = Rig::with(options).await;
    rig.put("/apps/xpand/a.jpg", b"a");
    let files = rig.files();
    let delete = Opera::Delete(vec!["/apps/xpand/a.jpg".into()]);
    let managed = files.filemanager(&delete, Run::Async).await.unwrap();
    let taskid = managed.taskid.unwrap();
    assert!(managed.info.is_empty());
    assert_eq!(files.taskquery(&taskid).await.unwrap().status, TaskStatus::Pending);
    let busy = files.filemanager(&delete, Run::Async).await.unwrap_err();
    assert_eq!((busy.kind, busy.number()), (Kind::Busy { after: Some(Duration::from_secs(10)) }, Some(111)));
    rig.sim.advance(Duration::from_secs(400));
    assert_eq!(files.taskquery(&taskid).await.unwrap().status, TaskStatus::Running);
    rig.sim.advance(Duration::from_secs(400));
    let task = files.taskquery(&taskid).await.unwrap();
    assert_eq!((task.status, task.errno), (TaskStatus::Success, 0));
    assert_eq!(told(&task.info), [("/apps/xpand/a.jpg", 0)]);
    assert!(rig.sim.file("/apps/xpand/a.jpg").is_none());

    let copy = Opera::Copy(vec![way("/apps/xpand/a.jpg", "/apps/xpand", "b.jpg")]);
    let taskid = files.filemanager(&copy, Run::Async).await.unwrap().taskid.unwrap();
    rig.sim.advance(Duration::from_secs(700));
    let task = files.taskquery(&taskid).await.unwrap();
    assert_eq!((task.status, task.errno), (TaskStatus::Failed, 12));
    assert_eq!(told(&task.info), [("/apps/xpand/a.jpg", -9)]);
    assert_eq!(files.taskquery("7").await.unwrap_err().number(), Some(36016));
}

#[tokio::test]
async fn a_file_is_fetched_whole_and_in_part_and_its_token_stays_with_the_cloud() {
    let rig = Rig::new().await;
    let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let size = content.len() as u64;
    rig.put("/apps/xpand/a.mp4", &content);
    let files = rig.files();
    let dlink = rig.dlink("/apps/xpand/a.mp4").await;
    let whole = files.download(&dlink, 0, size).await.unwrap();
    assert_eq!((whole.from, whole.total), (0, content.len() as u64));
    assert_eq!(whole.content_md5, Some(Md5::of(&content)));
    let (bytes, error) = drain(whole).await;
    assert!(bytes == content && error.is_none(), "{error:?}");
    let part = files.download(&dlink, 1_000_000, size).await.unwrap();
    assert_eq!((part.from, part.total, part.content_md5), (1_000_000, 1_200_000, Some(Md5::of(&content))));
    let (bytes, error) = drain(part).await;
    assert!(bytes == content[1_000_000..] && error.is_none(), "{error:?}");

    rig.fault("GET /cdn/", FaultKind::CutBody(1000));
    let (bytes, error) = drain(files.download(&dlink, 0, size).await.unwrap()).await;
    assert!(bytes.len() <= 1000 && bytes == content[..bytes.len()]);
    assert_eq!(error.unwrap().kind, Kind::Offline);
    // Nothing tells that this one is too short but the size that the listing gave.
    rig.fault("GET /cdn/", FaultKind::Shorter(1));
    let short = files.download(&dlink, 0, size).await.unwrap();
    assert_eq!(short.total, content.len() as u64 - 1);
    rig.fault("GET /cdn/", FaultKind::NoRange);
    assert_eq!(files.download(&dlink, 5, size).await.unwrap().from, 0);
    rig.fault("GET /cdn/", FaultKind::WrongMd5);
    assert_eq!(files.download(&dlink, 0, size).await.unwrap().content_md5, Some(Md5::of("")));

    for (place, kind, expected) in [
        ("GET /file/", FaultKind::ErrorCode(31360), Kind::Expired),
        ("GET /cdn/", FaultKind::ErrorCode(31362), Kind::Expired),
        ("GET /cdn/", FaultKind::Html(403), Kind::Broken),
        ("GET /file/", FaultKind::Redirect("https://evil.example/x".into()), Kind::Broken),
        ("GET /cdn/", FaultKind::Empty500, Kind::Busy { after: None }),
        ("GET /file/", FaultKind::DropBefore, Kind::Offline),
    ] {
        rig.fault(place, kind);
        let error = files.download(&dlink, 0, size).await.err().unwrap();
        assert_eq!(error.kind, expected, "{error}");
    }
    rig.sim.advance(Duration::from_secs(9 * 3600));
    assert_eq!(files.download(&dlink, 0, size).await.err().unwrap().kind, Kind::Expired);
    let fresh = rig.dlink("/apps/xpand/a.mp4").await;
    rig.sim.remove("demo", "/apps/xpand/a.mp4").unwrap();
    assert_eq!(files.download(&fresh, 0, size).await.err().unwrap().kind, Kind::Missing);
    assert!(rig.sim.leaks().is_empty(), "{:?}", rig.sim.leaks());
}

#[tokio::test]
async fn an_expired_token_is_renewed_before_a_file_is_fetched() {
    let rig = Rig::new().await;
    rig.put("/apps/xpand/a.jpg", b"photo");
    let dlink = rig.dlink("/apps/xpand/a.jpg").await;
    rig.sim.expire().unwrap();
    let download = rig.files().download(&dlink, 0, 5).await.unwrap();
    assert_eq!(drain(download).await.0, b"photo");
    assert_eq!(rig.sim.count("/oauth/2.0/token"), 1);
    assert!(rig.sim.leaks().is_empty());
}

#[tokio::test]
async fn a_document_is_previewed_part_by_part() {
    let rig = Rig::new().await;
    rig.put("/apps/xpand/a.docx", &vec![7; 100 << 10]);
    let files = rig.files();
    let want = Want { thumbs: true, ..Want::default() };
    let page = files.list_kind(ListKind::Doc, below("/apps"), Sort::default(), want, None).await.unwrap();
    let address = page.entries[0].lodocpreview.clone().unwrap();
    let first = files.newinfo(&address, 0).await.unwrap();
    assert_eq!(first.page_num, 2);
    for index in 0..first.page_num {
        let part = files.newinfo(&address, index).await.unwrap();
        let (bytes, error) = drain(files.newview(&address, &part).await.unwrap()).await;
        assert!(bytes.starts_with(b"%PDF-1.4") && error.is_none(), "{error:?}");
        assert!(String::from_utf8_lossy(&bytes).contains(&format!("part {} of 2", index + 1)));
    }
    assert!(files.newinfo(&address, 2).await.is_err());
    rig.sim.advance(Duration::from_secs(9 * 3600));
    assert_eq!(files.newinfo(&address, 0).await.unwrap_err().kind, Kind::Expired);
    let previews = rig.sim.calls().into_iter().filter(|call| call.path.starts_with("/doc/"));
    assert!(previews.into_iter().all(|call| !format!("{call:?}").contains("access_token")));
}

#[test]
fn a_command_that_waits_for_its_turn_says_how_long_and_why() {
    let options =
        Options { auto_approve: true, code_interval: Duration::from_millis(100), ..Options::default() };
    let sim = CloudSim::start_blocking(options).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (config, state) = (folder.path().join("c.toml"), folder.path().join("state"));
    let text = format!(
        "[agent]\nstate_dir = {state:?}\n[account.home]\nclient_id = \"demo\"\nclient_secret = \"demo\"\n\
         endpoint = {:?}\n",
        sim.url()
    );
    std::fs::write(&config, text).unwrap();
    std::fs::create_dir_all(state.join("accounts")).unwrap();
    // As many calls as a minute has, all of them made just now.
    let made = format!("uinfo {}\n", Clock::system().now_ms());
    std::fs::write(state.join("accounts/home.calls"), made.repeat(20)).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_xpand"))
        .env_clear()
        .arg("--config")
        .arg(&config)
        .args(["account", "login", "home"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut words = Vec::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        words.push(line.unwrap());
        if words.last().is_some_and(|line| line.starts_with("waiting")) {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let last = words.last().unwrap();
    let wait = last.strip_prefix("waiting ").and_then(|rest| rest.split_once(" s: "));
    let (secs, why) = wait.unwrap_or_else(|| panic!("{words:?}"));
    assert!((1..=65).contains(&secs.parse::<u32>().unwrap()), "{words:?}");
    assert_eq!(why, "the cloud allows 20 uinfo calls a minute");
}
