//! Random work on a queue, with ends of the process in between, against a plain map of what ought to be.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::content::Md5;

const FOLDERS: u32 = 2;
const FILES: u8 = 3;

/// What is done to the queue. Files are numbers, versions are sizes.
#[derive(Clone, Debug)]
enum Step {
    Offer(u32, u8, u64),
    Skip(u32, u8, u64),
    Gone(u32, u8),
    /// With only one folder allowed, or all.
    Claim(Option<u32>),
    /// The n-th claim, how it ends, and after how long it is to be tried again.
    Close(usize, u8, i64),
    Retry(u32, Option<u8>),
    Wait(i64),
    Apply,
    /// The process ends: what was not applied is lost.
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let file = || (1..=FOLDERS, 0..FILES);
    prop_oneof![
        6 => (file(), 1..4_u64).prop_map(|((folder, file), size)| Step::Offer(folder, file, size)),
        1 => (file(), 1..4_u64).prop_map(|((folder, file), size)| Step::Skip(folder, file, size)),
        3 => file().prop_map(|(folder, file)| Step::Gone(folder, file)),
        6 => prop::option::weighted(0.3, 1..=FOLDERS).prop_map(Step::Claim),
        6 => (0..8_usize, 0..7_u8, 1..5000_i64).prop_map(|(at, how, wait)| Step::Close(at, how, wait)),
        1 => (1..=FOLDERS, prop::option::of(0..FILES)).prop_map(|(folder, file)| Step::Retry(folder, file)),
        2 => (1..4000_i64).prop_map(Step::Wait),
        2 => Just(Step::Apply),
        1 => Just(Step::Reopen),
    ]
}

/// What ought to be known of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
struct File {
    print: Fingerprint,
    standing: Standing,
    has_copy: bool,
    gone: bool,
    /// Not before this time...
    due_ms: i64,
    /// ...which is stored; otherwise it only orders the work of this process.
    is_stored: bool,
}

type Model = BTreeMap<FilePath, File>;

struct Both {
    _folder: tempfile::TempDir,
    store: Arc<Store>,
    queue: Queue,
    model: Model,
    /// The model at the last [`Queue::apply`].
    applied: Model,
    claims: Vec<Job>,
    now_ms: i64,
}

fn print(size: u64) -> Fingerprint {
    Fingerprint { size, mtime_ns: 1, ctime_ns: 2 }
}

fn path(folder: u32, file: u8) -> FilePath {
    FilePath { folder: FolderId(folder), below: format!("2024/{file}.jpg").into_bytes().into() }
}

fn copy(size: u64) -> Copy {
    Copy { size, md5: Md5::of("x"), id: "1".into(), path: "/apps/x".into() }
}

