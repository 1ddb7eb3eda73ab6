//! Correlations beside rsigma: random CloudTrail, every type, the same findings at the same times with the same values.
//!
//! What rsigma does otherwise is taken out of its findings by what they are, each kind of them by a rule of its own ([`Beside`]), and
//! what is left must be ours. docs/sigma.md says which side does what.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::crash::Dice;
use crate::house::cache;
use crate::kit::{palisade, stdout};

/// rsigma over a file, as `bench/rsigma` has it: `PALISADE_RSIGMA`, or what `.ci/setup` made. Rules and events are to be added.
///
/// # Panics
/// If there is none: a test without its judge fails, it does not pass silently.
pub(crate) fn rsigma(log: &str) -> Command {
    let cached = || Some(cache()?.join("bin/hits-with-rsigma"));
    let program = std::env::var_os("PALISADE_RSIGMA").map(PathBuf::from).or_else(cached);
    let mut command = Command::new(program.filter(|p| p.exists()).expect("no rsigma (PALISADE_RSIGMA): run .ci/setup"));
    command.arg(log);
    command
}

/// An API call in the stream, or its line: operation A, B or C of somebody, with a number and somebody else's name.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) at: u64,
    pub(crate) user: Option<u64>,
    pub(crate) operation: usize,
    pub(crate) size: Option<u64>,
    pub(crate) address: u64,
    pub(crate) name: u64,
}

impl Default for Call {
    fn default() -> Self {
        Self { at: 0, user: Some(0), operation: 0, size: None, address: 0, name: 0 }
    }
}

impl Call {
    pub(crate) fn line(&self) -> String {
        let arn = |user: u64| format!("arn:aws:iam::111122223333:user/u{user}");
        let identity = match self.user {
            Some(user) => json!({"type": "IAMUser", "arn": arn(user), "userName": format!("u{user}")}),
            None => json!({"type": "AWSService", "invokedBy": "backup.amazonaws.com"}),
        };
        let mut parameters = json!({"name": arn(self.name)});
        if let Some(size) = self.size {
            parameters["size"] = size.into();
        }
        let (at, operation) = (self.at, ["OpenA", "OpenB", "OpenC"][self.operation]);
        json!({
            "eventVersion": "1.09", "userIdentity": identity, "eventSource": "example.amazonaws.com", "eventName": operation,
            "eventTime": format!("2026-11-20T{:02}:{:02}:{:02}Z", 10 + at / 3600, at / 60 % 60, at % 60),
            "awsRegion": "eu-west-1", "sourceIPAddress": format!("192.0.2.{}", self.address), "userAgent": "aws-cli",
            "requestParameters": parameters, "responseElements": null, "requestID": "r", "eventID": "e",
            "eventType": "AwsApiCall", "recipientAccountId": "111122223333",
        })
        .to_string()
    }
}

/// Calls in the order of time; of some seconds several, if asked for.
pub(crate) fn calls(seed: u64, with_ties: bool) -> Vec<Call> {
    let mut dice = Dice(seed);
    let mut at = 0;
    let mut call = || {
        at += if with_ties { dice.roll(4) } else { 1 + dice.roll(6) };
        let mut maybe = |below| Some(dice.roll(below)).filter(|drawn| *drawn > 0);
        let (user, size) = (maybe(4), maybe(9));
        let (operation, address, name) = (dice.roll(3) as usize, 1 + dice.roll(4), 1 + dice.roll(3));
        Call { at, user, operation, size, address, name }
    };
    (0..1_500).map(|_| call()).collect()
}

/// Which of rsigma's findings of a correlation are ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    /// Those on the last row of a time that has its value: rows of one time are looked at one after the other there, all together here.
    Last,
    /// All, if rows of one time are one: a time is found as soon as its first row is.
    Any,
    /// Those of streams without two rows of one time: what follows a finding depends on which of them was looked at first.
    Untied,
}

