//! Sending a file: precreate, locateupload, superfile2, create (xpan-api, 能力说明 and the three sections
//! after it; field notes 3).
//!
//! `rtype` is sent on both precreate and create, because the documents' defaults differ (field notes
//! 3.2). Keep both: 2, renamed only when the name is there with other content. Overwrite: 3. Version: 2
//! as well, and `is_revision` 1 at create, which overrules it: neither call can then fail for the name
//! being taken, and a cloud that does not know versions keeps both instead of losing the old one. A
//! version is never made by instant upload, which knows no `is_revision`.
//!
//! A crash costs the slices in flight: the cloud keeps the others for the session's time, and precreate
//! with the session's id names those that are missing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::Instant;
use url::Url;

use super::cloud_md5::slice_list;
use super::{Xpan, answer, wire};
use crate::cloud::http::{self, Body, Request};
use crate::cloud::{Begin, Error, Kind, Result, Slice, Stored, Token, Upload};
use crate::content::{Md5, Media, OnConflict, Purpose};

/// Smaller files have no `slice-md5` and cannot be there already (field notes 3.2).
const INSTANT: u64 = 256 << 10;
/// The host of the documents (分片上传), when locateupload gives no better one.
const DEFAULT_HOST: &str = "https://d.pcs.baidu.com";
/// How long a host is used: `expire` of the answer is 60 (field notes 3.3), and seconds are the careful
/// reading. It does for every session, since the answer depends on neither token nor path there, so that
/// a thousand small photos do not ask a thousand times. A host that fails is asked for again at once.
const HOST_FOR: Duration = Duration::from_secs(60);

const FILE: &str = "/rest/2.0/xpan/file";
/// A name on any disk, bytes.
const NAME_MAX: usize = 255;

fn rtype(on_conflict: OnConflict) -> &'static str {
    match on_conflict {
        OnConflict::KeepBoth | OnConflict::Version => "2",
        OnConflict::Overwrite => "3",
    }
}

fn mode(file: &Upload) -> &'static str {
    match (file.purpose, file.media) {
        (Purpose::Manual, _) => "1",
        (Purpose::Batch, _) => "2",
        (Purpose::Backup, Media::Other) => "3",
        (Purpose::Backup, Media::Photo) => "4",
        (Purpose::Backup, Media::Video) => "5",
    }
}

/// What precreate and create have in common, and must say alike (field notes 3.5).
struct Common {
    size: String,
    block_list: String,
    ctime: String,
    mtime: String,
}

impl Common {
    fn of(file: &Upload) -> Self {
        Self {
            size: file.size.to_string(),
            block_list: slice_list(&file.slices),
            // Unsigned in the documents; pictures from before 1970 exist.
            ctime: file.ctime_secs.max(0).to_string(),
            mtime: file.mtime_secs.max(0).to_string(),
        }
    }

    fn form<'a>(&'a self, file: &'a Upload) -> Vec<(&'a str, &'a str)> {
        vec![
            ("path", &file.path),
            ("size", &self.size),
            ("isdir", "0"),
            ("rtype", rtype(file.on_conflict)),
            ("block_list", &self.block_list),
            ("local_ctime", &self.ctime),
            ("local_mtime", &self.mtime),
        ]
    }
}

