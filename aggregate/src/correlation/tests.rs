//! Every type beside a few lines that look at all windows of all rows, however the rows are cut up; and each bound.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;

use dataflow::{OffsetRange, Table, TableBatch};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;

use crate::exchange::Deltas;
use crate::rule::scenario::{Row, batches};
use crate::tests::{SECOND, ocsf, partition, step, texts};
use crate::{Limits, MergeStage, RuleSet, SourceStage, StepOutput};

/// An API call: operation A, B or C of somebody, with a number.
#[derive(Debug, Clone, PartialEq)]
struct Call {
    partition: usize,
    offset: i64,
    at: i64,
    tenant: &'static str,
    user: Option<u8>,
    operation: usize,
    n: Option<i64>,
}

impl Call {
    fn row(&self) -> Row {
        let mut unmapped = serde_json::Map::new();
        unmapped.extend(self.user.map(|user| ("user".to_owned(), json!(format!("u{user}")))));
        unmapped.extend(self.n.map(|n| ("n".to_owned(), json!(n))));
        let set = [
            ("metadata.product.vendor_name", json!("AWS")),
            ("metadata.product.name", json!("CloudTrail")),
            ("api.operation", json!(["A", "B", "C"][self.operation])),
            ("unmapped", json!(json!(unmapped).to_string())),
        ];
        let set = set.into_iter().map(|(path, value)| (path.to_owned(), value)).collect();
        Row { table: Table::ApiActivity, tenant: self.tenant.to_owned(), time: self.at * SECOND, set }
    }

    fn uid(&self) -> String {
        format!("fw@i/{}/{}/0", self.partition, self.offset)
    }
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = (0..3_usize, 0..120_i64, any::<bool>(), 0..3_u8, 0..3_usize, 0..8_i64);
    let call = call.prop_map(|(partition, at, acme, user, operation, n)| Call {
        partition,
        offset: 0,
        at,
        tenant: if acme { "acme" } else { "globex" },
        user: (user > 0).then_some(user),
        operation,
        n: (n > 0).then_some(n),
    });
    proptest::collection::vec(call, 1..90).prop_map(|mut calls| {
        let mut next = [0; 3];
        for call in &mut calls {
            call.offset = next[call.partition];
            next[call.partition] += 1;
        }
        calls
    })
}

fn base(name: &str) -> String {
    let operation = name.to_uppercase();
    format!(
        "title: {name}\nname: {name}\nlogsource: {{product: aws, service: cloudtrail}}\n\
         detection: {{s: {{eventName: {operation}}}, condition: s}}\n---\n"
    )
}

/// Those of the rules a, b and c that are named, and what stands under `correlation:` and beside it.
fn rules(correlation: &str, beside: &str) -> Arc<RuleSet> {
    let is_named =
        |name: &&str| correlation.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == *name);
    let bases: String = ["a", "b", "c"].into_iter().filter(is_named).map(base).collect();
    let text = format!("{bases}title: T\n{beside}\ncorrelation: {{group-by: [user], timespan: 20s, {correlation}}}\n");
    RuleSet::from_texts(&[("r.yml", &text)]).unwrap_or_else(|e| panic!("{text}{e}"))
}

// --- what is run ---

/// What stands: tenant, end of the window, what it says, and which rows it names.
type Found = BTreeMap<String, (String, String, String, BTreeSet<String>)>;

