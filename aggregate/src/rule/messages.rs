//! What rule authors are told of their mistakes: each with its whole message, which says where, what, and how it would be right.

use crate::RuleSet;

/// A SQL rule without a window.
const FILTER: &str = "title: Denied
id: 3f2b6a4e-1111-4222-8333-444455556666
version: 1
level: low
tags: [attack.discovery]
sql: |
  SELECT time, src_ip, dst_port
  FROM network_activity
  WHERE action = 'Denied' AND dst_port > 1024
tests:
  - name: fires
    events: [{ set: { action: Denied, dst_port: 2222 } }]
    alerts: [{ values: { dst_port: 2222 } }]
";

/// A SQL rule with one.
const WINDOW: &str = "title: Scan
id: 3f2b6a4e-1111-4222-8333-444455556666
version: 1
level: low
emit: on_threshold
allowed_lateness: 30s
evidence: 10
sql: |
  SELECT window_start, window_end, src_ip, count(DISTINCT dst_port) AS ports
  FROM HOP(TABLE network_activity, DESCRIPTOR(time), INTERVAL '30' SECOND, INTERVAL '1' MINUTE)
  WHERE src_ip IS NOT NULL
  GROUP BY window_start, window_end, src_ip
  HAVING count(DISTINCT dst_port) > 250
";

/// A watch.
const WATCH: &str = "title: Silent
id: 3f2b6a4e-1111-4222-8333-444455556666
version: 1
level: low
watch:
  silence: {after: 15m, times: 2, learn: 1d}
";

/// A Sigma rule.
const SIGMA: &str = "title: Trail stopped
id: 3f2b6a4e-1111-4222-8333-444455556666
level: high
logsource:
    product: aws
    service: cloudtrail
detection:
    selection:
        eventSource: cloudtrail.amazonaws.com
        eventName|startswith: Stop
    filter_own:
        sourceIPAddress|cidr: 192.0.2.0/24
    condition: selection and not filter_own
";

