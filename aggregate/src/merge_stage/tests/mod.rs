mod expressions;
mod harness;
mod keys;
mod life;
mod properties;
mod shipped;
mod suppression;

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use dataflow::Table;

use super::*;
use crate::tests::{Event, SECOND, apply, delta, deltas, event, lines, partition, rule, rules, step, texts};

const COUNT: &str = "SELECT window_start, src_ip, count(*) AS n
    FROM TUMBLE(TABLE network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE)
    GROUP BY window_start, window_end, src_ip HAVING count(*) > 2";

/// Plays a script: `rows N at SECOND KEY [TENANT]` in partition 0, `wm SECOND|-` a step. Returns what the steps gave.
fn play(rules: &Arc<RuleSet>, merge: &mut MergeStage, script: &str) -> Vec<String> {
    let (mut out, mut offset, mut number) = (Vec::new(), 0, 0);
    for line in script.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["rows", n, "at", at, key, rest @ ..] => {
                let row = event(at.parse::<i64>().expect("seconds") * SECOND, key, 1);
                let tenant = if rest == ["globex"] { "globex" } else { "acme" };
                let rows = vec![Event { tenant, ..row }; n.parse().expect("a count")];
                apply(merge, rules, 0, offset, &rows);
                offset += rows.len() as i64;
            }
            ["wm", at] => {
                let output = step(merge, number, at.parse::<i64>().ok().map(|s| s * SECOND));
                number += 1;
                out.extend(lines(output.alerts.as_ref()));
                out.extend(output.late.iter().flat_map(late_lines));
            }
            other => panic!("not a script line: {other:?}"),
        }
    }
    out
}

fn late_lines(late: &TableBatch) -> Vec<String> {
    let column = |path| texts(late, path);
    let (key, reason, rows, start, next) =
        (column("key"), column("reason"), column("rows"), column("offset_start"), column("offset_next"));
    let row = |i: usize| format!("{} {} rows {} of offsets {}..{}", reason[i], key[i], rows[i], start[i], next[i]);
    (0..key.len()).map(row).collect()
}

/// Cases: what is shown, the rule's SQL and head, a script, and after `=>` what the steps give: change, revision, window
/// start in seconds, tenant, key and count of an alert; or a late row.
const LATENESS: &str = r#"
# the window's end is the first watermark that closes it
tumble |
rows 3 at 10 a; wm 59; wm 60
=> Create 0 0 acme a 3

# a row that is not too late goes on from a session that has ended
session |
rows 2 at 0 a; wm 12; rows 1 at 8 a; wm 20
=> Create 0 0 acme a 3

# it is too late once the session that it would make has ended
session |
rows 2 at 0 a; wm 18; rows 1 at 8 a; wm 30
=> late ["a"] rows 1 of offsets 2..3

# no alert below the threshold
tumble |
rows 2 at 10 a; wm 60
=>

# the border belongs to the later window
tumble |
rows 2 at 59 a; rows 2 at 60 a; rows 1 at 61 a; wm 120
=> Create 0 60 acme a 3

# a watermark never falls back
tumble |
rows 3 at 10 a; wm 60; wm 5; rows 3 at 11 b; wm -
=> Create 0 0 acme a 3; late ["b"] rows 3 of offsets 3..6

# without lateness a late row is lost to the rule, and told
tumble |
rows 3 at 10 a; wm 60; rows 1 at 11 a; wm 61
=> Create 0 0 acme a 3; late ["a"] rows 1 of offsets 3..4

# within the lateness it revises
tumble | allowed_lateness: 30s
rows 3 at 10 a; wm 60; rows 1 at 11 a; wm 61
=> Create 0 0 acme a 3; Update 1 0 acme a 4

# within the lateness it completes
tumble | allowed_lateness: 30s
rows 2 at 10 a; wm 60; rows 1 at 11 a; wm 61
=> Create 0 0 acme a 3

# the step that ends the lateness still counts what was in time
tumble | allowed_lateness: 30s
rows 3 at 10 a; wm 60; rows 1 at 11 a; wm 90; rows 1 at 12 a; wm 91
=> Create 0 0 acme a 3; Update 1 0 acme a 4; late ["a"] rows 1 of offsets 4..5

