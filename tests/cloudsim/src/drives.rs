//! The drives: every user's tree of files and folders, in memory and on disk.
//!
//! ```text
//! DIR/<cloud path>                          bytes of the default user's files
//! DIR/.cloudsim/users/<account>/<path>      bytes of everyone else's
//! DIR/.cloudsim/versions/<fs_id>-<n>        older contents (is_revision=1)
//! DIR/.cloudsim/files.jsonl                 journal: one line a change, replayed at start
//! ```
//!
//! Bytes get here by rename from `DIR/.cloudsim/tmp`, so a half-written file never has a cloud path.

mod tree;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::cloud_md5;
use crate::dice::Dice;
use crate::entry::{Attributes, Content, Entry, StoredFile, Version};
use crate::journal::{self, Change, Journal};
use crate::names;
use crate::pan123::PAN123_FOLDER;
use crate::users::DEFAULT_ACCOUNT;

/// Name of the simulator's own folder below DIR; no cloud path can reach it.
pub(crate) const OWN_FOLDER: &str = ".cloudsim";

/// What below DIR is no drive's: the simulator's own folder, and the pictures of the other cloud.
const OTHERS_FOLDERS: [&str; 2] = [OWN_FOLDER, PAN123_FOLDER];

/// All drives of this cloud.
#[derive(Debug)]
pub(crate) struct Drives {
    root: PathBuf,
    drives: BTreeMap<String, Drive>,
    /// Accounts and paths of the files, by the MD5 of their first 256 KiB.
    by_head: HashMap<String, BTreeSet<(String, String)>>,
    journal: Journal,
    dice: Dice,
}

#[derive(Debug, Default)]
struct Drive {
    entries: BTreeMap<String, Entry>,
    paths: HashMap<u64, String>,
    used: u64,
}

/// What to do when the path is taken: `rtype`, or `is_revision` (create).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// rtype 0: answer -8.
    Fail,
    /// rtype 1: rename whenever the path is taken.
    Rename,
    /// rtype 2: rename only when the block_list differs.
    RenameIfDifferent,
    /// rtype 3: replace.
    Overwrite,
    /// is_revision=1: replace and keep the old content as a version.
    Revision,
}

/// Why something could not be put in place.
#[derive(Debug)]
pub(crate) enum PutError {
    /// The path, or a file where a folder is needed, is in the way.
    Exists,
    /// The disk below failed.
    Disk(io::Error),
}

impl Drives {
    /// Opens the drives below `root`, with what an earlier run left there.
    pub(crate) fn open(root: &Path, dice: Dice) -> io::Result<Drives> {
        let own = root.join(OWN_FOLDER);
        // What was on its way in when an earlier run ended is of no use to anyone.
        let _ = fs::remove_dir_all(own.join("tmp"));
        for folder in ["tmp", "uploads", "versions", "users"] {
            fs::create_dir_all(own.join(folder))?;
        }
        let path = own.join("files.jsonl");
        let mut drives = Drives {
            root: root.into(),
            drives: BTreeMap::new(),
            by_head: HashMap::new(),
            journal: Journal::open(&path)?,
            dice,
        };
        for change in journal::read(&path)? {
            match change {
                Change::Put { account, entry } => drives.index(&account, *entry),
                Change::Remove { account, path } => drives.unindex(&account, &path),
            }
        }
        let entries = drives
            .drives
            .iter()
            .flat_map(|(account, drive)| drive.entries.values().map(|entry| (account.as_str(), entry)));
        drives.journal = Journal::rewrite(&path, entries)?;
        Ok(drives)
    }

    fn index(&mut self, account: &str, entry: Entry) {
        self.unindex(account, &entry.path.clone());
        let drive = self.drives.entry(account.into()).or_default();
        drive.used += entry.size;
        drive.paths.insert(entry.fs_id, entry.path.clone());
        if !entry.isdir {
            self.by_head
                .entry(entry.slice_md5.clone())
                .or_default()
                .insert((account.into(), entry.path.clone()));
        }
        drive.entries.insert(entry.path.clone(), entry);
    }

