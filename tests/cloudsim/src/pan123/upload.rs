//! "上传图片": create, get_upload_url, upload_complete, upload_async_result.

use std::io;
use std::path::PathBuf;

use serde_json::json;

use super::envelope::{need, need_type, number, ok, refuse, refuse_code, text, wrong};
use super::item::{check_name, content_type};
use super::library::{Bytes, Place};
use super::uploads::{Stage, Upload};
use super::{LARGEST, Pan123, storage};
use crate::answer::{Refusal, Reply};
use crate::create::merge;
use crate::dice::Dice;
use crate::disk::temp_file;
use crate::entry::Content;
use crate::parts::Slices;
use crate::request::Ask;
use crate::state::{Cloud, State};
use crate::upload::is_md5;

/// POST /upload/v1/oss/file/create
pub(super) fn create(cloud: &Cloud, ask: &Ask, account: &str) -> Reply {
    need_type(ask)?;
    let (name, etag, size) = (text(ask, "filename")?, need(ask, "etag")?, number(ask, "size")?);
    check_name(name)?;
    if content_type(name).is_none() {
        return Err(refuse(1, "不支持的图片格式"));
    }
    if !is_md5(etag) || etag.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(wrong("etag"));
    }
    match size {
        0 => return Err(wrong("size")),
        LARGEST.. if size > LARGEST => return Err(refuse(1, "图片大小不能超过100MB")),
        _ => {}
    }
    let mut state = cloud.lock();
    let state = &mut *state;
    let pan123 = &mut state.pan123;
    let parent = pan123.folder(account, text(ask, "parentFileID")?)?;
    let place = Place { account, parent: &parent, name };
    pan123.library.admits(place, etag, size).map_err(|_| same_name())?;
    let slice_size = pan123.behave.slice_size;
    if let Some(known) = pan123.library.with_content(etag, size).cloned() {
        let disk = pan123.library.disk(&known)?;
        let bytes = Bytes { file: &disk, size, etag, block_list: known.block_list, instant: true };
        let file_id = pan123.put(place, bytes, cloud.now_ms(), &mut state.dice)?;
        return ok(json!({"fileID": file_id, "reuse": true, "sliceSize": slice_size}));
    }
    let wanted = Upload {
        key: String::new(),
        preupload_id: String::new(),
        account: account.into(),
        parent: parent.clone(),
        name: name.into(),
        etag: etag.into(),
        size,
        slice_size,
        stage: Stage::Sending,
        slices: Slices::new(),
        busy: false,
    };
    let upload = pan123.uploads.start(wanted, &mut state.dice)?;
    ok(json!({
        "fileID": "",
        "reuse": false,
        "preuploadID": upload.preupload_id,
        "sliceSize": slice_size,
    }))
}

/// POST /upload/v1/oss/file/get_upload_url
pub(super) fn get_upload_url(cloud: &Cloud, ask: &Ask, account: &str) -> Reply {
    let number = number(ask, "sliceNo")?;
    let mut state = cloud.lock();
    let state = &mut *state;
    let upload = find(&state.pan123, ask, account)?;
    if upload.stage != Stage::Sending {
        return Err(no_upload());
    }
    if !(1..=u64::from(upload.slice_count())).contains(&number) {
        return Err(wrong("sliceNo"));
    }
    let uid = state.pan123.clients.uid(account);
    ok(json!({
        "presignedURL": storage::presign(cloud, ask, uid, upload, number),
        "isMultipart": upload.slice_count() > 1,
    }))
}

/// POST /upload/v1/oss/file/upload_complete
pub(super) async fn complete(cloud: &Cloud, ask: &Ask, account: &str) -> Reply {
    let upload = {
        let mut state = cloud.lock();
        let upload = find(&state.pan123, ask, account)?.clone();
        if upload.busy {
            return Err(refuse_code(20103));
        }
        if upload.stage != Stage::Sending {
            return told(&upload.stage);
        }
        let missing = upload.missing();
        if !missing.is_empty() {
            return Err(refuse(1, format!("分片未上传: {missing:?}")));
        }
        state.pan123.uploads.set_busy(&upload.key, true);
        upload
    };
    let joined = join(cloud, &upload).await;
    let mut state = cloud.lock();
    let state = &mut *state;
    let pan123 = &mut state.pan123;
    pan123.uploads.set_busy(&upload.key, false);
    let (content, md5) = joined?;
    // Forgotten meanwhile, perhaps.
    find(pan123, ask, account)?;
    content.file.persist(pan123.uploads.content(&upload.key)).map_err(|error| error.error)?;
    let wait = pan123.behave.async_delay;
    let due_ms = cloud.now_ms() + wait.unwrap_or_default().as_millis() as u64;
    let stage = Stage::Checking { due_ms, md5, block_list: content.block_list };
    pan123.uploads.set_stage(&upload.key, stage)?;
    if wait.is_none() {
        settle(state, cloud.now_ms())?;
    }
    told(&find(&state.pan123, ask, account)?.stage)
}