# a condition that holds no longer closes the alert
few | allowed_lateness: 90s
rows 2 at 10 a; wm 60; rows 1 at 11 a; wm 61; rows 1 at 12 a; wm 62
=> Create 0 0 acme a 2; Close 1 0 acme a 3

# a closed alert that holds again goes on with its revisions
odd | allowed_lateness: 90s
rows 3 at 10 a; wm 60; rows 1 at 11 a; wm 61; rows 1 at 12 a; wm 62
=> Create 0 0 acme a 3; Close 1 0 acme a 4; Update 2 0 acme a 5

# only the keys that changed are revised
tumble | allowed_lateness: 30s
rows 3 at 10 a; rows 3 at 10 b; wm 60; rows 1 at 11 b; wm 61
=> Create 0 0 acme a 3; Create 0 0 acme b 3; Update 1 0 acme b 4

# HOP: late for the first window, in time for the second
hop |
rows 3 at 70 a; wm 120; rows 1 at 71 a; wm 180
=> Create 0 0 acme a 3; Create 0 60 acme a 4; late ["a"] rows 1 of offsets 3..4

# HOP: rows are late for a window only if it held their pane
hop |
rows 3 at 130 a; wm 120; rows 3 at 121 b; wm 180
=> Create 0 60 acme a 3; Create 0 60 acme b 3

# on_threshold: at once, and again when the window ends if it reads otherwise
tumble | emit: on_threshold
rows 2 at 10 a; wm -; rows 1 at 11 a; wm 12; rows 1 at 12 a; wm 13; wm 60
=> Create 0 0 acme a 3; Update 1 0 acme a 4

# on_threshold: once if nothing follows
tumble | emit: on_threshold
rows 3 at 11 a; wm 12; wm 13; wm 60
=> Create 0 0 acme a 3

# on_threshold: each window of a HOP alerts on its own
hop | emit: on_threshold
rows 3 at 70 a; wm -; wm 180
=> Create 0 0 acme a 3; Create 0 60 acme a 3

# no tenant's rows count for another
tumble |
rows 2 at 1 a; rows 2 at 2 a globex; rows 1 at 70 b; rows 3 at 71 b globex; wm 120
=> Create 0 60 globex b 3
"#;

#[test]
fn windows_close_and_late_rows_revise_or_go_to_the_late_table() {
    for case in LATENESS.split("\n\n") {
        let mut lines = case.trim().lines();
        let mut line = || lines.next().unwrap_or_else(|| panic!("a case of four lines: {case}"));
        let (what, rule_line, script, want) = (line(), line(), line(), line());
        let (sql, head) = rule_line.split_once('|').expect("SQL and head");
        let sql = match sql.trim() {
            "hop" => COUNT.replace("TUMBLE", "HOP").replace("'1' MINUTE", "'1' MINUTE, INTERVAL '2' MINUTE"),
            "few" => COUNT.replace("> 2", "< 3"),
            "odd" => COUNT.replace("count(*) > 2", "count(*) % 2 = 1"),
            "session" => COUNT.replace("TUMBLE", "SESSION").replace("'1' MINUTE", "'10' SECOND, INTERVAL '1' HOUR"),
            _ => COUNT.to_owned(),
        };
        let rules = rule(head.trim(), &sql);
        let found = play(&rules, &mut MergeStage::new(&rules, 0), &script.replace("; ", "\n"));
        let found: Vec<String> = found.iter().map(|line| short(line)).collect();
        assert_eq!(found.join("; "), want.trim_start_matches("=>").trim(), "{what}");
    }
}

/// An alert's line with its key and count instead of the selected values.
fn short(line: &str) -> String {
    let Some((head, values)) = line.split_once(" {") else { return line.to_owned() };
    let values: serde_json::Value = serde_json::from_str(&format!("{{{values}")).expect("JSON");
    format!("{head} {} {}", values["src_ip"].as_str().unwrap_or_default(), values["n"])
}

