//! What rules may say, against plain DataFusion over the same rows: every aggregate through the bytes of deltas and states,
//! conditions, keys and selected expressions.

use serde_json::{Value, json};

use super::harness::{Plan, Split, answer, run};
use super::*;
use crate::rule::scenario::Row;

/// 240 connections over four minutes in two tenants; each column is missing now and then.
fn connections() -> Vec<Row> {
    let row = |i: i64| {
        let some = |nth: i64, value: Value| if i % nth == 0 { Value::Null } else { value };
        let set = [
            ("src_endpoint.ip", some(11, json!(format!("10.0.0.{}", i * 7 % 5)))),
            ("dst_endpoint.port", some(7, json!([22, 80, 443, 445, 3389, 8080][(i * 5 % 6) as usize]))),
            ("traffic.bytes_out", some(5, json!(i * 37 % 101))),
            ("app_name", some(4, json!(["ssl", "Web-Browsing", "dns", "ÉTÉ"][(i * 3 % 4) as usize]))),
            ("action", json!(["Allowed", "Denied"][(i % 2) as usize])),
            ("is_alert", some(3, json!(i % 8 == 0))),
            ("start_time", some(6, json!(i * SECOND / 3))),
        ];
        let set = set.into_iter().map(|(path, value)| (path.to_owned(), value)).collect();
        let tenant = if i % 9 == 0 { "globex" } else { "acme" }.to_owned();
        Row { table: Table::NetworkActivity, tenant, time: i * SECOND + i % 7, set }
    };
    (0..240).map(row).collect()
}

const TUMBLE: &str = "TUMBLE(TABLE network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE)";
const HOP: &str = "HOP(TABLE network_activity, DESCRIPTOR(time), INTERVAL '20' SECOND, INTERVAL '70' SECOND)";

/// Runs the rule whole and cut up, and compares both with DataFusion; how many alerts there are.
fn agrees(sql: &str) -> usize {
    let rules = rule("allowed_lateness: 1h", sql);
    let rule = &rules.rules()[0];
    let plan = Plan::cut(connections());
    let (whole, seen) = run(&rules, &plan, Split::Whole, 300, Limits::default());
    let want = answer(rule.title(), sql, rule.window().map(|w| w.spec), &seen, rule.allowed_lateness_us());
    assert_eq!(whole.values(), want, "{sql}");
    let (cut, _) = run(&rules, &plan, Split::Chosen(4), 300, Limits::default());
    assert_eq!(cut.values(), want, "cut up: {sql}");
    want.len()
}

#[test]
fn aggregates() {
    for aggregate in [
        "count(*)",
        "count(app_name)",
        "count(DISTINCT app_name)",
        "count(DISTINCT dst_port) FILTER (WHERE action = 'Denied')",
        "count(DISTINCT start_time)",
        "count(DISTINCT is_alert)",
        "count(DISTINCT traffic.bytes_out / 2.5)",
        "count(DISTINCT CASE WHEN dst_port > 400 THEN src_ip END)",
        "sum(traffic.bytes_out)",
        "sum(DISTINCT traffic.bytes_out)",
        "sum(dst_port) FILTER (WHERE is_alert)",
        "sum(CASE WHEN action = 'Denied' THEN 1 ELSE 0 END)",
        "avg(traffic.bytes_out)",
        "avg(dst_port) FILTER (WHERE app_name LIKE 's%')",
        "min(dst_port)",
        "max(traffic.bytes_out)",
        "min(app_name)",
        "max(upper(app_name)) FILTER (WHERE dst_port < 1024)",
        "min(time)",
        "max(time) FILTER (WHERE is_alert)",
        "min(start_time)",
        "max(CASE WHEN action = 'Denied' THEN time END)",
        "min(src_ip)",
        "bool_and(is_alert)",
        "bool_or(is_alert) FILTER (WHERE dst_port = 22)",
        "bit_and(dst_port)",
        "bit_or(dst_port)",
        "bit_xor(traffic.bytes_out)",
        "min(is_alert)",
        "max(traffic.bytes_out * 1.5)",
    ] {
        for from in [TUMBLE, HOP] {
            let sql = format!(
                "SELECT window_start, src_ip, {aggregate} AS value FROM {from} GROUP BY window_start, window_end, src_ip"
            );
            assert!(agrees(&sql) > 30, "{sql}");
        }
    }
}

