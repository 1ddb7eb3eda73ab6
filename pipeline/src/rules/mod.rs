//! The rules of a running worker: which are in force, how they follow their files, and how those leave that do harm.
//!
//! ```text
//! files -> Reloader: compile, test -> record of the set -> in force -> shards: their next ranges
//!                                                                  -> merge stage: the next step of each group
//! shards, merge stage: what each rule was asked, and what failed -> Ward -> in force, without a rule that does harm
//! ```
//!
//! Invariants:
//! - A range and a step have one set of rules each, and their entries name its version; what each version held is recorded before
//!   any entry names it. So whoever redoes a step does it under the rules that took it.
//! - A set takes effect as a whole, and only if all of it compiles and the tests of what is new in it pass.
//! - Shards take new rules before the merge stage does, or after: a delta of a rule is merged only by a step that has the rule, and the
//!   merge stage takes new rules before it merges the first range that was made under them.

mod in_force;
mod record;
mod reload;
mod ward;

pub(crate) use in_force::{Disabled, InForce, LiveRules, Tally};
pub(crate) use record::{Held, Recorded, held, of_version, remember};
pub(crate) use reload::{Changes, Outcome, Reloader};
pub(crate) use ward::Half;
