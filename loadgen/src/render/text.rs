//! Numbers, times, addresses and quoted text, appended without formatting machinery: these run fifty times a record.
//!
//! Digits come from tables that are made when the crate is compiled or at their first use; dates are looked up, a day's once.

use std::fmt::Arguments;
use std::io::Write;
use std::net::IpAddr;
use std::sync::LazyLock;

use dataflow::time::{DAY_US, civil};

use super::line::Line;

/// `00` to `99`.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut i = 0;
    while i < 100 {
        pairs[i] = [b'0' + (i / 10) as u8, b'0' + (i % 10) as u8];
        i += 1;
    }
    pairs
};

/// `00` to `ff`.
const HEX_PAIRS: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut pairs = [[b'0'; 2]; 256];
    let mut i = 0;
    while i < 256 {
        pairs[i] = [digits[i / 16], digits[i % 16]];
        i += 1;
    }
    pairs
};

/// An octet and the dot after it, and the length of both.
const OCTETS: [([u8; 4], u8); 256] = {
    let mut octets = [([b'.'; 4], 0); 256];
    let mut i = 0;
    while i < 256 {
        let digits = [b'0' + (i / 100) as u8, b'0' + (i / 10 % 10) as u8, b'0' + (i % 10) as u8];
        let skip = if i < 10 {
            2
        } else if i < 100 {
            1
        } else {
            0
        };
        let mut at = skip;
        while at < 3 {
            octets[i].0[at - skip] = digits[at];
            at += 1;
        }
        octets[i].1 = (4 - skip) as u8;
        i += 1;
    }
    octets
};

/// Days from 1970 on whose dates are in the table: to the end of 2201, more than a fleet can reach.
const DAYS: i64 = 84_735;

/// Year, month and day of each day, with a place for a separator before month and day.
static DATES: LazyLock<Vec<[u8; 10]>> = LazyLock::new(|| {
    let mut dates = vec![date_digits(0)];
    for day in 1..DAYS {
        let last = dates[dates.len() - 1];
        dates.push(following(last).unwrap_or_else(|| date_digits(day)));
    }
    dates
});

/// The date after one that cannot be a month's last.
fn following(mut date: [u8; 10]) -> Option<[u8; 10]> {
    let day = (date[8] - b'0') * 10 + date[9] - b'0';
    [date[8], date[9]] = *PAIRS.get(usize::from(day) + 1)?;
    (day < 28).then_some(date)
}

fn date_digits(day: i64) -> [u8; 10] {
    let (year, month, day) = civil(day);
    let pair = |v: u64| PAIRS[(v % 100) as usize];
    let ([a, b], [c, d]) = (pair(year as u64 / 100), pair(year as u64));
    let ([e, f], [g, h]) = (pair(month as u64), pair(day as u64));
    [a, b, c, d, 0, e, f, 0, g, h]
}

fn date_of(us: i64) -> [u8; 10] {
    let day = us.div_euclid(DAY_US);
    match usize::try_from(day).ok().and_then(|day| DATES.get(day)) {
        Some(date) => *date,
        None => date_digits(day),
    }
}

/// `7` as `07`; `v` is below 100.
#[inline]
pub(crate) fn two(out: &mut Line, v: u64) {
    out.store(&PAIRS[v as usize % 100], 2);
}

/// A decimal number.
#[inline]
pub(crate) fn number(out: &mut Line, v: u64) {
    match v {
        0..10 => out.push(b'0' + v as u8),
        10..100 => two(out, v),
        _ => long_number(out, v),
    }
}

fn long_number(out: &mut Line, v: u64) {
    if v < 1_000 {
        let [a, b] = PAIRS[v as usize / 10 % 100];
        return out.store(&[a, b, b'0' + (v % 10) as u8], 3);
    }
    if v >= 10_000 {
        number(out, v / 10_000);
    }
    let v = v as usize % 10_000;
    let ([a, b], [c, d]) = (PAIRS[v / 100], PAIRS[v % 100]);
    out.store(&[a, b, c, d], 4);
}

/// The lowest `n` hexadecimal digits, lower case; `n` is at most 16.
pub(crate) fn hex(out: &mut Line, v: u64, n: u32) {
    let n = n.min(16) as usize;
    // All sixteen, and zeros behind them that a store may take along.
    let mut digits = [0; 32];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(v.to_be_bytes()) {
        pair.copy_from_slice(&HEX_PAIRS[usize::from(byte)]);
    }
    out.fill::<16>(n, |room| room.copy_from_slice(&digits[16 - n..32 - n]));
}

