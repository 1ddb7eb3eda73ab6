//! Fleets at the edges of their configuration, through the public front only.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataflow::{PartitionId, Source, SourceEvent, Table};
use loadgen::{
    AlertSeen, ChunkLimits, Error, Fleet, FleetConfig, GeneratorSource, Mix, Pace, RecordKind, TruthRow, score,
};
use proptest::prelude::*;

/// Reads everything twice, as bytes and as truth, and says how many records there were.
fn read_all(fleet: &Fleet) -> u64 {
    let (mut line, mut rows, mut records) = (Vec::new(), Vec::new(), 0);
    for id in fleet.partitions() {
        let mut bytes = fleet.cursor(&id, 0).expect("own partition");
        let mut truth = bytes.clone();
        while let Some(meta) = bytes.next(&mut line) {
            assert_eq!(truth.next_truth(&mut rows), Some(meta));
            assert!(line.len() < 16_384 && !line.contains(&b'\n'));
            records += 1;
        }
    }
    records
}

fn planted(config: FleetConfig) -> FleetConfig {
    FleetConfig { attacks: 1, near_misses: 3, ..config }
}

fn bare(config: FleetConfig) -> FleetConfig {
    FleetConfig { attacks: 0, near_misses: 0, ..config }
}

#[test]
fn the_smallest_and_the_oddest_fleets_are_fleets() {
    let base = FleetConfig::default;
    let mix = |strata_json, panos_csv, cloudtrail| Mix { strata_json, panos_csv, cloudtrail, ..Mix::NONE };
    let cases = [
        bare(FleetConfig { events: 1, tenants: 1, partitions_per_tenant: 1, devices: 1, ..base() }),
        bare(FleetConfig { events: 5, tenants: 200, partitions_per_tenant: 2, devices: 400, ..base() }),
        bare(FleetConfig { events: 2_000, malformed_per_million: 1_000_000, ..base() }),
        planted(FleetConfig { events: 30_000, span_us: 1_000_000, ..base() }),
        planted(FleetConfig { events: 30_000, mix: mix(0, 0, 1), ..base() }),
        planted(FleetConfig { events: 30_000, mix: mix(0, 1, 0), max_disorder_us: 0, ..base() }),
        planted(FleetConfig { events: 30_000, mix: mix(1, 0, 0), start_us: 0, ..base() }),
        planted(FleetConfig { events: 30_000, span_us: 31_622_400_000_000, max_disorder_us: 3_600_000_000, ..base() }),
    ];
    for config in cases {
        let events = config.events;
        let fleet = Fleet::new(config).expect("a possible fleet");
        assert_eq!(read_all(&fleet), events, "{:?}", fleet.config());
    }
}

#[test]
fn one_format_only_is_one_format_only() {
    use RecordKind::*;
    let none = Mix::NONE;
    let formats: [(Mix, &[RecordKind]); 12] = [
        (Mix { strata_json: 1, ..none }, &[StrataJson]),
        (Mix { panos_csv: 1, ..none }, &[PanosCsv]),
        (Mix { panos_cef: 1, ..none }, &[PanosCef]),
        (Mix { panos_leef: 1, ..none }, &[PanosLeef]),
        (Mix { fortigate: 1, ..none }, &[FortiGate]),
        (Mix { fortigate_cef: 1, ..none }, &[FortiGateCef]),
        (Mix { cisco_asa: 1, ..none }, &[CiscoAsa]),
        (Mix { cloudtrail: 1, ..none }, &[CloudTrail, CloudTrailRecords]),
        (Mix { gcp_audit: 1, ..none }, &[GcpAudit]),
        (Mix { azure_activity: 1, ..none }, &[AzureActivity]),
        (Mix { entra_signin: 1, ..none }, &[EntraSignIn]),
        (Mix { okta: 1, ..none }, &[Okta]),
    ];
    for (mix, kinds) in formats {
        let rates = FleetConfig { malformed_per_million: 0, flow_logs_per_million: 0, ..FleetConfig::default() };
        let fleet = Fleet::new(bare(FleetConfig { events: 600, mix, ..rates })).expect("a fleet");
        let mut line = Vec::new();
        for id in fleet.partitions() {
            let mut cursor = fleet.cursor(&id, 0).expect("own partition");
            while let Some(meta) = cursor.next(&mut line) {
                assert!(kinds.contains(&meta.kind), "{:?}: {}", meta.kind, String::from_utf8_lossy(&line));
            }
        }
    }
}

