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

/// Alerts given, or kept back, while their windows can still change; and with suppression what is left of earlier ones.
///
/// With suppression an alert stands if none of its key stands whose window comes before, in the order of ends, and begins less than
/// the rule's length before its own. That is a function of the windows that meet HAVING alone, whenever they came to do so: if late
/// rows change one, those behind it are looked at again.
#[derive(Debug, Default)]
pub(crate) struct GivenAlerts {
    by_end: BTreeMap<i64, BTreeMap<AlertKey, Given>>,
    /// Of windows that can change no more, where the last of a key begins whose alert stands; while it may keep others back.
    anchors: BTreeMap<AlertKey, i64>,
}

impl GivenAlerts {
    /// Every alert: end of its window, key, and what it said.
    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, &AlertKey, &Given)> {
        self.by_end.iter().flat_map(|(end, alerts)| alerts.iter().map(|(key, given)| (*end, key, given)))
    }

    pub(super) fn insert(&mut self, end: i64, key: AlertKey, given: Given) {
        self.by_end.entry(end).or_default().insert(key, given);
    }

    pub(super) fn len(&self) -> usize {
        self.by_end.values().map(BTreeMap::len).sum::<usize>() + self.anchors.len()
    }

    /// Drops those whose window can change no more.
    pub(super) fn forget(&mut self, rule: &Rule, closed_until: i64) {
        let kept = self.by_end.split_off(&closed_until.saturating_add(1));
        let gone = std::mem::replace(&mut self.by_end, kept);
        if rule.suppress_us() == 0 {
            return;
        }
        let stand = gone.into_values().flatten().filter(|(_, given)| given.stands);
        self.anchors.extend(stand.map(|(key, given)| (key, given.start)));
        // The next window to end is as long as it may be, at most.
        let reach = rule.suppress_us().saturating_add(rule.window_us().map_or(0, |(_, _, size)| size));
        self.anchors.retain(|_, start| start.saturating_add(reach) > closed_until);
    }

    /// Where alerts began that may keep others back, by key.
    pub(super) fn anchors(&self) -> impl Iterator<Item = (&AlertKey, i64)> {
        self.anchors.iter().map(|(key, start)| (key, *start))
    }

    pub(super) fn insert_anchor(&mut self, key: AlertKey, start: i64) {
        self.anchors.insert(key, start);
    }

    fn is_suppressed(&self, rule: &Rule, key: &AlertKey, (start, end): (i64, i64)) -> bool {
        let length = rule.suppress_us_at(end);
        let is_within = |earlier: i64| start.saturating_sub(earlier) < length;
        length > 0
            && (self.anchors.get(key).is_some_and(|earlier| is_within(*earlier))
                || self.of(key, ..end).any(|(_, given)| given.stands && is_within(given.start)))
    }

    /// The ends of a key's windows whose alerts may stand or fall with that of one that begins and ends there.
    fn behind(&self, rule: &Rule, key: &AlertKey, (start, end): (i64, i64)) -> Vec<i64> {
        let is_near = |given: &Given| given.start.saturating_sub(start) < rule.suppress_us();
        let is_asked = |given: &Given| given.stands || given.held == Some(HeldBy::Suppression);
        let later = self.of(key, end.saturating_add(1)..);
        later.filter(|(_, given)| is_near(given) && is_asked(given)).map(|(end, _)| end).collect()
    }

    /// True if an alert of the key stands or is kept back that ends there.
    pub(super) fn is_open(&self, key: &AlertKey, end: i64) -> bool {
        self.find(key, end).is_some_and(|given| given.stands || given.held.is_some())
    }

    fn find(&self, key: &AlertKey, end: i64) -> Option<&Given> {
        self.by_end.get(&end)?.get(key)
    }

    /// The ends of a key's alerts that stand and whose windows share time with this one without being it.
    pub(super) fn overtaken(&self, key: &AlertKey, window: (i64, i64)) -> Vec<i64> {
        let ends = self.of(key, window.0.saturating_add(1)..);
        let is_other = |(end, given): &(i64, &Given)| given.start < window.1 && (given.start, *end) != window;
        ends.filter(|other| other.1.stands && is_other(other)).map(|(end, _)| end).collect()
    }

    fn of(&self, key: &AlertKey, ends: impl RangeBounds<i64>) -> impl Iterator<Item = (i64, &Given)> {
        self.by_end.range(ends).filter_map(move |(end, alerts)| Some((*end, alerts.get(key)?)))
    }

    /// Gives an evaluated group's alert, if it is news. `may_change`: a given one is revised or closed, not only created. Returns the ends
    /// of later windows of the key that are to be looked at again.
    pub(super) fn give(&mut self, rule: &Rule, alert: &Evaluated, may_change: bool, sink: &mut Sink<'_>) -> Vec<i64> {
        let (key, end) = ((alert.tenant.clone(), alert.key.clone()), alert.window.1);
        let last = self.find(&key, end).filter(|last| last.start == alert.window.0);
        let now = match alert.passes {
            false => Now::Gone,
            true if alert.verdict.is_taken() => Now::Held(HeldBy::Exception),
            true if self.is_suppressed(rule, &key, alert.window) => Now::Held(HeldBy::Suppression),
            true => Now::Stands,
        };
        let content = content(alert);
        let change = change(last, now, content, may_change);
        let (before, held) = (last.and_then(|last| last.held), now.held());
        if change.is_none() && held == before {
            return Vec::new();
        }
        if change == Some(Change::Create) || held.is_some() && held != before {
            note(rule, alert, held, sink);
        }
        let revision = last.map_or(KEPT, |last| last.revision) + i32::from(change.is_some());
        change.iter().for_each(|change| push(rule, alert, revision, *change, alert.window, sink));
        let (stood, stands) = (last.is_some_and(|last| last.stands), now == Now::Stands);
        let behind = if stood == stands { Vec::new() } else { self.behind(rule, &key, alert.window) };
        self.insert(end, key, Given { start: alert.window.0, revision, content, stands, held });
        behind
    }

    /// Closes the alerts of windows that this one has taken the place of.
    pub(super) fn close_overtaken(&mut self, rule: &Rule, alert: &Evaluated, sink: &mut Sink<'_>) {
        let key = (alert.tenant.clone(), alert.key.clone());
        for end in self.overtaken(&key, alert.window) {
            if let Some(given) = self.by_end.get_mut(&end).and_then(|alerts| alerts.get_mut(&key)) {
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
