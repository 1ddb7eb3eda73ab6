//! Streaming detections in SQL and Sigma: windows, rules, alerts. Synchronous and deterministic.
//!
//! **Data in:** batches of one partition ([`SourceStage`]); deltas of all partitions, the combined watermark, and how far all that was
//! received is merged ([`MergeStage`]).
//! **Data out:** mergeable deltas, split by merge group ([`Deltas`]), alerts (rows of `detection_finding`), late rows (rows of `late_window`).
//!
//! ```text
//! partition 0: batches -> SourceStage -> filter alerts
//!                                     -> Deltas: group 0 --+    group 1 --+
//! partition 1: batches -> SourceStage -> Deltas: group 0 --+    group 1 --+
//!                                                          |              +-> MergeStage of group 1
//!                                                          +-> MergeStage of group 0: apply, step -> alerts, late rows, snapshot
//! ```
//!
//! Invariants:
//! - Any split of the same rows into partitions, batches, deltas and merge groups gives the same final alerts; a float sum may differ in
//!   its last digits.
//! - `tenant_uid` is part of every group, whatever the rule says: no rule merges two tenants' rows.
//! - State after a step is a pure function of the state before it and of the deltas applied, in their order.
//! - A rule that could never fire, or not as written, is refused when it is loaded.
//! - A row or group on which a rule's expression fails does not match and is told ([`RuleFailure`]); the rest goes on.
//! - Nothing here reads a clock or draws a number; nothing waits.
//!
//! Absent on purpose: I/O but for loading rule files, threads, DataFusion's operators (it types, plans and evaluates
//! expressions; windows and their state are ours), joins.

mod alert;
mod codec;
mod codes;
mod correlation;
#[cfg(test)]
mod damage;
mod delta;
mod distinct;
mod error;
mod evidence;
mod exception;
mod exchange;
mod failures;
mod group_keys;
mod group_table;
mod held;
mod json;
mod late;
mod leaves;
mod merge_group;
mod merge_stage;
mod rows;
mod rule;
mod sigma;
mod source_stage;
mod sql;
#[cfg(test)]
mod tests;
mod watch;
mod window;

pub use delta::Delta;
pub use error::{AggregateError, Result, RuleError, RuleErrors};
pub use exception::Exception;
pub use exchange::{Deltas, ExchangeIndex};
pub use failures::{RuleFailure, RuleWork};
pub use held::{Held, HeldBy};
pub use merge_stage::{Limits, MergeStage, StepOutput, StepStamp};
pub use rule::scenario::{AlertDifference, AlertFields, Difference, TestOutcome, run_tests};
pub use rule::{BatchAlert, BatchFound, BatchQuery, BatchRow, Emit, Level, Rule, RuleFiles, RuleSet};
pub use rule::{ExplainedAggregate, ExplainedException, ExplainedField, ExplainedInput, ExplainedWindow, Explanation};
pub use source_stage::{Clock, SourceDelta, SourceStage};
pub use sql::register_functions;
