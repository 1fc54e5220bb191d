//! What happens behind the scenes of this cloud: as methods for tests, and for `/_sim/*`.

use std::io::{self, Write};
use std::time::Duration;

use regex::Regex;

use super::item::number_of;
use super::library::{Bytes, Place};
use super::{PAN123_FOLDER, Pan123Options, clients};
use crate::create::merge;
use crate::disk::temp_file;
use crate::entry::StoredFile;
use crate::state::{Cloud, State};
use crate::users::DEFAULT_ACCOUNT;

/// 123pan's image host of a [`CloudSim`](crate::CloudSim).
pub struct Pan123Sim<'a>(pub(crate) &'a Cloud);

impl Pan123Sim<'_> {
    /// Makes an application known, or changes its secret. Its account is another user's.
    pub fn add_client(&self, account: &str, id: &str, secret: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        state.given.secrets.insert(secret.into());
        state.pan123.clients.ensure(account, id, secret);
        state.pan123.save()
    }

    /// Makes a token valid; `ttl` defaults to 30 days. A new account is an application whose id and secret
    /// are its name.
    pub fn add_token(&self, account: &str, token: &str, ttl: Option<Duration>) -> io::Result<()> {
        let ttl = ttl.unwrap_or(self.0.options.access_ttl);
        let expires_ms = self.0.now_ms().saturating_add(ttl.as_millis() as u64);
        let mut state = self.0.lock();
        if !state.pan123.clients.has(account) {
            state.pan123.clients.ensure(account, account, account);
        }
        clients::add_token(&mut state, account, token, expires_ms)
    }

    /// How many tokens of an account are good now.
    pub fn live_tokens(&self, account: &str) -> usize {
        self.0.lock().pan123.clients.live(account, self.0.now_ms())
    }

    /// Ends the life of every token, or of one account's. Returns how many there were.
    pub fn expire(&self, account: Option<&str>) -> io::Result<usize> {
        let pan123 = &mut self.0.lock().pan123;
        let ended = pan123.clients.expire(account);
        pan123.save()?;
        Ok(ended)
    }

    /// Changes how this cloud behaves.
    pub fn behave(&self, change: impl FnOnce(&mut Pan123Options)) {
        change(&mut self.0.lock().pan123.behave);
    }

    /// Changes `sliceSize`, for uploads that begin from now on.
    pub fn set_slice_size(&self, bytes: u64) {
        self.behave(|options| options.slice_size = bytes.max(1));
    }

    /// Changes when a completed upload is there: at once, or so much later and asked for.
    pub fn set_async(&self, delay: Option<Duration>) {
        self.behave(|options| options.async_delay = delay);
    }

    /// Changes how long a picture waits for its review.
    pub fn set_review_time(&self, time: Duration) {
        self.behave(|options| options.review_time = time);
    }

    /// The review says `status` of every picture whose path (`/folder/name.jpg`) fits the pattern, of those
    /// that are there and of those to come; above 100 is rejected. Returns how many there are.
    pub fn review(&self, pattern: &str, status: i64) -> Result<usize, String> {
        let known = Regex::new(pattern).map_err(|error| error.to_string())?;
        let pan123 = &mut self.0.lock().pan123;
        pan123.verdicts.add(pattern, status);
        let judged = pan123.library.judge(&known, status).and_then(|judged| pan123.save().map(|()| judged));
        judged.map_err(|error| error.to_string())
    }

    /// Every picture, by account and path.
    pub fn files(&self) -> Vec<StoredFile> {
        self.0.settle();
        self.0.lock().pictures(self.0.now_ms())
    }

    /// One picture of the default account.
    pub fn file(&self, path: &str) -> Option<StoredFile> {
        self.files().into_iter().find(|file| file.account == DEFAULT_ACCOUNT && file.path == path)
    }

    /// The bytes of one picture of the default account, from the disk.
    pub fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let file = self.file(path).ok_or(io::ErrorKind::NotFound)?;
        std::fs::read(file.disk)
    }

    /// The id of a folder or picture, and of the root for `/`.
    pub fn id(&self, account: &str, path: &str) -> Option<String> {
        self.0.settle();
        self.0.lock().id_of(account, path)
    }

    /// Makes a folder and those above it, as if another device had. Returns its id.
    pub fn mkdir(&self, account: &str, path: &str) -> io::Result<String> {
        let now_ms = self.0.now_ms();
        let mut state = self.0.lock();
        let state = &mut *state;
        let mut parent = state.pan123.root_id(account);
        for name in path.split('/').filter(|name| !name.is_empty()) {
            parent = match state.pan123.library.child(&parent, name) {
                Some(known) => known.id.clone(),
                None => {
                    let place = Place { account, parent: &parent, name };
                    state.pan123.library.make_folder(place, now_ms, &mut state.dice)?.id
                }
            };
        }
        Ok(parent)
    }

    /// Puts a picture into an account's folder, as if another device had uploaded it. Returns its id.
    pub fn put_file(&self, account: &str, path: &str, bytes: &[u8]) -> io::Result<String> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = self.mkdir(account, folder)?;
        let mut source = temp_file(self.0)?;
        source.write_all(bytes)?;
        let content = merge(&[source.path().to_owned()], temp_file(self.0)?, Vec::new())?;
        let md5 = content.md5.of(&content.file)?;
        let mut state = self.0.lock();
        let state = &mut *state;
        let bytes = Bytes {
            file: &content.file,
            size: content.size,
            etag: md5,
            block_list: vec![md5.to_owned()],
            instant: false,
        };
        let place = Place { account, parent: &parent, name };
        let put = state.pan123.put(place, bytes, self.0.now_ms(), &mut state.dice);
        put.map_err(|refusal| io::Error::other(format!("{refusal:?}")))
    }

    /// Takes a folder or picture away, as the user could. Returns how many entries went.
    pub fn remove(&self, account: &str, path: &str) -> io::Result<usize> {
        let mut state = self.0.lock();
        state.given.removed.push((account.into(), path.into()));
        match state.id_of(account, path) {
            Some(id) if number_of(&id) != Some(0) => state.pan123.library.remove(&id),
            _ => Ok(0),
        }
    }

    /// Forgets every upload under way and its slices. Returns how many there were.
    pub fn forget_uploads(&self) -> usize {
        self.0.lock().pan123.uploads.forget_all()
    }

    /// What was sent is checked now, whatever the delay: all of it is in its place, or has failed.
    pub fn end_checks(&self) -> io::Result<()> {
        let now_ms = self.0.now_ms();
        super::upload::settle_those(&mut self.0.lock(), u64::MAX, now_ms)
    }

    /// How many uploads are under way.
    pub fn open_uploads(&self) -> usize {
        self.0.lock().pan123.uploads.open_ones().count()
    }
}

