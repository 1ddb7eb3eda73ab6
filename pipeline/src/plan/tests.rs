//! Whole plans of a made-up machine.

use clap::Parser;

use super::*;
use crate::cli::{Cli, Command, PlanArgs};

/// A machine of round figures: 10 cpu-seconds a million events.
pub(super) fn calibration() -> Calibration {
    serde_saphyr::from_str(include_str!("../../../testdata/capacity/calibration.yaml")).expect("figures")
}

pub(super) fn args(line: &[&str]) -> Result<PlanArgs, String> {
    let line = ["palisade", "plan"].iter().chain(line);
    match Cli::try_parse_from(line).map_err(|e| e.to_string())?.command {
        Command::Plan(args) => Ok(args),
        other => Err(format!("{other:?}")),
    }
}

fn planned(line: &[&str]) -> Result<Plan, String> {
    let demand = Demand::new(&args(line)?, &calibration()).map_err(|e| format!("{e:#}"))?;
    Ok(Plan::new(demand, "calibration.yaml", &calibration(), None))
}

fn text(plan: &Plan) -> String {
    let mut out = Vec::new();
    plan.write_text(&mut out, false).expect("a buffer takes all");
    String::from_utf8(out).expect("text")
}

#[test]
fn a_plan_of_round_figures_is_as_on_paper() {
    let plan = planned(&["--events-per-second", "70000", "--peak-factor", "2", "--growth", "0"]).expect("a plan");
    let year = plan.years.last().expect("years");
    assert!((plan.measured.cpu_seconds_per_million - 10.0).abs() < 1e-9, "{:?}", plan.measured);
    assert!((plan.measured.machine_events_per_second - 300_000.0).abs() < 1e-6);
    // 140,000 events/s x 10 us = 1.4 cores; of 4-core workers, 70 % busy, one; and a spare.
    assert!((year.cores_busy - 1.4).abs() < 1e-9 && year.workers == 2 && year.cores == 8, "{year:?}");
    // A shard does 8.5 of the 10: 82,353 events/s, of which 70 %; but no core without a partition.
    assert_eq!((plan.settings.partitions, plan.settings.merge_groups), (4, 1));
    // 70,000 x 31,536,000 s x 60 bytes.
    assert!((year.stored_bytes - 132.451_2e12).abs() < 1e6, "{}", year.stored_bytes);
    assert_eq!(plan.years.len(), 5);
    assert!(plan.bottleneck.full_in_year.is_none(), "{:?}", plan.bottleneck);
}

#[test]
fn larger_events_cost_more_to_decode_encode_and_store() {
    let plan = planned(&["--events-per-second", "1000", "--event-bytes", "1200B"]).expect("a plan");
    // Decode and encode are 5 of the 10.
    assert!((plan.measured.cpu_seconds_per_million - 15.0).abs() < 1e-9, "{:?}", plan.measured);
    assert!((plan.measured.stored_bytes_per_event - 120.0).abs() < 1e-9);
}

#[test]
fn regions_share_the_events_and_each_has_its_spare() {
    let one = planned(&["--events-per-second", "1000000"]).expect("a plan");
    let three = planned(&["--events-per-second", "1000000", "--regions", "3", "--redundancy", "n+2"]).expect("a plan");
    let (one, three) = (&one.years[0], &three.years[0]);
    assert!((one.events_per_second - three.events_per_second).abs() < 1e-6);
    assert!((one.stored_bytes - 3.0 * three.stored_bytes).abs() < 1.0);
    assert!(three.workers < one.workers && three.regions == 3);
}

#[test]
fn more_events_never_need_fewer_cores_over_whole_plans() {
    let mut before = 0;
    for rate in ["10", "1000", "30000", "31000", "500000", "15000000"] {
        let plan = planned(&["--events-per-second", rate, "--growth", "30%"]).expect("a plan");
        let cores: Vec<u64> = plan.years.iter().map(|y| y.cores).collect();
        assert!(cores.is_sorted() && cores[0] >= before, "{rate}: {cores:?} after {before}");
        before = cores[0];
    }
}

#[test]
fn the_first_bottleneck_is_named_with_a_way_out() {
    let plan = planned(&["--events-per-second", "15000000"]).expect("a plan");
    assert_eq!(plan.bottleneck.full_in_year, Some(1), "{:?}", plan.limits);
    assert!(text(&plan).contains(&format!("first bottleneck: {}", plan.bottleneck.name)));
    let tight = planned(&["--events-per-second", "70000", "--worker-memory", "256MiB"]).expect("a plan");
    assert_eq!((tight.bottleneck.name, tight.bottleneck.full_in_year), ("a worker's memory", Some(1)));
    let thin = planned(&["--events-per-second", "70000", "--worker-network-gbit", "0.1"]).expect("a plan");
    assert_eq!(thin.bottleneck.name, "a worker's network");
}

