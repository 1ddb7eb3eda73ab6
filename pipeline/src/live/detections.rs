//! Alerts beside what was planted: which attack each speaks of, and how long that took.

use std::collections::{BTreeMap, VecDeque};

use loadgen::{AlertSeen, Label, score};

use super::feed::Announced;
use super::view::{Detection, State};

/// Alerts of unknown right or wrong that are kept for showing.
const SHOWN_MAX: usize = 200;

/// What a fleet planted, and how its event time runs on the wall.
#[derive(Debug, Clone)]
pub(crate) struct Planted {
    pub(crate) labels: Vec<Label>,
    /// Event time of the fleet's beginning, and how much of it there is.
    pub(crate) start_us: i64,
    pub(crate) span_us: i64,
    /// How long it takes on the wall.
    pub(crate) wall_us: i64,
}

impl Planted {
    /// When the event time comes on the wall, if the first event came at `began_us`.
    fn wall(&self, event_us: i64, began_us: i64) -> i64 {
        let into = i128::from(event_us - self.start_us) * i128::from(self.wall_us) / i128::from(self.span_us.max(1));
        began_us.saturating_add(i64::try_from(into).unwrap_or(i64::MAX))
    }
}

/// The score so far.
#[derive(Debug, Default)]
pub(super) struct Detections {
    planted: Option<Planted>,
    /// For each label, when the first alert of it left.
    detected: Vec<Option<i64>>,
    wrong: Vec<Announced>,
    /// Without labels: the last alerts.
    alerts: VecDeque<Announced>,
}

impl Detections {
    pub(super) fn new(planted: Option<Planted>) -> Self {
        let labels = planted.as_ref().map_or(0, |p| p.labels.len());
        Self { planted, detected: vec![None; labels], ..Self::default() }
    }

    pub(super) fn is_scored(&self) -> bool {
        self.planted.is_some()
    }

    /// Takes in alerts in the order in which they left.
    pub(super) fn take(&mut self, alerts: Vec<Announced>) {
        for announced in alerts {
            let Some(planted) = &self.planted else {
                self.alerts.truncate(SHOWN_MAX - 1);
                self.alerts.push_front(announced);
                continue;
            };
            let mut right = false;
            for (label, detected) in planted.labels.iter().zip(&mut self.detected) {
                if fits(label, &announced.alert) {
                    right = true;
                    *detected = Some(detected.map_or(announced.at_us, |at| at.min(announced.at_us)));
                }
            }
            if !right && !self.wrong.iter().any(|w| w.alert == announced.alert) {
                self.wrong.push(announced);
            }
        }
    }

    /// What to show at `now_us`, what needs eyes first.
    pub(super) fn lines(&self, now_us: i64, began_us: Option<i64>) -> Vec<Detection> {
        let seconds = |us: i64| us.max(0) as f64 / 1e6;
        let mut lines: Vec<Detection> =
            self.wrong.iter().map(|w| of_alert("false alert", &w.alert, State::False)).collect();
        if let Some(planted) = &self.planted {
            let is_due = |label: &Label| !label.near_miss && !label.is_uncovered;
            let attacks = planted.labels.iter().zip(&self.detected).filter(|(label, _)| is_due(label));
            lines.extend(attacks.map(|(label, detected)| {
                let began = began_us.map(|began| planted.wall(label.start_us, began));
                let state = match (detected, began) {
                    (Some(at), Some(began)) => State::Detected { seconds: seconds(at - began) },
                    (None, Some(began)) if began <= now_us => State::Open { seconds: seconds(now_us - began) },
                    _ => State::Coming,
                };
                of_label(label, state)
            }));
        }
        let alert = |a: &Announced| of_alert("alert", &a.alert, State::Alert { seconds: seconds(now_us - a.at_us) });
        lines.extend(self.alerts.iter().map(alert));
        lines.sort_by_key(|line| order(line.state));
        lines
    }
}

fn order(state: State) -> u8 {
    match state {
        State::False => 0,
        State::Open { .. } => 1,
        State::Detected { .. } | State::Alert { .. } => 2,
        State::Coming => 3,
    }
}

