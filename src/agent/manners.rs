//! How much of the box the agent takes for itself: so many threads as there are processors for it.
//!
//! That others go first, with the processor and with the disk, is for whoever starts it to say: the unit in
//! `systemd/`, `packaging/keep.sh`, procd. A thread cannot be nice for a while, for it may not become less so again;
//! and a process that is nice by itself cannot be told not to be.

use std::num::NonZero;
use std::thread::available_parallelism;

/// Threads for what never blocks, of the processors of this box, of its control group, of the set it is bound to. Two
/// of them encrypt more than any line of a house takes.
#[must_use]
pub fn workers() -> usize {
    available_parallelism().map_or(1, NonZero::get).clamp(1, 2)
}
