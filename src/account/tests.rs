//! Logins and renewals against a scripted cloud, crash step by crash step.

#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::*;
use crate::cloud::{Authority, BoxFuture, Code, DeviceCode, Grant, Kind, Life, Poll, Token, TokenSource};

type Answer<T> = Box<dyn FnOnce() -> cloud::Result<T> + Send>;

/// A cloud that answers what it is told, and remembers which refresh tokens it was sent.
#[derive(Default)]
pub(super) struct Fake {
    pub(super) refreshes: Mutex<VecDeque<Answer<Grant>>>,
    pub(super) polls: Mutex<VecDeque<Answer<Poll>>>,
    pub(super) sent: Mutex<Vec<String>>,
    pub(super) hold: Option<tokio::sync::Semaphore>,
    pub(super) application: Option<String>,
}

impl Authority for Fake {
    fn start(&self) -> BoxFuture<'_, cloud::Result<DeviceCode>> {
        Box::pin(async {
            Ok(DeviceCode {
                secret: Token::new("DEVICECODE"),
                user_code: "WDJB".into(),
                verification_url: "https://openapi.baidu.com/device".into(),
                qrcode_url: String::new(),
                expires_in: Duration::from_secs(60),
                interval: Duration::from_secs(5),
            })
        })
    }

    fn poll<'a>(&'a self, _: &'a DeviceCode) -> BoxFuture<'a, cloud::Result<Poll>> {
        let answer = self.polls.lock().unwrap().pop_front();
        Box::pin(async { answer.map_or(Ok(Poll::Pending), |answer| answer()) })
    }

    fn application(&self) -> Option<&str> {
        self.application.as_deref()
    }

    fn obtain(&self) -> BoxFuture<'_, cloud::Result<Grant>> {
        self.sent.lock().unwrap().push("obtain".into());
        let answer = self.refreshes.lock().unwrap().pop_front();
        Box::pin(async { answer.unwrap()() })
    }

    fn refresh<'a>(&'a self, refresh: &'a Token) -> BoxFuture<'a, cloud::Result<Grant>> {
        Box::pin(async move {
            self.sent.lock().unwrap().push(refresh.secret().to_owned());
            if let Some(hold) = &self.hold {
                hold.acquire().await.unwrap().forget();
            }
            let answer = self.refreshes.lock().unwrap().pop_front();
            answer.unwrap()()
        })
    }
}

pub(super) fn grant(access: &str, refresh: Option<&str>) -> Grant {
    Grant {
        access: Token::new(access),
        refresh: refresh.map(Token::new),
        life: Some(Life::For(Duration::from_secs(30 * 86_400))),
    }
}

pub(super) fn used() -> cloud::Error {
    cloud::Error::new(Kind::Unauthorized, "token", "the refresh token has expired or was used")
        .with_code(Code::OAuth("expired_token".into()))
}

pub(super) fn lost() -> cloud::Error {
    cloud::Error::new(Kind::Offline, "token", "the connection broke")
}

pub(super) const START: i64 = 1_700_000_000;

/// A state folder with a login (`a1`, `r1`, good for 30 days), a clock, a cloud.
pub(super) struct Rig {
    pub(super) folder: tempfile::TempDir,
    now: Arc<AtomicI64>,
    pub(super) cloud: Arc<Fake>,
}

