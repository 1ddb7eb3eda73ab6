//! Text of one value -> what a column holds. Pure functions; `None` = not such a value.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dataflow::time::{DAY_US, days_from_civil};

/// Microseconds UTC of an ISO 8601 or PAN-OS time (`2026/11/20 10:00:00`), or of a number of seconds, milliseconds or
/// microseconds since 1970. A time without a zone is read as UTC; digits below the microsecond are cut.
pub(crate) fn time(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.get(4).is_some_and(|b| matches!(b, b'-' | b'/')) { calendar_time(bytes) } else { epoch_time(text) }
}

/// By the number of digits: up to 11 are seconds (a fraction may follow), 13 milliseconds, 16 microseconds, 19 nanoseconds.
fn epoch_time(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !whole.bytes().all(|b| b.is_ascii_digit()) || (fraction.is_empty() && text.len() > whole.len()) {
        return None;
    }
    let number = || whole.parse::<i64>().ok();
    match whole.len() {
        1..=11 => Some(number()? * 1_000_000 + micros_of_fraction(fraction.as_bytes())?),
        13 if fraction.is_empty() => Some(number()? * 1_000),
        16 if fraction.is_empty() => number(),
        19 if fraction.is_empty() => Some(number()? / 1_000),
        _ => None,
    }
}

/// `YYYY-MM-DD[T ]hh:mm:ss[.fraction][zone]`, with `/` for `-` too.
fn calendar_time(bytes: &[u8]) -> Option<i64> {
    let (head, rest) = bytes.split_first_chunk::<19>()?;
    let mut worst = 0;
    let mut digit = |at: usize| {
        let digit = head[at].wrapping_sub(b'0');
        worst = worst.max(digit);
        i64::from(digit)
    };
    let year = digit(0) * 1000 + digit(1) * 100 + digit(2) * 10 + digit(3);
    let [month, day, hour, minute, second] = [5, 8, 11, 14, 17].map(|at| digit(at) * 10 + digit(at + 1));
    let marks = head[7] == head[4] && matches!(head[10], b'T' | b't' | b' ') && head[13] == b':' && head[16] == b':';
    let in_range = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    if worst > 9 || !marks || !in_range || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (micros, zone) = match rest.split_first() {
        Some((b'.' | b',', tail)) => {
            let end = tail.iter().position(|b| !b.is_ascii_digit()).unwrap_or(tail.len());
            let (fraction, zone) = tail.split_at(end);
            if fraction.is_empty() {
                return None;
            }
            (micros_of_fraction(fraction)?, zone)
        }
        _ => (0, rest),
    };
    let seconds = hour * 3600 + minute * 60 + second - zone_seconds(zone)?;
    Some(days_from_civil(year, month, day) * DAY_US + seconds * 1_000_000 + micros)
}