#[test]
fn a_fleet_of_nothing_but_flow_logs_is_all_network_activity() {
    let config = FleetConfig {
        events: 500,
        malformed_per_million: 0,
        flow_logs_per_million: 1_000_000,
        ..FleetConfig::default()
    };
    let fleet = Fleet::new(bare(config)).expect("a fleet");
    let mut rows: Vec<TruthRow> = Vec::new();
    for id in fleet.partitions() {
        let mut cursor = fleet.cursor(&id, 0).expect("own partition");
        while cursor.next_truth(&mut rows).is_some_and(|meta| meta.kind == RecordKind::VpcFlow) {}
    }
    assert!(rows.len() == 500 && rows.iter().all(|r| r.table == Table::NetworkActivity));
    let empty = rows.iter().filter(|r| r.src_ip.is_none() && r.action_id.is_none()).count();
    assert!((1..50).contains(&empty), "{empty} of interfaces that saw nothing");
}

#[test]
fn a_fleet_of_nothing_but_accidents_is_all_dead_letters() {
    let config = FleetConfig { events: 700, malformed_per_million: 1_000_000, ..FleetConfig::default() };
    let fleet = Fleet::new(bare(config)).expect("a fleet");
    let mut reasons: BTreeMap<&str, u32> = BTreeMap::new();
    let mut rows: Vec<TruthRow> = Vec::new();
    for id in fleet.partitions() {
        let mut cursor = fleet.cursor(&id, 0).expect("own partition");
        while cursor.next_truth(&mut rows).is_some() {}
    }
    for row in rows {
        assert_eq!((row.table, row.time_us, row.src_ip), (Table::DeadLetter, None, None));
        *reasons.entry(row.reason.expect("a reason").name()).or_default() += 1;
    }
    assert!(reasons.len() == 7 && reasons.values().all(|n| *n > 50), "{reasons:?}");
}

#[test]
fn a_configuration_survives_its_text_and_refuses_unknown_keys() {
    let config = FleetConfig { seed: 99, tenants: 2, ..FleetConfig::default() };
    let text = serde_json::to_string(&config).expect("JSON");
    assert_eq!(serde_json::from_str::<FleetConfig>(&text).expect("the same"), config);
    assert_eq!(serde_json::from_str::<FleetConfig>("{}").expect("the default"), FleetConfig::default());
    assert!(serde_json::from_str::<FleetConfig>("{\"sede\":1}").is_err());
}

#[test]
fn an_impossible_fleet_says_what_would_do() {
    let refused = |config| Fleet::new(config).map(|_| ()).expect_err("refused");
    let devices = refused(FleetConfig { devices: 1, ..FleetConfig::default() });
    assert!(matches!(devices, Error::OutOfRange { what: "devices", value: 1, .. }));
    let Error::TooFewEvents { events, planted } = refused(FleetConfig { events: 100, ..FleetConfig::default() }) else {
        panic!("too few events")
    };
    assert_eq!(events, 100);
    Fleet::new(FleetConfig { events: planted * 2, ..FleetConfig::default() }).expect("twice as many do");
}

/// Alerts in another order, some of them twice.
fn shuffled(alerts: &[AlertSeen], by: usize) -> Vec<AlertSeen> {
    let mut all = alerts.to_vec();
    all.rotate_left(by % alerts.len().max(1));
    all.extend(alerts.iter().take(by % 3).cloned());
    all
}

