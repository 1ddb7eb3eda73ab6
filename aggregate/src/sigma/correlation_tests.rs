//! What is refused of correlations, each mistake with its place and a way out; and which plain columns their alerts fill.

use super::{Body, load};
use crate::RuleSet;

/// A rule of one operation, `OpenA` for the name a.
fn base(name: &str) -> String {
    format!(
        "---\ntitle: {name}\nname: {name}\nlogsource: {{product: aws, service: cloudtrail}}\n\
         detection: {{s: {{eventName: Open{}}}, condition: s}}\n",
        name.to_uppercase()
    )
}

/// What stands under `correlation:` in the second line, beside it from the third; behind it the rules a and b, and one of DNS.
fn file(correlation: &str, beside: &str) -> String {
    let dns =
        "---\ntitle: d\nname: d\nlogsource: {category: dns}\ndetection: {s: {query: example.com}, condition: s}\n";
    format!("title: T\ncorrelation: {{{correlation}}}\n{beside}{}{}{dns}", base("a"), base("b"))
}

fn refusal(text: &str) -> String {
    RuleSet::from_texts(&[("r.yml", text)]).expect_err(text).to_string()
}

#[track_caller]
fn assert_refused(text: &str, want: &str) {
    let error = refusal(text);
    assert_eq!(error, want, "{text}");
}

const COUNT: &str = "type: event_count, rules: [a], timespan: 5m, condition: {gte: 3}";

/// The correlation that is right, with one part of it written otherwise.
fn with(from: &str, to: &str) -> String {
    assert!(COUNT.contains(from), "{from}");
    file(&COUNT.replace(from, to), "")
}

