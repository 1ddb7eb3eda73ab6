use crate::decode::tests::{at, check, decode_all, reason_of, row_of, threat, traffic};
use dataflow::Reason;
use serde_json::{Value, json};

use super::*;

/// A Strata Logging Service document with what every one has, and some members.
fn strata(log_type: &str, members: &str) -> String {
    let head = r#""DeviceSN":"0011","TimeReceived":"2026-11-20T10:00:02Z","TimeGenerated":"2026-11-20T10:00:00Z""#;
    format!("{{{head},\"LogType\":\"{log_type}\",{members}}}")
}

#[test]
fn field_tables_have_the_columns_that_the_vendor_documents() {
    let names = |text: &'static str| -> Vec<&str> {
        let lines = text.lines().filter(|l| !l.starts_with('#'));
        lines.filter_map(|l| l.split_ascii_whitespace().next()).filter(|c| *c != "-").collect()
    };
    let traffic = names(include_str!("traffic.fields"));
    let threat = names(include_str!("threat.fields"));
    let url = names(include_str!("url.fields"));
    assert_eq!((traffic.len(), threat.len(), url.len()), (130, 123, 123));
    for (place, name) in [(54, "action_source"), (61, "tunnel_type"), (75, "dynamic_user_group_name")] {
        assert_eq!(traffic[place - 1], name);
    }
    for (place, name) in [(103, "high_resolution_timestamp"), (115, "offloaded"), (117, "cluster_name")] {
        assert_eq!(traffic[place - 1], name);
    }
    assert_eq!((threat[121], threat[122]), ("flow_type", "cluster_name"));
    assert_eq!((url[121], url[122]), ("cluster_name", "flow_type"));
    assert_eq!(&threat[..120], &names(include_str!("threat.fields"))[..120]);
    assert_eq!(names(include_str!("other.fields")).len(), other::LEAST_COLUMNS);
}

#[test]
fn further_log_types_have_as_many_columns_as_the_vendor_documents() {
    for ((file, text), columns, places) in [
        (field_file!("auth"), 47, [(21, "event_type"), (32, "authentication_protocol"), (46, "session_id")]),
        (field_file!("userid"), 37, [(10, "user"), (32, "user_by_source"), (35, "origin_data_source")]),
        (field_file!("hipmatch"), 32, [(15, "hip_type"), (28, "host_id"), (31, "high_resolution_timestamp")]),
        (field_file!("iptag"), 27, [(9, "source_ip"), (13, "timeout"), (25, "virtual_system_id")]),
        (
            field_file!("decryption"),
            107,
            [(37, "uuid_for_rule"), (64, "server_name_indication"), (90, "sequence_number")],
        ),
        (field_file!("tunnel"), 84, [(32, "severity"), (49, "bytes_sent"), (72, "high_resolution_timestamp")]),
        (field_file!("sctp"), 65, [(32, "action"), (43, "severity"), (61, "packets")]),
        (field_file!("gtp"), 94, [(42, "severity"), (59, "tunnel_id_imsi"), (77, "start_time")]),
        (field_file!("correlation"), 22, [(9, "source_user"), (12, "severity"), (22, "evidence")]),
        (field_file!("audit"), 8, [(1, "serial_number"), (3, "threat_content_type"), (8, "severity")]),
    ] {
        let lines = text.lines().filter(|l| !l.starts_with('#'));
        let names: Vec<&str> = lines.filter_map(|l| l.split_ascii_whitespace().next()).filter(|c| *c != "-").collect();
        assert_eq!(names.len(), columns, "{file}");
        for (place, name) in places {
            assert_eq!(names[place - 1], name, "{file}");
        }
    }
}

