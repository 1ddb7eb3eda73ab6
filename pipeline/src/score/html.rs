//! The score as one page: figures, plots, and beside every plot its numbers. Nothing is loaded from elsewhere.

use std::fmt::Write;

use super::svg::{Axis, Plot, escaped, short};
use super::text::{percent, seconds};
use super::{Attack, Report};
use crate::summary::grouped;

const STYLE: &str = include_str!("style.css");

impl Report {
    /// The page. `what` says which truth and which warehouse.
    pub(crate) fn html(&self, what: &str) -> String {
        let (class, verdict) = match self.is_perfect() {
            true => {
                ("good", "Full score: nothing lost, doubled or changed; every attack detected; nothing else alerted.")
            }
            false => ("bad", "Not a full score: see below."),
        };
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Palisade score</title>\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><style>{STYLE}</style></head><body><main>\
             <h1>Palisade score</h1><p>{}</p><p class=\"verdict {class}\">{verdict}</p>{}{}{}{}{}</main></body></html>\n",
            escaped(what),
            self.tiles(),
            self.rules_section(),
            self.attacks_section(),
            self.latency_section(),
            self.minutes_section()
        )
    }

    fn tiles(&self) -> String {
        let tiles = [
            ("recall", percent(self.recall)),
            ("precision", percent(self.precision)),
            ("events", grouped(self.events_generated)),
            ("lost", grouped(self.missing)),
            ("duplicates", grouped(self.doubled)),
            ("altered", grouped(self.altered)),
            ("not sent", grouped(self.extra)),
            ("queryable, p99", seconds(Some(self.queryable_ms.p99 / 1000.0))),
        ];
        let tile = |(name, value): &(&str, String)| format!("<div><dt>{name}</dt><dd>{value}</dd></div>");
        format!("<dl class=\"tiles\">{}</dl>", tiles.iter().map(tile).collect::<String>())
    }

    fn rules_section(&self) -> String {
        let head = [
            "rule",
            "planted",
            "detected",
            "recall",
            "near misses",
            "alerts",
            "false",
            "precision",
            "to queryable, median",
        ];
        let rows = self.rules.iter().map(|r| {
            let counts = [r.planted, r.detected].map(grouped);
            let [planted, detected] = counts;
            let others = [r.near_misses, r.alerts, r.false_alerts].map(grouped);
            let [near, alerts, wrong] = others;
            let median = seconds(r.seconds_to_queryable_median);
            vec![
                r.rule.clone(),
                planted,
                detected,
                percent(r.recall),
                near,
                alerts,
                wrong,
                percent(r.precision),
                median,
            ]
        });
        section("Detections by rule", "Attacks that were planted, and what alerted.", &table("Rules", &head, rows))
    }

    fn attacks_section(&self) -> String {
        let head = ["attack", "variant", "intensity", "to alert", "to queryable", "alerts"];
        let rows = self.attacks.iter().map(|a| {
            let times = [a.seconds_to_alert, a.seconds_to_queryable].map(seconds);
            let [alert, queryable] = times;
            vec![
                a.attack_id.clone(),
                a.variant.clone(),
                format!("{:.2}", a.intensity),
                alert,
                queryable,
                grouped(a.alerts),
            ]
        });
        let text = "From the receipt of the record with which an attack met its rule. An attack of intensity 2 has twice \
                    the events that its rule asks for. \
                    <span class=\"key circle\"></span>windows: the step that raised the alert\
                    <span class=\"key square\"></span>single events: the alert can be queried";
        let plot = self.attacks_plot();
        section("Time to detect", text, &both(&plot, &table("Attacks", &head, rows)))
    }

    fn attacks_plot(&self) -> String {
        let points: Vec<(&Attack, f64)> =
            self.attacks.iter().filter_map(|a| Some((a, a.seconds_to_alert.or(a.seconds_to_queryable)?))).collect();
        let x = Axis::log("intensity, times the threshold", points.iter().map(|(a, _)| a.intensity));
        let y = Axis::linear("seconds", points.iter().map(|(_, s)| *s).fold(0.0, f64::max));
        let description = format!("{} attacks; the table beside it has the numbers.", points.len());
        let mut plot = Plot::new("attacks", "Time to detect against intensity", &description, x, y);
        for (attack, at) in &points {
            let name = format!("{}: {} at intensity {:.2}", attack.attack_id, seconds(Some(*at)), attack.intensity);
            plot.point(attack.intensity, *at, attack.seconds_to_alert.is_none(), &name);
        }
        plot.finish()
    }

    fn latency_section(&self) -> String {
        let p = &self.queryable_ms;
        let rows = [("p50", p.p50), ("p99", p.p99), ("p99.9", p.p999), ("max", p.max)]
            .into_iter()
            .map(|(name, ms)| vec![name.to_owned(), seconds(Some(ms / 1000.0))]);
        let table = table("Percentiles", &["percentile", "time"], rows);
        let text =
            "From the receipt of an event to the commit with which it can be queried, by the tables' own stamps.";
        section("End-to-end latency", text, &both(&self.latency_plot(), &table))
    }

    fn latency_plot(&self) -> String {
        let buckets = &self.queryable_histogram;
        let label = |i: usize| seconds(buckets.get(i).map(|b| b.up_to_ms / 1000.0));
        let x = Axis::positions("up to", buckets.len(), label);
        let y = Axis::linear("events", buckets.iter().map(|b| b.events as f64).fold(0.0, f64::max));
        let description = "Events by how long they took; the table beside it has the percentiles.";
        let mut plot = Plot::new("latency", "Distribution of the time to queryable", description, x, y);
        for (i, bucket) in buckets.iter().enumerate() {
            plot.bar(i, bucket.events as f64, &format!("{} events up to {}", grouped(bucket.events), label(i)));
        }
        plot.finish()
    }

    fn minutes_section(&self) -> String {
        let points = &self.minutes.points;
        let clock = |i: usize| points.get(i).and_then(|p| p.from.get(11..16)).unwrap_or_default().to_owned();
        let x = Axis::positions("time of the events, UTC", points.len(), clock);
        let high = points.iter().map(|p| p.generated.max(p.stored)).fold(0.0, f64::max);
        let description =
            "Events a minute that were sent and that are stored; where the lines differ, events were lost or doubled.";
        let mut plot =
            Plot::new("minutes", "Events a minute, in and out", description, x, Axis::linear("events a minute", high));
        plot.line("wide", points.iter().map(|p| p.generated));
        plot.line("thin", points.iter().map(|p| p.stored));
        let rows = points
            .iter()
            .map(|p| vec![p.from.clone(), short(p.generated), short(p.stored), short(p.stored - p.generated)]);
        let table = table("Events a minute", &["from", "in", "out", "difference"], rows);
        let text = format!(
            "Each point is the mean of {} min. {} events came out of order within their partitions, {} at most; {} are stored so.\
             <span class=\"key wide-line\"></span>sent<span class=\"key thin-line\"></span>stored",
            self.minutes.minutes_a_point,
            grouped(self.order_sent.out_of_order),
            seconds(Some(self.order_sent.seconds_max)),
            grouped(self.order_stored.out_of_order)
        );
        section("Events in and out", &text, &both(&plot.finish(), &table))
    }
}

/// A heading, a sentence and what follows. `text` is HTML.
fn section(title: &str, text: &str, body: &str) -> String {
    format!("<section><h2>{title}</h2><p>{text}</p>{body}</section>")
}

fn both(plot: &str, table: &str) -> String {
    format!("<div class=\"both\"><div>{plot}</div>{table}</div>")
}

fn table(caption: &str, head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut out = format!("<div class=\"scroll\" tabindex=\"0\"><table><caption>{caption}</caption><thead><tr>");
    for name in head {
        let _ = write!(out, "<th scope=\"col\">{}</th>", escaped(name));
    }
    out.push_str("</tr></thead><tbody>");
    for row in rows {
        let cells: String = row.iter().map(|cell| format!("<td>{}</td>", escaped(cell))).collect();
        let _ = write!(out, "<tr>{cells}</tr>");
    }
    out.push_str("</tbody></table></div>");
    out
}
