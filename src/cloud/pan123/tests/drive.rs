//! Folders and places: against a cloud of a few lines that keeps the two rules of the image host, names are
//! unique and so are contents.

use std::sync::Mutex;

use super::*;
use crate::cloud::{Begin, Drive, Finish, Stored, Upload};
use crate::content::{Media, OnConflict, Purpose};

/// Something in the cloud.
#[derive(Clone, Debug)]
pub(super) struct Thing {
    pub(super) id: String,
    parent: String,
    name: String,
    /// None of a folder.
    content: Option<(String, u64)>,
    status: i64,
}

/// What a server has.
#[derive(Default)]
pub(super) struct Things {
    pub(super) all: Vec<Thing>,
    /// Announced: folder, name, etag, size.
    uploads: Vec<(String, String, String, u64)>,
    made: usize,
    /// Status of what is made from now on.
    status: i64,
    /// What was sent is checked before it is made, and that takes a while.
    pub(super) checks: bool,
    /// So often it is said to be verified, of an upload that the cloud has done nothing with.
    pub(super) verifies: usize,
    /// Entries of a page; 0: all.
    pub(super) page: usize,
}

impl Things {
    fn folder(&self, id: &str) -> bool {
        id.is_empty() || self.all.iter().any(|thing| thing.id == id && thing.content.is_none())
    }

    fn add(&mut self, parent: &str, name: &str, content: Option<(String, u64)>) -> String {
        self.made += 1;
        let id = format!("{}{}", if content.is_some() { "file" } else { "dir" }, self.made);
        let (parent, name) = (parent.to_owned(), name.to_owned());
        self.all.push(Thing { id: id.clone(), parent, name, content, status: self.status });
        id
    }

    /// In one folder a content is there once: what has it gets the new name.
    fn put(&mut self, parent: &str, name: &str, content: (String, u64)) -> Option<String> {
        let same = self
            .all
            .iter_mut()
            .find(|thing| thing.parent == parent && thing.content.as_ref() == Some(&content));
        let same = same.map(|thing| thing.id.clone());
        let held = self.all.iter().find(|thing| thing.parent == parent && thing.name == name);
        if held.is_some_and(|held| Some(&held.id) != same.as_ref()) {
            return None;
        }
        match same {
            Some(id) => {
                self.all
                    .iter_mut()
                    .filter(|thing| thing.id == id)
                    .for_each(|thing| thing.name = name.to_owned());
                Some(id)
            }
            None => Some(self.add(parent, name, Some(content))),
        }
    }

    fn answer(&mut self, seen: &Seen) -> (u16, String) {
        let body = asked(seen);
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        match seen.call().rsplit('/').next().unwrap() {
            "list" => {
                let parent = text("parentFileId");
                if !self.folder(&parent) {
                    return no(5066, "父级目录不存在");
                }
                let all: Vec<Value> = self
                    .all
                    .iter()
                    .filter(|thing| thing.parent == parent)
                    .map(|thing| self.show(thing))
                    .collect();
                let from = all.iter().position(|thing| thing["fileId"] == text("lastFileId")).unwrap_or(0);
                let next = Some(from + self.page).filter(|next| self.page > 0 && *next < all.len());
                let last = next.map_or(json!("-1"), |next| all[next]["fileId"].clone());
                let page = &all[from..next.unwrap_or(all.len())];
                ok(json!({"lastFileId": last, "fileList": page}))
            }
            "mkdir" => {
                let (parent, name) = (text("parentID"), body["name"][0].as_str().unwrap());
                if !self.folder(&parent) {
                    return no(5066, "父级目录不存在");
                }
                if self.all.iter().any(|thing| thing.parent == parent && thing.name == name) {
                    return no(1, "该目录下已经有同名文件夹,不能重名");
                }
                ok(json!({"list": [{"filename": name, "dirID": self.add(&parent, name, None)}]}))
            }
            "create" => {
                let (parent, name, etag) = (text("parentFileID"), text("filename"), text("etag"));
                let size = body["size"].as_u64().unwrap();
                if !self.folder(&parent) {
                    return no(5066, "父级目录不存在");
                }
                let content = (etag.clone(), size);
                let is_known = self.all.iter().any(|thing| thing.content.as_ref() == Some(&content));
                let taken = self.all.iter().any(|thing| {
                    thing.parent == parent && thing.name == name && thing.content.as_ref() != Some(&content)
                });
                if taken {
                    return no(1, "该目录下已经有同名文件,不能重名");
                }
                if is_known {
                    return ok(json!({"reuse": true, "fileID": self.put(&parent, &name, content).unwrap()}));
                }
                self.uploads.push((parent, name, etag, size));
                let id = format!("P{}", self.uploads.len() - 1);
                ok(json!({"reuse": false, "preuploadID": id, "sliceSize": 104_857_600}))
            }
            "upload_complete" if self.verifies > 0 => {
                self.verifies -= 1;
                no(20103, "文件正在校验中")
            }
            "upload_complete" if self.checks => ok(json!({"async": true, "completed": false, "fileID": ""})),
            "upload_async_result" if self.checks => ok(json!({"completed": false, "fileID": ""})),
            "upload_complete" | "upload_async_result" => {
                if text("preuploadID") == "wordless" {
                    return no(1, "内部错误");
                }
                match text("preuploadID").as_str() {
                    // In words that no document has; of a picture that somebody has deleted since; in no words at all.
                    "strange" => return no(5103, "上传任务已经结束"),
                    "deleted" => return ok(json!({"completed": true, "fileID": "gone"})),
                    "none" => return ok(json!({"completed": true, "fileID": "0"})),
                    "taken" => return no(1, "该目录下已经有同名文件,不能重名"),
                    "broken" => return (500, String::new()),
                    _ => {}
                }
                if text("preuploadID").is_empty() || text("preuploadID") == "forgotten" {
                    return no(1, "preuploadID不存在或已失效");
                }
                let at: usize = text("preuploadID")[1..].parse().unwrap();
                let (parent, name, etag, size) = self.uploads[at].clone();
                match self.put(&parent, &name, (etag, size)) {
                    Some(id) => ok(json!({"async": false, "completed": true, "fileID": id})),
                    None => no(1, "该目录下已经有同名文件,不能重名"),
                }
            }
            "detail" => {
                let id = seen.asked("fileID").unwrap();
                match self.all.iter().find(|thing| thing.id == id) {
                    Some(thing) => ok(self.show(thing)),
                    None => no(5066, "文件不存在"),
                }
            }
            "delete" => {
                let ids: Vec<String> = serde_json::from_value(body["fileIDs"].clone()).unwrap();
                self.all.retain(|thing| !ids.contains(&thing.id) && !ids.contains(&thing.parent));
                ok(Value::Null)
            }
            other => panic!("{other}"),
        }
    }

