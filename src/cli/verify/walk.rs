//! One account's folders: what the agent believes, what is listed, and what is made of the difference.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use super::report::{Difference, Progress, Report, What};
use super::sample::Sample;
use super::table::{Chosen, Seen, Table};
use super::{Part, VerifyArgs};
use crate::cli::drive::Session;
use crate::cli::terminal::{count, files};
use crate::cli::{ExitStatus, Failed, Outcome};
use crate::cloud::{Content, Entry, Kind};
use crate::control::client::Client;
use crate::control::{BadCopy, CopiesQuery, CopyLine, QueueQuery, Repaired, Standing};
use crate::fetch::Reader;
use crate::remote::Home;
use crate::remote::kept::original;
use crate::remote::names::{escape, unescape};
use crate::remote::template::Template;
use crate::remote::tops::{is_in, outermost};

/// Calls for looking again at folders of which something seems to be wrong.
const LOOKS: u32 = 20;
/// Copies of one remote folder that are looked for at a time.
const SUSPECTS: usize = 1000;
/// Pages of one remote folder. A cloud that gives one full page after the other is not one that ends.
const PAGES: usize = 200;
/// Remote folders elsewhere, of an earlier label or template: with more of them all of the app is listed.
const ELSEWHERE: usize = 16;
/// Files that are repaired at a time.
const REPAIRED: usize = 100;
/// A listing that does not end by then never does: no drive takes so many files.
const MOST: u64 = 10_000_000;

/// A configured folder and where its files go.
pub(super) struct Place {
    path: PathBuf,
    label: String,
    template: Template,
    home: Home,
    device: String,
    /// Only what is there, or below.
    start: Vec<u8>,
}

impl Place {
    fn new(session: &Session<'_>, (folder, start): Part) -> Outcome<Self> {
        let template: Template =
            folder.remote.parse().map_err(|error| Failed::new(&error).status(ExitStatus::Usage))?;
        let (home, device) = (session.home(), session.cloud.config.device_name());
        Ok(Self { path: folder.path, label: folder.label, template, home, device, start })
    }

    /// The remote folder that all of it lies in.
    fn root(&self) -> String {
        let top = self.template.top(&self.home, &self.device, &self.label);
        match (self.start.is_empty(), self.template.has_date()) {
            (false, false) => format!("{top}/{}", self.home.names.escape(&self.start)),
            _ => top,
        }
    }

    /// The local path of a remote file that this folder's template can have made.
    fn local(&self, remote: &str) -> Option<PathBuf> {
        let below = self.template.below(&self.home, &self.device, &self.label, remote)?;
        let is_wanted = self.start.is_empty()
            || below.strip_prefix(&*self.start).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"));
        is_wanted.then(|| self.at(below))
    }

    fn at(&self, below: Vec<u8>) -> PathBuf {
        self.path.join(Path::new(&OsString::from_vec(below)))
    }

    fn query(&self) -> CopiesQuery {
        CopiesQuery { path: self.at(self.start.clone()), after: None, limit: QueueQuery::LIMIT_MAX }
    }
}

