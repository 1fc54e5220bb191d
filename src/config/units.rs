//! How durations, sizes, rates and hours are written, read and shown.

use std::fmt::Write as _;
use std::time::Duration;

use super::Hours;

const DURATIONS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1000),
    ("B", 1),
];

/// Digits, perhaps with a decimal point, and the unit behind them.
fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text.split_at(end)
}

/// `10s`, `1h30m`, `2d`, `500ms`.
///
/// # Errors
/// What is wrong with it, in words.
pub fn duration(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("a duration is needed".to_owned());
    }
    let mut sum: u64 = 0;
    while !rest.is_empty() {
        let (digits, tail) = split(rest);
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let number: u64 = digits.parse().map_err(|_| format!("{text:?} is not a duration"))?;
        let unit = unit.trim();
        let Some((_, millis)) = DURATIONS.iter().find(|(name, _)| *name == unit) else {
            return Err(if unit.is_empty() {
                format!("{text:?} has no unit (ms, s, m, h, d)")
            } else {
                format!("{unit:?} is not a unit of time (ms, s, m, h, d)")
            });
        };
        sum = number
            .checked_mul(*millis)
            .and_then(|part| sum.checked_add(part))
            .ok_or_else(|| format!("{text:?} is too long"))?;
        rest = tail.trim_start();
    }
    Ok(Duration::from_millis(sum))
}

/// As [`duration`] reads it: `1h30m`.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, millis) in DURATIONS {
        if rest >= millis {
            let _ = write!(text, "{}{unit}", rest / millis);
            rest %= millis;
        }
    }
    text
}

/// `1B`, `2MiB`, `1.5GiB`, `20 GB`. Bytes.
///
/// # Errors
/// What is wrong with it, in words.
pub fn size(text: &str) -> Result<u64, String> {
    let (digits, unit) = split(text.trim());
    let unit = unit.trim();
    let wrong = || format!("{text:?} is not a size");
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    if unit.is_empty() {
        return Err(format!("{text:?} has no unit (B, KiB, MiB, GiB, TiB)"));
    }
    let Some((_, factor)) = SIZES.iter().find(|(name, _)| *name == unit) else {
        return Err(format!("{unit:?} is not a unit of size (B, KiB, MiB, GiB, TiB)"));
    };
    let mut bytes = whole.checked_mul(*factor);
    if !fraction.is_empty() || digits.ends_with('.') {
        let parts: u64 = fraction.parse().map_err(|_| wrong())?;
        let scale = u32::try_from(fraction.len())
            .ok()
            .and_then(|digits| 10u64.checked_pow(digits))
            .ok_or_else(wrong)?;
        let part = u128::from(parts) * u128::from(*factor) / u128::from(scale);
        bytes = bytes.and_then(|sum| sum.checked_add(u64::try_from(part).ok()?));
    }
    bytes.ok_or_else(|| format!("{text:?} is too large"))
}

/// As [`size`] reads it, exactly: `20GiB`, `1234B`.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    SIZES
        .iter()
        .find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor))
        .map_or_else(|| format!("{bytes}B"), |(unit, factor)| format!("{}{unit}", bytes / factor))
}

/// `2MiB/s`. Bytes a second, at least 1.
///
/// # Errors
/// What is wrong with it, in words.
pub fn rate(text: &str) -> Result<u64, String> {
    let Some(amount) = text.trim().strip_suffix("/s") else {
        return Err(format!("{text:?} is not a size a second"));
    };
    match size(amount) {
        Ok(0) => Err("a rate of 0 would send nothing".to_owned()),
        other => other,
    }
}

/// `01:00-06:00`; `22:00-06:00` spans midnight, `24:00` ends the day.
///
/// # Errors
/// What is wrong with it, in words.
pub fn hours(text: &str) -> Result<Hours, String> {
    let wrong = || format!("{text:?} is not a span of the day");
    let (from, to) = text.split_once('-').ok_or_else(wrong)?;
    let minute = |time: &str| -> Option<u16> {
        let (hour, minute) = time.trim().split_once(':')?;
        if minute.len() != 2 {
            return None;
        }
        let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
        (minute < 60 && (hour < 24 || (hour == 24 && minute == 0))).then_some(hour * 60 + minute)
    };
    let (from, to) = (minute(from).ok_or_else(wrong)?, minute(to).ok_or_else(wrong)?);
    if from == 1440 || from == to {
        return Err(format!("{text:?} is an empty span of the day"));
    }
    Ok(Hours { from, to })
}

/// As [`hours`] reads it.
#[must_use]
pub fn show_hours(span: Hours) -> String {
    let Hours { from, to } = span;
    let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    format!("{}-{}", time(from), time(to))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_back_what_they_print() {
        for (text, millis) in [
            ("0s", 0),
            ("500ms", 500),
            ("5s", 5000),
            ("1h", 3_600_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
            assert_eq!(show_duration(Duration::from_millis(millis)), text);
        }
        for (junk, words) in [
            ("", "a duration is needed"),
            ("5", "\"5\" has no unit (ms, s, m, h, d)"),
            ("s", "\"s\" is not a duration"),
            ("1.5h", "\"1.5h\" is not a duration"),
            ("-5s", "\"-5s\" is not a duration"),
            ("5 weeks", "\"weeks\" is not a unit of time (ms, s, m, h, d)"),
            ("99999999999999999d", "\"99999999999999999d\" is too long"),
        ] {
            assert_eq!(duration(junk), Err(words.to_owned()));
        }
    }

    #[test]
    fn sizes_read_back_what_they_print() {
        for (text, bytes) in [
            ("0B", 0),
            ("1B", 1),
            ("2MiB", 2 << 20),
            ("20GiB", 20 << 30),
            ("3MB", 3_000_000),
            ("1025B", 1025),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
            assert_eq!(show_size(bytes), text);
        }
        assert_eq!(size("1.5GiB"), Ok(3 << 29));
        assert_eq!(size("20 GB"), Ok(20_000_000_000));
        for (junk, words) in [
            ("5", "\"5\" has no unit (B, KiB, MiB, GiB, TiB)"),
            ("", "\"\" is not a size"),
            ("1.MiB", "\"1.MiB\" is not a size"),
            ("2mib", "\"mib\" is not a unit of size (B, KiB, MiB, GiB, TiB)"),
            ("99999999TiB", "\"99999999TiB\" is too large"),
        ] {
            assert_eq!(size(junk), Err(words.to_owned()));
        }
    }

    #[test]
    fn a_rate_is_a_size_a_second() {
        assert_eq!(rate("2MiB/s"), Ok(2 << 20));
        assert_eq!(rate("2MiB"), Err("\"2MiB\" is not a size a second".to_owned()));
        assert_eq!(rate("0B/s"), Err("a rate of 0 would send nothing".to_owned()));
    }

    #[test]
    fn hours_may_span_midnight() {
        assert_eq!(hours("01:00-06:00"), Ok(Hours { from: 60, to: 360 }));
        assert_eq!(hours("22:30-6:05"), Ok(Hours { from: 1350, to: 365 }));
        assert_eq!(hours("00:00-24:00"), Ok(Hours { from: 0, to: 1440 }));
        assert_eq!(show_hours(Hours { from: 1350, to: 365 }), "22:30-06:05");
        for junk in ["1-6", "01:00", "25:00-26:00", "01:60-02:00", "24:01-02:00"] {
            assert_eq!(hours(junk), Err(format!("{junk:?} is not a span of the day")));
        }
        assert_eq!(hours("01:00-01:00"), Err("\"01:00-01:00\" is an empty span of the day".to_owned()));
    }
}
