//! The control socket of the real agent and clients that mean no good: they ask for what is none of their
//! business, stop in the middle, come by the hundred and do not read what they asked for.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::media::photo;
use common::{PATIENCE, Rig};
use xpand::control::client::ClientError;
use xpand::control::{Standing, socket};

/// What a client gets that sends this and then nothing more, at most a MiB.
fn ask(socket: &Path, request: impl AsRef<[u8]>) -> Vec<u8> {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // A server that has heard enough may close before it has read all.
    let _ = stream.write_all(request.as_ref());
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.take(1 << 20).read_to_end(&mut answer);
    answer
}

/// The same, for an ordinary request; what follows the head.
fn ask_for(socket: &Path, line: &str, body: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let head = format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
    let mut answer = Vec::new();
    if line.contains("/v1/events") {
        // It never ends: the first document will do.
        let mut piece = [0; 64 << 10];
        while !answer.ends_with(b"\n\n\r\n") && !answer.starts_with(b"HTTP/1.1 4") {
            match stream.read(&mut piece) {
                Ok(got) if got > 0 => answer.extend_from_slice(&piece[..got]),
                _ => break,
            }
        }
    } else {
        let _ = stream.take(1 << 20).read_to_end(&mut answer);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn encoded(path: &str) -> String {
    path.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_can_be_asked_tells_a_secret_or_what_lies_outside_the_folders() {
    let mut rig = Rig::ready(|setup| setup.device = Some("RIG-2"));
    // Both are there, at places that a client may name in many ways.
    let outside = rig.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("diary.jpg"), "MARK-OF-A-FILE-OUTSIDE").unwrap();
    rig.put("a.jpg", &[photo(1, 3000), b"MARK-OF-A-PHOTO".to_vec()].concat());
    symlink(&outside, rig.root("photo").join("away")).unwrap();
    symlink(outside.join("diary.jpg"), rig.root("photo").join("link.jpg")).unwrap();
    rig.begin();
    rig.wait_arrived().await;
    let socket = rig.path("sock");
    let root = rig.root("photo").display().to_string();
    let tokens = fs::read_to_string(rig.state_dir().join("accounts/home.json")).unwrap();
    // The rig's tokens, by the beginning that all of them have.
    let mut secrets: Vec<String> = ["access-home-", "refresh-home-"].map(str::to_owned).to_vec();
    assert!(secrets.iter().all(|secret| tokens.contains(secret)), "the rig has other tokens now");
    secrets
        .extend(["MARK-OF-A-PHOTO", "MARK-OF-A-FILE-OUTSIDE", "client_secret", "root:"].map(str::to_owned));
    let places = [
        format!("{}/accounts/home.json", rig.state_dir().display()),
        rig.config_file().display().to_string(),
        "/etc/shadow".to_owned(),
        "/etc/passwd".to_owned(),
        format!("{root}/../state/accounts/home.json"),
        format!("{root}/../outside/diary.jpg"),
        format!("{root}/away/diary.jpg"),
        format!("{root}/link.jpg"),
        format!("{root}/a.jpg"),
        root.clone(),
        "/".to_owned(),
        "/proc/self/environ".to_owned(),
        "//etc//shadow\0.jpg".to_owned(),
        "file:///etc/shadow".to_owned(),
        String::new(),
    ];
    let mut lines: Vec<(String, String)> = Vec::new();
    for name in ["status", "queue", "explain", "events", "pause", "resume", "scan", "retry", "reload"] {
        for method in ["GET", "POST"] {
            lines.push((format!("{method} /v1/{name}"), String::new()));
            for place in &places {
                lines.push((format!("{method} /v1/{name}?path={}", encoded(place)), String::new()));
                let body = serde_json::json!({ "path": place }).to_string();
                lines.push((format!("{method} /v1/{name}"), body));
            }
        }
    }
    for place in places.iter().filter(|place| place.starts_with('/') && !place.contains('\0')) {
        for line in
            [place.clone(), format!("/v1{place}"), format!("/v1/..{place}"), format!("/v1/status/..{place}")]
        {
            lines.push((format!("GET {line}"), String::new()));
        }
        let hex: String = place.bytes().map(|byte| format!("{byte:02x}")).collect();
        for state in ["", "done", "failed", "active"] {
            lines.push((format!("GET /v1/queue?state={state}&limit=1000&after=0-{hex}"), String::new()));
            lines.push((
                format!("GET /v1/queue?state={state}&after=99999999999999999999-{hex}"),
                String::new(),
            ));
        }
    }
    for method in ["HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"] {
        lines.push((format!("{method} /v1/status"), String::new()));
        lines.push((format!("{method} http://pan.baidu.com/etc/shadow"), String::new()));
    }
    let asked = lines.len();
    let (sock, searched) = (socket.clone(), secrets.clone());
    let answers = tokio::task::spawn_blocking(move || {
        for (line, body) in lines {
            let answer = ask_for(&sock, &line, &body);
            assert!(answer.starts_with("HTTP/1.1 "), "{line}: {answer:?}");
            for secret in &searched {
                assert!(!answer.contains(secret.as_str()), "{line} {body}: {answer}");
            }
        }
    });
    answers.await.unwrap();
    println!("{asked} requests");

    // Whether something is there or not, outside the folders the answer is the same.
    let explain = |path: String| {
        let client = rig.client.clone();
        async move {
            let mut told = client.explain(Path::new(&path)).await.unwrap();
            told.path = String::new();
            told
        }
    };
    for (there, not) in [
        ("/etc/passwd".to_owned(), "/etc/passwd-not".to_owned()),
        ("/etc".to_owned(), "/etc-not".to_owned()),
        (format!("{root}/../outside"), format!("{root}/../outside-not")),
        (format!("{root}/../outside/diary.jpg"), format!("{root}/../outside/diary-not.jpg")),
        (format!("{root}/away/diary.jpg"), format!("{root}/away/diary-not.jpg")),
        (format!("{root}/away/."), format!("{root}/away")),
    ] {
        assert_eq!(explain(there.clone()).await, explain(not).await, "{there}");
    }
    assert_eq!(explain(format!("{root}/../outside")).await.state, Standing::Outside);
    assert_eq!(explain(format!("{root}/away/../../state")).await.state, Standing::Outside);
    let scan = rig.client.scan(Some(Path::new(&format!("{root}/../outside")))).await;
    assert!(matches!(scan, Err(ClientError::Refused(failure)) if failure.code == "not_found"));
    rig.client.resume().await.unwrap();
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_too_large_or_half_or_several_at_once_are_answered_one_by_one() {
    let rig = Rig::start(|_| ());
    rig.wait_quiet().await;
    let socket = rig.path("sock");
    tokio::task::spawn_blocking(move || {
        let get = "GET /v1/status HTTP/1.1\r\nHost: x\r\n";
        let status = |answer: &[u8]| String::from_utf8_lossy(answer.get(9..12).unwrap_or_default()).into_owned();
        let long = "x".repeat(1_000_000);
        for (request, expected) in [
            (format!("GET /v1/explain?path=/{long} HTTP/1.1\r\nHost: x\r\n\r\n"), &["414", "431", "400"][..]),
            (format!("{get}X: {long}\r\n\r\n"), &["431", "400"]),
            (format!("{get}{}\r\n", "x: y\r\n".repeat(10_000)), &["431", "400"]),
            (format!("POST /v1/scan HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n{long}"), &["413"]),
            ("POST /v1/scan HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n".into(), &["400"]),
            ("POST /v1/scan HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n".into(), &["400"]),
            (
                "POST /v1/scan HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx".into(),
                &["400", "413", ""],
            ),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), &["400", "505", ""]),
            ("\u{16}\u{3}\u{1}\u{2}".into(), &["400", ""]),
            (get[..20].to_owned(), &["400", ""]),
        ] {
            let answer = ask(&socket, &request);
            let head = &request[..request.len().min(60)];
            assert!(expected.contains(&status(&answer).as_str()), "{head}: {:?}", String::from_utf8_lossy(&answer));
        }
        // Two at once, the second the last: two answers, in order.
        let two = "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\nGET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(two.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 2, "{answer}");
        assert!(answer.contains("HTTP/1.1 404 Not Found"), "{answer}");
    })
    .await
    .unwrap();
    rig.status().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_bad_clients_cost_little_memory_and_keep_nobody_out() {
    let rig = Rig::ready(|_| ());
    // An answer that is worth something: a page of the queue of some 50 KB.
    rig.put_photos(200);
    let program = rig.spawn();
    rig.wait_arrived().await;
    let socket = rig.path("sock");
    let before = program.memory("VmRSS");
    let page = "GET /v1/queue?state=done&limit=1000 HTTP/1.1\r\nHost: x\r\n\r\n";
    let connect = || {
        let stream = UnixStream::connect(&socket).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream
    };
    let mut clients = Vec::new();
    for _ in 0..25 {
        for request in [
            // Says nothing; half a head; half a body; watches and does not read; asks and does not read.
            String::new(),
            "GET /v1/stat".to_owned(),
            "POST /v1/scan HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n{".to_owned(),
            "GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            page.repeat(500),
        ] {
            let mut stream = connect();
            // What the server does not take is not sent.
            let _ = stream.write(request.as_bytes());
            clients.push(stream);
        }
    }
    for _ in 0..5 {
        rig.status().await;
        rig.client.pause(None).await.unwrap();
        rig.client.resume().await.unwrap();
    }
    let grown = program.memory("VmRSS").saturating_sub(before);
    println!("{} clients: {before} KiB, and then {grown} KiB more", clients.len());
    assert!(grown < 30 << 10, "{before} KiB, and then {grown} KiB more");
    drop(clients);
    rig.put("new.jpg", &photo(7, 3000));
    rig.wait_arrived().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_places_are_busy_a_new_client_is_told_so_and_later_served() {
    let rig = Rig::start(|_| ());
    rig.wait_quiet().await;
    let socket = rig.path("sock");
    let begun = Instant::now();
    loop {
        let path = socket.clone();
        // A body that does not come keeps the agent busy for ten seconds; it says when it waits for it.
        let busy: Vec<UnixStream> = tokio::task::spawn_blocking(move || {
            let slow =
                "POST /v1/scan HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n";
            let open = |_| {
                let mut stream = UnixStream::connect(&path).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let _ = stream.write_all(slow.as_bytes());
                let _ = stream.read(&mut [0; 100]);
                stream
            };
            (0..64).map(open).collect()
        })
        .await
        .unwrap();
        let answer = rig.client.status().await;
        drop(busy);
        if let Err(ClientError::Refused(failure)) = answer {
            assert_eq!((failure.status, failure.code.as_str()), (503, "busy"), "{failure:?}");
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "never refused: {answer:?}");
    }
    rig.until("served again", |_| true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_socket_of_a_dead_agent_is_replaced_and_that_of_a_living_one_is_not() {
    let rig = Rig::ready(|_| ());
    let socket = rig.path("sock");
    let first = rig.spawn();
    rig.wait_quiet().await;
    let metadata = fs::metadata(&socket).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o660);
    // Another configuration's agent wants the same place.
    let elsewhere = tempfile::tempdir().unwrap();
    let other = elsewhere.path().join("other.toml");
    let text = fs::read_to_string(rig.config_file()).unwrap();
    fs::write(&other, text.replace("/state\"", "/state2\"")).unwrap();
    let run = |config: &Path| {
        Command::new(env!("CARGO_BIN_EXE_xpand")).arg("--config").arg(config).arg("run").output()
    };
    let refused = run(&other).unwrap();
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && words.contains("another agent answers at"), "{words}");
    rig.status().await;
    first.kill();
    assert!(fs::metadata(&socket).unwrap().file_type().is_socket(), "a killed agent leaves its socket");
    let _second = rig.spawn();
    rig.wait_quiet().await;
}

#[tokio::test]
async fn what_is_no_socket_of_ours_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("file"), "mine").unwrap();
    fs::create_dir(at("folder")).unwrap();
    let _listener = UnixListener::bind(at("live")).unwrap();
    drop(UnixListener::bind(at("dead")).unwrap());
    for (name, to) in
        [("to-file", "file"), ("to-live", "live"), ("to-dead", "dead"), ("to-nothing", "nothing")]
    {
        symlink(at(to), at(name)).unwrap();
    }
    for name in ["file", "folder", "live", "to-file", "to-live", "to-dead", "to-nothing"] {
        let before = fs::symlink_metadata(at(name)).unwrap();
        let refused = socket::bind(&at(name)).unwrap_err();
        let after = fs::symlink_metadata(at(name)).unwrap();
        assert_eq!((after.ino(), after.mode()), (before.ino(), before.mode()), "{name}: {refused}");
    }
    assert_eq!(fs::read(at("file")).unwrap(), b"mine");
    assert!(!at("nothing").exists());
    socket::bind(&at("dead")).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_socket_belongs_to_the_group_xpand_where_there_is_one() {
    let rig = Rig::ready(|_| ());
    let group = rig.path("group");
    fs::write(&group, "root:x:0:\nxpand:x:4242:\n").unwrap();
    let in_own_mounts = |command: &str| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "sh", "-c"]).arg(format!("mount --bind \"$0\" /etc/group && {command}"));
        unshare.arg(&group).arg(env!("CARGO_BIN_EXE_xpand")).arg(rig.config_file());
        unshare
    };
    match in_own_mounts("grep -q 4242 /etc/group").output() {
        Ok(output) if output.status.success() => {}
        other => {
            println!("SKIPPED: no mount namespace with a group file of its own: {other:?}");
            return;
        }
    }
    let mut agent =
        in_own_mounts("exec \"$1\" --config \"$2\" run").stderr(std::process::Stdio::null()).spawn().unwrap();
    rig.wait_quiet().await;
    let metadata = fs::metadata(rig.path("sock")).unwrap();
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert_eq!((metadata.gid(), metadata.permissions().mode() & 0o7777), (4242, 0o660));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_dawdles_is_answered_in_the_end_and_closed() {
    let rig = Rig::start(|_| ());
    rig.wait_quiet().await;
    let socket = rig.path("sock");
    tokio::task::spawn_blocking(move || {
        let slow = |head: &'static str| {
            let path = socket.clone();
            std::thread::spawn(move || {
                let mut stream = UnixStream::connect(path).unwrap();
                let begun = Instant::now();
                // A letter now and then, as long as somebody listens.
                stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
                let _ = stream.write_all(head.as_bytes());
                let (mut answer, mut piece) = (Vec::new(), [0; 1000]);
                loop {
                    let _ = stream.write_all(b"x");
                    match stream.read(&mut piece) {
                        Ok(0) => break,
                        Ok(got) => answer.extend_from_slice(&piece[..got]),
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                        Err(_) => break,
                    }
                    assert!(begun.elapsed() < PATIENCE, "it may dawdle for ever");
                }
                String::from_utf8_lossy(&answer).into_owned()
            })
        };
        let head = slow("GET /v1/status HTTP/1.1\r\nX: ");
        let body =
            slow("POST /v1/scan HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5000\r\n\r\n");
        let silent = slow("");
        let body = body.join().unwrap();
        assert!(body.starts_with("HTTP/1.1 408"), "{body}");
        for answer in [head.join().unwrap(), silent.join().unwrap()] {
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
        }
    })
    .await
    .unwrap();
}
