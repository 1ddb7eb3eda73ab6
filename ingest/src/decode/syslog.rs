//! The header before a syslog message: RFC 3164 (with and without year, host and tag), RFC 5424 with structured data,
//! Cisco's and Meraki's variants, the time of a log file's line, a bare priority, or nothing.
//!
//! A relay may put its own header before the sender's: the sender's is the one that counts. A header is never refused: what
//! is not understood belongs to the message.

mod clock;
mod mark;

use std::ops::Range;

use super::values;

pub(crate) use clock::time;
use clock::{calendar_end, time_end, year_len};
use mark::cisco;

/// What a header says that a message may lack.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header<'a> {
    /// The sender's name or address.
    pub(crate) host: Option<&'a str>,
}

/// Reads the text before the message. It is never refused: what is not understood says nothing. Of several headers, which
/// relays put before each other, the last counts.
pub(crate) fn header(text: &str) -> Header<'_> {
    let host = usual_host(text).unwrap_or_else(|| any_host(text));
    Header { host: host.filter(|host| is_sender(host)) }
}

/// The host of `<priority>Nov 20 10:00:00 host `, as nearly every device writes it. None of another header.
fn usual_host(text: &str) -> Option<Option<&str>> {
    let text = text.strip_prefix('<')?.strip_suffix(' ')?;
    let (priority, rest) = text.as_bytes().split_at(text.bytes().take(4).position(|b| b == b'>')?);
    let (time, host) = rest.split_first_chunk::<17>()?;
    let [_, m1, m2, m3, b' ', d1, d2, b' ', clock @ .., b' '] = time else { return None };
    let is_date = [m1, m2, m3].iter().all(|b| b.is_ascii_alphabetic()) && (*d1 == b' ' || d1.is_ascii_digit());
    let is_usual = is_date && d2.is_ascii_digit() && is_clock(clock) && priority.iter().all(u8::is_ascii_digit);
    let is_word = !host.is_empty() && host.iter().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>'));
    let host = text.get(text.len() - host.len()..)?;
    (is_usual && is_word).then(|| Some(host).filter(|host| !is_time(host)))
}

fn any_host(text: &str) -> Option<&str> {
    let text = last_header(text.trim());
    let mut words = text.split_ascii_whitespace();
    if words.next() == Some("1") {
        // RFC 5424: version, time, host, ...
        words.nth(1)
    } else {
        after_time(text)
    }
}

/// RFC 3164: the word after the last time; without a time the last word.
fn after_time(text: &str) -> Option<&str> {
    let mut words = text.split_ascii_whitespace().rev();
    let last = words.next()?;
    if is_time(last) {
        return None;
    }
    let mut after = last;
    for word in words {
        if is_time(word) {
            return Some(after);
        }
        after = word;
    }
    Some(last)
}

/// `hh:mm:ss`, or an ISO 8601 time.
fn is_time(word: &str) -> bool {
    is_clock(word.get(11..).filter(|_| word.as_bytes()[10] == b'T').unwrap_or(word).as_bytes())
}

/// True if the text begins with `hh:mm:ss`.
fn is_clock(text: &[u8]) -> bool {
    matches!(text, [h1, h2, b':', m1, m2, b':', s1, s2, ..] if [h1, h2, m1, m2, s1, s2].iter().all(|b| b.is_ascii_digit()))
}

/// What follows the last `<priority>`; the whole text without one.
fn last_header(text: &str) -> &str {
    let after = text.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>'));
    after
        .filter(|(priority, _)| priority.bytes().all(|b| b.is_ascii_digit()))
        .map_or(text, |(_, rest)| rest)
        .trim_start()
}

/// A name or an address, not what is left of a time.
fn is_sender(word: &str) -> bool {
    let is_address = || word.matches('.').count() == 3 || word.contains(':');
    (word.bytes().any(|b| b.is_ascii_alphabetic()) || is_address()) && !word.starts_with('<')
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
    /// `<13>1 1795168800.123 host flows `: the kind of event stands where an app would.
    Meraki,
    /// `2026-11-20 10:00:00 ` or `Fri Nov 20 10:00:00 2026 `: a line of a log file, which names neither host nor app.
    File,
}