#[test]
fn keys() {
    for key in [
        "dst_port",
        "app_name",
        "is_alert",
        "start_time",
        "upper(app_name)",
        "traffic.bytes_out % 3",
        "traffic.bytes_out / 2.5",
        "date_trunc('minute', time)",
        "coalesce(app_name, 'none')",
        "CASE WHEN dst_port < 1024 THEN 'low' ELSE 'high' END",
        "dst_port, app_name",
        "src_ip, dst_port, action, is_alert",
    ] {
        // Selected under plain names: what an expression is called in the output is not at stake here.
        let names = key.split(", ").all(|k| k.chars().all(|c| c.is_alphanumeric() || c == '_'));
        let selected = if names { key.to_owned() } else { format!("{key} AS key") };
        let sql = format!(
            "SELECT window_start, {selected}, count(*) AS n FROM {HOP} GROUP BY window_start, window_end, {key}"
        );
        assert!(agrees(&sql) > 10, "{sql}");
    }
    let none =
        format!("SELECT window_start, window_end, count(*) AS n FROM {TUMBLE} GROUP BY window_start, window_end");
    assert_eq!(agrees(&none), 4 * 2, "four minutes in two tenants");
}

#[test]
fn conditions_on_rows() {
    for (condition, least) in [
        ("src_ip IS NOT NULL AND dst_port IS NULL", 5),
        ("dst_port IN (22, 3389) OR app_name = 'dns'", 20),
        ("dst_port NOT IN (22, 3389)", 20),
        ("app_name LIKE '%s%' AND NOT app_name ILIKE 'WEB%'", 10),
        ("traffic.bytes_out BETWEEN 10 AND 60", 20),
        ("app_name IS DISTINCT FROM 'ssl'", 20),
        ("coalesce(is_alert, false) = false", 20),
        ("CASE action WHEN 'Denied' THEN dst_port > 100 ELSE dst_port < 100 END", 10),
        ("regexp_like(app_name, '^[a-z]+$')", 10),
        ("length(app_name) > 3", 10),
        ("extract(second FROM time) < 30", 10),
        ("time >= TIMESTAMP '1970-01-01T00:01:00Z'", 10),
        ("starts_with(src_ip, '10.0.0.') AND src_ip <> '10.0.0.1'", 20),
        ("traffic.bytes_out > dst_port", 1),
        ("action = 'Denied' AND NULLIF(dst_port, 22) IS NOT NULL", 10),
    ] {
        let sql = format!(
            "SELECT window_start, src_ip, count(*) AS n FROM {TUMBLE} WHERE {condition} GROUP BY window_start, window_end, src_ip"
        );
        assert!(agrees(&sql) >= least, "{sql}");
        let filter = format!("SELECT time, src_ip, dst_port FROM network_activity WHERE {condition}");
        assert!(agrees(&filter) >= least, "{filter}");
    }
}

#[test]
fn conditions_on_groups() {
    for (condition, some) in [
        ("count(*) > 9", true),
        ("count(*) BETWEEN 8 AND 9 AND src_ip IS NOT NULL", true),
        ("count(*) > 1000", false),
        ("sum(traffic.bytes_out) / count(*) > 35", true),
        ("min(time) FILTER (WHERE is_alert) < max(time) FILTER (WHERE NOT is_alert)", true),
        ("min(time) FILTER (WHERE dst_port = 1) < max(time)", false),
        ("max(app_name) IS NULL OR avg(dst_port) > 900.5", true),
        ("count(DISTINCT app_name) = 3 AND src_ip LIKE '%.1'", true),
        ("bool_or(is_alert) AND NOT bool_and(is_alert)", true),
        ("window_start >= TIMESTAMP '1970-01-01T00:02:00Z'", true),
        ("n > 9", true),
    ] {
        let sql = format!(
            "SELECT window_start, src_ip, count(*) AS n FROM {TUMBLE} GROUP BY window_start, window_end, src_ip HAVING {condition}"
        );
        assert_eq!(agrees(&sql) > 0, some, "{sql}");
    }
}

#[test]
fn selected_expressions() {
    let sql = |select| format!("SELECT window_start, {select} FROM {TUMBLE} GROUP BY window_start, window_end, src_ip");
    let groups = agrees(&sql("window_end"));
    assert!(groups > 20, "{groups} groups");
    for select in [
        "src_ip || ' sent ' || CAST(sum(traffic.bytes_out) AS VARCHAR) AS text",
        "CASE WHEN count(*) > 9 THEN 'many' ELSE 'few' END AS much, count(*) AS n",
        "round(avg(dst_port), 1) AS mean",
        "max(time) - min(time) > INTERVAL '50' SECOND AS long",
        "date_trunc('hour', window_start) AS hour",
        "100 * count(*) FILTER (WHERE action = 'Denied') / count(*) AS share",
        "1 AS one, 'x' AS x, NULL AS nothing, true AS yes",
        "coalesce(min(app_name), 'none') AS app, upper(src_ip) AS ip",
    ] {
        assert_eq!(agrees(&sql(select)), groups, "{select}");
    }
}
