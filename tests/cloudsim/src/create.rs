//! "创建文件": create, for files whose slices have arrived and for folders.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::answer::{Answer, Refusal, Reply};
use crate::cloud_md5::md5_hex;
use crate::content_md5::ContentMd5;
use crate::disk::{second_name, temp_file};
use crate::drives::Policy;
use crate::entry::{Attributes, Content, Entry};
use crate::names;
use crate::request::{Ask, Params};
use crate::sessions::Session;
use crate::slices::file_cap;
use crate::state::Cloud;
use crate::upload::{
    SLICE_MD5_BYTES, check_room, is_md5, need_size, read_block_list, read_rtype, refuse_put,
};

/// POST method=create
pub(crate) async fn create(cloud: &Cloud, ask: &Ask) -> Reply {
    let account = cloud.user(ask)?;
    let form = &ask.form;
    let path = form.need("path")?;
    let isdir = match form.need("isdir")? {
        "0" => false,
        "1" => true,
        _ => return Err(Refusal::errno_saying(2, "param error: isdir")),
    };
    let app = &cloud.options.app;
    let is_app_folder = isdir && path == format!("/apps/{app}");
    if !names::is_writable(path, app) && !is_app_folder {
        return Err(Refusal::errno(-7));
    }
    let policy = read_rtype(form, Policy::Rename)?;
    let now = cloud.now();
    let entry = match isdir {
        true => {
            if !names::is_legal(path) {
                return Err(Refusal::errno(31062));
            }
            // "/apps/xpand(1)" would lie outside the application's folder.
            let policy = if is_app_folder { Policy::Fail } else { policy };
            cloud.lock().drives.mkdir(&account, path, policy, now).map_err(refuse_put)?
        }
        false => create_file(cloud, form, &account, path, policy).await?,
    };
    Ok(Answer::without_id(describe(&entry, now)))
}

/// The documents' answer; ctime and mtime are "now" whatever local times were given (field notes 3.5).
fn describe(entry: &Entry, now: u64) -> Value {
    let mut answer = json!({
        "errno": 0,
        "fs_id": entry.fs_id,
        "server_filename": names::name(&entry.path),
        "category": entry.category(),
        "path": entry.path,
        "size": entry.size,
        "ctime": now,
        "mtime": now,
        "isdir": i64::from(entry.isdir),
        "name": entry.path,
    });
    if !entry.isdir {
        answer["md5"] = json!(entry.cloud_md5);
    }
    answer
}

async fn create_file(
    cloud: &Cloud,
    form: &Params,
    account: &str,
    path: &str,
    policy: Policy,
) -> Result<Entry, Refusal> {
    let size = need_size(form)?;
    let block_list = read_block_list(form.need("block_list")?)?;
    let attributes = read_attributes(form)?;
    let policy = match form.number::<u8>("is_revision")? {
        None | Some(0) => policy,
        // "带此参数会忽略重命名策略"
        Some(1) => Policy::Revision,
        Some(_) => return Err(Refusal::errno_saying(2, "param error: is_revision")),
    };
    let claim = Claim::take(cloud, account, form.get("uploadid").unwrap_or_default())?;
    let session = &claim.session;
    if session.path != path || session.size != size || session.block_list.len() != block_list.len() {
        return Err(Refusal::errno_saying(10, "create file failed: not what precreate was told"));
    }
    if !names::is_legal(path) {
        return Err(Refusal::errno(31062));
    }
    if size > file_cap(cloud, account) {
        return Err(Refusal::errno(31365));
    }
    if !session.missing().is_empty() {
        return Err(Refusal::errno(31363));
    }
    check_slices(session, &block_list)?;
    check_room(cloud, account, path, size, policy)?;
    cloud.lock().drives.resolve(account, path, policy, &block_list).map_err(refuse_put)?;
    let parts: Vec<PathBuf> = session.slices.values().map(|slice| slice.file.clone()).collect();
    let target = temp_file(cloud)?;
    let size = session.size;
    let join = move || match &parts[..] {
        [only] => whole(only, size, target, block_list),
        _ => merge(&parts, target, block_list),
    };
    let merged = tokio::task::spawn_blocking(join).await.map_err(io::Error::other)??;
    let mut state = cloud.lock();
    let entry =
        state.drives.place(account, path, policy, merged, attributes, cloud.now()).map_err(refuse_put)?;
    state.sessions.end(&session.uploadid);
    Ok(entry)
}

/// Order, MD5s and sizes of what arrived: errno 10 for whatever does not fit ("创建文件的superfile失败").
fn check_slices(session: &Session, block_list: &[String]) -> Result<(), Refusal> {
    let slices: Vec<_> = session.slices.values().collect();
    let wrong = |what: &str| Err(Refusal::errno_saying(10, format!("create file failed: {what}")));
    if slices.iter().zip(block_list).any(|(slice, md5)| slice.md5 != *md5) {
        return wrong("block_list is not what arrived");
    }
    if slices.iter().map(|slice| slice.size).sum::<u64>() != session.size {
        return wrong("size is not what arrived");
    }
    match slices.split_last() {
        Some((last, [first, rest @ ..]))
            if rest.iter().any(|slice| slice.size != first.size) || last.size > first.size =>
        {
            wrong("slices but the last must be of one size")
        }
        _ => Ok(()),
    }
}

