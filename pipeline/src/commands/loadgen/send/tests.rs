use clap::Parser;

use super::*;
use crate::cli::{Cli, Command};

fn parsed(args: &[&str]) -> Result<WriteArgs, String> {
    let line = ["palisade", "loadgen"].iter().chain(args);
    match Cli::try_parse_from(line).map_err(|e| e.to_string())?.command {
        Command::Loadgen(args) => Ok(args.write),
        other => Err(format!("{other:?}")),
    }
}

fn events_of(args: &[&str]) -> Result<u64, String> {
    let args = parsed(&[&["--to", "-"], args].concat())?;
    let schedule = schedule(&args.send).map_err(|e| format!("{e:#}"))?.expect("a shape");
    events(&args, &schedule, args.events.unwrap_or(100_000)).map_err(|e| e.to_string())
}

#[test]
fn a_shape_and_a_time_say_how_many_records_there_are() {
    let curve = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(curve.path(), "seconds,events_per_second\n0,10\n60,20\n").expect("written");
    let curve = curve.path().display().to_string();
    let cases: [(&[&str], u64); 6] = [
        (&["--rate", "20k", "--duration", "5s"], 100_000),
        (&["--rate", "20k", "--events", "77"], 77),
        (&["--ramp", "0..1k/10s"], 5_000),
        (&["--ramp", "0..1k/10s", "--duration", "20s"], 15_000),
        (&["--step", "1k,2k/30s"], 90_000),
        (&["--curve", &curve], 1_800),
    ];
    for (args, want) in cases {
        assert_eq!(events_of(args), Ok(want), "{args:?}");
    }
}

#[test]
fn what_does_not_fit_together_is_refused_with_the_way_out() {
    let refused = |args: &[&str]| events_of(args).expect_err("refused");
    assert!(refused(&["--rate", "1k", "--ramp", "1..2/1s"]).contains("cannot be used with"));
    assert!(refused(&["--rate", "fast"]).contains("a rate such as 250, 20k or 1.5M"));
    assert!(refused(&["--ramp", "1k/1s"]).contains("FROM..TO/TIME, such as 1k..50k/60s"));
    assert!(refused(&["--rate", "1k", "--shard", "5/4"]).contains("NUMBER/OF, such as 1/4"));
    assert_eq!(refused(&["--rate", "1", "--duration", "0s"]), "no record is due in --duration; raise it, or the rate");
    assert!(refused(&["--curve", "/nowhere/curve.csv"]).starts_with("--curve /nowhere/curve.csv: "));
    let unknown = parsed(&["--to", "ftp://h"]).expect_err("refused");
    assert!(unknown.contains("unknown scheme ftp://; known are udp, tcp, tls, http"), "{unknown}");
    assert!(parsed(&["--rate", "1k"]).expect_err("no target").contains("--to"));
    assert!(parsed(&["--to", "-", "--kafka", "a:1", "--topic", "t"]).is_err());
}

#[test]
fn a_run_without_a_rate_has_the_fleets_own_times_or_none() {
    let timing = |args: &[&str]| {
        let args = parsed(args).expect("arguments");
        let target = args.send.to.clone().expect("a target");
        timing(&args, None, &target, (3_600_000_000, 1_000_000)).expect("a timing")
    };
    let spread = timing(&["--to", "-", "--duration", "10s"]);
    let want = Pace::Open { start_wall_us: 1_000_000, wall_span_us: 10_000_000 };
    assert!(matches!(spread, Timing::Pace(pace) if pace == want));
    assert!(matches!(timing(&["--to", "-"]), Timing::Free));
    assert!(matches!(timing(&["--to", "kafka://a:1/t"]), Timing::Pace(Pace::AsFast { .. })));
}

#[test]
fn a_folder_is_filled_and_the_report_is_whole() {
    let dir = tempfile::tempdir().expect("a folder");
    let (logs, truth) = (dir.path().join("logs").display().to_string(), dir.path().join("truth"));
    std::fs::create_dir(&truth).expect("made");
    let truth_arg = truth.display().to_string();
    let args = ["--to", &logs, "--rate", "1M", "--events", "60000", "--out", &truth_arg, "--output", "json"];
    let code = super::super::write(&parsed(&args).expect("arguments")).expect("sent");
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
    let records: usize = std::fs::read_dir(&logs)
        .expect("a folder")
        .map(|entry| std::fs::read(entry.expect("an entry").path()).expect("a file"))
        .map(|bytes| bytes.iter().filter(|b| **b == b'\n').count())
        .sum();
    assert_eq!((records, truth.join("truth.parquet").exists()), (60_000, true));
}

#[test]
fn progress_and_report_say_what_is_late_and_why() {
    let progress =
        Progress { seconds: 7.0, intended: 7_000, sent: 6_500, lag_seconds: 0.5, stalled: 1, ..Progress::default() };
    assert_eq!(
        line(&progress),
        "7 s: 6,500 of 7,000 intended now sent, 0 failed, lag 500 ms, back-pressure 0.0 s; 1 connections wait"
    );
    let report = Report {
        intended: 10,
        sent: 4,
        acknowledged: None,
        failed: 1,
        unsent: 5,
        bytes: 400,
        seconds: 2.0,
        events_per_second: 2.0,
        late: 3,
        retries: 2,
        back_pressure_seconds: 1.5,
        handed_ms: Some(Latencies { p50: 0.25, p99: 9.0, p999: 9.5, max: 10.0 }),
        acknowledged_ms: None,
        gave_up: Some("nobody listens".to_owned()),
        first_trouble: None,
    };
    let rows = rows(&report);
    let value = |name| rows.iter().find(|(row, _)| *row == name).map(|(_, value)| value.as_str());
    assert_eq!(value("acknowledged"), Some("the protocol has none"));
    assert_eq!((value("not tried"), value("gave up")), (Some("5"), Some("nobody listens")));
    assert_eq!(value("intended to sent, ms"), Some("p50 0.2, p99 9.0, max 10.0"));
}
