//! One file, from its `dlink` to its name.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::time::Instant;

use super::local::{self, Looked};
use super::many::Fetcher;
use super::part::{Part, Placed};
use super::patience::{Over, Patience, words};
use super::queue::Queue;
use super::{End, Stop, Wanted};
use crate::cloud::give_back::{Asked, MOST_DETAILS};
use crate::cloud::{Error, GiveBack, Kind};
use crate::content::Md5;

/// Bytes that are written at a time.
const PIECE: usize = 256 << 10;
/// Bytes that have to come by one download for the line to count as one that moves.
const MOVED: u64 = 16 << 10;

/// A file that is ready to be downloaded.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) wanted: Wanted,
    /// Where to fetch it; none is needed for an empty file.
    pub(super) dlink: String,
    /// When that was asked for.
    pub(super) asked_at: Option<Instant>,
    /// Something else is in its place and to be replaced.
    pub(super) replace: bool,
    /// What came was wrong once: then the server's word for its MD5 may be wrong, too.
    pub(super) doubted: bool,
}

impl Ready {
    /// A file whose address has to be asked for.
    pub(super) fn new(wanted: Wanted, replace: bool) -> Self {
        Self { wanted, dlink: String::new(), asked_at: None, replace, doubted: false }
    }

    /// As the cloud is asked about it.
    pub(super) fn asked(&self) -> Asked {
        Asked { id: self.wanted.fs_id.clone(), path: self.wanted.remote.clone() }
    }
}

/// How an attempt ended.
enum Attempt {
    End(End),
    /// The content is not what it should be; the part is gone.
    Wrong,
}

impl From<Over> for Result<Attempt, Stop> {
    fn from(over: Over) -> Self {
        match over {
            Over::File(why) => Ok(Attempt::End(End::Failed(why))),
            Over::All(stop) => Err(stop),
        }
    }
}

