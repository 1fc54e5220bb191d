//! Files that are gone from this box, and whose copies are gone from the cloud.
//!
//! Most are no loss: a file was renamed here and copied inside the cloud, and somebody removed what was
//! left under the old name. So it is asked first whether the same content - the same MD5 and size - is
//! another file's copy that this very run has seen in the cloud. Only what is nowhere else is lost.

use std::collections::{HashMap, HashSet};

use super::report::{Difference, What};
use super::table::Seen;
use super::walk::{Doubt, Walk, as_file, md5_of, parent};
use crate::cli::Outcome;
use crate::cli::parts::copies_of;
use crate::cli::terminal::files;
use crate::control::Repaired;

/// So many are looked for at a time: each time all of the index is read once more.
const MOST: usize = 10_000;
/// Places that the listing did not show, or that this run does not list, are looked at so often.
const LOOKS: u32 = 20;
/// Such places of one content.
const CANDIDATES: usize = 3;

/// Those that wait for being looked for elsewhere.
#[derive(Debug)]
pub(super) struct Vanished {
    doubts: Vec<Doubt>,
    looks: u32,
}

impl Default for Vanished {
    fn default() -> Self {
        Self { doubts: Vec::new(), looks: LOOKS }
    }
}

impl Vanished {
    /// True when there are many by now.
    pub(super) fn push(&mut self, doubt: Doubt) -> bool {
        self.doubts.push(doubt);
        self.doubts.len() >= MOST
    }
}

/// Where else a content is.
#[derive(Default)]
struct Twin {
    /// Seen in the cloud.
    remote: Option<String>,
    /// Copies that the agent believes in.
    candidates: Vec<crate::control::CopyLine>,
    /// Some of them were not looked at.
    is_unsure: bool,
}

impl Walk<'_, '_> {
    /// Looks for the content of what has vanished, and tells.
    pub(super) async fn look_elsewhere(&mut self) -> Outcome {
        let doubts = std::mem::take(&mut self.vanished.doubts);
        if doubts.is_empty() {
            return Ok(());
        }
        let mut twins: HashMap<(String, u64), Twin> =
            doubts.iter().map(|doubt| (content(doubt), Twin::default())).collect();
        let vanished: HashSet<&str> = doubts.iter().map(|doubt| doubt.copy.remote.as_str()).collect();
        self.candidates(&mut twins, &vanished).await?;
        for twin in twins.values_mut().filter(|twin| twin.remote.is_none()) {
            self.look_at_candidates(twin).await?;
        }
        let mut forgotten = Vec::new();
        for doubt in &doubts {
            let Some(twin) = twins.get(&content(doubt)) else { continue };
            if twin.remote.is_some() {
                let elsewhere = twin.remote.clone();
                self.report.add(&Difference { what: What::Elsewhere, elsewhere, ..doubt.difference() })?;
                if self.args.repair || self.args.forget {
                    forgotten.push(doubt.bad());
                }
            } else if twin.is_unsure {
                self.report.summary.unsure += 1;
            } else {
                self.report.add(&doubt.difference())?;
                if self.args.forget {
                    self.report.lost(doubt.bad());
                }
            }
        }
        let answers = self.client().forget(&forgotten).await?;
        self.report.summary.forgotten +=
            answers.iter().filter(|answer| **answer == Repaired::Forgotten).count() as u64;
        Ok(())
    }

    /// Reads the index of the whole account for other copies of the same contents.
    async fn candidates(
        &self,
        twins: &mut HashMap<(String, u64), Twin>,
        vanished: &HashSet<&str>,
    ) -> Outcome {
        let mut read = 0;
        let folders = self.session().cloud.config.folders.iter();
        for folder in folders.filter(|folder| folder.account == self.session().account.name) {
            let mut query = copies_of(folder, folder.path.clone());
            loop {
                let page = self.client().copies(&query).await?;
                read += page.copies.len() as u64;
                for copy in page.copies {
                    let key = (copy.md5.clone(), copy.size);
                    let Some(twin) = twins.get_mut(&key).filter(|twin| twin.remote.is_none()) else {
                        continue;
                    };
                    if vanished.contains(copy.remote.as_str()) {
                        continue;
                    }
                    if self.table.seen(&as_file(&copy), md5_of(&copy)?) == Some(Seen::Well) {
                        twin.remote = Some(copy.remote);
                    } else if twin.candidates.len() < CANDIDATES {
                        twin.candidates.push(copy);
                    } else {
                        twin.is_unsure = true;
                    }
                }
                self.progress.says(|| format!("looking elsewhere for what is gone: {} so far", files(read)));
                let Some(next) = page.next else { break };
                query.after = Some(next);
            }
        }
        Ok(())
    }

    /// Lists the folders of those that this run has not seen.
    async fn look_at_candidates(&mut self, twin: &mut Twin) -> Outcome {
        for copy in std::mem::take(&mut twin.candidates) {
            if self.vanished.looks == 0 {
                twin.is_unsure = true;
                return Ok(());
            }
            self.vanished.looks -= 1;
            let wanted = HashSet::from([copy.remote.as_str()]);
            let there = self.in_folder(parent(&copy.remote), &wanted).await?;
            if self.wrong(&copy, there.get(&copy.remote))?.is_none() {
                twin.remote = Some(copy.remote);
                return Ok(());
            }
        }
        Ok(())
    }
}

fn content(doubt: &Doubt) -> (String, u64) {
    (doubt.copy.md5.clone(), doubt.copy.size)
}
