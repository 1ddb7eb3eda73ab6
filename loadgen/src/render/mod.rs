//! Records as bytes: templates with copied segments.

pub(crate) mod cloud;
mod flow;
pub(crate) mod session;
pub(crate) mod template;
pub(crate) mod text;
pub(crate) mod vpn;

use std::iter::repeat_n;

use crate::fleet::Fleet;
use crate::record::malformed::Fault;
use crate::record::session::Session;
use crate::record::{Record, Wire};

/// Appends a record, without a line end.
pub(crate) fn render(fleet: &Fleet, record: &Record<'_>, out: &mut Vec<u8>) {
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

fn broken(fleet: &Fleet, fault: Fault, session: &Session<'_>, out: &mut Vec<u8>) {
    match fault {
        Fault::Empty => {}
        Fault::Deep => {
            repeat_n(b"{\"a\":", 100).for_each(|open| out.extend_from_slice(open));
            out.push(b'1');
            out.extend(repeat_n(b'}', 100));
        }
        Fault::CutJson => {
            let start = out.len();
            fleet.session_forms.render(Wire::Strata, session, out);
            out.truncate(start + (out.len() - start) / 2);
        }
        Fault::BrokenUtf8 => {
            fleet.session_forms.render(Wire::Csv, session, out);
            replace(out, b"to-siem", b"to-\xff\xfe\xfd\x80");
        }
        Fault::SixColumns => {
            fleet.session_forms.render(Wire::Csv, session, out);
            six_columns(out);
        }
        Fault::ZeroTime => zero_time(fleet, session, out),
        Fault::FarFuture => {
            fleet.session_forms.render(Wire::Strata, session, out);
            for key in [&b"\"TimeGenerated\":\""[..], b"\"TimeGeneratedHighResolution\":\""] {
                overwrite_after(out, key, FAR_FUTURE);
            }
        }
    }
}

/// Keeps the header, which has no comma, and the first six columns.
fn six_columns(out: &mut Vec<u8>) {
    let end = out.iter().enumerate().filter(|(_, b)| **b == b',').map(|(at, _)| at).nth(5);
    out.truncate(end.unwrap_or(out.len()));
}

/// Zeroes every digit of the columns that tell when the log was made.
fn zero_time(fleet: &Fleet, session: &Session<'_>, out: &mut Vec<u8>) {
    fleet.session_forms.render(Wire::Csv, session, out);
    let mut column = 0;
    let mut in_quotes = false;
    for b in out.iter_mut() {
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

fn replace(out: &mut [u8], from: &[u8], to: &[u8]) {
    if let Some(at) = position(out, from) {
        out[at..at + to.len()].copy_from_slice(to);
    }
}

fn overwrite_after(out: &mut [u8], key: &[u8], value: &[u8]) {
    if let Some(at) = position(out, key) {
        out[at + key.len()..at + key.len() + value.len()].copy_from_slice(value);
    }
}

#[cfg(test)]
mod tests;
