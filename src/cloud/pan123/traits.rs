//! What brings pictures home, and what a person at a shell has of the image host.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use super::Oss;
use super::folders::{ROOT, Want};
use super::placing::split;
use super::seen::Seen;
use crate::cloud::files::{Download, Item};
use crate::cloud::give_back::Asked;
use crate::cloud::images::Image;
use crate::cloud::walk::Walk;
use crate::cloud::{BoxFuture, Cursor, GiveBack, Images, Kind, Page, Result};

/// Fewer of one folder are asked about one by one.
const FEW: usize = 4;
/// Folders in one another; a cloud that gives one in the other without end is not followed further.
const DEEPEST: usize = 100;

impl GiveBack for Oss {
    fn items<'a>(&'a self, folder: &'a str, after: Option<Cursor>) -> BoxFuture<'a, Result<Page<Item>>> {
        Box::pin(async move {
            let (images, next) = self.images_in(folder, after).await?;
            self.seen().put(&images);
            Ok(Page { entries: images.into_iter().map(item).collect(), next })
        })
    }

    fn items_below<'a>(
        &'a self,
        folder: &'a str,
        after: Option<Cursor>,
    ) -> BoxFuture<'a, Result<Page<Item>>> {
        Box::pin(async move {
            let walk = Walk::from(folder, after);
            let (folder, after) = walk.next();
            walk.listed(self.items(&folder, after).await)
        })
    }

    /// Of what was listed a moment ago, or else of a list of the folder that several of them lie in: the call
    /// for details is one for each picture (`seen.rs`).
    fn details<'a>(&'a self, files: &'a [Asked]) -> BoxFuture<'a, Result<Vec<Item>>> {
        Box::pin(async move {
            let (mut images, mut left) = self.seen().take(files.iter());
            let mut folders: BTreeMap<String, Vec<&Asked>> = BTreeMap::new();
            for file in left.extract_if(.., |file| !file.path.is_empty()) {
                folders.entry(split(&file.path).0).or_default().push(file);
            }
            for (folder, these) in folders {
                left.extend(self.list_for(&folder, these, &mut images).await?);
            }
            for file in left {
                match self.image(&file.id).await {
                    Err(error) if error.kind == Kind::Missing => {}
                    image => images.push(self.with_path(image?).await),
                }
            }
            Ok(images.into_iter().map(item).collect())
        })
    }

    fn download<'a>(&'a self, address: &'a str, from: u64, size: u64) -> BoxFuture<'a, Result<Download>> {
        Box::pin(self.fetch(address, from, size))
    }
}

/// In the words that commands share.
fn item(image: Image) -> Item {
    let isdir = image.is_folder();
    Item {
        path: image.path.unwrap_or_else(|| format!("/{}", image.filename)),
        fs_id: image.file_id,
        server_filename: image.filename,
        isdir,
        size: image.size,
        md5: Some(image.etag).filter(|etag| !isdir && !etag.is_empty()),
        server_ctime: image.create_at,
        server_mtime: image.update_at,
        dlink: Some(image.download_url).filter(|address| !address.is_empty()),
        ..Item::default()
    }
}

impl Oss {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists the folder that these lie in as long as that needs fewer calls than to ask about each. Returns those
    /// that were not among what is listed.
    async fn list_for<'f>(
        &self,
        folder: &str,
        these: Vec<&'f Asked>,
        images: &mut Vec<Image>,
    ) -> Result<Vec<&'f Asked>> {
        let (mut left, count) = (these, images.len());
        for page in 0.. {
            let worth = if page == 0 { left.len() } else { FEW + images.len() - count };
            let after = self.seen().goes_on(folder);
            let Some(after) = after.filter(|_| !left.is_empty() && worth >= FEW && page < worth) else {
                break;
            };
            let (listed, next) = match self.images_in(folder, after.map(Cursor::new)).await {
                Err(error) if error.kind == Kind::Missing => break,
                listed => listed?,
            };
            let mut seen = self.seen();
            seen.put(&listed);
            seen.has_listed(folder, next.map(|next| next.text().to_owned()));
            let (found, others) = seen.take(left.into_iter());
            images.extend(found);
            left = others;
        }
        Ok(left)
    }

    /// With its path, where its folder is known.
    async fn with_path(&self, image: Image) -> Image {
        let known = self.known().await;
        let folder = known.path(&image.parent_file_id);
        let path = folder.map(|folder| format!("{folder}/{}", image.filename));
        Image { path, ..image }
    }

    /// With its path, found by going up from folder to folder.
    async fn found(&self, image: Image) -> Result<Image> {
        let (mut below, mut above) = (format!("/{}", image.filename), image.parent_file_id.clone());
        for _ in 0..DEEPEST {
            if above == ROOT {
                break;
            }
            let known = self.known().await.path(&above).map(str::to_owned);
            if let Some(folder) = known {
                below.insert_str(0, &folder);
                break;
            }
            match self.image(&above).await {
                Ok(folder) => {
                    below.insert_str(0, &format!("/{}", folder.filename));
                    above = folder.parent_file_id;
                }
                // The image host itself has an id too, and no details.
                Err(error) if error.kind == Kind::Missing => break,
                Err(error) => return Err(error),
            }
        }
        Ok(Image { path: Some(below), ..image })
    }
}

impl Images for Oss {
    fn mkdir<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<String>> {
        // What is remembered may be gone.
        let look = move |id: String| async move {
            if id == ROOT { Ok(id) } else { Ok(self.image(&id).await?.file_id) }
        };
        Box::pin(async move { self.in_folder(path, Want::Make, look).await })
    }

    fn list<'a>(&'a self, folder: &'a str, after: Option<Cursor>) -> BoxFuture<'a, Result<Page<Image>>> {
        Box::pin(async move {
            let (entries, next) = self.images_in(folder, after).await?;
            Ok(Page { entries, next })
        })
    }

    fn detail<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Image>> {
        Box::pin(async move {
            let image = self.image(id).await?;
            self.found(image).await
        })
    }

    fn delete<'a>(&'a self, ids: &'a [String]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            match self.remove(ids).await {
                Err(error) if error.kind == Kind::Missing => {}
                answer => answer?,
            }
            let mut known = self.known().await;
            let paths: Vec<String> = ids.iter().filter_map(|id| known.path(id).map(str::to_owned)).collect();
            paths.iter().for_each(|path| known.forget(path));
            known.forget_all_contents();
            Ok(())
        })
    }
}
