//! Logs of Microsoft Azure that a mapping cannot describe.

pub(crate) mod flow;