impl State {
    /// Every picture as tests see it.
    pub(crate) fn pictures(&self, now_ms: u64) -> Vec<StoredFile> {
        let (library, behave) = (&self.pan123.library, &self.pan123.behave);
        let review_ms = behave.review_time.as_millis() as u64;
        let shown = |item: &super::item::Item| {
            let disk = library.disk(item).unwrap_or_default();
            item.stored(library.path(item), disk, item.status(now_ms, review_ms))
        };
        library.pictures().into_iter().map(shown).collect()
    }

    /// Uploads under way, as `GET /_sim/uploads` shows them.
    pub(crate) fn picture_uploads(&self) -> impl Iterator<Item = serde_json::Value> {
        self.pan123.uploads.open_ones().map(|upload| {
            let folder = self.pan123.library.get(&upload.parent);
            let folder = folder.map_or(String::new(), |folder| self.pan123.library.path(folder));
            serde_json::json!({
                "cloud": PAN123_FOLDER,
                "uploadid": upload.preupload_id,
                "account": upload.account,
                "path": format!("{folder}/{}", upload.name),
                "size": upload.size,
                "slices": upload.slice_count(),
                "missing": upload.missing(),
            })
        })
    }

    fn id_of(&self, account: &str, path: &str) -> Option<String> {
        let mut id = self.pan123.root_id(account);
        for name in path.split('/').filter(|name| !name.is_empty()) {
            id = self.pan123.library.child(&id, name)?.id.clone();
        }
        Some(id)
    }
}
