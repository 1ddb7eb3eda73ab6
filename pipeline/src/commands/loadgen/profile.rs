//! Fleets by name and from files, and files of fleets that were learned.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use loadgen::{FleetConfig, Learner};
use serde_json::Value;

use crate::cli::{LearnArgs, WriteArgs};
use crate::summary::grouped;

/// Records without a profile, if nobody says how many.
const EVENTS: u64 = 100_000;

/// The fleet that the arguments tell of: the profile's, but for what they say themselves.
///
/// # Errors
/// If there is no such profile, or it is no fleet's.
pub(super) fn fleet(args: &WriteArgs) -> anyhow::Result<FleetConfig> {
    let mut config = match &args.profile {
        Some(profile) => named(profile)?,
        None => FleetConfig { events: EVENTS, ..FleetConfig::default() },
    };
    config.seed = args.seed.unwrap_or(config.seed);
    config.events = args.events.unwrap_or(config.events);
    config.tenants = args.tenants.unwrap_or(config.tenants);
    config.devices = config.devices.max(config.tenants.saturating_mul(config.partitions_per_tenant));
    if let Some(span) = args.span {
        config.span_us = i64::try_from(span.as_micros())?;
    }
    Ok(config)
}

fn named(profile: &str) -> anyhow::Result<FleetConfig> {
    if let Some(preset) = FleetConfig::preset(profile) {
        return Ok(preset);
    }
    if !Path::new(profile).exists() {
        let presets = FleetConfig::presets().join(", ");
        bail!("--profile {profile}: no such file, and no such fleet; there are {presets}");
    }
    let text = std::fs::read_to_string(profile).with_context(|| format!("--profile {profile}"))?;
    serde_saphyr::from_str(&text).with_context(|| format!("--profile {profile}"))
}

/// Learns a profile and writes what differs from the usual fleet.
///
/// # Errors
/// If a file cannot be read or written, or nothing in it is known.
pub(super) fn learn(args: &LearnArgs) -> anyhow::Result<ExitCode> {
    let mut learner = Learner::default();
    for path in &args.files {
        learner.file(path).with_context(|| format!("{}", path.display()))?;
    }
    let (records, unknown) = learner.records();
    if records == 0 {
        bail!("no record of a known format: PAN-OS CSV, Strata JSON, CloudTrail and VPC flow logs are");
    }
    let text = serde_saphyr::to_string(&differing(&learner.profile())?)?;
    std::fs::write(&args.out, text).with_context(|| format!("{}", args.out.display()))?;
    eprintln!("{} records, {} lines of no known format; {}", grouped(records), grouped(unknown), args.out.display());
    Ok(ExitCode::SUCCESS)
}

/// The settings that are not the usual ones.
fn differing(profile: &FleetConfig) -> anyhow::Result<Value> {
    let (mut profile, usual) = (serde_json::to_value(profile)?, serde_json::to_value(FleetConfig::default())?);
    if let (Value::Object(settings), Value::Object(usual)) = (&mut profile, usual) {
        settings.retain(|name, value| usual.get(name) != Some(value));
    }
    Ok(profile)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(profile: &str) -> WriteArgs {
        use clap::Parser;
        let line = ["palisade", "loadgen", "--profile", profile, "--events", "5000"];
        match crate::cli::Cli::try_parse_from(line).map(|cli| cli.command) {
            Ok(crate::cli::Command::Loadgen(args)) => args.write,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_profile_is_a_name_or_a_file_and_arguments_go_before_it() {
        let named = fleet(&args("provider")).expect("a preset");
        assert_eq!((named.tenants, named.events), (10_000, 5_000));
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("ours.yaml");
        std::fs::write(&path, "tenants: 5\ndevices: 40\nrate: {zones: [2, -7], bursts_per_day: 3}\n").expect("written");
        let ours = fleet(&args(&path.display().to_string())).expect("a file");
        assert_eq!((ours.tenants, ours.events, ours.rate.zones), (5, 5_000, vec![2, -7]));
        let error = fleet(&args("branch-ofice")).expect_err("none").to_string();
        assert!(error.contains("there are branch-office, data-center"), "{error}");
    }

    #[test]
    fn what_was_learned_is_read_back() {
        let dir = tempfile::tempdir().expect("a folder");
        let (logs, out) = (dir.path().join("flow.log"), dir.path().join("profile.yaml"));
        let line = "2 123456789012 eni-0a 10.0.0.5 198.51.100.7 40000 443 6 3 180 1767600000 1767600060 ACCEPT OK\n";
        std::fs::write(&logs, line.repeat(20)).expect("written");
        learn(&LearnArgs { files: vec![logs], out: out.clone() }).expect("learned");
        let config = fleet(&args(&out.display().to_string())).expect("a profile");
        assert_eq!(config.flow_logs_per_million, 1_000_000);
        assert_eq!(config.learned.map(|facts| facts.records), Some(20));
        let text = std::fs::read_to_string(&out).expect("the file");
        assert!(!text.contains("10.0.0.5") && !text.contains("123456789012") && !text.contains("malformed_x"));
    }
}
