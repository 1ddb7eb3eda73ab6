use serde_json::{Value, json};

use super::*;
use crate::decode::tests::{at, check, chunk_of, decode_all, decode_chunks, reason_of, row_of};
use crate::decode::{DecodeConfig, Format, VpcFlowConfig};

const FLOW: &str = "2 111122223333 eni-0a1b 10.0.1.5 198.51.100.7 49152 443 6 10 840 1795168740 1795168800 ACCEPT OK";
const HEADER: &str = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status";

/// The default format's line with some values (from 0) replaced.
fn flow(changes: &[(usize, &str)]) -> String {
    let mut values: Vec<&str> = FLOW.split(' ').collect();
    changes.iter().for_each(|(at, value)| values[*at] = value);
    values.join(" ")
}

fn config(format: Format, fields: &str) -> DecodeConfig {
    let fields = fields.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>().try_into().expect("fields");
    DecodeConfig { format, vpc_flow: VpcFlowConfig { fields }, ..DecodeConfig::default() }
}

/// The one row of a record with these fields.
fn row_with(fields: &str, record: &str) -> Value {
    let decoded = decode_all(config(Format::VpcFlow, fields), &[record.as_bytes()]);
    let [(.., json)] = decoded.rows.as_slice() else { panic!("not one row: {decoded:?}") };
    serde_json::from_str(json).expect("a row is JSON")
}

