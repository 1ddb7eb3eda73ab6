//! Millions of keys: a rule holds as many as it may, and not a byte more.

use arrow::array::{Int32Array, UInt32Array};
use arrow::compute::take_record_batch;

use super::*;
use crate::late::NAMED_KEYS_MAX;

const BY_PORT: &str = "SELECT window_start, dst_port, count(*) AS n
    FROM TUMBLE(TABLE network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE)
    GROUP BY window_start, window_end, dst_port HAVING count(*) > 1";

/// Ranges of one partition with a row for each of so many keys.
struct Flood {
    rules: Arc<RuleSet>,
    merge: MergeStage,
    one: RecordBatch,
    offset: i64,
    steps: i64,
}

impl Flood {
    fn new() -> Self {
        let rules = rule("evidence: 0", BY_PORT);
        let one = delta(&rules, &partition(0), 0, &[event(1, "a", 1)]).parts()[0].state.clone();
        Self { merge: MergeStage::new(&rules, 0), rules, one, offset: 0, steps: 0 }
    }

    fn send(&mut self, keys: std::ops::Range<i32>) -> StepOutput {
        let rows = UInt32Array::from(vec![0; keys.len()]);
        let mut columns = take_record_batch(&self.one, &rows).expect("rows").columns().to_vec();
        let (start, rows) = (self.offset, keys.len() as i64);
        columns[2] = Arc::new(Int32Array::from_iter_values(keys));
        let mut delta = Delta::empty(0);
        delta.push(&self.rules.rules()[0].fingerprint, RecordBatch::try_new(self.one.schema(), columns).expect("rows"));
        let range = OffsetRange { start, next: start + rows };
        self.merge.apply(&partition(0), range, &delta).expect("applied");
        (self.offset, self.steps) = (range.next, self.steps + 1);
        step(&mut self.merge, self.steps, None)
    }
}

#[test]
fn of_five_million_keys_the_first_are_held_and_the_others_are_counted() {
    let (limit, range) = (Limits::default().pane_keys_max as i32, 500_000);
    let mut flood = Flood::new();
    for from in (0..limit).step_by(range) {
        assert_eq!(flood.send(from..from + range as i32).overflow_rows, 0, "the limit is not reached");
    }
    let (bytes, state) = (flood.merge.bytes(), flood.merge.snapshot().expect("a snapshot").len());
    assert!(bytes < 200 << 20 && state < 64 << 20, "{bytes} bytes, {state} as a snapshot");
    let past = flood.send(limit..limit + 1);
    assert_eq!(past.overflow_rows, 1);
    assert_eq!(texts(&past.late.expect("a row"), "key"), [format!("[{limit}]")]);

    for from in (limit..5 * limit).step_by(range) {
        let output = flood.send(from..from + range as i32);
        assert_eq!(output.overflow_rows, range as u64);
        let late = output.late.expect("rows");
        let (keys, rows) = (texts(&late, "key"), texts(&late, "rows"));
        assert_eq!(keys.len(), NAMED_KEYS_MAX + 1, "a flood of keys is no flood of rows");
        assert_eq!((keys[0].clone(), keys[NAMED_KEYS_MAX].as_str()), (format!("[{from}]"), ""));
        assert_eq!(rows[NAMED_KEYS_MAX], (range - NAMED_KEYS_MAX).to_string());
    }
    assert_eq!(flood.merge.bytes(), bytes, "what found no room takes none");
    assert_eq!(flood.merge.snapshot().expect("a snapshot").len(), state);

    // Half of this range is known.
    assert_eq!(flood.send(limit - 3..limit + 3).overflow_rows, 3);
    assert!(flood.merge.bytes() < bytes + 4096, "and takes what its own rows do");
    let closed = step(&mut flood.merge, 99, Some(60 * SECOND));
    let wanted: Vec<String> = (limit - 3..limit).map(|port| format!(r#""dst_port":{port},"n":2"#)).collect();
    let found = lines(closed.alerts.as_ref());
    assert!(found.len() == 3 && wanted.iter().all(|w| found.iter().any(|f| f.contains(w))), "{found:?}");
    assert_eq!(flood.merge.bytes(), 0);
}
