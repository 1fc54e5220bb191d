//! One account's folders: what the agent believes, what is listed, and what is made of the difference.

use std::collections::{HashMap, HashSet};

use super::VerifyArgs;
use super::lost::Vanished;
use super::place::Place;
use super::report::{Difference, Progress, Report, What};
use super::sample::Sample;
use super::table::{Chosen, File, Seen, Table};
use crate::cli::drive::Session;
use crate::cli::parts::Part;
use crate::cli::terminal::{count, files};
use crate::cli::{Failed, Outcome};
use crate::cloud::{Content, Entry, Kind};
use crate::content::Md5;
use crate::control::client::Client;
use crate::control::{BadCopy, CopyLine, Explain, Repaired, Spot, Standing};
use crate::fetch::Reader;
use crate::remote::Home;
use crate::remote::kept::original;
use crate::remote::names::{escape, unescape};
use crate::remote::tops::{is_in, outermost};

/// How many remote folders are looked at again, because something of them seems to be wrong.
const LOOKS: u32 = 20;
/// Copies of one remote folder that are looked for at a time.
const SUSPECTS: usize = 1000;
/// Pages of one remote folder. A cloud that gives one full page after the other is not one that ends.
const PAGES: usize = 200;
/// Remote folders elsewhere, of an earlier label or template: beyond, all of their app is listed.
const ELSEWHERE: usize = 16;
/// Files that the agent is asked about, or that it repairs, at a time.
const TOGETHER: usize = 100;
/// A listing that does not end by then never does: no drive takes so many files.
const MOST: u64 = 10_000_000;

/// What is known of one account so far.
pub(super) struct Walk<'a, 'r> {
    session: &'a Session<'a>,
    client: Client,
    reader: &'a Reader<'a>,
    pub(super) progress: &'a Progress<'r>,
    pub(super) report: &'a mut Report<'r>,
    pub(super) args: &'a VerifyArgs,
    pub(super) table: Table,
    pub(super) looks: u32,
    /// Something that the first listing did not show was there after all.
    is_revived: bool,
    /// What is listed, and was not in the index.
    strange: Vec<Strange>,
    /// What is not as it should be, if the agent still believes in it.
    doubtful: Vec<Doubt>,
    bad: Vec<BadCopy>,
    pub(super) vanished: Vanished,
}

/// A listed file that is not in the index, and which local file it would be.
struct Strange {
    remote: String,
    size: u64,
    local: Spot,
    /// The local file if the cloud made the name up.
    original: Option<Spot>,
}

/// A copy that is not as it should be.
#[derive(Debug)]
pub(super) struct Doubt {
    pub(super) local: Spot,
    pub(super) copy: CopyLine,
    pub(super) what: What,
    pub(super) listed_size: Option<u64>,
}

impl Doubt {
    pub(super) fn difference(&self) -> Difference {
        Difference {
            path: self.local.path.to_string_lossy().into_owned(),
            account: self.copy.account.clone(),
            remote: self.copy.remote.clone(),
            what: self.what,
            size: self.copy.size,
            listed_size: self.listed_size,
            elsewhere: None,
            gone: self.copy.gone,
        }
    }

    pub(super) fn bad(&self) -> BadCopy {
        let CopyLine { label, below, fs_id, remote, .. } = self.copy.clone();
        BadCopy { label, below, fs_id, remote }
    }
}

/// Compares the folders of one account.
pub(super) async fn account(
    session: &Session<'_>,
    parts: Vec<Part>,
    args: &VerifyArgs,
    report: &mut Report<'_>,
) -> Outcome {
    let places: Vec<Place> =
        parts.into_iter().map(|part| Place::new(session, part)).collect::<Outcome<_>>()?;
    let progress = report.progress();
    let reader = Reader::new(session.give_back()?, session.context.clock().clone(), &progress);
    let mut walk = Walk {
        session,
        client: session.context.client(),
        reader: &reader,
        progress: &progress,
        report,
        args,
        table: Table::default(),
        looks: LOOKS,
        is_revived: false,
        strange: Vec::new(),
        doubtful: Vec::new(),
        bad: Vec::new(),
        vanished: Vanished::default(),
    };
    let roots = walk.believed(&places).await?;
    for root in outermost(roots) {
        walk.listed(&places, &root).await?;
    }
    walk.explain_strange().await?;
    let chosen = match (args.sample, walk.report.summary.seed) {
        (Some(share), Some(seed)) => Some(walk.table.choose(seed, share.of(walk.table.len()))),
        _ => None,
    };
    let compared = walk.compared(&places, chosen).await;
    let repaired = walk.send_again().await;
    compared.and(repaired)
}

