//! One key of one correlation: its hits, and what they came to.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::Node;
use super::hit::{Hit, Later};
use super::window::Window;
use crate::alert::Change;
use crate::evidence::EvidenceRow;
use crate::rule::NAMESPACE;

/// See the module's front.
#[derive(Debug)]
pub(super) struct Key {
    hits: Vec<Hit>,
    is_sorted: bool,
    /// The times from here on are to be looked at, those at which there is a hit.
    pub(super) due: i64,
    /// The last finding; i64::MIN before the first.
    pub(super) found: i64,
    /// What was found at times that late hits may still change; empty if none may be late.
    pub(super) given: BTreeMap<i64, Given>,
}

/// What an alert said last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) revision: i32,
    pub(super) content: Uuid,
    /// False if the last revision closed it.
    pub(super) stands: bool,
}

/// What was found at a time, or is found no longer.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) time: i64,
    /// None if it is found no longer.
    pub(super) value: Option<f64>,
    pub(super) rows: Vec<EvidenceRow>,
    /// What the last hit gives the correlations above.
    pub(super) later: Box<[Later]>,
    pub(super) revision: i32,
    pub(super) change: Change,
}

/// How a key is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) node: &'a Node,
    /// Times before this one are complete.
    pub(super) until: i64,
    /// Rows that a finding names of each rule, at most.
    pub(super) evidence: usize,
    /// True if late hits may change what was found.
    pub(super) is_revised: bool,
}

impl Key {
    pub(super) fn new() -> Self {
        Self { hits: Vec::new(), is_sorted: true, due: i64::MAX, found: i64::MIN, given: BTreeMap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.hits.len()
    }

    pub(super) fn hits(&self) -> &[Hit] {
        &self.hits
    }

    pub(super) fn push(&mut self, hit: Hit) {
        self.due = self.due.min(hit.time);
        self.is_sorted &= self.hits.last().is_none_or(|last| last.order(&hit).is_lt());
        self.hits.push(hit);
    }

    fn sort(&mut self) {
        if !self.is_sorted {
            // Hits come in runs, one a partition: this sort is made for them.
            self.hits.sort_by(Hit::order);
            self.is_sorted = true;
        }
    }

    /// Looks at the times that are due and complete.
    pub(super) fn look(&mut self, look: Look<'_>, out: &mut Vec<Finding>) {
        if self.due >= look.until {
            return;
        }
        self.sort();
        let (node, hits) = (look.node, self.hits.as_slice());
        let first = hits.partition_point(|hit| hit.time < self.due);
        let end = hits.partition_point(|hit| hit.time < look.until);
        let mut low = Self::start(node, hits, self.due, self.found);
        let (mut high, mut at) = (low, first);
        let mut window = Window::new(node);
        while at < end {
            let time = hits[at].time;
            at += hits[at..end].partition_point(|hit| hit.time == time);
            hits[high..at].iter().for_each(|hit| window.add(hit));
            high = at;
            let start = Self::start(node, hits, time, self.found).max(low);
            hits[low..start].iter().for_each(|hit| window.remove(hit));
            low = start;
            let is_silent = self.found > i64::MIN && time.saturating_sub(self.found) < node.suppress_us;
            let value = if is_silent { None } else { window.found(&hits[low..high]) };
            if value.is_some() && !look.is_revised {
                self.found = time;
            }
            let finding = value.map(|value| finding(time, value, &hits[low..high], look));
            out.extend(if look.is_revised { revise(&mut self.given, time, finding) } else { finding });
        }
        self.due = hits.get(end).map_or(i64::MAX, |hit| hit.time);
    }

    /// The first hit of the window that ends at a time.
    fn start(node: &Node, hits: &[Hit], time: i64, found: i64) -> usize {
        let from = time.saturating_sub(node.span_us);
        let from = if node.is_reset { from.max(found.saturating_add(1)) } else { from };
        hits.partition_point(|hit| hit.time < from)
    }

    /// Drops hits before a time, which no window can hold any more. Returns the bytes that they held.
    pub(super) fn forget(&mut self, before: i64, given_before: i64) -> usize {
        self.given.retain(|time, _| *time >= given_before);
        // What is not sorted is to be looked at, and can wait.
        if !self.is_sorted || self.hits.first().is_none_or(|hit| hit.time >= before) {
            return 0;
        }
        let dropped = self.hits.partition_point(|hit| hit.time < before);
        self.hits.drain(..dropped).map(|hit| hit.bytes()).sum()
    }

    /// True if nothing hangs on it.
    pub(super) fn is_spent(&self, node: &Node, until: i64) -> bool {
        let is_silent = self.found > i64::MIN && until.saturating_sub(self.found) < node.suppress_us;
        self.hits.is_empty() && self.given.is_empty() && !is_silent
    }
}

fn finding(time: i64, value: f64, hits: &[Hit], look: Look<'_>) -> Finding {
    let mut left = vec![look.evidence; look.node.references];
    let mut rows = Vec::new();
    for hit in hits {
        let Some(left) = left.get_mut(usize::from(hit.reference)) else { continue };
        let taken = hit.rows.as_slice().len().min(*left);
        *left -= taken;
        rows.extend_from_slice(&hit.rows.as_slice()[..taken]);
    }
    rows.sort();
    rows.dedup();
    let later = hits.last().map(|hit| hit.later.clone()).unwrap_or_default();
    Finding { time, value: Some(value), rows, later, revision: 0, change: Change::Create }
}

/// What is to be said of a time, given what was said of it before.
fn revise(given: &mut BTreeMap<i64, Given>, time: i64, found: Option<Finding>) -> Option<Finding> {
    let last = given.get(&time);
    let revision = last.map_or(0, |last| last.revision + 1);
    let (change, found) = match (last, found) {
        (None, Some(found)) => (Change::Create, found),
        (Some(last), Some(found)) if !last.stands || last.content != content(&found) => (Change::Update, found),
        (Some(last), None) if last.stands => (Change::Close, closed(time)),
        _ => return None,
    };
    let said = Given { revision, content: content(&found), stands: change != Change::Close };
    given.insert(time, said);
    Some(Finding { revision, change, ..found })
}

fn closed(time: i64) -> Finding {
    let later = Box::default();
    Finding { time, value: None, rows: Vec::new(), later, revision: 0, change: Change::Close }
}

fn content(finding: &Finding) -> Uuid {
    let rows = finding.rows.iter().map(EvidenceRow::uid);
    let text = [format!("{:?}", finding.value)].into_iter().chain(rows).collect::<Vec<_>>().join("\n");
    Uuid::new_v5(&NAMESPACE, text.as_bytes())
}