#[test]
fn the_one_that_mistakes_are_made_in_is_right() {
    RuleSet::from_texts(&[("r.yml", &file(COUNT, ""))]).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn parts_that_are_no_correlation() {
    for (text, want) in [
        (
            file(COUNT, "").replace(&format!("{{{COUNT}}}"), "soon"),
            "r.yml:2:14: correlation is a map; type: event_count",
        ),
        (with("timespan: 5m", "timespn: 5m"), "r.yml:2:46: a correlation has no key timespn; did you mean timespan?"),
        (
            with("timespan: 5m", "threshold: 5"),
            "r.yml:2:46: a correlation has no key threshold; one of type, rules, group-by, timespan, timeframe, condition, aliases, generate",
        ),
        (
            with("type: event_count, ", ""),
            "r.yml:2:1: the correlation has no type; one of event_count, value_count, value_sum, value_avg, value_percentile, value_median, temporal, temporal_ordered",
        ),
        (with("event_count", "evnt_count"), "r.yml:2:21: unknown word evnt_count; did you mean event_count?"),
        (
            with("event_count", "chained"),
            "r.yml:2:21: unknown word chained; one of event_count, value_count, value_sum, value_avg, value_percentile, value_median, temporal, temporal_ordered",
        ),
        (with("rules: [a], ", ""), "r.yml:2:1: the correlation refers to no rule; rules: [a rule's name or id]"),
        (with("[a]", "[]"), "r.yml:2:1: the correlation refers to no rule; rules: [a rule's name or id]"),
        (with("[a]", "[a, a]"), "r.yml:2:45: a is named twice; name each rule once"),
        (with("[a]", "{a: 1}"), "r.yml:2:41: a rule's name or id is one text, not a map"),
        (with(", timespan: 5m", ""), "r.yml:2:1: the correlation has no timespan; timespan: 5m"),
        (with("5m", "5 minutes"), "r.yml:2:56: not a timespan; a whole number and s, m, h, d or w: 90m"),
        (with("5m", "0s"), "r.yml:2:56: not a timespan; a whole number and s, m, h, d or w: 90m"),
        (with("5m", "1.5h"), "r.yml:2:56: not a timespan; a whole number and s, m, h, d or w: 90m"),
        (with("5m", "m"), "r.yml:2:56: not a timespan; a whole number and s, m, h, d or w: 90m"),
        (with("5m", "[5m]"), "r.yml:2:56: a timespan is one text, not a list"),
        (
            file(&format!("{COUNT}, aliases: [who]"), ""),
            "r.yml:2:90: aliases are maps; aliases: {an alias: {a rule's name: its field}}",
        ),
        (
            file(&format!("{COUNT}, aliases: {{who: a}}"), ""),
            "r.yml:2:96: aliases are maps; aliases: {an alias: {a rule's name: its field}}",
        ),
        (
            file(COUNT, "rsigma.suppress: long\n"),
            "r.yml:3:18: not a length of time; a whole number and s, m, h, d or w: 5m",
        ),
        (file(COUNT, "rsigma.action: rest\n"), "r.yml:3:16: unknown word rest; did you mean reset?"),
        (
            file(COUNT, "allowed_lateness: 5\n"),
            "r.yml:3:19: not a length of time; a whole number and s, m, h, d or w: 5m",
        ),
        (
            file(COUNT, "rsigma.action: reset\nallowed_lateness: 5m\n"),
            "r.yml:4:1: allowed_lateness goes with neither rsigma.suppress nor rsigma.action: reset; leave it out: late rows are counted and kept",
        ),
        (
            file(COUNT, "allowed_lateness: 5m\nrsigma.suppress: 1h\n"),
            "r.yml:3:1: allowed_lateness goes with neither rsigma.suppress nor rsigma.action: reset; leave it out: late rows are counted and kept",
        ),
        (file(COUNT, "level: hihg\n"), "r.yml:3:8: no level hihg; one of informational, low, medium, high, critical"),
    ] {
        assert_refused(&text, want);
    }
}

#[test]
fn conditions_that_ask_nothing_of_their_type() {
    let value = |kind: &str, condition: &str| {
        file(&format!("type: {kind}, rules: [a], timespan: 5m, condition: {condition}"), "")
    };
    let temporal = |rules: &str, condition: &str| {
        file(&format!("type: temporal, {rules}timespan: 5m, condition: {condition}"), "")
    };
    for (text, want) in [
        (with(", condition: {gte: 3}", ""), "r.yml:2:1: the correlation has no condition; condition: {gte: 10}"),
        (
            with("{gte: 3}", "a"),
            "r.yml:2:71: only temporal correlations have a condition over rules; condition: {gte: 10}",
        ),
        (with("{gte: 3}", "[{gte: 3}]"), "r.yml:2:71: a condition is a map, or a text over rules"),
        (with("{gte: 3}", "{ge: 3}"), "r.yml:2:72: no comparison ge; one of lt, lte, gt, gte, eq, neq"),
        (with("{gte: 3}", "{}"), "r.yml:2:71: the condition compares nothing; condition: {gte: 10}"),
        (with("{gte: 3}", "{gte: many}"), "r.yml:2:77: not a number"),
        (with("{gte: 3}", "{gte: .inf}"), "r.yml:2:77: not a number"),
        (
            with("{gte: 3}", "{field: sourceIPAddress, gte: 3}"),
            "r.yml:2:72: this type counts rows, not a field's values; type: value_count counts values",
        ),
        (with("{gte: 3}", "{percentile: 75, gte: 3}"), "r.yml:2:72: only value_percentile has a percentile"),
        (
            value("value_count", "{gte: 3}"),
            "r.yml:2:1: the condition names no field; condition: {field: a field's name, gte: 10}",
        ),
        (
            value("value_sum", "{field: [a, b], gte: 3}"),
            "r.yml:2:70: one field is measured, not several; condition: {field: a field's name, gte: 10}",
        ),
        (
            value("value_count", "{field: sourceIPAddress}"),
            "r.yml:2:71: the condition compares nothing; condition: {gte: 10}",
        ),
        (
            value("value_percentile", "{field: requestParameters.size, percentile: 101, gte: 3}"),
            "r.yml:2:120: a percentile is between 0 and 100",
        ),
        (
            value("value_percentile", "{field: requestParameters.size, percentile: most, gte: 3}"),
            "r.yml:2:120: not a number",
        ),
        (temporal("rules: [a, b], ", "a and c"), "r.yml:2:77: the correlation has no rule c; its rules are a, b"),
        (
            temporal("rules: [a, b], ", "a and"),
            "r.yml:2:73: the condition ends where a rule is expected; its rules are a, b",
        ),
        (temporal("", "a and (b"), "r.yml:2:63: a parenthesis is not closed; selection and not (one or other)"),
        (temporal("", "a b"), "r.yml:2:58: \"b\" is not expected here; rules stand with and, or and not between them"),
        (temporal("", "a and zzz"), "r.yml:2:62: no rule zzz is loaded; give the rule a name, or load its file, too"),
    ] {
        assert_refused(&text, want);
    }
}

#[test]
fn references_and_fields_that_are_not_there() {
    let group = |fields: &str, aliases: &str| {
        let rules = "type: temporal, rules: [a, b], timespan: 5m";
        file(&format!("{rules}, group-by: {fields}, aliases: {aliases}"), "")
    };
    let mixed = |rest: &str| file(&format!("type: temporal, rules: [a, d], timespan: 5m, {rest}"), "");
    for (text, want) in [
        (with("[a]", "[aa]"), "r.yml:2:42: no rule aa is loaded; did you mean a?"),
        (
            with("[a]", "[nothing_like_it]"),
            "r.yml:2:42: no rule nothing_like_it is loaded; give the rule a name, or load its file, too",
        ),
        (
            with("[a]", "[0b0e7b0e-3c1d-4f0a-9a51-6d8f2b7c9e10]"),
            "r.yml:2:42: no rule 0b0e7b0e-3c1d-4f0a-9a51-6d8f2b7c9e10 is loaded; give the rule a name, or load its file, too",
        ),
        (
            file(COUNT, "") + &base("a").replace("title: a", "title: other"),
            "r.yml:2:42: several rules are named a; refer to it by its id",
        ),
        (
            group("[who]", "{who: {a: userIdentity.arn}}"),
            "r.yml:2:87: the alias who names no field of b; who: {b: a field's name} in the correlation of r.yml",
        ),
        (
            group("[who]", "{who: {a: userIdentity.arn, c: userIdentity.arn}}"),
            "r.yml:2:87: the alias who names no field of b; who: {b: a field's name} in the correlation of r.yml",
        ),
        (mixed("group-by: [qeury]"), "r.yml:2:71: no field qeury in the rows of d; did you mean query?"),
        (mixed("group-by: [eventName]"), "r.yml:2:71: no field eventName in the rows of d; did you mean device.name?"),
        (
            file("type: value_count, rules: [d], timespan: 5m, condition: {field: eventName, gte: 3}", ""),
            "r.yml:2:79: no field eventName in the rows of d; did you mean device.name?",
        ),
    ] {
        assert_refused(&text, want);
    }
}

/// Correlations of the rule a by name, each `(name, rules, beside)`.
fn tower(floors: &[(&str, &str, &str)]) -> String {
    let floor = |(name, rules, beside): &(&str, &str, &str)| {
        format!(
            "title: {name}\nname: {name}\n{beside}correlation:\n  type: event_count\n  rules: [{rules}]\n  timespan: 5m\n  condition: {{gte: 1}}\n---\n"
        )
    };
    floors.iter().map(floor).collect::<String>() + base("a").trim_start_matches("---\n")
}

#[test]
fn correlations_that_rest_on_themselves_or_on_too_much() {
    let high: Vec<(String, String)> = (0..9).map(|i| (format!("f{i}"), format!("f{}", i + 1))).collect();
    let mut high: Vec<(&str, &str, &str)> = high.iter().map(|(name, rule)| (&**name, &**rule, "")).collect();
    let last = high.len() - 1;
    high[last].1 = "a";
    for (text, want) in [
        (
            tower(&[("one", "one", "")]),
            "r.yml:5:11: the correlation refers to itself, by way of others; one of them has to begin with rules",
        ),
        (
            tower(&[("one", "two", ""), ("two", "one", "")]),
            "r.yml:5:11: the correlation refers to itself, by way of others; one of them has to begin with rules\nr.yml:13:11: the correlation refers to itself, by way of others; one of them has to begin with rules",
        ),
        (tower(&high), "r.yml:69:11: more than 8 correlations deep, or 256 in all"),
        (
            tower(&[("one", "two", "allowed_lateness: 5m\n"), ("two", "a", "")]),
            "r.yml:6:11: correlations of correlations have no allowed_lateness; leave it out: late rows are counted and kept",
        ),
        (
            tower(&[("one", "two", ""), ("two", "a", "allowed_lateness: 5m\n")]),
            "r.yml:5:11: correlations of correlations have no allowed_lateness; leave it out: late rows are counted and kept",
        ),
    ] {
        assert_refused(&text, want);
    }
    RuleSet::from_texts(&[("r.yml", &tower(&high[1..]))]).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn a_mistake_of_a_rule_is_told_once_not_by_each_correlation() {
    let other = format!("---\ntitle: U\ncorrelation: {{{COUNT}}}\n");
    let text = file("type: temporal, rules: [a, b], timespan: 5m", "") + &other;
    assert_refused(
        &text.replacen("{eventName: OpenA}", "{eventName|contians: OpenA}", 1),
        "r.yml:7:17: no modifier contians; did you mean contains?",
    );
}

#[test]
fn fields_of_the_key_fill_plain_columns_of_alerts() {
    let group = |fields: &str| format!("type: temporal, rules: [a, b], timespan: 5m, group-by: [{fields}]");
    let who = "aliases: {who: {a: userIdentity.userName, b: eventName}}";
    let proxy =
        "---\ntitle: p\nname: p\nlogsource: {category: proxy}\ndetection: {s: {cs-method: GET}, condition: s}\n";
    for (correlation, want) in [
        (group("sourceIPAddress, userIdentity.userName"), &[Some("src_ip"), Some("user_name")][..]),
        (group("userIdentity.arn, src_endpoint.ip"), &[None, Some("src_ip")]),
        (group("who") + ", " + who, &[None]),
        (
            "type: temporal, rules: [d, p], timespan: 5m, group-by: [dst_ip, src_ip]".to_owned(),
            &[Some("dst_ip"), Some("src_ip")],
        ),
        ("type: temporal, rules: [a, p], timespan: 5m, group-by: [src_endpoint.ip]".to_owned(), &[Some("src_ip")]),
        (COUNT.to_owned(), &[]),
    ] {
        let (rules, errors) = load(&[("r.yml", &(file(&correlation, "") + proxy))]);
        assert!(errors.is_empty(), "{errors:?}");
        let hot = rules.iter().find_map(|rule| match &rule.body {
            Body::Correlation(plan) => Some(&plan.hot[..]),
            Body::Filter(_) => None,
        });
        assert_eq!(hot, Some(want), "{correlation}");
    }
}
