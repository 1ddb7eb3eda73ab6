use crate::decode::tests::{check, reason_of, row_of};
use dataflow::Reason;

fn line(address: &str, object: &str, id: &str) -> String {
    format!(
        "1,2026/11/20 10:00:01,0011,CORRELATION,,,2026/11/20 10:00:00,{address},corp\\ann,,compromised-host,medium,\
         0,0,0,0,,fw-1,1,{object},{id},\"Asked for a bad URL, twice.\""
    )
}

#[test]
fn a_correlated_event_is_a_finding() {
    check(
        &row_of(&line("10.0.0.1", "beacon-heuristics", "6005")),
        &[
            ("class_uid", "2004"),
            ("activity_name", "\"Create\""),
            ("severity", "\"Medium\""),
            ("finding_info.uid", "\"t@i/0/0/0\""),
            ("finding_info.title", "\"beacon-heuristics\""),
            ("finding_info.types", "[\"compromised-host\"]"),
            ("finding_info.desc", "\"Asked for a bad URL, twice.\""),
            ("finding_info.analytic", r#"{"uid":"6005","name":"beacon-heuristics","type_id":1,"type":"Rule"}"#),
            ("evidences", r#"[{"src_endpoint":{"ip":"10.0.0.1"},"actor":{"user":{"name":"ann","domain":"corp"}}}]"#),
            ("metadata.profiles", r#"["host","datetime"]"#),
            ("action", "null"),
        ],
    );
}

#[test]
fn either_name_or_number_is_a_title() {
    check(&row_of(&line("10.0.0.1", "", "6005")), &[("finding_info.title", "\"6005\"")]);
    check(&row_of(&line("10.0.0.1", "beacon", "")), &[("finding_info.title", "\"beacon\"")]);
    check(&row_of(&line("10.0.0.1", "", "")), &[("finding_info.title", "null"), ("finding_info.analytic", "null")]);
    assert_eq!(reason_of(&line("nowhere", "beacon", "1")), Reason::InvalidValue);
}
