//! How seldom an application that logs in by itself asks for another token.
//!
//! 123pan lets three tokens of one `client_id` live at a time (常见问题 6; field notes 8.1), has no call that
//! ends one, and none ends before its time, 30 days mostly. Each one asked for without need is a place gone that
//! long: for this box, for others of the same application, for the person who wants to log in. So:
//!
//! | what happened | another token is asked for |
//! | --- | --- |
//! | it ends soon by its `expiredAt` | then |
//! | the cloud refuses it before its end, and takes the next one where it refused this one | at once, twenty times a day at most |
//! | it takes the next one no more than this one | at once; within 30 days a second time a day after the first, from then on a week after the last |
//! | the answer that had one in it was lost | a minute later, ten minutes, a hundred, every six hours |
//! | a crash came between asking and saving | at the next start, once |
//! | a clear no: a wrong secret, too many tokens | an hour later; at once when the old one has ended meanwhile |
//! | there was no connection | when there is: nothing was given out |
//! | a person says `account login` | at once, if the one there is ended or is refused |
//!
//! A refused token that may not be replaced yet is kept, and is what later calls are made with: when the cloud
//! was mistaken for a day, nothing was used up. The marks are on the disk, so that commands and restarts count
//! as one; the lock of the file keeps two processes from asking for the same need. A copy of the state folder
//! goes on with the same token, and from its end on with one of its own: two places, not more.
//!
//! A clock that is ahead sees every new token end at once. An end that was over when the token was got is
//! therefore not believed: the token is good until the cloud refuses it.

use jiff::Timestamp;

use super::file::Stored;

const MINUTE: i64 = 60;
pub(super) const HOUR: i64 = 3600;
const DAY: i64 = 86_400;
/// Nothing keeps the next attempt off for longer.
pub(super) const LONGEST_REST: i64 = 6 * HOUR;
/// For so long a replaced token is remembered: it may live as long (field notes 8.1).
const REMEMBERED: i64 = 30 * DAY;
/// So many that were dead are replaced within a day.
const DEAD_A_DAY: usize = 20;

/// For how many seconds attempts of unknown outcome keep the next one off.
pub(super) fn after_lost(tries: u32) -> i64 {
    (MINUTE * 10_i64.saturating_pow(tries.saturating_sub(1).min(4))).min(LONGEST_REST)
}

impl Stored {
    /// When the token ends, unless the clock was ahead when it came, and still is.
    pub(super) fn end(&self, now: Timestamp) -> Option<Timestamp> {
        let is_believed =
            |end| self.refresh_token.is_some() || end > self.obtained_at || now < self.obtained_at;
        self.expires_at.filter(|&end| is_believed(end))
    }

    /// Whether there is no token, or its time is over.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.is_blank() || self.end(now).is_some_and(|end| now >= end)
    }

    /// Until when a token that the cloud refuses before its end is not replaced; `None`: it may be now.
    pub(super) fn kept_until(&self, now: Timestamp) -> Option<Timestamp> {
        let until = match self.recently_replaced(now).as_slice() {
            // Whoever is refused by a cloud that is mistaken now and then seems dead, too.
            [] => {
                let dead = self.recently_dead(now);
                let first = dead.len().checked_sub(DEAD_A_DAY).and_then(|first| dead.get(first))?;
                first.as_second().saturating_add(DAY)
            }
            [only] => only.as_second().saturating_add(DAY),
            [.., last] => last.as_second().saturating_add(7 * DAY),
        };
        (now.as_second() < until).then(|| Timestamp::from_second(until).unwrap_or(Timestamp::MAX))
    }

    /// What of [`Stored::replaced`] still counts. What lies ahead was written by a clock that was wrong.
    pub(super) fn recently_replaced(&self, now: Timestamp) -> Vec<Timestamp> {
        within(&self.replaced, now, REMEMBERED)
    }

    /// The same of [`Stored::dead`].
    pub(super) fn recently_dead(&self, now: Timestamp) -> Vec<Timestamp> {
        within(&self.dead, now, DAY)
    }
}

fn within(marks: &[Timestamp], now: Timestamp, seconds: i64) -> Vec<Timestamp> {
    let counts = |at: &&Timestamp| (0..seconds).contains(&(now.as_second() - at.as_second()));
    marks.iter().filter(counts).copied().collect()
}
