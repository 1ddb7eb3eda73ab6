//! What a run did, for people and for machines.

use std::io::Write;
use std::path::Path;

use comfy_table::{Cell, CellAlignment, Table as TextTable, presets};
use dataflow::Latency;
use serde::{Deserialize, Serialize};

use crate::flight::Steps;

/// Percentiles of a latency in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Percentiles {
    /// Of how many values.
    pub(crate) count: u64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl From<&Latency> for Percentiles {
    fn from(latency: &Latency) -> Self {
        Self {
            count: latency.count(),
            p50: latency.quantile_ms(0.5),
            p99: latency.quantile_ms(0.99),
            p999: latency.quantile_ms(0.999),
            max: latency.max_ms(),
        }
    }
}

/// From receipt, per event: to each step, and per alert to durable.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Latencies {
    pub(crate) decoded: Percentiles,
    pub(crate) ledger: Percentiles,
    pub(crate) queryable: Percentiles,
    pub(crate) alert: Percentiles,
}

impl From<&Steps> for Latencies {
    fn from(steps: &Steps) -> Self {
        Self {
            decoded: (&steps.decoded).into(),
            ledger: (&steps.ledger).into(),
            queryable: (&steps.queryable).into(),
            alert: (&steps.alert).into(),
        }
    }
}

/// What a bounded run did, from the warehouse as it reads back.
#[derive(Debug, Serialize)]
pub(crate) struct RunSummary {
    pub(crate) records_read: u64,
    pub(crate) events_received: u64,
    pub(crate) rows: std::collections::BTreeMap<String, u64>,
    pub(crate) alerts: u64,
    pub(crate) dead_letters: u64,
    pub(crate) dead_letter_reasons: std::collections::BTreeMap<String, u64>,
    pub(crate) seconds: f64,
    pub(crate) events_per_second: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) latency_ms: Latencies,
    pub(crate) warehouse: String,
}

/// What the demo did and how it scored.
#[derive(Debug, Serialize)]
pub(crate) struct DemoSummary {
    pub(crate) seed: u64,
    pub(crate) events_generated: u64,
    pub(crate) events_committed: u64,
    pub(crate) dead_letters: u64,
    pub(crate) unaccounted: u64,
    pub(crate) attacks_planted: u64,
    pub(crate) attacks_detected: u64,
    pub(crate) near_misses_planted: u64,
    pub(crate) false_alerts: u64,
    pub(crate) rules: Vec<RuleScore>,
    pub(crate) seconds: f64,
    pub(crate) events_per_second: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) latency_ms: Latencies,
    pub(crate) warehouse: String,
}

/// One rule's line of the score.
#[derive(Debug, Serialize)]
pub(crate) struct RuleScore {
    pub(crate) rule: String,
    pub(crate) planted: u64,
    pub(crate) detected: u64,
    pub(crate) near_misses: u64,
    pub(crate) false_alerts: u64,
}

impl From<&loadgen::RuleScore> for RuleScore {
    fn from(score: &loadgen::RuleScore) -> Self {
        Self {
            rule: score.rule.clone(),
            planted: score.planted as u64,
            detected: score.detected as u64,
            near_misses: score.near_misses as u64,
            false_alerts: score.false_alerts as u64,
        }
    }
}

/// `1234567` -> `1,234,567`.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A table of names and right-aligned values.
pub(crate) fn pairs(out: &mut impl Write, rows: &[(&str, String)]) -> std::io::Result<()> {
    let mut table = TextTable::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    for (name, value) in rows {
        table.add_row([Cell::new(name), Cell::new(value).set_alignment(CellAlignment::Right)]);
    }
    writeln!(out, "{table}")
}

fn rules_table(out: &mut impl Write, rules: &[RuleScore]) -> std::io::Result<()> {
    let mut table = TextTable::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["rule", "planted", "detected", "near misses", "false alerts"]);
    for r in rules {
        let n = |v: u64| Cell::new(v).set_alignment(CellAlignment::Right);
        table.add_row([Cell::new(&r.rule), n(r.planted), n(r.detected), n(r.near_misses), n(r.false_alerts)]);
    }
    writeln!(out, "{table}")
}

pub(crate) fn latency(p: &Percentiles) -> String {
    let s = |ms: f64| if ms >= 1000.0 { format!("{:.1} s", ms / 1000.0) } else { format!("{ms:.0} ms") };
    format!("p50 {}   p99 {}   p99.9 {}   max {}", s(p.p50), s(p.p99), s(p.p999), s(p.max))
}

fn rate(events: f64, cpu: f64, total: u64) -> String {
    let per_million = if total == 0 { 0.0 } else { cpu / (total as f64 / 1e6) };
    format!("{} events/s, {cpu:.1} cpu-seconds ({per_million:.1} a million)", grouped(events as u64))
}

impl RunSummary {
    /// Writes the summary for a person.
    pub(crate) fn write_text(&self, out: &mut impl Write) -> std::io::Result<()> {
        let total: u64 = self.rows.values().sum();
        let mut rows = vec![("records read", grouped(self.records_read))];
        rows.extend(self.rows.iter().map(|(table, n)| (table.as_str(), grouped(*n))));
        rows.push(("dead letters", grouped(self.dead_letters)));
        rows.extend(self.dead_letter_reasons.iter().map(|(reason, n)| (reason.as_str(), grouped(*n))));
        rows.push(("alerts", grouped(self.alerts)));
        rows.push(("rate", rate(self.events_per_second, self.cpu_seconds, total)));
        pairs(out, &rows)?;
        writeln!(out, "Query it: palisade sql --warehouse {}", self.warehouse)
    }
}

impl DemoSummary {
    /// Writes the summary for a person.
    pub(crate) fn write_text(&self, out: &mut impl Write) -> std::io::Result<()> {
        pairs(
            out,
            &[
                ("events generated", grouped(self.events_generated)),
                ("events committed", grouped(self.events_committed)),
                ("dead letters", grouped(self.dead_letters)),
                ("unaccounted", grouped(self.unaccounted)),
                ("rate", rate(self.events_per_second, self.cpu_seconds, self.events_generated)),
                ("to queryable", latency(&self.latency_ms.queryable)),
                ("to alert", latency(&self.latency_ms.alert)),
            ],
        )?;
        rules_table(out, &self.rules)?;
        writeln!(out, "Query it: palisade sql --warehouse {}", self.warehouse)
    }
}

/// A path as it is printed in summaries.
pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (n, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(n), text);
        }
    }
}
