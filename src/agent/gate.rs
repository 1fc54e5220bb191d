//! When uploads may run: not while the user has paused them, and only in the configured hours.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::Hours;
use crate::durable;

/// The user's pause, kept in `<state_dir>/paused` so that it survives a restart.
#[derive(Debug)]
pub struct Gate {
    file: PathBuf,
    paused: Option<Until>,
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
        let paused = std::fs::read_to_string(&file).ok().map(|text| match text.trim().parse() {
            Ok(time) => Until::Time(time),
            Err(_) => Until::Resumed,
        });
        Self { file, paused }
    }

    /// Pauses.
    ///
    /// # Errors
    /// The pause could not be stored; it holds until the agent ends.
    pub fn pause(&mut self, until: Until) -> io::Result<()> {
        self.paused = Some(until);
        let text = match until {
            Until::Resumed => "until resumed\n".to_owned(),
            Until::Time(time) => format!("{time}\n"),
        };
        durable::replace(&self.file, text.as_bytes(), 0o600)
    }

    /// Ends the pause.
    ///
    /// # Errors
    /// The stored pause could not be removed; it is back after a restart.
    pub fn resume(&mut self) -> io::Result<()> {
        self.paused = None;
        durable::remove(&self.file)
    }

    /// Whether uploads may run at `now_ms`.
    pub fn is_open(&mut self, hours: &[Hours], now_ms: i64) -> Open {
        match self.paused {
            Some(Until::Resumed) => return Open::No("paused; go on with: xpand resume".into(), None),
            Some(Until::Time(time)) if now_ms < time => {
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
        in_hours(hours, now_ms, &TimeZone::system())
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
    let start = now_ms.div_euclid(60_000) * 60_000;
    let change = (1..=25 * 60).map(|minute| start + minute * 60_000).find(|&at| inside(minute_of(at)) != now);
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
    fn without_hours_it_is_always_open() {
        assert_eq!(in_hours(&[], 0, &TimeZone::UTC), Open::Yes(None));
    }

    #[test]
    fn a_pause_survives_a_restart_and_ends_by_itself_when_it_has_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let mut gate = Gate::open(folder.path());
        assert_eq!(gate.is_open(&[], 0), Open::Yes(None));
        gate.pause(Until::Time(1000)).unwrap();
        let mut gate = Gate::open(folder.path());
        assert!(matches!(gate.is_open(&[], 999), Open::No(_, Some(1000))));
        assert_eq!(gate.is_open(&[], 1000), Open::Yes(None));
        gate.pause(Until::Resumed).unwrap();
        let mut gate = Gate::open(folder.path());
        assert!(matches!(gate.is_open(&[], i64::MAX), Open::No(_, None)));
        gate.resume().unwrap();
        assert_eq!(Gate::open(folder.path()).is_open(&[], 0), Open::Yes(None));
    }
}