/// A correlation; the operations whose rows it looks at, and whether they need a number.
struct Kind {
    correlation: &'static str,
    operations: &'static [usize],
    needs_size: bool,
    beside: Beside,
    /// What follows a finding: `rsigma.action` and `rsigma.suppress`.
    after: (&'static str, &'static str),
}

/// Every correlation says it, since rsigma takes what one says for the default of all.
const ALERT: (&str, &str) = ("alert", "0s");

const fn kind(correlation: &'static str, operations: &'static [usize]) -> Kind {
    Kind { correlation, operations, needs_size: false, beside: Beside::Last, after: ALERT }
}

const fn sized(correlation: &'static str, operations: &'static [usize]) -> Kind {
    Kind { needs_size: true, ..kind(correlation, operations) }
}

const fn after(after: (&'static str, &'static str), correlation: &'static str) -> Kind {
    Kind { after, ..with(Beside::Untied, correlation) }
}

const fn with(beside: Beside, correlation: &'static str) -> Kind {
    Kind { beside, ..kind(correlation, &[0, 1, 2]) }
}

/// The bound of the percentile, which rsigma does not look at.
const PERCENTILE: f64 = 5.0;
/// The numbers of that correlation, of `temporal` without a condition, and of what these mean to rsigma and to us.
const BOUNDLESS: usize = 9;
const ANY_RULE: usize = 12;
const ALL_RULES: usize = 13;
const NO_CONDITION: usize = 14;
/// A condition over rules, with `rules` and without, where rsigma finds nothing.
const LOGIC: usize = 11;
const NO_RULES: usize = 24;

const KINDS: [Kind; 25] = [
    kind("type: event_count, rules: [a, b], condition: {gte: 3}", &[0, 1]),
    kind("type: event_count, rules: [a], condition: {eq: 2}", &[0]),
    kind("type: event_count, rules: [a, c], condition: {neq: 1, lt: 4}", &[0, 2]),
    kind("type: event_count, rules: [a, b, c], condition: {gt: 2, lte: 5}", &[0, 1, 2]),
    sized("type: value_count, rules: [a], condition: {field: requestParameters.size, gte: 2}", &[0]),
    sized(
        "type: value_count, rules: [a, b], condition: {field: [sourceIPAddress, requestParameters.size], gte: 4}",
        &[0, 1],
    ),
    sized("type: value_sum, rules: [a, b], condition: {field: requestParameters.size, gt: 9, lte: 25}", &[0, 1]),
    sized("type: value_avg, rules: [a, b, c], condition: {field: requestParameters.size, gt: 4}", &[0, 1, 2]),
    sized("type: value_median, rules: [a, b], condition: {field: requestParameters.size, lt: 4}", &[0, 1]),
    sized(
        "type: value_percentile, rules: [a, b], condition: {field: requestParameters.size, percentile: 75, gte: 5}",
        &[0, 1],
    ),
    kind("type: temporal, rules: [a, b, c], condition: a and b and not c", &[0, 1, 2]),
    kind("type: temporal, rules: [a, b, c], condition: (a or b) and c", &[0, 1, 2]),
    kind("type: temporal, rules: [a, b, c], condition: {gte: 1}", &[0, 1, 2]),
    kind("type: temporal, rules: [a, b, c], condition: {gte: 3}", &[0, 1, 2]),
    kind("type: temporal, rules: [a, b, c]", &[0, 1, 2]),
    kind("type: temporal, rules: [a, b, c], condition: {eq: 2}", &[0, 1, 2]),
    kind("type: temporal_ordered, rules: [a, b, c]", &[0, 1, 2]),
    kind("type: temporal_ordered, rules: [c, a], condition: {gte: 2}", &[0, 2]),
    kind("type: temporal_ordered, rules: [a, b, c], condition: a and b and c", &[0, 1, 2]),
    after(("reset", "0s"), "type: event_count, rules: [a, b], condition: {gte: 3}"),
    after(("alert", "15s"), "type: event_count, rules: [a, b], condition: {gte: 3}"),
    with(
        Beside::Untied,
        "type: event_count, rules: [a, b], condition: {gte: 2}, group-by: [who], aliases: {who: {a: userIdentity.arn, b: requestParameters.name}}",
    ),
    with(Beside::Untied, "type: event_count, rules: [many], condition: {gte: 2}"),
    with(Beside::Any, "type: temporal_ordered, rules: [many, b]"),
    kind("type: temporal, condition: (a or b) and c", &[0, 1, 2]),
];