impl Walk<'_, '_> {
    /// Fills the table, and says which remote folders to list.
    async fn believed(&mut self, places: &[Place]) -> Outcome<Vec<String>> {
        let (mut roots, mut elsewhere) = (Vec::new(), Vec::<String>::new());
        'places: for place in places {
            let root = place.root();
            let mut query = place.query();
            loop {
                let page = self.client.copies(&query).await?;
                let is_one = matches!((page.copies.as_slice(), &page.next), ([one], None)
                    if !place.start().is_empty() && one.below == escape(place.start()));
                for copy in &page.copies {
                    self.table.add(&as_file(copy), md5_of(copy)?);
                    if is_one {
                        // One file: its remote folder is looked at when the index is read again.
                        continue 'places;
                    }
                    let is_covered = is_in(&copy.remote, &root)
                        || elsewhere.iter().any(|folder| is_in(&copy.remote, folder));
                    if !is_covered {
                        elsewhere.push(match elsewhere.len() {
                            0..ELSEWHERE => folder_of(copy).to_owned(),
                            _ => app_of(&place.home, &copy.remote).to_owned(),
                        });
                    }
                }
                self.progress.says(|| format!("asking the agent: {} so far", files(self.table.len() as u64)));
                let Some(next) = page.next else { break };
                query.after = Some(next);
            }
            roots.push(root);
        }
        self.table.sort();
        roots.append(&mut elsewhere);
        Ok(roots)
    }

    /// Ticks off what is listed below a remote folder.
    async fn listed(&mut self, places: &[Place], root: &str) -> Outcome {
        let drive = &self.session.drive;
        let (mut after, mut seen) = (None, 0);
        loop {
            let page = match self.reader.patiently(async || drive.list_all(root, after.clone()).await).await {
                Ok(page) => page,
                // Nothing was ever sent there, or it was deleted.
                Err(error) if error.kind == Kind::Missing => return Ok(()),
                Err(error) => return Err(self.session.failed_at(root, error)),
            };
            for entry in page.entries.iter().filter(|entry| !entry.is_folder) {
                seen += 1;
                let file = File { path: &entry.path, size: entry.size, id: &entry.id };
                if !self.table.see(&file, drive.content_md5(entry)) {
                    self.unknown(places, entry).await?;
                }
            }
            self.progress.says(|| format!("the cloud lists {} so far", files(seen)));
            match page.next {
                Some(_) if seen > MOST => {
                    return Err(Failed::words(format!("{root}: the cloud's listing does not end")));
                }
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// What is listed and was not in the index is asked about, many at a time.
    async fn unknown(&mut self, places: &[Place], entry: &Entry) -> Outcome {
        let Some((place, local)) =
            places.iter().find_map(|place| place.local(&entry.path).map(|local| (place, local)))
        else {
            return Ok(());
        };
        let original = original(&entry.path).and_then(|path| place.local(&path));
        self.strange.push(Strange { remote: entry.path.clone(), size: entry.size, local, original });
        if self.strange.len() < TOGETHER { Ok(()) } else { self.explain_strange().await }
    }

    /// Made since, an older version, or unexpected.
    async fn explain_strange(&mut self) -> Outcome {
        let strange = std::mem::take(&mut self.strange);
        let spots = strange.iter().flat_map(|one| [Some(&one.local), one.original.as_ref()]);
        let spots: Vec<Spot> = spots.flatten().cloned().collect();
        let mut explained = self.client.explain_all(&spots).await?.into_iter();
        for one in strange {
            let known: Vec<Explain> =
                explained.by_ref().take(1 + usize::from(one.original.is_some())).collect();
            if known.iter().any(|known| known.remote.as_ref() == Some(&one.remote)) {
                continue;
            }
            if known.iter().any(is_known) {
                self.report.summary.older_versions += 1;
                continue;
            }
            self.report.add(&Difference {
                path: one.local.path.to_string_lossy().into_owned(),
                account: self.session.account.name.clone(),
                remote: one.remote,
                what: What::Unexpected,
                size: one.size,
                listed_size: None,
                elsewhere: None,
                gone: false,
            })?;
        }
        Ok(())
    }

    /// Reads the index again, and looks again at what was not ticked off.
    async fn compared(&mut self, places: &[Place], chosen: Option<Chosen>) -> Outcome {
        let mut sample = Sample::of(chosen);
        for place in places {
            let mut suspects: Vec<(CopyLine, Option<Seen>)> = Vec::new();
            let mut query = place.query();
            loop {
                let page = self.client.copies(&query).await?;
                for copy in page.copies {
                    self.report.summary.files += 1;
                    self.report.summary.bytes += copy.size;
                    let seen = self.table.seen(&as_file(&copy), md5_of(&copy)?);
                    if seen == Some(Seen::Well) {
                        sample.take(self, place, copy).await?;
                        continue;
                    }
                    let is_elsewhere =
                        suspects.last().is_some_and(|(last, _)| parent(&last.remote) != parent(&copy.remote));
                    if is_elsewhere || suspects.len() >= SUSPECTS {
                        self.look_again(place, std::mem::take(&mut suspects), &mut sample).await?;
                    }
                    suspects.push((copy, seen));
                }
                self.progress.says(|| format!("compared {} so far", files(self.report.summary.files)));
                let Some(next) = page.next else { break };
                query.after = Some(next);
            }
            self.look_again(place, suspects, &mut sample).await?;
            sample.fetch(self, place).await?;
        }
        self.settle().await?;
        self.look_elsewhere().await
    }

    /// Looks again at copies in one remote folder, one by one listing of that folder.
    async fn look_again(
        &mut self,
        place: &Place,
        suspects: Vec<(CopyLine, Option<Seen>)>,
        sample: &mut Sample,
    ) -> Outcome {
        let Some((first, _)) = suspects.first() else { return Ok(()) };
        if self.looks == 0 {
            return self.go_by_the_first(place, suspects).await;
        }
        self.looks -= 1;
        let folder = parent(&first.remote).to_owned();
        let wanted = suspects.iter().map(|(copy, _)| copy.remote.as_str()).collect();
        let mut there = self.in_folder(&folder, &wanted).await?;
        for (copy, seen) in suspects {
            let found = there.remove(copy.remote.as_str());
            match self.wrong(&copy, found.as_ref())? {
                Some((what, listed_size)) => self.differs(place, copy, what, listed_size).await?,
                None => {
                    self.is_revived |= seen.is_some();
                    self.table.see(&as_file(&copy), Some(md5_of(&copy)?));
                    sample.take(self, place, copy).await?;
                }
            }
        }
        Ok(())
    }

    /// All second looks are used up: the first listing has to do, if it can be believed.
    async fn go_by_the_first(&mut self, place: &Place, suspects: Vec<(CopyLine, Option<Seen>)>) -> Outcome {
        for (copy, seen) in suspects {
            let what = match seen {
                Some(Seen::Well) => continue,
                // Newer than the listing.
                None => {
                    self.report.summary.changed += 1;
                    continue;
                }
                // Others were there after all.
                Some(_) if self.is_revived => {
                    self.report.summary.unsure += 1;
                    continue;
                }
                Some(Seen::Not) => What::Missing,
                Some(Seen::WrongSize) => What::WrongSize,
                Some(Seen::WrongContent) => What::WrongContent,
                Some(Seen::Replaced) => What::Replaced,
            };
            self.differs(place, copy, what, None).await?;
        }
        Ok(())
    }

    /// What is wrong with a copy at whose place this is listed; also its size, where that is it.
    pub(super) fn wrong(
        &self,
        copy: &CopyLine,
        found: Option<&Entry>,
    ) -> Outcome<Option<(What, Option<u64>)>> {
        let Some(entry) = found else { return Ok(Some((What::Missing, None))) };
        let content = Content { size: copy.size, md5: md5_of(copy)?, cuts: Vec::new() };
        Ok(if entry.size != copy.size {
            Some((What::WrongSize, Some(entry.size)))
        } else if self.session.drive.has_content(entry, &content) == Some(false) {
            Some((What::WrongContent, None))
        } else if !entry.id.is_empty() && entry.id != copy.fs_id {
            Some((What::Replaced, None))
        } else {
            None
        })
    }

    /// What a remote folder lists of these paths now.
    pub(super) async fn in_folder(
        &self,
        folder: &str,
        wanted: &HashSet<&str>,
    ) -> Outcome<HashMap<String, Entry>> {
        let drive = &self.session.drive;
        let (mut there, mut after) = (HashMap::new(), None);
        for _ in 0..PAGES {
            let page = match self.reader.patiently(async || drive.list(folder, after.clone()).await).await {
                Ok(page) => page,
                Err(error) if error.kind == Kind::Missing => return Ok(there),
                Err(error) => return Err(self.session.failed_at(folder, error)),
            };
            let ours = page
                .entries
                .into_iter()
                .filter(|entry| !entry.is_folder && wanted.contains(entry.path.as_str()));
            there.extend(ours.map(|entry| (entry.path.clone(), entry)));
            match page.next {
                Some(next) if there.len() < wanted.len() => after = Some(next),
                _ => return Ok(there),
            }
        }
        Err(Failed::words(format!("{folder}: the list of the remote folder does not end")))
    }

    /// A copy is not as it should be - if the agent still believes in it.
    pub(super) async fn differs(
        &mut self,
        place: &Place,
        copy: CopyLine,
        what: What,
        listed_size: Option<u64>,
    ) -> Outcome {
        let local = place.at(unescape(&copy.below).ok_or_else(strange)?);
        // What was fetched and is wrong was listed as it should be.
        self.table.spoil(&copy.remote);
        self.doubtful.push(Doubt { local, copy, what, listed_size });
        if self.doubtful.len() < TOGETHER { Ok(()) } else { self.settle().await }
    }

    /// Asks the agent whether it still believes in what is not as it should be, and tells of it.
    async fn settle(&mut self) -> Outcome {
        let doubtful = std::mem::take(&mut self.doubtful);
        let spots: Vec<Spot> = doubtful.iter().map(|doubt| doubt.local.clone()).collect();
        let explained = self.client.explain_all(&spots).await?;
        for (doubt, now) in doubtful.into_iter().zip(explained) {
            let copy = &doubt.copy;
            let is_same = now.remote.as_ref() == Some(&copy.remote) && now.id.as_ref() == Some(&copy.fs_id);
            // Or a new version is on its way, perhaps at this very path.
            let is_coming = matches!(now.state, Standing::Waiting | Standing::Active | Standing::Settling);
            if !is_same || is_coming {
                self.report.summary.changed += 1;
            } else if copy.gone {
                if self.vanished.push(doubt) {
                    self.look_elsewhere().await?;
                }
            } else {
                self.report.add(&doubt.difference())?;
                if self.args.repair {
                    self.bad.push(doubt.bad());
                }
            }
        }
        if self.bad.len() < TOGETHER { Ok(()) } else { self.send_again().await }
    }

    /// Has the agent send again what was found.
    async fn send_again(&mut self) -> Outcome {
        let bad = std::mem::take(&mut self.bad);
        if bad.is_empty() {
            return Ok(());
        }
        let repaired = self.client.repair(&bad).await?;
        let queued = repaired.iter().filter(|repaired| **repaired == Repaired::Queued).count() as u64;
        self.report.summary.queued += queued;
        self.progress.says(|| format!("{} queued again", count(queued)));
        Ok(())
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn reader(&self) -> &Reader<'_> {
        self.reader
    }

    pub(super) fn session(&self) -> &Session<'_> {
        self.session
    }
}

/// Whether the agent knows of a file, so that another file of its name may be an older version of it.
fn is_known(explained: &Explain) -> bool {
    explained.remote.is_some()
        || matches!(
            explained.state,
            Standing::BackedUp | Standing::Waiting | Standing::Settling | Standing::Active | Standing::Failed
        )
}

/// The remote folder that a copy's whole folder was sent to, as far as its path shows.
fn folder_of(copy: &CopyLine) -> &str {
    let above = copy.remote.strip_suffix(&copy.below).and_then(|above| above.strip_suffix('/'));
    above.unwrap_or_else(|| parent(&copy.remote))
}

/// The folder like `home` that a remote path lies in: `/apps/x`, of an application that there was earlier.
fn app_of<'p>(home: &Home, remote: &'p str) -> &'p str {
    let end =
        remote.match_indices('/').nth(home.path.matches('/').count()).map_or(remote.len(), |(at, _)| at);
    &remote[..end]
}

pub(super) fn as_file(copy: &CopyLine) -> File<'_> {
    File { path: &copy.remote, size: copy.size, id: &copy.fs_id }
}

pub(super) fn md5_of(copy: &CopyLine) -> Outcome<Md5> {
    copy.md5.parse().map_err(|_| strange())
}

pub(super) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("/", |(folder, _)| if folder.is_empty() { "/" } else { folder })
}

fn strange() -> Failed {
    Failed::words("the agent's answer is not understood; it may be of another version")
}
