//! The Python environment of `.ci/setup`, and proof that the OCSF judge in it can say no.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{cache, root};

/// The Python with PyIceberg and the OCSF schemas: `PALISADE_PYTHON`, or the one that `.ci/setup` made.
///
/// # Panics
/// If there is none: a test without its judge fails, it does not pass silently.
pub(crate) fn python() -> PathBuf {
    let cached = || Some(cache()?.join("venv/bin/python"));
    let python = std::env::var_os("PALISADE_PYTHON").map(PathBuf::from).or_else(cached);
    python.filter(|p| p.exists()).expect("no Python environment (PALISADE_PYTHON): run .ci/setup")
}

/// `python testdata/validate_ocsf.py`: exit code, stdout, stderr.
pub(crate) fn validate_ocsf(ndjson: &str) -> (Option<i32>, String, String) {
    let mut child = Command::new(python())
        .arg(root().join("testdata/validate_ocsf.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the Python of .ci/setup starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    // From a thread: the script prints while it reads, and two full pipes would wait for each other.
    let input = ndjson.to_owned();
    let writer = std::thread::Builder::new().name("stdin".to_owned()).spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("the script ends");
    writer.expect("a thread starts").join().expect("no panic").expect("the script reads all of its input");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the script prints UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_ocsf_validator_says_no() {
    let good = concat!(
        r#"{"time":1,"time_dt":"1970-01-01T00:00:00.001500Z","category_uid":4,"class_uid":4001,"activity_id":2,"#,
        r#""type_uid":400102,"severity_id":1,"severity":"Informational","metadata":{"version":"1.8.0","#,
        r#""profiles":["datetime"],"product":{"name":"p"}},"dst_endpoint":{"ip":"192.0.2.1"}}"#
    );
    let mut input = format!("{good}\n");
    let mut want = Vec::new();
    for (from, to, says) in [
        (r#""datetime""#, "", "network_activity: $: Additional properties"),
        (r#""time":1"#, r#""time":"x""#, "network_activity: $.time: 'x' is not of type 'integer'"),
        (r#""class_uid":4001"#, r#""class_uid":9"#, "?: class_uid: No class found"),
        (r#""1.8.0""#, r#""1.7.0""#, "?: metadata.version"),
        (
            r#""severity_id":1"#,
            r#""severity_id":4"#,
            "network_activity: $.severity: 'Informational' beside severity_id 4",
        ),
        ("400102", "400101", "network_activity: $.type_uid: 400101, not 400102"),
        ("192.0.2.1", "a.b.c.d", "network_activity: $.dst_endpoint.ip"),
        ("}}", "}", "?: not JSON"),
        (good, "", "?: not JSON"),
    ] {
        assert!(good.contains(from), "{from}");
        input.push_str(&format!("{}\n", good.replace(from, to)));
        want.push(format!("line {}: {says}", want.len() + 2));
    }
    let (code, stdout, stderr) = validate_ocsf(&input);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stdout.starts_with(r#"{"documents": 10, "invalid": 9,"#), "{stdout}");
    for (line, says) in stderr.lines().zip(&want) {
        assert!(line.starts_with(says), "{line:?}, not {says:?}");
    }
    assert_eq!(stderr.lines().count(), want.len(), "{stderr}");
}

#[test]
fn the_ocsf_validator_says_yes_and_is_not_content_with_nothing() {
    let good = concat!(
        r#"{"time":1,"category_uid":0,"class_uid":0,"activity_id":0,"type_uid":0,"severity_id":99,"severity":"odd","#,
        r#""metadata":{"version":"1.8.0","product":{"name":"p"}},"unmapped":{"n":1e400}}"#
    );
    let (code, stdout, stderr) = validate_ocsf(&format!("{good}\n{good}\n"));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(stdout.trim(), r#"{"documents": 2, "invalid": 0, "classes": {"base_event": 2}}"#);
    assert_eq!(validate_ocsf("").0, Some(1));
}
