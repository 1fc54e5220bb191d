//! When uploads may run: not while the user has paused them, and only in the configured hours.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::clock::Now;
use crate::config::Hours;
use crate::durable;

const MINUTE_MS: i64 = 60_000;

/// The user's pause, kept in `<state_dir>/paused` so that it survives a restart: when it ends and how long it
/// was to last, both in milliseconds.
#[derive(Debug)]
pub struct Gate {
    file: PathBuf,
    paused: Option<Until>,
    /// How long a pause that was begun in an earlier run was to last, milliseconds.
    length_ms: Option<i64>,
    /// When a pause that was begun in this run ends, on the steady clock: whoever sets the other one meanwhile
    /// neither shortens nor prolongs it.
    ends_ms: Option<i64>,
    /// How long after the beginning of the hours uploads begin, milliseconds.
    lag_ms: i64,
}

/// How long a pause lasts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Until {
    /// Until `xpand resume`.
    Resumed,
    /// Milliseconds since 1970.
    Time(i64),
}

/// Whether uploads may run now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Open {
    /// They may, until this time (milliseconds since 1970) if there is an end.
    Yes(Option<i64>),
    /// They may not, for this reason, until this time if it is known.
    No(String, Option<i64>),
}

impl Gate {
    /// As it was left in `state_dir`. A file that does not read as a time pauses until `resume`: whoever
    /// wrote it wanted a pause.
    #[must_use]
    pub fn open(state_dir: &Path) -> Self {
        let file = state_dir.join("paused");
        let text = std::fs::read_to_string(&file).ok();
        let mut words = text.as_deref().map(str::split_whitespace);
        let mut number = || words.as_mut()?.next()?.parse::<i64>().ok();
        let (until, length_ms) = (number(), number());
        let paused = text.as_ref().map(|_| until.map_or(Until::Resumed, Until::Time));
        Self { file, paused, length_ms, ends_ms: None, lag_ms: 0 }
    }

    /// Uploads begin so long after the hours do, which many boxes have in common; less than a minute.
    pub fn open_later(&mut self, lag: Duration) {
        self.lag_ms = i64::try_from(lag.as_millis()).unwrap_or(0).min(MINUTE_MS - 1);
    }

    /// Pauses.
    ///
    /// # Errors
    /// The pause could not be stored; it holds until the agent ends.
    pub fn pause(&mut self, until: Until, now: Now) -> io::Result<()> {
        (self.paused, self.length_ms) = (Some(until), None);
        self.ends_ms = match until {
            Until::Resumed => None,
            Until::Time(time) => Some(now.steady_ms.saturating_add(time.saturating_sub(now.wall_ms))),
        };
        let text = match until {
            Until::Resumed => "until resumed\n".to_owned(),
            Until::Time(time) => format!("{time} {}\n", time.saturating_sub(now.wall_ms)),
        };
        durable::replace(&self.file, text.as_bytes(), 0o600)
    }

    /// Ends the pause.
    ///
    /// # Errors
    /// The stored pause could not be removed; it is back after a restart.
    pub fn resume(&mut self) -> io::Result<()> {
        (self.paused, self.ends_ms) = (None, None);
        durable::remove(&self.file)
    }

    /// Whether uploads may run now.
    pub fn is_open(&mut self, hours: &[Hours], now: Now) -> Open {
        if let (Some(Until::Time(time)), Some(length_ms)) = (self.paused, self.length_ms.take())
            && time.saturating_sub(now.wall_ms) > length_ms
        {
            // Begun by a clock that was ahead: it must not last until the years are over that it was wrong by.
            self.ends_ms = Some(now.steady_ms.saturating_add(length_ms));
        }
        let by_now = |ends_ms: i64| now.wall_ms.saturating_add(ends_ms.saturating_sub(now.steady_ms));
        let paused = match (self.paused, self.ends_ms) {
            (Some(Until::Time(_)), Some(ends_ms)) => Some(Until::Time(by_now(ends_ms))),
            (paused, _) => paused,
        };
        match paused {
            Some(Until::Resumed) => return Open::No("paused; go on with: xpand resume".into(), None),
            Some(Until::Time(time)) if now.wall_ms < time => {
                let words = format!("paused until {}; go on now with: xpand resume", clock_time(time));
                return Open::No(words, Some(time));
            }
            Some(Until::Time(_)) => {
                if let Err(error) = self.resume() {
                    tracing::warn!("cannot remove {}: {error}", self.file.display());
                }
            }
            None => {}
        }
        with_lag(hours, now.wall_ms, self.lag_ms, &TimeZone::system())
    }
}

