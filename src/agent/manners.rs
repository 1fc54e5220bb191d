//! How much of the box the agent takes for itself: so many threads as there are processors for it.
//!
//! That others go first, with the processor and with the disk, is for whoever starts it to say: the unit in
//! `systemd/`, `packaging/keep.sh`, procd. A thread cannot be nice for a while: it may not become less so again.

use std::num::NonZero;
use std::thread::available_parallelism;

/// Processors that this process may use: of this box, of its control group, of the set it is bound to.
fn processors() -> usize {
    available_parallelism().map_or(1, NonZero::get)
}

/// Threads for what never blocks. Two of them encrypt more than any line of a house takes.
#[must_use]
pub fn workers() -> usize {
    processors().clamp(1, 2)
}

/// Files that are hashed at a time: one processor is left for those who send them, and for the family.
pub(super) fn hashers() -> usize {
    processors().saturating_sub(1).clamp(1, 4)
}