    fn show(&self, thing: &Thing) -> Value {
        let (etag, size) = thing.content.clone().unwrap_or_default();
        let parent = self.all.iter().find(|folder| folder.id == thing.parent);
        json!({
            "fileId": thing.id, "filename": thing.name, "type": u8::from(thing.content.is_none()), "etag": etag,
            "size": size, "status": thing.status, "parentFileId": thing.parent,
            "parentFilename": parent.map_or("img_oss", |folder| &folder.name),
        })
    }

    fn path(&self, thing: &Thing) -> String {
        match self.all.iter().find(|folder| folder.id == thing.parent) {
            Some(folder) => format!("{}/{}", self.path(folder), thing.name),
            None => format!("/{}", thing.name),
        }
    }
}

pub(super) struct Rig {
    pub(super) things: Arc<Mutex<Things>>,
    server: Server,
    folder: tempfile::TempDir,
    pub(super) oss: Oss,
}

impl Rig {
    pub(super) async fn new() -> Self {
        let things: Arc<Mutex<Things>> = Arc::default();
        let there = Arc::clone(&things);
        let server = Server::start(move |seen| there.lock().unwrap().answer(seen)).await;
        let folder = tempfile::tempdir().unwrap();
        let (oss, _) = open_in(&server, folder.path());
        Self { things, server, folder, oss }
    }

    /// As after a restart.
    pub(super) fn again(&mut self) {
        self.oss = open_in(&self.server, self.folder.path()).0;
    }

    pub(super) async fn begin(&self, file: &Upload) -> crate::cloud::Result<Begin> {
        self.oss.begin(file, None).await
    }

    pub(super) async fn send(&self, file: &Upload) -> crate::cloud::Result<Stored> {
        match self.begin(file).await? {
            Begin::Present(stored) | Begin::There(stored) => Ok(stored),
            Begin::Send { session, missing, .. } => {
                assert_eq!(missing, [0]);
                self.oss.finish(file, &session).await.map(made)
            }
            Begin::Making { session } => panic!("{session}"),
        }
    }

    /// Path and first letters of the content of every picture, in order.
    pub(super) fn files(&self) -> Vec<(String, String)> {
        let things = self.things.lock().unwrap();
        let files =
            things.all.iter().filter_map(|thing| Some((things.path(thing), thing.content.clone()?.0)));
        let mut files: Vec<_> = files.collect();
        files.sort();
        files
    }

    pub(super) fn calls(&self) -> Vec<String> {
        let name = |seen: &Seen| seen.call().rsplit('/').next().unwrap().to_owned();
        self.server.seen().iter().map(name).collect()
    }
}

