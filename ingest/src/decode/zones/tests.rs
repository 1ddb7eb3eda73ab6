use super::*;
use crate::decode::tests::{at, decode_all, traffic};
use crate::decode::values::{time, time_in};
use crate::decode::{DecodeConfig, RawData};

fn zones(yaml: &str) -> Zones {
    Zones::new(&serde_json::from_str(yaml).expect("time zones"))
}

#[test]
fn local_times_follow_the_clock_of_their_zone() {
    let zones = zones(r#"{"default":"Europe/Berlin"}"#);
    let local = zones.of_device("", None);
    for (text, utc) in [
        ("2026/11/20 10:00:00", "2026-11-20T09:00:00Z"),
        ("2026/07/20 10:00:00", "2026-07-20T08:00:00Z"),
        // Skipped: there was no 02:30; read with the offset before the change.
        ("2026/03/29 01:59:59", "2026-03-29T00:59:59Z"),
        ("2026/03/29 02:30:00", "2026-03-29T01:30:00Z"),
        ("2026/03/29 03:00:00", "2026-03-29T01:00:00Z"),
        // Repeated: there were two 02:30, the earlier is taken.
        ("2026/10/25 02:30:00", "2026-10-25T00:30:00Z"),
        ("2026/10/25 03:00:00", "2026-10-25T02:00:00Z"),
        // A zone of its own wins.
        ("2026-11-20T10:00:00.250-08:00", "2026-11-20T18:00:00.250Z"),
        ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00Z"),
        ("1795168800", "2026-11-20T10:00:00Z"),
    ] {
        // Twice: looked up, and kept.
        for _ in 0..2 {
            assert_eq!(time_in(text, local), time(utc), "{text}");
        }
    }
    assert_eq!(time_in("9999/12/31 23:59:59", local).is_some(), time("9999/12/31 23:59:59").is_some());
}

#[test]
fn kept_offsets_are_those_of_their_minute() {
    let zones = zones(r#"{"default":"Australia/Lord_Howe"}"#);
    let local = zones.of_device("", None);
    let zone = local.0.expect("a zone");
    for minute in (0..400_000).step_by(37).map(|n| 29_000_000 + n) {
        let at = minute * MINUTE_US + 59_999_999;
        assert_eq!(Some(zone.offset(at)), zone.compute_offset(at), "{at}");
    }
}

#[test]
fn a_device_is_named_by_serial_number_or_host() {
    let zones = zones(r#"{"devices":{"fw-berlin":"Europe/Berlin","001801000001":"America/New_York"}}"#);
    let noon = 43_200_000_000;
    for (serial, host, hours) in [
        ("", None, 0),
        ("7", Some("fw-unknown"), 0),
        ("7", Some("fw-berlin"), 1),
        ("001801000001", None, -5),
        ("001801000001", Some("fw-berlin"), -5),
    ] {
        let utc = zones.of_device(serial, host).to_utc(noon);
        assert_eq!((noon - utc) / 3_600_000_000, hours, "{serial} {host:?}");
    }
}

#[test]
fn unknown_zones_are_refused() {
    let read = serde_json::from_str::<TimeZones>;
    assert_eq!(read("{}").ok(), Some(TimeZones::default()));
    let error = read(r#"{"default":"Europe/Berlim"}"#).expect_err("no zone");
    assert!(error.to_string().contains("\"Europe/Berlim\" is not an IANA time zone"), "{error}");
    assert!(read(r#"{"device":{}}"#).is_err());
}

#[test]
fn every_time_of_a_line_is_its_devices() {
    let time_zones = serde_json::from_str(r#"{"devices":{"fw-berlin":"Europe/Berlin"}}"#).expect("time zones");
    let config = DecodeConfig { time_zones, raw_data: RawData::Never, ..DecodeConfig::default() };
    let high = "2026-11-20T10:00:00.250+01:00";
    for (line, times) in [
        (traffic(&[]), ["2026-11-20T10:00:00.000000Z", "2026-11-20T09:59:30.000000Z", "2026-11-20T10:00:01.000000Z"]),
        (
            format!("<14>Nov 20 10:00:01 fw-berlin {}", traffic(&[])),
            ["2026-11-20T09:00:00.000000Z", "2026-11-20T08:59:30.000000Z", "2026-11-20T09:00:01.000000Z"],
        ),
        (
            format!("<14>Nov 20 10:00:01 fw-berlin {}", traffic(&[(103, high)])),
            ["2026-11-20T09:00:00.250000Z", "2026-11-20T08:59:30.000000Z", "2026-11-20T09:00:01.000000Z"],
        ),
    ] {
        let decoded = decode_all(config.clone(), &[line.as_bytes()]);
        let row: serde_json::Value = serde_json::from_str(&decoded.rows[0].3).expect("a row is JSON");
        let found = ["time_dt", "start_time_dt", "metadata.logged_time_dt"].map(|path| at(&row, path).as_str());
        assert_eq!(found, times.map(Some), "{line}");
        // The generated time says the same as the high-resolution time.
        assert!(at(&row, "unmapped.generated_time").is_null());
    }
}
