//! # cloudsim: local clouds that speak the documents
//!
//! A real HTTP server that plays Baidu Netdisk and 123pan's image host for xpand's tests and for
//! `cargo demo`. It is written from the documents alone and shares no code with the agent, so that the two
//! witness each other: where they disagree, one of them has misread the documents.
//!
//! ## The map
//!
//! ```text
//! server.rs    connections; stop and start on the same port         tls.rs
//! gate.rs      one request: delay, fault, limit, answer, log       faults.rs spoil.rs limits.rs calls.rs throttle.rs
//! route.rs     the table of calls                                  request.rs answer.rs
//!   oauth.rs     device code, refresh                              users.rs  accounts, tokens, uinfo, quota
//!   device.rs    register, bind, unbind, checkbind, diff, list
//!   upload.rs    precreate                                         sessions.rs  uploadids and slices
//!   slices.rs    superfile2, single-shot upload                    locate.rs    locateupload
//!   create.rs    create
//!   files.rs     list, listall, filemetas                          items.rs  how a file is shown
//!   kinds.rs     doclist, imagelist, videolist, btlist, categoryinfo, categorylist
//!   search.rs    search
//!   manager.rs   filemanager                                       tasks.rs  taskquery
//!   download.rs  dlinks, and the CDN they lead to                  body.rs   bytes on their way out
//!   preview.rs   newinfo, newview of documents
//!   shares.rs    share links: set, verify, list, shorturlinfo       transfer.rs  saving from one
//! pan123.rs    the other cloud: 123pan's image host, with a table of calls and files of its own
//! parts.rs     slices that have arrived, of either cloud
//! drives.rs    trees of files, on disk and in the journal          entry.rs journal.rs names.rs cloud_md5.rs disk.rs
//! state.rs     everything behind one lock, and what survives a restart
//! control.rs   /_sim/*
//! demo.rs      `cargo demo`: a story played against this cloud, with the real agent
//! ```
//!
//! A new family of calls is a new file and new lines in `route.rs`. The README lists what the simulator
//! decides where the documents are silent.

mod answer;
mod body;
mod calls;
mod cloud_md5;
mod content_md5;
mod control;
mod create;
pub mod demo;
mod device;
mod dice;
mod disk;
mod download;
mod drives;
mod entry;
mod faults;
mod files;
mod gate;
mod items;
mod journal;
mod kinds;
mod limits;
mod locate;
mod manager;
mod names;
mod oauth;
mod options;
mod pan123;
mod parts;
mod preview;
mod request;
mod route;
mod search;
mod server;
mod sessions;
mod shares;
mod slices;
mod spoil;
mod state;
mod tasks;
mod throttle;
mod tls;
mod transfer;
mod upload;
mod users;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use calls::Call;
pub use cloud_md5::{decode as decode_cloud_md5, encode as encode_cloud_md5, md5_hex};
pub use dice::splitmix64;
pub use entry::{StoredFile, Version};
pub use faults::{Fault, FaultKind};
pub use options::{Locate, Options, parse_duration, parse_size};
pub use pan123::{Pan123Options, Pan123Sim};
pub use shares::ShareLink;
pub use tls::Tls;
pub use users::DEFAULT_ACCOUNT;

use server::Server;
use state::Cloud;

/// A running simulated cloud. Dropping it stops the server, and removes its data when that was in a
/// temporary folder.
pub struct CloudSim {
    server: Mutex<Option<Server>>,
    addr: SocketAddr,
    cdn: SocketAddr,
    cloud: Arc<Cloud>,
    _temporary: Option<tempfile::TempDir>,
}

impl CloudSim {
    /// Starts a cloud, on a free port unless the options name one.
    pub async fn start(options: Options) -> io::Result<CloudSim> {
        CloudSim::start_blocking(options)
    }

    /// The same for tests without a runtime: the server has its own threads.
    pub fn start_blocking(options: Options) -> io::Result<CloudSim> {
        let (data, temporary): (PathBuf, _) = match &options.data {
            Some(data) => (data.clone(), None),
            None => {
                let folder = tempfile::Builder::new().prefix("cloudsim-").tempdir()?;
                (folder.path().into(), Some(folder))
            }
        };
        let cloud = Arc::new(Cloud::open(options, &data)?);
        let listen = cloud.options.listen;
        let cdn = SocketAddr::new(listen.ip(), cloud.options.cdn_port);
        let server = Server::start(cloud.clone(), listen, cdn)?;
        let (addr, cdn) = (server.addr, server.cdn);
        Ok(CloudSim { addr, cdn, server: Mutex::new(Some(server)), cloud, _temporary: temporary })
    }