fn digits(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Digits after the point, at most 18 of them, as microseconds.
fn micros_of_fraction(fraction: &[u8]) -> Option<i64> {
    if fraction.len() > 18 {
        return None;
    }
    let (kept, cut) = fraction.split_at(fraction.len().min(6));
    digits(cut)?;
    Some(digits(kept)? * 10_i64.pow(6 - kept.len() as u32))
}

/// Seconds east of UTC: nothing, `Z`, `+hh:mm`, `+hhmm`, `+hh`.
fn zone_seconds(zone: &[u8]) -> Option<i64> {
    let (sign, rest) = match zone.split_first() {
        None | Some((b'Z' | b'z', [])) => return Some(0),
        Some((b'+', rest)) => (1, rest),
        Some((b'-', rest)) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match rest {
        [h1, h2] => (digits(&[*h1, *h2])?, 0),
        [h1, h2, b':', m1, m2] | [h1, h2, m1, m2] => (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?),
        _ => return None,
    };
    (hours <= 15 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

/// An address; v4-mapped v6 becomes v4. Zones and ports are not part of an address.
pub(crate) fn ip(text: &str) -> Option<IpAddr> {
    if let Some(v4) = ipv4(text) {
        return Some(IpAddr::V4(v4));
    }
    let v6: Ipv6Addr = text.parse().ok()?;
    Some(v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4))
}

/// Four numbers of 0 to 255 without leading zeros, between dots.
#[inline]
pub(crate) fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let (mut octet, mut number, mut digits) = (0, 0_u32, 0);
    for &byte in text.as_bytes() {
        match byte {
            b'0'..=b'9' if digits < 3 && (digits == 0 || number > 0) => {
                number = number * 10 + u32::from(byte - b'0');
                digits += 1;
            }
            b'.' if digits > 0 && octet < 3 => {
                octets[octet] = u8::try_from(number).ok()?;
                (octet, number, digits) = (octet + 1, 0, 0);
            }
            _ => return None,
        }
    }
    octets[octet] = u8::try_from(number).ok()?;
    (octet == 3 && digits > 0).then_some(octets.into())
}

/// The six bytes of a MAC address written with colons, hyphens or nothing between them, into `xx:xx:xx:xx:xx:xx`.
pub(crate) fn mac(text: &str, out: &mut String) -> bool {
    let bytes = text.as_bytes();
    let step = match bytes.len() {
        17 if bytes.iter().skip(2).step_by(3).all(|b| matches!(b, b':' | b'-')) => 3,
        12 => 2,
        _ => return false,
    };
    out.clear();
    for (i, pair) in bytes.chunks(step).enumerate() {
        if !pair[0].is_ascii_hexdigit() || !pair[1].is_ascii_hexdigit() {
            return false;
        }
        if i > 0 {
            out.push(':');
        }
        out.push(pair[0].to_ascii_lowercase() as char);
        out.push(pair[1].to_ascii_lowercase() as char);
    }
    true
}

/// A whole number in decimal digits, without a plus sign or leading zeros that a column would lose.
#[inline]
pub(crate) fn integer(text: &str) -> Option<i64> {
    let number = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let exact = number.len() == 1 || number.first().is_some_and(|first| *first != b'0');
    if !exact || number.len() > 18 {
        return if exact && number.iter().all(u8::is_ascii_digit) { text.parse().ok() } else { None };
    }
    let value = digits(number)?;
    Some(if number.len() < text.len() { -value } else { value })
}

/// A number that is not negative, in millionths; digits beyond the sixth after the point are cut.
pub(crate) fn decimal_micros(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || whole.len() > 12 {
        return None;
    }
    Some(digits(whole.as_bytes())? * 1_000_000 + micros_of_fraction(fraction.as_bytes())?)
}

/// Yes or no, as devices spell it.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "yes" | "1" => Some(true),
        "false" | "False" | "FALSE" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// `domain\user` -> (domain, user); anything else has no domain (`user@domain` is one name).
pub(crate) fn split_user(text: &str) -> (Option<&str>, &str) {
    match text.split_once('\\') {
        Some((domain, user)) if !domain.is_empty() && !user.is_empty() && !user.contains('\\') => (Some(domain), user),
        _ => (None, text),
    }
}

/// True for `name@host.domain` as OCSF's `email_t` has it.
pub(crate) fn is_email(text: &str) -> bool {
    let Some((name, rest)) = text.split_once('@') else { return false };
    let Some((host, domain)) = rest.split_once('.') else { return false };
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+,-./=?^_`{|}~".contains(&b);
    let is_host = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let is_there = ![name, host, domain].contains(&"");
    is_there
        && name.bytes().all(is_name)
        && host.bytes().all(is_host)
        && domain.bytes().all(|b| is_host(b) || b == b'.')
}

/// `192.0.2.1:443`, `[2001:db8::1]:443` or `[2001:db8::1]` -> address and port; anything else has no port.
pub(crate) fn split_port(text: &str) -> (&str, Option<&str>) {
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (address, rest.strip_prefix(':'));
    }
    match text.split_once(':') {
        Some((address, port)) if !port.contains(':') => (address, Some(port)),
        _ => (text, None),
    }
}

/// The parts of a URL that may lack its scheme, as PAN-OS writes it (`host:port/path?query`).
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct UrlParts<'a> {
    pub(crate) scheme: Option<&'a str>,
    pub(crate) host: Option<&'a str>,
    pub(crate) port: Option<i32>,
    pub(crate) path: Option<&'a str>,
    pub(crate) query: Option<&'a str>,
}

/// Divides a URL; what is not there stays empty.
pub(crate) fn url(text: &str) -> UrlParts<'_> {
    let (scheme, rest) = match text.split_once("://") {
        Some((s, rest)) if !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric()) => (Some(s), rest),
        _ => (None, text),
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
    let (host, port) = host_and_port(authority);
    UrlParts { scheme, host: nonempty(host), port, path: nonempty(path), query: nonempty(query) }
}

fn nonempty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn host_and_port(authority: &str) -> (&str, Option<i32>) {
    let colon = authority.rfind(':').filter(|&c| !authority[c..].contains(']'));
    let port = colon.and_then(|c| authority[c + 1..].parse::<u16>().ok());
    match (colon, port) {
        (Some(c), Some(port)) => (&authority[..c], Some(i32::from(port))),
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests;
