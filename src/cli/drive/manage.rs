//! Copies, moves, renames and deletions as the cloud does them: in batches, some of them as a task that is
//! followed to its end, each item with a result of its own (xpan-api, 管理文件; field notes 3.8).

use std::time::Duration;

use tokio::time::Instant;

use super::Session;
use crate::cli::terminal::span;
use crate::cli::{ExitStatus, Failed, Outcome};
use crate::cloud::files::{ItemResult, Opera, Run, Task, TaskStatus, Transfer};
use crate::cloud::{self, Code, Kind};

/// Items of one call. The cloud takes more; a call that fails is then about fewer.
const BATCH: usize = 100;
/// Between two questions after a task: at first, and at most.
const FIRST_POLL: Duration = Duration::from_secs(1);
const LAST_POLL: Duration = Duration::from_secs(5);
/// So often in a row a question after a task may find no answer.
const PATIENCE: u32 = 10;
/// So often a batch waits for another task of the account: ten minutes in all.
const TURNS: u32 = 120;
/// Another task of the user is running (field notes 1.5).
const ANOTHER_TASK: Code = Code::Errno(111);
/// Between two progress words.
const WORDS_EVERY: Duration = Duration::from_secs(10);

/// One item of what is to be done.
pub(super) trait Change: Clone {
    /// `copied`, `moved`, `deleted`, `renamed`
    const DONE: &'static str;
    /// What it is done to.
    fn path(&self) -> &str;
    /// A batch of them.
    fn opera(batch: Vec<Self>) -> Opera;
}

/// What is copied.
#[derive(Clone)]
pub(super) struct Copied(pub(super) Transfer);
/// What is moved.
#[derive(Clone)]
pub(super) struct Moved(pub(super) Transfer);
/// Path and new name.
#[derive(Clone)]
pub(super) struct Renamed(pub(super) String, pub(super) String);
/// A path.
#[derive(Clone)]
pub(super) struct Deleted(pub(super) String);

impl Change for Copied {
    const DONE: &'static str = "copied";
    fn path(&self) -> &str {
        &self.0.path
    }
    fn opera(batch: Vec<Self>) -> Opera {
        Opera::Copy(batch.into_iter().map(|copied| copied.0).collect())
    }
}

impl Change for Moved {
    const DONE: &'static str = "moved";
    fn path(&self) -> &str {
        &self.0.path
    }
    fn opera(batch: Vec<Self>) -> Opera {
        Opera::Move(batch.into_iter().map(|moved| moved.0).collect())
    }
}

impl Change for Renamed {
    const DONE: &'static str = "renamed";
    fn path(&self) -> &str {
        &self.0
    }
    fn opera(batch: Vec<Self>) -> Opera {
        Opera::Rename(batch.into_iter().map(|renamed| (renamed.0, renamed.1)).collect())
    }
}

impl Change for Deleted {
    const DONE: &'static str = "deleted";
    fn path(&self) -> &str {
        &self.0
    }
    fn opera(batch: Vec<Self>) -> Opera {
        Opera::Delete(batch.into_iter().map(|deleted| deleted.0).collect())
    }
}

/// Does all of it, batch by batch, and tells how each item fared.
pub(super) async fn carry_out<C: Change>(session: &Session<'_>, all: &[C]) -> Outcome {
    let (mut done, mut failed) = (0, 0);
    for batch in all.chunks(BATCH) {
        let results = match one_batch(session, batch).await {
            Ok(results) => results,
            Err(error) => {
                if all.len() > batch.len() {
                    let rest = all.len() - done - failed;
                    session.context.say(&format!(
                        "{done} of {} {}, {rest} left as they are",
                        all.len(),
                        C::DONE
                    ));
                }
                return Err(error);
            }
        };
        let bad = tell(session, batch.iter().map(C::path), &results)?;
        failed += bad;
        done += batch.len() - bad.min(batch.len());
    }
    if !session.context.json() && all.len() > 1 {
        session.context.say(&format!("{done} of {} {}", all.len(), C::DONE));
    }
    if failed == 0 { Ok(()) } else { Err(Failed::told(ExitStatus::Failed)) }
}

async fn one_batch<C: Change>(session: &Session<'_>, batch: &[C]) -> Outcome<Vec<ItemResult>> {
    let files = session.files()?;
    let opera = C::opera(batch.to_vec());
    let managed = in_turn(session, async || files.filemanager(&opera, Run::Adaptive).await).await;
    let managed = managed.map_err(|error| {
        let is_unknown = error.sent && matches!(error.kind, Kind::Offline | Kind::Broken);
        let failed = match batch {
            [only] => session.failed_at(only.path(), error),
            _ => session.failed(&error),
        };
        if is_unknown { failed.hint(LOOK) } else { failed }
    })?;
    match managed.taskid {
        None => Ok(managed.info),
        Some(task) => follow(session, &task).await,
    }
}

/// What is to be done when the answer was lost.
const LOOK: &str = "whether the cloud did it is not known: look with xpand drive ls";

