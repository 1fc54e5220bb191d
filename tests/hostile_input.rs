//! Every way in for bytes that others made, fed with the seeds of the fuzz targets and with what a seeded
//! dice makes of them, for about a second each. `fuzz/README.md` says how to look for longer.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

use std::fs;
use std::panic;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

#[path = "common/dice.rs"]
mod dice;
#[path = "../fuzz/src/lib.rs"]
mod entries;

use dice::{Dice, number};

/// Panics of any thread: a server's are otherwise lost with its task.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Bytes that parsers stumble over.
const ODD: [&[u8]; 20] = [
    b"",
    b"\0",
    b"\xff",
    b"\xff\xff\xff\xff",
    b"\x80",
    b"-1",
    b"0",
    b"18446744073709551616",
    b"1e999",
    b"null",
    b"[]",
    b"{}",
    b"\"\"",
    b"[[[[[[[[",
    b"%2F..%2F",
    b"../",
    b"**/{a,{b,[!",
    b"\r\n",
    b"\r\nTransfer-Encoding: chunked\r\n\r\n",
    "\u{202e}😀".as_bytes(),
];

/// One to four changes to a seed.
fn changed(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut data = seeds[dice.below(seeds.len())].clone();
    for _ in 0..=dice.below(4) {
        let at = dice.below(data.len() + 1);
        let end = (at + dice.below(9)).min(data.len());
        match dice.below(7) {
            0 if at < data.len() => data[at] = dice.next() as u8,
            1 if at < data.len() => data[at] ^= 1 << dice.below(8),
            2 => drop(data.drain(at..end)),
            3 => data.truncate(at),
            4 => {
                let other = &seeds[dice.below(seeds.len())];
                let from = dice.below(other.len() + 1);
                data.truncate(at);
                data.extend_from_slice(&other[from..]);
            }
            5 => {
                let again: Vec<u8> = data[at..end].repeat(1 + dice.below(100));
                data.splice(at..at, again);
            }
            _ => drop(data.splice(at..end, ODD[dice.below(ODD.len())].iter().copied())),
        }
        data.truncate(64 << 10);
    }
    data
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let seeds: Vec<_> = files.into_iter().map(|file| fs::read(file).unwrap()).collect();
    assert!(seeds.len() >= 3, "{} has too few seeds", folder.display());
    seeds
}

#[test]
fn no_bytes_that_others_made_end_in_a_panic() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        PANICS.lock().unwrap().push(info.to_string());
        before(info);
    }));
    // A longer look: XPAND_FUZZ_SECS=120 and another XPAND_FUZZ_SEED; XPAND_FUZZ_ONLY names one entry.
    let time = Duration::from_secs(number("XPAND_FUZZ_SECS", 1));
    let only = std::env::var("XPAND_FUZZ_ONLY").ok();
    for (name, entry) in entries::ALL {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let seeds = seeds(name);
        let mut dice = Dice::new(number("XPAND_FUZZ_SEED", 20_261_122));
        let mut runs = 0_u64;
        let mut feed = |data: &[u8]| {
            let fed = panic::catch_unwind(|| entry(data));
            let panics = std::mem::take(&mut *PANICS.lock().unwrap());
            runs += 1;
            assert!(
                fed.is_ok() && panics.is_empty(),
                "{name} of {:?}: {panics:#?}",
                data.escape_ascii().to_string()
            );
        };
        seeds.iter().for_each(|seed| feed(seed));
        let begun = Instant::now();
        while begun.elapsed() < time {
            feed(&changed(&seeds, &mut dice));
        }
        println!("{name}: {runs} runs in {:?}", begun.elapsed());
    }
}
