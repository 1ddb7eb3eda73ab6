use dataflow::{Record, TableBuilder};

use super::*;
use crate::delta::Delta;
use crate::tests::{Event, SECOND, batch, delta, event, ocsf, partition, rule, rules, texts};

const FILTER: &str = "SELECT dst_ip, dst_port, traffic.bytes_out AS bytes FROM network_activity WHERE dst_port = 22";
const WINDOW: &str = "SELECT window_end, src_ip, count(DISTINCT dst_port) AS ports, avg(traffic.bytes_out)
    FROM HOP(network_activity, DESCRIPTOR(time), INTERVAL '30' SECOND, INTERVAL '1' MINUTE)
    GROUP BY window_start, window_end, src_ip";

fn stage(rules: &Arc<RuleSet>) -> SourceStage {
    SourceStage::new(rules, partition(4), 10 * SECOND, None, NonZeroU32::MIN)
}

#[test]
fn a_filter_rule_alerts_once_a_row_with_the_row_as_evidence() {
    let rules = rule("tags: [attack.t1021.004, attack.lateral_movement]\ndescription: SSH", FILTER);
    let mut stage = stage(&rules);
    stage.set_versions(&BTreeMap::from([("intel".to_owned(), "2026-01".to_owned())]));
    let rows =
        [event(5 * SECOND, "10.0.0.1", 80), event(6 * SECOND, "10.0.0.2", 22), event(7 * SECOND, "10.0.0.3", 22)];
    stage.process(&batch(&partition(4), 100, &rows)).expect("processed");
    let given = stage.take_delta().expect("a delta");
    assert!(given.deltas.is_empty());
    let alerts = given.alerts.expect("two alerts");
    assert_eq!(alerts.rows.schema(), Table::DetectionFinding.schema());
    let first = |path| texts(&alerts, path).remove(0);
    let uid = "00000000-0000-4000-8000-000000000000";
    assert_eq!(first("_topic"), format!("_rule/{uid}/fw"));
    assert_eq!(
        [first("_incarnation"), first("_partition_id"), first("_offset"), first("_record")],
        ["i", "4", "101", "0"]
    );
    assert_eq!([first("src_ip"), first("dst_port"), first("_revision")], ["10.0.0.2", "22", "0"]);
    assert_eq!(first("_offset_vector"), r#"{"fw@i/4":102}"#);
    assert_eq!(first("_window_start"), "");
    let id = first("finding_info.uid");
    let want = [
        r#"{"time":6000,"time_dt":"1970-01-01T00:00:06.000000Z","activity_id":1,"activity_name":"Create","category_uid":2,"#,
        r#""category_name":"Findings","class_uid":2004,"class_name":"Detection Finding","type_uid":200401,"#,
        r#""type_name":"Detection Finding: Create","severity_id":2,"severity":"Low","status_id":1,"status":"New","#,
        r#""message":"Rule 0","metadata":{"version":"1.8.0","profiles":["datetime","security_control"],"tenant_uid":"acme","#,
        r#""product":{"name":"Palisade","vendor_name":"Palisade","version":"0.1.0"},"uid":"ID/0","labels":["intel=2026-01"]},"#,
        r#""unmapped":{"dst_ip":null,"dst_port":22,"bytes":1},"#,
        r#""finding_info":{"uid":"ID","title":"Rule 0","desc":"SSH","created_time":6000,"#,
        r#""created_time_dt":"1970-01-01T00:00:06.000000Z","first_seen_time":6000,"#,
        r#""first_seen_time_dt":"1970-01-01T00:00:06.000000Z","analytic":{"uid":"00000000-0000-4000-8000-000000000000","#,
        r#""name":"Rule 0","type_id":1,"type":"Rule","version":"1"},"attacks":[{"technique":{"uid":"T1021.004"},"#,
        r#""tactic":{"uid":"TA0008","name":"Lateral Movement"}}]},"evidences":[{"uid":"fw@i/4/101/0","#,
        r#""src_endpoint":{"ip":"10.0.0.2"},"#,
        r#""data":{"table":"network_activity","time":"1970-01-01T00:00:06.000000Z"}}],"is_alert":true}"#,
    ];
    assert_eq!(ocsf(&alerts)[0], want.concat().replace("ID", &id));
    let again =
        super::super::tests::rule("tags: [attack.t1021.004, attack.lateral_movement]\ndescription: SSH", FILTER);
    let mut other = SourceStage::new(&again, partition(4), 0, Some(99 * SECOND), NonZeroU32::MIN);
    other.process(&batch(&partition(4), 101, &rows[1..2])).expect("processed");
    let alerts = other.take_delta().expect("a delta").alerts.expect("one alert");
    assert_eq!(texts(&alerts, "finding_info.uid"), [id], "the same row gives the same id, however it was batched");
}

#[test]
fn rows_leave_at_once_however_few() {
    let rules = rules(&[("", FILTER), ("", WINDOW)]);
    let mut stage = stage(&rules);
    stage.process(&batch(&partition(4), 0, &[event(SECOND, "a", 22)])).expect("processed");
    assert!(stage.bytes() > 0);
    let given = stage.take_delta().expect("a delta");
    assert_eq!((given.deltas.rows(), given.alerts.map(|a| a.rows.num_rows())), (1, Some(1)));
    let nothing = stage.take_delta().expect("a delta");
    assert!(nothing.deltas.is_empty() && nothing.alerts.is_none(), "nothing of an earlier range is kept");
}

#[test]
fn the_clock_follows_every_event_and_resumes() {
    let rules = rule("", FILTER);
    let mut stage = stage(&rules);
    assert_eq!(stage.watermark(), None);
    let fast = Event { received: 60 * SECOND, ..event(900 * SECOND, "a", 1) };
    stage.process(&batch(&partition(4), 0, &[event(50 * SECOND, "a", 1), fast])).expect("processed");
    assert_eq!(stage.watermark(), Some(50 * SECOND), "60 s, less the bound of 10 s");
    let resumed = SourceStage::new(&rules, partition(4), 10 * SECOND, stage.watermark(), NonZeroU32::MIN);
    assert_eq!(resumed.watermark(), stage.watermark());
    stage.take_delta().expect("a delta");
    assert_eq!(stage.watermark(), Some(50 * SECOND));
}

#[test]
fn tables_without_rules_move_the_clock_and_others_are_left_alone() {
    let rules = rule("", FILTER);
    let mut stage = stage(&rules);
    for (table, watermark) in [(Table::DeadLetter, None), (Table::BaseEvent, Some(-10 * SECOND + 7))] {
        let mut b = TableBuilder::new(table);
        b.set_i64(table.expect_leaf("time"), 7);
        if table == Table::DeadLetter {
            b.set_str(table.expect_leaf("reason"), "empty");
        }
        let record = Record { payload: b"", offset: 0, received_at: 8, full_len: 0 };
        b.end_event(&partition(4), "acme", &record, 0);
        stage.process(&TableBatch { table, rows: b.finish() }).expect("processed");
        assert_eq!(stage.watermark(), watermark);
    }
}

#[test]
fn a_delta_survives_its_bytes() {
    let rules = rules(&[
        ("", WINDOW),
        ("evidence: 0", &WINDOW.replace("src_ip,", "app_name,").replace(", src_ip", ", app_name")),
    ]);
    let mut first = delta(&rules, &partition(0), 0, &[event(SECOND, "a", 1), event(95 * SECOND, "é", 2)]);
    first.merge(delta(&rules, &partition(0), 2, &[event(SECOND, "a", 1)]));
    let bytes = first.encode().expect("encoded");
    assert_eq!(Delta::decode(&bytes, 0).expect("decoded"), first);
    assert_eq!(first.rows(), 2 + 2 + 1 + 1);
    let empty = Delta::empty(0);
    assert_eq!(Delta::decode(&empty.encode().expect("encoded"), 0).expect("decoded"), empty);
    for at in (0..bytes.len()).step_by(61) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(Delta::decode(&damaged, 0).is_err(), "byte {at}");
        assert_eq!(Delta::decode(&bytes[..at], 0).is_err(), at > 0, "cut at {at}: no bytes are no rows");
    }
}