    fn unindex(&mut self, account: &str, path: &str) {
        let Some(drive) = self.drives.get_mut(account) else { return };
        let Some(old) = drive.entries.remove(path) else { return };
        drive.used -= old.size;
        drive.paths.remove(&old.fs_id);
        if let Some(places) = self.by_head.get_mut(&old.slice_md5) {
            places.remove(&(account.into(), path.into()));
        }
    }

    fn put(&mut self, account: &str, entry: &Entry) -> io::Result<()> {
        self.journal.write(&Change::Put { account: account.into(), entry: Box::new(entry.clone()) })?;
        self.index(account, entry.clone());
        Ok(())
    }

    /// Where the bytes of a cloud path lie. Refuses whatever could leave the drive's folder.
    pub(crate) fn disk(&self, account: &str, path: &str) -> io::Result<PathBuf> {
        let first = path.trim_start_matches('/').split('/').next();
        if !names::is_plain(path)
            || path.contains('\0')
            || OTHERS_FOLDERS.contains(&first.unwrap_or_default())
        {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no path of a drive"));
        }
        let mut disk = self.root.clone();
        if account != DEFAULT_ACCOUNT {
            disk.push(OWN_FOLDER);
            disk.push("users");
            disk.push(folder_name(account));
        }
        disk.push(path.trim_start_matches('/'));
        Ok(disk)
    }

    pub(crate) fn get(&self, account: &str, path: &str) -> Option<&Entry> {
        self.drives.get(account)?.entries.get(path)
    }

    pub(crate) fn get_by_id(&self, account: &str, fs_id: u64) -> Option<&Entry> {
        let drive = self.drives.get(account)?;
        drive.entries.get(drive.paths.get(&fs_id)?)
    }

    /// Bytes in use.
    pub(crate) fn used(&self, account: &str) -> u64 {
        self.drives.get(account).map_or(0, |drive| drive.used)
    }

    /// Whether `dir` can be listed; the root always can.
    pub(crate) fn is_dir(&self, account: &str, dir: &str) -> bool {
        dir == "/" || self.get(account, dir).is_some_and(|entry| entry.isdir)
    }

    /// What lies directly in `dir`, by path. Skips over whole subfolders.
    pub(crate) fn children(&self, account: &str, dir: &str) -> Vec<&Entry> {
        let Some(drive) = self.drives.get(account) else { return Vec::new() };
        let prefix = below(dir);
        let mut found = Vec::new();
        let mut from = prefix.clone();
        while let Some((path, entry)) = drive.entries.range(from..).next() {
            let Some(rest) = path.strip_prefix(&prefix) else { break };
            from = match rest.find('/') {
                // '0' follows '/': the next path that is not below this subfolder.
                Some(at) => format!("{prefix}{}0", &rest[..at]),
                None => {
                    found.push(entry);
                    format!("{path}\0")
                }
            };
        }
        found
    }

    /// Everything below `dir`, by path.
    pub(crate) fn descendants(&self, account: &str, dir: &str) -> Vec<&Entry> {
        let Some(drive) = self.drives.get(account) else { return Vec::new() };
        let prefix = below(dir);
        drive
            .entries
            .range(prefix.clone()..)
            .take_while(|(path, _)| path.starts_with(&prefix))
            .map(|(_, entry)| entry)
            .collect()
    }

    /// A stored file with exactly this content, anywhere in the cloud (instant upload).
    pub(crate) fn find_content(&self, md5: &str, slice_md5: &str, size: u64) -> Option<(String, &Entry)> {
        self.by_head.get(slice_md5)?.iter().find_map(|(account, path)| {
            let entry = self.get(account, path).filter(|entry| entry.size == size)?;
            let disk = self.disk(account, path).ok()?;
            (entry.content_md5.of(&disk).ok()? == md5).then(|| (account.clone(), entry))
        })
    }

