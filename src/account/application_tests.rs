//! Applications that log in by themselves, against a scripted cloud.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::tests::{Fake, Rig, get, grant, lost, renew};
use super::*;
use crate::cloud::{Code, Kind, TokenSource as _};

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

/// What [`a_cloud_that_refuses_every_token`] waits between one token and the next, days.
const RESTS: [i64; 4] = [1, 7, 7, 7];

#[tokio::test]
async fn a_cloud_that_refuses_every_token_gives_out_the_second_at_once_the_next_a_day_and_then_weeks_later() {
    let rig = rig((1..=6).map(|number| Ok(grant(&format!("a{number}"), None))).collect());
    assert_eq!(get(&rig.start()).await.unwrap(), "a1");
    assert_eq!(renew(&rig.start(), "a1").await.unwrap(), "a2");
    for (number, days) in (2..).zip(RESTS) {
        let token = format!("a{number}");
        for passed in [60, days * 86_400 - 61] {
            rig.pass(passed);
            let error = renew(&rig.start(), &token).await.unwrap_err();
            assert_eq!(error.kind, Kind::Unauthorized);
            assert!(error.message.contains("to ask at once run: xpand account login home"), "{error}");
            assert_eq!(get(&rig.start()).await.unwrap(), token, "the cloud may have been mistaken");
        }
        rig.pass(1);
        assert_eq!(renew(&rig.start(), &token).await.unwrap(), format!("a{}", number + 1));
    }
    assert_eq!(rig.sent().len(), 2 + RESTS.len());
}

#[tokio::test]
async fn a_token_that_was_dead_is_replaced_at_once_twenty_times_a_day_at_most() {
    let rig = rig((1..=23).map(|number| Ok(grant(&format!("a{number}"), None))).collect());
    get(&rig.start()).await.unwrap();
    for number in 1..=20 {
        let tokens = rig.start();
        let new = renew(&tokens, &format!("a{number}")).await.unwrap();
        assert_eq!(new, format!("a{}", number + 1));
        // The call that was refused goes through with it.
        tokens.proved(&cloud::Token::new(new)).await;
        rig.pass(60);
    }
    rig.pass(86_400 - 21 * 60);
    renew(&rig.start(), "a21").await.unwrap_err();
    rig.pass(60);
    assert_eq!(renew(&rig.start(), "a21").await.unwrap(), "a22");
    // This one was not proved.
    renew(&rig.start(), "a22").await.unwrap_err();
    assert_eq!(rig.sent().len(), 22);
}

#[tokio::test(start_paused = true)]
async fn one_process_tries_the_refused_token_again_after_a_pause_and_does_not_replace_it() {
    let rig = rig(vec![Ok(grant("a1", None)), Ok(grant("a2", None))]);
    let tokens = rig.start();
    get(&tokens).await.unwrap();
    renew(&tokens, "a1").await.unwrap();
    for _ in 0..3 {
        renew(&tokens, "a2").await.unwrap_err();
        assert_eq!(get(&tokens).await.unwrap_err().kind, Kind::Unauthorized);
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(get(&tokens).await.unwrap(), "a2");
    }
    assert_eq!(rig.sent().len(), 2);
}

#[tokio::test]
async fn a_person_gets_another_token_at_once_but_only_for_one_that_is_refused() {
    let rig = rig((1..=3).map(|number| Ok(grant(&format!("a{number}"), None))).collect());
    get(&rig.start()).await.unwrap();
    renew(&rig.start(), "a1").await.unwrap();
    let tokens = rig.start();
    tokens.log_in().await.unwrap();
    assert_eq!((get(&tokens).await.unwrap().as_str(), rig.sent().len()), ("a2", 2));
    assert_eq!(renew(&tokens, "a2").await.unwrap(), "a3");
    renew(&tokens, "a3").await.unwrap_err();
    assert_eq!(rig.sent().len(), 3);
}

#[tokio::test]
async fn a_clock_that_is_ahead_does_not_see_every_new_token_end_at_once() {
    let ends = |days: i64| Timestamp::from_second(super::tests::START + days * 86_400).unwrap();
    let until = |access: &str, days| {
        let life = Some(cloud::Life::Until(ends(days)));
        Ok(cloud::Grant { life, ..grant(access, None) })
    };
    let rig = rig(vec![until("a1", 30), until("a2", 30), until("a3", 60)]);
    assert_eq!(get(&rig.start()).await.unwrap(), "a1");
    // Ten years.
    rig.pass(3650 * 86_400);
    for _ in 0..5 {
        assert_eq!(get(&rig.start()).await.unwrap(), "a2");
    }
    assert_eq!(rig.sent().len(), 2);
    // Set right again, it is believed again.
    rig.pass(-3649 * 86_400);
    assert_eq!(get(&rig.start()).await.unwrap(), "a2");
    rig.pass(29 * 86_400);
    assert_eq!(get(&rig.start()).await.unwrap(), "a3");
}