/// As [`in_hours`], and closed for the first `lag_ms` of them.
fn with_lag(hours: &[Hours], now_ms: i64, lag_ms: i64, zone: &TimeZone) -> Open {
    match (in_hours(hours, now_ms, zone), in_hours(hours, now_ms - lag_ms, zone)) {
        (Open::Yes(_), Open::No(words, Some(at))) => Open::No(words, Some(at + lag_ms)),
        (open, _) => open,
    }
}

/// Whether `now_ms` is within `hours` (none: always), and until when that stays so.
fn in_hours(hours: &[Hours], now_ms: i64, zone: &TimeZone) -> Open {
    if hours.is_empty() {
        return Open::Yes(None);
    }
    let inside = |minute: u16| hours.iter().any(|span| span.contains(minute));
    let minute_of = |ms: i64| {
        let time = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(zone.clone());
        u16::try_from(i32::from(time.hour()) * 60 + i32::from(time.minute())).unwrap_or(0)
    };
    let now = inside(minute_of(now_ms));
    // Minute by minute through the next day, by the zone's own clock: an hour that is skipped or comes
    // twice in a night is then what the wall clock shows.
    let start = now_ms.div_euclid(MINUTE_MS) * MINUTE_MS;
    let change =
        (1..=25 * 60).map(|minute| start + minute * MINUTE_MS).find(|&at| inside(minute_of(at)) != now);
    match (now, change) {
        (true, change) => Open::Yes(change),
        (false, Some(at)) => {
            Open::No(format!("outside upload.hours; goes on at {}", clock_time(at)), Some(at))
        }
        (false, None) => Open::No("outside upload.hours".into(), Some(now_ms + 3_600_000)),
    }
}