impl Xpan {
    /// 预上传
    pub(super) async fn precreate(&self, file: &Upload, resume: Option<&str>) -> Result<Begin> {
        let instant = file.size >= INSTANT && file.on_conflict != OnConflict::Version;
        let answer = match self.ask_precreate(file, resume, instant).await {
            // "Content not known" as a failure instead of return_type 1 (field notes 2.1, 2.2).
            Err(error) if instant && matches!(error.number(), Some(404 | 31079)) => {
                self.ask_precreate(file, resume, false).await
            }
            // errno 2 passes at times (field notes 2.1: "U, R once").
            Err(error) if error.number() == Some(2) => self.ask_precreate(file, resume, instant).await,
            answer => answer,
        }?;
        if answer.return_type == Some(2) {
            let info = answer.info.unwrap_or_default();
            let path = match info.path {
                Some(path) => named("precreate", path, file)?,
                None => file.path.clone(),
            };
            // Without id or size it confirms nothing; no id means that the listing has to.
            let (id, size) = info.fs_id.zip(info.size).unwrap_or_else(|| (String::new(), file.size));
            return Ok(Begin::Present(Stored { id, path, size }));
        }
        let session = answer.uploadid.filter(|id| !id.is_empty());
        let session = session.ok_or_else(|| answer::broken("precreate", "the answer has no uploadid"))?;
        let count = u32::try_from(file.slices.len()).unwrap_or(u32::MAX);
        let mut missing = match answer.block_list {
            // 响应示例: an empty list is [0]. One that is not there at all is every slice.
            Some(list) if list.is_empty() => vec![0],
            Some(list) => list,
            None => (0..count).collect(),
        };
        missing.sort_unstable();
        missing.dedup();
        if missing.iter().any(|number| *number >= count.max(1)) {
            return Err(answer::broken(
                "precreate",
                "the cloud asks for a slice that the file does not have",
            ));
        }
        Ok(Begin::Send { session, slice_size: file.slice_size, missing })
    }

    async fn ask_precreate(
        &self,
        file: &Upload,
        resume: Option<&str>,
        instant: bool,
    ) -> Result<wire::Precreate> {
        let common = Common::of(file);
        let mut form = common.form(file);
        form.push(("autoinit", "1"));
        let (content, head) = (file.content_md5.to_string(), file.head_md5.to_string());
        if instant {
            form.push(("content-md5", &content));
            form.push(("slice-md5", &head));
        }
        if let Some(session) = resume {
            form.push(("uploadid", session));
        }
        self.post("precreate", FILE, &[("method", "precreate")], &form, super::SMALL).await
    }

    /// 创建文件
    pub(super) async fn create(&self, file: &Upload, session: &str) -> Result<Stored> {
        let common = Common::of(file);
        let mut form = common.form(file);
        form.push(("uploadid", session));
        form.push(("mode", mode(file)));
        if file.on_conflict == OnConflict::Version {
            form.push(("is_revision", "1"));
        }
        let exif = match (&file.exif, file.media) {
            (Some(exif), Media::Photo) => serde_json::to_string(exif).ok(),
            _ => None,
        };
        if let Some(exif) = &exif {
            form.push(("exif_info", exif));
        }
        let ask = || self.post("create", FILE, &[("method", "create")], &form, super::SMALL);
        let answer: wire::File = match ask().await {
            // As at precreate: nothing was made.
            Err(error) if error.number() == Some(2) => ask().await,
            answer => answer,
        }?;
        let missing = |what| answer::broken("create", format!("the answer has no {what}"));
        Ok(Stored {
            id: answer.fs_id.filter(|id| !id.is_empty()).ok_or_else(|| missing("fs_id"))?,
            path: named("create", answer.path.or(answer.name).ok_or_else(|| missing("path"))?, file)?,
            size: answer.size.ok_or_else(|| missing("size"))?,
        })
    }

    /// 分片上传, to the host that locateupload names.
    pub(super) async fn superfile2(&self, file: &Upload, session: &str, slice: Slice) -> Result<Md5> {
        let host = self.hosts.current();
        let origin = host.get_or_try_init(|| self.locate(file, session)).await?;
        let token = self.tokens.token().await?;
        let sent = self.send_slice(file, session, slice, origin, &token).await;
        match sent {
            Err(error) if error.kind == Kind::Unauthorized => {
                Err(self.after_refused_slice(&token, error).await)
            }
            Err(error) => {
                // A tired or unreachable host: the next slice asks for another (field notes 3.4).
                if matches!(error.kind, Kind::Busy { .. } | Kind::Offline | Kind::Broken | Kind::Expired) {
                    self.hosts.forget(&host);
                }
                Err(error)
            }
            Ok(md5) => {
                let mut renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
                renewed.take_if(|renewed| *renewed == token);
                Ok(md5)
            }
        }
    }

