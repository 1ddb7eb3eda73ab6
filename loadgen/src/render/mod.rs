//! Records as bytes: templates with copied segments.

mod asa;
pub(crate) mod cloud;
mod flow;
mod fortigate;
pub(crate) mod line;
pub(crate) mod session;
mod session_fields;
pub(crate) mod template;
pub(crate) mod text;
pub(crate) mod vpn;

use std::iter::repeat_n;

use crate::fleet::Fleet;
use crate::record::malformed::Fault;
use crate::record::session::Session;
use crate::record::{Record, Wire};
use line::Line;

/// Writes a record over what `out` held, without a line end.
pub(crate) fn render(fleet: &Fleet, record: &Record<'_>, out: &mut Vec<u8>) {
    let mut line = Line::over(std::mem::take(out));
    append(fleet, record, &mut line);
    *out = line.finish();
}

fn append(fleet: &Fleet, record: &Record<'_>, out: &mut Line) {
    match record {
        Record::Session(wire, session) => fleet.session_forms.render(*wire, session, out),
        Record::Vpn(wire, log) => fleet.vpn_forms.render(*wire, log, out),
        Record::Flow(log) => flow::render(log, out),
        Record::Cloud(record) => fleet.cloud_forms.render(record, out),
        Record::Malformed(fault, session) => broken(fleet, *fault, session, out),
    }
}

/// The year 2300 in Strata JSON, for readers whose times are nanoseconds in 64 bits.
const FAR_FUTURE: &[u8] = b"2300";

fn broken(fleet: &Fleet, fault: Fault, session: &Session<'_>, out: &mut Line) {
    let forms = &fleet.session_forms;
    match fault {
        Fault::Empty => {}
        Fault::Deep => {
            repeat_n(b"{\"a\":", 100).for_each(|open| out.put(open));
            out.push(b'1');
            repeat_n(b'}', 100).for_each(|close| out.push(close));
        }
        Fault::CutJson => {
            forms.render(Wire::Strata, session, out);
            out.truncate(out.len() / 2);
        }
        Fault::BrokenUtf8 => {
            forms.render(Wire::Csv, session, out);
            replace(out.written(), b"to-siem", b"to-\xff\xfe\xfd\x80");
        }
        Fault::SixColumns => {
            forms.render(Wire::Csv, session, out);
            six_columns(out);
        }
        Fault::ZeroTime => {
            forms.render(Wire::Csv, session, out);
            zero_time(out.written());
        }
        Fault::FarFuture => {
            forms.render(Wire::Strata, session, out);
            for key in [&b"\"TimeGenerated\":\""[..], b"\"TimeGeneratedHighResolution\":\""] {
                overwrite_after(out.written(), key, FAR_FUTURE);
            }
        }
    }
}

/// Keeps the header, which has no comma, and the first six columns.
fn six_columns(out: &mut Line) {
    let end = out.written().iter().enumerate().filter(|(_, b)| **b == b',').map(|(at, _)| at).nth(5);
    out.truncate(end.unwrap_or(out.len()));
}

/// Zeroes every digit of the columns that tell when the log was made.
fn zero_time(line: &mut [u8]) {
    let mut column = 0;
    let mut in_quotes = false;
    for b in line {
        match *b {
            b'"' => in_quotes = !in_quotes,
            b',' if !in_quotes => column += 1,
            b'0'..=b'9' if matches!(column, 1 | 6 | 102) => *b = b'0',
            _ => {}
        }
    }
}

fn position(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

fn replace(line: &mut [u8], from: &[u8], to: &[u8]) {
    if let Some(at) = position(line, from) {
        line[at..at + to.len()].copy_from_slice(to);
    }
}

fn overwrite_after(line: &mut [u8], key: &[u8], value: &[u8]) {
    if let Some(at) = position(line, key) {
        line[at + key.len()..at + key.len() + value.len()].copy_from_slice(value);
    }
}

#[cfg(test)]
mod tests;
