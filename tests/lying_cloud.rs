//! A cloud that lies. Whatever it says, once or for ever: no file is called backed up whose bytes it does not
//! have, and when it has come to its senses every file is there, once.
//!
//! What nobody can find out by asking is left out: a cloud that confirms a file with id, path and size, and
//! goes on to list it, and does not have it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use cloudsim::{Fault, FaultKind, md5_hex};
use common::clouds::Cloud;
use common::media::{photo, video};
use common::{PATIENCE, Rig, is_quiet};
use xpand::control::{FileState, QueueQuery};

/// Bytes of a film: two slices.
const FILM: usize = (4 << 20) + 5000;

/// What the cloud says, and to which call.
struct Lie {
    words: &'static str,
    faults: Vec<(&'static str, FaultKind)>,
    /// Told of a film as well, which costs more.
    of_film: bool,
}

impl Lie {
    fn of_film(self) -> Self {
        Self { of_film: true, ..self }
    }
}

fn lie(words: &'static str, to: &'static str, kind: FaultKind) -> Lie {
    Lie { words, faults: vec![(to, kind)], of_film: to == "superfile2" }
}

fn answer(json: &str) -> FaultKind {
    FaultKind::Answer(json.into())
}

fn edit(json: &str) -> FaultKind {
    FaultKind::Edit(json.into())
}

/// Two slices, that of the first with nothing in it but its beginning.
fn film(seed: u64) -> Vec<u8> {
    let mut bytes = video(seed, 5000);
    bytes.resize(FILM, 0);
    bytes
}

/// What the folder holds: path, and the MD5 of what was put there.
#[derive(Default)]
struct Library(BTreeMap<String, String>);

impl Library {
    fn put(&mut self, rig: &Rig, name: &str, bytes: &[u8]) {
        let path = rig.root("photo").join(name).display().to_string();
        self.0.insert(path, md5_hex(bytes));
        rig.put(name, bytes);
    }

