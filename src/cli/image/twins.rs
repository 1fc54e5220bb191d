//! Pictures of one command that are one and the same: in a folder of the image host each content is there once
//! (`cloud/pan123/placing.rs`), so that only the first of them is sent.
//!
//! Only files of equal length are read for it, which hardly ever is the case unless they are copies.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64};

use crate::backup::entry::Limits;
use crate::backup::{disk, hash};
use crate::cli::drive::put::local::{Local, What};
use crate::content::Md5;
use crate::fetch::Disk;

/// A picture that has been named before, under another name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Twin {
    /// Where the first one is.
    pub(super) first: PathBuf,
    /// The content of both.
    pub(super) md5: Md5,
    /// Bytes.
    pub(super) size: u64,
}

/// Those among `locals`, by their number there. What cannot be read is none; sending it will tell why.
pub(super) async fn twins(locals: &[Local], limits: &Limits, disk: &Disk) -> BTreeMap<usize, Twin> {
    let mut by_size: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (number, local) in locals.iter().enumerate() {
        if let What::File { root, below } = &local.what {
            let (root, name) = (root.clone(), below.clone());
            let print = disk.run(move || disk::stat_one(&root, &name)).await.ok().flatten();
            if let Some(print) = print.filter(|print| limits.skip(below, print.size).is_none()) {
                by_size.entry(print.size).or_default().push(number);
            }
        }
    }
    let mut twins = BTreeMap::new();
    for (size, numbers) in by_size.into_iter().filter(|(_, numbers)| numbers.len() > 1) {
        let mut firsts: BTreeMap<[u8; 16], PathBuf> = BTreeMap::new();
        for number in numbers {
            let Some(local) = locals.get(number) else { continue };
            let Some(md5) = md5_of(local, disk).await else { continue };
            match firsts.get(&md5.0) {
                Some(first) => drop(twins.insert(number, Twin { first: first.clone(), md5, size })),
                None => drop(firsts.insert(md5.0, local.what.path())),
            }
        }
    }
    twins
}

async fn md5_of(local: &Local, disk: &Disk) -> Option<Md5> {
    let What::File { root, below } = &local.what else { return None };
    let (root, below) = (root.clone(), below.clone());
    let read = disk.run(move || {
        let gone = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let print = disk::stat_one(&root, &below)?.ok_or_else(gone)?;
        let (file, mut buffer) = (disk::open_one(&root, &below)?, vec![0; hash::BUFFER_BYTES]);
        let (read, cancel) = (AtomicU64::default(), AtomicBool::default());
        hash::hash(&file, &print, 0, &mut buffer, &read, &cancel).map_err(std::io::Error::other)
    });
    read.await.ok().map(|hashes| hashes.content)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cloud;
    use crate::config::Provider;

    #[tokio::test]
    async fn only_equal_content_is_a_twin_and_what_cannot_be_sent_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let local = |name: &str, content: &str| {
            std::fs::write(dir.path().join(name), content).unwrap();
            Local::look(&dir.path().join(name))
        };
        let locals = [
            local("a.jpg", "one"),
            local("b.jpg", "two"),
            local("c.jpg", "one"),
            local("d.jpg", "longer"),
            local("e.mp4", "one"),
            local("f.jpg", "one"),
        ];
        let takes = cloud::of(Provider::Pan123).takes();
        let limits = Limits { min_size: 0, max_size: u64::MAX, tier: None, takes };
        let twins = twins(&locals, &limits, &Disk::start(1).unwrap()).await;
        let twin = Twin { first: locals[0].what.path(), md5: Md5::of("one"), size: 3 };
        assert_eq!(twins, BTreeMap::from([(2, twin.clone()), (5, twin)]));
    }
}
