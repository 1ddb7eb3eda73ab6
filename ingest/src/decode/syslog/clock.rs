//! Times as headers write them: where one ends, and what it means.
//!
//! Absent: the system's clock. A year that is missing follows from the receive time, which is given.

use std::ops::Range;

use dataflow::time::DAY_US;

use super::word;
use crate::decode::values;

/// The end of the time at `at`: `[*]Nov 20 [2026] 10:00:00[.123] [zone]` or an ISO time.
pub(super) fn time_end(line: &str, at: usize) -> Option<usize> {
    let text = line[at..].trim_start_matches(['*', '.', ' ']);
    let start = line.len() - text.len();
    if text.as_bytes().get(4) == Some(&b'-') {
        let (first, _) = word(line, start);
        let first = first.strip_suffix(':').unwrap_or(first);
        return values::time(first).map(|_| start + first.len());
    }
    month(text)?;
    let mut end = start + 3;
    let mut clock = None;
    for _ in 0..3 {
        let next = end + line[end..].len() - line[end..].trim_start_matches(' ').len();
        let (part, _) = word(line, next);
        let part = part.strip_suffix(':').unwrap_or(part);
        end = next + part.len();
        if part.as_bytes().get(2) == Some(&b':') {
            clock = clock_us(part);
            break;
        }
        part.parse::<u16>().ok()?;
    }
    clock?;
    Some(end + zone_len(&line[end..]))
}

/// The length of a zone's name or offset that follows a time (` UTC`, ` +01:00`), before a colon or a space.
fn zone_len(rest: &str) -> usize {
    let Some(text) = rest.strip_prefix(' ') else { return 0 };
    let end = text.find([' ', ':']).unwrap_or(text.len());
    let word = &text[..end];
    let is_name = matches!(word, "UTC" | "GMT" | "Z") || (text[end..].starts_with(": ") && is_zone_name(word));
    if is_name { end + 1 } else { 0 }
}

fn is_zone_name(word: &str) -> bool {
    (3..=5).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_uppercase())
}

/// 1 to 12 by the first three letters.
fn month(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let head = text.get(..3)?;
    (0..).zip(MONTHS).find(|(_, name)| *name == head).map(|(i, _)| i + 1)
}

/// `hh:mm:ss[.fraction]` in microseconds.
fn clock_us(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let part = |range: Range<usize>| clock.get(range).and_then(|t| t.parse::<i64>().ok());
    let (hour, minute, second) = (part(0..2)?, part(3..5)?, part(6..8)?);
    let micros = match fraction.len() {
        0 => 0,
        digits @ 1..=6 => i64::from(fraction.parse::<u32>().ok()?) * 10_i64.pow(6 - digits as u32),
        _ => return None,
    };
    let is_clock =
        clock.len() == 8 && (0..24).contains(&hour) && (0..60).contains(&minute) && (0..61).contains(&second);
    is_clock.then_some(((hour * 60 + minute) * 60 + second) * 1_000_000 + micros)
}

/// Microseconds UTC of a header's time. A year that it lacks is the last one that brings it no more than a day after the
/// receive time; a zone that it lacks is UTC.
pub(crate) fn time(text: &str, received_at: i64) -> Option<i64> {
    let Some(month) = month(text) else { return values::time(text) };
    let mut words = text[3..].split_ascii_whitespace();
    let day: i64 = words.next()?.parse().ok().filter(|d| (1..=31).contains(d))?;
    let mut clock = words.next()?;
    let mut year = None;
    if !clock.contains(':') {
        (year, clock) = (clock.parse::<i64>().ok(), words.next()?);
    } else if let Some(last) = words.next().filter(|word| year_len(word).is_some()) {
        year = last.parse().ok();
    }
    let in_day = clock_us(clock)?;
    let of = |year: i64| dataflow::time::days_from_civil(year, month, day) * DAY_US + in_day;
    if let Some(year) = year {
        return (0..10_000).contains(&year).then(|| of(year));
    }
    let latest = received_at.saturating_add(DAY_US);
    let year = 1970 + received_at.div_euclid(DAY_US) * 400 / 146_097;
    [year + 1, year, year - 1].into_iter().map(of).find(|time| *time <= latest)
}

/// The length of `2026-11-20 10:00:00` with its fraction.
pub(super) fn calendar_end(text: &str) -> Option<usize> {
    let clock = text.get(10..).and_then(|rest| rest.strip_prefix(' '))?;
    let end = 11 + clock.find(' ').unwrap_or(clock.len());
    values::time(&text[..end]).map(|_| end)
}

/// The length of a year that stands alone.
pub(super) fn year_len(text: &str) -> Option<usize> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (digits == 4 && matches!(text.as_bytes().get(4), None | Some(b' '))).then_some(4)
}