fn id(number: usize) -> String {
    format!("5a1b0000-0000-4000-8000-{number:012}")
}

/// The rule of that name, for one operation.
pub(crate) fn base((number, name): (usize, &str)) -> String {
    format!(
        "title: {name}\nid: {}\nname: {name}\nlogsource: {{product: aws, service: cloudtrail}}\n\
         detection:\n  s: {{eventName: Open{}}}\n  condition: s\n---\n",
        id(100 + number),
        name.to_uppercase()
    )
}

fn beside((action, suppress): (&str, &str)) -> String {
    format!("rsigma.action: {action}\nrsigma.suppress: {suppress}\n")
}

fn rules() -> String {
    let many = "type: event_count, rules: [a], condition: {gte: 2}, timespan: 10s, group-by: [userIdentity.arn]";
    let mut text: String = ["a", "b", "c"].into_iter().enumerate().map(base).collect();
    text += &format!("title: many\nid: {}\nname: many\ncorrelation: {{{many}}}\n{}", id(200), beside(ALERT));
    for (number, kind) in KINDS.iter().enumerate() {
        let group = if kind.correlation.contains("group-by") { "" } else { "group-by: [userIdentity.arn], " };
        text += &format!(
            "---\ntitle: T{number}\nid: {}\ncorrelation: {{timespan: 20s, {group}{}}}\n{}",
            id(number),
            kind.correlation,
            beside(kind.after)
        );
    }
    text
}

/// What was found: the correlation's number, group, time and value.
type Finding = (usize, String, String, String);

fn finding(number: usize, found: &Value, time: &str) -> Finding {
    let group = found["group"].as_object().expect("a group").iter().filter(|(_, value)| !value.is_null());
    let group = Value::from_iter(group.map(|(name, value)| (name.clone(), value.clone()))).to_string();
    let time = time.trim_end_matches('Z').trim_end_matches(".000000");
    (number, group, time.to_owned(), format!("{:.9}", found["value"].as_f64().expect("a value")))
}

fn parsed(text: &str) -> impl Iterator<Item = (usize, Value)> {
    let number = |found: &Value| found["rule_id"].as_str().and_then(|id| id.rsplit('-').next()?.parse::<usize>().ok());
    let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|e| panic!("{line}: {e}")));
    all.filter_map(move |found| Some((number(&found)?, found))).filter(|(number, _)| *number < KINDS.len())
}

fn ours(rules: &Path, events: &Path) -> BTreeSet<Finding> {
    let text = stdout(palisade().args(["rules", "run", "--strict", "--rules"]).arg(rules).arg("--events").arg(events));
    parsed(&text)
        .map(|(number, found)| finding(number, &found, found["window_end"].as_str().expect("a time")))
        .collect()
}

/// Those of rsigma that are ours, and how many of each correlation are not.
fn theirs(rules: &Path, events: &Path, calls: &[Call]) -> (BTreeSet<Finding>, BTreeMap<usize, usize>) {
    let text = stdout(rsigma("aws/cloudtrail").arg(rules).arg(events));
    let (mut same, mut other) = (BTreeSet::new(), BTreeMap::new());
    for (number, found) in parsed(&text) {
        let line = found["line"].as_u64().and_then(|line| usize::try_from(line).ok()).expect("a line");
        let is_below = number == BOUNDLESS && found["value"].as_f64().is_none_or(|value| value < PERCENTILE);
        if is_below || !is_whole(&KINDS[number], calls, line) {
            *other.entry(number).or_default() += 1;
        } else {
            same.insert(finding(number, &found, found["time"].as_str().expect("a time")));
        }
    }
    (same, other)
}