impl Rig {
    pub(super) fn new(fake: Fake) -> Self {
        let now = Arc::new(AtomicI64::new(START));
        let rig = Self { folder: tempfile::tempdir().unwrap(), now, cloud: Arc::new(fake) };
        if rig.cloud.application.is_some() {
            return rig;
        }
        let ends = Timestamp::from_second(START + 30 * 86_400).unwrap();
        let json = format!(r#"{{"access_token":"a1","refresh_token":"r1","expires_at":"{ends}"}}"#);
        rig.accounts().import("home", &json).unwrap();
        rig
    }

    pub(super) fn answering(answers: Vec<cloud::Result<Grant>>) -> Self {
        let rig = Self::new(Fake::default());
        rig.answer(answers);
        rig
    }

    pub(super) fn answer(&self, answers: Vec<cloud::Result<Grant>>) {
        let answers = answers.into_iter().map(|answer| Box::new(move || answer) as Answer<Grant>);
        self.cloud.refreshes.lock().unwrap().extend(answers);
    }

    pub(super) fn accounts(&self) -> Accounts {
        let now = Arc::clone(&self.now);
        let clock = Clock::from_fn(move || now.load(Ordering::Relaxed) * 1_000_000_000);
        Accounts::new(self.folder.path(), clock)
    }

    /// As a process that has just started.
    pub(super) fn start(&self) -> Arc<Tokens> {
        self.accounts().tokens_of("home", self.cloud.clone()).unwrap()
    }

    pub(super) fn pass(&self, seconds: i64) {
        self.now.fetch_add(seconds, Ordering::Relaxed);
    }

    pub(super) fn file(&self) -> serde_json::Value {
        serde_json::from_slice(&fs::read(self.path()).unwrap()).unwrap()
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("accounts/home.json")
    }

    pub(super) fn sent(&self) -> Vec<String> {
        self.cloud.sent.lock().unwrap().clone()
    }
}

pub(super) async fn get(tokens: &Tokens) -> cloud::Result<String> {
    Ok(tokens.token().await?.secret().to_owned())
}

pub(super) async fn renew(tokens: &Tokens, stale: &str) -> cloud::Result<String> {
    Ok(tokens.renew(&Token::new(stale)).await?.secret().to_owned())
}

#[tokio::test]
async fn imported_tokens_are_private_and_shown_nowhere() {
    let rig = Rig::answering(vec![]);
    let tokens = rig.start();
    assert_eq!(get(&tokens).await.unwrap(), "a1");
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(rig.path()), 0o600);
    assert_eq!(mode(rig.folder.path().join("accounts")), 0o700);
    assert_eq!(format!("{tokens:?}"), "Tokens { name: \"home\", .. }");
    assert_eq!(rig.accounts().list().unwrap().len(), 1);
}

#[test]
fn what_is_not_to_be_imported_is_refused_without_showing_it() {
    let rig = Rig::answering(vec![]);
    for json in [
        "SECRET",
        r#"{"access_token":"a","token":"SECRET"}"#,
        r#"{"access_token":["SECRET"]}"#,
        r#"{"access_token":"SEC RET"}"#,
        r#"{"access_token":""}"#,
        r#"{"access_token":"a","expires_at":"SECRET"}"#,
    ] {
        let error = rig.accounts().import("home", json).unwrap_err();
        assert!(!format!("{error:?} {error}").contains("SEC"), "{error}");
        assert!(error.to_string().contains("expected {\"access_token\""), "{error}");
    }
    assert_eq!(rig.file()["access_token"], "a1", "the tokens that were there are");
    for name in ["", "..", "../x", "a/b", ".hidden"] {
        assert!(matches!(rig.accounts().import(name, "{}"), Err(Error::Name(_))), "{name}");
    }
}

