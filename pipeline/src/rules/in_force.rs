//! The rules in force, shared by the threads that run them: those that are loaded, without those that are disabled.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use aggregate::{Rule, RuleSet, RuleWork};
use serde::Serialize;

use super::ward::{Half, Ward};

/// Records what a set holds, before it is in force.
pub(crate) type Record = Box<dyn Fn(&RuleSet) -> anyhow::Result<()> + Send + Sync>;

/// Where rules are put into force.
#[derive(Clone)]
pub(crate) struct InForce(Arc<Shared>);

/// The rules in force, as one reader took them last. Cheap to clone.
#[derive(Clone)]
pub(crate) struct LiveRules {
    shared: Arc<Shared>,
    rules: Arc<RuleSet>,
    number: u64,
}

/// Asking whether there are new rules costs one load; taking them a lock.
struct Shared {
    current: RwLock<Arc<RuleSet>>,
    number: AtomicU64,
    life: Mutex<Life>,
    record: Record,
}

struct Life {
    loaded: Arc<RuleSet>,
    ward: Ward,
    /// By fingerprint.
    tallies: HashMap<String, Tally>,
    /// By fingerprint.
    disabled: BTreeMap<String, Arc<Rule>>,
}

/// What a rule was asked so far, in both of its halves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    /// Rows, and groups of rows.
    asked: u64,
    /// Those on which an expression failed.
    failed: u64,
    spent_us: u64,
}

impl Tally {
    fn add(&mut self, work: &RuleWork) {
        self.asked += work.asked;
        self.failed += work.failed;
        self.spent_us += u64::try_from(work.spent.as_micros()).unwrap_or(u64::MAX);
    }
}

/// A rule that was taken out of force.
#[derive(Debug)]
pub(crate) struct Disabled {
    pub(crate) rule: Arc<Rule>,
    pub(crate) why: String,
}

impl InForce {
    /// Rules that are recorded already. `row_budget`: the longest mean time that a rule may take for a row; zero for any.
    pub(crate) fn new(rules: Arc<RuleSet>, row_budget: Duration, record: Record) -> Self {
        let ward = Ward::new(row_budget);
        let life = Life { loaded: rules.clone(), ward, tallies: HashMap::new(), disabled: BTreeMap::new() };
        let (current, number) = (RwLock::new(rules), AtomicU64::new(0));
        Self(Arc::new(Shared { current, number, life: Mutex::new(life), record }))
    }

    /// Puts others into force. Readers see them when they ask. A rule that was disabled, and is still the same, stays so.
    ///
    /// # Errors
    /// What recording them says; those of before are then in force.
    pub(crate) fn publish(&self, rules: Arc<RuleSet>) -> anyhow::Result<()> {
        let mut life = self.0.life.lock().unwrap_or_else(PoisonError::into_inner);
        let has = |fingerprint: &str| rules.rules().iter().any(|rule| rule.fingerprint() == fingerprint);
        let kept = life.disabled.keys().filter(|f| has(f)).cloned().collect::<Vec<_>>();
        self.0.put(rules.only(|rule| !kept.iter().any(|f| f == rule.fingerprint())))?;
        life.disabled.retain(|fingerprint, _| has(fingerprint));
        life.ward.retain(has);
        life.tallies.retain(|fingerprint, _| has(fingerprint));
        life.loaded = rules.clone();
        Ok(())
    }