/// True if rsigma looks at the same rows at this line as we do at its time.
fn is_whole(kind: &Kind, calls: &[Call], line: usize) -> bool {
    let is_looked_at =
        |call: &Call| kind.operations.contains(&call.operation) && (call.size.is_some() || !kind.needs_size);
    let (own, later) = (&calls[line], &calls[line + 1..]);
    let mut tied = later.iter().take_while(|call| call.at == own.at).filter(|call| call.user == own.user);
    kind.beside != Beside::Last || (is_looked_at(own) && !tied.any(is_looked_at))
}

/// Which of the correlations findings are asked of.
fn only(found: &BTreeSet<Finding>, number: usize) -> BTreeSet<(&String, &String, &String)> {
    found.iter().filter(|(own, ..)| *own == number).map(|(_, group, time, value)| (group, time, value)).collect()
}

fn compare(seed: u64, with_ties: bool) -> BTreeMap<usize, usize> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| dir.path().join(name);
    let calls = calls(seed, with_ties);
    let lines: Vec<String> = calls.iter().map(Call::line).collect();
    std::fs::write(at("events.ndjson"), lines.join("\n") + "\n").expect("a file");
    std::fs::write(at("rules.yml"), rules()).expect("a file");
    let ours = ours(&at("rules.yml"), &at("events.ndjson"));
    let (theirs, other) = theirs(&at("rules.yml"), &at("events.ndjson"), &calls);
    let is_compared =
        |(number, kind): &(usize, &Kind)| *number != NO_RULES && (!with_ties || kind.beside != Beside::Untied);
    for (number, kind) in KINDS.iter().enumerate().filter(is_compared) {
        // Without a condition one rule is enough there, and all have to be met here.
        let as_theirs = if number == NO_CONDITION { ANY_RULE } else { number };
        let (mine, yours) = (only(&ours, as_theirs), only(&theirs, number));
        let more = |a: &BTreeSet<_>, b: &BTreeSet<_>| format!("{:?}", a.difference(b).take(3).collect::<Vec<_>>());
        let where_ = format!("seed {seed}, ties {with_ties}: {}", kind.correlation);
        assert!(mine == yours, "{where_}\nours {}\ntheirs {}", more(&mine, &yours), more(&yours, &mine));
        assert!(!mine.is_empty(), "{where_}: nothing is found");
    }
    assert_eq!(only(&ours, NO_CONDITION), only(&theirs, ALL_RULES), "all rules, by the specification");
    assert_eq!((only(&ours, NO_RULES), only(&theirs, NO_RULES)), (only(&ours, LOGIC), BTreeSet::new()), "no `rules`");
    other
}

#[test]
fn correlations_over_random_cloudtrail_equal_those_of_rsigma() {
    let is = |kind: fn(&Kind) -> bool| (0..KINDS.len()).filter(|number| kind(&KINDS[*number])).collect::<BTreeSet<_>>();
    let fresh = RandomState::new().hash_one("a stream");
    println!("fresh seed: {fresh}");
    // A row without the value starts a look there, and a percentile is found whatever its bound; of rows of one time those before
    // the last have findings of their own. Of the fixed seed it is known which.
    let unmeasured = is(|kind| kind.needs_size);
    let found_again = is(|kind| kind.needs_size && !kind.correlation.contains("value_count"));
    let tied = is(|kind| kind.beside == Beside::Last && !kind.correlation.starts_with("type: temporal, condition"));
    for seed in [20_261_129, fresh] {
        for (with_ties, may, does) in [(false, &unmeasured, &found_again), (true, &tied, &tied)] {
            let other: BTreeSet<usize> = compare(seed, with_ties).into_keys().collect();
            assert!(other.is_subset(may), "seed {seed}: {other:?} beside {may:?}");
            assert!(seed == fresh || other == *does, "no such difference any more: {other:?} beside {does:?}");
        }
    }
}
