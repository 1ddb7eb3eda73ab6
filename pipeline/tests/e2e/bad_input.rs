//! Bad input gets a dead letter or an error that names the place; nothing crashes and nothing is lost.

use serde_json::Value;

use crate::kit::{output, palisade, run_to_end, sql, with_input};

/// Lines that cannot be decoded, and why.
fn poison() -> Vec<(Vec<u8>, &'static str)> {
    let traffic = |generated: &str| {
        let head =
            format!("1,{generated},007,TRAFFIC,end,2561,{generated},10.0.0.1,198.18.0.1,0.0.0.0,0.0.0.0,r,,,ssl,");
        let tail = "vsys1,trust,untrust,e1,e2,fwd,,1,1,1234,443,0,0,0x0,tcp,allow,10,5,5,2,,1,any,,1,0x0,,,,1,1";
        format!("{head}{tail}").into_bytes()
    };
    let mut invalid = traffic("2026/01/05 08:00:00");
    invalid[60] = 0xff;
    let deep = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    vec![
        (br#"{"LogType":"TRAFFIC","SourceAddress":"10.0.0.1","#.to_vec(), "invalid_json"),
        (invalid, "invalid_utf8"),
        (vec![b'x'; 16 << 20], "too_long"),
        (deep.into_bytes(), "too_deep"),
        (b"1,2026/01/05 08:00:00,007,TRAFFIC,end,2561".to_vec(), "missing_field"),
        (traffic("0000/00/00 00:00:00"), "invalid_time"),
        (traffic("9999/01/01 00:00:00"), "time_out_of_range"),
        (b"".to_vec(), "empty"),
    ]
}

fn poisoned_input() -> Vec<u8> {
    poison().into_iter().flat_map(|(line, _)| [line, b"\n".to_vec()].concat()).collect()
}

#[test]
fn decode_reports_each_bad_line_with_its_reason() {
    let out = with_input(palisade().arg("decode"), &poisoned_input());
    assert_eq!(out.status.code(), Some(0));
    assert!(out.stdout.is_empty(), "{}", String::from_utf8_lossy(&out.stdout));
    let text = String::from_utf8_lossy(&out.stderr);
    let reported: Vec<&str> = text.lines().collect();
    for (i, (_, reason)) in poison().iter().enumerate() {
        assert!(reported[i].starts_with(&format!("line {}: {reason}: ", i + 1)), "{}", reported[i]);
    }
    assert_eq!(reported.len(), poison().len() + 1, "and a line that counts them");
}

#[test]
fn decode_is_strict_on_request_and_refuses_what_it_does_not_know() {
    assert_eq!(with_input(palisade().args(["decode", "--strict"]), b"{\n").status.code(), Some(3));
    assert_eq!(with_input(palisade().args(["decode", "--strict"]), b"a line\n").status.code(), Some(0));
    let out = with_input(palisade().args(["decode", "--format", "panos-cvs"]), b"");
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.code() == Some(2) && text.contains("panos-csv"), "{text}");
}

/// The fields are none that a version has in that order: without the first line nobody could tell which is which.
#[test]
fn a_flow_log_is_read_by_the_fields_that_its_first_line_names() {
    let record = "ACCEPT 1795168800 198.51.100.7 443 10.0.0.1 51000 1795168740";
    let log = format!("action end dstaddr dstport srcaddr srcport start\r\n{record}\n");
    let out = with_input(palisade().arg("decode"), log.as_bytes());
    let row: Value = serde_json::from_slice(&out.stdout).expect("one row of JSON");
    assert_eq!((&row["class_uid"], &row["src_endpoint"]["ip"]), (&4001.into(), &"10.0.0.1".into()), "{row}");
    assert_eq!((&row["dst_endpoint"]["port"], &row["time"]), (&443.into(), &1_795_168_800_000_i64.into()), "{row}");
    let told = String::from_utf8_lossy(&out.stderr);
    assert!(told.starts_with("line 1: header: \n"), "{told}");
    let alone = with_input(palisade().arg("decode"), record.as_bytes());
    let row: Value = serde_json::from_slice(&alone.stdout).expect("one row of JSON");
    assert_eq!(row["class_uid"], 0, "{row}");
}

