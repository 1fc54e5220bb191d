//! The runs themselves: many seeds, and one seed twice.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Tally, number, run};
use crate::agent::hub::lock;

/// Bad days of one seed: in longer runs the cloud is so full that less is new in them.
const BAD_DAYS: u32 = 15;
/// Seeds of an ordinary run: about eight seconds of a processor.
const SEEDS: u64 = 4;

/// Runs the seeds on all processors; what went wrong with the first that failed.
fn runs(seeds: std::ops::Range<u64>) -> Result<Tally, String> {
    let (next, sum, wrong) = (AtomicU64::new(seeds.start), Mutex::new(Tally::default()), Mutex::new(None));
    let work = || {
        while lock(&wrong).is_none() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            match run(seed, BAD_DAYS) {
                Ok(tally) => {
                    let mut sum = lock(&sum);
                    sum.days += tally.days;
                    sum.calls += tally.calls;
                    sum.lives += tally.lives;
                    sum.in_cloud += tally.in_cloud;
                    sum.copied += tally.copied;
                }
                Err(words) => *lock(&wrong) = Some(words),
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let wrong = lock(&wrong).take();
    wrong.map_or_else(|| Ok(*lock(&sum)), Err)
}

#[test]
fn whatever_happens_every_file_that_holds_still_arrives() {
    let seeds = match number("XPAND_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("XPAND_SEEDS").unwrap_or(SEEDS),
    };
    let count = seeds.end - seeds.start;
    let Tally { days, calls, lives, in_cloud, copied, .. } =
        runs(seeds).unwrap_or_else(|words| panic!("{words}"));
    eprintln!(
        "{count} seeds: {days} days, {lives} processes, {calls} calls, {in_cloud} files in the clouds, \
         {copied} of them copied there"
    );
    let (lives, in_cloud, copied) = (lives / count, in_cloud as u64 / count, copied / count);
    assert!(in_cloud > 20 && lives > 10, "too little happened: {in_cloud} files, {lives} processes a seed");
    assert!(copied > 0, "nothing was ever copied inside the cloud");
}

#[test]
fn a_seed_is_one_run_and_no_other() {
    let (one, again, other) = (run(4711, 4), run(4711, 4), run(4712, 4));
    assert_eq!(one, again);
    assert_ne!(one, other);
}
