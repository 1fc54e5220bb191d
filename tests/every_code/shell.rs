//! The same at the calls of a person at a shell: filemanager, its tasks, and downloads. Each number gives a
//! sentence with the number at its end, and the exit code it deserves; nothing is asked without end.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use cloudsim::{Fault, FaultKind};
use xpand::clock::Clock;
use xpand::cloud::files::{Opera, Run, Want};
use xpand::cloud::{self, BoxFuture, Calls, Drive, Error, Kind, Token, TokenSource};
use xpand::config::Config;
use xpand::content::Md5;
use xpand::fetch::reader::Read;
use xpand::fetch::{End, Reader, Wanted, Watch};

use super::NUMBERS;
use super::common::Rig;

const PATH: &str = "/apps/xpand/a.jpg";
const CONTENT: &[u8] = b"a photo of which nobody wants to lose a byte";

/// A cloud with one file, and the drive of the account.
fn shell() -> (Rig, Arc<dyn Drive>) {
    let rig = Rig::ready(|setup| setup.tidies = true);
    rig.sim.put_file("demo", PATH, CONTENT).unwrap();
    rig.sim.add_token("demo", TOKEN, None, None).unwrap();
    let config = Config::read(rig.config_file()).unwrap();
    let drive = cloud::open(&config.accounts[0], Arc::new(Tokens), Calls::uncounted()).unwrap();
    (rig, drive)
}

const TOKEN: &str = "access-of-the-shell";

/// A login that is renewed as often as anybody likes: a real one is not, after the third in vain.
struct Tokens;

impl TokenSource for Tokens {
    fn token(&self) -> BoxFuture<'_, cloud::Result<Token>> {
        Box::pin(async { Ok(Token::new(TOKEN)) })
    }

    fn renew<'a>(&'a self, _: &'a Token) -> BoxFuture<'a, cloud::Result<Token>> {
        self.token()
    }
}

/// Every number under both of its keys, and what it looks like at the end of a sentence.
fn numbers() -> impl Iterator<Item = (FaultKind, String)> {
    let both = |&number: &i64| {
        let errno = (FaultKind::Errno(number), format!("(errno {number})"));
        [errno, (FaultKind::ErrorCode(number), format!("(error_code {number})"))]
    };
    NUMBERS.iter().flat_map(both)
}