/// POST /upload/v1/oss/file/upload_async_result
pub(super) fn async_result(cloud: &Cloud, ask: &Ask, account: &str) -> Reply {
    let state = cloud.lock();
    match &find(&state.pan123, ask, account)?.stage {
        Stage::Sending => Err(refuse(1, "请先调用上传完毕接口")),
        Stage::Checking { .. } => ok(json!({"completed": false, "fileID": ""})),
        Stage::Done { file_id } => ok(json!({"completed": true, "fileID": file_id})),
        Stage::Failed { code, message } => Err(refuse(*code, message)),
    }
}

/// Puts uploads in their places whose time has come.
pub(crate) fn settle(state: &mut State, now_ms: u64) -> io::Result<()> {
    settle_those(state, now_ms, now_ms)
}

/// Puts uploads in their places whose time comes until then.
pub(super) fn settle_those(state: &mut State, until_ms: u64, now_ms: u64) -> io::Result<()> {
    while let Some(upload) = state.pan123.uploads.take_due(until_ms) {
        let stage = match state.pan123.finish(&upload, now_ms, &mut state.dice) {
            Ok(file_id) => Stage::Done { file_id },
            Err(Refusal::Pan123 { code, message }) => Stage::Failed { code, message },
            Err(_) => Stage::Failed { code: 5000, message: "系统错误".into() },
        };
        state.pan123.uploads.set_stage(&upload.key, stage)?;
    }
    Ok(())
}

impl Pan123 {
    /// "校验用户预上传时的MD5与实际上传成功的MD5是否一致", and then the picture is there: its id.
    fn finish(&mut self, upload: &Upload, now_ms: u64, dice: &mut Dice) -> Result<String, Refusal> {
        let Stage::Checking { md5, block_list, .. } = &upload.stage else { return Err(no_upload()) };
        let content = self.uploads.content(&upload.key);
        if *md5 != upload.etag || content.metadata()?.len() != upload.size {
            return Err(refuse(1, "文件上传失败"));
        }
        let parent = self.folder(&upload.account, &upload.parent)?;
        let place = Place { account: &upload.account, parent: &parent, name: &upload.name };
        let bytes = Bytes {
            file: &content,
            size: upload.size,
            etag: &upload.etag,
            block_list: block_list.clone(),
            instant: false,
        };
        self.put(place, bytes, now_ms, dice)
    }

    /// Puts a picture in its place: its id.
    pub(super) fn put(
        &mut self,
        place: Place<'_>,
        bytes: Bytes<'_>,
        now_ms: u64,
        dice: &mut Dice,
    ) -> Result<String, Refusal> {
        let folder = self.library.get(place.parent).map(|folder| self.library.path(folder));
        let path = format!("{}/{}", folder.unwrap_or_default(), place.name);
        let verdict = self.verdicts.of(&path);
        let put = self.library.place(place, bytes, verdict, now_ms, dice)?;
        put.map(|item| item.id).map_err(|_| same_name())
    }
}

/// Joins the slices to one file. Returns its MD5, too.
async fn join(cloud: &Cloud, upload: &Upload) -> io::Result<(Content, String)> {
    let parts: Vec<PathBuf> = upload.slices.values().map(|slice| slice.file.clone()).collect();
    let block_list = upload.slices.values().map(|slice| slice.md5.clone()).collect();
    let target = temp_file(cloud)?;
    let join = move || {
        let content = merge(&parts, target, block_list)?;
        let md5 = content.md5.of(&content.file)?.to_owned();
        Ok((content, md5))
    };
    tokio::task::spawn_blocking(join).await.map_err(io::Error::other)?
}

/// What upload_complete says of an upload that is past its slices.
fn told(stage: &Stage) -> Reply {
    match stage {
        Stage::Sending | Stage::Checking { .. } => {
            ok(json!({"async": true, "completed": false, "fileID": ""}))
        }
        Stage::Done { file_id } => ok(json!({"async": false, "completed": true, "fileID": file_id})),
        Stage::Failed { code, message } => Err(refuse(*code, message)),
    }
}

fn find<'a>(pan123: &'a Pan123, ask: &Ask, account: &str) -> Result<&'a Upload, Refusal> {
    pan123.uploads.find(account, need(ask, "preuploadID")?).ok_or_else(no_upload)
}

fn no_upload() -> Refusal {
    refuse(1, "preuploadID不存在或已失效")
}

fn same_name() -> Refusal {
    refuse(1, "该目录下已经有同名文件,不能重名")
}