/// A time as a person reads it: `14:30` today, with the date else.
fn clock_time(ms: i64) -> String {
    let zone = TimeZone::system();
    let time = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(zone);
    time.strftime("%Y-%m-%d %H:%M").to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn at(text: &str, zone: &TimeZone) -> i64 {
        let time: jiff::civil::DateTime = text.parse().unwrap();
        time.to_zoned(zone.clone()).unwrap().timestamp().as_millisecond()
    }

    #[test]
    fn hours_that_span_midnight_open_in_the_evening_and_close_in_the_morning() {
        let utc = TimeZone::UTC;
        let hours = [Hours { from: 23 * 60, to: 6 * 60 }];
        let evening = at("2026-11-21T23:30", &utc);
        assert_eq!(in_hours(&hours, evening, &utc), Open::Yes(Some(evening + 6 * HOUR + HOUR / 2)));
        let noon = at("2026-11-21T12:00", &utc);
        let Open::No(words, Some(opens)) = in_hours(&hours, noon, &utc) else { panic!("open at noon") };
        assert_eq!(opens, at("2026-11-21T23:00", &utc));
        assert!(words.starts_with("outside upload.hours; goes on at 2026-11-2"), "{words}");
    }

    #[test]
    fn a_box_opens_at_its_place_in_the_first_minute_and_closes_with_all_others_on_the_second() {
        let utc = TimeZone::UTC;
        let hours = [Hours { from: 60, to: 6 * 60 }];
        let (one, six, lag) = (at("2026-11-21T01:00", &utc), at("2026-11-21T06:00", &utc), 20_000);
        let is_open = |now| with_lag(&hours, now, lag, &utc);
        for now in [one - HOUR, one - 1] {
            assert!(matches!(is_open(now), Open::No(_, Some(until)) if until == one), "{now}");
        }
        for now in [one, one + lag - 1] {
            assert!(matches!(is_open(now), Open::No(_, Some(until)) if until == one + lag), "{now}");
        }
        for now in [one + lag, one + 60_000, six - 1] {
            assert_eq!(is_open(now), Open::Yes(Some(six)), "{now}");
        }
        assert!(matches!(is_open(six), Open::No(..)));
        let mut gate = Gate::open(Path::new("/nonexistent"));
        gate.open_later(Duration::from_secs(20));
        assert_eq!(gate.is_open(&[], now(0)), Open::Yes(None));
    }

    #[test]
    fn without_hours_it_is_always_open() {
        assert_eq!(in_hours(&[], 0, &TimeZone::UTC), Open::Yes(None));
    }

    /// A moment at which both clocks agree.
    fn now(ms: i64) -> Now {
        Now { wall_ms: ms, steady_ms: ms }
    }

    #[test]
    fn a_pause_survives_a_restart_and_ends_by_itself_when_it_has_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let mut gate = Gate::open(folder.path());
        assert_eq!(gate.is_open(&[], now(0)), Open::Yes(None));
        gate.pause(Until::Time(1000), now(0)).unwrap();
        let mut gate = Gate::open(folder.path());
        assert!(matches!(gate.is_open(&[], now(999)), Open::No(_, Some(1000))));
        assert_eq!(gate.is_open(&[], now(1000)), Open::Yes(None));
        gate.pause(Until::Resumed, now(0)).unwrap();
        let mut gate = Gate::open(folder.path());
        assert!(matches!(gate.is_open(&[], now(i64::MAX)), Open::No(_, None)));
        gate.resume().unwrap();
        assert_eq!(Gate::open(folder.path()).is_open(&[], now(0)), Open::Yes(None));
    }

    #[test]
    fn a_pause_begun_by_a_clock_that_was_ahead_is_no_longer_after_a_restart_than_it_was_meant_to_be() {
        let folder = tempfile::tempdir().unwrap();
        let wrong = 10 * 365 * 24 * HOUR;
        Gate::open(folder.path()).pause(Until::Time(wrong + 2 * HOUR), now(wrong)).unwrap();
        let mut gate = Gate::open(folder.path());
        let at = |ms| Now { wall_ms: HOUR + ms, steady_ms: ms };
        assert!(matches!(gate.is_open(&[], at(0)), Open::No(_, Some(until)) if until == 3 * HOUR));
        assert!(matches!(gate.is_open(&[], at(2 * HOUR - 1)), Open::No(..)));
        assert_eq!(gate.is_open(&[], at(2 * HOUR)), Open::Yes(None));
        assert!(!folder.path().join("paused").exists());
        // One of an earlier version says no more than its end.
        std::fs::write(folder.path().join("paused"), "1000\n").unwrap();
        assert!(matches!(Gate::open(folder.path()).is_open(&[], now(999)), Open::No(_, Some(1000))));
    }

    #[test]
    fn a_clock_that_is_set_neither_shortens_nor_prolongs_a_pause() {
        const YEARS: i64 = 10 * 365 * 24 * HOUR;
        let folder = tempfile::tempdir().unwrap();
        for jump in [YEARS, -YEARS] {
            let mut gate = Gate::open(folder.path());
            let begun = 2 * YEARS;
            gate.pause(Until::Time(begun + 2 * HOUR), Now { wall_ms: begun, steady_ms: 5 }).unwrap();
            let later = |steady_ms: i64| Now { wall_ms: begun + jump + steady_ms, steady_ms };
            let ends = begun + jump + 2 * HOUR + 5;
            assert!(matches!(gate.is_open(&[], later(HOUR)), Open::No(_, Some(until)) if until == ends));
            assert_eq!(gate.is_open(&[], later(2 * HOUR + 5)), Open::Yes(None));
        }
    }

    /// In 2026 Berlin's clocks skip 02:00 to 03:00 on March 29th and have it twice on October 25th.
    #[test]
    fn on_the_nights_when_the_clocks_change_the_hours_are_those_that_the_wall_clock_shows() {
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let hours = |from: u16, to: u16| [Hours { from: from * 60, to: to * 60 }];
        // Five hours by the wall clock are four in the one night, and six in the other.
        let midnight = at("2026-03-29T00:00", &berlin);
        let Open::No(_, Some(opens)) = in_hours(&hours(1, 6), midnight, &berlin) else { panic!("open") };
        assert_eq!(opens, midnight + HOUR);
        assert_eq!(in_hours(&hours(1, 6), opens, &berlin), Open::Yes(Some(opens + 4 * HOUR)));
        let one = at("2026-10-25T01:00", &berlin);
        assert_eq!(in_hours(&hours(1, 6), one, &berlin), Open::Yes(Some(one + 6 * HOUR)));
        // An hour that is skipped does not come that night; it is asked again, and comes the next.
        let half_past_one = midnight + HOUR + HOUR / 2;
        let Open::No(_, Some(asks)) = in_hours(&hours(2, 3), half_past_one, &berlin) else { panic!("open") };
        assert!(asks > half_past_one && asks <= at("2026-03-30T02:00", &berlin), "{asks}");
        assert!(matches!(in_hours(&hours(2, 3), at("2026-03-30T02:00", &berlin), &berlin), Open::Yes(_)));
        // One that comes twice is open both times.
        let two = at("2026-10-25T02:00", &berlin);
        assert_eq!(in_hours(&hours(2, 3), two, &berlin), Open::Yes(Some(two + 2 * HOUR)));
        // Over midnight, in the night that is short.
        let evening = at("2026-03-28T22:00", &berlin);
        assert_eq!(in_hours(&hours(22, 7), evening, &berlin), Open::Yes(Some(evening + 8 * HOUR)));
    }

    #[test]
    fn hours_that_are_all_day_never_close_wherever_the_clock_is() {
        let always = [Hours { from: 0, to: 12 * 60 }, Hours { from: 12 * 60, to: 24 * 60 }];
        for ms in [0, -1_000_000_000_000, 4_102_444_800_000] {
            assert_eq!(in_hours(&always, ms, &TimeZone::UTC), Open::Yes(None), "{ms}");
        }
    }
}
