//! The rules in force, shared by the threads that run them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use aggregate::RuleSet;

/// Where rules are put into force.
#[derive(Debug, Clone)]
pub(crate) struct InForce(Arc<Shared>);

/// The rules in force, as one reader took them last. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct LiveRules {
    shared: Arc<Shared>,
    rules: Arc<RuleSet>,
    number: u64,
}

/// Asking whether there are new rules costs one load; taking them a lock.
#[derive(Debug)]
struct Shared {
    current: RwLock<Arc<RuleSet>>,
    number: AtomicU64,
}

impl InForce {
    pub(crate) fn new(rules: Arc<RuleSet>) -> Self {
        Self(Arc::new(Shared { current: RwLock::new(rules), number: AtomicU64::new(0) }))
    }

    /// Puts others into force. Readers see them when they ask.
    pub(crate) fn publish(&self, rules: Arc<RuleSet>) {
        let mut current = self.0.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = rules;
        self.0.number.fetch_add(1, Ordering::Release);
    }

    /// A reader of the rules in force.
    pub(crate) fn live(&self) -> LiveRules {
        let (rules, number) = self.0.current();
        LiveRules { shared: self.0.clone(), rules, number }
    }
}

impl Shared {
    fn current(&self) -> (Arc<RuleSet>, u64) {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        (current.clone(), self.number.load(Ordering::Acquire))
    }
}

impl LiveRules {
    /// Rules that nobody replaces.
    pub(crate) fn fixed(rules: Arc<RuleSet>) -> Self {
        InForce::new(rules).live()
    }

    /// True if others are in force than those that were taken last.
    pub(crate) fn is_stale(&self) -> bool {
        self.shared.number.load(Ordering::Acquire) != self.number
    }

    /// Takes the rules in force.
    pub(crate) fn refresh(&mut self) {
        (self.rules, self.number) = self.shared.current();
    }

    /// The rules that were taken last.
    pub(crate) fn set(&self) -> &Arc<RuleSet> {
        &self.rules
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_has_other_rules_only_when_it_asks() {
        let [before, after] = [0, 1].map(|_| RuleSet::from_texts(&[]).expect("no rules are no mistake"));
        let in_force = InForce::new(before.clone());
        let mut live = in_force.live();
        assert!(!live.is_stale());
        in_force.publish(after.clone());
        assert!(live.is_stale() && Arc::ptr_eq(live.set(), &before));
        live.refresh();
        assert!(!live.is_stale() && Arc::ptr_eq(live.set(), &after));
        assert!(Arc::ptr_eq(in_force.live().set(), &after));
    }
}
