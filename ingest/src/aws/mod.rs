//! Logs of Amazon Web Services.

pub(crate) mod cloudtrail;