#[tokio::test]
async fn answers_that_were_lost_are_asked_for_again_after_ten_minutes_a_hundred_and_six_hours() {
    let rig = rig((0..7).map(|_| Err(lost())).collect());
    get(&rig.start()).await.unwrap_err();
    get(&rig.start()).await.unwrap_err();
    assert_eq!(rig.sent().len(), 2, "the first may have been a crash");
    for (number, wait) in (3..).zip([600, 6000, 21_600, 21_600, 21_600]) {
        rig.pass(wait - 1);
        let error = get(&rig.start()).await.unwrap_err();
        assert_eq!(error.kind, Kind::Busy { after: Some(Duration::from_secs(1)) }, "{wait}: {error}");
        rig.pass(1);
        get(&rig.start()).await.unwrap_err();
        assert_eq!(rig.sent().len(), number, "{wait}");
    }
    assert_eq!(rig.accounts().state("home"), State::LoggedOut);
    rig.answer(vec![Ok(grant("a1", None))]);
    rig.start().log_in().await.unwrap();
    assert_eq!(get(&rig.start()).await.unwrap(), "a1");
}

#[tokio::test(start_paused = true)]
async fn of_many_calls_that_want_a_token_one_asks_and_after_a_lost_answer_a_minute_passes() {
    let rig = rig(vec![Err(lost()), Ok(grant("a1", None))]);
    let tokens = rig.start();
    for got in futures_util::future::join_all((0..5).map(|_| get(&tokens))).await {
        assert_eq!(got.unwrap_err().kind, Kind::Offline);
    }
    tokio::time::sleep(Duration::from_secs(59)).await;
    get(&tokens).await.unwrap_err();
    assert_eq!(rig.sent().len(), 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(get(&tokens).await.unwrap(), "a1");
}

#[tokio::test(start_paused = true)]
async fn an_early_renewal_that_failed_stops_no_call_while_the_token_is_good() {
    let rig = rig(vec![Ok(grant("a1", None)), Err(lost()), Ok(grant("a2", None))]);
    let tokens = rig.start();
    get(&tokens).await.unwrap();
    rig.pass(LIFE - 200);
    for _ in 0..5 {
        assert_eq!(get(&tokens).await.unwrap(), "a1");
    }
    assert_eq!(rig.sent().len(), 2);
    rig.pass(200);
    get(&tokens).await.unwrap_err();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(get(&tokens).await.unwrap(), "a2");
}

#[tokio::test]
async fn what_was_not_sent_or_clearly_not_given_counts_for_nothing() {
    let busy = || cloud::Error::new(Kind::Busy { after: None }, "access_token", "the cloud failed");
    let rig = rig(vec![]);
    for number in 0..6_i64 {
        let no = if number % 2 == 0 { lost().unsent() } else { busy().with_code(Code::Envelope(number)) };
        rig.answer(vec![Err(no)]);
        // As many commands.
        let tokens = rig.start();
        get(&tokens).await.unwrap_err();
        tokens.settle().await;
        assert_eq!(rig.file().get("attempt"), None, "{number}");
    }
    rig.answer(vec![Ok(grant("a1", None))]);
    assert_eq!(get(&rig.start()).await.unwrap(), "a1");
}

#[tokio::test]
async fn too_many_tokens_are_waited_for_and_the_end_of_our_own_makes_room() {
    let too_many = || {
        let hour = Duration::from_secs(3600);
        cloud::Error::new(Kind::Blocked { after: hour }, "access_token", "too many")
            .with_code(Code::Envelope(401))
    };
    let rig = rig(vec![Ok(grant("a1", None)), Err(too_many()), Err(too_many()), Ok(grant("a2", None))]);
    get(&rig.start()).await.unwrap();
    rig.pass(LIFE - 200);
    for _ in 0..3 {
        assert_eq!(get(&rig.start()).await.unwrap(), "a1", "it is good to its end");
    }
    assert!(matches!(rig.accounts().state("home"), State::Refused { passes: true, .. }));
    rig.pass(200);
    for _ in 0..3 {
        let error = get(&rig.start()).await.unwrap_err();
        assert_eq!(error.kind, Kind::Blocked { after: Duration::from_secs(3600) });
        assert!(error.message.contains("too many; a token that another state folder has"), "{error}");
    }
    assert_eq!(rig.sent().len(), 3, "before its end, at its end, and then not for an hour");
    rig.pass(3600);
    assert_eq!(get(&rig.start()).await.unwrap(), "a2");
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
