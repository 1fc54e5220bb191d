//! One bad code, page or shape never stops the others: every number of field notes 2 at every call of a
//! backup, each hitting once, and all the other ways an answer can be wrong. Nothing panics, no call is
//! made without end, and when the faults are over (and a person said `retry`) everything is in the cloud
//! exactly once.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

#[path = "every_code/shell.rs"]
mod shell;

use std::time::Instant;

use cloudsim::{Fault, FaultKind};
use common::clouds::Cloud;
use common::media::photo;
use common::{PATIENCE, Rig, is_quiet};
use xpand::status::{AccountState, Status};

/// Field notes 2.1 and 2.2.
#[rustfmt::skip]
const NUMBERS: &[i64] = &[
    -1, -2, -3, -4, -5, -6, -7, -8, -9, -10, -11, -12, -19, -62, -30, -31, -32, -33, -70, 1, 2, 3, 4, 18, 5, 6, 10, 11,
    12, 17, 19, 20, 100, 105, 110, 111, 112, 113, 114, 115, 116, 117, 120, 130, 132, 133, 255, 404, 2126, 2131, 9013,
    9019, 9100, 9200, 9300, 9400, 9500, 20011, 20012, 20013, 36016, 42000, 42001, 42100, 42101, 42102, 42103, 42211,
    42212, 42213, 42214, 42905, 42999, 31001, 31002, 31003, 31021, 31022, 31023, 31024, 31034, 31041, 31042, 31043,
    31044, 31045, 31046, 31061, 31062, 31063, 31064, 31065, 31066, -31066, 31067, 31068, 31069, 31070, 31071, 31072,
    31073, 31079, 31081, 31112, 31190, 31200, 31208, 31211, 31212, 31218, 31219, 31220, 31233, 31299, 31326, 31352,
    31353, 31355, 31360, 31362, 31363, 31364, 31365, 31390, 31626,
    // In no document.
    42202, 50002, 31297, 987_654_321, i64::MIN, i64::MAX,
];

/// What 123pan answers with (常用code码, field notes 8.2), and numbers of no document.
const ENVELOPE: &[i64] = &[
    -1,
    1,
    2,
    3,
    400,
    401,
    403,
    404,
    429,
    500,
    503,
    5000,
    5066,
    5113,
    20101,
    20103,
    31_034,
    987_654_321,
    i64::MIN,
    i64::MAX,
];

/// So few files are for the calls that the account makes by itself.
const FEW: usize = 3;

/// Field notes 1.2 and 1.3.
#[rustfmt::skip]
const WORDS: &[&str] = &[
    "authorization_pending", "slow_down", "authorization_declined", "access_denied", "expired_token", "invalid_grant",
    "invalid_client", "unauthorized_client", "invalid_scope", "unsupported_grant_type", "unsupported_response_type",
    "redirect_uri_mismatch", "invalid_request", "Trigger security policy",
    // In no document.
    "new_word",
];

/// Everything that a call can get instead of its answer, or with it.
fn everything() -> Vec<FaultKind> {
    let numbers = NUMBERS.iter().enumerate().map(|(at, &number)| {
        // The same numbers come under both keys.
        if at % 2 == 0 { FaultKind::Errno(number) } else { FaultKind::ErrorCode(number) }
    });
    numbers.chain(pages()).collect()
}

/// The same of 123pan, and another's numbers.
fn everything_of_123pan() -> Vec<FaultKind> {
    let numbers = ENVELOPE.iter().map(|&number| FaultKind::Code(number));
    numbers.chain([FaultKind::Errno(31_034), FaultKind::ErrorCode(31_045)]).chain(pages()).collect()
}

fn pages() -> Vec<FaultKind> {
    use FaultKind::*;
    vec![
        Html(200),
        Html(400),
        Html(403),
        Html(500),
        Html(502),
        Html(504),
        Empty500,
        Status(404),
        Status(429),
        Status(503),
        JsonAsHtml,
        CutAnswer,
        DropBefore,
        DropAfter,
        Huge(9 << 20),
        OAuth("invalid_scope".into()),
        OAuth("expired_token".into()),
        OAuth("new_word".into()),
    ]
}

/// A rig whose pauses of hours pass in moments. `files` photos, each in a folder of its own.
fn rig(files: u64, device: Option<&'static str>) -> Rig {
    rig_at(Cloud::Baidu, files, device)
}

fn rig_at(cloud: Cloud, files: u64, device: Option<&'static str>) -> Rig {
    let rig = Rig::ready_at(cloud, |setup| {
        setup.hurry = 100_000;
        setup.device = device;
        setup.check_bind = "1s";
        setup.sim.seed = Some(3);
    });
    for number in 0..files {
        rig.put(&format!("{number:02}/a.jpg"), &photo(number, 700));
    }
    rig
}

fn hit(rig: &Rig) -> usize {
    rig.sim.calls().iter().filter(|call| call.fault.is_some()).count()
}

/// What a person would do: log in where that is asked for, and say `retry`, which also makes the account's
/// own calls.
async fn help(rig: &Rig, status: &Status) {
    if status.accounts.first().is_some_and(|account| account.state == AccountState::NeedsLogin) {
        rig.log_in("home");
    }
    let _ = rig.client.retry(None).await;
}

