//! How a mapping's times are read.

use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;

use crate::decode::{syslog, values};

use super::step::Source;

/// A time in one field, or in several that are joined by a space.
#[derive(Debug)]
pub(super) struct TimeSpec {
    pub(super) from: Vec<Source>,
    pub(super) unit: Unit,
    pub(super) zone: Zone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// ISO 8601, a syslog header's time, or a number since 1970 by its digits.
    Auto,
    /// A number since 1970: how many of it are a second.
    PerSecond(i64),
    /// By a format of strptime.
    Format(&'static str),
}

/// The zone of a time that says none.
#[derive(Debug)]
pub(super) enum Zone {
    /// Seconds east of UTC.
    Fixed(i64),
    Field(Source),
}

impl Unit {
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "auto" | "rfc3339" => Self::Auto,
            "s" => Self::PerSecond(1),
            "ms" => Self::PerSecond(1_000),
            "us" => Self::PerSecond(1_000_000),
            "ns" => Self::PerSecond(1_000_000_000),
            _ => return None,
        })
    }

    /// Microseconds UTC of a text whose zone, if it says none, is that many seconds east.
    pub(super) fn read(self, text: &str, zone: i64, received_at: i64) -> Option<i64> {
        let time = match self {
            Self::Auto => values::time(text).or_else(|| syslog::time(text, received_at)),
            Self::PerSecond(1) => values::decimal_micros(text),
            Self::PerSecond(n) => {
                let number = values::integer(text).filter(|n| *n >= 0)?;
                if n <= 1_000_000 { number.checked_mul(1_000_000 / n) } else { Some(number / (n / 1_000_000)) }
            }
            Self::Format(format) => return formatted(format, text, zone, received_at),
        };
        time?.checked_sub(zone * 1_000_000)
    }
}

/// A year that the format lacks is the receive time's, or the one before it if that would be more than a day ahead.
fn formatted(format: &str, text: &str, zone: i64, received_at: i64) -> Option<i64> {
    let mut time = BrokenDownTime::parse(format, text).ok()?;
    let of_year = |time: &BrokenDownTime| {
        if time.offset().is_some() || time.timestamp().is_some() {
            return time.to_timestamp().ok().map(|t| t.as_microsecond());
        }
        let utc = time.to_datetime().ok()?.to_zoned(TimeZone::UTC).ok()?;
        utc.timestamp().as_microsecond().checked_sub(zone * 1_000_000)
    };
    if time.year().is_some() || time.timestamp().is_some() {
        return of_year(&time);
    }
    let year = i16::try_from(1970 + received_at.div_euclid(dataflow::time::DAY_US) * 400 / 146_097).ok()?;
    time.set_year(Some(year)).ok()?;
    let found = of_year(&time).filter(|t| *t <= received_at.saturating_add(dataflow::time::DAY_US));
    found.or_else(|| {
        time.set_year(Some(year - 1)).ok()?;
        of_year(&time)
    })
}

/// Seconds east of UTC: `+0100`, `-08:00`, `UTC+1`, `GMT`, `Z`, `(GMT-8:00)Pacific Time`.
pub(super) fn zone_seconds(text: &str) -> Option<i64> {
    if let &[sign @ (b'+' | b'-'), h1 @ b'0'..=b'1', h2 @ b'0'..=b'9', m1 @ b'0'..=b'5', m2 @ b'0'..=b'9'] =
        text.as_bytes()
    {
        let two = |tens: u8, ones: u8| i64::from(tens - b'0') * 10 + i64::from(ones - b'0');
        let (hours, minutes) = (two(h1, h2), two(m1, m2));
        let seconds = hours * 3600 + minutes * 60;
        return (hours <= 15).then_some(if sign == b'-' { -seconds } else { seconds });
    }
    let text = text.trim().trim_start_matches(['(', '"']);
    let text = text.split([')', '"']).next().unwrap_or(text);
    let text = text.strip_prefix("UTC").or_else(|| text.strip_prefix("GMT")).unwrap_or(text);
    let (sign, digits) = match text.as_bytes().first() {
        None | Some(b'Z') => return Some(0),
        Some(b'+') => (1, &text[1..]),
        Some(b'-') => (-1, &text[1..]),
        _ => return None,
    };
    let number = |text: &str| text.parse::<i64>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    let (hours, minutes) = match (digits.split_once(':'), digits.len()) {
        (Some((hours, minutes)), _) => (number(hours)?, number(minutes)?),
        (None, 1 | 2) => (number(digits)?, 0),
        (None, 3 | 4) => (number(digits)? / 100, number(digits)? % 100),
        _ => return None,
    };
    (hours <= 15 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECEIVED: i64 = 1_795_168_800_000_000;

    fn iso(text: &str) -> Option<i64> {
        values::time(text)
    }

    #[test]
    fn units_and_zones() {
        let same = iso("2026-11-20T09:59:58.5Z");
        for (unit, text, zone) in [
            ("auto", "2026-11-20T10:59:58.5+01:00", 0),
            ("auto", "2026-11-20 10:59:58.5", 3600),
            ("auto", "1795168798.5", 0),
            ("auto", "1795168798500000000", 0),
            ("auto", "Nov 20 09:59:58.5", 0),
            ("s", "1795168798.500", 0),
            ("ms", "1795168798500", 0),
            ("us", "1795168798500000", 0),
            ("ns", "1795168798500000999", 0),
        ] {
            assert_eq!(Unit::parse(unit).and_then(|u| u.read(text, zone, RECEIVED)), same, "{unit} {text}");
        }
        assert_eq!(Unit::parse("ns").and_then(|u| u.read("soon", 0, RECEIVED)), None);
        assert_eq!(Unit::parse("h"), None);
    }

    #[test]
    fn formats_with_and_without_year_and_zone() {
        for (format, text, zone, want) in [
            ("%d/%b/%Y:%H:%M:%S %z", "20/Nov/2026:10:59:58 +0100", 0, "2026-11-20T09:59:58Z"),
            ("%Y %b %d %H:%M:%S", "2026 Nov 20 10:59:58", 3600, "2026-11-20T09:59:58Z"),
            ("%d%b %H:%M:%S", "20Nov 09:59:58", 0, "2026-11-20T09:59:58Z"),
            ("%d%b %H:%M:%S", "20Dec 09:59:58", 0, "2025-12-20T09:59:58Z"),
        ] {
            assert_eq!(Unit::Format(format).read(text, zone, RECEIVED), iso(want), "{text}");
        }
        assert_eq!(Unit::Format("%Y").read("x", 0, RECEIVED), None);
    }

    #[test]
    fn zones_as_devices_write_them() {
        for (text, want) in [
            ("+0100", Some(3600)),
            ("-08:30", Some(-30_600)),
            ("UTC+1:00", Some(3600)),
            ("GMT", Some(0)),
            ("\"-0800\"", Some(-28_800)),
            ("(GMT-8:00)Pacific Time(US)", Some(-28_800)),
            ("+2", Some(7200)),
            ("CET", None),
            ("+99", None),
        ] {
            assert_eq!(zone_seconds(text), want, "{text}");
        }
    }
}
