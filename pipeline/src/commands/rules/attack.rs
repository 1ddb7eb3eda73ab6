//! MITRE ATT&CK Enterprise as far as a table of it needs: tactics in their order, and each technique's tactics and name.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Whose techniques these are.
pub(super) const VERSION: &str = "17";

/// Tactics in the order of an intrusion: id and name. Version 19 made two of Defense Evasion; its id is Stealth's there.
pub(super) const TACTICS: [(&str, &str); 15] = [
    ("TA0043", "Reconnaissance"),
    ("TA0042", "Resource Development"),
    ("TA0001", "Initial Access"),
    ("TA0002", "Execution"),
    ("TA0003", "Persistence"),
    ("TA0004", "Privilege Escalation"),
    ("TA0005", "Defense Evasion"),
    ("TA0112", "Defense Impairment"),
    ("TA0006", "Credential Access"),
    ("TA0007", "Discovery"),
    ("TA0008", "Lateral Movement"),
    ("TA0009", "Collection"),
    ("TA0011", "Command and Control"),
    ("TA0010", "Exfiltration"),
    ("TA0040", "Impact"),
];

/// A technique or sub-technique.
#[derive(Debug)]
pub(super) struct Technique {
    pub(super) name: &'static str,
    /// Ids of the tactics that it serves.
    pub(super) tactics: Vec<&'static str>,
}

static TECHNIQUES: LazyLock<BTreeMap<&str, Technique>> =
    LazyLock::new(|| include_str!("attack.tsv").lines().filter_map(technique).collect());

fn technique(line: &'static str) -> Option<(&'static str, Technique)> {
    let mut cells = line.split('\t');
    let (id, tactics, name) = (cells.next()?, cells.next()?, cells.next()?);
    Some((id, Technique { name, tactics: tactics.split(',').filter_map(tactic).collect() }))
}

/// `defense-evasion` -> `TA0005`.
fn tactic(word: &str) -> Option<&'static str> {
    let is_it = |name: &str| name.to_lowercase().replace(' ', "-") == word;
    TACTICS.iter().find(|(_, name)| is_it(name)).map(|(id, _)| *id)
}

/// What is known of a technique.
pub(super) fn known(id: &str) -> Option<&'static Technique> {
    TECHNIQUES.get(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_technique_has_a_name_and_a_tactic_that_is_drawn() {
        assert!(TECHNIQUES.len() > 600, "{}", TECHNIQUES.len());
        for (id, technique) in TECHNIQUES.iter() {
            assert!(!technique.name.is_empty() && !technique.tactics.is_empty(), "{id}");
        }
        let scan = known("T1046").expect("a technique");
        assert_eq!((scan.name, scan.tactics.as_slice()), ("Network Service Discovery", ["TA0007"].as_slice()));
    }
}
