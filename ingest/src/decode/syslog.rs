//! The header before a syslog message: RFC 3164 (with and without year, host and tag), RFC 5424 with structured data,
//! Cisco's and Meraki's variants, a bare priority, or nothing.
//!
//! A header is never refused: what is not understood belongs to the message.

use std::ops::Range;

use dataflow::time::DAY_US;

use super::values;

/// What a header says that a message may lack.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header<'a> {
    /// The sender's name or address.
    pub(crate) host: Option<&'a str>,
}

/// Reads the text before a message that was found by other means.
pub(crate) fn header(text: &str) -> Header<'_> {
    let text = text.trim();
    let text = text.strip_prefix('<').and_then(|t| t.split_once('>')).map_or(text, |(_, rest)| rest).trim_start();
    let mut words = text.split_ascii_whitespace();
    if words.next() == Some("1") {
        // RFC 5424: version, time, host, ...
        return Header { host: words.nth(1).filter(|h| *h != "-") };
    }
    // RFC 3164: the last word, since relays put their own header before; a time is no host.
    let host = text.split_ascii_whitespace().next_back();
    Header { host: host.filter(|h| h.bytes().any(|b| b.is_ascii_alphabetic()) || h.matches('.').count() == 3) }
}

/// The kind of a header.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum HeaderKind {
    /// The line is the message.
    #[default]
    None,
    /// `<13>` and nothing else.
    Priority,
    /// `Nov 20 10:00:00 host app[1]: `, with or without its parts; also with a year or an ISO time.
    Rfc3164,
    /// `<13>1 2026-11-20T10:00:00Z host app 1 ID [data] `
    Rfc5424,
    /// `<13>1 1795168800.123 host `
    Meraki,
}

/// A line's header and where its message begins. What is not there is empty.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) kind: HeaderKind,
    /// Facility * 8 + severity, in digits.
    pub(crate) priority: &'a str,
    pub(crate) time: &'a str,
    pub(crate) host: &'a str,
    pub(crate) app: &'a str,
    pub(crate) process: &'a str,
    pub(crate) message_id: &'a str,
    /// RFC 5424's structured data with its brackets: a place in the line.
    pub(crate) data: (usize, usize),
    /// Cisco's `%FACILITY-SEVERITY-MNEMONIC:` at the head of the message.
    pub(crate) facility: &'a str,
    pub(crate) severity: &'a str,
    pub(crate) mnemonic: &'a str,
    /// Where the message begins, after Cisco's mark.
    pub(crate) message: usize,
}

/// Reads a line's header.
pub(crate) fn parse(line: &str) -> Line<'_> {
    let (priority, at) = priority(line);
    let mut found = Line { priority, message: at, ..Line::default() };
    if !priority.is_empty() {
        found.kind = HeaderKind::Priority;
    }
    let rest = &line[at..];
    match rest.strip_prefix("1 ") {
        Some(rest) if rfc5424(line, line.len() - rest.len(), &mut found) => {}
        _ => rfc3164(line, at, &mut found),
    }
    cisco(line, &mut found);
    found
}

/// The digits between `<` and `>`, and the place after them.
fn priority(line: &str) -> (&str, usize) {
    let digits = line.strip_prefix('<').and_then(|t| t.get(..t.len().min(4))).and_then(|t| t.split_once('>'));
    match digits {
        Some((digits, _)) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            let at = digits.len() + 2;
            (digits, at + line[at..].len() - line[at..].trim_start().len())
        }
        _ => ("", 0),
    }
}

/// The word at `at` and the place after it and the spaces that follow.
fn word(line: &str, at: usize) -> (&str, usize) {
    let rest = &line[at..];
    let end = memchr::memchr(b' ', rest.as_bytes()).unwrap_or(rest.len());
    let after = rest[end..].bytes().take_while(|b| *b == b' ').count();
    (&rest[..end], at + end + after)
}

/// Everything after the version; false if it is no such header.
fn rfc5424<'a>(line: &'a str, at: usize, found: &mut Line<'a>) -> bool {
    let (time, next) = time_word(line, at);
    let (host, next) = word(line, next);
    if is_epoch(time) {
        (found.kind, found.time, found.host, found.message) = (HeaderKind::Meraki, time, host, next);
        return true;
    }
    if time != "-" && values::time(time).is_none() {
        return false;
    }
    let (app, next) = word(line, next);
    let (process, next) = word(line, next);
    let (message_id, next) = word(line, next);
    let data = structured_data(line, next);
    let Some(data) = data else { return false };
    let some = |text: &'a str| if text == "-" { "" } else { text };
    (found.kind, found.time, found.host) = (HeaderKind::Rfc5424, some(time), some(host));
    (found.app, found.process, found.message_id) = (some(app), some(process), some(message_id));
    found.data = (data.start, data.end);
    let rest = line[data.end..].trim_start_matches(' ');
    found.message = line.len() - rest.strip_prefix('\u{feff}').unwrap_or(rest).len();
    true
}

