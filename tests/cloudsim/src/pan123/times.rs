//! Times as this cloud writes them: UTC+8, in three shapes.

const DAY: u64 = 86_400;

/// Hours that the clocks in China are ahead.
const AHEAD: u64 = 8 * 3600;

/// `2025-03-23T15:48:37+08:00`, as `expiredAt` is.
pub(super) fn rfc3339(secs: u64) -> String {
    let (y, mo, d, h, mi, s) = parts(secs + AHEAD);
    format!("{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}+08:00")
}

/// `2025-03-03 16:38:26`, without a zone.
pub(super) fn stamp(secs: u64) -> String {
    let (y, mo, d, h, mi, s) = parts(secs + AHEAD);
    format!("{y:04}-{mo:02}-{d:02} {h:02}:{mi:02}:{s:02}")
}

/// `20250303T083826Z`: X-Amz-Date, which is UTC.
pub(super) fn amz(secs: u64) -> String {
    let (y, mo, d, h, mi, s) = parts(secs);
    format!("{y:04}{mo:02}{d:02}T{h:02}{mi:02}{s:02}Z")
}

/// [`amz`] back to seconds.
pub(super) fn read_amz(text: &str) -> Option<u64> {
    if text.len() != 16 || !text.is_ascii() || &text[8..9] != "T" || !text.ends_with('Z') {
        return None;
    }
    let number = |from: usize, to: usize| text[from..to].parse::<u64>().ok();
    let days = days(number(0, 4)?, number(4, 6)?, number(6, 8)?)?;
    Some(days * DAY + number(9, 11)? * 3600 + number(11, 13)? * 60 + number(13, 15)?)
}

/// Year, month, day, hour, minute, second of seconds since 1970.
fn parts(secs: u64) -> (u64, u64, u64, u64, u64, u64) {
    let of_day = secs % DAY;
    // Years begin in March, so that the odd day comes last.
    let z = secs / DAY + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + u64::from(month <= 2);
    (year, month, day, of_day / 3600, of_day / 60 % 60, of_day % 60)
}

/// Days since 1970; `None` before that.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = year.checked_sub(u64::from(month <= 2))?;
    let (era, yoe) = (year / 400, year % 400);
    let doy = (153 * ((month + 9) % 12) + 2) / 5 + day.checked_sub(1)?;
    (era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_in_the_documents() {
        assert_eq!(rfc3339(1_742_716_117), "2025-03-23T15:48:37+08:00");
        assert_eq!(stamp(1_740_991_106), "2025-03-03 16:38:26");
        assert_eq!(stamp(1_709_136_000 + 86_400), "2024-03-01 00:00:00");
        for secs in [0, 951_782_400, 1_740_991_106, 1_767_225_599, 4_102_444_800] {
            assert_eq!(read_amz(&amz(secs)), Some(secs), "{}", amz(secs));
        }
        assert_eq!(amz(1_740_991_106), "20250303T083826Z");
        for wrong in ["", "20250303", "2025-03-03T08:38Z", "19691231T235959Z", "20250300T083826Z"] {
            assert_eq!(read_amz(wrong), None, "{wrong}");
        }
    }
}
