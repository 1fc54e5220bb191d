//! What was listed of pictures a moment ago, for whoever brings them home ([`Seen`]).
//!
//! detail (获取图片详情) tells of one picture, four times a second; a page of list tells the same of a hundred, the
//! link included. So what a page had is kept until somebody asks about it. Bounded, and for minutes: what has
//! vanished meanwhile shows when it is fetched.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::cloud::give_back::Asked;
use crate::cloud::images::Image;

/// Pictures that are kept: about 1 KiB each.
const MOST: usize = 2000;
/// For so long they are good.
const FRESH: Duration = Duration::from_secs(600);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Seen {
    images: HashMap<String, (Image, Instant)>,
    /// Ids of `images`, the oldest first; some twice, or gone.
    order: VecDeque<String>,
    /// The folder that was listed last for what is in it, and where its next page begins; `None`: that was all.
    open: Option<(String, Option<String>, Instant)>,
}

impl Seen {
    /// Keeps the pictures of a page.
    pub(super) fn put(&mut self, images: &[Image]) {
        let now = Instant::now();
        for image in images.iter().filter(|image| !image.is_folder()) {
            self.order.push_back(image.file_id.clone());
            self.images.insert(image.file_id.clone(), (image.clone(), now));
        }
        while self.images.len() > MOST || self.order.len() > 2 * MOST {
            let Some(oldest) = self.order.pop_front() else { break };
            self.images.remove(&oldest);
        }
    }

    /// Those that are known, each told once; and the others.
    pub(super) fn take<'a>(
        &mut self,
        files: impl Iterator<Item = &'a Asked>,
    ) -> (Vec<Image>, Vec<&'a Asked>) {
        let (mut known, mut others) = (Vec::new(), Vec::new());
        for file in files {
            match self.images.remove(&file.id).filter(|(_, since)| since.elapsed() < FRESH) {
                Some((image, _)) => known.push(image),
                None => others.push(file),
            }
        }
        (known, others)
    }

    /// Where the folder at a path is to be listed on: from the beginning (`Some(None)`), from a page on, or
    /// nowhere, because all of it was listed just now.
    pub(super) fn goes_on(&self, folder: &str) -> Option<Option<String>> {
        match &self.open {
            Some((open, next, since)) if open == folder && since.elapsed() < FRESH => next.clone().map(Some),
            _ => Some(None),
        }
    }

    /// A page of the folder at a path was listed, and the next begins at `next`.
    pub(super) fn has_listed(&mut self, folder: &str, next: Option<String>) {
        let since = match &self.open {
            Some((open, _, since)) if open == folder && since.elapsed() < FRESH => *since,
            _ => Instant::now(),
        };
        self.open = Some((folder.to_owned(), next, since));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(id: usize) -> Image {
        Image { file_id: id.to_string(), ..Image::default() }
    }

    fn asked(id: usize) -> Asked {
        Asked { id: id.to_string(), path: String::new() }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_seen_is_told_once_and_not_for_long_and_there_is_an_end_of_it() {
        let mut seen = Seen::default();
        seen.put(&[image(1), image(2), Image { kind: 1, ..image(3) }]);
        let files = [asked(1), asked(3)];
        let (known, others) = seen.take(files.iter());
        assert_eq!((known, others), (vec![image(1)], vec![&files[1]]));
        assert_eq!(seen.take(files[..1].iter()).1, [&files[0]], "once");
        tokio::time::advance(FRESH).await;
        assert_eq!(seen.take([asked(2)].iter()).0, []);
        for page in 0..MOST / 50 {
            seen.put(&(0..100).map(|number| image(page * 100 + number)).collect::<Vec<_>>());
        }
        assert!(seen.images.len() <= MOST && seen.order.len() <= 2 * MOST);
        assert!(seen.take([asked(0)].iter()).0.is_empty());
        assert_eq!(seen.take([asked(2 * MOST - 1)].iter()).0.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_folder_is_gone_through_once_and_again_later() {
        let mut seen = Seen::default();
        assert_eq!(seen.goes_on("/a"), Some(None));
        seen.has_listed("/a", Some("B".into()));
        assert_eq!((seen.goes_on("/a"), seen.goes_on("/b")), (Some(Some("B".into())), Some(None)));
        seen.has_listed("/a", None);
        assert_eq!(seen.goes_on("/a"), None);
        tokio::time::advance(FRESH).await;
        assert_eq!(seen.goes_on("/a"), Some(None));
    }
}
