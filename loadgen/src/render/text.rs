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

#[inline]
fn date_of(day: i64) -> [u8; 10] {
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

/// A decimal number. Lengths are as random as numbers are, so nothing branches on them below a hundred million.
#[inline]
pub(crate) fn number(out: &mut Line, v: u64) {
    if v >= 100_000_000 {
        return long_number(out, v);
    }
    let digits = eight_digits(v);
    // Zeros before the first other digit; the last digit stays, whatever it is.
    let zeros = ((digits ^ ZEROS) | (1 << 56)).trailing_zeros() / 8;
    out.store(&(digits >> (8 * zeros)).to_le_bytes(), 8 - zeros as usize);
}

/// A number of nine digits or more.
#[inline(never)]
fn long_number(out: &mut Line, v: u64) {
    number(out, v / 100_000_000);
    out.store(&eight_digits(v % 100_000_000).to_le_bytes(), 8);
}

/// `00000000`
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// The eight digits of a number below a hundred million, the first in the lowest byte: halves of fours, then of twos.
#[inline]
fn eight_digits(v: u64) -> u64 {
    let fours = (v / 10_000) | ((v % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x7f_0000_007f;
    let twos = hundreds | ((fours - hundreds * 100) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    (tens | ((twos - tens * 10) << 8)) + ZEROS
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
    out.fill(8, |room| put_clock(room, day_and_rest(us).1));
}

/// The day since 1970 and the microsecond of the day. Division without signs is cheaper, and 1970 is long ago.
#[inline]
fn day_and_rest(us: i64) -> (i64, u64) {
    match u64::try_from(us) {
        Ok(us) => ((us / DAY_US.unsigned_abs()) as i64, us % DAY_US.unsigned_abs()),
        Err(_) => (us.div_euclid(DAY_US), us.rem_euclid(DAY_US).unsigned_abs()),
    }
}

#[inline]
fn put_clock(room: &mut [u8; 8], us_of_day: u64) {
    let seconds = (us_of_day / 1_000_000) as usize;
    let [hour, minute, second] = [seconds / 3_600, seconds / 60 % 60, seconds % 60];
    room[..2].copy_from_slice(&PAIRS[hour % 100]);
    room[2] = b':';
    room[3..5].copy_from_slice(&PAIRS[minute]);
    room[5] = b':';
    room[6..].copy_from_slice(&PAIRS[second]);
}

/// `2026-01-05`
#[inline]
pub(crate) fn date(out: &mut Line, us: i64, separator: u8) {
    let mut date = date_of(day_and_rest(us).0);
    (date[4], date[7]) = (separator, separator);
    out.store(&date, date.len());
}

/// `2026-01-05T08:00:00`, with these between the date's parts, and between date and time.
#[inline]
fn seconds(out: &mut Line, us: i64, in_date: u8, after_date: u8) {
    let (day, us_of_day) = day_and_rest(us);
    out.fill::<19>(19, |room| {
        let Some((date, rest)) = room.split_first_chunk_mut() else { return };
        *date = date_of(day);
        (date[4], date[7]) = (in_date, in_date);
        let Some((between, clock)) = rest.split_first_mut() else { return };
        *between = after_date;
        clock.first_chunk_mut().into_iter().for_each(|clock| put_clock(clock, us_of_day));
    });
}

/// `2026/01/05 08:00:00`, as PAN-OS writes it.
pub(crate) fn panos_time(out: &mut Line, us: i64) {
    seconds(out, us, b'/', b' ');
}

/// `2026-01-05T08:00:00`
pub(crate) fn iso_seconds(out: &mut Line, us: i64) {
    seconds(out, us, b'-', b'T');
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
        let around = (0..20u32).map(|n| 10u64.saturating_pow(n)).flat_map(|power| [power - 1, power, power + 1]);
        for v in around.chain(0..20_000).chain([12_345_678, u64::MAX]) {
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
