//! Numbers by chance that repeat with their seed (splitmix64).
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, clippy::should_implement_trait)]

use std::ops::Range;

/// The seeds that a test runs with: 1, or as many as `XPAND_{test}_SEEDS` says, `XPAND_{test}_SEED` the first.
pub fn seeds(test: &str) -> Range<u64> {
    let first = number(&format!("XPAND_{test}_SEED"), 1);
    first..first + number(&format!("XPAND_{test}_SEEDS"), 1)
}

/// The number of a variable in the environment, or the usual one.
pub fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable)
        .map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{variable}: {text}")))
}

/// See the module.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// Any number.
    pub fn next(&mut self) -> u64 {
        cloudsim::splitmix64(&mut self.0)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    /// True so many times of a hundred.
    pub fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}