    /// `http://127.0.0.1:PORT`, or `https://NAME:PORT` with TLS, without a slash at the end: the agent's `endpoint`.
    pub fn url(&self) -> String {
        self.url_of(self.addr)
    }

    /// The same of the CDN that dlinks lead to: another port.
    pub fn cdn_url(&self) -> String {
        self.url_of(self.cdn)
    }

    fn url_of(&self, addr: SocketAddr) -> String {
        match &self.cloud.options.tls {
            None => format!("http://{addr}"),
            Some(tls) => format!("https://{}:{}", tls.name, addr.port()),
        }
    }

    /// The root that clients have to trust, when it speaks TLS.
    pub fn ca(&self) -> Option<&Path> {
        self.cloud.options.tls.as_ref().map(|tls| tls.ca.as_path())
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where the bytes lie.
    pub fn data_dir(&self) -> &Path {
        &self.cloud.data
    }

    /// Goes offline: every connection breaks, new ones are refused. State stays.
    pub fn stop(&self) {
        self.server().take();
    }

    /// Comes back on the same port with the same state.
    pub fn restart(&self) -> io::Result<()> {
        let mut server = self.server();
        if server.is_none() {
            *server = Some(Server::start(self.cloud.clone(), self.addr, self.cdn)?);
        }
        Ok(())
    }

    /// Ends the cloud; the same as dropping it.
    pub async fn shutdown(self) {
        self.stop();
    }

    /// Makes tokens valid (`/_sim/token`); the account is made when it is new. `ttl` defaults to 30 days.
    pub fn add_token(
        &self,
        account: &str,
        access_token: &str,
        refresh_token: Option<&str>,
        ttl: Option<Duration>,
    ) -> io::Result<()> {
        self.cloud.add_token(account, access_token, refresh_token, ttl)
    }

    /// The user approves one device code, or all pending ones, as the default account. Returns how many.
    pub fn approve(&self, user_code: Option<&str>) -> usize {
        self.approve_as(user_code, DEFAULT_ACCOUNT)
    }

    /// The same as another account.
    pub fn approve_as(&self, user_code: Option<&str>, account: &str) -> usize {
        self.cloud.decide(user_code, account, true)
    }

    /// The user says no.
    pub fn decline(&self, user_code: Option<&str>) -> usize {
        self.cloud.decide(user_code, DEFAULT_ACCOUNT, false)
    }

    /// User codes that wait for the user.
    pub fn pending_codes(&self) -> Vec<String> {
        self.cloud.lock().codes.pending()
    }

    /// Sets a fault. The error says what is wrong with its pattern.
    pub fn fault(&self, fault: Fault) -> Result<(), String> {
        self.cloud.lock().faults.add(fault)
    }

    /// Forgets all faults.
    pub fn clear_faults(&self) {
        self.cloud.lock().faults.clear();
    }

    /// Ends the life of every access token of both clouds now. Refresh tokens stay.
    pub fn expire(&self) -> io::Result<usize> {
        Ok(self.cloud.expire(None)? + self.pan123().expire(None)?)
    }

    /// The users unbind all their devices in the phone app. Returns how many bindings ended.
    pub fn unbind(&self) -> io::Result<usize> {
        self.cloud.unbind(None)
    }

    /// Forgets every upload session of both clouds and its slices.
    pub fn forget_uploads(&self) -> usize {
        let forgotten = self.cloud.lock().sessions.forget_all();
        forgotten + self.pan123().forget_uploads()
    }

    /// Back to an empty cloud.
    pub fn reset(&self) -> io::Result<()> {
        self.cloud.reset()
    }

    /// Changes the membership of every account: 0, 1 or 2.
    pub fn set_vip(&self, vip: u8) -> io::Result<()> {
        self.cloud.change_account(None, |account| account.vip = vip)
    }

    /// Changes the drive size of every account.
    pub fn set_quota(&self, total: u64) -> io::Result<()> {
        self.cloud.change_account(None, |account| account.quota = total)
    }

    /// Changes what locateupload names.
    pub fn set_locate(&self, locate: Locate) {
        self.cloud.lock().locate = locate;
    }

    /// Changes whether a one-slice precreate answers `[]` or `[0]`.
    pub fn set_empty_block_list(&self, empty: bool) {
        self.cloud.lock().empty_block_list = empty;
    }

    /// Changes the waiting time before every call.
    pub fn set_latency(&self, latency: Duration) {
        self.cloud.set_latency(latency);
    }

    /// Changes the bandwidth; `None` is unlimited.
    pub fn set_bandwidth(&self, bytes_a_second: Option<u64>) {
        self.cloud.set_bandwidth(bytes_a_second);
    }

    /// Moves the cloud's clock on: tokens, device codes and limits age without waiting.
    pub fn advance(&self, by: Duration) {
        self.cloud.advance(by);
    }

    /// 123pan's image host, which this cloud plays too.
    pub fn pan123(&self) -> Pan123Sim<'_> {
        Pan123Sim(&self.cloud)
    }