#[tokio::test]
async fn logging_out_and_in_elsewhere_is_noticed_at_the_next_call() {
    let rig = Rig::answering(vec![]);
    let (tokens, accounts) = (rig.start(), rig.accounts());
    get(&tokens).await.unwrap();
    let before = accounts.stamp("home");
    assert!(accounts.logout("home").unwrap());
    assert!(!accounts.logout("home").unwrap());
    assert_ne!(accounts.stamp("home"), before);
    assert_eq!(accounts.state("home"), State::LoggedOut);
    let error = get(&tokens).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unauthorized);
    assert_eq!(error.to_string(), "token: not logged in; run: xpand account login home");
    accounts.import("home", r#"{"access_token":"a2"}"#).unwrap();
    assert_eq!(get(&tokens).await.unwrap(), "a2");
    assert_eq!(
        accounts.state("home"),
        State::Ready { expires_at: None, renewable: false, of_application: false }
    );
    let error = renew(&tokens, "a2").await.unwrap_err();
    assert!(error.message.contains("without a refresh token"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_login_asks_at_the_pace_the_cloud_wants_and_ends_with_tokens_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Arc::new(Fake::default());
    let answers: Vec<cloud::Result<Poll>> =
        vec![Ok(Poll::Pending), Ok(Poll::SlowDown), Err(lost()), Ok(Poll::Granted(grant("a9", Some("r9"))))];
    for answer in answers {
        fake.polls.lock().unwrap().push_back(Box::new(move || answer));
    }
    let path = folder.path().join("accounts/home.json");
    let clock = Clock::from_fn(|| START * 1_000_000_000);
    let mut login = Login::start(fake, path.clone(), clock).await.unwrap();
    assert_eq!(login.prompt().user_code, "WDJB");
    for (step, seconds) in [(Step::Waiting, 5), (Step::Waiting, 5), (Step::Waiting, 10), (Step::Approved, 10)]
    {
        let begun = tokio::time::Instant::now();
        assert_eq!(login.step().await.unwrap(), step);
        assert_eq!(begun.elapsed().as_secs(), seconds);
    }
    let stored = Stored::load(&path).unwrap().unwrap();
    assert_eq!(stored.access(), Token::new("a9"));
    assert_eq!(stored.expires_at.unwrap().as_second(), START + 30 * 86_400);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_nobody_approves_ends() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::from_fn(|| 0);
    let path = folder.path().join("home.json");
    let mut login = Login::start(Arc::new(Fake::default()), path, clock).await.unwrap();
    let mut steps = 1;
    while login.step().await.unwrap() == Step::Waiting {
        steps += 1;
    }
    assert_eq!(steps, 12);
}

#[tokio::test]
async fn a_login_is_renewed_a_day_before_it_ends_and_not_earlier() {
    let rig = Rig::answering(vec![Ok(grant("a2", Some("r2")))]);
    let tokens = rig.start();
    rig.pass(29 * 86_400 - 1);
    assert_eq!(get(&tokens).await.unwrap(), "a1");
    rig.pass(1);
    assert_eq!(get(&tokens).await.unwrap(), "a2");
    assert_eq!(rig.sent(), ["r1"]);
    assert_eq!((&rig.file()["access_token"], &rig.file()["refresh_token"]), (&"a2".into(), &"r2".into()));
    assert_eq!(rig.file().get("attempt"), None);
}

#[tokio::test]
async fn many_calls_and_two_processes_send_a_refresh_token_once() {
    let rig = Rig::answering(vec![Ok(grant("a2", Some("r2")))]);
    let (one, other) = (rig.start(), rig.start());
    let calls = (0..20).map(|i| {
        let tokens = Arc::clone(if i % 2 == 0 { &one } else { &other });
        async move { renew(&tokens, "a1").await.unwrap() }
    });
    for token in futures_util::future::join_all(calls).await {
        assert_eq!(token, "a2");
    }
    assert_eq!(rig.sent(), ["r1"]);
}

#[tokio::test]
async fn the_attempt_is_on_disk_before_it_is_sent_and_the_new_pair_before_it_is_used() {
    let rig = Rig::answering(vec![]);
    let path = rig.path();
    rig.cloud.refreshes.lock().unwrap().push_back(Box::new(move || {
        let marked = fs::read_to_string(path).unwrap();
        assert!(marked.contains("attempt") && marked.contains("r1"));
        Ok(grant("a2", Some("r2")))
    }));
    let tokens = rig.start();
    assert_eq!(renew(&tokens, "a1").await.unwrap(), "a2");
    assert_eq!(rig.file()["refresh_token"], "r2");
}

#[tokio::test]
async fn a_crash_between_sending_and_saving_leaves_the_old_token_in_use_and_one_more_attempt() {
    // Before the end of the old token: it is used, and nothing is sent.
    let rig = Rig::answering(vec![Err(lost())]);
    rig.pass(29 * 86_400);
    assert_eq!(get(&rig.start()).await.unwrap(), "a1");
    assert_eq!(rig.file()["attempt"]["tries"], 1);
    for _ in 0..3 {
        assert_eq!(get(&rig.start()).await.unwrap(), "a1");
    }
    assert_eq!(rig.sent().len(), 1);
    // At its end: one attempt; then, while nobody knows, one an hour.
    rig.pass(86_400);
    rig.answer(vec![Err(lost())]);
    assert_eq!(get(&rig.start()).await.unwrap_err().kind, Kind::Offline);
    for _ in 0..3 {
        let error = get(&rig.start()).await.unwrap_err();
        assert_eq!(error.kind, Kind::Busy { after: Some(Duration::from_secs(3600)) }, "{error}");
    }
    assert_eq!(rig.sent().len(), 2);
    rig.pass(3600);
    rig.answer(vec![Ok(grant("a2", Some("r2")))]);
    assert_eq!(get(&rig.start()).await.unwrap(), "a2");
}

#[tokio::test]
async fn a_token_that_was_used_up_in_a_crash_ends_in_words_and_at_most_one_attempt_an_hour() {
    let rig = Rig::answering(vec![Err(lost()), Err(used())]);
    renew(&rig.start(), "a1").await.unwrap_err();
    let error = renew(&rig.start(), "a1").await.unwrap_err();
    assert_eq!(
        (error.kind, error.code.clone()),
        (Kind::Unauthorized, Some(Code::OAuth("expired_token".into())))
    );
    assert!(error.to_string().contains("; run: xpand account login home (expired_token)"), "{error}");
    assert!(matches!(rig.accounts().state("home"), State::Refused { .. }));
    for _ in 0..5 {
        assert_eq!(renew(&rig.start(), "a1").await.unwrap_err().kind, Kind::Unauthorized);
    }
    assert_eq!(rig.sent().len(), 2);
    rig.pass(3600);
    rig.answer(vec![Err(lost())]);
    assert_eq!(renew(&rig.start(), "a1").await.unwrap_err().kind, Kind::Offline);
    assert_eq!(renew(&rig.start(), "a1").await.unwrap_err().kind, Kind::Unauthorized);
    assert_eq!(rig.sent().len(), 3);
    rig.pass(3600);
    rig.answer(vec![Ok(grant("a2", Some("r2")))]);
    assert_eq!(renew(&rig.start(), "a1").await.unwrap(), "a2");
    assert!(matches!(rig.accounts().state("home"), State::Ready { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_not_offered_again_and_a_new_login_is_used_at_once() {
    let rig = Rig::answering(vec![Err(used())]);
    let tokens = rig.start();
    renew(&tokens, "a1").await.unwrap_err();
    for _ in 0..5 {
        assert_eq!(get(&tokens).await.unwrap_err().kind, Kind::Unauthorized);
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    assert_eq!(rig.sent().len(), 1);
    rig.accounts().import("home", r#"{"access_token":"a7"}"#).unwrap();
    assert_eq!(get(&tokens).await.unwrap(), "a7");
}

#[tokio::test(start_paused = true)]
async fn attempts_that_were_never_sent_count_for_nothing() {
    let rig = Rig::answering((0..5).map(|_| Err(lost().unsent())).collect());
    let tokens = rig.start();
    for _ in 0..5 {
        assert_eq!(renew(&tokens, "a1").await.unwrap_err().kind, Kind::Offline);
        assert_eq!(rig.file()["attempt"]["tries"], 1);
    }
    rig.answer(vec![Ok(grant("a2", Some("r2")))]);
    // Without a network, one attempt in a while is enough.
    assert_eq!(get(&tokens).await.unwrap_err().kind, Kind::Offline);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(get(&tokens).await.unwrap(), "a2");
}

#[tokio::test]
async fn an_answer_without_a_refresh_token_is_asked_for_exactly_once_more() {
    let rig = Rig::answering(vec![Ok(grant("a2", None)), Ok(grant("a2", Some("r2")))]);
    assert_eq!(renew(&rig.start(), "a1").await.unwrap(), "a2");
    let rig = Rig::answering(vec![Ok(grant("a2", None)), Ok(grant("a2", None))]);
    assert_eq!(renew(&rig.start(), "a1").await.unwrap_err().kind, Kind::Broken);
    assert!(matches!(renew(&rig.start(), "a1").await.unwrap_err().kind, Kind::Busy { .. }));
    assert_eq!(rig.sent().len(), 2);
}

#[tokio::test]
async fn a_renewal_outlives_the_call_that_wanted_it() {
    let fake = Fake { hold: Some(tokio::sync::Semaphore::new(0)), ..Fake::default() };
    let rig = Rig::new(fake);
    rig.answer(vec![Ok(grant("a2", Some("r2")))]);
    let tokens = rig.start();
    {
        let wanted = tokens.token();
        drop(wanted);
        let stale = Token::new("a1");
        let call = tokens.renew(&stale);
        tokio::select! {
            biased;
            _ = call => unreachable!("the cloud has not answered"),
            () = async { while rig.sent().is_empty() { tokio::task::yield_now().await } } => {}
        }
    }
    rig.cloud.hold.as_ref().unwrap().add_permits(1);
    tokens.settle().await;
    assert_eq!(rig.file()["access_token"], "a2");
    assert_eq!(get(&tokens).await.unwrap(), "a2");
}

#[tokio::test]
async fn a_new_pair_that_cannot_be_written_is_not_used_and_not_lost() {
    let rig = Rig::answering(vec![]);
    let blocked = rig.path().with_extension("json.new");
    let block = blocked.clone();
    rig.cloud.refreshes.lock().unwrap().push_back(Box::new(move || {
        fs::create_dir(block).unwrap();
        Ok(grant("a2", Some("r2")))
    }));
    let tokens = rig.start();
    for _ in 0..2 {
        assert_eq!(renew(&tokens, "a1").await.unwrap_err().kind, Kind::Local);
    }
    assert_eq!(rig.file()["access_token"], "a1");
    fs::remove_dir(blocked).unwrap();
    assert_eq!(renew(&tokens, "a1").await.unwrap(), "a2");
    assert_eq!((rig.sent().len(), &rig.file()["refresh_token"]), (1, &"r2".into()));
}

#[tokio::test]
async fn nothing_is_sent_when_the_attempt_cannot_be_written_down() {
    let rig = Rig::answering(vec![]);
    fs::create_dir(rig.path().with_extension("json.new")).unwrap();
    assert_eq!(renew(&rig.start(), "a1").await.unwrap_err().kind, Kind::Local);
    assert_eq!(rig.sent().len(), 0);
}

#[tokio::test]
async fn a_cloud_that_refuses_what_it_gives_out_is_not_asked_for_ever() {
    let rig = Rig::answering((2..7).map(|i| Ok(grant(&format!("a{i}"), Some(&format!("r{i}"))))).collect());
    let tokens = rig.start();
    let mut token = "a1".to_owned();
    let error = loop {
        match renew(&tokens, &token).await {
            Ok(new) => token = new,
            Err(error) => break error,
        }
    };
    assert!(error.message.contains("refuses the tokens it has just given out"), "{error}");
    assert_eq!(rig.sent(), ["r1", "r2", "r3", "r4", "r5"]);
}

#[tokio::test]
async fn a_damaged_file_is_an_error_in_words_and_no_secret() {
    let rig = Rig::answering(vec![]);
    for text in ["", "SECRET", r#"{"access_token":"SECRET"}"#, r#"["SECRET"]"#] {
        fs::write(rig.path(), text).unwrap();
        let error = get(&rig.start()).await.unwrap_err();
        assert_eq!(error.kind, Kind::Local);
        assert!(!format!("{error:?}").contains("SECRET"), "{error:?}");
        assert!(matches!(rig.accounts().state("home"), State::Damaged { .. }));
    }
}