#[test]
fn a_rule_without_a_key_still_groups_by_tenant() {
    let rules = rule("", &COUNT.replace(", src_ip", "").replace("SELECT window_start", "SELECT window_end"));
    let found =
        play(&rules, &mut MergeStage::new(&rules, 0), "rows 2 at 1 a\nrows 2 at 2 a globex\nrows 1 at 3 b\nwm 60");
    assert!(found.len() == 1 && found[0].starts_with("Create 0 0 acme"), "{found:?}");
}

#[test]
fn a_future_event_counts_when_it_was_received() {
    let rules = rule("", COUNT);
    let mut merge = MergeStage::new(&rules, 0);
    let fast = Event { received: 30 * SECOND, ..event(3_600 * SECOND, "a", 1) };
    apply(&mut merge, &rules, 0, 0, &vec![fast; 3]);
    let output = step(&mut merge, 1, Some(60 * SECOND));
    assert_eq!((lines(output.alerts.as_ref()).len(), output.windows_closed), (1, 1));
}

#[test]
fn keys_beyond_the_limit_are_told_and_the_first_ones_stay() {
    let rules = rule("emit: on_threshold", COUNT);
    let mut merge = MergeStage::new(&rules, 0);
    merge.set_limits(Limits { pane_keys_max: 2, rule_keys_max: 3, ..Limits::default() });
    let script = "rows 2 at 1 a\nrows 2 at 1 b\nwm -\nrows 2 at 1 c\nrows 1 at 1 a\nwm -\nrows 3 at 61 d\nrows 3 at 61 e\nwm 60\nwm 120";
    let found = play(&rules, &mut merge, script);
    let want = [
        "Create 0 0 acme",
        r#"key_limit ["c"] rows 2 of offsets 4..6"#,
        "Create 0 60 acme",
        r#"key_limit ["e"] rows 3 of offsets 10..13"#,
    ];
    assert_eq!(found.len(), want.len(), "{found:#?}");
    for (found, want) in found.iter().zip(want) {
        assert!(found.starts_with(want), "{found}");
    }
    assert_eq!(step(&mut merge, 99, None).overflow_rows, 0);
}

#[test]
fn the_end_of_the_input_closes_every_window() {
    let rules = rules(&[("", COUNT), ("", &COUNT.replace("'1' MINUTE", "'1' HOUR"))]);
    let mut merge = MergeStage::new(&rules, 0);
    assert_eq!((merge.close_all_watermark(), merge.windows_open()), (None, 0), "no window is open");
    apply(&mut merge, &rules, 0, 0, &vec![event(10 * SECOND, "a", 1); 3]);
    let end = merge.close_all_watermark();
    assert_eq!((end, merge.windows_open()), (Some(3_600 * SECOND), 2));
    step(&mut merge, 0, Some(60 * SECOND));
    assert_eq!(merge.windows_open(), 1, "the minute has ended, the hour has not");
    let output = step(&mut merge, 1, end);
    assert_eq!((output.windows_closed, lines(output.alerts.as_ref()).len()), (1, 1));
    assert_eq!((merge.close_all_watermark(), merge.watermark()), (None, end));
    assert_eq!(merge.bytes(), 0, "nothing is held once no window can change");
}