#[test]
fn wrapped_lines_are_answered_in_order() {
    let good = r#"{"id":"a","raw":"{\"eventVersion\":\"1.08\",\"eventTime\":\"2026-01-05T08:00:00Z\",\"eventSource\":\"s3.amazonaws.com\",\"eventName\":\"GetObject\",\"awsRegion\":\"us-east-1\",\"sourceIPAddress\":\"198.18.0.1\",\"userIdentity\":{\"type\":\"Root\",\"accountId\":\"1\"},\"requestID\":\"r\",\"eventID\":\"e\",\"eventType\":\"AwsApiCall\"}"}"#;
    let input =
        format!("{good}\n{{\"id\":2,\"raw\":\"{{\"}}\nnot a wrapper\n{}\n", good.replace("\"a\"", "[1,{\"x\":null}]"));
    let out = with_input(palisade().args(["decode", "--wrapped"]), input.as_bytes());
    let text = String::from_utf8(out.stdout).expect("UTF-8");
    let answers: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    assert_eq!(answers.len(), 4);
    assert_eq!((&answers[0]["id"], &answers[0]["events"][0]["class_uid"]), (&"a".into(), &6003.into()));
    assert_eq!((&answers[1]["id"], &answers[1]["error"]["reason"]), (&2.into(), &"invalid_json".into()));
    assert!(answers[1]["error"]["detail"].as_str().is_some_and(|d| !d.is_empty()));
    assert_eq!(answers[2]["error"]["reason"], "invalid_wrapper");
    assert_eq!(answers[3]["id"].to_string(), r#"[1,{"x":null}]"#);
}

#[test]
fn a_run_keeps_every_bad_line_with_its_reason() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let config = dir.path().join("palisade.yaml");
    std::fs::write(dir.path().join("poison.log"), poisoned_input()).expect("a file");
    std::fs::write(&config, "warehouse: {path: w}\nsources: [{files: {paths: [poison.log]}}]\n").expect("a file");
    let summary = run_to_end(&config);
    let lines = poison().len();
    assert_eq!((&summary["records_read"], &summary["dead_letters"]), (&lines.into(), &lines.into()), "{summary}");
    let query = "SELECT _offset & 4294967295 AS line, reason, raw_size FROM dead_letter ORDER BY 1";
    for (row, (line, (raw, reason))) in sql(&dir.path().join("w"), query).iter().zip(poison().iter().enumerate()) {
        assert_eq!((&row["line"], &row["reason"]), (&line.into(), &(*reason).into()), "{row}");
        assert_eq!(row["raw_size"], raw.len(), "{row}");
    }
}

#[test]
fn a_bad_configuration_is_refused_with_its_place() {
    let cases: [(&str, &str); 7] = [
        (
            "warehouse: {path: w}\nsources:\n  - files: {pahts: [x]}\n",
            "palisade.yaml:3:13: unknown key `pahts`; did you mean `paths`?",
        ),
        ("warehouse: {path: w}\nsources: []\n", "palisade.yaml: sources: at least one is needed"),
        (
            "warehouse: {path: w}\nsources: [{files: {paths: [x]}}]\nworker: {flush_interval: 5 parsecs}\n",
            "palisade.yaml:3:",
        ),
        (
            "warehouse: {path: w}\nsources: [{files: {paths: [x]}, generator: {seed: 1, events: 1, duration: 1s}}]\n",
            "exactly one of `files`, `kafka` and `generator`",
        ),
        ("warehouse: {path: w}\nsources: [{name: ../x, files: {paths: [x]}}]\n", "sources[0].name: `../x`"),
        ("warehouse: [", "palisade.yaml:1:"),
        ("warehouse: {path: w}\nsources: [{files: {paths: [nothing-here-*.log]}}]\n", "nothing-here-*.log"),
    ];
    for (yaml, want) in cases {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let config = dir.path().join("palisade.yaml");
        std::fs::write(&config, yaml).expect("a file");
        let out = output(palisade().args(["run", "--until-end", "-c"]).arg(&config));
        let text = String::from_utf8_lossy(&out.stderr);
        assert!(!out.status.success() && text.contains(want), "{yaml}\nwanted {want}\ngot {text}");
    }
}
