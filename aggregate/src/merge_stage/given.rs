//! The alerts that a rule's windows have given or kept back, and what a new evaluation makes of them: create, update, close, or
//! nothing.

use std::collections::BTreeMap;
use std::ops::RangeBounds;

use uuid::Uuid;

use super::StepStamp;
use super::evaluate::Evaluated;
use crate::alert::{AlertWriter, Change, Finding, Identity, Provenance, alert_id};
use crate::failures::Failures;
use crate::held::{HeldAlerts, HeldBy};
use crate::rule::{NAMESPACE, Rule};
use dataflow::PartitionId;

/// What an alert said last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    /// Start of its window.
    pub(super) start: i64,
    /// [`KEPT`] if it never left.
    pub(super) revision: i32,
    /// A hash of its values and evidence.
    pub(super) content: Uuid,
    /// False if it never left, or the last revision closed it.
    pub(super) stands: bool,
    /// What keeps it back, if something does.
    pub(super) held: Option<HeldBy>,
}

/// The revision of an alert that was kept back from the start.
const KEPT: i32 = -1;

/// What an evaluation says of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Now {
    /// HAVING does not hold.
    Gone,
    Held(HeldBy),
    Stands,
}

impl Now {
    fn held(self) -> Option<HeldBy> {
        if let Now::Held(by) = self { Some(by) } else { None }
    }
}

/// Tenant and key, as JSON.
pub(crate) type AlertKey = (String, String);

/// Where a step's alerts go.
#[derive(Debug)]
pub(crate) struct Sink<'a> {
    pub(crate) alerts: &'a mut AlertWriter,
    pub(crate) failures: &'a mut Failures,
    pub(crate) held: &'a mut HeldAlerts,
    pub(crate) partition: PartitionId,
    pub(crate) stamp: StepStamp,
    pub(crate) provenance: Provenance,
}

/// Alerts given, by the end of the window; kept while the window can still change.
#[derive(Debug, Default)]
pub(crate) struct GivenAlerts(BTreeMap<i64, BTreeMap<AlertKey, Given>>);

impl GivenAlerts {
    /// Every alert: end of its window, key, and what it said.
    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, &AlertKey, &Given)> {
        self.0.iter().flat_map(|(end, alerts)| alerts.iter().map(|(key, given)| (*end, key, given)))
    }

    pub(super) fn insert(&mut self, end: i64, key: AlertKey, given: Given) {
        self.0.entry(end).or_default().insert(key, given);
    }

    pub(super) fn len(&self) -> usize {
        self.0.values().map(BTreeMap::len).sum()
    }

    /// Drops those whose window can change no more.
    pub(super) fn forget(&mut self, closed_until: i64) {
        self.0.retain(|end, _| *end > closed_until);
    }

    /// True if an alert of the key stands or is kept back that ends there.
    pub(super) fn is_open(&self, key: &AlertKey, end: i64) -> bool {
        self.find(key, end).is_some_and(|given| given.stands || given.held.is_some())
    }

    fn find(&self, key: &AlertKey, end: i64) -> Option<&Given> {
        self.0.get(&end)?.get(key)
    }

    /// The ends of a key's alerts that stand and whose windows share time with this one without being it.
    pub(super) fn overtaken(&self, key: &AlertKey, window: (i64, i64)) -> Vec<i64> {
        let ends = self.of(key, window.0.saturating_add(1)..);
        let is_other = |(end, given): &(i64, &Given)| given.start < window.1 && (given.start, *end) != window;
        ends.filter(|other| other.1.stands && is_other(other)).map(|(end, _)| end).collect()
    }

    fn of(&self, key: &AlertKey, ends: impl RangeBounds<i64>) -> impl Iterator<Item = (i64, &Given)> {
        self.0.range(ends).filter_map(move |(end, alerts)| Some((*end, alerts.get(key)?)))
    }

    /// Gives an evaluated group's alert, if it is news. `may_change`: a given one is revised or closed, not only created.
    pub(super) fn give(&mut self, rule: &Rule, alert: &Evaluated, may_change: bool, sink: &mut Sink<'_>) {
        let (key, end) = ((alert.tenant.clone(), alert.key.clone()), alert.window.1);
        let last = self.find(&key, end).filter(|last| last.start == alert.window.0);
        let now = match alert.passes {
            false => Now::Gone,
            true if alert.verdict.is_taken() => Now::Held(HeldBy::Exception),
            true => Now::Stands,
        };
        let content = content(alert);
        let change = change(last, now, content, may_change);
        let (before, held) = (last.and_then(|last| last.held), now.held());
        if change.is_none() && held == before {
            return;
        }
        if change == Some(Change::Create) || held.is_some() && held != before {
            note(rule, alert, held, sink);
        }
        let revision = last.map_or(KEPT, |last| last.revision) + i32::from(change.is_some());
        change.iter().for_each(|change| push(rule, alert, revision, *change, alert.window, sink));
        let stands = now == Now::Stands;
        self.insert(end, key, Given { start: alert.window.0, revision, content, stands, held });
    }

    /// Closes the alerts of windows that this one has taken the place of.
    pub(super) fn close_overtaken(&mut self, rule: &Rule, alert: &Evaluated, sink: &mut Sink<'_>) {
        let key = (alert.tenant.clone(), alert.key.clone());
        for end in self.overtaken(&key, alert.window) {
            if let Some(given) = self.0.get_mut(&end).and_then(|alerts| alerts.get_mut(&key)) {
                (given.revision, given.stands) = (given.revision + 1, false);
                push(rule, alert, given.revision, Change::Close, (given.start, end), sink);
            }
        }
    }
}

