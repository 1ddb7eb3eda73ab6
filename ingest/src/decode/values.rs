//! Text of one value -> what a column holds. Pure functions; `None` = not such a value.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dataflow::time::{DAY_US, days_from_civil};

use super::zones::LocalTime;

/// Microseconds UTC of an ISO 8601, PAN-OS (`2026/11/20 10:00:00`) or CEF time (`Nov 20 2026 10:00:00 GMT`), or of a number of
/// seconds, milliseconds or microseconds since 1970. A time without a zone is read as UTC; digits below the microsecond are cut.
pub(crate) fn time(text: &str) -> Option<i64> {
    time_in(text, LocalTime::UTC)
}

/// As [`time`]; a time without a zone is the device's.
pub(crate) fn time_in(text: &str, local: LocalTime<'_>) -> Option<i64> {
    let bytes = text.as_bytes();
    let (micros, has_zone) = match bytes.get(4) {
        Some(b'-' | b'/') => calendar_time(bytes)?,
        _ if bytes.first().is_some_and(u8::is_ascii_uppercase) => named_month_time(text)?,
        _ => return epoch_time(text),
    };
    Some(if has_zone { micros } else { local.to_utc(micros) })
}

/// By the number of digits: up to 11 are seconds (a fraction may follow), 13 milliseconds, 16 microseconds, 19 nanoseconds.
fn epoch_time(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let whole = match bytes.len() {
        13 => digits(bytes).map(|millis| millis * 1_000),
        16 => digits(bytes),
        // As many nanoseconds as 64 bits hold.
        19 if *text <= *"9223372036854775807" => digits(&bytes[16..]).and_then(|_| digits(&bytes[..16])),
        _ => None,
    };
    whole.or_else(|| epoch_seconds(text))
}

/// Up to 11 digits, and digits after a point.
fn epoch_seconds(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !whole.bytes().all(|b| b.is_ascii_digit()) || (fraction.is_empty() && text.len() > whole.len()) {
        return None;
    }
    match whole.len() {
        1..=11 => Some(digits(whole.as_bytes())? * 1_000_000 + micros_of_fraction(fraction.as_bytes())?),
        _ => None,
    }
}

