//! Chance that depends on the seed and on nothing else.

/// Numbers as if by chance (splitmix64).
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x1234_5678_9abc_def0)
    }

    pub(super) fn number(&mut self) -> u64 {
        cloudsim::splitmix64(&mut self.0)
    }

    /// One of `0..most`.
    pub(super) fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.number() % most.max(1) as u64).unwrap()
    }

    /// One of `from..to`.
    pub(super) fn within(&mut self, from: u64, to: u64) -> u64 {
        from + self.number() % (to - from).max(1)
    }

    /// True so often of a thousand times.
    pub(super) fn in_thousand(&mut self, times: u64) -> bool {
        self.number() % 1000 < times
    }

    pub(super) fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        if from.is_empty() { None } else { Some(from[self.below(from.len())].clone()) }
    }

    /// A number in 0..1.
    pub(super) fn fraction(&mut self) -> f64 {
        f64::from(u32::try_from(self.number() >> 32).unwrap()) / f64::from(u32::MAX)
    }

    pub(super) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let numbers = (0..count.div_ceil(8)).map(|_| self.number());
        let mut bytes: Vec<u8> = numbers.flat_map(u64::to_le_bytes).collect();
        bytes.truncate(count);
        bytes
    }
}