fn alert_strategy() -> impl Strategy<Value = AlertSeen> {
    let rule = prop::sample::select(vec!["port_scan", "rare_upload", "vpn_brute_force", "host_sweep", "other"]);
    let tenant = prop::sample::select(vec!["acme", "globex", "initech"]);
    let name = prop::sample::select(vec!["src_ip", "dst_ip", "dst_port", "user_name", "_offset"]);
    (rule, tenant, name, 0usize..6, 0i64..3_600).prop_map(|(rule, tenant, name, value, at)| {
        let window_start = FleetConfig::default().start_us + at * 1_000_000;
        let value = FLEET.labels().iter().filter_map(|l| l.key.get(name)).nth(value).cloned().unwrap_or_default();
        AlertSeen {
            rule: rule.to_owned(),
            tenant: tenant.to_owned(),
            key: [(name.to_owned(), value)].into(),
            window_start,
            window_end: window_start + 600_000_000,
        }
    })
}

static FLEET: std::sync::LazyLock<Arc<Fleet>> = std::sync::LazyLock::new(|| {
    let config = FleetConfig { events: 20_000, span_us: 600_000_000, ..FleetConfig::default() };
    Arc::new(Fleet::new(planted(config)).expect("a fleet"))
});

/// Everything that a source delivers, as (partition, offset, payload length, receive time).
fn delivered(limits: ChunkLimits, positions: &BTreeMap<PartitionId, i64>) -> Vec<(PartitionId, i64, usize, i64)> {
    let pace = Pace::AsFast { start_wall_us: 1_000, wall_span_us: 60_000_000 };
    let mut source = GeneratorSource::new(FLEET.clone(), pace, || 0).with_limits(limits);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let mut all = Vec::new();
    runtime.block_on(async {
        source.seek(positions).await.expect("own partitions");
        loop {
            match source.next_event().await.expect("never fails") {
                SourceEvent::Chunk(chunk) => all.extend(
                    chunk.records().map(|r| (chunk.partition.clone(), r.offset, r.payload.len(), r.received_at)),
                ),
                SourceEvent::CaughtUp(_) => {}
                SourceEvent::EndOfInput => break,
                other => panic!("a source of its own partitions: {other:?}"),
            }
        }
    });
    all.sort();
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_possible_configuration_gives_exactly_its_records(
        seed in any::<u64>(), tenants in 1u32..8, partitions_per_tenant in 1u32..4, more in 0u32..20,
        events in 1u64..3_000, span_us in 1_000_000i64..10_000_000_000, max_disorder_us in 0i64..20_000_000,
    ) {
        let devices = tenants * partitions_per_tenant + more;
        let config = FleetConfig {
            seed, tenants, partitions_per_tenant, devices, events, span_us, max_disorder_us, ..FleetConfig::default()
        };
        let fleet = Fleet::new(bare(config)).expect("a possible fleet");
        prop_assert_eq!(read_all(&fleet), events);
    }

    #[test]
    fn chunks_of_any_size_from_any_position_deliver_the_same(
        records in 1usize..3_000, bytes in 1usize..3_000_000, from in prop::collection::vec(0i64..4_000, 6),
    ) {
        let positions: BTreeMap<PartitionId, i64> = FLEET.partitions().into_iter().zip(from).collect();
        let mut want = delivered(ChunkLimits::default(), &BTreeMap::new());
        want.retain(|(id, offset, ..)| positions[id] <= *offset);
        let limits = ChunkLimits { records, bytes };
        prop_assert!(delivered(limits, &positions) == want);
    }

    #[test]
    fn a_score_does_not_depend_on_order_and_its_sums_agree(
        alerts in prop::collection::vec(alert_strategy(), 0..40), by in 0usize..40,
    ) {
        let first = score(FLEET.labels(), &alerts);
        prop_assert_eq!(&first, &score(FLEET.labels(), &shuffled(&alerts, by)));
        prop_assert_eq!(first.planted, first.detected + first.missed.len());
        prop_assert_eq!(first.alerts, first.rules.iter().map(|r| r.alerts).sum::<usize>());
        prop_assert_eq!(first.false_alerts.len(), first.rules.iter().map(|r| r.false_alerts).sum::<usize>());
        prop_assert!(first.false_alerts.len() + first.detected <= first.alerts + first.planted);
    }
}
