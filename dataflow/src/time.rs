//! Microseconds UTC to text.

/// Microseconds in a day.
pub const DAY_US: i64 = 86_400_000_000;

/// First and last microsecond that every reader of the tables can hold: 1970-01-01 to 2261-12-31 (nanoseconds in 64 bits).
pub const RANGE_US: std::ops::RangeInclusive<i64> = 0..=9_214_646_399_999_999;

/// Appends `2026-11-20T10:00:00.123456Z` (RFC 3339, always six digits).
pub fn push_rfc3339(out: &mut String, us: i64) {
    let (days, rest) = (us.div_euclid(DAY_US), us.rem_euclid(DAY_US));
    let (year, month, day) = civil(days);
    let (seconds, micros) = (rest / 1_000_000, rest % 1_000_000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    use std::fmt::Write;
    let _ = write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z");
}

/// [`push_rfc3339`] into a new string.
pub fn rfc3339(us: i64) -> String {
    let mut out = String::with_capacity(27);
    push_rfc3339(&mut out, us);
    out
}

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar.
#[inline]
pub fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    // A thousand eras of 400 years later every year is positive, and divisions cost less.
    const ERAS: i64 = 1_000;
    let y = (year - i64::from(month <= 2) + 400 * ERAS) as u64;
    let doy = (153 * ((month as u64 + 9) % 12) + 2) / 5;
    (y * 365 + y / 4 - y / 100 + y / 400 + doy) as i64 + day - 1 - 719_468 - 146_097 * ERAS
}

/// Year, month and day of a number of days since 1970-01-01.
pub fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_times() {
        for (us, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_827_696_000_001, "2000-02-29T12:34:56.000001Z"),
            (1_795_169_045_123_456, "2026-11-20T10:04:05.123456Z"),
            (*RANGE_US.end(), "2261-12-31T23:59:59.999999Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(rfc3339(us), text);
        }
    }

    #[test]
    fn days_and_dates_agree() {
        for days in (-800_000..800_000).step_by(37) {
            let (y, m, d) = civil(days);
            assert_eq!(days_from_civil(y, m, d), days);
        }
    }
}