/// Whether the scorer would take the alert for the attack.
fn fits(label: &Label, alert: &AlertSeen) -> bool {
    let one = score(std::slice::from_ref(label), std::slice::from_ref(alert));
    !label.near_miss && one.detected == 1
}

fn of_label(label: &Label, state: State) -> Detection {
    let (what, rule, tenant) = (label.attack_id.clone(), label.rule.clone(), label.tenant.clone());
    Detection { what, rule, tenant, key: key(&label.key), state }
}

fn of_alert(what: &str, alert: &AlertSeen, state: State) -> Detection {
    let (rule, tenant) = (alert.rule.clone(), alert.tenant.clone());
    Detection { what: what.to_owned(), rule, tenant, key: key(&alert.key), state }
}

/// `src_ip=10.0.0.1 user_name=eve`; where a row stands is of no use to eyes.
fn key(key: &BTreeMap<String, String>) -> String {
    let shown = key.iter().filter(|(name, _)| !name.starts_with('_'));
    shown.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(id: &str, src_ip: &str, start_us: i64, near_miss: bool) -> Label {
        Label {
            attack_id: id.to_owned(),
            rule: "port_scan".to_owned(),
            tenant: "acme".to_owned(),
            key: BTreeMap::from([("src_ip".to_owned(), src_ip.to_owned()), ("_offset".to_owned(), "7".to_owned())]),
            start_us,
            end_us: start_us + 10_000_000,
            intensity: 1.0,
            near_miss,
            variant: "v".to_owned(),
            ..Label::default()
        }
    }

    fn alert(src_ip: &str, window_start: i64, at_us: i64) -> Announced {
        let key = BTreeMap::from([("src_ip".to_owned(), src_ip.to_owned())]);
        let (rule, tenant) = ("port_scan".to_owned(), "acme".to_owned());
        let window_end = window_start + 60_000_000;
        Announced { alert: AlertSeen { rule, tenant, key, window_start, window_end }, at_us }
    }

    #[test]
    fn attacks_are_found_open_or_coming_and_what_fits_none_is_false() {
        // A fleet of 100 s that is sent in 10 s of wall time, from 5,000 s on.
        let labels = vec![
            label("a1", "10.0.0.1", 1_020_000_000, false),
            label("a2", "10.0.0.2", 1_050_000_000, false),
            label("a3", "10.0.0.3", 1_090_000_000, false),
            label("n1", "10.0.0.4", 1_010_000_000, true),
        ];
        let planted = Planted { labels, start_us: 1_000_000_000, span_us: 100_000_000, wall_us: 10_000_000 };
        let mut detections = Detections::new(Some(planted));
        let began = 5_000_000_000;
        // The attack of 20 s begins at 2 s on the wall; the same alert again, revised, changes nothing.
        detections.take(vec![
            alert("10.0.0.1", 1_000_000_000, began + 3_500_000),
            alert("10.0.0.1", 1_000_000_000, began + 4_000_000),
            alert("10.0.0.4", 1_000_000_000, began + 4_000_000),
            alert("10.0.0.4", 1_000_000_000, began + 5_000_000),
        ]);
        let lines = detections.lines(began + 6_000_000, Some(began));
        let shown: Vec<(&str, State)> = lines.iter().map(|l| (l.what.as_str(), l.state)).collect();
        let want = [
            ("false alert", State::False),
            ("a2", State::Open { seconds: 1.0 }),
            ("a1", State::Detected { seconds: 1.5 }),
            ("a3", State::Coming),
        ];
        assert_eq!(shown, want);
        assert_eq!(lines[2].key, "src_ip=10.0.0.1");
    }

    #[test]
    fn without_labels_the_last_alerts_are_shown_the_newest_first() {
        let mut detections = Detections::new(None);
        detections.take((0..SHOWN_MAX as i64 + 3).map(|n| alert("10.0.0.1", 0, n * 1_000_000)).collect());
        let lines = detections.lines(1_000_000_000, None);
        assert_eq!(lines.len(), SHOWN_MAX);
        assert_eq!(lines[0].state, State::Alert { seconds: 1000.0 - (SHOWN_MAX as f64 + 2.0) });
    }
}
