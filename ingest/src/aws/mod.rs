//! Logs of Amazon Web Services.

pub(crate) mod cloudtrail;
pub(crate) mod flow_fields;
pub(crate) mod vpc_flow;
