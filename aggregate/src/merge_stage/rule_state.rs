//! One rule's windows: panes of mergeable states, and the alerts already given.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;

use super::Limits;
use super::evaluate::{Evaluated, Question, evaluate};
use super::given::{AlertKey, GivenAlerts, Sink};
use super::pane::{KeyBytes, Keyed, Pane, worth};
use crate::codes::Codes;
use crate::error::{AggregateError, Result};
use crate::failures::Failures;
use crate::group_table::{GroupTable, StateLayout};
use crate::late::{LateWriter, Missed, MissedGroups};
use crate::rule::{Emit, Rule};
use crate::sql::WindowPlan;
use crate::window::WindowSpec;

/// See the module's front.
#[derive(Debug)]
pub(crate) struct RuleState {
    plan: Arc<WindowPlan>,
    pub(super) layout: StateLayout,
    pub(super) keys: KeyBytes,
    pub(super) panes: BTreeMap<i64, Pane>,
    pub(super) given: GivenAlerts,
}

/// Why a window is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// The watermark passed its end in this step: every key.
    Close,
    /// It is open, and the threshold may be met: the keys that changed.
    Threshold,
    /// It had closed, and late rows came: the keys that changed.
    Revise,
    /// An earlier alert came or went that may keep one of its own back: every key.
    Again,
}

impl Due {
    /// Looked at for the keys behind an earlier alert, too.
    fn and_again(self) -> Self {
        if self == Due::Close { Due::Close } else { Due::Again }
    }
}

impl RuleState {
    pub(crate) fn new(plan: &Arc<WindowPlan>) -> Self {
        let layout = StateLayout::new(plan, false);
        let keys = KeyBytes::new(&layout).expect("DataFusion groups by the types that arrow makes rows of");
        Self { plan: plan.clone(), layout, keys, panes: BTreeMap::new(), given: GivenAlerts::default() }
    }

    /// Adds a state of a snapshot to the pane that starts there.
    pub(super) fn restore(&mut self, start: i64, state: RecordBatch) -> Result<()> {
        let inputs = self.plan.inputs.len();
        let keyed = self.keys.keyed(state)?;
        self.panes.entry(start).or_insert_with(|| Pane::new(inputs)).restore(&keyed);
        Ok(())
    }

    fn spec(&self) -> WindowSpec {
        self.plan.spec
    }

    pub(super) fn bytes(&self) -> usize {
        self.panes.values().map(Pane::bytes).sum::<usize>() + self.given.len() * 160
    }

    pub(super) fn keys(&self) -> usize {
        self.panes.values().map(Pane::len).sum()
    }

    /// End of the last window that holds rows.
    pub(super) fn last_end(&self) -> Option<i64> {
        self.panes.last_key_value().map(|(pane, _)| self.spec().last_end(*pane))
    }

    /// Windows that hold rows and end after `after`. Panes rise, and so do their windows: each is counted at its first pane.
    pub(super) fn windows_open(&self, after: i64) -> usize {
        let (spec, mut counted, mut open) = (self.spec(), i64::MIN, 0);
        for pane in self.panes.keys() {
            for end in spec.ends(*pane, after.max(counted), i64::MAX) {
                counted = end;
                open += 1;
            }
        }
        open
    }

    /// Adds a delta's states. Panes that lie in windows closed for good are noted as late.
    pub(super) fn apply(
        &mut self,
        rule: &Rule,
        state: &RecordBatch,
        watermark: i64,
        limits: Limits,
        late: &mut LateWriter,
    ) -> Result<()> {
        let closed_until = watermark.saturating_sub(rule.allowed_lateness_us());
        let panes = panes(state)?;
        let state = RecordBatch::try_new(self.layout.schema.clone(), state.columns()[1..].to_vec())?;
        let keyed = self.keys.keyed(state)?;
        for (pane, rows) in panes {
            let spec = self.spec();
            if spec.first_end(pane) <= closed_until {
                let (state, pane) = (keyed.take(&rows)?, (pane, pane + spec.pane));
                late.push(&MissedGroups { rule, state: &state, pane, closed_until, why: Missed::Late });
            }
            if spec.last_end(pane) > closed_until {
                self.add(rule, pane, (&keyed, rows), limits, late)?;
            }
        }
        Ok(())
    }

    /// Adds rows of a state to their pane. Pane and rule hold at most as many keys as the limits say: those that came first stay, the
    /// rows of others are noted and left out.
    fn add(
        &mut self,
        rule: &Rule,
        start: i64,
        (keyed, rows): (&Keyed, Vec<u32>),
        limits: Limits,
        late: &mut LateWriter,
    ) -> Result<()> {
        let (end, closed_until) = (start + self.spec().pane, self.spec().last_end(start));
        let total: usize = self.panes.values().map(Pane::len).sum();
        let inputs = self.plan.inputs.len();
        let pane = self.panes.entry(start).or_insert_with(|| Pane::new(inputs));
        let room = limits.pane_keys_max.min(pane.len() + limits.rule_keys_max.saturating_sub(total));
        let over = pane.add(keyed, rows, room)?;
        if pane.len() == 0 {
            self.panes.remove(&start);
        }
        if !over.is_empty() {
            let (state, pane) = (keyed.take(&over)?, (start, end));
            late.push(&MissedGroups { rule, state: &state, pane, closed_until, why: Missed::KeyLimit });
        }
        Ok(())
    }

