//! Pages followed to their end, one at a time: nothing here grows with the size of a folder.

use std::ops::ControlFlow;

use crate::cli::{Failed, Outcome};
use crate::cloud::files::Item;
use crate::cloud::{self, Cursor, Page};

/// Asks for page after page and hands each on, until the last one or until `take` has enough. The outer
/// result is the cloud's, the inner one that of `take`: who asks knows which path a refusal is about.
///
/// A cloud that sends the same page again whichever is asked for would never end (xpan-search has `page` in its
/// example and not in its table): that is a failure.
pub(in crate::cli) async fn follow(
    ask: impl AsyncFn(Option<Cursor>) -> cloud::Result<Page<Item>>,
    mut take: impl FnMut(Vec<Item>) -> Outcome<ControlFlow<()>>,
) -> cloud::Result<Outcome> {
    let (mut after, mut before) = (None, None);
    loop {
        let page = ask(after).await?;
        let first = page.entries.first().map(|item| item.path.clone());
        if first.is_some() && first == before {
            let words = "the cloud sends the same page again and again: the list is not whole";
            return Ok(Err(Failed::words(words)));
        }
        before = first;
        match take(page.entries) {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => return Ok(Ok(())),
            Err(failed) => return Ok(Err(failed)),
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(Ok(())),
        }
    }
}

/// What an item is called: the last part of its path, where the cloud does not say it.
pub(in crate::cli) fn name(item: &Item) -> &str {
    match item.server_filename.as_str() {
        "" => item.path.rsplit('/').next().unwrap_or(""),
        name => name,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The pages that such a cloud sends until the end.
    async fn followed(pages: &[&str]) -> (usize, bool) {
        let mut taken = 0;
        let ask = async |after: Option<Cursor>| {
            let at = usize::try_from(after.and_then(|after| after.number()).unwrap_or(0)).unwrap();
            let path = (*pages.get(at).or(pages.last()).unwrap()).to_owned();
            let entries = vec![Item { path, ..Item::default() }];
            Ok(Page { entries, next: (at + 1 < pages.len().max(9)).then(|| Cursor::at(at as u64 + 1)) })
        };
        let take = |_| {
            taken += 1;
            Ok(if taken == pages.len() && taken > 2 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        };
        let outcome = follow(ask, take).await.unwrap();
        (taken, outcome.is_ok())
    }

    #[tokio::test]
    async fn a_cloud_that_sends_the_same_page_for_ever_is_not_followed_for_ever() {
        assert_eq!(followed(&["/a", "/b", "/c"]).await, (3, true));
        assert_eq!(followed(&["/a"]).await, (1, false));
        assert_eq!(followed(&["/a", "/b"]).await, (2, false));
    }
}