    /// The loaded rules that are disabled.
    pub(crate) fn disabled(&self) -> Vec<Arc<Rule>> {
        let life = self.0.life.lock().unwrap_or_else(PoisonError::into_inner);
        life.disabled.values().cloned().collect()
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

    fn put(&self, rules: Arc<RuleSet>) -> anyhow::Result<()> {
        (self.record)(&rules)?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = rules;
        self.number.fetch_add(1, Ordering::Release);
        Ok(())
    }
}

impl LiveRules {
    /// Rules that nobody replaces.
    pub(crate) fn fixed(rules: Arc<RuleSet>) -> Self {
        InForce::new(rules, Duration::ZERO, Box::new(|_| Ok(()))).live()
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

    /// Every loaded rule, disabled ones among them, and what each was asked, by fingerprint.
    pub(crate) fn loaded(&self) -> (Arc<RuleSet>, HashMap<String, Tally>) {
        let life = self.shared.life.lock().unwrap_or_else(PoisonError::into_inner);
        (life.loaded.clone(), life.tallies.clone())
    }

    /// True if the rule was taken out of force.
    pub(crate) fn is_disabled(&self, rule: &Rule) -> bool {
        let life = self.shared.life.lock().unwrap_or_else(PoisonError::into_inner);
        life.disabled.contains_key(rule.fingerprint())
    }

    /// Notes how rules fared, and takes those out of force that fail over and over or cost too much.
    ///
    /// # Errors
    /// What recording the rules that are left says.
    pub(crate) fn note(&self, half: Half, work: &[RuleWork]) -> anyhow::Result<Vec<Disabled>> {
        let mut life = self.shared.life.lock().unwrap_or_else(PoisonError::into_inner);
        let mut condemned = Vec::new();
        for work in work {
            let why = life.ward.note(half, work);
            life.tallies.entry(work.rule.fingerprint().to_owned()).or_default().add(work);
            // A thread may not have heard that it is disabled, or of another set.
            if life.runs(&work.rule) {
                condemned.extend(why.map(|why| Disabled { rule: work.rule.clone(), why }));
            }
        }
        if condemned.is_empty() {
            return Ok(condemned);
        }
        let rules = condemned.iter().map(|disabled| (disabled.rule.fingerprint().to_owned(), disabled.rule.clone()));
        life.disabled.extend(rules);
        self.shared.put(life.loaded.only(|rule| !life.disabled.contains_key(rule.fingerprint())))?;
        Ok(condemned)
    }
}

impl Life {
    fn runs(&self, rule: &Rule) -> bool {
        let is_it = |known: &Arc<Rule>| known.fingerprint() == rule.fingerprint();
        self.loaded.rules().iter().any(is_it) && !self.disabled.contains_key(rule.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(titles: &[&str]) -> Arc<RuleSet> {
        let text = |title: &&str| {
            let head = format!("title: T\nid: 3f2b6a4e-1111-4222-8333-{title:0>12}\nversion: 1\nlevel: low\n");
            (format!("{title}.yaml"), format!("{head}sql: SELECT src_ip FROM network_activity WHERE dst_port = 22\n"))
        };
        let texts: Vec<(String, String)> = titles.iter().map(text).collect();
        let texts: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        RuleSet::from_texts(&texts).expect("right")
    }

    fn names(rules: &RuleSet) -> Vec<&str> {
        rules.rules().iter().map(|rule| rule.name()).collect()
    }

    fn in_force(rules: &Arc<RuleSet>) -> InForce {
        InForce::new(rules.clone(), Duration::ZERO, Box::new(|_| Ok(())))
    }

    /// What is told of a rule that fails on each of so many rows.
    fn fails(live: &LiveRules, rule: &Arc<Rule>, rows: u64) -> Vec<String> {
        let work = RuleWork { rule: rule.clone(), asked: rows / 10, failed: rows / 10, spent: Duration::ZERO };
        let told = |_| live.note(Half::Source, std::slice::from_ref(&work)).expect("recorded");
        (0..10).flat_map(told).map(|disabled| disabled.rule.name().to_owned()).collect()
    }

    #[test]
    fn a_reader_has_other_rules_only_when_it_asks() {
        let (before, after) = (rules(&["1"]), rules(&["1", "2"]));
        let in_force = in_force(&before);
        let mut live = in_force.live();
        assert!(!live.is_stale());
        in_force.publish(after.clone()).expect("recorded");
        assert!(live.is_stale() && names(live.set()) == ["1"]);
        live.refresh();
        assert!(!live.is_stale());
        assert_eq!((names(live.set()), in_force.live().set().version()), (vec!["1", "2"], after.version()));
    }

    #[test]
    fn a_rule_that_fails_is_disabled_until_it_is_another() {
        let all = rules(&["1", "2"]);
        let in_force = in_force(&all);
        let mut live = in_force.live();
        assert_eq!(fails(&live, &all.rules()[0], 1000), ["1"]);
        assert_eq!(fails(&live, &all.rules()[0], 1000), [""; 0], "told once");
        live.refresh();
        assert_eq!((names(live.set()), in_force.disabled().len()), (vec!["2"], 1));
        // Other rules come, and it is the same.
        in_force.publish(rules(&["1", "2", "3"])).expect("recorded");
        live.refresh();
        assert_eq!((names(live.set()), in_force.disabled().len()), (vec!["2", "3"], 1));
        in_force.publish(rules(&["2"])).expect("recorded");
        assert_eq!(in_force.disabled().len(), 0, "it is gone");
        in_force.publish(all).expect("recorded");
        live.refresh();
        assert_eq!(names(live.set()), ["1", "2"], "and may try again");
    }

    #[test]
    fn what_cannot_be_recorded_is_not_in_force() {
        let before = rules(&["1"]);
        let in_force = InForce::new(before.clone(), Duration::ZERO, Box::new(|_| anyhow::bail!("no store")));
        assert!(in_force.publish(rules(&["2"])).is_err());
        let live = in_force.live();
        assert!(!live.is_stale() && live.set().version() == before.version());
    }
}