impl Fetcher<'_> {
    /// Fetches a file, checks it, and puts it in its place.
    pub(super) async fn bring(
        &self,
        files: &dyn GiveBack,
        queue: &Queue,
        mut ready: Ready,
    ) -> Result<End, Stop> {
        for is_again in [false, true] {
            ready.doubted = is_again;
            match self.attempt(files, queue, &mut ready).await? {
                Attempt::End(end) => return Ok(end),
                Attempt::Wrong => tracing::debug!(remote = ready.wanted.remote, "wrong content"),
            }
        }
        let words = "what came is not its content, twice; nothing was kept of it. `xpand verify` looks at the \
                     copy in the cloud";
        Ok(End::Failed(words.to_owned()))
    }

    async fn attempt(&self, files: &dyn GiveBack, queue: &Queue, ready: &mut Ready) -> Result<Attempt, Stop> {
        let mut part = match self.open(&ready.wanted).await {
            Ok(part) => part,
            Err(error) => return self.disk_failed(&ready.wanted, error).map(Attempt::End),
        };
        self.watch.begins(&ready.wanted, part.length());
        let (mut patience, mut told, mut renewed_at) = (Patience::default(), None, None);
        while part.length() < ready.wanted.size {
            let before = part.length();
            let (now, outcome) = match self.more(files, ready, part, &mut told).await {
                Ok(answer) => answer,
                Err(error) => return self.disk_failed(&ready.wanted, error).map(Attempt::End),
            };
            part = now;
            // A line that breaks again and again after next to nothing is no line.
            if part.length().saturating_sub(before) >= MOVED {
                patience.renew();
            }
            let Err(error) = outcome else { continue };
            let over = match error.kind {
                // Its eight hours are over. A new one that is no better is the file's own trouble.
                Kind::Expired if renewed_at != Some(part.length()) => {
                    renewed_at = Some(part.length());
                    self.renew(files, queue, ready).await
                }
                _ => patience.wait(error, &self.line, self.watch).await,
            };
            if let Err(over) = over {
                self.leave(part).await;
                return over.into();
            }
        }
        self.finish(ready, part, told).await
    }

    /// Opens the part of a file.
    async fn open(&self, wanted: &Wanted) -> io::Result<Part> {
        let (target, place) = (Arc::clone(&self.target), wanted.place.clone());
        let (identity, size, cuts) = (identity(wanted), wanted.size, local::cuts(&*self.drive, wanted));
        self.disk
            .run(move || {
                let folder = target.folder_of(&place, true)?.ok_or(io::ErrorKind::NotFound)?;
                Part::open(&target, folder, place.name(), identity, size, cuts)
            })
            .await
    }

    /// Downloads from where the part ends, as far as it goes. The outer result is the disk's.
    async fn more(
        &self,
        files: &dyn GiveBack,
        ready: &Ready,
        mut part: Part,
        told: &mut Option<Md5>,
    ) -> io::Result<(Part, Result<(), Error>)> {
        let size = ready.wanted.size;
        let mut download = match files.download(&ready.dlink, part.length(), size).await {
            Ok(download) => download,
            Err(error) => return Ok((part, Err(error))),
        };
        self.line.moves();
        let other = |words: String| Error::new(Kind::Refused, "download", words);
        if download.total != size {
            let words = format!("it has {} bytes now and had {size} when it was listed", download.total);
            return Ok((part, Err(other(words))));
        }
        if download.from != part.length() {
            if download.from != 0 {
                let words = format!("byte {} was asked for and {} came", part.length(), download.from);
                return Ok((part, Err(other(words))));
            }
            part = self.disk.run(move || part.empty()).await?;
        }
        *told = download.content_md5;
        if told.is_some() && !ready.doubted {
            part.forget_slices();
        }
        let (mut pieces, mut held, mut ended) = (Vec::new(), 0, Ok(()));
        loop {
            let next = download.body.next().await;
            let is_end = !matches!(next, Some(Ok(_)));
            match next {
                Some(Ok(piece)) => {
                    held += piece.len();
                    pieces.push(piece);
                }
                Some(Err(error)) => ended = Err(error),
                None => {}
            }
            if held >= PIECE || is_end && held > 0 {
                let room = size - part.length();
                let came = held as u64;
                part = self.write(part, std::mem::take(&mut pieces)).await?;
                held = 0;
                self.line.moves();
                self.watch.at(&ready.wanted, part.length().min(size));
                if came > room {
                    break;
                }
            }
            if is_end {
                break;
            }
        }
        if ended.is_ok() && part.length() < size {
            ended = Err(Error::new(Kind::Offline, "download", "the line broke before the end"));
        }
        Ok((part, ended))
    }

    async fn write(&self, part: Part, pieces: Vec<Bytes>) -> io::Result<Part> {
        self.disk.run(move || part.write(&pieces)).await
    }

    /// Asks for another `dlink`, and for those of the files that wait for their turn with one as old: a call
    /// for each of them would take a minute for twenty.
    async fn renew(&self, files: &dyn GiveBack, queue: &Queue, ready: &mut Ready) -> Result<(), Over> {
        let mut waiting = queue.as_old_as(ready.asked_at);
        let own = std::iter::once(ready.asked());
        let these: Vec<Asked> = own.chain(waiting.asked()).take(MOST_DETAILS).collect();
        let items = self.metas(files, &these).await?;
        let asked_at = Some(Instant::now());
        // What is not there any more is told in its turn.
        for file in waiting.files() {
            if let Some(dlink) = items.get(&file.wanted.fs_id).and_then(|item| item.dlink.clone()) {
                (file.dlink, file.asked_at) = (dlink, asked_at);
            }
        }
        match items.get(&ready.wanted.fs_id).and_then(|item| item.dlink.clone()) {
            Some(dlink) => (ready.dlink, ready.asked_at) = (dlink, asked_at),
            None => return Err(Over::File("it is not in the cloud any more".to_owned())),
        }
        Ok(())
    }

    /// Checks what came, and gives it its name.
    async fn finish(&self, ready: &Ready, part: Part, told: Option<Md5>) -> Result<Attempt, Stop> {
        let wanted = &ready.wanted;
        let verdict = local::verdict(&*self.drive, wanted, &part.content(), told);
        // What was there before this run may be anything: without a check it is not trusted.
        if !verdict.unwrap_or(!part.was_found()) {
            let removed = self.disk.run(move || part.remove()).await;
            return match removed {
                Ok(()) => Ok(Attempt::Wrong),
                Err(error) => self.disk_failed(wanted, error).map(Attempt::End),
            };
        }
        let (target, place, mtime) = (Arc::clone(&self.target), wanted.place.clone(), wanted.mtime);
        let replace = ready.replace;
        let placed = self.disk.run(move || part.place(&target, place.name(), mtime, replace)).await;
        match placed {
            Ok(Placed::Done) => Ok(Attempt::End(End::Done)),
            Ok(Placed::Taken) => Ok(Attempt::End(match self.look(wanted).await {
                Ok(Looked::Present) => End::Present,
                Ok(Looked::Taken(why)) => End::Failed(why),
                Ok(_) => End::Failed("another file came into its place meanwhile".to_owned()),
                Err(error) => return self.disk_failed(wanted, error).map(Attempt::End),
            })),
            Err(error) => self.disk_failed(wanted, error).map(Attempt::End),
        }
    }

    /// An empty part of a file that failed is of no use to anybody.
    async fn leave(&self, part: Part) {
        if part.length() == 0 {
            let _ = self.disk.run(move || part.remove()).await;
        }
    }

    /// Whether it is this file's trouble or the whole disk's.
    pub(super) fn disk_failed(&self, wanted: &Wanted, error: io::Error) -> Result<End, Stop> {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::ReadOnlyFilesystem => {
                Err(Stop::Disk { path: wanted.place.under(self.target.path()), source: error })
            }
            _ => Ok(End::Failed(words(&error))),
        }
    }
}

/// What tells one content from another before it is there.
fn identity(wanted: &Wanted) -> Md5 {
    let Wanted { remote, fs_id, size, listed, .. } = wanted;
    Md5::of(format!("{remote}\0{fs_id}\0{size}\0{}", listed.as_deref().unwrap_or("")))
}
