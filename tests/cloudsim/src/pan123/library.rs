//! The folders and pictures of every account, in memory and on disk.
//!
//! ```text
//! DIR/pan123/<cloud path>                            the default account's pictures
//! DIR/.cloudsim/pan123/users/<account>/<cloud path>  everyone else's
//! DIR/.cloudsim/pan123/items.jsonl                   journal: one line a change, replayed at start
//! ```
//! A name too long for the disk is cut there, and ends with its id.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use regex::Regex;

use super::PAN123_FOLDER;
use super::item::{ACCEPTED, Item, make_id};
use crate::dice::Dice;
use crate::disk::second_name;
use crate::drives::{OWN_FOLDER, folder_name};
use crate::journal::{self, Change, Journal};
use crate::users::DEFAULT_ACCOUNT;

/// Longest name in bytes that the disk takes.
const LONGEST_ON_DISK: usize = 255;

/// All accounts' items.
#[derive(Debug)]
pub(super) struct Library {
    data: PathBuf,
    items: HashMap<String, Item>,
    /// Ids by folder and number.
    children: HashMap<String, BTreeMap<u64, String>>,
    by_name: HashMap<(String, String), String>,
    by_content: HashMap<(String, u64), BTreeSet<String>>,
    last_number: u64,
    journal: Journal,
}

/// Where something is to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) account: &'a str,
    /// Id of the folder.
    pub(super) parent: &'a str,
    pub(super) name: &'a str,
}

/// Bytes that are whole.
#[derive(Debug)]
pub(super) struct Bytes<'a> {
    pub(super) file: &'a Path,
    pub(super) size: u64,
    pub(super) etag: &'a str,
    pub(super) block_list: Vec<String>,
    /// The file is another picture's, and stays.
    pub(super) instant: bool,
}

/// What holds a name already.
#[derive(Debug)]
pub(super) struct Taken;

impl Library {
    /// Opens it below `data`, with what an earlier run left there.
    pub(super) fn open(data: &Path) -> io::Result<Library> {
        let path = data.join(OWN_FOLDER).join(PAN123_FOLDER).join("items.jsonl");
        let mut library = Library {
            data: data.into(),
            items: HashMap::new(),
            children: HashMap::new(),
            by_name: HashMap::new(),
            by_content: HashMap::new(),
            last_number: 0,
            journal: Journal::open(&path)?,
        };
        for change in journal::read::<Item>(&path)? {
            match change {
                Change::Put { entry, .. } => library.index(*entry),
                Change::Remove { path: id, .. } => drop(library.unindex(&id)),
            }
        }
        let items = library.items.values().map(|item| (item.account.as_str(), item));
        library.journal = Journal::rewrite(&path, items)?;
        Ok(library)
    }

    fn index(&mut self, item: Item) {
        self.unindex(&item.id);
        let id = &item.id;
        self.last_number = self.last_number.max(item.number);
        self.children.entry(item.parent.clone()).or_default().insert(item.number, id.clone());
        self.by_name.insert((item.parent.clone(), item.name.clone()), id.clone());
        if !item.isdir {
            self.by_content.entry((item.etag.clone(), item.size)).or_default().insert(id.clone());
        }
        self.items.insert(id.clone(), item);
    }

    fn unindex(&mut self, id: &str) -> Option<Item> {
        let old = self.items.remove(id)?;
        if let Some(children) = self.children.get_mut(&old.parent) {
            children.remove(&old.number);
        }
        self.by_name.remove(&(old.parent.clone(), old.name.clone()));
        if let Some(ids) = self.by_content.get_mut(&(old.etag.clone(), old.size)) {
            ids.remove(id);
        }
        Some(old)
    }

    fn put(&mut self, item: Item) -> io::Result<()> {
        self.journal.write(&Change::Put { account: item.account.clone(), entry: Box::new(item.clone()) })?;
        self.index(item);
        Ok(())
    }

    pub(super) fn get(&self, id: &str) -> Option<&Item> {
        self.items.get(id)
    }

    /// What an account has under this id.
    pub(super) fn of(&self, account: &str, id: &str) -> Option<&Item> {
        self.get(id).filter(|item| item.account == account)
    }

    /// What bears this name in a folder.
    pub(super) fn child(&self, parent: &str, name: &str) -> Option<&Item> {
        self.get(self.by_name.get(&(parent.to_owned(), name.to_owned()))?)
    }

    /// What is in a folder, the newest first, from this number on.
    pub(super) fn children(&self, parent: &str, from: u64) -> impl Iterator<Item = &Item> {
        let ids = self.children.get(parent).into_iter().flat_map(move |all| all.range(..=from).rev());
        ids.filter_map(|(_, id)| self.get(id))
    }

    /// A picture of this content, whoever has it.
    pub(super) fn with_content(&self, etag: &str, size: u64) -> Option<&Item> {
        let ids = self.by_content.get(&(etag.to_owned(), size))?;
        self.get(ids.first()?)
    }

    /// Whether content may take a name ("不能重名"). In one folder a content is there once: the picture
    /// that has it is overwritten (field notes 8.3), and is what comes back.
    pub(super) fn admits(&self, place: Place<'_>, etag: &str, size: u64) -> Result<Option<Item>, Taken> {
        let ids = self.by_content.get(&(etag.to_owned(), size)).into_iter().flatten();
        let same = ids.filter_map(|id| self.get(id)).find(|item| item.parent == place.parent);
        match self.child(place.parent, place.name) {
            Some(held) if same.is_none_or(|same| same.id != held.id) => Err(Taken),
            _ => Ok(same.cloned()),
        }
    }

