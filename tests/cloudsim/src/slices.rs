//! Bytes on their way in: "分片上传" (superfile2) and the old single-shot upload of small files
//! (field notes 3.1). Bodies go to a temporary file as they arrive and are hashed on the way; no slice
//! is ever held in memory.

use std::io;

use md5::{Digest, Md5};
use multer::Multipart;
use serde_json::json;
use tempfile::TempPath;
use tokio::io::AsyncWriteExt;

use crate::answer::{Answer, Refusal, Reply};
use crate::cloud_md5::hex;
use crate::disk::temp_file;
use crate::drives::{Policy, PutError};
use crate::entry::{Attributes, Content};
use crate::names;
use crate::request::{Ask, Stream, drain};
use crate::state::Cloud;
use crate::upload::SLICE_MD5_BYTES;

const MIB: u64 = 1 << 20;

/// Smallest first slice when more follow (31299).
const FIRST_SLICE: u64 = 4 * MIB;

/// Largest single-shot upload (field notes 3.1).
const SINGLE_SHOT_CAP: u64 = 2 << 30;

/// Bytes that arrived whole.
pub(crate) struct Received {
    pub(crate) file: TempPath,
    pub(crate) size: u64,
    pub(crate) md5: String,
    slice_md5: String,
}

/// Bytes as they arrive: hashed, and put into a temporary file that goes away by itself.
pub(crate) struct Receiver {
    file: tokio::fs::File,
    place: TempPath,
    size: u64,
    whole: Md5,
    head: Md5,
}

impl Receiver {
    pub(crate) fn new(cloud: &Cloud) -> io::Result<Receiver> {
        let (file, place) = temp_file(cloud)?.into_parts();
        let file = tokio::fs::File::from_std(file);
        Ok(Receiver { file, place, size: 0, whole: Md5::new(), head: Md5::new() })
    }

    /// How much has come.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Takes the next bytes.
    pub(crate) async fn take(&mut self, chunk: &[u8]) -> io::Result<()> {
        let in_head = SLICE_MD5_BYTES.saturating_sub(self.size).min(chunk.len() as u64) as usize;
        self.size += chunk.len() as u64;
        self.whole.update(chunk);
        self.head.update(&chunk[..in_head]);
        self.file.write_all(chunk).await
    }

    pub(crate) async fn end(mut self) -> io::Result<Received> {
        self.file.flush().await?;
        Ok(Received {
            file: self.place,
            size: self.size,
            md5: hex(&self.whole.finalize()),
            slice_md5: hex(&self.head.finalize()),
        })
    }
}

/// What superfile2's query says.
struct Part {
    account: String,
    uploadid: String,
    partseq: u32,
    last_of_many: bool,
}

/// POST /rest/2.0/pcs/superfile2?method=upload&type=tmpfile
pub(crate) async fn superfile2(cloud: &Cloud, ask: &Ask, body: Stream) -> Reply {
    let checked = check_length(ask).and_then(|()| check_part(cloud, ask));
    let part = match checked {
        Ok(part) => part,
        Err(refusal) => {
            drain(body).await;
            return Err(refusal);
        }
    };
    let received = receive(cloud, ask, body, slice_cap(cloud, &part.account), 31364).await?;
    if part.partseq == 0 && part.last_of_many && received.size < FIRST_SLICE {
        return Err(Refusal::pcs(31299));
    }
    if received.size == 0 {
        return Err(Refusal::pcs(31023));
    }
    if !ask.lose_slice {
        let kept = cloud.lock().sessions.keep_slice(
            &part.uploadid,
            part.partseq,
            &received.md5,
            received.size,
            &received.file,
        )?;
        if !kept {
            return Err(Refusal::pcs(31355));
        }
    }
    Ok(Answer::with_number_id(json!({"md5": received.md5})))
}

/// Everything that can be wrong before the bytes matter.
fn check_part(cloud: &Cloud, ask: &Ask) -> Result<Part, Refusal> {
    let account = cloud.pcs_user(ask)?;
    let query = &ask.query;
    let wrong = |_| Refusal::pcs(31023);
    if query.get("type") != Some("tmpfile") {
        return Err(Refusal::pcs(31023));
    }
    let path = query.need("path").map_err(wrong)?;
    let uploadid = query.need("uploadid").map_err(wrong)?.to_owned();
    query.need("partseq").map_err(wrong)?;
    let partseq = query.number::<u32>("partseq").map_err(wrong)?.unwrap_or_default();
    if !names::is_writable(path, &cloud.options.app) {
        return Err(Refusal::pcs(31064));
    }
    let state = cloud.lock();
    let session = state
        .sessions
        .get(&uploadid)
        .filter(|session| session.account == account)
        .ok_or(Refusal::pcs(31355))?;
    let slices = session.block_list.len() as u32;
    if session.path != path || partseq >= slices {
        return Err(Refusal::pcs(31023));
    }
    Ok(Part { account, uploadid, partseq, last_of_many: slices > 1 })
}

