//! Pages followed to their end, one at a time: nothing here grows with the size of a folder.

use std::ops::ControlFlow;

use crate::cli::Outcome;
use crate::cloud::files::Item;
use crate::cloud::{self, Cursor, Page};

/// Asks for page after page and hands each on, until the last one or until `take` has enough. The outer
/// result is the cloud's, the inner one that of `take`: who asks knows which path a refusal is about.
pub(in crate::cli) async fn follow<E>(
    ask: impl AsyncFn(Option<Cursor>) -> cloud::Result<Page<E>>,
    mut take: impl FnMut(Vec<E>) -> Outcome<ControlFlow<()>>,
) -> cloud::Result<Outcome> {
    let mut after = None;
    loop {
        let page = ask(after).await?;
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
