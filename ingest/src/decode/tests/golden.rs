//! Files of records and what must come out of them. `UPDATE=1` writes what comes out; the diff is then read.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata")
}

/// A row or dead letter a line, in the order of the records.
fn rendered(decoded: &Decoded) -> String {
    let rows = decoded.rows.iter().map(|(table, offset, index, json)| (*offset, *index, format!("{table} {json}")));
    let dead = decoded.dead.iter().map(|(offset, reason)| (*offset, 0, format!("dead_letter {reason}")));
    let mut lines: Vec<(i64, i32, String)> = rows.chain(dead).collect();
    lines.sort();
    lines.into_iter().map(|(offset, index, text)| format!("{}.{index} {text}\n", offset + 1)).collect()
}

fn golden(name: &str) {
    let log = fs::read(folder().join(name)).expect("a golden file");
    let records: Vec<&[u8]> = log.strip_suffix(b"\n").unwrap_or(&log).split(|b| *b == b'\n').collect();
    let found = rendered(&decode_all(DecodeConfig::default(), &records));
    let expected = folder().join(name).with_extension("expected");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&expected, &found).expect("the golden file is written");
    }
    let want = fs::read_to_string(&expected).expect("a golden file");
    for (found, want) in found.lines().zip(want.lines()) {
        assert_eq!(found, want, "{name}");
    }
    assert_eq!(found.lines().count(), want.lines().count(), "{name}");
}

#[test]
fn panos_traffic() {
    golden("panos-traffic.log");
}

#[test]
fn panos_threat() {
    golden("panos-threat.log");
}

#[test]
fn panos_other() {
    golden("panos-other.log");
}

#[test]
fn panos_globalprotect() {
    golden("panos-globalprotect.log");
}

#[test]
fn panos_system() {
    golden("panos-system.log");
}

#[test]
fn panos_config() {
    golden("panos-config.log");
}

#[test]
fn panos_auth() {
    golden("panos-auth.log");
}

#[test]
fn panos_userid() {
    golden("panos-userid.log");
}

#[test]
fn panos_hipmatch() {
    golden("panos-hipmatch.log");
}

#[test]
fn panos_iptag() {
    golden("panos-iptag.log");
}

#[test]
fn panos_decryption() {
    golden("panos-decryption.log");
}

#[test]
fn panos_tunnel() {
    golden("panos-tunnel.log");
}

#[test]
fn panos_sctp() {
    golden("panos-sctp.log");
}

#[test]
fn panos_gtp() {
    golden("panos-gtp.log");
}

#[test]
fn panos_correlation() {
    golden("panos-correlation.log");
}

#[test]
fn panos_audit() {
    golden("panos-audit.log");
}

#[test]
fn panos_releases() {
    golden("panos-releases.log");
}

#[test]
fn panos_cef() {
    golden("panos-cef.log");
}

#[test]
fn panos_leef() {
    golden("panos-leef.log");
}

#[test]
fn vpc_flow() {
    golden("vpc-flow.log");
}

#[test]
fn strata() {
    golden("strata.log");
}

#[test]
fn cloudtrail() {
    golden("cloudtrail.log");
}

#[test]
fn any_text() {
    golden("any.log");
}