fn note(found: &mut Found, output: &StepOutput) {
    let Some(alerts) = &output.alerts else { return };
    let column = |path| texts(alerts, path);
    let (ids, tenants, values) = (column("finding_info.uid"), column("tenant_uid"), column("unmapped"));
    let (ends, changes) = (column("end_time"), column("activity_name"));
    for (i, (id, json)) in ids.into_iter().zip(ocsf(alerts)).enumerate() {
        let uids =
            json.split(r#"{"uid":"fw"#).skip(1).map(|t| format!("fw{}", t.split('"').next().unwrap_or_default()));
        let alert = (tenants[i].clone(), ends[i].clone(), values[i].clone(), uids.collect());
        match (changes[i].as_str(), found.remove(&id)) {
            ("Close", last) => assert!(last.is_some(), "closed before it was made"),
            ("Create", last) => assert_eq!(found.insert(id, alert).or(last), None, "made twice"),
            (_, _) => drop(found.insert(id, alert)),
        }
    }
}

/// Cuts the calls up as the choices say. Returns what stands in the end, and the calls that were not late.
fn run(rules: &Arc<RuleSet>, calls: &[Call], choices: Option<&[Index]>, lateness: i64) -> (Found, Vec<Call>) {
    let mut choices = choices.map(|choices| choices.iter());
    let is_cut = choices.is_some();
    let mut choose = |n: usize| choices.as_mut().and_then(Iterator::next).map_or(0, |c| c.index(n));
    let groups = NonZeroU32::new(if is_cut { 3 } else { 1 }).expect("above zero");
    let fresh = |group| {
        let mut merge = MergeStage::new(rules, group);
        merge.set_correlation_evidence(1_000);
        merge
    };
    let mut merges: Vec<MergeStage> = (0..groups.get()).map(fresh).collect();
    let mut queues: Vec<Vec<Call>> =
        (0..3).map(|p| calls.iter().filter(|c| c.partition == p).cloned().collect()).collect();
    let (mut found, mut seen, mut watermark, mut number) = (Found::new(), Vec::new(), i64::MIN, 0);
    while let Some(first) = queues.iter().position(|queue| !queue.is_empty()) {
        let chosen = choose(3);
        let chosen = if queues[chosen].is_empty() { first } else { chosen };
        let count = if is_cut { 1 + choose(queues[chosen].len()) } else { queues[chosen].len() };
        let range: Vec<Call> = queues[chosen].drain(..count).collect();
        let deltas = ship(rules, &range, groups, choose(4) + 1);
        let offsets = OffsetRange { start: range[0].offset, next: range[0].offset + count as i64 };
        for (merge, delta) in merges.iter_mut().zip(deltas.into_groups()) {
            merge.apply(&partition(chosen as i32), offsets, &delta).expect("applied");
        }
        seen.extend(range.into_iter().filter(|call| call.at >= watermark.saturating_sub(lateness)));
        if is_cut && choose(2) == 0 {
            watermark = watermark.max(choose(120) as i64);
        }
        for (group, merge) in (0..).zip(&mut merges) {
            note(&mut found, &step(merge, number, (watermark > i64::MIN).then(|| watermark * SECOND)));
            if choose(3) == 1 {
                let bytes = merge.snapshot().expect("a snapshot");
                *merge = MergeStage::restore(rules, group, &bytes).expect("restored");
                merge.set_correlation_evidence(1_000);
                assert_eq!(merge.snapshot().expect("a snapshot"), bytes, "what is restored is what was kept");
            }
        }
        number += 1;
    }
    for merge in &mut merges {
        let end = merge.close_all_watermark();
        note(&mut found, &step(merge, number, end));
        assert_eq!((merge.close_all_watermark(), merge.windows_open()), (None, 0));
    }
    (found, seen)
}

/// A range's deltas, through an exchange file, made of so many batches.
fn ship(rules: &Arc<RuleSet>, range: &[Call], groups: NonZeroU32, parts: usize) -> Deltas {
    let number = partition(range[0].partition as i32);
    let mut stage = SourceStage::new(rules, number.clone(), 0, None, groups);
    for part in range.chunks(range.len().div_ceil(parts)) {
        let rows: Vec<Row> = part.iter().map(Call::row).collect();
        let all: Vec<TableBatch> = batches(&number, part[0].offset, &rows).expect("batches");
        all.iter().for_each(|batch| stage.process(batch).expect("processed"));
    }
    let given = stage.take_delta().expect("a delta");
    assert!(given.alerts.is_none(), "what only serves a correlation does not alert");
    Deltas::decode(&given.deltas.encode().expect("encoded")).expect("decoded")
}

// --- what is right ---

/// The value of the calls of a window, if it is to be found.
type Model = fn(&[&Call]) -> Option<f64>;

fn numbers(calls: &[&Call]) -> Vec<f64> {
    let mut numbers: Vec<f64> = calls.iter().filter_map(|call| call.n).map(|n| n as f64).collect();
    numbers.sort_by(f64::total_cmp);
    numbers
}

fn met(calls: &[&Call]) -> usize {
    (0..3).filter(|o| calls.iter().any(|call| call.operation == *o)).count()
}

fn in_order(calls: &[&Call]) -> bool {
    let of = |operation: usize| calls.iter().filter(move |call| call.operation == operation).map(|call| call.at);
    of(0).any(|a| of(1).any(|b| of(2).any(|c| a <= b && b <= c)))
}

fn at_least(value: usize, bound: usize) -> Option<f64> {
    (value >= bound).then_some(value as f64)
}

/// Looks at every window of every key.
fn expected(calls: &[Call], operations: &[usize], needs_number: bool, model: Model) -> Vec<String> {
    let is_hit = |call: &&Call| operations.contains(&call.operation) && (call.n.is_some() || !needs_number);
    let mut lines = Vec::new();
    let hits: Vec<&Call> = calls.iter().filter(is_hit).collect();
    let ends: BTreeSet<_> = hits.iter().map(|call| (call.tenant, call.user, call.at)).collect();
    for (tenant, user, end) in ends {
        let is_in = |call: &&&Call| (call.tenant, call.user) == (tenant, user) && (end - 20..=end).contains(&call.at);
        let window: Vec<&Call> = hits.iter().filter(is_in).copied().collect();
        if let Some(value) = model(&window) {
            lines.push(line(tenant, end, user, value, &window.iter().map(|call| call.uid()).collect()));
        }
    }
    lines.sort();
    lines
}

fn line(tenant: &str, end: i64, user: Option<u8>, value: f64, rows: &BTreeSet<String>) -> String {
    let user = user.map(|user| format!("u{user}"));
    let value = if value.fract() == 0.0 { json!(value as i64) } else { json!(value) };
    format!("{tenant} {} {} {rows:?}", end * SECOND, json!({"group": {"user": user}, "value": value}))
}

fn lines(found: &Found) -> Vec<String> {
    let mut lines: Vec<String> =
        found.values().map(|(tenant, end, values, rows)| format!("{tenant} {} {values} {rows:?}", us(end))).collect();
    lines.sort();
    lines
}

/// The seconds of a time, in microseconds: all are in the first minutes of 1970.
fn us(time: &str) -> i64 {
    let part = |range: std::ops::Range<usize>| time.get(range).and_then(|t| t.parse::<i64>().ok()).expect(time);
    (part(14..16) * 60 + part(17..19)) * SECOND
}

/// Types and conditions; the operations that are hits, whether hits need a number, and what is right.
const KINDS: [(&str, &[usize], bool, Model); 13] = [
    ("type: event_count, rules: [a, b], condition: {gte: 3}", &[0, 1], false, |c| at_least(c.len(), 3)),
    ("type: event_count, rules: [a], condition: {eq: 2}", &[0], false, |c| (c.len() == 2).then_some(2.0)),
    ("type: event_count, rules: [a, c], condition: {neq: 1, lt: 4}", &[0, 2], false, |c| {
        (c.len() != 1 && c.len() < 4).then_some(c.len() as f64)
    }),
    ("type: value_count, rules: [a], condition: {field: n, gte: 2}", &[0], true, |c| {
        at_least(c.iter().filter_map(|call| call.n).collect::<BTreeSet<_>>().len(), 2)
    }),
    ("type: value_sum, rules: [a, b], condition: {field: n, gt: 9, lte: 25}", &[0, 1], true, |c| {
        Some(numbers(c).iter().sum::<f64>()).filter(|sum| *sum > 9.0 && *sum <= 25.0)
    }),
    ("type: value_avg, rules: [a, b, c], condition: {field: n, gt: 4.5}", &[0, 1, 2], true, |c| {
        Some(numbers(c).iter().sum::<f64>() / c.len() as f64).filter(|mean| *mean > 4.5)
    }),
    ("type: value_percentile, rules: [a, b], condition: {field: n, percentile: 75, gte: 5}", &[0, 1], true, |c| {
        let (numbers, at) = (numbers(c), 0.75 * (c.len() - 1) as f64);
        let (low, high) = (numbers[at.floor() as usize], numbers[at.ceil() as usize]);
        Some(low + (at - at.floor()) * (high - low)).filter(|value| *value >= 5.0)
    }),
    ("type: value_median, rules: [a, b], condition: {field: n, lt: 4}", &[0, 1], true, |c| {
        let (numbers, half) = (numbers(c), c.len() / 2);
        let even = || (numbers[half - 1] + numbers[half]) / 2.0;
        Some(if c.len() % 2 == 0 { even() } else { numbers[half] }).filter(|value| *value < 4.0)
    }),
    ("type: temporal, rules: [a, b, c]", &[0, 1, 2], false, |c| at_least(met(c), 3)),
    ("type: temporal, rules: [a, b, c], condition: {gte: 2}", &[0, 1, 2], false, |c| at_least(met(c), 2)),
    ("type: temporal, condition: a and b and not c", &[0, 1, 2], false, |c| {
        let has = |operation| c.iter().any(|call| call.operation == operation);
        (has(0) && has(1) && !has(2)).then_some(2.0)
    }),
    ("type: temporal_ordered, rules: [a, b, c]", &[0, 1, 2], false, |c| in_order(c).then_some(3.0)),
    ("type: temporal_ordered, condition: a and b and c", &[0, 1, 2], false, |c| in_order(c).then_some(3.0)),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_type_finds_what_all_windows_hold_however_rows_are_cut_up(
        calls in calls(), choices in proptest::collection::vec(any::<Index>(), 900)
    ) {
        for (correlation, operations, needs_number, model) in KINDS {
            let rules = rules(correlation, "");
            for choices in [None, Some(&choices[..])] {
                let (found, seen) = run(&rules, &calls, choices, 0);
                prop_assert_eq!(lines(&found), expected(&seen, operations, needs_number, model), "{}", correlation);
            }
        }
    }

    #[test]
    fn late_rows_revise_what_was_found(calls in calls(), choices in proptest::collection::vec(any::<Index>(), 900)) {
        for (correlation, operations, needs_number, model) in KINDS {
            let rules = rules(correlation, "allowed_lateness: 30s");
            let (found, seen) = run(&rules, &calls, Some(&choices), 30);
            prop_assert_eq!(lines(&found), expected(&seen, operations, needs_number, model), "{}", correlation);
        }
    }

    #[test]
    fn what_follows_a_finding_is_the_same_however_rows_are_cut_up(
        calls in calls(), choices in proptest::collection::vec(any::<Index>(), 900)
    ) {
        let counted = "type: event_count, rules: [a, b], condition: {gte: 3}";
        for beside in ["rsigma.action: reset", "rsigma.suppress: 15s"] {
            let rules = rules(counted, beside);
            let (cut, seen) = run(&rules, &calls, Some(&choices), 0);
            // Without the late calls offsets are others.
            let (whole, _) = run(&rules, &seen, None, 0);
            let without_rows = |found: &Found| {
                let lines = found.values().map(|(tenant, end, values, _)| format!("{tenant} {end} {values}"));
                lines.collect::<BTreeSet<_>>()
            };
            prop_assert_eq!(without_rows(&cut), without_rows(&whole));
            let mut found: BTreeMap<(String, String), Vec<i64>> = BTreeMap::new();
            for (tenant, end, values, _) in whole.values() {
                let user = values.split(r#","value""#).next().unwrap_or_default().to_owned();
                found.entry((tenant.clone(), user)).or_default().push(us(end) / SECOND);
            }
            // Alerts come by their ids.
            found.values_mut().for_each(|times| times.sort_unstable());
            prop_assert_eq!(found, after_findings(&seen, beside.ends_with("reset")));
        }
    }

    #[test]
    fn correlations_of_correlations_are_the_same_however_rows_are_cut_up(
        calls in calls(), choices in proptest::collection::vec(any::<Index>(), 900)
    ) {
        let rules = chained();
        let (cut, seen) = run(&rules, &calls, Some(&choices), 0);
        // Two of a within 10 s, and b at that time or in the 20 s that follow: at b, or at a later finding.
        let mut want = BTreeSet::new();
        for call in &seen {
            let is_of = |other: &Call, operation| (other.tenant, other.user, other.operation) == (call.tenant, call.user, operation);
            let keyed =
                |operation| seen.iter().filter(|other| is_of(other, operation)).map(|c| c.at).collect::<Vec<i64>>();
            let (a, b) = (keyed(0), keyed(1));
            let many: Vec<i64> =
                a.iter().filter(|end| a.iter().filter(|t| (**end - 10..=**end).contains(t)).count() >= 2).copied().collect();
            for end in many.iter().chain(&b) {
                let is_in = |t: &&i64| (end - 20..=*end).contains(*t);
                if many.iter().filter(is_in).any(|m| b.iter().filter(is_in).any(|b| m <= b)) {
                    want.insert((call.tenant.to_owned(), call.user.map(|u| format!("u{u}")), *end));
                }
            }
        }
        let got = cut.values().map(|(tenant, end, values, _)| {
            let values: serde_json::Value = serde_json::from_str(values).expect("JSON");
            (tenant.clone(), values["group"]["user"].as_str().map(str::to_owned), us(end) / SECOND)
        });
        prop_assert_eq!(got.collect::<BTreeSet<_>>(), want);
    }
}

/// When each key's findings are, of three of a or b within 20 s, if a finding uses its hits up, or silences the next 15 s.
fn after_findings(calls: &[Call], is_reset: bool) -> BTreeMap<(String, String), Vec<i64>> {
    let mut found: BTreeMap<(String, String), Vec<i64>> = BTreeMap::new();
    let hits: Vec<&Call> = calls.iter().filter(|call| call.operation < 2).collect();
    let ends: BTreeSet<_> = hits.iter().map(|call| (call.tenant, call.user, call.at)).collect();
    for (tenant, user, end) in ends {
        let user_json = json!({"group": {"user": user.map(|u| format!("u{u}"))}}).to_string();
        let key = (tenant.to_owned(), user_json.trim_end_matches('}').to_owned() + "}");
        let last = found.get(&key).and_then(|times| times.last()).copied().unwrap_or(i64::MIN / 2);
        let is_in = |call: &&&Call| {
            let is_left = !is_reset || call.at > last;
            (call.tenant, call.user) == (tenant, user) && (end - 20..=end).contains(&call.at) && is_left
        };
        if hits.iter().filter(is_in).count() >= 3 && (is_reset || end - last >= 15) {
            found.entry(key).or_default().push(end);
        }
    }
    found
}

fn chained() -> Arc<RuleSet> {
    let text = ["a", "b"].map(base).concat()
        + "title: Many\nname: many\ncorrelation:\n  {type: event_count, rules: [a], group-by: [user], timespan: 10s, condition: {gte: 2}}\n\
           ---\ntitle: T\ncorrelation: {type: temporal_ordered, rules: [many, b], group-by: [user], timespan: 20s}\n";
    RuleSet::from_texts(&[("r.yml", &text)]).unwrap_or_else(|e| panic!("{e}"))
}

fn call(at: i64, user: u8, operation: usize) -> Call {
    Call { partition: 0, offset: at, at, tenant: "acme", user: Some(user), operation, n: Some(1) }
}

#[test]
fn what_finds_no_room_is_counted_and_kept_apart() {
    let rules = rules("type: event_count, rules: [a], condition: {gte: 1}", "");
    let calls: Vec<Call> = (0..6).map(|i| call(i, (i % 3) as u8, 0)).collect();
    let all = Limits::default();
    for (limits, want) in [
        (all, 0),
        (Limits { rule_keys_max: 2, ..all }, 2),
        (Limits { key_hits_max: 1, ..all }, 3),
        (Limits { hit_bytes_max: 1, ..all }, 6),
    ] {
        let mut merge = MergeStage::new(&rules, 0);
        merge.set_limits(limits);
        let delta = ship(&rules, &calls, NonZeroU32::MIN, 1).into_groups().remove(0);
        merge.apply(&partition(0), OffsetRange { start: 0, next: 6 }, &delta).expect("applied");
        let output = step(&mut merge, 0, Some(100 * SECOND));
        assert_eq!(output.overflow_rows, want);
        let reasons = output.late.map(|late| texts(&late, "reason")).unwrap_or_default();
        assert_eq!(reasons, vec!["key_limit"; want as usize]);
        assert_eq!(output.alerts.map_or(0, |alerts| alerts.rows.num_rows()), 6 - want as usize);
        assert_eq!(merge.bytes(), 0, "nothing is held that no window can hold any more");
    }
}

#[test]
fn late_rows_are_told_with_their_key() {
    let rules = rules("type: event_count, rules: [a], condition: {gte: 1}", "");
    let mut merge = MergeStage::new(&rules, 0);
    step(&mut merge, 0, Some(50 * SECOND));
    let delta = ship(&rules, &[call(49, 1, 0), call(50, 1, 0)], NonZeroU32::MIN, 1).into_groups().remove(0);
    merge.apply(&partition(0), OffsetRange { start: 49, next: 51 }, &delta).expect("applied");
    assert_eq!(merge.close_all_watermark(), Some(50 * SECOND + 1));
    let output = step(&mut merge, 1, Some(51 * SECOND));
    assert_eq!((output.late_rows, output.alerts.map_or(0, |alerts| alerts.rows.num_rows())), (1, 1));
    let late = output.late.expect("a late row");
    assert_eq!([texts(&late, "reason").remove(0), texts(&late, "key").remove(0)], ["late", r#"["u1"]"#]);
}
