//! Files that are not where the index knows them: sent again by somebody, taken out of the recycle bin,
//! moved away and back - or removed, while the same content lies elsewhere too.
//!
//! An id belongs to a copy, not to a path. So what an id does not bring is looked for at its path; and what
//! is not there either, when all else has been looked at, wherever [`super::Copies`] knows the content to be.
//! Only a file whose MD5 is known is looked for: whatever is found, its content is checked once it has come.

use std::collections::{BTreeMap, HashMap, HashSet};

use tokio::sync::mpsc;

use super::many::Fetcher;
use super::one::Ready;
use super::patience::{Over, Patience};
use super::{End, Stop, Wanted};
use crate::cloud::files::Item;
use crate::cloud::give_back::MOST_DETAILS;
use crate::cloud::{Content, Entry, GiveBack, Kind};

/// So many wait at most for being looked for elsewhere.
const MOST: usize = 5000;
/// Pages of one remote folder. A cloud that gives one full page after the other is not one that ends.
const PAGES: usize = 200;

/// A file that is not where it should be.
pub(super) struct Lost {
    pub(super) file: Ready,
    /// What is told of it when it is found nowhere.
    pub(super) end: End,
}

impl Fetcher<'_> {
    /// Those that lie at their paths under other ids, with their addresses; and the others.
    pub(super) async fn found_by_path(
        &self,
        files: &dyn GiveBack,
        lost: Vec<Lost>,
    ) -> Result<(Vec<Ready>, Vec<Lost>), Stop> {
        let mut folders: BTreeMap<String, Vec<Lost>> = BTreeMap::new();
        for one in lost {
            folders.entry(folder_of(&one.file.wanted.remote).to_owned()).or_default().push(one);
        }
        let (mut found, mut lost) = (Vec::new(), Vec::new());
        for (folder, these) in folders {
            let there = match self.listed(files, &folder, &these).await {
                Ok(there) => there,
                Err(Over::All(stop)) => return Err(stop),
                Err(Over::File(why)) => {
                    lost.extend(these.into_iter().map(|one| Lost { end: End::Failed(why.clone()), ..one }));
                    continue;
                }
            };
            for mut one in these {
                let wanted = &mut one.file.wanted;
                match there.get(&wanted.remote) {
                    Some(item) if self.may_be(wanted, item) => {
                        wanted.fs_id.clone_from(&item.fs_id);
                        found.push(one.file);
                    }
                    Some(item) if item.fs_id != wanted.fs_id => {
                        let why = "it is not in the cloud any more; another file has its name there";
                        lost.push(Lost { end: End::Failed(why.to_owned()), ..one });
                    }
                    _ => lost.push(one),
                }
            }
        }
        let (ready, mut gone) = self.ask(files, found).await?;
        lost.append(&mut gone);
        Ok((ready, lost))
    }

    /// What a remote folder lists at the paths of these.
    async fn listed(
        &self,
        files: &dyn GiveBack,
        folder: &str,
        these: &[Lost],
    ) -> Result<HashMap<String, Item>, Over> {
        let paths: HashSet<&str> = these.iter().map(|one| one.file.wanted.remote.as_str()).collect();
        let (mut there, mut after, mut patience) = (HashMap::new(), None, Patience::default());
        for _ in 0..PAGES {
            let page = loop {
                match files.items(folder, after.clone()).await {
                    Ok(page) => break page,
                    Err(error) if error.kind == Kind::Missing => return Ok(there),
                    Err(error) => patience.wait(error, &self.line, self.watch).await?,
                }
            };
            self.line.moves();
            patience.renew();
            let ours = page.entries.into_iter().filter(|item| paths.contains(item.path.as_str()));
            there.extend(ours.map(|item| (item.path.clone(), item)));
            match page.next {
                Some(next) if there.len() < paths.len() => after = Some(next),
                _ => break,
            }
        }
        Ok(there)
    }

    /// Whether what is listed at a file's path is worth fetching for it.
    fn may_be(&self, wanted: &Wanted, item: &Item) -> bool {
        let Some(md5) = wanted.md5 else { return false };
        let content = Content { size: wanted.size, md5, cuts: Vec::new() };
        let entry = Entry {
            id: item.fs_id.clone(),
            path: item.path.clone(),
            size: item.size,
            is_folder: item.isdir,
            md5: item.md5.clone(),
        };
        !item.isdir
            && item.size == wanted.size
            && item.fs_id != wanted.fs_id
            && self.drive.has_content(&entry, &content) != Some(false)
    }

    /// Whether [`Fetcher::look_elsewhere`] is due.
    pub(super) fn has_lost_many(&self) -> bool {
        self.lost.borrow().len() >= MOST
    }

    /// Fetches what is lost from where else its content is, as far as anybody knows.
    pub(super) async fn look_elsewhere(
        &self,
        files: &dyn GiveBack,
        ready: &mpsc::Sender<Ready>,
    ) -> Result<(), Stop> {
        let lost = self.lost.take();
        let others = match self.copies {
            Some(copies) if !lost.is_empty() => {
                let wanted: Vec<&Wanted> = lost.iter().map(|one| &one.file.wanted).collect();
                copies.elsewhere(&wanted).await
            }
            _ => Vec::new(),
        };
        let mut found = Vec::new();
        for (mut one, other) in lost.into_iter().zip(others.into_iter().chain(std::iter::repeat(None))) {
            match other {
                Some(fs_id) => {
                    one.file.wanted.fs_id = fs_id;
                    found.push(one.file);
                }
                None => self.ended(&one.file.wanted, &one.end),
            }
        }
        while !found.is_empty() {
            let bundle = found.split_off(found.len().saturating_sub(MOST_DETAILS));
            let (there, gone) = self.ask(files, bundle).await?;
            gone.iter().for_each(|one| self.ended(&one.file.wanted, &one.end));
            for file in there {
                // Nobody takes any more only when all of it has stopped.
                let _ = ready.send(file).await;
            }
        }
        Ok(())
    }
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("/", |(folder, _)| if folder.is_empty() { "/" } else { folder })
}