/// Each fault hits one call of `endpoint`, in this order; in the end everything is there once.
async fn survives(mut rig: Rig, endpoint: &str, faults: Vec<FaultKind>) {
    let (count, files) = (faults.len(), common::files_below(&rig.root("photo")).len());
    let is_upload = files > FEW;
    for kind in faults {
        rig.sim.fault(Fault::once(endpoint, kind)).unwrap();
    }
    rig.begin();
    rig.until("an answer", |_| true).await;
    let begun = Instant::now();
    let mut shown = 0;
    while hit(&rig) < count {
        let status = rig.status().await;
        if hit(&rig) == shown {
            help(&rig, &status).await;
        }
        shown = hit(&rig);
        let story = || rig.story(Some(&status));
        assert!(begun.elapsed() < PATIENCE, "only {shown} of {count} were met at {endpoint}; {}", story());
        // Everything is sent, and there are faults left for the calls of an upload: more files.
        if is_upload && is_quiet(&status) && status.totals.counts.failed == 0 {
            let number = common::files_below(&rig.root("photo")).len();
            for more in 0..20 {
                rig.put(&format!("more/{number}-{more}.jpg"), &photo((number + more) as u64, 700));
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    rig.sim.clear_faults();
    let begun = Instant::now();
    loop {
        let status = rig.status().await;
        if is_quiet(&status) && status.totals.counts.failed == 0 && rig.differs().is_none() {
            break;
        }
        help(&rig, &status).await;
        assert!(begun.elapsed() < PATIENCE, "{endpoint}: {:?}; {}", rig.differs(), rig.story(Some(&status)));
        tokio::time::sleep(std::time::Duration::from_millis(15)).await;
    }
    for file in rig.sim.files() {
        assert_eq!((file.overwritten, file.versions.len()), (0, 0), "{}", file.path);
    }
    rig.assert_only_grew();
    // No hot loop: a fault costs a few calls, and so does a file.
    let calls = rig.sim.count(endpoint);
    let files = files.max(common::files_below(&rig.root("photo")).len());
    assert!(
        calls <= 12 * count + 12 * files,
        "{calls} calls of {endpoint} for {count} faults, {files} files"
    );
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_number_at_precreate() {
    survives(rig(30, None), "method=precreate", everything()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_number_at_superfile2() {
    survives(rig(30, None), "superfile2", everything()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_number_at_create() {
    survives(rig(30, None), "method=create", everything()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_number_at_list() {
    let rig = rig(30, None);
    // Every second answer to `create` is lost, so that the cloud is asked what it has.
    rig.sim.fault(Fault::chance("method=create", FaultKind::DropAfter, 0.5)).unwrap();
    survives(rig, "xpan/file.method=list", everything()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_number_at_uinfo() {
    survives(rig(3, None), "method=uinfo", everything()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_number_at_quota() {
    survives(rig(3, None), "api/quota", everything()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_number_at_checkbind() {
    survives(rig(3, Some("SN1")), "checkbind", everything()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_word_at_token() {
    let words = WORDS.iter().map(|word| FaultKind::OAuth((*word).into()));
    let others = [
        FaultKind::Errno(111),
        FaultKind::Errno(987_654),
        FaultKind::Html(200),
        FaultKind::Empty500,
        FaultKind::CutAnswer,
        FaultKind::DropAfter,
        FaultKind::JsonAsHtml,
    ];
    // Each with a login of its own: one that was refused once is not asked for again within the hour.
    for kind in words.chain(others) {
        let mut rig = Rig::ready(|setup| setup.hurry = 100_000);
        rig.put("a.jpg", &photo(1, 700));
        rig.sim.expire().unwrap();
        rig.sim.fault(Fault::once("oauth/2.0/token", kind.clone())).unwrap();
        rig.begin();
        rig.until_true("the token call", || hit(&rig) == 1).await;
        let asked = rig.sim.count("oauth/2.0/token");
        assert!(asked <= 2, "{asked} calls of token after {kind}");
        rig.sim.clear_faults();
        // After what is no clear word of the cloud it asks once more, by itself.
        let passes = match &kind {
            FaultKind::OAuth(word) => matches!(word.as_str(), "authorization_pending" | "slow_down"),
            kind => matches!(kind, FaultKind::Html(_) | FaultKind::Empty500 | FaultKind::JsonAsHtml),
        };
        if !passes {
            rig.log_in("home");
            let _ = rig.client.retry(None).await;
        }
        rig.wait_arrived().await;
    }
}

/// At 123pan. Each with a box of its own.
async fn every_number_at_123pan(call: &str, files: u64) {
    let rig = rig_at(Cloud::Pan123, files, None);
    rig.sim.pan123().set_async(Some(std::time::Duration::from_millis(1)));
    survives(rig, call, everything_of_123pan()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_number_at_create_of_123pan() {
    every_number_at_123pan("file/create", 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_number_at_get_upload_url() {
    every_number_at_123pan("get_upload_url", 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_number_at_a_put() {
    every_number_at_123pan("PUT ", 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_number_at_upload_complete() {
    every_number_at_123pan("upload_complete", 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_number_at_upload_async_result() {
    every_number_at_123pan("upload_async_result", 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_number_at_mkdir() {
    every_number_at_123pan("oss/file/mkdir", 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_number_at_detail() {
    every_number_at_123pan("file/detail", 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_number_at_list_of_123pan() {
    every_number_at_123pan("file/list", 3).await;
}
