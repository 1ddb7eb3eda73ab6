//! `palisade rules coverage`: which ATT&CK techniques the rules look for, by tactic; and the same as a Navigator layer.
//!
//! A technique stands under those of its tactics that the rule's tags name; if they name none of them, under all of its own.
//! Tactics without a rule are shown too: they are what the table is for.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use aggregate::{Rule, RuleSet};
use comfy_table::{Cell, Color, ContentArrangement, Table as TextTable, presets};
use serde_json::{Value, json};

use super::attack::{self, TACTICS};
use super::test::counted;
use crate::cli::{Output, RulesPathsArgs};
use crate::listing::Listing;

/// What the rules cover.
#[derive(Debug, Default)]
struct Coverage {
    /// Rules by tactic and technique; a technique without an id: rules that name the tactic alone.
    by_tactic: BTreeMap<&'static str, BTreeMap<String, BTreeSet<String>>>,
    /// Rules by technique.
    by_technique: BTreeMap<String, BTreeSet<String>>,
    /// Rules that name neither.
    without: BTreeSet<String>,
    rules: usize,
}

/// Runs the command.
///
/// # Errors
/// If nothing can be printed.
pub(super) fn run(args: &RulesPathsArgs) -> anyhow::Result<ExitCode> {
    let (rules, refused) = RuleSet::survey(&args.paths);
    refused.0.iter().for_each(|error| eprintln!("refused: {error}"));
    let coverage = Coverage::of(&rules);
    let mut out = std::io::stdout().lock();
    match args.output {
        Output::Json => writeln!(out, "{}", serde_json::to_string(&coverage.layer())?)?,
        Output::Text => coverage.write(&mut out, std::io::stdout().is_terminal())?,
    }
    Ok(if refused.0.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Coverage {
    fn of(rules: &RuleSet) -> Self {
        let mut coverage = Self { rules: rules.rules().len(), ..Self::default() };
        rules.rules().iter().for_each(|rule| coverage.note(rule));
        coverage
    }

    fn note(&mut self, rule: &Rule) {
        let named: Vec<&'static str> = rule.tactics().iter().map(|(id, _)| *id).collect();
        let name = rule.name().to_owned();
        if named.is_empty() && rule.techniques().is_empty() {
            self.without.insert(name);
            return;
        }
        let mut open: BTreeSet<&'static str> = named.iter().copied().collect();
        for technique in rule.techniques() {
            self.by_technique.entry(technique.clone()).or_default().insert(name.clone());
            for tactic in under(technique, &named) {
                open.remove(tactic);
                let techniques = self.by_tactic.entry(tactic).or_default();
                techniques.entry(technique.clone()).or_default().insert(name.clone());
            }
        }
        // A tactic that none of the rule's techniques serves is covered by the rule all the same.
        for tactic in open {
            self.by_tactic.entry(tactic).or_default().entry(String::new()).or_default().insert(name.clone());
        }
    }

    /// Tactic, technique, its name, rules: a row each, in the order of the tactics.
    fn rows(&self) -> Vec<[String; 4]> {
        let mut rows = Vec::new();
        for (id, tactic) in TACTICS {
            let tactic = format!("{tactic} {id}");
            let Some(techniques) = self.by_tactic.get(id) else {
                rows.push([tactic, String::new(), String::new(), String::new()]);
                continue;
            };
            for (technique, rules) in techniques {
                let name = attack::known(technique).map_or("", |known| known.name);
                let rules = Vec::from_iter(rules.iter().map(String::as_str)).join(" ");
                rows.push([tactic.clone(), technique.clone(), name.to_owned(), rules]);
            }
        }
        rows
    }

    fn write(&self, out: &mut impl Write, terminal: bool) -> std::io::Result<()> {
        match terminal {
            true => writeln!(out, "{}", table(&self.rows()))?,
            false => {
                let mut listing = Listing::new(&["tactic", "technique", "name", "rules"], &[]);
                self.rows().into_iter().for_each(|row| listing.push(row.to_vec()));
                listing.write(out, false)?;
            }
        }
        if !self.without.is_empty() {
            let rules = Vec::from_iter(self.without.iter().map(String::as_str)).join(" ");
            writeln!(out, "without an ATT&CK tag: {rules}")?;
        }
        let (techniques, tactics) = (self.by_technique.len(), self.by_tactic.len());
        let (rules, techniques) = (counted(self.rules, "rule"), counted(techniques, "technique"));
        writeln!(out, "{rules}: {techniques}, {tactics} of {} tactics", TACTICS.len())
    }

    /// A layer of ATT&CK Navigator, format 4.5. A technique's score is the number of its rules.
    fn layer(&self) -> Value {
        let most = self.by_technique.values().map(BTreeSet::len).max().unwrap_or(1);
        let technique = |(id, rules): (&String, &BTreeSet<String>)| {
            let names = Vec::from_iter(rules.iter().map(String::as_str)).join(", ");
            json!({"techniqueID": id, "score": rules.len(), "comment": names, "enabled": true, "showSubtechniques": id.contains('.')})
        };
        let techniques: Vec<Value> = self.by_technique.iter().map(technique).collect();
        json!({
            "name": "Palisade rules",
            "versions": {"attack": attack::VERSION, "navigator": "5.1.0", "layer": "4.5"},
            "domain": "enterprise-attack",
            "description": format!("What {} rules look for; the score is the number of rules.", self.rules),
            "techniques": techniques,
            "gradient": {"colors": ["#d9ead3", "#38761d"], "minValue": 1, "maxValue": most.max(2)},
            "hideDisabled": false,
            "selectSubtechniquesWithParent": false,
        })
    }
}

/// The tactics that a technique stands under.
fn under(technique: &str, named: &[&'static str]) -> Vec<&'static str> {
    let own = attack::known(technique).map(|known| known.tactics.as_slice()).unwrap_or_default();
    let both: Vec<&'static str> = own.iter().filter(|tactic| named.contains(tactic)).copied().collect();
    match (both.is_empty(), own.is_empty()) {
        (false, _) => both,
        (true, false) => own.to_vec(),
        (true, true) => named.to_vec(),
    }
}

/// For a terminal: green where a rule looks, red where none does; a tactic is named once.
fn table(rows: &[[String; 4]]) -> TextTable {
    let mut table = TextTable::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["tactic", "technique", "name", "rules"]);
    let mut last = "";
    for row in rows {
        let [tactic, technique, name, rules] = row;
        let color = if rules.is_empty() { Color::Red } else { Color::Green };
        let shown = if last == tactic { "" } else { tactic };
        last = tactic;
        let rules = if rules.is_empty() { "none" } else { rules };
        table.add_row([Cell::new(shown).fg(color), Cell::new(technique).fg(color), Cell::new(name), Cell::new(rules)]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(number: u32, tags: &str) -> String {
        format!(
            "title: T\nid: 3f2b6a4e-1111-4222-8333-44445555{number:04}\nversion: 1\nlevel: low\ntags: [{tags}]\n\
             sql: SELECT src_ip FROM network_activity WHERE dst_port = {number}\n"
        )
    }

    fn coverage() -> Coverage {
        let texts = [
            ("scan.yaml", rule(1, "attack.discovery, attack.t1046")),
            ("hop.yaml", rule(2, "attack.discovery, attack.lateral_movement, attack.t1046, attack.t1021.004")),
            ("valid.yaml", rule(3, "attack.t1078")),
            ("new.yaml", rule(4, "attack.impact, attack.t9999")),
            ("early.yaml", rule(5, "attack.reconnaissance")),
            ("none.yaml", rule(6, "")),
        ];
        let texts: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
        Coverage::of(&RuleSet::from_texts(&texts).unwrap_or_else(|e| panic!("{e}")))
    }

    #[test]
    fn a_technique_stands_under_the_tactics_that_its_rule_means() {
        let covered: Vec<String> =
            coverage().rows().into_iter().filter(|row| !row[3].is_empty()).map(|row| row.join("|")).collect();
        let want = [
            "Reconnaissance TA0043|||early",
            "Initial Access TA0001|T1078|Valid Accounts|valid",
            "Persistence TA0003|T1078|Valid Accounts|valid",
            "Privilege Escalation TA0004|T1078|Valid Accounts|valid",
            "Defense Evasion TA0005|T1078|Valid Accounts|valid",
            "Discovery TA0007|T1046|Network Service Discovery|hop scan",
            "Lateral Movement TA0008|T1021.004|SSH|hop",
            "Impact TA0040|T9999||new",
        ];
        assert_eq!(covered, want);
        assert_eq!(coverage().rows().iter().filter(|row| row[3].is_empty()).count(), 7, "gaps are shown");
    }

    #[test]
    fn a_layer_scores_each_technique_by_its_rules() {
        let layer = coverage().layer();
        assert_eq!((&layer["versions"]["layer"], &layer["domain"]), (&json!("4.5"), &json!("enterprise-attack")));
        let techniques = layer["techniques"].as_array().expect("a list");
        let scores: Vec<(&str, u64)> = techniques
            .iter()
            .map(|t| (t["techniqueID"].as_str().unwrap_or_default(), t["score"].as_u64().unwrap_or_default()))
            .collect();
        assert_eq!(scores, [("T1021.004", 1), ("T1046", 2), ("T1078", 1), ("T9999", 1)]);
        assert_eq!(techniques[1]["comment"], "hop, scan");
    }

    #[test]
    fn a_pipe_gets_a_line_a_row_and_the_totals() {
        let mut out = Vec::new();
        coverage().write(&mut out, false).expect("a buffer takes all");
        let text = String::from_utf8(out).expect("text");
        assert!(text.starts_with("tactic\ttechnique\tname\trules\n"), "{text}");
        assert!(text.ends_with("without an ATT&CK tag: none\n6 rules: 4 techniques, 8 of 15 tactics\n"), "{text}");
    }
}
