//! How rules fare: one that fails over and over, or costs more than it may, is to be taken out of force.
//!
//! A *look* is what a rule was asked in some ranges, or in some steps, until that was enough to judge. A look is bad if most of it failed,
//! or if a row took longer than the budget; [`BAD_LOOKS`] bad ones in a row condemn the rule. One odd row, or one slow moment, does not; and
//! nobody can silence a rule without sending most of the rows that it sees.

use std::collections::HashMap;
use std::time::Duration;

use aggregate::RuleWork;

/// Rows or groups that are enough to judge by.
const LOOK_ROWS: u64 = 100;

/// Bad looks in a row that condemn a rule.
const BAD_LOOKS: u32 = 10;

/// Where a rule works: its halves fail for different reasons, and one must not hide the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Half {
    Source,
    Merge,
}

/// See the module's front.
#[derive(Debug, Default)]
pub(super) struct Ward {
    /// Longest mean time a row; zero for any.
    row_budget: Duration,
    /// By fingerprint.
    looks: HashMap<(String, Half), Look>,
}

#[derive(Debug, Default)]
struct Look {
    asked: u64,
    failed: u64,
    spent: Duration,
    bad: u32,
}

impl Ward {
    pub(super) fn new(row_budget: Duration) -> Self {
        Self { row_budget, looks: HashMap::new() }
    }

    /// Adds to the rule's look. Why the rule is condemned, if it is.
    pub(super) fn note(&mut self, half: Half, work: &RuleWork) -> Option<String> {
        let budget = self.row_budget;
        let look = self.looks.entry((work.rule.fingerprint().to_owned(), half)).or_default();
        look.asked += work.asked;
        look.failed += work.failed;
        look.spent += work.spent;
        if look.asked < LOOK_ROWS {
            return None;
        }
        let fault = look.fault(budget);
        *look = Look { bad: fault.as_ref().map_or(0, |_| look.bad + 1), ..Look::default() };
        fault.filter(|_| look.bad >= BAD_LOOKS)
    }

    /// Forgets the rules that are not kept.
    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.looks.retain(|(fingerprint, _), _| keep(fingerprint));
    }
}

impl Look {
    fn fault(&self, budget: Duration) -> Option<String> {
        let Self { asked, failed, spent, .. } = self;
        if failed * 2 > *asked {
            return Some(format!("it fails on most of what it is asked, lastly on {failed} of {asked}"));
        }
        let row = spent.div_f64(*asked as f64);
        (!budget.is_zero() && row > budget).then(|| format!("it takes more than {budget:?} a row, lastly {row:?}"))
    }
}

#[cfg(test)]
mod tests {
    use aggregate::RuleSet;

    use super::*;

    const RULE: &str = "title: T\nid: 3f2b6a4e-1111-4222-8333-444455556666\nversion: 1\nlevel: low\n\
                        sql: SELECT src_ip FROM network_activity WHERE dst_port = 22";

    fn work(asked: u64, failed: u64, us: u64) -> RuleWork {
        let rules = RuleSet::from_texts(&[("t.yaml", RULE)]).expect("right");
        RuleWork { rule: rules.rules()[0].clone(), asked, failed, spent: Duration::from_micros(us) }
    }

    /// What is told after so many times the same work.
    fn told(ward: &mut Ward, times: u32, half: Half, work: &RuleWork) -> Option<String> {
        (0..times).filter_map(|_| ward.note(half, work)).last()
    }

    #[test]
    fn a_rule_is_condemned_by_bad_looks_in_a_row() {
        let budget = Duration::from_micros(100);
        let cases = [
            (work(100, 51, 0), Some("it fails on most of what it is asked, lastly on 51 of 100")),
            (work(100, 50, 0), None),
            (work(100, 0, 10_100), Some("it takes more than 100\u{b5}s a row, lastly 101\u{b5}s")),
            (work(100, 0, 10_000), None),
        ];
        for (work, want) in cases {
            let mut ward = Ward::new(budget);
            assert_eq!(told(&mut ward, BAD_LOOKS - 1, Half::Source, &work), None);
            assert_eq!(told(&mut ward, 1, Half::Source, &work).as_deref(), want);
        }
        assert_eq!(
            told(&mut Ward::new(Duration::ZERO), 20, Half::Source, &work(100, 0, u64::MAX >> 1)),
            None,
            "no budget"
        );
    }

    #[test]
    fn little_is_not_judged_and_a_good_look_is_a_new_beginning() {
        let mut ward = Ward::new(Duration::ZERO);
        assert_eq!(told(&mut ward, 10 * BAD_LOOKS - 1, Half::Source, &work(10, 10, 0)), None, "one row short");
        assert_eq!(told(&mut ward, 1, Half::Source, &work(100, 0, 0)), None);
        assert_eq!(told(&mut ward, BAD_LOOKS - 1, Half::Source, &work(100, 100, 0)), None);
        assert_eq!(told(&mut ward, 1, Half::Merge, &work(100, 100, 0)), None, "the other half has its own");
        assert!(told(&mut ward, 1, Half::Source, &work(100, 100, 0)).is_some());
        ward.retain(|_| false);
        assert_eq!(told(&mut ward, BAD_LOOKS - 1, Half::Source, &work(100, 100, 0)), None, "forgotten");
    }
}
