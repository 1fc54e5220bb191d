//! Whole trees of a drive: counted, copied, and moved elsewhere (filemanager, and saving from a share).

use std::fs;
use std::io;

use crate::disk::second_name;
use crate::entry::Entry;
use crate::names;

use super::{Drives, PutError};

impl Drives {
    /// A file, or a folder with everything below it, parents first. Empty when it is not there.
    pub(crate) fn tree(&self, account: &str, path: &str) -> Vec<Entry> {
        let Some(top) = self.get(account, path) else { return Vec::new() };
        let below = if top.isdir { self.descendants(account, path) } else { Vec::new() };
        [top].into_iter().chain(below).cloned().collect()
    }

    /// Copies a tree to a path that is free, in a folder that is there, of the same drive or of another.
    /// Content and what the client said about it stay; ids and times of the server are new.
    pub(crate) fn copy_tree(
        &mut self,
        (from_account, from): (&str, &str),
        (to_account, to): (&str, &str),
        now: u64,
    ) -> io::Result<()> {
        for old in self.tree(from_account, from) {
            let path = format!("{to}{}", &old.path[from.len()..]);
            if old.isdir {
                let entry = self.make_folder(to_account, &path, now).map_err(disk_error)?;
                self.put(
                    to_account,
                    &Entry { local_ctime: old.local_ctime, local_mtime: old.local_mtime, ..entry },
                )?;
                continue;
            }
            let target = self.disk(to_account, &path)?;
            let source = self.disk(from_account, &old.path)?;
            second_name(&source, &target)?;
            let copy = Entry {
                fs_id: self.fresh_fs_id(),
                path,
                server_ctime: now,
                server_mtime: now,
                versions: Vec::new(),
                created: 1,
                overwritten: 0,
                instant: false,
                copied: true,
                ..old
            };
            self.put(to_account, &copy)?;
        }
        Ok(())
    }

    /// Moves a tree to a path that is free, in a folder that is there. Ids stay.
    pub(crate) fn move_tree(&mut self, account: &str, from: &str, to: &str, now: u64) -> io::Result<()> {
        let mut emptied = Vec::new();
        for old in self.tree(account, from) {
            let path = format!("{to}{}", &old.path[from.len()..]);
            let (source, target) = (self.disk(account, &old.path)?, self.disk(account, &path)?);
            if old.isdir {
                fs::create_dir_all(target)?;
                emptied.push(source);
            } else {
                fs::rename(source, target)?;
            }
            let server_mtime = if old.path == from { now } else { old.server_mtime };
            let moved = Entry { path, server_mtime, ..old.clone() };
            self.forget(account, &old.path)?;
            self.put(account, &moved)?;
        }
        // A folder may hold foreign files of whoever lent us DIR: those stay, and so does the folder.
        for folder in emptied.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
        Ok(())
    }

    /// A free name like this one.
    pub(crate) fn free_path(&self, account: &str, path: &str, isdir: bool) -> String {
        match self.get(account, path) {
            Some(_) => self.free_name(account, path, isdir),
            None => path.into(),
        }
    }

    /// The legality of a tree's names after it has moved from `from` to `to`.
    pub(crate) fn stays_legal(&self, account: &str, from: &str, to: &str) -> bool {
        names::is_legal(to)
            && self
                .descendants(account, from)
                .iter()
                .all(|entry| names::is_legal(&format!("{to}{}", &entry.path[from.len()..])))
    }
}

fn disk_error(error: PutError) -> io::Error {
    match error {
        PutError::Exists => io::Error::other("a file is in the way"),
        PutError::Disk(error) => error,
    }
}
