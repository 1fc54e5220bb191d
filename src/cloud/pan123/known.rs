//! What is known of the cloud's folders in this process: their ids, and of some what is in them.
//!
//! Bounded: so many folders by path, so many names in all. What is not known is asked for again.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::time::Duration;

use tokio::time::Instant;

use super::folders::ROOT;
use super::remembered::Remembered;
use crate::cloud::images::Image;
use crate::content::Md5;

/// Folders whose ids are known.
const MOST_FOLDERS: usize = 4096;
/// Names that are known in all folders together; a folder with more is not kept (`placing.rs`).
const MOST_NAMES: usize = 20_000;
/// The family may change something in the app meanwhile.
const FRESH: Duration = Duration::from_secs(3600);
/// An upload that takes longer has failed, or is a slow one whose double goes aside for nothing.
const COMING: Duration = Duration::from_secs(2 * 3600);

/// A name, in few bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct NameHash(u64);

/// A content - size and MD5 - in few bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct ContentHash(u64);

fn hash(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

impl NameHash {
    pub(super) fn of(name: &str) -> Self {
        Self(hash(name))
    }
}

impl ContentHash {
    pub(super) fn of(md5: Md5, size: u64) -> Self {
        Self(hash((md5.0, size)))
    }

    fn of_image(image: &Image) -> Option<Self> {
        image.etag.parse().ok().filter(|_| !image.is_folder()).map(|md5| Self::of(md5, image.size))
    }
}

/// What is in a folder.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Names, and what has them; a folder has no content.
    names: HashMap<NameHash, Option<ContentHash>>,
    /// Under which name a content is there: in one folder each is there once (field notes 8.3).
    contents: HashMap<ContentHash, NameHash>,
    /// Ids of the folders in it, by name.
    folders: BTreeMap<String, String>,
    /// There is more in it than is kept: then nothing is.
    too_large: bool,
}

impl Contents {
    /// Takes an entry of a listing in.
    pub(super) fn see(&mut self, image: &Image) {
        if self.names.len() >= MOST_NAMES {
            *self = Self { too_large: true, ..Self::default() };
        }
        if self.too_large {
            return;
        }
        if image.is_folder() {
            self.folders.insert(image.filename.clone(), image.file_id.clone());
        }
        self.put(NameHash::of(&image.filename), ContentHash::of_image(image));
    }

    fn put(&mut self, name: NameHash, content: Option<ContentHash>) {
        if let Some(content) = content
            && let Some(before) = self.contents.insert(content, name)
            && before != name
        {
            self.names.remove(&before);
        }
        if let Some(Some(before)) = self.names.insert(name, content)
            && Some(before) != content
        {
            self.contents.remove(&before);
        }
    }

    /// What has a name: nothing, a folder (`None`), a picture.
    pub(super) fn has_name(&self, name: NameHash) -> Option<Option<ContentHash>> {
        self.names.get(&name).copied()
    }

    /// Under which name a content is there.
    pub(super) fn name_of(&self, content: ContentHash) -> Option<NameHash> {
        self.contents.get(&content).copied()
    }

    pub(super) fn folder(&self, name: &str) -> Option<&str> {
        self.folders.get(name).map(String::as_str)
    }

    /// There is more in it than is kept.
    pub(super) fn is_too_large(&self) -> bool {
        self.too_large
    }
}

/// All that is known.
#[derive(Debug, Default)]
pub(super) struct Known {
    ids: BTreeMap<String, String>,
    /// Paths of `ids`, the oldest first; some twice, or gone.
    order: VecDeque<String>,
    /// By the folder's id, the one used last at the end.
    contents: VecDeque<(String, Instant, Contents)>,
    /// Pictures on their way: content, and under which name it goes to which folder.
    coming: HashMap<(String, ContentHash), (NameHash, Instant)>,
    disk: Remembered,
    is_read: bool,
}

impl Known {
    /// With what is kept on disk, once it is [`Known::read`].
    pub(super) fn of(disk: Remembered) -> Self {
        Self { disk, ..Self::default() }
    }

    /// Reads what is kept on disk, the first time. Blocks for moments.
    pub(super) fn read(&mut self) {
        if std::mem::replace(&mut self.is_read, true) {
            return;
        }
        for (path, id) in self.disk.read() {
            match id {
                Some(id) => self.insert(&path, &id),
                None => self.remove(&path),
            }
        }
    }

    /// The id of the folder at a path.
    pub(super) fn id(&self, path: &str) -> Option<&str> {
        self.ids.get(path).map(String::as_str)
    }

    /// The path of a folder by its id. Looks at all that are known.
    pub(super) fn path(&self, id: &str) -> Option<&str> {
        self.ids.iter().find(|(_, known)| *known == id).map(|(path, _)| path.as_str())
    }

    /// The folder at a path has this id. Blocks for moments.
    pub(super) fn learn(&mut self, path: &str, id: &str) {
        if self.id(path) != Some(id) {
            self.insert(path, id);
            let all = self.ids.iter().map(|(path, id)| (path.as_str(), id.as_str()));
            self.disk.add(path, Some(id), all);
        }
    }

    fn insert(&mut self, path: &str, id: &str) {
        self.ids.insert(path.to_owned(), id.to_owned());
        self.order.push_back(path.to_owned());
        while self.ids.len() > MOST_FOLDERS || self.order.len() > 2 * MOST_FOLDERS {
            let Some(oldest) = self.order.pop_front() else { break };
            self.ids.remove(&oldest);
        }
    }

