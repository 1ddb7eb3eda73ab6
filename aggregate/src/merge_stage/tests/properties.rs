//! What holds for any rows, however they are cut up.

use proptest::prelude::*;
use serde_json::Value;

use super::harness::{Chain, Plan, Ran, Range, Seen, Split, answer, batch_answer, plans, run};
use super::*;
use crate::rule::scenario::Row;

const ORACLE: &str = "SELECT window_start, src_ip, count(*) AS n, sum(traffic.bytes_out) AS total,
      count(DISTINCT dst_port) AS ports, min(dst_port) AS low, max(src_ip) AS top, avg(traffic.bytes_out) AS mean,
      count(*) FILTER (WHERE dst_port > 2) AS high, count(DISTINCT upper(src_ip)) AS ips,
      array_agg(dst_port) AS all_ports, array_agg(DISTINCT src_ip) FILTER (WHERE dst_port > 1) AS sources,
      approx_distinct(dst_port) AS about, approx_percentile_cont(traffic.bytes_out, 0.9) AS tail,
      min(time) FILTER (WHERE dst_port > 3) AS first, max(CASE WHEN dst_port < 3 THEN time END) AS last
    FROM HOP(TABLE network_activity, DESCRIPTOR(time), INTERVAL '20' SECOND, INTERVAL '50' SECOND)
    WHERE dst_port IS NULL OR dst_port <> 5
    GROUP BY window_start, window_end, src_ip
    HAVING count(*) > 2";

/// The same over windows of each kind.
fn oracles() -> [String; 3] {
    let hop = "HOP(TABLE network_activity, DESCRIPTOR(time), INTERVAL '20' SECOND, INTERVAL '50' SECOND)";
    let other = |window: &str| ORACLE.replace(hop, &window.replace("...", "TABLE network_activity, DESCRIPTOR(time)"));
    let tumble = other("TUMBLE(..., INTERVAL '40' SECOND)");
    let cumulate = other("CUMULATE(..., INTERVAL '15' SECOND, INTERVAL '60' SECOND)");
    assert!(tumble != ORACLE && cumulate != ORACLE);
    [ORACLE.to_owned(), tumble, cumulate]
}

const SESSION: &str = "SESSION(TABLE network_activity, DESCRIPTOR(time), INTERVAL '7' SECOND, INTERVAL '70' SECOND)";

/// The same over sessions.
fn over_sessions() -> String {
    ORACLE.replace("HOP(TABLE network_activity, DESCRIPTOR(time), INTERVAL '20' SECOND, INTERVAL '50' SECOND)", SESSION)
}

/// Seconds that rows and watermarks spread over.
const SPAN: usize = 250;

/// A connection; any of its columns may be missing.
fn connection() -> impl Strategy<Value = Row> {
    (0..200_i64, 0..4_u8, 0..7_i32, 0..50_i64, any::<bool>()).prop_map(|(at, ip, port, bytes, acme)| {
        let set = [
            ("src_endpoint.ip", (ip > 0).then(|| Value::from(format!("10.0.0.{ip}")))),
            ("dst_endpoint.port", (port > 0).then(|| Value::from(port))),
            ("traffic.bytes_out", (bytes > 9).then(|| Value::from(bytes))),
        ];
        Row {
            table: Table::NetworkActivity,
            tenant: if acme { "acme" } else { "globex" }.to_owned(),
            time: at * SECOND,
            set: set.into_iter().filter_map(|(path, value)| Some((path.to_owned(), value?))).collect(),
        }
    })
}

fn all(rules: &Arc<RuleSet>, plan: &Plan, split: Split) -> (Ran, Vec<Seen>) {
    run(rules, plan, split, SPAN, Limits::default())
}

fn oracle(rules: &Arc<RuleSet>, sql: &str, seen: &[Seen]) -> Vec<String> {
    let rule = &rules.rules()[0];
    answer(rule.title(), sql, rule.window().map(|w| w.spec), seen, rule.allowed_lateness_us())
}

