//! How the agent keeps out of the way of those who use the box.

use std::num::NonZero;
use std::thread::available_parallelism;

use rustix::process::{getpriority_process, setpriority_process};

/// As `Nice=` of the unit in `systemd/`.
const NICE: i32 = 10;

/// Lets everybody else on the box go first: with the processor, and with a disk whose scheduler goes by niceness.
/// To be called before there are other threads, which all begin like this one. systemd's unit has done so
/// before us, gives the disk only when nobody else wants it, and forbids us to change either.
pub fn step_back() {
    if getpriority_process(None).is_ok_and(|nice| nice < NICE)
        && let Err(error) = setpriority_process(None, NICE)
    {
        tracing::debug!("the agent stays as nice as it was: {error}");
    }
}

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
