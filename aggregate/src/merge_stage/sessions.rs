//! One rule's sessions: panes as long as the gap, in which a key's rows are all of one session, and the times of the first
//! and last of them.
//!
//! A session is a chain of such panes, each less than a gap behind the one before. It ends when the watermark passes its end,
//! is revised while late rows are allowed, and goes when they no longer are. Late rows may make it longer, or one of two: then
//! the alerts of what it was are closed.
//!
//! A row is too late once a session of it alone would have ended for good, whatever it would go on to: else a chain of late rows
//! could reach back to any session, and none could ever go. Rows of one delta, key and pane are one state and share the time of
//! the last of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;

use super::Limits;
use super::evaluate::{Evaluated, Question, evaluate};
use super::given::{AlertKey, GivenAlerts, Sink};
use super::pane::{KeyBytes, Keyed, Pane};
use super::rule_state::{merge, panes};
use crate::error::Result;
use crate::failures::Failures;
use crate::group_table::StateLayout;
use crate::late::{LateWriter, Missed, MissedGroups};
use crate::rule::Rule;
use crate::sql::WindowPlan;

/// See the module's front.
#[derive(Debug)]
pub(crate) struct SessionState {
    plan: Arc<WindowPlan>,
    pub(super) layout: StateLayout,
    /// With a session's number before the tenant.
    numbered: StateLayout,
    keys: KeyBytes,
    pub(super) panes: BTreeMap<i64, SessionPane>,
    pub(super) given: GivenAlerts,
}

/// One pane.
#[derive(Debug)]
pub(super) struct SessionPane {
    pub(super) states: Pane,
    /// For each key of the states.
    of_keys: Vec<OfKey>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OfKey {
    first: i64,
    last: i64,
    /// Its session can change no more.
    is_gone: bool,
}

/// A key in a pane.
type Place = (i64, usize);

impl SessionPane {
    fn new(inputs: usize) -> Self {
        Self { states: Pane::new(inputs), of_keys: Vec::new() }
    }

    /// The number of a key whose session lives.
    fn find(&self, key: &[u8]) -> Option<usize> {
        self.states.find(key).filter(|number| !self.of_keys[*number].is_gone)
    }

    fn live(&self) -> impl Iterator<Item = (usize, OfKey)> {
        self.of_keys.iter().copied().enumerate().filter(|(_, key)| !key.is_gone)
    }

    pub(super) fn gone(&self) -> Vec<usize> {
        self.of_keys.iter().enumerate().filter(|(_, key)| key.is_gone).map(|(number, _)| number).collect()
    }

    fn note(&mut self, keyed: &Keyed, rows: impl Iterator<Item = usize>, times: &Times<'_>) {
        for row in rows {
            let Some(number) = self.states.find(keyed.key(row)) else { continue };
            let (first, last) = (times.first[row], times.last[row]);
            match self.of_keys.get_mut(number) {
                Some(key) => (key.first, key.last) = (key.first.min(first), key.last.max(last)),
                None => self.of_keys.push(OfKey { first, last, is_gone: false }),
            }
        }
    }
}

/// The times of a state's groups: of their first rows, and of their last.
struct Times<'a> {
    first: &'a [i64],
    last: &'a [i64],
}

impl SessionState {
    pub(crate) fn new(plan: &Arc<WindowPlan>) -> Self {
        let (layout, numbered) = (StateLayout::new(plan, false), StateLayout::new(plan, true));
        let keys = KeyBytes::new(&layout).expect("DataFusion groups by the types that arrow makes rows of");
        let (panes, given) = (BTreeMap::new(), GivenAlerts::default());
        Self { plan: plan.clone(), layout, numbered, keys, panes, given }
    }

    fn gap(&self) -> i64 {
        self.plan.spec.slide
    }