    /// Makes a folder; its name must be free.
    pub(super) fn make_folder(&mut self, place: Place<'_>, now_ms: u64, dice: &mut Dice) -> io::Result<Item> {
        let item = Item { isdir: true, ..self.fresh(place, now_ms, dice) };
        fs::create_dir_all(self.disk(&item)?)?;
        self.put(item.clone())?;
        Ok(item)
    }

    /// Puts bytes in their place, unless the name is taken.
    pub(super) fn place(
        &mut self,
        place: Place<'_>,
        bytes: Bytes<'_>,
        verdict: i64,
        now_ms: u64,
        dice: &mut Dice,
    ) -> io::Result<Result<Item, Taken>> {
        let same = match self.admits(place, bytes.etag, bytes.size) {
            Ok(same) => same,
            Err(taken) => return Ok(Err(taken)),
        };
        let item = match same {
            Some(old) => {
                let item = Item {
                    name: place.name.into(),
                    updated_ms: now_ms,
                    uploads: old.uploads + 1,
                    overwritten: old.overwritten + u32::from(old.name != place.name),
                    ..old.clone()
                };
                fs::rename(self.disk(&old)?, self.disk(&item)?)?;
                item
            }
            None => {
                let item = Item {
                    size: bytes.size,
                    etag: bytes.etag.into(),
                    block_list: bytes.block_list,
                    uploads: 1,
                    instant: bytes.instant,
                    verdict,
                    ..self.fresh(place, now_ms, dice)
                };
                let disk = self.disk(&item)?;
                if let Some(folder) = disk.parent() {
                    fs::create_dir_all(folder)?;
                }
                // What a killed server left here may be another picture, too, under a second name.
                let _ = fs::remove_file(&disk);
                match bytes.instant {
                    true => second_name(bytes.file, &disk)?,
                    false => fs::rename(bytes.file, &disk)?,
                }
                item
            }
        };
        self.put(item.clone())?;
        Ok(Ok(item))
    }

    fn fresh(&self, place: Place<'_>, now_ms: u64, dice: &mut Dice) -> Item {
        let number = self.last_number + 1;
        Item {
            id: make_id(number, dice.next()),
            number,
            account: place.account.into(),
            parent: place.parent.into(),
            name: place.name.into(),
            created_ms: now_ms,
            updated_ms: now_ms,
            verdict: ACCEPTED,
            ..Item::default()
        }
    }

    /// Takes an item away, with everything below it. Returns how many went.
    pub(super) fn remove(&mut self, id: &str) -> io::Result<usize> {
        let Some(item) = self.get(id).cloned() else { return Ok(0) };
        let below: Vec<String> = self.children(id, u64::MAX).map(|item| item.id.clone()).collect();
        let mut gone = 1;
        for id in below {
            gone += self.remove(&id)?;
        }
        let disk = self.disk(&item)?;
        // A folder may hold foreign files of whoever lent us DIR: those stay.
        let _ = if item.isdir { fs::remove_dir(disk) } else { fs::remove_file(disk) };
        self.journal.write(&Change::<Item>::Remove { account: item.account, path: id.into() })?;
        self.unindex(id);
        Ok(gone)
    }

    /// Takes everything away.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        let ids: Vec<String> = self.items.keys().cloned().collect();
        for id in ids {
            self.remove(&id)?;
        }
        let _ = fs::remove_dir(self.data.join(PAN123_FOLDER));
        Ok(())
    }

    /// The review says this of every picture whose path fits. Returns how many there are.
    pub(super) fn judge(&mut self, pattern: &Regex, status: i64) -> io::Result<usize> {
        let fits = |item: &&Item| !item.isdir && pattern.is_match(&self.path(item));
        let judged: Vec<Item> = self.items.values().filter(fits).cloned().collect();
        let count = judged.len();
        for item in judged {
            self.put(Item { verdict: status, ..item })?;
        }
        Ok(count)
    }

    /// The direct link of a picture sent so many bytes.
    pub(super) fn add_traffic(&mut self, id: &str, bytes: u64) -> io::Result<()> {
        let Some(item) = self.get(id) else { return Ok(()) };
        self.put(Item { traffic: item.traffic + bytes, ..item.clone() })
    }

    /// Every picture, by account and path.
    pub(super) fn pictures(&self) -> Vec<&Item> {
        let mut pictures: Vec<&Item> = self.items.values().filter(|item| !item.isdir).collect();
        pictures.sort_by_cached_key(|item| (item.account.clone(), self.path(item)));
        pictures
    }

    /// From the root down to the item itself.
    fn lineage<'a>(&'a self, item: &'a Item) -> Vec<&'a Item> {
        let mut lineage = vec![item];
        while let Some(parent) = lineage.last().and_then(|item| self.get(&item.parent)) {
            lineage.push(parent);
        }
        lineage.reverse();
        lineage
    }

    /// `/folder/name.jpg`.
    pub(super) fn path(&self, item: &Item) -> String {
        self.lineage(item).iter().map(|item| format!("/{}", item.name)).collect()
    }

    /// Where the bytes lie.
    pub(super) fn disk(&self, item: &Item) -> io::Result<PathBuf> {
        let mut disk = match item.account.as_str() {
            DEFAULT_ACCOUNT => self.data.join(PAN123_FOLDER),
            other => self.data.join(OWN_FOLDER).join(PAN123_FOLDER).join("users").join(folder_name(other)),
        };
        for item in self.lineage(item) {
            if matches!(item.name.as_str(), "" | "." | "..") || item.name.contains(['/', '\0']) {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "no name of a picture"));
            }
            disk.push(on_disk(&item.name, &item.id));
        }
        Ok(disk)
    }
}

fn on_disk(name: &str, id: &str) -> String {
    if name.len() <= LONGEST_ON_DISK {
        return name.into();
    }
    let mut end = LONGEST_ON_DISK - id.len() - 1;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}~{id}", &name[..end])
}
