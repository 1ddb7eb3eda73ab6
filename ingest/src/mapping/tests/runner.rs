//! The tests that mapping files hold.

use super::*;

fn failures(tests: &str) -> Vec<String> {
    let yaml = format!("{HEAD}attributes: {{src_endpoint.ip: srcip, duration: {{from: d, unit: s}}}}\ntests:\n{tests}");
    mappings(&yaml).run_own_tests().iter().map(ToString::to_string).collect()
}

#[test]
fn what_must_come_out_is_compared_and_told_with_its_place() {
    let right = "  - log: wall=1 srcip=192.0.2.1 d=3 more=x\n    expect: {class: network_activity, src_endpoint.ip: 192.0.2.1, duration: \"3000\", unmapped.more: x, status: '-'}\n";
    assert_eq!(failures(right), [""; 0]);
    let wrong = "  - log: wall=1 srcip=192.0.2.1\n    expect:\n      class: dns_activity\n      src_endpoint.ip: 192.0.2.9\n      dst_endpoint.ip: x\n";
    let want = [
        "own.yaml:13:7: wall: class is \"network_activity\", not \"dns_activity\"",
        "own.yaml:14:7: wall: src_endpoint.ip is \"192.0.2.1\", not \"192.0.2.9\"",
        "own.yaml:15:7: wall: dst_endpoint.ip is \"-\", not \"x\"",
    ];
    assert_eq!(failures(wrong), want);
}

#[test]
fn a_dead_letter_may_be_what_must_come_out() {
    let yaml = HEAD.replace("time: received", "time: at");
    let run = |expect: &str| {
        let yaml = format!("{yaml}tests:\n  - log: wall=1 at=never\n    expect: {{{expect}}}\n");
        mappings(&yaml).run_own_tests().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(run("dead_letter: invalid_time"), [""; 0]);
    assert_eq!(run("class: network_activity"), ["own.yaml:10:5: wall: a dead letter: invalid_time"]);
}

#[test]
fn tests_are_checked_when_they_are_read() {
    for (tests, want) in [
        ("  - {lgo: x, expect: {a: b}}\n", "unknown key lgo; a test has log and expect"),
        ("  - {log: x}\n", "expect: is missing"),
        ("  - {log: x, expect: y}\n", "expect: is a map of attributes"),
    ] {
        let yaml = format!("{HEAD}tests:\n{tests}");
        let errors = Mappings::only(&[("own.yaml", &yaml)]).expect_err(tests);
        assert!(errors[0].to_string().ends_with(want), "{errors:?}");
    }
}

#[test]
fn own_mappings_and_tests_are_counted() {
    let yaml = format!("{HEAD}tests:\n  - {{log: wall=1, expect: {{}}}}\n  - {{log: wall=2, expect: {{}}}}\n");
    assert_eq!(mappings(&yaml).own().collect::<Vec<_>>(), [("wall", 2)]);
    assert_eq!(Mappings::builtin().own().count(), 0);
}
