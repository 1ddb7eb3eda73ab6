//! Parts of a time: `minute`, `hour`, `day`, `week`, `month`, `year`, in UTC.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimePart {
    Minute,
    Hour,
    /// Of the month.
    Day,
    /// ISO 8601.
    Week,
    Month,
    Year,
}

/// Seconds since 1970 beyond which a number counts milliseconds: the year 5138.
const SECONDS_MAX: i64 = 100_000_000_000;

impl TimePart {
    pub(super) fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "minute" => Self::Minute,
            "hour" => Self::Hour,
            "day" => Self::Day,
            "week" => Self::Week,
            "month" => Self::Month,
            "year" => Self::Year,
            _ => return None,
        })
    }

    /// The part of a time that is written as RFC 3339, as date and time of UTC, or as a number since 1970.
    pub(super) fn of(self, text: &str) -> Option<i64> {
        let time = time(text)?;
        Some(match self {
            Self::Minute => time.minute().into(),
            Self::Hour => time.hour().into(),
            Self::Day => time.day().into(),
            Self::Week => time.date().iso_week_date().week().into(),
            Self::Month => time.month().into(),
            Self::Year => time.year().into(),
        })
    }
}

fn time(text: &str) -> Option<Zoned> {
    let text = text.trim();
    if let Ok(number) = text.parse::<i64>() {
        let since =
            if number > SECONDS_MAX { Timestamp::from_millisecond(number) } else { Timestamp::from_second(number) };
        return Some(since.ok()?.to_zoned(TimeZone::UTC));
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.to_zoned(TimeZone::UTC));
    }
    text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_times_in_every_spelling() {
        use TimePart::*;
        for (text, part, want) in [
            ("2026-11-20T10:04:05Z", Minute, Some(4)),
            ("2026-11-20T10:04:05.123+02:00", Hour, Some(8)),
            ("2026-11-20 23:04:05", Hour, Some(23)),
            ("2026-11-20T10:04:05", Day, Some(20)),
            ("2027-01-01T00:00:00Z", Week, Some(53)),
            ("1795169045", Month, Some(11)),
            ("1795169045123", Year, Some(2026)),
            ("soon", Year, None),
            ("", Hour, None),
        ] {
            assert_eq!(part.of(text), want, "{part:?} of {text}");
        }
        assert_eq!(TimePart::by_name("week"), Some(Week));
        assert_eq!(TimePart::by_name("second"), None);
    }
}