    /// Nothing is known any more of the folder at a path and of those below it. Blocks for moments.
    pub(super) fn forget(&mut self, path: &str) {
        let gone: Vec<String> = self.below(path).filter_map(|path| self.ids.get(path).cloned()).collect();
        // Nor that it is in the folder above it.
        let above = path.rsplit_once('/').map_or("", |(above, _)| above);
        let above = if above.is_empty() { Some(ROOT) } else { self.id(above) }.map(str::to_owned);
        self.contents.retain(|(id, ..)| !gone.contains(id) && Some(id) != above.as_ref());
        self.remove(path);
        let all = self.ids.iter().map(|(path, id)| (path.as_str(), id.as_str()));
        self.disk.add(path, None, all);
    }

    fn remove(&mut self, path: &str) {
        let gone: Vec<String> = self.below(path).map(str::to_owned).collect();
        gone.iter().for_each(|path| drop(self.ids.remove(path)));
    }

    /// A path and all that are known below it.
    fn below<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a str> {
        let all = self.ids.range(path.to_owned()..).map(|(known, _)| known.as_str());
        let is_below = move |known: &&str| {
            known.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        all.take_while(move |known| known.starts_with(path)).filter(is_below)
    }

    /// What is in the folder of this id, if that is known.
    pub(super) fn contents(&mut self, id: &str) -> Option<&Contents> {
        self.contents.retain(|(_, since, _)| since.elapsed() < FRESH);
        let at = self.contents.iter().position(|(known, ..)| known == id)?;
        let found = self.contents.remove(at)?;
        self.contents.push_back(found);
        self.contents.back().map(|(.., contents)| contents)
    }

    /// That is in the folder of this id.
    pub(super) fn keep(&mut self, id: &str, contents: Contents) {
        self.forget_contents(id);
        self.contents.push_back((id.to_owned(), Instant::now(), contents));
        let mut names = 0;
        let room = self.contents.iter().rev().take_while(|(.., contents)| {
            names += contents.names.len();
            names <= MOST_NAMES
        });
        let surplus = self.contents.len() - room.count();
        self.contents.drain(..surplus);
    }

    /// What is in the folder of this id has changed.
    pub(super) fn forget_contents(&mut self, id: &str) {
        self.contents.retain(|(known, ..)| known != id);
    }

    /// What is in any folder may have changed.
    pub(super) fn forget_all_contents(&mut self) {
        self.contents.clear();
    }

    /// A picture is in the folder of this id now.
    pub(super) fn put(&mut self, id: &str, name: &str, content: ContentHash) {
        if let Some((.., contents)) = self.contents.iter_mut().find(|(known, ..)| known == id) {
            contents.put(NameHash::of(name), Some(content));
        }
        self.coming.remove(&(id.to_owned(), content));
    }

    /// A picture will be in the folder of this id, if nothing goes wrong.
    pub(super) fn expect(&mut self, id: &str, name: NameHash, content: ContentHash) {
        self.coming.retain(|_, (_, since)| since.elapsed() < COMING);
        self.coming.insert((id.to_owned(), content), (name, Instant::now()));
    }

    /// Under which name a content is on its way to the folder of this id.
    pub(super) fn expected(&self, id: &str, content: ContentHash) -> Option<NameHash> {
        let (name, since) = self.coming.get(&(id.to_owned(), content))?;
        (since.elapsed() < COMING).then_some(*name)
    }

    /// A folder is in the folder of this id now, and nothing is in it.
    pub(super) fn put_folder(&mut self, parent: &str, name: &str, id: &str) {
        if let Some((.., contents)) = self.contents.iter_mut().find(|(known, ..)| known == parent) {
            contents.folders.insert(name.to_owned(), id.to_owned());
            contents.put(NameHash::of(name), None);
        }
        self.keep(id, Contents::default());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn content(word: &str) -> ContentHash {
        ContentHash::of(Md5::of(word), 1)
    }

    #[test]
    fn in_one_folder_a_content_has_one_name_and_a_name_one_content() {
        let (a, b) = (NameHash::of("a"), NameHash::of("b"));
        let mut contents = Contents::default();
        contents.put(a, Some(content("1")));
        contents.put(b, Some(content("1")));
        assert_eq!((contents.has_name(a), contents.name_of(content("1"))), (None, Some(b)));
        contents.put(b, Some(content("2")));
        assert_eq!((contents.name_of(content("1")), contents.name_of(content("2"))), (None, Some(b)));
        assert_eq!(contents.has_name(b), Some(Some(content("2"))));
    }

    #[test]
    fn a_folder_is_forgotten_with_all_below_it_and_with_nothing_beside_it() {
        let mut known = Known::default();
        for (path, id) in [("/a", "1"), ("/a/b", "2"), ("/a/b/c", "3"), ("/a/bc", "4"), ("/a/b c", "5")] {
            known.learn(path, id);
            known.keep(id, Contents::default());
        }
        known.forget("/a/b");
        let left: Vec<_> = known.ids.keys().map(String::as_str).collect();
        assert_eq!(left, ["/a", "/a/b c", "/a/bc"]);
        assert!(known.contents("2").is_none() && known.contents("3").is_none());
        assert!(known.contents("4").is_some() && known.path("5") == Some("/a/b c"));
    }

    #[test]
    fn what_is_known_has_an_end() {
        let mut known = Known::default();
        for number in 0..MOST_FOLDERS + 100 {
            known.learn(&format!("/{number}"), &number.to_string());
        }
        assert_eq!(known.ids.len(), MOST_FOLDERS);
        assert!(known.id("/0").is_none() && known.id("/4100").is_some());
        for folder in 0..3 {
            let mut contents = Contents::default();
            for number in 0..MOST_NAMES / 2 {
                contents.put(NameHash::of(&number.to_string()), None);
            }
            known.keep(&folder.to_string(), contents);
        }
        assert!(
            known.contents("0").is_none() && known.contents("1").is_some() && known.contents("2").is_some()
        );
    }
}
