//! What to do about a failed call: the one place that turns a cloud's failure into a decision.

use std::time::Duration;

use crate::cloud::{Error, Kind};

/// The call that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// Seeing what the cloud has.
    Look,
    /// Announcing the file.
    Begin,
    /// Sending a slice.
    Send,
    /// Making the file of its slices: whether it was made is unknown when the answer is lost.
    Finish,
    /// Asking whether the file has been made: it can be asked again.
    Made,
}

/// What to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The same call again in a moment; after some times, the file later.
    Soon(Option<Pause>),
    /// See what the cloud has under that name, then decide.
    Look,
    /// From the start of the upload.
    Afresh,
    /// See whether our own file is still what it was.
    CheckFile,
    /// The file again later.
    Later,
    /// Not this file again until a person says so.
    Park,
    /// The account stops for a while; the file is as it was.
    Pause(Pause),
}

/// Why a whole account stops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pause {
    /// No way to the cloud.
    Offline,
    /// Too many calls.
    Limit {
        /// The least time to wait.
        after: Duration,
    },
    /// The day's calls are used up.
    DayLimit,
    /// The drive is full.
    Full,
    /// A person has to log in.
    Login,
    /// A person has to look at the account.
    Blocked {
        /// When it is worth looking whether somebody has.
        after: Duration,
    },
    /// The cloud answers, and fails. One file says little; several in a row stop the account.
    Failing,
    /// The membership is not what we thought: ask again, and cut the slices anew.
    Membership,
}

/// The decision for each kind of failure.
#[must_use]
pub fn verdict(error: &Error, call: Call) -> Verdict {
    match (error.kind, call) {
        // After a lost answer the file may be there: asking is cheaper than sending again.
        (Kind::Offline | Kind::Broken | Kind::Busy { after: None } | Kind::Exists, Call::Finish) => {
            Verdict::Look
        }
        (Kind::Offline, _) => Verdict::Soon(Some(Pause::Offline)),
        // "At once" is a wish to see the call again, not a limit.
        (Kind::Busy { after: Some(Duration::ZERO) }, _) => Verdict::Soon(None),
        (Kind::Busy { after: Some(after) }, _) => Verdict::Pause(Pause::Limit { after }),
        (Kind::Busy { after: None } | Kind::Broken, _) => Verdict::Soon(Some(Pause::Failing)),
        (Kind::Exists, Call::Look | Call::Begin | Call::Send) => Verdict::Look,
        // Something has taken its name since it was announced: it is announced with another.
        (Kind::Exists, Call::Made) => Verdict::Afresh,
        (Kind::Missing, _) => Verdict::Later,
        (Kind::Expired, _) => Verdict::Afresh,
        (Kind::Local, _) => Verdict::CheckFile,
        (Kind::Refused, _) => Verdict::Park,
        (Kind::DayLimit, _) => Verdict::Pause(Pause::DayLimit),
        (Kind::Full, _) => Verdict::Pause(Pause::Full),
        (Kind::Unauthorized, _) => Verdict::Pause(Pause::Login),
        (Kind::Blocked { after }, _) => Verdict::Pause(Pause::Blocked { after }),
        (Kind::SliceSize, _) => Verdict::Pause(Pause::Membership),
    }
}

/// How long a file waits after its `tries`-th failure in a row: 30 s, doubling, at most 6 h.
///
/// `spread` in 0..=1 moves it by up to a quarter, so that files (and boxes) do not come back together.
#[must_use]
pub fn back_off(tries: u32, spread: f64) -> Duration {
    let longest = Duration::from_hours(6);
    let wait = Duration::from_secs(30).saturating_mul(1 << tries.min(12)).min(longest);
    wait.mul_f64(0.75 + 0.5 * spread.clamp(0.0, 1.0))
}

/// A number in 0..1 that differs from call to call, for spreading.
#[must_use]
pub fn spread() -> f64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    #[cfg(test)]
    if let Some(machine) = super::seam::machine() {
        return machine.spread();
    }
    let bits = RandomState::new().build_hasher().finish() >> 32;
    f64::from(u32::try_from(bits).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_waits_longer_each_time_and_never_more_than_a_day() {
        let waits: Vec<_> = (0..40).map(|tries| back_off(tries, 0.5)).collect();
        assert_eq!(waits[0], Duration::from_secs(30));
        assert!(waits.is_sorted());
        assert_eq!(waits[39], Duration::from_hours(6));
        assert!(back_off(39, 1.0) < Duration::from_hours(8) && back_off(0, 0.0) > Duration::from_secs(20));
    }

    #[test]
    fn spreading_stays_between_nought_and_one() {
        assert!((0..1000).map(|_| spread()).all(|number| (0.0..=1.0).contains(&number)));
    }
}
