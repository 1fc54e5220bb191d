//! Files that are fetched to their end, to compare what comes with what was sent. Nothing of it is kept.

use std::collections::{HashMap, HashSet};

use futures_util::stream::{self, StreamExt as _};

use super::place::Place;
use super::report::What;
use super::table::Chosen;
use super::walk::{Walk, parent};
use crate::cli::cloud::of_cloud;
use crate::cli::{Failed, Outcome};
use crate::cloud::files::Item;
use crate::cloud::give_back::MOST_DETAILS;
use crate::control::CopyLine;
use crate::fetch::reader::Read;
use crate::fetch::{Reader, Stop};

/// Files fetched at a time.
const PARALLEL: usize = 3;

/// Files that wait for being fetched: their addresses are asked for together.
#[derive(Debug)]
pub(super) struct Sample {
    /// `None` when no sample is wanted.
    chosen: Option<Chosen>,
    copies: Vec<CopyLine>,
}

/// What came of one file.
enum Came {
    Well,
    Wrong(What, Option<u64>),
    Unread(String),
}

impl Sample {
    pub(super) fn of(chosen: Option<Chosen>) -> Self {
        Self { chosen, copies: Vec::new() }
    }

    /// Takes a copy that is listed as it should be, if it is one of the chosen; a full bundle is fetched.
    pub(super) async fn take(&mut self, walk: &mut Walk<'_, '_>, place: &Place, copy: CopyLine) -> Outcome {
        if self.chosen.is_some_and(|chosen| chosen.has(&copy.remote)) {
            self.copies.push(copy);
        }
        if self.copies.len() < MOST_DETAILS { Ok(()) } else { self.fetch(walk, place).await }
    }

    /// Fetches those that wait.
    pub(super) async fn fetch(&mut self, walk: &mut Walk<'_, '_>, place: &Place) -> Outcome {
        let copies = std::mem::take(&mut self.copies);
        if copies.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = copies.iter().map(|copy| copy.fs_id.clone()).collect();
        let failed = |walk: &Walk<'_, '_>, error| of_cloud(&error, &walk.session().account.name);
        let items = match walk.reader().addresses(&ids).await {
            Ok(items) => items,
            Err(error) => return Err(failed(walk, error)),
        };
        let items: HashMap<String, Item> = items.into_iter().map(|item| (item.fs_id.clone(), item)).collect();
        let (reader, progress) = (walk.reader(), walk.progress);
        let came: Vec<Result<Came, Stop>> = stream::iter(&copies)
            .map(|copy| one(reader, copy, items.get(&copy.fs_id), |more| progress.came(more)))
            .buffered(PARALLEL)
            .collect()
            .await;
        for (copy, came) in copies.into_iter().zip(came) {
            let came = match came {
                Ok(came) => came,
                Err(Stop::Cloud(error)) => return Err(failed(walk, error)),
                Err(stop) => return Err(Failed::new(&stop)),
            };
            match came {
                Came::Well => {}
                Came::Wrong(What::Missing, _) => {
                    self.not_told_of(walk, place, copy).await?;
                    continue;
                }
                Came::Wrong(what, listed_size) => walk.differs(place, copy, what, listed_size).await?,
                Came::Unread(why) => {
                    walk.report.unread(&copy.remote, &why);
                    continue;
                }
            }
            walk.report.summary.fetched += 1;
        }
        walk.report.summary.bytes_fetched = walk.progress.bytes();
        Ok(())
    }

    /// The cloud tells nothing of this id: only where its path is not listed either it is missing.
    async fn not_told_of(&self, walk: &mut Walk<'_, '_>, place: &Place, copy: CopyLine) -> Outcome {
        if walk.looks == 0 {
            walk.report.unread(&copy.remote, "the cloud tells nothing of it");
            return Ok(());
        }
        walk.looks -= 1;
        let wanted = HashSet::from([copy.remote.as_str()]);
        let found = walk.in_folder(parent(&copy.remote), &wanted).await?.remove(&copy.remote);
        match walk.wrong(&copy, found.as_ref())? {
            Some((what, listed_size)) => walk.differs(place, copy, what, listed_size).await,
            None => {
                walk.report.unread(&copy.remote, "the cloud lists it, and tells nothing of it");
                Ok(())
            }
        }
    }
}

/// Fetches one file; what is wrong is fetched twice, so that the line is not taken for the cloud.
async fn one(
    reader: &Reader<'_>,
    copy: &CopyLine,
    item: Option<&Item>,
    came: impl Fn(u64),
) -> Result<Came, Stop> {
    let Some(item) = item else { return Ok(Came::Wrong(What::Missing, None)) };
    if item.size != copy.size {
        return Ok(Came::Wrong(What::WrongSize, Some(item.size)));
    }
    let Some(dlink) = &item.dlink else {
        return Ok(Came::Unread("the cloud gives no address to fetch it from".to_owned()));
    };
    let mut wrong = Came::Well;
    for _ in 0..2 {
        match reader.read(&copy.fs_id, dlink, item.size, &came).await? {
            Read::Failed(why) => return Ok(Came::Unread(why)),
            Read::Content(content) if content.size != copy.size => {
                wrong = Came::Wrong(What::WrongSize, Some(content.size));
            }
            Read::Content(content) if content.md5.to_string() != copy.md5 => {
                wrong = Came::Wrong(What::WrongContent, None);
            }
            Read::Content(_) => return Ok(Came::Well),
        }
    }
    Ok(wrong)
}
