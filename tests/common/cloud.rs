//! What is in the cloud, compared with what is on the disk; and what the cloud was asked.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use cloudsim::{Call, StoredFile, md5_hex};

use super::clouds::Cloud;
use super::{Rig, files_below};

/// Endings that the rig's tests use for photos and videos.
const MEDIA: [&str; 7] = ["jpg", "jpeg", "png", "heic", "mp4", "mov", "mkv"];

impl Rig {
    /// The contents that ought to be in a cloud: which, whose drive, and MD5, as often as there are files of it.
    fn local(&self) -> BTreeMap<(&'static str, String, String), usize> {
        let mut contents = BTreeMap::new();
        for folder in &self.setup.folders {
            let account = self.setup.accounts.iter().find(|account| account.name == folder.account).unwrap();
            for (path, below) in files_below(&self.root(folder.label)) {
                if is_wanted(account.cloud, &below, folder.more.contains("\"other\"")) {
                    let bytes = fs::read(path).unwrap();
                    if !bytes.is_empty() {
                        let whose = (account.cloud.name(), account.user.to_owned(), md5_hex(&bytes));
                        *contents.entry(whose).or_insert(0) += 1;
                    }
                }
            }
        }
        contents
    }

    /// What is in the folders and not in the cloud, or the other way round, in words.
    pub fn differs(&self) -> Option<String> {
        let local = self.local();
        let mut cloud = BTreeMap::new();
        for file in self.sim.files() {
            *cloud.entry((file.cloud, file.account, file.md5)).or_insert(0) += 1;
        }
        (local != cloud).then(|| format!("the folders have {local:#?}, the cloud has {cloud:#?}"))
    }

    /// Every file is in the cloud, as often as it is on the disk, and each was made by one `create`.
    pub fn assert_arrived_once(&self) {
        if let Some(words) = self.differs() {
            panic!("{words}");
        }
        for file in self.sim.files() {
            let sent = (file.created, file.overwritten, file.versions.len());
            assert_eq!(sent, (1, 0, 0), "created, overwritten, versions of {}", file.path);
        }
        self.assert_only_grew();
    }

    /// Whatever was in the cloud at an earlier call of this is there still.
    pub fn assert_only_grew(&self) {
        let files = self.sim.files();
        let has = |(account, path, md5): &(String, String, String)| {
            files.iter().any(|file| {
                let is_it = file.md5 == *md5 || file.versions.iter().any(|version| version.md5 == *md5);
                file.account == *account && file.path == *path && is_it
            })
        };
        // What its user took away in the phone app is the user's own doing.
        let removed = self.sim.removed();
        let is_removed = |(account, path, _): &(String, String, String)| {
            removed.iter().any(|(whose, what)| whose == account && Path::new(path).starts_with(what))
        };
        let mut grown = self.grown.lock().unwrap();
        if !self.setup.upload.contains("overwrite") {
            for known in grown.iter().filter(|known| !is_removed(known)) {
                assert!(has(known), "{known:?} is gone from the cloud");
            }
        }
        *grown = files.into_iter().map(|file| (file.account, file.path, file.md5)).collect();
    }

    /// The stored file at a path below the account's own folder.
    pub fn stored(&self, below: &str) -> StoredFile {
        let all = || self.sim.files().into_iter().map(|file| file.path).collect::<Vec<_>>();
        self.there(below).unwrap_or_else(|| panic!("{below} is not in the cloud: {:?}", all()))
    }

    /// Where the log of calls ends now, for [`Rig::calls_after`].
    pub fn mark(&self) -> u64 {
        self.sim.calls().last().map_or(0, |call| call.n + 1)
    }

    /// The calls since a mark whose target has this text in it.
    pub fn calls_after(&self, mark: u64, text: &str) -> Vec<Call> {
        self.sim.calls_since(mark).into_iter().filter(|call| call.target().contains(text)).collect()
    }

    /// Nothing was sent since a mark: no session, no slice, no file.
    pub fn assert_nothing_sent_after(&self, mark: u64) {
        let cloud = self.cloud();
        for text in [cloud.begin(), cloud.slice(), cloud.finish()] {
            let calls = self.calls_after(mark, text);
            assert!(calls.is_empty(), "{calls:#?}");
        }
    }

    /// The numbers of the slices that were sent since a mark, whatever became of them, sorted.
    pub fn slices_after(&self, mark: u64) -> Vec<u32> {
        let calls = self.calls_after(mark, self.cloud().slice());
        let mut slices: Vec<u32> = calls.iter().map(partseq).collect();
        slices.sort_unstable();
        slices
    }
}

/// Which slice a `superfile2` sent, or a PUT, whose numbers begin with 1.
pub fn partseq(call: &Call) -> u32 {
    let number = |name: &str| call.query.get(name).map(|number| number.parse::<u32>().unwrap());
    number("partseq").or_else(|| Some(number("partNumber")? - 1)).unwrap()
}

fn is_wanted(cloud: Cloud, below: &Path, others: bool) -> bool {
    let ending = below.extension().and_then(|ending| ending.to_str()).unwrap_or("").to_ascii_lowercase();
    (others || MEDIA.contains(&ending.as_str())) && cloud.takes(&ending)
}