#[test]
fn an_alert_of_the_merge_chain_says_where_it_stands_and_what_decided_it() {
    let rules = rule("evidence: 2", COUNT);
    let mut merge = MergeStage::new(&rules, 3);
    // Of four groups, the last is the key's.
    let mut apply = |number, start, events: &[Event]| {
        let deltas = deltas(&rules, &partition(number), start, events, NonZeroU32::new(4).expect("four"));
        let range = OffsetRange { start, next: start + events.len() as i64 };
        merge.apply(&partition(number), range, deltas.for_group(3).expect("a part")).expect("applied");
    };
    apply(1, 40, &[event(12 * SECOND, "a", 1), event(11 * SECOND, "a", 2)]);
    apply(0, 7, &[event(11 * SECOND, "a", 1)]);
    let vector = Positions::from([(partition(0), 8), (partition(1), 42)]);
    let versions = BTreeMap::from([("geo".to_owned(), "7".to_owned())]);
    let stamp = StepStamp { step: 5, at: 99 * SECOND, received_until: None };
    let output = merge.step(stamp, Some(60 * SECOND), &vector, &versions).expect("a step");
    let alerts = output.alerts.expect("one alert");
    let one = |path| texts(&alerts, path).remove(0);
    assert_eq!(
        [one("_topic"), one("_incarnation"), one("_partition_id"), one("_offset"), one("_record")],
        ["_merge", "0", "3", "5", "0"]
    );
    assert_eq!(one("_offset_vector"), r#"{"fw@i/0":8,"fw@i/1":42}"#);
    assert_eq!(one("src_ip"), "a");
    let json = crate::tests::ocsf(&alerts).remove(0);
    assert!(json.contains(r#""labels":["geo=7"]"#), "{json}");
    assert!(json.contains(r#""evidences":[{"uid":"fw@i/0/7/0","#) && json.contains("fw@i/1/41/0"), "{json}");
    assert!(!json.contains("fw@i/1/40/0"), "only the two smallest rows are kept: {json}");
}

#[test]
fn evidence_names_the_table_that_each_row_stands_in() {
    let sql = "SELECT window_start, ip, count(*) AS n, count(*) FILTER (WHERE low) AS lows FROM TUMBLE(TABLE (
          SELECT time, src_ip AS ip, false AS low FROM network_activity WHERE dst_port > 10
          UNION ALL SELECT time, 'x', true FROM api_activity
          UNION ALL SELECT time, src_endpoint.ip, true FROM network_activity WHERE dst_port < 20
        ), DESCRIPTOR(time), INTERVAL '1' MINUTE)
        WHERE ip <> 'y' GROUP BY window_start, window_end, ip HAVING bool_or(low) AND bool_or(NOT low)";
    let rules = rule("evidence: 1", sql);
    assert_eq!(rules.rules()[0].tables(), [Table::NetworkActivity, Table::ApiActivity, Table::NetworkActivity]);
    let mut merge = MergeStage::new(&rules, 0);
    let rows = [("x", 5), ("x", 15), ("y", 15), ("x", 25), ("z", 25)];
    apply(&mut merge, &rules, 0, 0, &rows.map(|(ip, port)| event(i64::from(port), ip, port)));
    let alerts = step(&mut merge, 0, Some(60 * SECOND)).alerts;
    assert_eq!(
        lines(alerts.as_ref()),
        [r#"Create 0 0 acme {"window_start":"1970-01-01T00:00:00.000000Z","ip":"x","n":4,"lows":2}"#],
        "the row of port 15 is in both SELECTs"
    );
    let json = crate::tests::ocsf(&alerts.expect("one alert")).remove(0);
    let evidence = json.split(r#""evidences":"#).nth(1).expect("evidence");
    let want = r#"[{"uid":"fw@i/0/0/0","data":{"table":"network_activity","time":"1970-01-01T00:00:00.000005Z"}},{"uid":"fw@i/0/1/0""#;
    assert!(evidence.starts_with(want), "one row of each input: {evidence}");
}

#[test]
fn an_idle_partition_holds_no_window_open_and_its_rows_are_late_when_it_wakes() {
    use dataflow::Watermark::{EventTime, Idle};
    let rules = rule("", COUNT);
    let mut merge = MergeStage::new(&rules, 0);
    apply(&mut merge, &rules, 0, 0, &vec![event(10 * SECOND, "a", 1); 3]);
    let combine = |slow| dataflow::Watermark::combine([EventTime(70 * SECOND), slow]);
    let output = step(&mut merge, 0, combine(EventTime(5 * SECOND)));
    assert_eq!(output.windows_closed, 0, "the slower partition decides");
    assert_eq!(step(&mut merge, 1, combine(Idle)).windows_closed, 1);
    apply(&mut merge, &rules, 1, 0, &vec![event(20 * SECOND, "a", 1); 2]);
    let output = step(&mut merge, 2, combine(EventTime(20 * SECOND)));
    assert_eq!((output.late_rows, merge.watermark()), (2, Some(70 * SECOND)));
    assert!(output.alerts.is_none());
}

#[test]
fn a_snapshot_belongs_to_its_rules_group_and_step() {
    let rules = rule("allowed_lateness: 1h", COUNT);
    let mut merge = MergeStage::new(&rules, 0);
    apply(&mut merge, &rules, 0, 0, &vec![event(1, "a", 1); 3]);
    assert!(matches!(merge.snapshot(), Err(AggregateError::Unsettled)));
    step(&mut merge, 0, Some(60 * SECOND));
    let bytes = merge.snapshot().expect("a snapshot");
    let changed = rule("allowed_lateness: 2h", COUNT);
    let fresh = MergeStage::restore(&changed, 0, &bytes).expect("restored");
    assert_eq!((fresh.bytes(), fresh.watermark()), (0, Some(60 * SECOND)), "another version starts fresh");
    let wrong = |group, bytes: &[u8]| MergeStage::restore(&rules, group, bytes).expect_err("refused").to_string();
    assert_eq!(wrong(1, &bytes), "state of merge group 0, not 1");
    for cut in [0, 5, bytes.len() / 2, bytes.len() - 1] {
        assert!(wrong(0, &bytes[..cut]).starts_with("cannot read snapshot"));
    }
    for at in (0..bytes.len()).step_by(97) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        wrong(0, &damaged);
    }
}

#[test]
fn late_rows_are_rows_of_their_table() {
    let rules = rule("", COUNT);
    let mut merge = MergeStage::new(&rules, 0);
    step(&mut merge, 0, Some(120 * SECOND));
    apply(&mut merge, &rules, 2, 5, &[event(61 * SECOND, "a", 1)]);
    let late = step(&mut merge, 1, None).late.expect("one row");
    assert_eq!(late.table, Table::LateWindow);
    assert_eq!(late.rows.schema(), Table::LateWindow.schema());
    let one = |path| texts(&late, path).remove(0);
    assert_eq!([one("_partition_id"), one("tenant_uid"), one("rule_version")], ["2", "acme", "1"]);
    assert_eq!(
        [one("pane_start"), one("pane_end"), one("closed_until")].map(|t| t[14..19].to_owned()),
        ["01:00", "02:00", "02:00"]
    );
}

#[test]
fn a_group_on_which_the_condition_fails_stops_nobody() {
    let ratio = COUNT
        .replace("count(*) > 2", "count(*) / (max(dst_port) - 5) >= 1")
        .replace("count(*) AS n", "100 / (min(dst_port) - 7) AS n");
    let rules = rule("", &ratio);
    let mut merge = MergeStage::new(&rules, 0);
    let rows = [("a", 5), ("b", 6), ("c", 7), ("c", 7), ("d", 6)].map(|(ip, port)| event(SECOND, ip, port));
    apply(&mut merge, &rules, 0, 0, &rows);
    let output = step(&mut merge, 0, Some(60 * SECOND));
    assert_eq!(texts(&output.alerts.expect("b and d"), "src_ip"), ["b", "d"]);
    let [failure] = output.failures.as_slice() else { panic!("{:?}", output.failures) };
    assert_eq!((failure.rows, failure.error.contains("zero")), (2, true), "a by HAVING, c by SELECT: {failure:?}");
    let [work] = output.work.as_slice() else { panic!("{:?}", output.work) };
    assert_eq!((work.rule.uid(), work.asked, work.failed), (rules.rules()[0].uid(), 4, 2));
}

#[test]
fn a_delta_of_another_group_is_refused() {
    let rules = rule("", COUNT);
    let mut merge = MergeStage::new(&rules, 1);
    let (range, partition) = (OffsetRange { start: 0, next: 1 }, partition(0));
    let other = delta(&rules, &partition, 0, &[event(SECOND, "a", 1)]);
    let error = merge.apply(&partition, range, &other).expect_err("refused").to_string();
    assert_eq!(error, "state of merge group 0, not 1");
    merge.apply(&partition, range, &Delta::empty(0)).expect("nothing is nobody's");
    assert_eq!(merge.bytes(), 0);
}
