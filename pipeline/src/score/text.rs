//! The score for a terminal.

use std::io::Write;

use comfy_table::{Cell, CellAlignment, Table as TextTable, presets};

use super::{Attack, Report};
use crate::summary::{grouped, latency, pairs};

impl Report {
    /// Writes figures, rules and attacks.
    pub(crate) fn write_text(&self, out: &mut impl Write) -> std::io::Result<()> {
        let order = format!(
            "{} of {} sent, {} at most",
            grouped(self.order_stored.out_of_order),
            grouped(self.order_sent.out_of_order),
            seconds(Some(self.order_sent.seconds_max))
        );
        let figures = [
            ("events generated", grouped(self.events_generated)),
            ("events committed", grouped(self.events_committed)),
            ("dead letters", grouped(self.dead_letters)),
            ("missing (lost)", grouped(self.missing)),
            ("extra", grouped(self.extra)),
            ("doubled (duplicates)", grouped(self.doubled)),
            ("altered", grouped(self.altered)),
            ("out of order", order),
            ("attacks without a rule", grouped(self.attacks_uncovered)),
            ("recall", percent(self.recall)),
            ("precision", percent(self.precision)),
            ("to queryable", latency(&self.queryable_ms)),
        ];
        pairs(out, &figures)?;
        self.write_rules(out)?;
        self.write_attacks(out)
    }

    fn write_rules(&self, out: &mut impl Write) -> std::io::Result<()> {
        let mut table = table(&[
            "rule",
            "planted",
            "detected",
            "recall",
            "near misses",
            "alerts",
            "false",
            "precision",
            "to queryable",
        ]);
        for r in &self.rules {
            let [planted, detected, near, alerts, wrong] =
                [r.planted, r.detected, r.near_misses, r.alerts, r.false_alerts].map(grouped);
            let median = seconds(r.seconds_to_queryable_median);
            table.add_row(cells(
                &r.rule,
                [planted, detected, percent(r.recall), near, alerts, wrong, percent(r.precision), median],
            ));
        }
        writeln!(out, "{table}")
    }

    /// The attacks by rule and intensity.
    fn write_attacks(&self, out: &mut impl Write) -> std::io::Result<()> {
        let mut attacks: Vec<&Attack> = self.attacks.iter().collect();
        attacks.sort_by(|a, b| {
            (&a.rule, a.intensity).partial_cmp(&(&b.rule, b.intensity)).unwrap_or(std::cmp::Ordering::Equal)
        });
        let mut table = table(&["attack", "intensity", "alerts", "to alert", "to queryable", "from its first record"]);
        for a in attacks {
            let times = [a.seconds_to_alert, a.seconds_to_queryable, a.seconds_from_first].map(seconds);
            let [alert, queryable, first] = times;
            let alerts = if a.detected { grouped(a.alerts) } else { "MISSED".to_owned() };
            table.add_row(cells(&a.attack_id, [format!("{:.2}", a.intensity), alerts, alert, queryable, first]));
        }
        writeln!(out, "{table}")
    }
}

fn table(header: &[&str]) -> TextTable {
    let mut table = TextTable::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(header.iter().copied());
    table
}

fn cells<const N: usize>(name: &str, values: [String; N]) -> Vec<Cell> {
    let right = values.into_iter().map(|v| Cell::new(v).set_alignment(CellAlignment::Right));
    std::iter::once(Cell::new(name)).chain(right).collect()
}

/// `97.5 %`, or a dash.
pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

/// `250 ms`, `3.2 s`, `173 s`, `12 min`, or a dash.
pub(super) fn seconds(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(s) if s < 1.0 => format!("{:.0} ms", s * 1000.0),
        Some(s) if s < 120.0 => format!("{s:.1} s"),
        Some(s) if s < 600.0 => format!("{s:.0} s"),
        Some(s) => format!("{:.0} min", s / 60.0),
    }
}
