//! Cisco's mark, `%FACILITY-SEVERITY-MNEMONIC:`. In: a line whose header was read. Out: the header with the mark's parts, and
//! the message behind it.

use super::{Line, is_host};

/// `%ASA-6-302013: ` at the head of the message, or behind a head of a kind that nobody knows.
pub(super) fn cisco<'a>(line: &'a str, found: &mut Line<'a>) {
    let rest = &line[found.message..];
    if rest.starts_with('%') {
        mark(line, found.message, found);
        return;
    }
    let head = &rest.as_bytes()[..rest.len().min(HEAD_BYTES_MAX)];
    let at = memchr::memchr_iter(b'%', head).find(|at| head[..*at].ends_with(b" ")).map(|at| found.message + at - 1);
    if let Some(at) = at.filter(|at| mark(line, at + 1, found))
        && found.host.is_empty()
    {
        let host = line[..at].trim_end_matches([' ', ':']).rsplit(' ').next().filter(|host| is_host(host));
        found.host = host.unwrap_or_default();
    }
}

/// How far into a message Cisco's mark may begin.
const HEAD_BYTES_MAX: usize = 128;

/// Reads Cisco's mark at `at`; false if there is none.
fn mark<'a>(line: &'a str, at: usize, found: &mut Line<'a>) -> bool {
    let rest = &line[at + 1..];
    let end = rest.bytes().take(MARK_BYTES_MAX).position(|b| matches!(b, b':' | b' ')).unwrap_or(0);
    let mut parts = rest[..end].rsplitn(3, '-');
    let (Some(mnemonic), Some(severity), Some(facility)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let is_name = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    let is_mark = matches!(severity.as_bytes(), [b'0'..=b'7'])
        && facility.starts_with(|c: char| c.is_ascii_uppercase())
        && !mnemonic.is_empty()
        && mnemonic.bytes().all(is_name);
    if is_mark {
        found.facility = facility.split('-').next().unwrap_or(facility);
        (found.severity, found.mnemonic) = (severity, mnemonic);
        let after = rest[end..].trim_start_matches(' ');
        found.message = line.len() - after.strip_prefix(':').unwrap_or(after).trim_start_matches(' ').len();
    }
    is_mark
}

/// Bytes of a mark.
const MARK_BYTES_MAX: usize = 64;
