use dataflow::Table;

use super::*;

const WINDOW: &str = "FROM TUMBLE(network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE)";

fn window_plan(sql: &str) -> WindowPlan {
    match plan(sql, false) {
        Ok(Plan::Window(plan)) => plan,
        other => panic!("{sql}: {other:?}"),
    }
}

fn refusal(sql: &str, on_threshold: bool) -> String {
    let e = plan(sql, on_threshold).expect_err(sql);
    let suggestion = e.suggestion.map(|s| format!("; {s}")).unwrap_or_default();
    format!("{}:{}: {}{suggestion}", e.line, e.column, e.what)
}

#[test]
fn the_example_of_the_design_is_a_window_over_one_key() {
    let plan = window_plan(
        "SELECT window_start, window_end, src_endpoint.ip AS source, count(DISTINCT dst_endpoint.port) AS ports
         FROM HOP(TABLE network_activity, DESCRIPTOR(time), INTERVAL '30' SECOND, INTERVAL '1' MINUTE)
         GROUP BY window_start, window_end, src_endpoint.ip
         HAVING count(DISTINCT dst_endpoint.port) > 500",
    );
    assert_eq!((plan.spec.slide, plan.spec.size, plan.spec.pane), (30_000_000, 60_000_000, 30_000_000));
    assert_eq!(plan.keys.len(), 1);
    assert_eq!(plan.aggregates.len(), 1, "HAVING and SELECT share the aggregate");
    assert!(matches!(plan.aggregates[0].function, AggregateFunction::Distinct(_)));
    let names: Vec<&str> = plan.output.projection.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(names, ["window_start", "window_end", "source", "ports"]);
    let read: Vec<&str> = plan.inputs[0].input.schema.fields().iter().map(|f| f.name().as_str()).collect();
    assert_eq!(read, ["src_endpoint.ip", "dst_endpoint.port"], "only what the expressions read is taken out");
}

#[test]
fn what_a_windowed_rule_may_say() {
    for sql in [
        format!("SELECT window_start, window_end, count(*) {WINDOW} GROUP BY window_start, window_end"),
        format!("select window_end, avg(traffic.bytes) as b {WINDOW} as t where t.src_ip is not null group by window_start, window_end, t.dst_port having avg(traffic.bytes) > 5"),
        format!("SELECT window_time, sum(CASE WHEN action = 'Denied' THEN 1 ELSE 0 END) AS n {WINDOW} GROUP BY window_start, window_end, window_time HAVING n > 3"),
        format!("SELECT upper(app_name) AS app, count(*) FILTER (WHERE dst_port < 1024) {WINDOW} GROUP BY window_start, window_end, upper(app_name)"),
        format!("SELECT metadata.profiles[1] AS p, bool_or(is_alert), stddev(dst_port) {WINDOW} GROUP BY window_start, window_end, metadata.profiles[1]"),
        "SELECT count(*) FROM HOP(api_activity, DESCRIPTOR(time), INTERVAL '1 minute', INTERVAL '1' HOUR) GROUP BY window_start, window_end, resources[1].uid".to_owned(),
    ] {
        window_plan(&sql);
    }
}

#[test]
fn what_a_filter_rule_may_say() {
    let sql = "SELECT time, user_name, upper(api.operation) AS op FROM api_activity AS a
               WHERE a.api.service.name LIKE '%.amazonaws.com' AND resources[1].type = 'AWS::S3::Bucket'";
    let plan = plan(sql, false).expect("a filter rule");
    assert_eq!(plan.tables(), [Table::ApiActivity]);
    assert!(matches!(plan, Plan::Filter(f) if f.projection.len() == 3));
}