impl Both {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(folder.path()).unwrap().0);
        let mut queue = Queue::open(Arc::clone(&store)).unwrap();
        for number in 1..=FOLDERS {
            let path = PathBuf::from(format!("/volume{number}"));
            assert_eq!(queue.folder(&path, "home").unwrap(), FolderId(number));
        }
        queue.apply().unwrap();
        let (model, applied) = (Model::new(), Model::new());
        Self { _folder: folder, store, queue, model, applied, claims: Vec::new(), now_ms: 1_000_000 }
    }

    fn apply(&mut self) {
        self.queue.apply().unwrap();
        self.applied = self.model.clone();
    }

    /// What may be claimed, by when it is due.
    fn eligible(&self, only: Option<u32>) -> BTreeMap<FilePath, i64> {
        let allowed = |path: &FilePath| only.is_none_or(|number| path.folder.0 == number);
        let claimed = |path: &FilePath| self.claims.iter().any(|job| job.path == *path);
        let waits = |file: &File| file.standing == Standing::Waiting && !file.gone;
        let all = self.model.iter().filter(|(path, file)| allowed(path) && waits(file) && !claimed(path));
        all.map(|(path, file)| (path.clone(), file.due_ms)).collect()
    }

    fn claim(&mut self, only: Option<u32>) -> Option<Job> {
        let eligible = self.eligible(only);
        for _ in 0..1000 {
            let next = self.queue.next_due(self.now_ms, |id| only.is_none_or(|number| id.0 == number));
            match next.unwrap() {
                Next::Searching => {}
                Next::Nothing => {
                    assert!(eligible.is_empty(), "lost: {eligible:?}");
                    return None;
                }
                Next::At(at) => {
                    assert!(at > self.now_ms, "busy waiting");
                    assert!(eligible.values().all(|due| *due >= at), "overslept at {at}: {eligible:?}");
                    return None;
                }
                Next::Claim(claim) => {
                    let path = &claim.job.path;
                    assert!(eligible.contains_key(path), "{path:?} is not to be worked on: {eligible:?}");
                    let file = &self.model[path];
                    assert!(!file.is_stored || file.due_ms <= self.now_ms, "too early: {file:?}");
                    assert_eq!((claim.job.print, claim.copy.is_some()), (file.print, file.has_copy));
                    self.claims.push(claim.job.clone());
                    return Some(claim.job);
                }
            }
        }
        panic!("the search does not end");
    }

    fn close(&mut self, job: Job, how: u8, wait: i64) {
        let due_ms = self.now_ms + wait;
        let outcome = match how {
            0 | 1 => Outcome::Done(copy(job.print.size)),
            2 => Outcome::Again { due_ms, why: "x".into() },
            3 => Outcome::Park { why: "x".into() },
            4 => Outcome::Changed { print: print(job.print.size + 10), due_ms },
            5 => Outcome::Gone,
            _ => Outcome::Released,
        };
        self.queue.close(job.clone(), outcome.clone()).unwrap();
        let Some(file) = self.model.get_mut(&job.path) else { return };
        if file.gone || file.print != job.print {
            file.has_copy |= matches!(outcome, Outcome::Done(_));
            (file.due_ms, file.is_stored) = (0, false);
            return;
        }
        (file.due_ms, file.is_stored) = (0, false);
        match outcome {
            Outcome::Done(_) => (file.standing, file.has_copy) = (Standing::BackedUp, true),
            Outcome::Again { due_ms, .. } => (file.due_ms, file.is_stored) = (due_ms, true),
            Outcome::Park { .. } => file.standing = Standing::Failed,
            Outcome::Changed { print, due_ms } => {
                (file.print, file.standing, file.due_ms) = (print, Standing::Waiting, due_ms);
            }
            Outcome::Gone => self.model_gone(&job.path),
            Outcome::Skip(_) | Outcome::Released => {}
        }
    }

    fn model_gone(&mut self, path: &FilePath) {
        let Some(file) = self.model.get_mut(path) else { return };
        (file.gone, file.due_ms, file.is_stored) = (true, 0, false);
        if !file.has_copy {
            self.model.remove(path);
        }
    }

    fn model_put(&mut self, path: &FilePath, print: Fingerprint, standing: Standing) {
        let known = self.model.get(path);
        let kept = known.filter(|file| file.print == print && standing == Standing::Waiting);
        let due = kept.map_or((0, false), |file| (file.due_ms, file.is_stored));
        let has_copy = known.is_some_and(|file| file.has_copy);
        let file = File { print, standing, has_copy, gone: false, due_ms: due.0, is_stored: due.1 };
        self.model.insert(path.clone(), file);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Offer(folder, file, size) => {
                let (path, print) = (path(folder, file), print(size));
                let same = self.model.get(&path).filter(|file| file.print == print).cloned();
                let offer = self.queue.offer(&path, print).unwrap();
                match same.as_ref().map(|file| (file.standing, file.gone)) {
                    Some((Standing::BackedUp, _)) => assert_eq!(offer, Offer::AlreadyBackedUp),
                    Some((Standing::Waiting | Standing::Failed, false)) => {
                        assert_eq!(offer, Offer::AlreadyQueued);
                    }
                    _ => {}
                }
                match same {
                    Some(file) if file.standing == Standing::BackedUp => {
                        self.model.insert(path, File { gone: false, ..file });
                    }
                    Some(File { standing: Standing::Waiting | Standing::Failed, gone: false, .. }) => {}
                    _ => self.model_put(&path, print, Standing::Waiting),
                }
            }
            Step::Skip(folder, file, size) => {
                let path = path(folder, file);
                self.queue.skip(&path, print(size), Skip::OverTier).unwrap();
                self.model_put(&path, print(size), Standing::Skipped(Skip::OverTier));
            }
            Step::Gone(folder, file) => {
                self.queue.gone(&path(folder, file)).unwrap();
                self.model_gone(&path(folder, file));
            }
            Step::Claim(only) => drop(self.claim(only)),
            Step::Close(at, how, wait) => {
                if !self.claims.is_empty() {
                    let job = self.claims.remove(at % self.claims.len());
                    self.close(job, how, wait);
                }
            }
            Step::Retry(folder, file) => {
                let below = file.map(|file| path(folder, file).below);
                self.queue.retry(FolderId(folder), below.as_deref()).unwrap();
                for (path, file) in &mut self.model {
                    let is_meant = path.folder.0 == folder && below.as_ref().is_none_or(|b| *b == path.below);
                    let is_claimed = self.claims.iter().any(|job| job.path == *path);
                    let is_open = matches!(file.standing, Standing::Failed | Standing::Waiting);
                    if is_meant && is_open && !is_claimed && !file.gone {
                        file.standing = Standing::Waiting;
                        if file.is_stored {
                            (file.due_ms, file.is_stored) = (0, false);
                        }
                    }
                }
            }
            Step::Wait(ms) => self.now_ms += ms,
            Step::Apply => self.apply(),
            Step::Reopen => {
                self.queue = Queue::open(Arc::clone(&self.store)).unwrap();
                self.claims.clear();
                self.model = self.applied.clone();
                let unstored = self.model.values_mut().filter(|file| !file.is_stored);
                unstored.for_each(|file| file.due_ms = 0);
            }
        }
        // Some steps write on their own; the model of what is on the disk follows. What is written is to be
        // flushed all the same: `has_changes` is for that.
        if self.queue.pending.is_empty() && !self.queue.index.has_changes() {
            self.applied = self.model.clone();
        }
    }

    fn check(&mut self) {
        for (path, file) in &self.model {
            let entry = self.queue.get(path).unwrap().unwrap();
            let found = (entry.print, entry.standing, entry.copy.is_some(), entry.gone);
            assert_eq!(found, (file.print, file.standing, file.has_copy, file.gone), "{path:?}");
        }
        for number in 1..=FOLDERS {
            let files: Vec<_> =
                self.model.iter().filter(|(path, file)| path.folder.0 == number && !file.gone).collect();
            let count = |fits: fn(&Standing) -> bool| {
                files.iter().filter(|(_, file)| fits(&file.standing)).count() as u64
            };
            let counts = self.queue.counts(FolderId(number));
            let known = (counts.files, counts.failed, counts.skipped);
            let failed = count(|s| *s == Standing::Failed);
            let skipped = count(|s| matches!(s, Standing::Skipped(_)));
            assert_eq!(known, (files.len() as u64, failed, skipped));
            assert_eq!(counts.bytes, files.iter().map(|(_, file)| file.print.size).sum::<u64>());
            assert_eq!(counts.files, counts.backed_up + counts.waiting + counts.failed + counts.skipped);
            // Backed up means on the disk.
            assert!(counts.backed_up <= count(|s| *s == Standing::BackedUp));
        }
    }
}

fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let cases = cases.unwrap_or(128);
    // What was found once is written down as a test of its own, not as a seed.
    ProptestConfig { cases, max_shrink_iters: 2000, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    /// Nothing that waits is lost, nothing is worked on twice at a time or before its time, the counts are
    /// right, and a restart takes up what was applied.
    #[test]
    fn a_queue_is_what_a_plain_map_says(steps in prop::collection::vec(step(), 1..160)) {
        let mut both = Both::new();
        for step in steps {
            both.take(step);
            both.check();
        }
        // In the end everything that waits is worked on, whatever came before.
        both.now_ms += 1_000_000;
        while let Some(job) = both.claim(None) {
            both.claims.pop();
            both.close(job, 0, 0);
            both.check();
        }
        let claims = std::mem::take(&mut both.claims);
        for job in claims {
            both.close(job, 0, 0);
        }
        both.apply();
        both.queue.flushed();
        both.check();
        while let Some(job) = both.claim(None) {
            both.claims.pop();
            both.close(job, 0, 0);
        }
        both.apply();
        both.queue.flushed();
        for number in 1..=FOLDERS {
            let counts = both.queue.counts(FolderId(number));
            prop_assert_eq!((counts.waiting, counts.bytes_waiting), (0, 0));
            let done = both.model.iter().filter(|(path, file)| {
                path.folder.0 == number && !file.gone && file.standing == Standing::BackedUp
            });
            prop_assert_eq!(counts.backed_up, done.count() as u64);
        }
        both.take(Step::Reopen);
        both.check();
    }
}

/// Its job, which said why it failed, went with it: without a new try nothing could ever be said of it.
#[test]
fn a_failed_file_that_went_and_came_back_is_tried_again() {
    let mut both = Both::new();
    for (size, how) in [(1, 0), (2, 3)] {
        both.take(Step::Offer(1, 0, size));
        both.take(Step::Claim(None));
        both.take(Step::Close(0, how, 1));
    }
    both.take(Step::Gone(1, 0));
    both.check();
    both.take(Step::Offer(1, 0, 2));
    both.check();
    assert!(both.claim(None).is_some());
}

/// More files wait for their time than are remembered: each comes at its own all the same.
#[test]
fn of_many_files_that_wait_for_their_time_none_comes_late() {
    let mut both = Both::new();
    for file in 0..6 {
        both.take(Step::Offer(1, file, 1));
    }
    for wait in [900, 100, 700, 300, 500, 200] {
        both.take(Step::Claim(None));
        both.take(Step::Close(0, 2, wait));
    }
    for _ in 0..10 {
        both.now_ms += 100;
        while both.claim(None).is_some() {}
    }
    assert_eq!(both.claims.len(), 6);
}

/// Of an end that took too long, as on a disk that hardly moves.
#[test]
fn what_a_life_left_claimed_can_be_claimed_in_the_next() {
    let mut both = Both::new();
    both.take(Step::Offer(1, 0, 1));
    both.take(Step::Claim(None));
    assert!(both.claim(None).is_none());
    both.queue.release_claims();
    both.claims.clear();
    assert!(both.claim(None).is_some());
}
