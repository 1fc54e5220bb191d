//! Files copied inside the drive for the backup (xpan-api, 管理文件; field notes 3.8).

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::{Xpan, codes};
use crate::cloud::files::{OnDup, Opera, Run, Transfer};
use crate::cloud::{Code, Files, Kind, Result};

/// So many folders are remembered as being there.
const FOLDERS: usize = 64;

/// Remote folders that are there: a folder that is missing is not made by the copy.
#[derive(Debug, Default)]
pub(super) struct Folders(Mutex<BTreeSet<String>>);

impl Xpan {
    /// Copies files in one call. What has the name already stays.
    pub(super) async fn copy_files(&self, files: &[(&str, &str)]) -> Result<Vec<bool>> {
        let (mut items, mut asked) = (Vec::with_capacity(files.len()), Vec::with_capacity(files.len()));
        for (number, (from, to)) in files.iter().enumerate() {
            let (dest, newname) = to.rsplit_once('/').unwrap_or(("", to));
            // Beside what is copied there is a folder, or else nothing to copy.
            let is_beside = from.rsplit_once('/').is_some_and(|(folder, _)| folder == dest);
            if !is_beside && !self.folders.has(dest) {
                match self.create_folder(dest).await {
                    Ok(_) => self.folders.add(dest),
                    // A file has that name, or the cloud does not take it: the others have their folders.
                    Err(error) if matches!(error.kind, Kind::Exists | Kind::Refused | Kind::Missing) => {
                        tracing::debug!("nothing is copied to {dest}: {error}");
                        continue;
                    }
                    Err(error) => return Err(error),
                }
            }
            let (path, dest, newname) = ((*from).to_owned(), dest.to_owned(), newname.to_owned());
            items.push(Transfer { path, dest, newname, ondup: OnDup::Fail });
            asked.push(number);
        }
        let managed = self.filemanager(&Opera::Copy(items), Run::Sync).await?;
        // Of what exists already the listing says whether it is the file.
        let may_be = |errno| errno == 0 || is(errno, Kind::Exists);
        if managed.info.iter().any(|item| is(item.errno, Kind::Missing)) {
            // The file perhaps, or a folder that was there.
            self.folders.forget();
        }
        let is_told = managed.info.len() == asked.len();
        let mut all = vec![false; files.len()];
        for (at, number) in asked.into_iter().enumerate() {
            all[number] = !is_told || managed.info.get(at).is_some_and(|item| may_be(item.errno));
        }
        Ok(all)
    }
}

fn is(errno: i64, kind: Kind) -> bool {
    errno != 0 && codes::meaning("filemanager", &Code::Errno(errno), "", 200).0 == kind
}

impl Folders {
    fn has(&self, folder: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(folder)
    }

    fn add(&self, folder: &str) {
        let mut folders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if folders.len() >= FOLDERS {
            folders.pop_first();
        }
        folders.insert(folder.to_owned());
    }

    fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