    /// What is called done is in the cloud.
    async fn assert_done_means_there(&self, rig: &Rig, lie: &str) {
        let query = QueueQuery { state: Some(FileState::Done), limit: 1000, after: None };
        let done = rig.client.queue(&query).await.unwrap().files;
        let there: BTreeSet<String> = rig.sim.files().into_iter().map(|stored| stored.md5).collect();
        for file in done {
            assert!(there.contains(&self.0[&file.path]), "{lie}: {} is called done", file.path);
        }
    }
}

/// As large as what comes later.
fn first() -> Vec<u8> {
    photo(1, 2000)
}

async fn told(rig: &Rig, lies: Vec<Lie>) {
    let mut library = Library::default();
    library.put(rig, "first.jpg", &first());
    // A new state looks around in the cloud; from here on it believes what it knows.
    rig.wait_arrived().await;
    let mut seed = 100;
    for Lie { words, faults, of_film } in lies {
        for once in [true, false] {
            seed += 1;
            for (to, kind) in &faults {
                let fault = match once {
                    true => Fault::once(to, kind.clone()),
                    false => Fault::always(to, kind.clone()),
                };
                rig.sim.fault(fault).unwrap();
            }
            let (mark, all) = (rig.mark(), rig.sim.files().len() + 1 + usize::from(once && of_film));
            library.put(rig, &format!("{seed}.jpg"), &photo(seed, 2000));
            if once && of_film {
                library.put(rig, &format!("{seed}.mp4"), &film(seed));
            }
            if !once {
                // It is told the lie again and again, and looked at all the while, until it gives up.
                let begun = Instant::now();
                loop {
                    library.assert_done_means_there(rig, words).await;
                    let quiet = is_quiet(&rig.status().await);
                    let calls = rig.sim.calls_since(mark);
                    let lies = calls.iter().filter(|call| call.fault.is_some()).count();
                    if lies >= 8 || lies >= 1 && quiet {
                        break;
                    }
                    assert!(begun.elapsed() < PATIENCE, "{words}: {}", rig.story(None));
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                rig.sim.clear_faults();
                rig.client.retry(None).await.unwrap();
            }
            let status = rig.until(words, |status| {
                is_quiet(status)
                    && status.totals.counts.files == status.totals.counts.backed_up
                    && rig.sim.files().len() >= all
            });
            status.await;
            rig.sim.clear_faults();
            library.assert_done_means_there(rig, words).await;
            assert_eq!(rig.sim.files().len(), all, "{words}: one copy of each");
        }
    }
    assert!(rig.differs().is_none(), "{}", rig.differs().unwrap());
    rig.assert_only_grew();
}

/// `return_type` 2 says that the file is there already (预上传, 响应示例).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_precreate_that_lies_makes_no_file_done_that_is_not_there() {
    let there = |info: &str| answer(&format!(r#"{{"errno": 0, "return_type": 2{info}}}"#));
    let to = "method=precreate";
    let rig = Rig::start(|setup| (setup.parallel, setup.hurry) = (2, 1000));
    let lies = vec![
        lie("it is there, says no more", to, there("")),
        lie("it is there, as nothing", to, there(r#", "info": {}"#)),
        lie(
            "it is there, without a size",
            to,
            there(r#", "info": {"fs_id": 7, "path": "/apps/xpand/photo/a.jpg"}"#),
        ),
        lie(
            "it is there, with another size",
            to,
            there(r#", "info": {"fs_id": 7, "size": 3, "path": "/apps/xpand/a"}"#),
        ),
        lie("it is there, without an id", to, there(r#", "info": {"size": 2000, "path": "/apps/xpand/a"}"#)),
        lie("all is well, says no more", to, answer(r#"{"errno": 0}"#)),
        lie(
            "a session that is not one",
            to,
            answer(r#"{"errno": 0, "return_type": 1, "uploadid": "x", "block_list": [0]}"#),
        ),
        lie("another session", to, edit(r#"{"uploadid": "N1-another"}"#)).of_film(),
        lie("nothing is missing", to, edit(r#"{"block_list": []}"#)).of_film(),
        lie("one slice is missing", to, edit(r#"{"block_list": [1]}"#)).of_film(),
        lie("the name is taken", to, FaultKind::Errno(-8)),
        lie("the name is taken, in other words", to, FaultKind::ErrorCode(31_061)),
        lie("half an answer", to, FaultKind::CutAnswer),
    ];
    told(&rig, lies).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_superfile2_that_lies_makes_no_file_done_that_is_not_there() {
    let to = "superfile2";
    let another = format!(r#"{{"md5": "{}"}}"#, md5_hex(b"another file"));
    let rig = Rig::start(|setup| (setup.parallel, setup.hurry) = (2, 1000));
    let lies = vec![
        lie("another MD5, the slice is there", to, FaultKind::WrongMd5),
        lie("another file's MD5, the slice is not there", to, answer(&another)),
        lie("all is well, says no more", to, answer(r#"{"errno": 0, "error_code": 0}"#)),
        lie("no MD5", to, edit(r#"{"md5": null}"#)),
        lie("an empty MD5", to, edit(r#"{"md5": ""}"#)),
        lie("the right MD5 of a slice that is lost", to, FaultKind::LostSlices),
        lie("a failure in a 200", to, FaultKind::Errno(31_021)),
        lie("half an answer", to, FaultKind::CutAnswer),
        lie("the file is there", to, FaultKind::ErrorCode(31_061)),
    ];
    told(&rig, lies).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_that_lies_makes_no_file_done_that_is_not_there() {
    let to = "method=create";
    let made = |rest: &str| {
        answer(&format!(r#"{{"errno": 0, "path": "/apps/xpand/photo/a.jpg", "isdir": 0{rest}}}"#))
    };
    let rig = Rig::start(|setup| (setup.parallel, setup.hurry) = (2, 1000));
    let lies = vec![
        lie("it is made, says no more", to, answer(r#"{"errno": 0}"#)),
        lie("it is made, without id and size", to, made("")),
        lie("it is made, without an id, with a photo's size", to, made(r#", "size": 2000"#)),
        lie("it is made, without an id, with a film's size", to, made(&format!(r#", "size": {}"#, FILM)))
            .of_film(),
        lie("it is made, with another size", to, made(r#", "fs_id": 9, "size": 1"#)),
        lie("it is made, without a size", to, made(r#", "fs_id": 9"#)),
        lie("it was made, with another size", to, edit(r#"{"size": 1}"#)),
        lie("it was made, without a size", to, edit(r#"{"size": null}"#)),
        lie("it was made, without an id", to, edit(r#"{"fs_id": null}"#)),
        lie("it was made, without a path", to, edit(r#"{"path": null, "name": null}"#)),
        lie("it was made, elsewhere", to, edit(r#"{"path": "/apps/xpand/elsewhere.jpg"}"#)),
        lie("it exists", to, FaultKind::Errno(31_061)),
        lie("it exists, in other words", to, FaultKind::Errno(-8)),
        lie("a failure in a 200", to, FaultKind::Errno(1)),
        lie("half an answer", to, FaultKind::CutAnswer),
        lie("no answer", to, FaultKind::DropAfter).of_film(),
    ];
    told(&rig, lies).await;
}

/// The answer to `create` is lost, and the listing that is to tell what became of it is wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_that_lies_makes_no_file_done_that_is_not_there() {
    let lost = |words, of: FaultKind, listing: FaultKind| Lie {
        words,
        faults: vec![("method=create", of), ("method=list", listing)],
        of_film: false,
    };
    let other = format!(r#"{{"list": {{"md5": "{}"}}}}"#, md5_hex(b"another file"));
    let empty = || answer(r#"{"errno": 0, "list": []}"#);
    let rig = Rig::start(|setup| (setup.parallel, setup.hurry) = (2, 1000));
    let lies = vec![
        lost("made, and listed with another MD5", FaultKind::DropAfter, edit(&other)),
        lost("made, and listed with another size", FaultKind::DropAfter, edit(r#"{"list": {"size": 2}}"#)),
        lost("made, and not listed", FaultKind::DropAfter, empty()),
        lost("made, and listed as a folder", FaultKind::DropAfter, edit(r#"{"list": {"isdir": 1}}"#)),
        lost("made, and half listed", FaultKind::DropAfter, FaultKind::CutAnswer),
        lost("not made, and not listed", FaultKind::Status(504), empty()),
        lost("not made, and said to exist", FaultKind::Errno(31_061), empty()),
    ];
    told(&rig, lies).await;
}

/// Of 123pan's announcement: `reuse` says that the content is there already (创建文件).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_of_123pan_that_lies_makes_no_file_done_that_is_not_there() {
    let to = "file/create";
    let rig = pan123();
    rig.put("first.jpg", &first());
    rig.wait_arrived().await;
    let another = rig.stored("photo/first.jpg").file_id;
    let data = |data: &str| answer(&format!(r#"{{"code": 0, "message": "ok", "data": {data}}}"#));
    let reused = |id: &str| data(&format!(r#"{{"reuse": true, "fileID": "{id}", "sliceSize": 104857600}}"#));
    let lies = vec![
        lie("all is well, says no more", to, answer(r#"{"code": 0}"#)),
        lie("all is well, and nothing", to, data("{}")),
        lie("it is there, without an id", to, reused("")),
        lie("it is there, as nobody knows it", to, reused("nosuchid")),
        lie("it is there, and it is another picture of that size", to, reused(&another)),
        lie(
            "a session that is not one",
            to,
            data(r#"{"reuse": false, "preuploadID": "x", "sliceSize": 104857600}"#),
        ),
        lie("smaller slices than it takes", to, edit(r#"{"data": {"sliceSize": 1000}}"#)),
        lie("slices of nothing", to, edit(r#"{"data": {"sliceSize": 0}}"#)),
        lie("the name is taken", to, answer(r#"{"code": 1, "message": "不能重名", "data": null}"#)),
        lie("half an answer", to, FaultKind::CutAnswer),
        lie("no answer", to, FaultKind::DropAfter),
    ];
    told(&rig, lies).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_that_lies_makes_no_file_done_that_is_not_there() {
    let to = "PUT ";
    let rig = pan123();
    let lies = vec![
        lie("it arrived, and it is lost", to, FaultKind::LostSlices),
        lie("it arrived, with another byte", to, FaultKind::Flip(700)),
        lie("it arrived, and nobody took it", to, FaultKind::Status(200)),
        lie("a page instead", to, FaultKind::Html(200)),
        lie("no answer", to, FaultKind::DropAfter),
    ];
    told(&rig, lies).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_complete_that_lies_makes_no_file_done_that_is_not_there() {
    let to = "upload_complete";
    let rig = pan123();
    rig.put("first.jpg", &first());
    rig.wait_arrived().await;
    let another = rig.stored("photo/first.jpg").file_id;
    let data = |data: &str| answer(&format!(r#"{{"code": 0, "message": "ok", "data": {data}}}"#));
    let done = |id: &str| data(&format!(r#"{{"async": false, "completed": true, "fileID": "{id}"}}"#));
    let lies = vec![
        lie("all is well, says no more", to, answer(r#"{"code": 0}"#)),
        lie("it is made, without an id", to, done("")),
        lie("it is made, as nobody knows it", to, done("nosuchid")),
        lie("it is made, and it is another picture of that size", to, done(&another)),
        lie(
            "it was made, as another picture",
            to,
            edit(&format!(r#"{{"data": {{"fileID": "{another}"}}}}"#)),
        ),
        lie("later, and it never begins", to, data(r#"{"async": true, "completed": false, "fileID": ""}"#)),
        lie("it does not fit", to, answer(r#"{"code": 1, "message": "文件上传失败", "data": null}"#)),
        lie("half an answer", to, FaultKind::CutAnswer),
        lie("no answer", to, FaultKind::DropAfter),
    ];
    told(&rig, lies).await;
}

/// What the cloud says of a picture that it has made, or lists.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_detail_or_list_of_123pan_that_lies_makes_no_file_done_that_is_not_there() {
    let other = md5_hex(b"another file");
    let to = "file/detail";
    let lost = |words, listing: FaultKind| Lie {
        words,
        faults: vec![("upload_complete", FaultKind::DropAfter), ("file/list", listing)],
        of_film: false,
    };
    let empty = || answer(r#"{"code": 0, "message": "ok", "data": {"lastFileId": "-1", "fileList": []}}"#);
    let rig = pan123();
    let lies = vec![
        lie("another MD5", to, edit(&format!(r#"{{"data": {{"etag": "{other}"}}}}"#))),
        lie("another size", to, edit(r#"{"data": {"size": 3}}"#)),
        lie("no MD5", to, edit(r#"{"data": {"etag": null}}"#)),
        lie("a folder", to, edit(r#"{"data": {"type": 1}}"#)),
        lie("nothing", to, answer(r#"{"code": 0, "data": {}}"#)),
        lie("it is not there", to, FaultKind::Code(5066)),
        lost("made, and not listed", empty()),
        lost("made, and half listed", FaultKind::CutAnswer),
    ];
    told(&rig, lies).await;
}

fn pan123() -> Rig {
    Rig::start_at(Cloud::Pan123, |setup| (setup.parallel, setup.hurry) = (2, 1000))
}

/// A copy of what it says of another file: only the MD5 tells that this is not ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_the_same_name_and_size_is_not_taken_for_ours() {
    let rig = Rig::start(|_| ());
    rig.wait_quiet().await;
    rig.sim.put_file("demo", "/apps/xpand/photo/a.jpg", &photo(1, 2000)).unwrap();
    rig.sim.fault(Fault::once("method=create", FaultKind::Errno(31_061))).unwrap();
    rig.put("a.jpg", &photo(2, 2000));
    rig.until("backed up", |status| is_quiet(status) && status.totals.counts.backed_up == 1).await;
    assert!(rig.sim.files().iter().any(|stored| stored.md5 == md5_hex(&photo(2, 2000))));
    assert_eq!(rig.sim.files().len(), 2);
}

/// An answer to `create` that is lost is no reason to make the file again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_to_create_make_each_file_once() {
    for kind in
        [FaultKind::DropAfter, FaultKind::CutAnswer, edit(r#"{"size": 5}"#), edit(r#"{"fs_id": null}"#)]
    {
        let rig = Rig::start(|_| ());
        rig.put("first.jpg", &photo(1, 900));
        rig.wait_arrived().await;
        rig.sim.fault(Fault::always("method=create", kind.clone())).unwrap();
        let mark = rig.mark();
        rig.put_photos(12);
        rig.wait_arrived().await;
        assert_eq!(rig.calls_after(mark, "method=create").len(), 12, "{kind}");
        assert_eq!(rig.slices_after(mark).len(), 12, "{kind}");
    }
}