pub(super) fn made(finish: Finish) -> Stored {
    match finish {
        Finish::Made(stored) => stored,
        Finish::Making { session } => panic!("{session}"),
    }
}

pub(super) fn upload(path: &str, content: &str) -> Upload {
    Upload {
        path: path.to_owned(),
        size: content.len() as u64,
        content_md5: Md5::of(content),
        head_md5: Md5::of(content),
        slice_size: SLICE,
        slices: [Md5::of(content)].into(),
        purpose: Purpose::Backup,
        media: Media::Photo,
        exif: None,
        ctime_secs: 0,
        mtime_secs: 0,
        on_conflict: OnConflict::KeepBoth,
    }
}

fn over(path: &str, content: &str) -> Upload {
    Upload { on_conflict: OnConflict::Overwrite, ..upload(path, content) }
}

fn file(path: &str, content: &str) -> (String, String) {
    (path.to_owned(), Md5::of(content).to_string())
}

#[tokio::test]
async fn folders_are_made_once_and_remembered_over_a_restart() {
    let mut rig = Rig::new().await;
    let stored = rig.send(&upload("/nas/photo/a.jpg", "1")).await.unwrap();
    assert_eq!((stored.path.as_str(), stored.size), ("/nas/photo/a.jpg", 1));
    rig.send(&upload("/nas/photo/b.jpg", "2")).await.unwrap();
    let one = ["create", "upload_complete", "detail"];
    assert_eq!(
        rig.calls(),
        [&["list", "mkdir", "mkdir"], &one[..], &one[..]].concat(),
        "a new folder is empty"
    );
    rig.again();
    rig.send(&upload("/nas/photo/c.jpg", "3")).await.unwrap();
    assert_eq!(rig.calls()[9..], [&["list"], &one[..]].concat(), "its id is known, what is in it is not");
    let kept = std::fs::read_to_string(rig.folder.path().join("home.folders")).unwrap();
    assert!(!kept.contains("t1") && !kept.contains("CLIENTSECRET"), "{kept}");
}

#[tokio::test]
async fn a_folder_that_is_gone_is_forgotten_and_made_anew() {
    let mut rig = Rig::new().await;
    rig.send(&upload("/nas/photo/2024/a.jpg", "1")).await.unwrap();
    for gone in ["2024", "photo", "nas"] {
        // With all below it, as in the app.
        let mut ids: Vec<String> = Vec::new();
        {
            let mut things = rig.things.lock().unwrap();
            ids.extend(things.all.iter().find(|thing| thing.name == gone).map(|thing| thing.id.clone()));
            while let Some(id) = ids.pop() {
                ids.extend(
                    things.all.iter().filter(|thing| thing.parent == id).map(|thing| thing.id.clone()),
                );
                things.all.retain(|thing| thing.id != id);
            }
        }
        if gone == "photo" {
            rig.again();
        }
        let content = format!("after {gone}");
        let stored = rig.send(&upload("/nas/photo/2024/a.jpg", &content)).await;
        assert_eq!(rig.files(), [file("/nas/photo/2024/a.jpg", &content)], "{stored:?}");
        let page = Drive::list(&rig.oss, "/nas/photo/2024", None).await.unwrap();
        assert_eq!((page.entries.len(), page.entries[0].path.as_str()), (1, "/nas/photo/2024/a.jpg"));
    }
    let error = Drive::list(&rig.oss, "/nas/elsewhere", None).await.unwrap_err();
    assert_eq!(
        (error.kind, error.to_string().as_str()),
        (Kind::Missing, "list: there is no folder /nas/elsewhere")
    );
}

#[tokio::test]
async fn two_equal_pictures_in_one_folder_are_both_in_the_cloud() {
    let mut rig = Rig::new().await;
    let one = rig.send(&upload("/nas/a.jpg", "1")).await.unwrap();
    let other = rig.send(&upload("/nas/b.jpg", "1")).await.unwrap();
    assert_ne!((&one.id, &one.path), (&other.id, &other.path));
    let aside = format!("/nas/{}/b.jpg", crate::remote::names::aside("b.jpg", Md5::of("1")));
    assert_eq!(rig.files(), [file(&aside, "1"), file("/nas/a.jpg", "1")]);
    assert_eq!(other.path, aside);
    // Again, after a restart: each finds its own.
    rig.again();
    assert_eq!(rig.send(&upload("/nas/b.jpg", "1")).await.unwrap(), other);
    assert_eq!(rig.send(&upload("/nas/a.jpg", "1")).await.unwrap(), one);
    assert_eq!(rig.files().len(), 2);
}