    /// Evaluates the windows that are due. Returns how many closed.
    pub(super) fn step(&mut self, rule: &Rule, before: i64, after: i64, sink: &mut Sink<'_>) -> Result<u64> {
        let mut due = self.due(rule, before, after);
        let closed = due.values().filter(|d| **d == Due::Close).count() as u64;
        // What is looked at again ends later than what is looked at, so this ends.
        while let Some((end, why)) = due.pop_first() {
            let alerts = self.evaluate(rule, end, why, sink.failures)?;
            let behind = alerts.iter().flat_map(|alert| self.given.give(rule, alert, end <= after, sink));
            for later in behind {
                due.entry(later).and_modify(|why| *why = why.and_again()).or_insert(Due::Again);
            }
        }
        self.settle(rule)?;
        self.forget(rule, after.saturating_sub(rule.allowed_lateness_us()));
        Ok(closed)
    }

    /// The windows that are due, by their ends.
    fn due(&self, rule: &Rule, before: i64, after: i64) -> BTreeMap<i64, Due> {
        let mut due = BTreeMap::new();
        let spec = self.spec();
        let closed_until = before.saturating_sub(rule.allowed_lateness_us());
        for (pane, state) in &self.panes {
            due.extend(spec.ends(*pane, before, after).map(|end| (end, Due::Close)));
            if !state.is_fresh() {
                continue;
            }
            if rule.emit() == Emit::OnThreshold {
                due.extend(spec.ends(*pane, after, i64::MAX).map(|end| (end, Due::Threshold)));
            }
            due.extend(spec.ends(*pane, closed_until, before).map(|end| (end, Due::Revise)));
        }
        due
    }

    fn evaluate(&self, rule: &Rule, end: i64, due: Due, failures: &mut Failures) -> Result<Vec<Evaluated>> {
        let start = self.spec().start_of(end);
        let panes: Vec<&Pane> = self.panes.range(start..end).map(|(_, pane)| pane).collect();
        let is_of_changed = matches!(due, Due::Threshold | Due::Revise);
        let marks = worth(&panes, &self.plan.needs, is_of_changed);
        let mut states = Vec::new();
        for (i, pane) in panes.iter().enumerate() {
            states.extend(pane.states(marks.as_ref().map(|marks| marks[i].as_slice()))?);
        }
        let (plan, layout, window) = (&self.plan, &self.layout, Some((start, end)));
        let stands = |key: &AlertKey, _| self.given.is_open(key, end);
        evaluate(Question { rule, plan, layout, window, states, stands: &stands }, failures)
    }

    fn settle(&mut self, rule: &Rule) -> Result<()> {
        let Self { plan, layout, keys, panes, .. } = self;
        panes.values_mut().try_for_each(|pane| pane.settle(|states| merge(rule, plan, layout, states), keys))
    }

    /// Drops what no window can change any more.
    fn forget(&mut self, rule: &Rule, closed_until: i64) {
        let spec = self.spec();
        self.panes.retain(|pane, _| spec.last_end(*pane) > closed_until);
        self.given.forget(rule, closed_until);
    }
}

/// A delta's rows, pane by pane.
pub(super) fn panes(state: &RecordBatch) -> Result<BTreeMap<i64, Vec<u32>>> {
    let panes = state.column(0).as_primitive_opt::<Int64Type>();
    let panes = panes.ok_or_else(|| decode_error("its pane column is no integer"))?;
    let mut rows: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
    for (row, pane) in panes.values().iter().enumerate() {
        rows.entry(*pane).or_default().push(row as u32);
    }
    Ok(rows)
}

fn decode_error(why: &str) -> AggregateError {
    AggregateError::Decode { what: "delta", why: why.to_owned() }
}

/// States as one, keys in the order of first sight.
pub(super) fn merge(
    rule: &Rule,
    plan: &Arc<WindowPlan>,
    layout: &StateLayout,
    states: [&RecordBatch; 2],
) -> Result<RecordBatch> {
    let failed = AggregateError::evaluate(rule.uid());
    let mut codes = Codes::default();
    let mut table = GroupTable::new(plan, layout.clone(), rule.evidence()).map_err(&failed)?;
    for state in states {
        table.merge(state, &mut codes).map_err(&failed)?;
    }
    table.take_state(&codes).map_err(&failed)
}
