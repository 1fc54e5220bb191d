//! For how long a person waits when the account cannot go on.

use std::time::Duration;

use crate::backup::verdict::Pause;

/// When the cloud cannot be reached, or wants fewer calls: times in a row that are waited out.
const TROUBLES: u32 = 12;
/// Between two of these, doubled each time up to the second.
const TROUBLE_WAITS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));
/// A longer wait than this nobody sits out.
pub(super) const LONGEST_LIMIT: Duration = Duration::from_secs(3600);
/// How long a person's account waits for the `times`-th time in a row; `None`: there is no sense in it.
pub(super) fn waits(pause: Pause, times: u32) -> Option<Duration> {
    let (first, longest) = TROUBLE_WAITS;
    let wait = first.saturating_mul(1 << times.saturating_sub(1).min(8)).min(longest);
    let may_wait = match pause {
        Pause::Offline => times < TROUBLES,
        Pause::Limit { after } => {
            return (times < TROUBLES && after <= LONGEST_LIMIT).then_some(after.max(wait));
        }
        Pause::Membership => return (times < 3).then_some(Duration::ZERO),
        Pause::DayLimit | Pause::Full | Pause::Login | Pause::Blocked { .. } | Pause::Failing => false,
    };
    may_wait.then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_waits_for_minutes_and_not_for_what_does_not_pass() {
        let offline: Vec<Duration> = (1..20).map_while(|times| waits(Pause::Offline, times)).collect();
        assert!(offline.is_sorted() && offline.len() == 11);
        assert!((450..660).contains(&offline.iter().map(Duration::as_secs).sum::<u64>()));
        let minute = Pause::Limit { after: Duration::from_secs(60) };
        assert_eq!(waits(minute, 1), Some(Duration::from_secs(60)));
        assert_eq!(waits(Pause::Limit { after: Duration::from_secs(3601) }, 1), None);
        assert_eq!(waits(Pause::Membership, 1), Some(Duration::ZERO));
        for pause in [Pause::DayLimit, Pause::Full, Pause::Login, Pause::Blocked { after: Duration::ZERO }] {
            assert_eq!(waits(pause, 1), None);
        }
    }
}
