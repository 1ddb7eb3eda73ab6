use std::collections::BTreeSet;

use super::*;
use crate::fleet::tests::SMALL;

const BASE_US: i64 = 1_767_600_000_500_000;

fn record(index: u64) -> CloudRecord<'static> {
    CloudRecord::draw(&SMALL, 1, Wire::CloudTrail, BASE_US, &mut Draw::at(3, 0, index))
}

fn call() -> PlannedCall {
    PlannedCall {
        operation: operation_named("cloudtrail", "StopLogging"),
        is_denied: false,
        identity: Identity::Root,
        role: None,
        key: None,
        user: "m.haddad",
        source: Ipv4Addr::new(192, 0, 2, 9),
        time_us: 1_767_599_999_000_000,
    }
}

#[test]
fn background_never_draws_what_is_planted() {
    let weighted = weighted(Wire::CloudTrail);
    for operation in ["StopLogging", "DeleteTrail", "GetTrailStatus"] {
        let at = operation_named("cloudtrail", operation);
        assert!(!weighted.contains(&(at as u8)), "{operation}");
    }
    assert!(weighted.len() > 100);
}

#[test]
fn operations_are_told_apart_by_service_and_name() {
    let names: BTreeSet<_> = OPERATIONS.iter().map(|o| (o.service, o.name)).collect();
    assert_eq!(names.len(), OPERATIONS.len());
    assert_ne!(operation_named("cloudtrail", "StopLogging"), operation_named("firehose", "StopLogging"));
    for o in OPERATIONS.iter() {
        assert!(!o.name.starts_with("Describe") || o.is_read, "{}", o.name);
    }
}

#[test]
fn one_record_in_eight_is_an_array() {
    let arrays: Vec<u8> = (0..8_000).filter_map(|i| record(i).array).collect();
    assert!((900..1_100).contains(&arrays.len()), "{}", arrays.len());
    assert_eq!(arrays.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([2, 3, 4, 5]));
}

#[test]
fn events_are_the_same_however_often_they_are_made() {
    let record = record(5);
    let text = |i| format!("{:?}", { (record.event(i).time_us, record.event(i).operation, record.event(i).salts) });
    assert_eq!(text(0), text(0));
    assert_ne!(text(0), text(1));
}

#[test]
fn times_are_whole_seconds_at_or_before_the_sending() {
    let latest = 1_767_600_000_000_000;
    let earliest = BASE_US - SMALL.config.delay_max_us() - 1_000_000;
    for index in 0..2_000 {
        let time = record(index).event(0).time_us;
        assert!(time % 1_000_000 == 0 && (earliest..=latest).contains(&time), "{time}");
    }
}

#[test]
fn only_services_call_from_nowhere() {
    let mut seen = BTreeSet::new();
    for index in 0..2_000 {
        let event = record(index).event(0);
        assert_eq!(event.source.is_none(), event.identity == Identity::Service);
        assert_eq!(&*event.tenant.name, "globex");
        seen.insert(event.identity as u8);
    }
    assert_eq!(seen.len(), 4);
}

#[test]
fn a_planned_call_stands_at_its_place_and_nowhere_else() {
    let mut places = BTreeSet::new();
    for index in 0..200 {
        let record = record(index).planted(call());
        let (at, _) = record.planned.expect("planned");
        places.insert((record.events(), at));
        for i in 0..record.events() {
            let event = record.event(i);
            let is_planned = event.operation == call().operation;
            assert_eq!(is_planned, i == at);
            if is_planned {
                assert_eq!((event.time_us, event.identity, event.user), (call().time_us, Identity::Root, "m.haddad"));
                assert_eq!(event.source, Some(IpAddr::V4(call().source)));
            }
        }
    }
    assert_eq!(places, BTreeSet::from([(1, 0), (3, 0), (3, 1), (3, 2)]), "alone, and anywhere in an array");
}
