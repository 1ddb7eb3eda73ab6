//! `palisade rules explain`: what each rule becomes, for people and as JSON.

use std::io::Write;
use std::process::ExitCode;

use aggregate::{ExplainedException, ExplainedField, ExplainedWindow, Explanation, RuleSet};

use super::super::check::length;
use super::paint::Paint;
use crate::cli::{Output, RulesPathsArgs};

/// Columns of a row's identity and receipt, which every rule reads, are not told.
const MARGIN: usize = 12;

/// Runs the command.
///
/// # Errors
/// If nothing can be printed.
pub(super) fn run(args: &RulesPathsArgs) -> anyhow::Result<ExitCode> {
    let (rules, refused) = RuleSet::survey_excepted(&args.paths, &args.exceptions);
    refused.0.iter().for_each(|error| eprintln!("refused: {error}"));
    let mut explained: Vec<Explanation> = rules.rules().iter().map(|rule| rule.explain(&rules)).collect();
    explained.sort_by(|a, b| a.file.cmp(&b.file));
    let mut out = std::io::stdout().lock();
    match args.output {
        Output::Json => writeln!(out, "{}", serde_json::to_string(&explained)?)?,
        Output::Text => {
            for (i, rule) in explained.iter().enumerate() {
                if i > 0 {
                    writeln!(out)?;
                }
                write(rule, &mut out, Paint::of_stdout())?;
            }
        }
    }
    Ok(if refused.0.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write(rule: &Explanation, out: &mut impl Write, paint: Paint) -> std::io::Result<()> {
    writeln!(out, "{}  {}", paint.good(&rule.file), rule.title)?;
    for input in &rule.inputs {
        line(out, paint, "reads", &format!("{}: {}", input.table, input.columns.join(", ")))?;
        line(out, paint, "where", input.condition.as_deref().unwrap_or("every row counts"))?;
    }
    rule.fields.iter().try_for_each(|field| line(out, paint, "field", &places(field)))?;
    rule.window.iter().try_for_each(|window| write_window(window, out, paint))?;
    line(out, paint, "alerts", &rule.alerts)?;
    if rule.suppress_us > 0 {
        let length = length(rule.suppress_us);
        line(
            out,
            paint,
            "once",
            &format!("windows of the key that begin less than {length} after an alert's own give none"),
        )?;
    }
    rule.exceptions.iter().try_for_each(|exception| line(out, paint, "but not", &said(exception)))?;
    line(out, paint, "with", &format!("{}; evidence: {} rows at most", rule.selects.join(", "), rule.evidence))
}

fn said(exception: &ExplainedException) -> String {
    let ExplainedException { place, condition, owner, reason, expires } = exception;
    let condition = condition.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("{condition}; until {expires}, {owner}: {reason} ({place})")
}

fn places(field: &ExplainedField) -> String {
    let places = if field.places.is_empty() { "nothing here".to_owned() } else { field.places.join(", else ") };
    format!("{} of {} is {places}", field.field, field.table)
}

fn write_window(window: &ExplainedWindow, out: &mut impl Write, paint: Paint) -> std::io::Result<()> {
    let ExplainedWindow { function, slide_us, size_us, pane_us, allowed_lateness_us, .. } = window;
    let (slide, size) = (length(*slide_us), length(*size_us));
    let mut said = match *function {
        "SESSION" => format!("SESSION that ends {slide} after its last row, cut every {size}"),
        _ => format!("{function} of {size} every {slide}, in panes of {}", length(*pane_us)),
    };
    match allowed_lateness_us {
        0 => said.push_str("; rows that come after its end are late"),
        us => said += &format!("; takes rows until {} after its end", length(*us)),
    }
    line(out, paint, "window", &said)?;
    let keys: Vec<&str> = ["tenant_uid"].into_iter().chain(window.keys.iter().map(String::as_str)).collect();
    line(out, paint, "groups by", &keys.join(", "))?;
    for aggregate in &window.aggregates {
        let state = format!("{}; a key and pane keep {}", aggregate.function, aggregate.state.join(", "));
        line(out, paint, "counts", &state)?;
    }
    line(out, paint, "having", window.having.as_deref().unwrap_or("every group alerts"))?;
    if !window.needs.is_empty() {
        line(out, paint, "needs", &format!("{}; groups with less are not evaluated", window.needs.join(" and ")))?;
    }
    match window.alike.as_slice() {
        [] => Ok(()),
        alike => line(out, paint, "alike", &format!("{}: each has an aggregation of its own", alike.join(", "))),
    }
}

fn line(out: &mut impl Write, paint: Paint, word: &str, text: &str) -> std::io::Result<()> {
    writeln!(out, "  {}{text}", paint.faint(format!("{word:MARGIN$}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = "title: Many ports
id: 3f2b6a4e-1111-4222-8333-444455556666
version: 1
level: low
emit: on_threshold
allowed_lateness: 30s
sql: |
  SELECT window_start, src_ip, count(DISTINCT dst_port) AS ports
  FROM HOP(TABLE network_activity, DESCRIPTOR(time), INTERVAL '30' SECOND, INTERVAL '1' MINUTE)
  WHERE src_ip IS NOT NULL
  GROUP BY window_start, window_end, src_ip
  HAVING count(DISTINCT dst_port) > 250
";

    #[test]
    fn a_rule_is_told_from_its_rows_to_its_alerts() {
        let rules = RuleSet::from_texts(&[("ports.yaml", RULE)]).unwrap_or_else(|e| panic!("{e}"));
        let mut out = Vec::new();
        write(&rules.rules()[0].explain(&rules), &mut out, Paint { is_on: false }).expect("a buffer takes all");
        let text = String::from_utf8(out).expect("text");
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        assert_eq!(lines[0], "ports.yaml  Many ports");
        for want in [
            "where       src_ip IS NOT NULL",
            "window      HOP of 1m every 30s, in panes of 30s; takes rows until 30s after its end",
            "groups by   tenant_uid, src_ip",
            "having      count(DISTINCT dst_port) > 250",
            "needs       251 rows of network_activity; groups with less are not evaluated",
        ] {
            assert!(lines.contains(&want), "{want}\n{text}");
        }
    }
}