#[tokio::test]
async fn two_equal_pictures_on_their_way_at_once_are_both_in_the_cloud() {
    let rig = Rig::new().await;
    let (one, other) = (upload("/nas/a.jpg", "1"), upload("/nas/b.jpg", "1"));
    let (first, second) = tokio::join!(rig.send(&one), rig.send(&other));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_ne!(first.path, second.path);
    let paths: Vec<String> = rig.files().into_iter().map(|(path, _)| path).collect();
    assert!(paths.contains(&first.path) && paths.contains(&second.path) && paths.len() == 2, "{paths:?}");
}

#[tokio::test]
async fn other_content_of_the_same_name_is_kept_beside_it() {
    let mut rig = Rig::new().await;
    for (content, path) in
        [("1", "/nas/a.jpg"), ("2", "/nas/a(1).jpg"), ("3", "/nas/a(2).jpg"), ("1", "/nas/a.jpg")]
    {
        assert_eq!(rig.send(&upload("/nas/a.jpg", content)).await.unwrap().path, path);
        rig.again();
    }
    assert_eq!(rig.files().len(), 3);
}

#[tokio::test]
async fn overwriting_takes_the_old_picture_away_only_when_the_new_one_is_there() {
    let rig = Rig::new().await;
    rig.send(&over("/nas/a.jpg", "1")).await.unwrap();
    rig.send(&over("/nas/b.jpg", "2")).await.unwrap();
    let begun = rig.begin(&over("/nas/a.jpg", "new")).await.unwrap();
    assert_eq!(
        rig.files(),
        [file("/nas/a.jpg", "1"), file("/nas/b.jpg", "2")],
        "nothing is lost by announcing it"
    );
    let Begin::Send { session, .. } = begun else { panic!("{begun:?}") };
    let stored = made(rig.oss.finish(&over("/nas/a.jpg", "new"), &session).await.unwrap());
    assert_eq!(stored.path, "/nas/a.jpg");
    assert_eq!(rig.files(), [file("/nas/a.jpg", "new"), file("/nas/b.jpg", "2")]);
    assert_eq!(rig.things.lock().unwrap().all.len(), 3, "and no folder is left over");
    // With content that another file's copy has, both stay.
    let aside = rig.send(&over("/nas/a.jpg", "2")).await.unwrap();
    assert!(aside.path.contains("/%="), "{aside:?}");
    assert_eq!(rig.files().len(), 3);
}

#[tokio::test]
async fn a_picture_that_the_review_rejects_is_refused_with_its_reason_and_is_no_copy() {
    let rig = Rig::new().await;
    rig.things.lock().unwrap().status = 103;
    for _ in 0..2 {
        let error = rig.send(&upload("/nas/a.jpg", "1")).await.unwrap_err();
        assert_eq!(error.kind, Kind::Refused);
        assert_eq!(
            error.to_string(),
            "detail: 123pan's review rejected this picture (status 103): it is in the cloud, and nobody gets to see it"
        );
    }
    rig.things.lock().unwrap().all.iter_mut().for_each(|thing| {
        if thing.content.is_none() {
            thing.status = 0;
        }
    });
    assert_eq!(Drive::list(&rig.oss, "/nas", None).await.unwrap().entries, []);
    assert_eq!(Images::list(&rig.oss, "/nas", None).await.unwrap().entries[0].status, 103);
}

#[tokio::test]
async fn a_name_that_somebody_took_meanwhile_is_looked_at_again() {
    let rig = Rig::new().await;
    rig.send(&upload("/nas/a.jpg", "1")).await.unwrap();
    {
        let mut things = rig.things.lock().unwrap();
        let parent = things.all[0].id.clone();
        things.put(&parent, "b.jpg", (Md5::of("2").to_string(), 1)).unwrap();
    }
    assert_eq!(rig.send(&upload("/nas/b.jpg", "3")).await.unwrap().path, "/nas/b(1).jpg");
}

#[tokio::test]
async fn what_is_listed_is_compared_by_its_content() {
    let rig = Rig::new().await;
    let file = upload("/nas/a.jpg", "1");
    rig.send(&file).await.unwrap();
    let entry = Drive::list(&rig.oss, "/nas", None).await.unwrap().entries.remove(0);
    assert!(rig.oss.is_same(&entry, &file) && !rig.oss.is_same(&entry, &upload("/nas/a.jpg", "2")));
    assert_eq!(rig.oss.content_md5(&entry), Some(Md5::of("1")));
    let all = Drive::list_all(&rig.oss, "/", None).await.unwrap();
    assert!(all.entries[0].is_folder && all.next.is_some());
    let all = Drive::list_all(&rig.oss, "/", all.next).await.unwrap();
    assert_eq!((all.entries[0].path.as_str(), all.next), ("/nas/a.jpg", None));
}
