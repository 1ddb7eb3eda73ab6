//! Fuzz targets: a function of bytes for each family of decoders, which panics where an invariant of theirs does not hold.
//!
//! **Data in:** any bytes; each line of them is a record, as in a file. **Data out:** nothing. What must hold is said at [`check`]; of a
//! mapping file at [`mapping`].
//!
//! Built for tests and under `cfg(fuzzing)`, which cargo-fuzz sets: its targets, a line each, are in `fuzz/`. The tests beside this
//! file need no nightly compiler: they mutate the golden records of `testdata/`, and try the inputs of `testdata/fuzz/` that
//! once failed.
//!
//! Absent: a fuzzer; the sources (files, Kafka), which have properties of their own.

mod check;
mod mapping;
#[cfg(test)]
mod mutate;
#[cfg(test)]
mod seeds;
#[cfg(test)]
mod tests;

use crate::decode::Format;

pub use mapping::mapping;

use check::check;

/// Lines behind syslog headers of every kind.
pub fn syslog(bytes: &[u8]) {
    check(Format::Auto, bytes);
}

/// PAN-OS lines, where they are told from others and where they are all there is.
pub fn panos(bytes: &[u8]) {
    check(Format::Auto, bytes);
    check(Format::PanosCsv, bytes);
}

/// CEF.
pub fn cef(bytes: &[u8]) {
    check(Format::Auto, bytes);
}

/// LEEF.
pub fn leef(bytes: &[u8]) {
    check(Format::Auto, bytes);
}

/// Lines of `key=value`.
pub fn kv(bytes: &[u8]) {
    check(Format::Auto, bytes);
}

/// JSON documents, also those that hold others.
pub fn json(bytes: &[u8]) {
    check(Format::Auto, bytes);
    check(Format::PanosJson, bytes);
    check(Format::CloudTrail, bytes);
}

/// Flow logs of AWS and Azure.
pub fn flow(bytes: &[u8]) {
    check(Format::Auto, bytes);
    check(Format::VpcFlow, bytes);
}

/// Lines that mappings take apart by templates of text.
pub fn text(bytes: &[u8]) {
    check(Format::Auto, bytes);
}

/// Records of all kinds mixed, in each format that can be configured.
pub fn detection(bytes: &[u8]) {
    Format::ALL.into_iter().for_each(|format| check(format, bytes));
}
