//! One source of a watch: its slots that wait, what was learned of it, and the alert that stands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, StringArray};
use dataflow::time::rfc3339;
use serde::{Deserialize, Serialize};

use super::dead_letters::{Share, Topic, Turn};
use super::silence::{Gap, Silence};
use super::{SLOT_US, WatchPlan};
use crate::alert::{Change, Finding, Identity, alert_id, selected};
use crate::error::Result;
use crate::evidence::EvidenceRow;
use crate::merge_stage::Sink;
use crate::rule::Rule;

/// Slots of one source that may wait to be judged: those of a week.
const WAITING_MAX: usize = 2_016;

/// One source of records.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Source {
    names: Vec<Option<String>>,
    /// Slots that were not judged yet.
    waiting: BTreeMap<i64, Slot>,
    learned: Option<Learned>,
    open: Option<Open>,
    /// The rows of the last slot that was judged.
    rows: BTreeSet<RowId>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Slot {
    share: Share,
    rows: BTreeSet<RowId>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Learned {
    Silence(Silence),
    DeadLetters(Box<Topic>),
}

/// An alert that stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Open {
    window: (i64, i64),
    /// False if an exception took it away.
    has_left: bool,
}

/// Time, partition, offset, record, input.
pub(super) type RowId = (i64, Arc<str>, i64, i32, usize);

/// Rows of evidence an alert carries.
const EVIDENCE: usize = 5;

/// What is found of a source: something begins, or what was said last is over.
#[derive(Debug)]
pub(super) struct Said {
    /// The slots of what begins.
    begins: Option<Gap>,
    figures: Figures,
    rows: BTreeSet<RowId>,
}

/// What an alert says, beside the source's names.
#[derive(Debug, Clone, Copy)]
enum Figures {
    /// The slot of the last record; slots of silence, and how many are usual at most.
    Silence { last: i64, silent: i64, usual: i64 },
    /// Of the slot, and of the day before.
    DeadLetters { now: Share, usual: Share },
}

impl Figures {
    fn silence(silence: &Silence, (start, end): Gap) -> Self {
        Self::Silence { last: silence.last(), silent: end - start, usual: silence.usual() }
    }

    fn columns(self) -> Vec<ArrayRef> {
        fn one<T: From<Vec<N>> + Array + 'static, N>(value: N) -> ArrayRef {
            Arc::new(T::from(vec![value]))
        }
        let minutes = |slots: i64| one::<Int64Array, i64>(slots.saturating_mul(SLOT_US / 60_000_000));
        let count = |number: u64| one::<Int64Array, i64>(i64::try_from(number).unwrap_or(i64::MAX));
        match self {
            Self::Silence { last, silent, usual } => {
                let last = rfc3339(last.saturating_add(1).saturating_mul(SLOT_US));
                vec![one::<StringArray, _>(last), minutes(silent), minutes(usual)]
            }
            Self::DeadLetters { now, usual } => {
                let [percent, usual] = [now, usual].map(|share| one::<Float64Array, _>(share.percent()));
                vec![count(now.records), count(now.dead), percent, usual]
            }
        }
    }
}

impl Learned {
    fn new(plan: &WatchPlan, slot: i64) -> Self {
        match plan {
            WatchPlan::Silence(_) => Self::Silence(Silence::new(slot)),
            WatchPlan::DeadLetters(_) => Self::DeadLetters(Box::new(Topic::new(slot))),
        }
    }

