//! The clouds that a test can name. The same body runs at each of them; what differs is here, and in
//! [`Rig`]'s own way to look into a cloud.

use std::fmt::Write as _;

use cloudsim::{DEFAULT_ACCOUNT, FaultKind, StoredFile};

use super::faults::passing;
use super::media::{photo, video};
use super::{Account, Rig, Setup};

/// Makes a test at each cloud of a function that takes the cloud: `its_name::at_baidu`, `its_name::at_pan123`.
#[allow(unused_macros)]
macro_rules! at_each_cloud {
    ($($body:ident)+) => {$(
        mod $body {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn at_baidu() {
                super::$body($crate::common::clouds::Cloud::Baidu).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn at_pan123() {
                super::$body($crate::common::clouds::Cloud::Pan123).await;
            }
        }
    )+};
}
#[allow(unused_imports)]
pub(crate) use at_each_cloud;

/// Whose drive an account of the rig is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cloud {
    Baidu,
    Pan123,
}

/// What 123pan takes (field notes 8.3).
const PICTURES: [&str; 9] = ["png", "gif", "jpg", "jpeg", "tif", "tiff", "webp", "svg", "bmp"];

impl Cloud {
    /// As the configuration and the local cloud call it.
    pub fn name(self) -> &'static str {
        self.of("baidu", "pan123")
    }

    /// One of two, by the cloud.
    pub fn of<T>(self, baidu: T, pan123: T) -> T {
        match self {
            Self::Baidu => baidu,
            Self::Pan123 => pan123,
        }
    }

    /// Where everything of an account lies.
    pub fn root(self) -> &'static str {
        self.of("/apps/xpand/", "/")
    }

    /// The call that announces a file.
    pub fn begin(self) -> &'static str {
        self.of("method=precreate", "file/create")
    }

    /// The call that sends a slice.
    pub fn slice(self) -> &'static str {
        self.of("superfile2", "PUT ")
    }

    /// The call that makes the file of what was sent.
    pub fn finish(self) -> &'static str {
        self.of("method=create", "upload_complete")
    }

    /// The call that tells what is in a folder.
    pub fn list(self) -> &'static str {
        self.of("method=list", "file/list")
    }

    /// The call that gets a new token.
    pub fn login(self) -> &'static str {
        self.of("oauth/2.0/token", "access_token")
    }

    /// A number that the cloud answers with.
    pub fn number(self, number: i64) -> FaultKind {
        self.of(FaultKind::Errno(number), FaultKind::Code(number))
    }

    /// Failures of any call after which the same may succeed later.
    pub fn passing(self) -> Vec<FaultKind> {
        use FaultKind::{Code, Errno, ErrorCode};
        let own = |kind: &FaultKind| !matches!(kind, Errno(_) | ErrorCode(_));
        match self {
            Self::Baidu => passing(),
            Self::Pan123 => {
                passing().into_iter().filter(own).chain([1, 429, 5000].map(Code)).collect::<Vec<_>>()
            }
        }
    }

    /// Whether a file of this ending, which is a photo or a video, is sent there.
    pub fn takes(self, ending: &str) -> bool {
        self == Self::Baidu || PICTURES.contains(&ending)
    }

    /// The lines of an account of the configuration.
    pub(super) fn account(self, account: &Account, setup: &Setup, url: &str) -> String {
        let mut text = format!("[account.{}]\nendpoint = \"{url}\"\n", account.name);
        let (id, secret) = account.application(setup);
        let own = self.of("app = \"xpand\"", "provider = \"pan123\"");
        let _ = writeln!(text, "client_id = \"{id}\"\nclient_secret = \"{secret}\"\n{own}");
        if let Some(tls) = &setup.sim.tls {
            let _ = writeln!(text, "ca_file = {:?}", tls.ca);
        }
        text
    }
}

impl Account {
    /// Its `client_id` and `client_secret`. At 123pan these are whose drive it is.
    pub(super) fn application(&self, setup: &Setup) -> (String, String) {
        if self.cloud == Cloud::Baidu || self.user == DEFAULT_ACCOUNT {
            return (setup.sim.client_id.clone(), setup.sim.client_secret.clone());
        }
        (self.user.to_owned(), format!("rigs-own-secret-of-{}", self.user))
    }
}

impl Setup {
    /// All accounts are at this cloud.
    pub fn at(&mut self, cloud: Cloud) {
        self.accounts.iter_mut().for_each(|account| account.cloud = cloud);
    }
}

impl Rig {
    /// The cloud of the first account.
    pub fn cloud(&self) -> Cloud {
        self.setup.accounts[0].cloud
    }

    /// Everything but the agent, at a cloud.
    pub fn ready_at(cloud: Cloud, change: impl FnOnce(&mut Setup)) -> Self {
        Self::ready(|setup| {
            setup.at(cloud);
            change(setup);
        })
    }

    /// With the agent, at a cloud.
    pub fn start_at(cloud: Cloud, change: impl FnOnce(&mut Setup)) -> Self {
        let mut rig = Self::ready_at(cloud, change);
        rig.begin();
        rig
    }

    /// As [`Rig::backed_up`], at a cloud.
    pub async fn backed_up_at(cloud: Cloud, fill: impl FnOnce(&Self)) -> Self {
        let mut rig = Self::ready_at(cloud, |_| ());
        fill(&rig);
        rig.back_up_and_stop().await;
        rig
    }

    /// The largest thing of a test: a film of this length at Baidu, of several slices, and at 123pan, which
    /// has no slices and no films, a picture of a sixteenth of that. Returns its path below the folder.
    pub fn put_large(&self, name: &str, seed: u64, length: usize) -> String {
        let (ending, bytes) = match self.cloud() {
            Cloud::Baidu => ("mp4", video(seed, length)),
            Cloud::Pan123 => ("jpg", photo(seed, length / 16)),
        };
        let below = format!("{name}.{ending}");
        self.put(&below, &bytes);
        below
    }

    /// A file comes into the drive of `demo` from elsewhere, at a path below the account's own folder.
    pub fn put_there(&self, below: &str, bytes: &[u8]) {
        let path = format!("{}{below}", self.cloud().root());
        match self.cloud() {
            Cloud::Baidu => self.sim.put_file(DEFAULT_ACCOUNT, &path, bytes).unwrap(),
            Cloud::Pan123 => drop(self.sim.pan123().put_file(DEFAULT_ACCOUNT, &path, bytes).unwrap()),
        }
    }

    /// `demo` takes a file or folder away in the vendor's own app.
    pub fn remove_there(&self, below: &str) {
        let path = format!("{}{below}", self.cloud().root());
        let gone = match self.cloud() {
            Cloud::Baidu => self.sim.remove(DEFAULT_ACCOUNT, &path),
            Cloud::Pan123 => self.sim.pan123().remove(DEFAULT_ACCOUNT, &path),
        };
        assert!(gone.unwrap() > 0, "{path} is not in the cloud");
    }

    /// The stored file of `demo` at a path below the account's own folder, if there is one.
    pub fn there(&self, below: &str) -> Option<StoredFile> {
        let (cloud, path) = (self.cloud(), format!("{}{below}", self.cloud().root()));
        let is_it = |file: &StoredFile| {
            file.cloud == cloud.name() && file.account == DEFAULT_ACCOUNT && file.path == path
        };
        self.sim.files().into_iter().find(is_it)
    }
}