    /// The path a file would get, or `Exists`.
    pub(crate) fn resolve(
        &self,
        account: &str,
        path: &str,
        policy: Policy,
        block_list: &[String],
    ) -> Result<String, PutError> {
        let mut folder = names::parent(path);
        while folder != "/" {
            if self.get(account, folder).is_some_and(|entry| !entry.isdir) {
                return Err(PutError::Exists);
            }
            folder = names::parent(folder);
        }
        let Some(old) = self.get(account, path) else { return Ok(path.into()) };
        match policy {
            Policy::Overwrite | Policy::Revision if !old.isdir => Ok(path.into()),
            Policy::RenameIfDifferent if !old.isdir && old.block_list == block_list => Ok(path.into()),
            Policy::Rename | Policy::RenameIfDifferent => Ok(self.free_name(account, path, false)),
            _ => Err(PutError::Exists),
        }
    }

    fn free_name(&self, account: &str, path: &str, isdir: bool) -> String {
        let mut n = 1;
        loop {
            let candidate = names::duplicate(path, isdir, n);
            if self.get(account, &candidate).is_none() {
                return candidate;
            }
            n += 1;
        }
    }

    /// Moves hashed content to its place in the tree (create, and instant upload).
    pub(crate) fn place(
        &mut self,
        account: &str,
        path: &str,
        policy: Policy,
        content: Content,
        attributes: Attributes,
        now: u64,
    ) -> Result<Entry, PutError> {
        let path = self.resolve(account, path, policy, &content.block_list)?;
        let old = self.get(account, &path).cloned();
        let mut entry = old.clone().unwrap_or_default();
        // rtype 2 and the same block_list: what is there stays.
        let unchanged = policy == Policy::RenameIfDifferent && old.is_some();
        if !unchanged {
            let disk = self.disk(account, &path).map_err(PutError::Disk)?;
            self.make_parents(account, &path, now)?;
            if let Some(old) = old {
                if policy == Policy::Revision {
                    let kept = self.keep_version(&old, &disk).map_err(PutError::Disk)?;
                    entry.versions.push(kept);
                } else {
                    entry.overwritten += 1;
                    entry.fs_id = self.fresh_fs_id();
                }
            } else {
                entry.fs_id = self.fresh_fs_id();
                entry.server_ctime = now;
            }
            fs::rename(&content.file, &disk).map_err(PutError::Disk)?;
            entry.size = content.size;
            entry.cloud_md5 = cloud_md5::of_slices(&content.block_list);
            entry.content_md5 = content.md5;
            entry.slice_md5 = content.slice_md5;
            entry.block_list = content.block_list;
            entry.instant = content.instant;
            entry.copied = false;
            entry.server_mtime = now;
        }
        entry.path = path;
        entry.created += 1;
        entry.local_ctime = attributes.local_ctime.unwrap_or(now);
        entry.local_mtime = attributes.local_mtime.unwrap_or(now);
        entry.attributes = attributes;
        self.put(account, &entry).map_err(PutError::Disk)?;
        Ok(entry)
    }

    fn keep_version(&mut self, old: &Entry, disk: &Path) -> io::Result<Version> {
        let name = format!("{}-{}", old.fs_id, old.versions.len() + 1);
        let kept = self.root.join(OWN_FOLDER).join("versions").join(name);
        fs::rename(disk, &kept)?;
        Ok(Version { md5: old.content_md5.of(&kept)?.into(), size: old.size, disk: kept })
    }