/// A slice that is the whole file, which was hashed when it came: a second name for it, so that a refused create
/// leaves the session as it was.
fn whole(slice: &Path, size: u64, place: NamedTempFile, block_list: Vec<String>) -> io::Result<Content> {
    let slice_md5 = head_md5(File::open(slice)?)?;
    let file = place.into_temp_path();
    second_name(slice, &file)?;
    let md5 = block_list.first().cloned().unwrap_or_default().into();
    Ok(Content { file, size, md5, slice_md5, block_list, instant: false })
}

/// MD5 of the first 256 KiB.
fn head_md5(file: File) -> io::Result<String> {
    let mut head = Vec::new();
    file.take(SLICE_MD5_BYTES).read_to_end(&mut head)?;
    Ok(md5_hex(&head))
}

/// Joins the slices to one file. The system copies them, and nobody hashes them again (`content_md5`).
pub(crate) fn merge(
    parts: &[PathBuf],
    mut target: NamedTempFile,
    block_list: Vec<String>,
) -> io::Result<Content> {
    let mut size = 0;
    for part in parts {
        size += io::copy(&mut File::open(part)?, target.as_file_mut())?;
    }
    target.rewind()?;
    let (file, place) = target.into_parts();
    let slice_md5 = head_md5(file)?;
    Ok(Content { file: place, size, md5: ContentMd5::default(), slice_md5, block_list, instant: false })
}

/// mode, exif_info, zip_quality with zip_sign, local times: errno 2 when they break their rules.
fn read_attributes(form: &Params) -> Result<Attributes, Refusal> {
    let wrong = |name: &str| Refusal::errno_saying(2, format!("param error: {name}"));
    let mode = form.number::<u8>("mode")?;
    if mode.is_some_and(|mode| !(1..=5).contains(&mode)) {
        return Err(wrong("mode"));
    }
    let exif_info = match form.get("exif_info").filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => {
            let exif: Value = serde_json::from_str(text).map_err(|_| wrong("exif_info"))?;
            for needed in ["orientation", "width", "height", "recovery"] {
                if !exif.get(needed).is_some_and(Value::is_i64) {
                    return Err(wrong("exif_info"));
                }
            }
            Some(exif)
        }
    };
    let zip_quality = form.number::<u32>("zip_quality")?;
    let zip_sign = form.get("zip_sign").filter(|sign| !sign.is_empty());
    if zip_quality.is_some() != zip_sign.is_some()
        || zip_quality.is_some_and(|quality| !matches!(quality, 50 | 70 | 100))
        || zip_sign.is_some_and(|sign| !is_md5(sign))
    {
        return Err(wrong("zip_quality and zip_sign"));
    }
    Ok(Attributes {
        mode,
        exif_info,
        zip_quality,
        zip_sign: zip_sign.map(str::to_owned),
        local_ctime: form.number("local_ctime")?,
        local_mtime: form.number("local_mtime")?,
    })
}

/// A session that one create works on; given back when that create fails.
struct Claim<'a> {
    cloud: &'a Cloud,
    session: Session,
}

impl<'a> Claim<'a> {
    /// 31355 when the uploadid is unknown, used up, someone else's or already being worked on.
    fn take(cloud: &'a Cloud, account: &str, uploadid: &str) -> Result<Claim<'a>, Refusal> {
        let mut state = cloud.lock();
        let session = state
            .sessions
            .get_mut(uploadid)
            .filter(|session| session.account == account && !session.busy)
            .ok_or(Refusal::errno(31355))?;
        session.busy = true;
        Ok(Claim { cloud, session: session.clone() })
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.cloud.lock().sessions.get_mut(&self.session.uploadid) {
            session.busy = false;
        }
    }
}

/// Puts a file straight into a drive, as if another device of the user had uploaded it.
pub(crate) fn put_file(cloud: &Cloud, account: &str, path: &str, bytes: &[u8]) -> io::Result<()> {
    let mut source = temp_file(cloud)?;
    source.write_all(bytes)?;
    let block_list = bytes.chunks(4 << 20).map(crate::cloud_md5::md5_hex).collect();
    let content = merge(&[source.path().to_owned()], temp_file(cloud)?, block_list)?;
    fs::remove_file(source.path())?;
    cloud
        .lock()
        .drives
        .place(account, path, Policy::Overwrite, content, Attributes::default(), cloud.now())
        .map(|_| ())
        .map_err(|error| io::Error::other(format!("{error:?}")))
}
