use dataflow::Table;
use serde_json::{Value, json};

use crate::decode::DecodeConfig;
use crate::decode::tests::{decode_all, row_of};

fn security_group(tuples: &[&str]) -> String {
    json!({"time": "2026-11-20T10:00:00Z", "systemId": "s-1", "macAddress": "000D3A000001", "category": super::CATEGORY,
        "resourceId": "/SUBSCRIPTIONS/S/NSG-1", "operationName": "NetworkSecurityGroupFlowEvents",
        "properties": {"Version": 2, "flows": [{"rule": "DefaultRule_AllowInternetOutBound",
            "flows": [{"mac": "000D3A000001", "flowTuples": tuples}]}]}})
    .to_string()
}

fn virtual_network(tuples: &[&str]) -> String {
    json!({"time": "2026-11-20T10:00:00Z", "flowLogVersion": 4, "flowLogGUID": "g-1", "macAddress": "000D3A000002",
        "category": "FlowLogFlowEvent", "flowLogResourceID": "/f-1", "targetResourceID": "/vnet-1",
        "operationName": "FlowLogFlowEvent", "flowRecords": {"flows": [{"aclID": "/nsg-2",
            "flowGroups": [{"rule": "UserRule_web", "flowTuples": tuples}]}]}})
    .to_string()
}

fn rows(record: &str) -> Vec<(Table, i32, Value)> {
    let decoded = decode_all(DecodeConfig::default(), &[record.as_bytes()]);
    assert!(decoded.dead.is_empty(), "{decoded:?}");
    let parsed = |json: &str| serde_json::from_str(json).expect("a row is JSON");
    decoded.rows.iter().map(|(table, _, index, json)| (*table, *index, parsed(json))).collect()
}

#[test]
fn the_directions_of_bytes_and_of_the_interface() {
    let row = row_of(&security_group(&["1795168798,10.0.0.4,203.0.113.9,44931,443,T,O,A,E,25,4200,30,9100"]));
    for (path, want) in [
        ("/activity_name", json!("Close")),
        ("/action", json!("Allowed")),
        ("/time_dt", json!("2026-11-20T09:59:58.000000Z")),
        ("/metadata/logged_time_dt", json!("2026-11-20T10:00:00.000000Z")),
        ("/src_endpoint/ip", json!("10.0.0.4")),
        ("/src_endpoint/port", json!(44931)),
        ("/src_endpoint/mac", json!("00:0d:3a:00:00:01")),
        ("/dst_endpoint/mac", Value::Null),
        ("/dst_endpoint/ip", json!("203.0.113.9")),
        ("/dst_endpoint/port", json!(443)),
        ("/connection_info/protocol_name", json!("tcp")),
        ("/connection_info/direction", json!("Outbound")),
        ("/observation_point", json!("Source")),
        ("/traffic/bytes_out", json!(4200)),
        ("/traffic/bytes_in", json!(9100)),
        ("/traffic/bytes", json!(13300)),
        ("/traffic/packets_out", json!(25)),
        ("/traffic/packets_in", json!(30)),
        ("/firewall_rule/name", json!("DefaultRule_AllowInternetOutBound")),
        ("/device/uid", json!("/SUBSCRIPTIONS/S/NSG-1")),
        ("/cloud/provider", json!("Azure")),
        ("/unmapped", json!({"systemId": "s-1"})),
    ] {
        assert_eq!(row.pointer(path).cloned().unwrap_or_default(), want, "{path}");
    }
}

#[test]
fn states_of_both_kinds_of_log() {
    for (record, activity, action, protocol) in [
        (security_group(&["1795168798,10.0.0.4,203.0.113.9,44931,443,U,O,A"]), "Traffic", "Allowed", 17),
        (security_group(&["1795168798,203.0.113.9,10.0.0.4,44931,22,T,I,D"]), "Refuse", "Denied", 6),
        (security_group(&["1795168798,10.0.0.4,203.0.113.9,44931,443,T,O,A,B,,,,"]), "Open", "Allowed", 6),
        (virtual_network(&["1795168798500,2001:db8::4,2001:db8::9,1,443,6,I,C,NX,1,2,3,4"]), "Traffic", "Allowed", 6),
        (virtual_network(&["1795168798500,10.0.0.4,203.0.113.9,1,443,1,O,D,NX,0,0,0,0"]), "Refuse", "Denied", 1),
        (virtual_network(&["1795168798500,10.0.0.4,203.0.113.9,1,443,6,O,E,X,1,2,3,4"]), "Close", "Allowed", 6),
    ] {
        let row = row_of(&record);
        let found = (&row["activity_name"], &row["action"], &row["connection_info"]["protocol_num"]);
        assert_eq!(found, (&json!(activity), &json!(action), &json!(protocol)), "{record}");
    }
}

#[test]
fn a_network_s_record_keeps_what_has_no_column() {
    let row = row_of(&virtual_network(&["1795168798500,203.0.113.9,10.0.0.4,1,443,6,I,C,NX_NOT_ACCEPTED,1,2,3,4"]));
    assert_eq!(row["dst_endpoint"]["mac"], "00:0d:3a:00:00:02");
    assert_eq!(row["network_observation_point"]["uid"], "/vnet-1");
    assert_eq!(row["device"]["uid"], "/nsg-2");
    assert_eq!(row["time_dt"], "2026-11-20T09:59:58.500000Z");
    let unmapped = json!({"flowLogGUID": "g-1", "flowLogResourceID": "/f-1", "flowEncryption": "NX_NOT_ACCEPTED"});
    assert_eq!(row["unmapped"], unmapped);
}

#[test]
fn tuples_of_all_records_are_numbered_and_a_bad_one_loses_none() {
    let good = "1795168798,10.0.0.4,203.0.113.9,44931,443,T,O,A,B,,,,";
    let odd = "1795168798,10.0.0.4,203.0.113.9,44931,443,Q,X,?,Z,many,,,,more,and,more";
    let (first, second) =
        (security_group(&[good, "never,1,2,3,4,5,6,7", "1795168798,a,b,1,2,T,O,A", odd]), security_group(&[good]));
    for file in [format!("{{\"records\":[{first},{{}},{second}]}}"), format!("[{first},{{}},{second}]")] {
        let mut found = rows(&file);
        found.sort_by_key(|(_, index, _)| *index);
        let tables: Vec<(i32, &str)> = found.iter().map(|(table, index, _)| (*index, table.name())).collect();
        let (flow, base) = ("network_activity", "base_event");
        assert_eq!(tables, [(0, flow), (1, base), (2, base), (3, flow), (4, base), (5, flow)]);
        assert_eq!(found[2].2["raw_data"], "\"1795168798,a,b,1,2,T,O,A\"");
        let unmapped = &found[3].2["unmapped"];
        for (name, want) in [
            ("protocol", "Q"),
            ("flowDirection", "X"),
            ("flowState", "Z"),
            ("packets_sent", "many"),
            ("further", "more,and,more"),
        ] {
            assert_eq!(unmapped[name], want, "{unmapped}");
        }
    }
}

#[test]
fn a_record_without_tuples_is_kept() {
    let found = rows(&security_group(&[]));
    assert_eq!((found.len(), found[0].0), (1, Table::BaseEvent));
    assert_eq!(found[0].2["unmapped"]["systemId"], "s-1");
}
