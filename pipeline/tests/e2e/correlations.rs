//! Correlations as a user runs them: over a file, and in a worker that is killed in the middle of their windows.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

use crate::crash::{alerts, counts, run, verify_alerts};
use crate::kit::{number, palisade, run_to_end, stdout, with_input};
use crate::readme::blocks;
use crate::rsigma::{Call, base, calls};

/// What `rules run` prints.
fn printed(rules: &Path, events: &[String]) -> Vec<String> {
    let mut command = palisade();
    command.args(["rules", "run", "--strict", "--events", "-", "--rules"]).arg(rules);
    let run = with_input(&mut command, (events.join("\n") + "\n").as_bytes());
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8_lossy(&run.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn the_guides_correlation_finds_what_the_guide_shows() {
    let guide = blocks(include_str!("../../../docs/sigma.md"), "Correlations");
    let of = |language: &str| guide.iter().find(|block| block.language == language).expect("a block").text.trim();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rules = folder.path().join("let_in.yml");
    std::fs::write(&rules, of("yaml")).expect("a file");
    let event = |(minute, second, user, error): (u8, u8, &str, Option<&str>)| {
        let call = Call { at: u64::from(minute) * 60 + u64::from(second), ..Call::default() };
        let line = call.line().replace("user/u0", &format!("user/{user}")).replace("\"u0\"", &format!("\"{user}\""));
        let with = error.map_or_else(String::new, |error| format!("\"errorCode\":\"{error}\","));
        line.replacen('{', &format!("{{{with}"), 1)
    };
    let denied = Some("AccessDenied");
    let mut events: Vec<_> = (0..10).map(|second| (0, second, "ann", denied)).collect();
    // Who is not denied often enough, and who is not denied at all: of ann only the last.
    events.extend([(0, 3, "bob", denied), (0, 4, "bob", denied), (0, 5, "bob", None), (10, 1, "eve", None)]);
    events.push((10, 0, "ann", None));
    let events: Vec<String> = events.into_iter().map(event).collect();
    assert_eq!(printed(&rules, &events), [of("json")]);
}

#[test]
fn what_correlations_found_is_printed_with_its_rows() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rules = folder.path().join("mean.yml");
    let mean = "type: value_avg, rules: [a], timespan: 20s, group-by: [userIdentity.arn, sourceIPAddress], \
                condition: {field: requestParameters.size, gt: 2}";
    let rule = format!("title: mean\nid: 5a1b0000-0000-4000-8000-000000000000\ncorrelation: {{{mean}}}\n");
    std::fs::write(&rules, base((0, "a")) + &rule).expect("a file");
    // User u1 twice, u1 too small and too long ago, nobody, and an operation that is none of the rule's.
    let events = [(60, Some(1), 0, 1), (61, Some(1), 0, 4), (30, Some(1), 0, 1), (62, None, 0, 3), (62, Some(1), 1, 9)];
    let event = |(at, user, operation, size)| Call { at, user, operation, size: Some(size), ..Call::default() };
    let events: Vec<String> = events.map(|drawn| event(drawn).line()).to_vec();
    let found = |user: &str, (start, end): (&str, &str), value: &str, lines: &str| {
        format!(
            r#"{{"rule_id":"5a1b0000-0000-4000-8000-000000000000","group":{{"sourceIPAddress":"192.0.2.0","userIdentity.arn":{user}}},"window_start":"2026-11-20T10:{start}.000000Z","window_end":"2026-11-20T10:{end}.000000Z","value":{value},"lines":{lines}}}"#
        )
    };
    let arn = "\"arn:aws:iam::111122223333:user/u1\"";
    let want = [found(arn, ("00:41", "01:01"), "2.5", "[0,1]"), found("null", ("00:42", "01:02"), "3", "[3]")];
    assert_eq!(printed(&rules, &events), want);
}

/// Correlations of all kinds of memory: what a finding silences or uses up, what late rows may change, and what rests on another.
fn rules() -> String {
    let correlations = [
        ("count", "type: event_count, rules: [a, b], timespan: 10m, condition: {gte: 40}", "rsigma.suppress: 1m"),
        (
            "sum",
            "type: value_sum, rules: [a], timespan: 10m, condition: {field: requestParameters.size, gt: 99}",
            "rsigma.action: reset",
        ),
        (
            "names",
            "type: value_count, rules: [a, b, c], timespan: 10m, group-by: [sourceIPAddress, userIdentity.userName], condition: {field: requestParameters.size, gte: 7}",
            "",
        ),
        (
            "median",
            "type: value_median, rules: [b], timespan: 10m, condition: {field: requestParameters.size, eq: 4}",
            "allowed_lateness: 5m",
        ),
        ("many", "type: event_count, rules: [a], timespan: 10s, condition: {gte: 3}", ""),
        ("after_many", "type: temporal_ordered, rules: [many, c, b], timespan: 10m", ""),
    ];
    let mut text: String = [(0, "a"), (1, "b"), (2, "c")].map(base).concat();
    for (name, correlation, beside) in correlations {
        let group = if correlation.contains("group-by") { "" } else { "group-by: [userIdentity.arn], " };
        text += &format!("title: {name}\nname: {name}\n{beside}\ncorrelation: {{{group}{correlation}}}\n---\n");
    }
    text.trim_end_matches("---\n").to_owned()
}

/// A worker's configuration over the folder's logs, with small, frequent steps.
fn config(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let (warehouse, path) = (folder.join(name), folder.join(format!("{name}.yaml")));
    let source =
        |number| format!("  - {{name: aws{number}, files: {{paths: ['{}/{number}-*.log']}}}}\n", folder.display());
    let yaml = format!(
        "warehouse: {{path: {}, files_per_day_max: 1000000000}}\nrules: {{builtin: false, paths: ['{}/rules.yml']}}\nsources:\n{}{}\
         worker: {{flush_interval: 40ms, flush_rows: 60, commit_interval: 100ms, step_interval: 30ms, state_interval: 90ms}}\n",
        warehouse.display(),
        folder.display(),
        source(0),
        source(1),
    );
    std::fs::write(&path, yaml).expect("a file");
    (warehouse, path)
}

#[test]
fn killed_in_the_middle_of_windows_each_finding_is_there_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("rules.yml"), rules()).expect("a file");
    let lines: Vec<String> = calls(20_261_129, true).iter().map(Call::line).collect();
    // Many small files are many ranges.
    for (number, pair) in lines.chunks(80).enumerate() {
        for half in 0..2 {
            let own: Vec<&str> = pair.iter().skip(half).step_by(2).map(String::as_str).collect();
            let file = folder.path().join(format!("{half}-{number:02}.log"));
            std::fs::write(file, own.join("\n") + "\n").expect("a file");
        }
    }
    let trace = folder.path().join("steps");
    let (calm, path) = config(folder.path(), "calm");
    stdout(run(&path).env("PALISADE_STEP_TRACE", &trace));
    let wanted = alerts(&calm);
    let mut titles: BTreeMap<String, usize> = BTreeMap::new();
    wanted.iter().for_each(|alert| *titles.entry(alert["title"].to_string()).or_default() += 1);
    assert_eq!(titles.len(), 5, "each correlation that alerts found something: {titles:?}");
    let with_columns = "SELECT count(*) FROM detection_finding WHERE finding_info.title = 'names' \
                        AND src_ip LIKE '192.0.2.%' AND (user_name LIKE 'u_' OR user_name IS NULL)";
    assert_eq!(number(&calm, with_columns), titles["\"names\""] as i64);
    // What happens once happens at the start. The middle of the run is the middle of windows.
    for (step, count) in counts(&trace).into_iter().filter(|(_, count)| *count > 1) {
        // Steps that wait for the clock come more or less often: what ends before it is killed is killed at half that count.
        let counts = std::iter::successors(Some(count.div_ceil(2)), |at| (*at > 1).then_some(at / 2));
        let kill = |at: u64| {
            let (warehouse, path) = config(folder.path(), &format!("killed-at-{step}-{at}"));
            let run = run(&path).env("PALISADE_KILL_AT", format!("{step}:{at}")).output().expect("the binary starts");
            (run.status.signal() == Some(9)).then_some((warehouse, path))
        };
        let (warehouse, path) = counts.into_iter().find_map(kill).unwrap_or_else(|| panic!("{step} never came again"));
        run_to_end(&path);
        verify_alerts(&warehouse, &wanted).unwrap_or_else(|e| panic!("{step} of {count}: {e}"));
        stdout(palisade().args(["tables", "audit", "--warehouse"]).arg(&warehouse).arg("-c").arg(&path));
    }
    println!("findings: {titles:?}; killed at {:?}", counts(&trace));
}
