//! "预上传": precreate, with instant upload and resumption.

use serde_json::{Value, json};

use crate::answer::{Answer, Refusal, Reply};
use crate::cloud_md5;
use crate::disk::{second_name, temp_file};
use crate::drives::{Policy, PutError};
use crate::entry::{Attributes, Content, Entry};
use crate::names;
use crate::request::{Ask, Params};
use crate::state::Cloud;

/// Files smaller than the "校验段" cannot be uploaded instantly (field notes 3.2).
pub(crate) const SLICE_MD5_BYTES: u64 = 256 << 10;

/// Most slices a file may have (field notes 3.4).
const MOST_SLICES: usize = 1024;

/// POST method=precreate
pub(crate) async fn precreate(cloud: &Cloud, ask: &Ask) -> Reply {
    let account = cloud.user(ask)?;
    let form = &ask.form;
    let path = form.need("path")?.to_owned();
    let size = need_size(form)?;
    if form.need("isdir")? != "0" {
        return Err(Refusal::errno_saying(2, "param error: folders are made by create"));
    }
    if form.number::<u8>("autoinit")? != Some(1) {
        return Err(Refusal::errno_saying(2, "param error: autoinit must be 1"));
    }
    let block_list = read_block_list(form.need("block_list")?)?;
    let policy = read_rtype(form, Policy::Fail)?;
    if !names::is_writable(&path, &cloud.options.app) {
        return Err(Refusal::errno(-7));
    }
    check_room(cloud, &account, &path, size, policy)?;
    cloud.lock().drives.resolve(&account, &path, policy, &block_list).map_err(refuse_put)?;
    if let Some(entry) = instant(cloud, ask, &account, &path, size, policy).await? {
        return Ok(Answer::with_number_id(json!({
            "return_type": 2,
            "errno": 0,
            "info": {
                "size": entry.size,
                "category": entry.category(),
                "isdir": 0,
                "request_id": cloud.lock().dice.next(),
                "path": entry.path,
                "fs_id": entry.fs_id,
                "md5": entry.cloud_md5,
                "ctime": entry.server_ctime,
                "mtime": entry.server_mtime,
            },
        })));
    }
    let (uploadid, missing) = session(cloud, &account, &path, size, block_list, form.get("uploadid"))?;
    Ok(Answer::with_number_id(json!({
        "path": path,
        "uploadid": uploadid,
        "return_type": 1,
        "block_list": missing,
        "errno": 0,
    })))
}

/// The session to go on with, and its missing slices.
///
/// A saved uploadid is taken up again when path, size and block_list are the same as before; for any
/// other a new session starts. `[]` and `[0]` mean the same, so `[]` cannot say "nothing is missing":
/// a session that has everything answers `[0]`, and a client that sends slice 0 once more does no harm.
fn session(
    cloud: &Cloud,
    account: &str,
    path: &str,
    size: u64,
    block_list: Vec<String>,
    saved: Option<&str>,
) -> Result<(String, Vec<u32>), Refusal> {
    let mut state = cloud.lock();
    let state = &mut *state;
    let known = saved.and_then(|uploadid| state.sessions.get(uploadid)).filter(|session| {
        session.account == account
            && session.path == path
            && session.size == size
            && session.block_list == block_list
    });
    if let Some(session) = known {
        let mut missing = session.missing();
        if missing.is_empty() {
            missing.push(0);
        }
        return Ok((session.uploadid.clone(), missing));
    }
    let session = state.sessions.start(account, path, size, block_list, cloud.now(), &mut state.dice)?;
    let mut missing = session.missing();
    if state.empty_block_list && missing == [0] {
        missing.clear();
    }
    Ok((session.uploadid.clone(), missing))
}