/// Sixteen random bytes in the form of a version 4 UUID.
pub(crate) fn uuid(out: &mut Line, a: u64, b: u64) {
    for (v, n, end) in [(a >> 32, 8, b'-'), (a >> 16, 4, b'-'), (a & 0xfff | 0x4000, 4, b'-')] {
        hex(out, v, n);
        out.push(end);
    }
    hex(out, b >> 48 & 0x3fff | 0x8000, 4);
    out.push(b'-');
    hex(out, b, 12);
}

/// `08:00:00`
#[inline]
pub(crate) fn clock(out: &mut Line, us: i64) {
    let seconds = (us.rem_euclid(DAY_US) / 1_000_000) as u32;
    let pair = |v: u32| PAIRS[v as usize % 100];
    let ([a, b], [c, d], [e, f]) = (pair(seconds / 3600), pair(seconds / 60 % 60), pair(seconds % 60));
    out.store(&[a, b, b':', c, d, b':', e, f], 8);
}

/// `2026-01-05`
#[inline]
pub(crate) fn date(out: &mut Line, us: i64, separator: u8) {
    let mut date = date_of(us);
    (date[4], date[7]) = (separator, separator);
    out.store(&date, date.len());
}

/// `2026/01/05 08:00:00`, as PAN-OS writes it.
#[inline]
pub(crate) fn panos_time(out: &mut Line, us: i64) {
    date(out, us, b'/');
    out.push(b' ');
    clock(out, us);
}

/// `2026-01-05T08:00:00`
#[inline]
pub(crate) fn iso_seconds(out: &mut Line, us: i64) {
    date(out, us, b'-');
    out.push(b'T');
    clock(out, us);
}

/// `2026-01-05T08:00:00.123`
#[inline]
pub(crate) fn iso_millis(out: &mut Line, us: i64) {
    iso_seconds(out, us);
    let millis = (us.rem_euclid(1_000_000) / 1000) as usize;
    let [a, b] = PAIRS[millis / 10 % 100];
    out.store(&[b'.', a, b, b'0' + (millis % 10) as u8], 4);
}

/// `2026-01-05T08:00:00.123456`
#[inline]
pub(crate) fn iso_micros(out: &mut Line, us: i64) {
    iso_millis(out, us);
    let micros = us.rem_euclid(1000) as usize;
    let [a, b] = PAIRS[micros / 10 % 100];
    out.store(&[a, b, b'0' + (micros % 10) as u8], 3);
}

const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// Month's name, day and year.
fn named_date(us: i64) -> (&'static [u8; 3], u64, u64) {
    let (year, month, day) = civil(us.div_euclid(DAY_US));
    (MONTHS[(month - 1) as usize % 12], day as u64, year as u64)
}

/// `Jan  5 08:00:00` (RFC 3164: the day is padded with a space).
pub(crate) fn bsd_time(out: &mut Line, us: i64) {
    let (month, day, _) = named_date(us);
    out.put(month);
    out.put(if day < 10 { b"  " } else { b" " });
    number(out, day);
    out.push(b' ');
    clock(out, us);
}

/// `Jan 05 2026 08:00:00`, as devices write it into CEF, LEEF and their own syslog header.
pub(crate) fn year_time(out: &mut Line, us: i64) {
    let (month, day, year) = named_date(us);
    out.put(month);
    out.push(b' ');
    two(out, day);
    out.push(b' ');
    number(out, year);
    out.push(b' ');
    clock(out, us);
}

/// An address; IPv6 in the form of RFC 5952.
#[inline]
pub(crate) fn address(out: &mut Line, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            for octet in v4.octets() {
                let (digits, len) = &OCTETS[usize::from(octet)];
                out.store(digits, usize::from(*len));
            }
            out.truncate(out.len() - 1);
        }
        IpAddr::V6(v6) => {
            let mut text = [0u8; 40];
            let mut rest = &mut text[..];
            write!(rest, "{v6}").expect("the longest address has 39 characters");
            let len = 40 - rest.len();
            out.put(&text[..len]);
        }
    }
}

/// Plain text.
#[inline]
pub(crate) fn text(out: &mut Line, text: &str) {
    out.put(text.as_bytes());
}

/// Text with a backslash before each byte that is in `escaped`.
fn escape(out: &mut Line, text: &str, escaped: impl Fn(u8) -> bool) {
    // Without an early end the search is vectorized.
    if !text.bytes().fold(false, |found, b| found | escaped(b)) {
        return out.put(text.as_bytes());
    }
    for b in text.bytes() {
        if escaped(b) {
            out.push(b'\\');
        }
        out.push(b);
    }
}

