//! The cloud read by somebody who keeps nothing of it: listings, and the content of files, with patience.

use futures_util::StreamExt as _;

use super::digest::Digest;
use super::patience::{Line, Over, Patience};
use super::{Stop, Watch};
use crate::clock::Clock;
use crate::cloud::files::Item;
use crate::cloud::give_back::Asked;
use crate::cloud::{Content, Error, GiveBack, Kind, Result};

/// Reads with patience: what may do a moment later is tried again, and `watch` hears of long waits.
pub struct Reader<'a> {
    files: &'a dyn GiveBack,
    line: Line,
    watch: &'a dyn Watch,
}

/// What came of reading a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Read {
    /// All of it came.
    Content(Content),
    /// It could not be read, and why.
    Failed(String),
}

impl<'a> Reader<'a> {
    /// Reads by these calls.
    #[must_use]
    pub fn new(files: &'a dyn GiveBack, clock: Clock, watch: &'a dyn Watch) -> Self {
        Self { files, line: Line::new(clock), watch }
    }

    /// Makes a call until it succeeds or there is no sense in it.
    ///
    /// # Errors
    /// The last one.
    pub async fn patiently<T>(&self, call: impl AsyncFn() -> Result<T>) -> Result<T> {
        let mut patience = Patience::default();
        loop {
            match call().await {
                Ok(answer) => {
                    self.line.moves();
                    return Ok(answer);
                }
                Err(error) => patience.again(error, &self.line, self.watch).await?,
            }
        }
    }

    /// What the cloud tells of at most [`crate::cloud::give_back::MOST_DETAILS`] ids, with where to fetch them.
    ///
    /// # Errors
    /// The call fails.
    pub async fn addresses(&self, ids: &[String]) -> Result<Vec<Item>> {
        let asked = |id: &String| Asked { id: id.clone(), path: String::new() };
        let these: Vec<Asked> = ids.iter().map(asked).collect();
        self.patiently(async || self.files.details(&these).await).await
    }

    /// Fetches a file to its end and keeps only its MD5. `size`: as it was listed. `came` hears of each piece.
    ///
    /// # Errors
    /// See [`Stop`]: no other file would fare better.
    pub async fn read(
        &self,
        fs_id: &str,
        dlink: &str,
        size: u64,
        came: impl Fn(u64),
    ) -> std::result::Result<Read, Stop> {
        let (mut digest, mut patience) = (Digest::new(&[]), Patience::default());
        let (mut dlink, mut renewed_at) = (dlink.to_owned(), None);
        loop {
            let before = digest.size();
            let error = match self.more(&dlink, size, &mut digest, &came).await {
                Ok(()) => return Ok(Read::Content(digest.end())),
                Err(error) => error,
            };
            if digest.size() != before {
                patience.renew();
            }
            // Its eight hours are over. A new one that is no better is the file's own trouble.
            if error.kind == Kind::Expired && renewed_at != Some(digest.size()) {
                renewed_at = Some(digest.size());
                let items = self.addresses(&[fs_id.to_owned()]).await?;
                let Some(new) = items.into_iter().find_map(|item| item.dlink) else {
                    return Ok(Read::Failed("it is not in the cloud any more".to_owned()));
                };
                dlink = new;
                continue;
            }
            match patience.wait(error, &self.line, self.watch).await {
                Ok(()) => {}
                Err(Over::File(why)) => return Ok(Read::Failed(why)),
                Err(Over::All(stop)) => return Err(stop),
            }
        }
    }

    /// Goes on where the digest ends.
    async fn more(&self, dlink: &str, size: u64, digest: &mut Digest, came: &impl Fn(u64)) -> Result<()> {
        let mut download = self.files.download(dlink, digest.size(), size).await?;
        self.line.moves();
        if download.from != digest.size() {
            if download.from != 0 {
                let words = format!("byte {} was asked for and {} came", digest.size(), download.from);
                return Err(Error::new(Kind::Refused, "download", words));
            }
            // Ranges are not served: from the beginning.
            *digest = Digest::new(&[]);
        }
        while let Some(piece) = download.body.next().await {
            let piece = piece?;
            digest.update(&piece);
            self.line.moves();
            came(piece.len() as u64);
            if digest.size() > download.total {
                break;
            }
        }
        if digest.size() < download.total {
            return Err(Error::new(Kind::Offline, "download", "the line broke before the end"));
        }
        Ok(())
    }
}
