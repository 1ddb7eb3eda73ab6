//! Watches against a slow count of the same, and in random splits.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;

use arrow::compute::cast;
use arrow::datatypes::DataType;
use dataflow::{OffsetRange, PartitionId, Positions, Reason, Record, Table, TableBatch, TableBuilder};
use proptest::prelude::*;

use super::SLOT_US;
use crate::tests::{integers, texts};
use crate::{Held, MergeStage, RuleSet, SourceStage, StepOutput, StepStamp};

const DAY: i64 = 288;

fn rules(watch: &str) -> Arc<RuleSet> {
    let text = format!("title: W\nid: 00000000-0000-4000-8000-000000000000\nversion: 1\nlevel: low\nwatch: {watch}\n");
    RuleSet::from_texts(&[("w.yaml", &text)]).unwrap_or_else(|e| panic!("{e}"))
}

/// Rows that were received in slots: `(slot, device)`; a dead letter without a device.
type Heard = (i64, Option<&'static str>);

fn batches(partition: &PartitionId, start: i64, heard: &[Heard]) -> Vec<TableBatch> {
    let (mut events, mut dead) = (TableBuilder::new(Table::NetworkActivity), TableBuilder::new(Table::DeadLetter));
    for ((slot, device), offset) in heard.iter().zip(start..) {
        let received_at = slot * SLOT_US + offset % 7;
        let record = Record { payload: b"", offset, received_at, full_len: 0 };
        let rows = match device {
            Some(device) => {
                // Of another day: what a device says of the time does not count.
                events.set_i64(Table::NetworkActivity.expect_leaf("time"), 5);
                events.set_str(Table::NetworkActivity.expect_leaf("device.hostname"), device);
                &mut events
            }
            None => {
                dead.set_i64(Table::DeadLetter.expect_leaf("time"), received_at);
                dead.set_str(Table::DeadLetter.expect_leaf("reason"), Reason::InvalidJson.name());
                &mut dead
            }
        };
        rows.end_event(partition, "acme", &record, 0);
    }
    let all = [(Table::NetworkActivity, events), (Table::DeadLetter, dead)];
    all.into_iter().map(|(table, mut rows)| TableBatch { table, rows: rows.finish() }).collect()
}

/// Both halves of one partition and one merge group.
struct Pair {
    rules: Arc<RuleSet>,
    partition: PartitionId,
    source: SourceStage,
    merge: MergeStage,
    next: i64,
    step: i64,
}

impl Pair {
    fn new(rules: &Arc<RuleSet>, number: i32) -> Self {
        let partition = PartitionId::new("fw", "i", number);
        let source = SourceStage::new(rules, partition.clone(), 0, None, NonZeroU32::MIN);
        let merge = MergeStage::new(rules, 0);
        Self { rules: rules.clone(), partition, source, merge, next: 0, step: 0 }
    }

    fn hear(&mut self, heard: &[Heard]) {
        let start = self.next;
        self.next += heard.len() as i64;
        for batch in batches(&self.partition, start, heard) {
            self.source.process(&batch).expect("processed");
        }
        let delta = self.source.take_delta().expect("a delta").deltas.into_groups().remove(0);
        self.merge.apply(&self.partition, OffsetRange { start, next: self.next }, &delta).expect("applied");
    }

    fn output(&mut self, until_slot: Option<i64>) -> StepOutput {
        self.step += 1;
        let stamp = StepStamp { step: self.step, at: 0, received_until: until_slot.map(|slot| slot * SLOT_US) };
        self.merge.step(stamp, None, &Positions::new(), &BTreeMap::new()).expect("a step")
    }

    /// `create from to` and `close from to`, in slots, with the device or topic.
    fn until(&mut self, slot: i64) -> Vec<String> {
        let output = self.output(Some(slot));
        let Some(alerts) = output.alerts else { return Vec::new() };
        let [changes, values] = ["activity_name", "unmapped"].map(|path| texts(&alerts, path));
        let [starts, ends] = ["_window_start", "_window_end"].map(|name| {
            let times = cast(alerts.rows.column_by_name(name).expect(name), &DataType::Int64).expect("integers");
            integers(&times).into_iter().map(|us| us / SLOT_US).collect::<Vec<_>>()
        });
        let name = |values: &String| {
            let values: serde_json::Value = serde_json::from_str(values).expect("JSON");
            values.get("device").or(values.get("topic")).expect("a source").as_str().unwrap_or("-").to_owned()
        };
        let row = |i: usize| format!("{} {} {} {}", name(&values[i]), changes[i].to_lowercase(), starts[i], ends[i]);
        (0..alerts.rows.num_rows()).map(row).collect()
    }

    fn restart(&mut self) {
        let bytes = self.merge.snapshot().expect("a snapshot");
        self.merge = MergeStage::restore(&self.rules, 0, &bytes).expect("restored");
    }
}

const SILENCE: &str = "{silence: {after: 15m, times: 2, learn: 1d}}";
const DEAD_LETTERS: &str = "{dead_letters: {records: 20, percent: 5, times: 5}}";

fn every_slot(slots: std::ops::Range<i64>, device: &'static str) -> Vec<Heard> {
    slots.map(|slot| (slot, Some(device))).collect()
}

#[test]
fn a_silence_is_told_once_when_it_is_too_long_and_closed_when_it_ends() {
    let mut pair = Pair::new(&rules(SILENCE), 0);
    pair.hear(&every_slot(0..DAY + 1, "fw-1"));
    assert_eq!(pair.until(DAY + 3), Vec::<String>::new());
    assert_eq!(pair.merge.wakes_at(), Some((DAY + 4) * SLOT_US), "when three slots are silent");
    assert_eq!(pair.until(DAY + 4), ["fw-1 create 289 292"]);
    assert_eq!((pair.merge.wakes_at(), pair.until(DAY + 50)), (None, Vec::new()), "once");
    pair.restart();
    pair.hear(&[(DAY + 60, Some("fw-1"))]);
    assert_eq!(pair.until(DAY + 60), Vec::<String>::new(), "what was received in the slot may not be all yet");
    assert_eq!(pair.until(DAY + 61), ["fw-1 close 289 292"]);
    assert_eq!(
        pair.until(DAY + 66),
        Vec::<String>::new(),
        "an outage is learned as what was too long of it: twice 15 minutes"
    );
    assert_eq!(pair.until(DAY + 67), ["fw-1 create 349 355"]);
}

#[test]
fn nothing_is_judged_before_all_that_was_received_is_merged() {
    let mut pair = Pair::new(&rules(SILENCE), 0);
    pair.hear(&every_slot(0..DAY + 1, "fw-1"));
    for _ in 0..3 {
        assert!(pair.output(None).alerts.is_none(), "a partition's end is not known");
    }
    assert_eq!(pair.until(10), Vec::<String>::new());
    assert_eq!(pair.merge.close_all_watermark(), None, "the end of the input closes no watch");
}

#[test]
fn an_exception_takes_the_alert_and_its_end_away() {
    let rules = rules(SILENCE);
    let text = "- rule: w\n  where: device LIKE 'lab-%'\n  owner: a\n  reason: b\n  expires: 2030-01-01\n";
    let rules = rules.except_texts(&[("e.yaml", text)]).unwrap_or_else(|e| panic!("{e}"));
    let mut pair = Pair::new(&rules, 0);
    pair.hear(&every_slot(0..DAY + 1, "lab-1"));
    let output = pair.output(Some(DAY + 9));
    assert!(output.alerts.is_none());
    assert_eq!(output.held.iter().map(|held: &Held| held.alerts).sum::<u64>(), 1);
    pair.hear(&[(DAY + 20, Some("lab-1"))]);
    assert!(pair.output(Some(DAY + 21)).alerts.is_none());
}

#[test]
fn evidence_of_a_silence_is_the_last_row_and_of_dead_letters_the_first() {
    let mut pair = Pair::new(&rules(SILENCE), 0);
    pair.hear(&every_slot(0..DAY + 1, "fw-1"));
    let alerts = pair.output(Some(DAY + 4)).alerts.expect("an alert");
    assert!(ocsf(&alerts).contains(r#""uid":"fw@i/0/288/0","data":{"table":"network_activity""#), "{}", ocsf(&alerts));

    let mut pair = Pair::new(&rules(DEAD_LETTERS), 0);
    let dead = |slot, records| vec![(slot, None); records];
    pair.hear(&[every_slot(0..1, "fw-1"), dead(0, 12)].concat());
    pair.hear(&dead(0, 12));
    let alerts = pair.output(Some(1)).alerts.expect("an alert");
    let json = ocsf(&alerts);
    assert!(json.contains(r#""uid":"fw@i/0/1/0","data":{"table":"dead_letter""#), "{json}");
    assert!(
        json.contains(r#""unmapped":{"topic":"fw","records":25,"dead_letters":24,"percent":96.0,"usual_percent":0.0}"#),
        "{json}"
    );
}

fn ocsf(alerts: &TableBatch) -> String {
    crate::tests::ocsf(alerts).remove(0)
}

#[test]
fn a_share_that_stays_high_is_told_once_and_learned_only_when_it_has_fallen() {
    let mut pair = Pair::new(&rules(DEAD_LETTERS), 0);
    let slot =
        |slot: i64, events: usize, dead: usize| [vec![(slot, Some("fw-1")); events], vec![(slot, None); dead]].concat();
    pair.hear(&slot(0, 970, 30));
    assert_eq!(pair.until(1), Vec::<String>::new(), "below one in twenty");
    for (at, dead, want) in [
        (1, 200, &["fw create 1 2"][..]),
        (2, 200, &[]),
        // Above half of five times 3 %: it stands.
        (3, 80, &[]),
        (4, 10, &["fw close 1 2"]),
        (5, 140, &["fw create 5 6"]),
    ] {
        pair.hear(&slot(at, 1_000 - dead, dead));
        assert_eq!(pair.until(at + 1), want, "slot {at}");
        pair.restart();
    }
}

#[test]
fn state_is_bounded() {
    let rules = rules(SILENCE);
    let mut pair = Pair::new(&rules, 0);
    pair.merge.set_limits(crate::Limits { rule_keys_max: 1, ..crate::Limits::default() });
    pair.hear(&[(0, Some("fw-1")), (0, Some("fw-1")), (0, Some("fw-2")), (1, Some("fw-2"))]);
    let output = pair.output(Some(1));
    assert_eq!(output.overflow_rows, 2, "rows of the source that found no room");
    assert!(pair.merge.bytes() > 0);
    pair.output(Some(9 * DAY));
    assert_eq!(pair.merge.bytes(), 0, "a source that was never known is forgotten");
}

/// What a watch finds of one device whose records are in these slots: every slot up to `until`, one by one.
fn slowly(heard: &BTreeSet<i64>, until: i64) -> Vec<String> {
    let Some(first) = heard.first().copied() else { return Vec::new() };
    let (mut found, mut last, mut gaps, mut open) = (Vec::new(), first, Vec::<(i64, i64)>::new(), None);
    let usual = |gaps: &[(i64, i64)], day: i64| {
        gaps.iter().filter(|(ended, _)| day - ended < 8).map(|(_, gap)| *gap).max().unwrap_or(0)
    };
    for slot in first + 1..=until {
        // Learned are the days up to the last record's.
        let limit = (2 * usual(&gaps, last.div_euclid(DAY))).max(3);
        let is_known = last - first >= DAY;
        if open.is_none() && is_known && slot - last > limit {
            open = Some((last + 1, slot));
            found.push(format!("fw-1 create {} {slot}", last + 1));
        }
        if slot < until && heard.contains(&slot) {
            let gap = slot - last - 1;
            gaps.push((slot.div_euclid(DAY), if is_known { gap.min(limit) } else { gap }));
            last = slot;
            if let Some((start, end)) = open.take() {
                found.push(format!("fw-1 close {start} {end}"));
            }
        }
    }
    found
}

/// Slots with records: stretches of speech and silence.
fn speech() -> impl Strategy<Value = Vec<i64>> {
    let stretch = (1..200_i64, prop_oneof![4 => 0..8_i64, 1 => 0..400_i64]);
    prop::collection::vec(stretch, 1..14).prop_map(|stretches| {
        let (mut slots, mut at) = (Vec::new(), 0);
        for (speech, silence) in stretches {
            slots.extend(at..at + speech);
            at += speech + silence;
        }
        slots
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_watch_finds_what_a_slow_count_finds_however_records_come(
        slots in speech(),
        more in 0..500_i64,
        cuts in prop::collection::vec((1..300_i64, any::<bool>(), any::<bool>()), 1..40),
    ) {
        let until = slots.last().copied().unwrap_or_default() + more;
        let want = slowly(&slots.iter().copied().collect(), until);
        let (mut pair, mut found, mut sent, mut clock) = (Pair::new(&rules(SILENCE), 0), Vec::new(), 0, 0);
        let mut cuts = cuts.into_iter().cycle();
        while clock < until {
            let Some((length, comes_early, restarts)) = cuts.next() else { break };
            clock = (clock + length).min(until);
            // Everything before the clock is there; some of what follows may be, too.
            let due = slots.iter().filter(|slot| **slot < clock + if comes_early { 20 } else { 0 }).count().max(sent);
            let mut heard: Vec<Heard> = slots[sent..due].iter().map(|slot| (*slot, Some("fw-1"))).collect();
            heard.reverse();
            sent = due;
            pair.hear(&heard);
            found.extend(pair.until(clock));
            if restarts {
                pair.restart();
            }
        }
        prop_assert_eq!(found, want);
    }
}
