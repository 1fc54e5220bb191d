//! A cloud that answers nonsense: wrong types, lists without an end, a hundred megabytes, a byte a
//! second. The call fails and is made again, the others go on, the memory stays as it was.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::time::Duration;

use cloudsim::{Fault, FaultKind};
use common::Rig;
use common::clouds::{Cloud, at_each_cloud};
use common::media::photo;

at_each_cloud! {
    everything_arrives_once_although_every_call_is_answered_with_nonsense
    answers_that_trickle_for_ever_hold_up_their_own_files_only_and_not_the_end
}

const MIB: usize = 1 << 20;

/// One field after the other of every answer we read...
const FIELDS: [&str; 16] = [
    "errno",
    "errmsg",
    "list",
    "cursor",
    "return_type",
    "block_list",
    "info",
    "path",
    "fs_id",
    "size",
    "md5",
    "servers",
    "vip_type",
    "total",
    "used",
    "request_id",
];

/// ...the same of 123pan, where all but the first three are in `data`...
const FIELDS_OF_123PAN: [&str; 17] = [
    "code",
    "message",
    "data",
    "list",
    "dirID",
    "fileID",
    "preuploadID",
    "reuse",
    "sliceSize",
    "presignedURL",
    "async",
    "completed",
    "lastFileId",
    "fileList",
    "fileId",
    "size",
    "etag",
];

/// ...with each of these in it.
const VALUES: [&str; 14] = [
    "null",
    "true",
    "-1",
    "1e400",
    "-1e308",
    "NaN",
    "99999999999999999999999999999999999999999999",
    "\"\"",
    "\"-7\"",
    "\"\\u0000\\ud83d\\ude00\"",
    "\"\\ud800\"",
    "[]",
    "[null,[[{}]],\"x\"]",
    "{\"size\":-1,\"path\":7,\"list\":{}}",
];