/// What is known of one account so far.
pub(super) struct Walk<'a, 'r> {
    session: &'a Session<'a>,
    client: Client,
    reader: &'a Reader<'a>,
    pub(super) progress: &'a Progress<'r>,
    pub(super) report: &'a mut Report<'r>,
    repair: bool,
    table: Table,
    looks: u32,
    /// Something that the first listing did not show was there after all.
    is_revived: bool,
    bad: Vec<BadCopy>,
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
        repair: args.repair,
        table: Table::default(),
        looks: LOOKS,
        is_revived: false,
        bad: Vec::new(),
    };
    let roots = walk.believed(&places).await?;
    for root in outermost(roots) {
        walk.listed(&places, &root).await?;
    }
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
        for place in places {
            let root = place.root();
            let mut query = place.query();
            loop {
                let page = self.client.copies(&query).await?;
                for copy in &page.copies {
                    let md5 = copy.md5.parse().map_err(|_| strange())?;
                    self.table.add(&copy.remote, copy.size, md5);
                    if !place.start.is_empty() && copy.below == escape(&place.start) {
                        // One file: its remote folder is looked at when the index is read again.
                        self.table.sort();
                        return Ok(Vec::new());
                    }
                    let is_covered = is_in(&copy.remote, &root)
                        || elsewhere.iter().any(|folder| is_in(&copy.remote, folder));
                    if !is_covered {
                        elsewhere.push(match elsewhere.len() {
                            0..ELSEWHERE => folder_of(copy).to_owned(),
                            _ => place.home.path.clone(),
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
                let md5 = drive.content_md5(entry);
                if !self.table.see(&entry.path, entry.size, md5) {
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

    /// What is listed and was not in the index: made since, an older version, not ours, or unexpected.
    async fn unknown(&mut self, places: &[Place], entry: &Entry) -> Outcome {
        let Some((place, local)) =
            places.iter().find_map(|place| place.local(&entry.path).map(|local| (place, local)))
        else {
            return Ok(());
        };
        let explained = self.client.explain(&local).await?;
        if explained.remote.as_deref() == Some(entry.path.as_str()) {
            return Ok(());
        }
        let mut is_known = is_known(&explained);
        if let Some(asked) = original(&entry.path).and_then(|path| place.local(&path)).filter(|_| !is_known) {
            let explained = self.client.explain(&asked).await?;
            if explained.remote.as_deref() == Some(entry.path.as_str()) {
                return Ok(());
            }
            is_known |= self::is_known(&explained);
        }
        if is_known {
            self.report.summary.older_versions += 1;
            return Ok(());
        }
        self.report.add(&Difference {
            path: local.to_string_lossy().into_owned(),
            remote: entry.path.clone(),
            what: What::Unexpected,
            size: entry.size,
            listed_size: None,
            gone: false,
        })
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
                    let md5 = copy.md5.parse().map_err(|_| strange())?;
                    let seen = self.table.seen(&copy.remote, copy.size, md5);
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
        Ok(())
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
            for (copy, seen) in &suspects {
                let what = match seen {
                    Some(Seen::Not) => What::Missing,
                    Some(Seen::WrongSize) => What::WrongSize,
                    Some(Seen::WrongContent) => What::WrongContent,
                    Some(Seen::Well) => continue,
                    None => {
                        self.report.summary.changed += 1;
                        continue;
                    }
                };
                // Where others were there after all, the first listing does not tell enough.
                if self.is_revived {
                    self.report.summary.changed += 1;
                } else {
                    self.differs(place, copy, what, None).await?;
                }
            }
            return Ok(());
        }
        let mut there = self.in_folder(parent(&first.remote), &suspects).await?;
        for (copy, seen) in suspects {
            let found = there.remove(copy.remote.as_str());
            let md5 = copy.md5.parse().map_err(|_| strange())?;
            let content = Content { size: copy.size, md5, cuts: Vec::new() };
            let drive = &self.session.drive;
            match found {
                None => self.differs(place, &copy, What::Missing, None).await?,
                Some(entry) if entry.size != copy.size => {
                    self.differs(place, &copy, What::WrongSize, Some(entry.size)).await?;
                }
                Some(entry) if drive.has_content(&entry, &content) == Some(false) => {
                    self.differs(place, &copy, What::WrongContent, None).await?;
                }
                Some(_) => {
                    self.is_revived |= seen.is_some();
                    sample.take(self, place, copy).await?;
                }
            }
        }
        Ok(())
    }

    /// What a remote folder lists of these copies now.
    async fn in_folder(
        &mut self,
        folder: &str,
        suspects: &[(CopyLine, Option<Seen>)],
    ) -> Outcome<HashMap<String, Entry>> {
        let wanted: HashMap<&str, ()> = suspects.iter().map(|(copy, _)| (copy.remote.as_str(), ())).collect();
        let drive = &self.session.drive;
        let (mut there, mut after) = (HashMap::new(), None);
        for _ in 0..PAGES {
            self.looks = self.looks.saturating_sub(1);
            let page = match self.reader.patiently(async || drive.list(folder, after.clone()).await).await {
                Ok(page) => page,
                Err(error) if error.kind == Kind::Missing => return Ok(there),
                Err(error) => return Err(self.session.failed_at(folder, error)),
            };
            let ours = page
                .entries
                .into_iter()
                .filter(|entry| !entry.is_folder && wanted.contains_key(entry.path.as_str()));
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
        copy: &CopyLine,
        what: What,
        listed_size: Option<u64>,
    ) -> Outcome {
        let local = place.at(unescape(&copy.below).ok_or_else(strange)?);
        let now = self.client.explain(&local).await?;
        let is_same = now.remote.as_ref() == Some(&copy.remote) && now.id.as_ref() == Some(&copy.fs_id);
        if !is_same {
            self.report.summary.changed += 1;
            return Ok(());
        }
        // A new version is on its way, perhaps at this very path.
        if matches!(now.state, Standing::Waiting | Standing::Active | Standing::Settling) {
            return Ok(());
        }
        self.report.add(&Difference {
            path: local.to_string_lossy().into_owned(),
            remote: copy.remote.clone(),
            what,
            size: copy.size,
            listed_size,
            gone: copy.gone,
        })?;
        if self.repair && !copy.gone {
            self.bad.push(BadCopy {
                label: copy.label.clone(),
                below: copy.below.clone(),
                fs_id: copy.fs_id.clone(),
                remote: copy.remote.clone(),
            });
            if self.bad.len() >= REPAIRED {
                self.send_again().await?;
            }
        }
        Ok(())
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

    pub(super) fn reader(&self) -> &Reader<'_> {
        self.reader
    }

    pub(super) fn session(&self) -> &Session<'_> {
        self.session
    }
}

/// Whether the agent knows of a file, so that another file of its name may be an older version of it.
fn is_known(explained: &crate::control::Explain) -> bool {
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

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("/", |(folder, _)| if folder.is_empty() { "/" } else { folder })
}

fn strange() -> Failed {
    Failed::words("the agent's answer is not understood; it may be of another version")
}