/// The inside of a JSON string, or of a quoted value of FortiOS.
pub(crate) fn json(out: &mut Line, text: &str) {
    escape(out, text, |b| b == b'"' || b == b'\\');
}

/// A value of CEF's extension.
pub(crate) fn cef(out: &mut Line, text: &str) {
    escape(out, text, |b| b == b'=' || b == b'\\');
}

/// Writes a text of several parts as one value: shorter than 256 bytes, as all of our own are.
pub(crate) fn value(out: &mut Line, write: fn(&mut Line, &str), parts: Arguments<'_>) {
    let mut buffer = [0u8; 256];
    let mut rest = &mut buffer[..];
    rest.write_fmt(parts).expect("our own texts are short");
    let len = 256 - rest.len();
    write(out, std::str::from_utf8(&buffer[..len]).expect("made of texts"));
}

/// A CSV value: quoted if it holds a comma or a quote, quotes doubled.
pub(crate) fn csv(out: &mut Line, text: &str) {
    // Without an early end the search is vectorized.
    let (has_comma, has_quote) =
        text.bytes().fold((false, false), |(comma, quote), b| (comma | (b == b','), quote | (b == b'"')));
    if !has_comma && !has_quote {
        return out.put(text.as_bytes());
    }
    out.push(b'"');
    if has_quote {
        text.split_inclusive('"').for_each(|part| {
            out.put(part.as_bytes());
            if part.ends_with('"') {
                out.push(b'"');
            }
        });
    } else {
        out.put(text.as_bytes());
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl Fn(&mut Line)) -> String {
        let mut out = Line::default();
        write(&mut out);
        String::from_utf8(out.finish()).expect("ascii")
    }

    #[test]
    fn numbers_read_as_they_are() {
        for v in [0, 7, 10, 99, 100, 101, 999, 1_000, 9_999, 10_000, 12_345, 100_000_000, 1_000_000, u64::MAX] {
            assert_eq!(text(|o| number(o, v)), v.to_string());
        }
        assert_eq!(text(|o| hex(o, 0xab_cdef, 8)), "00abcdef");
        assert_eq!(text(|o| uuid(o, u64::MAX, 0)), "ffffffff-ffff-4fff-8000-000000000000");
    }

    #[test]
    fn times_in_every_form() {
        let us = 1_767_600_000_000_000 + 12_003_000_000 + 45_678;
        assert_eq!(text(|o| panos_time(o, us)), "2026/01/05 11:20:03");
        assert_eq!(text(|o| iso_seconds(o, us)), "2026-01-05T11:20:03");
        assert_eq!(text(|o| iso_millis(o, us)), "2026-01-05T11:20:03.045");
        assert_eq!(text(|o| iso_micros(o, us)), "2026-01-05T11:20:03.045678");
        assert_eq!(text(|o| bsd_time(o, us)), "Jan  5 11:20:03");
        assert_eq!(text(|o| bsd_time(o, us + 10 * DAY_US)), "Jan 15 11:20:03");
        assert_eq!(text(|o| year_time(o, us)), "Jan 05 2026 11:20:03");
        for day in 0..DAYS {
            assert_eq!(DATES[day as usize], date_digits(day));
        }
        assert_eq!(text(|o| date(o, -1, b'-')), "1969-12-31");
        assert_eq!(text(|o| date(o, DAYS * DAY_US, b'-')), "2201-12-31");
    }

    #[test]
    fn quoting_follows_the_format() {
        for (plain, in_csv, in_json) in [
            ("Allow web", "Allow web", "Allow web"),
            ("a,b", "\"a,b\"", "a,b"),
            ("say \"no\"", "\"say \"\"no\"\"\"", "say \\\"no\\\""),
            ("ACME\\j.doe", "ACME\\j.doe", "ACME\\\\j.doe"),
        ] {
            assert_eq!(text(|o| csv(o, plain)), in_csv);
            assert_eq!(text(|o| json(o, plain)), in_json);
        }
        assert_eq!(text(|o| cef(o, "A\\b c=d|e")), "A\\\\b c\\=d|e");
        assert_eq!(text(|o| address(o, "2001:db8:0:0:0:0:0:1".parse().expect("v6"))), "2001:db8::1");
        let longest = "2001:db8:1111:2222:3333:4444:5555:6666";
        assert_eq!(text(|o| address(o, longest.parse().expect("v6"))), longest);
        for v4 in ["10.0.200.9", "0.0.0.0", "255.255.255.255", "1.12.123.99"] {
            assert_eq!(text(|o| address(o, v4.parse().expect("v4"))), v4);
        }
    }
}