    /// Every stored file of both clouds: of Baidu's, then of 123pan's, by account and path.
    pub fn files(&self) -> Vec<StoredFile> {
        self.cloud.settle();
        self.cloud.all_files()
    }

    /// One stored file of the default account's drive at Baidu.
    pub fn file(&self, path: &str) -> Option<StoredFile> {
        self.cloud.settle();
        let files = self.cloud.lock().drives.files();
        files.into_iter().find(|file| file.account == DEFAULT_ACCOUNT && file.path == path)
    }

    /// The bytes of one stored file of the default account, from the disk.
    pub fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.cloud.settle();
        let disk = self.cloud.lock().drives.disk(DEFAULT_ACCOUNT, path)?;
        std::fs::read(disk)
    }

    /// Puts a file into an account's drive, as if another device had uploaded it.
    pub fn put_file(&self, account: &str, path: &str, bytes: &[u8]) -> io::Result<()> {
        create::put_file(&self.cloud, account, path, bytes)
    }

    /// Takes a file or folder away, as the user could in the phone app. Returns how many entries went.
    pub fn remove(&self, account: &str, path: &str) -> io::Result<usize> {
        self.cloud.remove(account, path)
    }

    /// A user makes a share link in the phone app, of folders too, for so many days; 0 is for ever.
    pub fn share(&self, account: &str, paths: &[&str], period: u64) -> io::Result<ShareLink> {
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        self.cloud.share(account, &paths, period)
    }

    /// What users took away with [`CloudSim::remove`]: account and path.
    pub fn removed(&self) -> Vec<(String, String)> {
        self.cloud.lock().given.removed.clone()
    }

    /// Every secret of this cloud: the application's, and each token and device code it ever gave out or
    /// was told to take.
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets: Vec<String> = self.cloud.lock().given.secrets.iter().cloned().collect();
        secrets.push(self.cloud.options.client_secret.clone());
        secrets
    }

    /// How often each refresh token came in, whatever became of it. Each is good for once.
    pub fn presented(&self) -> BTreeMap<String, u32> {
        self.cloud.lock().given.presented.clone()
    }

    /// The calls that brought the CDN a token, an Authorization or a Cookie. There should be none.
    pub fn leaks(&self) -> Vec<Call> {
        self.calls().into_iter().filter(|call| !call.leaked.is_empty()).collect()
    }

    /// Every call so far, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.calls_since(0)
    }

    /// The calls from number `n` on.
    pub fn calls_since(&self, n: u64) -> Vec<Call> {
        self.cloud.lock().calls.since(n)
    }

    /// How many calls came whose `METHOD PATH?method=…` has this text in it, whatever became of them:
    /// `count("superfile2")`, `count("method=create")`.
    pub fn count(&self, text: &str) -> usize {
        self.calls().iter().filter(|call| call.target().contains(text)).count()
    }

    /// How many upload sessions are open, at both clouds.
    pub fn open_uploads(&self) -> usize {
        let open = self.cloud.lock().sessions.all().count();
        open + self.pan123().open_uploads()
    }

    fn server(&self) -> MutexGuard<'_, Option<Server>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
