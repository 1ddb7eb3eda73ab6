//! `palisade tables reprocess`: stored records once more through the decoders.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use dataflow::{Reason, Table};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use sinks::Warehouse;
use uuid::Uuid;

use super::print;
use crate::cli::{Output, ReprocessArgs};
use crate::commands::run::stop_signal;
use crate::config::Config;
use crate::flight::Flight;
use crate::reprocess::{Found, Part, Pinned, ReprocessSource, Request, Requests, Selection};
use crate::setup;
use crate::telemetry::{Health, Telemetry};
use crate::topology::{self, Worker};

/// How often progress is told: on a terminal, and in a pipe.
const PROGRESS_EVERY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// How a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// All of it is in the tables.
    Done,
    /// A signal came first; run again, it goes on.
    Stopped,
    /// Nothing was there to be read.
    Nothing,
    /// It was only asked what would be read.
    DryRun,
}

/// What a request did, from its ledger entries: over all runs that it took.
#[derive(Debug, Serialize)]
struct Summary {
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<u32>,
    /// Records to read, by the table that holds them.
    found: BTreeMap<Table, u64>,
    /// Rows that are selected and cannot be read back, by why.
    not_reprocessable: BTreeMap<String, u64>,
    read: u64,
    /// What became of the records: rows by table.
    rows: BTreeMap<Table, u64>,
    /// Records that are dead letters again, by reason.
    dead_letters: BTreeMap<Reason, u64>,
    /// More of them, whose entries are collected, so that the reason is known of their rows alone.
    #[serde(skip_serializing_if = "is_zero")]
    collected_dead_letters: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Runs the command.
///
/// # Errors
/// If the configuration or a condition is wrong, or what [`topology::redecode`] says.
pub(super) async fn run(args: &ReprocessArgs) -> anyhow::Result<ExitCode> {
    let config = Arc::new(Config::load(&args.config)?);
    let selection = selection(args)?;
    let none = " yet; `palisade run` makes it";
    let warehouse = setup::existing_warehouse(config.warehouse.clone(), none).await?;
    let stop = stop_signal()?;
    let versions = versions(&config);
    if !args.dry_run {
        warehouse.committer(&setup::writer_name()).roll_forward().await?;
        // One that was interrupted comes first: what it has yet to write would be read again otherwise.
        let positions = warehouse.start_positions().await?;
        if let Some(request) = Requests::read(&warehouse).await?.unfinished(&positions).cloned() {
            let is_asked = request.pinned.selection == selection;
            eprintln!("request {} was interrupted; it goes on", request.number);
            let summary = work(&config, &warehouse, request, stop.clone(), args.output).await?;
            if is_asked || summary.state != State::Done {
                return finish(&summary, args.output);
            }
            print(&summary, args.output, |out, _| summary.write_text(out))?;
        }
    }
    let requests = Requests::read(&warehouse).await?;
    let tried = if args.again { Vec::new() } else { requests.tried_with(&versions) };
    let pinned = Pinned::now(&warehouse, selection, tried).await?;
    let found = pinned.find(&pinned.session(&warehouse).await?).await?;
    if args.dry_run || found.total() == 0 {
        let state = if args.dry_run { State::DryRun } else { State::Nothing };
        return finish(&Summary::of(state, None, &found), args.output);
    }
    let request = requests.begin(&warehouse, pinned, versions, found).await?;
    finish(&work(&config, &warehouse, request, stop, args.output).await?, args.output)
}

fn finish(summary: &Summary, output: Output) -> anyhow::Result<ExitCode> {
    print(summary, output, |out, _| summary.write_text(out))?;
    Ok(ExitCode::SUCCESS)
}

fn selection(args: &ReprocessArgs) -> anyhow::Result<Selection> {
    if let (Some(partition), Some(offsets)) = (&args.partition, args.offsets) {
        let selection = Selection::parse_range(partition, offsets);
        return selection
            .with_context(|| format!("--partition {partition}: it is TOPIC/NUMBER or TOPIC@INCARNATION/NUMBER"));
    }
    let dead_letters = args.dead_letters.then(|| Part::dead_letters(&args.reason));
    let condition = args.condition.clone().unwrap_or_else(|| "TRUE".to_owned());
    let rows = args.table.map(|table| Part { table, condition });
    let parts: Vec<Part> = dead_letters.into_iter().chain(rows).collect();
    Ok(if parts.is_empty() { Selection::unknown() } else { Selection(parts) })
}

/// What decides what becomes of a record.
fn versions(config: &Config) -> BTreeMap<String, String> {
    let decode = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{:?}", config.decode).as_bytes());
    let mappings = config.mappings.version().map(|version| ("mappings".to_owned(), version));
    let program = ("palisade".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    [program, ("decode".to_owned(), decode.to_string())].into_iter().chain(mappings).collect()
}

/// Reads what is left of a request, and tells of it.
async fn work(
    config: &Arc<Config>,
    warehouse: &Warehouse,
    request: Request,
    stop: tokio::sync::watch::Receiver<bool>,
    output: Output,
) -> anyhow::Result<Summary> {
    let telemetry = Telemetry::new();
    let worker = Worker {
        config: config.clone(),
        telemetry: telemetry.clone(),
        health: Health::default(),
        flight: Flight::new(telemetry.clone()),
        until_end: true,
        stop,
    };
    let before = Summary::of(State::Stopped, Some(&request), &request.found).with_ledger(warehouse, &request).await?;
    let mut progress = Progress::new(request.found.total(), before.read, output);
    let source = ReprocessSource::open(request.clone(), warehouse).await?;
    let mut path = Box::pin(topology::redecode(worker, warehouse, Box::new(source)));
    let mut ticks = tokio::time::interval(progress.every());
    let ended = loop {
        tokio::select! {
            ended = &mut path => break ended?,
            _ = ticks.tick() => progress.tell(telemetry.records_total()),
        }
    };
    progress.finish(telemetry.records_total());
    let state = if ended { State::Done } else { State::Stopped };
    Summary::of(state, Some(&request), &request.found).with_ledger(warehouse, &request).await
}

impl Summary {
    fn of(state: State, request: Option<&Request>, found: &Found) -> Self {
        Self {
            state,
            request: request.map(|request| request.number),
            found: found.records.clone(),
            not_reprocessable: found.left_out.clone(),
            read: 0,
            collected_dead_letters: 0,
            rows: BTreeMap::new(),
            dead_letters: BTreeMap::new(),
        }
    }

    /// With what the request's entries say.
    async fn with_ledger(mut self, warehouse: &Warehouse, request: &Request) -> anyhow::Result<Self> {
        for partition in request.ends().keys() {
            let ledger = warehouse.ledger();
            self.add_collected(ledger.floor(partition).await?);
            let Some(first) = ledger.first(partition).await? else { continue };
            for entry in ledger.walk(partition, first, usize::MAX).await? {
                self.read += entry.records;
                for (table, files) in entry.tables.iter().filter(|(table, _)| table.table() != Table::DeadLetter) {
                    *self.rows.entry(table.table()).or_default() += files.rows;
                }
                for (reason, count) in entry.dead_letters {
                    *self.dead_letters.entry(reason).or_default() += count;
                }
            }
        }
        Ok(self)
    }

    /// With what the entries said that are collected.
    fn add_collected(&mut self, floor: Option<sinks::Floor>) {
        let Some(sinks::Collected { records, rows, dead_letters, .. }) = floor.map(|floor| floor.collected) else {
            return;
        };
        self.read += records;
        self.collected_dead_letters += dead_letters;
        for (table, rows) in rows.into_iter().filter(|(table, _)| table.table() != Table::DeadLetter) {
            *self.rows.entry(table.table()).or_default() += rows;
        }
    }

    /// A line a figure; what is 0 is left out.
    fn write_text(&self, out: &mut impl Write) -> std::io::Result<()> {
        let name = self.request.map(|number| format!("request {number}")).unwrap_or_default();
        match self.state {
            State::Done => writeln!(out, "{name} is done")?,
            State::Stopped => writeln!(out, "{name} was stopped; run again, it goes on")?,
            State::Nothing => writeln!(out, "nothing to reprocess with these decoders and mappings")?,
            State::DryRun => writeln!(out, "this would be read; nothing was")?,
        }
        lines(out, "found", &self.found)?;
        lines(out, "not reprocessable", &self.not_reprocessable)?;
        if self.request.is_some() {
            writeln!(out, "read\t{}", self.read)?;
        }
        lines(out, "rows", &self.rows)?;
        lines(out, "dead letters again", &self.dead_letters)?;
        match self.collected_dead_letters {
            0 => Ok(()),
            more => writeln!(out, "dead letters again\tof collected entries\t{more}"),
        }
    }
}

fn lines<K: std::fmt::Display>(out: &mut impl Write, what: &str, counts: &BTreeMap<K, u64>) -> std::io::Result<()> {
    counts.iter().try_for_each(|(name, count)| writeln!(out, "{what}\t{count}\t{name}"))
}

/// A bar on a terminal; lines in a pipe; nothing beside JSON.
struct Progress {
    bar: ProgressBar,
    is_terminal: bool,
    quiet: bool,
    /// What earlier runs have read.
    before: u64,
    told: u64,
    total: u64,
}

impl Progress {
    fn new(total: u64, before: u64, output: Output) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = if is_terminal && output == Output::Text { ProgressBar::new(total) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} records, {per_sec}, {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, is_terminal, quiet: output == Output::Json, before, told: before, total }
    }

    fn every(&self) -> Duration {
        if self.is_terminal { PROGRESS_EVERY.0 } else { PROGRESS_EVERY.1 }
    }

    fn tell(&mut self, read: u64) {
        let read = self.before + read;
        self.bar.set_position(read);
        if !self.is_terminal && !self.quiet && read > self.told {
            self.told = read;
            eprintln!("{read} of {} records", self.total);
        }
    }

    fn finish(&mut self, read: u64) {
        self.tell(read);
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_names_each_count() {
        let summary = Summary {
            state: State::Done,
            request: Some(2),
            found: BTreeMap::from([(Table::DeadLetter, 5)]),
            not_reprocessable: BTreeMap::from([("no raw_data".to_owned(), 3)]),
            read: 5,
            rows: BTreeMap::from([(Table::NetworkActivity, 4)]),
            dead_letters: BTreeMap::from([(Reason::InvalidJson, 1)]),
            collected_dead_letters: 0,
        };
        let mut out = Vec::new();
        summary.write_text(&mut out).expect("a buffer takes all");
        let want = "request 2 is done\nfound\t5\tdead_letter\nnot reprocessable\t3\tno raw_data\nread\t5\nrows\t4\tnetwork_activity\n\
                    dead letters again\t1\tinvalid_json\n";
        assert_eq!(String::from_utf8(out).expect("text"), want);
    }
}
