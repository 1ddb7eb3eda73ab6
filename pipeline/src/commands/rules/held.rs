//! What was kept back, for people: a line a rule and cause.

use std::io::Write;

use aggregate::{Held, HeldBy, RuleSet};

use crate::summary::grouped;

/// Prints them.
///
/// # Errors
/// If they cannot be printed.
pub(super) fn write_held(held: &[Held], rules: &RuleSet, out: &mut impl Write) -> std::io::Result<()> {
    held.iter().try_for_each(|held| writeln!(out, "{}", said(held, rules)))
}

fn said(held: &Held, rules: &RuleSet) -> String {
    let rule = rules.rules().iter().find(|rule| rule.uid() == held.rule).map_or(held.rule.as_str(), |rule| rule.name());
    let (alerts, plural) = (grouped(held.alerts), if held.alerts == 1 { "" } else { "s" });
    let place = held.exception.as_deref().unwrap_or_default();
    match held.by {
        HeldBy::Exception => format!("held: {rule}: {alerts} alert{plural}, by the exception at {place}"),
        HeldBy::Expired => {
            format!("expired: {rule}: {alerts} alert{plural} that the exception at {place} would have taken away")
        }
        HeldBy::Suppression => format!("held: {rule}: {alerts} alert{plural}, by suppression"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_back_has_its_cause() {
        let rules = RuleSet::from_texts(&[]).unwrap_or_else(|e| panic!("{e}"));
        let held = |by, exception: Option<&str>, alerts| Held {
            rule: "r".into(),
            by,
            exception: exception.map(Into::into),
            alerts,
        };
        let all = [
            held(HeldBy::Exception, Some("e.yaml:3"), 1),
            held(HeldBy::Expired, Some("e.yaml:8"), 2_000),
            held(HeldBy::Suppression, None, 7),
        ];
        let mut out = Vec::new();
        write_held(&all, &rules, &mut out).expect("a buffer takes all");
        let want = "held: r: 1 alert, by the exception at e.yaml:3\n\
                    expired: r: 2,000 alerts that the exception at e.yaml:8 would have taken away\n\
                    held: r: 7 alerts, by suppression\n";
        assert_eq!(String::from_utf8_lossy(&out), want);
    }
}
