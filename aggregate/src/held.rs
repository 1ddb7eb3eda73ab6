//! Alerts that did not leave, and why: never silently gone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What kept an alert back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldBy {
    /// An exception takes it away.
    Exception,
    /// Nothing: it left, but an exception that has expired would have taken it away.
    Expired,
    /// An earlier alert of the same key stands.
    Suppression,
}

impl HeldBy {
    /// Every cause.
    pub const ALL: [HeldBy; 3] = [HeldBy::Exception, HeldBy::Expired, HeldBy::Suppression];

    /// As metrics and reports name it.
    pub const fn name(self) -> &'static str {
        match self {
            HeldBy::Exception => "exception",
            HeldBy::Expired => "expired",
            HeldBy::Suppression => "suppression",
        }
    }
}

/// Alerts of one rule that one cause kept back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The rule's uid.
    pub rule: String,
    /// Why.
    pub by: HeldBy,
    /// Where the exception stands, `file:line`; none of suppression.
    pub exception: Option<String>,
    /// How many.
    pub alerts: u64,
}

/// Counts since they were last taken.
#[derive(Debug, Default)]
pub(crate) struct HeldAlerts(BTreeMap<(String, HeldBy, Option<String>), u64>);

impl HeldAlerts {
    /// Counts one.
    pub(crate) fn note(&mut self, rule: &str, by: HeldBy, exception: Option<&str>) {
        *self.0.entry((rule.to_owned(), by, exception.map(str::to_owned))).or_default() += 1;
    }

    /// The counts; none are held afterwards.
    pub(crate) fn take(&mut self) -> Vec<Held> {
        let all = std::mem::take(&mut self.0).into_iter();
        all.map(|((rule, by, exception), alerts)| Held { rule, by, exception, alerts }).collect()
    }
}

impl Held {
    /// Adds counts to others of the same rule and cause.
    pub fn add(all: &mut Vec<Held>, more: Vec<Held>) {
        for held in more {
            let is_same =
                |own: &&mut Held| (&own.rule, own.by, &own.exception) == (&held.rule, held.by, &held.exception);
            match all.iter_mut().find(is_same) {
                Some(own) => own.alerts += held.alerts,
                None => all.push(held),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_kept_by_rule_cause_and_exception() {
        let mut counts = HeldAlerts::default();
        counts.note("a", HeldBy::Exception, Some("f:1"));
        counts.note("a", HeldBy::Exception, Some("f:2"));
        counts.note("a", HeldBy::Exception, Some("f:1"));
        counts.note("a", HeldBy::Suppression, None);
        let mut all = counts.take();
        assert_eq!(all.iter().map(|h| h.alerts).collect::<Vec<_>>(), [2, 1, 1]);
        assert!(counts.take().is_empty());
        let (more, new) = (all[0].clone(), Held { rule: "b".to_owned(), ..all[0].clone() });
        Held::add(&mut all, vec![more, new]);
        assert_eq!(all.iter().map(|h| h.alerts).collect::<Vec<_>>(), [4, 1, 1, 2]);
    }
}