#[test]
fn traffic_is_network_activity() {
    let row = row_of(&format!("<14>Nov 20 10:00:01 fw-1 {}", traffic(&[])));
    check(
        &row,
        &[
            ("class_uid", "4001"),
            ("type_uid", "400102"),
            ("type_name", "\"Network Activity: Close\""),
            ("severity_id", "1"),
            ("time_dt", "\"2026-11-20T10:00:00.000000Z\""),
            ("start_time_dt", "\"2026-11-20T09:59:30.000000Z\""),
            ("end_time_dt", "\"2026-11-20T10:00:00.000000Z\""),
            ("duration", "29000"),
            ("count", "1"),
            ("status_detail", "\"tcp-fin\""),
            ("metadata.original_time", "\"2026/11/20 10:00:00\""),
            ("metadata.logged_time_dt", "\"2026-11-20T10:00:01.000000Z\""),
            ("metadata.product", r#"{"name":"PAN-OS","vendor_name":"Palo Alto Networks","version":"11.1"}"#),
            ("metadata.log_name", "\"TRAFFIC\""),
            ("metadata.event_code", "\"end\""),
            ("metadata.sequence", "77"),
            ("metadata.profiles", r#"["host","security_control","datetime"]"#),
            ("device", r#"{"uid":"001122334455","hostname":"fw-1","type_id":9,"type":"Firewall"}"#),
            ("src_endpoint.ip", "\"10.1.2.3\""),
            ("src_endpoint.port", "51000"),
            ("src_endpoint.location", r#"{"country":"US"}"#),
            ("src_endpoint.proxy_endpoint", r#"{"ip":"203.0.113.9","port":40000}"#),
            ("dst_endpoint.proxy_endpoint", "null"),
            ("dst_endpoint.location", "null"),
            ("unmapped.destination_country", "\"United States\""),
            ("actor.user", r#"{"name":"ann","domain":"corp"}"#),
            ("action", "\"Allowed\""),
            ("disposition_id", "1"),
            ("unmapped.action", "null"),
            ("connection_info.protocol_num", "6"),
            ("connection_info.direction_id", "0"),
            (
                "traffic",
                r#"{"bytes":1500,"bytes_in":1000,"bytes_out":500,"packets":12,"packets_in":7,"packets_out":5}"#,
            ),
        ],
    );
}

#[test]
fn activities_of_traffic() {
    for (subtype, activity) in
        [("start", "Open"), ("end", "Close"), ("drop", "Refuse"), ("deny", "Refuse"), ("odd", "Other")]
    {
        let row = row_of(&traffic(&[(5, subtype)]));
        assert_eq!(row["activity_name"], activity, "{subtype}");
        assert_eq!(row["end_time"].is_null(), subtype != "end", "{subtype}");
        assert_eq!(at(&row, "metadata.event_code"), subtype);
    }
    assert_eq!(row_of(&traffic(&[(5, "")]))["activity_name"], "Unknown");
}

#[test]
fn values_that_do_not_fit_stay_in_unmapped() {
    for (column, value, name, path) in [
        (8, "10.1.2.300", "source_address", "src_endpoint.ip"),
        (10, "somewhere", "nat_source_ip", "src_endpoint.proxy_endpoint"),
        (24, "often", "repeat_count", "count"),
        (25, "65536", "source_port", "src_endpoint.port"),
        (26, "-1", "destination_port", "dst_endpoint.port"),
        (32, "1.5", "bytes", "traffic.bytes"),
        (36, "then", "start_time", "start_time"),
        (36, "9999/01/01 00:00:00", "start_time", "start_time"),
        (37, "long", "elapsed_time", "duration"),
        (40, "18446744073709551615", "sequence_number", "metadata.sequence"),
        (6, "1210", "future_use_2", "metadata.product.version"),
        (2, "20:00", "receive_time", "metadata.logged_time"),
    ] {
        let row = row_of(&traffic(&[(column, value)]));
        assert_eq!(at(&row, &format!("unmapped.{name}")), value, "{name}");
        assert!(at(&row, path).is_null(), "{path} of {row}");
    }
}

#[test]
fn a_translation_to_nothing_is_none() {
    let row = row_of(&traffic(&[(10, "::"), (11, "0.0.0.0"), (27, "0"), (28, "0")]));
    check(&row, &[("src_endpoint.proxy_endpoint", "null"), ("dst_endpoint.proxy_endpoint", "null")]);
    check(&row, &[("unmapped.nat_source_ip", "null"), ("unmapped.nat_source_port", "null")]);
}

#[test]
fn an_object_without_what_makes_it_valid_is_not_begun() {
    // A port and a zone, but nothing that names the endpoint; a translated port without its address.
    let row = row_of(&traffic(&[(8, ""), (19, ""), (10, ""), (3, "")]));
    check(
        &row,
        &[
            ("src_endpoint", "null"),
            ("unmapped.source_port", "\"51000\""),
            ("unmapped.source_zone", "\"trust\""),
            ("unmapped.source_country", "\"US\""),
            ("unmapped.nat_source_port", "\"40000\""),
            ("device", "null"),
            ("dst_endpoint.port", "443"),
        ],
    );
    assert_eq!(reason_of(&traffic(&[(8, "x"), (9, "y"), (19, ""), (20, "")])), Reason::InvalidValue);
}

#[test]
fn addresses_and_users_in_their_other_forms() {
    let row = row_of(&traffic(&[
        (8, "2001:DB8::1"),
        (9, "::ffff:198.51.100.7"),
        (13, "ann@corp.example"),
        (14, r"corp\bob"),
    ]));
    check(
        &row,
        &[
            ("src_endpoint.ip", "\"2001:db8::1\""),
            ("dst_endpoint.ip", "\"198.51.100.7\""),
            ("actor.user", r#"{"name":"ann@corp.example"}"#),
            ("dst_endpoint.owner.name", r#""corp\\bob""#),
        ],
    );
}

#[test]
fn the_best_time_is_the_event_time() {
    let high = "2026-11-20T02:00:00.123-08:00";
    for (changes, time, kept) in [
        (vec![(103, high)], "2026-11-20T10:00:00.123000Z", json!({})),
        (
            vec![(103, high), (7, "2026/11/20 09:00:00")],
            "2026-11-20T10:00:00.123000Z",
            json!({"generated_time": "2026/11/20 09:00:00"}),
        ),
        (vec![(103, "soon")], "2026-11-20T10:00:00.000000Z", json!({"high_resolution_timestamp": "soon"})),
        (vec![(7, "")], "2026-11-20T10:00:01.000000Z", json!({})),
        (
            vec![(7, "2026/11/31 10:00:00")],
            "2026-11-20T10:00:01.000000Z",
            json!({"generated_time": "2026/11/31 10:00:00"}),
        ),
    ] {
        let row = row_of(&traffic(&changes));
        assert_eq!(row["time_dt"], time, "{changes:?}");
        for name in ["high_resolution_timestamp", "generated_time"] {
            assert_eq!(at(&row, &format!("unmapped.{name}")), &kept[name], "{changes:?}");
        }
    }
    assert_eq!(reason_of(&traffic(&[(2, "10:00"), (7, "x")])), Reason::InvalidTime);
    assert_eq!(reason_of(&traffic(&[(7, "2262/01/01 00:00:00")])), Reason::TimeOutOfRange);
    assert_eq!(reason_of(&traffic(&[(7, "1969/12/31 23:59:59")])), Reason::TimeOutOfRange);
}

#[test]
fn packed_versions_are_major_and_minor() {
    for (packed, version) in [
        ("2049", "8.1"),
        ("2304", "9.0"),
        ("2562", "10.2"),
        ("2817", "11.1"),
        ("3074", "12.2"),
        ("2921", "11.105"),
        ("25610", "100.10"),
        ("65535", "255.255"),
        ("11.1", "11.1"),
    ] {
        let row = row_of(&traffic(&[(6, packed)]));
        assert_eq!(at(&row, "metadata.product.version"), version, "{packed}");
    }
}

#[test]
fn a_clock_that_runs_ahead_is_labelled() {
    for (time, suspect) in [("2026/11/20 10:05:00", false), ("2026/11/20 10:05:01", true)] {
        let row = row_of(&traffic(&[(7, time)]));
        let labels = if suspect { json!(["time_suspect"]) } else { Value::Null };
        assert_eq!(at(&row, "metadata.labels"), &labels, "{time}");
    }
}

#[test]
fn a_longer_line_keeps_its_tail() {
    let row = row_of(&traffic(&[(130, "rtt"), (131, "new"), (133, "newer \"x\"")]));
    check(
        &row,
        &[
            ("unmapped.destination_adv_devid", "\"rtt\""),
            ("unmapped.column_131", "\"new\""),
            ("unmapped.column_132", "null"),
            ("unmapped.column_133", r#""newer \"x\"""#),
        ],
    );
}

#[test]
fn a_line_is_decoded_from_its_action_on() {
    let line = traffic(&[]);
    let columns: Vec<&str> = line.split(',').collect();
    assert_eq!(reason_of(&columns[..30].join(",")), Reason::MissingField);
    assert_eq!(row_of(&columns[..31].join(","))["action"], "Allowed");
    let line = threat(&[]);
    let columns: Vec<&str> = line.split(',').collect();
    assert_eq!(reason_of(&columns[..34].join(",")), Reason::MissingField);
    assert_eq!(row_of(&columns[..35].join(","))["severity"], "Medium");
}

#[test]
fn every_release_is_a_prefix() {
    let line = traffic(&[(53, "fw-7"), (66, "uuid"), (84, "001b44113ab7"), (110, "\"a,b\""), (130, "last")]);
    let mut columns: Vec<&str> = line.split(',').collect();
    // The quoted value holds a comma of its own.
    let quoted = columns.splice(109..111, ["\"a,b\""]).collect::<Vec<_>>();
    assert_eq!(quoted, ["\"a", "b\""]);
    for cut in [54, 61, 65, 75, 103, 115, 117, 130] {
        let row = row_of(&columns[..cut].join(","));
        assert_eq!(at(&row, "device.name"), "fw-7", "{cut}");
        assert_eq!(at(&row, "firewall_rule.uid").is_null(), cut < 66, "{cut}");
        assert_eq!(at(&row, "src_endpoint.mac").is_null(), cut < 84, "{cut}");
        assert_eq!(at(&row, "unmapped.application_characteristic").is_null(), cut < 110, "{cut}");
    }
}

#[test]
fn url_logs_are_http_activity() {
    let url = [
        (5, "url"),
        (30, "tcp"),
        (31, "block-url"),
        (32, "www.example.com:8080/a/b?q=1"),
        (33, "(9999)"),
        (34, "news"),
        (35, "informational"),
        (47, "curl/8"),
        (49, "192.0.2.4"),
        (50, "https://ref.example/"),
        (64, "get"),
    ];
    let row = row_of(&threat(&url));
    check(
        &row,
        &[
            ("class_uid", "4002"),
            ("type_uid", "400203"),
            ("activity_name", "\"Get\""),
            ("action", "\"Denied\""),
            ("disposition", "\"Blocked\""),
            ("unmapped.action", "\"block-url\""),
            ("unmapped.threat_id", "\"(9999)\""),
            ("http_request.http_method", "\"GET\""),
            ("http_request.user_agent", "\"curl/8\""),
            ("http_request.referrer", "\"https://ref.example/\""),
            ("http_request.x_forwarded_for", "[\"192.0.2.4\"]"),
            ("http_request.url.url_string", "\"www.example.com:8080/a/b?q=1\""),
            ("http_request.url.hostname", "\"www.example.com\""),
            ("http_request.url.port", "8080"),
            ("http_request.url.path", "\"/a/b\""),
            ("http_request.url.query_string", "\"q=1\""),
            ("http_request.url.categories", "[\"news\"]"),
        ],
    );
    assert_eq!(reason_of(&threat(&[(5, "url"), (32, "")])), Reason::MissingField);
}

#[test]
fn methods_that_are_none_and_lists_that_are_of_something_else() {
    let row = row_of(&threat(&[(5, "url"), (64, "unknown"), (49, "\"192.0.2.4, proxy\"")]));
    check(
        &row,
        &[
            ("activity_name", "\"Other\""),
            ("http_request.http_method", "null"),
            ("unmapped.http_method", "\"unknown\""),
            ("http_request.x_forwarded_for", "null"),
            ("unmapped.x_forwarded_for", "\"192.0.2.4, proxy\""),
        ],
    );
    assert_eq!(row_of(&threat(&[(5, "url")]))["activity_name"], "Unknown");
}

#[test]
fn categories_stand_once() {
    for (members, want) in [
        (r#""URLCategory":"news","URLCategoryList":"news,low-risk""#, json!(["news", "low-risk"])),
        (r#""URLCategoryList":" a ,b,","URLCategory":"c""#, json!(["c", "a", "b"])),
        (r#""URLCategoryList":"""#, Value::Null),
    ] {
        let row =
            row_of(&strata("THREAT", &format!(r#""SubType":"url","URL":"a/","SourceAddress":"10.0.0.1",{members}"#)));
        assert_eq!(at(&row, "http_request.url.categories"), &want, "{members}");
    }
}

#[test]
fn threats_are_findings() {
    let row = row_of(&threat(&[]));
    check(
        &row,
        &[
            ("class_uid", "2004"),
            ("activity_name", "\"Create\""),
            ("severity", "\"Medium\""),
            ("is_alert", "true"),
            ("action", "\"Denied\""),
            ("unmapped.action", "\"sinkhole\""),
            ("finding_info.uid", "\"001122334455:78\""),
            ("finding_info.title", "\"Suspicious Domain\""),
            ("finding_info.types", "[\"spyware\"]"),
            ("finding_info.created_time_dt", "\"2026-11-20T10:00:00.000000Z\""),
            (
                "finding_info.analytic",
                r#"{"uid":"12000001","name":"Suspicious Domain","type_id":1,"type":"Rule","category":"dns"}"#,
            ),
            ("evidences[0].src_endpoint", r#"{"ip":"10.1.2.3","port":51000,"zone":"trust"}"#),
            ("evidences[0].dst_endpoint", r#"{"ip":"198.51.100.7","port":53,"zone":"untrust"}"#),
            ("evidences[0].actor.user", r#"{"name":"ann","domain":"corp"}"#),
            ("evidences[0].connection_info.protocol_num", "17"),
            ("evidences[0].url", "null"),
            ("unmapped.url_filename", "\"bad.example\""),
            ("device.name", "\"fw-1\""),
        ],
    );
}

#[test]
fn hot_columns_of_a_finding_equal_its_evidence() {
    use arrow::array::AsArray;
    let line = threat(&[]);
    let mut decoder = crate::decode::AutoDecoder::new(Default::default());
    let (mut rows, mut dead) = (dataflow::BatchBuilder::new(), dataflow::DeadLetters::new());
    let chunk = crate::decode::tests::chunk_of(0, [line.as_bytes()]);
    dataflow::Decoder::decode(&mut decoder, &chunk, &mut rows, &mut dead);
    let batch = &rows.finish()[0].rows;
    let text = |name| batch.column_by_name(name).expect("a hot column").as_string::<i32>().value(0);
    assert_eq!((text("src_ip"), text("dst_ip"), text("user_name")), ("10.1.2.3", "198.51.100.7", "ann"));
    let port = batch.column_by_name("dst_port").expect("a hot column");
    assert_eq!(port.as_primitive::<arrow::datatypes::Int32Type>().value(0), 53);
}

#[test]
fn names_and_numbers_of_threats() {
    for (field, name, number, title) in [
        ("Overflow (x)(123)", json!("Overflow (x)"), json!("123"), json!("Overflow (x)")),
        ("(8501)", Value::Null, json!("8501"), json!("8501")),
        ("60001", Value::Null, json!("60001"), json!("60001")),
        ("unnamed", json!("unnamed"), Value::Null, json!("unnamed")),
        ("name(x)", json!("name(x)"), Value::Null, json!("name(x)")),
        ("", Value::Null, Value::Null, Value::Null),
    ] {
        let row = row_of(&threat(&[(33, field), (70, "")]));
        let found = ["analytic.name", "analytic.uid", "title"].map(|p| at(&row, &format!("finding_info.{p}")).clone());
        assert_eq!(found, [name, number, title], "{field}");
    }
    let row =
        row_of(&strata("THREAT", r#""SourceAddress":"10.0.0.1","ThreatID":9999,"ThreatNameFirewall":"Overflow""#));
    check(&row, &[("finding_info.analytic.uid", "\"9999\""), ("finding_info.title", "\"Overflow\"")]);
}

#[test]
fn a_finding_without_a_sequence_number_is_named_by_its_place() {
    for changes in [vec![(37, "0")], vec![(3, "")]] {
        let row = row_of(&threat(&changes));
        assert_eq!(at(&row, "finding_info.uid"), "t@i/0/0/0", "{changes:?}");
    }
}

#[test]
fn subtype_data_has_its_tail_the_other_way_round() {
    for (subtype, name) in [("data", "cluster_name"), ("spyware", "flow_type")] {
        let row = row_of(&threat(&[(5, subtype), (122, "x")]));
        assert_eq!(at(&row, &format!("unmapped.{name}")), "x", "{subtype}");
    }
}

#[test]
fn severities_that_are_none_are_kept() {
    let row = row_of(&threat(&[(35, "grave")]));
    check(&row, &[("severity", "\"Unknown\""), ("severity_id", "0"), ("unmapped.severity", "\"grave\"")]);
    assert_eq!(row_of(&threat(&[(35, "CRITICAL")]))["severity_id"], 5);
}

#[test]
fn a_threat_document_may_name_its_severity_otherwise() {
    for (fields, id, unmapped) in [
        (r#""Severity":"High""#, "4", "null"),
        (r#""Severity":"High","VendorSeverity":"Low""#, "2", r#"{"Severity":"High"}"#),
        (r#""VendorSeverity":"Low","Severity":5"#, "2", r#"{"Severity":5}"#),
        (r#""Severity":5"#, "0", r#"{"Severity":5}"#),
    ] {
        let row = row_of(&strata("THREAT", &format!(r#""SourceAddress":"10.0.0.1",{fields}"#)));
        check(&row, &[("severity_id", id), ("unmapped", unmapped)]);
    }
}

#[test]
fn unheard_log_types_are_base_events() {
    let line = "<14>Nov 20 10:00:01 fw-1 1,2026/11/20 10:00:01,0011,DNS,vpn,2817,2026/11/20 10:00:00,,x,\"a, b\"";
    let row = row_of(line);
    check(
        &row,
        &[
            ("class_uid", "0"),
            ("time_dt", "\"2026-11-20T10:00:00.000000Z\""),
            ("metadata.log_name", "\"DNS\""),
            ("metadata.event_code", "\"vpn\""),
            ("device", r#"{"uid":"0011","hostname":"fw-1","type_id":9,"type":"Firewall"}"#),
            ("unmapped", r#"{"future_use":"1"}"#),
        ],
    );
    assert_eq!(row["raw_data"], line);
    let config = crate::decode::DecodeConfig { raw_data: crate::decode::RawData::Never, ..Default::default() };
    let bare = decode_all(config, &[line.as_bytes()]);
    assert!(bare.rows[0].3.contains(r#""unmapped":{"future_use":"1","column_9":"x","column_10":"a, b"}"#), "{bare:?}");
    let row = row_of(&strata("DNS", r#""DNSCategory":"dga","VirtualSystemID":0,"DNSResolverIP":null"#));
    check(
        &row,
        &[("class_uid", "0"), ("unmapped", r#"{"DNSCategory":"dga","VirtualSystemID":0}"#), ("raw_data", "null")],
    );
}

#[test]
fn system_logs_are_base_events_with_all_their_columns() {
    let line = "1,2026/11/20 10:00:01,0011,SYSTEM,vpn,2817,2026/11/20 10:00:00,,ike-start,peer,0,0,general,high,\"IKE, phase 1\",\
        9,0x0,0,0,0,0,,fw-1,0,0,2026-11-20T10:00:00.25+00:00";
    let row = row_of(line);
    check(
        &row,
        &[
            ("class_uid", "0"),
            ("time_dt", "\"2026-11-20T10:00:00.250000Z\""),
            ("severity", "\"High\""),
            ("message", "\"IKE, phase 1\""),
            ("metadata.sequence", "9"),
            ("metadata.event_code", "\"vpn\""),
            ("unmapped.event_id", "\"ike-start\""),
            ("device", r#"{"uid":"0011","name":"fw-1","type_id":9,"type":"Firewall"}"#),
        ],
    );
    assert_eq!(row["raw_data"], line);
}

#[test]
fn strata_documents_fill_the_same_columns() {
    let row = row_of(&strata(
        "TRAFFIC",
        r#""Subtype":"start","SourceAddress":"10.0.0.1","SourcePort":51000,"NATSourcePort":0,"BytesSent":5,"SessionID":77,
           "ConfigVersion":"10.1","SourceUser":"ann","SourceUserDomain":"corp","IsPhishing":false,"Odd":1.10,"Big":1e999,
           "TimeGeneratedHighResolution":"2026-11-20T10:00:00.5Z","Nested":{"a":[1.0]}"#,
    )
    .replace(",\"Big\":1e999", ""));
    check(
        &row,
        &[
            ("activity_name", "\"Open\""),
            ("time_dt", "\"2026-11-20T10:00:00.500000Z\""),
            ("src_endpoint", r#"{"ip":"10.0.0.1","port":51000}"#),
            ("traffic", r#"{"bytes_out":5}"#),
            ("connection_info.uid", "\"77\""),
            ("metadata.product.version", "\"10.1\""),
            ("actor.user", r#"{"name":"ann","domain":"corp"}"#),
            ("unmapped", r#"{"IsPhishing":false,"Odd":1.1,"Nested":{"a":[1.0]}}"#),
        ],
    );
}

#[test]
fn a_domain_that_contradicts_the_user_is_kept() {
    for (user, want) in [(r"corp\\ann", "other"), ("", "other")] {
        let members = format!(r#""SourceAddress":"10.0.0.1","SourceUser":"{user}","SourceUserDomain":"other""#);
        let row = row_of(&strata("TRAFFIC", &members));
        assert_eq!(at(&row, "unmapped.SourceUserDomain"), want, "{user}");
    }
}