    /// Takes in a slot with records. `is_open`: an alert stands.
    fn take_in(
        &mut self,
        plan: &WatchPlan,
        slot: i64,
        found: &Slot,
        before: &BTreeSet<RowId>,
        is_open: bool,
    ) -> Vec<Said> {
        let rows = || found.rows.clone();
        match (plan, self) {
            (WatchPlan::Silence(plan), Self::Silence(silence)) => {
                let begins = silence.due(plan).filter(|(_, end)| *end <= slot && !is_open);
                let begun =
                    begins.map(|gap| Said { begins, figures: Figures::silence(silence, gap), rows: before.clone() });
                let gap = (silence.last() + 1, slot);
                silence.hear(plan, slot);
                let is_over = is_open || begun.is_some();
                let over =
                    is_over.then(|| Said { begins: None, figures: Figures::silence(silence, gap), rows: rows() });
                begun.into_iter().chain(over).collect()
            }
            (WatchPlan::DeadLetters(plan), Self::DeadLetters(topic)) => {
                let figures = Figures::DeadLetters { now: found.share, usual: topic.usual() };
                let turn = topic.count(plan, slot, found.share);
                let begins = |turn: Turn| (turn == Turn::Jump).then_some((slot, slot + 1));
                turn.map(|turn| Said { begins: begins(turn), figures, rows: rows() }).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    /// When its silence will be too long, if no record comes.
    fn due(&self, plan: &WatchPlan) -> Option<Gap> {
        match (plan, self) {
            (WatchPlan::Silence(plan), Self::Silence(silence)) => silence.due(plan),
            _ => None,
        }
    }
}

impl Source {
    /// A source of which nothing is known but its names, a JSON list.
    pub(super) fn new(key: &str) -> Self {
        let names = serde_json::from_str(key).unwrap_or_default();
        Self { names, waiting: BTreeMap::new(), learned: None, open: None, rows: BTreeSet::new() }
    }

    /// Bytes held, roughly.
    pub(super) fn bytes(&self) -> usize {
        512 + self.waiting.len() * 128
    }

    /// Adds records of a slot, and one of them. False if there is no room.
    pub(super) fn add(&mut self, plan: &WatchPlan, slot: i64, share: Share, row: Option<RowId>) -> bool {
        if self.waiting.len() >= WAITING_MAX && !self.waiting.contains_key(&slot) {
            return false;
        }
        let waiting = self.waiting.entry(slot).or_default();
        waiting.share.add(share);
        keep(plan, &mut waiting.rows, row);
        true
    }

    /// Takes in the slots before `until`, in their order.
    pub(super) fn judge(&mut self, plan: &WatchPlan, until: i64) -> Vec<Said> {
        let (mut all, mut is_open) = (Vec::new(), self.open.is_some());
        while let Some(entry) = self.waiting.first_entry().filter(|entry| *entry.key() < until) {
            let (slot, found) = entry.remove_entry();
            let learned = self.learned.get_or_insert_with(|| Learned::new(plan, slot));
            let said = learned.take_in(plan, slot, &found, &self.rows, is_open);
            is_open = said.last().map_or(is_open, |last| last.begins.is_some());
            all.extend(said);
            self.rows = found.rows;
        }
        if let (Some(Learned::Silence(silence)), false) = (&self.learned, is_open) {
            let begins = self.learned.as_ref().and_then(|learned| learned.due(plan)).filter(|(_, end)| *end <= until);
            let rows = self.rows.clone();
            all.extend(begins.map(|gap| Said { begins, figures: Figures::silence(silence, gap), rows }));
        }
        all
    }

    /// The first slot at whose start there is something to judge, if nothing comes.
    pub(super) fn next(&self, plan: &WatchPlan) -> Option<i64> {
        let waiting = self.waiting.keys().next().map(|slot| slot + 1);
        let due = self.learned.as_ref().filter(|_| self.open.is_none()).and_then(|learned| learned.due(plan));
        waiting.into_iter().chain(due.map(|(_, end)| end)).min()
    }

    /// True if nothing is expected of it any more.
    pub(super) fn is_forgotten(&self, plan: &WatchPlan, until: i64) -> bool {
        self.waiting.is_empty()
            && match (plan, &self.learned) {
                (WatchPlan::Silence(plan), Some(Learned::Silence(silence))) => silence.is_forgotten(plan, until),
                (_, Some(Learned::DeadLetters(topic))) => topic.is_forgotten(until),
                _ => true,
            }
    }

    /// Makes an alert of what is found, or closes the one that stands; unless an exception is for it.
    pub(super) fn say(
        &mut self,
        rule: &Rule,
        plan: &WatchPlan,
        (tenant, key): (&str, &str),
        said: Said,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let names = self.names.iter().map(|name| -> ArrayRef { Arc::new(StringArray::from(vec![name.clone()])) });
        let figures = said.figures.columns();
        let columns = plan.alert_columns().into_iter().map(|(name, _)| name).zip(names.chain(figures));
        let columns: Vec<(&str, ArrayRef)> = columns.collect();
        let (change, revision) = match (said.begins, self.open.take()) {
            (Some((start, end)), _) => {
                let window = (start.saturating_mul(SLOT_US), end.saturating_mul(SLOT_US));
                let verdicts = rule.exceptions.of_columns(rule, &columns, &[window.1 - 1], sink.failures)?;
                let verdict = verdicts.into_iter().next().unwrap_or_default();
                rule.exceptions.count(rule, verdict, sink.held);
                self.open = Some(Open { window, has_left: !verdict.is_taken() });
                if verdict.is_taken() {
                    return Ok(());
                }
                ((Change::Create, window), 0)
            }
            (None, Some(open)) if open.has_left => ((Change::Over, open.window), 1),
            (None, _) => return Ok(()),
        };
        push((rule, tenant, key), change, revision, (&columns, &said.rows), sink);
        Ok(())
    }
}

fn push(
    (rule, tenant, key): (&Rule, &str, &str),
    (change, window): (Change, (i64, i64)),
    revision: i32,
    (columns, rows): (&[(&str, ArrayRef)], &BTreeSet<RowId>),
    sink: &mut Sink<'_>,
) {
    let (values, hot) = selected(columns, 0);
    let row = |(time, source, offset, record, input): &RowId| EvidenceRow {
        time: *time,
        source: source.clone(),
        offset: *offset,
        record: *record,
        input: *input,
    };
    let evidence: Vec<EvidenceRow> = rows.iter().map(row).collect();
    let finding = Finding {
        rule,
        tenant,
        alert_id: alert_id(tenant, rule, key, Some(window)),
        revision,
        change,
        time: window.1,
        window: Some(window),
        created_at: sink.stamp.at,
        values: &values,
        hot: &hot,
        evidence: &evidence,
    };
    let identity = Identity {
        partition: &sink.partition,
        offset: sink.stamp.step,
        record: i32::try_from(sink.alerts.len()).unwrap_or(i32::MAX),
        received_at: sink.stamp.at,
    };
    sink.alerts.push(&finding, &identity, &sink.provenance);
}

/// Of a silence the last rows, of dead letters the first.
fn keep(plan: &WatchPlan, rows: &mut BTreeSet<RowId>, row: Option<RowId>) {
    rows.extend(row);
    while rows.len() > EVIDENCE {
        match plan {
            WatchPlan::Silence(_) => rows.pop_first(),
            WatchPlan::DeadLetters(_) => rows.pop_last(),
        };
    }
}