impl HeaderKind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Priority => "priority",
            Self::Rfc3164 => "rfc3164",
            Self::Rfc5424 => "rfc5424",
            Self::Meraki => "meraki",
            Self::File => "file",
        }
    }
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
    if !versioned(line, at, &mut found) && !of_file(line, at, &mut found) {
        rfc3164(line, at, &mut found);
        relayed(line, &mut found);
    }
    cisco(line, &mut found);
    found
}

/// A header that begins with its version, which Meraki's may lack; false if it is none.
fn versioned<'a>(line: &'a str, at: usize, found: &mut Line<'a>) -> bool {
    if line[at..].starts_with("1 ") {
        return rfc5424(line, at + 2, found);
    }
    let (time, host) = word(line, at);
    is_precise_epoch(time) && is_event_kind(word(line, word(line, host).1).0) && rfc5424(line, at, found)
}

/// The sender's header behind a relay's.
fn relayed<'a>(line: &'a str, found: &mut Line<'a>) {
    let at = found.message;
    if found.host.is_empty() || !found.app.is_empty() || versioned(line, at, found) {
        return;
    }
    if time_end(line, at).is_some() {
        rfc3164(line, at, found);
    }
}

/// The time that a log file's line begins with; false if it is none.
fn of_file<'a>(line: &'a str, at: usize, found: &mut Line<'a>) -> bool {
    let text = &line[at..];
    let range = match text.as_bytes() {
        [_, _, _, _, b'-', ..] => calendar_end(text).map(|end| at..at + end),
        [_, _, _, b' ', ..] if DAYS.iter().any(|day| text.starts_with(day)) => {
            let end = time_end(line, at + 4);
            end.and_then(|end| Some(at + 4..end + 1 + year_len(line.get(end + 1..)?)?))
        }
        _ => None,
    };
    let Some(range) = range else { return false };
    (found.kind, found.time) = (HeaderKind::File, &line[range.clone()]);
    found.message = line.len() - line[range.end..].trim_start_matches(' ').len();
    true
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

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
        let (app, after) = word(line, next);
        if is_event_kind(app) {
            (found.app, found.message) = (app, after);
        }
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

/// Seconds since 1970, mostly with a fraction. RFC 5424 has no such time.
fn is_epoch(text: &str) -> bool {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    seconds.len() >= 4 && [seconds, fraction].iter().all(|t| t.bytes().all(|b| b.is_ascii_digit()))
}

/// As [`is_epoch`], of a time of our days with its fraction: no other number that a line begins with looks so.
fn is_precise_epoch(text: &str) -> bool {
    text.len() > 11 && text.as_bytes()[10] == b'.' && is_epoch(text)
}

/// `flows`, `ids-alerts`, `security_event`.
fn is_event_kind(word: &str) -> bool {
    let part = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
    !word.is_empty() && word.len() <= 64 && word.bytes().all(part)
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
    let Some((at, end)) = numbered(line, at, found).or_else(|| Some((at, time_end(line, at)?))) else { return };
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

/// Where the time begins and ends behind Cisco's number of the message and the host that it may name: `4711: sw1: Nov 20 …`.
fn numbered<'a>(line: &'a str, at: usize, found: &mut Line<'a>) -> Option<(usize, usize)> {
    let digits = line[at..].bytes().take_while(u8::is_ascii_digit).count();
    let at = at + digits + line[at + digits..].strip_prefix(": ").filter(|_| digits > 0).map(|_| 2)?;
    if let Some(end) = time_end(line, at) {
        return Some((at, end));
    }
    let (host, next) = word(line, at);
    let (host, end) = (host.strip_suffix(':').filter(|host| is_host(host))?, time_end(line, next)?);
    found.host = host;
    Some((next, end))
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

#[cfg(test)]
mod tests;
