//! What the hits of a window come to: added and taken away as the window slides.

use std::collections::HashMap;

use super::hit::{Hit, Value};
use super::{Condition, Kind, Node};

/// See the module's front.
#[derive(Debug)]
pub(super) struct Window<'a> {
    node: &'a Node,
    hits: usize,
    /// How often each text is there.
    texts: HashMap<&'a str, usize>,
    /// Rising.
    numbers: Vec<f64>,
    /// How many hits each rule has.
    references: Vec<usize>,
}

impl<'a> Window<'a> {
    pub(super) fn new(node: &'a Node) -> Self {
        Self { node, hits: 0, texts: HashMap::new(), numbers: Vec::new(), references: vec![0; node.references] }
    }

    pub(super) fn add(&mut self, hit: &'a Hit) {
        self.hits += 1;
        if let Some(count) = self.references.get_mut(usize::from(hit.reference)) {
            *count += 1;
        }
        match &hit.value {
            Value::Text(text) => *self.texts.entry(text).or_default() += 1,
            Value::Number(number) if matches!(self.node.kind, Kind::Percentile(_)) => {
                let at = self.place(*number);
                self.numbers.insert(at, *number);
            }
            Value::None | Value::Number(_) => {}
        }
    }

    pub(super) fn remove(&mut self, hit: &'a Hit) {
        self.hits -= 1;
        if let Some(count) = self.references.get_mut(usize::from(hit.reference)) {
            *count -= 1;
        }
        match &hit.value {
            Value::Text(text) => {
                let left = self.texts.get_mut(&**text).map_or(0, |count| {
                    *count -= 1;
                    *count
                });
                if left == 0 {
                    self.texts.remove(&**text);
                }
            }
            Value::Number(number) if matches!(self.node.kind, Kind::Percentile(_)) => {
                let at = self.place(*number);
                self.numbers.remove(at);
            }
            Value::None | Value::Number(_) => {}
        }
    }

    fn place(&self, number: f64) -> usize {
        self.numbers.partition_point(|n| n.total_cmp(&number).is_lt())
    }

    /// The value, if the condition holds over these hits: those that were added and not taken away.
    pub(super) fn found(&self, hits: &[Hit]) -> Option<f64> {
        let value = self.value(hits)?;
        let holds = match &self.node.condition {
            Condition::Bounds(bounds) => bounds.iter().all(|(compare, bound)| compare.holds(value, *bound)),
            Condition::Logic(logic) => logic.holds(&|rule| self.is_met(rule)),
        };
        holds.then_some(value)
    }

    fn value(&self, hits: &[Hit]) -> Option<f64> {
        // In the order of the hits: a float sum is then the same wherever they came from.
        let sum = || hits.iter().map(|hit| hit.value.number()).sum::<f64>();
        Some(match self.node.kind {
            Kind::EventCount => self.hits as f64,
            Kind::ValueCount => self.texts.len() as f64,
            Kind::Sum => sum(),
            Kind::Average => sum() / self.hits as f64,
            Kind::Percentile(rank) => percentile(&self.numbers, rank)?,
            Kind::Temporal => self.met() as f64,
            Kind::Ordered => self.in_order(hits).then(|| self.met() as f64)?,
        })
    }

    fn is_met(&self, rule: usize) -> bool {
        self.references.get(rule).is_some_and(|count| *count > 0)
    }

    fn met(&self) -> usize {
        self.references.iter().filter(|count| **count > 0).count()
    }

    /// True if there are hits of the rules, one each, of which none is earlier than that of the rule before. Of a condition over rules,
    /// the rules that were met; otherwise all.
    fn in_order(&self, hits: &[Hit]) -> bool {
        let is_logic = matches!(self.node.condition, Condition::Logic(_));
        let mut start = 0;
        for rule in (0..self.node.references).filter(|rule| !is_logic || self.is_met(*rule)) {
            let next = hits[start..].iter().find(|hit| usize::from(hit.reference) == rule);
            let Some(next) = next else { return false };
            // Hits of one time are in any order: the search goes on at the first of them.
            start += hits[start..].partition_point(|hit| hit.time < next.time);
        }
        true
    }
}

/// Of rising numbers.
fn percentile(numbers: &[f64], rank: f64) -> Option<f64> {
    let at = rank / 100.0 * numbers.len().checked_sub(1)? as f64;
    let (below, above) = (*numbers.get(at.floor() as usize)?, *numbers.get(at.ceil() as usize)?);
    Some(below + (at - at.floor()) * (above - below))
}
