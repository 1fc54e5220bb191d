//! 123pan's image host (图床), the second cloud: written from "pan123-open-api.md" and field notes 8.
//!
//! ```text
//! clients.rs    applications, access_token, and who calls             quotas.rs  calls a second
//! library.rs    folders and pictures, on disk and in a journal        item.rs    one of them
//! manage.rs     mkdir, delete                                         lists.rs   detail, list
//! upload.rs     create, get_upload_url, upload_complete, result       uploads.rs preuploadIDs and slices
//! storage.rs    presigned addresses and the PUT of a slice            direct.rs  the link of a picture
//! envelope.rs   {code, message, data, x-traceID}, reading of fields   times.rs   UTC+8
//! handle.rs     what tests and /_sim/* can do
//! ```

mod clients;
mod direct;
pub(crate) mod envelope;
mod handle;
mod item;
mod library;
mod lists;
mod manage;
mod quotas;
pub(crate) mod storage;
mod times;
pub(crate) mod upload;
mod uploads;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::answer::{Refusal, Reply};
use crate::drives::OWN_FOLDER;
use crate::journal;
use crate::options::Options;
use crate::request::{Ask, Stream};
use crate::state::Cloud;

pub(crate) use clients::account;
pub(crate) use direct::picture;
pub use handle::Pan123Sim;

use clients::Clients;
use item::Verdicts;
use library::Library;
use quotas::Quotas;
use uploads::Uploads;

/// The folder below DIR where the pictures lie.
pub(crate) const PAN123_FOLDER: &str = "pan123";

/// The most a picture may have, 100 MB (field notes 8.3).
const LARGEST: u64 = 100 << 20;

/// How this cloud behaves; all of it can be changed while it runs.
#[derive(Clone, Debug)]
pub struct Pan123Options {
    /// `sliceSize` of create.
    pub slice_size: u64,
    /// upload_complete answers `async: true`, and the picture is there so much later; `None` is at once.
    pub async_delay: Option<Duration>,
    /// How long a picture waits for its review, with status 0.
    pub review_time: Duration,
    /// Live tokens a client may have.
    pub live_tokens: usize,
}

impl Default for Pan123Options {
    fn default() -> Self {
        Pan123Options { slice_size: LARGEST, async_delay: None, review_time: Duration::ZERO, live_tokens: 3 }
    }
}

/// Everything of this cloud that changes.
pub(crate) struct Pan123 {
    clients: Clients,
    library: Library,
    uploads: Uploads,
    verdicts: Verdicts,
    quotas: Quotas,
    behave: Pan123Options,
    saved: PathBuf,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Saved {
    clients: Clients,
    verdicts: Verdicts,
}

impl Pan123 {
    /// Opens it in `data`, with everything an earlier run left there.
    pub(crate) fn open(options: &Options, data: &Path) -> io::Result<Pan123> {
        let own = data.join(OWN_FOLDER).join(PAN123_FOLDER);
        fs::create_dir_all(&own)?;
        let saved_path = own.join("state.json");
        let saved: Saved = journal::read_whole(&saved_path)?;
        let mut pan123 = Pan123 {
            clients: saved.clients,
            library: Library::open(data)?,
            uploads: Uploads::open(&own.join("uploads"))?,
            verdicts: saved.verdicts,
            quotas: Quotas::default(),
            behave: options.pan123.clone(),
            saved: saved_path,
        };
        pan123.clients.ensure_default(options);
        Ok(pan123)
    }

    /// Writes down clients, tokens and verdicts.
    fn save(&self) -> io::Result<()> {
        #[derive(Serialize)]
        struct View<'a> {
            clients: &'a Clients,
            verdicts: &'a Verdicts,
        }
        journal::replace(&self.saved, &View { clients: &self.clients, verdicts: &self.verdicts })
    }

    /// Back to an empty cloud.
    pub(crate) fn reset(&mut self, options: &Options) -> io::Result<()> {
        self.library.clear()?;
        self.uploads.forget_all();
        self.clients = Clients::default();
        self.clients.ensure_default(options);
        self.verdicts = Verdicts::default();
        self.quotas = Quotas::default();
        self.behave = options.pan123.clone();
        self.save()
    }
}

/// Answers one call to open-api.123pan.com.
pub(crate) async fn answer(cloud: &Cloud, ask: &mut Ask, body: Stream) -> Reply {
    ask.read_json(body).await.map_err(|words| envelope::refuse(1, words))?;
    let call = (ask.http_method.as_str(), ask.path.as_str());
    if call == ("POST", "/api/v1/access_token") {
        return clients::access_token(cloud, ask);
    }
    let account = clients::check(cloud, ask)?;
    clients::admit(cloud, &account, &ask.path)?;
    match call {
        ("POST", "/upload/v1/oss/file/mkdir") => manage::mkdir(cloud, ask, &account),
        ("POST", "/upload/v1/oss/file/create") => upload::create(cloud, ask, &account),
        ("POST", "/upload/v1/oss/file/get_upload_url") => upload::get_upload_url(cloud, ask, &account),
        ("POST", "/upload/v1/oss/file/upload_complete") => upload::complete(cloud, ask, &account).await,
        ("POST", "/upload/v1/oss/file/upload_async_result") => upload::async_result(cloud, ask, &account),
        ("POST", "/api/v1/oss/file/delete") => manage::delete(cloud, ask, &account),
        ("GET", "/api/v1/oss/file/detail") => lists::detail(cloud, ask, &account),
        ("POST", "/api/v1/oss/file/list") => lists::list(cloud, ask, &account),
        _ => Err(Refusal::NotFound),
    }
}
