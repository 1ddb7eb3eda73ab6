//! Of several alerts of a key the first stands for those that follow.

use super::*;

const HOP: &str = "SELECT window_start, src_ip, count(*) AS n
    FROM HOP(TABLE network_activity, DESCRIPTOR(time), INTERVAL '30' SECOND, INTERVAL '1' MINUTE)
    GROUP BY window_start, window_end, src_ip HAVING count(*) > 2";

/// Cases: a head, a script, and after `=>` what the steps give: change, revision, window start in seconds, tenant, key and count.
const CASES: &str = r#"
# overlapping windows page once, each key and tenant by itself
suppress: {for: 1m}
rows 3 at 40 a; rows 3 at 40 b; rows 3 at 40 a globex; wm 120
=> Create 0 0 acme a 3; Create 0 0 acme b 3; Create 0 0 globex a 3

# after its time the next one stands
suppress: {for: 1m}
rows 3 at 40 a; rows 3 at 70 a; rows 3 at 100 a; wm 200
=> Create 0 0 acme a 3; Create 0 60 acme a 6

# the one that stands counts, not those that it keeps back
suppress: {for: 50s}
rows 3 at 10 a; rows 3 at 40 a; rows 3 at 70 a; wm 200
=> Create 0 -30 acme a 3; Create 0 30 acme a 6

# steps make no difference
suppress: {for: 1m}
rows 3 at 40 a; wm 60; wm 90; rows 3 at 95 a; wm 150; wm 200
=> Create 0 0 acme a 3; Create 0 60 acme a 3

# late rows may bring an earlier one, which takes its place
suppress: {for: 1m} allowed_lateness: 2m
rows 2 at 10 a; rows 1 at 35 a; rows 2 at 65 a; wm 90; wm 91; rows 1 at 11 a; wm 92
=> Create 0 0 acme a 3; Create 0 -30 acme a 3; Close 1 0 acme a 4; Create 0 30 acme a 3

# as soon as it is met it leaves, and later windows of the key do not
emit: on_threshold suppress: {for: 1m}
rows 3 at 40 a; wm 41; rows 1 at 45 a; wm 60; wm 90
=> Create 0 0 acme a 3; Update 1 0 acme a 4
"#;

#[test]
fn cases() {
    for case in CASES.split("\n\n") {
        let lines: Vec<&str> = case.lines().filter(|l| !l.is_empty()).collect();
        let [what, head, script, want] = lines.as_slice() else { panic!("not a case: {case}") };
        let rules = rule(&head.replace("} ", "}\n").replace("threshold ", "threshold\n"), HOP);
        let mut merge = MergeStage::new(&rules, 0);
        let found = play(&rules, &mut merge, &script.replace("; ", "\n"));
        assert_eq!(
            found.iter().map(|line| short(line)).collect::<Vec<_>>().join("; "),
            want.trim_start_matches("=> "),
            "{what}"
        );
    }
}

/// `Create 0 0 acme {"window_start":"...","src_ip":"a","n":3}` as `Create 0 0 acme a 3`.
fn short(line: &str) -> String {
    let (head, values) = line.split_once(" {").expect("values");
    let value = |name: &str| values.split(&format!("\"{name}\":")).nth(1).and_then(|v| v.split([',', '}']).next());
    let [ip, n] = ["src_ip", "n"].map(|name| value(name).unwrap_or_default().trim_matches('"').to_owned());
    format!("{head} {ip} {n}")
}

#[test]
fn sessions_follow_one_another() {
    let sql =
        HOP.replace("HOP(", "SESSION(").replace("INTERVAL '30' SECOND, INTERVAL '1' MINUTE", "INTERVAL '30' SECOND");
    let rules = rule("suppress: {for: 1m}", &sql);
    let mut merge = MergeStage::new(&rules, 0);
    let script = "rows 3 at 10 a\nwm 40\nrows 3 at 50 a\nwm 80\nrows 3 at 100 a\nrows 3 at 140 a\nwm 200";
    let found: Vec<String> = play(&rules, &mut merge, script).iter().map(|line| short(line)).collect();
    assert_eq!(found, ["Create 0 10 acme a 3", "Create 0 100 acme a 3"]);
}

#[test]
fn a_restart_pages_nobody_twice() {
    let rules = rule("suppress: {for: 1h}", HOP);
    let mut merge = MergeStage::new(&rules, 0);
    assert_eq!(play(&rules, &mut merge, "rows 3 at 40 a\nwm 60").len(), 1);
    for minute in 2..59 {
        merge = MergeStage::restore(&rules, 0, &merge.snapshot().expect("a snapshot")).expect("restored");
        apply(&mut merge, &rules, 0, minute * 3, &vec![event(minute * 60 * SECOND - SECOND, "a", 1); 3]);
        let output = step(&mut merge, minute, Some(minute * 60 * SECOND));
        assert_eq!(lines(output.alerts.as_ref()), Vec::<String>::new(), "minute {minute}");
        assert!(output.held.iter().all(|held| held.by == crate::HeldBy::Suppression && held.alerts > 0));
    }
    let stands = |merge: &mut MergeStage| play(&rules, merge, "rows 3 at 3600 a\nwm 3660").len();
    assert_eq!(stands(&mut merge), 1, "its hour is over");
    let bytes = merge.bytes();
    step(&mut merge, 99, Some(3 * 3_600 * SECOND));
    assert!(merge.bytes() < bytes, "nothing is kept of what keeps nothing back");
}

#[test]
fn what_can_not_be_suppressed_is_refused() {
    let session = HOP.replace("HOP(", "SESSION(").replace("INTERVAL '30' SECOND, ", "");
    for (head, sql, why) in [
        ("suppress: {for: 1h}", "SELECT src_ip FROM network_activity WHERE dst_port = 22", "suppress needs a window"),
        ("suppress: {for: 1h}\nallowed_lateness: 1m", &session, "late rows may join sessions"),
        ("suppress: {for: soon}", HOP, "suppress.for is not a length of time; suppress: {for: 1h}"),
        ("suppress: {for: 0s}", HOP, "a length above zero and up to 30d"),
        ("suppress: {for: 31d}", HOP, "a length above zero and up to 30d"),
        ("suppress: {time: 1d}", HOP, "unknown key time"),
        ("suppress: {}", HOP, "key for is missing"),
    ] {
        let sql = sql.replace('\n', " ");
        let text =
            format!("title: T\nid: 00000000-0000-4000-8000-000000000001\nversion: 1\nlevel: low\n{head}\nsql: {sql}\n");
        let error = RuleSet::from_texts(&[("r.yaml", &text)]).expect_err(head).to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn it_is_no_part_of_the_state_s_name_but_of_the_set_s_version() {
    let [without, with] = ["", "suppress: {for: 1h}"].map(|head| rule(head, HOP));
    assert_eq!(without.rules()[0].fingerprint, with.rules()[0].fingerprint);
    assert_ne!(without.version(), with.version());
}
