//! Numbers, times, addresses and quoted text, appended without formatting machinery: these run fifty times a record.

use std::io::Write;
use std::net::IpAddr;

use dataflow::time::{DAY_US, civil};

const PAIRS: &[u8; 200] =
    b"0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849\
5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

/// `7` as `07`; `v` is below 100.
#[inline]
pub(crate) fn two(out: &mut Vec<u8>, v: u64) {
    let at = (v as usize % 100) * 2;
    out.extend_from_slice(&PAIRS[at..at + 2]);
}

/// A decimal number.
#[inline]
pub(crate) fn number(out: &mut Vec<u8>, mut v: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    while v >= 10 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[(v as usize % 100) * 2..][..2]);
        v /= 100;
    }
    if v > 0 || at == digits.len() {
        at -= 1;
        digits[at] = b'0' + v as u8;
    }
    out.extend_from_slice(&digits[at..]);
}

/// The lowest `n` hexadecimal digits, lower case.
pub(crate) fn hex(out: &mut Vec<u8>, v: u64, n: u32) {
    out.extend((0..n).rev().map(|i| b"0123456789abcdef"[(v >> (4 * i) & 15) as usize]));
}

/// Sixteen random bytes in the form of a version 4 UUID.
pub(crate) fn uuid(out: &mut Vec<u8>, a: u64, b: u64) {
    for (v, n, end) in [(a >> 32, 8, b'-'), (a >> 16, 4, b'-'), (a & 0xfff | 0x4000, 4, b'-')] {
        hex(out, v, n);
        out.push(end);
    }
    hex(out, b >> 48 & 0x3fff | 0x8000, 4);
    out.push(b'-');
    hex(out, b, 12);
}

/// `08:00:00`
fn clock(out: &mut Vec<u8>, us: i64) {
    let seconds = (us.rem_euclid(DAY_US) / 1_000_000) as u64;
    two(out, seconds / 3600);
    out.push(b':');
    two(out, seconds / 60 % 60);
    out.push(b':');
    two(out, seconds % 60);
}

fn date(out: &mut Vec<u8>, us: i64, separator: u8) {
    let (year, month, day) = civil(us.div_euclid(DAY_US));
    number(out, year as u64);
    for part in [month, day] {
        out.push(separator);
        two(out, part as u64);
    }
}

/// `2026/01/05 08:00:00`, as PAN-OS writes it.
pub(crate) fn panos_time(out: &mut Vec<u8>, us: i64) {
    date(out, us, b'/');
    out.push(b' ');
    clock(out, us);
}

/// `2026-01-05T08:00:00`
pub(crate) fn iso_seconds(out: &mut Vec<u8>, us: i64) {
    date(out, us, b'-');
    out.push(b'T');
    clock(out, us);
}

/// `2026-01-05T08:00:00.123`
pub(crate) fn iso_millis(out: &mut Vec<u8>, us: i64) {
    iso_seconds(out, us);
    let millis = (us.rem_euclid(1_000_000) / 1000) as u64;
    out.extend_from_slice(&[b'.', b'0' + (millis / 100) as u8]);
    two(out, millis % 100);
}

/// `2026-01-05T08:00:00.123456`
pub(crate) fn iso_micros(out: &mut Vec<u8>, us: i64) {
    iso_millis(out, us);
    let micros = us.rem_euclid(1000) as u64;
    out.push(b'0' + (micros / 100) as u8);
    two(out, micros % 100);
}

const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// `Jan  5 08:00:00` (RFC 3164: the day is padded with a space).
pub(crate) fn bsd_time(out: &mut Vec<u8>, us: i64) {
    let (_, month, day) = civil(us.div_euclid(DAY_US));
    out.extend_from_slice(MONTHS[(month - 1) as usize % 12]);
    out.extend_from_slice(if day < 10 { b"  " } else { b" " });
    number(out, day as u64);
    out.push(b' ');
    clock(out, us);
}

/// An address; IPv6 in the form of RFC 5952.
#[inline]
pub(crate) fn address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            for (i, octet) in v4.octets().into_iter().enumerate() {
                if i > 0 {
                    out.push(b'.');
                }
                number(out, u64::from(octet));
            }
        }
        IpAddr::V6(v6) => write!(out, "{v6}").expect("writing to memory"),
    }
}

/// The inside of a JSON string.
pub(crate) fn json(out: &mut Vec<u8>, text: &str) {
    for b in text.bytes() {
        if b == b'"' || b == b'\\' {
            out.push(b'\\');
        }
        out.push(b);
    }
}

/// A CSV value: quoted if it holds a comma or a quote, quotes doubled.
pub(crate) fn csv(out: &mut Vec<u8>, text: &str) {
    if !text.bytes().any(|b| b == b',' || b == b'"') {
        return out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
    for b in text.bytes() {
        if b == b'"' {
            out.push(b'"');
        }
        out.push(b);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("ascii")
    }

    #[test]
    fn numbers_read_as_they_are() {
        for v in [0, 7, 10, 99, 100, 101, 12_345, 1_000_000, u64::MAX] {
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
        assert_eq!(text(|o| address(o, "2001:db8:0:0:0:0:0:1".parse().expect("v6"))), "2001:db8::1");
        assert_eq!(text(|o| address(o, "10.0.200.9".parse().expect("v4"))), "10.0.200.9");
    }
}