#[test]
fn a_flow_is_network_activity() {
    let row = row_of(FLOW);
    check(
        &row,
        &[
            ("class_uid", "4001"),
            ("type_name", "\"Network Activity: Traffic\""),
            ("severity_id", "1"),
            ("time_dt", "\"2026-11-20T10:00:00.000000Z\""),
            ("start_time_dt", "\"2026-11-20T09:59:00.000000Z\""),
            ("end_time_dt", "\"2026-11-20T10:00:00.000000Z\""),
            ("metadata.original_time", "\"1795168800\""),
            ("metadata.product", r#"{"name":"VPC Flow Logs","vendor_name":"AWS"}"#),
            ("metadata.log_version", "\"2\""),
            ("metadata.profiles", r#"["cloud","security_control","datetime"]"#),
            ("cloud", r#"{"provider":"AWS","account":{"uid":"111122223333"}}"#),
            ("network_observation_point", r#"{"interface_uid":"eni-0a1b"}"#),
            ("observation_point_id", "null"),
            ("src_endpoint", r#"{"ip":"10.0.1.5","port":49152}"#),
            ("dst_endpoint", r#"{"ip":"198.51.100.7","port":443}"#),
            ("connection_info", r#"{"direction_id":0,"direction":"Unknown","protocol_num":6,"protocol_name":"tcp"}"#),
            ("traffic", r#"{"bytes":840,"bytes_out":840,"packets":10,"packets_out":10}"#),
            ("action_id", "1"),
            ("disposition", "\"Allowed\""),
            ("status_code", "\"OK\""),
            ("unmapped", "null"),
        ],
    );
    assert_eq!(row["raw_data"], FLOW);
}

#[test]
fn a_rejected_flow_is_refused() {
    check(
        &row_of(&flow(&[(12, "REJECT")])),
        &[("activity_name", "\"Refuse\""), ("action", "\"Denied\""), ("disposition", "\"Blocked\"")],
    );
}

#[test]
fn an_interval_without_a_flow_is_a_row_too() {
    for status in ["NODATA", "SKIPDATA"] {
        let row = row_of(&format!("2 111122223333 eni-0a1b - - - - - - - 1795168740 1795168800 - {status}"));
        check(
            &row,
            &[
                ("activity_name", "\"Other\""),
                ("status_code", &format!("\"{status}\"")),
                ("src_endpoint", r#"{"interface_uid":"eni-0a1b"}"#),
                ("dst_endpoint", "null"),
                ("action_id", "null"),
                ("traffic", "null"),
                ("unmapped", "null"),
            ],
        );
    }
    let row = row_with("start end log-status", "1795168740 1795168800 NODATA");
    check(&row, &[("src_endpoint", r#"{"svc_name":"Unknown"}"#), ("network_observation_point", "null")]);
}

#[test]
fn fields_of_later_versions() {
    let names = "version vpc-id subnet-id instance-id interface-id type srcaddr dstaddr pkt-srcaddr pkt-dstaddr tcp-flags region \
        az-id sublocation-type sublocation-id pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path ecs-task-id \
        reject-reason resource-id encryption-status start end";
    let line = "8 vpc-1 subnet-1 i-1 eni-1 IPv4 10.0.1.5 198.51.100.7 10.0.9.9 198.51.100.7 19 us-east-1 use1-az1 - - AMAZON S3 \
        egress 8 task-1 BPA r-1 1 1795168740 1795168800";
    check(
        &row_with(names, line),
        &[
            ("metadata.log_version", "\"8\""),
            (
                "network_observation_point",
                r#"{"uid":"r-1","interface_uid":"eni-1","instance_uid":"i-1","subnet_uid":"subnet-1","vpc_uid":"vpc-1"}"#,
            ),
            ("observation_point_id", "1"),
            ("observation_point", "\"Source\""),
            ("connection_info.direction", "\"Outbound\""),
            ("connection_info.protocol_ver_id", "4"),
            ("connection_info.tcp_flags", "19"),
            ("connection_info.boundary_id", "11"),
            ("connection_info.boundary", "\"Internet Gateway\""),
            ("src_endpoint.svc_name", "\"AMAZON\""),
            ("dst_endpoint.svc_name", "\"S3\""),
            ("cloud", r#"{"provider":"AWS","region":"us-east-1","zone":"use1-az1"}"#),
            ("status_detail", "\"BPA\""),
            ("activity_name", "\"Traffic\""),
            ("unmapped", r#"{"ecs-task-id":"task-1","encryption-status":"1","pkt-srcaddr":"10.0.9.9"}"#),
        ],
    );
}

#[test]
fn directions_and_paths() {
    let names = "srcaddr flow-direction traffic-path end";
    for (direction, path, id, observer, boundary) in [
        ("ingress", "1", 1, json!(2), json!(4)),
        ("egress", "3", 2, json!(1), json!(6)),
        ("-", "-", 0, Value::Null, Value::Null),
        ("sideways", "9", 0, Value::Null, Value::Null),
    ] {
        let row = row_with(names, &format!("10.0.1.5 {direction} {path} 1795168800"));
        assert_eq!(at(&row, "connection_info.direction_id"), &json!(id), "{direction}");
        assert_eq!((&row["observation_point_id"], at(&row, "connection_info.boundary_id")), (&observer, &boundary));
        let kept = direction == "sideways";
        assert_eq!(at(&row, "unmapped.flow-direction").is_string(), kept);
        assert_eq!(at(&row, "unmapped.traffic-path").is_string(), kept);
    }
}

#[test]
fn values_that_do_not_fit_stay_in_unmapped() {
    for (at_value, value, name, path) in [
        (3, "10.0.1.500", "srcaddr", "src_endpoint.ip"),
        (6, "65536", "dstport", "dst_endpoint.port"),
        (7, "256", "protocol", "connection_info.protocol_num"),
        (8, "99999999999999999999", "packets", "traffic.packets"),
        (9, "1.5", "bytes", "traffic.bytes"),
        (10, "soon", "start", "start_time"),
    ] {
        let row = row_with(HEADER, &flow(&[(at_value, value)]));
        assert_eq!(at(&row, &format!("unmapped.{name}")), value);
        assert!(at(&row, path).is_null(), "{path} of {row}");
    }
    check(
        &row_of(&flow(&[(7, "250")])),
        &[("connection_info.protocol_num", "250"), ("connection_info.protocol_name", "null")],
    );
}

#[test]
fn the_time_is_the_end_else_the_start() {
    for (start, end, want) in [
        ("1795168740", "1795168800", Some(1_795_168_800_000_i64)),
        ("1795168740", "-", Some(1_795_168_740_000)),
        ("-", "-", None),
    ] {
        let line = flow(&[(10, start), (11, end)]);
        let decoded = decode_all(config(Format::VpcFlow, HEADER), &[line.as_bytes()]);
        let time = decoded.rows.first().map(|r| serde_json::from_str::<Value>(&r.3).expect("JSON")["time"].as_i64());
        assert_eq!(time.flatten(), want, "{start} {end}");
        assert_eq!(decoded.dead.first().map(|d| d.1), want.is_none().then_some(Reason::InvalidTime));
    }
}

#[test]
fn a_header_is_a_dead_letter_of_its_own() {
    assert_eq!(reason_of(HEADER), Reason::Header);
    let flow = VpcFlow::new(FlowFields::default());
    assert_eq!(flow.header(HEADER), Rejected::new(Reason::Header, String::new()));
    let other = flow.header("srcaddr dstaddr start end");
    assert_eq!(other, Rejected::new(Reason::Header, format!("lines are read by other fields: {HEADER}")));
    // It says nothing to the records after it, unless their source says that they stand in the same file.
    let decoded = decode_all(DecodeConfig::default(), &[b"srcaddr dstaddr start end", FLOW.as_bytes()]);
    assert_eq!((decoded.rows.len(), decoded.dead.as_slice()), (1, [(0, Reason::Header)].as_slice()));
}

#[test]
fn a_fixed_format_counts_the_values() {
    let fixed = config(Format::VpcFlow, HEADER);
    for (line, want) in [
        (format!("{FLOW} more"), Reason::UnknownFormat),
        (FLOW.replace(" OK", ""), Reason::MissingField),
        ("hello".to_owned(), Reason::MissingField),
        (HEADER.to_owned(), Reason::Header),
        ("{}".to_owned(), Reason::UnknownFormat),
    ] {
        assert_eq!(decode_all(fixed.clone(), &[line.as_bytes()]).dead, [(0, want)], "{line}");
    }
}

#[test]
fn configured_fields_are_found_among_other_records() {
    let auto = config(Format::Auto, "end srcaddr dstaddr dstport action");
    let records: [&[u8]; 4] =
        [b"1795168800 10.0.1.5 10.0.1.6 22 REJECT", FLOW.as_bytes(), b"five words of some text", b"{}"];
    let decoded = decode_all(auto, &records);
    let tables: Vec<(i64, Table)> = decoded.rows.iter().map(|r| (r.1, r.0)).collect();
    let (flow, base) = (Table::NetworkActivity, Table::BaseEvent);
    assert_eq!(tables, [(0, flow), (1, flow), (2, base), (3, base)], "and so are those of a version's own fields");
}

const NAMED: &str = "dstaddr srcaddr end start bytes vpc-id";
const OF_NAMED: &str = "198.51.100.7 10.0.1.5 1795168800 1795168740 840 vpc-1";

fn chunk(head: Option<&str>, records: &[&str]) -> dataflow::Chunk {
    let mut chunk = chunk_of(0, records.iter().map(|r| r.as_bytes()));
    chunk.head = head.map(|head| head.to_owned().into());
    chunk
}

/// Source addresses and reasons, in order.
fn sources(chunks: &[dataflow::Chunk]) -> Vec<String> {
    let decoded = decode_chunks(DecodeConfig::default(), chunks);
    let source = |json: &str| at(&serde_json::from_str(json).expect("JSON"), "src_endpoint.ip").to_string();
    let rows = decoded.rows.iter().map(|(_, offset, _, json)| (*offset, source(json)));
    let mut found: Vec<_> = rows.chain(decoded.dead.iter().map(|(o, reason)| (*o, reason.to_string()))).collect();
    found.sort();
    found.into_iter().map(|(_, text)| text).collect()
}

#[test]
fn a_files_first_line_names_the_fields_of_all_its_parts() {
    let lines = [NAMED, OF_NAMED, FLOW, OF_NAMED];
    let want = ["header", "\"10.0.1.5\"", "\"10.0.1.5\"", "\"10.0.1.5\""];
    assert_eq!(sources(&[chunk(Some(NAMED), &lines)]), want);
    for cut in 1..lines.len() {
        let (a, b) = lines.split_at(cut);
        let mut second = chunk_of(cut as i64, b.iter().map(|r| r.as_bytes()));
        second.head = Some(NAMED.into());
        assert_eq!(sources(&[chunk(Some(NAMED), a), second]), want, "cut at {cut}");
    }
}

#[test]
fn one_file_says_nothing_of_another() {
    let config = DecodeConfig { format: Format::VpcFlow, ..DecodeConfig::default() };
    let of = |chunks: &[dataflow::Chunk]| decode_chunks(config.clone(), chunks).dead;
    let next = |head: Option<&str>| {
        let mut next = chunk_of(1, [OF_NAMED.as_bytes()]);
        next.head = head.map(|head| head.to_owned().into());
        next
    };
    assert_eq!(of(&[chunk(Some(NAMED), &[OF_NAMED]), next(Some(NAMED))]), []);
    assert_eq!(of(&[chunk(Some(NAMED), &[OF_NAMED]), next(None)]), [(1, Reason::MissingField)]);
    assert_eq!(of(&[chunk(Some(NAMED), &[OF_NAMED]), next(Some(HEADER))]), [(1, Reason::MissingField)]);
    assert_eq!(of(&[chunk(Some(FLOW), &[FLOW]), next(Some("\u{e9}"))]), [(1, Reason::MissingField)]);
}

#[test]
fn without_a_head_the_values_tell_which_versions_fields_they_are() {
    let further = "vpc-1 subnet-1 i-1 2 IPv4 10.0.1.5 198.51.100.7 eu-west-1 euw1-az1 - - - S3 egress 8";
    let row = row_of(&format!("{FLOW} {further}"));
    check(
        &row,
        &[
            ("network_observation_point.vpc_uid", "\"vpc-1\""),
            ("connection_info.direction", "\"Outbound\""),
            ("dst_endpoint.svc_name", "\"S3\""),
            ("unmapped", "null"),
        ],
    );
    // A value that its field cannot have: the line is of no version.
    let row = row_of(&format!("{FLOW} {}", further.replace("subnet-1", "net-1")));
    check(&row, &[("class_uid", "0")]);
}
