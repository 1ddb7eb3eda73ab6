//! One module a command of the command line.

pub(crate) mod check;
pub(crate) mod decode;
pub(crate) mod demo;
pub(crate) mod loadgen;
pub(crate) mod plan;
pub(crate) mod rules;
pub(crate) mod run;
pub(crate) mod sql;
pub(crate) mod tables;
pub(crate) mod tap;
pub(crate) mod top;