#[test]
fn cost_is_shown_with_prices_and_otherwise_how_to_give_some() {
    let plan = planned(&["--events-per-second", "70000"]).expect("a plan");
    let without = text(&plan);
    assert!(
        !without.contains("cost a month") && without.contains("--prices") && without.contains("core_hour:"),
        "{without}"
    );
    let json = serde_json::to_value(&plan).expect("JSON");
    assert!(json["years"][0].get("cost_per_month").is_none() && json.get("prices").is_none());

    let prices = Prices {
        currency: "EUR".to_owned(),
        core_hour: Some(0.5),
        memory_gib_hour: None,
        object_gib_month: None,
        object_writes_million: None,
        object_reads_million: None,
        topic_gib_month: None,
        network_gib: None,
    };
    let demand = plan.demand.clone();
    let priced = Plan::new(demand, "calibration.yaml", &calibration(), Some(prices));
    let year = &priced.years[0];
    assert!(year.cost_per_month.is_some_and(|cost| (cost - year.cores as f64 * 365.0).abs() < 1e-6), "{year:?}");
    let with = text(&priced);
    assert!(with.contains("cost a month") && with.contains("without memory_gib_hour, object_gib_month"), "{with}");
}

#[test]
fn helm_values_are_yaml_of_the_last_year() {
    let plan = planned(&["--events-per-second", "900000", "--worker-cores", "8"]).expect("a plan");
    let text = values(&plan).expect("YAML");
    let found: serde_json::Value = serde_saphyr::from_str(&text).expect("YAML");
    assert_eq!(found["replicaCount"], plan.years[4].workers);
    assert_eq!(found["resources"]["requests"]["cpu"], "8");
    assert_eq!(found["kafka"]["topic"]["partitions"], plan.settings.partitions);
    assert_eq!(found["kafka"]["topic"]["retentionMs"], 86_400_000);
    assert_eq!(found["config"]["worker"]["flush_interval"], format!("{}s", plan.settings.flush_interval_seconds));
}

#[test]
fn what_cannot_be_asked_is_refused_with_the_flag_and_a_way_out() {
    for (line, want) in [
        (&["--devices", "5"][..], "--events-per-device"),
        (&["--events-per-second", "1", "--formats", "xml=1"], "panos_csv, strata_json"),
        (&["--events-per-second", "1", "--formats", "panos_csv=0"], "0 in sum"),
        (&["--events-per-second", "1", "--event-bytes", "0"], "--event-bytes 0"),
        (&["--events-per-second", "0"], "must be above 0"),
        (&["--events-per-second", "1", "--peak-factor", "0.5"], "1 or more"),
        (&["--events-per-second", "1", "--utilization", "0"], "5% to 100%"),
        (&["--events-per-second", "1", "--retention", "10"], "90d"),
        (&["--events-per-device", "1"], "--devices"),
        (&["--events-per-second", "1", "--duration", "9s"], "--calibrate"),
        (&[], "--events-per-second"),
    ] {
        let error = planned(line).err().unwrap_or_else(|| panic!("{line:?} is refused"));
        assert!(error.contains(want), "{line:?}: {error}");
    }
}

#[test]
fn devices_times_their_rate_is_the_rate() {
    let plan = planned(&["--devices", "200", "--events-per-device", "5"]).expect("a plan");
    assert!((plan.demand.events_per_second - 1000.0).abs() < 1e-9);
    assert!(text(&plan).contains("devices: 200, 5.00 events/s each"));
}

/// What docs/capacity.md shows is what comes out, to the letter.
#[test]
fn the_documents_example_is_what_comes_out() {
    let docs = include_str!("../../../docs/capacity.md");
    let command = docs.lines().find_map(|line| line.strip_prefix("palisade plan --calibration ")).expect("a command");
    let mut words = command.split_whitespace();
    let file = words.next().expect("a file");
    let line: Vec<&str> = words.collect();
    let demand = Demand::new(&args(&line).expect("arguments"), &calibration()).expect("a demand");
    let out = text(&Plan::new(demand, file, &calibration(), None));
    let shown = docs.split("```text\n").nth(1).and_then(|block| block.split("```").next()).expect("its output");
    assert_eq!(shown, out, "docs/capacity.md shows something else");
}
