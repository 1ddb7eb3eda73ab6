//! `palisade rules backtest`: rules over stored rows, and what they would have found.

use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use aggregate::{Held, RuleSet};
use anyhow::Context;
use dataflow::TableBatch;
use dataflow::json::JsonRows;
use dataflow::time::rfc3339;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::held::write_held;
use super::paint::Paint;
use crate::backtest::{self, Done, Progress, Range, RuleTally, Tally, Watch};
use crate::cli::{Output, RulesBacktestArgs, When};
use crate::clock;
use crate::config::Config;
use crate::listing::Listing;
use crate::setup;
use crate::summary::grouped;
use crate::warehouse_sql;

/// Bars of a histogram, the lowest first.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

#[derive(Debug, Serialize)]
struct Report {
    from: String,
    to: String,
    tables: Vec<&'static str>,
    rows_read: u64,
    rows_stored: u64,
    rules: Vec<RuleTally>,
    /// Rows and groups on which a rule failed.
    failures: Vec<String>,
    /// Alerts that exceptions and suppression kept back.
    held: Vec<Held>,
}

/// Runs the command.
///
/// # Errors
/// If a rule is refused, or the tables cannot be read.
pub(super) async fn run(args: &RulesBacktestArgs) -> anyhow::Result<ExitCode> {
    let config = args.config.as_ref().map(|file| Config::load(file)).transpose()?;
    let rules = match &config {
        Some(config) if args.rules.is_empty() => setup::rules(config)?,
        _ => RuleSet::load(&args.rules)?.except(&args.exceptions)?,
    };
    let rules = super::without_watches(&rules);
    let at = setup::named_warehouse(args.warehouse.as_deref(), config.as_ref())?;
    let warehouse = setup::existing_warehouse(at, setup::NONE_TO_READ).await?;
    let session = warehouse_sql::session(&warehouse).await?;
    let now = clock::now_us();
    let us = |when: Option<When>| match when {
        Some(When::At(us)) => Some(us),
        Some(When::Ago(us)) => Some(now.saturating_sub(us)),
        None => None,
    };
    let mut watch = Watcher::new(&rules, args)?;
    let done = backtest::run(&session, &rules, (us(args.from), us(args.to)), &mut watch).await?;
    let report = Report::new(&done, watch.finish()?, &rules);
    let mut out = std::io::stdout().lock();
    match args.output {
        Output::Json => writeln!(out, "{}", serde_json::to_string(&report)?)?,
        Output::Text => report.write(&mut out, &rules, std::io::stdout().is_terminal(), Paint::of_stdout())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Counts alerts, writes them where that was asked for, and shows how far it is.
struct Watcher {
    rules: Arc<RuleSet>,
    tally: Tally,
    alerts: Option<BufWriter<File>>,
    bar: ProgressBar,
}

impl Watcher {
    fn new(rules: &Arc<RuleSet>, args: &RulesBacktestArgs) -> anyhow::Result<Self> {
        let create = |path: &std::path::PathBuf| File::create(path).with_context(|| path.display().to_string());
        let alerts = args.alerts.as_ref().map(create).transpose()?.map(BufWriter::new);
        let is_shown = std::io::stderr().is_terminal() && args.output == Output::Text;
        let bar = if is_shown { ProgressBar::new(0) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{bar:40} {pos} of {len} slices, {msg} rows, {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Ok(Self { rules: rules.clone(), tally: Tally::default(), alerts, bar })
    }

    fn finish(mut self) -> anyhow::Result<Tally> {
        self.bar.finish_and_clear();
        self.alerts.as_mut().map(Write::flush).transpose()?;
        Ok(self.tally)
    }
}

impl Watch for Watcher {
    fn begin(&mut self, range: Range) {
        self.tally.begin(range);
    }

    fn alerts(&mut self, alerts: &TableBatch) -> anyhow::Result<()> {
        if let Some(file) = &mut self.alerts {
            let (rows, mut line) = (JsonRows::new(alerts.table, &alerts.rows), String::new());
            for row in 0..rows.rows() {
                line.clear();
                rows.write(row, &mut line);
                writeln!(file, "{line}")?;
            }
        }
        self.tally.note(alerts, &self.rules)
    }

    fn progress(&mut self, progress: Progress) {
        self.bar.set_length(progress.slices);
        self.bar.set_message(grouped(progress.rows_read));
        self.bar.set_position(progress.slices_done);
    }
}

impl Report {
    fn new(done: &Done, tally: Tally, rules: &RuleSet) -> Self {
        let name = |uid: &str| rules.rules().iter().find(|r| r.uid() == uid).map_or(uid, |r| r.name()).to_owned();
        let failures = done.failures.iter().map(|f| format!("{}: {} rows: {}", name(&f.rule), f.rows, f.error));
        Self {
            from: rfc3339(done.range.from),
            to: rfc3339(done.range.to),
            tables: done.tables.iter().map(|table| table.name()).collect(),
            rows_read: done.rows_read,
            rows_stored: done.rows_stored,
            rules: tally.report(rules),
            failures: failures.collect(),
            held: done.held.clone(),
        }
    }

    fn write(&self, out: &mut impl Write, rules: &RuleSet, terminal: bool, paint: Paint) -> std::io::Result<()> {
        let mut listing = Listing::new(&["rule", "level", "alerts", "groups", "a day", "over time"], &[2, 3, 4]);
        for rule in &self.rules {
            let numbers = [grouped(rule.alerts), grouped(rule.groups), format!("{:.1}", rule.alerts_a_day)];
            let mut row = vec![rule.rule.clone(), rule.level.to_owned()];
            row.extend(numbers);
            row.push(bars(&rule.histogram));
            listing.push(row);
        }
        listing.write(out, terminal)?;
        self.rules.iter().filter(|rule| rule.alerts > 0).try_for_each(|rule| write_rule(rule, out, paint))?;
        write_held(&self.held, rules, out)?;
        self.failures.iter().try_for_each(|failure| writeln!(out, "failed: {failure}"))?;
        writeln!(out, "{}", self.share())
    }

    /// What was read of what there is.
    fn share(&self) -> String {
        let Self { from, to, rows_read, rows_stored, tables, .. } = self;
        let share = if *rows_stored > 0 { 100.0 * *rows_read as f64 / *rows_stored as f64 } else { 0.0 };
        let (read, stored, tables) = (grouped(*rows_read), grouped(*rows_stored), tables.join(", "));
        format!("{from} to {to}: read {read} of {stored} rows ({share:.1} %) of {tables}")
    }
}

fn write_rule(rule: &RuleTally, out: &mut impl Write, paint: Paint) -> std::io::Result<()> {
    writeln!(out, "{}  {}", paint.good(&rule.rule), rule.title)?;
    for (group, alerts) in &rule.top {
        writeln!(out, "  {}{group}: {}", paint.faint("of      "), grouped(*alerts))?;
    }
    for sample in &rule.samples {
        writeln!(out, "  {}{} {} {}", paint.faint("sample  "), sample.time, sample.alert_id, sample.values)?;
        for row in &sample.evidence {
            writeln!(out, "          {}", paint.faint(row))?;
        }
    }
    Ok(())
}

/// A histogram in a line: a blank where there is nothing.
fn bars(counts: &[u64]) -> String {
    let most = counts.iter().copied().max().unwrap_or_default().max(1);
    let bar = |count: &u64| match count {
        0 => '·',
        count => BARS[usize::try_from((count * 8).div_ceil(most)).unwrap_or(8).clamp(1, 8) - 1],
    };
    counts.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_is_a_line_whose_highest_bar_is_the_most() {
        assert_eq!(bars(&[0, 1, 4, 8]), "·▁▄█");
        assert_eq!(bars(&[0, 0]), "··");
    }
}
