//! The control socket as any other program sees it, in front of a made-up agent.
#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use xpand::control::client::{Client, ClientError};
use xpand::control::{
    Backend, BadCopy, BoxFuture, CopiesPage, CopiesQuery, CopyLine, Explain, Failure, FileLine, FileState,
    QueuePage, QueueQuery, Rebuild, Repaired, Result, Spot, Standing, server, socket,
};
use xpand::status::{State, Status};

/// Remembers what it was asked; its status counts the changes.
#[derive(Default)]
struct Agent {
    asked: Mutex<Vec<String>>,
    files: Mutex<u64>,
    changes: watch::Sender<()>,
}

impl Agent {
    fn note(&self, asked: String) {
        self.asked.lock().unwrap().push(asked);
    }

    fn change(&self) {
        *self.files.lock().unwrap() += 1;
        self.changes.send_replace(());
    }

    fn done(&self, asked: String) -> BoxFuture<'_, Result<()>> {
        self.note(asked);
        Box::pin(async { Ok(()) })
    }
}

impl Backend for Agent {
    fn status(&self) -> BoxFuture<'_, Status> {
        let mut status = Status { state: State::Idle, ..Status::default() };
        status.totals.counts.files = *self.files.lock().unwrap();
        Box::pin(async { status })
    }

    fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    fn queue(&self, query: QueueQuery) -> BoxFuture<'_, Result<QueuePage>> {
        self.note(format!("{query:?}"));
        let file = FileLine {
            path: "/a".to_owned(),
            account: "home".to_owned(),
            size: 1,
            state: FileState::Waiting,
            reason: None,
            tries: 0,
            next_try: None,
            remote: None,
        };
        Box::pin(async { Ok(QueuePage { files: vec![file], next: Some("x&y".to_owned()) }) })
    }

    fn explain(&self, spot: Spot) -> BoxFuture<'_, Result<Explain>> {
        Box::pin(
            async move { Ok(Explain { label: spot.label, ..Explain::new(spot.path, Standing::Outside) }) },
        )
    }

    fn copies(&self, query: CopiesQuery) -> BoxFuture<'_, Result<CopiesPage>> {
        self.note(format!("{query:?}"));
        let copy = CopyLine {
            label: "photo".to_owned(),
            account: "home".to_owned(),
            below: "a%FF".to_owned(),
            size: 1,
            mtime_ns: Some(-1),
            md5: "d41d8cd98f00b204e9800998ecf8427e".to_owned(),
            fs_id: "7".to_owned(),
            remote: "/apps/xpand/photo/a%FF".to_owned(),
            gone: true,
        };
        Box::pin(async { Ok(CopiesPage { copies: vec![copy], next: Some("a%FF".to_owned()) }) })
    }

    fn pause(&self, time: Option<Duration>) -> BoxFuture<'_, Result<()>> {
        self.done(format!("pause {time:?}"))
    }

    fn resume(&self) -> BoxFuture<'_, Result<()>> {
        self.done("resume".to_owned())
    }

    fn scan(&self, path: Option<PathBuf>) -> BoxFuture<'_, Result<()>> {
        self.done(format!("scan {path:?}"))
    }

    fn accept(&self, path: PathBuf) -> BoxFuture<'_, Result<()>> {
        self.done(format!("accept {}", path.display()))
    }

    fn retry(&self, path: Option<PathBuf>) -> BoxFuture<'_, Result<()>> {
        self.done(format!("retry {path:?}"))
    }

    fn repair(&self, files: Vec<BadCopy>) -> BoxFuture<'_, Result<Vec<Repaired>>> {
        self.note(format!("{files:?}"));
        Box::pin(async move { Ok(vec![Repaired::Queued; files.len()]) })
    }

    fn forget(&self, files: Vec<BadCopy>) -> BoxFuture<'_, Result<Vec<Repaired>>> {
        self.note(format!("{files:?}"));
        Box::pin(async move { Ok(vec![Repaired::Forgotten; files.len()]) })
    }

    fn reload(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Err(Failure::bad_config("c.toml:1:1: no").hint("mend it")) })
    }

    fn rebuild(&self) -> BoxFuture<'_, Result<Rebuild>> {
        Box::pin(async { Ok(Rebuild { set_aside: "/s/db.damaged".into() }) })
    }
}

struct Rig {
    agent: Arc<Agent>,
    client: Client,
    path: PathBuf,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Rig {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        let listener = socket::bind(&path).unwrap();
        let agent = Arc::new(Agent::default());
        let (stop, stopped) = oneshot::channel::<()>();
        let backend = Arc::clone(&agent) as Arc<dyn Backend>;
        let server = tokio::spawn(server::serve(listener, backend, async {
            let _ = stopped.await;
        }));
        Self { agent, client: Client::new(&path), path, stop, server, _folder: folder }
    }