    /// The last two aggregates of a session's plan.
    fn times<'a>(&self, state: &'a RecordBatch) -> Times<'a> {
        let states: usize = self.plan.aggregates.iter().map(|aggregate| aggregate.state.len()).sum();
        let column = |back: usize| state.column(self.layout.group + states - back).as_primitive::<Int64Type>().values();
        Times { first: column(2), last: column(1) }
    }

    /// Adds states of a snapshot to the pane that starts there, and marks the keys that are gone.
    pub(super) fn restore(&mut self, start: i64, states: Vec<RecordBatch>, gone: &[usize]) -> Result<()> {
        let mut pane = SessionPane::new(self.plan.inputs.len());
        for state in states {
            let keyed = self.keys.keyed(state)?;
            pane.states.restore(&keyed);
            pane.note(&keyed, 0..keyed.len(), &self.times(keyed.state()));
        }
        for number in gone {
            if let Some(key) = pane.of_keys.get_mut(*number) {
                key.is_gone = true;
            }
        }
        self.panes.insert(start, pane);
        Ok(())
    }

    pub(super) fn bytes(&self) -> usize {
        let pane = |pane: &SessionPane| pane.states.bytes() + pane.of_keys.capacity() * size_of::<OfKey>();
        self.panes.values().map(pane).sum::<usize>() + self.given.len() * 160
    }

    pub(super) fn keys(&self) -> usize {
        self.panes.values().map(|pane| pane.states.len()).sum()
    }

    /// End of the last session.
    pub(super) fn last_end(&self) -> Option<i64> {
        let (_, pane) = self.panes.last_key_value()?;
        pane.live().map(|(_, key)| self.plan.spec.session_end(key.last)).max()
    }

    /// Sessions that end after `after`.
    pub(super) fn windows_open(&self, after: i64) -> usize {
        self.ending(after..i64::MAX).len()
    }

    /// Adds a delta's states. Those that are too late are noted.
    pub(super) fn apply(
        &mut self,
        rule: &Rule,
        state: &RecordBatch,
        watermark: i64,
        limits: Limits,
        late: &mut LateWriter,
    ) -> Result<()> {
        let closed_until = watermark.saturating_sub(rule.allowed_lateness_us());
        let by_pane = panes(state)?;
        let keyed =
            self.keys.keyed(RecordBatch::try_new(self.layout.schema.clone(), state.columns()[1..].to_vec())?)?;
        for (pane, rows) in by_pane {
            let times = self.times(keyed.state());
            let is_late = |row: &u32| self.plan.spec.session_end(times.last[*row as usize]) <= closed_until;
            let (missed, rows): (Vec<u32>, Vec<u32>) = rows.into_iter().partition(is_late);
            if !missed.is_empty() {
                let (state, pane) = (keyed.take(&missed)?, (pane, pane + self.gap()));
                late.push(&MissedGroups { rule, state: &state, pane, closed_until, why: Missed::Late });
            }
            if !rows.is_empty() {
                self.add(rule, pane, (&keyed, rows), limits, late)?;
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        rule: &Rule,
        start: i64,
        (keyed, rows): (&Keyed, Vec<u32>),
        limits: Limits,
        late: &mut LateWriter,
    ) -> Result<()> {
        let live = |pane: &SessionPane| pane.live().count();
        let total: usize = self.panes.values().map(live).sum();
        let is_back = |pane: &SessionPane| {
            rows.iter().any(|&row| {
                let key = keyed.key(row as usize);
                pane.states.find(key).is_some() && pane.find(key).is_none()
            })
        };
        if self.panes.get(&start).is_some_and(is_back) {
            self.compact(start)?;
        }
        let inputs = self.plan.inputs.len();
        let pane = self.panes.entry(start).or_insert_with(|| SessionPane::new(inputs));
        let (held, own) = (pane.states.len(), live(pane));
        let room = limits.pane_keys_max.saturating_sub(own).min(limits.rule_keys_max.saturating_sub(total));
        let over = pane.states.add(keyed, rows.clone(), held + room)?;
        let is_in = |row: &u32| over.binary_search(row).is_err();
        let times = Self::times(self, keyed.state());
        let rows = rows.iter().filter(|row| is_in(row)).map(|&row| row as usize);
        if let Some(pane) = self.panes.get_mut(&start) {
            pane.note(keyed, rows, &times);
        }
        if self.panes.get(&start).is_some_and(|pane| pane.states.len() == 0) {
            self.panes.remove(&start);
        }
        if !over.is_empty() {
            let (state, pane) = (keyed.take(&over)?, (start, start + self.gap()));
            let closed_until = start.saturating_add(self.plan.spec.size);
            late.push(&MissedGroups { rule, state: &state, pane, closed_until, why: Missed::KeyLimit });
        }
        Ok(())
    }

    /// Evaluates the sessions that ended, or changed after that. Returns how many ended.
    pub(super) fn step(&mut self, rule: &Rule, before: i64, after: i64, sink: &mut Sink<'_>) -> Result<u64> {
        let ended = self.ending(before..after);
        let closed = ended.len() as u64;
        let due = ended.into_iter().chain(self.revised(before)).collect();
        for alert in self.evaluate(rule, &due, sink.failures)? {
            self.given.close_overtaken(rule, &alert, sink);
            // Sessions that may be suppressed end one after the other, once and for all.
            let _none = self.given.give(rule, &alert, true, sink);
        }
        self.settle(rule)?;
        // Two gaps longer than its end says: until then a row that is not too late, or shares a state with one, may go on from it.
        let reach = rule.allowed_lateness_us().saturating_add(self.gap().saturating_mul(2));
        self.forget(rule, before.saturating_sub(reach), after.saturating_sub(reach))?;
        Ok(closed)
    }

    /// The last places of the sessions whose end lies after `ends.start`, at `ends.end` at the latest.
    fn ending(&self, ends: Range<i64>) -> Vec<Place> {
        let from = ends.start.saturating_sub(self.gap().saturating_mul(2));
        let panes = self.panes.range(from..ends.end.max(from));
        let is_due = |start: i64, (number, key): (usize, OfKey)| {
            let end = self.plan.spec.session_end(key.last);
            let is_due = ends.start < end && end <= ends.end && self.next((start, number)).is_none();
            is_due.then_some((start, number))
        };
        panes.flat_map(|(start, pane)| pane.live().filter_map(move |key| is_due(*start, key))).collect()
    }

    /// The last places of the sessions that had ended and have new rows.
    fn revised(&self, before: i64) -> Vec<Place> {
        let fresh = self.panes.iter().flat_map(|(start, pane)| pane.states.fresh_keys().map(|number| (*start, number)));
        let last = fresh.map(|place| self.last(place));
        last.filter(|place| self.key(*place).is_some_and(|key| self.plan.spec.session_end(key.last) <= before))
            .collect()
    }

    fn key(&self, (start, number): Place) -> Option<OfKey> {
        self.panes.get(&start)?.of_keys.get(number).copied()
    }

    /// Where the session goes on after a place.
    fn next(&self, (start, number): Place) -> Option<Place> {
        let pane = self.panes.get(&start)?;
        let (key, last) = (pane.states.key(number)?, pane.of_keys.get(number)?.last);
        let next = start.saturating_add(self.gap());
        if next.rem_euclid(self.plan.spec.size) == 0 {
            return None;
        }
        let number = self.panes.get(&next)?.find(key)?;
        (self.key((next, number))?.first - last < self.gap()).then_some((next, number))
    }

    fn previous(&self, (start, number): Place) -> Option<Place> {
        let pane = self.panes.get(&start)?;
        let before = start.saturating_sub(self.gap());
        let place = (before, self.panes.get(&before)?.find(pane.states.key(number)?)?);
        (self.next(place) == Some((start, number))).then_some(place)
    }

    fn last(&self, place: Place) -> Place {
        std::iter::successors(Some(place), |place| self.next(*place)).last().unwrap_or(place)
    }

    /// Its places, the last first.
    fn session(&self, last: Place) -> Vec<Place> {
        std::iter::successors(Some(last), |place| self.previous(*place)).collect()
    }

    /// Evaluates the sessions that have these last places.
    fn evaluate(&self, rule: &Rule, due: &BTreeSet<Place>, failures: &mut Failures) -> Result<Vec<Evaluated>> {
        let mut sessions: BTreeMap<i64, HashMap<u32, i64>> = BTreeMap::new();
        for last in due {
            let places = self.session(*last);
            let number = places.last().map_or(last.0, |first| first.0);
            for (start, key) in places {
                sessions.entry(start).or_default().insert(key as u32, number);
            }
        }
        let mut states = Vec::new();
        for (start, numbers) in &sessions {
            let Some(pane) = self.panes.get(start) else { continue };
            for (state, numbers) in pane.states.numbered(|key| numbers.get(&key).copied())? {
                let mut columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(numbers))];
                columns.extend_from_slice(state.columns());
                states.push(RecordBatch::try_new(self.numbered.schema.clone(), columns)?);
            }
        }
        let (plan, layout) = (&self.plan, &self.numbered);
        let stands = |key: &AlertKey, window: (i64, i64)| {
            self.given.is_open(key, window.1) || !self.given.overtaken(key, window).is_empty()
        };
        evaluate(Question { rule, plan, layout, window: None, states, stands: &stands }, failures)
    }

    fn settle(&mut self, rule: &Rule) -> Result<()> {
        let Self { plan, layout, keys, panes, .. } = self;
        let settle = |pane: &mut SessionPane| pane.states.settle(|states| merge(rule, plan, layout, states), keys);
        panes.values_mut().try_for_each(settle)
    }

    /// Drops the sessions that can change no more.
    fn forget(&mut self, rule: &Rule, before: i64, after: i64) -> Result<()> {
        for last in self.ending(before..after) {
            for (start, number) in self.session(last) {
                if let Some(pane) = self.panes.get_mut(&start) {
                    pane.of_keys[number].is_gone = true;
                }
            }
        }
        self.given.forget(rule, after);
        self.panes.retain(|_, pane| pane.live().next().is_some());
        let is_sparse = |(_, pane): &(&i64, &SessionPane)| 2 * pane.live().count() < pane.of_keys.len();
        let sparse: Vec<i64> = self.panes.iter().filter(is_sparse).map(|(start, _)| *start).collect();
        sparse.into_iter().try_for_each(|start| self.compact(start))
    }

    /// Makes a pane anew, of the keys that live.
    fn compact(&mut self, start: i64) -> Result<()> {
        let Some(pane) = self.panes.remove(&start) else { return Ok(()) };
        let marks: Vec<bool> = pane.of_keys.iter().map(|key| !key.is_gone).collect();
        let (settled, fresh) = pane.states.parts(&marks)?;
        self.restore(start, settled, &[])?;
        for state in fresh {
            let keyed = self.keys.keyed(state)?;
            let times = Self::times(self, keyed.state());
            if let Some(pane) = self.panes.get_mut(&start) {
                pane.states.add(&keyed, (0..keyed.len() as u32).collect(), usize::MAX)?;
                pane.note(&keyed, 0..keyed.len(), &times);
            }
        }
        Ok(())
    }
}
