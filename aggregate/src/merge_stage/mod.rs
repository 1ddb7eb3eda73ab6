//! Deltas of all partitions in; alerts and late rows out; one chain of steps.
//!
//! `apply` adds a range's delta to the panes it belongs to. `step` raises the watermark, closes windows, evaluates what
//! changed, and drops what is past its allowed lateness. State after a step is a pure function of the state before it and of
//! the deltas applied in (partition, offset) order: batches are merged in the order they came, at sizes that depend on
//! nothing else, and a snapshot keeps them as they are.

mod evaluate;
mod given;
mod pane;
mod rule_state;
mod sessions;
mod snapshot;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use dataflow::json::push_string;
use dataflow::{OffsetRange, PartitionId, Positions, TableBatch};

use crate::alert::{AlertWriter, Provenance};
use crate::correlation::CorrelationState;
use crate::delta::Delta;
use crate::error::{AggregateError, Result};
use crate::failures::{Failures, RuleFailure, RuleWork};
use crate::held::{Held, HeldAlerts};
use crate::late::LateWriter;
use crate::rule::{Rule, RuleSet};
use crate::source_stage::labels;
use crate::sql::WindowPlan;
use crate::watch::WatchState;

pub(crate) use given::Sink;
use rule_state::RuleState;
use sessions::SessionState;

/// When a step happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepStamp {
    /// The step's number in its chain.
    pub step: i64,
    /// Its time, microseconds UTC: `_received_at` of its alerts.
    pub at: i64,
    /// Everything that was received before it is merged, microseconds UTC; none if that is not known. For watches.
    pub received_until: Option<i64>,
}

/// What a step gives.
#[derive(Debug, Clone, Default)]
pub struct StepOutput {
    /// Rows of `detection_finding`.
    pub alerts: Option<TableBatch>,
    /// Rows of `late_window`.
    pub late: Option<TableBatch>,
    /// Windows that ended in this step, over all rules; a window without rows is none.
    pub windows_closed: u64,
    /// Rows that came after the allowed lateness of at least one of their windows.
    pub late_rows: u64,
    /// Rows of keys beyond the limit on keys; no window sees them.
    pub overflow_rows: u64,
    /// Groups on which HAVING or SELECT failed.
    pub failures: Vec<RuleFailure>,
    /// What each windowed rule was asked.
    pub work: Vec<RuleWork>,
    /// Alerts that were kept back.
    pub held: Vec<Held>,
}

/// Bounds on a rule's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Keys of one rule in one pane. Rows of further keys go to `late_window` with reason `key_limit`: the first by their keys, the
    /// rest together.
    pub pane_keys_max: usize,
    /// Keys of one rule over all panes; a key counts once a pane.
    pub rule_keys_max: usize,
    /// Rows that a key of a correlation holds.
    pub key_hits_max: usize,
    /// Bytes that a correlation rule holds.
    pub hit_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { pane_keys_max: 1_000_000, rule_keys_max: 4_000_000, key_hits_max: 100_000, hit_bytes_max: 1 << 30 }
    }
}

/// The windows of one rule.
#[derive(Debug)]
enum State {
    Windows(RuleState),
    Sessions(SessionState),
}

impl State {
    fn new(plan: &Arc<WindowPlan>) -> Self {
        if plan.spec.is_session() {
            Self::Sessions(SessionState::new(plan))
        } else {
            Self::Windows(RuleState::new(plan))
        }
    }

    fn apply(
        &mut self,
        rule: &Rule,
        state: &RecordBatch,
        watermark: i64,
        limits: Limits,
        late: &mut LateWriter,
    ) -> Result<()> {
        match self {
            Self::Windows(windows) => windows.apply(rule, state, watermark, limits, late),
            Self::Sessions(sessions) => sessions.apply(rule, state, watermark, limits, late),
        }
    }

    fn step(&mut self, rule: &Rule, before: i64, after: i64, sink: &mut Sink<'_>) -> Result<u64> {
        match self {
            Self::Windows(windows) => windows.step(rule, before, after, sink),
            Self::Sessions(sessions) => sessions.step(rule, before, after, sink),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Windows(windows) => windows.bytes(),
            Self::Sessions(sessions) => sessions.bytes(),
        }
    }

    fn keys(&self) -> usize {
        match self {
            Self::Windows(windows) => windows.keys(),
            Self::Sessions(sessions) => sessions.keys(),
        }
    }

    fn last_end(&self) -> Option<i64> {
        match self {
            Self::Windows(windows) => windows.last_end(),
            Self::Sessions(sessions) => sessions.last_end(),
        }
    }