    /// What a plain HTTP client gets, until the server closes.
    async fn raw(&self, request: &str) -> String {
        let (path, request) = (self.path.clone(), request.to_owned());
        tokio::task::spawn_blocking(move || {
            let mut stream = UnixStream::connect(path).unwrap();
            // A server that has heard enough may close before it has read all.
            let _ = stream.write_all(request.as_bytes());
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            String::from_utf8(answer).unwrap()
        })
        .await
        .unwrap()
    }

    async fn ask(&self, line: &str, body: &str) -> (String, String) {
        let answer = self
            .raw(&format!(
                "{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ))
            .await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.lines().next().unwrap().to_owned();
        (status, body.to_owned())
    }
}

#[tokio::test]
async fn requests_reach_the_agent_and_answers_come_back() {
    let rig = Rig::start();
    let client = &rig.client;
    assert_eq!(client.status().await.unwrap().state, State::Idle);
    let page = client
        .queue(&QueueQuery { state: Some(FileState::Waiting), limit: 5, after: Some("x&y".to_owned()) })
        .await
        .unwrap();
    assert_eq!(page.next.as_deref(), Some("x&y"));
    let path = PathBuf::from(std::ffi::OsStr::from_bytes(b"/a\xff b"));
    let query =
        CopiesQuery { path, label: Some("相片 &".to_owned()), after: Some("a%FF+".to_owned()), limit: 7 };
    let page = client.copies(&query).await.unwrap();
    assert_eq!((page.copies[0].below.as_str(), page.copies[0].mtime_ns), ("a%FF", Some(-1)));
    client.pause(Some(Duration::from_secs(60))).await.unwrap();
    client.pause(None).await.unwrap();
    client.resume().await.unwrap();
    client.scan(None).await.unwrap();
    client.retry(Some(Path::new("/照片/a b&c%"))).await.unwrap();
    let explained = client.explain(Path::new("/照片/a+b")).await.unwrap();
    assert_eq!(explained.path, "/照片/a+b");
    assert_eq!(
        *rig.agent.asked.lock().unwrap(),
        [
            "QueueQuery { state: Some(Waiting), limit: 5, after: Some(\"x&y\") }",
            "CopiesQuery { path: \"/a\\xFF b\", label: Some(\"相片 &\"), after: Some(\"a%FF+\"), limit: 7 }",
            "pause Some(60s)",
            "pause None",
            "resume",
            "scan None",
            "retry Some(\"/照片/a b&c%\")",
        ]
    );
}

#[tokio::test]
async fn a_refusal_keeps_its_code_message_and_hint() {
    let rig = Rig::start();
    let Err(ClientError::Refused(failure)) = rig.client.reload().await else {
        panic!("not refused");
    };
    assert_eq!(failure, Failure::bad_config("c.toml:1:1: no").hint("mend it"));
    assert_eq!(rig.client.rebuild().await.unwrap().set_aside, "/s/db.damaged");
}

#[tokio::test]
async fn whatever_is_asked_wrongly_is_answered_in_one_shape() {
    let rig = Rig::start();
    let large = "x".repeat(65 * 1024);
    for (line, body, status, code) in [
        ("GET /v2", "", "404 Not Found", "not_found"),
        ("POST /v1/status", "", "405 Method Not Allowed", "method_not_allowed"),
        ("GET /v1/pause", "", "405 Method Not Allowed", "method_not_allowed"),
        ("DELETE /v1/explain", "", "405 Method Not Allowed", "method_not_allowed"),
        ("POST /v1/pause", "{\"for\":", "400 Bad Request", "bad_request"),
        ("POST /v1/resume", "{\"for\":1}", "400 Bad Request", "bad_request"),
        ("POST /v1/scan", &large, "413 Payload Too Large", "too_large"),
        ("GET /v1/queue?state=lost", "", "400 Bad Request", "bad_request"),
        ("GET /v1/explain?path=a", "", "400 Bad Request", "bad_request"),
    ] {
        let (first, text) = rig.ask(line, body).await;
        assert_eq!(first, format!("HTTP/1.1 {status}"), "{line}");
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["error"]["code"], code, "{line}");
        assert!(document["error"]["message"].is_string(), "{line}");
        assert!(document["error"].get("hint").is_some(), "{line}");
    }
    assert_eq!(
        rig.ask("GET /v1/queue?state=lost", "").await.1,
        r#"{"error":{"code":"bad_request","message":"state: there is no \"lost\"","hint":"one of waiting, active, failed, done"}}"#
    );
    for (line, allowed) in
        [("POST /v1/status", "GET"), ("DELETE /v1/explain", "GET, POST"), ("GET /v1/scan", "POST")]
    {
        let told = rig.ask(line, "").await.1;
        assert!(told.contains(&format!("\"hint\":\"use {allowed}\"")), "{line}: {told}");
    }
    assert_eq!(rig.ask("POST /v1/scan", "").await.1, "{}");
    assert!(rig.raw("nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn events_come_at_once_and_then_at_most_four_times_a_second() {
    let rig = Rig::start();
    let mut events = rig.client.events().await.unwrap();
    let started = std::time::Instant::now();
    let mut seen = events.next().await.unwrap().unwrap().totals.counts.files;
    assert_eq!(seen, 0);
    let agent = Arc::clone(&rig.agent);
    let changing = tokio::spawn(async move {
        for _ in 0..100 {
            agent.change();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let mut documents = 1;
    while seen < 100 {
        let now = events.next().await.unwrap().unwrap().totals.counts.files;
        assert!(now > seen, "nothing new was told");
        seen = now;
        documents += 1;
    }
    changing.await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(250) * (documents - 1));
    // Who comes later sees the present at once; what is marked but not changed is not told.
    let mut other = rig.client.events().await.unwrap();
    let first = other.next().await.unwrap().unwrap();
    assert_eq!(first.totals.counts.files, 100);
    rig.agent.changes.send_replace(());
    let quiet = timeout(Duration::from_millis(600), other.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
}

#[tokio::test]
async fn many_idle_clients_do_not_keep_others_out() {
    let rig = Rig::start();
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(tokio::net::UnixStream::connect(&rig.path).await.unwrap());
    }
    let answer = timeout(Duration::from_secs(60), rig.client.status()).await;
    assert_eq!(answer.unwrap().unwrap().state, State::Idle);
}

#[tokio::test]
async fn too_many_watchers_are_told_so() {
    let rig = Rig::start();
    let mut watching = Vec::new();
    let refused = loop {
        match rig.client.events().await {
            Ok(mut events) => {
                events.next().await.unwrap().unwrap();
                watching.push(events);
            }
            Err(error) => break error,
        }
    };
    assert_eq!(watching.len(), 32);
    assert_eq!(refused.to_string(), "32 clients watch already");
    assert_eq!(rig.client.status().await.unwrap().state, State::Idle);
}

#[tokio::test]
async fn shutdown_ends_even_those_who_watch() {
    let rig = Rig::start();
    let mut events = rig.client.events().await.unwrap();
    events.next().await.unwrap().unwrap();
    rig.stop.send(()).unwrap();
    timeout(Duration::from_secs(60), rig.server).await.unwrap().unwrap();
    assert!(!matches!(events.next().await, Ok(Some(_))));
    assert_eq!(
        rig.client.status().await.unwrap_err().to_string(),
        format!("the agent is not running: nobody answers at {}", rig.path.display())
    );
}

#[tokio::test]
async fn copies_to_repair_go_in_as_many_requests_as_it_takes() {
    let rig = Rig::start();
    let bad = |number: usize| BadCopy {
        label: "photo".to_owned(),
        below: format!("{number}-{}", "%FF\\\"".repeat(2000)),
        fs_id: "7".to_owned(),
        remote: "/apps/xpand/photo/x".to_owned(),
    };
    let files: Vec<_> = (0..10).map(bad).collect();
    let repaired = rig.client.repair(&files).await.unwrap();
    assert_eq!(repaired, [Repaired::Queued; 10]);
    let asked = rig.agent.asked.lock().unwrap().concat();
    let places: Vec<_> = (0..10).map(|number| asked.find(&format!("\"{number}-%FF")).unwrap()).collect();
    assert!(places.is_sorted(), "{places:?}");
    assert!(rig.agent.asked.lock().unwrap().len() > 1, "a request has its bounds");
    assert_eq!(rig.client.forget(&files[..2]).await.unwrap(), [Repaired::Forgotten; 2]);
    for path in ["repair", "forget", "explain"] {
        let (status, body) = rig.ask(&format!("POST /v1/{path}"), r#"{"files":[{"label":"photo"}]}"#).await;
        assert!(status.contains("400") && body.contains("bad_request"), "{path} {status} {body}");
    }
    assert!(rig.client.forget(&[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn many_paths_are_explained_in_few_requests_and_in_order() {
    let rig = Rig::start();
    let paths: Vec<PathBuf> =
        (0..300).map(|number| format!("/a/{number} \u{1b}\"{}", "x".repeat(300)).into()).collect();
    let label = |number: usize| number.is_multiple_of(2).then(|| format!("label {number}"));
    let spots: Vec<Spot> =
        paths.into_iter().enumerate().map(|(number, path)| Spot { path, label: label(number) }).collect();
    let explained = rig.client.explain_all(&spots).await.unwrap();
    let told: Vec<Spot> =
        explained.into_iter().map(|line| Spot { path: line.path.into(), label: line.label }).collect();
    assert_eq!(told, spots);
}
