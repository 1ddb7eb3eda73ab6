use super::*;
use crate::plan::tests::calibration;

fn loaded(text: &str) -> Result<Calibration, String> {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("c.yaml");
    std::fs::write(&file, text).expect("a file");
    Calibration::load(&file).map_err(|e| e.to_string())
}

#[test]
fn what_is_written_is_read_back() {
    let written = calibration();
    assert_eq!(loaded(&written.to_yaml().expect("YAML")).expect("valid"), written);
}

#[test]
fn without_figures_the_error_says_how_to_get_some() {
    let error = Calibration::load(Path::new("/nowhere/calibration.yaml")).expect_err("missing").to_string();
    assert!(error.contains("--calibrate") && error.contains("--calibration"), "{error}");
}

#[test]
fn figures_that_no_machine_has_are_refused_by_name() {
    let text = calibration().to_yaml().expect("YAML");
    for (from, to, want) in [
        ("total: 10.0", "total: 0", "cpu_seconds_per_million.total is 0"),
        ("merge: 0.5", "merge: -1", "cpu_seconds_per_million.merge is -1"),
        ("bytes_per_event: 60.0", "bytes_per_event: .nan", "storage.bytes_per_event is NaN"),
        ("decode: 3.0", "decode: .inf", "formats has no usable figures"),
        ("event_bytes: 500.0", "event_bytes: 0", "event_bytes is not above 0"),
        ("cores: 4", "coers: 4", "coers"),
        ("cores: 4", "cores: many", "invalid u32 at line 6"),
    ] {
        assert!(text.contains(from), "{from}: {text}");
        let error = loaded(&text.replacen(from, to, 1)).expect_err(to);
        assert!(error.contains(want), "{to}: {error}");
        assert!(error.starts_with("--calibration") && error.contains("--calibrate"), "{error}");
    }
}

#[test]
fn figures_are_rounded_to_four_digits() {
    for (n, want) in
        [(0.0, 0.0), (1234.56, 1235.0), (0.000_123_456, 0.000_123_5), (f64::NAN, 0.0), (99_999.0, 100_000.0)]
    {
        assert!((rounded(n) - want).abs() < 1e-9, "{n}");
    }
}