/// POST /rest/2.0/pcs/file?method=upload&ondup=overwrite|newcopy|fail
pub(crate) async fn single_shot(cloud: &Cloud, ask: &Ask, body: Stream) -> Reply {
    let checked = check_length(ask).and_then(|()| check_single_shot(cloud, ask));
    let (account, path, policy) = match checked {
        Ok(checked) => checked,
        Err(refusal) => {
            drain(body).await;
            return Err(refusal);
        }
    };
    let received = receive(cloud, ask, body, SINGLE_SHOT_CAP, 31365).await?;
    if received.size == 0 {
        return Err(Refusal::pcs(31023));
    }
    crate::upload::check_room(cloud, &account, &path, received.size, policy)
        .map_err(|_| Refusal::pcs(31112))?;
    let content = Content {
        file: received.file,
        size: received.size,
        block_list: vec![received.md5.clone()],
        md5: received.md5.into(),
        slice_md5: received.slice_md5,
        instant: false,
    };
    let now = cloud.now();
    let entry =
        cloud.lock().drives.place(&account, &path, policy, content, Attributes::default(), now).map_err(
            |error| match error {
                PutError::Exists => Refusal::pcs(31061),
                PutError::Disk(error) => Refusal::Broken(error),
            },
        )?;
    Ok(Answer::with_number_id(json!({
        "path": entry.path,
        "size": entry.size,
        "ctime": now,
        "mtime": now,
        "md5": entry.cloud_md5,
        "fs_id": entry.fs_id,
    })))
}

fn check_single_shot(cloud: &Cloud, ask: &Ask) -> Result<(String, String, Policy), Refusal> {
    let account = cloud.pcs_user(ask)?;
    // The old slice upload without uploadid: always refused now.
    if ask.query.get("type") == Some("tmpfile") {
        return Err(Refusal::pcs(31064));
    }
    let path = ask.query.need("path").map_err(|_| Refusal::pcs(31023))?;
    if !names::is_writable(path, &cloud.options.app) {
        return Err(Refusal::pcs(31064));
    }
    if !names::is_legal(path) {
        return Err(Refusal::pcs(31062));
    }
    let policy = match ask.query.get("ondup").unwrap_or("fail") {
        "overwrite" => Policy::Overwrite,
        "newcopy" => Policy::Rename,
        "fail" => Policy::Fail,
        _ => return Err(Refusal::pcs(31023)),
    };
    Ok((account, path.into(), policy))
}

/// 31211 for bodies of unknown length: the PCS takes no chunked transfer encoding (field notes 2.2).
fn check_length(ask: &Ask) -> Result<(), Refusal> {
    match ask.header("content-length") {
        Some(_) if ask.header("transfer-encoding").is_none() => Ok(()),
        _ => Err(Refusal::pcs(31211)),
    }
}

/// Reads field `file` of a multipart body to disk. A body that is too long is still read to its end,
/// so that the client hears why.
async fn receive(
    cloud: &Cloud,
    ask: &Ask,
    body: Stream,
    cap: u64,
    too_long: i64,
) -> Result<Received, Refusal> {
    let Ok(boundary) = multer::parse_boundary(ask.header("content-type").unwrap_or_default()) else {
        drain(body).await;
        return Err(Refusal::pcs(31208));
    };
    // What breaks here is the connection or the form: 31233 is as good as anything for either.
    let broken = |_| Refusal::pcs(31233);
    let mut form = Multipart::new(body, boundary);
    let mut received = None;
    let mut over = false;
    while let Some(mut field) = form.next_field().await.map_err(broken)? {
        if field.name() != Some("file") || received.is_some() {
            continue;
        }
        let mut receiver = Receiver::new(cloud)?;
        while let Some(chunk) = field.chunk().await.map_err(broken)? {
            over |= receiver.size() + chunk.len() as u64 > cap;
            if !over {
                receiver.take(&chunk).await?;
            }
        }
        received = Some(receiver.end().await?);
    }
    match received {
        Some(_) if over => Err(Refusal::pcs(too_long)),
        Some(received) => Ok(received),
        None => Err(Refusal::pcs(31023)),
    }
}

/// Largest slice of a membership: 4, 16 or 32 MiB ("分片上传", 限制).
fn slice_cap(cloud: &Cloud, account: &str) -> u64 {
    MIB * match vip(cloud, account) {
        0 => 4,
        1 => 16,
        _ => 32,
    }
}

/// Largest file of a membership: 4, 10 or 20 GiB ("上传文件限制"); told only at create (31365).
pub(crate) fn file_cap(cloud: &Cloud, account: &str) -> u64 {
    let tier = (1 << 30)
        * match vip(cloud, account) {
            0 => 4,
            1 => 10,
            _ => 20,
        };
    cloud.options.file_cap.unwrap_or(tier)
}

fn vip(cloud: &Cloud, account: &str) -> u8 {
    cloud.lock().users.accounts.get(account).map_or(0, |account| account.vip)
}
