//! Where else the index has a content whose copy is not in the cloud any more: under another name of it.

use std::collections::{HashMap, HashSet};

use futures_util::future::LocalBoxFuture;

use crate::cli::drive::Session;
use crate::cli::parts::copies_of;
use crate::control::CopyLine;
use crate::control::client::ClientError;
use crate::fetch::{Copies, Wanted};

/// The agent's index of one account.
pub(super) struct Elsewhere<'a>(pub(super) &'a Session<'a>);

impl Copies for Elsewhere<'_> {
    fn elsewhere<'a>(&'a self, lost: &'a [&'a Wanted]) -> LocalBoxFuture<'a, Vec<Option<String>>> {
        Box::pin(async move {
            match self.look(lost).await {
                Ok(others) => others,
                Err(error) => {
                    let words = "other copies of what is not in the cloud any more were not looked for";
                    self.0.context.say(&format!("{words}: {error}"));
                    Vec::new()
                }
            }
        })
    }
}

impl Elsewhere<'_> {
    /// Reads the index of all folders of the account once.
    async fn look(&self, lost: &[&Wanted]) -> Result<Vec<Option<String>>, ClientError> {
        let session = self.0;
        let key = |wanted: &Wanted| (wanted.md5.map(|md5| md5.to_string()).unwrap_or_default(), wanted.size);
        let gone: HashSet<&str> = lost.iter().map(|wanted| wanted.remote.as_str()).collect();
        let mut others: HashMap<(String, u64), Option<CopyLine>> =
            lost.iter().map(|wanted| (key(wanted), None)).collect();
        let folders = session.cloud.config.folders.iter();
        for folder in folders.filter(|folder| folder.account == session.account.name) {
            let mut query = copies_of(folder, folder.path.clone());
            loop {
                let page = session.context.client().copies(&query).await?;
                for copy in page.copies.into_iter().filter(|copy| !gone.contains(copy.remote.as_str())) {
                    let Some(known) = others.get_mut(&(copy.md5.clone(), copy.size)) else { continue };
                    // The copy of a file that is still on the disk is the one to be relied on.
                    if known.as_ref().is_none_or(|known| known.gone && !copy.gone) {
                        *known = Some(copy);
                    }
                }
                let Some(next) = page.next else { break };
                query.after = Some(next);
            }
        }
        let id = |wanted: &&Wanted| others.get(&key(wanted))?.as_ref().map(|copy| copy.fs_id.clone());
        Ok(lost.iter().map(id).collect())
    }
}