/// Answers without an error number that are of no use to any call.
fn nonsense() -> Vec<String> {
    let mut all: Vec<String> = FIELDS
        .iter()
        .enumerate()
        .flat_map(|(at, field)| {
            // Not every field with every value: that would take minutes.
            VALUES.iter().enumerate().filter(move |(of, _)| (at + of) % 5 == 0).map(move |(_, value)| {
                // These two values are numbers of failures that a person has to look at.
                let value = if *field == "errno" && value.contains(['1', '7']) { "[]" } else { value };
                format!("{{\"{field}\":{value}}}")
            })
        })
        .collect();
    all.push(String::new());
    all.push("[1,2,3]".into());
    all.push("{\"errno\":0,\"errno\":0}".into());
    all.push(format!("{{\"errno\":0,\"list\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000)));
    all.push("{\"a\":".repeat(100_000));
    all.push(format!("{{\"errno\":0,\"list\":[{}{{}}]}}", "{},".repeat(1_000_000)));
    all.push(format!("{{\"errno\":0,\"block_list\":[{}0],\"uploadid\":\"x\"}}", "0,".repeat(400_000)));
    all.push(format!("{{\"errno\":0,\"uploadid\":\"{}\",\"block_list\":[0]}}", "x".repeat(MIB - 100)));
    for numbers in ["[7,4294967295]", "[-1]", "\"[1e9]\""] {
        all.push(format!("{{\"errno\":0,\"uploadid\":\"x\",\"block_list\":{numbers}}}"));
    }
    all
}

/// The same for 123pan.
fn nonsense_of_123pan() -> Vec<String> {
    let mut all = Vec::new();
    for (at, field) in FIELDS_OF_123PAN.iter().enumerate() {
        for (_, value) in VALUES.iter().enumerate().filter(|(of, _)| (at + of) % 5 == 0) {
            all.push(match *field {
                // Failures that a person has to look at.
                "code" if value.contains(['1', '7']) => "{\"code\":[]}".into(),
                "code" | "message" | "data" => format!("{{\"{field}\":{value}}}"),
                _ => format!("{{\"code\":0,\"message\":\"ok\",\"data\":{{\"{field}\":{value}}}}}"),
            });
        }
    }
    let data = |data: String| format!("{{\"code\":0,\"data\":{{{data}}}}}");
    all.push(String::new());
    all.push("[0,\"ok\",{}]".into());
    all.push("{\"code\":0,\"code\":0}".into());
    all.push("{\"data\":".repeat(100_000));
    all.push(data(format!("\"fileList\":{}{}", "[".repeat(100_000), "]".repeat(100_000))));
    all.push(data(format!("\"list\":[{}{{}}]", "{},".repeat(500_000))));
    all.push(data(format!("\"preuploadID\":\"{}\",\"sliceSize\":1", "x".repeat(MIB / 8))));
    for size in ["0", "-1", "\"1e9\""] {
        all.push(data(format!("\"preuploadID\":\"x\",\"sliceSize\":{size}")));
    }
    for address in ["ftp://127.0.0.1/", "http://169.254.169.254/", "//", "http://u:p@127.0.0.1:1/"] {
        all.push(data(format!("\"presignedURL\":\"{address}\"")));
    }
    all
}

/// Failures that are more than a text.
fn oddities(rig: &Rig) -> Vec<FaultKind> {
    vec![
        FaultKind::Headers(10_000),
        FaultKind::Redirect(format!("{}/elsewhere", rig.sim.url())),
        FaultKind::Redirect("http://169.254.169.254/".into()),
        FaultKind::Huge(100 << 20),
    ]
}

async fn everything_arrives_once_although_every_call_is_answered_with_nonsense(cloud: Cloud) {
    let mut rig = Rig::ready_at(cloud, |setup| {
        setup.sim.seed = Some(11);
        setup.device = cloud.of(Some("RIG-1"), None);
        // So many failures one after the other would make for long waits otherwise.
        setup.hurry = 5000;
    });
    rig.put_photos(40);
    rig.put_large("one", 1, 9 * MIB);
    rig.put_large("two", 2, 9 * MIB);
    let nonsense = cloud.of(nonsense(), nonsense_of_123pan());
    let calls: &[&str] = cloud.of(
        &["uinfo", "register", "checkbind", "precreate", "locateupload", "upload", "create", "list"],
        // Not access_token: after a login of which nothing is known the next one waits (`login_survives`).
        &["mkdir", "create", "get_upload_url", "upload_complete", "upload_async_result", "detail", "list"],
    );
    if cloud == Cloud::Pan123 {
        rig.sim.pan123().set_async(Some(Duration::from_millis(5)));
    }
    let target = |call: &str| cloud.of(format!("method={call}(&|$)"), format!("/{call}$"));
    for call in calls {
        // A round of the account begins again at each failure: not too many there.
        let is_of_account = matches!(*call, "uinfo" | "register" | "checkbind");
        let texts = nonsense.iter().rev().step_by(if is_of_account { 5 } else { 1 });
        for kind in texts.cloned().map(FaultKind::Body).chain(oddities(&rig)) {
            rig.sim.fault(Fault::once(&target(call), kind)).unwrap();
        }
    }
    rig.begin();
    rig.wait_arrived().await;
    let seen = rig.sim.calls();
    for call in calls.iter().filter(|call| **call != "checkbind") {
        let ending = cloud.of(format!("method={call}"), format!("/{call}"));
        let hit = |seen: &&cloudsim::Call| seen.fault.is_some() && seen.target().contains(&ending);
        let hits = seen.iter().filter(hit).count();
        println!("{call}: {hits}");
        assert!(hits >= 5, "{call} was answered with nonsense {hits} times");
    }
    // What is called carries a token, and where the cloud sends us nobody has a right to it.
    let elsewhere = seen.iter().find(|call| call.path.contains("elsewhere"));
    assert!(elsewhere.is_none(), "a redirect was followed: {elsewhere:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_without_an_end_leave_the_memory_as_it_was() {
    let rig = Rig::ready(|_| ());
    rig.put_photos(20);
    let program = rig.spawn();
    rig.wait_arrived().await;
    let before = program.memory("VmHWM");
    // Each as large as is taken, and larger.
    let million = format!("{{\"errno\":0,\"list\":[{}{{}}]}}", "{},".repeat(1_000_000));
    let long = format!("{{\"errno\":0,\"errmsg\":\"{}\"}}", "x".repeat(MIB - 100));
    let entries: Vec<String> =
        (0..9_000).map(|n| format!("{{\"path\":\"/apps/xpand/{n:0>400}\",\"size\":1}}")).collect();
    let page = format!("{{\"errno\":0,\"list\":[{}]}}", entries.join(","));
    assert!((3 * MIB..4 * MIB).contains(&page.len()));
    for method in ["precreate", "create", "list", "locateupload", "upload"] {
        for kind in [
            FaultKind::Huge(100 << 20),
            FaultKind::Body(million.clone()),
            FaultKind::Body(long.clone()),
            FaultKind::Body(page.clone()),
            FaultKind::Body("[".repeat(900_000)),
            FaultKind::Headers(20_000),
        ] {
            rig.sim.fault(Fault::once(&format!("method={method}(&|$)"), kind)).unwrap();
        }
    }
    for number in 0..20 {
        rig.put(&format!("more/{number}.jpg"), &photo(5000 + number, 4000));
    }
    rig.wait_arrived().await;
    let grown = program.memory("VmHWM") - before;
    println!("{before} KiB before, {grown} KiB more at most");
    assert!(grown < 24 << 10, "{before} KiB, and then {grown} KiB more");
    let (status, _) = program.terminate().await;
    assert!(status.success());
}

async fn answers_that_trickle_for_ever_hold_up_their_own_files_only_and_not_the_end(cloud: Cloud) {
    let mut rig = Rig::ready_at(cloud, |_| ());
    for call in [cloud.begin(), cloud.slice(), cloud.finish()] {
        rig.sim.fault(Fault::once(call, FaultKind::Drip(Duration::from_millis(100)))).unwrap();
    }
    rig.put_photos(30);
    rig.begin();
    rig.until("all but three backed up", |s| s.totals.counts.backed_up >= 27).await;
    assert!(rig.stop().await < Duration::from_secs(50));
    rig.sim.clear_faults();
    rig.begin();
    rig.wait_all_there().await;
}