/// As [`word`]; a date and a time of day between which a device writes a space are one.
fn time_word(line: &str, at: usize) -> (&str, usize) {
    let (first, next) = word(line, at);
    let (clock, after) = word(line, next);
    let both = line.get(at..next + clock.len()).filter(|both| first.len() == 10 && values::time(both).is_some());
    both.map_or((first, next), |both| (both, after))
}

/// Seconds since 1970 with a fraction.
fn is_epoch(text: &str) -> bool {
    text.split_once('.')
        .is_some_and(|(s, f)| s.len() >= 9 && [s, f].iter().all(|t| t.bytes().all(|b| b.is_ascii_digit())))
}

/// `-`, or one or more elements in brackets.
fn structured_data(line: &str, at: usize) -> Option<Range<usize>> {
    let bytes = line.as_bytes();
    if bytes.get(at) == Some(&b'-') {
        return Some(at..at + 1);
    }
    let mut end = at;
    while bytes.get(end) == Some(&b'[') {
        end = element_end(bytes, end)?;
    }
    (end > at).then_some(at..end)
}

/// The place after the `]` that closes an element; one in quotes closes nothing.
pub(crate) fn element_end(bytes: &[u8], at: usize) -> Option<usize> {
    let (mut i, mut quoted) = (at + 1, false);
    loop {
        i += memchr::memchr3(b'"', b'\\', b']', bytes.get(i..)?)?;
        match bytes[i] {
            b'\\' => i += 1,
            b'"' => quoted = !quoted,
            _ if !quoted => return Some(i + 1),
            _ => {}
        }
        i += 1;
    }
}

/// Time, host and tag, each of which may be missing.
fn rfc3164<'a>(line: &'a str, at: usize, found: &mut Line<'a>) {
    let at = at + usize::from(line[at..].starts_with(':'));
    let Some(end) = time_end(line, at) else { return };
    (found.kind, found.time) = (HeaderKind::Rfc3164, line[at..end].trim_start_matches(['*', '.', ' ']));
    // A colon at the time's end: Cisco names no host.
    let rest = &line[end..];
    let mut next = end + rest.len() - rest.trim_start_matches([':', ' ']).len();
    if !rest.starts_with(':') {
        let (host, after) = word(line, next);
        if is_host(host) {
            (found.host, next) = (host, after);
        }
    }
    next += line[next..].len() - line[next..].trim_start_matches([':', ' ']).len();
    let (tag, after) = word(line, next);
    if let Some((app, process)) = tag_of(tag) {
        (found.app, found.process, next) = (app, process, after);
    }
    found.message = next;
}

/// A name or an address; not a tag, a pair or the head of a message.
fn is_host(word: &str) -> bool {
    let part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':');
    !word.is_empty() && word.len() <= 255 && !word.ends_with(':') && word.bytes().all(part)
}

/// `app[7]:` or `app:`.
fn tag_of(word: &str) -> Option<(&str, &str)> {
    let tag = word.strip_suffix(':')?;
    let part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'/');
    let (app, process) = tag.split_once('[').map_or((tag, ""), |(app, rest)| (app, rest.trim_end_matches(']')));
    (!app.is_empty() && app.len() <= 64 && app.bytes().all(part)).then_some((app, process))
}

/// The end of the time at `at`: `[*]Nov 20 [2026] 10:00:00[.123] [zone]` or an ISO time.
fn time_end(line: &str, at: usize) -> Option<usize> {
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
        digits @ 1..=6 => fraction.parse::<i64>().ok()? * 10_i64.pow(6 - digits as u32),
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
    }
    let in_day = clock_us(clock)?;
    let of = |year: i64| dataflow::time::days_from_civil(year, month, day) * DAY_US + in_day;
    if let Some(year) = year {
        return Some(of(year));
    }
    let latest = received_at.saturating_add(DAY_US);
    let year = 1970 + received_at.div_euclid(DAY_US) * 400 / 146_097;
    [year + 1, year, year - 1].into_iter().map(of).find(|time| *time <= latest)
}

/// `%ASA-6-302013: ` at the head of the message.
fn cisco<'a>(line: &'a str, found: &mut Line<'a>) {
    let Some(rest) = line[found.message..].strip_prefix('%') else { return };
    let Some((mark, _)) = rest.get(..rest.len().min(64)).unwrap_or(rest).split_once(':') else { return };
    let mut parts = mark.rsplitn(3, '-');
    let (Some(mnemonic), Some(severity), Some(facility)) = (parts.next(), parts.next(), parts.next()) else { return };
    if severity.len() == 1 && severity.as_bytes()[0].is_ascii_digit() && !mark.contains(' ') {
        found.facility = facility.split('-').next().unwrap_or(facility);
        (found.severity, found.mnemonic) = (severity, mnemonic);
        let after = &rest[mark.len() + 1..];
        found.message = line.len() - after.trim_start_matches(' ').len();
    }
}

#[cfg(test)]
mod tests;