    /// create with `isdir=1`. Parents come along, as with files.
    pub(crate) fn mkdir(
        &mut self,
        account: &str,
        path: &str,
        policy: Policy,
        now: u64,
    ) -> Result<Entry, PutError> {
        let path = match self.get(account, path) {
            None => path.to_owned(),
            Some(_) if policy == Policy::Rename => self.free_name(account, path, true),
            Some(_) => return Err(PutError::Exists),
        };
        self.make_parents(account, &path, now)?;
        self.make_folder(account, &path, now)
    }

    fn make_parents(&mut self, account: &str, path: &str, now: u64) -> Result<(), PutError> {
        let parent = names::parent(path).to_owned();
        match self.get(account, &parent) {
            _ if parent == "/" => Ok(()),
            Some(entry) if entry.isdir => Ok(()),
            Some(_) => Err(PutError::Exists),
            None => {
                self.make_parents(account, &parent, now)?;
                self.make_folder(account, &parent, now).map(|_| ())
            }
        }
    }

    fn make_folder(&mut self, account: &str, path: &str, now: u64) -> Result<Entry, PutError> {
        let disk = self.disk(account, path).map_err(PutError::Disk)?;
        fs::create_dir_all(disk).map_err(PutError::Disk)?;
        let entry = Entry {
            fs_id: self.fresh_fs_id(),
            path: path.into(),
            isdir: true,
            server_ctime: now,
            server_mtime: now,
            local_ctime: now,
            local_mtime: now,
            created: 1,
            ..Entry::default()
        };
        self.put(account, &entry).map_err(PutError::Disk)?;
        Ok(entry)
    }

    /// Takes a file or a whole folder away, as the user could in the phone app.
    pub(crate) fn remove(&mut self, account: &str, path: &str) -> io::Result<usize> {
        let mut gone: Vec<String> =
            self.descendants(account, path).iter().map(|entry| entry.path.clone()).collect();
        gone.insert(0, path.into());
        gone.retain(|path| self.get(account, path).is_some());
        for path in gone.iter().rev() {
            let disk = self.disk(account, path)?;
            // A folder may hold foreign files of whoever lent us DIR: those stay.
            let _ = match self.is_dir(account, path) {
                true => fs::remove_dir(disk),
                false => fs::remove_file(disk),
            };
            self.forget(account, path)?;
        }
        Ok(gone.len())
    }

    /// Takes an entry out of the index and the journal; its bytes are the caller's.
    fn forget(&mut self, account: &str, path: &str) -> io::Result<()> {
        self.journal.write(&Change::<Entry>::Remove { account: account.into(), path: path.into() })?;
        self.unindex(account, path);
        Ok(())
    }

    /// Takes everything away.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        let accounts: Vec<String> = self.drives.keys().cloned().collect();
        for account in accounts {
            self.remove(&account, "/")?;
        }
        let versions = self.root.join(OWN_FOLDER).join("versions");
        fs::remove_dir_all(&versions)?;
        fs::create_dir_all(&versions)
    }

    /// Every stored file, by account and path.
    pub(crate) fn files(&self) -> Vec<StoredFile> {
        let mut files = Vec::new();
        for (account, drive) in &self.drives {
            for entry in drive.entries.values().filter(|entry| !entry.isdir) {
                let disk = self.disk(account, &entry.path).unwrap_or_default();
                files.push(entry.stored(account, disk));
            }
        }
        files
    }

    /// As in the documents' examples: positive, 14 or 15 digits.
    fn fresh_fs_id(&mut self) -> u64 {
        loop {
            let id = 10_000_000_000_000 + self.dice.next() % 990_000_000_000_000;
            if self.drives.values().all(|drive| !drive.paths.contains_key(&id)) {
                return id;
            }
        }
    }
}

fn below(dir: &str) -> String {
    if dir == "/" { "/".into() } else { format!("{dir}/") }
}

/// An account name as one safe folder name.
pub(crate) fn folder_name(account: &str) -> String {
    let mut name = String::new();
    for byte in account.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(byte as char),
            _ => name.push_str(&format!("%{byte:02x}")),
        }
    }
    name
}
