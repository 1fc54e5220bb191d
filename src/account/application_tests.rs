//! Applications that log in by themselves, against a scripted cloud.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::tests::{Fake, Rig, get, grant, lost, renew};
use super::*;
use crate::cloud::{Code, Kind};

/// Nobody has logged in yet.
fn rig(answers: Vec<cloud::Result<cloud::Grant>>) -> Rig {
    let rig = Rig::new(Fake { application: Some("id1".into()), ..Fake::default() });
    rig.answer(answers);
    rig
}

/// Of the life that [`grant`] gives.
const LIFE: i64 = 30 * 86_400;

fn wrong_secret() -> cloud::Error {
    cloud::Error::new(Kind::Unauthorized, "access_token", "the secret is wrong").with_code(Code::Errno(1))
}

#[tokio::test]
async fn the_first_token_is_got_when_it_is_needed_and_kept_until_shortly_before_its_end() {
    let rig = rig(vec![Ok(grant("a1", None)), Ok(grant("a2", None))]);
    assert_eq!(rig.accounts().state("home"), State::LoggedOut);
    assert_eq!(get(&rig.start()).await.unwrap(), "a1");
    assert_eq!(rig.file()["application"], "id1");
    assert!(matches!(rig.accounts().state("home"), State::Ready { renewable: true, .. }));
    let login = rig.accounts().login_id("home");
    for seconds in [0, 86_400, LIFE - 86_400 - 301] {
        rig.pass(seconds);
        assert_eq!(get(&rig.start()).await.unwrap(), "a1");
    }
    rig.pass(1);
    assert_eq!(get(&rig.start()).await.unwrap(), "a2");
    assert_eq!(rig.sent(), ["obtain", "obtain"]);
    assert!(login.is_some() && rig.accounts().login_id("home") == login, "it is the same login");
}

#[tokio::test]
async fn whoever_needs_a_token_at_once_gets_the_same_and_a_refused_one_is_renewed_once() {
    let rig = rig(vec![Ok(grant("a1", None)), Ok(grant("a2", None))]);
    let (one, other) = (rig.start(), rig.start());
    let (first, second, third) = tokio::join!(get(&one), get(&other), get(&one));
    assert_eq!([first.unwrap(), second.unwrap(), third.unwrap()], ["a1", "a1", "a1"]);
    let (first, second) = tokio::join!(renew(&one, "a1"), renew(&other, "a1"));
    assert_eq!([first.unwrap(), second.unwrap()], ["a2", "a2"]);
    assert_eq!(rig.sent().len(), 2);
}

#[tokio::test]
async fn a_wrong_secret_names_the_settings_is_not_tried_for_an_hour_and_at_once_when_a_person_says_so() {
    let rig = rig(vec![Err(wrong_secret()), Err(wrong_secret()), Ok(grant("a1", None))]);
    for _ in 0..2 {
        let error = get(&rig.start()).await.unwrap_err();
        assert_eq!(error.kind, Kind::Unauthorized);
        for words in ["the secret is wrong", "client_secret of [account.home]", "xpand account login home"] {
            assert!(error.message.contains(words), "{error}");
        }
    }
    assert_eq!(rig.sent().len(), 1);
    assert!(matches!(rig.accounts().state("home"), State::Refused { .. }));
    rig.start().log_in().await.unwrap_err();
    rig.start().log_in().await.unwrap();
    assert_eq!(get(&rig.start()).await.unwrap(), "a1");
    rig.start().log_in().await.unwrap();
    assert_eq!(rig.sent().len(), 3, "a token that is good is kept");
}

#[tokio::test]
async fn answers_that_were_lost_are_asked_for_again_after_a_minute_then_two_and_at_last_an_hour() {
    let rig = rig((0..11).map(|_| Err(lost())).collect());
    get(&rig.start()).await.unwrap_err();
    get(&rig.start()).await.unwrap_err();
    assert_eq!(rig.sent().len(), 2, "the first two at once");
    for (number, wait) in (3..).zip([60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]) {
        rig.pass(wait - 1);
        let error = get(&rig.start()).await.unwrap_err();
        assert_eq!(error.kind, Kind::Busy { after: Some(Duration::from_secs(1)) }, "{wait}: {error}");
        rig.pass(1);
        get(&rig.start()).await.unwrap_err();
        assert_eq!(rig.sent().len(), number, "{wait}");
    }
    assert_eq!(rig.accounts().state("home"), State::LoggedOut);
    rig.answer(vec![Ok(grant("a1", None))]);
    rig.pass(3600);
    assert_eq!(get(&rig.start()).await.unwrap(), "a1");
}

#[tokio::test]
async fn another_application_does_not_use_the_token_of_the_one_before() {
    let rig = rig(vec![Ok(grant("a1", None)), Ok(grant("b1", None))]);
    get(&rig.start()).await.unwrap();
    let login = rig.accounts().login_id("home");
    let other = Fake { application: Some("id2".into()), ..Fake::default() };
    let answers = std::mem::take(&mut *rig.cloud.refreshes.lock().unwrap());
    *other.refreshes.lock().unwrap() = answers;
    let tokens = rig.accounts().tokens_of("home", Arc::new(other)).unwrap();
    assert_eq!(get(&tokens).await.unwrap(), "b1");
    assert_ne!(rig.accounts().login_id("home"), login);
    rig.accounts().logout("home").unwrap();
    assert_eq!(rig.accounts().state("home"), State::LoggedOut);
}