#[test]
fn a_row_on_which_an_expression_fails_stops_nobody() {
    let filter = "SELECT 7 / (dst_port - 6) AS x, dst_port FROM network_activity WHERE 10 / (dst_port - 5) >= 1";
    let window = "SELECT window_end, sum(1 / (dst_port - 7)) AS n FROM TUMBLE(network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE)
        GROUP BY window_start, window_end, 2 / (dst_port - 8)";
    let rules = rules(&[("", filter), ("", window)]);
    let rows: Vec<Event> = (1..=10).map(|port| event(1, "a", port)).collect();
    for size in [10, 3, 1] {
        let mut stage = stage(&rules);
        for (i, rows) in rows.chunks(size).enumerate() {
            stage.process(&batch(&partition(4), (i * size) as i64, rows)).expect("processed");
        }
        let given = stage.take_delta().expect("a delta");
        let ports = texts(&given.alerts.expect("alerts"), "dst_port");
        assert_eq!(ports, ["7", "8", "9", "10"], "5 fails in WHERE, 6 in SELECT");
        let failed: Vec<u64> = given.failures.iter().map(|f| f.rows).collect();
        assert_eq!(failed, [2, 2], "{:?}", given.failures);
        assert!(given.failures.iter().all(|f| f.error.contains("zero")));
        let work: Vec<_> = given.work.iter().map(|w| (w.rule.uid(), w.asked, w.failed, w.spent.is_zero())).collect();
        let [filter, window] = [0, 1].map(|i| rules.rules()[i].uid());
        assert_eq!(work, [(filter, 10, 2, true), (window, 10, 2, true)], "no clock was given");
    }
}