/// What a call says that always gets this answer. A refused token is renewed once.
async fn says<T>(
    rig: &Rig,
    endpoint: &str,
    kind: FaultKind,
    call: impl AsyncFn() -> cloud::Result<T>,
) -> Error {
    let mark = rig.mark();
    rig.sim.fault(Fault::always(endpoint, kind.clone())).unwrap();
    let error = call().await.err().unwrap_or_else(|| panic!("{endpoint} went well in spite of {kind}"));
    rig.sim.clear_faults();
    let most = if error.kind == Kind::Unauthorized { 2 } else { 1 };
    assert_eq!(rig.calls_after(mark, endpoint).len(), most, "{endpoint} {kind}: {error}");
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_number_at_filemanager_and_its_tasks() {
    let (rig, drive) = shell();
    let files = drive.files().unwrap();
    let delete = Opera::Delete(vec![PATH.to_owned()]);
    for (kind, end) in numbers() {
        let error = says(&rig, "method=filemanager", kind.clone(), async || {
            files.filemanager(&delete, Run::Adaptive).await
        });
        let error = error.await;
        let text = error.to_string();
        assert!(
            text.ends_with(&end) && text.starts_with("filemanager: ") && error.message.len() > 3,
            "{text}"
        );
        let is_task = kind == FaultKind::Errno(111);
        assert_eq!(text.contains("another task"), is_task, "{text}");
        let text = says(&rig, "taskquery", kind, async || files.taskquery("7").await).await.to_string();
        assert!(text.ends_with(&end) && text.starts_with("taskquery: "), "{text}");
    }
    assert_eq!(rig.sim.read(PATH).unwrap(), CONTENT, "nothing was done");
}

/// Nobody listens.
struct Deaf;

impl Watch for Deaf {
    fn begins(&self, _: &Wanted, _: u64) {}
    fn at(&self, _: &Wanted, _: u64) {}
    fn ended(&self, _: &str, _: Option<PathBuf>, _: u64, _: &End) {}
    fn waits(&self, _: &str) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_number_at_download() {
    let (rig, drive) = shell();
    let files = drive.files().unwrap();
    let size = CONTENT.len() as u64;
    let fs_id = rig.sim.file(PATH).unwrap().fs_id.to_string();
    let want = Want { dlink: true, ..Want::default() };
    let dlink = files.filemetas(std::slice::from_ref(&fs_id), want).await.unwrap()[0].dlink.clone().unwrap();
    let reader = Reader::new(files, Clock::system().hurried(100_000), &Deaf);
    for (kind, end) in numbers() {
        for place in ["GET /file/", "GET /cdn/"] {
            let error = says(&rig, place, kind.clone(), async || files.download(&dlink, 0, size).await).await;
            let text = error.to_string();
            assert!(text.ends_with(&end) && text.starts_with("download: "), "{place}: {text}");
            assert!(place == "GET /file/" || error.kind != Kind::Unauthorized, "no token went there: {text}");
            if place == "GET /cdn/" {
                continue;
            }
            // Always: given up in the end, with the number. Once: what passes costs nothing but time.
            let mark = rig.mark();
            rig.sim.fault(Fault::always(place, kind.clone())).unwrap();
            let why = match reader.read(&fs_id, &dlink, size, |_| ()).await {
                Ok(Read::Failed(why)) => why,
                Ok(Read::Content(_)) => panic!("{kind} was taken for the file"),
                Err(stop) => stop.to_string(),
            };
            assert!(why.ends_with(&end), "{why}");
            let calls = rig.calls_after(mark, place).len();
            assert!(calls <= 6, "{calls} calls for {kind}");
            rig.sim.clear_faults();
            rig.sim.fault(Fault::once(place, kind.clone())).unwrap();
            let read = reader.read(&fs_id, &dlink, size, |_| ()).await;
            if matches!(error.kind, Kind::Busy { .. } | Kind::Expired | Kind::Unauthorized) {
                let Ok(Read::Content(content)) = read else { panic!("{kind} passes: {read:?}") };
                assert_eq!((content.size, content.md5), (size, Md5::of(CONTENT)));
            } else {
                assert!(!matches!(read, Ok(Read::Content(_))), "{kind} was tried again");
            }
            rig.sim.clear_faults();
        }
    }
    assert!(rig.sim.leaks().is_empty());
}

#[test]
fn the_exit_code_says_whether_a_person_has_to_log_in() {
    use FaultKind::{Errno, ErrorCode};
    let (rig, _) = shell();
    let run = |args: &[&str], endpoint: &str, kind: &FaultKind, code: i32| {
        let _ = fs::remove_file(rig.state_dir().join("accounts/home.calls"));
        let key = if matches!(kind, Errno(_)) { "errno" } else { "error_code" };
        let (Errno(number) | ErrorCode(number)) = kind else { panic!("{kind}") };
        rig.sim.fault(Fault::always(endpoint, kind.clone())).unwrap();
        let said = rig.run(args);
        let words = format!("({key} {number})");
        assert!(
            said.code == Some(code) && (said.err.contains(&words) || said.out.contains(&words)),
            "{said:?}"
        );
        rig.sim.clear_faults();
        if code == 4 {
            rig.log_in("home");
        }
    };
    for (kind, code) in [
        (Errno(-6), 4),
        // As error_code no other task, but a token that has expired.
        (ErrorCode(111), 4),
        (Errno(-7), 1),
        (Errno(-10), 1),
        (Errno(17), 1),
        (Errno(31_034), 1),
        (Errno(42_202), 1),
        (ErrorCode(31_064), 1),
    ] {
        run(&["drive", "rm", "--yes", "a.jpg"], "method=filemanager", &kind, code);
    }
    let to = rig.path("home.jpg");
    let to = to.to_str().unwrap();
    for (kind, code) in
        [(Errno(-6), 4), (ErrorCode(31_066), 1), (ErrorCode(31_390), 1), (Errno(987_654_321), 1)]
    {
        run(&["drive", "get", "a.jpg", to], "GET /file/", &kind, code);
        assert!(!rig.path("home.jpg").exists(), "{kind}");
    }
    rig.run(&["drive", "get", "a.jpg", to]).done();
    assert_eq!(fs::read(to).unwrap(), CONTENT);
}