/// Instant upload (remark 3): content-md5 and slice-md5 are both given, and a stored file has exactly
/// this content. Both may be cloud MD5s (field notes 3.7): the documents' example of slice-md5 is one.
async fn instant(
    cloud: &Cloud,
    ask: &Ask,
    account: &str,
    path: &str,
    size: u64,
    policy: Policy,
) -> Result<Option<Entry>, Refusal> {
    let md5 = |name: &str| ask.form.get(name).map(|md5| cloud_md5::decode(&md5.to_ascii_lowercase()));
    let (Some(content), Some(slice)) = (md5("content-md5"), md5("slice-md5")) else {
        return Ok(None);
    };
    if size < SLICE_MD5_BYTES {
        return Ok(None);
    }
    let source = {
        let state = cloud.lock();
        match state.drives.find_content(&content, &slice, size) {
            None => return Ok(None),
            Some((owner, entry)) => (state.drives.disk(&owner, &entry.path)?, entry.block_list.clone()),
        }
    };
    if !names::is_legal(path) {
        return Err(Refusal::errno(31062));
    }
    let place = temp_file(cloud)?.into_temp_path();
    let (disk, block_list) = source;
    let named = tokio::task::spawn_blocking(move || second_name(&disk, &place).map(|()| place)).await;
    // The source can be gone by now; then the client has to send.
    let Ok(Ok(place)) = named else { return Ok(None) };
    let content =
        Content { file: place, size, md5: content.into(), slice_md5: slice, block_list, instant: true };
    let attributes = Attributes {
        local_ctime: ask.form.number("local_ctime")?,
        local_mtime: ask.form.number("local_mtime")?,
        ..Attributes::default()
    };
    cloud
        .lock()
        .drives
        .place(account, path, policy, content, attributes, cloud.now())
        .map(Some)
        .map_err(refuse_put)
}

/// -10 when the file does not fit any more.
pub(crate) fn check_room(
    cloud: &Cloud,
    account: &str,
    path: &str,
    size: u64,
    policy: Policy,
) -> Result<(), Refusal> {
    let state = cloud.lock();
    let quota = state.users.accounts.get(account).map_or(0, |account| account.quota);
    let freed = match policy {
        Policy::Overwrite => state.drives.get(account, path).map_or(0, |old| old.size),
        _ => 0,
    };
    let used = state.drives.used(account) - freed;
    match used.checked_add(size) {
        Some(needed) if needed <= quota => Ok(()),
        _ => Err(Refusal::errno(-10)),
    }
}

/// `size` of a file: zero bytes are refused with errno 2 (field notes 3.6).
pub(crate) fn need_size(form: &Params) -> Result<u64, Refusal> {
    form.need("size")?;
    match form.number::<u64>("size")? {
        Some(size) if size > 0 => Ok(size),
        _ => Err(Refusal::errno_saying(2, "param error: size")),
    }
}

/// `rtype`: precreate's table says default 0, create's says default 1.
pub(crate) fn read_rtype(form: &Params, default: Policy) -> Result<Policy, Refusal> {
    Ok(match form.number::<u8>("rtype")? {
        None => default,
        Some(0) => Policy::Fail,
        Some(1) => Policy::Rename,
        Some(2) => Policy::RenameIfDifferent,
        Some(3) => Policy::Overwrite,
        Some(_) => return Err(Refusal::errno_saying(2, "param error: rtype")),
    })
}

/// `block_list`: a JSON array of 1 to 1024 MD5s.
pub(crate) fn read_block_list(text: &str) -> Result<Vec<String>, Refusal> {
    let wrong = || Refusal::errno_saying(2, "param error: block_list");
    let list: Vec<Value> = serde_json::from_str(text).map_err(|_| wrong())?;
    if list.is_empty() || list.len() > MOST_SLICES {
        return Err(wrong());
    }
    list.iter()
        .map(|item| item.as_str().filter(|md5| is_md5(md5)).map(str::to_ascii_lowercase).ok_or_else(wrong))
        .collect()
}

pub(crate) fn is_md5(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// -8 for what is in the way.
pub(crate) fn refuse_put(error: PutError) -> Refusal {
    match error {
        PutError::Exists => Refusal::errno(-8),
        PutError::Disk(error) => Refusal::Broken(error),
    }
}
