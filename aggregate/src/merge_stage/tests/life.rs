//! Rules come and go between steps.

use super::*;
use crate::tests::batch;
use crate::{AggregateError, SourceStage};

fn sum_by_source(what: &str) -> String {
    format!(
        "SELECT src_ip, {what} AS n FROM TUMBLE(network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE) \
         GROUP BY window_start, window_end, src_ip"
    )
}

/// The rules before and after: one that stays, and one that is changed.
fn before_and_after() -> [Arc<RuleSet>; 2] {
    let of = |changing: &str| rules(&[("", &sum_by_source("count(*)")), ("", &sum_by_source(changing))]);
    [of("sum(traffic.bytes_out)"), of("max(dst_port)")]
}

fn events(from: i64, count: i64) -> Vec<Event> {
    (from..from + count).map(|second| event(second * SECOND, "10.0.0.1", 22)).collect()
}

#[test]
fn a_rule_that_stays_keeps_its_windows_and_a_changed_one_begins_without() {
    let [before, after] = before_and_after();
    let mut merge = MergeStage::new(&before, 0);
    apply(&mut merge, &before, 0, 0, &events(1, 2));
    assert_eq!(lines(step(&mut merge, 0, Some(5 * SECOND)).alerts.as_ref()), [""; 0]);
    let kept = merge.snapshot().expect("settled");
    let go_on = |merge: &mut MergeStage| {
        merge.set_rules(&after).expect("settled");
        assert_eq!((merge.rules().version(), merge.watermark()), (after.version(), Some(5 * SECOND)));
        // A range that was made before: what it says of rules that are gone counts no more.
        apply(merge, &before, 0, 2, &events(6, 1));
        apply(merge, &after, 0, 3, &events(10, 3));
        let found = lines(step(merge, 1, Some(60 * SECOND)).alerts.as_ref());
        assert_eq!(
            found,
            [r#"Create 0 0 acme {"src_ip":"10.0.0.1","n":6}"#, r#"Create 0 0 acme {"src_ip":"10.0.0.1","n":22}"#]
        );
    };
    go_on(&mut merge);
    // Who takes it up from the ledger under the rules of today goes the same way.
    let held = after.only(|rule| before.rules().iter().any(|known| known.fingerprint() == rule.fingerprint()));
    assert_eq!(held.rules().len(), 1);
    go_on(&mut MergeStage::restore(&held, 0, &kept).expect("restored"));
}

#[test]
fn a_rule_that_comes_back_begins_anew() {
    let [before, after] = before_and_after();
    let mut merge = MergeStage::new(&before, 0);
    apply(&mut merge, &before, 0, 0, &events(1, 2));
    step(&mut merge, 0, Some(5 * SECOND));
    for rules in [&after, &before] {
        merge.set_rules(rules).expect("settled");
    }
    apply(&mut merge, &before, 0, 2, &events(10, 1));
    let found = lines(step(&mut merge, 1, Some(60 * SECOND)).alerts.as_ref());
    assert_eq!(
        found,
        [r#"Create 0 0 acme {"src_ip":"10.0.0.1","n":3}"#, r#"Create 0 0 acme {"src_ip":"10.0.0.1","n":1}"#]
    );
}

#[test]
fn rules_change_between_steps_only() {
    let [before, after] = before_and_after();
    let mut merge = MergeStage::new(&before, 0);
    apply(&mut merge, &before, 0, 0, &events(1, 1));
    assert!(matches!(merge.set_rules(&after), Err(AggregateError::Unsettled)));
}

#[test]
fn a_source_stage_goes_on_with_other_rules_and_the_same_clock() {
    let [before, after] = before_and_after();
    let partition = partition(0);
    let mut stage = SourceStage::new(&before, partition.clone(), 0, None, NonZeroU32::MIN);
    stage.process(&batch(&partition, 0, &events(1, 2))).expect("processed");
    stage.take_delta().expect("a delta");
    stage.set_rules(&after);
    stage.process(&batch(&partition, 2, &events(10, 3))).expect("processed");
    assert_eq!(stage.watermark(), Some(12 * SECOND));
    let found = stage.take_delta().expect("a delta").deltas;
    assert_eq!(found, deltas(&after, &partition, 2, &events(10, 3), NonZeroU32::MIN));
}