/// The rows without those that came when a session of them alone had ended for good. Rows of one range, key and pane are as late as
/// the last of them.
fn in_time(rule: &Rule, seen: &[Seen]) -> Vec<Seen> {
    let spec = rule.window().expect("a window").spec;
    let of = |s: &Seen| (s.range, s.row.tenant.clone(), s.get("src_endpoint.ip").cloned(), spec.pane_of(s.row.time));
    let counts = |s: &&Seen| s.get("dst_endpoint.port").and_then(Value::as_i64) != Some(5);
    let is_in_time = |own: &&Seen| {
        let mates = seen.iter().filter(counts).filter(|s| of(s) == of(own));
        let last = mates.map(|s| s.row.time).max().unwrap_or(own.row.time);
        own.watermark.is_none_or(|w| spec.session_end(last) > w - rule.allowed_lateness_us())
    };
    seen.iter().filter(is_in_time).cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_order_restart_and_number_of_groups_gives_what_one_batch_gives(plan in plans(connection(), 60)) {
        let heads = ["allowed_lateness: 1h\nevidence: 3", "allowed_lateness: 1h\nevidence: 3\nemit: on_threshold"];
        for (head, sql) in heads.into_iter().flat_map(|head| oracles().map(|sql| (head, sql))) {
            let rules = rule(head, &sql);
            let (whole, seen) = all(&rules, &plan, Split::Whole);
            prop_assert_eq!(&whole.values(), &oracle(&rules, &sql, &seen), "{}", sql);
            for groups in [1, 2, 16] {
                prop_assert_eq!(&all(&rules, &plan, Split::Chosen(groups)).0, &whole, "{} groups, {}, {}", groups, head, sql);
            }
        }
    }

    #[test]
    fn named_queries_give_what_their_batch_form_gives(plan in plans(connection(), 60)) {
        let windowed = "WITH web AS (SELECT time, src_ip AS ip, dst_port AS port FROM network_activity WHERE dst_port < 4),
              other AS (SELECT time, src_ip AS ip, 9 AS port FROM network_activity WHERE dst_port >= 4),
              both AS (SELECT time, ip, port FROM web UNION ALL SELECT time, upper(ip), port + 1 FROM other)
            SELECT window_start, ip, count(*) AS n, sum(port) AS ports
            FROM HOP(TABLE both, DESCRIPTOR(time), INTERVAL '20' SECOND, INTERVAL '50' SECOND)
            WHERE port <> 2 GROUP BY window_start, window_end, ip HAVING count(*) > 1";
        let filter = "WITH web AS (SELECT src_ip, dst_port + 1 AS next FROM network_activity WHERE dst_port < 4)
            SELECT src_ip, next FROM web WHERE next > 2";
        let joined = "SELECT window_start, e.src_ip, a.name, count(*) AS n
            FROM TUMBLE(TABLE network_activity, DESCRIPTOR(time), INTERVAL '40' SECOND) AS e
            LEFT JOIN assets AS a ON a.ip = e.dst_ip WHERE dst_port < 4 OR a.criticality = 'high'
            GROUP BY window_start, window_end, e.src_ip, a.name HAVING count(*) > 1";
        for sql in [windowed, filter, joined] {
            let rules = rule("allowed_lateness: 1h", sql);
            let (whole, seen) = all(&rules, &plan, Split::Whole);
            prop_assert_eq!(&whole.values(), &batch_answer(&rules, &seen));
            prop_assert_eq!(&all(&rules, &plan, Split::Chosen(2)).0, &whole);
        }
    }

    #[test]
    fn what_is_kept_back_is_what_the_batch_form_keeps_back(plan in plans(connection(), 60)) {
        let kinds = oracles();
        let on_close = "allowed_lateness: 1h\nevidence: 3\nsuppress: {for: 45s}";
        let at_once = "allowed_lateness: 1h\nevidence: 3\nsuppress: {for: 2m}\nemit: on_threshold";
        let falling = kinds[0].replace("HAVING count(*) > 2", "HAVING count(*) < 3");
        let cases = [(on_close, &kinds[0]), (at_once, &kinds[0]), (at_once, &kinds[2]), (on_close, &falling)];
        for (head, sql) in cases {
            let rules = rule(head, sql);
            let exceptions = "- {rule: rule, where: total < 30, owner: a, reason: r, expires: 1970-01-01}";
            let rules = rules.except_texts(&[("e.yaml", exceptions)]).expect("exceptions");
            let (whole, seen) = all(&rules, &plan, Split::Whole);
            prop_assert_eq!(&whole.values(), &batch_answer(&rules, &seen), "{} {}", head, sql);
            prop_assert_eq!(&all(&rules, &plan, Split::Chosen(2)).0, &whole, "{} {}", head, sql);
        }
    }

    #[test]
    fn of_sessions_too(plan in plans(connection(), 60)) {
        // Sessions that may be suppressed take no late rows: the plan's watermarks stay behind.
        let sql = over_sessions().replace("HAVING count(*) > 2", "HAVING count(*) > 1");
        let rules = rule("evidence: 3\nsuppress: {for: 40s}", &sql);
        let (whole, seen) = all(&rules, &plan, Split::Whole);
        prop_assert_eq!(&whole.values(), &batch_answer(&rules, &seen));
        let (chosen, _) = run(&rules, &plan, Split::Chosen(2), 1, Limits::default());
        prop_assert_eq!(&chosen, &whole);
    }

    #[test]
    fn sessions_too(plan in plans(connection(), 60)) {
        let sql = over_sessions();
        let rules = rule("allowed_lateness: 1h\nevidence: 3", &sql);
        let (whole, seen) = all(&rules, &plan, Split::Whole);
        prop_assert_eq!(&whole.values(), &batch_answer(&rules, &seen));
        for groups in [1, 2, 16] {
            prop_assert_eq!(&all(&rules, &plan, Split::Chosen(groups)).0, &whole, "{} groups", groups);
        }
    }

    #[test]
    fn sessions_are_those_of_the_rows_that_were_not_too_late(plan in plans(connection(), 60)) {
        // A gap about as long as rows are apart: late ones join what lies on both sides of them.
        let sql = over_sessions().replace("'7' SECOND, INTERVAL '70'", "'20' SECOND, INTERVAL '200'");
        for head in ["", "allowed_lateness: 20s"] {
            let rules = rule(head, &sql.replace("count(*) > 2", "count(*) > 1"));
            let (ran, seen) = all(&rules, &plan, Split::Chosen(1));
            prop_assert_eq!(&ran.values(), &batch_answer(&rules, &in_time(&rules.rules()[0], &seen)), "{}", head);
        }
    }

    #[test]
    fn late_rows_are_missed_by_the_windows_that_closed_and_by_no_other(plan in plans(connection(), 60)) {
        let heads = ["", "allowed_lateness: 20s", "allowed_lateness: 90s\nemit: on_threshold"];
        for (head, sql) in heads.into_iter().flat_map(|head| oracles().map(|sql| (head, sql))) {
            let rules = rule(head, &sql);
            let spec = rules.rules()[0].window().expect("a window").spec;
            let (ran, seen) = all(&rules, &plan, Split::Chosen(1));
            prop_assert_eq!(&ran.values(), &oracle(&rules, &sql, &seen), "{} {}", head, sql);
            let late = seen.iter().filter(|s| {
                let closed_until = s.watermark.map_or(i64::MIN, |w| w - rules.rules()[0].allowed_lateness_us());
                let port_5 = s.get("dst_endpoint.port").and_then(Value::as_i64) == Some(5);
                !port_5 && spec.first_end(spec.pane_of(s.row.time)) <= closed_until
            });
            prop_assert_eq!(ran.late_rows, late.count() as u64, "{}", head);
        }
    }

    #[test]
    fn a_state_read_back_at_any_step_ends_as_the_one_that_ran_through(plan in plans(connection(), 40)) {
        let windows = ("allowed_lateness: 20s\nevidence: 3\nemit: on_threshold", ORACLE.to_owned());
        let sessions = ("allowed_lateness: 20s\nevidence: 3", over_sessions());
        for ((head, sql), group) in [windows, sessions].iter().flat_map(|rule| (0..2).map(move |group| (rule, group))) {
            let rules = rule(head, sql);
            let (whole, outputs) = replay(&rules, &plan, group, None);
            for at in [0, outputs.len() / 2, outputs.len() - 1] {
                let (other, again) = replay(&rules, &plan, group, Some(at));
                prop_assert_eq!(&other, &whole, "read back after step {}", at);
                prop_assert_eq!(&again, &outputs, "read back after step {}", at);
            }
        }
    }

    #[test]
    fn a_monotone_condition_never_closes_an_alert(plan in plans(connection(), 40)) {
        for having in [
            "count(*) > 2",
            "min(time) FILTER (WHERE dst_port = 1) < max(time) FILTER (WHERE dst_port > 2)",
            "sum(CASE WHEN dst_port > 2 THEN traffic.bytes_out END) >= 40 AND max(dst_port) > 3",
            "min(dst_port) < 2 OR CAST(count(DISTINCT src_ip) AS DOUBLE) > 1.5",
        ] {
            let sql = format!("SELECT window_start, count(*) AS n
                FROM TUMBLE(TABLE network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE)
                GROUP BY window_start, window_end HAVING {having}");
            let rules = rule("emit: on_threshold\nallowed_lateness: 1h", &sql);
            for output in replay(&rules, &plan, 0, None).1 {
                prop_assert!(output.iter().all(|line| !line.starts_with("Close")), "{}: {:?}", having, output);
            }
        }
    }

    #[test]
    fn beyond_a_limit_every_row_is_counted_or_told(plan in plans(connection(), 60), keys in 1..4_usize, states in 1..9_usize) {
        let sql = "SELECT window_start, src_ip, count(*) AS n
            FROM TUMBLE(TABLE network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE)
            GROUP BY window_start, window_end, src_ip HAVING count(*) > 0";
        let rules = rule("allowed_lateness: 1h", sql);
        let limits = Limits { pane_keys_max: keys, rule_keys_max: states, ..Limits::default() };
        let (ran, _) = run(&rules, &plan, Split::Chosen(1), SPAN, limits);
        let mut windows: BTreeMap<String, usize> = BTreeMap::new();
        let mut counted = 0;
        for line in ran.values() {
            let (head, json) = line.split_once('{').expect("values");
            let values: Value = serde_json::from_str(&format!("{{{json}")).expect("JSON");
            counted += values["n"].as_u64().expect("a count");
            *windows.entry(values["window_start"].to_string()).or_default() += 1;
            prop_assert!(head.starts_with("Rule 0: "));
        }
        prop_assert_eq!(counted + ran.overflow_rows, plan.rows.len() as u64);
        prop_assert!(windows.values().all(|n| *n <= keys), "{:?}", windows);
        prop_assert!(windows.values().sum::<usize>() <= states.max(1), "{:?}", windows);
    }
}

/// One group's chain, a step a row with watermarks that rise; read back after step `restart`. Its last state, and what
/// each step gave.
fn replay(rules: &Arc<RuleSet>, plan: &Plan, group: u32, restart: Option<usize>) -> (Vec<u8>, Vec<Vec<String>>) {
    let mut chain = Chain::new(rules, group, Limits::default());
    let mut outputs = Vec::new();
    for (i, (p, row)) in plan.rows.iter().enumerate() {
        let groups = std::num::NonZeroU32::new(2).expect("above zero");
        chain.apply(&Range::new(rules, *p, i as i64, std::slice::from_ref(row), groups));
        let output = chain.step((i % 3 == 0).then_some(i as i64 * 5 * SECOND));
        outputs
            .push(lines(output.alerts.as_ref()).into_iter().chain(output.late.iter().flat_map(late_lines)).collect());
        if restart == Some(i) {
            chain.restart(rules);
        }
    }
    (chain.merge.snapshot().expect("a snapshot"), outputs)
}
