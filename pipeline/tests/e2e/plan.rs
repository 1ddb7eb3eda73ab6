//! `palisade plan`: measured here, planned from it, said in every form. What is asserted is structure: a shared machine's
//! speed is nobody's promise.

use serde_json::Value;

use crate::kit::{output, palisade, stdout};

#[test]
fn a_machine_is_measured_and_a_plan_made_of_it() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let plan = |args: &[&str]| {
        let mut command = palisade();
        command.arg("plan").args(args).current_dir(dir.path());
        command
    };
    let none = output(&mut plan(&["--events-per-second", "1000"]));
    let text = String::from_utf8_lossy(&none.stderr);
    assert!(!none.status.success() && text.contains("--calibrate") && text.contains("calibration.yaml"), "{text}");

    stdout(&mut plan(&["--calibrate", "--duration", "2s", "--seed", "6"]));
    let figures = std::fs::read_to_string(dir.path().join("calibration.yaml")).expect("calibration.yaml");
    for key in
        ["cpu_seconds_per_million:", "panos_csv:", "strata_json:", "cloudtrail:", "vpc_flow:", "files_per_flush:"]
    {
        assert!(figures.contains(key), "{key}: {figures}");
    }

    let asked = ["--events-per-second", "1000", "--years", "3", "--output", "json", "--helm", "values.yaml"];
    let p: Value = serde_json::from_str(&stdout(&mut plan(&asked))).expect("JSON");
    let n = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{value} in {p}"));
    assert_eq!(p["years"].as_array().map(Vec::len), Some(3));
    for year in p["years"].as_array().expect("years") {
        for name in
            ["workers", "cores", "worker_memory_bytes", "stored_bytes", "object_writes_per_month", "topic_bytes"]
        {
            assert!(n(&year[name]) > 0.0, "{name}: {year}");
        }
        assert!(year.get("cost_per_month").is_none(), "no price is built in: {year}");
    }
    assert!(n(&p["measured"]["cpu_seconds_per_million"]) > 0.0 && n(&p["measured"]["machine_events_per_second"]) > 0.0);
    let shares: f64 = p["demand"]["formats"].as_object().expect("formats").values().map(n).sum();
    assert!((shares - 1.0).abs() < 1e-9);
    assert!(p["bottleneck"]["name"].is_string() && n(&p["limits"][0]["load"]) > 0.0);
    let values = std::fs::read_to_string(dir.path().join("values.yaml")).expect("values.yaml");
    assert!(values.contains("replicaCount:") && values.contains("flush_interval:"), "{values}");

    std::fs::write(dir.path().join("prices.yaml"), "currency: EUR\ncore_hour: 0.04\n").expect("a file");
    let text = stdout(&mut plan(&["--events-per-second", "1000", "--prices", "prices.yaml"]));
    assert!(text.contains("cost a month") && text.contains("EUR") && text.contains("first bottleneck: "), "{text}");
}
