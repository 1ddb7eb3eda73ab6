//! Once buffers have grown, an event costs no allocation. The counter is that of `allocation-counter`, which stands in for
//! the allocator of this crate's tests and counts by thread.

use allocation_counter::measure;

use super::*;
use crate::mapping::Mappings;

/// Events a batch.
const EVENTS: usize = 2_000;

/// Events of a batch that may allocate: the first makes room for the columns, a few later ones for the dictionaries.
const FIRST: usize = 100;

/// Allocations of a batch whatever its length: columns of a list's elements double as they grow.
const GROWTH: u64 = 16;

const TEXT: &str = "
name: session
product: {vendor: Example, name: Wall}
format: text
match: {zone: '*'}
patterns: ['Built {direction} session {id} for {zone}:{src_ip}/{src_port}{? ({user})}']
class: network_activity
time: {from: syslog.time}
activity: Open
attributes:
  src_endpoint.ip: src_ip
  src_endpoint.port: src_port
  actor.user: user
  connection_info.direction: {from: direction, values: {inbound: Inbound, outbound: Outbound}}
";

const KV: &str = r#"<189>date=2026-11-20 time=10:00:00 devname="wall-1" devid="FG0000000000001" logid="0000000013" type="traffic" subtype="forward" level="notice" vd="root" eventtime=1795168800000000000 tz="+0000" srcip=10.1.2.3 srcport=51000 srcintf="port1" dstip=198.51.100.7 dstport=443 dstintf="port2" sessionid=7 proto=6 action="close" policyid=1 service="HTTPS" duration=29 sentbyte=500 rcvdbyte=1000 sentpkt=5 rcvdpkt=7 user="corp\\ann""#;

const CEF: &str = "Nov 20 10:00:00 wall-1 CEF:0|Fortinet|Fortigate|v7.4.1|00013|traffic:forward close|3|deviceExternalId=FG0000000000001 FTNTFGTeventtime=1795168800000000000 FTNTFGTtz=+0000 FTNTFGTlogid=0000000013 cat=traffic:forward FTNTFGTsubtype=forward FTNTFGTlevel=notice FTNTFGTvd=root src=10.1.2.3 spt=51000 dst=198.51.100.7 dpt=443 proto=6 act=close out=500 in=1000 msg=a\\=b cs1Label=Rule cs1=one";

const SYSTEM: &str = r#"1,2026/11/20 10:00:01,0011,SYSTEM,vpn,2817,2026/11/20 10:00:00,,ikev2-nego-child-succ,to-berlin,0,0,general,informational,"IKEv2 child SA negotiation is succeeded as initiator, non-rekey. Established SA: 192.0.2.1[500]-198.51.100.1[500] message id:0x00000001.",9,0x0"#;

const STRATA: &str = r#"{"LogType":"TRAFFIC","DeviceSN":"1","TimeGenerated":"2026-11-20T10:00:00Z","Subtype":"end","SourceAddress":"10.0.0.1","DestinationAddress":"198.51.100.7","SourcePort":51000,"DestinationPort":443,"Protocol":"tcp","BytesSent":500,"BytesReceived":1000,"Unheard":{"of":[1,2]},"SourceUser":"corp\\ann"}"#;

const TRAIL: &str = r#"{"eventVersion":"1.09","userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/ann","accountId":"111122223333","userName":"ann"},"eventTime":"2026-11-20T10:00:00Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","awsRegion":"eu-central-1","sourceIPAddress":"192.0.2.7","requestParameters":{"bucketName":"b"},"eventID":"1","eventType":"AwsApiCall","readOnly":true,"further":{"a":1}}"#;

/// Allocations of a batch after its first events, when a batch like it was decoded before.
fn allocations(record: &str) -> u64 {
    let mappings = Mappings::with_files(&[("session.yaml", TEXT)]).expect("right");
    let mut decoder = AutoDecoder::with_mappings(DecodeConfig::default(), mappings);
    let (mut rows, mut dead) = (BatchBuilder::new(), DeadLetters::new());
    let records = |n| std::iter::repeat_n(record.as_bytes(), n);
    for _ in 0..2 {
        decoder.decode(&chunk_of(0, records(EVENTS)), &mut rows, &mut dead);
        let tables: Vec<Table> = rows.finish().iter().map(|batch| batch.table).collect();
        assert!(dead.is_empty() && !tables.contains(&Table::BaseEvent), "{tables:?}: {record}");
    }
    decoder.decode(&chunk_of(0, records(FIRST)), &mut rows, &mut dead);
    let rest = chunk_of(FIRST as i64, records(EVENTS - FIRST));
    measure(|| decoder.decode(&rest, &mut rows, &mut dead)).count_total
}

#[test]
fn an_event_costs_no_allocation_once_buffers_have_grown() {
    let panos = format!("<14>Nov 20 10:00:00 fw-1 {}", traffic(&[]));
    let cases = [
        ("PAN-OS CSV", panos.as_str()),
        ("PAN-OS JSON", STRATA),
        ("PAN-OS SYSTEM", SYSTEM),
        ("CloudTrail", TRAIL),
        ("kv", KV),
        ("CEF", CEF),
        ("text", "<13>Nov 20 10:00:00 wall-1 Built inbound session 7 for out:192.0.2.1/80 (corp\\ann)"),
    ];
    for (name, record) in cases {
        let found = allocations(record);
        assert!(found <= GROWTH, "{name}: {found} allocations for {} events", EVENTS - FIRST);
    }
}

#[test]
fn the_counter_counts() {
    assert_eq!(measure(|| drop(vec![0_u8; 7])).count_total, 1);
}