    fn windows_open(&self, after: i64) -> usize {
        match self {
            Self::Windows(windows) => windows.windows_open(after),
            Self::Sessions(sessions) => sessions.windows_open(after),
        }
    }
}

/// See the module's front. One a merge group.
#[derive(Debug)]
pub struct MergeStage {
    rules: Arc<RuleSet>,
    group: u32,
    limits: Limits,
    watermark: Option<i64>,
    /// One a rule; none for filter rules.
    states: Vec<Option<State>>,
    /// One a rule; none but for correlations.
    correlations: Vec<Option<CorrelationState>>,
    /// One a rule; none but for watches.
    watches: Vec<Option<WatchState>>,
    late: LateWriter,
    unsettled: bool,
}

impl MergeStage {
    /// A stage without state.
    pub fn new(rules: &Arc<RuleSet>, group: u32) -> Self {
        let states = rules.rules().iter().map(|r| r.window().map(State::new)).collect();
        let correlations = rules.rules().iter().map(|r| r.correlation().map(CorrelationState::new)).collect();
        let watches = rules.rules().iter().map(|r| r.watch().map(WatchState::new)).collect();
        let (rules, late, limits) = (rules.clone(), LateWriter::new(), Limits::default());
        Self { rules, group, limits, watermark: None, states, correlations, watches, late, unsettled: false }
    }

    /// Sets the bounds on state. They are part of what makes a rebuilt state the same: keep them for the chain's life.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The rules that it runs.
    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// Goes on with these rules. One that stays as it was keeps its windows and the alerts that it gave, one that is new has none.
    ///
    /// # Errors
    /// [`AggregateError::Unsettled`] if deltas were applied since the last step.
    pub fn set_rules(&mut self, rules: &Arc<RuleSet>) -> Result<()> {
        if self.unsettled {
            return Err(AggregateError::Unsettled);
        }
        let fresh = Self::new(rules, self.group);
        let mut old = std::mem::replace(self, fresh);
        (self.limits, self.watermark, self.late) = (old.limits, old.watermark, old.late);
        for (index, rule) in rules.rules().iter().enumerate() {
            if let Some(was) = old.rules.position(&rule.fingerprint) {
                self.states[index] = old.states[was].take();
                self.correlations[index] = old.correlations[was].take();
                self.watches[index] = old.watches[was].take();
            }
        }
        Ok(())
    }

    /// Lets alerts of correlations name so many rows of each rule that they refer to, whatever the rule says.
    pub fn set_correlation_evidence(&mut self, rows: usize) {
        self.correlations.iter_mut().flatten().for_each(|state| state.set_evidence(rows));
    }

    /// The combined watermark of the last step.
    pub fn watermark(&self) -> Option<i64> {
        self.watermark
    }

    /// Bytes held, for budgets.
    pub fn bytes(&self) -> usize {
        let correlations = self.correlations.iter().flatten().map(CorrelationState::bytes);
        let watches = self.watches.iter().flatten().map(WatchState::bytes);
        self.states.iter().flatten().map(State::bytes).chain(correlations).chain(watches).sum()
    }

    /// Keys that are held, each for every rule, and for every pane of a rule's windows that has it.
    pub fn keys(&self) -> usize {
        let correlations = self.correlations.iter().flatten().map(CorrelationState::keys);
        let watches = self.watches.iter().flatten().map(WatchState::keys);
        self.states.iter().flatten().map(State::keys).chain(correlations).chain(watches).sum()
    }

    /// Adds a range's delta. States of rules that are not loaded, or in another version, are left out.
    ///
    /// # Errors
    /// If the delta is of another merge group, or the states cannot be merged.
    pub fn apply(&mut self, partition: &PartitionId, range: OffsetRange, delta: &Delta) -> Result<()> {
        if delta.group() != self.group && !delta.is_empty() {
            return Err(AggregateError::Group { found: delta.group(), wanted: self.group });
        }
        let watermark = self.watermark.unwrap_or(i64::MIN);
        self.late.begin(partition, range);
        for part in delta.parts() {
            let Some(index) = self.rules.position(&part.fingerprint) else { continue };
            let rule = &self.rules.rules()[index];
            if let Some(state) = &mut self.states[index] {
                state.apply(rule, &part.state, watermark, self.limits, &mut self.late)?;
                self.unsettled = true;
            }
            if let Some(state) = &mut self.correlations[index] {
                state.apply(rule, &part.state, watermark, self.limits, &mut self.late)?;
                self.unsettled = true;
            }
            if let Some(state) = &mut self.watches[index] {
                self.late.note_overflow(state.apply(&part.state, self.limits)?);
                self.unsettled = true;
            }
        }
        Ok(())
    }