/// The revision that makes what was said last into what is so now.
fn change(last: Option<&Given>, now: Now, content: Uuid, may_change: bool) -> Option<Change> {
    let last = last.filter(|last| last.revision > KEPT);
    match (last, now) {
        (None, Now::Stands) => Some(Change::Create),
        (Some(last), Now::Stands) if !last.stands || may_change && last.content != content => Some(Change::Update),
        (Some(last), Now::Gone) if last.stands && may_change => Some(Change::Close),
        (Some(last), Now::Held(by)) if last.stands => Some(Change::Hold(by)),
        _ => None,
    }
}

/// Counts an alert that is kept back, or leaves though an exception that has expired is for it.
fn note(rule: &Rule, alert: &Evaluated, held: Option<HeldBy>, sink: &mut Sink<'_>) {
    match held {
        Some(HeldBy::Suppression) => sink.held.note(rule.uid(), HeldBy::Suppression, None),
        _ => rule.exceptions.count(rule, alert.verdict, sink.held),
    }
}

fn content(alert: &Evaluated) -> Uuid {
    let mut text = alert.values.clone();
    for row in &alert.evidence {
        text.push('\n');
        text.push_str(&row.uid());
    }
    Uuid::new_v5(&NAMESPACE, text.as_bytes())
}

fn push(rule: &Rule, alert: &Evaluated, revision: i32, change: Change, window: (i64, i64), sink: &mut Sink<'_>) {
    let finding = Finding {
        rule,
        tenant: &alert.tenant,
        alert_id: alert_id(&alert.tenant, rule, &alert.key, Some(window)),
        revision,
        change,
        time: window.1,
        window: Some(window),
        created_at: sink.stamp.at,
        values: &alert.values,
        hot: &alert.hot,
        evidence: &alert.evidence,
    };
    let identity = Identity {
        partition: &sink.partition,
        offset: sink.stamp.step,
        record: i32::try_from(sink.alerts.len()).unwrap_or(i32::MAX),
        received_at: sink.stamp.at,
    };
    sink.alerts.push(&finding, &identity, &sink.provenance);
}