    async fn send_slice(
        &self,
        file: &Upload,
        session: &str,
        slice: Slice,
        origin: &str,
        token: &Token,
    ) -> Result<Md5> {
        let endpoint = "superfile2";
        let query = http::encode(&[
            ("method", "upload"),
            ("access_token", token.secret()),
            ("type", "tmpfile"),
            ("path", &file.path),
            ("uploadid", session),
            ("partseq", &slice.number.to_string()),
        ]);
        let request = Request {
            endpoint,
            url: self.http.address(endpoint, origin, "/rest/2.0/pcs/superfile2", &query)?,
            body: Body::File { field: "file", length: slice.length, body: slice.body },
            limit: super::SMALL,
            referer: None,
            secrets: vec![token.secret().to_owned()],
        };
        let answer: wire::Slice = answer::read(&self.http.call(request).await?)?;
        let md5 = answer.md5.and_then(|md5| md5.parse().ok());
        md5.ok_or_else(|| answer::broken(endpoint, "the answer has no md5"))
    }

    /// locateupload (field notes 3.3): where slices go. It is not in the documents we have
    /// in full, so that its failure is not the upload's: the documents' own host always does.
    async fn locate(&self, file: &Upload, session: &str) -> Result<String> {
        let query = [
            ("method", "locateupload"),
            ("appid", "250528"),
            ("path", file.path.as_str()),
            ("uploadid", session),
            ("upload_version", "2.0"),
        ];
        let path = "/rest/2.0/pcs/file";
        let located: Result<wire::Located> =
            self.get_at("locateupload", DEFAULT_HOST, path, &query, super::SMALL).await;
        let located = match located {
            Err(error) if error.kind == Kind::Unauthorized || error.kind == Kind::Offline => {
                return Err(error);
            }
            Err(error) => {
                tracing::debug!(%error, "using the default host");
                return Ok(DEFAULT_HOST.to_owned());
            }
            Ok(located) => located,
        };
        let servers = located.servers.into_iter().chain(located.bak_servers);
        let named = servers.filter_map(|server| server.server);
        let bare = located.host.filter(|host| !host.is_empty()).map(|host| format!("https://{host}"));
        let mut fitting = named.chain(bare).filter_map(|server| self.upload_origin(&server));
        Ok(fitting.next().unwrap_or_else(|| DEFAULT_HOST.to_owned()))
    }

    /// The origin of a named server, if our token may go there (field notes 3.3, security note).
    fn upload_origin(&self, server: &str) -> Option<String> {
        let url = Url::parse(server).ok()?;
        self.http.allows(&url).then(|| url.origin().ascii_serialization())
    }

    /// A slice's bytes are gone when the token turns out to be refused, so it cannot be sent again here:
    /// the token is renewed and the slice is to be sent anew. Only once: if the renewed token is refused
    /// as well, that is final.
    async fn after_refused_slice(&self, stale: &Token, error: Error) -> Error {
        if self.renewed.lock().unwrap_or_else(PoisonError::into_inner).as_ref() == Some(stale) {
            return error;
        }
        match self.tokens.renew(stale).await {
            Ok(token) => {
                *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
                let again = Kind::Busy { after: Some(Duration::ZERO) };
                let mut again =
                    Error::new(again, "superfile2", "the token was renewed: send the slice again");
                again.code = error.code;
                again
            }
            Err(error) => error,
        }
    }
}

/// The path that the cloud says a file has. A renamed one is a little longer than ours (field notes 3.2);
/// one that is much longer is not of this file, and would be kept in its record.
fn named(endpoint: &'static str, path: String, file: &Upload) -> Result<String> {
    if path.len() <= file.path.len() + NAME_MAX {
        return Ok(path);
    }
    Err(answer::broken(endpoint, "the cloud gives the file a path that is much longer than its own"))
}

type Host = Arc<OnceCell<String>>;

/// The upload host in use.
#[derive(Debug, Default)]
pub(super) struct Hosts(Mutex<Option<(Instant, Host)>>);

impl Hosts {
    /// The host to use now; whoever finds it empty asks for it, once for all.
    fn current(&self) -> Host {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if current.as_ref().is_some_and(|(since, _)| now.duration_since(*since) >= HOST_FOR) {
            *current = None;
        }
        Arc::clone(&current.get_or_insert_with(|| (now, Host::default())).1)
    }

    /// The host did not do: the next slice asks for another, unless one before has.
    fn forget(&self, host: &Host) {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        current.take_if(|(_, current)| Arc::ptr_eq(current, host));
    }
}