    /// Raises the watermark to `watermark` (never lowers it), and evaluates what that and the deltas call for.
    /// `vector` and `versions` are named in the alerts.
    ///
    /// # Errors
    /// If states cannot be merged. Groups on which a rule fails are no error: [`StepOutput::failures`].
    pub fn step(
        &mut self,
        stamp: StepStamp,
        watermark: Option<i64>,
        vector: &Positions,
        versions: &BTreeMap<String, String>,
    ) -> Result<StepOutput> {
        let before = self.watermark.unwrap_or(i64::MIN);
        self.watermark = self.watermark.max(watermark);
        let after = self.watermark.unwrap_or(i64::MIN);
        let provenance = Provenance { vector: vector_json(vector), versions: labels(versions) };
        let (mut alerts, mut failures, mut held) = (AlertWriter::new(), Failures::default(), HeldAlerts::default());
        let partition = merge_partition(self.group);
        let mut sink =
            Sink { alerts: &mut alerts, failures: &mut failures, held: &mut held, partition, stamp, provenance };
        let mut windows_closed = 0;
        for (rule, state) in self.rules.rules().iter().zip(&mut self.states) {
            if let Some(state) = state {
                windows_closed += state.step(rule, before, after, &mut sink)?;
            }
        }
        for (rule, state) in self.rules.rules().iter().zip(&mut self.correlations) {
            if let Some(state) = state {
                self.late.note_overflow(state.step(rule, after, self.limits, &mut sink));
            }
        }
        for (rule, state) in self.rules.rules().iter().zip(&mut self.watches) {
            if let Some(state) = state {
                state.step(rule, stamp.received_until, &mut sink)?;
            }
        }
        self.unsettled = false;
        let (late, late_rows, overflow_rows) = self.late.take();
        let (alerts, (failures, work), held) = (alerts.take(), failures.take(&self.rules), held.take());
        Ok(StepOutput { alerts, late, windows_closed, late_rows, overflow_rows, failures, work, held })
    }

    /// The smallest watermark that closes every open window; none if none is open. For the end of a bounded input.
    pub fn close_all_watermark(&self) -> Option<i64> {
        let after = self.watermark.unwrap_or(i64::MIN);
        let correlations = self.correlations.iter().flatten().filter_map(CorrelationState::last_end);
        let ends = self.states.iter().flatten().filter_map(State::last_end).chain(correlations);
        ends.filter(|end| *end > after).max()
    }

    /// When a watch will have something to judge even if nothing comes: a step whose `received_until` is as late is due then.
    pub fn wakes_at(&self) -> Option<i64> {
        self.watches.iter().flatten().filter_map(WatchState::wakes_at).min()
    }

    /// Windows that hold rows and have not ended, over all rules.
    pub fn windows_open(&self) -> usize {
        let after = self.watermark.unwrap_or(i64::MIN);
        let correlations = self.correlations.iter().flatten().map(CorrelationState::windows_open);
        self.states.iter().flatten().map(|state| state.windows_open(after)).chain(correlations).sum()
    }

    /// The state after the last step, as bytes.
    ///
    /// # Errors
    /// [`AggregateError::Unsettled`] if deltas were applied since.
    pub fn snapshot(&self) -> Result<Vec<u8>> {
        if self.unsettled || !self.late.is_empty() {
            return Err(AggregateError::Unsettled);
        }
        snapshot::write(self)
    }

    /// The stage that gave the snapshot. A rule that is new, or in another version than in the snapshot, starts fresh.
    ///
    /// # Errors
    /// If the bytes are damaged, of another version or of another group.
    pub fn restore(rules: &Arc<RuleSet>, group: u32, bytes: &[u8]) -> Result<MergeStage> {
        snapshot::read(rules, group, bytes)
    }
}

fn merge_partition(group: u32) -> PartitionId {
    PartitionId::new("_merge", "0", i32::try_from(group).unwrap_or(i32::MAX))
}

fn vector_json(vector: &Positions) -> String {
    let mut out = String::from("{");
    for (i, (partition, next)) in vector.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_string(&mut out, &partition.path());
        out.push(':');
        out.push_str(&next.to_string());
    }
    out.push('}');
    out
}

#[cfg(test)]
mod tests;