/// What of a rule is written otherwise, and the message.
type Case = (&'static str, &'static str, &'static str);

fn check(rule: &str, cases: &[Case]) {
    let mut wrong = Vec::new();
    for (from, to, want) in cases {
        assert!(rule.contains(from), "{from}");
        let text = rule.replacen(from, to, 1);
        let found = match RuleSet::from_texts(&[("r.yaml", &text)]) {
            Ok(_) => "(loaded)".to_owned(),
            Err(error) => error.to_string(),
        };
        if found != *want {
            wrong.push(format!("{from:?} -> {to:?}\n  want {want}\n  have {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const OF_FILTER: &[Case] = &[
    ("level: low", "levle: low", "r.yaml:4:1: unknown key levle; did you mean level?"),
    ("level: low", "level: lo", "r.yaml:4:8: unknown value lo; one of informational, low, medium, high, critical"),
    ("title: Denied\n", "", "r.yaml:1:1: key title is missing; e.g. `title: Port scan from one source`"),
    ("version: 1", "version: one", "r.yaml:3:10: version takes a whole number, not one; e.g. `version: 1`"),
    ("version: 1", "version: 1\nversion: 2", "r.yaml:4:1: key version stands twice; keep one of them"),
    ("3f2b6a4e-", "", "r.yaml:2:1: id is not a UUID: invalid group count: expected 5, found 4; uuidgen makes one"),
    (
        "attack.discovery",
        "attack.discovry",
        "r.yaml:5:8: no ATT&CK tactic or technique attack.discovry; did you mean attack.discovery?",
    ),
    (
        "[attack.discovery]",
        "attack.discovery",
        "r.yaml:5:7: tags takes a list, not attack.discovery; e.g. `tags: [attack.discovery, attack.t1046]`",
    ),
    ("src_ip,", "src_up,", "r.yaml:7:16: table network_activity has no column src_up; did you mean src_ip?"),
    (
        "src_ip,",
        "src_endpoint,",
        "r.yaml:7:16: src_endpoint is a struct of network_activity, not a value; name one of its columns, e.g. src_endpoint.ip",
    ),
    ("network_activity", "network_activty", "r.yaml:8:8: no table network_activty; did you mean network_activity?"),
    ("WHERE", "WERE", "r.yaml:9:3: WERE is not expected here; did you mean WHERE?"),
    (
        "SELECT time, src_ip, dst_port",
        "SELECT *",
        "r.yaml:7:10: SELECT * is not supported; name the columns an analyst needs",
    ),
    (
        "SELECT time, src_ip, dst_port",
        "SELECT time, src_ip dst_port action",
        "r.yaml:7:32: action is not expected here; columns stand behind commas, conditions behind AND or OR",
    ),
    (
        "\n  WHERE action = 'Denied' AND dst_port > 1024",
        "",
        "r.yaml:7:3: without WHERE every event would alert; add a condition: WHERE action = 'Denied'",
    ),
    (
        "dst_port > 1024",
        "dst_port > 1024 GROUP BY src_ip",
        "r.yaml:9:56: GROUP BY and HAVING need a window; FROM TUMBLE(network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE)",
    ),
    (
        "dst_port > 1024",
        "dst_port > 1024 ORDER BY time",
        "r.yaml:7:3: ORDER BY has no meaning in a rule: alerts are a set; leave it out",
    ),
    (
        "dst_port > 1024",
        "dst_port > 1024 LIMIT 5",
        "r.yaml:7:3: LIMIT would hide alerts; leave it out, or ask for more in WHERE or HAVING",
    ),
    (
        "dst_port > 1024",
        "1 = 2",
        "r.yaml:7:3: the condition can never be true: the rule would never fire; compare a column: action = 'Denied'",
    ),
    (
        "dst_port > 1024",
        "time > now()",
        "r.yaml:9:38: now() gives another value each time it is evaluated; use time or window_end",
    ),
    ("dst_port > 1024", "lenght(src_ip) > 5", "r.yaml:9:31: no function lenght; did you mean length?"),
    (
        "dst_port > 1024",
        "starts_with(dst_port, 5)",
        "r.yaml:9:31: starts_with does not take a number; cast it, e.g. CAST(dst_port AS VARCHAR)",
    ),
    (
        "dst_port > 1024",
        "window_start > time",
        "r.yaml:9:31: window_start needs a window; FROM TUMBLE(network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE)",
    ),
    (
        "dst_port > 1024",
        "count(*) > 5",
        "r.yaml:9:3: an aggregate stands in HAVING, not in WHERE; rows are counted within a window: GROUP BY window_start, window_end HAVING count(*) > 5",
    ),
    (
        "dst_port > 1024",
        "src_ip + 5 > 7",
        "r.yaml:7:3: a text and a number do not add up; make it a number: CAST(... AS BIGINT)",
    ),
    (
        "dst_port > 1024",
        "dst_port = 'ssh'",
        "r.yaml:9:42: dst_port is a number, 'ssh' a text: they do not compare; compare numbers: dst_port = 22",
    ),
    ("dst_port > 1024", "dst_port", "r.yaml:7:3: a number is no condition; compare it: dst_port = 22"),
    (
        "'Denied'",
        "\"Denied\"",
        "r.yaml:9:18: table network_activity has no column Denied; a text stands in single quotes: 'Denied'",
    ),
    ("'Denied'", "'Denied", "r.yaml:9:18: Unterminated string literal; texts stand in quotes: 'Denied'"),
    (
        "'Denied'",
        "Denied",
        "r.yaml:9:18: table network_activity has no column denied; a text stands in single quotes: 'Denied'",
    ),
    (
        "SELECT",
        "DELETE",
        "r.yaml:7:3: a rule is a SELECT; nothing else is allowed; SELECT src_ip FROM network_activity WHERE action = 'Denied'",
    ),
    ("sql: |", "sqll: |", "r.yaml:6:1: unknown key sqll; did you mean sql?"),
    (
        "sql: |",
        "emit: on_threshold\nsql: |",
        "r.yaml:8:3: emit: on_threshold needs a window; a filter rule alerts at once anyway",
    ),
    (
        "dst_port: 2222 } }]\n    alerts",
        "dst_prot: 2222 } }]\n    alerts",
        "r.yaml:12:39: test \"fires\": table network_activity has no column dst_prot; did you mean dst_port?",
    ),
    (
        "dst_port: 2222 } }]\n    alerts",
        "dst_port: ssh } }]\n    alerts",
        "r.yaml:12:39: test \"fires\": dst_port cannot hold \"ssh\"; it holds a number",
    ),
    (
        "events: [{ set",
        "events: [{ at: five, set",
        "r.yaml:12:20: test \"fires\": \"five\" is not a length of time; write it as 30s or 5m",
    ),
    ("events: [{ set", "events: [{ att: 5s, set", "r.yaml:12:16: unknown key att; did you mean at?"),
    (
        "values: { dst_port",
        "values: { dst_prot",
        "r.yaml:13:26: test \"fires\": the rule selects no column dst_prot; did you mean dst_port?",
    ),
];

#[test]
fn of_a_sql_rule_without_a_window() {
    check(FILTER, OF_FILTER);
}

const OF_WINDOW: &[Case] = &[
    (
        "HOP(",
        "HOPP(",
        "r.yaml:10:8: no window function hopp; one of TUMBLE(t, DESCRIPTOR(time), size), HOP(t, DESCRIPTOR(time), slide, size), CUMULATE(t, DESCRIPTOR(time), step, size), SESSION(t, DESCRIPTOR(time), gap[, longest])",
    ),
    ("DESCRIPTOR(time), ", "", "r.yaml:10:8: HOP does not take these arguments; HOP(t, DESCRIPTOR(time), slide, size)"),
    (
        "DESCRIPTOR(time)",
        "DESCRIPTOR(_received_at)",
        "r.yaml:10:36: windows are over the event time, not DESCRIPTOR(_received_at); DESCRIPTOR(time)",
    ),
    (
        "INTERVAL '30' SECOND",
        "INTERVAL '30' FORTNIGHT",
        "r.yaml:10:68: FORTNIGHT is no unit of time; INTERVAL '30' SECOND; units MILLISECOND, SECOND, MINUTE, HOUR, DAY",
    ),
    (
        "INTERVAL '30' SECOND",
        "30",
        "r.yaml:10:54: 30 is not a length of time; INTERVAL '30' SECOND; units MILLISECOND, SECOND, MINUTE, HOUR, DAY",
    ),
    (
        "INTERVAL '30' SECOND",
        "INTERVAL '2' MINUTE",
        "r.yaml:10:8: the slide is longer than the size: rows between the windows would never be seen; e.g. INTERVAL '30' SECOND, INTERVAL '1' MINUTE",
    ),
    (
        "INTERVAL '30' SECOND",
        "INTERVAL '1' MILLISECOND",
        "r.yaml:10:8: the window has 60000 panes of 1000 us (the greatest common divisor of slide and size); at most 1440; e.g. INTERVAL '30' SECOND, INTERVAL '1' MINUTE",
    ),
    (
        "GROUP BY window_start, window_end, src_ip",
        "GROUP BY window_start, src_ip",
        "r.yaml:9:3: GROUP BY lacks window_end; GROUP BY window_start, window_end, <key columns>",
    ),
    (
        "GROUP BY window_start, window_end, src_ip",
        "GROUP BY window_start, window_end",
        "r.yaml:9:36: src_ip is neither in GROUP BY nor in an aggregate; add it to GROUP BY, or select max(src_ip)",
    ),
    (
        "src_ip IS NOT NULL",
        "window_end > time",
        "r.yaml:9:24: window_end is known only when the window closes: it may stand alone in GROUP BY, and in SELECT and HAVING; use time",
    ),
    (
        "src_ip IS NOT NULL",
        "count(*) > 5",
        "r.yaml:11:3: an aggregate stands in HAVING, not in WHERE; rows are counted within a window: GROUP BY window_start, window_end HAVING count(*) > 5",
    ),
    (
        "HAVING count(DISTINCT dst_port) > 250",
        "HAVING count(DISTINCT dst_port) < 250",
        "r.yaml:13:10: emit: on_threshold: count(DISTINCT dst_port) < 250 may hold and then not; use >= or > on count, max or sum(traffic...), < on min; or emit: on_close",
    ),
    (
        "\n  HAVING count(DISTINCT dst_port) > 250",
        "",
        "r.yaml:9:3: emit: on_threshold needs HAVING: the threshold; HAVING count(*) > 20; or emit: on_close",
    ),
    (
        "HAVING count(DISTINCT dst_port) > 250",
        "HAVING median(dst_port) > 250",
        "r.yaml:13:10: median does not merge exactly over partitions; use approx_median(x) or approx_percentile_cont(x, 0.95)",
    ),
    (
        "HAVING count(DISTINCT dst_port) > 250",
        "HAVING count(DISTINCT dst_prot) > 250",
        "r.yaml:13:25: table network_activity has no column dst_prot; did you mean dst_port?",
    ),
    (
        "HAVING count(DISTINCT dst_port) > 250",
        "HAVING sum(src_ip) > 250",
        "r.yaml:13:10: sum does not take a text; cast it, e.g. CAST(src_port AS BIGINT), or count(*)",
    ),
    ("emit: on_threshold", "emit: at_once", "r.yaml:5:7: unknown value at_once; one of on_close, on_threshold"),
    (
        "allowed_lateness: 30s",
        "allowed_lateness: 30",
        "r.yaml:6:1: not a length of time; write it as \"30s\" or \"5m\"",
    ),
    ("evidence: 10", "evidence: 101", "r.yaml:7:1: at most 100 rows of evidence"),
    ("evidence: 10", "evidence: many", "r.yaml:7:11: evidence takes a whole number, not many; e.g. `evidence: 10`"),
];

#[test]
fn of_a_sql_rule_with_a_window() {
    check(WINDOW, OF_WINDOW);
}

const OF_SIGMA: &[Case] = &[
    ("level: high", "level: hihg", "r.yaml:3:8: no level hihg; one of informational, low, medium, high, critical"),
    ("title: Trail stopped\n", "", "r.yaml:1:1: key title is missing; e.g. `title: Trail stopped`"),
    ("3f2b6a4e-", "", "r.yaml:2:5: id is not a UUID: invalid group count: expected 5, found 4; uuidgen makes one"),
    (
        "product: aws",
        "product: asw",
        "r.yaml:4:1: no table holds the log source {product: asw, service: cloudtrail}; products are apache, aws, azure, cisco, fortigate, fortios, gcp, github, google_workspace, iis, kubernetes, m365, nginx, okta, onelogin, windows, zeek",
    ),
    (
        "service: cloudtrail",
        "service: clodtrail",
        "r.yaml:4:1: no table holds the log source {product: aws, service: clodtrail}; services of product aws: cloudtrail",
    ),
    (
        "    product: aws\n    service: cloudtrail",
        "    category: firewal",
        "r.yaml:4:1: no table holds the log source {category: firewal}; did you mean category: firewall?",
    ),
    (
        "logsource:\n    product: aws\n    service: cloudtrail\n",
        "",
        "r.yaml:1:1: key logsource is missing; e.g. `logsource: {product: aws, service: cloudtrail}`",
    ),
    ("startswith", "startwith", "r.yaml:10:9: no modifier startwith; did you mean startswith?"),
    (
        "startswith",
        "startswith|endswith",
        "r.yaml:10:9: startswith and endswith do not go together; keep one; lines of one search must all hold",
    ),
    (
        "startswith: Stop",
        "re: '(?=Stop)'",
        "r.yaml:10:23: not a regular expression that runs in linear time: look-around, including look-ahead and look-behind, is not supported; without look-around and back-references",
    ),
    (
        "startswith: Stop",
        "re: 'Stop('",
        "r.yaml:10:23: not a regular expression: unclosed group; a character that is meant itself stands behind a backslash: \\(",
    ),
    ("startswith: Stop", "contains: null", "r.yaml:10:29: null stands alone, without such a modifier; `field: null`"),
    ("startswith: Stop", "gt: many", "r.yaml:10:23: many is not a number; e.g. `field|gt: 10`"),
    (
        "startswith: Stop",
        "expand: '%names%'",
        "r.yaml:10:27: nothing says what the placeholder names stands for; load a file with `placeholders: {names: [a value]}`, too",
    ),
    ("startswith: Stop", "exists: maybe", "r.yaml:10:9: exists takes true or false, and a field; `field|exists: true`"),
    (
        "startswith: Stop",
        "base64: 'Stop*'",
        "r.yaml:10:27: a text with wildcards cannot be encoded; write * and ? as \\* and \\? if they are meant",
    ),
    ("startswith: Stop", "cased|re: Stop", "r.yaml:10:9: re minds case unless it says |re|i; cased adds nothing"),
    (
        "192.0.2.0/24",
        "192.0.2.0/33",
        "r.yaml:12:31: 192.0.2.0/33 is no network; write it as 192.0.2.0/24 or 2001:db8::/32",
    ),
    ("not filter_own", "not filter_owm", "r.yaml:13:34: the rule has no search filter_owm; did you mean filter_own?"),
    ("not filter_own", "not 1 of filtr_*", "r.yaml:13:39: the rule has no search filtr_*; did you mean filter_own?"),
    (
        "not filter_own",
        "not (filter_own",
        "r.yaml:13:35: a parenthesis is not closed; selection and not (one or other)",
    ),
    (
        "not filter_own",
        "not",
        "r.yaml:13:30: the condition ends where a search is expected; its searches are selection, filter_own",
    ),
    (
        "not filter_own",
        "or else filter_own",
        "r.yaml:13:30: the rule has no search or; its searches are selection, filter_own",
    ),
    (
        "not filter_own",
        "not filter_own | count() > 5",
        "r.yaml:13:45: aggregations behind | are no part of Sigma 2; write a correlation rule",
    ),
    (
        "    condition: selection and not filter_own\n",
        "",
        "r.yaml:7:1: detection has no condition; condition: selection",
    ),
    (
        "    condition:",
        "    timeframe: 5m\n    condition:",
        "r.yaml:13:5: timeframe is no part of Sigma 2; write a correlation rule",
    ),
    (
        "        sourceIPAddress|cidr: 192.0.2.0/24",
        "        []",
        "r.yaml:12:9: an empty search; name fields and their values: `eventName: StopLogging`",
    ),
    (
        "detection:",
        "detection: [a]\nother:",
        "r.yaml:7:12: detection is a map of searches; selection: {eventName: StopLogging}, condition: selection",
    ),
    ("title: Trail stopped", "title: [Trail, stopped]", "r.yaml:1:8: a title is one text, not a list"),
    (
        "title: Trail stopped",
        "title: 'Trail stopped",
        "r.yaml:2:1: invalid indentation in multiline quoted scalar; is a quote or bracket not closed?",
    ),
    (
        "title: Trail stopped",
        "action: globl\ntitle: Trail stopped",
        "r.yaml:1:1: no action globl; global, reset or repeat",
    ),
];

#[test]
fn of_a_sigma_rule() {
    check(SIGMA, OF_SIGMA);
}

const OF_WATCH: &[Case] = &[
    ("silence", "silense", "r.yaml:6:3: unknown key silense; did you mean silence?"),
    (
        "15m",
        "7m",
        "r.yaml:6:20: \"7m\" is not a number of minutes from 5 up to 30 days, in fives; e.g. `watch: {silence: {after: 15m, times: 2, learn: 1d}}`",
    ),
    (
        "silence: {after: 15m, times: 2, learn: 1d}",
        "dead_letters: {records: 20, percent: 0, times: 5}",
        "r.yaml:6:3: records are at least 1, and percent are 1 to 100; e.g. `watch: {dead_letters: {records: 20, percent: 5, times: 5}}`",
    ),
    (
        "\n  silence: {after: 15m, times: 2, learn: 1d}",
        " {}",
        "r.yaml:5:1: watch takes silence or dead_letters, one of them; e.g. `watch: {silence: {after: 15m, times: 2, learn: 1d}}`",
    ),
    (
        "watch:",
        "suppress: {for: 1h}\nwatch:",
        "r.yaml:5:1: suppress has no meaning for a watch: it alerts once, until all is as before; leave it out",
    ),
    (
        "watch:",
        "sql: SELECT src_ip FROM network_activity WHERE dst_port = 22\nwatch:",
        "r.yaml:6:1: a rule has sql or watch, not both; write a rule for each",
    ),
];

#[test]
fn of_a_watch() {
    check(WATCH, OF_WATCH);
}
