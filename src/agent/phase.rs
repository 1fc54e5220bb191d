//! When this box calls, so that the hundred thousand behind one application do not call in the same second.
//!
//! Boxes have their beginnings in common: the power comes back in a whole town, the cloud comes back for
//! everybody, and the maker wrote the same `upload.hours` into all of them. What keeps them apart must not
//! be made anew at each start, or a box that starts often would be seen often. So each login has its place
//! between 0 and 1, made of the number that no other login has:
//!
//! | what | when |
//! | --- | --- |
//! | the first call after the box was started | at its place in [`AFTER_BOOT`] |
//! | the questions of each `agent.check_bind` | at its place in that span, by the wall clock |
//! | the beginning of `upload.hours` | at its place in [`OPENING`]; their end is on the second |
//!
//! Who starts the agent by hand, or logs in, waits for none of these. Failures are spread by chance
//! (`accounts.rs`, `breaker.rs`).
//!
//! ```text
//! <state_dir>/boot      the kernel's name of the system start in which the agent ran last
//! ```

use std::fs;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use crate::backup::verdict::spread;
use crate::clock::Clock;
use crate::durable;

/// The first calls after a power cut are spread over this.
pub(super) const AFTER_BOOT: Duration = Duration::from_mins(10);
/// Uploads of all boxes that have the same `upload.hours` begin within this.
const OPENING: Duration = Duration::from_secs(59);

/// The place of a login between 0 and 1; of none by chance.
pub(super) fn of(login: Option<u64>) -> f64 {
    let Some(login) = login else { return spread() };
    // The finalizer of splitmix64: neighbours come far apart.
    let mut bits = login.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^= bits >> 31;
    f64::from(u32::try_from(bits >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

/// How long until the next turn of something that is done once in `every`: half of it at least, and from then on
/// just that.
pub(super) fn until_next(now_ms: i64, every: Duration, place: f64) -> Duration {
    let every_ms = i64::try_from(every.as_millis()).unwrap_or(i64::MAX / 4).clamp(1, i64::MAX / 4);
    let turn_ms = (every_ms as f64 * place) as i64;
    let left_ms = every_ms - now_ms.wrapping_sub(turn_ms).rem_euclid(every_ms);
    let wait_ms = if left_ms < every_ms / 2 { left_ms + every_ms } else { left_ms };
    Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0))
}

/// How long after the beginning of `upload.hours` the uploads begin.
pub(super) fn opening(login: Option<u64>) -> Duration {
    login.map_or(Duration::ZERO, |login| OPENING.mul_f64(of(Some(login))))
}

/// The beginning of this run.
pub(super) struct Start {
    at: Instant,
    is_after_boot: bool,
}

impl Start {
    /// Now, with this state folder. Blocks for moments.
    pub(super) fn now(state_dir: &Path) -> Self {
        Self { at: Instant::now(), is_after_boot: is_first_since_boot(state_dir) }
    }

    /// How long this login still waits with its first call.
    pub(super) fn rest(&self, login: Option<u64>, clock: &Clock) -> Option<Duration> {
        let login = login.filter(|_| self.is_after_boot)?;
        let until = self.at + clock.wait(AFTER_BOOT.mul_f64(of(Some(login))));
        Some(until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }
}

/// Whether the system was started since the agent ran last. Not so of one that never ran: somebody is there and
/// waits for it.
fn is_first_since_boot(state_dir: &Path) -> bool {
    let Ok(now) = fs::read_to_string("/proc/sys/kernel/random/boot_id") else { return false };
    let file = state_dir.join("boot");
    let before = fs::read_to_string(&file).ok();
    if before.as_deref() == Some(&now) {
        return false;
    }
    if let Err(error) = durable::replace(&file, now.as_bytes(), 0o600) {
        tracing::debug!("{} cannot be written: {error}", file.display());
    }
    before.is_some()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn of_a_hundred_thousand_logins_no_second_has_many_more_than_its_share() {
        assert_eq!(of(Some(7)), of(Some(7)));
        for (span, most) in [(AFTER_BOOT, 240), (HOUR, 65), (OPENING, 1_900)] {
            let mut seconds = vec![0; span.as_secs() as usize + 1];
            (0..100_000).for_each(|login| seconds[(span.as_secs_f64() * of(Some(login))) as usize] += 1);
            let busiest = seconds.iter().max().unwrap();
            assert!(*busiest <= most, "{busiest} boxes in one second of {span:?}");
        }
    }

    #[test]
    fn a_turn_comes_once_in_its_span_and_never_twice_in_half_of_it() {
        for place in [0.0, 0.2, 0.5, 0.999, 1.0] {
            let mut now_ms = 1_793_491_234_567;
            let first = until_next(now_ms, HOUR, place);
            assert!(first >= HOUR / 2 && first <= HOUR * 3 / 2, "{first:?}");
            now_ms += first.as_millis() as i64;
            for _ in 0..3 {
                assert_eq!(until_next(now_ms, HOUR, place), HOUR, "{place}");
                now_ms += HOUR.as_millis() as i64;
            }
        }
        assert!(until_next(5, Duration::ZERO, 0.5) <= Duration::from_millis(2));
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_first_run_after_a_power_cut_rests_and_only_a_login_that_was_there() {
        let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::system());
        assert_eq!(Start::now(folder.path()).rest(Some(7), &clock), None, "a new box");
        assert_eq!(Start::now(folder.path()).rest(Some(7), &clock), None, "started again by hand");
        fs::write(folder.path().join("boot"), "another\n").unwrap();
        let start = Start::now(folder.path());
        let rest = start.rest(Some(7), &clock).unwrap();
        assert_eq!(rest, AFTER_BOOT.mul_f64(of(Some(7))));
        assert!(start.rest(Some(8), &clock) != Some(rest) && start.rest(None, &clock).is_none());
        tokio::time::sleep(rest / 2).await;
        assert!(start.rest(Some(7), &clock).unwrap() <= rest / 2 + Duration::from_millis(1));
        tokio::time::sleep(rest).await;
        assert_eq!(start.rest(Some(7), &clock), None);
        assert_eq!(Start::now(folder.path()).rest(Some(7), &clock), None, "the same system start");
    }
}