/// `YYYY-MM-DD[T ]hh:mm:ss[.fraction][zone]`, with `/` for `-` too: microseconds, of UTC if there is a zone.
fn calendar_time(bytes: &[u8]) -> Option<(i64, bool)> {
    let (head, rest) = bytes.split_first_chunk::<19>()?;
    let form = if head[4] == b'/' { b"0000/00/" } else { b"0000-00-" };
    let date = Twos::of(head.first_chunk()?, form, Twos::DATE)?;
    let clock = Twos::of(head.last_chunk()?, b"00:00:00", Twos::CLOCK)?;
    let (year, month, day) = (date.at(0) * 100 + date.at(2), date.at(5), digits(&head[8..10])?);
    let (hour, minute, second) = (clock.at(0), clock.at(3), clock.at(6));
    let in_range = (1..=12).contains(&month) && day >= 1 && (day <= 28 || day <= days_in(year, month));
    if !matches!(head[10], b'T' | b't' | b' ') || !in_range || hour > 23 || minute > 59 || second > 60 {
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
    Some((days_from_civil(year, month, day) * DAY_US + seconds * 1_000_000 + micros, !zone.is_empty()))
}

/// Numbers of two digits in eight bytes of text, each in the byte of its first digit.
#[derive(Clone, Copy)]
struct Twos(u64);

impl Twos {
    const DATE: u64 = Self::room(b"0000-00-");
    const CLOCK: u64 = Self::room(b"00:00:00");

    /// What may be added to each byte, once the form is taken from it, before its highest bit is set.
    const fn room(form: &[u8; 8]) -> u64 {
        let (mut room, mut at) = ([0x80 - 1; 8], 0);
        while at < 8 {
            if form[at] == b'0' {
                room[at] = 0x80 - 10;
            }
            at += 1;
        }
        u64::from_le_bytes(room)
    }

    /// None if the text has other than digits where the form has zeros, or another mark than the form.
    #[inline]
    fn of(text: &[u8; 8], form: &[u8; 8], room: u64) -> Option<Self> {
        let bytes = u64::from_le_bytes(*text) ^ u64::from_le_bytes(*form);
        let above = bytes.wrapping_add(room) | bytes;
        let is_right = above & u64::from_le_bytes([0x80; 8]) == 0;
        is_right.then(|| Self(bytes * 10 + (bytes >> 8)))
    }

    #[inline]
    fn at(self, byte: u32) -> i64 {
        (self.0 >> (8 * byte) & 0xff) as i64
    }
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `Nov 20 2026 10:00:00[ GMT]`, as CEF and LEEF have times. As [`calendar_time`].
fn named_month_time(text: &str) -> Option<(i64, bool)> {
    let (head, clock) = text.as_bytes().split_first_chunk::<4>()?;
    let month = (1..).zip(MONTHS).find(|(_, name)| head.starts_with(name.as_bytes()))?.0;
    let space = |at: usize| clock.get(at) == Some(&b' ');
    // A day below ten may have one digit, or a space for the other.
    let (day, at) = match clock {
        [ones, b' ', ..] => (digits(&[*ones])?, 1),
        [b' ', ones, b' ', ..] => (digits(&[*ones])?, 2),
        [tens, ones, b' ', ..] => (digits(&[*tens, *ones])?, 2),
        _ => return None,
    };
    let &[y1, y2, y3, y4, b' ', h1, h2, b':', m1, m2, b':', s1, s2, ref zone @ ..] = clock.get(at + 1..)? else {
        return None;
    };
    let [year, hour, minute, second] =
        [digits(&[y1, y2, y3, y4])?, digits(&[h1, h2])?, digits(&[m1, m2])?, digits(&[s1, s2])?];
    let is_zone = matches!(zone, b"" | b" GMT" | b" UTC");
    if head[3] != b' '
        || !space(at)
        || !is_zone
        || day < 1
        || day > days_in(year, month)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let seconds = hour * 3600 + minute * 60 + second;
    Some((days_from_civil(year, month, day) * DAY_US + seconds * 1_000_000, !zone.is_empty()))
}

/// A number of at most 18 digits.
#[inline]
fn digits(bytes: &[u8]) -> Option<i64> {
    let (mut number, mut worst) = (0_i64, 0);
    for byte in bytes {
        let digit = byte.wrapping_sub(b'0');
        worst = worst.max(digit);
        number = number * 10 + i64::from(digit);
    }
    (worst <= 9).then_some(number)
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
    const MICROS: [i64; 7] = [1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];
    Some(digits(kept)? * MICROS[kept.len()])
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
    let mut rest = text.as_bytes();
    let mut octets = [0; 4];
    for (index, octet) in octets.iter_mut().enumerate() {
        let digit = |at: usize| rest.get(at).map(|b| u32::from(b.wrapping_sub(b'0'))).filter(|d| *d <= 9);
        let first = digit(0)?;
        let (number, len) = match (digit(1), digit(2)) {
            (None, _) => (first, 1),
            (Some(_), _) if first == 0 => return None,
            (Some(second), None) => (first * 10 + second, 2),
            (Some(second), Some(third)) => (first * 100 + second * 10 + third, 3),
        };
        *octet = u8::try_from(number).ok()?;
        rest = match &rest[len..] {
            [] if index == 3 => return Some(octets.into()),
            [b'.', rest @ ..] if index < 3 => rest,
            _ => return None,
        };
    }
    None
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
    let (is_negative, number) = match text.as_bytes() {
        [b'-', number @ ..] => (true, number),
        number => (false, number),
    };
    let exact = matches!(number, [_] | [b'1'..=b'9', ..]);
    if !exact || number.len() > 18 {
        return if exact && number.iter().all(u8::is_ascii_digit) { text.parse().ok() } else { None };
    }
    let value = digits(number)?;
    Some(if is_negative { -value } else { value })
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
    let is = |words: [&str; 3]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    match () {
        () if is(["true", "yes", "1"]) => Some(true),
        () if is(["false", "no", "0"]) => Some(false),
        () => None,
    }
}

/// True if the text is an address of mail as OCSF takes one.
pub(crate) fn is_email(text: &str) -> bool {
    let of_name = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+,-./=?^_`{|}~".contains(&b);
    let of_domain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    text.rsplit_once('@').is_some_and(|(name, domain)| {
        let Some((first, rest)) = domain.split_once('.') else { return false };
        !name.is_empty()
            && name.bytes().all(of_name)
            && !first.is_empty()
            && first.bytes().all(of_domain)
            && !rest.is_empty()
            && rest.bytes().all(|b| of_domain(b) || b == b'.')
    })
}

/// `domain\user` -> (domain, user); anything else has no domain (`user@domain` is one name).
pub(crate) fn split_user(text: &str) -> (Option<&str>, &str) {
    match text.split_once('\\') {
        Some((domain, user)) if !domain.is_empty() && !user.is_empty() && !user.contains('\\') => (Some(domain), user),
        _ => (None, text),
    }
}

/// `192.0.2.1:80`, `[2001:db8::1]:80`, `192.0.2.1/80`, `192.0.2.1(80)` -> the address and its port, which is empty if it
/// has none. What is an address as a whole has no port: `2001:db8::1:80` is one.
pub(crate) fn endpoint(text: &str) -> (&str, &str) {
    let bare = |text: &'_ str| ip(text).is_some();
    if bare(text) {
        return (text, "");
    }
    let text = text.strip_suffix(')').unwrap_or(text);
    let digits = text.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (head, port) = text.split_at(text.len() - digits);
    let head = head.strip_suffix([':', '/', '(']).unwrap_or(head);
    let address = head.strip_prefix('[').and_then(|head| head.strip_suffix(']')).unwrap_or(head);
    if bare(address) { (address, port) } else { (text, "") }
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