/// Statements and what is said of them; `¶` is a line end.
const REFUSALS: &str = r#"
SELECT a FORM b
=> 1:10: FORM is not expected here; did you mean FROM?
SELECT 'a
=> 1:8: Unterminated string literal; texts stand in quotes: 'Denied'
DROP TABLE t
=> 1:1: a rule is a SELECT; nothing else is allowed; SELECT src_ip FROM network_activity WHERE action = 'Denied'
SELECT 1; SELECT 2
=> 1:1: a rule is one SELECT, not 2 statements
SELECT time FROM netwrk_activity WHERE true
=> 1:18: no table netwrk_activity; did you mean network_activity?
SELECT time FROM dead_letter WHERE true
=> 1:18: no table dead_letter; one of network_activity, http_activity, dns_activity, dhcp_activity, authentication, tunnel_activity, api_activity, application_lifecycle, event_log_actvity, inventory_info, device_config_state_change, detection_finding, base_event
SELECT time¶FROM network_activity¶WHERE src_endpont.ip = 'x'
=> 3:7: table network_activity has no column src_endpont.ip; did you mean src_endpoint.ip?
SELECT time FROM network_activity WHERE bytes_out > 1
=> 1:41: table network_activity has no column bytes_out; did you mean traffic.bytes_out?
SELECT src_endpoint FROM network_activity WHERE true
=> 1:8: src_endpoint is a struct of network_activity, not a value; name one of its columns, e.g. src_endpoint.ip
SELECT window_start FROM network_activity WHERE true
=> 1:8: window_start needs a window; FROM TUMBLE(network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE)
SELECT * FROM network_activity WHERE true
=> 1:8: SELECT * is not supported; name the columns an analyst needs
SELECT time FROM network_activity
=> 1:1: without WHERE every event would alert; add a condition: WHERE action = 'Denied'
SELECT count(*) FROM network_activity WHERE true
=> 1:1: an aggregate needs a window; FROM TUMBLE(...) or HOP(...)
SELECT time FROM network_activity WHERE 1 > 2
=> 1:1: the condition can never be true: the rule would never fire; compare a column: action = 'Denied'
SELECT time FROM network_activity WHERE time > now()
=> 1:48: now() gives another value each time it is evaluated; use time or window_end
SELECT time FROM network_activity WHERE src_ip IN (SELECT ip FROM t)
=> 1:41: a subquery is not supported in rules
SELECT time FROM network_activity WHERE uper(src_ip) = 'X'
=> 1:41: no function uper; did you mean upper?
SELECT time FROM a JOIN b ON true
=> 1:25: no lookup table b; one of assets, identities, intel, country, asn
SELECT time FROM network_activity WHERE true LIMIT 5
=> 1:1: LIMIT would hide alerts; leave it out, or ask for more in WHERE or HAVING
WITH a AS (SELECT 1) SELECT time FROM network_activity WHERE true
=> 1:6: a is not used; name it in FROM
WITH RECURSIVE a AS (SELECT 1) SELECT time FROM a WHERE true
=> 1:1: WITH RECURSIVE is not supported in rules
WITH a (x) AS (SELECT time FROM network_activity) SELECT x FROM a WHERE true
=> 1:9: names of columns stand in the query; WITH a AS (SELECT x AS x, ...)
WITH api_activity AS (SELECT time FROM network_activity) SELECT time FROM api_activity WHERE true
=> 1:6: api_activity is a table already
WITH a AS (SELECT time FROM network_activity), A AS (SELECT time FROM a) SELECT time FROM a WHERE true
=> 1:48: A is there twice
WITH a AS (SELECT time, src_ip FROM network_activity) SELECT scr_ip FROM a WHERE true
=> 1:62: the subquery has no column scr_ip; did you mean src_ip?
WITH a AS (SELECT src_ip FROM network_activity) SELECT count(*) FROM TUMBLE(TABLE a, DESCRIPTOR(time), INTERVAL '1' MINUTE) $GROUP
=> 1:12: each SELECT gives the column time as it is; SELECT time, ...
WITH a AS (SELECT src_ip, count(*) AS n $WINDOW $GROUP, src_ip) SELECT src_ip FROM a WHERE n > 2
=> 1:12: GROUP BY and HAVING stand outside the window function
SELECT time FROM network_activity WHERE true UNION SELECT time FROM network_activity WHERE true
=> 1:1: UNION is not supported; write one rule for each SELECT
SELECT time FROM network_activity WHERE true ORDER BY time
=> 1:1: ORDER BY has no meaning in a rule: alerts are a set; leave it out
SELECT DISTINCT src_ip FROM network_activity WHERE true
=> 1:1: SELECT DISTINCT is not supported in rules
SELECT count(*) $WINDOW GROUP BY ALL
=> 1:1: GROUP BY ALL hides the key; name the columns
SELECT row_number() OVER (ORDER BY time) FROM network_activity WHERE true
=> 1:8: OVER is not supported in rules
SELECT src_ip FROM network_activity WHERE true GROUP BY src_ip
=> 1:57: GROUP BY and HAVING need a window; FROM TUMBLE(network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE)
SELECT sum(src_ip) $WINDOW $GROUP
=> 1:8: sum does not take a text; cast it, e.g. CAST(src_port AS BIGINT), or count(*)
SELECT first_value(src_ip ORDER BY time) $WINDOW $GROUP
=> 1:8: ORDER BY within an aggregate is not supported in rules; array_agg(x) gives its values rising
SELECT count(*) $WINDOW GROUP BY window_start, window_end, ROLLUP(src_ip)
=> 1:128: grouping sets are not supported in rules
SELECT random() AS r FROM network_activity WHERE true
=> 1:8: random() gives another value each time it is evaluated; use time or window_end
SELECT count(*) $WINDOW
=> 1:1: GROUP BY lacks window_start; GROUP BY window_start, window_end, <key columns>
SELECT count(*) $WINDOW GROUP BY window_start
=> 1:1: GROUP BY lacks window_end; GROUP BY window_start, window_end, <key columns>
SELECT count(*) $WINDOW WHERE window_end > time $GROUP
=> 1:92: window_end is known only when the window closes: it may stand alone in GROUP BY, and in SELECT and HAVING; use time
SELECT max(window_time) $WINDOW $GROUP
=> 1:12: window_time is known only when the window closes: it may stand alone in GROUP BY, and in SELECT and HAVING; use time
SELECT string_agg(src_ip, ',') $WINDOW $GROUP
=> 1:8: string_agg does not merge exactly over partitions; use array_agg(x)
SELECT median(dst_port) $WINDOW $GROUP
=> 1:8: median does not merge exactly over partitions; use approx_median(x) or approx_percentile_cont(x, 0.95)
SELECT approx_percentile_cont(dst_port, 2) $WINDOW $GROUP
=> 1:8: 'approx_percentile_cont' takes a number from 0 to 1, such as 0.95, not 2
SELECT count(*) $WINDOW $GROUP HAVING count(*) > 1 AND false
=> 1:1: the condition can never be true: the rule would never fire; compare a column: action = 'Denied'
SELECT src_ip $WINDOW $GROUP
=> 1:8: src_ip is neither in GROUP BY nor in an aggregate; add it to GROUP BY, or select max(src_ip)
SELECT 1 FROM HOP(network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE)
=> 1:15: HOP does not take these arguments; HOP(t, DESCRIPTOR(time), slide, size)
SELECT 1 FROM TUMBLE(network_activity, DESCRIPTOR(start_time), INTERVAL '1' MINUTE)
=> 1:40: windows are over the event time, not DESCRIPTOR(start_time); DESCRIPTOR(time)
SELECT 1 FROM TUMBLE(network_activity, DESCRIPTOR(time), INTERVAL '1' MONTH)
=> 1:67: INTERVAL '1' MONTH is not a length of time; INTERVAL '30' SECOND; units MILLISECOND, SECOND, MINUTE, HOUR, DAY
SELECT 1 FROM SLIDE(network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE)
=> 1:15: no window function slide; one of TUMBLE(t, DESCRIPTOR(time), size), HOP(t, DESCRIPTOR(time), slide, size), CUMULATE(t, DESCRIPTOR(time), step, size), SESSION(t, DESCRIPTOR(time), gap[, longest])
"#;