/// Makes a call, and again while the cloud says that another task of the account is running.
pub(in crate::cli) async fn in_turn<T>(
    session: &Session<'_>,
    call: impl AsyncFn() -> cloud::Result<T>,
) -> cloud::Result<T> {
    let (mut pause, mut turns) = (FIRST_POLL, 0);
    loop {
        match call().await {
            // As errno only: under other names it is a token that has expired.
            Err(error) if error.code == Some(ANOTHER_TASK) && is_busy(&error) && turns < TURNS => {
                if turns == 0 {
                    let words = "another task of this account is running in the cloud: waiting for its end";
                    session.context.say(words);
                }
                turns += 1;
                tokio::time::sleep(pause).await;
                pause = longer(pause);
            }
            answer => return answer,
        }
    }
}

fn is_busy(error: &cloud::Error) -> bool {
    matches!(error.kind, Kind::Busy { .. })
}

fn longer(pause: Duration) -> Duration {
    (pause * 3 / 2).min(LAST_POLL)
}

/// Follows a task to its end and returns how each item fared, as far as the cloud says.
pub(in crate::cli) async fn follow(session: &Session<'_>, taskid: &str) -> Outcome<Vec<ItemResult>> {
    let files = session.files()?;
    let (mut pause, mut unanswered) = (FIRST_POLL, 0);
    let begun = Instant::now();
    let mut told = begun;
    loop {
        tokio::time::sleep(pause).await;
        pause = longer(pause);
        match files.taskquery(taskid).await {
            Ok(task) => match ended(task) {
                Some(result) => return result,
                None => unanswered = 0,
            },
            Err(error) if unanswered < PATIENCE && can_wait(&error) => {
                unanswered += 1;
                if let Kind::Busy { after: Some(wait) } = error.kind {
                    pause = pause.max(wait);
                }
            }
            Err(error) => return Err(session.failed(&error).hint(LOOK)),
        }
        if told.elapsed() >= WORDS_EVERY {
            told = Instant::now();
            session.context.say(&format!("the cloud is at it, for {} now", span(begun.elapsed().as_secs())));
        }
    }
}

/// Whether the same question may find an answer later.
fn can_wait(error: &cloud::Error) -> bool {
    is_busy(error) || matches!(error.kind, Kind::Offline | Kind::Broken)
}

/// How a task ended, if it did.
fn ended(task: Task) -> Option<Outcome<Vec<ItemResult>>> {
    match task.status {
        TaskStatus::Pending | TaskStatus::Running => None,
        TaskStatus::Success => Some(Ok(task.info)),
        // The items say it better.
        TaskStatus::Failed if task.info.iter().any(|item| item.errno != 0) => Some(Ok(task.info)),
        TaskStatus::Failed => {
            let words = format!("the task failed in the cloud (errno {})", task.errno);
            let hint =
                format!("xpand explain --code {}; what was done of it shows xpand drive ls", task.errno);
            Some(Err(Failed::words(words).hint(hint)))
        }
    }
}

/// Tells how the items of a batch fared and returns how many failed. Without results all of them are done.
pub(in crate::cli) fn tell<'p>(
    session: &Session<'_>,
    asked: impl Iterator<Item = &'p str>,
    results: &[ItemResult],
) -> Outcome<usize> {
    let failed = results.iter().filter(|result| result.errno != 0);
    for result in failed.clone() {
        let words = format!("{}: {} (errno {})", result.path, result.meaning, result.errno);
        Failed::words(words).warn();
    }
    if session.context.json() {
        let asked = asked.filter(|_| results.is_empty());
        let done = asked.map(|path| ItemResult { path: path.to_owned(), errno: 0, meaning: String::new() });
        let mut lines = String::new();
        for result in results.iter().cloned().chain(done) {
            lines += &session.context.json_line(&result)?;
        }
        session.context.print_text(&lines)?;
    }
    Ok(failed.count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(status: TaskStatus, errno: i64, items: &[i64]) -> Task {
        let item = |errno: &i64| ItemResult { path: "/a".into(), errno: *errno, meaning: String::new() };
        Task { status, errno, info: items.iter().map(item).collect() }
    }

    #[test]
    fn a_task_that_failed_is_told_by_its_items_where_they_say_why() {
        assert!(ended(task(TaskStatus::Running, 0, &[])).is_none());
        assert!(matches!(ended(task(TaskStatus::Success, 0, &[])), Some(Ok(info)) if info.is_empty()));
        assert!(matches!(ended(task(TaskStatus::Failed, 12, &[0, -8])), Some(Ok(info)) if info.len() == 2));
        assert!(matches!(ended(task(TaskStatus::Failed, 12, &[0])), Some(Err(_))));
    }

    #[test]
    fn the_pauses_between_questions_grow_to_five_seconds() {
        let mut pauses = vec![FIRST_POLL];
        for _ in 0..9 {
            pauses.push(longer(pauses[pauses.len() - 1]));
        }
        assert!(
            pauses.is_sorted() && pauses[1] > FIRST_POLL && pauses.last() == Some(&LAST_POLL),
            "{pauses:?}"
        );
    }
}