#[test]
fn refusals_name_the_place_the_reason_and_a_way_out() {
    let lines: Vec<&str> = REFUSALS.trim().lines().collect();
    let mut wrong = Vec::new();
    for case in lines.chunks(2) {
        let [sql, want] = case else { panic!("a statement and its refusal: {case:?}") };
        let sql =
            sql.replace("$WINDOW", WINDOW).replace("$GROUP", "GROUP BY window_start, window_end").replace('¶', "\n");
        let (found, want) = (refusal(&sql, false), want.trim_start_matches("=> "));
        if found != want {
            wrong.push(format!("{sql}\n  want {want}\n  have {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const UNION: &str = "FROM TUMBLE(TABLE (
    SELECT time, src_ip AS ip, 1 AS kind, traffic.bytes AS bytes, NULL AS user FROM network_activity WHERE action_id = 1
    UNION ALL
    SELECT a.time, a.src_endpoint.ip, dst_port, 0, a.user.name FROM authentication AS a
    UNION ALL
    SELECT time, dst_ip, 2, 7, 'x' FROM network_activity WHERE dst_port < 1024
  ), DESCRIPTOR(time), INTERVAL '1' MINUTE) AS w";

#[test]
fn a_union_is_read_table_by_table() {
    let plan = window_plan(&format!(
        "SELECT window_end, w.ip, count(*) AS n, min(user), sum(bytes) AS b, max(time) FILTER (WHERE kind = 2) AS last
         {UNION} WHERE w.ip IS NOT NULL GROUP BY window_start, window_end, ip HAVING sum(bytes) > 5"
    ));
    let tables: Vec<Table> = plan.inputs.iter().map(|i| i.table).collect();
    assert_eq!(tables, [Table::NetworkActivity, Table::Authentication, Table::NetworkActivity]);
    let read = |i: &WindowInput| i.input.schema.fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
    assert_eq!(read(&plan.inputs[0]), ["time", "src_ip", "action_id", "traffic.bytes"]);
    assert_eq!(read(&plan.inputs[1]), ["time", "dst_port", "user.name", "src_endpoint.ip"]);
    for input in &plan.inputs {
        assert_eq!((input.keys.len(), input.calls.len(), input.predicate.is_some()), (1, plan.aggregates.len(), true));
    }
    assert_eq!(plan.keys[0].data_type(), &arrow::datatypes::DataType::Utf8);
}

/// Subqueries and what is said of them, within `FROM TUMBLE((...), ...)`.
const UNION_REFUSALS: &str = r#"
SELECT time FROM network_activity UNION SELECT time FROM api_activity
=> UNION would drop rows that look alike; UNION ALL
SELECT time FROM network_activity EXCEPT SELECT time FROM api_activity
=> within a window function stands SELECT ... UNION ALL SELECT ...
SELECT src_ip FROM network_activity
=> each SELECT gives the column time as it is; SELECT time, ...
SELECT start_time AS time FROM network_activity
=> each SELECT gives the column time as it is; SELECT time, ...
SELECT time, src_ip FROM network_activity UNION ALL SELECT src_ip, time FROM api_activity
=> time is not the same column in each SELECT; SELECT time, ...
SELECT time FROM network_activity UNION ALL SELECT time, src_ip FROM api_activity
=> UNION queries have different number of columns
SELECT time FROM network_activity GROUP BY time
=> GROUP BY and HAVING stand outside the window function
SELECT time, count(*) AS n FROM network_activity
=> time is neither in GROUP BY nor in an aggregate; add it to GROUP BY, or select max(time)
SELECT time FROM network_activity ORDER BY time
=> ORDER BY has no meaning in a rule: alerts are a set; leave it out
SELECT DISTINCT time FROM network_activity
=> SELECT DISTINCT is not supported in rules
SELECT time, src_up FROM network_activity
=> table network_activity has no column src_up; did you mean src_ip?
SELECT time, window_end FROM network_activity
=> window_end needs a window; FROM TUMBLE(network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE)
SELECT time FROM netwrk_activity
=> no table netwrk_activity; did you mean network_activity?
SELECT time FROM HOP(network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE, INTERVAL '2' MINUTE)
=> a window function within another is not supported in rules
SELECT time, random() AS r FROM network_activity
=> random() gives another value each time it is evaluated; use time or window_end
SELECT time FROM network_activity WHERE 1 = 2
=> the condition can never be true: the rule would never fire; compare a column: action = 'Denied'
SELECT time FROM unnest(network_activity)
=> a rule reads a table, a subquery, TUMBLE(...), HOP(...), CUMULATE(...) or SESSION(...)
"#;

#[test]
fn what_is_no_union_of_tables_is_refused() {
    let lines: Vec<&str> = UNION_REFUSALS.trim().lines().collect();
    let mut wrong = Vec::new();
    for case in lines.chunks(2) {
        let [sub, want] = case else { panic!("a subquery and its refusal: {case:?}") };
        let sql = format!(
            "SELECT count(*) FROM TUMBLE(({sub}), DESCRIPTOR(time), INTERVAL '1' MINUTE) GROUP BY window_start, window_end"
        );
        let found = refusal(&sql, false);
        let found = found.splitn(3, ':').nth(2).unwrap_or_default().trim();
        if found != want.trim_start_matches("=> ") {
            wrong.push(format!("{sub}\n  want {want}\n  have {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let outside = |select: &str| refusal(&format!("SELECT {select} {UNION} GROUP BY window_start, window_end"), false);
    let unknown = outside("max(src_ip)");
    assert!(unknown.starts_with("1:12: the subquery has no column src_ip; it gives time, "), "{unknown}");
    assert_eq!(outside("max(usr)"), "1:12: the subquery has no column usr; did you mean user?");
    assert!(outside("ip").contains("ip is neither in GROUP BY"), "{}", outside("ip"));
}

#[test]
fn a_sum_rises_only_if_it_does_in_every_table() {
    let rule = |having: &str| format!("SELECT count(*) {UNION} GROUP BY window_start, window_end HAVING {having}");
    assert!(plan(&rule("sum(bytes) > 5"), true).is_ok(), "a counter, zero and seven");
    assert!(refusal(&rule("sum(kind) > 5"), true).contains("emit: on_threshold"), "a port is no counter");
    assert!(plan(&rule("min(time) FILTER (WHERE kind = 1) < max(time) FILTER (WHERE kind = 2)"), true).is_ok());
}

#[test]
fn a_threshold_that_may_fall_back_cannot_alert_early() {
    let rule =
        |having: &str| format!("SELECT count(*) {WINDOW} GROUP BY window_start, window_end, src_ip HAVING {having}");
    for monotone in [
        "count(*) > 5",
        "5 <= count(DISTINCT dst_port)",
        "sum(traffic.bytes_out) >= 1000 AND src_ip IS NOT NULL",
        "max(dst_port) > 1024 OR min(dst_port) < 10",
        "count(*) > 2 AND src_ip = '10.0.0.1'",
        "min(time) FILTER (WHERE dst_port = 1) < max(time) FILTER (WHERE dst_port = 2)",
        "max(time) > min(time)",
        "min(CASE WHEN is_alert THEN time END) <= max(CASE WHEN NOT is_alert THEN time END)",
        "count(*) FILTER (WHERE is_alert) > 5",
        "sum(CASE WHEN is_alert THEN traffic.bytes WHEN dst_port = 1 THEN 5 ELSE 0 END) > 5",
        "CAST(count(*) AS DOUBLE) >= 2.5",
        "CAST(max(time) AS BIGINT) > 5 AND max(src_ip) > '10'",
        "5 > 3 OR count(*) > 5",
    ] {
        assert!(plan(&rule(monotone), true).is_ok(), "{monotone}");
    }
    for other in [
        "count(*) < 5",
        "count(*) = 5",
        "avg(dst_port) > 5",
        "sum(dst_port) > 5",
        "count(*) > 5 AND count(DISTINCT dst_ip) <= 2",
        "min(dst_port) > 3",
        "count(*) * -1 > 3",
        "NOT (count(*) > 5)",
        "min(time) FILTER (WHERE dst_port = 1) > max(time) FILTER (WHERE dst_port = 2)",
        "max(time) FILTER (WHERE dst_port = 1) < max(time) FILTER (WHERE dst_port = 2)",
        "min(time) = max(time)",
        "CAST(count(*) AS VARCHAR) > '5'",
        "CAST(max(src_ip) AS BIGINT) > 5",
        "sum(CASE WHEN is_alert THEN traffic.bytes ELSE dst_port END) > 5",
        "sum(CASE WHEN is_alert THEN traffic.bytes ELSE -1 END) > 5",
        "max(dst_port) FILTER (WHERE is_alert) IS NULL",
        "coalesce(min(dst_port), 0) < 5",
    ] {
        let found = refusal(&rule(other), true);
        assert!(found.contains("emit: on_threshold"), "{other}: {found}");
        assert!(plan(&rule(other), false).is_ok(), "{other} is fine when the window closes");
    }
    let none = format!("SELECT count(*) {WINDOW} GROUP BY window_start, window_end");
    assert!(refusal(&none, true).contains("needs HAVING"));
    assert!(refusal("SELECT time FROM network_activity WHERE dst_port = 1", true).contains("needs a window"));
}
